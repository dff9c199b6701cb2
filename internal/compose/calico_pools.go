package compose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

const (
	// maxCalicoPools is how many pools an Installation takes.
	maxCalicoPools = 25
	// Prefix lengths of Calico's blocks: the defaults, and the shortest and longest that it takes.
	calicoBlockIPv4, minCalicoBlockIPv4, maxCalicoBlockIPv4 = 26, 20, 32
	calicoBlockIPv6, minCalicoBlockIPv6, maxCalicoBlockIPv6 = 122, 116, 128
	// allNodes is Calico's selector of every node.
	allNodes = "all()"
	// Calico's words for whom a pool is for: everybody, or pods that name it.
	calicoAutomatic, calicoOnRequest = "Automatic", "Manual"
	// calicoPoolsKey is where the chart has the pools.
	calicoPoolsKey = "installation.calicoNetwork.ipPools"
)

// calicoPool is one of Calico's IPPools: one CIDR of one of the spec's pools.
type calicoPool struct {
	pool
	name          string
	encapsulation networkstackv1alpha1.Encapsulation
	// encapsulationPath is the field that says so.
	encapsulationPath *field.Path
	blockSize         int
	nodeSelector      string
	nat, bgpExport    bool
	disabled          bool
	// onRequest pools are for pods that name them.
	onRequest bool
}

// viaBGP says whether nodes know the way to a pool's addresses by BGP alone.
func (p calicoPool) viaBGP() bool {
	switch p.encapsulation {
	case networkstackv1alpha1.EncapsulationVXLAN, networkstackv1alpha1.EncapsulationVXLANCrossSubnet:
		return false
	default:
		return true
	}
}

// value is the pool as an Installation has it. Every field is written, for what is left out the tigera-operator fills in,
// and the list has one owner.
func (p calicoPool) value() map[string]any {
	assignment := calicoAutomatic
	if p.onRequest {
		assignment = calicoOnRequest
	}
	return map[string]any{
		"name": p.name, "cidr": p.prefix.String(), "encapsulation": string(p.encapsulation), "blockSize": p.blockSize,
		"natOutgoing": string(toggle(p.nat)), "nodeSelector": p.nodeSelector, "disableBGPExport": !p.bgpExport,
		"disableNewAllocations": p.disabled, "allowedUses": []any{"Workload", "Tunnel"}, "assignmentMode": assignment,
	}
}

// derivePodSubnets takes kubeadm's ranges when the spec names no pools. A pool of Calico can not be changed later, so ranges
// that only hold the nodes there are would not do.
func (s *state) derivePodSubnets() {
	var texts []string
	for _, p := range s.facts.PodSubnets {
		if f := familyOf(p.Addr()); s.has(f) {
			s.pools = append(s.pools, pool{prefix: p.Masked(), family: f, index: -1, path: poolsPath})
			texts = append(texts, p.Masked().String())
		}
	}
	if len(texts) > 0 {
		s.note(poolsPath, strings.Join(texts, ", "), "networking.podSubnet of kube-system/kubeadm-config")
	}
}

// deriveCalicoPools settles Calico's pools.
func (s *state) deriveCalicoPools() {
	before := s.previousCalicoPools()
	sizes := map[networkstackv1alpha1.IPFamily]bool{}
	for _, p := range s.pools {
		out := calicoPool{
			pool: p, name: calicoPoolName("default", p.prefix), encapsulation: s.encapsulation,
			encapsulationPath: cniPath.Child("encapsulation"), nodeSelector: allNodes, nat: true, bgpExport: true,
		}
		var given *networkstackv1alpha1.BlockSizes
		if p.index >= 0 {
			spec := s.spec.IPPools[p.index]
			given = spec.BlockSizes
			out.name = calicoPoolName(spec.Name, p.prefix)
			out.nat = spec.NATOutgoing != networkstackv1alpha1.Disabled
			out.bgpExport = spec.BGPExport != networkstackv1alpha1.Disabled
			out.disabled, out.onRequest = spec.Disabled, spec.OnRequest
			if spec.Encapsulation != "" {
				out.encapsulation, out.encapsulationPath = spec.Encapsulation, poolsPath.Index(p.index).Child("encapsulation")
			}
			if selector, err := calicoSelector(spec.NodeSelector); err == nil {
				out.nodeSelector = selector
			} // else it was refused with the pool
		}
		previous, known := before[p.prefix.String()]
		if known {
			out.name = previous.name // whatever the pool is called now
		}
		size, path := blockSize(given, p)
		switch {
		case size != 0:
			out.blockSize = size
			if known && previous.blockSize != size {
				s.refuse(ruleCalicoBlockChanged, field.Invalid(path, size, fmt.Sprintf(
					"Calico's pool %s has blocks of /%d, which cannot be changed: restore it, or give new pods another CIDR and disable this one",
					p.prefix, previous.blockSize)))
			}
		case known:
			out.blockSize = previous.blockSize
		default:
			out.blockSize = defaultBlockSize(p)
			if !sizes[p.family] {
				s.note(poolsPath.Child("blockSizes", familyKey(p.family)), out.blockSize,
					"Calico's default, or the whole of a smaller pool")
				sizes[p.family] = true
			}
		}
		s.calico.pools = append(s.calico.pools, out)
	}
}

