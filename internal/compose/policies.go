package compose

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/policy"
)

var (
	policiesPath  = specPath.Child("policies")
	baselinesPath = policiesPath.Child("baselines")
)

// derivePolicies settles what the baselines come to. It goes last: what is to be open, and which namespaces are never covered, is told
// by the releases.
func (s *state) derivePolicies(releases []Release) {
	p := s.spec.Policies
	if p == nil {
		return
	}
	s.validatePolicies()
	if !s.withFacts {
		return
	}
	flows := s.flows(releases)
	around, ownDNS, ownIngress := s.surroundings(flows)
	s.validateSurroundings(&around)
	rules := policy.FromBaselines(p.Baselines, &around)
	rules = append(rules, s.opened(rules, flows, &around, ownDNS, ownIngress)...)
	api := s.policyAPI(rules)
	s.validateGaps(api, rules)
	namespaces := s.coveredNamespaces(releases)
	if p.Mode == networkstackv1alpha1.PolicyOff || api == "" {
		return
	}
	s.policies = &policy.Set{
		Stack: s.stackName, Mode: p.Mode, API: api, Namespaces: namespaces, Rules: rules,
		Acknowledged: slices.Clone(p.AcknowledgedFindings),
	}
}

// cuts says whether a baseline cuts by default what goes in a direction.
func (s *state) cuts(direction policy.Direction) bool {
	if direction == policy.Ingress {
		return s.hasBaseline(networkstackv1alpha1.BaselineDefaultDenyIngress)
	}
	return s.hasBaseline(networkstackv1alpha1.BaselineDefaultDenyEgress)
}

func (s *state) hasBaseline(t networkstackv1alpha1.BaselineType) bool {
	return slices.ContainsFunc(s.spec.Policies.Baselines, func(b networkstackv1alpha1.Baseline) bool { return b.Type == t })
}

// opened are the rules that no baseline asks for: what covered pods and the stack's components need of one another. A baseline about DNS or
// ingress takes the place of what would be opened of it.
func (s *state) opened(rules []policy.Rule, flows []flow, around *policy.Surroundings, ownDNS, ownIngress bool) []policy.Rule {
	var out []policy.Rule
	var opened []string
	taken := func(name string) bool {
		same := func(r policy.Rule) bool { return r.Name == name }
		return slices.ContainsFunc(rules, same) || slices.ContainsFunc(out, same)
	}
	add := func(name string, r policy.Rule) {
		if !s.cuts(r.Direction) {
			return
		}
		r.Name = "stack-" + name
		for n := 2; taken(r.Name); n++ {
			r.Name = fmt.Sprintf("stack-%s-%d", name, n)
		}
		out = append(out, r)
	}
	note := func(direction policy.Direction, what, why string) {
		if text := what + " (" + why + ")"; s.cuts(direction) && !slices.Contains(opened, text) {
			opened = append(opened, text)
		}
	}
	if ownDNS && !s.hasBaseline(networkstackv1alpha1.BaselineAllowDNS) {
		for _, w := range around.DNS {
			if len(w.Peers) > 0 {
				add("dns", policy.Rule{Direction: policy.Egress, Peers: w.Peers, Ports: w.Ports, Source: "dns"})
			}
		}
		note(policy.Egress, "dns", "names are resolved")
	}
	if ownIngress && !s.hasBaseline(networkstackv1alpha1.BaselineAllowFromIngress) {
		add("ingress", policy.Rule{Direction: policy.Ingress, Peers: around.Ingress, Source: "ingress"})
		note(policy.Ingress, "ingress", "requests of clients are passed on")
	}
	for i := range flows {
		f := &flows[i]
		name := f.release + "-" + f.Name
		switch f.Role {
		case catalog.FlowMonitoring:
			if len(around.Monitoring) > 0 {
				add(name, policy.Rule{Direction: policy.Ingress, Peers: around.Monitoring, Ports: f.ports, Source: f.release})
				note(policy.Ingress, name, f.Why)
			}
		case "":
			if len(f.peers) == 0 && !f.anywhere {
				continue
			}
			add(name, policy.Rule{
				Direction: f.direction, Pods: metav1.LabelSelector{MatchLabels: f.Subject},
				Peers: f.peers, Ports: f.ports, Source: f.release,
			})
			note(f.direction, name, f.Why)
		default:
			// It is a part of what baselines speak of.
		}
	}
	if len(opened) > 0 {
		s.note(policiesPath.Child("opened"), strings.Join(opened, ", "), "what covered pods and the stack's components need of one another")
	}
	return out
}

