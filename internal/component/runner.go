package component

import (
	"context"
	"sync"
	"sync/atomic"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// runner does the long work (fetching charts, applying releases) outside the reconciler's workers, one job a
// component, few at once, and wakes the component when a job's phase changes or the job ends.
type runner struct {
	wake func(component string)
	// slots are for jobs that render, quick for those that put single objects right: these must not wait for the others.
	slots, quick chan struct{}

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
	// jobCertificates looks after the certificates of what is installed.
	jobCertificates jobKind = "certificates"
)

func newRunner(limit int, wake func(string)) *runner {
	return &runner{wake: wake, slots: make(chan struct{}, limit), quick: make(chan struct{}, workers), started: make(chan struct{})}
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

// run starts a job. work reports its phase through the function it is given.
func (r *runner) run(component string, kind jobKind, inputs string,
	work func(ctx context.Context, phase func(networkstackv1alpha1.ComponentPhase)) outcome,
) *job {
	j := &job{kind: kind, inputs: inputs, done: make(chan struct{})}
	slots := r.slots
	if kind == jobCorrect {
		slots = r.quick
	}
	r.running.Add(1)
	go func() {
		defer r.running.Done()
		defer r.wake(component)
		defer close(j.done)
		<-r.started
		r.mu.Lock()
		ctx := r.ctx
		r.mu.Unlock()
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			j.outcome = outcome{err: ctx.Err()}
			return
		}
		j.outcome = work(ctx, func(p networkstackv1alpha1.ComponentPhase) {
			j.phase.Store(&p)
			r.wake(component)
		})
	}()
	return j
}

func (j *job) finished() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}
