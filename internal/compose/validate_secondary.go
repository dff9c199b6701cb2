package compose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// validateSecondary refuses secondary networks that cannot work beside what else there is.
func (s *state) validateSecondary() {
	s.validateCiliumExclusive()
	n := s.spec.SecondaryNetworks
	if n == nil {
		return
	}
	typePath := secondaryPath.Child("type")
	switch n.Type {
	case networkstackv1alpha1.SecondaryNetworksMultus:
		s.validateAdoption(TypeMultus, typePath, n.Type, n.Namespace, "set secondaryNetworks.type to External to leave it there")
		s.validateMultusVersion()
	case networkstackv1alpha1.SecondaryNetworksExternal:
		s.validateExternalMultus(n)
	}
	if windows := len(s.nodes) - len(s.linux); windows > 0 {
		s.warn(ruleSecondaryWindows, typePath, "%d of %d nodes run Windows, where there is no Multus: keep pods that need a secondary network on Linux nodes",
			windows, len(s.nodes))
	}
	s.validateAttachments(n.Attachments)
}

// validateSecondaryEnums repeats what the schema holds, as validateEnums does.
func (s *state) validateSecondaryEnums() {
	n := s.spec.SecondaryNetworks
	if n == nil {
		return
	}
	oneOf(s, secondaryPath.Child("type"), n.Type,
		networkstackv1alpha1.SecondaryNetworksMultus, networkstackv1alpha1.SecondaryNetworksExternal)
	toggles := []networkstackv1alpha1.Toggle{networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled}
	for i := range n.Attachments {
		a := &n.Attachments[i]
		at := attachmentsPath.Index(i)
		oneOf(s, at.Child("type"), a.Type, networkstackv1alpha1.AttachmentMacvlan, networkstackv1alpha1.AttachmentIPVlan,
			networkstackv1alpha1.AttachmentBridge, networkstackv1alpha1.AttachmentHostDevice, networkstackv1alpha1.AttachmentSRIOV)
		if a.Macvlan != nil {
			optionalOneOf(s, at.Child("macvlan", "mode"), a.Macvlan.Mode, networkstackv1alpha1.MacvlanBridge,
				networkstackv1alpha1.MacvlanPrivate, networkstackv1alpha1.MacvlanVEPA, networkstackv1alpha1.MacvlanPassthru)
		}
		if a.IPVlan != nil {
			optionalOneOf(s, at.Child("ipvlan", "mode"), a.IPVlan.Mode,
				networkstackv1alpha1.IPVlanL2, networkstackv1alpha1.IPVlanL3, networkstackv1alpha1.IPVlanL3S)
		}
		if a.Bridge != nil {
			optionalOneOf(s, at.Child("bridge", "macSpoofCheck"), a.Bridge.MACSpoofCheck, toggles...)
		}
		if a.SRIOV != nil {
			optionalOneOf(s, at.Child("sriov", "spoofCheck"), a.SRIOV.SpoofCheck, toggles...)
			optionalOneOf(s, at.Child("sriov", "trust"), a.SRIOV.Trust, toggles...)
		}
		if a.IPAM != nil {
			oneOf(s, at.Child("ipam", "type"), a.IPAM.Type, networkstackv1alpha1.AttachmentHostLocal, networkstackv1alpha1.AttachmentStatic,
				networkstackv1alpha1.AttachmentDHCP, networkstackv1alpha1.AttachmentWhereabouts, networkstackv1alpha1.AttachmentNone)
		}
	}
}

func (s *state) validateCiliumExclusive() {
	why, wanted := s.secondaryNetworks()
	path, set := findSet(s.userValues[cniPath.String()], []string{"cni", "exclusive"})
	if !wanted || !set || s.cni != networkstackv1alpha1.CNICilium {
		return
	}
	if v, _ := lookup(s.userValues[cniPath.String()], path); v != false {
		s.refuse(ruleSecondaryExclusive, field.Invalid(cniPath.Child("values"), field.OmitValueType{}, fmt.Sprintf(
			"values.cni.exclusive may only be false: %s; remove values.%s", why, path)))
	}
}

