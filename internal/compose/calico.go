package compose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// TypeCalicoCRDs is the component type of Calico's definitions, and its name in the catalogue.
const TypeCalicoCRDs = "CalicoCRDs"

// calicoKernel is the oldest kernel that Calico is tested on since 3.32; RHEL 8.4's 4.18 has what it needs.
var calicoKernel = facts.Kernel{Major: 5, Minor: 10}

// calicoEL8 is that minor release of RHEL 8.
const calicoEL8 = 4

// Bytes that each way of Calico's of carrying a pod's packet adds to it (Calico's guide to MTU).
const (
	ipipOverhead        = 20
	calicoWireGuardIPv4 = 60
	calicoWireGuardIPv6 = 80
)

// calicoPlan is what is settled of Calico alone.
type calicoPlan struct {
	dataplane networkstackv1alpha1.CalicoDataplane
	bgp       bool
	pools     []calicoPool
}

// calicoSpec is the user's block; never nil.
func (s *state) calicoSpec() *networkstackv1alpha1.CalicoSpec {
	if s.spec.CNI.Calico == nil {
		return &networkstackv1alpha1.CalicoSpec{}
	}
	return s.spec.CNI.Calico
}

// deriveCalico settles the data plane, the pools, and whether nodes need BGP.
func (s *state) deriveCalico() {
	if s.cni != networkstackv1alpha1.CNICalico {
		return
	}
	path := cniPath.Child("calico")
	s.calico.dataplane = s.calicoSpec().Dataplane
	if s.calico.dataplane == "" {
		switch s.kubeProxyMode {
		case networkstackv1alpha1.KubeProxyReplaced:
			s.calico.dataplane = networkstackv1alpha1.CalicoBPF
		case networkstackv1alpha1.KubeProxyNFTables:
			s.calico.dataplane = networkstackv1alpha1.CalicoNFTables
		default:
			s.calico.dataplane = networkstackv1alpha1.CalicoIPTables
		}
		hint := ""
		if s.kubeProxyMode == networkstackv1alpha1.KubeProxyUnmanaged {
			switch found := s.foundProxyMode(); found {
			case "":
				hint = "; beside a kube-proxy in nftables mode it has to be NFTables"
				// Not to know it for a while, as when its DaemonSet is made anew, is no reason to change every agent.
				if s.previousDataplane() == calicoDataplanes[networkstackv1alpha1.CalicoNFTables] {
					s.calico.dataplane = networkstackv1alpha1.CalicoNFTables
					hint = "; kept, for the mode of kube-proxy is not known now"
				}
			case networkstackv1alpha1.KubeProxyNFTables:
				s.calico.dataplane = networkstackv1alpha1.CalicoNFTables
				fallthrough
			default:
				hint = fmt.Sprintf("; the kube-proxy that is there is in mode %s", found)
			}
		}
		s.note(path.Child("dataplane"), s.calico.dataplane, "goes with kubeProxy.mode %s%s", s.kubeProxyMode, hint)
	}
	s.deriveCalicoPools()
	switch s.calicoSpec().BGP {
	case networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled:
		s.calico.bgp = s.calicoSpec().BGP == networkstackv1alpha1.Enabled
	default:
		reason := "no pool needs it: Calico itself programs the routes of VXLAN"
		if i := slices.IndexFunc(s.calico.pools, calicoPool.viaBGP); i >= 0 {
			s.calico.bgp = true
			reason = fmt.Sprintf("nodes learn the routes of %s (encapsulation %s) by it", s.calico.pools[i].prefix, s.calico.pools[i].encapsulation)
		}
		s.note(path.Child("bgp"), toggle(s.calico.bgp), "%s", reason)
	}
}

