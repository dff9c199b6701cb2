package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/plan"
)

// namespaceChanged passes changes of what a mesh goes by.
func namespaceChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		o, n := e.ObjectOld, e.ObjectNew
		return !maps.Equal(o.GetLabels(), n.GetLabels()) || o.GetDeletionTimestamp().IsZero() != n.GetDeletionTimestamp().IsZero() ||
			o.GetAnnotations()[facts.InjectAnnotation] != n.GetAnnotations()[facts.InjectAnnotation]
	}}
}

// lookAtMesh puts the namespaces into the facts where there is a mesh or is to be one, and what uses a control plane where one is to go.
func (r *Reconciler) lookAtMesh(ctx context.Context, s *scope, in compose.Input) error {
	if in.Stack.Spec.Mesh == nil && !compose.HasMesh(in.Existing) {
		r.Proxies.End()
		return nil
	}
	known, err := r.namespaces.synced(ctx)
	if err != nil || !known {
		s.meshUnknown, s.meshPending = !known, !known
		return err
	}
	if in.Facts.Namespaces, err = r.Facts.ListNamespaces(ctx); err != nil {
		return fmt.Errorf("listing namespaces: %w", err)
	}
	if !compose.RetiresControlPlane(in) {
		r.Proxies.End()
		return nil
	}
	in.Facts.Proxies = r.Proxies.Proxies()
	s.meshPending = !in.Facts.Proxies.Known
	return nil
}

// enrol has the namespaces join the mesh, move within it, and leave it. They join and move when what serves them is Ready, and leave
// at once.
func (r *Reconciler) enrol(ctx context.Context, s *scope) error {
	if s.result.Mesh == nil {
		return nil
	}
	e := s.result.Mesh.Enrolment
	serves := !slices.ContainsFunc(e.After, func(name string) bool { return !s.settled(name) })
	changes, _ := e.Judge(s.facts.Namespaces)
	return r.changeNamespaces(ctx, s, changes, serves)
}

// settled says whether a component is as it is wanted, and Ready.
func (s *scope) settled(name string) bool {
	i := slices.IndexFunc(s.steps, func(step plan.Step) bool { return step.Name == name })
	c := s.component(name)
	return i >= 0 && s.steps[i].Action == plan.Keep && c != nil && plan.Ready(c)
}

// leaveMesh takes all namespaces out of the mesh, and says whether it is known that none is left.
func (r *Reconciler) leaveMesh(ctx context.Context, s *scope) (bool, error) {
	if !compose.HasMesh(specsOf(s.components)) {
		return true, nil
	}
	r.Proxies.End()
	known, err := r.namespaces.synced(ctx)
	if err != nil || !known {
		return false, err
	}
	namespaces, err := r.Facts.ListNamespaces(ctx)
	if err != nil {
		return false, fmt.Errorf("listing namespaces: %w", err)
	}
	changes, _ := compose.Enrolment{}.Judge(namespaces)
	return true, r.changeNamespaces(ctx, s, changes, false)
}

func (r *Reconciler) changeNamespaces(ctx context.Context, s *scope, changes []compose.NamespaceChange, serves bool) error {
	var failed []error
	for _, c := range changes {
		if !c.Leaves() && !serves {
			continue
		}
		if err := r.changeNamespace(ctx, c); err != nil {
			failed = append(failed, fmt.Errorf("Namespace %s: %w", c.Name, err)) //nolint:staticcheck // a kind
			continue
		}
		namespace := &corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: c.Name}
		if c.Leaves() {
			r.eventAbout(s.stack, namespace, "Normal", networkstackv1alpha1.ReasonNamespaceLeft, "Enrol",
				"namespace %s has left the mesh: restart its pods", c.Name)
		} else {
			r.eventAbout(s.stack, namespace, "Normal", networkstackv1alpha1.ReasonNamespaceEnrolled, "Enrol",
				"namespace %s is in the mesh: %s", c.Name, wordsOf(c))
		}
	}
	return errors.Join(failed...)
}

// wordsOf is what enrols a namespace: "istio.io/rev=stable".
func wordsOf(c compose.NamespaceChange) string {
	for _, from := range []map[string]string{c.Annotations, c.Labels} {
		for _, key := range slices.Sorted(maps.Keys(from)) {
			if key != networkstackv1alpha1.MeshLabel {
				return key + "=" + from[key]
			}
		}
	}
	return ""
}

// changeNamespace applies what enrols a namespace, and nothing else: what was applied before and is not any more goes. The UID is in
// it, so that a namespace which is gone does not come back.
func (r *Reconciler) changeNamespace(ctx context.Context, c compose.NamespaceChange) error {
	meta := map[string]any{"name": c.Name, "uid": string(c.UID)}
	if len(c.Labels) > 0 {
		meta["labels"] = c.Labels
	}
	if len(c.Annotations) > 0 {
		meta["annotations"] = c.Annotations
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
	if err != nil {
		return err
	}
	opts := []client.PatchOption{client.FieldOwner(networkstackv1alpha1.MeshFieldManager)}
	if c.Enrolled {
		opts = append(opts, client.ForceOwnership) // else somebody was faster, and has decided
	}
	n := &corev1.Namespace{}
	n.Name = c.Name
	err = r.Patch(ctx, n, client.RawPatch(types.ApplyPatchType, body), opts...)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// fillMesh shows the mesh.
func fillMesh(s *scope, out *networkstackv1alpha1.NetworkStackStatus) {
	if s.result == nil || len(s.result.Errors) > 0 || s.meshUnknown {
		return // what was said stands
	}
	m := s.result.Mesh
	if m == nil {
		out.Mesh = nil
		return
	}
	enrolled := min(compose.CountEnrolled(s.facts.Namespaces), 1<<30)
	out.Mesh = &networkstackv1alpha1.MeshStatus{Namespaces: int32(enrolled)} //nolint:gosec // bounded
	add := func(r networkstackv1alpha1.MeshRevision) { out.Mesh.Revisions = append(out.Mesh.Revisions, r) }
	if m.Revision != "" {
		add(networkstackv1alpha1.MeshRevision{Name: m.Revision, Version: m.Version, Current: true})
	}
	const most = 16 // the limit of the status
	for _, kept := range m.Retained[:min(len(m.Retained), most-1)] {
		add(networkstackv1alpha1.MeshRevision{Name: kept.Revision, Version: kept.Version, HeldBy: kept.HeldBy})
	}
}
