package component

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

func TestMain(m *testing.M) {
	// One goroutine starts all control planes and lives as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/networkstack/networkstack/test/controlplane.init.func1.1"))
}

// The tests of the runner run in bubbles: synctest.Wait returns when every goroutine waits for something, so that
// "nothing more happens" can be tested without waiting for it.

// startRunner starts a runner; stop ends its life and waits until it is over.
func startRunner(t *testing.T, limit int, wake func(string)) (r *runner, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r = newRunner(limit, wake)
	over := make(chan error)
	go func() { over <- r.Start(ctx) }()
	return r, func() {
		t.Helper()
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	}
}

func TestRunnerLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, all = 2, 5
		r, stop := startRunner(t, limit, func(string) {})
		defer stop()
		begun, release := make(chan int, all), make(chan struct{})
		var jobs []*job
		for i := range all {
			jobs = append(jobs, r.run("x", jobApply, "", func(context.Context, reporting, *slot) outcome {
				begun <- i
				<-release
				return outcome{}
			}))
		}
		finished := func() int {
			return len(slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return !j.finished() }))
		}
		for done := range all {
			synctest.Wait()
			if want := min(done+limit, all); len(begun) != want || finished() != done {
				t.Fatalf("%d jobs have begun and %d are finished; want %d and %d", len(begun), finished(), want, done)
			}
			release <- struct{}{}
		}
		synctest.Wait()
		if finished() != all {
			t.Errorf("%d of %d jobs are finished", finished(), all)
		}
	})
}

// TestRunnerWaiting has jobs that wait let others work, and come back only when there is room.
func TestRunnerWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := startRunner(t, 1, func(string) {})
		defer stop()
		hook, back := make(chan struct{}), false
		waits := r.run("waits", jobApply, "", func(_ context.Context, _ reporting, s *slot) outcome {
			resume := s.waiting()
			<-hook
			resume()
			back = true
			return outcome{}
		})
		synctest.Wait()
		end := make(chan struct{})
		works := r.run("works", jobApply, "", func(context.Context, reporting, *slot) outcome {
			<-end
			return outcome{upgraded: true}
		})
		synctest.Wait()
		if len(r.slots) != 1 {
			t.Errorf("%d slots are taken", len(r.slots))
		}
		close(hook)
		synctest.Wait()
		if back {
			t.Error("two jobs work in one slot")
		}
		close(end)
		<-works.done
		<-waits.done
		synctest.Wait()
		if !back || len(r.slots) != 0 {
			t.Errorf("back %v, %d slots taken", back, len(r.slots))
		}
	})
}

// TestRunnerWaitingAtTheEnd has a job that comes back after the end of the process neither block nor free a slot of others.
func TestRunnerWaitingAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := startRunner(t, 1, func(string) {})
		hook := make(chan struct{})
		waits := r.run("waits", jobApply, "", func(ctx context.Context, _ reporting, s *slot) outcome {
			resume := s.waiting()
			<-hook
			resume()
			return outcome{err: ctx.Err()}
		})
		synctest.Wait()
		end := make(chan struct{})
		r.run("works", jobApply, "", func(context.Context, reporting, *slot) outcome {
			<-end
			return outcome{}
		})
		synctest.Wait()
		go func() {
			synctest.Wait()
			close(hook)
			<-waits.done
			if len(r.slots) != 1 {
				t.Errorf("%d slots are taken", len(r.slots))
			}
			close(end)
		}()
		stop()
		if !errors.Is(waits.outcome.err, context.Canceled) || len(r.slots) != 0 {
			t.Errorf("%v, %d slots taken", waits.outcome.err, len(r.slots))
		}
	})
}

func TestRunnerWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j *job
		var seen []string
		woken, read := make(chan string), make(chan struct{})
		r, stop := startRunner(t, 1, func(component string) {
			woken <- component
			<-read
		})
		defer stop()
		broken := errors.New("broken")
		j = r.run("cni", jobApply, "inputs", func(_ context.Context, phase reporting, _ *slot) outcome {
			phase(networkstackv1alpha1.PhaseFetching)
			phase(networkstackv1alpha1.PhaseInstalling)
			return outcome{err: broken}
		})
		// What woke has to be there to be read when it wakes.
		for range 3 {
			seen = append(seen, <-woken+" "+string(*j.phase.Load())+map[bool]string{true: ", finished"}[j.finished()])
			read <- struct{}{}
		}
		if diff := cmp.Diff([]string{"cni Fetching", "cni Installing", "cni Installing, finished"}, seen); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if !errors.Is(j.outcome.err, broken) || j.kind != jobApply || j.inputs != "inputs" {
			t.Errorf("job %+v", j)
		}
	})
}

