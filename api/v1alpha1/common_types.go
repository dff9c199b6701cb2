package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Labels, annotations and names that NetworkStack puts on the objects it owns or reads from nodes.
const (
	// ComponentLabel is on every object of a component; its value is the NetworkComponent's name.
	ComponentLabel = "networkstack.io/component"
	// CertificateLabel is on every Secret with a certificate that the operator made; its value is Authority or Leaf.
	CertificateLabel = "networkstack.io/certificate"
	// GeneratedSecretLabel is on every Secret with random content that the operator made; its value is the kind of the content.
	GeneratedSecretLabel = "networkstack.io/generated-secret"
	// SecretRevisionAnnotation and SecretRotationAnnotation are on such Secrets: what identifies the content without telling
	// anything of it, and the rotation that it was made for.
	SecretRevisionAnnotation = "networkstack.io/secret-revision"
	SecretRotationAnnotation = "networkstack.io/secret-rotation"
	// StackLabel is on every NetworkComponent; its value is the NetworkStack's name.
	StackLabel = "networkstack.io/stack"
	// CRDSourceAnnotation is on every CustomResourceDefinition of a component; its value is the chart it came from and
	// the chart's version, "chart/version".
	CRDSourceAnnotation = "networkstack.io/crd-source"

	// TransientAnnotation is on Jobs that their chart removes when they are done.
	TransientAnnotation = "networkstack.io/transient"
	// LayoutAnnotation is on the DaemonSet of a component that was taken over and is still written as whoever installed it
	// writes it. Its value names that form.
	LayoutAnnotation = "networkstack.io/layout"
	// NodeMTUAnnotation on a Node states the MTU of its underlay interface in bytes. The node agent or a person
	// writes it, and the operator reads it.
	NodeMTUAnnotation = "networkstack.io/mtu"
	// NodeIPVSAnnotation and NodeBridgesAnnotation on a Node are the node agent's, too: how many virtual servers of IPVS somebody
	// else than kube-proxy has there (9 for more), and whether what passes through a bridge passes iptables and
	// nftables, in each family of the node.
	NodeIPVSAnnotation    = "networkstack.io/ipvs-services"
	NodeBridgesAnnotation = "networkstack.io/bridge-netfilter"
	// AgentsAnnotation on the NetworkComponent that cleans nodes has the pods whose end it waits for, and CleaningSinceAnnotation
	// when all other components were gone.
	AgentsAnnotation        = "networkstack.io/agents"
	CleaningSinceAnnotation = "networkstack.io/cleaning-since"
	// MeshLabel is on every namespace that the operator has enrolled in a service mesh; its value is the mesh, in small letters.
	MeshLabel = "networkstack.io/mesh"
	// Finalizer keeps a NetworkStack or NetworkComponent until its deletion policy has been carried out.
	Finalizer = "networkstack.io/finalizer"
	// FieldManager owns every field the operator applies to the objects of components.
	FieldManager = "networkstack"
	// ParkingFieldManager owns the one node selector that parks a kube-proxy the operator did not install.
	ParkingFieldManager = "networkstack-parking"
	// MeshFieldManager owns what enrols a namespace in a service mesh.
	MeshFieldManager = "networkstack-mesh"
)

// IPFamily is an IP address family, spelt as Kubernetes spells it in Services.
// +kubebuilder:validation:Enum=IPv4;IPv6
type IPFamily string

// The IP families.
const (
	IPv4 IPFamily = "IPv4"
	IPv6 IPFamily = "IPv6"
)

// Toggle turns a behaviour on or off.
// +kubebuilder:validation:Enum=Enabled;Disabled
type Toggle string

// The values of a Toggle.
const (
	Enabled  Toggle = "Enabled"
	Disabled Toggle = "Disabled"
)

// DriftMode says what happens when a live object no longer matches what was applied.
// +kubebuilder:validation:Enum=Correct;Warn;Ignore
type DriftMode string

// The drift modes.
const (
	// DriftCorrect restores the object and reports the drift. It is the default.
	DriftCorrect DriftMode = "Correct"
	// DriftWarn reports the drift and leaves the object as it is.
	DriftWarn DriftMode = "Warn"
	// DriftIgnore neither reports nor restores.
	DriftIgnore DriftMode = "Ignore"
)

