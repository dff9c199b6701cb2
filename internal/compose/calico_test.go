package compose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

// calicoPoolValue is a pool as the Installation has it, with the given fields in place of the usual ones.
func calicoPoolValue(name, cidr string, blockSize int, other object) object {
	out := object{
		"name": name, "cidr": cidr, "encapsulation": "VXLAN", "blockSize": float64(blockSize), "natOutgoing": "Enabled", "nodeSelector": "all()",
		"disableBGPExport": false, "disableNewAllocations": false, "allowedUses": []any{"Workload", "Tunnel"}, "assignmentMode": "Automatic",
	}
	for k, v := range other {
		out[k] = v
	}
	return out
}

// TestCalicoRenders lets Calico's own charts read the derived values: what counts is what reaches the tigera-operator.
func TestCalicoRenders(t *testing.T) {
	c := testcharts.Upstream(t, "tigera-operator", "v3.32.1")
	four := calicoPoolValue("default-10-244-0-0-16", "10.244.0.0/16", 26, nil)
	six := calicoPoolValue("default-fd00-10-244---56", "fd00:10:244::/56", 122, nil)
	for _, tc := range []struct {
		name string
		in   Input
		// network is what is wanted of the Installation's calicoNetwork; nil is absent.
		network object
		// felix is the whole FelixConfiguration.
		felix object
	}{
		{"defaults", calico(), object{
			"linuxDataplane": "Iptables", "bgp": "Disabled", "mtu": nil, "kubeProxyManagement": "Disabled", "bpfNetworkBootstrap": "Disabled",
			"ipPools": []any{four}, "nodeAddressAutodetectionV4": object{"kubernetes": "NodeInternalIP"}, "nodeAddressAutodetectionV6": nil,
		}, object{"wireguardEnabled": false, "wireguardEnabledV6": false}},
		{"dual-stack", calico(dual, nodeMTUs(1500, 9000, 9000)), object{
			"mtu": float64(1430), "ipPools": []any{four, six}, "nodeAddressAutodetectionV6": object{"kubernetes": "NodeInternalIP"},
		}, object{"wireguardEnabled": false, "wireguardEnabledV6": false}},
		{"IPv6 alone", calico(onlyIPv6, mtu(1400)), object{
			"mtu": float64(1400), "ipPools": []any{six}, "nodeAddressAutodetectionV4": nil, "nodeAddressAutodetectionV6": object{"kubernetes": "NodeInternalIP"},
		}, object{"wireguardEnabled": false, "wireguardEnabledV6": false}},
		{"WireGuard without encapsulation", calico(encryption(EncryptionWireGuard), encapsulation(EncapsulationNone), nodeMTUs(1500, 1500, 1500)), object{
			"bgp": "Enabled", "mtu": float64(1440), "ipPools": []any{calicoPoolValue("default-10-244-0-0-16", "10.244.0.0/16", 26, object{"encapsulation": "None"})},
		}, object{"wireguardEnabled": true, "wireguardEnabledV6": false}},
		{"WireGuard for both", calico(dual, encryption(EncryptionWireGuard), nodeMTUs(1500, 1500, 1500)), object{
			"bgp": "Disabled", "mtu": float64(1420),
		}, object{"wireguardEnabled": true, "wireguardEnabledV6": true}},
		{"native", calico(encapsulation(EncapsulationNone), nodeMTUs(1500, 1500, 1500)), object{"bgp": "Enabled", "mtu": float64(1500)}, nil},
		{"IPIP", calico(encapsulation(EncapsulationIPIP), nodeMTUs(1500, 1500, 1500)), object{"bgp": "Enabled", "mtu": float64(1480)}, nil},
		{"BPF in place of kube-proxy", calico(mode(KubeProxyReplaced), encapsulation(EncapsulationNone), nodeMTUs(1500, 1500, 1500)), object{
			"linuxDataplane": "BPF", "bgp": "Enabled", "mtu": float64(1450), "kubeProxyManagement": "Disabled", "bpfNetworkBootstrap": "Disabled",
		}, nil},
		{"nftables beside kube-proxy's", calico(mode(KubeProxyNFTables), withoutKubeProxy), object{"linuxDataplane": "Nftables"}, nil},
		{"iptables beside IPVS", calico(mode(KubeProxyIPVS), withoutKubeProxy), object{"linuxDataplane": "Iptables"}, nil},
		{"pools with everything", calico(
			firstPool(func(p *IPPool) {
				p.Name, p.NATOutgoing, p.BGPExport = "racks", Disabled, Disabled
				p.BlockSizes, p.Encapsulation = &BlockSizes{IPv4: ptr[int32](24)}, EncapsulationIPIPCrossSubnet
				p.NodeSelector = &metav1.LabelSelector{
					MatchLabels: map[string]string{"example.com/rack": "7"},
					MatchExpressions: []metav1.LabelSelectorRequirement{
						{Key: "zone", Operator: metav1.LabelSelectorOpIn, Values: []string{"b", "a"}},
						{Key: "edge", Operator: metav1.LabelSelectorOpDoesNotExist},
						{Key: "gpu", Operator: metav1.LabelSelectorOpExists},
						{Key: "tier", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"x"}},
					},
				}
			}),
			secondPool(IPPool{Name: "old", CIDRs: []string{"10.245.0.0/27"}, Disabled: true}),
			secondPool(IPPool{Name: "rest", CIDRs: []string{"10.246.0.0/16"}}),
			secondPool(IPPool{Name: "payments", CIDRs: []string{"10.247.0.0/16"}, OnRequest: true}),
			calicoBlock(CalicoSpec{BGP: Enabled}), encapsulation(EncapsulationVXLANCrossSubnet),
		), object{"bgp": "Enabled", "ipPools": []any{
			calicoPoolValue("racks-10-244-0-0-16", "10.244.0.0/16", 24, object{
				"natOutgoing": "Disabled", "disableBGPExport": true, "encapsulation": "IPIPCrossSubnet",
				"nodeSelector": "!has(edge) && example.com/rack in {'7'} && has(gpu) && tier not in {'x'} && zone in {'a', 'b'}",
			}),
			calicoPoolValue("old-10-245-0-0-27", "10.245.0.0/27", 27, object{"disableNewAllocations": true, "encapsulation": "VXLANCrossSubnet"}),
			calicoPoolValue("rest-10-246-0-0-16", "10.246.0.0/16", 26, object{"encapsulation": "VXLANCrossSubnet"}),
			calicoPoolValue("payments-10-247-0-0-16", "10.247.0.0/16", 26, object{"encapsulation": "VXLANCrossSubnet", "assignmentMode": "Manual"}),
		}}, nil},
		{"kubeadm's range", calico(noPools, cluster(func(s *facts.Snapshot) { s.PodSubnets = prefixes("10.250.0.0/16") })), object{
			"ipPools": []any{calicoPoolValue("default-10-250-0-0-16", "10.250.0.0/16", 26, nil)},
		}, nil},
		{"renamed pool, block size as it was", calico(
			calicoWas(calico(firstPool(func(p *IPPool) { p.BlockSizes = &BlockSizes{IPv4: ptr[int32](24)} })), calicoImage),
			firstPool(func(p *IPPool) { p.Name = "renamed" }),
		), object{"ipPools": []any{calicoPoolValue("default-10-244-0-0-16", "10.244.0.0/16", 24, nil)}}, nil},
		{"the user's way to find addresses", calico(values(object{"installation": object{"calicoNetwork": object{
			"nodeAddressAutodetectionV4": object{"interface": "eth1"}}}})), object{"nodeAddressAutodetectionV4": object{"interface": "eth1"}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rel, values := releaseNamed(t, accepted(t, tc.in), "calico")
			objects := render(t, c, rel, values)
			installation := objects["Installation default"]
			network, _ := lookup(installation, "spec.calicoNetwork")
			got := object{}
			for key := range tc.network {
				got[key] = network.(object)[key]
			}
			if diff := cmp.Diff(tc.network, got); diff != "" {
				t.Errorf("calicoNetwork (-want +got):\n%s", diff)
			}
			felix, _ := lookup(objects["FelixConfiguration default"], "spec")
			if diff := cmp.Diff(tc.felix, felix); tc.felix != nil && diff != "" {
				t.Errorf("FelixConfiguration (-want +got):\n%s", diff)
			}
			if cni, _ := lookup(installation, "spec.cni"); cmp.Diff(any(object{"type": "Calico", "ipam": object{"type": "Calico"}}), cni) != "" {
				t.Errorf("the Installation's CNI: %v", cni)
			}
			endpoint, _ := lookup(objects["ConfigMap kubernetes-services-endpoint"], "data")
			var want any
			if p := tc.in.Stack.Spec.KubeProxy; p != nil && p.Mode == KubeProxyReplaced {
				want = object{"KUBERNETES_SERVICE_HOST": tc.in.Facts.APIServer.Host, "KUBERNETES_SERVICE_PORT": "6443"}
			}
			if diff := cmp.Diff(want, endpoint); diff != "" {
				t.Errorf("the API server's address (-want +got):\n%s", diff)
			}
			if objects["APIServer default"] == nil || objects["Goldmane default"] != nil || objects["Whisker default"] != nil {
				t.Error("an API server is wanted, and no flow logs")
			}
			args, _ := lookup(objects["Deployment tigera-operator"], "spec.template.spec.containers")
			if text := displayed(args); !strings.Contains(text, "-manage-crds=false") {
				t.Errorf("the tigera-operator keeps definitions as well: %s", text)
			}
			if diff := cmp.Diff(objects, render(t, c, rel, values)); diff != "" {
				t.Errorf("a second rendering differs:\n%s", diff)
			}
		})
	}
}

