package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// unknownManager is the manager of a change that managed fields don't attribute to anybody.
const unknownManager = "unknown"

// Verify applies the given objects of a manifest again, nil meaning all of them, and reports those
// that were missing or that this changed. With dryRun the API server only works out what would
// change. Objects that are given but not in the manifest are ignored.
//
// Objects that belong to somebody else by now are left alone and reported as *ConflictError.
// Findings and applied objects are returned even when there is an error about other objects.
func (e *Engine) Verify(ctx context.Context, component string, m *Manifest, only []Object, dryRun bool) ([]Finding, []Applied, error) {
	defer e.locks.lock(m.Namespace + "/" + m.Name)()
	s, err := e.newSession(ctx, m.Name, m.Namespace, component)
	if err != nil {
		return nil, nil, err
	}
	var objs []*unstructured.Unstructured
	for _, o := range m.Objects {
		if only == nil || slices.ContainsFunc(only, func(w Object) bool { return sameObject(w, objectOf(o)) }) {
			objs = append(objs, o.DeepCopy())
		}
	}
	list, err := s.infos(objs, true)
	if err != nil {
		return nil, nil, s.verdict("verify", err)
	}
	findings, err := s.verifyAll(list, dryRun) //nolint:contextcheck // the session holds ctx
	return findings, s.appliedObjects(), s.verdict("verify", err)
}

// sameObject compares without the version of the API, which clients choose for themselves.
func sameObject(a, b Object) bool {
	return a.GVK.GroupKind() == b.GVK.GroupKind() && a.Namespace == b.Namespace && a.Name == b.Name
}

func (s *session) verifyAll(list kube.ResourceList, dryRun bool) ([]Finding, error) {
	var mu sync.Mutex
	var findings []Finding
	// What others live in or are made of comes first.
	first := func(i *resource.Info) bool {
		gk := i.Mapping.GroupVersionKind.GroupKind()
		return isNamespace(gk) || isCRD(gk)
	}
	verify := func(i *resource.Info) error {
		f, err := s.verifyOne(i, dryRun)
		if err != nil {
			return objectError("verify", infoObject(i), err)
		}
		if f != nil {
			mu.Lock()
			findings = append(findings, *f)
			mu.Unlock()
		}
		return nil
	}
	errs := inParallel(s, list.Filter(first), verify)
	errs = append(errs, inParallel(s, list.Filter(func(i *resource.Info) bool { return !first(i) }), verify)...)
	slices.SortFunc(findings, func(a, b Finding) int { return strings.Compare(a.Object.String(), b.Object.String()) })
	return findings, s.collect(errs)
}

// verifyOne looks at an object, applies it, and compares.
func (s *session) verifyOne(i *resource.Info, dryRun bool) (*Finding, error) {
	u, ok := i.Object.(*unstructured.Unstructured)
	if !ok || i.Name == "" {
		return nil, nil // created under a name of the server's: nothing to compare with
	}
	o := infoObject(i)
	before, err := s.objects(i.Mapping, i.Namespace).Get(s.ctx, i.Name, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return nil, err
	}
	if !missing {
		if who, owner := s.ownerOf(before, i.Mapping.GroupVersionKind.GroupKind()); who == foreign {
			return nil, s.conflict(o, who, owner)
		}
	}
	if isCRD(i.Mapping.GroupVersionKind.GroupKind()) && !missing {
		if err := s.guardCRD(i.Mapping, u); err != nil {
			return nil, err
		}
	}
	if !missing && before.GetDeletionTimestamp() != nil {
		// It is as good as missing. A dry run can tell no more; the apply waits and makes it anew.
		missing = true
		if dryRun {
			return &Finding{Object: o, Missing: true, Manager: unknownManager}, nil
		}
		if _, err := s.apply(i.Mapping, u); err != nil {
			return nil, err
		}
	}
	body, err := json.Marshal(u.Object)
	if err != nil {
		return nil, err
	}
	opts := s.applyOptions()
	if dryRun {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	after, err := s.objects(i.Mapping, i.Namespace).Patch(s.ctx, i.Name, types.ApplyPatchType, body, opts)
	if err != nil {
		if dryRun && missing && apierrors.IsNotFound(err) {
			// Its namespace is missing as well.
			return &Finding{Object: o, Missing: true, Manager: unknownManager}, nil
		}
		return nil, err
	}
	if !dryRun {
		s.noteApplied(appliedOf(o, after, s.engine.opts.FieldManager))
	}
	if missing {
		return &Finding{Object: o, Missing: true, Manager: unknownManager}, nil
	}
	if before.GetResourceVersion() == after.GetResourceVersion() && !dryRun {
		return nil, nil
	}
	changed, err := s.changedFields(before, after)
	if err != nil || len(changed) == 0 {
		return nil, err
	}
	f := &Finding{Object: o, Manager: s.managerOf(before, changed)}
	for _, p := range changed {
		f.Paths = append(f.Paths, p.String())
	}
	slices.Sort(f.Paths)
	f.Paths = slices.Compact(f.Paths)
	return f, nil
}

// changedFields are the fields of ours that an apply changed: those we own after it, or owned
// before it, and that had another value before. What controllers write in between is not among
// them.
func (s *session) changedFields(before, after *unstructured.Unstructured) ([]fieldpath.Path, error) {
	set := &fieldpath.Set{}
	for _, u := range []*unstructured.Unstructured{before, after} {
		entry := applyEntry(u, s.engine.opts.FieldManager)
		if entry == nil || entry.FieldsV1 == nil {
			continue
		}
		one := &fieldpath.Set{}
		if err := one.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())); err != nil {
			return nil, errors.New("managed fields cannot be read")
		}
		set = set.Union(one)
	}
	var out []fieldpath.Path
	set.Leaves().Iterate(func(p fieldpath.Path) {
		a, inA := lookup(before.Object, p)
		b, inB := lookup(after.Object, p)
		if inA != inB || !reflect.DeepEqual(a, b) {
			out = append(out, p.Copy())
		}
	})
	return out, nil
}

