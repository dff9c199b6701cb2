package compose

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// mkeVNI and mkeVXLANPort are what the networks of Docker's Swarm leave to others on nodes of Mirantis Kubernetes Engine.
const mkeVNI, mkeVXLANPort = 10000, 8472

// neighbours that are of some sort, as a text; empty when there are none.
func (s *state) neighbours(of func(facts.Neighbour) bool) string {
	var out []string
	for _, n := range s.facts.Neighbours {
		if of(n) {
			out = append(out, fmt.Sprintf("%s (DaemonSet %s/%s)", n.Of, n.Namespace, n.Name))
		}
	}
	return strings.Join(out, " and ")
}

// validateNeighbours warns of what does not go with things of others that were found.
func (s *state) validateNeighbours() {
	s.warnOfLaxARP()
	s.warnOfConntrack()
	s.warnOfMounts()
	s.warnOfMappedPorts()
	if who := s.neighbours(func(n facts.Neighbour) bool { return n.Migrates }); who != "" &&
		s.cni == networkstackv1alpha1.CNICalico && s.encryption == networkstackv1alpha1.EncryptionWireGuard {
		s.warn(ruleCalicoWireGuardMigration, cniPath.Child("encryption", "type"),
			"%s moves running machines from node to node, and Calico's WireGuard does not follow their addresses: do not migrate them live, remove encryption, or use type Cilium", who)
	}
}

// warnOfLaxARP warns of a kube-proxy in IPVS mode that answers for addresses which somebody else announces.
func (s *state) warnOfLaxARP() {
	who := s.neighbours(func(n facts.Neighbour) bool { return n.Announces })
	if who == "" || s.usesStrictARP() {
		return // MetalLB of this stack has its own say
	}
	const wrong = "each node answers ARP for every address of a Service, those that %s announces by layer 2 among them: "
	found := s.facts.KubeProxy()
	switch {
	case s.kubeProxyMode == networkstackv1alpha1.KubeProxyIPVS:
		given, set := lookup(s.userValues[kubeProxyPath.String()], "ipvs.strictARP")
		kept := s.inherit(TypeKubeProxy).keepsConfig() && found != nil && found.StrictARP
		if given == true || !set && (len(s.spec.KubeProxy.ValuesFrom) > 0 || kept) {
			return
		}
		s.warn(ruleProxyStrictARP, kubeProxyPath.Child("values"), wrong+"set values.ipvs.strictARP to true", who)
	case s.kubeProxyMode == networkstackv1alpha1.KubeProxyUnmanaged && s.foundProxyMode() == networkstackv1alpha1.KubeProxyIPVS &&
		!found.StrictARP:
		s.warn(ruleProxyStrictARP, kubeProxyPath.Child("mode"), wrong+"set ipvs.strictARP of DaemonSet %s/%s, a kube-proxy in mode IPVS, to true where it is managed",
			who, found.Namespace, found.Name)
	}
}

// keepsConfig says whether a kube-proxy was taken over with its configuration.
func (in *inherited) keepsConfig() bool {
	return in != nil && in.values["found.config"] != nil
}

// nestedNodes are those that may not configure their kernel.
func (s *state) nestedNodes() []string {
	var out []string
	for _, n := range s.linux {
		if n.Nested {
			out = append(out, n.Name)
		}
	}
	return out
}

// conntrackLimits keep kube-proxy from setting sysctls that a node may not write: it exits when it cannot.
var conntrackLimits = []string{"conntrack.maxPerCore", "conntrack.min"}

// deriveConntrack leaves the kernel's connection tracking alone on nodes that may not configure it.
func (s *state) deriveConntrack(b *valuesBuilder) {
	if nested := s.nestedNodes(); len(nested) > 0 {
		for _, key := range conntrackLimits {
			b.set(key, int64(0), "%s %s within another machine, and may not set its limits", nodeList(nested), verb(nested, "runs", "run"))
		}
	}
}

func (s *state) warnOfConntrack() {
	nested := s.nestedNodes()
	if len(nested) == 0 || !s.managesKubeProxy() {
		return
	}
	for _, key := range conntrackLimits {
		if v, _ := lookup(s.userValues[kubeProxyPath.String()], key); v != nil && v != int64(0) {
			s.warn(ruleProxyConntrack, kubeProxyPath.Child("values"), "values.%s is a limit of the machine that %s %s within, which kube-proxy may not set and exits: set it to 0",
				key, nodeList(nested), verb(nested, "runs", "run"))
		}
	}
}

