package stack

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/plan"
	"github.com/networkstack/networkstack/internal/status"
)

const generation = 4

func stackOf(changes ...func(*networkstackv1alpha1.NetworkStack)) *networkstackv1alpha1.NetworkStack {
	s := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "default", Generation: generation}}
	for _, change := range changes {
		change(s)
	}
	return s
}

func leaving(s *networkstackv1alpha1.NetworkStack) {
	now := metav1.Now()
	s.DeletionTimestamp = &now
}

func reliesOn(others ...facts.Installed) func(*compose.Result) {
	return func(r *compose.Result) { r.ReliesOn = others }
}

func suspended(s *networkstackv1alpha1.NetworkStack) { s.Spec.Suspend = true }

func uninstalling(s *networkstackv1alpha1.NetworkStack) {
	s.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
}

// component is installed and Ready, unless it is changed.
func component(name string, stage int32, changes ...func(*networkstackv1alpha1.NetworkComponent)) networkstackv1alpha1.NetworkComponent {
	c := networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 2}}
	c.Spec.Type, c.Spec.Stage, c.Spec.Chart.Version = "Type-"+name, stage, "1.0.0"
	c.Status.ObservedGeneration, c.Status.Phase = 2, networkstackv1alpha1.PhaseReady
	c.Status.Release = &networkstackv1alpha1.ReleaseStatus{ChartVersion: "1.0.0"}
	status.Ready(&c.Status.Conditions, 2, networkstackv1alpha1.ReasonReady, name+" is up")
	status.Set(&c.Status.Conditions, 2, networkstackv1alpha1.ConditionDrifted, metav1.ConditionFalse, networkstackv1alpha1.ReasonNoDrift, "none")
	for _, change := range changes {
		change(&c)
	}
	return c
}

func rollingOut(c *networkstackv1alpha1.NetworkComponent) {
	c.Status.Phase = networkstackv1alpha1.PhaseRollingOut
	status.Working(&c.Status.Conditions, 2, networkstackv1alpha1.ReasonNotHealthy, "1 of 3 pods are available")
}

func failed(c *networkstackv1alpha1.NetworkComponent) {
	c.Status.Phase = networkstackv1alpha1.PhaseFailed
	status.Stuck(&c.Status.Conditions, 2, networkstackv1alpha1.ReasonChartUnavailable, "no such chart")
}

func unseen(c *networkstackv1alpha1.NetworkComponent) { c.Generation = 3 }

func drifted(objects ...string) func(*networkstackv1alpha1.NetworkComponent) {
	return func(c *networkstackv1alpha1.NetworkComponent) {
		c.Status.Drift = &networkstackv1alpha1.DriftStatus{
			Count: 5, Recent: []networkstackv1alpha1.Drift{{Object: "DaemonSet net/x", Manager: "kubectl"}, {Object: "Older"}}}
		state := metav1.ConditionFalse
		if len(objects) > 0 {
			state = metav1.ConditionTrue
		}
		status.Set(&c.Status.Conditions, 2, networkstackv1alpha1.ConditionDrifted, state, "Any", strings.Join(objects, ", "))
	}
}

func unwatched(c *networkstackv1alpha1.NetworkComponent) {
	status.Set(&c.Status.Conditions, 2, networkstackv1alpha1.ConditionDrifted, metav1.ConditionUnknown, "Any", "any")
}

// fresh is a component of which nobody has said anything.
func fresh(c *networkstackv1alpha1.NetworkComponent) {
	c.Status = networkstackv1alpha1.NetworkComponentStatus{}
}

func step(name string, action plan.Action, stage int32, waitingFor ...string) plan.Step {
	s := plan.Step{Name: name, Action: action, Stage: stage, WaitingFor: waitingFor}
	if action != plan.Remove {
		s.Wanted = &networkstackv1alpha1.NetworkComponentSpec{Type: "Type-" + name, Stage: stage}
		s.Wanted.Chart.Version = "1.0.0"
		if action == plan.Upgrade {
			s.Wanted.Chart.Version = "2.0.0"
		}
	}
	return s
}

func suspendedStep(name string) plan.Step {
	s := step(name, plan.Keep, 0)
	s.Wanted.Suspend = true
	return s
}

type components = []networkstackv1alpha1.NetworkComponent

