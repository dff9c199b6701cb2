// Package cli is the command line of kubectl networkstack. It shows what the operator's own packages find out and decides nothing
// itself.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Exit codes.
const (
	// ExitFine means that all is well, and for diff that there is no difference.
	ExitFine = 0
	// ExitFound means that something is refused, and for diff that there is a difference.
	ExitFound = 1
	// ExitTrouble means that the command could not do its work: wrong flags, files or a cluster that cannot be read.
	ExitTrouble = 2
)

// Options are what a process hands to a command line.
type Options struct {
	// Version of the program.
	Version string
	// Name it was called by, and its arguments.
	Name string
	Args []string
	// Env gives a variable of the environment.
	Env func(string) string
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// codeError ends a command with a code of its own. What there is to say has been said.
type codeError int

// Error is for whoever prints it all the same.
func (e codeError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// app is what all commands share.
type app struct {
	Options
	// display is how users call it.
	display string
	verbose bool
	color   string
}

// Run runs a command and gives the process's exit code.
func Run(ctx context.Context, o Options) int {
	a := &app{Options: o, display: displayName(o.Name)}
	root := a.root()                            //nolint:contextcheck // cobra hands the context to every command
	root.SetArgs(append([]string{}, o.Args...)) // with none, cobra would take the process's
	root.SetIn(o.In)
	root.SetOut(o.Out)
	root.SetErr(o.Err)
	err := root.ExecuteContext(ctx)
	var code codeError
	switch {
	case err == nil:
		return ExitFine
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil:
		fmt.Fprintf(o.Err, "%s: interrupted\n", a.display)
		return ExitTrouble
	}
	fmt.Fprintf(o.Err, "error: %s\n", strings.TrimPrefix(err.Error(), "error: "))
	var usage usageError
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command") {
		fmt.Fprintf(o.Err, "See '%s --help'.\n", a.called(root))
	}
	return ExitTrouble
}

// called is the command that the arguments lead to.
func (a *app) called(root *cobra.Command) string {
	found, _, err := root.Find(a.Args)
	if err != nil || found == root {
		return a.display
	}
	return found.CommandPath()
}

// displayName is how users call the program: a plugin is called through kubectl.
func displayName(name string) string {
	base := strings.TrimSuffix(filepath.Base(name), ".exe")
	if plugin, ok := strings.CutPrefix(base, "kubectl-"); ok {
		return "kubectl " + strings.ReplaceAll(plugin, "_", "-")
	}
	return base
}

// usageError is a command called in a wrong way.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (a *app) root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kubectl-networkstack",
		Short: "Checks, renders, compares, explains and follows NetworkStacks",
		Long: `Checks, renders, compares, explains and follows NetworkStacks, with the code that the operator itself runs.

Only install and uninstall change anything in a cluster. A command that needs no cluster asks none.`,
		Example: a.examples(`
# Check files, as in CI or before a commit
{} validate network/
# What would be installed, with the facts of the current cluster
{} render stack.yaml
# What would change there
{} diff stack.yaml
# Why an effective value is what it is
{} explain stack.yaml spec.mtu
# How an installation gets on
{} status --watch`),
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: a.display},
		Version:       a.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := cmd.PersistentFlags()
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "say more: what is passed over, and which rules are not judged")
	flags.StringVar(&a.color, "color", "auto", "colours: auto, always or never; NO_COLOR turns off auto")
	a.complete(cmd, "color", "auto", "always", "never")
	cmd.AddCommand(
		a.validateCommand(), a.renderCommand(), a.diffCommand(), a.explainCommand(), a.factsCommand(), a.policiesCommand(),
		a.importCommand(), a.roleCommand(), a.versionCommand(), a.completionCommand(),
		a.chartsCommand(), a.statusCommand(), a.installCommand(), a.uninstallCommand(),
	)
	return cmd
}

// complete offers the values of a flag to the shell.
func (a *app) complete(cmd *cobra.Command, flag string, values ...string) {
	// It fails only for a flag that there is not, which a test finds.
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}

// examples puts the name of the program into examples.
func (a *app) examples(text string) string {
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "{}", a.display)), "\n")
	return "  " + strings.Join(lines, "\n  ")
}

// note tells, on the error output, what a user may want to know and no program reads.
func (a *app) note(format string, args ...any) { fmt.Fprintf(a.Err, format+"\n", args...) }

// painter colours text, or leaves it as it is.
type painter bool

// wantsColor says whether the environment has nothing against colours on a terminal.
func (a *app) wantsColor() bool { return a.Env("NO_COLOR") == "" && a.Env("TERM") != "dumb" }

func (a *app) painter() (painter, error) {
	switch a.color {
	case "always":
		return true, nil
	case "never":
		return false, nil
	case "auto":
		f, ok := a.Out.(*os.File)
		return painter(ok && term.IsTerminal(int(f.Fd())) && a.wantsColor()), nil
	default:
		return false, usagef("--color %q: write auto, always or never", a.color)
	}
}

// The colours that are used, as every terminal has them.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
	faint  = "2"
)

func (p painter) paint(color, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// args wants at least one argument, and says what it is.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("name %s", what)
		}
		return nil
	}
}
