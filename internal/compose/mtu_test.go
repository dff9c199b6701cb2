package compose

import (
	"fmt"
	"testing"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
)

// TestPodMTU holds the arithmetic to numbers worked out by hand from what the projects document: on a
// network of 1500 bytes, what pods get, and what the chart is told so that they get it.
func TestPodMTU(t *testing.T) {
	wireGuard, ipsec, plain := encryption(EncryptionWireGuard), encryption(EncryptionIPsec), encryption(EncryptionNone)
	native, geneve := encapsulation(EncapsulationNone), encapsulation(EncapsulationGeneve)
	old := func(in *Input) { in.Stack.Spec.CNI.Version = "1.19.4" }
	fixed := func(in *Input) { in.Stack.Spec.CNI.Version = "1.19.5" }
	v4 := func(*Input) {}
	for _, tc := range []struct {
		name  string
		in    Input
		pod   int
		value any // of MTU for Cilium, of flannel.mtu for Flannel
	}{
		{"Cilium VXLAN", cilium(v4), 1450, 1500},
		{"Cilium VXLAN dual-stack on IPv4", cilium(dual), 1450, 1500},
		{"Cilium VXLAN on IPv6", cilium(onlyIPv6), 1430, 1500},
		{"Cilium Geneve", cilium(geneve), 1450, 1500},
		{"Cilium Geneve on IPv6", cilium(onlyIPv6, geneve), 1430, 1500},
		{"Cilium native", cilium(native), 1500, 1500},
		{"Cilium native WireGuard", cilium(native, wireGuard), 1405, 1500},
		{"Cilium native WireGuard before 1.19.5", cilium(native, wireGuard, old), 1420, 1500},
		{"Cilium native WireGuard in 1.19.5", cilium(native, wireGuard, fixed), 1405, 1500},
		{"Cilium native IPsec", cilium(native, ipsec), 1423, 1500},
		{"Cilium VXLAN WireGuard", cilium(wireGuard), 1355, 1500},
		{"Cilium VXLAN WireGuard on IPv6", cilium(onlyIPv6, wireGuard), 1335, 1500},
		{"Cilium VXLAN IPsec", cilium(ipsec), 1373, 1500},
		{"Cilium VXLAN IPsec on IPv6", cilium(onlyIPv6, ipsec), 1353, 1500},
		{"Flannel VXLAN", flannel(plain), 1450, 1500},
		{"Flannel VXLAN dual-stack", flannel(dual), 1430, 1480},
		{"Flannel VXLAN on IPv6", flannel(onlyIPv6), 1430, 1480},
		{"Flannel WireGuard", flannel(wireGuard), 1420, 1500},
		{"Flannel WireGuard dual-stack", flannel(dual, wireGuard), 1420, 1500},
		{"Flannel host-gw", flannel(native), 1500, nil},
		{"Flannel host-gw dual-stack", flannel(dual, native), 1500, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			component, key := "cilium", "MTU"
			if tc.in.Stack.Spec.CNI.Type == CNIFlannel {
				component, key = "flannel", "flannel.mtu"
			}
			check := func(want any) {
				t.Helper()
				_, values := releaseNamed(t, accepted(t, tc.in), component)
				if got, _ := lookup(values, key); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s = %v, want %v", key, got, want)
				}
			}
			// Derived from the smallest node.
			nodeMTUs(9000, 1500, 9000)(&tc.in)
			check(tc.value)
			s, _ := run(tc.in, true)
			if s.mtu.pod != tc.pod {
				t.Errorf("pods get %d, want %d", s.mtu.pod, tc.pod)
			}
			// Stated: the same MTU comes to the same value, and one byte more is refused.
			tc.in.Stack.Spec.MTU = int32(tc.pod)
			check(tc.value)
			tc.in.Stack.Spec.MTU++
			if r := Compose(tc.in); len(r.Errors) != 1 {
				t.Errorf("mtu %d: want one refusal, got %v", tc.in.Stack.Spec.MTU, r.Errors)
			}
			// Nothing known: left to the network plugin.
			tc.in.Stack.Spec.MTU = 0
			nodeMTUs(0, 0, 0)(&tc.in)
			check(nil)
		})
	}
}

func TestNodeMTU(t *testing.T) {
	for _, tc := range []struct {
		name   string
		in     Input
		reason string
	}{
		{"every node", cilium(nodeMTUs(1500, 1460, 9000)), "1460 of node n2 less 50 (VXLAN)"},
		{"some nodes", cilium(nodeMTUs(0, 1460, 9000)), "1460 of node n2 (the smallest of the 2 of 3 nodes that state it) less 50 (VXLAN)"},
		{"pinned", cilium(nodeMTUs(1500, 1460, 9000), pinned(PinnedFacts{NodeMTU: 1400})), "1400 of spec.cluster.nodeMTU less 50 (VXLAN)"},
		{"Windows nodes do not count", cilium(nodeMTUs(1500, 1460, 900), func(in *Input) { in.Facts.Nodes[2].OS = "windows" }), "1460 of node n2 less 50 (VXLAN)"},
		{"none", cilium(), "no node states its MTU (nodeAgent: {mode: Enabled} finds it out; else annotation networkstack.io/mtu, or cluster.nodeMTU): Cilium detects it"},
		{"native", cilium(nodeMTUs(1500, 1500, 1500), encapsulation(EncapsulationNone)), "1500 of node n1 less 0 (no encapsulation)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := setting(t, accepted(t, tc.in), "spec.mtu").Reason; got != tc.reason {
				t.Errorf("reason %q, want %q", got, tc.reason)
			}
		})
	}
}

func setting(t *testing.T, r Result, name string) EffectiveSetting {
	t.Helper()
	for _, e := range r.Effective {
		if e.Setting == name {
			return e
		}
	}
	t.Fatalf("no effective setting %q among %v", name, r.Effective)
	return EffectiveSetting{}
}