// TestCalicoReleases checks how the definitions come before the operator, and what of the user's settings they take.
func TestCalicoReleases(t *testing.T) {
	in := calico(mode(KubeProxyIPTables), withoutKubeProxy, spec(func(s *NetworkStackSpec) {
		s.CNI.Version, s.CNI.Suspend, s.CNI.DriftMode = "v3.33.1", true, DriftWarn
		s.CNI.Values = rawValues(object{"resources": object{"limits": object{"cpu": "1"}}})
		s.CNI.ValuesFrom = []ValuesReference{{Kind: ValuesFromSecret, Name: "x"}}
		s.CNI.Chart = &ChartReference{Repository: "https://docs.tigera.io/calico/charts", Digest: digest("aaaa")}
		s.Sources = &Sources{ImageRegistry: "registry.example.com/mirror"}
		s.Drift = &DriftSpec{Ignore: []DriftIgnoreRule{{Component: "calico-crds", Kind: "CustomResourceDefinition", Paths: []string{".spec.conversion"}}}}
	}))
	r := accepted(t, in)
	var names []string
	for _, rel := range r.Releases {
		names = append(names, rel.Name)
	}
	if diff := cmp.Diff([]string{"kube-proxy", "calico-crds", "calico"}, names); diff != "" {
		t.Fatal(diff)
	}
	crds, operator := r.Releases[1].Spec, r.Releases[2].Spec
	if crds.Stage >= operator.Stage || crds.Stage <= r.Releases[0].Spec.Stage {
		t.Errorf("stages %d, %d, %d", r.Releases[0].Spec.Stage, crds.Stage, operator.Stage)
	}
	want := ResolvedChart{Repository: "https://docs.tigera.io/calico/charts", Name: "crd.projectcalico.org.v1", Version: "3.33.1", Digest: digest("cccc")}
	if diff := cmp.Diff(want, crds.Chart); diff != "" {
		t.Errorf("the definitions' chart (-want +got):\n%s", diff)
	}
	want.Name, want.Digest = "tigera-operator", digest("aaaa")
	if diff := cmp.Diff(want, operator.Chart); diff != "" {
		t.Errorf("the operator's chart (-want +got):\n%s", diff)
	}
	if crds.Values != nil || crds.ValuesFrom != nil || string(crds.DerivedValues.Raw) != "{}" || len(crds.ControlledValues) > 0 {
		t.Errorf("the definitions have values: %+v", crds)
	}
	if !crds.Suspend || crds.DriftMode != DriftWarn || crds.Namespace != "tigera-operator" || crds.ReleaseName != "calico-crds" || crds.Type != TypeCalicoCRDs {
		t.Errorf("the definitions: %+v", crds)
	}
	if len(crds.DriftIgnore) != 1 || len(operator.DriftIgnore) != 0 || len(r.Warnings) > 0 {
		t.Errorf("rules %v and %v, warnings %v", crds.DriftIgnore, operator.DriftIgnore, r.Warnings)
	}
	if registry, _ := lookup(chartValues(t, operator), "installation.registry"); registry != "registry.example.com/mirror/" {
		t.Errorf("registry %v", registry)
	}
	if ReplacesKubeProxy(&operator) || ReplacesKubeProxy(&crds) {
		t.Error("iptables programs no Services")
	}
	replaced, _ := releaseNamed(t, accepted(t, calico(mode(KubeProxyReplaced))), "calico")
	if !ReplacesKubeProxy(&replaced.Spec) {
		t.Error("BPF programs Services")
	}

	in.Stack.Spec.CNI.Chart = &ChartReference{Repository: "https://charts.example.com"}
	elsewhere := accepted(t, in).Releases[1].Spec.Chart
	if elsewhere.Repository != "https://charts.example.com" || elsewhere.Digest != "" {
		t.Errorf("a mirror's definitions: %+v", elsewhere)
	}
}

