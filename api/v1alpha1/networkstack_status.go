package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Condition types of a NetworkStack and a NetworkComponent. Ready, Reconciling and Stalled follow
// kstatus, so that kubectl wait and GitOps tools judge the object rightly.
const (
	// ConditionAccepted says whether the spec is valid on this cluster (NetworkStack only).
	ConditionAccepted = "Accepted"
	// ConditionReady says whether everything wanted is installed and healthy.
	ConditionReady = "Ready"
	// ConditionReconciling is present and True while the operator works towards the spec.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is present and True when nothing will improve without a person's help.
	ConditionStalled = "Stalled"
	// ConditionDrifted is True while a live object differs from what was applied.
	ConditionDrifted = "Drifted"
	// ConditionPoolsSufficient says whether the address pools have room for what is to come (NetworkStack only). It is absent until
	// that was looked at, Unknown where nothing in the cluster tells, and has no bearing on Ready.
	ConditionPoolsSufficient = "PoolsSufficient"
	// ConditionContested is present and True while a field is left to somebody who kept putting it back.
	ConditionContested = "Contested"
	// ConditionPoliciesPulled is present while the break-glass annotation has what denies traffic removed; its message has the reason.
	ConditionPoliciesPulled = "PoliciesPulled"
	// ConditionCatalogInvalid is present and True while the ConfigMap that overrides the catalogue has mistakes in it.
	ConditionCatalogInvalid = "CatalogInvalid"
)

// Condition reasons.
const (
	ReasonAccepted          = "Accepted"
	ReasonConflict          = "Conflict"
	ReasonInvalid           = "Invalid"
	ReasonFactsUnavailable  = "FactsUnavailable"
	ReasonCatalogInvalid    = "CatalogInvalid"
	ReasonCatalogChanged    = "CatalogChanged"
	ReasonReady             = "Ready"
	ReasonProgressing       = "Progressing"
	ReasonWaiting           = "Waiting"
	ReasonSuspended         = "Suspended"
	ReasonDeleting          = "Deleting"
	ReasonComponentFailed   = "ComponentFailed"
	ReasonChartUnavailable  = "ChartUnavailable"
	ReasonValuesRejected    = "ValuesRejected"
	ReasonReleaseFailed     = "ReleaseFailed"
	ReasonApplied           = "Applied"
	ReasonInstalling        = "Installing"
	ReasonUpgrading         = "Upgrading"
	ReasonUninstalling      = "Uninstalling"
	ReasonNotHealthy        = "NotHealthy"
	ReasonRolloutStalled    = "RolloutStalled"
	ReasonDriftCorrected    = "DriftCorrected"
	ReasonDriftDetected     = "DriftDetected"
	ReasonObjectRestored    = "ObjectRestored"
	ReasonDriftContested    = "DriftContested"
	ReasonNoDrift           = "NoDrift"
	ReasonReplacing         = "Replacing"
	ReasonReplaced          = "Replaced"
	ReasonImmutableField    = "ImmutableField"
	ReasonNamespaceEnrolled = "NamespaceEnrolled"
	ReasonNamespaceLeft     = "NamespaceLeft"
	ReasonMTUChanged        = "MTUChanged"
	ReasonKubeProxyParked   = "KubeProxyParked"
	ReasonKubeProxyUnparked = "KubeProxyUnparked"
)

// Reasons about what is left on nodes when a NetworkStack is deleted.
const (
	ReasonNodesCleaning   = "NodesCleaning"
	ReasonNodesCleaned    = "NodesCleaned"
	ReasonNodesNotCleaned = "NodesNotCleaned"
)

// Reasons of the condition PoolsSufficient, and of the events that go with it.
const (
	ReasonPoolsSufficient      = "PoolsSufficient"
	ReasonPoolsNearlyExhausted = "NearlyExhausted"
	ReasonPoolsExhausted       = "Exhausted"
	// ReasonPoolsUnknown is that nothing in the cluster tells how much room there is; the message says who knows.
	ReasonPoolsUnknown = "NotKnown"
)

