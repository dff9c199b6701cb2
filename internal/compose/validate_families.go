package compose

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// validateFamilies refuses families that pools, Services and nodes do not agree on.
func (s *state) validateFamilies() {
	s.validatePoolFamilies()
	if len(s.families) == 0 {
		return
	}
	s.validateServiceFamilies()
	s.warnOfFamilyChange()
	s.validateNodeFamilies()
	s.validateWindows()
}

// familiesPath is where the families come from.
func (s *state) familiesPath() *field.Path {
	if len(s.spec.IPFamilies) > 0 || len(s.spec.IPPools) == 0 {
		return specPath.Child("ipFamilies")
	}
	return poolsPath
}

func (s *state) validatePoolFamilies() {
	if len(s.spec.IPPools) == 0 {
		return
	}
	for _, p := range s.pools {
		if !s.has(p.family) {
			s.refuse(ruleFamilyNotListed, field.Invalid(p.path, p.prefix.String(), fmt.Sprintf(
				"is %s, which ipFamilies does not list: add %s to ipFamilies, or remove the CIDR", p.family, p.family)))
		}
	}
	// A CIDR that was refused for itself, or left out, would be missed here a second time.
	if len(s.pools) == s.countCIDRs() {
		for _, f := range s.families {
			if len(s.poolsOf(f)) == 0 {
				s.refuse(ruleFamilyWithoutPool, field.Invalid(poolsPath, familiesText(s.families), fmt.Sprintf(
					"no pool has an %s CIDR: add one, or remove %s from ipFamilies", f, f)))
			}
		}
	}
}

// countCIDRs is how many CIDRs the pools have, or should have.
func (s *state) countCIDRs() int {
	n := 0
	for _, p := range s.spec.IPPools {
		n += max(1, len(p.CIDRs))
	}
	return n
}

// validateServiceFamilies refuses pods whose families or primary family Services do not share. They are the
// API server's, and no operator can change them.
func (s *state) validateServiceFamilies() {
	services := familiesOf(s.services)
	path := s.familiesPath()
	value := familiesText(s.families)
	if len(services) == 0 {
		ip := s.facts.ServiceIP.Unmap()
		if !ip.IsValid() {
			return
		}
		// Only the primary family is known.
		services = []networkstackv1alpha1.IPFamily{familyOf(ip)}
		if s.has(services[0]) && s.dualStack() {
			services = append(services, otherFamily(services[0]))
		}
	}
	for _, f := range s.families {
		if slices.Contains(services, f) {
			continue
		}
		if s.dualStack() {
			s.refuse(ruleFamilyWithoutServices, field.Invalid(path, value, fmt.Sprintf(
				"the API server has no %s Service range: add one to --service-cluster-ip-range of kube-apiserver and kube-controller-manager, which the operator cannot, or remove %s",
				f, f)))
		} else {
			remedy := "make the families of the pods those of the Services"
			if s.cni == networkstackv1alpha1.CNIWeaveNet {
				remedy = "Weave Net carries IPv4 alone, so use type Cilium, Calico or Flannel"
			}
			s.refuse(ruleFamilyServicesDiffer, field.Invalid(path, value, fmt.Sprintf(
				"pods are %s but Services are %s: %s", f, familyWords(services), remedy)))
		}
		return
	}
	if len(services) > len(s.families) {
		s.refuse(ruleFamilyServicesDual, field.Invalid(path, value, fmt.Sprintf(
			"Services are dual-stack but pods are %s only: %s", s.families[0], s.dualStackRemedy())))
		return
	}
	if s.families[0] != services[0] {
		s.refuse(ruleFamilyOrder, field.Invalid(path, value, fmt.Sprintf(
			"the primary family of pods is %s but that of Services is %s: put %s first", s.families[0], services[0], services[0])))
		return
	}
	s.warnOfNodeOrder()
}

// dualStackRemedy is what can be done about Services of both families where pods have one.
func (s *state) dualStackRemedy() string {
	other := otherFamily(s.families[0])
	oneFamily := map[networkstackv1alpha1.CNIType]string{
		networkstackv1alpha1.CNIWeaveNet: "Weave Net carries IPv4 alone",
		networkstackv1alpha1.CNIAWSVPC:   "the AWS VPC CNI gives pods one family",
	}
	if why := oneFamily[s.cni]; why != "" {
		return fmt.Sprintf("%s, so use type Cilium, Calico or Flannel, or take the %s range from --service-cluster-ip-range of kube-apiserver and "+
			"kube-controller-manager, which the operator cannot", why, other)
	}
	return fmt.Sprintf("add %s to ipFamilies and to a pool", other)
}

// warnOfFamilyChange warns of families that come to an installed network plugin, or go: pods keep the addresses that they have.
func (s *state) warnOfFamilyChange() {
	before := s.previousFamilies()
	if len(before) == 0 || !s.installsCNI() {
		return
	}
	for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
		switch had := slices.Contains(before, f); {
		case had == s.has(f):
		case had:
			s.warn(ruleFamilyChanged, s.familiesPath(), "pods that run have %s addresses, which are no longer wanted, until they are re-created", f)
		default:
			s.warn(ruleFamilyChanged, s.familiesPath(), "pods that run get their %s addresses only when they are re-created, and Services theirs by ipFamilyPolicy", f)
		}
	}
}

