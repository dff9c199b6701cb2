package compose

import (
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
	ippools "github.com/networkstack/networkstack/internal/pools"
)

// ciliumBlock edits cni.cilium.
func ciliumBlock(edit func(*CiliumSpec)) func(*Input) {
	return spec(func(s *NetworkStackSpec) {
		if s.CNI.Cilium == nil {
			s.CNI.Cilium = &CiliumSpec{}
		}
		edit(s.CNI.Cilium)
	})
}

// multi has each pool be a CiliumPodIPPool.
func multi(in *Input) { ciliumBlock(func(c *CiliumSpec) { c.IPAM = CiliumMultiPool })(in) }

// withLabel is a selector of a label.
func withLabel(key, value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

// router is a peer that is accepted.
func router(name, address string, edits ...func(*CiliumBGPPeer)) CiliumBGPPeer {
	p := CiliumBGPPeer{Name: name, Address: address, ASN: 64512}
	for _, edit := range edits {
		edit(&p)
	}
	return p
}

// bgp has all nodes speak to these peers.
func bgp(peers ...CiliumBGPPeer) func(*Input) {
	return bgpSpec(CiliumBGPInstance{Name: "rack", LocalASN: 64600, Peers: peers})
}

func bgpSpec(instances ...CiliumBGPInstance) func(*Input) {
	return ciliumBlock(func(c *CiliumSpec) {
		c.BGP = &CiliumBGPSpec{Advertise: []CiliumAdvertised{CiliumAdvertisePods}, Instances: instances}
	})
}

func bandwidth(m CiliumBandwidthManager) func(*Input) {
	return ciliumBlock(func(c *CiliumSpec) { c.BandwidthManager = m })
}

func flowLogs(to Toggle) func(*Input) {
	return spec(func(s *NetworkStackSpec) { s.CNI.FlowLogs = to })
}

// installedCilium has Cilium in the cluster as the stack was composed before the edits.
func installedCilium(before []func(*Input), after ...func(*Input)) Input {
	old, in := cilium(before...), cilium(after...)
	in.Existing = map[string]NetworkComponentSpec{}
	for _, r := range Compose(old).Releases {
		in.Existing[r.Name] = r.Spec
	}
	in.Facts.Installed = append(in.Facts.Installed, facts.Installed{
		Type: facts.InstalledCilium, Namespace: "kube-system", Name: "cilium", Component: "cilium", Image: "quay.io/cilium/cilium:v1.20.0",
	})
	return in
}

// fastPool is a pool for the pods of some namespaces.
func fastPool(edits ...func(*IPPool)) IPPool {
	p := poolOf("fast", "10.245.0.0/16")
	p.NamespaceSelector = withLabel("team", "fast")
	for _, edit := range edits {
		edit(&p)
	}
	return p
}

func ciliumPoolFindings() []finding {
	replaced := mode(KubeProxyReplaced)
	main := poolOf("default", "10.244.0.0/16")
	two := pools(main, fastPool())
	as := func(edits ...func(*Input)) []func(*Input) { return edits }
	unreadable := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}
	disabled := func(p *IPPool) { p.Disabled = true }
	noNAT := func(p *IPPool) { p.NATOutgoing = Disabled }
	mask := func(bits int32) func(*IPPool) {
		return func(p *IPPool) { p.NodeMaskSizes = &NodeMaskSizes{IPv4: &bits} }
	}
	with := func(p IPPool, edits ...func(*IPPool)) IPPool {
		for _, edit := range edits {
			edit(&p)
		}
		return p
	}
	version := func(v string) func(*Input) { return func(in *Input) { in.Stack.Spec.CNI.Version = v } }
	masquerades := "spec.cni.cilium.ipam: Invalid value: \"MultiPool\": masquerading knows the pools' addresses in eBPF only, which needs kubeProxy.mode Replaced, and that is Unmanaged: " +
		"set it, disable natOutgoing of every pool, or name the interfaces in values.egressMasqueradeInterfaces [CILIUM-MULTI-POOL-MASQUERADE]"
	return []finding{
		{name: "several pools", in: cilium(multi, replaced, two)},
		{name: "several pools of both families", in: cilium(dual, multi, replaced), warnings: []string{masqueradesIPv6}},
		{name: "several pools without a tunnel", in: cilium(multi, replaced, encapsulation(EncapsulationNone), two)},
		{name: "several pools with IPsec", in: cilium(multi, replaced, encryption(EncryptionIPsec), two)},
		{name: "several pools, without masquerading", in: cilium(multi, pools(with(main, noNAT), fastPool(noNAT)))},
		{name: "several pools, masqueraded on named interfaces", in: cilium(multi, two, values(object{"egressMasqueradeInterfaces": "eth0"}))},
		{name: "several pools, not all masqueraded", in: cilium(multi, replaced, pools(main, fastPool(noNAT)))},
		{name: "several pools, disabled", in: cilium(multi, replaced, pools(main, fastPool(disabled, func(p *IPPool) { p.BGPExport = Disabled })))},
		{name: "several pools beside kube-proxy", in: cilium(multi, two), errors: []string{masquerades}},
		{name: "several pools, not all masqueraded, beside kube-proxy", in: cilium(multi, pools(main, fastPool(noNAT))), errors: []string{masquerades,
			`spec.ipPools[1].natOutgoing: Invalid value: "Disabled": Cilium masquerades some pools and not others in eBPF only: make natOutgoing of all pools equal, or set kubeProxy.mode to Replaced [NAT-DIFFERS]`,
		}},
		{name: "several pools, the rest by reference", in: cilium(multi, two, func(in *Input) {
			in.Stack.Spec.CNI.ValuesFrom = []ValuesReference{{Kind: ValuesFromConfigMap, Name: "more"}}
		})},
		{name: "several pools without a tunnel, masqueraded on named interfaces", in: cilium(multi, two, encapsulation(EncapsulationNone), values(object{"egressMasqueradeInterfaces": "eth0"})), errors: []string{
			`spec.cni.encapsulation: Invalid value: "None": native routing needs one IPv4 range that holds all pods, and ipPools has 2: use one CIDR, or set cni.values.ipv4NativeRoutingCIDR to a range that holds them all [CILIUM-NATIVE-RANGES]`,
		}},
		{name: "several pools without a tunnel beside kube-proxy", in: cilium(multi, two, encapsulation(EncapsulationNone)), errors: []string{masquerades}},
		{name: "several pools of an old Cilium", in: cilium(multi, replaced, two, version("1.18.4")), errors: []string{
			`spec.cni.cilium.ipam: Invalid value: "MultiPool": Cilium 1.18.4 cannot select pods for a pool, nor encrypt all routes with IPsec: use 1.19 or newer, or ClusterPool [CILIUM-MULTI-POOL-VERSION]`,
		}, warnings: []string{
			"spec.cni.version: Cilium 1.18.4 is not in the catalogue (1.20.0, 1.19.6): it was not tested with this operator and its chart is not checked against a digest [VERSION-UNKNOWN]",
		}},
		{name: "no pool is default", in: cilium(multi, replaced, pools(poolOf("main", "10.244.0.0/16"))), errors: []string{
			"spec.ipPools: Required value: with MultiPool a pool has to be named default: Cilium's own pods, and all that no other pool is for, get their addresses of it [CILIUM-POOL-DEFAULT]",
		}},
		{name: "MultiPool without pools", in: cilium(multi, replaced, noPools), errors: []string{
			"spec.ipPools: Required value: with MultiPool a pool has to be named default: Cilium's own pods, and all that no other pool is for, get their addresses of it [CILIUM-POOL-DEFAULT]",
		}},
		{name: "the pool default lacks a family", in: cilium(dual, multi, replaced, pools(main, poolOf("six", "fd00:10:244::/56"))), errors: []string{
			"spec.ipPools[0].cidrs: Required value: the pool default has no IPv6 CIDR, so pods that no other pool is for would get no IPv6 address: add one [CILIUM-POOL-DEFAULT]",
		}, warnings: []string{masqueradesIPv6,
			"spec.ipPools[1].cidrs: the pool has no IPv4 CIDR: pods must name it in the annotation ipam.cilium.io/ipv6-pool and not in ipam.cilium.io/ip-pool [CILIUM-POOL-FAMILY]",
		}},
		{name: "a pool lacks a family", in: cilium(dual, multi, replaced, pools(poolOf("default", "10.244.0.0/16", "fd00:10:244::/56"), fastPool())), warnings: []string{masqueradesIPv6,
			"spec.ipPools[1].cidrs: the pool has no IPv6 CIDR: pods must name it in the annotation ipam.cilium.io/ipv4-pool and not in ipam.cilium.io/ip-pool [CILIUM-POOL-FAMILY]",
		}},
		{name: "the pool default selects", in: cilium(multi, replaced, pools(with(main, func(p *IPPool) { p.PodSelector, p.Disabled = withLabel("a", "b"), true }))), errors: []string{
			"spec.ipPools[0].podSelector: Forbidden: the pool default is for all pods that no other pool is for: remove it, or give such pods a pool of their own [CILIUM-POOL-DEFAULT-FIELD]",
			"spec.ipPools[0].disabled: Forbidden: the pool default is for all pods that no other pool is for, Cilium's own among them: remove it [CILIUM-POOL-DEFAULT-FIELD]",
		}},
		{name: "a pool selects, and there is one only", in: cilium(pools(main, fastPool())), errors: []string{
			"spec.ipPools[1].namespaceSelector: Forbidden: is a setting of Cilium's MultiPool: remove it, or set cni.cilium.ipam to MultiPool [CILIUM-POOL-FIELD]",
		}},
		{name: "a pool of Calico's selects", in: calico(pools(main, with(fastPool(), func(p *IPPool) { p.NodeMaskSizes, p.PodSelector = nil, withLabel("a", "b") }))), errors: []string{
			"spec.ipPools[1].podSelector: Forbidden: the pools of Calico's Installation do not select pods by labels: remove it, set onRequest, and name the pool's IPPools (kubectl get ippools) in the annotation cni.projectcalico.org/ipv4pools, or ipv6pools, of such pods [CILIUM-POOL-FIELD]",
			"spec.ipPools[1].namespaceSelector: Forbidden: the pools of Calico's Installation do not select pods by labels: remove it, set onRequest, and name the pool's IPPools (kubectl get ippools) in the annotation cni.projectcalico.org/ipv4pools, or ipv6pools, of such namespaces [CILIUM-POOL-FIELD]",
		}},
		{name: "a pool selects in a way that nobody knows", in: cilium(multi, replaced, pools(main, fastPool(func(p *IPPool) { p.PodSelector = unreadable }))), errors: []string{
			`spec.ipPools[1].podSelector: Invalid value: "Near" is not a valid label selector operator: write labels and operators as Kubernetes does [CILIUM-SELECTOR]`,
		}},
		{name: "a node's range is larger than its pool", in: cilium(multi, replaced, pools(main, with(poolOf("small", "10.245.0.0/27"), mask(26)))), errors: []string{
			`spec.ipPools[1].cidrs[0]: Invalid value: "10.245.0.0/27": is smaller than the range of one node (/26): use a shorter prefix, or a longer nodeMaskSizes.ipv4 [MASK-LARGER-THAN-POOL]`,
		}},
		{name: "a small pool", in: cilium(multi, replaced, pools(main, poolOf("small", "10.245.0.0/27")))},
		{name: "a node mask of no CIDR", in: cilium(multi, replaced, pools(main, with(poolOf("six", "10.245.0.0/27"), func(p *IPPool) { p.NodeMaskSizes = &NodeMaskSizes{IPv6: ptr(int32(64))} }))), warnings: []string{
			"spec.ipPools[1].nodeMaskSizes.ipv6: has no effect: the pool has no IPv6 CIDR [MASK-NO-EFFECT]",
		}},
		{name: "the pool default has a range for each node", in: cilium(multi, replaced, pools(with(main, func(p *IPPool) { p.CIDRs = []string{"10.244.0.0/25", "10.244.1.0/26"} })))},
		{name: "the pool default is short of ranges", in: cilium(multi, replaced, pools(with(main, func(p *IPPool) { p.CIDRs = []string{"10.244.0.0/25"} }), poolOf("more", "10.245.0.0/16"))), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/25": the pool default gives 2 IPv4 ranges of /26 but 3 nodes exist, each of which needs one: add a CIDR, use a shorter prefix, or a longer nodeMaskSizes.ipv4 [POOL-TOO-FEW-RANGES]`,
		}},

		{name: "installed pools, the same again", in: installedCilium(as(multi, replaced, two), multi, replaced, two)},
		{name: "installed pools, a CIDR and a pool more", in: installedCilium(as(multi, replaced, two), multi, replaced,
			pools(poolOf("default", "10.244.0.0/16", "10.250.0.0/16"), fastPool(), poolOf("more", "10.246.0.0/16")))},
		{name: "installed pools, another CIDR and mask", in: installedCilium(as(multi, replaced, two), multi, replaced,
			pools(with(main, mask(25)), fastPool(func(p *IPPool) { p.CIDRs = []string{"10.246.0.0/16"} }))), errors: []string{
			"spec.ipPools[0].nodeMaskSizes.ipv4: Invalid value: 25: nodes have ranges of /26 of the pool, whose size cannot be changed: set it to 26, or add another pool [CILIUM-POOL-CHANGED]",
			`spec.ipPools[1].cidrs: Invalid value: "10.246.0.0/16": 10.245.0.0/16 is in use and cannot be changed or removed: restore it, and add CIDRs beside it; to be rid of it, add another pool, disable this one, and remove it when no pod has an address of it [CILIUM-POOL-CHANGED]`,
		}},
		{name: "installed pools, and a CIDR that cannot be read", in: installedCilium(as(multi, replaced, two), multi, replaced,
			pools(main, fastPool(func(p *IPPool) { p.CIDRs = []string{"10.245.0.0"} }))), errors: []string{
			`spec.ipPools[1].cidrs[0]: Invalid value: "10.245.0.0": has no prefix length: write a CIDR such as 10.244.0.0/16 [CIDR-FORM]`,
		}},
		{name: "an installed pool goes", in: installedCilium(as(multi, replaced, two), multi, replaced, pools(main)), errors: []string{
			"spec.ipPools: Forbidden: the pool fast would be deleted with pods that have addresses of it: restore it, set disabled, re-create its pods, and remove it then [CILIUM-POOL-CHANGED]",
		}},
		{name: "a disabled pool goes", in: installedCilium(as(multi, replaced, pools(main, fastPool(disabled))), multi, replaced, pools(main), given()), warnings: []string{
			"spec.ipPools: the pool fast goes away; no node has a range of it [CILIUM-POOL-REMOVED]",
		}},
		{name: "a disabled pool goes that nodes have ranges of", in: installedCilium(as(multi, replaced, pools(main, fastPool(disabled))), multi, replaced, pools(main),
			given(ippools.Allocation{Pool: "fast", Range: netip.MustParsePrefix("10.245.3.0/26"), Node: "n2"})), errors: []string{
			"spec.ipPools: Forbidden: 10.245.0.0/16 of the disabled pool fast has ranges of node n2: restore it, re-create the pods that have addresses of it, and remove it when the nodes have given them back [CILIUM-POOL-IN-USE]",
		}},
		{name: "a disabled pool goes, and nobody knows yet", in: installedCilium(as(multi, replaced, pools(main, fastPool(disabled))), multi, replaced, pools(main)), errors: []string{
			"spec.ipPools: Forbidden: whether pods have addresses of 10.245.0.0/16 is not known yet, so it cannot be removed: wait, and it is looked at again; or restore it [POOL-USE-UNKNOWN]",
		}},
		{name: "an installed Cilium, several pools for the first time", in: installedCilium(as(replaced), multi, replaced), errors: []string{
			"spec.cni.cilium.ipam: Forbidden: the nodes of this Cilium have ranges by ClusterPool, which cannot be changed in place: restore it [CILIUM-POOL-CHANGED]",
		}},
		{name: "installed pools, one for all", in: installedCilium(as(multi, replaced, two), replaced, cidrs("10.244.0.0/16", "10.245.0.0/16")), errors: []string{
			"spec.cni.cilium.ipam: Forbidden: the nodes of this Cilium have ranges by MultiPool, which cannot be changed in place: restore it [CILIUM-POOL-CHANGED]",
		}},
	}
}

