package matrix_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

// flowStacks are stacks that have every component between them that the catalogue says flows of, or whose chart has webhooks.
func flowStacks() map[string]compose.Input {
	s := settings{[]IPFamily{IPv4}, "", "", KubeProxyIPTables}
	with := func(edit func(*NetworkStackSpec)) compose.Input {
		in := flannelCell{settings: s}.input()
		in.Stack.Spec.KubeProxy = nil
		in.Stack.Spec.GatewayAPI = &GatewayAPISpec{Channel: GatewayAPIStandard}
		in.Facts.GatewayAPI = facts.GatewayAPI{Version: "v1.6.1", Channel: "standard", Definitions: []string{"gateways.gateway.networking.k8s.io"}}
		edit(&in.Stack.Spec)
		return in
	}
	out := map[string]compose.Input{
		"Consul":  with(func(s *NetworkStackSpec) { s.Mesh = &MeshSpec{Type: MeshConsul} }),
		"Istio":   with(func(s *NetworkStackSpec) { s.Mesh = &MeshSpec{Type: MeshIstio} }),
		"ambient": with(func(s *NetworkStackSpec) { s.Mesh = &MeshSpec{Type: MeshIstio, Mode: MeshAmbient} }),
		"Linkerd": with(func(s *NetworkStackSpec) { s.Mesh = &MeshSpec{Type: MeshLinkerd} }),
		"Linkerd elsewhere": with(func(s *NetworkStackSpec) {
			s.Mesh = &MeshSpec{Type: MeshLinkerd, ComponentSettings: ComponentSettings{Namespace: "mesh"}}
		}),
		"Istio elsewhere": with(func(s *NetworkStackSpec) {
			s.Mesh = &MeshSpec{Type: MeshIstio, Mode: MeshAmbient, ComponentSettings: ComponentSettings{Namespace: "mesh"}}
		}),
		"Consul elsewhere": with(func(s *NetworkStackSpec) {
			s.Mesh = &MeshSpec{Type: MeshConsul, ComponentSettings: ComponentSettings{Namespace: "mesh"}}
		}),
		"DNS": with(func(s *NetworkStackSpec) {
			s.KubeProxy = &KubeProxySpec{Mode: KubeProxyIPTables}
			s.DNS = &DNSSpec{Type: DNSCoreDNS, NodeLocalCache: &NodeLocalCacheSpec{Mode: Enabled}}
		}),
		"MetalLB": metalLB("", LoadBalancerBGP),
		"Cilium":  ciliumCells()[0].input(),
	}
	out["Cilium"].Stack.Spec.CNI.Values = nil
	for _, typ := range []IngressType{IngressNGINX, IngressNGINXInc, IngressTraefik, IngressHAProxy, IngressHAProxyIngress, IngressEnvoyGateway, IngressIstioGateway} {
		out["ingress "+string(typ)] = ingressInput(IngressSpec{Name: "a", Type: typ})
	}
	traefik := ingressInput(IngressSpec{Name: "a", Type: IngressTraefik})
	traefik.Stack.Spec.Ingress[0].Chart, traefik.Stack.Spec.Ingress[0].Version = &ChartReference{Repository: "https://traefik.github.io/charts"}, "41.3.0"
	out["Traefik, upstream's chart"] = traefik
	redirected := ingressInput(IngressSpec{Name: "a", Type: IngressTraefik})
	redirected.Stack.Spec.Ingress, redirected.Stack.Spec.DNS = nil, &DNSSpec{Type: DNSCoreDNS, NodeLocalCache: &NodeLocalCacheSpec{Mode: Enabled}}
	out["DNS with Cilium"] = redirected
	return out
}

// madeLater are flows of pods that a component's controller makes, so that no chart has them. Each is held against what the project
// documents, in the combinations of what is needed.
var madeLater = []string{"EnvoyGateway backends"}

// notHere are flows of pods that a stack does not have.
var notHere = map[string][]string{"DNS": {"NodeLocalDNS redirected"}}

