package component

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/drift"
	"github.com/networkstack/networkstack/internal/health"
	"github.com/networkstack/networkstack/internal/intent"
	"github.com/networkstack/networkstack/internal/keys"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/internal/status"
)

var daemonSetKind = appsv1.SchemeGroupVersion.WithKind("DaemonSet")

// installed is a component whose controller has seen it before.
func installed(name string, stage int32, changes ...func(*networkstackv1alpha1.NetworkComponent)) *networkstackv1alpha1.NetworkComponent {
	c := &networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: types.UID("uid of " + name), Generation: 2, Finalizers: []string{networkstackv1alpha1.Finalizer},
		Labels: map[string]string{networkstackv1alpha1.StackLabel: "default"},
	}}

	c.Spec.Stage, c.Spec.ReleaseName, c.Spec.Namespace = stage, name, "net"
	c.Spec.Chart = networkstackv1alpha1.ResolvedChart{Name: name, Version: "1.0.0"}
	for _, change := range changes {
		change(c)
	}
	return c
}

func leave(c *networkstackv1alpha1.NetworkComponent) {
	now := metav1.Now()
	c.DeletionTimestamp = &now
}

func uninstall(c *networkstackv1alpha1.NetworkComponent) {
	c.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
}

func suspend(c *networkstackv1alpha1.NetworkComponent) { c.Spec.Suspend = true }

// newJob is a job of which nobody works: it is finished when its outcome is given.
func newJob(kind jobKind, inputs string, results ...outcome) *job {
	j := &job{kind: kind, inputs: inputs, done: make(chan struct{})}
	for _, o := range results {
		j.outcome = o
		close(j.done)
	}
	return j
}

// newReconciler has no engine: its jobs wait for a start that does not come, so what it starts can be looked at.
func newReconciler(t *testing.T, objects ...client.Object) *Reconciler {
	t.Helper()
	r := idleReconciler(t, objects...)
	t.Cleanup(func() { endJobs(t, r) })
	return r
}

// idleReconciler is a reconciler of which nothing has been started.
func idleReconciler(t *testing.T, objects ...client.Object) *Reconciler {
	t.Helper()
	c := newClient(t, objects...)
	return &Reconciler{
		Catalog: &catalog.Source{},
		Client:  c, Live: c, Certificates: &certificates.Keeper{Live: c, Client: c}, Keys: &keys.Keeper{Live: c, Client: c}, Namespace: operatorNamespace, Recorder: events.NewFakeRecorder(100),
		Reports: health.NewReports(dynamicfake.NewSimpleDynamicClient(runtime.NewScheme()), meta.NewDefaultRESTMapper(nil), logr.Discard(), func(string) {}),
		Drift:   drift.NewWatcher(metadatafake.NewSimpleMetadataClient(metadatafake.NewTestScheme()), meta.NewDefaultRESTMapper(nil), logr.Discard(), func(string) {}),
		status:  status.NewWriter[networkstackv1alpha1.NetworkComponentStatus](c),
		state:   newRecords(), wakes: NewWakes(),
		runner: newRunner(1, func(string) {}),
	}
}

// endJobs starts the runner at the end of its life, so that no job is left behind: before a test cleans up, its context ends.
func endJobs(t *testing.T, r *Reconciler) {
	// All slots are taken: a job that was started finds only the end.
	for _, slots := range []chan struct{}{r.runner.slots, r.runner.quick} {
		for range cap(slots) {
			slots <- struct{}{}
		}
	}
	if err := r.runner.Start(t.Context()); err != nil {
		t.Error(err)
	}
}

