package compose

import (
	"strings"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/facts"
)

// ownIPsec encrypts by keys of the user's own.
func ownIPsec(in *Input) {
	in.Stack.Spec.CNI.Encryption = &EncryptionSpec{Type: EncryptionIPsec, IPsec: &IPsecSpec{SecretName: "mine"}}
}

// ownKeysAre lets the user's own keys be known.
func ownKeysAre(at facts.KeysAt, problem string) func(*Input) {
	return cluster(func(s *facts.Snapshot) { s.OwnKeys = &facts.OwnKeys{KeysAt: at, Problem: problem} })
}

func cniFindings() []finding {
	found := func(i facts.Installed) func(*Input) {
		return cluster(func(s *facts.Snapshot) { s.Installed = append(s.Installed, i) })
	}
	ourCilium := func(image string) func(*Input) {
		return found(facts.Installed{Type: facts.InstalledCilium, Namespace: "kube-system", Name: "cilium", Component: "cilium", Image: image})
	}
	ourFlannel := func(image string) func(*Input) {
		return found(facts.Installed{Type: facts.InstalledFlannel, Namespace: "kube-flannel", Name: "kube-flannel-ds", Component: "flannel", Image: image})
	}
	// Some catalogue may hold Flannel to steps, too.
	flannelSteps := func(in *Input) {
		entry := in.Catalog["Flannel"]
		entry.Upgrades = []catalog.Upgrade{{MinorsUp: ptr(2), MinorsDown: ptr(0)}}
		in.Catalog["Flannel"] = entry
	}
	newestCilium := func(in *Input) {
		entry := in.Catalog["Cilium"]
		entry.Versions = append([]catalog.Version{{Version: "1.20.3"}}, entry.Versions...)
		entry.DefaultVersion = "1.20.0"
		in.Catalog["Cilium"] = entry
	}
	version := func(v string) func(*Input) { return func(in *Input) { in.Stack.Spec.CNI.Version = v } }
	kubernetes := func(v string) func(*Input) { return cluster(func(s *facts.Snapshot) { s.KubernetesVersion = v }) }
	chart := func(repository string) func(*Input) {
		return func(in *Input) { in.Stack.Spec.CNI.Chart = &ChartReference{Repository: repository} }
	}
	return []finding{
		{name: "33 replacement and kube-proxy", in: cilium(values(map[string]any{"kubeProxyReplacement": "true"})), errors: []string{
			"spec.cni.values: Forbidden: values.kubeProxyReplacement is controlled by spec.kubeProxy; remove it [VALUES-CONTROLLED]",
		}},
		{name: "42 foreign Calico", in: cilium(found(facts.Installed{Type: facts.InstalledCalico, Namespace: "calico-system", Name: "calico-node", Manager: "Helm release tigera-operator/calico"})), errors: []string{
			`spec.cni.type: Invalid value: "Cilium": DaemonSet calico-system/calico-node is Calico, managed by "Helm release tigera-operator/calico"; two network plugins break every pod: set cni.type to External to leave it there, or remove it first [CNI-SECOND]`,
		}},
		{name: "42 our own of the other type", in: flannel(ourCilium("quay.io/cilium/cilium:v1.20.0")), errors: []string{
			`spec.cni.type: Invalid value: "Flannel": DaemonSet kube-system/cilium is Cilium, installed by NetworkStack as component cilium; two network plugins break every pod: set cni.type to External to leave it there, or remove it first [CNI-SECOND]`,
		}},
		{name: "42 foreign of the same type", in: flannel(found(facts.Installed{Type: facts.InstalledFlannel, Namespace: "kube-flannel", Name: "kube-flannel-ds"})), errors: []string{
			`spec.cni.type: Invalid value: "Flannel": DaemonSet kube-flannel/kube-flannel-ds is Flannel already, made by somebody unknown: set spec.adoption to Adopt to take it over (status.adoption of NetworkComponent flannel says what that changes), or set cni.type to External to leave it there [ADOPT-NOT-ASKED]`,
		}},
		{name: "42 External and none there", in: input(CNIExternal), warnings: []string{
			"spec.cni.type: External, and no network plugin was found: pods get no network until one is installed [CNI-NONE-FOUND]",
		}},
		{name: "43 skips a minor", in: cilium(ourCilium("quay.io/cilium/cilium:v1.18.12@sha256:" + strings.Repeat("a", 64))), errors: []string{
			`spec.cni.version: Invalid value: "1.20.0": Cilium 1.18 → 1.20 is more than one upgrade may skip: go to 1.19.6 first [CILIUM-MINOR-SKIPPED]`,
		}},
		{name: "43 one minor up", in: cilium(ourCilium("registry.example.com:5000/cilium/cilium:v1.19.6"))},
		{name: "43 one minor down", in: cilium(ourCilium("quay.io/cilium/cilium:v1.20.0"), version("1.19.6"), kubernetes("v1.34.0")), warnings: []string{
			"spec.cni.version: Cilium 1.20 → 1.19 goes down: what was set up with features of 1.20 may be lost; stay with it if such are in use [VERSION-DOWNGRADED]",
		}},
		{name: "43 two minors down", in: cilium(ourCilium("quay.io/cilium/cilium:v1.21.0"), version("1.19.6"), kubernetes("v1.34.0")), errors: []string{
			`spec.cni.version: Invalid value: "1.19.6": Cilium 1.21 → 1.19 goes down further than is supported: go to 1.20.0 first [CILIUM-DOWNGRADE]`,
		}},
		{name: "43 a version of the future up", in: cilium(ourCilium("quay.io/cilium/cilium:v1.20.0"), version("1.23.0")), errors: []string{
			`spec.cni.version: Invalid value: "1.23.0": Cilium 1.20 → 1.23 is more than one upgrade may skip: go to 1.21 first [CILIUM-MINOR-SKIPPED]`,
		}, warnings: []string{
			"spec.cni.version: Cilium 1.23.0 is not in the catalogue (1.20.0, 1.19.6): it was not tested with this operator and its chart is not checked against a digest [VERSION-UNKNOWN]",
		}},
		{name: "43 steps of another component by the catalogue", in: flannel(ourFlannel("ghcr.io/flannel-io/flannel:v0.25.1"), flannelSteps), errors: []string{
			`spec.cni.version: Invalid value: "0.28.9": Flannel 0.25 → 0.28 is more than one upgrade may skip: go to 0.27 first [VERSION-SKIPPED]`,
		}},
		{name: "43 steps down of another component", in: flannel(ourFlannel("ghcr.io/flannel-io/flannel:v0.29.0"), flannelSteps), errors: []string{
			`spec.cni.version: Invalid value: "0.28.9": Flannel 0.29 → 0.28 goes down further than is supported: use a version of 0.29 [VERSION-DOWN]`,
		}},
		{name: "43 another major of another component", in: flannel(ourFlannel("ghcr.io/flannel-io/flannel:v1.0.0"), flannelSteps), errors: []string{
			`spec.cni.version: Invalid value: "0.28.9": Flannel 1.0.0 → 0.28.9 changes the major version: stay within 1 [VERSION-MAJOR]`,
		}},
		{name: "43 no steps in the catalogue", in: flannel(ourFlannel("ghcr.io/flannel-io/flannel:v1.0.0"))},
		{name: "44 version without a digest", in: cilium(newestCilium, version("1.20.3")), warnings: []string{
			"spec.cni.version: Cilium 1.20.3 is known, but was not tested with this operator, and the catalogue has no digest to check its chart against: state chart.digest [VERSION-UNVERIFIED]",
		}},
		{name: "44 version with the user's digest", in: cilium(newestCilium, version("1.20.3"), spec(func(s *NetworkStackSpec) {
			s.CNI.Chart = &ChartReference{Repository: "https://helm.cilium.io", Digest: digest("beef")}
		}))},
		{name: "44 newer than the default", in: cilium(newestCilium)},
		{name: "43 another major", in: cilium(ourCilium("quay.io/cilium/cilium:v2.0.0")), errors: []string{
			`spec.cni.version: Invalid value: "1.20.0": Cilium 2.0.0 → 1.20.0 changes the major version: stay within 2 [CILIUM-MAJOR]`,
		}},
		{name: "43 one patch down", in: cilium(ourCilium("quay.io/cilium/cilium:v1.20.2"))},
		{name: "43 image without a tag", in: cilium(ourCilium("localhost:5000/cilium@sha256:" + strings.Repeat("a", 64)))},
		{name: "44 Kubernetes newer than tested", in: cilium(kubernetes("v1.37.2")), warnings: []string{
			"spec.cni.version: Cilium 1.20.0 is tested with Kubernetes 1.33 to 1.36; the cluster is 1.37 [VERSION-UNTESTED]",
		}},
		{name: "44 Kubernetes older than tested", in: cilium(kubernetes("v1.31.0")), warnings: []string{
			"spec.cni.version: Cilium 1.20.0 is tested with Kubernetes 1.33 to 1.36; the cluster is 1.31 [VERSION-UNTESTED]",
		}},
		{name: "44 version not in the catalogue", in: cilium(version("1.20.9")), warnings: []string{
			"spec.cni.version: Cilium 1.20.9 is not in the catalogue (1.20.0, 1.19.6): it was not tested with this operator and its chart is not checked against a digest [VERSION-UNKNOWN]",
		}},
		{name: "44 version not in the binary", in: flannel(version("0.27.0")), warnings: []string{
			"spec.cni.version: Flannel 0.27.0 is not in the catalogue, and this operator carries 0.28.9 only: it must come from a charts directory, or name its repository in chart [VERSION-UNKNOWN]",
		}},
		{name: "44 version of another source", in: cilium(version("1.20.9"), chart("https://charts.example.com"))},
		{name: "57 controlled values", in: cilium(values(map[string]any{
			"MTU": 1400, "ipam": map[string]any{"mode": "eni"}, "ipv6": nil, "operator": map[string]any{"replicas": 3},
			"encryption": map[string]any{"ipsec": map[string]any{"secretName": "x"}},
		})), errors: []string{
			"spec.cni.values: Forbidden: values.MTU is controlled by spec.mtu; remove it [VALUES-CONTROLLED]",
			"spec.cni.values: Forbidden: values.encryption.ipsec.secretName is controlled by spec.cni.encryption; remove it [VALUES-CONTROLLED]",
			"spec.cni.values: Forbidden: values.ipam.mode is controlled by spec.ipPools; remove it [VALUES-CONTROLLED]",
			"spec.cni.values: Forbidden: values.ipv6 is controlled by spec.ipFamilies; remove it [VALUES-CONTROLLED]",
		}},
		{name: "57 controlled values of Flannel", in: flannel(values(map[string]any{"podCidr": "10.0.0.0/8", "flannel": map[string]any{"backend": "udp", "cniBinDir": "/bin"}})), errors: []string{
			"spec.cni.values: Forbidden: values.flannel.backend is controlled by spec.cni.encapsulation; remove it [VALUES-CONTROLLED]",
			"spec.cni.values: Forbidden: values.podCidr is controlled by spec.ipPools; remove it [VALUES-CONTROLLED]",
		}},
		{name: "57 Flannel's arguments undone", in: flannel(values(map[string]any{"flannel": map[string]any{"args": []any{"--iface=eth1"}}})), errors: []string{
			"spec.cni.values: Invalid value: values.flannel.args lacks --kube-subnet-mgr, without which flanneld looks for an etcd of its own: add it [FLANNEL-ARGS]",
			"spec.cni.values: Invalid value: values.flannel.args lacks --ip-masq, but natOutgoing is Enabled: add it, or set natOutgoing to Disabled [FLANNEL-ARGS-NAT]",
		}},
		{name: "57 Flannel's arguments extended", in: flannel(values(map[string]any{"flannel": map[string]any{"args": []any{"--ip-masq", "--kube-subnet-mgr", "--iface=eth1"}}}))},
		{name: "57 Flannel masquerades against the pools", in: flannel(func(in *Input) { in.Stack.Spec.IPPools[0].NATOutgoing = Disabled },
			values(map[string]any{"flannel": map[string]any{"args": []any{"--ip-masq", "--kube-subnet-mgr"}}})), errors: []string{
			"spec.cni.values: Invalid value: values.flannel.args has --ip-masq, but natOutgoing is Disabled: remove it, or set natOutgoing to Enabled [FLANNEL-ARGS-NAT]",
		}},
		{name: "Flannel's arguments no list", in: flannel(values(map[string]any{"flannel": map[string]any{"args": "--ip-masq"}})), errors: []string{
			"spec.cni.values: Invalid value: values.flannel.args must be a list of arguments [FLANNEL-ARGS]",
		}},
		{name: "Flannel's nftables beside kube-proxy's iptables", in: flannel(withoutKubeProxy, mode(KubeProxyIPTables), values(object{"flannel": object{"enableNFTables": true}})), warnings: []string{
			"spec.cni.values: values.flannel.enableNFTables goes with kubeProxy.mode NFTables, and it is IPTables: set that, or remove the value [FLANNEL-NFTABLES]",
		}},
		{name: "Flannel's nftables beside the iptables of others", in: flannel(foundProxyIn("iptables"), values(object{"flannel": object{"enableNFTables": true}})), warnings: []string{
			"spec.cni.values: values.flannel.enableNFTables goes with a kube-proxy in mode NFTables, and the one that is there is in IPTables: remove the value [FLANNEL-NFTABLES]",
		}},
		{name: "Flannel's nftables beside those of others", in: flannel(foundProxyIn("nftables"), values(object{"flannel": object{"enableNFTables": true}}))},
		{name: "Flannel's nftables beside who knows what", in: flannel(values(object{"flannel": object{"enableNFTables": true}}))},
		{name: "Flannel's nftables beside kube-proxy's", in: flannel(withoutKubeProxy, mode(KubeProxyNFTables), values(object{"flannel": object{"enableNFTables": true}}))},
		{name: "all agents at once", in: flannel(values(object{"updateStrategy": object{"rollingUpdate": object{"maxUnavailable": "100%"}}})), warnings: []string{
			"spec.cni.values: values.updateStrategy.rollingUpdate.maxUnavailable lets a change stop the agents of all nodes at once: use a number, or a smaller share [ROLLOUT-ALL-AT-ONCE]",
		}},
		{name: "no agent at a time", in: cilium(values(object{"updateStrategy": object{"rollingUpdate": object{"maxUnavailable": 0}}})), errors: []string{
			"spec.cni.values: Invalid value: values.updateStrategy.rollingUpdate.maxUnavailable of 0 lets no agent be replaced: use 1 or more [ROLLOUT-STUCK]",
		}},
		{name: "one agent more at a time", in: flannel(values(object{"updateStrategy": object{"rollingUpdate": object{"maxUnavailable": 0, "maxSurge": 1}}}))},
		{name: "Flannel with Geneve", in: flannel(encapsulation(EncapsulationGeneve)), errors: []string{
			`spec.cni.encapsulation: Invalid value: "Geneve": Flannel has no Geneve backend: use VXLAN or None, or type Cilium [FLANNEL-GENEVE]`,
		}},
		{name: "Flannel with IPsec", in: flannel(encryption(EncryptionIPsec)), errors: []string{
			`spec.cni.encryption.type: Invalid value: "IPsec": Flannel's IPsec backend is experimental and not supported: use WireGuard, or type Cilium [FLANNEL-IPSEC]`,
		}},
		{name: "Flannel with WireGuard and encapsulation", in: flannel(encryption(EncryptionWireGuard), encapsulation(EncapsulationVXLAN)), errors: []string{
			`spec.cni.encapsulation: Invalid value: "VXLAN": Flannel's WireGuard backend is itself the encapsulation: remove encapsulation, or set encryption.type to None [FLANNEL-WIREGUARD-ENCAPSULATION]`,
		}},
		{name: "External with settings", in: external(encapsulation(EncapsulationVXLAN), encryption(EncryptionNone), version("1.0.0"), values(map[string]any{}), chart("https://charts.example.com"), func(in *Input) {
			in.Stack.Spec.CNI.Namespace = "kube-system"
			in.Stack.Spec.CNI.ValuesFrom = []ValuesReference{{Kind: ValuesFromSecret, Name: "v"}}
		}), errors: []string{
			"spec.cni.encapsulation: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type [CNI-EXTERNAL-FIELD]",
			"spec.cni.encryption: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type [CNI-EXTERNAL-FIELD]",
			"spec.cni.version: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type [CNI-EXTERNAL-FIELD]",
			"spec.cni.namespace: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type [CNI-EXTERNAL-FIELD]",
			"spec.cni.chart: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type [CNI-EXTERNAL-FIELD]",
			"spec.cni.values: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type [CNI-EXTERNAL-FIELD]",
			"spec.cni.valuesFrom: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type [CNI-EXTERNAL-FIELD]",
		}},
		{name: "own IPsec keys that there are not", in: cilium(ownIPsec, ownKeysAre(facts.KeysAt{Namespace: "kube-system", Name: "mine", Key: "keys", Kind: SecretIPsecKeys}, "it does not exist")), errors: []string{
			`spec.cni.encryption.ipsec.secretName: Invalid value: "mine": Secret kube-system/mine cannot be used: it does not exist; correct it, or remove secretName to have one made [CNI-OWN-KEYS]`,
		}},
		{name: "own IPsec keys under another key", in: cilium(ownIPsec, values(object{"encryption": object{"ipsec": object{"keyFile": "other"}}}),
			ownKeysAre(facts.KeysAt{Namespace: "kube-system", Name: "mine", Key: "other", Kind: SecretIPsecKeys}, "it has nothing under the key other")), errors: []string{
			`spec.cni.encryption.ipsec.secretName: Invalid value: "mine": Secret kube-system/mine cannot be used: it has nothing under the key other; correct it, or remove secretName to have one made [CNI-OWN-KEYS]`,
		}},
		{name: "own IPsec keys as they should be", in: cilium(ownIPsec, ownKeysAre(facts.KeysAt{Namespace: "kube-system", Name: "mine", Key: "keys", Kind: SecretIPsecKeys}, ""))},
		{name: "own IPsec keys that were others a moment ago", in: cilium(ownIPsec, ownKeysAre(facts.KeysAt{Namespace: "kube-system", Name: "old", Key: "keys", Kind: SecretIPsecKeys}, "it does not exist"))},
		{name: "an own password that there is not", in: weave(func(in *Input) {
			in.Stack.Spec.CNI.Encryption = &EncryptionSpec{Type: EncryptionPassword, Password: &PasswordSpec{SecretName: "mine"}}
		}, ownKeysAre(facts.KeysAt{Namespace: "kube-system", Name: "mine", Key: "password", Kind: SecretPassword}, "it has nothing under the key password")), errors: []string{
			`spec.cni.encryption.password.secretName: Invalid value: "mine": Secret kube-system/mine cannot be used: it has nothing under the key password; correct it, or remove secretName to have one made [CNI-OWN-KEYS]`,
		}, warnings: []string{weaveLegacy}},
		{name: "ipsec block with WireGuard", in: cilium(func(in *Input) {
			in.Stack.Spec.CNI.Encryption = &EncryptionSpec{Type: EncryptionWireGuard, IPsec: &IPsecSpec{SecretName: "keys"}}
		}), errors: []string{
			"spec.cni.encryption.ipsec: Forbidden: is read only with type IPsec: remove it, or set type to IPsec [CNI-IPSEC-BLOCK]",
		}},
		{name: "IPsec with what it excludes", in: cilium(encryption(EncryptionIPsec), values(map[string]any{
			"hostFirewall": map[string]any{"enabled": true}, "cni": map[string]any{"chainingMode": "portmap"},
			"encryption": map[string]any{"strictMode": map[string]any{"ingress": map[string]any{"enabled": true}}},
		})), errors: []string{
			"spec.cni.values: Invalid value: values.hostFirewall.enabled does not work with IPsec; Cilium's agents stop on start: remove it, or choose WireGuard [CILIUM-IPSEC-HOST-FIREWALL]",
			"spec.cni.values: Invalid value: values.encryption.strictMode.ingress.enabled works with WireGuard only: remove it, or choose WireGuard [CILIUM-IPSEC-STRICT-INGRESS]",
			"spec.cni.values: Invalid value: values.cni.chainingMode does not work with IPsec: remove it, or choose WireGuard [CILIUM-IPSEC-CHAINING]",
		}},
		{name: "DSR over VXLAN", in: cilium(values(map[string]any{"loadBalancer": map[string]any{"mode": "dsr"}, "autoDirectNodeRoutes": true})), errors: []string{
			"spec.cni.values: Invalid value: values.loadBalancer.mode dsr does not work over VXLAN; Cilium's agents stop on start: set encapsulation to Geneve (with loadBalancer.dsrDispatch geneve) or None [CILIUM-DSR-VXLAN]",
			"spec.cni.values: Invalid value: values.autoDirectNodeRoutes works without a tunnel only; Cilium's agents stop on start: remove it, or set encapsulation to None [CILIUM-DIRECT-ROUTES-TUNNEL]",
		}},
		{name: "native routing with several ranges", in: cilium(encapsulation(EncapsulationNone), cidrs("10.244.0.0/16", "10.245.0.0/16")), errors: []string{
			`spec.cni.encapsulation: Invalid value: "None": native routing needs one IPv4 range that holds all pods, and ipPools has 2: use one CIDR, or set cni.values.ipv4NativeRoutingCIDR to a range that holds them all [CILIUM-NATIVE-RANGES]`,
		}},
		{name: "native routing with several ranges and a value", in: cilium(encapsulation(EncapsulationNone), cidrs("10.244.0.0/16", "10.245.0.0/16"), values(map[string]any{"ipv4NativeRoutingCIDR": "10.244.0.0/15"}))},
		{name: "kernels Cilium is not tested with", in: cilium(cluster(func(s *facts.Snapshot) {
			s.Nodes[0].KernelVersion, s.Nodes[1].KernelVersion, s.Nodes[2].KernelVersion = "5.4.0-150-generic", "4.18.0-553.el8_10.x86_64", "4.18.0-477.el8_8.x86_64"
		})), warnings: []string{
			"spec.cni.type: nodes n1 and n3 have a kernel older than 5.10 (RHEL 8: 8.10), which Cilium is not tested with [CILIUM-KERNEL]",
		}},
		{name: "no catalogue entry", in: func() Input { in := cilium(); in.Catalog = nil; return in }(), errors: []string{
			"spec.cni: Internal error: the catalogue has no entry for Cilium: correct the catalogue [RELEASE-INTERNAL]",
		}},
	}
}
