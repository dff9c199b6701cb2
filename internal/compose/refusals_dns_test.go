package compose

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// withDNS has CoreDNS, edited.
func withDNS(edits ...func(*DNSSpec)) func(*Input) {
	return func(in *Input) {
		in.Stack.Spec.DNS = &DNSSpec{Type: DNSCoreDNS}
		for _, edit := range edits {
			edit(in.Stack.Spec.DNS)
		}
	}
}

// withCache has a cache on every node.
func withCache(edits ...func(*NodeLocalCacheSpec)) func(*DNSSpec) {
	return func(d *DNSSpec) {
		d.NodeLocalCache = &NodeLocalCacheSpec{Mode: Enabled}
		for _, edit := range edits {
			edit(d.NodeLocalCache)
		}
	}
}

func unmanagedDNS(d *DNSSpec) { d.Type = DNSUnmanaged }

func lasting(n int) *metav1.Duration {
	return &metav1.Duration{Duration: time.Duration(n) * time.Second}
}

// corefileOfKubeadm is one that somebody has changed.
const corefileOfKubeadm = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    hosts {
       10.1.2.3 old.example.com
       fallthrough
    }
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
corp.example.com:53 {
    errors
    forward . 10.0.0.53
}
`

// coreDNSThere is a CoreDNS that kubeadm made, and its Service.
func coreDNSThere(edits ...func(*facts.Installed)) func(*Input) {
	return func(in *Input) {
		i := facts.Installed{
			Type: facts.InstalledCoreDNS, Namespace: "kube-system", Name: "coredns", Image: "registry.k8s.io/coredns/coredns:v1.13.1", Source: "kubeadm",
			Found: &facts.Found{
				Data: map[string]string{"Corefile": corefileOfKubeadm}, Replicas: ptr(int32(3)),
				Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}},
				Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType},
				Template: &corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": "kube-dns"}},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "coredns", Image: "registry.k8s.io/coredns/coredns:v1.13.1"}}},
				},
			},
		}
		for _, edit := range edits {
			edit(&i)
		}
		in.Facts.Installed = append(in.Facts.Installed, i)
		in.Facts.DNSIPs = addrs("10.96.0.10")
	}
}

func corefileThere(text string) func(*facts.Installed) {
	return func(i *facts.Installed) { i.Found.Data["Corefile"] = text }
}

func adopting(in *Input) { in.Stack.Spec.Adoption = AdoptionAdopt }

// dnsComponents are what is installed of DNS.
func dnsComponents(specs map[string]NetworkComponentSpec) func(*Input) {
	return func(in *Input) {
		in.Existing = map[string]NetworkComponentSpec{}
		for name, c := range specs {
			c.ReleaseName, c.Namespace = name, "kube-system"
			in.Existing[name] = c
		}
	}
}

func dnsFindings() []finding {
	forward := func(servers ...string) func(*DNSSpec) {
		return func(d *DNSSpec) { d.Forward = &DNSForward{Servers: servers} }
	}
	stub := func(domain string, servers ...string) func(*DNSSpec) {
		return func(d *DNSSpec) {
			d.StubDomains = append(d.StubDomains, DNSStubDomain{Domain: domain, DNSForward: DNSForward{Servers: servers}})
		}
	}
	block := func(texts ...string) func(*DNSSpec) { return func(d *DNSSpec) { d.ServerBlocks = texts } }
	rewrite := func(m DNSRewriteMatch, from, to string) func(*DNSSpec) {
		return func(d *DNSSpec) { d.Rewrites = append(d.Rewrites, DNSRewrite{Match: m, From: from, To: to}) }
	}
	ips := func(texts ...string) func(*DNSSpec) { return func(d *DNSSpec) { d.ServiceIPs = texts } }
	scale := func(a DNSAutoscaler) func(*DNSSpec) { return func(d *DNSSpec) { d.Autoscaler = &a } }
	replicas := func(n int32) func(*DNSSpec) { return func(d *DNSSpec) { d.Replicas = &n } }
	spread := func(key string, u DNSUnsatisfiable) func(*DNSSpec) {
		return func(d *DNSSpec) { d.TopologySpread = []DNSTopologySpread{{TopologyKey: key, WhenUnsatisfiable: u}} }
	}
	return []finding{
		{name: "dns", in: flannel(withDNS())},
		{name: "dns with everything", in: flannel(withDNS(forward("10.0.0.53", "[fd00::53]:5353"), stub("corp.example.com", "10.0.0.54"), rewrite("", "a.example.com", "b.default.svc.cluster.local"), rewrite(RewriteRegex, `(.*)\.x\.example\.com`, "{1}.default.svc.cluster.local"), block("lab.example.com {\n forward . 10.0.0.55\n}"), scale(DNSAutoscaler{Max: ptr(int32(5))}), spread("kubernetes.io/hostname", ScheduleAnyway), func(d *DNSSpec) {
			d.PodRecords, d.Autopath, d.QueryLog, d.Lameduck, d.TTL = PodRecordsVerified, Enabled, Enabled, lasting(30), ptr(int32(5))
			d.Cache = &DNSCache{SuccessCapacity: ptr(int32(20000)), DenialSeconds: ptr(int32(5)), Prefetch: ptr(int32(10)), ServeStale: lasting(3600)}
		}))},
		{name: "dns unmanaged", in: flannel(withDNS(unmanagedDNS))},
		{name: "dns unmanaged, with settings", in: flannel(withDNS(unmanagedDNS, replicas(3), block("x {\n whoami\n}"), func(d *DNSSpec) { d.Values = rawValues(object{}) })), errors: []string{
			"spec.dns.serverBlocks: Forbidden: with type Unmanaged the cluster's DNS is left as it is found: remove it, or set type to CoreDNS [DNS-UNMANAGED]",
			"spec.dns.replicas: Forbidden: with type Unmanaged the cluster's DNS is left as it is found: remove it, or set type to CoreDNS [DNS-UNMANAGED]",
			"spec.dns.values: Forbidden: with type Unmanaged the cluster's DNS is left as it is found: remove it, or set type to CoreDNS [DNS-UNMANAGED]",
		}},
		{name: "dns of an unknown type", in: flannel(withDNS(func(d *DNSSpec) { d.Type = "KubeDNS" })), errors: []string{
			`spec.dns.type: Unsupported value: "KubeDNS": supported values: "CoreDNS", "Unmanaged" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "dns in words unknown", in: flannel(withDNS(forward("10.0.0.53"), stub("a.example.com", "10.0.0.53"), rewrite("Glob", "a", "b"), spread("a", "Perhaps"), func(d *DNSSpec) {
			d.PodRecords, d.Autopath, d.QueryLog, d.Forward.Policy, d.StubDomains[0].Protocol = "Some", "On", "On", "First", "Carrier"
		})), errors: []string{
			`spec.dns.podRecords: Unsupported value: "Some": supported values: "Insecure", "Verified", "Disabled" [STACK-UNKNOWN-VALUE]`,
			`spec.dns.autopath: Unsupported value: "On": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
			`spec.dns.queryLog: Unsupported value: "On": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
			`spec.dns.forward.policy: Unsupported value: "First": supported values: "Random", "RoundRobin", "Sequential" [STACK-UNKNOWN-VALUE]`,
			`spec.dns.stubDomains[0].protocol: Unsupported value: "Carrier": supported values: "PreferUDP", "TCP", "TLS" [STACK-UNKNOWN-VALUE]`,
			`spec.dns.rewrites[0].match: Unsupported value: "Glob": supported values: "Exact", "Prefix", "Suffix", "Substring", "Regex" [STACK-UNKNOWN-VALUE]`,
			`spec.dns.topologySpread[0].whenUnsatisfiable: Unsupported value: "Perhaps": supported values: "DoNotSchedule", "ScheduleAnyway" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "dns elsewhere", in: flannel(withDNS(withCache(func(n *NodeLocalCacheSpec) { n.Namespace = "dns" }), func(d *DNSSpec) { d.Namespace = "dns" }), withoutKubeProxy, mode(KubeProxyIPTables)), errors: []string{
			`spec.dns.namespace: Invalid value: "dns": the cluster's DNS is in kube-system: remove namespace [DNS-NAMESPACE]`,
			`spec.dns.nodeLocalCache.namespace: Invalid value: "dns": the cluster's DNS is in kube-system: remove namespace [DNS-NAMESPACE]`,
		}},
		{name: "dns at addresses of no Service", in: flannel(withDNS(ips("10.0.0.10"))), errors: []string{
			`spec.dns.serviceIPs[0]: Invalid value: "10.0.0.10": is in no range of Services (10.96.0.0/12, from ServiceCIDR/kubernetes): use an address of one [DNS-SERVICE-IP]`,
		}},
		{name: "dns at the address of the API server", in: flannel(withDNS(ips("10.96.0.1"))), errors: []string{
			`spec.dns.serviceIPs[0]: Invalid value: "10.96.0.1": is the address of the Service default/kubernetes: use another one [DNS-SERVICE-IP]`,
		}},
		{name: "dns at no address", in: flannel(withDNS(ips("ten"))), errors: []string{
			`spec.dns.serviceIPs[0]: Invalid value: "ten": is no IP address: write one such as 10.96.0.10 [DNS-SERVICE-IP]`,
		}},
		{name: "dns at two addresses of a family", in: flannel(withDNS(ips("10.96.0.10", "10.96.0.11"))), errors: []string{
			`spec.dns.serviceIPs[1]: Invalid value: "10.96.0.11": is a second address of its family: leave one a family [DNS-SERVICE-IP]`,
		}},
		{name: "dns at another address than before", in: flannel(withDNS(ips("10.96.0.53")), cluster(func(s *facts.Snapshot) { s.DNSIPs = addrs("10.96.0.10") })), errors: []string{
			`spec.dns.serviceIPs[0]: Invalid value: "10.96.0.53": the Service kube-dns has 10.96.0.10, which kubelets tell to pods, and addresses of Services cannot be changed: remove serviceIPs [DNS-SERVICE-IP-CHANGED]`,
		}},
		{name: "dns without a range of Services", in: flannel(withDNS(), cluster(func(s *facts.Snapshot) { s.ServiceCIDRs = nil })), errors: []string{
			"spec.dns.serviceIPs: Required value: there is no Service kube-dns, and no range of Services is known that has a tenth address: state the address that kubelets tell to pods [DNS-SERVICE-IP-UNKNOWN]",
		}},
		{name: "dns in a tiny range of Services", in: flannel(withDNS(), cluster(func(s *facts.Snapshot) { s.ServiceCIDRs = prefixes("10.96.0.0/29") })), errors: []string{
			"spec.dns.serviceIPs: Required value: there is no Service kube-dns, and no range of Services is known that has a tenth address: state the address that kubelets tell to pods [DNS-SERVICE-IP-UNKNOWN]",
		}},
		{name: "dns without a range of Services, stated", in: flannel(withDNS(ips("10.96.0.10")), cluster(func(s *facts.Snapshot) { s.ServiceCIDRs = nil }))},
		{name: "dns beside kubeadm's", in: flannel(withDNS(), coreDNSThere()), errors: []string{
			`spec.dns.type: Invalid value: "CoreDNS": Deployment kube-system/coredns is the CoreDNS of the cluster already, made by kubeadm: set spec.adoption to Adopt to take it over (status.adoption of NetworkComponent coredns says what that changes), or set dns.type to Unmanaged to leave it there [ADOPT-NOT-ASKED]`,
		}},
		{name: "dns in the place of kubeadm's", in: flannel(withDNS(), coreDNSThere(), adopting)},
		{name: "dns beside a cloud's", in: flannel(withDNS(), adopting, coreDNSThere(func(i *facts.Installed) { i.Kept, i.Manager, i.Source = true, "EKS add-on", "EKS add-on" })), errors: []string{
			`spec.dns.type: Invalid value: "CoreDNS": Deployment kube-system/coredns is the CoreDNS of the cluster, managed by "EKS add-on", which would undo every change, so it is never taken over: set dns.type to Unmanaged to leave it there, or remove it where it is managed [ADOPT-MANAGED]`,
		}},
		{name: "dns beside another", in: flannel(withDNS(), adopting, coreDNSThere(func(i *facts.Installed) { i.Type, i.Name = facts.InstalledOtherDNS, "rke2-coredns" })), errors: []string{
			`spec.dns.type: Invalid value: "CoreDNS": Deployment kube-system/rke2-coredns (kubeadm) answers the cluster's DNS queries already, and cannot be taken over: set dns.type to Unmanaged to leave it there, or turn it off where it comes from [DNS-FOREIGN]`,
		}},
		{name: "dns found, that nobody can change", in: flannel(withDNS(forward("10.0.0.1")), adopting, coreDNSThere(corefileThere("import /etc/coredns/*.conf"))), errors: []string{
			"spec.dns: Forbidden: the Corefile of the CoreDNS that is there cannot be changed from here (it imports a file, which only CoreDNS itself could read): remove the fields of dns that say what is in it, or write it anew first [DNS-FOUND-COREFILE]",
		}},
		{name: "dns found, that nobody can change, as it is", in: flannel(withDNS(), adopting, coreDNSThere(corefileThere("import /etc/coredns/*.conf")))},
		{name: "dns found, without the cluster's names", in: flannel(withDNS(forward("10.0.0.1")), adopting, coreDNSThere(corefileThere(".:53 {\n whoami\n}"))), errors: []string{
			"spec.dns: Forbidden: the Corefile of the CoreDNS that is there has no block with the plugin kubernetes, so it does not know the cluster's names: add one first [DNS-FOUND-COREFILE]",
		}},
		{name: "dns found, poor", in: flannel(withDNS(forward("10.0.0.1")), adopting, coreDNSThere(corefileThere(".:53 {\n kubernetes cluster.local\n}"))), warnings: []string{
			"spec.dns: the Corefile that was found has no plugin ready: replicas get queries before they can answer [DNS-PLUGIN-MISSING]",
			"spec.dns: the Corefile that was found has no plugin health: a replica that hangs is not restarted [DNS-PLUGIN-MISSING]",
			"spec.dns: the Corefile that was found has no plugin reload: a change is taken up by new pods alone [DNS-PLUGIN-MISSING]",
		}},
		{name: "dns with numbers out of bounds", in: flannel(withDNS(func(d *DNSSpec) {
			d.TTL, d.Lameduck = ptr(int32(4000)), lasting(90)
			d.Cache = &DNSCache{SuccessCapacity: ptr(int32(10)), ServeStale: lasting(100000)}
		})), errors: []string{
			"spec.dns.ttl: Invalid value: 4000: must be from 0 to 3600 [DNS-RANGE]",
			`spec.dns.lameduck: Invalid value: "1m30s": must be between 0s and 60s [DNS-RANGE]`,
			"spec.dns.cache.successCapacity: Invalid value: 10: must be from 256 to 1000000 [DNS-RANGE]",
			`spec.dns.cache.serveStale: Invalid value: "27h46m40s": must be between 1s and 24h [DNS-RANGE]`,
		}},
		{name: "dns with two who scale", in: flannel(withDNS(replicas(3), scale(DNSAutoscaler{}))), errors: []string{
			"spec.dns.replicas: Forbidden: the autoscaler sets the number of replicas: remove replicas, or autoscaler [DNS-REPLICAS]",
		}},
		{name: "dns with a narrow autoscaler", in: flannel(withDNS(scale(DNSAutoscaler{Max: ptr(int32(1))}))), errors: []string{
			"spec.dns.autoscaler.max: Invalid value: 1: is less than min, which is 2: raise it [DNS-REPLICAS]",
		}},
		{name: "dns with one replica", in: flannel(withDNS(replicas(1))), warnings: []string{
			"spec.dns: with one replica, no name is found while its node fails or is drained: use 2 or more [DNS-SINGLE]",
		}},
		{name: "dns with autopath alone", in: flannel(withDNS(func(d *DNSSpec) { d.Autopath = Enabled })), errors: []string{
			`spec.dns.autopath: Invalid value: "Enabled": autopath has to know which pod asks: set podRecords to Verified [DNS-AUTOPATH]`,
		}},
		{name: "dns with upstreams that are none", in: flannel(withDNS(forward("dns.example.com"), stub("a.example.com", "tls://10.0.0.1"), stub("b.example.com"))), errors: []string{
			`spec.dns.forward.servers[0]: Invalid value: "dns.example.com": is no address: write one such as 10.0.0.53 or [fd00::53]:5353 [DNS-UPSTREAM]`,
			`spec.dns.stubDomains[0].servers[0]: Invalid value: "tls://10.0.0.1": write the address alone: how it is asked is said by protocol and tlsServerName [DNS-UPSTREAM]`,
			"spec.dns.stubDomains[1].servers: Required value: name at least one server [DNS-UPSTREAM]",
		}},
		{name: "dns with too many upstreams", in: flannel(withDNS(forward("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.9", "10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14", "10.0.0.15", "10.0.0.16"))), errors: []string{
			"spec.dns.forward.servers: Too many: 16: must have at most 15 items [DNS-UPSTREAM]",
		}},
		{name: "dns with a name of certificates", in: flannel(withDNS(forward("10.0.0.1"), func(d *DNSSpec) { d.Forward.TLSServerName = "dns.example.com" })), errors: []string{
			"spec.dns.forward.tlsServerName: Forbidden: it is read only with protocol TLS: remove it, or set protocol to TLS [DNS-TLS-NAME]",
		}},
		{name: "dns in circles", in: flannel(withDNS(forward("127.0.0.53"), stub("a.example.com", "10.96.0.10:53"))), errors: []string{
			`spec.dns.forward.servers[0]: Invalid value: "127.0.0.53": is the pod of CoreDNS itself, which would ask itself without end, and stops when it notices: name the servers that the resolver on the node asks [DNS-LOOP]`,
			`spec.dns.stubDomains[0].servers[0]: Invalid value: "10.96.0.10:53": is the cluster's DNS itself, which would ask itself without end: name a server outside of the cluster [DNS-LOOP]`,
		}},
		{name: "dns with the cluster's own domain elsewhere", in: flannel(withDNS(stub("cluster.local", "10.0.0.1"), stub("svc.cluster.local", "10.0.0.1"), stub("local", "10.0.0.1"), block(". {\n whoami\n}"))), errors: []string{
			`spec.dns.serverBlocks[0]: Invalid value: ".": all names that no other block is for are answered by the block that this operator writes: use forward, rewrites and cache [DNS-OWN-ZONE]`,
			`spec.dns.stubDomains[0].domain: Invalid value: "cluster.local:53": takes names from the cluster's own domain cluster.local, so that Services were not found any more: use another domain [DNS-OWN-ZONE]`,
			`spec.dns.stubDomains[1].domain: Invalid value: "svc.cluster.local:53": takes names from the cluster's own domain cluster.local, so that Services were not found any more: use another domain [DNS-OWN-ZONE]`,
			`spec.dns.stubDomains[2].domain: Invalid value: "local:53": takes names from the cluster's own domain cluster.local, so that Services were not found any more: use another domain [DNS-OWN-ZONE]`,
		}},
		{name: "dns of reverse zones", in: flannel(withDNS(stub("10.in-addr.arpa", "10.0.0.1"), stub("168.192.in-addr.arpa", "10.0.0.1"))), warnings: []string{
			"spec.dns.stubDomains[0].domain: 10.in-addr.arpa takes the names of Services' addresses (10.96.0.0/12): they are looked up there, and not in the cluster [DNS-REVERSE]",
		}},
		{name: "dns with broken blocks", in: flannel(withDNS(block("a.example.com {\n forward . 10.0.0.1", "import /etc/passwd", "b.example.com {\n forward . {$SERVER}\n}"))), errors: []string{
			"spec.dns.serverBlocks[0]: Invalid value: CoreDNS cannot read it: line 2 - Syntax error: Unexpected token '10.0.0.1', expecting '}': correct it [DNS-BLOCK]",
			"spec.dns.serverBlocks[1]: Invalid value: it imports a file, which only CoreDNS itself could read: write out what is meant [DNS-BLOCK]",
			"spec.dns.serverBlocks[2]: Invalid value: it refers to an environment variable, which only CoreDNS itself could read: write out what is meant [DNS-BLOCK]",
		}},
		{name: "dns with a block at another port", in: flannel(withDNS(block("a.example.com:5353 {\n whoami\n}", "tls://b.example.com {\n whoami\n}"))), errors: []string{
			`spec.dns.serverBlocks[0]: Invalid value: "a.example.com:5353": the Service kube-dns has plain DNS at port 53 and nothing else: leave out scheme and port [DNS-BLOCK-PORT]`,
			`spec.dns.serverBlocks[1]: Invalid value: "tls://b.example.com": the Service kube-dns has plain DNS at port 53 and nothing else: leave out scheme and port [DNS-BLOCK-PORT]`,
		}},
		{name: "dns with blocks that answer nothing", in: flannel(withDNS(block("a.example.com {\n cahce 30\n}\nb.example.com {\n forward . 169.254.20.10 10.96.0.10\n}"), stub("b.example.com", "10.0.0.1"))), errors: []string{
			`spec.dns: Invalid value: block a.example.com: there is no plugin "cahce" in CoreDNS [DNS-COREFILE]`,
			"spec.dns: Invalid value: block a.example.com: nothing in it answers a query: add forward, kubernetes, hosts or the like [DNS-COREFILE]",
			"spec.dns: Invalid value: block b.example.com: forward to 10.96.0.10 is a loop: at that address it is CoreDNS that answers [DNS-COREFILE]",
			"spec.dns: Invalid value: block b.example.com:53: b.example.com:53 is answered by another block already [DNS-COREFILE]",
		}},
		{name: "dns with rewrites that are none", in: flannel(withDNS(rewrite(RewriteRegex, "(", "a"), rewrite(RewriteRegex, "(a)", "{2}"), rewrite(RewriteSuffix, "a", "{1}"), rewrite(RewriteRegex, "(a)", "{b"))), errors: []string{
			"spec.dns.rewrites[0].from: Invalid value: \"(\": is no regular expression (RE2): error parsing regexp: missing closing ): `(` [DNS-REWRITE]",
			`spec.dns.rewrites[1].to: Invalid value: "{2}": there is no group {2} in from: add it, or correct the number [DNS-REWRITE]`,
			`spec.dns.rewrites[2].to: Invalid value: "{1}": braces stand for groups of a Regex alone, such as {1}: remove them [DNS-REWRITE]`,
			`spec.dns.rewrites[3].to: Invalid value: "{b": braces stand for groups of a Regex alone, such as {1}: remove them [DNS-REWRITE]`,
		}},
		{name: "dns spread over nothing", in: flannel(withDNS(spread("topology.kubernetes.io/zone", DoNotSchedule))), errors: []string{
			`spec.dns.topologySpread[0].topologyKey: Invalid value: "topology.kubernetes.io/zone": no node has this label, so that no replica would be scheduled: label the nodes, or set whenUnsatisfiable to ScheduleAnyway [DNS-SPREAD]`,
		}},
		{name: "dns no longer wanted", in: flannel(dnsComponents(map[string]NetworkComponentSpec{"coredns": {Type: TypeCoreDNS}})), warnings: []string{
			"spec.dns: CoreDNS goes on running as it is, without anybody who looks after it: pods need it. Its Helm release coredns stays too [DNS-LEFT]",
		}},
		{name: "dns with servers of the user's own", in: flannel(withDNS(func(d *DNSSpec) { d.Values = rawValues(object{"servers": []any{}}) })), errors: []string{
			"spec.dns.values: Forbidden: values.servers is controlled by spec.dns; remove it [VALUES-CONTROLLED]",
		}},
	}
}

