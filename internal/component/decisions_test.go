package component

import (
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/release"
)

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want verdict
	}{
		{"another digest than the pinned one", &chart.DigestError{}, verdict{reason: networkstackv1alpha1.ReasonChartUnavailable, permanent: true}},
		{"a source that refuses", &chart.SourceError{}, verdict{reason: networkstackv1alpha1.ReasonChartUnavailable, permanent: true}},
		{"a source that is down", &chart.SourceError{Temporary: true}, verdict{reason: networkstackv1alpha1.ReasonChartUnavailable}},
		{"somebody else's Secret without a key", &certificates.SecretError{}, verdict{reason: networkstackv1alpha1.ReasonCertificateInvalid, permanent: true}},
		{"somebody else's object", &release.ConflictError{}, verdict{reason: networkstackv1alpha1.ReasonConflict, permanent: true}},
		{"values that the chart refuses", &release.RenderError{Err: errors.New("x")}, verdict{reason: networkstackv1alpha1.ReasonReleaseFailed, permanent: true}},
		{"a CRD that would lose objects", &release.CRDVersionError{}, verdict{reason: networkstackv1alpha1.ReasonReleaseFailed, permanent: true}},
		{"an object that the API server refuses", &release.ApplyError{Err: errors.New("timeout")}, verdict{reason: networkstackv1alpha1.ReasonReleaseFailed}},
		{"a kind that is to come", &awaitingError{err: errors.New("x")}, verdict{reason: networkstackv1alpha1.ReasonWaiting, awaiting: true}},
		{"anything else", errors.New("connection refused"), verdict{reason: networkstackv1alpha1.ReasonReleaseFailed}},
	} {
		for wrapping, err := range map[string]error{"bare": tc.err, "wrapped": fmt.Errorf("loading: %w", tc.err)} {
			if got := classify(err); got != tc.want {
				t.Errorf("%s, %s: %+v, want %+v", tc.name, wrapping, got, tc.want)
			}
		}
	}
}

func TestRetryIn(t *testing.T) {
	answered := func(reason metav1.StatusReason) error {
		return &release.ApplyError{Causes: []*release.ObjectError{{Verb: "apply", Reason: reason, Err: errors.New("x")}}}
	}
	lost := &url.Error{Op: "Patch", URL: "https://x", Err: errors.New("connection refused")}
	for _, tc := range []struct {
		name string
		err  error
		want time.Duration
	}{
		{"a lost connection", &release.ApplyError{Causes: []*release.ObjectError{{Err: lost}}}, passingWait},
		{"too many requests", answered(metav1.StatusReasonTooManyRequests), passingWait},
		{"a server without its storage", answered(metav1.StatusReasonInternalError), passingWait},
		{"an object that is refused", answered(metav1.StatusReasonInvalid), longWait},
		{"a missing permission", answered(metav1.StatusReasonForbidden), longWait},
		{"somebody else's object", &release.ConflictError{}, permanentWait},
		{"a chart source that is down", fmt.Errorf("%w: %w", &chart.SourceError{Temporary: true}, lost), longWait},
	} {
		if got := retryIn(tc.err, 20); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if got := retryIn(tc.err, 1); got > permanentWait || !classify(tc.err).permanent && got != firstWait {
			t.Errorf("%s, the first time: %s", tc.name, got)
		}
	}
}

func TestWait(t *testing.T) {
	for _, tc := range []struct {
		failures  int32
		permanent bool
		want      time.Duration
	}{
		{1, false, 2 * time.Second},
		{2, false, 4 * time.Second},
		{3, false, 8 * time.Second},
		{8, false, 256 * time.Second},
		{9, false, 5 * time.Minute},
		{10, false, 5 * time.Minute},
		// Doubling goes on for ever if nobody stops it, and becomes negative.
		{1 << 30, false, 5 * time.Minute},
		{0, false, 2 * time.Second},
		// Somebody has to put things right first: there is no point in being quick, nor in growing slow.
		{1, true, time.Minute},
		{9, true, time.Minute},
	} {
		if got := (verdict{permanent: tc.permanent}).wait(tc.failures); got != tc.want {
			t.Errorf("after %d failures (permanent: %v): %s, want %s", tc.failures, tc.permanent, got, tc.want)
		}
	}
}

