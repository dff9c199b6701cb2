package compose

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

// TestMeshValues pins what is derived for each chart of a mesh, and for the network plugin beside it.
func TestMeshValues(t *testing.T) {
	identity := func(m *MeshSpec) {
		m.Identity = &MeshIdentity{MeshID: "m", ClusterName: "c", Network: "n", TrustDomain: "t.example.com"}
	}
	multus := spec(func(s *NetworkStackSpec) { s.SecondaryNetworks = &SecondaryNetworksSpec{Type: SecondaryNetworksMultus} })
	for _, tc := range []struct {
		name, release string
		in            Input
		want          map[string]any // a nil is absent
	}{
		{"sidecars", "istiod-1-30-3", flannel(istio()), map[string]any{
			"revision": "1-30-3", "profile": nil, "global.hub": "docker.io/istio", "global.istioNamespace": "istio-system", "pilot.cni.enabled": false,
			"autoscaleEnabled": false, "replicaCount": int64(2), "meshConfig.trustDomain": "cluster.local", "global.platform": nil,
			"pilot.env.ISTIO_DUAL_STACK": nil,
		}},
		{"ambient", "istiod-1-30-3", flannel(istio(ambient)), map[string]any{"profile": "ambient", "pilot.cni.enabled": true}},
		{"ambient's base", "istio-base", flannel(istio(ambient)), map[string]any{"profile": "ambient", "defaultRevision": ""}},
		{"ambient's ztunnel", "ztunnel", flannel(istio(ambient, identity)), map[string]any{
			"profile": "ambient", "revision": "1-30-3", "hub": "docker.io/istio", "network": "n", "multiCluster.clusterName": "c",
		}},
		{"identity", "istiod-1-30-3", flannel(istio(identity)), map[string]any{
			"global.meshID": "m", "global.multiCluster.clusterName": "c", "global.network": "n", "meshConfig.trustDomain": "t.example.com",
		}},
		{"replicas", "istiod-1-30-3", flannel(istio(func(m *MeshSpec) { m.Replicas = ptr(int32(3)) })), map[string]any{"replicaCount": int64(3)}},
		{"both families", "istiod-1-30-3", cilium(dual, istio()), map[string]any{
			"pilot.env.ISTIO_DUAL_STACK": "true", "pilot.ipFamilyPolicy": "PreferDualStack",
			"meshConfig.defaultConfig.proxyMetadata.ISTIO_DUAL_STACK": "true",
		}},
		{"k3s", "istio-cni", flannel(istio(meshPlugin), distribution(facts.DistributionK3s)), map[string]any{"global.platform": "k3s"}},
		{"GKE", "istio-cni", flannel(istio(ambient), distribution(facts.DistributionGKE)), map[string]any{"global.platform": "gke"}},
		{"directories of Cilium", "istio-cni", cilium(istio(meshPlugin), values(map[string]any{"cni": map[string]any{"confPath": "/a", "binPath": "/b"}})), map[string]any{
			"cniConfDir": "/a", "cniBinDir": "/b", "cniConfFileName": nil,
		}},
		{"beside Multus", "istio-cni", cilium(istio(meshPlugin), multus), map[string]any{"cniConfFileName": "05-cilium.conflist"}},
		{"resources", "istio-resources", flannel(istio(func(m *MeshSpec) { m.MTLS, m.Istio = MTLSStrict, &IstioSpec{Revision: "blue", Tag: "stable"} })), map[string]any{
			"revision": "blue", "tag": "stable", "mtls": "STRICT", "namespace": "istio-system",
		}},
		{"Cilium beside sidecars", "cilium", cilium(istio()), map[string]any{"socketLB.hostNamespaceOnly": true, "cni.exclusive": nil}},
		{"Cilium beside a mesh's plugin", "cilium", cilium(linkerd(meshPlugin)), map[string]any{"socketLB.hostNamespaceOnly": true, "cni.exclusive": false}},
		{"Cilium while a mesh's plugin goes", "cilium", cilium(component("linkerd-cni", NetworkComponentSpec{Type: TypeLinkerdCNI})), map[string]any{
			"socketLB.hostNamespaceOnly": nil, "cni.exclusive": false,
		}},
		{"Calico with BPF beside a mesh", "calico", calico(mode(KubeProxyReplaced), withoutKubeProxy, linkerd()), map[string]any{
			"defaultFelixConfiguration.bpfConnectTimeLoadBalancing": "Disabled", "defaultFelixConfiguration.bpfHostNetworkedNATWithoutCTLB": "Enabled",
		}},
		{"Calico with BPF without a mesh", "calico", calico(mode(KubeProxyReplaced), withoutKubeProxy), map[string]any{
			"defaultFelixConfiguration.bpfConnectTimeLoadBalancing": nil,
		}},
		{"Linkerd", "linkerd", flannel(linkerd(meshPlugin, func(m *MeshSpec) { m.MTLS = MTLSStrict })), map[string]any{
			"cniEnabled": true, "proxy.defaultInboundPolicy": "all-authenticated", "identity.issuer.scheme": "kubernetes.io/tls", "identity.externalCA": false,
			"disableIPv6": true, "identityTrustDomain": "cluster.local", "controllerReplicas": int64(3), "enablePodAntiAffinity": true,
			"proxyInjector.externalSecret": true, "disableHeartBeat": true,
			"clusterNetworks": "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8",
		}},
		{"Linkerd with a range of its own", "linkerd", cilium(linkerd(), spec(func(s *NetworkStackSpec) { s.IPPools[0].CIDRs = []string{"11.0.0.0/16"} })),
			map[string]any{"clusterNetworks": "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8,11.0.0.0/16"}},
		{"Linkerd with an issuer of somebody else's", "linkerd", flannel(linkerd(func(m *MeshSpec) { m.Linkerd = &LinkerdSpec{IssuerSecretName: "linkerd-identity-issuer"} })),
			map[string]any{"identity.externalCA": true, "cniEnabled": false, "proxy.defaultInboundPolicy": nil}},
		{"Linkerd's plugin on k3s", "linkerd-cni", flannel(linkerd(meshPlugin), distribution(facts.DistributionK3s)), map[string]any{
			"destCNINetDir": "/var/lib/rancher/k3s/agent/etc/cni/net.d", "destCNIBinDir": "/var/lib/rancher/k3s/data/cni", "repairController.enabled": true,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, values := releaseNamed(t, accepted(t, tc.in), tc.release)
			for path, want := range tc.want {
				got, has := lookup(values, path)
				if n, isInt := got.(int); isInt {
					got = int64(n)
				}
				if want == nil && has || want != nil && got != want {
					t.Errorf("%s is %v (%T), not %v", path, got, got, want)
				}
			}
		})
	}
}

