package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// IngressType names an ingress controller, or a controller of gateways.
// +kubebuilder:validation:Enum=NGINX;NGINXInc;Traefik;HAProxy;HAProxyIngress;IstioGateway;CiliumIngress;EnvoyGateway;GCE
type IngressType string

// The ingress controllers.
const (
	// IngressNGINX is ingress-nginx of the Kubernetes project, which was retired in March 2026.
	IngressNGINX IngressType = "NGINX"
	// IngressNGINXInc is the NGINX Ingress Controller of F5.
	IngressNGINXInc IngressType = "NGINXInc"
	// IngressTraefik is Traefik Proxy.
	IngressTraefik IngressType = "Traefik"
	// IngressHAProxy is HAProxy Technologies' Kubernetes Ingress Controller.
	IngressHAProxy IngressType = "HAProxy"
	// IngressHAProxyIngress is the community's HAProxy Ingress.
	IngressHAProxyIngress IngressType = "HAProxyIngress"
	// IngressIstioGateway is an ingress gateway of Istio.
	IngressIstioGateway IngressType = "IstioGateway"
	// IngressCilium is Cilium's own ingress controller. It is a part of Cilium.
	IngressCilium IngressType = "CiliumIngress"
	// IngressEnvoyGateway is Envoy Gateway.
	IngressEnvoyGateway IngressType = "EnvoyGateway"
	// IngressGCE is what GKE runs. It is looked for, and nothing is installed.
	IngressGCE IngressType = "GCE"
)

// IngressSpec is one ingress controller. What is left out is as its type usually has it. A field that a type has nothing for is
// refused.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.autoscaling)",fieldPath=".replicas",message="an autoscaler sets the number of replicas: remove replicas, or autoscaling"
// +kubebuilder:validation:XValidation:rule="!has(self.kind) || self.kind != 'DaemonSet' || (!has(self.replicas) && !has(self.autoscaling) && !has(self.disruptionBudget))",fieldPath=".kind",message="a DaemonSet has one pod on each node: remove replicas, autoscaling and disruptionBudget, or use Deployment"
// +kubebuilder:validation:XValidation:rule="!has(self.hostPorts) || has(self.kind) && self.kind == 'DaemonSet'",fieldPath=".hostPorts",message="two pods on a node cannot have the same port: set kind to DaemonSet, or remove hostPorts"
type IngressSpec struct {
	// name of the controller. Its component is "ingress-" and this name.
	// +required
	// +kubebuilder:validation:MaxLength=30
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="!self.endsWith('-resources')",message="names that end in -resources are the operator's: choose another"
	Name string `json:"name,omitempty"`

	// type of the controller. Left as it is once it runs: another type is another entry.
	// +required
	Type IngressType `json:"type,omitempty"`

	// class is the IngressClass that the controller serves; with EnvoyGateway the GatewayClass.
	// +optional
	Class *IngressClassSpec `json:"class,omitempty"`

	// kind of workload. Left out, Deployment.
	// +optional
	Kind IngressWorkload `json:"kind,omitempty"`

	// replicas of a Deployment. Left out, 2, or 1 on a single node.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Replicas *int32 `json:"replicas,omitempty"`

	// autoscaling lets the number of replicas follow the use of CPU. The cluster needs a metrics server for it.
	// +optional
	Autoscaling *IngressAutoscaling `json:"autoscaling,omitempty"`

	// disruptionBudget is how many pods a drained node may take away. Left out, that is as the chart has it.
	// +optional
	DisruptionBudget *IngressDisruptionBudget `json:"disruptionBudget,omitempty"`

	// topologySpread spreads the pods over zones or nodes.
	// +optional
	// +listType=map
	// +listMapKey=topologyKey
	// +kubebuilder:validation:MaxItems=4
	TopologySpread []IngressTopologySpread `json:"topologySpread,omitempty"`

	// resources that the controller's container asks for, beside those of the chart.
	// +optional
	Resources *AgentResources `json:"resources,omitempty"`

	// service is by which the controller is reached.
	// +optional
	Service *IngressServiceSpec `json:"service,omitempty"`

	// hostPorts are ports of the nodes on which the controller listens. It needs kind DaemonSet.
	// +optional
	HostPorts *IngressHostPorts `json:"hostPorts,omitempty"`

	// defaultCertificate is for hosts that have none of their own.
	// +optional
	DefaultCertificate *IngressCertificate `json:"defaultCertificate,omitempty"`

	// clientAddresses says how the controller learns who the client is. Left out, from the connection.
	// +optional
	ClientAddresses *IngressClientAddresses `json:"clientAddresses,omitempty"`

	// limits are for all that the controller serves.
	// +optional
	Limits *IngressLimits `json:"limits,omitempty"`

	// logFormat turns on a log of all requests in this format. Left out, it is as the chart has it.
	// +optional
	LogFormat IngressLogFormat `json:"logFormat,omitempty"`

	// metrics is what Prometheus gets of the controller. Left out, that is as the chart has it.
	// +optional
	Metrics *MetricsSpec `json:"metrics,omitempty"`

	// watchedNamespaces are the only ones whose Ingresses, routes and Secrets the controller looks at. Left out, all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	WatchedNamespaces []string `json:"watchedNamespaces,omitempty"`

	ComponentSettings `json:",inline"`
}

