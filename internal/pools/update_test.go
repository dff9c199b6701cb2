package pools

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
)

// used is a pool of which so much is given out.
func used(p Pool, allocated int64) Usage {
	return Usage{Pool: p, Allocated: allocated, Capacity: Capacity(p)}
}

// line is a status in short.
type line struct {
	Name      string
	Allocated int64
	Percent   int32
	State     PoolState
}

func linesOf(status []IPPoolStatus) []line {
	var out []line
	for _, s := range status {
		l := line{Name: s.Name, Allocated: s.Allocated, State: s.State, Percent: -1}
		if s.Percent != nil {
			l.Percent = *s.Percent
		}
		out = append(out, l)
	}
	return out
}

// TestUpdate looks at pools twice, a minute apart.
func TestUpdate(t *testing.T) {
	flannel := nodePool("default", 24, "10.244.0.0/16") // 256
	a, b := nodePool("a", 24, "10.244.0.0/22"), nodePool("b", 24, "10.245.0.0/22")
	calico, more := addressPool("default", IPv4, "10.244.0.0/22"), addressPool("more", IPv4, "10.245.0.0/22") // 1024
	rack := addressPool("rack", IPv4, "10.246.0.0/26")
	rack.Groups = []string{"IPv4/rack == '7'"}
	everywhere := addressPool("default", IPv4, "10.244.0.0/22")
	everywhere.Groups = append(everywhere.Groups, "IPv4/rack == '7'")
	off := func(p Pool) Pool { p.Disabled = true; return p }
	unknown := nodePool("default", 24)
	huge := addressPool("six", IPv6, "fd00::/56")
	for _, tc := range []struct {
		name            string
		before, now     []Usage
		want            []line
		changed, urgent bool
		state           PoolState
		message         string
		events          []string
	}{
		{"nothing has changed", []Usage{used(flannel, 3)}, []Usage{used(flannel, 3)}, []line{{"default", 3, 1, PoolSufficient}}, false, false, PoolSufficient, "", nil},
		{"one node more", []Usage{used(flannel, 3)}, []Usage{used(flannel, 4)}, []line{{"default", 4, 1, PoolSufficient}}, true, false, PoolSufficient, "", nil},
		{"less than a percent", []Usage{used(calico, 103)}, []Usage{used(calico, 110)}, []line{{"default", 103, 10, PoolSufficient}}, false, false, PoolSufficient, "", nil},
		{"a percent", []Usage{used(calico, 103)}, []Usage{used(calico, 113)}, []line{{"default", 113, 11, PoolSufficient}}, true, false, PoolSufficient, "", nil},
		{"the first address", []Usage{used(calico, 0)}, []Usage{used(calico, 1)}, []line{{"default", 1, 0, PoolSufficient}}, true, false, PoolSufficient, "", nil},
		{"the last address", []Usage{used(calico, 2)}, []Usage{used(calico, 0)}, []line{{"default", 0, 0, PoolSufficient}}, true, false, PoolSufficient, "", nil},
		{"a drain to the letter", []Usage{used(off(calico), 9), used(more, 9)}, []Usage{used(off(calico), 8), used(more, 10)},
			[]line{{"default", 8, 0, ""}, {"more", 9, 0, PoolSufficient}}, true, false, PoolSufficient, "", nil},
		{"80 %", []Usage{used(flannel, 204)}, []Usage{used(flannel, 205)}, []line{{"default", 205, 80, PoolNearlyExhausted}}, true, true, PoolNearlyExhausted,
			"IPv4 pool default: 205 of 256 node ranges are given out (80 %), room for 51 more nodes",
			[]string{"Warning NearlyExhausted IPv4 pool default: 205 of 256 node ranges are given out (80 %), room for 51 more nodes"}},
		{"80 % still", []Usage{used(flannel, 205)}, []Usage{used(flannel, 206)}, []line{{"default", 206, 80, PoolNearlyExhausted}}, true, false, PoolNearlyExhausted,
			"IPv4 pool default: 206 of 256 node ranges are given out (80 %), room for 50 more nodes", nil},
		{"a little less", []Usage{used(flannel, 205)}, []Usage{used(flannel, 200)}, []line{{"default", 200, 78, PoolNearlyExhausted}}, true, false, PoolNearlyExhausted,
			"IPv4 pool default: 200 of 256 node ranges are given out (78 %), room for 56 more nodes", nil},
		{"75 % again", []Usage{used(flannel, 205)}, []Usage{used(flannel, 191)}, []line{{"default", 191, 74, PoolSufficient}}, true, false, PoolSufficient, "",
			[]string{"Normal PoolsSufficient IPv4 pool default: 191 of 256 node ranges are given out (74 %), room for 65 more nodes"}},
		{"95 %", []Usage{used(calico, 900)}, []Usage{used(calico, 973)}, []line{{"default", 973, 95, PoolCritical}}, true, true, PoolCritical,
			"IPv4 pool default: 973 of 1024 addresses are given out (95 %), 51 left",
			[]string{"Warning NearlyExhausted IPv4 pool default: 973 of 1024 addresses are given out (95 %), 51 left"}},
		{"the end", []Usage{used(flannel, 255)}, []Usage{used(flannel, 256)}, []line{{"default", 256, 100, PoolExhausted}}, true, true, PoolExhausted,
			"IPv4 pool default: 256 of 256 node ranges are given out (100 %), nodes that need one get none, and their pods no address",
			[]string{"Warning Exhausted IPv4 pool default: 256 of 256 node ranges are given out (100 %), nodes that need one get none, and their pods no address"}},
		{"the end of addresses", []Usage{used(calico, 1023)}, []Usage{used(calico, 1024)}, []line{{"default", 1024, 100, PoolExhausted}}, true, true, PoolExhausted,
			"IPv4 pool default: 1024 of 1024 addresses are given out (100 %), new pods get no address",
			[]string{"Warning Exhausted IPv4 pool default: 1024 of 1024 addresses are given out (100 %), new pods get no address"}},
		{"one left again", []Usage{used(flannel, 256)}, []Usage{used(flannel, 255)}, []line{{"default", 255, 99, PoolCritical}}, true, false, PoolCritical,
			"IPv4 pool default: 255 of 256 node ranges are given out (99 %), room for 1 more node", nil},
		{"seen for the first time", nil, []Usage{used(flannel, 250)}, []line{{"default", 250, 97, PoolCritical}}, true, true, PoolCritical,
			"IPv4 pool default: 250 of 256 node ranges are given out (97 %), room for 6 more nodes",
			[]string{"Warning NearlyExhausted IPv4 pool default: 250 of 256 node ranges are given out (97 %), room for 6 more nodes"}},
		{"a full pool and one that takes its place", []Usage{used(a, 3), used(b, 0)}, []Usage{used(a, 4), used(b, 0)},
			[]line{{"a", 4, 100, PoolSufficient}, {"b", 0, 0, PoolSufficient}}, true, false, PoolSufficient, "", nil},
		{"two that are full together", []Usage{used(a, 4), used(b, 2)}, []Usage{used(a, 4), used(b, 4)},
			[]line{{"a", 4, 100, PoolExhausted}, {"b", 4, 100, PoolExhausted}}, true, true, PoolExhausted,
			"IPv4 pools a and b: 8 of 8 node ranges are given out (100 %), nodes that need one get none, and their pods no address",
			[]string{"Warning Exhausted IPv4 pools a and b: 8 of 8 node ranges are given out (100 %), nodes that need one get none, and their pods no address"}},
		{"a pool is added to a full one", []Usage{used(a, 4)}, []Usage{used(a, 4), used(b, 0)}, []line{{"a", 4, 100, PoolSufficient}, {"b", 0, 0, PoolSufficient}}, true, true, PoolSufficient, "",
			[]string{"Normal PoolsSufficient IPv4 pools a and b: 4 of 8 node ranges are given out (50 %), room for 4 more nodes"}},
		{"the other one is disabled", []Usage{used(calico, 1000), used(more, 10)}, []Usage{used(calico, 1000), used(off(more), 10)},
			[]line{{"default", 1000, 97, PoolCritical}, {"more", 10, 0, ""}}, true, true, PoolCritical,
			"IPv4 pool default: 1000 of 1024 addresses are given out (97 %), 24 left",
			[]string{"Warning NearlyExhausted IPv4 pool default: 1000 of 1024 addresses are given out (97 %), 24 left"}},
		{"a rack's pool is full, and others have room", []Usage{used(everywhere, 10), used(rack, 3)}, []Usage{used(everywhere, 10), used(rack, 64)},
			[]line{{"default", 10, 0, PoolSufficient}, {"rack", 64, 100, PoolSufficient}}, true, false, PoolSufficient, "", nil},
		{"a rack's pool has room, and the others are full", []Usage{used(everywhere, 10), used(rack, 3)}, []Usage{used(everywhere, 1024), used(rack, 3)},
			[]line{{"default", 1024, 100, PoolExhausted}, {"rack", 3, 4, PoolNearlyExhausted}}, true, true, PoolExhausted,
			"IPv4 pool default: 1024 of 1024 addresses are given out (100 %), new pods get no address; " +
				"IPv4 pools default and rack: 1027 of 1088 addresses are given out (94 %), 61 left",
			[]string{
				"Warning Exhausted IPv4 pool default: 1024 of 1024 addresses are given out (100 %), new pods get no address",
				"Warning NearlyExhausted IPv4 pools default and rack: 1027 of 1088 addresses are given out (94 %), 61 left",
			}},
		{"a range that nobody knows", []Usage{used(unknown, 3)}, []Usage{used(unknown, 300)}, []line{{"default", 300, -1, ""}}, true, false, "", "", nil},
		{"more than can be told", []Usage{used(huge, 1)}, []Usage{used(huge, 1<<20)}, []line{{"six", 1, 0, PoolSufficient}}, false, false, PoolSufficient, "", nil},
		{"no pools any more", []Usage{used(flannel, 3)}, nil, nil, true, true, "", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := Update(nil, tc.before, start).Status
			v := Update(before, tc.now, start.Add(time.Minute))
			if diff := cmp.Diff(tc.want, linesOf(v.Status)); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if v.Changed != tc.changed || v.Urgent != tc.urgent {
				t.Errorf("changed %v, urgent %v", v.Changed, v.Urgent)
			}
			if v.State != tc.state || v.Message != tc.message {
				t.Errorf("%s: %s", v.State, v.Message)
			}
			var events []string
			for _, e := range v.Events {
				kind := map[bool]string{true: "Warning", false: "Normal"}[e.Warning]
				events = append(events, kind+" "+e.Reason+" "+e.Message)
			}
			if diff := cmp.Diff(tc.events, events); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			// Whoever starts anew from what was written has nothing to write and nothing to tell.
			again := Update(v.Status, tc.now, start.Add(2*time.Minute))
			if again.Changed || again.Urgent || len(again.Events) > 0 || again.Message != v.Message {
				t.Errorf("once more: %+v", again)
			}
		})
	}
}

