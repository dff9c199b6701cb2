package v1alpha1

// SecondaryNetworksType says who gives pods interfaces beside the one of the primary network plugin.
// +kubebuilder:validation:Enum=Multus;External
type SecondaryNetworksType string

// The ways to secondary networks.
const (
	// SecondaryNetworksMultus has Multus installed as a daemon on every node.
	SecondaryNetworksMultus SecondaryNetworksType = "Multus"
	// SecondaryNetworksExternal means that somebody else installs Multus, or another reader of NetworkAttachmentDefinitions.
	SecondaryNetworksExternal SecondaryNetworksType = "External"
)

// SecondaryNetworksSpec is what pods can be attached to beside the primary network.
//
// +kubebuilder:validation:XValidation:rule="self.type != 'External' || (!has(self.version) && !has(self.namespace) && !has(self.chart) && !has(self.values) && !has(self.valuesFrom))",message="with type External Multus is not managed here: remove version, namespace, chart, values and valuesFrom, or set type to Multus"
// +kubebuilder:validation:XValidation:rule="self.type != 'Multus' || oldSelf.type != 'Multus' || (has(self.__namespace__) == has(oldSelf.__namespace__) && (!has(self.__namespace__) || self.__namespace__ == oldSelf.__namespace__))",fieldPath=".namespace",message="the namespace of a live Multus cannot be changed: its daemons would be installed twice. Restore the old one"
type SecondaryNetworksSpec struct {
	// type says who installs the plugin that attaches pods.
	// +required
	Type SecondaryNetworksType `json:"type,omitempty"`

	// attachments are the networks, each a NetworkAttachmentDefinition. A pod asks for one by the annotation
	// k8s.v1.cni.cncf.io/networks. Changes concern pods that are made afterwards.
	// +optional
	// +listType=map
	// +listMapKey=namespace
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Attachments []NetworkAttachment `json:"attachments,omitempty"`

	ComponentSettings `json:",inline"`
}

// AttachmentType is the CNI plugin that makes a pod's interface.
// +kubebuilder:validation:Enum=Macvlan;IPVlan;Bridge;HostDevice;SRIOV
type AttachmentType string

// The attachment types.
const (
	AttachmentMacvlan    AttachmentType = "Macvlan"
	AttachmentIPVlan     AttachmentType = "IPVlan"
	AttachmentBridge     AttachmentType = "Bridge"
	AttachmentHostDevice AttachmentType = "HostDevice"
	AttachmentSRIOV      AttachmentType = "SRIOV"
)

// NetworkAttachment is a network that pods can be attached to. It is a union: type, and the block of the same name.
//
// +kubebuilder:validation:XValidation:rule="has(self.macvlan) == (self.type == 'Macvlan')",fieldPath=".macvlan",message="the block macvlan goes with type Macvlan: set both, or neither"
// +kubebuilder:validation:XValidation:rule="has(self.ipvlan) == (self.type == 'IPVlan')",fieldPath=".ipvlan",message="the block ipvlan goes with type IPVlan: set both, or neither"
// +kubebuilder:validation:XValidation:rule="has(self.bridge) == (self.type == 'Bridge')",fieldPath=".bridge",message="the block bridge goes with type Bridge: set both, or neither"
// +kubebuilder:validation:XValidation:rule="has(self.hostDevice) == (self.type == 'HostDevice')",fieldPath=".hostDevice",message="the block hostDevice goes with type HostDevice: set both, or neither"
// +kubebuilder:validation:XValidation:rule="has(self.sriov) == (self.type == 'SRIOV')",fieldPath=".sriov",message="the block sriov goes with type SRIOV: set both, or neither"
// +kubebuilder:validation:XValidation:rule="self.type != 'IPVlan' || (has(self.ipam) && self.ipam.type != 'None')",fieldPath=".ipam",message="type IPVlan works with addresses only: set ipam, or use type Macvlan"
type NetworkAttachment struct {
	// name of the NetworkAttachmentDefinition.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// namespace of the NetworkAttachmentDefinition. It has to be there.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// type of the CNI plugin. Its binary has to be on the nodes (/opt/cni/bin).
	// +required
	Type AttachmentType `json:"type,omitempty"`

	// macvlan holds what type Macvlan needs.
	// +optional
	Macvlan *MacvlanAttachment `json:"macvlan,omitempty"`

	// ipvlan holds what type IPVlan needs.
	// +optional
	IPVlan *IPVlanAttachment `json:"ipvlan,omitempty"`

	// bridge holds what type Bridge needs.
	// +optional
	Bridge *BridgeAttachment `json:"bridge,omitempty"`

	// hostDevice holds what type HostDevice needs.
	// +optional
	HostDevice *HostDeviceAttachment `json:"hostDevice,omitempty"`

	// sriov holds what type SRIOV needs.
	// +optional
	SRIOV *SRIOVAttachment `json:"sriov,omitempty"`

	// ipam says where addresses come from. Left out, None: interfaces get no address.
	// +optional
	IPAM *AttachmentIPAM `json:"ipam,omitempty"`
}

