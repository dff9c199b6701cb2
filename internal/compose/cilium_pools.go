package compose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// TypeCiliumResources is the component type of Cilium's custom resources, and its name in the catalogue.
const TypeCiliumResources = "CiliumResources"

// ciliumDefaultPool is the pool of all pods that no other one is for.
const ciliumDefaultPool = "default"

// multiPoolIPv4Mask leaves 62 addresses to a range. A node gets more ranges as its pods need them.
const multiPoolIPv4Mask = 26

var ciliumPath = cniPath.Child("cilium")

// ciliumPool is an entry of ipPools as Cilium's MultiPool has it.
type ciliumPool struct {
	index    int
	name     string
	families map[networkstackv1alpha1.IPFamily]ciliumRanges
	nat      bool
}

// ciliumRanges are the CIDRs of a pool of one family, and the prefix length of the ranges that nodes get of them.
type ciliumRanges struct {
	cidrs []netip.Prefix
	mask  int
}

// ciliumSpec is the user's block; never nil.
func (s *state) ciliumSpec() *networkstackv1alpha1.CiliumSpec {
	if s.spec.CNI.Cilium == nil {
		return &networkstackv1alpha1.CiliumSpec{}
	}
	return s.spec.CNI.Cilium
}

// multiPool says whether each pool is a CiliumPodIPPool.
func (s *state) multiPool() bool {
	return s.spec.CNI.Type == networkstackv1alpha1.CNICilium && s.ciliumSpec().IPAM == networkstackv1alpha1.CiliumMultiPool
}

// deriveMultiPools settles the pools, and how large a range of them is.
func (s *state) deriveMultiPools() {
	for i, p := range s.spec.IPPools {
		out := ciliumPool{
			index: i, name: p.Name, nat: p.NATOutgoing != networkstackv1alpha1.Disabled,
			families: map[networkstackv1alpha1.IPFamily]ciliumRanges{},
		}
		for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
			var own []pool
			for _, q := range s.pools {
				if q.index == i && q.family == f {
					own = append(own, q)
				}
			}
			given, path := nodeMask(p.NodeMaskSizes, i, f)
			switch {
			case len(own) == 0 && given > 0:
				s.warn(ruleMaskNoEffect, path, "has no effect: the pool has no %s CIDR", f)
			case len(own) > 0:
				out.families[f] = s.multiPoolRanges(own, given, i)
			}
		}
		if len(out.families) > 0 {
			s.ciliumPools = append(s.ciliumPools, out)
		}
	}
}

// nodeMask that the spec states for a pool and a family; 0 when it states none.
func nodeMask(given *networkstackv1alpha1.NodeMaskSizes, index int, f networkstackv1alpha1.IPFamily) (int, *field.Path) {
	if given == nil {
		return 0, nil
	}
	size := given.IPv4
	if f == ipv6 {
		size = given.IPv6
	}
	if size == nil {
		return 0, nil
	}
	return int(*size), poolsPath.Index(index).Child("nodeMaskSizes", familyKey(f))
}

func (s *state) multiPoolRanges(own []pool, given, index int) ciliumRanges {
	f := own[0].family
	out := ciliumRanges{mask: given}
	longest := 0
	for _, p := range own {
		out.cidrs = append(out.cidrs, p.prefix)
		longest = max(longest, p.prefix.Bits())
	}
	if given == 0 {
		out.mask = max(multiPoolIPv4Mask, longest)
		if f == ipv6 {
			out.mask = max(defaultMask(out.cidrs), longest)
		}
		s.note(poolsPath.Index(index).Child("nodeMaskSizes", familyKey(f)), out.mask, "default: a node gets more ranges of a pool as its pods need them")
	}
	ranges, fits := s.rangesOf(own, out.mask)
	if s.spec.IPPools[index].Name == ciliumDefaultPool && fits && len(s.linux) > ranges && !s.hasComponentOf(s.cni) {
		s.refuse(rulePoolTooFewRanges, field.Invalid(own[0].path, own[0].prefix.String(), fmt.Sprintf(
			"the pool default gives %d %s ranges of /%d but %d nodes exist, each of which needs one: add a CIDR, use a shorter prefix, or a longer nodeMaskSizes.%s",
			ranges, f, out.mask, len(s.linux), familyKey(f))))
	}
	return out
}

