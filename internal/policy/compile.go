package policy

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"go4.org/netipx"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// prefix begins the name of every object, but where a tier does.
const prefix = "networkstack-"

// Compile writes a set in the language of its API. It gives what is to be there and no more: nothing when the mode is Off, only what
// cuts nothing when it is Audit, and nothing that denies when the set is Pulled. The same set gives the same objects in the same
// order, whatever the order of its rules. What the API cannot say (Gaps) is never cut for that reason.
func Compile(set *Set) Compiled {
	if set == nil {
		return Compiled{Namespaces: labels.Nothing()}
	}
	out := Compiled{API: set.API, Namespaces: labels.Nothing()}
	if set.Mode == networkstackv1alpha1.PolicyOff {
		return out
	}
	if selector, err := metav1.LabelSelectorAsSelector(&set.Namespaces); err == nil {
		out.Namespaces = selector
	}
	rules := slices.Clone(set.Rules)
	slices.SortStableFunc(rules, func(a, b Rule) int { return cmp.Compare(a.Name, b.Name) })
	rules = sayable(set.API, rules)
	switch {
	case set.Mode == networkstackv1alpha1.PolicyAudit && set.API != networkstackv1alpha1.PolicyAPICalico:
		// No API but Calico's has policies that are only tried.
	case set.API == networkstackv1alpha1.PolicyAPIClusterNetworkPolicy:
		compileClusterNetworkPolicy(set, rules, &out)
	case set.API == networkstackv1alpha1.PolicyAPICilium:
		compileCilium(set, rules, &out)
	case set.API == networkstackv1alpha1.PolicyAPICalico:
		compileCalico(set, rules, &out)
	case set.API == networkstackv1alpha1.PolicyAPINetworkPolicy:
		compileNetworkPolicy(rules, &out)
	}
	for _, list := range []*[]*unstructured.Unstructured{&out.Cluster, &out.Namespaced} {
		if set.Pulled {
			*list = slices.DeleteFunc(*list, func(o *unstructured.Unstructured) bool { return o.GetLabels()[EffectLabel] == EffectDeny })
		}
		for _, o := range *list {
			marks := o.GetLabels()
			marks[Label] = set.Stack
			o.SetLabels(marks)
		}
	}
	return out
}

// Gap is something that an API has no words for.
type Gap struct {
	// Rule is the name of the one that is concerned, and Source what asks for it.
	Rule, Source string
	// Open says that the gap leaves open what is to be cut; otherwise something that is to be open could not be opened, so that
	// nothing of its direction is cut at all.
	Open bool
	// What cannot be said.
	What string
}

// Gaps are what an API cannot say of the rules, in the order of the rules.
func Gaps(api networkstackv1alpha1.PolicyAPI, rules []Rule) []Gap {
	var out []Gap
	for i := range rules {
		r := &rules[i]
		gap := func(open bool, what string) {
			out = append(out, Gap{Rule: r.Name, Source: r.Source, Open: open, What: what})
		}
		switch api {
		case networkstackv1alpha1.PolicyAPIClusterNetworkPolicy:
			switch {
			case r.Deny && r.Default && r.Direction == Ingress:
				gap(true, "what comes from nodes or from outside the cluster: a ClusterNetworkPolicy knows only pods as sources")
			case r.Deny && !r.Default && r.Direction == Ingress && !onlyPods(r):
				gap(true, "a denial of addresses or nodes as sources")
			case slices.ContainsFunc(r.Peers, func(p Peer) bool { return p.SameNamespace }):
				gap(r.Deny, "a pod's own namespace: a ClusterNetworkPolicy names namespaces by their labels alone")
			}
		case networkstackv1alpha1.PolicyAPINetworkPolicy:
			if r.Deny && !r.Default && !onlyAddresses(r) {
				gap(true, "a denial of anything but addresses: NetworkPolicies only allow")
			} else if r.Deny && !r.Default {
				gap(true, "a denial that wins over users' NetworkPolicies: they add up")
			}
		default:
			// Cilium and Calico say it all.
		}
	}
	return out
}

// onlyPods says whether all peers of a rule are pods.
func onlyPods(r *Rule) bool {
	return len(r.Peers) > 0 && !slices.ContainsFunc(r.Peers, func(p Peer) bool { return p.Namespaces == nil && !p.SameNamespace })
}

// onlyAddresses says whether a rule is about addresses and all their ports.
func onlyAddresses(r *Rule) bool {
	return r.Direction == Egress && len(r.Ports) == 0 && len(r.Peers) > 0 &&
		!slices.ContainsFunc(r.Peers, func(p Peer) bool { return !p.CIDR.IsValid() || len(p.Except) > 0 })
}

