package compose

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

// TestConsulValues pins what is derived for Consul, and for the network plugin beside it.
func TestConsulValues(t *testing.T) {
	ten := resource.MustParse("20Gi")
	multus := spec(func(s *NetworkStackSpec) { s.SecondaryNetworks = &SecondaryNetworksSpec{Type: SecondaryNetworksMultus} })
	for _, tc := range []struct {
		name, release string
		in            Input
		want          map[string]any // a nil is absent
	}{
		{"as it is", "consul", flannel(consul()), map[string]any{
			"global.name": "consul", "global.datacenter": "dc1", "global.tls.enabled": true, "global.acls.manageSystemACLs": true,
			"global.gossipEncryption.secretName": "consul-gossip-encryption-key", "global.gossipEncryption.secretKey": "key",
			"global.acls.bootstrapToken.secretName": "consul-bootstrap-acl-token", "global.acls.bootstrapToken.secretKey": "token",
			"server.serverCert.secretName": "consul-server-cert", "global.tls.caCert.secretName": "consul-server-cert", "global.tls.caCert.secretKey": "ca.crt",
			"server.replicas": int64(3), "server.storage": nil, "server.storageClass": nil, "server.persistentVolumeClaimRetentionPolicy": nil,
			"connectInject.default": true, "connectInject.namespaceSelector": "matchLabels:\n  consul.hashicorp.com/connect-inject: \"true\"\n",
			"connectInject.replicas": int64(2), "connectInject.transparentProxy.defaultEnabled": true, "connectInject.cni.enabled": false,
			"connectInject.cni.cniNetDir": nil, "connectInject.apiGateway.manageExternalCRDs": false, "global.crds.enableTcpRoute": false,
			"global.dualStack.enabled": false, "global.openshift.enabled": nil, "global.metrics.enabled": nil,
		}},
		{"nothing encrypted or allowed", "consul", flannel(consul(consulBlock(func(c *ConsulSpec) { c.TLS, c.ACLs = Disabled, Disabled }))), map[string]any{
			"global.tls.enabled": false, "global.acls.manageSystemACLs": false, "server.serverCert": nil, "global.tls.caCert": nil,
			"global.acls.bootstrapToken": nil, "server.extraConfig": nil,
		}},
		{"servers", "consul", flannel(consul(consulServerBlock(ConsulServers{
			Replicas: ptr(int32(3)), Storage: &ten, StorageClassName: "fast", VolumeClaims: ClaimsDelete,
		}))), map[string]any{
			"server.storage": "20Gi", "server.storageClass": "fast", "server.persistentVolumeClaimRetentionPolicy.whenDeleted": "Delete",
		}},
		{"on one node", "consul", flannel(consul(), cluster(func(s *facts.Snapshot) { s.Nodes = s.Nodes[:1] })), map[string]any{
			"server.replicas": int64(1), "connectInject.replicas": int64(1),
		}},
		{"as many servers as there are", "consul", flannel(consul(), consulThere(consulUsual(1))), map[string]any{"server.replicas": int64(1)}},
		{"a datacenter", "consul", flannel(consul(func(m *MeshSpec) { m.Identity = &MeshIdentity{ClusterName: "east"} })), map[string]any{"global.datacenter": "east"}},
		{"both families", "consul", cilium(dual, consul()), map[string]any{"global.dualStack.enabled": true}},
		{"routes of the experimental channel", "consul", flannel(consul(), gateway(GatewayAPIExperimental, "1.5.1")), map[string]any{"global.crds.enableTcpRoute": true}},
		{"monitors", "consul", flannel(consul(withoutACLs), monitored), map[string]any{"global.metrics.enabled": true, "global.metrics.enableAgentMetrics": true}},
		{"monitors, which nobody could read", "consul", flannel(consul(), monitored), map[string]any{"global.metrics": nil}},
		{"the plugin on k3s", "consul", flannel(consul(meshPlugin), distribution(facts.DistributionK3s)), map[string]any{
			"connectInject.cni.enabled": true, "connectInject.cni.multus": nil,
			"connectInject.cni.cniNetDir": "/var/lib/rancher/k3s/agent/etc/cni/net.d", "connectInject.cni.cniBinDir": "/var/lib/rancher/k3s/data/cni",
		}},
		{"the plugin beside Multus", "consul", flannel(consul(meshPlugin), multus), map[string]any{"connectInject.cni.multus": true}},
		{"OpenShift", "consul", flannel(consul(), distribution(facts.DistributionOpenShift)), map[string]any{
			"global.openshift.enabled": true, "connectInject.cni.enabled": true, "connectInject.cni.multus": true,
			"connectInject.cni.cniNetDir": "/etc/kubernetes/cni/net.d", "connectInject.cni.cniBinDir": "/var/lib/cni/bin",
		}},
		{"OpenShift with nothing to redirect", "consul", flannel(consul(consulBlock(func(c *ConsulSpec) { c.TransparentProxy = Disabled })),
			distribution(facts.DistributionOpenShift)), map[string]any{"connectInject.cni.enabled": false, "connectInject.transparentProxy.defaultEnabled": false}},
		{"plaintext as well", "consul-resources", flannel(consul(func(m *MeshSpec) { m.MTLS = MTLSPermissive })), map[string]any{"mtls": "permissive"}},
		{"Cilium beside Consul", "cilium", cilium(consul()), map[string]any{"socketLB.hostNamespaceOnly": true, "cni.exclusive": nil}},
		{"Cilium beside Consul's plugin", "cilium", cilium(consul(meshPlugin)), map[string]any{"socketLB.hostNamespaceOnly": true, "cni.exclusive": false}},
		{"Cilium while Consul's plugin goes", "cilium", cilium(consulThere(map[string]any{"connectInject": map[string]any{"cni": map[string]any{"enabled": true}}})),
			map[string]any{"socketLB.hostNamespaceOnly": nil, "cni.exclusive": false}},
		{"Cilium while a Consul goes that has no plugin", "cilium", cilium(consulThere(consulUsual(3))), map[string]any{"cni.exclusive": nil}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, values := releaseNamed(t, accepted(t, tc.in), tc.release)
			for path, want := range tc.want {
				got, has := lookup(values, path)
				if want == nil && has || want != nil && got != want {
					t.Errorf("%s is %v (%T), not %v", path, got, got, want)
				}
			}
		})
	}
}

