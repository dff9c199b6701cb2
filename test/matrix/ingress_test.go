package matrix_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

// ingressTypes are all but GCE, of which nothing is rendered.
var ingressTypes = []IngressType{
	IngressNGINX, IngressNGINXInc, IngressTraefik, IngressHAProxy, IngressHAProxyIngress, IngressIstioGateway, IngressCilium, IngressEnvoyGateway,
}

// evidence is what has to be in the JSON of some object of a kind.
type evidence struct{ kind, text string }

// ingressCase is one of the fields that controllers have in common.
type ingressCase struct {
	name string
	set  func(*IngressSpec)
	// refused is the field that is refused, for the types that have nothing for it.
	refused map[IngressType]string
	// seen is what proves it, by type; under "" for all that are not refused and not named.
	seen map[IngressType][]evidence
	// absent is what must not be there.
	absent map[IngressType][]evidence
}

// not refuses a field for these types.
func not(field string, types ...IngressType) map[IngressType]string {
	out := map[IngressType]string{IngressGCE: field}
	for _, t := range types {
		out[t] = field
	}
	return out
}

// sees is one piece of evidence.
func sees(kind string, texts ...string) []evidence {
	var out []evidence
	for _, text := range texts {
		out = append(out, evidence{kind, text})
	}
	return out
}

const (
	deployment, daemonSet, configMap, envoyProxy, services = "Deployment", "DaemonSet", "ConfigMap", "EnvoyProxy", "Service"
	ingressClasses, monitors                               = "IngressClass", "ServiceMonitor"
)

func quantity(text string) *resource.Quantity {
	q := resource.MustParse(text)
	return &q
}

func after(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }

func limit(l IngressLimits) func(*IngressSpec) {
	return func(i *IngressSpec) { i.Limits = &l }
}

func reachedBy(v IngressServiceSpec) func(*IngressSpec) {
	return func(i *IngressSpec) { i.Service = &v }
}

