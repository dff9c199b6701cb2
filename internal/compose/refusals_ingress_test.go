package compose

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// ingresses are these controllers.
func ingresses(list ...IngressSpec) func(*Input) {
	return func(in *Input) { in.Stack.Spec.Ingress = list }
}

// ingressOf is a controller named as its type's first letter would be, edited.
func ingressOf(typ IngressType, edits ...func(*IngressSpec)) IngressSpec {
	i := IngressSpec{Name: "a", Type: typ}
	for _, edit := range edits {
		edit(&i)
	}
	return i
}

func ingressNamed(name string) func(*IngressSpec) { return func(i *IngressSpec) { i.Name = name } }

func traefik(edits ...func(*IngressSpec)) Input {
	return flannel(ingresses(ingressOf(IngressTraefik, edits...)))
}

func class(name string, standard bool) func(*IngressSpec) {
	return func(i *IngressSpec) { i.Class = &IngressClassSpec{Name: name, Default: standard} }
}

func service(v IngressServiceSpec) func(*IngressSpec) {
	return func(i *IngressSpec) { i.Service = &v }
}

func onHostPorts(http, https int32) func(*IngressSpec) {
	return func(i *IngressSpec) {
		i.Kind, i.HostPorts = IngressDaemonSet, &IngressHostPorts{HTTP: http, HTTPS: https}
	}
}

func clients(source ClientAddressSource, trusted ...string) func(*IngressSpec) {
	return func(i *IngressSpec) {
		i.ClientAddresses = &IngressClientAddresses{Source: source, TrustedCIDRs: trusted}
		i.Service = &IngressServiceSpec{Annotations: map[string]string{"service.beta.kubernetes.io/aws-load-balancer-proxy-protocol": "*"}}
		if source != ClientsByProxyProtocol {
			i.Service = nil
		}
	}
}

func budget(least, most *intstr.IntOrString) func(*IngressSpec) {
	return func(i *IngressSpec) {
		i.DisruptionBudget = &IngressDisruptionBudget{MinAvailable: least, MaxUnavailable: most}
	}
}

func issued(i *IngressSpec) {
	i.DefaultCertificate = &IngressCertificate{Issuer: &IngressIssuer{Name: "ca"}, DNSNames: []string{"*.example.com"}}
}

func secret(name string) func(*IngressSpec) {
	return func(i *IngressSpec) { i.DefaultCertificate = &IngressCertificate{SecretName: name} }
}

// ingressBefore is a controller that is there already.
func ingressBefore(name string, spec NetworkComponentSpec) func(*Input) {
	return func(in *Input) {
		if in.Existing == nil {
			in.Existing = map[string]NetworkComponentSpec{}
		}
		in.Existing[name] = spec
	}
}

func with(in Input, edits ...func(*Input)) Input {
	for _, edit := range edits {
		edit(&in)
	}
	return in
}

func gatewayAPI(in *Input) { gatewayFound("v1.6.1", "standard")(in) }

const retired = "spec.ingress[0].type: ingress-nginx was retired in March 2026, and nobody fixes what is found in it: move to Traefik, " +
	"which understands its annotations, to NGINXInc, or to EnvoyGateway [INGRESS-RETIRED]"

