package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/importer"
)

// TestImportCalledWrongly tries what a new user may type.
func TestImportCalledWrongly(t *testing.T) {
	withoutCluster(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("there.yaml", []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{"a file as an argument", `takes no "stack.yaml": -f FILE says where to write to`, []string{"stack.yaml"}},
		{"a file that is there", "there.yaml: is there already: --force overwrites it", []string{"-f", "there.yaml"}},
		{"Secrets into a file that is there", "there.yaml: is there already", []string{"--secrets", "there.yaml"}},
		{"the standard output as a file", "-f - is not needed", []string{"-f", "-"}},
		{"facts in place of a cluster", "import reads a cluster, and --facts stands for one that cannot be read: remove it", []string{"--facts", "there.yaml"}},
		{"an output that there is not", `--output "table": write json or yaml`, []string{"-o", "table"}},
		{"a name that is none", `--name "My Cluster"`, []string{"--name", "My Cluster"}},
		{"an add-on without a repository", "write NAMESPACE/NAME=REPOSITORY", []string{"--addon", "edge/gateway=charts.example.com"}},
		{"an add-on without a namespace", "write NAMESPACE/NAME=REPOSITORY", []string{"--addon", "gateway=https://charts.example.com"}},
		{"an add-on without anything", "must be formatted as key=value", []string{"--addon", "gateway"}},
		{"a directory of charts that there is not", "--charts: nowhere: there is no such directory or bundle", []string{"--charts", "nowhere"}},
		{"no cluster", "there is no kubeconfig that names a cluster", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, code := call(t, "", nil, append([]string{"import"}, tc.args...)...)
			if code != ExitTrouble || !strings.Contains(out, tc.want) {
				t.Errorf("exits with %d and says: %s", code, out)
			}
		})
	}
	if data, err := os.ReadFile("there.yaml"); err != nil || string(data) != "mine\n" {
		t.Errorf("the file that was there: %q %v", data, err)
	}
}

// TestImportShown holds the exit code and the last line of a report to what it found.
func TestImportShown(t *testing.T) {
	same, changes := importedComponent{Name: "cilium", Same: 3}, importedComponent{
		Name: "cilium", Same: 2, Restarts: true, Changes: []objectChange{{Kind: "DaemonSet", Name: "cilium", Change: changed, Restarts: true}}}
	for _, tc := range []struct {
		name, last string
		code       int
		remark     importer.Severity
		component  importedComponent
		options    importOptions
	}{
		{"exact", "nothing would change, and nothing is left unexpressed", ExitFine, "", same, importOptions{}},
		{"a note", "nothing would change, and nothing is left unexpressed", ExitFine, importer.Note, same, importOptions{}},
		{"unexpressed", "0 things to be decided, 1 thing unexpressed; 0 components would change", ExitFound, importer.Unexpressed, same, importOptions{}},
		{"to decide", "1 thing to be decided, 0 things unexpressed; 0 components would change", ExitFound, importer.Decide, same, importOptions{}},
		{"changes", "0 things to be decided, 0 things unexpressed; 1 component would change, pods of 1 are replaced", ExitFound, "", changes, importOptions{}},
		{"not compared", "what would change was not looked at", ExitFound, "", importedComponent{}, importOptions{noCompare: true}},
		{"cannot be told", "0 components would change, and 1 cannot be told", ExitFound, "", importedComponent{Name: "cilium", Problem: "no chart"}, importOptions{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := importer.Input{Name: "cluster", Facts: cniFacts()}
			r, err := importer.Import(in)
			if err != nil {
				t.Fatal(err)
			}
			r.Remarks = nil
			if tc.remark != "" {
				r.Remarks = []importer.Remark{{Severity: tc.remark, Field: "spec.cni", What: "something"}}
			}
			var components []importedComponent
			if !tc.options.noCompare {
				components = append(components, tc.component)
			}
			var out, report bytes.Buffer
			a := &app{Options: Options{Out: &out, Err: &report}}
			code := ExitFine
			if err := a.showImport(r, components, &tc.options, false); err != nil {
				var ok bool
				if _, ok = err.(codeError); !ok { //nolint:errorlint // it is not wrapped
					t.Fatal(err)
				}
				code = ExitFound
			}
			lines := strings.Split(strings.TrimSpace(report.String()), "\n")
			if code != tc.code || !strings.Contains(lines[len(lines)-1], tc.last) {
				t.Errorf("exits with %d and ends with: %s", code, lines[len(lines)-1])
			}
			if !strings.HasPrefix(out.String(), "apiVersion: networkstack.io/v1alpha1\nkind: NetworkStack\n") {
				t.Errorf("writes %s", &out)
			}
		})
	}
}

// cniFacts are those of a cluster with a Flannel.
func cniFacts() *facts.Snapshot {
	return &facts.Snapshot{Installed: []facts.Installed{{
		Type: facts.InstalledFlannel, Namespace: "kube-flannel", Name: "kube-flannel-ds", Image: "ghcr.io/flannel-io/flannel:v0.28.9", Source: "kubectl",
	}}}
}
