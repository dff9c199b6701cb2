package release

import (
	"context"
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

// EnsureNamespace makes sure of the namespace of a release that has one of its own, for what has to be there before the release is.
func (e *Engine) EnsureNamespace(ctx context.Context, spec Spec) error {
	defer e.locks.lock(spec.Namespace + "/" + spec.Name)()
	s, err := e.newSession(ctx, spec.Name, spec.Namespace, spec.Component)
	if err != nil {
		return err
	}
	s.take(spec)
	return s.verdict("prepare", s.ensureOwnNamespace()) //nolint:contextcheck // the session holds ctx
}

// ensureOwnNamespace is ensureNamespace for a release that has a namespace of its own.
func (s *session) ensureOwnNamespace() error {
	if s.namespaceLabels == nil {
		return nil
	}
	return s.ensureNamespace(s.namespaceLabels)
}

// ensureNamespace makes sure that the release's namespace exists and has the labels. Our
// component's label goes on it only when it was made here: that label is what says, later, that
// the namespace may be deleted with the release.
func (s *session) ensureNamespace(wanted map[string]string) error {
	o := Object{GVK: namespaceGVK, Name: s.marks.namespace}
	client := s.kube.CoreV1().Namespaces()
	manager := s.engine.opts.FieldManager
	live, err := client.Get(s.ctx, o.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		// Created, not applied: an apply would not tell whether somebody else was faster.
		live, err = client.Create(s.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: o.Name, Labels: map[string]string{v1alpha1.ComponentLabel: s.marks.component},
		}}, metav1.CreateOptions{FieldManager: manager})
		if apierrors.IsAlreadyExists(err) {
			live, err = client.Get(s.ctx, o.Name, metav1.GetOptions{})
		}
	}
	if err != nil {
		return objectError("create", o, err)
	}
	if live.DeletionTimestamp != nil {
		m, err := s.engine.cluster.mapping(namespaceGVK, false)
		if err != nil {
			return err
		}
		if err := s.waitGone(m, "", o.Name, goneTimeout); err != nil {
			return objectError("wait for the deletion of", o, err)
		}
		return s.ensureNamespace(wanted)
	}
	if live.Annotations[releaseNameAnnotation] == s.marks.release && live.Annotations[releaseNamespaceAnnotation] == s.marks.namespace {
		return nil // the chart renders it; see labelNamespace
	}
	labels := map[string]any{}
	for k, v := range wanted {
		labels[k] = v
	}
	if live.Labels[v1alpha1.ComponentLabel] == s.marks.component {
		labels[v1alpha1.ComponentLabel] = s.marks.component
	}
	if satisfied(live, labels, manager) {
		return nil
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": o.Name, "labels": labels},
	})
	if err != nil {
		return err
	}
	if _, err := client.Patch(s.ctx, o.Name, types.ApplyPatchType, body, s.applyOptions()); err != nil {
		return objectError("apply", o, err)
	}
	return nil
}

// labelNamespace adds the wanted labels to a rendered object if it is the release's namespace:
// the same field manager applies it, and would take them off again.
func (s *session) labelNamespace(u *unstructured.Unstructured) {
	if !isNamespace(u.GroupVersionKind().GroupKind()) || u.GetName() != s.marks.namespace {
		return
	}
	labels := u.GetLabels()
	for k, v := range s.namespaceLabels {
		labels[k] = v
	}
	u.SetLabels(labels)
}

// satisfied says whether there is nothing to apply to the namespace.
func satisfied(live *corev1.Namespace, labels map[string]any, manager string) bool {
	for k, v := range labels {
		if live.Labels[k] != v {
			return false
		}
	}
	return len(labels) == 0 || applyEntry(live, manager) != nil
}

// protectedNamespaces are never deleted, whatever labels they have.
var protectedNamespaces = []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease}

// inhabitants are the kinds that keep a namespace from being deleted.
var inhabitants = []schema.GroupVersionResource{
	coreV1.WithResource("pods"),
	coreV1.WithResource("persistentvolumeclaims"),
	coreV1.WithResource("services"),
	coreV1.WithResource("configmaps"),
	secretsGVR,
	coreV1.WithResource("serviceaccounts"),
	{Group: "apps", Version: "v1", Resource: "deployments"},
	{Group: "apps", Version: "v1", Resource: "daemonsets"},
	{Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "apps", Version: "v1", Resource: "replicasets"},
	{Group: "batch", Version: "v1", Resource: "jobs"},
	{Group: "batch", Version: "v1", Resource: "cronjobs"},
}