func ingressFindings() []finding {
	const at = "spec.ingress[0]."
	one, half := intstr.FromInt32(1), intstr.FromString("50%")
	lots := intstr.FromInt32(7)
	second := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	replicas := func(n int32) func(*IngressSpec) { return func(i *IngressSpec) { i.Replicas = &n } }
	scaled := func(least *int32, most int32) func(*IngressSpec) {
		return func(i *IngressSpec) { i.Autoscaling = &IngressAutoscaling{MinReplicas: least, MaxReplicas: most} }
	}
	cpu := func(i *IngressSpec) {
		i.Resources = &AgentResources{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}}
	}
	daemon := func(i *IngressSpec) { i.Kind = IngressDaemonSet }
	return []finding{
		{name: "ingress: all of it", in: cilium(mode(KubeProxyReplaced), gatewayAPI, cluster(func(s *facts.Snapshot) {
			s.IstioRevisions, s.CertManager, s.BackendConfigs = []string{"default"}, true, true
		}), ingresses(
			ingressOf(IngressNGINXInc), ingressOf(IngressTraefik, ingressNamed("b"), class("", true), issued), ingressOf(IngressHAProxy, ingressNamed("c")),
			ingressOf(IngressHAProxyIngress, ingressNamed("d"), class("other", false)), ingressOf(IngressIstioGateway, ingressNamed("e")),
			ingressOf(IngressCilium, ingressNamed("f")), ingressOf(IngressEnvoyGateway, ingressNamed("g")), ingressOf(IngressGCE, ingressNamed("h")),
		))},
		{name: "ingress: names", in: flannel(ingresses(ingressOf(IngressTraefik, ingressNamed("A_b")), ingressOf(IngressHAProxy), ingressOf(IngressNGINXInc),
			ingressOf(IngressHAProxyIngress, ingressNamed("a-resources"), class("other", false)))), errors: []string{
			`spec.ingress[0].name: Invalid value: "A_b": use at most 30 lower-case letters, digits and "-" [INGRESS-NAME]`,
			`spec.ingress[2].name: Duplicate value: "a": another controller has this name: choose another [INGRESS-NAME]`,
			`spec.ingress[3].name: Invalid value: "a-resources": names that end in -resources are the operator's: choose another [INGRESS-NAME]`,
		}},
		{name: "ingress: another type", in: with(traefik(), ingressBefore("ingress-a", NetworkComponentSpec{Type: "NGINX"})), errors: []string{
			at + `type: Invalid value: "Traefik": the controller of this name is of type NGINX: add an entry with another name, move the Ingresses, then remove this one [INGRESS-TYPE-CHANGED]`,
		}},
		{name: "ingress: a version too far", in: with(flannel(ingresses(ingressOf(IngressHAProxyIngress))),
			ingressBefore("ingress-a", NetworkComponentSpec{Type: "HAProxyIngress", Chart: ResolvedChart{Version: "0.14.12"}})), errors: []string{
			at + `version: Invalid value: "0.16.1": HAProxyIngress 0.14.12 → 0.16.1 is more than one upgrade may skip: go to 0.15.4 first [INGRESS-STEP]`,
		}},
		{name: "ingress: retired", in: flannel(ingresses(ingressOf(IngressNGINX))), warnings: []string{retired}},
		{name: "ingress: snippets", in: flannel(ingresses(ingressOf(IngressNGINX, func(i *IngressSpec) {
			i.Values = rawValues(map[string]any{"controller": map[string]any{"allowSnippetAnnotations": true}})
		}))), warnings: []string{retired,
			at + "values: values.controller.allowSnippetAnnotations lets whoever may write an Ingress run code in the controller, which reads all Secrets: remove it [INGRESS-SNIPPETS]"}},
		{name: "ingress: fields that a type has not", in: traefik(func(i *IngressSpec) {
			rate := int32(9)
			i.Limits = &IngressLimits{RequestsPerSecond: &rate, ConnectTimeout: second(time.Second)}
		}), errors: []string{
			at + "limits.requestsPerSecond: Forbidden: Traefik: Traefik limits by Middlewares: make one, and name it in values.ports.websecure.http.middlewares [INGRESS-FIELD]",
			at + "limits.connectTimeout: Forbidden: Traefik: Traefik has it in ServersTransports: make one, or set values.additionalArguments [INGRESS-FIELD]",
		}},
		{name: "ingress: numbers of pods", in: flannel(ingresses(
			ingressOf(IngressTraefik, replicas(3), scaled(nil, 1), cpu), ingressOf(IngressHAProxy, ingressNamed("b"), daemon, replicas(2)))), errors: []string{
			at + "replicas: Forbidden: an autoscaler sets the number of replicas: remove replicas, or autoscaling [INGRESS-SCALE]",
			at + "autoscaling.maxReplicas: Invalid value: 1: is less than minReplicas, 2: raise it [INGRESS-SCALE]",
			"spec.ingress[1].replicas: Forbidden: a DaemonSet has one pod on each node: remove it, or use kind Deployment [INGRESS-SCALE]",
		}},
		{name: "ingress: a share of no CPU", in: traefik(scaled(nil, 5)), errors: []string{
			at + "resources: Required value: the chart of Traefik requests no CPU, whose use the autoscaler goes by: set requests.cpu [INGRESS-SCALE-CPU]",
		}},
		{name: "ingress: budgets", in: flannel(ingresses(
			ingressOf(IngressTraefik, budget(&one, &one)), ingressOf(IngressHAProxy, ingressNamed("b"), replicas(1), budget(&one, nil)),
			ingressOf(IngressNGINXInc, ingressNamed("c"), budget(&lots, nil)),
			ingressOf(IngressHAProxyIngress, ingressNamed("d"), class("d", false), budget(&half, nil)),
		)), errors: []string{
			at + "disruptionBudget: Invalid value: set one of minAvailable and maxUnavailable [INGRESS-BUDGET]",
			"spec.ingress[1].disruptionBudget: Forbidden: a single pod has to go when its node is drained: remove it, or have two replicas or more [INGRESS-BUDGET]",
			`spec.ingress[2].disruptionBudget.minAvailable: Invalid value: "7": of 2 replicas none could go, and no node could be drained: lower it [INGRESS-BUDGET]`,
			`spec.ingress[3].disruptionBudget.minAvailable: Invalid value: "50%": its chart takes a number alone: write one, or use maxUnavailable [INGRESS-BUDGET]`,
		}},
		{name: "ingress: a spread over nothing", in: traefik(func(i *IngressSpec) { i.TopologySpread = []IngressTopologySpread{{TopologyKey: "a b"}} }), errors: []string{
			at + `topologySpread[0].topologyKey: Invalid value: "a b": is not the key of a label: write one such as topology.kubernetes.io/zone [INGRESS-SPREAD]`,
		}},
		{name: "ingress: host ports of a Deployment", in: traefik(onHostPorts(0, 0), func(i *IngressSpec) { i.Kind = "" }), errors: []string{
			at + "hostPorts: Forbidden: two pods on a node cannot have the same port: set kind to DaemonSet, or remove it [INGRESS-HOST-PORT-KIND]",
		}},
		{name: "ingress: host ports", in: flannel(ingresses(
			ingressOf(IngressTraefik, onHostPorts(8081, 10256)), ingressOf(IngressHAProxy, ingressNamed("b"), onHostPorts(8081, 8443)), ingressOf(IngressNGINXInc, ingressNamed("c"), onHostPorts(90, 90)),
		)), errors: []string{
			at + "hostPorts.http: Invalid value: 8081: is the port of Flannel's health: use another [INGRESS-HOST-PORT-TAKEN]",
			at + "hostPorts.https: Invalid value: 10256: is the port of kube-proxy's health: use another [INGRESS-HOST-PORT-TAKEN]",
			"spec.ingress[1].hostPorts.http: Invalid value: 8081: is the port of controller a: use another [INGRESS-HOST-PORT-TAKEN]",
			"spec.ingress[2].hostPorts.https: Invalid value: 90: is the port of HTTP: use another [INGRESS-HOST-PORT-TAKEN]",
		}},
		{name: "ingress: host ports of another Cilium", in: cilium(ingresses(ingressOf(IngressTraefik, onHostPorts(0, 0)))), errors: []string{
			at + "hostPorts: Forbidden: Cilium makes ports of hosts only where it replaces kube-proxy: set kubeProxy.mode to Replaced, or cni.values.cni.chainingMode to portmap [INGRESS-HOST-PORT-CNI]",
		}},
		{name: "ingress: a host port with the number of a tunnel", in: cilium(values(map[string]any{"tunnelPort": 8443, "cni": map[string]any{"chainingMode": "portmap"}}),
			ingresses(ingressOf(IngressTraefik, onHostPorts(8080, 8443))))},
		{name: "ingress: host ports by portmap", in: cilium(values(map[string]any{"cni": map[string]any{"chainingMode": "portmap"}}), ingresses(ingressOf(IngressTraefik, onHostPorts(0, 0))))},
		{name: "ingress: a ClusterIP", in: traefik(service(IngressServiceSpec{
			Type: IngressClusterIP, ExternalTrafficPolicy: TrafficLocal, LoadBalancerClass: "example.com/lb"})), errors: []string{
			at + "service.externalTrafficPolicy: Forbidden: nothing arrives at a ClusterIP from outside: remove it, or use another service.type [INGRESS-SERVICE]",
			at + "service.loadBalancerClass: Forbidden: is of load balancers: remove it, or set service.type to LoadBalancer [INGRESS-SERVICE]",
		}},
		{name: "ingress: ranges", in: traefik(service(IngressServiceSpec{SourceRanges: []string{"192.0.2.1", "0.0.0.0/0", "2001:db8::/32", "192.0.2.0/24"}})), errors: []string{
			at + `service.sourceRanges[0]: Invalid value: "192.0.2.1": is not a CIDR: write one such as 192.0.2.0/24 [INGRESS-RANGE]`,
			at + `service.sourceRanges[1]: Invalid value: "0.0.0.0/0": is everybody: leave sourceRanges out to let everybody in [INGRESS-RANGE]`,
			at + `service.sourceRanges[2]: Invalid value: "2001:db8::/32": the Service has IPv4 alone: remove it, or add the family [INGRESS-RANGE]`,
		}},
		{name: "ingress: families", in: traefik(service(IngressServiceSpec{IPFamilies: []IPFamily{IPv4, IPv4, IPv6}})), errors: []string{
			at + `service.ipFamilies[1]: Duplicate value: "IPv4": list IPv4, IPv6, or both once [INGRESS-FAMILY]`,
			at + `service.ipFamilies[2]: Invalid value: "IPv6": the stack has IPv4: remove it, or add it to spec.ipFamilies [INGRESS-FAMILY]`,
		}},
		{name: "ingress: what stays of a Service", in: with(cilium(dual, ingresses(ingressOf(IngressTraefik, service(IngressServiceSpec{LoadBalancerClass: "b", IPFamilies: []IPFamily{IPv6}})))),
			ingressBefore("ingress-a", NetworkComponentSpec{Type: "Traefik", DerivedValues: rawValues(map[string]any{"service": map[string]any{"spec": map[string]any{
				"type": "LoadBalancer", "loadBalancerClass": "a", "ipFamilies": []any{"IPv4"}}}})})), errors: []string{
			at + `service.loadBalancerClass: Invalid value: "b": the Service has "a", which cannot be changed: restore it, or make it a ClusterIP first [INGRESS-SERVICE-CHANGED]`,
			at + `service.ipFamilies: Invalid value: "IPv6": IPv4 is the Service's primary family, which cannot be changed: restore it [INGRESS-SERVICE-CHANGED]`,
		}},
		{name: "ingress: certificates", in: flannel(cluster(func(s *facts.Snapshot) { s.CertManager = true }), ingresses(
			ingressOf(IngressTraefik, issued, func(i *IngressSpec) { i.DefaultCertificate.SecretName = "b" }),
			ingressOf(IngressHAProxy, ingressNamed("b"), issued, func(i *IngressSpec) { i.DefaultCertificate.DNSNames = nil }),
			ingressOf(IngressNGINXInc, ingressNamed("c"), secret("c"), func(i *IngressSpec) { i.DefaultCertificate.DNSNames = []string{"c"} }),
		)), errors: []string{
			at + "defaultCertificate: Invalid value: set one of secretName and issuer [INGRESS-CERTIFICATE]",
			"spec.ingress[1].defaultCertificate.dnsNames: Required value: name the issuer, and the names in the certificate, such as *.example.com [INGRESS-CERTIFICATE]",
			"spec.ingress[2].defaultCertificate.dnsNames: Forbidden: are of a certificate of an issuer: remove them [INGRESS-CERTIFICATE]",
		}},
		{name: "ingress: two Traefiks", in: flannel(ingresses(ingressOf(IngressTraefik, secret("a")), ingressOf(IngressTraefik, ingressNamed("b"), class("b", false), secret("b")))), errors: []string{
			"spec.ingress[1].defaultCertificate: Forbidden: Traefik takes none of several default certificates, and controller a has one: remove it, or set watchedNamespaces of both [INGRESS-CERTIFICATE-TWICE]",
		}, warnings: []string{
			"spec.ingress[0]: serves the IngressRoutes that are meant for the other Traefik, too: set values.providers.kubernetesCRD.ingressClass, or watchedNamespaces [INGRESS-TRAEFIK-ROUTES]",
			"spec.ingress[1]: serves the IngressRoutes that are meant for the other Traefik, too: set values.providers.kubernetesCRD.ingressClass, or watchedNamespaces [INGRESS-TRAEFIK-ROUTES]",
		}},
		{name: "ingress: no cert-manager", in: traefik(issued), warnings: []string{
			at + "defaultCertificate.issuer: the cluster has no cert-manager: the certificate, and the controller, wait for it; install it [INGRESS-ISSUER-WAITS]",
		}},
		{name: "ingress: cert-manager as an add-on", in: flannel(ingresses(ingressOf(IngressTraefik, issued)), addons(after("cert-manager")))},
		{name: "ingress: nobody is trusted", in: traefik(clients(ClientsByProxyProtocol)), errors: []string{
			at + "clientAddresses.trustedCIDRs: Required value: list the networks of the load balancers or proxies: anybody else could claim any address [INGRESS-TRUSTED]",
		}},
		{name: "ingress: everybody is trusted", in: traefik(clients(ClientsByForwardedHeaders, "::/0")), errors: []string{
			at + `clientAddresses.trustedCIDRs[0]: Invalid value: "::/0": is everybody: anybody could claim any address; list the load balancers or proxies [INGRESS-RANGE]`,
		}},
		{name: "ingress: everybody is believed", in: flannel(ingresses(ingressOf(IngressHAProxyIngress, clients(ClientsByProxyProtocol)))), warnings: []string{
			at + "clientAddresses.source: HAProxyIngress believes everybody who speaks the PROXY protocol: set service.sourceRanges to the load balancers [INGRESS-CLIENTS-OPEN]",
		}},
		{name: "ingress: a load balancer speaks PROXY", in: traefik(clients(ClientsByProxyProtocol), func(i *IngressSpec) { i.ClientAddresses = nil }), errors: []string{
			at + "clientAddresses.source: Required value: the load balancer is to speak the PROXY protocol by the annotation service.beta.kubernetes.io/aws-load-balancer-proxy-protocol: set it to ProxyProtocol, or remove the annotation [INGRESS-PROXY-MISMATCH]",
		}},
		{name: "ingress: nobody is asked to speak PROXY", in: traefik(clients(ClientsByProxyProtocol, "192.0.2.0/24"), func(i *IngressSpec) { i.Service = nil }), warnings: []string{
			at + "clientAddresses.source: no annotation of the Service is known to have the load balancer speak the PROXY protocol, without which every connection fails: add it [INGRESS-PROXY-UNASKED]",
		}},
		{name: "ingress: limits", in: flannel(ingresses(ingressOf(IngressNGINXInc, func(i *IngressSpec) {
			none := resource.MustParse("0")
			i.Limits = &IngressLimits{MaxBodySize: &none, BackendTimeout: second(time.Millisecond), IdleTimeout: second(48 * time.Hour)}
		}))), errors: []string{
			at + `limits.maxBodySize: Invalid value: "0": write a size such as 8Mi [INGRESS-LIMIT]`,
			at + `limits.backendTimeout: Invalid value: "1ms": must be between 1s and 24h [INGRESS-LIMIT]`,
			at + `limits.idleTimeout: Invalid value: "48h0m0s": must be between 1s and 24h [INGRESS-LIMIT]`,
		}},
		{name: "ingress: metrics", in: flannel(ingresses(
			ingressOf(IngressTraefik, func(i *IngressSpec) {
				i.Metrics = &MetricsSpec{Endpoints: Disabled, ServiceMonitors: MonitorsEnabled}
			}), ingressOf(IngressHAProxy, ingressNamed("b"), func(i *IngressSpec) { i.Metrics = &MetricsSpec{ServiceMonitors: MonitorsEnabled} }))), errors: []string{
			at + `metrics.serviceMonitors: Invalid value: "Enabled": there is nothing to scrape while endpoints is Disabled: enable endpoints, or remove it [INGRESS-METRICS]`,
			`spec.ingress[1].metrics.serviceMonitors: Invalid value: "Enabled": the cluster has no kind ServiceMonitor (monitoring.coreos.com): install Prometheus' operator, or use Auto [INGRESS-METRICS]`,
		}},
		{name: "ingress: namespaces", in: flannel(ingresses(ingressOf(IngressHAProxyIngress, func(i *IngressSpec) { i.WatchedNamespaces = []string{"a", "B"} }))), errors: []string{
			at + `watchedNamespaces[1]: Invalid value: "B": is not the name of a namespace [INGRESS-NAMESPACES]`,
			at + `watchedNamespaces: Invalid value: 2: HAProxy Ingress watches one namespace or all: leave one, or use a controller for each [INGRESS-NAMESPACES]`,
		}},
	}
}

