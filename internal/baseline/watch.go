package baseline

import (
	"context"
	"fmt"
	"sync"
	"unique"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/networkstack/networkstack/internal/policy"
)

// sight is what an object is cut down to as soon as it is read: lists and watches never hold whole ones.
type sight struct {
	metav1.ObjectMeta
	record record
}

// GetObjectKind is there for the client library, and tells nothing.
func (s *sight) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject copies it.
func (s *sight) DeepCopyObject() runtime.Object {
	c := &sight{record: s.record}
	s.DeepCopyInto(&c.ObjectMeta)
	return c
}

// sights is a list of them.
type sights struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []sight
}

// DeepCopyObject copies the list.
func (s *sights) DeepCopyObject() runtime.Object {
	c := &sights{TypeMeta: s.TypeMeta, Items: make([]sight, 0, len(s.Items))}
	s.ListMeta.DeepCopyInto(&c.ListMeta)
	for i := range s.Items {
		one := sight{record: s.Items[i].record}
		s.Items[i].DeepCopyInto(&one.ObjectMeta)
		c.Items = append(c.Items, one)
	}
	return c
}

func sightOf(o *unstructured.Unstructured) (*sight, error) {
	r, err := recordOf(o)
	if err != nil {
		return nil, err
	}
	return &sight{record: r, ObjectMeta: metav1.ObjectMeta{
		Namespace: unique.Make(o.GetNamespace()).Value(), Name: unique.Make(o.GetName()).Value(), ResourceVersion: o.GetResourceVersion(),
	}}, nil
}

// watched is one kind that is watched.
type watched struct {
	kind *kind
	live *live
	// changed is called with the namespace of an object that has changed, and listed when all have been read.
	changed func(namespace string)
	listed  func()

	mu     sync.Mutex
	synced bool
	err    error
	end    context.CancelFunc
}

// run watches until it is ended.
func (w *watched) run(ctx context.Context, c dynamic.Interface) {
	only := func(o metav1.ListOptions) metav1.ListOptions {
		o.LabelSelector = policy.Label
		return o
	}
	source := c.Resource(w.kind.gvr())
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := source.List(ctx, only(o))
			w.failed(err)
			if err != nil {
				return nil, err
			}
			out := &sights{ListMeta: metav1.ListMeta{
				ResourceVersion: list.GetResourceVersion(), Continue: list.GetContinue(), RemainingItemCount: list.GetRemainingItemCount(),
			}}
			for i := range list.Items {
				s, err := sightOf(&list.Items[i])
				if err != nil {
					return nil, err
				}
				out.Items = append(out.Items, *s)
				list.Items[i] = unstructured.Unstructured{}
			}
			return out, nil
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := source.Watch(ctx, only(o))
			w.failed(err)
			if err != nil {
				return nil, err
			}
			return watch.Filter(events, cutDown), nil
		},
	}
	name := "baseline/" + w.kind.resource
	cache.NewReflectorWithOptions(lw, nil, w, cache.ReflectorOptions{Name: name, TypeDescription: w.kind.gvk.String()}).RunWithContext(ctx)
}

// cutDown cuts the object of an event down.
func cutDown(e watch.Event) (watch.Event, bool) {
	o, ok := e.Object.(*unstructured.Unstructured)
	if !ok || e.Type == watch.Error {
		return e, true
	}
	if e.Type == watch.Bookmark {
		e.Object = &sight{ObjectMeta: metav1.ObjectMeta{ResourceVersion: o.GetResourceVersion(), Annotations: o.GetAnnotations()}}
		return e, true
	}
	s, err := sightOf(o)
	if err != nil {
		return e, false
	}
	e.Object = s
	return e, true
}

// failed keeps why the kind cannot be watched, if it cannot. That it is not served yet, or any more, is told by its definition.
func (w *watched) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if apierrors.IsNotFound(err) {
		err = nil
	}
	w.err = err
}

// state says whether all objects have been read, and why not.
func (w *watched) state() (synced bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.synced, w.err
}

func (w *watched) see(obj any) error {
	s, ok := obj.(*sight)
	if !ok {
		return fmt.Errorf("%T is no object of a policy", obj)
	}
	if w.live.put(s.Namespace, ref{w.kind, s.Name}, s.record) {
		w.changed(s.Namespace)
	}
	return nil
}

// Add is called by the watch.
func (w *watched) Add(obj any) error { return w.see(obj) }

// Update is called by the watch.
func (w *watched) Update(obj any) error { return w.see(obj) }

// Delete is called by the watch, also for an object that has lost its label.
func (w *watched) Delete(obj any) error {
	s, ok := obj.(*sight)
	if !ok {
		return fmt.Errorf("%T is no object of a policy", obj)
	}
	if w.live.drop(s.Namespace, ref{w.kind, s.Name}, s.ResourceVersion) {
		w.changed(s.Namespace)
	}
	return nil
}

// Replace is called with all there is.
func (w *watched) Replace(list []any, version string) error {
	seen := make(map[place]record, len(list))
	for _, obj := range list {
		if s, ok := obj.(*sight); ok {
			seen[place{s.Namespace, ref{w.kind, s.Name}}] = s.record
		}
	}
	news := w.live.replace(w.kind, seen, version)
	w.mu.Lock()
	first := !w.synced
	w.synced, w.err = true, nil
	w.mu.Unlock()
	if first {
		w.listed()
		return nil
	}
	for ns, changed := range news {
		if changed {
			w.changed(ns)
		}
	}
	return nil
}

// Resync has nothing to do.
func (w *watched) Resync() error { return nil }
