package release

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ReplacementClass says what it takes to give an object fields that the API server lets nobody change.
type ReplacementClass string

// The classes of replacement.
const (
	// ReplaceAdoptable objects are deleted without what depends on them, and their successors adopt it: pods keep running.
	ReplaceAdoptable ReplacementClass = "Adoptable"
	// ReplaceRecreate objects are deleted and made again; no pod is affected.
	ReplaceRecreate ReplacementClass = "Recreate"
	// ReplaceRerun objects are Jobs: their successors run again.
	ReplaceRerun ReplacementClass = "Rerun"
	// ReplaceDisruptive objects are deleted and made again, which interrupts what they serve.
	ReplaceDisruptive ReplacementClass = "Disruptive"
	// ReplaceRefused objects are never deleted, because more than themselves would be lost.
	ReplaceRefused ReplacementClass = "Refused"
)

// ReplacementPolicy says which replacements happen by themselves.
type ReplacementPolicy string

// The replacement policies.
const (
	// ReplacementSafe allows those that interrupt nothing: Adoptable, Recreate and Rerun. It is the default.
	ReplacementSafe ReplacementPolicy = "Safe"
	// ReplacementDisruptive allows Disruptive ones, too.
	ReplacementDisruptive ReplacementPolicy = "Disruptive"
)

// allows says whether a class of replacement happens under a policy.
func (p ReplacementPolicy) allows(c ReplacementClass) bool {
	switch c {
	case ReplaceAdoptable, ReplaceRecreate, ReplaceRerun:
		return true
	case ReplaceDisruptive:
		return p == ReplacementDisruptive
	default:
		return false
	}
}

// Replacement is an object that gives way to a new one of its name, because the API server lets nobody change some of its
// fields.
type Replacement struct {
	Object Object
	Class  ReplacementClass
	// Fields are those that could not be changed, as the API server names them. They never contain values.
	Fields []string
}

// String says what happens, for example "DaemonSet kube-system/cilium (spec.selector; its pods keep running)".
func (r Replacement) String() string {
	how := map[ReplacementClass]string{
		ReplaceAdoptable: "its pods keep running and are adopted", ReplaceRecreate: "no pod is affected", ReplaceRerun: "it runs again",
		ReplaceDisruptive: "what it serves is interrupted", ReplaceRefused: "never by itself",
	}[r.Class]
	return fmt.Sprintf("%s (%s; %s)", r.Object, strings.Join(r.Fields, ", "), how)
}

// ImmutableFieldError means that an object has to be replaced for some of its fields to change, and was left as it is.
type ImmutableFieldError struct {
	Object Object
	Class  ReplacementClass
	// Fields are those that cannot be changed, without their values.
	Fields []string
	// Remedy is what a person can do about it.
	Remedy string
}

func (e *ImmutableFieldError) Error() string {
	return fmt.Sprintf("%s: %s cannot be changed and it was not replaced (%s); %s",
		e.Object, strings.Join(e.Fields, ", "), e.Class, e.Remedy)
}

// immutability matches what the API server says of a field that cannot be changed.
var immutability = regexp.MustCompile(`(?i)immutable|cannot change|may not (be )?change|updates? to .* (is|are) forbidden|updates may not change`)

// immutableFields are the fields that an apply tried to change in vain, nil when err is about something else.
func immutableFields(err error) []string {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var out []string
	for _, c := range status.Status().Details.Causes {
		if immutability.MatchString(c.Message) && !slices.Contains(out, c.Field) {
			out = append(out, cmp.Or(c.Field, "object"))
		}
	}
	return out
}

// replacements are the classes of kinds whose fields may be refused; any other kind is Refused, custom resources above all:
// nobody here knows what a controller makes of the deletion of one.
var replacements = map[schema.GroupKind]ReplacementClass{
	{Group: "apps", Kind: "DaemonSet"}:                               ReplaceAdoptable,
	{Group: "apps", Kind: "Deployment"}:                              ReplaceAdoptable,
	{Group: "apps", Kind: "StatefulSet"}:                             ReplaceAdoptable,
	{Group: "apps", Kind: "ReplicaSet"}:                              ReplaceAdoptable,
	{Group: "batch", Kind: "Job"}:                                    ReplaceRerun,
	{Kind: "ConfigMap"}:                                              ReplaceRecreate,
	{Kind: "Secret"}:                                                 ReplaceRecreate,
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:        ReplaceRecreate,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: ReplaceRecreate,
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}:              ReplaceRecreate,
	{Group: "storage.k8s.io", Kind: "StorageClass"}:                  ReplaceRecreate,
	{Group: "storage.k8s.io", Kind: "VolumeAttributesClass"}:         ReplaceRecreate,
	{Group: "storage.k8s.io", Kind: "CSIDriver"}:                     ReplaceRecreate,
	{Group: "networking.k8s.io", Kind: "IngressClass"}:               ReplaceRecreate,
	{Group: "node.k8s.io", Kind: "RuntimeClass"}:                     ReplaceRecreate,
	{Kind: "Service"}:                                                ReplaceDisruptive,
	{Kind: "Pod"}:                                                    ReplaceDisruptive,
	{Group: "discovery.k8s.io", Kind: "EndpointSlice"}:               ReplaceDisruptive,
}

