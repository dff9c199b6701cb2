// Package baseline writes the objects of baseline policies, in the cluster and in each namespace that is covered, and keeps them as they
// are wanted: what allows traffic before what denies it, and the other way round when they go. What denies can be pulled on its own.
package baseline

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/dynamic"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/networkstack/networkstack/internal/policy"
)

// Bounds of what is asked of the API server. What is pulled counts for the workers alone.
const (
	workers         = 16
	writesPerSecond = 250
)

// Waits of what has failed.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 10 * time.Second
	// lastingRetry is for what no retry can help, and lastingPause the least time between two attempts, whatever they are for.
	lastingRetry = time.Minute
	lastingPause = 50 * time.Millisecond
)

// Priorities in the queue.
const (
	bulk   = -100
	single = 0
	urgent = 100
)

// item is what is reconciled in one go: a namespace; empty for what has none.
type item string

const clusterItem item = ""

// Wish is what is wanted of baseline policies.
type Wish struct {
	// Stack is whose they are.
	Stack string
	// Compiled is what is to be there; nil for nothing.
	Compiled *policy.Compiled
	// Keep leaves what denies as it is: none is written, changed or removed.
	Keep bool
	// Release takes the labels off all there is, which stays and is not looked after any more.
	Release bool
}

// Writer writes them.
type Writer struct {
	// Client is for all reads and writes; what is not urgent is held to writesPerSecond.
	Client   dynamic.Interface
	Cache    cache.Cache
	Recorder events.EventRecorder
	Log      logr.Logger
	// Wake has the stacks reconciled: there is something new to be told.
	Wake func()

	live  *live
	limit flowcontrol.RateLimiter

	mu    sync.Mutex
	ctx   context.Context // of the watches, from when it is started
	queue priorityqueue.PriorityQueue[item]
	// wish is the last one; nil before there was one.
	wish *wish
	// frozen says that only what is pulled is touched.
	frozen bool
	// looked says that it is known which kinds have something of ours.
	looked  bool
	stacks  stacks
	spaces  spaces
	defined map[string]bool
	watches map[*kind]*watched
	places  *places
	fights  map[item]*fight
	teller  teller
}

// wish is a Wish in effect.
type wish struct {
	Wish
	cluster, namespaced []*form
	namespaces          labels.Selector
}

// SetupWithManager registers the writer with a manager.
func (w *Writer) SetupWithManager(mgr manager.Manager) error {
	w.prepare()
	usePriorities := true
	c, err := controller.NewTyped("baseline", mgr, controller.TypedOptions[item]{
		Reconciler:              reconcile.TypedFunc[item](w.reconcile),
		MaxConcurrentReconciles: workers,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[item](firstRetry, lastRetry),
		UsePriorityQueue:        &usePriorities,
		LogConstructor: func(i *item) logr.Logger {
			if i == nil {
				return w.Log
			}
			return w.Log.WithValues("namespace", string(*i))
		},
	})
	if err != nil {
		return err
	}
	return c.Watch(source.TypedFunc[item](w.start))
}

func (w *Writer) prepare() {
	w.live = newLive()
	w.limit = flowcontrol.NewTokenBucketRateLimiter(writesPerSecond, writesPerSecond)
	w.defined = map[string]bool{}
	w.watches = map[*kind]*watched{}
	w.places = newPlaces()
	w.fights = map[item]*fight{}
	w.stacks.known = map[string]stackSeen{}
	w.spaces.known = map[string]space{}
	metricsOf.set(w)
}

// start is called when the controller starts.
func (w *Writer) start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[item]) error {
	q, ok := queue.(priorityqueue.PriorityQueue[item])
	if !ok {
		return fmt.Errorf("%T has no priorities", queue)
	}
	w.mu.Lock()
	w.ctx, w.queue = ctx, q
	wanted := w.wish != nil && w.wish.Compiled != nil
	w.mu.Unlock()
	synced, err := w.observe(ctx)
	if err != nil {
		return err
	}
	if wanted {
		w.watchWanted()
	}
	go w.look(ctx, synced)
	return nil
}

// Want sets what is wanted from now on. What is as before costs nothing.
func (w *Writer) Want(wanted Wish) error {
	w.mu.Lock()
	next := &wish{Wish: wanted, namespaces: labels.Nothing()}
	before := w.wish
	if before == nil {
		before = &wish{}
	}
	if wanted.Compiled != nil {
		var err1, err2 error
		next.cluster, err1 = formsOf(wanted.Compiled.Cluster, before.cluster)
		next.namespaced, err2 = formsOf(wanted.Compiled.Namespaced, before.namespaced)
		for _, err := range []error{err1, err2} {
			if err != nil {
				w.mu.Unlock()
				return err
			}
		}
		next.namespaces = wanted.Compiled.Namespaces
	}
	if w.wish != nil && !w.frozen && same(w.wish, next) {
		w.mu.Unlock()
		return nil
	}
	w.wish, w.frozen = next, false
	w.renew()
	started := w.ctx != nil
	w.mu.Unlock()
	if started && wanted.Compiled != nil {
		w.watchWanted()
	}
	w.everywhere(bulk)
	return nil
}

// Freeze has everything left as it is, but for what is pulled, until the next wish.
func (w *Writer) Freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = true
}

// same says whether two wishes come to the same.
func same(a, b *wish) bool {
	alike := func(a, b []*form) bool {
		return slices.EqualFunc(a, b, func(a, b *form) bool { return a.ref == b.ref && a.digest == b.digest })
	}
	return a.Stack == b.Stack && a.Keep == b.Keep && a.Release == b.Release && (a.Compiled == nil) == (b.Compiled == nil) &&
		alike(a.cluster, b.cluster) && alike(a.namespaced, b.namespaced) && a.namespaces.String() == b.namespaces.String()
}

