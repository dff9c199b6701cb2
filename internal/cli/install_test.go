package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	api "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/release"
)

func TestInstallDryRun(t *testing.T) {
	withoutCluster(t)
	values := filepath.Join(t.TempDir(), "values.yaml")
	writeFile(t, values, []byte("mode: Ordinary\nlogLevel: debug\nreplicas: 3\nnodeSelector: {a: b}\n"))
	for _, tc := range []struct {
		name  string
		args  string
		level string
		want  []string
	}{
		{"by default", "", "privileged", []string{`image: "networkstack-operator:v0.1.0"`, "hostNetwork: true", "replicas: 1", "kind: CustomResourceDefinition",
			"name: networkstacks.networkstack.io", "namespace: networkstack-system"}},
		{"another image and namespace", "--image registry.example.com:5000/a/operator:v2 --namespace network", "privileged",
			[]string{`image: "registry.example.com:5000/a/operator:v2"`, "namespace: network\n"}},
		{"by digest", "--image r.example.com/o@sha256:383968cd5e8873f7976fa76aa6196045643558f4cc9518a207b9335cb24a0e93", "privileged",
			[]string{`image: "r.example.com/o@sha256:383968cd5e8873f7976fa76aa6196045643558f4cc9518a207b9335cb24a0e93"`}},
		{"a file, settings, and flags over both", "--values " + values + " --set replicas=4 --set nodeSelector.c=d --mode Ordinary", "restricted",
			[]string{"replicas: 4", "--zap-log-level=debug", "a: b", "c: d"}},
		{"flags over a file", "--values " + values + " --mode Bootstrap", "privileged", []string{"hostNetwork: true", "replicas: 3"}},
		{"a bundle of charts", "--set charts.hostPath.path=/opt/charts --set chartBundle=charts.tar.gz", "privileged", []string{"--charts=/charts/charts.tar.gz", "path: /opt/charts"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := does(t, 0, "install --dry-run "+tc.args)
			wants(t, out, tc.want...)
			first, _, _ := strings.Cut(strings.TrimPrefix(out, "---\n"), "\n---")
			var ns struct {
				Kind     string
				Metadata metav1.ObjectMeta
			}
			if err := yaml.Unmarshal([]byte(first), &ns); err != nil || ns.Kind != "Namespace" || ns.Metadata.Labels["pod-security.kubernetes.io/enforce"] != tc.level {
				t.Errorf("%v: %s", err, first)
			}
		})
	}
}

func TestInstallRefusesFlags(t *testing.T) {
	withoutCluster(t)
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	writeFile(t, broken, []byte("a: [b"))
	for args, want := range map[string]string{
		"--mode Both":                   `--mode "Both": write Bootstrap or Ordinary`,
		"--image https://example.com/a": "--image",
		"--image :v1":                   "--image",
		"--values none.yaml":            "none.yaml: there is no such file",
		"--values " + broken:            "--values " + broken,
		"--set a":                       "--set",
		"--set replicas=two":            "replicas",
		"--set mode=Both":               "mode",
		"--set rbac.leaveOut={konsul}":  `there is no part "konsul"`,
		"-o xml":                        `--output "xml"`,
		"more":                          "unknown command",
	} {
		wants(t, does(t, 2, "install --dry-run "+args), want)
	}
	wants(t, does(t, 2, "install"), "there is no kubeconfig that names a cluster")
	wants(t, does(t, 2, "uninstall"), "there is no kubeconfig that names a cluster")
	wants(t, does(t, 2, "status"), "there is no kubeconfig that names a cluster: set KUBECONFIG or --kubeconfig\n")
	wants(t, does(t, 2, "status -w -o json"), "--watch shows a view")
	wants(t, does(t, 2, "status --timeout 3s"), "--timeout is for --wait and --watch")
	wants(t, does(t, 2, "status a b"), "name one NetworkStack")
	if _, err := os.Stat("none.yaml"); err == nil {
		t.Error("the file was made")
	}
}

// contains wants each of some texts in the line of its place.
func contains(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d lines, not %d: %q", len(got), len(want), got)
		return
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("no %q in %q", want[i], got[i])
		}
	}
}

