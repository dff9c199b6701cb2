package compose

// Rules about the AWS VPC CNI.
var (
	ruleAWSBlock = refuses(AreaAWSVPC, Rule{
		ID:        "AWSVPC-BLOCK",
		APIServer: true,
		When:      "cni.awsVPC is set, and the type is another one.",
		Remedy:    "Remove it, or set type to AWSVPC.",
		Source:    "The operator's API: nothing would read it.",
	})
	ruleAWSField = refuses(AreaAWSVPC, Rule{
		ID:        "AWSVPC-FIELD",
		APIServer: true,
		When:      "ipPools, encapsulation or encryption with AWSVPC.",
		Remedy:    "Remove them; name subnets in cni.awsVPC.customNetworking.",
		Source:    "Amazon VPC CNI: pods have addresses of the VPC and are routed by it; it has no settings for these.",
	})
	ruleAWSMTU = refuses(AreaAWSVPC, Rule{
		ID:     "AWSVPC-MTU",
		When:   "An MTU above 9001 with AWSVPC.",
		Remedy: "Use 9001 or less.",
		Source: "Amazon VPC CNI, AWS_VPC_ENI_MTU and POD_MTU; EC2, jumbo frames.",
	})
	ruleAWSDual = refuses(AreaAWSVPC, Rule{
		ID:     "AWSVPC-DUAL-STACK",
		When:   "Both families with AWSVPC.",
		Remedy: "Use one of them.",
		Source: "Amazon VPC CNI, ENABLE_IPv4 and ENABLE_IPv6: one or the other, as the cluster was made.",
	})
	ruleAWSIPv6Prefix = refuses(AreaAWSVPC, Rule{
		ID:     "AWSVPC-IPV6-PREFIX",
		When:   "IPv6 with AWSVPC, and prefixDelegation is Disabled.",
		Remedy: "Remove prefixDelegation, or use IPv4.",
		Source: "Amazon VPC CNI, ENABLE_IPv6: it works with prefixes alone, on instances of Nitro.",
	})
	ruleAWSIPv6Custom = refuses(AreaAWSVPC, Rule{
		ID:     "AWSVPC-IPV6-CUSTOM",
		When:   "IPv6 with AWSVPC, and customNetworking is set.",
		Remedy: "Remove customNetworking, or use IPv4.",
		Source: "EKS, custom networking: it is for clusters of IPv4.",
	})
	ruleAWSCustomForm = refuses(AreaAWSVPC, Rule{
		ID:        "AWSVPC-CUSTOM-FORM",
		APIServer: true,
		When:      "A zone of customNetworking has no name, no ID of a subnet, an ID that is none, or comes twice.",
		Remedy:    "Write IDs as EC2 shows them: subnet-0123456789abcdef0, sg-0123456789abcdef0.",
		Source:    "Amazon VPC CNI, ENIConfig.",
	})
	ruleAWSBandwidth = refuses(AreaAWSVPC, Rule{
		ID:     "AWSVPC-BANDWIDTH",
		When:   "networkPolicy is Enabled, and the value env.ENABLE_BANDWIDTH_PLUGIN is set.",
		Remedy: "Remove one of them.",
		Source: "Amazon VPC CNI, ENABLE_BANDWIDTH_PLUGIN: both attach programs of tc to the same interface.",
	})
	ruleAWSEnforcers = refuses(AreaAWSVPC, Rule{
		ID:     "AWSVPC-TWO-ENFORCERS",
		When:   "networkPolicy is Enabled, and a Calico or a Cilium is there beside the AWS VPC CNI.",
		Remedy: "Set networkPolicy to Disabled, or remove the other one.",
		Source: "Amazon VPC CNI, network policies: there has to be one that enforces them.",
	})
	ruleAWSStrictGroups = warns(AreaAWSVPC, Rule{
		ID:     "AWSVPC-STRICT-GROUPS",
		When:   "podSecurityGroups is Strict.",
		Remedy: "Use Standard with Istio's ambient mode, NodeLocal DNS or kube-proxy in mode IPVS.",
		Source: "Amazon VPC CNI, POD_SECURITY_GROUP_ENFORCING_MODE; Istio, platform prerequisites: link-local probes do not reach such pods.",
	})
	ruleAWSPolicyController = warns(AreaAWSVPC, Rule{
		ID:     "AWSVPC-POLICY-CONTROLLER",
		When:   "networkPolicy is Enabled, and the cluster is not one of EKS.",
		Remedy: "Install amazon-network-policy-controller-k8s, or use another CNI for policies.",
		Source: "Amazon VPC CNI, network policies: the control plane of EKS writes the PolicyEndpoints that the agents enforce.",
	})
	ruleAWSWarmNoEffect = warns(AreaAWSVPC, Rule{
		ID:     "AWSVPC-WARM-NO-EFFECT",
		When:   "A warm target is set that another setting overrides.",
		Remedy: "Remove it.",
		Source: "Amazon VPC CNI, WARM_ENI_TARGET, WARM_IP_TARGET and WARM_PREFIX_TARGET.",
	})
	ruleAWSCloud = refuses(AreaAWSVPC, Rule{
		ID:     "AWSVPC-CLOUD",
		When:   "AWSVPC on nodes of another cloud.",
		Remedy: "Use another type.",
		Source: "Amazon VPC CNI: it attaches network interfaces of EC2 to the node.",
	})
	ruleAWSCloudUnknown = warns(AreaAWSVPC, Rule{
		ID:     "AWSVPC-CLOUD-UNKNOWN",
		When:   "AWSVPC, and the nodes do not say that they are instances of EC2.",
		Remedy: "Check that they are; a cloud provider writes Node.spec.providerID.",
		Source: "Amazon VPC CNI: it attaches network interfaces of EC2 to the node.",
	})
	ruleAWSAddOn = refuses(AreaAWSVPC, Rule{
		ID:     "AWSVPC-ADD-ON",
		When:   "The AWS VPC CNI is there as an add-on of EKS, or somebody else keeps it, and settings of it are in the spec.",
		Remedy: "Remove them and configure it where it is kept, or remove it there.",
		Source: "EKS, add-ons: EKS puts back what others change. It is verified and reported, and nothing is installed.",
	})
	ruleAWSForeign = refuses(AreaAWSVPC, Rule{
		ID:     "AWSVPC-FOREIGN",
		When:   "An AWS VPC CNI is there that is neither of a Helm release nor kept by anybody.",
		Remedy: "Set cni.type to External to leave it there, or remove it first.",
		Source: "Its DaemonSet has another selector than the chart's, which nobody can change: the agents would have to be replaced everywhere at once.",
	})
)