// ingressCases are all fields, each alone, with what they come to in each chart.
func ingressCases() []ingressCase {
	number := func(n int32) *int32 { return &n }
	one := intstr.FromInt32(1)
	blocks := []IngressType{IngressIstioGateway, IngressEnvoyGateway}
	return []ingressCase{
		{name: "nothing", set: func(*IngressSpec) {}, seen: map[IngressType][]evidence{
			"":                  append(sees(deployment, `"replicas":2`), sees(services, `"type":"LoadBalancer"`, `"ipFamilies":["IPv4","IPv6"]`, `"ipFamilyPolicy":"RequireDualStack"`)...),
			IngressCilium:       sees(configMap, `"enable-ingress-controller":"true"`),
			IngressEnvoyGateway: append(sees(envoyProxy, `"replicas":2`, `"type":"LoadBalancer"`, `"ipFamily":"DualStack"`), sees("GatewayClass", `"name":"envoy-gateway"`, `"kind":"EnvoyProxy"`)...),
			IngressGCE:          {},
		}, absent: map[IngressType][]evidence{
			IngressTraefik: sees(ingressClasses, `is-default-class":"true"`), IngressNGINX: sees(ingressClasses, `is-default-class":"true"`),
		}},
		{name: "class", set: func(i *IngressSpec) { i.Class = &IngressClassSpec{Name: "public"} },
			refused: map[IngressType]string{IngressIstioGateway: "class", IngressCilium: "class.name", IngressGCE: "class"},
			seen: map[IngressType][]evidence{
				"":                    sees(ingressClasses, `"name":"public"`),
				IngressNGINX:          append(sees(ingressClasses, `"name":"public"`, `"controller":"k8s.io/ingress-nginx-public"`), sees(deployment, `--controller-class=k8s.io/ingress-nginx-public`)...),
				IngressNGINXInc:       append(sees(ingressClasses, `"name":"public"`), sees(deployment, `-ingress-class=public`)...),
				IngressTraefik:        append(sees(ingressClasses, `"name":"public"`), sees(deployment, `ingressclass=public`)...),
				IngressHAProxy:        append(sees(ingressClasses, `"name":"public"`, `haproxy.org/ingress-controller/public`), sees(deployment, `--ingress.class=public`)...),
				IngressHAProxyIngress: append(sees(ingressClasses, `"name":"public"`, `haproxy-ingress.github.io/controller/public`), sees(deployment, `--ingress-class=public`, `--controller-class=public`)...),
				IngressEnvoyGateway:   append(sees("GatewayClass", `"name":"public"`, `gatewayclass-controller-public`), sees(configMap, `gatewayclass-controller-public`)...),
			}},
		{name: "default class", set: func(i *IngressSpec) { i.Class = &IngressClassSpec{Default: true} },
			refused: map[IngressType]string{IngressIstioGateway: "class", IngressEnvoyGateway: "class.default", IngressGCE: "class"},
			seen:    map[IngressType][]evidence{"": sees(ingressClasses, `"ingressclass.kubernetes.io/is-default-class":"true"`)}},
		{name: "DaemonSet", set: func(i *IngressSpec) { i.Kind = IngressDaemonSet }, refused: not("kind", IngressCilium),
			seen:   map[IngressType][]evidence{"": sees(daemonSet, `"kind":"DaemonSet"`), IngressEnvoyGateway: sees(envoyProxy, `"envoyDaemonSet":{`)},
			absent: map[IngressType][]evidence{IngressTraefik: sees(daemonSet, `"maxSurge":1`), IngressEnvoyGateway: sees(envoyProxy, `"envoyDeployment"`)}},
		{name: "replicas", set: func(i *IngressSpec) { i.Replicas = number(5) }, refused: not("replicas", IngressCilium),
			seen: map[IngressType][]evidence{"": sees(deployment, `"replicas":5`), IngressEnvoyGateway: sees(envoyProxy, `"replicas":5`)}},
		{name: "autoscaling", set: func(i *IngressSpec) {
			i.Autoscaling = &IngressAutoscaling{MinReplicas: number(3), MaxReplicas: 9, TargetCPUUtilizationPercentage: number(66)}
			i.Resources = &AgentResources{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("70m")}}
		}, refused: map[IngressType]string{IngressCilium: "autoscaling resources", IngressGCE: "autoscaling"}, seen: map[IngressType][]evidence{
			"":                  sees("HorizontalPodAutoscaler", `"minReplicas":3`, `"maxReplicas":9`, `"averageUtilization":66`),
			IngressEnvoyGateway: sees(envoyProxy, `"minReplicas":3`, `"maxReplicas":9`, `"averageUtilization":66`),
		}, absent: map[IngressType][]evidence{"": sees(deployment, `"replicas":2`, `"replicas":3`), IngressEnvoyGateway: sees(envoyProxy, `"replicas":`)}},
		{name: "maxUnavailable", set: func(i *IngressSpec) { i.DisruptionBudget = &IngressDisruptionBudget{MaxUnavailable: &one} }, refused: not("disruptionBudget", IngressCilium),
			seen:   map[IngressType][]evidence{"": sees("PodDisruptionBudget", `"maxUnavailable":1`), IngressEnvoyGateway: sees(envoyProxy, `"envoyPDB":{"maxUnavailable":1}`)},
			absent: map[IngressType][]evidence{"": sees("PodDisruptionBudget", `"minAvailable"`)}},
		{name: "minAvailable", set: func(i *IngressSpec) {
			i.Replicas, i.DisruptionBudget = number(3), &IngressDisruptionBudget{MinAvailable: &one}
		}, refused: map[IngressType]string{IngressCilium: "disruptionBudget replicas", IngressGCE: "disruptionBudget"},
			seen: map[IngressType][]evidence{"": sees("PodDisruptionBudget", `"minAvailable":1`), IngressEnvoyGateway: sees(envoyProxy, `"envoyPDB":{"minAvailable":1}`)}},
		{name: "topologySpread", set: func(i *IngressSpec) {
			i.TopologySpread = []IngressTopologySpread{{TopologyKey: "topology.kubernetes.io/zone", MaxSkew: 2, WhenUnsatisfiable: "DoNotSchedule"}}
		}, refused: not("topologySpread", IngressCilium), seen: map[IngressType][]evidence{
			"":                  sees(deployment, `"topologyKey":"topology.kubernetes.io/zone"`, `"maxSkew":2`, `"whenUnsatisfiable":"DoNotSchedule"`),
			IngressEnvoyGateway: sees(envoyProxy, `"topologyKey":"topology.kubernetes.io/zone"`, `"maxSkew":2`),
		}},
		{name: "resources", set: func(i *IngressSpec) {
			i.Resources = &AgentResources{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("77Mi")}, Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}}
		}, refused: not("resources", IngressCilium), seen: map[IngressType][]evidence{
			"": sees(deployment, `"memory":"77Mi"`, `"memory":"2Gi"`), IngressEnvoyGateway: sees(envoyProxy, `"memory":"77Mi"`),
		}},
		{name: "NodePort", set: reachedBy(IngressServiceSpec{Type: IngressNodePort}), refused: not("service"),
			seen: map[IngressType][]evidence{"": sees(services, `"type":"NodePort"`), IngressEnvoyGateway: sees(envoyProxy, `"type":"NodePort"`)}},
		{name: "ClusterIP", set: reachedBy(IngressServiceSpec{Type: IngressClusterIP}), refused: not("service"),
			absent: map[IngressType][]evidence{"": sees(services, `"type":"LoadBalancer"`, `"externalTrafficPolicy"`), IngressEnvoyGateway: sees(envoyProxy, `"LoadBalancer"`)}},
		{name: "load balancer", set: reachedBy(IngressServiceSpec{
			Annotations: map[string]string{"example.com/scheme": "internal"}, LoadBalancerClass: "example.com/lb", ExternalTrafficPolicy: TrafficLocal,
		}), refused: not("service"), seen: map[IngressType][]evidence{
			"":                  sees(services, `"example.com/scheme":"internal"`, `"loadBalancerClass":"example.com/lb"`, `"externalTrafficPolicy":"Local"`),
			IngressEnvoyGateway: sees(envoyProxy, `"example.com/scheme":"internal"`, `"loadBalancerClass":"example.com/lb"`, `"externalTrafficPolicy":"Local"`),
		}},
		{name: "sourceRanges", set: reachedBy(IngressServiceSpec{SourceRanges: []string{"192.0.2.0/24"}}),
			refused: map[IngressType]string{IngressCilium: "service.sourceRanges", IngressGCE: "service"}, seen: map[IngressType][]evidence{
				"": sees(services, `"loadBalancerSourceRanges":["192.0.2.0/24"]`), IngressEnvoyGateway: sees(envoyProxy, `"loadBalancerSourceRanges":["192.0.2.0/24"]`),
			}},
		{name: "families", set: reachedBy(IngressServiceSpec{IPFamilies: []IPFamily{IPv6}}),
			refused: map[IngressType]string{IngressCilium: "service.ipFamilies", IngressGCE: "service"}, seen: map[IngressType][]evidence{
				"": sees(services, `"ipFamilies":["IPv6"]`, `"ipFamilyPolicy":"SingleStack"`), IngressEnvoyGateway: sees(envoyProxy, `"ipFamily":"IPv6"`),
			}},
		{name: "hostPorts", set: func(i *IngressSpec) { i.Kind, i.HostPorts = IngressDaemonSet, &IngressHostPorts{HTTP: 8081} },
			refused: map[IngressType]string{
				IngressIstioGateway: "hostPorts", IngressEnvoyGateway: "hostPorts", IngressCilium: "hostPorts kind", IngressGCE: "hostPorts",
			},
			seen: map[IngressType][]evidence{"": sees(daemonSet, `"hostPort":8081`, `"hostPort":443`)},
			absent: map[IngressType][]evidence{
				IngressNGINX: sees(daemonSet, `--publish-service`), IngressTraefik: sees(daemonSet, "publishedservice"), IngressHAProxy: sees(daemonSet, `--publish-service`, `"hostPort":1024`),
				IngressHAProxyIngress: sees(daemonSet, `--publish-service`),
			}},
		{name: "certificate", set: func(i *IngressSpec) { i.DefaultCertificate = &IngressCertificate{SecretName: "wildcard"} }, refused: not("defaultCertificate", blocks...),
			seen: map[IngressType][]evidence{
				IngressNGINX: sees(deployment, `--default-ssl-certificate=ingress-nginx/wildcard`), IngressNGINXInc: sees(deployment, `-default-server-tls-secret=nginx-ingress/wildcard`),
				IngressTraefik: sees("TLSStore", `"secretName":"wildcard"`), IngressHAProxy: sees(deployment, `--default-ssl-certificate=haproxy-controller/wildcard`),
				IngressHAProxyIngress: sees(deployment, `--default-ssl-certificate=ingress-controller/wildcard`), IngressCilium: sees(configMap, `"ingress-default-secret-name":"wildcard"`, `"ingress-default-secret-namespace":"kube-system"`),
			}},
		{name: "issuer", set: func(i *IngressSpec) {
			i.DefaultCertificate = &IngressCertificate{Issuer: &IngressIssuer{Name: "letsencrypt"}, DNSNames: []string{"*.example.com"}}
		}, refused: not("defaultCertificate", blocks...), seen: map[IngressType][]evidence{
			"":            sees("Certificate", `"secretName":"ingress-a-tls"`, `"dnsNames":["*.example.com"]`, `"kind":"ClusterIssuer","name":"letsencrypt"`),
			IngressCilium: append(sees("Certificate", `"namespace":"kube-system"`, `"secretName":"ingress-a-tls"`), sees(configMap, `"ingress-default-secret-name":"ingress-a-tls"`)...),
		}},
		{name: "PROXY protocol", set: func(i *IngressSpec) {
			i.ClientAddresses = &IngressClientAddresses{Source: ClientsByProxyProtocol, TrustedCIDRs: []string{"192.0.2.0/24", "198.51.100.0/24"}}
		}, refused: map[IngressType]string{
			IngressHAProxyIngress: "clientAddresses.trustedCIDRs", IngressIstioGateway: "clientAddresses.trustedCIDRs", IngressCilium: "clientAddresses.trustedCIDRs",
			IngressEnvoyGateway: "clientAddresses", IngressGCE: "clientAddresses",
		}, seen: map[IngressType][]evidence{
			IngressNGINX:    sees(configMap, `"use-proxy-protocol":"true"`, `"proxy-real-ip-cidr":"192.0.2.0/24,198.51.100.0/24"`),
			IngressNGINXInc: sees(configMap, `"proxy-protocol":"True"`, `"real-ip-header":"proxy_protocol"`, `"set-real-ip-from":"192.0.2.0/24,198.51.100.0/24"`),
			IngressTraefik:  sees(deployment, `web.proxyprotocol.trustedips=192.0.2.0/24,198.51.100.0/24`, `websecure.proxyprotocol.trustedips=192.0.2.0/24`),
			IngressHAProxy:  sees(configMap, `"proxy-protocol":"192.0.2.0/24,198.51.100.0/24"`),
		}},
		{name: "PROXY protocol of everybody", set: func(i *IngressSpec) { i.ClientAddresses = &IngressClientAddresses{Source: ClientsByProxyProtocol} },
			refused: map[IngressType]string{
				IngressNGINX: "clientAddresses.trustedCIDRs", IngressNGINXInc: "clientAddresses.trustedCIDRs", IngressTraefik: "clientAddresses.trustedCIDRs",
				IngressHAProxy: "clientAddresses.trustedCIDRs", IngressEnvoyGateway: "clientAddresses", IngressGCE: "clientAddresses",
			}, seen: map[IngressType][]evidence{
				IngressHAProxyIngress: sees(configMap, `"use-proxy-protocol":"true"`), IngressIstioGateway: sees(deployment, `\"proxyProtocol\":{}`),
				IngressCilium: sees(configMap, `"enable-ingress-proxy-protocol":"true"`),
			}},
		{name: "forwarded headers", set: func(i *IngressSpec) {
			i.ClientAddresses = &IngressClientAddresses{Source: ClientsByForwardedHeaders, TrustedCIDRs: []string{"192.0.2.0/24"}}
		}, refused: map[IngressType]string{
			IngressHAProxy: "clientAddresses.source", IngressHAProxyIngress: "clientAddresses.source clientAddresses.trustedCIDRs",
			IngressIstioGateway: "clientAddresses.source clientAddresses.trustedCIDRs", IngressCilium: "clientAddresses.source clientAddresses.trustedCIDRs",
			IngressEnvoyGateway: "clientAddresses", IngressGCE: "clientAddresses",
		}, seen: map[IngressType][]evidence{
			IngressNGINX:    sees(configMap, `"use-forwarded-headers":"true"`, `"proxy-real-ip-cidr":"192.0.2.0/24"`),
			IngressNGINXInc: sees(configMap, `"real-ip-header":"X-Forwarded-For"`, `"real-ip-recursive":"True"`, `"set-real-ip-from":"192.0.2.0/24"`),
			IngressTraefik:  sees(deployment, `websecure.forwardedheaders.trustedips=192.0.2.0/24`),
		}},
		{name: "maxBodySize", set: limit(IngressLimits{MaxBodySize: quantity("8Mi")}), refused: map[IngressType]string{
			IngressTraefik: "limits.maxBodySize", IngressHAProxy: "limits.maxBodySize", IngressEnvoyGateway: "limits.maxBodySize",
			IngressIstioGateway: "limits", IngressCilium: "limits", IngressGCE: "limits",
		}, seen: map[IngressType][]evidence{"": sees(configMap, `-body-size":"8388608"`)}},
		{name: "maxConnections", set: limit(IngressLimits{MaxConnections: number(4321)}), refused: map[IngressType]string{
			IngressTraefik: "limits.maxConnections", IngressEnvoyGateway: "limits.maxConnections", IngressIstioGateway: "limits", IngressCilium: "limits", IngressGCE: "limits",
		}, seen: map[IngressType][]evidence{
			IngressNGINX: sees(configMap, `"max-worker-connections":"4321"`), IngressNGINXInc: sees(configMap, `"worker-connections":"4321"`),
			IngressHAProxy: sees(configMap, `"maxconn":"4321"`), IngressHAProxyIngress: sees(configMap, `"max-connections":"4321"`),
		}},
		{name: "requestsPerSecond", set: limit(IngressLimits{RequestsPerSecond: number(50)}), refused: map[IngressType]string{
			IngressNGINX: "limits.requestsPerSecond", IngressNGINXInc: "limits.requestsPerSecond", IngressTraefik: "limits.requestsPerSecond",
			IngressEnvoyGateway: "limits.requestsPerSecond", IngressIstioGateway: "limits", IngressCilium: "limits", IngressGCE: "limits",
		}, seen: map[IngressType][]evidence{
			IngressHAProxy: sees(configMap, `"rate-limit-requests":"50"`, `"rate-limit-period":"1s"`), IngressHAProxyIngress: sees(configMap, `"limit-rps":"50"`),
		}},
		{name: "backend timeouts", set: limit(IngressLimits{ConnectTimeout: after(7 * time.Second), BackendTimeout: after(2 * time.Minute)}), refused: map[IngressType]string{
			IngressTraefik: "limits.backendTimeout limits.connectTimeout", IngressEnvoyGateway: "limits.backendTimeout limits.connectTimeout",
			IngressIstioGateway: "limits", IngressCilium: "limits", IngressGCE: "limits",
		}, seen: map[IngressType][]evidence{
			IngressNGINX: sees(configMap, `"proxy-connect-timeout":"7"`, `"proxy-read-timeout":"120"`), IngressNGINXInc: sees(configMap, `"proxy-connect-timeout":"7s"`, `"proxy-read-timeout":"120s"`),
			"": sees(configMap, `"timeout-connect":"7s"`, `"timeout-server":"120s"`),
		}},
		{name: "clientTimeout", set: limit(IngressLimits{ClientTimeout: after(11 * time.Second)}), refused: map[IngressType]string{
			IngressNGINXInc: "limits.clientTimeout", IngressEnvoyGateway: "limits.clientTimeout", IngressIstioGateway: "limits", IngressCilium: "limits", IngressGCE: "limits",
		}, seen: map[IngressType][]evidence{
			IngressNGINX: sees(configMap, `"client-header-timeout":"11"`, `"client-body-timeout":"11"`), IngressTraefik: sees(deployment, `websecure.transport.respondingtimeouts.readtimeout=11s`),
			"": sees(configMap, `"timeout-client":"11s"`, `"timeout-http-request":"11s"`),
		}},
		{name: "idleTimeout", set: limit(IngressLimits{IdleTimeout: after(90 * time.Second)}), refused: map[IngressType]string{
			IngressEnvoyGateway: "limits.idleTimeout", IngressIstioGateway: "limits", IngressCilium: "limits", IngressGCE: "limits",
		}, seen: map[IngressType][]evidence{
			IngressNGINX: sees(configMap, `"keep-alive":"90"`), IngressNGINXInc: sees(configMap, `"keepalive-timeout":"90s"`), IngressTraefik: sees(deployment, `idletimeout=90s`),
			IngressHAProxy: sees(configMap, `"timeout-http-keep-alive":"90s"`), IngressHAProxyIngress: sees(configMap, `"timeout-keep-alive":"90s"`),
		}},
		{name: "log of JSON", set: func(i *IngressSpec) { i.LogFormat = IngressLogJSON }, refused: not("logFormat", IngressIstioGateway, IngressCilium), seen: map[IngressType][]evidence{
			IngressNGINX:          sees(configMap, `"log-format-escape-json":"true"`, `"log-format-upstream":"{\"time\":\"$time_iso8601\"`),
			IngressNGINXInc:       append(sees(configMap, `"log-format-escaping":"json"`, `"log-format":"{\"time\"`), sees(deployment, "-log-format=json")...),
			IngressTraefik:        sees(deployment, `accesslog=true`, `accesslog.format=json`, `--log.format=json`),
			IngressHAProxy:        sees(configMap, `"log-format":"{\"time\":\"%tr\"`, `address:stdout`),
			IngressHAProxyIngress: append(sees(configMap, `"http-log-format":"{\"time\"`, `"syslog-endpoint":"127.0.0.1:514"`), sees(deployment, `"name":"access-logs"`)...),
			IngressEnvoyGateway:   sees(envoyProxy, `"format":{"json":{`, `"path":"/dev/stdout"`),
		}},
		{name: "log of text", set: func(i *IngressSpec) { i.LogFormat = IngressLogText }, refused: not("logFormat", IngressIstioGateway, IngressCilium), seen: map[IngressType][]evidence{
			IngressTraefik: sees(deployment, `accesslog=true`), IngressHAProxy: sees(configMap, `address:stdout`), IngressHAProxyIngress: sees(deployment, `"name":"access-logs"`),
			IngressEnvoyGateway: sees(envoyProxy, `"text":"[%START_TIME%]`),
		}, absent: map[IngressType][]evidence{"": sees(configMap, `{\"time\"`)}},
		{name: "metrics", set: func(i *IngressSpec) {
			i.Metrics = &MetricsSpec{ServiceMonitorLabels: map[string]string{"release": "prometheus"}}
		}, refused: not("metrics", IngressCilium),
			seen: map[IngressType][]evidence{"": sees(monitors, `"release":"prometheus"`), IngressIstioGateway: {}, IngressEnvoyGateway: {}}},
		{name: "monitors", set: func(i *IngressSpec) { i.Metrics = &MetricsSpec{ServiceMonitors: MonitorsEnabled} }, refused: map[IngressType]string{
			IngressIstioGateway: "metrics.serviceMonitors", IngressEnvoyGateway: "metrics.serviceMonitors", IngressCilium: "metrics", IngressGCE: "metrics",
		}, seen: map[IngressType][]evidence{"": sees(monitors, `"endpoints":[`)}},
		{name: "no metrics", set: func(i *IngressSpec) { i.Metrics = &MetricsSpec{Endpoints: Disabled} }, refused: map[IngressType]string{
			IngressIstioGateway: "metrics.endpoints", IngressEnvoyGateway: "metrics.endpoints", IngressCilium: "metrics", IngressGCE: "metrics",
		}, absent: map[IngressType][]evidence{
			"": sees(monitors, ""), IngressNGINX: sees(deployment, "--enable-metrics=true"), IngressNGINXInc: sees(deployment, "-enable-prometheus-metrics=true"),
			IngressTraefik: sees(deployment, "metrics.prometheus"), IngressHAProxy: sees(deployment, `"--prometheus"`), IngressHAProxyIngress: sees(configMap, "prometheus-port"),
		}},
		{name: "namespace", set: func(i *IngressSpec) { i.WatchedNamespaces = []string{"shop"} }, refused: not("watchedNamespaces", IngressIstioGateway, IngressCilium),
			seen: map[IngressType][]evidence{
				IngressNGINX: sees(deployment, `--watch-namespace-selector=kubernetes.io/metadata.name in (shop)`), IngressNGINXInc: sees(deployment, `-watch-namespace=shop`),
				IngressTraefik: sees(deployment, `kubernetesingress.namespaces=shop`), IngressHAProxy: sees(deployment, `--namespace-whitelist=shop`),
				IngressHAProxyIngress: sees(deployment, `--watch-namespace=shop`), IngressEnvoyGateway: sees(configMap, `- shop`),
			}},
		{name: "namespaces", set: func(i *IngressSpec) { i.WatchedNamespaces = []string{"shop", "bank"} }, refused: not("watchedNamespaces", IngressIstioGateway, IngressCilium, IngressHAProxyIngress),
			seen: map[IngressType][]evidence{
				IngressNGINX: sees(deployment, `in (bank,shop)`), IngressNGINXInc: sees(deployment, `-watch-namespace=bank,shop`), IngressTraefik: sees(deployment, `kubernetesingress.namespaces=shop,bank`),
				IngressHAProxy: sees(deployment, `--namespace-whitelist=shop`, `--namespace-whitelist=bank`), IngressEnvoyGateway: sees(configMap, `- bank`),
			}},
		{name: "suspend", set: func(i *IngressSpec) { i.Suspend = true }, refused: not("suspend", IngressCilium)},
	}
}

