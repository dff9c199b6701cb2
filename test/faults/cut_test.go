package faults

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/effort"
	"github.com/networkstack/networkstack/test/endstate"
)

// phase is a change that the operator is to carry out.
type phase struct {
	name  string
	begin func(e *env)
	// done says whether it has been, as far as the operator's own word goes.
	done func(e *env, ctx context.Context) (bool, string)
	// undone is the name of the phase that takes this one back: neither is gone through without the other.
	undone string
}

// phases take a stack through its life. Each begins where the one before it ended.
func phases(t *testing.T) []phase {
	stack := sample(t)
	ready := func(e *env, ctx context.Context) (bool, string) { return e.isReady(ctx) }
	change := func(edit func(*networkstackv1alpha1.NetworkStackSpec)) func(*env) {
		return func(e *env) {
			wanted := stack.DeepCopy()
			edit(&wanted.Spec)
			e.apply(wanted)
		}
	}
	first := func(*networkstackv1alpha1.NetworkStackSpec) {}
	return []phase{
		{name: "install", begin: change(first), done: ready},
		{name: "change", begin: change(func(s *networkstackv1alpha1.NetworkStackSpec) { s.MTU = 1380 }), done: ready, undone: "change back"},
		{name: "change back", begin: change(first), done: ready},
		{name: "drift", begin: (*env).tamper, done: (*env).restored},
		{name: "kube-proxy given up", begin: change(func(s *networkstackv1alpha1.NetworkStackSpec) { s.KubeProxy = nil }), done: func(e *env, ctx context.Context) (bool, string) {
			if err := e.client.Get(ctx, client.ObjectKey{Name: "kube-proxy"}, &networkstackv1alpha1.NetworkComponent{}); client.IgnoreNotFound(err) != nil || err == nil {
				return false, "the component is there"
			}
			return e.isReady(ctx)
		}, undone: "kube-proxy taken up"},
		{name: "kube-proxy taken up", begin: change(first), done: ready},
		{name: "delete", begin: (*env).delete, done: (*env).isGone},
	}
}

// named are the phases of these names, in this order.
func named(t *testing.T, names ...string) []phase {
	t.Helper()
	var out []phase
	all := phases(t)
	for _, name := range names {
		n := slices.IndexFunc(all, func(p phase) bool { return p.name == name })
		if n < 0 {
			t.Fatalf("there is no phase %q", name)
		}
		out = append(out, all[n])
	}
	return out
}

// goThrough begins a phase and waits for its end.
func (e *env) goThrough(p phase, want map[string]end) {
	e.t.Helper()
	p.begin(e)
	e.finish(p, want)
}

// finish waits until a phase is done and has come to what it should.
func (e *env) finish(p phase, want map[string]end) {
	e.t.Helper()
	e.eventually(p.name, func(ctx context.Context) (bool, string) { return p.done(e, ctx) })
	e.settles(p.name, want[p.name])
}

// tamper changes a DaemonSet and removes a ConfigMap, as somebody else.
func (e *env) tamper() {
	e.t.Helper()
	ctx := e.t.Context()
	var ds appsv1.DaemonSet
	e.check(e.client.Get(ctx, client.ObjectKey{Namespace: flannelNamespace, Name: "kube-flannel-ds"}, &ds))
	patch := client.StrategicMergeFrom(ds.DeepCopy())
	ds.Spec.Template.Spec.Containers[0].Image = intruderImage
	e.check(e.client.Patch(ctx, &ds, patch, client.FieldOwner("intruder")))
	e.check(e.client.Delete(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: flannelNamespace, Name: "kube-flannel-cfg"}}))
}

const intruderImage = "example.com/intruder:1"

func (e *env) restored(ctx context.Context) (bool, string) {
	var ds appsv1.DaemonSet
	e.check(e.client.Get(ctx, client.ObjectKey{Namespace: flannelNamespace, Name: "kube-flannel-ds"}, &ds))
	if ds.Spec.Template.Spec.Containers[0].Image == intruderImage {
		return false, "the image is not restored"
	}
	err := e.client.Get(ctx, client.ObjectKey{Namespace: flannelNamespace, Name: "kube-flannel-cfg"}, &corev1.ConfigMap{})
	if err != nil {
		return false, err.Error()
	}
	return e.isReady(ctx)
}

// end is what a phase comes to.
type end struct {
	state   endstate.State
	records []string
	writes  int64
}

func (e *env) endNow(ctx context.Context) end {
	return end{state: e.endState(ctx), records: e.records(ctx)}
}

func (e end) differs(got end) []string {
	out := endstate.Diff(e.state, got.state)
	if !slices.Equal(e.records, got.records) {
		out = append(out, fmt.Sprintf("Helm's records: %v, want %v", got.records, e.records))
	}
	return out
}

