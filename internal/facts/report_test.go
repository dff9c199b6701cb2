package facts

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// byValue compares addresses as values; their fields are not exported.
var byValue = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

func addresses(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

func TestParseKernel(t *testing.T) {
	for _, tc := range []struct {
		text string
		want Kernel
		ok   bool
	}{
		{"6.12.0-1-amd64", Kernel{6, 12}, true},
		{"5.4.0-150-generic", Kernel{5, 4}, true},
		{"4.18.0-553.el8_10.x86_64", Kernel{4, 18}, true},
		{"5.10.0+", Kernel{5, 10}, true},
		{"v6.1", Kernel{6, 1}, true},
		{"10.0.20348.2402", Kernel{10, 0}, true},
		{"", Kernel{}, false},
		{"6", Kernel{}, false},
		{"linux-6.1", Kernel{}, false},
		{"99999999999999999999.1", Kernel{}, false},
	} {
		if got, ok := ParseKernel(tc.text); ok != tc.ok || ok && got != tc.want {
			t.Errorf("ParseKernel(%q) = %v, %v; want %v, %v", tc.text, got, ok, tc.want, tc.ok)
		}
	}
}

func TestKernelOlder(t *testing.T) {
	for _, tc := range []struct {
		a, b Kernel
		want bool
	}{
		{Kernel{5, 4}, Kernel{5, 10}, true},
		{Kernel{5, 10}, Kernel{5, 4}, false},
		{Kernel{4, 19}, Kernel{5, 4}, true},
		{Kernel{6, 0}, Kernel{5, 19}, false},
		{Kernel{5, 4}, Kernel{5, 4}, false},
	} {
		if got := tc.a.Older(tc.b); got != tc.want {
			t.Errorf("%v older than %v: %v", tc.a, tc.b, got)
		}
	}
}

func TestOldestKernel(t *testing.T) {
	kernels := func(pairs ...string) []Node {
		var out []Node
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, Node{OS: pairs[i], KernelVersion: pairs[i+1]})
		}
		return out
	}
	for _, tc := range []struct {
		name  string
		nodes []Node
		want  string
	}{
		{"none", nil, ""},
		{"by number, not by letter", kernels("linux", "5.10.1", "linux", "5.4.0-150-generic", "linux", "5.9.3"), "5.4.0-150-generic"},
		{"Windows does not count", kernels("windows", "1.0.1", "linux", "6.1.0"), "6.1.0"},
		{"unreadable does not count", kernels("linux", "unknown", "linux", "6.1.0"), "6.1.0"},
		{"only unreadable", kernels("linux", ""), ""},
	} {
		if got := oldestKernel(tc.nodes); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestPodCIDRs(t *testing.T) {
	for _, tc := range []struct {
		name  string
		nodes [][]string
		want  []string
	}{
		{"no nodes", nil, nil},
		{"nodes without ranges", [][]string{nil, nil}, nil},
		{"one node", [][]string{{"10.244.3.0/24"}}, []string{"10.244.3.0/24"}},
		{"neighbours", [][]string{{"10.244.0.0/24"}, {"10.244.1.0/24"}}, []string{"10.244.0.0/23"}},
		{"neighbours that share no pair", [][]string{{"10.244.1.0/24"}, {"10.244.2.0/24"}}, []string{"10.244.0.0/22"}},
		{"one node has none yet", [][]string{nil, {"10.244.1.0/24"}}, []string{"10.244.1.0/24"}},
		{"one range holds the other", [][]string{{"10.244.0.0/16"}, {"10.244.7.0/24"}}, []string{"10.244.0.0/16"}},
		{"the second range is the wider", [][]string{{"10.244.7.0/24"}, {"10.244.0.0/16"}}, []string{"10.244.0.0/16"}},
		{"host bits", [][]string{{"10.244.1.7/24"}}, []string{"10.244.1.0/24"}},
		{"nothing in common", [][]string{{"10.0.0.0/24"}, {"192.168.0.0/24"}}, []string{"0.0.0.0/0"}},
		{"dual-stack", [][]string{{"10.244.0.0/24", "fd00:10:244::/64"}, {"10.244.1.0/24", "fd00:10:244:1::/64"}},
			[]string{"10.244.0.0/23", "fd00:10:244::/63"}},
		{"IPv6 first", [][]string{{"fd00:10:244::/64", "10.244.0.0/24"}, {"fd00:10:244:3::/64", "10.244.1.0/24"}},
			[]string{"fd00:10:244::/62", "10.244.0.0/23"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var nodes []Node
			for _, cidrs := range tc.nodes {
				nodes = append(nodes, Node{PodCIDRs: prefixes(cidrs...)})
			}
			if diff := cmp.Diff(prefixes(tc.want...), PodCIDRs(nodes), byValue); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestNodeFamilies(t *testing.T) {
	v4, v6 := networkstackv1alpha1.IPv4, networkstackv1alpha1.IPv6
	for _, tc := range []struct {
		name  string
		nodes [][]string
		want  []networkstackv1alpha1.IPFamily
	}{
		{"no nodes", nil, nil},
		{"no addresses", [][]string{nil}, nil},
		{"IPv4", [][]string{{"192.0.2.1"}, {"192.0.2.2"}}, []networkstackv1alpha1.IPFamily{v4}},
		{"both, IPv4 first", [][]string{{"192.0.2.1", "2001:db8::1"}, {"2001:db8::2", "192.0.2.2"}}, []networkstackv1alpha1.IPFamily{v4, v6}},
		{"both, IPv6 first", [][]string{{"2001:db8::1", "192.0.2.1"}, {"192.0.2.2", "2001:db8::2"}}, []networkstackv1alpha1.IPFamily{v6, v4}},
		{"one node lacks IPv6", [][]string{{"192.0.2.1", "2001:db8::1"}, {"192.0.2.2"}}, []networkstackv1alpha1.IPFamily{v4}},
		{"the first node lacks IPv6", [][]string{{"192.0.2.1"}, {"192.0.2.2", "2001:db8::2"}}, []networkstackv1alpha1.IPFamily{v4}},
		{"nothing in common", [][]string{{"192.0.2.1"}, {"2001:db8::2"}}, nil},
		{"two addresses of a family count once", [][]string{{"192.0.2.1", "198.51.100.1"}}, []networkstackv1alpha1.IPFamily{v4}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var nodes []Node
			for _, ips := range tc.nodes {
				nodes = append(nodes, Node{InternalIPs: addresses(ips...)})
			}
			if diff := cmp.Diff(tc.want, NodeFamilies(nodes)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func discovered() *Snapshot {
	return &Snapshot{
		KubernetesVersion: "v1.37.2",
		ServiceCIDRs:      prefixes("10.96.0.0/12"),
		ServiceCIDRSource: "ServiceCIDR/kubernetes",
		ServiceIP:         netip.MustParseAddr("10.96.0.1"),
		APIServer:         networkstackv1alpha1.Endpoint{Host: "192.0.2.10", Port: 6443},
		APIServerSource:   "kube-public/cluster-info",
		DNSDomain:         "cluster.local",
		Nodes: []Node{
			{Name: "a", OS: "linux", KernelVersion: "6.1.0", InternalIPs: addresses("192.0.2.1"), PodCIDRs: prefixes("10.244.0.0/24"), MTU: 9000},
			{Name: "b", OS: "linux", KernelVersion: "5.15.0", InternalIPs: addresses("192.0.2.2"), PodCIDRs: prefixes("10.244.1.0/24"), MTU: 1500},
			{Name: "c", OS: "linux", KernelVersion: "6.1.0", InternalIPs: addresses("192.0.2.3")},
		},
		Installed: []Installed{
			{Type: InstalledFlannel, Namespace: "kube-flannel", Name: "kube-flannel-ds", Image: "flannel:1", Manager: "Helm release kube-flannel/flannel"},
			{Type: InstalledKubeProxy, Namespace: "kube-system", Name: "kube-proxy", Image: "kube-proxy:1"},
		},
	}
}

func TestPin(t *testing.T) {
	for _, tc := range []struct {
		name   string
		pinned *networkstackv1alpha1.PinnedFacts
		change func(*Snapshot)
	}{
		{"nothing", nil, func(*Snapshot) {}},
		{"empty", &networkstackv1alpha1.PinnedFacts{}, func(*Snapshot) {}},
		{"Service ranges", &networkstackv1alpha1.PinnedFacts{ServiceCIDRs: []string{"10.0.0.0/16", "fd00::/112"}}, func(s *Snapshot) {
			s.ServiceCIDRs, s.ServiceCIDRSource = prefixes("10.0.0.0/16", "fd00::/112"), "spec.cluster.serviceCIDRs"
		}},
		{"API server", &networkstackv1alpha1.PinnedFacts{APIServer: &networkstackv1alpha1.Endpoint{Host: "api.example.com", Port: 8443}}, func(s *Snapshot) {
			s.APIServer, s.APIServerSource = networkstackv1alpha1.Endpoint{Host: "api.example.com", Port: 8443}, "spec.cluster.apiServer"
		}},
		{"API server without a port", &networkstackv1alpha1.PinnedFacts{APIServer: &networkstackv1alpha1.Endpoint{Host: "api.example.com"}}, func(s *Snapshot) {
			s.APIServer, s.APIServerSource = networkstackv1alpha1.Endpoint{Host: "api.example.com", Port: 6443}, "spec.cluster.apiServer"
		}},
		{"DNS domain", &networkstackv1alpha1.PinnedFacts{DNSDomain: "k8s.example.com"}, func(s *Snapshot) { s.DNSDomain = "k8s.example.com" }},
		{"MTU of every node", &networkstackv1alpha1.PinnedFacts{NodeMTU: 1400}, func(s *Snapshot) {
			for i := range s.Nodes {
				s.Nodes[i].MTU = 1400
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			original, want := discovered(), discovered()
			tc.change(want)
			pinned := tc.pinned.DeepCopy()
			if diff := cmp.Diff(want, Pin(original, tc.pinned), byValue); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			// The Snapshot is shared, and the pins belong to an object in a cache.
			if diff := cmp.Diff(discovered(), original, byValue); diff != "" {
				t.Errorf("the original was changed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(pinned, tc.pinned); diff != "" {
				t.Errorf("the pins were changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReport(t *testing.T) {
	for _, tc := range []struct {
		name     string
		snapshot *Snapshot
		want     *networkstackv1alpha1.FactsStatus
	}{
		{"nothing known", &Snapshot{}, &networkstackv1alpha1.FactsStatus{}},
		{"everything known", discovered(), &networkstackv1alpha1.FactsStatus{
			KubernetesVersion: "v1.37.2",
			ServiceCIDRs:      []string{"10.96.0.0/12"},
			PodCIDRs:          []string{"10.244.0.0/23"},
			APIServer:         "192.0.2.10:6443",
			APIServerSource:   "kube-public/cluster-info",
			DNSDomain:         "cluster.local",
			Nodes:             3,
			NodeFamilies:      []networkstackv1alpha1.IPFamily{networkstackv1alpha1.IPv4},
			OldestKernel:      "5.15.0",
			// A node that does not tell its MTU does not make it 0.
			NodeMTU: 1500,
			CNI: []networkstackv1alpha1.FoundComponent{{Type: "Flannel", Workload: "kube-flannel/kube-flannel-ds", Image: "flannel:1",
				Manager: "Helm release kube-flannel/flannel", Available: true}},
			KubeProxy: &networkstackv1alpha1.FoundComponent{Type: "KubeProxy", Workload: "kube-system/kube-proxy", Image: "kube-proxy:1", Available: true},
		}},
		{"agents for secondary networks", &Snapshot{Installed: []Installed{
			{Type: InstalledMultus, Namespace: "kube-system", Name: "kube-multus-ds", Image: "multus:1"}, {Type: InstalledWhereabouts, Namespace: "kube-system", Name: "whereabouts"},
		}}, &networkstackv1alpha1.FactsStatus{SecondaryNetworks: []networkstackv1alpha1.FoundComponent{
			{Type: "Multus", Workload: "kube-system/kube-multus-ds", Image: "multus:1", Available: true}, {Type: "Whereabouts", Workload: "kube-system/whereabouts", Available: true},
		}}},
		{"IPv6 API server", &Snapshot{APIServer: networkstackv1alpha1.Endpoint{Host: "2001:db8::1", Port: 6443}},
			&networkstackv1alpha1.FactsStatus{APIServer: "[2001:db8::1]:6443"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Report(tc.snapshot)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSnapshotInstalled(t *testing.T) {
	s := discovered()
	if got := s.CNIs(); len(got) != 1 || got[0].Type != InstalledFlannel {
		t.Errorf("CNIs: %v", got)
	}
	s.Installed = append(s.Installed, Installed{Type: InstalledMultus}, Installed{Type: InstalledWhereabouts})
	if got := s.CNIs(); len(got) != 1 {
		t.Errorf("with agents for secondary networks, CNIs: %v", got)
	}
	if !s.Has(InstalledMultus) || s.Has(InstalledCalico) {
		t.Errorf("has Multus: %v, Calico: %v", s.Has(InstalledMultus), s.Has(InstalledCalico))
	}
	if got := s.KubeProxy(); got == nil || got.Name != "kube-proxy" {
		t.Errorf("kube-proxy: %v", got)
	}
	if got := (&Snapshot{}).KubeProxy(); got != nil {
		t.Errorf("kube-proxy of an empty cluster: %v", got)
	}
	s = &Snapshot{Installed: []Installed{{Type: InstalledGKENetd}, {Type: InstalledAzureMasquerade}, {Type: InstalledAzureCNI}}}
	if got := s.CNIs(); len(got) != 1 || got[0].Type != InstalledAzureCNI || !s.Has(InstalledGKENetd) || s.Has(InstalledCilium) {
		t.Errorf("of what clouds run, network plugins are %v", got)
	}
}
