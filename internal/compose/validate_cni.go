package compose

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// deriveCNI settles how the network plugin carries traffic, and its version.
func (s *state) deriveCNI() {
	c := s.spec.CNI
	if !s.installsCNI() {
		return
	}
	s.encryption = networkstackv1alpha1.EncryptionNone
	s.encapsulation = c.Encapsulation
	if s.cni == networkstackv1alpha1.CNIAWSVPC {
		s.encapsulation = networkstackv1alpha1.EncapsulationNone
	}
	s.deriveFoundBackend()
	if c.Encryption != nil {
		s.encryption = c.Encryption.Type
	} else {
		s.note(cniPath.Child("encryption", "type"), s.encryption, "default")
	}
	switch {
	case s.encapsulation != "":
	case s.flannelWireGuard():
		// The backend is its own encapsulation; there is no second one to choose.
	default:
		s.encapsulation = networkstackv1alpha1.EncapsulationVXLAN
		s.note(cniPath.Child("encapsulation"), s.encapsulation, "default: it asks nothing of the network between nodes")
	}
	s.cniVersion = c.Version
	if s.cniVersion == "" {
		if s.cniVersion = s.catalog[string(s.cni)].Default().Version; s.cniVersion != "" {
			s.note(cniPath.Child("version"), s.cniVersion, "the catalogue's default")
		}
	}
}

func (s *state) flannelWireGuard() bool {
	return s.cni == networkstackv1alpha1.CNIFlannel && s.encryption == networkstackv1alpha1.EncryptionWireGuard
}

// validateCNI refuses network plugins that this cluster, or their own limits, do not allow.
func (s *state) validateCNI() {
	c := s.spec.CNI
	if c.Encryption != nil && c.Encryption.IPsec != nil && c.Encryption.Type != networkstackv1alpha1.EncryptionIPsec {
		s.refuse(ruleCNIIPsecBlock, field.Forbidden(cniPath.Child("encryption", "ipsec"),
			"is read only with type IPsec: remove it, or set type to IPsec"))
	}
	s.validateForCalicoAlone()
	s.validateKeys()
	if s.cni != networkstackv1alpha1.CNIWeaveNet && c.WeaveNet != nil {
		s.refuse(ruleWeaveBlock, field.Forbidden(weavePath, "is read only with type WeaveNet: remove it, or set type to WeaveNet"))
	}
	s.validateFlannelOfServer()
	s.validateCiliumBlock()
	if s.cni != networkstackv1alpha1.CNIAWSVPC && c.AWSVPC != nil {
		s.refuse(ruleAWSBlock, field.Forbidden(cniPath.Child("awsVPC"), "is read only with type AWSVPC: remove it, or set type to AWSVPC"))
	}
	switch s.cni {
	case networkstackv1alpha1.CNIExternal:
		s.validateExternal()
		return
	case networkstackv1alpha1.CNIAzure, networkstackv1alpha1.CNIGKE:
		s.validateCloudCNI()
		return
	case networkstackv1alpha1.CNIKubenet:
		s.refuse(ruleCNIKubenet, field.Invalid(cniPath.Child("type"), s.cni,
			"kubenet is gone from Kubernetes since 1.24: use Flannel, Cilium or Calico, or External for a cluster of AKS that still has it"))
		return
	case networkstackv1alpha1.CNICalico:
		s.validateCalico()
	case networkstackv1alpha1.CNIAWSVPC:
		s.validateAWSVPC()
		if !s.installsCNI() {
			return
		}
	case networkstackv1alpha1.CNIWeaveNet:
		s.validateWeaveNet()
	case networkstackv1alpha1.CNIFlannel:
		s.validateFlannel()
	case networkstackv1alpha1.CNICilium:
		s.validateCilium()
	default:
		return
	}
	s.validateFoundCNIs()
}

// validateForCalicoAlone refuses what Calico alone has, with another network plugin.
func (s *state) validateForCalicoAlone() {
	if s.cni == networkstackv1alpha1.CNICalico {
		return
	}
	if s.spec.CNI.Calico != nil {
		s.refuse(ruleCalicoBlock, field.Forbidden(cniPath.Child("calico"), "is read only with type Calico: remove it, or set type to Calico"))
	}
	switch e := s.spec.CNI.Encapsulation; e {
	case networkstackv1alpha1.EncapsulationVXLANCrossSubnet,
		networkstackv1alpha1.EncapsulationIPIP, networkstackv1alpha1.EncapsulationIPIPCrossSubnet:
		// The others refuse it by themselves, or have none to set.
		if s.installsCNI() && s.cni != networkstackv1alpha1.CNIAWSVPC && s.cni != networkstackv1alpha1.CNIWeaveNet {
			s.refuse(ruleCalicoEncapsulation, field.Invalid(cniPath.Child("encapsulation"), e, fmt.Sprintf(
				"%s has no such encapsulation, which is Calico's: use VXLAN or None, or type Calico", s.cni)))
		}
	default:
	}
}

