package facts

import (
	"cmp"
	"context"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/networkstack/networkstack/internal/ownership"
)

// IngressClass is a class that the cluster has.
type IngressClass struct {
	Name string `json:"name,omitzero"`
	// Controller that serves it, such as "k8s.io/ingress-nginx".
	Controller string `json:"controller,omitzero"`
	// Default says that Ingresses without a class are of it.
	Default bool `json:"default,omitzero"`
	// Component is the value of the label networkstack.io/component: who of ours owns it; empty when foreign.
	Component string `json:"component,omitzero"`
	// Manager is who else owns it, as its marks say; empty when there is no mark.
	Manager string `json:"manager,omitzero"`
}

// DefaultIstioRevision is what an Istio without revisions calls its own.
const DefaultIstioRevision = "default"

// istioRevisionLabel is on the webhook of each of Istio's control planes.
const istioRevisionLabel = "istio.io/rev"

// Injector is the metadata of a MutatingWebhookConfiguration, all that facts read of one.
func Injector() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{
		APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration",
	}}
}

// InjectorLabels select those that inject Istio's proxies.
func InjectorLabels() map[string]string { return map[string]string{"app": "sidecar-injector"} }

func (d *Discoverer) ingressClasses(ctx context.Context) ([]IngressClass, error) {
	var list networkingv1.IngressClassList
	if err := d.Reader.List(ctx, &list); err != nil {
		return nil, err
	}
	var out []IngressClass
	for i := range list.Items {
		c := &list.Items[i]
		mark := ownership.Of(c)
		out = append(out, IngressClass{
			Name: c.Name, Controller: c.Spec.Controller, Default: c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true",
			Component: mark.Component, Manager: mark.Owner(),
		})
	}
	slices.SortFunc(out, func(a, b IngressClass) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func (d *Discoverer) istioRevisions(ctx context.Context) ([]string, error) {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(Injector().GroupVersionKind().GroupVersion().WithKind("MutatingWebhookConfigurationList"))
	if err := d.Reader.List(ctx, &list, client.MatchingLabels(InjectorLabels())); err != nil {
		return nil, err
	}
	var out []string
	for i := range list.Items {
		if revision := list.Items[i].Labels[istioRevisionLabel]; revision != "" && list.Items[i].DeletionTimestamp.IsZero() {
			out = append(out, revision)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
