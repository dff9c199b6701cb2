// Package drift notices, by watch, that a live object is no longer what was applied. It compares metadata only:
// a foreign change of a field the operator owns moves that field out of the operator's entry in
// metadata.managedFields, and a foreign addition shows in the other entries, so a hash over them tells, without reading
// the object's body. It also decides when to stop fighting with another writer, and counts.
package drift

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/release"
)

// Watcher watches the kinds of objects that components own, filtered by the component label, so that its memory
// does not grow with the cluster.
type Watcher struct {
	client metadata.Interface
	mapper meta.RESTMapper
	log    logr.Logger
	wake   func(component string)

	mu        sync.Mutex
	ctx       context.Context // the life of the informers, set once by Start
	informers map[schema.GroupVersionKind]cache.SharedIndexInformer
	expected  map[string]map[key]*expectation
	// since is when the first of a component's present differences was noticed.
	since map[string]time.Time
	// revisions are those of the components' Helm releases.
	revisions map[string]*revision
}

// expectation is what is expected of one object.
type expectation struct {
	release.Applied
	// same is the resource version that was last compared and found to be as expected: no object is compared twice.
	same string
	// extra says that the object is none of the release.
	extra bool
}

// key names an object within a kind.
type key struct {
	gvk             schema.GroupVersionKind
	namespace, name string
}

func keyOf(o release.Object) key { return key{o.GVK, o.Namespace, o.Name} }

// NewWatcher makes a Watcher that calls wake with a component's name when one of its objects may have drifted. The
// call comes from a watch: it must not block.
func NewWatcher(client metadata.Interface, mapper meta.RESTMapper, log logr.Logger, wake func(string)) *Watcher {
	return &Watcher{
		client: client, mapper: mapper, log: log, wake: wake,
		informers: map[schema.GroupVersionKind]cache.SharedIndexInformer{},
		expected:  map[string]map[key]*expectation{},
		since:     map[string]time.Time{},
		revisions: map[string]*revision{},
	}
}

// Start keeps the watches alive until ctx ends.
func (w *Watcher) Start(ctx context.Context) error {
	w.mu.Lock()
	w.ctx = ctx
	for gvk, informer := range w.informers {
		w.run(ctx, gvk, informer)
	}
	w.mu.Unlock()
	<-ctx.Done()
	return nil
}

// Track replaces what is expected of a component's objects by what was applied, and watches their kinds. Kinds
// that cannot be watched make an error; the others are watched all the same.
func (w *Watcher) Track(component string, applied []release.Applied) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	expected := make(map[key]*expectation, len(applied))
	for _, a := range applied {
		expected[keyOf(a.Object)] = &expectation{Applied: a}
	}
	w.expected[component] = expected
	return w.watchKinds(expected)
}

// TrackExtra replaces what is expected of a component's objects that are none of its release. Nothing is expected of them
// while nothing is expected of the others.
func (w *Watcher) TrackExtra(component string, applied []release.Applied) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	expected := w.expected[component]
	if expected == nil {
		return nil
	}
	maps.DeleteFunc(expected, func(_ key, e *expectation) bool { return e.extra })
	for _, a := range applied {
		expected[keyOf(a.Object)] = &expectation{Applied: a, extra: true}
	}
	return w.watchKinds(expected)
}

// Update renews what is expected of some of a component's objects, after they were looked at or applied again.
func (w *Watcher) Update(component string, looked []release.Applied) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range looked {
		k := keyOf(a.Object)
		if _, ok := w.expected[component][k]; ok {
			w.expected[component][k] = &expectation{Applied: a}
		}
	}
}

// Noticed is when the watches first saw, since the last call, that something of a component differs; zero when nothing did.
func (w *Watcher) Noticed(component string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.since[component]
	delete(w.since, component)
	return at
}

// Forget stops expecting anything of a component's objects.
func (w *Watcher) Forget(component string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.expected, component)
	delete(w.since, component)
	delete(w.revisions, component)
}

