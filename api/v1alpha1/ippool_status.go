package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PoolUnit is what a pool gives out.
// +kubebuilder:validation:Enum=Addresses;NodeRanges
type PoolUnit string

// The units of pools.
const (
	// PoolAddresses are given to pods one by one, as Calico and the pod subnets of AKS do.
	PoolAddresses PoolUnit = "Addresses"
	// PoolNodeRanges are given to nodes, whose pods share them: with Flannel and Cilium, on GKE, and with the Overlay of AKS.
	PoolNodeRanges PoolUnit = "NodeRanges"
)

// PoolState says how much room a pool has, together with those that take its place when it is full.
// +kubebuilder:validation:Enum=Sufficient;NearlyExhausted;Critical;Exhausted
type PoolState string

// The states of pools, from good to bad.
const (
	PoolSufficient PoolState = "Sufficient"
	// PoolNearlyExhausted pools have given out 80 %. They are Sufficient again below 75 %.
	PoolNearlyExhausted PoolState = "NearlyExhausted"
	// PoolCritical pools have given out 95 %. They are NearlyExhausted again below 92 %.
	PoolCritical PoolState = "Critical"
	// PoolExhausted pools have nothing left.
	PoolExhausted PoolState = "Exhausted"
)

// IPPoolStatus says how much of one family of an address pool is given out, as the network plugin's own objects have it.
type IPPoolStatus struct {
	// name of the pool in spec.ipPools; "default" when the ranges come from the nodes; of the subnet on AKS. A pool that is no longer
	// in the spec, and that the network plugin still has, keeps its name or is called by its range.
	// +required
	Name string `json:"name,omitempty"`

	// family of the addresses.
	// +required
	Family IPFamily `json:"family,omitempty"`

	// cidrs are the pool's ranges of this family; absent when it is not known what they are part of.
	// +optional
	// +listType=atomic
	CIDRs []string `json:"cidrs,omitempty"`

	// unit of capacity and allocated.
	// +required
	Unit PoolUnit `json:"unit,omitempty"`

	// capacity is how many there are; absent when it is not known. The largest number told is 2^53-1.
	// +optional
	Capacity *int64 `json:"capacity,omitempty"`

	// allocated is how many of them are given out.
	// +optional
	Allocated int64 `json:"allocated"`

	// percent of the capacity that is given out, rounded down.
	// +optional
	Percent *int32 `json:"percent,omitempty"`

	// nodesLeft is how many more nodes the pool has ranges for; absent when a node may take several, or none.
	// +optional
	NodesLeft *int64 `json:"nodesLeft,omitempty"`

	// disabled pools give nothing more out. They have no state.
	// +optional
	Disabled bool `json:"disabled,omitempty"`

	// state of the pool and those that take its place when it is full; absent when the capacity is not known.
	// +optional
	State PoolState `json:"state,omitempty"`

	// fullAt is when the pool and those that take its place are full if it goes on like this; absent unless it has been rising
	// for two hours at least, and within 30 days.
	// +optional
	FullAt *metav1.Time `json:"fullAt,omitempty"`

	// history is what fullAt is worked out from: at most 12 points of the last 14 days, at least ten minutes apart.
	// +optional
	// +listType=atomic
	History []PoolSample `json:"history,omitempty"`
}

// PoolSample is how much of a pool was given out from a moment on.
type PoolSample struct {
	// time since when it was so.
	// +required
	Time metav1.Time `json:"time,omitzero"`

	// allocated from then on.
	// +optional
	Allocated int64 `json:"allocated"`
}
