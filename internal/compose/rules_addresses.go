package compose

// Rules about IP families.
var (
	ruleFamilyTwice = refuses(AreaFamilies, Rule{
		ID:        "FAMILY-TWICE",
		APIServer: true,
		When:      "ipFamilies has a family twice.",
		Remedy:    "List IPv4, IPv6, or both once.",
		Source:    "The operator's API.",
	})
	ruleFamilyUnknown = refuses(AreaFamilies, Rule{
		ID:     "FAMILY-UNKNOWN",
		When:   "Neither ipFamilies, nor pools, Service ranges or nodes say which families the cluster has.",
		Remedy: "List them in ipFamilies.",
		Source: "Nothing can be derived from nothing.",
	})
	ruleFamilyNotListed = refuses(AreaFamilies, Rule{
		ID:        "FAMILY-NOT-LISTED",
		APIServer: true,
		When:      "A pool has a CIDR of a family that ipFamilies does not list.",
		Remedy:    "Add the family to ipFamilies, or remove the CIDR.",
		Source:    "Kubernetes, IPv4/IPv6 dual-stack: pods, Services and nodes agree on their families.",
	})
	ruleFamilyWithoutPool = refuses(AreaFamilies, Rule{
		ID:        "FAMILY-WITHOUT-POOL",
		APIServer: true,
		When:      "ipFamilies lists a family of which no pool has a CIDR.",
		Remedy:    "Add a CIDR, or remove the family.",
		Source:    "Kubernetes, IPv4/IPv6 dual-stack: pods, Services and nodes agree on their families.",
	})
	ruleFamilyWithoutServices = refuses(AreaFamilies, Rule{
		ID:     "FAMILY-WITHOUT-SERVICES",
		When:   "Pods are to be dual-stack, but the API server has a Service range of one family only.",
		Remedy: "Add a range to --service-cluster-ip-range of kube-apiserver and kube-controller-manager, or remove the family.",
		Source: "Kubernetes, IPv4/IPv6 dual-stack. The flags are the API server's; no operator can set them.",
	})
	ruleFamilyServicesDiffer = refuses(AreaFamilies, Rule{
		ID:     "FAMILY-SERVICES-DIFFER",
		When:   "Pods are of one family and Services of the other.",
		Remedy: "Make the family of the pods that of the Services.",
		Source: "Kubernetes, IPv4/IPv6 dual-stack: a Service has no endpoints of another family than its own.",
	})
	ruleFamilyServicesDual = refuses(AreaFamilies, Rule{
		ID:     "FAMILY-SERVICES-DUAL",
		When:   "Services are dual-stack and pods are not.",
		Remedy: "Add the other family to ipFamilies and to a pool; with a network plugin of one family (Weave Net, the AWS VPC CNI), use another one, or take the other range from the API server's --service-cluster-ip-range.",
		Source: "Kubernetes, IPv4/IPv6 dual-stack: Services of the other family would have no endpoints.",
	})
	ruleFamilyOrder = refuses(AreaFamilies, Rule{
		ID:     "FAMILY-ORDER",
		When:   "The primary family of pods is not that of Services.",
		Remedy: "List the family of the first Service range first.",
		Source: "Kubernetes: the first range of --service-cluster-ip-range decides the family of single-stack Services, and cannot be changed on a live cluster.",
	})
	ruleFamilyNodeLacks = refuses(AreaFamilies, Rule{
		ID:     "FAMILY-NODE-LACKS",
		When:   "A node has no internal address of a wanted family.",
		Remedy: "Give the kubelet both addresses with --node-ip, or remove the family.",
		Source: "Kubernetes, IPv4/IPv6 dual-stack: nodes have an address of each family.",
	})
	ruleFamilyNodeOrder = warns(AreaFamilies, Rule{
		ID:     "FAMILY-NODE-ORDER",
		When:   "With both families, the first internal address of a node, or the first of its podCIDRs that pods take theirs from, is not of the primary family.",
		Remedy: "List the families in the same order everywhere: --node-ip of the kubelets, --cluster-cidr of kube-controller-manager.",
		Source: "Kubernetes, IPv4/IPv6 dual-stack: the kubelet orders the addresses of pods by the node's, and what knows one family takes the first.",
	})
	ruleFamilyNodePending = warns(AreaFamilies, Rule{
		ID:     "FAMILY-NODE-PENDING",
		When:   "A node reports no internal address yet, so its families cannot be checked.",
		Remedy: "Wait for the node; when it stays so, look at its kubelet.",
		Source: "The kubelet, or the cloud's controller, reports addresses some time after a node has joined.",
	})
	ruleServiceRangeTwice = refuses(AreaFamilies, Rule{
		ID:        "SERVICE-RANGE-TWICE",
		APIServer: true,
		When:      "cluster.serviceCIDRs has two ranges of one family.",
		Remedy:    "List at most one IPv4 and one IPv6 range.",
		Source:    "--service-cluster-ip-range of kube-apiserver takes one range of each family.",
	})
	ruleServiceRangeWrong = warns(AreaFamilies, Rule{
		ID:     "SERVICE-RANGE-WRONG",
		When:   "The Service default/kubernetes has an address outside of cluster.serviceCIDRs.",
		Remedy: "Correct cluster.serviceCIDRs, or remove it to have the ranges discovered.",
		Source: "Kubernetes gives that Service the first address of the primary range.",
	})
	ruleServiceRangeSize = refuses(AreaFamilies, Rule{
		ID:     "SERVICE-RANGE-SIZE",
		When:   "A range of cluster.serviceCIDRs is one that no API server of this version takes: fewer than 8 addresses, IPv6 larger than /64, and before 1.34 larger than /12 (IPv4) or /108 (IPv6).",
		Remedy: "Write the API server's --service-cluster-ip-range, or remove it to have the ranges discovered.",
		Source: "kube-apiserver, validation of its options, and its allocator of Service addresses (DisableAllocatorDualWrite).",
	})
	ruleFamilyChanged = warns(AreaFamilies, Rule{
		ID:     "FAMILY-CHANGED",
		When:   "Pods are to have other IP families than those of the installed network plugin.",
		Remedy: "Re-create the pods after the roll-out, node by node; Services keep their families until their ipFamilyPolicy is changed.",
		Source: "Kubernetes, IPv4/IPv6 dual-stack: a pod has the addresses that it got when it started.",
	})
	ruleWindowsDualStack = refuses(AreaFamilies, Rule{
		ID:     "WINDOWS-DUAL-STACK",
		When:   "There are Windows nodes, and both families are to be carried by an overlay.",
		Remedy: "Remove a family, or set cni.encapsulation to None.",
		Source: "Kubernetes, Windows networking: overlay networks (VXLAN) are single-stack there.",
	})
	ruleWindowsNodes = warns(AreaFamilies, Rule{
		ID:     "WINDOWS-NODES",
		When:   "There are Windows nodes.",
		Remedy: "Install a network plugin for them by yourself, or use cni.type External.",
		Source: "Cilium has no Windows agent, and Flannel's needs other settings (VNI 4096 or higher, port 4789); the DaemonSets go to Linux nodes only.",
	})
)

