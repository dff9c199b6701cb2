package v1alpha1

// WeaveNetSpec holds settings of Weave Net.
type WeaveNetSpec struct {
	// acknowledgeLegacy says that Weave Net is wanted although it is legacy: its makers are gone, its fork is hardly looked
	// after, and what it lacks will not come. Nothing is installed without it.
	// +optional
	AcknowledgeLegacy bool `json:"acknowledgeLegacy,omitempty"`
}
