package policy

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

const (
	calicoVersion = "projectcalico.org/v3"
	// calicoAdmin is the tier of what wins over everything, before those that Calico makes; calicoBaseline comes after that of
	// NetworkPolicies (1,000,000) and before that of ClusterNetworkPolicies' Baseline (10,000,000).
	calicoAdmin         = "networkstack-admin"
	calicoAdminOrder    = 500
	calicoBaseline      = "networkstack-baseline"
	calicoBaselineOrder = 5_000_000
	// In a tier, what opens comes before what cuts.
	calicoAllowOrder = 100
	calicoDenyOrder  = 1000
)

// compileCalico writes tiers that pass what no rule of theirs decides, and policies in them: a policy that opens something therefore
// isolates nothing. In mode Audit all policies are staged: Calico says what they would do, and does nothing of it. A pod's own namespace
// can only be said by a policy in it.
func compileCalico(set *Set, rules []Rule, out *Compiled) {
	var allows, denials, namespaced, namespacedDenials []*unstructured.Unstructured
	tiers := map[string]int64{}
	for i := range rules {
		r := &rules[i]
		tier, order, effect := calicoBaseline, calicoAllowOrder, EffectAllow
		if r.Deny {
			order, effect = calicoDenyOrder, EffectDeny
			if !r.Default {
				tier = calicoAdmin
			}
		}
		tiers[tier] = calicoBaselineOrder
		if tier == calicoAdmin {
			tiers[tier] = calicoAdminOrder
		}
		global, local := "GlobalNetworkPolicy", "NetworkPolicy"
		if set.Mode == networkstackv1alpha1.PolicyAudit {
			global, local, effect = "Staged"+global, "Staged"+local, EffectStaged
		}
		own, others := splitPeers(r)
		base := func() map[string]any {
			spec := map[string]any{"tier": tier, "order": int64(order), "types": []any{string(r.Direction)}}
			if !isEmpty(&r.Pods) {
				spec["selector"] = calicoSelector(&r.Pods)
			}
			return spec
		}
		if len(own) > 0 {
			spec := base()
			spec[cnpDirection(r)] = calicoRules(r, own)
			o := object(calicoVersion, local, tier+"."+r.Name, effect, spec)
			if r.Deny {
				namespacedDenials = append(namespacedDenials, o)
			} else {
				namespaced = append(namespaced, o)
			}
		}
		if len(others) == 0 && len(own) > 0 {
			continue
		}
		entries := calicoRules(r, others)
		if len(entries) == 0 {
			continue // of addresses that are not known
		}
		spec := base()
		spec["namespaceSelector"] = calicoNamespaces(&set.Namespaces)
		spec[cnpDirection(r)] = entries
		o := object(calicoVersion, global, tier+"."+r.Name, effect, spec)
		if r.Deny {
			denials = append(denials, o)
		} else {
			allows = append(allows, o)
		}
	}
	for _, name := range []string{calicoAdmin, calicoBaseline} {
		if order, used := tiers[name]; used {
			out.Cluster = append(out.Cluster, object(calicoVersion, "Tier", name, EffectAllow,
				map[string]any{"order": order, "defaultAction": "Pass"}))
		}
	}
	out.Cluster = slices.Concat(out.Cluster, allows, denials)
	out.Namespaced = slices.Concat(namespaced, namespacedDenials)
}

// calicoRules are the rules that say one of ours: one for each peer, family and protocol.
func calicoRules(r *Rule, peers []Peer) []any {
	side := "source"
	if r.Direction == Egress {
		side = "destination"
	}
	var matches []map[string]any
	for i := range peers {
		matches = append(matches, calicoPeer(&peers[i])...)
	}
	if len(r.Peers) == 0 {
		matches = []map[string]any{{}}
	}
	action := "Allow"
	if r.Deny {
		action = "Deny"
	}
	var out []any
	for _, match := range matches {
		entry := func() map[string]any {
			e := map[string]any{"action": action}
			if len(match) > 0 {
				e[side] = cloneMap(match)
			}
			return e
		}
		if len(r.Ports) == 0 {
			out = append(out, entry())
		}
		for _, protocol := range protocols(r.Ports) {
			e := entry()
			e["protocol"] = string(protocol)
			destination, _ := e["destination"].(map[string]any)
			if destination == nil {
				destination = map[string]any{}
			}
			destination["ports"] = calicoPorts(r.Ports, protocol)
			e["destination"] = destination
			out = append(out, e)
		}
	}
	return out
}

func cloneMap(m map[string]any) map[string]any {
	out := make(map[string]any, len(m)+1)
	for k, v := range m {
		out[k] = v
	}
	return out
}

// calicoPeer is a peer as the API has it: addresses of one family only are in one rule.
func calicoPeer(p *Peer) []map[string]any {
	switch {
	case p.SameNamespace:
		return []map[string]any{{"selector": calicoSelector(p.Pods)}}
	case p.Namespaces != nil:
		match := map[string]any{"namespaceSelector": calicoNamespaces(p.Namespaces)}
		if !isEmpty(p.Pods) {
			match["selector"] = calicoSelector(p.Pods)
		}
		return []map[string]any{match}
	case p.CIDR.IsValid():
		match := map[string]any{"nets": []any{p.CIDR.Masked().String()}}
		if except := texts(p.Except); len(except) > 0 {
			match["notNets"] = except
		}
		return []map[string]any{match}
	default:
		var out []map[string]any
		for _, nets := range byFamily(p.Addresses) {
			out = append(out, map[string]any{"nets": texts(nets)})
		}
		return out
	}
}

// calicoPorts are the ports of a protocol.
func calicoPorts(ports []Port, protocol networkstackv1alpha1.PolicyProtocol) []any {
	var out []any
	for i := range ports {
		switch p := &ports[i]; {
		case p.protocol() != protocol:
		case p.isRange():
			out = append(out, portText(p, ":"))
		default:
			out = append(out, int64(p.Port))
		}
	}
	return out
}

// calicoNamespaces is a selector of namespaces. It asks for a name, because what is in no namespace, such as a host's own endpoint, has
// no labels and would be selected by every condition that asks for the absence of one.
func calicoNamespaces(s *metav1.LabelSelector) string {
	const named = "has(projectcalico.org/name)"
	if isEmpty(s) {
		return named
	}
	return named + " && " + calicoSelector(s)
}

// calicoSelector is a selector in Calico's language.
func calicoSelector(s *metav1.LabelSelector) string {
	if isEmpty(s) {
		return "all()"
	}
	var terms []string
	for _, e := range merged(s, nil).MatchExpressions {
		quoted := make([]string, len(e.Values))
		for i, v := range e.Values {
			quoted[i] = "'" + v + "'"
		}
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			terms = append(terms, fmt.Sprintf("%s in { %s }", e.Key, strings.Join(quoted, ", ")))
		case metav1.LabelSelectorOpNotIn:
			terms = append(terms, fmt.Sprintf("%s not in { %s }", e.Key, strings.Join(quoted, ", ")))
		case metav1.LabelSelectorOpExists:
			terms = append(terms, "has("+e.Key+")")
		case metav1.LabelSelectorOpDoesNotExist:
			terms = append(terms, "!has("+e.Key+")")
		}
	}
	return strings.Join(terms, " && ")
}
