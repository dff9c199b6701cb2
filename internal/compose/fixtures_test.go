package compose

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/facts"
)

// defaults is the catalogue that the operator carries, read once.
var defaults = sync.OnceValue(catalog.Default)

// testCatalog is a catalogue of the test's own, so that a newer default version changes no expectation.
func testCatalog() catalog.Catalog {
	return catalog.Catalog{
		"Flannel": {
			Type: "Flannel", Chart: "flannel", ReleaseName: "flannel", Namespace: "kube-flannel",
			NamespaceLabels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"},
			Versions:        []catalog.Version{{Version: "0.28.9"}},
		},
		"Cilium": {
			Type: "Cilium", Repository: "https://helm.cilium.io", Chart: "cilium", ReleaseName: "cilium", Namespace: "kube-system",
			Versions: []catalog.Version{
				{Version: "1.20.0", Digest: digest("c5f0"), KubernetesMin: "1.33", KubernetesMax: "1.36"},
				{Version: "1.19.6", Digest: digest("21c4"), KubernetesMin: "1.32", KubernetesMax: "1.35"},
			},
			Upgrades: []catalog.Upgrade{{MinorsUp: ptr(1), MinorsDown: ptr(1)}},
		},
		"Calico": {
			Type: "Calico", Repository: "https://docs.tigera.io/calico/charts", Chart: "tigera-operator", ReleaseName: "calico", Namespace: "tigera-operator",
			NamespaceLabels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"},
			Versions: []catalog.Version{
				{Version: "3.33.1", KubernetesMin: "1.34", KubernetesMax: "1.37"},
				{Version: "3.32.1", KubernetesMin: "1.34", KubernetesMax: "1.36"},
			},
			Upgrades: []catalog.Upgrade{{To: ">=3.33", MinorsUp: ptr(2), MinorsDown: ptr(0)}, {From: ">=3.15", MinorsDown: ptr(0)}},
		},
		"CalicoCRDs": {
			Type: "CalicoCRDs", Repository: "https://docs.tigera.io/calico/charts", Chart: "crd.projectcalico.org.v1", ReleaseName: "calico-crds", Namespace: "tigera-operator",
			Versions: []catalog.Version{{Version: "3.33.1", Digest: digest("cccc")}, {Version: "3.32.1"}},
		},
		"WeaveNet": {
			Type: "WeaveNet", Chart: "weave-net", ReleaseName: "weave-net", Namespace: "kube-system", Versions: []catalog.Version{{Version: "2.9.0"}},
		},
		"AWSVPC": {
			Type: "AWSVPC", Repository: "https://aws.github.io/eks-charts", Chart: "aws-vpc-cni", ReleaseName: "aws-vpc-cni", Namespace: "kube-system",
			Versions: []catalog.Version{{Version: "1.22.4", Digest: digest("a335")}},
		},
		"KubeProxy": {
			Type: "KubeProxy", Chart: "kube-proxy", ReleaseName: "kube-proxy", Namespace: "kube-system",
			Versions: []catalog.Version{{Version: "0.1.0"}},
		},
		"Multus": {
			Type: "Multus", Chart: "multus", ReleaseName: "multus", Namespace: "kube-system", Versions: []catalog.Version{{Version: "4.3.0"}},
		},
		"CiliumResources": {
			Type: "CiliumResources", Chart: "cilium-resources", ReleaseName: "cilium-resources", Namespace: "kube-system",
			Versions: []catalog.Version{{Version: "1.0.0"}},
		},
		"MetalLB": {
			Type: "MetalLB", Repository: "https://metallb.github.io/metallb", Chart: "metallb", ReleaseName: "metallb", Namespace: "metallb-system",
			NamespaceLabels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"},
			Versions:        []catalog.Version{{Version: "0.16.1", Digest: digest("fb06")}},
		},
		"MetalLBResources": {
			Type: "MetalLBResources", Chart: "metallb-resources", ReleaseName: "metallb-resources", Namespace: "metallb-system",
			Versions: []catalog.Version{{Version: "1.0.0"}},
		},
		"GatewayAPI": {
			Type: "GatewayAPI", Repository: "oci://docker.io/envoyproxy", Chart: "gateway-crds-helm", ReleaseName: "gateway-api", Namespace: "kube-system",
			DefaultVersion: "1.8.3",
			Versions: []catalog.Version{
				{Version: "1.9.0", Provides: "1.6.1", Tested: true}, {Version: "1.8.3", Provides: "1.5.1", Tested: true}, {Version: "1.7.5", Provides: "1.4.1", Tested: true},
			},
		},
		"NetworkAttachments": {
			Type: "NetworkAttachments", Chart: "network-attachments", ReleaseName: "network-attachments", Namespace: "kube-system",
			Versions: []catalog.Version{{Version: "1.0.0"}},
		},
		"KubeProxyCleanup": {
			Type: "KubeProxyCleanup", Chart: "kube-proxy-cleanup", ReleaseName: "kube-proxy-cleanup", Namespace: "kube-system",
			Versions: []catalog.Version{{Version: "1.0.0"}},
		},
		"NGINX":    {Type: "NGINX", Repository: "https://kubernetes.github.io/ingress-nginx", Chart: "ingress-nginx", Namespace: "ingress-nginx", Versions: []catalog.Version{{Version: "4.15.1"}}},
		"NGINXInc": {Type: "NGINXInc", Repository: "oci://ghcr.io/nginx/charts", Chart: "nginx-ingress", Namespace: "nginx-ingress", Versions: []catalog.Version{{Version: "2.6.4"}}},
		"Traefik":  {Type: "Traefik", Chart: "traefik", Namespace: "traefik", Versions: []catalog.Version{{Version: "3.7.11"}}},
		"HAProxy":  {Type: "HAProxy", Repository: "https://haproxytech.github.io/helm-charts", Chart: "kubernetes-ingress", Namespace: "haproxy-controller", Versions: []catalog.Version{{Version: "1.52.1"}}},
		"HAProxyIngress": {
			Type: "HAProxyIngress", Repository: "https://haproxy-ingress.github.io/charts", Chart: "haproxy-ingress", Namespace: "ingress-controller",
			Versions: []catalog.Version{{Version: "0.16.1"}, {Version: "0.15.4"}, {Version: "0.14.12"}}, Upgrades: []catalog.Upgrade{{MinorsUp: ptr(1)}},
		},
		"IstioGateway":     {Type: "IstioGateway", Repository: "https://blob.istio.io/istio-release/charts", Chart: "gateway", Namespace: "istio-ingress", Versions: []catalog.Version{{Version: "1.30.3"}}},
		"EnvoyGateway":     {Type: "EnvoyGateway", Repository: "oci://docker.io/envoyproxy", Chart: "gateway-helm", Namespace: "envoy-gateway-system", Versions: []catalog.Version{{Version: "1.9.0"}}},
		"EnvoyGatewayCRDs": {Type: "EnvoyGatewayCRDs", Repository: "oci://docker.io/envoyproxy", Chart: "gateway-crds-helm", Namespace: "envoy-gateway-system", Versions: []catalog.Version{{Version: "1.9.0"}}},
		"IngressResources": {Type: "IngressResources", Chart: "ingress-resources", Namespace: "kube-system", Versions: []catalog.Version{{Version: "1.0.0"}}},
		"IstioBase": {
			Type: "IstioBase", Repository: "https://charts.example.com/istio", Chart: "base", ReleaseName: "istio-base", Namespace: "istio-system",
			NamespaceLabels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"},
			Versions:        istioVersions(),
		},
		"Istiod": {
			Type: "Istiod", Repository: "https://charts.example.com/istio", Chart: "istiod", ReleaseName: "istiod", Namespace: "istio-system",
			NamespaceLabels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"},
			Versions:        istioVersions(), Upgrades: []catalog.Upgrade{{MinorsUp: ptr(2)}},
		},
		"IstioCNI": {
			Type: "IstioCNI", Repository: "https://charts.example.com/istio", Chart: "cni", ReleaseName: "istio-cni", Namespace: "istio-system",
			NamespaceLabels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"},
			Versions:        istioVersions(),
		},
		"Ztunnel": {
			Type: "Ztunnel", Repository: "https://charts.example.com/istio", Chart: "ztunnel", ReleaseName: "ztunnel", Namespace: "istio-system",
			NamespaceLabels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"},
			Versions:        istioVersions(), Upgrades: []catalog.Upgrade{{MinorsUp: ptr(1)}},
		},
		"IstioResources": {
			Type: "IstioResources", Chart: "istio-resources", ReleaseName: "istio-resources", Namespace: "istio-system",
			Versions: []catalog.Version{{Version: "1.0.0"}},
		},
		"LinkerdCRDs": {
			Type: "LinkerdCRDs", Repository: "https://charts.example.com/linkerd", Chart: "linkerd-crds", ReleaseName: "linkerd-crds", Namespace: "linkerd",
			Versions: []catalog.Version{{Version: "2026.8.3", Digest: digest("abcd")}},
		},
		"Linkerd": {
			Type: "Linkerd", Repository: "https://charts.example.com/linkerd", Chart: "linkerd-control-plane", ReleaseName: "linkerd", Namespace: "linkerd",
			Versions: []catalog.Version{{Version: "2026.8.3", Digest: digest("abcd")}},
		},
		"LinkerdCNI": {
			Type: "LinkerdCNI", Repository: "https://charts.example.com/linkerd", Chart: "linkerd2-cni", ReleaseName: "linkerd-cni", Namespace: "linkerd-cni",
			Versions: []catalog.Version{{Version: "2026.8.3", Digest: digest("abcd")}},
		},
		"Consul": {
			Type: "Consul", Repository: "https://charts.example.com/consul", Chart: "consul", ReleaseName: "consul", Namespace: "consul",
			Versions: []catalog.Version{{Version: "2.0.3", Digest: digest("c203")}, {Version: "2.0.2", Digest: digest("c202")}},
			Upgrades: []catalog.Upgrade{{MinorsUp: ptr(1), MinorsDown: ptr(0)}},
			Metrics:  defaults()[TypeConsul].Metrics,
		},
		"ConsulResources": {
			Type: "ConsulResources", Chart: "consul-resources", ReleaseName: "consul-resources", Namespace: "consul",
			Versions: []catalog.Version{{Version: "1.0.0"}},
		},
		"NodeAgent": {
			Type: "NodeAgent", Chart: "node-agent", ReleaseName: "node-agent", Namespace: "kube-system",
			Versions: []catalog.Version{{Version: "1.0.0"}},
		},
		"NodeCleanup": {
			Type: "NodeCleanup", Chart: "node-cleanup", ReleaseName: "node-cleanup", Namespace: "kube-system",
			Versions: []catalog.Version{{Version: "1.0.0"}},
		},
		"CoreDNS": {
			Type: "CoreDNS", Chart: "coredns", ReleaseName: "coredns", Namespace: "kube-system", Versions: []catalog.Version{{Version: "1.0.0"}},
		},
		"NodeLocalDNS": {
			Type: "NodeLocalDNS", Chart: "node-local-dns", ReleaseName: "node-local-dns", Namespace: "kube-system",
			Versions: []catalog.Version{{Version: "1.0.0"}},
		},
	}
}

