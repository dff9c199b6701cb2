package component

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/drift"
	"github.com/networkstack/networkstack/internal/ignore"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/internal/status"
)

// recentDrifts is how many of the latest drifts the status shows; shownOpen bounds those that are open.
const (
	recentDrifts = 10
	shownOpen    = 50
)

// checking is by what objects are compared: what others may change, and what must not be shown.
type checking struct {
	rules   ignore.Rules
	secrets []string
	// digest tells whether anything of it, or the mode, has changed.
	digest string
	// records has the records of the Helm release looked at too.
	records bool
}

// checking for a component: what well-known controllers do to its chart, what the user says, and contested fields.
func (r *Reconciler) checking(rec *record, c *networkstackv1alpha1.NetworkComponent) checking {
	rules := r.Catalog.Last().Controllers.Rules(c.Spec.Chart.Name, c.Spec.Chart.Version)
	for _, rule := range c.Spec.DriftIgnore {
		out := ignore.Rule{Kind: rule.Kind, Name: rule.Name, Reason: "spec.drift.ignore"}
		for _, text := range rule.Paths {
			// The stack refuses what cannot be read; in a component that was written by hand it has no effect.
			if p, err := ignore.Parse(text); err == nil {
				out.Paths = append(out.Paths, p)
			}
		}
		rules = append(rules, out)
	}
	return checking{rules: append(rules, rec.contests.Rules()...), secrets: rec.secrets, digest: r.digestOf(c)}
}

// digestOf is that of what drift is judged by, the rules of the catalogue included.
func (r *Reconciler) digestOf(c *networkstackv1alpha1.NetworkComponent) string {
	rules := r.Catalog.Last().Controllers.Rules(c.Spec.Chart.Name, c.Spec.Chart.Version)
	return digest([]any{c.Spec.DriftMode, c.Spec.DriftIgnore, fmt.Sprint(rules)})
}

// watchDrift starts a verification when the watches say that an object is not what was applied.
func (r *Reconciler) watchDrift(rec *record, c *networkstackv1alpha1.NetworkComponent) {
	if c.Spec.DriftMode == networkstackv1alpha1.DriftIgnore {
		r.Drift.Forget(c.Name)
		rec.tracked, rec.open = false, nil
		if rec.failedFor == rec.settled {
			rec.succeeded()
		}
		return
	}
	failed := rec.failure != nil && rec.failedFor == rec.settled
	if failed && time.Now().Before(rec.next) {
		if len(rec.stuck) > 0 && rec.tracked {
			r.correct(rec, c, r.checking(rec, c))
		}
		return
	}
	ended := rec.contests.Expire(time.Now())
	check := r.checking(rec, c)
	replaced := r.replacedAt(rec, c)
	check.records = !replaced.IsZero() && !time.Now().Before(replaced)
	if failed || ended || check.records || !rec.tracked || rec.checked != check.digest {
		// Drift was not watched until now or judged otherwise, the last look at it failed half way, or somebody else worked
		// on the release: look at everything once.
		rec.job = r.startVerify(c.DeepCopy(), rec.settled, rec.manifest, check)
		return
	}
	r.correct(rec, c, check)
}

// replacedAt is when somebody else's work on the Helm release is to be undone; the zero time is never.
func (r *Reconciler) replacedAt(rec *record, c *networkstackv1alpha1.NetworkComponent) time.Time {
	waits := rec.failure != nil && time.Now().Before(rec.next)
	if rec.job != nil || waits || !rec.tracked || rec.settled != rec.wanted || !c.DeletionTimestamp.IsZero() ||
		c.Spec.DriftMode == networkstackv1alpha1.DriftIgnore || c.Spec.DriftMode == networkstackv1alpha1.DriftWarn {
		return time.Time{}
	}
	return r.Drift.Superseded(c.Name)
}

// correct starts a correction of what the watches say differs.
func (r *Reconciler) correct(rec *record, c *networkstackv1alpha1.NetworkComponent, check checking) {
	objects := rec.notStuck(slices.DeleteFunc(r.Drift.Drifted(c.Name), rec.isMade))
	if len(objects) > 0 {
		rec.job = r.startCorrect(c.DeepCopy(), rec.settled, rec.manifest, objects, check)
	}
}

