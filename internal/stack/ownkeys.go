package stack

import (
	"context"

	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
)

// readOwnKeys looks at the user's own keys, if the stack encrypts by such, and comes back for those that are no good: nothing tells
// when they are corrected.
func (r *Reconciler) readOwnKeys(ctx context.Context, s *scope, in compose.Input) error {
	at, own := compose.OwnKeys(in)
	if !own {
		return nil
	}
	found, err := r.Facts.OwnKeys(ctx, at)
	if err != nil {
		return err
	}
	if found.Problem != "" {
		s.requeueIn = facts.LookAgain
	}
	in.Facts.OwnKeys = found
	return nil
}
