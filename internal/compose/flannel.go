package compose

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// flannelBackend in effect, in Flannel's words.
func (s *state) flannelBackend() string {
	switch {
	case s.flannelWireGuard():
		return "wireguard"
	case s.encapsulation == networkstackv1alpha1.EncapsulationNone:
		return "host-gw"
	default:
		return "vxlan"
	}
}

// flannelSubtracts is how many bytes the backend takes off the MTU it is given.
func (s *state) flannelSubtracts() int { return flannelTakes(s.flannelBackend()) }

func flannelTakes(backend string) int {
	switch backend {
	case "wireguard":
		return flannelWireGuard
	case "vxlan":
		return flannelSubtractsForVXLAN
	default:
		return 0
	}
}

// validateFlannel refuses what Flannel cannot do.
func (s *state) validateFlannel() {
	s.warnOfBridges()
	s.warnOfPlainRoutes()
	s.warnOfOtherRoutes()
	c := s.spec.CNI
	if c.Encapsulation == networkstackv1alpha1.EncapsulationGeneve {
		s.refuse(ruleFlannelGeneve, field.Invalid(cniPath.Child("encapsulation"), c.Encapsulation,
			"Flannel has no Geneve backend: use VXLAN or None, or type Cilium"))
	}
	if s.encryption == networkstackv1alpha1.EncryptionIPsec {
		s.refuse(ruleFlannelIPsec, field.Invalid(cniPath.Child("encryption", "type"), s.encryption,
			"Flannel's IPsec backend is experimental and not supported: use WireGuard, or type Cilium"))
	}
	if s.flannelWireGuard() && c.Encapsulation != "" {
		s.refuse(ruleFlannelWireGuardEncapsulation, field.Invalid(cniPath.Child("encapsulation"), c.Encapsulation,
			"Flannel's WireGuard backend is itself the encapsulation: remove encapsulation, or set encryption.type to None"))
	}
	if on, _ := lookup(s.userValues[cniPath.String()], "flannel.enableNFTables"); on == true &&
		s.kubeProxyMode != networkstackv1alpha1.KubeProxyNFTables {
		at, found := cniPath.Child("values"), s.foundProxyMode()
		switch {
		case s.managesKubeProxy():
			s.warn(ruleFlannelNFTables, at, "values.flannel.enableNFTables goes with kubeProxy.mode NFTables, and it is %s: set that, or remove the value", s.kubeProxyMode)
		case found != "" && found != networkstackv1alpha1.KubeProxyNFTables:
			s.warn(ruleFlannelNFTables, at,
				"values.flannel.enableNFTables goes with a kube-proxy in mode NFTables, and the one that is there is in %s: remove the value", found)
		}
	}
	s.validateFlannelPools()
	s.validateFlannelArgs()
}

// validateFlannelPools refuses pools that Flannel's one network per family cannot be, or that do not hold
// what kube-controller-manager gave the nodes.
func (s *state) validateFlannelPools() {
	for _, f := range s.families {
		var first *pool
		for i, p := range s.pools {
			switch {
			case p.family != f:
			case first == nil:
				first = &s.pools[i]
			default:
				s.refuse(ruleFlannelOneRange, field.Invalid(p.path, p.prefix.String(), fmt.Sprintf(
					"Flannel takes one %s range and %s is it already: remove this CIDR, widen that one, or use type Cilium", f, first.path)))
			}
		}
	}
	if len(s.families) == 0 {
		return
	}
	s.validateNodePodCIDRs(func(detail string) *field.Error {
		return field.Invalid(cniPath.Child("type"), s.cni, detail)
	}, "Flannel takes the nodes' spec.podCIDRs", "")

	switch {
	case s.poolsFromNodes:
		s.warn(ruleFlannelPoolDerived, poolsPath, "derived from the nodes there are; Flannel stops on a node whose range lies outside: state ipPools as kube-controller-manager's --cluster-cidr has it")
	case len(s.spec.IPPools) == 0 && s.withFacts && len(s.linux) == 0:
		s.refuse(rulePoolNotDerived, field.Required(poolsPath, "there are no nodes to derive the pods' range from: state it as kube-controller-manager's --cluster-cidr has it"))
	case len(s.spec.IPPools) > 0:
		s.validateNodesInsidePools()
	}
}

func (s *state) validateNodesInsidePools() {
	for _, f := range s.families {
		prefixes := s.poolsOf(f)
		if len(prefixes) == 0 {
			continue
		}
		set := setOf(prefixes)
		var outside []string
		example := ""
		for _, n := range s.linux {
			for _, p := range ofFamily(n.PodCIDRs, f) {
				if set.ContainsPrefix(p) {
					continue
				}
				if example == "" {
					example = p.String()
				}
				outside = append(outside, n.Name)
				break
			}
		}
		if len(outside) == 0 {
			continue
		}
		i := slices.IndexFunc(s.pools, func(p pool) bool { return p.family == f })
		s.refuse(ruleFlannelNodeOutside, field.Invalid(s.pools[i].path, s.pools[i].prefix.String(), fmt.Sprintf(
			"%s %s the pod range %s outside of it, and flanneld exits there: write kube-controller-manager's --cluster-cidr",
			nodeList(outside), verb(outside, "has", "have, for example,"), example)))
	}
}

