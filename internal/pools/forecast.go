package pools

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

const (
	// maxSamples bounds a pool's history, and window how far back it goes.
	maxSamples = 12
	window     = 14 * 24 * time.Hour
	// spacing is how far apart samples are at least.
	spacing = 10 * time.Minute
	// A forecast needs so many samples over so long a time, and looks no further ahead than horizon.
	minSamples = 4
	minSpan    = 2 * time.Hour
	horizon    = 30 * 24 * time.Hour
	// steps is how many points of the time that the samples cover are compared with one another.
	steps = 24
	// steady is how much of these pairs has to rise, less what falls, so that it counts as a trend.
	steady = 0.5
)

// Record adds a sample to a history. What changes soon after the last sample takes its place, and when there are too many, the
// one goes that follows most closely on its predecessor: what is left reaches far back.
func Record(history []networkstackv1alpha1.PoolSample, allocated int64, now time.Time) []networkstackv1alpha1.PoolSample {
	out := make([]networkstackv1alpha1.PoolSample, 0, len(history)+1)
	for i, s := range history {
		// The last one before the window says how it was when that began.
		if now.Sub(s.Time.Time) > window && i+1 < len(history) && now.Sub(history[i+1].Time.Time) > window {
			continue
		}
		out = append(out, s)
	}
	last := len(out) - 1
	switch {
	case last >= 0 && out[last].Allocated == allocated:
		return out
	case last >= 0 && now.Sub(out[last].Time.Time) < spacing:
		out[last].Allocated = allocated
		return out
	}
	out = append(out, networkstackv1alpha1.PoolSample{Time: metav1.NewTime(now.UTC().Truncate(time.Second)), Allocated: allocated})
	for len(out) > maxSamples {
		closest := 1
		for i := 2; i < len(out)-1; i++ {
			if gap(out, i) < gap(out, closest) {
				closest = i
			}
		}
		out = slices.Delete(out, closest, closest+1)
	}
	return out
}

func gap(samples []networkstackv1alpha1.PoolSample, i int) time.Duration {
	return samples[i].Time.Sub(samples[i-1].Time.Time)
}

// FullAt says when pools that serve for one another are full if it goes on as it went. Each history is that of one of them, and
// counts as 0 before it begins. There is an answer only when they have been watched for long enough and rise steadily.
//
// Samples are made when something changes, so they are no even picture of the time: the time is cut into equal steps first. The
// rate is the median of those between any two steps (Theil and Sen), which single leaps do not move.
func FullAt(histories [][]networkstackv1alpha1.PoolSample, allocated, capacity int64, now time.Time) (time.Time, bool) {
	times := map[int64]bool{}
	first := now
	for _, h := range histories {
		for _, s := range h {
			times[s.Time.Unix()] = true
			if s.Time.Time.Before(first) {
				first = s.Time.Time
			}
		}
	}
	if begin := now.Add(-window); first.Before(begin) {
		first = begin
	}
	span := now.Sub(first)
	if len(times) < minSamples || span < minSpan || allocated >= capacity {
		return time.Time{}, false
	}
	values := make([]float64, steps)
	for i := range values {
		at := first.Add(span * time.Duration(i) / (steps - 1))
		for _, h := range histories {
			values[i] += float64(valueAt(h, at))
		}
	}
	values[steps-1] = float64(allocated)
	rate, ok := trend(values)
	if !ok {
		return time.Time{}, false
	}
	step := span / (steps - 1)
	left := float64(capacity-allocated) / rate * float64(step)
	if left > float64(horizon) {
		return time.Time{}, false
	}
	return now.Add(time.Duration(left)), true
}

// valueAt is what was given out at a time: what the last sample before it says.
func valueAt(history []networkstackv1alpha1.PoolSample, at time.Time) int64 {
	value := int64(0)
	for _, s := range history {
		if s.Time.Time.After(at) {
			break
		}
		value = s.Allocated
	}
	return value
}

// trend is by how much equidistant values rise from one to the next; not ok when they do not do so steadily.
func trend(values []float64) (rate float64, ok bool) {
	var rates []float64
	balance := 0
	for i := range values {
		for j := i + 1; j < len(values); j++ {
			rise := values[j] - values[i]
			rates = append(rates, rise/float64(j-i))
			switch {
			case rise > 0:
				balance++
			case rise < 0:
				balance--
			}
		}
	}
	slices.Sort(rates)
	rate = rates[len(rates)/2]
	// What has not risen for the last third of the time may have stopped.
	recent := values[len(values)-1] > values[len(values)*2/3]
	return rate, recent && rate > 0 && float64(balance) >= steady*float64(len(rates))
}
