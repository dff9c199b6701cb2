package release

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ErrNotDeployed is returned by Load when no revision of the release was ever deployed.
var ErrNotDeployed = errors.New("release has no deployed revision")

// RenderError means that the chart refused its values or produced something that is no manifest.
// Trying again is of no use until the chart, the values or the cluster's version change.
type RenderError struct {
	Release string // namespace/name
	Err     error
}

func (e *RenderError) Error() string { return fmt.Sprintf("render %s: %v", e.Release, e.Err) }

// Unwrap returns the cause.
func (e *RenderError) Unwrap() error { return e.Err }

// ConflictError means that something in the cluster belongs to somebody else. It stays until
// somebody decides; Remedy says how.
type ConflictError struct {
	Release string // namespace/name
	Object  Object
	// Owner is who the object belongs to, for example "Helm release kube-system/cilium".
	Owner string
	// Remedy is what a person can do about it.
	Remedy string
	// Adoptable says that Spec.Adopt would have taken it over: nobody looks after it.
	Adoptable bool
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("release %s: %s already exists and belongs to %s; %s", e.Release, e.Object, e.Owner, e.Remedy)
}

// CRDVersionError means that a CustomResourceDefinition was not replaced because the new one lacks
// versions in which objects are stored.
type CRDVersionError struct {
	CRD      string
	Versions []string
}

func (e *CRDVersionError) Error() string {
	return fmt.Sprintf("CustomResourceDefinition %s: objects are stored as %s, which the new definition no longer has; "+
		"migrate the stored objects and remove the version from status.storedVersions first",
		e.CRD, strings.Join(e.Versions, ", "))
}

// CRDNotServedError means that a CustomResourceDefinition was left as it is, being newer or another component's, and does
// not serve versions that the chart counts on.
type CRDNotServedError struct {
	CRD      string
	Versions []string
	// Owner is the component that the live definition belongs to, empty when it is this one or nobody's.
	Owner string
	// Source is the chart and version the live definition came from, Wanted that of the one that was not applied.
	Source, Wanted string
}

func (e *CRDNotServedError) Error() string {
	whose := ""
	if e.Owner != "" {
		whose += " of component " + e.Owner
	}
	if e.Source != "" {
		whose += " from " + e.Source
	}
	return fmt.Sprintf("CustomResourceDefinition %s: the definition in the cluster%s is not replaced by the one from %s, and does not serve %s; "+
		"use versions of the two that go together, or stop serving the versions that one of them lacks",
		e.CRD, whose, e.Wanted, strings.Join(e.Versions, ", "))
}

// ObjectError is what went wrong with one object.
type ObjectError struct {
	Object Object
	// Verb is what was tried: apply, delete, get, wait, record.
	Verb string
	// Reason is the API server's reason, empty when it did not answer.
	Reason metav1.StatusReason
	// Permission is the permission that is missing, for example "patch daemonsets.apps in namespace kube-system".
	Permission string
	// Hook says that the object is a chart hook.
	Hook bool
	// Detail is what is known of a hook that failed: how its pod ended and the last lines of its log. Values that may not be
	// shown are taken out of it.
	Detail string
	// Err never contains data of Secrets.
	Err error
}

func (e *ObjectError) Error() string {
	what := e.Object.String()
	if e.Hook {
		what = "hook " + what
	}
	if e.Permission != "" {
		return fmt.Sprintf("%s %s: missing permission to %s", e.Verb, what, e.Permission)
	}
	text := fmt.Sprintf("%s %s: %v", e.Verb, what, e.Err)
	if e.Detail != "" {
		text += "; " + e.Detail
	}
	return text
}

// Unwrap returns the cause.
func (e *ObjectError) Unwrap() error { return e.Err }

// ApplyError means that the cluster did not take all of a release. Trying again may help.
type ApplyError struct {
	Release string // namespace/name
	// Causes has one entry per object that failed.
	Causes []*ObjectError
	// Err is a cause that belongs to no object, nil when there are Causes.
	Err error
}

func (e *ApplyError) Error() string {
	const most = 5
	var b strings.Builder
	fmt.Fprintf(&b, "release %s: ", e.Release)
	if e.Err != nil {
		fmt.Fprintf(&b, "%v", e.Err)
		if len(e.Causes) > 0 {
			b.WriteString("; ")
		}
	}
	for i, c := range e.Causes {
		if i == most {
			fmt.Fprintf(&b, "; and %d more", len(e.Causes)-most)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(c.Error())
	}
	return b.String()
}

// Unwrap returns all causes.
func (e *ApplyError) Unwrap() []error {
	errs := make([]error, 0, len(e.Causes)+1)
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	for _, c := range e.Causes {
		errs = append(errs, c)
	}
	return errs
}

// Permanent says whether err will come back for as long as its inputs and the cluster's other
// owners stay as they are, so that there is no point in retrying soon.
func Permanent(err error) bool {
	var render *RenderError
	var conflict *ConflictError
	var crd *CRDVersionError
	var unserved *CRDNotServedError
	var fixed *ImmutableFieldError
	return errors.As(err, &render) || errors.As(err, &conflict) || errors.As(err, &crd) ||
		errors.As(err, &unserved) || errors.As(err, &fixed)
}

// Unserved are the kinds that the cluster does not serve, when err is about nothing else; untouched says that nothing was applied
// because of it.
func Unserved(err error) (kinds []schema.GroupKind, untouched bool) {
	var apply *ApplyError
	if !errors.As(err, &apply) || apply.Err != nil {
		return nil, false
	}
	untouched = true
	for _, cause := range apply.Causes {
		kind := cause.Object.GVK.GroupKind()
		switch {
		case meta.IsNoMatchError(cause.Err):
		case cause.Verb == "apply" && cause.Reason == metav1.StatusReasonNotFound && cause.Object.Namespace == "":
			untouched = false // known by now, and not served yet
		default:
			return nil, false
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds, untouched && len(kinds) > 0
}

// Passing says whether err is the API server's trouble and not the release's: it did not answer, was overloaded, or failed
// by itself. Trying again costs little and helps as soon as that is over.
func Passing(err error) bool {
	var lost *url.Error
	var object *ObjectError
	if Permanent(err) || !errors.As(err, &object) {
		return false
	}
	return slices.Contains(passingReasons, object.Reason) || errors.As(object.Err, &lost)
}

var passingReasons = []metav1.StatusReason{
	metav1.StatusReasonConflict, metav1.StatusReasonServerTimeout, metav1.StatusReasonTimeout,
	metav1.StatusReasonTooManyRequests, metav1.StatusReasonInternalError, metav1.StatusReasonServiceUnavailable,
}
