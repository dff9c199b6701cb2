package evaluate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// networkPolicy is of networking.k8s.io/v1.
type networkPolicy struct {
	meta
	Spec networkingv1.NetworkPolicySpec `json:"spec"`
}

// networkPolicies says whether NetworkPolicies isolate the subject, and if so, whether one of them allows the connection.
func (d *direction) networkPolicies(list []networkPolicy) (isolated, allowed bool, err error) {
	if d.subject.Kind != Pod {
		return false, false, nil
	}
	want := networkingv1.PolicyTypeEgress
	if d.ingress {
		want = networkingv1.PolicyTypeIngress
	}
	for i := range list {
		p := &list[i]
		if p.Metadata.Namespace != d.subject.Namespace || !slices.Contains(p.Spec.PolicyTypes, want) {
			continue
		}
		if mine, err := selects(&p.Spec.PodSelector, d.subject.Labels); err != nil || !mine {
			if err != nil {
				return false, false, err
			}
			continue
		}
		isolated = true
		type rule struct {
			peers []networkingv1.NetworkPolicyPeer
			ports []networkingv1.NetworkPolicyPort
		}
		var rules []rule
		if d.ingress {
			for _, r := range p.Spec.Ingress {
				rules = append(rules, rule{r.From, r.Ports})
			}
		} else {
			for _, r := range p.Spec.Egress {
				rules = append(rules, rule{r.To, r.Ports})
			}
		}
		for _, r := range rules {
			peer := len(r.peers) == 0
			for j := range r.peers {
				is, err := d.networkPolicyPeer(&r.peers[j], p.Metadata.Namespace)
				if err != nil {
					return false, false, err
				}
				peer = peer || is
			}
			port := len(r.ports) == 0
			for j := range r.ports {
				port = port || d.networkPolicyPort(&r.ports[j])
			}
			allowed = allowed || peer && port
		}
	}
	return isolated, allowed, nil
}

func (d *direction) networkPolicyPort(p *networkingv1.NetworkPolicyPort) bool {
	protocol := "TCP"
	if p.Protocol != nil {
		protocol = string(*p.Protocol)
	}
	if protocol != d.Protocol {
		return false
	}
	if p.Port == nil {
		return true
	}
	first := p.Port.IntValue()
	if p.EndPort != nil {
		return d.Port >= first && d.Port <= int(*p.EndPort)
	}
	return d.Port == first
}

func (d *direction) networkPolicyPeer(p *networkingv1.NetworkPolicyPeer, namespace string) (bool, error) {
	if p.IPBlock != nil {
		if p.PodSelector != nil || p.NamespaceSelector != nil {
			return false, errors.New("an ipBlock stands alone")
		}
		inside, err := contains([]string{p.IPBlock.CIDR}, d.peerAddress)
		if err != nil || !inside {
			return false, err
		}
		excepted, err := contains(p.IPBlock.Except, d.peerAddress)
		return !excepted, err
	}
	if d.peer.Kind != Pod {
		return false, nil
	}
	if p.NamespaceSelector == nil {
		if p.PodSelector == nil {
			return false, errors.New("an empty peer")
		}
		mine, err := selects(p.PodSelector, d.peer.Labels)
		return mine && d.peer.Namespace == namespace, err
	}
	in, err := selects(p.NamespaceSelector, d.peer.namespaceLabels())
	if err != nil || !in || p.PodSelector == nil {
		return in, err
	}
	return selects(p.PodSelector, d.peer.Labels)
}

// clusterNetworkPolicy is of policy.networking.k8s.io/v1alpha2.
type clusterNetworkPolicy struct {
	meta
	Spec struct {
		Tier     string `json:"tier"`
		Priority *int   `json:"priority"`
		Subject  struct {
			Namespaces *metav1.LabelSelector `json:"namespaces"`
			Pods       *namespacedPod        `json:"pods"`
		} `json:"subject"`
		Ingress []clusterRule `json:"ingress"`
		Egress  []clusterRule `json:"egress"`
	} `json:"spec"`
}

type namespacedPod struct {
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector"`
	PodSelector       *metav1.LabelSelector `json:"podSelector"`
}

type clusterRule struct {
	Name      string                         `json:"name"`
	Action    string                         `json:"action"`
	From      []clusterPeer                  `json:"from"`
	To        []clusterPeer                  `json:"to"`
	Protocols []map[string]clusterPortHolder `json:"protocols"`
}

type clusterPeer struct {
	Namespaces *metav1.LabelSelector `json:"namespaces"`
	Pods       *namespacedPod        `json:"pods"`
	Networks   []string              `json:"networks"`
}

type clusterPortHolder struct {
	DestinationPort *struct {
		Number int `json:"number"`
		Range  *struct {
			Start int `json:"start"`
			End   int `json:"end"`
		} `json:"range"`
	} `json:"destinationPort"`
}

