package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NetworkComponentSpec is one Helm release of one component, written by the NetworkStack controller.
type NetworkComponentSpec struct {
	// type of the component: Flannel, Cilium, Calico, CalicoCRDs, WeaveNet, AWSVPC, KubeProxy, Addon and others.
	// +required
	// +kubebuilder:validation:MinLength=1
	Type string `json:"type,omitempty"`

	// stage orders the installation: a lower stage is Ready before a higher one starts. From 50 on it orders removal alone.
	// +optional
	Stage int32 `json:"stage,omitempty"`

	// chart to install.
	// +required
	Chart ResolvedChart `json:"chart,omitzero"`

	// releaseName of the Helm release.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=53
	ReleaseName string `json:"releaseName,omitempty"`

	// namespace of the Helm release.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// namespaceLabels are set on the namespace when the component has one of its own; absent for
	// one that the user chose or that is shared, which is made where there is none, and not labelled.
	// +optional
	NamespaceLabels map[string]string `json:"namespaceLabels,omitempty"`

	// derivedValues for the chart are what the stack comes to. valuesFrom and then values go over them.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:Schemaless
	DerivedValues *apiextensionsv1.JSON `json:"derivedValues,omitempty"`

	// values for the chart that the user gave inline; they have the last word.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:Schemaless
	Values *apiextensionsv1.JSON `json:"values,omitempty"`

	// valuesFrom are merged in order over derivedValues and under values.
	// +optional
	// +listType=atomic
	ValuesFrom []ValuesReference `json:"valuesFrom,omitempty"`

	// controlledValues are values paths that valuesFrom may not set, with the field of the
	// NetworkStack that controls each.
	// +optional
	// +listType=map
	// +listMapKey=path
	ControlledValues []ControlledValue `json:"controlledValues,omitempty"`

	// sources for the chart and the images.
	// +optional
	Sources *Sources `json:"sources,omitempty"`

	// driftMode for the component's objects. Left out, Correct.
	// +optional
	DriftMode DriftMode `json:"driftMode,omitempty"`

	// driftIgnore names fields that others may change, beside what well-known controllers do.
	// +optional
	// +listType=atomic
	DriftIgnore []DriftIgnoreRule `json:"driftIgnore,omitempty"`

	// replacement says which objects may be replaced to change fields that cannot be changed. Left out, Safe.
	// +optional
	Replacement ReplacementPolicy `json:"replacement,omitempty"`

	// certificates are made before the release is applied, and renewed after two thirds of their time. Their Secrets
	// are not part of the Helm release.
	// +optional
	// +listType=map
	// +listMapKey=secretName
	Certificates []Certificate `json:"certificates,omitempty"`

	// generatedSecrets are made before the release is applied, and made anew when their rotation changes. Like those of
	// certificates they are not part of the Helm release.
	// +optional
	// +listType=map
	// +listMapKey=secretName
	GeneratedSecrets []GeneratedSecret `json:"generatedSecrets,omitempty"`

	// progressDeadline is how long a roll-out may make no progress before it counts as stalled. Left out, it grows
	// with the number of pods.
	// +optional
	ProgressDeadline *metav1.Duration `json:"progressDeadline,omitempty"`

	// adoption of objects and of a release that are there already. Left out, Refuse.
	// +optional
	Adoption AdoptionPolicy `json:"adoption,omitempty"`

	// deletionPolicy when this object is deleted. Left out, Orphan.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// suspend stops all work on this component.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// CertificateUsage is what a certificate's key may be used for.
// +kubebuilder:validation:Enum=ServerAuth;ClientAuth
type CertificateUsage string

// The usages of certificates.
const (
	UsageServerAuth CertificateUsage = "ServerAuth"
	UsageClientAuth CertificateUsage = "ClientAuth"
)

// Certificate is a certificate in a Secret of type kubernetes.io/tls in the component's namespace, with the keys tls.crt,
// tls.key and ca.crt. A Secret of this name that somebody else made is used as it is and never written.
type Certificate struct {
	// secretName of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// caSecretName is the Secret of the certificate authority that signs it, which is another one of the component's
	// certificates. Left out, this certificate is itself an authority.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	CASecretName string `json:"caSecretName,omitempty"`

	// authority says that a certificate that is signed by another one may sign itself. One without caSecretName always may.
	// +optional
	Authority bool `json:"authority,omitempty"`

	// external says that the Secret is made by somebody else alone: where there is none, none is made.
	// +optional
	External bool `json:"external,omitempty"`

	// bundleValue is a values path of the chart, dot-separated, that gets the certificates to trust, in PEM. They are public.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	BundleValue string `json:"bundleValue,omitempty"`

	// commonName of the subject.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	CommonName string `json:"commonName,omitempty"`

	// dnsNames it is good for.
	// +optional
	// +listType=atomic
	DNSNames []string `json:"dnsNames,omitempty"`

	// ipAddresses it is good for.
	// +optional
	// +listType=atomic
	IPAddresses []string `json:"ipAddresses,omitempty"`

	// usages of its key. An authority has none.
	// +optional
	// +listType=atomic
	Usages []CertificateUsage `json:"usages,omitempty"`

	// validity is how long it is valid, at most as long as its authority.
	// +required
	Validity metav1.Duration `json:"validity,omitzero"`
}

// GeneratedSecretKind is what a generated Secret holds.
// +kubebuilder:validation:Enum=Password;IPsecKeys;GossipKey;Token
type GeneratedSecretKind string

// The kinds of generated Secrets.
const (
	// SecretPassword is a random password under the key "password".
	SecretPassword GeneratedSecretKind = "Password"
	// SecretIPsecKeys is a random key of Cilium's IPsec under the key "keys", in the form that Cilium reads. With every
	// rotation its number goes up by one, from 15 to 1.
	SecretIPsecKeys GeneratedSecretKind = "IPsecKeys"
	// SecretGossipKey is a random key of Consul's gossip under the key "key": 32 bytes in base64.
	SecretGossipKey GeneratedSecretKind = "GossipKey"
	// SecretToken is a random UUID under the key "token", as Consul's ACLs want it.
	SecretToken GeneratedSecretKind = "Token"
)

// GeneratedSecret is a Secret in the component's namespace with random content that the operator makes. A Secret of this
// name that somebody else made is used as it is and never written.
type GeneratedSecret struct {
	// secretName of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// kind of its content.
	// +required
	Kind GeneratedSecretKind `json:"kind,omitempty"`

	// rotation is any text. When it becomes another one that is not empty, the content is made anew.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Rotation string `json:"rotation,omitempty"`

	// revisionValue is a values path of the chart, dot-separated, that gets the revision of the content, so that pods which
	// read it only when they start are rolled out. Left out for pods that notice by themselves.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	RevisionValue string `json:"revisionValue,omitempty"`
}

// ControlledValue is a values path that a field of the NetworkStack controls.
type ControlledValue struct {
	// path in the chart's values, dot-separated.
	// +required
	// +kubebuilder:validation:MinLength=1
	Path string `json:"path,omitempty"`
	// by is the field of the NetworkStack.
	// +required
	// +kubebuilder:validation:MinLength=1
	By string `json:"by,omitempty"`
}

// ResolvedChart is a chart at one version.
type ResolvedChart struct {
	// repository is an https:// Helm repository or an oci:// registry path; empty for a chart
	// that the operator carries.
	// +optional
	Repository string `json:"repository,omitempty"`
	// name of the chart.
	// +required
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name,omitempty"`
	// version of the chart.
	// +required
	// +kubebuilder:validation:MinLength=1
	Version string `json:"version,omitempty"`
	// digest of the archive, "sha256:…"; empty when not pinned.
	// +optional
	Digest string `json:"digest,omitempty"`
}

// ComponentPhase is where a component is on its way.
type ComponentPhase string

// The phases of a component.
const (
	PhasePending      ComponentPhase = "Pending"
	PhaseFetching     ComponentPhase = "Fetching"
	PhaseInstalling   ComponentPhase = "Installing"
	PhaseUpgrading    ComponentPhase = "Upgrading"
	PhaseRollingOut   ComponentPhase = "RollingOut"
	PhaseReady        ComponentPhase = "Ready"
	PhaseFailed       ComponentPhase = "Failed"
	PhaseSuspended    ComponentPhase = "Suspended"
	PhaseUninstalling ComponentPhase = "Uninstalling"
)

// NetworkComponentStatus is what the operator did for one component.
type NetworkComponentStatus struct {
	// observedGeneration is the generation of the spec this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions: Ready, Drifted, and while they hold Reconciling, Stalled or Contested.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// phase the component is in.
	// +optional
	Phase ComponentPhase `json:"phase,omitempty"`

	// release is the Helm release as last written.
	// +optional
	Release *ReleaseStatus `json:"release,omitempty"`

	// objects is how many objects the release has.
	// +optional
	Objects int32 `json:"objects,omitempty"`

	// rollout is how far the workloads have come up.
	// +optional
	Rollout *RolloutStatus `json:"rollout,omitempty"`

	// certificates that the component has.
	// +optional
	// +listType=map
	// +listMapKey=secretName
	Certificates []CertificateStatus `json:"certificates,omitempty"`

	// generatedSecrets that the component has.
	// +optional
	// +listType=map
	// +listMapKey=secretName
	GeneratedSecrets []GeneratedSecretStatus `json:"generatedSecrets,omitempty"`

	// drift found so far.
	// +optional
	Drift *DriftStatus `json:"drift,omitempty"`

	// crds are the CustomResourceDefinitions that the component's chart carries, as far as they fit.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=100
	CRDs []CRDStatus `json:"crds,omitempty"`

	// adoption is what was there before the component, and what became of it. Absent when there was nothing.
	// +optional
	Adoption *AdoptionStatus `json:"adoption,omitempty"`

	// failures counts attempts that failed since the last success; the wait between attempts grows with it.
	// +optional
	Failures int32 `json:"failures,omitempty"`

	// nextAttempt is when the next attempt starts, after a failure.
	// +optional
	NextAttempt *metav1.Time `json:"nextAttempt,omitempty"`
}

// AdoptionState is what became of what was there before.
// +kubebuilder:validation:Enum=Reported;Adopted;Refused
type AdoptionState string

// The states of an adoption.
const (
	// AdoptionReported means that it was compared and left alone, because spec.adoption is not Adopt.
	AdoptionReported AdoptionState = "Reported"
	// AdoptionAdopted means that it was taken over.
	AdoptionAdopted AdoptionState = "Adopted"
	// AdoptionRefused means that it belongs to somebody who looks after it, and is never taken over.
	AdoptionRefused AdoptionState = "Refused"
)

// AdoptionStatus compares what was there with what the component renders, as it was before it was taken over.
type AdoptionStatus struct {
	// state of the adoption.
	// +required
	State AdoptionState `json:"state,omitempty"`
	// source is who made it: "Helm release kube-system/cilium", "kubeadm", "kubectl", "unknown".
	// +optional
	Source string `json:"source,omitempty"`
	// same is how many objects no field of which changes.
	// +optional
	Same int32 `json:"same"`
	// differs is how many objects change.
	// +optional
	Differs int32 `json:"differs"`
	// unknown is how many objects of the old release nothing renders; they are removed.
	// +optional
	Unknown int32 `json:"unknown"`
	// new is how many objects are not there yet.
	// +optional
	New int32 `json:"new"`
	// restarts says whether pods are replaced, because a pod template changes.
	// +optional
	Restarts bool `json:"restarts"`
	// differences are fields that change and objects that go; at most 32.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Differences []AdoptionDifference `json:"differences,omitempty"`
	// more is how many differences are not listed.
	// +optional
	More int32 `json:"more,omitempty"`
}

// AdoptionDifference is one difference between what is there and what the component renders.
type AdoptionDifference struct {
	// object, as "Kind namespace/name".
	// +required
	Object string `json:"object,omitempty"`
	// path of the field; empty for an object as a whole.
	// +optional
	Path string `json:"path,omitempty"`
	// state is Differs when the field gets another value, Unknown when nothing renders the field or the object, so that it
	// is removed or falls back to its default, and Refused when the object belongs to somebody else.
	// +required
	State string `json:"state,omitempty"`
	// live value, shortened; secrets are blacked out.
	// +optional
	Live string `json:"live,omitempty"`
	// wanted value, shortened; secrets are blacked out.
	// +optional
	Wanted string `json:"wanted,omitempty"`
}

// ReleaseStatus is a Helm release as last written.
type ReleaseStatus struct {
	// revision of the release.
	// +optional
	Revision int32 `json:"revision,omitempty"`
	// status in Helm's words: deployed, failed, pending-install, …
	// +optional
	Status string `json:"status,omitempty"`
	// chartVersion installed.
	// +optional
	ChartVersion string `json:"chartVersion,omitempty"`
	// appVersion installed.
	// +optional
	AppVersion string `json:"appVersion,omitempty"`
	// chartDigest of the archive the release was made from.
	// +optional
	ChartDigest string `json:"chartDigest,omitempty"`
	// chartSource says where the archive came from.
	// +optional
	ChartSource string `json:"chartSource,omitempty"`
	// inputs is a digest over everything the release was rendered from.
	// +optional
	Inputs string `json:"inputs,omitempty"`
}

// CRDStatus is a CustomResourceDefinition that a component's chart carries.
type CRDStatus struct {
	// name of the definition.
	// +required
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name,omitempty"`
	// served are the versions that the cluster serves.
	// +optional
	// +listType=atomic
	Served []string `json:"served,omitempty"`
	// source is the chart and version that the definition in the cluster came from; empty when nobody recorded it.
	// +optional
	Source string `json:"source,omitempty"`
	// kept says that the definition in the cluster is not the chart's, which is older or not newer.
	// +optional
	Kept bool `json:"kept,omitempty"`
	// owner is the component that the definition belongs to, when it is another one.
	// +optional
	Owner string `json:"owner,omitempty"`
}

// CertificateStatus is a certificate as it is.
type CertificateStatus struct {
	// secretName of the Secret.
	// +required
	SecretName string `json:"secretName,omitempty"`
	// notAfter is when it expires.
	// +optional
	NotAfter *metav1.Time `json:"notAfter,omitempty"`
	// renewAt is when it is renewed; absent for one that somebody else made, and so renews.
	// +optional
	RenewAt *metav1.Time `json:"renewAt,omitempty"`
}

// GeneratedSecretStatus is a generated Secret as it is. Nothing of its content is told.
type GeneratedSecretStatus struct {
	// secretName of the Secret.
	// +required
	SecretName string `json:"secretName,omitempty"`
	// revision changes whenever the content does. Of a Secret that somebody else made it is the wanted rotation.
	// +optional
	Revision string `json:"revision,omitempty"`
	// rotation that the content was last made for.
	// +optional
	Rotation string `json:"rotation,omitempty"`
	// keyID is the number of the IPsec key that it holds. The next one has another number, even if the Secret is deleted.
	// +optional
	KeyID int32 `json:"keyID,omitempty"`
	// external says that somebody else made the Secret, and so rotates it.
	// +optional
	External bool `json:"external,omitempty"`
}

// RolloutStatus is how far the workloads of a component have come up, in pods of all of them together. A Job counts as
// one pod, available once it has completed.
type RolloutStatus struct {
	// desired is how many pods there should be.
	// +optional
	Desired int32 `json:"desired"`
	// updated is how many pods are of the latest template.
	// +optional
	Updated int32 `json:"updated"`
	// available is how many pods are available, whatever their template.
	// +optional
	Available int32 `json:"available"`
	// missing is the least that the roll-out has lacked so far: pods to be updated and pods to become available.
	// It has made progress when it lacks less.
	// +optional
	Missing int32 `json:"missing"`
	// lastProgressTime is when it last made progress.
	// +optional
	LastProgressTime *metav1.Time `json:"lastProgressTime,omitempty"`
	// deadline is when it counts as stalled unless it makes progress; absent when all pods are updated and available.
	// +optional
	Deadline *metav1.Time `json:"deadline,omitempty"`
	// target identifies what is rolled out; another target starts the clock anew.
	// +optional
	Target string `json:"target,omitempty"`
}

// NetworkComponent is one release of one component. The operator writes it; users read it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=netcomp
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.release.chartVersion`
// +kubebuilder:printcolumn:name="Revision",type=integer,JSONPath=`.status.release.revision`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Available",type=integer,JSONPath=`.status.rollout.available`,priority=1
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.rollout.desired`,priority=1
// +kubebuilder:printcolumn:name="Drifts",type=integer,JSONPath=`.status.drift.count`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NetworkComponent struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what to install.
	// +required
	Spec NetworkComponentSpec `json:"spec,omitzero"`

	// status is what was done.
	// It starts with an observedGeneration of -1, so that a status nobody has written yet is never taken for success.
	// +optional
	// +kubebuilder:default:={observedGeneration:-1}
	Status NetworkComponentStatus `json:"status,omitzero"`
}

// NetworkComponentList is a list of NetworkComponents.
//
// +kubebuilder:object:root=true
type NetworkComponentList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []NetworkComponent `json:"items"`
}
