package baseline

import (
	"context"
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// stackSeen is what is kept of a NetworkStack.
type stackSeen struct {
	uid types.UID
	// pulled says that it has the break-glass annotation, and had that its status tells of policies.
	pulled, had bool
}

// stacks are the NetworkStacks there are. Whether what denies is pulled is read from them and from nothing else, so that it depends on
// no other part of the operator.
type stacks struct {
	known  map[string]stackSeen
	synced func() bool
}

func (s *stacks) pulled() bool {
	for _, one := range s.known {
		if one.pulled {
			return true
		}
	}
	return false
}

func (s *stacks) had() bool {
	for _, one := range s.known {
		if one.had {
			return true
		}
	}
	return false
}

// Pulled says whether a stack has what denies removed, and why. Any value does, an empty one too: who breaks glass is in a hurry.
func Pulled(stack *networkstackv1alpha1.NetworkStack) (why string, pulled bool) {
	why, pulled = stack.Annotations[networkstackv1alpha1.BreakGlassAnnotation]
	return why, pulled
}

// space is what is kept of a namespace. The labels are those of the cache.
type space struct {
	labels  map[string]string
	leaving bool
}

// spaces are the namespaces; none before they matter.
type spaces struct {
	known  map[string]space
	begun  bool
	synced func() bool
}

// observe watches stacks and definitions, and answers what says whether all of both have been seen.
func (w *Writer) observe(ctx context.Context) (func() bool, error) {
	seenStacks, err := w.handle(ctx, &networkstackv1alpha1.NetworkStack{}, w.sawStack, w.lostStack)
	if err != nil {
		return nil, err
	}
	seenDefinitions, err := w.handle(ctx, facts.Definition(), w.sawDefinition, w.lostDefinition)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.stacks.synced = seenStacks
	w.mu.Unlock()
	return func() bool { return seenStacks() && seenDefinitions() }, nil
}

// handle calls seen and lost with the objects of a kind, and answers what says whether it was called with all of them.
func (w *Writer) handle(ctx context.Context, of client.Object, seen, lost func(client.Object)) (func() bool, error) {
	informer, err := w.Cache.GetInformer(ctx, of, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching %T for baseline policies: %w", of, err)
	}
	call := func(f func(client.Object)) func(any) {
		return func(obj any) {
			if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if o, ok := obj.(client.Object); ok {
				f(o)
			}
		}
	}
	handler, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: call(seen), UpdateFunc: func(_, obj any) { call(seen)(obj) }, DeleteFunc: call(lost),
	})
	if err != nil {
		return nil, fmt.Errorf("watching %T for baseline policies: %w", of, err)
	}
	return handler.HasSynced, nil
}

func (w *Writer) sawStack(o client.Object) {
	stack, ok := o.(*networkstackv1alpha1.NetworkStack)
	if !ok {
		return
	}
	_, pulled := Pulled(stack)
	w.changeStacks(func(known map[string]stackSeen) {
		known[stack.Name] = stackSeen{uid: stack.UID, pulled: pulled, had: stack.Status.Policies != nil}
	})
}

func (w *Writer) lostStack(o client.Object) {
	w.changeStacks(func(known map[string]stackSeen) { delete(known, o.GetName()) })
}

// changeStacks has all looked at that a change of the stacks concerns: what denies, at once, when it is pulled or is to come back; and
// everything when a stack comes or goes.
func (w *Writer) changeStacks(change func(map[string]stackSeen)) {
	w.mu.Lock()
	before, many := w.stacks.pulled(), len(w.stacks.known)
	change(w.stacks.known)
	after, now := w.stacks.pulled(), len(w.stacks.known)
	if before != after {
		w.renew()
	}
	w.mu.Unlock()
	switch {
	case after && !before:
		w.everywhere(urgent)
	case before != after, many != now:
		w.everywhere(bulk)
	}
}

func (w *Writer) sawDefinition(o client.Object) {
	if !o.GetDeletionTimestamp().IsZero() {
		w.lostDefinition(o)
		return
	}
	w.changeDefinition(o.GetName(), true)
}

func (w *Writer) lostDefinition(o client.Object) { w.changeDefinition(o.GetName(), false) }

func (w *Writer) changeDefinition(name string, there bool) {
	for _, k := range kinds {
		if !k.definedBy(name) {
			continue
		}
		w.mu.Lock()
		before := k.served(w.defined)
		w.defined[name] = there
		after := k.served(w.defined)
		if after {
			w.open(k)
		} else {
			w.shut(k)
		}
		w.mu.Unlock()
		if before != after {
			w.everywhere(bulk)
		}
	}
}

// watchNamespaces watches them from when they first matter.
func (w *Writer) watchNamespaces() {
	w.mu.Lock()
	ctx, begun := w.ctx, w.spaces.begun
	w.spaces.begun = ctx != nil
	w.mu.Unlock()
	if ctx == nil || begun {
		return
	}
	synced, err := w.handle(ctx, facts.NamespaceMetadata(), w.sawNamespace, w.lostNamespace)
	if err != nil {
		w.Log.Error(err, "namespaces cannot be watched")
		w.mu.Lock()
		w.spaces.begun = false
		w.mu.Unlock()
		return
	}
	go func() {
		if !toolscache.WaitForCacheSync(ctx.Done(), synced) {
			return
		}
		w.mu.Lock()
		w.spaces.synced = synced
		w.renew()
		w.mu.Unlock()
		w.everywhere(bulk)
		w.tell()
	}()
}

func (w *Writer) sawNamespace(o client.Object) {
	next := space{labels: o.GetLabels(), leaving: !o.GetDeletionTimestamp().IsZero()}
	w.mu.Lock()
	was, ok := w.spaces.known[o.GetName()]
	w.spaces.known[o.GetName()] = next
	news := !ok || was.leaving != next.leaving || !maps.Equal(was.labels, next.labels)
	synced := w.spaces.synced != nil
	w.mu.Unlock()
	if news && synced {
		w.add(single, item(o.GetName()))
	}
}

func (w *Writer) lostNamespace(o client.Object) {
	w.mu.Lock()
	delete(w.spaces.known, o.GetName())
	w.mu.Unlock()
	w.add(single, item(o.GetName()))
}

// owner is a stack as an event is about it; nil when there is none of that name.
func (w *Writer) owner(name string) *networkstackv1alpha1.NetworkStack {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen, ok := w.stacks.known[name]
	if !ok {
		return nil
	}
	return &networkstackv1alpha1.NetworkStack{
		TypeMeta:   metav1.TypeMeta{APIVersion: networkstackv1alpha1.GroupVersion.String(), Kind: "NetworkStack"},
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: seen.uid},
	}
}
