package release

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/chartutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/networkstack/networkstack/internal/ownership"
)

// ObjectState is how a live object compares with what would be applied.
type ObjectState string

// The states of objects in a report.
const (
	// ObjectSame means that applying it changes no field.
	ObjectSame ObjectState = "Same"
	// ObjectDiffers means that fields would change.
	ObjectDiffers ObjectState = "Differs"
	// ObjectUnknown means that nothing renders it, so that it would be removed.
	ObjectUnknown ObjectState = "Unknown"
	// ObjectNew means that it is not there yet.
	ObjectNew ObjectState = "New"
)

// FieldState is how a field compares.
type FieldState string

// The states of fields in a report. Fields that are the same are not listed.
const (
	// FieldDiffers means that the field would get another value.
	FieldDiffers FieldState = "Differs"
	// FieldUnknown means that nothing renders the field, so that it would be removed, or fall back to its default.
	FieldUnknown FieldState = "Unknown"
)

// AdoptionReport is what taking over what is there would do.
type AdoptionReport struct {
	// Source is who made what is there: "Helm release kube-system/cilium", "kubeadm", "kubectl"; empty when there is
	// nothing to take over.
	Source string
	// Refused are the objects that belong to somebody who still looks after them. As long as there is one, nothing is
	// taken over.
	Refused []*ConflictError
	// Objects are all objects of the release, and those it would lose.
	Objects []ObjectReport
}

// Needed says whether there is anything to take over.
func (r *AdoptionReport) Needed() bool { return r.Source != "" }

// Conflict is why Apply would refuse; nil when it would not.
func (r *AdoptionReport) Conflict(spec Spec) error {
	switch {
	case len(r.Refused) > 0:
		return r.Refused[0]
	case r.Needed() && !spec.Adopt:
		c := &ConflictError{
			Release: spec.Namespace + "/" + spec.Name, Owner: r.Source, Adoptable: true,
			Remedy: "set spec.adoption to Adopt to take it over, or remove it first; status.adoption says what taking it over changes",
		}
		c.Object = Object{GVK: helmGVK, Namespace: spec.Namespace, Name: spec.Name}
		for _, o := range r.Objects {
			if o.State == ObjectNew {
				continue
			}
			c.Object = o.Object
			if o.Object.GVK.Kind == "DaemonSet" || o.Object.GVK.Kind == "Deployment" {
				break
			}
		}
		return c
	}
	return nil
}

// Restarts says whether pods would be replaced.
func (r *AdoptionReport) Restarts() bool {
	return slices.ContainsFunc(r.Objects, func(o ObjectReport) bool { return o.Restarts })
}

// Count is how many objects are in a state.
func (r *AdoptionReport) Count(state ObjectState) int {
	n := 0
	for _, o := range r.Objects {
		if o.State == state {
			n++
		}
	}
	return n
}

// ObjectReport compares one object.
type ObjectReport struct {
	Object Object
	State  ObjectState
	// Fields are those that would change.
	Fields []FieldReport
	// Restarts says that the pod template would change.
	Restarts bool
	// Problem says why the API server would not take the object as it is rendered, for example that a field cannot be
	// changed. The fields are compared without the API server's defaults then.
	Problem string
}

// FieldReport compares one field.
type FieldReport struct {
	Path  string
	State FieldState
	// Live and Wanted are short, and hold nothing of secrets; empty means that the field is not there.
	Live, Wanted string
}

// Inspect compares what is in the cluster with what Apply would make of it. It renders as Apply does, with the live
// cluster's capabilities, and writes nothing: the API server is asked by dry run what it would fill in. Files under crds/
// are left out. The error is a *ConflictError when the release belongs to another component.
func (e *Engine) Inspect(ctx context.Context, spec Spec) (AdoptionReport, error) {
	defer e.locks.lock(spec.Namespace + "/" + spec.Name)()
	s, err := e.newSession(ctx, spec.Name, spec.Namespace, spec.Component)
	if err != nil {
		return AdoptionReport{}, err
	}
	s.take(spec)
	s.adopt, s.inspecting = true, true
	report, err := s.inspect(spec)
	return report, s.verdict("inspect", err)
}

