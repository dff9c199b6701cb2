package evaluate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ciliumPolicy is a CiliumClusterwideNetworkPolicy, or a CiliumNetworkPolicy, which has a namespace.
type ciliumPolicy struct {
	meta
	Spec struct {
		EndpointSelector  *metav1.LabelSelector `json:"endpointSelector"`
		EnableDefaultDeny *struct {
			Ingress *bool `json:"ingress"`
			Egress  *bool `json:"egress"`
		} `json:"enableDefaultDeny"`
		Ingress     []ciliumIngress `json:"ingress"`
		IngressDeny []ciliumIngress `json:"ingressDeny"`
		Egress      []ciliumEgress  `json:"egress"`
		EgressDeny  []ciliumEgress  `json:"egressDeny"`
	} `json:"spec"`
}

type ciliumIngress struct {
	Endpoints []metav1.LabelSelector `json:"fromEndpoints"`
	Entities  []string               `json:"fromEntities"`
	CIDRs     []ciliumCIDR           `json:"fromCIDRSet"`
	Ports     []ciliumPorts          `json:"toPorts"`
}

type ciliumEgress struct {
	Endpoints []metav1.LabelSelector `json:"toEndpoints"`
	Entities  []string               `json:"toEntities"`
	CIDRs     []ciliumCIDR           `json:"toCIDRSet"`
	Ports     []ciliumPorts          `json:"toPorts"`
}

type ciliumCIDR struct {
	CIDR   string   `json:"cidr"`
	Except []string `json:"except"`
}

type ciliumPorts struct {
	Ports []struct {
		Port     string `json:"port"`
		EndPort  int    `json:"endPort"`
		Protocol string `json:"protocol"`
	} `json:"ports"`
}

// cilium adds all policies up: a denial wins; else what is allowed passes, and everything where no policy has the endpoint deny by default.
func (d *direction) cilium(p *Policies) (bool, error) {
	if d.subject.Kind != Pod && d.subject.Kind != Health && d.subject.Kind != Gateway {
		return true, nil
	}
	isolated, allowed, err := d.networkPolicies(p.network)
	if err != nil {
		return false, err
	}
	denied := false
	for i := range p.cilium {
		policy := &p.cilium[i]
		if policy.Spec.EndpointSelector == nil {
			return false, fmt.Errorf("%s: no endpointSelector", policy.Metadata.Name)
		}
		namespace := policy.Metadata.Namespace
		if (namespace == "") == (policy.Kind == "CiliumNetworkPolicy") {
			return false, fmt.Errorf("%s %s in namespace %q", policy.Kind, policy.Metadata.Name, namespace)
		}
		mine, err := d.subject.ciliumSelected(policy.Spec.EndpointSelector, namespace)
		if err != nil {
			return false, err
		}
		if !mine {
			continue
		}
		rules, denials := policy.Spec.Ingress, policy.Spec.IngressDeny
		if !d.ingress {
			rules, denials = nil, nil
			for _, r := range policy.Spec.Egress {
				rules = append(rules, ciliumIngress(r))
			}
			for _, r := range policy.Spec.EgressDeny {
				denials = append(denials, ciliumIngress(r))
			}
		}
		byDefault := len(rules)+len(denials) > 0
		if e := policy.Spec.EnableDefaultDeny; e != nil {
			if v := e.Ingress; d.ingress && v != nil {
				byDefault = *v
			}
			if v := e.Egress; !d.ingress && v != nil {
				byDefault = *v
			}
		}
		if byDefault && len(rules)+len(denials) == 0 {
			return false, fmt.Errorf("%s: default deny for a direction without rules", policy.Metadata.Name)
		}
		isolated = isolated || byDefault
		for j := range rules {
			is, err := d.ciliumRule(&rules[j], namespace)
			if err != nil {
				return false, err
			}
			allowed = allowed || is
		}
		for j := range denials {
			is, err := d.ciliumRule(&denials[j], namespace)
			if err != nil {
				return false, err
			}
			denied = denied || is
		}
	}
	return !denied && (allowed || !isolated), nil
}

