package compose

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
)

func errNoEntry(typ string) error {
	return fmt.Errorf("the catalogue has no entry for %s: correct the catalogue", typ)
}

// errCount is a number or share that is none.
var errCount = errors.New("no number")

// validateIngressEnums repeats what the CRD's schema holds.
func (s *state) validateIngressEnums() {
	for n, i := range s.spec.Ingress {
		path := ingressPath.Index(n)
		oneOf(s, path.Child("type"), i.Type, slices.Sorted(maps.Keys(ingressRefusals))...)
		optionalOneOf(s, path.Child("kind"), i.Kind, networkstackv1alpha1.IngressDeployment, networkstackv1alpha1.IngressDaemonSet)
		optionalOneOf(s, path.Child("logFormat"), i.LogFormat, networkstackv1alpha1.IngressLogJSON, networkstackv1alpha1.IngressLogText)
		if v := i.Service; v != nil {
			optionalOneOf(s, path.Child("service", "type"), v.Type,
				networkstackv1alpha1.IngressLoadBalancer, networkstackv1alpha1.IngressNodePort,
				networkstackv1alpha1.IngressClusterIP)
			optionalOneOf(s, path.Child("service", "externalTrafficPolicy"), v.ExternalTrafficPolicy,
				networkstackv1alpha1.TrafficCluster, networkstackv1alpha1.TrafficLocal)
			for f, family := range v.IPFamilies {
				oneOf(s, path.Child("service", "ipFamilies").Index(f), family, ipv4, ipv6)
			}
		}
		for t, spread := range i.TopologySpread {
			optionalOneOf(s, path.Child("topologySpread").Index(t).Child("whenUnsatisfiable"), spread.WhenUnsatisfiable,
				string(corev1.ScheduleAnyway), string(corev1.DoNotSchedule))
		}
		if c := i.DefaultCertificate; c != nil && c.Issuer != nil {
			optionalOneOf(s, path.Child("defaultCertificate", "issuer", "kind"), c.Issuer.Kind,
				networkstackv1alpha1.ClusterIssuer, networkstackv1alpha1.Issuer)
		}
		if c := i.ClientAddresses; c != nil {
			oneOf(s, path.Child("clientAddresses", "source"), c.Source,
				networkstackv1alpha1.ClientsByProxyProtocol, networkstackv1alpha1.ClientsByForwardedHeaders)
		}
		if m := i.Metrics; m != nil {
			optionalOneOf(s, path.Child("metrics", "endpoints"), m.Endpoints, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
			optionalOneOf(s, path.Child("metrics", "serviceMonitors"), m.ServiceMonitors,
				networkstackv1alpha1.MonitorsAuto, networkstackv1alpha1.MonitorsEnabled, networkstackv1alpha1.MonitorsDisabled)
		}
	}
}

const longestIngressName = 30

// validateIngress refuses controllers that could not work.
func (s *state) validateIngress() {
	names := map[string]bool{}
	for n := range s.ingress {
		i := &s.ingress[n]
		path := i.at("name")
		switch {
		case names[i.Name]:
			s.refuse(ruleIngressName, duplicate(path, i.Name, "another controller has this name: choose another"))
		case len(validation.IsDNS1123Label(i.Name)) > 0 || len(i.Name) > longestIngressName:
			s.refuse(ruleIngressName, field.Invalid(path, i.Name, "use at most 30 lower-case letters, digits and \"-\""))
		case strings.HasSuffix(i.Name, ingressResourcesSuffix):
			s.refuse(ruleIngressName, field.Invalid(path, i.Name, "names that end in -resources are the operator's: choose another"))
		}
		names[i.Name] = true
		s.validateIngressFields(i)
		if i.Type == networkstackv1alpha1.IngressGCE {
			continue
		}
		s.validateIngressScale(i)
		s.validateIngressHostPorts(n)
		s.validateIngressService(i)
		s.validateIngressCertificate(n)
		s.validateIngressClients(i)
		s.validateIngressLimits(i)
		s.validateIngressRest(i)
	}
	s.validateIngressClasses()
	s.validateIngressTypes()
}

// validateIngressFields refuses what a controller has nothing for. Of a block that is refused as a whole, that is enough.
func (s *state) validateIngressFields(i *ingress) {
	refused := ingressRefusals[i.Type]
	within := "\x00"
	for _, f := range i.fields() {
		remedy, is := refused[f.name]
		if !f.set || !is || strings.HasPrefix(f.name, within+".") {
			continue
		}
		within = f.name
		s.refuse(ruleIngressField, field.Forbidden(i.at(f.name), fmt.Sprintf("%s: %s", i.Type, remedy)))
	}
}

// takes says whether a controller has something for a field.
func (i *ingress) takes(name string) bool {
	_, refused := ingressRefusals[i.Type][name]
	return !refused
}

// withoutRequests are the controllers whose charts request no CPU.
var withoutRequests = []networkstackv1alpha1.IngressType{networkstackv1alpha1.IngressTraefik, networkstackv1alpha1.IngressHAProxyIngress}

func (s *state) validateIngressScale(i *ingress) {
	if i.kind == networkstackv1alpha1.IngressDaemonSet && i.takes(ingressKind) {
		for _, f := range []ingressField{
			{ingressReplicas, i.Replicas != nil}, {ingressAutoscaling, i.Autoscaling != nil}, {ingressBudget, i.DisruptionBudget != nil},
		} {
			if f.set {
				s.refuse(ruleIngressScale, field.Forbidden(i.at(f.name), "a DaemonSet has one pod on each node: remove it, or use kind Deployment"))
			}
		}
	}
	if a := i.Autoscaling; a != nil && i.takes(ingressAutoscaling) {
		if i.Replicas != nil {
			s.refuse(ruleIngressScale, field.Forbidden(i.at(ingressReplicas), "an autoscaler sets the number of replicas: remove replicas, or autoscaling"))
		}
		if a.MaxReplicas < i.replicas {
			s.refuse(ruleIngressScale, field.Invalid(i.at("autoscaling.maxReplicas"), a.MaxReplicas,
				fmt.Sprintf("is less than minReplicas, %d: raise it", i.replicas)))
		}
		requests := i.Resources != nil && !i.Resources.Requests.Cpu().IsZero()
		if slices.Contains(withoutRequests, i.Type) && !requests {
			s.refuse(ruleIngressScaleCPU, field.Required(i.at("resources"), fmt.Sprintf(
				"the chart of %s requests no CPU, whose use the autoscaler goes by: set requests.cpu", i.Type)))
		}
	}
	if i.Resources != nil && i.takes(ingressPodResources) {
		s.validateResources(agents{AgentSettings: &networkstackv1alpha1.AgentSettings{Resources: i.Resources}, path: i.path})
	}
	for n, t := range i.TopologySpread {
		if len(validation.IsQualifiedName(t.TopologyKey)) > 0 && i.takes(ingressSpread) {
			s.refuse(ruleIngressSpread, field.Invalid(i.at(ingressSpread).Index(n).Child("topologyKey"), t.TopologyKey,
				"is not the key of a label: write one such as topology.kubernetes.io/zone"))
		}
	}
	s.validateIngressBudget(i)
}

// validateIngressBudget refuses a budget by which no node can be drained.
func (s *state) validateIngressBudget(i *ingress) {
	d := i.DisruptionBudget
	if d == nil || !i.takes(ingressBudget) || i.kind == networkstackv1alpha1.IngressDaemonSet {
		return
	}
	path := i.at(ingressBudget)
	if (d.MinAvailable == nil) == (d.MaxUnavailable == nil) {
		s.refuse(ruleIngressBudget, field.Invalid(path, field.OmitValueType{}, "set one of minAvailable and maxUnavailable"))
		return
	}
	if i.replicas < usualReplicas {
		s.refuse(ruleIngressBudget, field.Forbidden(path, "a single pod has to go when its node is drained: remove it, or have two replicas or more"))
		return
	}
	if least := d.MinAvailable; least != nil {
		n, err := scaled(*least, int(i.replicas))
		switch {
		case err != nil || n < 1:
			s.refuse(ruleIngressBudget, field.Invalid(path.Child("minAvailable"), least.String(), "write a number of 1 or more, or a share such as 50%"))
		case n >= int(i.replicas):
			s.refuse(ruleIngressBudget, field.Invalid(path.Child("minAvailable"), least.String(), fmt.Sprintf(
				"of %d replicas none could go, and no node could be drained: lower it", i.replicas)))
		case least.Type == intstr.String && i.Type == networkstackv1alpha1.IngressHAProxyIngress:
			s.refuse(ruleIngressBudget, field.Invalid(path.Child("minAvailable"), least.String(), "its chart takes a number alone: write one, or use maxUnavailable"))
		}
		return
	}
	if n, err := scaled(*d.MaxUnavailable, int(i.replicas)); err != nil || n < 1 {
		s.refuse(ruleIngressBudget, field.Invalid(path.Child("maxUnavailable"), d.MaxUnavailable.String(), "write a number of 1 or more, or a share such as 25%"))
	}
}

// scaled is a number or a share of a total, which is rounded up.
func scaled(v intstr.IntOrString, of int) (int, error) {
	n, err := intstr.GetScaledValueFromIntOrPercent(&v, of, true)
	if err == nil && n < 0 {
		err = errCount
	}
	return n, err
}

func (s *state) validateIngressHostPorts(n int) {
	i := &s.ingress[n]
	if i.HostPorts == nil || !i.takes(ingressHostPorts) {
		return
	}
	path := i.at(ingressHostPorts)
	if i.kind != networkstackv1alpha1.IngressDaemonSet {
		s.refuse(ruleIngressHostPortKind, field.Forbidden(path, "two pods on a node cannot have the same port: set kind to DaemonSet, or remove it"))
	}
	if s.cni == networkstackv1alpha1.CNICilium && s.kubeProxyMode != networkstackv1alpha1.KubeProxyReplaced {
		if mode, _ := lookup(s.userValues[cniPath.String()], "cni.chainingMode"); mode != "portmap" {
			s.refuse(ruleIngressHostPortCNI, field.Forbidden(path,
				"Cilium makes ports of hosts only where it replaces kube-proxy: set kubeProxy.mode to Replaced, or cni.values.cni.chainingMode to portmap"))
		}
	}
}

func (s *state) validateIngressService(i *ingress) {
	v := i.service
	if v.Type == networkstackv1alpha1.IngressClusterIP && v.ExternalTrafficPolicy != "" {
		s.refuse(ruleIngressService, field.Forbidden(i.at("service.externalTrafficPolicy"), "nothing arrives at a ClusterIP from outside: remove it, or use another service.type"))
	}
	if v.Type != networkstackv1alpha1.IngressLoadBalancer {
		for _, f := range []ingressField{
			{ingressSourceRanges, len(v.SourceRanges) > 0}, {ingressBalancerClass, v.LoadBalancerClass != ""},
		} {
			if f.set && i.takes(f.name) {
				s.refuse(ruleIngressService, field.Forbidden(i.at(f.name), "is of load balancers: remove it, or set service.type to LoadBalancer"))
			}
		}
	}
	if i.takes(ingressSourceRanges) {
		for n, text := range v.SourceRanges {
			p := s.validateIngressRange(i.at(ingressSourceRanges).Index(n), text, "leave sourceRanges out to let everybody in")
			if p.IsValid() && len(v.IPFamilies) > 0 && !slices.Contains(v.IPFamilies, familyOf(p.Addr())) {
				s.refuse(ruleIngressRange, field.Invalid(i.at(ingressSourceRanges).Index(n), text, fmt.Sprintf(
					"the Service has %s alone: remove it, or add the family", familyWords(v.IPFamilies))))
			}
		}
	}
	if i.takes(ingressFamilies) {
		for n, f := range v.IPFamilies {
			path := i.at(ingressFamilies).Index(n)
			switch {
			case slices.Contains(v.IPFamilies[:n], f):
				s.refuse(ruleIngressFamily, duplicate(path, f, "list IPv4, IPv6, or both once"))
			case len(s.families) > 0 && !s.has(f):
				s.refuse(ruleIngressFamily, field.Invalid(path, f, fmt.Sprintf("the stack has %s: remove it, or add it to spec.ipFamilies", familyWords(s.families))))
			}
		}
	}
	s.validateIngressServiceKept(i)
}

// validateIngressRange reads a network, which must not be everybody.
func (s *state) validateIngressRange(path *field.Path, text, everybody string) netip.Prefix {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		s.refuse(ruleIngressRange, field.Invalid(path, text, "is not a CIDR: write one such as 192.0.2.0/24"))
		return netip.Prefix{}
	case p.Bits() == 0:
		s.refuse(ruleIngressRange, field.Invalid(path, text, "is everybody: "+everybody))
		return netip.Prefix{}
	}
	return p
}

