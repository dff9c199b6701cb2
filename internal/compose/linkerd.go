package compose

import (
	"fmt"
	"net/netip"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// Component types of Linkerd, and their names in the catalogue.
const (
	TypeLinkerdCRDs = "LinkerdCRDs"
	TypeLinkerd     = "Linkerd"
	TypeLinkerdCNI  = "LinkerdCNI"
)

// Names of Linkerd's components.
const (
	nameLinkerdCRDs = "linkerd-crds"
	nameLinkerd     = "linkerd"
	nameLinkerdCNI  = "linkerd-cni"
)

// stageLinkerdCNI is before the control plane, whose own pods are in the mesh.
const stageLinkerdCNI = 71

// Secrets of Linkerd's certificates. The names of all but the authorities are the chart's own.
const (
	linkerdAnchor    = "linkerd-identity-trust-anchor"
	linkerdIssuer    = "linkerd-identity-issuer"
	linkerdWebhookCA = "linkerd-webhook-ca"
)

// Lifetimes of what proxies' identities rest on. A new anchor has every proxy restarted, a new issuer none.
const (
	linkerdAnchorValidity = 10 * 365 * day
	linkerdIssuerValidity = 90 * day
)

// linkerdHA is from how many replicas on the control plane is spread over nodes.
const linkerdHA = 3

var linkerdPath = meshPath.Child("linkerd")

// linkerdSpec is the user's block; never nil.
func (s *state) linkerdSpec() *networkstackv1alpha1.LinkerdSpec {
	if s.spec.Mesh == nil || s.spec.Mesh.Linkerd == nil {
		return &networkstackv1alpha1.LinkerdSpec{}
	}
	return s.spec.Mesh.Linkerd
}

// validateLinkerd refuses what Linkerd cannot do.
func (s *state) validateLinkerd(m *networkstackv1alpha1.MeshSpec) {
	id := s.meshIdentity()
	for _, f := range []struct{ key, value string }{{"meshID", id.MeshID}, {"clusterName", id.ClusterName}, {"network", id.Network}} {
		if f.value != "" {
			s.refuse(ruleLinkerdIdentity, field.Forbidden(meshPath.Child("identity", f.key), "Linkerd has no such name: remove it"))
		}
	}
	if name := s.linkerdSpec().IssuerSecretName; name != "" && name != linkerdIssuer {
		s.refuse(ruleLinkerdIssuerName, field.NotSupported(linkerdPath.Child("issuerSecretName"), name, []string{linkerdIssuer}))
	}
	if s.linkerdSpec().IssuerSecretName != "" && id.RootSecretName != "" {
		s.refuse(ruleLinkerdIssuer, field.Forbidden(meshPath.Child("identity", "rootSecretName"),
			"somebody else keeps the issuer (linkerd.issuerSecretName), so that nothing is made from a root: remove one of the two"))
	}
	if !s.mesh.cniPlugin && s.linkerdSpec().CNI != nil {
		s.refuse(ruleLinkerdCNI, field.Forbidden(linkerdPath.Child("cni"), "there is no CNI plugin: remove it, or set cniPlugin to Enabled"))
	}
	if s.mesh.cniPlugin && s.managesMultus() {
		s.warn(ruleLinkerdMultus, meshPath.Child("cniPlugin"),
			"Linkerd's plugin chains itself into the first configuration of the directory, which may be Multus's own: use Disabled, or try it before")
	}
	if m.Replicas != nil && *m.Replicas == 2 {
		s.warn(ruleLinkerdReplicas, meshPath.Child("replicas"), "Linkerd is run with one replica or with three, which are spread over nodes: use 3")
	}
	if s.has(ipv4) && s.has(ipv6) {
		s.warn(ruleLinkerdDualStack, meshPath, "Linkerd uses the IPv6 endpoints alone of Services with both families: make sure that pods listen there")
	}
	if spec, there := s.existing[nameLinkerd]; there {
		values, err := ParseValues(spec.DerivedValues)
		if was := text(values, "identityTrustDomain"); err == nil && was != "" && was != s.mesh.trust {
			s.refuse(ruleLinkerdTrust, field.Invalid(meshPath.Child("identity", "trustDomain"), s.mesh.trust, fmt.Sprintf(
				"the mesh has trust domain %s, and no proxy would trust the others until all have restarted: keep it, or remove the mesh first", was)))
		}
	}
}

// linkerdReleases are the charts of Linkerd, in the order of their installation.
func (s *state) linkerdReleases() []Release {
	m := s.spec.Mesh
	crds := s.meshPart(nameLinkerdCRDs, TypeLinkerdCRDs, stageMeshBase, linkerdPath.Child("crds"), s.meshSettings(nil),
		s.linkerdCRDValues())
	needs := []string{nameLinkerdCRDs}
	out := []Release{crds}
	if s.mesh.cniPlugin {
		settings := s.meshSettings(s.linkerdSpec().CNI)
		settings.Namespace = "" // it has one of its own
		cni := s.meshPart(nameLinkerdCNI, TypeLinkerdCNI, stageLinkerdCNI, linkerdPath.Child("cni"), settings, s.linkerdCNIValues())
		cni.Needs = []string{nameLinkerdCRDs}
		out = append(out, cni)
		needs = append(needs, nameLinkerdCNI)
	}
	control := s.meshSettings(nil)
	control.Values, control.ValuesFrom = m.Values, m.ValuesFrom
	linkerd := s.release(nameLinkerd, TypeLinkerd, stageMeshControl, meshPath, control, s.linkerdValues())
	needs = append(needs, s.gatewayAPIComponents()...)
	linkerd.Needs = needs
	return append(out, linkerd)
}

func (s *state) linkerdCRDValues() *valuesBuilder {
	b := newValues(nameLinkerdCRDs)
	b.set("installGatewayAPI", false, "the Gateway API's definitions are not Linkerd's")
	return b
}

// linkerdValues are those of the control plane.
func (s *state) linkerdValues() *valuesBuilder {
	b := newValues(nameLinkerd)
	b.set("clusterDomain", s.dnsDomain(), "the cluster's DNS domain")
	b.control("identityTrustDomain", meshPath.Child("identity", "trustDomain").String(), s.mesh.trust, "identities end with it")
	b.set("clusterNetworks", s.linkerdNetworks(), "the usual private ranges, and those of pods and Services")
	b.set("disableIPv6", !s.has(ipv6), "IPv6 is a family of the cluster, or not")
	b.control("cniEnabled", meshPath.Child("cniPlugin").String(), s.mesh.cniPlugin, "cniPlugin is %s", toggle(s.mesh.cniPlugin))
	b.set("disableHeartBeat", true, "nothing is reported to anybody outside, and the chart would take the time of day for its schedule")
	by := meshPath.Child("replicas").String()
	if s.spec.Mesh.Replicas != nil {
		b.control("controllerReplicas", by, s.mesh.replicas, "replicas")
	} else {
		b.set("controllerReplicas", s.mesh.replicas, "three where there are three nodes, else one")
	}
	if s.mesh.replicas >= linkerdHA {
		const reason = "the control plane has three replicas or more"
		b.set("enablePodAntiAffinity", true, reason)
		b.set("enablePodDisruptionBudget", true, reason)
		b.set("highAvailability", true, reason)
		// By the chart's own 25 percent no pod of three may be missing, and on three nodes there is no room for a fourth.
		b.set("deploymentStrategy.rollingUpdate.maxUnavailable", 1, "replicas of which no two share a node are replaced one by one")
	}
	const policy = "proxy.defaultInboundPolicy"
	mtls := meshPath.Child("mtls").String()
	switch s.spec.Mesh.MTLS {
	case networkstackv1alpha1.MTLSStrict:
		b.control(policy, mtls, "all-authenticated", "mtls is Strict")
	case networkstackv1alpha1.MTLSPermissive:
		b.control(policy, mtls, "all-unauthenticated", "mtls is Permissive")
	}
	s.linkerdIdentity(b)
	s.linkerdWebhooks(b)
	s.linkerdTracing(b)
	return b
}

// linkerdIdentity says where the issuer of identities comes from.
func (s *state) linkerdIdentity(b *valuesBuilder) {
	by := linkerdPath.Child("issuerSecretName").String()
	b.control("identity.issuer.scheme", by, "kubernetes.io/tls", "the issuer is in a Secret of its own, so that it is renewed without a change of the release")
	b.reserve("identity.issuer.tls", by)
	if s.linkerdSpec().IssuerSecretName != "" {
		b.control("identity.externalCA", by, true, "whoever keeps the issuer also writes the ConfigMap linkerd-identity-trust-roots")
		return
	}
	b.control("identity.externalCA", by, false, "the operator makes the trust anchor")
	b.reserve("identityTrustAnchorsPEM", by)
	id := s.meshIdentity()
	root := networkstackv1alpha1.Certificate{
		SecretName: linkerdAnchor, CommonName: "root.linkerd." + s.mesh.trust, Validity: metav1.Duration{Duration: linkerdAnchorValidity},
		BundleValue: "identityTrustAnchorsPEM",
	}
	if id.RootSecretName != "" {
		root.SecretName, root.External = id.RootSecretName, true
	}
	name := "identity." + s.mesh.namespace + "." + s.mesh.trust
	b.certificates = append(b.certificates, root, networkstackv1alpha1.Certificate{
		SecretName: linkerdIssuer, CASecretName: root.SecretName, Authority: true,
		CommonName: name, DNSNames: []string{name}, Validity: metav1.Duration{Duration: linkerdIssuerValidity},
	})
	s.note(linkerdPath.Child("issuerSecretName"), linkerdIssuer, "made by the operator, and renewed when two thirds of its time are over")
}

// linkerdWebhooks has certificates that do not change with every rendering.
func (s *state) linkerdWebhooks(b *valuesBuilder) {
	b.certificates = append(b.certificates, networkstackv1alpha1.Certificate{
		SecretName: linkerdWebhookCA, CommonName: "Linkerd webhooks", Validity: metav1.Duration{Duration: authorityValidity},
	})
	for _, w := range []struct{ key, name string }{
		{"proxyInjector", "proxy-injector"}, {"profileValidator", "sp-validator"}, {"policyValidator", "policy-validator"},
	} {
		at := meshPath.String()
		b.control(w.key+".externalSecret", at, true, "the operator makes the certificate; the chart would make another one with every rendering")
		for _, key := range []string{"crtPEM", "keyPEM", "caBundle", "injectCaFrom", "injectCaFromSecret"} {
			b.reserve(w.key+"."+key, at)
		}
		host := "linkerd-" + w.name + "." + s.mesh.namespace + ".svc"
		b.certificates = append(b.certificates, networkstackv1alpha1.Certificate{
			SecretName: "linkerd-" + w.name + "-k8s-tls", CASecretName: linkerdWebhookCA, CommonName: host, DNSNames: []string{host},
			Usages:   []networkstackv1alpha1.CertificateUsage{networkstackv1alpha1.UsageServerAuth},
			Validity: metav1.Duration{Duration: leafValidity}, BundleValue: w.key + ".caBundle",
		})
	}
}

// usualNetworks are the ranges that Linkerd takes for the cluster's by itself.
var usualNetworks = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fd00::/8"),
}

