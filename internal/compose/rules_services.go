package compose

// Rules about the address of the API server.
var (
	ruleEndpointHostEmpty = refuses(AreaEndpoint, Rule{
		ID:        "ENDPOINT-HOST-EMPTY",
		APIServer: true,
		When:      "cluster.apiServer has no host.",
		Remedy:    "Name the API server's address, or remove apiServer to have it discovered.",
		Source:    "The operator's API.",
	})
	ruleEndpointUnknown = refuses(AreaEndpoint, Rule{
		ID:     "ENDPOINT-UNKNOWN",
		When:   "What programs Services is installed, and no address of the API server is known that works without Services.",
		Remedy: "Set cluster.apiServer to a load balancer, a virtual IP or a node-local proxy.",
		Source: "Cilium, Kubernetes Without kube-proxy: k8sServiceHost and k8sServicePort are mandatory. kube-proxy cannot reach Services before it runs, either.",
	})
	ruleEndpointPort = refuses(AreaEndpoint, Rule{
		ID:        "ENDPOINT-PORT",
		APIServer: true,
		When:      "The port of the API server is not from 1 to 65535.",
		Remedy:    "Write its port; 6443 is usual.",
		Source:    "TCP.",
	})
	ruleEndpointHostForm = refuses(AreaEndpoint, Rule{
		ID:     "ENDPOINT-HOST-FORM",
		When:   "The host of the API server is neither an IP address nor a DNS name: it has a scheme, a port or brackets, for example.",
		Remedy: "Write the host alone; the port has a field of its own.",
		Source: "It becomes k8sServiceHost of Cilium, or a part of kube-proxy's kubeconfig.",
	})
	ruleEndpointCertificate = refuses(AreaEndpoint, Rule{
		ID:     "ENDPOINT-CERTIFICATE",
		When:   "The certificate that the API server shows at that address is not made for it. It is looked at from the operator's node, and again every minute.",
		Remedy: "Use an address that is in the certificate, or add this one to it.",
		Source: "TLS: Cilium, Calico and kube-proxy verify the API server by the name that they were told.",
	})
	ruleEndpointIsService = refuses(AreaEndpoint, Rule{
		ID:     "ENDPOINT-IS-SERVICE",
		When:   "The host of the API server is the address or the name of a Service, such as that of default/kubernetes.",
		Remedy: "Give the real endpoint: a load balancer, a virtual IP or a node-local proxy.",
		Source: "It is circular: a Service works only when what has to reach it first runs already (Cilium, Kubernetes Without kube-proxy).",
	})
)

