package facts

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

func TestIngressFacts(t *testing.T) {
	class := func(name string, labels, annotations map[string]string) *networkingv1.IngressClass {
		return &networkingv1.IngressClass{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: annotations}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/" + name},
		}
	}
	injector := func(name, revision string, labels map[string]string) *metav1.PartialObjectMetadata {
		m := Injector()
		m.Name, m.Labels = name, map[string]string{"istio.io/rev": revision}
		for key, value := range labels {
			m.Labels[key] = value
		}
		return m
	}
	ours := InjectorLabels()
	s := discover(t,
		class("b", map[string]string{networkstackv1alpha1.ComponentLabel: "ingress-b"}, map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}),
		class("a", map[string]string{"app.kubernetes.io/managed-by": "Helm"}, map[string]string{"meta.helm.sh/release-name": "x", "meta.helm.sh/release-namespace": "y"}),
		injector("istio-sidecar-injector-1-30", "1-30", ours), injector("istio-revision-tag-stable", "1-30", ours), injector("istio-sidecar-injector", "default", ours),
		injector("another", "1-29", nil),
	)
	want := []IngressClass{
		{Name: "a", Controller: "example.com/a", Manager: "Helm release y/x"}, {Name: "b", Controller: "example.com/b", Default: true, Component: "ingress-b", Manager: "NetworkStack"},
	}
	if diff := cmp.Diff(want, s.IngressClasses); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1-30", "default"}, s.IstioRevisions); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
	if s.AdminPolicies || s.CertManager || s.BackendConfigs {
		t.Errorf("%+v", s)
	}
	for name, found := range map[string]func(*Snapshot) bool{
		AdminPolicies:  func(s *Snapshot) bool { return s.AdminPolicies },
		Certificates:   func(s *Snapshot) bool { return s.CertManager },
		BackendConfigs: func(s *Snapshot) bool { return s.BackendConfigs },
	} {
		crd := Definition()
		crd.Name = name
		if !IsDefinition(name) || !found(discover(t, crd)) {
			t.Errorf("%s is not found", name)
		}
	}
}
