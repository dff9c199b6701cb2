package facts

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

func TestExamine(t *testing.T) {
	ds := daemonSet("kube-system", "kube-proxy", "kube-proxy")
	ds.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Operator: "Exists"}}
	ds.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-proxy"}, Data: map[string]string{"config.conf": "x"}}
	cilium := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "cilium-config"}, Data: map[string]string{
		CiliumSocketLBKey: "true", "cluster-name": "a",
	}}
	ours := cm.DeepCopy()
	ours.Labels = map[string]string{networkstackv1alpha1.ComponentLabel: "kube-proxy"}
	for _, tc := range []struct {
		name string
		live *fake.ClientBuilder
		is   InstalledType
		want *Found
	}{
		{"kube-proxy", fake.NewClientBuilder().WithObjects(ds, cm), InstalledKubeProxy, &Found{
			Data: cm.Data, Tolerations: ds.Spec.Template.Spec.Tolerations, UpdateStrategy: ds.Spec.UpdateStrategy}},
		{"taken over half way", fake.NewClientBuilder().WithObjects(ds, ours), InstalledKubeProxy, &Found{
			Ours: true, Data: cm.Data, Tolerations: ds.Spec.Template.Spec.Tolerations, UpdateStrategy: ds.Spec.UpdateStrategy}},
		{"without its configuration", fake.NewClientBuilder().WithObjects(ds), InstalledKubeProxy, &Found{
			Tolerations: ds.Spec.Template.Spec.Tolerations, UpdateStrategy: ds.Spec.UpdateStrategy}},
		{"gone meanwhile", fake.NewClientBuilder(), InstalledKubeProxy, nil},
		{"of Cilium what somebody goes by", fake.NewClientBuilder().WithObjects(ds, cilium), InstalledCilium, &Found{
			Data: map[string]string{CiliumSocketLBKey: "true"}, Tolerations: ds.Spec.Template.Spec.Tolerations, UpdateStrategy: ds.Spec.UpdateStrategy}},
		{"of an agent that is not known", fake.NewClientBuilder().WithObjects(ds, cm), InstalledCalico, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := &Installed{Type: tc.is, Namespace: "kube-system", Name: "kube-proxy"}
			if err := (&Discoverer{Live: tc.live.Build()}).Examine(t.Context(), i); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, i.Found); diff != "" {
				t.Error(diff)
			}
		})
	}
}
