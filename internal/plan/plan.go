// Package plan compares what is installed with what is wanted and says what to do now, and what has to wait
// for what. It is pure: no I/O, no clock.
package plan

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
)

// Action is what a Step does to a component.
type Action string

// The actions.
const (
	Install Action = "Install"
	Upgrade Action = "Upgrade"
	Remove  Action = "Remove"
	Keep    Action = "Keep"
)

// Step is what to do about one component.
type Step struct {
	Name   string
	Action Action
	Stage  int32
	// WaitingFor names the components that must be Ready (or gone, for Remove) before the step may be taken; empty when it may be now.
	WaitingFor []string
	// Wanted is the spec to write; nil for Remove.
	Wanted *networkstackv1alpha1.NetworkComponentSpec
}

// Allowed says whether the step may be taken now.
func (s Step) Allowed() bool { return len(s.WaitingFor) == 0 }

// Make plans the way from the installed components to the wanted releases. Installs and upgrades go stage by
// stage: a stage starts when every component of the stages below it is as wanted and Ready; of those that a release is
// beside, only as wanted. From compose.StagePlatform on, a release waits for what it needs and for nothing else. What is no longer
// wanted goes last, in reverse, one stage at a time, when all of its area is settled, so that a replacement always runs before what
// it replaces goes.
func Make(wanted []compose.Release, installed []networkstackv1alpha1.NetworkComponent) []Step {
	have := make(map[string]*networkstackv1alpha1.NetworkComponent, len(installed))
	for i := range installed {
		have[installed[i].Name] = &installed[i]
	}
	releases := slices.Clone(wanted)
	slices.SortStableFunc(releases, func(a, b compose.Release) int { return cmp.Compare(a.Spec.Stage, b.Spec.Stage) })

	var steps []Step
	var unsettled []Step
	for i := range releases {
		r := &releases[i]
		existing := have[r.Name]
		delete(have, r.Name)
		step := Step{Name: r.Name, Action: action(existing, &r.Spec), Stage: r.Spec.Stage, Wanted: &r.Spec}
		steps = append(steps, step)
		if !settled(existing, step.Action, &r.Spec) {
			unsettled = append(unsettled, step)
		}
	}
	for i := range steps {
		if steps[i].Action == Keep {
			continue
		}
		for _, u := range unsettled {
			if waits(&releases[i], u) {
				steps[i].WaitingFor = append(steps[i].WaitingFor, u.Name)
			}
		}
	}
	return append(steps, removals(have, unsettled)...)
}

// waits says whether a release waits for an unsettled component.
func waits(r *compose.Release, u Step) bool {
	if r.Spec.Stage >= compose.StagePlatform {
		return slices.Contains(r.Needs, u.Name)
	}
	beside := u.Action == Keep && slices.Contains(r.Beside, u.Name)
	return u.Stage < r.Spec.Stage && !beside
}

// area is what replaces one another: the network, or ten stages of what stands on it. Add-ons replace nothing.
func area(stage int32) int32 {
	const stages = 10
	switch {
	case stage < compose.StagePlatform:
		return 0
	case stage < compose.StageAddons:
		return stage / stages
	default:
		return -1
	}
}

func removals(unwanted map[string]*networkstackv1alpha1.NetworkComponent, unsettled []Step) []Step {
	var steps []Step
	for _, c := range unwanted {
		steps = append(steps, Step{Name: c.Name, Action: Remove, Stage: c.Spec.Stage})
	}
	slices.SortFunc(steps, func(a, b Step) int {
		return cmp.Or(cmp.Compare(b.Stage, a.Stage), cmp.Compare(a.Name, b.Name))
	})
	for i := range steps {
		for _, u := range unsettled {
			if own := area(steps[i].Stage); own >= 0 && area(u.Stage) == own {
				steps[i].WaitingFor = append(steps[i].WaitingFor, u.Name)
			}
		}
		for _, above := range steps[:i] {
			if above.Stage > steps[i].Stage {
				steps[i].WaitingFor = append(steps[i].WaitingFor, above.Name)
			}
		}
	}
	return steps
}

func action(existing *networkstackv1alpha1.NetworkComponent, wanted *networkstackv1alpha1.NetworkComponentSpec) Action {
	switch {
	case existing == nil:
		return Install
	case !existing.DeletionTimestamp.IsZero():
		// It is on its way out, by somebody's hand; it is written again once it is gone.
		return Install
	case Same(&existing.Spec, wanted):
		return Keep
	default:
		return Upgrade
	}
}

// settled says whether the stages above may go on. A component that the user has suspended holds nobody up.
func settled(existing *networkstackv1alpha1.NetworkComponent, a Action, wanted *networkstackv1alpha1.NetworkComponentSpec) bool {
	return wanted.Suspend || a == Keep && Ready(existing)
}

// Ready says whether a component is as its spec wants it, and healthy.
func Ready(c *networkstackv1alpha1.NetworkComponent) bool {
	return c.DeletionTimestamp.IsZero() && c.Status.ObservedGeneration == c.Generation &&
		meta.IsStatusConditionTrue(c.Status.Conditions, networkstackv1alpha1.ConditionReady)
}

// Same says whether two specs ask for the same; values are compared as what they mean, not as how they are written.
func Same(a, b *networkstackv1alpha1.NetworkComponentSpec) bool {
	x, y := a.DeepCopy(), b.DeepCopy()
	same := sameJSON(x.Values, y.Values) && sameJSON(x.DerivedValues, y.DerivedValues)
	x.Values, y.Values, x.DerivedValues, y.DerivedValues = nil, nil, nil, nil
	return same && equality.Semantic.DeepEqual(x, y)
}
