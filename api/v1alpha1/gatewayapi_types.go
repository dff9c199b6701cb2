package v1alpha1

// GatewayAPIChannel is a channel of the Gateway API.
// +kubebuilder:validation:Enum=Standard;Experimental;Unmanaged
type GatewayAPIChannel string

// The channels of the Gateway API.
const (
	// GatewayAPIStandard has what is stable or on its way there.
	GatewayAPIStandard GatewayAPIChannel = "Standard"
	// GatewayAPIExperimental has what may still change or go, as well. There is no way back from it.
	GatewayAPIExperimental GatewayAPIChannel = "Experimental"
	// GatewayAPIUnmanaged leaves the definitions to somebody else, and checks that they are what is needed.
	GatewayAPIUnmanaged GatewayAPIChannel = "Unmanaged"
)

// GatewayAPISpec is who keeps the definitions of the Gateway API, and of which version they are. What implements it is installed
// elsewhere in the spec. Its version is that of the Gateway API, such as v1.5.1, and not that of a chart; with channel Unmanaged, the
// oldest one that will do.
//
// +kubebuilder:validation:XValidation:rule="self.channel != 'Unmanaged' || (!has(self.namespace) && !has(self.chart) && !has(self.values) && !has(self.valuesFrom) && !has(self.driftMode))",message="with channel Unmanaged nothing is installed: remove the other fields but version, or choose Standard"
type GatewayAPISpec struct {
	// channel of the definitions. With Standard and Experimental the operator is the one who has them: they are installed before
	// all that implements them, never deleted and never downgraded.
	// +required
	Channel GatewayAPIChannel `json:"channel,omitempty"`

	ComponentSettings `json:",inline"`
}

// GatewayAPIFacts are what was found of the Gateway API.
type GatewayAPIFacts struct {
	// version of the definitions' bundle; the oldest one when they are of several.
	// +optional
	Version string `json:"version,omitempty"`
	// channel of the definitions: standard or experimental.
	// +optional
	Channel string `json:"channel,omitempty"`
	// owner of the definitions: NetworkStack, or another manager as its marks say; empty when there is no mark.
	// +optional
	Owner string `json:"owner,omitempty"`
	// classes are the GatewayClasses.
	// +optional
	// +listType=map
	// +listMapKey=name
	Classes []GatewayClassStatus `json:"classes,omitempty"`
}

// GatewayClassStatus is a GatewayClass that was found.
type GatewayClassStatus struct {
	// name of the GatewayClass.
	// +required
	Name string `json:"name,omitempty"`
	// controller that implements it.
	// +optional
	Controller string `json:"controller,omitempty"`
	// accepted is what the controller says of it: True, False or Unknown; empty when it says nothing.
	// +optional
	Accepted string `json:"accepted,omitempty"`
	// reason that the controller gives.
	// +optional
	Reason string `json:"reason,omitempty"`
}
