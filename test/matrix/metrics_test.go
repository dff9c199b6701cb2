package matrix_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/test/testcharts"
)

// installedByOthers are the components whose chart has no pods: somebody makes them later.
var installedByOthers = []string{"Calico"}

// TestMetricsPods wants the catalogue to know the pods that the charts make, and the ports that they serve metrics on: with monitors
// turned on, each selector finds pods of the rendered chart, and a port that the chart declares is the one that is monitored.
func TestMetricsPods(t *testing.T) {
	for _, tc := range metricsCases() {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.chart(t)
			in := tc.input
			in.Stack.Spec.Observability = &ObservabilitySpec{Monitors: MonitorsEnabled}
			in.Facts.ServiceMonitors = true
			result := compose.Compose(in)
			if len(result.Errors) > 0 {
				t.Fatal(result.Errors)
			}
			find := func(name string) compose.Release {
				i := slices.IndexFunc(result.Releases, func(r compose.Release) bool { return r.Name == name })
				if i < 0 {
					t.Fatalf("there is no release %s", name)
				}
				return result.Releases[i]
			}
			release := find(tc.release)
			monitors := monitorsOf(t, find("observability"), tc.release)
			objects := render(t, c, withValues(t, release))
			if own := kindsOf(objects, "ServiceMonitor", "PodMonitor"); len(own) > 0 {
				t.Errorf("the chart has %v as well", own)
			}
			for _, m := range monitors {
				if slices.Contains(installedByOthers, release.Spec.Type) || slices.Contains(tc.later, m.Name) {
					continue
				}
				found, declared := false, false
				var ports []int64
				for _, o := range objects {
					labels, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
					if len(labels) == 0 || !within(m.Selector, labels) {
						continue
					}
					found = true
					containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
					for _, container := range containers {
						list, _, _ := unstructured.NestedSlice(container.(map[string]any), "ports")
						for _, p := range list {
							port, _, _ := unstructured.NestedInt64(p.(map[string]any), "containerPort")
							ports = append(ports, port)
							declared = declared || port == m.Port
						}
					}
				}
				if !found {
					t.Errorf("%s: no pod has the labels %v", m.Name, m.Selector)
				}
				if !declared && !slices.Contains(tc.undeclared, m.Name) {
					t.Errorf("%s: no container declares port %d, but %v", m.Name, m.Port, ports)
				}
			}
			if len(monitors) != tc.monitors {
				t.Errorf("%d monitors, want %d: %+v", len(monitors), tc.monitors, monitors)
			}
		})
	}
}

// TestMonitoredOnce has charts make monitors of their own, by the field that says so or by the user's values: then there are no others.
func TestMonitoredOnce(t *testing.T) {
	for _, tc := range metricsCases() {
		if tc.own == nil {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			c := tc.chart(t)
			in := tc.input
			in.Stack = in.Stack.DeepCopy()
			tc.own(&in.Stack.Spec)
			in.Stack.Spec.Observability = &ObservabilitySpec{Monitors: MonitorsEnabled}
			in.Facts.ServiceMonitors, in.Facts.PodMonitors = true, true
			result := compose.Compose(in)
			if len(result.Errors) > 0 {
				t.Fatal(result.Errors)
			}
			for _, r := range result.Releases {
				switch r.Name {
				case tc.release:
					own := kindsOf(renderWith(t, c, withValues(t, r), ingressCapabilities()), "ServiceMonitor", "PodMonitor")
					if len(own) == 0 {
						t.Error("the chart makes no monitor")
					}
				case "observability":
					if monitors := monitorsOf(t, r, tc.release); len(monitors) != tc.beside {
						t.Errorf("beside those of the chart there are %+v", monitors)
					}
				}
			}
		})
	}
}

// withValues is a release with the user's values among those that are rendered.
func withValues(t *testing.T, r compose.Release) compose.Release {
	t.Helper()
	derived, err1 := compose.ParseValues(r.Spec.DerivedValues)
	user, err2 := compose.ParseValues(r.Spec.Values)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	r.Spec.DerivedValues = rawJSON(t, compose.MergeValues(derived, user))
	return r
}

func kindsOf(objects []*unstructured.Unstructured, kinds ...string) []string {
	var out []string
	for _, o := range objects {
		if slices.Contains(kinds, o.GetKind()) {
			out = append(out, o.GetKind()+" "+o.GetName())
		}
	}
	return out
}