func (s *session) inspect(spec Spec) (AdoptionReport, error) {
	var report AdoptionReport
	if spec.Chart == nil || spec.Component == "" {
		return report, &RenderError{Release: s.id(), Err: errors.New("a chart and a component are required")}
	}
	revs, err := s.records.history()
	if err != nil {
		return report, err
	}
	if err := s.claim(revs); err != nil {
		return report, err
	}
	s.recoverRecords(revs) // in memory, so that Helm renders an upgrade
	if err := s.loadPrevious(revs); err != nil {
		return report, err
	}
	chrt, _ := copyChart(spec.Chart)
	enabled, _ := copyChart(spec.Chart)
	if err := chartutil.ProcessDependenciesWithMerge(enabled, copyValues(spec.Values)); err != nil {
		return report, &RenderError{Release: s.id(), Err: scrubValues(err, spec.Values)}
	}
	caps, err := s.engine.cluster.capabilities()
	if err != nil {
		return report, err
	}
	if _, err := s.act(spec, chrt, revs, caps, nil); err != nil {
		return report, err
	}
	return s.compareAll()
}

// compareAll compares what was rendered, and what it lacks, with the live objects.
func (s *session) compareAll() (AdoptionReport, error) {
	var report AdoptionReport
	var mu sync.Mutex
	sources := map[string]int{}
	note := func(o ObjectReport, mark *ownership.Mark, refused *ConflictError) {
		mu.Lock()
		defer mu.Unlock()
		report.Objects = append(report.Objects, o)
		if refused != nil {
			report.Refused = append(report.Refused, refused)
		} else if mark != nil {
			sources[mark.Source()]++
		}
	}
	rendered := map[key]bool{}
	for _, i := range s.inspected {
		rendered[infoKey(i)] = true
	}
	errs := inParallel(s, s.inspected, func(i *resource.Info) error { return s.compareOne(i, note) })
	leftovers := slices.DeleteFunc(slices.Collect(maps.Values(s.previous)), func(i *resource.Info) bool {
		u, _ := i.Object.(*unstructured.Unstructured)
		return rendered[infoKey(i)] || isCRD(i.Mapping.GroupVersionKind.GroupKind()) || u != nil && isKept(u)
	})
	errs = append(errs, inParallel(s, leftovers, func(i *resource.Info) error {
		live, err := s.heads(i.Mapping, i.Namespace).Get(s.ctx, i.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return objectError("get", infoObject(i), err)
		}
		mark, refused := s.judge(i, live)
		note(ObjectReport{Object: infoObject(i), State: ObjectUnknown}, mark, refused)
		return nil
	})...)
	slices.SortFunc(report.Objects, func(a, b ObjectReport) int { return strings.Compare(a.Object.String(), b.Object.String()) })
	slices.SortFunc(report.Refused, func(a, b *ConflictError) int { return strings.Compare(a.Object.String(), b.Object.String()) })
	switch {
	case s.claiming:
		report.Source = "Helm release " + s.id()
	case len(sources) > 0:
		// Most objects decide: some are made by the cluster itself, or were changed by hand later.
		names := slices.Sorted(maps.Keys(sources))
		report.Source = slices.MaxFunc(names, func(a, b string) int { return sources[a] - sources[b] })
	case len(report.Refused) > 0:
		report.Source = report.Refused[0].Owner
	}
	return report, s.collect(errs)
}

// judge says where an object that is not ours comes from, or why it cannot be taken over.
func (s *session) judge(i *resource.Info, live metav1.Object) (*ownership.Mark, *ConflictError) {
	switch who, owner := s.ownerOf(live, i.Mapping.GroupVersionKind.GroupKind()); who {
	case foreign:
		var refused *ConflictError
		errors.As(s.conflict(infoObject(i), who, owner), &refused)
		return nil, refused
	case nobodys:
		mark := ownership.Of(live)
		return &mark, nil
	case ours:
	}
	return nil, nil
}

