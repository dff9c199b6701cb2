package policy

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// networkPolicyName is the name of the NetworkPolicy for all pods of a namespace.
const networkPolicyName = prefix + "baseline"

// compileNetworkPolicy writes one NetworkPolicy for all pods of a namespace, and one more for each kind of pods with rules of their own.
//
// A NetworkPolicy that allows something isolates the pods that it selects, so that there is none which only opens. Whatever is to be
// open is therefore in the same object as the isolation: it takes effect at once and as a whole, and when what denies is to go,
// nothing stays. The object for some of the pods has the rules for all of them as well and comes first, so that a pod is never isolated
// without what is open for it.
func compileNetworkPolicy(rules []Rule, out *Compiled) {
	var denied []netip.Prefix
	cut := map[Direction]bool{}
	var kinds []metav1.LabelSelector
	for i := range rules {
		r := &rules[i]
		switch {
		case r.Deny && r.Default:
			cut[r.Direction] = true
		case r.Deny:
			for j := range r.Peers {
				denied = append(denied, r.Peers[j].networks()...)
			}
		case !isEmpty(&r.Pods) && !slices.ContainsFunc(kinds, func(s metav1.LabelSelector) bool { return sameSelector(&s, &r.Pods) }):
			kinds = append(kinds, r.Pods)
		}
	}
	if len(denied) > 0 && !cut[Egress] {
		// Everything but what is denied.
		rules = append(slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool { return r.Direction == Egress && !r.Deny }),
			Rule{Name: "everything", Direction: Egress})
		cut[Egress] = true
	}
	if len(cut) == 0 {
		return
	}
	for i, pods := range append(kinds, metav1.LabelSelector{}) {
		name := networkPolicyName
		if !isEmpty(&pods) {
			name = numbered(networkPolicyName+"-pods", i)
		}
		spec := map[string]any{"podSelector": selectorObject(&pods)}
		var types []any
		for _, direction := range []Direction{Ingress, Egress} {
			if !cut[direction] {
				continue
			}
			types = append(types, string(direction))
			entries := []any{}
			for j := range rules {
				r := &rules[j]
				if r.Deny || r.Direction != direction || !isEmpty(&r.Pods) && !sameSelector(&r.Pods, &pods) {
					continue
				}
				entries = append(entries, networkPolicyRule(r, denied)...)
			}
			if len(entries) > 0 {
				spec[map[Direction]string{Ingress: "ingress", Egress: "egress"}[direction]] = entries
			}
		}
		spec["policyTypes"] = types
		out.Namespaced = append(out.Namespaced, object("networking.k8s.io/v1", "NetworkPolicy", name, EffectDeny, spec))
	}
}

func sameSelector(a, b *metav1.LabelSelector) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}

// networkPolicyRule is the rule that says one of ours, without addresses that are denied; none if nothing is left.
func networkPolicyRule(r *Rule, denied []netip.Prefix) []any {
	if r.Direction == Ingress {
		denied = nil
	}
	peers := r.Peers
	if len(peers) == 0 && len(denied) > 0 {
		peers = []Peer{{Namespaces: &metav1.LabelSelector{}}}
		for _, all := range everywhere {
			peers = append(peers, Peer{CIDR: netip.MustParsePrefix(all)})
		}
	}
	var list []any
	for i := range peers {
		list = append(list, networkPolicyPeer(&peers[i], denied)...)
	}
	if len(list) == 0 && len(peers) > 0 {
		return nil // an empty list would be everybody
	}
	out, side := map[string]any{}, "from"
	if r.Direction == Egress {
		side = "to"
	}
	if len(list) > 0 {
		out[side] = list
	}
	if len(r.Ports) > 0 {
		var ports []any
		for i := range r.Ports {
			p := &r.Ports[i]
			port := map[string]any{"protocol": string(p.protocol()), "port": int64(p.Port)}
			if p.isRange() {
				port["endPort"] = int64(p.EndPort)
			}
			ports = append(ports, port)
		}
		out["ports"] = ports
	}
	return []any{out}
}

// networkPolicyPeer is a peer as the API has it.
func networkPolicyPeer(p *Peer, denied []netip.Prefix) []any {
	switch {
	case p.SameNamespace:
		return []any{map[string]any{"podSelector": selectorObject(p.Pods)}}
	case p.Namespaces != nil:
		peer := map[string]any{"namespaceSelector": selectorObject(p.Namespaces)}
		if !isEmpty(p.Pods) {
			peer["podSelector"] = selectorObject(p.Pods)
		}
		return []any{peer}
	}
	networks := p.Addresses
	var except []netip.Prefix
	if p.CIDR.IsValid() {
		networks, except = []netip.Prefix{p.CIDR.Masked()}, p.Except
	}
	var out []any
	for _, n := range networks {
		block := map[string]any{"cidr": n.String()}
		var inside []netip.Prefix
		whole := false
		for _, d := range slices.Concat(except, denied) {
			whole = whole || d.Bits() <= n.Bits() && d.Contains(n.Addr())
			if d.Bits() > n.Bits() && n.Contains(d.Addr()) {
				inside = append(inside, d)
			}
		}
		if whole {
			continue
		}
		if len(inside) > 0 {
			block["except"] = texts(inside)
		}
		out = append(out, map[string]any{"ipBlock": block})
	}
	return out
}
