package compose

import (
	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// awsBlock sets the union's block for the AWS VPC CNI.
func awsBlock(a AWSVPCSpec) func(*Input) { return func(in *Input) { in.Stack.Spec.CNI.AWSVPC = &a } }

// oneZone is a subnet of pods in one zone.
var oneZone = &AWSCustomNetworking{Zones: []AWSZone{{Name: "eu-west-1a", SubnetID: "subnet-0a1b", SecurityGroups: []string{"sg-01"}}}}

// eks is a stack with the AWS VPC CNI on EKS, without add-ons.
func eks(edits ...func(*Input)) Input {
	return input(CNIAWSVPC, append([]func(*Input){withoutPools, distribution(facts.DistributionEKS), func(in *Input) {
		in.Facts.Cloud = facts.CloudAWS
	}}, edits...)...)
}

func awsFindings() []finding {
	addOn := ranBy("EKS add-on", facts.InstalledAWSVPC, "aws-node")
	ours := facts.Installed{Type: facts.InstalledAWSVPC, Namespace: "kube-system", Name: "aws-node", Component: "aws-vpc-cni"}
	calicoThere := facts.Installed{Type: facts.InstalledCalico, Namespace: "calico-system", Name: "calico-node"}
	six := func(in *Input) { makeIPv6(in.Facts) }
	policy := policies(Enabled)
	zones := func(z ...AWSZone) func(*Input) {
		return awsBlock(AWSVPCSpec{CustomNetworking: &AWSCustomNetworking{Zones: z}})
	}
	kept := func(path string) string {
		return "spec." + path + `: Forbidden: DaemonSet kube-system/aws-node is kept by "EKS add-on", and not managed here: remove the field and configure it there, or remove the DaemonSet there [AWSVPC-ADD-ON]`
	}
	return []finding{
		{name: "AWS: nothing to say", in: eks()},
		{name: "AWS: IPv6", in: eks(six)},
		{name: "AWS: its own once it runs", in: eks(there(ours))},
		{name: "AWS: kube-proxy", in: eks(mode(KubeProxyIPTables), func(in *Input) { in.Facts.Installed = nil })},
		{name: "AWS: everything of IPv4", in: eks(encapsulation(EncapsulationNone), encryption(EncryptionNone), mtu(8500), policies(Enabled), awsBlock(AWSVPCSpec{
			PrefixDelegation: Enabled, CustomNetworking: oneZone, PodSecurityGroups: AWSPodSecurityGroupsStandard, ExternalSNAT: Enabled,
			WarmTargets: &AWSWarmTargets{Prefixes: ptr[int32](2)},
		}))},
		{name: "AWS: block for another type", in: flannel(awsBlock(AWSVPCSpec{})), errors: []string{
			"spec.cni.awsVPC: Forbidden: is read only with type AWSVPC: remove it, or set type to AWSVPC [AWSVPC-BLOCK]",
		}},
		{name: "AWS: fields without a meaning", in: eks(encapsulation(EncapsulationIPIP), encryption(EncryptionWireGuard), func(in *Input) {
			in.Stack.Spec.IPPools = []IPPool{poolOf("default", "10.244.0.0/16")}
		}), errors: []string{
			"spec.ipPools: Forbidden: pods have addresses of the VPC's subnets: remove it; other subnets than the nodes' are named in cni.awsVPC.customNetworking [AWSVPC-FIELD]",
			`spec.cni.encapsulation: Invalid value: "IPIP": the VPC routes to pods natively: remove it, or use another type [AWSVPC-FIELD]`,
			`spec.cni.encryption.type: Invalid value: "WireGuard": the AWS VPC CNI does not encrypt: remove it and use instances that encrypt between them, or use type Cilium or Calico [AWSVPC-FIELD]`,
		}},
		{name: "AWS: MTU above 9001", in: eks(mtu(9002)), errors: []string{
			`spec.mtu: Invalid value: 9002: the network of EC2 carries 9001: use that or less, or state the nodes' MTU in cluster.nodeMTU [AWSVPC-MTU]`,
		}},
		{name: "AWS: MTU of nodes above 9001", in: eks(nodeMTUs(9216, 9216, 9216)), errors: []string{
			`spec.mtu: Invalid value: 9216: the network of EC2 carries 9001: use that or less, or state the nodes' MTU in cluster.nodeMTU [AWSVPC-MTU]`,
		}},
		{name: "AWS 34 both families", in: eks(cluster(makeDual)), errors: []string{
			`spec.ipFamilies: Invalid value: "IPv4, IPv6": the AWS VPC CNI gives pods one family: list IPv4 or IPv6 [AWSVPC-DUAL-STACK]`,
		}},
		{name: "AWS 34 IPv6 without prefixes, and with custom networking", in: eks(six, awsBlock(AWSVPCSpec{PrefixDelegation: Disabled, CustomNetworking: oneZone})), errors: []string{
			`spec.cni.awsVPC.prefixDelegation: Invalid value: "Disabled": IPv6 needs it: remove it, or use IPv4 [AWSVPC-IPV6-PREFIX]`,
			"spec.cni.awsVPC.customNetworking: Forbidden: is for IPv4 alone: remove it [AWSVPC-IPV6-CUSTOM]",
		}},
		{name: "AWS: no zone", in: eks(zones()), errors: []string{
			"spec.cni.awsVPC.customNetworking.zones: Required value: name the zones that have nodes, each with its subnet [AWSVPC-CUSTOM-FORM]",
		}},
		{name: "AWS: zones that are none", in: eks(zones(
			AWSZone{Name: "a", SubnetID: "subnet-1"}, AWSZone{Name: "a", SubnetID: "10.0.0.0/24"}, AWSZone{SubnetID: "subnet-2", SecurityGroups: []string{"sg-1", "web"}})), errors: []string{
			`spec.cni.awsVPC.customNetworking.zones[1].name: Duplicate value: "a": a zone has one subnet of pods: remove one of them [AWSVPC-CUSTOM-FORM]`,
			`spec.cni.awsVPC.customNetworking.zones[1].subnetID: Invalid value: "10.0.0.0/24": write the subnet's ID, such as subnet-0123456789abcdef0 [AWSVPC-CUSTOM-FORM]`,
			`spec.cni.awsVPC.customNetworking.zones[2].name: Invalid value: "": write a zone's name as the nodes' label topology.kubernetes.io/zone has it, such as eu-west-1a [AWSVPC-CUSTOM-FORM]`,
			`spec.cni.awsVPC.customNetworking.zones[2].securityGroups[1]: Invalid value: "web": write the security group's ID, such as sg-0123456789abcdef0 [AWSVPC-CUSTOM-FORM]`,
		}},
		{name: "AWS 32 policies and the bandwidth plugin", in: eks(policy, values(map[string]any{"env": map[string]any{"ENABLE_BANDWIDTH_PLUGIN": "true"}})), errors: []string{
			`spec.cni.networkPolicy: Invalid value: "Enabled": does not work beside the bandwidth plugin: remove it, or values.env.ENABLE_BANDWIDTH_PLUGIN [AWSVPC-BANDWIDTH]`,
		}},
		{name: "AWS 30 policies by Calico", in: eks(there(ours, calicoThere))},
		{name: "AWS 31 policies by Calico too", in: eks(policy, there(ours, calicoThere)), errors: []string{
			`spec.cni.networkPolicy: Invalid value: "Enabled": DaemonSet calico-system/calico-node is Calico, which enforces policies already: set it to Disabled, or remove that [AWSVPC-TWO-ENFORCERS]`,
		}},
		{name: "AWS: Calico in its place", in: eks(there(calicoThere)), errors: []string{
			`spec.cni.type: Invalid value: "AWSVPC": DaemonSet calico-system/calico-node is Calico, which NetworkStack did not install; two network plugins break every pod: set cni.type to External to leave it there, or remove it first [CNI-SECOND]`,
		}},
		{name: "AWS 33 strict groups", in: eks(awsBlock(AWSVPCSpec{PodSecurityGroups: AWSPodSecurityGroupsStrict})), warnings: []string{
			"spec.cni.awsVPC.podSecurityGroups: Strict cuts such pods off from what is link-local on their node: use Standard with Istio's ambient mode, NodeLocal DNS or kube-proxy in mode IPVS [AWSVPC-STRICT-GROUPS]",
		}},
		{name: "AWS: policies without EKS", in: eks(policy, distribution(facts.DistributionKubeadm)), warnings: []string{
			"spec.cni.networkPolicy: the cluster is not one of EKS, whose control plane tells the agents what to enforce: install amazon-network-policy-controller-k8s, or policies have no effect [AWSVPC-POLICY-CONTROLLER]",
		}},
		{name: "AWS: warm targets in vain", in: eks(awsBlock(AWSVPCSpec{WarmTargets: &AWSWarmTargets{NetworkInterfaces: ptr[int32](2), Addresses: ptr[int32](5), Prefixes: ptr[int32](1)}})), warnings: []string{
			"spec.cni.awsVPC.warmTargets.prefixes: has no effect without prefixDelegation: remove it [AWSVPC-WARM-NO-EFFECT]",
			"spec.cni.awsVPC.warmTargets.networkInterfaces: has no effect beside addresses or minimumAddresses: remove it [AWSVPC-WARM-NO-EFFECT]",
		}},
		{name: "AWS: warm prefixes in vain", in: eks(awsBlock(AWSVPCSpec{PrefixDelegation: Enabled, WarmTargets: &AWSWarmTargets{NetworkInterfaces: ptr[int32](2), MinimumAddresses: ptr[int32](5), Prefixes: ptr[int32](1)}})), warnings: []string{
			"spec.cni.awsVPC.warmTargets.prefixes: has no effect beside addresses or minimumAddresses: remove it [AWSVPC-WARM-NO-EFFECT]",
			"spec.cni.awsVPC.warmTargets.networkInterfaces: has no effect beside addresses or minimumAddresses: remove it [AWSVPC-WARM-NO-EFFECT]",
		}},
		{name: "AWS: another cloud", in: eks(func(in *Input) { in.Facts.Cloud = facts.CloudGCP }), errors: []string{
			`spec.cni.type: Invalid value: "AWSVPC": the nodes run on GCP, and it needs instances of EC2: use another type [AWSVPC-CLOUD]`,
		}},
		{name: "AWS: nobody knows where", in: eks(func(in *Input) { in.Facts.Cloud = "" }), warnings: []string{
			"spec.cni.type: no node says that it is an instance of EC2 (spec.providerID), and elsewhere pods get no address [AWSVPC-CLOUD-UNKNOWN]",
		}},
		{name: "AWS: nftables of others", in: eks(foundProxyIn("nftables")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "Unmanaged": the kube-proxy that is there is in mode NFTables, which breaks the AWS VPC CNI (amazon-vpc-cni-k8s#3563): change it to iptables where it is managed [PROXY-NFTABLES-AWS]`,
		}},
		{name: "AWS: iptables of others", in: eks(foundProxyIn("iptables"))},
		{name: "AWS: nftables of others beside an add-on", in: eks(there(addOn), foundProxyIn("nftables"))},
		{name: "AWS: PodMonitors by values", in: eks(values(object{"podMonitor": object{"create": true}})), errors: []string{
			"spec.cni.values: Invalid value: values.podMonitor.create is on, and the cluster has no kind PodMonitor (monitoring.coreos.com): install Prometheus' operator or its definitions, or remove the value [METRICS-MONITORS-UNDEFINED]",
		}},
		{name: "AWS: nftables", in: eks(mode(KubeProxyNFTables), func(in *Input) { in.Facts.Installed = nil }), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": cni.type is AWSVPC, which NFTables breaks (amazon-vpc-cni-k8s#3563): choose IPTables [PROXY-NFTABLES-AWS]`,
		}},
		{name: "AWS: the add-on", in: eks(there(addOn))},
		{name: "AWS: the add-on, and policies by Calico", in: eks(there(addOn, calicoThere))},
		{name: "AWS: the add-on, with settings", in: eks(there(addOn), mtu(1400), awsBlock(AWSVPCSpec{}), func(in *Input) {
			in.Stack.Spec.CNI.Version, in.Stack.Spec.CNI.DriftMode = "1.22.4", DriftWarn
		}), errors: []string{kept("cni.version"), kept("cni.driftMode"), kept("cni.awsVPC"), kept("mtu")}},
		{name: "AWS: the add-on, with settings that are wrong anyway", in: eks(there(addOn), pace("0"), metrics(MetricsSpec{Endpoints: Disabled, ServiceMonitors: MonitorsEnabled}),
			values(object{"enableNetworkPolicy": "true", "updateStrategy": object{"rollingUpdate": object{"maxUnavailable": 0}}})), errors: []string{
			kept("cni.values"), kept("cni.agents"), kept("cni.metrics"),
			`spec.cni.agents.maxUnavailable: Invalid value: "0": with 0 no agent is ever replaced: use 1 or more [ROLLOUT-STUCK]`,
			`spec.cni.metrics.serviceMonitors: Invalid value: "Enabled": there is nothing to scrape while endpoints is Disabled: enable endpoints, or remove serviceMonitors [METRICS-NOTHING]`,
			"spec.cni.values: Forbidden: values.enableNetworkPolicy is controlled by spec.cni.networkPolicy; remove it [VALUES-CONTROLLED]",
			"spec.cni.values: Forbidden: values.updateStrategy is controlled by spec.cni.agents.maxUnavailable; remove it [VALUES-CONTROLLED]",
			"spec.cni.values: Invalid value: values.updateStrategy.rollingUpdate.maxUnavailable of 0 lets no agent be replaced: use 1 or more [ROLLOUT-STUCK]",
		}},
		{name: "AWS: the add-on beside Flannel", in: eks(there(addOn, facts.Installed{Type: facts.InstalledFlannel, Namespace: "kube-flannel", Name: "kube-flannel-ds"})), errors: []string{
			`spec.cni.type: Invalid value: "AWSVPC": DaemonSet kube-flannel/kube-flannel-ds is Flannel, beside the AWS VPC CNI; two network plugins break every pod: remove one of them [CNI-SECOND]`,
		}},
		{name: "AWS: of nobody's", in: eks(there(facts.Installed{Type: facts.InstalledAWSVPC, Namespace: "kube-system", Name: "aws-node", Source: "kubectl"})), errors: []string{
			`spec.cni.type: Invalid value: "AWSVPC": DaemonSet kube-system/aws-node is the AWS VPC CNI already, made by kubectl, and only that of a Helm release can be taken over: set cni.type to External to leave it there, or remove it first [AWSVPC-FOREIGN]`,
		}},
		{name: "AWS: of a Helm release", in: eks(there(facts.Installed{
			Type: facts.InstalledAWSVPC, Namespace: "kube-system", Name: "aws-node", ReleaseName: "cni", ReleaseNamespace: "kube-system", Source: "Helm release kube-system/cni",
		})), errors: []string{
			`spec.cni.type: Invalid value: "AWSVPC": DaemonSet kube-system/aws-node is AWSVPC already, of Helm release kube-system/cni: set spec.adoption to Adopt to take it over (status.adoption of NetworkComponent aws-vpc-cni says what that changes), or set cni.type to External to leave it there [ADOPT-NOT-ASKED]`,
		}},
	}
}
