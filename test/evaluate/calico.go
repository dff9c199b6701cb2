package evaluate

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// calicoPolicy is a GlobalNetworkPolicy, or a NetworkPolicy of Calico's, which has a namespace.
type calicoPolicy struct {
	meta
	Spec struct {
		Tier              string       `json:"tier"`
		Order             *float64     `json:"order"`
		Selector          string       `json:"selector"`
		NamespaceSelector string       `json:"namespaceSelector"`
		Types             []string     `json:"types"`
		Ingress           []calicoRule `json:"ingress"`
		Egress            []calicoRule `json:"egress"`
	} `json:"spec"`
}

type calicoTier struct {
	meta
	Spec struct {
		Order         *float64 `json:"order"`
		DefaultAction string   `json:"defaultAction"`
	} `json:"spec"`
}

type calicoRule struct {
	Action      string       `json:"action"`
	Protocol    string       `json:"protocol"`
	Source      calicoEntity `json:"source"`
	Destination calicoEntity `json:"destination"`
}

type calicoEntity struct {
	Nets              []string `json:"nets"`
	NotNets           []string `json:"notNets"`
	Selector          string   `json:"selector"`
	NamespaceSelector string   `json:"namespaceSelector"`
	Ports             []any    `json:"ports"`
}

const (
	calicoDefaultTier  = 1_000_000
	calicoDefaultOrder = 1000 // of NetworkPolicies
)

// calico asks tier after tier, in their order. A tier in which a policy selects the endpoint for the direction decides by its first rule
// that matches, else by its default action, Deny unless it says Pass; after the last one, everything passes.
func (d *direction) calico(p *Policies) (bool, error) {
	if d.subject.Kind != Pod {
		return true, nil
	}
	tiers := append([]calicoTier{}, p.tiers...)
	order := float64(calicoDefaultTier)
	def := calicoTier{}
	def.Metadata.Name, def.Spec.Order = "default", &order
	tiers = append(tiers, def)
	slices.SortFunc(tiers, func(a, b calicoTier) int { return cmp.Compare(*a.Spec.Order, *b.Spec.Order) })
	for i := range p.calico {
		if err := checkCalico(&p.calico[i], tiers); err != nil {
			return false, fmt.Errorf("%s: %w", p.calico[i].Metadata.Name, err)
		}
	}
	for i := range tiers {
		tier := &tiers[i]
		if tier.Metadata.Name == "default" {
			isolated, allowed, err := d.networkPolicies(p.network)
			if err != nil || isolated {
				return allowed, err
			}
			continue
		}
		verdict, err := d.calicoTier(p.calico, tier)
		if err != nil {
			return false, err
		}
		if verdict != "Pass" {
			return verdict == "Allow", nil
		}
	}
	return true, nil
}

// checkCalico holds what Calico's validation asks for.
func checkCalico(p *calicoPolicy, tiers []calicoTier) error {
	if !strings.HasPrefix(p.Metadata.Name, p.Spec.Tier+".") {
		return errors.New("its name does not begin with its tier")
	}
	if !slices.ContainsFunc(tiers, func(t calicoTier) bool { return t.Metadata.Name == p.Spec.Tier }) {
		return errors.New("there is no tier " + p.Spec.Tier)
	}
	if p.Metadata.Namespace != "" && p.Spec.NamespaceSelector != "" {
		return errors.New("a namespaceSelector in a namespace")
	}
	for _, r := range slices.Concat(p.Spec.Ingress, p.Spec.Egress) {
		for _, e := range []calicoEntity{r.Source, r.Destination} {
			four, six := false, false
			for _, n := range slices.Concat(e.Nets, e.NotNets) {
				prefix, err := netip.ParsePrefix(n)
				if err != nil {
					return err
				}
				four, six = four || prefix.Addr().Is4(), six || prefix.Addr().Is6()
			}
			if four && six {
				return errors.New("addresses of both families in a rule")
			}
			if len(e.Ports) > 0 && r.Protocol == "" {
				return errors.New("ports without a protocol")
			}
		}
	}
	return nil
}

