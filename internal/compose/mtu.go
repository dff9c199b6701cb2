package compose

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// MTU limits in bytes. Linux carries IPv6 only from 1280 (RFC 8200); IPv4 hosts must take 576 (RFC 791).
const (
	minIPv4MTU = 576
	minIPv6MTU = 1280
	maxMTU     = 65536
	// maxPodMTU is the most that Linux takes for a route.
	maxPodMTU = 65520
	// maxAzureMTU is what the network of Azure carries in one piece.
	maxAzureMTU = 1400
)

// Bytes that each way of carrying a pod's packet adds to it.
const (
	// Outer Ethernet of the inner frame 14, VXLAN or Geneve 8, UDP 8, and IPv4 20 or IPv6 40
	// (Cilium pkg/mtu, Flannel pkg/backend/vxlan).
	tunnelOverIPv4 = 50
	tunnelOverIPv6 = 70
	// Cilium reserves 95 for WireGuard, either family, since 1.19.5 (cilium#45940, padding), 80 before.
	ciliumWireGuard    = 95
	ciliumWireGuardOld = 80
	// Cilium pkg/mtu: ESP with a 128-bit authentication key.
	ciliumIPsec = 77
	// Weave Net, fast datapath: VXLAN and ESP, the same without a password.
	weaveTunnel = 84
	// Flannel's wireguard backend subtracts 80 whatever the family (pkg/backend/wireguard).
	flannelWireGuard = 80
	// Flannel's vxlan backend subtracts 50 even when the underlay is IPv6 (pkg/backend/vxlan).
	flannelSubtractsForVXLAN = 50
)

// overhead is one thing that takes bytes of every packet.
type overhead struct {
	name  string
	bytes int
}

// mtuPlan is the MTU of pods and where it comes from.
type mtuPlan struct {
	// pod MTU in bytes; 0 leaves detection to the network plugin.
	pod int
	// node is the smallest MTU of the nodes' interfaces in bytes; 0 when none is known.
	node int
	// nodeName says whose MTU that is: "node n3", "node n3 (NodeNetworkState)" or "spec.cluster.nodeMTU".
	nodeName string
	// parts are what encapsulation and encryption take.
	parts []overhead
}

// overhead is the sum of the parts in bytes.
func (p mtuPlan) overhead() int {
	sum := 0
	for _, o := range p.parts {
		sum += o.bytes
	}
	return sum
}

// underlay is the MTU that the nodes' network must carry for the pods' MTU; 0 when that is left to detection.
func (p mtuPlan) underlay() int {
	if p.pod == 0 {
		return 0
	}
	return p.pod + p.overhead()
}

// words is "50 (VXLAN)", "145 (VXLAN 50, WireGuard 95)" or "0 (no encapsulation)".
func (p mtuPlan) words() string {
	switch len(p.parts) {
	case 0:
		return "0 (no encapsulation)"
	case 1:
		return fmt.Sprintf("%d (%s)", p.parts[0].bytes, p.parts[0].name)
	}
	words := make([]string, len(p.parts))
	for i, o := range p.parts {
		words[i] = fmt.Sprintf("%s %d", o.name, o.bytes)
	}
	return fmt.Sprintf("%d (%s)", p.overhead(), strings.Join(words, ", "))
}

// overheads of the network plugin in effect.
func (s *state) overheads() []overhead {
	switch s.cni {
	case networkstackv1alpha1.CNICilium:
		return ciliumOverheads(s.encapsulation, s.encryption, s.primary(), parseVersion(s.cniVersion))
	case networkstackv1alpha1.CNICalico:
		return s.calicoOverheads()
	case networkstackv1alpha1.CNIWeaveNet:
		return s.weaveOverheads()
	case networkstackv1alpha1.CNIFlannel:
		return flannelOverheads(s.encapsulation, s.encryption, s.has(ipv6))
	default:
		return nil
	}
}

// ciliumOverheads add up: Cilium encrypts what it has encapsulated. All of its tunnels run over the
// underlay's one family.
func ciliumOverheads(encapsulation networkstackv1alpha1.Encapsulation, encryption networkstackv1alpha1.EncryptionType,
	underlay networkstackv1alpha1.IPFamily, v *version.Version,
) []overhead {
	var out []overhead
	if encapsulation != networkstackv1alpha1.EncapsulationNone {
		if underlay == ipv6 {
			out = append(out, overhead{string(encapsulation) + " over IPv6", tunnelOverIPv6})
		} else {
			out = append(out, overhead{string(encapsulation), tunnelOverIPv4})
		}
	}
	switch encryption {
	case networkstackv1alpha1.EncryptionNone, networkstackv1alpha1.EncryptionPassword: // the latter is refused
	case networkstackv1alpha1.EncryptionWireGuard:
		bytes := ciliumWireGuard
		if v != nil && v.LessThan(version.MustParseSemantic("1.19.5")) {
			bytes = ciliumWireGuardOld
		}
		out = append(out, overhead{"WireGuard", bytes})
	case networkstackv1alpha1.EncryptionIPsec:
		out = append(out, overhead{"IPsec", ciliumIPsec})
	}
	return out
}

