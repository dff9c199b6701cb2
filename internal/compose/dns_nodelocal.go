package compose

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/corefile"
)

// What the cache's own image fills in when it starts: the address of CoreDNS that is not redirected to it, and the servers that the node
// asks.
const (
	pillarCluster  = "__PILLAR__CLUSTER__DNS__"
	pillarUpstream = "__PILLAR__UPSTREAM__SERVERS__"
)

// The usual addresses of the cache on every node.
var (
	nodeLocalIPv4 = netip.MustParseAddr("169.254.20.10")
	nodeLocalIPv6 = netip.MustParseAddr("fd00:169:254:20::10")
)

var (
	linkLocalIPv4   = netip.MustParsePrefix("169.254.0.0/16")
	uniqueLocalIPv6 = netip.MustParsePrefix("fd00::/8")
)

// takenLinkLocal are link-local addresses that clouds and network plugins use themselves.
var takenLinkLocal = map[netip.Addr]string{
	netip.MustParseAddr("169.254.169.254"): "the metadata of clouds",
	netip.MustParseAddr("169.254.169.253"): "the name server of AWS",
	netip.MustParseAddr("169.254.170.23"):  "the identity of pods on EKS",
	netip.MustParseAddr("169.254.1.1"):     "Calico's gateway",
	netip.MustParseAddr("169.254.7.127"):   "Istio's probes",
}

// deriveInterception settles how queries come to the caches, and their address.
func (s *state) deriveInterception() {
	n := s.spec.DNS.NodeLocalCache
	path := nodeLocalPath.Child("interception")
	mode := s.kubeProxyMode
	if mode == networkstackv1alpha1.KubeProxyUnmanaged {
		mode = cmp.Or(s.foundProxyMode(), mode)
	}
	cilium := s.cni == networkstackv1alpha1.CNICilium && s.kubeProxyMode == networkstackv1alpha1.KubeProxyReplaced
	switch {
	case n.Interception != "":
		s.dns.interception, s.dns.interceptionReason = n.Interception, "from dns.nodeLocalCache.interception"
	case cilium:
		s.dns.interception, s.dns.interceptionReason = networkstackv1alpha1.InterceptRedirectPolicy, "Cilium programs Services, past whatever listens on their addresses"
	case mode == networkstackv1alpha1.KubeProxyIPTables:
		s.dns.interception, s.dns.interceptionReason = networkstackv1alpha1.InterceptServiceAddress, "kube-proxy's mode is IPTables"
	case mode == networkstackv1alpha1.KubeProxyIPVS, mode == networkstackv1alpha1.KubeProxyNFTables:
		s.dns.interception = networkstackv1alpha1.InterceptLocalAddress
		s.dns.interceptionReason = fmt.Sprintf("kube-proxy's mode is %s", mode)
	case mode == networkstackv1alpha1.KubeProxyReplaced:
		s.dns.interception = networkstackv1alpha1.InterceptServiceAddress
		s.dns.interceptionReason = "Calico leaves the address of the Service kube-dns to it"
	case s.withFacts:
		s.refuse(ruleNodeLocalUnknown, field.Required(path,
			"it is not known what programs Services here: say how queries come to the cache, or set kubeProxy"))
	}
	if n.Interception == "" && s.dns.interception != "" {
		s.note(path, s.dns.interception, "%s", s.dns.interceptionReason)
	}
	s.deriveLocalAddress()
}

func (s *state) deriveLocalAddress() {
	n := s.spec.DNS.NodeLocalCache
	if n.Address != "" {
		if ip, err := netip.ParseAddr(n.Address); err == nil {
			s.dns.local = ip.Unmap()
		}
		return
	}
	s.dns.local = nodeLocalIPv4
	if len(s.dns.ips) > 0 && !s.dns.ips[0].Is4() {
		s.dns.local = nodeLocalIPv6
	}
	s.note(nodeLocalPath.Child("address"), s.dns.local, "the usual address")
}

