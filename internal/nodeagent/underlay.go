// Package nodeagent tells the cluster what only a node knows: the MTU of the interface that it reaches other nodes by, and how its
// kernel is set up. It runs on every node, in the host's network and without privileges.
package nodeagent

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Interface is a network interface of the node.
type Interface struct {
	Name      string
	MTU       int
	Addresses []netip.Addr
}

// Underlay is the MTU that the node's network carries, and by which interfaces that is known: those with the node's own
// addresses, the smallest when there are several. A node whose addresses are on no interface of its own, as behind a cloud's
// address translation, is judged by the interfaces of its default routes.
func Underlay(interfaces []Interface, own []netip.Addr, defaultRoutes []string) (mtu int, by []string, err error) {
	take := func(i Interface) {
		if slices.Contains(by, i.Name) || i.MTU <= 0 {
			return
		}
		by = append(by, i.Name)
		if mtu == 0 || i.MTU < mtu {
			mtu = i.MTU
		}
	}
	for _, i := range interfaces {
		if slices.ContainsFunc(i.Addresses, func(a netip.Addr) bool { return slices.Contains(own, a.Unmap().WithZone("")) }) {
			take(i)
		}
	}
	if mtu == 0 {
		for _, i := range interfaces {
			if slices.Contains(defaultRoutes, i.Name) {
				take(i)
			}
		}
	}
	if mtu == 0 {
		return 0, nil, fmt.Errorf("no interface has one of the node's addresses %v, and there is no default route", own)
	}
	return mtu, by, nil
}

// The columns of /proc/net/route (interface, destination, …, mask) and of /proc/net/ipv6_route (destination, its length, …,
// flags, interface), and the flags of a route that refuses.
const (
	routeColumns, routeMask            = 8, 7
	routeFlags                         = 3
	route6Columns, route6Flags, route6 = 10, 8, 9
	flagUp, flagReject                 = 0x1, 0x200
)

// defaultRoutes4 are the interfaces of IPv4's default routes.
func defaultRoutes4(table io.Reader) []string {
	return routes(table, func(f []string) (string, bool) {
		if len(f) < routeColumns || !isZero(f[1]) || !isZero(f[routeMask]) {
			return "", false
		}
		return f[0], usable(f[routeFlags])
	})
}

// defaultRoutes6 are those of IPv6's.
func defaultRoutes6(table io.Reader) []string {
	return routes(table, func(f []string) (string, bool) {
		if len(f) < route6Columns || !isZero(f[0]) || f[1] != "00" {
			return "", false
		}
		return f[route6], usable(f[route6Flags]) && f[route6] != "lo"
	})
}

func routes(table io.Reader, of func(fields []string) (string, bool)) []string {
	var out []string
	for lines := bufio.NewScanner(table); lines.Scan(); {
		if name, ok := of(strings.Fields(lines.Text())); ok && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func isZero(hex string) bool { return hex != "" && strings.Trim(hex, "0") == "" }

func usable(hex string) bool {
	flags, err := strconv.ParseUint(hex, 16, 32)
	return err == nil && flags&flagUp != 0 && flags&flagReject == 0
}
