package compose

import (
	"slices"
	"testing"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

func cleaningUp(in *Input) { in.Stack.Spec.KubeProxy.Cleanup = Enabled }

// TestCleanup wants the clean-up only when it is asked for, and never beside a pod of a kube-proxy.
func TestCleanup(t *testing.T) {
	parked := func(scheduled bool) func(*Input) {
		return cluster(func(s *facts.Snapshot) { s.Installed[0].Parked, s.Installed[0].Scheduled = true, scheduled })
	}
	ours := func(in *Input) { in.Existing = map[string]NetworkComponentSpec{nameKubeProxy: {Type: TypeKubeProxy}} }
	replaced := mode(KubeProxyReplaced)
	for _, tc := range []struct {
		name string
		in   Input
		want string
	}{
		{"not asked for", cilium(replaced, parked(false)), ""},
		{"it runs", cilium(replaced, cleaningUp), ""},
		{"it is being parked", cilium(replaced, cleaningUp, parked(true)), ""},
		{"it is parked", cilium(replaced, cleaningUp, parked(false)), "registry.k8s.io/kube-proxy:v1.36.3"},
		{"ours is about to go", cilium(replaced, cleaningUp, withoutKubeProxy, ours), ""},
		{"none is there", cilium(replaced, cleaningUp, withoutKubeProxy, cluster(func(s *facts.Snapshot) { s.KubernetesVersion = "v1.36.4-eks-1" })),
			"registry.k8s.io/kube-proxy:v1.36.4"},
		{"k3s has none", cilium(replaced, cleaningUp, withoutKubeProxy, distribution(facts.DistributionK3s), server("none", true)), "registry.k8s.io/kube-proxy:v1.36.3"},
		{"k3s runs one of its own", cilium(replaced, cleaningUp, withoutKubeProxy, distribution(facts.DistributionK3s), server("none", false)), ""},
		{"RKE2 may run one of its own", cilium(replaced, cleaningUp, withoutKubeProxy, distribution(facts.DistributionRKE2)), ""},
		{"it comes back", cilium(mode(KubeProxyUnmanaged), cleaningUp, parked(false)), ""},
	} {
		r := accepted(t, tc.in)
		i := slices.IndexFunc(r.Releases, func(r Release) bool { return r.Name == NameKubeProxyCleanup })
		if i < 0 {
			if tc.want != "" {
				t.Errorf("%s: nothing cleans up", tc.name)
			}
			continue
		}
		if r.Releases[i].Spec.Stage <= stageCNI {
			t.Errorf("%s: at stage %d", tc.name, r.Releases[i].Spec.Stage)
		}
		if _, values := releaseNamed(t, r, NameKubeProxyCleanup); values["image"] != tc.want {
			t.Errorf("%s: %v, want %q", tc.name, values, tc.want)
		}
	}
}
