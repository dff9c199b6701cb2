package compose

// Rules about Cilium's address pools and what is said of pods.
var (
	ruleCiliumBlock = refuses(AreaCilium, Rule{
		ID:        "CILIUM-BLOCK",
		APIServer: true,
		When:      "cni.cilium with another type.",
		Remedy:    "Remove it, or set type to Cilium.",
		Source:    "Nothing would read it.",
	})
	ruleFlowLogs = refuses(AreaCNI, Rule{
		ID:        "CNI-FLOW-LOGS",
		APIServer: true,
		When:      "flowLogs is Enabled, and type is neither Cilium nor Calico.",
		Remedy:    "Remove it, or use one of these.",
		Source:    "Hubble is Cilium's, and Goldmane Calico's; the others record nothing.",
	})
	ruleCiliumPoolField = refuses(AreaCilium, Rule{
		ID:        "CILIUM-POOL-FIELD",
		APIServer: true,
		When:      "A pool has podSelector or namespaceSelector, and cni.cilium.ipam is not MultiPool.",
		Remedy:    "Remove it, or set ipam to MultiPool; with Calico, name the pool in the annotation cni.projectcalico.org/ipv4pools of namespaces or pods.",
		Source:    "Other network plugins, and Cilium's cluster-pool, do not choose a pool by the labels of pods.",
	})
	ruleCiliumDefaultPool = refuses(AreaCilium, Rule{
		ID:        "CILIUM-POOL-DEFAULT-FIELD",
		APIServer: true,
		When:      "With MultiPool, the pool default has podSelector or namespaceSelector, or is disabled.",
		Remedy:    "Remove it.",
		Source:    "Cilium, multi-pool IPAM: it is the pool of all pods that no other one is for.",
	})
	ruleMultiPoolDefault = refuses(AreaCilium, Rule{
		ID:        "CILIUM-POOL-DEFAULT",
		APIServer: true,
		When:      "MultiPool without a pool named default, or one that lacks a family.",
		Remedy:    "Name a pool default, and give it a CIDR of each family.",
		Source:    "Cilium, multi-pool IPAM: the agents wait on start until their node has a range of this pool.",
	})
	ruleMultiPoolFamily = warns(AreaCilium, Rule{
		ID:     "CILIUM-POOL-FAMILY",
		When:   "A pool of MultiPool lacks one of the cluster's families.",
		Remedy: "Add a CIDR of it, or have pods name the pool in ipam.cilium.io/ipv4-pool or ipam.cilium.io/ipv6-pool.",
		Source: "Cilium, multi-pool IPAM: ipam.cilium.io/ip-pool names the pool of every family.",
	})
	ruleCiliumSelector = refuses(AreaCilium, Rule{
		ID:     "CILIUM-SELECTOR",
		When:   "A selector of a pool, of a BGP instance or of Services cannot be read.",
		Remedy: "Write labels and operators as Kubernetes does.",
		Source: "Kubernetes, label selectors.",
	})
	ruleMultiPoolOld = refuses(AreaCilium, Rule{
		ID:     "CILIUM-MULTI-POOL-VERSION",
		When:   "MultiPool with a version before 1.19.",
		Remedy: "Use 1.19 or newer, or ClusterPool.",
		Source: "cilium#41688 (pods selected by labels), cilium#40460 (IPsec without a tunnel), both of 1.19.",
	})
	ruleMultiPoolMasquerade = refuses(AreaCilium, Rule{
		ID:     "CILIUM-MULTI-POOL-MASQUERADE",
		When:   "MultiPool with natOutgoing, without masquerading in eBPF and without the value egressMasqueradeInterfaces.",
		Remedy: "Set kubeProxy.mode to Replaced, disable natOutgoing of every pool, or set the value.",
		Source: "Cilium, multi-pool IPAM, limitations; cilium#22273.",
	})
	ruleCiliumPoolRemoved = warns(AreaCilium, Rule{
		ID:     "CILIUM-POOL-REMOVED",
		When:   "A disabled pool of MultiPool is removed.",
		Remedy: "None is needed: no node has a range of it.",
		Source: "Cilium, multi-pool IPAM: a pool in use must not be deleted. What is given out is read from the CiliumNodes.",
	})
)

