package compose

import (
	"slices"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// TypeKubeProxyCleanup is the component type of what cleans up behind a kube-proxy, and its name in the catalogue.
const TypeKubeProxyCleanup = "KubeProxyCleanup"

// NameKubeProxyCleanup is the name of that component.
const NameKubeProxyCleanup = "kube-proxy-cleanup"

// kubeProxyImage is that of upstream, without a tag.
const kubeProxyImage = "registry.k8s.io/kube-proxy"

// cleansUp says whether what a kube-proxy left is to be removed now: it is replaced, and no pod of any kube-proxy is there, which
// would be robbed of its rules.
func (s *state) cleansUp() bool {
	replaced := s.kubeProxyMode == networkstackv1alpha1.KubeProxyReplaced
	if !replaced || s.spec.KubeProxy.Cleanup != networkstackv1alpha1.Enabled || !s.withFacts {
		return false
	}
	if _, ours := s.existing[nameKubeProxy]; ours || s.kubeProxyOfDistribution() != "" {
		return false
	}
	return !slices.ContainsFunc(s.facts.Installed, func(i facts.Installed) bool {
		return i.Type == facts.InstalledKubeProxy && (!i.Parked || i.Scheduled)
	})
}

// cleanupRelease runs the kube-proxy that was there, or that of the cluster's version, to remove what it had set up.
func (s *state) cleanupRelease() Release {
	b := newValues(NameKubeProxyCleanup)
	image, reason := kubeProxyImage+":"+upstreamTag(s.facts.KubernetesVersion), "the API server's version"
	if p := s.facts.KubeProxy(); p != nil && p.Image != "" {
		image, reason = p.Image, "that of the kube-proxy that was parked"
	}
	b.set("image", image, "%s", reason)
	return s.release(NameKubeProxyCleanup, TypeKubeProxyCleanup, stageCleanup, kubeProxyPath.Child("cleanup"),
		networkstackv1alpha1.ComponentSettings{Suspend: s.spec.KubeProxy.Suspend}, b)
}

// validateCleanup tells of a clean-up that has nothing to do, or that has to wait.
func (s *state) validateCleanup() {
	k := s.spec.KubeProxy
	if k == nil || k.Cleanup != networkstackv1alpha1.Enabled {
		return
	}
	path := kubeProxyPath.Child("cleanup")
	if k.Mode != networkstackv1alpha1.KubeProxyReplaced {
		s.warn(ruleProxyCleanup, path, "has no effect with mode %s: kube-proxy keeps its own rules in order", k.Mode)
		return
	}
	if by := s.kubeProxyOfDistribution(); by != "" {
		s.warn(ruleProxyCleanup, path, "waits until every server of %s is known to have disable-kube-proxy: "+
			"it would take the rules of the kube-proxy that runs there", by)
	}
}
