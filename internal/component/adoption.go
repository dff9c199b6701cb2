package component

import (
	"context"
	"errors"
	"math"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/release"
)

// maxDifferences is how many differences a status lists.
const maxDifferences = 32

func adopts(c *networkstackv1alpha1.NetworkComponent) bool {
	return c.Spec.Adoption == networkstackv1alpha1.AdoptionAdopt
}

// beforeTakeOver compares what is there with what would be applied, when the release is not ours yet and the component
// says something about adoption. The error says why nothing may be applied.
func (r *Reconciler) beforeTakeOver(ctx context.Context, c *networkstackv1alpha1.NetworkComponent, spec release.Spec, found release.State) (
	*networkstackv1alpha1.AdoptionStatus, error,
) {
	if c.Spec.Adoption == "" || found.Component == c.Name {
		return nil, nil
	}
	report, err := r.Engine.Inspect(ctx, spec)
	if err != nil {
		return nil, err
	}
	return adoptionStatus(&report), report.Conflict(spec)
}

// afterRefusal compares what is there when it stood in the way of a component that says nothing about adoption. Without an
// answer the refusal stands by itself.
func (r *Reconciler) afterRefusal(
	ctx context.Context, spec release.Spec, found release.State, err error,
) *networkstackv1alpha1.AdoptionStatus {
	var conflict *release.ConflictError
	if found.Component == spec.Component || !errors.As(err, &conflict) {
		return nil
	}
	report, err := r.Engine.Inspect(ctx, spec)
	if err != nil {
		ctrlLog(ctx).Info("what is there could not be compared", "component", spec.Component, "error", err.Error())
		return nil
	}
	return adoptionStatus(&report)
}

// adoptionStatus is a report as it stands in a status; empty when there is nothing to report.
func adoptionStatus(report *release.AdoptionReport) *networkstackv1alpha1.AdoptionStatus {
	if !report.Needed() {
		return &networkstackv1alpha1.AdoptionStatus{}
	}
	count := func(state release.ObjectState) int32 {
		return int32(min(report.Count(state), math.MaxInt32)) //nolint:gosec // bounded
	}
	out := &networkstackv1alpha1.AdoptionStatus{
		State: networkstackv1alpha1.AdoptionReported, Source: report.Source,
		Same: count(release.ObjectSame), Differs: count(release.ObjectDiffers), Unknown: count(release.ObjectUnknown),
		New: count(release.ObjectNew), Restarts: report.Restarts(),
	}
	add := func(d networkstackv1alpha1.AdoptionDifference) {
		if len(out.Differences) == maxDifferences {
			out.More++
			return
		}
		out.Differences = append(out.Differences, d)
	}
	for _, refused := range report.Refused {
		out.State = networkstackv1alpha1.AdoptionRefused
		add(networkstackv1alpha1.AdoptionDifference{
			Object: refused.Object.String(), State: string(networkstackv1alpha1.AdoptionRefused), Live: "belongs to " + refused.Owner})
	}
	// What restarts pods is what one looks for first.
	for _, restarts := range []bool{true, false} {
		for _, o := range report.Objects {
			if o.Restarts != restarts {
				continue
			}
			if o.Problem != "" {
				add(networkstackv1alpha1.AdoptionDifference{
					Object: o.Object.String(), State: string(release.ObjectDiffers), Live: o.Problem})
			}
			if o.State == release.ObjectUnknown {
				add(networkstackv1alpha1.AdoptionDifference{Object: o.Object.String(), State: string(o.State)})
			}
			for _, f := range o.Fields {
				add(networkstackv1alpha1.AdoptionDifference{
					Object: o.Object.String(), Path: f.Path, State: string(f.State), Live: f.Live, Wanted: f.Wanted})
			}
		}
	}
	return out
}

// noteAdoption keeps what a job found out about what was there. Once something was taken over, that stays on record.
func (rec *record) noteAdoption(c *networkstackv1alpha1.NetworkComponent, out outcome) {
	switch {
	case out.adoption == nil:
	case out.adoption.State == "":
		rec.adoption = nil
	default:
		rec.adoption = out.adoption
	}
	if rec.adoption == nil || out.err != nil || out.release == nil || rec.adoption.State == networkstackv1alpha1.AdoptionAdopted {
		return
	}
	if !adopts(c) {
		rec.adoption = nil // it went away by itself
		return
	}
	rec.adoption = rec.adoption.DeepCopy()
	rec.adoption.State = networkstackv1alpha1.AdoptionAdopted
}