func (r *Reconciler) startVerify(c *networkstackv1alpha1.NetworkComponent, wanted string, m *release.Manifest, check checking) *job {
	return r.runner.run(c.Name, jobVerify, wanted, func(ctx context.Context, _ reporting, _ *slot) outcome {
		return r.verify(ctx, c, m, nil, check)
	})
}

func (r *Reconciler) startCorrect(c *networkstackv1alpha1.NetworkComponent, wanted string, m *release.Manifest,
	only []release.Object, check checking,
) *job {
	noticed := r.Drift.Noticed(c.Name)
	return r.runner.run(c.Name, jobCorrect, wanted, func(ctx context.Context, _ reporting, _ *slot) outcome {
		out := r.verify(ctx, c, m, only, check)
		if out.err == nil && len(out.findings) > 0 && !out.observed {
			drift.ObserveCorrection(c.Name, noticed)
		}
		return out
	})
}

// verify compares the objects with what the last revision applied, and restores them unless drift is only to be reported.
func (r *Reconciler) verify(ctx context.Context, c *networkstackv1alpha1.NetworkComponent, m *release.Manifest,
	only []release.Object, check checking,
) outcome {
	if m == nil {
		var err error
		if m, err = r.Engine.Load(ctx, c.Spec.ReleaseName, c.Spec.Namespace); err != nil {
			return outcome{err: err, gone: errors.Is(err, release.ErrNotDeployed)}
		}
	}
	if c.Spec.DriftMode == networkstackv1alpha1.DriftIgnore {
		return outcome{applied: namesOf(m), manifest: m, unwatched: true}
	}
	observe := c.Spec.DriftMode == networkstackv1alpha1.DriftWarn
	findings, applied, err := r.Engine.Verify(ctx, release.Check{
		Component: c.Name, Manifest: m, Only: only, DryRun: observe, Rules: check.rules, Secrets: check.secrets,
	})
	out := outcome{err: err, findings: findings, applied: applied, manifest: m, only: only, observed: observe, checked: check.digest,
		records: check.records}
	if err == nil && check.records {
		found, err := r.Engine.State(ctx, c.Spec.ReleaseName, c.Spec.Namespace)
		switch {
		case err != nil:
			out.err = err
		case found.Revision != m.Revision || found.Status != deployed:
			out.err, out.gone = errReleaseReplaced, true
		}
	}
	return out
}

// errReleaseReplaced means that the Helm release is not the one that was applied.
var errReleaseReplaced = errors.New("the Helm release was changed or removed by somebody else: what is wanted is applied again")

// namesOf are the objects of a manifest, of which nothing more is known than that they were applied.
func namesOf(m *release.Manifest) []release.Applied {
	objects := m.Objects()
	out := make([]release.Applied, 0, len(objects))
	for _, o := range objects {
		out = append(out, release.Applied{Object: o, Transient: m.Transient(o)})
	}
	return out
}

// report publishes findings: an event, a log line, a count and a line in the status each. What was reported before and left
// as it was is not reported again.
func (r *Reconciler) report(rec *record, c *networkstackv1alpha1.NetworkComponent, out outcome) {
	known := rec.open
	rec.open = nil
	if out.observed && out.only != nil {
		rec.open = slices.DeleteFunc(slices.Clone(known), func(f release.Finding) bool { return slices.Contains(out.only, f.Object) })
	}
	now := time.Now()
	for _, f := range out.findings {
		response := drift.ResponseTo(f, out.observed)
		if out.observed {
			rec.open = append(rec.open, f)
			if slices.ContainsFunc(known, func(k release.Finding) bool { return sameFinding(k, f) }) {
				continue
			}
		}
		rec.drift.Count++
		rec.drift.Recent = slices.Insert(rec.drift.Recent, 0, drift.Record(f, response, now))
		rec.drift.Recent = rec.drift.Recent[:min(len(rec.drift.Recent), recentDrifts)]
		drift.Count(c.Name, f, response)
		r.eventAbout(c, objectOf(f.Object), response.EventType(), response.Reason(), "Drift", "%s", drift.Describe(f, response))
		if out.observed {
			continue
		}
		for _, given := range rec.contests.Corrected(f, now) {
			drift.Count(c.Name, f, drift.Contested)
			r.eventAbout(c, objectOf(f.Object), drift.Contested.EventType(), drift.Contested.Reason(), "Drift", "%s",
				drift.DescribeContest(given))
		}
	}
	if out.only != nil {
		r.Drift.Update(c.Name, out.applied)
	}
	if out.checked != "" && out.only == nil {
		rec.checked = out.checked
	}
}

