package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"

	"github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/ignore"
)

// goneTimeout bounds the wait for an object that is being deleted while it is wanted again.
const goneTimeout = 30 * time.Second

func infoObject(i *resource.Info) Object {
	return Object{GVK: i.Mapping.GroupVersionKind, Namespace: i.Namespace, Name: i.Name}
}

func infoKey(i *resource.Info) key {
	return key{i.Mapping.GroupVersionKind.GroupKind(), i.Namespace, i.Name}
}

// inParallel calls do for every element, a limited number at a time, and returns what failed in
// the order of the elements. One failure does not stop the others; the end of the context does.
func inParallel[T any](s *session, list []T, do func(T) error) []error {
	errs := make([]error, len(list))
	slots := make(chan struct{}, s.engine.opts.Concurrency)
	var wg sync.WaitGroup
	for i, e := range list {
		select {
		case <-s.ctx.Done():
			errs[i] = s.ctx.Err()
			continue
		case slots <- struct{}{}:
		}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = do(e)
		})
	}
	wg.Wait()
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// collect makes one error of many. Conflicts come first and alone, because nothing else matters
// until they are settled.
func (s *session) collect(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	var conflicts []error
	out := &ApplyError{Release: s.id()}
	for _, err := range errs {
		var conflict *ConflictError
		var crd *CRDVersionError
		var unserved *CRDNotServedError
		var fixed *ImmutableFieldError
		var object *ObjectError
		switch {
		case errors.As(err, &conflict):
			conflicts = append(conflicts, conflict)
		case errors.As(err, &crd):
			conflicts = append(conflicts, crd)
		case errors.As(err, &unserved):
			conflicts = append(conflicts, unserved)
		case errors.As(err, &fixed):
			conflicts = append(conflicts, fixed)
		case errors.As(err, &object):
			out.Causes = append(out.Causes, object)
		default:
			out.Err = errors.Join(out.Err, err)
		}
	}
	if len(conflicts) > 0 {
		return errors.Join(conflicts...)
	}
	return out
}

