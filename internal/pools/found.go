package pools

import (
	"cmp"
	"net/netip"
	"slices"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Found are the pools that the books themselves tell of, for a network plugin that is set up by somebody else. Each serves for itself.
func Found(allocations []Allocation) []Pool {
	type key struct {
		name string
		of   netip.Prefix
		four bool
	}
	var out []Pool
	seen, names := map[key]bool{}, map[string]bool{}
	for _, a := range slices.SortedStableFunc(slices.Values(allocations), func(a, b Allocation) int {
		return cmp.Or(cmp.Compare(a.Pool, b.Pool), a.Of.Compare(b.Of))
	}) {
		if !a.Range.IsValid() {
			continue
		}
		k := key{a.Pool, a.Of, a.Range.Addr().Is4()}
		if seen[k] {
			continue
		}
		seen[k] = true
		p := Pool{
			Name: a.Pool, Family: networkstackv1alpha1.IPv6, Unit: networkstackv1alpha1.PoolNodeRanges, OnePerNode: true,
			Reserved: a.Reserved,
		}
		if k.four {
			p.Family = networkstackv1alpha1.IPv4
		}
		if a.Block {
			p.Unit, p.OnePerNode = networkstackv1alpha1.PoolAddresses, false
		}
		if a.Of.IsValid() {
			p.CIDRs = []netip.Prefix{a.Of}
		} else {
			p.Named = true
		}
		// Networks that are no part of each other may have subnets of the same name.
		if id := p.Name + "/" + string(p.Family); names[id] {
			p.Name = a.Of.String()
		} else {
			names[id] = true
		}
		p.Groups = []string{string(p.Family) + "/" + p.Name}
		out = append(out, p)
	}
	return out
}