func sameFinding(a, b release.Finding) bool {
	return a.Object == b.Object && a.Missing == b.Missing && a.Manager == b.Manager &&
		slices.EqualFunc(a.Fields, b.Fields, func(x, y release.FieldChange) bool {
			return x.Path.String() == y.Path.String() && x.Found == y.Found && x.Manager == y.Manager
		})
}

// fillDrift says in the status how things stand with drift.
func fillDrift(c *networkstackv1alpha1.NetworkComponent, rec *record, s *networkstackv1alpha1.NetworkComponentStatus) {
	contested := rec.contests.Status()
	drift.CountContested(c.Name, len(contested))
	s.Drift = nil
	if rec.drift.Count > 0 {
		s.Drift = rec.drift.DeepCopy()
		s.Drift.Contested, s.Drift.Open = contested, openDrifts(rec)
	}
	fillDrifted(c, rec, s)
	fillContested(c, contested, s)
}

func openDrifts(rec *record) []networkstackv1alpha1.Drift {
	var out []networkstackv1alpha1.Drift
	for i, f := range rec.open {
		if i == shownOpen {
			break
		}
		one := drift.Record(f, drift.Detected, time.Time{})
		one.Time = nil
		out = append(out, one)
	}
	return out
}

func fillDrifted(c *networkstackv1alpha1.NetworkComponent, rec *record, s *networkstackv1alpha1.NetworkComponentStatus) {
	state, reason, message := metav1.ConditionFalse, networkstackv1alpha1.ReasonNoDrift, "every object is as it was applied"
	switch {
	case len(rec.open) > 0:
		state, reason = metav1.ConditionTrue, networkstackv1alpha1.ReasonDriftDetected
		message = "changed by somebody else, and left so: " + openText(rec.open)
	case !rec.tracked:
		state, reason, message = metav1.ConditionUnknown, networkstackv1alpha1.ReasonProgressing, "not watched for drift at the moment"
	case rec.failure != nil && rec.failedFor == rec.settled:
		state, reason = metav1.ConditionUnknown, networkstackv1alpha1.ReasonReleaseFailed
		message = "an object that differs could not be restored"
	case len(rec.drift.Recent) > 0:
		reason = networkstackv1alpha1.ReasonDriftCorrected
		last := rec.drift.Recent[0]
		message = fmt.Sprintf("every object is as it was applied; last restored: %s, changed by %s", last.Object, last.Manager)
	}
	status.Set(&s.Conditions, c.Generation, networkstackv1alpha1.ConditionDrifted, state, reason, message)
}

func openText(open []release.Finding) string {
	const most = 10
	var names []string
	for i, f := range open {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(open)-most))
			break
		}
		names = append(names, f.Object.String())
	}
	return strings.Join(names, ", ")
}

func fillContested(c *networkstackv1alpha1.NetworkComponent, contested []networkstackv1alpha1.ContestedField,
	s *networkstackv1alpha1.NetworkComponentStatus,
) {
	if len(contested) == 0 {
		status.Clear(&s.Conditions, networkstackv1alpha1.ConditionContested)
		return
	}
	lines := make([]string, 0, len(contested))
	for _, f := range contested {
		lines = append(lines, drift.DescribeContest(f))
	}
	status.Set(&s.Conditions, c.Generation, networkstackv1alpha1.ConditionContested, metav1.ConditionTrue,
		networkstackv1alpha1.ReasonDriftContested, strings.Join(lines, "\n"))
}
