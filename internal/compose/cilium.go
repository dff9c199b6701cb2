package compose

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// ciliumKernel is the oldest kernel that Cilium is tested on since 1.18; RHEL 8.10's 4.18 is the exception.
var ciliumKernel = facts.Kernel{Major: 5, Minor: 10}

// ciliumEL8 is the oldest minor release of RHEL 8 that Cilium is tested on.
const ciliumEL8 = 10

// kubeProxyHealthPort is where load balancers ask kube-proxy, or what replaces it, for a node's health.
const kubeProxyHealthPort = 10256

// ciliumIPsecSecret is the Secret that the operator makes; the name is the chart's own default.
const ciliumIPsecSecret = "cilium-ipsec-keys" //nolint:gosec // a name, not a secret

// ciliumKeyFile is where Cilium's values say under which key of the Secret the keys are.
const ciliumKeyFile = "encryption.ipsec.keyFile"

// validateCilium refuses what Cilium cannot do.
func (s *state) validateCilium() {
	if len(s.families) > 0 && len(s.spec.IPPools) == 0 && s.withFacts {
		s.validateCiliumWithoutPools()
	}
	s.validateNativeRouting()
	s.validateCiliumValues()
	s.validateCiliumChange()
	s.warnOfOldKernels(ruleCiliumKernel, "Cilium", ciliumKernel, "5.10 (RHEL 8: 8.10)", ciliumEL8)
}

// validateCiliumWithoutPools: without pools Cilium needs the nodes' own ranges, for the chart's default pool
// 10.0.0.0/8 collides with most networks.
func (s *state) validateCiliumWithoutPools() {
	if len(s.linux) == 0 {
		s.refuse(rulePoolNotDerived, field.Required(poolsPath, "there are no nodes to take pod ranges from: state at least one pool for each IP family"))
		return
	}
	s.validateNodePodCIDRs(func(detail string) *field.Error { return field.Required(poolsPath, detail) },
		"without ipPools Cilium takes the nodes' spec.podCIDRs", ", or state ipPools")
	if s.poolsFromNodes && s.encapsulation == networkstackv1alpha1.EncapsulationNone {
		s.warn(ruleCiliumPoolDerived, poolsPath, "derived from the nodes there are, and restarts Cilium's agents when a new node widens it: state ipPools")
	}
}

// nativeRoutingKey is the chart's key for the range that is routed without masquerading.
func nativeRoutingKey(f networkstackv1alpha1.IPFamily) string {
	if f == ipv6 {
		return "ipv6NativeRoutingCIDR"
	}
	return "ipv4NativeRoutingCIDR"
}

// validateNativeRouting refuses native routing without the one range per family that masquerading needs.
func (s *state) validateNativeRouting() {
	if s.encapsulation != networkstackv1alpha1.EncapsulationNone || s.unmasqueraded() || s.ciliumJudged().masqueradesBlindly() {
		return
	}
	for _, f := range s.families {
		if n := len(s.poolsOf(f)); n > 1 && s.nat[f] {
			if v, _ := lookup(s.userValues[cniPath.String()], nativeRoutingKey(f)); v == nil || v == "" {
				s.refuse(ruleCiliumNativeRanges, field.Invalid(cniPath.Child("encapsulation"), s.encapsulation, fmt.Sprintf(
					"native routing needs one %s range that holds all pods, and ipPools has %d: use one CIDR, or set cni.values.%s to a range that holds them all",
					f, n, nativeRoutingKey(f))))
			}
		}
	}
}

// warnOfOldKernels warns of nodes that an agent may not start on. Distributions carry features back into older kernels, so
// this is no refusal.
func (s *state) warnOfOldKernels(rule warning, who string, oldest facts.Kernel, text string, el8Oldest int) {
	var old []string
	for _, n := range s.linux {
		k, ok := facts.ParseKernel(n.KernelVersion)
		if !ok || !k.Older(oldest) {
			continue
		}
		if minor, el8 := el8Minor(n.KernelVersion); el8 && minor >= el8Oldest {
			continue
		}
		old = append(old, n.Name)
	}
	if len(old) > 0 {
		s.warn(rule, cniPath.Child("type"), "%s %s a kernel older than %s, which %s is not tested with",
			nodeList(old), verb(old, "has", "have"), text, who)
	}
}

