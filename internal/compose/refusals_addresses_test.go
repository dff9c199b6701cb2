package compose

import (
	"net/netip"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

func cidrs(texts ...string) func(*Input) {
	return func(in *Input) { in.Stack.Spec.IPPools = []IPPool{poolOf("default", texts...)} }
}

func pools(p ...IPPool) func(*Input) {
	return func(in *Input) { in.Stack.Spec.IPPools = p }
}

func noPools(in *Input) { in.Stack.Spec.IPPools = nil }

// moreServices adds a range of Services as an object.
func moreServices(s *facts.Snapshot) {
	s.MoreServiceCIDRs = []facts.ServiceRange{{Prefix: netip.MustParsePrefix("10.244.8.0/22"), Source: "ServiceCIDR/more"}}
}

func addressFindings() []finding {
	masks := func(v4, v6 int32) *NodeMaskSizes {
		m := &NodeMaskSizes{}
		if v4 != 0 {
			m.IPv4 = &v4
		}
		if v6 != 0 {
			m.IPv6 = &v6
		}
		return m
	}
	return []finding{
		{name: "00 a plain Cilium stack", in: cilium()},
		{name: "00 a plain Flannel stack", in: flannel()},
		{name: "00 a plain external CNI", in: external()},
		{name: "02 host bits", in: cilium(cidrs("10.244.0.5/16")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.5/16": has host bits set; did you mean "10.244.0.0/16"? [CIDR-FORM]`,
		}},
		{name: "02 leading zeros", in: cilium(cidrs("010.244.0.0/16")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "010.244.0.0/16": has leading zeros; did you mean "10.244.0.0/16"? [CIDR-FORM]`,
		}},
		{name: "02 no prefix length", in: cilium(cidrs("10.244.0.0")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0": has no prefix length: write a CIDR such as 10.244.0.0/16 [CIDR-FORM]`,
		}},
		{name: "02 IPv4 written as IPv6", in: cilium(cidrs("::ffff:10.244.0.0/112")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "::ffff:10.244.0.0/112": is an IPv4 range written as IPv6; did you mean "10.244.0.0/16"? [CIDR-FORM]`,
		}},
		{name: "02 not a CIDR", in: cilium(cidrs("pods")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "pods": is not a CIDR: write an address and a prefix length, such as 10.244.0.0/16 [CIDR-FORM]`,
		}},
		{name: "03 two Service ranges of one family", in: cilium(pinned(PinnedFacts{ServiceCIDRs: []string{"10.96.0.0/12", "10.200.0.0/16"}})), errors: []string{
			`spec.cluster.serviceCIDRs[1]: Invalid value: "10.200.0.0/16": there is an IPv4 range already; list at most one IPv4 and one IPv6 range [SERVICE-RANGE-TWICE]`,
		}},
		{name: "05 pool overlaps Services", in: cilium(cidrs("10.96.0.0/16")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.96.0.0/16": overlaps the Service range 10.96.0.0/12 (ServiceCIDR/kubernetes): choose another range [POOL-OVERLAPS-SERVICES]`,
		}},
		{name: "05 pool overlaps Services that were added", in: cilium(cluster(moreServices)), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/16": overlaps the Service range 10.244.8.0/22 (ServiceCIDR/more): choose another range [POOL-OVERLAPS-SERVICES]`,
		}},
		{name: "05 pool beside Services that were added", in: cilium(cluster(moreServices), cidrs("10.245.0.0/16"))},
		{name: "05 the API server's address among Services that were added", in: cilium(cluster(moreServices), cidrs("10.245.0.0/16"),
			pinned(PinnedFacts{APIServer: &Endpoint{Host: "10.244.8.1"}})), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "10.244.8.1": lies in the Service range 10.244.8.0/22 (ServiceCIDR/more) and will vanish with kube-proxy; give the real endpoint: a load balancer, a virtual IP or a node-local proxy [ENDPOINT-IS-SERVICE]`,
		}},
		{name: "05 pool overlaps pinned Services", in: cilium(pinned(PinnedFacts{ServiceCIDRs: []string{"10.244.128.0/20"}})), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/16": overlaps the Service range 10.244.128.0/20 (spec.cluster.serviceCIDRs): choose another range [POOL-OVERLAPS-SERVICES]`,
		}, warnings: []string{
			"spec.cluster.serviceCIDRs: the Service default/kubernetes has 10.96.0.1, which is in none of these ranges: check them [SERVICE-RANGE-WRONG]",
		}},
		{name: "05 pool holds the only known Service address", in: cilium(cidrs("10.96.0.0/16"), cluster(func(s *facts.Snapshot) { s.ServiceCIDRs = nil })), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.96.0.0/16": holds 10.96.0.1, the address of the Service default/kubernetes: choose another range [POOL-OVERLAPS-SERVICES]`,
		}},
		{name: "05 pools overlap each other", in: cilium(pools(poolOf("a", "10.244.0.0/16"), poolOf("b", "10.244.128.0/20"))), errors: []string{
			`spec.ipPools[1].cidrs[0]: Invalid value: "10.244.128.0/20": overlaps the pool CIDR 10.244.0.0/16 (spec.ipPools[0].cidrs[0]): every address must belong to one pool [POOL-OVERLAP]`,
		}},
		{name: "05 the same CIDR twice", in: cilium(pools(poolOf("a", "10.244.0.0/16"), poolOf("b", "10.244.0.0/16"))), errors: []string{
			`spec.ipPools[1].cidrs[0]: Duplicate value: "10.244.0.0/16": spec.ipPools[0].cidrs[0] is the same: remove one of them [POOL-TWICE]`,
		}},
		{name: "05 pool holds node addresses", in: cilium(cidrs("192.168.0.0/16")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "192.168.0.0/16": holds the address of nodes n1, n2 and n3 (such as 192.168.10.11); such a node loses its network: choose another range [POOL-HOLDS-NODES]`,
		}},
		{name: "05 the same name twice", in: cilium(pools(poolOf("a", "10.244.0.0/16"), poolOf("a", "10.245.0.0/16"))), errors: []string{
			`spec.ipPools[1].name: Duplicate value: "a": give each pool a name of its own [POOL-NAME-TWICE]`,
		}},
		{name: "06 link-local", in: cilium(cidrs("169.254.0.0/16")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "169.254.0.0/16": is link-local; Kubernetes refuses such pod addresses: use a private range such as 10.244.0.0/16 or fd00:10:244::/56 [POOL-RESERVED]`,
		}},
		{name: "06 everything", in: cilium(cidrs("0.0.0.0/0")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "0.0.0.0/0": overlaps 0.0.0.0/8, which is reserved for "this network" (RFC 1122); Kubernetes refuses such pod addresses: use a private range such as 10.244.0.0/16 or fd00:10:244::/56 [POOL-RESERVED]`,
		}},
		{name: "06 IPv6 multicast", in: cilium(onlyIPv6, cidrs("ff00::/8")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "ff00::/8": is multicast; Kubernetes refuses such pod addresses: use a private range such as 10.244.0.0/16 or fd00:10:244::/56 [POOL-RESERVED]`,
		}},
		{name: "06 site-local", in: cilium(onlyIPv6, cidrs("fec0::/48")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "fec0::/48": overlaps fec0::/10, which is deprecated site-local (RFC 3879); Kubernetes refuses such pod addresses: use a private range such as 10.244.0.0/16 or fd00:10:244::/56 [POOL-RESERVED]`,
		}},
		{name: "07 Docker's bridge", in: cilium(cidrs("172.17.0.0/16")), warnings: []string{
			"spec.ipPools[0].cidrs[0]: 172.17.0.0/16 overlaps Docker's default bridge (172.17.0.0/16); hosts with Docker will lose routes [POOL-DOCKER]",
		}},
		{name: "07 documentation", in: cilium(cidrs("198.51.100.0/24"), cluster(func(s *facts.Snapshot) { s.Nodes = s.Nodes[:1] })), warnings: []string{
			"spec.ipPools[0].cidrs[0]: 198.51.100.0/24 is a documentation range; use a private one such as 10.244.0.0/16 or fd00:10:244::/56 [POOL-DOCUMENTATION]",
		}},
		{name: "07 public", in: cilium(cidrs("8.0.0.0/16")), warnings: []string{
			"spec.ipPools[0].cidrs[0]: 8.0.0.0/16 is public address space; pods cannot reach its real owners [POOL-PUBLIC]",
		}},
		{name: "12 too many node ranges", in: cilium(onlyIPv6, pools(IPPool{Name: "a", CIDRs: []string{"fd00:10:244::/48"}, NodeMaskSizes: masks(0, 80)})), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "fd00:10:244::/48": with node ranges of /80 gives 2^32 of them; the limit is 2^16: set nodeMaskSizes.ipv6 to 64 or less [MASK-TOO-MANY-RANGES]`,
		}},
		{name: "5 a range around the nodes' own is around Services as well, and nothing reads it", in: cilium(noPools, cluster(func(s *facts.Snapshot) {
			for i, cidr := range []string{"10.95.0.0/24", "10.95.1.0/24", "10.112.0.0/24"} {
				s.Nodes[i].PodCIDRs = prefixes(cidr)
			}
		}))},
		{name: "13 fewer ranges than nodes", in: cilium(cidrs("10.244.0.0/23")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/23": the IPv4 pools give 2 node ranges of /24 but 3 nodes exist: add a CIDR, use a shorter prefix, or a longer nodeMaskSizes.ipv4 [POOL-TOO-FEW-RANGES]`,
		}},
		{name: "13 pool smaller than a node's range", in: cilium(cidrs("10.244.0.0/25")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/25": is smaller than the range of one node (/24): use a shorter prefix, or a longer nodeMaskSizes.ipv4 [MASK-LARGER-THAN-POOL]`,
		}},
		{name: "13 pool too small for anything", in: cilium(cidrs("10.244.0.0/29")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/29": is too small for pods: use /28 or a shorter prefix [POOL-TOO-SMALL]`,
		}},
		{name: "13 node range smaller than a kubelet's pods", in: cilium(pools(IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NodeMaskSizes: masks(26, 0)})), warnings: []string{
			"spec.ipPools[0].nodeMaskSizes.ipv4: a /26 gives a node 64 addresses, fewer than the 110 pods that a kubelet allows by default [MASK-FEWER-THAN-PODS]",
		}},
		{name: "13 mask out of range", in: cilium(pools(IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NodeMaskSizes: masks(31, 127)})), errors: []string{
			"spec.ipPools[0].nodeMaskSizes.ipv4: Invalid value: 31: must be from 8 to 30; 24 is usual [MASK-RANGE]",
			"spec.ipPools[0].nodeMaskSizes.ipv6: Invalid value: 127: must be from 16 to 126; 64 is usual [MASK-RANGE]",
		}},
		{name: "13 masks of Cilium's pools differ", in: cilium(pools(
			IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NodeMaskSizes: masks(24, 0)},
			IPPool{Name: "b", CIDRs: []string{"10.245.0.0/16"}, NodeMaskSizes: masks(25, 0)})), errors: []string{
			"spec.ipPools[1].nodeMaskSizes.ipv4: Invalid value: 25: Cilium has one node range size per family, and spec.ipPools[0].nodeMaskSizes.ipv4 says 24: make them equal [MASK-DIFFERS]",
		}},
		{name: "13 mask of a family the pool does not have", in: cilium(pools(IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NodeMaskSizes: masks(0, 64)})), warnings: []string{
			"spec.ipPools[0].nodeMaskSizes.ipv6: has no effect: the pool has no IPv6 CIDR [MASK-NO-EFFECT]",
		}},
		{name: "13 masks differ from the real ones of Flannel's nodes", in: flannel(pools(IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NodeMaskSizes: masks(25, 0)})), errors: []string{
			"spec.ipPools[0].nodeMaskSizes.ipv4: Invalid value: 25: nodes n1, n2 and n3 have, for example, a range of /24: with Flannel the size is kube-controller-manager's --node-cidr-mask-size; set it there, or remove this field [FLANNEL-MASK-DIFFERS]",
		}},
		{name: "12 too many node ranges for kube-controller-manager", in: flannel(onlyIPv6, pools(IPPool{Name: "a", CIDRs: []string{"fd00:10:200::/40"}, NodeMaskSizes: masks(0, 64)}),
			pinned(PinnedFacts{NodeMTU: 1500})), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "fd00:10:200::/40": with node ranges of /64 gives 2^24 of them; the limit is 2^16: set nodeMaskSizes.ipv6 to 56 or less [MASK-TOO-MANY-RANGES]`,
		}},
		{name: "13 fewer of kube-controller-manager's ranges than nodes", in: flannel(pools(IPPool{Name: "a", CIDRs: []string{"10.244.0.0/23"}, NodeMaskSizes: masks(24, 0)}),
			cluster(func(s *facts.Snapshot) { s.Nodes[2].PodCIDRs = nil })), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/23": the IPv4 pools give 2 node ranges of /24 but 3 nodes exist: add a CIDR, use a shorter prefix, or a longer nodeMaskSizes.ipv4 [POOL-TOO-FEW-RANGES]`,
		}, warnings: []string{
			"spec.ipPools: node n3 has no spec.podCIDRs yet; pods there wait for them [NODE-RANGE-PENDING]",
		}},
		{name: "13 kube-controller-manager's ranges smaller than a kubelet's pods", in: flannel(cluster(func(s *facts.Snapshot) {
			s.Nodes[0].PodCIDRs = prefixes("10.244.0.0/26")
		})), warnings: []string{
			"spec.ipPools: node n1 has a range of /26 with 64 addresses, fewer than the 110 pods that a kubelet allows by default [MASK-FEWER-THAN-PODS]",
		}},
		{name: "13 masks with an external CNI", in: external(pools(IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NodeMaskSizes: masks(25, 0)})), warnings: []string{
			"spec.ipPools[0].nodeMaskSizes.ipv4: has no effect: an external CNI has its own node ranges [MASK-NO-EFFECT]",
		}},
		{name: "NAT differs among Cilium's pools of a family", in: cilium(pools(
			poolOf("a", "10.244.0.0/16"),
			IPPool{Name: "b", CIDRs: []string{"10.245.0.0/16"}, NATOutgoing: Disabled})), errors: []string{
			`spec.ipPools[1].natOutgoing: Invalid value: "Disabled": Cilium has one setting for all pools of IPv4, and spec.ipPools[0].natOutgoing says Enabled: make them equal [NAT-DIFFERS]`,
		}},
		{name: "NAT differs between Cilium's families", in: cilium(dual, pools(
			poolOf("a", "10.244.0.0/16"),
			IPPool{Name: "b", CIDRs: []string{"fd00:10:244::/56"}, NATOutgoing: Disabled}))},
		{name: "NAT differs between Flannel's families", in: flannel(dual, pools(
			poolOf("a", "10.244.0.0/16"),
			IPPool{Name: "b", CIDRs: []string{"fd00:10:244::/56"}, NATOutgoing: Disabled})), errors: []string{
			`spec.ipPools[1].natOutgoing: Invalid value: "Disabled": Flannel has one setting for all pools, and spec.ipPools[0].natOutgoing says Enabled: make them equal [NAT-DIFFERS]`,
		}, warnings: []string{
			"spec.mtu: Flannel detects the nodes' MTU but reserves only 50 bytes where VXLAN over IPv6 takes 70: state cluster.nodeMTU [MTU-FLANNEL-IPV6]",
		}},
		{name: "NAT with an external CNI", in: external(pools(IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NATOutgoing: Enabled})), warnings: []string{
			"spec.ipPools[0].natOutgoing: has no effect: an external CNI decides this itself [NAT-NO-EFFECT]",
		}},
		{name: "Flannel with two ranges of a family", in: flannel(pools(poolOf("a", "10.244.0.0/16"), poolOf("b", "10.245.0.0/16"))), errors: []string{
			`spec.ipPools[1].cidrs[0]: Invalid value: "10.245.0.0/16": Flannel takes one IPv4 range and spec.ipPools[0].cidrs[0] is it already: remove this CIDR, widen that one, or use type Cilium [FLANNEL-ONE-RANGE]`,
		}},
		{name: "Flannel with nodes outside of the pool", in: flannel(cidrs("10.244.0.0/23")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/23": node n3 has the pod range 10.244.2.0/24 outside of it, and flanneld exits there: write kube-controller-manager's --cluster-cidr [FLANNEL-NODE-OUTSIDE]`,
		}},
		{name: "Flannel without any node range", in: flannel(cluster(func(s *facts.Snapshot) {
			for i := range s.Nodes {
				s.Nodes[i].PodCIDRs = nil
			}
		})), errors: []string{
			`spec.cni.type: Invalid value: "Flannel": Flannel takes the nodes' spec.podCIDRs, and nodes n1, n2 and n3 have none: set --allocate-node-cidrs, --cluster-cidr and --node-cidr-mask-size on kube-controller-manager [NODE-RANGE-MISSING]`,
		}},
		{name: "Flannel with a node that just joined", in: flannel(cluster(func(s *facts.Snapshot) { s.Nodes[2].PodCIDRs = nil })), warnings: []string{
			"spec.ipPools: node n3 has no spec.podCIDRs yet; pods there wait for them [NODE-RANGE-PENDING]",
		}},
		{name: "Flannel with nodes that lack a family", in: flannel(dual, cluster(func(s *facts.Snapshot) { s.Nodes[1].PodCIDRs = s.Nodes[1].PodCIDRs[:1] })), errors: []string{
			`spec.cni.type: Invalid value: "Flannel": Flannel takes the nodes' spec.podCIDRs, and node n2 has none that is IPv6: set --allocate-node-cidrs, --cluster-cidr (both families), --node-cidr-mask-size-ipv4 and --node-cidr-mask-size-ipv6 on kube-controller-manager and register such nodes anew [NODE-RANGE-MISSING]`,
		}, warnings: []string{
			"spec.mtu: Flannel detects the nodes' MTU but reserves only 50 bytes where VXLAN over IPv6 takes 70: state cluster.nodeMTU [MTU-FLANNEL-IPV6]",
		}},
		{name: "Flannel without pools", in: flannel(noPools), warnings: []string{
			"spec.ipPools: derived from the nodes there are; Flannel stops on a node whose range lies outside: state ipPools as kube-controller-manager's --cluster-cidr has it [FLANNEL-POOL-DERIVED]",
		}},
		{name: "Flannel without pools and nodes", in: flannel(noPools, cluster(func(s *facts.Snapshot) { s.Nodes = nil })), errors: []string{
			"spec.ipPools: Required value: there are no nodes to derive the pods' range from: state it as kube-controller-manager's --cluster-cidr has it [POOL-NOT-DERIVED]",
		}},
		{name: "Flannel without pools, the nodes' ranges spread over Services", in: flannel(noPools, cluster(func(s *facts.Snapshot) {
			s.Nodes[0].PodCIDRs = prefixes("10.0.0.0/24")
		})), errors: []string{
			`spec.ipPools: Invalid value: "10.0.0.0/8": overlaps the Service range 10.96.0.0/12 (ServiceCIDR/kubernetes): the range was derived from the nodes' podCIDRs; state ipPools [POOL-OVERLAPS-SERVICES]`,
		}, warnings: []string{
			"spec.ipPools: derived from the nodes there are; Flannel stops on a node whose range lies outside: state ipPools as kube-controller-manager's --cluster-cidr has it [FLANNEL-POOL-DERIVED]",
		}},
		{name: "Cilium without pools", in: cilium(noPools)},
		{name: "Cilium without pools and node ranges", in: cilium(noPools, cluster(func(s *facts.Snapshot) {
			for i := range s.Nodes {
				s.Nodes[i].PodCIDRs = nil
			}
		})), errors: []string{
			"spec.ipPools: Required value: without ipPools Cilium takes the nodes' spec.podCIDRs, and nodes n1, n2 and n3 have none: set --allocate-node-cidrs, --cluster-cidr and --node-cidr-mask-size on kube-controller-manager, or state ipPools [NODE-RANGE-MISSING]",
		}},
		{name: "Cilium without pools and nodes", in: cilium(noPools, cluster(func(s *facts.Snapshot) { s.Nodes = nil })), errors: []string{
			"spec.ipPools: Required value: there are no nodes to take pod ranges from: state at least one pool for each IP family [POOL-NOT-DERIVED]",
		}},
		{name: "Cilium without pools, natively routed", in: cilium(noPools, encapsulation(EncapsulationNone)), warnings: []string{
			"spec.ipPools: derived from the nodes there are, and restarts Cilium's agents when a new node widens it: state ipPools [CILIUM-POOL-DERIVED]",
		}},
	}
}
