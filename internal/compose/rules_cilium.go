package compose

// Rules about Cilium's versions, addresses and nodes.
var (
	ruleCiliumMajor = refuses(AreaCilium, Rule{
		ID:     "CILIUM-MAJOR",
		When:   "Another major version than the one that is installed.",
		Remedy: "Stay within the installed one.",
		Source: "Cilium, upgrade guide: upgrades are tested from one minor to the next.",
	})
	ruleCiliumMinorSkipped = refuses(AreaCilium, Rule{
		ID:     "CILIUM-MINOR-SKIPPED",
		When:   "More than one minor newer than the one that is installed.",
		Remedy: "Go to the next minor first.",
		Source: "Cilium, upgrade guide: upgrades are tested from one minor to the next.",
	})
	ruleCiliumDowngrade = refuses(AreaCilium, Rule{
		ID:     "CILIUM-DOWNGRADE",
		When:   "More than one minor older than the one that is installed.",
		Remedy: "Go to the minor below first.",
		Source: "Cilium, upgrade guide: one minor at a time is tested, in both directions.",
	})
	ruleCiliumPoolDerived = warns(AreaCilium, Rule{
		ID:     "CILIUM-POOL-DERIVED",
		When:   "With native routing, the pods' range was derived from the nodes that there are.",
		Remedy: "State ipPools.",
		Source: "The range becomes ipv4NativeRoutingCIDR, and a new node that widens it restarts every agent.",
	})
	ruleCiliumNativeRanges = refuses(AreaCilium, Rule{
		ID:     "CILIUM-NATIVE-RANGES",
		When:   "Native routing with masquerading, and several CIDRs of a family.",
		Remedy: "Use one CIDR, or set the value ipv4NativeRoutingCIDR or ipv6NativeRoutingCIDR to a range that holds them all.",
		Source: "Cilium, routing: there is one range of each family that is not masqueraded; the chart fails without it.",
	})
	ruleCiliumKernel = warns(AreaCilium, Rule{
		ID:     "CILIUM-KERNEL",
		When:   "A node has a kernel older than 5.10 (RHEL 8: older than that of 8.10).",
		Remedy: "Upgrade the kernel.",
		Source: "Cilium, system requirements. Distributions carry features back, so it is not refused.",
	})
)

// Rules about values of Cilium's chart that stop the agents on start, after Helm has succeeded, or have no effect.
var (
	ruleIPsecHostFirewall = refuses(AreaCilium, Rule{
		ID:     "CILIUM-IPSEC-HOST-FIREWALL",
		When:   "Encryption IPsec with the value hostFirewall.enabled.",
		Remedy: "Remove the value, or choose WireGuard.",
		Source: "Cilium, IPsec limitations: the agents stop on start.",
	})
	ruleStrictIngress = refuses(AreaCilium, Rule{
		ID:     "CILIUM-IPSEC-STRICT-INGRESS",
		When:   "Encryption IPsec with the value encryption.strictMode.ingress.enabled.",
		Remedy: "Remove the value, or choose WireGuard.",
		Source: "Cilium, WireGuard encryption: strict mode of ingress is WireGuard's; the agents stop on start.",
	})
	ruleIPsecChaining = refuses(AreaCilium, Rule{
		ID:     "CILIUM-IPSEC-CHAINING",
		When:   "Encryption IPsec with the value cni.chainingMode.",
		Remedy: "Remove the value, or choose WireGuard.",
		Source: "Cilium, IPsec limitations; cilium#15596.",
	})
	ruleDSRTunnel = refuses(AreaCilium, Rule{
		ID:     "CILIUM-DSR-VXLAN",
		When:   "The value loadBalancer.mode is dsr or hybrid over VXLAN.",
		Remedy: "Set encapsulation to Geneve (with the value loadBalancer.dsrDispatch geneve), or to None.",
		Source: "Cilium, Kubernetes Without kube-proxy, direct server return: the agents stop on start.",
	})
	ruleDirectRoutesTunnel = refuses(AreaCilium, Rule{
		ID:     "CILIUM-DIRECT-ROUTES-TUNNEL",
		When:   "The value autoDirectNodeRoutes with a tunnel.",
		Remedy: "Remove the value, or set encapsulation to None.",
		Source: "Cilium, routing: the agents stop on start.",
	})
	ruleHubbleValidity = refuses(AreaCilium, Rule{
		ID:     "CILIUM-HUBBLE-VALIDITY",
		When:   "The value hubble.tls.auto.certValidityDuration is no whole number of days from 1 to 3650.",
		Remedy: "Write such a number.",
		Source: "The operator makes these certificates.",
	})
	ruleHubbleAddress = refuses(AreaCilium, Rule{
		ID:     "CILIUM-HUBBLE-ADDRESS",
		When:   "A value extraIpAddresses of Hubble's certificates holds something else.",
		Remedy: "Write IP addresses; names go to extraDnsNames.",
		Source: "The operator makes these certificates.",
	})
)

