package compose

import (
	"strings"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// haproxyLogFields are the same in both HAProxy controllers, whose logs are HAProxy's.
var haproxyLogFields = [][2]string{
	{"time", `"%tr"`}, {"client", `"%ci"`}, {"method", `"%HM"`}, {"uri", `"%{+E}HU"`},
	{"protocol", `"%HV"`}, {"status", `%ST`}, {"bytes", `%B`},
	{"duration", `%Ta`}, {"backend", `"%b"`}, {"server", `"%s"`}, {"termination", `"%ts"`},
}

// haproxy derives the values of HAProxy Technologies' chart.
func (b *ingressBuilder) haproxy() {
	i, l := b.i, b.i.limits()
	b.control("fullnameOverride", i.at("name").String(), i.component, "the component's name")
	b.workload(workloadKeys{
		kind: "controller.kind", replicas: "controller.replicaCount", autoscaling: "controller.autoscaling",
		budget: "controller.PodDisruptionBudget", budgetSwitch: "controller.PodDisruptionBudget.enable",
		spread: "controller.topologySpreadConstraints", resources: "controller.resources", selector: b.selectedBy("kubernetes-ingress"),
	})
	b.from("class.name", "controller.ingressClass", i.class)
	b.from("class.name", "controller.ingressClassResource.name", i.class)
	b.from("class.default", "controller.ingressClassResource.default", i.isDefault())
	const service = "controller.service"
	b.serviceValues(service)
	b.annotationValues(service + ".annotations")
	b.set(service+".enablePorts.stat", false, "statistics are not for everybody")
	b.set(service+".enablePorts.admin", false, "the profiler is not for everybody")
	b.set("controller.pprof.enabled", false, "the profiler is not for everybody")
	if http, https := i.ports(); http > 0 {
		b.from("hostPorts", "controller.daemonset.useHostPort", true)
		b.from("hostPorts", "controller.daemonset.hostPorts.http", http)
		b.from("hostPorts", "controller.daemonset.hostPorts.https", https)
		b.from("hostPorts", "controller.daemonset.hostPorts.stat", nil)
		b.noPublishing("controller.publishService.enabled")
	}
	if name := i.certificateSecret(); name != "" {
		b.from("defaultCertificate", "controller.defaultTLSSecret.secretNamespace", b.namespace)
		b.from("defaultCertificate", "controller.defaultTLSSecret.secret", name)
	}
	const config = "controller.config"
	b.config(config,
		entry{"limits.maxConnections", "maxconn", number(l.MaxConnections)},
		entry{"limits.requestsPerSecond", "rate-limit-requests", number(l.RequestsPerSecond)},
		entry{"limits.connectTimeout", "timeout-connect", seconds(l.ConnectTimeout, "s")},
		entry{"limits.backendTimeout", "timeout-server", seconds(l.BackendTimeout, "s")},
		entry{"limits.clientTimeout", "timeout-client", seconds(l.ClientTimeout, "s")},
		entry{"limits.clientTimeout", "timeout-http-request", seconds(l.ClientTimeout, "s")},
		entry{"limits.idleTimeout", "timeout-http-keep-alive", seconds(l.IdleTimeout, "s")},
	)
	b.when(l.RequestsPerSecond != nil, "limits.requestsPerSecond", config+".rate-limit-period", "1s")
	if i.clients() == networkstackv1alpha1.ClientsByProxyProtocol {
		b.from("clientAddresses", config+".proxy-protocol", strings.Join(i.trusted(), ","))
	}
	if i.LogFormat != "" {
		b.from("logFormat", "controller.logging.traffic", map[string]any{"address": "stdout", "format": "raw", "facility": "daemon"})
	}
	if i.LogFormat == networkstackv1alpha1.IngressLogJSON {
		b.from("logFormat", config+".log-format", jsonLog(haproxyLogFields))
	}
	if i.served != "" {
		b.from("metrics.endpoints", "controller.prometheus.enabled", i.served == networkstackv1alpha1.Enabled)
		b.from("metrics.serviceMonitors", "controller.serviceMonitor.enabled", i.monitors)
		b.monitorLabels("controller.serviceMonitor.extraLabels")
	}
	if len(i.WatchedNamespaces) > 0 {
		var args []any
		for _, n := range i.WatchedNamespaces {
			args = append(args, "--namespace-whitelist="+n)
		}
		b.from("watchedNamespaces", "controller.extraArgs", args)
	}
}

// haproxyIngress derives the values of HAProxy Ingress's chart.
func (b *ingressBuilder) haproxyIngress() {
	i, l := b.i, b.i.limits()
	b.control("fullnameOverride", i.at("name").String(), i.component, "the component's name")
	b.workload(workloadKeys{
		kind: "controller.kind", replicas: "controller.replicaCount", autoscaling: "controller.autoscaling", budget: "controller",
		spread: "controller.topologySpreadConstraints", resources: "controller.resources", selector: b.selectedBy("haproxy-ingress"),
	})
	if d := i.DisruptionBudget; d == nil || d.MinAvailable == nil {
		// The chart compares it with the replicas.
		b.set("controller.minAvailable", int64(1), "one pod serves on while a node is drained")
	}
	const class = "controller.ingressClassResource"
	b.from("class.name", "controller.ingressClass", i.class)
	b.from("class.name", class+".enabled", true)
	if i.class != usualClasses[i.Type] {
		// Each of several controllers serves all classes that have its controller.
		b.from("class.name", class+".controllerClass", i.class)
	}
	b.from("class.default", class+".default", i.isDefault())
	const service = "controller.service"
	b.serviceValues(service)
	b.annotationValues(service + ".annotations")
	if http, https := i.ports(); http > 0 {
		b.from("hostPorts", "controller.daemonset.useHostPort", true)
		b.from("hostPorts", "controller.daemonset.hostPorts.http", http)
		b.from("hostPorts", "controller.daemonset.hostPorts.https", https)
	}
	if !i.noBalancer() {
		b.set("controller.publishService.enabled", true, "Ingresses get the Service's address")
	}
	b.when(i.certificateSecret() != "", "defaultCertificate", "controller.extraArgs.default-ssl-certificate", b.certificateReference())
	const config = "controller.config"
	b.config(config,
		entry{"limits.maxBodySize", "proxy-body-size", i.bodySize()},
		entry{"limits.maxConnections", "max-connections", number(l.MaxConnections)},
		entry{"limits.requestsPerSecond", "limit-rps", number(l.RequestsPerSecond)},
		entry{"limits.connectTimeout", "timeout-connect", seconds(l.ConnectTimeout, "s")},
		entry{"limits.backendTimeout", "timeout-server", seconds(l.BackendTimeout, "s")},
		entry{"limits.clientTimeout", "timeout-client", seconds(l.ClientTimeout, "s")},
		entry{"limits.clientTimeout", "timeout-http-request", seconds(l.ClientTimeout, "s")},
		entry{"limits.idleTimeout", "timeout-keep-alive", seconds(l.IdleTimeout, "s")},
	)
	if i.clients() == networkstackv1alpha1.ClientsByProxyProtocol {
		b.from("clientAddresses", config+".use-proxy-protocol", "true")
	}
	if i.LogFormat != "" {
		b.from("logFormat", "controller.logs.enabled", true)
	}
	if i.LogFormat == networkstackv1alpha1.IngressLogJSON {
		b.from("logFormat", config+".http-log-format", jsonLog(haproxyLogFields))
	}
	if i.served != "" {
		b.from("metrics.endpoints", "controller.metrics.enabled", i.served == networkstackv1alpha1.Enabled)
		b.from("metrics.serviceMonitors", "controller.serviceMonitor.enabled", i.monitors)
		b.monitorLabels("controller.serviceMonitor.labels")
	}
	b.when(len(i.WatchedNamespaces) > 0, "watchedNamespaces", "controller.extraArgs.watch-namespace", i.namespacesText(","))
}
