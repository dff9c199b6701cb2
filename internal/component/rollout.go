package component

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/health"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/internal/status"
)

// firstLook is how long after the last progress of a roll-out its pods are looked at. The next looks follow after twice
// the time each, for a pod's reasons change without its workload's status doing so.
const firstLook = 15 * time.Second

// explainTimeout bounds the reading of pods: an API server that is slow must not hold up a worker.
const explainTimeout = 10 * time.Second

// judgeHealth says how the workloads of an installed component are, notes in s how far they have come, and in rec when to
// look again.
func (r *Reconciler) judgeHealth(ctx context.Context, rec *record, c *networkstackv1alpha1.NetworkComponent,
	s *networkstackv1alpha1.NetworkComponentStatus,
) (networkstackv1alpha1.ComponentPhase, setter, error) {
	objects := make([]health.Object, 0, len(rec.objects))
	for _, a := range rec.objects {
		objects = append(objects, health.Object{GVK: a.Object.GVK, Namespace: a.Object.Namespace, Name: a.Object.Name,
			ResourceVersion: a.ResourceVersion, Transient: a.Transient})
	}
	result, err := health.Check(ctx, r.Client, r.Live, objects)
	if err != nil {
		return "", nil, err
	}
	if reports := r.reports(rec, c); len(reports) > 0 {
		said, _ := r.Reports.Judge(c.Name, reports)
		result = health.Summarise(append(result.Workloads, said...))
	}
	now := time.Now()
	progress := health.Advance(rolloutOf(s.Rollout), result.Counts(), result.Ready, now.Truncate(time.Second))
	deadline := progressDeadline(&c.Spec, progress.Desired)
	s.Rollout = rolloutStatus(progress, deadline)
	if result.Ready {
		return networkstackv1alpha1.PhaseReady, r.healthy(rec, c, result.Message), nil
	}
	due := progress.LastProgress.Add(deadline)
	quiet := now.Sub(progress.LastProgress)
	rec.look = nextLook(progress.LastProgress, due, now)
	message := result.Message
	if quiet >= firstLook || !now.Before(due) || result.Failed {
		message = r.explain(ctx, result)
	}
	switch {
	case result.Failed:
		return networkstackv1alpha1.PhaseRollingOut, stuck(networkstackv1alpha1.ReasonNotHealthy, message), nil
	case !now.Before(due):
		text := stalledText(progress, deadline, message)
		return networkstackv1alpha1.PhaseRollingOut, stuck(networkstackv1alpha1.ReasonRolloutStalled, text), nil
	}
	return networkstackv1alpha1.PhaseRollingOut, working(networkstackv1alpha1.ReasonNotHealthy, message), nil
}

// reports are those that tell how a controller gets on with objects of a component.
func (r *Reconciler) reports(rec *record, c *networkstackv1alpha1.NetworkComponent) []health.Report {
	var out []health.Report
	for _, rule := range r.Catalog.Last().Catalog[c.Spec.Type].Readiness {
		i := slices.IndexFunc(rec.objects, func(a release.Applied) bool {
			return a.Object.GVK.Group == rule.Group && a.Object.GVK.Kind == rule.Of
		})
		if i < 0 {
			continue
		}
		out = append(out, health.Report{
			GVK:  schema.GroupVersionKind{Group: rule.Group, Version: rule.Version, Kind: rule.Kind},
			Name: rule.Name, Generation: rec.objects[i].Generation, WantTrue: rule.WantTrue, WantFalse: rule.WantFalse,
		})
	}
	return out
}

func stalledText(p health.Rollout, deadline time.Duration, why string) string {
	return fmt.Sprintf("no progress since %s, longer than the deadline of %s; %d of %d pods are updated and %d available: %s",
		p.LastProgress.UTC().Format(time.RFC3339), deadline, p.Updated, p.Desired, p.Available, why)
}

// explain says what is missing, with the reasons of pods. They help, but how things are is known without them.
func (r *Reconciler) explain(ctx context.Context, result health.Result) string {
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	message, err := health.Explain(ctx, r.Client, r.Live, result)
	if err != nil {
		ctrlLog(ctx).Error(err, "the reasons of pods are not known")
		return result.Message
	}
	return message
}

// healthy says that a component is as it should be.
func (r *Reconciler) healthy(rec *record, c *networkstackv1alpha1.NetworkComponent, how string) setter {
	message := "installed, and " + how
	if rec.release != nil {
		message = fmt.Sprintf("%s %s is installed (revision %d), and %s",
			c.Spec.Chart.Name, rec.release.ChartVersion, rec.release.Revision, how)
	}
	return func(l *[]metav1.Condition, g int64) { status.Ready(l, g, networkstackv1alpha1.ReasonReady, message) }
}

// progressDeadline is the component's own, or one that grows with the number of pods.
func progressDeadline(spec *networkstackv1alpha1.NetworkComponentSpec, desired int32) time.Duration {
	if spec.ProgressDeadline != nil {
		return spec.ProgressDeadline.Duration
	}
	return health.Deadline(desired)
}

// nextLook is when a roll-out that makes no progress is to be looked at again: at its deadline, and at intervals that
// double. The zero time is never.
func nextLook(lastProgress, due, now time.Time) time.Time {
	interval := firstLook
	for !lastProgress.Add(interval).After(now) {
		interval *= 2
	}
	next := lastProgress.Add(interval)
	if due.After(now) && due.Before(next) {
		return due
	}
	return next
}

func rolloutOf(s *networkstackv1alpha1.RolloutStatus) *health.Rollout {
	if s == nil || s.LastProgressTime == nil {
		return nil
	}
	return &health.Rollout{
		Counts:  health.Counts{Target: s.Target, Desired: s.Desired, Updated: s.Updated, Available: s.Available},
		Missing: s.Missing, LastProgress: s.LastProgressTime.Time, Done: s.Deadline == nil,
	}
}

// rolloutStatus has whole seconds, as they are written: a restart must not move the clock.
func rolloutStatus(p health.Rollout, deadline time.Duration) *networkstackv1alpha1.RolloutStatus {
	last := metav1.NewTime(p.LastProgress.Truncate(time.Second))
	out := &networkstackv1alpha1.RolloutStatus{
		Target: p.Target, Desired: p.Desired, Updated: p.Updated, Available: p.Available, Missing: p.Missing, LastProgressTime: &last,
	}
	if !p.Done {
		due := metav1.NewTime(last.Add(deadline))
		out.Deadline = &due
	}
	return out
}

// announceStall makes an event of a roll-out that has just come to be stalled.
func (r *Reconciler) announceStall(c *networkstackv1alpha1.NetworkComponent, before, after *networkstackv1alpha1.NetworkComponentStatus) {
	was, is := meta.FindStatusCondition(before.Conditions, networkstackv1alpha1.ConditionReady),
		meta.FindStatusCondition(after.Conditions, networkstackv1alpha1.ConditionReady)
	if is == nil || is.Reason != networkstackv1alpha1.ReasonRolloutStalled || was != nil && was.Reason == is.Reason {
		return
	}
	r.event(c, "Warning", is.Reason, "RollOut", "%s", is.Message)
}