func TestWishes(t *testing.T) {
	type values = map[string]any
	component := func() *networkstackv1alpha1.NetworkComponent {
		c := &networkstackv1alpha1.NetworkComponent{}
		c.Name, c.Generation = "cni", 1
		c.Spec = networkstackv1alpha1.NetworkComponentSpec{
			Type: "Cilium", ReleaseName: "cilium", Namespace: "kube-system",
			Chart:   networkstackv1alpha1.ResolvedChart{Repository: "https://example.com", Name: "cilium", Version: "1.0.0"},
			Sources: &networkstackv1alpha1.Sources{ImageRegistry: "registry.example.com"},
		}
		return c
	}
	base := wishes(component(), values{"a": 1, "b": values{"c": []any{1, 2}}})
	spec := func(change func(*networkstackv1alpha1.NetworkComponentSpec)) string {
		c := component()
		change(&c.Spec)
		return wishes(c, values{"a": 1, "b": values{"c": []any{1, 2}}})
	}
	type specChange = func(*networkstackv1alpha1.NetworkComponentSpec)
	certificate := func(s *networkstackv1alpha1.NetworkComponentSpec) {
		s.Certificates = []networkstackv1alpha1.Certificate{{SecretName: "x"}}
	}

	for name, change := range map[string]specChange{
		"chart version":    func(s *networkstackv1alpha1.NetworkComponentSpec) { s.Chart.Version = "1.0.1" },
		"chart name":       func(s *networkstackv1alpha1.NetworkComponentSpec) { s.Chart.Name = "other" },
		"chart repository": func(s *networkstackv1alpha1.NetworkComponentSpec) { s.Chart.Repository = "https://example.org" },
		"chart digest":     func(s *networkstackv1alpha1.NetworkComponentSpec) { s.Chart.Digest = "sha256:1" },
		"release name":     func(s *networkstackv1alpha1.NetworkComponentSpec) { s.ReleaseName = "other" },
		"namespace":        func(s *networkstackv1alpha1.NetworkComponentSpec) { s.Namespace = "other" },
		"namespace labels": func(s *networkstackv1alpha1.NetworkComponentSpec) { s.NamespaceLabels = map[string]string{"a": "b"} },
		"image registry":   func(s *networkstackv1alpha1.NetworkComponentSpec) { s.Sources.ImageRegistry = "other.example.com" },
		"mirrors": func(s *networkstackv1alpha1.NetworkComponentSpec) {
			s.Sources.Mirrors = []networkstackv1alpha1.Mirror{{Source: "https://a", Mirror: "https://b"}}
		},
		"charts directory": func(s *networkstackv1alpha1.NetworkComponentSpec) { s.Sources.ChartsDirectory = "/charts" },
		"certificates":     certificate,
		"no sources":       func(s *networkstackv1alpha1.NetworkComponentSpec) { s.Sources = nil },
	} {
		if spec(change) == base {
			t.Errorf("another %s makes no difference", name)
		}
	}
	for name, v := range map[string]values{
		"value": {"a": 2, "b": values{"c": []any{1, 2}}}, "value inside": {"a": 1, "b": values{"c": []any{2, 1}}},
		"value less": {"b": values{"c": []any{1, 2}}}, "value more": {"a": 1, "b": values{"c": []any{1, 2}}, "d": nil}, "no values": nil,
	} {
		if wishes(component(), v) == base {
			t.Errorf("%s makes no difference", name)
		}
	}

	// What does not decide what is applied may not make a new revision.
	for name, change := range map[string]specChange{
		"drift mode": func(s *networkstackv1alpha1.NetworkComponentSpec) { s.DriftMode = networkstackv1alpha1.DriftWarn },
		"deletion policy": func(s *networkstackv1alpha1.NetworkComponentSpec) {
			s.DeletionPolicy = networkstackv1alpha1.DeletionDelete
		},
		"suspend": func(s *networkstackv1alpha1.NetworkComponentSpec) { s.Suspend = true },
		"progress deadline": func(s *networkstackv1alpha1.NetworkComponentSpec) {
			s.ProgressDeadline = &metav1.Duration{Duration: time.Hour}
		},
		"stage": func(s *networkstackv1alpha1.NetworkComponentSpec) { s.Stage = 7 },
		// Values count as what they were merged to, wherever they came from.
		"source of values": func(s *networkstackv1alpha1.NetworkComponentSpec) {
			s.Values, s.DerivedValues = raw(`{"x":1}`), raw(`{"y":1}`)
			s.ValuesFrom = []networkstackv1alpha1.ValuesReference{{Name: "x"}}
			s.ControlledValues = []networkstackv1alpha1.ControlledValue{{Path: "z"}}
		},
	} {
		if spec(change) != base {
			t.Errorf("another %s makes a difference", name)
		}
	}
	// One number is one number, whichever decoder it went through.
	if got := wishes(component(), values{"a": float64(1), "b": values{"c": []any{int64(1), 2}}}); got != base {
		t.Error("another spelling of a number makes a difference")
	}
}