// monitored asks for monitors.
func monitored(in *Input) {
	in.Stack.Spec.Observability = &ObservabilitySpec{Monitors: MonitorsEnabled}
	in.Facts.ServiceMonitors = true
	in.Catalog[TypeObservability] = defaults()[TypeObservability]
}

// TestConsulOrder pins the components of Consul, what they wait for, and when namespaces join.
func TestConsulOrder(t *testing.T) {
	strict := func(m *MeshSpec) { m.MTLS = MTLSStrict }
	in := flannel(consul(strict, meshPlugin, selecting(map[string]string{"a": "b"})), spec(func(s *NetworkStackSpec) {
		s.SecondaryNetworks = &SecondaryNetworksSpec{Type: SecondaryNetworksMultus}
	}))
	r := accepted(t, in)
	var got []string
	for _, rel := range r.Releases {
		if rel.Spec.Stage >= stageMeshBase {
			got = append(got, rel.Name+" after "+strings.Join(rel.Needs, " "))
		}
	}
	if diff := cmp.Diff([]string{"consul after flannel gateway-api multus", "consul-resources after flannel consul"}, got); diff != "" {
		t.Errorf("components (-want +got):\n%s", diff)
	}
	e := r.Mesh.Enrolment
	if e.Mesh != "consul" || e.Labels[consulInject] != "true" || !slices.Equal(e.After, []string{"consul"}) || !slices.Equal(e.Never, []string{"consul"}) {
		t.Errorf("enrolment: %+v", e)
	}
	_, skipped := e.Judge([]facts.Namespace{{Name: "own", Labels: map[string]string{"a": "b", consulInject: "false"}}})
	if !slices.Equal(skipped, []string{"own"}) {
		t.Errorf("skipped: %v", skipped)
	}
	for _, rel := range accepted(t, flannel(consul())).Releases {
		if rel.Name == nameConsulResources {
			t.Error("there are resources of which nothing was said")
		}
	}
}