// ingressInput is a dual-stack cluster with all that controllers need.
func ingressInput(i IngressSpec) compose.Input {
	in := settings{families: []IPFamily{IPv4, IPv6}, mode: KubeProxyReplaced}.input()
	in.Stack.Spec.CNI.Type, in.Stack.Spec.Ingress = CNICilium, []IngressSpec{i}
	in.Facts.Nodes = append(in.Facts.Nodes, facts.Node{Name: "n2", OS: "linux", KernelVersion: "6.12.0", MTU: 1500})
	in.Facts.ServiceMonitors, in.Facts.CertManager, in.Facts.BackendConfigs = true, true, true
	in.Facts.GatewayAPI = facts.GatewayAPI{Version: "v1.6.1", Channel: "standard", Definitions: []string{"gateways.gateway.networking.k8s.io"}}
	in.Facts.IstioRevisions = []string{"default"}
	return in
}

// ingressCharts are upstream's, by component type. With ours of Traefik there is a second one.
func ingressCharts(t *testing.T) map[string]*chart.Chart {
	t.Helper()
	out := map[string]*chart.Chart{
		"NGINX": testcharts.Upstream(t, "ingress-nginx", "4.15.1"), "NGINXInc": testcharts.Upstream(t, "nginx-ingress", "2.6.4"),
		"Traefik": testcharts.Upstream(t, "traefik", "41.3.0"), "HAProxy": testcharts.Upstream(t, "kubernetes-ingress", "1.52.1"),
		"HAProxyIngress": testcharts.Upstream(t, "haproxy-ingress", "0.16.1"), "IstioGateway": testcharts.Upstream(t, "gateway", "1.30.3"),
		"EnvoyGateway": testcharts.Upstream(t, "gateway-helm", "v1.9.0"), "EnvoyGatewayCRDs": testcharts.Upstream(t, "gateway-crds-helm", "v1.9.0"),
		"Cilium": testcharts.Upstream(t, "cilium", "1.20.0"), "IngressResources": testcharts.Embedded(t, "ingress-resources"),
	}
	// Its schema refers to the network, which no test of this package asks.
	out["NGINXInc"].Schema = nil
	if err := chartutil.ProcessDependencies(out["EnvoyGateway"], map[string]any{"crds": map[string]any{"enabled": false}}); err != nil {
		t.Fatal(err)
	}
	return out
}

