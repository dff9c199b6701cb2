package policy

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	ciliumVersion = "cilium.io/v2"
	// ciliumPorts is how many ports a list may have.
	ciliumPorts = 40
	// ciliumNamespace is the label by which Cilium knows the namespace of a pod; what is no pod has none.
	ciliumNamespace       = "k8s:io.kubernetes.pod.namespace"
	ciliumNamespaceLabels = "k8s:io.cilium.k8s.namespace.labels."
	ciliumPodLabels       = "k8s:"
)

// compileCilium writes CiliumClusterwideNetworkPolicies, one for each rule. What opens has enableDefaultDeny off, so that it isolates
// nothing; what denies by default has it on for its direction, and no rule. A pod's own namespace can only be said by a
// CiliumNetworkPolicy in it.
func compileCilium(set *Set, rules []Rule, out *Compiled) {
	var allows, denials, namespaced, namespacedDenials []*unstructured.Unstructured
	for i := range rules {
		r := &rules[i]
		effect := EffectAllow
		if r.Deny {
			effect = EffectDeny
		}
		own, others := splitPeers(r)
		if len(own) > 0 {
			spec := ciliumSpec(r, ciliumPods(nil, &r.Pods), own)
			o := object(ciliumVersion, "CiliumNetworkPolicy", prefix+r.Name, effect, spec)
			if r.Deny {
				namespacedDenials = append(namespacedDenials, o)
			} else {
				namespaced = append(namespaced, o)
			}
		}
		if len(others) == 0 && len(own) > 0 {
			continue
		}
		o := object(ciliumVersion, "CiliumClusterwideNetworkPolicy", prefix+r.Name, effect,
			ciliumSpec(r, ciliumPods(&set.Namespaces, &r.Pods), others))
		if r.Deny {
			denials = append(denials, o)
		} else {
			allows = append(allows, o)
		}
	}
	out.Cluster = slices.Concat(allows, denials)
	out.Namespaced = slices.Concat(namespaced, namespacedDenials)
}

// splitPeers tells a pod's own namespace from all other peers.
func splitPeers(r *Rule) (own, others []Peer) {
	for _, p := range r.Peers {
		if p.SameNamespace {
			own = append(own, p)
		} else {
			others = append(others, p)
		}
	}
	return own, others
}

// ciliumSpec is the spec of a policy with a rule for these peers; none stand for everybody.
func ciliumSpec(r *Rule, subject map[string]any, peers []Peer) map[string]any {
	off := map[string]any{"ingress": false, "egress": false}
	spec := map[string]any{"endpointSelector": subject, "enableDefaultDeny": off}
	section, side := "ingress", "from"
	if r.Direction == Egress {
		section, side = "egress", "to"
	}
	if r.Deny && r.Default {
		off[section] = true
		spec[section] = []any{map[string]any{}} // which allows nothing
		return spec
	}
	if r.Deny {
		section += "Deny"
	}
	var entries []any
	for _, peer := range ciliumPeers(side, peers) {
		if len(r.Ports) == 0 {
			entries = append(entries, peer)
		}
		for _, ports := range chunks(ciliumPortList(r.Ports), ciliumPorts) {
			entry := maps.Clone(peer)
			entry["toPorts"] = []any{map[string]any{"ports": ports}}
			entries = append(entries, entry)
		}
	}
	spec[section] = entries
	return spec
}

// ciliumPeers are peers, each kind in a rule of its own: Cilium takes no two of them in one.
func ciliumPeers(side string, peers []Peer) []map[string]any {
	if len(peers) == 0 {
		return []map[string]any{{side + "Entities": []any{"all"}}}
	}
	var endpoints, entities, cidrs []any
	add := func(names ...string) {
		for _, n := range names {
			if !slices.Contains(entities, any(n)) {
				entities = append(entities, n)
			}
		}
	}
	for i := range peers {
		p := &peers[i]
		switch {
		case p.SameNamespace:
			endpoints = append(endpoints, ciliumPods(nil, p.Pods))
		case p.Namespaces != nil:
			endpoints = append(endpoints, ciliumPods(p.Namespaces, p.Pods))
		case p.Entity == Nodes:
			add("host", "remote-node")
		case p.Entity == APIServer:
			add("kube-apiserver")
		case p.Entity == Gateway:
			add("ingress")
		case p.CIDR.IsValid():
			set := map[string]any{"cidr": p.CIDR.Masked().String()}
			if except := texts(p.Except); len(except) > 0 {
				set["except"] = except
			}
			cidrs = append(cidrs, set)
		}
	}
	var out []map[string]any
	for kind, list := range map[string][]any{"Endpoints": endpoints, "Entities": entities, "CIDRSet": cidrs} {
		if len(list) > 0 {
			out = append(out, map[string]any{side + kind: list})
		}
	}
	slices.SortFunc(out, func(a, b map[string]any) int {
		return slices.Compare(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b)))
	})
	return out
}

// ciliumPods selects pods by the labels of their namespaces and their own. Without namespaces it is for a policy in a namespace, to
// which Cilium adds that one itself. Else it asks for a namespace: the endpoints of Cilium's own health checks and of its proxy have
// none, and are no business of ours.
func ciliumPods(namespaces, pods *metav1.LabelSelector) map[string]any {
	var expressions []any
	add := func(key string, operator metav1.LabelSelectorOperator, values []string) {
		e := map[string]any{"key": key, "operator": string(operator)}
		if len(values) > 0 {
			list := make([]any, len(values))
			for i, v := range values {
				list[i] = v
			}
			e["values"] = list
		}
		expressions = append(expressions, e)
	}
	if namespaces != nil {
		add(ciliumNamespace, metav1.LabelSelectorOpExists, nil)
		for _, e := range merged(namespaces, nil).MatchExpressions {
			key := ciliumNamespaceLabels + e.Key
			if e.Key == corev1.LabelMetadataName {
				key = ciliumNamespace
			}
			add(key, e.Operator, e.Values)
		}
	}
	for _, e := range merged(pods, nil).MatchExpressions {
		add(ciliumPodLabels+e.Key, e.Operator, e.Values)
	}
	if len(expressions) == 0 {
		return map[string]any{}
	}
	return map[string]any{"matchExpressions": expressions}
}

// ciliumPortList are ports as the API has them.
func ciliumPortList(ports []Port) []any {
	var out []any
	for i := range ports {
		p := &ports[i]
		port := map[string]any{"port": portText(&Port{Port: p.Port}, ""), "protocol": string(p.protocol())}
		if p.isRange() {
			port["endPort"] = int64(p.EndPort)
		}
		out = append(out, port)
	}
	return out
}