func calicoPoolName(pool string, p netip.Prefix) string {
	return pool + "-" + strings.NewReplacer(".", "-", ":", "-", "/", "-").Replace(p.String())
}

// blockSize that the spec states for a pool; 0 when it states none.
func blockSize(given *networkstackv1alpha1.BlockSizes, p pool) (int, *field.Path) {
	if given == nil {
		return 0, nil
	}
	size := given.IPv4
	if p.family == ipv6 {
		size = given.IPv6
	}
	if size == nil {
		return 0, nil
	}
	return int(*size), poolsPath.Index(p.index).Child("blockSizes", familyKey(p.family))
}

func defaultBlockSize(p pool) int {
	if p.family == ipv6 {
		return max(calicoBlockIPv6, p.prefix.Bits())
	}
	return max(calicoBlockIPv4, p.prefix.Bits())
}

// previousCalicoPool is what is known of a pool that the component there is has.
type previousCalicoPool struct {
	name      string
	blockSize int
	disabled  bool
}

// previousCalicoPools are those that the component there is was given, by CIDR.
func (s *state) previousCalicoPools() map[string]previousCalicoPool {
	spec, known := s.existing[nameCalico]
	if !known {
		return nil
	}
	values, err := ParseValues(spec.DerivedValues)
	if err != nil {
		return nil
	}
	list, _ := lookup(values, calicoPoolsKey)
	pools, _ := list.([]any)
	out := map[string]previousCalicoPool{}
	for _, p := range pools {
		entry, _ := p.(map[string]any)
		cidr, _ := entry["cidr"].(string)
		name, _ := entry["name"].(string)
		size, _ := entry["blockSize"].(int64)
		disabled, _ := entry["disableNewAllocations"].(bool)
		out[cidr] = previousCalicoPool{name: name, blockSize: int(size), disabled: disabled}
	}
	return out
}

// calicoSelector is a label selector in Calico's words.
func calicoSelector(selector *metav1.LabelSelector) (string, error) {
	if selector == nil {
		return allNodes, nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return "", err
	}
	requirements, _ := parsed.Requirements()
	var terms []string
	for _, r := range requirements {
		var values []string
		for _, v := range r.ValuesUnsorted() {
			values = append(values, "'"+v+"'")
		}
		slices.Sort(values)
		set := "{" + strings.Join(values, ", ") + "}"
		switch r.Operator() {
		case selection.Exists:
			terms = append(terms, "has("+r.Key()+")")
		case selection.DoesNotExist:
			terms = append(terms, "!has("+r.Key()+")")
		case selection.NotIn:
			terms = append(terms, r.Key()+" not in "+set)
		default: // a label selector has no others
			terms = append(terms, r.Key()+" in "+set)
		}
	}
	if len(terms) == 0 {
		return allNodes, nil
	}
	return strings.Join(terms, " && "), nil
}