// previousFamilies are those of the network plugin's component that is there; none when that does not say.
func (s *state) previousFamilies() []networkstackv1alpha1.IPFamily {
	var out []networkstackv1alpha1.IPFamily
	note := func(f networkstackv1alpha1.IPFamily, has bool) {
		if has && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	switch s.cni {
	case networkstackv1alpha1.CNICilium, networkstackv1alpha1.CNIFlannel:
		name, keys := nameCilium, []string{"ipv4.enabled", "ipv6.enabled"}
		if s.cni == networkstackv1alpha1.CNIFlannel {
			name, keys = nameFlannel, []string{"podCidr", "podCidrv6"}
		}
		values, err := ParseValues(s.existing[name].DerivedValues)
		if err != nil {
			return nil
		}
		for i, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
			v, _ := lookup(values, keys[i])
			note(f, v != nil && v != false && v != "")
		}
	case networkstackv1alpha1.CNICalico:
		for cidr := range s.previousCalicoPools() {
			if p, err := netip.ParsePrefix(cidr); err == nil {
				note(familyOf(p.Addr()), true)
			}
		}
	default:
		// The others have one family, which is never changed.
	}
	return out
}

// warnOfNodeOrder warns of nodes that have the families the other way round: pods there have their addresses in the nodes' order.
func (s *state) warnOfNodeOrder() {
	if !s.dualStack() {
		return
	}
	takesRanges := s.cni == networkstackv1alpha1.CNIFlannel || s.poolsFromNodes
	var addresses, ranges []string
	for _, n := range s.linux {
		if len(n.InternalIPs) > 0 && familyOf(n.InternalIPs[0]) != s.primary() {
			addresses = append(addresses, n.Name)
		}
		if takesRanges && len(n.PodCIDRs) > 0 && familyOf(n.PodCIDRs[0].Addr()) != s.primary() {
			ranges = append(ranges, n.Name)
		}
	}
	if len(addresses) > 0 {
		s.warn(ruleFamilyNodeOrder, s.familiesPath(), "the primary family is %s, and the first InternalIP of %s is of the other, which pods there take for theirs: "+
			"list the families in --node-ip of the kubelet in the same order", s.primary(), nodeList(addresses))
	}
	if len(ranges) > 0 {
		s.warn(ruleFamilyNodeOrder, s.familiesPath(), "the primary family is %s, and the first of spec.podCIDRs of %s is of the other: "+
			"list the families in --cluster-cidr of kube-controller-manager in the same order, and register such nodes anew", s.primary(), nodeList(ranges))
	}
}

// validateNodeFamilies refuses families in which a node has no address. A node that reports none at all has
// most likely just joined.
func (s *state) validateNodeFamilies() {
	var silent []string
	for _, n := range s.linux {
		if len(n.InternalIPs) == 0 {
			silent = append(silent, n.Name)
		}
	}
	if len(silent) > 0 {
		s.warn(ruleFamilyNodePending, specPath.Child("ipFamilies"), "%s %s no InternalIP yet: whether all families are there could not be checked",
			nodeList(silent), verb(silent, "reports", "report"))
	}
	for _, f := range s.families {
		var missing []string
		for _, n := range s.linux {
			if len(n.InternalIPs) > 0 && !slices.ContainsFunc(n.InternalIPs, func(ip netip.Addr) bool { return familyOf(ip) == f }) {
				missing = append(missing, n.Name)
			}
		}
		if len(missing) > 0 {
			s.refuse(ruleFamilyNodeLacks, field.Invalid(s.familiesPath(), familiesText(s.families), fmt.Sprintf(
				"%s %s no %s InternalIP: give the kubelet both addresses with --node-ip, or remove %s",
				nodeList(missing), verb(missing, "has", "have"), f, f)))
		}
	}
}

// windowsNodes are the names of the nodes that run Windows.
func (s *state) windowsNodes() []string {
	var out []string
	for _, n := range s.nodes {
		if n.OS == "windows" {
			out = append(out, n.Name)
		}
	}
	return out
}

// validateWindows refuses what Windows nodes cannot do, and says that they are left alone.
func (s *state) validateWindows() {
	windows := s.windowsNodes()
	if len(windows) == 0 || !s.installsCNI() || s.cni == networkstackv1alpha1.CNIWeaveNet {
		return // or refused with its other limits
	}
	if s.dualStack() && s.spec.CNI.Encapsulation != networkstackv1alpha1.EncapsulationNone {
		s.refuse(ruleWindowsDualStack, field.Invalid(s.familiesPath(), familiesText(s.families), fmt.Sprintf(
			"%s %s Windows, whose overlay networks are single-stack: remove a family, or set cni.encapsulation to None",
			nodeList(windows), verb(windows, "runs", "run"))))
	}
	s.warn(ruleWindowsNodes, cniPath.Child("type"), "%s %s Windows; %s is installed on Linux nodes only",
		nodeList(windows), verb(windows, "runs", "run"), s.spec.CNI.Type)
}
