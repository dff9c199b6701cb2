package compose

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

const (
	// defaultIPv4Mask and defaultIPv6Mask are the node ranges of kube-controller-manager's defaults.
	defaultIPv4Mask = 24
	defaultIPv6Mask = 64
	// longestIPv6DefaultMask leaves 256 addresses to a node, as Cilium's own default does.
	longestIPv6DefaultMask = 120
	// maxIPv6MaskBits is clusterSubnetMaxDiff of the range allocator that kube-controller-manager and
	// Cilium share: a node's prefix is at most this much longer than the pool's.
	maxIPv6MaskBits = 16
	// longestPool is the smallest IPv4 pool that Flannel and kubeadm take, and longestIPv6Pool the IPv6 one.
	longestPool, longestIPv6Pool = 28, 124
	// kubeletPods is the default limit of pods per node; shorter masks than fullNodeMask hold as many.
	kubeletPods, fullNodeMask = 110, 25
)

// parsePools reads spec.ipPools and refuses what is wrong with one of them alone.
func (s *state) parsePools() {
	names := map[string]bool{}
	for i, p := range s.spec.IPPools {
		path := poolsPath.Index(i)
		switch {
		case p.Name == "":
			s.refuse(rulePoolName, field.Required(path.Child("name"), "give the pool a name, such as default"))
		case len(validation.IsDNS1123Label(p.Name)) > 0:
			s.refuse(rulePoolName, field.Invalid(path.Child("name"), p.Name, "use lower-case letters, digits and \"-\""))
		case names[p.Name]:
			s.refuse(rulePoolNameTwice, duplicate(path.Child("name"), p.Name, "give each pool a name of its own"))
		}
		names[p.Name] = true
		if len(p.CIDRs) == 0 {
			s.refuse(rulePoolEmpty, field.Required(path.Child("cidrs"), "a pool needs at least one CIDR, such as 10.244.0.0/16"))
		}
		s.validateMaskRange(path.Child("nodeMaskSizes"), p.NodeMaskSizes)
		for j, text := range p.CIDRs {
			cidrPath := path.Child("cidrs").Index(j)
			prefix, problem := parseCIDR(text)
			if problem != "" {
				s.refuse(ruleCIDRForm, field.Invalid(cidrPath, text, problem))
				continue
			}
			if !s.validateSpecialRanges(cidrPath, prefix) {
				continue
			}
			longest := longestPool
			if prefix.Addr().Is6() {
				longest = longestIPv6Pool
			}
			if prefix.Bits() > longest {
				s.refuse(rulePoolTooSmall, field.Invalid(cidrPath, text, fmt.Sprintf(
					"is too small for pods: use /%d or a shorter prefix", longest)))
				continue
			}
			s.pools = append(s.pools, pool{prefix: prefix, family: familyOf(prefix.Addr()), index: i, path: cidrPath})
		}
	}
}

func (s *state) validateMaskRange(path *field.Path, m *networkstackv1alpha1.NodeMaskSizes) {
	if m == nil {
		return
	}
	if m.IPv4 != nil && (*m.IPv4 < 8 || *m.IPv4 > 30) {
		s.refuse(ruleMaskRange, field.Invalid(path.Child("ipv4"), *m.IPv4, "must be from 8 to 30; 24 is usual"))
		m.IPv4 = nil
	}
	if m.IPv6 != nil && (*m.IPv6 < 16 || *m.IPv6 > 126) {
		s.refuse(ruleMaskRange, field.Invalid(path.Child("ipv6"), *m.IPv6, "must be from 16 to 126; 64 is usual"))
		m.IPv6 = nil
	}
}

// validateSpecialRanges refuses ranges that pods cannot have, and warns of those that they should not.
func (s *state) validateSpecialRanges(path *field.Path, p netip.Prefix) bool {
	for _, r := range reserved {
		if !p.Overlaps(r.prefix) {
			continue
		}
		text := "is " + r.what
		if p != r.prefix {
			text = fmt.Sprintf("overlaps %s, which is %s", r.prefix, r.what)
		}
		s.refuse(rulePoolReserved, field.Invalid(path, p.String(), text+
			"; Kubernetes refuses such pod addresses: use a private range such as 10.244.0.0/16 or fd00:10:244::/56"))
		return false
	}
	switch {
	case p.Overlaps(dockerBridge):
		s.warn(rulePoolDocker, path, "%s overlaps Docker's default bridge (%s); hosts with Docker will lose routes", p, dockerBridge)
	case documentation.OverlapsPrefix(p):
		s.warn(rulePoolDocumentation, path, "%s is a documentation range; use a private one such as 10.244.0.0/16 or fd00:10:244::/56", p)
	case !private.ContainsPrefix(p):
		s.warn(rulePoolPublic, path, "%s is public address space; pods cannot reach its real owners", p)
	}
	return true
}