// byKind goes through the runs of objects of one kind.
func byKind(list kube.ResourceList) iter.Seq2[schema.GroupKind, kube.ResourceList] {
	return func(yield func(schema.GroupKind, kube.ResourceList) bool) {
		for rest := list; len(rest) > 0; {
			kind := rest[0].Mapping.GroupVersionKind.GroupKind()
			n := slices.IndexFunc(rest, func(i *resource.Info) bool { return i.Mapping.GroupVersionKind.GroupKind() != kind })
			if n < 0 {
				n = len(rest)
			}
			if !yield(kind, rest[:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

// applyAll applies objects kind after kind, in the order given, the objects of a kind in parallel.
// It goes through all of them whatever fails.
func (s *session) applyAll(list kube.ResourceList) error {
	var errs []error
	for _, batch := range byKind(list) {
		errs = append(errs, inParallel(s, batch, func(i *resource.Info) error {
			m, err := s.settle(i.Mapping, s.known[infoKey(i)], func() (*metav1.PartialObjectMetadata, error) { return s.applyInfo(i) })
			if err != nil {
				return objectError("apply", infoObject(i), err)
			}
			if m == nil {
				return nil // kept as it is
			}
			if u, ok := i.Object.(*unstructured.Unstructured); ok {
				s.expectGone(u)
			}
			s.noteApplied(appliedOf(infoObject(i), m, s.engine.opts.FieldManager))
			return nil
		})...)
		if s.ctx.Err() != nil {
			break
		}
	}
	return s.collect(errs)
}

// bringAbout applies all objects, after what an interrupted replacement left undone.
func (s *session) bringAbout(list kube.ResourceList) error {
	if err := s.adoptOrphans(list); err != nil {
		return err
	}
	if err := s.applyAll(guardsFirst(list)); err != nil {
		return err
	}
	return s.clearIntents()
}

// applyHooks applies the objects of a hook. They are not part of what the release is compared with.
func (s *session) applyHooks(list kube.ResourceList) error {
	return s.collect(inParallel(s, list, func(i *resource.Info) error {
		err := s.clearHook(i)
		if err == nil {
			_, err = s.applyInfo(i)
		}
		if err != nil {
			failed := objectError("apply", infoObject(i), err)
			failed.Hook = true
			return failed
		}
		return nil
	}))
}

// applyInfo applies an object. It returns nil without an error when another object is kept in its place.
func (s *session) applyInfo(i *resource.Info) (*metav1.PartialObjectMetadata, error) {
	u, ok := i.Object.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("unexpected type %T", i.Object)
	}
	if isCRD(i.Mapping.GroupVersionKind.GroupKind()) {
		p, err := s.planCRD(u)
		if err != nil {
			return nil, err
		}
		return s.settleCRD(p)
	}
	if i.Name == "" {
		return s.createNamed(i, u)
	}
	full := u
	u, err := s.leaveToOthers(i.Mapping, full)
	if err != nil {
		return nil, err
	}
	m, err := s.apply(i.Mapping, u)
	if fields := immutableFields(err); len(fields) > 0 {
		return s.replace(i, full, u, fields)
	}
	return m, err
}

// leaveToOthers takes out of an object the fields that somebody else has taken and may have: applying would take them
// back. It looks at the live object only if there are rules about it.
func (s *session) leaveToOthers(m *meta.RESTMapping, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	rules := s.rules.For(u.GetKind(), u.GetNamespace(), u.GetName())
	k := key{u.GroupVersionKind().GroupKind(), u.GetNamespace(), u.GetName()}
	fresh := s.previous != nil && s.previous[k] == nil && s.known[k] == nil
	if len(rules) == 0 || fresh {
		return u, nil
	}
	live, err := s.objects(m, u.GetNamespace()).Get(s.ctx, u.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return u, nil
	}
	if err != nil {
		return nil, err
	}
	owned, err := readOwned(live, s.engine.opts.FieldManager)
	if err != nil {
		return nil, err
	}
	u = u.DeepCopy()
	for _, p := range compare(u.Object, live.Object, owned) {
		who, _ := managerOf(live, p, s.engine.opts.FieldManager)
		if _, ok := rules.Match(ignore.FromFieldPath(p), who); ok && who != UnknownManager {
			removePath(u.Object, p)
		}
	}
	return u, nil
}

// createNamed creates an object that wants its name from the server, and notes the name.
func (s *session) createNamed(i *resource.Info, u *unstructured.Unstructured) (*metav1.PartialObjectMetadata, error) {
	if u.GetGenerateName() == "" {
		return nil, errors.New("the object has no name")
	}
	live, err := s.objects(i.Mapping, i.Namespace).Create(s.ctx, u, metav1.CreateOptions{FieldManager: s.engine.opts.FieldManager})
	if err != nil {
		return nil, err
	}
	i.Name = live.GetName()
	return metadataOf(live), nil
}

// applyOptions of a server-side apply: fields are taken from whoever has them.
func (s *session) applyOptions() metav1.PatchOptions {
	force := true
	return metav1.PatchOptions{FieldManager: s.engine.opts.FieldManager, Force: &force}
}

// apply is server-side apply of one object. The answer is asked for without the object's body.
func (s *session) apply(m *meta.RESTMapping, u *unstructured.Unstructured) (*metav1.PartialObjectMetadata, error) {
	body, err := json.Marshal(u.Object)
	if err != nil {
		return nil, err
	}
	opts := s.applyOptions()
	heads := s.heads(m, u.GetNamespace())
	patch := func() (*metav1.PartialObjectMetadata, error) {
		return heads.Patch(s.ctx, u.GetName(), types.ApplyPatchType, body, opts)
	}
	live, err := patch()
	if err == nil && live.DeletionTimestamp != nil {
		// The object is on its way out, and so is what was just applied to it.
		if err := s.waitGone(m, u.GetNamespace(), u.GetName(), goneTimeout); err != nil {
			return nil, fmt.Errorf("it is being deleted and does not go away (finalizers: %s): %w", strings.Join(live.Finalizers, ", "), err)
		}
		live, err = patch()
	}
	return live, err
}

func (s *session) objects(m *meta.RESTMapping, namespace string) dynamic.ResourceInterface {
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return s.dynamic.Resource(m.Resource).Namespace(namespace)
	}
	return s.dynamic.Resource(m.Resource)
}

func (s *session) heads(m *meta.RESTMapping, namespace string) metadata.ResourceInterface {
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return s.metadata.Resource(m.Resource).Namespace(namespace)
	}
	return s.metadata.Resource(m.Resource)
}

func metadataOf(u *unstructured.Unstructured) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: u.GetName(), Namespace: u.GetNamespace(), UID: u.GetUID(), ResourceVersion: u.GetResourceVersion(),
		Generation: u.GetGeneration(), Labels: u.GetLabels(), Annotations: u.GetAnnotations(), Finalizers: u.GetFinalizers(),
		OwnerReferences: u.GetOwnerReferences(), DeletionTimestamp: u.GetDeletionTimestamp(), ManagedFields: u.GetManagedFields(),
	}}
}

func appliedOf(o Object, m metav1.Object, manager string) Applied {
	return Applied{
		Object: o, ResourceVersion: m.GetResourceVersion(), UID: string(m.GetUID()), Generation: m.GetGeneration(),
		Fingerprint: Fingerprint(m, manager),
		Unlabelled:  m.GetLabels()[v1alpha1.ComponentLabel] == "",
	}
}
