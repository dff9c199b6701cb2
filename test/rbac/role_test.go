package rbac_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/internal/cli"
	"github.com/networkstack/networkstack/test/operator"
	"github.com/networkstack/networkstack/test/testcharts"
)

// roleFacts are those of a cluster without a network.
const roleFacts = `
kubernetesVersion: v1.37.1
serviceCIDRs: [10.96.0.0/16, "fd00:10:96::/112"]
serviceIP: 10.96.0.1
dnsIPs: [10.96.0.10]
apiServer: {host: 192.0.2.10, port: 6443}
nodes:
- {name: n1, os: linux, kernelVersion: 6.12.0, internalIPs: [192.0.2.11, "2001:db8::11"], podCIDRs: [10.244.0.0/24, "fd00:10:244::/64"], mtu: 1500}`

// narrow is the ClusterRole that the plugin writes for stacks, and what it remarks.
func narrow(t *testing.T, stacks ...string) (role rbacv1.ClusterRole, remarks string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	facts := filepath.Join(dir, "facts.yaml")
	if err := os.WriteFile(facts, []byte(roleFacts), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"role", "--facts", facts, "--offline", "--operator-image", "example.com/operator:v1"}, stacks...)
	if charts, err := testcharts.CacheDir(); err == nil {
		if _, err := os.Stat(charts); err == nil {
			args = append(args, "--charts", charts)
		}
	}
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), cli.Options{Name: "kubectl-networkstack", Args: args, Env: func(string) string { return "" }, Out: &out, Err: &errs})
	if code != cli.ExitFine {
		t.Fatalf("%v exits with %d:\n%s", args, code, &errs)
	}
	document, _, _ := strings.Cut(strings.TrimPrefix(out.String()[strings.Index(out.String(), "---\n"):], "---\n"), "\n---\n")
	if err := yaml.UnmarshalStrict([]byte(document), &role); err != nil {
		t.Fatal(err)
	}
	return role, errs.String()
}

// TestNarrowRole wants the role for one stack to be within the wide ones, and much smaller.
func TestNarrowRole(t *testing.T) {
	sample := func(name string) string { return filepath.Join(operator.Root(), "config", "samples", name) }
	wide := installedRules(t).all()
	for _, tc := range []struct {
		name, sample, chart, version string
		// written are names that may be written, and anything is a ClusterRole that may be written whatever it grants.
		resource string
		written  []string
		anything string
	}{
		{"minimal", "networkstack_minimal.yaml", "", "", "daemonsets", []string{"kube-flannel-ds"}, ""},
		{"flannel", "networkstack_flannel.yaml", "", "", "daemonsets", []string{"kube-flannel-ds", "kube-multus-ds", "kube-proxy"}, ""},
		{"cilium", "networkstack_cilium.yaml", "cilium", ciliumVersions[2], "daemonsets", []string{"cilium", "cilium-envoy", "kube-proxy"}, ""},
		{"calico", "networkstack_calico.yaml", "tigera-operator", calicoVersion, "deployments", []string{"tigera-operator"}, "tigera-operator"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.chart != "" {
				testcharts.UpstreamDir(t, tc.chart, tc.version)
			}
			role, remarks := narrow(t, sample(tc.sample))
			if ok, excess := validation.Covers(wide, role.Rules); !ok {
				t.Errorf("the wide roles have not this:\n%s", format(excess))
			}
			if ok, _ := validation.Covers(role.Rules, wide); ok {
				t.Error("it is no narrower")
			}
			var names, anything []string
			for _, r := range role.Rules {
				if slices.Contains(r.Verbs, "escalate") {
					anything = append(anything, r.ResourceNames...)
				}
				if slices.Contains(r.Resources, tc.resource) && slices.Contains(r.APIGroups, "apps") && slices.Contains(r.Verbs, "delete") {
					if len(r.ResourceNames) == 0 && tc.name != "cilium" { // whose operator is granted that
						t.Errorf("any of %v may be deleted", r.Resources)
					}
					names = append(names, r.ResourceNames...)
				}
			}
			slices.Sort(names)
			if !slices.Equal(slices.Compact(names), tc.written) {
				t.Errorf("%s that may be deleted: %v", tc.resource, names)
			}
			if (tc.anything == "") != (len(anything) == 0) || tc.anything != "" && !slices.Contains(anything, tc.anything) {
				t.Errorf("may be written whatever they grant: %v", anything)
			}
			if strings.Contains(remarks, "may grant anything") != (tc.anything != "") {
				t.Errorf("remarks: %s", remarks)
			}
		})
	}
	// Two stacks: enough for each.
	both, _ := narrow(t, sample("networkstack_minimal.yaml"), sample("networkstack_flannel.yaml"))
	for _, name := range []string{"networkstack_minimal.yaml", "networkstack_flannel.yaml"} {
		one, _ := narrow(t, sample(name))
		if ok, missing := validation.Covers(both.Rules, one.Rules); !ok {
			t.Errorf("the role for both lacks for %s:\n%s", name, format(missing))
		}
	}
}
