package certificates

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/test/controlplane"
)

const namespace = "kube-system"

// bench is a keeper on a real API server, with a clock of its own.
type bench struct {
	t      *testing.T
	client client.Client
	keeper *Keeper
	now    time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	c, err := client.New(controlplane.ForTest(t, controlplane.Options{}).RESTConfig(), client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, client: c, now: start}
	b.keeper = &Keeper{Live: c, Client: c, Now: func() time.Time { return b.now }}
	return b
}

func wanted() []networkstackv1alpha1.Certificate {
	// The authority need not come first.
	return []networkstackv1alpha1.Certificate{
		{SecretName: "leaf", CASecretName: "ca", CommonName: "*.example.com", DNSNames: []string{"*.example.com"}, IPAddresses: []string{"192.0.2.1"},
			Usages:   []networkstackv1alpha1.CertificateUsage{networkstackv1alpha1.UsageServerAuth},
			Validity: metav1.Duration{Duration: 30 * day}},
		{SecretName: "ca", CommonName: "Test CA", Validity: metav1.Duration{Duration: 300 * day}},
	}
}

func (b *bench) ensure(list []networkstackv1alpha1.Certificate) *Outcome {
	b.t.Helper()
	out, err := b.keeper.Ensure(b.t.Context(), "cni", namespace, list)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) secret(name string) *corev1.Secret {
	b.t.Helper()
	var s corev1.Secret
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &s); err != nil {
		b.t.Fatal(err)
	}
	return &s
}

func (b *bench) gone(name string) bool {
	b.t.Helper()
	err := b.client.Get(b.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &corev1.Secret{})
	if client.IgnoreNotFound(err) != nil {
		b.t.Fatal(err)
	}
	return apierrors.IsNotFound(err)
}

func (b *bench) did(out *Outcome, want ...Change) {
	b.t.Helper()
	if diff := cmp.Diff(want, out.Changes); diff != "" {
		b.t.Errorf("done (-want +got):\n%s", diff)
	}
}

func TestKeeper(t *testing.T) {
	b := newBench(t)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const nsLeaf, nsCA = namespace + "/leaf", namespace + "/ca"

	// Made once, then kept.
	out := b.ensure(wanted())
	b.did(out, Change{nsCA, Create, "there is none"}, Change{nsLeaf, Create, "there is none"})
	leaf, ca := b.secret("leaf"), b.secret("ca")
	for name, label := range map[string]string{"leaf": "Leaf", "ca": "Authority"} {
		s := b.secret(name)
		want := map[string]string{networkstackv1alpha1.ComponentLabel: "cni", networkstackv1alpha1.CertificateLabel: label}
		if diff := cmp.Diff(want, s.Labels); diff != "" || s.Type != corev1.SecretTypeTLS || len(s.Data) != 3 {
			t.Errorf("%s is a %s with %d keys; labels:\n%s", name, s.Type, len(s.Data), diff)
		}
	}
	again := b.ensure(wanted())
	b.did(again)
	if b.secret("leaf").ResourceVersion != leaf.ResourceVersion || b.secret("ca").ResourceVersion != ca.ResourceVersion {
		t.Error("written although nothing is to be done")
	}
	// The watches compare with what is answered: right after writing it must be what a later look finds.
	for i, s := range out.Secrets {
		made, _ := release.FieldsHash(&s, networkstackv1alpha1.FieldManager)
		found, ok := release.FieldsHash(&again.Secrets[i], networkstackv1alpha1.FieldManager)
		if !ok || made != found || s.ResourceVersion != again.Secrets[i].ResourceVersion || s.UID == "" {
			t.Errorf("%s: %s %s, then %s %s", s.Name, s.ResourceVersion, made, again.Secrets[i].ResourceVersion, found)
		}
	}

	// Renewed in time, with another key, signed by the same authority.
	b.now = out.Certificates[1].RenewAt.Time
	renewed := b.ensure(wanted())
	b.did(renewed, Change{nsLeaf, Renew, "two thirds of its time are over"})
	if s := b.secret("leaf"); s.UID != leaf.UID || string(s.Data["tls.key"]) == string(leaf.Data["tls.key"]) || string(s.Data["ca.crt"]) != string(leaf.Data["ca.crt"]) {
		t.Error("not renewed in place with another key")
	}
	if !renewed.Certificates[1].RenewAt.After(b.now) {
		t.Errorf("to be renewed again at %s", renewed.Certificates[1].RenewAt)
	}

	// The authority is replaced in two steps; its successor's key leaves the place it waited in.
	b.now = out.Certificates[0].RenewAt.Time
	b.did(b.ensure(wanted()), Change{nsCA, Introduce, "two thirds of its time are over"}, Change{nsLeaf, Create, "it has expired or is signed by another authority"})
	if s := b.secret("ca"); len(s.Data) != 5 {
		t.Errorf("the authority's Secret has %d keys", len(s.Data))
	}
	b.now = b.now.Add(maxOverlap)
	b.did(b.ensure(wanted()), Change{nsCA, Promote, "its successor is known everywhere by now"})
	if s := b.secret("ca"); len(s.Data) != 3 || string(s.Data["tls.key"]) == string(ca.Data["tls.key"]) {
		t.Errorf("the authority's Secret has %d keys", len(s.Data))
	}

	// What somebody else wrote into it, or deleted, is put right.
	broken := b.secret("leaf")
	broken.Data["tls.crt"] = []byte("x")
	check(b.client.Update(t.Context(), broken))
	b.did(b.ensure(wanted()), Change{nsLeaf, Create, "the certificate cannot be read or its key is another one's"})
	check(b.client.Delete(t.Context(), b.secret("leaf")))
	b.did(b.ensure(wanted()), Change{nsLeaf, Create, "there is none"})

	// What is no longer wanted goes; what is another component's, or nobody's, stays.
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "of-the-chart", Labels: map[string]string{
		networkstackv1alpha1.ComponentLabel: "cni"}}}
	check(b.client.Create(t.Context(), foreign))
	check(b.keeper.Prune(t.Context(), "other", namespace, nil))
	check(b.keeper.Prune(t.Context(), "cni", namespace, wanted()))
	if b.gone("leaf") || b.gone("ca") {
		t.Error("deleted although it is wanted")
	}
	check(b.keeper.Prune(t.Context(), "cni", namespace, wanted()[1:]))
	if !b.gone("leaf") || b.gone("ca") {
		t.Error("the certificate is still there, or the authority is not")
	}
	check(b.keeper.Prune(t.Context(), "cni", namespace, nil))
	if !b.gone("ca") || b.gone("of-the-chart") {
		t.Error("the authority is still there, or a Secret of the chart is not")
	}
}

