package compose

import (
	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// traefikEntryPoints are those that clients come by.
var traefikEntryPoints = []string{"web", "websecure"}

// traefikAccepts is how long a pod that is to end still takes connections: nodes send it some until they have heard of its end.
// Traefik by itself takes none from its end on, and with it each roll-out costs visitors connections.
const traefikAccepts = "10s"

// traefik derives the values of Traefik's chart, upstream's and ours alike.
func (b *ingressBuilder) traefik() {
	i, l := b.i, b.i.limits()
	b.control("fullnameOverride", i.at("name").String(), i.component, "the component's name")
	b.control("instanceLabelOverride", i.at("name").String(), i.component, "the component's name")
	b.workload(workloadKeys{
		kind: "deployment.kind", replicas: "deployment.replicas",
		budget: "podDisruptionBudget", budgetSwitch: "podDisruptionBudget.enabled",
		spread: "topologySpreadConstraints", resources: "resources", selector: b.selectedBy("traefik"),
	})
	b.from("autoscaling", "autoscaling.enabled", i.Autoscaling != nil)
	if a := i.Autoscaling; a != nil {
		b.from("autoscaling", "autoscaling.minReplicas", int64(i.replicas))
		b.from("autoscaling", "autoscaling.maxReplicas", int64(a.MaxReplicas))
		b.from("autoscaling", "autoscaling.metrics", cpuMetric(a))
	}
	if i.kind == networkstackv1alpha1.IngressDaemonSet {
		b.set("updateStrategy.rollingUpdate.maxUnavailable", int64(1), "two pods of a node cannot have the same ports")
		b.set("updateStrategy.rollingUpdate.maxSurge", int64(0), "two pods of a node cannot have the same ports")
	}
	b.from("class.name", "ingressClass.name", i.class)
	b.from("class.name", "providers.kubernetesIngress.ingressClass", i.class)
	b.from("class.default", "ingressClass.isDefaultClass", i.isDefault())
	b.serviceValues("service.spec")
	b.annotationValues("service.annotations")
	if http, https := i.ports(); http > 0 {
		b.from("hostPorts", "ports.web.hostPort", http)
		b.from("hostPorts", "ports.websecure.hostPort", https)
		b.noPublishing("providers.kubernetesIngress.publishedService.enabled")
	}
	if name := i.certificateSecret(); name != "" {
		b.from("defaultCertificate", "tlsStore.default.defaultCertificate.secretName", name)
	}
	for _, point := range traefikEntryPoints {
		const timeouts = ".transport.respondingTimeouts"
		at := "ports." + point
		b.config(at+timeouts,
			entry{"limits.clientTimeout", "readTimeout", seconds(l.ClientTimeout, "s")},
			entry{"limits.idleTimeout", "idleTimeout", seconds(l.IdleTimeout, "s")},
		)
		b.set(at+".transport.lifeCycle.requestAcceptGraceTimeout", traefikAccepts, "nodes hear of a pod's end a moment after it")
		switch i.clients() {
		case networkstackv1alpha1.ClientsByProxyProtocol:
			b.from("clientAddresses", at+".proxyProtocol.trustedIPs", plain(i.trusted()))
		case networkstackv1alpha1.ClientsByForwardedHeaders:
			b.from("clientAddresses", at+".forwardedHeaders.trustedIPs", plain(i.trusted()))
		}
	}
	switch i.LogFormat {
	case networkstackv1alpha1.IngressLogJSON:
		b.from("logFormat", "accessLog.enabled", true)
		b.from("logFormat", "accessLog.format", "json")
		b.from("logFormat", "log.format", "json")
	case networkstackv1alpha1.IngressLogText:
		b.from("logFormat", "accessLog.enabled", true)
		b.from("logFormat", "accessLog.format", "common")
	}
	switch i.served {
	case networkstackv1alpha1.Enabled:
		b.from("metrics.serviceMonitors", "metrics.prometheus.service.enabled", i.monitors)
		b.from("metrics.serviceMonitors", "metrics.prometheus.serviceMonitor.enabled", i.monitors)
		b.monitorLabels("metrics.prometheus.serviceMonitor.additionalLabels")
	case networkstackv1alpha1.Disabled:
		b.from("metrics.endpoints", "metrics.prometheus", nil)
	}
	b.when(len(i.WatchedNamespaces) > 0, "watchedNamespaces", "providers.kubernetesIngress.namespaces", plain(i.WatchedNamespaces))
	b.when(len(i.WatchedNamespaces) > 0, "watchedNamespaces", "providers.kubernetesCRD.namespaces", plain(i.WatchedNamespaces))
	b.set("global.checkNewVersion", false, "nothing is asked of the vendor unless wanted")
}

// cpuMetric has an autoscaler go by the use of CPU.
func cpuMetric(a *networkstackv1alpha1.IngressAutoscaling) []any {
	return []any{map[string]any{"type": "Resource", "resource": map[string]any{
		"name": "cpu", "target": map[string]any{"type": "Utilization", "averageUtilization": autoscalingCPU(a)},
	}}}
}
