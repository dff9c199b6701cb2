package compose

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/policy"
)

// flow is one of a release, as policies have it.
type flow struct {
	catalog.Flow
	release   string
	direction policy.Direction
	peers     []policy.Peer
	ports     []policy.Port
	// anywhere says that there are no peers because it is everybody.
	anywhere bool
}

// flows are those of all releases, in their order.
func (s *state) flows(releases []Release) []flow {
	var out []flow
	for i := range releases {
		r := &releases[i]
		derived, _ := ParseValues(r.Spec.DerivedValues)
		user, _ := ParseValues(r.Spec.Values)
		values := MergeValues(derived, user)
		for _, f := range s.catalog[r.Spec.Type].Flows {
			out = append(out, s.flow(r, f, values))
		}
	}
	return out
}

func (s *state) flow(r *Release, f catalog.Flow, values map[string]any) flow {
	out := flow{Flow: f, release: r.Name, direction: policy.Egress}
	end := f.To
	if end == nil {
		end, out.direction = f.From, policy.Ingress
	}
	for _, text := range f.Ports {
		p, _ := catalog.ParsePort(text) // the catalogue was judged
		port := policy.Port{Protocol: networkstackv1alpha1.PolicyProtocol(p.Protocol), Port: p.First}
		if p.Last > p.First {
			port.EndPort = p.Last
		}
		out.ports = append(out.ports, port)
	}
	if end == nil {
		return out
	}
	out.anywhere = end.Anywhere
	if len(end.Selector) > 0 || end.EveryPod {
		out.peers = append(out.peers, podsOf(r, end))
		if slices.ContainsFunc(end.HostNetwork, func(path string) bool { on, _ := lookup(values, path); return on == true }) {
			out.peers = append(out.peers, s.nodePeer())
		}
	}
	for _, a := range end.Addresses {
		if p, err := netip.ParsePrefix(a); err == nil {
			out.peers = append(out.peers, policy.Peer{CIDR: p})
		}
	}
	var addresses []netip.Prefix
	for _, path := range end.AddressValues {
		v, _ := lookup(values, path)
		text, _ := v.(string)
		if ip, err := netip.ParseAddr(text); err == nil {
			addresses = append(addresses, single(ip))
		}
	}
	if end.Nodes && len(addresses) > 0 {
		out.peers = append(out.peers, policy.Peer{Entity: policy.Nodes, Addresses: addresses})
	} else {
		out.peers = append(out.peers, cidrPeers(addresses)...)
	}
	return out
}

// podsOf are the pods at the end of a flow.
func podsOf(r *Release, end *catalog.FlowEnd) policy.Peer {
	peer := policy.Peer{Namespaces: namespacesNamed(r.Spec.Namespace)}
	if end.EveryPod {
		peer.Namespaces = &metav1.LabelSelector{}
	}
	if len(end.Selector) > 0 {
		peer.Pods = &metav1.LabelSelector{MatchLabels: map[string]string{}}
		for k, v := range end.Selector {
			peer.Pods.MatchLabels[k] = strings.NewReplacer("$release", r.Spec.ReleaseName, "$namespace", r.Spec.Namespace).Replace(v)
		}
	}
	return peer
}

func namespacesNamed(names ...string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: names}}}
}

func single(ip netip.Addr) netip.Prefix { return netip.PrefixFrom(ip, ip.BitLen()) }

func cidrPeers(list []netip.Prefix) []policy.Peer {
	var out []policy.Peer
	for _, p := range list {
		out = append(out, policy.Peer{CIDR: p})
	}
	return out
}

// nodePeer are the nodes, and the addresses from which what runs in their network comes to pods: their own, and those of tunnels. Flannel
// has the first address of a node's range on its tunnel.
func (s *state) nodePeer() policy.Peer {
	out := policy.Peer{Entity: policy.Nodes}
	for i := range s.nodes {
		n := &s.nodes[i]
		for _, ip := range slices.Concat(n.InternalIPs, n.TunnelIPs) {
			out.Addresses = append(out.Addresses, single(ip))
		}
		if s.cni == networkstackv1alpha1.CNIFlannel {
			for _, p := range n.PodCIDRs {
				out.Addresses = append(out.Addresses, single(p.Addr()))
			}
		}
	}
	return out
}

