package compose

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"go4.org/netipx"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// excludedFromLoadBalancers is on nodes that no load balancer is to lead to.
const excludedFromLoadBalancers = "node.kubernetes.io/exclude-from-external-load-balancers"

// validateLoadBalancer refuses what the load balancer could not do, and addresses that somebody else has.
func (s *state) validateLoadBalancer() {
	l := s.spec.LoadBalancer
	if l == nil {
		return
	}
	oneOf(s, loadBalancerPath.Child("type"), l.Type, networkstackv1alpha1.LoadBalancerMetalLB, networkstackv1alpha1.LoadBalancerCilium,
		networkstackv1alpha1.LoadBalancerUnmanaged)
	optionalOneOf(s, loadBalancerPath.Child("mode"), l.Mode, networkstackv1alpha1.LoadBalancerL2, networkstackv1alpha1.LoadBalancerBGP)
	s.validateLBFields(l)
	if l.Type == networkstackv1alpha1.LoadBalancerUnmanaged {
		return
	}
	s.validateLBPools(l)
	s.validateLBRanges()
	s.validateL2(l)
	switch l.Type {
	case networkstackv1alpha1.LoadBalancerMetalLB:
		s.validateMetalLB(l)
	case networkstackv1alpha1.LoadBalancerCilium:
		s.validateCiliumLoadBalancer(l)
	default:
	}
	if s.withFacts && s.facts.Cloud != "" && s.lbMode() == networkstackv1alpha1.LoadBalancerL2 {
		s.warn(ruleLBCloud, loadBalancerPath.Child("mode"), "L2, and the nodes run in %s, whose network carries no addresses that it did not give out: "+
			"use its own load balancers (type Unmanaged)", s.facts.Cloud)
	}
}

// validateLBFields refuses what the type or the mode does not read.
func (s *state) validateLBFields(l *networkstackv1alpha1.LoadBalancerSpec) {
	forbid := func(set bool, name, detail string) {
		if set {
			s.refuse(ruleLBField, field.Forbidden(loadBalancerPath.Child(name), detail))
		}
	}
	if l.Type != networkstackv1alpha1.LoadBalancerMetalLB {
		const detail = "is MetalLB's: remove it, or set type to MetalLB"
		forbid(l.Version != "", "version", detail)
		forbid(l.Namespace != "", "namespace", detail)
		forbid(l.Chart != nil, "chart", detail)
		forbid(l.Values != nil, "values", detail)
		forbid(len(l.ValuesFrom) > 0, "valuesFrom", detail)
		forbid(l.BGP != nil, "bgp", "is MetalLB's: remove it; Cilium's sessions are in cni.cilium.bgp")
		forbid(l.Class != "", "class", "is MetalLB's: remove it; Cilium's classes have fixed names")
	}
	if l.Type == networkstackv1alpha1.LoadBalancerUnmanaged {
		const detail = "with type Unmanaged nothing is installed: remove it, or choose MetalLB or Cilium"
		forbid(l.Mode != "", "mode", detail)
		forbid(len(l.Pools) > 0, "pools", detail)
		forbid(l.L2 != nil, "l2", detail)
		return
	}
	forbid(l.L2 != nil && s.lbMode() != networkstackv1alpha1.LoadBalancerL2, "l2", "is read only with mode L2: remove it, or set mode to L2")
	forbid(l.Type == networkstackv1alpha1.LoadBalancerMetalLB && l.BGP != nil && s.lbMode() != networkstackv1alpha1.LoadBalancerBGP, "bgp",
		"is read only with mode BGP: remove it, or set mode to BGP")
}

