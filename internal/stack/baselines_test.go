package stack

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/baseline"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/plan"
	"github.com/networkstack/networkstack/internal/policy"
)

func TestPoliciesOf(t *testing.T) {
	enforced := &networkstackv1alpha1.PoliciesStatus{
		Mode: networkstackv1alpha1.PolicyEnforce, Deny: networkstackv1alpha1.DenyEnforced, Namespaces: 3, Dangerous: 1,
		Findings: []networkstackv1alpha1.PolicyFinding{{Name: "a"}},
	}
	all := baseline.State{Known: true, Namespaces: 3, Objects: 9, Denying: 3, Complete: true}
	on := policy.Set{Mode: networkstackv1alpha1.PolicyEnforce}
	held := policy.Set{Mode: networkstackv1alpha1.PolicyEnforce, Held: "webhooks"}
	with := func(s baseline.State, change func(*baseline.State)) baseline.State {
		change(&s)
		return s
	}
	for _, tc := range []struct {
		name  string
		was   *networkstackv1alpha1.PoliciesStatus
		set   policy.Set
		there baseline.State
		wait  string
		deny  networkstackv1alpha1.DenyState
		text  string
	}{
		{"audit", nil, policy.Set{Mode: networkstackv1alpha1.PolicyAudit}, all, "", networkstackv1alpha1.DenyAbsent, ""},
		{"all there", nil, on, all, "", networkstackv1alpha1.DenyEnforced, ""},
		{"not yet", nil, on, baseline.State{Known: true, Namespaces: 3, Pending: 1}, "", networkstackv1alpha1.DenyHeld,
			"nothing is denied in a namespace before what allows traffic is there, and not all are as they are wanted yet"},
		{"the network comes first", nil, on, all, "waits for flannel", networkstackv1alpha1.DenyHeld, "waits for flannel"},
		{"what is in force stays", enforced, on, baseline.State{Known: true, Namespaces: 4, Pending: 1, Denying: 3}, "", networkstackv1alpha1.DenyEnforced, ""},
		{"an operator that starts", enforced, on, baseline.State{}, "", networkstackv1alpha1.DenyEnforced, ""},
		{"findings hold it back", nil, held, baseline.State{Known: true}, "", networkstackv1alpha1.DenyHeld, "webhooks"},
		{"findings, and in force", enforced, held, all, "", networkstackv1alpha1.DenyEnforced, "webhooks"},
		{"being pulled", enforced, on, with(all, func(s *baseline.State) { s.Pulled = true }), "", networkstackv1alpha1.DenyPulled,
			"what denies traffic is being removed"},
		{"pulled, whatever is found", enforced, held, baseline.State{Known: true, Pulled: true}, "", networkstackv1alpha1.DenyPulled,
			"what denies traffic is removed until the annotation networkstack.io/break-glass is"},
		{"a namespace fails", enforced, on, with(all, func(s *baseline.State) { s.Problem = "namespace a: quota" }), "",
			networkstackv1alpha1.DenyEnforced, "namespace a: quota"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := policiesOf(tc.was, &tc.set, tc.there, tc.wait)
			if got.Deny != tc.deny || got.Message != tc.text {
				t.Errorf("%s: %q", got.Deny, got.Message)
			}
			if tc.was != nil && (got.Dangerous != 1 || len(got.Findings) != 1) {
				t.Error("what was found about them is gone")
			}
			if tc.there.Known && int(got.Namespaces) != tc.there.Namespaces {
				t.Errorf("%d namespaces", got.Namespaces)
			}
		})
	}
}