// validateFlannelMasks refuses node masks other than the real ones: they are kube-controller-manager's.
func (s *state) validateFlannelMasks(f networkstackv1alpha1.IPFamily, given []givenMask) {
	for _, g := range given {
		var other []string
		bits := 0
		for _, n := range s.linux {
			for _, p := range ofFamily(n.PodCIDRs, f) {
				if p.Bits() != g.size {
					if len(other) == 0 {
						bits = p.Bits()
					}
					other = append(other, n.Name)
					break
				}
			}
		}
		if len(other) > 0 {
			s.refuse(ruleFlannelMaskDiffers, field.Invalid(g.path, g.size, fmt.Sprintf(
				"%s %s a range of /%d: with Flannel the size is kube-controller-manager's --node-cidr-mask-size; set it there, or remove this field",
				nodeList(other), verb(other, "has", "have, for example,"), bits)))
			continue
		}
		s.validateCapacity(f, g.size)
	}
}

// validateFlannelArgs refuses arguments of the user's own that undo what the spec says.
func (s *state) validateFlannelArgs() {
	v, ok := lookup(s.userValues[cniPath.String()], "flannel.args")
	if !ok {
		return
	}
	path := cniPath.Child("values")
	args, ok := v.([]any)
	if !ok {
		s.refuse(ruleFlannelArgs, field.Invalid(path, field.OmitValueType{}, "values.flannel.args must be a list of arguments"))
		return
	}
	has := func(arg string) bool {
		return slices.Contains(args, any(arg)) || slices.Contains(args, any(arg+"=true"))
	}
	if !has("--kube-subnet-mgr") {
		s.refuse(ruleFlannelArgs, field.Invalid(path, field.OmitValueType{},
			"values.flannel.args lacks --kube-subnet-mgr, without which flanneld looks for an etcd of its own: add it"))
	}
	switch nat := s.nat[ipv4]; {
	case nat && !has("--ip-masq"):
		s.refuse(ruleFlannelArgsNAT, field.Invalid(path, field.OmitValueType{},
			"values.flannel.args lacks --ip-masq, but natOutgoing is Enabled: add it, or set natOutgoing to Disabled"))
	case !nat && has("--ip-masq"):
		s.refuse(ruleFlannelArgsNAT, field.Invalid(path, field.OmitValueType{},
			"values.flannel.args has --ip-masq, but natOutgoing is Disabled: remove it, or set natOutgoing to Enabled"))
	}
}

// validateFlannelMTU refuses an MTU that the host-gw backend cannot bring about: pods get the MTU of the
// node's interface, and the chart's key is read by vxlan and wireguard alone.
func (s *state) validateFlannelMTU(path *field.Path) {
	if s.cni != networkstackv1alpha1.CNIFlannel || s.flannelBackend() != "host-gw" || s.spec.MTU == 0 || s.mtu.node == s.mtu.pod {
		return
	}
	if s.mtu.node == 0 && !s.withFacts {
		return // the nodes may have just that MTU
	}
	known := ""
	if s.mtu.node > 0 {
		known = fmt.Sprintf(" (%d of %s)", s.mtu.node, s.mtu.nodeName)
	}
	s.refuse(ruleMTUFlannelHostGW, field.Invalid(path, s.spec.MTU, fmt.Sprintf(
		"Flannel with encapsulation None gives pods the MTU of the node's interface%s and cannot change it: remove mtu, or set encapsulation to VXLAN", known)))
}

