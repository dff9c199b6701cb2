package facts

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/go-logr/logr"
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

// GatewayClasses is the resource of GatewayClasses.
var GatewayClasses = schema.GroupVersionResource{Group: gatewayGroup, Version: "v1", Resource: "gatewayclasses"}

// GatewayWatch watches GatewayClasses for as long as their kind is defined.
type GatewayWatch struct {
	client      dynamic.Interface
	definitions metadata.Interface
	log         logr.Logger
	wake        func()

	mu sync.Mutex
	// classes has those there are; nil while their kind is not defined.
	classes cache.SharedIndexInformer
}

// NewGatewayWatch makes a watch that calls wake when GatewayClasses have changed.
func NewGatewayWatch(client dynamic.Interface, crds metadata.Interface, log logr.Logger, wake func()) *GatewayWatch {
	return &GatewayWatch{client: client, definitions: crds, log: log, wake: wake}
}

// Start keeps the watch alive until ctx ends.
func (w *GatewayWatch) Start(ctx context.Context) error {
	informer := metadatainformer.NewFilteredMetadataInformer(w.definitions, definitions, metav1.NamespaceAll, 0, cache.Indexers{},
		func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, GatewayClasses.GroupResource().String()).String()
		}).Informer()
	end := context.CancelFunc(func() {})
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) {
			end()
			end = w.open(ctx)
		},
		DeleteFunc: func(any) {
			end()
			w.mu.Lock()
			w.classes = nil
			w.mu.Unlock()
			w.wake()
		},
	})
	if err != nil {
		return err
	}
	informer.RunWithContext(ctx)
	return nil
}

// open watches the classes themselves, until the returned function is called.
func (w *GatewayWatch) open(ctx context.Context) context.CancelFunc {
	ctx, end := context.WithCancel(ctx)
	informer := dynamicinformer.NewFilteredDynamicInformer(
		w.client, GatewayClasses, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	err := informer.SetTransform(func(obj any) (any, error) {
		if u, ok := obj.(*unstructured.Unstructured); ok {
			return readGatewayClass(u), nil
		}
		return obj, nil
	})
	if err == nil {
		_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { w.wake() },
			UpdateFunc: func(before, after any) {
				o, ok1 := before.(*gatewayClass)
				n, ok2 := after.(*gatewayClass)
				if !ok1 || !ok2 || o.class != n.class {
					w.wake()
				}
			},
			DeleteFunc: func(any) { w.wake() },
		})
	}
	if err != nil {
		w.log.Error(err, "GatewayClasses cannot be watched")
		return end
	}
	w.mu.Lock()
	w.classes = informer
	w.mu.Unlock()
	go informer.RunWithContext(ctx)
	return end
}

// Classes are the GatewayClasses, ordered by name; false until they have been looked at.
func (w *GatewayWatch) Classes() ([]GatewayClass, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.classes == nil || !w.classes.HasSynced() {
		return nil, false
	}
	var out []GatewayClass
	for _, obj := range w.classes.GetStore().List() {
		if c, ok := obj.(*gatewayClass); ok {
			out = append(out, c.class)
		}
	}
	slices.SortFunc(out, func(a, b GatewayClass) int { return cmp.Compare(a.Name, b.Name) })
	return out, true
}

// gatewayClass is what is kept of a GatewayClass.
type gatewayClass struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	class GatewayClass
}

// DeepCopyObject makes it an object.
func (c *gatewayClass) DeepCopyObject() runtime.Object {
	out := *c
	out.ObjectMeta = *c.ObjectMeta.DeepCopy()
	return &out
}

func readGatewayClass(u *unstructured.Unstructured) *gatewayClass {
	out := &gatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: u.GetName(), ResourceVersion: u.GetResourceVersion()},
		class:      GatewayClass{Name: u.GetName()},
	}
	out.class.Controller, _, _ = unstructured.NestedString(u.Object, "spec", "controllerName")
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, entry := range conditions {
		c, _ := entry.(map[string]any)
		if c["type"] == "Accepted" {
			out.class.Accepted, _ = c["status"].(string)
			out.class.Reason, _ = c["reason"].(string)
		}
	}
	return out
}
