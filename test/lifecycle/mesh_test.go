package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testcharts"
)

const (
	istioOld, istioNew = "1.29.6", "1.30.3"
	istiodOld          = "istiod-1-29-6"
	istiodNew          = "istiod-1-30-3"
	linkerdOld         = "2026.7.2"
	linkerdNew         = "2026.8.3"
)

// meshSteps are the parts of a mesh's life.
type meshSteps []struct {
	name string
	run  func(*testing.T, *env, *networkstackv1alpha1.NetworkStack)
}

// TestMesh takes Istio, from one minor to the next and from sidecars to ambient, and then Linkerd through their lives, one after the
// other in one cluster, with upstream's charts. On simulated nodes nothing serves a webhook, so the test plays three parts: istiod,
// which fills in certificate authorities; the injector, whose marks it puts on pods itself; and whoever restarts pods.
func TestMesh(t *testing.T) {
	charts := testcharts.UpstreamDir(t, "istiod", istioOld)
	for _, name := range []string{"base", "istiod", "cni", "ztunnel"} {
		testcharts.UpstreamDir(t, name, istioOld)
		testcharts.UpstreamDir(t, name, istioNew)
	}
	testcharts.UpstreamDir(t, "gateway-crds-helm", "v1.8.3")
	for _, name := range []string{"linkerd-crds", "linkerd-control-plane", "linkerd2-cni"} {
		testcharts.UpstreamDir(t, name, linkerdOld)
		testcharts.UpstreamDir(t, name, linkerdNew)
	}
	e := newEnv(t, controlplane.Options{}, "--charts", charts)
	stack := smallStack(t)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	stack.Spec.Mesh = &networkstackv1alpha1.MeshSpec{
		Type: networkstackv1alpha1.MeshIstio, MTLS: networkstackv1alpha1.MTLSStrict,
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"example.com/mesh": "yes"}},
	}
	stack.Spec.Mesh.Version = istioOld
	for name, labels := range map[string]map[string]string{
		"shop":    {"example.com/mesh": "yes"},
		"billing": {"example.com/mesh": "yes"},
		"own":     {"example.com/mesh": "yes", "istio-injection": "disabled"},
		"outside": nil,
	} {
		e.check(e.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}))
	}
	e.apply(stack)
	for _, step := range (meshSteps{
		{"sidecars come up, and selected namespaces join", istioInstalled},
		{"what others change is put right", istioTampered},
		{"a value changes", istioChanged},
		{"a new control plane comes beside the old one, which stays while it is in use", istioUpgraded},
		{"the old one goes when nobody uses it", istioOldGoes},
		{"by a tag, labels stay", istioTagged},
		{"ambient", istioAmbient},
		{"it leaves nothing behind but its definitions", istioRemoved},
		{"Linkerd comes up", linkerdInstalled},
		{"Linkerd is put right and changed", linkerdTampered},
		{"Linkerd's next version", linkerdUpgraded},
		{"all goes", meshDeleted},
	}) {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, stack) }) }) {
			t.FailNow()
		}
	}
}

// ns waits until a namespace is as it should be.
func (e *env) ns(name, what string, want func(*corev1.Namespace) bool) *corev1.Namespace {
	e.t.Helper()
	var n corev1.Namespace
	e.eventually("namespace "+name+" to be "+what, func(ctx context.Context) (bool, string) {
		if err := e.client.Get(ctx, client.ObjectKey{Name: name}, &n); err != nil {
			return false, err.Error()
		}
		return want(&n), toJSON(n.Labels) + toJSON(n.Annotations)
	})
	return &n
}

// enrolled waits until a namespace has a label by which it is in the mesh.
func (e *env) enrolled(name, key, value string) {
	e.t.Helper()
	e.ns(name, "in the mesh", func(n *corev1.Namespace) bool {
		return n.Labels[key] == value && n.Labels[networkstackv1alpha1.MeshLabel] != ""
	})
}