// validateMultusVersion holds Multus's CNI version to that of the primary network plugin.
func (s *state) validateMultusVersion() {
	v, _ := lookup(s.userValues[secondaryPath.String()], "config.cniVersion")
	text, _ := v.(string)
	wanted, lowest := parseVersion(text), parseVersion(checkedCNIVersion)
	if wanted == nil || wanted.LessThan(lowest) {
		return
	}
	p := s.primaryConfiguration()
	path := secondaryPath.Child("values")
	stated := parseVersion(p.cniVersion)
	switch {
	case !p.certain:
		s.warn(ruleSecondaryCNIVersionUnknown, path,
			"values.config.cniVersion %s needs a configuration of the primary network plugin of %s or newer, or Multus stops on start: make sure of it, or remove the value",
			wanted, checkedCNIVersion)
	case stated == nil || stated.LessThan(lowest):
		s.refuse(ruleSecondaryCNIVersion, field.Invalid(path, field.OmitValueType{}, fmt.Sprintf(
			"values.config.cniVersion %s needs a configuration of %s of %s or newer, and it states %s; Multus stops on start: remove the value, or raise cniVersion in cni.values.flannel.cniConf",
			wanted, s.cni, checkedCNIVersion, p.cniVersion)))
	}
}

func (s *state) validateExternalMultus(n *networkstackv1alpha1.SecondaryNetworksSpec) {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"version", n.Version != ""},
		{"namespace", n.Namespace != ""},
		{"chart", n.Chart != nil},
		{"values", n.Values != nil},
		{"valuesFrom", len(n.ValuesFrom) > 0},
	} {
		if f.set {
			s.refuse(ruleSecondaryExternalField, field.Forbidden(secondaryPath.Child(f.name),
				"with type External Multus is not managed here: remove it, or set type to Multus"))
		}
	}
	if s.withFacts && !s.foundMultus() {
		s.warn(ruleSecondaryNoneFound, secondaryPath.Child("type"),
			"External, and no Multus was found: attachments have no effect, and no kind to be of, until one is installed; or set type to Multus")
	}
}

// validateAttachments judges each attachment, and all of them together.
func (s *state) validateAttachments(attachments []networkstackv1alpha1.NetworkAttachment) {
	names := map[string]bool{}
	masters := map[string]networkstackv1alpha1.AttachmentType{}
	var spans []span
	for i := range attachments {
		a := &attachments[i]
		path := attachmentsPath.Index(i)
		s.validateAttachmentName(path, a, names)
		s.validateAttachmentBlocks(path, a)
		s.validateInterfaces(path, a, masters)
		s.validateAttachmentNumbers(path, a)
		ranges := s.validateIPAM(path.Child("ipam"), a)
		s.validateAttachmentMTU(path, a, ranges)
		spans = append(spans, ranges...)
	}
	s.secondarySpans = spans
	s.validateSpans(spans)
}

func (s *state) validateAttachmentName(path *field.Path, a *networkstackv1alpha1.NetworkAttachment, names map[string]bool) {
	for _, n := range []struct{ field, value string }{{"name", a.Name}, {"namespace", a.Namespace}} {
		switch {
		case n.value == "":
			s.refuse(ruleSecondaryName, field.Required(path.Child(n.field), "state name and namespace of the NetworkAttachmentDefinition"))
		case len(validation.IsDNS1123Label(n.value)) > 0:
			s.refuse(ruleSecondaryName, field.Invalid(path.Child(n.field), n.value,
				`use lower-case letters, digits and "-"; name and namespace have a field each`))
		}
	}
	id := a.Namespace + "/" + a.Name
	if names[id] {
		s.refuse(ruleSecondaryNameTwice, duplicate(path, id, "give each attachment of a namespace a name of its own"))
	}
	names[id] = true
}

// block is one arm of the union.
type block struct {
	of   networkstackv1alpha1.AttachmentType
	name string
	set  bool
}

func blocksOf(a *networkstackv1alpha1.NetworkAttachment) []block {
	return []block{
		{networkstackv1alpha1.AttachmentMacvlan, "macvlan", a.Macvlan != nil},
		{networkstackv1alpha1.AttachmentIPVlan, "ipvlan", a.IPVlan != nil},
		{networkstackv1alpha1.AttachmentBridge, "bridge", a.Bridge != nil},
		{networkstackv1alpha1.AttachmentHostDevice, "hostDevice", a.HostDevice != nil},
		{networkstackv1alpha1.AttachmentSRIOV, "sriov", a.SRIOV != nil},
	}
}