// said is what a status says by its conditions: "reason: message" by type; Ready=True has a plus before it.
func said(conditions []metav1.Condition) map[string]string {
	out := map[string]string{}
	for _, c := range conditions {
		sign := map[metav1.ConditionStatus]string{metav1.ConditionTrue: "+", metav1.ConditionFalse: "-", metav1.ConditionUnknown: "?"}[c.Status]
		out[c.Type] = sign + c.Reason + ": " + c.Message
	}
	return out
}

func TestFillConditions(t *testing.T) {
	const noDrift = "-NoDrift: no component has uncorrected drift"
	// how says where Ready's text stands a second time, as kstatus wants it.
	build := func(accepted, ready, how string) map[string]string {
		out := map[string]string{"Drifted": noDrift, "Ready": ready}
		if accepted != "" {
			out["Accepted"] = accepted
		}
		if how != "" {
			out[how] = "+" + ready[1:]
		}
		return out
	}
	const valid = "+Accepted: the spec is valid on this cluster"
	result := func(changes ...func(*compose.Result)) *compose.Result {
		r := &compose.Result{KubeProxy: networkstackv1alpha1.KubeProxyIPTables}
		for _, change := range changes {
			change(r)
		}
		return r
	}
	refused := result(func(r *compose.Result) {
		r.Errors = []compose.Finding{
			{Rule: "MTU-RANGE", Field: "spec.mtu", Message: "Invalid value: 1: too small"},
			{Rule: "VERSION-UNSET", Field: "spec.cni.version", Message: "Required value: say which"},
		}
	})
	parks := result(func(r *compose.Result) { r.ParkKubeProxy = true })
	keep := []plan.Step{step("cni", plan.Keep, 0)}

	for _, tc := range []struct {
		name  string
		scope scope
		want  map[string]string
	}{
		{"conflict", scope{stack: stackOf(), conflict: "older"},
			build(`-Conflict: metadata.name: Forbidden: NetworkStack "older" is older and takes effect: edit that one, and delete this one [STACK-SECOND]`,
				`-Conflict: metadata.name: Forbidden: NetworkStack "older" is older and takes effect: edit that one, and delete this one [STACK-SECOND]`, "Stalled")},
		{"suspended", scope{stack: stackOf(suspended)},
			build("", "-Suspended: suspended: nothing is installed, upgraded, corrected or removed", "")},
		// What would be done is worked out all the same.
		{"suspended, valid", scope{stack: stackOf(suspended), result: result()},
			build(valid, "-Suspended: suspended: nothing is installed, upgraded, corrected or removed", "")},
		{"suspended, refused", scope{stack: stackOf(suspended), result: refused},
			build("-Invalid: spec.mtu: Invalid value: 1: too small [MTU-RANGE]\nspec.cni.version: Required value: say which [VERSION-UNSET]",
				"-Suspended: suspended: nothing is installed, upgraded, corrected or removed", "")},
		{"suspended without facts", scope{stack: stackOf(suspended), factsErr: errors.New("timeout")},
			build("", "-Suspended: suspended: nothing is installed, upgraded, corrected or removed", "")},
		{"facts cannot be gathered", scope{stack: stackOf(), factsErr: errors.New("listing nodes: timeout")},
			build("", "-FactsUnavailable: listing nodes: timeout", "Reconciling")},
		{"every error is named, with its path", scope{stack: stackOf(), result: refused},
			build("-Invalid: spec.mtu: Invalid value: 1: too small [MTU-RANGE]\nspec.cni.version: Required value: say which [VERSION-UNSET]",
				"-Invalid: the spec is refused, and nothing was changed: spec.mtu: Invalid value: 1: too small [MTU-RANGE]\nspec.cni.version: Required value: say which [VERSION-UNSET]", "Stalled")},
		{"warnings are counted", scope{stack: stackOf(), result: result(func(r *compose.Result) { r.Warnings = make([]compose.Finding, 2) })},
			build("+Accepted: the spec is valid on this cluster; remarks in status.warnings: 2",
				"+Ready: nothing is to be installed: the network is managed elsewhere", "")},
		{"others' network is available", scope{stack: stackOf(), result: result(reliesOn(facts.Installed{Namespace: "kube-system", Name: "anetd", Manager: "GKE"}))},
			build(valid, "+Ready: nothing is to be installed: the network is managed elsewhere; available is DaemonSet kube-system/anetd (GKE)", "")},
		{"others' network is missing on a node",
			scope{stack: stackOf(), steps: keep, components: components{component("cni", 0)}, result: result(reliesOn(
				facts.Installed{Namespace: "kube-system", Name: "anetd", Manager: "GKE", Unavailable: true}, facts.Installed{Namespace: "kube-system", Name: "netd"}))},
			build(valid, "-NotHealthy: DaemonSet kube-system/anetd (GKE), which is not managed here, is not available on every node", "Reconciling")},
		{"ready", scope{stack: stackOf(), result: result(), steps: keep, components: components{component("cni", 0)}},
			build(valid, "+Ready: 1 of 1 components are installed and healthy", "")},
		{"a component cannot be written",
			scope{stack: stackOf(), result: result(), steps: keep, components: components{component("cni", 0)}, writeErr: errors.New("NetworkComponent cni: forbidden")},
			build(valid, "-Progressing: NetworkComponent cni: forbidden", "Reconciling")},
		{"kube-proxy cannot be parked",
			scope{stack: stackOf(), result: parks, steps: keep, components: components{component("cni", 0)}, parkErr: errors.New("changing the node selector: forbidden")},
			build(valid, "-Progressing: changing the node selector: forbidden", "Reconciling")},
		{"kube-proxy is being brought back", scope{stack: stackOf(), result: result(), steps: keep, components: components{component("cni", 0)}, held: true},
			build(valid, "-Waiting: kube-proxy is brought back: the CNI goes on programming Services until it runs on every node", "Reconciling")},
		{"parked kube-proxy pending", scope{stack: stackOf(), result: parks, steps: keep, components: components{component("cni", 0)}},
			build(valid, "-Progressing: kube-proxy is about to be parked", "Reconciling")},
		{"parked kube-proxy", scope{stack: stackOf(), result: parks, steps: keep, components: components{component("cni", 0)}, parked: true},
			build(valid, "+Ready: 1 of 1 components are installed and healthy", "")},
		{"under way",
			scope{stack: stackOf(), result: result(),
				steps:      []plan.Step{step("cni", plan.Keep, 0), step("kube-proxy", plan.Install, 1, "cni"), step("dns", plan.Upgrade, 2, "cni", "kube-proxy"), step("old", plan.Remove, 0, "cni")},
				components: components{component("cni", 0, rollingOut), component("dns", 2), component("old", 0)}},
			build(valid, "-Progressing: cni: 1 of 3 pods are available; kube-proxy: install waits for cni; dns: upgrade waits for cni, kube-proxy; old: remove waits for cni", "Reconciling")},
		{"steps that are being taken",
			scope{stack: stackOf(), result: result(),
				steps:      []plan.Step{step("a", plan.Install, 0), step("b", plan.Upgrade, 0), step("c", plan.Remove, 0)},
				components: components{component("b", 0), component("c", 0)}},
			build(valid, "-Progressing: a: to be installed; b: to be changed; c: to be removed", "Reconciling")},
		{"a spec that its controller has not seen yet",
			scope{stack: stackOf(), result: result(), steps: keep, components: components{component("cni", 0, unseen)}},
			build(valid, "-Progressing: cni: about to start", "Reconciling")},
		{"a stalled component stalls the stack",
			scope{stack: stackOf(), result: result(), steps: []plan.Step{step("cni", plan.Keep, 0), step("dns", plan.Keep, 0)},
				components: components{component("cni", 0, failed), component("dns", 0, rollingOut)}},
			build(valid, "-ComponentFailed: cni: no such chart; dns: 1 of 3 pods are available", "Stalled")},
		// The new spec may be the remedy.
		{"a stalled component that is being changed does not",
			scope{stack: stackOf(), result: result(), steps: []plan.Step{step("cni", plan.Upgrade, 0)}, components: components{component("cni", 0, failed)}},
			build(valid, "-Progressing: cni: to be changed", "Reconciling")},
		{"a component that was stalled before its controller has seen the new spec does not",
			scope{stack: stackOf(), result: result(), steps: keep, components: components{component("cni", 0, failed, unseen)}},
			build(valid, "-Progressing: cni: about to start", "Reconciling")},
		{"a suspended component", scope{stack: stackOf(), result: result(), steps: []plan.Step{suspendedStep("cni"), step("dns", plan.Keep, 0)},
			components: components{component("cni", 0, rollingOut), component("dns", 0)}},
			build(valid, "-Suspended: suspended: cni", "")},
		{"work goes on beside a suspended component",
			scope{stack: stackOf(), result: result(), steps: []plan.Step{suspendedStep("cni"), step("dns", plan.Keep, 0)},
				components: components{component("cni", 0, rollingOut), component("dns", 0, rollingOut)}},
			build(valid, "-Progressing: dns: 1 of 3 pods are available", "Reconciling")},
		{"leaving, orphaned", scope{stack: stackOf(leaving), deleting: []string{"cni", "dns"}},
			build("", "-Deleting: components are being released; they keep running: cni, dns", "Reconciling")},
		{"leaving, uninstalled", scope{stack: stackOf(leaving, uninstalling), deleting: []string{"dns"}},
			build("", "-Deleting: components are being uninstalled: dns", "Reconciling")},
		{"leaving, suspended", scope{stack: stackOf(leaving, uninstalling, suspended)},
			build("", "-Deleting: suspended: the components stay until spec.suspend is false", "Reconciling")},
		{"leaving, suspended, orphaned", scope{stack: stackOf(leaving, suspended), deleting: []string{"cni"}},
			build("", "-Deleting: components are being released; they keep running: cni", "Reconciling")},
		// Deletion goes before everything else that could be said.
		{"leaving in conflict", scope{stack: stackOf(leaving), conflict: "older", deleting: []string{"cni"}},
			build("", "-Deleting: components are being released; they keep running: cni", "Reconciling")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// A composition is made of facts.
			if tc.scope.result != nil {
				tc.scope.facts = &facts.Snapshot{}
			}
			var out networkstackv1alpha1.NetworkStackStatus
			fill(&tc.scope, &out)
			if diff := cmp.Diff(tc.want, said(out.Conditions)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, c := range out.Conditions {
				if c.ObservedGeneration != generation {
					t.Errorf("%s speaks of generation %d", c.Type, c.ObservedGeneration)
				}
			}
			if out.ObservedGeneration != generation {
				t.Errorf("the status speaks of generation %d", out.ObservedGeneration)
			}
		})
	}
}

