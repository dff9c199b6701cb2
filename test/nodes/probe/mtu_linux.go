package main

import (
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// probeMTU sends one packet of a size, headers included, that nobody may take apart, and waits for its echo. What the kernel
// knows of the path's MTU is not asked.
func probeMTU(target, size string) (string, error) {
	bytes, err := strconv.Atoi(size)
	if err != nil {
		return "", err
	}
	address, err := net.ResolveUDPAddr("udp", target)
	if err != nil {
		return "", err
	}
	connection, err := net.DialUDP("udp", nil, address)
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	raw, err := connection.SyscallConn()
	if err != nil {
		return "", err
	}
	level, option, headers := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, 28
	if address.IP.To4() == nil {
		level, option, headers = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, 48
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), level, option, unix.IP_PMTUDISC_PROBE)
	}); err != nil || failed != nil {
		return "", fmt.Errorf("forbidding fragments: %w, %w", err, failed)
	}
	return exchange(connection, make([]byte, bytes-headers))
}