// Rules about address pools and node ranges.
var (
	ruleCIDRForm = refuses(AreaPools, Rule{
		ID:        "CIDR-FORM",
		APIServer: true,
		When:      "A CIDR has host bits, leading zeros or no prefix length, is an IPv4 range written as IPv6, or is none at all.",
		Remedy:    "Write the network address and the prefix length; the message says how where it can tell.",
		Source:    "Kubernetes validates CIDRs strictly, and programs differ in how they read leading zeros (CVE-2021-29923).",
	})
	rulePoolName = refuses(AreaPools, Rule{
		ID:        "POOL-NAME",
		APIServer: true,
		When:      "A pool has no name, or one that is no DNS label.",
		Remedy:    "Use lower-case letters, digits and \"-\".",
		Source:    "Pools become objects of network plugins, with these names.",
	})
	rulePoolNameTwice = refuses(AreaPools, Rule{
		ID:        "POOL-NAME-TWICE",
		APIServer: true,
		When:      "Two pools have the same name.",
		Remedy:    "Give each pool a name of its own.",
		Source:    "Pools become objects of network plugins, with these names.",
	})
	rulePoolEmpty = refuses(AreaPools, Rule{
		ID:        "POOL-EMPTY",
		APIServer: true,
		When:      "A pool has no CIDR.",
		Remedy:    "Add one, such as 10.244.0.0/16, or remove the pool.",
		Source:    "The operator's API.",
	})
	rulePoolTooSmall = refuses(AreaPools, Rule{
		ID:     "POOL-TOO-SMALL",
		When:   "A CIDR is longer than /28 (IPv4) or /124 (IPv6).",
		Remedy: "Use a shorter prefix.",
		Source: "Flannel and kubeadm take no smaller ranges, and a node would have fewer than 16 addresses.",
	})
	rulePoolReserved = refuses(AreaPools, Rule{
		ID:     "POOL-RESERVED",
		When:   "A CIDR overlaps a range that can never be pods': loopback, link-local, multicast, unspecified, site-local, 0.0.0.0/8 or 240.0.0.0/4.",
		Remedy: "Use a private range such as 10.244.0.0/16 or fd00:10:244::/56.",
		Source: "Kubernetes refuses Endpoints with most of these; Linux does not route the rest (RFC 1122, RFC 1112, RFC 3879).",
	})
	rulePoolDocker = warns(AreaPools, Rule{
		ID:     "POOL-DOCKER",
		When:   "A CIDR overlaps 172.17.0.0/16.",
		Remedy: "Choose another range, unless no host has Docker.",
		Source: "It is the default bridge network of Docker; such hosts have two routes to it.",
	})
	rulePoolDocumentation = warns(AreaPools, Rule{
		ID:     "POOL-DOCUMENTATION",
		When:   "A CIDR lies in a documentation range.",
		Remedy: "Use a private range such as 10.244.0.0/16 or fd00:10:244::/56.",
		Source: "RFC 5737 and RFC 3849; kube-proxy's IPVS mode probes with an address of 198.51.100.0/24.",
	})
	rulePoolPublic = warns(AreaPools, Rule{
		ID:     "POOL-PUBLIC",
		When:   "A CIDR is public address space.",
		Remedy: "Use a private range, unless this one is yours.",
		Source: "RFC 1918, RFC 6598, RFC 2544 and RFC 4193 name the private ranges; pods cannot reach the real owners of others.",
	})
	rulePoolTwice = refuses(AreaPools, Rule{
		ID:     "POOL-TWICE",
		When:   "Pools have the same CIDR twice.",
		Remedy: "Remove one of them.",
		Source: "Every address must belong to one pool.",
	})
	rulePoolOverlap = refuses(AreaPools, Rule{
		ID:     "POOL-OVERLAP",
		When:   "Two CIDRs of pools overlap.",
		Remedy: "Choose ranges that do not.",
		Source: "Every address must belong to one pool; otherwise two nodes are given the same ones.",
	})
	rulePoolOverlapsServices = refuses(AreaPools, Rule{
		ID:     "POOL-OVERLAPS-SERVICES",
		When:   "A CIDR overlaps a Service range, or holds the address of the Service default/kubernetes.",
		Remedy: "Choose another range; when it was derived from the nodes' podCIDRs, state ipPools.",
		Source: "Kubernetes, cluster networking: the ranges of pods, Services and nodes do not overlap.",
	})
	rulePoolHoldsNodes = refuses(AreaPools, Rule{
		ID:     "POOL-HOLDS-NODES",
		When:   "A CIDR holds the address of a node.",
		Remedy: "Choose another range; when it was derived from the nodes' podCIDRs, state ipPools.",
		Source: "Kubernetes, cluster networking: the ranges of pods, Services and nodes do not overlap. Cilium's default 10.0.0.0/8 collides with many networks of nodes.",
	})
	rulePoolTooFewRanges = refuses(AreaPools, Rule{
		ID:     "POOL-TOO-FEW-RANGES",
		When:   "The pools of a family give fewer node ranges than there are nodes, and the network plugin is yet to be installed. Later, the condition PoolsSufficient tells.",
		Remedy: "Add a CIDR, use a shorter prefix, or a longer nodeMaskSizes.",
		Source: "Each node takes one range; the last nodes would get none, and their pods no address.",
	})
	rulePoolUseUnknown = refuses(AreaPools, Rule{
		ID:     "POOL-USE-UNKNOWN",
		When:   "A pool or CIDR is removed, and it is not known yet whether pods have addresses of it.",
		Remedy: "Wait: it is judged again when the objects of the network plugin have been read.",
		Source: "Pods lose their network with their addresses. The operator reads CiliumNodes and IPAMBlocks when it starts, and when their definitions appear.",
	})
	rulePoolNotDerived = refuses(AreaPools, Rule{
		ID:     "POOL-NOT-DERIVED",
		When:   "There are no pools, and no nodes to derive them from.",
		Remedy: "State a pool for each family.",
		Source: "Nothing can be derived from nothing.",
	})
	ruleMaskRange = refuses(AreaPools, Rule{
		ID:        "MASK-RANGE",
		APIServer: true,
		When:      "nodeMaskSizes is outside of 8 to 30 (IPv4) or 16 to 126 (IPv6).",
		Remedy:    "Use 24 and 64, as is usual.",
		Source:    "Cilium keeps two addresses of each node's range for itself, so that a longer prefix leaves none for pods.",
	})
	ruleMaskNoEffect = warns(AreaPools, Rule{
		ID:     "MASK-NO-EFFECT",
		When:   "nodeMaskSizes is set where nothing reads it: the pool has no CIDR of the family, or the CNI is external.",
		Remedy: "Remove it.",
		Source: "External network plugins have node ranges of their own.",
	})
	ruleMaskDiffers = refuses(AreaPools, Rule{
		ID:     "MASK-DIFFERS",
		When:   "With Cilium, pools have different nodeMaskSizes of a family.",
		Remedy: "Make them equal.",
		Source: "Cilium's cluster-pool IPAM has one clusterPoolIPv4MaskSize and one clusterPoolIPv6MaskSize.",
	})
	ruleMaskFewerThanPods = warns(AreaPools, Rule{
		ID:     "MASK-FEWER-THAN-PODS",
		When:   "A node's IPv4 range has fewer addresses than a kubelet allows pods by default (longer than /25).",
		Remedy: "Use /25 or a shorter prefix, or lower maxPods of the kubelets.",
		Source: "KubeletConfiguration: maxPods is 110 by default. Pods beyond the range's addresses stay pending.",
	})
	ruleMaskLargerThanPool = refuses(AreaPools, Rule{
		ID:     "MASK-LARGER-THAN-POOL",
		When:   "A CIDR is smaller than the range of one node.",
		Remedy: "Use a shorter prefix, or a longer nodeMaskSizes.",
		Source: "The range allocator that kube-controller-manager and Cilium share hands out parts of the CIDR.",
	})
	ruleMaskTooManyRanges = refuses(AreaPools, Rule{
		ID:     "MASK-TOO-MANY-RANGES",
		When:   "An IPv6 node range is more than 16 bits longer than its CIDR.",
		Remedy: "Set nodeMaskSizes.ipv6 to at most 16 more than the CIDR's prefix length.",
		Source: "The range allocator that kube-controller-manager and Cilium share (clusterSubnetMaxDiff): neither starts with more.",
	})
	ruleNodeRangeMissing = refuses(AreaPools, Rule{
		ID:     "NODE-RANGE-MISSING",
		When:   "The network plugin takes pod addresses from Node.spec.podCIDRs, and no node has any, or a node has none of a wanted family.",
		Remedy: "Set --allocate-node-cidrs, --cluster-cidr and the node masks on kube-controller-manager, and register nodes anew that lack a family; with Cilium, state ipPools instead.",
		Source: "Flannel (kube-subnet-mgr), and Cilium's IPAM mode kubernetes, wait for the range on every node.",
	})
	ruleNodeRangePending = warns(AreaPools, Rule{
		ID:     "NODE-RANGE-PENDING",
		When:   "Some nodes have no spec.podCIDRs yet.",
		Remedy: "Wait for them; when it stays so, look at the log of kube-controller-manager: its range may be used up.",
		Source: "kube-controller-manager gives a node its range after it has joined.",
	})
	ruleNATDiffers = refuses(AreaPools, Rule{
		ID:     "NAT-DIFFERS",
		When:   "Pools that the network plugin cannot tell apart differ in natOutgoing: those of a family with Cilium, all with Flannel.",
		Remedy: "Make them equal.",
		Source: "Cilium has enableIPv4Masquerade and enableIPv6Masquerade, flanneld one --ip-masq.",
	})
	ruleNATNoEffect = warns(AreaPools, Rule{
		ID:     "NAT-NO-EFFECT",
		When:   "natOutgoing is set with an external CNI.",
		Remedy: "Remove it.",
		Source: "External network plugins decide this themselves.",
	})
)