// TestCalicoDataplaneKept wants agents to stay as they are while nobody knows the mode of the kube-proxy beside them.
func TestCalicoDataplaneKept(t *testing.T) {
	was := func(in Input, edits ...func(*Input)) Input {
		out := calico(edits...)
		out.Existing = map[string]NetworkComponentSpec{}
		for _, r := range accepted(t, in).Releases {
			out.Existing[r.Name] = r.Spec
		}
		return out
	}
	for name, tc := range map[string]struct {
		in   Input
		want string
	}{
		"nobody knows":                      {calico(), "Iptables"},
		"nftables, and it is gone":          {was(calico(proxyIn("nftables")), withoutKubeProxy), "Nftables"},
		"nftables, and it cannot be read":   {was(calico(proxyIn("nftables"))), "Nftables"},
		"nftables, and iptables now":        {was(calico(proxyIn("nftables")), proxyIn("iptables")), "Iptables"},
		"iptables, and it is gone":          {was(calico(proxyIn("iptables")), withoutKubeProxy), "Iptables"},
		"in kube-proxy's place before that": {was(calico(mode(KubeProxyReplaced))), "Iptables"},
	} {
		_, values := releaseNamed(t, accepted(t, tc.in), "calico")
		if got, _ := lookup(values, "installation.calicoNetwork.linuxDataplane"); got != tc.want {
			t.Errorf("%s: %v, want %s", name, got, tc.want)
		}
	}
}