// monitor is one that the component observability makes.
type monitor struct {
	Name     string
	Port     int64
	Selector map[string]string
}

// monitorsOf are the monitors of a release's parts.
func monitorsOf(t *testing.T, observability compose.Release, release string) []monitor {
	t.Helper()
	var values struct{ Monitors []monitor }
	if err := json.Unmarshal(observability.Spec.DerivedValues.Raw, &values); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(values.Monitors, func(m monitor) bool {
		return m.Name != release && !strings.HasPrefix(m.Name, release+"-")
	})
}

type metricsCase struct {
	name, release string
	chart         func(t *testing.T) *chart.Chart
	input         compose.Input
	monitors      int
	// undeclared are the jobs whose port no container declares.
	undeclared []string
	// later are the jobs whose pods the chart's controller makes.
	later []string
	// own has the chart make monitors itself, of all but as many parts as beside.
	own    func(*NetworkStackSpec)
	beside int
}

func metricsCases() []metricsCase {
	upstream := func(name, version string) func(*testing.T) *chart.Chart {
		return func(t *testing.T) *chart.Chart { return testcharts.Upstream(t, name, version) }
	}
	own := func(name string) func(*testing.T) *chart.Chart {
		return func(t *testing.T) *chart.Chart { return testcharts.Embedded(t, name) }
	}
	s := settings{[]IPFamily{IPv4}, "", "", KubeProxyIPTables}
	hubble := ciliumCells()[0].input()
	hubble.Stack.Spec.CNI.Values = nil
	awsInput := awsCell{settings: s}.input()
	weave := weaveCell{settings: s}.input()
	proxy := flannelCell{settings: s}.input()
	values := func(text string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(text)} }
	proxy.Stack.Spec.KubeProxy.Values = values(`{"metricsBindAddress":"0.0.0.0:10249"}`)
	dns := func(repository string) compose.Input {
		in := flannelCell{settings: s}.input()
		in.Stack.Spec.DNS = &DNSSpec{Type: DNSCoreDNS, NodeLocalCache: &NodeLocalCacheSpec{Mode: Enabled}}
		if repository != "" {
			in.Stack.Spec.DNS.Chart = &ChartReference{Repository: repository}
			in.Stack.Spec.DNS.Version = "1.46.2"
		}
		return in
	}
	meshed := flannelCell{settings: s}.input()
	meshed.Stack.Spec.KubeProxy = nil
	meshed.Stack.Spec.GatewayAPI = &GatewayAPISpec{Channel: GatewayAPIStandard}
	meshed.Stack.Spec.Mesh = &MeshSpec{Type: MeshConsul}
	open := meshed
	open.Stack = meshed.Stack.DeepCopy()
	open.Stack.Spec.Mesh.Consul = &ConsulSpec{ACLs: Disabled}
	out := []metricsCase{
		{name: "Consul", release: "consul", chart: upstream("consul", "2.0.3"), input: meshed, monitors: 1, undeclared: []string{"consul-injector"}},
		{name: "Consul, its servers too", release: "consul", chart: upstream("consul", "2.0.3"), input: open, monitors: 2, undeclared: []string{"consul-injector"}},
		{name: "Cilium", release: "cilium", chart: upstream("cilium", "1.20.0"), input: hubble, monitors: 3,
			own: func(s *NetworkStackSpec) { s.CNI.Metrics = &MetricsSpec{} }},
		{name: "Cilium, that of Hubble by values", release: "cilium", chart: upstream("cilium", "1.20.0"), input: hubble, monitors: 3, beside: 3,
			own: func(s *NetworkStackSpec) {
				s.CNI.Values = values(`{"hubble":{"enabled":true,"metrics":{"enabled":["dns"],"serviceMonitor":{"enabled":true,"trustCRDsExist":true}}}}`)
			}},
		{name: "AWS VPC CNI", release: "aws-vpc-cni", chart: upstream("aws-vpc-cni", awsVersion), input: awsInput, monitors: 1},
		{name: "Weave Net", release: "weave-net", chart: own("weave-net"), input: weave, monitors: 2},
		{name: "kube-proxy", release: "kube-proxy", chart: own("kube-proxy"), input: proxy, monitors: 1, undeclared: []string{"kube-proxy"}},
		{name: "CoreDNS", release: "coredns", chart: own("coredns"), input: dns(""), monitors: 1},
		{name: "CoreDNS, upstream's chart", release: "coredns", chart: upstream("coredns", "1.46.2"), input: dns("https://coredns.github.io/helm"), monitors: 1,
			own: func(s *NetworkStackSpec) { s.DNS.Values = values(`{"prometheus":{"monitor":{"enabled":true}}}`) }},
		{name: "NodeLocal DNSCache", release: "node-local-dns", chart: own("node-local-dns"), input: dns(""), monitors: 1},
	}
	byValues := func(s *NetworkStackSpec) {
		s.LoadBalancer.Values = values(`{"prometheus":{"serviceMonitor":{"enabled":true},"namespace":"monitoring","serviceAccount":"prometheus"}}`)
	}
	out = append(out,
		metricsCase{name: "MetalLB", release: "metallb", chart: upstream("metallb", "0.16.1"), input: metalLB("", LoadBalancerL2), monitors: 2, own: byValues},
		metricsCase{name: "MetalLB, an older one", release: "metallb", chart: upstream("metallb", "0.15.3"), input: metalLB("0.15.3", LoadBalancerL2), monitors: 2, own: byValues},
		metricsCase{name: "MetalLB with FRR", release: "metallb", chart: upstream("metallb", "0.16.1"), input: metalLB("", LoadBalancerBGP), monitors: 4, own: byValues, beside: 2},
	)
	for _, tc := range []struct {
		typ      IngressType
		name     string
		chart    func(*testing.T) *chart.Chart
		monitors int
	}{
		{IngressNGINX, "ingress-nginx", upstream("ingress-nginx", "4.15.1"), 1},
		{IngressNGINXInc, "F5's NGINX", upstream("nginx-ingress", "2.6.4"), 1},
		{IngressTraefik, "Traefik", own("traefik"), 1},
		{IngressTraefik, "Traefik, upstream's chart", upstream("traefik", "41.3.0"), 1},
		{IngressHAProxy, "HAProxy", upstream("kubernetes-ingress", "1.52.1"), 1},
		{IngressHAProxyIngress, "HAProxy Ingress", upstream("haproxy-ingress", "0.16.1"), 2},
		{IngressEnvoyGateway, "Envoy Gateway", upstream("gateway-helm", "v1.9.0"), 2},
		{IngressIstioGateway, "Istio's gateway", upstream("gateway", "1.30.3"), 1},
	} {
		c := metricsCase{name: tc.name, release: "ingress-a", input: ingressInput(IngressSpec{Name: "a", Type: tc.typ}), monitors: tc.monitors,
			later: []string{"ingress-a-envoy"}, undeclared: []string{}}
		c.chart = func(t *testing.T) *chart.Chart {
			out := tc.chart(t)
			out.Schema = nil // that of F5 refers to the network
			return out
		}
		switch tc.typ {
		case IngressIstioGateway: // the agent's port, which the injector adds
			c.undeclared = []string{"ingress-a"}
		case IngressEnvoyGateway:
		default:
			c.own = func(s *NetworkStackSpec) { s.Ingress[0].Metrics = &MetricsSpec{} }
		}
		out = append(out, c)
	}
	return out
}

// metalLB is a stack with MetalLB, of the catalogue's version or of another.
func metalLB(version string, mode LoadBalancerMode) compose.Input {
	in := flannelCell{settings: settings{[]IPFamily{IPv4}, "", "", KubeProxyIPTables}}.input()
	in.Stack.Spec.LoadBalancer = &LoadBalancerSpec{Type: LoadBalancerMetalLB, Mode: mode, Pools: []LoadBalancerPool{
		{Name: "public", Addresses: []string{"198.18.20.0/26"}}}}
	if mode == LoadBalancerBGP {
		in.Stack.Spec.LoadBalancer.BGP = &LoadBalancerBGPSpec{LocalASN: 64512, Peers: []LoadBalancerBGPPeer{{Name: "r", Address: "192.168.10.1", ASN: 64513}}}
	}
	in.Stack.Spec.LoadBalancer.Version = version
	return in
}

// within says whether all of some labels are among others.
func within(some, all map[string]string) bool {
	for k, v := range some {
		if all[k] != v {
			return false
		}
	}
	return true
}
