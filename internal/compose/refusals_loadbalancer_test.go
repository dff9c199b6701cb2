package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// balancer has a type give out these addresses.
func balancer(typ LoadBalancerType, addresses ...string) func(*Input) {
	return lbSpec(LoadBalancerSpec{Type: typ, Pools: []LoadBalancerPool{lbPool("public", addresses...)}})
}

func lbPool(name string, addresses ...string) LoadBalancerPool {
	return LoadBalancerPool{Name: name, Addresses: addresses}
}

func lbSpec(l LoadBalancerSpec) func(*Input) {
	return func(in *Input) { in.Stack.Spec.LoadBalancer = l.DeepCopy() }
}

func lbEdit(edit func(*LoadBalancerSpec)) func(*Input) {
	return func(in *Input) { edit(in.Stack.Spec.LoadBalancer) }
}

// metallb is one that is accepted.
func metallb(in *Input) { balancer(LoadBalancerMetalLB, "192.168.20.0/26")(in) }

// lbPeers are routers that MetalLB speaks to.
func lbPeers(peers ...LoadBalancerBGPPeer) func(*Input) {
	return lbEdit(func(l *LoadBalancerSpec) {
		l.Mode, l.BGP = LoadBalancerBGP, &LoadBalancerBGPSpec{LocalASN: 64600, Peers: peers}
	})
}

func lbPeer(name, address string, edits ...func(*LoadBalancerBGPPeer)) LoadBalancerBGPPeer {
	p := LoadBalancerBGPPeer{Name: name, Address: address, ASN: 64512}
	for _, edit := range edits {
		edit(&p)
	}
	return p
}