// More rules about values of Cilium's chart.
var (
	ruleIPsecBandwidth = warns(AreaCilium, Rule{
		ID:     "CILIUM-IPSEC-BANDWIDTH",
		When:   "Encryption IPsec with the value bandwidthManager.enabled.",
		Remedy: "Remove the value, or choose WireGuard.",
		Source: "Cilium, bandwidth manager: the agents turn it off when IPsec is on.",
	})
	ruleStrictEgress = refuses(AreaCilium, Rule{
		ID:     "CILIUM-STRICT-EGRESS-IPV6",
		When:   "The value encryption.strictMode.egress.cidr is an IPv6 range.",
		Remedy: "Write an IPv4 range.",
		Source: "Cilium, WireGuard encryption: strict mode of egress is for IPv4; the agents stop on start.",
	})
	ruleDSRDispatch = refuses(AreaCilium, Rule{
		ID:     "CILIUM-DSR-DISPATCH",
		When:   "The value loadBalancer.mode is dsr or hybrid over Geneve, and loadBalancer.dsrDispatch is not geneve.",
		Remedy: "Set loadBalancer.dsrDispatch to geneve, or encapsulation to None.",
		Source: "Cilium, Kubernetes Without kube-proxy, direct server return with Geneve: the agents stop on start.",
	})
	ruleCiliumSCTP = warns(AreaCilium, Rule{
		ID:     "CILIUM-SCTP",
		When:   "The value sctp.enabled, and kubeProxy.mode is Replaced.",
		Remedy: "Give SCTP Services the same port as their pods.",
		Source: "Cilium, Kubernetes Without kube-proxy, limitations: ports of SCTP are not rewritten.",
	})
	ruleCiliumMounts = warns(AreaCilium, Rule{
		ID:     "CILIUM-SOCKET-MOUNTS",
		When:   "Cilium balances at the socket (kubeProxy.mode Replaced), something mounts volumes by NFS or SMB from Services (Longhorn, Portworx, CSI drivers), and a node has a kernel older than 6.7 that is not known to have the fixes.",
		Remedy: "See to it that the kernel has them, or upgrade it.",
		Source: "Cilium, Kubernetes Without kube-proxy, limitations, with the kernels of Ubuntu and RHEL; cilium#21541.",
	})
	ruleCiliumMappedPort = warns(AreaCilium, Rule{
		ID:     "CILIUM-HOST-PORT",
		When:   "kubeProxy.mode is Replaced, and a DaemonSet has a host port in the range of NodePorts (30000 to 32767, or the value nodePort.range).",
		Remedy: "Give it another one.",
		Source: "Cilium, Kubernetes Without kube-proxy, limitations: such host ports are ignored.",
	})
	ruleEgressGateway = refuses(AreaCilium, Rule{
		ID:     "CILIUM-EGRESS-GATEWAY",
		When:   "The value egressGateway.enabled without kubeProxy.mode Replaced or without the value bpf.masquerade.",
		Remedy: "Have both, or remove the value.",
		Source: "Cilium, egress gateway, prerequisites.",
	})
	ruleBBR = refuses(AreaCilium, Rule{
		ID:     "CILIUM-BBR",
		When:   "bandwidthManager BBR (or the value bandwidthManager.bbr) without kubeProxy.mode Replaced, without masquerading in eBPF, or with bpf.hostLegacyRouting.",
		Remedy: "Have what it needs, or remove the value.",
		Source: "Cilium, bandwidth manager: BBR needs eBPF host routing, which needs the former two and excludes the latter.",
	})
	ruleBPFMasquerade = warns(AreaCilium, Rule{
		ID:     "CILIUM-BPF-MASQUERADE",
		When:   "The value bpf.masquerade without kubeProxy.mode Replaced.",
		Remedy: "Set kubeProxy.mode to Replaced, or remove the value.",
		Source: "Cilium, masquerading: the eBPF way depends on eBPF NodePort.",
	})
	ruleBPFMasqueradeIPv6 = warns(AreaCilium, Rule{
		ID:     "CILIUM-BPF-MASQUERADE-IPV6",
		When:   "The value bpf.masquerade, which MultiPool and BBR set as well, and natOutgoing of a pool with IPv6 is Enabled.",
		Remedy: "Disable natOutgoing of pools with IPv6 that are routed outside, or test it.",
		Source: "Cilium, masquerading, eBPF-based: that of IPv6 is beta.",
	})
	ruleBPFMasqueradeOff = refuses(AreaCilium, Rule{
		ID:     "CILIUM-BPF-MASQUERADE-OFF",
		When:   "The value bpf.masquerade, and natOutgoing of every family is Disabled.",
		Remedy: "Remove the value, or enable natOutgoing.",
		Source: "Cilium, masquerading: the agents stop on start.",
	})
	ruleBPFMasqueradeInterfaces = refuses(AreaCilium, Rule{
		ID:     "CILIUM-BPF-MASQUERADE-INTERFACES",
		When:   "The values bpf.masquerade and egressMasqueradeInterfaces.",
		Remedy: "Remove one of them; with bpf.masquerade the value devices names the interfaces.",
		Source: "Cilium, masquerading: the interfaces are those of the iptables way; the agents stop on start.",
	})
	ruleIPMasqAgent = refuses(AreaCilium, Rule{
		ID:     "CILIUM-IP-MASQ-AGENT",
		When:   "The value ipMasqAgent.enabled without bpf.masquerade.",
		Remedy: "Set bpf.masquerade, or remove the value.",
		Source: "Cilium, masquerading: the agent is part of the eBPF way; the agents stop on start.",
	})
	ruleNoConntrack = refuses(AreaCilium, Rule{
		ID:     "CILIUM-NO-CONNTRACK",
		When:   "The value installNoConntrackIptablesRules with a tunnel, without IPv4, without kubeProxy.mode Replaced, or with masquerading that is not bpf.masquerade.",
		Remedy: "Have what it needs, or remove the value.",
		Source: "Cilium, tuning guide, bypass of iptables connection tracking.",
	})
	ruleNetkitKernel = refuses(AreaCilium, Rule{
		ID:     "CILIUM-NETKIT-KERNEL",
		When:   "The value bpf.datapathMode is netkit or netkit-l2, and a node has a kernel older than 6.8 that is not Red Hat's.",
		Remedy: "Remove the value, or upgrade the kernel.",
		Source: "Cilium, tuning guide, netkit: the agents stop on start.",
	})
	ruleNetkitTProxy = refuses(AreaCilium, Rule{
		ID:     "CILIUM-NETKIT-TPROXY",
		When:   "The value bpf.datapathMode is netkit or netkit-l2, and bpf.tproxy is set.",
		Remedy: "Remove one of them.",
		Source: "cilium#39892; the chart fails.",
	})
	ruleHubbleParts = refuses(AreaCilium, Rule{
		ID:     "CILIUM-HUBBLE-PARTS",
		When:   "Hubble's UI without relay, or relay without Hubble.",
		Remedy: "Set hubble.relay.enabled and hubble.enabled to true as well.",
		Source: "Cilium's chart fails otherwise. Hubble is off unless it is asked for.",
	})
	ruleClusterName = refuses(AreaCilium, Rule{
		ID:     "CILIUM-CLUSTER-NAME",
		When:   "The value cluster.name is no name of a cluster, or is default while cluster.id is not 0.",
		Remedy: "Use up to 32 lower-case letters, digits and \"-\".",
		Source: "Cilium's chart fails otherwise.",
	})
	ruleClusterIDChaining = refuses(AreaCilium, Rule{
		ID:     "CILIUM-CLUSTER-ID",
		When:   "The value cluster.id is from 128 to 255, or from 384 to 511, with the value eni.enabled or cni.chainingMode aws-cni.",
		Remedy: "Use an ID below 128.",
		Source: "cilium#21330: traffic that policies match is dropped; the chart fails.",
	})
	ruleOperatorReplicas = warns(AreaCilium, Rule{
		ID:     "CILIUM-OPERATOR-REPLICAS",
		When:   "The value operator.replicas is more than there are nodes.",
		Remedy: "Use fewer, or leave it out to have it derived.",
		Source: "Replicas of Cilium's operator never share a node; those beyond stay pending, and the roll-out is never done.",
	})
	ruleRemovedValue = refuses(AreaCilium, Rule{
		ID:     "CILIUM-REMOVED-VALUE",
		When:   "A value that the chart of this version no longer has, such as tunnel, hostPort.enabled or nodePort.enabled.",
		Remedy: "Remove it, and use what the message names in its place.",
		Source: "Cilium, upgrade guide, Helm options. The chart takes unknown keys without a word, so that what is wanted would not happen.",
	})
	ruleCiliumPoolChanged = refuses(AreaCilium, Rule{
		ID:     "CILIUM-POOL-CHANGED",
		When:   "The first CIDR of a family that an installed Cilium has is changed or removed, the size or the origin of its nodes' ranges changes, or, with MultiPool, a CIDR or a pool goes that was not disabled before.",
		Remedy: "Restore it; CIDRs may be added beside those that there are, and with MultiPool pools.",
		Source: "Cilium, cluster-pool and multi-pool IPAM: CIDRs in use and mask sizes are not changed in place, and neither is ipam.mode; pools in use are not deleted.",
	})
	ruleCiliumPoolInUse = refuses(AreaCilium, Rule{
		ID:     "CILIUM-POOL-IN-USE",
		When:   "A CIDR, or with MultiPool a disabled pool, of which nodes have ranges is taken from an installed Cilium.",
		Remedy: "Restore it, drain and delete the nodes that the message names so that they are registered anew (with MultiPool, re-create the pods), and remove it then.",
		Source: "Cilium, cluster-pool IPAM: a node keeps its range, which nobody would route any more. What is given out is read from the CiliumNodes.",
	})
	ruleCiliumCompatibility = warns(AreaCilium, Rule{
		ID:     "CILIUM-COMPATIBILITY",
		When:   "The value upgradeCompatibility of an installed Cilium changes. Left out, it is derived: the minor version that was installed first.",
		Remedy: "Read Cilium's upgrade notes, or restore the value.",
		Source: "Cilium, upgrade guide: the chart keeps the defaults of the version that it names.",
	})
	ruleCiliumValueChanged = refuses(AreaCilium, Rule{
		ID:     "CILIUM-VALUE-CHANGED",
		When:   "The value bpf.datapathMode, cluster.name or cluster.id of an installed Cilium changes.",
		Remedy: "Restore it.",
		Source: "Cilium: pods that are there keep their devices and identities, and cannot reach the new ones.",
	})
)
