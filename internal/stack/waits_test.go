package stack

import (
	"testing"
	"time"
)

// TestWaitsFor wants nothing decided before something is known, but not for ever.
func TestWaitsFor(t *testing.T) {
	h := &hold{}
	start := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		after   time.Duration
		pending bool
		want    time.Duration
	}{
		{0, false, 0},
		{time.Second, true, firstLook},
		{3 * time.Second, true, firstLook - 2*time.Second},
		{time.Second + firstLook, true, 0},
		{time.Minute, true, 0},
		{2 * time.Minute, false, 0},
		{3 * time.Minute, true, firstLook},
	} {
		if got := h.left(step.pending, firstLook, start.Add(step.after)); got != step.want {
			t.Errorf("after %s: waits for %s", step.after, got)
		}
	}
	s := &scope{requeueIn: time.Hour}
	if s.waitsFor(&hold{}, false, firstLook) || s.requeueIn != time.Hour {
		t.Errorf("waits for nothing, for %s", s.requeueIn)
	}
	if !s.waitsFor(&hold{}, true, firstLook) || s.requeueIn > firstLook {
		t.Errorf("does not wait, or for %s", s.requeueIn)
	}
}
