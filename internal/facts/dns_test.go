package facts

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

func TestDNSIPs(t *testing.T) {
	svc := func(name string, ips ...string) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}, Spec: corev1.ServiceSpec{ClusterIPs: ips}}
		if len(ips) > 0 {
			s.Spec.ClusterIP = ips[0]
		}
		return s
	}
	for _, tc := range []struct {
		name string
		svc  *corev1.Service
		want []netip.Addr
	}{
		{"none", svc("other", "10.96.0.10"), nil},
		{"one", svc("kube-dns", "10.96.0.10"), []netip.Addr{netip.MustParseAddr("10.96.0.10")}},
		{"of both families", svc("kube-dns", "fd00::a", "10.96.0.10"), []netip.Addr{netip.MustParseAddr("fd00::a"), netip.MustParseAddr("10.96.0.10")}},
		{"headless", svc("kube-dns", "None"), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := discover(t, tc.svc).DNSIPs; !cmp.Equal(got, tc.want, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestExamineDNS tells the CoreDNS that can be taken over from everything else that answers.
func TestExamineDNS(t *testing.T) {
	deployment := func(name, container string, edits ...func(*appsv1.Deployment)) client.Object {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name, Labels: map[string]string{"k8s-app": "kube-dns"}}}
		d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}}
		d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "sidecar", Image: "a/sidecar:1"}, {Name: container, Image: "a/coredns:v1"}}
		for _, edit := range edits {
			edit(d)
		}
		return d
	}
	ours := func(d *appsv1.Deployment) {
		d.Labels[networkstackv1alpha1.ComponentLabel] = "coredns"
		d.Annotations = map[string]string{networkstackv1alpha1.LayoutAnnotation: "kubeadm"}
	}
	eks := func(d *appsv1.Deployment) { d.Labels["eks.amazonaws.com/component"] = "coredns" }
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}, Data: map[string]string{"Corefile": "x"}}
	type seen struct {
		Type                   InstalledType
		Component, Layout      string
		Kept, Found            bool
		Image, Corefile, Named string
	}
	for _, tc := range []struct {
		name    string
		objects []client.Object
		want    []seen
	}{
		{"nothing", nil, nil},
		{"without the label", []client.Object{deployment("coredns", "coredns", func(d *appsv1.Deployment) { d.Labels = nil })}, nil},
		{"kubeadm's", []client.Object{deployment("coredns", "coredns"), cm}, []seen{{Type: InstalledCoreDNS, Found: true, Image: "a/coredns:v1", Corefile: "x", Named: "Deployment kube-system/coredns"}}},
		{"ours", []client.Object{deployment("coredns", "coredns", ours)}, []seen{{Type: InstalledCoreDNS, Component: "coredns", Layout: "kubeadm", Found: true, Image: "a/coredns:v1", Named: "Deployment kube-system/coredns"}}},
		{"of EKS", []client.Object{deployment("coredns", "coredns", eks)}, []seen{{Type: InstalledCoreDNS, Kept: true, Found: true, Image: "a/coredns:v1", Named: "Deployment kube-system/coredns"}}},
		{"under another name, and something else", []client.Object{deployment("rke2-coredns", "coredns"), deployment("kube-dns", "kubedns")}, []seen{
			{Type: InstalledOtherDNS, Image: "a/sidecar:1", Named: "Deployment kube-system/kube-dns"},
			{Type: InstalledOtherDNS, Image: "a/sidecar:1", Named: "Deployment kube-system/rke2-coredns"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s Snapshot
			d := &Discoverer{Live: fake.NewClientBuilder().WithObjects(tc.objects...).Build()}
			if err := d.ExamineDNS(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			var got []seen
			for i := range s.Installed {
				in := &s.Installed[i]
				one := seen{Type: in.Type, Component: in.Component, Layout: in.Layout, Kept: in.Kept, Found: in.Found != nil, Image: in.Image, Named: in.Workload()}
				if in.Found != nil {
					one.Corefile = in.Found.Data[CorefileKey]
				}
				if in.IsCNI() || !in.DNS() {
					t.Errorf("%s is taken for a network plugin", in.Workload())
				}
				got = append(got, one)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
