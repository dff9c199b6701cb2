package matrix_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

// uninstalledCell is one combination of settings with a type of network plugin that is not installed here.
type uninstalledCell struct {
	cni CNIType
	settings
	pools bool
}

func (c uninstalledCell) String() string {
	return fmt.Sprintf("%s %s pools=%v", c.cni, c.settings, c.pools)
}

func uninstalledCells(cni CNIType) []uninstalledCell {
	var out []uninstalledCell
	for _, s := range every([]Encapsulation{"", EncapsulationVXLAN, EncapsulationIPIP, EncapsulationNone}, "", EncryptionNone, EncryptionWireGuard, EncryptionIPsec) {
		for _, pools := range []bool{false, true} {
			out = append(out, uninstalledCell{cni, s, pools})
		}
	}
	return out
}

// installsProxy says whether a kube-proxy is asked for.
func (c uninstalledCell) installsProxy() bool {
	return c.mode != KubeProxyReplaced && c.mode != KubeProxyUnmanaged
}

// refused are the fields that have to be refused, found out without the composition.
func (c uninstalledCell) refused() []string {
	fields := map[string]bool{}
	if c.cni == CNIKubenet {
		fields["spec.cni.type"] = true
	} else {
		// Nobody would read them.
		fields["spec.cni.encapsulation"] = c.encapsulation != ""
		fields["spec.cni.encryption"] = c.encryption != ""
	}
	// None of them programs Services, and GKE runs kube-proxy by itself.
	fields["spec.kubeProxy.mode"] = c.mode == KubeProxyReplaced || c.cni == CNIGKE && c.installsProxy()
	// A kube-proxy of ours has to know the pods, and nobody else reads pools of a cloud's.
	ofCloud := c.cni == CNIAzure || c.cni == CNIGKE
	fields["spec.ipPools"] = c.installsProxy() && !c.pools || ofCloud && c.pools && !c.installsProxy()
	maps.DeleteFunc(fields, func(_ string, refused bool) bool { return !refused })
	return slices.Sorted(maps.Keys(fields))
}

// input is the combination on a cluster that fits the type.
func (c uninstalledCell) input() compose.Input {
	in := c.settings.input()
	s := &in.Stack.Spec
	s.CNI.Type, s.CNI.Encryption = c.cni, nil
	if c.encryption != "" {
		s.CNI.Encryption = &EncryptionSpec{Type: c.encryption}
	}
	if !c.pools {
		s.IPPools = nil
	}
	switch c.cni {
	case CNIAzure:
		in.Facts.Cloud, in.Facts.Distribution = facts.CloudAzure, facts.DistributionAKS
		in.Facts.Installed = []facts.Installed{{Type: facts.InstalledAzureCNI, Namespace: "kube-system", Name: "azure-cns", Manager: "AKS", Kept: true}}
	case CNIGKE:
		in.Facts.Cloud, in.Facts.Distribution = facts.CloudGCP, facts.DistributionGKE
	default:
		in.Facts.Installed = []facts.Installed{{Type: facts.InstalledAntrea, Namespace: "kube-system", Name: "antrea-agent"}}
	}
	return in
}

// TestUninstalled goes through all combinations with the types that install no network plugin: nothing but kube-proxy is ever
// composed.
func TestUninstalled(t *testing.T) {
	server := newStacks(t)
	for _, plugin := range []struct {
		cni             CNIType
		composed, rules int
	}{{CNIAzure, 16, 3}, {CNIGKE, 4, 4}, {CNIKubenet, 0, 3}, {CNIExternal, 20, 3}} {
		t.Run(string(plugin.cni), func(t *testing.T) {
			matrix[uninstalledCell]{
				cells: uninstalledCells(plugin.cni), release: "kube-proxy", upstream: testcharts.Embedded(t, "kube-proxy"),
				composed: plugin.composed, rules: plugin.rules,
				releases: func(c uninstalledCell) []string {
					if c.installsProxy() {
						return []string{"kube-proxy"}
					}
					return nil
				},
				varies: func(o *unstructured.Unstructured) bool {
					return o.GetKind() == "ConfigMap" || o.GetKind() == "DaemonSet"
				},
			}.run(t, server)
		})
	}
}

// check looks for what was asked for in kube-proxy's configuration.
func (c uninstalledCell) check(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	ranges := make([]string, len(c.families))
	for i, f := range c.families {
		ranges[i] = cidrs[f]
	}
	var config string
	for _, o := range objects {
		if data, found, _ := unstructured.NestedString(o.Object, "data", "config.conf"); found {
			config = data
		}
	}
	for _, line := range []string{"mode: " + strings.ToLower(string(c.mode)), "clusterCIDR: " + strings.Join(ranges, ",")} {
		if !slices.ContainsFunc(strings.Split(config, "\n"), func(l string) bool { return strings.ReplaceAll(l, `"`, "") == line }) {
			t.Errorf("%s: no %s in %s", c, line, config)
		}
	}
}