// calicoOverheads is the largest of all ways that a packet may take: Calico either encrypts or encapsulates it, and never both.
func (s *state) calicoOverheads() []overhead {
	var ways []overhead
	tunnel := func(f networkstackv1alpha1.IPFamily, name string) overhead {
		if f == ipv6 {
			return overhead{name + " over IPv6", tunnelOverIPv6}
		}
		return overhead{name, tunnelOverIPv4}
	}
	for _, p := range s.calico.pools {
		switch p.encapsulation {
		case networkstackv1alpha1.EncapsulationVXLAN, networkstackv1alpha1.EncapsulationVXLANCrossSubnet:
			ways = append(ways, tunnel(p.family, "VXLAN"))
		case networkstackv1alpha1.EncapsulationIPIP, networkstackv1alpha1.EncapsulationIPIPCrossSubnet:
			ways = append(ways, overhead{"IPIP", ipipOverhead})
		default:
		}
	}
	for _, f := range s.families {
		if s.encryption == networkstackv1alpha1.EncryptionWireGuard {
			if f == ipv6 {
				ways = append(ways, overhead{"WireGuard over IPv6", calicoWireGuardIPv6})
			} else {
				ways = append(ways, overhead{"WireGuard", calicoWireGuardIPv4})
			}
		}
		if s.calico.dataplane == networkstackv1alpha1.CalicoBPF {
			// A node hands what came to one of its NodePorts to the pod's node by VXLAN, whatever the pools' encapsulation.
			ways = append(ways, tunnel(f, "VXLAN"))
		}
	}
	if len(ways) == 0 {
		return nil
	}
	return []overhead{slices.MaxFunc(ways, func(a, b overhead) int { return cmp.Compare(a.bytes, b.bytes) })}
}

// validateCalico refuses what Calico cannot do.
func (s *state) validateCalico() {
	if s.encapsulation == networkstackv1alpha1.EncapsulationGeneve {
		s.refuse(ruleCalicoGeneve, field.Invalid(cniPath.Child("encapsulation"), s.encapsulation,
			"Calico has no Geneve: use VXLAN, IPIP or None, or type Cilium"))
	}
	if s.encryption == networkstackv1alpha1.EncryptionIPsec {
		s.refuse(ruleCalicoIPsec, field.Invalid(cniPath.Child("encryption", "type"), s.encryption,
			"Calico has no IPsec: use WireGuard, or type Cilium"))
	}
	if v := parseVersion(s.cniVersion); v != nil && !atLeast(v, 3, 32) {
		s.refuse(ruleCalicoOld, field.Invalid(cniPath.Child("version"), s.cniVersion,
			"Calico has its definitions in a chart of their own since 3.32, and older ones are not supported: use 3.32.0 or newer"))
	}
	if s.encryption == networkstackv1alpha1.EncryptionWireGuard && s.facts.Distribution == facts.DistributionGKE {
		s.refuse(ruleCalicoWireGuardGKE, field.Invalid(cniPath.Child("encryption", "type"), s.encryption,
			"Calico does not support WireGuard on GKE: remove encryption, or use type Cilium"))
	}
	s.validateAdminPolicies()
	s.validateCalicoPools()
	s.validateCalicoDataplane()
	s.warnOfOldKernels(ruleCalicoKernel, "Calico", calicoKernel, "5.10 (RHEL 8: 8.4)", calicoEL8)
}