func loadBalancerFindings() []finding {
	replaced := mode(KubeProxyReplaced)
	unreadable := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}
	first := lbPeer("first", "192.168.10.1")
	addresses := func(list ...string) Input { return flannel(balancer(LoadBalancerMetalLB, list...)) }
	const at = "spec.loadBalancer.pools[0].addresses"
	cloud := func(in *Input) { in.Facts.Cloud = facts.CloudAWS }
	proxyMode := func(mode string) func(*Input) {
		return cluster(func(s *facts.Snapshot) { s.Installed[0].Mode = mode })
	}
	excluded := cluster(func(s *facts.Snapshot) {
		for i := range s.Nodes {
			s.Nodes[i].Labels = map[string]string{"node.kubernetes.io/exclude-from-external-load-balancers": ""}
		}
	})
	attached := func(in *Input) {
		secondary(lan(ipam(AttachmentIPAM{Type: AttachmentWhereabouts, Ranges: []AttachmentRange{{Subnet: "192.168.20.0/24"}}})))(in)
		found(whereabouts)(in)
	}
	services := func(b *CiliumBGPSpec) { b.Advertise = append(b.Advertise, CiliumAdvertiseLoadBalancerIPs) }
	announced := func(in *Input) {
		bgp(router("first", "192.168.10.1"))(in)
		services(in.Stack.Spec.CNI.Cilium.BGP)
	}
	return []finding{
		{name: "MetalLB", in: flannel(metallb)},
		{name: "MetalLB, addresses of all forms", in: cilium(dual, balancer(LoadBalancerMetalLB, "192.168.20.0/26", "192.168.20.100-192.168.20.120", "fd00:20::/120", "fd00:20::1:1-fd00:20::1:ff"))},
		{name: "MetalLB with a class", in: flannel(metallb, lbEdit(func(l *LoadBalancerSpec) { l.Class = "metallb.io/public" }))},
		{name: "somebody else's load balancer", in: flannel(lbSpec(LoadBalancerSpec{Type: LoadBalancerUnmanaged}))},
		{name: "a load balancer of no known type", in: flannel(balancer("PureLB", "192.168.20.0/26")), errors: []string{
			`spec.loadBalancer.type: Unsupported value: "PureLB": supported values: "MetalLB", "Cilium", "Unmanaged" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "MetalLB without addresses", in: flannel(lbSpec(LoadBalancerSpec{Type: LoadBalancerMetalLB})), errors: []string{
			"spec.loadBalancer.pools: Required value: without pools no Service gets an address: state at least one [LB-POOLS]",
		}},
		{name: "MetalLB with an empty pool", in: addresses(), errors: []string{
			"spec.loadBalancer.pools[0].addresses: Required value: state addresses, such as 192.168.10.0/26 [LB-POOLS]",
		}},
		{name: "MetalLB with addresses that are none", in: addresses("192.168.20.1/24", "192.168.20.9-192.168.20.1", "a-b", "192.168.20.9-fd00::1", "169.254.1.0/24"), errors: []string{
			at + `[0]: Invalid value: "192.168.20.1/24": has host bits set; did you mean "192.168.20.0/24"? [LB-ADDRESSES]`,
			at + `[1]: Invalid value: "192.168.20.9-192.168.20.1": ends before it begins: exchange the addresses [LB-ADDRESSES]`,
			at + `[2]: Invalid value: "a-b": is not first and last address: write a CIDR such as 192.168.10.0/26, or 192.168.10.10-192.168.10.40 [LB-ADDRESSES]`,
			at + `[3]: Invalid value: "192.168.20.9-fd00::1": has addresses of two families: write a range of each [LB-ADDRESSES]`,
			at + `[4]: Invalid value: "169.254.1.0/24": has addresses of 169.254.0.0/16, which is link-local: use addresses that clients reach [LB-ADDRESSES]`,
		}},
		{name: "MetalLB with a name in capitals and one twice", in: flannel(lbSpec(LoadBalancerSpec{Type: LoadBalancerMetalLB, Pools: []LoadBalancerPool{
			lbPool("Public", "192.168.20.0/26"), lbPool("b", "192.168.21.0/26"), lbPool("b", "192.168.22.0/26"),
		}})), errors: []string{
			`spec.loadBalancer.pools[0].name: Invalid value: "Public": use lower-case letters, digits and "-" [LB-NAME]`,
			`spec.loadBalancer.pools[2].name: Duplicate value: "b": give each a name of its own [LB-NAME]`,
		}},
		{name: "MetalLB with addresses of a family that Services have not", in: addresses("192.168.20.0/26", "fd00:20::/120"), errors: []string{
			at + `[1]: Invalid value: "fd00:20::/120": is IPv6, and Services are IPv4: remove it, or add the family to ipFamilies [LB-FAMILY]`,
		}},
		{name: "MetalLB with addresses of one family of two", in: cilium(dual, metallb), warnings: []string{
			"spec.loadBalancer.pools: no pool has IPv6 addresses, so a Service that requires them gets none: add some [LB-FAMILY-NONE]",
		}},
		{name: "MetalLB with addresses in two pools", in: flannel(lbSpec(LoadBalancerSpec{Type: LoadBalancerMetalLB, Pools: []LoadBalancerPool{
			lbPool("a", "192.168.20.0/26"), lbPool("b", "192.168.20.60-192.168.20.70"),
		}})), errors: []string{
			`spec.loadBalancer.pools[1].addresses[0]: Invalid value: "192.168.20.60-192.168.20.70": has addresses of 192.168.20.0/26 (spec.loadBalancer.pools[0].addresses[0]): every address must belong to one pool [LB-OVERLAP]`,
		}},
		{name: "MetalLB with addresses of pods, Services and nodes", in: addresses("10.244.9.0/24", "10.96.0.0-10.96.0.9", "192.168.10.12-192.168.10.20"), errors: []string{
			at + `[0]: Invalid value: "10.244.9.0/24": overlaps the pods' range 10.244.0.0/16 (spec.ipPools[0].cidrs[0]): choose other addresses [LB-TAKEN]`,
			at + `[1]: Invalid value: "10.96.0.0-10.96.0.9": overlaps the range of ClusterIPs 10.96.0.0/12 (ServiceCIDR/kubernetes): choose other addresses [LB-TAKEN]`,
			at + `[2]: Invalid value: "192.168.10.12-192.168.10.20": holds the address of nodes n2 and n3 (such as 192.168.10.12): choose other addresses [LB-TAKEN]`,
		}},
		{name: "MetalLB with the address of default/kubernetes", in: flannel(balancer(LoadBalancerMetalLB, "10.96.0.0/30"), cluster(func(s *facts.Snapshot) { s.ServiceCIDRs = nil })), errors: []string{
			at + `[0]: Invalid value: "10.96.0.0/30": holds 10.96.0.1, the address of the Service default/kubernetes: choose other addresses [LB-TAKEN]`,
		}},
		{name: "MetalLB with the address of the API server", in: flannel(mode(KubeProxyIPTables), withoutKubeProxy, balancer(LoadBalancerMetalLB, "192.168.10.8-192.168.10.10")), errors: []string{
			at + `[0]: Invalid value: "192.168.10.8-192.168.10.10": holds 192.168.10.10, the address of the API server: choose other addresses [LB-TAKEN]`,
		}},
		{name: "MetalLB with addresses of a secondary network", in: flannel(metallb, attached), errors: []string{
			at + `[0]: Invalid value: "192.168.20.0/26": has addresses that pods get on a secondary network (192.168.20.0/24, spec.secondaryNetworks.attachments[0].ipam.ranges[0].subnet): choose other addresses [LB-TAKEN]`,
		}},
		{name: "MetalLB with the address of its router", in: flannel(metallb, lbPeers(lbPeer("first", "192.168.20.1"))), errors: []string{
			at + `[0]: Invalid value: "192.168.20.0/26": holds 192.168.20.1, a router that the nodes speak to: choose other addresses [LB-TAKEN]`,
		}},
		{name: "MetalLB with selectors that cannot be read", in: flannel(metallb, lbEdit(func(l *LoadBalancerSpec) {
			l.Pools[0].ServiceSelector, l.L2 = unreadable, &LoadBalancerL2Spec{NodeSelector: unreadable}
		})), errors: []string{
			`spec.loadBalancer.pools[0].serviceSelector: Invalid value: "Near" is not a valid label selector operator: write labels and operators as Kubernetes does [LB-SELECTOR]`,
			`spec.loadBalancer.l2.nodeSelector: Invalid value: "Near" is not a valid label selector operator: write labels and operators as Kubernetes does [LB-SELECTOR]`,
		}},
		{name: "MetalLB on one interface", in: flannel(metallb, lbEdit(func(l *LoadBalancerSpec) { l.L2 = &LoadBalancerL2Spec{Interfaces: []string{"eth1", "bond0.100"}} }))},
		{name: "MetalLB on what is no interface", in: flannel(metallb, lbEdit(func(l *LoadBalancerSpec) { l.L2 = &LoadBalancerL2Spec{Interfaces: []string{"eth 1"}} })), errors: []string{
			`spec.loadBalancer.l2.interfaces[0]: Invalid value: "eth 1": is no name of an interface: write one such as eth0 [LB-INTERFACE]`,
		}},
		{name: "fields of another mode", in: flannel(metallb, lbEdit(func(l *LoadBalancerSpec) {
			l.BGP = &LoadBalancerBGPSpec{LocalASN: 64600, Peers: []LoadBalancerBGPPeer{first}}
		})), errors: []string{
			"spec.loadBalancer.bgp: Forbidden: is read only with mode BGP: remove it, or set mode to BGP [LB-FIELD]",
		}},
		{name: "fields of nobody", in: flannel(metallb, lbEdit(func(l *LoadBalancerSpec) { l.Type, l.Version, l.Mode = LoadBalancerUnmanaged, "0.16.1", LoadBalancerL2 })), errors: []string{
			"spec.loadBalancer.version: Forbidden: is MetalLB's: remove it, or set type to MetalLB [LB-FIELD]",
			"spec.loadBalancer.mode: Forbidden: with type Unmanaged nothing is installed: remove it, or choose MetalLB or Cilium [LB-FIELD]",
			"spec.loadBalancer.pools: Forbidden: with type Unmanaged nothing is installed: remove it, or choose MetalLB or Cilium [LB-FIELD]",
		}},

		{name: "MetalLB by BGP", in: flannel(metallb, lbPeers(first, lbPeer("second", "192.168.10.2", func(p *LoadBalancerBGPPeer) {
			p.Port, p.PasswordSecretName, p.EBGPMultihop, p.HoldTimeSeconds, p.KeepAliveTimeSeconds, p.GracefulRestart = 1179, "router", Enabled, 9, 3, Enabled
			p.NodeSelector = withLabel("rack", "a")
		})))},
		{name: "MetalLB by BGP to nobody", in: flannel(metallb, lbEdit(func(l *LoadBalancerSpec) { l.Mode = LoadBalancerBGP })), errors: []string{
			"spec.loadBalancer.bgp: Required value: name the nodes' autonomous system and the routers that they speak to [LB-PEER]",
		}},
		{name: "MetalLB with peers that cannot be", in: flannel(metallb, lbPeers(
			lbPeer("a", "router"), lbPeer("b", "127.0.0.1"), lbPeer("c", "10.244.0.1"), first, lbPeer("second", "192.168.10.1", func(p *LoadBalancerBGPPeer) { p.ASN, p.HoldTimeSeconds = 0, 9 }),
		)), errors: []string{
			`spec.loadBalancer.bgp.peers[0].address: Invalid value: "router": not an IP address: write the router's, such as 192.0.2.1 [LB-PEER]`,
			`spec.loadBalancer.bgp.peers[1].address: Invalid value: "127.0.0.1": no router can be reached there from every node: write an address that is neither loopback, link-local nor multicast [LB-PEER]`,
			`spec.loadBalancer.bgp.peers[2].address: Invalid value: "10.244.0.1": lies in a pool of pod addresses: write the router's own address [LB-PEER]`,
			"spec.loadBalancer.bgp.peers[4].asn: Invalid value: 0: must be from 1 to 4294967295 [LB-PEER]",
			`spec.loadBalancer.bgp.peers[4].address: Duplicate value: "192.168.10.1": a router is a peer once: remove one of them [LB-PEER]`,
			"spec.loadBalancer.bgp.peers[4].keepAliveTimeSeconds: Invalid value: 30: must not be more than holdTimeSeconds (9; left out, they are 30 and 90): a third of that is usual [LB-PEER]",
		}},
		{name: "MetalLB over hops within", in: flannel(metallb, lbPeers(lbPeer("first", "192.168.10.1", func(p *LoadBalancerBGPPeer) { p.ASN, p.EBGPMultihop = 64600, Enabled }))), warnings: []string{
			"spec.loadBalancer.bgp.peers[0].ebgpMultihop: has no effect: the router is of the nodes' own autonomous system, 64600 [LB-MULTIHOP]",
		}},
		{name: "MetalLB and Calico by BGP", in: calico(metallb, lbPeers(first), func(in *Input) { in.Stack.Spec.CNI.Calico = &CalicoSpec{BGP: Enabled} }), warnings: []string{
			"spec.loadBalancer.mode: Calico speaks BGP from the nodes, too, and a router takes one session from each: have them speak to different routers, or set cni.calico.bgp to Disabled [LB-CALICO-BGP]",
		}},

		{name: "MetalLB beside Cilium", in: cilium(metallb)},
		{name: "MetalLB beside Cilium's BGP", in: cilium(metallb, announced), errors: []string{
			`spec.loadBalancer.type: Invalid value: "MetalLB": cni.cilium.bgp announces the addresses of Services as well: remove LoadBalancerIPs there, set type to Cilium, or give MetalLB a class [LB-TWO-ANNOUNCERS]`,
		}},
		{name: "MetalLB with a class beside Cilium's BGP", in: cilium(metallb, announced, lbEdit(func(l *LoadBalancerSpec) { l.Class = "metallb" }))},
		{name: "MetalLB beside Cilium's L2 announcements", in: cilium(replaced, metallb, values(object{"l2announcements": object{"enabled": true}})), errors: []string{
			`spec.loadBalancer.type: Invalid value: "MetalLB": cni.values.l2announcements.enabled has Cilium announce the addresses of Services as well: remove it, set type to Cilium, or give MetalLB a class [LB-TWO-ANNOUNCERS]`,
		}},
		{name: "MetalLB in a cloud", in: flannel(metallb, cloud), warnings: []string{
			"spec.loadBalancer.mode: L2, and the nodes run in AWS, whose network carries no addresses that it did not give out: use its own load balancers (type Unmanaged) [LB-CLOUD]",
		}},
		{name: "MetalLB by BGP in a cloud", in: flannel(metallb, lbPeers(first), cloud)},
		{name: "MetalLB beside somebody's IPVS", in: flannel(metallb, proxyMode("ipvs")), warnings: []string{
			"spec.loadBalancer.type: the kube-proxy that is there runs in mode IPVS, where every node answers ARP for the addresses of all Services: set ipvs.strictARP in its configuration, or kubeProxy.mode to have it managed [LB-STRICT-ARP]",
		}},
		{name: "MetalLB where no node is for it", in: flannel(metallb, excluded), warnings: []string{
			"spec.loadBalancer.type: every node has the label node.kubernetes.io/exclude-from-external-load-balancers, so MetalLB announces nothing: take it off, or set values.speaker.ignoreExcludeLB to true [LB-NODES-EXCLUDED]",
		}},
		{name: "MetalLB where all nodes are for it anyway", in: flannel(metallb, excluded, lbEdit(func(l *LoadBalancerSpec) {
			l.Values = rawValues(object{"speaker": object{"ignoreExcludeLB": true}})
		}))},
		{name: "MetalLB with pools of its chart's", in: flannel(metallb, lbEdit(func(l *LoadBalancerSpec) {
			l.Values = rawValues(object{"crds": object{"enabled": false}})
		})), errors: []string{
			"spec.loadBalancer.values: Forbidden: values.crds.enabled is controlled by spec.loadBalancer.pools; remove it [VALUES-CONTROLLED]",
		}},

		{name: "Cilium's addresses", in: cilium(replaced, balancer(LoadBalancerCilium, "192.168.20.0/26"))},
		{name: "Cilium's addresses by BGP", in: cilium(announced, balancer(LoadBalancerCilium, "192.168.20.0/26"), lbEdit(func(l *LoadBalancerSpec) { l.Mode = LoadBalancerBGP }))},
		{name: "Cilium's addresses by BGP that does not tell", in: cilium(bgp(router("first", "192.168.10.1")), balancer(LoadBalancerCilium, "192.168.20.0/26"), lbEdit(func(l *LoadBalancerSpec) { l.Mode = LoadBalancerBGP })), errors: []string{
			`spec.loadBalancer.type: Invalid value: "Cilium": mode is BGP, and cni.cilium.bgp does not announce LoadBalancerIPs: name the routers there, and add LoadBalancerIPs to advertise [LB-CILIUM]`,
		}},
		{name: "Cilium's addresses with the router's among them", in: cilium(announced, balancer(LoadBalancerCilium, "192.168.10.0-192.168.10.5"), lbEdit(func(l *LoadBalancerSpec) { l.Mode = LoadBalancerBGP })), errors: []string{
			at + `[0]: Invalid value: "192.168.10.0-192.168.10.5": holds 192.168.10.1, a router that the nodes speak to: choose other addresses [LB-TAKEN]`,
		}},
		{name: "Cilium's addresses beside kube-proxy", in: cilium(balancer(LoadBalancerCilium, "192.168.20.0/26")), errors: []string{
			`spec.loadBalancer.type: Invalid value: "Cilium": Cilium answers for addresses (mode L2) only in kube-proxy's place, and kubeProxy.mode is Unmanaged: set it to Replaced, or use MetalLB [LB-CILIUM]`,
		}},
		{name: "Cilium's addresses for Flannel", in: flannel(balancer(LoadBalancerCilium, "192.168.20.0/26")), errors: []string{
			`spec.loadBalancer.type: Invalid value: "Cilium": the network plugin is Flannel: use MetalLB [LB-CILIUM]`,
		}},
		{name: "an old Cilium's addresses", in: cilium(replaced, balancer(LoadBalancerCilium, "192.168.20.0/26"), func(in *Input) { in.Stack.Spec.CNI.Version = "1.17.9" }), errors: []string{
			`spec.loadBalancer.type: Invalid value: "Cilium": Cilium 1.17.9 is told in another way: use 1.18 or newer, or MetalLB [LB-CILIUM]`,
		}, warnings: []string{
			"spec.cni.version: Cilium 1.17.9 is not in the catalogue (1.20.0, 1.19.6): it was not tested with this operator and its chart is not checked against a digest [VERSION-UNKNOWN]",
		}},
		{name: "Cilium's addresses with MetalLB's settings", in: cilium(replaced, balancer(LoadBalancerCilium, "192.168.20.0/26"), lbEdit(func(l *LoadBalancerSpec) {
			l.Class, l.Pools[0].AutoAssign, l.BGP = "metallb", Disabled, &LoadBalancerBGPSpec{LocalASN: 64600, Peers: []LoadBalancerBGPPeer{first}}
		})), errors: []string{
			"spec.loadBalancer.bgp: Forbidden: is MetalLB's: remove it; Cilium's sessions are in cni.cilium.bgp [LB-FIELD]",
			"spec.loadBalancer.class: Forbidden: is MetalLB's: remove it; Cilium's classes have fixed names [LB-FIELD]",
			"spec.loadBalancer.pools[0].autoAssign: Forbidden: is MetalLB's: remove it, and select the Services of the pool by serviceSelector [LB-FIELD]",
		}},
		{name: "Cilium's addresses on what is no expression", in: cilium(replaced, balancer(LoadBalancerCilium, "192.168.20.0/26"), lbEdit(func(l *LoadBalancerSpec) {
			l.L2 = &LoadBalancerL2Spec{Interfaces: []string{"^eth[0-9]+$", "eth("}}
		})), errors: []string{
			`spec.loadBalancer.l2.interfaces[1]: Invalid value: "eth(": is no regular expression: correct it, as in ^eth[0-9]+$ [LB-INTERFACE]`,
		}},
		{name: "Cilium's addresses, and L2 announcements turned off", in: cilium(replaced, balancer(LoadBalancerCilium, "192.168.20.0/26"), values(object{"l2announcements": object{"enabled": false}})), errors: []string{
			"spec.cni.values: Forbidden: values.l2announcements.enabled is controlled by spec.loadBalancer.mode; remove it [VALUES-CONTROLLED]",
		}},
	}
}