// TestUpdateForecasts lets a pool fill up over days, and stop: the forecast comes, stays put, and goes.
func TestUpdateForecasts(t *testing.T) {
	pool := addressPool("default", IPv4, "10.244.0.0/22")
	var status []IPPoolStatus
	var events []Event
	var full []time.Time
	writes, now := 0, start
	look := func(allocated int64) Verdict {
		v := Update(status, []Usage{used(pool, allocated)}, now)
		if v.Changed {
			writes++
		}
		status = v.Status
		events = append(events, v.Events...)
		return v
	}
	for now.Before(start.Add(7 * day)) { // 120 a day, from 100 on: 80 % are reached within 6 days, and all within 7.7
		at := now.Sub(start)
		v := look(100 + int64(120*at.Hours()/24))
		if f := status[0].FullAt; f != nil {
			if v.LookAgain < 10*time.Minute || v.LookAgain > 12*time.Hour {
				t.Fatalf("looked at again after %s", v.LookAgain)
			}
			if len(full) == 0 || !full[len(full)-1].Equal(f.Time) {
				full = append(full, f.Time)
			}
		}
		now = now.Add(20 * time.Minute)
	}
	if len(full) == 0 {
		t.Fatal("no forecast")
	}
	want := start.Add(924 * day / 120)
	if off := full[len(full)-1].Sub(want).Abs(); off > 12*time.Hour {
		t.Errorf("full at %s, want %s", full[len(full)-1], want)
	}
	if len(full) > 12 {
		t.Errorf("the forecast has moved %d times: %v", len(full), full)
	}
	if percents := 82; writes > percents+len(full)+1 {
		t.Errorf("%d writes for about %d percent and %d forecasts", writes, percents, len(full))
	}
	if i := slices.IndexFunc(events, func(e Event) bool { return strings.Contains(e.Message, "80 %") }); i < 0 ||
		!strings.Contains(events[i].Message, "if it goes on like this, full in about 41 hours") {
		t.Errorf("events: %v", events)
	}
	last := status[0].Allocated
	for range 30 * 24 {
		now = now.Add(time.Hour)
		v := look(last)
		if status[0].FullAt == nil {
			if v.LookAgain != 0 {
				t.Errorf("looked at again after %s although there is no forecast", v.LookAgain)
			}
			return
		}
	}
	t.Errorf("it has stopped long since, and the forecast is still %s", status[0].FullAt)
}

func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration]string{
		11 * time.Minute: "11 minutes", 119 * time.Minute: "119 minutes", 3*time.Hour + 20*time.Minute: "3 hours", 47 * time.Hour: "47 hours",
		2*day + time.Hour: "2 days", 3*day - time.Hour: "3 days",
	} {
		if got := about(d); got != want {
			t.Errorf("%s is about %s, want %s", d, got, want)
		}
	}
}
