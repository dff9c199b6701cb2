package v1alpha1

// AWSVPCSpec holds settings of the AWS VPC CNI.
type AWSVPCSpec struct {
	// prefixDelegation gives nodes prefixes (/28 of IPv4, /80 of IPv6) in place of single addresses. Left out, Enabled with
	// IPv6, which needs it, and Disabled with IPv4. The kubelet's limit of pods is to be raised with it.
	// +optional
	PrefixDelegation Toggle `json:"prefixDelegation,omitempty"`

	// warmTargets say how many addresses a node keeps ready.
	// +optional
	WarmTargets *AWSWarmTargets `json:"warmTargets,omitempty"`

	// customNetworking gives pods addresses of other subnets, and other security groups, than their nodes have. Nodes that
	// are there have to be replaced for it to take effect.
	// +optional
	CustomNetworking *AWSCustomNetworking `json:"customNetworking,omitempty"`

	// podSecurityGroups turns on security groups of single pods, and says whether these alone count (Strict) or those of the
	// node too (Standard). Left out, off.
	// +optional
	PodSecurityGroups AWSPodSecurityGroups `json:"podSecurityGroups,omitempty"`

	// externalSNAT says that something outside of the cluster, such as a NAT gateway, rewrites the pods' addresses on the
	// way out of the VPC, in place of the node. Left out, Disabled.
	// +optional
	ExternalSNAT Toggle `json:"externalSNAT,omitempty"`
}

// AWSPodSecurityGroups says how security groups of pods are enforced.
// +kubebuilder:validation:Enum=Standard;Strict
type AWSPodSecurityGroups string

// The ways to enforce security groups of pods.
const (
	AWSPodSecurityGroupsStandard AWSPodSecurityGroups = "Standard"
	AWSPodSecurityGroupsStrict   AWSPodSecurityGroups = "Strict"
)

// AWSWarmTargets are what a node keeps ready for pods to come.
type AWSWarmTargets struct {
	// networkInterfaces with all their addresses. Left out, 1. It does not count beside addresses and minimumAddresses.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=32
	NetworkInterfaces *int32 `json:"networkInterfaces,omitempty"`

	// addresses that are free.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1024
	Addresses *int32 `json:"addresses,omitempty"`

	// minimumAddresses in all, free or not.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1024
	MinimumAddresses *int32 `json:"minimumAddresses,omitempty"`

	// prefixes that are free, with prefixDelegation. Left out, 1. It does not count beside addresses and minimumAddresses.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=64
	Prefixes *int32 `json:"prefixes,omitempty"`
}

// AWSCustomNetworking names the subnets of pods.
type AWSCustomNetworking struct {
	// zones are the availability zones that have nodes, each with a subnet of pods.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Zones []AWSZone `json:"zones,omitempty"`
}

// AWSZone is the subnet of pods in one availability zone.
type AWSZone struct {
	// name of the zone, as the nodes' label topology.kubernetes.io/zone has it, such as eu-west-1a.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// subnetID is the subnet's ID, such as subnet-0123456789abcdef0.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^subnet-[0-9a-f]+$`
	SubnetID string `json:"subnetID,omitempty"`

	// securityGroups are the IDs of the security groups of pods. Left out, those of the node.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:Pattern=`^sg-[0-9a-f]+$`
	SecurityGroups []string `json:"securityGroups,omitempty"`
}