// left waits until nothing of a mesh is on a namespace.
func (e *env) left(name string) {
	e.t.Helper()
	e.ns(name, "out of the mesh", func(n *corev1.Namespace) bool {
		text := toJSON(n.Labels) + toJSON(n.Annotations)
		return !strings.Contains(text, "istio.io") && !strings.Contains(text, "linkerd.io") && !strings.Contains(text, networkstackv1alpha1.MeshLabel)
	})
}

// injected makes a pod as the injector of a revision leaves it. It says that it is not to be injected, for nobody serves that here.
func (e *env) injected(namespace, name, revision string) *corev1.Pod {
	e.t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name,
			Labels:      map[string]string{"service.istio.io/canonical-name": name, "sidecar.istio.io/inject": "false"},
			Annotations: map[string]string{"istio.io/rev": revision},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "example.com/app"}, {Name: "istio-proxy", Image: "docker.io/istio/proxyv2"}}},
	}
	e.eventually("pod "+name+" to be made", func(ctx context.Context) (bool, string) {
		err := e.client.Create(ctx, p) // its ServiceAccount may be yet to come
		return err == nil, toJSON(err)
	})
	return p
}

func peerAuthentication() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "security.istio.io", Version: "v1", Kind: "PeerAuthentication"})
	u.SetNamespace("istio-system")
	u.SetName("default")
	return u
}

func istioInstalled(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.waitReady(stack.Name)
	e.enrolled("shop", "istio.io/rev", "1-29-6")
	e.enrolled("billing", "istio.io/rev", "1-29-6")
	for _, name := range []string{"outside", "own", "kube-system", "istio-system"} {
		var n corev1.Namespace
		e.check(e.client.Get(t.Context(), client.ObjectKey{Name: name}, &n))
		if _, has := n.Labels[networkstackv1alpha1.MeshLabel]; has {
			t.Errorf("namespace %s was enrolled: %v", name, n.Labels)
		}
	}
	p := peerAuthentication()
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(p), p))
	if mode, _, _ := unstructured.NestedString(p.Object, "spec", "mtls", "mode"); mode != "STRICT" {
		t.Errorf("PeerAuthentication: %v", p.Object["spec"])
	}
	s := e.stackWith("the namespaces to be counted", stack.Name, func(s *networkstackv1alpha1.NetworkStack) bool {
		return s.Status.Mesh != nil && s.Status.Mesh.Namespaces == 2
	})
	if !strings.Contains(toJSON(s.Status.Warnings), "MESH-NAMESPACE-OWN") {
		t.Errorf("nothing is said of the namespace with a label of its own: %s", toJSON(s.Status.Warnings))
	}
}

// stackWith waits until a stack is as it should be.
func (e *env) stackWith(what, name string, want func(*networkstackv1alpha1.NetworkStack) bool) *networkstackv1alpha1.NetworkStack {
	e.t.Helper()
	var s networkstackv1alpha1.NetworkStack
	e.eventually(what, func(ctx context.Context) (bool, string) {
		if err := e.client.Get(ctx, client.ObjectKey{Name: name}, &s); err != nil {
			return false, err.Error()
		}
		return want(&s), toJSON(s.Status.Mesh) + toJSON(s.Status.Warnings) + toJSON(s.Status.Conditions)
	})
	return &s
}

