package compose

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// Defaults of Cilium's BGP timers, in seconds.
const (
	bgpHoldTime      = 90
	bgpKeepAliveTime = 30
)

// maxASN is the largest number of an autonomous system.
const maxASN = 1<<32 - 1

// announcesPods says whether routers learn by BGP where pods are.
func (s *state) announcesPods() bool {
	bgp := s.ciliumSpec().BGP
	return s.spec.CNI.Type == networkstackv1alpha1.CNICilium && bgp != nil &&
		slices.Contains(bgp.Advertise, networkstackv1alpha1.CiliumAdvertisePods)
}

// ciliumBGP has the agents speak BGP.
func (s *state) ciliumBGP(b *valuesBuilder) {
	if s.ciliumSpec().BGP != nil {
		b.control("bgpControlPlane.enabled", "spec.cni.cilium.bgp", true, "bgp is wanted; component %s says to whom", nameCiliumResources)
	}
}

// ciliumBGPValues are what the chart of the resources takes.
func (s *state) ciliumBGPValues(bgp *networkstackv1alpha1.CiliumBGPSpec) map[string]any {
	families := make([]any, len(s.families))
	for i, f := range s.families {
		families[i] = familyKey(f)
	}
	instances := make([]any, len(bgp.Instances))
	for i, in := range bgp.Instances {
		peers := make([]any, len(in.Peers))
		for j, p := range in.Peers {
			peers[j] = ciliumPeerValues(p)
		}
		entry := map[string]any{"name": in.Name, "localASN": in.LocalASN, "peers": peers}
		if in.NodeSelector != nil {
			entry["nodeSelector"] = selectorValue(in.NodeSelector)
		}
		instances[i] = entry
	}
	pods := slices.Contains(bgp.Advertise, networkstackv1alpha1.CiliumAdvertisePods)
	out := map[string]any{
		"families": families, "instances": instances,
		"advertise": map[string]any{
			"podCIDRs": pods && !s.multiPool(), "pools": pods && s.multiPool(),
			"loadBalancerIPs": slices.Contains(bgp.Advertise, networkstackv1alpha1.CiliumAdvertiseLoadBalancerIPs),
		},
	}
	if bgp.ServiceSelector != nil {
		out["serviceSelector"] = selectorValue(bgp.ServiceSelector)
	}
	return out
}

// ciliumPeerValues are a peer with what was said of it, and nothing else.
func ciliumPeerValues(p networkstackv1alpha1.CiliumBGPPeer) map[string]any {
	out := map[string]any{"name": p.Name, "address": p.Address, "asn": p.ASN}
	if p.PasswordSecretName != "" {
		out["passwordSecretName"] = p.PasswordSecretName
	}
	for key, n := range map[string]int32{
		"port": p.Port, "ebgpMultihop": p.EBGPMultihop,
		"holdTimeSeconds": p.HoldTimeSeconds, "keepAliveTimeSeconds": p.KeepAliveTimeSeconds,
	} {
		if n != 0 {
			out[key] = int64(n)
		}
	}
	if p.GracefulRestart == networkstackv1alpha1.Enabled {
		out["gracefulRestart"] = true
	}
	return out
}

// validateBGP refuses sessions that cannot be, and groups of nodes that cannot be told apart.
func (c ciliumInput) validateBGP() {
	bgp := c.ciliumSpec().BGP
	if bgp == nil {
		return
	}
	path := ciliumPath.Child("bgp")
	if v := parseVersion(c.cniVersion); v != nil && !atLeast(v, 1, 18) {
		c.refuse(ruleBGPOld, field.Forbidden(path, fmt.Sprintf("Cilium %s is told in another way: use 1.18 or newer, or remove it", c.cniVersion)))
	}
	announcesServices := slices.Contains(bgp.Advertise, networkstackv1alpha1.CiliumAdvertiseLoadBalancerIPs)
	switch {
	case len(bgp.Advertise) == 0:
		c.refuse(ruleBGPNothing, field.Required(path.Child("advertise"), "say what is announced: Pods, LoadBalancerIPs, or both"))
	case bgp.ServiceSelector != nil && !announcesServices:
		c.refuse(ruleBGPNothing, field.Forbidden(path.Child("serviceSelector"),
			"is read only when LoadBalancerIPs are announced: remove it, or add them to advertise"))
	case bgp.ServiceSelector != nil:
		c.validateSelector(path.Child("serviceSelector"), bgp.ServiceSelector)
	}
	if len(bgp.Instances) == 0 {
		c.refuse(ruleBGPNothing, field.Required(path.Child("instances"), "name the nodes' autonomous system and the routers that they speak to"))
	}
	names := map[string]bool{}
	for i := range bgp.Instances {
		in, at := &bgp.Instances[i], path.Child("instances").Index(i)
		c.validateBGPName(at.Child("name"), in.Name, names)
		c.validateBGPNumber(at.Child("localASN"), in.LocalASN, 1, maxASN)
		switch {
		case in.NodeSelector != nil:
			c.validateSelector(at.Child("nodeSelector"), in.NodeSelector)
		case len(bgp.Instances) > 1:
			c.refuse(ruleBGPOverlap, field.Required(at.Child("nodeSelector"),
				"there are several instances, and a node can be in one only: select the nodes of each"))
		}
		if len(in.Peers) == 0 {
			c.refuse(ruleBGPNothing, field.Required(at.Child("peers"), "name the routers that the nodes speak to"))
		}
		c.validatePeers(at.Child("peers"), in)
	}
}