// MacvlanMode is how interfaces on one master reach each other.
// +kubebuilder:validation:Enum=Bridge;Private;VEPA;Passthru
type MacvlanMode string

// The modes of macvlan.
const (
	MacvlanBridge   MacvlanMode = "Bridge"
	MacvlanPrivate  MacvlanMode = "Private"
	MacvlanVEPA     MacvlanMode = "VEPA"
	MacvlanPassthru MacvlanMode = "Passthru"
)

// MacvlanAttachment gives a pod an interface with a MAC address of its own on an interface of its node.
type MacvlanAttachment struct {
	// master is the node's interface. Left out, the one of the node's default route.
	// +optional
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[^/:\s]+$`
	Master string `json:"master,omitempty"`

	// mode says how pods on one master reach each other. Left out, Bridge.
	// +optional
	Mode MacvlanMode `json:"mode,omitempty"`

	// mtu of the pod's interface in bytes. Left out, that of the master.
	// +optional
	// +kubebuilder:validation:Minimum=576
	// +kubebuilder:validation:Maximum=65536
	MTU int32 `json:"mtu,omitempty"`
}

// IPVlanMode is the layer at which packets change hands.
// +kubebuilder:validation:Enum=L2;L3;L3S
type IPVlanMode string

// The modes of ipvlan.
const (
	IPVlanL2  IPVlanMode = "L2"
	IPVlanL3  IPVlanMode = "L3"
	IPVlanL3S IPVlanMode = "L3S"
)

// IPVlanAttachment gives a pod an interface that shares the MAC address of an interface of its node.
type IPVlanAttachment struct {
	// master is the node's interface. Left out, the one of the node's default route.
	// +optional
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[^/:\s]+$`
	Master string `json:"master,omitempty"`

	// mode is the layer at which packets change hands. Left out, L2.
	// +optional
	Mode IPVlanMode `json:"mode,omitempty"`

	// mtu of the pod's interface in bytes. Left out, that of the master.
	// +optional
	// +kubebuilder:validation:Minimum=576
	// +kubebuilder:validation:Maximum=65536
	MTU int32 `json:"mtu,omitempty"`
}

// BridgeAttachment gives a pod a port of a Linux bridge on its node. The bridge is made when it is not there.
type BridgeAttachment struct {
	// bridge is the interface name of the bridge.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[^/:\s]+$`
	Bridge string `json:"bridge,omitempty"`

	// vlan is the VLAN ID of the pod's port. Left out, the port carries no tag.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4094
	VLAN int32 `json:"vlan,omitempty"`

	// mtu of the bridge and of the pod's interface in bytes. Left out, the kernel's.
	// +optional
	// +kubebuilder:validation:Minimum=576
	// +kubebuilder:validation:Maximum=65536
	MTU int32 `json:"mtu,omitempty"`

	// macSpoofCheck drops packets of pods with a MAC address that is not theirs. Left out, Disabled.
	// +optional
	MACSpoofCheck Toggle `json:"macSpoofCheck,omitempty"`
}

// HostDeviceAttachment moves a device of the node into the pod, which has it alone.
//
// +kubebuilder:validation:XValidation:rule="has(self.device) != has(self.pciBusID)",message="name the device by its interface (device) or by its PCI address (pciBusID): one of them"
type HostDeviceAttachment struct {
	// device is the name of the node's interface.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[^/:\s]+$`
	Device string `json:"device,omitempty"`

	// pciBusID is the PCI address of the device, such as 0000:00:1f.6.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`
	PCIBusID string `json:"pciBusID,omitempty"`
}

// SRIOVAttachment gives a pod a virtual function of a network card. Which cards there are, a device plugin says.
type SRIOVAttachment struct {
	// resourceName is the extended resource of the virtual functions, as the device plugin advertises it, for example
	// example.com/sriov_a. A pod has to request it.
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	ResourceName string `json:"resourceName,omitempty"`

	// vlan is the VLAN ID that the card puts on the pod's packets. Left out, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4094
	VLAN int32 `json:"vlan,omitempty"`

	// spoofCheck has the card drop packets with a MAC address that is not the function's. Left out, as the driver has it.
	// +optional
	SpoofCheck Toggle `json:"spoofCheck,omitempty"`

	// trust lets the pod change the function's MAC address and take packets for others. Left out, as the driver has it.
	// +optional
	Trust Toggle `json:"trust,omitempty"`
}

