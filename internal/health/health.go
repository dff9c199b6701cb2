// Package health says whether what was applied has come up, and why not, from what the caches know. Only to name the
// reasons of pods that do not come up does it ask the API server.
package health

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
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
	// Transient says that the cluster removes the object by itself when it has done its work.
	Transient bool
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
	// Failed says that a workload has failed for good, as a Job does.
	Failed bool
	// Message says in plain words what is missing.
	Message string
	// Workloads are those among the objects, in their order.
	Workloads []Workload
}

// Workload is how one workload is, or what a controller reports of an object, which counts as one pod.
type Workload struct {
	Object     Object
	UID        types.UID
	Generation int64
	// Desired, Updated and Available count its pods. A Job counts as one pod, which is available once it has completed.
	Desired, Updated, Available int32
	// Scheduled is on how many nodes a DaemonSet has a pod; Desired for other kinds.
	Scheduled int32
	// Problem says what is missing; empty when it is as it should be.
	Problem string
	// Failed says that it will not become better by itself.
	Failed bool
	// Pods selects its pods; nil when it is not known.
	Pods *metav1.LabelSelector
}

// workloads are the kinds whose readiness is judged. Everything else is as good as applied: definitions are waited for
// while they are applied, and of other kinds no cache has more than their metadata.
var workloads = map[schema.GroupKind]func() client.Object{
	{Group: "apps", Kind: "DaemonSet"}:   func() client.Object { return &appsv1.DaemonSet{} },
	{Group: "apps", Kind: "Deployment"}:  func() client.Object { return &appsv1.Deployment{} },
	{Group: "apps", Kind: "StatefulSet"}: func() client.Object { return &appsv1.StatefulSet{} },
	{Group: "batch", Kind: "Job"}:        func() client.Object { return &batchv1.Job{} },
}

// Check judges the workloads among the objects by what cache knows. live is asked only about a transient object that the
// cache does not have, for it may not have it yet. An error means that a workload could not be read.
func Check(ctx context.Context, cache, live client.Reader, objects []Object) (Result, error) {
	var list []Workload
	for _, o := range objects {
		newObject, ok := workloads[o.GVK.GroupKind()]
		if !ok {
			continue
		}
		w, err := check(ctx, cache, live, o, newObject())
		if err != nil {
			return Result{}, err
		}
		list = append(list, w)
	}
	return Summarise(list), nil
}

// Summarise is how workloads are together.
func Summarise(list []Workload) Result {
	result := Result{Ready: true, Workloads: list, Message: "all workloads are available"}
	var missing []string
	for _, w := range list {
		if w.Problem != "" {
			missing = append(missing, w.Object.String()+": "+w.Problem)
			result.Ready, result.Failed = false, result.Failed || w.Failed
		}
	}
	if !result.Ready {
		result.Message = strings.Join(missing, "; ")
	}
	return result
}

func check(ctx context.Context, cache, live client.Reader, o Object, obj client.Object) (Workload, error) {
	w := Workload{Object: o, Desired: 1, Scheduled: 1}
	key := client.ObjectKey{Namespace: o.Namespace, Name: o.Name}
	err := cache.Get(ctx, key, obj)
	if apierrors.IsNotFound(err) && o.Transient {
		gone, err := finished(ctx, live, key, o)
		if err != nil {
			return w, fmt.Errorf("reading %s: %w", o, err)
		}
		if gone {
			w.Updated, w.Available = 1, 1
			return w, nil
		}
		w.Problem = "just applied"
		return w, nil
	}
	if apierrors.IsNotFound(err) {
		w.Problem = "missing"
		return w, nil
	}
	if err != nil {
		return w, fmt.Errorf("reading %s: %w", o, err)
	}
	w.UID, w.Generation = obj.GetUID(), obj.GetGeneration()
	observed := count(obj, &w)
	if order, err := resourceversion.CompareResourceVersion(obj.GetResourceVersion(), o.ResourceVersion); err == nil && order < 0 {
		w.Problem = "just applied"
		return w, nil
	}
	if err := judge(obj, &w, observed); err != nil {
		return w, fmt.Errorf("judging %s: %w", o, err)
	}
	if w.Problem == "" {
		w.Updated, w.Available = w.Desired, w.Desired
	}
	return w, nil
}