// flannelValues are the chart values of Flannel, with the keys of its upstream chart.
func (s *state) flannelValues() *valuesBuilder {
	b := newValues("flannel")
	found := s.inheritedValues(string(s.cni), cniPath, b)
	network, _ := networkOf(found)
	for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
		key, there := "podCidr", network.Network
		if f == ipv6 {
			key, there = "podCidrv6", network.IPv6Network
		}
		if len(s.spec.IPPools) == 0 && found != nil {
			b.control(key, "spec.ipPools", there, "kept from the Flannel that was there")
		} else if prefixes := s.poolsOf(f); s.has(f) && len(prefixes) > 0 {
			b.control(key, "spec.ipPools", prefixes[0].String(), "the %s range of ipPools", f)
		} else {
			b.control(key, "spec.ipPools", "", "%s is not wanted", f)
		}
	}
	backend := s.flannelBackend()
	switch backend {
	case "wireguard":
		b.control("flannel.backend", "spec.cni.encryption", backend, "encryption WireGuard")
	default:
		b.control("flannel.backend", "spec.cni.encapsulation", backend, "encapsulation %s", s.encapsulation)
	}
	switch {
	case found != nil && s.spec.MTU == 0:
		b.reserve("flannel.mtu", "spec.mtu") // as it was found
	case s.mtu.pod > 0 && backend != "host-gw":
		b.control("flannel.mtu", "spec.mtu", s.mtu.pod+s.flannelSubtracts(),
			"pods get %d; Flannel subtracts %d from this value", s.mtu.pod, s.flannelSubtracts())
	default:
		b.reserve("flannel.mtu", "spec.mtu")
	}
	args := []any{"--kube-subnet-mgr"}
	reason := "natOutgoing is Disabled; nodes' ranges come from Node.spec.podCIDRs"
	if s.nat[ipv4] {
		args = []any{"--ip-masq", "--kube-subnet-mgr"}
		reason = "natOutgoing is Enabled; nodes' ranges come from Node.spec.podCIDRs"
	}
	b.set("flannel.args", args, "%s", reason)
	// Without kube-proxy nothing makes the API server's Service reachable. The keys are our own chart's.
	if s.withFacts && s.kubeProxyMode == networkstackv1alpha1.KubeProxyUnmanaged && s.facts.KubeProxy() == nil &&
		s.endpoint.Host != "" && !s.overridesChart(s.spec.CNI.Chart, networkstackv1alpha1.CNIFlannel) {
		b.control("kubeApi.host", "spec.cluster.apiServer", s.endpoint.Host, "no kube-proxy was found; %s", s.endpointReason())
		b.control("kubeApi.port", "spec.cluster.apiServer", int64(s.endpoint.Port), "no kube-proxy was found; %s", s.endpointReason())
	}
	return b
}

// warnOfBridges warns of nodes whose bridge hides the traffic between their pods from kube-proxy and from policies.
func (s *state) warnOfBridges() {
	var without []string
	for _, n := range s.linux {
		if n.Bridges != nil && !*n.Bridges {
			without = append(without, n.Name)
		}
	}
	if len(without) == 0 {
		return
	}
	switches := map[networkstackv1alpha1.IPFamily]string{
		ipv4: "net.bridge.bridge-nf-call-iptables", ipv6: "net.bridge.bridge-nf-call-ip6tables",
	}
	var off []string
	for _, f := range s.families {
		off = append(off, switches[f])
	}
	s.warn(ruleFlannelBridges, cniPath.Child("type"), "%s %s not the kernel's module br_netfilter, without which flanneld stops on start, or %s off, "+
		"with which pods do not reach Services whose pods are on the same node: load it at boot (/etc/modules-load.d), and set that to 1",
		nodeList(without), verb(without, "has", "have"), strings.Join(off, " or "))
}

// warnOfPlainRoutes warns of the routes of host-gw, which flanneld's vxlan backend replaces where they are IPv4's, and cannot where they
// are IPv6's: the kernel takes no route by a gateway that another link already leads to.
func (s *state) warnOfPlainRoutes() {
	values, err := ParseValues(s.existing[nameFlannel].DerivedValues)
	if err != nil || s.flannelBackend() != "vxlan" {
		return
	}
	before, _ := lookup(values, "flannel.backend")
	pods, _ := lookup(values, "podCidrv6")
	if before != "host-gw" || pods == nil || pods == "" {
		return
	}
	s.warn(ruleFlannelPlainRoutes, cniPath.Child("encapsulation"), "flanneld does not replace the plain IPv6 routes between the nodes there are, "+
		"whose IPv6 goes without VXLAN until then: when all agents are new, ip -6 route show root %v proto boot | while read -r net rest; "+
		"do ip -6 route replace ${net%%/*} dev flannel-v6.1; done on each node, and restart its agent; or restart the nodes", pods)
}

// warnOfOtherRoutes warns of the routes of the other backends, each to one node's pods, where WireGuard's is one to all pods.
func (s *state) warnOfOtherRoutes() {
	values, err := ParseValues(s.existing[nameFlannel].DerivedValues)
	before, known := lookup(values, "flannel.backend")
	if err != nil || !known || before == "wireguard" || s.flannelBackend() != "wireguard" {
		return
	}
	var commands []string
	for _, family := range []struct{ key, program string }{{"podCidr", "ip"}, {"podCidrv6", "ip -6"}} {
		if pods, _ := lookup(values, family.key); pods != nil && pods != "" {
			commands = append(commands, fmt.Sprintf("%[1]s route show root %[2]v proto boot | grep ' via ' | while read -r net rest; do %[1]s route delete $net; done",
				family.program, pods))
		}
	}
	s.warn(ruleFlannelWireGuardRoutes, cniPath.Child("encryption", "type"), "flanneld leaves the routes between the nodes there are, which go before WireGuard's: "+
		"pods' packets go unencrypted until, when all agents are new, %s on each node; or restart the nodes", strings.Join(commands, " and "))
}
