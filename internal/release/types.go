package release

import (
	"time"

	"github.com/go-logr/logr"
	"helm.sh/helm/v3/pkg/chart"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/networkstack/networkstack/internal/ignore"
)

// InputsLabel is on every release record the engine writes; its value is Engine.Inputs of the Spec
// the revision was rendered from.
const InputsLabel = "networkstack.io/inputs"

// revisionLabel is beside InputsLabel and holds the number of the revision that the inputs are those of. Helm's own tool
// copies the labels of a record to the revisions it makes.
const revisionLabel = "networkstack.io/revision"

// Spec is a release as it should be.
type Spec struct {
	// Component is the value of the label networkstack.io/component on everything of this release.
	Component string
	// Name and Namespace are those of the Helm release.
	Name, Namespace string
	// NamespaceLabels, when not nil, has the namespace created with these labels before anything
	// else. A namespace that exists already gets the labels and stays somebody else's.
	NamespaceLabels map[string]string
	// Chart is what to render. It is read only: what Helm changes while rendering is copied first.
	Chart *chart.Chart
	// ChartDigest identifies the chart's content. Left empty it is computed from the chart.
	ChartDigest string
	// Values are the complete user-supplied values. Values of earlier revisions are never reused.
	Values map[string]any
	// Adopt takes over what is there already and nobody looks after: a release that somebody installed with Helm's command
	// line, and objects that carry no mark of another manager's. It is no part of the inputs.
	Adopt bool
	// ImageRegistry, when set, replaces the registry host of every container image.
	ImageRegistry string
	// Omit are objects that the chart renders and that are left out of the release. Its CustomResourceDefinitions are never meant.
	Omit []ObjectName
	// Transient are objects that somebody removes once they have done their work, such as a Job that a hook cleans up.
	Transient []ObjectName
	// Rules say which fields others may change. Those that somebody else has taken are left to him.
	Rules ignore.Rules
	// Waiting, when set, is told when the action waits for the cluster.
	Waiting Waiting
	// Replacement says which objects may be replaced to change fields that cannot be changed. Left out, ReplacementSafe.
	Replacement ReplacementPolicy
	// Announce, when set, is told of every replacement before anything is deleted.
	Announce func(Replacement)
}

// ObjectName names an object of a chart.
type ObjectName struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// State is what Helm's storage says about a release. The zero State means there is none.
type State struct {
	// Exists says that at least one revision is recorded.
	Exists bool
	// Revision is the number of the newest revision.
	Revision int
	// Status is Helm's status of that revision: deployed, failed, pending-install, ….
	Status string
	// Inputs is the digest the revision was rendered from, empty when somebody else made it.
	Inputs string
	// ChartName, ChartVersion and AppVersion are those of the recorded chart.
	ChartName, ChartVersion, AppVersion string
	// Ours says that the record carries a label of ours.
	Ours bool
	// Component is the component the record says it belongs to.
	Component string
}

// Object names an object in the cluster.
type Object struct {
	GVK             schema.GroupVersionKind
	Namespace, Name string
}

// String is the object as a person would say it, for example "DaemonSet kube-system/cilium".
func (o Object) String() string {
	if o.Namespace == "" {
		return o.GVK.Kind + " " + o.Name
	}
	return o.GVK.Kind + " " + o.Namespace + "/" + o.Name
}

// Applied is an object as the API server had it right after it was applied.
type Applied struct {
	Object               Object
	ResourceVersion, UID string
	// Fingerprint is that of the object, see the function of this name.
	Fingerprint string
	// Generation of the object; 0 for kinds that have none.
	Generation int64
	// Open says that the object was looked at and left although it differs, or although somebody else holds a field of it,
	// so that its next change may leave no trace in our entry. Traces then are those of the object, see the function.
	Open   bool
	Traces string
	// Transient says that the object is removed when it is done, by the cluster or by the chart itself: that it is gone is no drift.
	Transient bool
	// Unlabelled says that the object was left without the component's label, by which it is watched.
	Unlabelled bool
}

// Outcome is what Apply achieved.
type Outcome struct {
	State State
	// Objects are all objects of the release, without hooks and without files under crds/. CRDs that were kept because they
	// are newer or another component's are not among them.
	Objects []Applied
	// Manifest is what was applied; nil after an error.
	Manifest *Manifest
	// CRDs are all CustomResourceDefinitions of the chart, under crds/ and rendered, and what became of them.
	CRDs []AppliedCRD
	// Replaced are the objects that gave way to new ones of their name.
	Replaced []Replacement
}

// Options configure an Engine. Zero values mean the defaults.
type Options struct {
	// FieldManager owns the applied fields. Default: v1alpha1.FieldManager.
	FieldManager string
	// MaxHistory is how many revisions are kept per release. Default: 5. Failed revisions that
	// name objects no other revision names are kept beyond it (up to four times as many), because
	// they are needed to clean those objects up.
	MaxHistory int
	// Concurrency is how many objects of one kind are applied at a time. Default: 8.
	Concurrency int
	// HookTimeout bounds the wait for one hook. Default: 5 minutes.
	HookTimeout time.Duration
	// Logger receives what the engine has to say. Default: nothing is logged.
	Logger logr.Logger
}
