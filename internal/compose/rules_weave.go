package compose

// Rules about Weave Net.
var (
	ruleWeaveBlock = refuses(AreaWeaveNet, Rule{
		ID:        "WEAVE-BLOCK",
		APIServer: true,
		When:      "cni.weaveNet is set, and the type is another one.",
		Remedy:    "Remove it, or set type to WeaveNet.",
		Source:    "The operator's API: nothing would read it.",
	})
	ruleWeaveAcknowledge = refuses(AreaWeaveNet, Rule{
		ID:        "WEAVE-ACKNOWLEDGE",
		APIServer: true,
		When:      "WeaveNet without cni.weaveNet.acknowledgeLegacy.",
		Remedy:    "Use Cilium, Calico or Flannel, or set it to true.",
		Source:    "Weaveworks closed in 2024 and its repository is archived; the fork (rajch/weave) had its last release, 2.9.0, in December 2024.",
	})
	ruleWeaveLegacy = warns(AreaWeaveNet, Rule{
		ID:     "WEAVE-LEGACY",
		When:   "The type is WeaveNet.",
		Remedy: "Plan the move to Cilium, Calico or Flannel.",
		Source: "Weaveworks closed in 2024 and its repository is archived; the fork (rajch/weave) had its last release, 2.9.0, in December 2024.",
	})
	ruleWeaveIPv6 = refuses(AreaWeaveNet, Rule{
		ID:        "WEAVE-IPV6",
		APIServer: true,
		When:      "IPv6 with WeaveNet, alone or beside IPv4.",
		Remedy:    "Remove IPv6, or use Cilium or Calico.",
		Source:    "Weave Net, IP address management: the agents know IPv4 alone.",
	})
	ruleWeaveEncapsulation = refuses(AreaWeaveNet, Rule{
		ID:        "WEAVE-ENCAPSULATION",
		APIServer: true,
		When:      "Another encapsulation than VXLAN with WeaveNet.",
		Remedy:    "Remove it, or use another type.",
		Source:    "Weave Net, fast datapath: VXLAN on UDP port 6784, or packets through the agent on UDP port 6783.",
	})
	ruleWeaveEncryption = refuses(AreaWeaveNet, Rule{
		ID:        "WEAVE-ENCRYPTION",
		APIServer: true,
		When:      "Encryption WireGuard or IPsec with WeaveNet.",
		Remedy:    "Use Password, or type Cilium.",
		Source:    "Weave Net, encryption: the agents derive all keys from one password.",
	})
	ruleWeaveOneRange = refuses(AreaWeaveNet, Rule{
		ID:        "WEAVE-ONE-RANGE",
		APIServer: true,
		When:      "ipPools has more than one IPv4 CIDR with WeaveNet.",
		Remedy:    "Remove one, widen the other, or use Cilium or Calico.",
		Source:    "Weave Net, IPALLOC_RANGE.",
	})
	ruleWeaveNodeMask = refuses(AreaWeaveNet, Rule{
		ID:        "WEAVE-NODE-MASK",
		APIServer: true,
		When:      "nodeMaskSizes with WeaveNet.",
		Remedy:    "Remove it.",
		Source:    "Weave Net, IP address management: the agents divide the range among themselves as a ring.",
	})
	ruleWeaveNAT = refuses(AreaWeaveNet, Rule{
		ID:     "WEAVE-NAT",
		When:   "natOutgoing Disabled with WeaveNet.",
		Remedy: "Remove it, or use Cilium or Calico.",
		Source: "Weave Net, weave expose: its image always masquerades what leaves the pods' range.",
	})
	ruleWeaveRangeChanged = refuses(AreaWeaveNet, Rule{
		ID:     "WEAVE-RANGE-CHANGED",
		When:   "The range of pods is another one than the Weave Net has that is there.",
		Remedy: "Restore the range.",
		Source: "Weave Net, IPALLOC_RANGE: the agents keep their share in /var/lib/weave and stop when the range does not hold it.",
	})
	ruleWeaveNamespace = refuses(AreaWeaveNet, Rule{
		ID:        "WEAVE-NAMESPACE",
		APIServer: true,
		When:      "WeaveNet in another namespace than kube-system.",
		Remedy:    "Remove namespace.",
		Source:    "Weave Net, kube-utils: the list of peers is the ConfigMap kube-system/weave-net.",
	})
	ruleWeaveNFTables = refuses(AreaWeaveNet, Rule{
		ID:        "WEAVE-NFTABLES",
		APIServer: true,
		When:      "kube-proxy's mode is NFTables with WeaveNet, or Unmanaged and that of the kube-proxy that is there is nftables.",
		Remedy:    "Choose IPTables, or change the mode where kube-proxy is managed.",
		Source:    "Weave Net writes its rules by iptables and marks packets for kube-proxy's chains of it; nobody has tried it beside nftables.",
	})
	ruleWeaveWindows = refuses(AreaWeaveNet, Rule{
		ID:     "WEAVE-WINDOWS",
		When:   "WeaveNet in a cluster with Windows nodes.",
		Remedy: "Use Calico or Flannel, or remove such nodes.",
		Source: "There is no Weave Net for Windows, and no other network plugin joins its mesh.",
	})
	ruleWeaveMTU = warns(AreaWeaveNet, Rule{
		ID:     "WEAVE-MTU",
		When:   "mtu is no multiple of four with WeaveNet.",
		Remedy: "Use the next multiple of four below.",
		Source: "Weave Net, fast datapath, packet size: 84 to 87 bytes of overhead, by the padding of ESP.",
	})
	ruleWeavePasswordChange = warns(AreaWeaveNet, Rule{
		ID:     "WEAVE-PASSWORD-CHANGE",
		When:   "The password of a WeaveNet is rotated, or encryption is turned on or off while it runs.",
		Remedy: "Do it in a maintenance window, and let many agents change at once.",
		Source: "Weave Net, encryption: peers with different passwords refuse each other's connections.",
	})
	ruleWeaveForeign = refuses(AreaWeaveNet, Rule{
		ID:     "WEAVE-FOREIGN",
		When:   "A Weave Net is there already that the operator did not install.",
		Remedy: "Set cni.type to External to leave it there, or remove it first.",
		Source: "Its range and its password are in its manifest alone; two ideas of them would split the mesh.",
	})
)