// linkerdNetworks are ranges that hold every pod and every Service.
func (s *state) linkerdNetworks() string {
	list := append([]netip.Prefix{}, usualNetworks...)
	add := func(p netip.Prefix) {
		for _, known := range list {
			if known.Bits() <= p.Bits() && known.Contains(p.Addr()) {
				return
			}
		}
		list = append(list, p)
	}
	for _, p := range s.pools {
		add(p.prefix)
	}
	for _, p := range s.services {
		add(p)
	}
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].String()
	}
	return strings.Join(out, ",")
}

// meshDirectories are where the nodes have configurations and plugins, for charts that have no settings for distributions.
func (s *state) meshDirectories(b *valuesBuilder, conf, bin string) {
	p := s.primaryConfiguration()
	if d, has := cniDirectories[s.facts.Distribution]; has {
		b.set(conf, d.conf, "where %s has it", s.facts.Distribution)
		b.set(bin, d.bin, "where %s has it", s.facts.Distribution)
	}
	if p.dir != "" {
		b.set(conf, p.dir, "where %s has its configuration", s.cni)
	}
	if p.bin != "" {
		b.set(bin, p.bin, "where %s has its plugin", s.cni)
	}
}

// cniDirectories are where a distribution has the configurations and the plugins.
var cniDirectories = map[facts.Distribution]struct{ conf, bin string }{
	facts.DistributionK3s: {"/var/lib/rancher/k3s/agent/etc/cni/net.d", "/var/lib/rancher/k3s/data/cni"},
	facts.DistributionGKE: {"/etc/cni/net.d", "/home/kubernetes/bin"},
}

func (s *state) linkerdCNIValues() *valuesBuilder {
	b := newValues(nameLinkerdCNI)
	s.meshDirectories(b, "destCNINetDir", "destCNIBinDir")
	b.set("disableIPv6", !s.has(ipv6), "IPv6 is a family of the cluster, or not")
	b.set("repairController.enabled", true, "restarts pods that were faster than the plugin, and bypass the mesh")
	b.set("priorityClassName", "system-node-critical", "no pod of the mesh starts on a node without it")
	return b
}
