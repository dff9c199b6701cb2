// Command bench measures the release engine against the Helm SDK's own actions: the same charts and values, on the same
// control plane, in turns, in one run. What counts is the ratio; the absolute times are those of this machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	"github.com/networkstack/networkstack/test/testcharts"
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
local control plane with three simulated nodes, once without waiting for workloads and once until all of them are Ready:
Helm with its own wait, the engine by the watches that the operator has. The table shows medians.

The charts are the operator's Flannel, and upstream's Cilium when both of its archives are in the chart cache, upgraded from
the older version to the newer one.`,
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

// subject is a chart to measure with, at two versions, and the values of its installation and its upgrade.
type subject struct {
	name, namespace  string
	from, to         *chart.Chart
	install, upgrade map[string]any
}

// versions of the subject, for people.
func (s subject) versions() string {
	from, to := s.from.Metadata.Version, s.to.Metadata.Version
	if from == to {
		return from
	}
	return from + " to " + to
}

func subjects(archives []string) ([]subject, error) {
	flannel, err := loader.LoadDir(filepath.Join(operator.Root(), "charts", "flannel"))
	if err != nil {
		return nil, err
	}
	out := []subject{{
		name: "flannel", namespace: "kube-flannel", from: flannel, to: flannel,
		install: map[string]any{"podCidr": "10.244.0.0/16"},
		upgrade: map[string]any{"podCidr": "10.244.0.0/16", "flannel": map[string]any{"mtu": 1450}},
	}}
	cilium, err := ciliumSubject()
	if err != nil {
		return nil, err
	}
	out = append(out, cilium...)
	for _, path := range archives {
		c, err := loader.LoadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out = append(out, subject{
			name: c.Name(), namespace: "bench-" + c.Name(), from: c, to: c,
			install: map[string]any{}, upgrade: map[string]any{"bench": "upgraded"},
		})
	}
	return out, nil
}

// ciliumSubject is upstream's Cilium, when its archives are there.
func ciliumSubject() ([]subject, error) {
	var versions []*chart.Chart
	for _, version := range []string{"1.19.6", "1.20.0"} {
		path, err := testcharts.Real{Name: "cilium", Version: version}.Archive()
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Printf("Cilium is left out: cilium-%s.tgz is not in the chart cache\n", version)
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		c, err := loader.LoadFile(path)
		if err != nil {
			return nil, err
		}
		versions = append(versions, c)
	}
	// Without Hubble: its certificates are made by each rendering, so that nothing would ever be unchanged.
	values := map[string]any{"hubble": map[string]any{"enabled": false}}
	return []subject{{name: "cilium", namespace: "kube-system", from: versions[0], to: versions[1], install: values, upgrade: values}}, nil
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
		fmt.Printf("%s %s: %d rounds\n", s.name, s.versions(), rounds)
		for range rounds {
			if err := b.round(ctx, s); err != nil {
				return err
			}
		}
	}
	b.print(os.Stdout)
	return nil
}
