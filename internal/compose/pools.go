package compose

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
	ippools "github.com/networkstack/networkstack/internal/pools"
)

// derivedPool is what ranges are called that no pool of the spec has.
const derivedPool = "default"

// InstalledPools are the pools that the network plugin has, as it was told when it was last changed: what the spec says now may be
// refused, or on its way.
type InstalledPools struct {
	Pools []ippools.Pool
	// Source of what is given out of them.
	Source facts.AllocationSource
	// FromBooks says that what is given out tells the pools as well.
	FromBooks bool
	// WayOut is what to do when they are full.
	WayOut string
	// Unknown says why it is not known how much room there is, where it is not.
	Unknown string
}

// PoolsOf finds the pools that the components there are have, and what is known of those of a network plugin that somebody else runs.
func PoolsOf(in Input) InstalledPools {
	p := poolFinder{spec: &in.Stack.Spec, facts: in.Facts, existing: in.Existing}
	switch p.spec.CNI.Type {
	case networkstackv1alpha1.CNIAWSVPC:
		return InstalledPools{Unknown: unknownAWS}
	case networkstackv1alpha1.CNIAzure:
		return InstalledPools{Source: facts.AllocationsOfAzure, FromBooks: true, WayOut: wayOutAzure, Unknown: unknownAzure}
	case networkstackv1alpha1.CNIGKE:
		out := p.fromNodes(p.familiesOfNodes())
		out.Unknown = unknownGKE
		return out
	case networkstackv1alpha1.CNIExternal:
		return p.external()
	default:
	}
	for _, c := range []struct {
		name string
		find func(values map[string]any) InstalledPools
	}{
		{nameFlannel, p.flannel}, {nameCilium, p.cilium}, {nameCalico, p.calico}, {nameWeaveNet, p.weave},
	} {
		spec, there := in.Existing[c.name]
		if !there {
			continue
		}
		if values, err := ParseValues(spec.DerivedValues); err == nil {
			return c.find(values)
		}
	}
	return InstalledPools{}
}

type poolFinder struct {
	spec     *networkstackv1alpha1.NetworkStackSpec
	facts    *facts.Snapshot
	existing map[string]networkstackv1alpha1.NetworkComponentSpec
}

// name of the spec's pool that has a CIDR; the one given when none has.
func (p poolFinder) name(cidr, otherwise string) string {
	for _, pool := range p.spec.IPPools {
		if slices.Contains(pool.CIDRs, cidr) {
			return pool.Name
		}
	}
	return otherwise
}

const (
	wayOutNodes = "kube-controller-manager gives out these ranges: remove nodes that are not needed, or let its --cluster-cidr be a " +
		"wider range that holds the present one, and state that in ipPools"
	wayOutCilium = "add a CIDR to ipPools, which interrupts nothing"
	wayOutAzure  = "it is set up in AKS: add a node pool with another pod subnet, or with Overlay another range (az aks update)"
	wayOutCalico = "add a pool to ipPools, which interrupts nothing; a full one can be disabled, drained and removed"
)

// Why it is not known how much room there is.
const (
	unknownNodes = "what range kube-controller-manager gives out node ranges of is not known: state it in ipPools"
	unknownAWS   = "pods have addresses of the VPC's subnets, of which Amazon keeps the books, outside of the cluster: " +
		"awscni_assigned_ip_addresses and awscni_total_ip_addresses in the agents' metrics (port 61678) tell of each node"
	unknownAzure = "AKS tells in NodeNetworkConfigs, and this cluster has none: the subnets of the nodes have the books, in Azure"
	unknownGKE   = "how large the range is that GKE gives out node ranges of is not in the cluster: look at its secondary ranges in GKE"
	unknownWeave = "Weave Net's agents divide the range among themselves and keep no books in the cluster: weave_ips and weave_max_ips in " +
		"their metrics (port 6782) tell"
	unknownExternal = "the network plugin is somebody else's, and so are its pools"
)

// familiesOfNodes are the families of which nodes have ranges, each with the CIDR that the spec has of it, if it has one alone.
func (p poolFinder) familiesOfNodes() map[networkstackv1alpha1.IPFamily]string {
	out := map[networkstackv1alpha1.IPFamily]string{}
	for _, n := range p.facts.Nodes {
		for _, prefix := range n.PodCIDRs {
			f := familyOf(prefix.Addr())
			out[f] = string(f) // no range
		}
	}
	stated := map[networkstackv1alpha1.IPFamily][]string{}
	for _, pool := range p.spec.IPPools {
		for _, cidr := range pool.CIDRs {
			if prefix, err := netip.ParsePrefix(cidr); err == nil {
				f := familyOf(prefix.Addr())
				stated[f] = append(stated[f], cidr)
			}
		}
	}
	for f := range out {
		if len(stated[f]) == 1 {
			out[f] = stated[f][0]
		}
	}
	return out
}