// TestFlows wants what the catalogue says of the traffic between workloads and components to be so in the charts, with the values that
// are composed: selectors select the pods of a workload, and ports are ports of these. And no webhook of a component is ever cut: it is
// in a namespace that is never covered, or a flow opens the port that its Service leads to.
func TestFlows(t *testing.T) {
	held, webhooks := map[string]bool{}, 0
	for name, in := range flowStacks() {
		t.Run(name, func(t *testing.T) {
			if in.Stack.Spec.CNI.Type == CNIFlannel {
				in.Stack.Spec.CNI.NetworkPolicy = Enabled
			}
			in.Stack.Spec.Policies = &PoliciesSpec{
				Mode: PolicyEnforce, Namespaces: &PolicyNamespaces{Selector: &metav1.LabelSelector{}}, Baselines: []Baseline{
					{Name: "in", Type: BaselineDefaultDenyIngress}, {Name: "out", Type: BaselineDefaultDenyEgress}, {Name: "dns", Type: BaselineAllowDNS},
				}}
			result := compose.Compose(in)
			if len(result.Errors) > 0 {
				t.Fatal(result.Errors)
			}
			covered, err := metav1.LabelSelectorAsSelector(&result.Policies.Namespaces)
			if err != nil {
				t.Fatal(err)
			}
			w := &rendered{services: map[string]corev1.Service{}}
			var flows []catalog.Flow
			for _, release := range result.Releases {
				w.add(t, release)
				flows = append(flows, catalog.Default()[release.Spec.Type].Flows...)
			}
			for _, release := range result.Releases {
				for _, f := range catalog.Default()[release.Spec.Type].Flows {
					id := release.Spec.Type + " " + f.Name
					if !slices.Contains(madeLater, id) && !slices.Contains(notHere[name], id) {
						held[id] = w.holds(t, release, f) || held[id]
					}
				}
			}
			for _, hook := range w.hooks {
				webhooks++
				w.uncut(t, hook, covered, flows)
			}
		})
	}
	maps.DeleteFunc(held, func(_ string, judged bool) bool { return !judged })
	t.Logf("%d flows, %d webhooks", len(held), webhooks)
}

// rendered is what matters of rendered charts.
type rendered struct {
	pods     []pod
	services map[string]corev1.Service
	hooks    []hook
}

// pod is that of a workload.
type pod struct {
	name, namespace string
	corev1.PodTemplateSpec
}

// hook is where the API server is told to ask.
type hook struct {
	configuration, namespace, service string
	port                              int32
}

// chartOf is the chart of a release; the test is skipped where it is not there.
func chartOf(t *testing.T, r compose.Release) *chart.Chart {
	t.Helper()
	ref := r.Spec.Chart
	if ref.Repository == "" {
		return testcharts.Embedded(t, ref.Name)
	}
	path, err := testcharts.Real{Name: ref.Name, Version: ref.Version}.Archive()
	if err != nil {
		t.Skipf("upstream's chart archive %s-%s is not there", ref.Name, ref.Version)
	}
	c, err := loader.LoadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c.Schema = nil // that of F5 refers to the network
	return c
}

// add renders a release, with values beside those that are composed.
func (w *rendered) add(t *testing.T, release compose.Release, more ...string) {
	t.Helper()
	release = withValues(t, release)
	release.Name = release.Spec.ReleaseName
	values, err := compose.ParseValues(release.Spec.DerivedValues)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range release.Spec.Certificates { // the operator fills these in
		if c.BundleValue != "" {
			more = append(more, c.BundleValue, "a bundle")
		}
	}
	for i := 0; i+1 < len(more); i += 2 {
		var value any = more[i+1]
		if value == "true" {
			value = true
		}
		if err := unstructured.SetNestedField(values, value, strings.Split(more[i], ".")...); err != nil {
			t.Fatal(err)
		}
	}
	c := chartOf(t, release)
	if err := chartutil.ProcessDependencies(c, values); err != nil {
		t.Fatal(err)
	}
	release.Spec.DerivedValues = rawJSON(t, values)
	capabilities := *ingressCapabilities()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.36.0", Major: "1", Minor: "36"}
	for _, o := range renderWith(t, c, release, &capabilities) {
		w.take(t, o, release.Spec.Namespace)
	}
}

// take keeps what matters of an object of a release in a namespace.
func (w *rendered) take(t *testing.T, o *unstructured.Unstructured, namespace string) {
	t.Helper()
	into := func(to any) {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, to); err != nil {
			t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	if o.GetNamespace() != "" {
		namespace = o.GetNamespace()
	}
	switch o.GetKind() {
	case "Deployment", "DaemonSet", "StatefulSet":
		var d struct {
			Spec struct {
				Template corev1.PodTemplateSpec `json:"template"`
			} `json:"spec"`
		}
		into(&d)
		w.pods = append(w.pods, pod{o.GetKind() + " " + o.GetName(), namespace, d.Spec.Template})
	case "Service":
		var s corev1.Service
		into(&s)
		w.services[namespace+"/"+s.Name] = s
	case "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration":
		list, _, _ := unstructured.NestedSlice(o.Object, "webhooks")
		for _, one := range list {
			w.hook(o, one.(map[string]any))
		}
	case "CustomResourceDefinition":
		conversion, found, _ := unstructured.NestedMap(o.Object, "spec", "conversion", "webhook")
		if found {
			w.hook(o, conversion)
		}
	}
}

func (w *rendered) hook(o *unstructured.Unstructured, from map[string]any) {
	at, found, _ := unstructured.NestedMap(from, "clientConfig", "service")
	if !found {
		return
	}
	h := hook{configuration: o.GetKind() + " " + o.GetName(), port: 443}
	h.namespace, _ = at["namespace"].(string)
	h.service, _ = at["name"].(string)
	if port, ok := at["port"].(int64); ok {
		h.port = int32(port)
	}
	w.hooks = append(w.hooks, h)
}

// selected are the pods that a selector selects.
func (w *rendered) selected(namespace string, l map[string]string) []pod {
	var out []pod
	for _, p := range w.pods {
		if p.namespace == namespace && labels.SelectorFromSet(l).Matches(labels.Set(p.Labels)) {
			out = append(out, p)
		}
	}
	return out
}

// listens says whether some pods declare a port of a flow, or a Service leads to it.
func (w *rendered) listens(pods []pod, port catalog.FlowPort) bool {
	in := func(n int32) bool { return port.First <= n && n <= port.Last }
	for _, p := range pods {
		for _, c := range slices.Concat(p.Spec.Containers, p.Spec.InitContainers) {
			for _, declared := range c.Ports {
				protocol := declared.Protocol
				if protocol == "" {
					protocol = corev1.ProtocolTCP
				}
				if string(protocol) == port.Protocol && in(declared.ContainerPort) {
					return true
				}
			}
		}
		for _, s := range w.services {
			if len(s.Spec.Selector) == 0 || !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.Labels)) {
				continue
			}
			for _, sp := range s.Spec.Ports {
				if in(target(p, sp)) {
					return true
				}
			}
		}
	}
	return false
}

