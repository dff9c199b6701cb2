// Command cluster starts and stops Kubernetes clusters on this machine, with a
// real control plane and simulated nodes, to try things out on.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/networkstack/networkstack/test/controlplane"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	var name string
	root := &cobra.Command{
		Use:   "cluster",
		Short: "Local Kubernetes clusters: a real control plane and simulated nodes",
		Long: `Starts and stops Kubernetes clusters on this machine. The control plane is
real and listens on 127.0.0.1 only; nodes and the containers on them are
simulated, so Pods become Ready but nothing runs in them. No container runtime
and no privileges are needed, only the go command.

Binaries and clusters are kept in the user's cache directory, or in
$NETWORKSTACK_CACHE.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&name, "name", "default", "name of the cluster")
	root.AddCommand(upCommand(&name), downCommand(&name), statusCommand(&name), buildCommand(), kubeconfigCommand(&name))
	return root
}

func upCommand(name *string) *cobra.Command {
	options := controlplane.Options{Nodes: 3}
	var family string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster; one that already runs is left as it is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch family {
			case "":
			case "ipv4":
				options.ServiceCIDRs = []string{"10.96.0.0/16"}
			case "ipv6":
				options.ServiceCIDRs = []string{"fd00:10:96::/112"}
			default:
				return fmt.Errorf("--single-stack %q: want ipv4 or ipv6", family)
			}
			options.Out = cmd.ErrOrStderr()
			cluster, started, err := controlplane.Up(cmd.Context(), *name, options)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if !started {
				fmt.Fprintf(out, "Cluster %s (Kubernetes %s) is already up.\n", cluster.Name, cluster.Kubernetes)
			}
			printHint(out, cluster)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&options.Nodes, "nodes", options.Nodes, "number of simulated nodes")
	flags.StringVar(&options.Version, "kubernetes", controlplane.DefaultVersion, "Kubernetes minor version")
	flags.StringVar(&family, "single-stack", "", "ipv4 or ipv6, for a cluster of one address family (default dual-stack)")
	flags.StringVar(&options.Node.KernelVersion, "kernel", "", "kernel version the nodes report")
	flags.IntVar(&options.Node.MTU, "mtu", 1500, "MTU in bytes the nodes are annotated with; 0 for none")
	return cmd
}

func printHint(out io.Writer, cluster controlplane.Cluster) {
	fmt.Fprintf(out, "\nexport KUBECONFIG=%s\n\n", cluster.Kubeconfig)
	kubectl := "kubectl"
	if _, err := exec.LookPath(kubectl); err != nil {
		kubectl = cluster.Kubectl
	}
	down := "go run ./hack/cluster down"
	if cluster.Name != "default" {
		down += " --name " + cluster.Name
	}
	fmt.Fprintf(out, "Then try:     %s get nodes -o wide\nStop it with: %s\n", kubectl, down)
}

func downCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop a cluster and remove all it had",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := controlplane.Down(cmd.Context(), *name, cmd.ErrOrStderr())
			switch {
			case errors.Is(err, controlplane.ErrNoCluster):
				fmt.Fprintf(cmd.OutOrStdout(), "Cluster %s is not up.\n", *name)
			case err != nil:
				return err
			default:
				fmt.Fprintf(cmd.OutOrStdout(), "Cluster %s is down.\n", *name)
			}
			return nil
		},
	}
}

func statusCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show a cluster; exit code 1 unless all of it runs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := controlplane.Find(*name)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "Cluster %s: Kubernetes %s at %s, in %s\n", cluster.Name, cluster.Kubernetes, cluster.Server, cluster.Dir)
			for _, c := range cluster.Components {
				state := "running"
				if !c.Running {
					state = "not running"
				}
				fmt.Fprintf(out, "  %-24s pid %-8d %s\n", c.Name, c.PID, state)
			}
			if !cluster.Running() {
				return fmt.Errorf("cluster %s does not run completely", cluster.Name)
			}
			return nil
		},
	}
}

func buildCommand() *cobra.Command {
	var version string
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the programs of a control plane, and helm, into the cache",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			binaries, err := controlplane.Binaries(cmd.Context(), version, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			helm, err := controlplane.Helm(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			for _, path := range []string{
				binaries.Etcd, binaries.APIServer, binaries.ControllerManager,
				binaries.Scheduler, binaries.Kubectl, binaries.Kwok, helm,
			} {
				fmt.Fprintln(cmd.OutOrStdout(), path)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&version, "kubernetes", controlplane.DefaultVersion, "Kubernetes minor version")
	return cmd
}

func kubeconfigCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of a cluster's kubeconfig file",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := controlplane.Find(*name)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), cluster.Kubeconfig)
			return nil
		},
	}
}
