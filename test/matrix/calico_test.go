package matrix_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/test/testcharts"
)

const calicoVersion = "v3.32.1"

// cell is one combination.
type cell struct {
	settings
	bgp Toggle
}

func (c cell) String() string {
	return fmt.Sprintf("%s bgp=%s", c.settings, c.bgp)
}

func calicoCells() []cell {
	var out []cell
	for _, s := range every(encapsulations, EncryptionNone, EncryptionWireGuard, EncryptionIPsec) {
		for _, bgp := range []Toggle{"", Enabled, Disabled} {
			out = append(out, cell{s, bgp})
		}
	}
	return out
}

func (c cell) ipip() bool { return strings.HasPrefix(string(c.encapsulation), "IPIP") }

// refused are the fields that have to be refused, found out without the composition.
func (c cell) refused() []string {
	fields := map[string]bool{}
	if c.encapsulation == EncapsulationGeneve || c.ipip() && c.has(IPv6) ||
		c.bgp == Disabled && (c.ipip() || c.encapsulation == EncapsulationNone) {
		fields["spec.cni.encapsulation"] = true
	}
	if c.encryption == EncryptionIPsec {
		fields["spec.cni.encryption.type"] = true
	}
	return slices.Sorted(maps.Keys(fields))
}

// mtu of pods on nodes of 1500, by Calico's guide.
func (c cell) mtu() int64 {
	least := int64(1500)
	less := func(v4, v6 int64) {
		if c.has(IPv4) {
			least = min(least, 1500-v4)
		}
		if c.has(IPv6) {
			least = min(least, 1500-v6)
		}
	}
	if strings.HasPrefix(string(c.encapsulation), "VXLAN") || c.mode == KubeProxyReplaced {
		less(50, 70)
	}
	if c.ipip() {
		less(20, 0)
	}
	if c.encryption == EncryptionWireGuard {
		less(60, 80)
	}
	return least
}

// input is the combination on a cluster of these families.
func (c cell) input() compose.Input {
	in := c.settings.input()
	in.Stack.Spec.CNI.Type = CNICalico
	if c.bgp != "" {
		in.Stack.Spec.CNI.Calico = &CalicoSpec{BGP: c.bgp}
	}
	return in
}

// TestCalico goes through all combinations: what cannot be is refused, at the field that says so, and the rest is composed,
// rendered with upstream's chart, and taken by the API server with strict validation, with what was asked for in it.
func TestCalico(t *testing.T) {
	definitions := testcharts.Upstream(t, "crd.projectcalico.org.v1", calicoVersion)
	upstream := testcharts.Upstream(t, "tigera-operator", calicoVersion)
	server := newStacks(t)
	for _, o := range render(t, definitions, compose.Release{Name: "calico-crds"}) {
		server.apply(o, false)
	}
	server.apply(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "tigera-operator"}}}, false)
	server.waitFor("operator.tigera.io/v1", "Installation")
	server.waitFor("crd.projectcalico.org/v1", "FelixConfiguration")

	matrix[cell]{
		cells: calicoCells(), release: "calico", upstream: upstream, composed: 300, rules: 4,
		// The rest is the same for all but for the API server's address.
		varies: func(o *unstructured.Unstructured) bool {
			group := o.GroupVersionKind().Group
			return group == "operator.tigera.io" || group == "crd.projectcalico.org" || o.GetKind() == "ConfigMap"
		},
	}.run(t, server)
}

// check looks for what was asked for.
func (c cell) check(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	find := func(kind string) map[string]any {
		i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind })
		if i < 0 {
			return nil
		}
		return objects[i].Object
	}
	network, _, _ := unstructured.NestedMap(find("Installation"), "spec", "calicoNetwork")
	dataplane := map[KubeProxyMode]string{KubeProxyNFTables: "Nftables", KubeProxyReplaced: "BPF"}[c.mode]
	if dataplane == "" {
		dataplane = "Iptables"
	}
	bgp := c.bgp
	if bgp == "" {
		bgp = Disabled
		if c.ipip() || c.encapsulation == EncapsulationNone {
			bgp = Enabled
		}
	}
	if network["linuxDataplane"] != dataplane || network["bgp"] != string(bgp) || network["mtu"] != c.mtu() {
		t.Errorf("%s: data plane %v, BGP %v, MTU %v; want %s, %s, %d", c, network["linuxDataplane"], network["bgp"], network["mtu"], dataplane, bgp, c.mtu())
	}
	pools, _ := network["ipPools"].([]any)
	if len(pools) != len(c.families) {
		t.Errorf("%s: pools %v", c, pools)
		return
	}
	for i, f := range c.families {
		if p, _ := pools[i].(map[string]any); p["cidr"] != cidrs[f] || p["encapsulation"] != string(c.encapsulation) {
			t.Errorf("%s: pool %v", c, p)
		}
		if network["nodeAddressAutodetectionV"+strings.TrimPrefix(string(f), "IPv")] == nil {
			t.Errorf("%s: nodes have no way to find their %s address", c, f)
		}
	}
	felix, _, _ := unstructured.NestedMap(find("FelixConfiguration"), "spec")
	wireguard := c.encryption == EncryptionWireGuard
	if felix["wireguardEnabled"] != (wireguard && c.has(IPv4)) || felix["wireguardEnabledV6"] != (wireguard && c.has(IPv6)) {
		t.Errorf("%s: Felix %v", c, felix)
	}
	if endpoint := find("ConfigMap") != nil; endpoint != (c.mode == KubeProxyReplaced || c.mode == KubeProxyUnmanaged) {
		t.Errorf("%s: the API server's address is written out: %v", c, endpoint)
	}
}