// TestFillKeeps wants what could not be found out this time to stand as it was found last time.
func TestFillKeeps(t *testing.T) {
	var out networkstackv1alpha1.NetworkStackStatus
	good := &compose.Result{
		Warnings: []compose.Finding{{Rule: "A-B", Field: "spec", Message: "remark"}}, KubeProxy: networkstackv1alpha1.KubeProxyReplaced,
		Effective: []networkstackv1alpha1.EffectiveSetting{{Setting: "mtu", Value: "1450", Reason: "because"}},
	}
	fill(&scope{stack: stackOf(), facts: &facts.Snapshot{KubernetesVersion: "v1.37.2"}, result: good}, &out)
	first := *out.DeepCopy()

	fill(&scope{stack: stackOf(), factsErr: errors.New("timeout")}, &out)
	if diff := cmp.Diff(first, out, cmpopts.IgnoreFields(first, "Conditions")); diff != "" {
		t.Errorf("without facts (-want +got):\n%s", diff)
	}
	if !meta.IsStatusConditionTrue(out.Conditions, networkstackv1alpha1.ConditionAccepted) {
		t.Error("the spec is no longer accepted, although nobody has judged it")
	}

	bad := &compose.Result{
		Errors:   []compose.Finding{{Rule: "A-C", Field: "spec", Message: "x"}},
		Warnings: []compose.Finding{{Rule: "A-D", Field: "spec", Message: "another"}},
	}
	fill(&scope{stack: stackOf(), facts: &facts.Snapshot{KubernetesVersion: "v1.37.3"}, result: bad}, &out)
	want := *first.DeepCopy()
	want.Warnings, want.Facts.KubernetesVersion = []string{"spec: another [A-D]"}, "v1.37.3"
	if diff := cmp.Diff(want, out, cmpopts.IgnoreFields(first, "Conditions")); diff != "" {
		t.Errorf("with a spec that is refused (-want +got):\n%s", diff)
	}
}

