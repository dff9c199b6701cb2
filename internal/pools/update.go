package pools

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Verdict is what is to be said of the pools.
type Verdict struct {
	Status []networkstackv1alpha1.IPPoolStatus
	// Changed says that Status differs from the last one, and Urgent that this is not to wait: there is less room, or there are
	// other pools.
	Changed, Urgent bool
	// State of the worst pools; empty when no capacity is known.
	State networkstackv1alpha1.PoolState
	// Message says why, unless State is Sufficient.
	Message string
	// Events tell of states that have changed.
	Events []Event
	// LookAgain is when a forecast has to be looked at again although nothing has changed; 0 is never.
	LookAgain time.Duration
}

// Event is one to be made.
type Event struct {
	Warning bool
	Reason  string
	Message string
}

// set is pools that serve for one another.
type set struct {
	key                 string
	members             []int
	allocated, capacity int64
	before, state       networkstackv1alpha1.PoolState
	fullAt              time.Time
	forecast            bool
}

// Update is the status of pools that follows from the last one and from what is seen now.
func Update(before []networkstackv1alpha1.IPPoolStatus, seen []Usage, now time.Time) Verdict {
	last := func(u Usage) *networkstackv1alpha1.IPPoolStatus {
		i := slices.IndexFunc(before, func(s networkstackv1alpha1.IPPoolStatus) bool { return s.Name == u.Name && s.Family == u.Family })
		if i < 0 {
			return nil
		}
		return &before[i]
	}
	var v Verdict
	sets := setsOf(seen)
	turned := false
	for i := range sets {
		s := &sets[i]
		for _, m := range s.members {
			if l := last(seen[m]); l != nil && seen[m].Groups[0] == s.key && severity(l.State) > severity(s.before) {
				s.before = l.State
			}
		}
		s.state = Next(s.before, s.allocated, s.capacity)
		turned = turned || severity(s.state) != severity(s.before)
		v.Urgent = v.Urgent || severity(s.state) > severity(s.before)
	}
	for _, u := range seen {
		v.Status = append(v.Status, entry(u, last(u), turned, now))
	}
	for i := range sets {
		sets[i].foresee(v.Status, now)
	}
	for i, u := range seen {
		e := &v.Status[i]
		s := find(sets, u)
		if s == nil {
			continue
		}
		e.State = s.state
		if s.forecast {
			e.FullAt = steadied(last(u), s.fullAt, now)
			v.LookAgain = soonest(v.LookAgain, e.FullAt.Sub(now))
		}
	}
	v.Urgent = v.Urgent || !slices.EqualFunc(before, v.Status, sameOutline)
	v.Changed = !equality.Semantic.DeepEqual(before, v.Status)
	v.speak(sets, seen, now)
	return v
}

// setsOf are the sets of pools whose capacity is known, without those that give nothing out. A set is there for the pools of which it
// is the first group; others may be in it, too.
func setsOf(seen []Usage) []set {
	var out []set
	for _, u := range seen {
		if u.Disabled || u.Capacity == 0 || slices.ContainsFunc(out, func(s set) bool { return s.key == u.Groups[0] }) {
			continue
		}
		s := set{key: u.Groups[0]}
		for i, o := range seen {
			if !o.Disabled && o.Capacity > 0 && slices.Contains(o.Groups, s.key) {
				s.members = append(s.members, i)
				s.allocated, s.capacity = add(s.allocated, o.Allocated), add(s.capacity, o.Capacity)
			}
		}
		out = append(out, s)
	}
	return out
}

// find is the set that is there for a pool; nil when there is none.
func find(sets []set, u Usage) *set {
	if u.Disabled || u.Capacity == 0 {
		return nil
	}
	i := slices.IndexFunc(sets, func(s set) bool { return s.key == u.Groups[0] })
	return &sets[i]
}

// entry is a pool's line, with the numbers of the last one while these are still good enough.
func entry(u Usage, last *networkstackv1alpha1.IPPoolStatus, exact bool, now time.Time) networkstackv1alpha1.IPPoolStatus {
	out := networkstackv1alpha1.IPPoolStatus{Name: u.Name, Family: u.Family, Unit: u.Unit, Disabled: u.Disabled}
	for _, c := range u.CIDRs {
		out.CIDRs = append(out.CIDRs, c.String())
	}
	allocated := u.Allocated
	if last != nil {
		out.History = last.History
		if !exact && !stepped(u, last) {
			allocated = last.Allocated
		}
	}
	out.Allocated = allocated
	out.History = Record(out.History, allocated, now)
	if u.Capacity > 0 {
		capacity, percent := u.Capacity, Percent(allocated, u.Capacity)
		out.Capacity, out.Percent = &capacity, &percent
		if u.OnePerNode && !u.Disabled {
			left := max(capacity-allocated, 0)
			out.NodesLeft = &left
		}
	}
	return out
}

// stepped says whether a pool's numbers have changed by as much as is told: a whole percent, or from or to nothing. Of node ranges,
// and while a pool is drained, every one counts.
func stepped(u Usage, last *networkstackv1alpha1.IPPoolStatus) bool {
	if u.Allocated == last.Allocated {
		return false
	}
	return u.Unit == networkstackv1alpha1.PoolNodeRanges || u.Disabled || u.Capacity == 0 || u.Allocated == 0 || last.Allocated == 0 ||
		Percent(u.Allocated, u.Capacity) != Percent(last.Allocated, u.Capacity)
}

