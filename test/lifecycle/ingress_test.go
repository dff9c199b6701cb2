package lifecycle

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testcharts"
)

const ingressSample = "networkstack_ingress.yaml"

// controller is one of the ingress controllers of the test, with upstream's charts.
type controller struct {
	networkstackv1alpha1.IngressSpec
	// chart of upstream's, in the version that is installed first, and the one after it; empty where this machine has no other.
	chart, first, next  string
	namespace, workload string
	// image is in what runs after all.
	image string
}

// ingressControllers are all types that are installed. Traefik is there with our chart and with upstream's.
func ingressControllers() []controller {
	of := func(name string, typ networkstackv1alpha1.IngressType, class string) networkstackv1alpha1.IngressSpec {
		i := networkstackv1alpha1.IngressSpec{Name: name, Type: typ}
		if class != "" {
			i.Class = &networkstackv1alpha1.IngressClassSpec{Name: class}
		}
		return i
	}
	return []controller{
		{of("nginx", networkstackv1alpha1.IngressNGINX, ""), "ingress-nginx", "4.14.5", "4.15.1", "ingress-nginx", "ingress-nginx-controller", "controller:v1.15.1"},
		{of("f5", networkstackv1alpha1.IngressNGINXInc, "f5"), "nginx-ingress", "2.5.3", "2.6.4", "nginx-ingress", "ingress-f5-controller", "nginx-ingress:5.5.4"},
		{of("ours", networkstackv1alpha1.IngressTraefik, ""), "", "", "", "traefik", "ingress-ours", "traefik:v3.7.11"},
		{of("traefik", networkstackv1alpha1.IngressTraefik, "upstream"), "traefik", "40.2.0", "41.3.0", "traefik", "ingress-traefik", "traefik:v3.7.11"},
		{of("haproxy", networkstackv1alpha1.IngressHAProxy, ""), "kubernetes-ingress", "1.51.1", "1.52.1", "haproxy-controller", "ingress-haproxy", "kubernetes-ingress:3.2.12"},
		{of("jcmoraisjr", networkstackv1alpha1.IngressHAProxyIngress, "community"), "haproxy-ingress", "0.15.4", "0.16.1", "ingress-controller", "ingress-jcmoraisjr", "haproxy-ingress:v0.16.1"},
		{of("istio", networkstackv1alpha1.IngressIstioGateway, ""), "gateway", "1.30.2", "1.30.3", "istio-ingress", "ingress-istio", "auto"},
		{of("envoy", networkstackv1alpha1.IngressEnvoyGateway, ""), "gateway-helm", "1.8.3", "1.9.0", "envoy-gateway-system", "envoy-gateway", "gateway:v1.9.0"},
	}
}

// key is where the workload is.
func (c *controller) key() client.ObjectKey {
	return client.ObjectKey{Namespace: c.namespace, Name: c.workload}
}

// at is the controller with a version of upstream's chart. Archives that were packed here have digests of their own.
func (c *controller) at(t *testing.T, dir, version string) networkstackv1alpha1.IngressSpec {
	t.Helper()
	i := *c.IngressSpec.DeepCopy()
	if c.chart == "" {
		return i
	}
	i.Version = version
	var sum [sha256.Size]byte
	for _, name := range []string{c.chart + "-" + version, c.chart + "-v" + version} {
		data, err := os.ReadFile(filepath.Join(dir, name+".tgz"))
		if err == nil {
			sum = sha256.Sum256(data)
		}
	}
	i.Chart = &networkstackv1alpha1.ChartReference{Repository: "https://charts.example.com", Name: c.chart, Digest: "sha256:" + hex.EncodeToString(sum[:])}
	if c.Type == networkstackv1alpha1.IngressEnvoyGateway {
		i.Chart = nil // its definitions are of the same version, by the catalogue
	}
	return i
}

