package compose

import (
	"fmt"
	"strings"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// nginxController is what ingress-nginx's IngressClass has as its controller.
const nginxController = "k8s.io/ingress-nginx"

// nginxLogFields are the same in both NGINX controllers, whose logs are NGINX's.
var nginxLogFields = [][2]string{
	{"time", `"$time_iso8601"`}, {"client", `"$remote_addr"`}, {"host", `"$host"`},
	{"method", `"$request_method"`}, {"uri", `"$request_uri"`},
	{"status", `"$status"`}, {"bytes", `"$body_bytes_sent"`}, {"duration", `"$request_time"`}, {"upstream", `"$upstream_addr"`},
	{"upstreamStatus", `"$upstream_status"`}, {"referer", `"$http_referer"`}, {"userAgent", `"$http_user_agent"`},
}

// autoscalingCPU is the use of CPU at which an autoscaler adds a pod.
func autoscalingCPU(a *networkstackv1alpha1.IngressAutoscaling) int64 {
	if a.TargetCPUUtilizationPercentage == nil {
		return usualCPU
	}
	return int64(*a.TargetCPUUtilizationPercentage)
}

// nginx derives the values of ingress-nginx's chart.
func (b *ingressBuilder) nginx() {
	i, l := b.i, b.i.limits()
	b.control("fullnameOverride", i.at("name").String(), i.component, "the component's name")
	b.workload(workloadKeys{
		kind: "controller.kind", replicas: "controller.replicaCount", autoscaling: "controller.autoscaling", budget: "controller",
		spread: "controller.topologySpreadConstraints", resources: "controller.resources",
		selector: map[string]string{
			componentNameLabel: "ingress-nginx", componentInstanceLabel: i.component, "app.kubernetes.io/component": "controller",
		},
	})
	const class = "controller.ingressClassResource"
	controller := nginxController
	if i.class != usualClasses[i.Type] {
		// Each of several controllers serves all classes that have its controller.
		controller += "-" + i.class
	}
	b.from("class.name", class+".name", i.class)
	b.from("class.name", class+".controllerValue", controller)
	b.from("class.name", "controller.ingressClass", i.class)
	b.from("class.default", class+".default", i.isDefault())
	const service = "controller.service"
	b.serviceValues(service)
	b.annotationValues(service + ".annotations")
	if http, https := i.ports(); http > 0 {
		b.from("hostPorts", "controller.hostPort.enabled", true)
		b.from("hostPorts", "controller.hostPort.ports.http", http)
		b.from("hostPorts", "controller.hostPort.ports.https", https)
		b.noPublishing("controller.publishService.enabled")
	}
	b.when(i.certificateSecret() != "", "defaultCertificate", "controller.extraArgs.default-ssl-certificate", b.certificateReference())
	b.config("controller.config",
		entry{"limits.maxBodySize", "proxy-body-size", i.bodySize()},
		entry{"limits.maxConnections", "max-worker-connections", number(l.MaxConnections)},
		entry{"limits.connectTimeout", "proxy-connect-timeout", seconds(l.ConnectTimeout, "")},
		entry{"limits.backendTimeout", "proxy-read-timeout", seconds(l.BackendTimeout, "")},
		entry{"limits.clientTimeout", "client-header-timeout", seconds(l.ClientTimeout, "")},
		entry{"limits.clientTimeout", "client-body-timeout", seconds(l.ClientTimeout, "")},
		entry{"limits.idleTimeout", "keep-alive", seconds(l.IdleTimeout, "")},
	)
	switch i.clients() {
	case networkstackv1alpha1.ClientsByProxyProtocol:
		b.from("clientAddresses", "controller.config.use-proxy-protocol", "true")
	case networkstackv1alpha1.ClientsByForwardedHeaders:
		b.from("clientAddresses", "controller.config.use-forwarded-headers", "true")
	}
	b.config("controller.config", entry{"clientAddresses.trustedCIDRs", "proxy-real-ip-cidr", strings.Join(i.trusted(), ",")})
	if i.LogFormat == networkstackv1alpha1.IngressLogJSON {
		b.from("logFormat", "controller.config.log-format-escape-json", "true")
		b.from("logFormat", "controller.config.log-format-upstream", jsonLog(nginxLogFields))
	}
	if i.served != "" {
		b.from("metrics.endpoints", "controller.metrics.enabled", i.served == networkstackv1alpha1.Enabled)
		b.from("metrics.serviceMonitors", "controller.metrics.serviceMonitor.enabled", i.monitors)
		b.monitorLabels("controller.metrics.serviceMonitor.additionalLabels")
	}
	b.when(len(i.WatchedNamespaces) > 0, "watchedNamespaces", "controller.scope.namespaceSelector",
		fmt.Sprintf("kubernetes.io/metadata.name in (%s)", i.namespacesText(",")))
}

// noPublishing keeps the Service's address out of Ingresses that are reached by their nodes.
func (b *ingressBuilder) noPublishing(key string) {
	if b.i.noBalancer() {
		b.set(key, false, "clients come to the nodes, whose addresses are those of Ingresses")
	}
}

// certificateReference names the Secret with the default certificate, with its namespace.
func (b *ingressBuilder) certificateReference() string {
	return b.namespace + "/" + b.i.certificateSecret()
}

// nginxInc derives the values of F5's chart.
func (b *ingressBuilder) nginxInc() {
	i, l := b.i, b.i.limits()
	b.control("fullnameOverride", i.at("name").String(), i.component, "the component's name")
	b.workload(workloadKeys{
		kind: "controller.kind", small: true, replicas: "controller.replicaCount", autoscaling: "controller.autoscaling",
		budget: "controller.podDisruptionBudget", budgetSwitch: "controller.podDisruptionBudget.enabled",
		spread: "controller.topologySpreadConstraints", resources: "controller.resources", selector: b.selectedBy("nginx-ingress"),
	})
	b.from("class.name", "controller.ingressClass.name", i.class)
	b.from("class.default", "controller.ingressClass.setAsDefaultIngress", i.isDefault())
	const service = "controller.service"
	b.serviceValues(service)
	b.annotationValues(service + ".annotations")
	if http, https := i.ports(); http > 0 {
		b.from("hostPorts", "controller.hostPort.enable", true)
		b.from("hostPorts", "controller.hostPort.http", http)
		b.from("hostPorts", "controller.hostPort.https", https)
	}
	b.when(i.certificateSecret() != "", "defaultCertificate", "controller.defaultTLS.secret", b.certificateReference())
	const entries = "controller.config.entries"
	b.config(entries,
		entry{"limits.maxBodySize", "client-max-body-size", i.bodySize()},
		entry{"limits.maxConnections", "worker-connections", number(l.MaxConnections)},
		entry{"limits.connectTimeout", "proxy-connect-timeout", seconds(l.ConnectTimeout, "s")},
		entry{"limits.backendTimeout", "proxy-read-timeout", seconds(l.BackendTimeout, "s")},
		entry{"limits.idleTimeout", "keepalive-timeout", seconds(l.IdleTimeout, "s")},
	)
	switch i.clients() {
	case networkstackv1alpha1.ClientsByProxyProtocol:
		b.from("clientAddresses", entries+".proxy-protocol", "True")
		b.from("clientAddresses", entries+".real-ip-header", "proxy_protocol")
	case networkstackv1alpha1.ClientsByForwardedHeaders:
		b.from("clientAddresses", entries+".real-ip-header", "X-Forwarded-For")
		b.from("clientAddresses", entries+".real-ip-recursive", "True")
	}
	b.config(entries, entry{"clientAddresses.trustedCIDRs", "set-real-ip-from", strings.Join(i.trusted(), ",")})
	if i.LogFormat == networkstackv1alpha1.IngressLogJSON {
		b.from("logFormat", entries+".log-format", jsonLog(nginxLogFields))
		b.from("logFormat", entries+".log-format-escaping", "json")
		b.from("logFormat", "controller.logFormat", "json")
	}
	if i.served != "" {
		on := i.served == networkstackv1alpha1.Enabled
		b.from("metrics.endpoints", "prometheus.create", on)
		b.from("metrics.serviceMonitors", "prometheus.service.create", i.monitors)
		b.from("metrics.serviceMonitors", "prometheus.serviceMonitor.create", i.monitors)
		b.monitorLabels("prometheus.serviceMonitor.labels")
	}
	b.when(len(i.WatchedNamespaces) > 0, "watchedNamespaces", "controller.watchNamespace", i.namespacesText(","))
	b.set("controller.telemetryReporting.enable", false, "nothing is reported to the vendor unless asked for")
}
