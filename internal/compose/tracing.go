package compose

import (
	"cmp"
	"encoding/json"
	"math"
	"net"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

var tracingPath = observabilityPath.Child("tracing")

// tracingProvider is the name of what collects spans in the configurations of meshes.
const tracingProvider = "networkstack-tracing"

// tracingProviders are the mesh configuration's own list of such.
const tracingProviders = "meshConfig.extensionProviders"

// usualSampling is in hundredths of a percent, and everySample all of them.
const usualSampling, everySample = 100, 10000

// tracing is where spans go; nil where nothing is said of it.
type tracing struct {
	zipkin bool
	host   string
	port   int64
	// sampled is in hundredths of a percent.
	sampled int64
	// linkerd's proxies know the collector by it.
	collector *networkstackv1alpha1.ServiceAccountReference
}

// percent of requests that are sampled.
func (t *tracing) percent() float64 { return float64(t.sampled) / 100 }

// ratio of requests that are sampled.
func (t *tracing) ratio() float64 { return float64(t.sampled) / 10000 }

// address is host and port in one.
func (t *tracing) address() string { return net.JoinHostPort(t.host, strconv.FormatInt(t.port, 10)) }

var samplingForm = regexp.MustCompile(`^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)$`)

// deriveTracing settles where spans go. What cannot be read is refused, and nothing goes anywhere.
func (s *state) deriveTracing() {
	if s.spec.Observability == nil || s.spec.Observability.Tracing == nil {
		return
	}
	t := s.spec.Observability.Tracing
	optionalOneOf(s, tracingPath.Child("protocol"), t.Protocol, networkstackv1alpha1.TracingOTLP, networkstackv1alpha1.TracingZipkin)
	out := &tracing{zipkin: t.Protocol == networkstackv1alpha1.TracingZipkin, sampled: usualSampling, collector: t.Collector}
	if t.Protocol == "" {
		s.note(tracingPath.Child("protocol"), networkstackv1alpha1.TracingOTLP, "default: collectors and Jaeger take it")
	}
	host, text, err := net.SplitHostPort(t.Endpoint)
	port, portErr := strconv.ParseUint(text, 10, 16)
	if err != nil || portErr != nil || host == "" || port == 0 || strings.Contains(host, "/") {
		s.refuse(ruleTracingEndpoint, field.Invalid(tracingPath.Child("endpoint"), t.Endpoint,
			"write a host and a port without a scheme, such as otel-collector.observability.svc:4317"))
		return
	}
	out.host, out.port = host, int64(port)
	switch {
	case t.SamplingPercent == "":
		s.note(tracingPath.Child("samplingPercent"), "1", "default: one request of a hundred")
	case !samplingForm.MatchString(t.SamplingPercent):
		s.refuse(ruleTracingSampling, field.Invalid(tracingPath.Child("samplingPercent"), t.SamplingPercent, "write a number from 0 to 100, with at most two decimals"))
		return
	default:
		v, _ := strconv.ParseFloat(t.SamplingPercent, 64)
		out.sampled = int64(math.Round(v * 100))
	}
	s.tracing = out
}

// otlpOnly are ingress controllers that send spans by OTLP alone, and tracedIngress all that send any by what is told them here.
var (
	otlpOnly = map[networkstackv1alpha1.IngressType]bool{
		networkstackv1alpha1.IngressNGINX: true, networkstackv1alpha1.IngressNGINXInc: true, networkstackv1alpha1.IngressTraefik: true,
	}
	tracedIngress = map[networkstackv1alpha1.IngressType]bool{
		networkstackv1alpha1.IngressNGINX: true, networkstackv1alpha1.IngressNGINXInc: true, networkstackv1alpha1.IngressTraefik: true,
		networkstackv1alpha1.IngressEnvoyGateway: true,
	}
)

// traces says whether an ingress controller is told where spans go.
func (s *state) traces(i *ingress) bool {
	return s.tracing != nil && tracedIngress[i.Type] && (!s.tracing.zipkin || !otlpOnly[i.Type]) && s.untraced(i) == ""
}

// nginxIncTraced is the first chart of F5's controller whose image has the module that sends spans.
const nginxIncTraced = "2.2.0"

// untraced says why a controller that otherwise sends spans does not; empty when it does. A configuration of NGINX that it cannot read
// would keep it from every later change.
func (s *state) untraced(i *ingress) string {
	if i.Type != networkstackv1alpha1.IngressNGINXInc {
		return ""
	}
	v := parseVersion(cmp.Or(i.Version, s.catalog[string(i.Type)].Default().Version))
	if v != nil && v.LessThan(parseVersion(nginxIncTraced)) {
		return "has no OpenTelemetry before chart " + nginxIncTraced + ": upgrade it"
	}
	return ""
}

// validateTracing says what comes of it, of each that could send spans.
func (s *state) validateTracing() {
	t := s.tracing
	if t == nil {
		return
	}
	sent := s.validateMeshTracing(t)
	for n := range s.ingress {
		i := &s.ingress[n]
		switch {
		case s.traces(i):
			sent = true
			s.validateSnippets(i)
		case i.Type == networkstackv1alpha1.IngressIstioGateway:
			sent = sent || s.mesh.typ == networkstackv1alpha1.MeshIstio
			if s.mesh.typ != networkstackv1alpha1.MeshIstio {
				s.warn(ruleTracingIngress, i.at("type"), "sends spans as its mesh is told to, and the mesh is not this stack's: tell it there")
			}
		case otlpOnly[i.Type] && t.zipkin:
			s.warn(ruleTracingProtocol, tracingPath.Child("protocol"), "%s (ingress %s) sends spans by OTLP alone, so that it sends none: use OTLP", i.Type, i.Name)
		case tracedIngress[i.Type]:
			s.warn(ruleTracingIngress, i.at("type"), "%s %s", i.Type, s.untraced(i))
		default:
			s.warn(ruleTracingIngress, i.at("type"), "%s is told nothing of observability.tracing, for it has no such setting here: its requests have no spans of its own", i.Type)
		}
	}
	if t.collector != nil && s.mesh.typ != networkstackv1alpha1.MeshLinkerd {
		s.warn(ruleTracingCollector, tracingPath.Child("collector"), "is for Linkerd's proxies, and there are none: remove it")
	}
	if !sent {
		s.warn(ruleTracingNothing, tracingPath, "has no effect: nothing in this stack sends spans: remove it, or have a mesh or an ingress controller that does")
	}
}

// nginxIncSnippets are parts of F5's configuration in NGINX's own words, one for all servers.
const nginxIncSnippets = "controller.config.entries.http-snippets"

// validateSnippets wants words of the user's own in place of those that choose what is sampled to choose it as well.
func (s *state) validateSnippets(i *ingress) {
	if i.Type != networkstackv1alpha1.IngressNGINXInc {
		return
	}
	v, set := lookup(s.userValues[i.path.String()], nginxIncSnippets)
	if text, _ := v.(string); set && !strings.Contains(text, "otel_trace ") {
		s.refuse(ruleTracingSnippets, field.Invalid(i.at("values"), field.OmitValueType{},
			"values."+nginxIncSnippets+" takes the place of what observability.tracing writes there: have an otel_trace of your own in it, or remove tracing"))
	}
}

// nginxSampling is what has NGINX sample a share of the requests that nobody before it has judged, and send on what it decides.
func (t *tracing) nginxSampling() string {
	share := "* off;" // NGINX takes no share of 0, nor needs one of all
	switch {
	case t.sampled >= everySample:
		share = "* on;"
	case t.sampled > 0:
		share = strconv.FormatFloat(t.percent(), 'f', -1, 64) + "% on; * off;"
	}
	return strings.Join([]string{
		"split_clients $otel_trace_id $networkstack_sampled { " + share + " }",
		"map $otel_parent_id $networkstack_trace { \"\" $networkstack_sampled; default $otel_parent_sampled; }",
		"otel_trace $networkstack_trace;",
		"otel_trace_context propagate;",
	}, "\n") + "\n"
}

// validateMeshTracing says whether the mesh sends spans.
func (s *state) validateMeshTracing(t *tracing) bool {
	switch s.mesh.typ {
	case networkstackv1alpha1.MeshIstio:
		if !strings.HasSuffix(t.host, ".svc") && !strings.HasSuffix(t.host, ".svc."+s.dnsDomain()) {
			s.warn(ruleTracingHost, tracingPath.Child("endpoint"), "Istio sends spans to what it knows: name a Service as name.namespace.svc, or have a ServiceEntry for %s", t.host)
		}
		if v, set := lookup(s.userValues[meshPath.String()], tracingProviders); set && !hasProvider(v) {
			s.refuse(ruleTracingProviders, field.Invalid(meshPath.Child("values"), field.OmitValueType{},
				"values."+tracingProviders+" takes the place of the provider that observability.tracing makes: give one of yours the name "+tracingProvider+", or remove tracing"))
		}
	case networkstackv1alpha1.MeshLinkerd:
		if t.zipkin {
			s.warn(ruleTracingProtocol, tracingPath.Child("protocol"), "Linkerd sends spans by OTLP alone, so that it sends none: use OTLP")
			return false
		}
		if t.collector == nil {
			s.refuse(ruleTracingIdentity, field.Required(tracingPath.Child("collector"),
				"Linkerd's proxies send spans to a collector in the mesh, which they know by its ServiceAccount: name it"))
		}
		if s.spec.Observability.Tracing.SamplingPercent != "" {
			s.warn(ruleTracingUnsampled, tracingPath.Child("samplingPercent"), "Linkerd's proxies make spans of the requests that somebody before them has chosen, whatever is said here")
		}
	case networkstackv1alpha1.MeshConsul:
	default:
		return false
	}
	return true
}

func hasProvider(v any) bool {
	list, _ := v.([]any)
	for _, p := range list {
		if m, ok := p.(map[string]any); ok && m["name"] == tracingProvider {
			return true
		}
	}
	return false
}

// istioTracing tells the control plane who collects spans. The Telemetry in our own chart says that they are sent there.
func (s *state) istioTracing(b *valuesBuilder) {
	t := s.tracing
	if t == nil {
		return
	}
	host := t.host
	if strings.HasSuffix(host, ".svc") {
		host += "." + s.dnsDomain() // it knows Services by their whole names
	}
	kind := "opentelemetry"
	if t.zipkin {
		kind = "zipkin"
	}
	b.set("meshConfig.enableTracing", true, "from observability.tracing")
	b.set(tracingProviders, []any{map[string]any{"name": tracingProvider, kind: map[string]any{"service": host, "port": t.port}}},
		"from observability.tracing")
}

// linkerdTracing tells Linkerd's proxies, and those of its control plane.
func (s *state) linkerdTracing(b *valuesBuilder) {
	t := s.tracing
	if t == nil || t.zipkin || t.collector == nil {
		return
	}
	const at = "proxy.tracing"
	by := tracingPath.String()
	b.control(at+".enabled", by, true, "from observability.tracing")
	b.control(at+".collector.endpoint", by, t.address(), "from observability.tracing")
	b.control(at+".collector.meshIdentity.serviceAccountName", by, t.collector.Name, "the ServiceAccount of the collector")
	b.control(at+".collector.meshIdentity.namespace", by, t.collector.Namespace, "the ServiceAccount of the collector")
}

// consulTracing is the configuration of all proxies of Consul by which they send spans, as Envoy has it.
func (s *state) consulTracing() map[string]any {
	t := s.tracing
	if t == nil {
		return nil
	}
	const types = "type.googleapis.com/envoy."
	socket := map[string]any{"address": t.host, "port_value": t.port}
	endpoint := map[string]any{"endpoint": map[string]any{"address": map[string]any{"socket_address": socket}}}
	cluster := map[string]any{
		"name": tracingProvider, "type": "STRICT_DNS", "connect_timeout": "3s",
		"load_assignment": map[string]any{
			"cluster_name": tracingProvider, "endpoints": []any{map[string]any{"lb_endpoints": []any{endpoint}}},
		},
	}
	provider := map[string]any{"name": "envoy.tracers.zipkin", "typed_config": map[string]any{
		"@type": types + "config.trace.v3.ZipkinConfig", "collector_cluster": tracingProvider, "collector_endpoint": "/api/v2/spans",
		"collector_endpoint_version": "HTTP_JSON", "collector_hostname": t.address(), "shared_span_context": false,
	}}
	if !t.zipkin {
		provider = map[string]any{"name": "envoy.tracers.opentelemetry", "typed_config": map[string]any{
			"@type":        types + "config.trace.v3.OpenTelemetryConfig",
			"grpc_service": map[string]any{"envoy_grpc": map[string]any{"cluster_name": tracingProvider}, "timeout": "1s"},
		}}
		const options = "extensions.upstreams.http.v3.HttpProtocolOptions"
		cluster["typed_extension_protocol_options"] = map[string]any{"envoy." + options: map[string]any{
			"@type": types + options, "explicit_http_config": map[string]any{"http2_protocol_options": map[string]any{}},
		}}
	}
	listener := map[string]any{
		"@type":    types + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing",
		"provider": provider, "random_sampling": map[string]any{"value": t.percent()},
	}
	return map[string]any{"envoy_extra_static_clusters_json": jsonText(cluster), "envoy_listener_tracing_json": jsonText(listener)}
}

// jsonText is what can be written as JSON, with sorted keys.
func jsonText(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		panic("marshalling a configuration: " + err.Error())
	}
	return string(out)
}

