package baseline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// errPulled says that what denies was pulled while it was about to be written.
var errPulled = errors.New("what denies is pulled")

// situation is what a reconcile starts from.
type situation struct {
	view
	wish *wish
	// turn is the one of places that it is for.
	turn int
	// ready says that enough is known to do anything at all, and problem what is missing for good.
	ready   bool
	problem string
	// unknown says that nothing is known of what is there.
	unknown bool
	// leaving says that the namespace is about to go, and all in it.
	leaving bool
}

// reconcile does what is to be done in one namespace, or with what has none.
func (w *Writer) reconcile(ctx context.Context, i item) (reconcile.Result, error) {
	s := w.situation(i)
	if !s.ready {
		return reconcile.Result{}, nil
	}
	defer w.tell()
	if s.problem != "" {
		w.settle(i, s, false, s.problem)
		return reconcile.Result{}, nil
	}
	if s.wish != nil && s.wish.Release {
		return w.result(i, s, w.release(ctx, i, s))
	}
	d := decide(s.view)
	corrects := w.corrects(i, s, d)
	if corrects {
		if wait := w.holdBack(i, time.Now()); wait > 0 {
			return reconcile.Result{RequeueAfter: wait}, nil
		}
	}
	for _, step := range d.steps {
		if err := w.take(ctx, i, s, step, corrects); err != nil {
			return w.result(i, s, err)
		}
	}
	w.settle(i, s, !d.waits, "")
	if i == clusterItem {
		w.retire()
	}
	return reconcile.Result{}, nil
}

// situation gathers what is known.
func (w *Writer) situation(i item) situation {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := situation{wish: w.wish, turn: w.places.turn}
	s.view = view{known: w.wish != nil && !w.frozen, there: w.live.of(string(i)), mode: w.mode(), orphan: w.orphan}
	s.ready = w.stacks.synced != nil && w.stacks.synced()
	if !s.known || w.wish.Compiled == nil {
		s.prunes, s.covered = true, false
		s.ready = s.ready && (s.known || w.looked)
		if s.mode == pull {
			s.ready = w.stacks.synced != nil && w.stacks.synced()
		}
		return s
	}
	s.wanted = w.wish.namespaced
	others := w.wish.cluster
	if i == clusterItem {
		s.wanted, s.covered = w.wish.cluster, true
		s.denies, s.prunes = w.places.allowed(), w.places.settled()
	} else {
		there := w.live.of(string(clusterItem))
		s.denies, s.prunes = allowed(others, there), complete(others, there, s.mode)
		at, ok := w.spaces.known[string(i)]
		s.covered = w.covers(at) && ok
		s.leaving = !ok || at.leaving
		if s.leaving {
			s.there = nil // it goes by itself
		}
	}
	if w.spaces.synced == nil {
		// What is pulled is pulled, whatever else is known.
		s.known, s.ready = false, s.ready && s.mode == pull
		return s
	}
	if s.covered {
		s.problem, s.unknown = w.missing(s.wanted)
		if s.problem != "" && s.mode == pull {
			s.problem, s.known = "", false
		}
		s.ready = s.ready && !s.unknown || s.mode == pull
	}
	return s
}

// orphan says whether there is no stack of a name. The caller of decide holds mu no more, so it takes it.
func (w *Writer) orphan(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.stacks.known[name]
	return !ok
}

// missing says which kind of what is wanted is not defined, and whether one has not been read yet. The caller holds mu.
func (w *Writer) missing(wanted []*form) (problem string, unknown bool) {
	for _, f := range wanted {
		one := w.watches[f.kind]
		switch {
		case !f.kind.served(w.defined):
			return fmt.Sprintf("waits for the kind %s to be defined", f.kind.gvk.GroupKind()), false
		case one == nil:
			unknown = true
		default:
			synced, err := one.state()
			if err != nil && !synced {
				return fmt.Sprintf("%s cannot be read: %v", f.kind.resource, err), false
			}
			unknown = unknown || !synced
		}
	}
	return "", unknown
}

// take takes one step: all of its actions, even when one fails.
func (w *Writer) take(ctx context.Context, i item, s situation, step []action, corrects bool) error {
	var failed error
	for _, a := range step {
		if err := w.do(ctx, i, s, a); err != nil {
			if failed == nil {
				failed = err
			}
			continue
		}
		if corrects && a.form != nil {
			w.corrected(i, s, a)
		}
	}
	return failed
}

func (w *Writer) do(ctx context.Context, i item, s situation, a action) error {
	namespace := string(i)
	if a.form == nil {
		if !(a.deny && s.mode == pull) {
			w.limit.Accept()
		}
		count("delete")
		if err := remove(ctx, w.Client, namespace, a); err != nil {
			return err
		}
		// It may have a finalizer, and then it is seen again.
		w.live.drop(namespace, a.ref, "")
		return nil
	}
	if a.was != nil && !a.was.leaving && a.form.right(*a.was) {
		return nil // another place has taught meanwhile what it looks like
	}
	w.limit.Accept()
	if a.deny && w.pulled() {
		return errPulled
	}
	count("apply")
	r, err := apply(ctx, w.Client, namespace, a)
	if err != nil {
		return err
	}
	w.live.put(namespace, a.ref, r)
	return nil
}

