package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// BaselineLabel of a namespace says whether the baseline policies are for it: BaselineEnforced has it covered where
	// spec.policies.namespaces.selector is left out, and BaselineExempt leaves it out where optOut is Allowed.
	BaselineLabel = "networkstack.io/baseline"
	// BaselineEnforced and BaselineExempt are the values of BaselineLabel.
	BaselineEnforced = "enforced"
	BaselineExempt   = "exempt"
	// BreakGlassAnnotation on a NetworkStack has everything deleted at once that denies traffic on behalf of spec.policies; what
	// allows it stays. Its value says why; any value does, an empty one too, for whoever breaks glass is in a hurry. What was deleted
	// comes back when the annotation goes.
	BreakGlassAnnotation = "networkstack.io/break-glass"
)

// PolicyMode says what becomes of the baselines.
// +kubebuilder:validation:Enum=Off;Audit;Enforce
type PolicyMode string

// The modes of policies.
const (
	// PolicyOff writes nothing, and removes what was written.
	PolicyOff PolicyMode = "Off"
	// PolicyAudit opens and cuts nothing: with Calico, policies are staged; elsewhere none is written. status.policies says what would be cut.
	PolicyAudit PolicyMode = "Audit"
	// PolicyEnforce writes what allows traffic, and then what cuts all other.
	PolicyEnforce PolicyMode = "Enforce"
)

// PolicyAPI is the kind of objects that policies are written as.
// +kubebuilder:validation:Enum=ClusterNetworkPolicy;Cilium;Calico;NetworkPolicy
type PolicyAPI string

// The kinds of objects.
const (
	// PolicyAPIClusterNetworkPolicy are ClusterNetworkPolicies of policy.networking.k8s.io/v1alpha2.
	PolicyAPIClusterNetworkPolicy PolicyAPI = "ClusterNetworkPolicy"
	// PolicyAPICilium are CiliumClusterwideNetworkPolicies.
	PolicyAPICilium PolicyAPI = "Cilium"
	// PolicyAPICalico are GlobalNetworkPolicies in a tier of their own.
	PolicyAPICalico PolicyAPI = "Calico"
	// PolicyAPINetworkPolicy are NetworkPolicies in each namespace.
	PolicyAPINetworkPolicy PolicyAPI = "NetworkPolicy"
)

// PoliciesSpec says which traffic of the cluster's workloads is cut, and what stays open, in addition to what the policies of
// users say, which are never touched. Namespaces of the system, of this operator and of the stack's own components are never covered,
// and what covered workloads and the stack's components need of one another is opened by itself.
//
// +kubebuilder:validation:XValidation:rule="self.baselines.exists(b, b.type in ['DefaultDenyIngress', 'DefaultDenyEgress', 'DenyCloudMetadata'])",fieldPath=".baselines",message="nothing is cut, so that there is nothing to open: add DefaultDenyIngress, DefaultDenyEgress or DenyCloudMetadata"
type PoliciesSpec struct {
	// mode says what becomes of the baselines: Audit before Enforce shows what would be cut.
	// +required
	Mode PolicyMode `json:"mode,omitempty"`

	// api is what they are written as. Left out, the first that the network plugin enforces and that says all of the baselines, of
	// ClusterNetworkPolicy, the plugin's own, and NetworkPolicy.
	// +optional
	API PolicyAPI `json:"api,omitempty"`

	// namespaces are those whose pods the baselines are for.
	// +optional
	Namespaces *PolicyNamespaces `json:"namespaces,omitempty"`

	// baselines are what is cut and what stays open.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Baselines []Baseline `json:"baselines,omitempty"`

	// acknowledgedFindings are names of findings of status.policies that may be cut. Enforce cuts nothing while there is a dangerous
	// one that is not among them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	AcknowledgedFindings []string `json:"acknowledgedFindings,omitempty"`
}

// OptOut says whether a namespace may leave itself out.
// +kubebuilder:validation:Enum=Allowed;Forbidden
type OptOut string

// What may be said of leaving oneself out.
const (
	OptOutAllowed   OptOut = "Allowed"
	OptOutForbidden OptOut = "Forbidden"
)