// IngressClassSpec is the class that a controller serves.
type IngressClassSpec struct {
	// name of the class. Left out, the controller's usual one: nginx, traefik, haproxy, cilium or envoy-gateway.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// default says that Ingresses that name no class are of this one. One controller of a cluster may say so.
	// +optional
	Default bool `json:"default,omitempty"`
}

// IngressWorkload is the kind of workload that a controller runs as.
// +kubebuilder:validation:Enum=Deployment;DaemonSet
type IngressWorkload string

// The kinds of workload.
const (
	IngressDeployment IngressWorkload = "Deployment"
	IngressDaemonSet  IngressWorkload = "DaemonSet"
)

// IngressAutoscaling lets a number of replicas follow the use of CPU.
//
// +kubebuilder:validation:XValidation:rule="(has(self.minReplicas) ? self.minReplicas : 2) <= self.maxReplicas",fieldPath=".maxReplicas",message="must not be less than minReplicas (left out, 2): raise it"
type IngressAutoscaling struct {
	// minReplicas is the lowest number. Left out, 2.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the highest number.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxReplicas int32 `json:"maxReplicas,omitempty"`

	// targetCPUUtilizationPercentage is the share of the requested CPU that the pods are to use on average. Left out, 80.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	TargetCPUUtilizationPercentage *int32 `json:"targetCPUUtilizationPercentage,omitempty"`
}

// IngressDisruptionBudget is how many pods a drained node may take away.
//
// +kubebuilder:validation:XValidation:rule="has(self.minAvailable) != has(self.maxUnavailable)",message="set one of minAvailable and maxUnavailable"
type IngressDisruptionBudget struct {
	// minAvailable is how many pods have to stay: a number, or a share such as 50%.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^([1-9]|[1-9][0-9])%$`
	// +kubebuilder:validation:XValidation:rule="type(self) != int || self >= 1",message="0 protects nothing: use 1 or more"
	MinAvailable *intstr.IntOrString `json:"minAvailable,omitempty"`

	// maxUnavailable is how many pods may be away: a number, or a share such as 25%.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^([1-9]|[1-9][0-9])%$`
	// +kubebuilder:validation:XValidation:rule="type(self) != int || self >= 1",message="with 0 no node can be drained: use 1 or more"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
}

// IngressTopologySpread spreads pods over the values of a label of nodes.
type IngressTopologySpread struct {
	// topologyKey is the label, such as topology.kubernetes.io/zone.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	TopologyKey string `json:"topologyKey,omitempty"`

	// maxSkew is how many pods more than another a zone or node may have. Left out, 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxSkew int32 `json:"maxSkew,omitempty"`

	// whenUnsatisfiable says what becomes of a pod that cannot be placed so. Left out, ScheduleAnyway.
	// +optional
	// +kubebuilder:validation:Enum=ScheduleAnyway;DoNotSchedule
	WhenUnsatisfiable string `json:"whenUnsatisfiable,omitempty"`
}

// IngressServiceType is a type of Service.
// +kubebuilder:validation:Enum=LoadBalancer;NodePort;ClusterIP
type IngressServiceType string

// The types of Service.
const (
	IngressLoadBalancer IngressServiceType = "LoadBalancer"
	IngressNodePort     IngressServiceType = "NodePort"
	IngressClusterIP    IngressServiceType = "ClusterIP"
)

// TrafficPolicy says which pods get traffic that arrives at a node.
// +kubebuilder:validation:Enum=Cluster;Local
type TrafficPolicy string

// The traffic policies.
const (
	// TrafficCluster are pods on any node. The client's address is lost on the way.
	TrafficCluster TrafficPolicy = "Cluster"
	// TrafficLocal are those on the same node alone, which see the client's address.
	TrafficLocal TrafficPolicy = "Local"
)

// IngressServiceSpec is the Service by which a controller is reached.
type IngressServiceSpec struct {
	// type of the Service. Left out, LoadBalancer, or ClusterIP where there are hostPorts.
	// +optional
	Type IngressServiceType `json:"type,omitempty"`

	// annotations of the Service. Load balancers are set up by them.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]string `json:"annotations,omitempty"`

	// loadBalancerClass names who makes the load balancer. It cannot be changed. Left out, the cluster's usual one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	LoadBalancerClass string `json:"loadBalancerClass,omitempty"`

	// sourceRanges are the only addresses that the load balancer lets in. Left out, all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=43
	SourceRanges []string `json:"sourceRanges,omitempty"`

	// externalTrafficPolicy says which pods get what arrives at a node. Left out, that is as the chart has it.
	// +optional
	ExternalTrafficPolicy TrafficPolicy `json:"externalTrafficPolicy,omitempty"`

	// ipFamilies of the Service, the primary one first. Left out, those of the stack.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:XValidation:rule="self.size() != 2 || self[0] != self[1]",message="the same family twice: list IPv4, IPv6, or both once"
	IPFamilies []IPFamily `json:"ipFamilies,omitempty"`
}

