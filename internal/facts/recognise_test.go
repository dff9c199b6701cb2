package facts

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// daemonSet has one container beside those named, as agents with sidecars do.
func daemonSet(namespace, name string, containers ...string) *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	pod := &ds.Spec.Template.Spec
	pod.Containers = []corev1.Container{{Name: "sidecar", Image: "example.com/sidecar:1"}}
	for _, c := range containers {
		pod.Containers = append(pod.Containers, corev1.Container{Name: c, Image: "example.com/" + c + ":1"})
	}
	return ds
}

func TestRecogniseType(t *testing.T) {
	for _, tc := range []struct {
		daemonSet, container string
		want                 InstalledType
	}{
		{"kube-flannel-ds", "kube-flannel", InstalledFlannel},
		{"kube-flannel", "kube-flannel", InstalledFlannel},
		{"cilium", "cilium-agent", InstalledCilium},
		{"calico-node", "calico-node", InstalledCalico},
		{"canal", "calico-node", InstalledCalico},
		{"weave-net", "weave", InstalledWeaveNet},
		{"aws-node", "aws-node", InstalledAWSVPC},
		{"azure-cns", "cns-container", InstalledAzureCNI},
		{"azure-ip-masq-agent", "azure-ip-masq-agent", InstalledAzureMasquerade},
		{"netd", "netd", InstalledGKENetd},
		{"antrea-agent", "antrea-agent", InstalledAntrea},
		{"kube-router", "kube-router", InstalledKubeRouter},
		{"ovnkube-node", "ovn-controller", InstalledOVN},
		{"kube-proxy", "kube-proxy", InstalledKubeProxy},
		{"kube-multus-ds", "kube-multus", InstalledMultus},
		{"whereabouts", "whereabouts", InstalledWhereabouts},
		// The name alone is anybody's.
		{"kube-flannel-ds", "node-exporter", ""},
		{"cilium", "cilium-envoy", ""},
		{"kube-proxy", "kube-proxy-metrics", ""},
		{"kube-router", "", ""},
		// So is the container alone.
		{"my-proxy", "kube-proxy", ""},
		{"cilium-copy", "cilium-agent", ""},
		{"canal", "kube-flannel", ""},
		{"kube-multus-ds", "multus", ""},
	} {
		t.Run(tc.daemonSet+"/"+tc.container, func(t *testing.T) {
			ds := daemonSet("somewhere", tc.daemonSet)
			if tc.container != "" {
				ds = daemonSet("somewhere", tc.daemonSet, tc.container)
			}
			got, ok := recognise(ds)
			if tc.want == "" {
				if ok {
					t.Fatalf("recognised as %s", got.Type)
				}
				return
			}
			want := Installed{Type: tc.want, Namespace: "somewhere", Name: tc.daemonSet, Image: "example.com/" + tc.container + ":1", Source: "unknown"}
			if keeper := map[InstalledType]string{InstalledAzureCNI: "AKS", InstalledAzureMasquerade: "AKS", InstalledGKENetd: "GKE"}[tc.want]; keeper != "" {
				want.Manager, want.Source, want.Kept = keeper, keeper, true
			}
			if diff := cmp.Diff(want, got); !ok || diff != "" {
				t.Errorf("recognised: %v (-want +got):\n%s", ok, diff)
			}
		})
	}
}

// TestRecogniseOpenShiftMultus wants OpenShift's Multus to be known as kept.
func TestRecogniseOpenShiftMultus(t *testing.T) {
	got, ok := recognise(daemonSet("openshift-multus", "multus", "kube-multus"))
	if !ok || got.Type != InstalledMultus || !got.Kept || got.Manager != "OpenShift" {
		t.Errorf("recognised %v as %+v", ok, got)
	}
}

// TestRecogniseDataplaneV2 wants GKE's Cilium to be known as kept, even if its marks change.
func TestRecogniseDataplaneV2(t *testing.T) {
	ds := daemonSet("kube-system", "anetd", "cilium-agent")
	for _, labels := range []map[string]string{nil, {"addonmanager.kubernetes.io/mode": "Reconcile"}} {
		ds.Labels = labels
		if got, ok := recognise(ds); !ok || got.Type != InstalledCilium || !got.Kept || got.Manager == "" || got.Source == "unknown" {
			t.Errorf("with labels %v: recognised %v as %+v", labels, ok, got)
		}
	}
}

