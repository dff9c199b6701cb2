package compose

import (
	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// neighbour puts something of others into the cluster.
func neighbour(n facts.Neighbour) func(*Input) {
	return cluster(func(s *facts.Snapshot) { s.Neighbours = append(s.Neighbours, n) })
}

// inContainer makes the second node one of kind's.
var inContainer = cluster(func(s *facts.Snapshot) { s.Nodes[1].Nested = true })

var (
	metalLB  = facts.Neighbour{Of: "MetalLB", Namespace: "metallb-system", Name: "speaker", Announces: true}
	longhorn = facts.Neighbour{Of: "Longhorn", Namespace: "longhorn-system", Name: "longhorn-manager", Mounts: true}
	kubeVirt = facts.Neighbour{Of: "KubeVirt", Namespace: "kubevirt", Name: "virt-handler", Migrates: true}
)

func neighbourFindings() []finding {
	ipvs := []func(*Input){withoutKubeProxy, mode(KubeProxyIPVS), cluster(func(s *facts.Snapshot) { s.KubernetesVersion = "v1.34.1" }), neighbour(metalLB)}
	with := func(edits []func(*Input), more ...func(*Input)) []func(*Input) {
		return append(edits[:len(edits):len(edits)], more...)
	}
	proxy := func(v any) func(*Input) { return func(in *Input) { in.Stack.Spec.KubeProxy.Values = rawValues(v) } }
	kernels := func(v ...string) func(*Input) {
		return cluster(func(s *facts.Snapshot) {
			for i := range v {
				s.Nodes[i].KernelVersion = v[i]
			}
		})
	}
	agent := func(v any) func(*Input) {
		return func(in *Input) {
			in.OperatorImage = "example.com/operator:v1"
			in.Stack.Spec.NodeAgent = &NodeAgentSpec{Mode: Enabled, ComponentSettings: ComponentSettings{Values: rawValues(v)}}
		}
	}
	taken := func(port int, protocol string) func(*Input) {
		return cluster(func(s *facts.Snapshot) {
			s.HostPorts = append(s.HostPorts, facts.HostPort{Port: port, Protocol: "TCP", Namespace: "monitoring", Name: "node-exporter"})
			if protocol == "UDP" {
				s.HostPorts[len(s.HostPorts)-1].Protocol = "UDP"
			}
		})
	}
	virtualServers := cluster(func(s *facts.Snapshot) { s.Nodes[1].IPVSServices = 2 })
	k134 := cluster(func(s *facts.Snapshot) { s.KubernetesVersion = "v1.34.1" })
	ourProxyIs := func(mode string) func(*Input) {
		return cluster(func(s *facts.Snapshot) { s.Installed[0].Component, s.Installed[0].Mode = nameKubeProxy, mode })
	}
	bridges := func(b ...*bool) func(*Input) {
		return cluster(func(s *facts.Snapshot) {
			for i := range b {
				s.Nodes[i].Bridges = b[i]
			}
		})
	}
	mapped := func(port int) func(*Input) {
		return cluster(func(s *facts.Snapshot) {
			s.HostPorts = append(s.HostPorts, facts.HostPort{Port: port, Protocol: "TCP", Mapped: true, Namespace: "web", Name: "proxy"})
		})
	}
	iptables := []func(*Input){withoutKubeProxy, mode(KubeProxyIPTables)}
	const answers = "each node answers ARP for every address of a Service, those that MetalLB (DaemonSet metallb-system/speaker) announces by layer 2 among them: "
	return []finding{
		{name: "39 IPVS beside MetalLB", in: flannel(ipvs...), warnings: []string{
			"spec.kubeProxy.values: " + answers + "set values.ipvs.strictARP to true [PROXY-STRICT-ARP]",
		}},
		{name: "39 IPVS beside MetalLB, strictly", in: flannel(with(ipvs, proxy(object{"ipvs": object{"strictARP": true}}))...)},
		{name: "39 IPVS beside MetalLB, expressly not", in: flannel(with(ipvs, proxy(object{"ipvs": object{"strictARP": false}}))...), warnings: []string{
			"spec.kubeProxy.values: " + answers + "set values.ipvs.strictARP to true [PROXY-STRICT-ARP]",
		}},
		{name: "39 IPVS that is taken over beside MetalLB, strictly", in: flannel(kubeadmProxy, foundProxyIn("ipvs"), mode(KubeProxyIPVS), neighbour(metalLB),
			spec(func(s *NetworkStackSpec) { s.Adoption = AdoptionAdopt }), cluster(func(s *facts.Snapshot) { s.KubernetesVersion, s.Installed[0].StrictARP = "v1.34.1", true }),
			func(in *Input) { in.Stack.Spec.KubeProxy.Version = "1.34.1" })},
		{name: "39 iptables beside MetalLB", in: flannel(with(iptables, neighbour(metalLB))...)},
		{name: "39 IPVS of others beside MetalLB", in: flannel(foundProxyIn("ipvs"), neighbour(metalLB)), warnings: []string{
			"spec.kubeProxy.mode: " + answers + "set ipvs.strictARP of DaemonSet kube-system/kube-proxy, a kube-proxy in mode IPVS, to true where it is managed [PROXY-STRICT-ARP]",
		}},
		{name: "39 strict IPVS of others beside MetalLB", in: flannel(foundProxyIn("ipvs"), neighbour(metalLB), cluster(func(s *facts.Snapshot) { s.Installed[0].StrictARP = true }))},
		{name: "41 connection tracking in a container", in: flannel(with(iptables, inContainer, proxy(object{"conntrack": object{"maxPerCore": 32768, "min": 0}}))...), warnings: []string{
			"spec.kubeProxy.values: values.conntrack.maxPerCore is a limit of the machine that node n2 runs within, which kube-proxy may not set and exits: set it to 0 [PROXY-CONNTRACK]",
		}},
		{name: "41 connection tracking elsewhere", in: flannel(with(iptables, proxy(object{"conntrack": object{"maxPerCore": 32768}}))...)},
		{name: "41 the limits are derived in a container", in: flannel(with(iptables, inContainer)...)},

		{name: "29 NFTables beside virtual servers of others", in: flannel(foundProxyIn("iptables"), withoutKubeProxy, mode(KubeProxyNFTables), virtualServers), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": node n2 has virtual servers of IPVS that are not kube-proxy's (those of kube-vip or keepalived, for example), and kube-proxy in this mode removes all at each start: take them away, or choose IPTables [PROXY-NFTABLES-IPVS]`,
		}},
		{name: "29 NFTables after IPVS", in: installedAs(flannel(withoutKubeProxy, mode(KubeProxyIPVS), k134), ourProxyIs("ipvs"), mode(KubeProxyNFTables), virtualServers)},
		{name: "29 NFTables as before", in: installedAs(flannel(withoutKubeProxy, mode(KubeProxyNFTables)), ourProxyIs("nftables"), mode(KubeProxyNFTables), virtualServers)},
		{name: "29 iptables beside virtual servers of others", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), virtualServers)},
		{name: "39 bridges that hide traffic", in: flannel(bridges(ptr(false), nil, ptr(true))), warnings: []string{
			"spec.cni.type: node n1 has not the kernel's module br_netfilter, without which flanneld stops on start, or net.bridge.bridge-nf-call-iptables off, with which pods do not reach Services whose pods are on the same node: load it at boot (/etc/modules-load.d), and set that to 1 [FLANNEL-BRIDGES]",
		}},
		{name: "39 bridges that hide IPv6", in: flannel(onlyIPv6, nodeMTUs(1500, 1500, 1500), bridges(ptr(false))), warnings: []string{
			"spec.cni.type: node n1 has not the kernel's module br_netfilter, without which flanneld stops on start, or net.bridge.bridge-nf-call-ip6tables off, with which pods do not reach Services whose pods are on the same node: load it at boot (/etc/modules-load.d), and set that to 1 [FLANNEL-BRIDGES]",
		}},
		{name: "39 bridges of nobody", in: cilium(bridges(ptr(false), ptr(false), ptr(false)))},

		{name: "18 mounts from Services", in: cilium(mode(KubeProxyReplaced), neighbour(longhorn),
			kernels("6.1.0-28-amd64", "5.15.0-112-generic", "5.14.0-427.24.1.el9_4.x86_64")), warnings: []string{
			"spec.cni.type: Longhorn (DaemonSet longhorn-system/longhorn-manager) mounts volumes by NFS or SMB from Services, and the kernel of nodes n1, n2 and n3 may lose such mounts beside Cilium's socket load balancing (cilium#21541): see to it that it has the fixes, or upgrade it to 6.7 or newer [CILIUM-SOCKET-MOUNTS]",
		}},
		{name: "18 mounts from Services with the fixes", in: cilium(mode(KubeProxyReplaced), neighbour(longhorn),
			kernels("6.8.0-45-generic", "5.15.0-113-generic", "5.14.0-503.el9_5.x86_64"))},
		{name: "18 mounts from Services, load balancing at the socket by itself", in: cilium(neighbour(longhorn), values(object{"socketLB": object{"enabled": true}}), kernels("6.1.0-28-amd64")), warnings: []string{
			"spec.cni.type: Longhorn (DaemonSet longhorn-system/longhorn-manager) mounts volumes by NFS or SMB from Services, and the kernel of node n1 may lose such mounts beside Cilium's socket load balancing (cilium#21541): see to it that it has the fixes, or upgrade it to 6.7 or newer [CILIUM-SOCKET-MOUNTS]",
		}},
		{name: "18 mounts from Services beside kube-proxy", in: cilium(neighbour(longhorn), kernels("6.1.0-28-amd64"))},
		{name: "29 KubeVirt beside Calico's WireGuard", in: calico(encryption(EncryptionWireGuard), neighbour(kubeVirt)), warnings: []string{
			"spec.cni.encryption.type: KubeVirt (DaemonSet kubevirt/virt-handler) moves running machines from node to node, and Calico's WireGuard does not follow their addresses: do not migrate them live, remove encryption, or use type Cilium [CALICO-WIREGUARD-KUBEVIRT]",
		}},
		{name: "29 KubeVirt beside Calico", in: calico(neighbour(kubeVirt))},
		{name: "29 KubeVirt beside Cilium's WireGuard", in: cilium(encryption(EncryptionWireGuard), neighbour(kubeVirt))},

		{name: "58 the port of kube-proxy's health", in: cilium(with(iptables, values(object{"prometheus": object{"enabled": true, "port": 10256}}))...), errors: []string{
			"spec.cni.values: Invalid value: 10256: the metrics of Cilium's agent (prometheus.port) has the port of kube-proxy's health (healthzBindAddress), and both run in the network of each node: give one of them another port [HOST-PORT-TAKEN]",
		}},
		{name: "58 the same port of metrics that are off", in: cilium(with(iptables, values(object{"prometheus": object{"port": 10256}}))...)},
		{name: "58 an address with the port of Cilium's health", in: cilium(with(iptables, proxy(object{"healthzBindAddress": "0.0.0.0:9879"}))...), errors: []string{
			"spec.kubeProxy.values: Invalid value: 9879: kube-proxy's health (healthzBindAddress) has the port of the health of Cilium's agent (healthPort), and both run in the network of each node: give one of them another port [HOST-PORT-TAKEN]",
		}},
		{name: "58 the node agent has the port of Flannel's health", in: flannel(agent(object{"probePort": 8081})), errors: []string{
			"spec.nodeAgent.values: Invalid value: 8081: the node agent's probes (probePort) has the port of Flannel's health (flannel.healthz.port), and both run in the network of each node: give one of them another port [HOST-PORT-TAKEN]",
		}},
		{name: "58 Flannel's health is off", in: flannel(agent(object{"probePort": 8081}), values(object{"flannel": object{"healthz": object{"port": 0}}}))},
		{name: "58 one number, and two protocols", in: cilium(values(object{"tunnelPort": 9879}))},
		{name: "58 a port of others", in: calico(taken(9099, "TCP")), warnings: []string{
			"spec.cni.values: port 9099 of the health of Calico's agent (defaultFelixConfiguration.healthPort) is taken by DaemonSet monitoring/node-exporter on the nodes where it runs, and one of them cannot start there: give one another port, or keep that DaemonSet away [HOST-PORT-FOUND]",
		}},
		{name: "47 a host port among NodePorts", in: cilium(mode(KubeProxyReplaced), mapped(31000), mapped(29999)), warnings: []string{
			"spec.kubeProxy.mode: DaemonSet web/proxy has the host port 31000, which lies in the range of NodePorts (30000 to 32767), and Cilium does not map such ports: give it another one [CILIUM-HOST-PORT]",
		}},
		{name: "47 a host port beside another range of NodePorts", in: cilium(mode(KubeProxyReplaced), mapped(31000), values(object{"nodePort": object{"range": "20000,22767"}}))},
		{name: "47 a host port among NodePorts of kube-proxy", in: cilium(mapped(31000))},
		{name: "47 a port of a pod in the node's network", in: cilium(mode(KubeProxyReplaced), taken(31000, "TCP"))},
		{name: "58 another port, and another protocol, of others", in: calico(taken(9100, "TCP"), taken(9099, "UDP"))},
	}
}
