package release

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"helm.sh/helm/v3/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

// intent is what has to be known to find the orphans of a workload that was deleted to be replaced. It is written down in
// the cluster before the deletion, and removed when the successor is there.
type intent struct {
	Group, Version, Kind string
	Namespace, Name      string
	UID                  types.UID
	// Selectors are those by which the orphans may be found: of the workload that was deleted, and of its successors.
	Selectors []string
	// RemovePods says that the successor cannot use the pods.
	RemovePods bool
}

func (n intent) key() key {
	return key{schema.GroupKind{Group: n.Group, Kind: n.Kind}, n.Namespace, n.Name}
}

var (
	configMapGVK  = coreV1.WithKind("ConfigMap")
	podGVK        = coreV1.WithKind("Pod")
	replicaSetGVK = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}
	revisionGVK   = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ControllerRevision"}
)

// IntentsName is the ConfigMap beside a release's records that says, while a workload is replaced, how to find what it leaves.
func IntentsName(release string) string { return "networkstack-replacing-" + release }

func (s *session) intentsName() string { return IntentsName(s.marks.release) }

// intend writes down that live is about to give way to wanted.
func (s *session) intend(live, wanted *unstructured.Unstructured, removePods bool) (intent, error) {
	gvk := live.GroupVersionKind()
	n := intent{
		Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Namespace: live.GetNamespace(), Name: live.GetName(),
		UID: live.GetUID(), RemovePods: removePods,
	}
	for _, u := range []*unstructured.Unstructured{live, wanted} {
		text, err := selectorText(u)
		if err != nil {
			return n, err
		}
		n.Selectors = append(n.Selectors, text)
	}
	return s.writeIntent(n)
}

func selectorText(u *unstructured.Unstructured) (string, error) {
	selector, err := selectorOf(u)
	if err != nil {
		return "", err
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil || parsed.Empty() {
		return "", fmt.Errorf("%s has no usable selector", objectOf(u))
	}
	return parsed.String(), nil
}

// writeIntent adds an intent to those in the cluster, with what is known of the same object already, and returns it.
func (s *session) writeIntent(n intent) (intent, error) {
	s.intentsMu.Lock()
	defer s.intentsMu.Unlock()
	if had, ok := s.intents[n.key()]; ok {
		for _, selector := range n.Selectors {
			if !slices.Contains(had.Selectors, selector) {
				had.Selectors = append(had.Selectors, selector)
			}
		}
		n.Selectors = had.Selectors
	}
	if s.intents == nil {
		s.intents = map[key]intent{}
	}
	s.intents[n.key()] = n
	body, err := json.Marshal(slices.SortedFunc(maps.Values(s.intents), func(a, b intent) int {
		return slices.Compare([]string{a.Kind, a.Group, a.Namespace, a.Name}, []string{b.Kind, b.Group, b.Namespace, b.Name})
	}))
	if err != nil {
		return n, err
	}
	m, err := s.engine.cluster.mapping(configMapGVK, false)
	if err != nil {
		return n, err
	}
	u := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"intents": string(body)}}}
	u.SetGroupVersionKind(configMapGVK)
	u.SetNamespace(s.marks.namespace)
	u.SetName(s.intentsName())
	u.SetLabels(map[string]string{v1alpha1.ComponentLabel: s.marks.component})
	if _, err := s.apply(m, u); err != nil {
		return n, objectError("apply", objectOf(u), err)
	}
	return n, nil
}

// clearIntents removes them: their objects have been applied.
func (s *session) clearIntents() error {
	s.intentsMu.Lock()
	defer s.intentsMu.Unlock()
	if len(s.intents) == 0 {
		return nil
	}
	err := s.kube.CoreV1().ConfigMaps(s.marks.namespace).Delete(s.ctx, s.intentsName(), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return objectError("delete", Object{GVK: configMapGVK, Namespace: s.marks.namespace, Name: s.intentsName()}, err)
	}
	s.intents = nil
	return nil
}

// adoptOrphans finishes what an interrupted replacement left, if there was any action before this one: orphans of a workload
// in target are made adoptable before it is applied, those of any other are deleted, as they would have been together with it.
func (s *session) adoptOrphans(target kube.ResourceList) error {
	if !s.resumes {
		return nil
	}
	o := Object{GVK: configMapGVK, Namespace: s.marks.namespace, Name: s.intentsName()}
	live, err := s.kube.CoreV1().ConfigMaps(o.Namespace).Get(s.ctx, o.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return objectError("get", o, err)
	}
	if live.Labels[v1alpha1.ComponentLabel] != s.marks.component {
		return nil // not ours, whoever made it
	}
	var list []intent
	if err := json.Unmarshal([]byte(live.Data["intents"]), &list); err != nil {
		return objectError("read", o, err)
	}
	s.intentsMu.Lock()
	s.intents = map[key]intent{}
	for _, n := range list {
		s.intents[n.key()] = n
	}
	s.intentsMu.Unlock()
	for _, n := range list {
		if err := s.resume(n, target); err != nil {
			return err
		}
	}
	return nil
}

