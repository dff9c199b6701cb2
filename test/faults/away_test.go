package faults

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// outage is how long the API server is away.
func outage() time.Duration {
	if full() {
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

func (s *supervised) end() {
	close(s.over)
	s.running().end()
}

// The API server goes away for a while, in the middle of things or while there is nothing to do. What was under way is
// finished by itself once it is back. An operator without a lease to lose does not even end.
func TestAPIServerAway(t *testing.T) {
	e := newEnv(t)
	want := e.undisturbed(t)
	all := phases(t)
	for _, tc := range []struct {
		name string
		args []string
		away func() (back func())
		// exits is how often the operator may end.
		exits int
	}{
		{name: "killed", away: func() func() {
			e.cp.KillAPIServer()
			return func() { e.check(e.cp.StartAPIServer(context.WithoutCancel(t.Context()))) }
		}},
		{name: "hanging", away: func() func() { e.cp.PauseAPIServer(); return e.cp.ResumeAPIServer }},
		// It cannot renew its lease, so it ends, and waits for the API server when it is started again.
		{name: "killed, with leader election", args: []string{"--leader-elect"}, exits: 1, away: func() func() {
			e.cp.KillAPIServer()
			return func() { e.check(e.cp.StartAPIServer(context.WithoutCancel(t.Context()))) }
		}},
	} {
		ok := t.Run(tc.name, func(t *testing.T) {
			e.in(t, func() {
				// The signal comes with a write in the middle of a phase.
				var at, writes atomic.Int64
				reached := make(chan struct{}, 1)
				s := e.supervise(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if isWrite(r) && writes.Add(1) == at.Load() {
						reached <- struct{}{}
					}
					next.ServeHTTP(w, r)
				}, tc.args...)
				defer s.end()
				for _, p := range []phase{all[0], all[1], {name: "idle", begin: func(*env) {}, done: all[1].done}, all[3], all[len(all)-1]} {
					middle := want[p.name].writes / 2
					if p.name == "drift" {
						e.apply(sample(t)) // as the phase expects it
						e.eventually("change back", func(ctx context.Context) (bool, string) { return all[0].done(e, ctx) })
					}
					at.Store(writes.Load() + middle)
					p.begin(e)
					if p.name != "idle" {
						select {
						case <-reached:
						case <-time.After(patience):
							t.Fatalf("%s: there was no write %d", p.name, middle)
						}
					}
					back := tc.away()
					time.Sleep(outage())
					back()
					returned := time.Now()
					e.eventually(p.name, func(ctx context.Context) (bool, string) { return p.done(e, ctx) })
					took := time.Since(returned)
					name := p.name
					if name == "idle" {
						name = "change"
					}
					e.settles(p.name, want[name])
					t.Logf("%s: done %s after the API server was back", p.name, took.Round(100*time.Millisecond))
				}
				s.mu.Lock()
				exits, errors := s.exits, s.errors+s.current.errors()
				s.mu.Unlock()
				t.Logf("the operator ended %d times and wrote %d lines of errors", exits, errors)
				if most := tc.exits * 5; exits > most {
					t.Errorf("the operator ended %d times, at most %d are right", exits, most)
				}
				if errors > 5*mostErrors {
					t.Errorf("%d lines of errors", errors)
				}
			})
		})
		if !ok {
			break
		}
	}
}
