package compose

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/facts"
)

// Component types beside those of the controllers, and their names in the catalogue.
const (
	// TypeIngressResources are objects that a controller's own chart has no place for.
	TypeIngressResources = "IngressResources"
	// TypeEnvoyGatewayCRDs are the definitions of Envoy Gateway.
	TypeEnvoyGatewayCRDs = "EnvoyGatewayCRDs"
)

// Stages of ingress. Definitions, certificates and classes come before the controller that reads them, and go after it.
const (
	stageIngressDefinitions = 80
	stageIngressResources   = 82
	stageIngress            = 84
)

const (
	// ingressPrefix is before the names of all components of ingress.
	ingressPrefix = "ingress-"
	// ingressResourcesSuffix is behind those that hold what a controller's chart has no place for.
	ingressResourcesSuffix = "-resources"
	nameEnvoyGatewayCRDs   = "envoy-gateway-crds"
	// ingressSecretSuffix is behind the name of the Secret that cert-manager keeps a default certificate in.
	ingressSecretSuffix = "-tls"
)

// usualReplicas is how many pods let one go without an interruption.
const usualReplicas = 2

var ingressPath = specPath.Child("ingress")

// ingress is one controller, with what is derived for it.
type ingress struct {
	*networkstackv1alpha1.IngressSpec
	path *field.Path
	// component is the name of its component.
	component string
	class     string
	kind      networkstackv1alpha1.IngressWorkload
	// replicas, or with autoscaling the lowest number of them; 0 for a DaemonSet.
	replicas int32
	service  networkstackv1alpha1.IngressServiceSpec
	// served says what is wanted of metrics; empty when nothing was said.
	served   networkstackv1alpha1.Toggle
	monitors bool
}

// at is the path of one of its fields, such as "service.type".
func (i *ingress) at(name string) *field.Path {
	path := i.path
	for part := range strings.SplitSeq(name, ".") {
		path = path.Child(part)
	}
	return path
}

// usualClasses are the classes that controllers have by themselves. Those without one serve none.
var usualClasses = map[networkstackv1alpha1.IngressType]string{
	networkstackv1alpha1.IngressNGINX:          "nginx",
	networkstackv1alpha1.IngressNGINXInc:       "nginx",
	networkstackv1alpha1.IngressTraefik:        "traefik",
	networkstackv1alpha1.IngressHAProxy:        "haproxy",
	networkstackv1alpha1.IngressHAProxyIngress: "haproxy",
	networkstackv1alpha1.IngressCilium:         "cilium",
	networkstackv1alpha1.IngressEnvoyGateway:   "envoy-gateway",
}

// isGatewayClass says whether a controller's class is a GatewayClass, and no IngressClass.
func (i *ingress) isGatewayClass() bool { return i.Type == networkstackv1alpha1.IngressEnvoyGateway }

// installed says whether a controller is a release of its own.
func (i *ingress) installed() bool {
	return i.Type != networkstackv1alpha1.IngressCilium && i.Type != networkstackv1alpha1.IngressGCE
}

// deriveIngress settles what is left out of the controllers.
func (s *state) deriveIngress() {
	for n := range s.spec.Ingress {
		spec := &s.spec.Ingress[n]
		i := ingress{
			IngressSpec: spec, path: ingressPath.Index(n), component: ingressPrefix + spec.Name, class: usualClasses[spec.Type],
			kind: cmp.Or(spec.Kind, networkstackv1alpha1.IngressDeployment),
		}
		if spec.Class != nil {
			i.class = cmp.Or(spec.Class.Name, i.class)
		}
		if spec.Service != nil {
			i.service = *spec.Service
		}
		if spec.Type == networkstackv1alpha1.IngressGCE {
			s.ingress = append(s.ingress, i)
			continue
		}
		if i.class != "" {
			s.note(i.at("class.name"), i.class, "%s", orReason(spec.Class != nil && spec.Class.Name != "", "as given", "the usual class of "+string(spec.Type)))
		}
		s.deriveIngressService(&i)
		if i.installed() {
			s.deriveReplicas(&i)
		}
		s.deriveIngressMetrics(&i)
		s.ingress = append(s.ingress, i)
	}
}

