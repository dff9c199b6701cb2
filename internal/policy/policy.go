// Package policy is what baseline policies say, and how that is written in the languages of the APIs. It is pure: no I/O, no clock.
package policy

import (
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

const (
	// Label is on every object that is written for baseline policies; its value is the stack's name.
	Label = "networkstack.io/policies"
	// EffectLabel is EffectAllow or EffectDeny on each of them. What denies is written last, and removed first.
	EffectLabel = "networkstack.io/policy-effect"
	EffectAllow = "allow"
	EffectDeny  = "deny"
	// EffectStaged is on what the network plugin only tries, and neither opens nor cuts anything.
	EffectStaged = "staged"
)

// Set is what the baselines of a stack come to.
type Set struct {
	Stack string
	Mode  networkstackv1alpha1.PolicyMode
	API   networkstackv1alpha1.PolicyAPI
	// Namespaces are those that are covered; exempt ones are excluded by it.
	Namespaces metav1.LabelSelector
	// Rules in no particular order: the denying ones that are not Default win over those that allow, and those win over the Default ones.
	Rules []Rule
	// Acknowledged are the names of findings that may be cut.
	Acknowledged []string
	// Pulled says that what denies is not to be written, or is to go at once.
	Pulled bool
	// Held is why what denies is left as it is, for the time being: nothing of it is written, changed or removed, so that nothing is cut
	// that was open before, and nothing opened that was cut. Empty when it is not held.
	Held string
}

// Direction of traffic, seen from the covered pods.
type Direction string

// The directions.
const (
	Ingress Direction = "Ingress"
	Egress  Direction = "Egress"
)

// Rule cuts or opens traffic of covered pods in one direction.
type Rule struct {
	// Name is unique in a set, and a part of the name of an object: lower case, digits and hyphens.
	Name      string
	Direction Direction
	// Deny cuts; otherwise it opens.
	Deny bool
	// Default says of a rule that denies that it does so only to what no other rule opens.
	Default bool
	// Pods are those of the covered ones that it is for; empty for all.
	Pods metav1.LabelSelector
	// Peers at the other end; none for everybody.
	Peers []Peer
	// Ports at the end that is connected to; none for all.
	Ports []Port
	// Source is what asks for it: a baseline, as a path into the spec, or a component's name.
	Source string
}

// Entity is a peer that is not a pod of the cluster's network, and that some APIs have a name for.
type Entity string

// The entities.
const (
	// Nodes are all nodes of the cluster, and the pods in their network namespaces.
	Nodes Entity = "Nodes"
	// APIServer is what answers for the API, at its own addresses.
	APIServer Entity = "APIServer"
	// Gateway is the proxy that a network plugin runs on its nodes for Ingresses and Gateways.
	Gateway Entity = "Gateway"
)

// Peer is one kind of other ends. Exactly one of Namespaces, SameNamespace, CIDR and Entity is set.
type Peer struct {
	// Namespaces of pods, by their labels; an empty selector has all.
	Namespaces *metav1.LabelSelector
	// SameNamespace has the pods of the covered pod's own namespace.
	SameNamespace bool
	// Pods narrows both by their labels; nil for all.
	Pods *metav1.LabelSelector
	// CIDR are addresses, without those of Except.
	CIDR   netip.Prefix
	Except []netip.Prefix
	// Entity is described by Addresses where an API has no name for it.
	Entity    Entity
	Addresses []netip.Prefix
}

// Port is a port, or a range of them, of pods.
type Port struct {
	// Protocol is TCP, UDP or SCTP.
	Protocol networkstackv1alpha1.PolicyProtocol
	Port     int32
	// EndPort is the last of a range; 0 for Port alone.
	EndPort int32
}

// Compiled is a set in the language of an API. Objects carry Label and EffectLabel.
type Compiled struct {
	API networkstackv1alpha1.PolicyAPI
	// Cluster are objects without a namespace, in order: what they refer to comes first.
	Cluster []*unstructured.Unstructured
	// Namespaced are objects that every namespace has which Namespaces selects; their namespace is left out.
	Namespaced []*unstructured.Unstructured
	// Namespaces are those that are covered, whatever the API.
	Namespaces labels.Selector
}