// TestLoadBalancerReleases is what becomes of an accepted load balancer.
func TestLoadBalancerReleases(t *testing.T) {
	full := flannel(dual, mode(KubeProxyIPVS), lbSpec(LoadBalancerSpec{
		Type: LoadBalancerMetalLB, Class: "metallb.io/public", L2: &LoadBalancerL2Spec{Interfaces: []string{"eth1"}, NodeSelector: withLabel("edge", "yes")},
		Pools: []LoadBalancerPool{
			{Name: "public", Addresses: []string{"192.168.20.0/26", "fd00:20::1-fd00:20::ff"}},
			{Name: "reserved", Addresses: []string{"192.168.21.0/26"}, AutoAssign: Disabled, ServiceSelector: withLabel("vip", "yes")},
		},
	}))
	full.Facts.Installed = nil
	r := accepted(t, full)
	main, got := releaseNamed(t, r, "metallb")
	if diff := cmp.Diff(object{
		"frrk8s": object{"enabled": false}, "speaker": object{"frr": object{"enabled": false}}, "crds": object{"enabled": true},
		"loadBalancerClass": "metallb.io/public",
	}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"kube-proxy", "flannel"}, main.Needs); diff != "" || main.Spec.Stage != 55 || main.Spec.Namespace != "metallb-system" {
		t.Errorf("%s %d %s", diff, main.Spec.Stage, main.Spec.Namespace)
	}
	resources, got := releaseNamed(t, r, "metallb-resources")
	if diff := cmp.Diff(object{
		"pools": []any{
			object{"name": "public", "addresses": []any{"192.168.20.0/26", "fd00:20::1-fd00:20::ff"}},
			object{"name": "reserved", "addresses": []any{"192.168.21.0/26"}, "autoAssign": false, "serviceSelector": object{"matchLabels": object{"vip": "yes"}}},
		},
		"l2": object{"interfaces": []any{"eth1"}, "nodeSelector": object{"matchLabels": object{"edge": "yes"}}},
	}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"metallb", "kube-proxy", "flannel"}, resources.Needs); diff != "" || resources.Spec.Stage != 56 || resources.Spec.Namespace != "metallb-system" {
		t.Errorf("%s %d %s", diff, resources.Spec.Stage, resources.Spec.Namespace)
	}
	if _, got := releaseNamed(t, r, "kube-proxy"); !cmp.Equal(got["ipvs"], any(object{"strictARP": true})) {
		t.Errorf("kube-proxy: %v", got)
	}
	routed := flannel(mode(KubeProxyIPVS), metallb, lbPeers(lbPeer("first", "192.168.10.1", func(p *LoadBalancerBGPPeer) {
		p.Port, p.PasswordSecretName, p.EBGPMultihop, p.HoldTimeSeconds, p.GracefulRestart = 1179, "router", Enabled, 90, Enabled
		p.NodeSelector = withLabel("rack", "a")
	})), lbEdit(func(l *LoadBalancerSpec) { l.Namespace, l.BGP.Communities = "lb", []string{"64600:1"} }))
	routed.Facts.Installed = nil
	r = accepted(t, routed)
	if _, got := releaseNamed(t, r, "metallb"); !cmp.Equal(got["frrk8s"], any(object{"enabled": true})) {
		t.Errorf("by BGP: %v", got)
	}
	if _, got := releaseNamed(t, r, "kube-proxy"); got["ipvs"] != nil {
		t.Errorf("by BGP, kube-proxy: %v", got)
	}
	resources, got = releaseNamed(t, r, "metallb-resources")
	if diff := cmp.Diff(object{
		"localASN": int64(64600), "communities": []any{"64600:1"}, "peers": []any{object{
			"name": "first", "address": "192.168.10.1", "asn": int64(64512), "port": int64(1179), "passwordSecretName": "router", "ebgpMultihop": true,
			"holdTimeSeconds": int64(90), "gracefulRestart": true, "nodeSelector": object{"matchLabels": object{"rack": "a"}},
		}},
	}, got["bgp"]); diff != "" || got["l2"] != nil || resources.Spec.Namespace != "lb" {
		t.Errorf("%s %v", diff, got)
	}
}