func (s *state) validateAttachmentBlocks(path *field.Path, a *networkstackv1alpha1.NetworkAttachment) {
	for _, b := range blocksOf(a) {
		switch {
		case b.of == a.Type && !b.set:
			s.refuse(ruleSecondaryBlock, field.Required(path.Child(b.name), fmt.Sprintf("type %s needs it", a.Type)))
		case b.of != a.Type && b.set:
			s.refuse(ruleSecondaryBlock, field.Forbidden(path.Child(b.name), fmt.Sprintf(
				"is read only with type %s: remove it, or set type to %s", b.of, b.of)))
		}
	}
}

// interfaceRef is an interface that an attachment names.
type interfaceRef struct {
	path     *field.Path
	name     string
	required bool
}

func interfacesOf(path *field.Path, a *networkstackv1alpha1.NetworkAttachment) []interfaceRef {
	var out []interfaceRef
	if a.Macvlan != nil {
		out = append(out, interfaceRef{path.Child("macvlan", "master"), a.Macvlan.Master, false})
	}
	if a.IPVlan != nil {
		out = append(out, interfaceRef{path.Child("ipvlan", "master"), a.IPVlan.Master, false})
	}
	if a.Bridge != nil {
		out = append(out, interfaceRef{path.Child("bridge", "bridge"), a.Bridge.Bridge, true})
	}
	if a.HostDevice != nil {
		out = append(out, interfaceRef{path.Child("hostDevice", "device"), a.HostDevice.Device, false})
	}
	return out
}

// taken are the interfaces, by the beginnings of their names, that belong to a primary network plugin.
var taken = map[networkstackv1alpha1.CNIType][]string{
	networkstackv1alpha1.CNIFlannel:  {"cni0", "flannel"},
	networkstackv1alpha1.CNICilium:   {"cilium_", "lxc"},
	networkstackv1alpha1.CNIWeaveNet: {"weave", "vethwe", "datapath", "vxlan-6784"},
	networkstackv1alpha1.CNICalico: {
		"cali", "vxlan.calico", "vxlan-v6.calico", "tunl0", "wireguard.cali", "wg-v6.cali", "bpfin.cali", "bpfout.cali",
	},
}

func (s *state) validateInterfaces(path *field.Path, a *networkstackv1alpha1.NetworkAttachment,
	masters map[string]networkstackv1alpha1.AttachmentType,
) {
	for _, i := range interfacesOf(path, a) {
		belongs := slices.ContainsFunc(taken[s.spec.CNI.Type], func(head string) bool { return strings.HasPrefix(i.name, head) })
		switch {
		case i.name == "" && i.required:
			s.refuse(ruleSecondaryInterface, field.Required(i.path, "name the interface"))
		case i.name == "":
		case len(i.name) > 15 || strings.ContainsAny(i.name, "/: \t\n\r\v\f") || i.name == "." || i.name == "..":
			s.refuse(ruleSecondaryInterface, field.Invalid(i.path, i.name, `is no name of an interface: use at most 15 characters without "/", ":" and blanks`))
		case i.name == "lo":
			s.refuse(ruleSecondaryInterfaceTaken, field.Invalid(i.path, i.name, "is the loopback interface: name another one"))
		case belongs:
			s.refuse(ruleSecondaryInterfaceTaken, field.Invalid(i.path, i.name,
				fmt.Sprintf("belongs to %s: name another one", s.spec.CNI.Type)))
		}
	}
	if d := a.HostDevice; d != nil && (d.Device == "") == (d.PCIBusID == "") {
		s.refuse(ruleSecondaryInterface, field.Invalid(path.Child("hostDevice"), field.OmitValueType{},
			"name the device by its interface (device) or by its PCI address (pciBusID): one of them"))
	}
	master, has := "", true
	switch {
	case a.Type == networkstackv1alpha1.AttachmentMacvlan && a.Macvlan != nil:
		master = a.Macvlan.Master
	case a.Type == networkstackv1alpha1.AttachmentIPVlan && a.IPVlan != nil:
		master = a.IPVlan.Master
	default:
		has = false
	}
	if !has {
		return
	}
	if other, shared := masters[master]; shared && other != a.Type {
		what := master
		if what == "" {
			what = "the interface of the default route"
		}
		s.refuse(ruleSecondaryMasterShared, field.Invalid(path.Child(strings.ToLower(string(a.Type)), "master"), master, fmt.Sprintf(
			"%s is the master of a %s attachment already, and cannot be that of both types: name another one, or make both of one type", what, other)))
		return
	}
	masters[master] = a.Type
}