// validateKeys refuses what belongs to another type of encryption.
func (s *state) validateKeys() {
	e := s.spec.CNI.Encryption
	if e == nil {
		return
	}
	path := cniPath.Child("encryption")
	if e.Password != nil && e.Type != networkstackv1alpha1.EncryptionPassword {
		s.refuse(ruleCNIPasswordBlock, field.Forbidden(path.Child("password"), "is read only with type Password: remove it, or set type to Password"))
	}
	if e.Rotation != "" && e.Type != networkstackv1alpha1.EncryptionIPsec && e.Type != networkstackv1alpha1.EncryptionPassword {
		s.refuse(ruleCNIRotation, field.Forbidden(path.Child("rotation"),
			"only keys and passwords are rotated on request: remove it, or set type to IPsec or Password"))
	}
	if e.Type == networkstackv1alpha1.EncryptionPassword && s.cni != networkstackv1alpha1.CNIWeaveNet && s.installsCNI() &&
		s.cni != networkstackv1alpha1.CNIAWSVPC { // others have no encryption to set
		s.refuse(ruleCNIPassword, field.Invalid(path.Child("type"), e.Type,
			"only Weave Net encrypts by a password: use WireGuard with Cilium, Calico or Flannel, or IPsec with Cilium"))
	}
}

// setForCNI are the fields of cni, beside type, that only a network plugin that is installed here could have.
func (s *state) setForCNI() []string {
	c := s.spec.CNI
	var out []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"encapsulation", c.Encapsulation != ""},
		{"encryption", c.Encryption != nil},
		{"version", c.Version != ""},
		{"namespace", c.Namespace != ""},
		{"chart", c.Chart != nil},
		{"values", c.Values != nil},
		{"valuesFrom", len(c.ValuesFrom) > 0},
		{"driftMode", c.DriftMode != ""},
		{"agents", c.Agents != nil},
		{"networkPolicy", c.NetworkPolicy != ""},
		{"metrics", c.Metrics != nil},
	} {
		if f.set {
			out = append(out, f.name)
		}
	}
	return out
}

// validateExternal refuses settings of a network plugin that is not installed here.
func (s *state) validateExternal() {
	for _, name := range s.setForCNI() {
		s.refuse(ruleCNIExternalField, field.Forbidden(cniPath.Child(name),
			"with type External the CNI is not managed here: remove it, or name the CNI in type"))
	}
	if s.withFacts && len(s.facts.CNIs()) == 0 {
		s.warn(ruleCNINoneFound, cniPath.Child("type"), "External, and no network plugin was found: pods get no network until one is installed")
	}
}

// validateFoundCNIs refuses a second network plugin, and one that somebody else installed.
func (s *state) validateFoundCNIs() {
	path := cniPath.Child("type")
	for _, found := range s.facts.CNIs() {
		name := found.Namespace + "/" + found.Name
		same := string(found.Type) == string(s.cni)
		by := "which NetworkStack did not install"
		switch {
		case found.Component != "":
			by = "installed by NetworkStack as component " + found.Component
		case found.Manager != "":
			by = fmt.Sprintf("managed by %q", found.Manager)
		}
		if !same && !s.besideAWSVPC(found) {
			s.refuse(ruleCNISecond, field.Invalid(path, s.cni, fmt.Sprintf(
				"DaemonSet %s is %s, %s; two network plugins break every pod: set cni.type to External to leave it there, or remove it first",
				name, found.Type, by)))
		}
	}
	s.validateAdoption(string(s.cni), path, s.cni, s.spec.CNI.Namespace, "set cni.type to External to leave it there")
}

// nodesWithPodCIDRs looks at what kube-controller-manager gave the nodes: which have no range at all, and
// which have some but not every wanted family.
func (s *state) nodesWithPodCIDRs() (without []string, lacking map[networkstackv1alpha1.IPFamily][]string) {
	lacking = map[networkstackv1alpha1.IPFamily][]string{}
	for _, n := range s.linux {
		if len(n.PodCIDRs) == 0 {
			without = append(without, n.Name)
			continue
		}
		for _, f := range s.families {
			if len(ofFamily(n.PodCIDRs, f)) == 0 {
				lacking[f] = append(lacking[f], n.Name)
			}
		}
	}
	return without, lacking
}

// validateNodePodCIDRs refuses nodes without the ranges that a plugin takes from Node.spec.podCIDRs. When
// only some nodes have none at all they have most likely just joined: their range comes within seconds, and
// the plugin waits for it on those nodes alone.
func (s *state) validateNodePodCIDRs(refusal func(detail string) *field.Error, why, otherwise string) {
	without, lacking := s.nodesWithPodCIDRs()
	flags := s.controllerManagerFlags()
	switch {
	case len(without) == 0:
	case len(without) == len(s.linux):
		s.refuse(ruleNodeRangeMissing, refusal(fmt.Sprintf("%s, and %s %s none: set %s on kube-controller-manager%s",
			why, nodeList(without), verb(without, "has", "have"), flags, otherwise)))
	default:
		s.warn(ruleNodeRangePending, poolsPath, "%s %s no spec.podCIDRs yet; pods there wait for them", nodeList(without), verb(without, "has", "have"))
	}
	for _, f := range s.families {
		if names := lacking[f]; len(names) > 0 {
			s.refuse(ruleNodeRangeMissing, refusal(fmt.Sprintf("%s, and %s %s none that is %s: set %s on kube-controller-manager and register such nodes anew%s",
				why, nodeList(names), verb(names, "has", "have"), f, flags, otherwise)))
		}
	}
}

// controllerManagerFlags that give nodes their ranges.
func (s *state) controllerManagerFlags() string {
	if s.dualStack() {
		return "--allocate-node-cidrs, --cluster-cidr (both families), --node-cidr-mask-size-ipv4 and --node-cidr-mask-size-ipv6"
	}
	return "--allocate-node-cidrs, --cluster-cidr and --node-cidr-mask-size"
}
