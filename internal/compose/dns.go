package compose

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/corefile"
	"github.com/networkstack/networkstack/internal/facts"
)

// TypeCoreDNS and TypeNodeLocalDNS are the component types of the cluster's DNS, and their names in the catalogue.
const (
	TypeCoreDNS      = "CoreDNS"
	TypeNodeLocalDNS = "NodeLocalDNS"
)

// Stages of the cluster's DNS.
const (
	stageDNS          = StagePlatform
	stageNodeLocalDNS = StagePlatform + 1
)

// dnsServiceIndex is the place of the DNS Service's address in the Service range, as kubeadm and most others count.
const dnsServiceIndex = 10

// Settings of CoreDNS where nothing is said.
const (
	defaultDNSReplicas = 2
	// dnsGrace is how long a replica is given to stop, at least, and dnsGraceMargin what it needs after its lameduck time.
	dnsGrace       = 30 * time.Second
	dnsGraceMargin = 10 * time.Second
)

var (
	dnsPath       = specPath.Child("dns")
	nodeLocalPath = dnsPath.Child("nodeLocalCache")
)

// dnsPlan is what the cluster's DNS comes to.
type dnsPlan struct {
	// ips are the addresses of the Service kube-dns, the primary one first.
	ips      []netip.Addr
	ipReason string
	// servers are CoreDNS's; nil when the Corefile that was found stays to the letter.
	servers []corefile.Server
	// main is the index of the server that knows the cluster's names.
	main int

	interception       networkstackv1alpha1.NodeLocalInterception
	interceptionReason string
	// local is the address of the cache on every node.
	local netip.Addr
}

// managesDNS says whether CoreDNS is one of our releases.
func (s *state) managesDNS() bool {
	return s.spec.DNS != nil && s.spec.DNS.Type == networkstackv1alpha1.DNSCoreDNS
}

// cachesDNS says whether there is to be a cache on every node.
func (s *state) cachesDNS() bool {
	return s.spec.DNS != nil && s.spec.DNS.NodeLocalCache != nil && s.spec.DNS.NodeLocalCache.Mode == networkstackv1alpha1.Enabled
}

// NeedsDNS says whether a composition depends on what answers the cluster's DNS queries: CoreDNS is wanted, and was not taken over
// yet.
func NeedsDNS(in Input) bool {
	if d := in.Stack.Spec.DNS; d == nil || d.Type != networkstackv1alpha1.DNSCoreDNS {
		return false
	}
	c, known := in.Existing[nameCoreDNS]
	return !known || c.Adoption == networkstackv1alpha1.AdoptionRefuse
}

// RunsOn says whether a component that is no longer wanted goes on running, because nobody takes its place: a kube-proxy that is
// Unmanaged, the cluster's DNS, and a cache whose address kubelets tell to pods.
func RunsOn(c *networkstackv1alpha1.NetworkComponentSpec, kubeProxy networkstackv1alpha1.KubeProxyMode) bool {
	switch c.Type {
	case TypeKubeProxy:
		return kubeProxy == networkstackv1alpha1.KubeProxyUnmanaged
	case TypeCoreDNS:
		return true
	case TypeNodeLocalDNS:
		return interceptionOf(c) == networkstackv1alpha1.InterceptLocalAddress
	}
	return false
}

// interceptionOf is how queries come to the caches of a component; empty when it does not say.
func interceptionOf(c *networkstackv1alpha1.NetworkComponentSpec) networkstackv1alpha1.NodeLocalInterception {
	values, err := ParseValues(c.DerivedValues)
	if err != nil {
		return ""
	}
	v, _ := lookup(values, "interception")
	text, _ := v.(string)
	return networkstackv1alpha1.NodeLocalInterception(text)
}

// deriveDNS settles the addresses of the DNS Service, how queries come to the caches, and CoreDNS's configuration.
func (s *state) deriveDNS() {
	if !s.managesDNS() && !s.cachesDNS() {
		return
	}
	s.deriveDNSIPs()
	if s.cachesDNS() {
		s.deriveInterception()
	}
	if s.managesDNS() {
		s.deriveCorefile()
	}
}

