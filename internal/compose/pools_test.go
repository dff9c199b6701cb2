package compose

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// TestPoolsOf reads the pools back from what an accepted input comes to, in short: name, family, ranges, unit, mask, groups.
func TestPoolsOf(t *testing.T) {
	kubeadmSays := cluster(func(s *facts.Snapshot) { s.Kubeadm, s.PodSubnets = true, prefixes("10.244.0.0/16") })
	second := secondPool(poolOf("more", "10.245.0.0/20"))
	for _, tc := range []struct {
		name   string
		in     Input
		source facts.AllocationSource
		want   []string
	}{
		{"Flannel", flannel(), "Node", []string{"default IPv4 [10.244.0.0/16] NodeRanges one each [IPv4]"}},
		{"Flannel, dual-stack", flannel(dual), "Node", []string{
			"default IPv4 [10.244.0.0/16] NodeRanges one each [IPv4]", "default IPv6 [fd00:10:244::/56] NodeRanges one each [IPv6]",
		}},
		{"Flannel without pools", flannel(noPools), "Node", []string{"default IPv4 [] NodeRanges one each [IPv4]"}},
		{"Flannel without pools, by kubeadm", flannel(noPools, kubeadmSays), "Node", []string{"default IPv4 [10.244.0.0/16] NodeRanges one each [IPv4]"}},
		{"Cilium", cilium(dual, second), "CiliumNode", []string{
			"default IPv4 [10.244.0.0/16] NodeRanges /24 one each [IPv4]", "more IPv4 [10.245.0.0/20] NodeRanges /24 one each [IPv4]",
			"default IPv6 [fd00:10:244::/56] NodeRanges /64 one each [IPv6]",
		}},
		{"Cilium, two CIDRs in a pool", cilium(firstPool(func(p *IPPool) { p.CIDRs = []string{"10.244.0.0/16", "10.245.0.0/16"} })), "CiliumNode", []string{
			"default IPv4 [10.244.0.0/16 10.245.0.0/16] NodeRanges /24 one each [IPv4]",
		}},
		{"Cilium without pools", cilium(noPools, kubeadmSays), "Node", []string{"default IPv4 [10.244.0.0/16] NodeRanges one each [IPv4]"}},
		{"Calico", calico(dual, second), "IPAMBlock", []string{
			"default IPv4 [10.244.0.0/16] Addresses [IPv4/all()]", "default IPv6 [fd00:10:244::/56] Addresses [IPv6/all()]",
			"more IPv4 [10.245.0.0/20] Addresses [IPv4/all()]",
		}},
		{"Calico, pools of all sorts", calico(second, secondPool(IPPool{Name: "rack", CIDRs: []string{"10.246.0.0/20"},
			NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"rack": "7"}}}),
			secondPool(IPPool{Name: "off", CIDRs: []string{"10.247.0.0/20"}, Disabled: true}),
			secondPool(IPPool{Name: "theirs", CIDRs: []string{"10.248.0.0/20"}, OnRequest: true})), "IPAMBlock", []string{
			"default IPv4 [10.244.0.0/16] Addresses [IPv4/all() IPv4/rack in {'7'}]", "more IPv4 [10.245.0.0/20] Addresses [IPv4/all() IPv4/rack in {'7'}]",
			"rack IPv4 [10.246.0.0/20] Addresses [IPv4/rack in {'7'}]", "off IPv4 [10.247.0.0/20] Addresses disabled [IPv4/all() IPv4/rack in {'7'}]",
			"theirs IPv4 [10.248.0.0/20] Addresses [IPv4/on request/theirs]",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := PoolsOf(tc.in); len(got.Pools) > 0 || got.Unknown != "" {
				t.Errorf("pools before there is a component: %v", got)
			}
			tc.in.Existing = map[string]NetworkComponentSpec{}
			for _, r := range accepted(t, tc.in).Releases {
				tc.in.Existing[r.Name] = r.Spec
			}
			got := PoolsOf(tc.in)
			if diff := cmp.Diff(tc.want, poolTexts(got)); diff != "" || got.Source != tc.source {
				t.Errorf("source %q, pools (-want +got):\n%s", got.Source, diff)
			}
			if got.WayOut == "" {
				t.Error("no way out")
			}
		})
	}
}