// ciliumValues are the chart values of Cilium.
func (s *state) ciliumValues() *valuesBuilder {
	b := newValues("cilium")
	s.ciliumAddresses(b)
	s.ciliumRouting(b)
	s.ciliumServices(b)
	s.ciliumDNSRedirect(b)
	s.ciliumEncryption(b)
	s.ciliumOperations(b)
	s.ciliumSecondary(b)
	s.ciliumMesh(b)
	s.ciliumMultiPool(b)
	s.ciliumBGP(b)
	s.ciliumBandwidth(b)
	s.ciliumFlowLogs(b)
	s.ciliumGatewayValues(b)
	s.ciliumLoadBalancer(b)
	s.ciliumIngress(b)
	return b
}

func (s *state) ciliumAddresses(b *valuesBuilder) {
	const by = "spec.ipPools"
	for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
		if s.has(f) {
			b.control(familyKey(f)+".enabled", "spec.ipFamilies", true, "%s is one of ipFamilies", f)
		} else {
			b.control(familyKey(f)+".enabled", "spec.ipFamilies", false, "%s is not one of ipFamilies", f)
		}
		list, size := "ipam.operator.clusterPool"+string(f)+"PodCIDRList", "ipam.operator.clusterPool"+string(f)+"MaskSize"
		prefixes := s.poolsOf(f)
		if s.poolsFromNodes || s.multiPool() || len(prefixes) == 0 || !s.has(f) {
			b.reserve(list, by)
			b.reserve(size, by)
			continue
		}
		b.control(list, by, anyList(prefixes), "the %s CIDRs of ipPools", f)
		if mask, ok := s.masks[f]; ok {
			b.control(size, by, mask, "the range of one node, from ipPools.nodeMaskSizes")
		} else {
			b.reserve(size, by)
		}
	}
	switch {
	case s.multiPool(): // ciliumMultiPool
	case s.poolsFromNodes:
		b.control("ipam.mode", by, "kubernetes", "without ipPools a node's pods take its spec.podCIDRs")
		for _, f := range s.families {
			b.set("k8s.require"+string(f)+"PodCIDR", true, "the agent waits until its node has a range")
		}
	default:
		b.control("ipam.mode", by, "cluster-pool", "ipPools are given")
	}
	for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
		key := "enable" + string(f) + "Masquerade"
		if s.has(f) {
			b.control(key, by, s.nat[f], "natOutgoing is %s", toggle(s.nat[f]))
		} else {
			b.reserve(key, by)
		}
	}
}

func (s *state) ciliumRouting(b *valuesBuilder) {
	const by = "spec.cni.encapsulation"
	if s.encapsulation == networkstackv1alpha1.EncapsulationNone {
		b.control("routingMode", by, "native", "encapsulation None")
		b.reserve("tunnelProtocol", by)
		if s.announcesPods() {
			b.set("autoDirectNodeRoutes", true, "nodes of one layer-2 segment route straight to each other")
			b.set("directRoutingSkipUnreachable", true, "the routers know by BGP where the pods of other segments are")
		} else {
			b.set("autoDirectNodeRoutes", true, "the nodes share one layer-2 segment, so each routes straight to the others")
		}
		for _, f := range s.families {
			if prefixes := s.poolsOf(f); len(prefixes) == 1 {
				b.set(nativeRoutingKey(f), prefixes[0].String(), "the %s range of the pods, which is routed without masquerading", f)
			}
		}
	} else {
		protocol := "vxlan"
		if s.encapsulation == networkstackv1alpha1.EncapsulationGeneve {
			protocol = "geneve"
		}
		b.control("routingMode", by, "tunnel", "encapsulation %s", s.encapsulation)
		b.control("tunnelProtocol", by, protocol, "encapsulation %s", s.encapsulation)
		// The tunnels' family decides the overhead, so it is not left to detection, unless the user leaves it to Cilium where there is
		// nothing to choose, as an installation of its own does.
		const underlay = "underlayProtocol"
		if v, left := lookup(s.userValues[cniPath.String()], underlay); left && v == "" && len(s.families) == 1 {
			b.set(underlay, familyKey(s.primary()), "the primary family, %s", s.primary())
		} else {
			b.control(underlay, "spec.ipFamilies", familyKey(s.primary()), "the primary family, %s", s.primary())
		}
	}
	if mtu := s.mtu.underlay(); mtu > 0 {
		b.control("MTU", "spec.mtu", mtu, "pods get %d; the agent subtracts %s from this value", s.mtu.pod, s.mtu.words())
	} else {
		b.reserve("MTU", "spec.mtu")
	}
}

