package component

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/tools/events"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/drift"
	"github.com/networkstack/networkstack/internal/ignore"
	"github.com/networkstack/networkstack/internal/release"
)

// eventsOf are the events recorded so far.
func eventsOf(t *testing.T, r *Reconciler) []string {
	t.Helper()
	recorder, ok := r.Recorder.(*events.FakeRecorder)
	if !ok {
		t.Fatalf("recorder %T", r.Recorder)
	}
	var out []string
	for {
		select {
		case e := <-recorder.Events:
			out = append(out, e)
		default:
			return out
		}
	}
}

func agent(name string) release.Object {
	return release.Object{GVK: daemonSetKind, Namespace: "net", Name: name}
}

// TestCollectSuccess wants a finished job to be taken over once, and the last failure to be over with it.
func TestCollectSuccess(t *testing.T) {
	r, c := newReconciler(t), installed("cni", 0)
	rec := &record{failure: errors.New("timeout"), failedFor: "new", failures: 4, next: time.Now()}

	rec.job = newJob(jobApply, "new")
	r.collect(t.Context(), rec, c)
	if rec.job == nil || rec.settled != "" {
		t.Fatal("a job that is still at work was taken over")
	}

	rec.job = newJob(jobApply, "new", outcome{upgraded: true, release: &networkstackv1alpha1.ReleaseStatus{Revision: 2, ChartVersion: "1.0.0"}})
	r.collect(t.Context(), rec, c)
	if rec.job != nil || rec.settled != "new" || !rec.tracked || rec.failure != nil || rec.failures != 0 || !rec.next.IsZero() || rec.release.Revision != 2 {
		t.Errorf("afterwards: job %v, settled %q, tracked %v, %d failures (%v), release %v", rec.job, rec.settled, rec.tracked, rec.failures, rec.failure, rec.release)
	}
	want := []string{"Normal Applied revision 2 of release net/cni applied: chart cni 1.0.0, 0 objects"}
	if diff := cmp.Diff(want, eventsOf(t, r)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}

	rec.job = newJob(jobUninstall, "", outcome{})
	r.collect(t.Context(), rec, c)
	if !rec.uninstalled {
		t.Error("the uninstallation is not noted")
	}
}

func TestCollectFailure(t *testing.T) {
	timeout := errors.New("timeout")
	for _, tc := range []struct {
		name     string
		before   *record
		job      *job
		settled  string
		failures int32
		// quiet says that the failure is not noted at all.
		quiet bool
	}{
		{"the first", &record{settled: "old"}, newJob(jobApply, "new", outcome{err: timeout}), "old", 1, false},
		{"the next", &record{failure: timeout, failedFor: "new", failures: 3}, newJob(jobApply, "new", outcome{err: timeout}), "", 4, false},
		{"the first of another wish", &record{failure: timeout, failedFor: "old", failures: 3}, newJob(jobApply, "new", outcome{err: timeout}), "", 1, false},
		// What is wanted now has to be applied, although it had been.
		{"the release is gone", &record{settled: "new"}, newJob(jobVerify, "new", outcome{err: release.ErrNotDeployed, gone: true}), "", 1, false},
		// Some objects are of the new revision already, so the old one is nothing to hold them to.
		{"half way", &record{settled: "old", tracked: true}, newJob(jobApply, "new", outcome{err: timeout, partial: true}), "", 1, false},
		// The status goes on saying why what is wanted cannot be had.
		{"a correction while an upgrade fails", &record{settled: "old", tracked: true, failure: errors.New("no chart"), failedFor: "new", failures: 3},
			newJob(jobVerify, "old", outcome{err: timeout}), "old", 3, false},
		// The end of the process is nobody's failure.
		{"cut off", &record{settled: "old"}, newJob(jobApply, "new", outcome{err: fmt.Errorf("applying: %w", context.Canceled)}), "old", 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, rec := newReconciler(t), tc.before
			rec.job = tc.job
			inputs, start := rec.job.inputs, time.Now()
			r.collect(t.Context(), rec, installed("cni", 0))
			if rec.job != nil || rec.settled != tc.settled || rec.failures != tc.failures || (rec.failure == nil) != tc.quiet {
				t.Errorf("afterwards: job %v, settled %q, %d failures, %v", rec.job, rec.settled, rec.failures, rec.failure)
			}
			if got := len(eventsOf(t, r)); got != map[bool]int{false: 1, true: 0}[tc.quiet] {
				t.Errorf("%d events", got)
			}
			if tc.settled == "" && rec.tracked {
				t.Error("objects are held to what is not settled")
			}
			if tc.quiet || rec.failedFor != inputs {
				if inputs == "new" && !tc.quiet {
					t.Errorf("the failure is noted for %q", rec.failedFor)
				}
				return
			}
			wait := classify(rec.failure).wait(tc.failures)
			if rec.failedFor != inputs || rec.next.Before(start.Add(wait)) || rec.next.After(time.Now().Add(wait)) {
				t.Errorf("the next attempt is in %s for %q, want %s for %q", time.Until(rec.next), rec.failedFor, wait, inputs)
			}
		})
	}
}

