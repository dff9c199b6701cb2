package nodeagent

import (
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
)

// TestBridges asks for the switches of the families that the node has, and for no other.
func TestBridges(t *testing.T) {
	ipv4, ipv6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fd00::1")
	on, off := &fstest.MapFile{Data: []byte("1\n")}, &fstest.MapFile{Data: []byte("0\n")}
	for _, tc := range []struct {
		name   string
		kernel fstest.MapFS
		own    []netip.Addr
		want   bool
	}{
		{"no module", fstest.MapFS{}, []netip.Addr{ipv4}, false},
		{"IPv4", fstest.MapFS{bridgesIPv4: on, bridgesIPv6: off}, []netip.Addr{ipv4}, true},
		{"IPv4, off", fstest.MapFS{bridgesIPv4: off, bridgesIPv6: on}, []netip.Addr{ipv4}, false},
		{"IPv6", fstest.MapFS{bridgesIPv4: off, bridgesIPv6: on}, []netip.Addr{ipv6}, true},
		{"IPv6, off", fstest.MapFS{bridgesIPv4: on, bridgesIPv6: off}, []netip.Addr{ipv6}, false},
		{"both", fstest.MapFS{bridgesIPv4: on, bridgesIPv6: on}, []netip.Addr{ipv6, ipv4}, true},
		{"both, one off", fstest.MapFS{bridgesIPv4: on, bridgesIPv6: off}, []netip.Addr{ipv4, ipv6}, false},
		{"no addresses", fstest.MapFS{bridgesIPv4: on}, nil, true},
	} {
		if got := bridges(tc.kernel, tc.own); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestVirtualServers(t *testing.T) {
	const head = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"
	const one = "TCP  C0A80A0A:192B rr \n  -> C0A80A0B:192B      Masq    1      0          0         \n"
	eth0, proxy := Interface{Name: "eth0"}, Interface{Name: "kube-ipvs0"}
	for _, tc := range []struct {
		name, list string
		interfaces []Interface
		want       int
	}{
		{"none", head, []Interface{eth0}, 0},
		{"one", head + one, []Interface{eth0}, 1},
		{"one of each kind", head + one + "UDP  [fd00::1]:0035 rr\nFWM  00000001 wlc\nSCTP 0A000001:0050 rr\n", nil, 4},
		{"many", head + strings.Repeat(one, 100), nil, 9},
		{"kube-proxy's", head + one, []Interface{eth0, proxy}, 0},
	} {
		if got := virtualServers(strings.NewReader(tc.list), tc.interfaces); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
	// The machine's own are what they are, and can be told.
	if s := systemServices(nil); len(s) != 1 {
		t.Errorf("virtual servers of this machine: %q", s)
	}
	if b := systemBridges(nil); b != "true" && b != "false" {
		t.Errorf("bridges of this machine: %q", b)
	}
}
