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
		When:   "An older minor than the one that is installed.",
		Remedy: "Use the installed minor or a newer one.",
		Source: "Cilium, upgrade guide: going down is not safe once new features were used, and CRDs stay at the newer schema.",
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
