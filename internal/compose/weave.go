package compose

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

const (
	// weaveRange and weaveMTU are Weave Net's own defaults.
	weaveRange = "10.32.0.0/12"
	weaveMTU   = 1376
	// weaveMTUStep divides the MTUs that Weave Net's encryption carries without padding.
	weaveMTUStep = 4
	// weaveNamespace is fixed in Weave Net's agents, which keep the list of their peers there.
	weaveNamespace = "kube-system"
	weaveBridge    = "weave"
	// weavePassword is the Secret that is made, and what the chart calls the revision of its content.
	weavePassword         = "weave-net-password" //nolint:gosec // a name, not a secret
	weavePasswordRevision = "password.revision"  //nolint:gosec // a path, not a secret
	weaveRangeKey         = "ipallocRange"
	weaveSecretKey        = "password.secretName"
)

var weavePath = cniPath.Child("weaveNet")

// weaveSpec is the user's block; never nil.
func (s *state) weaveSpec() *networkstackv1alpha1.WeaveNetSpec {
	if s.spec.CNI.WeaveNet == nil {
		return &networkstackv1alpha1.WeaveNetSpec{}
	}
	return s.spec.CNI.WeaveNet
}

// deriveWeaveRange settles the pods' range when the spec names none: that of the agents that are there, which cannot be
// changed, else kubeadm's, else Weave Net's own. What kube-controller-manager gave the nodes means nothing to it.
func (s *state) deriveWeaveRange() {
	if !s.has(ipv4) {
		return // refused
	}
	add := func(p netip.Prefix, reason string) {
		s.pools = append(s.pools, pool{prefix: p.Masked(), family: ipv4, index: -1, path: poolsPath})
		s.note(poolsPath, p.Masked().String(), "%s", reason)
	}
	if before, err := netip.ParsePrefix(s.previousWeave(weaveRangeKey)); err == nil {
		add(before, "what the agents have; it cannot be changed while they are there")
		return
	}
	if subnets := ofFamily(s.facts.PodSubnets, ipv4); len(subnets) > 0 {
		add(subnets[0], "networking.podSubnet of kube-system/kubeadm-config")
		return
	}
	add(netip.MustParsePrefix(weaveRange), "Weave Net's own default")
}

// previousWeave is a value of the component that is there; empty when there is none.
func (s *state) previousWeave(path string) string {
	values, err := ParseValues(s.existing[nameWeaveNet].DerivedValues)
	if err != nil {
		return ""
	}
	v, _ := lookup(values, path)
	text, _ := v.(string)
	return text
}

// weaveSecret is the Secret with the password, and whether it is made here; empty without encryption.
func (s *state) weaveSecret() (name string, made bool) {
	e := s.spec.CNI.Encryption
	switch {
	case s.encryption != networkstackv1alpha1.EncryptionPassword:
		return "", false
	case e.Password != nil && e.Password.SecretName != "" &&
		(e.Password.SecretName != weavePassword || !s.makes(nameWeaveNet, weavePassword)): // to name it takes nothing away
		return e.Password.SecretName, false
	default:
		return weavePassword, true
	}
}

// weaveOverheads are what Weave Net asks to be left free, with a password or without. What is derived is rounded down to a
// multiple of four.
func (s *state) weaveOverheads() []overhead {
	out := []overhead{{"Weave Net", weaveTunnel}}
	node, _, _ := s.nodeMTU()
	if rest := (node - weaveTunnel) % weaveMTUStep; s.spec.MTU == 0 && rest > 0 {
		out = append(out, overhead{"a multiple of 4", rest})
	}
	return out
}

