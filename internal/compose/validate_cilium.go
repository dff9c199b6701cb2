package compose

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// ciliumInput are the values of Cilium's chart under judgement: the user's own, and what follows from typed settings.
type ciliumInput struct {
	*state
	user map[string]any
}

// on says whether a switch is turned on.
func (c ciliumInput) on(key string) bool {
	v, _ := lookup(c.user, key)
	return v == true || v == "true"
}

// lacks says whether a switch is off for certain: values from references are not seen here, and may turn it on.
func (c ciliumInput) lacks(key string) bool {
	if v, _ := lookup(c.user, key); v == nil && len(c.spec.CNI.ValuesFrom) > 0 {
		return false
	}
	return !c.on(key)
}

// word is a value that is a string.
func (c ciliumInput) word(key string) string {
	v, _ := lookup(c.user, key)
	w, _ := v.(string)
	return w
}

func (c ciliumInput) refuseValue(rule refusal, format string, args ...any) {
	c.refuse(rule, field.Invalid(cniPath.Child("values"), field.OmitValueType{}, "values."+fmt.Sprintf(format, args...)))
}

func (c ciliumInput) warnValue(rule warning, format string, args ...any) {
	c.warn(rule, cniPath.Child("values"), "values."+format, args...)
}

func (c ciliumInput) replaces() bool {
	return c.kubeProxyMode == networkstackv1alpha1.KubeProxyReplaced
}

func (c ciliumInput) tunnels() bool { return c.encapsulation != networkstackv1alpha1.EncapsulationNone }

// validateCiliumValues refuses the user's own values that stop the agents on start, after Helm has succeeded, that the chart would
// refuse later, or that nothing reads.
func (s *state) validateCiliumValues() {
	c := s.ciliumJudged()
	c.validateEncryption()
	c.validateRouting()
	c.validateMasquerading()
	c.validateDatapath()
	c.validateHubble()
	c.validateClusterIdentity()
	c.validateReplicas()
	c.validateRemovedValues()
	c.validateMultiPool()
	c.validateBGP()
	c.validateBandwidth()
	c.validateGateway()
}

func (c ciliumInput) validateEncryption() {
	if c.encryption == networkstackv1alpha1.EncryptionIPsec {
		c.validateIPsecKeys()
		if c.on("hostFirewall.enabled") {
			c.refuseValue(ruleIPsecHostFirewall,
				"hostFirewall.enabled does not work with IPsec; Cilium's agents stop on start: remove it, or choose WireGuard")
		}
		if c.on("encryption.strictMode.ingress.enabled") {
			c.refuseValue(ruleStrictIngress, "encryption.strictMode.ingress.enabled works with WireGuard only: remove it, or choose WireGuard")
		}
		if mode := c.word("cni.chainingMode"); mode != "" && mode != "none" {
			c.refuseValue(ruleIPsecChaining, "cni.chainingMode does not work with IPsec: remove it, or choose WireGuard")
		}
		if c.on("bandwidthManager.enabled") {
			c.warnValue(ruleIPsecBandwidth, "bandwidthManager.enabled has no effect with IPsec, for Cilium turns it off: remove it, or choose WireGuard")
		}
	}
	cidr := c.word("encryption.strictMode.egress.cidr")
	if p, err := netip.ParsePrefix(cidr); err == nil && p.Addr().Is6() && c.on("encryption.strictMode.egress.enabled") {
		c.refuseValue(ruleStrictEgress, "encryption.strictMode.egress.cidr takes IPv4 only; Cilium's agents stop on start: write an IPv4 range")
	}
}

