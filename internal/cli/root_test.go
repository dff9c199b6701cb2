package cli

import (
	"testing"

	"github.com/spf13/cobra"
)

func TestWantsColor(t *testing.T) {
	for _, tc := range []struct {
		noColor, term string
		want          bool
	}{{"", "xterm", true}, {"1", "xterm", false}, {"", "dumb", false}, {"", "", true}} {
		a := app{Options: Options{Env: func(k string) string { return map[string]string{"NO_COLOR": tc.noColor, "TERM": tc.term}[k] }}}
		if got := a.wantsColor(); got != tc.want {
			t.Errorf("NO_COLOR=%q TERM=%q: %v", tc.noColor, tc.term, got)
		}
	}
}

func TestDisplayName(t *testing.T) {
	for name, want := range map[string]string{
		"/usr/bin/kubectl-networkstack": "kubectl networkstack", "kubectl-networkstack.exe": "kubectl networkstack", "bin/networkstack": "networkstack",
	} {
		if got := displayName(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestHelp wants every command to say what it does, and to show it.
func TestHelp(t *testing.T) {
	a := &app{display: "kubectl networkstack"}
	for _, c := range append([]*cobra.Command{a.root()}, a.root().Commands()...) {
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("%s lacks a description or an example", c.Name())
		}
	}
}

// TestCompletion wants a script for each shell.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell", "kubectl"} {
		if out, code := call(t, "", nil, "completion", shell); code != ExitFine || len(out) < 100 {
			t.Errorf("%s (%d): %.100s", shell, code, out)
		}
	}
}
