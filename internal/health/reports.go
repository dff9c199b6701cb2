package health

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// Report names an object, one of the whole cluster, in whose conditions a controller says how it gets on with an applied
// object.
type Report struct {
	GVK  schema.GroupVersionKind
	Name string
	// Generation of the applied object that the conditions have to be about; 0 is any.
	Generation int64
	// WantTrue are conditions that have to be True, WantFalse those that must not be. The first one that is otherwise is told.
	WantTrue, WantFalse []string
}

func (r Report) object() Object { return Object{GVK: r.GVK, Name: r.Name} }

// Reports watches the objects in which controllers report. A kind is watched from when a component first asks about it: its
// definition may not have been there before.
type Reports struct {
	client dynamic.Interface
	mapper meta.RESTMapper
	log    logr.Logger
	wake   func(component string)

	mu        sync.Mutex
	ctx       context.Context // the life of the informers, set once by Start
	informers map[schema.GroupVersionKind]cache.SharedIndexInformer
	// wanted are the objects that each component asks about.
	wanted map[string]map[Object]bool
}

// NewReports makes Reports that call wake with a component's name when an object that it asks about has changed. The call
// comes from a watch: it must not block.
func NewReports(client dynamic.Interface, mapper meta.RESTMapper, log logr.Logger, wake func(string)) *Reports {
	return &Reports{
		client: client, mapper: mapper, log: log, wake: wake,
		informers: map[schema.GroupVersionKind]cache.SharedIndexInformer{}, wanted: map[string]map[Object]bool{},
	}
}

// Start keeps the watches alive until ctx ends.
func (r *Reports) Start(ctx context.Context) error {
	r.mu.Lock()
	r.ctx = ctx
	for gvk, informer := range r.informers {
		r.run(ctx, gvk, informer)
	}
	r.mu.Unlock()
	<-ctx.Done()
	return nil
}

// Forget stops waking a component.
func (r *Reports) Forget(component string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.wanted, component)
}

// Judge says how a component's objects are by what is reported of them, and has the component woken when that changes. Until
// the watches have seen what there is, known is false and the judgement is not to be relied upon.
func (r *Reports) Judge(component string, reports []Report) (workloads []Workload, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted[component] = make(map[Object]bool, len(reports))
	known = true
	for _, report := range reports {
		r.wanted[component][report.object()] = true
		w := Workload{Object: report.object(), Generation: report.Generation, Desired: 1, Scheduled: 1}
		informer, err := r.watch(report.GVK)
		switch {
		case err != nil:
			w.Problem = err.Error()
		case !informer.HasSynced():
			known = false
			w.Problem = "not looked at yet"
		default:
			judgeReport(report, reported(informer, report.Name), &w)
		}
		workloads = append(workloads, w)
	}
	return workloads, known
}

// reported is what the watch last saw of an object; nil when there is none.
func reported(informer cache.SharedIndexInformer, name string) *unstructured.Unstructured {
	obj, ok, err := informer.GetStore().GetByKey(name)
	if err != nil || !ok {
		return nil
	}
	u, _ := obj.(*unstructured.Unstructured)
	return u
}

// judgeReport fills in what is missing by an object's conditions.
func judgeReport(report Report, live *unstructured.Unstructured, w *Workload) {
	if live == nil {
		w.Problem = "nothing is reported yet"
		return
	}
	w.UID = live.GetUID()
	conditions := map[string]reportedCondition{}
	list, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
	for _, entry := range list {
		fields, _ := entry.(map[string]any)
		c := conditionFrom(fields)
		conditions[c.name] = c
	}
	for _, name := range append(append([]string{}, report.WantFalse...), report.WantTrue...) {
		if c, ok := conditions[name]; ok && c.generation != 0 && c.generation < report.Generation {
			w.Problem = "the latest change is not taken into account yet"
			return
		}
	}
	w.Updated = 1
	for _, name := range report.WantFalse {
		if c := conditions[name]; c.status == string(metav1.ConditionTrue) {
			w.Problem = name + c.text()
			return
		}
	}
	for _, name := range report.WantTrue {
		if c := conditions[name]; c.status != string(metav1.ConditionTrue) {
			w.Problem = "not " + name + c.text()
			return
		}
	}
	w.Available = 1
}

// reportedCondition is one of an object's status.
type reportedCondition struct {
	name, status, reason, message string
	generation                    int64
}

func conditionFrom(fields map[string]any) reportedCondition {
	text := func(key string) string { v, _ := fields[key].(string); return v }
	generation, _ := fields["observedGeneration"].(int64)
	return reportedCondition{
		name: text("type"), status: text("status"), reason: text("reason"), message: text("message"), generation: generation,
	}
}

// text is what a condition says beside its status.
func (c reportedCondition) text() string {
	text := cmp.Or(c.message, c.reason)
	if len(text) > maxDetail {
		text = text[:maxDetail] + "..."
	}
	if text == "" {
		return ""
	}
	return ": " + text
}

// watch is the informer of a kind, started when there is none. The caller holds mu.
func (r *Reports) watch(gvk schema.GroupVersionKind) (cache.SharedIndexInformer, error) {
	if informer := r.informers[gvk]; informer != nil {
		return informer, nil
	}
	mapping, err := r.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, fmt.Errorf("its kind cannot be looked at: %w", err)
	}
	informer := dynamicinformer.NewFilteredDynamicInformer(r.client, mapping.Resource, metav1.NamespaceAll, 0*time.Second,
		cache.Indexers{}, nil).Informer()
	if err := informer.SetTransform(onlyConditions); err != nil {
		return nil, err
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { r.noticed(gvk, obj) },
		UpdateFunc: func(_, obj any) { r.noticed(gvk, obj) },
		DeleteFunc: func(obj any) { r.noticed(gvk, obj) },
	}); err != nil {
		return nil, err
	}
	r.informers[gvk] = informer
	if r.ctx != nil {
		r.run(r.ctx, gvk, informer)
	}
	return informer, nil
}

// run starts an informer. An object that is not there makes no event, so those who ask about the kind are woken once it is
// known what there is.
func (r *Reports) run(ctx context.Context, gvk schema.GroupVersionKind, informer cache.SharedIndexInformer) {
	go informer.RunWithContext(ctx)
	go func() {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return
		}
		r.log.V(1).Info("reports are watched", "kind", gvk.Kind)
		for _, component := range r.askers(func(o Object) bool { return o.GVK == gvk }) {
			r.wake(component)
		}
	}()
}

func (r *Reports) noticed(gvk schema.GroupVersionKind, obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	m, err := meta.Accessor(obj)
	if err != nil {
		return
	}
	for _, component := range r.askers(func(o Object) bool { return o.GVK == gvk && o.Name == m.GetName() }) {
		r.wake(component)
	}
}

// askers are the components that ask about such objects.
func (r *Reports) askers(about func(Object) bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for component, wanted := range r.wanted {
		for o := range wanted {
			if about(o) {
				out = append(out, component)
				break
			}
		}
	}
	return out
}

// onlyConditions keeps of an object what is looked at.
func onlyConditions(obj any) (any, error) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return obj, nil
	}
	slim := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": u.GetAPIVersion(), "kind": u.GetKind(),
		"metadata": map[string]any{"name": u.GetName(), "uid": string(u.GetUID()), "resourceVersion": u.GetResourceVersion()},
	}}
	if conditions, found, err := unstructured.NestedSlice(u.Object, "status", "conditions"); err == nil && found {
		if err := unstructured.SetNestedSlice(slim.Object, conditions, "status", "conditions"); err != nil {
			return nil, err
		}
	}
	return slim, nil
}