func (s *session) compareOne(i *resource.Info, note func(ObjectReport, *ownership.Mark, *ConflictError)) error {
	u, ok := i.Object.(*unstructured.Unstructured)
	if !ok || i.Name == "" {
		return nil // it gets its name from the server: there is nothing to compare with
	}
	o := ObjectReport{Object: infoObject(i), State: ObjectSame}
	live, err := s.objects(i.Mapping, i.Namespace).Get(s.ctx, i.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		o.State = ObjectNew
		note(o, nil, nil)
		return nil
	}
	if err != nil {
		return objectError("get", o.Object, err)
	}
	wanted, err := s.completed(i, live, u)
	if apierrors.IsInvalid(err) && isJob(o.Object.GVK.GroupKind()) {
		// What the API server adds to a Job cannot be left out again: it is asked what applying makes of it.
		wanted, err = s.appliedDry(i, u)
	}
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
		o.Problem, wanted = problemOf(err), u
	} else if err != nil {
		return objectError("compare", o.Object, err)
	}
	o.Fields = reportFields(live, u, wanted, s.engine.opts.FieldManager)
	if len(o.Fields) > 0 || o.Problem != "" {
		o.State = ObjectDiffers
	}
	switch gvk := o.Object.GVK; {
	case gvk.Group != "apps":
	case gvk.Kind == "DaemonSet" || gvk.Kind == "Deployment" || gvk.Kind == "StatefulSet":
		o.Restarts = slices.ContainsFunc(o.Fields, func(f FieldReport) bool { return strings.HasPrefix(f.Path, ".spec.template.") })
	}
	mark, refused := s.judge(i, live)
	note(o, mark, refused)
	return nil
}

// completed is a live object with the content that is rendered, as the API server would store it, defaults included.
func (s *session) completed(i *resource.Info, live, rendered *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	c := &fieldReporter{}
	c.sort(live.GetManagedFields(), s.engine.opts.FieldManager)
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	ops := []operation{}
	for _, k := range slices.Sorted(maps.Keys(union(live.Object, rendered.Object))) {
		switch k {
		case "apiVersion", "kind", "metadata", "status":
			continue
		}
		if v, ok := rendered.Object[k]; ok {
			ops = append(ops, operation{"add", "/" + escape.Replace(k), v})
		} else if c.goes(reportPath{{name: k}}) {
			ops = append(ops, operation{Op: "remove", Path: "/" + escape.Replace(k)})
		}
	}
	patch, err := json.Marshal(ops)
	if err != nil {
		return nil, err
	}
	return s.objects(i.Mapping, i.Namespace).Patch(s.ctx, i.Name, types.JSONPatchType, patch, metav1.PatchOptions{
		FieldManager: s.engine.opts.FieldManager, DryRun: []string{metav1.DryRunAll},
	})
}

// appliedDry is a live object as applying what is rendered would leave it.
func (s *session) appliedDry(i *resource.Info, rendered *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(rendered.Object)
	if err != nil {
		return nil, err
	}
	force := true
	return s.objects(i.Mapping, i.Namespace).Patch(s.ctx, i.Name, types.ApplyPatchType, data, metav1.PatchOptions{
		FieldManager: s.engine.opts.FieldManager, Force: &force, DryRun: []string{metav1.DryRunAll},
	})
}

// problemOf says what the API server does not take, without quoting any value.
func problemOf(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return "the API server refuses it"
	}
	var fields []string
	if d := status.Status().Details; d != nil {
		for _, c := range d.Causes {
			if c.Field != "" && !slices.Contains(fields, c.Field) {
				fields = append(fields, c.Field)
			}
		}
	}
	text := "the API server refuses the change (" + string(status.Status().Reason) + ")"
	if len(fields) > 0 {
		text += ": " + strings.Join(fields, ", ")
	}
	return text
}
