package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/test/testcharts"
)

// TestCiliumTypedRenders lets Cilium's own chart read what the typed settings come to.
func TestCiliumTypedRenders(t *testing.T) {
	replaced, native := mode(KubeProxyReplaced), encapsulation(EncapsulationNone)
	main := poolOf("default", "10.244.0.0/16")
	kept := fastPool(func(p *IPPool) { p.NATOutgoing = Disabled })
	noNAT := main
	noNAT.NATOutgoing = Disabled
	for _, version := range []string{"1.20.0", "1.19.6"} {
		c := testcharts.Upstream(t, "cilium", version)
		for _, tc := range []struct {
			name string
			in   Input
			want map[string]string // of cilium-config; "" is absent
		}{
			{"one pool", cilium(replaced), map[string]string{
				"ipam": "cluster-pool", "enable-bpf-masquerade": "", "enable-bgp-control-plane": "", "enable-bandwidth-manager": "", "auto-create-cilium-pod-ip-pools": "",
			}},
			{"several pools", cilium(multi, replaced, pools(main, fastPool())), map[string]string{
				"ipam": "multi-pool", "enable-bpf-masquerade": "true", "enable-ipv4-masquerade": "true", "cluster-pool-ipv4-cidr": "", "auto-create-cilium-pod-ip-pools": "",
				"enable-ip-masq-agent": "",
			}},
			{"several pools, one masqueraded", cilium(multi, replaced, pools(main, kept)), map[string]string{"enable-bpf-masquerade": "true", "enable-ipv4-masquerade": "true"}},
			{"several pools, none masqueraded", cilium(multi, replaced, pools(noNAT, kept)), map[string]string{"enable-bpf-masquerade": "", "enable-ipv4-masquerade": "false"}},
			{"several pools without a tunnel", cilium(multi, replaced, native, pools(main, fastPool())), map[string]string{
				"routing-mode": "native", "ipv4-native-routing-cidr": "", "enable-ip-masq-agent": "true", "auto-direct-node-routes": "true", "direct-routing-skip-unreachable": "false",
			}},
			{"several pools in one range", cilium(multi, replaced, native, pools(main, fastPool()), values(object{"ipv4NativeRoutingCIDR": "10.244.0.0/15"})), map[string]string{
				"ipv4-native-routing-cidr": "10.244.0.0/15", "enable-ip-masq-agent": "",
			}},
			{"BGP in a tunnel", cilium(bgp(router("a", "192.168.10.1"))), map[string]string{
				"enable-bgp-control-plane": "true", "bgp-secrets-namespace": "kube-system", "routing-mode": "tunnel", "auto-direct-node-routes": "false",
			}},
			{"BGP without a tunnel", cilium(native, bgp(router("a", "192.168.10.1"))), map[string]string{
				"enable-bgp-control-plane": "true", "auto-direct-node-routes": "true", "direct-routing-skip-unreachable": "true", "ipv4-native-routing-cidr": "10.244.0.0/16",
			}},
			{"bandwidth", cilium(bandwidth(CiliumBandwidthEnabled)), map[string]string{"enable-bandwidth-manager": "true", "enable-bbr": "false", "enable-bpf-masquerade": ""}},
			{"no bandwidth", cilium(bandwidth(CiliumBandwidthDisabled)), map[string]string{"enable-bandwidth-manager": "", "enable-bbr": ""}},
			{"BBR", cilium(replaced, bandwidth(CiliumBandwidthBBR)), map[string]string{"enable-bandwidth-manager": "true", "enable-bbr": "true", "enable-bpf-masquerade": "true"}},
			{"flow logs", cilium(flowLogs(Enabled)), map[string]string{
				"enable-hubble": "true", "hubble-export-file-path": "/var/run/cilium/hubble/events.log", "hubble-export-file-max-backups": "5",
			}},
			{"flow logs elsewhere", cilium(flowLogs(Enabled), values(object{"hubble": object{"export": object{"static": object{"filePath": "/dev/stdout"}}}})), map[string]string{
				"enable-hubble": "true", "hubble-export-file-path": "/dev/stdout",
			}},
			{"no flow logs", cilium(flowLogs(Disabled)), map[string]string{"enable-hubble": "false", "hubble-export-file-path": ""}},
			{"IPsec", cilium(encryption(EncryptionIPsec)), map[string]string{"enable-ipsec": "true", "ipsec-key-file": "/etc/ipsec/keys", "enable-ipsec-key-watcher": "true"}},
		} {
			t.Run(version+" "+tc.name, func(t *testing.T) {
				rel, values := releaseNamed(t, accepted(t, tc.in), "cilium")
				objects := render(t, c, rel, values)
				config, _ := lookup(objects["ConfigMap cilium-config"], "data")
				got := map[string]string{}
				for key := range tc.want {
					got[key], _ = config.(object)[key].(string)
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("cilium-config (-want +got):\n%s", diff)
				}
				if on := tc.want["enable-ip-masq-agent"] == "true"; on {
					data, _ := lookup(objects["ConfigMap ip-masq-agent"], "data")
					if got := data.(object)["config"]; got != `{"nonMasqueradeCIDRs":["10.244.0.0/16","10.245.0.0/16"]}` {
						t.Errorf("ip-masq-agent: %v", got)
					}
				}
				for name := range objects {
					if name == "Secret hubble-server-certs" || name == "Secret cilium-ca" {
						t.Errorf("%s would be generated anew with every rendering", name)
					}
				}
			})
		}
	}
}

