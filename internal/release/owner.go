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
	"github.com/networkstack/networkstack/internal/ownership"
)

// whose says whose a live object is.
type whose int

const (
	ours    whose = iota // this release's, or this component's without a release
	nobodys              // nobody has put a mark on it
	foreign              // another release's, component's or controller's
)

// owner is who a live object belongs to in words, and what a person can do about it; the latter only when there is
// something that not every owner has in common.
type owner struct{ who, remedy string }

// ownerOf says whose a live object is, and who that is in words.
//
// An object with our component's label is ours unless Helm's marks name another release: whoever they name would delete
// the object on uninstall. One with only the label was applied by an attempt that left no record. A
// CustomResourceDefinition under crds/ has no Helm marks and may be shared by components.
func (s *session) ownerOf(live metav1.Object, gk schema.GroupKind) (whose, owner) {
	m := ownership.Of(live)
	ourRelease := m.ReleaseName == s.marks.release && m.ReleaseNamespace == s.marks.namespace
	switch {
	case m.Component != s.marks.component && m.Manager != "" && (m.Component == "" || !isCRD(gk)):
		return foreign, owner{m.Manager, m.Remedy}
	case m.ReleaseName != "" && !ourRelease:
		return foreign, owner{"Helm release " + m.ReleaseNamespace + "/" + m.ReleaseName, ""}
	case m.ReleaseName != "" && (m.Component == "" || m.Component == s.marks.component):
		return ours, owner{}
	case m.Component != "" && (m.Component == s.marks.component || isCRD(gk)):
		return ours, owner{}
	case m.Component != "":
		return foreign, owner{"component " + m.Component, ""}
	}
	var managers []string
	for _, f := range live.GetManagedFields() {
		if f.Subresource == "" && !slices.Contains(managers, f.Manager) {
			managers = append(managers, f.Manager)
		}
	}
	if len(managers) == 0 {
		return nobodys, owner{"nobody that left a mark", ""}
	}
	return nobodys, owner{"whoever made it (field managers: " + strings.Join(managers, ", ") + ")", ""}
}

// checkOwners looks at every object that earlier revisions of this release don't name and refuses those that are there
// already and not ours, unless they are nobody's and may be adopted. Afterwards the release may be recorded: whatever it
// names may be deleted with it.
//
// A release that somebody else made is looked at as a whole, what it would lose included: its marks of Helm's say nothing
// about who runs Helm.
func (s *session) checkOwners(list kube.ResourceList) error {
	var fresh kube.ResourceList
	for _, i := range list {
		// CRDs have rules of their own; see planCRD.
		if i.Name == "" || isCRD(i.Mapping.GroupVersionKind.GroupKind()) {
			continue
		}
		if s.claiming || s.previous[infoKey(i)] == nil {
			fresh = append(fresh, i)
		}
	}
	if s.claiming {
		rendered := map[key]bool{}
		for _, i := range list {
			rendered[infoKey(i)] = true
		}
		for k, i := range s.previous {
			if !rendered[k] && !isCRD(i.Mapping.GroupVersionKind.GroupKind()) {
				fresh = append(fresh, i)
			}
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
		if who == foreign || who == nobodys && !s.adopt {
			return s.conflict(infoObject(i), who, owner)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.known[infoKey(i)] = live
		return nil
	}))
}

func (s *session) conflict(o Object, who whose, owner owner) error {
	c := &ConflictError{Release: s.id(), Object: o, Owner: owner.who, Adoptable: who == nobodys}
	switch {
	case owner.remedy != "":
		c.Remedy = owner.remedy
	case who == nobodys:
		target := strings.ToLower(o.GVK.Kind)
		if o.GVK.Group != "" {
			target += "." + o.GVK.Group
		}
		namespace := ""
		if o.Namespace != "" {
			namespace = " --namespace " + o.Namespace
		}
		c.Remedy = fmt.Sprintf("set spec.adoption to Adopt to take it over, delete it, or hand it over with: kubectl label%s %s %s %s=%s",
			namespace, target, o.Name, v1alpha1.ComponentLabel, s.marks.component)
	case strings.HasPrefix(owner.who, "Helm release "):
		c.Remedy = "uninstall that release, or remove the object from it first"
	default:
		c.Remedy = "remove it there first"
	}
	return c
}