// target is the port of a pod that a port of a Service leads to; 0 when it has none of that name.
func target(p pod, s corev1.ServicePort) int32 {
	if s.TargetPort.Type == intstr.Int {
		if s.TargetPort.IntVal > 0 {
			return s.TargetPort.IntVal
		}
		return s.Port
	}
	for _, c := range slices.Concat(p.Spec.Containers, p.Spec.InitContainers) {
		for _, port := range c.Ports {
			if port.Name == s.TargetPort.StrVal {
				return port.ContainerPort
			}
		}
	}
	return 0
}

// holds wants a flow to be of pods and ports that there are, and says whether it is of pods that a chart has: others are of proxies in
// the pods of workloads, of nodes, or of what controllers make of Gateways.
func (w *rendered) holds(t *testing.T, release compose.Release, f catalog.Flow) bool {
	t.Helper()
	end := f.To
	if end == nil {
		end = f.From
	}
	if end == nil || len(end.Selector) == 0 || end.EveryPod {
		return false
	}
	selector := map[string]string{}
	for k, v := range end.Selector {
		selector[k] = strings.NewReplacer("$release", release.Spec.ReleaseName, "$namespace", release.Spec.Namespace).Replace(v)
	}
	pods := w.selected(release.Spec.Namespace, selector)
	if len(pods) == 0 {
		t.Errorf("%s: no workload in %s has pods with the labels %v", f.Name, release.Spec.Namespace, selector)
		return true
	}
	for _, text := range f.Ports {
		port, _ := catalog.ParsePort(text)
		if f.To != nil && !w.listens(pods, port) {
			t.Errorf("%s: no container of %v declares port %s, and no Service leads there", f.Name, names(pods), text)
		}
	}
	if release.Spec.Chart.Repository == "" {
		return true // our own charts have no such values
	}
	for _, path := range end.HostNetwork {
		other := &rendered{services: map[string]corev1.Service{}}
		values := []string{path, "true"}
		if strings.Contains(path, ".daemonset.") {
			values = append(values, "controller.kind", "DaemonSet")
		}
		other.add(t, release, values...)
		for _, p := range other.selected(release.Spec.Namespace, selector) {
			if !p.Spec.HostNetwork {
				t.Errorf("%s: %s is not in the network of its node with %s", f.Name, p.name, path)
			}
		}
	}
	return true
}

func names(pods []pod) []string {
	var out []string
	for _, p := range pods {
		out = append(out, p.name)
	}
	return out
}

// uncut wants a webhook to lead to a port of a workload that nothing cuts.
func (w *rendered) uncut(t *testing.T, h hook, covered labels.Selector, flows []catalog.Flow) {
	t.Helper()
	s, found := w.services[h.namespace+"/"+h.service]
	if !found {
		t.Errorf("%s: there is no Service %s/%s", h.configuration, h.namespace, h.service)
		return
	}
	pods := w.selected(h.namespace, s.Spec.Selector)
	var ports []int32
	for _, p := range pods {
		for _, sp := range s.Spec.Ports {
			if sp.Port == h.port {
				ports = append(ports, target(p, sp))
			}
		}
	}
	if len(ports) == 0 || slices.Contains(ports, 0) {
		t.Errorf("%s: port %d of Service %s/%s leads to %v of %v", h.configuration, h.port, h.namespace, h.service, ports, names(pods))
		return
	}
	if !covered.Matches(labels.Set{corev1.LabelMetadataName: h.namespace}) {
		return // nothing is cut there
	}
	for _, port := range ports {
		if !slices.ContainsFunc(flows, func(f catalog.Flow) bool {
			return f.From != nil && f.From.Anywhere && slices.ContainsFunc(f.Ports, func(text string) bool {
				p, _ := catalog.ParsePort(text)
				return p.First <= port && port <= p.Last
			})
		}) {
			t.Errorf("%s: %s is cut", h.configuration, fmt.Sprintf("port %d of %v", port, names(pods)))
		}
	}
}
