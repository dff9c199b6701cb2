package pools

import (
	"math/rand/v2"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
)

var start = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// recorded is what is kept of a course: what is given out is looked at every quarter of an hour, and told when it has changed.
func recorded(course func(time.Duration) int64, length time.Duration) ([]PoolSample, int64, time.Time) {
	var history []PoolSample
	last := int64(-1)
	for at := time.Duration(0); at <= length; at += 15 * time.Minute {
		if value := course(at); value != last {
			history, last = Record(history, value, start.Add(at)), value
		}
	}
	return history, course(length), start.Add(length)
}

func TestFullAt(t *testing.T) {
	perDay := func(from, rate int64) func(time.Duration) int64 {
		return func(at time.Duration) int64 { return from + int64(float64(rate)*at.Hours()/24) }
	}
	noise := rand.New(rand.NewPCG(1, 2))
	for _, tc := range []struct {
		name   string
		course func(time.Duration) int64
		length time.Duration
		// Of 1000. want is how long it lasts from the end of the course; 0 is no forecast. off is by how much it may be wrong.
		want, off time.Duration
	}{
		{"a steady rise", perDay(100, 100), 5 * day, 4 * day, 6 * time.Hour},
		{"a slow rise", perDay(400, 30), 10 * day, 10 * day, day},
		{"a fast one", perDay(100, 2400), 4 * time.Hour, 5 * time.Hour, time.Hour},
		{"too slow to matter", perDay(100, 10), 10 * day, 0, 0},
		{"flat", perDay(500, 0), 10 * day, 0, 0},
		{"falling", perDay(900, -50), 10 * day, 0, 0},
		{"not watched for long enough", perDay(100, 4800), 90 * time.Minute, 0, 0},
		{"full already", perDay(900, 100), 2 * day, 0, 0},
		{"a leap at the beginning, as of a new cluster", func(at time.Duration) int64 {
			return 10 + 60*min(int64(at/(15*time.Minute)), 10)
		}, 3 * day, 0, 0},
		{"a rise that ended as long ago as it took", func(at time.Duration) int64 {
			return perDay(100, 100)(min(at, 3*day))
		}, 6 * day, 0, 0},
		{"day and night", func(at time.Duration) int64 {
			if int(at.Hours())%24 < 12 {
				return 700
			}
			return 400
		}, 7 * day, 0, 0},
		{"a rise with noise", func(at time.Duration) int64 {
			return perDay(200, 50)(at) + noise.Int64N(9)
		}, 10 * day, 6 * day, day},
		{"a rise with one leap down and up again", func(at time.Duration) int64 {
			if at > 4*day && at < 4*day+2*time.Hour {
				return 10
			}
			return perDay(100, 100)(at)
		}, 6 * day, 3 * day, day},
	} {
		t.Run(tc.name, func(t *testing.T) {
			history, now, at := recorded(tc.course, tc.length)
			if len(history) > maxSamples {
				t.Errorf("%d samples are kept", len(history))
			}
			full, ok := FullAt([][]PoolSample{history}, now, 1000, at)
			left := full.Sub(at)
			switch {
			case ok != (tc.want > 0):
				t.Errorf("forecast %v in %s; history %v", ok, left, history)
			case ok && (left-tc.want).Abs() > tc.off:
				t.Errorf("full in %s, want %s", left, tc.want)
			}
		})
	}
}

// TestFullAtOfSeveral adds a pool when the first one fills up: together they last for longer.
func TestFullAtOfSeveral(t *testing.T) {
	first, _, _ := recorded(func(at time.Duration) int64 { return min(100*int64(at/day), 500) }, 8*day)
	var second []PoolSample
	for i := range 4 {
		second = Record(second, int64(i)*100, start.Add(time.Duration(5+i)*day))
	}
	now := start.Add(8 * day)
	full, ok := FullAt([][]PoolSample{first, second}, 800, 1500, now)
	if left := full.Sub(now); !ok || (left-7*day).Abs() > day {
		t.Errorf("forecast %v in %s, want 7 days", ok, left)
	}
}

// TestRecord holds the history to what is promised of it: bounded, spaced, in order, and reaching back.
func TestRecord(t *testing.T) {
	var history []PoolSample
	random := rand.New(rand.NewPCG(3, 4))
	now := start
	for i := range 5000 {
		now = now.Add(time.Duration(random.Int64N(int64(40 * time.Minute))))
		before := append([]PoolSample{}, history...)
		value := random.Int64N(100)
		history = Record(history, value, now)
		if len(history) > maxSamples {
			t.Fatalf("%d samples", len(history))
		}
		if history[len(history)-1].Allocated != value {
			t.Fatalf("the last sample is not what was recorded: %v after %v", history, before)
		}
		for j := 1; j < len(history); j++ {
			if gap(history, j) < spacing-time.Second {
				t.Fatalf("samples %s apart", gap(history, j))
			}
		}
		if len(history) > 1 && now.Sub(history[1].Time.Time) > window {
			t.Fatalf("a sample of %s ago", now.Sub(history[1].Time.Time))
		}
		if reach := now.Sub(history[0].Time.Time); i > 2500 && reach < window*3/4 {
			t.Fatalf("the history reaches %s back", reach)
		}
	}
	same := Record(history, history[len(history)-1].Allocated, now.Add(time.Hour))
	if len(same) != len(history) {
		t.Error("nothing has changed, and a sample was added")
	}
	if got := Record([]PoolSample{{Time: metav1.NewTime(start), Allocated: 3}}, 50, start.Add(time.Minute)); len(got) != 1 || got[0].Allocated != 50 || !got[0].Time.Time.Equal(start) {
		t.Errorf("what follows at once does not take its place: %v", got)
	}
}