// previousIngress is a value that the component has now; empty when there is none.
func (s *state) previousIngress(i *ingress, path string) string {
	values, err := ParseValues(s.existing[i.component].DerivedValues)
	if err != nil || s.existing[i.component].Type != string(i.Type) {
		return ""
	}
	v, _ := lookup(values, path)
	if list, ok := v.([]any); ok && len(list) > 0 {
		v = list[0]
	}
	text, _ := v.(string)
	return text
}

// servicePaths are where charts have their Service.
var servicePaths = map[networkstackv1alpha1.IngressType]string{
	networkstackv1alpha1.IngressNGINX: "controller.service", networkstackv1alpha1.IngressNGINXInc: "controller.service",
	networkstackv1alpha1.IngressHAProxy: "controller.service", networkstackv1alpha1.IngressHAProxyIngress: "controller.service",
	networkstackv1alpha1.IngressTraefik: "service.spec", networkstackv1alpha1.IngressIstioGateway: "service",
}

// validateIngressServiceKept refuses what cannot be changed of a Service.
func (s *state) validateIngressServiceKept(i *ingress) {
	at, known := servicePaths[i.Type]
	was := s.previousIngress(i, at+".type")
	if !known || was == "" {
		return
	}
	balancer := string(networkstackv1alpha1.IngressLoadBalancer)
	if before := s.previousIngress(i, at+".loadBalancerClass"); before != i.service.LoadBalancerClass &&
		was == balancer && string(i.service.Type) == balancer {
		s.refuse(ruleIngressServiceChanged, field.Invalid(i.at(ingressBalancerClass), i.service.LoadBalancerClass, fmt.Sprintf(
			"the Service has %q, which cannot be changed: restore it, or make it a ClusterIP first", before)))
	}
	before := s.previousIngress(i, at+".ipFamilies")
	if f := i.service.IPFamilies; before != "" && len(f) > 0 && string(f[0]) != before {
		s.refuse(ruleIngressServiceChanged, field.Invalid(i.at(ingressFamilies), familyWords(f), fmt.Sprintf(
			"%s is the Service's primary family, which cannot be changed: restore it", before)))
	}
}

