package compose

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// Component types of Consul, and their names in the catalogue.
const (
	TypeConsul          = "Consul"
	TypeConsulResources = "ConsulResources"
)

// Names of Consul's components.
const (
	nameConsul          = "consul"
	nameConsulResources = "consul-resources"
)

// consulInject is the label of namespaces that has Consul look at their pods. It is spelt as Consul's annotation of pods is.
const consulInject = "consul.hashicorp.com/connect-inject"

// Secrets of Consul. All but the authority have the names and keys that the chart itself would choose.
const (
	consulAuthority  = "consul-ca"
	consulServerCert = "consul-server-cert"
	consulGossipKey  = "consul-gossip-encryption-key"
	consulToken      = "consul-bootstrap-acl-token"
)

// consulAuthorityValidity is long: a new authority has every pod of the mesh restarted.
const consulAuthorityValidity = 10 * 365 * day

const (
	// consulServers is how many servers there are where they can be spread over nodes.
	consulServers = 3
	// consulDatacenter and consulDomain are those that the chart has, too.
	consulDatacenter, consulDomain = "dc1", "consul"
	// consulOldest is the oldest version whose chart goes with a Gateway API of the present.
	consulOldest = "2.0.0"
)

// consulHostPorts is the value of the chart that has servers on ports of their nodes.
const consulHostPorts = "server.exposeGossipAndRPCPorts"

var consulPath = meshPath.Child("consul")

// consulSpec is the user's block; never nil.
func (s *state) consulSpec() *networkstackv1alpha1.ConsulSpec {
	if s.spec.Mesh == nil || s.spec.Mesh.Consul == nil {
		return &networkstackv1alpha1.ConsulSpec{}
	}
	return s.spec.Mesh.Consul
}

// consulServerSpec is what the user says of the servers; never nil.
func (s *state) consulServerSpec() *networkstackv1alpha1.ConsulServers {
	if c := s.consulSpec(); c.Servers != nil {
		return c.Servers
	}
	return &networkstackv1alpha1.ConsulServers{}
}

// consulPlan is what is settled of Consul.
type consulPlan struct {
	servers                int64
	tls, acls, transparent bool
	datacenter             string
}

// deriveConsul settles what Consul is to be.
func (s *state) deriveConsul() {
	c, p := s.consulSpec(), &s.mesh.consul
	settle := func(name string, value networkstackv1alpha1.Toggle, reason string) bool {
		if value == "" {
			s.note(consulPath.Child(name), networkstackv1alpha1.Enabled, "default: %s", reason)
		}
		return value != networkstackv1alpha1.Disabled
	}
	p.tls = settle("tls", c.TLS, "the servers are spoken to over TLS")
	p.acls = settle("acls", c.ACLs, "nothing is allowed without a token")
	p.transparent = settle("transparentProxy", c.TransparentProxy, "pods need not know of their proxies")
	p.datacenter = s.meshIdentity().ClusterName
	if p.datacenter == "" {
		p.datacenter = consulDatacenter
		s.note(meshPath.Child("identity", "clusterName"), p.datacenter, "default: the name of the datacenter")
	}
	if n := s.consulServerSpec().Replicas; n != nil {
		p.servers = int64(*n)
	} else {
		n, reason := int64(1), "there are fewer nodes than the three that servers are spread over"
		if len(s.linux) >= consulServers {
			n, reason = consulServers, "they are spread over nodes, and one may fail"
		}
		if was, there := s.consulWas("server.replicas"); there {
			if had, ok := was.(int64); ok {
				n, reason = had, "as many as there are"
			}
		}
		p.servers = n
		s.note(consulPath.Child("servers", "replicas"), n, "%s", reason)
	}
}

// consulWantsPlugin says whether pods of Consul's mesh cannot redirect their traffic themselves.
func (s *state) consulWantsPlugin() bool {
	return s.spec.Mesh.Type == networkstackv1alpha1.MeshConsul && s.facts.Distribution == facts.DistributionOpenShift &&
		s.consulSpec().TransparentProxy != networkstackv1alpha1.Disabled
}

