package release

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/releaseutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/networkstack/networkstack/internal/ignore"
)

// UnknownManager is the manager of a change that managed fields don't attribute to anybody: of a deletion, and of the
// removal of a field.
const UnknownManager = "unknown"

// Check is what to verify, and how.
type Check struct {
	// Component the objects belong to.
	Component string
	// Manifest is what was applied.
	Manifest *Manifest
	// Only are the objects to look at; nil means all. Those that are not in the manifest are left out.
	Only []Object
	// DryRun has differences reported and left as they are.
	DryRun bool
	// Rules say which differences are none, because others may make them.
	Rules ignore.Rules
	// Secrets are texts that no finding may show.
	Secrets []string
}

// Finding is an object that was not as it had been applied.
type Finding struct {
	Object Object
	// Missing says that the object did not exist.
	Missing bool
	// Fields that differed, in order of their paths; none when the object was missing.
	Fields []FieldChange
	// Manager is the field manager that made the latest of the changes; UnknownManager when managed fields don't tell.
	Manager string
	// Time is when it did, to the second; zero when unknown.
	Time time.Time
}

// FieldChange is one field that was not as it had been applied.
type FieldChange struct {
	Path ignore.Path
	// Expected and Found are the values in a few words, "(none)" for a field that is not there. Secrets are masked.
	Expected, Found string
	Manager         string
	Time            time.Time
}

// Verify compares live objects with what was applied, restores those that differ, and reports them. Objects that are as
// they should be cost one request, and no write.
//
// Objects that belong to somebody else by now are left alone and reported as *ConflictError. Findings, and the state of
// all objects that could be looked at, are returned even when there is an error about other objects.
func (e *Engine) Verify(ctx context.Context, c Check) ([]Finding, []Applied, error) {
	defer e.locks.lock(c.Manifest.Namespace + "/" + c.Manifest.Name)()
	s, err := e.newSession(ctx, c.Manifest.Name, c.Manifest.Namespace, c.Component)
	if err != nil {
		return nil, nil, err
	}
	s.rules = c.Rules
	var objs []*unstructured.Unstructured
	for u, err := range c.Manifest.each(func(o Object) bool {
		return c.Only == nil || slices.ContainsFunc(c.Only, func(w Object) bool { return sameObject(w, o) })
	}) {
		if err != nil {
			return nil, nil, s.verdict("verify", err)
		}
		objs = append(objs, u)
		s.expectGone(u)
	}
	list, err := s.infos(objs, true)
	if err != nil {
		return nil, nil, s.verdict("verify", err)
	}
	v := &verification{session: s, dryRun: c.DryRun, mask: newMasker(c.Secrets)}
	err = v.all(list) //nolint:contextcheck // the session holds ctx
	return v.findings, s.appliedObjects(), s.verdict("verify", err)
}

// sameObject compares without the version of the API, which clients choose for themselves.
func sameObject(a, b Object) bool {
	return a.GVK.GroupKind() == b.GVK.GroupKind() && a.Namespace == b.Namespace && a.Name == b.Name
}

type verification struct {
	*session
	dryRun bool
	mask   masker

	mu       sync.Mutex
	findings []Finding
}

func (v *verification) all(list kube.ResourceList) error {
	verify := func(i *resource.Info) error {
		f, err := v.one(i)
		if err != nil {
			return objectError("verify", infoObject(i), err)
		}
		if f != nil {
			v.mu.Lock()
			v.findings = append(v.findings, *f)
			v.mu.Unlock()
		}
		return nil
	}
	list = inInstallOrder(list)
	var errs []error
	for _, batch := range byKind(list) {
		errs = append(errs, inParallel(v.session, batch, verify)...)
	}
	slices.SortFunc(v.findings, func(a, b Finding) int { return strings.Compare(a.Object.String(), b.Object.String()) })
	return v.collect(errs)
}

// inInstallOrder sorts by kind: a binding cannot be made again before its role, for example.
func inInstallOrder(list kube.ResourceList) kube.ResourceList {
	place := func(i *resource.Info) int {
		if n := slices.Index(releaseutil.InstallOrder, i.Mapping.GroupVersionKind.Kind); n >= 0 {
			return n
		}
		return len(releaseutil.InstallOrder)
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *resource.Info) int {
		return cmp.Or(place(a)-place(b), strings.Compare(a.Mapping.GroupVersionKind.String(), b.Mapping.GroupVersionKind.String()))
	})
	return guardsFirst(list)
}

// one looks at an object, and restores it when it differs.
func (v *verification) one(i *resource.Info) (*Finding, error) {
	wanted, ok := i.Object.(*unstructured.Unstructured)
	if !ok || i.Name == "" {
		return nil, nil // created under a name of the server's: nothing to compare with
	}
	// Additions are removed on the condition that they are where they were.
	const attempts = 5
	for n := 1; ; n++ {
		f, err := v.look(i, wanted.DeepCopy())
		if n < attempts && (apierrors.IsConflict(err) || movedOn(err)) {
			continue
		}
		return f, err
	}
}

