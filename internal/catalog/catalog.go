// Package catalog holds what is known about each component as data: which versions exist, where their
// charts are, their digests, and on which Kubernetes versions they are tested.
package catalog

import "strings"

// Entry is what is known about one component.
type Entry struct {
	// Type of the component, such as Flannel or Multus.
	Type string `json:"type"`
	// Repository of the chart; empty when the operator carries it.
	Repository string `json:"repository,omitempty"`
	// Chart is the chart's name.
	Chart string `json:"chart"`
	// ReleaseName is the usual name of the Helm release.
	ReleaseName string `json:"releaseName"`
	// Namespace is the usual namespace.
	Namespace string `json:"namespace"`
	// NamespaceLabels are set when the namespace belongs to the component alone.
	NamespaceLabels map[string]string `json:"namespaceLabels,omitempty"`
	// Versions known, newest first; the first is the default.
	Versions []Version `json:"versions"`
	// Readiness says what tells, beside workloads, that the component works.
	Readiness []Readiness `json:"readiness,omitempty"`
}

// Readiness names an object in whose conditions a controller says how it gets on with an object of the release. That one is
// ready when the conditions are as wanted, and say so of its present generation.
type Readiness struct {
	// Group and Version of both objects.
	Group   string `json:"group"`
	Version string `json:"version"`
	// Of is the kind of the release's object. A release without one is not concerned.
	Of string `json:"of"`
	// Kind and Name of the object with the conditions. It belongs to the whole cluster.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// WantTrue are conditions that have to be True, and WantFalse those that must not be.
	WantTrue  []string `json:"wantTrue,omitempty"`
	WantFalse []string `json:"wantFalse,omitempty"`
}

// Version is a chart version and what is known about it.
type Version struct {
	// Version of the chart.
	Version string `json:"version"`
	// Digest of the chart archive, "sha256:…"; empty when unknown.
	Digest string `json:"digest,omitempty"`
	// KubernetesMin and KubernetesMax are the oldest and newest minor versions it is tested with ("1.33"); empty when unknown.
	KubernetesMin string `json:"kubernetesMin,omitempty"`
	KubernetesMax string `json:"kubernetesMax,omitempty"`
}

// Catalog finds entries by component type.
type Catalog map[string]Entry

// Version finds a chart version, spelt with or without a leading "v".
func (e Entry) Version(version string) (Version, bool) {
	for _, v := range e.Versions {
		if strings.TrimPrefix(v.Version, "v") == strings.TrimPrefix(version, "v") {
			return v, true
		}
	}
	return Version{}, false
}

// Default is the version this release of the operator was tested with: the first. It is zero when
// the entry knows no version.
func (e Entry) Default() Version {
	if len(e.Versions) == 0 {
		return Version{}
	}
	return e.Versions[0]
}
