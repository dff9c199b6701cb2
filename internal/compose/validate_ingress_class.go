package compose

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// classPaths are where charts have the name of their class.
var classPaths = map[networkstackv1alpha1.IngressType]string{
	networkstackv1alpha1.IngressNGINX:          "controller.ingressClassResource.name",
	networkstackv1alpha1.IngressNGINXInc:       "controller.ingressClass.name",
	networkstackv1alpha1.IngressTraefik:        "ingressClass.name",
	networkstackv1alpha1.IngressHAProxy:        "controller.ingressClassResource.name",
	networkstackv1alpha1.IngressHAProxyIngress: "controller.ingressClass",
}

// owner is the component that a controller's IngressClass is an object of.
func (i *ingress) owner() string {
	if i.Type == networkstackv1alpha1.IngressCilium {
		return nameCilium
	}
	return i.component
}

// validateIngressClasses refuses classes that somebody has already.
func (s *state) validateIngressClasses() {
	type key struct {
		gateway bool
		name    string
	}
	by, standard := map[key]*ingress{}, (*ingress)(nil)
	for n := range s.ingress {
		i := &s.ingress[n]
		if i.class == "" || !i.takes(ingressClassName) {
			continue
		}
		path := i.at("class.name")
		if other := by[key{i.isGatewayClass(), i.class}]; other != nil {
			s.refuse(ruleIngressClassTwice, duplicate(path, i.class, fmt.Sprintf("controller %s has this class: give one of them another class.name", other.Name)))
		} else {
			by[key{i.isGatewayClass(), i.class}] = i
		}
		if i.Type == networkstackv1alpha1.IngressCilium && i.class != usualClasses[i.Type] {
			s.refuse(ruleIngressClassFixed, field.Invalid(path, i.class, "the class of Cilium's controller is always cilium: remove it"))
		}
		if at, known := classPaths[i.Type]; known {
			if was := s.previousIngress(i, at); was != "" && was != i.class {
				s.refuse(ruleIngressClassChanged, field.Invalid(path, i.class, fmt.Sprintf(
					"the Ingresses of class %s would be served by nobody: restore it, or add an entry with the new class and move them first", was)))
			}
		}
		if i.isDefault() && i.takes(ingressClassDefault) {
			if standard != nil {
				s.refuse(ruleIngressDefaultTwice, field.Forbidden(i.at(ingressClassDefault), fmt.Sprintf(
					"controller %s has the default class, and with two Ingresses without a class are refused: remove one of them", standard.Name)))
			}
			standard = i
		}
		if !i.isGatewayClass() {
			s.validateIngressClassFound(i)
		}
	}
}

// validateIngressClassFound holds a class against those of the cluster. What a component of the stack has is about to become as
// the stack wants it.
func (s *state) validateIngressClassFound(i *ingress) {
	for _, c := range s.facts.IngressClasses {
		if _, ours := s.existing[c.Component]; ours {
			continue
		}
		if c.Name == i.class && c.Component != i.owner() && s.spec.Adoption != networkstackv1alpha1.AdoptionAdopt {
			s.refuse(ruleIngressClassTaken, field.Invalid(i.at("class.name"), i.class, fmt.Sprintf(
				"the cluster has this IngressClass, of the controller %s%s: choose another class.name, or remove that one", c.Controller, parenthesised(c.Manager))))
		}
		if c.Default && c.Name != i.class && i.isDefault() {
			s.refuse(ruleIngressDefaultTaken, field.Forbidden(i.at(ingressClassDefault), fmt.Sprintf(
				"the cluster's default is the IngressClass %s%s, and with two Ingresses without a class are refused: remove this, or its annotation",
				c.Name, parenthesised(c.Manager))))
		}
	}
}

// validateIngressTypes judges what particular controllers need, and what several of them do to each other.
func (s *state) validateIngressTypes() {
	of := func(t networkstackv1alpha1.IngressType) []*ingress {
		var out []*ingress
		for n := range s.ingress {
			if s.ingress[n].Type == t {
				out = append(out, &s.ingress[n])
			}
		}
		return out
	}
	s.validateCiliumIngress(of(networkstackv1alpha1.IngressCilium))
	for _, i := range of(networkstackv1alpha1.IngressIstioGateway) {
		if s.withFacts && !s.hasIstiod() {
			s.refuse(ruleIngressIstio, field.Invalid(i.at("type"), i.Type, "the cluster has no istiod, which makes the gateway's pods what they are: install Istio first, or use another type"))
		}
	}
	envoys := of(networkstackv1alpha1.IngressEnvoyGateway)
	for n, i := range envoys {
		for _, other := range envoys[:n] {
			if at := s.ingressNamespace(i); at != "" && s.ingressNamespace(other) == at {
				s.refuse(ruleIngressShared, duplicate(i.at(ingressNamespace), at, fmt.Sprintf(
					"controller %s is there, and the names of their objects are the same: set another namespace", other.Name)))
			}
		}
	}
	if traefiks := of(networkstackv1alpha1.IngressTraefik); len(traefiks) > 1 {
		for _, i := range traefiks {
			v, _ := lookup(s.userValues[i.path.String()], "providers.kubernetesCRD.ingressClass")
			if v == nil && len(i.WatchedNamespaces) == 0 {
				s.warn(ruleIngressRoutes, i.path, "serves the IngressRoutes that are meant for the other Traefik, too: set values.providers.kubernetesCRD.ingressClass, or watchedNamespaces")
			}
		}
	}
	if clouds := of(networkstackv1alpha1.IngressGCE); len(clouds) > 0 {
		if s.withFacts && !s.facts.BackendConfigs {
			s.refuse(ruleIngressGCE, field.Invalid(clouds[0].at("type"), clouds[0].Type, "the cluster has no BackendConfigs, so GKE runs no ingress controller here: enable its add-on HttpLoadBalancing, or use another type"))
		}
		if len(s.ingress) > len(clouds) && !slices.ContainsFunc(s.ingress, func(i ingress) bool { return i.isDefault() }) {
			s.warn(ruleIngressGCEClassless, clouds[0].path, "an Ingress without a class is GCE's: set class.default of another controller, or name a class in every Ingress")
		}
	}
}

// validateCiliumIngress refuses Cilium's controller where there is no Cilium, or one that could not serve it.
func (s *state) validateCiliumIngress(all []*ingress) {
	for n, i := range all {
		path := i.at("type")
		switch {
		case s.cni != networkstackv1alpha1.CNICilium:
			s.refuse(ruleIngressCilium, field.Invalid(path, i.Type, "is a part of Cilium: set cni.type to Cilium, or use another type"))
			continue
		case n > 0:
			s.refuse(ruleIngressCilium, field.Invalid(path, i.Type, "there is one in a Cilium: remove this entry"))
			continue
		}
		user := s.userValues[cniPath.String()]
		if nodePort, _ := lookup(user, "nodePort.enabled"); s.kubeProxyMode != networkstackv1alpha1.KubeProxyReplaced && nodePort != true {
			s.refuse(ruleIngressCilium, field.Invalid(path, i.Type, "needs a Cilium that programs Services: set kubeProxy.mode to Replaced, or cni.values.nodePort.enabled"))
		}
		if proxy, _ := lookup(user, "l7Proxy"); proxy == false {
			s.refuse(ruleIngressCilium, field.Invalid(path, i.Type, "is served by Cilium's Envoy: remove cni.values.l7Proxy"))
		}
	}
}
