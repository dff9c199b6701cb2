package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// TestDerivedForNeighbours wants values that follow from what nodes are and from what else is in the cluster.
func TestDerivedForNeighbours(t *testing.T) {
	mke := distribution(facts.DistributionMKE)
	iptables := []func(*Input){withoutKubeProxy, mode(KubeProxyIPTables)}
	for _, tc := range []struct {
		name, release string
		in            Input
		want          object
	}{
		{"kube-proxy in containers", "kube-proxy", flannel(append(iptables, inContainer)...), object{"conntrack.maxPerCore": int64(0), "conntrack.min": int64(0)}},
		{"kube-proxy on machines", "kube-proxy", flannel(iptables...), object{"conntrack.maxPerCore": nil, "conntrack.min": nil}},
		{"Calico beside Swarm", "calico", calico(mke), object{"defaultFelixConfiguration.vxlanVNI": int64(10000), "defaultFelixConfiguration.vxlanPort": nil}},
		{"Calico's BPF beside Swarm", "calico", calico(mke, mode(KubeProxyReplaced)),
			object{"defaultFelixConfiguration.vxlanVNI": int64(10000), "defaultFelixConfiguration.vxlanPort": int64(8472)}},
		{"Calico elsewhere", "calico", calico(), object{"defaultFelixConfiguration.vxlanVNI": nil, "defaultFelixConfiguration.vxlanPort": nil}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, values := releaseNamed(t, accepted(t, tc.in), tc.release)
			got := object{}
			for key := range tc.want {
				got[key], _ = lookup(values, key)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestFirstCilium wants the version that was installed first to stay through upgrades, whoever installed it.
func TestFirstCilium(t *testing.T) {
	at := func(version string) func(*Input) { return func(in *Input) { in.Stack.Spec.CNI.Version = version } }
	of := func(in Input) any {
		t.Helper()
		_, values := releaseNamed(t, accepted(t, in), "cilium")
		return values["upgradeCompatibility"]
	}
	has := func(old Input, image string) func(*Input) {
		return func(in *Input) {
			rel, _ := releaseNamed(t, accepted(t, old), "cilium")
			in.Existing = map[string]NetworkComponentSpec{"cilium": rel.Spec}
			in.Facts.Installed = append(in.Facts.Installed, facts.Installed{
				Type: facts.InstalledCilium, Namespace: "kube-system", Name: "cilium", Component: "cilium", Image: image,
			})
		}
	}
	forgotten := func(in *Input) {
		spec := in.Existing["cilium"]
		spec.DerivedValues = rawValues(object{"ipam": object{"mode": "cluster-pool"}})
		in.Existing["cilium"] = spec
	}
	older := cilium(at("1.19.6"))
	upgraded := cilium(has(older, "quay.io/cilium/cilium:v1.19.6"))
	for name, tc := range map[string]struct {
		in   Input
		want string
	}{
		"new":                        {cilium(), "1.20"},
		"an older one":               {older, "1.19"},
		"upgraded":                   {upgraded, "1.19"},
		"and some time later":        {cilium(has(upgraded, "quay.io/cilium/cilium:v1.20.0")), "1.19"},
		"not noted when it was made": {cilium(has(older, "quay.io/cilium/cilium:v1.19.6"), forgotten), "1.19"},
		"somebody else's": {cilium(func(in *Input) {
			in.Stack.Spec.Adoption = AdoptionAdopt
			in.Facts.Installed = append(in.Facts.Installed, facts.Installed{Type: facts.InstalledCilium, Namespace: "kube-system", Name: "cilium",
				Image: "quay.io/cilium/cilium:v1.19.2", ReleaseName: "cilium", ReleaseNamespace: "kube-system", Source: "Helm release kube-system/cilium"})
		}), "1.19"},
		"as the user says": {cilium(values(object{"upgradeCompatibility": "1.16"})), "1.16"},
	} {
		if got := of(tc.in); got != tc.want {
			t.Errorf("%s: %v, want %s", name, got, tc.want)
		}
	}
}
