package facts

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/keys"
)

// LookAgain is how long what was read of the API server holds that nothing tells of changes of.
const LookAgain = time.Minute

// KeysAt is where a user's own keys are to be: under a key of a Secret's data.
type KeysAt struct {
	Namespace string                                   `json:"namespace,omitzero"`
	Name      string                                   `json:"name,omitzero"`
	Key       string                                   `json:"key,omitzero"`
	Kind      networkstackv1alpha1.GeneratedSecretKind `json:"kind,omitzero"`
}

// OwnKeys is what is known of a user's own keys.
type OwnKeys struct {
	KeysAt `json:",inline"`
	// Problem is what is wrong with them, and tells nothing of them; empty when nothing is.
	Problem string `json:"problem,omitzero"`
}

// ownKeys is what was read last, and when.
type ownKeys struct {
	OwnKeys
	read time.Time
}

// OwnKeys looks at a user's own keys. They are read from the API server itself, at most once a minute, and nothing of them is kept.
func (d *Discoverer) OwnKeys(ctx context.Context, at KeysAt) (*OwnKeys, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.ownKeys; known.KeysAt == at && time.Since(known.read) < LookAgain {
		return &known.OwnKeys, nil
	}
	out := OwnKeys{KeysAt: at}
	var s corev1.Secret
	err := d.Live.Get(ctx, client.ObjectKey{Namespace: at.Namespace, Name: at.Name}, &s)
	switch {
	case apierrors.IsNotFound(err):
		out.Problem = "it does not exist"
	case err != nil:
		return nil, fmt.Errorf("reading Secret %s/%s: %w", at.Namespace, at.Name, err)
	default:
		out.Problem = keys.Problem(s.Data, at.Kind, at.Key)
	}
	d.ownKeys = ownKeys{out, time.Now()}
	return &out, nil
}
