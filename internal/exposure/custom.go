package exposure

import (
	"cmp"
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/networkstack/networkstack/internal/policy/analysis"
)

// definitionsAtOnce is how many definitions are asked for at once: some are half a megabyte.
const definitionsAtOnce = 20

// conversions finds the webhooks that convert custom resources.
func (c *collector) conversions(ctx context.Context) error {
	kind := schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
	return c.unstructuredPages(ctx, kind, func(o *unstructured.Unstructured) {
		at, found, _ := unstructured.NestedMap(o.Object, "spec", "conversion", "webhook", "clientConfig", "service")
		if !found {
			return
		}
		plural, _, _ := unstructured.NestedString(o.Object, "spec", "names", "plural")
		c.cluster.Webhooks = append(c.cluster.Webhooks, analysis.Webhook{
			Configuration: "CustomResourceDefinition " + o.GetName(), Name: o.GetName(), Fail: true, Converts: true,
			Service: serviceRef(at, ""), Intercepts: []string{plural},
		})
	}, client.Limit(definitionsAtOnce))
}

// serviceRef is a reference to a Service as an object has it.
func serviceRef(at map[string]any, namespace string) analysis.ServiceRef {
	out := analysis.ServiceRef{}
	out.Namespace, _ = at["namespace"].(string)
	out.Namespace = cmp.Or(out.Namespace, namespace)
	out.Name, _ = at["name"].(string)
	port, _ := at["port"].(int64)
	out.Port = cmp.Or(int32(port), httpsPort) //nolint:gosec // a port
	return out
}

// routes finds what Gateways lead to. Routes that are for Services alone are a mesh's, and of no gateway.
func (c *collector) routes(ctx context.Context) error {
	for _, name := range []string{"HTTPRoute", "GRPCRoute", "TLSRoute"} {
		kind := schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: name}
		if err := c.unstructuredPages(ctx, kind, c.route); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) route(o *unstructured.Unstructured) {
	parents, _, _ := unstructured.NestedSlice(o.Object, "spec", "parentRefs")
	gateway := func(p any) bool { return refersTo(p, "Gateway", "Gateway") || refersTo(p, "Gateway", "ListenerSet") }
	if !slices.ContainsFunc(parents, gateway) {
		return
	}
	rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "rules")
	for _, r := range rules {
		rule, _ := r.(map[string]any)
		refs, _, _ := unstructured.NestedSlice(rule, "backendRefs")
		for _, b := range refs {
			if at, ok := b.(map[string]any); ok && refersTo(b, "Service", "Service") {
				c.cluster.Backends = append(c.cluster.Backends, analysis.Backend{
					Source: o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName(), Service: serviceRef(at, o.GetNamespace()),
				})
			}
		}
	}
}

// refersTo says whether a reference, whose kind is usual when it is left out, is to a kind.
func refersTo(ref any, usual, kind string) bool {
	at, _ := ref.(map[string]any)
	given, _ := at["kind"].(string)
	return cmp.Or(given, usual) == kind
}

// otherPolicies finds policies of users in Cilium's and Calico's own languages.
func (c *collector) otherPolicies(ctx context.Context) error {
	only := client.MatchingLabelsSelector{Selector: foreign()}
	for _, name := range []string{"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"} {
		kind := schema.GroupVersionKind{Group: "cilium.io", Version: "v2", Kind: name}
		if err := c.unstructuredPages(ctx, kind, c.ciliumPolicy, only); err != nil {
			return err
		}
	}
	for _, name := range []string{"NetworkPolicy", "GlobalNetworkPolicy"} {
		kind := schema.GroupVersionKind{Group: "projectcalico.org", Version: "v3", Kind: name}
		if err := c.unstructuredPages(ctx, kind, c.calicoPolicy, only); err != nil {
			return err
		}
	}
	return nil
}

