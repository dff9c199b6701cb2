package nodes

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

func TestARP(t *testing.T) {
	own, wanted := net.HardwareAddr{2, 0, 0, 0, 0, 1}, netip.MustParseAddr("10.99.0.200")
	request := arpRequest(own, netip.MustParseAddr("10.99.0.1"), wanted)
	if _, ok := arpAnswer(request, wanted); ok || len(request) != 28 || !slices.Equal(request[24:], []byte{10, 99, 0, 200}) {
		t.Errorf("the question is %v", request)
	}
	answer := slices.Clone(request)
	answer[7] = arpAnswers
	copy(answer[8:], []byte{2, 0, 0, 0, 0, 11, 10, 99, 0, 200})
	if who, ok := arpAnswer(answer, wanted); !ok || who != "02:00:00:00:00:0b" {
		t.Errorf("%q answers, %v", who, ok)
	}
	if _, ok := arpAnswer(answer, netip.MustParseAddr("10.99.0.201")); ok {
		t.Error("an answer of another address is taken")
	}
	if _, ok := arpAnswer(answer[:20], wanted); ok {
		t.Error("half of an answer is taken")
	}
}