func TestUndecided(t *testing.T) {
	job := func(phase networkstackv1alpha1.ComponentPhase) *job {
		j := newJob(jobApply, "")
		if phase != "" {
			j.phase.Store(&phase)
		}
		return j
	}
	type change struct {
		rec       func(*record)
		component func(*networkstackv1alpha1.NetworkComponent)
		status    func(*networkstackv1alpha1.NetworkComponentStatus)
	}
	for _, tc := range []struct {
		name string
		change
		want bool
	}{
		{"an earlier process said Ready, this one knows nothing yet", change{}, true},
		{"its job waits for a worker", change{rec: func(r *record) { r.job = job("") }}, true},
		{"its job looks for the chart", change{rec: func(r *record) { r.job = job(networkstackv1alpha1.PhaseFetching) }}, true},
		{"its job has found something to do", change{rec: func(r *record) { r.job = job(networkstackv1alpha1.PhaseUpgrading) }}, false},
		{"its job installs", change{rec: func(r *record) { r.job = job(networkstackv1alpha1.PhaseInstalling) }}, false},
		{"it has found out", change{rec: func(r *record) { r.settled = "x" }}, false},
		{"it has failed", change{rec: func(r *record) { r.failure = errors.New("x") }}, false},
		{"the values are wrong", change{rec: func(r *record) { r.valuesProblem = errors.New("x") }}, false},
		{"suspended", change{component: func(c *networkstackv1alpha1.NetworkComponent) { c.Spec.Suspend = true }}, false},
		{"leaving", change{component: leave}, false},
		{"the spec has changed since", change{component: func(c *networkstackv1alpha1.NetworkComponent) { c.Generation++ }}, false},
		{"nobody has said anything", change{status: func(s *networkstackv1alpha1.NetworkComponentStatus) {
			*s = networkstackv1alpha1.NetworkComponentStatus{ObservedGeneration: -1}
		}}, false},
		// Half-way is not what things are like any more.
		{"the earlier process was half-way", change{status: func(s *networkstackv1alpha1.NetworkComponentStatus) {
			s.Phase = networkstackv1alpha1.PhaseUpgrading
		}}, false},
	} {
		rec, c := &record{}, installed("cni", 0)
		s := &networkstackv1alpha1.NetworkComponentStatus{ObservedGeneration: c.Generation, Phase: networkstackv1alpha1.PhaseReady}
		if tc.rec != nil {
			tc.rec(rec)
		}
		if tc.component != nil {
			tc.component(c)
		}
		if tc.status != nil {
			tc.status(s)
		}
		if got := undecided(rec, c, s); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// TestAwaitsRetry wants a component to come back by itself only when there is something it could do then: one that comes
// back for nothing does so for ever.
func TestAwaitsRetry(t *testing.T) {
	broken := errors.New("x")
	ignore := func(c *networkstackv1alpha1.NetworkComponent) { c.Spec.DriftMode = networkstackv1alpha1.DriftIgnore }
	for _, tc := range []struct {
		name      string
		rec       *record
		component func(*networkstackv1alpha1.NetworkComponent)
		want      bool
	}{
		{"no failure", &record{settled: "x", wanted: "x"}, nil, false},
		{"an attempt failed", &record{wanted: "x", failure: broken, failedFor: "x"}, nil, true},
		{"an upgrade failed", &record{settled: "old", wanted: "x", failure: broken, failedFor: "x"}, nil, true},
		{"an attempt is under way", &record{wanted: "x", failure: broken, failedFor: "x", job: newJob(jobApply, "x")}, nil, false},
		{"suspended", &record{wanted: "x", failure: broken, failedFor: "x"}, suspend, false},
		// The ConfigMap or Secret wakes it.
		{"the values have become wrong", &record{wanted: "x", failure: broken, failedFor: "x", valuesProblem: broken}, nil, false},
		{"what failed is not wanted any more", &record{wanted: "x", failure: broken, failedFor: "other"}, nil, false},
		{"a correction failed", &record{settled: "x", wanted: "x", failure: broken, failedFor: "x"}, nil, true},
		{"a correction failed that is not wanted any more", &record{settled: "x", wanted: "x", failure: broken, failedFor: "x"}, ignore, false},
		{"an uninstallation failed", &record{failure: broken}, leave, true},
		// The others wake it when they are gone.
		{"others go first", &record{failure: broken, waitingFor: []string{"dns"}}, leave, false},
	} {
		c := installed("cni", 0)
		if tc.component != nil {
			tc.component(c)
		}
		if got := tc.rec.awaitsRetry(c); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestProgress(t *testing.T) {
	for phase, want := range map[networkstackv1alpha1.ComponentPhase]string{
		networkstackv1alpha1.PhaseFetching:   "Progressing: fetching the chart",
		networkstackv1alpha1.PhaseInstalling: "Installing: installing",
		networkstackv1alpha1.PhaseUpgrading:  "Upgrading: upgrading",
		networkstackv1alpha1.PhasePending:    "Progressing: waiting for a free worker",
	} {
		reason, message := progress(phase)
		if got := reason + ": " + message; got != want {
			t.Errorf("%s: %q, want %q", phase, got, want)
		}
	}
}

func TestRecords(t *testing.T) {
	records := newRecords()
	c := installed("cni", 0)
	latest := &networkstackv1alpha1.NetworkComponentStatus{
		Release: &networkstackv1alpha1.ReleaseStatus{Revision: 3},
		Drift:   &networkstackv1alpha1.DriftStatus{Count: 5, Recent: []networkstackv1alpha1.Drift{{Object: "x"}}},
	}
	first := records.of(c, latest)
	if first.release.Revision != 3 || first.drift.Count != 5 {
		t.Errorf("a new process forgets what an earlier one wrote: %+v", first)
	}
	if records.of(c, &networkstackv1alpha1.NetworkComponentStatus{}) != first {
		t.Error("the record of a component is not found again")
	}
	again := installed("cni", 0)
	again.UID = "another"
	second := records.of(again, &networkstackv1alpha1.NetworkComponentStatus{})
	if second == first || second.release != nil || second.drift.Count != 0 {
		t.Errorf("a component that was made again has the record of the old one: %+v", second)
	}
	if records.drop("cni") != second || records.drop("cni") != nil {
		t.Error("the record is not dropped")
	}
}

func TestChartRequest(t *testing.T) {
	r := &Reconciler{ChartDirs: []string{"/flag"}}
	spec := &installed("cni", 0).Spec
	spec.Chart = networkstackv1alpha1.ResolvedChart{Repository: "https://example.com", Name: "cilium", Version: "1.0.0", Digest: "sha256:1"}
	ref := chart.Ref{Repository: "https://example.com", Name: "cilium", Version: "1.0.0", Digest: "sha256:1"}
	if diff := cmp.Diff(chart.Request{Ref: ref, Dirs: []string{"/flag"}}, r.chartRequest(spec)); diff != "" {
		t.Errorf("without sources (-want +got):\n%s", diff)
	}
	spec.Sources = &networkstackv1alpha1.Sources{ChartsDirectory: "/spec", Mirrors: []networkstackv1alpha1.Mirror{{Source: "https://a", Mirror: "https://b"}}}
	want := chart.Request{Ref: ref, Dirs: []string{"/flag", "/spec"}, Mirrors: []chart.Mirror{{Source: "https://a", Mirror: "https://b"}}}
	for range 2 {
		// The flag's directories are every component's: a second request may not find the first one's among them.
		if diff := cmp.Diff(want, r.chartRequest(spec)); diff != "" {
			t.Errorf("with sources (-want +got):\n%s", diff)
		}
	}
}

// TestAwaiting tells kinds that another component brings from kinds that nobody does.
func TestAwaiting(t *testing.T) {
	r := &Reconciler{Catalog: catalog.NewFixed(catalog.Set{Catalog: catalog.Default()})}
	missing := func(group string) error {
		kind := schema.GroupVersionKind{Group: group, Version: "v2", Kind: "Thing"}
		return &release.ApplyError{Causes: []*release.ObjectError{{
			Object: release.Object{GVK: kind, Name: "a"}, Verb: "find the resource of", Err: &meta.NoKindMatchError{GroupKind: kind.GroupKind()},
		}}}
	}
	for _, tc := range []struct {
		name, component string
		err             error
		awaiting        bool
	}{
		{"Cilium's kind for its resources", "CiliumResources", missing("cilium.io"), true},
		{"another one for them", "CiliumResources", missing("monitoring.coreos.com"), false},
		{"Cilium's kind for Cilium", "Cilium", missing("cilium.io"), false},
		{"another error", "CiliumResources", &release.ApplyError{Err: errors.New("timeout")}, false},
	} {
		c := &networkstackv1alpha1.NetworkComponent{Spec: networkstackv1alpha1.NetworkComponentSpec{Type: tc.component}}
		verdict := classify(r.awaiting(c, tc.err))
		if verdict.awaiting != tc.awaiting || tc.awaiting && (verdict.reason != networkstackv1alpha1.ReasonWaiting || verdict.wait(100) != awaitingWait) {
			t.Errorf("%s: %+v", tc.name, verdict)
		}
	}
}

// TestAwait wants who has waited for kinds to look again less and less often, and an attempt that fails otherwise to end that.
func TestAwait(t *testing.T) {
	r := newReconciler(t)
	r.Catalog = catalog.NewFixed(catalog.Set{Catalog: catalog.Default()})
	kind := schema.GroupVersionKind{Group: "cilium.io", Version: "v2", Kind: "CiliumPodIPPool"}
	missing := &release.ApplyError{Causes: []*release.ObjectError{{
		Object: release.Object{GVK: kind, Name: "a"}, Verb: "find the resource of", Err: &meta.NoKindMatchError{GroupKind: kind.GroupKind()},
	}}}
	c := &networkstackv1alpha1.NetworkComponent{Spec: networkstackv1alpha1.NetworkComponentSpec{Type: "CiliumResources"}}
	rec, j := &record{}, newJob(jobApply, "new")
	next := func(repeated bool, want time.Duration) {
		t.Helper()
		start := time.Now()
		if !r.await(rec, c, j, missing, repeated) || rec.next.Before(start.Add(want)) || rec.next.After(time.Now().Add(want+time.Second)) {
			t.Errorf("looks again in %s, want %s", rec.next.Sub(start), want)
		}
	}
	next(false, 3*time.Second)
	next(true, 3*time.Second)
	rec.awaitingSince = time.Now().Add(-2 * time.Minute)
	next(true, 6*time.Second)
	rec.awaitingSince = time.Now().Add(-time.Hour)
	next(true, 15*time.Second)
	// Something else is wanted by now.
	next(false, 3*time.Second)
	if n := len(eventsOf(t, r)); n != 2 {
		t.Errorf("%d events, where each wait was to be told once", n)
	}
}

// TestAwaitIn wants kinds to be looked for often as long as they usually take, and less often when they take long.
func TestAwaitIn(t *testing.T) {
	for since, want := range map[time.Duration]time.Duration{
		0: 3 * time.Second, time.Minute: 3 * time.Second, 2 * time.Minute: 6 * time.Second, 5 * time.Minute: 15 * time.Second,
		24 * time.Hour: 15 * time.Second,
	} {
		if got := awaitIn(since); got != want {
			t.Errorf("after %s the wait is %s, not %s", since, got, want)
		}
	}
}
