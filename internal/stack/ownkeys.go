package stack

import (
	"context"

	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/survey"
)

// readOwnKeys looks at the user's own keys, if the stack encrypts by such, and comes back for those that are no good: nothing tells
// when they are corrected.
func (r *Reconciler) readOwnKeys(ctx context.Context, s *scope, in compose.Input) error {
	if err := survey.OwnKeys(ctx, in, r.Facts); err != nil {
		return err
	}
	if found := in.Facts.OwnKeys; found != nil && found.Problem != "" {
		s.requeueIn = facts.LookAgain
	}
	return nil
}