// validateCiliumBlock refuses the block for another network plugin, and recording of flows where nothing records them.
func (s *state) validateCiliumBlock() {
	c := s.spec.CNI
	if c.Cilium != nil && c.Type != networkstackv1alpha1.CNICilium {
		s.refuse(ruleCiliumBlock, field.Forbidden(ciliumPath, "is read only with type Cilium: remove it, or set type to Cilium"))
	}
	records := c.Type == networkstackv1alpha1.CNICilium || c.Type == networkstackv1alpha1.CNICalico
	if c.FlowLogs == networkstackv1alpha1.Enabled && !records {
		s.refuse(ruleFlowLogs, field.Invalid(cniPath.Child("flowLogs"), c.FlowLogs,
			"only Cilium and Calico record flows: remove it, or use type Cilium or Calico"))
	}
}

// validateMultiPoolSettings refuses settings of a pool that need MultiPool, or do not fit the pool.
func (s *state) validateMultiPoolSettings(p networkstackv1alpha1.IPPool, path *field.Path) {
	for _, sel := range []struct {
		name     string
		selector *metav1.LabelSelector
	}{{"podSelector", p.PodSelector}, {"namespaceSelector", p.NamespaceSelector}} {
		switch {
		case sel.selector == nil:
		case s.cni == networkstackv1alpha1.CNICalico:
			s.refuse(ruleCiliumPoolField, field.Forbidden(path.Child(sel.name), fmt.Sprintf(
				"the pools of Calico's Installation do not select pods by labels: remove it, set onRequest, and name the pool's IPPools (kubectl get ippools) in the annotation "+
					"cni.projectcalico.org/ipv4pools, or ipv6pools, of %s", map[string]string{"podSelector": "such pods", "namespaceSelector": "such namespaces"}[sel.name])))
		case !s.multiPool():
			s.refuse(ruleCiliumPoolField, field.Forbidden(path.Child(sel.name),
				"is a setting of Cilium's MultiPool: remove it, or set cni.cilium.ipam to MultiPool"))
		case p.Name == ciliumDefaultPool:
			s.refuse(ruleCiliumDefaultPool, field.Forbidden(path.Child(sel.name),
				"the pool default is for all pods that no other pool is for: remove it, or give such pods a pool of their own"))
		default:
			s.validateSelector(path.Child(sel.name), sel.selector)
		}
	}
	if s.multiPool() && p.Disabled && p.Name == ciliumDefaultPool {
		s.refuse(ruleCiliumDefaultPool, field.Forbidden(path.Child("disabled"),
			"the pool default is for all pods that no other pool is for, Cilium's own among them: remove it"))
	}
}

// validateSelector refuses selectors that Kubernetes cannot read.
func (s *state) validateSelector(path *field.Path, selector *metav1.LabelSelector) {
	if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
		s.refuse(ruleCiliumSelector, field.Invalid(path, field.OmitValueType{},
			err.Error()+": write labels and operators as Kubernetes does"))
	}
}

// validateMultiPool refuses what MultiPool cannot do.
func (c ciliumInput) validateMultiPool() {
	if !c.multiPool() {
		return
	}
	path := ciliumPath.Child("ipam")
	if v := parseVersion(c.cniVersion); v != nil && !atLeast(v, 1, 19) {
		c.refuse(ruleMultiPoolOld, field.Invalid(path, networkstackv1alpha1.CiliumMultiPool, fmt.Sprintf(
			"Cilium %s cannot select pods for a pool, nor encrypt all routes with IPsec: use 1.19 or newer, or ClusterPool", c.cniVersion)))
	}
	i := slices.IndexFunc(c.spec.IPPools, func(p networkstackv1alpha1.IPPool) bool { return p.Name == ciliumDefaultPool })
	if i < 0 {
		c.refuse(ruleMultiPoolDefault, field.Required(poolsPath,
			"with MultiPool a pool has to be named default: Cilium's own pods, and all that no other pool is for, get their addresses of it"))
	}
	for _, p := range c.ciliumPools {
		c.validateFamiliesOfPool(p)
	}
	if c.masqueradesBlindly() {
		c.refuse(ruleMultiPoolMasquerade, field.Invalid(path, networkstackv1alpha1.CiliumMultiPool, fmt.Sprintf(
			"masquerading knows the pools' addresses in eBPF only, which needs kubeProxy.mode Replaced, and that is %s: "+
				"set it, disable natOutgoing of every pool, or name the interfaces in values.egressMasqueradeInterfaces", c.kubeProxyMode)))
	}
	for _, p := range c.ciliumPools {
		mixed := slices.ContainsFunc(c.families, func(f networkstackv1alpha1.IPFamily) bool {
			_, has := p.families[f]
			return has && c.nat[f]
		})
		if !p.nat && mixed && c.lacks("bpf.masquerade") {
			c.refuse(ruleNATDiffers, field.Invalid(poolsPath.Index(p.index).Child("natOutgoing"), networkstackv1alpha1.Disabled,
				"Cilium masquerades some pools and not others in eBPF only: make natOutgoing of all pools equal, or set kubeProxy.mode to Replaced"))
		}
	}
}