// validatePools refuses ranges that collide with each other, with Services or with nodes.
func (s *state) validatePools() {
	for i, p := range s.pools {
		s.validatePoolPairs(i, p)
		s.validatePoolAgainstCluster(p)
	}
}

func (s *state) validatePoolPairs(i int, p pool) {
	for _, q := range s.pools[:i] {
		switch {
		case p.prefix == q.prefix:
			s.refuse(rulePoolTwice, duplicate(p.path, p.prefix.String(), fmt.Sprintf("%s is the same: remove one of them", q.path)))
			return
		case p.prefix.Overlaps(q.prefix):
			s.refuse(rulePoolOverlap, field.Invalid(p.path, p.prefix.String(), fmt.Sprintf(
				"overlaps the pool CIDR %s (%s): every address must belong to one pool", q.prefix, q.path)))
			return
		}
	}
}

func (s *state) validatePoolAgainstCluster(p pool) {
	remedy := "choose another range"
	if s.poolsFromNodes {
		if !s.usesPoolRange() {
			return
		}
		remedy = "the range was derived from the nodes' podCIDRs; state ipPools"
	}
	for _, svc := range s.serviceRanges() {
		if p.prefix.Overlaps(svc.Prefix) {
			s.refuse(rulePoolOverlapsServices, field.Invalid(p.path, p.prefix.String(), fmt.Sprintf(
				"overlaps the Service range %s%s: %s", svc.Prefix, parenthesised(svc.Source), remedy)))
		}
	}
	if ip := s.facts.ServiceIP.Unmap(); len(s.services) == 0 && ip.IsValid() && p.prefix.Contains(ip) {
		s.refuse(rulePoolOverlapsServices, field.Invalid(p.path, p.prefix.String(), fmt.Sprintf(
			"holds %s, the address of the Service default/kubernetes: %s", ip, remedy)))
	}
	var inside []string
	var first netip.Addr
	for _, n := range s.nodes {
		i := slices.IndexFunc(n.InternalIPs, func(ip netip.Addr) bool { return p.prefix.Contains(ip) })
		if i < 0 {
			continue
		}
		if len(inside) == 0 {
			first = n.InternalIPs[i]
		}
		inside = append(inside, n.Name)
	}
	if len(inside) > 0 {
		s.refuse(rulePoolHoldsNodes, field.Invalid(p.path, p.prefix.String(), fmt.Sprintf(
			"holds the address of %s (such as %s); such a node loses its network: %s", nodeList(inside), first, remedy)))
	}
}

// usesPoolRange says whether a range that was derived from the nodes is written into anything. Cilium in
// tunnel mode with the nodes' own ranges never reads it.
func (s *state) usesPoolRange() bool {
	return s.cni == networkstackv1alpha1.CNIFlannel ||
		s.cni == networkstackv1alpha1.CNICilium && s.encapsulation == networkstackv1alpha1.EncapsulationNone
}

func parenthesised(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// givenMask is a mask that a pool states for one family.
type givenMask struct {
	size int
	path *field.Path
}

// givenMasks are the node masks stated for a family by pools that have a CIDR of it.
func (s *state) givenMasks(f networkstackv1alpha1.IPFamily) []givenMask {
	var out []givenMask
	for i, p := range s.spec.IPPools {
		if p.NodeMaskSizes == nil {
			continue
		}
		size, name := p.NodeMaskSizes.IPv4, "ipv4"
		if f == ipv6 {
			size, name = p.NodeMaskSizes.IPv6, "ipv6"
		}
		if size == nil {
			continue
		}
		path := poolsPath.Index(i).Child("nodeMaskSizes", name)
		if !slices.ContainsFunc(s.pools, func(q pool) bool { return q.index == i && q.family == f }) {
			s.warn(ruleMaskNoEffect, path, "has no effect: the pool has no %s CIDR", f)
			continue
		}
		out = append(out, givenMask{int(*size), path})
	}
	return out
}

// deriveMasks settles the size of a node's range. Only Cilium's cluster-pool takes it from us; for Flannel it
// is kube-controller-manager's setting.
func (s *state) deriveMasks() {
	if s.multiPool() {
		s.deriveMultiPools()
		return
	}
	for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
		given := s.givenMasks(f)
		switch s.cni {
		case networkstackv1alpha1.CNICilium:
			if s.poolsFromNodes {
				s.warnOfSmallNodeRanges(f)
			} else {
				s.deriveCiliumMask(f, given)
			}
		case networkstackv1alpha1.CNIFlannel:
			s.validateFlannelMasks(f, given)
			s.warnOfSmallNodeRanges(f)
		case networkstackv1alpha1.CNICalico, networkstackv1alpha1.CNIWeaveNet,
			networkstackv1alpha1.CNIAWSVPC, networkstackv1alpha1.CNIAzure, networkstackv1alpha1.CNIGKE:
			// Refused with the other settings of pools.
		default:
			for _, g := range given {
				s.warn(ruleMaskNoEffect, g.path, "has no effect: an external CNI has its own node ranges")
			}
		}
	}
}