// validateCalicoDataplane refuses a data plane that does not go with what programs Services.
func (s *state) validateCalicoDataplane() {
	path := cniPath.Child("calico", "dataplane")
	dataplane, mode := s.calico.dataplane, s.kubeProxyMode
	bpf := dataplane == networkstackv1alpha1.CalicoBPF
	nft := dataplane == networkstackv1alpha1.CalicoNFTables
	switch {
	case bpf && mode != networkstackv1alpha1.KubeProxyReplaced:
		s.refuse(ruleCalicoDataplane, field.Invalid(path, dataplane, fmt.Sprintf(
			"BPF programs Services itself, and kubeProxy.mode %s has kube-proxy do so as well: set kubeProxy.mode to Replaced, or choose IPTables or NFTables", mode)))
	case !bpf && mode == networkstackv1alpha1.KubeProxyReplaced:
		s.refuse(ruleCalicoDataplane, field.Invalid(path, dataplane, fmt.Sprintf(
			"%s does not program Services, and with kubeProxy.mode Replaced nobody else does: use BPF, or remove dataplane", dataplane)))
	case s.managesKubeProxy() && nft != (mode == networkstackv1alpha1.KubeProxyNFTables):
		s.refuse(ruleCalicoDataplane, field.Invalid(path, dataplane, fmt.Sprintf(
			"Calico and kube-proxy must both use nftables, or neither, and kubeProxy.mode is %s: make them agree, or remove dataplane", mode)))
	case mode == networkstackv1alpha1.KubeProxyUnmanaged && s.foundProxyMode() != "" && !bpf &&
		nft != (s.foundProxyMode() == networkstackv1alpha1.KubeProxyNFTables):
		s.refuse(ruleCalicoFoundProxy, field.Invalid(path, dataplane, fmt.Sprintf(
			"Calico and kube-proxy must both use nftables, or neither, and the kube-proxy that is there is in mode %s: "+
				"change it where it is managed, or remove dataplane", s.foundProxyMode())))
	}
	if windows := s.windowsNodes(); bpf && len(windows) > 0 {
		s.refuse(ruleCalicoWindows, field.Invalid(path, dataplane, fmt.Sprintf(
			"%s %s Windows, and Calico's data plane BPF does not work in a cluster with such nodes: choose another kubeProxy.mode, with IPTables or NFTables",
			nodeList(windows), verb(windows, "runs", "run"))))
	}
	if nft && !s.managesKubeProxy() { // else it is refused for kube-proxy already
		s.validateNFTablesKernels(path, dataplane, "Calico")
	}
	if bpf && slices.ContainsFunc(s.calico.pools, func(p calicoPool) bool { return strings.HasPrefix(string(p.encapsulation), "IPIP") }) {
		s.warn(ruleCalicoBPFIPIP, cniPath.Child("encapsulation"), "IPIP is slower than VXLAN with Calico's data plane BPF, which is made for the latter")
	}
}

// calicoReleases are Calico's definitions, and after them the tigera-operator with what it is to install.
func (s *state) calicoReleases() []Release {
	operator := s.cniRelease(nameCalico, s.calicoValues())
	entry := s.catalog[TypeCalicoCRDs]
	crds := Release{Name: nameCalicoCRDs, Spec: *operator.Spec.DeepCopy()}
	c := &crds.Spec
	c.Type, c.Stage, c.ReleaseName = TypeCalicoCRDs, stageDefinitions, cmp.Or(entry.ReleaseName, nameCalicoCRDs)
	c.Chart.Name, c.Chart.Digest = entry.Chart, ""
	if v := knownVersion(entry, c.Chart.Version); v != nil && c.Chart.Repository == entry.Repository {
		c.Chart.Digest = v.Digest
	}
	c.DerivedValues, c.Values, c.ValuesFrom, c.ControlledValues = rawJSON([]byte("{}")), nil, nil, nil
	c.DriftIgnore = s.driftIgnore(nameCalicoCRDs)
	return []Release{crds, operator}
}

// calicoValues are the values of the tigera-operator's chart.
func (s *state) calicoValues() *valuesBuilder {
	b := newValues("calico")
	const typ = "spec.cni.type"
	b.control("installation.enabled", typ, true, "it tells the tigera-operator what to install")
	b.control("installation.cni.type", typ, "Calico", "Calico is the network plugin, not the policies of another one alone")
	b.control("installation.cni.ipam.type", typ, "Calico", "ipPools are Calico's")
	b.control("manageCRDs", typ, false, "component %s keeps the definitions", nameCalicoCRDs)
	b.control("apiServer.enabled", "spec.ipPools", true, "pools are changed and deleted by Calico's API server alone")
	s.calicoNetwork(b)
	s.calicoServices(b)
	// A FelixConfiguration that is there from the beginning is ours; else the tigera-operator would make it.
	b.control("defaultFelixConfiguration.enabled", "spec.cni.encryption", true, "it says whether to encrypt")
	wireguard := s.encryption == networkstackv1alpha1.EncryptionWireGuard
	for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
		key := "defaultFelixConfiguration.wireguardEnabled"
		if f == ipv6 {
			key += "V6"
		}
		b.control(key, "spec.cni.encryption", wireguard && s.has(f), "encryption.type is %s", s.encryption)
	}
	s.calicoDNSExclusion(b)
	s.calicoMesh(b)
	for _, key := range []string{"bpfEnabled", "nftablesMode"} {
		b.reserve("defaultFelixConfiguration."+key, "spec.cni.calico.dataplane") // the tigera-operator sets them
	}
	s.deriveSwarm(b)
	if s.spec.Sources != nil && s.spec.Sources.ImageRegistry != "" {
		b.control("installation.registry", "spec.sources.imageRegistry", s.spec.Sources.ImageRegistry+"/",
			"the tigera-operator takes Calico's images from there")
	}
	if logs := s.spec.CNI.FlowLogs; logs != "" {
		b.control("goldmane.enabled", "spec.cni.flowLogs", logs == networkstackv1alpha1.Enabled, "flowLogs is %s", logs)
	} else {
		b.set("goldmane.enabled", false, "flow logs are a technical preview")
	}
	b.set("whisker.enabled", false, "flow logs are a technical preview")
	return b
}

