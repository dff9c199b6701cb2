package release

import (
	"errors"
	"maps"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

func parsed(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestImmutableFields(t *testing.T) {
	invalid := func(list ...*field.Error) error { return apierrors.NewInvalid(schema.GroupKind{}, "x", list) }
	spec := field.NewPath("spec")
	for name, tc := range map[string]struct {
		err  error
		want []string
	}{
		"nothing":         {nil, nil},
		"another error":   {errors.New("field is immutable"), nil},
		"a conflict":      {apierrors.NewConflict(schema.GroupResource{}, "x", errors.New("field is immutable")), nil},
		"only invalid":    {invalid(field.Invalid(spec.Child("a"), 1, "must be even")), nil},
		"a selector":      {invalid(field.Invalid(spec.Child("selector"), 1, "field is immutable")), []string{"spec.selector"}},
		"roleRef":         {invalid(field.Invalid(field.NewPath("roleRef"), 1, "cannot change roleRef")), []string{"roleRef"}},
		"a StatefulSet":   {invalid(field.Forbidden(spec, "updates to statefulset spec for fields other than 'replicas' are forbidden")), []string{"spec"}},
		"a Service":       {invalid(field.Invalid(spec.Child("clusterIPs").Index(0), 1, "may not change once set")), []string{"spec.clusterIPs[0]"}},
		"a PriorityClass": {invalid(field.Forbidden(field.NewPath("value"), "may not be changed in an update.")), []string{"value"}},
		"some of both": {invalid(field.Invalid(spec.Child("a"), 1, "must be even"), field.Invalid(spec.Child("b"), 1, "field is immutable"),
			field.Invalid(spec.Child("b"), 2, "field is immutable")), []string{"spec.b"}},
	} {
		if got := immutableFields(tc.err); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestPlanReplacement(t *testing.T) {
	set := func(spec string) string {
		return "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: x}\nspec: " + spec
	}
	kept := "metadata: {name: x, annotations: {helm.sh/resource-policy: keep}}"
	for name, tc := range map[string]struct {
		live, wanted string
		class        ReplacementClass
		fields       []string
		allowed      bool
	}{
		"DaemonSet":    {"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {}", "metadata: {}", ReplaceAdoptable, []string{"asked"}, true},
		"ConfigMap":    {"apiVersion: v1\nkind: ConfigMap\nmetadata: {}", "metadata: {}", ReplaceRecreate, []string{"asked"}, true},
		"Job":          {"apiVersion: batch/v1\nkind: Job\nmetadata: {}", "metadata: {}", ReplaceRerun, []string{"asked"}, true},
		"Service":      {"apiVersion: v1\nkind: Service\nmetadata: {}", "metadata: {}", ReplaceDisruptive, []string{"asked"}, false},
		"Namespace":    {"apiVersion: v1\nkind: Namespace\nmetadata: {}", "metadata: {}", ReplaceRefused, []string{"asked"}, false},
		"a claim":      {"apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {}", "metadata: {}", ReplaceRefused, []string{"asked"}, false},
		"a custom one": {"apiVersion: a.b/v1\nkind: ConfigMap\nmetadata: {}", "metadata: {}", ReplaceRefused, []string{"asked"}, false},
		"kept":         {"apiVersion: v1\nkind: ConfigMap\n" + kept, "metadata: {}", ReplaceRefused, []string{"asked"}, false},
		"to be kept":   {"apiVersion: v1\nkind: ConfigMap\nmetadata: {}", kept, ReplaceRefused, []string{"asked"}, false},
		"StatefulSet, defaults": {set("{serviceName: a, podManagementPolicy: OrderedReady, volumeClaimTemplates: [{metadata: {name: d}, spec: {volumeMode: Filesystem, size: 1Gi}}]}"),
			set("{serviceName: b, volumeClaimTemplates: [{metadata: {name: d}, spec: {size: 1Gi}}]}"), ReplaceAdoptable, []string{"spec.serviceName"}, true},
		"StatefulSet, larger claims": {set("{volumeClaimTemplates: [{metadata: {name: d}, spec: {size: 1Gi}}]}"),
			set("{volumeClaimTemplates: [{metadata: {name: d}, spec: {size: 2Gi}}]}"), ReplaceAdoptable, []string{"spec.volumeClaimTemplates"}, true},
		"StatefulSet, other claims": {set("{volumeClaimTemplates: [{metadata: {name: d}}]}"),
			set("{volumeClaimTemplates: [{metadata: {name: e}}]}"), ReplaceDisruptive, []string{"spec.volumeClaimTemplates"}, false},
		"StatefulSet, no claims": {set("{volumeClaimTemplates: [{metadata: {name: d}}]}"), set("{}"), ReplaceDisruptive, []string{"spec.volumeClaimTemplates"}, false},
	} {
		live := parsed(t, tc.live)
		r := planReplacement(objectOf(live), live, parsed(t, tc.wanted), []string{"asked"})
		if r.Class != tc.class || !slices.Equal(r.Fields, tc.fields) || ReplacementPolicy("").allows(r.Class) != tc.allowed ||
			ReplacementDisruptive.allows(r.Class) != (tc.class != ReplaceRefused) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestRelabel(t *testing.T) {
	wanted := parsed(t, `spec:
  selector: {matchLabels: {app: x}, matchExpressions: [{key: tier, operator: In, values: [web, db]}, {key: old, operator: DoesNotExist}]}
  template: {metadata: {labels: {app: x, tier: db, other: why}}}`)
	adopt := adoptionLabels(wanted)
	if want := map[string]any{"app": "x", "tier": "db", "old": nil}; !maps.Equal(adopt, want) {
		t.Fatalf("%v, want %v", adopt, want)
	}
	for name, tc := range map[string]struct {
		labels, fixed map[string]string
		want          map[string]any
	}{
		"none":        {nil, nil, map[string]any{"app": "x", "tier": "db"}},
		"all":         {map[string]string{"app": "x", "tier": "db"}, nil, map[string]any{}},
		"another":     {map[string]string{"app": "z", "tier": "db", "old": ""}, nil, map[string]any{"app": "x", "old": nil}},
		"one may not": {map[string]string{"app": "z"}, map[string]string{"app": "z"}, map[string]any{"tier": "db"}},
	} {
		if got := relabel(tc.labels, adopt, tc.fixed); !maps.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