// nodeLocalServiceIP is the address of the Service kube-dns that the cache answers on as well; invalid when there is none. The
// cache has addresses of one family.
func (s *state) nodeLocalServiceIP() netip.Addr {
	if s.dns.interception != networkstackv1alpha1.InterceptServiceAddress {
		return netip.Addr{}
	}
	for _, ip := range s.dns.ips {
		if ip.Is4() == s.dns.local.Is4() {
			return ip
		}
	}
	return netip.Addr{}
}

// redirectsDNS says whether Cilium is to redirect queries to the caches.
func (s *state) redirectsDNS() bool {
	return s.cachesDNS() && s.dns.interception == networkstackv1alpha1.InterceptRedirectPolicy
}

// nodeLocalValues are the values of our chart.
func (s *state) nodeLocalValues() *valuesBuilder {
	b := newValues("node-local-dns")
	b.control("interception", nodeLocalPath.Child("interception").String(), string(s.dns.interception), "%s", s.dns.interceptionReason)
	b.control("localAddress", nodeLocalPath.Child("address").String(), s.dns.local.String(), "the same on every node")
	if ip := s.nodeLocalServiceIP(); ip.IsValid() {
		b.control("serviceAddress", dnsPath.Child("serviceIPs").String(), ip.String(), "%s", s.dns.ipReason)
	} else {
		b.reserve("serviceAddress", dnsPath.Child("serviceIPs").String())
	}
	b.control("servers", "spec.dns", serverValues(s.nodeLocalServers()), "the cluster's names, and what CoreDNS alone knows, are asked of CoreDNS")
	return b
}

// nodeLocalServers are those of the cache: the cluster's names, and whatever CoreDNS alone can answer, are asked of CoreDNS, everything
// else where CoreDNS asks it.
func (s *state) nodeLocalServers() []corefile.Server {
	zones := []string{s.dnsDomain(), "in-addr.arpa", "ip6.arpa"}
	for i := range s.dns.servers {
		if i == s.dns.main {
			continue
		}
		for _, z := range s.dns.servers[i].Zones {
			if !slices.Contains(zones, z.Name) {
				zones = append(zones, z.Name)
			}
		}
	}
	var out []corefile.Server
	for i, zone := range zones {
		cache := corefile.Plugin{Name: "cache", Args: []string{"30"}}
		if i == 0 {
			// What is not there may be there soon: a Service, or a pod.
			cache = corefile.Plugin{Name: "cache", Block: [][]string{{"success", "9984", "30"}, {"denial", "9984", "5"}}}
		}
		server := s.nodeLocalServer(zone, cache, askCoreDNS())
		if i == 0 {
			health := corefile.Plugin{Name: "health"}
			if s.dns.interception != networkstackv1alpha1.InterceptRedirectPolicy {
				health.Args = []string{netip.AddrPortFrom(s.dns.local, 8080).String()}
			}
			server.Plugins = append(server.Plugins, health)
		}
		out = append(out, server)
	}
	rest := corefile.Plugin{Name: "forward", Args: []string{".", pillarUpstream}}
	switch d := s.spec.DNS; {
	case !s.managesDNS() || s.dns.servers == nil || s.changesNames():
		// What CoreDNS makes of a name is not known here.
		rest = askCoreDNS()
	case d.Forward != nil:
		rest = forwardPlugin(d.Forward)
	}
	return append(out, s.nodeLocalServer(".", corefile.Plugin{Name: "cache", Args: []string{"30"}}, rest))
}

// askCoreDNS goes to CoreDNS over TCP, which loses nothing.
func askCoreDNS() corefile.Plugin {
	return corefile.Plugin{Name: "forward", Args: []string{".", pillarCluster}, Block: [][]string{{"force_tcp"}}}
}

// changesNames says whether CoreDNS looks up names under others, or answers some itself, before it asks elsewhere.
func (s *state) changesNames() bool {
	main := &s.dns.servers[s.dns.main]
	return slices.ContainsFunc([]string{"rewrite", "hosts", "template", "file", "etcd", "k8s_external", "acl"},
		func(name string) bool { return main.Find(name) != nil })
}

