package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DriftSpec says what happens when somebody else changes an object of a component.
type DriftSpec struct {
	// mode is Correct, Warn or Ignore. Left out, Correct. A component's driftMode takes its place.
	// +optional
	Mode DriftMode `json:"mode,omitempty"`

	// ignore names fields that others may change: their changes are neither reported nor undone, and later versions of
	// the component leave the fields to whoever has taken them. What well-known controllers change is known already.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Ignore []DriftIgnoreRule `json:"ignore,omitempty"`
}

// DriftIgnoreRule names fields that others may change.
type DriftIgnoreRule struct {
	// component is the NetworkComponent's name. Left out, the rule is for all components.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Component string `json:"component,omitempty"`

	// kind of the objects, such as ConfigMap. Left out, objects of every kind are meant.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// name of the objects; * and ? stand for any characters. Left out, objects of every name are meant.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// paths of the fields, written as they are reported, such as .spec.replicas, .data["net-conf.json"] or
	// .spec.template.spec.containers[name="agent"].image. .* stands for any field and [*] for any element of a list.
	// What is below a path is meant, too.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Paths []string `json:"paths,omitempty"`
}

// DriftStatus is the drift found so far.
type DriftStatus struct {
	// count of drifts found.
	// +optional
	Count int64 `json:"count,omitempty"`

	// recent are the latest drifts, the latest first.
	// +optional
	// +listType=atomic
	Recent []Drift `json:"recent,omitempty"`

	// open are objects that differ now and are not corrected (mode Warn).
	// +optional
	// +listType=atomic
	Open []Drift `json:"open,omitempty"`

	// contested are fields that somebody else kept putting back, so that they are left to him.
	// +optional
	// +listType=atomic
	Contested []ContestedField `json:"contested,omitempty"`
}

// Drift is one object that was found not to be as it had been applied.
type Drift struct {
	// object that drifted, as "Kind namespace/name".
	// +required
	Object string `json:"object,omitempty"`
	// reason says what was done: DriftCorrected, ObjectRestored, DriftDetected or DriftContested.
	// +optional
	Reason string `json:"reason,omitempty"`
	// time it was found.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
	// manager is who changed it, as the object's managed fields say; "unknown" when they do not.
	// +optional
	Manager string `json:"manager,omitempty"`
	// changedAt is when the manager wrote, to the second; absent when unknown.
	// +optional
	ChangedAt *metav1.Time `json:"changedAt,omitempty"`
	// fields that differed, at most ten; none when the object was missing.
	// +optional
	// +listType=atomic
	Fields []DriftField `json:"fields,omitempty"`
	// moreFields is how many fields beyond those listed differed.
	// +optional
	MoreFields int32 `json:"moreFields,omitempty"`
}

// DriftField is one field that differed.
type DriftField struct {
	// path of the field.
	// +required
	Path string `json:"path,omitempty"`
	// expected is what was applied, in a few words; "(none)" for a field that should not be there, and "[redacted]"
	// for a secret.
	// +optional
	Expected string `json:"expected"`
	// found is what was there instead.
	// +optional
	Found string `json:"found"`
	// manager is who changed the field.
	// +optional
	Manager string `json:"manager,omitempty"`
}

// ContestedField is a field that somebody else kept putting back.
type ContestedField struct {
	// object that the field is of, as "Kind namespace/name".
	// +required
	Object string `json:"object,omitempty"`
	// path of the field.
	// +required
	Path string `json:"path,omitempty"`
	// manager who keeps putting it back.
	// +required
	Manager string `json:"manager,omitempty"`
	// since is when it was given up.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// retryAt is when it is corrected again, if it still differs then.
	// +optional
	RetryAt *metav1.Time `json:"retryAt,omitempty"`
}
