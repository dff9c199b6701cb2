package facts

import (
	"context"
	"sync"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// kindWatch watches the objects of a resource for as long as their kind is defined.
type kindWatch struct {
	client      dynamic.Interface
	definitions metadata.Interface
	log         logr.Logger
	resource    schema.GroupVersionResource
	// keep is what is kept of an object, and same says whether two of these tell the same.
	keep func(*unstructured.Unstructured) runtime.Object
	same func(before, after any) bool
	// changed is called when there is something new. That there is none, or no such kind, is news, too.
	changed func()

	mu sync.Mutex
	// objects has those there are; nil while their kind is not defined.
	objects cache.SharedIndexInformer
	// asked says whether it has been seen if the kind is defined; nil before it was asked.
	asked cache.InformerSynced
}

// run watches until ctx ends.
func (w *kindWatch) run(ctx context.Context) {
	name := w.resource.GroupResource().String()
	informer := metadatainformer.NewFilteredMetadataInformer(w.definitions, definitions, metav1.NamespaceAll, 0, cache.Indexers{},
		func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
		}).Informer()
	end := context.CancelFunc(func() {})
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) {
			end()
			end = w.open(ctx)
		},
		DeleteFunc: func(any) {
			end()
			w.set(nil)
			w.changed()
		},
	})
	if err != nil {
		w.log.Error(err, "definitions cannot be watched", "resource", name)
		return
	}
	w.mu.Lock()
	w.asked = handler.HasSynced
	w.mu.Unlock()
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), handler.HasSynced) {
			w.changed()
		}
	}()
	informer.RunWithContext(ctx)
}

// open watches the objects themselves, until the returned function is called.
func (w *kindWatch) open(ctx context.Context) context.CancelFunc {
	ctx, end := context.WithCancel(ctx)
	informer := dynamicinformer.NewFilteredDynamicInformer(w.client, w.resource, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	err := informer.SetTransform(func(obj any) (any, error) {
		if u, ok := obj.(*unstructured.Unstructured); ok {
			return w.keep(u), nil
		}
		return obj, nil
	})
	if err == nil {
		err = informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
			if apierrors.IsNotFound(err) {
				w.log.V(1).Info("defined, and not served yet or any more", "resource", w.resource.String())
				return
			}
			cache.DefaultWatchErrorHandler(ctx, r, err)
		})
	}
	if err == nil {
		_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { w.changed() },
			UpdateFunc: func(before, after any) {
				if !w.same(before, after) {
					w.changed()
				}
			},
			DeleteFunc: func(any) { w.changed() },
		})
	}
	if err != nil {
		w.log.Error(err, "objects cannot be watched", "resource", w.resource.String())
		return end
	}
	w.set(informer)
	go informer.RunWithContext(ctx)
	go func() {
		// None make no event.
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			w.log.V(1).Info("objects are watched", "resource", w.resource.String())
			w.changed()
		}
	}()
	return end
}

func (w *kindWatch) set(informer cache.SharedIndexInformer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.objects = informer
}

// list has what is kept of each object; false until they have been looked at, and while their kind is not defined.
func (w *kindWatch) list() ([]any, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.objects == nil || !w.objects.HasSynced() {
		return nil, false
	}
	return w.objects.GetStore().List(), true
}

// absent says that the kind is not defined; false while that is not known.
func (w *kindWatch) absent() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.objects == nil && w.asked != nil && w.asked()
}
