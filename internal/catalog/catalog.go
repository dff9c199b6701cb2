// Package catalog holds what is known about each component as data: which versions exist, where their
// charts are, their digests, and on which Kubernetes versions they are tested.
package catalog

import "strings"

// Entry is what is known about one component.
type Entry struct {
	// Type of the component, such as Flannel or Multus.
	Type string `yaml:"type"`
	// Repository of the chart; empty when the operator carries it.
	Repository string `yaml:"repository,omitempty"`
	// Chart is the chart's name.
	Chart string `yaml:"chart"`
	// ReleaseName is the usual name of the Helm release.
	ReleaseName string `yaml:"releaseName"`
	// Namespace is the usual namespace.
	Namespace string `yaml:"namespace"`
	// NamespaceLabels are set when the namespace belongs to the component alone.
	NamespaceLabels map[string]string `yaml:"namespaceLabels,omitempty"`
	// DefaultVersion is the one that a component has when its user asks for none; empty means the first of Versions.
	DefaultVersion string `yaml:"defaultVersion,omitempty"`
	// Versions known, newest first.
	Versions []Version `yaml:"versions"`
	// Upgrades are the steps from one version to another that the project tests. The first that is about the wanted version
	// counts; without any, every step goes.
	Upgrades []Upgrade `yaml:"upgrades,omitempty"`
	// Readiness says what tells, beside workloads, that the component works.
	Readiness []Readiness `yaml:"readiness,omitempty"`
	// Awaits are the API groups of kinds that another component's controller defines when it runs. That they are not there yet
	// is waited for, and no failure.
	Awaits []string `yaml:"awaits,omitempty"`
	// Metrics are what of the component serves metrics.
	Metrics []Metrics `yaml:"metrics,omitempty"`
	// Flows are the traffic that pods of workloads have with the component.
	Flows []Flow `yaml:"flows,omitempty"`
	// Omits are objects that the chart renders and that are not installed.
	Omits []ObjectName `yaml:"omits,omitempty"`
	// Transient are Jobs that the chart removes by itself once they are done.
	Transient []ObjectName `yaml:"transient,omitempty"`
}

// ObjectName names an object of a chart.
type ObjectName struct {
	Kind string `yaml:"kind"`
	Name string `yaml:"name"`
}

// Readiness names an object in whose conditions a controller says how it gets on with an object of the release. That one is
// ready when the conditions are as wanted, and say so of its present generation.
type Readiness struct {
	// Group and Version of both objects.
	Group   string `yaml:"group"`
	Version string `yaml:"version"`
	// Of is the kind of the release's object. A release without one is not concerned.
	Of string `yaml:"of"`
	// Kind and Name of the object with the conditions. It belongs to the whole cluster.
	Kind string `yaml:"kind"`
	Name string `yaml:"name"`
	// WantTrue are conditions that have to be True, and WantFalse those that must not be.
	WantTrue  []string `yaml:"wantTrue,omitempty"`
	WantFalse []string `yaml:"wantFalse,omitempty"`
}

// Version is a chart version and what is known about it.
type Version struct {
	// Version of the chart.
	Version string `yaml:"version"`
	// Digest of the chart archive, "sha256:…"; empty when unknown.
	Digest string `yaml:"digest,omitempty"`
	// KubernetesMin and KubernetesMax are the oldest and newest minor versions it is tested with ("1.33"); empty when unknown.
	KubernetesMin string `yaml:"kubernetesMin,omitempty"`
	KubernetesMax string `yaml:"kubernetesMax,omitempty"`
	// Tested says that the tests of this project install it, although upstream states no digest.
	Tested bool `yaml:"tested,omitempty"`
	// Provides is the version of what the chart installs, where that is what users ask for; empty where they ask for the chart's.
	Provides string `yaml:"provides,omitempty"`
}

// Upgrade says from where a version may be reached.
type Upgrade struct {
	// To is a constraint on the wanted versions that are meant, such as ">=3.33"; empty means all.
	To string `yaml:"to,omitempty"`
	// From is a constraint on the installed version; empty means any.
	From string `yaml:"from,omitempty"`
	// MinorsUp and MinorsDown are how many minor versions at a time it may go; unset means any number.
	MinorsUp   *int `yaml:"minorsUp,omitempty"`
	MinorsDown *int `yaml:"minorsDown,omitempty"`
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

// Default is the version for those who ask for none. It is zero when the entry knows no version.
func (e Entry) Default() Version {
	if v, ok := e.Version(e.DefaultVersion); ok {
		return v
	}
	if len(e.Versions) == 0 {
		return Version{}
	}
	return e.Versions[0]
}
