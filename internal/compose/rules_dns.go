package compose

// Rules about the cluster's DNS.
var (
	ruleDNSUnmanaged = refuses(AreaDNS, Rule{
		ID:        "DNS-UNMANAGED",
		APIServer: true,
		When:      "Settings of CoreDNS, with type Unmanaged.",
		Remedy:    "Remove them, or set type to CoreDNS.",
		Source:    "The operator's API: nothing is installed that would read them.",
	})
	ruleDNSNamespace = refuses(AreaDNS, Rule{
		ID:     "DNS-NAMESPACE",
		When:   "CoreDNS, or the cache, outside of kube-system.",
		Remedy: "Remove namespace.",
		Source: "Installers, dashboards and policies look for the Service kube-dns and its pods in kube-system, and the cache finds CoreDNS in its own namespace.",
	})
	ruleDNSServiceIP = refuses(AreaDNS, Rule{
		ID:        "DNS-SERVICE-IP",
		APIServer: true,
		When:      "An address for the Service kube-dns that no Service can have.",
		Remedy:    "Use a free address of the Service range, one a family.",
		Source:    "Kubernetes: a clusterIP is of a ServiceCIDR, and the first address is that of default/kubernetes.",
	})
	ruleDNSServiceIPChanged = refuses(AreaDNS, Rule{
		ID:     "DNS-SERVICE-IP-CHANGED",
		When:   "Another address for the Service kube-dns than the one that it has.",
		Remedy: "Remove serviceIPs.",
		Source: "Kubernetes: clusterIP cannot be changed, and pods have the old one in their resolv.conf until they are replaced.",
	})
	ruleDNSServiceIPUnknown = refuses(AreaDNS, Rule{
		ID:     "DNS-SERVICE-IP-UNKNOWN",
		When:   "No Service kube-dns, and no range of Services with a tenth address.",
		Remedy: "State dns.serviceIPs: what the kubelets' clusterDNS says.",
		Source: "Pods ask the address that their kubelet was told, and no other.",
	})
	ruleDNSForeign = refuses(AreaDNS, Rule{
		ID:     "DNS-FOREIGN",
		When:   "Something that cannot be taken over answers the cluster's DNS queries already.",
		Remedy: "Set dns.type to Unmanaged, or turn it off where it is managed.",
		Source: "kubeadm stops at two Deployments with the label k8s-app=kube-dns, and the Service would send queries to both.",
	})
	ruleDNSRange = refuses(AreaDNS, Rule{
		ID:        "DNS-RANGE",
		APIServer: true,
		When:      "A number or time that CoreDNS or the autoscaler does not take.",
		Remedy:    "Stay within the bounds that the message names.",
		Source:    "CoreDNS: times to live of at most 3600 s, caches of at least one entry and one second.",
	})
	ruleDNSReplicas = refuses(AreaDNS, Rule{
		ID:        "DNS-REPLICAS",
		APIServer: true,
		When:      "A number of replicas beside an autoscaler, or an autoscaler whose greatest number is less than its least.",
		Remedy:    "Remove one of them, or correct the numbers.",
		Source:    "The autoscaler and the operator would undo each other's number.",
	})
	ruleDNSAutopath = refuses(AreaDNS, Rule{
		ID:        "DNS-AUTOPATH",
		APIServer: true,
		When:      "autopath without verified pod records.",
		Remedy:    "Set podRecords to Verified.",
		Source:    "CoreDNS, plugin autopath: it has to know the namespace of the pod that asks.",
	})
	ruleDNSUpstream = refuses(AreaDNS, Rule{
		ID:        "DNS-UPSTREAM",
		APIServer: true,
		When:      "A server to forward to that is no address, or too many of them.",
		Remedy:    "Write up to 15 addresses, with or without a port.",
		Source:    "CoreDNS, plugin forward.",
	})
	ruleDNSTLSName = refuses(AreaDNS, Rule{
		ID:        "DNS-TLS-NAME",
		APIServer: true,
		When:      "A name for certificates, and servers that are not asked over TLS.",
		Remedy:    "Remove it, or set protocol to TLS.",
		Source:    "The operator's API.",
	})
	ruleDNSLoop = refuses(AreaDNS, Rule{
		ID:     "DNS-LOOP",
		When:   "CoreDNS would forward to itself: to a loopback address, to the Service kube-dns or to the cache on the node.",
		Remedy: "Name a server outside of the cluster.",
		Source: "CoreDNS, plugin loop: it ends the process when it notices; without it the process runs out of memory.",
	})
	ruleDNSOwnZone = refuses(AreaDNS, Rule{
		ID:     "DNS-OWN-ZONE",
		When:   "A stub domain or server block that takes names from the cluster's own domain, or all names.",
		Remedy: "Use another domain.",
		Source: "CoreDNS answers a name by the block with the longest matching zone, and the cluster's names are in that for all names.",
	})
	ruleDNSBlock = refuses(AreaDNS, Rule{
		ID:     "DNS-BLOCK",
		When:   "A server block that CoreDNS cannot read, or that refers to files or environment variables.",
		Remedy: "Correct it; write out what is referred to.",
		Source: "CoreDNS's own parser. A pod that starts with a broken Corefile ends at once.",
	})
	ruleDNSBlockPort = refuses(AreaDNS, Rule{
		ID:     "DNS-BLOCK-PORT",
		When:   "A server block at another port than 53, or for another protocol than plain DNS.",
		Remedy: "Leave out scheme and port.",
		Source: "The Service kube-dns has port 53 alone.",
	})
	ruleDNSCorefile = refuses(AreaDNS, Rule{
		ID:     "DNS-COREFILE",
		When:   "A configuration with which CoreDNS would not start, or that answers nothing.",
		Remedy: "Correct what the message names.",
		Source: "CoreDNS's plugins, their options, and which of them can be there only once.",
	})
	ruleDNSFoundCorefile = refuses(AreaDNS, Rule{
		ID:     "DNS-FOUND-COREFILE",
		When:   "Fields of dns that say what is in the Corefile, and a Corefile of the CoreDNS that is there which cannot be changed.",
		Remedy: "Remove the fields, or write that Corefile anew first.",
		Source: "What only CoreDNS can read (imported files, environment variables) would be lost.",
	})
	ruleDNSRewrite = refuses(AreaDNS, Rule{
		ID:     "DNS-REWRITE",
		When:   "A rewrite that CoreDNS does not start with.",
		Remedy: "Correct the expression or the number of the group.",
		Source: "CoreDNS, plugin rewrite.",
	})
	ruleDNSSpread = refuses(AreaDNS, Rule{
		ID:     "DNS-SPREAD",
		When:   "Replicas that have to be spread over a label which no node has.",
		Remedy: "Label the nodes, or set whenUnsatisfiable to ScheduleAnyway.",
		Source: "Kubernetes: with DoNotSchedule, a pod goes to no node without the label.",
	})
	ruleDNSReverse = warns(AreaDNS, Rule{
		ID:     "DNS-REVERSE",
		When:   "A stub domain or server block for a reverse zone with addresses of Services in it.",
		Remedy: "Use smaller zones, if names of Services' addresses are wanted.",
		Source: "CoreDNS answers a name by the block with the longest matching zone.",
	})
	ruleDNSSingle = warns(AreaDNS, Rule{
		ID:     "DNS-SINGLE",
		When:   "One replica of CoreDNS, and more than one node.",
		Remedy: "Use 2 or more.",
		Source: "While its node fails or is drained, no name is found in the cluster.",
	})
	ruleDNSPluginMissing = warns(AreaDNS, Rule{
		ID:     "DNS-PLUGIN-MISSING",
		When:   "A Corefile that was found, without ready, health or reload.",
		Remedy: "Add the plugin to the Corefile before it is taken over.",
		Source: "kubeadm's Corefile has them, and its probes ask them.",
	})
	ruleDNSLeft = warns(AreaDNS, Rule{
		ID:     "DNS-LEFT",
		When:   "CoreDNS, or a cache whose address kubelets tell to pods, is no longer wanted.",
		Remedy: "Nothing, or uninstall its Helm release when something else answers.",
		Source: "Nobody is left without DNS: what pods ask goes on running.",
	})
	ruleNodeLocalField = refuses(AreaDNS, Rule{
		ID:        "DNS-CACHE-FIELD",
		APIServer: true,
		When:      "Settings of the cache on every node, with mode Disabled.",
		Remedy:    "Remove them, or set mode to Enabled.",
		Source:    "The operator's API.",
	})
	ruleNodeLocalUnknown = refuses(AreaDNS, Rule{
		ID:     "DNS-CACHE-PROXY",
		When:   "A cache on every node, and it is not known what programs Services.",
		Remedy: "State nodeLocalCache.interception.",
		Source: "NodeLocal DNSCache is set up differently for each mode of kube-proxy.",
	})
	ruleNodeLocalNoDNS = refuses(AreaDNS, Rule{
		ID:     "DNS-CACHE-NOTHING",
		When:   "A cache on every node, type Unmanaged, and no Service kube-dns.",
		Remedy: "Set dns.type to CoreDNS, or remove nodeLocalCache.",
		Source: "The cache asks the pods behind kube-dns.",
	})
	ruleNodeLocalRedirect = refuses(AreaDNS, Rule{
		ID:     "DNS-CACHE-REDIRECT",
		When:   "A redirect to the cache, without Cilium in the place of kube-proxy.",
		Remedy: "Remove interception.",
		Source: "Cilium: CiliumLocalRedirectPolicy needs the replacement of kube-proxy.",
	})
	ruleNodeLocalBypassed = refuses(AreaDNS, Rule{
		ID:     "DNS-CACHE-BYPASSED",
		When:   "A cache on the address of the Service, with Cilium in the place of kube-proxy.",
		Remedy: "Remove interception: queries are redirected.",
		Source: "Cilium's documentation of local redirect policies: the cache would silently be passed by.",
	})
	ruleNodeLocalIPVS = refuses(AreaDNS, Rule{
		ID:     "DNS-CACHE-IPVS",
		When:   "A cache on the address of the Service, with kube-proxy in mode IPVS.",
		Remedy: "Use LocalAddress.",
		Source: "Kubernetes' documentation of NodeLocal DNSCache: IPVS has the address on the device kube-ipvs0.",
	})
	ruleNodeLocalNFTables = warns(AreaDNS, Rule{
		ID:     "DNS-CACHE-NFTABLES",
		When:   "A cache on the address of the Service, with kube-proxy in mode NFTables.",
		Remedy: "Use LocalAddress.",
		Source: "NodeLocal DNSCache writes rules of iptables; its project does not test it beside nftables.",
	})
	ruleNodeLocalFamily = refuses(AreaDNS, Rule{
		ID:     "DNS-CACHE-FAMILY",
		When:   "A cache on the address of the Service, which has none of the family of the cache's own.",
		Remedy: "Use an address of the same family.",
		Source: "NodeLocal DNSCache listens on addresses of one family.",
	})
	ruleNodeLocalKubelet = warns(AreaDNS, Rule{
		ID:     "DNS-CACHE-KUBELET",
		When:   "A cache on its own address alone.",
		Remedy: "Set clusterDNS of the kubelets when the cache is Ready.",
		Source: "Kubernetes' documentation of NodeLocal DNSCache.",
	})
	ruleNodeLocalAddress = refuses(AreaDNS, Rule{
		ID:        "DNS-CACHE-ADDRESS",
		APIServer: true,
		When:      "An address of the cache that is or may be somebody else's.",
		Remedy:    "Use a free link-local IPv4 address, or an IPv6 address of fd00::/8.",
		Source:    "Every node has it: it must not be routed, nor be that of a pod, Service, node or cloud.",
	})
	ruleNodeLocalMoved = refuses(AreaDNS, Rule{
		ID:     "DNS-CACHE-MOVED",
		When:   "Another address of a cache that kubelets tell to pods.",
		Remedy: "Restore it, or have kubelets tell the Service's address first.",
		Source: "Pods have the old address in their resolv.conf until they are replaced.",
	})
)
