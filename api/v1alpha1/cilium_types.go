package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CiliumSpec holds settings of Cilium.
type CiliumSpec struct {
	// ipam says where nodes get their ranges of ipPools from. It cannot be changed while Cilium is installed. Left out,
	// ClusterPool.
	// +optional
	IPAM CiliumIPAM `json:"ipam,omitempty"`

	// bgp has nodes announce addresses to routers by BGP. Left out, they do not.
	// +optional
	BGP *CiliumBGPSpec `json:"bgp,omitempty"`

	// gatewayAPI has Cilium implement the Gateway API, with a GatewayClass cilium. It needs spec.gatewayAPI, and Cilium in
	// kube-proxy's place. Left out, Disabled.
	// +optional
	GatewayAPI Toggle `json:"gatewayAPI,omitempty"`

	// bandwidthManager paces what pods send, and holds them to the limits in their annotations
	// kubernetes.io/egress-bandwidth and kubernetes.io/ingress-bandwidth. Left out, Disabled.
	// +optional
	BandwidthManager CiliumBandwidthManager `json:"bandwidthManager,omitempty"`
}

// CiliumIPAM is how Cilium makes use of address pools.
// +kubebuilder:validation:Enum=ClusterPool;MultiPool
type CiliumIPAM string

// Cilium's ways to make use of address pools.
const (
	// CiliumClusterPool takes all CIDRs as one pool; each node gets one range of it.
	CiliumClusterPool CiliumIPAM = "ClusterPool"
	// CiliumMultiPool makes a CiliumPodIPPool of each entry of ipPools. Nodes get ranges of them as their pods need them. Pods
	// that nothing else is said about are in the pool default.
	CiliumMultiPool CiliumIPAM = "MultiPool"
)

// CiliumBandwidthManager is what Cilium does about bandwidth.
// +kubebuilder:validation:Enum=Disabled;Enabled;BBR
type CiliumBandwidthManager string

// What Cilium does about bandwidth.
const (
	CiliumBandwidthDisabled CiliumBandwidthManager = "Disabled"
	CiliumBandwidthEnabled  CiliumBandwidthManager = "Enabled"
	// CiliumBandwidthBBR has pods use BBR for the congestion control of TCP, too.
	CiliumBandwidthBBR CiliumBandwidthManager = "BBR"
)

// CiliumAdvertised is a kind of addresses that are announced by BGP.
// +kubebuilder:validation:Enum=Pods;LoadBalancerIPs
type CiliumAdvertised string

// The kinds of addresses that are announced by BGP.
const (
	// CiliumAdvertisePods announces the ranges that nodes got of ipPools.
	CiliumAdvertisePods CiliumAdvertised = "Pods"
	// CiliumAdvertiseLoadBalancerIPs announces the addresses of Services of type LoadBalancer.
	CiliumAdvertiseLoadBalancerIPs CiliumAdvertised = "LoadBalancerIPs"
)

// CiliumBGPSpec says what is announced by BGP, and to whom.
//
// +kubebuilder:validation:XValidation:rule="!has(self.serviceSelector) || 'LoadBalancerIPs' in self.advertise",fieldPath=".serviceSelector",message="serviceSelector is read only when LoadBalancerIPs are announced: remove it, or add them to advertise"
// +kubebuilder:validation:XValidation:rule="self.instances.size() == 1 || self.instances.all(i, has(i.nodeSelector))",fieldPath=".instances",message="a node can be in one instance only: give each of several instances a nodeSelector"
type CiliumBGPSpec struct {
	// advertise lists what is announced.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Advertise []CiliumAdvertised `json:"advertise,omitempty"`

	// serviceSelector selects, by labels, the Services whose addresses are announced. Left out, all.
	// +optional
	ServiceSelector *metav1.LabelSelector `json:"serviceSelector,omitempty"`

	// instances are groups of nodes, such as those of one rack, with the routers that they speak to.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Instances []CiliumBGPInstance `json:"instances,omitempty"`
}

// CiliumBGPInstance is a group of nodes with the routers that they speak to.
type CiliumBGPInstance struct {
	// name of the instance, and of its CiliumBGPClusterConfig.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// nodeSelector selects the nodes by labels. Left out, all.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`

	// localASN is the number of the nodes' own autonomous system.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	LocalASN int64 `json:"localASN,omitempty"`

	// peers are the routers that each of the nodes speaks to.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Peers []CiliumBGPPeer `json:"peers,omitempty"`
}

// CiliumBGPPeer is a router.
//
// +kubebuilder:validation:XValidation:rule="(has(self.keepAliveTimeSeconds) ? self.keepAliveTimeSeconds : 30) <= (has(self.holdTimeSeconds) ? self.holdTimeSeconds : 90)",fieldPath=".keepAliveTimeSeconds",message="must not be more than holdTimeSeconds (left out, they are 30 and 90): a third of that is usual"
type CiliumBGPPeer struct {
	// name of the peer, unique in its instance.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// address of the router.
	// +required
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="not an IP address: write the router's, such as 192.0.2.1"
	Address string `json:"address,omitempty"`

	// asn is the number of the router's autonomous system.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	ASN int64 `json:"asn,omitempty"`

	// port of the router. Left out, 179.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// passwordSecretName names the Secret with the password of the session (key "password"), in kube-system unless
	// values.bgpControlPlane.secretsNamespace.name says otherwise. The operator never reads it. Left out, there is none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PasswordSecretName string `json:"passwordSecretName,omitempty"`

	// ebgpMultihop is the number of hops within which the router is, when it is of another autonomous system. Left out, 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=255
	EBGPMultihop int32 `json:"ebgpMultihop,omitempty"`

	// holdTimeSeconds is how long the session outlives silence. Left out, 90.
	// +optional
	// +kubebuilder:validation:Minimum=3
	// +kubebuilder:validation:Maximum=65535
	HoldTimeSeconds int32 `json:"holdTimeSeconds,omitempty"`

	// keepAliveTimeSeconds is the time between signs of life. Left out, 30.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	KeepAliveTimeSeconds int32 `json:"keepAliveTimeSeconds,omitempty"`

	// gracefulRestart asks the router to keep the routes while a node's agent restarts, for up to two minutes. It keeps them
	// as long when the node itself is lost. Left out, Disabled.
	// +optional
	GracefulRestart Toggle `json:"gracefulRestart,omitempty"`
}