func (c ciliumInput) validateBGPName(path *field.Path, name string, seen map[string]bool) {
	switch {
	case len(validation.IsDNS1123Label(name)) > 0:
		c.refuse(ruleBGPName, field.Invalid(path, name, "use lower-case letters, digits and \"-\""))
	case seen[name]:
		c.refuse(ruleBGPTwice, duplicate(path, name, "give each a name of its own"))
	}
	seen[name] = true
}

// validateBGPNumber repeats what the schema holds, for objects that never passed an API server.
func (c ciliumInput) validateBGPNumber(path *field.Path, n, least, most int64) {
	if n < least || n > most {
		c.refuse(ruleBGPNumber, field.Invalid(path, n, fmt.Sprintf("must be from %d to %d", least, most)))
	}
}

func (c ciliumInput) validatePeers(path *field.Path, in *networkstackv1alpha1.CiliumBGPInstance) {
	names, addresses := map[string]bool{}, map[string]bool{}
	for i := range in.Peers {
		p, at := &in.Peers[i], path.Index(i)
		c.validateBGPName(at.Child("name"), p.Name, names)
		c.validateBGPNumber(at.Child("asn"), p.ASN, 1, maxASN)
		for _, n := range []struct {
			name        string
			value       int32
			least, most int64
		}{
			{"port", p.Port, 1, 65535}, {"ebgpMultihop", p.EBGPMultihop, 1, 255},
			{"holdTimeSeconds", p.HoldTimeSeconds, 3, 65535}, {"keepAliveTimeSeconds", p.KeepAliveTimeSeconds, 1, 65535},
		} {
			if n.value != 0 {
				c.validateBGPNumber(at.Child(n.name), int64(n.value), n.least, n.most)
			}
		}
		optionalOneOf(c.state, at.Child("gracefulRestart"), p.GracefulRestart, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		c.validatePeerAddress(at.Child("address"), p.Address, addresses)
		if hold, alive := cmp.Or(p.HoldTimeSeconds, bgpHoldTime), cmp.Or(p.KeepAliveTimeSeconds, bgpKeepAliveTime); alive > hold {
			c.refuse(ruleBGPTimers, field.Invalid(at.Child("keepAliveTimeSeconds"), alive, fmt.Sprintf(
				"must not be more than holdTimeSeconds (%d; left out, they are 30 and 90): a third of that is usual", hold)))
		}
		if p.EBGPMultihop > 1 && p.ASN == in.LocalASN {
			c.warn(ruleBGPMultihop, at.Child("ebgpMultihop"), "has no effect: the router is of the nodes' own autonomous system, %d", p.ASN)
		}
	}
}

func (c ciliumInput) validatePeerAddress(path *field.Path, text string, seen map[string]bool) {
	switch err, twice := peerAddressError(path, text, c.pools, seen); {
	case err == nil:
	case twice:
		c.refuse(ruleBGPTwice, err)
	default:
		c.refuse(ruleBGPAddress, err)
	}
}

// peerAddressError says why an address cannot be a router's, and whether that is because it has been seen before.
func peerAddressError(path *field.Path, text string, pools []pool, seen map[string]bool) (err *field.Error, twice bool) {
	ip, parse := netip.ParseAddr(text)
	if parse != nil || ip.Zone() != "" || ip.Is4In6() {
		return field.Invalid(path, text, "not an IP address: write the router's, such as 192.0.2.1"), false
	}
	before := seen[ip.String()]
	seen[ip.String()] = true
	switch {
	case !ip.IsGlobalUnicast():
		return field.Invalid(path, text, "no router can be reached there from every node: write an address that is neither loopback, link-local nor multicast"), false
	case slices.ContainsFunc(pools, func(p pool) bool { return p.prefix.Contains(ip) }):
		return field.Invalid(path, text, "lies in a pool of pod addresses: write the router's own address"), false
	case before:
		return duplicate(path, text, "a router is a peer once: remove one of them"), true
	}
	return nil, false
}

// bbrKernel is the oldest kernel that pods can use BBR on.
var bbrKernel = facts.Kernel{Major: 5, Minor: 18}

// ciliumBandwidth are the chart values of the bandwidth manager, when something is said about it.
func (s *state) ciliumBandwidth(b *valuesBuilder) {
	const by = "spec.cni.cilium.bandwidthManager"
	m := s.ciliumSpec().BandwidthManager
	if m == "" {
		return
	}
	bbr := m == networkstackv1alpha1.CiliumBandwidthBBR
	b.control("bandwidthManager.enabled", by, m != networkstackv1alpha1.CiliumBandwidthDisabled, "bandwidthManager is %s", m)
	b.control("bandwidthManager.bbr", by, bbr, "bandwidthManager is %s", m)
	if bbr && s.ciliumJudged().on("bpf.masquerade") {
		b.set("bpf.masquerade", true, "BBR needs eBPF host routing, which iptables masquerading rules out")
	}
}

// validateBandwidth refuses a bandwidth manager that the agents would turn off or stop over.
func (c ciliumInput) validateBandwidth() {
	m := c.ciliumSpec().BandwidthManager
	path := ciliumPath.Child("bandwidthManager")
	if m == "" || m == networkstackv1alpha1.CiliumBandwidthDisabled {
		return
	}
	if c.encryption == networkstackv1alpha1.EncryptionIPsec {
		c.refuse(ruleBandwidthIPsec, field.Invalid(path, m, "Cilium's agents turn it off with IPsec: remove it, or choose WireGuard"))
	}
	if m != networkstackv1alpha1.CiliumBandwidthBBR {
		return
	}
	switch {
	case !c.replaces():
		c.refuse(ruleBBR, field.Invalid(path, m, fmt.Sprintf(
			"BBR needs Cilium in kube-proxy's place, and kubeProxy.mode is %s: set it to Replaced, or use Enabled", c.kubeProxyMode)))
	case c.on("bpf.hostLegacyRouting"):
		c.refuse(ruleBBR, field.Invalid(path, m, "BBR does not work with values.bpf.hostLegacyRouting: remove it, or use Enabled"))
	case c.masquerades() && c.lacks("bpf.masquerade"):
		c.refuse(ruleBBR, field.Invalid(path, m, "BBR needs masquerading in eBPF, which cni.values rule out: remove "+
			"values.bpf.masquerade and values.egressMasqueradeInterfaces, or use Enabled"))
	}
	var old []string
	for _, n := range c.linux {
		// Red Hat's kernels keep their number and carry features back.
		if k, ok := facts.ParseKernel(n.KernelVersion); ok && k.Older(bbrKernel) && !redHat(n.KernelVersion) {
			old = append(old, n.Name)
		}
	}
	if len(old) > 0 {
		c.refuse(ruleBBRKernel, field.Invalid(path, m, fmt.Sprintf("BBR needs kernel 5.18 or newer, and %s %s an older one: use Enabled, or upgrade the kernel",
			nodeList(old), verb(old, "has", "have"))))
	}
}

// ciliumFlowLogs are the chart values of recorded flows, when something is said about them. A file is of bounded size and is not
// mixed with the agents' own log.
func (s *state) ciliumFlowLogs(b *valuesBuilder) {
	const by = "spec.cni.flowLogs"
	switch s.spec.CNI.FlowLogs {
	case networkstackv1alpha1.Enabled:
		b.control("hubble.enabled", by, true, "flowLogs is Enabled")
		b.control("hubble.export.static.enabled", by, true, "flowLogs is Enabled")
		b.set("hubble.export.static.filePath", "/var/run/cilium/hubble/events.log", "a file on each node, of at most 6 times 10 MB")
	case networkstackv1alpha1.Disabled:
		b.control("hubble.export.static.enabled", by, false, "flowLogs is Disabled")
		b.control("hubble.export.dynamic.enabled", by, false, "flowLogs is Disabled")
	default:
	}
}