// TestCiliumResources lets the chart write what was composed.
func TestCiliumResources(t *testing.T) {
	everything := router("spine", "fd00:192::1", func(p *CiliumBGPPeer) {
		p.ASN, p.Port, p.PasswordSecretName, p.EBGPMultihop = 4200000000, 1179, "spine", 2
		p.HoldTimeSeconds, p.KeepAliveTimeSeconds, p.GracefulRestart = 9, 3, Enabled
	})
	byLabel := func(more object) object {
		return MergeValues(object{"app.kubernetes.io/instance": "cilium-resources"}, more)
	}
	advertisements := object{"matchLabels": byLabel(nil)}
	unicast := func(afi string) object {
		return object{"afi": afi, "safi": "unicast", "advertisements": advertisements}
	}
	for _, tc := range []struct {
		name string
		in   Input
		want map[string]object // specs
	}{
		{"pools", cilium(dual, multi, mode(KubeProxyReplaced), func(in *Input) {
			in.Stack.Spec.IPPools = append(in.Stack.Spec.IPPools, fastPool(func(p *IPPool) {
				p.CIDRs = append(p.CIDRs, "10.246.0.0/20", "fd00:10:245::/112")
				p.NodeMaskSizes = &NodeMaskSizes{IPv4: ptr(int32(27))}
				p.PodSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "slow", Operator: "DoesNotExist"}, {Key: "tier", Operator: "In", Values: []string{"a"}}}}
			}), poolOf("old", "10.250.0.0/27", "fd00:10:250::/120"))
			in.Stack.Spec.IPPools[2].NamespaceSelector, in.Stack.Spec.IPPools[2].Disabled = &metav1.LabelSelector{}, true
		}), map[string]object{
			"CiliumPodIPPool default": {"ipv4": object{"cidrs": []any{"10.244.0.0/16"}, "maskSize": 26.0}, "ipv6": object{"cidrs": []any{"fd00:10:244::/56"}, "maskSize": 64.0}},
			"CiliumPodIPPool fast": {
				"ipv4":              object{"cidrs": []any{"10.245.0.0/16", "10.246.0.0/20"}, "maskSize": 27.0},
				"ipv6":              object{"cidrs": []any{"fd00:10:245::/112"}, "maskSize": 120.0},
				"namespaceSelector": object{"matchLabels": object{"team": "fast"}},
				"podSelector":       object{"matchExpressions": []any{object{"key": "slow", "operator": "DoesNotExist"}, object{"key": "tier", "operator": "In", "values": []any{"a"}}}},
			},
			"CiliumPodIPPool old": {"ipv4": object{"cidrs": []any{"10.250.0.0/27"}, "maskSize": 27.0}, "ipv6": object{"cidrs": []any{"fd00:10:250::/120"}, "maskSize": 120.0}},
		}},
		{"a pool for all pods of a kind", cilium(multi, mode(KubeProxyReplaced), pools(poolOf("default", "10.244.0.0/16"), fastPool(func(p *IPPool) { p.NamespaceSelector = &metav1.LabelSelector{} }))), map[string]object{
			"CiliumPodIPPool default": {"ipv4": object{"cidrs": []any{"10.244.0.0/16"}, "maskSize": 26.0}},
			"CiliumPodIPPool fast":    {"ipv4": object{"cidrs": []any{"10.245.0.0/16"}, "maskSize": 26.0}, "namespaceSelector": object{}},
		}},
		{"BGP", cilium(bgp(router("a", "192.168.10.1"))), map[string]object{
			"CiliumBGPClusterConfig rack": {"bgpInstances": []any{object{"name": "rack", "localASN": 64600.0, "peers": []any{
				object{"name": "a", "peerAddress": "192.168.10.1", "peerASN": 64512.0, "peerConfigRef": object{"name": "rack.a"}},
			}}}},
			"CiliumBGPPeerConfig rack.a":              {"families": []any{unicast("ipv4")}},
			"CiliumBGPAdvertisement cilium-resources": {"advertisements": []any{object{"advertisementType": "PodCIDR"}}},
		}},
		{"BGP of everything", cilium(dual, multi, mode(KubeProxyReplaced), bgpSpec(
			CiliumBGPInstance{Name: "rack", LocalASN: 64600, NodeSelector: withLabel("rack", "1"), Peers: []CiliumBGPPeer{everything}},
		), ciliumBlock(func(c *CiliumSpec) {
			c.BGP.Advertise, c.BGP.ServiceSelector = []CiliumAdvertised{CiliumAdvertisePods, CiliumAdvertiseLoadBalancerIPs}, withLabel("public", "yes")
		})), map[string]object{
			"CiliumPodIPPool default": {"ipv4": object{"cidrs": []any{"10.244.0.0/16"}, "maskSize": 26.0}, "ipv6": object{"cidrs": []any{"fd00:10:244::/56"}, "maskSize": 64.0}},
			"CiliumBGPClusterConfig rack": {"nodeSelector": object{"matchLabels": object{"rack": "1"}}, "bgpInstances": []any{object{"name": "rack", "localASN": 64600.0, "peers": []any{
				object{"name": "spine", "peerAddress": "fd00:192::1", "peerASN": 4200000000.0, "peerConfigRef": object{"name": "rack.spine"}},
			}}}},
			"CiliumBGPPeerConfig rack.spine": {
				"authSecretRef": "spine", "ebgpMultihop": 2.0, "transport": object{"peerPort": 1179.0}, "timers": object{"holdTimeSeconds": 9.0, "keepAliveTimeSeconds": 3.0},
				"gracefulRestart": object{"enabled": true}, "families": []any{unicast("ipv4"), unicast("ipv6")},
			},
			"CiliumBGPAdvertisement cilium-resources": {"advertisements": []any{
				object{"advertisementType": "CiliumPodIPPool", "selector": object{"matchLabels": byLabel(object{"networkstack.io/bgp-export": "true"})}},
				object{"advertisementType": "Service", "service": object{"addresses": []any{"LoadBalancerIP"}}, "selector": object{"matchLabels": object{"public": "yes"}}},
			}},
		}},
		{"BGP of all Services", cilium(bgp(router("a", "192.168.10.1")), ciliumBlock(func(c *CiliumSpec) { c.BGP.Advertise = []CiliumAdvertised{CiliumAdvertiseLoadBalancerIPs} })), map[string]object{
			"CiliumBGPClusterConfig rack": {"bgpInstances": []any{object{"name": "rack", "localASN": 64600.0, "peers": []any{
				object{"name": "a", "peerAddress": "192.168.10.1", "peerASN": 64512.0, "peerConfigRef": object{"name": "rack.a"}},
			}}}},
			"CiliumBGPPeerConfig rack.a": {"families": []any{unicast("ipv4")}},
			"CiliumBGPAdvertisement cilium-resources": {"advertisements": []any{object{
				"advertisementType": "Service", "service": object{"addresses": []any{"LoadBalancerIP"}},
				"selector": object{"matchExpressions": []any{object{"key": "networkstack.io/bgp-export", "operator": "NotIn", "values": []any{"never"}}}},
			}}},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := accepted(t, tc.in)
			rel, values := releaseNamed(t, r, "cilium-resources")
			got := map[string]object{}
			for name, o := range render(t, testcharts.Embedded(t, "cilium-resources"), rel, values) {
				got[name], _ = o["spec"].(object)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			above, _ := releaseNamed(t, r, "cilium")
			if rel.Spec.Stage <= above.Spec.Stage || !cmp.Equal(rel.Beside, []string{"cilium"}) {
				t.Errorf("stage %d beside %v, and Cilium's is %d", rel.Spec.Stage, rel.Beside, above.Spec.Stage)
			}
		})
	}
	for _, rel := range accepted(t, cilium()).Releases {
		if rel.Name == "cilium-resources" {
			t.Error("a release without objects")
		}
	}
}