// calicoDataplanes are the data planes in the Installation's words.
var calicoDataplanes = map[networkstackv1alpha1.CalicoDataplane]string{
	networkstackv1alpha1.CalicoIPTables: "Iptables",
	networkstackv1alpha1.CalicoNFTables: "Nftables",
	networkstackv1alpha1.CalicoBPF:      "BPF",
}

// previousDataplane is that of the component that is there, in the Installation's words; empty when there is none.
func (s *state) previousDataplane() string {
	values, err := ParseValues(s.existing[nameCalico].DerivedValues)
	if err != nil {
		return ""
	}
	return text(values, "installation.calicoNetwork.linuxDataplane")
}

// calicoNetwork is what Calico's network is to be.
func (s *state) calicoNetwork(b *valuesBuilder) {
	const at = "installation.calicoNetwork."
	dataplane := calicoDataplanes[s.calico.dataplane]
	b.control(at+"linuxDataplane", "spec.cni.calico.dataplane", dataplane, "data plane %s", s.calico.dataplane)
	b.control(at+"bgp", "spec.cni.calico.bgp", string(toggle(s.calico.bgp)), "bgp is %s", toggle(s.calico.bgp))
	pools := make([]any, len(s.calico.pools))
	for i, p := range s.calico.pools {
		pools[i] = p.value()
	}
	b.control(calicoPoolsKey, "spec.ipPools", pools, "one for each CIDR of ipPools")
	if s.mtu.pod > 0 {
		b.control(at+"mtu", "spec.mtu", s.mtu.pod, "what pods get; the nodes' network must carry %d", s.mtu.underlay())
	} else {
		b.reserve(at+"mtu", "spec.mtu")
	}
	for _, f := range []networkstackv1alpha1.IPFamily{ipv4, ipv6} {
		key := at + "nodeAddressAutodetectionV" + strings.TrimPrefix(string(f), "IPv")
		b.inline(key)
		if _, given := lookup(s.userValues[cniPath.String()], key); !given && s.has(f) {
			// Another way beside this one would be one too many.
			b.set(key+".kubernetes", "NodeInternalIP", "nodes have the addresses that they report")
		}
	}
}

// calicoServices says who programs Services, and how Calico reaches the API server meanwhile.
func (s *state) calicoServices(b *valuesBuilder) {
	const api, at = "spec.cluster.apiServer", "installation.calicoNetwork."
	b.control(at+"kubeProxyManagement", "spec.kubeProxy", "Disabled", "kube-proxy is installed, parked and brought back here")
	b.control(at+"bpfNetworkBootstrap", api, "Disabled", "the API server's address is written out")
	replaced := s.kubeProxyMode == networkstackv1alpha1.KubeProxyReplaced
	nobody := s.withFacts && s.kubeProxyMode == networkstackv1alpha1.KubeProxyUnmanaged && s.facts.KubeProxy() == nil
	if s.endpoint.Host == "" || !replaced && !nobody {
		b.reserve("kubernetesServiceEndpoint.host", api)
		b.reserve("kubernetesServiceEndpoint.port", api)
		return
	}
	b.control("kubernetesServiceEndpoint.host", api, s.endpoint.Host, "%s; without kube-proxy Calico may not depend on a Service", s.endpointReason())
	b.control("kubernetesServiceEndpoint.port", api, fmt.Sprint(s.endpoint.Port), "%s", s.endpointReason())
}
