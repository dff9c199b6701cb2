package compose

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

const collectorHost = "otel-collector.observability.svc"

// traced asks for tracing, by a collector in the cluster.
func traced(edits ...func(*TracingSpec)) func(*Input) {
	return spec(func(s *NetworkStackSpec) {
		t := &TracingSpec{Endpoint: collectorHost + ":4317"}
		for _, edit := range edits {
			edit(t)
		}
		s.Observability = &ObservabilitySpec{Monitors: MonitorsDisabled, Tracing: t}
	})
}

func byZipkin(t *TracingSpec) {
	t.Protocol, t.Endpoint = TracingZipkin, "zipkin.observability.svc:9411"
}

func sampling(percent string) func(*TracingSpec) {
	return func(t *TracingSpec) { t.SamplingPercent = percent }
}

func tracingTo(endpoint string) func(*TracingSpec) {
	return func(t *TracingSpec) { t.Endpoint = endpoint }
}

// snippets are a part of NGINX's configuration in its own words.
func snippets(text string) func(*IngressSpec) {
	return func(i *IngressSpec) {
		i.Values = rawValues(object{"controller": object{"config": object{"entries": object{"http-snippets": text}}}})
	}
}

func collector(t *TracingSpec) {
	t.Collector = &ServiceAccountReference{Namespace: "observability", Name: "otel-collector"}
}

