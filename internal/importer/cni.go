package importer

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

const cniField = "spec.cni"

// cni describes the network plugin.
func (i *importing) cni() {
	found := i.installed(func(a *facts.Installed) bool { return a.IsCNI() })
	if len(found) == 0 {
		i.spec.CNI.Type = networkstackv1alpha1.CNIExternal
		i.remark(Remark{
			Severity: Unexpressed, Field: cniField + ".type",
			What:   "no network plugin that is known here was found, so External leaves whatever there is in place",
			Remedy: "name the plugin in type if it is to be installed by the stack",
		})
		return
	}
	if len(found) > 1 {
		var names []string
		for _, a := range found {
			names = append(names, a.Workload())
			i.release(a.ReleaseNamespace, a.ReleaseName)
		}
		i.spec.CNI.Type = networkstackv1alpha1.CNIExternal
		i.remark(Remark{
			Severity: Decide, Field: cniField + ".type", Object: strings.Join(names, ", "),
			What:   "there are several network plugins, and a stack has one",
			Remedy: "remove all but one and import again; External leaves them in place",
		})
		return
	}
	a := found[0]
	switch {
	case i.Input.external != "":
		i.external(a, "would be refused in a stack ("+i.Input.external+")", "settle that in the installation, and import again, to have the stack take it over")
	case a.Type == facts.InstalledAzureCNI:
		i.spec.CNI.Type = networkstackv1alpha1.CNIAzure
		i.origin(cniField, "%s, run by Azure", a.Workload())
	case a.Type == facts.InstalledCilium && a.Kept && i.Facts.Distribution == facts.DistributionGKE:
		i.spec.CNI.Type = networkstackv1alpha1.CNIGKE
		i.origin(cniField, "%s, run by Google", a.Workload())
	case a.Type == facts.InstalledAWSVPC && a.Kept:
		i.spec.CNI.Type = networkstackv1alpha1.CNIAWSVPC
		i.origin(cniField, "%s, kept by %s", a.Workload(), a.Manager)
	case a.Kept:
		i.external(a, fmt.Sprintf("is kept by %s, which would undo every change", a.Manager),
			"remove it there first, if the stack is to have it")
	case a.Type == facts.InstalledFlannel:
		i.flannel(a)
	case a.Type == facts.InstalledCilium && a.ReleaseName != "":
		i.ciliumOf(a)
	case a.Type == facts.InstalledCilium:
		i.external(a, "was not made by Helm, and only such a Cilium can be taken over", "install it anew by Helm, with the same values")
	case a.Type == facts.InstalledAWSVPC && a.ReleaseName != "":
		i.byHelm(a, networkstackv1alpha1.CNIAWSVPC)
	default:
		i.external(a, fmt.Sprintf("is %s, which is never taken over", a.Type), "")
	}
}

// calicoCharts are those by which Helm installs a Calico. Its agents do not say so: the tigera-operator makes them.
var calicoCharts = []string{"tigera-operator", "crd.projectcalico.org.v1", "projectcalico.org.v3"}

// external leaves a network plugin where it is.
func (i *importing) external(a *facts.Installed, why, remedy string) {
	i.spec.CNI.Type = networkstackv1alpha1.CNIExternal
	i.release(a.ReleaseNamespace, a.ReleaseName)
	for n := range i.Releases {
		if a.Type == facts.InstalledCalico && slices.Contains(calicoCharts, i.Releases[n].Chart.Name) {
			i.taken[i.Releases[n].ID()] = true
		}
	}
	i.origin(cniField, "%s, left in place", a.Workload())
	i.remark(Remark{
		Severity: Unexpressed, Field: cniField + ".type", Object: a.Workload(),
		What:   a.Workload() + " " + why + ": External leaves it in place, and the stack says nothing of how it is set up",
		Remedy: remedy,
	})
}

// byHelm describes a plugin of a Helm release by its type, version and values. It answers the release; nil when its record cannot be read.
func (i *importing) byHelm(a *facts.Installed, typ networkstackv1alpha1.CNIType) *Release {
	r := i.release(a.ReleaseNamespace, a.ReleaseName)
	if r == nil {
		i.external(a, fmt.Sprintf("is of Helm release %s/%s, whose record could not be read", a.ReleaseNamespace, a.ReleaseName),
			"import again with the permission to read Secrets in namespace "+a.ReleaseNamespace)
		return nil
	}
	i.spec.CNI.Type, i.spec.CNI.Version = typ, r.Chart.Version
	i.origin(cniField, "Helm release %s: chart %s %s", r.ID(), r.Chart.Name, r.Chart.Version)
	i.describe(r, cniField, func() *networkstackv1alpha1.ComponentSettings { return &i.spec.CNI.ComponentSettings })
	return r
}