func ciliumBGPFindings() []finding {
	replaced := mode(KubeProxyReplaced)
	first := router("first", "192.168.10.1")
	edit := func(edit func(*CiliumBGPSpec)) func(*Input) {
		return ciliumBlock(func(c *CiliumSpec) { edit(c.BGP) })
	}
	kernel := func(v string) func(*Input) {
		return cluster(func(s *facts.Snapshot) { s.Nodes[1].KernelVersion = v })
	}
	ipsec := func(edit func(*EncryptionSpec)) func(*Input) {
		return func(in *Input) {
			encryption(EncryptionIPsec)(in)
			edit(in.Stack.Spec.CNI.Encryption)
		}
	}
	return []finding{
		{name: "BGP", in: cilium(bgp(first, router("second", "fd00:192::1")))},
		{name: "BGP of everything", in: cilium(bgp(router("first", "192.168.10.1", func(p *CiliumBGPPeer) {
			p.Port, p.PasswordSecretName, p.EBGPMultihop, p.HoldTimeSeconds, p.KeepAliveTimeSeconds, p.GracefulRestart = 1179, "router", 2, 9, 3, Enabled
		})), edit(func(b *CiliumBGPSpec) {
			b.Advertise, b.ServiceSelector = append(b.Advertise, CiliumAdvertiseLoadBalancerIPs), withLabel("public", "yes")
		}))},
		{name: "BGP of two racks", in: cilium(bgpSpec(
			CiliumBGPInstance{Name: "a", LocalASN: 64600, NodeSelector: withLabel("rack", "a"), Peers: []CiliumBGPPeer{first}},
			CiliumBGPInstance{Name: "b", LocalASN: 64601, NodeSelector: withLabel("rack", "b"), Peers: []CiliumBGPPeer{first}},
		))},
		{name: "BGP of an old Cilium", in: cilium(bgp(first), func(in *Input) { in.Stack.Spec.CNI.Version = "1.17.9" }), errors: []string{
			"spec.cni.cilium.bgp: Forbidden: Cilium 1.17.9 is told in another way: use 1.18 or newer, or remove it [CILIUM-BGP-VERSION]",
		}, warnings: []string{
			"spec.cni.version: Cilium 1.17.9 is not in the catalogue (1.20.0, 1.19.6): it was not tested with this operator and its chart is not checked against a digest [VERSION-UNKNOWN]",
		}},
		{name: "BGP about nothing", in: cilium(bgp(), edit(func(b *CiliumBGPSpec) { b.Advertise = nil })), errors: []string{
			"spec.cni.cilium.bgp.advertise: Required value: say what is announced: Pods, LoadBalancerIPs, or both [CILIUM-BGP-NOTHING]",
			"spec.cni.cilium.bgp.instances[0].peers: Required value: name the routers that the nodes speak to [CILIUM-BGP-NOTHING]",
		}},
		{name: "BGP of nobody", in: cilium(bgpSpec()), errors: []string{
			"spec.cni.cilium.bgp.instances: Required value: name the nodes' autonomous system and the routers that they speak to [CILIUM-BGP-NOTHING]",
		}},
		{name: "BGP that selects Services for nothing", in: cilium(bgp(first), edit(func(b *CiliumBGPSpec) { b.ServiceSelector = withLabel("a", "b") })), errors: []string{
			"spec.cni.cilium.bgp.serviceSelector: Forbidden: is read only when LoadBalancerIPs are announced: remove it, or add them to advertise [CILIUM-BGP-NOTHING]",
		}},
		{name: "BGP with a name in capitals", in: cilium(bgp(router("First", "192.168.10.1"))), errors: []string{
			`spec.cni.cilium.bgp.instances[0].peers[0].name: Invalid value: "First": use lower-case letters, digits and "-" [CILIUM-BGP-NAME]`,
		}},
		{name: "BGP with a peer twice", in: cilium(bgp(first, router("first", "192.168.10.2"))), errors: []string{
			`spec.cni.cilium.bgp.instances[0].peers[1].name: Duplicate value: "first": give each a name of its own [CILIUM-BGP-TWICE]`,
		}},
		{name: "BGP with an address in two ways", in: cilium(bgp(router("first", "2001:db8::1"), router("second", "2001:DB8:0::1"))), errors: []string{
			`spec.cni.cilium.bgp.instances[0].peers[1].address: Duplicate value: "2001:DB8:0::1": a router is a peer once: remove one of them [CILIUM-BGP-TWICE]`,
		}},
		{name: "BGP with an address twice", in: cilium(bgp(first, router("second", "192.168.10.1"))), errors: []string{
			`spec.cni.cilium.bgp.instances[0].peers[1].address: Duplicate value: "192.168.10.1": a router is a peer once: remove one of them [CILIUM-BGP-TWICE]`,
		}},
		{name: "BGP with a name for an address", in: cilium(bgp(router("first", "router.example.com"))), errors: []string{
			`spec.cni.cilium.bgp.instances[0].peers[0].address: Invalid value: "router.example.com": not an IP address: write the router's, such as 192.0.2.1 [CILIUM-BGP-ADDRESS]`,
		}},
		{name: "BGP with addresses that lead nowhere", in: cilium(bgp(router("a", "127.0.0.1"), router("b", "fe80::1"), router("c", "10.244.0.1"))), errors: []string{
			`spec.cni.cilium.bgp.instances[0].peers[0].address: Invalid value: "127.0.0.1": no router can be reached there from every node: write an address that is neither loopback, link-local nor multicast [CILIUM-BGP-ADDRESS]`,
			`spec.cni.cilium.bgp.instances[0].peers[1].address: Invalid value: "fe80::1": no router can be reached there from every node: write an address that is neither loopback, link-local nor multicast [CILIUM-BGP-ADDRESS]`,
			`spec.cni.cilium.bgp.instances[0].peers[2].address: Invalid value: "10.244.0.1": lies in a pool of pod addresses: write the router's own address [CILIUM-BGP-ADDRESS]`,
		}},
		{name: "BGP with numbers out of range", in: cilium(bgp(router("first", "192.168.10.1", func(p *CiliumBGPPeer) { p.ASN, p.EBGPMultihop = 4294967296, 256 }))), errors: []string{
			"spec.cni.cilium.bgp.instances[0].peers[0].asn: Invalid value: 4294967296: must be from 1 to 4294967295 [CILIUM-BGP-NUMBER]",
			"spec.cni.cilium.bgp.instances[0].peers[0].ebgpMultihop: Invalid value: 256: must be from 1 to 255 [CILIUM-BGP-NUMBER]",
		}},
		{name: "BGP of nodes that are in two groups", in: cilium(bgpSpec(
			CiliumBGPInstance{Name: "a", LocalASN: 64600, NodeSelector: withLabel("rack", "a"), Peers: []CiliumBGPPeer{first}},
			CiliumBGPInstance{Name: "b", LocalASN: 64601, Peers: []CiliumBGPPeer{first}},
		)), errors: []string{
			"spec.cni.cilium.bgp.instances[1].nodeSelector: Required value: there are several instances, and a node can be in one only: select the nodes of each [CILIUM-BGP-OVERLAP]",
		}},
		{name: "BGP with a hold time that is over too soon", in: cilium(bgp(router("first", "192.168.10.1", func(p *CiliumBGPPeer) { p.HoldTimeSeconds = 9 }))), errors: []string{
			"spec.cni.cilium.bgp.instances[0].peers[0].keepAliveTimeSeconds: Invalid value: 30: must not be more than holdTimeSeconds (9; left out, they are 30 and 90): a third of that is usual [CILIUM-BGP-TIMERS]",
		}},
		{name: "BGP over hops within", in: cilium(bgp(router("first", "192.168.10.1", func(p *CiliumBGPPeer) { p.ASN, p.EBGPMultihop = 64600, 3 }))), warnings: []string{
			"spec.cni.cilium.bgp.instances[0].peers[0].ebgpMultihop: has no effect: the router is of the nodes' own autonomous system, 64600 [CILIUM-BGP-MULTIHOP]",
		}},

		{name: "Cilium's settings for Flannel", in: flannel(bandwidth(CiliumBandwidthEnabled)), errors: []string{
			"spec.cni.cilium: Forbidden: is read only with type Cilium: remove it, or set type to Cilium [CILIUM-BLOCK]",
		}},
		{name: "flow logs", in: cilium(flowLogs(Enabled))},
		{name: "flow logs of Calico", in: calico(flowLogs(Enabled))},
		{name: "no flow logs of Flannel", in: flannel(flowLogs(Disabled))},
		{name: "flow logs of Flannel", in: flannel(flowLogs(Enabled)), errors: []string{
			`spec.cni.flowLogs: Invalid value: "Enabled": only Cilium and Calico record flows: remove it, or use type Cilium or Calico [CNI-FLOW-LOGS]`,
		}},
		{name: "flow logs and no Hubble", in: cilium(flowLogs(Enabled), values(object{"hubble": object{"enabled": false}})), errors: []string{
			"spec.cni.values: Forbidden: values.hubble.enabled is controlled by spec.cni.flowLogs; remove it [VALUES-CONTROLLED]",
		}},
		{name: "flow logs and Hubble's relay", in: cilium(flowLogs(Enabled), values(object{"hubble": object{"relay": object{"enabled": true}}}))},

		{name: "a bandwidth manager", in: cilium(bandwidth(CiliumBandwidthEnabled))},
		{name: "a bandwidth manager and IPsec", in: cilium(encryption(EncryptionIPsec), bandwidth(CiliumBandwidthEnabled)), errors: []string{
			`spec.cni.cilium.bandwidthManager: Invalid value: "Enabled": Cilium's agents turn it off with IPsec: remove it, or choose WireGuard [CILIUM-BANDWIDTH-IPSEC]`,
		}},
		{name: "no bandwidth manager and IPsec", in: cilium(encryption(EncryptionIPsec), bandwidth(CiliumBandwidthDisabled))},
		{name: "BBR, typed", in: cilium(replaced, bandwidth(CiliumBandwidthBBR))},
		{name: "BBR, typed, beside kube-proxy", in: cilium(bandwidth(CiliumBandwidthBBR)), errors: []string{
			`spec.cni.cilium.bandwidthManager: Invalid value: "BBR": BBR needs Cilium in kube-proxy's place, and kubeProxy.mode is Unmanaged: set it to Replaced, or use Enabled [CILIUM-BBR]`,
		}},
		{name: "BBR, typed, with legacy routing", in: cilium(replaced, bandwidth(CiliumBandwidthBBR), values(object{"bpf": object{"hostLegacyRouting": true}})), errors: []string{
			`spec.cni.cilium.bandwidthManager: Invalid value: "BBR": BBR does not work with values.bpf.hostLegacyRouting: remove it, or use Enabled [CILIUM-BBR]`,
		}},
		{name: "BBR, typed, with iptables", in: cilium(replaced, bandwidth(CiliumBandwidthBBR), values(object{"bpf": object{"masquerade": false}})), errors: []string{
			`spec.cni.cilium.bandwidthManager: Invalid value: "BBR": BBR needs masquerading in eBPF, which cni.values rule out: remove values.bpf.masquerade and values.egressMasqueradeInterfaces, or use Enabled [CILIUM-BBR]`,
		}},
		{name: "BBR on an old kernel", in: cilium(replaced, bandwidth(CiliumBandwidthBBR), kernel("5.15.0-100-generic")), errors: []string{
			`spec.cni.cilium.bandwidthManager: Invalid value: "BBR": BBR needs kernel 5.18 or newer, and node n2 has an older one: use Enabled, or upgrade the kernel [CILIUM-BBR-KERNEL]`,
		}},
		{name: "BBR on Red Hat's kernel", in: cilium(replaced, bandwidth(CiliumBandwidthBBR), kernel("5.14.0-503.el9_5.x86_64"))},

		{name: "IPsec with keys of the operator's, rotated", in: cilium(ipsec(func(e *EncryptionSpec) { e.Rotation = "2026-05" }))},
		{name: "IPsec with a Secret that cannot be", in: cilium(ipsec(func(e *EncryptionSpec) { e.IPsec = &IPsecSpec{SecretName: "My_Keys"} })), errors: []string{
			`spec.cni.encryption.ipsec.secretName: Invalid value: "My_Keys": is no name of a Secret: use lower-case letters, digits, "-" and "." [CILIUM-IPSEC-SECRET]`,
		}},
		{name: "IPsec, somebody else's keys rotated", in: cilium(ipsec(func(e *EncryptionSpec) { e.IPsec, e.Rotation = &IPsecSpec{SecretName: "mine"}, "2" })), warnings: []string{
			"spec.cni.encryption.rotation: has no effect: the keys are in your Secret mine; write a key with another number there, or remove ipsec.secretName [CILIUM-IPSEC-ROTATION]",
		}},
		{name: "IPsec, keys rotated that nobody watches", in: cilium(ipsec(func(e *EncryptionSpec) { e.Rotation = "2" }), values(object{"encryption": object{"ipsec": object{"keyWatcher": false}}})), warnings: []string{
			"spec.cni.encryption.rotation: values.encryption.ipsec.keyWatcher is false, so agents read a new key when they start: restart them, or remove the value [CILIUM-IPSEC-ROTATION]",
		}},
		{name: "IPsec, own keys in another file", in: cilium(encryption(EncryptionIPsec), values(object{"encryption": object{"ipsec": object{"keyFile": "other"}}}))},
		{name: "IPsec, made keys in another file", in: installedCilium([]func(*Input){encryption(EncryptionIPsec)}, encryption(EncryptionIPsec), values(object{"encryption": object{"ipsec": object{"keyFile": "other"}}})), errors: []string{
			"spec.cni.values: Forbidden: values.encryption.ipsec.keyFile is controlled by spec.cni.encryption; remove it [VALUES-CONTROLLED]",
		}},
	}
}
