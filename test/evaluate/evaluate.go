// Package evaluate says whether network policies let a connection pass. It reads objects as their APIs document them, and shares no code
// with what writes them.
package evaluate

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// Kind is what an end of a connection is.
type Kind int

// The kinds.
const (
	// Pod is a pod with an address of its own. Pods in the network namespace of their node are Nodes.
	Pod Kind = iota
	// Node is a node of the cluster.
	Node
	// APIServer is where the API server listens.
	APIServer
	// Outside is everything beyond the cluster.
	Outside
	// Health is the endpoint that Cilium's agents ask whether nodes reach one another, and Gateway Cilium's own proxy for Ingresses and Gateways.
	Health
	Gateway
)

// Endpoint is one end of a connection.
type Endpoint struct {
	Name string
	Kind Kind
	// Namespace, its labels and the pod's.
	Namespace       string
	NamespaceLabels map[string]string
	Labels          map[string]string
	// Addresses, at most one of each family.
	Addresses []netip.Addr
	// Local says of a Node that it is the one that the other end runs on.
	Local bool
}

// namespaceLabels are those of the endpoint's namespace, with the one that every namespace has.
func (e *Endpoint) namespaceLabels(more ...string) labels.Set {
	out := labels.Set{corev1.LabelMetadataName: e.Namespace}
	for k, v := range e.NamespaceLabels {
		out[k] = v
	}
	for _, k := range more {
		out[k] = e.Namespace
	}
	return out
}

// address of a family.
func (e *Endpoint) address(six bool) (netip.Addr, bool) {
	for _, a := range e.Addresses {
		if a.Is6() == six {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// Connection is what is asked about. Port is that of the end that is connected to, after all translation of addresses.
type Connection struct {
	From, To *Endpoint
	Protocol string
	Port     int
	// IPv6 says by which family.
	IPv6 bool
}

// direction is one side's view of a connection.
type direction struct {
	ingress bool
	// subject is the pod whose policies are asked, and peer the other end.
	subject, peer *Endpoint
	Connection
	peerAddress netip.Addr
}

// Allowed says whether a connection passes the policies of both its ends.
func (p *Policies) Allowed(c Connection) (bool, error) {
	pass, err := p.One(c, false)
	if err != nil || !pass {
		return false, err
	}
	return p.One(c, true)
}

// One says whether a connection passes the policies of one of its ends: those of the one that it comes to, or those of the other one. Who
// enforces the policies is told from their kinds: Cilium adds all of them up; others ask tier after tier.
func (p *Policies) One(c Connection, ingress bool) (bool, error) {
	d := direction{ingress: ingress, subject: c.From, peer: c.To, Connection: c}
	if ingress {
		d.subject, d.peer = c.To, c.From
	}
	if ingress && d.peer.Kind == Node && d.peer.Local {
		return true, nil // the node of a pod always reaches it, as do the probes of its kubelet
	}
	var ok bool
	if d.peerAddress, ok = d.peer.address(c.IPv6); !ok {
		return false, fmt.Errorf("%s has no address of the family", d.peer.Name)
	}
	switch {
	case len(p.cilium) > 0:
		return d.cilium(p)
	case len(p.calico) > 0:
		return d.calico(p)
	default:
		return d.clusterNetworkPolicies(p)
	}
}

// Instantiate gives the objects of every namespace beside those of the cluster.
func Instantiate(cluster, namespaced []*unstructured.Unstructured, selector labels.Selector, namespaces []*Endpoint) []*unstructured.Unstructured {
	out := append([]*unstructured.Unstructured{}, cluster...)
	seen := map[string]bool{}
	for _, ns := range namespaces {
		if ns.Kind != Pod || seen[ns.Namespace] || !selector.Matches(ns.namespaceLabels()) {
			continue
		}
		seen[ns.Namespace] = true
		for _, o := range namespaced {
			o = o.DeepCopy()
			o.SetNamespace(ns.Namespace)
			out = append(out, o)
		}
	}
	return out
}

// Policies are objects by who understands them.
type Policies struct {
	network []networkPolicy
	cluster []clusterNetworkPolicy
	cilium  []ciliumPolicy
	calico  []calicoPolicy
	tiers   []calicoTier
}

// Read reads objects. Fields that their APIs do not have are errors, and so are kinds that nobody enforces.
func Read(objects []*unstructured.Unstructured) (*Policies, error) {
	p := &Policies{}
	for _, o := range objects {
		if err := p.add(o); err != nil {
			return nil, fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return p, nil
}

func (p *Policies) add(o *unstructured.Unstructured) error {
	switch o.GetAPIVersion() + " " + o.GetKind() {
	case "networking.k8s.io/v1 NetworkPolicy":
		return decode(o, &p.network)
	case "policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy":
		return decode(o, &p.cluster)
	case "cilium.io/v2 CiliumClusterwideNetworkPolicy", "cilium.io/v2 CiliumNetworkPolicy":
		return decode(o, &p.cilium)
	case "projectcalico.org/v3 GlobalNetworkPolicy", "projectcalico.org/v3 NetworkPolicy":
		return decode(o, &p.calico)
	case "projectcalico.org/v3 Tier":
		return decode(o, &p.tiers)
	case "projectcalico.org/v3 StagedGlobalNetworkPolicy", "projectcalico.org/v3 StagedNetworkPolicy":
		var staged []calicoPolicy // which has no effect, but has to be well formed
		return decode(o, &staged)
	default:
		return fmt.Errorf("nobody reads %s", o.GroupVersionKind())
	}
}

// meta is what is read of metadata.
type meta struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metav1.ObjectMeta `json:"metadata"`
}

// decode reads an object, and refuses fields that its API does not have.
func decode[T any](o *unstructured.Unstructured, into *[]T) error {
	raw, err := json.Marshal(o.Object)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.DisallowUnknownFields()
	var v T
	if err := decoder.Decode(&v); err != nil {
		return err
	}
	*into = append(*into, v)
	return nil
}

// selects says whether a selector has these labels.
func selects(s *metav1.LabelSelector, set labels.Set) (bool, error) {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return false, err
	}
	return selector.Matches(set), nil
}

// contains says whether an address is in one of the networks; IPv4 is never in those of IPv6.
func contains(networks []string, a netip.Addr) (bool, error) {
	for _, n := range networks {
		p, err := netip.ParsePrefix(n)
		if err != nil {
			return false, err
		}
		if p.Contains(a) {
			return true, nil
		}
	}
	return false, nil
}
