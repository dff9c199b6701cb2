package stack

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/plan"
)

func refusedCatalog(kept bool) *catalog.State {
	return &catalog.State{Problem: &catalog.OverrideError{
		ConfigMap: "ns/networkstack-catalog", Kept: kept, Problems: catalog.Problems{{File: "a.yaml", Line: 2, Message: "is wrong: correct it"}},
	}}
}

// TestFillCatalog wants a bad override to be told, and the network to be as ready as it is, unless nobody knows what to have.
func TestFillCatalog(t *testing.T) {
	ready := func(c *catalog.State) *scope {
		return &scope{stack: stackOf(), catalog: c, facts: &facts.Snapshot{}, result: &compose.Result{},
			steps: []plan.Step{step("cni", plan.Keep, 0)}, components: components{component("cni", 0)}}
	}
	unknown := ready(refusedCatalog(false))
	unknown.result, unknown.steps = nil, nil
	fresh := ready(refusedCatalog(false))
	fresh.components = nil
	for _, tc := range []struct {
		name                  string
		scope                 *scope
		ready, stalled, wrong string
	}{
		{"no override", ready(&catalog.State{}), "+Ready", "", ""},
		{"an override", ready(&catalog.State{Overridden: true}), "+Ready", "", ""},
		{"a bad one", ready(refusedCatalog(true)), "+Ready", "",
			"+CatalogInvalid: ConfigMap ns/networkstack-catalog is refused, and what was in effect before stays: a.yaml, line 2: is wrong: correct it"},
		{"a bad one, and nothing installed yet", fresh, "-Progressing", "",
			"+CatalogInvalid: ConfigMap ns/networkstack-catalog is refused, and what the operator carries is in effect: a.yaml, line 2: is wrong: correct it"},
		{"a bad one from the beginning", unknown, "-CatalogInvalid", "+CatalogInvalid",
			"+CatalogInvalid: ConfigMap ns/networkstack-catalog is refused, and nothing is changed until it is corrected or deleted, " +
				"for what was in effect before is not known: a.yaml, line 2: is wrong: correct it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out networkstackv1alpha1.NetworkStackStatus
			fill(tc.scope, &out)
			got := said(out.Conditions)
			reason := func(condition string) string { r, _, _ := strings.Cut(got[condition], ":"); return r }
			if diff := cmp.Diff([]string{tc.ready, tc.stalled, tc.wrong},
				[]string{reason("Ready"), reason("Stalled"), got["CatalogInvalid"]}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			// What is put right is no longer told.
			tc.scope.catalog = &catalog.State{}
			fill(tc.scope, &out)
			if meta.FindStatusCondition(out.Conditions, networkstackv1alpha1.ConditionCatalogInvalid) != nil {
				t.Error("the condition stays")
			}
			// A pass that does not come to the catalogue says nothing new of it.
			before := len(out.Conditions)
			tc.scope.catalog = nil
			if fill(tc.scope, &out); len(out.Conditions) != before {
				t.Errorf("%v", said(out.Conditions))
			}
		})
	}
}

// TestAnnounceCatalog wants every turn to be told once.
func TestAnnounceCatalog(t *testing.T) {
	recorder := events.NewFakeRecorder(10)
	r := &Reconciler{Recorder: recorder, Catalog: &catalog.Source{Namespace: "ns"}}
	var status networkstackv1alpha1.NetworkStackStatus
	pass := func(c *catalog.State) string {
		t.Helper()
		before := *status.DeepCopy()
		s := &scope{stack: stackOf(), catalog: c}
		fill(s, &status)
		r.announceCatalog(s, &before, &status)
		r.announceCatalog(s, &status, &status)
		var out []string
		for len(recorder.Events) > 0 {
			out = append(out, <-recorder.Events)
		}
		return strings.Join(out, "\n")
	}
	taken := &catalog.State{Overridden: true, Revision: 1}
	kept := refusedCatalog(true)
	kept.Revision, kept.Overridden = 1, true
	for i, tc := range []struct {
		state *catalog.State
		want  string
	}{
		{&catalog.State{}, ""},
		{taken, "Normal CatalogChanged ConfigMap ns/networkstack-catalog overrides the catalogue"},
		{kept, "Warning CatalogInvalid ConfigMap ns/networkstack-catalog is refused, and what was in effect before stays: a.yaml, line 2: is wrong: correct it"},
		{taken, ""},
		{&catalog.State{Revision: 2}, "Normal CatalogChanged what the operator carries is the catalogue in effect"},
		{nil, ""},
	} {
		if got := pass(tc.state); got != tc.want {
			t.Errorf("%d: %q, want %q", i, got, tc.want)
		}
	}
}