// PolicyNamespaces are those that are covered.
type PolicyNamespaces struct {
	// selector of namespaces by their labels; an empty one has all. Left out, those with the label networkstack.io/baseline: enforced.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`

	// exempt are names of namespaces that are not covered, whatever their labels.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Exempt []string `json:"exempt,omitempty"`

	// optOut says whether whoever may label a namespace may leave it out with networkstack.io/baseline: exempt. Left out, Forbidden.
	// +optional
	OptOut OptOut `json:"optOut,omitempty"`
}

// BaselineType is what a baseline does.
// +kubebuilder:validation:Enum=DefaultDenyIngress;DefaultDenyEgress;AllowDNS;AllowSameNamespace;AllowFromIngress;AllowFromMonitoring;AllowAPIServer;DenyCloudMetadata;AllowFromNamespaces;AllowToNamespaces;AllowToCIDRs;AllowFromAnywhere
type BaselineType string

// The baselines.
const (
	// BaselineDefaultDenyIngress cuts all that comes to a pod and is not opened.
	BaselineDefaultDenyIngress BaselineType = "DefaultDenyIngress"
	// BaselineDefaultDenyEgress cuts all that a pod sends and is not opened.
	BaselineDefaultDenyEgress BaselineType = "DefaultDenyEgress"
	// BaselineAllowDNS opens the way to the cluster's DNS and to its cache on every node.
	BaselineAllowDNS BaselineType = "AllowDNS"
	// BaselineAllowSameNamespace opens what goes on inside a namespace.
	BaselineAllowSameNamespace BaselineType = "AllowSameNamespace"
	// BaselineAllowFromIngress opens pods to the ingress controllers and gateways of the stack.
	BaselineAllowFromIngress BaselineType = "AllowFromIngress"
	// BaselineAllowFromMonitoring opens pods to what monitors them.
	BaselineAllowFromMonitoring BaselineType = "AllowFromMonitoring"
	// BaselineAllowAPIServer opens the way to the API server.
	BaselineAllowAPIServer BaselineType = "AllowAPIServer"
	// BaselineDenyCloudMetadata cuts the way to the metadata services of clouds, whatever else is opened.
	BaselineDenyCloudMetadata BaselineType = "DenyCloudMetadata"
	// BaselineAllowFromNamespaces opens pods to all pods of other namespaces.
	BaselineAllowFromNamespaces BaselineType = "AllowFromNamespaces"
	// BaselineAllowToNamespaces opens the way to all pods of other namespaces.
	BaselineAllowToNamespaces BaselineType = "AllowToNamespaces"
	// BaselineAllowToCIDRs opens the way to addresses.
	BaselineAllowToCIDRs BaselineType = "AllowToCIDRs"
	// BaselineAllowFromAnywhere opens ports of pods to everybody: to the API server, whose address pods see differently with every
	// network plugin, to load balancers and to clients outside.
	BaselineAllowFromAnywhere BaselineType = "AllowFromAnywhere"
)

// Baseline is one thing that is cut or stays open.
//
// +kubebuilder:validation:XValidation:rule="!has(self.cidrs) || self.type == 'AllowToCIDRs'",fieldPath=".cidrs",message="cidrs are for AllowToCIDRs: remove them"
// +kubebuilder:validation:XValidation:rule="self.type != 'AllowToCIDRs' || has(self.cidrs)",fieldPath=".cidrs",message="AllowToCIDRs needs cidrs: say to which addresses"
// +kubebuilder:validation:XValidation:rule="!has(self.namespaces) || self.type in ['AllowFromNamespaces', 'AllowToNamespaces', 'AllowFromMonitoring']",fieldPath=".namespaces",message="namespaces are for AllowFromNamespaces, AllowToNamespaces and AllowFromMonitoring: remove them"
// +kubebuilder:validation:XValidation:rule="!(self.type in ['AllowFromNamespaces', 'AllowToNamespaces']) || has(self.namespaces)",fieldPath=".namespaces",message="say which namespaces: an empty selector has all"
// +kubebuilder:validation:XValidation:rule="!has(self.ports) || self.type in ['AllowFromNamespaces', 'AllowToNamespaces', 'AllowToCIDRs', 'AllowFromMonitoring', 'AllowFromIngress', 'AllowSameNamespace', 'AllowFromAnywhere']",fieldPath=".ports",message="the ports of this baseline are derived: remove them"
// +kubebuilder:validation:XValidation:rule="self.type != 'AllowFromAnywhere' || has(self.ports)",fieldPath=".ports",message="AllowFromAnywhere needs ports: say which ones everybody may reach"
type Baseline struct {
	// name of it, which is a part of the names of the objects.
	// +required
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// type is what it does.
	// +required
	Type BaselineType `json:"type,omitempty"`

	// namespaces that are allowed, by their labels. For AllowFromMonitoring left out, those where the stack's own add-on has Prometheus.
	// +optional
	Namespaces *metav1.LabelSelector `json:"namespaces,omitempty"`

	// cidrs are addresses that are allowed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=25
	// +kubebuilder:validation:items:MaxLength=43
	CIDRs []string `json:"cidrs,omitempty"`

	// ports that are open. Left out, all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Ports []PolicyPort `json:"ports,omitempty"`
}