func TestRefuseInstall(t *testing.T) {
	ours := func(change func(*release.OperatorRecord)) *release.OperatorRecord {
		r := &release.OperatorRecord{Chart: "networkstack", Version: "0.1.0", Revision: 2, Status: "deployed", Ours: true}
		if change != nil {
			change(r)
		}
		return r
	}
	deployment := func(namespace, release string) []otherOperator {
		return []otherOperator{{namespace, "networkstack-operator", release}}
	}
	const own = "system/networkstack"
	for _, tc := range []struct {
		name     string
		current  *release.OperatorRecord
		others   []otherOperator
		version  string
		takeOver bool
		want     []string
	}{
		{"nothing there", nil, nil, "0.1.0", false, nil},
		{"ours", ours(nil), deployment("system", own), "0.1.0", false, nil},
		{"an older one", ours(nil), deployment("system", own), "0.2.0", false, nil},
		{"a newer one", ours(func(r *release.OperatorRecord) { r.Version = "0.10.0" }), deployment("system", own), "0.9.0", false, []string{"use the plugin of its version"}},
		{"a newer one, taken over", ours(func(r *release.OperatorRecord) { r.Version = "1.0.0"; r.Ours = false }), nil, "0.9.0", true, []string{"newer"}},
		{"Helm's own", ours(func(r *release.OperatorRecord) { r.Ours = false }), deployment("system", own), "0.1.0", false, []string{"helm upgrade"}},
		{"Helm's own, taken over", ours(func(r *release.OperatorRecord) { r.Ours = false }), deployment("system", own), "0.1.0", true, nil},
		{"Helm's own, and newer", ours(func(r *release.OperatorRecord) { r.Ours = false; r.Version = "2.0.0" }), nil, "0.1.0", false, []string{"--take-over", "newer"}},
		{"of another chart", ours(func(r *release.OperatorRecord) { r.Chart = "cilium" }), nil, "0.1.0", true, []string{"of the chart cilium"}},
		{"interrupted", ours(func(r *release.OperatorRecord) { r.Status, r.Pending = "pending-upgrade", true }), nil, "0.1.0", true, []string{"pending-upgrade"}},
		{"from a file", nil, deployment("system", ""), "0.1.0", false, []string{"hand it over with --take-over"}},
		{"from a file, taken over", nil, deployment("system", ""), "0.1.0", true, nil},
		{"of another release", nil, deployment("system", "system/other"), "0.1.0", true, []string{"Helm release system/other"}},
		{"elsewhere", nil, deployment("other", ""), "0.1.0", true, []string{"two would work against one another"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			contains(t, refuseInstall(tc.current, tc.others, "system", tc.version, tc.takeOver, "kubectl networkstack"), tc.want...)
		})
	}
}

func TestRefuseLevel(t *testing.T) {
	for _, tc := range []struct {
		level   string
		mode    any
		refused bool
	}{{"", nil, false}, {"privileged", nil, false}, {"baseline", nil, true}, {"restricted", "Bootstrap", true}, {"restricted", "Ordinary", false}} {
		got := refuseLevel("network", tc.level, tc.mode)
		if (len(got) > 0) != tc.refused || tc.refused && !strings.Contains(got[0], "label --overwrite namespace network pod-security.kubernetes.io/enforce=privileged") {
			t.Errorf("%+v: %q", tc, got)
		}
	}
}

func TestRefuseUninstall(t *testing.T) {
	ours := &release.OperatorRecord{Chart: "networkstack", Ours: true}
	helms := &release.OperatorRecord{Chart: "networkstack"}
	stack := func(name string, policy api.DeletionPolicy, deleted bool) api.NetworkStack {
		s := api.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: api.NetworkStackSpec{DeletionPolicy: policy},
			Status: api.NetworkStackStatus{Components: []api.ComponentSummary{{Name: "cilium"}, {Name: "coredns"}}}}
		if deleted {
			s.DeletionTimestamp = before(0)
		}
		return s
	}
	for _, tc := range []struct {
		name          string
		current       *release.OperatorRecord
		stacks        []api.NetworkStack
		yes, takeOver bool
		want          []string
	}{
		{"no stack", ours, nil, false, false, nil},
		{"a stack", ours, []api.NetworkStack{stack("a", "", false)}, false, false, []string{"its 2 components go on running (deletionPolicy Orphan)"}},
		{"a stack that takes its network with it", ours, []api.NetworkStack{stack("a", api.DeletionDelete, false)}, false, false, []string{"without an operator nothing removes them"}},
		{"a stack, and yes", ours, []api.NetworkStack{stack("a", "", false)}, true, false, nil},
		{"a stack that is going", ours, []api.NetworkStack{stack("a", "", true), stack("b", "", false)}, true, false, []string{"kubectl wait --for=delete netstack/a"}},
		{"Helm's own", helms, []api.NetworkStack{stack("a", "", false)}, false, false, []string{"helm uninstall networkstack -n system", "NetworkStack a"}},
		{"Helm's own, taken over", helms, nil, false, true, nil},
		{"another chart", &release.OperatorRecord{Chart: "cilium", Ours: true}, nil, true, true, []string{"of the chart cilium"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			contains(t, refuseUninstall(tc.current, tc.stacks, "system", tc.yes, tc.takeOver), tc.want...)
		})
	}
	contains(t, whatStays([]api.NetworkStack{stack("a", "", false)}, "system"), "NetworkStack a (deletionPolicy Orphan) and its 2 components", "definitions", "the namespace system")
	if diff := cmp.Diff("the definitions of NetworkStacks and NetworkComponents: kubectl delete crd networkstacks.networkstack.io networkcomponents.networkstack.io",
		whatStays(nil, "system")[0]); diff != "" {
		t.Error(diff)
	}
}