func (d *direction) calicoTier(list []calicoPolicy, tier *calicoTier) (string, error) {
	want := "Egress"
	if d.ingress {
		want = "Ingress"
	}
	var mine []calicoPolicy
	for i := range list {
		p := &list[i]
		if p.Spec.Tier != tier.Metadata.Name || !slices.Contains(p.Spec.Types, want) {
			continue
		}
		if p.Metadata.Namespace != "" && p.Metadata.Namespace != d.subject.Namespace {
			continue
		}
		in, err := calicoSelects(p.Spec.NamespaceSelector, d.subject.namespaceLabels("projectcalico.org/name"))
		if err != nil {
			return "", err
		}
		is, err := calicoSelects(p.Spec.Selector, d.subject.Labels)
		if err != nil {
			return "", err
		}
		if in && is {
			mine = append(mine, *p)
		}
	}
	if len(mine) == 0 {
		return "Pass", nil
	}
	at := func(p *calicoPolicy) float64 {
		if p.Spec.Order == nil {
			return calicoDefaultOrder * calicoDefaultOrder
		}
		return *p.Spec.Order
	}
	slices.SortFunc(mine, func(a, b calicoPolicy) int {
		return cmp.Or(cmp.Compare(at(&a), at(&b)), cmp.Compare(a.Metadata.Name, b.Metadata.Name))
	})
	for i := range mine {
		rules := mine[i].Spec.Egress
		if d.ingress {
			rules = mine[i].Spec.Ingress
		}
		for j := range rules {
			is, err := d.calicoRule(&rules[j], mine[i].Metadata.Namespace)
			if err != nil {
				return "", err
			}
			if is {
				return rules[j].Action, nil
			}
		}
	}
	return cmp.Or(tier.Spec.DefaultAction, "Deny"), nil
}

func (d *direction) calicoRule(r *calicoRule, namespace string) (bool, error) {
	if r.Protocol != "" && r.Protocol != d.Protocol {
		return false, nil
	}
	peer := &r.Destination
	if d.ingress {
		peer = &r.Source
	}
	if len(r.Destination.Ports) > 0 {
		hit := false
		for _, p := range r.Destination.Ports {
			text := fmt.Sprint(p)
			if f, is := p.(float64); is {
				text = strconv.Itoa(int(f))
			}
			low, high, isRange := strings.Cut(text, ":")
			first, err := strconv.Atoi(low)
			if err != nil {
				return false, err
			}
			last := first
			if isRange {
				if last, err = strconv.Atoi(high); err != nil {
					return false, err
				}
			}
			hit = hit || d.Port >= first && d.Port <= last
		}
		if !hit {
			return false, nil
		}
	}
	if len(peer.Nets) > 0 {
		if in, err := contains(peer.Nets, d.peerAddress); err != nil || !in {
			return false, err
		}
	}
	if out, err := contains(peer.NotNets, d.peerAddress); err != nil || out {
		return false, err
	}
	if peer.Selector == "" && peer.NamespaceSelector == "" {
		return true, nil
	}
	if d.peer.Kind != Pod {
		return false, nil
	}
	if peer.NamespaceSelector == "" && namespace != "" && d.peer.Namespace != namespace {
		return false, nil // a policy in a namespace speaks of that one
	}
	in, err := calicoSelects(peer.NamespaceSelector, d.peer.namespaceLabels("projectcalico.org/name"))
	if err != nil || !in {
		return false, err
	}
	return calicoSelects(peer.Selector, d.peer.Labels)
}

// calicoSelects reads as much of Calico's language as is a list of terms that all hold.
func calicoSelects(selector string, set labels.Set) (bool, error) {
	for _, term := range strings.Split(selector, "&&") {
		term = strings.TrimSpace(term)
		var holds bool
		key, list, isNotIn := strings.Cut(term, " not in ")
		inKey, inList, isIn := strings.Cut(term, " in ")
		switch {
		case term == "" || term == "all()":
			holds = true
		case strings.HasPrefix(term, "!has(") && strings.HasSuffix(term, ")"):
			holds = !set.Has(term[len("!has(") : len(term)-1])
		case strings.HasPrefix(term, "has(") && strings.HasSuffix(term, ")"):
			holds = set.Has(term[len("has(") : len(term)-1])
		case isNotIn:
			values, err := calicoList(list)
			if err != nil {
				return false, err
			}
			holds = !set.Has(key) || !slices.Contains(values, set.Get(key))
		case isIn:
			values, err := calicoList(inList)
			if err != nil {
				return false, err
			}
			holds = set.Has(inKey) && slices.Contains(values, set.Get(inKey))
		default:
			return false, fmt.Errorf("%q is not understood", term)
		}
		if !holds {
			return false, nil
		}
	}
	return true, nil
}

func calicoList(text string) ([]string, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
		return nil, fmt.Errorf("%q is no set", text)
	}
	var out []string
	for _, v := range strings.Split(text[1:len(text)-1], ",") {
		v = strings.TrimSpace(v)
		if len(v) < 2 || v[0] != '\'' || v[len(v)-1] != '\'' {
			return nil, fmt.Errorf("%q is not quoted", v)
		}
		out = append(out, v[1:len(v)-1])
	}
	return out, nil
}