// validateWeaveNet refuses what Weave Net cannot do.
func (s *state) validateWeaveNet() {
	c := s.spec.CNI
	path := cniPath.Child("type")
	if !s.weaveSpec().AcknowledgeLegacy {
		s.refuse(ruleWeaveAcknowledge, field.Required(weavePath.Child("acknowledgeLegacy"),
			"Weave Net is legacy, hardly looked after, and without IPv6: use Cilium, Calico or Flannel, or set this to true"))
	}
	s.warn(ruleWeaveLegacy, path,
		"Weave Net is legacy: its makers are gone, and its fork had its last release in 2024; plan the move to Cilium, Calico or Flannel, for which there is a new cluster or a drained node at a time")
	if s.has(ipv6) {
		s.refuse(ruleWeaveIPv6, field.Invalid(s.familiesPath(), familiesText(s.families), "Weave Net carries IPv4 alone: remove IPv6, or use type Cilium or Calico"))
	}
	if e := c.Encapsulation; e != "" && e != networkstackv1alpha1.EncapsulationVXLAN {
		s.refuse(ruleWeaveEncapsulation, field.Invalid(cniPath.Child("encapsulation"), e,
			"Weave Net has an encapsulation of its own, which is VXLAN: remove it, or use another type"))
	}
	if e := s.encryption; e == networkstackv1alpha1.EncryptionWireGuard || e == networkstackv1alpha1.EncryptionIPsec {
		s.refuse(ruleWeaveEncryption, field.Invalid(cniPath.Child("encryption", "type"), e,
			"Weave Net encrypts by a password and in no other way: use Password, or type Cilium"))
	}
	if n := c.Namespace; n != "" && n != weaveNamespace {
		s.refuse(ruleWeaveNamespace, field.Invalid(cniPath.Child("namespace"), n, "Weave Net's agents look for each other in kube-system and nowhere else: remove it"))
	}
	switch mode := kubeProxyPath.Child("mode"); {
	case s.kubeProxyMode == networkstackv1alpha1.KubeProxyNFTables:
		s.refuse(ruleWeaveNFTables, field.Invalid(mode, s.kubeProxyMode,
			"Weave Net's rules are written for iptables, and nobody has tried them beside kube-proxy's nftables: choose IPTables"))
	case s.leavesNFTables():
		s.refuse(ruleWeaveNFTables, field.Invalid(mode, s.kubeProxyMode, "the kube-proxy that is there is in mode NFTables, "+
			"beside which nobody has tried Weave Net's rules: change it to iptables where it is managed, or use another type of cni"))
	}
	if windows := s.windowsNodes(); len(windows) > 0 {
		s.refuse(ruleWeaveWindows, field.Invalid(path, s.cni, fmt.Sprintf(
			"%s %s Windows, for which there is no Weave Net: use Calico or Flannel, or remove such nodes", nodeList(windows), verb(windows, "runs", "run"))))
	}
	if m := s.spec.MTU; m%weaveMTUStep != 0 {
		s.warn(ruleWeaveMTU, specPath.Child("mtu"), "%d is no multiple of 4, and Weave Net falls back to its slow path where packets do not fit: use %d", m, m-m%weaveMTUStep)
	}
	s.validateWeavePools()
	s.validateWeavePassword()
}

func (s *state) validateWeavePools() {
	for i, p := range s.spec.IPPools {
		if p.NodeMaskSizes != nil {
			s.refuse(ruleWeaveNodeMask, field.Forbidden(poolsPath.Index(i).Child("nodeMaskSizes"),
				"Weave Net's agents divide the range among themselves, and nodes have no ranges of one size: remove it"))
		}
		if p.NATOutgoing == networkstackv1alpha1.Disabled {
			s.refuse(ruleWeaveNAT, field.Invalid(poolsPath.Index(i).Child("natOutgoing"), p.NATOutgoing,
				"Weave Net always gives pods their node's address on the way out: remove it, or use type Cilium or Calico"))
		}
	}
	ranges := slices.DeleteFunc(slices.Clone(s.pools), func(p pool) bool { return p.family != ipv4 })
	for i, p := range ranges {
		if i > 0 {
			s.refuse(ruleWeaveOneRange, field.Invalid(p.path, p.prefix.String(), fmt.Sprintf(
				"Weave Net takes one range and %s is it already: remove this CIDR, widen that one, or use type Cilium or Calico", ranges[0].path)))
		}
	}
	if before := s.previousWeave(weaveRangeKey); before != "" && len(ranges) > 0 && ranges[0].prefix.String() != before {
		s.refuse(ruleWeaveRangeChanged, field.Invalid(ranges[0].path, ranges[0].prefix.String(), fmt.Sprintf(
			"the agents have divided %s among themselves and keep that in /var/lib/weave of every node: restore it", before)))
	}
}

