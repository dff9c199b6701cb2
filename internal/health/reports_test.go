package health

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic/fake"
)

var (
	reportKind     = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Report"}
	reportResource = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "reports"}
)

func reportObject(name string, conditions ...any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"large": "x"}}}
	u.SetGroupVersionKind(reportKind)
	u.SetName(name)
	u.SetUID("uid")
	if conditions != nil {
		_ = unstructured.SetNestedSlice(u.Object, conditions, "status", "conditions")
	}
	return u
}

func said(kind, status, message string, generation int64) any {
	return map[string]any{"type": kind, "status": status, "reason": "Why", "message": message, "observedGeneration": generation}
}

func TestJudgeReport(t *testing.T) {
	want := Report{GVK: reportKind, Name: "a", Generation: 3, WantTrue: []string{"Available"}, WantFalse: []string{"Degraded", "Progressing"}}
	for _, tc := range []struct {
		name    string
		live    *unstructured.Unstructured
		problem string
		// updated and available count as pods.
		updated, available int32
	}{
		{"nothing there", nil, "nothing is reported yet", 0, 0},
		{"no conditions", reportObject("a"), "not Available", 1, 0},
		{"as it should be", reportObject("a", said("Available", "True", "", 3), said("Degraded", "False", "", 3), said("Progressing", "False", "", 3)), "", 1, 1},
		{"ahead of what was applied", reportObject("a", said("Available", "True", "", 4)), "", 1, 1},
		{"of no generation", reportObject("a", said("Available", "True", "", 0)), "", 1, 1},
		{"of what was before", reportObject("a", said("Available", "True", "", 3), said("Degraded", "False", "", 2)),
			"the latest change is not taken into account yet", 0, 0},
		{"degraded", reportObject("a", said("Available", "False", "", 3), said("Progressing", "True", "rolling", 3), said("Degraded", "True", "no node", 3)),
			"Degraded: no node", 1, 0},
		{"progressing", reportObject("a", said("Available", "True", "", 3), said("Progressing", "True", "rolling", 3)), "Progressing: rolling", 1, 0},
		{"without a message", reportObject("a", said("Available", "Unknown", "", 3)), "not Available: Why", 1, 0},
		{"a long message", reportObject("a", said("Degraded", "True", strings.Repeat("x", 1000), 3)), "Degraded: " + strings.Repeat("x", maxDetail) + "...", 1, 0},
		{"of another make", reportObject("a", "text", map[string]any{"type": int64(3)}), "not Available", 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := Workload{Desired: 1}
			judgeReport(want, tc.live, &w)
			if w.Problem != tc.problem || w.Updated != tc.updated || w.Available != tc.available {
				t.Errorf("%q, %d updated, %d available", w.Problem, w.Updated, w.Available)
			}
		})
	}
}

// woken counts who was woken.
type woken struct {
	mu  sync.Mutex
	who []string
}

func (w *woken) wake(component string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.who = append(w.who, component)
}

func (w *woken) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.Compact(slices.Sorted(slices.Values(w.who)))
	w.who = nil
	return out
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		return condition(), nil
	})
	if err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// TestReportsAreWatched checks that nothing is relied upon before the watch has seen it, and who is woken by what.
func TestReportsAreWatched(t *testing.T) {
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{reportResource: "ReportList"}, reportObject("a", said("Available", "True", "", 1)))
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(reportKind, meta.RESTScopeRoot)
	var w woken
	r := NewReports(client, mapper, logr.Discard(), w.wake)
	a := Report{GVK: reportKind, Name: "a", WantTrue: []string{"Available"}}
	b := Report{GVK: reportKind, Name: "b", WantTrue: []string{"Available"}}

	if list, known := r.Judge("one", []Report{a, b}); known || len(list) != 2 || list[0].Problem != "not looked at yet" {
		t.Fatalf("before the watch has begun: %v %+v", known, list)
	}
	r.Judge("other", []Report{a})
	go func() { _ = r.Start(t.Context()) }()
	eventually(t, "those who asked to be woken", func() bool {
		_, known := r.Judge("one", []Report{a, b})
		return known
	})
	eventually(t, "both to be woken", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.Contains(w.who, "one") && slices.Contains(w.who, "other")
	})
	list, known := r.Judge("one", []Report{a, b})
	result := Summarise(list)
	if !known || result.Ready || result.Message != "Report b: nothing is reported yet" {
		t.Errorf("%v: %+v", known, result)
	}

	// b is asked about by one alone.
	w.take()
	if _, err := client.Resource(reportResource).Create(t.Context(), reportObject("b", said("Available", "True", "", 1)), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b to be seen", func() bool {
		list, _ := r.Judge("one", []Report{a, b})
		return Summarise(list).Ready
	})
	eventually(t, "somebody to be woken", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.who) > 0
	})
	if diff := cmp.Diff([]string{"one"}, w.take()); diff != "" {
		t.Errorf("woken by b (-want +got):\n%s", diff)
	}

	r.Forget("one")
	if err := client.Resource(reportResource).Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a to be gone", func() bool {
		list, _ := r.Judge("other", []Report{a})
		return list[0].Problem == "nothing is reported yet"
	})
	eventually(t, "the other to be woken", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.Contains(w.who, "other")
	})
	if diff := cmp.Diff([]string{"other"}, w.take()); diff != "" {
		t.Errorf("woken by a (-want +got):\n%s", diff)
	}
	// Of an object only what is looked at is kept.
	if u := reported(r.informers[reportKind], "b"); u.Object["spec"] != nil || u.GetUID() != "uid" {
		t.Errorf("kept: %v", u.Object)
	}
	missing := Report{GVK: schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "None"}, Name: "x"}
	if list, known := r.Judge("one", []Report{missing}); !known || !strings.Contains(list[0].Problem, "cannot be looked at") {
		t.Errorf("a kind that is not served: %v %+v", known, list)
	}
}
