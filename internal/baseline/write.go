package baseline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
)

// ForeignError is that an object of a name which is wanted is somebody else's.
type ForeignError struct {
	Kind, Namespace, Name string
}

// Error says whose the name is, and what to do.
func (e *ForeignError) Error() string {
	name := e.Name
	if e.Namespace != "" {
		name = e.Namespace + "/" + name
	}
	return fmt.Sprintf("%s %s is somebody else's, and is left as it is: delete or rename it", e.Kind, name)
}

// ContestedError is that an object is changed again as soon as it is applied.
type ContestedError struct {
	Kind, Namespace, Name string
}

// Error says what is changed.
func (e *ContestedError) Error() string {
	return fmt.Sprintf("%s %s/%s does not stay as it is applied: an admission webhook changes it", e.Kind, e.Namespace, e.Name)
}

// apply has an object as it is wanted, and answers what is kept of it.
func apply(ctx context.Context, c dynamic.Interface, namespace string, a action) (record, error) {
	f := a.form
	resource := c.Resource(f.kind.gvr()).Namespace(namespace)
	wanted := f.in(namespace)
	// What has our label and our name is ours, whoever wrote to it. Of what has not, nothing is known yet.
	o := metav1.ApplyOptions{FieldManager: networkstackv1alpha1.FieldManager, Force: a.was != nil}
	got, err := resource.Apply(ctx, f.name, wanted, o)
	if apierrors.IsConflict(err) && !o.Force {
		if ours, e := stillOurs(ctx, resource, f.name); e != nil || !ours {
			if e == nil {
				e = &ForeignError{f.kind.gvk.Kind, namespace, f.name}
			}
			return record{}, e
		}
		o.Force = true
		got, err = resource.Apply(ctx, f.name, wanted, o)
	}
	if err != nil {
		return record{}, err
	}
	r, err := recordOf(got)
	if err != nil {
		return record{}, err
	}
	if err := learn(ctx, resource, f, wanted, r); err != nil {
		return record{}, err
	}
	if f.right(r) {
		return r, nil
	}
	// Somebody has added what applying does not take away.
	if got, err = overwrite(ctx, resource, f, got); err != nil {
		return record{}, err
	}
	if r, err = recordOf(got); err == nil && !f.right(r) {
		err = &ContestedError{f.kind.gvk.Kind, namespace, f.name}
	}
	return r, err
}

// stillOurs says whether an object that has lost our label was applied by us.
func stillOurs(ctx context.Context, c dynamic.ResourceInterface, name string) (bool, error) {
	o, err := c.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	r, err := recordOf(o)
	return r.ours, err
}

// learn finds out how the API server keeps a form. An object that nobody else has written to tells; else the API server is asked what
// it would make of a new one.
func learn(ctx context.Context, c dynamic.ResourceInterface, f *form, wanted *unstructured.Unstructured, r record) error {
	if f.live.Load() != nil {
		return nil
	}
	if r.by == "" {
		f.live.CompareAndSwap(nil, &r.digest)
		return nil
	}
	fresh := wanted.DeepCopy()
	fresh.SetGenerateName(f.name + "-")
	fresh.SetName("")
	got, err := c.Create(ctx, fresh, metav1.CreateOptions{
		FieldManager: networkstackv1alpha1.FieldManager, DryRun: []string{metav1.DryRunAll},
	})
	if err != nil {
		return err
	}
	sum, err := digestOf(got)
	if err == nil {
		f.live.CompareAndSwap(nil, &sum)
	}
	return err
}

// overwrite replaces all that an object says by what is wanted.
func overwrite(
	ctx context.Context, c dynamic.ResourceInterface, f *form, there *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	ops := []operation{{"add", "/metadata/resourceVersion", there.GetResourceVersion()}} // a conflict when it has changed again
	wanted := content(f.object)
	for _, key := range slices.Sorted(maps.Keys(content(there))) {
		if _, ok := wanted[key]; !ok {
			ops = append(ops, operation{Op: "remove", Path: "/" + escape(key)})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		ops = append(ops, operation{"add", "/" + escape(key), wanted[key]})
	}
	for field, pair := range map[string][2]map[string]string{
		"labels": {there.GetLabels(), f.object.GetLabels()}, "annotations": {there.GetAnnotations(), f.object.GetAnnotations()},
	} {
		for key := range pair[0] {
			if _, ok := pair[1][key]; !ok && strings.HasPrefix(key, "networkstack.io/") {
				ops = append(ops, operation{Op: "remove", Path: "/metadata/" + field + "/" + escape(key)})
			}
		}
	}
	data, err := json.Marshal(ops)
	if err != nil {
		return nil, err
	}
	return c.Patch(ctx, f.name, types.JSONPatchType, data, metav1.PatchOptions{FieldManager: networkstackv1alpha1.FieldManager})
}

func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }

// remove deletes an object, if it is still the one that was seen. One that is gone is as good.
func remove(ctx context.Context, c dynamic.Interface, namespace string, a action) error {
	err := c.Resource(a.kind.gvr()).Namespace(namespace).Delete(ctx, a.name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &a.was.uid},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // somebody was faster; the watch tells what there is now
	}
	return err
}

// release takes our labels off an object, which stays as it is.
func release(ctx context.Context, c dynamic.Interface, namespace string, at ref, uid types.UID) error {
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": uid, "labels": map[string]any{policy.Label: nil, policy.EffectLabel: nil},
	}})
	if err != nil {
		return err
	}
	_, err = c.Resource(at.kind.gvr()).Namespace(namespace).Patch(ctx, at.name, types.MergePatchType, data,
		metav1.PatchOptions{FieldManager: networkstackv1alpha1.FieldManager})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// leaving says whether a namespace is on its way out, or gone.
func leaving(err error) bool {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return true
	}
	status, ok := err.(apierrors.APIStatus) //nolint:errorlint // the client library never wraps it
	return ok && apierrors.IsNotFound(err) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
}

// lasts says of an error whether trying again soon is of no use.
func lasts(err error) bool {
	switch e := err.(type) { //nolint:errorlint // these are never wrapped
	case *ForeignError, *ContestedError:
		return true
	default:
		return apierrors.IsForbidden(e) || apierrors.IsInvalid(e) || apierrors.IsBadRequest(e) || apierrors.IsMethodNotSupported(e)
	}
}