func TestPoliciesLeft(t *testing.T) {
	was := &networkstackv1alpha1.PoliciesStatus{Mode: networkstackv1alpha1.PolicyEnforce, Deny: networkstackv1alpha1.DenyEnforced}
	if got := policiesLeft(was, baseline.State{}); got != was {
		t.Error("told though nothing is known")
	}
	if got := policiesLeft(was, baseline.State{Known: true}); got != nil {
		t.Errorf("something is left: %+v", got)
	}
	got := policiesLeft(was, baseline.State{Known: true, Objects: 2, Denying: 1, Problem: "forbidden"})
	want := &networkstackv1alpha1.PoliciesStatus{
		Mode: networkstackv1alpha1.PolicyOff, Deny: networkstackv1alpha1.DenyEnforced, Message: "what was written is being removed: forbidden",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSettlePolicies wants numbers to be written once a minute at most, and all else at once.
func TestSettlePolicies(t *testing.T) {
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	status := func(n int32, deny networkstackv1alpha1.DenyState) *networkstackv1alpha1.NetworkStackStatus {
		return &networkstackv1alpha1.NetworkStackStatus{Policies: &networkstackv1alpha1.PoliciesStatus{Namespaces: n, Deny: deny}}
	}
	const in, held = networkstackv1alpha1.DenyEnforced, networkstackv1alpha1.DenyHeld
	for _, tc := range []struct {
		name           string
		latest, wanted *networkstackv1alpha1.NetworkStackStatus
		written        time.Time
		want           int32
		wait           time.Duration
	}{
		{"numbers wait", status(1, in), status(2, in), now.Add(-20 * time.Second), 1, 40 * time.Second},
		{"and have waited", status(1, in), status(2, in), now.Add(-time.Minute), 2, 0},
		{"a turn does not wait", status(1, held), status(2, in), now, 2, 0},
		{"nothing new", status(1, in), status(1, in), now, 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wait, err := settlePolicies(tc.latest, tc.wanted, tc.written, now)
			if err != nil || wait != tc.wait || tc.wanted.Policies.Namespaces != tc.want {
				t.Errorf("wait %s, %d namespaces, %v", wait, tc.wanted.Policies.Namespaces, err)
			}
		})
	}
}

// TestFillPulled wants the condition while the annotation is there, in whatever state the stack is.
func TestFillPulled(t *testing.T) {
	for name, s := range map[string]*scope{
		"refused":       {stack: stackOf(), result: &compose.Result{Errors: []compose.Finding{{}}}},
		"suspended":     {stack: stackOf(suspended)},
		"not in effect": {stack: stackOf(), conflict: "older"},
		"deleted":       {stack: stackOf(leaving)},
	} {
		t.Run(name, func(t *testing.T) {
			s.policies = &baseline.State{Known: true, Pulled: true}
			var out networkstackv1alpha1.NetworkStackStatus
			s.stack.Annotations = map[string]string{networkstackv1alpha1.BreakGlassAnnotation: ""}
			fill(s, &out)
			c := meta.FindStatusCondition(out.Conditions, networkstackv1alpha1.ConditionPoliciesPulled)
			want := "what denies traffic is removed until the annotation networkstack.io/break-glass is: no reason was given"
			if c == nil || c.Status != metav1.ConditionTrue || c.Message != want {
				t.Errorf("%+v", out.Conditions)
			}
			s.stack.Annotations = nil
			fill(s, &out)
			if meta.FindStatusCondition(out.Conditions, networkstackv1alpha1.ConditionPoliciesPulled) != nil {
				t.Errorf("%+v", out.Conditions)
			}
		})
	}
}

func TestPoliciesWait(t *testing.T) {
	s := &scope{
		stack: stackOf(), result: &compose.Result{}, components: components{component("cni", 20, rollingOut), component("mesh", 72, rollingOut)},
		steps: []plan.Step{step("cni", plan.Keep, 20), step("mesh", plan.Keep, 72)},
	}
	if got := policiesWait(s); got != "nothing is denied before the network is Ready: waits for cni" {
		t.Errorf("got %q", got)
	}
	s.stack.Status.Policies = &networkstackv1alpha1.PoliciesStatus{Deny: networkstackv1alpha1.DenyEnforced}
	if got := policiesWait(s); got != "" {
		t.Errorf("what is in force waits: %q", got)
	}
	s.stack.Status.Policies = nil
	s.components = components{component("cni", 20), component("mesh", 72, rollingOut)}
	if got := policiesWait(s); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestGlassBroken(t *testing.T) {
	with := func(annotations map[string]string) *networkstackv1alpha1.NetworkStack {
		s := stackOf()
		s.Annotations = annotations
		return s
	}
	key := networkstackv1alpha1.BreakGlassAnnotation
	for _, tc := range []struct {
		was, is map[string]string
		want    bool
	}{
		{nil, map[string]string{key: ""}, true},
		{map[string]string{key: "a"}, map[string]string{key: "b"}, true},
		{map[string]string{key: "a"}, nil, true},
		{map[string]string{key: "a"}, map[string]string{key: "a", "other": "x"}, false},
		{nil, map[string]string{"other": "x"}, false},
	} {
		if got := glassBroken().Update(event.UpdateEvent{ObjectOld: with(tc.was), ObjectNew: with(tc.is)}); got != tc.want {
			t.Errorf("%v to %v: %v", tc.was, tc.is, got)
		}
	}
}
