package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
)

type object = map[string]any

func TestMergeValues(t *testing.T) {
	for _, tc := range []struct {
		name           string
		dst, src, want object
	}{
		{"nothing", nil, nil, object{}},
		{"maps merge", object{"a": object{"b": 1, "c": 2}}, object{"a": object{"c": 3, "d": 4}}, object{"a": object{"b": 1, "c": 3, "d": 4}}},
		{"lists replace", object{"a": []any{1, 2}}, object{"a": []any{3}}, object{"a": []any{3}}},
		{"a map replaces a scalar", object{"a": 1}, object{"a": object{"b": 2}}, object{"a": object{"b": 2}}},
		{"a scalar replaces a map", object{"a": object{"b": 2}}, object{"a": 1}, object{"a": 1}},
		{"null stays for Helm to delete the chart's default", object{"a": object{"b": 1, "c": 2}}, object{"a": object{"b": nil}}, object{"a": object{"b": nil, "c": 2}}},
		{"a value over null", object{"a": nil}, object{"a": object{"b": 1}}, object{"a": object{"b": 1}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, MergeValues(tc.dst, tc.src)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMergeValuesSharesNothing changes everything in a result and looks whether an argument changed.
func TestMergeValuesSharesNothing(t *testing.T) {
	fresh := func() (object, object) {
		return object{"m": object{"x": []any{object{"y": 1}}}, "only": object{"a": 1}}, object{"m": object{"z": []any{object{"y": 2}}}}
	}
	dst, src := fresh()
	out := MergeValues(dst, src)
	out["m"].(object)["x"].([]any)[0].(object)["y"] = 9
	out["m"].(object)["z"].([]any)[0].(object)["y"] = 9
	out["m"].(object)["new"] = 9
	out["only"].(object)["a"] = 9
	wantDst, wantSrc := fresh()
	if diff := cmp.Diff(wantDst, dst) + cmp.Diff(wantSrc, src); diff != "" {
		t.Error(diff)
	}
}

func TestCheckValues(t *testing.T) {
	controlled := []ControlledValue{
		{Path: "ipam.mode", By: "spec.ipPools"}, {Path: "ipam.operator.size", By: "spec.ipPools"},
		{Path: "ipv4", By: "spec.ipFamilies"}, {Path: "MTU", By: "spec.mtu"},
	}
	for _, tc := range []struct {
		name   string
		values object
		want   []string
	}{
		{"none", object{"other": 1, "ipam": object{"operator": object{"other": 1}}}, nil},
		{"exact", object{"MTU": 1500}, []string{"values.MTU is controlled by spec.mtu; remove it"}},
		{"null", object{"MTU": nil}, []string{"values.MTU is controlled by spec.mtu; remove it"}},
		{"below", object{"ipv4": object{"enabled": true}}, []string{"values.ipv4 is controlled by spec.ipFamilies; remove it"}},
		{"a scalar above, once", object{"ipam": nil}, []string{"values.ipam is controlled by spec.ipPools; remove it"}},
		{"several, ordered", object{"ipam": object{"mode": "x", "operator": object{"size": 1}}, "MTU": 1}, []string{
			"values.MTU is controlled by spec.mtu; remove it",
			"values.ipam.mode is controlled by spec.ipPools; remove it",
			"values.ipam.operator.size is controlled by spec.ipPools; remove it",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, CheckValues(tc.values, controlled, "values")); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := CheckValues(object{"MTU": 1}, controlled, "valuesFrom[0]"); len(got) != 1 || got[0] != "valuesFrom[0].MTU is controlled by spec.mtu; remove it" {
		t.Errorf("got %q", got)
	}
}

// TestUserValues: the user's values win over derived defaults, whole numbers stay whole, and status shows
// what was overridden but nothing else of the user's.
func TestUserValues(t *testing.T) {
	r := accepted(t, cilium(values(object{
		"operator": object{"replicas": 5, "secret": "hunter2"}, "rollOutCiliumPods": nil, "big": 12345678901,
	})))
	rel, got := releaseNamed(t, r, "cilium")
	if diff := cmp.Diff(object{"replicas": int64(5), "rollOutPods": true, "secret": "hunter2"}, got["operator"]); diff != "" {
		t.Error(diff)
	}
	if v, ok := got["rollOutCiliumPods"]; !ok || v != nil {
		t.Errorf("rollOutCiliumPods = %v, %v; want a null that Helm sees", v, ok)
	}
	if got["big"] != int64(12345678901) {
		t.Errorf("big = %v (%s)", got["big"], rel.Spec.Values.Raw)
	}
	if diff := cmp.Diff(EffectiveSetting{
		Setting: "cilium: operator.replicas", Value: "5",
		Reason: `set by cni.values.operator.replicas in place of the derived "2"`,
	}, setting(t, r, "cilium: operator.replicas")); diff != "" {
		t.Error(diff)
	}
	if e := setting(t, r, "cilium: rollOutCiliumPods"); e.Value != "null" {
		t.Errorf("got %+v", e)
	}
	for _, e := range r.Effective {
		if e.Value == "hunter2" {
			t.Errorf("a value of the user's is in status: %+v", e)
		}
	}
}