// deriveDNSIPs follows the spec, else the Service that is there, else takes the tenth address of each Service range.
func (s *state) deriveDNSIPs() {
	path := dnsPath.Child("serviceIPs")
	var stated []netip.Addr
	for i, text := range s.spec.DNS.ServiceIPs {
		ip, err := netip.ParseAddr(text)
		switch {
		case err != nil || ip.Zone() != "" || ip.Is4In6():
			s.refuse(ruleDNSServiceIP, field.Invalid(path.Index(i), text, "is no IP address: write one such as 10.96.0.10"))
		case slices.ContainsFunc(stated, func(o netip.Addr) bool { return o.Is4() == ip.Is4() }):
			s.refuse(ruleDNSServiceIP, field.Invalid(path.Index(i), text, "is a second address of its family: leave one a family"))
		case len(s.services) > 0 && !setOf(s.services).Contains(ip):
			s.refuse(ruleDNSServiceIP, field.Invalid(path.Index(i), text, fmt.Sprintf(
				"is in no range of Services (%s, from %s): use an address of one", joined(s.services), s.serviceSource)))
		case ip == s.facts.ServiceIP:
			s.refuse(ruleDNSServiceIP, field.Invalid(path.Index(i), text, "is the address of the Service default/kubernetes: use another one"))
		default:
			stated = append(stated, ip)
		}
	}
	live := s.facts.DNSIPs
	switch {
	case len(s.spec.DNS.ServiceIPs) > 0:
		s.dns.ips, s.dns.ipReason = stated, "from dns.serviceIPs"
		for i, ip := range stated {
			if i < len(live) && live[i] != ip {
				s.refuse(ruleDNSServiceIPChanged, field.Invalid(path.Index(i), ip.String(), fmt.Sprintf(
					"the Service kube-dns has %s, which kubelets tell to pods, and addresses of Services cannot be changed: remove serviceIPs", live[i])))
			}
		}
	case len(live) > 0:
		s.dns.ips, s.dns.ipReason = live, "those of the Service kube-dns that is there"
	default:
		for _, p := range s.services {
			if ip, ok := nth(p, dnsServiceIndex); ok {
				s.dns.ips = append(s.dns.ips, ip)
			}
		}
		s.dns.ipReason = "the tenth address of each Service range, which kubelets are usually told"
		if len(s.dns.ips) == 0 && s.withFacts {
			s.refuse(ruleDNSServiceIPUnknown, field.Required(path,
				"there is no Service kube-dns, and no range of Services is known that has a tenth address: state the address that kubelets tell to pods"))
			return
		}
	}
	if len(s.spec.DNS.ServiceIPs) == 0 && len(s.dns.ips) > 0 {
		s.note(path, joined(s.dns.ips), "%s", s.dns.ipReason)
	}
}

// nth is the address at a place in a range, unless it is the last one or beyond.
func nth(p netip.Prefix, n int) (netip.Addr, bool) {
	ip := p.Masked().Addr()
	for range n {
		ip = ip.Next()
	}
	return ip, p.Contains(ip) && p.Contains(ip.Next())
}

// dnsReleases are CoreDNS and the cache on every node.
func (s *state) dnsReleases(network []string) []Release {
	var out []Release
	if s.managesDNS() {
		r := s.release(nameCoreDNS, TypeCoreDNS, stageDNS, dnsPath, s.spec.DNS.ComponentSettings, s.coreDNSValues())
		r.Needs = slices.Clone(network)
		out = append(out, r)
	}
	if s.cachesDNS() {
		r := s.release(nameNodeLocalDNS, TypeNodeLocalDNS, stageNodeLocalDNS, nodeLocalPath,
			s.spec.DNS.NodeLocalCache.ComponentSettings, s.nodeLocalValues())
		r.Needs = slices.Clone(network)
		if s.managesDNS() {
			r.Needs = append(r.Needs, nameCoreDNS)
		}
		out = append(out, r)
	}
	return out
}

// coreDNSValues are the values of our chart, most of them with the keys of upstream's.
func (s *state) coreDNSValues() *valuesBuilder {
	b := newValues("coredns")
	d := s.spec.DNS
	found := s.inheritedValues(TypeCoreDNS, dnsPath, b)
	upstream := s.overridesChart(d.Chart, TypeCoreDNS)
	if s.dns.servers != nil {
		b.control("servers", "spec.dns", serverValues(s.dns.servers), "composed of spec.dns")
		if found != nil {
			b.set("found.changed", true, "spec.dns says what is in the Corefile")
		}
	} else {
		b.reserve("servers", "spec.dns")
	}
	b.reserve("extraConfig", "spec.dns.serverBlocks")
	s.dnsServiceValues(b, found != nil)
	s.dnsReplicaValues(b, found)
	if len(d.TopologySpread) > 0 {
		by := dnsPath.Child("topologySpread").String()
		b.control("topologySpreadConstraints", by, spreadValues(d.TopologySpread), "from dns.topologySpread")
	}
	if d.Lameduck != nil && d.Lameduck.Duration+dnsGraceMargin > dnsGrace {
		b.set("terminationGracePeriodSeconds", int64((d.Lameduck.Duration+dnsGraceMargin)/time.Second),
			"dns.lameduck of %s, and time to stop", d.Lameduck.Duration)
	}
	if upstream {
		upstreamCoreDNS(b)
	}
	return b
}

