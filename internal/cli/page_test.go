package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPage runs the commands of docs/cli.md, in order, in one directory, and compares what they print with what the page shows.
func TestPage(t *testing.T) {
	withoutCluster(t)
	page, err := filepath.Abs("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	views, err := filepath.Abs("testdata/status")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	block := regexp.MustCompile("(?s)(?:<!-- (?:file: ([a-z.]+)|view: ([a-z0-9-]+)) -->\n)?```([a-z]*)\n(.*?)```")
	commands := 0
	got := block.ReplaceAllStringFunc(string(text), func(b string) string {
		m := block.FindStringSubmatch(b)
		switch {
		case m[1] != "":
			if err := os.WriteFile(m[1], []byte(m[4]), 0o600); err != nil {
				t.Fatal(err)
			}
			return b
		case m[2] != "":
			// What a cluster takes to be shown is what TestStatusView holds the command to.
			view, err := os.ReadFile(filepath.Join(views, m[2]+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			return "<!-- view: " + m[2] + " -->\n```text\n" + string(view) + "```"
		case m[3] == "console":
			s := shell{t: t}
			for _, line := range strings.Split(m[4], "\n") {
				if command, ok := strings.CutPrefix(line, "$ "); ok {
					s.run(command)
					commands++
				}
			}
			return "```console\n" + s.out.String() + "```"
		default:
			t.Errorf("a block of the page is neither a file nor a console:\n%s", b)
			return b
		}
	})
	if commands == 0 {
		t.Fatal("the page has no commands")
	}
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(string(text), got); diff != "" {
		t.Errorf("docs/cli.md does not show what commands print; -update writes it (-page +printed):\n%s", diff)
	}
}

// shell runs the commands of a page, as far as they are those of the program.
type shell struct {
	t    *testing.T
	out  strings.Builder
	code int
}

func (s *shell) run(command string) {
	s.t.Helper()
	fmt.Fprintf(&s.out, "$ %s\n", command)
	if command == "echo $?" {
		fmt.Fprintln(&s.out, s.code)
		return
	}
	args, ok := strings.CutPrefix(command, "kubectl networkstack ")
	if !ok {
		s.t.Fatalf("not run by the test: %s", command)
	}
	args, file, redirected := strings.Cut(args, " > ")
	var out bytes.Buffer
	o := Options{
		Version: "v0.1.0", Name: "kubectl-networkstack", Args: strings.Fields(args), Env: func(string) string { return "" },
		In: strings.NewReader(""), Out: &out, Err: &s.out,
	}
	if !redirected {
		o.Out = &s.out
	}
	s.code = Run(s.t.Context(), o)
	if redirected {
		if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}