func (w *Writer) pulled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stacks.pulled()
}

// release takes our labels off what there is.
func (w *Writer) release(ctx context.Context, i item, s situation) error {
	for _, at := range sorted(s.there) {
		r := s.there[at]
		if !r.ours {
			continue
		}
		w.limit.Accept()
		count("release")
		if err := release(ctx, w.Client, string(i), at, r.uid); err != nil {
			return err
		}
		w.live.drop(string(i), at, "")
	}
	return nil
}

// result is what a reconcile answers that has ended with an error, or without.
func (w *Writer) result(i item, s situation, err error) (reconcile.Result, error) {
	switch {
	case err == nil:
		w.settle(i, s, true, "")
		return reconcile.Result{}, nil
	case errors.Is(err, errPulled):
		w.add(urgent, i)
		return reconcile.Result{}, nil
	case leaving(err):
		w.settle(i, s, true, "")
		return reconcile.Result{}, nil
	}
	text := err.Error()
	if i != clusterItem {
		text = "namespace " + string(i) + ": " + text
	}
	w.settle(i, s, false, text)
	if lasts(err) {
		w.Log.Info("policies cannot be written", "namespace", string(i), "error", err.Error())
		w.mu.Lock()
		failing := len(w.places.problems)
		w.mu.Unlock()
		return reconcile.Result{RequeueAfter: max(lastingRetry, time.Duration(failing)*lastingPause)}, nil
	}
	return reconcile.Result{}, err
}

// settle keeps how far a place has come, and has those looked at that have waited for it.
func (w *Writer) settle(i item, s situation, settled bool, problem string) {
	there := w.live.of(string(i))
	now := where{covered: s.known && s.covered, allowed: !s.covered || allowed(s.wanted, there), settled: settled}
	now.complete = now.allowed && (!s.covered || complete(s.wanted, there, s.mode))
	now.settled = settled && now.allowed
	w.mu.Lock()
	if s.turn != w.places.turn {
		w.mu.Unlock()
		return // it is to be looked at again
	}
	if _, ok := w.spaces.known[string(i)]; !ok && i != clusterItem && len(there) == 0 {
		w.places.drop(i)
		delete(w.fights, i)
		w.mu.Unlock()
		return
	}
	before, allAllowed, allSettled := w.places.of(i), w.places.allowed(), w.places.settled()
	w.places.put(i, now, problem)
	var waiting []item
	switch {
	case i == clusterItem && (now.allowed && !before.allowed || now.complete && !before.complete):
		waiting = w.places.waiting()
	case i != clusterItem && (w.places.allowed() && !allAllowed || w.places.settled() && !allSettled) && !w.places.of(clusterItem).settled:
		waiting = []item{clusterItem}
	}
	w.mu.Unlock()
	w.add(single, waiting...)
}

// State is how far the writer has come.
type State struct {
	// Known says that all there is has been read, and that what follows is to be believed.
	Known bool
	// Pulled says that what denies is not to be there.
	Pulled bool
	// Namespaces is how many are covered, and Pending how many of them are not as they are wanted yet.
	Namespaces, Pending int
	// Objects is how many there are, and Denying how many of them deny.
	Objects, Denying int
	// Complete says that all that is wanted is there, everywhere.
	Complete bool
	// Problem says what cannot be done, for one place of perhaps many.
	Problem string
}

// State answers it.
func (w *Writer) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state()
}

func (w *Writer) state() State {
	s := State{Pulled: w.stacks.pulled(), Known: w.looked && w.stacks.synced != nil && w.stacks.synced()}
	s.Objects, s.Denying = w.live.count()
	for _, k := range kinds {
		one := w.watches[k]
		if one == nil || one.end == nil {
			continue
		}
		synced, err := one.state()
		s.Known = s.Known && synced
		if err != nil {
			s.Problem = fmt.Sprintf("%s cannot be read: %v", k.resource, err)
		}
	}
	s.Problem = firstOf(w.places.problem(), s.Problem)
	if w.wish == nil || w.wish.Compiled == nil {
		return s
	}
	s.Known = s.Known && w.spaces.synced != nil
	s.Namespaces, s.Pending = w.places.counts()
	cluster := w.places.of(clusterItem)
	if len(w.wish.cluster) > 0 && !cluster.allowed {
		s.Pending = s.Namespaces
	}
	s.Complete = s.Known && s.Pending == 0 && cluster.settled && w.places.settled()
	return s
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