// define gives the API server the definitions that the charts' objects are of.
func (s *server) define(t *testing.T, documents ...string) {
	t.Helper()
	for _, document := range documents {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			t.Fatal(err)
		}
		if o.GetKind() == "CustomResourceDefinition" {
			s.apply(o, false)
		}
	}
}

// TestIngress has each controller be asked for each of the fields that they have in common: it is refused, or is in what the
// controller's own chart makes of it, which a real API server takes.
func TestIngress(t *testing.T) {
	server, byType := newStacks(t), ingressCharts(t)
	prepareIngress(t, server, byType)
	rendered, refusals, taken := 0, 0, map[string]bool{}
	for _, c := range ingressCases() {
		for _, typ := range append(slices.Clone(ingressTypes), IngressGCE) {
			i := IngressSpec{Name: "a", Type: typ}
			c.set(&i)
			in := ingressInput(i)
			result := compose.Compose(in)
			var fields []string
			for _, e := range result.Errors {
				fields = append(fields, strings.TrimPrefix(e.Field, "spec.ingress[0]."))
			}
			slices.Sort(fields)
			if got := strings.Join(slices.Compact(fields), " "); got != c.refused[typ] && (typ != IngressGCE || !strings.Contains(got, c.refused[typ])) {
				t.Errorf("%s of %s: refused for %q, want %q: %v", c.name, typ, got, c.refused[typ], result.Errors)
				continue
			}
			if !server.takes(in.Stack) && len(fields) == 0 {
				t.Errorf("%s of %s: the API server refuses what can be composed", c.name, typ)
			}
			if len(fields) > 0 {
				refusals++
				continue
			}
			rendered++
			charts := []map[string]*chart.Chart{byType}
			if typ == IngressTraefik {
				ours := maps.Clone(byType)
				ours["Traefik"] = testcharts.Embedded(t, "traefik")
				charts = append(charts, ours)
			}
			for n, set := range charts {
				checkIngress(t, fmt.Sprintf("%s of %s (%d)", c.name, typ, n), c, typ, n > 0, ingressObjects(t, server, taken, set, result, typ))
			}
		}
	}
	t.Logf("%d cells are rendered, %d refused", rendered, refusals)
	if rendered < 180 || refusals < 90 {
		t.Errorf("%d cells are rendered, %d refused", rendered, refusals)
	}
}

