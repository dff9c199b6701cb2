package compose

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// cloudCNI is a network plugin that a cloud runs.
type cloudCNI struct {
	// distribution is the cloud's service that runs it.
	distribution facts.Distribution
	// where it is set up.
	where string
	// beside are the types of DaemonSets that the service may run for it, beside its own.
	beside []facts.InstalledType
}

// cloudCNIs are those that are verified and reported, and never installed.
var cloudCNIs = map[networkstackv1alpha1.CNIType]cloudCNI{
	networkstackv1alpha1.CNIAzure: {
		facts.DistributionAKS, "AKS (az aks, or the template that the cluster is made from)",
		[]facts.InstalledType{facts.InstalledAzureCNI, facts.InstalledAzureMasquerade, facts.InstalledCilium, facts.InstalledCalico},
	},
	networkstackv1alpha1.CNIGKE: {
		facts.DistributionGKE, "GKE (gcloud container clusters, or the template that the cluster is made from)",
		[]facts.InstalledType{facts.InstalledGKENetd, facts.InstalledCilium, facts.InstalledCalico},
	},
}

// deriveType takes the type of the network plugin, if there is such a one.
func (s *state) deriveType() {
	switch t := s.spec.CNI.Type; t {
	case networkstackv1alpha1.CNIFlannel, networkstackv1alpha1.CNICilium, networkstackv1alpha1.CNICalico,
		networkstackv1alpha1.CNIWeaveNet, networkstackv1alpha1.CNIAWSVPC,
		networkstackv1alpha1.CNIAzure, networkstackv1alpha1.CNIGKE, networkstackv1alpha1.CNIKubenet, networkstackv1alpha1.CNIExternal:
		s.cni = t
	default:
		// Refused with the other enums.
	}
}

// installsCNI says whether the network plugin is one that is installed here.
func (s *state) installsCNI() bool {
	switch s.cni {
	case networkstackv1alpha1.CNIFlannel, networkstackv1alpha1.CNICilium, networkstackv1alpha1.CNICalico, networkstackv1alpha1.CNIWeaveNet:
		return true
	case networkstackv1alpha1.CNIAWSVPC:
		return s.awsAddOn() == nil
	default:
		return false
	}
}

// takesCNISettings says whether the type has settings. Those of an AWS VPC CNI that somebody keeps are refused, and judged all the
// same: nothing that is wrong without a cluster is right in one.
func (s *state) takesCNISettings() bool {
	return s.installsCNI() || s.cni == networkstackv1alpha1.CNIAWSVPC
}

// runByCloud says whether the network plugin is one that its cloud runs.
func (s *state) runByCloud() bool { return cloudCNIs[s.cni].distribution != "" }

// reliesOn are the network plugins of others that stay, and what their cloud runs beside them.
func (s *state) reliesOn() []facts.Installed {
	if s.installsCNI() {
		return nil
	}
	var out []facts.Installed
	for _, i := range s.facts.Installed {
		if i.Component == "" && (i.IsCNI() || slices.Contains(cloudCNIs[s.cni].beside, i.Type)) {
			i.Found = nil // the inputs are not referred to
			out = append(out, i)
		}
	}
	return out
}

// validateCloudCNI refuses settings that the cloud alone makes, and clusters that have no such network plugin.
func (s *state) validateCloudCNI() {
	cloud := cloudCNIs[s.cni]
	forbid := func(path *field.Path) {
		s.refuse(ruleCloudField, field.Forbidden(path, fmt.Sprintf("%s is set up in %s: remove it", s.cni, cloud.where)))
	}
	for _, name := range s.setForCNI() {
		forbid(cniPath.Child(name))
	}
	if s.spec.MTU != 0 {
		forbid(specPath.Child("mtu"))
	}
	s.forbidPools(forbid)
	if !s.withFacts {
		return
	}
	path := cniPath.Child("type")
	switch d := s.facts.Distribution; {
	case d == cloud.distribution:
		s.validateFoundOfCloud(path)
	case len(s.nodes) == 0 && d == "":
		s.warn(ruleCloudUnverified, path, "no node says yet that this is a cluster of %s: it is looked at again when there are nodes", cloud.distribution)
	default:
		is := "nothing says that this cluster is one"
		if d != "" {
			is = "this cluster is one of " + string(d)
		}
		s.refuse(ruleCloudWrong, field.Invalid(path, s.cni, fmt.Sprintf(
			"is run by %s in its own clusters, and %s: name the network plugin that it is to have, or External", cloud.distribution, is)))
	}
}

// forbidPools refuses pools, but for what a kube-proxy of ours has to know.
func (s *state) forbidPools(forbid func(*field.Path)) {
	if len(s.spec.IPPools) > 0 && !s.managesKubeProxy() {
		forbid(poolsPath)
		return
	}
	for i, p := range s.spec.IPPools {
		if p.NodeMaskSizes != nil {
			forbid(poolsPath.Index(i).Child("nodeMaskSizes"))
		}
		if p.NATOutgoing != "" {
			forbid(poolsPath.Index(i).Child("natOutgoing"))
		}
	}
}

