package nodecleanup

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// tunnels are the names of Flannel's links, by their type.
var tunnels = map[string]*regexp.Regexp{
	"vxlan":     regexp.MustCompile(`^flannel(-v6)?\.[0-9]+$`),
	"wireguard": regexp.MustCompile(`^flannel-wg(-v6)?$`),
}

// links removes Flannel's tunnels, the bridge that pods are on, and their links to it.
func (f *Flannel) links(bridge string) error {
	all, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("listing links: %w", err)
	}
	at := slices.IndexFunc(all, func(l netlink.Link) bool { return l.Type() == "bridge" && l.Attrs().Name == bridge })
	var failed []error
	for i, link := range all {
		name := link.Attrs().Name
		tunnel := tunnels[link.Type()]
		port := at >= 0 && link.Type() == "veth" && link.Attrs().MasterIndex == all[at].Attrs().Index
		if i != at && !port && (tunnel == nil || !tunnel.MatchString(name)) {
			continue
		}
		f.Log.Info("removing", "link", name)
		// A link to a pod that goes at the same time goes by itself.
		if err := netlink.LinkDel(link); err != nil && !errors.Is(err, syscall.ENODEV) {
			failed = append(failed, fmt.Errorf("removing link %s: %w", name, err))
		}
	}
	return errors.Join(failed...)
}

// routes removes those to other nodes' pods, which Flannel makes where it encapsulates nothing.
func (f *Flannel) routes(networks []netip.Prefix) error {
	var failed []error
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if err != nil {
			failed = append(failed, fmt.Errorf("listing routes: %w", err))
		}
		for _, route := range routes {
			// flanneld names no origin; other plugins, routing daemons and the host's own configuration do.
			if route.Protocol != unix.RTPROT_BOOT || !toPods(&route, networks) {
				continue
			}
			f.Log.Info("removing", "route", route.String())
			if err := netlink.RouteDel(&route); err != nil && !errors.Is(err, syscall.ESRCH) {
				failed = append(failed, fmt.Errorf("removing route %s: %w", route, err))
			}
		}
	}
	return errors.Join(failed...)
}

// toPods says whether a route leads by another node to a part of the networks.
func toPods(route *netlink.Route, networks []netip.Prefix) bool {
	if route.Dst == nil || route.Gw == nil {
		return false
	}
	address, _ := netip.AddrFromSlice(route.Dst.IP)
	bits, _ := route.Dst.Mask.Size()
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return bits > n.Bits() && n.Contains(address.Unmap()) })
}

// link removes the cache's.
func (n *NodeLocalDNS) link() error {
	all, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("listing links: %w", err)
	}
	for _, link := range all {
		if link.Type() != "dummy" || link.Attrs().Name != cacheLink {
			continue
		}
		n.Log.Info("removing", "link", cacheLink)
		if err := netlink.LinkDel(link); err != nil && !errors.Is(err, syscall.ENODEV) {
			return fmt.Errorf("removing link %s: %w", cacheLink, err)
		}
	}
	return nil
}
