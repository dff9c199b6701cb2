package exposure

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func toKind(k metav1.GroupVersionKind) schema.GroupVersionKind { return schema.GroupVersionKind(k) }

func orEverything(o client.ListOptions) labels.Selector {
	if o.LabelSelector == nil {
		return labels.Everything()
	}
	return o.LabelSelector
}

func items(list client.ObjectList) ([]runtime.Object, error)     { return meta.ExtractList(list) }
func set(list client.ObjectList, objects []runtime.Object) error { return meta.SetList(list, objects) }
