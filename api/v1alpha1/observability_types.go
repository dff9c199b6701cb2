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

	ComponentSettings `json:",inline"`
}