// neverCovered are namespaces that no baseline is for, whatever is installed.
var neverCovered = []string{
	metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease,
	// The Operator Lifecycle Manager and what it installs for the whole cluster: they serve an aggregated API and webhooks.
	"olm", "operators", "openshift-operator-lifecycle-manager", "openshift-operators",
}

// madeNamespaces are those that a component's own controller makes.
var madeNamespaces = map[string][]string{
	string(networkstackv1alpha1.CNICalico): {facts.CalicoNamespace, "calico-apiserver"},
	string(networkstackv1alpha1.CNICilium): {"cilium-secrets"},
}

// coveredNamespaces selects the namespaces that the baselines are for.
func (s *state) coveredNamespaces(releases []Release) metav1.LabelSelector {
	n := s.spec.Policies.Namespaces
	if n == nil {
		n = &networkstackv1alpha1.PolicyNamespaces{}
	}
	exempt := slices.Clone(neverCovered)
	if s.operatorNamespace != "" {
		exempt = append(exempt, s.operatorNamespace)
	}
	for i := range releases {
		exempt = append(append(exempt, releases[i].Spec.Namespace), madeNamespaces[releases[i].Spec.Type]...)
	}
	for _, c := range s.existing { // also those that are about to go
		exempt = append(append(exempt, c.Namespace), madeNamespaces[c.Type]...)
	}
	for i := range s.facts.Installed { // also those of others, which the network depends on
		exempt = append(exempt, s.facts.Installed[i].Namespace)
	}
	s.validateExempt(exempt)
	exempt = append(exempt, n.Exempt...)
	slices.Sort(exempt)
	exempt = slices.DeleteFunc(slices.Compact(exempt), func(name string) bool { return name == "" })
	selector := metav1.LabelSelector{}
	if n.Selector != nil {
		selector = *n.Selector.DeepCopy()
	} else {
		selector.MatchLabels = map[string]string{networkstackv1alpha1.BaselineLabel: networkstackv1alpha1.BaselineEnforced}
		s.note(policiesPath.Child("namespaces", "selector"), networkstackv1alpha1.BaselineLabel+": "+networkstackv1alpha1.BaselineEnforced,
			"default: namespaces are covered when they have the label")
	}
	selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{
		Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: exempt})
	if n.OptOut == networkstackv1alpha1.OptOutAllowed {
		selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: networkstackv1alpha1.BaselineLabel, Operator: metav1.LabelSelectorOpNotIn,
			Values: []string{networkstackv1alpha1.BaselineExempt},
		})
	}
	s.note(policiesPath.Child("namespaces", "exempt"), strings.Join(exempt, ", "),
		"the system's, the operator's, those of the stack's components, and those that were named")
	return selector
}

// apiChoice is one way to write policies: why it cannot be had here, or why it is taken.
type apiChoice struct {
	api             networkstackv1alpha1.PolicyAPI
	missing, reason string
}

// policyAPI is what the policies are written as: what the user wants, or the first that the network plugin enforces and that says
// all of it. It is empty where there is none.
func (s *state) policyAPI(rules []policy.Rule) networkstackv1alpha1.PolicyAPI {
	path := policiesPath.Child("api")
	if why := s.unenforced(); why != "" {
		s.refuse(rulePoliciesUnenforced, field.Invalid(policiesPath.Child("mode"), s.spec.Policies.Mode, why))
		return ""
	}
	choices := s.apiChoices()
	if wanted := s.spec.Policies.API; wanted != "" {
		i := slices.IndexFunc(choices, func(c apiChoice) bool { return c.api == wanted })
		if i < 0 {
			return "" // refused as unknown
		}
		if m := choices[i].missing; m != "" {
			rule := rulePoliciesAPI
			if wanted == networkstackv1alpha1.PolicyAPIClusterNetworkPolicy {
				rule = rulePoliciesClusterAPI
			}
			s.refuse(rule, field.Invalid(path, wanted, m))
			return ""
		}
		return wanted
	}
	var passed []string
	for _, c := range choices {
		switch {
		case c.missing != "":
			passed = append(passed, fmt.Sprintf("not %s, because %s", c.api, c.missing))
		case len(policy.Gaps(c.api, rules)) > 0 && c.api != networkstackv1alpha1.PolicyAPINetworkPolicy:
			passed = append(passed, fmt.Sprintf("not %s, which cannot say %s", c.api, policy.Gaps(c.api, rules)[0].What))
		default:
			s.note(path, c.api, "%s", strings.Join(append([]string{c.reason}, passed...), "; "))
			return c.api
		}
	}
	s.refuse(rulePoliciesAPI, field.Required(path, "nothing says all of the baselines here: "+strings.Join(passed, "; ")))
	return ""
}

