package compose

// Rules about what clouds and distributions run themselves.
var (
	ruleCNIKubenet = refuses(AreaCloud, Rule{
		ID:        "CNI-KUBENET",
		APIServer: true,
		When:      "cni.type is Kubenet.",
		Remedy:    "Use Flannel, Cilium or Calico, or External for a cluster of AKS that still has it.",
		Source:    "Kubernetes 1.24: the kubelet's own network plugin went away together with dockershim.",
	})
	ruleCloudField = refuses(AreaCloud, Rule{
		ID:        "CLOUD-FIELD",
		APIServer: true,
		When:      "cni.type is AzureCNI or GKE, and other fields of cni, mtu or pools are set.",
		Remedy:    "Remove them; they are set where the cluster is made. Pools may say to a kube-proxy of the operator's which addresses pods have.",
		Source:    "AKS and GKE run their network plugins themselves: what the operator wrote would be undone, or read by nobody.",
	})
	ruleCloudWrong = refuses(AreaCloud, Rule{
		ID:     "CLOUD-WRONG-CLUSTER",
		When:   "cni.type is AzureCNI and the cluster is not one of AKS, or GKE and it is not one of GKE.",
		Remedy: "Name the network plugin that the cluster is to have, or External.",
		Source: "Azure CNI depends on services of AKS, and GKE's network on those of Google: neither can be installed elsewhere.",
	})
	ruleCloudUnverified = warns(AreaCloud, Rule{
		ID:     "CLOUD-UNVERIFIED",
		When:   "cni.type is AzureCNI or GKE, and no node says yet whether the cluster is one of AKS or GKE.",
		Remedy: "Wait for nodes.",
		Source: "It shows by the labels of nodes.",
	})
	ruleCloudNoneFound = warns(AreaCloud, Rule{
		ID:     "CLOUD-NONE-FOUND",
		When:   "cni.type is AzureCNI, and there is no DaemonSet azure-cns.",
		Remedy: "Check the cluster's network plugin; for networkPlugin none, name a type that is installed here.",
		Source: "AKS runs it beside every Azure CNI that it offers today; the oldest form of Node Subnet has none.",
	})
	ruleCloudCilium = refuses(AreaCloud, Rule{
		ID:     "CLOUD-CILIUM",
		When:   "Cilium, where the cloud runs a Cilium of its own: Dataplane V2 of GKE, or AKS with data plane Cilium.",
		Remedy: "Use type GKE or AzureCNI, or a cluster without it: on AKS with networkPlugin none.",
		Source: "Both would own the same custom resources, interfaces and eBPF maps; the cloud would undo changes to its own.",
	})
	ruleCNIOfServer = refuses(AreaCloud, Rule{
		ID:     "CNI-OF-SERVER",
		When:   "A network plugin is to be installed, and a server of k3s says that it runs with its own Flannel.",
		Remedy: "Start every server with --flannel-backend=none and --disable-network-policy, or use cni.type External.",
		Source: "k3s, networking: its Flannel runs inside the agent's process; two network plugins break every pod.",
	})
	ruleProxyOfDistribution = refuses(AreaCloud, Rule{
		ID:     "PROXY-OF-DISTRIBUTION",
		When:   "kubeProxy.mode IPTables, NFTables or IPVS on GKE, k3s or RKE2, or Replaced on GKE.",
		Remedy: "Set kubeProxy.mode to Unmanaged, and configure it where the cluster is made.",
		Source: "They run kube-proxy as a static pod or inside their agent, where it can neither be seen nor parked: a second one would fight with it.",
	})
	ruleProxyOfAgent = warns(AreaCloud, Rule{
		ID:     "PROXY-OF-AGENT",
		When:   "kubeProxy.mode Replaced on k3s or RKE2.",
		Remedy: "See to it that every server has disable-kube-proxy.",
		Source: "k3s and RKE2, server configuration: kube-proxy runs inside the agent or as a static pod, and cannot be parked from inside the cluster.",
	})
)
