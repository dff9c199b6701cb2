package compose

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// nftablesKernel is the oldest kernel that kube-proxy's nftables mode takes (KEP-3866).
var nftablesKernel = facts.Kernel{Major: 5, Minor: 13}

// maxKubeProxySkew is how many minors kube-proxy may be older than the API server (version skew policy).
const maxKubeProxySkew = 3

// deriveKubeProxy settles the mode and the version.
func (s *state) deriveKubeProxy() {
	s.kubeProxyMode = networkstackv1alpha1.KubeProxyUnmanaged
	if s.spec.KubeProxy == nil {
		s.note(kubeProxyPath.Child("mode"), s.kubeProxyMode, "kubeProxy is left out: kube-proxy is left as it is found")
		return
	}
	s.kubeProxyMode = s.spec.KubeProxy.Mode
	if !s.managesKubeProxy() {
		return
	}
	if v := s.spec.KubeProxy.Version; v != "" {
		s.kubeProxyTag = imageTag(v)
		return
	}
	s.kubeProxyTag = upstreamTag(s.facts.KubernetesVersion)
	if s.kubeProxyTag != "" {
		s.note(kubeProxyPath.Child("version"), s.kubeProxyTag, "the API server's version, %s", s.facts.KubernetesVersion)
	}
}

// managesKubeProxy says whether kube-proxy is one of our releases.
func (s *state) managesKubeProxy() bool {
	switch s.kubeProxyMode {
	case networkstackv1alpha1.KubeProxyIPTables, networkstackv1alpha1.KubeProxyNFTables, networkstackv1alpha1.KubeProxyIPVS:
		return true
	default:
		return false
	}
}

// foreignKubeProxies are the kube-proxies found that are not ours.
func (s *state) foreignKubeProxies() []facts.Installed {
	var out []facts.Installed
	for _, i := range s.facts.Installed {
		if i.Type == facts.InstalledKubeProxy && i.Component == "" {
			out = append(out, i)
		}
	}
	return out
}

// parksKubeProxy says whether a kube-proxy of nobody's is to stand aside.
func (s *state) parksKubeProxy() bool {
	return s.kubeProxyMode == networkstackv1alpha1.KubeProxyReplaced && len(s.foreignKubeProxies()) > 0
}

// validateKubeProxy refuses modes that this cluster cannot have.
func (s *state) validateKubeProxy() {
	mode := s.kubeProxyMode
	modePath := kubeProxyPath.Child("mode")
	if mode == networkstackv1alpha1.KubeProxyReplaced &&
		s.spec.CNI.Type != networkstackv1alpha1.CNICilium && s.spec.CNI.Type != networkstackv1alpha1.CNICalico {
		s.refuse(ruleProxyNotReplaced, field.Invalid(modePath, mode, fmt.Sprintf(
			"cni.type %s does not program Services, and without kube-proxy no Service works: set cni.type to Cilium or Calico, or choose IPTables or NFTables",
			s.spec.CNI.Type)))
	}
	s.validateReplacedIPVS(modePath)
	s.validateForeignKubeProxy(modePath)
	s.validateKubeProxyOfDistribution(modePath)
	s.warnOfPodsOutside()
	if !s.managesKubeProxy() {
		unseen := s.kubeProxyOfDistribution() != "" // it is there, whatever DaemonSets there are
		if s.withFacts && mode == networkstackv1alpha1.KubeProxyUnmanaged && s.facts.KubeProxy() == nil && !unseen {
			s.warn(ruleProxyNoneFound, modePath, "Unmanaged, and no kube-proxy was found: Services work only if something else programs them (k3s and RKE2 run kube-proxy outside of pods)")
		}
		return
	}
	s.validateNodePortAddresses()
	s.validateFeatureGates()
	if s.kubeProxyTag == "" {
		if s.withFacts {
			s.refuse(ruleProxyVersionUnknown, field.Required(kubeProxyPath.Child("version"), fmt.Sprintf(
				"the API server's version %q does not say which kube-proxy to install: set it", s.facts.KubernetesVersion)))
		}
		return
	}
	v := parseVersion(s.kubeProxyTag)
	if v == nil {
		return // refused with the other versions
	}
	s.validateKubeProxySkew(v)
	s.validateModeChange(modePath, v)
	switch mode {
	case networkstackv1alpha1.KubeProxyIPVS:
		s.validateIPVS(modePath, v)
	case networkstackv1alpha1.KubeProxyNFTables:
		s.validateNFTables(modePath, v)
	case networkstackv1alpha1.KubeProxyIPTables, networkstackv1alpha1.KubeProxyReplaced, networkstackv1alpha1.KubeProxyUnmanaged:
		// Every version will do.
	}
}

