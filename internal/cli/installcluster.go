package cli

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// operators are the Deployments of the operator that there are.
func (c *statusClient) operators(ctx context.Context) ([]otherOperator, error) {
	var list appsv1.DeploymentList
	labels := client.MatchingLabels{"app.kubernetes.io/name": "networkstack", "app.kubernetes.io/component": "operator"}
	if err := c.client.List(ctx, &list, labels); err != nil {
		return nil, statusError(c.host, err)
	}
	var out []otherOperator
	for i := range list.Items {
		d := &list.Items[i]
		o := otherOperator{namespace: d.Namespace, name: d.Name}
		if name := d.Annotations["meta.helm.sh/release-name"]; name != "" {
			o.release = d.Annotations["meta.helm.sh/release-namespace"] + "/" + name
		}
		out = append(out, o)
	}
	return out, nil
}

// stacks are all there are; none where nobody knows of them.
func (c *statusClient) stacks(ctx context.Context) ([]networkstackv1alpha1.NetworkStack, error) {
	var list networkstackv1alpha1.NetworkStackList
	if err := c.client.List(ctx, &list); err != nil {
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, statusError(c.host, err)
	}
	return list.Items, nil
}

// What Pod Security goes by.
const (
	enforceLabel    = "pod-security.kubernetes.io/enforce"
	levelPrivileged = "privileged"
)

// enforced is the Pod Security level that a namespace enforces by its labels.
func (c *statusClient) enforced(ctx context.Context, namespace string) (string, error) {
	var ns corev1.Namespace
	if err := c.client.Get(ctx, client.ObjectKey{Name: namespace}, &ns); err != nil {
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "", statusError(c.host, err)
	}
	return ns.Labels[enforceLabel], nil
}

// ensureNamespace makes the namespace where there is none. One that is there is left as it is.
func (c *statusClient) ensureNamespace(ctx context.Context, ns *corev1.Namespace) error {
	err := c.client.Get(ctx, client.ObjectKeyFromObject(ns), &corev1.Namespace{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	return client.IgnoreAlreadyExists(c.client.Create(ctx, ns))
}

// namespaceFor is the operator's namespace, with the Pod Security level that its mode needs.
func namespaceFor(name string, values map[string]any) *corev1.Namespace {
	level := levelPrivileged // the network of the host
	if mode, _ := values["mode"].(string); mode == modeOrdinary {
		level = "restricted"
	}
	labels := map[string]string{}
	for _, what := range []string{"enforce", "audit", "warn"} {
		labels["pod-security.kubernetes.io/"+what] = level
	}
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
	}
}
