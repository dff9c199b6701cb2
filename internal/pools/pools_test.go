package pools

import (
	"fmt"
	"net/netip"
	"testing"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
)

func ranges(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// nodePool gives ranges to nodes, as Flannel's does.
func nodePool(name string, mask int, cidrs ...string) Pool {
	p := Pool{Name: name, Family: IPv4, CIDRs: ranges(cidrs...), Unit: PoolNodeRanges, NodeMask: mask, OnePerNode: true, Groups: []string{"IPv4"}}
	return p
}

// addressPool gives addresses to pods, as Calico's does.
func addressPool(name string, family IPFamily, cidrs ...string) Pool {
	return Pool{Name: name, Family: family, CIDRs: ranges(cidrs...), Unit: PoolAddresses, Groups: []string{string(family) + "/all()"}}
}

func TestCapacity(t *testing.T) {
	six := func(p Pool) Pool { p.Family = IPv6; return p }
	for _, tc := range []struct {
		name string
		pool Pool
		want int64
	}{
		{"a /16 in ranges of /24", nodePool("a", 24, "10.244.0.0/16"), 256},
		{"a /16 in ranges of /26", nodePool("a", 26, "10.244.0.0/16"), 1024},
		{"as large as one range", nodePool("a", 24, "10.244.0.0/24"), 1},
		{"smaller than one range", nodePool("a", 24, "10.244.0.0/25"), 0},
		{"two CIDRs", nodePool("a", 24, "10.244.0.0/16", "10.245.0.0/20"), 256 + 16},
		{"a mask that nobody states", nodePool("a", 0, "10.244.0.0/16"), 256},
		{"an IPv6 mask that nobody states", six(nodePool("a", 0, "fd00:10:244::/56")), 256},
		{"as many IPv6 ranges as there may be", six(nodePool("a", 64, "fd00:10:244::/48")), 65536},
		{"not known", nodePool("a", 24), 0},
		{"addresses", addressPool("a", IPv4, "10.244.0.0/16"), 65536},
		{"one address", addressPool("a", IPv4, "10.244.0.1/32"), 1},
		{"all of IPv4", addressPool("a", IPv4, "0.0.0.0/0"), 1 << 32},
		{"IPv6 addresses that can be told", addressPool("a", IPv6, "fd00::/76"), 1 << 52},
		{"one more than can be told", addressPool("a", IPv6, "fd00::/75"), Most},
		{"all of IPv6", addressPool("a", IPv6, "::/0"), Most},
		{"a sum that cannot be told", addressPool("a", IPv6, "fd00::/76", "fd00:1::/76", "fd00:2::/64"), Most},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Capacity(tc.pool); got != tc.want {
				t.Errorf("%d, want %d", got, tc.want)
			}
		})
	}
}