// ReplacementPolicy says which objects may be deleted and made again in order to change fields that cannot be changed.
// +kubebuilder:validation:Enum=Safe;Disruptive
type ReplacementPolicy string

// The replacement policies.
const (
	// ReplacementSafe replaces workloads, whose pods keep running, objects that no pod depends on while it runs, and Jobs.
	// It is the default.
	ReplacementSafe ReplacementPolicy = "Safe"
	// ReplacementDisruptive also replaces what is interrupted by it, such as a Service with another cluster IP. Volume
	// claims, namespaces, custom resources and their definitions are never replaced.
	ReplacementDisruptive ReplacementPolicy = "Disruptive"
)

// DeletionPolicy says what becomes of installed components when their owner is deleted.
// +kubebuilder:validation:Enum=Orphan;Delete
type DeletionPolicy string

// The deletion policies.
const (
	// DeletionOrphan leaves every object and its Helm release as they are. It is the default.
	DeletionOrphan DeletionPolicy = "Orphan"
	// DeletionDelete uninstalls the components, in reverse order of their installation, and then removes from nodes what Flannel,
	// kube-proxy, Multus and caches of DNS have left there.
	DeletionDelete DeletionPolicy = "Delete"
)

// AdoptionPolicy says what to do with a component that is there already.
// +kubebuilder:validation:Enum=Adopt;Refuse
type AdoptionPolicy string

// The adoption policies.
const (
	// AdoptionAdopt takes it over, unless somebody else still looks after it.
	AdoptionAdopt AdoptionPolicy = "Adopt"
	// AdoptionRefuse leaves it alone and reports what taking it over would change. It is the default.
	AdoptionRefuse AdoptionPolicy = "Refuse"
)

// ComponentSettings are the knobs that every component takes.
type ComponentSettings struct {
	// version is the chart version to install, for example "1.20.0". Left out, the version
	// this release of the operator was tested with is used.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^v?[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$`
	Version string `json:"version,omitempty"`

	// namespace is where the component is installed. Left out, the component's usual
	// namespace is used (kube-flannel for Flannel, tigera-operator for Calico, kube-system for
	// Cilium, Weave Net, kube-proxy and Multus).
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// chart takes the component's chart from another place than the usual one.
	// +optional
	Chart *ChartReference `json:"chart,omitempty"`

	// values are Helm values merged over those the operator derives. A value that another
	// field of the spec controls may not be set here.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:Schemaless
	Values *apiextensionsv1.JSON `json:"values,omitempty"`

	// valuesFrom are Helm values from ConfigMaps and Secrets in the operator's namespace, merged in
	// order over the derived values and under values. A change of their content is rolled out.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	ValuesFrom []ValuesReference `json:"valuesFrom,omitempty"`

	// driftMode for this component's objects. Left out, that of the stack (spec.drift.mode).
	// +optional
	DriftMode DriftMode `json:"driftMode,omitempty"`

	// suspend stops all work on this component: no install, upgrade, drift correction or removal.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// ChartReference names a Helm chart in a repository.
type ChartReference struct {
	// repository is an https:// Helm repository or an oci:// registry path (without the chart's
	// name). http:// is accepted for repositories inside the cluster's own network.
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^(https?|oci)://.+$`
	Repository string `json:"repository,omitempty"`

	// name is the chart's name. Left out, the component's usual chart name is used.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name,omitempty"`

	// digest is the SHA-256 of the chart archive, "sha256:" and 64 hexadecimal digits. When set,
	// an archive with another digest is refused.
	// +optional
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	Digest string `json:"digest,omitempty"`
}

// ValuesKind is a kind of object that can hold Helm values.
// +kubebuilder:validation:Enum=ConfigMap;Secret
type ValuesKind string

// The kinds of object that can hold Helm values.
const (
	ValuesFromConfigMap ValuesKind = "ConfigMap"
	ValuesFromSecret    ValuesKind = "Secret"
)

// ValuesReference names a ConfigMap or Secret in the operator's namespace that holds Helm values as YAML.
type ValuesReference struct {
	// kind of the object.
	// +required
	Kind ValuesKind `json:"kind,omitempty"`

	// name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// key inside the object that holds the values as YAML. Left out, "values.yaml" is used.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}
