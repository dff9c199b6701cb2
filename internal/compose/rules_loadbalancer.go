package compose

// AreaLoadBalancer is about the addresses of Services of type LoadBalancer.
const AreaLoadBalancer Area = "Load balancers"

var (
	ruleLBPools = refuses(AreaLoadBalancer, Rule{
		ID:        "LB-POOLS",
		APIServer: true,
		When:      "loadBalancer without pools, or a pool without addresses.",
		Remedy:    "State at least one pool with addresses.",
		Source:    "MetalLB and Cilium, LB-IPAM: without a pool no Service gets an address.",
	})
	ruleLBField = refuses(AreaLoadBalancer, Rule{
		ID:        "LB-FIELD",
		APIServer: true,
		When:      "A setting of loadBalancer that its type or its mode does not read.",
		Remedy:    "Remove it, or choose the type or mode that reads it.",
		Source:    "The operator's API.",
	})
	ruleLBName = refuses(AreaLoadBalancer, Rule{
		ID:        "LB-NAME",
		APIServer: true,
		When:      "The name of a pool or of a peer is no DNS label, or is there twice.",
		Remedy:    "Use lower-case letters, digits and \"-\", and give each a name of its own.",
		Source:    "Objects are named after it.",
	})
	ruleLBAddresses = refuses(AreaLoadBalancer, Rule{
		ID:     "LB-ADDRESSES",
		When:   "An entry of a pool is neither a CIDR nor first and last address of one family, or has addresses that no client can reach.",
		Remedy: "Write 192.168.10.0/26, or 192.168.10.10-192.168.10.40.",
		Source: "MetalLB, IPAddressPool, and Cilium, CiliumLoadBalancerIPPool; RFC 1122, RFC 3927, RFC 4291.",
	})
	ruleLBFamily = refuses(AreaLoadBalancer, Rule{
		ID:     "LB-FAMILY",
		When:   "A pool has addresses of a family that Services do not have.",
		Remedy: "Remove them, or add the family.",
		Source: "Kubernetes, IPv4/IPv6 dual-stack: a Service has no addresses of another family than the cluster's.",
	})
	ruleLBOverlap = refuses(AreaLoadBalancer, Rule{
		ID:     "LB-OVERLAP",
		When:   "Two pools have an address in common.",
		Remedy: "Give each its own addresses.",
		Source: "MetalLB's webhook refuses the second one; Cilium disables it.",
	})
	ruleLBTaken = refuses(AreaLoadBalancer, Rule{
		ID: "LB-TAKEN",
		When: "A pool has addresses of pods, of ClusterIPs, of a node, of the API server, of a secondary network's pods, " +
			"or of a router that is spoken to.",
		Remedy: "Choose other addresses.",
		Source: "Two would answer for one address, and clients reach one or the other.",
	})
	ruleLBSelector = refuses(AreaLoadBalancer, Rule{
		ID:     "LB-SELECTOR",
		When:   "A selector of loadBalancer cannot be read.",
		Remedy: "Write labels and operators as Kubernetes does.",
		Source: "Kubernetes, label selectors.",
	})
	ruleLBInterface = refuses(AreaLoadBalancer, Rule{
		ID:     "LB-INTERFACE",
		When:   "loadBalancer.l2.interfaces has what is no name of an interface; with Cilium, no regular expression.",
		Remedy: "Correct it.",
		Source: "MetalLB, L2Advertisement: names; Cilium, L2 announcements: regular expressions. A name that matches nothing announces nothing.",
	})
	ruleLBPeer = refuses(AreaLoadBalancer, Rule{
		ID:        "LB-PEER",
		APIServer: true,
		When:      "MetalLB's mode BGP without localASN or peers, or a peer with a number, address or timer that cannot be.",
		Remedy:    "Name the nodes' autonomous system, and each router once with its own address and number.",
		Source:    "MetalLB, BGPPeer.",
	})
	ruleLBMultihop = warns(AreaLoadBalancer, Rule{
		ID:     "LB-MULTIHOP",
		When:   "ebgpMultihop for a peer of the nodes' own autonomous system.",
		Remedy: "Remove it.",
		Source: "MetalLB, BGPPeer: it is for eBGP.",
	})
	ruleLBCilium = refuses(AreaLoadBalancer, Rule{
		ID: "LB-CILIUM",
		When: "loadBalancer.type Cilium without Cilium as network plugin, before 1.18, with mode L2 beside kube-proxy, " +
			"or with mode BGP and no cni.cilium.bgp that announces LoadBalancerIPs.",
		Remedy: "Use MetalLB, or set what the message names.",
		Source: "Cilium, LB-IPAM, L2 announcements (they need the kube-proxy replacement) and BGP control plane.",
	})
	ruleLBTwo = refuses(AreaLoadBalancer, Rule{
		ID:     "LB-TWO-ANNOUNCERS",
		When:   "MetalLB for all Services, and Cilium announces their addresses, too.",
		Remedy: "Take it away from Cilium, choose type Cilium, or give MetalLB a class.",
		Source: "MetalLB, and Cilium, L2 announcements and BGP control plane: one announcer for each Service.",
	})
	ruleLBCalicoBGP = warns(AreaLoadBalancer, Rule{
		ID:     "LB-CALICO-BGP",
		When:   "MetalLB in mode BGP beside a Calico that speaks BGP.",
		Remedy: "Have them speak to different routers, or have Calico announce the addresses.",
		Source: "MetalLB, issues with Calico: a router takes one session from a node, and ends the other one.",
	})
	ruleLBCloud = warns(AreaLoadBalancer, Rule{
		ID:     "LB-CLOUD",
		When:   "loadBalancer with mode L2 in a cloud.",
		Remedy: "Use the cloud's own load balancers (Unmanaged), or BGP where the cloud takes it.",
		Source: "MetalLB, cloud compatibility: their networks carry no addresses that they did not give out, and no ARP for them.",
	})
	ruleLBStrictARP = warns(AreaLoadBalancer, Rule{
		ID:     "LB-STRICT-ARP",
		When:   "MetalLB in mode L2 beside a kube-proxy in mode IPVS that this stack does not manage.",
		Remedy: "Set ipvs.strictARP in its configuration, or have the stack manage it.",
		Source: "MetalLB, installation, preparation: every node answers ARP for the addresses of all Services otherwise.",
	})
	ruleLBNoNodes = warns(AreaLoadBalancer, Rule{
		ID:     "LB-NODES-EXCLUDED",
		When:   "MetalLB, and every node has the label node.kubernetes.io/exclude-from-external-load-balancers.",
		Remedy: "Take the label off some, or set the value speaker.ignoreExcludeLB.",
		Source: "MetalLB announces nothing from such nodes; kubeadm labels its control planes so.",
	})
	ruleLBFamilyNone = warns(AreaLoadBalancer, Rule{
		ID:     "LB-FAMILY-NONE",
		When:   "Services can have a family of which no pool has addresses.",
		Remedy: "Add some.",
		Source: "MetalLB and Cilium, LB-IPAM: a Service that requires both families gets no address.",
	})
)