func orReason(given bool, yes, no string) string {
	if given {
		return yes
	}
	return no
}

func (s *state) deriveReplicas(i *ingress) {
	switch {
	case i.kind == networkstackv1alpha1.IngressDaemonSet:
		return
	case i.Autoscaling != nil:
		i.replicas = usualReplicas
		if i.Autoscaling.MinReplicas != nil {
			i.replicas = *i.Autoscaling.MinReplicas
		}
	case i.Replicas != nil:
		i.replicas = *i.Replicas
	case s.withFacts && len(s.linux) < usualReplicas:
		i.replicas = 1
		s.note(i.at("replicas"), i.replicas, "there are fewer than two nodes for replicas to spread over")
	default:
		i.replicas = usualReplicas
		s.note(i.at("replicas"), i.replicas, "one may go while the other serves")
	}
}

func (s *state) deriveIngressService(i *ingress) {
	if i.service.Type == "" {
		i.service.Type = networkstackv1alpha1.IngressLoadBalancer
		reason := "default"
		if i.HostPorts != nil {
			i.service.Type = networkstackv1alpha1.IngressClusterIP
			reason = "clients come by hostPorts"
		}
		s.note(i.at("service.type"), i.service.Type, "%s", reason)
	}
	if len(i.service.IPFamilies) == 0 && len(s.families) > 0 {
		i.service.IPFamilies = slices.Clone(s.families)
		s.note(i.at("service.ipFamilies"), familyWords(s.families), "those of the stack")
	}
}

// deriveIngressMetrics settles what Prometheus gets of a controller.
func (s *state) deriveIngressMetrics(i *ingress) {
	m := i.Metrics
	if m == nil {
		return
	}
	i.served = cmp.Or(m.Endpoints, networkstackv1alpha1.Enabled)
	path := i.at("metrics.serviceMonitors")
	switch {
	case m.ServiceMonitors == networkstackv1alpha1.MonitorsEnabled:
		i.monitors = true
	case m.ServiceMonitors == networkstackv1alpha1.MonitorsDisabled:
	case i.served == networkstackv1alpha1.Disabled:
		s.note(path, networkstackv1alpha1.MonitorsDisabled, "endpoints is Disabled")
	case ingressRefusals[i.Type][ingressMonitors] != "":
		s.note(path, networkstackv1alpha1.MonitorsDisabled, "%s's chart has none", i.Type)
	case !s.facts.ServiceMonitors:
		s.note(path, networkstackv1alpha1.MonitorsDisabled, "Auto, and the cluster has no kind ServiceMonitor")
	default:
		i.monitors = true
		s.note(path, networkstackv1alpha1.MonitorsEnabled, "Auto, and the cluster has the kind ServiceMonitor")
	}
}

// ingressReleases are the controllers, and what their charts have no place for.
func (s *state) ingressReleases(network []string) []Release {
	var out []Release
	for n := range s.ingress {
		i := &s.ingress[n]
		if !i.installed() {
			if resources, wanted := s.ingressResources(i, s.ingressNamespace(i)); wanted && i.takes(ingressCertificate) {
				resources.Needs = append(slices.Clone(network), s.certificateNeeds(i)...)
				out = append(out, resources)
			}
			continue
		}
		r := s.ingressRelease(i)
		r.Needs = slices.Clone(network)
		if i.Type == networkstackv1alpha1.IngressEnvoyGateway {
			out = s.envoyDefinitions(i, out, network)
			r.Needs = append(r.Needs, nameEnvoyGatewayCRDs)
			r.Needs = append(r.Needs, s.gatewayAPIComponents()...)
		}
		if i.Type == networkstackv1alpha1.IngressIstioGateway {
			r.Needs = append(r.Needs, s.istiodComponents()...)
		}
		if resources, wanted := s.ingressResources(i, r.Spec.Namespace); wanted {
			resources.Needs = append(slices.Clone(r.Needs), s.certificateNeeds(i)...)
			r.Needs = append(r.Needs, resources.Name)
			out = append(out, resources)
		}
		out = append(out, r)
	}
	return out
}