// finished says whether a transient object is gone, and not merely unknown to the cache as yet. Having been applied, it
// can only have been removed after it had finished, unless somebody deleted it, which cannot be told apart.
func finished(ctx context.Context, live client.Reader, key client.ObjectKey, o Object) (bool, error) {
	if o.ResourceVersion == "" {
		// It was not applied by this process, so the cache has had all the time it needs.
		return true, nil
	}
	var m metav1.PartialObjectMetadata
	m.SetGroupVersionKind(o.GVK)
	err := live.Get(ctx, key, &m)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}

// judge fills in what is missing; nothing for a workload that is as it should be.
func judge(obj client.Object, w *Workload, observed bool) error {
	if job, ok := obj.(*batchv1.Job); ok {
		w.Problem, w.Failed = judgeJob(job)
		return nil
	}
	if _, ok := obj.(*appsv1.DaemonSet); ok && observed && w.Desired == 0 {
		w.Problem = "no node matches it, so it runs nowhere"
		return nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return err
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(w.Object.GVK)
	result, err := status.Compute(u)
	if err != nil {
		return err
	}
	if result.Status != status.CurrentStatus {
		w.Problem = cmp.Or(progressText(w, observed), result.Message)
	}
	return nil
}

// judgeJob wants a Job to have completed: what a chart has done once must be done before the component is Ready. (kstatus
// is content with one that runs.) One that is suspended is as it was asked for.
func judgeJob(j *batchv1.Job) (problem string, failed bool) {
	for _, c := range j.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete, batchv1.JobSuccessCriteriaMet:
			return "", false
		case batchv1.JobFailed, batchv1.JobFailureTarget:
			return fmt.Sprintf("failed: %s: %s", c.Reason, c.Message), true
		case batchv1.JobSuspended:
		}
	}
	if ptr.Deref(j.Spec.Suspend, false) {
		return "", false
	}
	return fmt.Sprintf("%d of %d completions", j.Status.Succeeded, ptr.Deref(j.Spec.Completions, 1)), false
}

// count fills in the counts of a workload, and says whether they are about its present generation. Those that are not tell
// nothing of its update.
func count(obj client.Object, w *Workload) (observed bool) {
	var generation int64
	switch o := obj.(type) {
	case *appsv1.DaemonSet:
		w.Desired, w.Scheduled, w.Pods = o.Status.DesiredNumberScheduled, o.Status.CurrentNumberScheduled, o.Spec.Selector
		w.Updated, w.Available, generation = o.Status.UpdatedNumberScheduled, o.Status.NumberAvailable, o.Status.ObservedGeneration
	case *appsv1.Deployment:
		w.Desired, w.Pods = ptr.Deref(o.Spec.Replicas, 1), o.Spec.Selector
		w.Updated, w.Available, generation = o.Status.UpdatedReplicas, o.Status.AvailableReplicas, o.Status.ObservedGeneration
	case *appsv1.StatefulSet:
		w.Desired, w.Pods = ptr.Deref(o.Spec.Replicas, 1), o.Spec.Selector
		w.Updated, w.Available, generation = o.Status.UpdatedReplicas, o.Status.AvailableReplicas, o.Status.ObservedGeneration
	case *batchv1.Job:
		// It is available once it has completed, which judgeJob says.
		w.Updated, w.Pods, generation = 1, o.Spec.Selector, w.Generation
	}
	if observed = generation == w.Generation; !observed {
		w.Updated = 0
	}
	w.Updated, w.Available = min(w.Updated, w.Desired), min(w.Available, w.Desired)
	if w.Object.GVK.Kind != "DaemonSet" {
		w.Scheduled = w.Desired
	}
	return observed
}

// progressText says how far a workload's roll-out is; empty when all its pods are updated and available.
func progressText(w *Workload, observed bool) string {
	switch {
	case !observed:
		return "roll-out about to start"
	case w.Updated < w.Desired:
		return fmt.Sprintf("%d of %d pods are updated", w.Updated, w.Desired)
	case w.Available < w.Desired:
		return fmt.Sprintf("%d of %d pods are available", w.Available, w.Desired)
	}
	return ""
}
