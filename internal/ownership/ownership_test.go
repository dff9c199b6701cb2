package ownership

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

func object(marks ...func(*metav1.ObjectMeta)) metav1.Object {
	m := &metav1.ObjectMeta{Name: "x", Namespace: "kube-system", Labels: map[string]string{}, Annotations: map[string]string{}}
	for _, mark := range marks {
		mark(m)
	}
	return m
}

func label(key, value string) func(*metav1.ObjectMeta) {
	return func(m *metav1.ObjectMeta) { m.Labels[key] = value }
}

func annotation(key, value string) func(*metav1.ObjectMeta) {
	return func(m *metav1.ObjectMeta) { m.Annotations[key] = value }
}

func writtenBy(manager, subresource string) func(*metav1.ObjectMeta) {
	return func(m *metav1.ObjectMeta) {
		m.ManagedFields = append(m.ManagedFields, metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Subresource: subresource})
	}
}

func ownedBy(kind, name string, controller bool) func(*metav1.ObjectMeta) {
	return func(m *metav1.ObjectMeta) {
		m.OwnerReferences = append(m.OwnerReferences, metav1.OwnerReference{Kind: kind, Name: name, Controller: &controller})
	}
}

func helmRelease(name, namespace string) func(*metav1.ObjectMeta) {
	return func(m *metav1.ObjectMeta) {
		label(ManagedByLabel, "Helm")(m)
		annotation(ReleaseNameAnnotation, name)(m)
		annotation(ReleaseNamespaceAnnotation, namespace)(m)
	}
}

func TestOf(t *testing.T) {
	type marks = []func(*metav1.ObjectMeta)
	for _, tc := range []struct {
		name  string
		marks marks
		// manager keeps the object; owner and source are who it belongs to and where it comes from.
		manager, owner, source string
	}{
		{"no mark", nil, "", "", "unknown"},
		{"kubectl apply", marks{writtenBy("kubectl-client-side-apply", ""), writtenBy("kube-controller-manager", "status")}, "", "", "kubectl"},
		{"kubeadm, edited", marks{writtenBy("kubectl-edit", ""), writtenBy("kubeadm", "")}, "", "", "kubeadm"},
		{"somebody", marks{writtenBy("somebody", "")}, "", "", "unknown"},
		{"status does not count", marks{writtenBy("kubectl-edit", "status")}, "", "", "unknown"},
		{"ours", marks{label(networkstackv1alpha1.ComponentLabel, "cilium"), helmRelease("cilium", "kube-system")}, "", "NetworkStack", "NetworkStack"},
		{"Helm", marks{helmRelease("cilium", "kube-system"), writtenBy("helm", "")}, "", "Helm release kube-system/cilium", "Helm release kube-system/cilium"},
		{"helm template", marks{label(ManagedByLabel, "Helm"), writtenBy("kubectl-client-side-apply", "")}, "", "", "kubectl"},

		{"Argo CD annotation", marks{annotation("argocd.argoproj.io/tracking-id", "network:apps/DaemonSet:kube-system/cilium")}, "Argo CD application network", "Argo CD application network", "Argo CD application network"},
		{"Argo CD label", marks{label("argocd.argoproj.io/instance", "network")}, "Argo CD application network", "Argo CD application network", "Argo CD application network"},
		{"Argo CD with the common label", marks{label("app.kubernetes.io/instance", "network"), writtenBy("argocd-controller", "")}, "Argo CD application network", "Argo CD application network", "Argo CD application network"},
		{"Argo CD by manager alone", marks{writtenBy("argocd-controller", "")}, "Argo CD", "Argo CD", "Argo CD"},
		{"the common label alone", marks{label("app.kubernetes.io/instance", "cilium")}, "", "", "unknown"},
		{"an order to Argo CD in a chart", marks{annotation("argocd.argoproj.io/hook", "PreSync"), annotation("argocd.argoproj.io/sync-wave", "1")}, "", "", "unknown"},
		{"Argo CD before Helm", marks{helmRelease("cilium", "kube-system"), annotation("argocd.argoproj.io/tracking-id", "network:x")}, "Argo CD application network", "Argo CD application network", "Argo CD application network"},
		{"Flux Kustomization", marks{label("kustomize.toolkit.fluxcd.io/name", "net"), label("kustomize.toolkit.fluxcd.io/namespace", "flux-system")}, "Flux Kustomization flux-system/net", "Flux Kustomization flux-system/net", "Flux Kustomization flux-system/net"},
		{"Flux HelmRelease before Helm", marks{helmRelease("cilium", "kube-system"), label("helm.toolkit.fluxcd.io/name", "cilium"), label("helm.toolkit.fluxcd.io/namespace", "flux-system")}, "Flux HelmRelease flux-system/cilium", "Flux HelmRelease flux-system/cilium", "Flux HelmRelease flux-system/cilium"},
		{"Flux by manager", marks{writtenBy("kustomize-controller", "")}, "Flux", "Flux", "Flux"},
		{"Config Sync", marks{annotation("configmanagement.gke.io/managed", "enabled")}, "Config Sync", "Config Sync", "Config Sync"},
		{"kapp", marks{label("kapp.k14s.io/app", "1")}, "kapp", "kapp", "kapp"},
		{"EKS label", marks{label("eks.amazonaws.com/component", "kube-proxy")}, "EKS add-on", "EKS add-on", "EKS add-on"},
		{"EKS field manager", marks{writtenBy("eks", "")}, "EKS add-on", "EKS add-on", "EKS add-on"},
		{"GKE", marks{annotation("components.gke.io/component-name", "netd")}, "GKE", "GKE", "GKE"},
		{"AKS", marks{label("kubernetes.azure.com/managedby", "aks")}, "AKS", "AKS", "AKS"},
		{"add-on manager", marks{label("addonmanager.kubernetes.io/mode", "Reconcile")}, "the cloud's add-on manager", "the cloud's add-on manager", "the cloud's add-on manager"},
		{"k3s label", marks{label("objectset.rio.cattle.io/hash", "0123")}, "k3s or RKE2", "k3s or RKE2", "k3s or RKE2"},
		{"k3s annotation", marks{annotation("objectset.rio.cattle.io/owner-name", "x")}, "k3s or RKE2", "k3s or RKE2", "k3s or RKE2"},
		{"k3s chart controller", marks{annotation("helm.cattle.io/chart-url", "x")}, "k3s or RKE2", "k3s or RKE2", "k3s or RKE2"},
		{"RKE2 chart", marks{helmRelease("rke2-cilium", "kube-system")}, "RKE2 (chart rke2-cilium)", "RKE2 (chart rke2-cilium)", "RKE2 (chart rke2-cilium)"},
		{"kOps", marks{label("addon.kops.k8s.io/name", "networking.flannel")}, "kOps", "kOps", "kOps"},
		{"Talos", marks{writtenBy("talos", "")}, "Talos", "Talos", "Talos"},
		{"OLM", marks{label("olm.owner", "cilium.v1")}, "Operator Lifecycle Manager (cilium.v1)", "Operator Lifecycle Manager (cilium.v1)", "Operator Lifecycle Manager (cilium.v1)"},
		{"a controller", marks{ownedBy("ConfigMap", "a", false), ownedBy("Network", "cluster", true)}, "Network cluster", "Network cluster", "Network cluster"},
		{"an owner", marks{ownedBy("Installation", "default", false)}, "Installation default", "Installation default", "Installation default"},
		{"managed by somebody", marks{label(ManagedByLabel, "tigera-operator")}, "tigera-operator", "tigera-operator", "tigera-operator"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := Of(object(tc.marks...))
			if m.Manager != tc.manager || m.Owner() != tc.owner || m.Source() != tc.source {
				t.Errorf("manager %q, owner %q, source %q", m.Manager, m.Owner(), m.Source())
			}
			if (m.Manager != "") != (m.Remedy != "") {
				t.Errorf("manager %q with remedy %q", m.Manager, m.Remedy)
			}
		})
	}
}