// tracing tells an ingress controller where its spans go.
func (b *ingressBuilder) tracing(t *tracing) {
	by := tracingPath.String()
	tell := func(path string, value any) { b.control(path, by, value, "from observability.tracing") }
	switch b.i.Type {
	case networkstackv1alpha1.IngressTraefik:
		tell("tracing.otlp.enabled", true)
		tell("tracing.otlp.grpc.enabled", true)
		tell("tracing.otlp.grpc.endpoint", t.address())
		tell("tracing.otlp.grpc.insecure", true)
		tell("tracing.sampleRate", t.ratio())
		b.set("tracing.serviceName", b.i.component, "spans are told apart by it")
	case networkstackv1alpha1.IngressNGINX:
		const config = "controller.config."
		tell(config+"enable-opentelemetry", "true")
		tell(config+"otlp-collector-host", t.host)
		tell(config+"otlp-collector-port", strconv.FormatInt(t.port, 10))
		tell(config+"otel-sampler", "TraceIdRatioBased")
		tell(config+"otel-sampler-ratio", strconv.FormatFloat(t.ratio(), 'f', -1, 64))
		tell(config+"otel-sampler-parent-based", "true")
		b.set(config+"otel-service-name", b.i.component, "spans are told apart by it")
	case networkstackv1alpha1.IngressNGINXInc:
		const entries = "controller.config.entries."
		tell(entries+"otel-exporter-endpoint", t.address())
		b.set(entries+"otel-service-name", b.i.component, "spans are told apart by it")
		b.set(nginxIncSnippets, t.nginxSampling(), "from observability.tracing: the controller's own setting samples every request")
	default:
		// EnvoyProxy has it.
	}
}

// envoyTracing is the part of an EnvoyProxy that says where spans go.
func (t *tracing) envoyTracing() map[string]any {
	kind := "OpenTelemetry"
	if t.zipkin {
		kind = "Zipkin"
	}
	return map[string]any{
		"samplingFraction": map[string]any{"numerator": t.sampled, "denominator": int64(10000)},
		"provider":         map[string]any{"type": kind, "host": t.host, "port": t.port},
	}
}

// istioSampling is what the Telemetry of the whole mesh says.
func (s *state) istioSampling(b *valuesBuilder) {
	if t := s.tracing; t != nil {
		b.control("tracing", tracingPath.String(), map[string]any{"provider": tracingProvider, "percent": t.percent()},
			"from observability.tracing")
	} else {
		b.reserve("tracing", tracingPath.String())
	}
}