// masqueradesBlindly says that pods' addresses are to be masqueraded, and nothing would know which those are.
func (c ciliumInput) masqueradesBlindly() bool {
	named := c.word("egressMasqueradeInterfaces") != "" && !c.on("bpf.masquerade")
	return c.multiPool() && c.masquerades() && !named && c.lacks("bpf.masquerade")
}

func (c ciliumInput) validateFamiliesOfPool(p ciliumPool) {
	for _, f := range c.families {
		if _, has := p.families[f]; has {
			continue
		}
		path := poolsPath.Index(p.index).Child("cidrs")
		if p.name == ciliumDefaultPool {
			c.refuse(ruleMultiPoolDefault, field.Required(path, fmt.Sprintf(
				"the pool default has no %s CIDR, so pods that no other pool is for would get no %s address: add one", f, f)))
			continue
		}
		c.warn(ruleMultiPoolFamily, path, "the pool has no %s CIDR: pods must name it in the annotation ipam.cilium.io/%s-pool and not in ipam.cilium.io/ip-pool",
			f, familyKey(otherFamily(f)))
	}
}

// ciliumImplied are values that follow from typed settings and that others depend on. The user's own take their place.
func (s *state) ciliumImplied() map[string]any {
	user := s.userValues[cniPath.String()]
	out := map[string]any{}
	interfaces, _ := lookup(user, "egressMasqueradeInterfaces")
	nat := slices.ContainsFunc(s.families, func(f networkstackv1alpha1.IPFamily) bool { return s.nat[f] })
	wanted := s.multiPool() || s.ciliumSpec().BandwidthManager == networkstackv1alpha1.CiliumBandwidthBBR
	if wanted && nat && s.kubeProxyMode == networkstackv1alpha1.KubeProxyReplaced && (interfaces == nil || interfaces == "") {
		out["bpf"] = map[string]any{"masquerade": true}
	}
	if s.spec.CNI.FlowLogs == networkstackv1alpha1.Enabled {
		out["hubble"] = map[string]any{"enabled": true}
	}
	if s.ciliumSpec().GatewayAPI != "" {
		out["gatewayAPI"] = map[string]any{"enabled": s.ciliumSpec().GatewayAPI == networkstackv1alpha1.Enabled}
	}
	return out
}

// ciliumJudged are the user's values over what typed settings imply.
func (s *state) ciliumJudged() ciliumInput {
	return ciliumInput{s, MergeValues(s.ciliumImplied(), s.userValues[cniPath.String()])}
}

// unmasqueraded says whether the destinations that are not masqueraded have to be listed: native routing has one range for them,
// and there are several CIDRs of a family.
func (s *state) unmasqueraded() bool {
	if !s.multiPool() || s.encapsulation != networkstackv1alpha1.EncapsulationNone || !s.ciliumJudged().on("bpf.masquerade") {
		return false
	}
	user := s.userValues[cniPath.String()]
	return slices.ContainsFunc(s.families, func(f networkstackv1alpha1.IPFamily) bool {
		given, _ := lookup(user, nativeRoutingKey(f))
		return s.nat[f] && len(s.poolsOf(f)) > 1 && (given == nil || given == "")
	})
}