func TestIsInstaller(t *testing.T) {
	fields := func(text string) *metav1.FieldsV1 {
		f := &metav1.FieldsV1{}
		f.SetRawBytes([]byte(text))
		return f
	}
	for _, tc := range []struct {
		name  string
		entry metav1.ManagedFieldsEntry
		want  bool
	}{
		{"kubectl apply", metav1.ManagedFieldsEntry{Manager: "kubectl-client-side-apply"}, true},
		{"kubectl edit", metav1.ManagedFieldsEntry{Manager: "kubectl-edit"}, true},
		{"kubeadm", metav1.ManagedFieldsEntry{Manager: "kubeadm"}, true},
		{"the status of something", metav1.ManagedFieldsEntry{Manager: "kubectl-edit", Subresource: "status"}, false},
		{"scale", metav1.ManagedFieldsEntry{Manager: "kubectl", Subresource: "scale"}, false},
		{"rollout restart", metav1.ManagedFieldsEntry{Manager: "kubectl-rollout"}, false},
		{"a controller", metav1.ManagedFieldsEntry{Manager: "kube-controller-manager", FieldsV1: fields(`{"f:metadata":{}}`)}, false},
		{"Cilium's operator", metav1.ManagedFieldsEntry{Manager: "cilium-operator-generic"}, false},
		{"a program with Helm in it", metav1.ManagedFieldsEntry{Manager: "deployer", FieldsV1: fields(`{"f:metadata":{"f:annotations":{"f:meta.helm.sh/release-name":{}}}}`)}, true},
		{"a program with kubectl in it", metav1.ManagedFieldsEntry{Manager: "deployer", FieldsV1: fields(`{"f:metadata":{"f:annotations":{"f:kubectl.kubernetes.io/last-applied-configuration":{}}}}`)}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := IsInstaller(&tc.entry); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
