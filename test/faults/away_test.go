package faults

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/networkstack/networkstack/test/effort"
)

// outage is how long the API server is away.
func outage() time.Duration {
	if effort.Full() {
		return time.Minute
	}
	return 15 * time.Second
}

// supervised is an operator that is started anew when it ends, as the kubelet does.
type supervised struct {
	e     *env
	fault fault
	args  []string

	mu      sync.Mutex
	current *run
	exits   int
	errors  int
	over    chan struct{}
}

// restartDelay is the kubelet's first one.
const restartDelay = 10 * time.Second

func (e *env) supervise(f fault, args ...string) *supervised {
	e.t.Helper()
	s := &supervised{e: e, fault: f, args: args, over: make(chan struct{})}
	s.current = e.start(f, args...)
	go func() {
		for {
			r := s.running()
			select {
			case <-s.over:
				return
			case <-r.Exited():
			}
			s.mu.Lock()
			s.exits++
			s.errors += r.errors()
			s.mu.Unlock()
			r.proxy.stop()
			select {
			case <-s.over:
				return
			case <-time.After(restartDelay):
			}
			s.mu.Lock()
			s.current = e.start(f, args...)
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *supervised) running() *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// tally says how often operators ended, and how much all of them complained.
func (s *supervised) tally() (exits, errors int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exits, s.errors + s.current.errors()
}

// firstWrite is when the running operator first wrote after a moment.
func (s *supervised) firstWrite(after time.Time) (time.Time, bool) {
	for _, w := range s.running().proxy.passed() {
		if w.at.After(after) {
			return w.at, true
		}
	}
	return time.Time{}, false
}

func (s *supervised) end() {
	close(s.over)
	s.running().end()
}

// The API server goes away for a while, in the middle of things or while there is nothing to do. What was under way is
// finished by itself once it is back. An operator without a lease to lose does not even end.
func TestAPIServerAway(t *testing.T) {
	t.Parallel()
	kill := func(e *env) func() {
		e.cp.KillAPIServer()
		return func() { e.check(e.cp.StartAPIServer(context.WithoutCancel(e.t.Context()))) }
	}
	hang := func(e *env) func() {
		e.cp.PauseAPIServer()
		return e.cp.ResumeAPIServer
	}
	var all sync.WaitGroup
	for _, tc := range []struct {
		name string
		args []string
		away func(*env) (back func())
		// ends says that the operator may end, once an outage.
		ends bool
	}{
		{name: "killed", away: kill},
		{name: "hanging", away: hang},
		// It cannot renew its lease, so it ends, and waits for the API server when it is started again.
		{name: "killed, with leader election", args: []string{"--leader-elect"}, away: kill, ends: true},
	} {
		// They are at rest most of the time.
		all.Go(func() { t.Run(tc.name, func(t *testing.T) { outages(t, tc.away, tc.ends, tc.args) }) })
	}
	all.Wait()
}

// outages has the API server away in the middle of each phase of a life, and once between them.
func outages(t *testing.T, away func(*env) func(), ends bool, args []string) {
	e := newEnv(t)
	life := named(t, "install", "change", "change back", "drift", "delete")
	want := e.undisturbed(t, life)
	want["idle"] = want["change"]
	life = slices.Insert(life, 2, phase{name: "idle", begin: func(*env) {}, done: life[1].done})
	if !effort.Full() {
		life = []phase{life[0], life[2], life[len(life)-1]}
		want["idle"] = want["install"]
	}
	// The sign comes with a write in the middle of a phase.
	var at, writes atomic.Int64
	reached := make(chan struct{}, 1)
	s := e.supervise(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isWrite(r) && writes.Add(1) == at.Load() {
			reached <- struct{}{}
		}
		next.ServeHTTP(w, r)
	}, args...)
	defer s.end()
	for _, p := range life {
		at.Store(writes.Load() + want[p.name].writes/2)
		if p.name == "idle" {
			reached <- struct{}{}
		}
		p.begin(e)
		select {
		case <-reached:
		case <-time.After(patience):
			t.Fatalf("%s: the operator does nothing", p.name)
		}
		back := away(e)
		<-time.After(outage())
		back()
		returned := time.Now()
		e.eventually(p.name, func(ctx context.Context) (bool, string) { return p.done(e, ctx) })
		took := time.Since(returned)
		e.settles(p.name, want[p.name])
		// The rest of the time is that of the cluster's own controllers, which have to find back, too.
		again := "nothing"
		if at, ok := s.firstWrite(returned); ok {
			again = at.Sub(returned).Round(100 * time.Millisecond).String()
		}
		t.Logf("%s: the operator's first write %s after the API server was back, done after %s", p.name, again, took.Round(100*time.Millisecond))
	}
	exits, errors := s.tally()
	t.Logf("the operator ended %d times and wrote %d lines of errors in %d outages", exits, errors, len(life))
	if exits > 0 && !ends || exits > len(life) {
		t.Errorf("the operator ended %d times", exits)
	}
	if errors > len(life)*mostErrors {
		t.Errorf("%d lines of errors", errors)
	}
}
