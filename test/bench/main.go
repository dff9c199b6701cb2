// Command bench measures the release engine against the Helm SDK's own actions: the same charts and values, on the same
// control plane, in turns, in one run. What counts is the ratio; the absolute times are those of this machine.
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
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
)

func main() {
	log.SetLogger(logr.Discard())
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var archives []string
	rounds := 5
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measures the release engine against the Helm SDK's own actions",
		Long: `Installs, upgrades and uninstalls charts by turns with the release engine and with the Helm SDK's own actions, on one
local control plane with three simulated nodes. Neither waits for pods. The table shows medians.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			subjects, err := subjects(archives)
			if err != nil {
				return err
			}
			return measure(cmd.Context(), subjects, rounds)
		},
	}
	cmd.Flags().IntVar(&rounds, "rounds", rounds, "how often each side takes its turn")
	cmd.Flags().StringArrayVar(&archives, "chart", nil, "a chart archive to measure too; may be given several times")
	return cmd
}

// subject is a chart to measure with, and the values of its installation and its upgrade.
type subject struct {
	name, namespace  string
	chart            *chart.Chart
	install, upgrade map[string]any
}

func subjects(archives []string) ([]subject, error) {
	flannel, err := loader.LoadDir(filepath.Join(operator.Root(), "charts", "flannel"))
	if err != nil {
		return nil, err
	}
	out := []subject{{
		name: "flannel", namespace: "kube-flannel", chart: flannel,
		install: map[string]any{"podCidr": "10.244.0.0/16"},
		upgrade: map[string]any{"podCidr": "10.244.0.0/16", "flannel": map[string]any{"mtu": 1450}},
	}}
	for _, path := range archives {
		c, err := loader.LoadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		s := subject{name: c.Name(), namespace: "bench-" + c.Name(), chart: c, install: map[string]any{}, upgrade: map[string]any{}}
		if c.Name() == "cilium" {
			s.namespace = "kube-system"
			s.install = map[string]any{"hubble": map[string]any{"enabled": false}}
			s.upgrade = map[string]any{"hubble": map[string]any{"enabled": false}, "MTU": 1450}
		}
		out = append(out, s)
	}
	return out, nil
}

func measure(ctx context.Context, subjects []subject, rounds int) (err error) {
	fmt.Println("starting a control plane (its binaries are built once and then cached)")
	cp, err := controlplane.Start(ctx, controlplane.Options{Nodes: 3, Out: os.Stdout})
	if err != nil {
		return err
	}
	defer func() {
		if stopped := cp.Stop(); err == nil {
			err = stopped
		}
	}()
	b := &bench{cfg: cp.RESTConfig()}
	for _, s := range subjects {
		fmt.Printf("%s %s: %d rounds\n", s.name, s.chart.Metadata.Version, rounds)
		for range rounds {
			if err := b.round(ctx, s); err != nil {
				return err
			}
		}
	}
	b.print(os.Stdout)
	return nil
}
