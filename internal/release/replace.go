package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// replaceTimeout bounds the wait for an object that is being replaced to be gone. The owner references of all its pods are
// taken off meanwhile.
const replaceTimeout = 2 * time.Minute

// replace makes an object anew whose fields the API server refused to change, if the policy lets it. Nothing is deleted that
// the API server would not take again. An interruption at any point is made up for by the next action: what was deleted
// is applied as if it had never been there, and what was to be adopted is found by adoptOrphans.
//
// shared is wanted without the fields that others hold and may.
func (s *session) replace(i *resource.Info, wanted, shared *unstructured.Unstructured, fields []string,
) (*metav1.PartialObjectMetadata, error) {
	o := infoObject(i)
	live, err := s.objects(i.Mapping, i.Namespace).Get(s.ctx, i.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return s.apply(i.Mapping, wanted)
	}
	if err != nil {
		return nil, err
	}
	if who, owner := s.ownerOf(live, o.GVK.GroupKind()); who == foreign || who == nobodys && !s.adopt {
		return nil, s.conflict(o, who, owner)
	}
	r := planReplacement(o, live, wanted, fields)
	if !s.replacement.allows(r.Class) {
		return nil, r.refusal("")
	}
	if live.GetDeletionTimestamp() == nil {
		if err := s.rehearse(i.Mapping, live, wanted); err != nil {
			if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) && !apierrors.IsBadRequest(err) {
				return nil, err // it did not say no, it said nothing
			}
			return nil, r.refusal(fmt.Sprintf("a new one would be refused: %v", objectError("create", o, err).Err))
		}
		s.log.Info("replacing an object", "object", o.String(), "class", r.Class, "fields", r.Fields)
		if s.announce != nil {
			s.announce(r)
		}
	}
	workload := replacements[o.GVK.GroupKind()] == ReplaceAdoptable
	propagation := metav1.DeletePropagationBackground
	var n intent
	if workload {
		// What depends on a workload outlives it in any case: volume claims are not to go with a StatefulSet.
		propagation = metav1.DeletePropagationOrphan
		if n, err = s.intend(live, wanted, r.Class == ReplaceDisruptive); err != nil {
			return nil, err
		}
	}
	if live.GetDeletionTimestamp() == nil {
		uid := live.GetUID()
		err := s.heads(i.Mapping, i.Namespace).Delete(s.ctx, i.Name, metav1.DeleteOptions{
			PropagationPolicy: &propagation, Preconditions: &metav1.Preconditions{UID: &uid},
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, objectError("delete", o, err)
		}
	}
	if err := s.waitGone(i.Mapping, i.Namespace, i.Name, replaceTimeout); err != nil {
		if errors.Is(err, errTimeout) {
			err = fmt.Errorf("it is being replaced and does not go away: %w", err)
		}
		return nil, err
	}
	if workload {
		if err := s.adoptFor(n, wanted); err != nil {
			return nil, err
		}
	}
	m, err := s.succeed(i, live, wanted, shared)
	if err == nil {
		s.noteReplaced(r)
	}
	return m, err
}

// succeed applies the successor of live. A number of replicas that is not ours, an autoscaler's above all, stays as it is: a
// new object would begin with the chart's number, or with one.
func (s *session) succeed(i *resource.Info, live, wanted, shared *unstructured.Unstructured) (*metav1.PartialObjectMetadata, error) {
	replicas, ok, _ := unstructured.NestedInt64(live.Object, "spec", "replicas")
	_, ours, _ := unstructured.NestedFieldNoCopy(shared.Object, "spec", "replicas")
	if !ok || ours || replacements[i.Mapping.GroupVersionKind.GroupKind()] != ReplaceAdoptable {
		return s.apply(i.Mapping, wanted)
	}
	first := wanted.DeepCopy()
	if err := unstructured.SetNestedField(first.Object, replicas, "spec", "replicas"); err != nil {
		return nil, err
	}
	m, err := s.apply(i.Mapping, first)
	if err != nil {
		return nil, err
	}
	return s.disown(i, m, fieldpath.MakePathOrDie("spec", "replicas"))
}

