package compose

import (
	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

const weaveLegacy = "spec.cni.type: Weave Net is legacy: its makers are gone, and its fork had its last release in 2024; plan the move to Cilium, Calico or Flannel, for which there is a new cluster or a drained node at a time [WEAVE-LEGACY]"

// encrypted sets the union's block of encryption.
func encrypted(e EncryptionSpec) func(*Input) {
	return func(in *Input) { in.Stack.Spec.CNI.Encryption = &e }
}

// before is a component weave-net that is there, with these values.
func before(values object) func(*Input) {
	return func(in *Input) {
		in.Existing = map[string]NetworkComponentSpec{nameWeaveNet: {Type: "WeaveNet", DerivedValues: rawValues(values)}}
	}
}

func weaveFindings() []finding {
	legacy := []string{weaveLegacy}
	poolEdit := func(edit func(*IPPool)) func(*Input) { return func(in *Input) { edit(&in.Stack.Spec.IPPools[0]) } }
	ours := facts.Installed{Type: facts.InstalledWeaveNet, Namespace: "kube-system", Name: "weave-net", Component: "weave-net"}
	theirs := facts.Installed{Type: facts.InstalledWeaveNet, Namespace: "kube-system", Name: "weave-net", Source: "kubectl"}
	rotated := func(path, text string) []string {
		return []string{weaveLegacy, "spec.cni." + path + ": " + text + " [WEAVE-PASSWORD-CHANGE]"}
	}
	rotation := rotated("encryption.rotation", "while another password is rolled out, agents with the old one and with the new one do not talk, and neither do pods on their nodes: change it in a maintenance window, with a larger agents.maxUnavailable")
	switched := rotated("encryption", "while this is rolled out, agents with another password than the rest, or without one, do not talk to these, and neither do pods on their nodes")
	password := EncryptionSpec{Type: EncryptionPassword}
	return []finding{
		{name: "Weave: nothing but that it is legacy", in: weave(), warnings: legacy},
		{name: "Weave: its own once it runs", in: weave(there(ours), before(object{"ipallocRange": "10.244.0.0/16"})), warnings: legacy},
		{name: "Weave: no range", in: weave(withoutPools), warnings: legacy},
		{name: "Weave: everything", in: weave(mode(KubeProxyIPTables), withoutKubeProxy, encapsulation(EncapsulationVXLAN), encrypted(password), mtu(1400), policies(Disabled), func(in *Input) {
			in.Stack.Spec.CNI.Namespace = "kube-system"
		}), warnings: legacy},
		{name: "Weave: not acknowledged", in: weave(func(in *Input) { in.Stack.Spec.CNI.WeaveNet.AcknowledgeLegacy = false }), errors: []string{
			"spec.cni.weaveNet.acknowledgeLegacy: Required value: Weave Net is legacy, hardly looked after, and without IPv6: use Cilium, Calico or Flannel, or set this to true [WEAVE-ACKNOWLEDGE]",
		}, warnings: legacy},
		{name: "Weave: no block", in: weave(func(in *Input) { in.Stack.Spec.CNI.WeaveNet = nil }), errors: []string{
			"spec.cni.weaveNet.acknowledgeLegacy: Required value: Weave Net is legacy, hardly looked after, and without IPv6: use Cilium, Calico or Flannel, or set this to true [WEAVE-ACKNOWLEDGE]",
		}, warnings: legacy},
		{name: "Weave: block for another type", in: flannel(func(in *Input) { in.Stack.Spec.CNI.WeaveNet = &WeaveNetSpec{} }), errors: []string{
			"spec.cni.weaveNet: Forbidden: is read only with type WeaveNet: remove it, or set type to WeaveNet [WEAVE-BLOCK]",
		}},
		{name: "Weave 40 both families", in: weave(dual), errors: []string{
			`spec.ipPools: Invalid value: "IPv4, IPv6": Weave Net carries IPv4 alone: remove IPv6, or use type Cilium or Calico [WEAVE-IPV6]`,
		}, warnings: legacy},
		{name: "Weave 40 IPv6", in: weave(onlyIPv6), errors: []string{
			`spec.ipPools: Invalid value: "IPv6": Weave Net carries IPv4 alone: remove IPv6, or use type Cilium or Calico [WEAVE-IPV6]`,
		}, warnings: legacy},
		{name: "Weave 40 IPv6 without pools", in: weave(withoutPools, cluster(makeIPv6), spec(func(s *NetworkStackSpec) { s.IPFamilies = []IPFamily{IPv6} })), errors: []string{
			`spec.ipFamilies: Invalid value: "IPv6": Weave Net carries IPv4 alone: remove IPv6, or use type Cilium or Calico [WEAVE-IPV6]`,
		}, warnings: legacy},
		{name: "Weave 40 without kube-proxy", in: weave(mode(KubeProxyReplaced)), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "Replaced": cni.type WeaveNet does not program Services, and without kube-proxy no Service works: set cni.type to Cilium or Calico, or choose IPTables or NFTables [PROXY-NOT-REPLACED]`,
		}, warnings: legacy},
		{name: "Weave 40 nftables", in: weave(mode(KubeProxyNFTables), withoutKubeProxy), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "NFTables": Weave Net's rules are written for iptables, and nobody has tried them beside kube-proxy's nftables: choose IPTables [WEAVE-NFTABLES]`,
		}, warnings: legacy},
		{name: "Weave 40 nftables of others", in: weave(foundProxyIn("nftables")), errors: []string{
			`spec.kubeProxy.mode: Invalid value: "Unmanaged": the kube-proxy that is there is in mode NFTables, beside which nobody has tried Weave Net's rules: change it to iptables where it is managed, or use another type of cni [WEAVE-NFTABLES]`,
		}, warnings: legacy},
		{name: "Weave 40 iptables of others", in: weave(foundProxyIn("iptables")), warnings: legacy},
		{name: "Weave: another MTU than the agents have", in: weave(there(ours), before(object{"ipallocRange": "10.244.0.0/16", "mtu": int64(1376)}), mtu(1400)), warnings: []string{
			"spec.mtu: new pods get 1400, and those that are there keep 1376 until they are re-created; until then they do with less than they could [MTU-CHANGED]", weaveLegacy,
		}},
		{name: "Weave 40 Windows", in: weave(cluster(func(s *facts.Snapshot) { s.Nodes[2].OS = "windows" })), errors: []string{
			`spec.cni.type: Invalid value: "WeaveNet": node n3 runs Windows, for which there is no Weave Net: use Calico or Flannel, or remove such nodes [WEAVE-WINDOWS]`,
		}, warnings: legacy},
		{name: "Weave: Geneve", in: weave(encapsulation(EncapsulationGeneve)), errors: []string{
			`spec.cni.encapsulation: Invalid value: "Geneve": Weave Net has an encapsulation of its own, which is VXLAN: remove it, or use another type [WEAVE-ENCAPSULATION]`,
		}, warnings: legacy},
		{name: "Weave: IPIP", in: weave(encapsulation(EncapsulationIPIP)), errors: []string{
			`spec.cni.encapsulation: Invalid value: "IPIP": Weave Net has an encapsulation of its own, which is VXLAN: remove it, or use another type [WEAVE-ENCAPSULATION]`,
		}, warnings: legacy},
		{name: "Weave: WireGuard", in: weave(encryption(EncryptionWireGuard)), errors: []string{
			`spec.cni.encryption.type: Invalid value: "WireGuard": Weave Net encrypts by a password and in no other way: use Password, or type Cilium [WEAVE-ENCRYPTION]`,
		}, warnings: legacy},
		{name: "Weave: IPsec", in: weave(encryption(EncryptionIPsec)), errors: []string{
			`spec.cni.encryption.type: Invalid value: "IPsec": Weave Net encrypts by a password and in no other way: use Password, or type Cilium [WEAVE-ENCRYPTION]`,
		}, warnings: legacy},
		{name: "Weave: BGP", in: weave(func(in *Input) { in.Stack.Spec.CNI.Calico = &CalicoSpec{BGP: Enabled} }), errors: []string{
			"spec.cni.calico: Forbidden: is read only with type Calico: remove it, or set type to Calico [CALICO-BLOCK]",
		}, warnings: legacy},
		{name: "Weave: two CIDRs", in: weave(poolEdit(func(p *IPPool) { p.CIDRs = append(p.CIDRs, "10.245.0.0/16") })), errors: []string{
			`spec.ipPools[0].cidrs[1]: Invalid value: "10.245.0.0/16": Weave Net takes one range and spec.ipPools[0].cidrs[0] is it already: remove this CIDR, widen that one, or use type Cilium or Calico [WEAVE-ONE-RANGE]`,
		}, warnings: legacy},
		{name: "Weave: two pools", in: weave(spec(func(s *NetworkStackSpec) { s.IPPools = append(s.IPPools, poolOf("more", "10.245.0.0/16")) })), errors: []string{
			`spec.ipPools[1].cidrs[0]: Invalid value: "10.245.0.0/16": Weave Net takes one range and spec.ipPools[0].cidrs[0] is it already: remove this CIDR, widen that one, or use type Cilium or Calico [WEAVE-ONE-RANGE]`,
		}, warnings: legacy},
		{name: "Weave: node masks", in: weave(poolEdit(func(p *IPPool) { p.NodeMaskSizes = &NodeMaskSizes{IPv4: ptr[int32](24)} })), errors: []string{
			"spec.ipPools[0].nodeMaskSizes: Forbidden: Weave Net's agents divide the range among themselves, and nodes have no ranges of one size: remove it [WEAVE-NODE-MASK]",
		}, warnings: legacy},
		{name: "Weave: no NAT", in: weave(poolEdit(func(p *IPPool) { p.NATOutgoing = Disabled })), errors: []string{
			`spec.ipPools[0].natOutgoing: Invalid value: "Disabled": Weave Net always gives pods their node's address on the way out: remove it, or use type Cilium or Calico [WEAVE-NAT]`,
		}, warnings: legacy},
		{name: "Weave: another range than the agents have", in: weave(there(ours), before(object{"ipallocRange": "10.32.0.0/12"})), errors: []string{
			`spec.ipPools[0].cidrs[0]: Invalid value: "10.244.0.0/16": the agents have divided 10.32.0.0/12 among themselves and keep that in /var/lib/weave of every node: restore it [WEAVE-RANGE-CHANGED]`,
		}, warnings: legacy},
		{name: "Weave: the range is kept when nothing is said of it", in: weave(withoutPools, there(ours), before(object{"ipallocRange": "10.64.0.0/13"})), warnings: legacy},
		{name: "Weave: another namespace", in: weave(func(in *Input) { in.Stack.Spec.CNI.Namespace = "weave" }), errors: []string{
			`spec.cni.namespace: Invalid value: "weave": Weave Net's agents look for each other in kube-system and nowhere else: remove it [WEAVE-NAMESPACE]`,
		}, warnings: legacy},
		{name: "Weave: an odd MTU", in: weave(mtu(1403)), warnings: []string{weaveLegacy,
			"spec.mtu: 1403 is no multiple of 4, and Weave Net falls back to its slow path where packets do not fit: use 1400 [WEAVE-MTU]"}},
		{name: "Weave: an MTU that nodes do not carry", in: weave(mtu(1420), nodeMTUs(1500, 1500, 1500)), errors: []string{
			`spec.mtu: Invalid value: 1420: 1420 + 84 (Weave Net) exceeds 1500 of node n1; the maximum is 1416: lower mtu, or set it to 0 to have it derived [MTU-EXCEEDS-NODES]`,
		}, warnings: legacy},
		{name: "Weave: a value that the spec decides", in: weave(values(object{"ipallocRange": "10.0.0.0/8"})), errors: []string{
			"spec.cni.values: Forbidden: values.ipallocRange is controlled by spec.ipPools; remove it [VALUES-CONTROLLED]",
		}, warnings: legacy},
		{name: "Weave: the password is rotated", in: weave(encrypted(EncryptionSpec{Type: EncryptionPassword, Rotation: "2"})), warnings: rotation},
		{name: "Weave: somebody's password is another one", in: weave(encrypted(EncryptionSpec{Type: EncryptionPassword, Rotation: "2", Password: &PasswordSpec{SecretName: "mine"}})), warnings: rotation},
		{name: "Weave: encryption is turned on", in: weave(encrypted(password), there(ours), before(object{})), warnings: switched},
		{name: "Weave: encryption is turned off", in: weave(there(ours), before(object{"password": object{"secretName": "weave-net-password"}})), warnings: switched},
		{name: "Weave: encryption stays", in: weave(encrypted(password), there(ours), before(object{"password": object{"secretName": "weave-net-password"}})), warnings: legacy},
		{name: "Weave: of nobody's", in: weave(there(theirs)), errors: []string{
			`spec.cni.type: Invalid value: "WeaveNet": DaemonSet kube-system/weave-net is Weave Net already, made by kubectl, and taking over a Weave Net is not supported: set cni.type to External to leave it there, or remove it first [WEAVE-FOREIGN]`,
		}, warnings: legacy},
		{name: "Weave: beside Flannel", in: weave(there(facts.Installed{Type: facts.InstalledFlannel, Namespace: "kube-flannel", Name: "kube-flannel-ds"})), errors: []string{
			`spec.cni.type: Invalid value: "WeaveNet": DaemonSet kube-flannel/kube-flannel-ds is Flannel, which NetworkStack did not install; two network plugins break every pod: set cni.type to External to leave it there, or remove it first [CNI-SECOND]`,
		}, warnings: legacy},
		{name: "a password for Cilium", in: cilium(encrypted(password)), errors: []string{
			`spec.cni.encryption.type: Invalid value: "Password": only Weave Net encrypts by a password: use WireGuard with Cilium, Calico or Flannel, or IPsec with Cilium [CNI-PASSWORD]`,
		}},
		{name: "a password for Flannel", in: flannel(encrypted(password)), errors: []string{
			`spec.cni.encryption.type: Invalid value: "Password": only Weave Net encrypts by a password: use WireGuard with Cilium, Calico or Flannel, or IPsec with Cilium [CNI-PASSWORD]`,
		}},
		{name: "a password for Calico", in: calico(encrypted(password)), errors: []string{
			`spec.cni.encryption.type: Invalid value: "Password": only Weave Net encrypts by a password: use WireGuard with Cilium, Calico or Flannel, or IPsec with Cilium [CNI-PASSWORD]`,
		}},
		{name: "a password block without its type", in: cilium(encrypted(EncryptionSpec{Type: EncryptionWireGuard, Password: &PasswordSpec{SecretName: "x"}})), errors: []string{
			"spec.cni.encryption.password: Forbidden: is read only with type Password: remove it, or set type to Password [CNI-PASSWORD-BLOCK]",
		}},
		{name: "rotation of what rotates by itself", in: cilium(encrypted(EncryptionSpec{Type: EncryptionWireGuard, Rotation: "2"})), errors: []string{
			"spec.cni.encryption.rotation: Forbidden: only keys and passwords are rotated on request: remove it, or set type to IPsec or Password [CNI-ROTATION]",
		}},
	}
}
