package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// AgentSettings are about the pods that a component runs on the nodes, one on each. What is left out is as the component's
// chart has it.
type AgentSettings struct {
	// resources that the agent's container asks for, in place of the chart's.
	// +optional
	Resources *AgentResources `json:"resources,omitempty"`

	// tolerations of the agents, in place of the chart's. Left out, agents tolerate every taint. A node whose taints they do
	// not tolerate gets no agent.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// nodeSelector selects, by labels, the Linux nodes that get an agent. Left out, all. Pods on the others have no network,
	// or no Services, unless somebody else provides it there.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// maxUnavailable is how many agents a roll-out may stop at the same time: a number, or a share of all of them such as
	// 10%, which is rounded up.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]?%$`
	// +kubebuilder:validation:XValidation:rule="type(self) != int || self >= 1",message="with 0 no agent is ever replaced: use 1 or more"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
}

// AgentResources are what a container asks for.
type AgentResources struct {
	// requests are what is reserved on the node.
	// +optional
	Requests corev1.ResourceList `json:"requests,omitempty"`

	// limits are what the container may not exceed.
	// +optional
	Limits corev1.ResourceList `json:"limits,omitempty"`
}

// MetricsSpec says what Prometheus gets of the network plugin.
//
// +kubebuilder:validation:XValidation:rule="!has(self.serviceMonitors) || self.serviceMonitors != 'Enabled' || !has(self.endpoints) || self.endpoints != 'Disabled'",fieldPath=".serviceMonitors",message="there is nothing to scrape while endpoints is Disabled: enable endpoints, or remove serviceMonitors"
type MetricsSpec struct {
	// endpoints says whether agents and controllers serve metrics. Left out, Enabled.
	// +optional
	Endpoints Toggle `json:"endpoints,omitempty"`

	// serviceMonitors says whether Prometheus' operator is told of the endpoints, by ServiceMonitors or PodMonitors, whichever
	// the plugin's chart has. Left out, Auto.
	// +optional
	ServiceMonitors MonitorMode `json:"serviceMonitors,omitempty"`

	// serviceMonitorLabels are added to them, for a Prometheus that selects them by labels.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	ServiceMonitorLabels map[string]string `json:"serviceMonitorLabels,omitempty"`
}

// MonitorMode says whether ServiceMonitors or PodMonitors are made.
// +kubebuilder:validation:Enum=Auto;Enabled;Disabled
type MonitorMode string

// The monitor modes.
const (
	// MonitorsAuto makes them as soon as, and as long as, the cluster has their definition.
	MonitorsAuto     MonitorMode = "Auto"
	MonitorsEnabled  MonitorMode = "Enabled"
	MonitorsDisabled MonitorMode = "Disabled"
)