// TestPoolMarks looks at what pools say of themselves beside their specs.
func TestPoolMarks(t *testing.T) {
	hidden := fastPool(func(p *IPPool) { p.NATOutgoing, p.BGPExport = Disabled, Disabled })
	rel, values := releaseNamed(t, accepted(t, cilium(multi, mode(KubeProxyReplaced), pools(poolOf("default", "10.244.0.0/16"), hidden))), "cilium-resources")
	objects := render(t, testcharts.Embedded(t, "cilium-resources"), rel, values)
	for name, want := range map[string][]any{"default": {"true", nil}, "fast": {nil, "true"}} {
		labels, _ := lookup(objects["CiliumPodIPPool "+name], "metadata.labels")
		annotations, _ := lookup(objects["CiliumPodIPPool "+name], "metadata.annotations")
		skip, _ := annotations.(object)
		if got := []any{labels.(object)["networkstack.io/bgp-export"], skip["ipam.cilium.io/skip-masquerade"]}; !cmp.Equal(want, got) {
			t.Errorf("%s is exported and not masqueraded: %v, want %v", name, got, want)
		}
	}
}

// keysOf names the Secret with the IPsec keys.
func keysOf(secret string) func(*Input) {
	return func(in *Input) { in.Stack.Spec.CNI.Encryption.IPsec = &IPsecSpec{SecretName: secret} }
}