// validateAttachmentNumbers judges VLAN IDs and names of resources.
func (s *state) validateAttachmentNumbers(path *field.Path, a *networkstackv1alpha1.NetworkAttachment) {
	vlan := func(path *field.Path, id int32) {
		if id < 0 || id > 4094 {
			s.refuse(ruleSecondaryVLAN, field.Invalid(path, id, "must be from 1 to 4094"))
		}
	}
	if a.Bridge != nil {
		vlan(path.Child("bridge", "vlan"), a.Bridge.VLAN)
	}
	if a.SRIOV == nil {
		return
	}
	vlan(path.Child("sriov", "vlan"), a.SRIOV.VLAN)
	at := path.Child("sriov", "resourceName")
	prefix, name, qualified := strings.Cut(a.SRIOV.ResourceName, "/")
	if !qualified || len(validation.IsDNS1123Subdomain(prefix)) > 0 || len(validation.IsQualifiedName(name)) > 0 {
		s.refuse(ruleSecondaryResource, field.Invalid(at, a.SRIOV.ResourceName,
			"name the extended resource that the device plugin advertises, such as example.com/sriov_a"))
	}
}

// validateAttachmentMTU judges the MTU against the kernel's limits, the addresses and the nodes.
func (s *state) validateAttachmentMTU(path *field.Path, a *networkstackv1alpha1.NetworkAttachment, spans []span) {
	var at *field.Path
	var mtu int32
	onMaster := true
	switch {
	case a.Macvlan != nil:
		at, mtu = path.Child("macvlan", "mtu"), a.Macvlan.MTU
	case a.IPVlan != nil:
		at, mtu = path.Child("ipvlan", "mtu"), a.IPVlan.MTU
	case a.Bridge != nil:
		at, mtu, onMaster = path.Child("bridge", "mtu"), a.Bridge.MTU, false
	}
	if mtu == 0 {
		return
	}
	node, whose, _ := s.nodeMTU()
	withIPv6 := slices.ContainsFunc(spans, func(r span) bool { return r.subnet.Addr().Is6() })
	switch {
	case mtu < minIPv4MTU || mtu > maxMTU:
		s.refuse(ruleSecondaryMTURange, field.Invalid(at, mtu, fmt.Sprintf("must be from %d to %d, or left out", minIPv4MTU, maxMTU)))
	case mtu < minIPv6MTU && withIPv6:
		s.refuse(ruleSecondaryMTUIPv6, field.Invalid(at, mtu, fmt.Sprintf("IPv6 needs an MTU of at least %d: raise it, or leave it out", minIPv6MTU)))
	case onMaster && node > 0 && int(mtu) > node:
		s.warn(ruleSecondaryMTUNodes, at, "%d exceeds %d of %s, and pods do not start on a master with less: lower it, unless the master is another interface",
			mtu, node, whose)
	}
}