// ciliumLabels are the labels by which Cilium knows an endpoint.
func (e *Endpoint) ciliumLabels() labels.Set {
	switch e.Kind {
	case Pod:
	case Health:
		return labels.Set{"reserved:health": ""}
	case Gateway:
		return labels.Set{"reserved:ingress": ""}
	default:
		return nil
	}
	out := labels.Set{"k8s:io.kubernetes.pod.namespace": e.Namespace}
	for k, v := range e.Labels {
		out["k8s:"+k] = v
	}
	for k, v := range e.namespaceLabels() {
		out["k8s:io.cilium.k8s.namespace.labels."+k] = v
	}
	return out
}

// ciliumSelected says whether an endpoint is selected; a policy in a namespace speaks of that one, unless it names one itself.
func (e *Endpoint) ciliumSelected(s *metav1.LabelSelector, namespace string) (bool, error) {
	set := e.ciliumLabels()
	if set == nil {
		return false, nil
	}
	if namespace != "" {
		if slices.ContainsFunc(s.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool {
			return strings.Contains(r.Key, "namespace")
		}) {
			return false, errors.New("not expected in a policy of a namespace")
		}
		if e.Kind != Pod || e.Namespace != namespace {
			return false, nil
		}
	}
	// Keys with a source are no label keys of Kubernetes, so that its parser is not for them.
	for _, r := range s.MatchExpressions {
		value, has := set[r.Key]
		var holds bool
		switch r.Operator {
		case metav1.LabelSelectorOpIn:
			holds = has && slices.Contains(r.Values, value)
		case metav1.LabelSelectorOpNotIn:
			holds = !has || !slices.Contains(r.Values, value)
		case metav1.LabelSelectorOpExists:
			holds = has
		case metav1.LabelSelectorOpDoesNotExist:
			holds = !has
		}
		if !holds {
			return false, nil
		}
	}
	for k, v := range s.MatchLabels {
		if value, has := set[k]; !has || value != v {
			return false, nil
		}
	}
	return true, nil
}

// ciliumRule says whether a rule is about the connection. One without peers and ports is about nothing.
func (d *direction) ciliumRule(r *ciliumIngress, namespace string) (bool, error) {
	kinds := 0
	for _, n := range []int{len(r.Endpoints), len(r.Entities), len(r.CIDRs)} {
		if n > 0 {
			kinds++
		}
	}
	if kinds > 1 {
		return false, errors.New("a rule with peers of several kinds")
	}
	if kinds == 0 {
		if len(r.Ports) > 0 {
			return d.ciliumPorts(r.Ports)
		}
		return false, nil
	}
	matches := false
	for i := range r.Endpoints {
		is, err := d.peer.ciliumSelected(&r.Endpoints[i], namespace)
		if err != nil {
			return false, err
		}
		matches = matches || is
	}
	for _, entity := range r.Entities {
		is, err := d.peer.isEntity(entity)
		if err != nil {
			return false, err
		}
		matches = matches || is
	}
	for _, c := range r.CIDRs {
		// Pods and nodes have identities of their own, and match no CIDR.
		in, err := contains([]string{c.CIDR}, d.peerAddress)
		if err != nil {
			return false, err
		}
		out, err := contains(c.Except, d.peerAddress)
		if err != nil {
			return false, err
		}
		matches = matches || in && !out && d.peer.Kind == Outside
	}
	if !matches || len(r.Ports) == 0 {
		return matches, nil
	}
	return d.ciliumPorts(r.Ports)
}

func (e *Endpoint) isEntity(entity string) (bool, error) {
	switch entity {
	case "all":
		return true, nil
	case "host":
		return e.Kind == Node && e.Local, nil
	case "remote-node":
		return e.Kind == Node && !e.Local, nil
	case "kube-apiserver":
		return e.Kind == APIServer, nil
	case "world":
		return e.Kind == Outside, nil
	case "ingress":
		return e.Kind == Gateway, nil
	default:
		return false, fmt.Errorf("there is no entity %q", entity)
	}
}

func (d *direction) ciliumPorts(list []ciliumPorts) (bool, error) {
	for _, l := range list {
		if len(l.Ports) > 40 {
			return false, errors.New("more than 40 ports")
		}
		for _, p := range l.Ports {
			first, err := strconv.Atoi(p.Port)
			if err != nil {
				return false, err
			}
			if p.Protocol == d.Protocol && d.Port >= first && d.Port <= max(first, p.EndPort) {
				return true, nil
			}
		}
	}
	return false, nil
}
