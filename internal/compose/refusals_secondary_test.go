package compose

import (
	"fmt"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// secondary asks for Multus and attachments.
func secondary(attachments ...NetworkAttachment) func(*Input) {
	return spec(func(s *NetworkStackSpec) {
		s.SecondaryNetworks = &SecondaryNetworksSpec{Type: SecondaryNetworksMultus, Attachments: attachments}
	})
}

// secondarySpec edits secondaryNetworks.
func secondarySpec(edit func(*SecondaryNetworksSpec)) func(*Input) {
	return spec(func(s *NetworkStackSpec) { edit(s.SecondaryNetworks) })
}

// externalMultus has somebody else look after Multus.
func externalMultus(in *Input) { in.Stack.Spec.SecondaryNetworks.Type = SecondaryNetworksExternal }

func multusValue(v any) func(*Input) {
	return secondarySpec(func(s *SecondaryNetworksSpec) { s.Values = rawValues(v) })
}

// found adds agents to the cluster.
func found(list ...facts.Installed) func(*Input) {
	return func(in *Input) { in.Facts.Installed = append(in.Facts.Installed, list...) }
}

var (
	foreignMultus = facts.Installed{Type: facts.InstalledMultus, Namespace: "kube-system", Name: "kube-multus-ds", Source: "kubectl"}
	keptMultus    = facts.Installed{Type: facts.InstalledMultus, Namespace: "openshift-multus", Name: "multus", Manager: "OpenShift", Kept: true}
	whereabouts   = facts.Installed{Type: facts.InstalledWhereabouts, Namespace: "kube-system", Name: "whereabouts"}
)

// bridge is an attachment that nothing is said against, then edited.
func bridge(name string, edits ...func(*NetworkAttachment)) NetworkAttachment {
	a := NetworkAttachment{
		Name: name, Namespace: "default", Type: AttachmentBridge, Bridge: &BridgeAttachment{Bridge: "br-" + name},
		IPAM: &AttachmentIPAM{Type: AttachmentHostLocal, Ranges: []AttachmentRange{{Subnet: "192.168.50.0/24"}}},
	}
	for _, edit := range edits {
		edit(&a)
	}
	return a
}

// lan is an attachment to the nodes' own network, without addresses, then edited.
func lan(edits ...func(*NetworkAttachment)) NetworkAttachment {
	a := NetworkAttachment{Name: "lan", Namespace: "default", Type: AttachmentMacvlan, Macvlan: &MacvlanAttachment{Master: "eth1"}}
	for _, edit := range edits {
		edit(&a)
	}
	return a
}

// ipvlan is an IPVlan attachment, then edited.
func ipvlan(edits ...func(*NetworkAttachment)) NetworkAttachment {
	a := NetworkAttachment{Name: "ipv", Namespace: "default", Type: AttachmentIPVlan, IPVlan: &IPVlanAttachment{Master: "eth2"}, IPAM: pool50()}
	for _, edit := range edits {
		edit(&a)
	}
	return a
}

func pool50() *AttachmentIPAM {
	return &AttachmentIPAM{Type: AttachmentWhereabouts, Ranges: []AttachmentRange{{Subnet: "192.168.50.0/24"}}}
}

func ipam(i AttachmentIPAM) func(*NetworkAttachment) {
	return func(a *NetworkAttachment) { a.IPAM = &i }
}

// rangeOf gives addresses by HostLocal.
func rangeOf(r AttachmentRange) func(*NetworkAttachment) {
	return ipam(AttachmentIPAM{Type: AttachmentHostLocal, Ranges: []AttachmentRange{r}})
}

func static(address, gateway string) func(*NetworkAttachment) {
	return ipam(AttachmentIPAM{Type: AttachmentStatic, Addresses: []AttachmentAddress{{Address: address, Gateway: gateway}}})
}

func route(destination, gateway string) func(*NetworkAttachment) {
	return func(a *NetworkAttachment) {
		a.IPAM.Routes = append(a.IPAM.Routes, AttachmentRoute{Destination: destination, Gateway: gateway})
	}
}

func device(d HostDeviceAttachment) NetworkAttachment {
	return NetworkAttachment{Name: "dev", Namespace: "default", Type: AttachmentHostDevice, HostDevice: &d}
}

func virtualFunction(v SRIOVAttachment) NetworkAttachment {
	return NetworkAttachment{Name: "vf", Namespace: "default", Type: AttachmentSRIOV, SRIOV: &v}
}

// secondaryFindings are those of secondary networks.
func secondaryFindings() []finding {
	with := func(attachments ...NetworkAttachment) Input { return flannel(secondary(attachments...)) }
	oneNode := cluster(func(s *facts.Snapshot) { s.Nodes = s.Nodes[:1] })
	old := func(version string) object { return object{"config": object{"cniVersion": version}} }
	conf := func(version string) func(*Input) {
		return values(object{"flannel": object{"cniConf": fmt.Sprintf(`{"cniVersion": %q, "name": "cbr0", "plugins": [{"type": "flannel"}]}`, version)}})
	}
	exclusive := func(v any) func(*Input) { return values(object{"cni": object{"exclusive": v}}) }
	return []finding{
		{name: "Multus and a bridge", in: with(bridge("a"))},
		{name: "Multus without attachments", in: with()},
		{name: "Multus beside Cilium", in: cilium(secondary(bridge("a")))},
		{name: "Multus beside an external CNI", in: external(secondary(bridge("a")))},
		{name: "Multus by somebody else", in: flannel(secondary(bridge("a")), externalMultus, found(foreignMultus))},
		{name: "Multus by somebody else, and fields of ours", in: flannel(secondary(), externalMultus, found(foreignMultus), multusValue(object{"a": 1}), secondarySpec(func(s *SecondaryNetworksSpec) { s.Version, s.Namespace = "4.3.0", "multus" })), errors: []string{
			"spec.secondaryNetworks.version: Forbidden: with type External Multus is not managed here: remove it, or set type to Multus [SECONDARY-EXTERNAL-FIELD]",
			"spec.secondaryNetworks.namespace: Forbidden: with type External Multus is not managed here: remove it, or set type to Multus [SECONDARY-EXTERNAL-FIELD]",
			"spec.secondaryNetworks.values: Forbidden: with type External Multus is not managed here: remove it, or set type to Multus [SECONDARY-EXTERNAL-FIELD]",
		}},
		{name: "Multus by nobody", in: flannel(secondary(bridge("a")), externalMultus), warnings: []string{
			"spec.secondaryNetworks.type: External, and no Multus was found: attachments have no effect, and no kind to be of, until one is installed; or set type to Multus [SECONDARY-NONE-FOUND]",
		}},
		{name: "Multus that is there already", in: flannel(secondary(), found(foreignMultus)), errors: []string{
			`spec.secondaryNetworks.type: Invalid value: "Multus": DaemonSet kube-system/kube-multus-ds is Multus already, made by kubectl: set spec.adoption to Adopt to take it over (status.adoption of NetworkComponent multus says what that changes), or set secondaryNetworks.type to External to leave it there [ADOPT-NOT-ASKED]`,
		}},
		{name: "Multus that is there already, taken over", in: flannel(secondary(), found(foreignMultus), spec(func(s *NetworkStackSpec) { s.Adoption = AdoptionAdopt }))},
		{name: "Multus that somebody keeps", in: flannel(secondary(), found(keptMultus)), errors: []string{
			`spec.secondaryNetworks.type: Invalid value: "Multus": DaemonSet openshift-multus/multus is Multus, managed by "OpenShift", which would undo every change, so it is never taken over: set secondaryNetworks.type to External to leave it there, or remove it where it is managed [ADOPT-MANAGED]`,
		}},
		{name: "an unknown type of secondary networks", in: flannel(secondary(), secondarySpec(func(s *SecondaryNetworksSpec) { s.Type = "Danm" })), errors: []string{
			`spec.secondaryNetworks.type: Unsupported value: "Danm": supported values: "Multus", "External" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "unknown words of attachments", in: with(lan(func(a *NetworkAttachment) { a.Macvlan.Mode = "bridge" }), ipvlan(func(a *NetworkAttachment) { a.IPVlan.Mode = "l4" }), bridge("a", func(a *NetworkAttachment) { a.Bridge.MACSpoofCheck = "on"; a.IPAM.Type = "host-local" }), virtualFunction(SRIOVAttachment{ResourceName: "example.com/a", SpoofCheck: "on", Trust: "off"}), NetworkAttachment{Name: "x", Namespace: "default", Type: "VLAN"}), errors: []string{
			`spec.secondaryNetworks.attachments[0].macvlan.mode: Unsupported value: "bridge": supported values: "Bridge", "Private", "VEPA", "Passthru" [STACK-UNKNOWN-VALUE]`,
			`spec.secondaryNetworks.attachments[1].ipvlan.mode: Unsupported value: "l4": supported values: "L2", "L3", "L3S" [STACK-UNKNOWN-VALUE]`,
			`spec.secondaryNetworks.attachments[2].bridge.macSpoofCheck: Unsupported value: "on": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
			`spec.secondaryNetworks.attachments[2].ipam.type: Unsupported value: "host-local": supported values: "HostLocal", "Static", "DHCP", "Whereabouts", "None" [STACK-UNKNOWN-VALUE]`,
			`spec.secondaryNetworks.attachments[3].sriov.spoofCheck: Unsupported value: "on": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
			`spec.secondaryNetworks.attachments[3].sriov.trust: Unsupported value: "off": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
			`spec.secondaryNetworks.attachments[4].type: Unsupported value: "VLAN": supported values: "Macvlan", "IPVlan", "Bridge", "HostDevice", "SRIOV" [STACK-UNKNOWN-VALUE]`,
			"spec.secondaryNetworks.attachments[2].ipam.ranges: Forbidden: only types HostLocal and Whereabouts take them: remove them, or choose one of these [SECONDARY-IPAM-FIELD]",
			`spec.secondaryNetworks.attachments[2].ipam.ranges[0].subnet: Invalid value: "192.168.50.0/24": gives addresses that spec.secondaryNetworks.attachments[1].ipam.ranges[0].subnet (192.168.50.0/24) gives, too: give each its own part, or use Whereabouts for both [SECONDARY-OVERLAP]`,
		}, warnings: []string{
			"spec.secondaryNetworks.attachments[1].ipam.type: no Whereabouts was found; pods of this attachment do not start without: install it with its CustomResourceDefinitions, or use another type [SECONDARY-WHEREABOUTS]",
		}},
		{name: "Windows nodes beside secondary networks", in: flannel(secondary(), cluster(func(s *facts.Snapshot) { s.Nodes[2].OS = "windows" })), warnings: []string{
			"spec.cni.type: node n3 runs Windows; Flannel is installed on Linux nodes only [WINDOWS-NODES]",
			"spec.secondaryNetworks.type: 1 of 3 nodes run Windows, where there is no Multus: keep pods that need a secondary network on Linux nodes [SECONDARY-WINDOWS]",
		}},
		{name: "an exclusive Cilium", in: cilium(secondary(), exclusive(true)), errors: []string{
			"spec.cni.values: Invalid value: values.cni.exclusive may only be false: secondaryNetworks are wanted, and an exclusive Cilium puts the configuration of other plugins aside; remove values.cni.exclusive [SECONDARY-CILIUM-EXCLUSIVE]",
		}},
		{name: "a Cilium that is told no, and no it is", in: cilium(secondary(), exclusive(false))},
		{name: "a Cilium whose exclusiveness is unset", in: cilium(secondary(), exclusive(nil)), errors: []string{
			"spec.cni.values: Invalid value: values.cni.exclusive may only be false: secondaryNetworks are wanted, and an exclusive Cilium puts the configuration of other plugins aside; remove values.cni.exclusive [SECONDARY-CILIUM-EXCLUSIVE]",
		}},
		{name: "a Cilium without cni", in: cilium(secondary(), values(object{"cni": nil})), errors: []string{
			"spec.cni.values: Invalid value: values.cni.exclusive may only be false: secondaryNetworks are wanted, and an exclusive Cilium puts the configuration of other plugins aside; remove values.cni [SECONDARY-CILIUM-EXCLUSIVE]",
		}},
		{name: "an exclusive Cilium beside a Multus of others", in: cilium(exclusive(true), found(foreignMultus)), errors: []string{
			"spec.cni.values: Invalid value: values.cni.exclusive may only be false: DaemonSet kube-system/kube-multus-ds is a Multus, and an exclusive Cilium puts its configuration aside; remove values.cni.exclusive [SECONDARY-CILIUM-EXCLUSIVE]",
		}},
		{name: "an exclusive Cilium alone", in: cilium(exclusive(true))},
		{name: "an exclusive Cilium beside a Multus that has yet to go", in: cilium(exclusive(true), func(in *Input) { in.Existing = map[string]NetworkComponentSpec{"multus": {Type: TypeMultus}} }), errors: []string{
			"spec.cni.values: Invalid value: values.cni.exclusive may only be false: Multus is still there, and an exclusive Cilium puts the configuration of other plugins aside; remove values.cni.exclusive [SECONDARY-CILIUM-EXCLUSIVE]",
		}},
		{name: "a newer CNI version than Flannel's", in: flannel(secondary(), multusValue(old("1.0.0"))), errors: []string{
			"spec.secondaryNetworks.values: Invalid value: values.config.cniVersion 1.0.0 needs a configuration of Flannel of 0.4.0 or newer, and it states 0.3.1; Multus stops on start: remove the value, or raise cniVersion in cni.values.flannel.cniConf [SECONDARY-CNI-VERSION]",
		}},
		{name: "a newer CNI version, as Flannel's", in: flannel(secondary(), conf("1.0.0"), multusValue(old("1.0.0")))},
		{name: "a newer CNI version than is known of Cilium's", in: cilium(secondary(), multusValue(old("1.0.0"))), warnings: []string{
			"spec.secondaryNetworks.values: values.config.cniVersion 1.0.0 needs a configuration of the primary network plugin of 0.4.0 or newer, or Multus stops on start: make sure of it, or remove the value [SECONDARY-CNI-VERSION-UNKNOWN]",
		}},
		{name: "an old CNI version beside Cilium", in: cilium(secondary(), multusValue(old("0.3.0")))},
		{name: "attachments without names", in: with(bridge("", func(a *NetworkAttachment) { a.Namespace = ""; a.Bridge.Bridge = "br0" })), errors: []string{
			"spec.secondaryNetworks.attachments[0].name: Required value: state name and namespace of the NetworkAttachmentDefinition [SECONDARY-NAME]",
			"spec.secondaryNetworks.attachments[0].namespace: Required value: state name and namespace of the NetworkAttachmentDefinition [SECONDARY-NAME]",
		}},
		{name: "attachments with names that hold a namespace", in: with(bridge("a", func(a *NetworkAttachment) { a.Name, a.Namespace = "media/lan", "Media" })), errors: []string{
			`spec.secondaryNetworks.attachments[0].name: Invalid value: "media/lan": use lower-case letters, digits and "-"; name and namespace have a field each [SECONDARY-NAME]`,
			`spec.secondaryNetworks.attachments[0].namespace: Invalid value: "Media": use lower-case letters, digits and "-"; name and namespace have a field each [SECONDARY-NAME]`,
		}},
		{name: "an attachment twice", in: with(bridge("a", ipam(AttachmentIPAM{Type: AttachmentNone})), bridge("a")), errors: []string{
			`spec.secondaryNetworks.attachments[1]: Duplicate value: "default/a": give each attachment of a namespace a name of its own [SECONDARY-NAME-TWICE]`,
		}},
		{name: "an attachment's name in two namespaces", in: with(bridge("a", ipam(AttachmentIPAM{Type: AttachmentNone})), bridge("a", func(a *NetworkAttachment) { a.Namespace = "media" }))},
		{name: "an attachment without its block", in: with(bridge("a", func(a *NetworkAttachment) { a.Bridge = nil })), errors: []string{
			"spec.secondaryNetworks.attachments[0].bridge: Required value: type Bridge needs it [SECONDARY-BLOCK]",
		}},
		{name: "an attachment with another block", in: with(bridge("a", func(a *NetworkAttachment) { a.Macvlan = &MacvlanAttachment{Master: "eth1"} })), errors: []string{
			"spec.secondaryNetworks.attachments[0].macvlan: Forbidden: is read only with type Macvlan: remove it, or set type to Macvlan [SECONDARY-BLOCK]",
		}},
		{name: "an interface with too long a name", in: with(lan(func(a *NetworkAttachment) { a.Macvlan.Master = "enp0s31f6.4000.1" })), errors: []string{
			`spec.secondaryNetworks.attachments[0].macvlan.master: Invalid value: "enp0s31f6.4000.1": is no name of an interface: use at most 15 characters without "/", ":" and blanks [SECONDARY-INTERFACE]`,
		}},
		{name: "an interface with an alias", in: with(lan(func(a *NetworkAttachment) { a.Macvlan.Master = "eth0:1" })), errors: []string{
			`spec.secondaryNetworks.attachments[0].macvlan.master: Invalid value: "eth0:1": is no name of an interface: use at most 15 characters without "/", ":" and blanks [SECONDARY-INTERFACE]`,
		}},
		{name: "a bridge without a name", in: with(bridge("a", func(a *NetworkAttachment) { a.Bridge.Bridge = "" })), errors: []string{
			"spec.secondaryNetworks.attachments[0].bridge.bridge: Required value: name the interface [SECONDARY-INTERFACE]",
		}},
		{name: "a host device by two names", in: with(device(HostDeviceAttachment{Device: "eth3", PCIBusID: "0000:00:1f.6"})), errors: []string{
			"spec.secondaryNetworks.attachments[0].hostDevice: Invalid value: name the device by its interface (device) or by its PCI address (pciBusID): one of them [SECONDARY-INTERFACE]",
		}},
		{name: "a host device by no name", in: with(device(HostDeviceAttachment{})), errors: []string{
			"spec.secondaryNetworks.attachments[0].hostDevice: Invalid value: name the device by its interface (device) or by its PCI address (pciBusID): one of them [SECONDARY-INTERFACE]",
		}},
		{name: "host devices", in: with(device(HostDeviceAttachment{Device: "eth3"}))},
		{name: "the loopback interface", in: with(device(HostDeviceAttachment{Device: "lo"})), errors: []string{
			`spec.secondaryNetworks.attachments[0].hostDevice.device: Invalid value: "lo": is the loopback interface: name another one [SECONDARY-INTERFACE-TAKEN]`,
		}},
		{name: "Flannel's bridge", in: with(bridge("a", func(a *NetworkAttachment) { a.Bridge.Bridge = "cni0" })), errors: []string{
			`spec.secondaryNetworks.attachments[0].bridge.bridge: Invalid value: "cni0": belongs to Flannel: name another one [SECONDARY-INTERFACE-TAKEN]`,
		}},
		{name: "Cilium's interface", in: cilium(secondary(lan(func(a *NetworkAttachment) { a.Macvlan.Master = "cilium_host" }))), errors: []string{
			`spec.secondaryNetworks.attachments[0].macvlan.master: Invalid value: "cilium_host": belongs to Cilium: name another one [SECONDARY-INTERFACE-TAKEN]`,
		}},
		{name: "Flannel's bridge without Flannel", in: cilium(secondary(bridge("a", func(a *NetworkAttachment) { a.Bridge.Bridge = "cni0" })))},
		{name: "one master for two types", in: flannel(secondary(lan(), ipvlan(func(a *NetworkAttachment) { a.IPVlan.Master = "eth1" })), found(whereabouts)), errors: []string{
			`spec.secondaryNetworks.attachments[1].ipvlan.master: Invalid value: "eth1": eth1 is the master of a Macvlan attachment already, and cannot be that of both types: name another one, or make both of one type [SECONDARY-MASTER-SHARED]`,
		}},
		{name: "the default master for two types", in: flannel(secondary(lan(func(a *NetworkAttachment) { a.Macvlan.Master = "" }), ipvlan(func(a *NetworkAttachment) { a.IPVlan.Master = "" })), found(whereabouts)), errors: []string{
			`spec.secondaryNetworks.attachments[1].ipvlan.master: Invalid value: "": the interface of the default route is the master of a Macvlan attachment already, and cannot be that of both types: name another one, or make both of one type [SECONDARY-MASTER-SHARED]`,
		}},
		{name: "one master twice", in: with(lan(), lan(func(a *NetworkAttachment) { a.Name = "b" }))},
		{name: "an MTU that no interface has", in: with(bridge("a", func(a *NetworkAttachment) { a.Bridge.MTU = 100 })), errors: []string{
			"spec.secondaryNetworks.attachments[0].bridge.mtu: Invalid value: 100: must be from 576 to 65536, or left out [SECONDARY-MTU-RANGE]",
		}},
		{name: "an MTU too small for IPv6", in: with(bridge("a", rangeOf(AttachmentRange{Subnet: "fd00:50::/64"}), func(a *NetworkAttachment) { a.Bridge.MTU = 1000 })), errors: []string{
			"spec.secondaryNetworks.attachments[0].bridge.mtu: Invalid value: 1000: IPv6 needs an MTU of at least 1280: raise it, or leave it out [SECONDARY-MTU-IPV6]",
		}},
		{name: "an MTU beyond the nodes'", in: flannel(secondary(lan(func(a *NetworkAttachment) { a.Macvlan.MTU = 9000 }), bridge("a", func(a *NetworkAttachment) { a.Bridge.MTU = 9000 })), nodeMTUs(1500, 9000, 9000)), warnings: []string{
			"spec.secondaryNetworks.attachments[0].macvlan.mtu: 9000 exceeds 1500 of node n1, and pods do not start on a master with less: lower it, unless the master is another interface [SECONDARY-MTU-NODES]",
		}},
		{name: "an MTU as the nodes'", in: flannel(secondary(ipvlan(func(a *NetworkAttachment) { a.IPVlan.MTU = 1500 })), nodeMTUs(1500, 9000, 9000), found(whereabouts))},
		{name: "an IPVlan's MTU", in: flannel(secondary(ipvlan(func(a *NetworkAttachment) { a.IPVlan.MTU = 9000 })), nodeMTUs(1500, 9000, 9000), found(whereabouts)), warnings: []string{
			"spec.secondaryNetworks.attachments[0].ipvlan.mtu: 9000 exceeds 1500 of node n1, and pods do not start on a master with less: lower it, unless the master is another interface [SECONDARY-MTU-NODES]",
		}},
		{name: "VLANs that there are not", in: with(bridge("a", func(a *NetworkAttachment) { a.Bridge.VLAN = 4095 }), virtualFunction(SRIOVAttachment{ResourceName: "example.com/a", VLAN: -1})), errors: []string{
			"spec.secondaryNetworks.attachments[0].bridge.vlan: Invalid value: 4095: must be from 1 to 4094 [SECONDARY-VLAN]",
			"spec.secondaryNetworks.attachments[1].sriov.vlan: Invalid value: -1: must be from 1 to 4094 [SECONDARY-VLAN]",
		}},
		{name: "a virtual function without a resource", in: with(virtualFunction(SRIOVAttachment{})), errors: []string{
			`spec.secondaryNetworks.attachments[0].sriov.resourceName: Invalid value: "": name the extended resource that the device plugin advertises, such as example.com/sriov_a [SECONDARY-SRIOV-RESOURCE]`,
		}},
		{name: "a virtual function by a device's name", in: with(virtualFunction(SRIOVAttachment{ResourceName: "ens1f0"})), errors: []string{
			`spec.secondaryNetworks.attachments[0].sriov.resourceName: Invalid value: "ens1f0": name the extended resource that the device plugin advertises, such as example.com/sriov_a [SECONDARY-SRIOV-RESOURCE]`,
		}},
		{name: "a virtual function", in: with(virtualFunction(SRIOVAttachment{ResourceName: "example.com/sriov_a", VLAN: 7, Trust: Enabled}))},
		{name: "HostLocal without ranges", in: with(bridge("a", ipam(AttachmentIPAM{Type: AttachmentHostLocal}))), errors: []string{
			"spec.secondaryNetworks.attachments[0].ipam.ranges: Required value: type HostLocal needs at least one [SECONDARY-IPAM-FIELD]",
		}},
		{name: "fields of other IPAM types", in: with(bridge("a", ipam(AttachmentIPAM{Type: AttachmentNone, Ranges: []AttachmentRange{{Subnet: "192.168.50.0/24"}}, Addresses: []AttachmentAddress{{Address: "192.168.60.1/24"}}, Routes: []AttachmentRoute{{Destination: "192.168.70.0/24"}}}))), errors: []string{
			"spec.secondaryNetworks.attachments[0].ipam.ranges: Forbidden: only types HostLocal and Whereabouts take them: remove them, or choose one of these [SECONDARY-IPAM-FIELD]",
			"spec.secondaryNetworks.attachments[0].ipam.addresses: Forbidden: only type Static takes them: remove them, or set type to Static [SECONDARY-IPAM-FIELD]",
			"spec.secondaryNetworks.attachments[0].ipam.routes: Forbidden: they come from the DHCP server, or need addresses: remove them, or use HostLocal, Static or Whereabouts [SECONDARY-IPAM-FIELD]",
		}},
		{name: "HostLocal with exclude", in: with(bridge("a", rangeOf(AttachmentRange{Subnet: "192.168.50.0/24", Exclude: []string{"192.168.50.0/28"}}))), errors: []string{
			"spec.secondaryNetworks.attachments[0].ipam.ranges[0].exclude: Forbidden: only type Whereabouts takes it: use rangeStart and rangeEnd, or set type to Whereabouts [SECONDARY-IPAM-FIELD]",
		}},
		{name: "Whereabouts with two gateways", in: flannel(secondary(lan(ipam(AttachmentIPAM{Type: AttachmentWhereabouts, Ranges: []AttachmentRange{{Subnet: "192.168.50.0/24", Gateway: "192.168.50.1"}, {Subnet: "fd00:50::/64", Gateway: "fd00:50::1"}}}))), found(whereabouts)), errors: []string{
			"spec.secondaryNetworks.attachments[0].ipam.ranges[1].gateway: Forbidden: Whereabouts takes one gateway: leave it out of the other ranges [SECONDARY-IPAM-FIELD]",
		}},
		{name: "Whereabouts that is not there", in: with(ipvlan()), warnings: []string{
			"spec.secondaryNetworks.attachments[0].ipam.type: no Whereabouts was found; pods of this attachment do not start without: install it with its CustomResourceDefinitions, or use another type [SECONDARY-WHEREABOUTS]",
		}},
		{name: "IPVlan without addresses", in: with(ipvlan(func(a *NetworkAttachment) { a.IPAM = nil }), ipvlan(func(a *NetworkAttachment) { a.Name = "b"; a.IPAM.Type = AttachmentNone; a.IPAM.Ranges = nil })), errors: []string{
			"spec.secondaryNetworks.attachments[0].ipam: Required value: type IPVlan works with addresses only: set ipam, or use type Macvlan [SECONDARY-IPVLAN-IPAM]",
			"spec.secondaryNetworks.attachments[1].ipam: Required value: type IPVlan works with addresses only: set ipam, or use type Macvlan [SECONDARY-IPVLAN-IPAM]",
		}},
		{name: "Macvlan with DHCP", in: with(lan(ipam(AttachmentIPAM{Type: AttachmentDHCP}))), warnings: []string{
			"spec.secondaryNetworks.attachments[0].ipam.type: the dhcp plugin asks a daemon of its own on every node, which is not installed here: see to it, or use another type [SECONDARY-DHCP]",
		}},
		{name: "IPVlan with DHCP", in: with(ipvlan(ipam(AttachmentIPAM{Type: AttachmentDHCP}))), warnings: []string{
			"spec.secondaryNetworks.attachments[0].ipam.type: the dhcp plugin asks a daemon of its own on every node, which is not installed here: see to it, or use another type [SECONDARY-DHCP]",
			"spec.secondaryNetworks.attachments[0].ipam.type: IPVlan interfaces share one MAC address, and most DHCP servers give them one address: use another type, or Macvlan [SECONDARY-IPVLAN-DHCP]",
		}},
		{name: "HostLocal on a network of many nodes", in: with(lan(rangeOf(AttachmentRange{Subnet: "192.168.50.0/24"}))), warnings: []string{
			"spec.secondaryNetworks.attachments[0].ipam.type: each of the 3 nodes gives out the same addresses on one network: use Whereabouts or DHCP, or keep these pods on one node [SECONDARY-HOST-LOCAL]",
		}},
		{name: "HostLocal on the only node", in: flannel(secondary(lan(rangeOf(AttachmentRange{Subnet: "192.168.50.0/24"}))), oneNode)},
		{name: "a multicast network", in: with(bridge("a", rangeOf(AttachmentRange{Subnet: "224.0.1.0/24"}))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.ranges[0].subnet: Invalid value: "224.0.1.0/24": overlaps 224.0.0.0/4, which is multicast: use another range [SECONDARY-RANGE-RESERVED]`,
		}},
		{name: "a link-local address", in: with(bridge("a", static("169.254.1.1/16", ""))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.addresses[0].address: Invalid value: "169.254.1.1/16": overlaps 169.254.0.0/16, which is link-local: use another range [SECONDARY-RANGE-RESERVED]`,
		}},
		{name: "networks that are none", in: with(bridge("a", rangeOf(AttachmentRange{Subnet: "192.168.50.5/24"})), bridge("b", static("192.168.60.10", ""))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.ranges[0].subnet: Invalid value: "192.168.50.5/24": has host bits set; did you mean "192.168.50.0/24"? [SECONDARY-ADDRESS]`,
			`spec.secondaryNetworks.attachments[1].ipam.addresses[0].address: Invalid value: "192.168.60.10": is no address with the prefix length of its network: write it such as 192.168.50.10/24 [SECONDARY-ADDRESS]`,
		}},
		{name: "addresses that are none", in: with(bridge("a", rangeOf(AttachmentRange{Subnet: "192.168.50.0/24", RangeStart: "x", RangeEnd: "192.168.51.9", Gateway: "fd00::1"}))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.ranges[0].rangeStart: Invalid value: "x": is no IP address [SECONDARY-ADDRESS]`,
			`spec.secondaryNetworks.attachments[0].ipam.ranges[0].rangeEnd: Invalid value: "192.168.51.9": is not in 192.168.50.0/24: use an address of that network [SECONDARY-ADDRESS]`,
			`spec.secondaryNetworks.attachments[0].ipam.ranges[0].gateway: Invalid value: "fd00::1": is not in 192.168.50.0/24: use an address of that network [SECONDARY-ADDRESS]`,
		}},
		{name: "addresses the wrong way round", in: with(bridge("a", rangeOf(AttachmentRange{Subnet: "192.168.50.0/24", RangeStart: "192.168.50.90", RangeEnd: "192.168.50.10"}))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.ranges[0].rangeStart: Invalid value: "192.168.50.90": comes after rangeEnd, 192.168.50.10: exchange them [SECONDARY-ADDRESS]`,
		}},
		{name: "a static gateway elsewhere", in: with(bridge("a", static("192.168.60.10/24", "192.168.61.1"))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.addresses[0].gateway: Invalid value: "192.168.61.1": is not in 192.168.60.0/24: use an address of that network [SECONDARY-ADDRESS]`,
		}},
		{name: "exclusions elsewhere, and of everything", in: flannel(secondary(lan(ipam(AttachmentIPAM{Type: AttachmentWhereabouts, Ranges: []AttachmentRange{{Subnet: "192.168.50.0/24", Exclude: []string{"10.0.0.0/8", "192.168.50.9/28"}}, {Subnet: "192.168.51.0/24", Exclude: []string{"192.168.51.0/24"}}}}))), found(whereabouts)), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.ranges[0].exclude[0]: Invalid value: "10.0.0.0/8": is not part of 192.168.50.0/24: remove it [SECONDARY-ADDRESS]`,
			`spec.secondaryNetworks.attachments[0].ipam.ranges[0].exclude[1]: Invalid value: "192.168.50.9/28": has host bits set; did you mean "192.168.50.0/28"? [SECONDARY-ADDRESS]`,
			`spec.secondaryNetworks.attachments[0].ipam.ranges[1].subnet: Invalid value: "192.168.51.0/24": has no address left to hand out: use a larger network, or exclude less [SECONDARY-ADDRESS]`,
		}},
		{name: "a network of no address", in: with(bridge("a", rangeOf(AttachmentRange{Subnet: "192.168.50.0/31", Gateway: "192.168.50.1", RangeStart: "192.168.50.1"}))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.ranges[0].subnet: Invalid value: "192.168.50.0/31": has no address left to hand out: use a larger network, or exclude less [SECONDARY-ADDRESS]`,
		}},
		{name: "a secondary network on the pods'", in: with(bridge("a", rangeOf(AttachmentRange{Subnet: "10.244.7.0/24"}))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.ranges[0].subnet: Invalid value: "10.244.7.0/24": overlaps the pods' range 10.244.0.0/16 (spec.ipPools[0].cidrs[0]): choose another range [SECONDARY-OVERLAPS-PODS]`,
		}},
		{name: "a secondary network on the pods', of the nodes", in: flannel(noPools, secondary(bridge("a", rangeOf(AttachmentRange{Subnet: "10.244.1.0/24"})))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.ranges[0].subnet: Invalid value: "10.244.1.0/24": overlaps the pods' range 10.244.0.0/22 (spec.ipPools): choose another range [SECONDARY-OVERLAPS-PODS]`,
		}, warnings: []string{
			"spec.ipPools: derived from the nodes there are; Flannel stops on a node whose range lies outside: state ipPools as kube-controller-manager's --cluster-cidr has it [FLANNEL-POOL-DERIVED]",
		}},
		{name: "a secondary network on the Services'", in: with(bridge("a", rangeOf(AttachmentRange{Subnet: "10.100.0.0/16"}))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.ranges[0].subnet: Invalid value: "10.100.0.0/16": overlaps the Service range 10.96.0.0/12 (ServiceCIDR/kubernetes): choose another range [SECONDARY-OVERLAPS-SERVICES]`,
		}},
		{name: "a secondary network with the API server's Service", in: flannel(cluster(func(s *facts.Snapshot) { s.ServiceCIDRs = nil }), secondary(bridge("a", static("10.96.0.77/24", "")))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.addresses[0].address: Invalid value: "10.96.0.77/24": overlaps 10.96.0.1, the address of the Service default/kubernetes: choose another range [SECONDARY-OVERLAPS-SERVICES]`,
		}},
		{name: "a secondary network with nodes in it", in: with(bridge("a", rangeOf(AttachmentRange{Subnet: "192.168.10.0/24"}))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.ranges[0].subnet: Invalid value: "192.168.10.0/24": gives out the address of nodes n1, n2 and n3 (such as 192.168.10.11): leave it out by rangeStart and rangeEnd, or by Whereabouts' exclude [SECONDARY-HOLDS-NODES]`,
		}},
		{name: "a secondary network beside the nodes in it", in: with(bridge("a", rangeOf(AttachmentRange{Subnet: "192.168.10.0/24", RangeStart: "192.168.10.100", RangeEnd: "192.168.10.199"})))},
		{name: "two secondary networks on one range", in: with(bridge("a"), bridge("b")), errors: []string{
			`spec.secondaryNetworks.attachments[1].ipam.ranges[0].subnet: Invalid value: "192.168.50.0/24": gives addresses that spec.secondaryNetworks.attachments[0].ipam.ranges[0].subnet (192.168.50.0/24) gives, too: give each its own part, or use Whereabouts for both [SECONDARY-OVERLAP]`,
		}},
		{name: "two parts of one secondary network", in: with(bridge("a", rangeOf(AttachmentRange{Subnet: "192.168.50.0/24", RangeEnd: "192.168.50.99"})), bridge("b", rangeOf(AttachmentRange{Subnet: "192.168.50.0/24", RangeStart: "192.168.50.100"})))},
		{name: "two ranges of one attachment that overlap", in: with(bridge("a", func(a *NetworkAttachment) {
			a.IPAM.Ranges = append(a.IPAM.Ranges, AttachmentRange{Subnet: "192.168.50.128/25"})
		})), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.ranges[1].subnet: Invalid value: "192.168.50.128/25": gives addresses that spec.secondaryNetworks.attachments[0].ipam.ranges[0].subnet (192.168.50.0/24) gives, too: give each its own part, or use Whereabouts for both [SECONDARY-OVERLAP]`,
		}},
		{name: "two secondary networks with one Whereabouts", in: flannel(secondary(ipvlan(), ipvlan(func(a *NetworkAttachment) { a.Namespace = "media" })), found(whereabouts))},
		{name: "a static address out of Whereabouts' range", in: flannel(secondary(ipvlan(), bridge("a", static("192.168.50.9/24", "192.168.50.1"))), found(whereabouts)), errors: []string{
			`spec.secondaryNetworks.attachments[1].ipam.addresses[0].address: Invalid value: "192.168.50.9/24": gives addresses that spec.secondaryNetworks.attachments[0].ipam.ranges[0].subnet (192.168.50.0/24) gives, too: give each its own part, or use Whereabouts for both [SECONDARY-OVERLAP]`,
		}},
		{name: "a route to elsewhere", in: with(bridge("a", route("172.20.0.0/16", "192.168.50.1"), route("::/0", "fd00::1")))},
		{name: "routes that take traffic away", in: with(bridge("a", route("0.0.0.0/0", ""), route("10.0.0.0/8", ""))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.routes[0].destination: Invalid value: "0.0.0.0/0": is the default route, which pods have on their primary interface: remove it; a pod that wants it here says default-route in its annotation [SECONDARY-ROUTE]`,
			`spec.secondaryNetworks.attachments[0].ipam.routes[1].destination: Invalid value: "10.0.0.0/8": leads to the pods' range 10.244.0.0/16 (spec.ipPools[0].cidrs[0]) as well: use narrower routes [SECONDARY-ROUTE]`,
			`spec.secondaryNetworks.attachments[0].ipam.routes[1].destination: Invalid value: "10.0.0.0/8": leads to the Service range 10.96.0.0/12 (ServiceCIDR/kubernetes) as well: use narrower routes [SECONDARY-ROUTE]`,
		}},
		{name: "routes that are none", in: with(bridge("a", route("172.20.0.5/16", ""), route("172.20.0.0/16", "fd00::1"))), errors: []string{
			`spec.secondaryNetworks.attachments[0].ipam.routes[0].destination: Invalid value: "172.20.0.5/16": has host bits set; did you mean "172.20.0.0/16"? [SECONDARY-ADDRESS]`,
			`spec.secondaryNetworks.attachments[0].ipam.routes[1].gateway: Invalid value: "fd00::1": is no IPv4 address, as its destination is [SECONDARY-ADDRESS]`,
		}},
	}
}