// ciliumPolicy keeps what a policy of Cilium's isolates. It does so in each direction that it has rules of, unless it says otherwise; what
// it opens then adds up with what baselines open.
func (c *collector) ciliumPolicy(o *unstructured.Unstructured) {
	specs, _, _ := unstructured.NestedSlice(o.Object, "specs")
	if one, found, _ := unstructured.NestedMap(o.Object, "spec"); found {
		specs = append(specs, one)
	}
	for _, s := range specs {
		spec, _ := s.(map[string]any)
		if _, hosts := spec["nodeSelector"]; hosts {
			continue // of nodes, and of no pods
		}
		out := analysis.Policy{Namespace: o.GetNamespace()}
		has := func(fields ...string) bool {
			return slices.ContainsFunc(fields, func(f string) bool { return spec[f] != nil })
		}
		out.Ingress, out.Egress = has("ingress", "ingressDeny"), has("egress", "egressDeny")
		selector, _, _ := unstructured.NestedMap(spec, "endpointSelector")
		known := false
		out.Pods, known = ciliumSelector(selector)
		for _, direction := range []string{"ingress", "egress"} {
			if on, stated, _ := unstructured.NestedBool(spec, "enableDefaultDeny", direction); stated && !on {
				known = false // it isolates nothing, and may open
			}
		}
		if !known {
			out.Unjudged = named(o)
		}
		c.cluster.Policies = append(c.cluster.Policies, out)
	}
}

// named is an object as a finding names it.
func named(o *unstructured.Unstructured) string {
	return o.GetKind() + " " + strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/")
}

// ciliumSelector is a selector of pods by their own labels; false where it speaks of more.
func ciliumSelector(selector map[string]any) (metav1.LabelSelector, bool) {
	var out metav1.LabelSelector
	if runtime.DefaultUnstructuredConverter.FromUnstructured(selector, &out) != nil {
		return out, false
	}
	known := true
	plain := func(key string) string {
		key = strings.TrimPrefix(strings.TrimPrefix(key, "k8s:"), "any:")
		if strings.Contains(key, ":") || strings.HasPrefix(key, "io.cilium.") || strings.HasPrefix(key, "io.kubernetes.pod.") || key == "" {
			known = false
		}
		return key
	}
	labels := map[string]string{}
	for key, value := range out.MatchLabels {
		labels[plain(key)] = value
	}
	out.MatchLabels = labels
	for i := range out.MatchExpressions {
		out.MatchExpressions[i].Key = plain(out.MatchExpressions[i].Key)
	}
	_, err := metav1.LabelSelectorAsSelector(&out)
	return out, known && err == nil
}

// calicoPolicy keeps that there is a policy of Calico's. Of those for all pods of a namespace in the tier default, whose end denies, it is
// known what they isolate; the others have selectors in a language of their own, or tiers that may pass.
func (c *collector) calicoPolicy(o *unstructured.Unstructured) {
	text := func(field string) string { t, _, _ := unstructured.NestedString(o.Object, "spec", field); return t }
	types, stated, _ := unstructured.NestedStringSlice(o.Object, "spec", "types")
	if !stated {
		types = []string{"Ingress"}
		if egress, _, _ := unstructured.NestedSlice(o.Object, "spec", "egress"); len(egress) > 0 {
			types = append(types, "Egress")
		}
	}
	out := analysis.Policy{
		Namespace: o.GetNamespace(), Ingress: slices.Contains(types, "Ingress"), Egress: slices.Contains(types, "Egress"),
	}
	everyPod := slices.Contains([]string{"", "all()"}, text("selector")) && text("serviceAccountSelector") == "" &&
		(o.GetNamespace() != "" || slices.Contains([]string{"", "all()"}, text("namespaceSelector")))
	if !everyPod || !slices.Contains([]string{"", "default"}, text("tier")) {
		out.Unjudged = named(o)
	}
	c.cluster.Policies = append(c.cluster.Policies, out)
}
