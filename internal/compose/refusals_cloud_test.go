package compose

import (
	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// there adds what is installed.
func there(installed ...facts.Installed) func(*Input) {
	return cluster(func(s *facts.Snapshot) { s.Installed = append(s.Installed, installed...) })
}

// ranBy is a DaemonSet that somebody keeps.
func ranBy(keeper string, t facts.InstalledType, name string) facts.Installed {
	return facts.Installed{Type: t, Namespace: "kube-system", Name: name, Manager: keeper, Kept: true, Source: keeper}
}

func distribution(d facts.Distribution) func(*Input) {
	return cluster(func(s *facts.Snapshot) { s.Distribution = d })
}

// server has the first node say how its process was started.
func server(backend string, noProxy bool) func(*Input) {
	return cluster(func(s *facts.Snapshot) {
		s.Nodes[0].Server = &facts.ServerArgs{FlannelBackend: backend, NoKubeProxy: noProxy}
	})
}

// withoutPools leaves the addresses of pods to somebody else.
func withoutPools(in *Input) { in.Stack.Spec.IPPools = nil }

// The agents that AKS and GKE run.
var (
	azureCNS  = ranBy("AKS", facts.InstalledAzureCNI, "azure-cns")
	azureMasq = ranBy("AKS", facts.InstalledAzureMasquerade, "azure-ip-masq-agent")
	anetd     = ranBy("GKE", facts.InstalledCilium, "anetd")
	netd      = ranBy("GKE", facts.InstalledGKENetd, "netd")
)

// azure is a stack on AKS, and google one on GKE.
func azure(edits ...func(*Input)) Input {
	return input(CNIAzure, append([]func(*Input){withoutPools, distribution(facts.DistributionAKS), there(azureCNS, azureMasq), func(in *Input) {
		in.Facts.Cloud = facts.CloudAzure
		in.Facts.Installed[0].Manager, in.Facts.Installed[0].Kept = "AKS", true
	}}, edits...)...)
}

func google(edits ...func(*Input)) Input {
	return input(CNIGKE, append([]func(*Input){withoutKubeProxy, withoutPools, distribution(facts.DistributionGKE), func(in *Input) {
		in.Facts.Cloud = facts.CloudGCP
	}}, edits...)...)
}

func cloudFindings() []finding {
	const (
		inAKS = " is set up in AKS (az aks, or the template that the cluster is made from): remove it [CLOUD-FIELD]"
		inGKE = " is set up in GKE (gcloud container clusters, or the template that the cluster is made from): remove it [CLOUD-FIELD]"
	)
	everything := func(in *Input) {
		s := &in.Stack.Spec
		s.MTU = 1400
		s.CNI.Encapsulation, s.CNI.Encryption = EncapsulationVXLAN, &EncryptionSpec{Type: EncryptionWireGuard}
		s.CNI.Version, s.CNI.Namespace, s.CNI.Chart = "1.20.0", "net", &ChartReference{Repository: "https://charts.example.com"}
		s.CNI.Values, s.CNI.ValuesFrom = rawValues(map[string]any{"a": 1}), []ValuesReference{{Kind: ValuesFromConfigMap, Name: "x"}}
		s.CNI.DriftMode = DriftWarn
		s.IPPools = []IPPool{poolOf("default", "10.244.0.0/16")}
	}
	forbidden := func(of, in string) []string {
		var out []string
		for _, name := range []string{"cni.encapsulation", "cni.encryption", "cni.version", "cni.namespace", "cni.chart", "cni.values", "cni.valuesFrom", "cni.driftMode", "mtu", "ipPools"} {
			out = append(out, "spec."+name+": Forbidden: "+of+in)
		}
		return out
	}
	calico := facts.Installed{Type: facts.InstalledCalico, Namespace: "calico-system", Name: "calico-node"}
	flannelThere := facts.Installed{Type: facts.InstalledFlannel, Namespace: "kube-flannel", Name: "kube-flannel-ds"}
	ciliumOfAKS := ranBy("AKS", facts.InstalledCilium, "cilium")
	noNodes := cluster(func(s *facts.Snapshot) { s.Nodes, s.Distribution, s.Installed = nil, "", nil })
	return []finding{
		{name: "kubenet", in: input(CNIKubenet), errors: []string{
			`spec.cni.type: Invalid value: "Kubenet": kubenet is gone from Kubernetes since 1.24: use Flannel, Cilium or Calico, or External for a cluster of AKS that still has it [CNI-KUBENET]`,
		}},
		{name: "AKS: nothing to say", in: azure()},
		{name: "AKS: data plane Cilium", in: azure(there(ciliumOfAKS))},
		{name: "AKS: policies by Calico", in: azure(there(calico))},
		{name: "AKS: every setting", in: azure(everything), errors: forbidden("AzureCNI", inAKS)},
		{name: "AKS: another network plugin", in: azure(there(flannelThere)), errors: []string{
			`spec.cni.type: Invalid value: "AzureCNI": DaemonSet kube-flannel/kube-flannel-ds is Flannel, which is none of what AKS runs: name it in cni.type, or External, or remove it [CNI-SECOND]`,
		}},
		{name: "AKS: no agent", in: azure(func(in *Input) { in.Facts.Installed = in.Facts.Installed[:1] }), warnings: []string{
			"spec.cni.type: there is no DaemonSet azure-cns: this is the oldest form of Azure CNI, or the cluster has another network plugin or none, for which cni.type is to be another one [CLOUD-NONE-FOUND]",
		}},
		{name: "AKS: another cluster", in: azure(distribution(facts.DistributionKubeadm)), errors: []string{
			`spec.cni.type: Invalid value: "AzureCNI": is run by AKS in its own clusters, and this cluster is one of kubeadm: name the network plugin that it is to have, or External [CLOUD-WRONG-CLUSTER]`,
		}},
		{name: "AKS: no node yet", in: azure(noNodes), warnings: []string{
			"spec.kubeProxy.mode: Unmanaged, and no kube-proxy was found: Services work only if something else programs them (k3s and RKE2 run kube-proxy outside of pods) [PROXY-NONE-FOUND]",
			"spec.cni.type: no node says yet that this is a cluster of AKS: it is looked at again when there are nodes [CLOUD-UNVERIFIED]",
		}},
		{name: "AKS: its kube-proxy", in: azure(mode(KubeProxyIPTables)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "IPTables": DaemonSet kube-system/kube-proxy is a kube-proxy, managed by "AKS", which would undo every change, so it is never taken over: set kubeProxy.mode to Unmanaged to leave it there, or remove it where it is managed [ADOPT-MANAGED]`,
		}},
		{name: "AKS: without a kube-proxy of its own", in: azure(mode(KubeProxyIPTables), func(in *Input) { in.Facts.Installed = in.Facts.Installed[1:] })},
		{name: "AKS: pools for a kube-proxy", in: azure(mode(KubeProxyIPTables), func(in *Input) {
			in.Facts.Installed = in.Facts.Installed[1:]
			in.Stack.Spec.IPPools = []IPPool{{Name: "default", CIDRs: []string{"10.244.0.0/16"}, NATOutgoing: Disabled, NodeMaskSizes: &NodeMaskSizes{IPv4: ptr[int32](25)}}}
		}), errors: []string{
			"spec.ipPools[0].nodeMaskSizes: Forbidden: AzureCNI" + inAKS,
			"spec.ipPools[0].natOutgoing: Forbidden: AzureCNI" + inAKS,
		}},
		{name: "AKS: a Cilium beside its own", in: azure(there(ciliumOfAKS), func(in *Input) { in.Stack.Spec.CNI.Type = CNICilium }), errors: []string{
			`spec.cni.type: Invalid value: "Cilium": DaemonSet kube-system/azure-cns is AzureCNI, managed by "AKS"; two network plugins break every pod: set cni.type to External to leave it there, or remove it first [CNI-SECOND]`,
			`spec.cni.type: Invalid value: "Cilium": DaemonSet kube-system/cilium is the Cilium that AKS runs itself, beside which there can be no other: set cni.type to GKE or AzureCNI, or make a cluster without it [CLOUD-CILIUM]`,
		}},
		{name: "GKE: nothing to say", in: google()},
		{name: "GKE: Dataplane V2", in: google(there(anetd, netd))},
		{name: "GKE: policies by Calico", in: google(there(netd, calico))},
		{name: "GKE: every setting", in: google(everything), errors: forbidden("GKE", inGKE)},
		{name: "GKE: a Cilium of somebody's", in: google(there(facts.Installed{Type: facts.InstalledCilium, Namespace: "kube-system", Name: "cilium"})), errors: []string{
			`spec.cni.type: Invalid value: "GKE": DaemonSet kube-system/cilium is Cilium, which is none of what GKE runs: name it in cni.type, or External, or remove it [CNI-SECOND]`,
		}},
		{name: "GKE: another cluster", in: google(cluster(func(s *facts.Snapshot) { s.Distribution = "" }), there(facts.Installed{Type: facts.InstalledKubeProxy})), errors: []string{
			`spec.cni.type: Invalid value: "GKE": is run by GKE in its own clusters, and nothing says that this cluster is one: name the network plugin that it is to have, or External [CLOUD-WRONG-CLUSTER]`,
		}},
		{name: "GKE: its kube-proxy", in: google(mode(KubeProxyIPTables)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "IPTables": GKE runs kube-proxy itself, where it can neither be changed nor parked: set kubeProxy.mode to Unmanaged [PROXY-OF-DISTRIBUTION]`,
		}},
		{name: "GKE: Cilium in its place", in: google(func(in *Input) { in.Stack.Spec.CNI.Type = CNICilium }, mode(KubeProxyReplaced)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "Replaced": GKE runs kube-proxy itself, where it can neither be changed nor parked: set kubeProxy.mode to Unmanaged [PROXY-OF-DISTRIBUTION]`,
		}},
		{name: "GKE: a Cilium beside Dataplane V2", in: google(there(anetd), func(in *Input) { in.Stack.Spec.CNI.Type = CNICilium }), errors: []string{
			`spec.cni.type: Invalid value: "Cilium": DaemonSet kube-system/anetd is the Cilium that GKE runs itself, beside which there can be no other: set cni.type to GKE or AzureCNI, or make a cluster without it [CLOUD-CILIUM]`,
		}},
		{name: "GKE: WireGuard by Calico", in: google(func(in *Input) { in.Stack.Spec.CNI.Type = CNICalico }, encryption(EncryptionWireGuard), func(in *Input) {
			in.Stack.Spec.IPPools = []IPPool{poolOf("default", "10.244.0.0/16")}
		}), errors: []string{
			`spec.cni.encryption.type: Invalid value: "WireGuard": Calico does not support WireGuard on GKE: remove encryption, or use type Cilium [CALICO-WIREGUARD-GKE]`,
		}},
		{name: "Azure: IPIP by Calico", in: input(CNICalico, encapsulation(EncapsulationIPIP), func(in *Input) { in.Facts.Cloud = facts.CloudAzure }), errors: []string{
			`spec.cni.encapsulation: Invalid value: "IPIP": the nodes run on Azure, whose network drops IPIP: use VXLAN [CALICO-IPIP-AZURE]`,
		}},
		{name: "Azure: VXLAN by Calico", in: input(CNICalico, func(in *Input) { in.Facts.Cloud = facts.CloudAzure })},
		{name: "k3s: its kube-proxy", in: flannel(withoutKubeProxy, distribution(facts.DistributionK3s), mode(KubeProxyNFTables)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": k3s runs kube-proxy itself, where it can neither be changed nor parked: set kubeProxy.mode to Unmanaged [PROXY-OF-DISTRIBUTION]`,
		}},
		{name: "k3s: no kube-proxy of its own", in: flannel(withoutKubeProxy, distribution(facts.DistributionK3s), server("none", true), mode(KubeProxyNFTables))},
		{name: "k3s: replaced, without its own", in: cilium(withoutKubeProxy, distribution(facts.DistributionK3s), server("none", true), mode(KubeProxyReplaced))},
		{name: "k3s: replaced, beside its own", in: cilium(withoutKubeProxy, distribution(facts.DistributionK3s), server("none", false), mode(KubeProxyReplaced)), warnings: []string{
			"spec.kubeProxy.mode: k3s runs kube-proxy itself, where it cannot be parked: every server needs disable-kube-proxy in its configuration, which node n1 lacks [PROXY-OF-AGENT]",
		}},
		{name: "k3s: cleaning up beside its own", in: cilium(withoutKubeProxy, distribution(facts.DistributionK3s), server("none", false), mode(KubeProxyReplaced), cleaningUp), warnings: []string{
			"spec.kubeProxy.mode: k3s runs kube-proxy itself, where it cannot be parked: every server needs disable-kube-proxy in its configuration, which node n1 lacks [PROXY-OF-AGENT]",
			"spec.kubeProxy.cleanup: waits until every server of k3s is known to have disable-kube-proxy: it would take the rules of the kube-proxy that runs there [PROXY-CLEANUP-IDLE]",
		}},
		{name: "k3s: its Flannel", in: flannel(withoutKubeProxy, distribution(facts.DistributionK3s), server("vxlan", false)), errors: []string{
			`spec.cni.type: Invalid value: "Flannel": k3s runs Flannel itself on node n1: start every server with --flannel-backend=none and --disable-network-policy, or set cni.type to External to leave it there [CNI-OF-SERVER]`,
		}},
		{name: "RKE2 has no Flannel inside", in: flannel(withoutKubeProxy, distribution(facts.DistributionRKE2), server("vxlan", false))},
		{name: "k3s: as it is found", in: flannel(withoutKubeProxy, distribution(facts.DistributionK3s))},
		{name: "RKE2: Cilium in its place", in: cilium(withoutKubeProxy, distribution(facts.DistributionRKE2), mode(KubeProxyReplaced)), warnings: []string{
			"spec.kubeProxy.mode: RKE2 runs kube-proxy itself, where it cannot be parked: every server needs disable-kube-proxy in its configuration [PROXY-OF-AGENT]",
		}},
	}
}
