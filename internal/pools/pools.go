// Package pools works out how much of the address pools is given out, how long what is left will last, and what to say about it.
// It is pure: no I/O, and the time is an argument.
package pools

import (
	"net/netip"
	"slices"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Most is the largest number told: what is beyond it, as in most IPv6 ranges, is counted as this. JSON's numbers are exact up to it.
const Most = 1<<53 - 1

// Pool is what there is to give out: the ranges of one family of one pool.
type Pool struct {
	Name   string
	Family networkstackv1alpha1.IPFamily
	// CIDRs are the ranges; none when it is not known what the allocations are part of.
	CIDRs []netip.Prefix
	Unit  networkstackv1alpha1.PoolUnit
	// NodeMask is the prefix length of a node's range; 0 is that of the ranges which nodes have.
	NodeMask int
	// OnePerNode says that a node has one range and never more.
	OnePerNode bool
	// Named says that allocations name their pool. Else an allocation is of the pool whose CIDR holds it.
	Named bool
	// Groups name the sets that the pool is in. Of a set, any pool serves when another is full.
	Groups []string
	// Disabled pools give nothing more out.
	Disabled bool
	// Reserved addresses of each of the CIDRs are given to nobody.
	Reserved int64
}

// Allocation is a range that was given to a node, or a block with addresses that were given to pods.
type Allocation struct {
	// Pool that it is of, where the network plugin says so.
	Pool  string
	Range netip.Prefix
	Node  string
	// Block says that the addresses are given out one by one. Used is how many are.
	Block bool
	Used  int64
	// Of is the pool's own range, where the books say so, and Reserved how many addresses of that are given to nobody.
	Of       netip.Prefix
	Reserved int64
}

// Usage is a Pool and what is given out of it.
type Usage struct {
	Pool
	// Capacity is 0 when it is not known.
	Capacity  int64
	Allocated int64
}

// Default prefix lengths of a node's range, those of kube-controller-manager.
const (
	defaultIPv4Mask = 24
	defaultIPv6Mask = 64
)

// Count counts what is given out of each pool.
func Count(pools []Pool, allocations []Allocation) []Usage {
	out := make([]Usage, 0, len(pools))
	for _, p := range pools {
		u := Usage{Pool: p}
		longest := 0
		seen := map[netip.Prefix]bool{}
		for _, a := range allocations {
			if !p.has(a) {
				continue
			}
			if p.Unit == networkstackv1alpha1.PoolAddresses {
				u.Allocated = add(u.Allocated, a.Used)
				continue
			}
			longest = max(longest, a.Range.Bits())
			if !seen[a.Range] {
				seen[a.Range] = true
				u.Allocated++
			}
		}
		if u.NodeMask == 0 {
			u.NodeMask = longest
		}
		u.Capacity = Capacity(u.Pool)
		out = append(out, u)
	}
	return out
}

// has says whether an allocation is of the pool.
func (p Pool) has(a Allocation) bool {
	if !a.Range.IsValid() || a.Range.Addr().Is4() != (p.Family == networkstackv1alpha1.IPv4) {
		return false
	}
	if p.Named {
		return a.Pool == p.Name
	}
	return len(p.CIDRs) == 0 || slices.ContainsFunc(p.CIDRs, func(c netip.Prefix) bool { return Holds(c, a.Range) })
}

// Holds says whether a range holds another one as a whole.
func Holds(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// Capacity is how many addresses or node ranges a pool has; at most Most, and 0 when its ranges are not known.
func Capacity(p Pool) int64 {
	mask := p.NodeMask
	if mask == 0 {
		mask = defaultIPv6Mask
		if p.Family == networkstackv1alpha1.IPv4 {
			mask = defaultIPv4Mask
		}
	}
	sum := int64(0)
	for _, c := range p.CIDRs {
		bits := c.Addr().BitLen() - c.Bits()
		if p.Unit == networkstackv1alpha1.PoolNodeRanges {
			bits = mask - c.Bits()
		}
		size := power(bits)
		if p.Unit == networkstackv1alpha1.PoolAddresses {
			size = max(size-p.Reserved, 0)
		}
		sum = add(sum, size)
	}
	return sum
}

// Size is how many addresses a range has; at most Most.
func Size(p netip.Prefix) int64 { return power(p.Addr().BitLen() - p.Bits()) }

// power of two, at most Most; 0 for a negative exponent.
func power(bits int) int64 {
	const exact = 53
	switch {
	case bits < 0:
		return 0
	case bits >= exact:
		return Most
	}
	return 1 << bits
}

// add adds up to Most. Neither number is negative.
func add(a, b int64) int64 {
	if a > Most-b {
		return Most
	}
	return a + b
}

// Percent of the capacity that is given out, rounded down, so that 100 is all of it.
func Percent(allocated, capacity int64) int32 {
	if capacity <= 0 || allocated >= capacity {
		return 100
	}
	return int32(float64(allocated) / float64(capacity) * 100)
}