// validateIPAMPlugin judges what the IPAM plugin needs, and what it does not take.
func (s *state) validateIPAMPlugin(path *field.Path, a *networkstackv1alpha1.NetworkAttachment) {
	i := a.IPAM
	if a.Type == networkstackv1alpha1.AttachmentIPVlan && (i == nil || i.Type == networkstackv1alpha1.AttachmentNone) {
		s.refuse(ruleSecondaryIPVlanIPAM, field.Required(path, "type IPVlan works with addresses only: set ipam, or use type Macvlan"))
	}
	if i == nil {
		return
	}
	typePath := path.Child("type")
	ranges := i.Type == networkstackv1alpha1.AttachmentHostLocal || i.Type == networkstackv1alpha1.AttachmentWhereabouts
	static := i.Type == networkstackv1alpha1.AttachmentStatic
	forbid := func(path *field.Path, detail string) { s.refuse(ruleSecondaryIPAM, field.Forbidden(path, detail)) }
	switch {
	case ranges && len(i.Ranges) == 0:
		s.refuse(ruleSecondaryIPAM, field.Required(path.Child("ranges"), fmt.Sprintf("type %s needs at least one", i.Type)))
	case !ranges && len(i.Ranges) > 0:
		forbid(path.Child("ranges"), "only types HostLocal and Whereabouts take them: remove them, or choose one of these")
	}
	if len(i.Addresses) > 0 && !static {
		forbid(path.Child("addresses"), "only type Static takes them: remove them, or set type to Static")
	}
	if len(i.Routes) > 0 && !ranges && !static {
		forbid(path.Child("routes"), "they come from the DHCP server, or need addresses: remove them, or use HostLocal, Static or Whereabouts")
	}
	switch i.Type {
	case networkstackv1alpha1.AttachmentDHCP:
		s.warn(ruleSecondaryDHCP, typePath, "the dhcp plugin asks a daemon of its own on every node, which is not installed here: see to it, or use another type")
		if a.Type == networkstackv1alpha1.AttachmentIPVlan {
			s.warn(ruleSecondaryIPVlanDHCP, typePath, "IPVlan interfaces share one MAC address, and most DHCP servers give them one address: use another type, or Macvlan")
		}
	case networkstackv1alpha1.AttachmentWhereabouts:
		if s.withFacts && !s.facts.Has(facts.InstalledWhereabouts) {
			s.warn(ruleSecondaryWhereabouts, typePath, "no Whereabouts was found; pods of this attachment do not start without: install it with its CustomResourceDefinitions, or use another type")
		}
	case networkstackv1alpha1.AttachmentHostLocal:
		if a.Type != networkstackv1alpha1.AttachmentBridge && len(s.linux) > 1 {
			s.warn(ruleSecondaryHostLocal, typePath, "each of the %d nodes gives out the same addresses on one network: use Whereabouts or DHCP, or keep these pods on one node", len(s.linux))
		}
	default:
	}
}

// validateSpans refuses addresses that somebody else has.
func (s *state) validateSpans(spans []span) {
	for i, r := range spans {
		s.validateSpanAgainstCluster(r)
		for _, q := range spans[:i] {
			if r.inCluster && q.inCluster || !r.subnet.Overlaps(q.subnet) || !intersect(r.given, q.given) {
				continue
			}
			s.refuse(ruleSecondaryOverlap, field.Invalid(r.path, r.text, fmt.Sprintf(
				"gives addresses that %s (%s) gives, too: give each its own part, or use Whereabouts for both", q.path, q.text)))
			break
		}
	}
}

func (s *state) validateSpanAgainstCluster(r span) {
	if p := s.overlapsPods(r.subnet); p != nil {
		s.refuse(ruleSecondaryOverlapPods, field.Invalid(r.path, r.text, fmt.Sprintf(
			"overlaps the pods' range %s (%s): choose another range", p.prefix, p.path)))
	}
	if svc := s.overlapsServices(r.subnet); svc != "" {
		s.refuse(ruleSecondaryOverlapServices, field.Invalid(r.path, r.text, "overlaps "+svc+": choose another range"))
	}
	var inside []string
	var first netip.Addr
	for _, n := range s.nodes {
		if i := slices.IndexFunc(n.InternalIPs, r.given.Contains); i >= 0 {
			if len(inside) == 0 {
				first = n.InternalIPs[i]
			}
			inside = append(inside, n.Name)
		}
	}
	if len(inside) > 0 {
		s.refuse(ruleSecondaryHoldsNodes, field.Invalid(r.path, r.text, fmt.Sprintf(
			"gives out the address of %s (such as %s): leave it out by rangeStart and rangeEnd, or by Whereabouts' exclude", nodeList(inside), first)))
	}
}

func (s *state) overlapsPods(p netip.Prefix) *pool {
	for i := range s.pools {
		if s.pools[i].prefix.Overlaps(p) {
			return &s.pools[i]
		}
	}
	return nil
}

// overlapsServices names the Services that a network overlaps; empty when it does not.
func (s *state) overlapsServices(p netip.Prefix) string {
	for _, svc := range s.serviceRanges() {
		if svc.Prefix.Overlaps(p) {
			return fmt.Sprintf("the Service range %s%s", svc.Prefix, parenthesised(svc.Source))
		}
	}
	if ip := s.facts.ServiceIP.Unmap(); len(s.services) == 0 && ip.IsValid() && p.Contains(ip) {
		return fmt.Sprintf("%s, the address of the Service default/kubernetes", ip)
	}
	return ""
}
