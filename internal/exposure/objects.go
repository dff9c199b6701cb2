package exposure

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/internal/policy/analysis"
)

func (c *collector) services(ctx context.Context) error {
	list := &corev1.ServiceList{}
	return c.pages(ctx, list, func() {
		for i := range list.Items {
			s := &list.Items[i]
			kept := analysis.Service{
				Namespace: s.Namespace, Name: s.Name, Labels: s.Labels, Selector: s.Spec.Selector,
				Outside: s.Spec.Type == corev1.ServiceTypeLoadBalancer || s.Spec.Type == corev1.ServiceTypeNodePort,
				Local:   s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
			}
			for _, p := range s.Spec.Ports {
				kept.Ports = append(kept.Ports, analysis.ServicePort{
					Name: p.Name, Protocol: networkstackv1alpha1.PolicyProtocol(p.Protocol), Port: p.Port, Target: p.TargetPort,
				})
			}
			c.cluster.Services = append(c.cluster.Services, kept)
		}
	})
}

func (c *collector) validating(ctx context.Context) error {
	list := &admissionv1.ValidatingWebhookConfigurationList{}
	return c.pages(ctx, list, func() {
		for i := range list.Items {
			o := &list.Items[i]
			for k := range o.Webhooks {
				w := &o.Webhooks[k]
				c.webhook("ValidatingWebhookConfiguration", o.Name, w.ClientConfig, w.FailurePolicy, w.Rules)
			}
		}
	})
}

func (c *collector) mutating(ctx context.Context) error {
	list := &admissionv1.MutatingWebhookConfigurationList{}
	return c.pages(ctx, list, func() {
		for i := range list.Items {
			o := &list.Items[i]
			for k := range o.Webhooks {
				w := &o.Webhooks[k]
				c.webhook("MutatingWebhookConfiguration", o.Name, w.ClientConfig, w.FailurePolicy, w.Rules)
			}
		}
	})
}

// httpsPort is that of webhooks and aggregated APIs whose port is left out.
const httpsPort = 443

func (c *collector) webhook(
	kind, name string, at admissionv1.WebhookClientConfig, failure *admissionv1.FailurePolicyType, rules []admissionv1.RuleWithOperations,
) {
	if at.Service == nil {
		return
	}
	w := analysis.Webhook{
		Configuration: kind + " " + name, Name: name, Fail: failure == nil || *failure == admissionv1.Fail,
		Service: analysis.ServiceRef{Namespace: at.Service.Namespace, Name: at.Service.Name, Port: httpsPort},
	}
	if at.Service.Port != nil {
		w.Service.Port = *at.Service.Port
	}
	for _, r := range rules {
		w.Intercepts = append(w.Intercepts, r.Resources...)
	}
	c.cluster.Webhooks = append(c.cluster.Webhooks, w)
}

func (c *collector) ingresses(ctx context.Context) error {
	list := &networkingv1.IngressList{}
	return c.pages(ctx, list, func() {
		for i := range list.Items {
			o := &list.Items[i]
			note := func(b *networkingv1.IngressBackend) {
				if b != nil && b.Service != nil {
					c.cluster.Backends = append(c.cluster.Backends, analysis.Backend{
						Source: "Ingress " + o.Namespace + "/" + o.Name,
						Service: analysis.ServiceRef{
							Namespace: o.Namespace, Name: b.Service.Name, Port: b.Service.Port.Number, PortName: b.Service.Port.Name,
						},
					})
				}
			}
			note(o.Spec.DefaultBackend)
			for _, r := range o.Spec.Rules {
				if r.HTTP == nil {
					continue
				}
				for k := range r.HTTP.Paths {
					note(&r.HTTP.Paths[k].Backend)
				}
			}
		}
	})
}

// foreign selects what is not written for baseline policies.
func foreign() labels.Selector {
	r, err := labels.NewRequirement(policy.Label, selection.DoesNotExist, nil)
	if err != nil {
		panic(err) // the label is a constant
	}
	return labels.NewSelector().Add(*r)
}

