package compose

import (
	"fmt"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
	ippools "github.com/networkstack/networkstack/internal/pools"
)

// calicoBlock edits the union's block for Calico.
func calicoBlock(c CalicoSpec) func(*Input) { return func(in *Input) { in.Stack.Spec.CNI.Calico = &c } }

// firstPool edits the first pool.
func firstPool(edit func(*IPPool)) func(*Input) {
	return func(in *Input) { edit(&in.Stack.Spec.IPPools[0]) }
}

// secondPool adds a pool.
func secondPool(p IPPool) func(*Input) {
	return func(in *Input) { in.Stack.Spec.IPPools = append(in.Stack.Spec.IPPools, p) }
}

// calicoWas lets the component have what another input came to, with its agents running.
func calicoWas(before Input, image string) func(*Input) {
	return func(in *Input) {
		in.Existing = map[string]NetworkComponentSpec{}
		for _, r := range Compose(before).Releases {
			in.Existing[r.Name] = r.Spec
		}
		in.Facts.Installed = append(in.Facts.Installed, facts.Installed{
			Type: facts.InstalledCalico, Namespace: "calico-system", Name: "calico-node", Image: image, Source: "unknown",
		})
	}
}

// given lets the network plugin's books be known.
func given(list ...ippools.Allocation) func(*Input) {
	return cluster(func(s *facts.Snapshot) { s.Allocations = facts.Allocations{Known: true, List: list} })
}

// calicoBlockOf is one of Calico's, of which pods have so many addresses.
func calicoBlockOf(cidr, node string, used int64) ippools.Allocation {
	return ippools.Allocation{Range: netip.MustParsePrefix(cidr), Node: node, Block: true, Used: used}
}

// nodeRange is one that Cilium gave to a node.
func nodeRange(cidr, node string) ippools.Allocation {
	return ippools.Allocation{Range: netip.MustParsePrefix(cidr), Node: node}
}

const calicoImage = "quay.io/calico/node:v3.33.1"

// proxyIn is a kube-proxy in a mode that was read.
func proxyIn(mode string) func(*Input) {
	return cluster(func(s *facts.Snapshot) { s.Installed[0].Mode = mode })
}

