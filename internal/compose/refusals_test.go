package compose

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive,staticcheck // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// finding is an input and every error and warning it must come to, to the letter. The number is that of the
// row in the list of bad inputs the operator answers for.
type finding struct {
	name     string
	in       Input
	errors   []string
	warnings []string
}

func TestFindings(t *testing.T) {
	seen := map[string]bool{}
	for _, tc := range slices.Concat(addressFindings(), familyFindings(), mtuFindings(), kubeProxyFindings(), cniFindings(), objectFindings()) {
		if seen[tc.name] {
			t.Errorf("two cases are named %q", tc.name)
		}
		seen[tc.name] = true
		t.Run(tc.name, func(t *testing.T) {
			errs, warnings := Validate(tc.in)
			if diff := cmp.Diff(tc.errors, messages(errs)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.warnings, warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			r := Compose(tc.in)
			if diff := cmp.Diff(messages(errs), messages(r.Errors)); diff != "" {
				t.Errorf("Compose refuses otherwise than Validate:\n%s", diff)
			}
			if len(errs) > 0 && (r.Releases != nil || r.Effective != nil || r.KubeProxy != "" || r.ParkKubeProxy) {
				t.Errorf("a refused stack has a result: %+v", r)
			}
			// What needs only the object is refused without the cluster too, and nothing else is.
			object, _ := ValidateObject(tc.in.Stack)
			for _, m := range messages(object) {
				if !slices.Contains(messages(errs), m) {
					t.Errorf("ValidateObject alone refuses: %s", m)
				}
			}
		})
	}
}

func messages(errs field.ErrorList) []string {
	var out []string
	for _, e := range errs {
		out = append(out, e.Error())
	}
	return out
}

func cidrs(texts ...string) func(*Input) {
	return func(in *Input) { in.Stack.Spec.IPPools = []IPPool{poolOf("default", texts...)} }
}

func pools(p ...IPPool) func(*Input) {
	return func(in *Input) { in.Stack.Spec.IPPools = p }
}

func noPools(in *Input) { in.Stack.Spec.IPPools = nil }

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
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.5/16": has host bits set; did you mean "10.244.0.0/16"?`,
		}},
		{name: "02 leading zeros", in: cilium(cidrs("010.244.0.0/16")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "010.244.0.0/16": has leading zeros; did you mean "10.244.0.0/16"?`,
		}},
		{name: "02 no prefix length", in: cilium(cidrs("10.244.0.0")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0": has no prefix length: write a CIDR such as 10.244.0.0/16`,
		}},
		{name: "02 IPv4 written as IPv6", in: cilium(cidrs("::ffff:10.244.0.0/112")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "::ffff:10.244.0.0/112": is an IPv4 range written as IPv6; did you mean "10.244.0.0/16"?`,
		}},
		{name: "02 not a CIDR", in: cilium(cidrs("pods")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "pods": is not a CIDR: write an address and a prefix length, such as 10.244.0.0/16`,
		}},
		{name: "03 two Service ranges of one family", in: cilium(pinned(PinnedFacts{ServiceCIDRs: []string{"10.96.0.0/12", "10.200.0.0/16"}})), errors: []string{
			`spec.cluster.serviceCIDRs[1]: Invalid value: "10.200.0.0/16": there is an IPv4 range already; list at most one IPv4 and one IPv6 range`,
		}},
		{name: "05 pool overlaps Services", in: cilium(cidrs("10.96.0.0/16")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.96.0.0/16": overlaps the Service range 10.96.0.0/12 (ServiceCIDR/kubernetes): choose another range`,
		}},
		{name: "05 pool overlaps pinned Services", in: cilium(pinned(PinnedFacts{ServiceCIDRs: []string{"10.244.128.0/20"}})), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/16": overlaps the Service range 10.244.128.0/20 (spec.cluster.serviceCIDRs): choose another range`,
		}, warnings: []string{
			"spec.cluster.serviceCIDRs: the Service default/kubernetes has 10.96.0.1, which is in none of these ranges: check them",
		}},
		{name: "05 pool holds the only known Service address", in: cilium(cidrs("10.96.0.0/16"), cluster(func(s *facts.Snapshot) { s.ServiceCIDRs = nil })), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.96.0.0/16": holds 10.96.0.1, the address of the Service default/kubernetes: choose another range`,
		}},
		{name: "05 pools overlap each other", in: cilium(pools(poolOf("a", "10.244.0.0/16"), poolOf("b", "10.244.128.0/20"))), errors: []string{
			`spec.ipPools[1].cidrs[0]: Invalid value: "10.244.128.0/20": overlaps the pool CIDR 10.244.0.0/16 (spec.ipPools[0].cidrs[0]): every address must belong to one pool`,
		}},
		{name: "05 the same CIDR twice", in: cilium(pools(poolOf("a", "10.244.0.0/16"), poolOf("b", "10.244.0.0/16"))), errors: []string{
			`spec.ipPools[1].cidrs[0]: Duplicate value: "10.244.0.0/16": spec.ipPools[0].cidrs[0] is the same: remove one of them`,
		}},
		{name: "05 pool holds node addresses", in: cilium(cidrs("192.168.0.0/16")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "192.168.0.0/16": holds the address of nodes n1, n2 and n3 (such as 192.168.10.11); such a node loses its network: choose another range`,
		}},
		{name: "05 the same name twice", in: cilium(pools(poolOf("a", "10.244.0.0/16"), poolOf("a", "10.245.0.0/16"))), errors: []string{
			`spec.ipPools[1].name: Duplicate value: "a": give each pool a name of its own`,
		}},
		{name: "06 link-local", in: cilium(cidrs("169.254.0.0/16")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "169.254.0.0/16": is link-local; Kubernetes refuses such pod addresses: use a private range such as 10.244.0.0/16 or fd00:10:244::/56`,
		}},
		{name: "06 everything", in: cilium(cidrs("0.0.0.0/0")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "0.0.0.0/0": overlaps 0.0.0.0/8, which is reserved for "this network" (RFC 1122); Kubernetes refuses such pod addresses: use a private range such as 10.244.0.0/16 or fd00:10:244::/56`,
		}},
		{name: "06 IPv6 multicast", in: cilium(onlyIPv6, cidrs("ff00::/8")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "ff00::/8": is multicast; Kubernetes refuses such pod addresses: use a private range such as 10.244.0.0/16 or fd00:10:244::/56`,
		}},
		{name: "06 site-local", in: cilium(onlyIPv6, cidrs("fec0::/48")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "fec0::/48": overlaps fec0::/10, which is deprecated site-local (RFC 3879); Kubernetes refuses such pod addresses: use a private range such as 10.244.0.0/16 or fd00:10:244::/56`,
		}},
		{name: "07 Docker's bridge", in: cilium(cidrs("172.17.0.0/16")), warnings: []string{
			"spec.ipPools[0].cidrs[0]: 172.17.0.0/16 overlaps Docker's default bridge (172.17.0.0/16); hosts with Docker will lose routes",
		}},
		{name: "07 documentation", in: cilium(cidrs("198.51.100.0/24"), cluster(func(s *facts.Snapshot) { s.Nodes = s.Nodes[:1] })), warnings: []string{
			"spec.ipPools[0].cidrs[0]: 198.51.100.0/24 is a documentation range; use a private one such as 10.244.0.0/16 or fd00:10:244::/56",
		}},
		{name: "07 public", in: cilium(cidrs("8.0.0.0/16")), warnings: []string{
			"spec.ipPools[0].cidrs[0]: 8.0.0.0/16 is public address space; pods cannot reach its real owners",
		}},
		{name: "12 too many node ranges", in: cilium(onlyIPv6, pools(IPPool{Name: "a", CIDRs: []string{"fd00:10:244::/48"}, NodeMaskSizes: masks(0, 80)})), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "fd00:10:244::/48": with node ranges of /80 gives 2^32 of them; the limit is 2^16: set nodeMaskSizes.ipv6 to 64 or less`,
		}},
		{name: "13 fewer ranges than nodes", in: cilium(cidrs("10.244.0.0/23")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/23": the IPv4 pools give 2 node ranges of /24 but 3 nodes exist: add a CIDR, use a shorter prefix, or a longer nodeMaskSizes.ipv4`,
		}},
		{name: "13 pool smaller than a node's range", in: cilium(cidrs("10.244.0.0/25")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/25": is smaller than the range of one node (/24): use a shorter prefix, or a longer nodeMaskSizes.ipv4`,
		}},
		{name: "13 pool too small for anything", in: cilium(cidrs("10.244.0.0/29")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/29": is too small for pods: use /28 or a shorter prefix`,
		}},
		{name: "13 node range smaller than a kubelet's pods", in: cilium(pools(IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NodeMaskSizes: masks(26, 0)})), warnings: []string{
			"spec.ipPools[0].nodeMaskSizes.ipv4: a /26 gives a node 64 addresses, fewer than the 110 pods that a kubelet allows by default",
		}},
		{name: "13 mask out of range", in: cilium(pools(IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NodeMaskSizes: masks(31, 127)})), errors: []string{
			"spec.ipPools[0].nodeMaskSizes.ipv4: Invalid value: 31: must be from 8 to 30; 24 is usual",
			"spec.ipPools[0].nodeMaskSizes.ipv6: Invalid value: 127: must be from 16 to 126; 64 is usual",
		}},
		{name: "13 masks of Cilium's pools differ", in: cilium(pools(
			IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NodeMaskSizes: masks(24, 0)},
			IPPool{Name: "b", CIDRs: []string{"10.245.0.0/16"}, NodeMaskSizes: masks(25, 0)})), errors: []string{
			"spec.ipPools[1].nodeMaskSizes.ipv4: Invalid value: 25: Cilium has one node range size per family, and spec.ipPools[0].nodeMaskSizes.ipv4 says 24: make them equal",
		}},
		{name: "13 mask of a family the pool does not have", in: cilium(pools(IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NodeMaskSizes: masks(0, 64)})), warnings: []string{
			"spec.ipPools[0].nodeMaskSizes.ipv6: has no effect: the pool has no IPv6 CIDR",
		}},
		{name: "13 masks differ from the real ones of Flannel's nodes", in: flannel(pools(IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NodeMaskSizes: masks(25, 0)})), errors: []string{
			"spec.ipPools[0].nodeMaskSizes.ipv4: Invalid value: 25: nodes n1, n2 and n3 have, for example, a range of /24: with Flannel the size is kube-controller-manager's --node-cidr-mask-size; set it there, or remove this field",
		}},
		{name: "13 masks with an external CNI", in: external(pools(IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NodeMaskSizes: masks(25, 0)})), warnings: []string{
			"spec.ipPools[0].nodeMaskSizes.ipv4: has no effect: an external CNI has its own node ranges",
		}},
		{name: "NAT differs among Cilium's pools of a family", in: cilium(pools(
			poolOf("a", "10.244.0.0/16"),
			IPPool{Name: "b", CIDRs: []string{"10.245.0.0/16"}, NATOutgoing: Disabled})), errors: []string{
			`spec.ipPools[1].natOutgoing: Invalid value: "Disabled": Cilium has one setting for all pools of IPv4, and spec.ipPools[0].natOutgoing says Enabled: make them equal`,
		}},
		{name: "NAT differs between Cilium's families", in: cilium(dual, pools(
			poolOf("a", "10.244.0.0/16"),
			IPPool{Name: "b", CIDRs: []string{"fd00:10:244::/56"}, NATOutgoing: Disabled}))},
		{name: "NAT differs between Flannel's families", in: flannel(dual, pools(
			poolOf("a", "10.244.0.0/16"),
			IPPool{Name: "b", CIDRs: []string{"fd00:10:244::/56"}, NATOutgoing: Disabled})), errors: []string{
			`spec.ipPools[1].natOutgoing: Invalid value: "Disabled": Flannel has one setting for all pools, and spec.ipPools[0].natOutgoing says Enabled: make them equal`,
		}, warnings: []string{
			"spec.mtu: Flannel detects the nodes' MTU but reserves only 50 bytes where VXLAN over IPv6 takes 70: state cluster.nodeMTU",
		}},
		{name: "NAT with an external CNI", in: external(pools(IPPool{Name: "a", CIDRs: []string{"10.244.0.0/16"}, NATOutgoing: Enabled})), warnings: []string{
			"spec.ipPools[0].natOutgoing: has no effect: an external CNI decides this itself",
		}},
		{name: "Flannel with two ranges of a family", in: flannel(pools(poolOf("a", "10.244.0.0/16"), poolOf("b", "10.245.0.0/16"))), errors: []string{
			`spec.ipPools[1].cidrs[0]: Invalid value: "10.245.0.0/16": Flannel takes one IPv4 range and spec.ipPools[0].cidrs[0] is it already: remove this CIDR, widen that one, or use type Cilium`,
		}},
		{name: "Flannel with nodes outside of the pool", in: flannel(cidrs("10.244.0.0/23")), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/23": node n3 has the pod range 10.244.2.0/24 outside of it, and flanneld exits there: write kube-controller-manager's --cluster-cidr`,
		}},
		{name: "Flannel without any node range", in: flannel(cluster(func(s *facts.Snapshot) {
			for i := range s.Nodes {
				s.Nodes[i].PodCIDRs = nil
			}
		})), errors: []string{
			`spec.cni.type: Invalid value: "Flannel": Flannel takes the nodes' spec.podCIDRs, and nodes n1, n2 and n3 have none: set --allocate-node-cidrs, --cluster-cidr and --node-cidr-mask-size on kube-controller-manager`,
		}},
		{name: "Flannel with a node that just joined", in: flannel(cluster(func(s *facts.Snapshot) { s.Nodes[2].PodCIDRs = nil })), warnings: []string{
			"spec.ipPools: node n3 has no spec.podCIDRs yet; pods there wait for them",
		}},
		{name: "Flannel with nodes that lack a family", in: flannel(dual, cluster(func(s *facts.Snapshot) { s.Nodes[1].PodCIDRs = s.Nodes[1].PodCIDRs[:1] })), errors: []string{
			`spec.cni.type: Invalid value: "Flannel": Flannel takes the nodes' spec.podCIDRs, and node n2 has none that is IPv6: set --allocate-node-cidrs, --cluster-cidr (both families), --node-cidr-mask-size-ipv4 and --node-cidr-mask-size-ipv6 on kube-controller-manager and register such nodes anew`,
		}, warnings: []string{
			"spec.mtu: Flannel detects the nodes' MTU but reserves only 50 bytes where VXLAN over IPv6 takes 70: state cluster.nodeMTU",
		}},
		{name: "Flannel without pools", in: flannel(noPools), warnings: []string{
			"spec.ipPools: derived from the nodes there are; Flannel stops on a node whose range lies outside: state ipPools as kube-controller-manager's --cluster-cidr has it",
		}},
		{name: "Flannel without pools and nodes", in: flannel(noPools, cluster(func(s *facts.Snapshot) { s.Nodes = nil })), errors: []string{
			"spec.ipPools: Required value: there are no nodes to derive the pods' range from: state it as kube-controller-manager's --cluster-cidr has it",
		}},
		{name: "Flannel without pools, the nodes' ranges spread over Services", in: flannel(noPools, cluster(func(s *facts.Snapshot) {
			s.Nodes[0].PodCIDRs = prefixes("10.0.0.0/24")
		})), errors: []string{
			`spec.ipPools: Invalid value: "10.0.0.0/8": overlaps the Service range 10.96.0.0/12 (ServiceCIDR/kubernetes): the range was derived from the nodes' podCIDRs; state ipPools`,
		}, warnings: []string{
			"spec.ipPools: derived from the nodes there are; Flannel stops on a node whose range lies outside: state ipPools as kube-controller-manager's --cluster-cidr has it",
		}},
		{name: "Cilium without pools", in: cilium(noPools)},
		{name: "Cilium without pools and node ranges", in: cilium(noPools, cluster(func(s *facts.Snapshot) {
			for i := range s.Nodes {
				s.Nodes[i].PodCIDRs = nil
			}
		})), errors: []string{
			"spec.ipPools: Required value: without ipPools Cilium takes the nodes' spec.podCIDRs, and nodes n1, n2 and n3 have none: set --allocate-node-cidrs, --cluster-cidr and --node-cidr-mask-size on kube-controller-manager, or state ipPools",
		}},
		{name: "Cilium without pools and nodes", in: cilium(noPools, cluster(func(s *facts.Snapshot) { s.Nodes = nil })), errors: []string{
			"spec.ipPools: Required value: there are no nodes to take pod ranges from: state at least one pool for each IP family",
		}},
		{name: "Cilium without pools, natively routed", in: cilium(noPools, encapsulation(EncapsulationNone)), warnings: []string{
			"spec.ipPools: derived from the nodes there are, and restarts Cilium's agents when a new node widens it: state ipPools",
		}},
	}
}

