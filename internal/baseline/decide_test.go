package baseline

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// named makes a form of a name whose live digest is known to be 1; what begins with "deny" denies.
func named(name string) *form {
	f := &form{ref: ref{kinds[0], name}, deny: strings.HasPrefix(name, "deny")}
	f.live.Store(&digest{1})
	return f
}

// standing makes what there is: "name" as it is wanted, "name!" changed, "name~" on its way out, "name?" somebody else's copy.
func standing(names ...string) map[ref]record {
	out := map[ref]record{}
	for _, n := range names {
		r := record{stack: "default", digest: digest{1}, ours: !strings.HasSuffix(n, "?"), leaving: strings.HasSuffix(n, "~")}
		if strings.HasSuffix(n, "!") {
			r.digest = digest{2}
		}
		name := strings.TrimRight(n, "!~?")
		r.deny = strings.HasPrefix(name, "deny")
		out[ref{kinds[0], name}] = r
	}
	return out
}

// told is a decision in words: "+a b; -c", with the steps apart; "..." at the end when it waits.
func told(d decision) string {
	var steps []string
	for _, step := range d.steps {
		var words []string
		for _, a := range step {
			sign := "-"
			if a.form != nil {
				sign = "+"
			}
			words = append(words, sign+a.name)
		}
		steps = append(steps, strings.Join(words, " "))
	}
	if d.waits {
		steps = append(steps, "...")
	}
	return strings.Join(steps, "; ")
}

