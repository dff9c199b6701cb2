package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MeshType is a service mesh.
// +kubebuilder:validation:Enum=Istio;Linkerd;Consul
type MeshType string

// The service meshes.
const (
	MeshIstio   MeshType = "Istio"
	MeshLinkerd MeshType = "Linkerd"
	MeshConsul  MeshType = "Consul"
)

// MeshMode is where a mesh has its proxies.
// +kubebuilder:validation:Enum=Sidecar;Ambient
type MeshMode string

// The modes of a mesh.
const (
	// MeshSidecar has a proxy in every pod. It is the default.
	MeshSidecar MeshMode = "Sidecar"
	// MeshAmbient has a proxy on every node (Istio's ztunnel).
	MeshAmbient MeshMode = "Ambient"
)

// MeshMTLS says whether plaintext is accepted in the mesh.
// +kubebuilder:validation:Enum=Strict;Permissive
type MeshMTLS string

// The modes of mutual TLS.
const (
	// MTLSStrict accepts nothing but mutual TLS.
	MTLSStrict MeshMTLS = "Strict"
	// MTLSPermissive accepts plaintext beside it.
	MTLSPermissive MeshMTLS = "Permissive"
)

// MeshSpec is the service mesh. version, namespace, chart, values and valuesFrom are those of its control plane; all charts of the
// mesh have the same version and repository.
//
// +kubebuilder:validation:XValidation:rule="self.type == 'Istio' || !has(self.istio)",fieldPath=".istio",message="istio is read only with type Istio: remove it, or set type to Istio"
// +kubebuilder:validation:XValidation:rule="self.type == 'Linkerd' || !has(self.linkerd)",fieldPath=".linkerd",message="linkerd is read only with type Linkerd: remove it, or set type to Linkerd"
// +kubebuilder:validation:XValidation:rule="self.type == 'Consul' || !has(self.consul)",fieldPath=".consul",message="consul is read only with type Consul: remove it, or set type to Consul"
// +kubebuilder:validation:XValidation:rule="self.type == 'Istio' || !has(self.mode) || self.mode != 'Ambient'",fieldPath=".mode",message="only Istio has the mode Ambient: remove mode, or set type to Istio"
// +kubebuilder:validation:XValidation:rule="!has(self.mode) || self.mode != 'Ambient' || !has(self.cniPlugin) || self.cniPlugin != 'Disabled'",fieldPath=".cniPlugin",message="in mode Ambient the CNI plugin redirects the traffic of pods, and nothing else does: remove cniPlugin"
type MeshSpec struct {
	// type of the mesh.
	// +required
	Type MeshType `json:"type,omitempty"`

	// mode says where the proxies are. Left out, Sidecar.
	// +optional
	Mode MeshMode `json:"mode,omitempty"`

	// mtls says whether pods of the mesh accept plaintext. Left out, the mesh's own default: pods
	// of Consul do not, others do.
	// +optional
	MTLS MeshMTLS `json:"mtls,omitempty"`

	// namespaceSelector selects, by labels, the namespaces whose pods are in the mesh. Left out, none: whoever has a namespace
	// enrols it. A namespace that says something of the mesh itself keeps that, and kube-system is never enrolled.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// cniPlugin says whether a plugin on every node redirects the traffic of pods, so that pods need no privileges for that.
	// Left out, Enabled in mode Ambient, which cannot do without, and for Consul on OpenShift; else Disabled.
	// +optional
	CNIPlugin Toggle `json:"cniPlugin,omitempty"`

	// replicas of the control plane; of Consul, those of what injects proxies. Left out, two where there are several nodes.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=50
	Replicas *int32 `json:"replicas,omitempty"`

	// identity is who this cluster is among the clusters of a mesh.
	// +optional
	Identity *MeshIdentity `json:"identity,omitempty"`

	// istio holds what is Istio's alone.
	// +optional
	Istio *IstioSpec `json:"istio,omitempty"`

	// linkerd holds what is Linkerd's alone.
	// +optional
	Linkerd *LinkerdSpec `json:"linkerd,omitempty"`

	// consul holds what is Consul's alone.
	// +optional
	Consul *ConsulSpec `json:"consul,omitempty"`

	ComponentSettings `json:",inline"`
}

// MeshIdentity is who a cluster is among the clusters of a mesh.
type MeshIdentity struct {
	// meshID is the name of the mesh, the same in all its clusters. Istio's.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	MeshID string `json:"meshID,omitempty"`

	// clusterName is the name of this cluster, different in each. Istio's; of Consul it is the datacenter.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	ClusterName string `json:"clusterName,omitempty"`

	// network is the name of the network that the cluster's pods are in. Clusters whose pods reach each other directly have the
	// same. Istio's.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Network string `json:"network,omitempty"`

	// trustDomain begins every identity. Left out, the cluster's DNS domain. Consul makes its own.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	TrustDomain string `json:"trustDomain,omitempty"`

	// rootSecretName is a Secret in the mesh's namespace with the root that the clusters share, under tls.crt and tls.key (ECDSA).
	// The operator makes this cluster's own authority from it and renews that; for Consul, the certificates of its servers. Left out,
	// each cluster has a root of its own.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	RootSecretName string `json:"rootSecretName,omitempty"`
}