// deleteNamespace deletes a namespace under these conditions, all of which must hold:
//
//   - It carries our component's label, which it has only if the engine made it or the component's
//     chart rendered it.
//   - It is not one of the cluster's own namespaces.
//   - Apart from what carries our component's label, what is being deleted already, what the
//     cluster puts into every namespace, and dependents of built-in workloads, there are none of
//     the usual inhabitants in it: workloads, pods, volume claims, services, configuration,
//     secrets, service accounts. If that cannot be found out, the namespace stays.
//
// A namespace that stays is no error. When it does because of another component's objects, it is that one's from then on.
func (s *session) deleteNamespace(name string) error {
	o := Object{GVK: namespaceGVK, Name: name}
	if slices.Contains(protectedNamespaces, name) {
		return nil
	}
	live, err := s.kube.CoreV1().Namespaces().Get(s.ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return objectError("get", o, err)
	}
	if live.Labels[v1alpha1.ComponentLabel] != s.marks.component || live.DeletionTimestamp != nil {
		return nil
	}
	if who, _ := s.ownerOf(live, namespaceGVK.GroupKind()); who != ours {
		return nil
	}
	heir, empty, err := s.inhabitants(name)
	if err != nil {
		return err
	}
	if !empty && heir != "" {
		if err := s.bequeath(live, heir); err != nil {
			return err
		}
		// Its removal may have looked at the namespace just before.
		if _, empty, err = s.inhabitants(name); err != nil {
			return err
		}
	}
	if !empty {
		return nil
	}
	err = s.kube.CoreV1().Namespaces().Delete(s.ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &live.UID}})
	if err != nil && !apierrors.IsNotFound(err) && !isOtherUID(err) {
		return objectError("delete", o, err)
	}
	return nil
}

// inhabitants says whether nothing that counts lives in a namespace. Where something does, heir is the component that has some of it;
// empty when it is nobody's of ours, or that cannot be found out.
func (s *session) inhabitants(name string) (heir string, empty bool, err error) {
	empty = true
	for _, gvr := range inhabitants {
		list, err := s.metadata.Resource(gvr).Namespace(name).List(s.ctx, metav1.ListOptions{})
		if apierrors.IsForbidden(err) {
			s.log.Info("the namespace stays: what is in it may not be listed", "namespace", name, "resource", gvr.Resource)
			return "", false, nil
		}
		if err != nil {
			return "", false, objectError("look into", Object{GVK: namespaceGVK, Name: name}, err)
		}
		for i := range list.Items {
			m := &list.Items[i]
			if s.negligible(gvr.Resource, m) {
				continue
			}
			if empty {
				s.log.Info("the namespace stays: there is something else in it", "namespace", name, "resource", gvr.Resource, "name", m.Name)
			}
			empty = false
			if heir = m.Labels[v1alpha1.ComponentLabel]; heir != "" && heir != s.marks.component {
				return heir, false, nil
			}
		}
	}
	return "", empty, nil
}

// bequeath makes another component's a namespace that was made here, so that it goes with that one.
func (s *session) bequeath(live *corev1.Namespace, heir string) error {
	o := Object{GVK: namespaceGVK, Name: live.Name}
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": live.UID, "labels": map[string]any{v1alpha1.ComponentLabel: heir}},
	})
	if err != nil {
		return err
	}
	_, err = s.kube.CoreV1().Namespaces().Patch(s.ctx, live.Name, types.MergePatchType, body,
		metav1.PatchOptions{FieldManager: s.engine.opts.FieldManager})
	if err != nil && !apierrors.IsNotFound(err) && !isOtherUID(err) {
		return objectError("hand over", o, err)
	}
	return nil
}

// negligible says whether an object does not count as an inhabitant of its namespace.
func (s *session) negligible(resource string, m *metav1.PartialObjectMetadata) bool {
	if m.DeletionTimestamp != nil {
		return true
	}
	if m.Labels[v1alpha1.ComponentLabel] == s.marks.component && !keeps(m.Annotations) {
		return true
	}
	switch {
	case resource == "configmaps" && m.Name == "kube-root-ca.crt", resource == "serviceaccounts" && m.Name == "default":
		return true
	}
	// Dependents of these kinds go with their owners, and the owners have been looked at.
	if c := metav1.GetControllerOf(m); c != nil {
		group := schema.FromAPIVersionAndKind(c.APIVersion, c.Kind).Group
		switch c.Kind {
		case "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet":
			return group == "apps"
		case "Job", "CronJob":
			return group == "batch"
		}
	}
	return false
}