// validatePoolSettings refuses settings of pools that the CNI has no notion of, and those that cannot be read.
func (s *state) validatePoolSettings() {
	for i, p := range s.spec.IPPools {
		path := poolsPath.Index(i)
		s.validateMultiPoolSettings(p, path)
		if s.spec.CNI.Type != networkstackv1alpha1.CNICalico {
			for _, f := range []struct {
				name string
				set  bool
			}{
				{"blockSizes", p.BlockSizes != nil},
				{"encapsulation", p.Encapsulation != ""},
				{"nodeSelector", p.NodeSelector != nil},
				{"onRequest", p.OnRequest},
				{"bgpExport", p.BGPExport != "" && !s.multiPool()},
				{"disabled", p.Disabled && !s.multiPool()},
			} {
				if f.set {
					s.refuse(ruleCalicoPoolField, field.Forbidden(path.Child(f.name), fmt.Sprintf(
						"is a setting of Calico's pools, and cni.type is %s: remove it, or set cni.type to Calico", s.spec.CNI.Type)))
				}
			}
			continue
		}
		if _, err := calicoSelector(p.NodeSelector); err != nil {
			s.refuse(ruleCalicoNodeSelector, field.Invalid(path.Child("nodeSelector"), field.OmitValueType{},
				err.Error()+": write labels and operators as Kubernetes does"))
		}
		if p.Encapsulation == networkstackv1alpha1.EncapsulationGeneve {
			s.refuse(ruleCalicoGeneve, field.Invalid(path.Child("encapsulation"), p.Encapsulation,
				"Calico has no Geneve: use VXLAN, IPIP or None"))
		}
		s.validateBlockSizes(i, p.BlockSizes)
		if p.NodeMaskSizes != nil {
			s.refuse(ruleCalicoNodeMask, field.Forbidden(path.Child("nodeMaskSizes"),
				"Calico gives nodes blocks as they need them, not one range each: use blockSizes"))
		}
	}
}

func (s *state) validateBlockSizes(i int, sizes *networkstackv1alpha1.BlockSizes) {
	if sizes == nil {
		return
	}
	for _, f := range []struct {
		family        networkstackv1alpha1.IPFamily
		size          **int32
		min, max, use int32
	}{
		{ipv4, &sizes.IPv4, minCalicoBlockIPv4, maxCalicoBlockIPv4, calicoBlockIPv4},
		{ipv6, &sizes.IPv6, minCalicoBlockIPv6, maxCalicoBlockIPv6, calicoBlockIPv6},
	} {
		path := poolsPath.Index(i).Child("blockSizes", familyKey(f.family))
		switch {
		case *f.size == nil:
		case **f.size < f.min || **f.size > f.max:
			s.refuse(ruleCalicoBlockSize, field.Invalid(path, **f.size, fmt.Sprintf(
				"must be from %d to %d; %d is usual", f.min, f.max, f.use)))
			*f.size = nil
		case !slices.ContainsFunc(s.pools, func(p pool) bool { return p.index == i && p.family == f.family }):
			s.warn(ruleCalicoBlockNoEffect, path, "has no effect: the pool has no %s CIDR", f.family)
		}
	}
}

// validateCalicoPools refuses pools that Calico, or its tigera-operator, does not take.
func (s *state) validateCalicoPools() {
	pools := s.calico.pools
	if len(s.spec.IPPools) == 0 && len(pools) == 0 && s.withFacts {
		s.refuse(ruleCalicoPoolsMissing, field.Required(poolsPath,
			"Calico's pools cannot be changed later, and kubeadm's configuration names no networking.podSubnet to take: state at least one pool for each IP family"))
	}
	if len(pools) > maxCalicoPools {
		s.refuse(ruleCalicoPoolsTooMany, field.Invalid(poolsPath, len(pools), fmt.Sprintf(
			"Calico takes at most %d CIDRs in all pools together: use fewer and wider ones", maxCalicoPools)))
	}
	for _, p := range pools {
		ipip := p.encapsulation == networkstackv1alpha1.EncapsulationIPIP ||
			p.encapsulation == networkstackv1alpha1.EncapsulationIPIPCrossSubnet
		if ipip && s.facts.Cloud == facts.CloudAzure {
			s.refuse(ruleCalicoIPIPAzure, field.Invalid(p.encapsulationPath, p.encapsulation, "the nodes run on Azure, whose network drops IPIP: use VXLAN"))
		}
		if ipip && p.family == ipv6 {
			s.refuse(ruleCalicoIPIP, field.Invalid(p.encapsulationPath, p.encapsulation, fmt.Sprintf(
				"IPIP carries IPv4 alone, and the pool has %s: use VXLAN, or give IPv6 a pool of its own with encapsulation VXLAN or None", p.prefix)))
		}
		if p.viaBGP() && !s.calico.bgp && p.encapsulation != networkstackv1alpha1.EncapsulationGeneve {
			s.refuse(ruleCalicoBGP, field.Invalid(p.encapsulationPath, p.encapsulation, fmt.Sprintf(
				"nodes learn the routes of %s by BGP, which cni.calico.bgp disables: enable it, or use VXLAN or VXLANCrossSubnet", p.prefix)))
		}
		if p.prefix.Bits() > p.blockSize {
			s.refuse(ruleCalicoPoolSmall, field.Invalid(p.path, p.prefix.String(), fmt.Sprintf(
				"is smaller than one block (/%d): use a shorter prefix, or a longer blockSizes.%s", p.blockSize, familyKey(p.family))))
		}
		s.validateKubeadmRange(p)
	}
	for _, f := range s.families {
		s.validateFamilyOfCalicoPools(f)
	}
	s.validateRemovedCalicoPools()
}

