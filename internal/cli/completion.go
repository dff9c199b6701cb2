package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// kubectlCompletion is what kubectl runs to complete a plugin: a file of this name, kubectl_complete-networkstack, in the PATH.
const kubectlCompletion = `#!/bin/sh
# Save as kubectl_complete-networkstack in a directory of the PATH, and make it executable.
exec kubectl-networkstack __complete "$@"
`

func (a *app) completionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell|kubectl",
		Short: "Prints what completes commands in a shell",
		Long: `Prints a script that has a shell complete the commands of kubectl-networkstack.

For "kubectl networkstack ..." kubectl itself asks a program kubectl_complete-networkstack in the PATH (since 1.26): "completion kubectl"
prints it.`,
		Example: a.examples(`
# Bash, for this session
source <({} completion bash)
# Zsh, for good
{} completion zsh > "${fpath[1]}/_kubectl-networkstack"
# Fish, for good
{} completion fish > ~/.config/fish/completions/kubectl-networkstack.fish
# PowerShell, for this session
{} completion powershell | Out-String | Invoke-Expression
# As a plugin, in every shell that completes kubectl
{} completion kubectl > ~/.local/bin/kubectl_complete-networkstack
chmod +x ~/.local/bin/kubectl_complete-networkstack`),
		Args:      exactlyOne("the shell: bash, zsh, fish, powershell or kubectl"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell", "kubectl"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.Out, true)
			case "zsh":
				return root.GenZshCompletion(a.Out)
			case "fish":
				return root.GenFishCompletion(a.Out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.Out)
			case "kubectl":
				_, err := fmt.Fprint(a.Out, kubectlCompletion)
				return err
			default:
				return usagef("%q is no shell that is known: write bash, zsh, fish, powershell or kubectl", args[0])
			}
		},
	}
	return cmd
}

func (a *app) versionCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Prints the version of this program",
		Long:  "Prints the version of this program. Its rules and its catalogue are those of the operator of the same version.",
		Example: a.examples(`
{} version
{} version -o json`),
		Args: cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			if err := checkOutput(output, outputJSON, outputYAML); err != nil {
				return err
			}
			if output == "" {
				_, err := fmt.Fprintln(a.Out, a.Version)
				return err
			}
			return a.encode(map[string]string{
				"version": a.Version, "goVersion": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
			}, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json or yaml; left out, the version alone")
	a.complete(cmd, "output", outputJSON, outputYAML)
	return cmd
}
