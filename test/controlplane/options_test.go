package controlplane

import (
	"net/netip"
	"slices"
	"testing"
)

func TestOptionsDefaults(t *testing.T) {
	tests := map[string]struct {
		options  Options
		podCIDRs []string
		fails    bool
	}{
		"dual-stack":         {Options{}, []string{"10.244.0.0/16", "fd00:10:244::/56"}, false},
		"IPv4":               {Options{ServiceCIDRs: []string{"10.0.0.0/24"}}, []string{"10.244.0.0/16"}, false},
		"IPv6":               {Options{ServiceCIDRs: []string{"fd00::/112"}}, []string{"fd00:10:244::/56"}, false},
		"IPv6 first":         {Options{ServiceCIDRs: []string{"fd00::/112", "10.0.0.0/24"}}, []string{"fd00:10:244::/56", "10.244.0.0/16"}, false},
		"families differ":    {Options{ServiceCIDRs: []string{"10.0.0.0/24"}, PodCIDRs: []string{"fd00::/56"}}, nil, true},
		"one family twice":   {Options{ServiceCIDRs: []string{"10.0.0.0/24", "10.1.0.0/24"}}, nil, true},
		"not a CIDR":         {Options{ServiceCIDRs: []string{"10.0.0.0"}}, nil, true},
		"three CIDRs":        {Options{ServiceCIDRs: []string{"10.0.0.0/24", "fd00::/112", "fd01::/112"}}, nil, true},
		"negative":           {Options{Nodes: -1}, nil, true},
		"256 nodes":          {Options{Nodes: 256}, []string{"10.244.0.0/16", "fd00:10:244::/56"}, false},
		"too many nodes":     {Options{Nodes: 257}, nil, true},
		"range for one node": {Options{Nodes: 1, ServiceCIDRs: []string{"10.0.0.0/24"}, PodCIDRs: []string{"10.1.0.0/25"}}, nil, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := test.options.withDefaults()
			if test.fails {
				if err == nil {
					t.Fatalf("no error, got %+v", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.PodCIDRs, test.podCIDRs) {
				t.Errorf("PodCIDRs are %v, want %v", got.PodCIDRs, test.podCIDRs)
			}
		})
	}
}

func TestNodeAddressesAreDistinct(t *testing.T) {
	seen := map[netip.Addr]int{}
	for _, base := range []netip.Addr{nodesIPv4, nodesIPv6} {
		for i := range 5000 {
			ip := addressAt(base, i)
			if other, ok := seen[ip]; ok {
				t.Fatalf("nodes %d and %d have %s", other, i, ip)
			}
			seen[ip] = i
		}
	}
	if got := addressAt(nodesIPv4, 200); got != netip.MustParseAddr("172.30.1.44") {
		t.Errorf("node 200 has %s", got)
	}
}
