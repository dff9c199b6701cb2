package compose

// Rules about secondary networks.
var (
	ruleSecondaryExternalField = refuses(AreaSecondary, Rule{
		ID:        "SECONDARY-EXTERNAL-FIELD",
		APIServer: true,
		When:      "secondaryNetworks.type is External, and version, namespace, chart, values or valuesFrom is set.",
		Remedy:    "Remove them, or set type to Multus.",
		Source:    "An external Multus is not managed here; nothing would read them.",
	})
	ruleSecondaryNoneFound = warns(AreaSecondary, Rule{
		ID:     "SECONDARY-NONE-FOUND",
		When:   "secondaryNetworks.type is External, and no Multus was found.",
		Remedy: "Set type to Multus, or install one.",
		Source: "The kind NetworkAttachmentDefinition comes with it, and nothing else attaches pods.",
	})
	ruleSecondaryWindows = warns(AreaSecondary, Rule{
		ID:     "SECONDARY-WINDOWS",
		When:   "Secondary networks are wanted, and the cluster has Windows nodes.",
		Remedy: "Keep pods that need a secondary network on Linux nodes.",
		Source: "Multus runs on Linux only.",
	})
	ruleSecondaryExclusive = refuses(AreaSecondary, Rule{
		ID:     "SECONDARY-CILIUM-EXCLUSIVE",
		When:   "Secondary networks are wanted, or a Multus is there, and Cilium's value cni.exclusive is set to something else than false.",
		Remedy: "Remove the value; the operator sets it to false.",
		Source: "Cilium renames the configuration of every other plugin to *.cilium_bak (multus-cni#972, rke2#9074).",
	})
	ruleSecondaryCNIVersion = refuses(AreaSecondary, Rule{
		ID:     "SECONDARY-CNI-VERSION",
		When:   "Multus's value config.cniVersion is 0.4.0 or newer, and Flannel's configuration states an older one.",
		Remedy: "Remove the value, or raise cniVersion in Flannel's value flannel.cniConf.",
		Source: "Multus, configuration generator: its daemon stops on start.",
	})
	ruleSecondaryCNIVersionUnknown = warns(AreaSecondary, Rule{
		ID:     "SECONDARY-CNI-VERSION-UNKNOWN",
		When:   "Multus's value config.cniVersion is 0.4.0 or newer, and what the primary network plugin states is not known here.",
		Remedy: "Make sure that it is 0.4.0 or newer as well, or remove the value.",
		Source: "Multus, configuration generator: else its daemon stops on start. 0.3.1 goes with any.",
	})
	ruleSecondaryName = refuses(AreaSecondary, Rule{
		ID:        "SECONDARY-NAME",
		APIServer: true,
		When:      "The name or namespace of an attachment is missing, or is none that the kubelet's runtime takes.",
		Remedy:    "Use lower-case letters, digits and \"-\"; the namespace has a field of its own.",
		Source:    "Kubernetes' names; the CNI specification's names of networks.",
	})
	ruleSecondaryNameTwice = refuses(AreaSecondary, Rule{
		ID:        "SECONDARY-NAME-TWICE",
		APIServer: true,
		When:      "Two attachments have the same name and namespace.",
		Remedy:    "Give each a name of its own.",
		Source:    "They would be one object.",
	})
	ruleSecondaryBlock = refuses(AreaSecondary, Rule{
		ID:        "SECONDARY-BLOCK",
		APIServer: true,
		When:      "An attachment lacks the block of its type, or has that of another one.",
		Remedy:    "Set the block that the type names, and no other.",
		Source:    "The operator's API: nothing would read it.",
	})
	ruleSecondaryInterface = refuses(AreaSecondary, Rule{
		ID:        "SECONDARY-INTERFACE",
		APIServer: true,
		When:      "An attachment names no interface where it needs one, or one that cannot be.",
		Remedy:    "Use at most 15 characters without \"/\", \":\" and blanks; a host device has a name or a PCI address.",
		Source:    "Linux: names of interfaces (IFNAMSIZ).",
	})
	ruleSecondaryInterfaceTaken = refuses(AreaSecondary, Rule{
		ID:     "SECONDARY-INTERFACE-TAKEN",
		When:   "An attachment uses the loopback interface, or one that belongs to the primary network plugin.",
		Remedy: "Name another one.",
		Source: "Flannel's bridge is cni0, for one: two networks on it have each other's pods, and its plugin refuses the other address.",
	})
	ruleSecondaryMasterShared = refuses(AreaSecondary, Rule{
		ID:     "SECONDARY-MASTER-SHARED",
		When:   "A Macvlan and an IPVlan attachment have the same master.",
		Remedy: "Give one of them another master, or make both of one type.",
		Source: "CNI plugins, macvlan: the kernel lets an interface be the master of one of both.",
	})
	ruleSecondaryMTURange = refuses(AreaSecondary, Rule{
		ID:        "SECONDARY-MTU-RANGE",
		APIServer: true,
		When:      "The MTU of an attachment is less than 576 or more than 65536.",
		Remedy:    "Use one between, or leave it out.",
		Source:    "RFC 791; Linux takes no more.",
	})
	ruleSecondaryMTUIPv6 = refuses(AreaSecondary, Rule{
		ID:     "SECONDARY-MTU-IPV6",
		When:   "An attachment with IPv6 addresses has an MTU of less than 1280.",
		Remedy: "Raise it, or leave it out.",
		Source: "RFC 8200; Linux takes IPv6 off such an interface.",
	})
	ruleSecondaryMTUNodes = warns(AreaSecondary, Rule{
		ID:     "SECONDARY-MTU-NODES",
		When:   "The MTU of a Macvlan or IPVlan attachment is more than that of a node's interface.",
		Remedy: "Lower it, unless the master is another interface with a larger MTU.",
		Source: "CNI plugins, macvlan: the MTU may not exceed the master's, or the pod does not start.",
	})
	ruleSecondaryVLAN = refuses(AreaSecondary, Rule{
		ID:        "SECONDARY-VLAN",
		APIServer: true,
		When:      "The VLAN ID of an attachment is not from 1 to 4094.",
		Remedy:    "Use one of these, or leave it out.",
		Source:    "IEEE 802.1Q: 0 and 4095 are reserved.",
	})
	ruleSecondaryResource = refuses(AreaSecondary, Rule{
		ID:        "SECONDARY-SRIOV-RESOURCE",
		APIServer: true,
		When:      "An SR-IOV attachment names no extended resource.",
		Remedy:    "Name the one that the device plugin advertises, such as example.com/sriov_a.",
		Source:    "Multus finds the virtual function by it.",
	})
	ruleSecondaryIPAM = refuses(AreaSecondary, Rule{
		ID:        "SECONDARY-IPAM-FIELD",
		APIServer: true,
		When:      "An attachment's ipam has fields that its type does not take, or lacks ranges that it needs.",
		Remedy:    "Remove them, or choose the type that takes them: ranges go with HostLocal and Whereabouts, addresses with Static, exclude with Whereabouts.",
		Source:    "CNI plugins, IPAM; Whereabouts has one gateway.",
	})
	ruleSecondaryIPVlanIPAM = refuses(AreaSecondary, Rule{
		ID:        "SECONDARY-IPVLAN-IPAM",
		APIServer: true,
		When:      "An IPVlan attachment gives no addresses.",
		Remedy:    "Set ipam, or use type Macvlan.",
		Source:    "CNI plugins, ipvlan: it fails without an IPAM plugin, for the kernel tells its interfaces apart by their addresses.",
	})
	ruleSecondaryIPVlanDHCP = warns(AreaSecondary, Rule{
		ID:     "SECONDARY-IPVLAN-DHCP",
		When:   "An IPVlan attachment takes its addresses from DHCP.",
		Remedy: "Use another IPAM, or type Macvlan, unless the DHCP server tells clients by their client ID.",
		Source: "CNI plugins, ipvlan: all interfaces have the MAC address of their master.",
	})
	ruleSecondaryDHCP = warns(AreaSecondary, Rule{
		ID:     "SECONDARY-DHCP",
		When:   "An attachment takes its addresses from DHCP.",
		Remedy: "Run the dhcp plugin's daemon on every node, or use another IPAM.",
		Source: "CNI plugins, dhcp: the plugin asks a daemon on its node, which neither Multus nor the operator installs.",
	})
	ruleSecondaryWhereabouts = warns(AreaSecondary, Rule{
		ID:     "SECONDARY-WHEREABOUTS",
		When:   "An attachment takes its addresses from Whereabouts, and none was found.",
		Remedy: "Install Whereabouts with its CustomResourceDefinitions, or use another IPAM.",
		Source: "Whereabouts keeps its books in objects of its own kinds; pods of the attachment do not start without.",
	})
	ruleSecondaryHostLocal = warns(AreaSecondary, Rule{
		ID:     "SECONDARY-HOST-LOCAL",
		When:   "An attachment that reaches beyond its node takes its addresses from HostLocal, and there are several nodes.",
		Remedy: "Use Whereabouts or DHCP, or keep the attachment's pods on one node.",
		Source: "CNI plugins, host-local: each node keeps its own books, and gives the same addresses.",
	})
	ruleSecondaryReserved = refuses(AreaSecondary, Rule{
		ID:     "SECONDARY-RANGE-RESERVED",
		When:   "The addresses of an attachment are loopback, link-local, multicast or reserved otherwise.",
		Remedy: "Use another range.",
		Source: "RFC 6890.",
	})
	ruleSecondaryAddress = refuses(AreaSecondary, Rule{
		ID:        "SECONDARY-ADDRESS",
		APIServer: true,
		When:      "An address of an attachment cannot be read, or lies outside its network, or a range has none to hand out.",
		Remedy:    "Use addresses of the network, rangeStart not after rangeEnd.",
		Source:    "CNI plugins, host-local, and Whereabouts refuse the others when a pod starts.",
	})
	ruleSecondaryOverlapPods = refuses(AreaSecondary, Rule{
		ID:     "SECONDARY-OVERLAPS-PODS",
		When:   "The network of an attachment overlaps the pods' ranges.",
		Remedy: "Choose another range.",
		Source: "A pod with both has two ways to one address, and loses the other pods.",
	})
	ruleSecondaryOverlapServices = refuses(AreaSecondary, Rule{
		ID:     "SECONDARY-OVERLAPS-SERVICES",
		When:   "The network of an attachment overlaps the ranges of Services.",
		Remedy: "Choose another range.",
		Source: "A pod of it looks for Services, DNS among them, on the secondary interface.",
	})
	ruleSecondaryHoldsNodes = refuses(AreaSecondary, Rule{
		ID:     "SECONDARY-HOLDS-NODES",
		When:   "An attachment hands out the address of a node.",
		Remedy: "Leave it out by rangeStart and rangeEnd, or exclude.",
		Source: "Two owners of one address; a network may have nodes in it, what is handed out may not.",
	})
	ruleSecondaryOverlap = refuses(AreaSecondary, Rule{
		ID:     "SECONDARY-OVERLAP",
		When:   "Two ranges of attachments hand out the same address, and Whereabouts does not keep the books of both.",
		Remedy: "Give each its own part, or use Whereabouts for both.",
		Source: "Every IPAM plugin but Whereabouts keeps its books by network, so pods of both would get the same address.",
	})
	ruleSecondaryRoute = refuses(AreaSecondary, Rule{
		ID:     "SECONDARY-ROUTE",
		When:   "A route of an attachment is a default route of a family that pods have anyway, or leads to pods or Services.",
		Remedy: "Remove it; a pod that wants its default route there says so in its annotation (default-route).",
		Source: "CNI plugins add routes beside those that there are, and the kernel then shares traffic between both.",
	})
)