func ingressClassFindings() []finding {
	const at = "spec.ingress[0]."
	found := func(c ...facts.IngressClass) func(*Input) {
		return cluster(func(s *facts.Snapshot) { s.IngressClasses = c })
	}
	return []finding{
		{name: "ingress: one class twice", in: flannel(ingresses(ingressOf(IngressTraefik, class("nginx", false)), ingressOf(IngressNGINXInc, ingressNamed("b")))), errors: []string{
			`spec.ingress[1].class.name: Duplicate value: "nginx": controller a has this class: give one of them another class.name [INGRESS-CLASS-TWICE]`,
		}},
		{name: "ingress: the default twice", in: flannel(ingresses(ingressOf(IngressTraefik, class("", true)), ingressOf(IngressNGINXInc, ingressNamed("b"), class("", true)))), errors: []string{
			"spec.ingress[1].class.default: Forbidden: controller a has the default class, and with two Ingresses without a class are refused: remove one of them [INGRESS-DEFAULT-TWICE]",
		}},
		{name: "ingress: a class of somebody's", in: with(traefik(class("", true)), found(
			facts.IngressClass{Name: "traefik", Controller: "traefik.io/ingress-controller", Manager: "Helm release traefik/traefik"},
			facts.IngressClass{Name: "nginx", Controller: "k8s.io/ingress-nginx", Default: true})), errors: []string{
			at + `class.name: Invalid value: "traefik": the cluster has this IngressClass, of the controller traefik.io/ingress-controller (Helm release traefik/traefik): choose another class.name, or remove that one [INGRESS-CLASS-TAKEN]`,
			at + "class.default: Forbidden: the cluster's default is the IngressClass nginx, and with two Ingresses without a class are refused: remove this, or its annotation [INGRESS-DEFAULT-TAKEN]",
		}},
		{name: "ingress: classes of our own", in: with(traefik(class("", true)), found(
			facts.IngressClass{Name: "traefik", Component: "ingress-a"}, facts.IngressClass{Name: "nginx", Default: true, Component: "ingress-old"}),
			ingressBefore("ingress-a", NetworkComponentSpec{Type: "Traefik"}), ingressBefore("ingress-old", NetworkComponentSpec{Type: "NGINX"}))},
		{name: "ingress: a class to be taken over", in: with(traefik(), found(facts.IngressClass{Name: "traefik"}), spec(func(s *NetworkStackSpec) { s.Adoption = AdoptionAdopt }))},
		{name: "ingress: another class", in: with(traefik(class("public", false)),
			ingressBefore("ingress-a", NetworkComponentSpec{Type: "Traefik", DerivedValues: rawValues(map[string]any{"ingressClass": map[string]any{"name": "traefik"}})})), errors: []string{
			at + `class.name: Invalid value: "public": the Ingresses of class traefik would be served by nobody: restore it, or add an entry with the new class and move them first [INGRESS-CLASS-CHANGED]`,
		}},
		{name: "ingress: Cilium's class", in: cilium(mode(KubeProxyReplaced), ingresses(ingressOf(IngressCilium, class("public", false)))), errors: []string{
			at + `class.name: Invalid value: "public": the class of Cilium's controller is always cilium: remove it [INGRESS-CLASS-FIXED]`,
		}},
		{name: "ingress: Cilium's without Cilium", in: flannel(ingresses(ingressOf(IngressCilium))), errors: []string{
			at + `type: Invalid value: "CiliumIngress": is a part of Cilium: set cni.type to Cilium, or use another type [INGRESS-CILIUM]`,
		}},
		{name: "ingress: Cilium's with less of Cilium", in: cilium(values(map[string]any{"l7Proxy": false}), ingresses(ingressOf(IngressCilium), ingressOf(IngressCilium, ingressNamed("b")))), errors: []string{
			`spec.ingress[1].class.name: Duplicate value: "cilium": controller a has this class: give one of them another class.name [INGRESS-CLASS-TWICE]`,
			at + `type: Invalid value: "CiliumIngress": needs a Cilium that programs Services: set kubeProxy.mode to Replaced, or cni.values.nodePort.enabled [INGRESS-CILIUM]`,
			at + `type: Invalid value: "CiliumIngress": is served by Cilium's Envoy: remove cni.values.l7Proxy [INGRESS-CILIUM]`,
			`spec.ingress[1].type: Invalid value: "CiliumIngress": there is one in a Cilium: remove this entry [INGRESS-CILIUM]`,
		}},
		{name: "ingress: no Istio", in: flannel(ingresses(ingressOf(IngressIstioGateway))), errors: []string{
			at + `type: Invalid value: "IstioGateway": the cluster has no istiod, which makes the gateway's pods what they are: install Istio first, or use another type [INGRESS-ISTIO]`,
		}},
		{name: "ingress: no Gateway API", in: flannel(ingresses(ingressOf(IngressEnvoyGateway))), errors: []string{
			at + "type: Invalid value: EnvoyGateway needs the definitions of the Gateway API, and there are none: set gatewayAPI.channel to Standard [GATEWAY-MISSING]",
		}},
		{name: "ingress: two Envoy Gateways in one place", in: flannel(gatewayAPI, ingresses(ingressOf(IngressEnvoyGateway), ingressOf(IngressEnvoyGateway, ingressNamed("b"), class("b", false)))), errors: []string{
			`spec.ingress[1].namespace: Duplicate value: "envoy-gateway-system": controller a is there, and the names of their objects are the same: set another namespace [INGRESS-NAMESPACE-SHARED]`,
		}},
		{name: "ingress: no GKE", in: flannel(ingresses(ingressOf(IngressGCE, class("gce", false)), ingressOf(IngressTraefik, ingressNamed("b")))), errors: []string{
			at + "class: Forbidden: GCE: GKE runs it, and nothing of it is installed here: remove it, and use BackendConfigs and FrontendConfigs [INGRESS-FIELD]",
			at + `type: Invalid value: "GCE": the cluster has no BackendConfigs, so GKE runs no ingress controller here: enable its add-on HttpLoadBalancing, or use another type [INGRESS-GCE]`,
		}, warnings: []string{
			"spec.ingress[0]: an Ingress without a class is GCE's: set class.default of another controller, or name a class in every Ingress [INGRESS-GCE-CLASSLESS]",
		}},
	}
}