// ingressRelease is a controller's own.
func (s *state) ingressRelease(i *ingress) Release {
	typ := string(i.Type)
	s.validateIngressStep(typ, i)
	r := s.releaseOf(s.ingressEntry(typ, i.path, i.component), i.component, typ, stageIngress, i.path,
		i.ComponentSettings, s.ingressValues(i))
	if i.HostPorts != nil && i.Namespace == "" {
		// Pods with ports of their nodes are not for a namespace of a stricter standard.
		r.Spec.NamespaceLabels = map[string]string{"pod-security.kubernetes.io/enforce": "privileged"}
	}
	return r
}

// ingressEntry is the catalogue's, with a release name that leaves room for a second one of the type.
func (s *state) ingressEntry(typ string, path *field.Path, name string) catalog.Entry {
	entry, known := s.catalog[typ]
	if !known && s.withFacts {
		s.refuse(ruleReleaseInternal, field.InternalError(path, errNoEntry(typ)))
	}
	entry.ReleaseName = name
	return entry
}

// ingressValues are the chart values of a controller.
func (s *state) ingressValues(i *ingress) *valuesBuilder {
	b := &ingressBuilder{valuesBuilder: newValues(i.component), i: i, namespace: s.ingressNamespace(i)}
	switch i.Type {
	case networkstackv1alpha1.IngressNGINX:
		b.nginx()
	case networkstackv1alpha1.IngressNGINXInc:
		b.nginxInc()
	case networkstackv1alpha1.IngressTraefik:
		b.traefik()
	case networkstackv1alpha1.IngressHAProxy:
		b.haproxy()
	case networkstackv1alpha1.IngressHAProxyIngress:
		b.haproxyIngress()
	case networkstackv1alpha1.IngressIstioGateway:
		b.istioGateway(s.istioRevision())
	case networkstackv1alpha1.IngressEnvoyGateway:
		b.envoyGateway()
	default:
		// A part of something else.
	}
	if s.traces(i) {
		b.tracing(s.tracing)
	}
	return b.valuesBuilder
}

// ingressNamespace is where a controller is installed.
func (s *state) ingressNamespace(i *ingress) string {
	if i.Type == networkstackv1alpha1.IngressCilium {
		return cmp.Or(s.spec.CNI.Namespace, s.catalog[string(s.cni)].Namespace, sharedNamespace)
	}
	return cmp.Or(i.Namespace, s.catalog[string(i.Type)].Namespace)
}

// isDefault says whether Ingresses without a class are the controller's.
func (i *ingress) isDefault() bool { return i.Class != nil && i.Class.Default }

// sharedSettings are the settings of components that belong to a controller: whoever stops work on it stops work on these.
func (i *ingress) sharedSettings(namespace string) networkstackv1alpha1.ComponentSettings {
	return networkstackv1alpha1.ComponentSettings{Namespace: namespace, DriftMode: i.DriftMode, Suspend: i.Suspend}
}

// ingressResources are the objects that a controller's chart has no place for.
func (s *state) ingressResources(i *ingress, namespace string) (Release, bool) {
	name := i.component + ingressResourcesSuffix
	b := newValues(name)
	wanted := false
	if c := i.DefaultCertificate; c != nil && c.Issuer != nil {
		wanted = true
		at := i.at("defaultCertificate").String()
		b.control("certificate", at, map[string]any{
			"name": i.component, "secretName": i.certificateSecret(),
			"issuerRef": map[string]any{
				"group": "cert-manager.io", "kind": string(cmp.Or(c.Issuer.Kind, networkstackv1alpha1.ClusterIssuer)), "name": c.Issuer.Name,
			},
			"dnsNames": plain(c.DNSNames),
		}, "cert-manager is asked for the default certificate")
	}
	if i.Type == networkstackv1alpha1.IngressEnvoyGateway {
		wanted = true
		b.control("gatewayClass", i.at("class.name").String(), map[string]any{
			"name": i.class, "controllerName": i.envoyController(),
		}, "the class that the controller serves")
		b.control("envoyProxy", i.path.String(), s.envoyProxy(i), "how Envoy is to run")
	}
	if !wanted {
		return Release{}, false
	}
	path := i.path.Child("resources-component") // of no field: nothing of it can be set
	r := s.releaseOf(s.ingressEntry(TypeIngressResources, i.path, name), name, TypeIngressResources,
		stageIngressResources, path, i.sharedSettings(namespace), b)
	return r, true
}