// TestMeshOrder pins which components a mesh has, in which order, and what each waits for.
func TestMeshOrder(t *testing.T) {
	names := func(in Input) []string {
		var out []string
		for _, r := range accepted(t, in).Releases {
			if r.Spec.Stage >= stageMeshBase {
				out = append(out, r.Name+" after "+strings.Join(r.Needs, " "))
			}
		}
		return out
	}
	for _, tc := range []struct {
		name string
		in   Input
		want []string
	}{
		{"sidecars", flannel(istio()), []string{
			"istio-base after flannel", "istiod-1-30-3 after flannel istio-base", "istio-resources after flannel istiod-1-30-3",
		}},
		{"ambient", flannel(istio(ambient)), []string{
			"istio-base after flannel", "istiod-1-30-3 after flannel istio-base", "istio-cni after flannel istiod-1-30-3",
			"ztunnel after flannel istiod-1-30-3 istio-cni", "istio-resources after flannel istiod-1-30-3",
		}},
		{"Linkerd", flannel(linkerd(meshPlugin)), []string{
			"linkerd-crds after flannel", "linkerd-cni after flannel linkerd-crds", "linkerd after flannel linkerd-crds linkerd-cni",
		}},
	} {
		if diff := cmp.Diff(tc.want, names(tc.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	for _, r := range accepted(t, flannel(istio(ambient), distribution(facts.DistributionOpenShift))).Releases {
		privileged := r.Spec.Type == TypeIstioCNI || r.Spec.Type == TypeZtunnel
		if privileged != (r.Spec.Namespace == "kube-system" && r.Spec.Stage >= stageMeshBase) || privileged && r.Spec.NamespaceLabels != nil {
			t.Errorf("on OpenShift %s is in %s with labels %v", r.Name, r.Spec.Namespace, r.Spec.NamespaceLabels)
		}
	}
}

// TestGatewayOfMesh wants gateways of Istio after the control plane of the same stack, and filled in by it.
func TestGatewayOfMesh(t *testing.T) {
	tag := func(name string) func(*MeshSpec) { return func(m *MeshSpec) { m.Istio = &IstioSpec{Tag: name} } }
	for _, tc := range []struct {
		name     string
		in       Input
		revision any
	}{
		{"by revision", flannel(istio()), "1-30-3"},
		{"by tag", flannel(istio(tag("stable"))), "stable"},
		{"by the usual tag", flannel(istio(tag("default"))), nil},
		{"by the stack's own, whatever else there is", flannel(istio(), cluster(func(f *facts.Snapshot) { f.IstioRevisions = []string{"default"} })), "1-30-3"},
	} {
		r, values := releaseNamed(t, accepted(t, with(tc.in, ingresses(ingressOf(IngressIstioGateway)))), "ingress-a")
		if got := strings.Join(r.Needs, " "); got != "flannel istiod-1-30-3 istio-resources" {
			t.Errorf("%s: comes after %s", tc.name, got)
		}
		if values["revision"] != tc.revision {
			t.Errorf("%s: filled in by %v, not %v", tc.name, values["revision"], tc.revision)
		}
	}
}

// TestRetained wants a control plane that is not wanted kept while it is in use, and while it is not known whether it is.
func TestRetained(t *testing.T) {
	base := component("istio-base", NetworkComponentSpec{Type: TypeIstioBase})
	old := controlPlane("istiod-1-29-6", "1.29.6", nil)
	unused := cluster(func(f *facts.Snapshot) { f.Proxies.Known = true })
	labelled := cluster(func(f *facts.Snapshot) {
		f.Namespaces = []facts.Namespace{{Name: "shop", Labels: map[string]string{"istio.io/rev": "1-29-6"}}}
	})
	used := proxies("1-29-6", map[string][]string{"shop": {"a"}, "bank": {"1", "2", "3", "4", "5", "6", "7"}})
	for _, tc := range []struct {
		name string
		in   Input
		want []string // components of the mesh
		held []string
	}{
		{"not known", flannel(istio(), base, old), []string{"istio-base", "istio-resources", "istiod-1-29-6", "istiod-1-30-3"}, nil},
		{"unused", flannel(istio(), base, old, unused), []string{"istio-base", "istio-resources", "istiod-1-30-3"}, nil},
		{"used", flannel(istio(), base, old, used, labelled), []string{"istio-base", "istio-resources", "istiod-1-29-6", "istiod-1-30-3"}, []string{
			"namespace bank (pods 1, 2, 3, 4, 5, 2 more)", "namespace shop (pods a), which has the label istio.io/rev=1-29-6",
		}},
		{"used by a label alone", flannel(istio(), base, old, unused, labelled), []string{"istio-base", "istio-resources", "istiod-1-29-6", "istiod-1-30-3"},
			[]string{"namespace shop, which has the label istio.io/rev=1-29-6"}},
		{"the mesh is removed, in use", flannel(base, old, used), []string{"istio-base", "istiod-1-29-6"}, []string{
			"namespace bank (pods 1, 2, 3, 4, 5, 2 more)", "namespace shop (pods a)",
		}},
		{"the mesh is removed, not in use", flannel(base, old, unused), nil, nil},
		{"it is on its way out already", flannel(istio(), component("istiod-1-29-6", NetworkComponentSpec{Type: TypeIstiod, DeletionPolicy: DeletionDelete})),
			[]string{"istio-base", "istio-resources", "istiod-1-30-3"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := accepted(t, tc.in)
			var got []string
			for _, rel := range r.Releases {
				if rel.Spec.Stage >= stageMeshBase || rel.Spec.Type == TypeIstiod || rel.Spec.Type == TypeIstioBase {
					got = append(got, rel.Name)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("components (-want +got):\n%s", diff)
			}
			var held []string
			if r.Mesh != nil && len(r.Mesh.Retained) > 0 {
				held = r.Mesh.Retained[0].HeldBy
			}
			if diff := cmp.Diff(tc.held, held); diff != "" {
				t.Errorf("held by (-want +got):\n%s", diff)
			}
		})
	}
	if !RetiresControlPlane(flannel(istio(), old)) || RetiresControlPlane(flannel(istio(), controlPlane("istiod-1-30-3", "1.30.3", nil))) ||
		!RetiresControlPlane(flannel(old)) || RetiresControlPlane(flannel(istio())) {
		t.Error("whether proxies are to be watched is not told rightly")
	}
}

// TestMeshCertificates pins what is made for a mesh, and from what.
func TestMeshCertificates(t *testing.T) {
	root := func(m *MeshSpec) { m.Identity = &MeshIdentity{RootSecretName: "shared", ClusterName: "east"} }
	list := func(in Input, name string) []string {
		rel, _ := releaseNamed(t, accepted(t, in), name)
		var out []string
		for _, c := range rel.Spec.Certificates {
			text := c.SecretName + " by " + c.CASecretName + ": " + c.CommonName
			for _, mark := range []struct {
				on   bool
				word string
			}{{c.Authority, " authority"}, {c.External, " external"}, {c.BundleValue != "", " to " + c.BundleValue}} {
				if mark.on {
					text += mark.word
				}
			}
			out = append(out, text)
		}
		return out
	}
	for _, tc := range []struct {
		name, release string
		in            Input
		want          []string
	}{
		{"Istio by itself", "istio-base", flannel(istio()), nil},
		{"Istio with a shared root", "istio-base", flannel(istio(root)), []string{"shared by : Root CA external", "cacerts by shared: east authority"}},
		{"Linkerd", "linkerd", flannel(linkerd()), []string{
			"linkerd-identity-trust-anchor by : root.linkerd.cluster.local to identityTrustAnchorsPEM",
			"linkerd-identity-issuer by linkerd-identity-trust-anchor: identity.linkerd.cluster.local authority",
			"linkerd-webhook-ca by : Linkerd webhooks",
			"linkerd-proxy-injector-k8s-tls by linkerd-webhook-ca: linkerd-proxy-injector.linkerd.svc to proxyInjector.caBundle",
			"linkerd-sp-validator-k8s-tls by linkerd-webhook-ca: linkerd-sp-validator.linkerd.svc to profileValidator.caBundle",
			"linkerd-policy-validator-k8s-tls by linkerd-webhook-ca: linkerd-policy-validator.linkerd.svc to policyValidator.caBundle",
		}},
		{"Linkerd with a shared root", "linkerd", flannel(linkerd(func(m *MeshSpec) { m.Identity = &MeshIdentity{RootSecretName: "shared"} })), []string{
			"shared by : root.linkerd.cluster.local external to identityTrustAnchorsPEM",
			"linkerd-identity-issuer by shared: identity.linkerd.cluster.local authority",
		}},
		{"Linkerd by cert-manager", "linkerd", flannel(linkerd(func(m *MeshSpec) { m.Linkerd = &LinkerdSpec{IssuerSecretName: "linkerd-identity-issuer"} })), nil},
	} {
		got := slices.DeleteFunc(list(tc.in, tc.release), func(s string) bool {
			return tc.name != "Linkerd" && (strings.Contains(s, "webhook") || strings.Contains(s, "k8s-tls"))
		})
		if diff := cmp.Diff(tc.want, got, cmp.Transformer("none", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestMeshRenders lets upstream's charts read the derived values.
func TestMeshRenders(t *testing.T) {
	for _, version := range []string{"1.29.6", "1.30.3"} {
		revision := revisionFor(version)
		in := cilium(istio(ambient, meshVersion(version), func(m *MeshSpec) { m.Replicas = ptr(int32(2)) }))
		for _, tc := range []struct{ chart, release, object, path, want string }{
			{"istiod", "istiod-" + revision, "Deployment istiod-" + revision, "spec.template.spec.containers", "docker.io/istio/pilot:" + version + "-distroless"},
			{"istiod", "istiod-" + revision, "Deployment istiod-" + revision, "spec.template.spec.containers", "PILOT_ENABLE_AMBIENT"},
			{"istiod", "istiod-" + revision, "PodDisruptionBudget istiod-" + revision, "spec.minAvailable", "1"},
			{"istiod", "istiod-" + revision, "ConfigMap istio-" + revision, "data.mesh", "trustDomain: cluster.local"},
			{"cni", "istio-cni", "DaemonSet istio-cni-node", "spec.template.spec.containers", "docker.io/istio/install-cni:" + version},
			{"cni", "istio-cni", "ConfigMap istio-cni-config", "data.AMBIENT_ENABLED", "true"},
			{"ztunnel", "ztunnel", "DaemonSet ztunnel", "spec.template.spec.containers", "istiod-" + revision + ".istio-system.svc:15012"},
			{"ztunnel", "ztunnel", "DaemonSet ztunnel", "spec.template.spec.containers", "docker.io/istio/ztunnel:" + version},
		} {
			rel, values := releaseNamed(t, accepted(t, in), tc.release)
			objects := render(t, testcharts.Upstream(t, tc.chart, version), rel, values)
			got, _ := lookup(objects[tc.object], tc.path)
			if !strings.Contains(asText(got)+string(rawValues(got).Raw), tc.want) {
				t.Errorf("%s %s: %s of %s lacks %q: %v", tc.chart, version, tc.path, tc.object, tc.want, got)
			}
		}
	}
	in := flannel(linkerd(meshPlugin))
	rel, values := releaseNamed(t, accepted(t, in), "linkerd")
	// The component controller fills these in.
	values = MergeValues(values, map[string]any{"identityTrustAnchorsPEM": "ANCHOR", "proxyInjector": map[string]any{"caBundle": "CA"},
		"profileValidator": map[string]any{"caBundle": "CA"}, "policyValidator": map[string]any{"caBundle": "CA"}})
	first := render(t, testcharts.Upstream(t, "linkerd-control-plane", "2026.8.3"), rel, values)
	again := render(t, testcharts.Upstream(t, "linkerd-control-plane", "2026.8.3"), rel, values)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("two renderings differ:\n%s", diff)
	}
	for name := range first {
		if strings.HasPrefix(name, "Secret ") || strings.HasPrefix(name, "CronJob ") {
			t.Errorf("the chart renders %s", name)
		}
	}
}

func asText(v any) string {
	s, _ := v.(string)
	return s
}
