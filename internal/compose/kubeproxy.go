package compose

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// Names of the interfaces that network plugins give pods, and of the bridge that Flannel attaches them to.
const (
	ciliumPodInterface = "lxc"
	calicoPodInterface = "cali"
	awsPodInterface    = "eni"
	flannelBridge      = "cni0"
)

// imageTag spells a version as the tags of kube-proxy images are spelt.
func imageTag(v string) string {
	return "v" + strings.ReplaceAll(strings.TrimPrefix(v, "v"), "+", "_")
}

// kubeProxyValues are the values of our kube-proxy chart.
func (s *state) kubeProxyValues() *valuesBuilder {
	b := newValues("kube-proxy")
	mode := strings.ToLower(string(s.kubeProxyMode))
	b.control("mode", "spec.kubeProxy.mode", mode, "written out, for kube-proxy's own default changes in 1.40")
	if s.kubeProxyTag != "" {
		reason := "the API server's version"
		if s.spec.KubeProxy.Version != "" {
			reason = "from kubeProxy.version"
		}
		b.control("image.tag", "spec.kubeProxy.version", s.kubeProxyTag, "%s", reason)
	} else {
		b.reserve("image.tag", "spec.kubeProxy.version")
	}
	s.strictARP(b)
	found := s.inheritedValues(TypeKubeProxy, kubeProxyPath, b)
	if e, ok := foundEndpoint(found); ok && s.pinned().APIServer == nil {
		b.control("apiServer.host", "spec.cluster.apiServer", e.Host, "kept from the kube-proxy that was there")
		b.control("apiServer.port", "spec.cluster.apiServer", int64(e.Port), "kept from the kube-proxy that was there")
	} else if s.endpoint.Host != "" {
		b.control("apiServer.host", "spec.cluster.apiServer", s.endpoint.Host, "%s; kube-proxy cannot reach Services before it runs", s.endpointReason())
		b.control("apiServer.port", "spec.cluster.apiServer", int64(s.endpoint.Port), "%s", s.endpointReason())
	} else {
		b.reserve("apiServer.host", "spec.cluster.apiServer")
		b.reserve("apiServer.port", "spec.cluster.apiServer")
	}
	if found != nil {
		s.foundClusterCIDR(b)
		return b
	}
	b.set("bindAddress", bindAll(s.primary()), "the primary family is %s", s.primary())
	s.deriveConntrack(b)
	s.detectLocal(b)
	return b
}

// foundClusterCIDR leaves it to the configuration that was found how pods are told from others, unless the spec says.
func (s *state) foundClusterCIDR(b *valuesBuilder) {
	const path, by = "clusterCIDR", "spec.ipPools"
	var cidrs []string
	for _, f := range s.families {
		pools := s.poolsOf(f)
		if len(pools) > 1 {
			b.reserve(path, by)
			return
		}
		for _, p := range pools {
			cidrs = append(cidrs, p.String())
		}
	}
	if len(s.spec.IPPools) == 0 || len(cidrs) == 0 {
		b.reserve(path, by)
		return
	}
	b.control(path, by, strings.Join(cidrs, ","), "the CIDRs of ipPools, the primary family first")
}

// detectLocal says how kube-proxy tells the pods' traffic to Services from that of others, whose source it
// must rewrite. One range a family is simplest; kube-proxy takes no more than that. Ranges derived from the
// nodes are not written out: they widen as nodes join, which would restart every kube-proxy.
func (s *state) detectLocal(b *valuesBuilder) {
	const by = "spec.ipPools"
	single := !slices.ContainsFunc(s.families, func(f networkstackv1alpha1.IPFamily) bool { return len(s.poolsOf(f)) > 1 })
	// A pool that is added to Calico's, or to those of Cilium's MultiPool, shall not restart every kube-proxy either.
	adds := s.cni == networkstackv1alpha1.CNICalico || s.multiPool()
	if len(s.spec.IPPools) > 0 && single && len(s.pools) > 0 && !adds {
		var cidrs []string
		for _, f := range s.families {
			for _, p := range s.poolsOf(f) {
				cidrs = append(cidrs, p.String())
			}
		}
		b.control("clusterCIDR", by, strings.Join(cidrs, ","), "the CIDRs of ipPools, the primary family first")
		b.set("detectLocalMode", "ClusterCIDR", "ipPools has one CIDR per family")
		return
	}
	b.reserve("clusterCIDR", by)
	without, lacking := s.nodesWithPodCIDRs()
	nodesHave := len(s.linux) > len(without) && len(lacking) == 0
	plugin := s.podInterfaces()
	switch {
	case s.poolsFromNodes && s.installsCNI() && nodesHave:
		b.set("detectLocalMode", "NodeCIDR", "pods have addresses of their node's spec.podCIDRs")
	case plugin.mode != "":
		b.set("detectLocalMode", plugin.mode, "%s names its interfaces so, whatever their addresses", plugin.of)
		b.set(plugin.key, plugin.value, "pods of %s are behind such an interface", plugin.of)
	case s.poolsFromNodes && nodesHave:
		b.set("detectLocalMode", "NodeCIDR", "pods have addresses of their node's spec.podCIDRs")
	case len(s.pools) > 0:
		s.warn(ruleProxyPodsUntold, poolsPath, "kube-proxy takes one CIDR per family and ipPools has more: it will not tell pods from others, and clients outside of the cluster cannot use ClusterIPs")
	case s.withFacts && !s.installsCNI() && len(s.spec.IPPools) == 0:
		s.refuse(ruleProxyPodsUnknown, field.Required(poolsPath, "kube-proxy must know the pods' ranges, and no node has spec.podCIDRs: state the ranges of the external CNI"))
	}
}

// podInterface is how a network plugin's pods are known by their interface.
type podInterface struct {
	of, mode, key, value string
}

// podInterfaces of the plugin in effect, or of the external one that was found.
func (s *state) podInterfaces() podInterface {
	prefix := func(of, value string) podInterface {
		return podInterface{of, "InterfaceNamePrefix", "detectLocal.interfaceNamePrefix", value}
	}
	bridge := podInterface{"Flannel", "BridgeInterface", "detectLocal.bridgeInterface", flannelBridge}
	weave := podInterface{"Weave Net", "BridgeInterface", "detectLocal.bridgeInterface", weaveBridge}
	switch s.cni {
	case networkstackv1alpha1.CNICilium:
		return prefix("Cilium", ciliumPodInterface)
	case networkstackv1alpha1.CNICalico:
		return prefix("Calico", calicoPodInterface)
	case networkstackv1alpha1.CNIAWSVPC:
		return prefix("the AWS VPC CNI", awsPodInterface)
	case networkstackv1alpha1.CNIFlannel:
		return bridge
	case networkstackv1alpha1.CNIWeaveNet:
		return weave
	default:
		// It is whichever was found.
	}
	found := s.facts.CNIs()
	if len(found) != 1 {
		return podInterface{}
	}
	switch found[0].Type {
	case facts.InstalledCilium:
		return prefix("Cilium", ciliumPodInterface)
	case facts.InstalledCalico:
		return prefix("Calico", calicoPodInterface)
	case facts.InstalledAWSVPC:
		return prefix("the AWS VPC CNI", awsPodInterface)
	case facts.InstalledFlannel:
		return bridge
	case facts.InstalledWeaveNet:
		return weave
	default:
		return podInterface{}
	}
}