// sameOutline says whether two lines are about the same pool, whatever is given out of it.
func sameOutline(a, b networkstackv1alpha1.IPPoolStatus) bool {
	return a.Name == b.Name && a.Family == b.Family && a.Unit == b.Unit && a.Disabled == b.Disabled &&
		slices.Equal(a.CIDRs, b.CIDRs) && equality.Semantic.DeepEqual(a.Capacity, b.Capacity)
}

// foresee works out when the set is full.
func (s *set) foresee(status []networkstackv1alpha1.IPPoolStatus, now time.Time) {
	histories := make([][]networkstackv1alpha1.PoolSample, len(s.members))
	for i, m := range s.members {
		histories[i] = status[m].History
	}
	s.fullAt, s.forecast = FullAt(histories, s.allocated, s.capacity, now)
}

// steadied is a time rounded to what a forecast is good for, and the last one while the new one is not much different.
func steadied(last *networkstackv1alpha1.IPPoolStatus, fullAt, now time.Time) *metav1.Time {
	const share = 5 // of what is left
	if last != nil && last.FullAt != nil && last.FullAt.After(now) {
		if off := fullAt.Sub(last.FullAt.Time).Abs(); off <= max(last.FullAt.Sub(now)/share, spacing) {
			return last.FullAt
		}
	}
	grain := time.Hour
	if fullAt.Sub(now) < 24*time.Hour {
		grain = spacing
	}
	t := metav1.NewTime(fullAt.UTC().Truncate(grain).Add(grain))
	return &t
}

// soonest is when to look at a forecast again: after a tenth of the time that it leaves, but not all the time.
func soonest(before, left time.Duration) time.Duration {
	const shortest, longest = 10 * time.Minute, 12 * time.Hour
	d := min(max(left/10, shortest), longest)
	if before > 0 {
		return min(before, d)
	}
	return d
}

// speak fills in what is said of the sets.
func (v *Verdict) speak(sets []set, seen []Usage, now time.Time) {
	var worst []string
	for i := range sets {
		s := &sets[i]
		if severity(s.state) >= severity(v.State) {
			v.State = s.state
		}
		var fullAt *metav1.Time
		if s.forecast {
			fullAt = v.Status[s.first(seen)].FullAt
		}
		text := s.text(seen, v.Status)
		if s.state != networkstackv1alpha1.PoolSufficient {
			if fullAt != nil {
				worst = append(worst, text+"; if it goes on like this, full around "+fullAt.UTC().Format("2006-01-02 15:04")+" UTC")
			} else {
				worst = append(worst, text)
			}
		}
		if severity(s.state) > severity(s.before) && fullAt != nil {
			text += "; if it goes on like this, full in about " + about(fullAt.Sub(now))
		}
		switch {
		case severity(s.state) > severity(s.before) && s.state == networkstackv1alpha1.PoolExhausted:
			v.Events = append(v.Events, Event{true, networkstackv1alpha1.ReasonPoolsExhausted, text})
		case severity(s.state) > severity(s.before):
			v.Events = append(v.Events, Event{true, networkstackv1alpha1.ReasonPoolsNearlyExhausted, text})
		case s.state == networkstackv1alpha1.PoolSufficient && severity(s.before) > 0:
			v.Events = append(v.Events, Event{false, networkstackv1alpha1.ReasonPoolsSufficient, text})
		}
	}
	v.Message = strings.Join(worst, "; ")
}

// first is the pool that the set is there for.
func (s *set) first(seen []Usage) int {
	i := slices.IndexFunc(s.members, func(m int) bool { return seen[m].Groups[0] == s.key })
	return s.members[i]
}

// text says how much a set has given out, by the numbers of the status.
func (s *set) text(seen []Usage, status []networkstackv1alpha1.IPPoolStatus) string {
	var names []string
	allocated := int64(0)
	for _, m := range s.members {
		names = append(names, seen[m].Name)
		allocated = add(allocated, status[m].Allocated)
	}
	u := seen[s.first(seen)]
	subject := fmt.Sprintf("%s pool %s", u.Family, names[0])
	if len(names) > 1 {
		subject = fmt.Sprintf("%s pools %s and %s", u.Family, strings.Join(names[:len(names)-1], ", "), names[len(names)-1])
	}
	unit, without := "addresses", "new pods get no address"
	if u.Unit == networkstackv1alpha1.PoolNodeRanges {
		unit, without = "node ranges", "nodes that need one get none, and their pods no address"
	}
	rest := without
	if left := s.capacity - allocated; left > 0 {
		rest = fmt.Sprintf("%d left", left)
		switch {
		case u.OnePerNode && left == 1:
			rest = "room for 1 more node"
		case u.OnePerNode:
			rest = fmt.Sprintf("room for %d more nodes", left)
		}
	}
	return fmt.Sprintf("%s: %d of %d %s are given out (%d %%), %s",
		subject, allocated, s.capacity, unit, Percent(allocated, s.capacity), rest)
}

// about is a duration in the one unit that fits it.
func about(d time.Duration) string {
	const day = 24 * time.Hour
	n, unit := int(d.Round(time.Minute)/time.Minute), "minutes"
	switch {
	case d >= 2*day:
		n, unit = int((d+day/2)/day), "days"
	case d >= 2*time.Hour:
		n, unit = int((d+time.Hour/2)/time.Hour), "hours"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