// validateNodePortAddresses refuses what kube-proxy's own validation does, before its pods find out.
func (s *state) validateNodePortAddresses() {
	v, _ := lookup(s.userValues[kubeProxyPath.String()], "nodePortAddresses")
	if list, _ := v.([]any); len(list) > 1 && slices.Contains(list, any("primary")) {
		s.refuse(ruleNodePortAddresses, field.Invalid(kubeProxyPath.Child("values"), field.OmitValueType{},
			"values.nodePortAddresses has \"primary\" beside other elements: use it alone, or a list of CIDRs"))
	}
}

// validateFeatureGates refuses gates: kube-proxy reads them in no argument beside its configuration, which is written here.
func (s *state) validateFeatureGates() {
	user := s.userValues[kubeProxyPath.String()]
	_, gates := lookup(user, "featureGates")
	args, _ := lookup(user, "extraArgs")
	list, _ := args.([]any)
	gates = gates || slices.ContainsFunc(list, func(a any) bool { return strings.HasPrefix(fmt.Sprint(a), "--feature-gates") })
	if gates {
		s.refuse(ruleProxyFeatureGates, field.Invalid(kubeProxyPath.Child("values"), field.OmitValueType{},
			"feature gates of kube-proxy are not supported: remove them, and choose a mode and a version that do without"))
	}
}

func (s *state) validateForeignKubeProxy(path *field.Path) {
	if s.managesKubeProxy() {
		s.validateAdoption(TypeKubeProxy, path, s.kubeProxyMode, s.spec.KubeProxy.Namespace,
			"set kubeProxy.mode to Unmanaged to leave it there")
		return
	}
	for _, p := range s.foreignKubeProxies() {
		name := p.Namespace + "/" + p.Name
		if s.kubeProxyMode == networkstackv1alpha1.KubeProxyReplaced && p.Manager != "" {
			s.refuse(ruleProxyManaged, field.Invalid(path, s.kubeProxyMode, fmt.Sprintf(
				"DaemonSet %s is managed by %q, which would undo its parking: turn kube-proxy off there, or set kubeProxy.mode to Unmanaged",
				name, p.Manager)))
		}
	}
}

// foundProxyMode is the mode of the kube-proxy that is there; empty when it is not known. Of one of ours it is what was wanted
// last: its configuration may have drifted.
func (s *state) foundProxyMode() networkstackv1alpha1.KubeProxyMode {
	p := s.facts.KubeProxy()
	if p == nil || p.Parked {
		return ""
	}
	name := p.Mode
	if ours, known := s.existing[nameKubeProxy]; known && p.Component == nameKubeProxy {
		values, err := ParseValues(ours.DerivedValues)
		if err != nil {
			return ""
		}
		mode, _ := lookup(values, "mode")
		name, _ = mode.(string)
	}
	for _, m := range []networkstackv1alpha1.KubeProxyMode{
		networkstackv1alpha1.KubeProxyIPTables, networkstackv1alpha1.KubeProxyIPVS, networkstackv1alpha1.KubeProxyNFTables,
	} {
		if strings.EqualFold(name, string(m)) {
			return m
		}
	}
	return ""
}

// leavesNFTables says whether a kube-proxy in nftables mode is left as it was found.
func (s *state) leavesNFTables() bool {
	return s.kubeProxyMode == networkstackv1alpha1.KubeProxyUnmanaged && s.foundProxyMode() == networkstackv1alpha1.KubeProxyNFTables
}

// warnOfPodsOutside warns of pools that the kube-proxy there is does not take for pods': it gives their traffic to Services the node's
// address, as it does with that of clients outside of the cluster.
func (s *state) warnOfPodsOutside() {
	p := s.facts.KubeProxy()
	if p == nil || p.Parked || s.kubeProxyMode != networkstackv1alpha1.KubeProxyUnmanaged || !s.installsCNI() || s.poolsFromNodes {
		return
	}
	for _, pool := range s.pools {
		if of := ofFamily(p.PodRanges, pool.family); len(of) > 0 && !setOf(of).ContainsPrefix(pool.prefix) {
			s.warn(ruleProxyPodsOutside, pool.path,
				"DaemonSet %s/%s, a kube-proxy, takes only %s for pods' (clusterCIDR), so pods of %s reach Services with their node's address, which NetworkPolicies see: widen it there",
				p.Namespace, p.Name, joined(of), pool.prefix)
		}
	}
}

