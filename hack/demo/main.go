// Command demo shows NetworkStack at work on a local control plane with simulated nodes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	log.SetLogger(logr.Discard())
	err := command().ExecuteContext(ctx)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	d := &demo{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Shows NetworkStack at work on a local control plane",
		Long: `Starts a real Kubernetes control plane with simulated nodes, runs the operator as the ServiceAccount that the
project ships, applies a sample NetworkStack and shows its way to Ready, tampers with an object that the operator
owns, and shows the correction. It fails when any of that does not happen.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	f := cmd.Flags()
	sample := filepath.Join(operator.Root(), "config", "samples", "networkstack_flannel.yaml")
	f.StringVar(&d.sample, "sample", sample, "the NetworkStack to apply")
	f.StringArrayVar(&d.charts, "charts", nil, "directory of chart archives for the operator; may be given several times")
	f.StringVar(&d.kubernetes, "kubernetes", controlplane.DefaultVersion, "minor version of Kubernetes")
	f.IntVar(&d.nodes, "nodes", 3, "number of simulated nodes")
	f.BoolVar(&d.keep, "keep", false, "leave the cluster and the operator running")
	cmd.AddCommand(&cobra.Command{
		Use:   "down",
		Short: "Stops what a demo with --keep left running",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return down(cmd.Context(), os.Stdout) },
	})
	return cmd
}