// prepareIngress makes the kinds and namespaces that the charts' objects need.
func prepareIngress(t *testing.T, server *server, charts map[string]*chart.Chart) {
	t.Helper()
	server.apply(monitorDefinition(t, "ServiceMonitor"), false)
	for _, c := range []*chart.Chart{charts["Traefik"], testcharts.Upstream(t, "gateway-helm", "v1.9.0")} {
		for _, d := range c.CRDObjects() {
			server.define(t, strings.Split(string(d.File.Data), "\n---\n")...)
		}
	}
	manager := testcharts.Upstream(t, "cert-manager", "v1.21.1")
	values := compose.Release{Name: "cert-manager"}
	values.Spec.DerivedValues = rawJSON(t, map[string]any{"crds": map[string]any{"enabled": true}})
	for _, o := range renderWith(t, manager, values, ingressCapabilities()) {
		if o.GetKind() == "CustomResourceDefinition" && o.GetName() == "certificates.cert-manager.io" {
			server.apply(o, false)
		}
	}
	for kind, version := range map[string]string{
		"ServiceMonitor": "monitoring.coreos.com/v1", "TLSStore": "traefik.io/v1alpha1", "EnvoyProxy": "gateway.envoyproxy.io/v1alpha1",
		"GatewayClass": "gateway.networking.k8s.io/v1", "Certificate": "cert-manager.io/v1",
	} {
		server.waitFor(version, kind)
	}
	for _, name := range []string{
		"ingress-nginx", "nginx-ingress", "traefik", "haproxy-controller", "ingress-controller", "istio-ingress", "envoy-gateway-system", "cilium-secrets", "shop", "bank",
	} {
		server.apply(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}, false)
	}
}