func (s *state) validateLBPools(l *networkstackv1alpha1.LoadBalancerSpec) {
	if len(l.Pools) == 0 {
		s.refuse(ruleLBPools, field.Required(lbPoolsPath, "without pools no Service gets an address: state at least one"))
	}
	names := map[string]bool{}
	for i := range l.Pools {
		p, path := &l.Pools[i], lbPoolsPath.Index(i)
		s.validateLBName(path.Child("name"), p.Name, names)
		if len(p.Addresses) == 0 {
			s.refuse(ruleLBPools, field.Required(path.Child("addresses"), "state addresses, such as 192.168.10.0/26"))
		}
		s.validateLBSelector(path.Child("serviceSelector"), p.ServiceSelector)
		optionalOneOf(s, path.Child("autoAssign"), p.AutoAssign, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		if p.AutoAssign != "" && l.Type == networkstackv1alpha1.LoadBalancerCilium {
			s.refuse(ruleLBField, field.Forbidden(path.Child("autoAssign"), "is MetalLB's: remove it, and select the Services of the pool by serviceSelector"))
		}
	}
}

func (s *state) validateLBName(path *field.Path, name string, seen map[string]bool) {
	switch {
	case len(validation.IsDNS1123Label(name)) > 0:
		s.refuse(ruleLBName, field.Invalid(path, name, "use lower-case letters, digits and \"-\""))
	case seen[name]:
		s.refuse(ruleLBName, duplicate(path, name, "give each a name of its own"))
	}
	seen[name] = true
}

func (s *state) validateLBSelector(path *field.Path, selector *metav1.LabelSelector) {
	if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
		s.refuse(ruleLBSelector, field.Invalid(path, field.OmitValueType{}, err.Error()+": write labels and operators as Kubernetes does"))
	}
}

// validateLBRanges holds the pools' addresses against everybody else's.
func (s *state) validateLBRanges() {
	for i, r := range s.lbRanges {
		if len(s.families) > 0 && !s.has(r.family()) {
			s.refuse(ruleLBFamily, field.Invalid(r.path, r.text, fmt.Sprintf(
				"is %s, and Services are %s: remove it, or add the family to ipFamilies", r.family(), familyWords(s.families))))
		}
		for _, q := range s.lbRanges[:i] {
			if r.given.Overlaps(q.given) {
				s.refuse(ruleLBOverlap, field.Invalid(r.path, r.text, fmt.Sprintf(
					"has addresses of %s (%s): every address must belong to one pool", q.text, q.path)))
				break
			}
		}
		for _, who := range s.owners(r.given) {
			s.refuse(ruleLBTaken, field.Invalid(r.path, r.text, who+": choose other addresses"))
		}
	}
	for _, f := range s.families {
		has := slices.ContainsFunc(s.lbRanges, func(r lbRange) bool { return r.family() == f })
		if len(s.lbRanges) > 0 && !has {
			s.warn(ruleLBFamilyNone, lbPoolsPath, "no pool has %s addresses, so a Service that requires them gets none: add some", f)
		}
	}
}

// owners are who has addresses of a range already, each in words.
func (s *state) owners(r netipx.IPRange) []string {
	var out []string
	for _, p := range s.pools {
		if r.Overlaps(netipx.RangeOfPrefix(p.prefix)) {
			out = append(out, fmt.Sprintf("overlaps the pods' range %s (%s)", p.prefix, p.path))
		}
	}
	for _, svc := range s.services {
		if r.Overlaps(netipx.RangeOfPrefix(svc)) {
			out = append(out, fmt.Sprintf("overlaps the range of ClusterIPs %s%s", svc, parenthesised(s.serviceSource)))
		}
	}
	if ip := s.facts.ServiceIP.Unmap(); len(s.services) == 0 && ip.IsValid() && r.Contains(ip) {
		out = append(out, fmt.Sprintf("holds %s, the address of the Service default/kubernetes", ip))
	}
	var inside []string
	var first netip.Addr
	for _, n := range s.nodes {
		if i := slices.IndexFunc(n.InternalIPs, r.Contains); i >= 0 {
			first = cmp.Or(first, n.InternalIPs[i])
			inside = append(inside, n.Name)
		}
	}
	if len(inside) > 0 {
		out = append(out, fmt.Sprintf("holds the address of %s (such as %s)", nodeList(inside), first))
	}
	if ip, err := netip.ParseAddr(strings.Trim(s.endpoint.Host, "[]")); err == nil && len(inside) == 0 && r.Contains(ip) {
		out = append(out, fmt.Sprintf("holds %s, the address of the API server", ip))
	}
	for _, span := range s.secondarySpans {
		if span.given != nil && span.given.OverlapsRange(r) {
			out = append(out, fmt.Sprintf("has addresses that pods get on a secondary network (%s, %s)", span.text, span.path))
		}
	}
	for _, peer := range s.routers() {
		if ip, err := netip.ParseAddr(peer); err == nil && r.Contains(ip) {
			out = append(out, fmt.Sprintf("holds %s, a router that the nodes speak to", ip))
		}
	}
	return out
}

