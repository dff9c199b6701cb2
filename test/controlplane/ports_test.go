package controlplane

import (
	"net"
	"net/netip"
	"testing"
)

func TestReservePort(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		p, err := reservePort(netip.MustParseAddr("127.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		defer p.release()
		if seen[p.number] {
			t.Fatalf("port %d was given out twice", p.number)
		}
		seen[p.number] = true
		ln, err := net.Listen("tcp4", p.address())
		if err != nil {
			t.Fatalf("the port is not free: %v", err)
		}
		_ = ln.Close()
	}
}