func reconcileOnce(t *testing.T, r *Reconciler, name string) ctrl.Result {
	t.Helper()
	result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func get(t *testing.T, r *Reconciler, name string) *networkstackv1alpha1.NetworkComponent {
	t.Helper()
	var c networkstackv1alpha1.NetworkComponent
	if err := r.Get(t.Context(), client.ObjectKey{Name: name}, &c); err != nil {
		t.Fatal(err)
	}
	return &c
}

// said is what conditions say: status, reason and message of each.
func said(conditions []metav1.Condition) map[string]string {
	out := map[string]string{}
	for _, c := range conditions {
		out[c.Type] = string(c.Status) + " " + c.Reason + ": " + c.Message
	}
	return out
}

func TestJudge(t *testing.T) {
	workload := func(available int32) *appsv1.DaemonSet {
		ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "net", Name: "agent", Generation: 1}}
		ds.Status = appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 3, CurrentNumberScheduled: 3,
			UpdatedNumberScheduled: 3, NumberAvailable: available, NumberReady: available}
		return ds
	}
	objects := []release.Applied{{Object: release.Object{GVK: daemonSetKind, Namespace: "net", Name: "agent"}}}
	settled := func(r *record) { r.settled, r.wanted, r.objects = "x", "x", objects }
	at := func(phase networkstackv1alpha1.ComponentPhase) func(*record) {
		return func(r *record) {
			r.job = newJob(jobApply, "new")
			r.job.phase.Store(&phase)
		}
	}
	all := func(changes ...func(*record)) func(*record) {
		return func(r *record) {
			for _, change := range changes {
				change(r)
			}
		}
	}
	fails := func(err error, inputs string) func(*record) {
		return func(r *record) { r.failure, r.failedFor, r.failures = err, inputs, 3 }
	}
	const suspended = "suspended: nothing is installed, upgraded, corrected or removed"
	for _, tc := range []struct {
		name      string
		rec       func(*record)
		component func(*networkstackv1alpha1.NetworkComponent)
		available int32
		phase     networkstackv1alpha1.ComponentPhase
		ready     string
		how       string
	}{
		{name: "nothing done yet", phase: "Pending", ready: "False Progressing: about to start", how: "Reconciling"},
		{name: "settled for something else", rec: all(settled, func(r *record) { r.wanted = "y" }), available: 3,
			phase: "Pending", ready: "False Progressing: about to start", how: "Reconciling"},
		{name: "a job waits", rec: func(r *record) { r.job = newJob(jobApply, "x") },
			phase: "Pending", ready: "False Progressing: waiting for a free worker", how: "Reconciling"},
		{name: "fetching", rec: at("Fetching"), phase: "Fetching", ready: "False Progressing: fetching the chart", how: "Reconciling"},
		{name: "installing", rec: at("Installing"), phase: "Installing", ready: "False Installing: installing", how: "Reconciling"},
		{name: "upgrading a healthy release", rec: all(settled, at("Upgrading")), available: 3, phase: "Upgrading", ready: "False Upgrading: upgrading", how: "Reconciling"},
		{name: "trying again", rec: all(at("Installing"), fails(errors.New("timeout"), "new")),
			phase: "Failed", ready: "False ReleaseFailed: attempt 3 failed: timeout", how: "Reconciling"},
		// A failure that stays does not come and go with every attempt.
		{name: "trying again what failed for good", rec: all(at("Fetching"), fails(&chart.DigestError{Want: "a", Got: "b", Source: "s"}, "new")), phase: "Failed",
			ready: "False ChartUnavailable: attempt 3 failed: " + (&chart.DigestError{Want: "a", Got: "b", Source: "s"}).Error(), how: "Stalled"},
		// The last failure was for something that is no longer wanted.
		{name: "trying something else", rec: all(at("Installing"), fails(errors.New("timeout"), "old")),
			phase: "Installing", ready: "False Installing: installing", how: "Reconciling"},
		{name: "waiting after a failure", rec: fails(errors.New("timeout"), "x"),
			phase: "Failed", ready: "False ReleaseFailed: attempt 3 failed: timeout", how: "Reconciling"},
		{name: "a failure that stays", rec: fails(&chart.SourceError{URL: "https://example.com", Reason: "no such chart"}, "x"),
			phase: "Failed", ready: "False ChartUnavailable: attempt 3 failed: chart source https://example.com: no such chart", how: "Stalled"},
		{name: "values", rec: all(settled, func(r *record) { r.valuesProblem = intent.ValuesErrorf("Secret x/y does not exist") }), available: 3,
			phase: "Failed", ready: "False ValuesRejected: Secret x/y does not exist", how: "Stalled"},
		{name: "rolling out", rec: settled, available: 1, phase: "RollingOut", ready: "False NotHealthy: DaemonSet net/agent: 1 of 3 pods are available", how: "Reconciling"},
		{name: "ready", rec: settled, available: 3, phase: "Ready", ready: "True Ready: installed, and all workloads are available"},
		{name: "ready, with a release", rec: all(settled, func(r *record) {
			r.release = &networkstackv1alpha1.ReleaseStatus{Revision: 4, ChartVersion: "1.0.0"}
		}), available: 3, phase: "Ready", ready: "True Ready: cni 1.0.0 is installed (revision 4), and all workloads are available"},
		// Looking for drift is no reason to be less than Ready.
		{name: "ready while verifying", rec: all(settled, func(r *record) { r.job = newJob(jobVerify, "x") }), available: 3,
			phase: "Ready", ready: "True Ready: installed, and all workloads are available"},
		{name: "suspended", rec: settled, component: suspend, available: 3, phase: "Suspended", ready: "False Suspended: " + suspended},
		{name: "suspended after a failure", rec: fails(errors.New("x"), "x"), component: suspend, phase: "Suspended", ready: "False Suspended: " + suspended},
		{name: "leaving", rec: settled, component: leave, available: 3, phase: "Uninstalling", ready: "False Uninstalling: being uninstalled", how: "Reconciling"},
		{name: "leaving after others", component: leave, rec: func(r *record) { r.waitingFor = []string{"dns", "mesh"} },
			phase: "Uninstalling", ready: "False Uninstalling: waiting until dns, mesh is gone", how: "Reconciling"},
		{name: "leaving, failing", component: leave, rec: fails(errors.New("forbidden"), ""),
			phase: "Uninstalling", ready: "False Uninstalling: attempt 3 failed: forbidden", how: "Reconciling"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &Reconciler{Catalog: &catalog.Source{}, Client: newClient(t, workload(tc.available))}
			rec, c := &record{}, installed("cni", 0)
			if tc.rec != nil {
				tc.rec(rec)
			}
			if tc.component != nil {
				tc.component(c)
			}
			phase, set, err := r.judge(t.Context(), rec, c, &networkstackv1alpha1.NetworkComponentStatus{})
			if err != nil {
				t.Fatal(err)
			}
			var conditions []metav1.Condition
			set(&conditions, c.Generation)
			want := map[string]string{"Ready": tc.ready}
			if tc.how != "" {
				want[tc.how] = strings.Replace(tc.ready, "False", "True", 1)
			}
			if diff := cmp.Diff(want, said(conditions)); phase != tc.phase || diff != "" {
				t.Errorf("phase %s, want %s; -want +got:\n%s", phase, tc.phase, diff)
			}
		})
	}
}