// surroundings are what baselines speak of without saying where it is, and whether the stack itself has any of it.
func (s *state) surroundings(flows []flow) (around policy.Surroundings, ownDNS, ownIngress bool) {
	for _, f := range flows {
		switch f.Role {
		case catalog.FlowDNS:
			ownDNS = true
			around.DNS = append(around.DNS, policy.Way{Peers: f.peers, Ports: f.ports})
		case catalog.FlowIngress:
			around.Ingress = append(around.Ingress, f.peers...)
		case catalog.FlowTunnel:
			around.Tunnel = append(around.Tunnel, f.ports...)
		case catalog.FlowMonitoring:
			// It has ports alone.
		}
	}
	s.otherDNS(&around)
	for n := range s.ingress {
		switch s.ingress[n].Type {
		case networkstackv1alpha1.IngressCilium:
			around.Ingress = append(around.Ingress, policy.Peer{Entity: policy.Gateway})
		case networkstackv1alpha1.IngressGCE:
			around.Ingress = append(around.Ingress, cidrPeers(googleProxies)...)
		default:
			// It has flows.
		}
	}
	if c := s.spec.CNI.Cilium; s.cni == networkstackv1alpha1.CNICilium && c != nil && c.GatewayAPI == networkstackv1alpha1.Enabled {
		around.Ingress = append(around.Ingress, policy.Peer{Entity: policy.Gateway})
	}
	ownIngress = len(around.Ingress) > 0
	if ns := s.monitoringNamespaces(); len(ns) > 0 {
		around.Monitoring = []policy.Peer{{Namespaces: namespacesNamed(ns...)}}
	}
	around.APIServer = s.apiServerWays()
	return around, ownDNS, ownIngress
}

// googleProxies are where Google's load balancers and their health checks come from.
var googleProxies = []netip.Prefix{
	netip.MustParsePrefix("35.191.0.0/16"), netip.MustParsePrefix("130.211.0.0/22"), netip.MustParsePrefix("2600:2d00:1:b029::/64"),
	netip.MustParsePrefix("2600:2d00:1:1::/64"),
}

// otherDNS adds the usual pods of a DNS that is not the stack's, and the addresses of the Service, for what decides before these are
// translated.
func (s *state) otherDNS(around *policy.Surroundings) {
	ports := []policy.Port{{Protocol: "UDP", Port: 53}, {Protocol: "TCP", Port: 53}}
	var addresses []netip.Prefix
	for _, ip := range slices.Concat(s.dns.ips, s.facts.DNSIPs) {
		if ip.IsValid() && !slices.Contains(addresses, single(ip.Unmap())) {
			addresses = append(addresses, single(ip.Unmap()))
		}
	}
	peers := cidrPeers(addresses)
	if !s.managesDNS() {
		peers = append(peers, policy.Peer{Namespaces: namespacesNamed(sharedNamespace),
			Pods: &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}}})
	}
	around.DNS = append(around.DNS, policy.Way{Peers: peers, Ports: ports})
}

// monitoringCharts are charts with a Prometheus, or with an agent that scrapes in its place.
var monitoringCharts = []string{
	"kube-prometheus-stack", "prometheus", "victoria-metrics-k8s-stack", "victoria-metrics-agent", "k8s-monitoring",
}

// monitoringNamespaces are those of add-ons that scrape metrics.
func (s *state) monitoringNamespaces() []string {
	var out []string
	for i := range s.spec.Addons {
		a := &s.spec.Addons[i]
		if a.Chart == nil || !slices.Contains(monitoringCharts, orUsual(a.Chart.Name, a.Name)) {
			continue
		}
		if ns := orUsual(a.Namespace, a.Name); !slices.Contains(out, ns) {
			out = append(out, ns)
		}
	}
	slices.Sort(out)
	return out
}

func orUsual(given, usual string) string {
	if given != "" {
		return given
	}
	return usual
}

// apiServerWays are the API servers' own addresses, and the one of their Service for what decides before it is translated.
func (s *state) apiServerWays() []policy.Way {
	servers := slices.Clone(s.facts.APIServers)
	if ip, err := netip.ParseAddr(s.endpoint.Host); err == nil && s.endpoint.Port > 0 && s.endpoint.Port <= 65535 {
		if a := netip.AddrPortFrom(ip.Unmap(), uint16(s.endpoint.Port)); !slices.Contains(servers, a) {
			servers = append(servers, a)
		}
	}
	var out []policy.Way
	for _, a := range servers {
		port := policy.Port{Protocol: "TCP", Port: int32(a.Port())}
		i := slices.IndexFunc(out, func(w policy.Way) bool { return w.Ports[0] == port })
		if i < 0 {
			i, out = len(out), append(out, policy.Way{Peers: []policy.Peer{{Entity: policy.APIServer}}, Ports: []policy.Port{port}})
		}
		out[i].Peers[0].Addresses = append(out[i].Peers[0].Addresses, single(a.Addr().Unmap()))
	}
	if len(out) == 0 && s.cni == networkstackv1alpha1.CNICilium {
		// Cilium knows it by itself.
		out = append(out, policy.Way{
			Peers: []policy.Peer{{Entity: policy.APIServer}}, Ports: []policy.Port{{Protocol: "TCP", Port: defaultAPIPort}}})
	}
	if ip := s.facts.ServiceIP; ip.IsValid() && len(out) > 0 {
		out = append(out, policy.Way{Peers: []policy.Peer{{CIDR: single(ip.Unmap())}}, Ports: []policy.Port{{Protocol: "TCP", Port: 443}}})
	}
	return out
}
