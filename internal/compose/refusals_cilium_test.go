package compose

import (
	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

const masqueradesIPv6 = "spec.ipPools: masquerading in eBPF, which bpf.masquerade turns on, is beta for IPv6: disable natOutgoing of pools that have IPv6 and are routed outside, or test it [CILIUM-BPF-MASQUERADE-IPV6]"

func ciliumFindings() []finding {
	hubble := func(more object) func(*Input) {
		return values(object{"hubble": MergeValues(object{"enabled": true}, more)})
	}
	replaced := mode(KubeProxyReplaced)
	masquerade := func(more object) func(*Input) {
		return values(MergeValues(object{"bpf": object{"masquerade": true}}, more))
	}
	byReference := func(in *Input) {
		in.Stack.Spec.CNI.ValuesFrom = []ValuesReference{{Kind: ValuesFromConfigMap, Name: "more"}}
	}
	noNAT := func(in *Input) { in.Stack.Spec.IPPools[0].NATOutgoing = Disabled }
	kernels := func(v ...string) func(*Input) {
		return cluster(func(s *facts.Snapshot) {
			for i := range v {
				s.Nodes[i].KernelVersion = v[i]
			}
		})
	}
	version := func(v string) func(*Input) { return func(in *Input) { in.Stack.Spec.CNI.Version = v } }
	egress := object{"egressGateway": object{"enabled": true}}
	bbr := object{"bandwidthManager": object{"enabled": true, "bbr": true}}
	agent := object{"ipMasqAgent": object{"enabled": true}}
	noConntrack := object{"installNoConntrackIptablesRules": true}
	netkit := object{"bpf": object{"datapathMode": "netkit"}}
	dsr := values(object{"loadBalancer": object{"mode": "hybrid"}})
	// installed has Cilium in the cluster as it was composed before the edits.
	installed := func(before []func(*Input), after ...func(*Input)) Input {
		old := cilium(before...)
		in := cilium(after...)
		in.Existing = map[string]NetworkComponentSpec{}
		for _, r := range Compose(old).Releases {
			in.Existing[r.Name] = r.Spec
		}
		in.Facts.Installed = append(in.Facts.Installed, facts.Installed{
			Type: facts.InstalledCilium, Namespace: "kube-system", Name: "cilium", Component: "cilium", Image: "quay.io/cilium/cilium:v1.20.0",
		})
		return in
	}
	as := func(edits ...func(*Input)) []func(*Input) { return edits }
	mask := func(size int32) func(*Input) {
		return func(in *Input) { in.Stack.Spec.IPPools[0].NodeMaskSizes = &NodeMaskSizes{IPv4: &size} }
	}
	return []finding{
		{name: "Hubble's certificates for ever", in: cilium(hubble(object{"tls": object{"auto": object{"certValidityDuration": 0}}})), errors: []string{
			"spec.cni.values: Invalid value: values.hubble.tls.auto.certValidityDuration must be a whole number of days, from 1 to 3650 [CILIUM-HUBBLE-VALIDITY]",
		}},
		{name: "Hubble's certificates for a name as an address", in: cilium(hubble(object{"tls": object{"server": object{"extraIpAddresses": []any{"relay.example.com"}}}})), errors: []string{
			`spec.cni.values: Invalid value: values.hubble.tls.server.extraIpAddresses: "relay.example.com" is no IP address [CILIUM-HUBBLE-ADDRESS]`,
		}},
		{name: "Hubble's relay alone", in: cilium(values(object{"hubble": object{"relay": object{"enabled": true}}})), errors: []string{
			"spec.cni.values: Invalid value: values.hubble.relay.enabled needs values.hubble.enabled, and the chart fails: set that to true [CILIUM-HUBBLE-PARTS]",
		}},
		{name: "Hubble's UI without relay", in: cilium(hubble(object{"ui": object{"enabled": true}})), errors: []string{
			"spec.cni.values: Invalid value: values.hubble.ui.enabled needs values.hubble.relay.enabled, and the chart fails: set that to true [CILIUM-HUBBLE-PARTS]",
		}},
		{name: "Hubble's UI by itself", in: cilium(hubble(object{"ui": object{"enabled": true, "standalone": object{"enabled": true}}}))},
		{name: "Hubble's relay, the rest by reference", in: cilium(byReference, values(object{"hubble": object{"relay": object{"enabled": true}}}))},

		{name: "IPsec and the bandwidth manager", in: cilium(encryption(EncryptionIPsec), values(object{"bandwidthManager": object{"enabled": true}})), warnings: []string{
			"spec.cni.values: values.bandwidthManager.enabled has no effect with IPsec, for Cilium turns it off: remove it, or choose WireGuard [CILIUM-IPSEC-BANDWIDTH]",
		}},
		{name: "WireGuard and what IPsec excludes", in: cilium(encryption(EncryptionWireGuard), values(object{
			"bandwidthManager": object{"enabled": true}, "hostFirewall": object{"enabled": true},
			"encryption": object{"strictMode": object{"ingress": object{"enabled": true}}},
		}))},
		{name: "strict egress of IPv6", in: cilium(encryption(EncryptionWireGuard), values(object{"encryption": object{"strictMode": object{"egress": object{"enabled": true, "cidr": "fd00::/8"}}}})), errors: []string{
			"spec.cni.values: Invalid value: values.encryption.strictMode.egress.cidr takes IPv4 only; Cilium's agents stop on start: write an IPv4 range [CILIUM-STRICT-EGRESS-IPV6]",
		}},
		{name: "strict egress of IPv4", in: cilium(encryption(EncryptionWireGuard), values(object{"encryption": object{"strictMode": object{"egress": object{"enabled": true, "cidr": "10.244.0.0/16"}}}}))},

		{name: "DSR over Geneve", in: cilium(replaced, encapsulation(EncapsulationGeneve), dsr), errors: []string{
			"spec.cni.values: Invalid value: values.loadBalancer.mode hybrid over Geneve needs loadBalancer.dsrDispatch geneve; Cilium's agents stop on start: set it, or set encapsulation to None [CILIUM-DSR-DISPATCH]",
		}},
		{name: "DSR over Geneve by Geneve", in: cilium(replaced, encapsulation(EncapsulationGeneve), values(object{"loadBalancer": object{"mode": "dsr", "dsrDispatch": "geneve"}}))},
		{name: "DSR natively", in: cilium(replaced, encapsulation(EncapsulationNone), dsr)},
		{name: "SCTP without kube-proxy", in: cilium(replaced, values(object{"sctp": object{"enabled": true}})), warnings: []string{
			"spec.cni.values: values.sctp.enabled is limited without kube-proxy: ports of SCTP Services are not rewritten; give such Services the port of their pods [CILIUM-SCTP]",
		}},
		{name: "SCTP beside kube-proxy", in: cilium(values(object{"sctp": object{"enabled": true}}))},

		{name: "egress gateway beside kube-proxy", in: cilium(values(egress)), errors: []string{
			"spec.cni.values: Invalid value: values.egressGateway.enabled needs Cilium in kube-proxy's place, and kubeProxy.mode is Unmanaged: set it to Replaced, or remove the value [CILIUM-EGRESS-GATEWAY]",
		}},
		{name: "egress gateway without masquerading in eBPF", in: cilium(replaced, values(egress)), errors: []string{
			"spec.cni.values: Invalid value: values.egressGateway.enabled needs values.bpf.masquerade: set that to true, or remove the value [CILIUM-EGRESS-GATEWAY]",
		}},
		{name: "egress gateway", in: cilium(replaced, masquerade(egress))},
		{name: "egress gateway, the rest by reference", in: cilium(replaced, byReference, values(egress))},
		{name: "egress gateway, by reference and yet not", in: cilium(replaced, byReference, values(MergeValues(egress, object{"bpf": object{"masquerade": false}}))), errors: []string{
			"spec.cni.values: Invalid value: values.egressGateway.enabled needs values.bpf.masquerade: set that to true, or remove the value [CILIUM-EGRESS-GATEWAY]",
		}},
		{name: "BBR beside kube-proxy", in: cilium(values(bbr)), errors: []string{
			"spec.cni.values: Invalid value: values.bandwidthManager.bbr needs Cilium in kube-proxy's place, and kubeProxy.mode is Unmanaged: set it to Replaced, or remove the value [CILIUM-BBR]",
		}},
		{name: "BBR with legacy routing", in: cilium(replaced, masquerade(MergeValues(bbr, object{"bpf": object{"hostLegacyRouting": true}}))), errors: []string{
			"spec.cni.values: Invalid value: values.bandwidthManager.bbr does not work with values.bpf.hostLegacyRouting: remove one of them [CILIUM-BBR]",
		}},
		{name: "BBR", in: cilium(replaced, masquerade(bbr))},
		{name: "masquerading in eBPF beside kube-proxy", in: cilium(masquerade(nil)), warnings: []string{
			"spec.cni.values: values.bpf.masquerade is meant for Cilium in kube-proxy's place, and kubeProxy.mode is Unmanaged: set it to Replaced, or remove the value [CILIUM-BPF-MASQUERADE]",
		}},
		{name: "17b masquerading in eBPF of IPv6", in: cilium(replaced, dual, masquerade(nil)), warnings: []string{masqueradesIPv6}},
		{name: "17b masquerading in eBPF of IPv4", in: cilium(replaced, masquerade(nil))},
		{name: "ServiceMonitors by values that nothing defines", in: cilium(values(object{
			"prometheus": object{"enabled": true, "serviceMonitor": object{"enabled": true, "trustCRDsExist": true}},
			"envoy":      object{"prometheus": object{"serviceMonitor": object{"enabled": true}}},
			"hubble":     object{"enabled": true, "metrics": object{"enabled": []any{"dns"}, "serviceMonitor": object{"enabled": true}}},
		})), errors: []string{
			"spec.cni.values: Invalid value: values.prometheus.serviceMonitor.enabled is on, and the cluster has no kind ServiceMonitor (monitoring.coreos.com): install Prometheus' operator or its definitions, or remove the value [METRICS-MONITORS-UNDEFINED]",
			"spec.cni.values: Invalid value: values.envoy.prometheus.serviceMonitor.enabled is on, and the cluster has no kind ServiceMonitor (monitoring.coreos.com): install Prometheus' operator or its definitions, or remove the value [METRICS-MONITORS-UNDEFINED]",
			"spec.cni.values: Invalid value: values.hubble.metrics.serviceMonitor.enabled is on, and the cluster has no kind ServiceMonitor (monitoring.coreos.com): install Prometheus' operator or its definitions, or remove the value [METRICS-MONITORS-UNDEFINED]",
		}},
		{name: "ServiceMonitors by values of metrics that are off", in: cilium(values(object{"prometheus": object{"serviceMonitor": object{"enabled": true}}}))},
		{name: "ServiceMonitors by values that are defined", in: cilium(cluster(func(s *facts.Snapshot) { s.ServiceMonitors = true }), values(object{
			"prometheus": object{"enabled": true, "serviceMonitor": object{"enabled": true}},
		}))},
		{name: "masquerading in eBPF of nothing", in: cilium(replaced, noNAT, masquerade(nil)), errors: []string{
			"spec.cni.values: Invalid value: values.bpf.masquerade is on, but natOutgoing of every family is Disabled; Cilium's agents stop on start: remove it, or enable natOutgoing [CILIUM-BPF-MASQUERADE-OFF]",
		}},
		{name: "masquerading in eBPF on named interfaces", in: cilium(replaced, masquerade(object{"egressMasqueradeInterfaces": "eth1"})), errors: []string{
			"spec.cni.values: Invalid value: values.egressMasqueradeInterfaces does not work with values.bpf.masquerade; Cilium's agents stop on start: remove one of them, and use values.devices [CILIUM-BPF-MASQUERADE-INTERFACES]",
		}},
		{name: "ip-masq-agent without masquerading in eBPF", in: cilium(replaced, values(agent)), errors: []string{
			"spec.cni.values: Invalid value: values.ipMasqAgent.enabled needs values.bpf.masquerade; Cilium's agents stop on start: set that to true, or remove the value [CILIUM-IP-MASQ-AGENT]",
		}},
		{name: "ip-masq-agent", in: cilium(replaced, masquerade(agent))},
		{name: "no conntrack in a tunnel", in: cilium(replaced, masquerade(noConntrack)), errors: []string{
			"spec.cni.values: Invalid value: values.installNoConntrackIptablesRules works without a tunnel only; Cilium's agents stop on start: remove it, or set encapsulation to None [CILIUM-NO-CONNTRACK]",
		}},
		{name: "no conntrack without IPv4", in: cilium(onlyIPv6, replaced, encapsulation(EncapsulationNone), masquerade(noConntrack)), errors: []string{
			"spec.cni.values: Invalid value: values.installNoConntrackIptablesRules works with IPv4 only; Cilium's agents stop on start: remove it [CILIUM-NO-CONNTRACK]",
		}, warnings: []string{masqueradesIPv6}},
		{name: "no conntrack beside kube-proxy", in: cilium(noNAT, encapsulation(EncapsulationNone), values(noConntrack)), errors: []string{
			"spec.cni.values: Invalid value: values.installNoConntrackIptablesRules needs Cilium in kube-proxy's place, and kubeProxy.mode is Unmanaged: set it to Replaced, or remove the value [CILIUM-NO-CONNTRACK]",
		}},
		{name: "no conntrack with iptables masquerading", in: cilium(replaced, encapsulation(EncapsulationNone), values(noConntrack)), errors: []string{
			"spec.cni.values: Invalid value: values.installNoConntrackIptablesRules needs values.bpf.masquerade: set that to true, or remove the value [CILIUM-NO-CONNTRACK]",
		}},
		{name: "no conntrack", in: cilium(replaced, encapsulation(EncapsulationNone), masquerade(noConntrack))},
		{name: "no conntrack and no masquerading", in: cilium(replaced, noNAT, encapsulation(EncapsulationNone), values(noConntrack))},

		{name: "netkit on old kernels", in: cilium(values(netkit), kernels("6.1.0-28-amd64", "6.8.0-45-generic", "5.14.0-503.el9_5.x86_64")), errors: []string{
			"spec.cni.values: Invalid value: values.bpf.datapathMode netkit needs kernel 6.8 or newer, and node n1 has an older one: remove it, or upgrade the kernel [CILIUM-NETKIT-KERNEL]",
		}},
		{name: "netkit with tproxy", in: cilium(values(MergeValues(netkit, object{"bpf": object{"tproxy": true}}))), errors: []string{
			"spec.cni.values: Invalid value: values.bpf.tproxy does not work with values.bpf.datapathMode netkit, and the chart fails: remove one of them [CILIUM-NETKIT-TPROXY]",
		}},
		{name: "old kernels do not matter to veth", in: cilium(values(object{"bpf": object{"datapathMode": "veth", "tproxy": true}}), kernels("6.1.0-28-amd64"))},

		{name: "a cluster name in capitals", in: cilium(values(object{"cluster": object{"name": "East"}})), errors: []string{
			`spec.cni.values: Invalid value: values.cluster.name is no name of a cluster: use up to 32 lower-case letters, digits and "-", with a letter or digit at both ends [CILIUM-CLUSTER-NAME]`,
		}},
		{name: "a cluster name of 33 letters", in: cilium(values(object{"cluster": object{"name": "abcdefghijklmnopqrstuvwxyz-123456"}})), errors: []string{
			`spec.cni.values: Invalid value: values.cluster.name is no name of a cluster: use up to 32 lower-case letters, digits and "-", with a letter or digit at both ends [CILIUM-CLUSTER-NAME]`,
		}},
		{name: "a cluster name of 32 letters", in: cilium(values(object{"cluster": object{"name": "abcdefghijklmnopqrstuvwxyz-12345", "id": 7}}))},
		{name: "a cluster ID without a name", in: cilium(values(object{"cluster": object{"id": 7}})), errors: []string{
			"spec.cni.values: Invalid value: values.cluster.id is not 0, and the cluster's name is default: set values.cluster.name to one of its own [CILIUM-CLUSTER-NAME]",
		}},
		{name: "a cluster ID that ENIs do not bear", in: cilium(values(object{"cluster": object{"name": "east", "id": 200}, "cni": object{"chainingMode": "aws-cni"}})), errors: []string{
			"spec.cni.values: Invalid value: values.cluster.id 200 does not work with ENIs or with chaining to aws-cni, and the chart fails: use one below 128 [CILIUM-CLUSTER-ID]",
		}},
		{name: "such a cluster ID without ENIs", in: cilium(values(object{"cluster": object{"name": "east", "id": 200}}))},
		{name: "more replicas than nodes", in: cilium(values(object{"operator": object{"replicas": 4}})), warnings: []string{
			"spec.cni.values: values.operator.replicas of 4 is more than there are nodes (3), and two replicas never share one: use fewer, or leave it out to have it derived [CILIUM-OPERATOR-REPLICAS]",
		}},
		{name: "as many replicas as nodes", in: cilium(values(object{"operator": object{"replicas": 3}}))},

		{name: "values that are gone", in: cilium(values(object{
			"tunnel": "vxlan", "hostPort": object{"enabled": true}, "nodePort": object{"enabled": true, "range": "30000,32767"},
			"encryption": object{"strictMode": object{"enabled": true, "cidr": "10.0.0.0/8"}},
		})), errors: []string{
			"spec.cni.values: Invalid value: values.tunnel was removed from the chart in 1.15 and has no effect, so it cannot be what is wanted: remove it, and use spec.cni.encapsulation [CILIUM-REMOVED-VALUE]",
			"spec.cni.values: Invalid value: values.hostPort.enabled was removed from the chart in 1.18 and has no effect, so it cannot be what is wanted: remove it, and use spec.kubeProxy.mode Replaced [CILIUM-REMOVED-VALUE]",
			"spec.cni.values: Invalid value: values.nodePort.enabled was removed from the chart in 1.19 and has no effect, so it cannot be what is wanted: remove it, and use spec.kubeProxy.mode Replaced [CILIUM-REMOVED-VALUE]",
			"spec.cni.values: Invalid value: values.encryption.strictMode.enabled was removed from the chart in 1.20 and has no effect, so it cannot be what is wanted: remove it, and use encryption.strictMode.egress.enabled [CILIUM-REMOVED-VALUE]",
			"spec.cni.values: Invalid value: values.encryption.strictMode.cidr was removed from the chart in 1.20 and has no effect, so it cannot be what is wanted: remove it, and use encryption.strictMode.egress.cidr [CILIUM-REMOVED-VALUE]",
		}},
		{name: "values that are not gone yet", in: cilium(version("1.19.6"), cluster(func(s *facts.Snapshot) { s.KubernetesVersion = "v1.34.0" }), values(object{
			"encryption": object{"strictMode": object{"enabled": true, "cidr": "10.0.0.0/8"}},
		}))},
		{name: "values that are gone, and null", in: cilium(values(object{"tunnel": nil}))},

		{name: "an installed Cilium, the same again", in: installed(nil)},
		{name: "an installed Cilium, a CIDR more", in: installed(nil, cidrs("10.244.0.0/16", "10.245.0.0/16"))},
		{name: "an installed Cilium, another CIDR", in: installed(nil, cidrs("10.245.0.0/16")), errors: []string{
			`spec.ipPools: Invalid value: "10.245.0.0/16": 10.244.0.0/16 is in use and cannot be changed or removed: restore it, and add CIDRs beside it [CILIUM-POOL-CHANGED]`,
		}},
		{name: "an installed Cilium, a wider CIDR", in: installed(nil, cidrs("10.244.0.0/15")), errors: []string{
			`spec.ipPools: Invalid value: "10.244.0.0/15": 10.244.0.0/16 is in use and cannot be changed or removed: restore it, and add CIDRs beside it [CILIUM-POOL-CHANGED]`,
		}},
		{name: "an installed Cilium, its second CIDR in use", in: installed(as(cidrs("10.244.0.0/16", "10.245.0.0/16")), cidrs("10.244.0.0/16"), given(
			nodeRange("10.244.0.0/24", "n1"), nodeRange("10.245.0.0/24", "n2"), nodeRange("10.245.7.0/24", "n3"),
		)), errors: []string{
			"spec.ipPools: Forbidden: 10.245.0.0/16 has the ranges of nodes n2 and n3: restore it, drain and delete these nodes so that they are registered anew with a range of another CIDR, and remove it then [CILIUM-POOL-IN-USE]",
		}},
		{name: "an installed Cilium, its second CIDR in an unknown state", in: installed(as(cidrs("10.244.0.0/16", "10.245.0.0/16")), cidrs("10.244.0.0/16")), errors: []string{
			"spec.ipPools: Forbidden: whether pods have addresses of 10.245.0.0/16 is not known yet, so it cannot be removed: wait, and it is looked at again; or restore it [POOL-USE-UNKNOWN]",
		}},
		{name: "an installed Cilium, its second CIDR no longer in use", in: installed(as(cidrs("10.244.0.0/16", "10.245.0.0/16")), cidrs("10.244.0.0/16"),
			given(nodeRange("10.244.0.0/24", "n1")))},
		{name: "an installed Cilium, more nodes than ranges", in: installed(as(cidrs("10.244.0.0/23"), cluster(func(s *facts.Snapshot) { s.Nodes = s.Nodes[:2] })), cidrs("10.244.0.0/23"))},
		{name: "an installed Cilium, other masks", in: installed(nil, mask(25)), errors: []string{
			"spec.ipPools: Invalid value: 25: nodes have IPv4 ranges of /24, whose size cannot be changed in place: set nodeMaskSizes.ipv4 to 24 [CILIUM-POOL-CHANGED]",
		}},
		{name: "an installed Cilium, a family less", in: installed(as(dual), onlyIPv6), errors: []string{
			`spec.ipPools: Invalid value: "": 10.244.0.0/16 is in use and cannot be changed or removed: restore it, and add CIDRs beside it [CILIUM-POOL-CHANGED]`,
		}, warnings: []string{
			"spec.ipPools: pods that run have IPv4 addresses, which are no longer wanted, until they are re-created [FAMILY-CHANGED]",
		}},
		{name: "an installed Cilium, a family more", in: installed(nil, dual), warnings: []string{
			"spec.ipPools: pods that run get their IPv6 addresses only when they are re-created, and Services theirs by ipFamilyPolicy [FAMILY-CHANGED]",
		}},
		{name: "an installed Cilium, pools for the first time", in: installed(as(noPools)), errors: []string{
			"spec.ipPools: Forbidden: the pods of this Cilium have addresses of their nodes' spec.podCIDRs, which cannot be changed in place: remove ipPools [CILIUM-POOL-CHANGED]",
		}},
		{name: "an installed Cilium, no pools any more", in: installed(nil, noPools), errors: []string{
			"spec.ipPools: Required value: the pods of this Cilium have addresses of ipPools, which cannot be changed in place: restore them [CILIUM-POOL-CHANGED]",
		}},
		{name: "an installed Cilium, compatible with another version", in: installed(nil, values(object{"upgradeCompatibility": "1.17"})), warnings: []string{
			"spec.cni.values: values.upgradeCompatibility goes from 1.20 to 1.17, and with it defaults that were kept: read what Cilium's upgrade notes say of them; restore 1.20 to keep them [CILIUM-COMPATIBILITY]",
		}},
		{name: "an installed Cilium, no longer compatible with another version", in: installed(as(values(object{"upgradeCompatibility": "1.17"}))), warnings: []string{
			"spec.cni.values: values.upgradeCompatibility goes from 1.17 to 1.20, and with it defaults that were kept: read what Cilium's upgrade notes say of them; restore 1.17 to keep them [CILIUM-COMPATIBILITY]",
		}},
		{name: "an installed Cilium, compatible as before", in: installed(as(values(object{"upgradeCompatibility": "1.17"})), values(object{"upgradeCompatibility": "1.17"}))},
		{name: "an installed Cilium, another data path", in: installed(nil, values(netkit)), errors: []string{
			"spec.cni.values: Invalid value: values.bpf.datapathMode cannot be changed while Cilium is installed: pods that are there keep what they have; restore veth [CILIUM-VALUE-CHANGED]",
		}},
		{name: "an installed Cilium, another cluster", in: installed(as(values(object{"cluster": object{"name": "east", "id": 7}}))), errors: []string{
			"spec.cni.values: Invalid value: values.cluster.name cannot be changed while Cilium is installed: pods that are there keep what they have; restore east [CILIUM-VALUE-CHANGED]",
			"spec.cni.values: Invalid value: values.cluster.id cannot be changed while Cilium is installed: pods that are there keep what they have; restore 7 [CILIUM-VALUE-CHANGED]",
		}},
		{name: "an installed Cilium, the defaults written out", in: installed(nil, values(object{"cluster": object{"name": "default", "id": 0}, "bpf": object{"datapathMode": "veth"}}))},
	}
}