func (s *state) nodeLocalServer(zone string, cache, forward corefile.Plugin) corefile.Server {
	server := corefile.Server{
		Zones:   []corefile.Zone{{Name: zone, Port: "53"}},
		Plugins: []corefile.Plugin{{Name: "errors"}, cache, {Name: "reload"}, {Name: "loop"}},
	}
	if s.dns.interception != networkstackv1alpha1.InterceptRedirectPolicy {
		bind := corefile.Plugin{Name: "bind", Args: []string{s.dns.local.String()}}
		if ip := s.nodeLocalServiceIP(); ip.IsValid() {
			bind.Args = append(bind.Args, ip.String())
		}
		server.Plugins = append(server.Plugins, bind)
	}
	server.Plugins = append(server.Plugins, forward, corefile.Plugin{Name: "prometheus", Args: []string{":9253"}})
	return server
}

// validateNodeLocal refuses caches that queries would not come to, or would not come back from.
func (s *state) validateNodeLocal() {
	if !s.cachesDNS() {
		return
	}
	s.validateInterception()
	s.validateLocalAddress()
	if s.spec.DNS.Type == networkstackv1alpha1.DNSUnmanaged && len(s.facts.DNSIPs) == 0 && s.withFacts {
		s.refuse(ruleNodeLocalNoDNS, field.Invalid(dnsPath.Child("type"), s.spec.DNS.Type,
			"there is no Service kube-system/kube-dns whose answers could be kept: set type to CoreDNS, or remove nodeLocalCache"))
	}
}

func (s *state) validateInterception() {
	path, way := nodeLocalPath.Child("interception"), s.dns.interception
	replaced := s.kubeProxyMode == networkstackv1alpha1.KubeProxyReplaced
	cilium := s.cni == networkstackv1alpha1.CNICilium && replaced
	mode := s.kubeProxyMode
	if mode == networkstackv1alpha1.KubeProxyUnmanaged {
		mode = cmp.Or(s.foundProxyMode(), mode)
	}
	switch way {
	case networkstackv1alpha1.InterceptRedirectPolicy:
		if !cilium {
			s.refuse(ruleNodeLocalRedirect, field.Invalid(path, way,
				"redirects are Cilium's, in the place of kube-proxy: remove interception, or set cni.type to Cilium and kubeProxy.mode to Replaced"))
		}
	case networkstackv1alpha1.InterceptServiceAddress:
		switch {
		case cilium:
			s.refuse(ruleNodeLocalBypassed, field.Invalid(path, way,
				"Cilium sends queries to CoreDNS before they come to an address of the node, so that the cache would not be asked: remove interception"))
		case mode == networkstackv1alpha1.KubeProxyIPVS:
			s.refuse(ruleNodeLocalIPVS, field.Invalid(path, way,
				"with IPVS the node has the address of every Service already: use LocalAddress, and tell kubelets"))
		case mode == networkstackv1alpha1.KubeProxyNFTables:
			s.warn(ruleNodeLocalNFTables, path, "the cache keeps queries from kube-proxy by rules of iptables, which nobody has tried beside NFTables: use LocalAddress")
		}
		if len(s.dns.ips) > 0 && s.dns.local.IsValid() && !s.nodeLocalServiceIP().IsValid() {
			s.refuse(ruleNodeLocalFamily, field.Invalid(nodeLocalPath.Child("address"), s.dns.local.String(), fmt.Sprintf(
				"the Service kube-dns has no address of its family (%s), and the cache has addresses of one: use one of the same", joined(s.dns.ips))))
		}
	case networkstackv1alpha1.InterceptLocalAddress:
		s.warn(ruleNodeLocalKubelet, nodeLocalPath,
			"the cache is asked by pods whose kubelet names it: when it is Ready, set clusterDNS of every kubelet to %s, and not before", s.dns.local)
	}
}

