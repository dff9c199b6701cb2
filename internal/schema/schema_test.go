package schema

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

func read(t *testing.T, spec string) map[string]any {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte("{apiVersion: networkstack.io/v1alpha1, kind: NetworkStack, metadata: {name: cluster}, spec: " + spec + "}"))
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := utiljson.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestJudge is about how problems read; that they are those of the API server is shown by TestAPIServerToo of package compose.
func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		name, spec, old string
		want            []Problem
	}{
		{"fine", "{cni: {type: Flannel}}", "", nil},
		{"null is nothing", "{cni: {type: Flannel, values: null}}", "", nil},
		{"names that are near", "{cni: {tpye: Flannel, type: Flannel}, MTU: 1}", "", []Problem{
			{Kind: UnknownField, Field: "spec.MTU", Message: "there is no such field: is mtu meant?"},
			{Kind: UnknownField, Field: "spec.cni.tpye", Message: "there is no such field: is type meant?"},
		}},
		{"a field of another block", "{cni: {type: Flannel}, calico: {}}", "", []Problem{
			{Kind: UnknownField, Field: "spec.calico", Message: "there is no such field here: there is spec.cni.calico"},
		}},
		{"values are anybody's", "{cni: {type: Flannel, values: {anything: [1]}}}", "", nil},
		{"types", `{cni: {type: Flannel, version: 1.2}, mtu: "1", ipPools: {}}`, "", []Problem{
			{Kind: Form, Field: "spec.cni.version", Message: "is a number, and has to be a string: put it into quotes", Unreadable: true},
			{Kind: Form, Field: "spec.ipPools", Message: "is an object, and has to be an array: write it as a list, [...]", Unreadable: true},
			{Kind: Form, Field: "spec.mtu", Message: "is a string, and has to be an integer: write it without quotes", Unreadable: true},
		}},
		{"missing", "{}", "", []Problem{{Kind: Form, Field: "spec.cni", Message: "Required value"}}},
		{"a rule", "{cni: {type: Flannel, cilium: {ipam: ClusterPool}}}", "", []Problem{
			{Kind: Rule, Field: "spec.cni.cilium", Message: "Invalid value: cilium is read only with type Cilium: remove it, or set type to Cilium"},
		}},
		{"what may not change", "{cni: {type: Cilium}}", "{cni: {type: Flannel}}", []Problem{
			{Kind: Rule, Field: "spec.cni.type", Message: `Invalid value: "Cilium": the CNI of a live cluster cannot be changed in place: every pod would lose its network. Restore the old type`},
		}},
		{"and does not", "{cni: {type: Flannel}, mtu: 1400}", "{cni: {type: Flannel}}", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var old map[string]any
			if tc.old != "" {
				old = read(t, tc.old)
			}
			got, err := Judge(t.Context(), read(t, tc.spec), old)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestClosest(t *testing.T) {
	names := []string{"mtu", "ipPools", "kubeProxy", "deletionPolicy"}
	for name, want := range map[string]string{
		"mut": "mtu", "ippools": "ipPools", "kubeproxies": "kubeProxy", "deletePolicy": "deletionPolicy", "x": "", "encryption": "",
	} {
		if got := closest(name, names); got != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
}