// consulWas is a value of the Consul that there is.
func (s *state) consulWas(path string) (any, bool) {
	spec, there := s.existing[nameConsul]
	if !there || spec.Type != TypeConsul {
		return nil, false
	}
	values, err := ParseValues(spec.DerivedValues)
	if err != nil {
		return nil, false
	}
	return lookup(values, path)
}

// validateConsul refuses what Consul cannot do.
func (s *state) validateConsul() {
	id, p := s.meshIdentity(), &s.mesh.consul
	for _, f := range []struct{ key, value string }{{"meshID", id.MeshID}, {"network", id.Network}, {"trustDomain", id.TrustDomain}} {
		if f.value != "" {
			s.refuse(ruleConsulIdentity, field.Forbidden(meshPath.Child("identity", f.key), "Consul has no such name, or makes it itself: remove it"))
		}
	}
	if id.RootSecretName != "" && !p.tls {
		s.refuse(ruleConsulRoot, field.Forbidden(meshPath.Child("identity", "rootSecretName"),
			"with consul.tls Disabled no certificate is made from it: remove it, or set tls to Enabled"))
	}
	if v := parseVersion(s.mesh.version); v != nil && v.LessThan(parseVersion(consulOldest)) {
		s.refuse(ruleConsulOld, field.Invalid(meshPath.Child("version"), s.mesh.version,
			"the operator knows the charts of 2.0 and newer, which go with a Gateway API of the present: use one of these"))
	}
	if s.mesh.cniPlugin && !p.transparent {
		s.refuse(ruleConsulPlugin, field.Invalid(meshPath.Child("cniPlugin"), networkstackv1alpha1.Enabled,
			"with consul.transparentProxy Disabled there is no traffic to redirect: remove one of the two"))
	}
	if s.spec.Mesh.MTLS == networkstackv1alpha1.MTLSPermissive && !p.transparent {
		s.refuse(ruleConsulPermissive, field.Invalid(meshPath.Child("mtls"), networkstackv1alpha1.MTLSPermissive,
			"plaintext gets to pods by their transparent proxies, and consul.transparentProxy is Disabled: remove one of the two"))
	}
	if s.consulMultus() && s.managesMultus() {
		s.warn(ruleConsulMultus, meshPath.Child("cniPlugin"), "beside Multus Consul's plugin is an attachment, which pods of the mesh have to name: "+
			`annotate them with k8s.v1.cni.cncf.io/networks: '[{"name": "consul-cni", "namespace": %q}]'`, s.mesh.namespace)
	}
	s.validateConsulServers()
	if spec, there := s.existing[nameConsul]; there && spec.Type == TypeConsul {
		s.judgeStep(TypeConsul, s.catalog[TypeConsul], meshPath, parseVersion(spec.Chart.Version), s.mesh.version)
		s.validateConsulChanges()
	}
}

// validateConsulServers wants servers that can come up and agree.
func (s *state) validateConsulServers() {
	path := consulPath.Child("servers", "replicas")
	n := s.mesh.consul.servers
	switch {
	case n < 1 || n > 7 || n%2 == 0:
		s.refuse(ruleConsulServers, field.NotSupported(path, n, []string{"1", "3", "5", "7"}))
		return
	case n == 1 && len(s.linux) >= consulServers:
		s.warn(ruleConsulOneServer, path, "while the one server is away nothing of the mesh changes, and its volume has all there is: use 3")
	}
	if _, own := lookup(s.userValues[meshPath.String()], "server.affinity"); !own && s.withFacts && n > int64(len(s.linux)) {
		s.refuse(ruleConsulNodes, field.Invalid(path, n, fmt.Sprintf(
			"no two servers share a node, and there are %d nodes for them: use fewer, or say otherwise in values.server.affinity", len(s.linux))))
	}
	was, _ := s.consulWas("server.replicas")
	if had, ok := was.(int64); ok && n <= had/2 {
		s.refuse(ruleConsulReduced, field.Invalid(path, n, fmt.Sprintf(
			"there are %d servers, and fewer than %d are no majority of them: keep them, or take away less at a time", had, had/2+1)))
	}
}