// flannelOverheads are one backend's. With IPv6 pods there is an IPv6 tunnel beside or in place of the IPv4
// one, and a pod has one MTU for both.
func flannelOverheads(encapsulation networkstackv1alpha1.Encapsulation, encryption networkstackv1alpha1.EncryptionType,
	withIPv6 bool,
) []overhead {
	switch {
	case encryption == networkstackv1alpha1.EncryptionWireGuard:
		return []overhead{{"WireGuard", flannelWireGuard}}
	case encapsulation == networkstackv1alpha1.EncapsulationNone:
		return nil
	case withIPv6:
		return []overhead{{"VXLAN over IPv6", tunnelOverIPv6}}
	default:
		return []overhead{{"VXLAN", tunnelOverIPv4}}
	}
}

// nodeMTU is the smallest node MTU known, whose it is, and how many nodes state theirs.
func (s *state) nodeMTU() (mtu int, whose string, known int) {
	if m := s.pinned().NodeMTU; m > 0 {
		return int(m), clusterPath.Child("nodeMTU").String(), len(s.linux)
	}
	for _, n := range s.linux {
		if n.MTU <= 0 {
			continue
		}
		known++
		if mtu == 0 || n.MTU < mtu {
			mtu, whose = n.MTU, "node "+n.Name
			if n.MTUSource != "" {
				whose += " (" + n.MTUSource + ")"
			}
		}
	}
	return mtu, whose, known
}

// deriveMTU settles the pods' MTU and refuses what the nodes or IPv6 cannot carry.
func (s *state) deriveMTU() {
	path := specPath.Child("mtu")
	given := int(s.spec.MTU)
	if m := s.pinned().NodeMTU; m != 0 && (m < minIPv4MTU || m > maxMTU) {
		s.refuse(ruleMTUNodeRange, field.Invalid(clusterPath.Child("nodeMTU"), m, fmt.Sprintf("must be from %d to %d", minIPv4MTU, maxMTU)))
		return
	}
	floor := minIPv4MTU
	if s.has(ipv6) {
		floor = minIPv6MTU
	}
	switch {
	case given != 0 && (given < minIPv4MTU || given > maxPodMTU):
		s.refuse(ruleMTURange, field.Invalid(path, given,
			fmt.Sprintf("must be from %d to %d, or 0 to have it derived", minIPv4MTU, maxPodMTU)))
		return
	case given != 0 && given < floor:
		s.refuse(ruleMTUBelowIPv6, field.Invalid(path, given, fmt.Sprintf(
			"IPv6 needs an MTU of at least %d: raise mtu, or remove IPv6 from ipFamilies", minIPv6MTU)))
		return
	case s.cni == networkstackv1alpha1.CNIExternal && given != 0:
		s.warn(ruleMTUNoEffect, path, "has no effect: an external CNI has its own MTU")
		return
	case !s.installsCNI():
		return
	case s.cni == networkstackv1alpha1.CNICalico && len(s.calico.pools) == 0:
		return // refused, or known with the cluster's facts: what pools take of a packet is their own
	}

	p := mtuPlan{parts: s.overheads()}
	known := 0
	p.node, p.nodeName, known = s.nodeMTU()
	switch {
	case given != 0:
		p.pod = given
		if p.node > 0 && p.underlay() > p.node {
			s.refuse(ruleMTUExceedsNodes, field.Invalid(path, given, fmt.Sprintf("%d + %s exceeds %d of %s; the maximum is %d%s",
				given, p.words(), p.node, p.nodeName, p.node-p.overhead(), s.mtuRemedy(p.node-p.overhead(), floor))))
			return
		}
	case p.node > 0:
		p.pod = p.node - p.overhead()
		if p.pod < floor {
			s.refuse(ruleMTUNodesTooSmall, field.Invalid(path, given, fmt.Sprintf(
				"derived: %d of %s less %s leaves %d, but %s needs %d: raise the nodes' MTU to %d, or choose less encapsulation and encryption",
				p.node, p.nodeName, p.words(), p.pod, s.floorFamily(), floor, floor+p.overhead())))
			return
		}
		s.note(path, p.pod, "%d of %s%s less %s", p.node, p.nodeName, partly(known, len(s.linux)), p.words())
	case s.cni == networkstackv1alpha1.CNIAWSVPC:
		s.note(path, maxAWSMTU, "the AWS VPC CNI's own default, and what the network of EC2 carries")
	case s.cni == networkstackv1alpha1.CNIWeaveNet:
		s.note(path, weaveMTU, "no node states its MTU (annotation %s, or cluster.nodeMTU): Weave Net's own default, which goes with nodes of 1460 and more",
			networkstackv1alpha1.NodeMTUAnnotation)
	default:
		s.note(path, 0, "no node states its MTU (nodeAgent: {mode: Enabled} finds it out; else annotation %s, or cluster.nodeMTU): %s detects it",
			networkstackv1alpha1.NodeMTUAnnotation, s.cni)
		if s.cni == networkstackv1alpha1.CNIFlannel && p.overhead() > s.flannelSubtracts() {
			s.warn(ruleMTUFlannelIPv6, path, "Flannel detects the nodes' MTU but reserves only %d bytes where VXLAN over IPv6 takes %d: state cluster.nodeMTU",
				flannelSubtractsForVXLAN, tunnelOverIPv6)
		}
	}
	s.mtu = p
	s.validateFlannelMTU(path)
	s.warnOfAzureMTU(path)
	s.warnOfChangedMTU(path)
}