// TestKilledAtEveryWrite kills the operator at each write (or, without full effort, each third one) of each phase of a
// stack's life, starts it anew, and compares what it comes to with what an undisturbed life came to.
func TestKilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	modes, step, least := []bool{true}, int64(3), 35
	if effort.Full() {
		// A write that never got through leaves what the lost answer of the one before it leaves, but for what was
		// under way at the same time.
		modes, step, least = []bool{true, false}, 1, 100
	}
	// Control planes of their own share the work, most of which is waiting.
	const planes = 2
	work := make(chan killAt)
	var done tally
	var all sync.WaitGroup
	begin := time.Now()
	for n := range planes {
		all.Go(func() {
			t.Run(fmt.Sprintf("plane %d", n), func(t *testing.T) {
				e := newEnv(t)
				if n > 0 {
					// Deleting a namespace takes the cluster seconds. On all planes but one it is there before and stays.
					e.check(e.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: flannelNamespace}}))
				}
				want := e.undisturbed(t, phases(t))
				for at := range work {
					e.killedLife(t, want, at, &done)
				}
			})
		})
	}
	go func() {
		defer close(work)
		for _, late := range modes {
			for k := int64(1); done.reached(k, late); k += step {
				select {
				case work <- killAt{k, late}:
				case <-t.Context().Done():
					return
				}
			}
		}
	}()
	all.Wait()
	t.Logf("%d kills in %s; recoveries took %s on average, %s at most", done.kills, time.Since(begin).Round(time.Second),
		(done.total / time.Duration(max(done.kills, 1))).Round(time.Millisecond), done.slowest.Round(time.Millisecond))
	if done.kills < least {
		t.Errorf("only %d kills: the phases have many more writes", done.kills)
	}
}

// killAt says when to kill.
type killAt struct {
	write int64
	// late has the fatal write take effect.
	late bool
}

// tally counts kills.
type tally struct {
	mu             sync.Mutex
	kills          int
	total, slowest time.Duration
	// unreached is the smallest number of a write that no phase came to, by mode.
	unreached map[bool]int64
}

func (y *tally) add(took time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.kills++
	y.total += took
	y.slowest = max(y.slowest, took)
}

func (y *tally) notReached(at killAt) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.unreached == nil {
		y.unreached = map[bool]int64{}
	}
	if n := y.unreached[at.late]; n == 0 || at.write < n {
		y.unreached[at.late] = at.write
	}
}

// reached says whether the k-th write is still worth a try.
func (y *tally) reached(k int64, late bool) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	n := y.unreached[late]
	return n == 0 || k < n
}

// undisturbed goes through phases and returns what each came to. Nothing is left when the last one is the deletion.
func (e *env) undisturbed(t *testing.T, list []phase) map[string]end {
	t.Helper()
	c := &cut{}
	r := e.start(c.fault)
	defer r.end()
	ends := map[string]end{}
	for _, p := range list {
		before, began := c.writes.Load(), time.Now()
		p.begin(e)
		e.eventually(p.name, func(ctx context.Context) (bool, string) { return p.done(e, ctx) })
		took := time.Since(began)
		now := e.endNow(t.Context())
		now.writes = c.writes.Load() - before
		ends[p.name] = now
		t.Logf("%s: %d writes, %s", p.name, now.writes, took.Round(time.Millisecond))
	}
	return ends
}

// killedLife goes through the phases and kills the operator at a write of each that has as many. Those that have not are
// left out, unless a later one needs them.
func (e *env) killedLife(t *testing.T, want map[string]end, at killAt, done *tally) {
	t.Helper()
	// The number of writes varies a little: statuses are written as things come along.
	const spread = 3
	worth := func(name string) bool { return at.write <= want[name].writes+spread }
	r := e.start(nil)
	kills, takeBack := 0, ""
	for _, p := range phases(t) {
		switch {
		case p.name == "install", p.name == "delete", p.name == takeBack, worth(p.name), p.undone != "" && worth(p.undone):
			takeBack = p.undone
		default:
			continue
		}
		c := &cut{at: at.write, late: at.late}
		dead := r
		c.kill = dead.Kill
		r.proxy.set(c.fault)
		p.begin(e)
		what := fmt.Sprintf("%s, killed at write %d (answer lost: %v)", p.name, at.write, at.late)
		e.eventually(what, func(ctx context.Context) (bool, string) {
			select {
			case <-dead.Exited():
				return true, ""
			default:
				return p.done(e, ctx)
			}
		})
		if c.done.Load() {
			<-dead.Exited()
			dead.proxy.stop()
			kills++
			began := time.Now()
			r = e.start(nil)
			e.eventually(what+", started anew", func(ctx context.Context) (bool, string) { return p.done(e, ctx) })
			done.add(time.Since(began))
		} else {
			r.proxy.set(nil)
		}
		for _, line := range want[p.name].differs(e.endNow(t.Context())) {
			t.Errorf("%s: %s", what, line)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	r.end()
	if kills == 0 {
		done.notReached(at)
	}
}
