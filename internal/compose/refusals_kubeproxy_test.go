package compose

import (
	"strings"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// foundProxyIn is the kube-proxy that is there, in a mode.
func foundProxyIn(mode string) func(*Input) {
	return cluster(func(s *facts.Snapshot) { s.Installed[0].Mode = mode })
}

func kubeProxyFindings() []finding {
	proxyRanges := func(cidrs ...string) func(*Input) {
		return cluster(func(s *facts.Snapshot) { s.Installed[0].PodRanges = prefixes(cidrs...) })
	}
	version := func(v string) func(*Input) { return cluster(func(s *facts.Snapshot) { s.KubernetesVersion = v }) }
	proxyVersion := func(v string) func(*Input) { return func(in *Input) { in.Stack.Spec.KubeProxy.Version = v } }
	proxyValues := func(v any) func(*Input) { return func(in *Input) { in.Stack.Spec.KubeProxy.Values = rawValues(v) } }
	kernel := func(v string) func(*Input) { return cluster(func(s *facts.Snapshot) { s.Nodes[1].KernelVersion = v }) }
	apiServer := func(host string) func(*Input) { return pinned(PinnedFacts{APIServer: &Endpoint{Host: host}}) }
	foundProxy := func(manager string) func(*Input) {
		return cluster(func(s *facts.Snapshot) { s.Installed[0].Manager, s.Installed[0].Kept = manager, true })
	}
	// was is a kube-proxy of ours in a mode.
	was := func(mode string) func(*Input) {
		return cluster(func(s *facts.Snapshot) { s.Installed[0].Component, s.Installed[0].Mode = nameKubeProxy, mode })
	}
	shows := func(host string, covers bool, names ...string) func(*Input) {
		return cluster(func(s *facts.Snapshot) {
			s.Certificate = &facts.ServerCertificate{Endpoint: Endpoint{Host: host, Port: 6443}, Covers: covers, Names: names}
		})
	}
	otherNames := func(host, names string) string {
		return `spec.cluster.apiServer.host: Invalid value: "` + host + `": the certificate that the API server shows there is made for other names (` + names + `), so that agents hang up: set cluster.apiServer.host to one of these that nodes reach, or add this one to the certificate (apiServer.certSANs of kubeadm) [ENDPOINT-CERTIFICATE]`
	}
	return []finding{
		{name: "35 the certificate is for others", in: cilium(mode(KubeProxyReplaced), apiServer("127.0.0.1"), shows("127.0.0.1", false, "10.96.0.1", "api.example.com")), errors: []string{
			otherNames("127.0.0.1", "10.96.0.1, api.example.com"),
		}},
		{name: "35 the certificate at the discovered address is for others", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), shows("192.168.10.10", false, strings.Split("abcdefghijklmn", "")...)), errors: []string{
			otherNames("192.168.10.10", "a, b, c, d, e, f, g, h, i, j, k, l, and 2 more"),
		}},
		{name: "35 the certificate is for the address", in: cilium(mode(KubeProxyReplaced), shows("192.168.10.10", true, "192.168.10.10"))},
		{name: "35 the certificate of another address", in: cilium(mode(KubeProxyReplaced), shows("192.168.10.99", false))},
		{name: "35 a kube-proxy that is taken over keeps its own address", in: flannel(kubeadmProxy, mode(KubeProxyIPTables), spec(func(s *NetworkStackSpec) { s.Adoption = AdoptionAdopt }), shows("192.168.10.10", false))},
		{name: "35 nobody uses the address", in: cilium(shows("192.168.10.10", false))},
		{name: "25 unknown mode", in: cilium(mode("userspace")), errors: []string{
			`spec.kubeProxy.mode: Unsupported value: "userspace": supported values: "IPTables", "NFTables", "IPVS", "Replaced", "Unmanaged" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "40 feature gates", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), proxyValues(object{"featureGates": object{"KubeProxyIPVS": true}})), errors: []string{
			"spec.kubeProxy.values: Invalid value: feature gates of kube-proxy are not supported: remove them, and choose a mode and a version that do without [PROXY-FEATURE-GATES]",
		}},
		{name: "40 feature gates as an argument", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), proxyValues(object{"extraArgs": []any{"--v=2", "--feature-gates=KubeProxyIPVS=true"}})), errors: []string{
			"spec.kubeProxy.values: Invalid value: feature gates of kube-proxy are not supported: remove them, and choose a mode and a version that do without [PROXY-FEATURE-GATES]",
		}},
		{name: "40 other arguments", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), proxyValues(object{"extraArgs": []any{"--hostname-override=a"}}))},
		{name: "26 IPVS on 1.36", in: flannel(withoutKubeProxy, mode(KubeProxyIPVS)), warnings: []string{
			"spec.kubeProxy.mode: IPVS is deprecated since Kubernetes 1.35 and off by default in 1.40; plan the change to NFTables [PROXY-IPVS-DEPRECATED]",
		}},
		{name: "26 IPVS on 1.34", in: flannel(withoutKubeProxy, mode(KubeProxyIPVS), version("v1.34.1"))},
		{name: "27 IPVS on 1.40", in: flannel(withoutKubeProxy, mode(KubeProxyIPVS), version("v1.40.0")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "IPVS": kube-proxy 1.40 refuses IPVS unless the feature gate KubeProxyIPVS is on, which is not supported here, and 1.43 removes it: choose NFTables or IPTables [PROXY-IPVS-GATED]`,
		}},
		{name: "27 IPVS on 1.43", in: flannel(withoutKubeProxy, mode(KubeProxyIPVS), version("v1.43.0")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "IPVS": kube-proxy has no IPVS mode since 1.43: choose NFTables or IPTables [PROXY-IPVS-REMOVED]`,
		}},
		{name: "27 IPVS of an older kube-proxy on 1.40", in: flannel(withoutKubeProxy, mode(KubeProxyIPVS), version("v1.40.0"), proxyVersion("1.39.2")), warnings: []string{
			"spec.kubeProxy.mode: IPVS is deprecated since Kubernetes 1.35 and off by default in 1.40; plan the change to NFTables [PROXY-IPVS-DEPRECATED]",
		}},
		{name: "from IPVS to IPTables", in: flannel(was("ipvs"), mode(KubeProxyIPTables)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "IPTables": kube-proxy is in mode IPVS, and would leave on every node the addresses of all Services on the device kube-ipvs0, and IPVS's own tables: set NFTables first, which clears them, and IPTables when that is Ready [PROXY-MODE-LEFTOVERS]`,
		}},
		{name: "from IPTables to IPVS", in: flannel(was("iptables"), mode(KubeProxyIPVS), version("v1.34.1")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "IPVS": kube-proxy is in mode IPTables, and would leave on every node rules of iptables, which may refuse the addresses of Services: set NFTables first, which clears them, and IPVS when that is Ready [PROXY-MODE-LEFTOVERS]`,
		}},
		{name: "from IPVS to IPTables on an old kernel", in: flannel(was("ipvs"), mode(KubeProxyIPTables), kernel("5.4.0")), warnings: []string{
			"spec.kubeProxy.mode: kube-proxy is in mode IPVS, and leaves on every node the addresses of all Services on the device kube-ipvs0, and IPVS's own tables: restart each node after the change [PROXY-MODE-RESTART]",
		}},
		{name: "from IPVS to NFTables", in: flannel(was("ipvs"), mode(KubeProxyNFTables))},
		{name: "from NFTables to IPTables", in: flannel(was("nftables"), mode(KubeProxyIPTables))},
		{name: "3 from IPVS to Cilium", in: cilium(foundProxyIn("ipvs"), mode(KubeProxyReplaced)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "Replaced": DaemonSet kube-system/kube-proxy is a kube-proxy in mode IPVS, which leaves the addresses of all Services on the device kube-ipvs0 of every node, and Cilium is not tested beside it: set NFTables first, and Replaced when that is Ready; or move it to iptables and restart the nodes [PROXY-IPVS-REPLACED]`,
		}},
		{name: "3 ours from IPVS to Cilium", in: cilium(was("ipvs"), mode(KubeProxyReplaced)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "Replaced": DaemonSet kube-system/kube-proxy is a kube-proxy in mode IPVS, which leaves the addresses of all Services on the device kube-ipvs0 of every node, and Cilium is not tested beside it: set NFTables first, and Replaced when that is Ready; or move it to iptables and restart the nodes [PROXY-IPVS-REPLACED]`,
		}},
		{name: "3 from NFTables to Cilium", in: cilium(foundProxyIn("nftables"), mode(KubeProxyReplaced))},
		{name: "3 IPVS beside Cilium", in: cilium(foundProxyIn("ipvs"))},
		{name: "3 IPVS that is parked", in: cilium(foundProxyIn("ipvs"), cluster(func(s *facts.Snapshot) { s.Installed[0].Parked = true }), mode(KubeProxyReplaced))},
		{name: "3 IPVS, and Cilium is in its place already", in: cilium(foundProxyIn("ipvs"), mode(KubeProxyReplaced), func(in *Input) {
			in.Existing = map[string]NetworkComponentSpec{nameCilium: {Type: "Cilium", DerivedValues: rawValues(object{"kubeProxyReplacement": "true"})}}
		})},
		{name: "19 a pool outside of clusterCIDR", in: cilium(proxyRanges("10.244.0.0/16"), cidrs("10.244.0.0/16", "10.245.0.0/16")), warnings: []string{
			"spec.ipPools[0].cidrs[1]: DaemonSet kube-system/kube-proxy, a kube-proxy, takes only 10.244.0.0/16 for pods' (clusterCIDR), so pods of 10.245.0.0/16 reach Services with their node's address, which NetworkPolicies see: widen it there [PROXY-PODS-OUTSIDE]",
		}},
		{name: "19 pools inside of clusterCIDR", in: cilium(proxyRanges("10.244.0.0/15"), cidrs("10.244.0.0/16", "10.245.0.0/16"))},
		{name: "19 a family that clusterCIDR lacks", in: cilium(dual, proxyRanges("10.244.0.0/16"))},
		{name: "19 clusterCIDR of a kube-proxy that goes", in: cilium(proxyRanges("10.200.0.0/16"), mode(KubeProxyReplaced))},
		{name: "19 clusterCIDR with a network plugin of others", in: external(proxyRanges("10.200.0.0/16"))},
		{name: "IPVS stays", in: flannel(was("ipvs"), mode(KubeProxyIPVS), version("v1.34.1"))},
		{name: "a mode that nobody knows", in: flannel(was("userspace"), mode(KubeProxyIPTables))},
		{name: "from IPVS to Unmanaged", in: flannel(was("ipvs"), mode(KubeProxyUnmanaged))},
		{name: "what drifted to IPVS is put back", in: flannel(was("ipvs"), func(in *Input) {
			in.Existing = map[string]NetworkComponentSpec{nameKubeProxy: {Type: TypeKubeProxy, DerivedValues: rawValues(object{"mode": "iptables"})}}
		}, mode(KubeProxyIPTables))},
		{name: "ours from IPVS to IPTables", in: flannel(was(""), func(in *Input) {
			in.Existing = map[string]NetworkComponentSpec{nameKubeProxy: {Type: TypeKubeProxy, DerivedValues: rawValues(object{"mode": "ipvs"})}}
		}, mode(KubeProxyIPTables)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "IPTables": kube-proxy is in mode IPVS, and would leave on every node the addresses of all Services on the device kube-ipvs0, and IPVS's own tables: set NFTables first, which clears them, and IPTables when that is Ready [PROXY-MODE-LEFTOVERS]`,
		}},
		{name: "cleaning up behind a kube-proxy that runs", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), cleaningUp), warnings: []string{
			"spec.kubeProxy.cleanup: has no effect with mode NFTables: kube-proxy keeps its own rules in order [PROXY-CLEANUP-IDLE]",
		}},
		{name: "cleaning up somehow", in: cilium(mode(KubeProxyReplaced), func(in *Input) { in.Stack.Spec.KubeProxy.Cleanup = "Now" }), errors: []string{
			`spec.kubeProxy.cleanup: Unsupported value: "Now": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "28 NFTables on 1.36", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables))},
		{name: "28 NFTables on 1.30", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), version("v1.30.4")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": kube-proxy 1.30 does not have NFTables on by default; it needs 1.31 or newer: choose IPTables [PROXY-NFTABLES-TOO-OLD]`,
		}},
		{name: "28 NFTables on 1.32", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), version("v1.32.4")), warnings: []string{
			"spec.kubeProxy.mode: NFTables is beta in kube-proxy 1.32 and stable from 1.33 [PROXY-NFTABLES-BETA]",
		}},
		{name: "28 NFTables with kernel 5.4", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), kernel("5.4.0-150-generic")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": node n2 has kernel 5.4.0-150-generic; NFTables needs 5.13 or newer and kube-proxy does not start without: upgrade the kernel, or choose IPTables [PROXY-NFTABLES-KERNEL]`,
		}},
		{name: "28 NFTables with RHEL 8", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), kernel("4.18.0-553.el8_10.x86_64")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": node n2 has kernel 4.18.0-553.el8_10.x86_64; NFTables needs 5.13 or newer and kube-proxy does not start without: upgrade the kernel, or choose IPTables [PROXY-NFTABLES-KERNEL]`,
		}},
		{name: "28 NFTables with RHEL 9", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), kernel("5.14.0-503.el9_5.x86_64"))},
		{name: "28 NFTables with an unknown kernel", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), kernel("custom")), warnings: []string{
			"spec.kubeProxy.mode: node n2 reports no readable kernel version; NFTables needs 5.13 or newer [PROXY-NFTABLES-KERNEL-UNKNOWN]",
		}},
		{name: "28 NFTables with several old kernels", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), cluster(func(s *facts.Snapshot) {
			s.Nodes[0].KernelVersion, s.Nodes[2].KernelVersion = "5.10.1", "5.4.0"
		})), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": nodes n1 and n3 have at the oldest kernel 5.4.0; NFTables needs 5.13 or newer and kube-proxy does not start without: upgrade the kernel, or choose IPTables [PROXY-NFTABLES-KERNEL]`,
		}},
		{name: "28 old kernels do not matter to IPTables", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), kernel("5.4.0"))},
		{name: "30 NFTables with the AWS VPC CNI", in: external(mode(KubeProxyNFTables), cluster(func(s *facts.Snapshot) {
			s.Installed = []facts.Installed{{Type: facts.InstalledAWSVPC, Namespace: "kube-system", Name: "aws-node"}}
		})), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": DaemonSet kube-system/aws-node is the AWS VPC CNI, which NFTables breaks (amazon-vpc-cni-k8s#3563): choose IPTables [PROXY-NFTABLES-AWS]`,
		}},
		{name: "30 NFTables with a foreign Calico", in: external(withoutKubeProxy, mode(KubeProxyNFTables), cluster(func(s *facts.Snapshot) {
			s.Installed = []facts.Installed{{Type: facts.InstalledCalico, Namespace: "calico-system", Name: "calico-node"}}
		})), warnings: []string{
			"spec.kubeProxy.mode: DaemonSet calico-system/calico-node is Calico, which works with NFTables only if its own data plane is nftables (calico#8025): set it so, or choose IPTables [PROXY-NFTABLES-CALICO]",
		}},
		{name: "37 primary and CIDRs", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), proxyValues(object{"nodePortAddresses": []any{"primary", "192.168.0.0/16"}})), errors: []string{
			`spec.kubeProxy.values: Invalid value: values.nodePortAddresses has "primary" beside other elements: use it alone, or a list of CIDRs [PROXY-NODEPORT-ADDRESSES]`,
		}},
		{name: "37 primary alone", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), proxyValues(object{"nodePortAddresses": []any{"primary"}}))},
		{name: "37 CIDRs", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), proxyValues(object{"nodePortAddresses": []any{"192.168.0.0/16", "10.0.0.0/8"}}))},
		{name: "32 replaced by Flannel", in: flannel(mode(KubeProxyReplaced)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "Replaced": cni.type Flannel does not program Services, and without kube-proxy no Service works: set cni.type to Cilium or Calico, or choose IPTables or NFTables [PROXY-NOT-REPLACED]`,
		}},
		{name: "32 replaced by an external CNI", in: external(mode(KubeProxyReplaced)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "Replaced": cni.type External does not program Services, and without kube-proxy no Service works: set cni.type to Cilium or Calico, or choose IPTables or NFTables [PROXY-NOT-REPLACED]`,
		}},
		{name: "34 Service address", in: cilium(mode(KubeProxyReplaced), apiServer("10.96.0.1")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "10.96.0.1": is a Service address (of default/kubernetes) and will vanish with kube-proxy; give the real endpoint: a load balancer, a virtual IP or a node-local proxy [ENDPOINT-IS-SERVICE]`,
		}},
		{name: "34 Service range", in: cilium(mode(KubeProxyReplaced), apiServer("10.100.0.1")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "10.100.0.1": lies in the Service range 10.96.0.0/12 (ServiceCIDR/kubernetes) and will vanish with kube-proxy; give the real endpoint: a load balancer, a virtual IP or a node-local proxy [ENDPOINT-IS-SERVICE]`,
		}},
		{name: "34 Service name", in: cilium(mode(KubeProxyReplaced), apiServer("kubernetes.default.svc")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "kubernetes.default.svc": is the name of a Service, which works only while something programs Services; give the real endpoint: a load balancer, a virtual IP or a node-local proxy [ENDPOINT-IS-SERVICE]`,
		}},
		{name: "34 Service name with domain", in: cilium(mode(KubeProxyReplaced), apiServer("kubernetes.default.svc.cluster.local")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "kubernetes.default.svc.cluster.local": is the name of a Service, which works only while something programs Services; give the real endpoint: a load balancer, a virtual IP or a node-local proxy [ENDPOINT-IS-SERVICE]`,
		}},
		{name: "34 brackets", in: cilium(apiServer("[fd00::1]")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "[fd00::1]": write an IPv6 address without brackets: fd00::1 [ENDPOINT-HOST-FORM]`,
		}},
		{name: "34 scheme", in: cilium(apiServer("https://api.example.com")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "https://api.example.com": write the host alone, without a scheme and a port [ENDPOINT-HOST-FORM]`,
		}},
		{name: "34 port in the host", in: cilium(apiServer("api.example.com:6443")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "api.example.com:6443": write the host alone; the port has a field of its own [ENDPOINT-HOST-FORM]`,
		}},
		{name: "34 no host name", in: cilium(apiServer("api_server!")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "api_server!": is neither a DNS name nor an IP address [ENDPOINT-HOST-FORM]`,
		}},
		{name: "34 no host", in: cilium(apiServer("")), errors: []string{
			"spec.cluster.apiServer.host: Required value: name the API server's address, or remove apiServer to have it discovered [ENDPOINT-HOST-EMPTY]",
		}},
		{name: "34 port out of range", in: cilium(pinned(PinnedFacts{APIServer: &Endpoint{Host: "192.168.10.10", Port: 70000}})), errors: []string{
			"spec.cluster.apiServer.port: Invalid value: 70000: must be from 1 to 65535; 6443 is usual [ENDPOINT-PORT]",
		}},
		{name: "34 a name is fine", in: cilium(mode(KubeProxyReplaced), apiServer("api.example.com"))},
		{name: "34 no endpoint with Replaced", in: cilium(mode(KubeProxyReplaced), cluster(func(s *facts.Snapshot) { s.APIServer = Endpoint{} })), errors: []string{
			"spec.cluster.apiServer: Required value: with kubeProxy.mode Replaced the API server must be reachable without any Service, and no address of it was discovered: set cluster.apiServer.host and port to a load balancer, a virtual IP or a node-local proxy [ENDPOINT-UNKNOWN]",
		}},
		{name: "34 no endpoint for kube-proxy", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), cluster(func(s *facts.Snapshot) { s.APIServer = Endpoint{} })), errors: []string{
			"spec.cluster.apiServer: Required value: with kubeProxy.mode IPTables the API server must be reachable without any Service, and no address of it was discovered: set cluster.apiServer.host and port to a load balancer, a virtual IP or a node-local proxy [ENDPOINT-UNKNOWN]",
		}},
		{name: "34 discovered endpoint is a Service", in: cilium(mode(KubeProxyReplaced), cluster(func(s *facts.Snapshot) { s.APIServer.Host = "10.96.0.1" })), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "10.96.0.1": is a Service address (of default/kubernetes) and will vanish with kube-proxy; give the real endpoint: a load balancer, a virtual IP or a node-local proxy [ENDPOINT-IS-SERVICE]`,
		}},
		{name: "34 discovered endpoint that nobody needs", in: cilium(cluster(func(s *facts.Snapshot) { s.APIServer.Host = "10.96.0.1" }))},
		{name: "36 newer than the API server", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), proxyVersion("v1.37.0")), errors: []string{
			`spec.kubeProxy.version: Invalid value: "v1.37.0": kube-proxy v1.37 is newer than kube-apiserver v1.36: use v1.36 or older, or remove version to follow the API server [PROXY-TOO-NEW]`,
		}},
		{name: "36 four minors older", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), proxyVersion("1.32.9")), errors: []string{
			`spec.kubeProxy.version: Invalid value: "v1.32.9": kube-proxy v1.32 is 4 minors older than kube-apiserver v1.36; the limit is 3: use a newer one, or remove version to follow the API server [PROXY-TOO-OLD]`,
		}},
		{name: "36 three minors older", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), proxyVersion("1.33.9"))},
		{name: "36 version unknown", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), version("")), errors: []string{
			`spec.kubeProxy.version: Required value: the API server's version "" does not say which kube-proxy to install: set it [PROXY-VERSION-UNKNOWN]`,
		}},
		{name: "38 foreign kube-proxy without a manager", in: flannel(mode(KubeProxyIPTables)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "IPTables": DaemonSet kube-system/kube-proxy is a kube-proxy already, made by somebody unknown: set spec.adoption to Adopt to take it over (status.adoption of NetworkComponent kube-proxy says what that changes), or set kubeProxy.mode to Unmanaged to leave it there [ADOPT-NOT-ASKED]`,
		}},
		{name: "38 foreign kube-proxy of EKS", in: flannel(mode(KubeProxyNFTables), foundProxy("EKS add-on")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": DaemonSet kube-system/kube-proxy is a kube-proxy, managed by "EKS add-on", which would undo every change, so it is never taken over: set kubeProxy.mode to Unmanaged to leave it there, or remove it where it is managed [ADOPT-MANAGED]`,
		}},
		{name: "38 Replaced parks a kube-proxy of nobody's", in: cilium(mode(KubeProxyReplaced))},
		{name: "38 Replaced cannot park that of Argo CD", in: cilium(mode(KubeProxyReplaced), foundProxy("Argo CD application network")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "Replaced": DaemonSet kube-system/kube-proxy is managed by "Argo CD application network", which would undo its parking: turn kube-proxy off there, or set kubeProxy.mode to Unmanaged [PROXY-MANAGED]`,
		}},
		{name: "38 our own kube-proxy", in: flannel(mode(KubeProxyIPTables), cluster(func(s *facts.Snapshot) { s.Installed[0].Component = "kube-proxy" }))},
		{name: "38 Unmanaged and none there", in: flannel(withoutKubeProxy), warnings: []string{
			"spec.kubeProxy.mode: Unmanaged, and no kube-proxy was found: Services work only if something else programs them (k3s and RKE2 run kube-proxy outside of pods) [PROXY-NONE-FOUND]",
		}},
		{name: "kube-proxy fields with Replaced", in: cilium(mode(KubeProxyReplaced), proxyVersion("1.36.3"), func(in *Input) {
			in.Stack.Spec.KubeProxy.Namespace = "kube-system"
			in.Stack.Spec.KubeProxy.Chart = &ChartReference{Repository: "https://charts.example.com"}
			in.Stack.Spec.KubeProxy.Values = rawValues(map[string]any{"a": 1})
			in.Stack.Spec.KubeProxy.ValuesFrom = []ValuesReference{{Kind: ValuesFromSecret, Name: "v"}}
		}), errors: []string{
			"spec.kubeProxy.version: Forbidden: with mode Replaced no kube-proxy is installed: remove it, or choose IPTables or NFTables [PROXY-FIELD]",
			"spec.kubeProxy.namespace: Forbidden: with mode Replaced no kube-proxy is installed: remove it, or choose IPTables or NFTables [PROXY-FIELD]",
			"spec.kubeProxy.chart: Forbidden: with mode Replaced no kube-proxy is installed: remove it, or choose IPTables or NFTables [PROXY-FIELD]",
			"spec.kubeProxy.values: Forbidden: with mode Replaced no kube-proxy is installed: remove it, or choose IPTables or NFTables [PROXY-FIELD]",
			"spec.kubeProxy.valuesFrom: Forbidden: with mode Replaced no kube-proxy is installed: remove it, or choose IPTables or NFTables [PROXY-FIELD]",
		}},
		{name: "kube-proxy cannot tell the pods of an external CNI", in: external(withoutKubeProxy, noPools, mode(KubeProxyIPTables), cluster(func(s *facts.Snapshot) {
			s.Installed = []facts.Installed{{Type: facts.InstalledAntrea, Namespace: "kube-system", Name: "antrea-agent"}}
			for i := range s.Nodes {
				s.Nodes[i].PodCIDRs = nil
			}
		})), errors: []string{
			"spec.ipPools: Required value: kube-proxy must know the pods' ranges, and no node has spec.podCIDRs: state the ranges of the external CNI [PROXY-PODS-UNKNOWN]",
		}},
		{name: "kube-proxy with several ranges of an unknown external CNI", in: external(pools(poolOf("a", "10.244.0.0/16", "10.245.0.0/16")), mode(KubeProxyIPTables), cluster(func(s *facts.Snapshot) {
			s.Installed = []facts.Installed{{Type: facts.InstalledAntrea, Namespace: "kube-system", Name: "antrea-agent"}}
		})), warnings: []string{
			"spec.ipPools: kube-proxy takes one CIDR per family and ipPools has more: it will not tell pods from others, and clients outside of the cluster cannot use ClusterIPs [PROXY-PODS-UNTOLD]",
		}},
	}
}