// validateConsulChanges refuses to change what a Consul that runs cannot change.
func (s *state) validateConsulChanges() {
	p := &s.mesh.consul
	for _, t := range []struct {
		name, value string
		now         bool
	}{{"tls", "global.tls.enabled", p.tls}, {"acls", "global.acls.manageSystemACLs", p.acls}} {
		if was, there := s.consulWas(t.value); there && was != t.now {
			s.refuse(ruleConsulToggled, field.Invalid(consulPath.Child(t.name), toggle(t.now), fmt.Sprintf(
				"Consul runs with it %s, and servers that have it would not agree with those that do not yet: keep it, or remove the mesh first", toggle(!t.now))))
		}
	}
	if was, there := s.consulWas("global.datacenter"); there && was != p.datacenter {
		s.refuse(ruleConsulDatacenter, field.Invalid(meshPath.Child("identity", "clusterName"), p.datacenter, fmt.Sprintf(
			"the datacenter is %v, and servers keep its name in what they store: keep it, or remove the mesh first", was)))
	}
	servers := s.consulServerSpec()
	for _, v := range []struct{ key, path, now string }{
		{"storage", "server.storage", quantity(servers.Storage)}, {"storageClassName", "server.storageClass", servers.StorageClassName},
	} {
		was, _ := s.consulWas(v.path)
		if before, _ := was.(string); before != v.now {
			s.refuse(ruleConsulStorage, field.Invalid(consulPath.Child("servers", v.key), v.now, fmt.Sprintf(
				"volume claims that are there do not change with it (now %q): keep it, and change the claims themselves", before)))
		}
	}
}

func quantity(q *resource.Quantity) string {
	if q == nil {
		return ""
	}
	return q.String()
}

// consulMultus says whether Consul's plugin is an attachment of Multus, and not chained behind the network plugin. On OpenShift that
// is the way in any case.
func (s *state) consulMultus() bool {
	return s.mesh.typ == networkstackv1alpha1.MeshConsul && s.mesh.cniPlugin &&
		(s.managesMultus() || s.facts.Distribution == facts.DistributionOpenShift)
}

// consulReleases are Consul, and what belongs to its mesh as a whole.
func (s *state) consulReleases() []Release {
	m := s.spec.Mesh
	settings := s.meshSettings(nil)
	settings.Values, settings.ValuesFrom = m.Values, m.ValuesFrom
	consul := s.release(nameConsul, TypeConsul, stageMeshControl, meshPath, settings, s.consulValues())
	consul.Needs = s.gatewayAPIComponents()
	if s.mesh.cniPlugin && s.managesMultus() {
		consul.Needs = append(consul.Needs, nameMultus) // which brings the kind of attachments
	}
	out := []Release{consul}
	if b := s.consulResourcesValues(); len(b.values) > 0 {
		own := networkstackv1alpha1.ComponentSettings{Namespace: m.Namespace, DriftMode: m.DriftMode, Suspend: m.Suspend}
		resources := s.release(nameConsulResources, TypeConsulResources, stageMeshResources, consulPath.Child("resources"), own, b)
		resources.Needs = []string{nameConsul}
		out = append(out, resources)
	}
	return out
}

// consulValues are those of upstream's chart.
func (s *state) consulValues() *valuesBuilder {
	b := newValues(nameConsul)
	p := &s.mesh.consul
	b.control("global.name", meshPath.String(), nameConsul, "names of objects, of Secrets and in certificates begin with it")
	b.control("global.datacenter", meshPath.Child("identity", "clusterName").String(), p.datacenter, "the name of this cluster")
	b.set("global.dualStack.enabled", s.has(ipv6), "IPv6 is a family of the cluster, or not")
	if s.facts.Distribution == facts.DistributionOpenShift {
		b.set("global.openshift.enabled", true, "the nodes are those of OpenShift")
	}
	s.consulServerValues(b)
	s.consulSecrets(b)
	s.consulInjection(b)
	s.consulMetricsValues(b)
	by := specPath.Child("gatewayAPI").String()
	b.control("connectInject.apiGateway.manageExternalCRDs", by, false, "the Gateway API's definitions are not Consul's")
	b.control("connectInject.apiGateway.manageNonStandardCRDs", by, false, "the Gateway API's definitions are not Consul's")
	b.set("global.crds.enableTcpRoute", s.gateway.channel == facts.GatewayExperimental,
		"TCPRoutes are read in a version that the experimental channel has alone")
	return b
}

