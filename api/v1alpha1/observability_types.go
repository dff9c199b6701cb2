package v1alpha1

// ObservabilitySpec says what those who watch the cluster get of all components.
type ObservabilitySpec struct {
	// monitors says whether Prometheus' operator is told where the components serve metrics, by Services and ServiceMonitors. Components
	// that serve them only when asked to are asked. Left out, Auto. What cni.metrics says of the network plugin counts for that.
	// +optional
	Monitors MonitorMode `json:"monitors,omitempty"`

	// monitorLabels are added to the ServiceMonitors, for a Prometheus that selects them by labels, such as release of
	// kube-prometheus-stack.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	MonitorLabels map[string]string `json:"monitorLabels,omitempty"`

	// dashboards says whether there is a dashboard for each component that is monitored, as a ConfigMap with the label
	// grafana_dashboard, which Grafana's sidecar looks for. Left out, Auto: where there are monitors.
	// +optional
	Dashboards MonitorMode `json:"dashboards,omitempty"`

	// tracing says where those send the spans of requests that make any: the proxies of the mesh, and ingress controllers.
	// +optional
	Tracing *TracingSpec `json:"tracing,omitempty"`

	ComponentSettings `json:",inline"`
}

// TracingProtocol is how spans are sent.
// +kubebuilder:validation:Enum=OTLP;Zipkin
type TracingProtocol string

// The protocols of tracing.
const (
	// TracingOTLP is OTLP by gRPC, which OpenTelemetry's collector and Jaeger take, usually at port 4317.
	TracingOTLP TracingProtocol = "OTLP"
	// TracingZipkin is Zipkin's, by HTTP, usually at port 9411.
	TracingZipkin TracingProtocol = "Zipkin"
)

// TracingSpec is where spans are sent, and of how many requests.
type TracingSpec struct {
	// protocol by which they are sent. Left out, OTLP.
	// +optional
	Protocol TracingProtocol `json:"protocol,omitempty"`

	// endpoint is the host and the port of what collects them, without a scheme, such as
	// otel-collector.observability.svc:4317. It is spoken to without TLS, or with that of the mesh.
	// +required
	// +kubebuilder:validation:MaxLength=260
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?:[0-9]{1,5}$`
	Endpoint string `json:"endpoint,omitempty"`

	// samplingPercent is of how many of a hundred requests spans are made that nobody has decided about before, with at most two
	// decimals. Left out, 1.
	// +optional
	// +kubebuilder:validation:MaxLength=6
	// +kubebuilder:validation:Pattern=`^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)$`
	SamplingPercent string `json:"samplingPercent,omitempty"`

	// collector is the ServiceAccount of what collects the spans. Linkerd's proxies know it by that, and send them to nobody else.
	// +optional
	Collector *ServiceAccountReference `json:"collector,omitempty"`
}

// ServiceAccountReference names a ServiceAccount.
type ServiceAccountReference struct {
	// namespace of it.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`
	// name of it.
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
}