// validateKubeadmRange refuses a pool outside of kubeadm's range: the tigera-operator compares them once, before it makes the
// first pool, and stops.
func (s *state) validateKubeadmRange(p calicoPool) {
	ours, _ := s.installed(string(networkstackv1alpha1.CNICalico))
	if ours != nil || !s.facts.Kubeadm || p.index < 0 {
		return
	}
	inside := slices.ContainsFunc(s.facts.PodSubnets, func(r netip.Prefix) bool {
		return r.Overlaps(p.prefix) && r.Bits() <= p.prefix.Bits()
	})
	switch {
	case len(s.facts.PodSubnets) == 0:
		s.refuse(ruleCalicoKubeadmRange, field.Invalid(p.path, p.prefix.String(),
			"kubeadm's configuration (kube-system/kubeadm-config) has no networking.podSubnet, without which the tigera-operator makes no pool: add it there"))
	case !inside:
		s.refuse(ruleCalicoKubeadmRange, field.Invalid(p.path, p.prefix.String(), fmt.Sprintf(
			"lies outside of kubeadm's networking.podSubnet (%s), which the tigera-operator refuses: use a range inside, or correct kube-system/kubeadm-config",
			joined(s.facts.PodSubnets))))
	}
}

func joined[T fmt.Stringer](list []T) string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", ")
}

// validateFamilyOfCalicoPools looks at the addresses that new pods of a family can get.
func (s *state) validateFamilyOfCalicoPools(f networkstackv1alpha1.IPFamily) {
	all, asked, enabled, everywhere, blocks := 0, 0, 0, 0, 0
	for _, p := range s.calico.pools {
		if p.family != f {
			continue
		}
		all++
		if p.disabled {
			continue
		}
		if p.onRequest {
			asked++
			continue
		}
		enabled++
		if p.nodeSelector == allNodes {
			everywhere++
		}
		blocks += 1 << min(max(p.blockSize-p.prefix.Bits(), 0), 24)
	}
	switch {
	case all == 0: // refused with the families
	case enabled == 0 && asked > 0:
		s.refuse(ruleCalicoPoolsOnRequest, field.Invalid(poolsPath, familiesText([]networkstackv1alpha1.IPFamily{f}), fmt.Sprintf(
			"every pool with an %s CIDR is disabled or onRequest, so pods that name none, and the nodes' own tunnels, get no %s address: let one be for all", f, f)))
	case enabled == 0:
		s.refuse(ruleCalicoPoolsDisabled, field.Invalid(poolsPath, familiesText([]networkstackv1alpha1.IPFamily{f}), fmt.Sprintf(
			"every pool with an %s CIDR is disabled, so new pods get no %s address: enable one", f, f)))
	case everywhere == 0:
		s.warn(ruleCalicoPoolsSelect, poolsPath, "every pool with an %s CIDR has a nodeSelector: pods on nodes that none selects get no address", f)
	case blocks < len(s.linux):
		s.warn(ruleCalicoBlocksFew, poolsPath, "the %s pools have %d blocks and there are %d nodes: nodes without a block borrow single addresses, each with a route of its own",
			f, blocks, len(s.linux))
	}
}