func (s *state) validateIngressCertificate(n int) {
	i := &s.ingress[n]
	c := i.DefaultCertificate
	if c == nil || !i.takes(ingressCertificate) {
		return
	}
	path := i.at(ingressCertificate)
	switch {
	case (c.SecretName == "") == (c.Issuer == nil):
		s.refuse(ruleIngressCertificate, field.Invalid(path, field.OmitValueType{}, "set one of secretName and issuer"))
	case c.Issuer != nil && (c.Issuer.Name == "" || len(c.DNSNames) == 0):
		s.refuse(ruleIngressCertificate, field.Required(path.Child("dnsNames"), "name the issuer, and the names in the certificate, such as *.example.com"))
	case c.Issuer == nil && len(c.DNSNames) > 0:
		s.refuse(ruleIngressCertificate, field.Forbidden(path.Child("dnsNames"), "are of a certificate of an issuer: remove them"))
	case c.Issuer != nil && s.withFacts && !s.facts.CertManager && s.certManagerAddon() == nil:
		s.warn(ruleIngressIssuerWaits, path.Child("issuer"), "the cluster has no cert-manager: the certificate, and the controller, wait for it; install it")
	}
	if i.Type != networkstackv1alpha1.IngressTraefik || len(i.WatchedNamespaces) > 0 {
		return
	}
	for o := range s.ingress[:n] {
		other := &s.ingress[o]
		if other.Type == i.Type && other.DefaultCertificate != nil && len(other.WatchedNamespaces) == 0 {
			s.refuse(ruleIngressCertificateTwice, field.Forbidden(path, fmt.Sprintf(
				"Traefik takes none of several default certificates, and controller %s has one: remove it, or set watchedNamespaces of both", other.Name)))
		}
	}
}