// lookup finds the value at a path. Elements of keyed lists are found by their keys.
func lookup(v any, path fieldpath.Path) (any, bool) {
	for _, e := range path {
		switch {
		case e.FieldName != nil:
			m, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			if v, ok = m[*e.FieldName]; !ok {
				return nil, false
			}
		case e.Key != nil:
			list, _ := v.([]any)
			n := slices.IndexFunc(list, func(item any) bool { return hasKeys(item, *e.Key) })
			if n < 0 {
				return nil, false
			}
			v = list[n]
		case e.Value != nil:
			list, _ := v.([]any)
			n := slices.IndexFunc(list, func(item any) bool {
				return value.Equals(value.NewValueInterface(item), *e.Value)
			})
			if n < 0 {
				return nil, false
			}
			v = list[n]
		case e.Index != nil:
			list, _ := v.([]any)
			if *e.Index < 0 || *e.Index >= len(list) {
				return nil, false
			}
			v = list[*e.Index]
		}
	}
	return v, true
}

func hasKeys(item any, keys value.FieldList) bool {
	m, ok := item.(map[string]any)
	if !ok {
		return false
	}
	for _, k := range keys {
		v, ok := m[k.Name]
		if !ok || !value.Equals(value.NewValueInterface(v), k.Value) {
			return false
		}
	}
	return true
}

// managerOf says who made a change: the manager other than ours that owns one of the changed
// fields, or something inside or around it. A field that was removed belongs to nobody; then it is
// the latest one that wrote to the object after our last apply, if that is only one.
func (s *session) managerOf(before *unstructured.Unstructured, changed []fieldpath.Path) string {
	var ourTime metav1.Time
	if e := applyEntry(before, s.engine.opts.FieldManager); e != nil && e.Time != nil {
		ourTime = *e.Time
	}
	owner, ownerTime := "", metav1.Time{}
	var later []string
	for _, entry := range before.GetManagedFields() {
		if entry.Manager == s.engine.opts.FieldManager || entry.FieldsV1 == nil || entry.Subresource == "status" {
			continue
		}
		set := &fieldpath.Set{}
		if set.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())) != nil {
			continue
		}
		var at metav1.Time
		if entry.Time != nil {
			at = *entry.Time
		}
		if slices.ContainsFunc(changed, func(p fieldpath.Path) bool { return owns(set, p) }) {
			if owner == "" || ownerTime.Before(&at) {
				owner, ownerTime = entry.Manager, at
			}
		}
		if !at.Before(&ourTime) && !slices.Contains(later, entry.Manager) {
			later = append(later, entry.Manager)
		}
	}
	switch {
	case owner != "":
		return owner
	case len(later) == 1:
		return later[0]
	default:
		return unknownManager
	}
}

// owns says whether a set has a path or anything below it.
func owns(set *fieldpath.Set, p fieldpath.Path) bool {
	if set.Has(p) {
		return true
	}
	for _, e := range p {
		if set = set.WithPrefix(e); set.Empty() {
			return false
		}
	}
	return true
}