// resume carries on with one replacement.
func (s *session) resume(n intent, target kube.ResourceList) error {
	gvk := schema.GroupVersionKind{Group: n.Group, Version: n.Version, Kind: n.Kind}
	o := Object{GVK: gvk, Namespace: n.Namespace, Name: n.Name}
	m, err := s.engine.cluster.mapping(gvk, false)
	if err != nil {
		return objectError("find the resource of", o, err)
	}
	live, err := s.heads(m, n.Namespace).Get(s.ctx, n.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return objectError("get", o, err)
	}
	if err == nil && live.UID == n.UID {
		if live.DeletionTimestamp == nil {
			return nil // it was never deleted
		}
		if err := s.waitGone(m, n.Namespace, n.Name, replaceTimeout); err != nil {
			return objectError("wait for the deletion of", o, err)
		}
	}
	s.log.Info("carrying on with an interrupted replacement", "object", o.String())
	var wanted *unstructured.Unstructured
	for _, i := range target {
		if infoKey(i) == n.key() {
			wanted, _ = i.Object.(*unstructured.Unstructured)
		}
	}
	if wanted != nil {
		text, err := selectorText(wanted)
		if err != nil {
			return objectError("read", o, err)
		}
		if !slices.Contains(n.Selectors, text) {
			n.Selectors = append(n.Selectors, text)
			if n, err = s.writeIntent(n); err != nil {
				return err
			}
		}
	}
	return s.adoptFor(n, wanted)
}

// adoptFor makes the orphans of a workload adoptable by wanted, its successor that is about to be applied. Without one, they
// are deleted.
func (s *session) adoptFor(n intent, wanted *unstructured.Unstructured) error {
	kinds := []schema.GroupVersionKind{podGVK, revisionGVK}
	switch (schema.GroupKind{Group: n.Group, Kind: n.Kind}) {
	case deployment:
		kinds = []schema.GroupVersionKind{replicaSetGVK}
	case replicaSetGVK.GroupKind():
		kinds = []schema.GroupVersionKind{podGVK}
	}
	var adopt map[string]any
	if wanted != nil {
		adopt = adoptionLabels(wanted)
	}
	for _, gvk := range kinds {
		if err := s.adoptKind(gvk, n, adopt, wanted == nil || gvk == podGVK && n.RemovePods); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) adoptKind(gvk schema.GroupVersionKind, n intent, adopt map[string]any, remove bool) error {
	m, err := s.engine.cluster.mapping(gvk, false)
	if err != nil {
		return err
	}
	orphans := map[types.UID]*metav1.PartialObjectMetadata{}
	for _, selector := range n.Selectors {
		list, err := s.heads(m, n.Namespace).List(s.ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return objectError("list", Object{GVK: gvk, Namespace: n.Namespace}, err)
		}
		for i := range list.Items {
			if o := &list.Items[i]; o.DeletionTimestamp == nil && metav1.GetControllerOf(o) == nil {
				orphans[o.UID] = o
			}
		}
	}
	return s.collect(inParallel(s, slices.Collect(maps.Values(orphans)), func(live *metav1.PartialObjectMetadata) error {
		o := Object{GVK: gvk, Namespace: live.Namespace, Name: live.Name}
		if remove {
			if err := s.remove(m, live); err != nil {
				return objectError("delete", o, err)
			}
			return nil
		}
		if gvk == replicaSetGVK {
			if err := s.relabelPods(live, adopt); err != nil {
				return objectError("relabel the pods of", o, err)
			}
		}
		if err := s.relabel(gvk, live, relabel(live.Labels, adopt, nil)); err != nil {
			return objectError("relabel", o, err)
		}
		return nil
	}))
}

// relabelPods gives the pods of a ReplicaSet the labels by which their Deployment looks for them, as far as the ReplicaSet
// itself does not select by them.
func (s *session) relabelPods(head *metav1.PartialObjectMetadata, adopt map[string]any) error {
	rs, err := s.kube.AppsV1().ReplicaSets(head.Namespace).Get(s.ctx, head.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	if err != nil {
		return err
	}
	m, err := s.engine.cluster.mapping(podGVK, false)
	if err != nil {
		return err
	}
	pods, err := s.heads(m, rs.Namespace).List(s.ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return err
	}
	fixed := maps.Clone(rs.Spec.Selector.MatchLabels)
	if fixed == nil {
		fixed = map[string]string{}
	}
	for _, e := range rs.Spec.Selector.MatchExpressions {
		fixed[e.Key] = ""
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; metav1.IsControlledBy(p, rs) {
			if err := s.relabel(podGVK, p, relabel(p.Labels, adopt, fixed)); err != nil {
				return err
			}
		}
	}
	return nil
}

// relabel changes labels of an object that is no part of the release. One that is gone or being deleted does not matter.
func (s *session) relabel(gvk schema.GroupVersionKind, live *metav1.PartialObjectMetadata, labels map[string]any) error {
	if len(labels) == 0 {
		return nil
	}
	m, err := s.engine.cluster.mapping(gvk, false)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": live.UID, "labels": labels}})
	if err != nil {
		return err
	}
	_, err = s.heads(m, live.Namespace).Patch(s.ctx, live.Name, types.MergePatchType, body,
		metav1.PatchOptions{FieldManager: s.engine.opts.FieldManager})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return err
	}
	return nil
}
