package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// manifests are objects of files that stand for those of a cluster.
type manifests struct {
	scheme  *runtime.Scheme
	objects []*unstructured.Unstructured
	// namespaces are those that some object is in.
	namespaces map[string]bool
}

var _ client.Reader = (*manifests)(nil)

// readManifests reads the objects of files and directories, those of lists among them. Workloads stand for their pods, and what the API
// server fills in is filled in where it matters here.
func (a *app) readManifests(args []string) (*manifests, error) {
	m := &manifests{scheme: runtime.NewScheme(), namespaces: map[string]bool{}}
	if err := clientgoscheme.AddToScheme(m.scheme); err != nil {
		return nil, err
	}
	files, err := expand(args, true)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		documents, err := a.read(file)
		if err != nil {
			return nil, err
		}
		for i := range documents {
			d := &documents[i]
			if len(d.Problems) > 0 {
				return nil, fmt.Errorf("%s:%d: %s: correct it first", d.file, d.Problems[0].Line, d.Problems[0].Message)
			}
			m.add(d.Object)
		}
	}
	for namespace := range m.namespaces {
		if !m.has("Namespace", namespace) {
			m.add(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}})
		}
	}
	return m, nil
}

func (m *manifests) has(kind, name string) bool {
	for _, o := range m.objects {
		if o.GetKind() == kind && o.GetName() == name {
			return true
		}
	}
	return false
}

func (m *manifests) add(object map[string]any) {
	o := &unstructured.Unstructured{Object: object}
	if o.IsList() {
		items, _, _ := unstructured.NestedSlice(object, "items")
		for _, item := range items {
			if one, ok := item.(map[string]any); ok {
				m.add(one)
			}
		}
		return
	}
	if o.GetNamespace() != "" {
		m.namespaces[o.GetNamespace()] = true
	}
	switch o.GetKind() {
	case "Namespace":
		marks := o.GetLabels()
		if marks == nil {
			marks = map[string]string{}
		}
		marks[corev1.LabelMetadataName] = o.GetName()
		o.SetLabels(marks)
	case "NetworkPolicy":
		completePolicy(o)
	case "Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet":
		if len(o.GetOwnerReferences()) == 0 {
			m.objects = append(m.objects, podOf(o, "spec", "template"))
		}
	case "CronJob":
		m.objects = append(m.objects, podOf(o, "spec", "jobTemplate", "spec", "template"))
	}
	m.objects = append(m.objects, o)
}

// completePolicy states of a NetworkPolicy what it isolates, if it leaves that to the API server.
func completePolicy(o *unstructured.Unstructured) {
	if kinds, _, _ := unstructured.NestedSlice(o.Object, "spec", "policyTypes"); len(kinds) > 0 || !strings.HasPrefix(o.GetAPIVersion(), "networking.k8s.io/") {
		return
	}
	kinds := []any{"Ingress"}
	if egress, _, _ := unstructured.NestedSlice(o.Object, "spec", "egress"); len(egress) > 0 {
		kinds = append(kinds, "Egress")
	}
	// It fails only where spec is no object, and nothing is read of it then.
	_ = unstructured.SetNestedSlice(o.Object, kinds, "spec", "policyTypes")
}

// podOf is a pod of a workload.
func podOf(o *unstructured.Unstructured, path ...string) *unstructured.Unstructured {
	pod := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{}, "spec": map[string]any{}}}
	for field := range pod.Object {
		if value, found, _ := unstructured.NestedMap(o.Object, append(slices.Clone(path), field)...); found {
			pod.Object[field] = value // a copy
		}
	}
	pod.SetAPIVersion("v1")
	pod.SetKind("Pod")
	pod.SetName(o.GetName())
	pod.SetNamespace(o.GetNamespace())
	_ = unstructured.SetNestedSlice(pod.Object, []any{map[string]any{ // it fails only where metadata is no object
		"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "name": o.GetName(), "uid": "", "controller": true,
	}}, "metadata", "ownerReferences")
	if account, _, _ := unstructured.NestedString(pod.Object, "spec", "serviceAccountName"); account == "" {
		_ = unstructured.SetNestedField(pod.Object, "default", "spec", "serviceAccountName")
	}
	if mounts, stated, _ := unstructured.NestedBool(pod.Object, "spec", "automountServiceAccountToken"); mounts || !stated {
		volumes, _, _ := unstructured.NestedSlice(pod.Object, "spec", "volumes")
		token := map[string]any{"name": "token", "projected": map[string]any{
			"sources": []any{map[string]any{"serviceAccountToken": map[string]any{"path": "token"}}},
		}}
		_ = unstructured.SetNestedSlice(pod.Object, append(volumes, token), "spec", "volumes")
	}
	return pod
}

// Get finds nothing: nobody asks for single objects.
func (m *manifests) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

// List lists the objects of a kind.
func (m *manifests) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	gvk, err := apiutil.GVKForObject(list, m.scheme)
	if err != nil {
		return err
	}
	gvk.Kind = strings.TrimSuffix(gvk.Kind, "List")
	o := client.ListOptions{}
	o.ApplyOptions(opts)
	found := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": gvk.GroupVersion().String(), "kind": gvk.Kind + "List"}}
	for _, object := range m.objects {
		if object.GroupVersionKind() == gvk && (o.Namespace == "" || o.Namespace == object.GetNamespace()) &&
			(o.LabelSelector == nil || o.LabelSelector.Matches(labels.Set(object.GetLabels()))) && !ended(object) {
			found.Items = append(found.Items, *object)
		}
	}
	if u, ok := list.(*unstructured.UnstructuredList); ok {
		u.Items = found.Items
		return nil
	}
	data, err := found.MarshalJSON()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, list); err != nil {
		return fmt.Errorf("an object of kind %s: %w", gvk.Kind, err)
	}
	return nil
}

// ended says of a pod whether its containers have ended.
func ended(o *unstructured.Unstructured) bool {
	phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
	return o.GetKind() == "Pod" && (phase == string(corev1.PodSucceeded) || phase == string(corev1.PodFailed))
}
