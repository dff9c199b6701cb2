package keys

import (
	"errors"
	"strings"
	"testing"

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

// TestKeeper takes Secrets through their life on a real API server.
func TestKeeper(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	c, err := client.New(controlplane.ForTest(t, controlplane.Options{}).RESTConfig(), client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	keeper := &Keeper{Live: c, Client: c}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	wanted := []networkstackv1alpha1.GeneratedSecret{
		{SecretName: "pw", Kind: password, RevisionValue: "password.revision"}, {SecretName: "ipsec", Kind: ipsec},
	}
	var before []networkstackv1alpha1.GeneratedSecretStatus
	ensure := func(changes ...Change) *Outcome {
		t.Helper()
		out, err := keeper.Ensure(t.Context(), "cni", namespace, wanted, before)
		check(err)
		before = out.Secrets
		if diff := cmp.Diff(changes, out.Changes); diff != "" {
			t.Errorf("done (-want +got):\n%s", diff)
		}
		return out
	}
	secret := func(name string) *corev1.Secret {
		t.Helper()
		var s corev1.Secret
		check(c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &s))
		return &s
	}
	gone := func(name string) bool {
		t.Helper()
		err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &corev1.Secret{})
		check(client.IgnoreNotFound(err))
		return apierrors.IsNotFound(err)
	}
	const pw, keysName = namespace + "/pw", namespace + "/ipsec"

	// Made once, then kept; nothing of the content is told.
	out := ensure(Change{pw, Create, "there is none"}, Change{keysName, Create, "there is none"})
	first := secret("pw")
	want := map[string]string{networkstackv1alpha1.ComponentLabel: "cni", networkstackv1alpha1.GeneratedSecretLabel: "Password"}
	if diff := cmp.Diff(want, first.Labels); diff != "" || len(first.Data) != 1 || len(first.Annotations) != 1 {
		t.Errorf("%d keys, annotations %v, labels:\n%s", len(first.Data), first.Annotations, diff)
	}
	again := ensure()
	if secret("pw").ResourceVersion != first.ResourceVersion {
		t.Error("written although nothing is to be done")
	}
	// The watches compare with what is answered: right after writing it must be what a later look finds.
	for i, s := range out.Objects {
		a, _ := release.FieldsHash(&s, networkstackv1alpha1.FieldManager)
		b, ok := release.FieldsHash(&again.Objects[i], networkstackv1alpha1.FieldManager)
		if !ok || a != b || s.ResourceVersion != again.Objects[i].ResourceVersion || s.UID == "" {
			t.Errorf("%s: %s %s, then %s %s", s.Name, s.ResourceVersion, a, again.Objects[i].ResourceVersion, b)
		}
	}
	if diff := cmp.Diff(out.Secrets, again.Secrets); diff != "" || out.Secrets[0].Revision == out.Secrets[1].Revision || out.Secrets[0].Revision == "" {
		t.Errorf("revisions %+v\n%s", out.Secrets, diff)
	}

	// Rotated once for each rotation.
	wanted[0].Rotation, wanted[1].Rotation = "2026-06", "b"
	out = ensure(Change{pw, Rotate, "another rotation is asked for"}, Change{keysName, Rotate, "another rotation is asked for"})
	rotated := secret("pw")
	if string(rotated.Data["password"]) == string(first.Data["password"]) || rotated.UID != first.UID || out.Secrets[0].Revision == again.Secrets[0].Revision ||
		out.Secrets[0].Rotation != "2026-06" || !strings.HasPrefix(string(secret("ipsec").Data["keys"]), "4+ ") {
		t.Errorf("not rotated in place: %+v", out.Secrets)
	}
	ensure()
	wanted[0].Rotation = ""
	ensure()

	// What somebody else wrote is not taken; labels come back without other content.
	broken := secret("pw")
	broken.Data["password"] = []byte("hunter2")
	check(c.Update(t.Context(), broken))
	ensure(Change{pw, Create, "it does not hold what the operator makes"})
	bare := secret("pw")
	content := string(bare.Data["password"])
	bare.Labels = nil
	check(c.Update(t.Context(), bare))
	ensure(Change{pw, Mark, "its labels or annotations were changed"})
	if s := secret("pw"); string(s.Data["password"]) != content || s.Labels[networkstackv1alpha1.ComponentLabel] != "cni" {
		t.Error("the labels are not back, or the content is another one")
	}
	check(c.Delete(t.Context(), secret("pw")))
	check(c.Delete(t.Context(), secret("ipsec")))
	out = ensure(Change{pw, Create, "there is none"}, Change{keysName, Create, "there is none"})
	if !strings.HasPrefix(string(secret("ipsec").Data["keys"]), "5+ ") || out.Secrets[1].KeyID != 5 {
		t.Errorf("the key that agents have may have the same number: %+v", out.Secrets[1])
	}

	// What is no longer wanted goes; what is another component's, or the chart's, stays.
	check(c.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "of-the-chart",
		Labels: map[string]string{networkstackv1alpha1.ComponentLabel: "cni"}}}))
	check(keeper.Prune(t.Context(), "other", namespace, nil))
	check(keeper.Prune(t.Context(), "cni", namespace, wanted))
	if gone("pw") || gone("ipsec") {
		t.Error("deleted although it is wanted")
	}
	check(keeper.Prune(t.Context(), "cni", namespace, wanted[:1]))
	if gone("pw") || !gone("ipsec") || gone("of-the-chart") {
		t.Error("the wrong ones were deleted")
	}

	// One of somebody else's is used as it is, and never written. Its owner says when it is another one.
	theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ipsec"},
		Data: map[string][]byte{"keys": []byte("7+ rfc4106(gcm(aes)) " + strings.Repeat("ab", 20) + " 128\n")}}
	check(c.Create(t.Context(), theirs))
	out = ensure()
	if diff := cmp.Diff(networkstackv1alpha1.GeneratedSecretStatus{SecretName: "ipsec", Revision: "b", Rotation: "b", External: true}, out.Secrets[1]); diff != "" ||
		len(out.Objects) != 1 || secret("ipsec").ResourceVersion != theirs.ResourceVersion {
		t.Errorf("%d objects\n%s", len(out.Objects), diff)
	}
	check(keeper.Prune(t.Context(), "cni", namespace, nil))
	if gone("ipsec") || !gone("pw") {
		t.Error("the Secret of somebody else's is gone, or ours is not")
	}
	// One that the agents would stop on is not.
	for _, data := range []map[string][]byte{{"other": []byte("hunter2")}, {"keys": []byte("hunter2")}} {
		theirs.Data = data
		check(c.Update(t.Context(), theirs))
		_, err = keeper.Ensure(t.Context(), "cni", namespace, wanted, before)
		var problem *SecretError
		if !errors.As(err, &problem) || problem.Secret != keysName || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
}
