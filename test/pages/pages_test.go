package pages

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/manifest"
	"github.com/networkstack/networkstack/internal/schema"
	"github.com/networkstack/networkstack/test/operator"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const page = "Text.\n\n<!-- file: a.yaml -->\n```yaml\na: 1\n```\n\n<!-- test: cluster -->\n<!-- test: first kubectl get x -->\n\n" +
		"```sh\n# a comment\nkubectl a \\\n  --b\n\nkubectl c   # refused by the API server\n```\n" +
		"<!-- test: skip it needs a registry -->\n```console\n$ kubectl d\nNAME\nx\n$ kubectl e\n```\n"
	got, err := parse("p.md", page)
	if err != nil {
		t.Fatal(err)
	}
	want := []Block{
		{Page: "p.md", Line: 4, Language: "yaml", Text: "a: 1\n", File: "a.yaml"},
		{
			Page: "p.md", Line: 11, Language: "sh", Text: "# a comment\nkubectl a \\\n  --b\n\nkubectl c   # refused by the API server\n",
			Cluster: true, First: []string{"kubectl get x"},
		},
		{Page: "p.md", Line: 19, Language: "console", Text: "$ kubectl d\nNAME\nx\n$ kubectl e\n", Skip: "it needs a registry"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var commands []Command
	for _, b := range got[1:] {
		commands = append(commands, b.Commands()...)
	}
	if diff := cmp.Diff([]Command{
		{Text: "kubectl a \\\n  --b"}, {Text: "kubectl c   # refused by the API server", Refused: true},
		{Text: "kubectl d", Output: []string{"NAME", "x"}}, {Text: "kubectl e"},
	}, commands); diff != "" {
		t.Error(diff)
	}
	for name, wrong := range map[string]string{
		"unknown":       "<!-- test: fly -->\n```sh\n```\n",
		"skip for none": "<!-- test: skip -->\n```sh\n```\n",
		"no block":      "<!-- test: run -->\nText.\n",
		"open":          "```sh\nls\n",
	} {
		if _, err := parse("p.md", wrong); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDiffers(t *testing.T) {
	t.Parallel()
	const printed = "NAME   AGE\na      18s\nb      2m3s\nat 2026-11-24T18:00:00Z, 127.0.0.1:4312\n"
	for _, tt := range []struct {
		name  string
		shown []string
		same  bool
	}{
		{"as it is", []string{"NAME  AGE", "a 3s", "", "b 14ms", "at 2020-01-01T00:00:00Z, 10.0.0.1:6443"}, true},
		{"a line less", []string{"NAME AGE", "a 3s", "b 1s"}, false},
		{"the rest left out", []string{"NAME AGE", "…"}, true},
		{"the middle left out", []string{"NAME AGE", "…", "at …"}, true},
		{"another order", []string{"…", "b 1s", "a 1s", "…"}, false},
		{"another word", []string{"NAME AGE", "c 3s", "…"}, false},
		{"a line too many", []string{"…", "at …", "c"}, false},
	} {
		if diff := Differs(tt.shown, printed); (diff == "") != tt.same {
			t.Errorf("%s: %q", tt.name, diff)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	const printed = "  1.5s  up\n  2.0s  flannel Ready 3 of 3\n  2.2s  coredns Ready\n  3.0s  done, 42 ms after\n"
	shown := "  9.5s  up\n  9.7s  flannel RollingOut 2 of 3\n  9.9s  coredns Ready\n  9.9s  flannel Ready 3 of 3\n  12.0s  done, 1 ms after\n"
	if missing := Missing(shown, printed); len(missing) > 0 {
		t.Error(missing)
	}
	if missing := Missing(shown+"  1s  more\n", printed); len(missing) != 1 {
		t.Error(missing)
	}
}

// all are the pages that people write; api.md and refusals.md are generated.
func all(t *testing.T) []string {
	t.Helper()
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(operator.Root(), filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 10 {
		t.Fatalf("pages are missing: %v", pages)
	}
	return pages
}

func relative(t *testing.T, page string) string {
	t.Helper()
	name, err := filepath.Rel(operator.Root(), page)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.ToSlash(name)
}

func blocks(t *testing.T, page string) []Block {
	t.Helper()
	found, err := Read(page)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestExamples judges every NetworkStack of the pages, and every part of one, as the API server would; and that all YAML is YAML.
func TestExamples(t *testing.T) {
	t.Parallel()
	judged := 0
	for _, page := range all(t) {
		name := relative(t, page)
		for _, b := range blocks(t, page) {
			if b.Language != "yaml" || name == "docs/cli.md" { // that page has wrong ones, to show what is said of them
				continue
			}
			for i, text := range regexp.MustCompile(`(?m)^---$`).Split(b.Text, -1) {
				object, part, problem := example(t, text)
				if problem != "" {
					t.Errorf("%s, document %d: %s", b.Place(), i+1, problem)
				}
				if object == nil {
					continue
				}
				judged++
				for _, p := range judge(t.Context(), t, object) {
					if part && strings.HasPrefix(p.Message, "Required value") {
						continue
					}
					t.Errorf("%s: %s: %s", b.Place(), p.Field, p.Message)
				}
			}
		}
	}
	if judged < 20 {
		t.Errorf("only %d examples were found", judged)
	}
}

// example is the NetworkStack that a text is, or is a part of; nil when it is something else.
func example(t *testing.T, text string) (object map[string]any, part bool, problem string) {
	t.Helper()
	if strings.HasPrefix(text, "  ") {
		text = "spec:\n" + text
	}
	documents, err := manifest.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range documents {
		for _, p := range d.Problems {
			problem += p.Message + "; "
		}
		object = d.Object
	}
	_, hasKind := object["kind"]
	spec, hasSpec := object["spec"].(map[string]any)
	if hasKind && object["kind"] != "NetworkStack" || !hasSpec {
		return nil, false, problem
	}
	if !hasKind {
		part = true
		object["apiVersion"], object["kind"], object["metadata"] = networkstackv1alpha1.GroupVersion.String(), "NetworkStack", map[string]any{"name": "cluster"}
		if _, has := spec["cni"]; !has {
			spec["cni"] = map[string]any{"type": "External"}
		}
	}
	return object, part, problem
}

func judge(ctx context.Context, t *testing.T, object map[string]any) []schema.Problem {
	t.Helper()
	problems, err := schema.Judge(ctx, object, nil)
	if err != nil {
		t.Fatal(err)
	}
	return problems
}

// TestTargets holds every make target that a page names against the Makefile, in commands that are not run, too.
func TestTargets(t *testing.T) {
	t.Parallel()
	target := regexp.MustCompile(`(?m)(?:^|[\x60( ])make ((?:[a-z0-9]+(?:-[a-z0-9]+)*)(?: [a-z0-9]+(?:-[a-z0-9]+)*)*)`)
	data, err := os.ReadFile(filepath.Join(operator.Root(), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9-]+):`).FindAllSubmatch(data, -1) {
		known[string(m[1])] = true
	}
	named := 0
	for _, page := range all(t) {
		for _, b := range blocks(t, page) {
			if !b.Shell() {
				continue
			}
			for _, c := range b.Commands() {
				code, _, _ := strings.Cut(c.Text, " #")
				for _, m := range target.FindAllStringSubmatch(code, -1) {
					for _, word := range strings.Fields(m[1]) {
						named++
						if !known[word] {
							t.Errorf("%s: make %s: there is no such target", b.Place(), word)
						}
					}
				}
			}
		}
	}
	if named < 15 {
		t.Errorf("only %d targets were found", named)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.*)$`)
	code    = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
)

// TestLinks follows every link of the pages to the file or the heading that it leads to.
func TestLinks(t *testing.T) {
	t.Parallel()
	followed := 0
	headings := map[string][]string{}
	for _, page := range all(t) {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(string(data), ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			followed++
			path, anchor, _ := strings.Cut(m[1], "#")
			file := page
			if path != "" {
				file = filepath.Join(filepath.Dir(page), filepath.FromSlash(path))
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %s: %v", relative(t, page), m[1], err)
				continue
			}
			if anchor == "" {
				continue
			}
			if headings[file] == nil {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				headings[file] = anchors(string(text))
			}
			if !slices.Contains(headings[file], anchor) {
				t.Errorf("%s: %s: there is no such heading", relative(t, page), m[1])
			}
		}
	}
	if followed < 50 {
		t.Errorf("only %d links were found", followed)
	}
}

// anchors are the names that GitHub gives headings.
func anchors(text string) []string {
	var names []string
	text = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		name := strings.ToLower(strings.TrimSpace(m[1]))
		name = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(name, "$1")
		name = regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(name, "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	for _, m := range regexp.MustCompile(`<a id="([^"]+)">`).FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// tracked says which files git sees as changed.
func tracked(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "status", "--porcelain")
	cmd.Dir = operator.Root()
	out, err := cmd.Output()
	if err != nil {
		t.Logf("git status: %v", err)
	}
	return string(out)
}