func (s *state) consulServerValues(b *valuesBuilder) {
	p, servers := &s.mesh.consul, s.consulServerSpec()
	path := consulPath.Child("servers")
	b.control("server.replicas", path.Child("replicas").String(), p.servers, "servers of which more than half have to be there")
	b.reserve("server.bootstrapExpect", path.Child("replicas").String())
	if servers.Storage != nil {
		b.control("server.storage", path.Child("storage").String(), servers.Storage.String(), "storage")
	} else {
		b.reserve("server.storage", path.Child("storage").String())
	}
	if servers.StorageClassName != "" {
		b.control("server.storageClass", path.Child("storageClassName").String(), servers.StorageClassName, "from storageClassName")
	} else {
		b.reserve("server.storageClass", path.Child("storageClassName").String())
	}
	const claims = "server.persistentVolumeClaimRetentionPolicy"
	if servers.VolumeClaims == networkstackv1alpha1.ClaimsDelete {
		b.control(claims, path.Child("volumeClaims").String(), map[string]any{"whenDeleted": "Delete", "whenScaled": "Retain"},
			"volumeClaims is Delete")
	} else {
		b.reserve(claims, path.Child("volumeClaims").String())
	}
	if p.tls {
		b.set("server.extraConfig", `{"auto_reload_config": true}`, "servers take certificates that were renewed without a restart")
	}
}

// consulSecrets has keys and certificates made here: the chart's Jobs would make them once, and never again.
func (s *state) consulSecrets(b *valuesBuilder) {
	p, at := &s.mesh.consul, consulPath.String()
	b.control("global.gossipEncryption.autoGenerate", at, false, "the operator makes the key")
	b.control("global.gossipEncryption.secretName", at, consulGossipKey, "the operator makes the key")
	b.control("global.gossipEncryption.secretKey", at, "key", "the operator makes the key")
	b.generated = append(b.generated, networkstackv1alpha1.GeneratedSecret{
		SecretName: consulGossipKey, Kind: networkstackv1alpha1.SecretGossipKey,
	})

	at = consulPath.Child("acls").String()
	b.control("global.acls.manageSystemACLs", at, p.acls, "acls is %s", toggle(p.acls))
	if p.acls {
		b.control("global.acls.bootstrapToken.secretName", at, consulToken, "the operator makes the token")
		b.control("global.acls.bootstrapToken.secretKey", at, "token", "the operator makes the token")
		token := networkstackv1alpha1.GeneratedSecret{SecretName: consulToken, Kind: networkstackv1alpha1.SecretToken}
		b.generated = append(b.generated, token)
	} else {
		b.reserve("global.acls.bootstrapToken", at)
	}

	at = consulPath.Child("tls").String()
	b.control("global.tls.enabled", at, p.tls, "tls is %s", toggle(p.tls))
	b.reserve("global.tls.caKey", at)
	if !p.tls {
		b.reserve("global.tls.caCert", at)
		b.reserve("server.serverCert", at)
		return
	}
	const reason = "the operator makes the certificates, and renews them"
	b.control("server.serverCert.secretName", at, consulServerCert, reason)
	// What is to be trusted is beside the certificate, of whoever the authority is.
	b.control("global.tls.caCert.secretName", at, consulServerCert, reason)
	b.control("global.tls.caCert.secretKey", at, "ca.crt", reason)
	b.control("global.tls.enableAutoEncrypt", at, false, "there are no agents on the nodes that would get certificates so")
	root := networkstackv1alpha1.Certificate{
		SecretName: consulAuthority, CommonName: "Consul CA", Validity: metav1.Duration{Duration: consulAuthorityValidity},
	}
	if name := s.meshIdentity().RootSecretName; name != "" {
		root.SecretName, root.External = name, true
	}
	b.certificates = append(b.certificates, root, networkstackv1alpha1.Certificate{
		SecretName: consulServerCert, CASecretName: root.SecretName, CommonName: "server." + p.datacenter + "." + consulDomain,
		DNSNames: s.consulNames(), IPAddresses: []string{"127.0.0.1", "::1"}, Validity: metav1.Duration{Duration: leafValidity},
		Usages: []networkstackv1alpha1.CertificateUsage{networkstackv1alpha1.UsageServerAuth, networkstackv1alpha1.UsageClientAuth},
	})
}