// external has the pools of network plugins of others that always take the ranges that nodes have.
func (p poolFinder) external() InstalledPools {
	found := p.facts.CNIs()
	others := func(i facts.Installed) bool {
		return i.Type != facts.InstalledFlannel && i.Type != facts.InstalledKubeRouter
	}
	if len(found) == 0 || slices.ContainsFunc(found, others) {
		return InstalledPools{Unknown: unknownExternal}
	}
	return p.fromNodes(p.familiesOfNodes())
}

func (p poolFinder) weave(map[string]any) InstalledPools {
	return InstalledPools{Unknown: unknownWeave}
}

func (p poolFinder) flannel(values map[string]any) InstalledPools {
	return p.fromNodes(map[networkstackv1alpha1.IPFamily]string{ipv4: text(values, "podCidr"), ipv6: text(values, "podCidrv6")})
}

// fromNodes are the ranges that kube-controller-manager gives to nodes. What they are part of is known when the spec or kubeadm
// says so; a range that was derived from the nodes holds no others.
func (p poolFinder) fromNodes(wanted map[networkstackv1alpha1.IPFamily]string) InstalledPools {
	out := InstalledPools{Source: facts.AllocationsOfNodes, WayOut: wayOutNodes, Unknown: unknownNodes}
	for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
		if wanted[f] == "" {
			continue
		}
		pool := ippools.Pool{
			Name: p.name(wanted[f], derivedPool), Family: f, Unit: networkstackv1alpha1.PoolNodeRanges, OnePerNode: true,
			Groups: []string{string(f)},
		}
		if prefix, err := netip.ParsePrefix(wanted[f]); err == nil && len(p.spec.IPPools) > 0 {
			pool.CIDRs = []netip.Prefix{prefix}
		} else {
			pool.CIDRs = ofFamily(p.facts.PodSubnets, f)
		}
		out.Pools = append(out.Pools, pool)
	}
	return out
}

func (p poolFinder) cilium(values map[string]any) InstalledPools {
	out := InstalledPools{Source: facts.AllocationsOfCilium, WayOut: wayOutCilium}
	switch text(values, "ipam.mode") {
	case "kubernetes":
		wanted := map[networkstackv1alpha1.IPFamily]string{}
		for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
			if on, _ := lookup(values, familyKey(f)+".enabled"); on == true {
				wanted[f] = string(f) // no range: Cilium is told none
			}
		}
		return p.fromNodes(wanted)
	case "multi-pool":
		out.Pools = p.named()
		return out
	}
	for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
		size, _ := lookup(values, "ipam.operator.clusterPool"+string(f)+"MaskSize")
		mask, _ := size.(int64)
		for _, cidr := range words(values, "ipam.operator.clusterPool"+string(f)+"PodCIDRList") {
			prefix, err := netip.ParsePrefix(cidr)
			if err != nil {
				continue
			}
			out.Pools = gather(out.Pools, ippools.Pool{
				Name: p.name(cidr, cidr), Family: f, CIDRs: []netip.Prefix{prefix}, Unit: networkstackv1alpha1.PoolNodeRanges,
				NodeMask: int(mask), OnePerNode: true, Groups: []string{string(f)},
			})
		}
	}
	return out
}

// named are Cilium's pools that pods choose by name: each serves for itself, and a node has as many ranges of it as it needs.
func (p poolFinder) named() []ippools.Pool {
	var out []ippools.Pool
	names, known := previousCiliumPools(p.existing)
	for _, name := range names {
		was := known[name]
		for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
			for _, cidr := range was.cidrs[f] {
				prefix, err := netip.ParsePrefix(cidr)
				if err != nil {
					continue
				}
				out = gather(out, ippools.Pool{
					Name: name, Family: f, CIDRs: []netip.Prefix{prefix}, Unit: networkstackv1alpha1.PoolNodeRanges, Named: true,
					NodeMask: int(was.masks[f]), Groups: []string{string(f) + "/" + name}, Disabled: was.disabled,
				})
			}
		}
	}
	return out
}

// calico finds the pools of the Installation. A node may take addresses of every pool that selects it, so pools that select all
// serve for any other.
func (p poolFinder) calico(values map[string]any) InstalledPools {
	out := InstalledPools{Source: facts.AllocationsOfCalico, WayOut: wayOutCalico}
	list, _ := lookup(values, calicoPoolsKey)
	entries, _ := list.([]any)
	selectors := map[string]bool{}
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		cidr, _ := entry["cidr"].(string)
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			continue
		}
		name, _ := entry["name"].(string)
		name = strings.TrimSuffix(name, calicoPoolName("", prefix))
		selector, _ := entry["nodeSelector"].(string)
		disabled, _ := entry["disableNewAllocations"].(bool)
		f := familyOf(prefix.Addr())
		if entry["assignmentMode"] == calicoOnRequest {
			selector = "on request/" + p.name(cidr, name) // it serves for no other
		} else {
			selectors[selector] = true
		}
		out.Pools = gather(out.Pools, ippools.Pool{
			Name: p.name(cidr, name), Family: f, CIDRs: []netip.Prefix{prefix}, Unit: networkstackv1alpha1.PoolAddresses,
			Groups: []string{string(f) + "/" + selector}, Disabled: disabled,
		})
	}
	for i := range out.Pools {
		pool := &out.Pools[i]
		if pool.Groups[0] != string(pool.Family)+"/"+allNodes {
			continue
		}
		for _, selector := range slices.Sorted(maps.Keys(selectors)) {
			if selector != allNodes {
				pool.Groups = append(pool.Groups, string(pool.Family)+"/"+selector)
			}
		}
	}
	return out
}

