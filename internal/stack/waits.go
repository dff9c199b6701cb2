package stack

import "time"

// firstLook is how long nothing is decided because something is yet to be looked at for the first time. It usually takes some
// milliseconds after the operator has started; with what is known before, pods would get another MTU for a moment, or a remark
// would go and come back.
const firstLook = 15 * time.Second

// countAgain is when to look again whether objects have been listed.
const countAgain = 200 * time.Millisecond

// hold is how long something has been waited for.
type hold struct{ since time.Time }

// left is how long to wait on, of so long in all; 0 when nothing is pending, or it has been long enough.
func (h *hold) left(pending bool, most time.Duration, now time.Time) time.Duration {
	if !pending {
		h.since = time.Time{}
		return 0
	}
	if h.since.IsZero() {
		h.since = now
	}
	return max(0, most-now.Sub(h.since))
}

// waitsFor says whether to wait for what is pending, and has the stack come back when that takes too long.
func (s *scope) waitsFor(h *hold, pending bool, most time.Duration) bool {
	left := h.left(pending, most, time.Now())
	if left > 0 {
		s.requeueIn = left
	}
	return left > 0
}