// TestIngressReleases says what is installed for each type, in which order, and what each waits for.
func TestIngressReleases(t *testing.T) {
	in := cilium(mode(KubeProxyReplaced), gatewayAPI, cluster(func(s *facts.Snapshot) {
		s.IstioRevisions, s.CertManager, s.BackendConfigs = []string{"1-30"}, true, true
	}), ingresses(
		ingressOf(IngressTraefik, class("", true), issued), ingressOf(IngressEnvoyGateway, ingressNamed("g")), ingressOf(IngressIstioGateway, ingressNamed("e")),
		ingressOf(IngressCilium, ingressNamed("f"), secret("tls")), ingressOf(IngressGCE, ingressNamed("h")),
	))
	r := accepted(t, in)
	got := map[string][]string{}
	for _, rel := range r.Releases {
		if rel.Spec.Stage >= StagePlatform {
			got[rel.Name] = rel.Needs
			if rel.Spec.ReleaseName != rel.Name {
				t.Errorf("%s is release %s", rel.Name, rel.Spec.ReleaseName)
			}
		}
	}
	want := map[string][]string{
		"ingress-a":           {"cilium", "ingress-a-resources"},
		"ingress-a-resources": {"cilium"},
		"envoy-gateway-crds":  {"cilium"},
		"ingress-g-resources": {"cilium", "envoy-gateway-crds"},
		"ingress-g":           {"cilium", "envoy-gateway-crds", "ingress-g-resources"},
		"ingress-e":           {"cilium"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	resources, v := releaseNamed(t, r, "ingress-a-resources")
	if name, _ := lookup(v, "certificate.secretName"); resources.Spec.Namespace != "traefik" || name != "ingress-a-tls" {
		t.Errorf("%s: %v", resources.Spec.Namespace, v)
	}
	if _, v := releaseNamed(t, r, "ingress-e"); v["revision"] != "1-30" {
		t.Errorf("the gateway is of revision %v", v["revision"])
	}
	_, v = releaseNamed(t, r, "cilium")
	if name, _ := lookup(v, "ingressController.defaultSecretName"); name != "tls" {
		t.Errorf("Cilium's values: %v", v["ingressController"])
	}
	// What belongs to a controller stops with it.
	in.Stack.Spec.Ingress[1].Suspend = true
	for _, name := range []string{"envoy-gateway-crds", "ingress-g", "ingress-g-resources"} {
		if rel, _ := releaseNamed(t, accepted(t, in), name); !rel.Spec.Suspend {
			t.Errorf("%s goes on", name)
		}
	}
}

// TestIngressCertificateNeeds wants a Certificate to wait for the add-on that defines its kind, and never for one that waits for it.
func TestIngressCertificateNeeds(t *testing.T) {
	const addon = "addon-certificates"
	manager := func(others ...string) AddonSpec {
		a := after("certificates", others...)
		a.Chart = &ChartReference{Repository: "https://charts.example.com", Name: "cert-manager"}
		return a
	}
	other := func(name string) func(*Input) {
		return addons(after("trust"), after("own", name), manager("trust", "own"))
	}
	for _, tc := range []struct {
		name    string
		in      Input
		release string
		want    bool
	}{
		{"an add-on", flannel(ingresses(ingressOf(IngressTraefik, issued)), addons(manager())), "ingress-a-resources", true},
		{"the controller itself", flannel(ingresses(ingressOf(IngressTraefik, issued)), addons(manager())), "ingress-a", false},
		{"another add-on", flannel(ingresses(ingressOf(IngressTraefik, issued)), addons(after("certificates"))), "ingress-a-resources", false},
		{"Cilium's, which is no component", cilium(mode(KubeProxyReplaced), ingresses(ingressOf(IngressCilium, issued)), addons(manager())), "ingress-a-resources", true},
		{"a GatewayClass without a certificate", flannel(gateway(GatewayAPIStandard, "1.6.1"), ingresses(ingressOf(IngressEnvoyGateway)), addons(manager())),
			"ingress-a-resources", false},
		{"an add-on after the network", flannel(ingresses(ingressOf(IngressTraefik, issued)), other("flannel")), "ingress-a-resources", true},
		{"an add-on after one after the controller", flannel(ingresses(ingressOf(IngressTraefik, issued)), other("ingress-a")), "ingress-a-resources", false},
		{"an add-on after the controller", flannel(ingresses(ingressOf(IngressTraefik, issued)), addons(manager("ingress-a"))), "ingress-a-resources", false},
		{"an add-on after what monitors the controller", flannel(observed(ObservabilitySpec{}), prometheus, ingresses(ingressOf(IngressTraefik, issued)),
			addons(manager("observability"))), "ingress-a-resources", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rel, _ := releaseNamed(t, accepted(t, tc.in), tc.release)
			if slices.Contains(rel.Needs, addon) != tc.want {
				t.Errorf("needs %v", rel.Needs)
			}
		})
	}
}
