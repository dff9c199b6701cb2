package pools

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFound has the books of AKS tell the pools, and counts what is given out of each.
func TestFound(t *testing.T) {
	overlay := func(pool, own, of string) Allocation {
		a := Allocation{Pool: pool, Range: netip.MustParsePrefix(own), Node: own}
		if of != "" {
			a.Of = netip.MustParsePrefix(of)
		}
		return a
	}
	subnet := func(pool, of string, used int64) Allocation {
		p := netip.MustParsePrefix(of)
		return Allocation{Pool: pool, Range: p, Of: p, Block: true, Used: used, Reserved: 5}
	}
	for _, tc := range []struct {
		name        string
		allocations []Allocation
		want        []string
	}{
		{"none", nil, nil},
		{"what is none", []Allocation{{Pool: "a"}}, nil},
		{"ranges of nodes", []Allocation{overlay("o", "10.244.0.0/24", "10.244.0.0/16"), overlay("o", "10.244.1.0/24", "10.244.0.0/16")}, []string{
			"o IPv4 NodeRanges 2/256 [IPv4/o]",
		}},
		{"both families", []Allocation{overlay("o", "10.244.0.0/24", "10.244.0.0/16"), overlay("o", "fd00::/64", "fd00::/56")}, []string{
			"o IPv4 NodeRanges 1/256 [IPv4/o]", "o IPv6 NodeRanges 1/256 [IPv6/o]",
		}},
		{"of nobody knows what", []Allocation{overlay("o", "10.244.0.0/24", ""), overlay("o", "10.244.1.0/24", ""), overlay("p", "10.245.0.0/24", "")}, []string{
			"o IPv4 NodeRanges 2/0 [IPv4/o]", "p IPv4 NodeRanges 1/0 [IPv4/p]",
		}},
		{"addresses of subnets", []Allocation{subnet("b", "10.241.0.0/24", 16), subnet("a", "10.240.0.0/24", 32), subnet("b", "10.241.0.0/24", 17)}, []string{
			"a IPv4 Addresses 32/251 [IPv4/a]", "b IPv4 Addresses 33/251 [IPv4/b]",
		}},
		{"subnets of one name", []Allocation{subnet("pods", "10.241.0.0/24", 16), subnet("pods", "10.240.0.0/24", 32)}, []string{
			"pods IPv4 Addresses 32/251 [IPv4/pods]", "10.241.0.0/24 IPv4 Addresses 16/251 [IPv4/10.241.0.0/24]",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, u := range Count(Found(tc.allocations), tc.allocations) {
				got = append(got, fmt.Sprintf("%s %s %s %d/%d %v", u.Name, u.Family, u.Unit, u.Allocated, u.Capacity, u.Groups))
				if u.OnePerNode == (u.Unit == "Addresses") {
					t.Errorf("%s: one each: %v", u.Name, u.OnePerNode)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