func TestCount(t *testing.T) {
	nodes := []Allocation{
		{Range: netip.MustParsePrefix("10.244.0.0/24"), Node: "a"}, {Range: netip.MustParsePrefix("10.244.1.0/24"), Node: "b"},
		{Range: netip.MustParsePrefix("10.245.0.0/24"), Node: "c"}, {Range: netip.MustParsePrefix("fd00:10:244::/64"), Node: "a"},
		{Range: netip.MustParsePrefix("10.244.1.0/24"), Node: "twice"}, {},
	}
	named := []Allocation{
		{Pool: "a", Range: netip.MustParsePrefix("10.244.0.0/27")}, {Pool: "b", Range: netip.MustParsePrefix("10.244.0.32/27")},
		{Pool: "b", Range: netip.MustParsePrefix("10.244.0.64/27")}, {Pool: "b", Range: netip.MustParsePrefix("fd00::/80")},
	}
	blocks := []Allocation{
		{Range: netip.MustParsePrefix("10.244.0.0/26"), Block: true, Used: 60}, {Range: netip.MustParsePrefix("10.244.7.64/26"), Block: true, Used: 4},
		{Range: netip.MustParsePrefix("10.250.0.0/26"), Block: true, Used: 9}, {Range: netip.MustParsePrefix("fd00::/122"), Block: true, Used: 7},
	}
	byName := func(name string) Pool {
		p := nodePool(name, 27, "10.244.0.0/16")
		p.Named = true
		return p
	}
	for _, tc := range []struct {
		name                string
		pool                Pool
		given               []Allocation
		allocated, capacity int64
	}{
		{"ranges of nodes", nodePool("a", 24, "10.244.0.0/16"), nodes, 2, 256},
		{"of the other pool", nodePool("b", 24, "10.245.0.0/16"), nodes, 1, 256},
		{"the mask is that of the nodes", nodePool("a", 0, "10.244.0.0/22"), nodes, 2, 4},
		{"a range that nobody knows", nodePool("a", 24), nodes, 3, 0},
		{"by name", byName("b"), named, 2, 2048},
		{"of no such name", byName("c"), named, 0, 2048},
		{"addresses", addressPool("a", IPv4, "10.244.0.0/16"), blocks, 64, 65536},
		{"addresses of two CIDRs", addressPool("a", IPv4, "10.244.0.0/16", "10.250.0.0/24"), blocks, 73, 65536 + 256},
		{"IPv6 addresses", addressPool("a", IPv6, "fd00::/64"), blocks, 7, Most},
		{"nothing", addressPool("a", IPv4, "10.1.0.0/16"), blocks, 0, 65536},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Count([]Pool{tc.pool}, tc.given)
			if len(got) != 1 || got[0].Allocated != tc.allocated || got[0].Capacity != tc.capacity {
				t.Errorf("%+v, want %d of %d", got, tc.allocated, tc.capacity)
			}
		})
	}
}

func TestPercent(t *testing.T) {
	for _, tc := range []struct {
		allocated, capacity int64
		want                int32
	}{
		{0, 256, 0}, {1, 256, 0}, {3, 256, 1}, {204, 256, 79}, {205, 256, 80}, {255, 256, 99}, {256, 256, 100}, {300, 256, 100},
		{65535, 65536, 99}, {Most - 1, Most, 99}, {1 << 30, Most, 0}, {0, 0, 100},
	} {
		if got := Percent(tc.allocated, tc.capacity); got != tc.want {
			t.Errorf("%d of %d is %d %%, want %d", tc.allocated, tc.capacity, got, tc.want)
		}
	}
}

// TestNext goes along the thresholds upwards and downwards.
func TestNext(t *testing.T) {
	for _, tc := range []struct {
		before    PoolState
		allocated int64 // of 1000
		want      PoolState
	}{
		{"", 0, PoolSufficient}, {"", 799, PoolSufficient}, {"", 800, PoolNearlyExhausted}, {"", 950, PoolCritical}, {"", 1000, PoolExhausted},
		{PoolSufficient, 799, PoolSufficient}, {PoolSufficient, 800, PoolNearlyExhausted}, {PoolSufficient, 1000, PoolExhausted},
		{PoolNearlyExhausted, 799, PoolNearlyExhausted}, {PoolNearlyExhausted, 750, PoolNearlyExhausted}, {PoolNearlyExhausted, 749, PoolSufficient},
		{PoolNearlyExhausted, 949, PoolNearlyExhausted}, {PoolNearlyExhausted, 950, PoolCritical},
		{PoolCritical, 949, PoolCritical}, {PoolCritical, 920, PoolCritical}, {PoolCritical, 919, PoolNearlyExhausted}, {PoolCritical, 10, PoolSufficient},
		{PoolExhausted, 999, PoolCritical}, {PoolExhausted, 919, PoolNearlyExhausted}, {PoolExhausted, 1001, PoolExhausted},
	} {
		t.Run(fmt.Sprint(tc.before, " ", tc.allocated), func(t *testing.T) {
			if got := Next(tc.before, tc.allocated, 1000); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}