// AttachmentIPAMType is the IPAM plugin.
// +kubebuilder:validation:Enum=HostLocal;Static;DHCP;Whereabouts;None
type AttachmentIPAMType string

// The IPAM plugins of attachments.
const (
	// AttachmentHostLocal keeps its books on each node by itself.
	AttachmentHostLocal AttachmentIPAMType = "HostLocal"
	// AttachmentStatic gives the addresses of the spec, or those that the pod asks for.
	AttachmentStatic AttachmentIPAMType = "Static"
	// AttachmentDHCP asks a DHCP server, by way of a daemon on the node.
	AttachmentDHCP AttachmentIPAMType = "DHCP"
	// AttachmentWhereabouts keeps its books in the cluster.
	AttachmentWhereabouts AttachmentIPAMType = "Whereabouts"
	// AttachmentNone gives no addresses.
	AttachmentNone AttachmentIPAMType = "None"
)

// AttachmentIPAM says where a pod's addresses on an attachment come from.
//
// +kubebuilder:validation:XValidation:rule="has(self.ranges) == (self.type in ['HostLocal', 'Whereabouts'])",fieldPath=".ranges",message="types HostLocal and Whereabouts need ranges, and no other type takes them"
// +kubebuilder:validation:XValidation:rule="!has(self.addresses) || self.type == 'Static'",fieldPath=".addresses",message="only type Static takes addresses: remove them, or set type to Static"
// +kubebuilder:validation:XValidation:rule="!has(self.routes) || self.type in ['HostLocal', 'Static', 'Whereabouts']",fieldPath=".routes",message="routes come from the DHCP server, or need addresses: remove them, or use HostLocal, Static or Whereabouts"
// +kubebuilder:validation:XValidation:rule="self.type == 'Whereabouts' || !has(self.ranges) || self.ranges.all(r, !has(r.exclude))",fieldPath=".ranges",message="only type Whereabouts takes exclude: use rangeStart and rangeEnd, or set type to Whereabouts"
// +kubebuilder:validation:XValidation:rule="self.type != 'Whereabouts' || !has(self.ranges) || self.ranges.filter(r, has(r.gateway)).size() <= 1",fieldPath=".ranges",message="Whereabouts takes one gateway: leave it out of the other ranges"
type AttachmentIPAM struct {
	// type of the IPAM plugin. Whereabouts has to be installed, with its CustomResourceDefinitions; DHCP needs its daemon on
	// every node.
	// +required
	Type AttachmentIPAMType `json:"type,omitempty"`

	// ranges of HostLocal and Whereabouts. A pod gets one address of each.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Ranges []AttachmentRange `json:"ranges,omitempty"`

	// addresses of Static. Left out, a pod states its own in its annotation (ips).
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Addresses []AttachmentAddress `json:"addresses,omitempty"`

	// routes that pods get for this interface.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Routes []AttachmentRoute `json:"routes,omitempty"`
}

// AttachmentRange is a range that addresses are handed out of.
type AttachmentRange struct {
	// subnet is the network, written canonically.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=49
	// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="not a network: write its address and prefix length, such as 192.168.50.0/24"
	Subnet string `json:"subnet,omitempty"`

	// rangeStart is the first address handed out. Left out, the first of the subnet.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="not an IP address"
	RangeStart string `json:"rangeStart,omitempty"`

	// rangeEnd is the last address handed out. Left out, the last of the subnet.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="not an IP address"
	RangeEnd string `json:"rangeEnd,omitempty"`

	// gateway of the subnet. It is not handed out.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="not an IP address"
	Gateway string `json:"gateway,omitempty"`

	// exclude are parts of the subnet that Whereabouts does not hand out.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=49
	// +kubebuilder:validation:XValidation:rule="self.all(c, isCIDR(c) && cidr(c) == cidr(c).masked())",message="not a network: write its address and prefix length, such as 192.168.50.128/28"
	Exclude []string `json:"exclude,omitempty"`
}

// AttachmentAddress is an address of type Static.
type AttachmentAddress struct {
	// address with the prefix length of its network, such as 192.168.50.10/24.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=49
	// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="not an address with a prefix length: write it such as 192.168.50.10/24"
	Address string `json:"address,omitempty"`

	// gateway of the address's network.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="not an IP address"
	Gateway string `json:"gateway,omitempty"`
}

// AttachmentRoute is a route by way of an attachment.
type AttachmentRoute struct {
	// destination is the network that the route leads to, written canonically.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=49
	// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="not a network: write its address and prefix length, such as 172.20.0.0/16"
	Destination string `json:"destination,omitempty"`

	// gateway that the route goes by. Left out, that of the range or address.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="not an IP address"
	Gateway string `json:"gateway,omitempty"`
}