// ciliumMultiPool are the chart values of MultiPool.
func (s *state) ciliumMultiPool(b *valuesBuilder) {
	const by = "spec.ipPools"
	// The operator of Cilium would make pools when it starts, and never change them.
	b.reserve("ipam.operator.autoCreateCiliumPodIPPools", by)
	if !s.multiPool() {
		return
	}
	b.control("ipam.mode", "spec.cni.cilium.ipam", "multi-pool", "ipam is MultiPool; component %s has the pools", nameCiliumResources)
	if s.ciliumJudged().on("bpf.masquerade") {
		b.set("bpf.masquerade", true, "the pools' addresses are known to masquerading in eBPF only")
	}
	if s.unmasqueraded() {
		var all []string
		for _, f := range s.families {
			for _, p := range s.poolsOf(f) {
				all = append(all, p.String())
			}
		}
		const why = "native routing takes one range as not to be masqueraded, and the pools have several"
		b.set("ipMasqAgent.enabled", true, why)
		b.set("ipMasqAgent.config.nonMasqueradeCIDRs", anyStrings(all), why)
	}
}

func anyStrings(in []string) []any {
	out := make([]any, len(in))
	for i := range in {
		out[i] = in[i]
	}
	return out
}

// ciliumResources is the release with Cilium's custom resources, if there are any to have. Cilium's agents wait for the pool
// default, so it does not wait for Cilium to be Ready, and it goes before Cilium does.
func (s *state) ciliumResources() []Release {
	bgp, balancer := s.ciliumSpec().BGP, s.ciliumLoadBalancerValues()
	if !s.multiPool() && bgp == nil && balancer == nil {
		return nil
	}
	b := newValues(nameCiliumResources)
	if s.multiPool() {
		pools := make([]any, 0, len(s.ciliumPools))
		var names []string
		for _, p := range s.ciliumPools {
			pools = append(pools, s.ciliumPoolValues(p))
			names = append(names, p.name)
		}
		b.reserve("pools", poolsPath.String())
		b.values["pools"] = pools
		s.note(ciliumPath.Child("ipam"), networkstackv1alpha1.CiliumMultiPool, "CiliumPodIPPools %s", strings.Join(names, ", "))
	}
	if bgp != nil {
		b.reserve("bgp", ciliumPath.Child("bgp").String())
		b.values["bgp"] = s.ciliumBGPValues(bgp)
	}
	if balancer != nil {
		b.reserve("loadBalancer", lbPoolsPath.String())
		b.values["loadBalancer"] = balancer
	}
	settings := networkstackv1alpha1.ComponentSettings{
		Namespace: sharedNamespace, DriftMode: s.spec.CNI.DriftMode, Suspend: s.spec.CNI.Suspend,
	}
	out := s.release(nameCiliumResources, TypeCiliumResources, stageResources, ciliumPath, settings, b)
	out.Beside = []string{nameCilium}
	return []Release{out}
}

// ciliumPoolValues are a pool in the words of the chart.
func (s *state) ciliumPoolValues(p ciliumPool) map[string]any {
	given := s.spec.IPPools[p.index]
	out := map[string]any{"name": p.name, "advertise": given.BGPExport != networkstackv1alpha1.Disabled}
	for f, r := range p.families {
		if s.has(f) {
			out[familyKey(f)] = map[string]any{"cidrs": anyList(r.cidrs), "maskSize": r.mask}
		}
	}
	masqueraded := slices.ContainsFunc(s.families, func(f networkstackv1alpha1.IPFamily) bool { return s.nat[f] })
	if !p.nat && masqueraded {
		out["skipMasquerade"] = true
	}
	if given.Disabled {
		out["disabled"] = true
	}
	if given.PodSelector != nil {
		out["podSelector"] = selectorValue(given.PodSelector)
	}
	if given.NamespaceSelector != nil {
		out["namespaceSelector"] = selectorValue(given.NamespaceSelector)
	}
	return out
}

// selectorValue is a label selector as JSON has it.
func selectorValue(s *metav1.LabelSelector) map[string]any {
	out := map[string]any{}
	if len(s.MatchLabels) > 0 {
		labels := map[string]any{}
		for k, v := range s.MatchLabels {
			labels[k] = v
		}
		out["matchLabels"] = labels
	}
	var list []any
	for _, e := range s.MatchExpressions {
		entry := map[string]any{"key": e.Key, "operator": string(e.Operator)}
		if len(e.Values) > 0 {
			entry["values"] = anyStrings(e.Values)
		}
		list = append(list, entry)
	}
	if list != nil {
		out["matchExpressions"] = list
	}
	return out
}

