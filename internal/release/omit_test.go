package release

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestOmitted leaves out what is named by kind and name, and never a definition.
func TestOmitted(t *testing.T) {
	named := func(apiVersion, kind, name string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name}}}
	}
	s := &session{omit: []Omission{{Kind: "ConfigMap", Name: "a"}, {Kind: "CustomResourceDefinition", Name: "a.example.com"}}}
	for _, tc := range []struct {
		object *unstructured.Unstructured
		want   bool
	}{
		{named("v1", "ConfigMap", "a"), true},
		{named("v1", "ConfigMap", "b"), false},
		{named("v1", "Secret", "a"), false},
		{named("apiextensions.k8s.io/v1", "CustomResourceDefinition", "a.example.com"), false},
	} {
		if got := s.omitted(tc.object); got != tc.want {
			t.Errorf("%s %s: %v", tc.object.GetKind(), tc.object.GetName(), got)
		}
	}
	// What is left out is an input, and without any the digest is what it always was.
	spec := Spec{Name: "a", Namespace: "b", Component: "c", ChartDigest: "d"}
	digests := []string{inputs(spec, "1.37")}
	spec.Omit = []Omission{{Kind: "ConfigMap", Name: "a"}}
	digests = append(digests, inputs(spec, "1.37"))
	if digests[0] == digests[1] {
		t.Errorf("%v", digests)
	}
}