// TestConsulSecrets pins which Secrets are made for Consul.
func TestConsulSecrets(t *testing.T) {
	list := func(in Input) []string {
		rel, _ := releaseNamed(t, accepted(t, in), "consul")
		var out []string
		for _, g := range rel.Spec.GeneratedSecrets {
			out = append(out, string(g.Kind)+" "+g.SecretName)
		}
		for _, c := range rel.Spec.Certificates {
			text := c.SecretName + " by " + c.CASecretName + ": " + c.CommonName
			if c.External {
				text += " external"
			}
			out = append(out, text)
		}
		return out
	}
	const gossip, token = "GossipKey consul-gossip-encryption-key", "Token consul-bootstrap-acl-token"
	for _, tc := range []struct {
		name string
		in   Input
		want []string
	}{
		{"all", flannel(consul()), []string{gossip, token, "consul-ca by : Consul CA", "consul-server-cert by consul-ca: server.dc1.consul"}},
		{"a shared root", flannel(consul(func(m *MeshSpec) { m.Identity = &MeshIdentity{RootSecretName: "shared", ClusterName: "east"} })), []string{
			gossip, token, "shared by : Consul CA external", "consul-server-cert by shared: server.east.consul",
		}},
		{"neither TLS nor ACLs", flannel(consul(consulBlock(func(c *ConsulSpec) { c.TLS, c.ACLs = Disabled, Disabled }))), []string{gossip}},
	} {
		if diff := cmp.Diff(tc.want, list(tc.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	rel, _ := releaseNamed(t, accepted(t, flannel(consul(func(m *MeshSpec) { m.Namespace = "mesh" }))), "consul")
	names := rel.Spec.Certificates[1].DNSNames
	// As the chart's own Job would have them, and the one by which servers know each other.
	for _, want := range []string{
		"localhost", "server.dc1.consul", "*.server.dc1.consul", "consul-server", "*.consul-server", "consul-server.mesh", "*.consul-server.mesh",
		"consul-server.mesh.svc", "*.consul-server.mesh.svc",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("the servers have no certificate for %s: %v", want, names)
		}
	}
}

// TestConsulRenders lets upstream's chart read the derived values.
func TestConsulRenders(t *testing.T) {
	in := cilium(consul(meshPlugin, selecting(map[string]string{"a": "b"})), monitored)
	rel, values := releaseNamed(t, accepted(t, in), "consul")
	for _, version := range []string{"2.0.2", "2.0.3"} {
		c := testcharts.Upstream(t, "consul", version)
		objects := render(t, c, rel, values)
		for _, tc := range []struct{ object, path, want string }{
			{"StatefulSet consul-server", "spec", `"name":"consul-gossip-encryption-key"`},
			{"StatefulSet consul-server", "spec", `"name":"consul-bootstrap-acl-token"`},
			{"StatefulSet consul-server", "spec", `"secretName":"consul-server-cert"`},
			{"ConfigMap consul-server-tmp-extra-config", "data", "auto_reload_config"},
			{"ConfigMap consul-server-config", "data", "verify_incoming"},
			{"DaemonSet consul-cni", "spec.template.spec.containers", "-multus=false"},
			{"Deployment consul-connect-injector", "spec.template.spec.containers", "-default-inject=true"},
			{"Deployment consul-connect-injector", "spec.template.spec.containers", "-enable-cni=true"},
			{"MutatingWebhookConfiguration consul-connect-injector", "webhooks", `"matchLabels":{"consul.hashicorp.com/connect-inject":"true"}`},
			{"Job consul-server-acl-init", "spec", "-bootstrap-token-secret-name=consul-bootstrap-acl-token"},
		} {
			got, _ := lookup(objects[tc.object], tc.path)
			if !strings.Contains(asText(got)+string(rawValues(got).Raw), tc.want) {
				t.Errorf("%s: %s of %s lacks %q: %v", version, tc.path, tc.object, tc.want, got)
			}
		}
		injector, _ := lookup(objects["Deployment consul-connect-injector"], "spec.template.spec.containers")
		if strings.Contains(string(rawValues(injector).Raw), "tcp-route") {
			t.Errorf("%s: TCPRoutes are read, which the standard channel does not have in that version", version)
		}
		for name := range objects {
			if strings.HasPrefix(name, "CustomResourceDefinition ") && strings.HasSuffix(name, "gateway.networking.k8s.io") {
				t.Errorf("%s: the chart brings %s", version, name)
			}
			if strings.HasPrefix(name, "Job consul-tls-init") || strings.HasPrefix(name, "Job consul-gossip") {
				t.Errorf("%s: %s would make Secrets", version, name)
			}
		}
		if diff := cmp.Diff(objects, render(t, c, rel, values)); diff != "" {
			t.Errorf("%s: two renderings differ:\n%s", version, diff)
		}
	}
}