// validateReplacedIPVS refuses to start Cilium in kube-proxy's place while one runs in IPVS mode: the addresses of all Services are on
// each node then, and stay there. Once Cilium is in its place, it is too late to go back for that.
func (s *state) validateReplacedIPVS(path *field.Path) {
	before, there := s.existing[nameCilium]
	if s.cni != networkstackv1alpha1.CNICilium || s.kubeProxyMode != networkstackv1alpha1.KubeProxyReplaced ||
		s.foundProxyMode() != networkstackv1alpha1.KubeProxyIPVS || there && ReplacesKubeProxy(&before) {
		return
	}
	p := s.facts.KubeProxy()
	s.refuse(ruleProxyIPVSReplaced, field.Invalid(path, s.kubeProxyMode, fmt.Sprintf(
		"DaemonSet %s/%s is a kube-proxy in mode IPVS, which leaves the addresses of all Services on the device kube-ipvs0 of every node, and Cilium "+
			"is not tested beside it: set NFTables first, and Replaced when that is Ready; or move it to iptables and restart the nodes", p.Namespace, p.Name)))
}

// validateModeChange refuses the one change of mode after which kube-proxy leaves what it had set up: it clears what the other
// side of iptables and nftables left, and takes IPTables and IPVS for one side. By way of NFTables each step clears the one before.
func (s *state) validateModeChange(path *field.Path, v *version.Version) {
	found, wanted := s.foundProxyMode(), s.kubeProxyMode
	ipvs := networkstackv1alpha1.KubeProxyIPVS
	if found == "" || found == wanted || found == networkstackv1alpha1.KubeProxyNFTables || wanted != ipvs && found != ipvs ||
		wanted == networkstackv1alpha1.KubeProxyNFTables || !s.managesKubeProxy() {
		return
	}
	left := "rules of iptables, which may refuse the addresses of Services"
	if found == ipvs {
		left = "the addresses of all Services on the device kube-ipvs0, and IPVS's own tables"
	}
	old := slices.ContainsFunc(s.linux, func(n facts.Node) bool {
		k, ok := facts.ParseKernel(n.KernelVersion)
		return !ok || k.Older(nftablesKernel)
	})
	aws := s.cni == networkstackv1alpha1.CNIAWSVPC || s.facts.Has(facts.InstalledAWSVPC)
	if atLeast(v, 1, 31) && !old && !aws {
		s.refuse(ruleProxyModeLeftovers, field.Invalid(path, wanted, fmt.Sprintf(
			"kube-proxy is in mode %s, and would leave on every node %s: set NFTables first, which clears them, and %s when that is Ready",
			found, left, wanted)))
		return
	}
	s.warn(ruleProxyModeRestart, path, "kube-proxy is in mode %s, and leaves on every node %s: restart each node after the change", found, left)
}

func (s *state) validateKubeProxySkew(v *version.Version) {
	api := parseVersion(s.facts.KubernetesVersion)
	if api == nil {
		return
	}
	path := kubeProxyPath.Child("version")
	ahead, sameMajor := minorDistance(api, v)
	switch {
	case !sameMajor || ahead > 0:
		s.refuse(ruleProxyTooNew, field.Invalid(path, s.kubeProxyTag, fmt.Sprintf(
			"kube-proxy v%s is newer than kube-apiserver v%s: use v%s or older, or remove version to follow the API server",
			minorOf(v), minorOf(api), minorOf(api))))
	case -ahead > maxKubeProxySkew:
		s.refuse(ruleProxyTooOld, field.Invalid(path, s.kubeProxyTag, fmt.Sprintf(
			"kube-proxy v%s is %d minors older than kube-apiserver v%s; the limit is %d: use a newer one, or remove version to follow the API server",
			minorOf(v), -ahead, minorOf(api), maxKubeProxySkew)))
	}
}

// validateIPVS follows KEP-5495: deprecated in 1.35, off by default in 1.40, removed in 1.43.
func (s *state) validateIPVS(path *field.Path, v *version.Version) {
	switch {
	case atLeast(v, 1, 43):
		s.refuse(ruleIPVSRemoved, field.Invalid(path, s.kubeProxyMode, "kube-proxy has no IPVS mode since 1.43: choose NFTables or IPTables"))
	case atLeast(v, 1, 40):
		s.refuse(ruleIPVSGated, field.Invalid(path, s.kubeProxyMode, fmt.Sprintf(
			"kube-proxy %s refuses IPVS unless the feature gate KubeProxyIPVS is on, which is not supported here, and 1.43 removes it: choose NFTables or IPTables",
			minorOf(v))))
	case atLeast(v, 1, 35):
		s.warn(ruleIPVSDeprecated, path, "IPVS is deprecated since Kubernetes 1.35 and off by default in 1.40; plan the change to NFTables")
	}
}