// istioTampered: istiod's own changes stay, others' go.
func istioTampered(t *testing.T, e *env, _ *networkstackv1alpha1.NetworkStack) {
	injector := &admissionregistrationv1.MutatingWebhookConfiguration{}
	key := client.ObjectKey{Name: "istio-sidecar-injector-1-29-6"}
	e.check(e.client.Get(t.Context(), key, injector))
	for i := range injector.Webhooks {
		injector.Webhooks[i].ClientConfig.CABundle = []byte(testBundle)
	}
	e.check(e.client.Update(t.Context(), injector, client.FieldOwner("pilot-discovery")))
	validator := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: "istiod-default-validator"}, validator))
	validator.Webhooks[0].ClientConfig.CABundle = []byte(testBundle)
	e.check(e.client.Update(t.Context(), validator, client.FieldOwner("pilot-discovery")))

	p := peerAuthentication()
	e.check(e.client.Patch(t.Context(), p, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"mtls":{"mode":"PERMISSIVE"}}}`)),
		client.FieldOwner("somebody")))
	e.eventually("STRICT to be back", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKeyFromObject(p), p)
		return err == nil && strings.Contains(toJSON(p.Object["spec"]), "STRICT"), toJSON(p.Object["spec"])
	})
	// A namespace that is enrolled stays as it is wanted.
	n := &corev1.Namespace{}
	e.patch(n, client.ObjectKey{Name: "shop"}, "somebody", `{"metadata":{"labels":{"istio.io/rev":"other"}}}`)
	e.enrolled("shop", "istio.io/rev", "1-29-6")
	e.check(e.client.Get(t.Context(), key, injector))
	if string(injector.Webhooks[0].ClientConfig.CABundle) != testBundle {
		t.Error("the certificate authority that istiod filled in is gone")
	}
	if n := e.count(istiodOld); n != 0 {
		t.Errorf("%d drifts of istiod: its own changes are none", n)
	}
}

// testBundle is a certificate authority; the API server wants one that can be read.
const testBundle = `-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIBATAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDEwR0ZXN0MB4X
DTI1MDEwMTAwMDAwMFoXDTQ1MDEwMTAwMDAwMFowDzENMAsGA1UEAxMEdGVzdDBZ
-----END CERTIFICATE-----
`

func istioChanged(_ *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	before, resources := e.revision(istiodOld), e.revision("istio-resources")
	stack.Spec.Mesh.MTLS = networkstackv1alpha1.MTLSPermissive
	stack.Spec.Mesh.Values = rawJSON(`{"meshConfig": {"accessLogFile": "/dev/stdout"}}`)
	e.apply(stack)
	e.waitReady(stack.Name)
	p := peerAuthentication()
	e.check(e.client.Get(e.t.Context(), client.ObjectKeyFromObject(p), p))
	if !strings.Contains(toJSON(p.Object["spec"]), "PERMISSIVE") {
		e.t.Errorf("PeerAuthentication: %v", p.Object["spec"])
	}
	if e.revision(istiodOld) != before+1 || e.revision("istio-resources") != resources+1 {
		e.t.Errorf("istiod went from %d to %d, the resources from %d to %d", before, e.revision(istiodOld), resources, e.revision("istio-resources"))
	}
	var cm corev1.ConfigMap
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Namespace: "istio-system", Name: "istio-1-29-6"}, &cm))
	if !strings.Contains(cm.Data["mesh"], "/dev/stdout") {
		e.t.Errorf("mesh configuration: %s", cm.Data["mesh"])
	}
}

func istioUpgraded(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.injected("shop", "cart", "1-29-6")
	e.injected("billing", "invoices", "1-29-6")
	e.injected("billing", "ledger", "1-29-6")
	stack.Spec.Mesh.Version = istioNew
	e.apply(stack)
	e.waitReady(stack.Name)
	e.enrolled("shop", "istio.io/rev", "1-30-3")
	e.enrolled("billing", "istio.io/rev", "1-30-3")
	want := []string{"namespace billing (pods invoices, ledger)", "namespace shop (pods cart)"}
	s := e.stackWith("the old control plane to be held", stack.Name, func(s *networkstackv1alpha1.NetworkStack) bool {
		return s.Status.Mesh != nil && len(s.Status.Mesh.Revisions) == 2 && slices.Equal(s.Status.Mesh.Revisions[1].HeldBy, want)
	})
	current, old := s.Status.Mesh.Revisions[0], s.Status.Mesh.Revisions[1]
	if current.Name != "1-30-3" || !current.Current || old.Name != "1-29-6" || old.Current || old.Version != istioOld {
		t.Errorf("revisions: %s", toJSON(s.Status.Mesh))
	}
	if text := toJSON(s.Status.Warnings); !strings.Contains(text, "ISTIO-REVISION-HELD") || !strings.Contains(text, "pods invoices, ledger") {
		t.Errorf("warnings: %s", text)
	}
	if c := e.component(istiodOld); c.Status.Phase != networkstackv1alpha1.PhaseReady || c.Spec.Chart.Version != istioOld {
		t.Errorf("the old control plane: %s", toJSON(c.Status))
	}
	// One namespace moves: its pods are restarted.
	e.check(e.client.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}}, client.GracePeriodSeconds(0)))
	e.injected("shop", "cart-2", "1-30-3")
	e.stackWith("the old one to be held by one namespace", stack.Name, func(s *networkstackv1alpha1.NetworkStack) bool {
		m := s.Status.Mesh
		return m != nil && len(m.Revisions) == 2 && slices.Equal(m.Revisions[1].HeldBy, want[:1])
	})
	e.component(istiodOld)
	// A new process knows it, too, and removes nothing before it does.
	e.process.Kill()
	e.startOperator()
	e.waitReady(stack.Name)
	if c := e.component(istiodOld); !c.DeletionTimestamp.IsZero() {
		t.Error("the old control plane goes while it is in use")
	}
}

func istioOldGoes(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	for _, name := range []string{"invoices", "ledger"} {
		e.check(e.client.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "billing", Name: name}}, client.GracePeriodSeconds(0)))
	}
	e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: istiodOld}})
	e.gone(&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "istio-sidecar-injector-1-29-6"}})
	e.waitReady(stack.Name)
	s := e.stackWith("one revision to be left", stack.Name, func(s *networkstackv1alpha1.NetworkStack) bool { return len(s.Status.Mesh.Revisions) == 1 })
	if strings.Contains(toJSON(s.Status.Warnings), "ISTIO-REVISION-HELD") {
		t.Errorf("warnings: %s", toJSON(s.Status.Warnings))
	}
	e.component(istiodNew)
}

func istioTagged(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.Mesh.Istio = &networkstackv1alpha1.IstioSpec{Tag: "stable"}
	e.apply(stack)
	e.waitReady(stack.Name)
	e.enrolled("shop", "istio.io/rev", "stable")
	var tag admissionregistrationv1.MutatingWebhookConfiguration
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: "istio-revision-tag-stable"}, &tag))
	if name := tag.Webhooks[0].ClientConfig.Service.Name; name != istiodNew {
		t.Errorf("the tag leads to %s", name)
	}
}

func istioAmbient(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.Mesh.Mode = networkstackv1alpha1.MeshAmbient
	stack.Spec.Mesh.Istio = nil
	e.apply(stack)
	s := e.waitReady(stack.Name)
	for _, name := range []string{"istio-base", istiodNew, "istio-cni", "ztunnel", "istio-resources"} {
		if !slices.ContainsFunc(s.Status.Components, func(c networkstackv1alpha1.ComponentSummary) bool { return c.Name == name && c.Ready }) {
			t.Errorf("%s is not Ready: %s", name, toJSON(s.Status.Components))
		}
	}
	e.enrolled("shop", "istio.io/dataplane-mode", "ambient")
	n := e.ns("shop", "without a revision", func(n *corev1.Namespace) bool { _, has := n.Labels["istio.io/rev"]; return !has })
	if n.Labels["example.com/mesh"] != "yes" {
		t.Errorf("labels of others: %v", n.Labels)
	}
	// A namespace that is no longer selected leaves.
	e.patch(&corev1.Namespace{}, client.ObjectKey{Name: "billing"}, "somebody", `{"metadata":{"labels":{"example.com/mesh":null}}}`)
	e.left("billing")
}

func istioRemoved(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.Mesh = nil
	e.apply(stack)
	// A sidecar is left from before: the control plane stays for it, and the rest goes.
	e.stackWith("the control plane to be held", stack.Name, func(s *networkstackv1alpha1.NetworkStack) bool {
		m := s.Status.Mesh
		return m != nil && len(m.Revisions) == 1 && slices.Equal(m.Revisions[0].HeldBy, []string{"namespace shop (pods cart-2)"})
	})
	e.left("shop")
	for _, name := range []string{"istio-resources", "ztunnel", "istio-cni"} {
		e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	e.component(istiodNew)
	e.component("istio-base")
	e.check(e.client.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart-2"}}, client.GracePeriodSeconds(0)))
	for _, name := range []string{istiodNew, "istio-base"} {
		e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	e.gone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "istio-system"}})
	e.noWebhooks()
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: "peerauthentications.security.istio.io"}, crd))
	e.waitReady(stack.Name)
}

// noWebhooks fails when a webhook is left.
func (e *env) noWebhooks() {
	e.t.Helper()
	var mutating admissionregistrationv1.MutatingWebhookConfigurationList
	var validating admissionregistrationv1.ValidatingWebhookConfigurationList
	e.check(e.client.List(e.t.Context(), &mutating))
	e.check(e.client.List(e.t.Context(), &validating))
	for i := range mutating.Items {
		e.t.Errorf("left: %s", mutating.Items[i].Name)
	}
	for i := range validating.Items {
		e.t.Errorf("left: %s", validating.Items[i].Name)
	}
}

func linkerdInstalled(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.Mesh = &networkstackv1alpha1.MeshSpec{
		Type: networkstackv1alpha1.MeshLinkerd, CNIPlugin: networkstackv1alpha1.Enabled, MTLS: networkstackv1alpha1.MTLSStrict,
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"example.com/mesh": "yes"}},
	}
	stack.Spec.Mesh.Version = linkerdOld
	stack.Spec.GatewayAPI = &networkstackv1alpha1.GatewayAPISpec{Channel: networkstackv1alpha1.GatewayAPIStandard} // its controllers read routes
	e.apply(stack)
	e.waitReady(stack.Name)
	e.ns("shop", "in Linkerd's mesh", func(n *corev1.Namespace) bool { return n.Annotations["linkerd.io/inject"] == "enabled" })
	var issuer corev1.Secret
	var roots corev1.ConfigMap
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "linkerd", Name: "linkerd-identity-issuer"}, &issuer))
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "linkerd", Name: "linkerd-identity-trust-roots"}, &roots))
	if got, want := strings.TrimSpace(roots.Data["ca-bundle.crt"]), strings.TrimSpace(string(issuer.Data["ca.crt"])); got == "" || got != want {
		t.Errorf("proxies trust %q, and the issuer is signed by %q", got, want)
	}
	if text := e.helm("get", "all", "linkerd", "-n", "linkerd"); strings.Contains(text, "PRIVATE KEY") {
		t.Error("Helm's release holds a key")
	}
}

func linkerdTampered(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	before := e.revision("linkerd")
	injector := client.ObjectKey{Namespace: "linkerd", Name: "linkerd-proxy-injector-k8s-tls"}
	secret := &corev1.Secret{}
	e.check(e.client.Get(t.Context(), injector, secret))
	was := secret.UID
	e.check(e.client.Delete(t.Context(), secret))
	e.eventually("the certificate to be made again", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, injector, secret)
		return err == nil && secret.UID != was, toJSON(err)
	})
	hook := &admissionregistrationv1.MutatingWebhookConfiguration{}
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: "linkerd-proxy-injector-webhook-config"}, hook))
	e.check(e.client.Delete(t.Context(), hook))
	e.eventually("the webhook to be back", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKey{Name: hook.Name}, hook)
		return err == nil && len(hook.Webhooks[0].ClientConfig.CABundle) > 0, toJSON(err)
	})
	if r := e.revision("linkerd"); r != before {
		t.Errorf("the release went from %d to %d: the pods of the control plane would restart", before, r)
	}
	linkerdIssuerRenewed(t, e)
	stack.Spec.Mesh.MTLS = networkstackv1alpha1.MTLSPermissive
	e.apply(stack)
	e.waitReady(stack.Name)
	if r := e.revision("linkerd"); r != before+1 {
		t.Errorf("the release is at %d after %d", r, before)
	}
}

// linkerdUpgraded: all charts go to the next version, and the trust anchor stays.
func linkerdUpgraded(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	var before, after corev1.Secret
	anchor := client.ObjectKey{Namespace: "linkerd", Name: "linkerd-identity-trust-anchor"}
	e.check(e.client.Get(t.Context(), anchor, &before))
	stack.Spec.Mesh.Version = ""
	e.apply(stack)
	e.waitReady(stack.Name)
	for _, name := range []string{"linkerd-crds", "linkerd-cni", "linkerd"} {
		if got := e.component(name).Status.Release.ChartVersion; got != linkerdNew {
			t.Errorf("%s is at %s", name, got)
		}
	}
	var d appsv1.Deployment
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "linkerd", Name: "linkerd-destination"}, &d))
	if images := toJSON(d.Spec.Template.Spec); strings.Contains(images, "edge-26.7.2") || !strings.Contains(images, "edge-26.8.3") {
		t.Errorf("the control plane runs %s", images)
	}
	e.check(e.client.Get(t.Context(), anchor, &after))
	if before.UID != after.UID || toJSON(before.Data) != toJSON(after.Data) {
		t.Error("the trust anchor is another one")
	}
}

// linkerdIssuerRenewed: two months pass. The issuer is one that was made so long ago that it is due in some seconds.
func linkerdIssuerRenewed(t *testing.T, e *env) {
	const validity, soon = 90 * 24 * time.Hour, 4 * time.Second
	var anchor, issuer corev1.Secret
	key := client.ObjectKey{Namespace: "linkerd", Name: "linkerd-identity-issuer"}
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "linkerd", Name: "linkerd-identity-trust-anchor"}, &anchor))
	e.check(e.client.Get(t.Context(), key, &issuer))
	authority, ok := certificates.ParseAuthority(anchor.Data)
	if !ok {
		t.Fatal("the trust anchor cannot be read")
	}
	name := "identity.linkerd.cluster.local"
	old, err := certificates.Issue(certificates.Renew, nil, certificates.Spec{CommonName: name, DNSNames: []string{name}, Authority: true, Validity: validity},
		authority, time.Now().Add(-validity/3*2+soon))
	e.check(err)
	before, revision := e.controlPlane(), e.revision("linkerd")
	issuer.Data = old
	e.check(e.client.Update(t.Context(), &issuer))
	e.eventually("the issuer to be renewed", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, key, &issuer)
		return err == nil && string(issuer.Data["tls.crt"]) != string(old["tls.crt"]), issuer.ResourceVersion
	})
	if string(issuer.Data["ca.crt"]) != string(old["ca.crt"]) {
		t.Error("another anchor is to be trusted")
	}
	e.waitComponent("linkerd", networkstackv1alpha1.ConditionReady, networkstackv1alpha1.ReasonReady)
	if after := e.controlPlane(); after != before || e.revision("linkerd") != revision {
		t.Errorf("the control plane was %s at revision %d, and is %s at %d", before, revision, after, e.revision("linkerd"))
	}
}

// controlPlane tells the generations of Linkerd's Deployments, and the pods that run.
func (e *env) controlPlane() string {
	e.t.Helper()
	var deployments appsv1.DeploymentList
	var pods corev1.PodList
	e.check(e.client.List(e.t.Context(), &deployments, client.InNamespace("linkerd")))
	e.check(e.client.List(e.t.Context(), &pods, client.InNamespace("linkerd")))
	var out []string
	for i := range deployments.Items {
		out = append(out, fmt.Sprintf("%s/%d", deployments.Items[i].Name, deployments.Items[i].Generation))
	}
	for i := range pods.Items {
		out = append(out, pods.Items[i].Name)
	}
	return strings.Join(out, " ")
}

func meshDeleted(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.check(e.client.Delete(t.Context(), e.stack(stack.Name)))
	e.gone(e.stackObject(stack.Name))
	e.left("shop")
	e.noWebhooks()
	for _, name := range []string{"linkerd", "linkerd-cni"} {
		var n corev1.Namespace
		if err := e.client.Get(t.Context(), types.NamespacedName{Name: name}, &n); !apierrors.IsNotFound(err) && n.DeletionTimestamp.IsZero() {
			t.Errorf("namespace %s is left: %v", name, err)
		}
	}
}
