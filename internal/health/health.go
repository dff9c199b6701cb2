// Package health says whether what was applied has come up, from what the caches know.
package health

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
)

// Object names one applied object.
type Object struct {
	GVK             schema.GroupVersionKind
	Namespace, Name string
	// ResourceVersion it had when it was applied. A cache that has not come that far yet proves nothing.
	ResourceVersion string
}

func (o Object) String() string {
	if o.Namespace == "" {
		return o.GVK.Kind + " " + o.Name
	}
	return o.GVK.Kind + " " + o.Namespace + "/" + o.Name
}

// Result is how a set of objects is.
type Result struct {
	// Ready says that every workload is rolled out and available.
	Ready bool
	// Message says in plain words what is missing.
	Message string
}

// workloads are the kinds whose readiness is judged. Everything else is as good as applied.
var workloads = map[schema.GroupKind]func() client.Object{
	{Group: "apps", Kind: "DaemonSet"}:   func() client.Object { return &appsv1.DaemonSet{} },
	{Group: "apps", Kind: "Deployment"}:  func() client.Object { return &appsv1.Deployment{} },
	{Group: "apps", Kind: "StatefulSet"}: func() client.Object { return &appsv1.StatefulSet{} },
	{Group: "batch", Kind: "Job"}:        func() client.Object { return &batchv1.Job{} },
}

// Check judges the workloads among the objects. An error means that a workload could not be read.
func Check(ctx context.Context, reader client.Reader, objects []Object) (Result, error) {
	var missing []string
	for _, o := range objects {
		newObject, ok := workloads[o.GVK.GroupKind()]
		if !ok {
			continue
		}
		obj := newObject()
		err := reader.Get(ctx, client.ObjectKey{Namespace: o.Namespace, Name: o.Name}, obj)
		if apierrors.IsNotFound(err) {
			missing = append(missing, o.String()+" is missing")
			continue
		}
		if err != nil {
			return Result{}, fmt.Errorf("reading %s: %w", o, err)
		}
		if order, err := resourceversion.CompareResourceVersion(obj.GetResourceVersion(), o.ResourceVersion); err == nil && order < 0 {
			missing = append(missing, o.String()+": just applied")
			continue
		}
		verdict, err := judge(obj, o.GVK)
		if err != nil {
			return Result{}, fmt.Errorf("judging %s: %w", o, err)
		}
		if verdict != "" {
			missing = append(missing, o.String()+": "+verdict)
		}
	}
	if len(missing) > 0 {
		return Result{Message: strings.Join(missing, "; ")}, nil
	}
	return Result{Ready: true, Message: "all workloads are available"}, nil
}

// judge is empty for a workload that is as it should be.
func judge(obj client.Object, gvk schema.GroupVersionKind) (string, error) {
	if ds, ok := obj.(*appsv1.DaemonSet); ok && ds.Status.ObservedGeneration == ds.Generation && ds.Status.DesiredNumberScheduled == 0 {
		return "no node matches it, so it runs nowhere", nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return "", err
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(gvk)
	result, err := status.Compute(u)
	if err != nil {
		return "", err
	}
	if result.Status == status.CurrentStatus {
		return "", nil
	}
	if text := counts(obj); text != "" {
		return text, nil
	}
	return result.Message, nil
}

// counts says how far a workload's roll-out is; empty for what has no counts.
func counts(obj client.Object) string {
	var updated, available, wanted int32
	var observed bool
	switch w := obj.(type) {
	case *appsv1.DaemonSet:
		updated, available, wanted = w.Status.UpdatedNumberScheduled, w.Status.NumberAvailable, w.Status.DesiredNumberScheduled
		observed = w.Status.ObservedGeneration == w.Generation
	case *appsv1.Deployment:
		updated, available, wanted = w.Status.UpdatedReplicas, w.Status.AvailableReplicas, ptr.Deref(w.Spec.Replicas, 1)
		observed = w.Status.ObservedGeneration == w.Generation
	case *appsv1.StatefulSet:
		updated, available, wanted = w.Status.UpdatedReplicas, w.Status.AvailableReplicas, ptr.Deref(w.Spec.Replicas, 1)
		observed = w.Status.ObservedGeneration == w.Generation
	default:
		return ""
	}
	switch {
	case !observed:
		return "roll-out about to start"
	case updated < wanted:
		return fmt.Sprintf("%d of %d pods are updated", updated, wanted)
	case available < wanted:
		return fmt.Sprintf("%d of %d pods are available", available, wanted)
	}
	return ""
}