// PolicyProtocol is a protocol with ports.
// +kubebuilder:validation:Enum=TCP;UDP;SCTP
type PolicyProtocol string

// PolicyPort is a port, or a range of ports, of pods.
//
// +kubebuilder:validation:XValidation:rule="!has(self.endPort) || self.endPort >= self.port",fieldPath=".endPort",message="endPort is below port: swap them"
type PolicyPort struct {
	// protocol. Left out, TCP.
	// +optional
	Protocol PolicyProtocol `json:"protocol,omitempty"`
	// port, or the first of a range.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
	// endPort is the last of a range. Left out, port is the only one.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	EndPort int32 `json:"endPort,omitempty"`
}

// PolicySeverity is how bad it is what a finding speaks of.
// +kubebuilder:validation:Enum=Danger;Notice
type PolicySeverity string

// The severities.
const (
	// SeverityDanger is what can hurt the whole cluster: webhooks, aggregated APIs, DNS, the mesh's control plane.
	SeverityDanger PolicySeverity = "Danger"
	// SeverityNotice is what hurts the workload itself.
	SeverityNotice PolicySeverity = "Notice"
)

// PolicyFinding is one way of traffic that the baselines cut.
type PolicyFinding struct {
	// name of the finding, which stays the same as long as it speaks of the same.
	Name string `json:"name"`
	// severity of it.
	Severity PolicySeverity `json:"severity"`
	// message says what is cut, from where to where, and what would open it.
	Message string `json:"message"`
}

// DenyState is what has become of the objects that cut traffic.
// +kubebuilder:validation:Enum=Absent;Enforced;Pulled;Held
type DenyState string

// What has become of them.
const (
	// DenyAbsent is that there are none, because the mode is not Enforce.
	DenyAbsent DenyState = "Absent"
	// DenyEnforced is that there are.
	DenyEnforced DenyState = "Enforced"
	// DenyPulled is that the break-glass annotation has removed them.
	DenyPulled DenyState = "Pulled"
	// DenyHeld is that they are not written before findings are acknowledged, or before what allows traffic is everywhere.
	DenyHeld DenyState = "Held"
)

// PoliciesStatus is how the baseline policies are.
type PoliciesStatus struct {
	// mode in effect.
	Mode PolicyMode `json:"mode"`
	// api in effect.
	// +optional
	API PolicyAPI `json:"api,omitempty"`
	// deny is what has become of the objects that cut traffic.
	Deny DenyState `json:"deny"`
	// namespaces is how many are covered, and pending how many of them want writing yet. Both are written at most once a minute unless
	// something else changes as well.
	Namespaces int32 `json:"namespaces"`
	Pending    int32 `json:"pending"`
	// findings are what the baselines cut, the dangerous first. There are at most 32; findingsTotal counts all, and dangerous those of
	// severity Danger that are not acknowledged.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Findings      []PolicyFinding `json:"findings,omitempty"`
	FindingsTotal int32           `json:"findingsTotal,omitempty"`
	Dangerous     int32           `json:"dangerous,omitempty"`
	// admitted is a digest of the baselines that were last let through to cut traffic. As long as they stay the same, findings that come
	// up later are told of, and hold nothing back.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Admitted string `json:"admitted,omitempty"`
	// message says what is waited for, or what failed.
	// +optional
	Message string `json:"message,omitempty"`
}