// certManagerChart is the chart that defines Certificates, and answers the webhooks that they go through.
const certManagerChart = "cert-manager"

// certManagerAddon is the add-on of the stack that installs cert-manager; nil when there is none.
func (s *state) certManagerAddon() *networkstackv1alpha1.AddonSpec {
	i := slices.IndexFunc(s.spec.Addons, func(a networkstackv1alpha1.AddonSpec) bool {
		return a.Chart != nil && cmp.Or(a.Chart.Name, a.Name) == certManagerChart
	})
	if i < 0 {
		return nil
	}
	return &s.spec.Addons[i]
}

// certificateNeeds is the add-on that has to be there before a controller's Certificate is made. One that itself waits for
// controllers cannot be waited for: then the Certificate is tried again until its kind is there.
func (s *state) certificateNeeds(i *ingress) []string {
	a := s.certManagerAddon()
	if a == nil || i.DefaultCertificate == nil || i.DefaultCertificate.Issuer == nil || s.addonFollowsIngress(a, nil) {
		return nil
	}
	return []string{addonPrefix + a.Name}
}

// addonFollowsIngress says whether an add-on comes after a part of ingress, or after what waits for that: itself, or by an add-on
// that it comes after.
func (s *state) addonFollowsIngress(a *networkstackv1alpha1.AddonSpec, behind []string) bool {
	behind = append(behind, a.Name)
	return slices.ContainsFunc(a.After, func(name string) bool {
		if before := s.addon(name); before != nil {
			return !slices.Contains(behind, name) && s.addonFollowsIngress(before, behind)
		}
		return strings.HasPrefix(name, ingressPrefix) || name == nameObservability
	})
}

// certificateSecret is the Secret with the default certificate; empty when there is none.
func (i *ingress) certificateSecret() string {
	switch c := i.DefaultCertificate; {
	case c == nil:
		return ""
	case c.Issuer != nil:
		return i.component + ingressSecretSuffix
	default:
		return c.SecretName
	}
}

// gatewayAPIComponents are the components of the stack that bring the Gateway API.
func (s *state) gatewayAPIComponents() []string {
	if !s.gateway.managed {
		return nil
	}
	return []string{nameGatewayAPI}
}

// istiodComponents are the components of the stack that inject Istio's gateways.
func (s *state) istiodComponents() []string {
	if s.mesh.typ != networkstackv1alpha1.MeshIstio {
		return nil
	}
	// Tags are among the resources.
	return []string{istiodName(s.mesh.revision), nameIstioResources}
}

// hasIstiod says whether the cluster has a control plane of Istio, or will have one by this stack.
func (s *state) hasIstiod() bool {
	return len(s.facts.IstioRevisions) > 0 || len(s.istiodComponents()) > 0
}

// istioRevision is the revision, or tag, that injects gateways; empty when it is the usual one.
func (s *state) istioRevision() string {
	if s.mesh.typ == networkstackv1alpha1.MeshIstio {
		if by := cmp.Or(s.mesh.tag, s.mesh.revision); by != facts.DefaultIstioRevision {
			return by
		}
		return ""
	}
	if r := s.facts.IstioRevisions; len(r) > 0 && !slices.Contains(r, facts.DefaultIstioRevision) {
		return r[len(r)-1]
	}
	return ""
}