// upstreamCoreDNS has upstream's chart make its objects under kubeadm's names, which is what ours does by itself.
func upstreamCoreDNS(b *valuesBuilder) {
	const by, reason = "spec.dns.chart", "under kubeadm's names, so that pods keep finding it"
	selector := map[string]any{"k8s-app": facts.DNSLabelValue}
	for path, value := range map[string]any{
		"fullnameOverride": facts.DNSWorkload, "service.name": facts.DNSService, "k8sAppLabelOverride": facts.DNSLabelValue,
		"isClusterService": true, "deployment.selector": map[string]any{"matchLabels": selector}, "service.selector": selector,
		"clusterRole.nameOverride": "system:coredns", "serviceAccount.create": true,
	} {
		b.control(path, by, value, reason)
	}
	b.set("priorityClassName", "system-cluster-critical", "the cluster needs it")
	b.set("image.repository", "registry.k8s.io/coredns/coredns", "the registry of Kubernetes has it without a limit on pulls")
}

func (s *state) dnsServiceValues(b *valuesBuilder, found bool) {
	const by = "spec.dns.serviceIPs"
	if len(s.dns.ips) == 0 {
		b.reserve("service.clusterIP", by)
		b.reserve("service.clusterIPs", by)
		return
	}
	b.control("service.clusterIP", by, s.dns.ips[0].String(), "%s", s.dns.ipReason)
	switch dual := len(s.services) > 1 || len(s.dns.ips) > 1; {
	case len(s.dns.ips) > 1:
		b.control("service.clusterIPs", by, anyList(s.dns.ips), "%s", s.dns.ipReason)
		b.set("service.ipFamilyPolicy", "PreferDualStack", "Services have addresses of both families")
	case dual && !found:
		b.reserve("service.clusterIPs", by)
		b.set("service.ipFamilyPolicy", "PreferDualStack", "Services have addresses of both families; the second one is the API server's choice")
	default:
		b.reserve("service.clusterIPs", by) // one that was taken over stays of one family
	}
}

func (s *state) dnsReplicaValues(b *valuesBuilder, found map[string]any) {
	d := s.spec.DNS
	at := dnsPath.Child("replicas").String()
	auto := dnsPath.Child("autoscaler").String()
	switch a := d.Autoscaler; {
	case a != nil:
		least := or32(a.Min, defaultDNSReplicas)
		b.control("autoscaler.enabled", auto, true, "dns.autoscaler is set")
		b.control("autoscaler.min", auto, least, "from dns.autoscaler")
		b.control("autoscaler.max", auto, or32(a.Max, 0), "from dns.autoscaler; 0 is without limit")
		b.control("autoscaler.nodesPerReplica", auto, or32(a.NodesPerReplica, 16), "from dns.autoscaler")
		b.control("autoscaler.coresPerReplica", auto, or32(a.CoresPerReplica, 256), "from dns.autoscaler")
		b.control("autoscaler.preventSinglePointFailure", auto, least > 1, "from dns.autoscaler.min")
		b.control("autoscaler.includeUnschedulableNodes", auto, true, "cordoned nodes have pods that ask, too")
		b.control("replicaCount", auto, least, "the autoscaler raises it")
	case d.Replicas != nil:
		b.control("replicaCount", at, int64(*d.Replicas), "from dns.replicas")
	case found == nil:
		b.set("replicaCount", int64(defaultDNSReplicas), "one goes on answering when the other's node fails")
	}
}

func or32(v *int32, otherwise int64) int64 {
	if v == nil {
		return otherwise
	}
	return int64(*v)
}

func spreadValues(in []networkstackv1alpha1.DNSTopologySpread) []any {
	var out []any
	for _, t := range in {
		out = append(out, map[string]any{
			"topologyKey": t.TopologyKey, "maxSkew": or32(t.MaxSkew, 1),
			"whenUnsatisfiable": string(cmp.Or(t.WhenUnsatisfiable, networkstackv1alpha1.ScheduleAnyway)),
			"labelSelector":     map[string]any{"matchLabels": map[string]any{"k8s-app": facts.DNSLabelValue}},
		})
	}
	return out
}

// serverValues are servers as the values of upstream's chart have them: one port each.
func serverValues(servers []corefile.Server) []any {
	var out []any
	for i := range servers {
		s := &servers[i]
		var plugins []any
		for j := range s.Plugins {
			p := &s.Plugins[j]
			entry := map[string]any{"name": p.Name}
			if len(p.Args) > 0 {
				entry["parameters"] = p.Parameters()
			}
			if len(p.Block) > 0 {
				entry["configBlock"] = p.BlockText()
			}
			plugins = append(plugins, entry)
		}
		var ports []string
		for _, z := range s.Zones {
			if !slices.Contains(ports, z.EffectivePort()) {
				ports = append(ports, z.EffectivePort())
			}
		}
		for _, port := range ports {
			var zones []any
			for _, z := range s.Zones {
				if z.EffectivePort() != port {
					continue
				}
				zone := map[string]any{"zone": z.Name, "use_tcp": true}
				if z.Scheme != "" {
					zone["scheme"] = z.Scheme
				}
				zones = append(zones, zone)
			}
			number, _ := strconv.ParseInt(port, 10, 32) // digits, as they were read
			out = append(out, map[string]any{"zones": zones, "port": number, "plugins": copyValue(plugins)})
		}
	}
	return out
}
