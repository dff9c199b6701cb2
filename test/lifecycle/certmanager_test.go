package lifecycle

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

const (
	issuedName      = "ingress-edge"
	issuedResources = "ingress-edge-resources"
	issuedSecret    = "ingress-edge-tls"
	issuedNamespace = "traefik"
)

// issuedIngress is a controller whose default certificate is of an issuer.
func issuedIngress() networkstackv1alpha1.IngressSpec {
	return networkstackv1alpha1.IngressSpec{
		Name: "edge", Type: networkstackv1alpha1.IngressTraefik,
		DefaultCertificate: &networkstackv1alpha1.IngressCertificate{
			Issuer: &networkstackv1alpha1.IngressIssuer{Name: "corporate"}, DNSNames: []string{"*.example.com"},
		},
	}
}

// certManagerAnswered has the API server ask the test in place of cert-manager's webhooks.
func (e *env) certManagerAnswered(server *httptest.Server) {
	e.t.Helper()
	for _, hooks := range certManagerWebhooks() {
		body := toJSON(map[string]any{"webhooks": []any{map[string]any{
			"name": "webhook.cert-manager.io", "clientConfig": map[string]any{"service": nil, "url": server.URL, "caBundle": authority(server)},
		}}})
		e.check(e.client.Patch(e.t.Context(), hooks, client.RawPatch(types.StrategicMergePatchType, []byte(body)), client.FieldOwner("test")))
	}
}

// certManagerUnanswered has the API server ask cert-manager's own Service again, as the chart's next revision will have it.
func (e *env) certManagerUnanswered() {
	e.t.Helper()
	for _, hooks := range certManagerWebhooks() {
		e.check(e.client.Delete(e.t.Context(), hooks))
		e.eventually("the webhooks to be restored", func(ctx context.Context) (bool, string) {
			err := e.client.Get(ctx, client.ObjectKeyFromObject(hooks), hooks)
			text := toJSON(hooks)
			return err == nil && strings.Contains(text, `"service":{`) && hooks.GetDeletionTimestamp() == nil, text
		})
	}
}

func certManagerWebhooks() []client.Object {
	name := metav1.ObjectMeta{Name: "cert-manager-webhook"}
	return []client.Object{&admissionv1.MutatingWebhookConfiguration{ObjectMeta: name}, &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: name}}
}

func issuedObject() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"})
	u.SetNamespace(issuedNamespace)
	u.SetName(issuedName)
	return u
}

// issuer is that of the Certificate there is.
func (e *env) issuer(want string) {
	e.t.Helper()
	e.eventually("the Certificate of "+want, func(ctx context.Context) (bool, string) {
		u := issuedObject()
		if err := e.client.Get(ctx, client.ObjectKeyFromObject(u), u); err != nil {
			return false, err.Error()
		}
		kind, _, _ := unstructured.NestedString(u.Object, "spec", "issuerRef", "kind")
		name, _, _ := unstructured.NestedString(u.Object, "spec", "issuerRef", "name")
		secret, _, _ := unstructured.NestedString(u.Object, "spec", "secretName")
		return kind+" "+name == want && secret == issuedSecret, toJSON(u.Object["spec"])
	})
}

// issuedCertificate does what cert-manager would; that is no drift. What is wanted anew reaches the Certificate, and what others
// change of it is put right.
func issuedCertificate(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.issuer("ClusterIssuer corporate")
	e.check(e.client.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: issuedNamespace, Name: issuedSecret}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: []byte("certificate"), corev1.TLSPrivateKeyKey: []byte("key")},
	}, client.FieldOwner("cert-manager")))
	u := issuedObject()
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(u), u))
	ready := map[string]any{"type": "Ready", "status": "True", "reason": "Ready", "message": "up to date", "lastTransitionTime": "2026-01-01T00:00:00Z"}
	e.check(unstructured.SetNestedSlice(u.Object, []any{ready}, "status", "conditions"))
	e.check(e.client.Status().Update(t.Context(), u, client.FieldOwner("cert-manager")))
	var traefik appsv1.Deployment
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: issuedNamespace, Name: issuedName}, &traefik))
	if traefik.Status.AvailableReplicas != 2 {
		t.Errorf("%d of the controller are available", traefik.Status.AvailableReplicas)
	}
	if n := e.count(issuedResources); n != 0 {
		t.Errorf("%d drifts by what cert-manager does: %s", n, toJSON(e.component(issuedResources).Status.Drift))
	}

	stack.Spec.Ingress[0].DefaultCertificate.Issuer = &networkstackv1alpha1.IngressIssuer{Kind: networkstackv1alpha1.Issuer, Name: "team"}
	e.apply(stack)
	e.issuer("Issuer team")
	e.waitReady(stack.Name)

	e.merge(issuedObject(), "kubectl-edit", `{"spec":{"issuerRef":{"name":"mine"}}}`)
	last := e.drifts(issuedResources, 1)
	if last.Object != "Certificate traefik/ingress-edge" || last.Manager != "kubectl-edit" || last.Fields[0].Path != ".spec.issuerRef.name" {
		t.Errorf("%s", toJSON(last))
	}
	e.issuer("Issuer team")
	e.certManagerUnanswered()
	e.waitReady(stack.Name)
}

// issuedCertificateGone wants the Certificate gone with its controller, and the Secret, which is cert-manager's, left.
func issuedCertificateGone(t *testing.T, e *env) {
	for _, name := range []string{issuedName, issuedResources} {
		e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	e.gone(issuedObject())
	var secret corev1.Secret
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: issuedNamespace, Name: issuedSecret}, &secret))
	if string(secret.Data[corev1.TLSPrivateKeyKey]) != "key" {
		t.Errorf("the Secret has %d fields", len(secret.Data))
	}
}