// routers are those that somebody speaks BGP to.
func (s *state) routers() []string {
	var out []string
	if bgp := s.loadBalancerSpec().BGP; bgp != nil {
		for _, p := range bgp.Peers {
			out = append(out, p.Address)
		}
	}
	if bgp := s.ciliumSpec().BGP; bgp != nil {
		for _, in := range bgp.Instances {
			for _, p := range in.Peers {
				out = append(out, p.Address)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// interfaceName is one as Linux has it.
var interfaceName = regexp.MustCompile(`^[^\s/:]{1,15}$`)

func (s *state) validateL2(l *networkstackv1alpha1.LoadBalancerSpec) {
	if l.L2 == nil {
		return
	}
	path := loadBalancerPath.Child("l2")
	s.validateLBSelector(path.Child("nodeSelector"), l.L2.NodeSelector)
	for i, name := range l.L2.Interfaces {
		at := path.Child("interfaces").Index(i)
		if l.Type == networkstackv1alpha1.LoadBalancerCilium {
			if _, err := regexp.Compile(name); err != nil || name == "" {
				s.refuse(ruleLBInterface, field.Invalid(at, name, "is no regular expression: correct it, as in ^eth[0-9]+$"))
			}
			continue
		}
		if !interfaceName.MatchString(name) || name == "." || name == ".." {
			s.refuse(ruleLBInterface, field.Invalid(at, name, "is no name of an interface: write one such as eth0"))
		}
	}
}

func (s *state) validateMetalLB(l *networkstackv1alpha1.LoadBalancerSpec) {
	if s.lbMode() == networkstackv1alpha1.LoadBalancerBGP {
		s.validateMetalLBPeers(l.BGP)
		if s.cni == networkstackv1alpha1.CNICalico && s.calico.bgp {
			s.warn(ruleLBCalicoBGP, loadBalancerPath.Child("mode"), "Calico speaks BGP from the nodes, too, and a router takes one session from each: "+
				"have them speak to different routers, or set cni.calico.bgp to Disabled")
		}
	}
	path := loadBalancerPath.Child("type")
	if l.Class == "" && s.spec.CNI.Type == networkstackv1alpha1.CNICilium {
		bgp := s.ciliumSpec().BGP
		switch {
		case bgp != nil && slices.Contains(bgp.Advertise, networkstackv1alpha1.CiliumAdvertiseLoadBalancerIPs):
			s.refuse(ruleLBTwo, field.Invalid(path, l.Type, "cni.cilium.bgp announces the addresses of Services as well: remove LoadBalancerIPs there, set type to Cilium, or give MetalLB a class"))
		case s.ciliumJudged().on("l2announcements.enabled"):
			s.refuse(ruleLBTwo, field.Invalid(path, l.Type, "cni.values.l2announcements.enabled has Cilium announce the addresses of Services as well: remove it, set type to Cilium, or give MetalLB a class"))
		}
	}
	if s.usesStrictARP() && s.kubeProxyMode == networkstackv1alpha1.KubeProxyUnmanaged &&
		s.foundProxyMode() == networkstackv1alpha1.KubeProxyIPVS && !s.facts.KubeProxy().StrictARP {
		s.warn(ruleLBStrictARP, path, "the kube-proxy that is there runs in mode IPVS, where every node answers ARP for the addresses of all Services: "+
			"set ipvs.strictARP in its configuration, or kubeProxy.mode to have it managed")
	}
	excluded := !slices.ContainsFunc(s.linux, func(n facts.Node) bool {
		_, labelled := n.Labels[excludedFromLoadBalancers]
		return !labelled
	})
	ignored, _ := lookup(s.userValues[loadBalancerPath.String()], "speaker.ignoreExcludeLB")
	if len(s.linux) > 0 && excluded && ignored != true {
		s.warn(ruleLBNoNodes, path, "every node has the label %s, so MetalLB announces nothing: take it off, or set values.speaker.ignoreExcludeLB to true",
			excludedFromLoadBalancers)
	}
}

// validateMetalLBPeers repeats what the schema holds, for objects that never passed an API server, and more.
func (s *state) validateMetalLBPeers(bgp *networkstackv1alpha1.LoadBalancerBGPSpec) {
	path := loadBalancerPath.Child("bgp")
	if bgp == nil {
		s.refuse(ruleLBPeer, field.Required(path, "name the nodes' autonomous system and the routers that they speak to"))
		return
	}
	number := func(path *field.Path, n, least, most int64) {
		if n < least || n > most {
			s.refuse(ruleLBPeer, field.Invalid(path, n, fmt.Sprintf("must be from %d to %d", least, most)))
		}
	}
	number(path.Child("localASN"), bgp.LocalASN, 1, maxASN)
	if len(bgp.Peers) == 0 {
		s.refuse(ruleLBPeer, field.Required(path.Child("peers"), "name the routers that the nodes speak to"))
	}
	names, addresses := map[string]bool{}, map[string]bool{}
	for i := range bgp.Peers {
		p, at := &bgp.Peers[i], path.Child("peers").Index(i)
		s.validateLBName(at.Child("name"), p.Name, names)
		number(at.Child("asn"), p.ASN, 1, maxASN)
		if p.Port != 0 {
			number(at.Child("port"), int64(p.Port), 1, 16384)
		}
		optionalOneOf(s, at.Child("ebgpMultihop"), p.EBGPMultihop, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		optionalOneOf(s, at.Child("gracefulRestart"), p.GracefulRestart, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		s.validateLBSelector(at.Child("nodeSelector"), p.NodeSelector)
		if err, _ := peerAddressError(at.Child("address"), p.Address, s.pools, addresses); err != nil {
			s.refuse(ruleLBPeer, err)
		}
		if hold, alive := cmp.Or(p.HoldTimeSeconds, bgpHoldTime), cmp.Or(p.KeepAliveTimeSeconds, bgpKeepAliveTime); alive > hold {
			s.refuse(ruleLBPeer, field.Invalid(at.Child("keepAliveTimeSeconds"), alive, fmt.Sprintf(
				"must not be more than holdTimeSeconds (%d; left out, they are 30 and 90): a third of that is usual", hold)))
		}
		if p.EBGPMultihop == networkstackv1alpha1.Enabled && p.ASN == bgp.LocalASN {
			s.warn(ruleLBMultihop, at.Child("ebgpMultihop"), "has no effect: the router is of the nodes' own autonomous system, %d", p.ASN)
		}
	}
}

func (s *state) validateCiliumLoadBalancer(l *networkstackv1alpha1.LoadBalancerSpec) {
	path := loadBalancerPath.Child("type")
	refuse := func(detail string) { s.refuse(ruleLBCilium, field.Invalid(path, l.Type, detail)) }
	if s.spec.CNI.Type != networkstackv1alpha1.CNICilium {
		refuse(fmt.Sprintf("the network plugin is %s: use MetalLB", s.spec.CNI.Type))
		return
	}
	if v := parseVersion(s.cniVersion); v != nil && !atLeast(v, 1, 18) {
		refuse(fmt.Sprintf("Cilium %s is told in another way: use 1.18 or newer, or MetalLB", s.cniVersion))
	}
	switch s.lbMode() {
	case networkstackv1alpha1.LoadBalancerBGP:
		if bgp := s.ciliumSpec().BGP; bgp == nil || !slices.Contains(bgp.Advertise, networkstackv1alpha1.CiliumAdvertiseLoadBalancerIPs) {
			refuse("mode is BGP, and cni.cilium.bgp does not announce LoadBalancerIPs: name the routers there, and add LoadBalancerIPs to advertise")
		}
	default:
		if !s.ciliumJudged().replaces() {
			refuse(fmt.Sprintf("Cilium answers for addresses (mode L2) only in kube-proxy's place, and kubeProxy.mode is %s: set it to Replaced, or use MetalLB", s.kubeProxyMode))
		}
	}
}