func ingressCapabilities() *chartutil.Capabilities {
	out := chartutil.DefaultCapabilities.Copy()
	out.KubeVersion = chartutil.KubeVersion{Version: "v1.36.3", Major: "1", Minor: "36"}
	out.APIVersions = append(out.APIVersions, "monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1/GatewayClass", "autoscaling/v2", "policy/v1/PodDisruptionBudget")
	return out
}

// ingressObjects renders what is installed for the controller, and has the API server take what it has not taken yet.
func ingressObjects(t *testing.T, server *server, taken map[string]bool, charts map[string]*chart.Chart, r compose.Result, typ IngressType) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for _, rel := range r.Releases {
		c := charts[rel.Spec.Type]
		if c == nil || rel.Spec.Type == "EnvoyGatewayCRDs" || rel.Spec.Type == "Cilium" && typ != IngressCilium {
			continue
		}
		for _, o := range renderWith(t, c, rel, ingressCapabilities()) {
			if rel.Spec.Type == "Cilium" && !strings.Contains(o.GetName(), "cilium-config") && !strings.Contains(o.GetName(), "ingress") && o.GetKind() != ingressClasses {
				continue
			}
			data, err := json.Marshal(o.Object)
			if err != nil {
				t.Fatal(err)
			}
			if !taken[string(data)] {
				server.apply(o, true)
			}
			taken[string(data)] = true
			out = append(out, o)
		}
	}
	return out
}

