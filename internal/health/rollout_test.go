package health

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDeadline(t *testing.T) {
	for desired, want := range map[int32]time.Duration{
		-1: 5 * time.Minute, 0: 5 * time.Minute, 3: 5*time.Minute + 6*time.Second, 100: 8*time.Minute + 20*time.Second,
		1650: time.Hour, 1651: time.Hour, 1 << 30: time.Hour,
	} {
		if got := Deadline(desired); got != want {
			t.Errorf("%d pods: %s, want %s", desired, got, want)
		}
	}
}

func TestAdvance(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	type look struct {
		desired, updated, available int32
		target                      string
		done                        bool
		// progress says that this look is progress; missing is the least that lacked.
		progress bool
		missing  int32
	}
	for _, tc := range []struct {
		name  string
		looks []look
	}{
		{"pods are replaced one by one, while the others go on", []look{
			{desired: 3, updated: 0, available: 3, progress: true, missing: 3},
			// A pod goes, its successor comes, and comes up.
			{desired: 3, updated: 0, available: 2, missing: 3},
			{desired: 3, updated: 1, available: 2, missing: 3},
			{desired: 3, updated: 1, available: 3, progress: true, missing: 2},
			{desired: 3, updated: 2, available: 2, missing: 2},
			{desired: 3, updated: 2, available: 3, progress: true, missing: 1},
			{desired: 3, updated: 3, available: 2, missing: 1},
			{desired: 3, updated: 3, available: 3, done: true, progress: true, missing: 0},
			{desired: 3, updated: 3, available: 3, done: true, missing: 0},
		}},
		{"pods come up and break again", []look{
			{desired: 3, updated: 3, available: 0, progress: true, missing: 3},
			{desired: 3, updated: 3, available: 1, progress: true, missing: 2},
			{desired: 3, updated: 3, available: 0, missing: 2},
			{desired: 3, updated: 3, available: 1, missing: 2},
			{desired: 3, updated: 3, available: 0, missing: 2},
			{desired: 3, updated: 3, available: 2, progress: true, missing: 1},
		}},
		{"nodes join while nothing comes up", []look{
			{desired: 3, updated: 3, available: 0, progress: true, missing: 3},
			{desired: 4, updated: 3, available: 0, missing: 4},
			{desired: 4, updated: 4, available: 0, missing: 4},
			{desired: 9, updated: 9, available: 0, missing: 9},
		}},
		{"nodes join and come up", []look{
			{desired: 3, updated: 3, available: 2, progress: true, missing: 1},
			{desired: 13, updated: 13, available: 2, missing: 11},
			{desired: 13, updated: 13, available: 9, progress: true, missing: 4},
			{desired: 13, updated: 13, available: 12, progress: true, missing: 1},
		}},
		{"nodes leave", []look{
			{desired: 5, updated: 5, available: 3, progress: true, missing: 2},
			// One of those that lacked: no pod has come up for that.
			{desired: 4, updated: 4, available: 3, missing: 1},
			{desired: 3, updated: 3, available: 2, missing: 1},
			{desired: 3, updated: 3, available: 3, done: true, progress: true, missing: 0},
		}},
		{"not counted yet", []look{
			{desired: 0, progress: true, missing: 0},
			{desired: 0, missing: 0},
			{desired: 3, updated: 3, available: 0, progress: true, missing: 3},
			{desired: 3, updated: 3, available: 1, progress: true, missing: 2},
		}},
		{"it runs nowhere", []look{{desired: 0, progress: true}, {desired: 0}, {desired: 0}}},
		{"something else is rolled out", []look{
			{desired: 3, updated: 3, available: 2, progress: true, missing: 1},
			{desired: 3, updated: 3, available: 2, missing: 1},
			{desired: 3, updated: 0, available: 2, target: "b", progress: true, missing: 4},
			{desired: 3, updated: 0, available: 2, target: "b", missing: 4},
		}},
		{"a pod breaks after everything was well", []look{
			{desired: 3, updated: 3, available: 3, done: true, progress: true, missing: 0},
			{desired: 3, updated: 3, available: 3, done: true, missing: 0},
			{desired: 3, updated: 3, available: 2, progress: true, missing: 1},
			{desired: 3, updated: 3, available: 2, missing: 1},
		}},
		{"a node joins after everything was well, and comes up at once", []look{
			{desired: 3, updated: 3, available: 3, done: true, progress: true, missing: 0},
			{desired: 4, updated: 4, available: 4, done: true, missing: 0},
		}},
		{"old pods do not go", []look{
			{desired: 2, updated: 2, available: 2, progress: true, missing: 0},
			{desired: 2, updated: 2, available: 2, missing: 0},
			{desired: 2, updated: 2, available: 2, done: true, progress: true, missing: 0},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var before *Rollout
			last := start
			for i, l := range tc.looks {
				at := start.Add(time.Duration(i) * time.Minute)
				if l.progress {
					last = at
				}
				now := Counts{Target: l.target, Desired: l.desired, Updated: l.updated, Available: l.available}
				got := Advance(before, now, l.done, at)
				want := Rollout{Counts: now, Missing: l.missing, LastProgress: last, Done: l.done}
				if l.done {
					want.Missing = got.Missing // of no interest once there is nothing to come
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("look %d (-want +got):\n%s", i, diff)
				}
				before = &got
			}
		})
	}
}
