package stack

import (
	"context"
	"fmt"

	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
)

// countPolicies puts the number of NetworkPolicies into the facts if it matters, which is where nothing enforces them, and says whether
// it is known.
func countPolicies(ctx context.Context, w *lateWatch, in compose.Input, discoverer *facts.Discoverer) (bool, error) {
	if !compose.IgnoresPolicies(in) {
		return true, nil
	}
	known, err := w.synced(ctx)
	if err != nil || !known {
		return false, err
	}
	if in.Facts.NetworkPolicies, err = discoverer.CountPolicies(ctx); err != nil {
		return false, fmt.Errorf("counting NetworkPolicies: %w", err)
	}
	return true, nil
}