// TestExternal wants Secrets of others to be used as they are, and never written.
func TestExternal(t *testing.T) {
	b := newBench(t)
	create := func(name string, data map[string][]byte) *corev1.Secret {
		t.Helper()
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: data}
		if err := b.client.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	theirs := authority(t, start)
	delete(theirs, "ca.crt")
	ca := create("ca", theirs)
	out := b.ensure(wanted())
	b.did(out, Change{namespace + "/leaf", Create, "there is none"})
	if len(out.Secrets) != 1 || out.Certificates[0].RenewAt != nil || out.Certificates[0].NotAfter == nil {
		t.Errorf("%+v", out)
	}
	if !parsed(t, theirs).trusts(parseBundle(b.secret("leaf").Data["tls.crt"])[0], start) || string(b.secret("leaf").Data["ca.crt"]) != string(theirs["tls.crt"]) {
		t.Error("not signed by the authority that was there")
	}

	if err := b.client.Delete(t.Context(), b.secret("leaf")); err != nil {
		t.Fatal(err)
	}
	leaf := create("leaf", map[string][]byte{"tls.crt": []byte("whatever they like")})
	b.did(b.ensure(wanted()))
	b.now = start.Add(290 * day)
	b.did(b.ensure(wanted()))
	if err := b.keeper.Prune(t.Context(), "cni", namespace, nil); err != nil {
		t.Fatal(err)
	}
	if b.secret("leaf").ResourceVersion != leaf.ResourceVersion || b.secret("ca").ResourceVersion != ca.ResourceVersion {
		t.Error("a Secret of somebody else's was written")
	}

	// An authority without its key can sign nothing, and that is for its owner to put right.
	ca.Data = map[string][]byte{"tls.crt": theirs["tls.crt"], "tls.key": []byte("hunter2")}
	if err := b.client.Update(t.Context(), ca); err != nil {
		t.Fatal(err)
	}
	_, err := b.keeper.Ensure(t.Context(), "cni", namespace, wanted())
	var problem *SecretError
	if !errors.As(err, &problem) || problem.Secret != namespace+"/ca" || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}