func (s *state) deriveCiliumMask(f networkstackv1alpha1.IPFamily, given []givenMask) {
	prefixes := s.poolsOf(f)
	if len(prefixes) == 0 {
		return
	}
	mask := defaultMask(prefixes)
	if len(given) > 0 {
		mask = given[0].size
	} else {
		s.note(poolsPath.Child("nodeMaskSizes", familyKey(f)), mask, "%s", maskReason(f, mask))
	}
	for _, g := range given[min(1, len(given)):] {
		if g.size != mask {
			s.refuse(ruleMaskDiffers, field.Invalid(g.path, g.size, fmt.Sprintf(
				"Cilium has one node range size per family, and %s says %d: make them equal", given[0].path, mask)))
		}
	}
	if f == ipv4 && mask > fullNodeMask {
		at := poolsPath
		if len(given) > 0 {
			at = given[0].path
		}
		s.warn(ruleMaskFewerThanPods, at, "a /%d gives a node %d addresses, fewer than the %d pods that a kubelet allows by default",
			mask, 1<<(32-mask), kubeletPods)
	}
	s.masks[f] = mask
	s.validateCapacity(f, mask)
}

// warnOfSmallNodeRanges warns of nodes whose range, as they were given it, has fewer addresses than a kubelet allows pods.
func (s *state) warnOfSmallNodeRanges(f networkstackv1alpha1.IPFamily) {
	if f != ipv4 {
		return
	}
	var small []string
	longest := 0
	for _, n := range s.linux {
		for _, p := range ofFamily(n.PodCIDRs, f) {
			if p.Bits() > fullNodeMask {
				small = append(small, n.Name)
				longest = max(longest, p.Bits())
				break
			}
		}
	}
	if len(small) > 0 {
		s.warn(ruleMaskFewerThanPods, poolsPath, "%s %s a range of /%d with %d addresses, fewer than the %d pods that a kubelet allows by default",
			nodeList(small), verb(small, "has", "have, at the smallest,"), longest, 1<<(32-longest), kubeletPods)
	}
}

// defaultMask is 24 for IPv4 and 64 for IPv6, moved where an IPv6 pool needs it: at most 16 bits longer than
// the pool, and beyond /64 as Cilium's own default (/104 gives /120). The prefixes are of one family.
func defaultMask(prefixes []netip.Prefix) int {
	if prefixes[0].Addr().Is4() {
		return defaultIPv4Mask
	}
	widest := prefixes[0].Bits()
	for _, p := range prefixes {
		widest = min(widest, p.Bits())
	}
	if widest < defaultIPv6Mask {
		return min(defaultIPv6Mask, widest+maxIPv6MaskBits)
	}
	return min(longestIPv6DefaultMask, widest+maxIPv6MaskBits)
}

func maskReason(f networkstackv1alpha1.IPFamily, mask int) string {
	switch {
	case f == ipv4 && mask == defaultIPv4Mask, f == ipv6 && mask == defaultIPv6Mask:
		return "Kubernetes' default"
	default:
		return "fits the IPv6 pool: at most 16 bits longer than its prefix"
	}
}

// validateCapacity refuses masks that do not fit their pools, and pools too small for the nodes there are.
func (s *state) validateCapacity(f networkstackv1alpha1.IPFamily, mask int) {
	var own []pool
	for _, p := range s.pools {
		if p.family == f {
			own = append(own, p)
		}
	}
	ranges, fits := s.rangesOf(own, mask)
	// Once it is installed, the condition PoolsSufficient tells: nodes may come at any time, and that others lack a range is no
	// reason to refuse what is wanted.
	if fits && len(own) > 0 && len(s.linux) > ranges && !s.hasComponentOf(s.cni) {
		s.refuse(rulePoolTooFewRanges, field.Invalid(own[0].path, own[0].prefix.String(), fmt.Sprintf(
			"the %s pools give %d node ranges of /%d but %d nodes exist: add a CIDR, use a shorter prefix, or a longer nodeMaskSizes.%s",
			f, ranges, mask, len(s.linux), familyKey(f))))
	}
}

