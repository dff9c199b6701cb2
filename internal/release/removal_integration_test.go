package release

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// TestRemovalRace has somebody write between the look at an object and the removal of what was added to it.
func TestRemovalRace(t *testing.T) {
	e := newDriftEnv(t)
	const (
		added  = `{"spec":{"template":{"spec":{"containers":[{"name":"agent","env":[{"name":"EVIL","value":"1"}]}]}}}}`
		first  = `[{"op":"add","path":"/spec/template/spec/containers/0/env/0","value":{"name":"FIRST","value":"1"}}]`
		before = `[{"op":"add","path":"/spec/template/spec/containers/0","value":{"name":"before","image":"i","env":[{"name":"EVIL","value":"1"}]}}]`
		label  = `[{"op":"add","path":"/metadata/labels/team","value":"network"}]`
		ports  = `[{"op":"add","path":"/spec/template/spec/containers/0/ports/0/name","value":"http"}]`
	)
	env := fieldpath.MakePathOrDie("spec", "template", "spec", "containers", fieldpath.KeyByFields("name", "agent"),
		"env", fieldpath.KeyByFields("name", "EVIL"))
	for _, tc := range []struct {
		name, between string
		path          fieldpath.Path
		moved         bool
	}{
		{"nobody writes", "", env, false},
		{"a label is set", label, env, false},
		{"the element moves", first, env, true},
		{"the element's container moves", before, env, true},
		{"a field elsewhere changes", ports, env, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			daemonSets := e.objects("DaemonSet")
			e.patch("DaemonSet", "agent", "mallory", added)
			live, err := daemonSets.Get(t.Context(), "agent", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			patch, err := removal(live, []addition{{path: tc.path}})
			if err != nil {
				t.Fatal(err)
			}
			if tc.between != "" {
				_, err := daemonSets.Patch(t.Context(), "agent", types.JSONPatchType, []byte(tc.between), metav1.PatchOptions{FieldManager: "trudy"})
				if err != nil {
					t.Fatal(err)
				}
			}
			after, err := daemonSets.Patch(t.Context(), "agent", types.JSONPatchType, patch, metav1.PatchOptions{})
			if movedOn(err) != tc.moved || err != nil && !tc.moved {
				t.Fatalf("moved on: %v, want %v (%v)", movedOn(err), tc.moved, err)
			}
			if _, still := lookup(objectOrNil(after), tc.path); still {
				t.Error("it is still there")
			}
			if tc.moved {
				// A look at it as it is now finds it all the same.
				e.verify(false)
				if live, err = daemonSets.Get(t.Context(), "agent", metav1.GetOptions{}); err != nil {
					t.Fatal(err)
				}
				if _, still := lookup(live.Object, tc.path); still {
					t.Error("it is still there after a verification")
				}
			}
		})
	}
	// What the API server itself refuses is no race.
	live, err := e.objects("Service").Get(t.Context(), "agent", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	patch, err := removal(live, []addition{{path: fieldpath.MakePathOrDie("spec", "ports")}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.objects("Service").Patch(t.Context(), "agent", types.JSONPatchType, patch, metav1.PatchOptions{})
	if err == nil || movedOn(err) {
		t.Errorf("a Service without ports: %v", err)
	}
}

func objectOrNil(u *unstructured.Unstructured) map[string]any {
	if u == nil {
		return nil
	}
	return u.Object
}
