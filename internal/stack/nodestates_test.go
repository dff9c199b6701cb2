package stack

import (
	"testing"
	"time"

	"github.com/networkstack/networkstack/internal/facts"
)

// TestWaitsForNodeStates wants nothing decided before it is known what the nodes' interfaces are, but not for ever.
func TestWaitsForNodeStates(t *testing.T) {
	r := &Reconciler{}
	start := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		after   time.Duration
		pending bool
		want    time.Duration
	}{
		{0, false, 0},
		{time.Second, true, statesPatience},
		{3 * time.Second, true, statesPatience - 2*time.Second},
		{time.Second + statesPatience, true, 0},
		{time.Minute, true, 0},
		{2 * time.Minute, false, 0},
		{3 * time.Minute, true, statesPatience},
	} {
		s := &scope{facts: &facts.Snapshot{NodeStatesPending: step.pending}}
		if got := r.waitsForNodeStates(s, start.Add(step.after)); got != (step.want > 0) || s.requeueIn != step.want {
			t.Errorf("after %s: waits %v for %s", step.after, got, s.requeueIn)
		}
	}
}
