package nodes

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// WhoHas asks on the nodes' switch who has an IPv4 address, as somebody there does who does not know it yet, and returns the hardware
// addresses of all that answer until the context ends, which it has to.
func WhoHas(ctx context.Context, address netip.Addr) ([]string, error) {
	bridge, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return nil, err
	}
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(networkOrder(unix.ETH_P_ARP)))
	if err != nil {
		return nil, fmt.Errorf("a socket for ARP: %w", err)
	}
	defer func() { _ = unix.Close(socket) }()
	own := bridge.Attrs().HardwareAddr
	question := arpRequest(own, netip.MustParseAddr(Gateway(corev1.IPv4Protocol)), address)
	everybody := &unix.SockaddrLinklayer{
		Protocol: networkOrder(unix.ETH_P_ARP), Ifindex: bridge.Attrs().Index, Halen: 6, Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	}
	if err := unix.Sendto(socket, question, 0, everybody); err != nil {
		return nil, fmt.Errorf("asking who has %s: %w", address, err)
	}
	var found []string
	buffer := make([]byte, 256)
	timeout := unix.NsecToTimeval(int64(50 * time.Millisecond))
	if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, err
	}
	for ctx.Err() == nil {
		n, _, err := unix.Recvfrom(socket, buffer, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if who, ok := arpAnswer(buffer[:n], address); ok && !slices.Contains(found, who) {
			found = append(found, who)
		}
	}
	return found, nil
}

// networkOrder is a number as it is on the wire.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// The operations of ARP.
const (
	arpAsks    = 1
	arpAnswers = 2
)

// arpRequest asks who has an address of IPv4 on Ethernet.
func arpRequest(own net.HardwareAddr, from, wanted netip.Addr) []byte {
	packet := []byte{0, 1, 8, 0, 6, 4, 0, arpAsks}
	packet = append(append(packet, own...), from.AsSlice()...)
	return append(append(packet, make([]byte, 6)...), wanted.AsSlice()...)
}

// arpAnswer is who says in a packet that it has the address.
func arpAnswer(packet []byte, wanted netip.Addr) (string, bool) {
	const length = 28
	if len(packet) < length || packet[7] != arpAnswers || !slices.Equal(packet[14:18], wanted.AsSlice()) {
		return "", false
	}
	return net.HardwareAddr(packet[8:14]).String(), true
}
