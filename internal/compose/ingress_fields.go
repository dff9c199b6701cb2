package compose

import (
	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Fields that not every controller has something for, by their paths.
const (
	ingressClassName     = "class"
	ingressClassDefault  = "class.default"
	ingressKind          = "kind"
	ingressReplicas      = "replicas"
	ingressAutoscaling   = "autoscaling"
	ingressBudget        = "disruptionBudget"
	ingressSpread        = "topologySpread"
	ingressPodResources  = "resources"
	ingressService       = "service"
	ingressSourceRanges  = "service.sourceRanges"
	ingressFamilies      = "service.ipFamilies"
	ingressHostPorts     = "hostPorts"
	ingressCertificate   = "defaultCertificate"
	ingressClients       = "clientAddresses"
	ingressForwarded     = "clientAddresses.source"
	ingressTrusted       = "clientAddresses.trustedCIDRs"
	ingressLimits        = "limits"
	ingressBodySize      = "limits.maxBodySize"
	ingressConnections   = "limits.maxConnections"
	ingressRequests      = "limits.requestsPerSecond"
	ingressConnect       = "limits.connectTimeout"
	ingressBackend       = "limits.backendTimeout"
	ingressClient        = "limits.clientTimeout"
	ingressIdle          = "limits.idleTimeout"
	ingressLogs          = "logFormat"
	ingressMetrics       = "metrics"
	ingressMetricsOff    = "metrics.endpoints"
	ingressMonitors      = "metrics.serviceMonitors"
	ingressNamespaces    = "watchedNamespaces"
	ingressVersion       = "version"
	ingressNamespace     = "namespace"
	ingressChart         = "chart"
	ingressValues        = "values"
	ingressValuesFrom    = "valuesFrom"
	ingressDriftMode     = "driftMode"
	ingressSuspend       = "suspend"
	ingressBalancerClass = "service.loadBalancerClass"
)

// ingressField is one of these fields, and whether it asks for something.
type ingressField struct {
	name string
	set  bool
}

// fields are all that not every controller has something for. What is in a block comes right behind it.
func (i *ingress) fields() []ingressField {
	v, l, m, c := i.IngressSpec.Service, i.limits(), i.Metrics, i.ClientAddresses
	hasService, hasMetrics := v != nil, m != nil
	return []ingressField{
		{ingressClassName, i.Class != nil},
		{ingressClassDefault, i.isDefault()},
		{ingressKind, i.Kind == networkstackv1alpha1.IngressDaemonSet},
		{ingressReplicas, i.Replicas != nil},
		{ingressAutoscaling, i.Autoscaling != nil},
		{ingressBudget, i.DisruptionBudget != nil},
		{ingressSpread, len(i.TopologySpread) > 0},
		{ingressPodResources, i.Resources != nil},
		{ingressService, hasService},
		{ingressBalancerClass, hasService && v.LoadBalancerClass != ""},
		{ingressSourceRanges, hasService && len(v.SourceRanges) > 0},
		{ingressFamilies, hasService && len(v.IPFamilies) > 0},
		{ingressHostPorts, i.HostPorts != nil},
		{ingressCertificate, i.DefaultCertificate != nil},
		{ingressClients, c != nil},
		{ingressForwarded, i.clients() == networkstackv1alpha1.ClientsByForwardedHeaders},
		{ingressTrusted, len(i.trusted()) > 0},
		{ingressLimits, i.Limits != nil},
		{ingressBodySize, l.MaxBodySize != nil},
		{ingressConnections, l.MaxConnections != nil},
		{ingressRequests, l.RequestsPerSecond != nil},
		{ingressConnect, l.ConnectTimeout != nil},
		{ingressBackend, l.BackendTimeout != nil},
		{ingressClient, l.ClientTimeout != nil},
		{ingressIdle, l.IdleTimeout != nil},
		{ingressLogs, i.LogFormat != ""},
		{ingressMetrics, hasMetrics},
		{ingressMetricsOff, hasMetrics && m.Endpoints == networkstackv1alpha1.Disabled},
		{ingressMonitors, hasMetrics && m.ServiceMonitors == networkstackv1alpha1.MonitorsEnabled},
		{ingressNamespaces, len(i.WatchedNamespaces) > 0},
		{ingressVersion, i.Version != ""},
		{ingressNamespace, i.Namespace != ""},
		{ingressChart, i.Chart != nil},
		{ingressValues, i.Values != nil},
		{ingressValuesFrom, len(i.ValuesFrom) > 0},
		{ingressDriftMode, i.DriftMode != ""},
		{ingressSuspend, i.Suspend},
	}
}

// Remedies that several controllers share.
const (
	remedyMiddleware   = "Traefik limits by Middlewares: make one, and name it in values.ports.websecure.http.middlewares"
	remedyTransport    = "Traefik has it in ServersTransports: make one, or set values.additionalArguments"
	remedyClientPolicy = "Envoy Gateway has it in ClientTrafficPolicies, which are attached to Gateways: make one"
	remedyRoutePolicy  = "Envoy Gateway has it in BackendTrafficPolicies, which are attached to Gateways and routes: make one"
	remedyFilter       = "Istio has it in VirtualServices, DestinationRules and EnvoyFilters: make one"
	remedyOfCilium     = "Cilium has it in annotations of Ingresses, or not at all: use those, or another controller"
	remedyEveryNode    = "it runs in Cilium's agents and their Envoys, which are on every node: remove it; their resources are in cni.agents"
	remedyCiliumBlock  = "it is a part of Cilium: use the field of cni"
	remedyGCE          = "GKE runs it, and nothing of it is installed here: remove it, and use BackendConfigs and FrontendConfigs"
	remedyGatewayPort  = "its chart has no ports of nodes: use service.type NodePort, or a load balancer of the cluster's own such as MetalLB"
	remedyPerGateway   = "certificates are those of Gateways: name it in spec.listeners.tls of a Gateway"
)

// ingressRefusals are the fields that a controller has nothing for, each with what to do instead.
var ingressRefusals = map[networkstackv1alpha1.IngressType]map[string]string{
	networkstackv1alpha1.IngressNGINX: {
		ingressRequests: "ingress-nginx limits by annotations of Ingresses alone: use nginx.ingress.kubernetes.io/limit-rps",
	},
	networkstackv1alpha1.IngressNGINXInc: {
		ingressRequests: "F5's controller limits by Policies and annotations: use nginx.org/limit-req-rate, or make a Policy",
		ingressClient:   "F5's controller has no key for it: use snippets in values.controller.config.entries, or another controller",
	},
	networkstackv1alpha1.IngressTraefik: {
		ingressBodySize: remedyMiddleware, ingressRequests: remedyMiddleware, ingressConnections: remedyMiddleware,
		ingressConnect: remedyTransport, ingressBackend: remedyTransport,
	},
	networkstackv1alpha1.IngressHAProxy: {
		ingressBodySize:  "HAProxy's controller has no key for it: use another controller",
		ingressForwarded: "HAProxy's controller would believe everybody: use ProxyProtocol, or values.controller.config.src-ip-header",
	},
	networkstackv1alpha1.IngressHAProxyIngress: {
		ingressForwarded: "HAProxy Ingress would believe everybody: use ProxyProtocol, or values.controller.config.forwardfor",
		ingressTrusted:   "HAProxy Ingress believes everybody who speaks the PROXY protocol: limit who gets to it by service.sourceRanges",
	},
	networkstackv1alpha1.IngressIstioGateway: {
		ingressClassName: "an Istio gateway is chosen by the selector of Gateways: remove it",
		ingressHostPorts: remedyGatewayPort, ingressCertificate: remedyPerGateway,
		ingressForwarded:  "Istio is told the number of proxies in front: set values.podAnnotations with proxy.istio.io/config",
		ingressTrusted:    "Istio's gateway believes everybody who speaks the PROXY protocol: limit who gets to it by service.sourceRanges",
		ingressLimits:     remedyFilter,
		ingressLogs:       "Istio's logs are the mesh's: set meshConfig.accessLogEncoding there",
		ingressMetricsOff: "Istio's gateways always serve metrics: remove it",
		ingressMonitors:   "its chart makes none: set observability, which does",
		ingressNamespaces: "an Istio gateway serves the Gateways that select it, wherever they are: restrict who may make these",
	},
	networkstackv1alpha1.IngressCilium: {
		ingressKind: remedyEveryNode, ingressReplicas: remedyEveryNode, ingressAutoscaling: remedyEveryNode, ingressBudget: remedyEveryNode,
		ingressSpread: remedyEveryNode, ingressPodResources: remedyEveryNode,
		ingressSourceRanges: "the Service of Cilium's chart has none: use an annotation of the load balancer, or another controller",
		ingressFamilies:     "the Service of Cilium's chart has the cluster's usual ones: remove it",
		ingressHostPorts:    "Cilium's Envoys listen on nodes by cni.values.ingressController.hostNetwork: set it there",
		ingressForwarded:    "Cilium is told the number of proxies in front: set cni.values.ingressController.xffNumTrustedHops",
		ingressTrusted:      "Cilium believes everybody who speaks the PROXY protocol: limit who gets to it by policies",
		ingressLimits:       remedyOfCilium, ingressLogs: remedyOfCilium,
		ingressMetrics:    remedyCiliumBlock + " (cni.metrics)",
		ingressNamespaces: "Cilium's operator serves all namespaces: remove it, or use another controller",
		ingressVersion:    remedyCiliumBlock, ingressNamespace: remedyCiliumBlock,
		ingressChart: remedyCiliumBlock, ingressValues: remedyCiliumBlock,
		ingressValuesFrom: remedyCiliumBlock, ingressDriftMode: remedyCiliumBlock, ingressSuspend: remedyCiliumBlock,
	},
	networkstackv1alpha1.IngressEnvoyGateway: {
		ingressClassDefault: "there is no default among GatewayClasses: remove it",
		ingressHostPorts:    remedyGatewayPort, ingressCertificate: remedyPerGateway,
		ingressClients: remedyClientPolicy, ingressBodySize: remedyClientPolicy, ingressConnections: remedyClientPolicy,
		ingressClient: remedyClientPolicy, ingressIdle: remedyClientPolicy,
		ingressRequests: remedyRoutePolicy, ingressConnect: remedyRoutePolicy, ingressBackend: remedyRoutePolicy,
		ingressMetricsOff: "Envoy always serves metrics: remove it",
		ingressMonitors:   "its chart makes none: set observability, which does",
	},
	networkstackv1alpha1.IngressGCE: gceRefusals(),
}

// gceRefusals are of all there is.
func gceRefusals() map[string]string {
	out := map[string]string{}
	for _, f := range (&ingress{IngressSpec: &networkstackv1alpha1.IngressSpec{}}).fields() {
		out[f.name] = remedyGCE
	}
	return out
}
