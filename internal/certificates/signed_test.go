package certificates

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

var (
	rootSpec   = Spec{CommonName: "root", Validity: 1000 * day, SignsAuthorities: true}
	issuerSpec = Spec{CommonName: "issuer", DNSNames: []string{"issuer"}, Validity: 90 * day, Authority: true}
)

// TestSignedAuthority wants an authority that another one signs to be able to sign, and to be trusted by who trusts the root.
func TestSignedAuthority(t *testing.T) {
	data, err := CarryOut(Create, nil, rootSpec, start)
	if err != nil {
		t.Fatal(err)
	}
	if v := JudgeAuthority(data, rootSpec, start); v.Action != Keep {
		t.Fatalf("a fresh root: %+v", v)
	}
	root := parsed(t, data)
	made := issue(t, Create, nil, issuerSpec, root, start)
	if v := JudgeLeaf(made, issuerSpec, root, start); v.Action != Keep {
		t.Fatalf("a fresh issuer: %+v", v)
	}
	chained(t, made, root, start.Add(time.Hour))
	plain := issuerSpec
	plain.Authority = false
	if v := JudgeLeaf(made, plain, root, start); v.Action != Create || v.Reason != "it was made for something else" {
		t.Errorf("an authority in place of a leaf: %+v", v)
	}
	narrow, err := CarryOut(Create, nil, Spec{CommonName: "root", Validity: 1000 * day}, start)
	if err != nil {
		t.Fatal(err)
	}
	if v := JudgeAuthority(narrow, rootSpec, start); v.Action != Create || v.Reason != "it may not sign authorities" {
		t.Errorf("a root that may not sign authorities: %+v", v)
	}
}

// proxyOf is a certificate that the issuer signs.
func proxyOf(t *testing.T, issuer map[string][]byte, root *Authority, at time.Time) *x509.Certificate {
	t.Helper()
	a, ok := ParseAuthority(map[string][]byte{certKey: issuer[certKey], privateKey: issuer[privateKey], bundleKey: root.Bundle})
	if !ok {
		t.Fatal("the issuer is no authority")
	}
	leaf := issue(t, Create, nil, Spec{CommonName: "proxy", DNSNames: []string{"proxy"}, Validity: day}, a, at)
	return parseBundle(leaf[certKey])[0]
}

// chained verifies a proxy's certificate by way of the issuer.
func chained(t *testing.T, issuer map[string][]byte, root *Authority, at time.Time) {
	t.Helper()
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(root.Bundle)
	between.AppendCertsFromPEM(issuer[certKey])
	leaf := proxyOf(t, issuer, root, at)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, DNSName: "proxy"}); err != nil {
		t.Errorf("a proxy's certificate at %s: %v", at, err)
	}
}

// TestIssuerInTime moves the clock, half a day at a time, over a year: at every moment there is an issuer that is valid for a week
// more, proxies of the one before are still trusted, and the anchor never changes.
func TestIssuerInTime(t *testing.T) {
	b := newBench(t)
	list := []networkstackv1alpha1.Certificate{
		{SecretName: "anchor", CommonName: "root", Validity: metav1.Duration{Duration: 3650 * day}, BundleValue: "anchors"},
		{SecretName: "issuer", CASecretName: "anchor", Authority: true, CommonName: "issuer", DNSNames: []string{"issuer"}, Validity: metav1.Duration{Duration: 90 * day}},
	}
	out := b.ensure(list)
	bundle := out.Bundles["anchor"]
	anchor, ok := ParseAuthority(b.secret("anchor").Data)
	if !ok || bundle == "" || bundle != out.Bundles["issuer"] {
		t.Fatalf("the bundles are %q and %q", bundle, out.Bundles["issuer"])
	}
	renewals := 0
	for end := start.Add(365 * day); b.now.Before(end); b.now = b.now.Add(12 * time.Hour) {
		out := b.ensure(list)
		for _, c := range out.Changes {
			if c.Secret != namespace+"/issuer" || c.Action != Renew {
				t.Fatalf("at %s: %+v", b.now, c)
			}
			renewals++
		}
		if out.Bundles["anchor"] != bundle {
			t.Fatalf("at %s another anchor is to be trusted", b.now)
		}
		issuer := b.secret("issuer").Data
		if left := parseBundle(issuer[certKey])[0].NotAfter.Sub(b.now); left < 7*day {
			t.Fatalf("at %s the issuer has %s left", b.now, left)
		}
		if len(out.Changes) > 0 {
			chained(t, issuer, anchor, b.now)
		}
	}
	if renewals < 5 || renewals > 7 {
		t.Errorf("%d renewals in a year, of what is renewed every 60 days", renewals)
	}
}

// TestExternalRoot wants a root that somebody has to bring not to be made, and used as it is when it is there.
func TestExternalRoot(t *testing.T) {
	b := newBench(t)
	list := []networkstackv1alpha1.Certificate{
		{SecretName: "shared", CommonName: "ignored", External: true, Validity: metav1.Duration{Duration: day}},
		{SecretName: "cacerts", CASecretName: "shared", Authority: true, CommonName: "east", Validity: metav1.Duration{Duration: 90 * day}},
	}
	var problem *SecretError
	if _, err := b.keeper.Ensure(t.Context(), "cni", namespace, list); !errors.As(err, &problem) || !b.gone("shared") || !b.gone("cacerts") {
		t.Fatalf("without a root: %v", err)
	}
	put := func(spec Spec) {
		data, err := CarryOut(Create, nil, spec, start)
		if err != nil {
			t.Fatal(err)
		}
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shared"}, Data: data}
		_ = b.client.Delete(t.Context(), s.DeepCopy())
		if err := b.client.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	put(Spec{CommonName: "shared root", Validity: 1000 * day})
	if _, err := b.keeper.Ensure(t.Context(), "cni", namespace, list); !errors.As(err, &problem) || problem.Problem != "its certificate may not sign authorities" {
		t.Fatalf("with a root that may not sign authorities: %v", err)
	}
	put(rootSpec)
	version := b.secret("shared").ResourceVersion
	out := b.ensure(list)
	root, _ := ParseAuthority(b.secret("shared").Data)
	chained(t, b.secret("cacerts").Data, root, b.now)
	if b.secret("shared").ResourceVersion != version || len(out.Changes) != 1 {
		t.Errorf("the root was written, or more was done: %+v", out.Changes)
	}
	if err := b.keeper.Prune(t.Context(), "cni", namespace, nil); err != nil || !b.gone("cacerts") || b.gone("shared") {
		t.Errorf("what was made has to go, and what was brought has to stay: %v", err)
	}
}