// TestIngress takes all controllers, side by side on one Cilium, through their lives with upstream's charts. On simulated nodes
// nobody serves: the test is istiod as far as its webhook's configuration goes, and ingress-nginx's certgen, whose hook Jobs end
// without having done anything.
func TestIngress(t *testing.T) {
	all := ingressControllers()
	dir := testcharts.PinnedDir(t, "cilium", "1.20.0")
	for _, c := range all {
		for _, version := range []string{c.first, c.next} {
			switch {
			case version == "":
			case c.Type == networkstackv1alpha1.IngressEnvoyGateway:
				testcharts.UpstreamDir(t, c.chart, "v"+version)
				testcharts.UpstreamDir(t, "gateway-crds-helm", "v"+version)
			default:
				testcharts.UpstreamDir(t, c.chart, version)
			}
		}
	}
	e := newEnv(t, controlplane.Options{}, "--charts", dir)
	e.beforeIngress(t)
	stack := sample(t, ciliumSample)
	stack.Spec.CNI.Version = ""
	stack.Spec.Ingress = []networkstackv1alpha1.IngressSpec{
		{Name: "cilium", Type: networkstackv1alpha1.IngressCilium, Class: &networkstackv1alpha1.IngressClassSpec{Default: true}},
		{Name: "gke", Type: networkstackv1alpha1.IngressGCE},
	}
	for n := range all {
		stack.Spec.Ingress = append(stack.Spec.Ingress, all[n].at(t, dir, all[n].first))
	}
	e.apply(stack)
	applied := time.Now()
	e.waitReady(stack.Name)
	t.Logf("Cilium and %d controllers Ready %.1f s after apply", len(stack.Spec.Ingress), time.Since(applied).Seconds())
	for _, c := range all {
		component := e.component("ingress-" + c.Name)
		ready := meta.FindStatusCondition(component.Status.Conditions, networkstackv1alpha1.ConditionReady)
		t.Logf("%-16s %-8s %4.0f s, %d definitions", c.Type, component.Spec.Chart.Version, ready.LastTransitionTime.Sub(component.CreationTimestamp.Time).Seconds(), len(component.Status.CRDs))
	}
	for _, step := range []struct {
		name string
		run  func(*testing.T, *env, []controller, string, *networkstackv1alpha1.NetworkStack)
	}{
		{"classes and webhooks are as they should be", ingressInstalled},
		{"what certgen writes stays, and what others change is put right", ingressTampered},
		{"a changed value reaches every controller", ingressChanged},
		{"the next versions", ingressUpgraded},
		{"a class of somebody else's is refused", ingressRefused},
		{"removal leaves nothing but definitions", ingressRemoved},
	} {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, all, dir, stack) }) }) {
			t.FailNow()
		}
	}
}

// beforeIngress makes what controllers find in a cluster: the Gateway API, cert-manager's and GKE's kinds, and istiod's webhook.
func (e *env) beforeIngress(t *testing.T) {
	t.Helper()
	for _, d := range testcharts.Upstream(t, "gateway-helm", "v1.9.0").CRDObjects() {
		for _, document := range strings.Split(string(d.File.Data), "\n---\n") {
			u := &unstructured.Unstructured{}
			e.check(yaml.Unmarshal([]byte(document), &u.Object))
			if u.GetKind() == "CustomResourceDefinition" && strings.HasSuffix(u.GetName(), ".gateway.networking.k8s.io") && !strings.Contains(u.GetName(), ".x-k8s") {
				e.check(e.client.Create(t.Context(), u))
			}
		}
	}
	for _, kind := range []struct{ group, kind, plural string }{
		{"cloud.google.com", "BackendConfig", "backendconfigs"}, {"cert-manager.io", "Certificate", "certificates"},
	} {
		e.check(e.client.Create(t.Context(), openDefinition(kind.group, kind.kind, kind.plural)))
	}
	e.check(e.client.Create(t.Context(), &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{
		Name: "istio-sidecar-injector", Labels: map[string]string{"app": "sidecar-injector", "istio.io/rev": "default"},
	}}))
}

// openDefinition is one of a kind whose objects may have anything in them.
func openDefinition(group, kind, plural string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": plural + "." + group},
		"spec": map[string]any{
			"group": group, "scope": "Namespaced", "names": map[string]any{"kind": kind, "plural": plural},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}}
}

// runs is the Deployment of a controller.
func (e *env) runs(c *controller) *appsv1.Deployment {
	e.t.Helper()
	var d appsv1.Deployment
	e.check(e.client.Get(e.t.Context(), c.key(), &d))
	return &d
}

func ingressInstalled(t *testing.T, e *env, all []controller, _ string, stack *networkstackv1alpha1.NetworkStack) {
	var list networkingv1.IngressClassList
	e.check(e.client.List(t.Context(), &list))
	got := map[string]string{}
	standard := []string{}
	for _, c := range list.Items {
		got[c.Name] = c.Spec.Controller
		if c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
			standard = append(standard, c.Name)
		}
	}
	for name, want := range map[string]string{
		"nginx": "k8s.io/ingress-nginx", "f5": "nginx.org/ingress-controller", "traefik": "traefik.io/ingress-controller", "upstream": "traefik.io/ingress-controller",
		"haproxy": "haproxy.org/ingress-controller/haproxy", "community": "haproxy-ingress.github.io/controller/community", "cilium": "cilium.io/ingress-controller",
	} {
		if got[name] != want {
			t.Errorf("class %s has the controller %q, want %q", name, got[name], want)
		}
	}
	if len(got) != 7 || !slices.Equal(standard, []string{"cilium"}) {
		t.Errorf("classes: %v, by default %v", got, standard)
	}
	for n := range all {
		if d := e.runs(&all[n]); all[n].Type != networkstackv1alpha1.IngressEnvoyGateway && *d.Spec.Replicas != 2 {
			t.Errorf("%s has %d replicas", all[n].Name, *d.Spec.Replicas)
		}
	}
	class := &unstructured.Unstructured{}
	class.SetAPIVersion("gateway.networking.k8s.io/v1")
	class.SetKind("GatewayClass")
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: "envoy-gateway"}, class))
	if kind, _, _ := unstructured.NestedString(class.Object, "spec", "parametersRef", "kind"); kind != "EnvoyProxy" {
		t.Errorf("GatewayClass: %v", class.Object["spec"])
	}
	if w := toJSON(e.stack(stack.Name).Status.Warnings); !strings.Contains(w, "INGRESS-RETIRED") || strings.Contains(w, "INGRESS-GCE") {
		t.Errorf("warnings: %s", w)
	}
}