// Reasons of what happens to certificates.
const (
	ReasonCertificateCreated = "CertificateCreated"
	ReasonCertificateRenewed = "CertificateRenewed"
	ReasonCertificateInvalid = "CertificateInvalid"
)

// Reasons of what happens to generated Secrets.
const (
	ReasonSecretGenerated = "SecretGenerated"
	ReasonSecretRotated   = "SecretRotated"
	ReasonSecretInvalid   = "SecretInvalid"
)

// Reasons about baseline policies.
const (
	ReasonBreakGlass       = "BreakGlass"
	ReasonPoliciesPulled   = "PoliciesPulled"
	ReasonPoliciesReturn   = "PoliciesReturn"
	ReasonPoliciesEnforced = "PoliciesEnforced"
	ReasonPoliciesHeld     = "PoliciesHeld"
)

// NetworkStackStatus is what the operator found, derived and did.
type NetworkStackStatus struct {
	// observedGeneration is the generation of the spec this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions: Accepted, Ready, Drifted, PoolsSufficient when it is known, and while they hold Reconciling, Stalled or
	// Contested.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// warnings are remarks on the spec that do not stop it, each with its field path and, in brackets, its rule.
	// +optional
	// +listType=atomic
	Warnings []string `json:"warnings,omitempty"`

	// facts are what was discovered about the cluster, or pinned.
	// +optional
	Facts *FactsStatus `json:"facts,omitempty"`

	// effective holds every derived or defaulted setting, with the reason it was chosen.
	// +optional
	// +listType=map
	// +listMapKey=setting
	Effective []EffectiveSetting `json:"effective,omitempty"`

	// components is one line for each component, in order of installation.
	// +optional
	// +listType=map
	// +listMapKey=name
	Components []ComponentSummary `json:"components,omitempty"`

	// ipPools say how much of each address pool is given out. They are written when a whole percent changes, and at most once a
	// minute unless something else changes as well; the metrics have every change.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +listMapKey=family
	IPPools []IPPoolStatus `json:"ipPools,omitempty"`

	// summary holds short forms for kubectl get.
	// +optional
	Summary *StackSummary `json:"summary,omitempty"`

	// mesh is how the service mesh is, when there is one.
	// +optional
	Mesh *MeshStatus `json:"mesh,omitempty"`

	// policies is how the baseline policies are, when there are any.
	// +optional
	Policies *PoliciesStatus `json:"policies,omitempty"`
}

// StackSummary holds short forms for kubectl get.
type StackSummary struct {
	// components is "ready/wanted".
	// +optional
	Components string `json:"components,omitempty"`
	// kubeProxy is the mode in effect.
	// +optional
	KubeProxy string `json:"kubeProxy,omitempty"`
}

