package release

import (
	"context"
	"fmt"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

// keptMap is a ConfigMap with or without the wish to be kept.
func keptMap(keep bool) string {
	if keep {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}\n"
	}
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept}\n"
}

// What counts is the last wish: of the last revision that had the object, or of the live object.
func TestPruneKept(t *testing.T) {
	for _, tc := range []struct {
		revisions []bool
		patch     string
		stays     bool
	}{
		{[]bool{true}, "", true}, {[]bool{false}, "", false},
		{[]bool{false, true}, "", true}, {[]bool{true, false}, "", false},
		{[]bool{false}, `{"metadata":{"annotations":{"helm.sh/resource-policy":"Keep"}}}`, true},
	} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			e := newEnv(t)
			eng := e.engine()
			files := func(keep ...bool) map[string]string {
				f := map[string]string{"real.yaml": realMap}
				for _, k := range keep {
					f["kept.yaml"] = keptMap(k)
				}
				return f
			}
			for _, keep := range tc.revisions {
				e.apply(eng, e.spec("c", memoryChart("c", "1.0.0", files(keep)), nil))
			}
			if tc.patch != "" {
				if _, err := e.kube.CoreV1().ConfigMaps(e.ns).Patch(t.Context(), "kept", types.MergePatchType, []byte(tc.patch), metav1.PatchOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			out := e.apply(eng, e.spec("c", memoryChart("c", "1.0.0", files()), nil))
			if len(out.Objects) != 1 || len(out.Manifest.Objects()) != 1 {
				t.Errorf("still looked after: %v %v", out.Objects, out.Manifest.Objects())
			}
			if got := slices.Contains(e.configMaps(), "kept"); got != tc.stays {
				t.Fatalf("it is there: %v", got)
			}
			if !tc.stays {
				return
			}
			// It keeps its marks, so that the release may have it back.
			live, err := e.kube.CoreV1().ConfigMaps(e.ns).Get(t.Context(), "kept", metav1.GetOptions{})
			if err != nil || live.Labels[v1alpha1.ComponentLabel] != "c" || live.Annotations[releaseNameAnnotation] != "c" {
				t.Errorf("%+v %v", live.ObjectMeta, err)
			}
			if out := e.apply(eng, e.spec("c", memoryChart("c", "1.0.0", files(false)), nil)); len(out.Objects) != 2 {
				t.Errorf("not taken back: %v", out.Objects)
			}
		})
	}
}

// Custom resources go first, and their controllers only when these have cleaned up.
func TestPruneCustomResourcesFirst(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	d, err := dynamic.NewForConfig(e.cfg)
	if err != nil {
		t.Fatal(err)
	}
	e.apply(eng, e.spec("crds", carrier("crds", "crds/1.0.0", "crds", crd("finals", "Final", "v1")), nil))
	spec := e.spec("c", memoryChart("c", "1.0.0", map[string]string{
		"real.yaml": realMap,
		"cr.yaml":   "{{ if not .Values.gone }}apiVersion: test.networkstack.io/v1\nkind: Final\nmetadata: {name: one, finalizers: [test.networkstack.io/clean]}{{ end }}\n",
		"w.yaml":    "{{ if not .Values.gone }}" + workload("Deployment", "") + "{{ end }}",
	}), values(`{app: x}`, `{app: x}`))
	e.apply(eng, spec)
	one := d.Resource(schema.GroupVersionResource{Group: "test.networkstack.io", Version: "v1", Resource: "finals"}).Namespace(e.ns)
	done := make(chan error)
	go func() {
		s := spec
		s.Values = map[string]any{"gone": true}
		_, err := eng.Apply(t.Context(), s)
		done <- err
	}()
	e.eventually("the custom resource is deleted", func(ctx context.Context) (bool, error) {
		u, err := one.Get(ctx, "one", metav1.GetOptions{})
		return err == nil && u.GetDeletionTimestamp() != nil, err
	})
	if _, err := e.kube.AppsV1().Deployments(e.ns).Get(t.Context(), "w", metav1.GetOptions{}); err != nil {
		t.Errorf("its controller went first: %v", err)
	}
	if _, err := one.Patch(t.Context(), "one", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := e.kube.AppsV1().Deployments(e.ns).Get(t.Context(), "w", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}