func istioVersions() []catalog.Version {
	return []catalog.Version{
		{Version: "1.30.3", Digest: digest("1303"), KubernetesMin: "1.32", KubernetesMax: "1.36"},
		{Version: "1.29.6", Digest: digest("1296"), KubernetesMin: "1.31", KubernetesMax: "1.35"},
	}
}

func digest(head string) string { return fmt.Sprintf("sha256:%064s", head) }

func ptr[T any](v T) *T { return &v }

func rawValues(v any) *apiextensionsv1.JSON {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return &apiextensionsv1.JSON{Raw: raw}
}

func addrs(texts ...string) []netip.Addr {
	out := make([]netip.Addr, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParseAddr(t)
	}
	return out
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

// kubeadm is what kubeadm leaves behind: an IPv4 cluster of three nodes with its kube-proxy and no CNI.
func kubeadm() *facts.Snapshot {
	s := &facts.Snapshot{
		KubernetesVersion: "v1.36.3",
		ServiceCIDRs:      prefixes("10.96.0.0/12"),
		ServiceCIDRSource: "ServiceCIDR/kubernetes",
		ServiceIP:         netip.MustParseAddr("10.96.0.1"),
		APIServer:         networkstackv1alpha1.Endpoint{Host: "192.168.10.10", Port: 6443},
		APIServerSource:   "kube-system/kubeadm-config controlPlaneEndpoint",
		DNSDomain:         "cluster.local",
		Installed: []facts.Installed{{
			Type: facts.InstalledKubeProxy, Namespace: "kube-system", Name: "kube-proxy", Image: "registry.k8s.io/kube-proxy:v1.36.3",
		}},
	}
	for i := 1; i <= 3; i++ {
		s.Nodes = append(s.Nodes, facts.Node{
			Name: fmt.Sprintf("n%d", i), OS: "linux", KernelVersion: "6.12.0-1-amd64",
			InternalIPs: addrs(fmt.Sprintf("192.168.10.1%d", i)),
			PodCIDRs:    prefixes(fmt.Sprintf("10.244.%d.0/24", i-1)),
		})
	}
	return s
}

// makeDual gives the cluster IPv6 beside IPv4.
func makeDual(s *facts.Snapshot) {
	s.ServiceCIDRs = append(s.ServiceCIDRs, netip.MustParsePrefix("fd00:10:96::/112"))
	for i := range s.Nodes {
		n := &s.Nodes[i]
		n.InternalIPs = append(n.InternalIPs, netip.MustParseAddr(fmt.Sprintf("fd00:192::1%d", i+1)))
		n.PodCIDRs = append(n.PodCIDRs, netip.MustParsePrefix(fmt.Sprintf("fd00:10:244:%x::/64", i)))
	}
}

// makeIPv6 turns the cluster into an IPv6 one.
func makeIPv6(s *facts.Snapshot) {
	makeDual(s)
	s.ServiceCIDRs = s.ServiceCIDRs[1:]
	s.ServiceIP = netip.MustParseAddr("fd00:10:96::1")
	s.APIServer.Host = "fd00:192::10"
	for i := range s.Nodes {
		s.Nodes[i].InternalIPs = s.Nodes[i].InternalIPs[1:]
		s.Nodes[i].PodCIDRs = s.Nodes[i].PodCIDRs[1:]
	}
}

// withoutKubeProxy takes kube-proxy out of the cluster.
func withoutKubeProxy(in *Input) { in.Facts.Installed = nil }

func poolOf(name string, cidrs ...string) networkstackv1alpha1.IPPool {
	return networkstackv1alpha1.IPPool{Name: name, CIDRs: cidrs}
}

// input is a stack that is accepted without a remark on a kubeadm cluster, then edited.
func input(cni networkstackv1alpha1.CNIType, edits ...func(*Input)) Input {
	in := Input{
		Stack: &networkstackv1alpha1.NetworkStack{Spec: networkstackv1alpha1.NetworkStackSpec{
			IPPools: []networkstackv1alpha1.IPPool{poolOf("default", "10.244.0.0/16")},
			CNI:     networkstackv1alpha1.CNISpec{Type: cni},
		}},
		Facts:   kubeadm(),
		Catalog: testCatalog(),
	}
	in.Stack.Name = "cluster"
	for _, edit := range edits {
		edit(&in)
	}
	return in
}

func cilium(edits ...func(*Input)) Input { return input(networkstackv1alpha1.CNICilium, edits...) }

func calico(edits ...func(*Input)) Input { return input(networkstackv1alpha1.CNICalico, edits...) }

// weave is one that was acknowledged.
func weave(edits ...func(*Input)) Input {
	return input(networkstackv1alpha1.CNIWeaveNet, append([]func(*Input){func(in *Input) {
		in.Stack.Spec.CNI.WeaveNet = &networkstackv1alpha1.WeaveNetSpec{AcknowledgeLegacy: true}
	}}, edits...)...)
}

func flannel(edits ...func(*Input)) Input { return input(networkstackv1alpha1.CNIFlannel, edits...) }

// external has a foreign Calico, as an external CNI would be.
func external(edits ...func(*Input)) Input {
	return input(networkstackv1alpha1.CNIExternal, append([]func(*Input){func(in *Input) {
		in.Facts.Installed = append(in.Facts.Installed, facts.Installed{
			Type: facts.InstalledCalico, Namespace: "calico-system", Name: "calico-node",
		})
	}}, edits...)...)
}

func mode(m networkstackv1alpha1.KubeProxyMode) func(*Input) {
	return func(in *Input) { in.Stack.Spec.KubeProxy = &networkstackv1alpha1.KubeProxySpec{Mode: m} }
}

func dual(in *Input) {
	makeDual(in.Facts)
	in.Stack.Spec.IPPools[0].CIDRs = append(in.Stack.Spec.IPPools[0].CIDRs, "fd00:10:244::/56")
}

func onlyIPv6(in *Input) {
	makeIPv6(in.Facts)
	in.Stack.Spec.IPPools[0].CIDRs = []string{"fd00:10:244::/56"}
}

func values(v any) func(*Input) {
	return func(in *Input) { in.Stack.Spec.CNI.Values = rawValues(v) }
}

func encryption(e networkstackv1alpha1.EncryptionType) func(*Input) {
	return func(in *Input) {
		in.Stack.Spec.CNI.Encryption = &networkstackv1alpha1.EncryptionSpec{Type: e}
	}
}

func encapsulation(e networkstackv1alpha1.Encapsulation) func(*Input) {
	return func(in *Input) { in.Stack.Spec.CNI.Encapsulation = e }
}

func pinned(p networkstackv1alpha1.PinnedFacts) func(*Input) {
	return func(in *Input) { in.Stack.Spec.Cluster = &p }
}

func spec(edit func(*networkstackv1alpha1.NetworkStackSpec)) func(*Input) {
	return func(in *Input) { edit(&in.Stack.Spec) }
}

func cluster(edit func(*facts.Snapshot)) func(*Input) {
	return func(in *Input) { edit(in.Facts) }
}

// accepted composes an input that must be accepted.
func accepted(t *testing.T, in Input) Result {
	t.Helper()
	r := Compose(in)
	if len(r.Errors) > 0 {
		t.Fatalf("refused: %v", r.Errors)
	}
	return r
}

// chartValues are the values a release is rendered with.
func chartValues(t *testing.T, s networkstackv1alpha1.NetworkComponentSpec) map[string]any {
	t.Helper()
	derived, err := ParseValues(s.DerivedValues)
	if err != nil {
		t.Fatal(err)
	}
	user, err := ParseValues(s.Values)
	if err != nil {
		t.Fatal(err)
	}
	return MergeValues(derived, user)
}

// releaseNamed finds a release and its values.
func releaseNamed(t *testing.T, r Result, name string) (Release, map[string]any) {
	t.Helper()
	for _, rel := range r.Releases {
		if rel.Name != name {
			continue
		}
		return rel, chartValues(t, rel.Spec)
	}
	t.Fatalf("no release %s among %d", name, len(r.Releases))
	return Release{}, nil
}
