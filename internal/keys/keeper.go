package keys

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/secrets"
)

// SecretError says that a Secret that somebody else made cannot be used.
type SecretError struct {
	// Secret is "namespace/name".
	Secret string
	// Problem never holds anything of the Secret.
	Problem string
}

func (e *SecretError) Error() string {
	return fmt.Sprintf("Secret %s, which the operator did not make: %s: correct it, or delete it to have one made", e.Secret, e.Problem)
}

// Keeper keeps the generated Secrets of components. Secrets are read where no cache has them.
type Keeper struct {
	Live   client.Reader
	Client client.Client
}

// Change is something that was done to a Secret.
type Change struct {
	Secret string
	Action Action
	Reason string
}

// Outcome is how the generated Secrets of a component are.
type Outcome struct {
	Secrets []networkstackv1alpha1.GeneratedSecretStatus
	// Objects are the metadata of those that the operator made.
	Objects []metav1.PartialObjectMetadata
	Changes []Change
}

// Ensure has every Secret exist and be what is wanted. Before is how they were when they were last looked at: a Secret may
// have been deleted since. What was done is in the outcome even when there is an error.
func (k *Keeper) Ensure(ctx context.Context, component, namespace string, wanted []networkstackv1alpha1.GeneratedSecret,
	before []networkstackv1alpha1.GeneratedSecretStatus,
) (*Outcome, error) {
	out := &Outcome{}
	for i := range wanted {
		last := int32(0)
		for j := range before {
			if before[j].SecretName == wanted[i].SecretName {
				last = before[j].KeyID
			}
		}
		if err := k.ensure(ctx, component, namespace, wanted[i], last, out); err != nil {
			return out, err
		}
	}
	return out, nil
}

// Prune deletes the Secrets that were made for a component and are not among those to keep.
func (k *Keeper) Prune(ctx context.Context, component, namespace string, keep []networkstackv1alpha1.GeneratedSecret) error {
	return secrets.Prune(ctx, k.Live, k.Client, networkstackv1alpha1.GeneratedSecretLabel, component, namespace, func(name string) bool {
		return slices.ContainsFunc(keep, func(g networkstackv1alpha1.GeneratedSecret) bool { return g.SecretName == name })
	})
}

func (k *Keeper) ensure(ctx context.Context, component, namespace string, wanted networkstackv1alpha1.GeneratedSecret, last int32,
	out *Outcome,
) error {
	at := client.ObjectKey{Namespace: namespace, Name: wanted.SecretName}
	name := at.String()
	var live corev1.Secret
	found := Found{}
	err := k.Live.Get(ctx, at, &live)
	switch {
	case apierrors.IsNotFound(err):
		live = corev1.Secret{}
	case err != nil:
		return fmt.Errorf("reading Secret %s: %w", name, err)
	default:
		found = foundIn(&live, component)
		if !found.Labelled && (found.Revision == "" || found.Revision != Revision(live.Data, wanted.Kind)) {
			return external(name, &live, wanted, out)
		}
	}
	meta, data, rotation := live.ObjectMeta, live.Data, found.Rotation
	if v := Judge(found, wanted); v.Action != Keep {
		if v.Action != Mark {
			if data, err = Make(wanted.Kind, cmp.Or(KeyID(live.Data), last)); err != nil {
				return err
			}
		}
		if wanted.Rotation != "" {
			rotation = wanted.Rotation
		}
		if meta, err = k.write(ctx, component, at, wanted.Kind, rotation, &live, data); err != nil {
			return err
		}
		out.Changes = append(out.Changes, Change{Secret: name, Action: v.Action, Reason: v.Reason})
	}
	out.Secrets = append(out.Secrets, networkstackv1alpha1.GeneratedSecretStatus{
		SecretName: wanted.SecretName, Revision: Revision(data, wanted.Kind), Rotation: rotation, KeyID: KeyID(data)})
	out.Objects = append(out.Objects, metav1.PartialObjectMetadata{ObjectMeta: meta})
	return nil
}

// external takes a Secret of somebody else's as it is, if it has what is read of it. Nothing is told of its content, which
// may be easy to guess: its owner says by the rotation that it is another one.
func external(name string, live *corev1.Secret, wanted networkstackv1alpha1.GeneratedSecret, out *Outcome) error {
	if problem := Problem(live.Data, wanted.Kind, dataKey(wanted.Kind)); problem != "" {
		return &SecretError{Secret: name, Problem: problem}
	}
	out.Secrets = append(out.Secrets, networkstackv1alpha1.GeneratedSecretStatus{
		SecretName: wanted.SecretName, Revision: wanted.Rotation, Rotation: wanted.Rotation, External: true})
	return nil
}

func foundIn(s *corev1.Secret, component string) Found {
	found := Found{
		Data: s.Data, Kind: networkstackv1alpha1.GeneratedSecretKind(s.Labels[networkstackv1alpha1.GeneratedSecretLabel]),
		Revision: s.Annotations[networkstackv1alpha1.SecretRevisionAnnotation],
		Rotation: s.Annotations[networkstackv1alpha1.SecretRotationAnnotation],
	}
	found.Labelled = s.Labels[networkstackv1alpha1.ComponentLabel] == component && found.Kind != ""
	if found.Data == nil {
		found.Data = map[string][]byte{}
	}
	return found
}

// write applies a Secret in place of what was judged.
func (k *Keeper) write(ctx context.Context, component string, at client.ObjectKey, kind networkstackv1alpha1.GeneratedSecretKind,
	rotation string, live *corev1.Secret, data map[string][]byte,
) (metav1.ObjectMeta, error) {
	key := dataKey(kind)
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: at.Namespace, Name: at.Name, ResourceVersion: live.ResourceVersion,
			Labels: map[string]string{networkstackv1alpha1.ComponentLabel: component,
				networkstackv1alpha1.GeneratedSecretLabel: string(kind)},
			Annotations: map[string]string{networkstackv1alpha1.SecretRevisionAnnotation: Revision(data, kind)}},
		Type: corev1.SecretTypeOpaque, Data: map[string][]byte{key: data[key]},
	}
	if rotation != "" {
		s.Annotations[networkstackv1alpha1.SecretRotationAnnotation] = rotation
	}
	return secrets.Apply(ctx, k.Client, s)
}
