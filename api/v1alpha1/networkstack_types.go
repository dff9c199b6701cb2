package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NetworkStackSpec is the network a cluster shall have. What is left out is derived; what it came
// to is in status.effective.
//
// +kubebuilder:validation:XValidation:rule="!has(self.kubeProxy) || self.kubeProxy.mode != 'Replaced' || self.cni.type in ['Cilium', 'Calico']",fieldPath=".kubeProxy.mode",message="Replaced needs a CNI that programs Services itself: set cni.type to Cilium or Calico, or choose IPTables or NFTables"
// +kubebuilder:validation:XValidation:rule="!has(self.cni.calico) || !has(self.cni.calico.dataplane) || (self.cni.calico.dataplane == 'BPF') == (has(self.kubeProxy) && self.kubeProxy.mode == 'Replaced')",fieldPath=".cni.calico.dataplane",message="BPF programs Services itself, and the other data planes do not: BPF goes with kubeProxy.mode Replaced and with no other"
// +kubebuilder:validation:XValidation:rule="!has(self.cni.calico) || !has(self.cni.calico.dataplane) || !has(self.kubeProxy) || self.kubeProxy.mode in ['Replaced', 'Unmanaged'] || (self.cni.calico.dataplane == 'NFTables') == (self.kubeProxy.mode == 'NFTables')",fieldPath=".cni.calico.dataplane",message="Calico and kube-proxy must both use nftables, or neither: make dataplane and kubeProxy.mode agree, or remove dataplane"
// +kubebuilder:validation:XValidation:rule="self.cni.type == 'Calico' || !has(self.ipPools) || self.ipPools.all(p, !has(p.blockSizes) && !has(p.encapsulation) && !has(p.nodeSelector) && (!has(p.onRequest) || !p.onRequest))",fieldPath=".ipPools",message="blockSizes, encapsulation, nodeSelector and onRequest of a pool are Calico's: remove them, or set cni.type to Calico"
// +kubebuilder:validation:XValidation:rule="self.cni.type == 'Calico' || (has(self.cni.cilium) && has(self.cni.cilium.ipam) && self.cni.cilium.ipam == 'MultiPool') || !has(self.ipPools) || self.ipPools.all(p, !has(p.bgpExport) && (!has(p.disabled) || !p.disabled))",fieldPath=".ipPools",message="bgpExport and disabled of a pool are for Calico, and for Cilium with cni.cilium.ipam MultiPool: remove them"
// +kubebuilder:validation:XValidation:rule="(has(self.cni.cilium) && has(self.cni.cilium.ipam) && self.cni.cilium.ipam == 'MultiPool') || !has(self.ipPools) || self.ipPools.all(p, !has(p.podSelector) && !has(p.namespaceSelector))",fieldPath=".ipPools",message="podSelector and namespaceSelector of a pool are for Cilium with cni.cilium.ipam MultiPool: remove them, or set it; with Calico, set onRequest, and name the pool in the annotation cni.projectcalico.org/ipv4pools of namespaces or pods"
// +kubebuilder:validation:XValidation:rule="!(has(self.cni.cilium) && has(self.cni.cilium.ipam) && self.cni.cilium.ipam == 'MultiPool') || has(self.ipPools) && self.ipPools.exists(p, p.name == 'default')",fieldPath=".ipPools",message="with MultiPool a pool has to be named default: Cilium's own pods, and all that no other pool is for, get their addresses of it"
// +kubebuilder:validation:XValidation:rule="!(has(self.cni.cilium) && has(self.cni.cilium.ipam) && self.cni.cilium.ipam == 'MultiPool') || !has(self.ipPools) || self.ipPools.all(p, p.name != 'default' || !has(p.podSelector) && !has(p.namespaceSelector) && (!has(p.disabled) || !p.disabled))",fieldPath=".ipPools",message="the pool default is for all pods that no other pool is for: remove its podSelector, namespaceSelector and disabled"
// +kubebuilder:validation:XValidation:rule="self.cni.type != 'Calico' || !has(self.ipPools) || self.ipPools.all(p, !has(p.nodeMaskSizes))",fieldPath=".ipPools",message="Calico gives nodes blocks as they need them, not one range each: use blockSizes in place of nodeMaskSizes"
// +kubebuilder:validation:XValidation:rule="self.cni.type != 'AWSVPC' || !has(self.ipPools) || self.ipPools.size() == 0",fieldPath=".ipPools",message="with AWSVPC pods have addresses of the VPC's subnets: remove ipPools; other subnets are named in cni.awsVPC.customNetworking"
// +kubebuilder:validation:XValidation:rule="self.cni.type != 'WeaveNet' || !has(self.ipPools) || (self.ipPools.size() <= 1 && self.ipPools.all(p, p.cidrs.size() <= 1 && !p.cidrs.exists(c, c.contains(':')) && !has(p.nodeMaskSizes)))",fieldPath=".ipPools",message="Weave Net has one IPv4 range, which its agents divide among themselves: leave one pool with one IPv4 CIDR and no nodeMaskSizes, or use another CNI"
// +kubebuilder:validation:XValidation:rule="self.cni.type != 'WeaveNet' || !has(self.ipFamilies) || !('IPv6' in self.ipFamilies)",fieldPath=".ipFamilies",message="Weave Net carries IPv4 alone: remove IPv6, or use another CNI"
// +kubebuilder:validation:XValidation:rule="self.cni.type != 'WeaveNet' || !has(self.kubeProxy) || self.kubeProxy.mode != 'NFTables'",fieldPath=".kubeProxy.mode",message="Weave Net's rules are written for iptables, and nobody has tried them beside kube-proxy's nftables: choose IPTables"
// +kubebuilder:validation:XValidation:rule="!has(self.mtu) || self.mtu == 0 || !has(self.ipFamilies) || !('IPv6' in self.ipFamilies) || self.mtu >= 1280",fieldPath=".mtu",message="IPv6 needs an MTU of at least 1280: raise mtu, or remove IPv6 from ipFamilies"
// +kubebuilder:validation:XValidation:rule="!has(self.ipFamilies) || !has(self.ipPools) || self.ipPools.all(p, p.cidrs.all(c, (c.contains(':') ? 'IPv6' : 'IPv4') in self.ipFamilies))",fieldPath=".ipPools",message="a pool has a CIDR of a family that ipFamilies does not list: add the family, or remove the CIDR"
// +kubebuilder:validation:XValidation:rule="!has(self.ipFamilies) || !has(self.ipPools) || self.ipPools.size() == 0 || self.ipFamilies.all(f, self.ipPools.exists(p, p.cidrs.exists(c, c.contains(':') == (f == 'IPv6'))))",fieldPath=".ipPools",message="a family of ipFamilies has no CIDR in any pool: add one, or remove the family"
// +kubebuilder:validation:XValidation:rule="!has(self.policies) || !self.policies.baselines.exists(b, b.type == 'DefaultDenyEgress') || self.policies.baselines.exists(b, b.type == 'AllowDNS') || has(self.dns) && (self.dns.type == 'CoreDNS' || has(self.dns.nodeLocalCache) && self.dns.nodeLocalCache.mode == 'Enabled') || has(self.policies.acknowledgedFindings) && 'dns' in self.policies.acknowledgedFindings",fieldPath=".policies.baselines",message="covered pods could resolve no names: add AllowDNS, or the finding dns to acknowledgedFindings"
// +kubebuilder:validation:XValidation:rule="!has(self.ingress) || self.ingress.filter(i, has(i.class) && has(i.class.default) && i.class.default).size() <= 1",fieldPath=".ingress",message="one class of a cluster is the default: remove class.default from all controllers but one"
// +kubebuilder:validation:XValidation:rule="!has(self.ingress) || self.cni.type == 'Cilium' || self.ingress.all(i, i.type != 'CiliumIngress')",fieldPath=".ingress",message="CiliumIngress is a part of Cilium: set cni.type to Cilium, or use another controller"
type NetworkStackSpec struct {
	// ipFamilies are the families of pods and Services, the primary one first. Left out, they
	// follow the pools, and without pools the cluster's Service ranges.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:XValidation:rule="self.size() != 2 || self[0] != self[1]",message="the same family twice: list IPv4, IPv6, or both once"
	IPFamilies []IPFamily `json:"ipFamilies,omitempty"`

	// ipPools are the address ranges of pods. Left out, they follow what the nodes already have
	// (Node.spec.podCIDRs). The first CIDR of a family is its default range.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	IPPools []IPPool `json:"ipPools,omitempty"`

	// mtu is the MTU that pods get, in bytes. 0 or left out: derived from the smallest node MTU
	// known, minus the overhead of encapsulation and encryption.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65520
	// +kubebuilder:validation:XValidation:rule="self == 0 || self >= 576",message="an MTU below 576 cannot carry IPv4: use 576 or more, or 0 to have it derived"
	MTU int32 `json:"mtu,omitempty"`

	// cluster pins facts about the cluster that cannot be discovered, or are discovered wrongly.
	// +optional
	Cluster *PinnedFacts `json:"cluster,omitempty"`

	// cni is the primary network plugin.
	// +required
	CNI CNISpec `json:"cni,omitzero"`

	// kubeProxy says who programs Services. Left out, kube-proxy is left as it is found.
	// +optional
	KubeProxy *KubeProxySpec `json:"kubeProxy,omitempty"`

	// secondaryNetworks are networks that pods can be attached to beside the primary one. Left out, there are none.
	// +optional
	SecondaryNetworks *SecondaryNetworksSpec `json:"secondaryNetworks,omitempty"`

	// nodeAgent says whether an agent on every node tells the MTU of the node. Left out, Disabled: the MTU of nodes is known
	// only where somebody annotates them, or pins cluster.nodeMTU.
	// +optional
	NodeAgent *NodeAgentSpec `json:"nodeAgent,omitempty"`

	// loadBalancer gives Services of type LoadBalancer their addresses. Left out, it is left as it is found.
	// +optional
	LoadBalancer *LoadBalancerSpec `json:"loadBalancer,omitempty"`

	// gatewayAPI says who has the definitions of the Gateway API, and of which version they are. Left out, they are left as they
	// are found.
	// +optional
	GatewayAPI *GatewayAPISpec `json:"gatewayAPI,omitempty"`

	// observability says what Prometheus and Grafana get of the components. Left out, nothing beyond what the components' own
	// fields say.
	// +optional
	Observability *ObservabilitySpec `json:"observability,omitempty"`

	// policies are baselines of which traffic is cut in the namespaces of users. Left out, nothing is.
	// +optional
	Policies *PoliciesSpec `json:"policies,omitempty"`

	// dns is the cluster's DNS. Left out, it is left as it is found.
	// +optional
	DNS *DNSSpec `json:"dns,omitempty"`

	// addons are other charts that belong to the platform, such as cert-manager or kube-prometheus-stack. They come after the
	// network. One that is taken off the list is uninstalled; its CustomResourceDefinitions stay.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Addons []AddonSpec `json:"addons,omitempty"`
	// mesh is the service mesh. Left out, there is none.
	// +optional
	Mesh *MeshSpec `json:"mesh,omitempty"`

	// ingress are ingress controllers and controllers of gateways, any number side by side.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Ingress []IngressSpec `json:"ingress,omitempty"`

	// sources says where charts and images come from when not from their usual places.
	// +optional
	Sources *Sources `json:"sources,omitempty"`

	// drift says what happens when somebody else changes an object of a component.
	// +optional
	Drift *DriftSpec `json:"drift,omitempty"`

	// upgrade says how changes are rolled out.
	// +optional
	Upgrade *UpgradeSpec `json:"upgrade,omitempty"`

	// adoption says what to do with a CNI or kube-proxy of the wanted type, or with an add-on's release, that is there already and that
	// nobody looks after: one made by kubeadm, kubectl apply or Helm's command line. Left out, Refuse: it is left alone, and what taking
	// it over would change is in the status of its NetworkComponent. What belongs to another manager is never taken over.
	// +optional
	Adoption AdoptionPolicy `json:"adoption,omitempty"`

	// deletionPolicy says what becomes of the components when this object is deleted. Left
	// out, Orphan: everything keeps running and the Helm releases stay. With Delete they are uninstalled, and links, routes, rules and
	// CNI configuration that Flannel, kube-proxy, Multus and NodeLocal DNSCache have left on nodes are removed.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// suspend stops all work on the whole stack. Status says so; nothing is touched.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// NodeAgentSpec is the agent that writes the MTU of its node's underlay interface into the annotation networkstack.io/mtu.
//
// +kubebuilder:validation:XValidation:rule="self.mode == 'Enabled' || (!has(self.version) && !has(self.namespace) && !has(self.chart) && !has(self.values) && !has(self.valuesFrom))",message="with mode Disabled there is no agent: remove version, namespace, chart, values and valuesFrom, or set mode to Enabled"
type NodeAgentSpec struct {
	// mode says whether the agent is installed, before the CNI. Annotations stay when it goes.
	// +required
	Mode Toggle `json:"mode,omitempty"`

	ComponentSettings `json:",inline"`
}

// PinnedFacts override what the operator discovers about the cluster.
type PinnedFacts struct {
	// serviceCIDRs are the Service ranges, the primary family first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:MaxLength=49
	// +kubebuilder:validation:XValidation:rule="self.all(c, isCIDR(c))",message="not a CIDR: write an address and a prefix length, such as 10.96.0.0/12"
	// +kubebuilder:validation:XValidation:rule="self.size() != 2 || !isCIDR(self[0]) || !isCIDR(self[1]) || cidr(self[0]).ip().family() != cidr(self[1]).ip().family()",message="at most one IPv4 and one IPv6 range"
	ServiceCIDRs []string `json:"serviceCIDRs,omitempty"`

	// apiServer is an address of the API server that is reachable from every node without any
	// Service: a load balancer, a virtual IP, or a node-local proxy.
	// +optional
	APIServer *Endpoint `json:"apiServer,omitempty"`

	// dnsDomain is the cluster's DNS domain. Left out, it is read from kubeadm's configuration,
	// else cluster.local.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	DNSDomain string `json:"dnsDomain,omitempty"`

	// nodeMTU is the smallest MTU of the nodes' underlay interfaces, in bytes. It overrides the
	// nodes' networkstack.io/mtu annotations.
	// +optional
	// +kubebuilder:validation:Minimum=576
	// +kubebuilder:validation:Maximum=65536
	NodeMTU int32 `json:"nodeMTU,omitempty"`
}

// Endpoint is a host and a port.
type Endpoint struct {
	// host is a DNS name or an IP address (IPv6 without brackets).
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host,omitempty"`

	// port is a TCP port. Left out, 6443.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
}

// CNIType is a primary network plugin.
// +kubebuilder:validation:Enum=Flannel;Cilium;Calico;WeaveNet;AWSVPC;AzureCNI;GKE;Kubenet;External
type CNIType string

// The primary network plugins.
const (
	CNIFlannel CNIType = "Flannel"
	CNICilium  CNIType = "Cilium"
	CNICalico  CNIType = "Calico"
	// CNIWeaveNet is legacy, and wants cni.weaveNet.acknowledgeLegacy.
	CNIWeaveNet CNIType = "WeaveNet"
	// CNIAWSVPC gives pods addresses of the subnets of Amazon's VPC. Where EKS has it as an add-on, it is verified and reported
	// alone.
	CNIAWSVPC CNIType = "AWSVPC"
	// CNIAzure and CNIGKE are run by Azure Kubernetes Service and Google Kubernetes Engine. They are verified and reported, and
	// nothing is installed.
	CNIAzure CNIType = "AzureCNI"
	CNIGKE   CNIType = "GKE"
	// CNIKubenet is gone from Kubernetes and always refused.
	CNIKubenet CNIType = "Kubenet"
	// CNIExternal means that somebody else installs the network plugin.
	CNIExternal CNIType = "External"
)

// Encapsulation is how pod traffic travels between nodes.
// +kubebuilder:validation:Enum=VXLAN;VXLANCrossSubnet;Geneve;IPIP;IPIPCrossSubnet;None
type Encapsulation string

// The encapsulations.
const (
	EncapsulationVXLAN  Encapsulation = "VXLAN"
	EncapsulationGeneve Encapsulation = "Geneve"
	// EncapsulationIPIP is Calico's; it carries IPv4 alone.
	EncapsulationIPIP Encapsulation = "IPIP"
	// EncapsulationVXLANCrossSubnet and EncapsulationIPIPCrossSubnet are Calico's: nodes of one subnet route natively, and
	// traffic between subnets is encapsulated.
	EncapsulationVXLANCrossSubnet Encapsulation = "VXLANCrossSubnet"
	EncapsulationIPIPCrossSubnet  Encapsulation = "IPIPCrossSubnet"
	// EncapsulationNone routes pod traffic natively; the nodes must share one layer-2 segment.
	EncapsulationNone Encapsulation = "None"
)

// EncryptionType is how pod traffic between nodes is encrypted.
// +kubebuilder:validation:Enum=None;WireGuard;IPsec;Password
type EncryptionType string

// The encryption types.
const (
	EncryptionNone      EncryptionType = "None"
	EncryptionWireGuard EncryptionType = "WireGuard"
	EncryptionIPsec     EncryptionType = "IPsec"
	// EncryptionPassword is Weave Net's: its agents derive keys from a password that all of them have.
	EncryptionPassword EncryptionType = "Password"
)

// CNISpec is the primary network plugin and how it carries traffic.
//
// +kubebuilder:validation:XValidation:rule="self.type != 'External' || (!has(self.encapsulation) && !has(self.encryption) && !has(self.version) && !has(self.namespace) && !has(self.chart) && !has(self.values) && !has(self.valuesFrom) && !has(self.driftMode) && !has(self.agents) && !has(self.networkPolicy) && !has(self.metrics))",message="with type External the CNI is not managed here: remove the other fields of cni, or name the CNI in type"
// +kubebuilder:validation:XValidation:rule="!(self.type in ['AzureCNI', 'GKE']) || (!has(self.encapsulation) && !has(self.encryption) && !has(self.version) && !has(self.namespace) && !has(self.chart) && !has(self.values) && !has(self.valuesFrom) && !has(self.driftMode) && !has(self.agents) && !has(self.networkPolicy) && !has(self.metrics))",message="AzureCNI and GKE are run by the cloud, and set up there: remove the other fields of cni"
// +kubebuilder:validation:XValidation:rule="self.type == 'AWSVPC' || !has(self.awsVPC)",fieldPath=".awsVPC",message="awsVPC is read only with type AWSVPC: remove it, or set type to AWSVPC"
// +kubebuilder:validation:XValidation:rule="self.type == 'Cilium' || !has(self.cilium)",fieldPath=".cilium",message="cilium is read only with type Cilium: remove it, or set type to Cilium"
// +kubebuilder:validation:XValidation:rule="!has(self.flowLogs) || self.flowLogs == 'Disabled' || self.type in ['Cilium', 'Calico']",fieldPath=".flowLogs",message="only Cilium and Calico record flows: remove flowLogs, or use type Cilium or Calico"
// +kubebuilder:validation:XValidation:rule="self.type != 'AWSVPC' || ((!has(self.encapsulation) || self.encapsulation == 'None') && (!has(self.encryption) || self.encryption.type == 'None'))",message="the AWS VPC CNI neither encapsulates nor encrypts: remove encapsulation and encryption, or use another type"
// +kubebuilder:validation:XValidation:rule="self.type != 'Kubenet'",fieldPath=".type",message="kubenet is gone from Kubernetes since 1.24: use Flannel, Cilium or Calico, or External for a cluster of AKS that still has it"
// +kubebuilder:validation:XValidation:rule="self.type == 'Calico' || !has(self.calico)",fieldPath=".calico",message="calico is read only with type Calico: remove it, or set type to Calico"
// +kubebuilder:validation:XValidation:rule="self.type == 'Calico' || !has(self.encapsulation) || !(self.encapsulation in ['VXLANCrossSubnet', 'IPIP', 'IPIPCrossSubnet'])",fieldPath=".encapsulation",message="IPIP and encapsulation across subnets only are Calico's: use VXLAN or None, or type Calico"
// +kubebuilder:validation:XValidation:rule="self.type != 'Calico' || !has(self.encapsulation) || self.encapsulation != 'Geneve'",fieldPath=".encapsulation",message="Calico has no Geneve: use VXLAN, IPIP or None, or type Cilium"
// +kubebuilder:validation:XValidation:rule="self.type != 'Calico' || !has(self.encryption) || self.encryption.type != 'IPsec'",fieldPath=".encryption.type",message="Calico has no IPsec: use WireGuard, or type Cilium"
// +kubebuilder:validation:XValidation:rule="self.type != 'Flannel' || !has(self.encapsulation) || self.encapsulation != 'Geneve'",fieldPath=".encapsulation",message="Flannel has no Geneve backend: use VXLAN or None, or type Cilium"
// +kubebuilder:validation:XValidation:rule="self.type != 'Flannel' || !has(self.encryption) || self.encryption.type != 'IPsec'",fieldPath=".encryption.type",message="Flannel's IPsec backend is experimental and not supported: use WireGuard, or type Cilium"
// +kubebuilder:validation:XValidation:rule="self.type != 'Flannel' || !has(self.encryption) || self.encryption.type != 'WireGuard' || !has(self.encapsulation)",fieldPath=".encapsulation",message="Flannel's WireGuard backend is itself the encapsulation: remove encapsulation, or set encryption.type to None"
// +kubebuilder:validation:XValidation:rule="self.type == 'WeaveNet' || !has(self.weaveNet)",fieldPath=".weaveNet",message="weaveNet is read only with type WeaveNet: remove it, or set type to WeaveNet"
// +kubebuilder:validation:XValidation:rule="self.type != 'WeaveNet' || (has(self.weaveNet) && has(self.weaveNet.acknowledgeLegacy) && self.weaveNet.acknowledgeLegacy)",fieldPath=".weaveNet",message="Weave Net is legacy, hardly looked after, and without IPv6: use Cilium, Calico or Flannel, or set weaveNet.acknowledgeLegacy to true"
// +kubebuilder:validation:XValidation:rule="self.type != 'WeaveNet' || !has(self.encapsulation) || self.encapsulation == 'VXLAN'",fieldPath=".encapsulation",message="Weave Net has an encapsulation of its own, which is VXLAN: remove encapsulation, or use another type"
// +kubebuilder:validation:XValidation:rule="self.type != 'WeaveNet' || !has(self.encryption) || self.encryption.type in ['None', 'Password']",fieldPath=".encryption.type",message="Weave Net encrypts by a password and in no other way: use Password, or another type of cni"
// +kubebuilder:validation:XValidation:rule="self.type == 'WeaveNet' || !has(self.encryption) || self.encryption.type != 'Password'",fieldPath=".encryption.type",message="only Weave Net encrypts by a password: use WireGuard with Cilium, Calico or Flannel, or IPsec with Cilium"
// +kubebuilder:validation:XValidation:rule="self.type != 'WeaveNet' || !has(self.__namespace__) || self.__namespace__ == 'kube-system'",fieldPath=".namespace",message="Weave Net's agents look for each other in kube-system and nowhere else: remove namespace"
// +kubebuilder:validation:XValidation:rule="self.type != 'Calico' || !has(self.networkPolicy) || self.networkPolicy != 'Disabled'",fieldPath=".networkPolicy",message="Calico always enforces NetworkPolicies: remove networkPolicy, or use another type"
// +kubebuilder:validation:XValidation:rule="self.type != 'Flannel' || !has(self.metrics) || (has(self.metrics.endpoints) && self.metrics.endpoints == 'Disabled')",fieldPath=".metrics",message="Flannel serves no metrics: remove metrics, or use type Cilium or Calico"
// +kubebuilder:validation:XValidation:rule="!(self.type in ['Calico', 'WeaveNet']) || !has(self.metrics) || !has(self.metrics.serviceMonitors) || self.metrics.serviceMonitors != 'Enabled'",fieldPath=".metrics.serviceMonitors",message="the charts of Calico and Weave Net make no ServiceMonitors: remove serviceMonitors, and make them beside the stack"
// +kubebuilder:validation:XValidation:rule="self.type != 'WeaveNet' || !has(self.metrics) || !has(self.metrics.endpoints) || self.metrics.endpoints != 'Disabled'",fieldPath=".metrics.endpoints",message="Weave Net always serves metrics: remove endpoints, or use another type"
// +kubebuilder:validation:XValidation:rule="has(self.__namespace__) == has(oldSelf.__namespace__) && (!has(self.__namespace__) || self.__namespace__ == oldSelf.__namespace__)",fieldPath=".namespace",message="the namespace of a live CNI cannot be changed: its agents would be installed twice. Restore the old one"
type CNISpec struct {
	// type of the network plugin. It cannot be changed on a live cluster.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the CNI of a live cluster cannot be changed in place: every pod would lose its network. Restore the old type"
	Type CNIType `json:"type,omitempty"`

	// encapsulation between nodes. Left out, VXLAN; with AWSVPC, None.
	// +optional
	Encapsulation Encapsulation `json:"encapsulation,omitempty"`

	// encryption of pod traffic between nodes. Left out, none.
	// +optional
	Encryption *EncryptionSpec `json:"encryption,omitempty"`

	// agents are the pods of the plugin that run on the nodes.
	// +optional
	Agents *AgentSettings `json:"agents,omitempty"`

	// networkPolicy says whether NetworkPolicies are enforced. Left out, as the plugin does by itself: Cilium, Calico
	// and WeaveNet enforce them, Flannel and AWSVPC do not.
	// +optional
	NetworkPolicy Toggle `json:"networkPolicy,omitempty"`

	// metrics says what Prometheus gets of the plugin. Left out, it is as the plugin does by itself.
	// +optional
	Metrics *MetricsSpec `json:"metrics,omitempty"`

	// calico holds what Calico needs beside the rest.
	// +optional
	Calico *CalicoSpec `json:"calico,omitempty"`

	// weaveNet holds what Weave Net needs beside the rest.
	// +optional
	WeaveNet *WeaveNetSpec `json:"weaveNet,omitempty"`

	// cilium holds what Cilium needs beside the rest.
	// +optional
	Cilium *CiliumSpec `json:"cilium,omitempty"`

	// flowLogs says whether the connections of pods are recorded: with Cilium, Hubble writes them to a file on each node;
	// with Calico, Goldmane collects them. Other network plugins have none. Left out, they are not.
	// +optional
	FlowLogs Toggle `json:"flowLogs,omitempty"`

	// awsVPC holds what the AWS VPC CNI needs beside the rest.
	// +optional
	AWSVPC *AWSVPCSpec `json:"awsVPC,omitempty"`

	ComponentSettings `json:",inline"`
}

// CalicoDataplane is how Calico programs the nodes' kernels.
// +kubebuilder:validation:Enum=IPTables;NFTables;BPF
type CalicoDataplane string

// Calico's data planes.
const (
	CalicoIPTables CalicoDataplane = "IPTables"
	CalicoNFTables CalicoDataplane = "NFTables"
	// CalicoBPF programs Services as well, in place of kube-proxy.
	CalicoBPF CalicoDataplane = "BPF"
)

// CalicoSpec holds settings of Calico.
type CalicoSpec struct {
	// dataplane of Linux nodes. Left out, it follows kubeProxy.mode: NFTables with NFTables, BPF with Replaced, else
	// IPTables.
	// +optional
	Dataplane CalicoDataplane `json:"dataplane,omitempty"`

	// bgp says whether nodes exchange routes by BGP. Left out, Enabled if a pool needs it (encapsulation IPIP,
	// IPIPCrossSubnet or None), else Disabled.
	// +optional
	BGP Toggle `json:"bgp,omitempty"`
}

// EncryptionSpec is a union: type, and the block of the same name.
//
// +kubebuilder:validation:XValidation:rule="!has(self.password) || self.type == 'Password'",fieldPath=".password",message="password is read only with type Password: remove it, or set type to Password"
// +kubebuilder:validation:XValidation:rule="!has(self.rotation) || self.type in ['IPsec', 'Password']",fieldPath=".rotation",message="only keys and passwords are rotated on request: remove rotation, or set type to IPsec or Password"
// +kubebuilder:validation:XValidation:rule="!has(self.ipsec) || self.type == 'IPsec'",fieldPath=".ipsec",message="ipsec is read only with type IPsec: remove it, or set type to IPsec"
type EncryptionSpec struct {
	// type of the encryption.
	// +required
	Type EncryptionType `json:"type,omitempty"`

	// rotation is any text, such as a date. When it becomes another one, the key or password that the operator made is made
	// anew; one that somebody else made is read anew where agents don't notice by themselves.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$`
	Rotation string `json:"rotation,omitempty"`

	// ipsec holds what IPsec needs beside the type.
	// +optional
	IPsec *IPsecSpec `json:"ipsec,omitempty"`

	// password holds what Password needs beside the type.
	// +optional
	Password *PasswordSpec `json:"password,omitempty"`
}

// PasswordSpec holds settings of encryption by a password.
type PasswordSpec struct {
	// secretName names a Secret with the password (key "password") in the CNI's namespace. The operator reads whether
	// there is one, and neither keeps nor shows it. Left out, the operator makes the Secret weave-net-password with a random password.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`
}

// IPsecSpec holds settings of IPsec.
type IPsecSpec struct {
	// secretName names a Secret with the keys in the CNI's namespace. Its key "keys" holds a line such as
	// "3+ rfc4106(gcm(aes)) 0123456789abcdef0123456789abcdef01234567 128", and another number from 1 to 15 with each new
	// key. The operator reads whether it has this form, and neither keeps nor shows it. Left out, the operator makes the
	// Secret cilium-ipsec-keys with a random key, unless somebody else has made one of this name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`
}

// KubeProxyMode says who programs Services, and how.
// +kubebuilder:validation:Enum=IPTables;NFTables;IPVS;Replaced;Unmanaged
type KubeProxyMode string

// The kube-proxy modes.
const (
	KubeProxyIPTables KubeProxyMode = "IPTables"
	KubeProxyNFTables KubeProxyMode = "NFTables"
	KubeProxyIPVS     KubeProxyMode = "IPVS"
	// KubeProxyReplaced lets the CNI program Services; kube-proxy is parked or not installed.
	KubeProxyReplaced KubeProxyMode = "Replaced"
	// KubeProxyUnmanaged leaves kube-proxy as it is found.
	KubeProxyUnmanaged KubeProxyMode = "Unmanaged"
)

// KubeProxySpec says who programs Services, and how.
//
// +kubebuilder:validation:XValidation:rule="!(self.mode in ['Replaced', 'Unmanaged']) || (!has(self.version) && !has(self.namespace) && !has(self.chart) && !has(self.values) && !has(self.valuesFrom) && !has(self.driftMode) && !has(self.agents))",message="with mode Replaced or Unmanaged no kube-proxy is installed: remove the other fields of kubeProxy, or choose IPTables or NFTables"
type KubeProxySpec struct {
	// mode of kube-proxy. It is always written explicitly into its configuration.
	// +required
	Mode KubeProxyMode `json:"mode,omitempty"`

	// cleanup says, with mode Replaced, whether what a kube-proxy left on the nodes is removed once none runs any more. Left
	// out, Disabled. It removes IPVS's tables as a whole, those of others included.
	// +optional
	Cleanup Toggle `json:"cleanup,omitempty"`

	// agents are kube-proxy's pods.
	// +optional
	Agents *AgentSettings `json:"agents,omitempty"`

	ComponentSettings `json:",inline"`
}

// Sources says where charts and images come from.
type Sources struct {
	// chartsDirectory is a directory in the operator's file system whose chart archives
	// (NAME-VERSION.tgz) are taken before any repository, after that of the --charts flag.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:Pattern=`^/.*$`
	ChartsDirectory string `json:"chartsDirectory,omitempty"`

	// mirrors replace chart repositories. The longest matching source wins.
	// +optional
	// +listType=map
	// +listMapKey=source
	// +kubebuilder:validation:MaxItems=32
	Mirrors []Mirror `json:"mirrors,omitempty"`

	// imageRegistry replaces the registry host of every container image of every component,
	// for example "registry.example.com/mirror". The rest of the image's name is kept.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]+)?(/[a-z0-9]+([._-][a-z0-9]+)*)*$`
	ImageRegistry string `json:"imageRegistry,omitempty"`
}

// Mirror replaces one chart repository by another.
type Mirror struct {
	// source is the repository to replace, or a prefix of it that ends at a "/".
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^(https?|oci)://.+$`
	Source string `json:"source,omitempty"`

	// mirror takes its place.
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^(https?|oci)://.+$`
	Mirror string `json:"mirror,omitempty"`
}

// UpgradeSpec says how changes are rolled out.
type UpgradeSpec struct {
	// replacement says which objects may be deleted and made again in order to change fields that Kubernetes lets nobody
	// change. Left out, Safe.
	// +optional
	Replacement ReplacementPolicy `json:"replacement,omitempty"`

	// progressDeadline is how long a roll-out may make no progress before it is reported as stalled. It goes on all
	// the same; nothing is uninstalled or rolled back. Left out, 5 minutes and 2 seconds more for each pod, at most
	// an hour.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="must be between 10s and 24h"
	ProgressDeadline *metav1.Duration `json:"progressDeadline,omitempty"`
}

// NetworkStack is the network of a cluster, written by its platform team. One per cluster takes
// effect, the oldest.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=netstack
// +kubebuilder:printcolumn:name="CNI",type=string,JSONPath=`.spec.cni.type`
// +kubebuilder:printcolumn:name="Kube-proxy",type=string,JSONPath=`.status.summary.kubeProxy`
// +kubebuilder:printcolumn:name="Components",type=string,JSONPath=`.status.summary.components`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NetworkStack struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the network the cluster shall have.
	// +required
	Spec NetworkStackSpec `json:"spec,omitzero"`

	// status is what the operator found, derived and did.
	// It starts with an observedGeneration of -1, so that a status nobody has written yet is never taken for success.
	// +optional
	// +kubebuilder:default:={observedGeneration:-1}
	Status NetworkStackStatus `json:"status,omitzero"`
}

// NetworkStackList is a list of NetworkStacks.
//
// +kubebuilder:object:root=true
type NetworkStackList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []NetworkStack `json:"items"`
}
