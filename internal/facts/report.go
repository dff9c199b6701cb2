package facts

import (
	"net"
	"net/netip"
	"slices"
	"strconv"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Pin returns the Snapshot with the facts that the user pinned in place of the discovered ones. The
// original is not changed.
func Pin(s *Snapshot, pinned *networkstackv1alpha1.PinnedFacts) *Snapshot {
	out := *s
	if pinned == nil {
		return &out
	}
	if cidrs := parsePrefixes(pinned.ServiceCIDRs); len(cidrs) > 0 {
		out.ServiceCIDRs, out.ServiceCIDRSource = cidrs, "spec.cluster.serviceCIDRs"
	}
	if pinned.APIServer != nil {
		out.APIServer, out.APIServerSource = *pinned.APIServer, "spec.cluster.apiServer"
		if out.APIServer.Port == 0 {
			out.APIServer.Port = defaultAPIPort
		}
	}
	if pinned.DNSDomain != "" {
		out.DNSDomain = pinned.DNSDomain
	}
	if pinned.NodeMTU != 0 {
		out.Nodes = slices.Clone(s.Nodes)
		for i := range out.Nodes {
			out.Nodes[i].MTU = int(pinned.NodeMTU)
		}
	}
	return &out
}

// Report is the Snapshot as it stands in a NetworkStack's status.
func Report(s *Snapshot) *networkstackv1alpha1.FactsStatus {
	out := &networkstackv1alpha1.FactsStatus{
		KubernetesVersion: s.KubernetesVersion,
		Cloud:             string(s.Cloud),
		Distribution:      string(s.Distribution),
		APIServerSource:   s.APIServerSource,
		DNSDomain:         s.DNSDomain,
		Nodes:             int32(min(len(s.Nodes), 1<<30)),
		NodeFamilies:      NodeFamilies(s.Nodes),
		OldestKernel:      oldestKernel(s.Nodes),
		NodeMTU:           int32(min(smallestMTU(s.Nodes), 1<<16)), //nolint:gosec // bounded
	}
	for _, p := range s.ServiceCIDRs {
		out.ServiceCIDRs = append(out.ServiceCIDRs, p.String())
	}
	for _, r := range s.MoreServiceCIDRs {
		out.ServiceCIDRs = append(out.ServiceCIDRs, r.Prefix.String())
	}
	for _, p := range PodCIDRs(s.Nodes) {
		out.PodCIDRs = append(out.PodCIDRs, p.String())
	}
	if s.APIServer.Host != "" {
		out.APIServer = net.JoinHostPort(s.APIServer.Host, strconv.Itoa(int(s.APIServer.Port)))
	}
	if s.ServiceMonitors {
		out.Monitors = append(out.Monitors, "ServiceMonitor")
	}
	if s.PodMonitors {
		out.Monitors = append(out.Monitors, "PodMonitor")
	}
	out.GatewayAPI = reportGateway(&s.GatewayAPI)
	for _, i := range s.Installed {
		found := networkstackv1alpha1.FoundComponent{
			Type: string(i.Type), Workload: i.Namespace + "/" + i.Name, Image: i.Image, Manager: i.Manager,
			Mode: i.Mode, Available: !i.Unavailable,
		}
		switch {
		case i.Type == InstalledKubeProxy:
			out.KubeProxy = &found
		case i.Secondary():
			out.SecondaryNetworks = append(out.SecondaryNetworks, found)
		default:
			out.CNI = append(out.CNI, found)
		}
	}
	return out
}

// reportGateway is the Gateway API as it stands in a NetworkStack's status; nil when there is none.
func reportGateway(g *GatewayAPI) *networkstackv1alpha1.GatewayAPIFacts {
	if !g.Present() {
		return nil
	}
	out := &networkstackv1alpha1.GatewayAPIFacts{Version: g.Version, Channel: g.Channel, Owner: g.Manager}
	if g.Component != "" {
		out.Owner = "NetworkStack"
	}
	for _, c := range g.Classes {
		out.Classes = append(out.Classes, networkstackv1alpha1.GatewayClassStatus{
			Name: c.Name, Controller: c.Controller, Accepted: c.Accepted, Reason: c.Reason,
		})
	}
	return out
}

// NodeFamilies are the families in which every node has an internal address, in the order in which the first
// node lists them. Without nodes there are none.
func NodeFamilies(nodes []Node) []networkstackv1alpha1.IPFamily {
	var out []networkstackv1alpha1.IPFamily
	if len(nodes) == 0 {
		return nil
	}
	for _, ip := range nodes[0].InternalIPs {
		f := familyOf(ip)
		if slices.Contains(out, f) {
			continue
		}
		everywhere := !slices.ContainsFunc(nodes, func(n Node) bool {
			return !slices.ContainsFunc(n.InternalIPs, func(a netip.Addr) bool { return familyOf(a) == f })
		})
		if everywhere {
			out = append(out, f)
		}
	}
	return out
}

func familyOf(ip netip.Addr) networkstackv1alpha1.IPFamily {
	if ip.Is4() {
		return networkstackv1alpha1.IPv4
	}
	return networkstackv1alpha1.IPv6
}

// PodCIDRs are the smallest ranges that hold every node's pod CIDRs, one a family, IPv4 first unless the first
// node with ranges lists IPv6 first.
func PodCIDRs(nodes []Node) []netip.Prefix {
	var out []netip.Prefix
	for _, n := range nodes {
		for _, p := range n.PodCIDRs {
			i := slices.IndexFunc(out, func(o netip.Prefix) bool { return o.Addr().Is4() == p.Addr().Is4() })
			if i < 0 {
				out = append(out, p.Masked())
				continue
			}
			out[i] = cover(out[i], p)
		}
	}
	return out
}

// cover is the smallest prefix that holds both; they are of one family.
func cover(a, b netip.Prefix) netip.Prefix {
	bits := min(a.Bits(), b.Bits())
	for bits > 0 {
		wide := netip.PrefixFrom(a.Addr(), bits).Masked()
		if wide.Contains(b.Addr()) {
			return wide
		}
		bits--
	}
	return netip.PrefixFrom(a.Addr(), 0).Masked()
}

func smallestMTU(nodes []Node) int {
	smallest := 0
	for _, n := range nodes {
		if n.MTU > 0 && (smallest == 0 || n.MTU < smallest) {
			smallest = n.MTU
		}
	}
	return smallest
}