// Rules about the MTU.
var (
	ruleMTURange = refuses(AreaMTU, Rule{
		ID:        "MTU-RANGE",
		APIServer: true,
		When:      "mtu is neither 0 nor from 576 to 65520.",
		Remedy:    "Use a number of that range, or 0 to have it derived.",
		Source:    "RFC 791: every IPv4 host takes 576 bytes. Linux gives no route more than 65520.",
	})
	ruleMTUNodeRange = refuses(AreaMTU, Rule{
		ID:        "MTU-NODE-RANGE",
		APIServer: true,
		When:      "cluster.nodeMTU is not from 576 to 65536.",
		Remedy:    "Write the MTU of the nodes' interface, in bytes.",
		Source:    "RFC 791: every IPv4 host takes 576 bytes. The upper bound is the loopback interface's.",
	})
	ruleMTUBelowIPv6 = refuses(AreaMTU, Rule{
		ID:        "MTU-BELOW-IPV6",
		APIServer: true,
		When:      "mtu is below 1280, and IPv6 is a family.",
		Remedy:    "Raise mtu, or remove IPv6.",
		Source:    "RFC 8200; Linux turns IPv6 off on an interface with less.",
	})
	ruleMTUExceedsNodes = refuses(AreaMTU, Rule{
		ID:     "MTU-EXCEEDS-NODES",
		When:   "mtu, with what encapsulation and encryption add, is more than the smallest MTU of the nodes.",
		Remedy: "Lower mtu to the maximum that the message names, or set it to 0 to have it derived.",
		Source: "The overheads are those of the plugins' sources: Cilium pkg/mtu, Flannel pkg/backend. Longer packets are dropped on the way.",
	})
	ruleMTUNodesTooSmall = refuses(AreaMTU, Rule{
		ID:     "MTU-NODES-TOO-SMALL",
		When:   "What encapsulation and encryption leave of the nodes' MTU is less than a family needs (576, with IPv6 1280).",
		Remedy: "Raise the MTU of the nodes, or choose less encapsulation and encryption.",
		Source: "RFC 791 and RFC 8200; the overheads are those of the plugins' sources.",
	})
	ruleMTUNoEffect = warns(AreaMTU, Rule{
		ID:     "MTU-NO-EFFECT",
		When:   "mtu is set with an external CNI.",
		Remedy: "Remove it, and set it where that CNI is configured.",
		Source: "External network plugins have an MTU of their own.",
	})
	ruleMTUAzure = warns(AreaMTU, Rule{
		ID:     "MTU-AZURE",
		When:   "The nodes run on Azure, encryption is WireGuard, and its packets may have more than 1400 bytes.",
		Remedy: "State cluster.nodeMTU: 1400, or a smaller mtu.",
		Source: "Calico, MTU sizes: the network of Azure carries 1400 bytes in one piece, though its interfaces say 1500; WireGuard's packets are not taken apart.",
	})
	ruleMTUChanged = warns(AreaMTU, Rule{
		ID:     "MTU-CHANGED",
		When:   "Pods are to get another MTU than those of the installed network plugin have, and it is not Cilium.",
		Remedy: "Re-create the pods after the roll-out, node by node; raise the MTU of the nodes' network before, and lower it after. With Flannel, raise that of the bridge cni0 on each node, too, or restart the nodes.",
		Source: "Calico, Flannel, Weave Net and the AWS VPC CNI give an interface its MTU when a pod starts; Cilium's agents change those that there are.",
	})
	ruleMTUFlannelIPv6 = warns(AreaMTU, Rule{
		ID:     "MTU-FLANNEL-IPV6",
		When:   "Flannel is to detect the MTU, and carries IPv6 over VXLAN.",
		Remedy: "State cluster.nodeMTU, so that the MTU is derived.",
		Source: "Flannel's vxlan backend takes off 50 bytes whatever the family; over IPv6 it is 70 (pkg/backend/vxlan).",
	})
	ruleMTUFlannelHostGW = refuses(AreaMTU, Rule{
		ID:     "MTU-FLANNEL-HOST-GW",
		When:   "mtu is other than the nodes', and Flannel has encapsulation None.",
		Remedy: "Remove mtu, or set encapsulation to VXLAN.",
		Source: "Flannel's host-gw backend gives pods the MTU of the node's interface; the chart's flannel.mtu is read by vxlan and wireguard only.",
	})
)
