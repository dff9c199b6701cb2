package compose

// Rules about monitors and dashboards.
var (
	ruleMonitorsUndefined = refuses(AreaObservability, Rule{
		ID:     "MONITORS-UNDEFINED",
		When:   "Monitors are asked for, and the cluster has no kind ServiceMonitor.",
		Remedy: "Install Prometheus' operator or its definitions, for example as an add-on, or use Auto.",
		Source: "Prometheus' operator (monitoring.coreos.com/v1) defines the kind; without it, the API server refuses such objects.",
	})
	ruleMonitorsAbsent = warns(AreaObservability, Rule{
		ID:     "MONITORS-ABSENT",
		When:   "Monitors are to be made as soon as somebody can read them, and nobody can.",
		Remedy: "Install Prometheus' operator, for example as an add-on; the monitors follow by themselves.",
		Source: "As MONITORS-UNDEFINED.",
	})
	ruleMonitorsNothing = warns(AreaObservability, Rule{
		ID:     "MONITORS-NOTHING",
		When:   "No component serves metrics that are not monitored already.",
		Remedy: "Remove observability, or turn metrics on where the components have them.",
		Source: "The operator's catalogue says which components serve metrics, and by which chart value.",
	})
	ruleMonitorsToken = warns(AreaObservability, Rule{
		ID:     "MONITORS-CONSUL-TOKEN",
		When:   "Monitors with Consul, whose ACLs are on and whose chart makes no token for metrics.",
		Remedy: "Set mesh.values.global.metrics.datadog.enabled to true: the chart's Job makes one that may only read.",
		Source: "Consul, agent HTTP API: /agent/metrics needs agent:read. Consul on Kubernetes makes a token with it for Datadog alone.",
	})
)