// warnOfMounts warns of kernels that lose the connections of their own to Services when Cilium balances at the socket.
func (s *state) warnOfMounts() {
	who := s.neighbours(func(n facts.Neighbour) bool { return n.Mounts })
	if who == "" || s.cni != networkstackv1alpha1.CNICilium {
		return
	}
	if c := s.ciliumJudged(); !c.replaces() && !c.on("socketLB.enabled") {
		return
	}
	var old []string
	for _, n := range s.linux {
		if !keepsSockets(n.KernelVersion) {
			old = append(old, n.Name)
		}
	}
	if len(old) > 0 {
		s.warn(ruleCiliumMounts, cniPath.Child("type"), "%s mounts volumes by NFS or SMB from Services, and the kernel of %s may lose such mounts beside Cilium's socket load balancing (cilium#21541): "+
			"see to it that it has the fixes, or upgrade it to 6.7 or newer", who, nodeList(old))
	}
}

// socketsKernel is the first kernel with all fixes of its own connections to addresses that are translated at the socket.
var socketsKernel = facts.Kernel{Major: 6, Minor: 7}

// fixedSockets are kernels of distributions that have the fixes, from a build on, by the form of their versions.
var fixedSockets = []struct {
	form *regexp.Regexp
	from []int
}{
	{regexp.MustCompile(`^5\.4\.0-(\d+)-`), []int{187}},
	{regexp.MustCompile(`^5\.15\.0-(\d+)-`), []int{113}},
	{regexp.MustCompile(`^6\.5\.0-(\d+)-`), []int{41}},
	{regexp.MustCompile(`^4\.18\.0-(\d+)(?:\.(\d+)\.(\d+))?\.el8`), []int{553, 8, 1}},
	{regexp.MustCompile(`^5\.14\.0-(\d+)(?:\.(\d+)\.(\d+))?\.el9`), []int{427, 31, 1}},
}

// keepsSockets says whether a kernel is known to have the fixes. One whose version cannot be read is given the benefit of the doubt.
func keepsSockets(version string) bool {
	k, ok := facts.ParseKernel(version)
	if !ok || !k.Older(socketsKernel) {
		return true
	}
	for _, f := range fixedSockets {
		m := f.form.FindStringSubmatch(version)
		if m == nil {
			continue
		}
		build := make([]int, len(f.from))
		for i := range build {
			build[i], _ = strconv.Atoi(m[1+i])
		}
		return slices.Compare(build, f.from) >= 0
	}
	return false
}

// deriveSwarm keeps Calico's VXLAN apart from that of Docker's Swarm, on the nodes that have both.
func (s *state) deriveSwarm(b *valuesBuilder) {
	if s.facts.Distribution != facts.DistributionMKE {
		return
	}
	const why = "the networks of Docker's Swarm on nodes of Mirantis Kubernetes Engine have the usual %s"
	b.set("defaultFelixConfiguration.vxlanVNI", int64(mkeVNI), why, "network ID")
	if s.calico.dataplane == networkstackv1alpha1.CalicoBPF {
		b.set("defaultFelixConfiguration.vxlanPort", int64(mkeVXLANPort), why, "port, of which Calico's data plane BPF takes every packet")
	}
}

// The usual range of NodePorts.
const firstNodePort, lastNodePort = 30000, 32767

// warnOfMappedPorts warns of host ports that Cilium leaves out in kube-proxy's place, for they might be NodePorts.
func (s *state) warnOfMappedPorts() {
	c := s.ciliumJudged()
	if s.cni != networkstackv1alpha1.CNICilium || !c.replaces() {
		return
	}
	first, last := firstNodePort, lastNodePort
	if from, to, ok := strings.Cut(c.word("nodePort.range"), ","); ok {
		first, last = portIn(from), portIn(to)
	}
	for _, h := range s.facts.HostPorts {
		if h.Mapped && h.Port >= first && h.Port <= last {
			s.warn(ruleCiliumMappedPort, kubeProxyPath.Child("mode"), "DaemonSet %s/%s has the host port %d, which lies in the range of NodePorts (%d to %d), and Cilium does not map such ports: give it another one",
				h.Namespace, h.Name, h.Port, first, last)
		}
	}
}
