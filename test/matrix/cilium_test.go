package matrix_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

const ciliumVersion = "1.20.0"

// nodeRanges stands for no pools: Cilium takes the nodes' own ranges.
const nodeRanges CiliumIPAM = "NodeRanges"

// ciliumCell is one combination.
type ciliumCell struct {
	settings
	ipam CiliumIPAM
}

func (c ciliumCell) String() string {
	return fmt.Sprintf("%s %s", c.settings, c.ipam)
}

func ciliumCells() []ciliumCell {
	var out []ciliumCell
	for _, s := range every(encapsulations, EncryptionNone, EncryptionWireGuard, EncryptionIPsec) {
		for _, ipam := range []CiliumIPAM{nodeRanges, CiliumClusterPool, CiliumMultiPool} {
			out = append(out, ciliumCell{s, ipam})
		}
	}
	return out
}

func (c ciliumCell) native() bool { return c.encapsulation == EncapsulationNone }

// refused are the fields that have to be refused, found out without the composition.
func (c ciliumCell) refused() []string {
	fields := map[string]bool{}
	if !slices.Contains([]Encapsulation{EncapsulationVXLAN, EncapsulationGeneve, EncapsulationNone}, c.encapsulation) {
		fields["spec.cni.encapsulation"] = true
	}
	if c.ipam == CiliumMultiPool && c.mode != KubeProxyReplaced {
		fields["spec.cni.cilium.ipam"] = true // nothing masquerades
	}
	return slices.Sorted(maps.Keys(fields))
}

var more = map[IPFamily]string{IPv4: "10.250.0.0/16", IPv6: "fd00:10:250::/56"}

// input is the combination on a cluster of these families.
func (c ciliumCell) input() compose.Input {
	services := map[IPFamily]string{IPv4: "10.96.0.0/12", IPv6: "fd00:10:96::/112"}
	nodes := map[IPFamily]string{IPv4: "192.168.10.11", IPv6: "fd00:192::11"}
	own := map[IPFamily]string{IPv4: "10.244.0.0/24", IPv6: "fd00:10:244::/64"}
	s := &NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}}
	s.SetGroupVersionKind(GroupVersion.WithKind("NetworkStack"))
	pools := []IPPool{{Name: "default"}, {Name: "more", PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"more": "yes"}}}}
	f := &facts.Snapshot{KubernetesVersion: "v1.36.3", APIServer: Endpoint{Host: "192.168.10.10", Port: 6443}}
	n := facts.Node{Name: "n1", OS: "linux", KernelVersion: "6.12.0", MTU: 1500}
	for _, family := range c.families {
		pools[0].CIDRs, pools[1].CIDRs = append(pools[0].CIDRs, cidrs[family]), append(pools[1].CIDRs, more[family])
		f.ServiceCIDRs = append(f.ServiceCIDRs, netip.MustParsePrefix(services[family]))
		n.InternalIPs = append(n.InternalIPs, netip.MustParseAddr(nodes[family]))
		n.PodCIDRs = append(n.PodCIDRs, netip.MustParsePrefix(own[family]))
	}
	f.ServiceIP, f.Nodes = f.ServiceCIDRs[0].Addr().Next(), []facts.Node{n}
	s.Spec.IPFamilies = c.families
	s.Spec.CNI = CNISpec{Type: CNICilium, Encapsulation: c.encapsulation, Encryption: &EncryptionSpec{Type: c.encryption}}
	switch c.ipam {
	case CiliumClusterPool:
		s.Spec.IPPools, s.Spec.CNI.Cilium = pools[:1], &CiliumSpec{IPAM: c.ipam}
	case CiliumMultiPool:
		s.Spec.IPPools, s.Spec.CNI.Cilium = pools, &CiliumSpec{IPAM: c.ipam}
	default:
	}
	s.Spec.KubeProxy = &KubeProxySpec{Mode: c.mode}
	return compose.Input{Stack: s, Facts: f, Catalog: shipped}
}

// TestCilium goes through all combinations: what cannot be is refused, at the field that says so, and the rest is composed,
// rendered with upstream's chart, and taken by the API server with strict validation, with what was asked for in it.
func TestCilium(t *testing.T) {
	server := newStacks(t)
	// The chart brings it.
	server.apply(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "cilium-secrets"}}}, false)
	matrix[ciliumCell]{
		cells: ciliumCells(), release: "cilium", upstream: testcharts.Upstream(t, "cilium", ciliumVersion), composed: 390, rules: 2,
		varies: func(o *unstructured.Unstructured) bool {
			return o.GetKind() == "ConfigMap" || o.GetKind() == "DaemonSet" || o.GetKind() == "Deployment"
		},
	}.run(t, server)
}

// check looks for what was asked for, key by key of what the agents read.
func (c ciliumCell) check(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	config := map[string]string{}
	for _, o := range objects {
		if o.GetKind() == "ConfigMap" && o.GetName() == "cilium-config" {
			config, _, _ = unstructured.NestedStringMap(o.Object, "data")
		}
	}
	only := func(on bool, value string) string {
		if on {
			return value
		}
		return ""
	}
	replaced, native, multi := c.mode == KubeProxyReplaced, c.native(), c.ipam == CiliumMultiPool
	primary := strings.ToLower(string(c.families[0]))
	want := map[string]string{
		"ipam":                    map[CiliumIPAM]string{nodeRanges: "kubernetes", CiliumClusterPool: "cluster-pool", CiliumMultiPool: "multi-pool"}[c.ipam],
		"routing-mode":            map[bool]string{true: "native", false: "tunnel"}[native],
		"auto-direct-node-routes": strconv.FormatBool(native),
		"underlay-protocol":       only(!native, primary),
		"kube-proxy-replacement":  strconv.FormatBool(replaced),
		"enable-wireguard":        only(c.encryption == EncryptionWireGuard, "true"),
		"enable-ipsec":            only(c.encryption == EncryptionIPsec, "true"),
		"enable-bpf-masquerade":   only(multi, "true"),
		"enable-ip-masq-agent":    only(multi && native, "true"),
		"mtu":                     "1500",
	}
	if !native {
		want["tunnel-protocol"] = strings.ToLower(string(c.encapsulation))
	}
	for _, f := range []IPFamily{IPv4, IPv6} {
		key, on := strings.ToLower(string(f)), c.has(f)
		want["enable-"+key] = strconv.FormatBool(on)
		want["cluster-pool-"+key+"-cidr"] = only(on && c.ipam == CiliumClusterPool, cidrs[f])
		want["k8s-require-"+key+"-pod-cidr"] = strconv.FormatBool(on && c.ipam == nodeRanges)
		range1 := cidrs[f]
		if c.ipam == nodeRanges {
			range1 = map[IPFamily]string{IPv4: "10.244.0.0/24", IPv6: "fd00:10:244::/64"}[f]
		}
		want[key+"-native-routing-cidr"] = only(on && native && !multi, range1)
		if on {
			want["enable-"+key+"-masquerade"] = "true"
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if config[key] != want[key] {
			t.Errorf("%s: cilium-config has %s=%q, want %q", c, key, config[key], want[key])
		}
	}
}