// previousCiliumPool is what is known of a pool that the component there is has.
type previousCiliumPool struct {
	cidrs map[networkstackv1alpha1.IPFamily][]string
	masks map[networkstackv1alpha1.IPFamily]int64
	// disabled says that it selects no pods any more.
	disabled bool
}

// previousCiliumPools are those that the component there is was given, by name, in their order.
func previousCiliumPools(existing map[string]networkstackv1alpha1.NetworkComponentSpec) (
	names []string, pools map[string]previousCiliumPool,
) {
	values, err := ParseValues(existing[nameCiliumResources].DerivedValues)
	if err != nil {
		return nil, nil
	}
	list, _ := values["pools"].([]any)
	pools = map[string]previousCiliumPool{}
	for _, entry := range list {
		m, _ := entry.(map[string]any)
		name, _ := m["name"].(string)
		p := previousCiliumPool{cidrs: map[networkstackv1alpha1.IPFamily][]string{}, masks: map[networkstackv1alpha1.IPFamily]int64{}}
		for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
			p.cidrs[f] = words(m, familyKey(f)+".cidrs")
			mask, _ := lookup(m, familyKey(f)+".maskSize")
			p.masks[f], _ = mask.(int64)
		}
		p.disabled, _ = m["disabled"].(bool)
		names = append(names, name)
		pools[name] = p
	}
	return names, pools
}

// validateMultiPoolsKept holds the pools to what was installed: CIDRs and pools may be added, and a pool may go once it has been
// disabled. Whether there are pods with its addresses is not known here.
func (s *state) validateMultiPoolsKept() {
	names, before := previousCiliumPools(s.existing)
	for _, name := range names {
		was := before[name]
		i := slices.IndexFunc(s.ciliumPools, func(p ciliumPool) bool { return p.name == name })
		if i < 0 {
			if slices.ContainsFunc(s.spec.IPPools, func(p networkstackv1alpha1.IPPool) bool { return p.Name == name }) {
				continue // its CIDRs are refused themselves
			}
			s.validatePoolGone(name, was)
			continue
		}
		now := s.ciliumPools[i]
		for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
			var cidrs []string
			for _, p := range now.families[f].cidrs {
				cidrs = append(cidrs, p.String())
			}
			path := poolsPath.Index(now.index)
			for _, cidr := range was.cidrs[f] {
				if !slices.Contains(cidrs, cidr) && len(s.pools) == s.countCIDRs() {
					s.refuse(ruleCiliumPoolChanged, field.Invalid(path.Child("cidrs"), strings.Join(cidrs, ", "), fmt.Sprintf(
						"%s is in use and cannot be changed or removed: restore it, and add CIDRs beside it; to be rid of it, add another pool, "+
							"disable this one, and remove it when no pod has an address of it", cidr)))
				}
			}
			if mask := now.families[f].mask; mask > 0 && was.masks[f] > 0 && int64(mask) != was.masks[f] {
				s.refuse(ruleCiliumPoolChanged, field.Invalid(path.Child("nodeMaskSizes", familyKey(f)), mask, fmt.Sprintf(
					"nodes have ranges of /%d of the pool, whose size cannot be changed: set it to %d, or add another pool", was.masks[f], was.masks[f])))
			}
		}
	}
}

// validatePoolGone wants a pool to be disabled, and its ranges to be given back, before it is removed.
func (s *state) validatePoolGone(name string, was previousCiliumPool) {
	if !was.disabled {
		s.refuse(ruleCiliumPoolChanged, field.Forbidden(poolsPath, fmt.Sprintf(
			"the pool %s would be deleted with pods that have addresses of it: restore it, set disabled, re-create its pods, and remove it then", name)))
		return
	}
	cidrs := slices.Concat(was.cidrs[ipv4], was.cidrs[ipv6])
	if !s.facts.Allocations.Known {
		s.refuseUnknownUse(cidrs)
		return
	}
	for _, cidr := range cidrs {
		if use := s.inUse(cidr); use.ranges > 0 {
			s.refuse(ruleCiliumPoolInUse, field.Forbidden(poolsPath, fmt.Sprintf(
				"%s of the disabled pool %s has ranges of %s: restore it, re-create the pods that have addresses of it, and remove it when the nodes have given them back",
				cidr, name, nodeList(use.nodes))))
			return
		}
	}
	s.warn(ruleCiliumPoolRemoved, poolsPath, "the pool %s goes away; no node has a range of it", name)
}
