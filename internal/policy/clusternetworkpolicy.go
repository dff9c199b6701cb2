package policy

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

const (
	cnpVersion = "policy.networking.k8s.io/v1alpha2"
	cnpKind    = "ClusterNetworkPolicy"
	// cnpMost is how many rules a direction, peers a rule, and addresses or protocols of one, may have.
	cnpMost = 25

	// Priorities: the lower one comes first. Users' own objects of the Baseline tier, which usually have lower numbers, come before ours.
	cnpAdmin      = 10
	cnpAllow      = 600
	cnpAllowLast  = 989
	cnpDefaults   = 990
	cnpTierAdmin  = "Admin"
	cnpTierBase   = "Baseline"
	cnpActAccept  = "Accept"
	cnpActDeny    = "Deny"
	namespacesKey = "namespaces"
)

// compileClusterNetworkPolicy writes ClusterNetworkPolicies, one or more for each rule. What denies by default, and what opens against
// it, is in the Baseline tier, so that users' NetworkPolicies decide first; what wins over everything is in the Admin tier.
func compileClusterNetworkPolicy(set *Set, rules []Rule, out *Compiled) {
	admin, allow, defaults := cnpAdmin, cnpAllow, cnpDefaults
	var allows, denials []*unstructured.Unstructured
	for i := range rules {
		r := &rules[i]
		for n, part := range chunks(cnpRules(r), cnpMost) {
			spec := map[string]any{"tier": cnpTierBase, "subject": cnpSubject(set, r), cnpDirection(r): part}
			name := numbered(prefix+r.Name, n)
			switch {
			case !r.Deny:
				// All of them accept, so that those beyond the last number may share it.
				spec["priority"] = int64(min(allow, cnpAllowLast))
				allow++
				allows = append(allows, object(cnpVersion, cnpKind, name, EffectAllow, spec))
			case r.Default:
				spec["priority"] = int64(defaults)
				defaults++
				denials = append(denials, object(cnpVersion, cnpKind, name, EffectDeny, spec))
			default:
				spec["tier"], spec["priority"] = cnpTierAdmin, int64(admin)
				admin++
				denials = append(denials, object(cnpVersion, cnpKind, name, EffectDeny, spec))
			}
		}
	}
	out.Cluster = slices.Concat(allows, denials)
}

// Place is where a ClusterNetworkPolicy stands among others.
type Place struct {
	Tier     string
	Priority int64
}

// Places are those that a set takes when it is enforced as ClusterNetworkPolicies.
func Places(set *Set) []Place {
	enforced := *set
	enforced.Mode, enforced.Pulled = networkstackv1alpha1.PolicyEnforce, false
	var out []Place
	for _, o := range Compile(&enforced).Cluster {
		tier, _, _ := unstructured.NestedString(o.Object, "spec", "tier")
		priority, _, _ := unstructured.NestedInt64(o.Object, "spec", "priority")
		if p := (Place{tier, priority}); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

func cnpDirection(r *Rule) string {
	if r.Direction == Ingress {
		return "ingress"
	}
	return "egress"
}

// cnpSubject selects the covered pods that a rule is for.
func cnpSubject(set *Set, r *Rule) map[string]any {
	if isEmpty(&r.Pods) {
		return map[string]any{namespacesKey: selectorObject(&set.Namespaces)}
	}
	return map[string]any{"pods": map[string]any{
		"namespaceSelector": selectorObject(&set.Namespaces), "podSelector": selectorObject(&r.Pods)}}
}

// cnpRules are the rules that say one of ours.
func cnpRules(r *Rule) []any {
	peers := cnpPeers(r)
	if len(peers) == 0 {
		return nil // nothing that a ClusterNetworkPolicy cuts, so that there is nothing to open
	}
	action, side := cnpActAccept, "from"
	if r.Deny {
		action = cnpActDeny
	}
	if r.Direction == Egress {
		side = "to"
	}
	ports := cnpProtocols(r.Ports)
	var out []any
	for _, some := range chunks(peers, cnpMost) {
		if len(ports) == 0 {
			out = append(out, map[string]any{"name": r.Name, "action": action, side: some})
		}
		for _, p := range chunks(ports, cnpMost) {
			out = append(out, map[string]any{"name": r.Name, "action": action, side: some, "protocols": p})
		}
	}
	return out
}

// cnpPeers are the peers of a rule that the API knows. As sources it knows only pods; it cuts no others, so none are to be opened.
func cnpPeers(r *Rule) []any {
	var out []any
	if len(r.Peers) == 0 {
		out = append(out, map[string]any{namespacesKey: map[string]any{}})
		if r.Direction == Egress {
			out = append(out, map[string]any{"networks": []any{everywhere[0], everywhere[1]}})
		}
		return out
	}
	for i := range r.Peers {
		p := &r.Peers[i]
		switch {
		case p.Namespaces != nil && p.Pods == nil:
			out = append(out, map[string]any{namespacesKey: selectorObject(p.Namespaces)})
		case p.Namespaces != nil:
			out = append(out, map[string]any{"pods": map[string]any{
				"namespaceSelector": selectorObject(p.Namespaces), "podSelector": selectorObject(p.Pods)}})
		case r.Direction == Egress:
			for _, some := range chunks(texts(p.networks()), cnpMost) {
				out = append(out, map[string]any{"networks": some})
			}
		}
	}
	return out
}

// cnpProtocols are ports as the API has them.
func cnpProtocols(ports []Port) []any {
	names := map[string]string{"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}
	var out []any
	for i := range ports {
		p := &ports[i]
		port := map[string]any{"number": int64(p.Port)}
		if p.isRange() {
			port = map[string]any{"range": map[string]any{"start": int64(p.Port), "end": int64(p.EndPort)}}
		}
		out = append(out, map[string]any{names[string(p.protocol())]: map[string]any{"destinationPort": port}})
	}
	return out
}