// validateIPsecKeys refuses a Secret that cannot be, and warns of rotations that nothing follows from.
func (c ciliumInput) validateIPsecKeys() {
	path, name := cniPath.Child("encryption"), c.ipsecSecret()
	if name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 {
		c.refuse(ruleIPsecSecret, field.Invalid(path.Child("ipsec", "secretName"), name, "is no name of a Secret: use lower-case letters, digits, \"-\" and \".\""))
	}
	watcher, _ := lookup(c.user, "encryption.ipsec.keyWatcher")
	switch {
	case c.spec.CNI.Encryption.Rotation == "":
	case name != "":
		c.warn(ruleIPsecRotation, path.Child("rotation"), "has no effect: the keys are in your Secret %s; write a key with another number there, or remove ipsec.secretName", name)
	case watcher == false:
		c.warn(ruleIPsecRotation, path.Child("rotation"), "values.encryption.ipsec.keyWatcher is false, so agents read a new key when they start: restart them, or remove the value")
	}
}

func (c ciliumInput) validateRouting() {
	mode := c.word("loadBalancer.mode")
	if mode == "dsr" || mode == "hybrid" {
		switch {
		case c.encapsulation == networkstackv1alpha1.EncapsulationVXLAN:
			c.refuseValue(ruleDSRTunnel, "loadBalancer.mode %s does not work over VXLAN; Cilium's agents stop on start: "+
				"set encapsulation to Geneve (with loadBalancer.dsrDispatch geneve) or None", mode)
		case c.encapsulation == networkstackv1alpha1.EncapsulationGeneve && c.word("loadBalancer.dsrDispatch") != "geneve" &&
			(c.word("loadBalancer.dsrDispatch") != "" || len(c.spec.CNI.ValuesFrom) == 0):
			c.refuseValue(ruleDSRDispatch, "loadBalancer.mode %s over Geneve needs loadBalancer.dsrDispatch geneve; "+
				"Cilium's agents stop on start: set it, or set encapsulation to None", mode)
		}
	}
	if c.tunnels() && c.on("autoDirectNodeRoutes") {
		c.refuseValue(ruleDirectRoutesTunnel,
			"autoDirectNodeRoutes works without a tunnel only; Cilium's agents stop on start: remove it, or set encapsulation to None")
	}
	if c.on("sctp.enabled") && c.replaces() {
		c.warnValue(ruleCiliumSCTP, "sctp.enabled is limited without kube-proxy: ports of SCTP Services are not rewritten; "+
			"give such Services the port of their pods")
	}
}

// validateMasquerading judges masquerading in eBPF and what depends on it.
func (c ciliumInput) validateMasquerading() {
	const masquerade = "bpf.masquerade"
	wants := func(rule refusal, what string) {
		switch {
		case !c.replaces():
			c.refuseValue(rule, "%s needs Cilium in kube-proxy's place, and kubeProxy.mode is %s: set it to Replaced, or remove the value",
				what, c.kubeProxyMode)
		case c.lacks(masquerade):
			c.refuseValue(rule, "%s needs values.bpf.masquerade: set that to true, or remove the value", what)
		}
	}
	if c.on("egressGateway.enabled") {
		wants(ruleEgressGateway, "egressGateway.enabled")
	}
	if c.on("bandwidthManager.bbr") {
		if c.on("bpf.hostLegacyRouting") {
			c.refuseValue(ruleBBR, "bandwidthManager.bbr does not work with values.bpf.hostLegacyRouting: remove one of them")
		} else {
			wants(ruleBBR, "bandwidthManager.bbr")
		}
	}
	if c.on("ipMasqAgent.enabled") && c.lacks(masquerade) {
		c.refuseValue(ruleIPMasqAgent,
			"ipMasqAgent.enabled needs values.bpf.masquerade; Cilium's agents stop on start: set that to true, or remove the value")
	}
	if c.on("installNoConntrackIptablesRules") {
		switch {
		case c.tunnels():
			c.refuseValue(ruleNoConntrack, "installNoConntrackIptablesRules works without a tunnel only; "+
				"Cilium's agents stop on start: remove it, or set encapsulation to None")
		case len(c.families) > 0 && !c.has(ipv4):
			c.refuseValue(ruleNoConntrack, "installNoConntrackIptablesRules works with IPv4 only; Cilium's agents stop on start: remove it")
		case c.masquerades() || !c.replaces():
			wants(ruleNoConntrack, "installNoConntrackIptablesRules")
		}
	}
	if !c.on(masquerade) {
		return
	}
	if c.has(ipv6) && c.nat[ipv6] {
		c.warn(ruleBPFMasqueradeIPv6, poolsPath, "masquerading in eBPF, which bpf.masquerade turns on, is beta for IPv6: "+
			"disable natOutgoing of pools that have IPv6 and are routed outside, or test it")
	}
	if !c.replaces() {
		c.warnValue(ruleBPFMasquerade,
			"bpf.masquerade is meant for Cilium in kube-proxy's place, and kubeProxy.mode is %s: set it to Replaced, or remove the value",
			c.kubeProxyMode)
	}
	if c.word("egressMasqueradeInterfaces") != "" {
		c.refuseValue(ruleBPFMasqueradeInterfaces, "egressMasqueradeInterfaces does not work with values.bpf.masquerade; "+
			"Cilium's agents stop on start: remove one of them, and use values.devices")
	}
	if len(c.families) > 0 && !c.masquerades() {
		c.refuseValue(ruleBPFMasqueradeOff,
			"bpf.masquerade is on, but natOutgoing of every family is Disabled; Cilium's agents stop on start: remove it, or enable natOutgoing")
	}
}

