package compose

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// TestProperties composes many inputs made at random and holds each result to what must always be true.
func TestProperties(t *testing.T) {
	accepted := 0
	for seed := range uint64(1000) {
		in := randomInput(rand.New(rand.NewPCG(seed, 1)), seed%2 == 0)
		if len(checkProperties(t, in).Errors) == 0 {
			accepted++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	// Were nearly all refused, the properties of accepted stacks would have been looked at too rarely.
	if accepted < 100 {
		t.Errorf("only %d of the inputs were accepted", accepted)
	}
}

// checkProperties composes an input, twice.
func checkProperties(t *testing.T, in Input) Result {
	t.Helper()
	before := copyInput(in)
	r := Compose(in)
	if diff := cmp.Diff(before, in, addressesByText); diff != "" {
		t.Errorf("the input was changed:\n%s", diff)
	}
	if diff := cmp.Diff(r, Compose(before)); diff != "" {
		t.Errorf("the same input gives another result:\n%s", diff)
	}
	object, _ := ValidateObject(in.Stack)
	for _, f := range object {
		if !slices.Contains(r.Errors, f) {
			t.Errorf("ValidateObject alone refuses: %s", f)
		}
	}
	for _, f := range slices.Concat(r.Errors, r.Warnings) {
		if f.Rule == "" || f.Field == "" || f.Message == "" {
			t.Errorf("a finding without a rule, a path or a text: %s", f)
		}
	}
	if len(r.Errors) > 0 {
		if r.Releases != nil || r.Effective != nil || r.ParkKubeProxy {
			t.Errorf("refused, with a result: %+v", r)
		}
		return r
	}
	if !slices.IsSortedFunc(r.Effective, func(a, b EffectiveSetting) int { return strings.Compare(a.Setting, b.Setting) }) {
		t.Error("effective settings are not ordered")
	}
	policy := slices.ContainsFunc(r.Effective, func(e EffectiveSetting) bool { return e.Setting == "spec.cni.networkPolicy" })
	installed := slices.ContainsFunc(r.Releases, func(rel Release) bool { return rel.Spec.Stage == stageCNI })
	if installed && policy == (in.Stack.Spec.CNI.NetworkPolicy != "") {
		t.Errorf("networkPolicy %q is reported as derived: %v", in.Stack.Spec.CNI.NetworkPolicy, policy)
	}
	for i, e := range r.Effective {
		if e.Reason == "" || i > 0 && e.Setting == r.Effective[i-1].Setting {
			t.Errorf("setting %q has no reason, or is there twice", e.Setting)
		}
	}
	var stage int32
	for _, rel := range r.Releases {
		checkRelease(t, in, rel)
		if rel.Spec.Stage <= stage {
			t.Errorf("%s is out of order", rel.Name)
		}
		stage = rel.Spec.Stage
	}
	return r
}

func checkRelease(t *testing.T, in Input, rel Release) {
	t.Helper()
	s := rel.Spec
	if s.Chart.Name == "" || s.Chart.Version == "" || s.Namespace == "" || s.ReleaseName == "" || s.DeletionPolicy != DeletionOrphan {
		t.Errorf("incomplete: %+v", s)
	}
	values := chartValues(t, s)
	number := func(path string) int64 { v, _ := lookup(values, path); n, _ := v.(int64); return n }
	node, _, _ := newState(in, true).nodeMTU()
	switch rel.Name {
	case "cilium":
		if m := number("MTU"); node > 0 && m > int64(node) {
			t.Errorf("MTU %d on nodes of %d", m, node)
		}
		if v, _ := lookup(values, "kubeProxyReplacement"); v == "true" {
			if host, _ := lookup(values, "k8sServiceHost"); host == nil || host == "" {
				t.Error("without kube-proxy, and without the API server's address")
			}
		}
		list, _ := lookup(values, "ipam.operator.clusterPoolIPv4PodCIDRList")
		cidrs, _ := list.([]any)
		for _, c := range cidrs {
			p := netip.MustParsePrefix(c.(string))
			for _, svc := range in.Facts.ServiceCIDRs {
				if in.Stack.Spec.Cluster == nil && p.Overlaps(svc) {
					t.Errorf("pool %s on Services %s", p, svc)
				}
			}
			if mask := number("ipam.operator.clusterPoolIPv4MaskSize"); mask < int64(p.Bits()) {
				t.Errorf("mask /%d in pool %s", mask, p)
			}
		}
	case "flannel":
		v4, _ := lookup(values, "podCidr")
		v6, _ := lookup(values, "podCidrv6")
		if v4 == "" && v6 == "" {
			t.Error("Flannel without a range")
		}
	case "calico":
		checkCalico(t, values, node)
	case "weave-net":
		checkWeave(t, in, s, values)
	case "multus":
		if v, _ := lookup(values, "config.cniVersion"); v == nil || v == "" {
			t.Error("Multus without a CNI version")
		}
	case "network-attachments":
		checkAttachments(t, values)
	case "cilium-resources":
		checkCiliumResources(t, values)
	case "kube-proxy":
		for _, key := range []string{"mode", "image.tag", "apiServer.host"} {
			if v, _ := lookup(values, key); v == nil || v == "" {
				t.Errorf("kube-proxy without %s", key)
			}
		}
	}
}

// checkWeave holds values to what the agents take, and keeps passwords out of them.
func checkWeave(t *testing.T, in Input, s NetworkComponentSpec, values object) {
	t.Helper()
	text, _ := lookup(values, "ipallocRange")
	p, err := netip.ParsePrefix(text.(string))
	if err != nil || !p.Addr().Is4() || p != p.Masked() {
		t.Errorf("the range is %v", text)
	}
	mtu, _ := lookup(values, "mtu")
	node, _, _ := newState(in, true).nodeMTU()
	if m := mtu.(int64); m < 576 || node > 0 && m+weaveTunnel > int64(node) {
		t.Errorf("MTU %d on nodes of %d", m, node)
	}
	name, _ := lookup(values, "password.secretName")
	if (name != "") != (in.Stack.Spec.CNI.Encryption != nil && in.Stack.Spec.CNI.Encryption.Type == EncryptionPassword) ||
		len(s.GeneratedSecrets) > 1 || len(s.GeneratedSecrets) == 1 && s.GeneratedSecrets[0].SecretName != name {
		t.Errorf("the password is in %v; %d Secrets are made", name, len(s.GeneratedSecrets))
	}
}

// checkCalico holds an Installation to what the tigera-operator refuses.
func checkCalico(t *testing.T, values object, node int) {
	t.Helper()
	network, _ := lookup(values, "installation.calicoNetwork")
	pools, _ := network.(object)["ipPools"].([]any)
	if m, _ := network.(object)["mtu"].(int64); node > 0 && m > int64(node) {
		t.Errorf("MTU %d on nodes of %d", m, node)
	}
	if len(pools) == 0 || len(pools) > 25 {
		t.Errorf("%d pools", len(pools))
	}
	seen := map[any]bool{}
	for _, entry := range pools {
		p := entry.(object)
		prefix := netip.MustParsePrefix(p["cidr"].(string))
		size := int(p["blockSize"].(int64))
		shortest, longest := 20, 32
		if prefix.Addr().Is6() {
			shortest, longest = 116, 128
		}
		if size < max(shortest, prefix.Bits()) || size > longest || seen[p["cidr"]] || seen[p["name"]] {
			t.Errorf("pool %v", p)
		}
		seen[p["cidr"]], seen[p["name"]] = true, true
		ipip := strings.HasPrefix(p["encapsulation"].(string), "IPIP")
		if ipip && prefix.Addr().Is6() || (ipip || p["encapsulation"] == "None") && network.(object)["bgp"] != "Enabled" {
			t.Errorf("pool %v with BGP %v", p, network.(object)["bgp"])
		}
	}
	if host, _ := lookup(values, "kubernetesServiceEndpoint.host"); network.(object)["linuxDataplane"] == "BPF" && (host == nil || host == "") {
		t.Error("BPF without the API server's address")
	}
}

// checkCiliumResources holds pools to what Cilium's operator and agents take.
func checkCiliumResources(t *testing.T, values object) {
	t.Helper()
	pools, _ := values["pools"].([]any)
	if _, bgp := values["bgp"]; len(pools) == 0 && !bgp {
		t.Error("a release without objects")
	}
	names := map[any]bool{}
	for _, entry := range pools {
		p := entry.(object)
		if names[p["name"]] || p["ipv4"] == nil && p["ipv6"] == nil {
			t.Errorf("pool %v", p)
		}
		names[p["name"]] = true
		for _, family := range []string{"ipv4", "ipv6"} {
			mask, _ := lookup(p, family+".maskSize")
			for _, cidr := range words(p, family+".cidrs") {
				if prefix := netip.MustParsePrefix(cidr); mask.(int64) < int64(prefix.Bits()) || prefix.Addr().Is4() != (family == "ipv4") {
					t.Errorf("ranges of /%v of %s", mask, cidr)
				}
			}
		}
	}
	if len(pools) > 0 && !names["default"] {
		t.Errorf("no pool is default: %v", names)
	}
}

// both is several edits as one.
func both(edits ...func(*Input)) func(*Input) {
	return func(in *Input) {
		for _, edit := range edits {
			edit(in)
		}
	}
}

// checkAttachments holds attachments to what Multus makes of them: CNI configurations that name a plugin, each under its own name.
func checkAttachments(t *testing.T, values object) {
	t.Helper()
	list, _ := values["attachments"].([]any)
	names := map[string]bool{}
	for _, entry := range list {
		var conf struct{ CNIVersion, Name, Type string }
		if err := json.Unmarshal([]byte(entry.(object)["config"].(string)), &conf); err != nil || conf.CNIVersion == "" || conf.Type == "" || names[conf.Name] {
			t.Errorf("attachment %v: %v", entry, err)
		}
		names[conf.Name] = true
	}
	if len(list) == 0 {
		t.Error("a release without attachments")
	}
}

// randomAttachment makes one that may fit.
func randomAttachment(r *rand.Rand) NetworkAttachment {
	a := pick(r, bridge(pick(r, "a", "b", "")), lan(), ipvlan(), device(HostDeviceAttachment{Device: pick(r, "", "eth3")}),
		virtualFunction(SRIOVAttachment{ResourceName: pick(r, "example.com/vf", "x"), VLAN: int32(r.IntN(5000))}))
	a.Type = pick(r, a.Type, a.Type, a.Type, AttachmentMacvlan, "x")
	if r.IntN(2) == 0 {
		a.IPAM = &AttachmentIPAM{
			Type:   pick(r, AttachmentHostLocal, AttachmentWhereabouts, AttachmentStatic, AttachmentNone, "x"),
			Ranges: []AttachmentRange{{Subnet: randomCIDR(r), RangeStart: pick(r, "", "10.1.2.3", "y"), Exclude: pick(r, nil, []string{randomCIDR(r)})}},
			Routes: pick(r, nil, []AttachmentRoute{{Destination: randomCIDR(r)}}),
		}
	}
	return a
}

// addressesByText compares addresses as they are written.
var addressesByText = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

func copyInput(in Input) Input {
	out := Input{Stack: in.Stack.DeepCopy(), Catalog: testCatalog(), Existing: maps.Clone(in.Existing)}
	if in.Facts != nil {
		f := *in.Facts
		f.ServiceCIDRs, f.Installed, f.Nodes = slices.Clone(f.ServiceCIDRs), slices.Clone(f.Installed), slices.Clone(f.Nodes)
		for i := range f.Nodes {
			f.Nodes[i].InternalIPs, f.Nodes[i].PodCIDRs = slices.Clone(f.Nodes[i].InternalIPs), slices.Clone(f.Nodes[i].PodCIDRs)
		}
		out.Facts = &f
	}
	return out
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomInput makes a stack and a cluster; a tame one is made of parts that mostly fit.
func randomInput(r *rand.Rand, tame bool) Input {
	in := pick(r, cilium, flannel, calico, weave, external, azure, google, eks)()
	s := &in.Stack.Spec
	edits := []func(*Input){
		dual, onlyIPv6, noPools, withoutKubeProxy, cluster(makeDual),
		mode(pick(r, KubeProxyIPTables, KubeProxyNFTables, KubeProxyIPVS)), mode(KubeProxyReplaced), mode(KubeProxyUnmanaged),
		encapsulation(pick(r, EncapsulationVXLAN, EncapsulationGeneve, EncapsulationNone)),
		encapsulation(pick(r, EncapsulationIPIP, EncapsulationVXLANCrossSubnet)),
		calicoBlock(CalicoSpec{BGP: pick(r, "", Enabled, Disabled), Dataplane: pick(r, "", CalicoIPTables, CalicoNFTables, CalicoBPF)}),
		secondPool(IPPool{Name: "second", CIDRs: []string{randomCIDR(r)}, Disabled: r.IntN(2) == 0, Encapsulation: pick(r, "", EncapsulationIPIP, EncapsulationNone)}),
		secondPool(IPPool{Name: "third", CIDRs: []string{"10.250.0.0/24"}, BlockSizes: &BlockSizes{IPv4: new(int32(18 + r.IntN(16)))}}),
		cluster(func(s *facts.Snapshot) {
			s.Kubeadm, s.PodSubnets = true, prefixes(pick(r, "10.244.0.0/16", "fd00:10:244::/48"))
		}),
		distribution(pick(r, "", facts.DistributionAKS, facts.DistributionGKE, facts.DistributionEKS, facts.DistributionK3s)),
		func(in *Input) { in.Facts.Cloud = pick(r, "", facts.CloudAWS, facts.CloudAzure) },
		awsBlock(AWSVPCSpec{PrefixDelegation: pick(r, "", Enabled, Disabled), CustomNetworking: pick(r, nil, &AWSCustomNetworking{}, oneZone)}),
		func(in *Input) { in.Stack.Spec.CNI.Type, in.Stack.Spec.IPPools = CNIAWSVPC, nil },
		encryption(pick(r, EncryptionNone, EncryptionWireGuard, EncryptionIPsec, EncryptionPassword)),
		encrypted(EncryptionSpec{Type: EncryptionPassword, Rotation: "1", Password: pick(r, nil, &PasswordSpec{SecretName: "mine"})}),
		before(object{"ipallocRange": pick(r, "10.244.0.0/16", "x", "10.1.0.0/16")}),
		policies(pick(r, Enabled, Disabled)), prometheus, pace(pick(r, "0", "1", "3", "100%", "30%", "-1", "x")),
		tainted(2, corev1.Taint{Key: "a", Effect: corev1.TaintEffectNoExecute}), tolerating(pick(r, all, notReady)), labelled(2, "pool", "gpu"),
		agentSettings(AgentSettings{NodeSelector: map[string]string{"pool": pick(r, "gpu", "x y")}}),
		metrics(MetricsSpec{Endpoints: pick(r, "", Enabled, Disabled), ServiceMonitors: pick(r, "", MonitorsAuto, MonitorsEnabled, MonitorsDisabled)}),
		multi, both(mode(KubeProxyReplaced), multi, secondPool(fastPool())), secondPool(fastPool(func(p *IPPool) { p.CIDRs = []string{randomCIDR(r), randomCIDR(r)} })),
		bgp(router("a", pick(r, "192.168.10.1", "10.244.0.1", "x")), router(pick(r, "a", "b"), "fd00:192::1", func(p *CiliumBGPPeer) { p.HoldTimeSeconds = int32(r.IntN(70000)) })),
		bandwidth(pick(r, CiliumBandwidthDisabled, CiliumBandwidthEnabled, CiliumBandwidthBBR)), flowLogs(pick(r, Enabled, Disabled)),
		mtu(int32(r.IntN(10000))), nodeMTUs(r.IntN(9500), r.IntN(9500), 1500), nodeMTUs(1500, 1500, 9000),
		values(object{"operator": object{"replicas": r.IntN(5)}}), values(object{"ipam": nil}),
		values(object{"egressGateway": object{"enabled": true}, "bpf": object{"masquerade": r.IntN(2) == 0, "datapathMode": pick(r, "veth", "netkit")}}),
		values(object{"hubble": object{"enabled": r.IntN(2) == 0, "relay": object{"enabled": true}}, "tunnel": pick[any](r, nil, "vxlan")}),
		values(object{"cluster": object{"name": pick(r, "east", "East"), "id": r.IntN(2)}, "updateStrategy": object{"rollingUpdate": object{"maxUnavailable": pick[any](r, 0, 1, "100%")}}}),
		pinned(PinnedFacts{NodeMTU: int32(r.IntN(10000))}), pinned(PinnedFacts{APIServer: &Endpoint{Host: pick(r, "api.example.com", "10.96.0.1", "fd00::1")}}),
		pinned(PinnedFacts{ServiceCIDRs: []string{pick(r, "10.244.0.0/20", "10.99.0.0/16", "x")}}),
		secondary(), secondary(bridge("a"), lan()), secondary(randomAttachment(r)), secondary(randomAttachment(r), randomAttachment(r)),
		found(pick(r, foreignMultus, keptMultus, whereabouts)), values(object{"cni": object{"exclusive": r.IntN(2) == 0}}),
		func(in *Input) {
			in.Stack.Spec.SecondaryNetworks = &SecondaryNetworksSpec{Type: pick(r, SecondaryNetworksExternal, "x"), Attachments: []NetworkAttachment{randomAttachment(r)}}
		},
		cidrs("10.244.0.0/16", "10.245.0.0/16"), cidrs(randomCIDR(r), randomCIDR(r)),
		func(in *Input) { in.Stack.Spec.CNI.Version = pick(r, "1.19.6", "1.20.0", "0.28.9", "v9.9.9") },
		func(in *Input) { in.Facts.Installed = append(in.Facts.Installed, randomInstalled(r)) },
		func(in *Input) { in.Facts.Nodes[r.IntN(3)].OS = "windows" },
		func(in *Input) { in.Facts.Nodes[r.IntN(3)].PodCIDRs = nil },
		func(in *Input) { in.Facts.Nodes[r.IntN(3)].InternalIPs = []netip.Addr{{}} },
		func(in *Input) { in.Facts.Nodes[r.IntN(3)].PodCIDRs = []netip.Prefix{{}} },
		func(in *Input) {
			in.Facts.Nodes[r.IntN(3)].KernelVersion = pick(r, "", "5.4.0", "4.18.0-553.el8_10.x86_64", "6.1")
		},
		func(in *Input) { in.Facts.KubernetesVersion = pick(r, "", "v1.30.1", "v1.40.0", "v1.43.0+x", "weird") },
		func(in *Input) { in.Facts.ServiceCIDRs = []netip.Prefix{{}} },
		func(in *Input) { in.Facts.Nodes = append(in.Facts.Nodes, in.Facts.Nodes...) },
	}
	n := 1 + r.IntN(3)
	if !tame {
		n = 3 + r.IntN(8)
	}
	for range n {
		// dual and onlyIPv6 need the default pool.
		if len(s.IPPools) == 0 {
			s.IPPools = []IPPool{poolOf("default", "10.244.0.0/16")}
		}
		pick(r, edits...)(&in)
	}
	return in
}

func randomCIDR(r *rand.Rand) string {
	if r.IntN(2) == 0 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(256)), byte(r.IntN(256)), 0}), r.IntN(33)).Masked().String()
	}
	a := [16]byte{0: 0xfd, 5: byte(r.IntN(256)), 7: byte(r.IntN(256))}
	return netip.PrefixFrom(netip.AddrFrom16(a), r.IntN(129)).Masked().String()
}

