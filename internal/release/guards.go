package release

import (
	"slices"

	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/releaseutil"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
)

// isGuard says whether objects of a kind limit what a release's accounts may do, policies of admission that is. They are there
// before these accounts have their rights, and go after them. Helm has no place for them in its orders.
func isGuard(kind schema.GroupKind) bool {
	return kind.Group == "admissionregistration.k8s.io" &&
		(kind.Kind == "ValidatingAdmissionPolicy" || kind.Kind == "ValidatingAdmissionPolicyBinding")
}

// guardsFirst puts the guards to the front, and leaves everything else in its order.
func guardsFirst(list kube.ResourceList) kube.ResourceList {
	place := func(i *resource.Info) int {
		if isGuard(i.Mapping.GroupVersionKind.GroupKind()) {
			return 0
		}
		return 1
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *resource.Info) int { return place(a) - place(b) })
	return list
}

// removalPlace is a kind's place in the order of removal: Helm's, with custom resources before the workloads that look after them (a
// negative place), and guards at the end.
func removalPlace(kind schema.GroupKind) int {
	if isGuard(kind) {
		return len(releaseutil.UninstallOrder)
	}
	return slices.Index(releaseutil.UninstallOrder, kind.Kind)
}

// inRemovalOrder sorts by kind, and by names within one.
func inRemovalOrder(list kube.ResourceList) kube.ResourceList {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b *resource.Info) int {
		if d := removalPlace(a.Mapping.GroupVersionKind.GroupKind()) - removalPlace(b.Mapping.GroupVersionKind.GroupKind()); d != 0 {
			return d
		}
		return slices.Compare(
			[]string{a.Mapping.GroupVersionKind.String(), a.Namespace, a.Name},
			[]string{b.Mapping.GroupVersionKind.String(), b.Namespace, b.Name})
	})
	return list
}