// proxyAnnotations have load balancers speak the PROXY protocol. An empty value stands for any.
var proxyAnnotations = map[string]string{
	"service.beta.kubernetes.io/aws-load-balancer-proxy-protocol":           "*",
	"service.beta.kubernetes.io/do-loadbalancer-enable-proxy-protocol":      "true",
	"load-balancer.hetzner.cloud/uses-proxyprotocol":                        "true",
	"loadbalancer.openstack.org/proxy-protocol":                             "true",
	"service.beta.kubernetes.io/scw-loadbalancer-proxy-protocol-v2":         "true",
	"service.beta.kubernetes.io/linode-loadbalancer-default-proxy-protocol": "",
}

func (i *ingress) balancerSpeaksProxy() (annotation string, speaks bool) {
	for _, key := range slices.Sorted(maps.Keys(proxyAnnotations)) {
		value, there := i.service.Annotations[key]
		if want := proxyAnnotations[key]; there && (want == "" && value != "none" || value == want) {
			return key, true
		}
	}
	return "", false
}

func (s *state) validateIngressClients(i *ingress) {
	if !i.takes(ingressClients) {
		return
	}
	proxy := i.clients() == networkstackv1alpha1.ClientsByProxyProtocol
	annotation, speaks := i.balancerSpeaksProxy()
	path := i.at("clientAddresses.source")
	switch {
	case speaks && !proxy:
		s.refuse(ruleIngressProxyMismatch, field.Required(path, fmt.Sprintf(
			"the load balancer is to speak the PROXY protocol by the annotation %s: set it to ProxyProtocol, or remove the annotation", annotation)))
	case proxy && !speaks && i.service.Type == networkstackv1alpha1.IngressLoadBalancer:
		s.warn(ruleIngressProxyUnasked, path,
			"no annotation of the Service is known to have the load balancer speak the PROXY protocol, without which every connection fails: add it")
	}
	if i.ClientAddresses == nil || i.clients() == networkstackv1alpha1.ClientsByForwardedHeaders && !i.takes(ingressForwarded) {
		return
	}
	if !i.takes(ingressTrusted) {
		if proxy && len(i.service.SourceRanges) == 0 && i.takes(ingressSourceRanges) {
			s.warn(ruleIngressOpen, path, "%s believes everybody who speaks the PROXY protocol: set service.sourceRanges to the load balancers", i.Type)
		}
		return
	}
	trusted := i.at(ingressTrusted)
	if len(i.trusted()) == 0 {
		s.refuse(ruleIngressTrusted, field.Required(trusted, "list the networks of the load balancers or proxies: anybody else could claim any address"))
	}
	for n, text := range i.trusted() {
		s.validateIngressRange(trusted.Index(n), text, "anybody could claim any address; list the load balancers or proxies")
	}
}