// validateNFTables follows KEP-3866: off by default before 1.31, beta until 1.33.
func (s *state) validateNFTables(path *field.Path, v *version.Version) {
	switch {
	case !atLeast(v, 1, 31):
		s.refuse(ruleNFTablesTooOld, field.Invalid(path, s.kubeProxyMode, fmt.Sprintf(
			"kube-proxy %s does not have NFTables on by default; it needs 1.31 or newer: choose IPTables", minorOf(v))))
	case !atLeast(v, 1, 33):
		s.warn(ruleNFTablesBeta, path, "NFTables is beta in kube-proxy %s and stable from 1.33", minorOf(v))
	}
	s.validateNFTablesKernels(path, s.kubeProxyMode, "kube-proxy")
	s.validateVirtualServers(path)
	if s.cni == networkstackv1alpha1.CNIAWSVPC && !s.facts.Has(facts.InstalledAWSVPC) {
		s.refuse(ruleNFTablesAWS, field.Invalid(path, s.kubeProxyMode,
			"cni.type is AWSVPC, which NFTables breaks (amazon-vpc-cni-k8s#3563): choose IPTables"))
	}
	for _, i := range s.facts.Installed {
		switch {
		// Pods on secondary network interfaces lose their traffic (amazon-vpc-cni-k8s#3563).
		case i.Type == facts.InstalledAWSVPC:
			s.refuse(ruleNFTablesAWS, field.Invalid(path, s.kubeProxyMode, fmt.Sprintf(
				"DaemonSet %s/%s is the AWS VPC CNI, which NFTables breaks (amazon-vpc-cni-k8s#3563): choose IPTables", i.Namespace, i.Name)))
		case i.Type == facts.InstalledCalico && i.Component == "":
			s.warn(ruleNFTablesCalico, path,
				"DaemonSet %s/%s is Calico, which works with NFTables only if its own data plane is nftables (calico#8025): set it so, or choose IPTables",
				i.Namespace, i.Name)
		}
	}
}

// validateVirtualServers refuses to let kube-proxy clear the virtual servers of others when it starts. Those of a kube-proxy in IPVS mode
// are its own, and once it is in nftables mode it is too late.
func (s *state) validateVirtualServers(path *field.Path) {
	if found := s.foundProxyMode(); found == networkstackv1alpha1.KubeProxyIPVS || found == networkstackv1alpha1.KubeProxyNFTables {
		return
	}
	var has []string
	for _, n := range s.linux {
		if n.IPVSServices > 0 {
			has = append(has, n.Name)
		}
	}
	if len(has) > 0 {
		s.refuse(ruleNFTablesIPVS, field.Invalid(path, s.kubeProxyMode, fmt.Sprintf(
			"%s %s virtual servers of IPVS that are not kube-proxy's (those of kube-vip or keepalived, for example), and kube-proxy in this mode removes all at each start: take them away, or choose IPTables",
			nodeList(has), verb(has, "has", "have"))))
	}
}

// validateNFTablesKernels refuses nodes whose kernel lacks what NFTables needs.
func (s *state) validateNFTablesKernels(path *field.Path, value any, who string) {
	var old, unknown []string
	oldest := ""
	var oldestKernel facts.Kernel
	for _, n := range s.linux {
		k, ok := facts.ParseKernel(n.KernelVersion)
		switch {
		case !ok:
			unknown = append(unknown, n.Name)
		case k.Older(nftablesKernel):
			old = append(old, n.Name)
			if oldest == "" || k.Older(oldestKernel) {
				oldest, oldestKernel = n.KernelVersion, k
			}
		}
	}
	if len(old) > 0 {
		s.refuse(ruleNFTablesKernel, field.Invalid(path, value, fmt.Sprintf(
			"%s %s kernel %s; NFTables needs 5.13 or newer and %s does not start without: upgrade the kernel, or choose IPTables",
			nodeList(old), verb(old, "has", "have at the oldest"), oldest, who)))
	}
	if len(unknown) > 0 {
		s.warn(ruleNFTablesKernelUnknown, path, "%s %s no readable kernel version; NFTables needs 5.13 or newer", nodeList(unknown), verb(unknown, "reports", "report"))
	}
}
