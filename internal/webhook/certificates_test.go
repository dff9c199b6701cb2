package webhook

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/networkstack/networkstack/internal/certificates"
)

// TestCertificates goes through the years of a webhook: at every moment the API server trusts what a replica serves with, and so it does
// with what it had read a moment before.
func TestCertificates(t *testing.T) {
	const namespace = "networkstack-system"
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(&admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ConfigurationName},
		Webhooks:   []admissionregistrationv1.ValidatingWebhook{{Name: "a.example.com"}, {Name: "b.example.com"}},
	}).Build()
	now := time.Now().Truncate(time.Second)
	begin := now
	keeper := &Certificates{Client: c, Namespace: namespace, Keeper: &certificates.Keeper{
		Live: c, Client: c, Now: func() time.Time { return now },
	}}
	replica := &Serving{Reader: c, Namespace: namespace}
	served := func() *x509.Certificate {
		t.Helper()
		got, err := replica.current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return got.Leaf
	}
	trusted := func(bundle []byte, leaf *x509.Certificate) {
		t.Helper()
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(bundle)
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, DNSName: "networkstack-webhook.networkstack-system.svc"})
		if err != nil {
			t.Fatalf("after %s: %v", now.Sub(begin), err)
		}
	}
	if _, err := replica.current(t.Context()); err == nil {
		t.Error("something is served before there is a certificate")
	}
	var bundle []byte
	var leaf *x509.Certificate
	leaves, bundles, renewals := map[string]bool{}, map[string]bool{}, 0
	for now.Sub(begin) < 8*365*day {
		result, err := keeper.Reconcile(t.Context(), ctrl.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if result.RequeueAfter <= 0 || result.RequeueAfter > servingValidity {
			t.Fatalf("comes back after %s", result.RequeueAfter)
		}
		var live admissionregistrationv1.ValidatingWebhookConfiguration
		if err := c.Get(t.Context(), client.ObjectKey{Name: ConfigurationName}, &live); err != nil {
			t.Fatal(err)
		}
		was, before := bundle, leaf
		bundle, leaf = live.Webhooks[0].ClientConfig.CABundle, served()
		if !bytes.Equal(bundle, live.Webhooks[1].ClientConfig.CABundle) {
			t.Fatal("the webhooks differ")
		}
		trusted(bundle, leaf)
		if before != nil && now.Before(before.NotAfter) {
			trusted(bundle, before) // by another replica, which lags behind
			trusted(was, leaf)      // by an API server that does
		}
		if before != nil && !before.Equal(leaf) {
			renewals++
			if left := before.NotAfter.Sub(now); left < servingValidity/4 {
				t.Fatalf("renewed %s before the end", left)
			}
		}
		leaves[leaf.SerialNumber.String()], bundles[string(bundle)] = true, true
		now = now.Add(result.RequeueAfter)
	}
	if len(leaves) < 40 || len(leaves) != renewals+1 || len(bundles) < 3 {
		t.Errorf("%d certificates, %d renewals, %d bundles", len(leaves), renewals, len(bundles))
	}

	// While there is no Secret, what was served is served.
	if err := c.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: servingSecret}}); err != nil {
		t.Fatal(err)
	}
	if !served().Equal(leaf) {
		t.Error("another certificate")
	}
	// Without a configuration nobody asks, and nothing is made.
	if err := c.DeleteAllOf(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{}); err != nil {
		t.Fatal(err)
	}
	if result, err := keeper.Reconcile(t.Context(), ctrl.Request{}); err != nil || result.RequeueAfter != 0 {
		t.Errorf("%v, %v", result, err)
	}
}
