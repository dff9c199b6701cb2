package lifecycle

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
	"github.com/networkstack/networkstack/test/testcharts"
)

const (
	certManager   = "addon-cert-manager"
	sealedSecrets = "addon-sealed-secrets"
	metricsServer = "addon-metrics-server"
	externalDNS   = "addon-external-dns"
)

// TestAddons installs upstream's charts as add-ons: with a chart that the operator may not install, one that does not come up, one that
// comes after it, an upgrade, drift and removal; and an ingress controller whose default certificate is of an issuer of one of them. On
// simulated nodes the test is cert-manager: it answers its webhooks, writes the Secret, and says that the certificate is ready.
func TestAddons(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]string{"cert-manager": "v1.21.1", "sealed-secrets": "2.18.5", "external-dns": "1.21.1", "metrics-server": "3.13.0"} {
		testcharts.UpstreamDir(t, name, version)
	}
	e := newEnv(t, controlplane.Options{}, "--charts", testcharts.UpstreamDir(t, "metrics-server", "3.13.1"))
	stack := smallStack(t)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	stack.Spec.Addons = []networkstackv1alpha1.AddonSpec{
		addon("external-dns", "https://kubernetes-sigs.github.io/external-dns", "1.21.1", `{"image":{"repository":"example.test/does-not-exist"}}`),
		addon("metrics-server", "https://kubernetes-sigs.github.io/metrics-server", "3.13.0", "", "external-dns"),
		addon("sealed-secrets", "https://bitnami-labs.github.io/sealed-secrets", "2.18.5", "", "cert-manager", "flannel"),
		addon("cert-manager", "https://charts.jetstack.io", "v1.21.1", `{"crds":{"enabled":true}}`),
	}
	webhook := metalLBWebhook(t)
	stack.Spec.Ingress = []networkstackv1alpha1.IngressSpec{issuedIngress()}
	// The test's webhook is elsewhere than cert-manager's, and has to stay there.
	stack.Spec.Drift = &networkstackv1alpha1.DriftSpec{Ignore: []networkstackv1alpha1.DriftIgnoreRule{
		{Component: certManager, Kind: "MutatingWebhookConfiguration", Paths: []string{".webhooks[*].clientConfig"}},
		{Component: certManager, Kind: "ValidatingWebhookConfiguration", Paths: []string{".webhooks[*].clientConfig"}},
	}}
	e.apply(stack)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *env, *networkstackv1alpha1.NetworkStack)
	}{
		{"what the operator may not install is named, and grants help", func(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
			addonsGranted(t, e, stack)
			e.componentReady(certManager)
			e.certManagerAnswered(webhook)
			e.componentReady(sealedSecrets)
		}},
		{"one that does not come up holds back what comes after it alone", addonFails},
		{"put right, it lets the others come", addonsReady},
		{"a certificate of an issuer", issuedCertificate},
		{"values change", addonValues},
		{"drift is put right", addonDrifts},
		{"the next version", addonUpgraded},
		{"one that is taken off the list goes, and its definitions stay", addonTakenOff},
		{"all go with the stack, the last first", addonsGo},
	} {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, stack) }) }) {
			t.FailNow()
		}
	}
}

func addon(name, repository, version, values string, after ...string) networkstackv1alpha1.AddonSpec {
	a := networkstackv1alpha1.AddonSpec{Name: name, After: after, ComponentSettings: networkstackv1alpha1.ComponentSettings{
		Chart: &networkstackv1alpha1.ChartReference{Repository: repository}, Version: version}}
	if values != "" {
		a.Values = rawJSON(values)
	}
	return a
}

// addonOf is an add-on of a stack, to be changed.
func addonOf(stack *networkstackv1alpha1.NetworkStack, name string) *networkstackv1alpha1.AddonSpec {
	i := slices.IndexFunc(stack.Spec.Addons, func(a networkstackv1alpha1.AddonSpec) bool { return a.Name == name })
	return &stack.Spec.Addons[i]
}

// componentReady waits for a component alone.
func (e *env) componentReady(name string) *networkstackv1alpha1.NetworkComponent {
	e.t.Helper()
	e.componentAppears(name)
	return e.waitComponent(name, networkstackv1alpha1.ConditionReady, networkstackv1alpha1.ReasonReady)
}

func addonsGranted(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.eventually("the missing permission", func(ctx context.Context) (bool, string) {
		var c networkstackv1alpha1.NetworkComponent
		err := e.client.Get(ctx, client.ObjectKey{Name: certManager}, &c)
		text := toJSON(c.Status.Conditions)
		return err == nil && (strings.Contains(text, "not currently held") || strings.Contains(text, "missing permission")), text
	})
	e.componentReady("flannel")
	e.eventually("what waits for cert-manager", func(context.Context) (bool, string) {
		lines := toJSON(e.stack(stack.Name).Status.Components)
		return strings.Contains(lines, `"install waits for `+certManager+`"`) && strings.Contains(lines, `"install waits for `+issuedResources+`"`), lines
	})
	data, err := os.ReadFile(filepath.Join(operator.Root(), "config", "components", "any-chart", "role_binding.yaml"))
	e.check(err)
	var binding rbacv1.ClusterRoleBinding
	e.check(yaml.UnmarshalStrict(data, &binding))
	e.check(e.client.Create(t.Context(), &binding))
}

