package component

import (
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/health"
	"github.com/networkstack/networkstack/internal/release"
)

var tigeraStatus = schema.GroupVersionKind{Group: "operator.tigera.io", Version: "v1", Kind: "TigeraStatus"}

func tigera(kind string, generation int64) release.Applied {
	return release.Applied{Generation: generation, Object: release.Object{
		GVK: schema.GroupVersionKind{Group: "operator.tigera.io", Version: "v1", Kind: kind}, Name: "default",
	}}
}

// TestWhoseReportsMatter checks which reports a component waits for: those about what its release has.
func TestWhoseReportsMatter(t *testing.T) {
	r := &Reconciler{Catalog: &catalog.Source{}}
	rec := &record{objects: []release.Applied{tigera("Installation", 3), tigera("APIServer", 1)}}
	names := func(typ string) map[string]int64 {
		out := map[string]int64{}
		for _, report := range r.reports(rec, installed("cni", 20, func(c *networkstackv1alpha1.NetworkComponent) { c.Spec.Type = typ })) {
			out[report.GVK.Kind+" "+report.Name] = report.Generation
		}
		return out
	}
	if diff := cmp.Diff(map[string]int64{"TigeraStatus calico": 3, "TigeraStatus ippools": 3, "TigeraStatus apiserver": 1}, names("Calico")); diff != "" {
		t.Error(diff)
	}
	for _, typ := range []string{"CalicoCRDs", "Cilium", ""} {
		if got := names(typ); len(got) > 0 {
			t.Errorf("%s: %v", typ, got)
		}
	}
	rec.objects = append(rec.objects, tigera("Goldmane", 1))
	if got := names("Calico"); len(got) != 4 {
		t.Errorf("with flow logs: %v", got)
	}
}

// TestReported takes a component through what is reported of it, a restart of the operator included.
func TestReported(t *testing.T) {
	status := &unstructured.Unstructured{}
	status.SetGroupVersionKind(tigeraStatus)
	status.SetName("calico")
	says := func(available, message string) *unstructured.Unstructured {
		u := status.DeepCopy()
		_ = unstructured.SetNestedSlice(u.Object, []any{
			map[string]any{"type": "Available", "status": available, "message": message, "observedGeneration": int64(3)},
		}, "status", "conditions")
		return u
	}
	resource := schema.GroupVersionResource{Group: tigeraStatus.Group, Version: "v1", Resource: "tigerastatuses"}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{resource: "TigeraStatusList"}, says("True", ""))
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.AddSpecific(tigeraStatus, resource, resource, meta.RESTScopeRoot)

	c := installed("cni", 20, func(c *networkstackv1alpha1.NetworkComponent) { c.Spec.Type = "Calico" })
	r := newReconciler(t, c)
	r.Catalog = catalog.NewFixed(catalog.Set{Catalog: catalog.Catalog{"Calico": {Readiness: []catalog.Readiness{{
		Group: tigeraStatus.Group, Version: "v1", Of: "Installation", Kind: tigeraStatus.Kind, Name: "calico", WantTrue: []string{"Available"},
	}}}}})
	var woken chan string
	fresh := func() {
		wakes := make(chan string, 100)
		woken = wakes
		r.Reports = health.NewReports(client, mapper, logr.Discard(), func(name string) { wakes <- name })
	}
	fresh()
	seen := get(t, r, "cni")
	rec := r.state.of(seen, &seen.Status)
	rec.settled, rec.tracked, rec.checked = wishes(seen, map[string]any{}), true, digestOf(seen)
	rec.objects = []release.Applied{tigera("Installation", 3)}
	ready := func() string { return said(get(t, r, "cni").Status.Conditions)["Ready"] }
	// reach reconciles whenever the component is woken, until it says what is wanted.
	reach := func(want string) {
		t.Helper()
		for {
			reconcileOnce(t, r, "cni")
			if ready() == want {
				return
			}
			select {
			case <-woken:
			case <-time.After(time.Minute):
				t.Fatalf("not woken any more; it says %s, want %s", ready(), want)
			}
		}
	}
	report := func(u *unstructured.Unstructured) {
		t.Helper()
		if _, err := client.Resource(resource).Update(t.Context(), u, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	// A component that never was Ready says what it waits for.
	reach("False NotHealthy: TigeraStatus calico: not looked at yet")
	go func() { _ = r.Reports.Start(t.Context()) }()
	reach("True Ready: installed, and all workloads are available")
	report(says("False", "no node"))
	reach("False NotHealthy: TigeraStatus calico: not Available: no node")
	report(says("True", ""))
	reach("True Ready: installed, and all workloads are available")

	// Another process knows nothing of what is reported, which is no news: Ready stands until it does.
	fresh()
	before := get(t, r, "cni")
	reconcileOnce(t, r, "cni")
	if after := get(t, r, "cni"); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("written: %v", said(after.Status.Conditions))
	}
	// Another generation of the object has to be reported about, by whichever process.
	rec.objects = []release.Applied{tigera("Installation", 4)}
	go func() { _ = r.Reports.Start(t.Context()) }()
	reach("False NotHealthy: TigeraStatus calico: the latest change is not taken into account yet")
}

// digestOf is by what drift is judged with the catalogue that the operator carries.
func digestOf(c *networkstackv1alpha1.NetworkComponent) string {
	return (&Reconciler{Catalog: &catalog.Source{}}).digestOf(c)
}

// TestOverrideWakes wants every component to be looked at again when the catalogue changes, and drift to be judged anew when
// others may change its fields.
func TestOverrideWakes(t *testing.T) {
	a, b := installed("a", 10), installed("b", 20)
	r := newReconciler(t, a, b)
	r.Catalog = &catalog.Source{Reader: r.Client, Namespace: operatorNamespace}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: catalog.ConfigMapName, UID: "1"}}
	if got := r.readersOf(t.Context(), cm); len(got) != 2 {
		t.Errorf("%v are woken", got)
	}
	secret := &corev1.Secret{ObjectMeta: cm.ObjectMeta}
	if got := r.readersOf(t.Context(), secret); len(got) != 0 {
		t.Errorf("%v are woken by a Secret of that name", got)
	}
	before := r.checking(&record{}, a)
	cm.Data = map[string]string{catalog.ControllersKey: "- {charts: [" + a.Spec.Chart.Name + "], kind: X, paths: [.a], managers: [m], reason: r}"}
	if err := r.Create(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Catalog.Current(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := r.checking(&record{}, a); len(after.rules) != len(before.rules)+1 || after.digest == before.digest {
		t.Errorf("%d rules before, and %d after", len(before.rules), len(after.rules))
	}
}