// clusterNetworkPolicies asks the Admin tier, then NetworkPolicies, then the Baseline tier; what none of them decides passes.
func (d *direction) clusterNetworkPolicies(p *Policies) (bool, error) {
	if err := checkClusterNetworkPolicies(p.cluster); err != nil {
		return false, err
	}
	verdict, err := d.tier(p.cluster, "Admin")
	if err != nil || verdict != "" {
		return verdict == "Accept", err
	}
	isolated, allowed, err := d.networkPolicies(p.network)
	if err != nil || isolated {
		return allowed, err
	}
	verdict, err = d.tier(p.cluster, "Baseline")
	return verdict != "Deny", err
}

// checkClusterNetworkPolicies holds what the definition of the kind and its documentation ask for.
func checkClusterNetworkPolicies(list []clusterNetworkPolicy) error {
	const most = 25
	taken := map[string]string{}
	for i := range list {
		p := &list[i]
		if p.Spec.Priority == nil || *p.Spec.Priority < 0 || *p.Spec.Priority > 1000 {
			return fmt.Errorf("%s: priority", p.Metadata.Name)
		}
		key := fmt.Sprint(p.Spec.Tier, *p.Spec.Priority)
		if other := taken[key]; other != "" {
			return fmt.Errorf("%s has the priority of %s", p.Metadata.Name, other)
		}
		taken[key] = p.Metadata.Name
		if len(p.Spec.Ingress) > most || len(p.Spec.Egress) > most || len(p.Spec.Ingress)+len(p.Spec.Egress) == 0 {
			return fmt.Errorf("%s: %d and %d rules", p.Metadata.Name, len(p.Spec.Ingress), len(p.Spec.Egress))
		}
		for _, r := range slices.Concat(p.Spec.Ingress, p.Spec.Egress) {
			peers := slices.Concat(r.From, r.To)
			if len(peers) == 0 || len(peers) > most || len(r.Protocols) > most {
				return fmt.Errorf("%s: %d peers, %d protocols", p.Metadata.Name, len(peers), len(r.Protocols))
			}
			for _, peer := range peers {
				kinds := 0
				for _, set := range []bool{peer.Namespaces != nil, peer.Pods != nil, len(peer.Networks) > 0} {
					if set {
						kinds++
					}
				}
				if kinds != 1 || len(peer.Networks) > most {
					return fmt.Errorf("%s: a peer of %d kinds, %d networks", p.Metadata.Name, kinds, len(peer.Networks))
				}
			}
			if slices.ContainsFunc(r.From, func(p clusterPeer) bool { return len(p.Networks) > 0 }) {
				return fmt.Errorf("%s: networks are no sources", p.Metadata.Name)
			}
		}
	}
	return nil
}

// tier is what the policies of a tier decide: Accept, Deny, or nothing.
func (d *direction) tier(list []clusterNetworkPolicy, tier string) (string, error) {
	if d.subject.Kind != Pod {
		return "", nil
	}
	var mine []clusterNetworkPolicy
	for i := range list {
		p := &list[i]
		if p.Spec.Tier != tier {
			continue
		}
		var is bool
		var err error
		if p.Spec.Subject.Pods != nil {
			is, err = d.subject.isOf(p.Spec.Subject.Pods)
		} else {
			is, err = selects(p.Spec.Subject.Namespaces, d.subject.namespaceLabels())
		}
		if err != nil {
			return "", err
		}
		if is {
			mine = append(mine, *p)
		}
	}
	slices.SortFunc(mine, func(a, b clusterNetworkPolicy) int { return cmp.Compare(*a.Spec.Priority, *b.Spec.Priority) })
	for _, p := range mine {
		rules := p.Spec.Egress
		if d.ingress {
			rules = p.Spec.Ingress
		}
		for _, r := range rules {
			peers := r.To
			if d.ingress {
				peers = r.From
			}
			matches := false
			for i := range peers {
				is, err := d.clusterPeer(&peers[i])
				if err != nil {
					return "", err
				}
				matches = matches || is
			}
			if !matches || !d.clusterProtocol(r.Protocols) {
				continue
			}
			if r.Action == "Pass" {
				return "", nil
			}
			return r.Action, nil
		}
	}
	return "", nil
}

// isOf says whether a pod is selected by namespace and labels.
func (e *Endpoint) isOf(p *namespacedPod) (bool, error) {
	in, err := selects(p.NamespaceSelector, e.namespaceLabels())
	if err != nil || !in {
		return false, err
	}
	return selects(p.PodSelector, labels.Set(e.Labels))
}

func (d *direction) clusterPeer(p *clusterPeer) (bool, error) {
	if len(p.Networks) > 0 {
		return contains(p.Networks, d.peerAddress)
	}
	if d.peer.Kind != Pod {
		return false, nil
	}
	if p.Pods != nil {
		return d.peer.isOf(p.Pods)
	}
	return selects(p.Namespaces, d.peer.namespaceLabels())
}

func (d *direction) clusterProtocol(list []map[string]clusterPortHolder) bool {
	if len(list) == 0 {
		return true
	}
	names := map[string]string{"tcp": "TCP", "udp": "UDP", "sctp": "SCTP"}
	for _, entry := range list {
		for name, holder := range entry {
			if names[name] != d.Protocol {
				continue
			}
			p := holder.DestinationPort
			if p == nil || p.Number == d.Port || p.Range != nil && d.Port >= p.Range.Start && d.Port <= p.Range.End {
				return true
			}
		}
	}
	return false
}
