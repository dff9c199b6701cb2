package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/networkstack/networkstack/internal/manifest"
)

var update = flag.Bool("update", false, "write golden files and the outputs in docs/cli.md anew")

// digest is what changes whenever a chart does.
var digest = regexp.MustCompile(`[0-9a-f]{64}`)

// call runs a command as a terminal without colours would, and gives both outputs, as they come, and the exit code.
func call(t *testing.T, in string, env map[string]string, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	code := Run(t.Context(), Options{
		Version: "v0.1.0", Name: "/usr/local/bin/kubectl-networkstack", Args: args, Env: func(k string) string { return env[k] },
		In: strings.NewReader(in), Out: &out, Err: &out,
	})
	return out.String(), code
}

// withoutCluster keeps the tests away from any cluster that this machine knows of.
func withoutCluster(t *testing.T) {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
}

// TestGolden holds what commands print, and how they exit, to files.
func TestGolden(t *testing.T) {
	withoutCluster(t)
	golden, err := filepath.Abs("testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("testdata/in")
	huge := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(huge, bytes.Repeat([]byte("a: b\n"), manifest.MaxSize/5+1), 0o600); err != nil {
		t.Fatal(err)
	}
	stack, err := os.ReadFile("stack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	facts := "--facts=facts.yaml"
	used := map[string]bool{}
	for _, tc := range []struct {
		name string
		code int
		in   string
		args []string
	}{
		{"validate", 0, "", []string{"validate", "stack.yaml"}},
		{"validate-stdin", 0, string(stack), []string{"validate", "-"}},
		{"validate-stdin-crlf-bom", 0, "\ufeff" + strings.ReplaceAll(string(stack), "\n", "\r\n"), []string{"validate", "-"}},
		{"validate-stdin-twice", 2, "", []string{"validate", "-", "-"}},
		{"validate-stdin-facts-too", 2, "", []string{"validate", "-", "--facts", "-"}},
		{"validate-verbose", 1, "", []string{"validate", "wrong.yaml", "-v", facts}},
		{"validate-wrong", 1, "", []string{"validate", "wrong.yaml"}},
		{"validate-wrong-table", 1, "", []string{"validate", "wrong.yaml", "-o", "table"}},
		{"validate-wrong-json", 1, "", []string{"validate", "wrong.yaml", "-o", "json", facts}},
		{"validate-wrong-color", 1, "", []string{"validate", "wrong.yaml", "--color", "always", facts}},
		{"validate-broken", 1, "", []string{"validate", "broken.yaml"}},
		{"validate-kinds", 1, "", []string{"validate", "kinds.yaml", "-v", facts}},
		{"validate-list", 1, "", []string{"validate", "list.yaml"}},
		{"validate-metadata", 1, "", []string{"validate", "metadata.yaml"}},
		{"validate-warned", 0, "", []string{"validate", "warned.yaml"}},
		{"validate-warned-strict", 1, "", []string{"validate", "warned.yaml", "--strict"}},
		{"validate-warned-yaml", 0, "", []string{"validate", "warned.yaml", "-o", "yaml", facts}},
		{"validate-empty", 2, "", []string{"validate", "empty.yaml", "-v"}},
		{"validate-comments", 2, "", []string{"validate", "comments.yaml"}},
		{"validate-allow-none", 0, "", []string{"validate", "comments.yaml", "facts.yaml", "--allow-none"}},
		{"validate-other-only", 2, "", []string{"validate", "facts.yaml"}},
		{"validate-binary", 2, "\x00\x01", []string{"validate", "-"}},
		{"validate-huge", 2, "", []string{"validate", huge}},
		{"validate-none-such", 2, "", []string{"validate", "no-such.yaml"}},
		{"validate-nothing", 2, "", []string{"validate"}},
		{"validate-directory", 0, "", []string{"validate", "tree"}},
		{"validate-directory-recursive", 0, "", []string{"validate", "-R", "tree"}},
		{"validate-directory-none", 2, "", []string{"validate", "none"}},
		{"validate-flag", 2, "", []string{"validate", "--fact", "x"}},
		{"validate-output", 2, "", []string{"validate", "stack.yaml", "-o", "xml"}},
		{"validate-color", 2, "", []string{"validate", "stack.yaml", "--color", "blue"}},
		{"validate-facts-wrong", 2, "", []string{"validate", "stack.yaml", "--facts", "facts-wrong.yaml"}},
		{"validate-facts-unknown", 2, "", []string{"validate", "stack.yaml", "--facts", "facts-unknown.yaml"}},
		{"validate-facts-stack", 2, "", []string{"validate", "stack.yaml", "--facts", "stack.yaml"}},
		{"validate-facts-empty", 2, "", []string{"validate", "stack.yaml", "--facts", "empty.yaml"}},

		{"render-component-unknown", 2, "", []string{"render", "stack.yaml", facts, "--component", "cilium"}},
		{"render-refused", 1, "", []string{"render", "wrong.yaml", facts, "--name", "Cluster_1"}},
		{"render-several", 2, "", []string{"render", "several.yaml", facts}},
		{"render-name-unknown", 2, "", []string{"render", "several.yaml", facts, "--name", "third"}},
		{"render-no-stack", 2, "", []string{"render", "comments.yaml", facts}},
		{"render-broken", 2, "", []string{"render", "broken.yaml", facts}},
		{"render-no-cluster", 2, "", []string{"render", "stack.yaml"}},
		{"render-charts-missing", 2, "", []string{"render", "stack.yaml", facts, "--charts", "no-such"}},

		{"diff", 1, "", []string{"diff", "stack.yaml", "routed.yaml", facts}},
		{"diff-json", 1, "", []string{"diff", "stack.yaml", "routed.yaml", facts, "-o", "json", "--no-objects"}},
		{"diff-none", 0, "", []string{"diff", "stack.yaml", "stack.yaml", facts}},
		{"diff-one-file", 2, "", []string{"diff", "stack.yaml", facts}},
		{"diff-three-files", 2, "", []string{"diff", "stack.yaml", "stack.yaml", "stack.yaml", facts}},
		{"diff-refused", 2, "", []string{"diff", "stack.yaml", "warned.yaml", facts}},
		{"diff-unchangeable", 2, "", []string{"diff", "stack.yaml", "other-cni.yaml", facts}},
		{"diff-no-cluster", 2, "", []string{"diff", "stack.yaml"}},
		{"diff-nothing", 2, "", []string{"diff"}},

		{"explain-field", 0, "", []string{"explain", "stack.yaml", "spec.mtu", facts}},
		{"explain-field-stated", 0, "", []string{"explain", "stack.yaml", "kubeProxy.mode", facts}},
		{"explain-field-json", 0, "", []string{"explain", "stack.yaml", "mtu", facts, "-o", "json"}},
		{"explain-field-none", 2, "", []string{"explain", "stack.yaml", "spec.nothing", facts}},
		{"explain-refused", 1, "", []string{"explain", "wrong.yaml", "--name", "Cluster_1", facts}},
		{"explain-unreadable", 1, "", []string{"explain", "wrong.yaml", "--name", "two", facts}},
		{"explain-rule", 0, "", []string{"explain", "POOL-OVERLAP"}},
		{"explain-rule-json", 0, "", []string{"explain", "yaml-duplicate-key", "-o", "json"}},
		{"explain-rule-unknown", 2, "", []string{"explain", "ENDPOINT-X"}},
		{"explain-nothing", 2, "", []string{"explain"}},
		{"explain-no-file", 2, "", []string{"explain", "stak.yaml"}},

		{"version", 0, "", []string{"version"}},
		{"completion-kubectl", 0, "", []string{"completion", "kubectl"}},
		{"completion-unknown", 2, "", []string{"completion", "tcsh"}},
		{"complete-rule", 0, "", []string{"__complete", "explain", "POOL-O"}},
		{"command-unknown", 2, "", []string{"validat"}},
		{"help", 0, "", nil},
		{"facts-no-cluster", 2, "", []string{"facts"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, code := call(t, tc.in, nil, tc.args...)
			out = digest.ReplaceAllString(strings.ReplaceAll(out, filepath.Dir(huge), "DIRECTORY"), "DIGEST")
			if code != tc.code {
				t.Errorf("exits with %d, not %d", code, tc.code)
			}
			got := fmt.Sprintf("%s=> %d\n", out, code)
			file := filepath.Join(golden, tc.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
		used[tc.name+".txt"] = true
	}
	files, err := os.ReadDir(golden)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !used[f.Name()] {
			t.Errorf("testdata/golden/%s is of no case", f.Name())
		}
	}
}