func familyFindings() []finding {
	return []finding{
		{name: "08 Services dual-stack, pods not", in: cilium(cluster(makeDual)), errors: []string{
			`spec.ipPools: Invalid value: "IPv4": Services are dual-stack but pods are IPv4 only: add IPv6 to ipFamilies and to a pool`,
		}},
		{name: "08 families differ", in: cilium(onlyIPv6, cluster(func(s *facts.Snapshot) {
			s.ServiceCIDRs = prefixes("10.96.0.0/12")
		})), errors: []string{
			`spec.ipPools: Invalid value: "IPv6": pods are IPv6 but Services are IPv4: make the families of the pods those of the Services`,
		}},
		{name: "09 pods dual-stack, Services not", in: cilium(dual, cluster(func(s *facts.Snapshot) { s.ServiceCIDRs = s.ServiceCIDRs[:1] })), errors: []string{
			`spec.ipPools: Invalid value: "IPv4, IPv6": the API server has no IPv6 Service range: add one to --service-cluster-ip-range of kube-apiserver and kube-controller-manager, which the operator cannot, or remove IPv6`,
		}},
		{name: "10 primary families differ", in: cilium(dual, spec(func(s *NetworkStackSpec) { s.IPFamilies = []IPFamily{IPv6, IPv4} })), errors: []string{
			`spec.ipFamilies: Invalid value: "IPv6, IPv4": the primary family of pods is IPv6 but that of Services is IPv4: put IPv4 first`,
		}},
		{name: "10 primary family follows the pools", in: cilium(dual, cidrs("fd00:10:244::/56", "10.244.0.0/16")), errors: []string{
			`spec.ipPools: Invalid value: "IPv6, IPv4": the primary family of pods is IPv6 but that of Services is IPv4: put IPv4 first`,
		}},
		{name: "10 primary family known from the Service alone", in: cilium(dual, cluster(func(s *facts.Snapshot) { s.ServiceCIDRs = nil }),
			spec(func(s *NetworkStackSpec) { s.IPFamilies = []IPFamily{IPv6, IPv4} })), errors: []string{
			`spec.ipFamilies: Invalid value: "IPv6, IPv4": the primary family of pods is IPv6 but that of Services is IPv4: put IPv4 first`,
		}},
		{name: "10 a pool's family is not listed", in: cilium(spec(func(s *NetworkStackSpec) {
			s.IPFamilies = []IPFamily{IPv4}
			s.IPPools[0].CIDRs = []string{"10.244.0.0/16", "fd00:10:244::/56"}
		})), errors: []string{
			`spec.ipPools[0].cidrs[1]: Invalid value: "fd00:10:244::/56": is IPv6, which ipFamilies does not list: add IPv6 to ipFamilies, or remove the CIDR`,
		}},
		{name: "10 a family has no pool", in: cilium(cluster(makeDual), spec(func(s *NetworkStackSpec) { s.IPFamilies = []IPFamily{IPv4, IPv6} })), errors: []string{
			`spec.ipPools: Invalid value: "IPv4, IPv6": no pool has an IPv6 CIDR: add one, or remove IPv6 from ipFamilies`,
		}},
		{name: "families: a node lacks an address", in: cilium(dual, cluster(func(s *facts.Snapshot) {
			s.Nodes = append(s.Nodes, s.Nodes[0], s.Nodes[0])
			for i, name := range []string{"n1", "n2", "n3", "n4", "n5"} {
				s.Nodes[i].Name, s.Nodes[i].InternalIPs = name, s.Nodes[i].InternalIPs[:1]
			}
		})), errors: []string{
			`spec.ipPools: Invalid value: "IPv4, IPv6": nodes n1, n2, n3 and 2 more have no IPv6 InternalIP: give the kubelet both addresses with --node-ip, or remove IPv6`,
		}},
		{name: "families: a node reports no address yet", in: cilium(cluster(func(s *facts.Snapshot) { s.Nodes[2].InternalIPs = nil })), warnings: []string{
			"spec.ipFamilies: node n3 reports no InternalIP yet: whether all families are there could not be checked",
		}},
		{name: "families: nothing says which", in: cilium(noPools, cluster(func(s *facts.Snapshot) { *s = facts.Snapshot{KubernetesVersion: "v1.36.3"} })), errors: []string{
			"spec.ipFamilies: Required value: neither pools, Service ranges nor nodes say which IP families the cluster has: list IPv4, IPv6, or both",
		}, warnings: []string{
			"spec.kubeProxy.mode: Unmanaged, and no kube-proxy was found: Services work only if something else programs them (k3s and RKE2 run kube-proxy outside of pods)",
		}},
		{name: "55 Windows with dual-stack overlay", in: cilium(dual, cluster(func(s *facts.Snapshot) { s.Nodes[2].OS = "windows" })), errors: []string{
			`spec.ipPools: Invalid value: "IPv4, IPv6": node n3 runs Windows, whose overlay networks are single-stack: remove a family, or set cni.encapsulation to None`,
		}, warnings: []string{
			"spec.cni.type: node n3 runs Windows; Cilium is installed on Linux nodes only",
		}},
		{name: "54 Windows with one family", in: flannel(cluster(func(s *facts.Snapshot) { s.Nodes[2].OS = "windows" })), warnings: []string{
			"spec.cni.type: node n3 runs Windows; Flannel is installed on Linux nodes only",
		}},
		{name: "pinned Service range without the Service", in: cilium(pinned(PinnedFacts{ServiceCIDRs: []string{"10.43.0.0/16"}})), warnings: []string{
			"spec.cluster.serviceCIDRs: the Service default/kubernetes has 10.96.0.1, which is in none of these ranges: check them",
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
	return []finding{
		{name: "20 below 576", in: cilium(mtu(500)), errors: []string{
			"spec.mtu: Invalid value: 500: must be from 576 to 65536, or 0 to have it derived",
		}},
		{name: "20 above 65536", in: cilium(mtu(70000)), errors: []string{
			"spec.mtu: Invalid value: 70000: must be from 576 to 65536, or 0 to have it derived",
		}},
		{name: "20 below 1280 with IPv6", in: cilium(dual, mtu(1200)), errors: []string{
			"spec.mtu: Invalid value: 1200: IPv6 needs an MTU of at least 1280: raise mtu, or remove IPv6 from ipFamilies",
		}},
		{name: "20 derived below 1280 with IPv6", in: cilium(dual, nodeMTUs(1500, 1300, 1500)), errors: []string{
			"spec.mtu: Invalid value: 0: derived: 1300 of node n2 less 50 (VXLAN) leaves 1250, but IPv6 needs 1280: raise the nodes' MTU to 1330, or choose less encapsulation and encryption",
		}},
		{name: "20 node MTU out of range", in: cilium(pinned(PinnedFacts{NodeMTU: 100})), errors: []string{
			"spec.cluster.nodeMTU: Invalid value: 100: must be from 576 to 65536",
		}},
		{name: "21 too high for VXLAN", in: cilium(mtu(1480), nodeMTUs(1500, 9000, 0)), errors: []string{
			"spec.mtu: Invalid value: 1480: 1480 + 50 (VXLAN) exceeds 1500 of node n1; the maximum is 1450: lower mtu, or set it to 0 to have it derived",
		}},
		{name: "21 too high for the pinned node MTU", in: cilium(mtu(1480), nodeMTUs(9000, 9000, 9000), pinned(PinnedFacts{NodeMTU: 1500})), errors: []string{
			"spec.mtu: Invalid value: 1480: 1480 + 50 (VXLAN) exceeds 1500 of spec.cluster.nodeMTU; the maximum is 1450: lower mtu, or set it to 0 to have it derived",
		}},
		{name: "21 just fits", in: cilium(mtu(1450), nodeMTUs(1500, 1500, 1500))},
		{name: "23 too high for encryption", in: cilium(mtu(1450), encryption(EncryptionWireGuard), nodeMTUs(1500, 1500, 1500)), errors: []string{
			"spec.mtu: Invalid value: 1450: 1450 + 145 (VXLAN 50, WireGuard 95) exceeds 1500 of node n1; the maximum is 1355: lower mtu, or set it to 0 to have it derived",
		}},
		{name: "23 no MTU is low enough", in: cilium(dual, mtu(1300), encryption(EncryptionWireGuard), nodeMTUs(1400, 1400, 1400)), errors: []string{
			"spec.mtu: Invalid value: 1300: 1300 + 145 (VXLAN 50, WireGuard 95) exceeds 1400 of node n1; the maximum is 1255, which is less than the 1280 that IPv6 needs: raise the nodes' MTU, or choose less encapsulation and encryption",
		}},
		{name: "mtu with an external CNI", in: external(mtu(1400)), warnings: []string{
			"spec.mtu: has no effect: an external CNI has its own MTU",
		}},
		{name: "mtu with Flannel host-gw, unknown nodes", in: flannel(mtu(1400), encapsulation(EncapsulationNone)), errors: []string{
			"spec.mtu: Invalid value: 1400: Flannel with encapsulation None gives pods the MTU of the node's interface and cannot change it: remove mtu, or set encapsulation to VXLAN",
		}},
		{name: "mtu with Flannel host-gw, other than the nodes'", in: flannel(mtu(1400), encapsulation(EncapsulationNone), nodeMTUs(1500, 1500, 1500)), errors: []string{
			"spec.mtu: Invalid value: 1400: Flannel with encapsulation None gives pods the MTU of the node's interface (1500 of node n1) and cannot change it: remove mtu, or set encapsulation to VXLAN",
		}},
		{name: "mtu with Flannel host-gw, the nodes' own", in: flannel(mtu(1500), encapsulation(EncapsulationNone), nodeMTUs(1500, 1500, 1500))},
		{name: "mtu unknown with Flannel's IPv6 tunnel", in: flannel(dual), warnings: []string{
			"spec.mtu: Flannel detects the nodes' MTU but reserves only 50 bytes where VXLAN over IPv6 takes 70: state cluster.nodeMTU",
		}},
	}
}

func kubeProxyFindings() []finding {
	version := func(v string) func(*Input) { return cluster(func(s *facts.Snapshot) { s.KubernetesVersion = v }) }
	proxyVersion := func(v string) func(*Input) { return func(in *Input) { in.Stack.Spec.KubeProxy.Version = v } }
	kernel := func(v string) func(*Input) { return cluster(func(s *facts.Snapshot) { s.Nodes[1].KernelVersion = v }) }
	apiServer := func(host string) func(*Input) { return pinned(PinnedFacts{APIServer: &Endpoint{Host: host}}) }
	foundProxy := func(manager string) func(*Input) {
		return cluster(func(s *facts.Snapshot) { s.Installed[0].Manager = manager })
	}
	return []finding{
		{name: "25 unknown mode", in: cilium(mode("userspace")), errors: []string{
			`spec.kubeProxy.mode: Unsupported value: "userspace": supported values: "IPTables", "NFTables", "IPVS", "Replaced", "Unmanaged"`,
		}},
		{name: "26 IPVS on 1.36", in: flannel(withoutKubeProxy, mode(KubeProxyIPVS)), warnings: []string{
			"spec.kubeProxy.mode: IPVS is deprecated since Kubernetes 1.35 and off by default in 1.40; plan the change to NFTables",
		}},
		{name: "26 IPVS on 1.34", in: flannel(withoutKubeProxy, mode(KubeProxyIPVS), version("v1.34.1"))},
		{name: "27 IPVS on 1.40", in: flannel(withoutKubeProxy, mode(KubeProxyIPVS), version("v1.40.0")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "IPVS": kube-proxy 1.40 refuses IPVS unless the feature gate KubeProxyIPVS is on, which is not supported here, and 1.43 removes it: choose NFTables or IPTables`,
		}},
		{name: "27 IPVS on 1.43", in: flannel(withoutKubeProxy, mode(KubeProxyIPVS), version("v1.43.0")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "IPVS": kube-proxy has no IPVS mode since 1.43: choose NFTables or IPTables`,
		}},
		{name: "27 IPVS of an older kube-proxy on 1.40", in: flannel(withoutKubeProxy, mode(KubeProxyIPVS), version("v1.40.0"), proxyVersion("1.39.2")), warnings: []string{
			"spec.kubeProxy.mode: IPVS is deprecated since Kubernetes 1.35 and off by default in 1.40; plan the change to NFTables",
		}},
		{name: "28 NFTables on 1.36", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables))},
		{name: "28 NFTables on 1.30", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), version("v1.30.4")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": kube-proxy 1.30 does not have NFTables on by default; it needs 1.31 or newer: choose IPTables`,
		}},
		{name: "28 NFTables on 1.32", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), version("v1.32.4")), warnings: []string{
			"spec.kubeProxy.mode: NFTables is beta in kube-proxy 1.32 and stable from 1.33",
		}},
		{name: "28 NFTables with kernel 5.4", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), kernel("5.4.0-150-generic")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": node n2 has kernel 5.4.0-150-generic; NFTables needs 5.13 or newer and kube-proxy does not start without: upgrade the kernel, or choose IPTables`,
		}},
		{name: "28 NFTables with RHEL 8", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), kernel("4.18.0-553.el8_10.x86_64")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": node n2 has kernel 4.18.0-553.el8_10.x86_64; NFTables needs 5.13 or newer and kube-proxy does not start without: upgrade the kernel, or choose IPTables`,
		}},
		{name: "28 NFTables with RHEL 9", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), kernel("5.14.0-503.el9_5.x86_64"))},
		{name: "28 NFTables with an unknown kernel", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), kernel("custom")), warnings: []string{
			"spec.kubeProxy.mode: node n2 reports no readable kernel version; NFTables needs 5.13 or newer",
		}},
		{name: "28 NFTables with several old kernels", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), cluster(func(s *facts.Snapshot) {
			s.Nodes[0].KernelVersion, s.Nodes[2].KernelVersion = "5.10.1", "5.4.0"
		})), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": nodes n1 and n3 have at the oldest kernel 5.4.0; NFTables needs 5.13 or newer and kube-proxy does not start without: upgrade the kernel, or choose IPTables`,
		}},
		{name: "28 old kernels do not matter to IPTables", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), kernel("5.4.0"))},
		{name: "30 NFTables with the AWS VPC CNI", in: external(mode(KubeProxyNFTables), cluster(func(s *facts.Snapshot) {
			s.Installed = []facts.Installed{{Type: facts.InstalledAWSVPC, Namespace: "kube-system", Name: "aws-node"}}
		})), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": DaemonSet kube-system/aws-node is the AWS VPC CNI, which NFTables breaks (amazon-vpc-cni-k8s#3563): choose IPTables`,
		}},
		{name: "32 replaced by Flannel", in: flannel(mode(KubeProxyReplaced)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "Replaced": cni.type Flannel does not program Services, and without kube-proxy no Service works: set cni.type to Cilium, or choose IPTables or NFTables`,
		}},
		{name: "32 replaced by an external CNI", in: external(mode(KubeProxyReplaced)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "Replaced": cni.type External does not program Services, and without kube-proxy no Service works: set cni.type to Cilium, or choose IPTables or NFTables`,
		}},
		{name: "34 Service address", in: cilium(mode(KubeProxyReplaced), apiServer("10.96.0.1")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "10.96.0.1": is a Service address (of default/kubernetes) and will vanish with kube-proxy; give the real endpoint: a load balancer, a virtual IP or a node-local proxy`,
		}},
		{name: "34 Service range", in: cilium(mode(KubeProxyReplaced), apiServer("10.100.0.1")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "10.100.0.1": lies in the Service range 10.96.0.0/12 (ServiceCIDR/kubernetes) and will vanish with kube-proxy; give the real endpoint: a load balancer, a virtual IP or a node-local proxy`,
		}},
		{name: "34 Service name", in: cilium(mode(KubeProxyReplaced), apiServer("kubernetes.default.svc")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "kubernetes.default.svc": is the name of a Service, which works only while something programs Services; give the real endpoint: a load balancer, a virtual IP or a node-local proxy`,
		}},
		{name: "34 Service name with domain", in: cilium(mode(KubeProxyReplaced), apiServer("kubernetes.default.svc.cluster.local")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "kubernetes.default.svc.cluster.local": is the name of a Service, which works only while something programs Services; give the real endpoint: a load balancer, a virtual IP or a node-local proxy`,
		}},
		{name: "34 brackets", in: cilium(apiServer("[fd00::1]")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "[fd00::1]": write an IPv6 address without brackets: fd00::1`,
		}},
		{name: "34 scheme", in: cilium(apiServer("https://api.example.com")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "https://api.example.com": write the host alone, without a scheme and a port`,
		}},
		{name: "34 port in the host", in: cilium(apiServer("api.example.com:6443")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "api.example.com:6443": write the host alone; the port has a field of its own`,
		}},
		{name: "34 no host name", in: cilium(apiServer("api_server!")), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "api_server!": is neither a DNS name nor an IP address`,
		}},
		{name: "34 a name is fine", in: cilium(mode(KubeProxyReplaced), apiServer("api.example.com"))},
		{name: "34 no endpoint with Replaced", in: cilium(mode(KubeProxyReplaced), cluster(func(s *facts.Snapshot) { s.APIServer = Endpoint{} })), errors: []string{
			"spec.cluster.apiServer: Required value: with kubeProxy.mode Replaced the API server must be reachable without any Service, and no address of it was discovered: set cluster.apiServer.host and port to a load balancer, a virtual IP or a node-local proxy",
		}},
		{name: "34 no endpoint for kube-proxy", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), cluster(func(s *facts.Snapshot) { s.APIServer = Endpoint{} })), errors: []string{
			"spec.cluster.apiServer: Required value: with kubeProxy.mode IPTables the API server must be reachable without any Service, and no address of it was discovered: set cluster.apiServer.host and port to a load balancer, a virtual IP or a node-local proxy",
		}},
		{name: "34 discovered endpoint is a Service", in: cilium(mode(KubeProxyReplaced), cluster(func(s *facts.Snapshot) { s.APIServer.Host = "10.96.0.1" })), errors: []string{
			`spec.cluster.apiServer.host: Invalid value: "10.96.0.1": is a Service address (of default/kubernetes) and will vanish with kube-proxy; give the real endpoint: a load balancer, a virtual IP or a node-local proxy`,
		}},
		{name: "34 discovered endpoint that nobody needs", in: cilium(cluster(func(s *facts.Snapshot) { s.APIServer.Host = "10.96.0.1" }))},
		{name: "36 newer than the API server", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), proxyVersion("v1.37.0")), errors: []string{
			`spec.kubeProxy.version: Invalid value: "v1.37.0": kube-proxy v1.37 is newer than kube-apiserver v1.36: use v1.36 or older, or remove version to follow the API server`,
		}},
		{name: "36 four minors older", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), proxyVersion("1.32.9")), errors: []string{
			`spec.kubeProxy.version: Invalid value: "v1.32.9": kube-proxy v1.32 is 4 minors older than kube-apiserver v1.36; the limit is 3: use a newer one, or remove version to follow the API server`,
		}},
		{name: "36 three minors older", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), proxyVersion("1.33.9"))},
		{name: "36 version unknown", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), version("")), errors: []string{
			`spec.kubeProxy.version: Required value: the API server's version "" does not say which kube-proxy to install: set it`,
		}},
		{name: "38 foreign kube-proxy without a manager", in: flannel(mode(KubeProxyIPTables)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "IPTables": DaemonSet kube-system/kube-proxy is a kube-proxy that NetworkStack did not install, and no other manager marked it: set kubeProxy.mode to Unmanaged to leave it there, or remove it`,
		}},
		{name: "38 foreign kube-proxy of EKS", in: flannel(mode(KubeProxyNFTables), foundProxy("EKS add-on")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": DaemonSet kube-system/kube-proxy is a kube-proxy managed by "EKS add-on": set kubeProxy.mode to Unmanaged to leave it there, or remove it where it is managed`,
		}},
		{name: "38 Replaced parks a kube-proxy of nobody's", in: cilium(mode(KubeProxyReplaced))},
		{name: "38 Replaced cannot park that of Argo CD", in: cilium(mode(KubeProxyReplaced), foundProxy("Argo CD application network")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "Replaced": DaemonSet kube-system/kube-proxy is managed by "Argo CD application network", which would undo its parking: turn kube-proxy off there, or set kubeProxy.mode to Unmanaged`,
		}},
		{name: "38 our own kube-proxy", in: flannel(mode(KubeProxyIPTables), cluster(func(s *facts.Snapshot) { s.Installed[0].Component = "kube-proxy" }))},
		{name: "38 Unmanaged and none there", in: flannel(withoutKubeProxy), warnings: []string{
			"spec.kubeProxy.mode: Unmanaged, and no kube-proxy was found: Services work only if something else programs them (k3s and RKE2 run kube-proxy outside of pods)",
		}},
		{name: "kube-proxy fields with Replaced", in: cilium(mode(KubeProxyReplaced), proxyVersion("1.36.3"), func(in *Input) {
			in.Stack.Spec.KubeProxy.Namespace = "kube-system"
			in.Stack.Spec.KubeProxy.Chart = &ChartReference{Repository: "https://charts.example.com"}
			in.Stack.Spec.KubeProxy.Values = rawValues(map[string]any{"a": 1})
			in.Stack.Spec.KubeProxy.ValuesFrom = []ValuesReference{{Kind: ValuesFromSecret, Name: "v"}}
		}), errors: []string{
			"spec.kubeProxy.version: Forbidden: with mode Replaced no kube-proxy is installed: remove it, or choose IPTables or NFTables",
			"spec.kubeProxy.namespace: Forbidden: with mode Replaced no kube-proxy is installed: remove it, or choose IPTables or NFTables",
			"spec.kubeProxy.chart: Forbidden: with mode Replaced no kube-proxy is installed: remove it, or choose IPTables or NFTables",
			"spec.kubeProxy.values: Forbidden: with mode Replaced no kube-proxy is installed: remove it, or choose IPTables or NFTables",
			"spec.kubeProxy.valuesFrom: Forbidden: with mode Replaced no kube-proxy is installed: remove it, or choose IPTables or NFTables",
		}},
		{name: "kube-proxy cannot tell the pods of an external CNI", in: external(withoutKubeProxy, noPools, mode(KubeProxyIPTables), cluster(func(s *facts.Snapshot) {
			s.Installed = []facts.Installed{{Type: facts.InstalledAntrea, Namespace: "kube-system", Name: "antrea-agent"}}
			for i := range s.Nodes {
				s.Nodes[i].PodCIDRs = nil
			}
		})), errors: []string{
			"spec.ipPools: Required value: kube-proxy must know the pods' ranges, and no node has spec.podCIDRs: state the ranges of the external CNI",
		}},
		{name: "kube-proxy with several ranges of an unknown external CNI", in: external(pools(poolOf("a", "10.244.0.0/16", "10.245.0.0/16")), mode(KubeProxyIPTables), cluster(func(s *facts.Snapshot) {
			s.Installed = []facts.Installed{{Type: facts.InstalledAntrea, Namespace: "kube-system", Name: "antrea-agent"}}
		})), warnings: []string{
			"spec.ipPools: kube-proxy takes one CIDR per family and ipPools has more: it will not tell pods from others, and clients outside of the cluster cannot use ClusterIPs",
		}},
	}
}

func cniFindings() []finding {
	found := func(i facts.Installed) func(*Input) {
		return cluster(func(s *facts.Snapshot) { s.Installed = append(s.Installed, i) })
	}
	ourCilium := func(image string) func(*Input) {
		return found(facts.Installed{Type: facts.InstalledCilium, Namespace: "kube-system", Name: "cilium", Component: "cilium", Image: image})
	}
	version := func(v string) func(*Input) { return func(in *Input) { in.Stack.Spec.CNI.Version = v } }
	kubernetes := func(v string) func(*Input) { return cluster(func(s *facts.Snapshot) { s.KubernetesVersion = v }) }
	chart := func(repository string) func(*Input) {
		return func(in *Input) { in.Stack.Spec.CNI.Chart = &ChartReference{Repository: repository} }
	}
	return []finding{
		{name: "33 replacement and kube-proxy", in: cilium(values(map[string]any{"kubeProxyReplacement": "true"})), errors: []string{
			"spec.cni.values: Forbidden: values.kubeProxyReplacement is controlled by spec.kubeProxy; remove it",
		}},
		{name: "42 foreign Calico", in: cilium(found(facts.Installed{Type: facts.InstalledCalico, Namespace: "calico-system", Name: "calico-node", Manager: "Helm release tigera-operator/calico"})), errors: []string{
			`spec.cni.type: Invalid value: "Cilium": DaemonSet calico-system/calico-node is Calico, managed by "Helm release tigera-operator/calico"; two network plugins break every pod: set cni.type to External to leave it there, or remove it first`,
		}},
		{name: "42 our own of the other type", in: flannel(ourCilium("quay.io/cilium/cilium:v1.20.0")), errors: []string{
			`spec.cni.type: Invalid value: "Flannel": DaemonSet kube-system/cilium is Cilium, installed by NetworkStack as component cilium; two network plugins break every pod: set cni.type to External to leave it there, or remove it first`,
		}},
		{name: "42 foreign of the same type", in: flannel(found(facts.Installed{Type: facts.InstalledFlannel, Namespace: "kube-flannel", Name: "kube-flannel-ds"})), errors: []string{
			`spec.cni.type: Invalid value: "Flannel": DaemonSet kube-flannel/kube-flannel-ds is Flannel already, which NetworkStack did not install; taking it over is not supported yet: set cni.type to External to leave it there`,
		}},
		{name: "42 External and none there", in: input(CNIExternal), warnings: []string{
			"spec.cni.type: External, and no network plugin was found: pods get no network until one is installed",
		}},
		{name: "43 skips a minor", in: cilium(ourCilium("quay.io/cilium/cilium:v1.18.12@sha256:" + strings.Repeat("a", 64))), errors: []string{
			`spec.cni.version: Invalid value: "1.20.0": Cilium 1.18 → 1.20 skips 1.19; one minor at a time: go to 1.19 first`,
		}},
		{name: "43 one minor up", in: cilium(ourCilium("registry.example.com:5000/cilium/cilium:v1.19.6"))},
		{name: "43 one minor down", in: cilium(ourCilium("quay.io/cilium/cilium:v1.20.0"), version("1.19.6"), kubernetes("v1.34.0")), errors: []string{
			`spec.cni.version: Invalid value: "1.19.6": Cilium 1.20 is installed; going down to 1.19 is not safe: use 1.20 or newer`,
		}},
		{name: "43 another major", in: cilium(ourCilium("quay.io/cilium/cilium:v2.0.0")), errors: []string{
			`spec.cni.version: Invalid value: "1.20.0": Cilium 2.0.0 → 1.20.0 changes the major version: stay within 2`,
		}},
		{name: "43 one patch down", in: cilium(ourCilium("quay.io/cilium/cilium:v1.20.2"))},
		{name: "43 image without a tag", in: cilium(ourCilium("localhost:5000/cilium@sha256:" + strings.Repeat("a", 64)))},
		{name: "44 Kubernetes newer than tested", in: cilium(kubernetes("v1.37.2")), warnings: []string{
			"spec.cni.version: Cilium 1.20.0 is tested with Kubernetes 1.33 to 1.36; the cluster is 1.37",
		}},
		{name: "44 Kubernetes older than tested", in: cilium(kubernetes("v1.31.0")), warnings: []string{
			"spec.cni.version: Cilium 1.20.0 is tested with Kubernetes 1.33 to 1.36; the cluster is 1.31",
		}},
		{name: "44 version not in the catalogue", in: cilium(version("1.20.9")), warnings: []string{
			"spec.cni.version: Cilium 1.20.9 is not in the catalogue (1.20.0, 1.19.6): it was not tested with this operator and its chart is not checked against a digest",
		}},
		{name: "44 version not in the binary", in: flannel(version("0.27.0")), warnings: []string{
			"spec.cni.version: Flannel 0.27.0 is not in the catalogue, and this operator carries 0.28.9 only: it must come from a charts directory, or name its repository in chart",
		}},
		{name: "44 version of another source", in: cilium(version("1.20.9"), chart("https://charts.example.com"))},
		{name: "57 controlled values", in: cilium(values(map[string]any{
			"MTU": 1400, "ipam": map[string]any{"mode": "eni"}, "ipv6": nil, "operator": map[string]any{"replicas": 3},
			"encryption": map[string]any{"ipsec": map[string]any{"secretName": "x"}},
		})), errors: []string{
			"spec.cni.values: Forbidden: values.MTU is controlled by spec.mtu; remove it",
			"spec.cni.values: Forbidden: values.encryption.ipsec.secretName is controlled by spec.cni.encryption; remove it",
			"spec.cni.values: Forbidden: values.ipam.mode is controlled by spec.ipPools; remove it",
			"spec.cni.values: Forbidden: values.ipv6 is controlled by spec.ipFamilies; remove it",
		}},
		{name: "57 controlled values of Flannel", in: flannel(values(map[string]any{"podCidr": "10.0.0.0/8", "flannel": map[string]any{"backend": "udp", "cniBinDir": "/bin"}})), errors: []string{
			"spec.cni.values: Forbidden: values.flannel.backend is controlled by spec.cni.encapsulation; remove it",
			"spec.cni.values: Forbidden: values.podCidr is controlled by spec.ipPools; remove it",
		}},
		{name: "57 Flannel's arguments undone", in: flannel(values(map[string]any{"flannel": map[string]any{"args": []any{"--iface=eth1"}}})), errors: []string{
			"spec.cni.values: Invalid value: values.flannel.args lacks --kube-subnet-mgr, without which flanneld looks for an etcd of its own: add it",
			"spec.cni.values: Invalid value: values.flannel.args lacks --ip-masq, but natOutgoing is Enabled: add it, or set natOutgoing to Disabled",
		}},
		{name: "57 Flannel's arguments extended", in: flannel(values(map[string]any{"flannel": map[string]any{"args": []any{"--ip-masq", "--kube-subnet-mgr", "--iface=eth1"}}}))},
		{name: "57 Flannel masquerades against the pools", in: flannel(func(in *Input) { in.Stack.Spec.IPPools[0].NATOutgoing = Disabled },
			values(map[string]any{"flannel": map[string]any{"args": []any{"--ip-masq", "--kube-subnet-mgr"}}})), errors: []string{
			"spec.cni.values: Invalid value: values.flannel.args has --ip-masq, but natOutgoing is Disabled: remove it, or set natOutgoing to Enabled",
		}},
		{name: "Flannel's arguments no list", in: flannel(values(map[string]any{"flannel": map[string]any{"args": "--ip-masq"}})), errors: []string{
			"spec.cni.values: Invalid value: values.flannel.args must be a list of arguments",
		}},
		{name: "Flannel with Geneve", in: flannel(encapsulation(EncapsulationGeneve)), errors: []string{
			`spec.cni.encapsulation: Invalid value: "Geneve": Flannel has no Geneve backend: use VXLAN or None, or type Cilium`,
		}},
		{name: "Flannel with IPsec", in: flannel(encryption(EncryptionIPsec)), errors: []string{
			`spec.cni.encryption.type: Invalid value: "IPsec": Flannel's IPsec backend is experimental and not supported: use WireGuard, or type Cilium`,
		}},
		{name: "Flannel with WireGuard and encapsulation", in: flannel(encryption(EncryptionWireGuard), encapsulation(EncapsulationVXLAN)), errors: []string{
			`spec.cni.encapsulation: Invalid value: "VXLAN": Flannel's WireGuard backend is itself the encapsulation: remove encapsulation, or set encryption.type to None`,
		}},
		{name: "External with settings", in: external(encapsulation(EncapsulationVXLAN), encryption(EncryptionNone), version("1.0.0"), values(map[string]any{}), chart("https://charts.example.com"), func(in *Input) {
			in.Stack.Spec.CNI.Namespace = "kube-system"
			in.Stack.Spec.CNI.ValuesFrom = []ValuesReference{{Kind: ValuesFromSecret, Name: "v"}}
		}), errors: []string{
			"spec.cni.encapsulation: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type",
			"spec.cni.encryption: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type",
			"spec.cni.version: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type",
			"spec.cni.namespace: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type",
			"spec.cni.chart: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type",
			"spec.cni.values: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type",
			"spec.cni.valuesFrom: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type",
		}},
		{name: "ipsec block with WireGuard", in: cilium(func(in *Input) {
			in.Stack.Spec.CNI.Encryption = &EncryptionSpec{Type: EncryptionWireGuard, IPsec: &IPsecSpec{SecretName: "keys"}}
		}), errors: []string{
			"spec.cni.encryption.ipsec: Forbidden: is read only with type IPsec: remove it, or set type to IPsec",
		}},
		{name: "IPsec with what it excludes", in: cilium(encryption(EncryptionIPsec), values(map[string]any{
			"hostFirewall": map[string]any{"enabled": true}, "cni": map[string]any{"chainingMode": "portmap"},
			"encryption": map[string]any{"strictMode": map[string]any{"ingress": map[string]any{"enabled": true}}},
		})), errors: []string{
			"spec.cni.values: Invalid value: values.hostFirewall.enabled does not work with IPsec; Cilium's agents stop on start: remove it, or choose WireGuard",
			"spec.cni.values: Invalid value: values.encryption.strictMode.ingress.enabled works with WireGuard only: remove it, or choose WireGuard",
			"spec.cni.values: Invalid value: values.cni.chainingMode does not work with IPsec: remove it, or choose WireGuard",
		}},
		{name: "DSR over VXLAN", in: cilium(values(map[string]any{"loadBalancer": map[string]any{"mode": "dsr"}, "autoDirectNodeRoutes": true})), errors: []string{
			"spec.cni.values: Invalid value: values.loadBalancer.mode dsr does not work over VXLAN; Cilium's agents stop on start: set encapsulation to Geneve (with loadBalancer.dsrDispatch geneve) or None",
			"spec.cni.values: Invalid value: values.autoDirectNodeRoutes works without a tunnel only; Cilium's agents stop on start: remove it, or set encapsulation to None",
		}},
		{name: "native routing with several ranges", in: cilium(encapsulation(EncapsulationNone), cidrs("10.244.0.0/16", "10.245.0.0/16")), errors: []string{
			`spec.cni.encapsulation: Invalid value: "None": native routing needs one IPv4 range that holds all pods, and ipPools has 2: use one CIDR, or set cni.values.ipv4NativeRoutingCIDR to a range that holds them all`,
		}},
		{name: "native routing with several ranges and a value", in: cilium(encapsulation(EncapsulationNone), cidrs("10.244.0.0/16", "10.245.0.0/16"), values(map[string]any{"ipv4NativeRoutingCIDR": "10.244.0.0/15"}))},
		{name: "kernels Cilium is not tested with", in: cilium(cluster(func(s *facts.Snapshot) {
			s.Nodes[0].KernelVersion, s.Nodes[1].KernelVersion, s.Nodes[2].KernelVersion = "5.4.0-150-generic", "4.18.0-553.el8_10.x86_64", "4.18.0-477.el8_8.x86_64"
		})), warnings: []string{
			"spec.cni.type: nodes n1 and n3 have a kernel older than 5.10 (RHEL 8: 8.10), which Cilium is not tested with",
		}},
		{name: "no catalogue entry", in: func() Input { in := cilium(); in.Catalog = nil; return in }(), errors: []string{
			"spec.cni: Internal error: the catalogue has no entry for Cilium: correct the catalogue",
		}},
	}
}

