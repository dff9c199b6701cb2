package stack

import "time"

// statesPatience is how long nothing is decided because the nodes' interfaces are yet to be looked at. It usually takes some
// milliseconds after the operator has started; with what is known before, pods would get another MTU for a moment.
const statesPatience = 15 * time.Second

// waitsForNodeStates says whether to wait for what tells the nodes' interfaces. That wakes the stack.
func (r *Reconciler) waitsForNodeStates(s *scope, now time.Time) bool {
	if !s.facts.NodeStatesPending {
		r.statesPending = time.Time{}
		return false
	}
	if r.statesPending.IsZero() {
		r.statesPending = now
	}
	left := statesPatience - now.Sub(r.statesPending)
	if left <= 0 {
		return false
	}
	s.requeueIn = left
	return true
}
