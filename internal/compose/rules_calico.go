package compose

// Rules about Calico.
var (
	ruleCalicoBlock = refuses(AreaCalico, Rule{
		ID:        "CALICO-BLOCK",
		APIServer: true,
		When:      "cni.calico is set, and the type is another one.",
		Remedy:    "Remove it, or set type to Calico.",
		Source:    "The operator's API: nothing would read it.",
	})
	ruleCalicoPoolField = refuses(AreaCalico, Rule{
		ID:        "CALICO-POOL-FIELD",
		APIServer: true,
		When:      "A pool has blockSizes, encapsulation, nodeSelector, onRequest, bgpExport or disabled, and cni.type is not Calico.",
		Remedy:    "Remove them, or set cni.type to Calico.",
		Source:    "They are settings of Calico's IPPools; other network plugins have nothing of the sort.",
	})
	ruleCalicoEncapsulation = refuses(AreaCalico, Rule{
		ID:        "CALICO-ENCAPSULATION",
		APIServer: true,
		When:      "Encapsulation IPIP, IPIPCrossSubnet or VXLANCrossSubnet with another network plugin.",
		Remedy:    "Use VXLAN or None, or type Calico.",
		Source:    "Calico, overlay networking.",
	})
	ruleCalicoGeneve = refuses(AreaCalico, Rule{
		ID:        "CALICO-GENEVE",
		APIServer: true,
		When:      "Encapsulation Geneve with Calico.",
		Remedy:    "Use VXLAN, IPIP or None, or type Cilium.",
		Source:    "Calico, overlay networking.",
	})
	ruleCalicoIPsec = refuses(AreaCalico, Rule{
		ID:        "CALICO-IPSEC",
		APIServer: true,
		When:      "Encryption IPsec with Calico.",
		Remedy:    "Use WireGuard, or type Cilium.",
		Source:    "Calico, encrypt in-cluster pod traffic: WireGuard alone.",
	})
	ruleCalicoIPIP = refuses(AreaCalico, Rule{
		ID:     "CALICO-IPIP-IPV6",
		When:   "A pool with encapsulation IPIP or IPIPCrossSubnet has an IPv6 CIDR.",
		Remedy: "Use VXLAN, or give IPv6 a pool of its own.",
		Source: "tigera-operator, validation of the Installation: IPIP carries IPv4 alone.",
	})
	ruleCalicoIPIPAzure = refuses(AreaCalico, Rule{
		ID:     "CALICO-IPIP-AZURE",
		When:   "A pool with encapsulation IPIP or IPIPCrossSubnet on Azure.",
		Remedy: "Use VXLAN.",
		Source: "Calico, Azure: its network drops packets of IPIP.",
	})
	ruleCalicoWireGuardMigration = warns(AreaCalico, Rule{
		ID:     "CALICO-WIREGUARD-KUBEVIRT",
		When:   "Encryption WireGuard with Calico, and KubeVirt is there.",
		Remedy: "Do not migrate machines live, remove encryption, or use type Cilium.",
		Source: "Calico 3.32, live migration of KubeVirt's machines: not together with WireGuard.",
	})
	ruleCalicoWireGuardGKE = refuses(AreaCalico, Rule{
		ID:     "CALICO-WIREGUARD-GKE",
		When:   "Encryption WireGuard with Calico on GKE.",
		Remedy: "Remove encryption, or use type Cilium.",
		Source: "Calico, encrypt in-cluster pod traffic: not supported on GKE.",
	})
	ruleCalicoBGP = refuses(AreaCalico, Rule{
		ID:     "CALICO-BGP-NEEDED",
		When:   "cni.calico.bgp is Disabled, and a pool has encapsulation IPIP, IPIPCrossSubnet or None.",
		Remedy: "Enable BGP, or use VXLAN or VXLANCrossSubnet.",
		Source: "tigera-operator, validation of the Installation: nodes learn the routes of such pools by BGP.",
	})
	ruleCalicoDataplane = refuses(AreaCalico, Rule{
		ID:        "CALICO-DATAPLANE",
		APIServer: true,
		When:      "cni.calico.dataplane does not go with kubeProxy.mode.",
		Remedy:    "Remove dataplane, or make them agree: BPF with Replaced, NFTables with NFTables.",
		Source:    "Calico, enabling eBPF, and nftables data plane; calico#8025: rules of iptables and nftables do not see each other.",
	})
	ruleCalicoWindows = refuses(AreaCalico, Rule{
		ID:     "CALICO-BPF-WINDOWS",
		When:   "Calico's data plane BPF in a cluster with Windows nodes.",
		Remedy: "Choose another kubeProxy.mode, with IPTables or NFTables.",
		Source: "Calico, eBPF data plane, limitations.",
	})
	ruleCalicoBPFIPIP = warns(AreaCalico, Rule{
		ID:     "CALICO-BPF-IPIP",
		When:   "Encapsulation IPIP with Calico's data plane BPF.",
		Remedy: "Use VXLAN.",
		Source: "Calico, eBPF data plane: it is made for VXLAN.",
	})
	ruleCalicoKernel = warns(AreaCalico, Rule{
		ID:     "CALICO-KERNEL",
		When:   "A node has a kernel that Calico is not tested with: older than 5.10, on RHEL 8 older than 8.4.",
		Remedy: "Upgrade the kernel.",
		Source: "Calico 3.32, system requirements.",
	})
	ruleCalicoBlockSize = refuses(AreaCalico, Rule{
		ID:        "CALICO-BLOCK-SIZE",
		APIServer: true,
		When:      "blockSizes is out of range: 20 to 32 for IPv4, 116 to 128 for IPv6.",
		Remedy:    "Use 26 and 122.",
		Source:    "Calico, IPPool.",
	})
	ruleCalicoBlockNoEffect = warns(AreaCalico, Rule{
		ID:     "CALICO-BLOCK-NO-EFFECT",
		When:   "blockSizes is set for a family that the pool has no CIDR of.",
		Remedy: "Remove it.",
		Source: "Nothing reads it.",
	})
	ruleCalicoBlockChanged = refuses(AreaCalico, Rule{
		ID:     "CALICO-BLOCK-CHANGED",
		When:   "blockSizes of a pool that is there are changed.",
		Remedy: "Restore them, or give new pods another CIDR and disable this one.",
		Source: "Calico, IPPool: blockSize cannot be changed.",
	})
	ruleCalicoNodeMask = refuses(AreaCalico, Rule{
		ID:        "CALICO-NODE-MASK",
		APIServer: true,
		When:      "nodeMaskSizes with Calico.",
		Remedy:    "Use blockSizes.",
		Source:    "Calico's IPAM gives nodes blocks as they need them.",
	})
	ruleCalicoNodeSelector = refuses(AreaCalico, Rule{
		ID:     "CALICO-NODE-SELECTOR",
		When:   "nodeSelector of a pool is no label selector.",
		Remedy: "Write labels and operators as Kubernetes does.",
		Source: "Kubernetes, label selectors.",
	})
	ruleCalicoPoolsMissing = refuses(AreaCalico, Rule{
		ID:     "CALICO-POOLS-MISSING",
		When:   "There are no ipPools, and kubeadm's configuration names no networking.podSubnet.",
		Remedy: "State at least one pool for each IP family.",
		Source: "Calico, IPPool: its CIDR cannot be changed, so a range that holds the nodes there are will not do.",
	})
	ruleCalicoPoolsTooMany = refuses(AreaCalico, Rule{
		ID:     "CALICO-POOLS-TOO-MANY",
		When:   "All pools together have more than 25 CIDRs.",
		Remedy: "Use fewer and wider ones.",
		Source: "tigera-operator, Installation.",
	})
	ruleCalicoPoolSmall = refuses(AreaCalico, Rule{
		ID:     "CALICO-POOL-SMALL",
		When:   "A CIDR is smaller than one block.",
		Remedy: "Use a shorter prefix, or a longer blockSizes.",
		Source: "tigera-operator, validation of pools.",
	})
	ruleCalicoKubeadmRange = refuses(AreaCalico, Rule{
		ID:     "CALICO-KUBEADM-RANGE",
		When:   "A pool lies outside of kubeadm's networking.podSubnet, or there is none.",
		Remedy: "Use a range inside, or correct the ConfigMap kube-system/kubeadm-config.",
		Source: "tigera-operator, defaults of pools: it compares them before it makes the first one, and stops.",
	})
	ruleCalicoPoolsDisabled = refuses(AreaCalico, Rule{
		ID:     "CALICO-POOLS-DISABLED",
		When:   "Every pool of a family is disabled.",
		Remedy: "Enable one.",
		Source: "New pods would get no address.",
	})
	ruleCalicoAdminPolicies = refuses(AreaCalico, Rule{
		ID:     "CALICO-ADMIN-POLICIES",
		When:   "The cluster has AdminNetworkPolicies or BaselineAdminNetworkPolicies, and Calico is to be installed or taken over.",
		Remedy: "Convert them to ClusterNetworkPolicies, and delete them.",
		Source: "Calico, release notes of 3.32: ClusterNetworkPolicy takes the place of both, which are ignored without a word.",
	})
	ruleCalicoAdminPoliciesIgnored = warns(AreaCalico, Rule{
		ID:     "CALICO-ADMIN-POLICIES-IGNORED",
		When:   "Somebody made AdminNetworkPolicies or BaselineAdminNetworkPolicies while Calico was there already.",
		Remedy: "Convert them to ClusterNetworkPolicies, and delete them.",
		Source: "They never had an effect, so that nothing is lost; refusing all else of the stack would not give them any.",
	})
	ruleCalicoPoolsOnRequest = refuses(AreaCalico, Rule{
		ID:     "CALICO-POOLS-ON-REQUEST",
		When:   "Every pool of a family is disabled or onRequest.",
		Remedy: "Let one be for all.",
		Source: "Calico, IPPool assignmentMode: pods that name no pool, and tunnels, get addresses of pools with Automatic alone.",
	})
	ruleCalicoPoolsSelect = warns(AreaCalico, Rule{
		ID:     "CALICO-POOLS-SELECT",
		When:   "Every pool of a family has a nodeSelector.",
		Remedy: "Add a pool without one, or see to it that every node is selected.",
		Source: "Calico, IPPool: pods on other nodes get no address.",
	})
	ruleCalicoBlocksFew = warns(AreaCalico, Rule{
		ID:     "CALICO-BLOCKS-FEW",
		When:   "The pools of a family have fewer blocks than there are nodes.",
		Remedy: "Use wider pools or smaller blocks.",
		Source: "Calico's IPAM: nodes without a block borrow single addresses of others, each with a route of its own.",
	})
	ruleCalicoPoolInUse = refuses(AreaCalico, Rule{
		ID:     "CALICO-POOL-IN-USE",
		When:   "A pool that gives addresses is removed, or one of which pods still have addresses.",
		Remedy: "Restore it, set disabled, re-create its pods, and remove it then.",
		Source: "tigera-operator: it deletes the pools that the Installation no longer names, and pods with their addresses lose their network. What is given out is read from the IPAMBlocks.",
	})
	ruleCalicoPoolRemoved = warns(AreaCalico, Rule{
		ID:     "CALICO-POOL-REMOVED",
		When:   "A disabled pool is removed of which no pod has an address.",
		Remedy: "None is needed.",
		Source: "tigera-operator: it deletes the pools that the Installation no longer names.",
	})
	ruleCalicoForeign = refuses(AreaCalico, Rule{
		ID:     "CALICO-FOREIGN",
		When:   "A Calico is there that the operator did not install.",
		Remedy: "Set cni.type to External to leave it there, or remove it first.",
		Source: "Taking one over is not supported: its agents belong to whatever installed it.",
	})
	ruleCalicoFoundProxy = refuses(AreaCalico, Rule{
		ID:     "CALICO-FOUND-PROXY",
		When:   "kubeProxy.mode is Unmanaged, and Calico's data plane does not go with the mode of the kube-proxy that is there.",
		Remedy: "Remove dataplane, or change kube-proxy's mode where it is managed.",
		Source: "Calico, nftables data plane: kube-proxy must be in nftables mode too, and in no other data plane (calico#8025).",
	})
	ruleCalicoOld = refuses(AreaCalico, Rule{
		ID:     "CALICO-OLD",
		When:   "A version of Calico before 3.32.",
		Remedy: "Use 3.32.0 or newer.",
		Source: "Calico, 3.32 release notes: definitions moved into a chart of their own.",
	})
	ruleCalicoMajor = refuses(AreaCalico, Rule{
		ID:     "CALICO-MAJOR",
		When:   "Another major version of Calico than the one installed.",
		Remedy: "Stay within it.",
		Source: "Calico, upgrade guide: nothing is tested across.",
	})
	ruleCalicoMinorsSkipped = refuses(AreaCalico, Rule{
		ID:     "CALICO-MINORS-SKIPPED",
		When:   "An upgrade of Calico to 3.33 or newer by more than two minor versions, or to an older one from before 3.15.",
		Remedy: "Go to the version in between that the message names first.",
		Source: "Calico 3.32 and 3.33, upgrade guides.",
	})
	ruleCalicoDowngrade = refuses(AreaCalico, Rule{
		ID:     "CALICO-DOWNGRADE",
		When:   "An older minor version of Calico than the one installed.",
		Remedy: "Use the installed one or a newer one.",
		Source: "Calico, upgrade guide: going down is not supported.",
	})
)
