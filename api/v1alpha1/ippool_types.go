package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IPPool is a named set of pod address ranges.
type IPPool struct {
	// name of the pool, unique in the stack.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// cidrs are the ranges, written canonically (no host bits set).
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=49
	// +kubebuilder:validation:XValidation:rule="self.all(c, isCIDR(c))",message="not a CIDR: write an address and a prefix length, without leading zeros, such as 10.244.0.0/16"
	// +kubebuilder:validation:XValidation:rule="self.all(c, !isCIDR(c) || cidr(c) == cidr(c).masked())",message="a CIDR has host bits set: write the network address, such as 10.244.0.0/16 for 10.244.0.5/16"
	CIDRs []string `json:"cidrs,omitempty"`

	// nodeMaskSizes are the prefix lengths of the range that one node gets; with Cilium's MultiPool, of one of the ranges
	// that it gets as its pods need them. Left out: 24 and 64, with MultiPool 26 and 64, or longer where the CIDR needs it.
	// Calico has blockSizes in their place.
	// +optional
	NodeMaskSizes *NodeMaskSizes `json:"nodeMaskSizes,omitempty"`

	// natOutgoing says whether traffic from pods to destinations outside the pools takes the
	// node's address. Left out, Enabled.
	// +optional
	NATOutgoing Toggle `json:"natOutgoing,omitempty"`

	// blockSizes are the prefix lengths of the blocks that Calico gives nodes as they need them. They cannot be changed
	// later. Left out: 26 and 122.
	// +optional
	BlockSizes *BlockSizes `json:"blockSizes,omitempty"`

	// encapsulation of traffic to the pool's addresses, with Calico. Left out, that of the CNI (cni.encapsulation).
	// +optional
	Encapsulation Encapsulation `json:"encapsulation,omitempty"`

	// nodeSelector selects, by labels, the nodes whose pods get addresses of this pool, with Calico. Left out, all.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`

	// podSelector selects the pods that get addresses of this pool, by labels, with Cilium's MultiPool. No two pools may
	// select the same pod. Whatever is selected, pods and namespaces can name a pool in the annotation
	// ipam.cilium.io/ip-pool.
	// +optional
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`

	// namespaceSelector selects the namespaces whose pods get addresses of this pool, by labels, with Cilium's MultiPool.
	// Beside podSelector, both have to match.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// onRequest keeps the pool, with Calico, for pods that name one of its IPPools in an annotation of their own or of their
	// namespace (cni.projectcalico.org/ipv4pools, ipv6pools). Left out, false: any pod may get an address of it.
	// +optional
	OnRequest bool `json:"onRequest,omitempty"`

	// bgpExport says whether the pool's routes are announced to BGP peers, with Calico and with Cilium's MultiPool. Left
	// out, Enabled.
	// +optional
	BGPExport Toggle `json:"bgpExport,omitempty"`

	// disabled has new pods get no addresses of this pool. Pods keep those they have. A pool is disabled before it is
	// removed. For Calico, and for Cilium's MultiPool: there the pool selects no pods any more, but those that name it in an
	// annotation still get addresses of it.
	// +optional
	Disabled bool `json:"disabled,omitempty"`
}

// BlockSizes are prefix lengths of the blocks that nodes get.
type BlockSizes struct {
	// ipv4 prefix length.
	// +optional
	// +kubebuilder:validation:Minimum=20
	// +kubebuilder:validation:Maximum=32
	IPv4 *int32 `json:"ipv4,omitempty"`

	// ipv6 prefix length.
	// +optional
	// +kubebuilder:validation:Minimum=116
	// +kubebuilder:validation:Maximum=128
	IPv6 *int32 `json:"ipv6,omitempty"`
}

// NodeMaskSizes are prefix lengths of per-node ranges.
type NodeMaskSizes struct {
	// ipv4 prefix length.
	// +optional
	// +kubebuilder:validation:Minimum=8
	// +kubebuilder:validation:Maximum=30
	IPv4 *int32 `json:"ipv4,omitempty"`

	// ipv6 prefix length.
	// +optional
	// +kubebuilder:validation:Minimum=16
	// +kubebuilder:validation:Maximum=126
	IPv6 *int32 `json:"ipv6,omitempty"`
}