// TestRunnerBeforeStart covers the time until this process is the leader.
func TestRunnerBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRunner(1, func(string) {})
		j := r.run("cni", jobApply, "", func(context.Context, reporting, *slot) outcome { return outcome{upgraded: true} })
		synctest.Wait()
		if j.finished() || j.phase.Load() != nil {
			t.Error("a job ran before the start")
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if err := r.Start(ctx); err != nil {
				t.Error(err)
			}
		}()
		<-j.done
		if !j.outcome.upgraded {
			t.Errorf("outcome %+v", j.outcome)
		}
		cancel()
	})
}

// TestRunnerShutdown wants the end of the process to reach the job at work and the ones that wait, and to wait for both.
func TestRunnerShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var woken []string
		names := make(chan string, 10)
		ctx, cancel := context.WithCancel(t.Context())
		r := newRunner(1, func(component string) { names <- component })
		over := make(chan error, 1)
		go func() { over <- r.Start(ctx) }()

		cleanUp := make(chan struct{})
		working := r.run("working", jobApply, "", func(ctx context.Context, _ reporting, _ *slot) outcome {
			<-ctx.Done()
			<-cleanUp
			return outcome{err: ctx.Err()}
		})
		synctest.Wait()
		waiting := r.run("waiting", jobApply, "", func(context.Context, reporting, *slot) outcome {
			t.Error("a job began after the end")
			return outcome{}
		})
		synctest.Wait()

		cancel()
		synctest.Wait()
		if !waiting.finished() || !errors.Is(waiting.outcome.err, context.Canceled) {
			t.Errorf("the job that waited: finished %v, %v", waiting.finished(), waiting.outcome.err)
		}
		if working.finished() || len(over) != 0 {
			t.Error("the runner did not wait for the job at work")
		}
		close(cleanUp)
		if err := <-over; err != nil {
			t.Error(err)
		}
		if !working.finished() || !errors.Is(working.outcome.err, context.Canceled) {
			t.Errorf("the job at work: finished %v, %v", working.finished(), working.outcome.err)
		}
		close(names)
		for name := range names {
			woken = append(woken, name)
		}
		if diff := cmp.Diff([]string{"waiting", "working"}, woken); diff != "" {
			t.Errorf("woken (-want +got):\n%s", diff)
		}
	})
}

// TestWakeNeverBlocks because it is called from watches: the rest is delivered when there is room.
func TestWakeNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWakes()
		const all = wakeBuffer + 10
		for range all {
			w.Wake("cni")
		}
		synctest.Wait()
		for range all {
			if e := <-w.events; e.Object.GetName() != "cni" {
				t.Errorf("woke %q", e.Object.GetName())
			}
		}
		synctest.Wait()
		if len(w.events) != 0 {
			t.Errorf("%d wake-ups too many", len(w.events))
		}
	})
}

// TestRunnerRests gives memory back once, after the last of the jobs that take much of it.
func TestRunnerRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := startRunner(t, 2, func(string) {})
		defer stop()
		rests := 0
		r.rested = func() { rests++ }
		release := make(chan struct{})
		run := func(kind jobKind) {
			r.run("x", kind, "", func(context.Context, reporting, *slot) outcome {
				<-release
				return outcome{}
			})
		}
		after := func(what string, want int) {
			t.Helper()
			time.Sleep(2 * restDelay) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
			if rests != want {
				t.Errorf("%s: rested %d times, want %d", what, rests, want)
			}
		}
		run(jobApply)
		run(jobVerify)
		release <- struct{}{}
		after("one of two jobs is done", 0)
		release <- struct{}{}
		after("both are done", 1)
		run(jobCorrect)
		release <- struct{}{}
		after("a single object was put right", 1)
		run(jobUninstall)
		release <- struct{}{}
		synctest.Wait()
		run(jobApply)
		after("the next job began at once", 1)
		release <- struct{}{}
		after("it is done, too", 2)
	})
}