// TestPoolsOfOthers wants what is known of pools that are not set up here, and else who knows.
func TestPoolsOfOthers(t *testing.T) {
	ranges := cluster(func(s *facts.Snapshot) {
		s.Nodes[0].PodCIDRs, s.Nodes[1].PodCIDRs = prefixes("10.8.0.0/24", "fd00:8::/64"), prefixes("10.8.1.0/24", "fd00:8:0:1::/64")
	})
	agentOf := func(of facts.InstalledType) func(*Input) {
		return there(facts.Installed{Type: of, Namespace: "kube-system", Name: "agent"})
	}
	kubeadmSays := cluster(func(s *facts.Snapshot) { s.PodSubnets = prefixes("10.8.0.0/16") })
	theirs := []string{"default IPv4 [] NodeRanges one each [IPv4]", "default IPv6 [] NodeRanges one each [IPv6]"}
	for _, tc := range []struct {
		name    string
		in      Input
		source  facts.AllocationSource
		books   bool
		want    []string
		unknown string
	}{
		{"AWS", input(CNIAWSVPC, noPools), "", false, nil, "awscni_assigned_ip_addresses"},
		{"AKS", azure(), "NodeNetworkConfig", true, nil, "NodeNetworkConfigs"},
		{"GKE", google(ranges), "Node", false, theirs, "secondary ranges in GKE"},
		{"GKE, nodes without ranges", google(cluster(func(s *facts.Snapshot) { s.Nodes = s.Nodes[:1]; s.Nodes[0].PodCIDRs = nil })), "Node", false, nil, "secondary ranges in GKE"},
		{"Weave Net", weave(), "", false, nil, "weave_max_ips"},
		{"somebody's Calico", external(ranges), "", false, nil, "somebody else's"},
		{"nothing that is known", input(CNIExternal, ranges), "", false, nil, "somebody else's"},
		{"somebody's Flannel, by the spec", input(CNIExternal, ranges, agentOf(facts.InstalledFlannel), firstPool(func(p *IPPool) { p.Name, p.CIDRs = "theirs", []string{"10.8.0.0/20"} })),
			"Node", false, []string{"theirs IPv4 [10.8.0.0/20] NodeRanges one each [IPv4]", theirs[1]}, "kube-controller-manager"},
		{"somebody's Flannel, by two pools", input(CNIExternal, ranges, agentOf(facts.InstalledFlannel), secondPool(poolOf("more", "10.9.0.0/16"))), "Node", false, theirs, "kube-controller-manager"},
		{"somebody's Flannel", input(CNIExternal, noPools, ranges, agentOf(facts.InstalledFlannel)), "Node", false, theirs, "kube-controller-manager"},
		{"somebody's Flannel by kubeadm", input(CNIExternal, noPools, ranges, kubeadmSays, agentOf(facts.InstalledFlannel)), "Node", false, []string{
			"default IPv4 [10.8.0.0/16] NodeRanges one each [IPv4]", theirs[1],
		}, "kube-controller-manager"},
		{"somebody's Flannel and Calico", external(ranges, agentOf(facts.InstalledFlannel)), "", false, nil, "somebody else's"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.in.Existing = map[string]NetworkComponentSpec{}
			for _, r := range Compose(tc.in).Releases {
				tc.in.Existing[r.Name] = r.Spec
			}
			got := PoolsOf(tc.in)
			if diff := cmp.Diff(tc.want, poolTexts(got)); diff != "" || got.Source != tc.source || got.FromBooks != tc.books {
				t.Errorf("source %q, from books: %v, pools (-want +got):\n%s", got.Source, got.FromBooks, diff)
			}
			if !strings.Contains(got.Unknown, tc.unknown) {
				t.Errorf("%q", got.Unknown)
			}
		})
	}
}

