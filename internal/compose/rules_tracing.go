package compose

// Rules about tracing.
var (
	ruleTracingEndpoint = refuses(AreaObservability, Rule{
		ID:        "TRACING-ENDPOINT",
		APIServer: true,
		When:      "tracing.endpoint is not a host and a port.",
		Remedy:    "Write them without a scheme.",
		Source:    "Every controller puts them together in its own way.",
	})
	ruleTracingSampling = refuses(AreaObservability, Rule{
		ID:        "TRACING-SAMPLING",
		APIServer: true,
		When:      "tracing.samplingPercent is not from 0 to 100, or has more than two decimals.",
		Remedy:    "Write such a number.",
		Source:    "Envoy samples in steps of a hundredth of a percent.",
	})
	ruleTracingNothing = warns(AreaObservability, Rule{
		ID:     "TRACING-NOTHING",
		When:   "tracing, and nothing in the stack sends spans.",
		Remedy: "Remove it, or have a mesh or an ingress controller that does.",
		Source: "Nothing would read it.",
	})
	ruleTracingIngress = warns(AreaObservability, Rule{
		ID:     "TRACING-INGRESS",
		When:   "tracing, and an ingress controller that is told nothing of it.",
		Remedy: "None is needed: its requests have no spans of its own.",
		Source: "HAProxy's controllers send no spans, Cilium and Google none for Ingresses; F5's has its keys from 5.1 on.",
	})
	ruleTracingProtocol = warns(AreaObservability, Rule{
		ID:     "TRACING-PROTOCOL",
		When:   "tracing.protocol is Zipkin, and something sends spans by OTLP alone.",
		Remedy: "Use OTLP.",
		Source: "Linkerd, Traefik from 3.0 and ingress-nginx from 1.10 speak nothing else.",
	})
	ruleTracingHost = warns(AreaObservability, Rule{
		ID:     "TRACING-ISTIO-HOST",
		When:   "tracing with Istio, and the endpoint is no Service.",
		Remedy: "Name a Service as name.namespace.svc, or have a ServiceEntry.",
		Source: "Istio, mesh configuration: a provider's service is one of its registry.",
	})
	ruleTracingProviders = refuses(AreaObservability, Rule{
		ID:     "TRACING-ISTIO-PROVIDERS",
		When:   "tracing with Istio, and values.meshConfig.extensionProviders has no provider of that name.",
		Remedy: "Give one the name, or remove tracing.",
		Source: "A list among values takes the place of another.",
	})
	ruleTracingSnippets = refuses(AreaObservability, Rule{
		ID:     "TRACING-NGINXINC-SNIPPETS",
		When:   "tracing with NGINXInc, and values.controller.config.entries.http-snippets has no otel_trace.",
		Remedy: "Write one, or remove tracing.",
		Source: "NGINX's OpenTelemetry module: otel_trace says what is sampled; otel-trace-in-http of F5's controller samples everything.",
	})
	ruleTracingIdentity = refuses(AreaObservability, Rule{
		ID:     "TRACING-LINKERD-COLLECTOR",
		When:   "tracing with Linkerd, without tracing.collector.",
		Remedy: "Name the ServiceAccount of the collector.",
		Source: "Linkerd's chart: proxy.tracing.collector.meshIdentity is required.",
	})
	ruleTracingUnsampled = warns(AreaObservability, Rule{
		ID:     "TRACING-LINKERD-SAMPLING",
		When:   "tracing.samplingPercent with Linkerd.",
		Remedy: "None is needed: who comes first decides, such as the ingress controller.",
		Source: "Linkerd, distributed tracing: proxies add spans to traces that there are.",
	})
	ruleTracingCollector = warns(AreaObservability, Rule{
		ID:     "TRACING-COLLECTOR-UNUSED",
		When:   "tracing.collector without Linkerd.",
		Remedy: "Remove it.",
		Source: "Nothing would read it.",
	})
)
