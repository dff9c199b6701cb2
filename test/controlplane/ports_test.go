package controlplane

import (
	"net"
	"testing"
)

func TestReservePort(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		p, err := reservePort()
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