// IstioSpec is what is Istio's alone.
type IstioSpec struct {
	// revision is the name of the control plane. One revision has one version: a new version needs a new one. Left out, it is
	// made of the version (1-30-3), so that a new version is installed beside the old one.
	// +optional
	// +kubebuilder:validation:MaxLength=30
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Revision string `json:"revision,omitempty"`

	// tag is a name that stands for the revision in effect. Namespaces are enrolled by it, and keep their label when the
	// revision changes. Left out, they are enrolled by the revision itself.
	// +optional
	// +kubebuilder:validation:MaxLength=30
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Tag string `json:"tag,omitempty"`

	// cni is the chart of the CNI plugin.
	// +optional
	CNI *MeshChart `json:"cni,omitempty"`

	// ztunnel is the chart of the proxy that mode Ambient has on every node.
	// +optional
	Ztunnel *MeshChart `json:"ztunnel,omitempty"`
}

// MeshChart is what may be said of a further chart of a mesh.
type MeshChart struct {
	// values are Helm values merged over those the operator derives.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:Schemaless
	Values *apiextensionsv1.JSON `json:"values,omitempty"`
}

// LinkerdSpec is what is Linkerd's alone.
type LinkerdSpec struct {
	// issuerSecretName is a Secret of type kubernetes.io/tls in the mesh's namespace with the issuer of proxies' identities, which
	// somebody else keeps, as cert-manager does. It goes with trustRootsConfigMap. Left out, the operator makes a trust anchor and
	// an issuer, and renews them.
	// +optional
	// +kubebuilder:validation:Enum=linkerd-identity-issuer
	IssuerSecretName string `json:"issuerSecretName,omitempty"`

	// cni is the chart of the CNI plugin.
	// +optional
	CNI *MeshChart `json:"cni,omitempty"`
}

// ConsulSpec is what is Consul's alone.
type ConsulSpec struct {
	// servers keep the state of the mesh.
	// +optional
	Servers *ConsulServers `json:"servers,omitempty"`

	// tls says whether the servers speak TLS, with certificates that the operator makes and renews. Left out, Enabled. It does not
	// change as long as Consul is there. Between pods of the mesh there is mutual TLS in any case.
	// +optional
	TLS Toggle `json:"tls,omitempty"`

	// acls says whether everything takes a token that the ACLs allow it to. The operator makes the one that begins, in Secret
	// consul-bootstrap-acl-token. Left out, Enabled. It does not change as long as Consul is there.
	// +optional
	ACLs Toggle `json:"acls,omitempty"`

	// transparentProxy says whether all traffic of pods goes through their proxies, or only what is addressed to them. Left out,
	// Enabled.
	// +optional
	TransparentProxy Toggle `json:"transparentProxy,omitempty"`
}

// ConsulServers are the servers of Consul.
type ConsulServers struct {
	// replicas, of which more than half have to be there. Left out, three where there are three nodes, else one.
	// +optional
	// +kubebuilder:validation:Enum=1;3;5;7
	Replicas *int32 `json:"replicas,omitempty"`

	// storage that each has. It does not change as long as Consul is there. Left out, the chart's 10Gi.
	// +optional
	Storage *resource.Quantity `json:"storage,omitempty"`

	// storageClassName of their volume claims. It does not change as long as Consul is there. Left out, the cluster's default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	StorageClassName string `json:"storageClassName,omitempty"`

	// volumeClaims says what becomes of their volume claims when Consul is removed. Left out, Retain.
	// +optional
	VolumeClaims VolumeClaimPolicy `json:"volumeClaims,omitempty"`
}

// VolumeClaimPolicy is what becomes of volume claims when what they were made for is removed.
// +kubebuilder:validation:Enum=Retain;Delete
type VolumeClaimPolicy string

// The policies of volume claims.
const (
	// ClaimsRetain keeps the data.
	ClaimsRetain VolumeClaimPolicy = "Retain"
	// ClaimsDelete deletes it.
	ClaimsDelete VolumeClaimPolicy = "Delete"
)

// MeshStatus is how the mesh is.
type MeshStatus struct {
	// namespaces is how many are enrolled by the selector.
	// +optional
	Namespaces int32 `json:"namespaces"`

	// revisions are the control planes of Istio that there are.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Revisions []MeshRevision `json:"revisions,omitempty"`
}

// MeshRevision is one control plane.
type MeshRevision struct {
	// name of the revision.
	// +required
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name,omitempty"`
	// version of the control plane.
	// +optional
	Version string `json:"version,omitempty"`
	// current says that it is the one that is wanted. Others stay until no proxy uses them.
	// +optional
	Current bool `json:"current"`
	// heldBy are namespaces with the pods that still use one that is no longer wanted, or with a label that names it.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	HeldBy []string `json:"heldBy,omitempty"`
}