func calicoFindings() []finding {
	kubeadmSays := func(subnets ...string) func(*Input) {
		return cluster(func(s *facts.Snapshot) { s.Kubeadm, s.PodSubnets = true, prefixes(subnets...) })
	}
	kernels := func(k string) func(*Input) {
		return cluster(func(s *facts.Snapshot) {
			for i := range s.Nodes {
				s.Nodes[i].KernelVersion = k
			}
		})
	}
	version := func(v string) func(*Input) { return func(in *Input) { in.Stack.Spec.CNI.Version = v } }
	before := func(edits ...func(*Input)) func(*Input) { return calicoWas(calico(edits...), calicoImage) }
	old := secondPool(IPPool{Name: "old", CIDRs: []string{"10.245.0.0/16"}, Disabled: true})
	many := func(in *Input) {
		in.Stack.Spec.IPPools = nil
		for i := range 4 {
			p := IPPool{Name: fmt.Sprintf("p%d", i)}
			for j := range 7 {
				p.CIDRs = append(p.CIDRs, fmt.Sprintf("10.%d.0.0/16", 120+i*7+j))
			}
			in.Stack.Spec.IPPools = append(in.Stack.Spec.IPPools, p)
		}
	}
	return []finding{
		{name: "calico: nothing to say", in: calico()},
		{name: "calico: dual-stack", in: calico(dual, calicoBlock(CalicoSpec{BGP: Enabled}))},
		{name: "calico: its own once it runs", in: calico(before())},
		{name: "calico: all there is to a pool", in: calico(firstPool(func(p *IPPool) {
			p.BlockSizes = &BlockSizes{IPv4: ptr[int32](24)}
			p.Encapsulation, p.BGPExport, p.NATOutgoing = EncapsulationIPIPCrossSubnet, Disabled, Disabled
		}))},
		{name: "calico: block for another type", in: cilium(calicoBlock(CalicoSpec{BGP: Enabled})), errors: []string{
			"spec.cni.calico: Forbidden: is read only with type Calico: remove it, or set type to Calico [CALICO-BLOCK]",
		}},
		{name: "calico: settings of pools for another type", in: flannel(firstPool(func(p *IPPool) {
			p.BlockSizes, p.NodeSelector = &BlockSizes{}, &metav1.LabelSelector{}
			p.Encapsulation, p.BGPExport, p.Disabled, p.OnRequest = EncapsulationNone, Enabled, true, true
		})), errors: []string{
			"spec.ipPools[0].blockSizes: Forbidden: is a setting of Calico's pools, and cni.type is Flannel: remove it, or set cni.type to Calico [CALICO-POOL-FIELD]",
			"spec.ipPools[0].encapsulation: Forbidden: is a setting of Calico's pools, and cni.type is Flannel: remove it, or set cni.type to Calico [CALICO-POOL-FIELD]",
			"spec.ipPools[0].nodeSelector: Forbidden: is a setting of Calico's pools, and cni.type is Flannel: remove it, or set cni.type to Calico [CALICO-POOL-FIELD]",
			"spec.ipPools[0].onRequest: Forbidden: is a setting of Calico's pools, and cni.type is Flannel: remove it, or set cni.type to Calico [CALICO-POOL-FIELD]",
			"spec.ipPools[0].bgpExport: Forbidden: is a setting of Calico's pools, and cni.type is Flannel: remove it, or set cni.type to Calico [CALICO-POOL-FIELD]",
			"spec.ipPools[0].disabled: Forbidden: is a setting of Calico's pools, and cni.type is Flannel: remove it, or set cni.type to Calico [CALICO-POOL-FIELD]",
		}},
		{name: "calico: its encapsulations for Flannel", in: flannel(encapsulation(EncapsulationIPIP)), errors: []string{
			`spec.cni.encapsulation: Invalid value: "IPIP": Flannel has no such encapsulation, which is Calico's: use VXLAN or None, or type Calico [CALICO-ENCAPSULATION]`,
		}},
		{name: "calico: its encapsulations for Cilium", in: cilium(encapsulation(EncapsulationVXLANCrossSubnet)), errors: []string{
			`spec.cni.encapsulation: Invalid value: "VXLANCrossSubnet": Cilium has no such encapsulation, which is Calico's: use VXLAN or None, or type Calico [CALICO-ENCAPSULATION]`,
		}},
		{name: "calico: Geneve", in: calico(encapsulation(EncapsulationGeneve)), errors: []string{
			`spec.cni.encapsulation: Invalid value: "Geneve": Calico has no Geneve: use VXLAN, IPIP or None, or type Cilium [CALICO-GENEVE]`,
		}},
		{name: "calico: Geneve of a pool", in: calico(firstPool(func(p *IPPool) { p.Encapsulation = EncapsulationGeneve })), errors: []string{
			`spec.ipPools[0].encapsulation: Invalid value: "Geneve": Calico has no Geneve: use VXLAN, IPIP or None [CALICO-GENEVE]`,
		}},
		{name: "calico: IPsec", in: calico(encryption(EncryptionIPsec)), errors: []string{
			`spec.cni.encryption.type: Invalid value: "IPsec": Calico has no IPsec: use WireGuard, or type Cilium [CALICO-IPSEC]`,
		}},
		{name: "calico 26 IPIP and IPv6", in: calico(dual, encapsulation(EncapsulationIPIP)), errors: []string{
			`spec.cni.encapsulation: Invalid value: "IPIP": IPIP carries IPv4 alone, and the pool has fd00:10:244::/56: use VXLAN, or give IPv6 a pool of its own with encapsulation VXLAN or None [CALICO-IPIP-IPV6]`,
		}},
		{name: "calico 26 IPv6 with a pool of its own", in: calico(dual, encapsulation(EncapsulationIPIP), firstPool(func(p *IPPool) { p.CIDRs = p.CIDRs[:1] }),
			secondPool(IPPool{Name: "six", CIDRs: []string{"fd00:10:244::/56"}, Encapsulation: EncapsulationVXLAN}))},
		{name: "calico 25 no BGP for IPIP", in: calico(calicoBlock(CalicoSpec{BGP: Disabled}), encapsulation(EncapsulationIPIPCrossSubnet)), errors: []string{
			`spec.cni.encapsulation: Invalid value: "IPIPCrossSubnet": nodes learn the routes of 10.244.0.0/16 by BGP, which cni.calico.bgp disables: enable it, or use VXLAN or VXLANCrossSubnet [CALICO-BGP-NEEDED]`,
		}},
		{name: "calico 25 no BGP for an unencapsulated pool", in: calico(calicoBlock(CalicoSpec{BGP: Disabled}), secondPool(IPPool{
			Name: "flat", CIDRs: []string{"10.245.0.0/16"}, Encapsulation: EncapsulationNone,
		})), errors: []string{
			`spec.ipPools[1].encapsulation: Invalid value: "None": nodes learn the routes of 10.245.0.0/16 by BGP, which cni.calico.bgp disables: enable it, or use VXLAN or VXLANCrossSubnet [CALICO-BGP-NEEDED]`,
		}},
		{name: "calico 21 BPF beside kube-proxy", in: calico(mode(KubeProxyIPTables), withoutKubeProxy, calicoBlock(CalicoSpec{Dataplane: CalicoBPF})), errors: []string{
			`spec.cni.calico.dataplane: Invalid value: "BPF": BPF programs Services itself, and kubeProxy.mode IPTables has kube-proxy do so as well: set kubeProxy.mode to Replaced, or choose IPTables or NFTables [CALICO-DATAPLANE]`,
		}},
		{name: "calico 21 kube-proxy replaced by nothing", in: calico(mode(KubeProxyReplaced), calicoBlock(CalicoSpec{Dataplane: CalicoNFTables})), errors: []string{
			`spec.cni.calico.dataplane: Invalid value: "NFTables": NFTables does not program Services, and with kubeProxy.mode Replaced nobody else does: use BPF, or remove dataplane [CALICO-DATAPLANE]`,
		}},
		{name: "calico 21 kube-proxy replaced", in: calico(mode(KubeProxyReplaced), calicoBlock(CalicoSpec{Dataplane: CalicoBPF}))},
		{name: "calico 21 kube-proxy replaced, no endpoint", in: calico(mode(KubeProxyReplaced), cluster(func(s *facts.Snapshot) { s.APIServer = Endpoint{} })), errors: []string{
			`spec.cluster.apiServer: Required value: with kubeProxy.mode Replaced the API server must be reachable without any Service, and no address of it was discovered: set cluster.apiServer.host and port to a load balancer, a virtual IP or a node-local proxy [ENDPOINT-UNKNOWN]`,
		}},
		{name: "calico 22 IPIP with BPF", in: calico(mode(KubeProxyReplaced), encapsulation(EncapsulationIPIP)), warnings: []string{
			"spec.cni.encapsulation: IPIP is slower than VXLAN with Calico's data plane BPF, which is made for the latter [CALICO-BPF-IPIP]",
		}},
		{name: "calico 22 BPF and Windows", in: calico(mode(KubeProxyReplaced), cluster(func(s *facts.Snapshot) { s.Nodes[2].OS = "windows" })), errors: []string{
			`spec.cni.calico.dataplane: Invalid value: "BPF": node n3 runs Windows, and Calico's data plane BPF does not work in a cluster with such nodes: choose another kubeProxy.mode, with IPTables or NFTables [CALICO-BPF-WINDOWS]`,
		}, warnings: []string{"spec.cni.type: node n3 runs Windows; Calico is installed on Linux nodes only [WINDOWS-NODES]"}},
		{name: "calico 23 iptables beside nftables", in: calico(mode(KubeProxyNFTables), withoutKubeProxy, calicoBlock(CalicoSpec{Dataplane: CalicoIPTables})), errors: []string{
			`spec.cni.calico.dataplane: Invalid value: "IPTables": Calico and kube-proxy must both use nftables, or neither, and kubeProxy.mode is NFTables: make them agree, or remove dataplane [CALICO-DATAPLANE]`,
		}},
		{name: "calico 23 nftables beside iptables", in: calico(mode(KubeProxyIPTables), withoutKubeProxy, calicoBlock(CalicoSpec{Dataplane: CalicoNFTables})), errors: []string{
			`spec.cni.calico.dataplane: Invalid value: "NFTables": Calico and kube-proxy must both use nftables, or neither, and kubeProxy.mode is IPTables: make them agree, or remove dataplane [CALICO-DATAPLANE]`,
		}},
		{name: "calico 23 both", in: calico(mode(KubeProxyNFTables), withoutKubeProxy)},
		{name: "calico 23 old kernel", in: calico(calicoBlock(CalicoSpec{Dataplane: CalicoNFTables}), kernels("5.10.0-28-amd64")), errors: []string{
			`spec.cni.calico.dataplane: Invalid value: "NFTables": nodes n1, n2 and n3 have at the oldest kernel 5.10.0-28-amd64; NFTables needs 5.13 or newer and Calico does not start without: upgrade the kernel, or choose IPTables [PROXY-NFTABLES-KERNEL]`,
		}},
		{name: "calico old kernel", in: calico(kernels("4.18.0-240.el8_3.x86_64")), warnings: []string{
			"spec.cni.type: nodes n1, n2 and n3 have a kernel older than 5.10 (RHEL 8: 8.4), which Calico is not tested with [CALICO-KERNEL]",
		}},
		{name: "calico RHEL 8.6", in: calico(kernels("4.18.0-372.el8_6.x86_64"))},
		{name: "calico 14 block sizes", in: calico(firstPool(func(p *IPPool) {
			p.BlockSizes = &BlockSizes{IPv4: ptr[int32](18), IPv6: ptr[int32](64)}
		})), errors: []string{
			"spec.ipPools[0].blockSizes.ipv4: Invalid value: 18: must be from 20 to 32; 26 is usual [CALICO-BLOCK-SIZE]",
			"spec.ipPools[0].blockSizes.ipv6: Invalid value: 64: must be from 116 to 128; 122 is usual [CALICO-BLOCK-SIZE]",
		}},
		{name: "calico 14 pool smaller than a block", in: calico(firstPool(func(p *IPPool) {
			p.CIDRs, p.BlockSizes = []string{"10.244.0.0/25"}, &BlockSizes{IPv4: ptr[int32](24)}
		})), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/25": is smaller than one block (/24): use a shorter prefix, or a longer blockSizes.ipv4 [CALICO-POOL-SMALL]`,
		}, warnings: []string{
			"spec.ipPools: the IPv4 pools have 1 blocks and there are 3 nodes: nodes without a block borrow single addresses, each with a route of its own [CALICO-BLOCKS-FEW]",
		}},
		{name: "calico block size without a CIDR", in: calico(firstPool(func(p *IPPool) { p.BlockSizes = &BlockSizes{IPv6: ptr[int32](120)} })), warnings: []string{
			"spec.ipPools[0].blockSizes.ipv6: has no effect: the pool has no IPv6 CIDR [CALICO-BLOCK-NO-EFFECT]",
		}},
		{name: "calico node masks", in: calico(firstPool(func(p *IPPool) { p.NodeMaskSizes = &NodeMaskSizes{IPv4: ptr[int32](24)} })), errors: []string{
			"spec.ipPools[0].nodeMaskSizes: Forbidden: Calico gives nodes blocks as they need them, not one range each: use blockSizes [CALICO-NODE-MASK]",
		}},
		{name: "calico more than 25 CIDRs", in: calico(many), errors: []string{
			"spec.ipPools: Invalid value: 28: Calico takes at most 25 CIDRs in all pools together: use fewer and wider ones [CALICO-POOLS-TOO-MANY]",
		}},
		{name: "calico policies of a kind that is gone", in: calico(cluster(func(s *facts.Snapshot) { s.AdminPolicies, s.AdminPolicyCount = true, 3 })), errors: []string{
			`spec.cni.type: Invalid value: "Calico": AdminNetworkPolicies and BaselineAdminNetworkPolicies, of which there are 3, would silently stop being enforced, because Calico ignores them since 3.32: convert them to ClusterNetworkPolicies, and delete them [CALICO-ADMIN-POLICIES]`,
		}},
		{name: "calico policies of a kind that was never there", in: calico(func(in *Input) {
			in.Facts.AdminPolicies, in.Facts.AdminPolicyCount = true, facts.ManyPolicies
			in.Existing = map[string]NetworkComponentSpec{nameCalico: {Type: string(CNICalico)}}
		}), warnings: []string{
			"spec.cni.type: AdminNetworkPolicies and BaselineAdminNetworkPolicies, of which there are 1000 or more, are not enforced by Calico: convert them to ClusterNetworkPolicies, and delete them [CALICO-ADMIN-POLICIES-IGNORED]",
		}},
		{name: "calico a kind that is gone, and no policies of it", in: calico(cluster(func(s *facts.Snapshot) { s.AdminPolicies = true }))},
		{name: "calico a pool on request", in: calico(secondPool(IPPool{Name: "theirs", CIDRs: []string{"10.245.0.0/16"}, OnRequest: true}))},
		{name: "calico all pools on request", in: calico(firstPool(func(p *IPPool) { p.OnRequest = true }), secondPool(IPPool{Name: "off", CIDRs: []string{"10.245.0.0/16"}, Disabled: true})), errors: []string{
			`spec.ipPools: Invalid value: "IPv4": every pool with an IPv4 CIDR is disabled or onRequest, so pods that name none, and the nodes' own tunnels, get no IPv4 address: let one be for all [CALICO-POOLS-ON-REQUEST]`,
		}},
		{name: "calico all pools disabled", in: calico(firstPool(func(p *IPPool) { p.Disabled = true })), errors: []string{
			`spec.ipPools: Invalid value: "IPv4": every pool with an IPv4 CIDR is disabled, so new pods get no IPv4 address: enable one [CALICO-POOLS-DISABLED]`,
		}},
		{name: "calico every pool selects nodes", in: calico(firstPool(func(p *IPPool) {
			p.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"zone": "a"}}
		})), warnings: []string{
			"spec.ipPools: every pool with an IPv4 CIDR has a nodeSelector: pods on nodes that none selects get no address [CALICO-POOLS-SELECT]",
		}},
		{name: "calico node selector that is none", in: calico(firstPool(func(p *IPPool) {
			p.NodeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "zone", Operator: "Near"}}}
		})), errors: []string{
			`spec.ipPools[0].nodeSelector: Invalid value: "Near" is not a valid label selector operator: write labels and operators as Kubernetes does [CALICO-NODE-SELECTOR]`,
		}},
		{name: "calico no pools", in: calico(noPools), errors: []string{
			"spec.ipPools: Required value: Calico's pools cannot be changed later, and kubeadm's configuration names no networking.podSubnet to take: state at least one pool for each IP family [CALICO-POOLS-MISSING]",
		}},
		{name: "calico kubeadm's range", in: calico(noPools, kubeadmSays("10.244.0.0/16"))},
		{name: "calico inside of kubeadm's range", in: calico(kubeadmSays("10.240.0.0/12"))},
		{name: "calico outside of kubeadm's range", in: calico(kubeadmSays("10.240.0.0/16", "fd00::/48")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/16": lies outside of kubeadm's networking.podSubnet (10.240.0.0/16, fd00::/48), which the tigera-operator refuses: use a range inside, or correct kube-system/kubeadm-config [CALICO-KUBEADM-RANGE]`,
		}},
		{name: "calico wider than kubeadm's range", in: calico(kubeadmSays("10.244.0.0/17")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/16": lies outside of kubeadm's networking.podSubnet (10.244.0.0/17), which the tigera-operator refuses: use a range inside, or correct kube-system/kubeadm-config [CALICO-KUBEADM-RANGE]`,
		}},
		{name: "calico kubeadm without a range", in: calico(kubeadmSays()), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/16": kubeadm's configuration (kube-system/kubeadm-config) has no networking.podSubnet, without which the tigera-operator makes no pool: add it there [CALICO-KUBEADM-RANGE]`,
		}},
		{name: "calico outside of kubeadm's range later", in: calico(before(), kubeadmSays("10.240.0.0/16"))},
		{name: "calico block size changed", in: calico(before(), firstPool(func(p *IPPool) { p.BlockSizes = &BlockSizes{IPv4: ptr[int32](24)} })), errors: []string{
			"spec.ipPools[0].blockSizes.ipv4: Invalid value: 24: Calico's pool 10.244.0.0/16 has blocks of /26, which cannot be changed: restore it, or give new pods another CIDR and disable this one [CALICO-BLOCK-CHANGED]",
		}},
		{name: "calico pool removed", in: calico(before(secondPool(poolOf("old", "10.245.0.0/16", "10.246.0.0/16")))), errors: []string{
			"spec.ipPools: Forbidden: 10.245.0.0/16, 10.246.0.0/16 of Calico would be deleted with pods that have addresses of it: restore it, set disabled, re-create its pods, and remove it then [CALICO-POOL-IN-USE]",
		}},
		{name: "calico pool with pods removed", in: calico(before(secondPool(poolOf("old", "10.245.0.0/16"))), given(calicoBlockOf("10.245.0.0/26", "n2", 3))), errors: []string{
			"spec.ipPools: Forbidden: 10.245.0.0/16 (addresses in use: 3, on node n2) of Calico would be deleted with pods that have addresses of it: restore it, set disabled, re-create its pods, and remove it then [CALICO-POOL-IN-USE]",
		}},
		{name: "calico disabled pool with pods removed", in: calico(before(old), given(
			calicoBlockOf("10.245.0.0/26", "n2", 3), calicoBlockOf("10.245.0.64/26", "n1", 64), calicoBlockOf("10.244.0.0/26", "n3", 9), calicoBlockOf("10.245.0.128/26", "n3", 0),
		)), errors: []string{
			"spec.ipPools: Forbidden: 10.245.0.0/16 (addresses in use: 67, on nodes n1 and n2) of Calico is disabled but not drained: restore it, re-create the pods that have addresses of it, and remove it then [CALICO-POOL-IN-USE]",
		}},
		{name: "calico disabled pool with borrowed addresses removed", in: calico(before(old), given(calicoBlockOf("10.245.0.0/26", "", 1))), errors: []string{
			"spec.ipPools: Forbidden: 10.245.0.0/16 (addresses in use: 1) of Calico is disabled but not drained: restore it, re-create the pods that have addresses of it, and remove it then [CALICO-POOL-IN-USE]",
		}},
		{name: "calico disabled pool removed, nobody knows", in: calico(before(old)), errors: []string{
			"spec.ipPools: Forbidden: whether pods have addresses of 10.245.0.0/16 is not known yet, so it cannot be removed: wait, and it is looked at again; or restore it [POOL-USE-UNKNOWN]",
		}},
		{name: "calico disabled pool removed", in: calico(before(old), given(calicoBlockOf("10.245.0.0/26", "n2", 0), calicoBlockOf("10.244.0.0/26", "n3", 9))), warnings: []string{
			"spec.ipPools: 10.245.0.0/16 goes away; no pod has an address of it [CALICO-POOL-REMOVED]",
		}},
		{name: "calico foreign", in: calico(cluster(func(s *facts.Snapshot) {
			s.Installed = append(s.Installed, facts.Installed{Type: facts.InstalledCalico, Namespace: "calico-system", Name: "calico-node", Source: "unknown"})
		}), func(in *Input) { in.Stack.Spec.Adoption = AdoptionAdopt }), errors: []string{
			`spec.cni.type: Invalid value: "Calico": DaemonSet calico-system/calico-node is Calico already, made by somebody unknown, and taking over a Calico is not supported: set cni.type to External to leave it there, or remove it first [CALICO-FOREIGN]`,
		}},
		{name: "calico of a manifest beside ours", in: calico(before(), cluster(func(s *facts.Snapshot) {
			s.Installed = append(s.Installed, facts.Installed{Type: facts.InstalledCalico, Namespace: "kube-system", Name: "calico-node", Source: "kubectl"})
		})), errors: []string{
			`spec.cni.type: Invalid value: "Calico": DaemonSet kube-system/calico-node is Calico already, made by kubectl, and taking over a Calico is not supported: set cni.type to External to leave it there, or remove it first [CALICO-FOREIGN]`,
		}},
		{name: "calico beside a kube-proxy in nftables mode", in: calico(proxyIn("nftables"))},
		{name: "calico's iptables beside a kube-proxy in nftables mode", in: calico(proxyIn("nftables"), calicoBlock(CalicoSpec{Dataplane: CalicoIPTables})), errors: []string{
			`spec.cni.calico.dataplane: Invalid value: "IPTables": Calico and kube-proxy must both use nftables, or neither, and the kube-proxy that is there is in mode NFTables: change it where it is managed, or remove dataplane [CALICO-FOUND-PROXY]`,
		}},
		{name: "calico's nftables beside a kube-proxy in ipvs mode", in: calico(proxyIn("ipvs"), calicoBlock(CalicoSpec{Dataplane: CalicoNFTables})), errors: []string{
			`spec.cni.calico.dataplane: Invalid value: "NFTables": Calico and kube-proxy must both use nftables, or neither, and the kube-proxy that is there is in mode IPVS: change it where it is managed, or remove dataplane [CALICO-FOUND-PROXY]`,
		}},
		{name: "calico's nftables beside a kube-proxy whose mode is not known", in: calico(calicoBlock(CalicoSpec{Dataplane: CalicoNFTables}))},
		{name: "calico two minors up", in: calico(calicoWas(calico(), "quay.io/calico/node:v3.31.7"))},
		{name: "calico three minors up", in: calico(calicoWas(calico(), "quay.io/calico/node:v3.30.2")), errors: []string{
			`spec.cni.version: Invalid value: "3.33.1": Calico 3.30 → 3.33 is more than one upgrade may skip: go to 3.32.1 first [CALICO-MINORS-SKIPPED]`,
		}},
		{name: "calico another major", in: calico(calicoWas(calico(), "quay.io/calico/node:v4.0.0")), errors: []string{
			`spec.cni.version: Invalid value: "3.33.1": Calico 4.0.0 → 3.33.1 changes the major version: stay within 4 [CALICO-MAJOR]`,
		}},
		{name: "calico many minors up to 3.32", in: calico(calicoWas(calico(), "quay.io/calico/node:v3.27.0"), version("3.32.1")), warnings: []string{
			"spec.cni.version: Calico 3.32.1 is known, but was not tested with this operator, and the catalogue has no digest to check its chart against: state chart.digest [VERSION-UNVERIFIED]",
		}},
		{name: "calico too old for 3.32", in: calico(calicoWas(calico(), "quay.io/calico/node:v3.14.0"), version("3.32.1")), errors: []string{
			`spec.cni.version: Invalid value: "3.32.1": Calico 3.14 → 3.32 is more than one upgrade may skip: use a version of 3.14 [CALICO-MINORS-SKIPPED]`,
		}, warnings: []string{
			"spec.cni.version: Calico 3.32.1 is known, but was not tested with this operator, and the catalogue has no digest to check its chart against: state chart.digest [VERSION-UNVERIFIED]",
		}},
		{name: "calico before its definitions moved", in: calico(version("3.31.7")), errors: []string{
			`spec.cni.version: Invalid value: "3.31.7": Calico has its definitions in a chart of their own since 3.32, and older ones are not supported: use 3.32.0 or newer [CALICO-OLD]`,
		}, warnings: []string{
			"spec.cni.version: Calico 3.31.7 is not in the catalogue (3.33.1, 3.32.1): it was not tested with this operator and its chart is not checked against a digest [VERSION-UNKNOWN]",
		}},
		{name: "calico one minor down", in: calico(before(), version("3.32.1")), errors: []string{
			`spec.cni.version: Invalid value: "3.32.1": Calico 3.33 → 3.32 goes down further than is supported: use a version of 3.33 [CALICO-DOWNGRADE]`,
		}, warnings: []string{
			"spec.cni.version: Calico 3.32.1 is known, but was not tested with this operator, and the catalogue has no digest to check its chart against: state chart.digest [VERSION-UNVERIFIED]",
		}},
		{name: "calico controlled values", in: calico(values(map[string]any{
			"manageCRDs": true, "installation": map[string]any{"registry": "example.com/", "calicoNetwork": map[string]any{"mtu": 1400, "hostPorts": "Disabled"}},
			"defaultFelixConfiguration": map[string]any{"bpfEnabled": true, "vxlanVNI": 10000},
		})), errors: []string{
			"spec.cni.values: Forbidden: values.defaultFelixConfiguration.bpfEnabled is controlled by spec.cni.calico.dataplane; remove it [VALUES-CONTROLLED]",
			"spec.cni.values: Forbidden: values.installation.calicoNetwork.mtu is controlled by spec.mtu; remove it [VALUES-CONTROLLED]",
			"spec.cni.values: Forbidden: values.manageCRDs is controlled by spec.cni.type; remove it [VALUES-CONTROLLED]",
		}},
		{name: "calico IPv6 below its smallest MTU", in: calico(dual, encryption(EncryptionWireGuard), pinned(PinnedFacts{NodeMTU: 1350})), errors: []string{
			"spec.mtu: Invalid value: 0: derived: 1350 of spec.cluster.nodeMTU less 80 (WireGuard over IPv6) leaves 1270, but IPv6 needs 1280: raise the nodes' MTU to 1360, or choose less encapsulation and encryption [MTU-NODES-TOO-SMALL]",
		}},
		{name: "calico an enum", in: calico(calicoBlock(CalicoSpec{Dataplane: "VPP", BGP: "On"}), firstPool(func(p *IPPool) { p.BGPExport = "No" })), errors: []string{
			`spec.ipPools[0].bgpExport: Unsupported value: "No": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
			`spec.cni.calico.dataplane: Unsupported value: "VPP": supported values: "IPTables", "NFTables", "BPF" [STACK-UNKNOWN-VALUE]`,
			`spec.cni.calico.bgp: Unsupported value: "On": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
		}},
	}
}