// describe notes that a release is a component of the stack.
func (i *importing) describe(r *Release, field string, settings func() *networkstackv1alpha1.ComponentSettings) {
	i.described = append(i.described, described{release: r, field: field, settings: settings})
}

func (i *importing) flannel(a *facts.Installed) {
	if a.ReleaseName != "" {
		i.byHelm(a, networkstackv1alpha1.CNIFlannel)
		return
	}
	i.spec.CNI.Type, i.spec.CNI.Version = networkstackv1alpha1.CNIFlannel, imageTag(a.Image)
	i.origin(cniField, "%s, made by %s", a.Workload(), a.Source)
}

// imageTag is the tag of an image; empty when it has none.
func imageTag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		return image[colon+1:]
	}
	return ""
}

// clusterPool is the way of Cilium's to give out addresses where its operator divides ranges among nodes.
const clusterPool = "cluster-pool"

// The usual prefix lengths of a node's range, which need not be said.
const usualMask4, usualMask6 = 24, 64

// ciliumOf describes a Cilium by what its chart makes of the release's values.
func (i *importing) ciliumOf(a *facts.Installed) {
	var v map[string]any
	if r := i.release(a.ReleaseNamespace, a.ReleaseName); r != nil {
		v = coalesce(r.Chart.Defaults, r.Values)
		if mode := word(v, "ipam.mode"); mode != clusterPool && mode != "kubernetes" {
			i.external(a, fmt.Sprintf("gives out addresses by ipam.mode %s, which cannot be taken over", mode), "")
			return
		}
	}
	r := i.byHelm(a, networkstackv1alpha1.CNICilium)
	if r == nil {
		return
	}
	on := func(path string) bool { return word(v, path) == "true" }
	if word(v, "ipam.mode") == clusterPool {
		i.ciliumPools(v)
	}
	var families []networkstackv1alpha1.IPFamily
	for _, f := range []networkstackv1alpha1.IPFamily{networkstackv1alpha1.IPv4, networkstackv1alpha1.IPv6} {
		if on(strings.ToLower(string(f)) + ".enabled") {
			families = append(families, f)
		}
	}
	if len(i.spec.IPPools) == 0 && !slices.Equal(families, familiesOf(i.Facts.ServiceCIDRs)) {
		i.spec.IPFamilies = families
	}
	if word(v, "routingMode") == "native" {
		i.spec.CNI.Encapsulation = networkstackv1alpha1.EncapsulationNone
	} else if word(v, "tunnelProtocol") == "geneve" {
		i.spec.CNI.Encapsulation = networkstackv1alpha1.EncapsulationGeneve
	}
	if on("encryption.enabled") {
		i.spec.CNI.Encryption = &networkstackv1alpha1.EncryptionSpec{Type: networkstackv1alpha1.EncryptionIPsec}
		if word(v, "encryption.type") == "wireguard" {
			i.spec.CNI.Encryption.Type = networkstackv1alpha1.EncryptionWireGuard
		} else if name := word(v, "encryption.ipsec.secretName"); name != "" {
			i.spec.CNI.Encryption.IPsec = &networkstackv1alpha1.IPsecSpec{SecretName: name}
		}
	}
	if word(v, "kubeProxyReplacement") == "true" {
		i.spec.KubeProxy = &networkstackv1alpha1.KubeProxySpec{Mode: networkstackv1alpha1.KubeProxyReplaced}
		i.origin("spec.kubeProxy", "kubeProxyReplacement of Helm release %s", r.ID())
		i.ciliumEndpoint(v, r)
	}
	i.ciliumMTU(v)
}

// familiesOf are the families of ranges.
func familiesOf(ranges []netip.Prefix) []networkstackv1alpha1.IPFamily {
	var out []networkstackv1alpha1.IPFamily
	for _, p := range ranges {
		f := networkstackv1alpha1.IPv6
		if p.Addr().Is4() {
			f = networkstackv1alpha1.IPv4
		}
		out = append(out, f)
	}
	return out
}