func (s *state) validateLocalAddress() {
	n := s.spec.DNS.NodeLocalCache
	path := nodeLocalPath.Child("address")
	refuse := func(format string, args ...any) {
		s.refuse(ruleNodeLocalAddress, field.Invalid(path, cmp.Or(n.Address, s.dns.local.String()), fmt.Sprintf(format, args...)))
	}
	ip, err := s.dns.local, error(nil)
	if n.Address != "" {
		ip, err = netip.ParseAddr(n.Address)
	}
	if err != nil {
		refuse("is no IP address: write one such as %s", nodeLocalIPv4)
		return
	}
	if !linkLocalIPv4.Contains(ip) && !uniqueLocalIPv6.Contains(ip) {
		refuse("may be somebody else's: use one of %s or %s", linkLocalIPv4, uniqueLocalIPv6)
	}
	if whose := takenLinkLocal[ip]; whose != "" {
		refuse("is the address of %s: use another one", whose)
	}
	for _, p := range s.services {
		if p.Contains(ip) {
			refuse("is in the range %s of Services: use another one", p)
		}
	}
	for _, p := range s.pools {
		if p.prefix.Contains(ip) {
			refuse("is in the range %s of pods: use another one", p.prefix)
		}
	}
	for i := range s.nodes {
		if slices.Contains(s.nodes[i].InternalIPs, ip) {
			refuse("is the address of node %s: use another one", s.nodes[i].Name)
		}
	}
	before, there := s.existing[nameNodeLocalDNS]
	if !there || interceptionOf(&before) != networkstackv1alpha1.InterceptLocalAddress {
		return
	}
	values, err := ParseValues(before.DerivedValues)
	old, _ := lookup(values, "localAddress")
	if text, ok := old.(string); err == nil && ok && text != ip.String() {
		s.refuse(ruleNodeLocalMoved, field.Invalid(path, ip.String(), fmt.Sprintf(
			"kubelets tell pods to ask %s, who would not get an answer any more: restore it; or set clusterDNS of every kubelet to %s, "+
				"replace the pods, disable the cache, and delete what it leaves", text, joined(s.dns.ips))))
	}
}

// validateLeftDNS tells of what goes on running when it is no longer wanted.
func (s *state) validateLeftDNS() {
	if before, there := s.existing[nameCoreDNS]; there && !s.managesDNS() && RunsOn(&before, s.kubeProxyMode) {
		s.warn(ruleDNSLeft, dnsPath, "CoreDNS goes on running as it is, without anybody who looks after it: pods need it. Its Helm release %s stays too", before.ReleaseName)
	}
	before, there := s.existing[nameNodeLocalDNS]
	if there && !s.cachesDNS() && RunsOn(&before, s.kubeProxyMode) {
		s.warn(ruleDNSLeft, nodeLocalPath, "the caches go on running as they are, because kubelets tell their address to pods: "+
			"set clusterDNS of every kubelet back and replace the pods, then uninstall the Helm release %s", before.ReleaseName)
	}
}

// calicoDNSExclusion keeps Calico from programming the address of the DNS Service, so that the cache is asked on it.
func (s *state) calicoDNSExclusion(b *valuesBuilder) {
	ip := s.nodeLocalServiceIP()
	if !s.cachesDNS() || !ip.IsValid() || s.kubeProxyMode != networkstackv1alpha1.KubeProxyReplaced {
		return
	}
	b.control("defaultFelixConfiguration.bpfExcludeCIDRsFromNAT", nodeLocalPath.String(),
		[]any{netip.PrefixFrom(ip, ip.BitLen()).String()}, "the cache on the node answers queries for the Service kube-dns")
}

// ciliumDNSRedirect turns on the policies by which Cilium redirects queries to the caches.
func (s *state) ciliumDNSRedirect(b *valuesBuilder) {
	key := "localRedirectPolicies.enabled"
	if v := parseVersion(s.cniVersion); v != nil && !atLeast(v, 1, 18) {
		key = "localRedirectPolicy"
	}
	if s.redirectsDNS() {
		b.control(key, nodeLocalPath.String(), true, "queries are redirected to the cache on the node")
	}
}
