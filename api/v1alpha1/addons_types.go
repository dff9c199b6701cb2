package v1alpha1

// AddonSpec is any chart that belongs to the platform: it is installed, upgraded, watched and put right as every other component. Its
// NetworkComponent is named addon-, and the name.
//
// +kubebuilder:validation:XValidation:rule="has(self.chart)",fieldPath=".chart",message="an add-on is a chart: name its repository in chart.repository"
// +kubebuilder:validation:XValidation:rule="has(self.version)",fieldPath=".version",message="set the version of the chart: an add-on is upgraded when you say so, and never by itself"
// +kubebuilder:validation:XValidation:rule="!has(self.after) || !(self.name in self.after)",fieldPath=".after",message="an add-on cannot come after itself: remove its name"
type AddonSpec struct {
	// name of the add-on, unique in the stack. It is the name of the Helm release as well, of the chart unless chart.name says otherwise,
	// and of the namespace unless namespace does.
	// +required
	// +kubebuilder:validation:MaxLength=47
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// after are what has to be Ready before the add-on is installed or changed: names of other add-ons, or of NetworkComponents of this
	// stack. The network is always waited for. What comes after an add-on is removed before it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	After []string `json:"after,omitempty"`

	ComponentSettings `json:",inline"`
}
