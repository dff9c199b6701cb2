package compose

import (
	"net/netip"
	"strings"
	"testing"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

func TestDefaultMask(t *testing.T) {
	for _, tc := range []struct {
		pools string
		want  int
	}{
		{"10.244.0.0/16", 24},
		{"10.0.0.0/8", 24},
		{"fd00:10:244::/56", 64},
		{"fd00:10:244::/48", 64},
		{"fd00:10::/40", 56},
		{"fd00::/32", 48},
		{"fd00:10:244::/63", 64},
		{"fd00:10:244::/64", 80},
		{"fd00:10:244::/104", 120},
		{"fd00:10:244::/112", 120},
		{"fd00::/40 fd01::/56", 56},
	} {
		t.Run(tc.pools, func(t *testing.T) {
			p := prefixes(strings.Fields(tc.pools)...)
			got := defaultMask(p)
			if got != tc.want {
				t.Errorf("got /%d, want /%d", got, tc.want)
			}
			if bits := got - p[0].Bits(); p[0].Addr().Is6() && bits > maxIPv6MaskBits {
				t.Errorf("/%d is %d bits longer than the pool", got, bits)
			}
		})
	}
}

func TestFamilies(t *testing.T) {
	for _, tc := range []struct {
		name   string
		in     Input
		value  string
		reason string
	}{
		{"pools", cilium(dual), "IPv4, IPv6", "the families of ipPools, in their order"},
		{"Service ranges", cilium(noPools), "IPv4", "the families of the cluster's Service ranges"},
		{"the Service", cilium(noPools, cluster(func(s *facts.Snapshot) { s.ServiceCIDRs = nil })), "IPv4", "the family of the Service default/kubernetes"},
		{"nodes", cilium(noPools, cluster(func(s *facts.Snapshot) { s.ServiceCIDRs, s.ServiceIP = nil, netip.Addr{} })), "IPv4", "the families in which every node has an internal address"},
		{"dual-stack nodes", flannel(noPools, cluster(makeDual)), "IPv4, IPv6", "the families of the cluster's Service ranges"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := setting(t, accepted(t, tc.in), "spec.ipFamilies")
			if e.Value != tc.value || e.Reason != tc.reason {
				t.Errorf("got %q (%s), want %q (%s)", e.Value, e.Reason, tc.value, tc.reason)
			}
		})
	}
	stated := accepted(t, cilium(spec(func(s *NetworkStackSpec) { s.IPFamilies = []IPFamily{IPv4} })))
	for _, e := range stated.Effective {
		if e.Setting == "spec.ipFamilies" {
			t.Errorf("a stated field is listed as derived: %+v", e)
		}
	}
}

func TestUpstreamTag(t *testing.T) {
	for in, want := range map[string]string{
		"v1.36.3": "v1.36.3", "1.36.3": "v1.36.3", "v1.33.5-eks-3025e55": "v1.33.5", "v1.36.1+k3s1": "v1.36.1",
		"v1.38.0-rc.1": "v1.38.0-rc.1", "v1.38.0-alpha.1.12+0c1d2e": "v1.38.0-alpha.1", "": "", "main": "",
	} {
		if got := upstreamTag(in); got != want {
			t.Errorf("upstreamTag(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestImageVersion(t *testing.T) {
	for in, want := range map[string]string{
		"quay.io/cilium/cilium:v1.19.6": "1.19.6", "quay.io/cilium/cilium:v1.19.6@sha256:00": "1.19.6",
		"registry:5000/cilium": "", "registry:5000/cilium:v1.2.3-rc.1": "1.2.3", "cilium@sha256:00": "", "": "", "cilium:latest": "",
	} {
		got := ""
		if v := imageVersion(in); v != nil {
			got = v.String()
		}
		if got != want {
			t.Errorf("imageVersion(%q) = %q, want %q", in, got, want)
		}
	}
}