func TestFillDrifted(t *testing.T) {
	open := release.Finding{Object: agent("agent")}
	for _, tc := range []struct {
		name string
		rec  *record
		want string
	}{
		{"not watched", &record{}, "Unknown Progressing: not watched for drift at the moment"},
		{"none so far", &record{tracked: true}, "False NoDrift: every object is as it was applied"},
		{"corrected", &record{tracked: true, drift: networkstackv1alpha1.DriftStatus{Count: 2, Recent: []networkstackv1alpha1.Drift{{Object: "DaemonSet net/agent", Manager: "kubectl"}}}},
			"False DriftCorrected: every object is as it was applied; last restored: DaemonSet net/agent, changed by kubectl"},
		{"left so", &record{tracked: true, open: []release.Finding{open}, drift: networkstackv1alpha1.DriftStatus{Count: 2}},
			"True DriftDetected: changed by somebody else, and left so: DaemonSet net/agent"},
		{"could not be corrected", &record{tracked: true, settled: "x", failedFor: "x", failure: errors.New("forbidden"), drift: networkstackv1alpha1.DriftStatus{Count: 2}},
			"Unknown ReleaseFailed: an object that differs could not be restored"},
		// What is installed is watched, although what is wanted cannot be had.
		{"an upgrade failed", &record{tracked: true, settled: "x", failedFor: "y", failure: errors.New("forbidden")}, "False NoDrift: every object is as it was applied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s networkstackv1alpha1.NetworkComponentStatus
			fillDrifted(installed("cni", 0), tc.rec, &s)
			if diff := cmp.Diff(map[string]string{"Drifted": tc.want}, said(s.Conditions)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestReconcileStarts looks at what is started for a component, without letting it run.
func TestReconcileStarts(t *testing.T) {
	digest := func(r *Reconciler, c *networkstackv1alpha1.NetworkComponent) string {
		return wishes(c, map[string]any{})
	}
	past, future := time.Now().Add(-time.Minute), time.Now().Add(time.Minute)
	for _, tc := range []struct {
		name      string
		component func(*networkstackv1alpha1.NetworkComponent)
		rec       func(rec *record, wanted string)
		// want is the kind of job that is under way afterwards.
		want jobKind
	}{
		{"a new component is installed", nil, nil, jobApply},
		{"a settled one is watched for drift, after a first look", nil, func(r *record, w string) { r.settled = w }, jobVerify},
		{"a settled one that is watched is left alone", nil, func(r *record, w string) { r.settled, r.tracked = w, true }, ""},
		{"a changed wish is applied", nil, func(r *record, _ string) { r.settled, r.tracked = "old", true }, jobApply},
		{"a failure of something that is no longer wanted is over", nil, func(r *record, w string) {
			r.settled, r.tracked, r.failure, r.failedFor, r.next = w, true, errors.New("x"), "other", past
		}, ""},
		// What is installed is looked after while what is wanted cannot be had.
		{"drift is corrected while an upgrade is waited for", nil, func(r *record, w string) {
			r.settled, r.failure, r.failedFor, r.next = "old", errors.New("x"), w, future
		}, jobVerify},
		{"drift is corrected while values cannot be used", func(c *networkstackv1alpha1.NetworkComponent) {
			c.Spec.ValuesFrom = []networkstackv1alpha1.ValuesReference{from(networkstackv1alpha1.ValuesFromSecret, "gone")}
		}, func(r *record, _ string) { r.settled = "old" }, jobVerify},
		{"a failed correction is waited for", nil, func(r *record, w string) {
			r.settled, r.failure, r.failedFor, r.next = w, errors.New("x"), w, future
		}, ""},
		{"and tried again in its turn", nil, func(r *record, w string) {
			r.settled, r.failure, r.failedFor, r.next = w, errors.New("x"), w, past
		}, jobVerify},
		{"a failure is waited for", nil, func(r *record, w string) { r.failure, r.failedFor, r.next = errors.New("x"), w, future }, ""},
		{"and tried again", nil, func(r *record, w string) { r.failure, r.failedFor, r.next = errors.New("x"), w, past }, jobApply},
		{"a failure of another wish is not waited for", nil, func(r *record, _ string) { r.failure, r.failedFor, r.next = errors.New("x"), "old", future }, jobApply},
		{"what is under way is not cut off", nil, func(r *record, _ string) { r.job = newJob(jobUninstall, "old") }, jobUninstall},
		{"nothing is verified that is to be ignored", func(c *networkstackv1alpha1.NetworkComponent) { c.Spec.DriftMode = networkstackv1alpha1.DriftIgnore },
			func(r *record, w string) { r.settled = w }, ""},
		{"what was left is looked at when it is to be corrected", nil, func(r *record, w string) {
			r.settled, r.tracked, r.open, r.checked = w, true, []release.Finding{{Object: agent("x")}}, "by mode Warn"
		}, jobVerify},
		{"everything is looked at when other fields are to be ignored", func(c *networkstackv1alpha1.NetworkComponent) {
			c.Spec.DriftIgnore = []networkstackv1alpha1.DriftIgnoreRule{{Paths: []string{".spec"}}}
		}, func(r *record, w string) {
			r.settled, r.tracked, r.checked = w, true, digestOf(installed("cni", 0))
		}, jobVerify},
		{"and when a contest is over", nil, func(r *record, w string) {
			r.settled, r.tracked = w, true
			long := metav1.NewTime(time.Now().Add(-2 * time.Hour))
			r.contests.Restore([]networkstackv1alpha1.ContestedField{{Object: "DaemonSet net/a", Path: ".spec.x", Manager: "robot", Since: &long}})
		}, jobVerify},
		{"what was left is left while it is only to be reported", func(c *networkstackv1alpha1.NetworkComponent) { c.Spec.DriftMode = networkstackv1alpha1.DriftWarn },
			func(r *record, w string) {
				r.settled, r.tracked, r.open = w, true, []release.Finding{{Object: agent("x")}}
			}, ""},
		{"nothing is done while suspended", suspend, nil, ""},
		{"values that cannot be used are waited for", func(c *networkstackv1alpha1.NetworkComponent) {
			c.Spec.ValuesFrom = []networkstackv1alpha1.ValuesReference{from(networkstackv1alpha1.ValuesFromSecret, "gone")}
		}, nil, ""},
		{"leaving without uninstalling starts nothing", leave, nil, ""},
		{"leaving", func(c *networkstackv1alpha1.NetworkComponent) { leave(c); uninstall(c) }, nil, jobUninstall},
		{"leaving while suspended", func(c *networkstackv1alpha1.NetworkComponent) { leave(c); uninstall(c); suspend(c) }, nil, ""},
		{"leaving after a failure to leave", func(c *networkstackv1alpha1.NetworkComponent) { leave(c); uninstall(c) },
			func(r *record, _ string) { r.failure, r.next = errors.New("x"), future }, ""},
		{"leaving while an upgrade is under way", func(c *networkstackv1alpha1.NetworkComponent) { leave(c); uninstall(c) },
			func(r *record, _ string) { r.job = newJob(jobApply, "x") }, jobApply},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := installed("cni", 0)
			if tc.component != nil {
				tc.component(c)
			}
			r := newReconciler(t, c)
			seen := get(t, r, "cni")
			rec := r.state.of(seen, &seen.Status)
			if tc.rec != nil {
				tc.rec(rec, digest(r, seen))
			}
			if rec.tracked && rec.checked == "" {
				rec.checked = digestOf(seen)
			}
			reconcileOnce(t, r, "cni")
			var got jobKind
			if rec.job != nil {
				got = rec.job.kind
			}
			if got != tc.want {
				t.Errorf("under way: %q, want %q", got, tc.want)
			}
		})
	}
}

// TestReconcileLeaves covers who may go, and when.
func TestReconcileLeaves(t *testing.T) {
	stack := func(policy networkstackv1alpha1.DeletionPolicy, goes bool) *networkstackv1alpha1.NetworkStack {
		s := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "default", Finalizers: []string{networkstackv1alpha1.Finalizer}}}
		s.Spec.DeletionPolicy = policy
		if goes {
			now := metav1.Now()
			s.DeletionTimestamp = &now
		}
		return s
	}
	gone := func(r *record) { r.uninstalled = true }
	for _, tc := range []struct {
		name      string
		component *networkstackv1alpha1.NetworkComponent
		others    []client.Object
		rec       func(*record)
		// gone says that the finalizer went; else message says what it waits for.
		gone    bool
		message string
	}{
		{"by mistake: nothing is uninstalled", installed("cni", 0, leave), []client.Object{stack(networkstackv1alpha1.DeletionDelete, false)}, nil, true, ""},
		{"orphaned with its stack", installed("cni", 0, leave), []client.Object{stack(networkstackv1alpha1.DeletionOrphan, true)}, nil, true, ""},
		{"without a stack", installed("cni", 0, leave), nil, nil, true, ""},
		// A foreground deletion of the stack deletes components before their policy is written.
		{"with a stack that uninstalls", installed("cni", 0, leave), []client.Object{stack(networkstackv1alpha1.DeletionDelete, true)}, nil, false, "being uninstalled"},
		{"after a stage that leaves too", installed("cni", 0, leave, uninstall), []client.Object{installed("dns", 1, leave, uninstall), installed("mesh", 2)}, nil,
			false, "waiting until dns is gone"},
		{"after every later stage when the stack goes", installed("cni", 0, leave, uninstall),
			[]client.Object{stack(networkstackv1alpha1.DeletionDelete, true), installed("dns", 1), installed("mesh", 2), installed("peer", 0)}, nil, false, "waiting until dns, mesh is gone"},
		{"uninstalled", installed("cni", 0, leave, uninstall), nil, gone, true, ""},
		{"orphaned after it was suspended", installed("cni", 0, leave, suspend), nil, nil, true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newReconciler(t, append(slices.Clone(tc.others), tc.component)...)
			seen := get(t, r, "cni")
			rec := r.state.of(seen, &seen.Status)
			if tc.rec != nil {
				tc.rec(rec)
			}
			reconcileOnce(t, r, "cni")
			var c networkstackv1alpha1.NetworkComponent
			err := r.Get(t.Context(), client.ObjectKey{Name: "cni"}, &c)
			if tc.gone {
				if client.IgnoreNotFound(err) != nil || err == nil {
					t.Errorf("still there: %v, %v", said(c.Status.Conditions), err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := said(c.Status.Conditions)["Ready"]; got != "False Uninstalling: "+tc.message {
				t.Errorf("says %q, want %q", got, tc.message)
			}
		})
	}
}

// TestReconcileNew wants the finalizer before anything is installed, and a status that says what goes on.
func TestReconcileNew(t *testing.T) {
	c := installed("cni", 0)
	c.Finalizers = nil
	r := newReconciler(t, c)
	reconcileOnce(t, r, "cni")
	got := get(t, r, "cni")
	if diff := cmp.Diff([]string{networkstackv1alpha1.Finalizer}, got.Finalizers); diff != "" {
		t.Errorf("finalizers (-want +got):\n%s", diff)
	}
	want := map[string]string{
		"Ready": "False Progressing: waiting for a free worker", "Reconciling": "True Progressing: waiting for a free worker",
		"Drifted": "Unknown Progressing: not watched for drift at the moment"}
	if diff := cmp.Diff(want, said(got.Status.Conditions)); diff != "" || got.Status.ObservedGeneration != c.Generation {
		t.Errorf("generation %d; -want +got:\n%s", got.Status.ObservedGeneration, diff)
	}
	if result := reconcileOnce(t, r, "cni"); result != (ctrl.Result{}) {
		t.Errorf("comes back by itself while a job is under way: %+v", result)
	}
}

// TestReconcileGone wants nothing to be remembered of a component that is gone.
func TestReconcileGone(t *testing.T) {
	r := newReconciler(t)
	r.state.of(installed("cni", 0), &networkstackv1alpha1.NetworkComponentStatus{})
	reconcileOnce(t, r, "cni")
	if r.state.drop("cni") != nil {
		t.Error("its record is still there")
	}
}

// TestReconcileReverted wants the failure of a wish to be over when the wish is taken back: nothing else would end it.
func TestReconcileReverted(t *testing.T) {
	r := newReconciler(t, installed("cni", 0))
	seen := get(t, r, "cni")
	rec := r.state.of(seen, &seen.Status)
	rec.settled, rec.tracked = wishes(seen, map[string]any{}), true
	rec.failure, rec.failedFor, rec.failures, rec.next = errors.New("no such chart"), "another wish", 3, time.Now().Add(time.Hour)
	if result := reconcileOnce(t, r, "cni"); result != (ctrl.Result{}) {
		t.Errorf("comes back by itself: %+v", result)
	}
	got := get(t, r, "cni").Status
	if got.Phase != networkstackv1alpha1.PhaseReady || got.Failures != 0 || got.NextAttempt != nil {
		t.Errorf("phase %s, %d failures, next attempt %v", got.Phase, got.Failures, got.NextAttempt)
	}
}

// TestReconcileFailedVerification wants a verification that failed to be made again in full, once its time has come: the
// drift it was about may be gone by then, and nothing else would end the failure.
func TestReconcileFailedVerification(t *testing.T) {
	r := newReconciler(t, installed("cni", 0))
	seen := get(t, r, "cni")
	rec := r.state.of(seen, &seen.Status)
	rec.settled, rec.tracked = wishes(seen, map[string]any{}), true
	rec.failure, rec.failedFor, rec.failures, rec.next = errors.New("forbidden"), rec.settled, 1, time.Now().Add(-time.Second)
	if result := reconcileOnce(t, r, "cni"); result != (ctrl.Result{}) {
		t.Errorf("comes back by itself while it verifies: %+v", result)
	}
	if rec.job == nil || rec.job.kind != jobVerify {
		t.Errorf("no verification was started: %+v", rec.job)
	}
}