func ingressTampered(t *testing.T, e *env, all []controller, _ string, stack *networkstackv1alpha1.NetworkStack) {
	// What the hook Jobs of ingress-nginx would do.
	key := client.ObjectKey{Name: "ingress-nginx-admission"}
	e.check(e.client.Patch(t.Context(), &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: key.Name}},
		client.RawPatch(types.JSONPatchType, []byte(`[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"`+base64.StdEncoding.EncodeToString(e.cp.RESTConfig().CAData)+`"}]`)), client.FieldOwner("kube-webhook-certgen")))
	for n := range all {
		c := &all[n]
		component := "ingress-" + c.Name
		before := e.count(component)
		container := e.runs(c).Spec.Template.Spec.Containers[0].Name
		e.patch(&appsv1.Deployment{}, c.key(), "kubectl-edit", `{"spec":{"template":{"spec":{"containers":[{"name":"`+container+`","image":"example.com/other:1"}]}}}}`)
		e.drifts(component, before+1)
	}
	for n := range all {
		e.eventually(all[n].Name+" to be put right", func(context.Context) (bool, string) {
			image := e.runs(&all[n]).Spec.Template.Spec.Containers[0].Image
			return !strings.Contains(image, "other"), image
		})
	}
	classes := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "f5"}}
	e.check(e.client.Delete(t.Context(), classes))
	e.eventually("the class to be made again", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKey{Name: "f5"}, &networkingv1.IngressClass{})
		return err == nil, "missing"
	})
	e.waitReady(stack.Name)
	var webhooks admissionv1.ValidatingWebhookConfiguration
	e.check(e.client.Get(t.Context(), key, &webhooks))
	if len(webhooks.Webhooks[0].ClientConfig.CABundle) == 0 {
		t.Error("what certgen wrote is gone")
	}
}

func ingressChanged(t *testing.T, e *env, all []controller, _ string, stack *networkstackv1alpha1.NetworkStack) {
	for n := range stack.Spec.Ingress {
		if i := &stack.Spec.Ingress[n]; i.Type != networkstackv1alpha1.IngressCilium && i.Type != networkstackv1alpha1.IngressGCE {
			i.Replicas = new(int32(3))
		}
	}
	e.apply(stack)
	e.waitReady(stack.Name)
	for n := range all {
		if d := e.runs(&all[n]); all[n].Type != networkstackv1alpha1.IngressEnvoyGateway && (*d.Spec.Replicas != 3 || d.Status.AvailableReplicas != 3) {
			t.Errorf("%s has %d replicas, %d available", all[n].Name, *d.Spec.Replicas, d.Status.AvailableReplicas)
		}
	}
	proxy := &unstructured.Unstructured{}
	proxy.SetAPIVersion("gateway.envoyproxy.io/v1alpha1")
	proxy.SetKind("EnvoyProxy")
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "envoy-gateway-system", Name: "ingress-envoy-resources"}, proxy))
	if replicas, _, _ := unstructured.NestedInt64(proxy.Object, "spec", "provider", "kubernetes", "envoyDeployment", "replicas"); replicas != 3 {
		t.Errorf("EnvoyProxy: %v", proxy.Object["spec"])
	}
}

func ingressUpgraded(t *testing.T, e *env, all []controller, dir string, stack *networkstackv1alpha1.NetworkStack) {
	for n := range all {
		if c := &all[n]; c.next != "" {
			i := slices.IndexFunc(stack.Spec.Ingress, func(i networkstackv1alpha1.IngressSpec) bool { return i.Name == c.Name })
			next := c.at(t, dir, c.next)
			stack.Spec.Ingress[i].Version, stack.Spec.Ingress[i].Chart = next.Version, next.Chart
		}
	}
	e.apply(stack)
	began := time.Now()
	e.waitReady(stack.Name)
	t.Logf("upgraded in %.1f s", time.Since(began).Seconds())
	for n := range all {
		c := &all[n]
		if image := e.runs(c).Spec.Template.Spec.Containers[0].Image; !strings.Contains(image, c.image) {
			t.Errorf("%s runs %s, want %s", c.Name, image, c.image)
		}
		if got, want := e.component("ingress-"+c.Name).Spec.Chart.Version, cmp.Or(c.next, c.first); want != "" && got != want {
			t.Errorf("%s is at %s, want %s", c.Name, got, want)
		}
	}
	// Of two releases with the same definitions, one has them.
	if crds := e.component("ingress-traefik").Status.CRDs; len(crds) < 10 {
		t.Errorf("upstream's Traefik has %d definitions", len(crds))
	}
}

