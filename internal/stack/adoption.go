package stack

import (
	"context"
	"errors"
	"fmt"

	"github.com/networkstack/networkstack/internal/plan"
)

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