// Rules about kube-proxy.
var (
	ruleProxyNotReplaced = refuses(AreaKubeProxy, Rule{
		ID:        "PROXY-NOT-REPLACED",
		APIServer: true,
		When:      "kubeProxy.mode is Replaced, and the CNI does not program Services.",
		Remedy:    "Set cni.type to Cilium, or choose IPTables or NFTables.",
		Source:    "Without kube-proxy and without a replacement no Service works.",
	})
	ruleProxyModeLeftovers = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-MODE-LEFTOVERS",
		When:   "kube-proxy is to go from IPTables to IPVS or back, on nodes that could run NFTables.",
		Remedy: "Set NFTables first, wait for Ready, and set the wanted mode then.",
		Source: "kube-proxy (platformCleanup) clears leftovers when it starts on the other side of iptables and nftables, and takes IPTables and IPVS for one side.",
	})
	ruleProxyModeRestart = warns(AreaKubeProxy, Rule{
		ID:     "PROXY-MODE-RESTART",
		When:   "kube-proxy is to go from IPTables to IPVS or back, and NFTables cannot be taken in between.",
		Remedy: "Restart each node after the change.",
		Source: "kube-proxy (platformCleanup) clears nothing between these modes; a restart does.",
	})
	ruleProxyIPVSReplaced = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-IPVS-REPLACED",
		When:   "kubeProxy.mode is Replaced with Cilium, and the kube-proxy that is there is in mode IPVS.",
		Remedy: "Set NFTables first, wait for Ready, and set Replaced then; or move kube-proxy to iptables and restart the nodes.",
		Source: "kubernetes#76022; Cilium neither documents nor tests its replacement beside IPVS, and the device kube-ipvs0 outlives kube-proxy.",
	})
	ruleProxyCleanup = warns(AreaKubeProxy, Rule{
		ID:     "PROXY-CLEANUP-IDLE",
		When:   "kubeProxy.cleanup is Enabled, and the mode is not Replaced, or k3s or RKE2 may still run a kube-proxy of its own.",
		Remedy: "Remove it, or set mode to Replaced; start every server with disable-kube-proxy.",
		Source: "The operator's API: rules of a kube-proxy that runs are in use.",
	})
	ruleProxyNoneFound = warns(AreaKubeProxy, Rule{
		ID:     "PROXY-NONE-FOUND",
		When:   "kubeProxy.mode is Unmanaged, and no kube-proxy was found.",
		Remedy: "Choose a mode, unless something else programs Services.",
		Source: "k3s and RKE2 run kube-proxy outside of pods, where it cannot be seen.",
	})
	ruleProxyField = refuses(AreaKubeProxy, Rule{
		ID:        "PROXY-FIELD",
		APIServer: true,
		When:      "kubeProxy has fields about an installation, and its mode is Replaced or Unmanaged.",
		Remedy:    "Remove them, or choose IPTables or NFTables.",
		Source:    "No kube-proxy is installed in these modes.",
	})
	ruleProxyVersionUnknown = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-VERSION-UNKNOWN",
		When:   "The API server's version does not say which kube-proxy to install.",
		Remedy: "Set kubeProxy.version.",
		Source: "Kubernetes, version skew policy: kube-proxy follows the API server.",
	})
	ruleProxyTooNew = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-TOO-NEW",
		When:   "kube-proxy is newer than the API server, or of another major version.",
		Remedy: "Use the API server's minor or an older one, or remove version.",
		Source: "Kubernetes, version skew policy.",
	})
	ruleProxyTooOld = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-TOO-OLD",
		When:   "kube-proxy is more than three minors older than the API server.",
		Remedy: "Use a newer one, or remove version.",
		Source: "Kubernetes, version skew policy.",
	})
	ruleProxyManaged = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-MANAGED",
		When:   "kubeProxy.mode is Replaced, and somebody else keeps the kube-proxy that is there.",
		Remedy: "Turn kube-proxy off where it is managed, or set kubeProxy.mode to Unmanaged.",
		Source: "EKS, AKS and GKE add-on managers, Argo CD, Flux and the like undo what stops it.",
	})
	ruleProxyPodsUntold = warns(AreaKubeProxy, Rule{
		ID:     "PROXY-PODS-UNTOLD",
		When:   "With an external CNI that is not known, ipPools has several CIDRs of a family.",
		Remedy: "State one CIDR of each family that holds all pods.",
		Source: "kube-proxy's clusterCIDR takes one of each family. Without it, clients outside of the cluster cannot use ClusterIPs.",
	})
	ruleProxyPodsOutside = warns(AreaKubeProxy, Rule{
		ID:     "PROXY-PODS-OUTSIDE",
		When:   "A CIDR of ipPools lies outside of the clusterCIDR by which an unmanaged kube-proxy tells pods from others.",
		Remedy: "Widen clusterCIDR where kube-proxy is managed, or have it tell pods by the names of their interfaces (detectLocalMode).",
		Source: "KubeProxyConfiguration, clusterCIDR: traffic to Services from other addresses is masqueraded, so policies see the node.",
	})
	ruleProxyPodsUnknown = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-PODS-UNKNOWN",
		When:   "With an external CNI, nothing says which addresses pods have: neither ipPools, nor the nodes, nor the names of its interfaces.",
		Remedy: "State the ranges of the external CNI in ipPools.",
		Source: "kube-proxy must tell pods from others (detectLocalMode).",
	})
	ruleIPVSRemoved = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-IPVS-REMOVED",
		When:   "Mode IPVS with kube-proxy 1.43 or newer.",
		Remedy: "Choose NFTables or IPTables.",
		Source: "KEP-5495: removed in 1.43.",
	})
	ruleIPVSGated = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-IPVS-GATED",
		When:   "Mode IPVS with kube-proxy 1.40 to 1.42.",
		Remedy: "Choose NFTables or IPTables.",
		Source: "KEP-5495: the feature gate KubeProxyIPVS is off by default from 1.40, and kube-proxy does not start.",
	})
	ruleIPVSDeprecated = warns(AreaKubeProxy, Rule{
		ID:     "PROXY-IPVS-DEPRECATED",
		When:   "Mode IPVS with kube-proxy 1.35 to 1.39.",
		Remedy: "Plan the change to NFTables.",
		Source: "KEP-5495: deprecated since 1.35.",
	})
	ruleNFTablesTooOld = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-NFTABLES-TOO-OLD",
		When:   "Mode NFTables with kube-proxy older than 1.31.",
		Remedy: "Choose IPTables.",
		Source: "KEP-3866: behind a feature gate before 1.31.",
	})
	ruleNFTablesBeta = warns(AreaKubeProxy, Rule{
		ID:     "PROXY-NFTABLES-BETA",
		When:   "Mode NFTables with kube-proxy 1.31 or 1.32.",
		Remedy: "Upgrade to 1.33, or choose IPTables.",
		Source: "KEP-3866: stable from 1.33.",
	})
	ruleNFTablesKernel = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-NFTABLES-KERNEL",
		When:   "Mode NFTables, and a node has a kernel older than 5.13.",
		Remedy: "Upgrade the kernel, or choose IPTables.",
		Source: "KEP-3866: kube-proxy does not start on such a node.",
	})
	ruleNFTablesKernelUnknown = warns(AreaKubeProxy, Rule{
		ID:     "PROXY-NFTABLES-KERNEL-UNKNOWN",
		When:   "Mode NFTables, and the kernel version of a node cannot be read.",
		Remedy: "See to it that it is 5.13 or newer.",
		Source: "KEP-3866.",
	})
	ruleNFTablesIPVS = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-NFTABLES-IPVS",
		When:   "kube-proxy is to go to mode NFTables, and a node has virtual servers of IPVS that somebody else made. The node agent tells; with nodeAgent Enabled it comes before kube-proxy in this mode.",
		Remedy: "Take them away, or choose IPTables.",
		Source: "kube-proxy (platformCleanup): in nftables mode it flushes IPVS when it starts.",
	})
	ruleNFTablesAWS = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-NFTABLES-AWS",
		When:   "Mode NFTables beside the AWS VPC CNI, or type AWSVPC beside an unmanaged kube-proxy that is in it.",
		Remedy: "Choose IPTables, or change the mode where kube-proxy is managed.",
		Source: "amazon-vpc-cni-k8s#3563: pods on secondary network interfaces lose their traffic.",
	})
	ruleNFTablesCalico = warns(AreaKubeProxy, Rule{
		ID:     "PROXY-NFTABLES-CALICO",
		When:   "Mode NFTables beside a Calico that somebody else installed.",
		Remedy: "Set linuxDataplane of that Calico to Nftables, or choose IPTables.",
		Source: "Calico, nftables data plane: it and kube-proxy use the same. With the iptables one traffic breaks (calico#8025).",
	})
	ruleProxyStrictARP = warns(AreaKubeProxy, Rule{
		ID:     "PROXY-STRICT-ARP",
		When:   "kube-proxy's mode is IPVS without ipvs.strictARP, and MetalLB or kube-vip is there.",
		Remedy: "Set values.ipvs.strictARP to true, or the same where kube-proxy is managed.",
		Source: "MetalLB, installation, preparation; KubeProxyConfiguration, ipvs.strictARP: else every node answers ARP for what one of them announces.",
	})
	ruleProxyConntrack = warns(AreaKubeProxy, Rule{
		ID:     "PROXY-CONNTRACK",
		When:   "The values set limits of connection tracking, and a node is a container of another machine (kind).",
		Remedy: "Set conntrack.maxPerCore and conntrack.min to 0, or leave them out.",
		Source: "KubeProxyConfiguration, conntrack: kube-proxy exits when it may not write the sysctls.",
	})
	ruleProxyFeatureGates = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-FEATURE-GATES",
		When:   "The values of kube-proxy have featureGates, or --feature-gates among extraArgs.",
		Remedy: "Remove them.",
		Source: "kube-proxy takes its gates from its configuration alone, and the operator's rules go by the defaults of each version.",
	})
	ruleNodePortAddresses = refuses(AreaKubeProxy, Rule{
		ID:     "PROXY-NODEPORT-ADDRESSES",
		When:   "nodePortAddresses has \"primary\" beside CIDRs.",
		Remedy: "Use \"primary\" alone, or a list of CIDRs.",
		Source: "KubeProxyConfiguration, nodePortAddresses: kube-proxy does not start with both.",
	})
)
