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
	s := &session{omit: []ObjectName{{Kind: "ConfigMap", Name: "a"}, {Kind: "CustomResourceDefinition", Name: "a.example.com"}}}
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
	spec.Omit = []ObjectName{{Kind: "ConfigMap", Name: "a"}}
	digests = append(digests, inputs(spec, "1.37"))
	if digests[0] == digests[1] {
		t.Errorf("%v", digests)
	}
}

// TestMarkBrief marks what goes when it is done, so that the manifest tells of it, and nothing else.
func TestMarkBrief(t *testing.T) {
	job := func(name string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"name": name}, "spec": map[string]any{}}}
	}
	s := &session{brief: []ObjectName{{Kind: "Job", Name: "setup"}}}
	for name, want := range map[string]bool{"setup": true, "other": false} {
		o := job(name)
		s.markBrief(o)
		if got := Transient(o); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	// Whatever else has the mark stays what it is.
	config := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "setup"}}}
	(&session{brief: []ObjectName{{Kind: "ConfigMap", Name: "setup"}}}).markBrief(config)
	if Transient(config) {
		t.Error("a ConfigMap is taken for something that is done")
	}
	spec := Spec{Name: "a", Namespace: "b", Component: "c", ChartDigest: "d", Omit: []ObjectName{{Kind: "Job", Name: "setup"}}}
	omitted := inputs(spec, "1.37")
	spec.Omit, spec.Transient = nil, spec.Omit
	if inputs(spec, "1.37") == omitted {
		t.Error("what is transient is no input of its own")
	}
}