func addonFails(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.eventually("the add-on without an image", func(context.Context) (bool, string) {
		text := toJSON(e.component(externalDNS).Status.Conditions)
		return strings.Contains(text, "ImagePullBackOff"), text
	})
	e.eventually("what waits for it", func(context.Context) (bool, string) {
		lines := e.stack(stack.Name).Status.Components
		i := slices.IndexFunc(lines, func(l networkstackv1alpha1.ComponentSummary) bool { return l.Name == metricsServer })
		return i >= 0 && lines[i].Message == "install waits for "+externalDNS, toJSON(lines)
	})
	err := e.client.Get(t.Context(), client.ObjectKey{Name: metricsServer}, &networkstackv1alpha1.NetworkComponent{})
	if client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("what waits is there: %v", err)
	}
}

func addonsReady(_ *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	addonOf(stack, "external-dns").Values = nil
	e.apply(stack)
	e.waitReady(stack.Name)
	e.noPending()
}

func addonValues(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	before := e.revision(sealedSecrets)
	addonOf(stack, "cert-manager").Values = rawJSON(`{"crds":{"enabled":true},"replicaCount":2}`)
	e.apply(stack)
	e.eventually("two replicas", func(ctx context.Context) (bool, string) {
		var d appsv1.Deployment
		e.check(e.client.Get(ctx, client.ObjectKey{Namespace: "cert-manager", Name: "cert-manager"}, &d))
		return *d.Spec.Replicas == 2 && d.Status.ReadyReplicas == 2, toJSON(d.Status)
	})
	e.waitReady(stack.Name)
	if after := e.revision(sealedSecrets); after != before {
		t.Errorf("sealed-secrets was at revision %d and is at %d", before, after)
	}
}

func addonDrifts(t *testing.T, e *env, _ *networkstackv1alpha1.NetworkStack) {
	before := e.count(certManager)
	e.patch(&appsv1.Deployment{}, client.ObjectKey{Namespace: "cert-manager", Name: "cert-manager-webhook"}, "kubectl-edit", `{"spec":{"replicas":0}}`)
	last := e.drifts(certManager, before+1)
	if last.Object != "Deployment cert-manager/cert-manager-webhook" || last.Manager != "kubectl-edit" || last.Fields[0].Path != ".spec.replicas" {
		t.Errorf("%s", toJSON(last))
	}
}

func addonUpgraded(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	addonOf(stack, "metrics-server").Version = "3.13.1"
	e.apply(stack)
	e.eventually("the next version", func(context.Context) (bool, string) {
		c := e.component(metricsServer)
		return c.Status.Release != nil && c.Status.Release.ChartVersion == "3.13.1", toJSON(c.Status)
	})
	e.waitReady(stack.Name)
	var values []struct{ Chart string }
	e.check(json.Unmarshal([]byte(e.helm("ls", "-n", "metrics-server", "-o", "json")), &values))
	if len(values) != 1 || values[0].Chart != "metrics-server-3.13.1" {
		t.Errorf("Helm has %v", values)
	}
	if err := e.tryApply(func() *networkstackv1alpha1.NetworkStack {
		circle := stack.DeepCopy()
		addonOf(circle, "cert-manager").After = []string{"cert-manager"}
		return circle
	}()); err == nil || !strings.Contains(err.Error(), "cannot come after itself") {
		t.Errorf("an add-on after itself: %v", err)
	}
}

func addonTakenOff(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.Addons = slices.DeleteFunc(stack.Spec.Addons, func(a networkstackv1alpha1.AddonSpec) bool {
		return a.Name == "sealed-secrets" || a.Name == "metrics-server"
	})
	stack.Spec.Ingress = nil
	e.apply(stack)
	for _, name := range []string{"sealed-secrets", "metrics-server"} {
		e.gone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	service := &unstructured.Unstructured{}
	service.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"})
	service.SetName("v1beta1.metrics.k8s.io")
	e.gone(service)
	e.waitReady(stack.Name)
	e.definitionStays(t, "sealedsecrets.bitnami.com")
	issuedCertificateGone(t, e)
}

func (e *env) definitionStays(t *testing.T, name string) {
	t.Helper()
	var crd metav1.PartialObjectMetadata
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	if err := e.client.Get(t.Context(), client.ObjectKey{Name: name}, &crd); err != nil || crd.DeletionTimestamp != nil {
		t.Errorf("definition %s: %v", name, err)
	}
}

func addonsGo(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.check(e.client.Delete(t.Context(), stack.DeepCopy()))
	e.nothingLeft(stack)
	for _, name := range []string{"cert-manager", "external-dns"} {
		e.gone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	hooks := &unstructured.UnstructuredList{}
	hooks.SetGroupVersionKind(schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingWebhookConfigurationList"})
	e.check(e.client.List(t.Context(), hooks))
	for _, h := range hooks.Items {
		t.Errorf("webhook configuration %s is left", h.GetName())
	}
	e.definitionStays(t, "certificates.cert-manager.io")
}