// TestPoolsOfRemoved because a pool that the spec no longer has, and whose removal is refused, is still there.
func TestPoolsOfRemoved(t *testing.T) {
	for _, tc := range []struct {
		in   Input
		want []string
	}{
		{calico(), []string{"default IPv4 [10.244.0.0/16] Addresses [IPv4/all()]", "old IPv4 [10.245.0.0/16] Addresses [IPv4/all()]"}},
		{cilium(), []string{"default IPv4 [10.244.0.0/16] NodeRanges /24 one each [IPv4]", "10.245.0.0/16 IPv4 [10.245.0.0/16] NodeRanges /24 one each [IPv4]"}},
	} {
		before := tc.in
		before.Stack = tc.in.Stack.DeepCopy()
		before.Stack.Spec.IPPools = append(before.Stack.Spec.IPPools, poolOf("old", "10.245.0.0/16"))
		tc.in.Existing = map[string]NetworkComponentSpec{}
		for _, r := range accepted(t, before).Releases {
			tc.in.Existing[r.Name] = r.Spec
		}
		if diff := cmp.Diff(tc.want, poolTexts(PoolsOf(tc.in))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.in.Stack.Spec.CNI.Type, diff)
		}
	}
}

// TestPoolsOfRenamed because a name may be used again before the pool that had it is gone.
func TestPoolsOfRenamed(t *testing.T) {
	for _, tc := range []struct {
		name string
		was  IPPool
		want []string
	}{
		{"disabled", IPPool{Disabled: true}, []string{
			"default IPv4 [10.244.0.0/16] Addresses [IPv4/all()]", "more IPv4 [10.245.0.0/16] Addresses disabled [IPv4/all()]",
			"10.246.0.0/16 IPv4 [10.246.0.0/16] Addresses [IPv4/all()]",
		}},
		{"for other nodes", IPPool{NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"rack": "7"}}}, []string{
			"default IPv4 [10.244.0.0/16] Addresses [IPv4/all() IPv4/rack in {'7'}]", "more IPv4 [10.245.0.0/16] Addresses [IPv4/rack in {'7'}]",
			"10.246.0.0/16 IPv4 [10.246.0.0/16] Addresses [IPv4/all() IPv4/rack in {'7'}]",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.was.Name, tc.was.CIDRs = "more", []string{"10.245.0.0/16"}
			before := calico(secondPool(tc.was), secondPool(poolOf("next", "10.246.0.0/16")))
			in := calico(secondPool(poolOf("more", "10.246.0.0/16")))
			in.Existing = map[string]NetworkComponentSpec{}
			for _, r := range accepted(t, before).Releases {
				in.Existing[r.Name] = r.Spec
			}
			if diff := cmp.Diff(tc.want, poolTexts(PoolsOf(in))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPoolsOfMultiPool because pods choose such pools by name, and a node has several ranges of one.
func TestPoolsOfMultiPool(t *testing.T) {
	before := cilium(multi, mode(KubeProxyReplaced), firstPool(func(p *IPPool) { p.NodeMaskSizes = &NodeMaskSizes{IPv4: ptr[int32](27)} }),
		secondPool(poolOf("blue", "10.245.0.0/16")), secondPool(poolOf("old", "10.246.0.0/16")))
	before.Stack.Spec.IPPools[2].Disabled = true
	in := cilium(multi, mode(KubeProxyReplaced))
	in.Existing = map[string]NetworkComponentSpec{}
	for _, r := range accepted(t, before).Releases {
		in.Existing[r.Name] = r.Spec
	}
	want := []string{
		"default IPv4 [10.244.0.0/16] NodeRanges /27 named [IPv4/default]", "blue IPv4 [10.245.0.0/16] NodeRanges /26 named [IPv4/blue]",
		"old IPv4 [10.246.0.0/16] NodeRanges /26 disabled named [IPv4/old]",
	}
	got := poolTexts(PoolsOf(in))
	for i := range got {
		got[i] = strings.Replace(got[i], "named disabled", "disabled named", 1) // written in no certain order
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func poolTexts(p InstalledPools) []string {
	var out []string
	for _, q := range p.Pools {
		words := []string{q.Name, string(q.Family), fmt.Sprint(q.CIDRs), string(q.Unit)}
		if q.NodeMask != 0 {
			words = append(words, fmt.Sprintf("/%d", q.NodeMask))
		}
		for word, is := range map[string]bool{"one each": q.OnePerNode, "named": q.Named, "disabled": q.Disabled} {
			if is {
				words = append(words, word)
			}
		}
		out = append(out, strings.Join(append(words, fmt.Sprint(q.Groups)), " "))
	}
	return out
}