func (s *state) ciliumServices(b *valuesBuilder) {
	const by = "spec.kubeProxy"
	if s.kubeProxyMode != networkstackv1alpha1.KubeProxyReplaced {
		b.control("kubeProxyReplacement", by, "false", "kubeProxy.mode is %s", s.kubeProxyMode)
		return
	}
	b.control("kubeProxyReplacement", by, "true", "kubeProxy.mode is Replaced")
	const api = "spec.cluster.apiServer"
	b.reserve("k8sServiceHostRef", api) // the chart refuses it beside k8sServiceHost
	if s.endpoint.Host != "" {
		b.control("k8sServiceHost", api, s.endpoint.Host, "%s; without kube-proxy Cilium may not depend on a Service", s.endpointReason())
		b.control("k8sServicePort", api, int64(s.endpoint.Port), "%s", s.endpointReason())
	} else {
		b.reserve("k8sServiceHost", api)
		b.reserve("k8sServicePort", api)
	}
	b.set("kubeProxyReplacementHealthzBindAddr",
		netip.AddrPortFrom(netip.MustParseAddr(bindAll(s.primary())), kubeProxyHealthPort).String(),
		"load balancers ask the port of kube-proxy for a node's health")
	if !s.keepsSocketLB() {
		b.set(socketLBKey, true, "keeps pods' connections visible to service meshes; harmless without one")
	}
}

// socketLBKey is where Cilium's chart is told to leave pods' connections alone.
const socketLBKey = "socketLB.hostNamespaceOnly"

// keepsSocketLB says whether a Cilium that was there before goes on without a word about it, as it did, for its chart tells what is off
// from what is not said.
func (s *state) keepsSocketLB() bool {
	if s.mesh.typ != "" {
		return false
	}
	if previous, known := s.existing[nameCilium]; known {
		values, err := ParseValues(previous.DerivedValues)
		_, said := lookup(values, socketLBKey)
		return err == nil && ReplacesKubeProxy(&previous) && !said
	}
	ours, others := s.installed(string(networkstackv1alpha1.CNICilium))
	return ours == nil && slices.ContainsFunc(others, func(i *facts.Installed) bool {
		if i.Found == nil {
			return true
		}
		_, said := i.Found.Data[facts.CiliumSocketLBKey]
		return !said
	})
}

// ipsecSecret is the Secret with the user's own IPsec keys; empty when the operator is to make one.
func (s *state) ipsecSecret() string {
	name := ""
	if e := s.spec.CNI.Encryption; e != nil && e.IPsec != nil {
		name = e.IPsec.SecretName
	}
	if s.makes(nameCilium, ciliumIPsecSecret) && (name == "" || name == ciliumIPsecSecret) {
		return "" // to name it takes nothing away
	}
	if file, _ := lookup(s.userValues[cniPath.String()], ciliumKeyFile); file != nil {
		// Who says where in a Secret the keys are has made it.
		return cmp.Or(name, ciliumIPsecSecret)
	}
	return name
}

// makes says whether a Secret is made for a component that is there.
func (s *state) makes(component, secret string) bool {
	return slices.ContainsFunc(s.existing[component].GeneratedSecrets, func(g networkstackv1alpha1.GeneratedSecret) bool {
		return g.SecretName == secret
	})
}