// masquerades says whether pods of any family take their node's address on the way out.
func (c ciliumInput) masquerades() bool {
	return slices.ContainsFunc(c.families, func(f networkstackv1alpha1.IPFamily) bool { return c.nat[f] })
}

// netkitKernel is the oldest kernel with the netkit devices that Cilium uses.
var netkitKernel = facts.Kernel{Major: 6, Minor: 8}

// redHat says whether a kernel is Red Hat's. Those keep their number and carry features back.
func redHat(version string) bool { return strings.Contains(version, ".el") }

func (c ciliumInput) validateDatapath() {
	mode := c.word("bpf.datapathMode")
	if mode != "netkit" && mode != "netkit-l2" {
		return
	}
	if c.on("bpf.tproxy") {
		c.refuseValue(ruleNetkitTProxy, "bpf.tproxy does not work with values.bpf.datapathMode %s, and the chart fails: remove one of them", mode)
	}
	var old []string
	for _, n := range c.linux {
		if k, ok := facts.ParseKernel(n.KernelVersion); ok && k.Older(netkitKernel) && !redHat(n.KernelVersion) {
			old = append(old, n.Name)
		}
	}
	if len(old) > 0 {
		c.refuseValue(ruleNetkitKernel, "bpf.datapathMode %s needs kernel 6.8 or newer, and %s %s an older one: remove it, or upgrade the kernel",
			mode, nodeList(old), verb(old, "has", "have"))
	}
}

func (c ciliumInput) validateHubble() {
	if c.on("hubble.relay.enabled") && c.lacks("hubble.enabled") {
		c.refuseValue(ruleHubbleParts, "hubble.relay.enabled needs values.hubble.enabled, and the chart fails: set that to true")
	}
	if c.on("hubble.ui.enabled") && !c.on("hubble.ui.standalone.enabled") && c.lacks("hubble.relay.enabled") {
		c.refuseValue(ruleHubbleParts, "hubble.ui.enabled needs values.hubble.relay.enabled, and the chart fails: set that to true")
	}
}

var ciliumClusterName = regexp.MustCompile(`^([a-z0-9][-a-z0-9]{0,30})?[a-z0-9]$`)

func (c ciliumInput) validateClusterIdentity() {
	name, set := lookup(c.user, "cluster.name")
	if set && name != nil && !ciliumClusterName.MatchString(fmt.Sprint(name)) {
		c.refuseValue(ruleClusterName,
			"cluster.name is no name of a cluster: use up to 32 lower-case letters, digits and \"-\", with a letter or digit at both ends")
	}
	id, _ := lookup(c.user, "cluster.id")
	eni := c.on("eni.enabled") || c.word("cni.chainingMode") == "aws-cni"
	if n, _ := id.(int64); eni && (n >= 128 && n <= 255 || n >= 384 && n <= 511) {
		c.refuseValue(ruleClusterIDChaining, "cluster.id %d does not work with ENIs or with chaining to aws-cni, and the chart fails: use one below 128", n)
	}
	if n, _ := id.(int64); n != 0 && c.word("cluster.name") != "" && c.word("cluster.name") != "default" {
		return
	}
	if n, _ := id.(int64); n != 0 && (len(c.spec.CNI.ValuesFrom) == 0 || c.word("cluster.name") == "default") {
		c.refuseValue(ruleClusterName, "cluster.id is not 0, and the cluster's name is default: set values.cluster.name to one of its own")
	}
}