// validateWeavePassword warns of changes at which agents cannot understand each other for a while.
func (s *state) validateWeavePassword() {
	name, _ := s.weaveSecret()
	rotation := ""
	if e := s.spec.CNI.Encryption; e != nil {
		rotation = e.Rotation
	}
	_, there := s.existing[nameWeaveNet]
	switch {
	case rotation != "" && name != "":
		s.warn(ruleWeavePasswordChange, cniPath.Child("encryption", "rotation"),
			"while another password is rolled out, agents with the old one and with the new one do not talk, and neither do pods on their nodes: change it in a maintenance window, with a larger agents.maxUnavailable")
	case there && s.previousWeave(weaveSecretKey) != name:
		s.warn(ruleWeavePasswordChange, cniPath.Child("encryption"),
			"while this is rolled out, agents with another password than the rest, or without one, do not talk to these, and neither do pods on their nodes")
	}
}

// weaveValues are the values of our chart of Weave Net.
func (s *state) weaveValues() *valuesBuilder {
	b := newValues("weave-net")
	if prefixes := s.poolsOf(ipv4); len(prefixes) > 0 {
		b.control(weaveRangeKey, "spec.ipPools", prefixes[0].String(), "the range of ipPools")
	} else {
		b.reserve(weaveRangeKey, "spec.ipPools")
	}
	if s.mtu.pod > 0 {
		b.control("mtu", "spec.mtu", int64(s.mtu.pod), "pods get %d; Weave Net takes their MTU, and not that of nodes", s.mtu.pod)
	} else {
		b.control("mtu", "spec.mtu", int64(weaveMTU), "Weave Net's own default")
	}
	s.weavePasswordValues(b)
	// Without kube-proxy nothing makes the API server's Service reachable.
	if s.withFacts && s.kubeProxyMode == networkstackv1alpha1.KubeProxyUnmanaged && s.facts.KubeProxy() == nil &&
		s.endpoint.Host != "" && !s.overridesChart(s.spec.CNI.Chart, networkstackv1alpha1.CNIWeaveNet) {
		b.control("kubeApi.host", "spec.cluster.apiServer", s.endpoint.Host, "no kube-proxy was found; %s", s.endpointReason())
		b.control("kubeApi.port", "spec.cluster.apiServer", int64(s.endpoint.Port), "no kube-proxy was found; %s", s.endpointReason())
	}
	return b
}

// weavePasswordValues name the Secret with the password. What is in it is in no value.
func (s *state) weavePasswordValues(b *valuesBuilder) {
	const by = "spec.cni.encryption"
	name, made := s.weaveSecret()
	b.reserve("password.key", by)
	if name == "" {
		b.control(weaveSecretKey, by, "", "encryption.type is None")
		b.reserve(weavePasswordRevision, by)
		return
	}
	rotation := s.spec.CNI.Encryption.Rotation
	if !made {
		b.control(weaveSecretKey, by, name, "the Secret that encryption.password names")
		b.control(weavePasswordRevision, by, rotation, "encryption.rotation: another one has the agents read the Secret anew")
		return
	}
	b.control(weaveSecretKey, by, name, "the operator makes the Secret, with a random password")
	b.reserve(weavePasswordRevision, by)
	b.generated = append(b.generated, networkstackv1alpha1.GeneratedSecret{
		SecretName: name, Kind: networkstackv1alpha1.SecretPassword, Rotation: rotation, RevisionValue: weavePasswordRevision,
	})
}