func TestDecide(t *testing.T) {
	t.Parallel()
	forms := []*form{named("deny-in"), named("allow-a"), named("allow-b")}
	for _, tc := range []struct {
		name  string
		there []string
		view  view
		want  string
	}{
		{"what allows comes first", nil, view{known: true, covered: true, denies: true, prunes: true}, "+allow-a +allow-b; +deny-in"},
		{"nothing to do", []string{"allow-a", "allow-b", "deny-in"}, view{known: true, covered: true, denies: true, prunes: true}, ""},
		{"what was changed", []string{"allow-a", "allow-b!", "deny-in!"}, view{known: true, covered: true, denies: true, prunes: true}, "+allow-b; +deny-in"},
		{"what allows is missing elsewhere", []string{"allow-a"}, view{known: true, covered: true, prunes: true}, "+allow-b; ..."},
		{"what denies is kept", []string{"allow-a", "old", "deny-old"}, view{known: true, covered: true, denies: true, prunes: true, mode: keep}, "+allow-b"},
		{"and not put right", []string{"allow-a", "allow-b", "deny-in!"}, view{known: true, covered: true, denies: true, prunes: true, mode: keep}, ""},
		{"what denies is pulled", []string{"allow-a", "deny-in", "deny-old"}, view{known: true, covered: true, denies: true, prunes: true, mode: pull}, "-deny-in -deny-old; +allow-b"},
		{"whatever else is known", []string{"allow-a", "deny-in"}, view{mode: pull}, "-deny-in"},
		{"what is new comes before what is old goes", []string{"old", "deny-old", "allow-a"}, view{known: true, covered: true, denies: true, prunes: true}, "+allow-b; +deny-in; -deny-old; -old"},
		{"what is old waits for others", []string{"allow-a", "allow-b", "deny-in", "deny-old"}, view{known: true, covered: true, denies: true}, "..."},
		{"not covered", []string{"allow-b", "allow-a", "deny-in"}, view{known: true, denies: true, prunes: true}, "-deny-in; -allow-b -allow-a"},
		{"not covered, and kept", []string{"allow-a", "deny-in"}, view{known: true, mode: keep}, "-deny-in; -allow-a"},
		{"nothing is known", []string{"allow-a", "deny-in", "deny-old"}, view{}, ""},
		{"nobody's", []string{"allow-a", "deny-in"}, view{orphan: func(stack string) bool { return stack == "default" }}, "-deny-in; -allow-a"},
		{"a copy is somebody else's", []string{"copy?", "deny-copy?"}, view{known: true, mode: pull}, ""},
		{"a copy in place of ours is put right", []string{"allow-a", "allow-b?", "deny-in"}, view{known: true, covered: true, denies: true, prunes: true}, ""},
		{"what is on its way out is waited for", []string{"allow-a~", "allow-b", "deny-in"}, view{known: true, covered: true, denies: true, prunes: true}, "..."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := tc.view
			v.wanted, v.there = forms, standing(tc.there...)
			if v.orphan == nil {
				v.orphan = func(string) bool { return false }
			}
			if got := told(decide(v)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestDecideAlways goes through all there may be, and holds every decision to what must never be.
func TestDecideAlways(t *testing.T) {
	t.Parallel()
	forms := []*form{named("deny-in"), named("allow-a")}
	objects := []string{"allow-a", "allow-a!", "deny-in", "deny-in!", "old", "deny-old"}
	cases := 0
	for set := range 1 << len(objects) {
		var names []string
		for i, n := range objects {
			if set&(1<<i) != 0 {
				names = append(names, n)
			}
		}
		for bits := range 1 << 4 {
			for m := write; m <= pull; m++ {
				cases++
				v := view{
					known: bits&1 != 0, covered: bits&2 != 0, denies: bits&4 != 0, prunes: bits&8 != 0, mode: m,
					wanted: forms, there: standing(names...), orphan: func(string) bool { return false },
				}
				d := decide(v)
				var order []string
				for _, step := range d.steps {
					for _, a := range step {
						word := map[bool]string{true: "+", false: "-"}[a.form != nil] + map[bool]string{true: "deny", false: "allow"}[a.deny]
						order = append(order, word)
					}
				}
				first := func(word string) int { return slices.Index(order, word) }
				last := func(word string) int {
					for i := len(order) - 1; i >= 0; i-- {
						if order[i] == word {
							return i
						}
					}
					return -1
				}
				switch what := told(d); {
				case m != write && first("+deny") >= 0:
					t.Fatalf("%v %+v: denied though it is kept or pulled: %s", names, v, what)
				case first("+deny") >= 0 && first("+deny") < last("+allow"):
					t.Fatalf("%v %+v: denied before it is allowed: %s", names, v, what)
				case first("-allow") >= 0 && first("-allow") < last("-deny"):
					t.Fatalf("%v %+v: not allowed any more before it is not denied any more: %s", names, v, what)
				case first("-allow") >= 0 && first("-allow") < last("+allow"):
					t.Fatalf("%v %+v: the old goes before the new is there: %s", names, v, what)
				case m == pull && slices.ContainsFunc(sorted(v.there), func(r ref) bool {
					return v.there[r].deny && !strings.Contains(what, "-"+r.name)
				}):
					t.Fatalf("%v %+v: something goes on denying: %s", names, v, what)
				}
			}
		}
	}
	t.Logf("%d situations", cases)
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	p := newPlaces()
	p.renew(map[item]bool{"a": true, "b": true})
	check := func(covered, open int, allowed, settled bool) {
		t.Helper()
		if c, o := p.counts(); c != covered || o != open || p.allowed() != allowed || p.settled() != settled {
			t.Errorf("covered %d, open %d, allowed %v, settled %v", c, o, p.allowed(), p.settled())
		}
	}
	check(2, 2, false, false)
	p.put("a", where{covered: true, allowed: true}, "")
	p.put("b", where{covered: true, allowed: true, settled: true}, "")
	check(2, 1, true, false)
	p.put("a", where{covered: true}, "quota")
	p.put(clusterItem, where{covered: true}, "")
	check(2, 1, false, false)
	if got := p.problem(); got != "quota" {
		t.Errorf("problem %q", got)
	}
	p.drop("a")
	check(1, 0, true, true)
	p.put("b", where{}, "")
	check(0, 0, true, true)
	if got := p.problem(); got != "" {
		t.Errorf("problem %q", got)
	}
}

// TestHoldBack is about somebody who keeps changing what is put right: sooner or later he gets his way for a while.
func TestHoldBack(t *testing.T) {
	t.Parallel()
	w := &Writer{fights: map[item]*fight{}}
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for range patientFor {
		if wait := w.holdBack("a", now); wait != 0 {
			t.Fatalf("held back for %s", wait)
		}
	}
	var waits []time.Duration
	for range 8 {
		wait := w.holdBack("a", now)
		waits = append(waits, wait)
		now = now.Add(wait)
		if wait > 0 && w.holdBack("a", now) != 0 {
			t.Fatal("held back after the wait")
		}
	}
	if !slices.IsSorted(waits) || waits[0] != firstHold || waits[7] != lastHold {
		t.Errorf("waits %v", waits)
	}
	if w.holdBack("b", now) != 0 {
		t.Error("another place is held back as well")
	}
	if w.holdBack("a", now.Add(peace+lastHold)) != 0 || len(w.fights) != 1 {
		t.Errorf("after peace, %d fights", len(w.fights))
	}
}
