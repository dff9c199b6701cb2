package compose

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// Keys by which namespaces are in a mesh.
const (
	istioRevision      = "istio.io/rev"
	istioInjection     = "istio-injection"
	istioDataplaneMode = "istio.io/dataplane-mode"
	linkerdInject      = "linkerd.io/inject"
)

// meshLabels are the labels, and linkerdInject is the annotation, by which somebody says of a namespace whether it is in a mesh.
var meshLabels = []string{istioRevision, istioInjection, istioDataplaneMode, consulInject}

// neverEnrolled are the cluster's own namespaces. What is in kube-system has to work before a mesh does.
var neverEnrolled = []string{metav1.NamespaceSystem, metav1.NamespacePublic, "kube-node-lease"}

// Enrolment is which namespaces are to be in a mesh, and by what. The zero value has none in any.
type Enrolment struct {
	// Mesh is the value of the label on namespaces that were enrolled here.
	Mesh string
	// Selector selects namespaces; nil selects none.
	Selector *metav1.LabelSelector
	// Labels and Annotations enrol a namespace.
	Labels, Annotations map[string]string
	// Never are namespaces that are not enrolled, beside the cluster's own.
	Never []string
	// After are components that have to be Ready before a namespace is enrolled, or gets another label.
	After []string
}

// NamespaceChange is what to do with one namespace.
type NamespaceChange struct {
	Name string
	UID  types.UID
	// Labels and Annotations to have; both empty when it is to leave the mesh.
	Labels, Annotations map[string]string
	// Enrolled says that it is enrolled here already, so that what it has is ours to change.
	Enrolled bool
}

// Leaves says whether the namespace leaves the mesh.
func (c NamespaceChange) Leaves() bool { return len(c.Labels)+len(c.Annotations) == 0 }

// Judge says which namespaces are to change, and which are selected and stay as they are, because they say something of a mesh
// themselves.
func (e Enrolment) Judge(namespaces []facts.Namespace) (changes []NamespaceChange, skipped []string) {
	selector := labels.Nothing()
	if e.Selector != nil {
		if s, err := metav1.LabelSelectorAsSelector(e.Selector); err == nil {
			selector = s
		}
	}
	for i := range namespaces {
		n := &namespaces[i]
		never := slices.Contains(neverEnrolled, n.Name) || slices.Contains(e.Never, n.Name)
		wanted := !never && !n.Terminating && selector.Matches(labels.Set(n.Labels))
		switch {
		case wanted && !n.Enrolled() && saysItself(n):
			skipped = append(skipped, n.Name)
		case wanted && !e.has(n):
			changes = append(changes, NamespaceChange{
				Name: n.Name, UID: n.UID, Labels: e.labels(), Annotations: maps.Clone(e.Annotations), Enrolled: n.Enrolled(),
			})
		case !wanted && n.Enrolled() && !n.Terminating:
			changes = append(changes, NamespaceChange{Name: n.Name, UID: n.UID, Enrolled: true})
		}
	}
	return changes, skipped
}

// CountEnrolled is how many namespaces are in a mesh by the operator.
func CountEnrolled(namespaces []facts.Namespace) int {
	count := 0
	for i := range namespaces {
		if namespaces[i].Enrolled() {
			count++
		}
	}
	return count
}

// labels are those that enrol, and the one that says who did it.
func (e Enrolment) labels() map[string]string {
	out := map[string]string{networkstackv1alpha1.MeshLabel: e.Mesh}
	maps.Copy(out, e.Labels)
	return out
}

// has says whether a namespace is as an enrolled one is, with nothing that says otherwise.
func (e Enrolment) has(n *facts.Namespace) bool {
	for key, value := range e.labels() {
		if n.Labels[key] != value {
			return false
		}
	}
	return n.LinkerdInject == e.Annotations[linkerdInject] || e.Annotations == nil
}

// saysItself says whether somebody has said of a namespace whether it is in a mesh.
func saysItself(n *facts.Namespace) bool {
	return n.LinkerdInject != "" || slices.ContainsFunc(meshLabels, func(key string) bool { _, has := n.Labels[key]; return has })
}