// TestCalicoSettingsShown checks that what was derived is told with its reason.
func TestCalicoSettingsShown(t *testing.T) {
	shown := func(in Input) map[string]string {
		out := map[string]string{}
		for _, e := range accepted(t, in).Effective {
			out[e.Setting] = e.Value + " | " + e.Reason
		}
		return out
	}
	got := shown(calico(encapsulation(EncapsulationNone)))
	for setting, want := range map[string]string{
		"spec.cni.calico.dataplane":     "IPTables | goes with kubeProxy.mode Unmanaged; beside a kube-proxy in nftables mode it has to be NFTables",
		"spec.cni.calico.bgp":           "Enabled | nodes learn the routes of 10.244.0.0/16 (encapsulation None) by it",
		"spec.ipPools.blockSizes.ipv4":  "26 | Calico's default, or the whole of a smaller pool",
		"calico: goldmane.enabled":      "false | flow logs are a technical preview",
		"calico: installation.registry": "",
		"spec.ipPools.nodeMaskSizes":    "",
		"spec.ipPools.blockSizes.ipv6":  "",
	} {
		if got[setting] != want {
			t.Errorf("%s: %q, want %q", setting, got[setting], want)
		}
	}
	if got := shown(calico()); got["spec.cni.calico.bgp"] != "Disabled | no pool needs it: Calico itself programs the routes of VXLAN" {
		t.Errorf("bgp: %q", got["spec.cni.calico.bgp"])
	}
	from := shown(calico(noPools, cluster(func(s *facts.Snapshot) { s.Kubeadm, s.PodSubnets = true, prefixes("10.250.0.0/16", "fd00::/48") })))
	if from["spec.ipPools"] != "10.250.0.0/16 | networking.podSubnet of kube-system/kubeadm-config" {
		t.Errorf("pools: %q", from["spec.ipPools"])
	}
	if v := shown(calico(nodeMTUs(1500, 1500, 1500), mode(KubeProxyReplaced), encapsulation(EncapsulationIPIP))); v["spec.mtu"] != "1450 | 1500 of node n1 less 50 (VXLAN)" {
		t.Errorf("mtu: %q", v["spec.mtu"])
	}
}