// ciliumPools describes the ranges that Cilium's operator divides among nodes.
func (i *importing) ciliumPools(v map[string]any) {
	pool := networkstackv1alpha1.IPPool{Name: "default"}
	masks := networkstackv1alpha1.NodeMaskSizes{}
	nat := true
	for _, f := range []struct {
		family string
		usual  int32
		size   **int32
	}{{"IPv4", usualMask4, &masks.IPv4}, {"IPv6", usualMask6, &masks.IPv6}} {
		if word(v, strings.ToLower(f.family)+".enabled") != "true" {
			continue
		}
		list, _ := at(v, split("ipam.operator.clusterPool"+f.family+"PodCIDRList")).([]any)
		for _, c := range list {
			text := fmt.Sprint(c)
			if p, err := netip.ParsePrefix(text); err == nil {
				text = p.Masked().String()
			}
			pool.CIDRs = append(pool.CIDRs, text)
		}
		if n, ok := at(v, split("ipam.operator.clusterPool"+f.family+"MaskSize")).(int64); ok && n != int64(f.usual) {
			size := int32(n) //nolint:gosec // the API server refuses what is no prefix length
			*f.size = &size
		}
		nat = nat && word(v, "enable"+f.family+"Masquerade") != "false"
	}
	if masks.IPv4 != nil || masks.IPv6 != nil {
		pool.NodeMaskSizes = &masks
	}
	if !nat {
		pool.NATOutgoing = networkstackv1alpha1.Disabled
	}
	i.spec.IPPools = []networkstackv1alpha1.IPPool{pool}
}

// ciliumEndpoint states the address of the API server where Cilium uses another one than is found by itself.
func (i *importing) ciliumEndpoint(v map[string]any, r *Release) {
	host, port := word(v, "k8sServiceHost"), word(v, "k8sServicePort")
	if host == "" {
		i.remark(Remark{
			Severity: Decide, Field: "spec.cluster.apiServer", Object: "Helm release " + r.ID(),
			What: "Cilium programs Services itself and finds the API server by a Service; the stack has it use an address of its own, " +
				"which restarts its agents",
			Remedy: "set k8sServiceHost and k8sServicePort in the release first, at a time of your choice",
		})
		return
	}
	var number int32
	if _, err := fmt.Sscanf(cmp.Or(port, "443"), "%d", &number); err != nil {
		return
	}
	e := networkstackv1alpha1.Endpoint{Host: host, Port: number}
	if e != i.Facts.APIServer {
		i.spec.Cluster = &networkstackv1alpha1.PinnedFacts{APIServer: &e}
	}
}

// ciliumMTU has pods get the MTU that they have.
func (i *importing) ciliumMTU(v map[string]any) {
	device, ok := at(v, []string{"MTU"}).(int64)
	if !ok || device <= 0 {
		return
	}
	// What is subtracted for encapsulation and encryption shows in what the chart gets.
	i.spec.MTU = int32(device) //nolint:gosec // the API server refuses what is too large
	for _, r := range i.composed().Releases {
		derived, err := parse(r.Spec.DerivedValues)
		if n, ok := at(derived, []string{"MTU"}).(int64); err == nil && ok && r.Spec.Type == string(networkstackv1alpha1.CNICilium) {
			i.spec.MTU = int32(2*device - n) //nolint:gosec // as above
		}
	}
}

