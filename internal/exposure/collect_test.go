package exposure

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/internal/policy/analysis"
)

// cluster has one of everything that is read.
const cluster = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {covered: "yes"}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {job: web}}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector: {app: web}
  ports: [{name: main, port: 80, targetPort: http, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
ports: [{port: 6443}]
endpoints: [{addresses: [192.0.2.10]}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: guard}
webhooks:
- name: a.example.com
  failurePolicy: Ignore
  clientConfig: {service: {namespace: shop, name: web, port: 8443}}
  rules: [{resources: [pods, services]}]
- name: b.example.com
  clientConfig: {url: "https://example.com"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: inject}
webhooks:
- name: a.example.com
  clientConfig: {service: {namespace: shop, name: web}}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec: {service: {namespace: shop, name: web, port: 10250}}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.apps}
spec: {}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: in, namespace: shop}
spec:
  defaultBackend: {service: {name: web, port: {number: 80}}}
  rules: [{http: {paths: [{backend: {service: {name: web, port: {name: main}}}}, {backend: {resource: {kind: Bucket, name: b}}}]}}, {host: a}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: theirs, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ours, namespace: shop, labels: {networkstack.io/policies: cluster}}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: theirs}
spec: {tier: Baseline, priority: 600}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: ours, labels: {networkstack.io/policies: cluster}}
spec: {tier: Admin, priority: 10}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec: {names: {plural: things}, conversion: {strategy: Webhook, webhook: {clientConfig: {service: {namespace: shop, name: web, port: 9443}}}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: plain.example.com}
spec: {names: {plural: plain}, conversion: {strategy: None}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{name: public}]
  rules: [{backendRefs: [{name: web, port: 80}, {kind: Bucket, name: b}, {name: other, namespace: bank, port: 81}]}, {filters: []}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mesh, namespace: shop}
spec: {parentRefs: [{kind: Service, name: web}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: web, namespace: shop}
spec: {parentRefs: [{kind: ListenerSet, name: public}], rules: [{backendRefs: [{name: web, port: 82}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: web, namespace: shop}
spec: {parentRefs: [{kind: Gateway, name: public}], rules: [{backendRefs: [{kind: Service, name: web, port: 83}]}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: judged, namespace: bank}
spec: {endpointSelector: {matchLabels: {"k8s:app": web}, matchExpressions: [{key: "any:b", operator: Exists}]}, ingress: [{}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: opens, namespace: shop}
spec: {endpointSelector: {}, egress: [{}], enableDefaultDeny: {egress: false}}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: ours, namespace: shop, labels: {networkstack.io/policies: cluster}}
spec: {endpointSelector: {}, egress: [{}]}
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: wide}
specs:
- {endpointSelector: {matchLabels: {io.kubernetes.pod.namespace: shop}}, egressDeny: [{}]}
- {endpointSelector: {matchLabels: {"reserved:init": ""}}, ingressDeny: [{}]}
- {nodeSelector: {}, ingress: [{}]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: all, namespace: bank}
spec: {selector: all(), egress: [{action: Allow}]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: some}
spec: {selector: "app == 'web'", types: [Egress]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.all}
spec: {tier: security, types: [Ingress]}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {job: web}}
  namespaceSelector: {any: true}
  endpoints: [{port: main}, {targetPort: 9100}, {targetPort: metrics}]
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: web, namespace: shop}
spec:
  selector: {}
  namespaceSelector: {matchNames: [a, b]}
  podMetricsEndpoints: [{port: main}, {portNumber: 9100}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: a}
subjects: [{kind: ServiceAccount, namespace: shop, name: web}, {kind: Group, apiGroup: rbac.authorization.k8s.io, name: "system:serviceaccounts"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: a, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a}
subjects: [{kind: ServiceAccount, name: db}]
`

func pod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	yes := true
	p := &corev1.Pod{}
	p.Namespace, p.Name = "shop", name
	p.Labels = map[string]string{"app": "web", "pod-template-hash": "abc"}
	p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-abc", Controller: &yes}}
	p.Spec.ServiceAccountName = "none"
	p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}},
	}}}}
	p.Spec.Containers = []corev1.Container{{Name: "web", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}}}
	p.Status.PodIPs = []corev1.PodIP{{IP: "10.244.0.5"}}
	for _, c := range change {
		c(p)
	}
	return p
}

// reader has the cluster, and gives it out in pages of two.
func reader(t *testing.T, pages *int, more ...client.Object) client.Reader {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{
		"monitoring.coreos.com/v1, Kind=ServiceMonitor", "monitoring.coreos.com/v1, Kind=PodMonitor", "apiregistration.k8s.io/v1, Kind=APIService",
		"policy.networking.k8s.io/v1alpha2, Kind=ClusterNetworkPolicy", "apiextensions.k8s.io/v1, Kind=CustomResourceDefinition",
		"gateway.networking.k8s.io/v1, Kind=HTTPRoute", "gateway.networking.k8s.io/v1, Kind=GRPCRoute", "gateway.networking.k8s.io/v1, Kind=TLSRoute",
		"cilium.io/v2, Kind=CiliumNetworkPolicy", "cilium.io/v2, Kind=CiliumClusterwideNetworkPolicy",
		"projectcalico.org/v3, Kind=NetworkPolicy", "projectcalico.org/v3, Kind=GlobalNetworkPolicy",
	} {
		group, rest, _ := strings.Cut(kind, "/")
		version, name, _ := strings.Cut(rest, ", Kind=")
		gvk := metav1.GroupVersionKind{Group: group, Version: version, Kind: name}
		scheme.AddKnownTypeWithName(toKind(gvk), &unstructured.Unstructured{})
		gvk.Kind += "List"
		scheme.AddKnownTypeWithName(toKind(gvk), &unstructured.UnstructuredList{})
	}
	objects := more
	for _, text := range strings.Split(cluster, "---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
	whole := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithIndex(&corev1.Pod{}, "status.phase", func(o client.Object) []string { return nil }).Build()
	const size = 2
	return interceptor.NewClient(whole, interceptor.Funcs{List: func(ctx context.Context, _ client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		o := client.ListOptions{}
		for _, opt := range opts {
			opt.ApplyToList(&o)
		}
		if o.Limit == 0 || o.Limit > 500 {
			if _, all := list.(interface{ GetRemainingItemCount() *int64 }); all && o.Namespace == "" {
				t.Errorf("%T is not listed in pages", list)
			}
		}
		first := 0
		if o.Continue != "" {
			first, _ = strconv.Atoi(o.Continue)
		}
		if err := whole.List(ctx, list, client.InNamespace(o.Namespace), client.MatchingLabelsSelector{Selector: orEverything(o)}); err != nil {
			return err
		}
		*pages++
		items, err := items(list)
		if err != nil {
			return err
		}
		list.SetContinue("")
		if first+size < len(items) {
			list.SetContinue(strconv.Itoa(first + size))
		}
		return set(list, items[min(first, len(items)):min(first+size, len(items))])
	}})
}

// TestCollect wants from each object what an analysis goes by, page by page, and of pods those once that are alike.
func TestCollect(t *testing.T) {
	pages := 0
	proxied := func(mesh string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{Name: mesh}} }
	}
	known := analysis.Known{Nodes: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}
	got, err := Collect(t.Context(), reader(t, &pages,
		pod("web-1"), pod("web-2", func(p *corev1.Pod) { p.Status.PodIPs = []corev1.PodIP{{IP: "10.244.0.6"}, {IP: "fd00::6"}} }), pod("web-3"),
		pod("bare", func(p *corev1.Pod) {
			p.OwnerReferences, p.Spec.ServiceAccountName, p.Spec.HostNetwork = nil, "web", true
			p.Annotations = map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9100"}
		}),
		pod("db-0", func(p *corev1.Pod) {
			p.OwnerReferences[0].Kind, p.OwnerReferences[0].Name, p.Spec.ServiceAccountName = "StatefulSet", "db", "db"
			p.Labels["statefulset.kubernetes.io/pod-name"] = "db-0"
		}),
		pod("quiet-0", func(p *corev1.Pod) {
			p.OwnerReferences[0].Kind, p.OwnerReferences[0].Name, p.Spec.ServiceAccountName, p.Spec.Volumes = "StatefulSet", "quiet", "db", nil
			p.Annotations = map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "many"}
		}),
		pod("ambient", func(p *corev1.Pod) {
			p.OwnerReferences[0].Kind, p.OwnerReferences[0].Name = "StatefulSet", "ambient"
			p.Annotations = map[string]string{"ambient.istio.io/redirection": "enabled"}
			p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromString("http")}}}
			p.Spec.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8081)}}}
			p.Spec.Containers[0].StartupProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 8082}}}
		}),
		pod("istio", proxied("istio-proxy"), func(p *corev1.Pod) {
			p.OwnerReferences[0].Kind, p.OwnerReferences[0].Name = "StatefulSet", "istio"
			p.Annotations = map[string]string{"istio.io/rev": "1-30"}
		}),
		pod("linkerd", proxied("linkerd-proxy"), func(p *corev1.Pod) { p.OwnerReferences = nil }),
		pod("consul", proxied("consul-dataplane"), func(p *corev1.Pod) { p.OwnerReferences = nil }),
	), known)
	if err != nil {
		t.Fatal(err)
	}
	web := analysis.ServiceRef{Namespace: "shop", Name: "web", Port: 443}
	at := func(port int32, name string) analysis.ServiceRef {
		r := web
		r.Port, r.PortName = port, name
		return r
	}
	app := map[string]string{"app": "web"}
	ports := []analysis.PodPort{{Name: "http", Protocol: "TCP", Port: 8080}}
	four := []netip.Addr{netip.MustParseAddr("10.244.0.5")}
	one := func(owner string, change ...func(*analysis.Pod)) analysis.Pod {
		p := analysis.Pod{Namespace: "shop", Owner: owner, Labels: app, Count: 1, Ports: ports, Addresses: four}
		for _, c := range change {
			c(&p)
		}
		return p
	}
	want := &analysis.Cluster{
		Known:      known,
		Namespaces: map[string]map[string]string{"shop": {"covered": "yes"}},
		APIServer:  known.Nodes, APIServerPort: 6443,
		Services: []analysis.Service{{
			Namespace: "shop", Name: "web", Labels: map[string]string{"job": "web"}, Selector: app, Outside: true, Local: true,
			Ports: []analysis.ServicePort{{Name: "main", Protocol: "TCP", Port: 80, Target: intstr.FromString("http")}},
		}},
		Webhooks: []analysis.Webhook{
			{Configuration: "ValidatingWebhookConfiguration guard", Name: "guard", Service: at(8443, ""), Intercepts: []string{"pods", "services"}},
			{Configuration: "MutatingWebhookConfiguration inject", Name: "inject", Service: web, Fail: true},
			{Configuration: "CustomResourceDefinition things.example.com", Name: "things.example.com", Service: at(9443, ""), Fail: true, Converts: true, Intercepts: []string{"things"}},
		},
		APIServices: []analysis.APIService{{Name: "v1beta1.metrics.k8s.io", Service: at(10250, "")}},
		Backends: []analysis.Backend{{Source: "Ingress shop/in", Service: at(80, "")}, {Source: "Ingress shop/in", Service: at(0, "main")},
			{Source: "HTTPRoute shop/web", Service: at(80, "")}, {Source: "HTTPRoute shop/web", Service: analysis.ServiceRef{Namespace: "bank", Name: "other", Port: 81}},
			{Source: "GRPCRoute shop/web", Service: at(82, "")}, {Source: "TLSRoute shop/web", Service: at(83, "")},
		},
		Policies: []analysis.Policy{
			{Namespace: "shop", Pods: metav1.LabelSelector{MatchLabels: app}, Egress: true},
			{Namespace: "bank", Pods: metav1.LabelSelector{MatchLabels: app, MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "b", Operator: "Exists"}}}, Ingress: true},
			{Namespace: "shop", Egress: true, Unjudged: "CiliumNetworkPolicy shop/opens"},
			{Pods: metav1.LabelSelector{MatchLabels: map[string]string{"io.kubernetes.pod.namespace": "shop"}}, Egress: true, Unjudged: "CiliumClusterwideNetworkPolicy wide"},
			{Pods: metav1.LabelSelector{MatchLabels: map[string]string{"reserved:init": ""}}, Ingress: true, Unjudged: "CiliumClusterwideNetworkPolicy wide"},
			{Namespace: "bank", Ingress: true, Egress: true},
			{Ingress: true, Unjudged: "GlobalNetworkPolicy security.all"}, {Egress: true, Unjudged: "GlobalNetworkPolicy some"},
		},
		ClusterPolicies: []analysis.ClusterPolicy{{Name: "theirs", Tier: "Baseline", Priority: 600}},
		Monitors: []analysis.Monitor{
			{Kind: "ServiceMonitor", Namespace: "shop", Name: "web", AllNamespaces: true, Selector: metav1.LabelSelector{MatchLabels: map[string]string{"job": "web"}}, Ports: []string{"main", "9100", "metrics"}},
			{Kind: "PodMonitor", Namespace: "shop", Name: "web", Namespaces: []string{"a", "b"}, Ports: []string{"main", "9100"}},
		},
		Pods: []analysis.Pod{
			one("Deployment web", func(p *analysis.Pod) {
				p.Count, p.Addresses = 3, append(slices.Clone(four), netip.MustParseAddr("fd00::6"))
			}),
			one("Pod bare", func(p *analysis.Pod) { p.HostNetwork, p.CallsAPI, p.Scraped = true, true, 9100 }),
			one("Pod consul", func(p *analysis.Pod) { p.Mesh = analysis.MeshConsul }),
			one("Pod linkerd", func(p *analysis.Pod) { p.Mesh = analysis.MeshLinkerd }),
			one("StatefulSet ambient", func(p *analysis.Pod) {
				p.Mesh, p.Probes = analysis.MeshAmbient, []analysis.PodPort{{Port: 8082}, {Name: "http"}, {Port: 8081}}
			}),
			one("StatefulSet db", func(p *analysis.Pod) { p.CallsAPI = true }),
			one("StatefulSet istio", func(p *analysis.Pod) { p.Mesh, p.Revision = analysis.MeshIstio, "1-30" }),
			one("StatefulSet quiet"),
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if pages < 16 {
		t.Errorf("%d pages: lists were not followed to their ends", pages)
	}
}
