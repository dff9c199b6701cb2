package compose

// Rules about network plugins in general.
var (
	ruleCNIIPsecBlock = refuses(AreaCNI, Rule{
		ID:        "CNI-IPSEC-BLOCK",
		APIServer: true,
		When:      "cni.encryption.ipsec is set, and its type is not IPsec.",
		Remedy:    "Remove it, or set type to IPsec.",
		Source:    "The operator's API: nothing would read it.",
	})
	ruleCNIPassword = refuses(AreaCNI, Rule{
		ID:        "CNI-PASSWORD",
		APIServer: true,
		When:      "Encryption Password with another network plugin than Weave Net.",
		Remedy:    "Use WireGuard with Cilium, Calico or Flannel, or IPsec with Cilium.",
		Source:    "No other one derives keys from a password.",
	})
	ruleCNIPasswordBlock = refuses(AreaCNI, Rule{
		ID:        "CNI-PASSWORD-BLOCK",
		APIServer: true,
		When:      "cni.encryption.password is set, and its type is not Password.",
		Remedy:    "Remove it, or set type to Password.",
		Source:    "The operator's API: nothing would read it.",
	})
	ruleCNIOwnKeys = refuses(AreaCNI, Rule{
		ID:     "CNI-OWN-KEYS",
		When:   "The user's own Secret with IPsec keys, or with Weave Net's password, does not exist or does not hold what the agents read. It is looked at again every minute.",
		Remedy: "Correct it, or remove secretName to have one made.",
		Source: "Cilium, IPsec encryption (LoadIPSecKeys): the agents stop on start; pods that mount a Secret that there is not do not start. What the Secret holds is never told.",
	})
	ruleCNIRotation = refuses(AreaCNI, Rule{
		ID:        "CNI-ROTATION",
		APIServer: true,
		When:      "cni.encryption.rotation is set, and the type is neither IPsec nor Password.",
		Remedy:    "Remove it, or set type to IPsec or Password.",
		Source:    "The operator's API: WireGuard makes and changes its keys by itself.",
	})
	ruleCNIExternalField = refuses(AreaCNI, Rule{
		ID:        "CNI-EXTERNAL-FIELD",
		APIServer: true,
		When:      "cni.type is External, and other fields of cni are set.",
		Remedy:    "Remove them, or name the CNI in type.",
		Source:    "An external CNI is not managed here; nothing would read them.",
	})
	ruleCNINoneFound = warns(AreaCNI, Rule{
		ID:     "CNI-NONE-FOUND",
		When:   "cni.type is External, and no network plugin was found.",
		Remedy: "Install one, or name a type.",
		Source: "Without one, pods get no network.",
	})
	ruleCNISecond = refuses(AreaCNI, Rule{
		ID:     "CNI-SECOND",
		When:   "Another network plugin is there already, whoever installed it.",
		Remedy: "Set cni.type to External to leave it there, or remove it first.",
		Source: "A cluster has one primary network plugin: the kubelet takes the first file of /etc/cni/net.d, and pods of the other one are cut off.",
	})
)

// Rules about what somebody else installed.
var (
	ruleAdoptManaged = refuses(AreaAdoption, Rule{
		ID:     "ADOPT-MANAGED",
		When:   "What is to be installed is there already, and somebody keeps it as they want it.",
		Remedy: "Leave it there (cni.type External, kubeProxy.mode Unmanaged, secondaryNetworks.type External), or remove it where it is managed.",
		Source: "Add-on managers of clouds, Argo CD, Flux, k3s and the like, known by their marks: two managers would undo each other's work for ever.",
	})
	ruleAdoptSeveral = refuses(AreaAdoption, Rule{
		ID:     "ADOPT-SEVERAL",
		When:   "What is to be installed is there more than once.",
		Remedy: "Remove one of them.",
		Source: "Which one to take over cannot be told.",
	})
	ruleAdoptNamespace = refuses(AreaAdoption, Rule{
		ID:     "ADOPT-NAMESPACE",
		When:   "What is to be taken over is in another namespace than the spec says.",
		Remedy: "Remove namespace.",
		Source: "Objects cannot be moved: a second set would be installed beside the first.",
	})
	ruleAdoptNotAsked = refuses(AreaAdoption, Rule{
		ID:     "ADOPT-NOT-ASKED",
		When:   "What is to be installed is there already, nobody keeps it, and adoption is not Adopt.",
		Remedy: "Set spec.adoption to Adopt to take it over, or leave it there (cni.type External, kubeProxy.mode Unmanaged, secondaryNetworks.type External).",
		Source: "Nothing of others is overwritten without being asked.",
	})
	ruleAdoptBackend = refuses(AreaAdoption, Rule{
		ID:     "ADOPT-BACKEND",
		When:   "The Flannel that is there has a backend that the operator does not know.",
		Remedy: "Set cni.type to External to leave it there, or move it to vxlan, host-gw or wireguard first.",
		Source: "Flannel, backends: all nodes need the same one at the same time, and the others are experimental or run without Kubernetes.",
	})
)