// Rules about BGP, IPsec keys and bandwidth.
var (
	ruleBGPOld = refuses(AreaCilium, Rule{
		ID:     "CILIUM-BGP-VERSION",
		When:   "cni.cilium.bgp with a version before 1.18.",
		Remedy: "Use 1.18 or newer, or remove it.",
		Source: "Cilium, BGP control plane: version v2 of its custom resources is there since 1.18.",
	})
	ruleBGPNothing = refuses(AreaCilium, Rule{
		ID:        "CILIUM-BGP-NOTHING",
		APIServer: true,
		When:      "BGP that announces nothing or to nobody, or selects Services and announces none.",
		Remedy:    "State advertise, instances and their peers; remove what has no effect.",
		Source:    "Cilium, BGP control plane: what is not stated is not announced.",
	})
	ruleBGPName = refuses(AreaCilium, Rule{
		ID:        "CILIUM-BGP-NAME",
		APIServer: true,
		When:      "The name of an instance or of a peer is no DNS label.",
		Remedy:    "Use lower-case letters, digits and \"-\".",
		Source:    "Objects are named after it.",
	})
	ruleBGPTwice = refuses(AreaCilium, Rule{
		ID:        "CILIUM-BGP-TWICE",
		APIServer: true,
		When:      "Two instances, or two peers of one, have the same name, or two peers the same address.",
		Remedy:    "Give each a name of its own; remove the second peer.",
		Source:    "Cilium, BGP control plane: one session goes to a router.",
	})
	ruleBGPNumber = refuses(AreaCilium, Rule{
		ID:        "CILIUM-BGP-NUMBER",
		APIServer: true,
		When:      "A number of an autonomous system, a port, a hop count or a timer is out of range.",
		Remedy:    "Write one within the range that the message names.",
		Source:    "Cilium's definitions of its BGP resources.",
	})
	ruleBGPAddress = refuses(AreaCilium, Rule{
		ID:        "CILIUM-BGP-ADDRESS",
		APIServer: true,
		When:      "The address of a peer is none, is loopback, link-local or multicast, or lies in a pool of pods.",
		Remedy:    "Write the router's own address.",
		Source:    "There is no session with it.",
	})
	ruleBGPOverlap = refuses(AreaCilium, Rule{
		ID:        "CILIUM-BGP-OVERLAP",
		APIServer: true,
		When:      "Several BGP instances, and one without nodeSelector.",
		Remedy:    "Select the nodes of each.",
		Source:    "Cilium, BGP control plane: one CiliumBGPClusterConfig only may select a node; the second one is left out.",
	})
	ruleBGPTimers = refuses(AreaCilium, Rule{
		ID:        "CILIUM-BGP-TIMERS",
		APIServer: true,
		When:      "keepAliveTimeSeconds is more than holdTimeSeconds.",
		Remedy:    "Use a third of it.",
		Source:    "Cilium's definition of CiliumBGPPeerConfig.",
	})
	ruleBGPMultihop = warns(AreaCilium, Rule{
		ID:     "CILIUM-BGP-MULTIHOP",
		When:   "ebgpMultihop for a peer of the nodes' own autonomous system.",
		Remedy: "Remove it.",
		Source: "Cilium's definition of CiliumBGPPeerConfig: it is ignored for iBGP.",
	})
	ruleIPsecSecret = refuses(AreaCilium, Rule{
		ID:     "CILIUM-IPSEC-SECRET",
		When:   "encryption.ipsec.secretName is no name of a Secret.",
		Remedy: "Correct it, or leave it out to have the operator make the keys.",
		Source: "Kubernetes, names of objects.",
	})
	ruleIPsecRotation = warns(AreaCilium, Rule{
		ID:     "CILIUM-IPSEC-ROTATION",
		When:   "encryption.rotation with keys of the user's own, or with the value encryption.ipsec.keyWatcher false.",
		Remedy: "Rotate the user's own keys in their Secret; remove the value.",
		Source: "Cilium, IPsec encryption, key rotation: agents watch the file with the keys. The operator never writes a Secret of others.",
	})
	ruleBandwidthIPsec = refuses(AreaCilium, Rule{
		ID:     "CILIUM-BANDWIDTH-IPSEC",
		When:   "Encryption IPsec with cni.cilium.bandwidthManager.",
		Remedy: "Remove it, or choose WireGuard.",
		Source: "Cilium, bandwidth manager: the agents turn it off when IPsec is on.",
	})
	ruleBBRKernel = refuses(AreaCilium, Rule{
		ID:     "CILIUM-BBR-KERNEL",
		When:   "bandwidthManager BBR, and a node has a kernel older than 5.18 that is not Red Hat's.",
		Remedy: "Use Enabled, or upgrade the kernel.",
		Source: "Cilium, bandwidth manager, BBR for pods: the agents stop on start.",
	})
)
