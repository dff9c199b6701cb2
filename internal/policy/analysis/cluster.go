// Package analysis says what baseline policies would cut that the cluster lives on, before anything is cut. It judges what the rules of
// a policy.Set mean, not the objects that they are written as. It is pure: no I/O, no clock.
package analysis

import (
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Cluster is what matters of a cluster to an analysis.
type Cluster struct {
	// Namespaces are the labels of namespaces, by name.
	Namespaces map[string]map[string]string
	Pods       []Pod
	Services   []Service
	Webhooks   []Webhook
	// APIServices are aggregated APIs.
	APIServices []APIService
	// Backends are what Ingresses lead to.
	Backends []Backend
	Monitors []Monitor
	// Policies are those of users, in the languages that the network plugin knows.
	Policies []Policy
	// ClusterPolicies are the ClusterNetworkPolicies of others.
	ClusterPolicies []ClusterPolicy
	// APIServer are the API server's own addresses, and APIServerPort is its own port.
	APIServer     []netip.Addr
	APIServerPort int32
	Known
}

// Known is what the stack knows itself.
type Known struct {
	// Nodes are the addresses of the nodes.
	Nodes []netip.Addr
	// DNSCache are the addresses at which a cache on every node answers DNS queries; none without one.
	DNSCache []netip.Addr
	// IngressNamespaces are those of the stack's ingress controllers.
	IngressNamespaces []string
	// Gateway says that the network plugin has proxies of its own for Ingresses.
	Gateway bool
}

// Mesh is which mesh a pod takes part in.
type Mesh string

// The meshes.
const (
	MeshNone    Mesh = ""
	MeshIstio   Mesh = "Istio"
	MeshAmbient Mesh = "Istio ambient"
	MeshLinkerd Mesh = "Linkerd"
	MeshConsul  Mesh = "Consul"
)

// Pod stands for all pods of a workload that are alike.
type Pod struct {
	Namespace string
	// Owner is the workload, such as "Deployment web"; of a pod without one, the pod.
	Owner       string
	Labels      map[string]string
	HostNetwork bool
	Count       int
	Addresses   []netip.Addr
	Ports       []PodPort
	// Probes are the ports on which the kubelet looks after them.
	Probes []PodPort
	// Mesh that its proxy is of, and that one's revision where it has any.
	Mesh     Mesh
	Revision string
	// CallsAPI says that it has a token of a ServiceAccount that is granted something.
	CallsAPI bool
	// Scraped is the port on which annotations ask for it to be scraped; 0 for not at all.
	Scraped int32
}

// PodPort is a port that a pod declares.
type PodPort struct {
	Name     string
	Protocol networkstackv1alpha1.PolicyProtocol
	Port     int32
}

// Service is a Service.
type Service struct {
	Namespace, Name  string
	Labels, Selector map[string]string
	Ports            []ServicePort
	// Outside says that it is of type LoadBalancer or NodePort, and Local that nodes keep the client's address (externalTrafficPolicy).
	Outside, Local bool
}

// ServicePort is a port of a Service.
type ServicePort struct {
	Name     string
	Protocol networkstackv1alpha1.PolicyProtocol
	Port     int32
	Target   intstr.IntOrString
}

// ServiceRef is a port of a Service, by its number or its name.
type ServiceRef struct {
	Namespace, Name string
	Port            int32
	PortName        string
}

// Webhook is one that the API server calls by a Service: for admission, or to convert custom resources.
type Webhook struct {
	// Configuration is such as "ValidatingWebhookConfiguration cert-manager-webhook", Name that of its object.
	Configuration, Name string
	Service             ServiceRef
	// Fail says that what it is asked about fails when it cannot be reached.
	Fail bool
	// Intercepts are the resources that it is asked about, such as "pods".
	Intercepts []string
	// Converts says that it converts a custom resource between versions.
	Converts bool
}

// APIService is an aggregated API.
type APIService struct {
	Name    string
	Service ServiceRef
}

// Backend is what an Ingress leads to.
type Backend struct {
	// Source is such as "Ingress shop/web".
	Source  string
	Service ServiceRef
}

// Monitor is a ServiceMonitor or a PodMonitor.
type Monitor struct {
	// Kind is ServiceMonitor or PodMonitor.
	Kind, Namespace, Name string
	// Namespaces are those that it looks in; none for its own, unless AllNamespaces.
	Namespaces    []string
	AllNamespaces bool
	Selector      metav1.LabelSelector
	// Ports by name, or by number as text.
	Ports []string
}

// ClusterPolicy is where a ClusterNetworkPolicy stands among others.
type ClusterPolicy struct {
	Name, Tier string
	Priority   int64
}

// Policy is a policy of a user.
type Policy struct {
	// Namespace is empty for one of the whole cluster.
	Namespace       string
	Pods            metav1.LabelSelector
	Ingress, Egress bool
	// Unjudged is what it is, such as "CiliumNetworkPolicy shop/web", where it is not known which pods it isolates: it may open
	// what it speaks of, and may as well do nothing.
	Unjudged string
}