func tracingFindings() []finding {
	const endpoint = "spec.observability.tracing.endpoint: Invalid value: "
	const wrong = ": write a host and a port without a scheme, such as otel-collector.observability.svc:4317 [TRACING-ENDPOINT]"
	providers := meshValues(object{"meshConfig": object{"extensionProviders": []any{object{"name": "mine"}}}})
	return []finding{
		{name: "tracing of Istio", in: flannel(istio(), traced(sampling("12.5")))},
		{name: "tracing of Consul", in: flannel(consul(), traced(byZipkin))},
		{name: "tracing of Linkerd", in: flannel(linkerd(), traced(collector))},
		{name: "tracing of ingress controllers", in: flannel(ingresses(ingressOf(IngressTraefik)), traced())},
		{name: "tracing by no protocol", in: flannel(istio(), traced(func(t *TracingSpec) { t.Protocol = "Jaeger" })), errors: []string{
			`spec.observability.tracing.protocol: Unsupported value: "Jaeger": supported values: "OTLP", "Zipkin" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "tracing to an endpoint with a scheme", in: flannel(istio(), traced(tracingTo("http://a.example.com:4317"))), errors: []string{endpoint + `"http://a.example.com:4317"` + wrong}},
		{name: "tracing to an endpoint without a port", in: flannel(istio(), traced(tracingTo("a.b.svc"))), errors: []string{endpoint + `"a.b.svc"` + wrong}},
		{name: "tracing to an endpoint without a host", in: flannel(istio(), traced(tracingTo(":4317"))), errors: []string{endpoint + `":4317"` + wrong}},
		{name: "tracing of too many requests", in: flannel(istio(), traced(sampling("101"))), errors: []string{
			`spec.observability.tracing.samplingPercent: Invalid value: "101": write a number from 0 to 100, with at most two decimals [TRACING-SAMPLING]`,
		}},
		{name: "tracing of nothing", in: flannel(traced()), warnings: []string{
			"spec.observability.tracing: has no effect: nothing in this stack sends spans: remove it, or have a mesh or an ingress controller that does [TRACING-NOTHING]",
		}},
		{name: "tracing of a controller that has none", in: flannel(istio(), ingresses(ingressOf(IngressHAProxy)), traced()), warnings: []string{
			"spec.ingress[0].type: HAProxy is told nothing of observability.tracing, for it has no such setting here: its requests have no spans of its own [TRACING-INGRESS]",
		}},
		{name: "tracing of a gateway whose Istio is somebody else's", in: flannel(cluster(func(s *facts.Snapshot) { s.IstioRevisions = []string{"default"} }),
			ingresses(ingressOf(IngressIstioGateway)), traced()), warnings: []string{
			"spec.ingress[0].type: sends spans as its mesh is told to, and the mesh is not this stack's: tell it there [TRACING-INGRESS]",
			"spec.observability.tracing: has no effect: nothing in this stack sends spans: remove it, or have a mesh or an ingress controller that does [TRACING-NOTHING]",
		}},
		{name: "tracing to port 0", in: flannel(istio(), traced(tracingTo("a.b.svc:0"))), errors: []string{endpoint + `"a.b.svc:0"` + wrong}},
		{name: "tracing of F5's controller", in: flannel(ingresses(ingressOf(IngressNGINXInc)), traced())},
		{name: "tracing of an F5's controller of old", in: flannel(istio(), ingresses(ingressOf(IngressNGINXInc, func(i *IngressSpec) { i.Version = "2.1.2" })), traced()), warnings: []string{
			"spec.ingress[0].type: NGINXInc has no OpenTelemetry before chart 2.2.0: upgrade it [TRACING-INGRESS]",
			"spec.ingress[0].version: NGINXInc 2.1.2 is not in the catalogue (2.6.4): it was not tested with this operator and its chart is not checked against a digest [VERSION-UNKNOWN]",
		}},
		{name: "tracing of F5's controller by Zipkin", in: flannel(istio(), ingresses(ingressOf(IngressNGINXInc)), traced(byZipkin)), warnings: []string{
			"spec.observability.tracing.protocol: NGINXInc (ingress a) sends spans by OTLP alone, so that it sends none: use OTLP [TRACING-PROTOCOL]",
		}},
		{name: "tracing of F5's controller beside words of one's own", in: flannel(ingresses(ingressOf(IngressNGINXInc, snippets("server_tokens off;"))), traced()), errors: []string{
			"spec.ingress[0].values: Invalid value: values.controller.config.entries.http-snippets takes the place of what observability.tracing writes there: have an otel_trace of your own in it, or remove tracing [TRACING-NGINXINC-SNIPPETS]",
		}},
		{name: "tracing of F5's controller by words of one's own", in: flannel(ingresses(ingressOf(IngressNGINXInc, snippets("otel_trace on;"))), traced())},
		{name: "Zipkin's protocol to those that speak OTLP", in: flannel(linkerd(), ingresses(ingressOf(IngressTraefik)), traced(byZipkin, collector)), warnings: []string{
			"spec.observability.tracing.protocol: Linkerd sends spans by OTLP alone, so that it sends none: use OTLP [TRACING-PROTOCOL]",
			"spec.observability.tracing.protocol: Traefik (ingress a) sends spans by OTLP alone, so that it sends none: use OTLP [TRACING-PROTOCOL]",
			"spec.observability.tracing: has no effect: nothing in this stack sends spans: remove it, or have a mesh or an ingress controller that does [TRACING-NOTHING]",
		}},
		{name: "tracing of Linkerd by nobody", in: flannel(linkerd(), traced(sampling("1"))), errors: []string{
			"spec.observability.tracing.collector: Required value: Linkerd's proxies send spans to a collector in the mesh, which they know by its ServiceAccount: name it [TRACING-LINKERD-COLLECTOR]",
		}, warnings: []string{
			"spec.observability.tracing.samplingPercent: Linkerd's proxies make spans of the requests that somebody before them has chosen, whatever is said here [TRACING-LINKERD-SAMPLING]",
		}},
		{name: "a collector's ServiceAccount for nobody", in: flannel(istio(), traced(collector)), warnings: []string{
			"spec.observability.tracing.collector: is for Linkerd's proxies, and there are none: remove it [TRACING-COLLECTOR-UNUSED]",
		}},
		{name: "tracing of Istio to a host that it does not know", in: flannel(istio(), traced(tracingTo("otel.example.com:4317"))), warnings: []string{
			"spec.observability.tracing.endpoint: Istio sends spans to what it knows: name a Service as name.namespace.svc, or have a ServiceEntry for otel.example.com [TRACING-ISTIO-HOST]",
		}},
		{name: "tracing of Istio beside providers of one's own", in: flannel(istio(providers), traced()), errors: []string{
			"spec.mesh.values: Invalid value: values.meshConfig.extensionProviders takes the place of the provider that observability.tracing makes: give one of yours the name networkstack-tracing, or remove tracing [TRACING-ISTIO-PROVIDERS]",
		}},
		{name: "tracing of Istio by a provider of one's own", in: flannel(istio(meshValues(object{"meshConfig": object{"extensionProviders": []any{object{"name": "networkstack-tracing"}}}})), traced())},
	}
}

// TestTracingValues pins what each component is told.
func TestTracingValues(t *testing.T) {
	for _, tc := range []struct {
		name, release string
		in            Input
		want          map[string]any // a nil is absent
	}{
		{"Istio's Telemetry", "istio-resources", flannel(istio(), traced(sampling("12.5"))), map[string]any{
			"tracing.provider": "networkstack-tracing", "tracing.percent": 12.5,
		}},
		{"Istio's Telemetry without tracing", "istio-resources", flannel(istio()), map[string]any{"tracing": nil}},
		{"Istio without tracing", "istiod-1-30-3", flannel(istio()), map[string]any{"meshConfig.extensionProviders": nil, "meshConfig.enableTracing": nil}},
		{"Linkerd", "linkerd", flannel(linkerd(), traced(collector)), map[string]any{
			"proxy.tracing.enabled": true, "proxy.tracing.collector.endpoint": collectorHost + ":4317",
			"proxy.tracing.collector.meshIdentity.serviceAccountName": "otel-collector", "proxy.tracing.collector.meshIdentity.namespace": "observability",
		}},
		{"Linkerd by Zipkin", "linkerd", flannel(linkerd(), traced(collector, byZipkin)), map[string]any{"proxy.tracing": nil}},
		{"Traefik", "ingress-a", flannel(ingresses(ingressOf(IngressTraefik)), traced(sampling("12.5"))), map[string]any{
			"tracing.otlp.enabled": true, "tracing.otlp.grpc.endpoint": collectorHost + ":4317", "tracing.sampleRate": 0.125, "tracing.serviceName": "ingress-a",
		}},
		{"Traefik, of a share that is no whole number in binary", "ingress-a", flannel(ingresses(ingressOf(IngressTraefik)), traced(sampling("0.29"))), map[string]any{
			"tracing.sampleRate": 0.0029, "tracing.otlp.grpc.insecure": true,
		}},
		{"Traefik by Zipkin", "ingress-a", flannel(ingresses(ingressOf(IngressTraefik)), traced(byZipkin)), map[string]any{"tracing": nil}},
		{"ingress-nginx", "ingress-a", flannel(ingresses(ingressOf(IngressNGINX)), traced()), map[string]any{
			"controller.config.enable-opentelemetry": "true", "controller.config.otlp-collector-host": collectorHost,
			"controller.config.otlp-collector-port": "4317", "controller.config.otel-sampler-ratio": "0.01",
			"controller.config.otel-sampler": "TraceIdRatioBased", "controller.config.otel-sampler-parent-based": "true",
		}},
		{"F5's controller", "ingress-a", flannel(ingresses(ingressOf(IngressNGINXInc)), traced()), map[string]any{
			"controller.config.entries.otel-exporter-endpoint": collectorHost + ":4317", "controller.config.entries.otel-service-name": "ingress-a",
			"controller.config.entries.otel-trace-in-http": nil,
		}},
		{"the first of F5's that sends spans", "ingress-a", flannel(ingresses(ingressOf(IngressNGINXInc, func(i *IngressSpec) { i.Version = "2.2.0" })), traced()), map[string]any{
			"controller.config.entries.otel-exporter-endpoint": collectorHost + ":4317",
		}},
		{"F5's controller of old", "ingress-a", flannel(ingresses(ingressOf(IngressNGINXInc, func(i *IngressSpec) { i.Version = "2.1.2" })), traced()), map[string]any{
			"controller.config.entries.otel-exporter-endpoint": nil, "controller.config.entries.http-snippets": nil,
		}},
		{"F5's controller by Zipkin", "ingress-a", flannel(ingresses(ingressOf(IngressNGINXInc)), traced(byZipkin)), map[string]any{
			"controller.config.entries.otel-exporter-endpoint": nil, "controller.config.entries.http-snippets": nil,
		}},
		{"HAProxy", "ingress-a", flannel(ingresses(ingressOf(IngressHAProxy)), traced()), map[string]any{"tracing": nil}},
		{"Envoy Gateway", "ingress-a-resources", flannel(gateway(GatewayAPIStandard, "1.6.1"), ingresses(ingressOf(IngressEnvoyGateway)), traced(byZipkin)), map[string]any{
			"envoyProxy.telemetry.tracing.provider.type": "Zipkin", "envoyProxy.telemetry.tracing.provider.host": "zipkin.observability.svc",
			"envoyProxy.telemetry.tracing.samplingFraction.numerator": int64(100), "envoyProxy.telemetry.tracing.samplingFraction.denominator": int64(10000),
		}},
		{"Consul without a word", "consul", flannel(consul()), map[string]any{"tracing": nil}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, values := releaseNamed(t, accepted(t, tc.in), tc.release)
			for path, want := range tc.want {
				got, has := lookup(values, path)
				if want == nil && has || want != nil && got != want {
					t.Errorf("%s is %v (%T), not %v", path, got, got, want)
				}
			}
		})
	}
}

// TestTracingIstio wants the provider as the mesh configuration has it.
func TestTracingIstio(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   Input
		want any
	}{
		{"OTLP", flannel(istio(), traced()), object{"service": collectorHost + ".cluster.local", "port": int64(4317)}},
		{"Zipkin", flannel(istio(), traced(byZipkin)), object{"service": "zipkin.observability.svc.cluster.local", "port": int64(9411)}},
		{"OTLP in another domain", flannel(istio(), traced(), pinned(PinnedFacts{DNSDomain: "k8s.example"})), object{"service": collectorHost + ".k8s.example", "port": int64(4317)}},
	} {
		_, values := releaseNamed(t, accepted(t, tc.in), "istiod-1-30-3")
		got, _ := lookup(values, tracingProviders)
		kind := map[string]string{"OTLP": "opentelemetry", "Zipkin": "zipkin", "OTLP in another domain": "opentelemetry"}[tc.name]
		want := []any{map[string]any{"name": "networkstack-tracing", kind: tc.want}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestTracingConsul wants configurations that Envoy can read: JSON in texts, with the cluster that the listeners name.
func TestTracingConsul(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   Input
		want []string
	}{
		{"OTLP", flannel(consul(), traced(sampling("12.5"))), []string{"OpenTelemetryConfig", `"cluster_name":"networkstack-tracing"`, `"random_sampling":{"value":12.5}`, "http2_protocol_options", collectorHost}},
		{"Zipkin", flannel(consul(), traced(byZipkin)), []string{"ZipkinConfig", `"collector_cluster":"networkstack-tracing"`, `"shared_span_context":false`, `"collector_hostname":"zipkin.observability.svc:9411"`, `"random_sampling":{"value":1}`, "zipkin.observability.svc"}},
	} {
		rel, values := releaseNamed(t, accepted(t, tc.in), "consul-resources")
		objects := render(t, testcharts.Embedded(t, "consul-resources"), rel, values)
		config, _ := lookup(objects["ProxyDefaults global"], "spec.config")
		all := ""
		for _, key := range []string{"envoy_extra_static_clusters_json", "envoy_listener_tracing_json"} {
			text, _ := lookup(config.(object), key)
			if !json.Valid([]byte(asText(text))) {
				t.Errorf("%s: %s is no JSON: %v", tc.name, key, text)
			}
			all += asText(text)
		}
		for _, want := range tc.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s: %q is not in %s", tc.name, want, all)
			}
		}
		if _, is := objects["Mesh mesh"]; is {
			t.Errorf("%s: something is said of mutual TLS", tc.name)
		}
	}
}

// TestTracingRenders lets upstream's charts, and our own, read the values.
func TestTracingRenders(t *testing.T) {
	upstream := func(name, version string) func(*testing.T) *chart.Chart {
		return func(t *testing.T) *chart.Chart {
			out := *testcharts.Upstream(t, name, version)
			if name == "nginx-ingress" {
				out.Schema = nil // it refers to the network
			}
			return &out
		}
	}
	own := func(name string) func(*testing.T) *chart.Chart {
		return func(t *testing.T) *chart.Chart { return testcharts.Embedded(t, name) }
	}
	traefikTraced := flannel(ingresses(ingressOf(IngressTraefik)), traced(sampling("12.5")))
	args := []string{"--tracing.otlp=true", "--tracing.otlp.grpc.endpoint=" + collectorHost + ":4317", "--tracing.otlp.grpc.insecure=true", "0.125"}
	for _, tc := range []struct {
		name, release, object, path string
		chart                       func(*testing.T) *chart.Chart
		in                          Input
		want                        []string
	}{
		{"istiod", "istiod-1-30-3", "ConfigMap istio-1-30-3", "data.mesh", upstream("istiod", "1.30.3"), flannel(istio(), traced()), []string{
			"enableTracing: true", "name: networkstack-tracing", "service: " + collectorHost + ".cluster.local", "port: 4317",
		}},
		{"Telemetry", "istio-resources", "Telemetry mesh-default", "spec", own("istio-resources"), flannel(istio(), traced(sampling("0.05"))), []string{
			`"name":"networkstack-tracing"`, `"randomSamplingPercentage":0.05`,
		}},
		{"Linkerd", "linkerd", "Deployment linkerd-destination", "spec.template.spec", upstream("linkerd-control-plane", "2026.8.3"), flannel(linkerd(), traced(collector)), []string{
			collectorHost + ":4317", "otel-collector.observability.serviceaccount.identity.linkerd.cluster.local",
		}},
		{"Traefik", "ingress-a", "Deployment ingress-a", "spec.template.spec.containers", upstream("traefik", "41.3.0"), traefikTraced, args},
		{"our Traefik", "ingress-a", "Deployment ingress-a", "spec.template.spec.containers", own("traefik"), traefikTraced, append(args, "--tracing.servicename=ingress-a")},
		{"ingress-nginx", "ingress-a", "ConfigMap ingress-a-controller", "data", upstream("ingress-nginx", "4.15.1"), flannel(ingresses(ingressOf(IngressNGINX)), traced()), []string{
			`"enable-opentelemetry":"true"`, `"otel-sampler-ratio":"0.01"`, `"otlp-collector-port":"4317"`,
		}},
		{"F5's controller", "ingress-a", "ConfigMap ingress-a", "data", upstream("nginx-ingress", "2.6.4"), flannel(ingresses(ingressOf(IngressNGINXInc)), traced(sampling("12.5"))), []string{
			`"otel-exporter-endpoint":"` + collectorHost + `:4317"`, `"otel-service-name":"ingress-a"`, "{ 12.5% on; * off; }", "otel_trace $networkstack_trace;",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rel, values := releaseNamed(t, accepted(t, tc.in), tc.release)
			if tc.release == "linkerd" {
				// The component controller fills these in.
				values = MergeValues(values, object{"identityTrustAnchorsPEM": "ANCHOR", "proxyInjector": object{"caBundle": "CA"},
					"profileValidator": object{"caBundle": "CA"}, "policyValidator": object{"caBundle": "CA"}})
			}
			objects := render(t, tc.chart(t), rel, values)
			got, _ := lookup(objects[tc.object], tc.path)
			text := asText(got) + string(rawValues(got).Raw)
			for _, want := range tc.want {
				if !strings.Contains(text, want) {
					t.Errorf("%s of %s lacks %q: %s", tc.path, tc.object, want, text)
				}
			}
		})
	}
}

// TestTracingNGINX pins how NGINX is told what to sample: it takes shares above nothing and below everything.
func TestTracingNGINX(t *testing.T) {
	for percent, share := range map[string]string{"0": "* off;", "0.01": "0.01% on; * off;", "12.5": "12.5% on; * off;", "99.99": "99.99% on; * off;", "100": "* on;"} {
		_, values := releaseNamed(t, accepted(t, flannel(ingresses(ingressOf(IngressNGINXInc)), traced(sampling(percent)))), "ingress-a")
		got, _ := lookup(values, nginxIncSnippets)
		want := "split_clients $otel_trace_id $networkstack_sampled { " + share + " }\n" +
			"map $otel_parent_id $networkstack_trace { \"\" $networkstack_sampled; default $otel_parent_sampled; }\n" +
			"otel_trace $networkstack_trace;\notel_trace_context propagate;\n"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s percent (-want +got):\n%s", percent, diff)
		}
	}
}
