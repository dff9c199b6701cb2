package cli

import (
	"github.com/spf13/cobra"

	"github.com/networkstack/networkstack/internal/compose"
)

func (a *app) factsCommand() *cobra.Command {
	var o worldOptions
	var output, name string
	cmd := &cobra.Command{
		Use:   "facts [FILE]",
		Short: "Writes down the facts of a cluster, for --facts of other commands",
		Long: `Writes down what the cluster of the current kubeconfig is, as far as it matters to NetworkStacks: version, nodes, ranges,
the address of the API server, and the network agents there are. Other commands read it with --facts, where there is no way to the
cluster, as in CI.

Some facts are gathered for a stack that needs them alone, such as how a CoreDNS that is to be taken over is configured. FILE is that stack.

No content of Secrets is read or written. What a facts file may hold is in docs/cli.md.`,
		Example: a.examples(`
{} facts > facts.yaml
# For a stack that takes over what there is
{} facts stack.yaml > facts.yaml`),
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, outputYAML, outputJSON); err != nil {
				return err
			}
			ctx := cmd.Context()
			w, err := a.newWorld(ctx, &o)
			if err != nil {
				return err
			}
			in := compose.Input{Existing: w.existing}
			if len(args) == 1 {
				d, err := a.stackFile(args[0], name)
				if err != nil {
					return err
				}
				j, err := judge(ctx, d, in, nil)
				if err != nil {
					return err
				}
				in.Stack = j.stack
			}
			if w.facts != nil {
				return a.encode(w.facts, output)
			}
			found, err := w.cluster.gather(ctx, in)
			if err != nil {
				return err
			}
			return a.encode(found, output)
		},
	}
	f := cmd.Flags()
	o.addClusterFlags(f)
	f.StringVar(&name, "name", "", "name of the NetworkStack, when the file has several")
	f.StringVarP(&output, "output", "o", outputYAML, "yaml or json")
	a.complete(cmd, "output", outputYAML, outputJSON)
	return cmd
}
