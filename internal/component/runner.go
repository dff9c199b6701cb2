package component

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// runner does the long work (fetching charts, applying releases) outside the reconciler's workers, one job a
// component, few at once, and wakes the component when a job's phase changes or the job ends.
type runner struct {
	wake func(component string)
	// slots are for jobs that render, quick for those that put single objects right: these must not wait for the others.
	slots, quick chan struct{}
	// busy counts the jobs other than quick ones; rested is called some time after the last of them.
	busy   atomic.Int64
	rested func()

	mu      sync.Mutex
	ctx     context.Context // the life of the process, set once by Start
	started chan struct{}
	running sync.WaitGroup
}

// job is one piece of work. Its outcome may be read once done is closed.
type job struct {
	kind jobKind
	// inputs tells what the job works for: a digest of the component's wishes.
	inputs  string
	phase   atomic.Pointer[networkstackv1alpha1.ComponentPhase]
	done    chan struct{}
	outcome outcome
}

type jobKind string

const (
	jobApply     jobKind = "apply"
	jobVerify    jobKind = "verify"
	jobCorrect   jobKind = "correct"
	jobUninstall jobKind = "uninstall"
	// jobSecrets looks after the certificates and the generated Secrets of what is installed.
	jobSecrets jobKind = "secrets"
)

func newRunner(limit int, wake func(string)) *runner {
	return &runner{wake: wake, slots: make(chan struct{}, limit), quick: make(chan struct{}, workers), started: make(chan struct{}),
		rested: debug.FreeOSMemory}
}

// restDelay is how long after the last job memory is given back: what the job came to is taken up, and rolled out, first.
const restDelay = 15 * time.Second

// rest gives back to the system what rendering took, unless there is more to do. The garbage collector would keep it for the
// next time, which may be months away.
func (r *runner) rest() {
	time.AfterFunc(restDelay, func() {
		if r.busy.Load() == 0 {
			r.rested()
		}
	})
}

// Start lets jobs run until ctx ends, then waits for them to stop. A job that is cut off leaves a state from
// which the next process carries on.
func (r *runner) Start(ctx context.Context) error {
	r.mu.Lock()
	r.ctx = ctx
	r.mu.Unlock()
	close(r.started)
	<-ctx.Done()
	r.running.Wait()
	return nil
}

// reporting is how a job tells its phase.
type reporting func(networkstackv1alpha1.ComponentPhase)

// run starts a job. work reports its phase through the function it is given, and says through the slot when it only waits.
func (r *runner) run(component string, kind jobKind, inputs string,
	work func(ctx context.Context, phase reporting, slot *slot) outcome,
) *job {
	j := &job{kind: kind, inputs: inputs, done: make(chan struct{})}
	slots := r.slots
	done := func() {
		if r.busy.Add(-1) == 0 {
			r.rest()
		}
	}
	if kind == jobCorrect {
		slots, done = r.quick, func() {}
	} else {
		r.busy.Add(1)
	}
	r.running.Add(1)
	go func() {
		defer r.running.Done()
		defer done()
		defer r.wake(component)
		defer close(j.done)
		<-r.started
		r.mu.Lock()
		ctx := r.ctx
		r.mu.Unlock()
		s := &slot{of: slots, ctx: ctx}
		if !s.take() {
			j.outcome = outcome{err: ctx.Err()}
			return
		}
		defer s.leave()
		began := time.Now()
		j.outcome = work(ctx, func(p networkstackv1alpha1.ComponentPhase) {
			j.phase.Store(&p)
			r.wake(component)
		}, s)
		if ctx.Err() == nil {
			observe(component, kind, time.Since(began), j.outcome.err)
		}
	}()
	return j
}

// slot is a job's share of the few jobs that may work at a time. It is used by the job's own goroutine, or by one at a time.
type slot struct {
	of    chan struct{}
	ctx   context.Context
	taken bool
}

// take waits for a slot; false means that the process ends.
func (s *slot) take() bool {
	select {
	case s.of <- struct{}{}:
		s.taken = true
	case <-s.ctx.Done():
	}
	return s.taken
}

// leave gives the slot to others.
func (s *slot) leave() {
	if s.taken {
		s.taken = false
		<-s.of
	}
}

// waiting lets other jobs work while this one waits for the cluster, until what it returns is called. A job that waits for a
// hook may do so for minutes, and nothing else must wait for that hook.
func (s *slot) waiting() (resume func()) {
	s.leave()
	return func() { s.take() }
}

// looks says whether a job compares what is installed with what was applied.
func (j *job) looks() bool { return j.kind == jobVerify || j.kind == jobCorrect }

func (j *job) finished() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}