// TestFillFacts wants the status to show what is in effect, pins included.
func TestFillFacts(t *testing.T) {
	snapshot := &facts.Snapshot{DNSDomain: "cluster.local"}
	stack := stackOf(func(s *networkstackv1alpha1.NetworkStack) {
		s.Spec.Cluster = &networkstackv1alpha1.PinnedFacts{DNSDomain: "k8s.example.com"}
	})
	var out networkstackv1alpha1.NetworkStackStatus
	fill(&scope{stack: stack, facts: snapshot}, &out)
	if out.Facts.DNSDomain != "k8s.example.com" || snapshot.DNSDomain != "cluster.local" {
		t.Errorf("status %q, snapshot %q", out.Facts.DNSDomain, snapshot.DNSDomain)
	}
}

func TestSummaries(t *testing.T) {
	s := &scope{
		stack: stackOf(), result: &compose.Result{}, facts: &facts.Snapshot{},
		steps: []plan.Step{
			step("cni", plan.Keep, 0), step("kube-proxy", plan.Upgrade, 1), step("new", plan.Install, 2, "kube-proxy"),
			step("fresh", plan.Install, 1), step("old", plan.Remove, 0, "cni"),
		},
		components: components{
			component("old", 0), component("kube-proxy", 1), component("cni", 0, drifted()),
			// A stack that is in conflict or suspended has no steps, and its components are shown all the same.
			component("unplanned", 3, func(c *networkstackv1alpha1.NetworkComponent) {
				c.Status = networkstackv1alpha1.NetworkComponentStatus{}
			}),
		},
	}
	want := []networkstackv1alpha1.ComponentSummary{
		{Name: "cni", Type: "Type-cni", Version: "1.0.0", WantedVersion: "1.0.0", Phase: "Ready", Ready: true, Message: "cni is up", DriftCount: 5, LastDrift: "DaemonSet net/x, by kubectl"},
		{Name: "old", Type: "Type-old", Version: "1.0.0", Phase: "Ready", Message: "remove waits for cni"},
		{Name: "fresh", Type: "Type-fresh", WantedVersion: "1.0.0", Stage: 1, Phase: "Pending", Message: "to be installed"},
		// Ready as it was, not as it is wanted.
		{Name: "kube-proxy", Type: "Type-kube-proxy", Version: "1.0.0", WantedVersion: "2.0.0", Stage: 1, Phase: "Ready", Message: "to be changed"},
		{Name: "new", Type: "Type-new", WantedVersion: "1.0.0", Stage: 2, Phase: "Pending", Message: "install waits for kube-proxy"},
		{Name: "unplanned", Type: "Type-unplanned", WantedVersion: "1.0.0", Stage: 3, Phase: "Pending", Message: "about to start"},
	}
	var out networkstackv1alpha1.NetworkStackStatus
	fill(s, &out)
	if diff := cmp.Diff(want, out.Components); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if out.Summary.Components != "1/6" {
		t.Errorf("summary %q", out.Summary.Components)
	}
}

func TestFillDrifted(t *testing.T) {
	for _, tc := range []struct {
		name       string
		components components
		want       string
	}{
		{"no components", nil, "-NoDrift: no component has uncorrected drift"},
		{"corrected drift", components{component("cni", 0, drifted())}, "-NoDrift: no component has uncorrected drift"},
		{"open drift", components{component("cni", 0, drifted("DaemonSet net/x", "ConfigMap net/y")), component("dns", 1), component("mesh", 2, drifted("Service net/z"))},
			"+DriftDetected: cni: DaemonSet net/x, ConfigMap net/y; mesh: Service net/z"},
		{"not watched", components{component("cni", 0, unwatched), component("dns", 1), component("new", 1, fresh)},
			"?Progressing: not watched for drift at the moment: cni, new"},
		{"open drift beside what is not watched", components{component("cni", 0, drifted("DaemonSet net/x")), component("new", 1, fresh)},
			"+DriftDetected: cni: DaemonSet net/x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out networkstackv1alpha1.NetworkStackStatus
			fill(&scope{stack: stackOf(), components: tc.components}, &out)
			if got := said(out.Conditions)["Drifted"]; got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}