func (v *verification) look(i *resource.Info, wanted *unstructured.Unstructured) (*Finding, error) {
	o := infoObject(i)
	live, err := v.objects(i.Mapping, i.Namespace).Get(v.ctx, i.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && Transient(wanted) {
		v.noteApplied(Applied{Object: o})
		return nil, nil
	}
	if apierrors.IsNotFound(err) {
		return v.missing(i, wanted)
	}
	if err != nil {
		return nil, err
	}
	if gk := i.Mapping.GroupVersionKind.GroupKind(); isCRD(gk) {
		plan := &crdPlan{wanted: wanted}
		if err := v.judgeCRD(plan, live); err != nil || !plan.applies() {
			return nil, err // kept in favour of a newer one, or of another component's
		}
	} else if who, owner := v.ownerOf(live, gk); who == foreign {
		return nil, v.conflict(o, who, owner)
	}
	if live.GetDeletionTimestamp() != nil {
		// It is as good as missing. A dry run can tell no more; applying waits and makes it anew.
		return v.missing(i, wanted)
	}
	differs, added, err := v.differences(live, wanted)
	if err != nil {
		return nil, err
	}
	if len(differs)+len(added) == 0 {
		v.noteApplied(appliedOf(o, live, v.engine.opts.FieldManager))
		return nil, nil
	}
	after, err := v.restore(i, live, wanted, differs, added)
	if err != nil {
		return nil, err
	}
	if v.dryRun {
		left := appliedOf(o, live, v.engine.opts.FieldManager)
		left.Open, left.Traces = true, Traces(live, v.engine.opts.FieldManager)
		v.noteApplied(left)
	} else {
		v.noteApplied(appliedOf(o, after, v.engine.opts.FieldManager))
	}
	return v.finding(o, wanted, live, after, added)
}

// differences are what applying wanted to live would change, and what others added. What others may change is taken out
// of wanted.
func (s *session) differences(live, wanted *unstructured.Unstructured) ([]fieldpath.Path, []addition, error) {
	manager := s.engine.opts.FieldManager
	owned, err := readOwned(live, manager)
	if err != nil {
		return nil, nil, err
	}
	rules := s.rules.For(wanted.GetKind(), wanted.GetNamespace(), wanted.GetName())
	differs := compare(wanted.Object, live.Object, owned)
	if len(rules) > 0 {
		differs = slices.DeleteFunc(differs, func(p fieldpath.Path) bool {
			who, _ := managerOf(live, p, manager)
			if _, ok := rules.Match(ignore.FromFieldPath(p), who); !ok {
				return false
			}
			removePath(wanted.Object, p)
			return true
		})
	}
	added, err := additions(live, wanted, manager, owned.ours)
	if err != nil {
		return nil, nil, err
	}
	added = slices.DeleteFunc(added, func(a addition) bool {
		_, ok := rules.Match(ignore.FromFieldPath(a.path), a.manager)
		return ok
	})
	return differs, added, nil
}

// missing makes an object that is not there.
func (v *verification) missing(i *resource.Info, wanted *unstructured.Unstructured) (*Finding, error) {
	o := infoObject(i)
	f := &Finding{Object: o, Missing: true, Manager: UnknownManager}
	if v.dryRun {
		v.noteApplied(Applied{Object: o, Open: true})
		return f, nil
	}
	applied, err := v.applyInfo(&resource.Info{Client: i.Client, Mapping: i.Mapping, Object: wanted, Namespace: i.Namespace, Name: i.Name})
	if err != nil || applied == nil {
		return nil, err
	}
	v.noteApplied(appliedOf(o, applied, v.engine.opts.FieldManager))
	return f, nil
}

// restore takes out what was added and applies what differs. It returns the object as it is afterwards, or, in a dry run,
// would be.
func (v *verification) restore(i *resource.Info, live, wanted *unstructured.Unstructured, differs []fieldpath.Path, added []addition,
) (*unstructured.Unstructured, error) {
	objects := v.objects(i.Mapping, i.Namespace)
	var dryRun []string
	if v.dryRun {
		dryRun = []string{metav1.DryRunAll}
	}
	after := live
	if len(added) > 0 && (len(differs) == 0 || v.dryRun) {
		patch, err := removal(live, added)
		if err != nil {
			return nil, err
		}
		after, err = objects.Patch(v.ctx, i.Name, types.JSONPatchType, patch,
			metav1.PatchOptions{FieldManager: v.engine.opts.FieldManager, DryRun: dryRun})
		if v.dryRun && apierrors.IsInvalid(err) {
			return live, nil // removing and applying only make sense together; what was added is known anyway
		}
		if err != nil {
			return nil, err
		}
	}
	if len(added) > 0 && len(differs) > 0 && !v.dryRun {
		patch, err := absorption(live, added, v.engine.opts.FieldManager)
		if errors.Is(err, errNothingOfOurs) {
			patch, err = removal(live, added)
		}
		if err != nil {
			return nil, err
		}
		_, err = objects.Patch(v.ctx, i.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: v.engine.opts.FieldManager})
		if err != nil {
			return nil, err
		}
	}
	if len(differs) == 0 {
		return after, nil
	}
	body, err := json.Marshal(wanted.Object)
	if err != nil {
		return nil, err
	}
	opts := v.applyOptions()
	opts.DryRun = dryRun
	after, err = objects.Patch(v.ctx, i.Name, types.ApplyPatchType, body, opts)
	if fields := immutableFields(err); len(fields) > 0 {
		// Drift is put right, but not by deleting things.
		return nil, planReplacement(infoObject(i), live, wanted, fields).refusal("delete it: then it is made again as it should be")
	}
	return after, err
}

