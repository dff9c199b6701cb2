package nodecleanup

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWithoutCache wants the rules of a cache to go, as every version writes them, and those of others to stay.
func TestWithoutCache(t *testing.T) {
	const saved = `# Generated
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:cali-PREROUTING - [0:0]
-A PREROUTING -j cali-PREROUTING
-A PREROUTING -d 169.254.20.10/32 -p udp -m udp --dport 53 -m comment --comment "NodeLocal DNS Cache: skip conntrack" -j NOTRACK
-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 53 -j CT --notrack
-A PREROUTING -d 10.96.0.10/32 -i eth0 -p tcp -m tcp --dport 53 -j CT --notrack
-A PREROUTING -d 10.96.0.11/32 -p udp -m udp --dport 53 -j NOTRACK
-A PREROUTING -d 10.96.0.0/16 -p udp -m udp --dport 53 -j NOTRACK
-A cali-PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -j NOTRACK
-A OUTPUT -s 169.254.20.10/32 -p tcp -m tcp --sport 8080 -j NOTRACK
-A OUTPUT -s 169.254.20.10/32 -p tcp -m tcp --sport 9253 -j NOTRACK
-A OUTPUT -p udp -m udp --dport 53 -j NOTRACK
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -d 169.254.20.10/32 -p udp -m udp --dport 53 -m comment --comment "NodeLocal DNS Cache: allow DNS traffic" -j ACCEPT
-A INPUT -d 169.254.20.10/32 -p udp -m udp --dport 53 -j DROP
-A FORWARD -d 169.254.20.10/32 -p udp -m udp --dport 53 -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -j ACCEPT
COMMIT
`
	const want = `*raw
-D PREROUTING -d 169.254.20.10/32 -p udp -m udp --dport 53 -m comment --comment "NodeLocal DNS Cache: skip conntrack" -j NOTRACK
-D PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 53 -j CT --notrack
-D OUTPUT -s 169.254.20.10/32 -p tcp -m tcp --sport 8080 -j NOTRACK
COMMIT
*filter
-D INPUT -d 169.254.20.10/32 -p udp -m udp --dport 53 -m comment --comment "NodeLocal DNS Cache: allow DNS traffic" -j ACCEPT
COMMIT
`
	addresses := []netip.Addr{netip.MustParseAddr("169.254.20.10"), netip.MustParseAddr("10.96.0.10")}
	if diff := cmp.Diff(want, withoutCache(saved, addresses)); diff != "" {
		t.Error(diff)
	}
	if got := withoutCache(saved, addresses[:0]); got != "" {
		t.Errorf("of no address: %s", got)
	}
}