// TestIPsecKeys says whose the keys are.
func TestIPsecKeys(t *testing.T) {
	ipsec := func(edit func(*EncryptionSpec)) Input {
		return cilium(encryption(EncryptionIPsec), func(in *Input) { edit(in.Stack.Spec.CNI.Encryption) })
	}
	for name, tc := range map[string]struct {
		in     Input
		secret string
		want   []GeneratedSecret
	}{
		"the operator's": {ipsec(func(*EncryptionSpec) {}), "cilium-ipsec-keys", []GeneratedSecret{{SecretName: "cilium-ipsec-keys", Kind: SecretIPsecKeys}}},
		"rotated":        {ipsec(func(e *EncryptionSpec) { e.Rotation = "2" }), "cilium-ipsec-keys", []GeneratedSecret{{SecretName: "cilium-ipsec-keys", Kind: SecretIPsecKeys, Rotation: "2"}}},
		"the user's":     {ipsec(func(e *EncryptionSpec) { e.IPsec = &IPsecSpec{SecretName: "mine"} }), "mine", nil},
		"none":           {cilium(encryption(EncryptionWireGuard)), "", nil},
		// Such a stack was valid when every key was the user's.
		"the user's, under a key of their own": {cilium(encryption(EncryptionIPsec), values(object{"encryption": object{"ipsec": object{"keyFile": "current"}}})),
			"cilium-ipsec-keys", nil},
		// What is no longer wanted is deleted.
		"the operator's, and named": {installedCilium([]func(*Input){encryption(EncryptionIPsec)}, encryption(EncryptionIPsec), keysOf("cilium-ipsec-keys")),
			"cilium-ipsec-keys", []GeneratedSecret{{SecretName: "cilium-ipsec-keys", Kind: SecretIPsecKeys}}},
		"another one in place of the operator's": {installedCilium([]func(*Input){encryption(EncryptionIPsec)}, encryption(EncryptionIPsec), keysOf("mine")), "mine", nil},
	} {
		rel, values := releaseNamed(t, accepted(t, tc.in), "cilium")
		secret, _ := lookup(values, "encryption.ipsec.secretName")
		if got, _ := secret.(string); got != tc.secret || !cmp.Equal(tc.want, rel.Spec.GeneratedSecrets) {
			t.Errorf("%s: Secret %q, made: %v", name, got, rel.Spec.GeneratedSecrets)
		}
	}
}

// TestMultiPoolKubeProxy wants a pool that is added to leave kube-proxy alone.
func TestMultiPoolKubeProxy(t *testing.T) {
	main := poolOf("default", "10.244.0.0/16")
	main.NATOutgoing = Disabled
	more := fastPool(func(p *IPPool) { p.NATOutgoing = Disabled })
	specs := map[string]string{}
	for name, list := range map[string]func(*Input){"one": pools(main), "two": pools(main, more)} {
		rel, _ := releaseNamed(t, accepted(t, cilium(multi, mode(KubeProxyIPTables), withoutKubeProxy, list)), "kube-proxy")
		specs[name] = string(rel.Spec.DerivedValues.Raw)
	}
	if diff := cmp.Diff(specs["one"], specs["two"]); diff != "" {
		t.Errorf("kube-proxy's values (-one pool +two):\n%s", diff)
	}
}

// TestCalicoFlowLogs has Goldmane collect flows on request.
func TestCalicoFlowLogs(t *testing.T) {
	c := testcharts.Upstream(t, "tigera-operator", "v3.32.1")
	for to, want := range map[Toggle]bool{"": false, Disabled: false, Enabled: true} {
		rel, values := releaseNamed(t, accepted(t, calico(flowLogs(to))), "calico")
		if got := render(t, c, rel, values)["Goldmane default"] != nil; got != want {
			t.Errorf("flowLogs %q: Goldmane is wanted: %v", to, got)
		}
	}
}
