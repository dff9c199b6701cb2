package release

import (
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

// ownership is whose a live object is.
type ownership int

const (
	ours    ownership = iota // this release's, or this component's without a release
	nobodys                  // nobody has put a mark on it
	foreign                  // another release's, component's or controller's
)

// ownerOf says whose a live object is, and who that is in words.
//
// Helm's marks count first: whoever they name would delete the object on uninstall. An object with
// only our component's label was applied by an attempt that left no record. A
// CustomResourceDefinition under crds/ has no Helm marks and may be shared by components.
func (s *session) ownerOf(live metav1.Object, gk schema.GroupKind) (ownership, string) {
	component := live.GetLabels()[v1alpha1.ComponentLabel]
	a := live.GetAnnotations()
	name, namespace := a[releaseNameAnnotation], a[releaseNamespaceAnnotation]
	switch {
	case name != "" && (name != s.marks.release || namespace != s.marks.namespace):
		return foreign, "Helm release " + namespace + "/" + name
	case name != "" && (component == "" || component == s.marks.component):
		return ours, ""
	case component != "" && (component == s.marks.component || isCRD(gk)):
		return ours, ""
	case component != "":
		return foreign, "component " + component
	}
	if c := metav1.GetControllerOf(live); c != nil {
		return foreign, c.Kind + " " + c.Name
	}
	var managers []string
	for _, f := range live.GetManagedFields() {
		if f.Subresource == "" && !slices.Contains(managers, f.Manager) {
			managers = append(managers, f.Manager)
		}
	}
	if len(managers) == 0 {
		return nobodys, "nobody that left a mark"
	}
	return nobodys, "whoever made it (field managers: " + strings.Join(managers, ", ") + ")"
}

// checkOwners looks at every object that earlier revisions of this release don't name and refuses
// those that are there already and not ours. Afterwards the release may be recorded: whatever it
// names may be deleted with it.
func (s *session) checkOwners(list kube.ResourceList) error {
	var fresh kube.ResourceList
	for _, i := range list {
		// CRDs have rules of their own; see planCRD.
		if s.previous[infoKey(i)] == nil && i.Name != "" && !isCRD(i.Mapping.GroupVersionKind.GroupKind()) {
			fresh = append(fresh, i)
		}
	}
	return s.collect(inParallel(s, fresh, func(i *resource.Info) error {
		live, err := s.heads(i.Mapping, i.Namespace).Get(s.ctx, i.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return objectError("get", infoObject(i), err)
		}
		who, owner := s.ownerOf(live, i.Mapping.GroupVersionKind.GroupKind())
		if who == ours {
			return nil
		}
		return s.conflict(infoObject(i), who, owner)
	}))
}

func (s *session) conflict(o Object, who ownership, owner string) error {
	c := &ConflictError{Release: s.id(), Object: o, Owner: owner}
	switch {
	case who == nobodys:
		target := strings.ToLower(o.GVK.Kind)
		if o.GVK.Group != "" {
			target += "." + o.GVK.Group
		}
		namespace := ""
		if o.Namespace != "" {
			namespace = " --namespace " + o.Namespace
		}
		c.Remedy = fmt.Sprintf("delete it, or hand it over with: kubectl label%s %s %s %s=%s",
			namespace, target, o.Name, v1alpha1.ComponentLabel, s.marks.component)
	case strings.HasPrefix(owner, "Helm release "):
		c.Remedy = "uninstall that release, or remove the object from it first"
	default:
		c.Remedy = "remove it there first"
	}
	return c
}