func (c ciliumInput) validateReplicas() {
	v, _ := lookup(c.user, "operator.replicas")
	if n, _ := v.(int64); n > 1 && len(c.linux) > 0 && n > int64(len(c.linux)) {
		c.warnValue(ruleOperatorReplicas, "operator.replicas of %d is more than there are nodes (%d), and two replicas never share one: "+
			"use fewer, or leave it out to have it derived", n, len(c.linux))
	}
}

// removedCiliumValues are keys that Cilium's chart had once, the 1.x minor that no longer reads them, and what does it now.
var removedCiliumValues = []struct {
	key     string
	minor   uint
	instead string
}{
	{"tunnel", 15, "use spec.cni.encapsulation"},
	{"enableK8sEventHandover", 15, ""},
	{"enableCnpStatusUpdates", 15, ""},
	{"encryption.keyFile", 16, "use encryption.ipsec.keyFile"},
	{"encryption.mountPath", 16, "use encryption.ipsec.mountPath"},
	{"encryption.secretName", 16, "use spec.cni.encryption.ipsec"},
	{"encryption.interface", 16, "use encryption.ipsec.interface"},
	{"proxy.prometheus", 16, "use envoy.prometheus"},
	{"endpointStatus", 16, ""},
	{"remoteNodeIdentity", 16, ""},
	{"containerRuntime.integration", 16, ""},
	{"etcd.managed", 16, ""},
	{"enableCiliumEndpointSlice", 18, "use ciliumEndpointSlice.enabled"},
	{"ciliumEndpointSlice.sliceMode", 18, ""},
	{"hostPort.enabled", 18, "use spec.kubeProxy.mode Replaced"},
	{"highScaleIPcache", 18, ""},
	{"externalWorkloads", 18, ""},
	{"enableK8sTerminatingEndpoint", 18, ""},
	{"enableRuntimeDeviceDetection", 18, ""},
	{"nodePort.enabled", 19, "use spec.kubeProxy.mode Replaced"},
	{"svcSourceRangeCheck", 19, ""},
	{"l2podAnnouncements.interface", 19, "use l2podAnnouncements.interfacePattern"},
	{"encryption.strictMode.enabled", 20, "use encryption.strictMode.egress.enabled"},
	{"encryption.strictMode.cidr", 20, "use encryption.strictMode.egress.cidr"},
	{"encryption.strictMode.allowRemoteNodeIdentities", 20, "use encryption.strictMode.egress.allowRemoteNodeIdentities"},
	{"encryption.ipsec.encryptedOverlay", 20, ""},
	{"clustermesh.enableMCSAPISupport", 20, "use clustermesh.mcsapi.enabled"},
}

// validateRemovedValues refuses keys that the chart of this version does not have: it takes them without a word.
func (c ciliumInput) validateRemovedValues() {
	v := parseVersion(c.cniVersion)
	for _, r := range removedCiliumValues {
		if value, _ := lookup(c.user, r.key); value == nil || !atLeast(v, 1, r.minor) {
			continue
		}
		remedy := "remove it"
		if r.instead != "" {
			remedy += ", and " + r.instead
		}
		c.refuseValue(ruleRemovedValue, "%s was removed from the chart in 1.%d and has no effect, so it cannot be what is wanted: %s", r.key, r.minor, remedy)
	}
}