func TestRecogniseManager(t *testing.T) {
	helm := map[string]string{"meta.helm.sh/release-name": "cilium", "meta.helm.sh/release-namespace": "kube-system"}
	managedByHelm := map[string]string{"app.kubernetes.io/managed-by": "Helm"}
	fluxHelm := map[string]string{"helm.toolkit.fluxcd.io/name": "cilium", "helm.toolkit.fluxcd.io/namespace": "flux-system"}
	fluxKustomize := map[string]string{"kustomize.toolkit.fluxcd.io/name": "net", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
	argo := map[string]string{"argocd.argoproj.io/tracking-id": "network:apps/DaemonSet:kube-system/cilium"}
	ours := map[string]string{networkstackv1alpha1.ComponentLabel: "cilium"}

	for _, tc := range []struct {
		name                string
		labels, annotations map[string]string
		want                string
		component           string
	}{
		{name: "no mark"},
		{name: "ours", labels: ours, want: "NetworkStack", component: "cilium"},
		// Our objects carry Helm's marks as well.
		{name: "ours before Helm", labels: merge(ours, managedByHelm), annotations: helm, want: "NetworkStack", component: "cilium"},
		{name: "Argo CD", annotations: argo, want: "Argo CD application network"},
		{name: "Argo CD before Helm", labels: managedByHelm, annotations: merge(argo, helm), want: "Argo CD application network"},
		{name: "Flux Kustomization", labels: fluxKustomize, want: "Flux Kustomization flux-system/net"},
		{name: "Flux HelmRelease before Helm", labels: merge(fluxHelm, managedByHelm), annotations: helm, want: "Flux HelmRelease flux-system/cilium"},
		{name: "add-on manager", labels: map[string]string{"addonmanager.kubernetes.io/mode": "Reconcile"}, want: "the cloud's add-on manager"},
		{name: "EKS", labels: merge(map[string]string{"eks.amazonaws.com/component": "kube-proxy"}, managedByHelm), want: "EKS add-on"},
		{name: "k3s by label", labels: map[string]string{"objectset.rio.cattle.io/hash": "0123"}, want: "k3s or RKE2"},
		{name: "k3s by annotation", annotations: merge(helm, map[string]string{"objectset.rio.cattle.io/owner-name": "rke2-cilium"}), want: "k3s or RKE2"},
		{name: "Helm", labels: managedByHelm, annotations: helm, want: "Helm release kube-system/cilium"},
		{name: "managed by somebody", labels: map[string]string{"app.kubernetes.io/managed-by": "tigera-operator"}, want: "tigera-operator"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ds := daemonSet("kube-system", "cilium", "cilium-agent")
			ds.Labels, ds.Annotations = tc.labels, tc.annotations
			got, ok := recognise(ds)
			kept := tc.want != "" && tc.component == "" && !strings.HasPrefix(tc.want, "Helm release")
			if got.Kept != kept {
				t.Errorf("kept by its manager: %v", got.Kept)
			}
			if !ok || got.Manager != tc.want || got.Component != tc.component {
				t.Errorf("manager %q, component %q (recognised: %v); want %q, %q", got.Manager, got.Component, ok, tc.want, tc.component)
			}
		})
	}
}

func merge(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

func TestRecogniseParked(t *testing.T) {
	for _, tc := range []struct {
		name     string
		selector map[string]string
		want     bool
	}{
		{"no selector", nil, false},
		{"kubeadm's selector", map[string]string{corev1.LabelOSStable: "linux"}, false},
		{"parked", map[string]string{corev1.LabelOSStable: "linux", ParkedNodeSelector: "true"}, true},
		// Whatever the value, no node has the label.
		{"parked with another value", map[string]string{ParkedNodeSelector: ""}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ds := daemonSet("kube-system", "kube-proxy", "kube-proxy")
			ds.Spec.Template.Spec.NodeSelector = tc.selector
			if got, ok := recognise(ds); !ok || got.Parked != tc.want {
				t.Errorf("parked: %v (recognised: %v); want %v", got.Parked, ok, tc.want)
			}
		})
	}
}
