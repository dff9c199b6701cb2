// The NetworkStack operator.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"
)

// version is set at build time.
var version = "dev"

func main() {
	if err := command().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "networkstack-operator:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	o := newOptions()
	cmd := &cobra.Command{
		Use:   "networkstack-operator",
		Short: "Runs the NetworkStack operator",
		Long: `Runs the NetworkStack operator: it reconciles NetworkStack objects in the cluster that the current
kubeconfig points at, or in the cluster it runs in.

It needs no CNI, no cluster DNS, no Service address and no webhook, so that it can install the network it
then looks after.`,
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), o)
		},
	}
	o.addFlags(cmd.Flags())
	cmd.AddCommand(nodeAgentCommand(o), cleanNodeCommand(o))
	return cmd
}
