package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LoadBalancerType is who gives Services of type LoadBalancer their addresses.
// +kubebuilder:validation:Enum=MetalLB;Cilium;Unmanaged
type LoadBalancerType string

// Who gives Services of type LoadBalancer their addresses.
const (
	// LoadBalancerMetalLB installs MetalLB.
	LoadBalancerMetalLB LoadBalancerType = "MetalLB"
	// LoadBalancerCilium has Cilium do it, which has to be the network plugin.
	LoadBalancerCilium LoadBalancerType = "Cilium"
	// LoadBalancerUnmanaged leaves it to somebody else, a cloud for example.
	LoadBalancerUnmanaged LoadBalancerType = "Unmanaged"
)

// LoadBalancerMode is how the network learns where an address is.
// +kubebuilder:validation:Enum=L2;BGP
type LoadBalancerMode string

// How the network learns where an address is.
const (
	// LoadBalancerL2 has one node answer for an address, by ARP and NDP, within the nodes' own segment.
	LoadBalancerL2 LoadBalancerMode = "L2"
	// LoadBalancerBGP announces addresses to routers.
	LoadBalancerBGP LoadBalancerMode = "BGP"
)

// LoadBalancerSpec gives Services of type LoadBalancer their addresses. version, namespace, chart and values are MetalLB's; suspend and
// driftMode are for the pools as well.
//
// +kubebuilder:validation:XValidation:rule="self.type == 'Unmanaged' || (has(self.pools) && self.pools.size() > 0)",fieldPath=".pools",message="without pools no Service gets an address: state at least one"
// +kubebuilder:validation:XValidation:rule="self.type != 'Unmanaged' || (!has(self.mode) && !has(self.class) && !has(self.pools) && !has(self.l2) && !has(self.bgp))",message="with type Unmanaged nothing is installed: remove the other fields, or choose MetalLB or Cilium"
// +kubebuilder:validation:XValidation:rule="self.type == 'MetalLB' || (!has(self.version) && !has(self.namespace) && !has(self.chart) && !has(self.values) && !has(self.valuesFrom))",message="version, namespace, chart, values and valuesFrom are MetalLB's: remove them, or set type to MetalLB"
// +kubebuilder:validation:XValidation:rule="self.type != 'Cilium' || !has(self.class)",fieldPath=".class",message="Cilium's classes have fixed names: remove it"
// +kubebuilder:validation:XValidation:rule="self.type != 'Cilium' || !has(self.bgp)",fieldPath=".bgp",message="Cilium's sessions are in cni.cilium.bgp: remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.bgp) || (has(self.mode) && self.mode == 'BGP')",fieldPath=".bgp",message="is read only with mode BGP: remove it, or set mode to BGP"
// +kubebuilder:validation:XValidation:rule="!has(self.l2) || !has(self.mode) || self.mode == 'L2'",fieldPath=".l2",message="is read only with mode L2: remove it, or set mode to L2"
// +kubebuilder:validation:XValidation:rule="self.type != 'MetalLB' || !has(self.mode) || self.mode != 'BGP' || has(self.bgp)",fieldPath=".bgp",message="name the nodes' autonomous system and the routers that they speak to"
type LoadBalancerSpec struct {
	// type says who does it.
	// +required
	Type LoadBalancerType `json:"type,omitempty"`

	// mode is how the network learns where an address is. Left out, L2.
	// +optional
	Mode LoadBalancerMode `json:"mode,omitempty"`

	// class has MetalLB look after the Services with this loadBalancerClass, and after no other. Left out, after those that have
	// none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	Class string `json:"class,omitempty"`

	// pools are the addresses that Services get.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Pools []LoadBalancerPool `json:"pools,omitempty"`

	// l2 narrows down where addresses are answered for, with mode L2. Left out, every node may, on all its interfaces.
	// +optional
	L2 *LoadBalancerL2Spec `json:"l2,omitempty"`

	// bgp says to whom MetalLB speaks, with mode BGP.
	// +optional
	BGP *LoadBalancerBGPSpec `json:"bgp,omitempty"`

	ComponentSettings `json:",inline"`
}

// LoadBalancerPool is a set of addresses for Services.
type LoadBalancerPool struct {
	// name of the pool, unique in the list. Services ask for it by name.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// addresses are CIDRs, such as 192.0.2.0/26, or first and last address, such as 192.0.2.10-192.0.2.40. For Services of both
	// families a pool has addresses of both.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=93
	Addresses []string `json:"addresses,omitempty"`

	// serviceSelector selects the Services that may get addresses of this pool, by labels. Left out, all.
	// +optional
	ServiceSelector *metav1.LabelSelector `json:"serviceSelector,omitempty"`

	// autoAssign says, with MetalLB, whether Services get addresses of this pool that do not ask for it. Left out, Enabled.
	// +optional
	AutoAssign Toggle `json:"autoAssign,omitempty"`
}

// LoadBalancerL2Spec narrows down where addresses are answered for.
type LoadBalancerL2Spec struct {
	// interfaces on which addresses are answered for: names with MetalLB, regular expressions with Cilium. Left out, all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	Interfaces []string `json:"interfaces,omitempty"`

	// nodeSelector selects the nodes that answer, by labels. Left out, all.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`
}

// LoadBalancerBGPSpec says to whom MetalLB announces addresses.
type LoadBalancerBGPSpec struct {
	// localASN is the number of the nodes' own autonomous system.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	LocalASN int64 `json:"localASN,omitempty"`

	// peers are the routers that the nodes speak to.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Peers []LoadBalancerBGPPeer `json:"peers,omitempty"`

	// communities that are attached to what is announced, such as 64512:100.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=64
	Communities []string `json:"communities,omitempty"`
}

// LoadBalancerBGPPeer is a router.
//
// +kubebuilder:validation:XValidation:rule="(has(self.keepAliveTimeSeconds) ? self.keepAliveTimeSeconds : 30) <= (has(self.holdTimeSeconds) ? self.holdTimeSeconds : 90)",fieldPath=".keepAliveTimeSeconds",message="must not be more than holdTimeSeconds (left out, they are 30 and 90): a third of that is usual"
type LoadBalancerBGPPeer struct {
	// name of the peer, unique in the list.
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
	// +kubebuilder:validation:Maximum=16384
	Port int32 `json:"port,omitempty"`

	// nodeSelector selects the nodes that speak to it, by labels. Left out, all.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`

	// passwordSecretName names the Secret of type kubernetes.io/basic-auth with the password of the session, in MetalLB's
	// namespace. The operator never reads it. Left out, there is none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PasswordSecretName string `json:"passwordSecretName,omitempty"`

	// ebgpMultihop says whether a router of another autonomous system may be more than one hop away. Left out, Disabled.
	// +optional
	EBGPMultihop Toggle `json:"ebgpMultihop,omitempty"`

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

	// gracefulRestart asks the router to keep the routes while a node's speaker restarts. Left out, Disabled.
	// +optional
	GracefulRestart Toggle `json:"gracefulRestart,omitempty"`
}
