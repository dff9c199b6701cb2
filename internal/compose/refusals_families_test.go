package compose

import (
	"slices"
	"strings"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// installedAs is the same kind of stack, edited, where another one was installed before.
func installedAs(before Input, edits ...func(*Input)) Input {
	typ := before.Stack.Spec.CNI.Type
	in := input(typ, edits...)
	in.Existing = map[string]NetworkComponentSpec{}
	for _, r := range Compose(before).Releases {
		in.Existing[r.Name] = r.Spec
	}
	workload := map[CNIType]string{CNICilium: "kube-system/cilium", CNIFlannel: "kube-flannel/kube-flannel-ds", CNICalico: "calico-system/calico-node"}[typ]
	namespace, name, _ := strings.Cut(workload, "/")
	in.Facts.Installed = append(in.Facts.Installed, facts.Installed{
		Type: facts.InstalledType(typ), Namespace: namespace, Name: name, Component: strings.ToLower(string(typ)),
	})
	return in
}

func familyFindings() []finding {
	return []finding{
		{name: "08 Services dual-stack, pods not", in: cilium(cluster(makeDual)), errors: []string{
			`spec.ipPools: Invalid value: "IPv4": Services are dual-stack but pods are IPv4 only: add IPv6 to ipFamilies and to a pool [FAMILY-SERVICES-DUAL]`,
		}},
		{name: "08 Services dual-stack, and Weave Net is not", in: weave(cluster(makeDual)), errors: []string{
			`spec.ipPools: Invalid value: "IPv4": Services are dual-stack but pods are IPv4 only: Weave Net carries IPv4 alone, so use type Cilium, Calico or Flannel, or take the IPv6 range from --service-cluster-ip-range of kube-apiserver and kube-controller-manager, which the operator cannot [FAMILY-SERVICES-DUAL]`,
		}, warnings: []string{weaveLegacy}},
		{name: "08 Services dual-stack, and the AWS VPC CNI is not", in: eks(cluster(makeDual), spec(func(s *NetworkStackSpec) { s.IPFamilies = []IPFamily{IPv4} })), errors: []string{
			`spec.ipFamilies: Invalid value: "IPv4": Services are dual-stack but pods are IPv4 only: the AWS VPC CNI gives pods one family, so use type Cilium, Calico or Flannel, or take the IPv6 range from --service-cluster-ip-range of kube-apiserver and kube-controller-manager, which the operator cannot [FAMILY-SERVICES-DUAL]`,
		}},
		{name: "08 Services are IPv6, and Weave Net is not", in: weave(cluster(makeIPv6), cluster(func(s *facts.Snapshot) {
			for i := range s.Nodes {
				s.Nodes[i].InternalIPs = addrs("192.168.10.11")
			}
		})), errors: []string{
			`spec.ipPools: Invalid value: "IPv4": pods are IPv4 but Services are IPv6: Weave Net carries IPv4 alone, so use type Cilium, Calico or Flannel [FAMILY-SERVICES-DIFFER]`,
		}, warnings: []string{weaveLegacy}},
		{name: "11 Cilium gets a family", in: installedAs(cilium(), dual), warnings: []string{
			"spec.ipPools: pods that run get their IPv6 addresses only when they are re-created, and Services theirs by ipFamilyPolicy [FAMILY-CHANGED]",
		}},
		{name: "11 Flannel gets a family", in: installedAs(flannel(), dual, nodeMTUs(1500, 1500, 1500)), warnings: []string{
			"spec.ipPools: pods that run get their IPv6 addresses only when they are re-created, and Services theirs by ipFamilyPolicy [FAMILY-CHANGED]",
		}},
		{name: "11 Calico gets a family", in: installedAs(calico(), dual), warnings: []string{
			"spec.ipPools: pods that run get their IPv6 addresses only when they are re-created, and Services theirs by ipFamilyPolicy [FAMILY-CHANGED]",
		}},
		{name: "11 Flannel loses a family", in: installedAs(flannel(dual, nodeMTUs(1500, 1500, 1500)), nodeMTUs(1500, 1500, 1500)), warnings: []string{
			"spec.ipPools: pods that run have IPv6 addresses, which are no longer wanted, until they are re-created [FAMILY-CHANGED]",
			"spec.mtu: new pods get 1450, and those that are there keep 1430 until they are re-created; until then they do with less than they could, and nodes let no pod have more in one piece than their bridge cni0 did before: ip link set dev cni0 mtu 1450 on each, or restart it [MTU-CHANGED]",
		}},
		{name: "57 Flannel's IPv6 from plain routes to VXLAN", in: installedAs(flannel(dual, encapsulation(EncapsulationNone), nodeMTUs(1500, 1500, 1500)), dual,
			nodeMTUs(1500, 1500, 1500)), warnings: []string{
			"spec.mtu: new pods get 1430, and those that are there keep 1500 until they are re-created; until then their packets of more than that may be lost [MTU-CHANGED]",
			"spec.cni.encapsulation: flanneld does not replace the plain IPv6 routes between the nodes there are, whose IPv6 goes without VXLAN until then: when all agents are new, ip -6 route show root fd00:10:244::/56 proto boot | while read -r net rest; do ip -6 route replace ${net%/*} dev flannel-v6.1; done on each node, and restart its agent; or restart the nodes [FLANNEL-PLAIN-ROUTES]",
		}},
		{name: "57 Flannel's IPv6 from VXLAN to plain routes", in: installedAs(flannel(dual, nodeMTUs(1500, 1500, 1500)), dual,
			encapsulation(EncapsulationNone), nodeMTUs(1500, 1500, 1500)), warnings: []string{
			"spec.mtu: new pods get 1500, and those that are there keep 1430 until they are re-created; until then they do with less than they could, and nodes let no pod have more in one piece than their bridge cni0 did before: ip link set dev cni0 mtu 1500 on each, or restart it [MTU-CHANGED]",
		}},
		{name: "57 Flannel from plain routes to WireGuard", in: installedAs(flannel(dual, encapsulation(EncapsulationNone), nodeMTUs(1500, 1500, 1500)), dual,
			encryption(EncryptionWireGuard), nodeMTUs(1500, 1500, 1500)), warnings: []string{
			"spec.mtu: new pods get 1420, and those that are there keep 1500 until they are re-created; until then their packets of more than that may be lost [MTU-CHANGED]",
			"spec.cni.encryption.type: flanneld leaves the routes between the nodes there are, which go before WireGuard's: pods' packets go unencrypted until, when all agents are new, " +
				"ip route show root 10.244.0.0/16 proto boot | grep ' via ' | while read -r net rest; do ip route delete $net; done and " +
				"ip -6 route show root fd00:10:244::/56 proto boot | grep ' via ' | while read -r net rest; do ip -6 route delete $net; done on each node; or restart the nodes [FLANNEL-WIREGUARD-ROUTES]",
		}},
		{name: "57 Flannel stays with WireGuard", in: installedAs(flannel(encryption(EncryptionWireGuard), nodeMTUs(1500, 1500, 1500)), encryption(EncryptionWireGuard),
			nodeMTUs(1500, 1500, 1500))},
		{name: "57 Flannel's IPv4 from plain routes to VXLAN", in: installedAs(flannel(encapsulation(EncapsulationNone), nodeMTUs(1500, 1500, 1500)),
			nodeMTUs(1500, 1500, 1500)), warnings: []string{
			"spec.mtu: new pods get 1450, and those that are there keep 1500 until they are re-created; until then their packets of more than that may be lost [MTU-CHANGED]",
		}},
		{name: "11 no family comes or goes", in: installedAs(flannel(dual, nodeMTUs(1500, 1500, 1500)), dual, nodeMTUs(1500, 1500, 1500))},
		{name: "18 a Service range too large for an old API server", in: cilium(cluster(func(s *facts.Snapshot) { s.KubernetesVersion = "v1.33.4" }), pinned(PinnedFacts{ServiceCIDRs: []string{"10.96.0.0/11"}})), errors: []string{
			`spec.cluster.serviceCIDRs[0]: Invalid value: "10.96.0.0/11": is larger than /12, and an API server before 1.34 takes no such range: write its --service-cluster-ip-range, or remove it to have the ranges discovered [SERVICE-RANGE-SIZE]`,
		}},
		{name: "18 such a range for a new API server", in: cilium(pinned(PinnedFacts{ServiceCIDRs: []string{"10.96.0.0/11"}}))},
		{name: "18 a Service range too large for any", in: cilium(dual, pinned(PinnedFacts{ServiceCIDRs: []string{"10.96.0.0/12", "fd00:10:96::/63"}})), errors: []string{
			`spec.cluster.serviceCIDRs[1]: Invalid value: "fd00:10:96::/63": is larger than /64, and the API server takes no such range: write its --service-cluster-ip-range, or remove it to have the ranges discovered [SERVICE-RANGE-SIZE]`,
		}},
		{name: "18 a Service range too small", in: cilium(pinned(PinnedFacts{ServiceCIDRs: []string{"10.96.0.0/30"}})), errors: []string{
			`spec.cluster.serviceCIDRs[0]: Invalid value: "10.96.0.0/30": has fewer than 8 addresses, and the API server takes no such range: write its --service-cluster-ip-range, or remove it to have the ranges discovered [SERVICE-RANGE-SIZE]`,
		}},
		{name: "08 families differ", in: cilium(onlyIPv6, cluster(func(s *facts.Snapshot) {
			s.ServiceCIDRs = prefixes("10.96.0.0/12")
		})), errors: []string{
			`spec.ipPools: Invalid value: "IPv6": pods are IPv6 but Services are IPv4: make the families of the pods those of the Services [FAMILY-SERVICES-DIFFER]`,
		}},
		{name: "09 pods dual-stack, Services not", in: cilium(dual, cluster(func(s *facts.Snapshot) { s.ServiceCIDRs = s.ServiceCIDRs[:1] })), errors: []string{
			`spec.ipPools: Invalid value: "IPv4, IPv6": the API server has no IPv6 Service range: add one to --service-cluster-ip-range of kube-apiserver and kube-controller-manager, which the operator cannot, or remove IPv6 [FAMILY-WITHOUT-SERVICES]`,
		}},
		{name: "10 primary families differ", in: cilium(dual, spec(func(s *NetworkStackSpec) { s.IPFamilies = []IPFamily{IPv6, IPv4} })), errors: []string{
			`spec.ipFamilies: Invalid value: "IPv6, IPv4": the primary family of pods is IPv6 but that of Services is IPv4: put IPv4 first [FAMILY-ORDER]`,
		}},
		{name: "10 primary family follows the pools", in: cilium(dual, cidrs("fd00:10:244::/56", "10.244.0.0/16")), errors: []string{
			`spec.ipPools: Invalid value: "IPv6, IPv4": the primary family of pods is IPv6 but that of Services is IPv4: put IPv4 first [FAMILY-ORDER]`,
		}},
		{name: "10 primary family known from the Service alone", in: cilium(dual, cluster(func(s *facts.Snapshot) { s.ServiceCIDRs = nil }),
			spec(func(s *NetworkStackSpec) { s.IPFamilies = []IPFamily{IPv6, IPv4} })), errors: []string{
			`spec.ipFamilies: Invalid value: "IPv6, IPv4": the primary family of pods is IPv6 but that of Services is IPv4: put IPv4 first [FAMILY-ORDER]`,
		}},
		{name: "10 a pool's family is not listed", in: cilium(spec(func(s *NetworkStackSpec) {
			s.IPFamilies = []IPFamily{IPv4}
			s.IPPools[0].CIDRs = []string{"10.244.0.0/16", "fd00:10:244::/56"}
		})), errors: []string{
			`spec.ipPools[0].cidrs[1]: Invalid value: "fd00:10:244::/56": is IPv6, which ipFamilies does not list: add IPv6 to ipFamilies, or remove the CIDR [FAMILY-NOT-LISTED]`,
		}},
		{name: "10 a family twice", in: cilium(spec(func(s *NetworkStackSpec) { s.IPFamilies = []IPFamily{IPv4, IPv4} })), errors: []string{
			`spec.ipFamilies[1]: Duplicate value: "IPv4": list IPv4, IPv6, or both once [FAMILY-TWICE]`,
		}},
		{name: "10 a family has no pool", in: cilium(cluster(makeDual), spec(func(s *NetworkStackSpec) { s.IPFamilies = []IPFamily{IPv4, IPv6} })), errors: []string{
			`spec.ipPools: Invalid value: "IPv4, IPv6": no pool has an IPv6 CIDR: add one, or remove IPv6 from ipFamilies [FAMILY-WITHOUT-POOL]`,
		}},
		{name: "families: nodes have the other order", in: cilium(dual, cluster(func(s *facts.Snapshot) { slices.Reverse(s.Nodes[1].InternalIPs); slices.Reverse(s.Nodes[2].PodCIDRs) })), warnings: []string{
			"spec.ipPools: the primary family is IPv4, and the first InternalIP of node n2 is of the other, which pods there take for theirs: list the families in --node-ip of the kubelet in the same order [FAMILY-NODE-ORDER]",
		}},
		{name: "families: nodes' ranges have the other order", in: flannel(dual, nodeMTUs(1500, 1500, 1500), cluster(func(s *facts.Snapshot) { slices.Reverse(s.Nodes[1].PodCIDRs); slices.Reverse(s.Nodes[2].PodCIDRs) })), warnings: []string{
			"spec.ipPools: the primary family is IPv4, and the first of spec.podCIDRs of nodes n2 and n3 is of the other: list the families in --cluster-cidr of kube-controller-manager in the same order, and register such nodes anew [FAMILY-NODE-ORDER]",
		}},
		{name: "families: a node lacks an address", in: cilium(dual, cluster(func(s *facts.Snapshot) {
			s.Nodes = append(s.Nodes, s.Nodes[0], s.Nodes[0])
			for i, name := range []string{"n1", "n2", "n3", "n4", "n5"} {
				s.Nodes[i].Name, s.Nodes[i].InternalIPs = name, s.Nodes[i].InternalIPs[:1]
			}
		})), errors: []string{
			`spec.ipPools: Invalid value: "IPv4, IPv6": nodes n1, n2, n3 and 2 more have no IPv6 InternalIP: give the kubelet both addresses with --node-ip, or remove IPv6 [FAMILY-NODE-LACKS]`,
		}},
		{name: "families: a node reports no address yet", in: cilium(cluster(func(s *facts.Snapshot) { s.Nodes[2].InternalIPs = nil })), warnings: []string{
			"spec.ipFamilies: node n3 reports no InternalIP yet: whether all families are there could not be checked [FAMILY-NODE-PENDING]",
		}},
		{name: "families: nothing says which", in: cilium(noPools, cluster(func(s *facts.Snapshot) { *s = facts.Snapshot{KubernetesVersion: "v1.36.3"} })), errors: []string{
			"spec.ipFamilies: Required value: neither pools, Service ranges nor nodes say which IP families the cluster has: list IPv4, IPv6, or both [FAMILY-UNKNOWN]",
		}, warnings: []string{
			"spec.kubeProxy.mode: Unmanaged, and no kube-proxy was found: Services work only if something else programs them (k3s and RKE2 run kube-proxy outside of pods) [PROXY-NONE-FOUND]",
		}},
		{name: "55 Windows with dual-stack overlay", in: cilium(dual, cluster(func(s *facts.Snapshot) { s.Nodes[2].OS = "windows" })), errors: []string{
			`spec.ipPools: Invalid value: "IPv4, IPv6": node n3 runs Windows, whose overlay networks are single-stack: remove a family, or set cni.encapsulation to None [WINDOWS-DUAL-STACK]`,
		}, warnings: []string{
			"spec.cni.type: node n3 runs Windows; Cilium is installed on Linux nodes only [WINDOWS-NODES]",
		}},
		{name: "54 Windows with one family", in: flannel(cluster(func(s *facts.Snapshot) { s.Nodes[2].OS = "windows" })), warnings: []string{
			"spec.cni.type: node n3 runs Windows; Flannel is installed on Linux nodes only [WINDOWS-NODES]",
		}},
		{name: "pinned Service range without the Service", in: cilium(pinned(PinnedFacts{ServiceCIDRs: []string{"10.43.0.0/16"}})), warnings: []string{
			"spec.cluster.serviceCIDRs: the Service default/kubernetes has 10.96.0.1, which is in none of these ranges: check them [SERVICE-RANGE-WRONG]",
		}},
	}
}

func mtu(n int32) func(*Input) { return func(in *Input) { in.Stack.Spec.MTU = n } }

func nodeMTUs(sizes ...int) func(*Input) {
	return func(in *Input) {
		for i, m := range sizes {
			in.Facts.Nodes[i].MTU = m
		}
	}
}

func mtuFindings() []finding {
	onAzure := cluster(func(s *facts.Snapshot) { s.Cloud = facts.CloudAzure })
	const azureMTU = "spec.mtu: the nodes run on Azure, whose network carries 1400 bytes in one piece whatever the interfaces say, and WireGuard's packets may be larger: state cluster.nodeMTU: 1400, or a smaller mtu [MTU-AZURE]"
	// changed is a network plugin that is there as it was composed before the edits, on nodes of 1500 bytes.
	changed := func(cni CNIType, before func(*Input), after ...func(*Input)) Input {
		nodes := nodeMTUs(1500, 1500, 1500)
		if before == nil {
			before = nodes
		}
		in := input(cni, append([]func(*Input){nodes}, after...)...)
		in.Existing = map[string]NetworkComponentSpec{}
		for _, r := range Compose(input(cni, before)).Releases {
			in.Existing[r.Name] = r.Spec
		}
		return in
	}
	return []finding{
		{name: "20 below 576", in: cilium(mtu(500)), errors: []string{
			"spec.mtu: Invalid value: 500: must be from 576 to 65520, or 0 to have it derived [MTU-RANGE]",
		}},
		{name: "20 above 65520", in: cilium(mtu(65521)), errors: []string{
			"spec.mtu: Invalid value: 65521: must be from 576 to 65520, or 0 to have it derived [MTU-RANGE]",
		}},
		{name: "20 below 1280 with IPv6 listed", in: cilium(dual, mtu(1200), spec(func(s *NetworkStackSpec) { s.IPFamilies = []IPFamily{IPv4, IPv6} })), errors: []string{
			"spec.mtu: Invalid value: 1200: IPv6 needs an MTU of at least 1280: raise mtu, or remove IPv6 from ipFamilies [MTU-BELOW-IPV6]",
		}},
		{name: "20 below 1280 with IPv6", in: cilium(dual, mtu(1200)), errors: []string{
			"spec.mtu: Invalid value: 1200: IPv6 needs an MTU of at least 1280: raise mtu, or remove IPv6 from ipFamilies [MTU-BELOW-IPV6]",
		}},
		{name: "20 derived below 1280 with IPv6", in: cilium(dual, nodeMTUs(1500, 1300, 1500)), errors: []string{
			"spec.mtu: Invalid value: 0: derived: 1300 of node n2 less 50 (VXLAN) leaves 1250, but IPv6 needs 1280: raise the nodes' MTU to 1330, or choose less encapsulation and encryption [MTU-NODES-TOO-SMALL]",
		}},
		{name: "20 node MTU out of range", in: cilium(pinned(PinnedFacts{NodeMTU: 100})), errors: []string{
			"spec.cluster.nodeMTU: Invalid value: 100: must be from 576 to 65536 [MTU-NODE-RANGE]",
		}},
		{name: "21 too high for VXLAN", in: cilium(mtu(1480), nodeMTUs(1500, 9000, 0)), errors: []string{
			"spec.mtu: Invalid value: 1480: 1480 + 50 (VXLAN) exceeds 1500 of node n1; the maximum is 1450: lower mtu, or set it to 0 to have it derived [MTU-EXCEEDS-NODES]",
		}},
		{name: "21 too high for the pinned node MTU", in: cilium(mtu(1480), nodeMTUs(9000, 9000, 9000), pinned(PinnedFacts{NodeMTU: 1500})), errors: []string{
			"spec.mtu: Invalid value: 1480: 1480 + 50 (VXLAN) exceeds 1500 of spec.cluster.nodeMTU; the maximum is 1450: lower mtu, or set it to 0 to have it derived [MTU-EXCEEDS-NODES]",
		}},
		{name: "21 just fits", in: cilium(mtu(1450), nodeMTUs(1500, 1500, 1500))},
		{name: "23 too high for encryption", in: cilium(mtu(1450), encryption(EncryptionWireGuard), nodeMTUs(1500, 1500, 1500)), errors: []string{
			"spec.mtu: Invalid value: 1450: 1450 + 145 (VXLAN 50, WireGuard 95) exceeds 1500 of node n1; the maximum is 1355: lower mtu, or set it to 0 to have it derived [MTU-EXCEEDS-NODES]",
		}},
		{name: "23 no MTU is low enough", in: cilium(dual, mtu(1300), encryption(EncryptionWireGuard), nodeMTUs(1400, 1400, 1400)), errors: []string{
			"spec.mtu: Invalid value: 1300: 1300 + 145 (VXLAN 50, WireGuard 95) exceeds 1400 of node n1; the maximum is 1255, which is less than the 1280 that IPv6 needs: raise the nodes' MTU, or choose less encapsulation and encryption [MTU-EXCEEDS-NODES]",
		}},
		{name: "45 WireGuard on Azure", in: cilium(onAzure, encryption(EncryptionWireGuard), nodeMTUs(1500, 1500, 1500)), warnings: []string{azureMTU}},
		{name: "45 WireGuard on Azure, of nodes that do not say", in: calico(onAzure, encryption(EncryptionWireGuard)), warnings: []string{azureMTU}},
		{name: "45 WireGuard on Azure with 1400", in: calico(onAzure, encryption(EncryptionWireGuard), pinned(PinnedFacts{NodeMTU: 1400}))},
		{name: "45 WireGuard on Azure with what leaves room", in: calico(onAzure, encryption(EncryptionWireGuard), mtu(1340))},
		{name: "45 no encryption on Azure", in: cilium(onAzure, nodeMTUs(1500, 1500, 1500))},
		{name: "22 Calico with a smaller MTU", in: changed(CNICalico, nil, mtu(1400)), warnings: []string{
			"spec.mtu: new pods get 1400, and those that are there keep 1450 until they are re-created; until then their packets of more than that may be lost [MTU-CHANGED]",
		}},
		{name: "22 Flannel with WireGuard", in: changed(CNIFlannel, nil, encryption(EncryptionWireGuard)), warnings: []string{
			"spec.mtu: new pods get 1420, and those that are there keep 1450 until they are re-created; until then their packets of more than that may be lost [MTU-CHANGED]",
			"spec.cni.encryption.type: flanneld leaves the routes between the nodes there are, which go before WireGuard's: pods' packets go unencrypted until, when all agents are new, " +
				"ip route show root 10.244.0.0/16 proto boot | grep ' via ' | while read -r net rest; do ip route delete $net; done on each node; or restart the nodes [FLANNEL-WIREGUARD-ROUTES]",
		}},
		{name: "22 Flannel without encapsulation", in: changed(CNIFlannel, nil, encapsulation(EncapsulationNone)), warnings: []string{
			"spec.mtu: new pods get 1500, and those that are there keep 1450 until they are re-created; until then they do with less than they could, and nodes let no pod have more in one piece than their bridge cni0 did before: ip link set dev cni0 mtu 1500 on each, or restart it [MTU-CHANGED]",
		}},
		{name: "22 Flannel as it was", in: changed(CNIFlannel, nil)},
		{name: "22 Flannel that has found it out", in: changed(CNIFlannel, nodeMTUs(0, 0, 0))},
		{name: "22 Cilium, which changes what there is", in: changed(CNICilium, nil, mtu(1400))},
		{name: "mtu with an external CNI", in: external(mtu(1400)), warnings: []string{
			"spec.mtu: has no effect: an external CNI has its own MTU [MTU-NO-EFFECT]",
		}},
		{name: "mtu with Flannel host-gw, unknown nodes", in: flannel(mtu(1400), encapsulation(EncapsulationNone)), errors: []string{
			"spec.mtu: Invalid value: 1400: Flannel with encapsulation None gives pods the MTU of the node's interface and cannot change it: remove mtu, or set encapsulation to VXLAN [MTU-FLANNEL-HOST-GW]",
		}},
		{name: "mtu with Flannel host-gw, other than the nodes'", in: flannel(mtu(1400), encapsulation(EncapsulationNone), nodeMTUs(1500, 1500, 1500)), errors: []string{
			"spec.mtu: Invalid value: 1400: Flannel with encapsulation None gives pods the MTU of the node's interface (1500 of node n1) and cannot change it: remove mtu, or set encapsulation to VXLAN [MTU-FLANNEL-HOST-GW]",
		}},
		{name: "mtu with Flannel host-gw, the nodes' own", in: flannel(mtu(1500), encapsulation(EncapsulationNone), nodeMTUs(1500, 1500, 1500))},
		{name: "mtu unknown with Flannel's IPv6 tunnel", in: flannel(dual), warnings: []string{
			"spec.mtu: Flannel detects the nodes' MTU but reserves only 50 bytes where VXLAN over IPv6 takes 70: state cluster.nodeMTU [MTU-FLANNEL-IPV6]",
		}},
	}
}