func (c *collector) policies(ctx context.Context) error {
	list := &networkingv1.NetworkPolicyList{}
	return c.pages(ctx, list, func() {
		for i := range list.Items {
			o := &list.Items[i]
			c.cluster.Policies = append(c.cluster.Policies, analysis.Policy{
				Namespace: o.Namespace, Pods: o.Spec.PodSelector,
				Ingress: slices.Contains(o.Spec.PolicyTypes, networkingv1.PolicyTypeIngress),
				Egress:  slices.Contains(o.Spec.PolicyTypes, networkingv1.PolicyTypeEgress),
			})
		}
	}, client.MatchingLabelsSelector{Selector: foreign()})
}

func (c *collector) clusterPolicies(ctx context.Context) error {
	kind := schema.GroupVersionKind{Group: "policy.networking.k8s.io", Version: "v1alpha2", Kind: "ClusterNetworkPolicy"}
	return c.unstructuredPages(ctx, kind, func(o *unstructured.Unstructured) {
		tier, _, _ := unstructured.NestedString(o.Object, "spec", "tier")
		priority, _, _ := unstructured.NestedInt64(o.Object, "spec", "priority")
		p := analysis.ClusterPolicy{Name: o.GetName(), Tier: tier, Priority: priority}
		c.cluster.ClusterPolicies = append(c.cluster.ClusterPolicies, p)
	}, client.MatchingLabelsSelector{Selector: foreign()})
}

// unstructuredPages lists objects of a kind that there need not be.
func (c *collector) unstructuredPages(
	ctx context.Context, kind schema.GroupVersionKind, each func(o *unstructured.Unstructured), opts ...client.ListOption,
) error {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	return optional(c.pages(ctx, list, func() {
		for i := range list.Items {
			each(&list.Items[i])
		}
	}, opts...))
}

func (c *collector) apiServices(ctx context.Context) error {
	kind := schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"}
	return c.unstructuredPages(ctx, kind, func(o *unstructured.Unstructured) {
		service, found, err := unstructured.NestedMap(o.Object, "spec", "service")
		if err != nil || !found {
			return // the API server's own
		}
		namespace, _ := service["namespace"].(string)
		name, _ := service["name"].(string)
		port, _ := service["port"].(int64)
		c.cluster.APIServices = append(c.cluster.APIServices, analysis.APIService{
			Name:    o.GetName(),
			Service: analysis.ServiceRef{Namespace: namespace, Name: name, Port: cmp.Or(int32(port), httpsPort)}, //nolint:gosec // a port
		})
	})
}

// monitor is what matters of a ServiceMonitor or PodMonitor.
type monitor struct {
	Spec struct {
		Selector          metav1.LabelSelector `json:"selector"`
		NamespaceSelector struct {
			Any        bool     `json:"any"`
			MatchNames []string `json:"matchNames"`
		} `json:"namespaceSelector"`
		Endpoints           []endpoint `json:"endpoints"`
		PodMetricsEndpoints []endpoint `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

// endpoint is a port by its name, or by its name or number on the pod.
type endpoint struct {
	Port       string `json:"port"`
	PortNumber int64  `json:"portNumber"`
	TargetPort any    `json:"targetPort"`
}

func (e *endpoint) port() string {
	switch target := e.TargetPort.(type) {
	case string:
		return cmp.Or(e.Port, target)
	case int64:
		return cmp.Or(e.Port, strconv.FormatInt(target, 10))
	}
	if e.Port == "" && e.PortNumber > 0 {
		return strconv.FormatInt(e.PortNumber, 10)
	}
	return e.Port
}

func (c *collector) monitors(ctx context.Context) error {
	for _, kind := range []string{"ServiceMonitor", "PodMonitor"} {
		err := c.unstructuredPages(ctx, schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: kind},
			func(o *unstructured.Unstructured) {
				var m monitor
				if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &m) != nil {
					return // its operator cannot read it either
				}
				kept := analysis.Monitor{
					Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(), Selector: m.Spec.Selector,
					Namespaces: m.Spec.NamespaceSelector.MatchNames, AllNamespaces: m.Spec.NamespaceSelector.Any,
				}
				for _, e := range slices.Concat(m.Spec.Endpoints, m.Spec.PodMetricsEndpoints) {
					kept.Ports = append(kept.Ports, e.port())
				}
				c.cluster.Monitors = append(c.cluster.Monitors, kept)
			})
		if err != nil {
			return err
		}
	}
	return nil
}