// TestCiliumLoadBalancer is what becomes of Cilium as load balancer, and beside another one.
func TestCiliumLoadBalancer(t *testing.T) {
	in := cilium(mode(KubeProxyReplaced), withoutKubeProxy, balancer(LoadBalancerCilium, "192.168.20.0/26", "192.168.20.100-192.168.20.120"), lbEdit(func(l *LoadBalancerSpec) {
		l.Pools[0].ServiceSelector, l.L2 = withLabel("vip", "yes"), &LoadBalancerL2Spec{Interfaces: []string{"^eth"}, NodeSelector: withLabel("edge", "yes")}
	}))
	r := accepted(t, in)
	_, got := releaseNamed(t, r, "cilium")
	if !cmp.Equal(got["l2announcements"], any(object{"enabled": true})) || got["enableLBIPAM"] != true || got["defaultLBServiceIPAM"] != nil ||
		!cmp.Equal(got["k8sClientRateLimit"], any(object{"qps": int64(30), "burst": int64(60)})) {
		t.Errorf("%v", got)
	}
	resources, got := releaseNamed(t, r, "cilium-resources")
	if diff := cmp.Diff(object{"loadBalancer": object{
		"pools": []any{object{"name": "public", "serviceSelector": object{"matchLabels": object{"vip": "yes"}}, "blocks": []any{
			object{"cidr": "192.168.20.0/26"}, object{"start": "192.168.20.100", "stop": "192.168.20.120"},
		}}},
		"l2": object{"interfaces": []any{"^eth"}, "nodeSelector": object{"matchLabels": object{"edge": "yes"}}},
	}}, got); diff != "" || !cmp.Equal(resources.Beside, []string{"cilium"}) {
		t.Errorf("%s %v", diff, resources.Beside)
	}
	if _, got := releaseNamed(t, accepted(t, cilium(metallb)), "cilium"); got["defaultLBServiceIPAM"] != "none" || got["l2announcements"] != nil {
		t.Errorf("beside MetalLB: %v", got)
	}
}