// consulNames are the names by which servers are called, and by which they know each other.
func (s *state) consulNames() []string {
	server := "server." + s.mesh.consul.datacenter + "." + consulDomain
	out := []string{"localhost", server, "*." + server}
	for _, suffix := range []string{"", "." + s.mesh.namespace, "." + s.mesh.namespace + ".svc"} {
		out = append(out, "consul-server"+suffix, "*.consul-server"+suffix)
	}
	return out
}

// consulInjection says which pods get proxies. The webhook is asked of all pods of the namespaces that it selects, and they cannot
// start without its answer, so it selects those of the mesh alone.
func (s *state) consulInjection(b *valuesBuilder) {
	p, selector := &s.mesh.consul, meshPath.Child("namespaceSelector").String()
	b.control("connectInject.enabled", meshPath.String(), true, "pods of the mesh get proxies")
	b.control("connectInject.default", selector, true, "all pods of a namespace in the mesh have proxies, unless they say that they have none")
	b.control("connectInject.namespaceSelector", selector, "matchLabels:\n  "+consulInject+": \"true\"\n",
		"namespaces are in the mesh by this label")
	by := meshPath.Child("replicas").String()
	if s.spec.Mesh.Replicas != nil {
		b.control("connectInject.replicas", by, s.mesh.replicas, "replicas")
	} else {
		b.set("connectInject.replicas", s.mesh.replicas, "a node can be drained while another replica serves, if there are several nodes")
	}
	b.control("connectInject.transparentProxy.defaultEnabled", consulPath.Child("transparentProxy").String(), p.transparent,
		"transparentProxy is %s", toggle(p.transparent))
	plugin := meshPath.Child("cniPlugin").String()
	b.control("connectInject.cni.enabled", plugin, s.mesh.cniPlugin, "cniPlugin is %s", toggle(s.mesh.cniPlugin))
	if !s.mesh.cniPlugin {
		return
	}
	if s.consulMultus() {
		b.control("connectInject.cni.multus", plugin, true, "the plugin is an attachment, and not chained into Multus's own configuration")
	}
	const conf, bin = "connectInject.cni.cniNetDir", "connectInject.cni.cniBinDir"
	if s.facts.Distribution == facts.DistributionOpenShift {
		b.set(conf, "/etc/kubernetes/cni/net.d", "where OpenShift has what is Multus's")
		b.set(bin, "/var/lib/cni/bin", "where OpenShift has plugins")
	}
	s.meshDirectories(b, conf, bin)
}

// consulResourcesValues are those of our own chart; without any there is nothing for it to do.
func (s *state) consulResourcesValues() *valuesBuilder {
	b := newValues(nameConsulResources)
	if mode := s.spec.Mesh.MTLS; mode != "" {
		b.control("mtls", meshPath.Child("mtls").String(), strings.ToLower(string(mode)), "mtls of the whole mesh")
	}
	if config := s.consulTracing(); config != nil {
		b.control("config", tracingPath.String(), config, "from observability.tracing")
	}
	return b
}

// hasConsulPlugin says whether the Consul that there is has its CNI plugin on the nodes.
func (s *state) hasConsulPlugin() bool {
	was, _ := s.consulWas("connectInject.cni.enabled")
	on, err := strconv.ParseBool(fmt.Sprint(was))
	return err == nil && on
}