func objectFindings() []finding {
	return []finding{
		{name: "no stack", in: Input{}, errors: []string{
			"spec: Required value: there is no NetworkStack",
		}},
		{name: "enums", in: cilium(func(in *Input) {
			s := &in.Stack.Spec
			s.IPFamilies = []IPFamily{"IPv4", "IPv4", "IPX"}
			s.IPPools[0].NATOutgoing = "Maybe"
			s.CNI.Type = "Weave"
			s.CNI.Encapsulation = "GRE"
			s.CNI.Encryption = &EncryptionSpec{Type: "TLS"}
			s.Drift = &DriftSpec{Mode: "Fix"}
			s.DeletionPolicy = "Keep"
		}), errors: []string{
			`spec.ipFamilies[1]: Duplicate value: "IPv4": list IPv4, IPv6, or both once`,
			`spec.ipFamilies[2]: Unsupported value: "IPX": supported values: "IPv4", "IPv6"`,
			`spec.ipPools[0].natOutgoing: Unsupported value: "Maybe": supported values: "Enabled", "Disabled"`,
			`spec.cni.type: Unsupported value: "Weave": supported values: "Flannel", "Cilium", "External"`,
			`spec.cni.encapsulation: Unsupported value: "GRE": supported values: "VXLAN", "Geneve", "None"`,
			`spec.cni.encryption.type: Unsupported value: "TLS": supported values: "None", "WireGuard", "IPsec"`,
			`spec.drift.mode: Unsupported value: "Fix": supported values: "Correct", "Warn", "Ignore"`,
			`spec.deletionPolicy: Unsupported value: "Keep": supported values: "Orphan", "Delete"`,
		}},
		{name: "component settings", in: cilium(func(in *Input) {
			c := &in.Stack.Spec.CNI
			c.Version, c.Namespace = "latest", "Kube_System"
			c.Chart = &ChartReference{Repository: "ftp://charts.example.com", Digest: "sha256:abc"}
			c.Values = &apiextensionsv1.JSON{Raw: []byte(`["a"]`)}
			c.ValuesFrom = []ValuesReference{{Kind: "File"}}
		}), errors: []string{
			`spec.cni.version: Invalid value: "latest": is not a version: write three numbers, such as 1.20.0`,
			`spec.cni.namespace: Invalid value: "Kube_System": is not the name of a namespace: use lower-case letters, digits and "-"`,
			`spec.cni.chart.repository: Invalid value: "ftp://charts.example.com": must be an https:// (or http://) Helm repository or an oci:// registry path`,
			`spec.cni.chart.digest: Invalid value: "sha256:abc": write sha256: and 64 hexadecimal digits`,
			`spec.cni.valuesFrom[0].kind: Unsupported value: "File": supported values: "ConfigMap", "Secret"`,
			"spec.cni.valuesFrom[0].name: Required value: name the object that holds the values",
			"spec.cni.values: Invalid value: must be a map of Helm values, not a list",
		}},
		{name: "values no JSON", in: cilium(func(in *Input) {
			in.Stack.Spec.CNI.Values = &apiextensionsv1.JSON{Raw: []byte(`{"password":"hunter2"`)}
		}), errors: []string{
			"spec.cni.values: Invalid value: not valid JSON: unexpected end of JSON input",
		}},
		{name: "values null", in: cilium(func(in *Input) { in.Stack.Spec.CNI.Values = &apiextensionsv1.JSON{Raw: []byte(`null`)} })},
		{name: "sources", in: cilium(spec(func(s *NetworkStackSpec) {
			s.Sources = &Sources{ChartsDirectory: "charts", ImageRegistry: "https://registry.example.com", Mirrors: []Mirror{
				{Source: "https://helm.cilium.io", Mirror: "oci://registry.example.com/charts"},
				{Source: "https://helm.cilium.io", Mirror: "https://user:secret@charts.example.com"},
				{Source: "helm", Mirror: ""},
			}}
		})), errors: []string{
			`spec.sources.chartsDirectory: Invalid value: "charts": must be an absolute path`,
			`spec.sources.imageRegistry: Invalid value: "https://registry.example.com": write the registry without a scheme, such as registry.example.com/mirror`,
			"spec.sources.mirrors[1].mirror: Invalid value: must not hold credentials: this object is readable by many",
			`spec.sources.mirrors[1].source: Duplicate value: "https://helm.cilium.io": a source has one mirror: remove one of them`,
			`spec.sources.mirrors[2].source: Invalid value: "helm": must be an https:// (or http://) Helm repository or an oci:// registry path`,
			"spec.sources.mirrors[2].mirror: Required value: name an https:// or oci:// chart repository",
		}},
		{name: "pool without a name and CIDRs", in: cilium(pools(IPPool{})), errors: []string{
			"spec.ipPools[0].name: Required value: give the pool a name, such as default",
			"spec.ipPools[0].cidrs: Required value: a pool needs at least one CIDR, such as 10.244.0.0/16",
		}},
		{name: "pool with a strange name", in: cilium(pools(poolOf("A b", "10.244.0.0/16"))), errors: []string{
			`spec.ipPools[0].name: Invalid value: "A b": use lower-case letters, digits and "-"`,
		}},
		{name: "everything at once", in: cilium(cidrs("10.96.0.0/16", "10.244.0.5/16"), mtu(500), mode(KubeProxyReplaced), func(in *Input) {
			in.Stack.Spec.Cluster = &PinnedFacts{APIServer: &Endpoint{Host: "10.96.0.1"}}
			in.Stack.Spec.CNI.Values = rawValues(map[string]any{"MTU": 1})
		}), errors: []string{
			`spec.ipPools[0].cidrs[1]: Invalid value: "10.244.0.5/16": has host bits set; did you mean "10.244.0.0/16"?`,
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.96.0.0/16": overlaps the Service range 10.96.0.0/12 (ServiceCIDR/kubernetes): choose another range`,
			"spec.mtu: Invalid value: 500: must be from 576 to 65536, or 0 to have it derived",
			`spec.cluster.apiServer.host: Invalid value: "10.96.0.1": is a Service address (of default/kubernetes) and will vanish with kube-proxy; give the real endpoint: a load balancer, a virtual IP or a node-local proxy`,
			"spec.cni.values: Forbidden: values.MTU is controlled by spec.mtu; remove it",
		}},
	}
}
