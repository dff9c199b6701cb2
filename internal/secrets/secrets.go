// Package secrets writes and removes the Secrets that the operator makes for components, whatever is in them. No error tells
// anything of their content.
package secrets

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Apply applies a Secret and answers its metadata. One without a resource version is new and is not applied by force; one with it
// is, but only as long as it is what was judged: somebody may write at the same moment.
func Apply(ctx context.Context, c client.Client, s *corev1.Secret) (metav1.ObjectMeta, error) {
	name := client.ObjectKeyFromObject(s).String()
	s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s)
	if err != nil {
		return metav1.ObjectMeta{}, fmt.Errorf("Secret %s cannot be written", name) //nolint:staticcheck // a kind
	}
	u := &unstructured.Unstructured{Object: content}
	opts := []client.ApplyOption{client.FieldOwner(networkstackv1alpha1.FieldManager)}
	if s.ResourceVersion != "" {
		opts = append(opts, client.ForceOwnership)
	}
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), opts...); err != nil {
		return metav1.ObjectMeta{}, writeError(name, err)
	}
	return metav1.ObjectMeta{
		Namespace: u.GetNamespace(), Name: u.GetName(), UID: u.GetUID(), ResourceVersion: u.GetResourceVersion(),
		Labels: u.GetLabels(), Annotations: u.GetAnnotations(), ManagedFields: u.GetManagedFields(),
	}, nil
}

// writeError leaves out what the API server says about fields, which may quote them.
func writeError(secret string, err error) error {
	if apierrors.IsInvalid(err) || apierrors.IsConflict(err) || apierrors.IsBadRequest(err) {
		return fmt.Errorf("Secret %s cannot be written: %s", secret, apierrors.ReasonForError(err)) //nolint:staticcheck // a kind
	}
	return fmt.Errorf("writing Secret %s: %w", secret, err)
}

// Prune deletes the Secrets with a label that were made for a component, but for those in its namespace that are wanted by name.
func Prune(ctx context.Context, live client.Reader, c client.Client, label, component, namespace string,
	wanted func(name string) bool,
) error {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	if err := live.List(ctx, &list, client.MatchingLabels{networkstackv1alpha1.ComponentLabel: component},
		client.HasLabels{label}); err != nil {
		return fmt.Errorf("listing the Secrets that were made for %s: %w", component, err)
	}
	for i := range list.Items {
		s := &list.Items[i]
		if s.Namespace == namespace && wanted(s.Name) {
			continue
		}
		s.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
		if err := c.Delete(ctx, s, client.Preconditions{UID: &s.UID}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("deleting Secret %s/%s: %w", s.Namespace, s.Name, err)
		}
	}
	return nil
}