// unenforced says why nothing enforces policies; empty when something does, or when that is not known.
func (s *state) unenforced() string {
	user := s.userValues[cniPath.String()]
	foundFlannel := !s.installsCNI() && len(s.facts.CNIs()) == 1 && s.facts.Has(facts.InstalledFlannel)
	switch {
	case s.ignoresPolicies() && s.cni == networkstackv1alpha1.CNIFlannel:
		return "Flannel does not enforce policies, so that they would have no effect: set cni.networkPolicy to Enabled, or use another cni.type"
	case s.ignoresPolicies():
		return "the network plugin leaves policies without effect (cni.networkPolicy is Disabled): set it to Enabled"
	case foundFlannel:
		return "Flannel does not enforce policies, so that they would have no effect: use another network plugin"
	case s.cni == networkstackv1alpha1.CNIKubenet:
		return "kubenet does not enforce policies, so that they would have no effect: use another cni.type"
	case s.cni == networkstackv1alpha1.CNICilium:
		if v, _ := lookup(user, "policyEnforcementMode"); v == "never" {
			return "cni.values has policyEnforcementMode never, so that policies would have no effect: remove it"
		}
	}
	return ""
}

// apiChoices are all ways to write policies, the strongest first.
func (s *state) apiChoices() []apiChoice {
	return []apiChoice{
		{networkstackv1alpha1.PolicyAPIClusterNetworkPolicy, s.withoutClusterPolicies(), "the network plugin enforces it for the whole cluster, before and after users' own policies"},
		{networkstackv1alpha1.PolicyAPICilium, s.withoutCilium(), "Cilium's own policies are for the whole cluster"},
		{networkstackv1alpha1.PolicyAPICalico, s.withoutCalico(), "Calico's own policies are for the whole cluster, in a tier after users' own"},
		{networkstackv1alpha1.PolicyAPINetworkPolicy, s.withoutNetworkPolicies(), "every network plugin that enforces policies knows it"},
	}
}

func (s *state) withoutClusterPolicies() string {
	v := parseVersion(s.cniVersion)
	user := s.userValues[cniPath.String()]
	switch s.cni {
	case networkstackv1alpha1.CNICilium:
		on, _ := lookup(user, "k8sClusterNetworkPolicy.enabled")
		switch {
		case v != nil && !atLeast(v, 1, 20):
			return "Cilium enforces it from 1.20 on"
		case on != true:
			return "Cilium enforces it only with k8sClusterNetworkPolicy.enabled in cni.values"
		case !s.facts.ClusterPolicies:
			return "the cluster does not have the kind ClusterNetworkPolicy of policy.networking.k8s.io/v1alpha2, which Cilium does not bring: install its definition"
		}
		return ""
	case networkstackv1alpha1.CNICalico:
		if v != nil && !atLeast(v, 3, 32) {
			return "Calico enforces it from 3.32 on"
		}
		return "" // its charts bring the definition
	default:
		return "the network plugin is not known to enforce it"
	}
}

func (s *state) withoutCilium() string {
	user := s.userValues[cniPath.String()]
	foreign := s.cni == networkstackv1alpha1.CNIExternal && s.facts.Has(facts.InstalledCilium)
	if s.cni != networkstackv1alpha1.CNICilium && !foreign {
		return "the network plugin is not Cilium"
	}
	if v, _ := lookup(user, "enableNonDefaultDenyPolicies"); v == false {
		return "cni.values has enableNonDefaultDenyPolicies false, by which policies that open would cut"
	}
	return ""
}

func (s *state) withoutCalico() string {
	if s.cni != networkstackv1alpha1.CNICalico {
		return "the network plugin is not this stack's Calico"
	}
	return ""
}

func (s *state) withoutNetworkPolicies() string {
	if s.withoutCilium() == "" || s.cni == networkstackv1alpha1.CNICilium {
		return "Cilium takes the addresses in them for those outside the cluster, so that nodes, the API server and Cilium's own proxies could not be opened"
	}
	return ""
}