// gather adds a pool of one CIDR, or that CIDR to the pool of the same name and family. When a name is used again while the pool that
// had it is still there, that one is called by its range.
func gather(list []ippools.Pool, p ippools.Pool) []ippools.Pool {
	i := slices.IndexFunc(list, func(q ippools.Pool) bool { return q.Name == p.Name && q.Family == p.Family })
	switch {
	case i < 0:
		return append(list, p)
	case list[i].Disabled != p.Disabled || list[i].NodeMask != p.NodeMask || !slices.Equal(list[i].Groups, p.Groups):
		p.Name = p.CIDRs[0].String()
		return append(list, p)
	}
	list[i].CIDRs = append(list[i].CIDRs, p.CIDRs...)
	return list
}

func text(values map[string]any, key string) string {
	v, _ := lookup(values, key)
	t, _ := v.(string)
	return t
}

// inUse is what is given out of a CIDR that the network plugin has and the spec no longer names.
type inUse struct {
	cidr              string
	ranges, addresses int64
	nodes             []string
}

func (s *state) inUse(cidr string) inUse {
	out := inUse{cidr: cidr}
	if p, err := netip.ParsePrefix(cidr); err == nil {
		out.ranges, out.addresses, out.nodes = s.facts.Allocations.InUse(p)
	}
	return out
}

// refuseUnknownUse waits until it is known what is given out: it takes a moment after the operator has started.
func (s *state) refuseUnknownUse(cidrs []string) {
	s.refuse(rulePoolUseUnknown, field.Forbidden(poolsPath, fmt.Sprintf(
		"whether pods have addresses of %s is not known yet, so it cannot be removed: wait, and it is looked at again; or restore it", strings.Join(cidrs, ", "))))
}

// validateRemovedCalicoPools wants a pool to be disabled, and drained, before it is removed: its pods lose their network with it.
func (s *state) validateRemovedCalicoPools() {
	before := s.previousCalicoPools()
	var giving, unknown []string
	for _, cidr := range slices.Sorted(maps.Keys(before)) {
		if slices.ContainsFunc(s.calico.pools, func(q calicoPool) bool { return q.prefix.String() == cidr }) {
			continue
		}
		use := s.inUse(cidr)
		switch {
		case !before[cidr].disabled:
			giving = append(giving, cidr+use.counted())
		case !s.facts.Allocations.Known:
			unknown = append(unknown, cidr)
		case use.addresses > 0:
			s.refuse(ruleCalicoPoolInUse, field.Forbidden(poolsPath, fmt.Sprintf(
				"%s%s of Calico is disabled but not drained: restore it, re-create the pods that have addresses of it, and remove it then",
				cidr, use.counted())))
		default:
			s.warn(ruleCalicoPoolRemoved, poolsPath, "%s goes away; no pod has an address of it", cidr)
		}
	}
	if len(giving) > 0 {
		s.refuse(ruleCalicoPoolInUse, field.Forbidden(poolsPath, fmt.Sprintf(
			"%s of Calico would be deleted with pods that have addresses of it: restore it, set disabled, re-create its pods, and remove it then",
			strings.Join(giving, ", "))))
	}
	if len(unknown) > 0 {
		s.refuseUnknownUse(unknown)
	}
}

// counted is " (214 addresses in use on nodes a, b and c)"; empty when none is.
func (u inUse) counted() string {
	switch {
	case u.addresses == 0:
		return ""
	case len(u.nodes) == 0:
		return fmt.Sprintf(" (addresses in use: %d)", u.addresses)
	}
	return fmt.Sprintf(" (addresses in use: %d, on %s)", u.addresses, nodeList(u.nodes))
}

// validateRemovedCIDR refuses to take a CIDR from an installed Cilium while nodes have ranges of it. The first one of a family is
// never taken away: nodes that come get theirs of it.
func (s *state) validateRemovedCIDR(cidr string, first bool, wanted []string) {
	use := s.inUse(cidr)
	switch {
	case first:
		s.refuse(ruleCiliumPoolChanged, field.Invalid(poolsPath, strings.Join(wanted, ", "), fmt.Sprintf(
			"%s is in use and cannot be changed or removed: restore it, and add CIDRs beside it", cidr)))
	case !s.facts.Allocations.Known:
		s.refuseUnknownUse([]string{cidr})
	case use.ranges > 0:
		s.refuse(ruleCiliumPoolInUse, field.Forbidden(poolsPath, fmt.Sprintf(
			"%s has the ranges of %s: restore it, drain and delete these nodes so that they are registered anew with a range of another CIDR, and remove it then",
			cidr, nodeList(use.nodes))))
	}
}