// FactsStatus is what was discovered about the cluster, or pinned in spec.cluster.
type FactsStatus struct {
	// kubernetesVersion is the API server's version.
	// +optional
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	// cloud is where the nodes run, such as AWS, Azure or GCP; absent when they do not say, or do not agree.
	// +optional
	Cloud string `json:"cloud,omitempty"`
	// distribution is what made the cluster: EKS, AKS, GKE, k3s, RKE2, OpenShift, Talos or kubeadm; absent when there is
	// no sure sign.
	// +optional
	Distribution string `json:"distribution,omitempty"`
	// serviceCIDRs are the ranges of Services, the primary family first.
	// +optional
	// +listType=atomic
	ServiceCIDRs []string `json:"serviceCIDRs,omitempty"`
	// podCIDRs are the smallest ranges that hold every node's spec.podCIDRs, one a family.
	// +optional
	// +listType=atomic
	PodCIDRs []string `json:"podCIDRs,omitempty"`
	// apiServer is the address of the API server that works without any Service, as host:port.
	// +optional
	APIServer string `json:"apiServer,omitempty"`
	// apiServerSource says where that address was found.
	// +optional
	APIServerSource string `json:"apiServerSource,omitempty"`
	// dnsDomain is the cluster's DNS domain.
	// +optional
	DNSDomain string `json:"dnsDomain,omitempty"`
	// dnsServiceIPs are the addresses of the Service kube-dns, which answers the cluster's DNS queries.
	// +optional
	// +listType=atomic
	DNSServiceIPs []string `json:"dnsServiceIPs,omitempty"`
	// nodes is the number of nodes.
	// +optional
	Nodes int32 `json:"nodes,omitempty"`
	// nodeFamilies are the families in which every node has an internal address.
	// +optional
	// +listType=atomic
	NodeFamilies []IPFamily `json:"nodeFamilies,omitempty"`
	// oldestKernel is the oldest kernel version among Linux nodes.
	// +optional
	OldestKernel string `json:"oldestKernel,omitempty"`
	// nodeMTU is the smallest node MTU known, in bytes; absent when none is known.
	// +optional
	NodeMTU int32 `json:"nodeMTU,omitempty"`
	// cni are the network plugins that were found installed, and what clouds run beside them.
	// +optional
	// +listType=atomic
	CNI []FoundComponent `json:"cni,omitempty"`
	// monitors are the kinds of Prometheus' operator that the cluster has: ServiceMonitor, PodMonitor.
	// +optional
	// +listType=atomic
	Monitors []string `json:"monitors,omitempty"`
	// gatewayAPI is what there is of the Gateway API; absent when nothing of it is defined.
	// +optional
	GatewayAPI *GatewayAPIFacts `json:"gatewayAPI,omitempty"`
	// kubeProxy is the kube-proxy that was found installed.
	// +optional
	KubeProxy *FoundComponent `json:"kubeProxy,omitempty"`
	// secondaryNetworks are the agents for secondary networks that were found installed.
	// +optional
	// +listType=atomic
	SecondaryNetworks []FoundComponent `json:"secondaryNetworks,omitempty"`
}

// FoundComponent is a workload that was found in the cluster.
type FoundComponent struct {
	// type is what it is: Flannel, Cilium, Calico, …, KubeProxy.
	// +required
	Type string `json:"type,omitempty"`
	// workload is "namespace/name" of its DaemonSet.
	// +required
	Workload string `json:"workload,omitempty"`
	// image is that of its main container.
	// +optional
	Image string `json:"image,omitempty"`
	// manager is who installed it: NetworkStack, Helm, or another manager as its marks say;
	// empty when there is no mark.
	// +optional
	Manager string `json:"manager,omitempty"`
	// mode of a kube-proxy, as its configuration has it: iptables, ipvs or nftables.
	// +optional
	Mode string `json:"mode,omitempty"`
	// available says whether every node that it is to run on has an available pod of it.
	// +optional
	Available bool `json:"available"`
}

// EffectiveSetting is one derived or defaulted setting.
type EffectiveSetting struct {
	// setting is the field path in the spec, or "component: values path" for a chart value.
	// +required
	Setting string `json:"setting,omitempty"`
	// value it came to.
	// +optional
	Value string `json:"value"`
	// reason it was chosen.
	// +required
	Reason string `json:"reason,omitempty"`
}

// ComponentSummary is one line about a component.
type ComponentSummary struct {
	// name of the NetworkComponent.
	// +required
	Name string `json:"name,omitempty"`
	// type of the component.
	// +optional
	Type string `json:"type,omitempty"`
	// version of the chart now installed.
	// +optional
	Version string `json:"version,omitempty"`
	// wantedVersion of the chart.
	// +optional
	WantedVersion string `json:"wantedVersion,omitempty"`
	// stage orders the installation.
	// +optional
	Stage int32 `json:"stage,omitempty"`
	// phase the component is in.
	// +optional
	Phase ComponentPhase `json:"phase,omitempty"`
	// ready says whether it is installed as wanted and healthy.
	// +optional
	Ready bool `json:"ready"`
	// message in plain words.
	// +optional
	Message string `json:"message,omitempty"`
	// driftCount is how many drifts were found so far.
	// +optional
	DriftCount int64 `json:"driftCount,omitempty"`
	// lastDrift says what drifted last.
	// +optional
	LastDrift string `json:"lastDrift,omitempty"`
}