// renew has every place looked at again. The caller holds mu.
func (w *Writer) renew() {
	covered := map[item]bool{}
	if w.wish != nil && w.wish.Compiled != nil {
		for name, s := range w.spaces.known {
			if w.covers(s) {
				covered[item(name)] = true
			}
		}
	}
	w.places.renew(covered)
}

// covers says whether the wish is for a namespace. The caller holds mu.
func (w *Writer) covers(s space) bool {
	return w.wish != nil && w.wish.Compiled != nil && !s.leaving && w.wish.namespaces.Matches(labels.Set(s.labels))
}

// mode in effect for what denies. The caller holds mu.
func (w *Writer) mode() mode {
	switch {
	case w.stacks.pulled():
		return pull
	case w.wish != nil && w.wish.Keep:
		return keep
	}
	return write
}

// everywhere has all that may be concerned looked at.
func (w *Writer) everywhere(priority int) {
	w.mu.Lock()
	queue := w.queue
	seen := map[item]bool{clusterItem: true}
	for name := range w.spaces.known {
		seen[item(name)] = true
	}
	w.mu.Unlock()
	for _, name := range w.live.namespaces() {
		seen[item(name)] = true
	}
	if queue == nil {
		return
	}
	all := make([]item, 0, len(seen))
	for i := range seen {
		all = append(all, i)
	}
	queue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, all...)
}

func (w *Writer) add(priority int, items ...item) {
	w.mu.Lock()
	queue := w.queue
	w.mu.Unlock()
	if queue != nil && len(items) > 0 {
		queue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, items...)
	}
}

// look finds out which kinds have something that an earlier process wrote, and has these watched. Where there is nothing, and nothing
// is wanted, nothing is watched.
func (w *Writer) look(ctx context.Context, synced func() bool) {
	if !toolscache.WaitForCacheSync(ctx.Done(), synced) {
		return
	}
	for _, k := range kinds {
		for wait := firstRetry; ctx.Err() == nil; wait = min(2*wait, lastRetry) {
			found, err := w.lookAt(ctx, k)
			if err == nil {
				if found {
					w.watch(k)
				}
				break
			}
			w.Log.Error(err, "looking for policies that were written before", "kind", k.gvk.String())
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
		}
	}
	w.mu.Lock()
	w.looked = true
	w.mu.Unlock()
	w.everywhere(bulk)
	w.tell()
}

// lookAt says whether there may be something of ours of a kind. Who may not look cannot have written, unless a status says that
// something was.
func (w *Writer) lookAt(ctx context.Context, k *kind) (bool, error) {
	w.mu.Lock()
	skip := !k.served(w.defined) || w.watches[k] != nil
	w.mu.Unlock()
	if skip {
		return false, nil
	}
	list, err := w.Client.Resource(k.gvr()).List(ctx, metav1.ListOptions{LabelSelector: policy.Label, Limit: 1})
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case apierrors.IsForbidden(err):
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.stacks.had(), nil
	case err != nil:
		return false, err
	}
	return len(list.Items) > 0, nil
}

// watchWanted watches what the wish needs.
func (w *Writer) watchWanted() {
	w.watchNamespaces()
	w.mu.Lock()
	needed := map[*kind]bool{}
	for _, forms := range [][]*form{w.wish.cluster, w.wish.namespaced} {
		for _, f := range forms {
			needed[f.kind] = true
		}
	}
	w.mu.Unlock()
	for _, k := range kinds {
		if needed[k] {
			w.watch(k)
		}
	}
}

// watch watches a kind, from now on or from when it is defined.
func (w *Writer) watch(k *kind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil {
		return
	}
	if w.watches[k] == nil {
		w.watches[k] = &watched{kind: k}
	}
	w.open(k)
}

// open begins the watch of a kind that is to be watched and is defined. The caller holds mu.
func (w *Writer) open(k *kind) {
	old := w.watches[k]
	if old == nil || old.end != nil || !k.served(w.defined) {
		return
	}
	ctx, end := context.WithCancel(w.ctx)
	one := &watched{
		kind: k, live: w.live, end: end,
		changed: func(namespace string) { w.add(single, item(namespace)) },
		listed: func() {
			w.everywhere(bulk)
			w.tell()
		},
	}
	w.watches[k] = one
	go one.run(ctx, w.Client)
}

// shut ends the watch of a kind that is not defined any more, and forgets its objects. The caller holds mu.
func (w *Writer) shut(k *kind) {
	one := w.watches[k]
	if one == nil || one.end == nil {
		return
	}
	one.end()
	w.watches[k] = &watched{kind: k}
	w.live.replace(k, nil, "")
}

// retire ends the watches of kinds that an API server of its own serves, and that nothing is of any more, nor wanted: that one may go, and
// would be asked in vain.
func (w *Writer) retire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range kinds {
		one := w.watches[k]
		if k.behind == "" || one == nil || one.end == nil {
			continue
		}
		wanted := func(f *form) bool { return f.kind == k }
		if w.wish != nil && (slices.ContainsFunc(w.wish.cluster, wanted) || slices.ContainsFunc(w.wish.namespaced, wanted)) {
			continue
		}
		if synced, _ := one.state(); synced && !w.live.has(k) {
			one.end()
			delete(w.watches, k)
		}
	}
}