// kubeProxy describes who programs Services, unless the network plugin does.
func (i *importing) kubeProxy() {
	const field = "spec.kubeProxy"
	found := i.installed(func(a *facts.Installed) bool { return a.Type == facts.InstalledKubeProxy })
	if len(found) == 0 || i.spec.KubeProxy != nil {
		return
	}
	a := found[0]
	unmanaged := func(why, remedy string) {
		i.spec.KubeProxy = &networkstackv1alpha1.KubeProxySpec{Mode: networkstackv1alpha1.KubeProxyUnmanaged}
		i.origin(field, "%s, left in place", a.Workload())
		i.remark(Remark{
			Severity: Unexpressed, Field: field + ".mode", Object: a.Workload(),
			What: a.Workload() + " " + why + ": Unmanaged leaves it as it is", Remedy: remedy,
		})
	}
	mode := map[string]networkstackv1alpha1.KubeProxyMode{
		"iptables": networkstackv1alpha1.KubeProxyIPTables, "nftables": networkstackv1alpha1.KubeProxyNFTables,
		"ipvs": networkstackv1alpha1.KubeProxyIPVS,
	}[a.Mode]
	switch {
	case len(found) > 1:
		unmanaged("is not the only kube-proxy", "remove the other one and import again")
		return
	case a.Kept:
		unmanaged("is kept by "+a.Manager+", which would undo every change", "remove it there first, if the stack is to have it")
		return
	case a.ReleaseName != "" || a.Found == nil || a.Found.Data["config.conf"] == "" || mode == "":
		unmanaged("is not written as kubeadm writes it, and its pods would be replaced by a take-over",
			"choose a mode in place of Unmanaged to have the stack take it over all the same")
		return
	}
	if got, want := clusterCIDR(a.Found.Data["config.conf"]), i.poolRanges(); want != "" && got != want {
		unmanaged(fmt.Sprintf("has the clusterCIDR %q, and would get that of ipPools, %q", got, want),
			"set clusterCIDR in ConfigMap "+a.Namespace+"/kube-proxy to it first, or choose a mode in place of Unmanaged")
		return
	}
	i.spec.KubeProxy = &networkstackv1alpha1.KubeProxySpec{Mode: mode}
	if tag := imageTag(a.Image); tag != "" && tag != i.Facts.KubernetesVersion {
		i.spec.KubeProxy.Version = strings.Replace(tag, "_", "+", 1)
	}
	i.origin(field, "%s, made by %s", a.Workload(), a.Source)
}

// clusterCIDR is that of kube-proxy's configuration.
func clusterCIDR(config string) string {
	var c struct {
		ClusterCIDR string `json:"clusterCIDR"`
	}
	if yaml.Unmarshal([]byte(config), &c) != nil {
		return ""
	}
	return c.ClusterCIDR
}

// poolRanges are what a kube-proxy gets of the pools; empty when it keeps its own.
func (i *importing) poolRanges() string {
	var four, six []string
	for _, p := range i.spec.IPPools {
		for _, c := range p.CIDRs {
			if strings.Contains(c, ":") {
				six = append(six, c)
			} else {
				four = append(four, c)
			}
		}
	}
	if len(four) > 1 || len(six) > 1 {
		return ""
	}
	return strings.Join(append(four, six...), ",")
}

// dns describes the cluster's DNS.
func (i *importing) dns() {
	const field = "spec.dns"
	found := i.installed(func(a *facts.Installed) bool { return a.DNS() })
	if len(found) == 0 {
		return
	}
	a := found[0]
	left := func(why, remedy string) {
		i.remark(Remark{
			Severity: Unexpressed, Field: field, Object: a.Workload(),
			What: a.Workload() + " " + why + ": without dns, the stack leaves it as it is", Remedy: remedy,
		})
	}
	switch {
	case len(found) > 1:
		left("is not the only one that answers the cluster's DNS queries", "")
	case a.Type != facts.InstalledCoreDNS:
		left("answers the cluster's DNS queries, and is no CoreDNS of a form that is known", "")
	case a.Kept:
		left("is kept by "+a.Manager, "remove it there first, if the stack is to have it")
	case a.ReleaseName != "":
		// Its release is an add-on like others.
	default:
		i.spec.DNS = &networkstackv1alpha1.DNSSpec{Type: networkstackv1alpha1.DNSCoreDNS}
		i.origin(field, "%s, made by %s", a.Workload(), a.Source)
	}
}

// secondary describes Multus.
func (i *importing) secondary() {
	const field = "spec.secondaryNetworks"
	found := i.installed(func(a *facts.Installed) bool { return a.Type == facts.InstalledMultus })
	if len(found) == 0 {
		return
	}
	a := found[0]
	i.spec.SecondaryNetworks = &networkstackv1alpha1.SecondaryNetworksSpec{Type: networkstackv1alpha1.SecondaryNetworksExternal}
	i.release(a.ReleaseNamespace, a.ReleaseName)
	i.origin(field, "%s, left in place", a.Workload())
	remedy := ""
	if !a.Kept && a.ReleaseName == "" {
		remedy = "write Multus in place of External to have it taken over, which restarts its daemons once"
	}
	i.remark(Remark{
		Severity: Unexpressed, Field: field + ".type", Object: a.Workload(),
		What: "a take-over of " + a.Workload() + " would restart its daemons: External leaves it in place", Remedy: remedy,
	})
}