// rangesOf counts the ranges of nodes that CIDRs of one family give, and refuses CIDRs that the mask does not fit.
func (s *state) rangesOf(pools []pool, mask int) (ranges int, fits bool) {
	fits = true
	for _, p := range pools {
		f, bits := p.family, mask-p.prefix.Bits()
		switch {
		case bits < 0:
			s.refuse(ruleMaskLargerThanPool, field.Invalid(p.path, p.prefix.String(), fmt.Sprintf(
				"is smaller than the range of one node (/%d): use a shorter prefix, or a longer nodeMaskSizes.%s", mask, familyKey(f))))
			fits = false
		case f == ipv6 && bits > maxIPv6MaskBits:
			s.refuse(ruleMaskTooManyRanges, field.Invalid(p.path, p.prefix.String(), fmt.Sprintf(
				"with node ranges of /%d gives 2^%d of them; the limit is 2^%d: set nodeMaskSizes.ipv6 to %d or less",
				mask, bits, maxIPv6MaskBits, p.prefix.Bits()+maxIPv6MaskBits)))
			fits = false
		default:
			ranges += 1 << min(bits, 24)
		}
	}
	return ranges, fits
}

// hasComponentOf says whether a network plugin has its component already.
func (s *state) hasComponentOf(t networkstackv1alpha1.CNIType) bool {
	for _, c := range s.existing {
		if c.Type == string(t) {
			return true
		}
	}
	return false
}

func familyKey(f networkstackv1alpha1.IPFamily) string {
	if f == ipv4 {
		return "ipv4"
	}
	return "ipv6"
}

// validateNAT settles natOutgoing. Cilium has one switch per family, Flannel one for all, Calico and Cilium's MultiPool one per pool.
func (s *state) validateNAT() {
	s.nat[ipv4], s.nat[ipv6] = true, true
	firstOf := map[networkstackv1alpha1.IPFamily]int{}
	for _, p := range s.pools {
		if p.index < 0 {
			continue
		}
		f := p.family
		if s.cni == networkstackv1alpha1.CNIFlannel {
			f = ipv4
		}
		nat := s.spec.IPPools[p.index].NATOutgoing != networkstackv1alpha1.Disabled
		first, seen := firstOf[f]
		switch {
		case s.cni == networkstackv1alpha1.CNICalico:
		case s.multiPool():
			// Each pool has its own; a family is masqueraded when one of its pools is.
			s.nat[f] = seen && s.nat[f] || nat
			firstOf[f] = p.index
		case !seen:
			firstOf[f] = p.index
			s.nat[f] = nat
		case nat != s.nat[f] && p.index != first:
			s.refuse(ruleNATDiffers, field.Invalid(poolsPath.Index(p.index).Child("natOutgoing"), toggle(nat), fmt.Sprintf(
				"%s has one setting for all pools%s, and %s says %s: make them equal",
				s.cni, s.natScope(f), poolsPath.Index(first).Child("natOutgoing"), toggle(s.nat[f]))))
			firstOf[f] = p.index // say it once per pool, not once per CIDR
			s.nat[f] = nat
		}
	}
	if s.cni == networkstackv1alpha1.CNIFlannel {
		s.nat[ipv6] = s.nat[ipv4]
	}
	switch {
	case s.runByCloud(), s.cni == networkstackv1alpha1.CNIAWSVPC:
		return // refused with their other settings
	case s.cni == networkstackv1alpha1.CNIExternal:
		for i, p := range s.spec.IPPools {
			if p.NATOutgoing != "" {
				s.warn(ruleNATNoEffect, poolsPath.Index(i).Child("natOutgoing"), "has no effect: an external CNI decides this itself")
			}
		}
		return
	}
	if !slices.ContainsFunc(s.spec.IPPools, func(p networkstackv1alpha1.IPPool) bool { return p.NATOutgoing != "" }) {
		s.note(poolsPath.Child("natOutgoing"), networkstackv1alpha1.Enabled,
			"default: pods reach the outside with their node's address")
	}
}

func (s *state) natScope(f networkstackv1alpha1.IPFamily) string {
	if s.cni == networkstackv1alpha1.CNIFlannel {
		return ""
	}
	return " of " + string(f)
}

func toggle(on bool) networkstackv1alpha1.Toggle {
	if on {
		return networkstackv1alpha1.Enabled
	}
	return networkstackv1alpha1.Disabled
}
