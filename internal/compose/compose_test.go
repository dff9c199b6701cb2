package compose

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// TestDerivedValues holds the chart values of whole stacks to the letter.
func TestDerivedValues(t *testing.T) {
	// What every Cilium release has whatever the stack; the user may replace it.
	ciliumRest := object{
		"rollOutCiliumPods": true, "upgradeCompatibility": "1.20",
		"operator":   object{"rollOutPods": true, "replicas": int64(2)},
		"hubble":     object{"enabled": false, "peerService": object{"clusterDomain": "cluster.local"}},
		"encryption": object{"enabled": false},
		"ipv4":       object{"enabled": true}, "ipv6": object{"enabled": false},
		"enableIPv4Masquerade": true,
		"routingMode":          "tunnel", "tunnelProtocol": "vxlan", "underlayProtocol": "ipv4",
		"kubeProxyReplacement": "false",
		"ipam": object{"mode": "cluster-pool", "operator": object{
			"clusterPoolIPv4PodCIDRList": []any{"10.244.0.0/16"}, "clusterPoolIPv4MaskSize": int64(24)}},
	}
	dualRest := MergeValues(ciliumRest, object{
		"ipv6": object{"enabled": true}, "enableIPv6Masquerade": true,
		"ipam": object{"operator": object{"clusterPoolIPv6PodCIDRList": []any{"fd00:10:244::/56"}, "clusterPoolIPv6MaskSize": int64(64)}},
	})
	drop := func(m object, keys ...string) object {
		m = MergeValues(m, nil)
		for _, k := range keys {
			delete(m, k)
		}
		return m
	}
	ipv6Rest := MergeValues(drop(dualRest, "ipam", "enableIPv4Masquerade"), object{
		"ipv4": object{"enabled": false}, "underlayProtocol": "ipv6",
		"ipam": object{"mode": "cluster-pool", "operator": object{
			"clusterPoolIPv6PodCIDRList": []any{"fd00:10:244::/56"}, "clusterPoolIPv6MaskSize": int64(64)}},
	})
	subnetArgs := []any{"--ip-masq", "--kube-subnet-mgr"}
	ourProxy := cluster(func(s *facts.Snapshot) { s.Installed[0].Component = "kube-proxy" })

	for _, tc := range []struct {
		name, release string
		in            Input
		want          object
	}{
		{"Flannel IPv4", "flannel", flannel(), object{
			"podCidr": "10.244.0.0/16", "podCidrv6": "",
			"flannel": object{"backend": "vxlan", "args": subnetArgs},
		}},
		{"Flannel dual-stack with node MTU", "flannel", flannel(dual, nodeMTUs(1500, 1500, 1500)), object{
			"podCidr": "10.244.0.0/16", "podCidrv6": "fd00:10:244::/56",
			"flannel": object{"backend": "vxlan", "mtu": int64(1480), "args": subnetArgs},
		}},
		{"Flannel IPv6", "flannel", flannel(onlyIPv6, nodeMTUs(1500, 1500, 1500)), object{
			"podCidr": "", "podCidrv6": "fd00:10:244::/56",
			"flannel": object{"backend": "vxlan", "mtu": int64(1480), "args": subnetArgs},
		}},
		{"Flannel without NAT, host-gw", "flannel", flannel(encapsulation(EncapsulationNone), func(in *Input) {
			in.Stack.Spec.IPPools[0].NATOutgoing = Disabled
		}), object{
			"podCidr": "10.244.0.0/16", "podCidrv6": "",
			"flannel": object{"backend": "host-gw", "args": []any{"--kube-subnet-mgr"}},
		}},
		{"Flannel WireGuard", "flannel", flannel(encryption(EncryptionWireGuard)), object{
			"podCidr": "10.244.0.0/16", "podCidrv6": "",
			"flannel": object{"backend": "wireguard", "args": subnetArgs},
		}},
		{"Flannel without kube-proxy", "flannel", flannel(withoutKubeProxy), object{
			"podCidr": "10.244.0.0/16", "podCidrv6": "",
			"flannel": object{"backend": "vxlan", "args": subnetArgs},
			"kubeApi": object{"host": "192.168.10.10", "port": int64(6443)},
		}},
		{"Flannel's own chart without kube-proxy", "flannel", flannel(withoutKubeProxy, func(in *Input) {
			in.Stack.Spec.CNI.Chart = &ChartReference{Repository: "https://flannel-io.github.io/flannel"}
		}), object{
			"podCidr": "10.244.0.0/16", "podCidrv6": "",
			"flannel": object{"backend": "vxlan", "args": subnetArgs},
		}},
		{"Flannel without pools", "flannel", flannel(noPools), object{
			"podCidr": "10.244.0.0/22", "podCidrv6": "",
			"flannel": object{"backend": "vxlan", "args": subnetArgs},
		}},
		{"A: Cilium dual-stack overlay", "cilium", cilium(dual), dualRest},
		{"A: Cilium with node MTU", "cilium", cilium(nodeMTUs(9001, 9001, 9001), mtu(8000)), MergeValues(ciliumRest, object{"MTU": int64(8050)})},
		{"A: Cilium on one node", "cilium", cilium(cluster(func(s *facts.Snapshot) { s.Nodes = s.Nodes[:1] })),
			MergeValues(ciliumRest, object{"operator": object{"replicas": int64(1)}})},
		{"A: Cilium IPv6", "cilium", cilium(onlyIPv6), ipv6Rest},
		{"A: Cilium with the nodes' ranges", "cilium", cilium(noPools, cluster(makeDual)), MergeValues(drop(dualRest, "ipam"), object{
			"ipam": object{"mode": "kubernetes"}, "k8s": object{"requireIPv4PodCIDR": true, "requireIPv6PodCIDR": true},
		})},
		{"A: Cilium Geneve without NAT", "cilium", cilium(encapsulation(EncapsulationGeneve), func(in *Input) {
			in.Stack.Spec.IPPools[0].NATOutgoing = Disabled
			in.Stack.Spec.IPPools[0].NodeMaskSizes = &NodeMaskSizes{IPv4: ptr(int32(25))}
		}), MergeValues(ciliumRest, object{
			"tunnelProtocol": "geneve", "enableIPv4Masquerade": false,
			"ipam": object{"operator": object{"clusterPoolIPv4MaskSize": int64(25)}},
		})},
		{"B: Cilium replaces kube-proxy", "cilium", cilium(mode(KubeProxyReplaced), pinned(PinnedFacts{DNSDomain: "k8s.example"})), MergeValues(ciliumRest, object{
			"kubeProxyReplacement": "true", "k8sServiceHost": "192.168.10.10", "k8sServicePort": int64(6443),
			"kubeProxyReplacementHealthzBindAddr": "0.0.0.0:10256", "socketLB": object{"hostNamespaceOnly": true},
			"hubble": object{"peerService": object{"clusterDomain": "k8s.example"}},
		})},
		{"B: Cilium replaces kube-proxy on IPv6", "cilium", cilium(onlyIPv6, mode(KubeProxyReplaced)), MergeValues(ipv6Rest, object{
			"kubeProxyReplacement": "true", "k8sServiceHost": "fd00:192::10", "k8sServicePort": int64(6443),
			"kubeProxyReplacementHealthzBindAddr": "[::]:10256", "socketLB": object{"hostNamespaceOnly": true},
		})},
		{"C: Cilium native", "cilium", cilium(dual, encapsulation(EncapsulationNone)), drop(MergeValues(dualRest, object{
			"routingMode": "native", "autoDirectNodeRoutes": true,
			"ipv4NativeRoutingCIDR": "10.244.0.0/16", "ipv6NativeRoutingCIDR": "fd00:10:244::/56",
		}), "tunnelProtocol", "underlayProtocol")},
		{"D: Cilium WireGuard", "cilium", cilium(encryption(EncryptionWireGuard)), MergeValues(ciliumRest, object{
			"encryption": object{"enabled": true, "type": "wireguard"},
		})},
		{"D: Cilium IPsec", "cilium", cilium(encryption(EncryptionIPsec)), MergeValues(ciliumRest, object{
			"encryption": object{"enabled": true, "type": "ipsec", "ipsec": object{"secretName": "cilium-ipsec-keys"}},
		})},
		{"D: Cilium IPsec with a Secret of another name", "cilium", cilium(func(in *Input) {
			in.Stack.Spec.CNI.Encryption = &EncryptionSpec{Type: EncryptionIPsec, IPsec: &IPsecSpec{SecretName: "keys"}}
		}), MergeValues(ciliumRest, object{
			"encryption": object{"enabled": true, "type": "ipsec", "ipsec": object{"secretName": "keys"}},
		})},
		{"kube-proxy IPTables dual-stack", "kube-proxy", flannel(dual, ourProxy, mode(KubeProxyIPTables)), object{
			"mode": "iptables", "clusterCIDR": "10.244.0.0/16,fd00:10:244::/56", "detectLocalMode": "ClusterCIDR",
			"apiServer": object{"host": "192.168.10.10", "port": int64(6443)}, "bindAddress": "0.0.0.0", "image": object{"tag": "v1.36.3"},
		}},
		{"kube-proxy NFTables IPv6", "kube-proxy", flannel(onlyIPv6, ourProxy, mode(KubeProxyNFTables), pinned(PinnedFacts{APIServer: &Endpoint{Host: "fd00::a", Port: 443}})), object{
			"mode": "nftables", "clusterCIDR": "fd00:10:244::/56", "detectLocalMode": "ClusterCIDR",
			"apiServer": object{"host": "fd00::a", "port": int64(443)}, "bindAddress": "::", "image": object{"tag": "v1.36.3"},
		}},
		{"kube-proxy of its own version", "kube-proxy", flannel(ourProxy, mode(KubeProxyIPVS), func(in *Input) { in.Stack.Spec.KubeProxy.Version = "1.35.9" }), object{
			"mode": "ipvs", "clusterCIDR": "10.244.0.0/16", "detectLocalMode": "ClusterCIDR",
			"apiServer": object{"host": "192.168.10.10", "port": int64(6443)}, "bindAddress": "0.0.0.0", "image": object{"tag": "v1.35.9"},
		}},
		{"kube-proxy with several ranges of Cilium", "kube-proxy", cilium(ourProxy, mode(KubeProxyIPTables), cidrs("10.244.0.0/16", "10.245.0.0/16")), object{
			"mode": "iptables", "detectLocalMode": "InterfaceNamePrefix", "detectLocal": object{"interfaceNamePrefix": "lxc"},
			"apiServer": object{"host": "192.168.10.10", "port": int64(6443)}, "bindAddress": "0.0.0.0", "image": object{"tag": "v1.36.3"},
		}},
		{"kube-proxy with several ranges of an external Calico", "kube-proxy", external(ourProxy, mode(KubeProxyIPTables), cidrs("10.244.0.0/16", "10.245.0.0/16")), object{
			"mode": "iptables", "detectLocalMode": "InterfaceNamePrefix", "detectLocal": object{"interfaceNamePrefix": "cali"},
			"apiServer": object{"host": "192.168.10.10", "port": int64(6443)}, "bindAddress": "0.0.0.0", "image": object{"tag": "v1.36.3"},
		}},
		{"kube-proxy beside Calico, whose pools come and go", "kube-proxy", calico(ourProxy, mode(KubeProxyIPTables)), object{
			"mode": "iptables", "detectLocalMode": "InterfaceNamePrefix", "detectLocal": object{"interfaceNamePrefix": "cali"},
			"apiServer": object{"host": "192.168.10.10", "port": int64(6443)}, "bindAddress": "0.0.0.0", "image": object{"tag": "v1.36.3"},
		}},
		{"kube-proxy with the nodes' ranges", "kube-proxy", flannel(ourProxy, mode(KubeProxyIPTables), noPools), object{
			"mode": "iptables", "detectLocalMode": "NodeCIDR",
			"apiServer": object{"host": "192.168.10.10", "port": int64(6443)}, "bindAddress": "0.0.0.0", "image": object{"tag": "v1.36.3"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rel, got := releaseNamed(t, accepted(t, tc.in), tc.release)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			// Every controlled path is defended against the user's values.
			for _, c := range rel.Spec.ControlledValues {
				if len(CheckValues(nest(c.Path, 1), rel.Spec.ControlledValues, "values")) == 0 {
					t.Errorf("%s is not defended", c.Path)
				}
			}
		})
	}
}

// nest is a value at a dotted path.
func nest(path string, v any) object {
	b := newValues("")
	b.set(path, v, "")
	return b.values
}

func TestReleases(t *testing.T) {
	ourProxy := cluster(func(s *facts.Snapshot) { s.Installed[0].Component = "kube-proxy" })
	sources := &Sources{ImageRegistry: "registry.example.com", Mirrors: []Mirror{{Source: "https://helm.cilium.io", Mirror: "oci://registry.example.com/charts"}}}
	from := []ValuesReference{{Kind: ValuesFromSecret, Name: "cilium"}}
	r := accepted(t, cilium(ourProxy, mode(KubeProxyIPTables), spec(func(s *NetworkStackSpec) {
		s.Sources, s.Drift, s.DeletionPolicy = sources, &DriftSpec{Mode: DriftWarn}, DeletionDelete
		s.Upgrade = &UpgradeSpec{Replacement: ReplacementDisruptive}
		s.CNI.ValuesFrom, s.CNI.Suspend, s.KubeProxy.Namespace = from, true, "proxy"
	})))
	for i := range r.Releases {
		r.Releases[i].Spec.DerivedValues, r.Releases[i].Spec.ControlledValues = nil, nil
	}
	if diff := cmp.Diff([]Release{
		{Name: "kube-proxy", Spec: NetworkComponentSpec{
			Type: "KubeProxy", Stage: 10, Chart: ResolvedChart{Name: "kube-proxy", Version: "0.1.0"}, ReleaseName: "kube-proxy", Namespace: "proxy",
			Sources: sources, DriftMode: DriftWarn, DeletionPolicy: DeletionOrphan, Replacement: ReplacementDisruptive,
		}},
		{Name: "cilium", Spec: NetworkComponentSpec{
			Type: "Cilium", Stage: 20, Chart: ResolvedChart{Repository: "https://helm.cilium.io", Name: "cilium", Version: "1.20.0", Digest: digest("c5f0")},
			ReleaseName: "cilium", Namespace: "kube-system", ValuesFrom: from, Suspend: true,
			Sources: sources, DriftMode: DriftWarn, DeletionPolicy: DeletionOrphan, Replacement: ReplacementDisruptive,
		}},
	}, r.Releases); diff != "" {
		t.Error(diff)
	}
	if r.KubeProxy != KubeProxyIPTables || r.ParkKubeProxy {
		t.Errorf("kube-proxy %s, parked %v", r.KubeProxy, r.ParkKubeProxy)
	}
	for _, rel := range accepted(t, cilium(ourProxy, mode(KubeProxyIPTables), spec(func(s *NetworkStackSpec) { s.Suspend = true }))).Releases {
		if !rel.Spec.Suspend || rel.Spec.DriftMode != DriftCorrect {
			t.Errorf("%s: suspend %v, drift %s", rel.Name, rel.Spec.Suspend, rel.Spec.DriftMode)
		}
	}
	if got := accepted(t, external()).Releases; got != nil {
		t.Errorf("an external CNI has releases: %+v", got)
	}
}

func TestNamespaceLabels(t *testing.T) {
	labels := testCatalog()["Flannel"].NamespaceLabels
	for _, tc := range []struct {
		name, namespace string
		want            map[string]string
	}{
		{"its usual one", "", labels},
		{"its usual one, stated", "kube-flannel", labels},
		{"a shared one", "kube-system", nil},
		{"another one", "network", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rel, _ := releaseNamed(t, accepted(t, flannel(func(in *Input) { in.Stack.Spec.CNI.Namespace = tc.namespace })), "flannel")
			if diff := cmp.Diff(tc.want, rel.Spec.NamespaceLabels); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSharedNamespaceIsNotLabelled even when the catalogue says so.
func TestSharedNamespaceIsNotLabelled(t *testing.T) {
	in := cilium()
	e := in.Catalog["Cilium"]
	e.NamespaceLabels = map[string]string{"a": "b"}
	in.Catalog["Cilium"] = e
	if rel, _ := releaseNamed(t, accepted(t, in), "cilium"); rel.Spec.NamespaceLabels != nil {
		t.Errorf("kube-system gets %v", rel.Spec.NamespaceLabels)
	}
}

func TestCharts(t *testing.T) {
	const helm = "https://helm.cilium.io"
	for _, tc := range []struct {
		name    string
		version string
		ref     *ChartReference
		want    ResolvedChart
	}{
		{"the catalogue's", "", nil, ResolvedChart{Repository: helm, Name: "cilium", Version: "1.20.0", Digest: digest("c5f0")}},
		{"a known version", "1.19.6", nil, ResolvedChart{Repository: helm, Name: "cilium", Version: "1.19.6", Digest: digest("21c4")}},
		{"a known version with v", "v1.19.6", nil, ResolvedChart{Repository: helm, Name: "cilium", Version: "1.19.6", Digest: digest("21c4")}},
		{"an unknown version", "1.19.9", nil, ResolvedChart{Repository: helm, Name: "cilium", Version: "1.19.9"}},
		{"another repository", "", &ChartReference{Repository: "oci://r.example/charts"}, ResolvedChart{Repository: "oci://r.example/charts", Name: "cilium", Version: "1.20.0"}},
		{"another repository, pinned", "1.20.9", &ChartReference{Repository: "oci://r.example/charts", Name: "net", Digest: digest("a")},
			ResolvedChart{Repository: "oci://r.example/charts", Name: "net", Version: "1.20.9", Digest: digest("a")}},
		{"the same repository", "", &ChartReference{Repository: helm}, ResolvedChart{Repository: helm, Name: "cilium", Version: "1.20.0", Digest: digest("c5f0")}},
		{"the same repository, another chart", "", &ChartReference{Repository: helm, Name: "other"}, ResolvedChart{Repository: helm, Name: "other", Version: "1.20.0"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rel, _ := releaseNamed(t, accepted(t, cilium(func(in *Input) {
				in.Stack.Spec.CNI.Version, in.Stack.Spec.CNI.Chart = tc.version, tc.ref
			})), "cilium")
			if diff := cmp.Diff(tc.want, rel.Spec.Chart); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParking(t *testing.T) {
	ours := cluster(func(s *facts.Snapshot) { s.Installed[0].Component = "kube-proxy" })
	parked := cluster(func(s *facts.Snapshot) { s.Installed[0].Parked = true })
	for _, tc := range []struct {
		name string
		in   Input
		mode KubeProxyMode
		want bool
	}{
		{"foreign", cilium(mode(KubeProxyReplaced)), KubeProxyReplaced, true},
		{"foreign and parked already", cilium(mode(KubeProxyReplaced), parked), KubeProxyReplaced, true},
		{"ours", cilium(mode(KubeProxyReplaced), ours), KubeProxyReplaced, false},
		{"none", cilium(mode(KubeProxyReplaced), withoutKubeProxy), KubeProxyReplaced, false},
		{"left alone", cilium(mode(KubeProxyUnmanaged)), KubeProxyUnmanaged, false},
		{"left out", cilium(), KubeProxyUnmanaged, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if r := accepted(t, tc.in); r.ParkKubeProxy != tc.want || r.KubeProxy != tc.mode {
				t.Errorf("park %v in mode %s", r.ParkKubeProxy, r.KubeProxy)
			}
		})
	}
}

// TestEffective lists what a stack that says almost nothing comes to.
func TestEffective(t *testing.T) {
	r := accepted(t, flannel(withoutKubeProxy, noPools))
	type row struct{ Setting, Value string }
	var got []row
	for _, e := range r.Effective {
		if e.Reason == "" {
			t.Errorf("%s has no reason", e.Setting)
		}
		got = append(got, row{e.Setting, e.Value})
	}
	want := []row{
		{"flannel: flannel.args", "--ip-masq, --kube-subnet-mgr"},
		{"flannel: flannel.backend", "vxlan"},
		{"flannel: kubeApi.host", "192.168.10.10"},
		{"flannel: kubeApi.port", "6443"},
		{"flannel: podCidr", "10.244.0.0/22"},
		{"flannel: podCidrv6", ""},
		{"spec.cluster.apiServer", "192.168.10.10:6443"},
		{"spec.cluster.dnsDomain", "cluster.local"},
		{"spec.cni.encapsulation", "VXLAN"},
		{"spec.cni.encryption.type", "None"},
		{"spec.cni.metrics.endpoints", "Disabled"},
		{"spec.cni.namespace", "kube-flannel"},
		{"spec.cni.networkPolicy", "Disabled"},
		{"spec.cni.version", "0.28.9"},
		{"spec.deletionPolicy", "Orphan"},
		{"spec.drift.mode", "Correct"},
		{"spec.ipFamilies", "IPv4"},
		{"spec.ipPools", "10.244.0.0/22"},
		{"spec.ipPools.natOutgoing", "Enabled"},
		{"spec.kubeProxy.mode", "Unmanaged"},
		{"spec.mtu", "0"},
		{"spec.upgrade.progressDeadline", "5m and 2s for each pod, at most 1h"},
		{"spec.upgrade.replacement", "Safe"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestProgressDeadline is passed on to every component, and left to each when it is not given.
func TestProgressDeadline(t *testing.T) {
	given := spec(func(s *NetworkStackSpec) {
		s.Upgrade = &UpgradeSpec{ProgressDeadline: &metav1.Duration{Duration: time.Hour}}
	})
	for _, rel := range accepted(t, flannel(withoutKubeProxy, mode(KubeProxyIPTables), given)).Releases {
		if d := rel.Spec.ProgressDeadline; d == nil || d.Duration != time.Hour {
			t.Errorf("%s: %v", rel.Name, d)
		}
	}
	for _, rel := range accepted(t, flannel(withoutKubeProxy, mode(KubeProxyIPTables))).Releases {
		if rel.Spec.ProgressDeadline != nil {
			t.Errorf("%s: %v although none is given", rel.Name, rel.Spec.ProgressDeadline)
		}
	}
}

// TestOrder: the order of pools decides the primary family and range, and nothing else does.
func TestOrder(t *testing.T) {
	base := func(p ...IPPool) Input {
		return cilium(cluster(makeDual), pools(p...), spec(func(s *NetworkStackSpec) { s.IPFamilies = []IPFamily{IPv4, IPv6} }))
	}
	a, b := poolOf("a", "10.244.0.0/16"), poolOf("b", "fd00:10:244::/56")
	if diff := cmp.Diff(accepted(t, base(a, b)), accepted(t, base(b, a))); diff != "" {
		t.Errorf("pools of different families in another order:\n%s", diff)
	}
	c := poolOf("c", "10.245.0.0/16")
	_, first := releaseNamed(t, accepted(t, base(a, c, b)), "cilium")
	_, second := releaseNamed(t, accepted(t, base(c, b, a)), "cilium")
	const list = "ipam.operator.clusterPoolIPv4PodCIDRList"
	x, _ := lookup(first, list)
	y, _ := lookup(second, list)
	if diff := cmp.Diff([]any{"10.244.0.0/16", "10.245.0.0/16"}, x); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"10.245.0.0/16", "10.244.0.0/16"}, y); diff != "" {
		t.Error(diff)
	}
	shuffled := base(a, b)
	slices.Reverse(shuffled.Facts.Nodes)
	if diff := cmp.Diff(accepted(t, base(a, b)), accepted(t, shuffled)); diff != "" {
		t.Errorf("nodes in another order:\n%s", diff)
	}
}
