// Package ownership reads from an object's metadata whose it is: the marks that managers leave on what they keep,
// Helm's marks, and who wrote its fields. It is pure.
package ownership

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// The marks that Helm leaves on the objects of a release.
const (
	ManagedByLabel             = "app.kubernetes.io/managed-by"
	ManagedByHelm              = "Helm"
	ReleaseNameAnnotation      = "meta.helm.sh/release-name"
	ReleaseNamespaceAnnotation = "meta.helm.sh/release-namespace"
)

// Mark is what an object's metadata says about who it belongs to.
type Mark struct {
	// Component is the component of ours whose label the object has.
	Component string
	// ReleaseName and ReleaseNamespace are those of the Helm release that the object is part of.
	ReleaseName, ReleaseNamespace string
	// Manager is who keeps the object as they want it, in words, such as "Argo CD application network". What has a
	// manager is never taken over: the two would undo each other's work for ever.
	Manager string
	// Remedy is what a person can do about the manager.
	Remedy string
	// Installer is who made the object once and left it, such as "kubeadm" or "kubectl"; empty when nobody can tell.
	Installer string
}

// Owner is whoever the object belongs to in words; empty when there is no mark. The order matters: a manager that runs
// Helm is the one to talk to, not Helm.
func (m Mark) Owner() string {
	switch {
	case m.Component != "":
		return "NetworkStack"
	case m.Manager != "":
		return m.Manager
	case m.ReleaseName != "":
		return "Helm release " + m.ReleaseNamespace + "/" + m.ReleaseName
	}
	return ""
}

// Source is where the object comes from in words, for a report.
func (m Mark) Source() string {
	return cmp.Or(m.Owner(), m.Installer, "unknown")
}

// Of reads the marks on an object. Of managed fields it needs the managers' names alone.
func Of(obj metav1.Object) Mark {
	a := obj.GetAnnotations()
	m := Mark{
		Component:        obj.GetLabels()[networkstackv1alpha1.ComponentLabel],
		ReleaseName:      a[ReleaseNameAnnotation],
		ReleaseNamespace: a[ReleaseNamespaceAnnotation],
		Installer:        installerOf(obj),
	}
	for _, r := range recognisers {
		if who := r.who(obj); who != "" {
			m.Manager, m.Remedy = who, r.remedy
			break
		}
	}
	return m
}

// recogniser tells one manager by its marks.
type recogniser struct {
	who    func(metav1.Object) string
	remedy string
}

const (
	remedyGitOps  = "remove it there first, without pruning it"
	remedyCloud   = "remove the add-on there first, keeping its resources"
	remedyCluster = "disable it in the configuration of the cluster's nodes first"
	remedyOwner   = "remove it there first"
)

// recognisers are the managers that are known, the most telling first.
var recognisers = []recogniser{
	{argoCD, remedyGitOps},
	{flux("kustomize.toolkit.fluxcd.io", "Kustomization"), remedyGitOps},
	{flux("helm.toolkit.fluxcd.io", "HelmRelease"), remedyGitOps},
	{byManager("Flux", "kustomize-controller", "helm-controller"), remedyGitOps},
	{byKey("Config Sync", "configsync.gke.io/", "configmanagement.gke.io/"), remedyGitOps},
	{byKey("kapp", "kapp.k14s.io/app"), remedyGitOps},
	{byKey("EKS add-on", "eks.amazonaws.com/component"), remedyCloud},
	{byManager("EKS add-on", "eks"), remedyCloud},
	{byKey("GKE", "components.gke.io/"), remedyCloud},
	{byKey("AKS", "kubernetes.azure.com/managedby"), remedyCloud},
	{byKey("the cloud's add-on manager", "addonmanager.kubernetes.io/mode"), remedyCloud},
	{byKey("k3s or RKE2", "objectset.rio.cattle.io/", "helm.cattle.io/"), remedyCluster},
	{rke2, remedyCluster},
	{byKey("kOps", "addon.kops.k8s.io/name"), remedyCluster},
	{byManager("Talos", "talos"), remedyCluster},
	{olm, remedyOwner},
	{reference, remedyOwner},
	{managedBy, remedyOwner},
}

// argoCD tracks by an annotation or a label of its own, or by the label app.kubernetes.io/instance, which charts set as
// well: that one counts only together with Argo CD's field manager. Other annotations of Argo CD's are orders to it,
// which charts carry along, and say nothing about whose the object is.
func argoCD(obj metav1.Object) string {
	const who = "Argo CD application "
	l := obj.GetLabels()
	if id := obj.GetAnnotations()["argocd.argoproj.io/tracking-id"]; id != "" {
		app, _, _ := strings.Cut(id, ":")
		return who + app
	}
	if app := l["argocd.argoproj.io/instance"]; app != "" {
		return who + app
	}
	if byManager("Argo CD", "argocd-controller", "argocd-application-controller")(obj) == "" {
		return ""
	}
	if app := l["app.kubernetes.io/instance"]; app != "" {
		return who + app
	}
	return "Argo CD"
}

func flux(prefix, kind string) func(metav1.Object) string {
	return func(obj metav1.Object) string {
		l := obj.GetLabels()
		if name := l[prefix+"/name"]; name != "" {
			return "Flux " + kind + " " + l[prefix+"/namespace"] + "/" + name
		}
		return ""
	}
}

// rke2 names the releases of the charts it carries so; the objects have no other mark.
func rke2(obj metav1.Object) string {
	if name := obj.GetAnnotations()[ReleaseNameAnnotation]; strings.HasPrefix(name, "rke2-") {
		return "RKE2 (chart " + name + ")"
	}
	return ""
}

func olm(obj metav1.Object) string {
	if owner := obj.GetLabels()["olm.owner"]; owner != "" {
		return "Operator Lifecycle Manager (" + owner + ")"
	}
	return ""
}

// reference is the owner that the garbage collector knows; the controller when there are several.
func reference(obj metav1.Object) string {
	if c := metav1.GetControllerOfNoCopy(obj); c != nil {
		return c.Kind + " " + c.Name
	}
	if refs := obj.GetOwnerReferences(); len(refs) > 0 {
		return refs[0].Kind + " " + refs[0].Name
	}
	return ""
}

// managedBy is the common label. Helm's value of it counts for nothing by itself: helm template leaves it too.
func managedBy(obj metav1.Object) string {
	if by := obj.GetLabels()[ManagedByLabel]; by != ManagedByHelm {
		return by
	}
	return ""
}

// byKey finds a label or annotation: by its name, or by a prefix that ends in "/".
func byKey(who string, keys ...string) func(metav1.Object) string {
	return func(obj metav1.Object) string {
		for _, m := range []map[string]string{obj.GetLabels(), obj.GetAnnotations()} {
			for key := range m {
				for _, k := range keys {
					if key == k || strings.HasSuffix(k, "/") && strings.HasPrefix(key, k) {
						return who
					}
				}
			}
		}
		return ""
	}
}

// byManager finds a field manager of the object itself.
func byManager(who string, managers ...string) func(metav1.Object) string {
	return func(obj metav1.Object) string {
		for _, f := range obj.GetManagedFields() {
			if f.Subresource == "" && slices.Contains(managers, f.Manager) {
				return who
			}
		}
		return ""
	}
}
