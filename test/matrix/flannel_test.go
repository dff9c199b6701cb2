package matrix_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/test/testcharts"
)

// flannelCell is one combination of Flannel's settings.
type flannelCell struct {
	settings
	policy Toggle
}

func (c flannelCell) String() string {
	return fmt.Sprintf("%s policy=%s", c.settings, c.policy)
}

func flannelCells() []flannelCell {
	var out []flannelCell
	for _, s := range every(append([]Encapsulation{""}, encapsulations...), EncryptionNone, EncryptionWireGuard, EncryptionIPsec) {
		for _, policy := range []Toggle{"", Enabled, Disabled} {
			out = append(out, flannelCell{s, policy})
		}
	}
	return out
}

func (c flannelCell) wireguard() bool { return c.encryption == EncryptionWireGuard }

// refused are the fields that have to be refused, found out without the composition.
func (c flannelCell) refused() []string {
	fields := map[string]bool{}
	if !slices.Contains([]Encapsulation{"", EncapsulationVXLAN, EncapsulationNone}, c.encapsulation) || c.wireguard() && c.encapsulation != "" {
		fields["spec.cni.encapsulation"] = true
	}
	if c.encryption == EncryptionIPsec {
		fields["spec.cni.encryption.type"] = true
	}
	if c.mode == KubeProxyReplaced {
		fields["spec.kubeProxy.mode"] = true
	}
	return slices.Sorted(maps.Keys(fields))
}

// input is the combination on a cluster whose nodes have ranges of their own.
func (c flannelCell) input() compose.Input {
	in := c.settings.input()
	in.Stack.Spec.CNI.Type, in.Stack.Spec.CNI.NetworkPolicy = CNIFlannel, c.policy
	ranges := map[IPFamily]string{IPv4: "10.244.3.0/24", IPv6: "fd00:10:244:3::/64"}
	for _, f := range c.families {
		in.Facts.Nodes[0].PodCIDRs = append(in.Facts.Nodes[0].PodCIDRs, netip.MustParsePrefix(ranges[f]))
	}
	return in
}

// TestFlannel goes through all combinations, as TestCalico does, with the operator's own chart.
func TestFlannel(t *testing.T) {
	server := newStacks(t)
	server.apply(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "kube-flannel"}}}, false)
	matrix[flannelCell]{
		cells: flannelCells(), release: "flannel", upstream: testcharts.Embedded(t, "flannel"), composed: 190, rules: 5,
		varies: func(o *unstructured.Unstructured) bool {
			return o.GetKind() == "ConfigMap" || o.GetKind() == "DaemonSet" || o.GetKind() == "ClusterRole"
		},
	}.run(t, server)
}

// netConf is what flanneld has to be told on nodes of 1500: by the backend, and by what the backend takes off the MTU itself.
func (c flannelCell) netConf() map[string]any {
	backend := map[string]any{"Type": "vxlan", "MTU": 1500.0}
	switch {
	case c.wireguard():
		backend["Type"] = "wireguard"
	case c.encapsulation == EncapsulationNone:
		backend = map[string]any{"Type": "host-gw"}
	case c.has(IPv6):
		backend["MTU"] = 1480.0 // it takes off 50, and VXLAN over IPv6 needs 70
	}
	want := map[string]any{"Backend": backend}
	if c.has(IPv4) {
		want["Network"] = cidrs[IPv4]
	} else {
		want["EnableIPv4"] = false
	}
	if c.has(IPv6) {
		want["EnableIPv6"], want["IPv6Network"] = true, cidrs[IPv6]
	}
	return want
}

// check looks for what was asked for.
func (c flannelCell) check(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	enforced := map[string]bool{}
	for _, o := range objects {
		switch o.GetKind() {
		case "ConfigMap":
			text, _, _ := unstructured.NestedString(o.Object, "data", "net-conf.json")
			var got map[string]any
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Errorf("%s: %v", c, err)
			}
			if diff := cmp.Diff(c.netConf(), got); diff != "" {
				t.Errorf("%s: net-conf.json: %s", c, diff)
			}
		case "DaemonSet":
			containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			enforced["container"] = len(containers) == 2
			args, _, _ := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
			if !slices.Contains(args, "--kube-subnet-mgr") || !slices.Contains(args, "--ip-masq") {
				t.Errorf("%s: arguments %v", c, args)
			}
			env, _, _ := unstructured.NestedSlice(containers[0].(map[string]any), "env")
			direct := slices.ContainsFunc(env, func(e any) bool { return e.(map[string]any)["name"] == "KUBERNETES_SERVICE_HOST" })
			if direct != (c.mode == KubeProxyUnmanaged) {
				t.Errorf("%s: the API server's address is written out: %v", c, direct)
			}
		case "ClusterRole":
			rules, _, _ := unstructured.NestedSlice(o.Object, "rules")
			enforced["role"] = slices.ContainsFunc(rules, func(r any) bool {
				resources, _, _ := unstructured.NestedStringSlice(r.(map[string]any), "resources")
				return slices.Contains(resources, "networkpolicies")
			})
		}
	}
	wanted := c.policy == Enabled
	if diff := cmp.Diff(map[string]bool{"container": wanted, "role": wanted}, enforced); diff != "" {
		t.Errorf("%s: enforcement: %s", c, diff)
	}
}