// IngressHostPorts are ports of the nodes.
type IngressHostPorts struct {
	// http is the port for HTTP. Left out, 80.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	HTTP int32 `json:"http,omitempty"`

	// https is the port for HTTPS. Left out, 443.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	HTTPS int32 `json:"https,omitempty"`
}

// IngressCertificate is a Secret with a certificate, or how to get one from cert-manager.
//
// +kubebuilder:validation:XValidation:rule="has(self.secretName) != has(self.issuer)",message="set one of secretName and issuer"
// +kubebuilder:validation:XValidation:rule="has(self.issuer) == has(self.dnsNames)",fieldPath=".dnsNames",message="dnsNames are the names in a certificate of an issuer: they go together"
type IngressCertificate struct {
	// secretName names a Secret of type kubernetes.io/tls in the controller's namespace. The operator never reads it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// issuer of cert-manager that the certificate is asked of. The operator makes the Certificate; cert-manager keeps it in a
	// Secret in the controller's namespace.
	// +optional
	Issuer *IngressIssuer `json:"issuer,omitempty"`

	// dnsNames in a certificate of an issuer, such as "*.example.com".
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	DNSNames []string `json:"dnsNames,omitempty"`
}

// IssuerKind is a kind of cert-manager's issuers.
// +kubebuilder:validation:Enum=ClusterIssuer;Issuer
type IssuerKind string

// The kinds of issuers.
const (
	ClusterIssuer IssuerKind = "ClusterIssuer"
	Issuer        IssuerKind = "Issuer"
)

// IngressIssuer names an issuer of cert-manager.
type IngressIssuer struct {
	// kind of the issuer. An Issuer is one in the controller's namespace. Left out, ClusterIssuer.
	// +optional
	Kind IssuerKind `json:"kind,omitempty"`

	// name of the issuer.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}

// ClientAddressSource says how a controller learns who the client is.
// +kubebuilder:validation:Enum=ProxyProtocol;ForwardedHeaders
type ClientAddressSource string

// How a controller learns who the client is.
const (
	// ClientsByProxyProtocol is the PROXY protocol. Connections without it fail, so the load balancer has to speak it.
	ClientsByProxyProtocol ClientAddressSource = "ProxyProtocol"
	// ClientsByForwardedHeaders are the X-Forwarded headers of a proxy in front.
	ClientsByForwardedHeaders ClientAddressSource = "ForwardedHeaders"
)

// IngressClientAddresses says how a controller learns who the client is.
type IngressClientAddresses struct {
	// source of the addresses.
	// +required
	Source ClientAddressSource `json:"source,omitempty"`

	// trustedCIDRs are where the load balancers and proxies are that are believed. Anybody else could claim to be somebody else.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=43
	TrustedCIDRs []string `json:"trustedCIDRs,omitempty"`
}

// IngressLimits are for all that a controller serves.
type IngressLimits struct {
	// maxBodySize is the largest body of a request, such as 8Mi.
	// +optional
	MaxBodySize *resource.Quantity `json:"maxBodySize,omitempty"`

	// maxConnections is how many connections a pod (with NGINX and NGINXInc: a worker of it) has at a time.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000000
	MaxConnections *int32 `json:"maxConnections,omitempty"`

	// requestsPerSecond is how many requests a client may make in a second.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	RequestsPerSecond *int32 `json:"requestsPerSecond,omitempty"`

	// connectTimeout is how long a backend may take to accept a connection.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="must be between 1s and 24h"
	ConnectTimeout *metav1.Duration `json:"connectTimeout,omitempty"`

	// backendTimeout is how long a backend may stay silent.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="must be between 1s and 24h"
	BackendTimeout *metav1.Duration `json:"backendTimeout,omitempty"`

	// clientTimeout is how long a client may take over its request.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="must be between 1s and 24h"
	ClientTimeout *metav1.Duration `json:"clientTimeout,omitempty"`

	// idleTimeout is how long a client's connection is kept open between requests.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="must be between 1s and 24h"
	IdleTimeout *metav1.Duration `json:"idleTimeout,omitempty"`
}

// IngressLogFormat is the form of a log of requests.
// +kubebuilder:validation:Enum=JSON;Text
type IngressLogFormat string

// The forms of a log of requests.
const (
	// IngressLogJSON is one JSON object for each request.
	IngressLogJSON IngressLogFormat = "JSON"
	// IngressLogText is the controller's own form.
	IngressLogText IngressLogFormat = "Text"
)
