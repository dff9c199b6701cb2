package release

import (
	"slices"
	"time"

	"helm.sh/helm/v3/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
)

// prune removes what earlier revisions applied and target no longer has. CRDs stay, and so does
// what its chart wants to be kept.
func (s *session) prune(target kube.ResourceList) error {
	wanted := map[key]bool{}
	for _, i := range target {
		wanted[infoKey(i)] = true
	}
	var gone kube.ResourceList
	for k, i := range s.previous {
		if !wanted[k] {
			gone = append(gone, i)
		}
	}
	if len(gone) > 0 {
		s.log.V(1).Info("pruning", "objects", len(gone))
	}
	return s.deleteOurs(gone)
}

// deletePrevious removes the objects of all revisions.
func (s *session) deletePrevious() error {
	var all kube.ResourceList
	for _, i := range s.previous {
		all = append(all, i)
	}
	return s.deleteOurs(all)
}

// deleteOurs deletes objects kind after kind in Helm's order of removal, as far as they are still
// this release's. Somebody else's objects of the same name are left alone without an error: what
// was ours is gone, which is all that is wanted. Namespaces come last and only when empty. Policies of
// admission stay as long as what they guard could not be deleted.
func (s *session) deleteOurs(list kube.ResourceList) error {
	list = slices.DeleteFunc(slices.Clone(list), func(i *resource.Info) bool {
		u, _ := i.Object.(*unstructured.Unstructured)
		return isCRD(i.Mapping.GroupVersionKind.GroupKind()) || i.Name == "" || u != nil && isKept(u)
	})
	list = inRemovalOrder(list)
	var errs []error
	var namespaces, custom kube.ResourceList
	for kind, batch := range byKind(list) {
		if removalPlace(kind) < 0 {
			custom = append(custom, batch...)
		} else if len(custom) > 0 {
			s.waitFinalized(custom)
			custom = nil
		}
		if isGuard(kind) && len(errs) > 0 {
			continue // what they guard may still be there; another attempt comes
		}
		if isNamespace(kind) {
			namespaces = append(namespaces, batch...)
		} else {
			errs = append(errs, inParallel(s, batch, func(i *resource.Info) error {
				return s.deleteOne(i.Mapping, i.Namespace, i.Name)
			})...)
		}
	}
	if len(custom) > 0 {
		s.waitFinalized(custom) // their controllers may be another release's, which goes next
	}
	if len(errs) == 0 {
		for _, i := range namespaces {
			// The release's own namespace holds the record of this very action.
			if i.Name == s.marks.namespace {
				continue
			}
			if err := s.deleteNamespace(i.Name); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return s.collect(errs)
}

// waitFinalized gives the controllers of custom resources that are being deleted time to clean up after them, before the
// controllers themselves are deleted: nobody else would take their finalizers off. What takes too long is left to itself.
func (s *session) waitFinalized(list kube.ResourceList) {
	deadline := time.Now().Add(goneTimeout)
	_ = inParallel(s, list, func(i *resource.Info) error {
		live, err := s.heads(i.Mapping, i.Namespace).Get(s.ctx, i.Name, metav1.GetOptions{})
		if err != nil {
			return err // gone
		}
		if live.DeletionTimestamp == nil || len(live.Finalizers) == 0 {
			return nil // not deleted by us, or about to be gone
		}
		left := time.Until(deadline)
		if err := s.waitGone(i.Mapping, i.Namespace, i.Name, left); err != nil {
			s.log.Info("its controller is deleted although it has not cleaned up", "object", infoObject(i).String(), "finalizers", live.Finalizers)
		}
		return nil
	})
}

// deleteOne deletes an object if it is this release's and has not just been applied under another
// name of its kind.
func (s *session) deleteOne(m *meta.RESTMapping, namespace, name string) error {
	o := Object{GVK: m.GroupVersionKind, Namespace: namespace, Name: name}
	live, err := s.heads(m, namespace).Get(s.ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return objectError("get", o, err)
	}
	if who, owner := s.ownerOf(live, m.GroupVersionKind.GroupKind()); who != ours {
		s.log.Info("not deleted: it belongs to somebody else by now", "object", o.String(), "owner", owner.who)
		return nil
	}
	// The live object may have been marked to be kept since.
	if keeps(live.Annotations) {
		return nil
	}
	s.mu.Lock()
	justApplied := s.uids[live.UID]
	s.mu.Unlock()
	if justApplied || live.DeletionTimestamp != nil {
		return nil
	}
	policy := metav1.DeletePropagationBackground
	err = s.heads(m, namespace).Delete(s.ctx, name, metav1.DeleteOptions{
		PropagationPolicy: &policy, Preconditions: &metav1.Preconditions{UID: &live.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) && !isOtherUID(err) {
		return objectError("delete", o, err)
	}
	return nil
}

// isOtherUID says whether a deletion failed because the object has been replaced meanwhile.
func isOtherUID(err error) bool { return apierrors.IsConflict(err) }

// deleteList deletes hooks. Hooks have no marks of Helm's, so what counts is that nobody else's
// mark is on them.
func (s *session) deleteList(list kube.ResourceList) (*kube.Result, []error) {
	policy := metav1.DeletePropagationBackground
	errs := inParallel(s, list, func(i *resource.Info) error {
		if isCRD(i.Mapping.GroupVersionKind.GroupKind()) || i.Name == "" {
			return nil
		}
		o := infoObject(i)
		heads := s.heads(i.Mapping, i.Namespace)
		live, err := heads.Get(s.ctx, i.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			if who, owner := s.ownerOf(live, i.Mapping.GroupVersionKind.GroupKind()); who == foreign {
				return s.conflict(o, who, owner)
			}
			err = heads.Delete(s.ctx, i.Name, metav1.DeleteOptions{PropagationPolicy: &policy})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			failed := objectError("delete", o, err)
			failed.Hook = true
			return failed
		}
		return nil
	})
	if err := s.collect(errs); err != nil {
		_ = s.fail(err)
		return &kube.Result{}, []error{err}
	}
	return &kube.Result{Deleted: list}, nil
}

var namespaceGVK = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
