package policy

import (
	"fmt"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Way is where something answers.
type Way struct {
	Peers []Peer
	Ports []Port
}

// Surroundings are what baselines speak of without saying where it is.
type Surroundings struct {
	// DNS are the ways to the cluster's DNS and to its caches, and APIServer those to the API server.
	DNS, APIServer []Way
	// Ingress are the ingress controllers and gateways, and Monitoring what scrapes metrics where a baseline names no namespaces.
	Ingress, Monitoring []Peer
	// Tunnel are ports that carry connections to other ports: they are open wherever some ports are open between pods.
	Tunnel []Port
}

// Metadata are the addresses of the metadata services of clouds: the one that most of them share, and those of AWS and Google by IPv6 and of Alibaba.
func Metadata() []netip.Prefix {
	var out []netip.Prefix
	for _, a := range []string{"169.254.169.254", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"} {
		ip := netip.MustParseAddr(a)
		out = append(out, netip.PrefixFrom(ip, ip.BitLen()))
	}
	return out
}

// FromBaselines are the rules that baselines come to. A baseline about something that is not there comes to none.
// The path of each is its place in list, below spec.policies.baselines.
func FromBaselines(list []networkstackv1alpha1.Baseline, around *Surroundings) []Rule {
	m := maker{taken: map[string]bool{}}
	for i := range list {
		m.taken[list[i].Name] = true
	}
	for i := range list {
		m.baseline(&list[i], fmt.Sprintf("spec.policies.baselines[%d]", i), around)
	}
	return m.rules
}

// maker makes rules with names of their own.
type maker struct {
	taken map[string]bool
	rules []Rule
}

// add adds a rule. The first of a baseline has its name, and others have one made of it.
func (m *maker) add(b *networkstackv1alpha1.Baseline, source string, r Rule) {
	r.Name, r.Source = b.Name, source
	for n := 2; slices.ContainsFunc(m.rules, func(o Rule) bool { return o.Name == r.Name }); n++ {
		if name := fmt.Sprintf("%s-%d", b.Name, n); !m.taken[name] {
			r.Name = name
		}
	}
	m.rules = append(m.rules, r)
}

func (m *maker) baseline(b *networkstackv1alpha1.Baseline, source string, around *Surroundings) {
	add := func(r Rule) { m.add(b, source, r) }
	ports := portsOf(b)
	open := func(direction Direction, peers []Peer, ports []Port) {
		if len(peers) > 0 { // none would be everybody
			add(Rule{Direction: direction, Peers: peers, Ports: ports})
		}
	}
	between := func(direction Direction, peers []Peer) {
		open(direction, peers, ports)
		pods := slices.DeleteFunc(slices.Clone(peers), func(p Peer) bool { return p.Namespaces == nil && !p.SameNamespace })
		if len(ports) > 0 && len(around.Tunnel) > 0 {
			open(direction, pods, around.Tunnel)
		}
	}
	switch b.Type {
	case networkstackv1alpha1.BaselineDefaultDenyIngress:
		add(Rule{Direction: Ingress, Deny: true, Default: true})
	case networkstackv1alpha1.BaselineDefaultDenyEgress:
		add(Rule{Direction: Egress, Deny: true, Default: true})
	case networkstackv1alpha1.BaselineDenyCloudMetadata:
		var peers []Peer
		for _, p := range Metadata() {
			peers = append(peers, Peer{CIDR: p})
		}
		add(Rule{Direction: Egress, Deny: true, Peers: peers})
	case networkstackv1alpha1.BaselineAllowDNS:
		for _, w := range around.DNS {
			open(Egress, w.Peers, w.Ports)
		}
	case networkstackv1alpha1.BaselineAllowAPIServer:
		for _, w := range around.APIServer {
			open(Egress, w.Peers, w.Ports)
		}
	case networkstackv1alpha1.BaselineAllowSameNamespace:
		between(Ingress, []Peer{{SameNamespace: true}})
		between(Egress, []Peer{{SameNamespace: true}})
	case networkstackv1alpha1.BaselineAllowFromIngress:
		between(Ingress, around.Ingress)
	case networkstackv1alpha1.BaselineAllowFromMonitoring:
		if b.Namespaces == nil {
			between(Ingress, around.Monitoring)
		} else {
			between(Ingress, namespacePeer(b.Namespaces))
		}
	case networkstackv1alpha1.BaselineAllowFromNamespaces:
		between(Ingress, namespacePeer(b.Namespaces))
	case networkstackv1alpha1.BaselineAllowToNamespaces:
		between(Egress, namespacePeer(b.Namespaces))
	case networkstackv1alpha1.BaselineAllowToCIDRs:
		var peers []Peer
		for _, c := range b.CIDRs {
			if p, err := netip.ParsePrefix(c); err == nil { // refused before
				peers = append(peers, Peer{CIDR: p.Masked()})
			}
		}
		open(Egress, peers, ports)
	case networkstackv1alpha1.BaselineAllowFromAnywhere:
		if len(ports) > 0 { // none would be all
			add(Rule{Direction: Ingress, Ports: ports})
		}
	}
}

func namespacePeer(s *metav1.LabelSelector) []Peer {
	if s == nil {
		return nil
	}
	return []Peer{{Namespaces: s.DeepCopy()}}
}

func portsOf(b *networkstackv1alpha1.Baseline) []Port {
	var out []Port
	for _, p := range b.Ports {
		out = append(out, Port{Protocol: p.Protocol, Port: p.Port, EndPort: p.EndPort})
	}
	return out
}
