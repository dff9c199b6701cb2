package faults

import (
	"context"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Times of the lease in these tests: short, and with room for a busy machine.
const (
	leaseDuration = 8 * time.Second
	renewDeadline = 6 * time.Second
	retryPeriod   = time.Second
)

func (e *env) startElecting(f fault) *run {
	e.t.Helper()
	return e.start(f, "--leader-elect", "--leader-elect-lease-duration", leaseDuration.String(),
		"--leader-elect-renew-deadline", renewDeadline.String(), "--leader-elect-retry-period", retryPeriod.String())
}

// Of two operators one works. When it is killed in the middle of an installation, the other one finishes it.
func TestLeaderKilled(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	life := named(t, "install", "delete")
	want, install, remove := e.undisturbed(t, life), life[0], life[1]

	c := &cut{at: want[install.name].writes / 2, late: true}
	first := e.startElecting(c.fault)
	c.kill = first.Kill
	e.leads(first)
	second := e.startElecting(nil)
	install.begin(e)
	<-first.Exited()
	died := time.Now()
	e.finish(install, want)
	began := second.proxy.passed()[0].at
	if last := first.proxy.passed(); began.Before(last[len(last)-1].at) {
		t.Error("both operators wrote at the same time")
	}
	t.Logf("the other one took over %s after the leader was killed, of a lease of %s", began.Sub(died).Round(10*time.Millisecond), leaseDuration)
	if most := leaseDuration + 2*retryPeriod + 10*time.Second; began.Sub(died) > most {
		t.Errorf("the other one took over after %s", began.Sub(died))
	}
	e.goThrough(remove, want)
}

// A leader that is stopped for longer than its lease and then goes on writes nothing more: the other one is at work.
func TestLeaderPaused(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	life := named(t, "install", "change", "change back", "delete")
	want, install, change, back := e.undisturbed(t, life), life[0], life[1], life[2]

	var attempts, stopAt atomic.Int64
	var stopped, resumed atomic.Bool
	var late atomic.Int64
	var first *run
	first = e.startElecting(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isWrite(r) {
			if resumed.Load() {
				late.Add(1)
			}
			if attempts.Add(1) == stopAt.Load() {
				_ = syscall.Kill(first.PID(), syscall.SIGSTOP)
				stopped.Store(true)
			}
		}
		next.ServeHTTP(w, r)
	})
	e.leads(first)
	e.goThrough(install, want)

	// Stopped in the middle of applying a change, with more to send.
	stopAt.Store(attempts.Load() + want[change.name].writes/3)
	change.begin(e)
	e.eventually("the leader to be stopped", func(context.Context) (bool, string) { return stopped.Load(), "" })
	second := e.startElecting(nil)
	e.finish(change, want)
	mine := len(second.proxy.passed())
	if mine == 0 {
		t.Fatal("the other operator did nothing")
	}

	// It wakes up while the other one works.
	back.begin(e)
	e.eventually("the other one to be at work", func(context.Context) (bool, string) { return len(second.proxy.passed()) > mine, "" })
	resumed.Store(true)
	if err := syscall.Kill(first.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-first.Exited():
	case <-time.After(patience):
		t.Error("the former leader has not ended")
	}
	if n := late.Load(); n > 0 {
		t.Errorf("the former leader tried %d writes after it had lost the lease", n)
	}
	e.finish(back, want)
}

// leads waits until an operator is the leader.
func (e *env) leads(r *run) {
	e.t.Helper()
	e.eventually("the operator to lead", func(context.Context) (bool, string) {
		return r.log.Count("successfully acquired lease") > 0 || r.log.Count("Starting workers") > 1, r.log.Tail(300)
	})
}
