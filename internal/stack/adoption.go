package stack

import (
	"context"
	"errors"
	"fmt"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/plan"
)

// specsOf are the specs of components by name; those on their way out are as good as gone.
func specsOf(components []networkstackv1alpha1.NetworkComponent) map[string]networkstackv1alpha1.NetworkComponentSpec {
	out := make(map[string]networkstackv1alpha1.NetworkComponentSpec, len(components))
	for i := range components {
		if components[i].DeletionTimestamp.IsZero() {
			out[components[i].Name] = components[i].Spec
		}
	}
	return out
}

// examine reads how the agents are configured on which the composition depends.
func (r *Reconciler) examine(ctx context.Context, in compose.Input) error {
	for n := range in.Facts.Installed {
		i := &in.Facts.Installed[n]
		if !compose.NeedsFound(in, *i) {
			continue
		}
		if err := r.Facts.Examine(ctx, i); err != nil {
			return fmt.Errorf("looking at what is to be taken over: %w", err)
		}
	}
	return nil
}

// inspect writes the components that may not be taken over yet, so that their status says what that would change. They
// have adoption Refuse, with which nothing is touched.
func (r *Reconciler) inspect(ctx context.Context, s *scope) error {
	var failed []error
	for i := range s.result.Inspect {
		wanted := &s.result.Inspect[i]
		step := plan.Step{Name: wanted.Name, Action: plan.Install, Stage: wanted.Spec.Stage, Wanted: &wanted.Spec}
		var err error
		switch c := s.component(wanted.Name); {
		case c == nil:
			err = r.create(ctx, s.stack, step)
		case !plan.Same(&c.Spec, &wanted.Spec) && c.DeletionTimestamp.IsZero():
			step.Action = plan.Upgrade
			err = r.update(ctx, s, step)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("NetworkComponent %s: %w", wanted.Name, err))
		}
	}
	return errors.Join(failed...)
}