// validateCiliumChange refuses what Cilium cannot change while pods have addresses and interfaces of the old kind.
func (s *state) validateCiliumChange() {
	ours, _ := s.installed(string(networkstackv1alpha1.CNICilium))
	previous, known := s.existing[nameCilium]
	if ours == nil || !known {
		return
	}
	derived, err := ParseValues(previous.DerivedValues)
	if err != nil {
		return
	}
	s.validateCiliumPoolsKept(derived)
	old, err := ParseValues(previous.Values)
	if err != nil {
		return
	}
	user := s.userValues[cniPath.String()]
	first, _ := s.firstCilium()
	before, after := orElse(old, ciliumCompatibility, orElse(derived, ciliumCompatibility, first)), orElse(user, ciliumCompatibility, first)
	if before != after {
		s.warn(ruleCiliumCompatibility, cniPath.Child("values"), "values.%s goes from %v to %v, and with it defaults that were kept: read what Cilium's upgrade notes say of them; restore %v to keep them",
			ciliumCompatibility, before, after, before)
	}
	for _, v := range []struct {
		key    string
		normal any
	}{{"bpf.datapathMode", "veth"}, {"cluster.name", "default"}, {"cluster.id", int64(0)}} {
		before, after := orElse(old, v.key, v.normal), orElse(user, v.key, v.normal)
		if fmt.Sprint(before) != fmt.Sprint(after) {
			s.refuse(ruleCiliumValueChanged, field.Invalid(cniPath.Child("values"), field.OmitValueType{}, fmt.Sprintf(
				"values.%s cannot be changed while Cilium is installed: pods that are there keep what they have; restore %v", v.key, before)))
		}
	}
}

func orElse(values map[string]any, key string, normal any) any {
	if v, _ := lookup(values, key); v != nil {
		return v
	}
	return normal
}

// validateCiliumPoolsKept holds the pools to what was installed: CIDRs may be added, and taken away when no node has a range of them;
// nothing else may change.
func (s *state) validateCiliumPoolsKept(derived map[string]any) {
	mode, _ := lookup(derived, "ipam.mode")
	fromNodes, multi := mode == "kubernetes", mode == "multi-pool"
	switch {
	case mode == nil:
		return
	case multi != s.multiPool() && !fromNodes:
		was := networkstackv1alpha1.CiliumClusterPool
		if multi {
			was = networkstackv1alpha1.CiliumMultiPool
		}
		s.refuse(ruleCiliumPoolChanged, field.Forbidden(ciliumPath.Child("ipam"), fmt.Sprintf(
			"the nodes of this Cilium have ranges by %s, which cannot be changed in place: restore it", was)))
		return
	case fromNodes && len(s.spec.IPPools) > 0:
		s.refuse(ruleCiliumPoolChanged, field.Forbidden(poolsPath,
			"the pods of this Cilium have addresses of their nodes' spec.podCIDRs, which cannot be changed in place: remove ipPools"))
		return
	case !fromNodes && len(s.spec.IPPools) == 0:
		s.refuse(ruleCiliumPoolChanged, field.Required(poolsPath,
			"the pods of this Cilium have addresses of ipPools, which cannot be changed in place: restore them"))
		return
	}
	if multi {
		s.validateMultiPoolsKept()
		return
	}
	for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
		var wanted []string
		for _, p := range s.poolsOf(f) {
			wanted = append(wanted, p.String())
		}
		for i, cidr := range words(derived, "ipam.operator.clusterPool"+string(f)+"PodCIDRList") {
			if !slices.Contains(wanted, cidr) && len(s.pools) == s.countCIDRs() {
				s.validateRemovedCIDR(cidr, i == 0, wanted)
			}
		}
		size, _ := lookup(derived, "ipam.operator.clusterPool"+string(f)+"MaskSize")
		if mask, ok := s.masks[f]; ok && size != nil && size != int64(mask) {
			s.refuse(ruleCiliumPoolChanged, field.Invalid(poolsPath, mask, fmt.Sprintf(
				"nodes have %s ranges of /%v, whose size cannot be changed in place: set nodeMaskSizes.%s to %v", f, size, familyKey(f), size)))
		}
	}
}