func nodeLocalFindings() []finding {
	way := func(w NodeLocalInterception) func(*NodeLocalCacheSpec) {
		return func(n *NodeLocalCacheSpec) { n.Interception = w }
	}
	at := func(a string) func(*NodeLocalCacheSpec) { return func(n *NodeLocalCacheSpec) { n.Address = a } }
	proxy := func(m KubeProxyMode) func(*Input) { return func(in *Input) { withoutKubeProxy(in); mode(m)(in) } }
	found := func(m string) func(*Input) { return cluster(func(s *facts.Snapshot) { s.Installed[0].Mode = m }) }
	before := func(way NodeLocalInterception, address string) func(*Input) {
		return dnsComponents(map[string]NetworkComponentSpec{"node-local-dns": {Type: TypeNodeLocalDNS, DerivedValues: rawValues(object{"interception": string(way), "localAddress": address})}})
	}
	return []finding{
		{name: "cache, IPTables", in: flannel(proxy(KubeProxyIPTables), withDNS(withCache()))},
		{name: "cache, NFTables", in: flannel(proxy(KubeProxyNFTables), withDNS(withCache())), warnings: []string{
			"spec.dns.nodeLocalCache: the cache is asked by pods whose kubelet names it: when it is Ready, set clusterDNS of every kubelet to 169.254.20.10, and not before [DNS-CACHE-KUBELET]",
		}},
		{name: "cache, IPVS", in: flannel(proxy(KubeProxyIPVS), withDNS(withCache())), warnings: []string{
			"spec.kubeProxy.mode: IPVS is deprecated since Kubernetes 1.35 and off by default in 1.40; plan the change to NFTables [PROXY-IPVS-DEPRECATED]",
			"spec.dns.nodeLocalCache: the cache is asked by pods whose kubelet names it: when it is Ready, set clusterDNS of every kubelet to 169.254.20.10, and not before [DNS-CACHE-KUBELET]",
		}},
		{name: "cache, Cilium", in: cilium(proxy(KubeProxyReplaced), withDNS(withCache()))},
		{name: "cache, Calico", in: calico(proxy(KubeProxyReplaced), withDNS(withCache()))},
		{name: "cache beside a kube-proxy that was found", in: flannel(found("iptables"), withDNS(withCache()))},
		{name: "cache beside an unknown kube-proxy", in: flannel(withDNS(withCache())), errors: []string{
			"spec.dns.nodeLocalCache.interception: Required value: it is not known what programs Services here: say how queries come to the cache, or set kubeProxy [DNS-CACHE-PROXY]",
		}},
		{name: "cache beside an unknown kube-proxy, stated", in: flannel(withDNS(withCache(way(InterceptServiceAddress))))},
		{name: "cache of nothing", in: flannel(proxy(KubeProxyIPTables), withDNS(unmanagedDNS, withCache())), errors: []string{
			`spec.dns.type: Invalid value: "Unmanaged": there is no Service kube-system/kube-dns whose answers could be kept: set type to CoreDNS, or remove nodeLocalCache [DNS-CACHE-NOTHING]`,
		}},
		{name: "cache of somebody else's", in: flannel(proxy(KubeProxyIPTables), withDNS(unmanagedDNS, withCache()), cluster(func(s *facts.Snapshot) { s.DNSIPs = addrs("10.96.0.10") }))},
		{name: "cache disabled, with settings", in: flannel(withDNS(withCache(at("169.254.20.11"), func(n *NodeLocalCacheSpec) { n.Mode, n.Version = Disabled, "1.0.0" }))), errors: []string{
			"spec.dns.nodeLocalCache.address: Forbidden: with mode Disabled there is no cache: remove it, or set mode to Enabled [DNS-CACHE-FIELD]",
			"spec.dns.nodeLocalCache.version: Forbidden: with mode Disabled there is no cache: remove it, or set mode to Enabled [DNS-CACHE-FIELD]",
		}},
		{name: "cache in no mode", in: flannel(withDNS(withCache(func(n *NodeLocalCacheSpec) { n.Mode = "Auto" }))), errors: []string{
			`spec.dns.nodeLocalCache.mode: Unsupported value: "Auto": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "cache redirected by nobody", in: flannel(proxy(KubeProxyIPTables), withDNS(withCache(way(InterceptRedirectPolicy)))), errors: []string{
			`spec.dns.nodeLocalCache.interception: Invalid value: "RedirectPolicy": redirects are Cilium's, in the place of kube-proxy: remove interception, or set cni.type to Cilium and kubeProxy.mode to Replaced [DNS-CACHE-REDIRECT]`,
		}},
		{name: "cache passed by", in: cilium(proxy(KubeProxyReplaced), withDNS(withCache(way(InterceptServiceAddress)))), errors: []string{
			`spec.dns.nodeLocalCache.interception: Invalid value: "ServiceAddress": Cilium sends queries to CoreDNS before they come to an address of the node, so that the cache would not be asked: remove interception [DNS-CACHE-BYPASSED]`,
		}},
		{name: "cache on the Service's address, IPVS", in: flannel(proxy(KubeProxyIPVS), withDNS(withCache(way(InterceptServiceAddress)))), errors: []string{
			`spec.dns.nodeLocalCache.interception: Invalid value: "ServiceAddress": with IPVS the node has the address of every Service already: use LocalAddress, and tell kubelets [DNS-CACHE-IPVS]`,
		}, warnings: []string{
			"spec.kubeProxy.mode: IPVS is deprecated since Kubernetes 1.35 and off by default in 1.40; plan the change to NFTables [PROXY-IPVS-DEPRECATED]",
		}},
		{name: "cache on the Service's address, NFTables", in: flannel(proxy(KubeProxyNFTables), withDNS(withCache(way(InterceptServiceAddress)))), warnings: []string{
			"spec.dns.nodeLocalCache.interception: the cache keeps queries from kube-proxy by rules of iptables, which nobody has tried beside NFTables: use LocalAddress [DNS-CACHE-NFTABLES]",
		}},
		{name: "cache of another family", in: flannel(proxy(KubeProxyIPTables), withDNS(withCache(at("fd00::10")))), errors: []string{
			`spec.dns.nodeLocalCache.address: Invalid value: "fd00::10": the Service kube-dns has no address of its family (10.96.0.10), and the cache has addresses of one: use one of the same [DNS-CACHE-FAMILY]`,
		}},
		{name: "cache, IPv6", in: flannel(onlyIPv6, proxy(KubeProxyIPTables), withDNS(withCache())), warnings: []string{
			"spec.mtu: Flannel detects the nodes' MTU but reserves only 50 bytes where VXLAN over IPv6 takes 70: state cluster.nodeMTU [MTU-FLANNEL-IPV6]",
		}},
		{name: "cache at a public address", in: flannel(proxy(KubeProxyIPTables), withDNS(withCache(at("8.8.8.8")))), errors: []string{
			`spec.dns.nodeLocalCache.address: Invalid value: "8.8.8.8": may be somebody else's: use one of 169.254.0.0/16 or fd00::/8 [DNS-CACHE-ADDRESS]`,
		}},
		{name: "cache at the metadata's address", in: flannel(proxy(KubeProxyIPTables), withDNS(withCache(at("169.254.169.254")))), errors: []string{
			`spec.dns.nodeLocalCache.address: Invalid value: "169.254.169.254": is the address of the metadata of clouds: use another one [DNS-CACHE-ADDRESS]`,
		}},
		{name: "cache at no address", in: flannel(proxy(KubeProxyIPTables), withDNS(withCache(at("here")))), errors: []string{
			`spec.dns.nodeLocalCache.address: Invalid value: "here": is no IP address: write one such as 169.254.20.10 [DNS-CACHE-ADDRESS]`,
		}},
		{name: "cache at a node's address", in: flannel(proxy(KubeProxyIPTables), cluster(func(s *facts.Snapshot) { s.Nodes[0].InternalIPs = addrs("169.254.20.10") }), withDNS(withCache())), errors: []string{
			`spec.dns.nodeLocalCache.address: Invalid value: "169.254.20.10": is the address of node n1: use another one [DNS-CACHE-ADDRESS]`,
		}},
		{name: "cache in the range of Services", in: flannel(onlyIPv6, proxy(KubeProxyIPTables), withDNS(withCache(at("fd00:10:96::53")))), errors: []string{
			`spec.dns.nodeLocalCache.address: Invalid value: "fd00:10:96::53": is in the range fd00:10:96::/112 of Services: use another one [DNS-CACHE-ADDRESS]`,
		}, warnings: []string{
			"spec.mtu: Flannel detects the nodes' MTU but reserves only 50 bytes where VXLAN over IPv6 takes 70: state cluster.nodeMTU [MTU-FLANNEL-IPV6]",
		}},
		{name: "cache in the range of pods", in: flannel(onlyIPv6, proxy(KubeProxyIPTables), withDNS(withCache(at("fd00:10:244::53")))), errors: []string{
			`spec.dns.nodeLocalCache.address: Invalid value: "fd00:10:244::53": is in the range fd00:10:244::/56 of pods: use another one [DNS-CACHE-ADDRESS]`,
		}, warnings: []string{
			"spec.mtu: Flannel detects the nodes' MTU but reserves only 50 bytes where VXLAN over IPv6 takes 70: state cluster.nodeMTU [MTU-FLANNEL-IPV6]",
		}},
		{name: "cache moved, under the eyes of kubelets", in: flannel(proxy(KubeProxyNFTables), before(InterceptLocalAddress, "169.254.20.11"), withDNS(withCache())), errors: []string{
			`spec.dns.nodeLocalCache.address: Invalid value: "169.254.20.10": kubelets tell pods to ask 169.254.20.11, who would not get an answer any more: restore it; or set clusterDNS of every kubelet to 10.96.0.10, replace the pods, disable the cache, and delete what it leaves [DNS-CACHE-MOVED]`,
		}, warnings: []string{
			"spec.dns.nodeLocalCache: the cache is asked by pods whose kubelet names it: when it is Ready, set clusterDNS of every kubelet to 169.254.20.10, and not before [DNS-CACHE-KUBELET]",
		}},
		{name: "cache moved, where nobody sees it", in: flannel(proxy(KubeProxyIPTables), before(InterceptServiceAddress, "169.254.20.11"), withDNS(withCache()))},
		{name: "cache no longer wanted, though kubelets name it", in: flannel(proxy(KubeProxyNFTables), before(InterceptLocalAddress, "169.254.20.10"), withDNS()), warnings: []string{
			"spec.dns.nodeLocalCache: the caches go on running as they are, because kubelets tell their address to pods: set clusterDNS of every kubelet back and replace the pods, then uninstall the Helm release node-local-dns [DNS-LEFT]",
		}},
		{name: "cache no longer wanted", in: flannel(proxy(KubeProxyIPTables), before(InterceptServiceAddress, "169.254.20.10"), withDNS())},
	}
}