func randomInstalled(r *rand.Rand) facts.Installed {
	return facts.Installed{
		Type:      pick(r, facts.InstalledCilium, facts.InstalledFlannel, facts.InstalledCalico, facts.InstalledKubeProxy, facts.InstalledAWSVPC, facts.InstalledAzureCNI, facts.InstalledGKENetd),
		Kept:      r.IntN(2) == 0,
		Namespace: "kube-system", Name: "x", Component: pick(r, "", "cilium"), Manager: pick(r, "", "Helm release a/b"),
		Image: pick(r, "", "cilium:v1.19.1", "cilium:v1.17.0@sha256:00", "r:5000/cilium"),
	}
}

// FuzzCompose looks for inputs that make the composition panic or break a property.
func FuzzCompose(f *testing.F) {
	f.Add(uint64(1), "10.244.0.0/16", "1.20.0", "v1.36.3", "6.12.0", "api.example.com", int32(0), `{"a":1}`)
	f.Add(uint64(2), "fd00::/104", "v1.19.6-x", "1.33", "5.4", "[::1]", int32(1400), `[]`)
	f.Add(uint64(3), "::ffff:1.2.3.4/120", "", "", "", "kubernetes.default.svc", int32(-1), `{"ipam":null,"flannel":{"args":3}}`)
	f.Add(uint64(4), "010.0.0.0/08", "v", "v1.", "4.18.el8_", "fe80::1%eth0", int32(1<<30), `null`)
	f.Fuzz(func(t *testing.T, seed uint64, cidr, version, kubernetes, kernel, host string, size int32, values string) {
		r := rand.New(rand.NewPCG(seed, 2))
		in := randomInput(r, seed%2 == 0)
		s := &in.Stack.Spec
		for _, edit := range []func(){
			func() {
				s.IPPools = append(s.IPPools, IPPool{Name: cidr, CIDRs: []string{cidr}, NodeMaskSizes: &NodeMaskSizes{IPv4: &size, IPv6: &size}})
			},
			func() { s.CNI.Version = version },
			func() { in.Facts.KubernetesVersion = kubernetes },
			func() { in.Facts.Nodes[0].KernelVersion = kernel },
			func() {
				s.Cluster = &PinnedFacts{APIServer: &Endpoint{Host: host, Port: size}, ServiceCIDRs: []string{cidr}, NodeMTU: size}
			},
			func() { in.Facts.APIServer.Host = host },
			func() { s.MTU = size },
			func() { s.CNI.Values = &apiextensionsv1.JSON{Raw: []byte(values)} },
			func() {
				s.KubeProxy = &KubeProxySpec{Mode: KubeProxyMode(version), ComponentSettings: ComponentSettings{Version: version}}
			},
			func() { s.CNI.Type, s.IPFamilies = CNIType(cidr), []IPFamily{IPFamily(version), IPv4} },
			func() { in.Facts.Installed[0].Image = version },
			func() { in.Facts = nil },
			func() { in.Stack = nil },
		} {
			if r.IntN(4) == 0 && in.Stack != nil && in.Facts != nil && len(in.Facts.Installed) > 0 {
				edit()
			}
		}
		if in.Stack == nil || in.Facts == nil {
			Compose(in)
			ValidateObject(in.Stack)
			return
		}
		checkProperties(t, in)
	})
}

// FuzzCIDR: what is taken is canonical, and what is suggested instead is taken.
func FuzzCIDR(f *testing.F) {
	for _, seed := range []string{
		"10.244.0.0/16", "10.0.0.5/16", "010.0.0.0/08", "10.0.0.0", "::ffff:10.0.0.0/104", "::ffff:0:0/95", "fd00::1/64", "FD00::/56", "fe80::%eth0/64", "/", "0.0.0.0/0",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, problem := parseCIDR(text)
		if problem == "" {
			if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
				t.Errorf("took %q as %v", text, p)
			}
			return
		}
		if _, suggestion, ok := strings.Cut(problem, "did you mean "); ok {
			var better string
			if err := json.Unmarshal([]byte(strings.TrimSuffix(suggestion, "?")), &better); err != nil {
				t.Fatal(err)
			}
			if _, problem := parseCIDR(better); problem != "" {
				t.Errorf("for %q suggests %q, which %s", text, better, problem)
			}
		}
	})
}