func ingressRefused(t *testing.T, e *env, _ []controller, _ string, stack *networkstackv1alpha1.NetworkStack) {
	foreign := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "corporate"}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/controller"}}
	e.check(e.client.Create(t.Context(), foreign))
	bad := stack.DeepCopy()
	bad.Spec.Ingress = append(bad.Spec.Ingress, networkstackv1alpha1.IngressSpec{
		Name: "more", Type: networkstackv1alpha1.IngressTraefik, Class: &networkstackv1alpha1.IngressClassSpec{Name: "corporate"},
	})
	e.apply(bad)
	s := e.waitCondition(bad.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if text := toJSON(s.Status.Conditions); !strings.Contains(text, "INGRESS-CLASS-TAKEN") || !strings.Contains(text, "example.com/controller") {
		t.Errorf("%s", text)
	}
	e.check(e.client.Delete(t.Context(), foreign))
	// That the class has gone is noticed.
	e.waitCondition(bad.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionTrue, "")
	e.apply(stack)
	e.waitReady(stack.Name)
}

func ingressRemoved(t *testing.T, e *env, all []controller, _ string, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.Ingress = nil
	e.apply(stack)
	e.waitReady(stack.Name)
	for _, c := range all {
		e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "ingress-" + c.Name}})
	}
	for _, name := range []string{"envoy-gateway-crds", "ingress-envoy-resources"} {
		e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	var classes networkingv1.IngressClassList
	e.check(e.client.List(t.Context(), &classes))
	var validating admissionv1.ValidatingWebhookConfigurationList
	e.check(e.client.List(t.Context(), &validating))
	var mutating admissionv1.MutatingWebhookConfigurationList
	e.check(e.client.List(t.Context(), &mutating))
	left := []string{}
	for _, o := range classes.Items {
		left = append(left, "IngressClass "+o.Name)
	}
	for _, o := range validating.Items {
		left = append(left, "ValidatingWebhookConfiguration "+o.Name)
	}
	for _, o := range mutating.Items {
		if o.Name != "istio-sidecar-injector" { // the test's own
			left = append(left, "MutatingWebhookConfiguration "+o.Name)
		}
	}
	for _, c := range all {
		e.gone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}})
	}
	if len(left) > 0 {
		t.Errorf("left behind: %s", strings.Join(slices.Compact(left), ", "))
	}
	var crds metav1.PartialObjectMetadataList
	crds.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinitionList"))
	e.check(e.client.List(t.Context(), &crds))
	kept := map[string]int{}
	for _, d := range crds.Items {
		_, group, _ := strings.Cut(d.Name, ".")
		kept[group]++
	}
	for _, group := range []string{"traefik.io", "k8s.nginx.org", "gateway.envoyproxy.io", "gateway.networking.k8s.io"} {
		if kept[group] == 0 {
			t.Errorf("the definitions of %s are gone, and with them what users had written", group)
		}
	}
	if list := e.helm("ls", "-A", "-q", "--all"); strings.Contains(list, "ingress-") {
		t.Errorf("releases are left:\n%s", list)
	}
}

// TestIngressSample takes the sample, which needs nothing but the binary, through its life.
func TestIngressSample(t *testing.T) {
	e := newEnv(t, controlplane.Options{})
	stack := sample(t, ingressSample)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	e.apply(stack)
	ready := e.waitReady(stack.Name)
	if len(ready.Status.Warnings) > 0 {
		t.Errorf("the sample is warned of: %v", ready.Status.Warnings)
	}
	var ds appsv1.DaemonSet
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "traefik", Name: "ingress-internal"}, &ds))
	if ds.Status.NumberAvailable != 3 || ds.Spec.Template.Spec.Containers[0].Ports[1].HostPort != 8088 {
		t.Errorf("%d available, ports %v", ds.Status.NumberAvailable, ds.Spec.Template.Spec.Containers[0].Ports)
	}
	e.check(e.client.Delete(t.Context(), stack.DeepCopy()))
	e.gone(&networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stack.Name}})
	e.gone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "traefik"}})
	if list := strings.TrimSpace(e.helm("ls", "-A", "-q", "--all")); list != "" {
		t.Errorf("Helm releases are left: %s", list)
	}
}
