package facts

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// TestOwnKeys wants keys to be read once a minute at the most, and again when others are asked for.
func TestOwnKeys(t *testing.T) {
	reads, broken := 0, false
	live := fake.NewClientBuilder().WithObjects(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "mine"}, Data: map[string][]byte{"keys": []byte("hunter2")},
	}).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			reads++
			if broken {
				return errors.New("timeout")
			}
			return c.Get(ctx, key, o, opts...)
		},
	}).Build()
	d := &Discoverer{Live: live}
	at := KeysAt{Namespace: "kube-system", Name: "mine", Key: "keys", Kind: networkstackv1alpha1.SecretIPsecKeys}
	look := func(at KeysAt, problem string, wantReads int) {
		t.Helper()
		found, err := d.OwnKeys(t.Context(), at)
		if err != nil || found.KeysAt != at || !strings.Contains(found.Problem, problem) || (found.Problem == "") != (problem == "") ||
			strings.Contains(found.Problem, "hunter2") || reads != wantReads {
			t.Errorf("%+v after %d reads, %v", found, reads, err)
		}
	}
	look(at, "does not begin with a number", 1)
	look(at, "does not begin with a number", 1)
	other := at
	other.Name = "other"
	look(other, "does not exist", 2)
	if err := live.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "other"},
		Data: map[string][]byte{"keys": []byte("3+ rfc4106(gcm(aes)) " + strings.Repeat("ab", 20) + " 128")}}); err != nil {
		t.Fatal(err)
	}
	look(other, "does not exist", 2)
	d.ownKeys.read = time.Now().Add(-LookAgain)
	look(other, "", 3)
	broken = true
	if _, err := d.OwnKeys(t.Context(), at); err == nil {
		t.Error("what cannot be read is no finding")
	}
}