// Rules about Flannel.
var (
	ruleFlannelGeneve = refuses(AreaFlannel, Rule{
		ID:        "FLANNEL-GENEVE",
		APIServer: true,
		When:      "Encapsulation Geneve with Flannel.",
		Remedy:    "Use VXLAN or None, or type Cilium.",
		Source:    "Flannel, backends.",
	})
	ruleFlannelIPsec = refuses(AreaFlannel, Rule{
		ID:        "FLANNEL-IPSEC",
		APIServer: true,
		When:      "Encryption IPsec with Flannel.",
		Remedy:    "Use WireGuard, or type Cilium.",
		Source:    "Flannel, backends: its IPsec backend is experimental.",
	})
	ruleFlannelWireGuardEncapsulation = refuses(AreaFlannel, Rule{
		ID:        "FLANNEL-WIREGUARD-ENCAPSULATION",
		APIServer: true,
		When:      "Encryption WireGuard with Flannel, and encapsulation is set.",
		Remedy:    "Remove encapsulation, or set encryption.type to None.",
		Source:    "Flannel, backends: WireGuard is a backend by itself, in place of the others.",
	})
	ruleFlannelOneRange = refuses(AreaFlannel, Rule{
		ID:     "FLANNEL-ONE-RANGE",
		When:   "ipPools has two CIDRs of a family with Flannel.",
		Remedy: "Remove one, widen the other, or use type Cilium.",
		Source: "Flannel, configuration: net-conf.json has one Network and one IPv6Network.",
	})
	ruleFlannelPoolDerived = warns(AreaFlannel, Rule{
		ID:     "FLANNEL-POOL-DERIVED",
		When:   "The pods' range was derived from the nodes that there are.",
		Remedy: "State ipPools as kube-controller-manager's --cluster-cidr has it.",
		Source: "flanneld stops on a node whose range lies outside of net-conf.json.",
	})
	ruleFlannelNodeOutside = refuses(AreaFlannel, Rule{
		ID:     "FLANNEL-NODE-OUTSIDE",
		When:   "The spec.podCIDRs of a node lie outside of ipPools.",
		Remedy: "Write kube-controller-manager's --cluster-cidr into ipPools.",
		Source: "flanneld stops on a node whose range lies outside of net-conf.json.",
	})
	ruleFlannelMaskDiffers = refuses(AreaFlannel, Rule{
		ID:     "FLANNEL-MASK-DIFFERS",
		When:   "nodeMaskSizes is other than the ranges that the nodes have.",
		Remedy: "Set it on kube-controller-manager (--node-cidr-mask-size), or remove the field.",
		Source: "Flannel takes Node.spec.podCIDRs, which kube-controller-manager gives.",
	})
	ruleFlannelBridges = warns(AreaFlannel, Rule{
		ID:     "FLANNEL-BRIDGES",
		When:   "A node lacks the kernel's module br_netfilter, or has net.bridge.bridge-nf-call-iptables off, or bridge-nf-call-ip6tables with IPv6. The node agent tells.",
		Remedy: "Load it at boot (/etc/modules-load.d), and set that to 1. kubeadm asks for it no longer since 1.30.",
		Source: "Flannel, README: flanneld stops without the module; traffic between pods of one node passes its bridge alone, and neither kube-proxy nor policies see it.",
	})
	ruleFlannelPlainRoutes = warns(AreaFlannel, Rule{
		ID:     "FLANNEL-PLAIN-ROUTES",
		When:   "Flannel with IPv6 goes from encapsulation None to VXLAN.",
		Remedy: "When all agents are new, add a route by flannel-v6.1 to the first address of each other node's range, as the warning says, and restart the agent, node by node; or restart the nodes.",
		Source: "Seen: Linux refuses flanneld's route by flannel-v6.1, for its gateway lies in the range that the route of the backend host-gw leads to. IPv4's are replaced.",
	})
	ruleFlannelWireGuardRoutes = warns(AreaFlannel, Rule{
		ID:     "FLANNEL-WIREGUARD-ROUTES",
		When:   "Flannel goes from VXLAN or plain routes to WireGuard.",
		Remedy: "When all agents are new, delete the routes by a gateway to pods on each node, as the warning says, or restart the nodes.",
		Source: "flanneld 0.28: the backend wireguard makes one route to all pods, and no backend removes another's, each to one node's pods, which the kernel prefers.",
	})
	ruleFlannelArgs = refuses(AreaFlannel, Rule{
		ID:     "FLANNEL-ARGS",
		When:   "The value flannel.args is no list, or lacks --kube-subnet-mgr.",
		Remedy: "Write a list that has it.",
		Source: "Flannel, running: without it flanneld looks for an etcd of its own.",
	})
	ruleFlannelArgsNAT = refuses(AreaFlannel, Rule{
		ID:     "FLANNEL-ARGS-NAT",
		When:   "The value flannel.args has --ip-masq and natOutgoing is Disabled, or the other way round.",
		Remedy: "Make them agree.",
		Source: "Two places for one setting.",
	})
	ruleFlannelNFTables = warns(AreaFlannel, Rule{
		ID:     "FLANNEL-NFTABLES",
		When:   "The value flannel.enableNFTables is set, and kube-proxy's mode is IPTables or IPVS, be it managed or found.",
		Remedy: "Set kubeProxy.mode to NFTables, or remove the value.",
		Source: "Flannel, configuration: EnableNFTables is experimental, and meant for nodes whose kube-proxy uses nftables.",
	})
)
