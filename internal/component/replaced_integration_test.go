package component

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/drift"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/test/controlplane"
)

// replacedEnv is one component on a real API server, reconciled by the test alone.
type replacedEnv struct {
	t       *testing.T
	r       *Reconciler
	cp      *controlplane.ControlPlane
	cluster kubernetes.Interface
	charts  string
}

func newReplacedEnv(t *testing.T) *replacedEnv {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	cp := controlplane.ForTest(t, controlplane.Options{})
	e := &replacedEnv{t: t, cp: cp, charts: t.TempDir(), r: idleReconciler(t, installed("maps", 0, func(c *networkstackv1alpha1.NetworkComponent) {
		c.Spec.NamespaceLabels = map[string]string{"test": "yes"}
	}))}
	archive(t, e.charts, "maps", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata: {by: {{ .Values.by | default \"operator\" }}}\n")
	var err error
	if e.cluster, err = kubernetes.NewForConfig(cp.RESTConfig()); err != nil {
		t.Fatal(err)
	}
	if e.r.Engine, err = release.NewEngine(cp.RESTConfig(), release.Options{}); err != nil {
		t.Fatal(err)
	}
	objects, err := metadata.NewForConfig(cp.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"ConfigMap", "Secret"} {
		mapper.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	e.r.Drift = drift.NewWatcher(objects, mapper, logr.Discard(), func(string) {})
	e.r.Charts, e.r.ChartDirs = chart.NewLoader(chart.Options{CacheDir: t.TempDir()}), []string{e.charts}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 2)
	go func() { over <- e.r.runner.Start(ctx) }()
	go func() { over <- e.r.Drift.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range cap(over) {
			if err := <-over; err != nil {
				t.Error(err)
			}
		}
	})
	return e
}

// until reconciles until the status is as wanted.
func (e *replacedEnv) until(what string, done func(*networkstackv1alpha1.NetworkComponentStatus) bool) *networkstackv1alpha1.NetworkComponentStatus {
	e.t.Helper()
	var s networkstackv1alpha1.NetworkComponentStatus
	err := wait.PollUntilContextTimeout(e.t.Context(), 50*time.Millisecond, 2*time.Minute, true, func(context.Context) (bool, error) {
		reconcileOnce(e.t, e.r, "maps")
		s = get(e.t, e.r, "maps").Status
		return done(&s), nil
	})
	if err != nil {
		e.t.Fatalf("%s: %v: phase %s, release %+v, drift %+v, conditions %v, events %q", what, err, s.Phase, s.Release, s.Drift, said(s.Conditions), eventsOf(e.t, e.r))
	}
	return &s
}

// ready waits until a revision is installed and nothing is under way.
func (e *replacedEnv) ready(revision int32) *networkstackv1alpha1.NetworkComponentStatus {
	e.t.Helper()
	return e.until("ready", func(s *networkstackv1alpha1.NetworkComponentStatus) bool {
		return s.Phase == networkstackv1alpha1.PhaseReady && s.Release.Revision == revision && s.Failures == 0
	})
}

// upgrade makes a revision with Helm's own command line.
func (e *replacedEnv) upgrade(by string) {
	e.t.Helper()
	e.helm("upgrade", "maps", filepath.Join(e.charts, "maps-1.0.0.tgz"), "--set", "by="+by)
}

func (e *replacedEnv) helm(args ...string) {
	e.t.Helper()
	path, err := controlplane.Helm(e.t.Context(), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	out, err := exec.CommandContext(e.t.Context(), path, append(args, "--namespace", "net", "--kubeconfig", e.cp.Kubeconfig())...).CombinedOutput()
	if err != nil {
		e.t.Fatalf("%v: %s", err, out)
	}
}

// expect compares what is there: the latest revision, whether the operator made it, and whose the object is.
func (e *replacedEnv) expect(revision int, ours bool, by string) {
	e.t.Helper()
	state, err := e.r.Engine.State(e.t.Context(), "maps", "net")
	if err != nil || state.Revision != revision || (state.Inputs != "") != ours {
		e.t.Errorf("%+v %v, want revision %d, made by the operator: %v", state, err, revision, ours)
	}
	cm, err := e.cluster.CoreV1().ConfigMaps("net").Get(e.t.Context(), "config", metav1.GetOptions{})
	if err != nil || cm.Data["by"] != by {
		e.t.Errorf("%v %v, want %s", cm.Data, err, by)
	}
}

func (e *replacedEnv) change(change func(*networkstackv1alpha1.NetworkComponent)) {
	e.t.Helper()
	c := get(e.t, e.r, "maps")
	change(c)
	if err := e.r.Update(e.t.Context(), c); err != nil {
		e.t.Fatal(err)
	}
}

// Somebody makes a revision with Helm's own command line. While drift is only reported it stays, with all that came of it;
// when drift is corrected, what is wanted is applied again, and what was put right is told.
func TestReleaseReplaced(t *testing.T) {
	e := newReplacedEnv(t)
	e.change(func(c *networkstackv1alpha1.NetworkComponent) { c.Spec.DriftMode = networkstackv1alpha1.DriftWarn })
	e.ready(1)
	e.expect(1, true, "operator")
	eventsOf(t, e.r)

	e.upgrade("helm")
	s := e.until("the drift to be reported", func(s *networkstackv1alpha1.NetworkComponentStatus) bool { return s.Drift != nil || s.Failures > 0 })
	// Helm takes away what its chart does not render, such as the component's label.
	const found = `ConfigMap net/config: .data.by is "helm" instead of "operator", ` +
		`.metadata.labels["networkstack.io/component"] is (none) instead of "maps" by unknown, changed by helm; `
	if diff := cmp.Diff([]string{"Warning DriftDetected " + found + "left as it is (drift mode Warn)"}, eventsOf(t, e.r)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := said(s.Conditions)["Drifted"]; got != "True DriftDetected: changed by somebody else, and left so: ConfigMap net/config" {
		t.Errorf("says %q", got)
	}
	// The same when the watches know of the revision, and when everything is looked at.
	e.until("the revision to be noticed", func(*networkstackv1alpha1.NetworkComponentStatus) bool { return !e.r.Drift.Superseded("maps").IsZero() })
	e.change(func(c *networkstackv1alpha1.NetworkComponent) {
		c.Spec.DriftIgnore = []networkstackv1alpha1.DriftIgnoreRule{{Kind: "Secret", Paths: []string{".data"}}}
	})
	c := get(t, e.r, "maps")
	rec := e.r.state.of(c, &c.Status)
	s = e.until("everything to be looked at", func(s *networkstackv1alpha1.NetworkComponentStatus) bool {
		return rec.checked == digestOf(c) || s.Failures > 0
	})
	if s.Phase != networkstackv1alpha1.PhaseReady || s.Failures > 0 || s.Drift.Count != 1 || len(s.Drift.Open) != 1 {
		t.Errorf("phase %s, %d failures, drift %+v", s.Phase, s.Failures, s.Drift)
	}
	e.until("nothing to be under way", func(*networkstackv1alpha1.NetworkComponentStatus) bool { return rec.job == nil })
	e.expect(2, false, "helm")

	// Now it is to be corrected: everything is looked at, and with the object the release is put right.
	corrected := []string{
		"Warning DriftCorrected " + found + "restored", "Warning ReleaseFailed attempt 1 failed: " + errReleaseReplaced.Error(),
	}
	e.change(func(c *networkstackv1alpha1.NetworkComponent) { c.Spec.DriftMode = networkstackv1alpha1.DriftCorrect })
	s = e.ready(3)
	e.expect(3, true, "operator")
	applied := func(revision string) string {
		return "Normal Applied revision " + revision + " of release net/maps applied: chart maps 1.0.0, 1 objects"
	}
	if diff := cmp.Diff(append(corrected, applied("3")), eventsOf(t, e.r)); diff != "" || s.Drift.Count != 2 || len(s.Drift.Open) != 0 {
		t.Errorf("drift %+v, events (-want +got):\n%s", s.Drift, diff)
	}
	// And when the watches notice it.
	e.upgrade("other")
	s = e.ready(5)
	e.expect(5, true, "operator")
	corrected[0] = strings.Replace(corrected[0], `"helm"`, `"other"`, 1)
	if diff := cmp.Diff(append(corrected, applied("5")), eventsOf(t, e.r)); diff != "" || s.Drift.Count != 3 {
		t.Errorf("drift %+v, events (-want +got):\n%s", s.Drift, diff)
	}
}

// Somebody removes a release while its objects cannot be restored for a moment. That it is gone is not forgotten over that.
func TestReleaseTaken(t *testing.T) {
	e := newReplacedEnv(t)
	e.ready(1)
	c := get(t, e.r, "maps")
	rec := e.r.state.of(c, &c.Status)
	e.helm("uninstall", "maps")
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		at := e.r.Drift.Superseded("maps")
		return !at.IsZero() && !at.After(time.Now()), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	rec.failure, rec.failedFor, rec.failures, rec.next = errors.New("cannot be restored"), rec.settled, 1, time.Now()
	eventsOf(t, e.r)
	e.until("the release to be installed again", func(*networkstackv1alpha1.NetworkComponentStatus) bool {
		state, err := e.r.Engine.State(t.Context(), "maps", "net")
		return err == nil && state.Status == deployed
	})
	e.ready(1)
	e.expect(1, true, "operator")
	// Nothing is left to be looked at.
	e.until("nothing to be under way", func(*networkstackv1alpha1.NetworkComponentStatus) bool { return rec.job == nil })
}
