package lifecycle

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
)

// TestGKE has nodes and an agent that look like those of GKE with Dataplane V2: they are recognised by what the caches keep,
// nothing is installed, and the stack is as ready as the agent is.
func TestGKE(t *testing.T) {
	t.Parallel()
	e := newEnv(t, controlplane.Options{Node: controlplane.NodeOptions{
		Labels:   map[string]string{"cloud.google.com/gke-nodepool": "default"},
		Override: func(_ int, node *corev1.Node) { node.Spec.ProviderID = "gce://project/europe-west1-b/" + node.Name },
	}})
	labels := map[string]string{"k8s-app": "cilium"}
	anetd := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "anetd"}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			HostNetwork: true, Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{Name: "cilium-agent", Image: "gke.gcr.io/cilium/cilium:v1.15.6"}},
		}},
	}}
	e.check(e.client.Create(t.Context(), anetd))

	stack := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}}
	stack.Spec.CNI.Type = networkstackv1alpha1.CNIKubenet
	e.mentions(e.tryApply(stack), "spec.cni.type", "kubenet is gone")
	stack.Spec.CNI = networkstackv1alpha1.CNISpec{Type: networkstackv1alpha1.CNIGKE, Encapsulation: networkstackv1alpha1.EncapsulationVXLAN}
	e.mentions(e.tryApply(stack), "spec.cni", "run by the cloud")
	stack.Spec.CNI.Encapsulation, stack.Spec.MTU = "", 1400
	e.apply(stack)
	refused := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if m := findCondition(refused, networkstackv1alpha1.ConditionAccepted).Message; !strings.Contains(m, "spec.mtu") || !strings.Contains(m, "CLOUD-FIELD") {
		t.Errorf("refused with %s", m)
	}

	stack.Spec.MTU = 0
	e.apply(stack)
	ready := e.waitReady(stack.Name)
	f := ready.Status.Facts
	if f.Cloud != "GCP" || f.Distribution != "GKE" || len(f.CNI) != 1 || f.CNI[0].Manager != "GKE" || !f.CNI[0].Available {
		t.Errorf("facts: %s", toJSON(f))
	}
	if m := findCondition(ready, networkstackv1alpha1.ConditionReady).Message; !strings.Contains(m, "available is DaemonSet kube-system/anetd (GKE)") || len(ready.Status.Components) > 0 {
		t.Errorf("ready with %q and %s", m, toJSON(ready.Status.Components))
	}

	image := func(tag string) {
		e.patch(anetd, client.ObjectKeyFromObject(anetd), "gke",
			`{"apiVersion":"apps/v1","kind":"DaemonSet","spec":{"template":{"spec":{"containers":[{"name":"cilium-agent","image":"gke.gcr.io/cilium/cilium:`+tag+`"}]}}}}`)
	}
	image(controlplane.UnpullableImage)
	away := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionReady, metav1.ConditionFalse, networkstackv1alpha1.ReasonNotHealthy)
	if m := findCondition(away, networkstackv1alpha1.ConditionReady).Message; !strings.Contains(m, "DaemonSet kube-system/anetd (GKE)") {
		t.Errorf("not ready with %q", m)
	}
	image("v1.15.7")
	e.waitReady(stack.Name)

	e.check(e.client.Delete(t.Context(), stack))
	e.gone(stack)
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(anetd), anetd))
}
