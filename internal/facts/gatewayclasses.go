package facts

import (
	"cmp"
	"context"
	"slices"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
)

// GatewayClasses is the resource of GatewayClasses.
var GatewayClasses = schema.GroupVersionResource{Group: gatewayGroup, Version: "v1", Resource: "gatewayclasses"}

// GatewayWatch watches GatewayClasses for as long as their kind is defined.
type GatewayWatch struct{ kindWatch }

// NewGatewayWatch makes a watch that calls wake when GatewayClasses have changed.
func NewGatewayWatch(client dynamic.Interface, crds metadata.Interface, log logr.Logger, wake func()) *GatewayWatch {
	return &GatewayWatch{kindWatch{
		client: client, definitions: crds, log: log, resource: GatewayClasses, changed: wake,
		keep: func(u *unstructured.Unstructured) runtime.Object { return readGatewayClass(u) },
		same: func(before, after any) bool {
			o, ok1 := before.(*gatewayClass)
			n, ok2 := after.(*gatewayClass)
			return ok1 && ok2 && o.class == n.class
		},
	}}
}

// Start keeps the watch alive until ctx ends.
func (w *GatewayWatch) Start(ctx context.Context) error {
	w.run(ctx)
	return nil
}

// Classes are the GatewayClasses, ordered by name; false until they have been looked at.
func (w *GatewayWatch) Classes() ([]GatewayClass, bool) {
	list, known := w.list()
	var out []GatewayClass
	for _, obj := range list {
		if c, ok := obj.(*gatewayClass); ok {
			out = append(out, c.class)
		}
	}
	slices.SortFunc(out, func(a, b GatewayClass) int { return cmp.Compare(a.Name, b.Name) })
	return out, known
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