// Drifted are the objects of a component that differ, by all that the watches know, from what was applied.
func (w *Watcher) Drifted(component string) []release.Object {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []release.Object
	for k, a := range w.expected[component] {
		informer := w.informers[k.gvk]
		if informer == nil || !informer.HasSynced() {
			continue
		}
		if w.differs(k, a) {
			out = append(out, a.Object)
		}
	}
	slices.SortFunc(out, func(a, b release.Object) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// live is what the watch last saw of an object; nil when it is gone or has lost its label. The caller holds mu.
func (w *Watcher) live(k key) *metav1.PartialObjectMetadata {
	informer := w.informers[k.gvk]
	if informer == nil {
		return nil
	}
	name := k.name
	if k.namespace != "" {
		name = k.namespace + "/" + k.name
	}
	obj, ok, err := informer.GetStore().GetByKey(name)
	if err != nil || !ok {
		return nil
	}
	m, _ := obj.(*metav1.PartialObjectMetadata)
	return m
}

// differs compares a live object with what was applied. A watch that has not come as far as the applying proves
// nothing: its event is still to come. The caller holds mu.
func (w *Watcher) differs(k key, e *expectation) bool {
	live := w.live(k)
	switch {
	case live == nil && (e.Transient || e.Unlabelled):
		// What has lost the label is not seen: it is looked at again when it has one.
		return false
	case live == nil:
		was := e.Fingerprint != "" || e.ResourceVersion != ""
		return was && !olderVersion(w.informers[k.gvk].LastSyncResourceVersion(), e.ResourceVersion)
	case live.ResourceVersion == e.same, live.ResourceVersion == e.ResourceVersion, olderVersion(live.ResourceVersion, e.ResourceVersion):
		return false
	case release.Fingerprint(live, networkstackv1alpha1.FieldManager) != e.Fingerprint:
		return true
	case e.Open && e.touched(live):
		return true
	}
	e.same = live.ResourceVersion
	return false
}

// touched says whether somebody may have changed an object that was left different. Fields that are not ours change
// without a trace in our entry; what tells is the generation, or, for kinds that have none, every new version.
func (e *expectation) touched(live *metav1.PartialObjectMetadata) bool {
	if live.Generation == 0 {
		return true
	}
	return e.Generation != live.Generation || e.Traces != release.Traces(live, networkstackv1alpha1.FieldManager)
}

// olderVersion compares resource versions; what cannot be compared is never older.
func olderVersion(seen, applied string) bool {
	order, err := resourceversion.CompareResourceVersion(seen, applied)
	return err == nil && order < 0
}

// watchKinds starts an informer for every kind that has none. The caller holds mu.
func (w *Watcher) watchKinds(expected map[key]*expectation) error {
	kinds := map[schema.GroupVersionKind]bool{}
	for k := range expected {
		kinds[k.gvk] = w.informers[k.gvk] == nil
	}
	var failed []string
	for _, gvk := range slices.SortedFunc(maps.Keys(kinds), compareKinds) {
		if !kinds[gvk] {
			continue
		}
		if err := w.watch(gvk); err != nil {
			failed = append(failed, err.Error())
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("kinds that cannot be watched for drift: %s", strings.Join(failed, "; "))
	}
	return nil
}

func compareKinds(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) }

func (w *Watcher) watch(gvk schema.GroupVersionKind) error {
	mapping, err := w.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return fmt.Errorf("%s: %w", gvk.Kind, err)
	}
	informer := metadatainformer.NewFilteredMetadataInformer(w.client, mapping.Resource, metav1.NamespaceAll, 0*time.Second,
		cache.Indexers{}, func(o *metav1.ListOptions) { o.LabelSelector = networkstackv1alpha1.ComponentLabel }).Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { w.noticed(gvk, obj, false) },
		UpdateFunc: func(_, obj any) { w.noticed(gvk, obj, false) },
		DeleteFunc: func(obj any) { w.noticed(gvk, obj, true) },
	}); err != nil {
		return fmt.Errorf("%s: %w", gvk.Kind, err)
	}
	w.informers[gvk] = informer
	if w.ctx != nil {
		w.run(w.ctx, gvk, informer)
	}
	return nil
}

// run starts an informer. An object that was already missing when the watch began makes no event, so once the
// first list is in, the components of the kind are woken to look for themselves.
func (w *Watcher) run(ctx context.Context, gvk schema.GroupVersionKind, informer cache.SharedIndexInformer) {
	go informer.RunWithContext(ctx)
	go func() {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return
		}
		for _, component := range w.componentsOf(gvk) {
			w.wake(component)
		}
	}()
}

// componentsOf are the components with an object of the kind that differs.
func (w *Watcher) componentsOf(gvk schema.GroupVersionKind) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for name, expected := range w.expected {
		for k, a := range expected {
			if k.gvk == gvk && w.differs(k, a) {
				out = append(out, name)
				break
			}
		}
	}
	return out
}

// noticed wakes the component of an object that differs now from what is expected of it.
func (w *Watcher) noticed(gvk schema.GroupVersionKind, obj any, deleted bool) {
	m := metadataOf(obj)
	if m == nil {
		return
	}
	if gvk == secretKind {
		w.noticedRecord(m, deleted)
	}
	k := key{gvk, m.Namespace, m.Name}
	w.mu.Lock()
	component := ""
	for name, expected := range w.expected {
		if a, ok := expected[k]; ok && w.differs(k, a) {
			component = name
			if w.since[name].IsZero() {
				w.since[name] = time.Now()
			}
			break
		}
	}
	w.mu.Unlock()
	if component != "" {
		w.log.V(1).Info("object differs from what was applied", "component", component, "object", release.Object{
			GVK: gvk, Namespace: m.Namespace, Name: m.Name}.String())
		w.wake(component)
	}
}