// sayable leaves out what an API cannot say, and what would cut too much without it.
func sayable(api networkstackv1alpha1.PolicyAPI, rules []Rule) []Rule {
	unopened := map[Direction]bool{}
	silent := map[string]bool{}
	for _, g := range Gaps(api, rules) {
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.Name == g.Rule })
		switch r := &rules[i]; {
		case !g.Open:
			unopened[r.Direction], silent[g.Rule] = true, true
		case r.Deny && !r.Default && !(api == networkstackv1alpha1.PolicyAPINetworkPolicy && onlyAddresses(r)):
			silent[g.Rule] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool {
		return silent[r.Name] || r.Deny && r.Default && unopened[r.Direction]
	})
}

// object makes one with its marks.
func object(apiVersion, kind, name, effect string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind,
		"metadata": map[string]any{"name": name, "labels": map[string]any{EffectLabel: effect}},
		"spec":     spec,
	}}
}

// selectorObject is a selector as an object has it.
func selectorObject(s *metav1.LabelSelector) map[string]any {
	if s == nil {
		return map[string]any{}
	}
	out, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s)
	if err != nil {
		panic("converting a selector: " + err.Error()) // which consists of strings
	}
	return out
}

// isEmpty says whether a selector has all.
func isEmpty(s *metav1.LabelSelector) bool {
	return s == nil || len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}

// protocols are the protocols of ports, each once, in the order of their first appearance.
func protocols(ports []Port) []networkstackv1alpha1.PolicyProtocol {
	var out []networkstackv1alpha1.PolicyProtocol
	for _, p := range ports {
		if !slices.Contains(out, p.protocol()) {
			out = append(out, p.protocol())
		}
	}
	return out
}

// protocol of a port; TCP unless it says another.
func (p *Port) protocol() networkstackv1alpha1.PolicyProtocol {
	return cmp.Or(p.Protocol, networkstackv1alpha1.PolicyProtocol("TCP"))
}

// isRange says whether there is more than one port.
func (p *Port) isRange() bool { return p.EndPort > p.Port }

// networks are the addresses of a peer that is none of pods: without what is excepted, where an API has no exceptions.
func (p *Peer) networks() []netip.Prefix {
	if p.Entity != "" {
		return p.Addresses
	}
	if !p.CIDR.IsValid() {
		return nil
	}
	if len(p.Except) == 0 {
		return []netip.Prefix{p.CIDR.Masked()}
	}
	var b netipx.IPSetBuilder
	b.AddPrefix(p.CIDR)
	for _, e := range p.Except {
		b.RemovePrefix(e)
	}
	set, err := b.IPSet()
	if err != nil {
		return nil // of addresses that are none
	}
	return set.Prefixes()
}

// everywhere are all addresses.
var everywhere = []string{"0.0.0.0/0", "::/0"}

// texts are prefixes as text, each once.
func texts(prefixes []netip.Prefix) []any {
	out := make([]any, 0, len(prefixes))
	for _, p := range prefixes {
		if text := p.String(); !slices.Contains(out, any(text)) {
			out = append(out, text)
		}
	}
	return out
}

// byFamily splits prefixes into those of IPv4 and of IPv6, without empty lists.
func byFamily(prefixes []netip.Prefix) [][]netip.Prefix {
	var four, six []netip.Prefix
	for _, p := range prefixes {
		if p.Addr().Is4() {
			four = append(four, p)
		} else {
			six = append(six, p)
		}
	}
	return slices.DeleteFunc([][]netip.Prefix{four, six}, func(l []netip.Prefix) bool { return len(l) == 0 })
}

// numbered is a name for the i-th object of a rule.
func numbered(name string, i int) string {
	if i == 0 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, i+1)
}

// chunks are the parts of a list with at most n elements each.
func chunks[T any](list []T, n int) [][]T {
	return slices.Collect(slices.Chunk(list, n))
}

// portText is a port, or a range with a separator.
func portText(p *Port, separator string) string {
	text := strconv.Itoa(int(p.Port))
	if p.isRange() {
		text += separator + strconv.Itoa(int(p.EndPort))
	}
	return text
}

// merged is a selector that asks for what both ask for. Labels of the same key with different values ask for nothing that exists.
func merged(a, b *metav1.LabelSelector) *metav1.LabelSelector {
	out := &metav1.LabelSelector{}
	for _, s := range []*metav1.LabelSelector{a, b} {
		if s == nil {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
			out.MatchExpressions = append(out.MatchExpressions, metav1.LabelSelectorRequirement{
				Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{s.MatchLabels[key]}})
		}
		out.MatchExpressions = append(out.MatchExpressions, s.MatchExpressions...)
	}
	return out
}