func (s *state) ciliumEncryption(b *valuesBuilder) {
	const by = "spec.cni.encryption"
	b.control("encryption.enabled", by, s.encryption != networkstackv1alpha1.EncryptionNone, "encryption.type is %s", s.encryption)
	switch s.encryption {
	case networkstackv1alpha1.EncryptionWireGuard:
		b.control("encryption.type", by, "wireguard", "encryption.type is WireGuard")
		b.reserve("encryption.ipsec.secretName", by)
	case networkstackv1alpha1.EncryptionIPsec:
		b.control("encryption.type", by, "ipsec", "encryption.type is IPsec")
		if name := s.ipsecSecret(); name != "" {
			b.control("encryption.ipsec.secretName", by, name, "the Secret with your own keys")
			break
		}
		b.control("encryption.ipsec.secretName", by, ciliumIPsecSecret, "the operator makes the Secret")
		b.reserve(ciliumKeyFile, by)
		// The agents see a new key in the file that they mount, and accept the old one until keyRotationDuration is over.
		b.generated = []networkstackv1alpha1.GeneratedSecret{{
			SecretName: ciliumIPsecSecret, Kind: networkstackv1alpha1.SecretIPsecKeys, Rotation: s.spec.CNI.Encryption.Rotation,
		}}
	default:
		b.reserve("encryption.type", by)
		b.reserve("encryption.ipsec.secretName", by)
	}
}

func (s *state) ciliumOperations(b *valuesBuilder) {
	if minor, why := s.firstCilium(); minor != "" {
		b.set(ciliumCompatibility, minor, "%s, whose defaults stay", why)
	}
	b.set("rollOutCiliumPods", true, "a change of configuration reaches the agents only when they restart")
	b.set("operator.rollOutPods", true, "a change of configuration reaches the operator only when it restarts")
	// Two replicas may not share a node (required anti-affinity), so a second one would stay Pending.
	if len(s.linux) < 2 {
		b.set("operator.replicas", 1, "there are fewer than two nodes for replicas to spread over")
	} else {
		b.set("operator.replicas", 2, "the replicas run on different nodes")
	}
	s.ciliumHubble(b)
}

// ciliumCompatibility is where the chart is told whose defaults to keep.
const ciliumCompatibility = "upgradeCompatibility"

// firstCilium is the minor version that Cilium was installed with first, as far as it is known, and how that is known.
func (s *state) firstCilium() (minor, why string) {
	previous := s.existing[nameCilium]
	if values, err := ParseValues(previous.DerivedValues); err == nil {
		if v := text(values, ciliumCompatibility); v != "" {
			return v, "the version that Cilium was installed with first"
		}
	}
	if v := parseVersion(previous.Chart.Version); v != nil {
		return minorOf(v), "the version that Cilium was installed with"
	}
	i := slices.IndexFunc(s.facts.Installed, func(i facts.Installed) bool { return i.Type == facts.InstalledCilium })
	if i >= 0 {
		if v := imageVersion(s.facts.Installed[i].Image); v != nil {
			return minorOf(v), "the version of the Cilium that was found"
		}
	}
	if v := parseVersion(s.cniVersion); v != nil {
		return minorOf(v), "the version that Cilium is installed with first"
	}
	return "", ""
}

// ReplacesKubeProxy says whether a component, as it is written, programs Services in kube-proxy's place.
func ReplacesKubeProxy(spec *networkstackv1alpha1.NetworkComponentSpec) bool {
	if spec.DerivedValues == nil {
		return false
	}
	var values struct {
		KubeProxyReplacement string `json:"kubeProxyReplacement"`
		Installation         struct {
			CalicoNetwork struct {
				LinuxDataplane string `json:"linuxDataplane"`
			} `json:"calicoNetwork"`
		} `json:"installation"`
	}
	if json.Unmarshal(spec.DerivedValues.Raw, &values) != nil {
		return false
	}
	switch spec.Type {
	case string(networkstackv1alpha1.CNICilium):
		return values.KubeProxyReplacement == "true"
	case string(networkstackv1alpha1.CNICalico):
		return values.Installation.CalicoNetwork.LinuxDataplane == "BPF"
	default:
		return false
	}
}
