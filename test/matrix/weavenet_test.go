package matrix_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/test/testcharts"
)

// weaveCell is one combination of Weave Net's settings.
type weaveCell struct {
	settings
	policy Toggle
}

func (c weaveCell) String() string {
	return fmt.Sprintf("%s policy=%s", c.settings, c.policy)
}

func weaveCells() []weaveCell {
	var out []weaveCell
	for _, s := range every([]Encapsulation{"", EncapsulationVXLAN, EncapsulationGeneve, EncapsulationIPIP, EncapsulationNone},
		EncryptionNone, EncryptionWireGuard, EncryptionIPsec, EncryptionPassword) {
		for _, policy := range []Toggle{"", Disabled} {
			out = append(out, weaveCell{s, policy})
		}
	}
	return out
}

// refused are the fields that have to be refused, found out without the composition.
func (c weaveCell) refused() []string {
	fields := map[string]bool{}
	if len(c.families) > 1 || c.families[0] == IPv6 {
		fields["spec.ipFamilies"] = true
	}
	if c.encapsulation != "" && c.encapsulation != EncapsulationVXLAN {
		fields["spec.cni.encapsulation"] = true
	}
	if c.encryption == EncryptionWireGuard || c.encryption == EncryptionIPsec {
		fields["spec.cni.encryption.type"] = true
	}
	if c.mode == KubeProxyReplaced || c.mode == KubeProxyNFTables {
		fields["spec.kubeProxy.mode"] = true
	}
	return slices.Sorted(maps.Keys(fields))
}

func (c weaveCell) input() compose.Input {
	in := c.settings.input()
	s := &in.Stack.Spec
	s.CNI.Type, s.CNI.Calico = CNIWeaveNet, nil
	s.CNI.WeaveNet = &WeaveNetSpec{AcknowledgeLegacy: true}
	s.CNI.NetworkPolicy = c.policy
	return in
}

// TestWeaveNet goes through all combinations, as TestCalico does, with the operator's own chart.
func TestWeaveNet(t *testing.T) {
	matrix[weaveCell]{
		cells: weaveCells(), release: "weave-net", upstream: testcharts.Embedded(t, "weave-net"), composed: 24, rules: 5,
		varies: func(o *unstructured.Unstructured) bool {
			return o.GetKind() == "DaemonSet" || o.GetKind() == "ClusterRole"
		},
	}.run(t, newStacks(t))
}

// check looks for what was asked for in the agent's environment.
func (c weaveCell) check(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	want := map[string]string{"IPALLOC_RANGE": cidrs[IPv4], "WEAVE_MTU": "1416", "EXPECT_NPC": "1", "WEAVE_PASSWORD": ""}
	controllers := 1
	if c.policy == Disabled {
		want["EXPECT_NPC"], controllers = "0", 0
	}
	if c.encryption == EncryptionPassword {
		want["WEAVE_PASSWORD"] = "weave-net-password"
	}
	i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "DaemonSet" })
	containers, _, _ := unstructured.NestedSlice(objects[i].Object, "spec", "template", "spec", "containers")
	env, _, _ := unstructured.NestedSlice(containers[0].(map[string]any), "env")
	got := map[string]string{}
	for _, e := range env {
		variable := e.(map[string]any)
		name, _ := variable["name"].(string)
		got[name], _ = variable["value"].(string)
		if secret, found, _ := unstructured.NestedString(variable, "valueFrom", "secretKeyRef", "name"); found {
			got[name] = secret
		}
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %s is %q, want %q", c, name, got[name], value)
		}
	}
	if len(containers) != 1+controllers {
		t.Errorf("%s: %d containers", c, len(containers))
	}
}