// validateFoundOfCloud compares what was found with what the cloud runs, and reports it.
func (s *state) validateFoundOfCloud(path *field.Path) {
	cloud := cloudCNIs[s.cni]
	for _, i := range s.facts.CNIs() {
		if s.ofCloud(i) {
			continue
		}
		s.refuse(ruleCNISecond, field.Invalid(path, s.cni, fmt.Sprintf(
			"DaemonSet %s/%s is %s, which is none of what %s runs: name it in cni.type, or External, or remove it", i.Namespace, i.Name, i.Type, cloud.distribution)))
	}
	if s.cni == networkstackv1alpha1.CNIAzure && !s.facts.Has(facts.InstalledAzureCNI) {
		s.warn(ruleCloudNoneFound, path,
			"there is no DaemonSet azure-cns: this is the oldest form of Azure CNI, or the cluster has another network plugin or none, for which cni.type is to be another one")
	}
	s.noteOfCloud()
}

// ofCloud says whether a network plugin that was found is the cloud's, or one that it runs beside its own.
func (s *state) ofCloud(i facts.Installed) bool {
	if i.Component != "" || !slices.Contains(cloudCNIs[s.cni].beside, i.Type) {
		return false
	}
	return i.Type != facts.InstalledCilium || s.ciliumOfCloud(i)
}

// ciliumOfCloud says whether a Cilium is Dataplane V2 of GKE, or the data plane of AKS.
func (s *state) ciliumOfCloud(i facts.Installed) bool {
	if i.Type != facts.InstalledCilium || i.Component != "" {
		return false
	}
	return i.Name == "anetd" || s.facts.Distribution == facts.DistributionAKS && s.facts.Has(facts.InstalledAzureCNI)
}

// noteOfCloud reports how the cloud's network plugin is set up, as far as it shows.
func (s *state) noteOfCloud() {
	by := cloudCNIs[s.cni].distribution
	plane, policy, why := "without eBPF", "none found", "neither a Cilium nor a Calico of "+string(by)+" was found"
	for _, i := range s.facts.CNIs() {
		at := fmt.Sprintf("DaemonSet %s/%s is there", i.Namespace, i.Name)
		switch {
		case s.ciliumOfCloud(i):
			plane, policy, why = "Cilium", "Cilium", at
		case i.Type == facts.InstalledCalico:
			policy, why = "Calico", at
		}
	}
	s.noteAs("cni: data plane", plane, fmt.Sprintf("run by %s; %s", by, why))
	s.noteAs("cni: network policy", policy, fmt.Sprintf("run by %s; %s", by, why))
	s.noteAs(specPath.Child("mtu").String(), "set by "+string(by), "the cloud's network plugin sets the MTU of pods")
}

// kubeProxyOfDistribution is who runs a kube-proxy that is no DaemonSet: as a static pod, or inside an agent. It cannot be
// parked.
func (s *state) kubeProxyOfDistribution() facts.Distribution {
	switch d := s.facts.Distribution; d {
	case facts.DistributionGKE:
		return d
	case facts.DistributionK3s, facts.DistributionRKE2:
		if known, with := s.servers(func(a *facts.ServerArgs) bool { return !a.NoKubeProxy }); known && len(with) == 0 {
			return ""
		}
		return d
	default:
		return ""
	}
}

// servers are the names of those of k3s and RKE2 of which something holds, and whether any says how it runs.
func (s *state) servers(holds func(*facts.ServerArgs) bool) (known bool, names []string) {
	for _, n := range s.nodes {
		if n.Server == nil {
			continue
		}
		known = true
		if holds(n.Server) {
			names = append(names, n.Name)
		}
	}
	return known, names
}

// validateFlannelOfServer refuses a network plugin beside the Flannel that runs inside of k3s, where no DaemonSet shows it.
func (s *state) validateFlannelOfServer() {
	if s.facts.Distribution != facts.DistributionK3s || !s.installsCNI() {
		return
	}
	_, with := s.servers(func(a *facts.ServerArgs) bool { return a.FlannelBackend != "none" })
	if len(with) == 0 {
		return
	}
	s.refuse(ruleCNIOfServer, field.Invalid(cniPath.Child("type"), s.cni, fmt.Sprintf(
		"k3s runs Flannel itself on %s: start every server with --flannel-backend=none and --disable-network-policy, or set cni.type to External to leave it there",
		nodeList(with))))
}

// validateKubeProxyOfDistribution leaves a kube-proxy alone that the distribution runs.
func (s *state) validateKubeProxyOfDistribution(path *field.Path) {
	by := s.kubeProxyOfDistribution()
	replaced := s.kubeProxyMode == networkstackv1alpha1.KubeProxyReplaced
	ours, _ := s.installed(TypeKubeProxy)
	switch {
	case by == "":
	case replaced && by != facts.DistributionGKE:
		where := ""
		if _, with := s.servers(func(a *facts.ServerArgs) bool { return !a.NoKubeProxy }); len(with) > 0 {
			where = ", which " + nodeList(with) + " " + verb(with, "lacks", "lack")
		}
		s.warn(ruleProxyOfAgent, path, "%s runs kube-proxy itself, where it cannot be parked: every server needs disable-kube-proxy in its configuration%s", by, where)
	case replaced || s.managesKubeProxy() && ours == nil:
		s.refuse(ruleProxyOfDistribution, field.Invalid(path, s.kubeProxyMode, fmt.Sprintf(
			"%s runs kube-proxy itself, where it can neither be changed nor parked: set kubeProxy.mode to Unmanaged", by)))
	}
}
