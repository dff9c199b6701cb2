package release

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestTransientJob wants a Job that the cluster has removed after it was done to be left so, and one that was deleted to
// be made again.
func TestTransientJob(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	job := func(name, ttl string) string {
		return `apiVersion: batch/v1
kind: Job
metadata: {name: ` + name + `}
spec:
  ` + ttl + `
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "example.com/once:1"}]`
	}
	c := memoryChart("jobs", "1.0.0", map[string]string{
		"once.yaml": job("once", "ttlSecondsAfterFinished: 0"), "kept.yaml": job("kept", "backoffLimit: 0")})
	out := e.apply(eng, e.spec("jobs", c, nil))
	for _, a := range out.Objects {
		if a.Transient != (a.Object.Name == "once") {
			t.Errorf("%s: transient %v", a.Object, a.Transient)
		}
	}
	jobs := e.kube.BatchV1().Jobs(e.ns)
	gone := func(name string) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			_, err := jobs.Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err), nil
		}
	}
	e.eventually("the Job to remove itself", gone("once"))
	background := metav1.DeletePropagationBackground
	if err := jobs.Delete(t.Context(), "kept", metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	e.eventually("the other Job to be gone", gone("kept"))

	m, err := eng.Load(t.Context(), "jobs", e.ns)
	if err != nil {
		t.Fatal(err)
	}
	findings, applied, err := eng.Verify(t.Context(), Check{Component: "jobs", Manifest: m})
	if err != nil || len(findings) != 1 || findings[0].Object.Name != "kept" || !findings[0].Missing {
		t.Errorf("findings %+v, %v", findings, err)
	}
	for _, a := range applied {
		if made := a.ResourceVersion != ""; made != (a.Object.Name == "kept") {
			t.Errorf("%s: made again: %v", a.Object, made)
		}
	}
	if ok, err := gone("once")(t.Context()); !ok || err != nil {
		t.Errorf("the Job that was done is there again (%v)", err)
	}
}

func TestTransient(t *testing.T) {
	object := func(apiVersion, kind string, spec map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "spec": spec}}
	}
	for _, tc := range []struct {
		name string
		obj  *unstructured.Unstructured
		want bool
	}{
		{"a Job that goes", object("batch/v1", "Job", map[string]any{"ttlSecondsAfterFinished": int64(60)}), true},
		{"at once", object("batch/v1", "Job", map[string]any{"ttlSecondsAfterFinished": int64(0)}), true},
		{"a Job that stays", object("batch/v1", "Job", map[string]any{}), false},
		{"a Job of which nothing is said", object("batch/v1", "Job", map[string]any{"ttlSecondsAfterFinished": nil}), false},
		{"something else", object("example.com/v1", "Job", map[string]any{"ttlSecondsAfterFinished": int64(60)}), false},
		{"without a spec", &unstructured.Unstructured{Object: map[string]any{"apiVersion": "batch/v1", "kind": "Job"}}, false},
	} {
		if got := Transient(tc.obj); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