// TestCollectReplaced wants what was put right to be told although the release is to be applied again, and nothing to be
// told as put right that was only looked at.
func TestCollectReplaced(t *testing.T) {
	restored := []release.Finding{{Object: agent("a"), Missing: true, Manager: release.UnknownManager}}
	told := "Warning ObjectRestored DaemonSet net/a: deleted by unknown; made again"
	failed := "Warning ReleaseFailed attempt 1 failed: " + errReleaseReplaced.Error()
	for _, tc := range []struct {
		name   string
		kind   jobKind
		out    outcome
		events []string
	}{
		{"after a look at everything", jobVerify, outcome{findings: restored, checked: "rules"}, []string{told, failed}},
		{"after a correction", jobCorrect, outcome{findings: restored, only: []release.Object{agent("a")}}, []string{told, failed}},
		{"nothing was put right", jobVerify, outcome{}, []string{failed}},
		{"nothing was to be put right", jobVerify, outcome{findings: restored, observed: true}, []string{failed}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, c := newReconciler(t), installed("cni", 0)
			rec := &record{wanted: "x", settled: "x", tracked: true, manifest: &release.Manifest{}}
			tc.out.err, tc.out.gone = errReleaseReplaced, true
			rec.job = newJob(tc.kind, "x", tc.out)
			r.collect(t.Context(), rec, c)
			if diff := cmp.Diff(tc.events, eventsOf(t, r)); diff != "" || int(rec.drift.Count) != len(tc.events)-1 {
				t.Errorf("%d drifts, events (-want +got):\n%s", rec.drift.Count, diff)
			}
			if rec.settled != "" || rec.tracked || rec.manifest != nil || rec.due() || !errors.Is(rec.failure, errReleaseReplaced) {
				t.Errorf("settled %q, tracked %v, manifest %v, failure %v", rec.settled, rec.tracked, rec.manifest, rec.failure)
			}
		})
	}
}

