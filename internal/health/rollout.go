package health

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// The deadline of a roll-out that names none: nodes pull images and start pods mostly in parallel, but a DaemonSet
// replaces its pods a few at a time.
const (
	baseDeadline   = 5 * time.Minute
	deadlinePerPod = 2 * time.Second
	maxDeadline    = time.Hour
)

// Deadline is how long a roll-out of so many pods may make no progress: 5 minutes and 2 seconds for each pod, at most an
// hour.
func Deadline(desired int32) time.Duration {
	return min(baseDeadline+time.Duration(max(desired, 0))*deadlinePerPod, maxDeadline)
}

// Counts are the pods of all workloads together.
type Counts struct {
	// Target identifies what is rolled out: workloads and their generations.
	Target string
	// Desired is how many pods there should be, Updated how many are of the latest template, Available how many are
	// available, whatever their template.
	Desired, Updated, Available int32
}

// missing is what lacks until the roll-out is complete.
func (c Counts) missing() int32 { return 2*c.Desired - c.Updated - c.Available }

// Rollout is how far a roll-out has come, as it is kept between two looks at it.
type Rollout struct {
	Counts
	// Missing is the least that has lacked so far. Pods that come up and break again make no progress.
	Missing int32
	// LastProgress is when something lacked less than ever before.
	LastProgress time.Time
	// Done says that everything is as it should be.
	Done bool
}

// Advance is the state of a roll-out after another look at it. A first look, another target, and the end of a time when
// everything was as it should be, start the clock.
//
// Pods that are newly desired, because a node has joined, say, are no progress and no regress: what may lack grows with
// them. So a cluster that grows while its image cannot be pulled is seen to stall, and one whose new nodes come up is not.
func Advance(before *Rollout, now Counts, done bool, at time.Time) Rollout {
	after := Rollout{Counts: now, Missing: now.missing(), LastProgress: at, Done: done}
	if before == nil || before.Target != now.Target || before.Done != done || before.Desired == 0 && now.Desired > 0 {
		return after
	}
	least := before.Missing + max(now.Desired-before.Desired, 0)
	if now.Desired < before.Desired {
		// Pods that are no longer desired have not come up.
		least = min(least, now.missing())
	}
	if done || now.missing() >= least {
		after.LastProgress, after.Missing = before.LastProgress, least
	}
	return after
}

// Counts sums up the workloads.
func (r Result) Counts() Counts {
	var out Counts
	h := sha256.New()
	for _, w := range r.Workloads {
		out.Desired += w.Desired
		out.Updated += w.Updated
		out.Available += w.Available
		_, _ = fmt.Fprintf(h, "%s %s %d\n", w.Object, w.UID, w.Generation)
	}
	const length = 8 // bytes; it need only differ from its predecessor
	out.Target = hex.EncodeToString(h.Sum(nil)[:length])
	return out
}