func checkIngress(t *testing.T, what string, c ingressCase, typ IngressType, ours bool, objects []*unstructured.Unstructured) {
	t.Helper()
	of := func(all map[IngressType][]evidence) []evidence {
		if list, named := all[typ]; named {
			return list
		}
		return all[""]
	}
	find := func(e evidence) bool {
		if ours && e.kind == "TLSStore" {
			e.kind, e.text = deployment, `"secret":{"items":[{"key":"tls.crt","path":"tls.crt"},{"key":"tls.key","path":"tls.key"}],"name":"wildcard"` // it is a file there
		}
		for _, o := range objects {
			data, err := json.Marshal(o.Object)
			if err != nil {
				t.Fatal(err)
			}
			// Upstream's arguments are written with capitals here and there.
			text, wanted := string(data), e.text
			if typ == IngressTraefik && (e.kind == deployment || e.kind == daemonSet) && !strings.Contains(wanted, `"`) {
				text, wanted = strings.ToLower(text), strings.ToLower(wanted)
			}
			if o.GetKind() == e.kind && strings.Contains(text, wanted) {
				return true
			}
		}
		return false
	}
	for _, e := range of(c.seen) {
		if !find(e) {
			t.Errorf("%s: no %s has %s", what, e.kind, e.text)
			for _, o := range objects {
				if data, _ := json.Marshal(o.Object); o.GetKind() == e.kind {
					t.Logf("%s", data)
				}
			}
		}
	}
	for _, e := range of(c.absent) {
		if find(e) {
			t.Errorf("%s: a %s has %s", what, e.kind, e.text)
		}
	}
}

func rawJSON(t *testing.T, v any) *apiextensionsv1.JSON {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return &apiextensionsv1.JSON{Raw: data}
}