// TestReport wants every finding to be told once, and drift that is left to stay open until it is looked at again.
func TestReport(t *testing.T) {
	field := func(path, found string) release.FieldChange {
		p, err := ignore.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		return release.FieldChange{Path: p, Expected: "1", Found: found, Manager: "kubectl", Time: time.Unix(1e9, 0)}
	}
	found := func(names ...string) []release.Finding {
		var out []release.Finding
		for _, name := range names {
			out = append(out, release.Finding{Object: agent(name), Manager: "kubectl", Time: time.Unix(1e9, 0),
				Fields: []release.FieldChange{field(".spec.x", "2")}})
		}
		return out
	}
	only := func(names ...string) []release.Object {
		var out []release.Object
		for _, name := range names {
			out = append(out, agent(name))
		}
		return out
	}
	corrected := func(name string) string {
		return "Warning DriftCorrected DaemonSet net/" + name + ": .spec.x is 2 instead of 1, changed by kubectl; restored"
	}
	left := func(name string) string {
		return "Warning DriftDetected DaemonSet net/" + name + ": .spec.x is 2 instead of 1, changed by kubectl; left as it is (drift mode Warn)"
	}
	further := found("a")
	further[0].Fields = append(further[0].Fields, field(".spec.y", "3"))
	missing := []release.Finding{{Object: agent("a"), Missing: true, Manager: release.UnknownManager}}
	for _, tc := range []struct {
		name   string
		before []release.Finding
		out    outcome
		open   []string
		recent []string
		events []string
	}{
		{name: "nothing found", out: outcome{}},
		{"corrected", nil, outcome{findings: found("a", "b")}, nil, []string{"DriftCorrected b", "DriftCorrected a"}, []string{corrected("a"), corrected("b")}},
		{"restored", nil, outcome{findings: missing}, nil, []string{"ObjectRestored a"},
			[]string{"Warning ObjectRestored DaemonSet net/a: deleted by unknown; made again"}},
		{"left", nil, outcome{observed: true, only: only("a"), findings: found("a")}, []string{"a"}, []string{"DriftDetected a"}, []string{left("a")}},
		{"left, beside what was left before", found("a"), outcome{observed: true, only: only("b"), findings: found("b")},
			[]string{"a", "b"}, []string{"DriftDetected b"}, []string{left("b")}},
		{"left, as it was before", found("a"), outcome{observed: true, only: only("a"), findings: found("a")}, []string{"a"}, nil, nil},
		{"left, as it was before, among all", found("a"), outcome{observed: true, findings: found("a", "b")},
			[]string{"a", "b"}, []string{"DriftDetected b"}, []string{left("b")}},
		{"changed further", found("a"), outcome{observed: true, only: only("a"), findings: further}, []string{"a"}, []string{"DriftDetected a"},
			[]string{"Warning DriftDetected DaemonSet net/a: .spec.x is 2 instead of 1, .spec.y is 3 instead of 1, changed by kubectl; left as it is (drift mode Warn)"}},
		{"put right by whoever changed it", found("a", "b"), outcome{observed: true, only: only("a")}, []string{"b"}, nil, nil},
		{"everything put right", found("a", "b"), outcome{observed: true}, nil, nil, nil},
		{"corrected at last", found("a"), outcome{only: only("a"), findings: found("a")}, nil, []string{"DriftCorrected a"}, []string{corrected("a")}},
		{"applied over", found("a"), outcome{upgraded: true}, nil, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, rec, c := newReconciler(t), &record{open: tc.before, tracked: true}, installed("cni", 0)
			r.report(rec, c, tc.out)
			var s networkstackv1alpha1.NetworkComponentStatus
			fillDrift(c, rec, &s)
			var open, recent []string
			for _, f := range rec.open {
				open = append(open, f.Object.Name)
			}
			for i := range rec.drift.Recent {
				d := &rec.drift.Recent[i]
				recent = append(recent, d.Reason+" "+strings.TrimPrefix(d.Object, "DaemonSet net/"))
				if d.Time == nil || d.Manager == release.UnknownManager == (d.ChangedAt != nil) || len(d.Fields) > 0 && d.Fields[0].Found != "2" {
					t.Errorf("%+v", d)
				}
			}
			if diff := cmp.Diff(tc.open, open); diff != "" {
				t.Errorf("open (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.recent, recent); diff != "" || int(rec.drift.Count) != len(recent) {
				t.Errorf("%d drifts (-want +got):\n%s", rec.drift.Count, diff)
			}
			if (s.Drift != nil) != (len(recent) > 0) || s.Drift != nil && len(s.Drift.Open) != len(open) {
				t.Errorf("status: %+v", s.Drift)
			}
			if diff := cmp.Diff(tc.events, eventsOf(t, r)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// TestContested wants a field that somebody keeps putting back to be left to him, until something else is wanted.
func TestContested(t *testing.T) {
	r, rec, c := newReconciler(t), &record{tracked: true}, installed("cni", 0)
	path, err := ignore.Parse(".spec.x")
	if err != nil {
		t.Fatal(err)
	}
	f := release.Finding{Object: agent("a"), Manager: "robot", Fields: []release.FieldChange{{Path: path, Manager: "robot"}}}
	var s networkstackv1alpha1.NetworkComponentStatus
	for range 2 {
		r.report(rec, c, outcome{findings: []release.Finding{f}})
		fillDrift(c, rec, &s)
		if len(s.Drift.Contested) > 0 || said(s.Conditions)["Contested"] != "" {
			t.Fatalf("contested too early: %+v", s)
		}
	}
	r.report(rec, c, outcome{findings: []release.Finding{f}})
	fillDrift(c, rec, &s)
	want := "DaemonSet net/a: .spec.x was put back by robot, and corrected, 3 times within 10 minutes; " +
		"left to it from now on: stop that writer, or name the field in spec.drift.ignore"
	if got := said(s.Conditions)["Contested"]; got != "True DriftContested: "+want || len(s.Drift.Contested) != 1 {
		t.Errorf("%s\n%+v", got, s.Drift)
	}
	if e := eventsOf(t, r); len(e) != 4 || e[3] != "Warning DriftContested "+want {
		t.Errorf("%q", e)
	}
	if _, ok := r.checking(rec, c).rules.For("DaemonSet", "net", "a").Match(path, "robot"); !ok {
		t.Error("the field would be corrected still")
	}
	// The next process goes on with what stands in the status.
	c.Status = s
	next := newRecords().of(c, &s)
	if _, ok := r.checking(next, c).rules.For("DaemonSet", "net", "a").Match(path, "robot"); !ok {
		t.Error("the field would be corrected by the next process")
	}
	// Something else is wanted.
	r = newReconciler(t, c)
	seen := get(t, r, "cni")
	seen.Status = s
	rec = r.state.of(seen, &s)
	rec.settled = "old"
	reconcileOnce(t, r, "cni")
	if rec.job == nil || rec.job.kind != jobApply || len(rec.contests.Rules()) > 0 {
		t.Errorf("contested although something else is wanted: %+v", rec.contests)
	}
}

// TestStuck wants an object that cannot be restored to hold up no other, and an upgrade's failure to outlive corrections.
func TestStuck(t *testing.T) {
	r, rec, c := newReconciler(t), &record{settled: "x", tracked: true}, installed("cni", 0)
	refused := &release.ApplyError{Causes: []*release.ObjectError{{Object: agent("a"), Err: errors.New("immutable")}}}
	restored := release.Finding{Object: agent("b"), Missing: true, Manager: release.UnknownManager}
	rec.job = newJob(jobCorrect, "x", outcome{err: refused, only: []release.Object{agent("a"), agent("b")}, findings: []release.Finding{restored}})
	r.collect(t.Context(), rec, c)
	if rec.failure == nil || rec.drift.Count != 1 {
		t.Errorf("failure %v, %d drifts", rec.failure, rec.drift.Count)
	}
	if diff := cmp.Diff([]release.Object{agent("b")}, rec.notStuck([]release.Object{agent("a"), agent("b")})); diff != "" {
		t.Error(diff)
	}
	// The next correction is about others, and says nothing about the one that is stuck.
	rec.job = newJob(jobCorrect, "x", outcome{only: []release.Object{agent("b")}, findings: []release.Finding{restored}})
	r.collect(t.Context(), rec, c)
	if rec.failure == nil || rec.drift.Count != 2 {
		t.Errorf("failure %v, %d drifts", rec.failure, rec.drift.Count)
	}
	rec.job = newJob(jobVerify, "x", outcome{})
	r.collect(t.Context(), rec, c)
	if rec.failure != nil || len(rec.stuck) > 0 {
		t.Errorf("failure %v, stuck %v", rec.failure, rec.stuck)
	}
	// What is wanted cannot be had, whatever is corrected meanwhile.
	for _, out := range []outcome{{only: []release.Object{agent("b")}}, {err: refused, only: []release.Object{agent("a")}}} {
		rec.failure, rec.failedFor = errors.New("no chart"), "new"
		rec.job = newJob(jobCorrect, "x", out)
		r.collect(t.Context(), rec, c)
		if rec.failedFor != "new" || rec.failure.Error() != "no chart" {
			t.Errorf("the failure of what is wanted is gone: %v", rec.failure)
		}
	}
	if got := blamed(&release.ApplyError{Err: errors.New("away"), Causes: refused.Causes}); got != nil {
		t.Errorf("blamed %v for what others are about, too", got)
	}
}

// TestStuckIsWaitedForAlone wants objects that could not be restored to be left until their time has come, and what else
// differs to be put right meanwhile.
func TestStuckIsWaitedForAlone(t *testing.T) {
	for _, tc := range []struct {
		name    string
		drifted []release.Object
		rec     func(*record)
		want    jobKind
	}{
		{"nothing else differs", []release.Object{agent("a")}, nil, ""},
		{"something else does", []release.Object{agent("a"), agent("b")}, nil, jobCorrect},
		{"it is not known what stood in the way", []release.Object{agent("b")}, func(rec *record) { rec.stuck = nil }, ""},
		{"nothing is held to what was applied", []release.Object{agent("b")}, func(rec *record) { rec.tracked = false }, ""},
		{"its time has come", []release.Object{agent("a")}, func(rec *record) { rec.next = time.Now().Add(-time.Second) }, jobVerify},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newReconciler(t, installed("cni", 0))
			mapper := meta.NewDefaultRESTMapper(nil)
			mapper.Add(daemonSetKind, meta.RESTScopeNamespace)
			// There is no object at all, so whatever is expected is missing.
			r.Drift = drift.NewWatcher(metadatafake.NewSimpleMetadataClient(metadatafake.NewTestScheme()), mapper, logr.Discard(), func(string) {})
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan error, 1)
			go func() { over <- r.Drift.Start(ctx) }()
			defer func() {
				cancel()
				if err := <-over; err != nil {
					t.Error(err)
				}
			}()
			var applied []release.Applied
			for _, o := range tc.drifted {
				applied = append(applied, release.Applied{Object: o, ResourceVersion: "1", Fingerprint: "x"})
			}
			if err := r.Drift.Track("cni", applied); err != nil {
				t.Fatal(err)
			}
			err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
				return len(r.Drift.Drifted("cni")) == len(tc.drifted), nil
			})
			if err != nil {
				t.Fatalf("drifted: %v", r.Drift.Drifted("cni"))
			}
			seen := get(t, r, "cni")
			rec := r.state.of(seen, &seen.Status)
			rec.settled, rec.tracked, rec.checked = wishes(seen, map[string]any{}), true, digestOf(seen)
			rec.failure, rec.failedFor, rec.next, rec.stuck = errors.New("immutable"), rec.settled, time.Now().Add(time.Hour), []release.Object{agent("a")}
			if tc.rec != nil {
				tc.rec(rec)
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