func (s *state) validateIngressLimits(i *ingress) {
	l := i.limits()
	if i.Limits == nil || !i.takes(ingressLimits) {
		return
	}
	if q := l.MaxBodySize; q != nil && q.Sign() <= 0 && i.takes(ingressBodySize) {
		s.refuse(ruleIngressLimit, field.Invalid(i.at(ingressBodySize), q.String(), "write a size such as 8Mi"))
	}
	for _, t := range []struct {
		name string
		d    *metav1.Duration
	}{{ingressConnect, l.ConnectTimeout}, {ingressBackend, l.BackendTimeout}, {ingressClient, l.ClientTimeout},
		{ingressIdle, l.IdleTimeout}} {
		const day = 24 * time.Hour
		if t.d != nil && i.takes(t.name) && (t.d.Duration < time.Second || t.d.Duration > day) {
			s.refuse(ruleIngressLimit, field.Invalid(i.at(t.name), t.d.Duration.String(), "must be between 1s and 24h"))
		}
	}
}

// validateIngressRest judges metrics, namespaces, values, and changes of class and type.
func (s *state) validateIngressRest(i *ingress) {
	if i.Type == networkstackv1alpha1.IngressNGINX {
		s.warn(ruleIngressRetired, i.at("type"),
			"ingress-nginx was retired in March 2026, and nobody fixes what is found in it: move to Traefik, which understands its annotations, to NGINXInc, or to EnvoyGateway")
	}
	if m := i.Metrics; m != nil && i.takes(ingressMetrics) {
		asked := m.ServiceMonitors == networkstackv1alpha1.MonitorsEnabled && i.takes(ingressMonitors)
		switch path := i.at(ingressMonitors); {
		case asked && m.Endpoints == networkstackv1alpha1.Disabled:
			s.refuse(ruleIngressMetrics, field.Invalid(path, m.ServiceMonitors, "there is nothing to scrape while endpoints is Disabled: enable endpoints, or remove it"))
		case asked && s.withFacts && !s.facts.ServiceMonitors:
			s.refuse(ruleIngressMetrics, field.Invalid(path, m.ServiceMonitors,
				"the cluster has no kind ServiceMonitor (monitoring.coreos.com): install Prometheus' operator, or use Auto"))
		}
		s.validateLabels(i.at("metrics.serviceMonitorLabels"), m.ServiceMonitorLabels)
	}
	if i.takes(ingressNamespaces) {
		path := i.at(ingressNamespaces)
		for n, name := range i.WatchedNamespaces {
			if len(validation.IsDNS1123Label(name)) > 0 {
				s.refuse(ruleIngressNamespaces, field.Invalid(path.Index(n), name, "is not the name of a namespace"))
			}
		}
		if i.Type == networkstackv1alpha1.IngressHAProxyIngress && len(i.WatchedNamespaces) > 1 {
			s.refuse(ruleIngressNamespaces, field.Invalid(path, len(i.WatchedNamespaces), "HAProxy Ingress watches one namespace or all: leave one, or use a controller for each"))
		}
	}
	for _, key := range []string{"controller.allowSnippetAnnotations", "controller.enableSnippets"} {
		if v, _ := lookup(s.userValues[i.path.String()], key); v == true {
			s.warn(ruleIngressSnippets, i.at(ingressValues), "values.%s lets whoever may write an Ingress run code in the controller, which reads all Secrets: remove it", key)
		}
	}
	if was := s.existing[i.component].Type; was != "" && was != string(i.Type) {
		s.refuse(ruleIngressType, field.Invalid(i.at("type"), i.Type, fmt.Sprintf(
			"the controller of this name is of type %s: add an entry with another name, move the Ingresses, then remove this one", was)))
	}
}

// validateIngressStep holds a controller to the steps from version to version that its project tests.
func (s *state) validateIngressStep(typ string, i *ingress) {
	entry, was := s.catalog[typ], s.existing[i.component]
	wanted := entry.Default().Version
	if i.Version != "" {
		wanted = i.Version
	}
	if was.Type != typ || was.Chart.Version == "" || wanted == "" {
		return
	}
	switch entry.Step(was.Chart.Version, wanted) {
	case catalog.StepAllowed:
	default:
		remedy := "stay with " + was.Chart.Version
		if next := entry.NextStep(was.Chart.Version, wanted); next != "" {
			remedy = "go to " + next + " first"
		}
		s.refuse(ruleIngressStep, field.Invalid(i.at(ingressVersion), wanted, fmt.Sprintf(
			"%s %s → %s is more than one upgrade may skip: %s", typ, was.Chart.Version, wanted, remedy)))
	}
}