// finding says what was different; nil when applying changed nothing of ours after all.
func (v *verification) finding(o Object, wanted, before, after *unstructured.Unstructured, added []addition) (*Finding, error) {
	changed, err := v.changedFields(before, after)
	if err != nil {
		return nil, err
	}
	f := &Finding{Object: o, Manager: UnknownManager}
	note := func(p fieldpath.Path, manager string, at time.Time) {
		expected, has := lookup(wanted.Object, p)
		if !has {
			expected, has = lookup(after.Object, p) // the keys of a list's element may be defaults
		}
		found, had := lookup(before.Object, p)
		f.Fields = append(f.Fields, FieldChange{
			Path: ignore.FromFieldPath(p), Manager: manager, Time: at,
			Expected: v.mask.show(o.GVK, p, expected, has), Found: v.mask.show(o.GVK, p, found, had),
		})
	}
	for _, a := range added {
		found, had := lookup(before.Object, a.path)
		f.Fields = append(f.Fields, FieldChange{
			Path: ignore.FromFieldPath(a.path), Manager: a.manager, Time: a.at,
			Expected: none, Found: v.mask.show(o.GVK, a.path, found, had),
		})
	}
	for _, p := range changed {
		if slices.ContainsFunc(added, func(a addition) bool { return len(a.path) <= len(p) && a.path.Equals(p[:len(a.path)]) }) {
			continue
		}
		manager, at := managerOf(before, p, v.engine.opts.FieldManager)
		note(p, manager, at)
	}
	if len(f.Fields) == 0 {
		return nil, nil
	}
	slices.SortFunc(f.Fields, func(a, b FieldChange) int { return strings.Compare(a.Path.String(), b.Path.String()) })
	for _, c := range f.Fields {
		if c.Manager != UnknownManager && (f.Manager == UnknownManager || f.Time.Before(c.Time)) {
			f.Manager, f.Time = c.Manager, c.Time
		}
	}
	return f, nil
}

// changedFields are the fields of ours that an apply changed: those we own after it, or owned before it, and that had
// another value before. What controllers write in between is not among them.
func (s *session) changedFields(before, after *unstructured.Unstructured) ([]fieldpath.Path, error) {
	set := &fieldpath.Set{}
	for _, u := range []*unstructured.Unstructured{before, after} {
		owned, err := readOwned(u, s.engine.opts.FieldManager)
		if err != nil {
			return nil, err
		}
		set = set.Union(owned.ours)
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

// managerOf says who made a change, and when: the latest manager other than ours that owns the field, or something inside
// or around it. A field that was removed belongs to nobody.
func managerOf(before *unstructured.Unstructured, changed fieldpath.Path, manager string) (string, time.Time) {
	owner, at := UnknownManager, time.Time{}
	for _, entry := range before.GetManagedFields() {
		if !isOthers(entry, manager) {
			continue
		}
		set, err := readSet(entry)
		if err != nil || !owns(set, changed) {
			continue
		}
		var wrote time.Time
		if entry.Time != nil {
			wrote = entry.Time.Time
		}
		if owner == UnknownManager || at.Before(wrote) {
			owner, at = entry.Manager, wrote
		}
	}
	return owner, at
}

// owns says whether a set has a path, or anything below it, or a whole of which it is part.
func owns(set *fieldpath.Set, p fieldpath.Path) bool {
	for i, e := range p {
		member := set.Members.Has(e)
		set = set.WithPrefix(e)
		switch {
		case member && set.Empty():
			return true
		case set.Empty():
			return false
		case i == len(p)-1:
			return true
		}
	}
	return false
}