// disown gives a field up without changing it. Applying without the field would reset it, there being no other owner.
func (s *session) disown(i *resource.Info, m *metav1.PartialObjectMetadata, path fieldpath.Path) (*metav1.PartialObjectMetadata, error) {
	const attempts = 5
	heads := s.heads(i.Mapping, i.Namespace)
	for n := 1; ; n++ {
		index := slices.IndexFunc(m.ManagedFields, func(f metav1.ManagedFieldsEntry) bool {
			return f.Manager == s.engine.opts.FieldManager && f.Operation == metav1.ManagedFieldsOperationApply && f.Subresource == ""
		})
		if index < 0 {
			return m, nil
		}
		set, err := readSet(m.ManagedFields[index])
		if err != nil {
			return nil, err
		}
		fields, err := set.Difference(fieldpath.NewSet(path)).ToJSON()
		if err != nil {
			return nil, err
		}
		patch, err := json.Marshal([]any{
			map[string]any{"op": "replace", "path": "/metadata/resourceVersion", "value": m.ResourceVersion},
			map[string]any{
				"op": "replace", "path": fmt.Sprintf("/metadata/managedFields/%d/fieldsV1", index), "value": json.RawMessage(fields),
			},
		})
		if err != nil {
			return nil, err
		}
		done, err := heads.Patch(s.ctx, i.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: s.engine.opts.FieldManager})
		if err == nil || n == attempts || !apierrors.IsConflict(err) {
			return done, err
		}
		if m, err = heads.Get(s.ctx, i.Name, metav1.GetOptions{}); err != nil {
			return nil, err
		}
	}
}

// rehearse asks the API server, without any effect, whether it would take an object in the place of live. That there is
// one of its name is the last thing it finds.
func (s *session) rehearse(m *meta.RESTMapping, live, wanted *unstructured.Unstructured) error {
	u := wanted.DeepCopy()
	if u.GetKind() == "Service" && u.GroupVersionKind().Group == "" {
		releaseAllocations(live, u)
	}
	_, err := s.objects(m, u.GetNamespace()).Create(s.ctx, u, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldManager: s.engine.opts.FieldManager,
	})
	if err == nil || apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// releaseAllocations takes the ports and addresses out of a Service that the live one holds: they are free once it is gone.
func releaseAllocations(live, u *unstructured.Unstructured) {
	held := map[any]bool{}
	ports, _, _ := unstructured.NestedSlice(live.Object, "spec", "ports")
	for _, p := range ports {
		if p, ok := p.(map[string]any); ok && p["nodePort"] != nil {
			held[p["nodePort"]] = true
		}
	}
	wanted, found, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
	for _, p := range wanted {
		if p, ok := p.(map[string]any); ok && held[p["nodePort"]] {
			delete(p, "nodePort")
		}
	}
	if found {
		_ = unstructured.SetNestedSlice(u.Object, wanted, "spec", "ports")
	}
	for _, f := range []string{"clusterIP", "clusterIPs", "healthCheckNodePort"} {
		has, ok, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", f)
		if had, _, _ := unstructured.NestedFieldNoCopy(live.Object, "spec", f); ok && fmt.Sprint(has) == fmt.Sprint(had) {
			unstructured.RemoveNestedField(u.Object, "spec", f)
		}
	}
}

func (s *session) noteReplaced(r Replacement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replaced = append(s.replaced, r)
}

func (s *session) replacedObjects() []Replacement {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replaced
}

// remove deletes an object in the background if it is still the one with the given UID.
func (s *session) remove(m *meta.RESTMapping, live metav1.Object) error {
	uid := live.GetUID()
	err := s.heads(m, live.GetNamespace()).Delete(s.ctx, live.GetName(), metav1.DeleteOptions{
		PropagationPolicy: ptr.To(metav1.DeletePropagationBackground), Preconditions: &metav1.Preconditions{UID: &uid},
	})
	if err != nil && !apierrors.IsNotFound(err) && !isOtherUID(err) {
		return err
	}
	return nil
}