// planReplacement says what it takes to make live what wanted is, when the API server has refused the given fields.
func planReplacement(o Object, live, wanted *unstructured.Unstructured, fields []string) Replacement {
	r := Replacement{Object: o, Class: cmp.Or(replacements[o.GVK.GroupKind()], ReplaceRefused), Fields: fields}
	if isKept(live) || isKept(wanted) {
		r.Class = ReplaceRefused // whoever marked it wants it to outlive a deletion
		return r
	}
	if o.GVK.GroupKind() == statefulSet {
		// The API server names no field of a StatefulSet's.
		if named := statefulSetFields(live, wanted); len(named) > 0 {
			r.Fields = named
		}
		if !slices.Equal(claimNames(live), claimNames(wanted)) {
			// Pods that lack a volume cannot be adopted: the controller would try to give them one, for ever.
			r.Class = ReplaceDisruptive
		}
	}
	return r
}

var (
	statefulSet = schema.GroupKind{Group: "apps", Kind: "StatefulSet"}
	deployment  = schema.GroupKind{Group: "apps", Kind: "Deployment"}
)

// statefulSetFields are the immutable fields of a StatefulSet in which wanted differs from live.
func statefulSetFields(live, wanted *unstructured.Unstructured) []string {
	var out []string
	for _, f := range []string{"selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"} {
		w, has, _ := unstructured.NestedFieldNoCopy(wanted.Object, "spec", f)
		l, had, _ := unstructured.NestedFieldNoCopy(live.Object, "spec", f)
		if has && !subset(w, l) || !has && had && f == "volumeClaimTemplates" {
			out = append(out, "spec."+f)
		}
	}
	return out
}

// subset says whether all that is in wanted is in live, which has defaults besides.
func subset(wanted, live any) bool {
	switch w := wanted.(type) {
	case map[string]any:
		l, ok := live.(map[string]any)
		if !ok {
			return len(w) == 0 && live == nil
		}
		for k, v := range w {
			if !subset(v, l[k]) {
				return false
			}
		}
		return true
	case []any:
		l, ok := live.([]any)
		if !ok || len(l) != len(w) {
			return len(w) == 0 && live == nil
		}
		for i := range w {
			if !subset(w[i], l[i]) {
				return false
			}
		}
		return true
	default:
		return wanted == nil || reflect.DeepEqual(wanted, live)
	}
}

func claimNames(u *unstructured.Unstructured) []string {
	var names []string
	list, _, _ := unstructured.NestedSlice(u.Object, "spec", "volumeClaimTemplates")
	for _, t := range list {
		t, _ := t.(map[string]any)
		name, _, _ := unstructured.NestedString(t, "metadata", "name")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// refusal is the error for a replacement that does not happen.
func (r Replacement) refusal(why string) *ImmutableFieldError {
	e := &ImmutableFieldError{Object: r.Object, Class: r.Class, Fields: r.Fields, Remedy: why}
	switch {
	case why != "":
	case r.Class == ReplaceDisruptive:
		e.Remedy = "take the change back, or set spec.upgrade.replacement of the NetworkStack to Disruptive: then it is deleted and made again, " +
			"which interrupts what it serves"
	default:
		e.Remedy = "take the change back, or delete the object yourself once nothing depends on it: then it is made again as it should be"
	}
	return e
}

// adoptionLabels are the labels by which wanted, a workload, selects what it adopts: for every key of its selector the value
// that its own pods have, or nil when they must not have it.
func adoptionLabels(wanted *unstructured.Unstructured) map[string]any {
	template, _, _ := unstructured.NestedStringMap(wanted.Object, "spec", "template", "metadata", "labels")
	selector, err := selectorOf(wanted)
	if err != nil {
		return nil
	}
	keys := slices.Collect(maps.Keys(selector.MatchLabels))
	for _, e := range selector.MatchExpressions {
		keys = append(keys, e.Key)
	}
	out := map[string]any{}
	for _, k := range keys {
		if v, ok := template[k]; ok {
			out[k] = v
		} else {
			out[k] = nil
		}
	}
	return out
}

// relabel are the changes that make labels those in adopt. What is in fixed must not change: an owner selects by it.
func relabel(labels map[string]string, adopt map[string]any, fixed map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range adopt {
		if _, ok := fixed[k]; ok {
			continue
		}
		has, ok := labels[k]
		if v == nil && ok || v != nil && (!ok || has != v) {
			out[k] = v
		}
	}
	return out
}

func selectorOf(u *unstructured.Unstructured) (*metav1.LabelSelector, error) {
	raw, ok, err := unstructured.NestedMap(u.Object, "spec", "selector")
	if err != nil || !ok {
		return nil, fmt.Errorf("%s has no selector", objectOf(u))
	}
	out := &metav1.LabelSelector{}
	return out, runtime.DefaultUnstructuredConverter.FromUnstructured(raw, out)
}