// warnOfAzureMTU warns where the nodes' interfaces say more than their network carries in one piece. What is encrypted is not taken apart.
func (s *state) warnOfAzureMTU(path *field.Path) {
	if s.facts.Cloud == facts.CloudAzure && s.encryption == networkstackv1alpha1.EncryptionWireGuard &&
		(s.mtu.underlay() == 0 || s.mtu.underlay() > maxAzureMTU) {
		s.warn(ruleMTUAzure, path, "the nodes run on Azure, whose network carries %d bytes in one piece whatever the interfaces say, and WireGuard's packets may be larger: "+
			"state cluster.nodeMTU: %d, or a smaller mtu", maxAzureMTU, maxAzureMTU)
	}
}

// warnOfChangedMTU warns of pods that keep what they have.
func (s *state) warnOfChangedMTU(path *field.Path) {
	before := s.previousMTU()
	if before == 0 || s.mtu.pod == 0 || before == s.mtu.pod {
		return
	}
	until := "they do with less than they could"
	switch {
	case before > s.mtu.pod:
		until = "their packets of more than that may be lost"
	case s.cni == networkstackv1alpha1.CNIFlannel:
		// The bridge plugin gives it an MTU when it makes it, and never again.
		until += fmt.Sprintf(", and nodes let no pod have more in one piece than their bridge cni0 did before: "+
			"ip link set dev cni0 mtu %d on each, or restart it", s.mtu.pod)
	}
	s.warn(ruleMTUChanged, path, "new pods get %d, and those that are there keep %d until they are re-created; until then %s", s.mtu.pod, before, until)
}

// previousMTU is what the component that is there gives pods; 0 where that is not known, and where it is no matter: Cilium changes the
// interfaces that there are.
func (s *state) previousMTU() int {
	name, key := "", ""
	switch s.cni {
	case networkstackv1alpha1.CNICalico:
		name, key = nameCalico, "installation.calicoNetwork.mtu"
	case networkstackv1alpha1.CNIFlannel:
		name, key = nameFlannel, "flannel.mtu"
	case networkstackv1alpha1.CNIWeaveNet:
		name, key = nameWeaveNet, "mtu"
	case networkstackv1alpha1.CNIAWSVPC:
		name, key = nameAWSVPC, "env.POD_MTU"
	default:
		return 0
	}
	values, err := ParseValues(s.existing[name].DerivedValues)
	if err != nil {
		return 0
	}
	backend, _ := lookup(values, "flannel.backend")
	if s.cni == networkstackv1alpha1.CNIFlannel && backend == "host-gw" {
		return s.mtu.node // that of the interface; there is no key for it
	}
	v, _ := lookup(values, key)
	mtu, err := strconv.Atoi(fmt.Sprint(v))
	if err != nil {
		return 0
	}
	if s.cni == networkstackv1alpha1.CNIFlannel {
		mtu -= flannelTakes(fmt.Sprint(backend))
	}
	return mtu
}

func (s *state) mtuRemedy(maximum, floor int) string {
	if maximum < floor {
		return fmt.Sprintf(", which is less than the %d that %s needs: raise the nodes' MTU, or choose less encapsulation and encryption",
			floor, s.floorFamily())
	}
	return ": lower mtu, or set it to 0 to have it derived"
}

func (s *state) floorFamily() networkstackv1alpha1.IPFamily {
	if s.has(ipv6) {
		return ipv6
	}
	return ipv4
}

func partly(known, all int) string {
	if known == all {
		return ""
	}
	return fmt.Sprintf(" (the smallest of the %d of %d nodes that state it)", known, all)
}
