// Command perf measures the operator as a process: how fast it puts drift right, what it asks of the API server with
// nothing to do, how much memory it takes, what many nodes cost, and what everything at once does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testbed"
	"github.com/networkstack/networkstack/test/testcharts"
)

// errMissed says that a measurement is not what it should be; the table says which.
var errMissed = errors.New("a target was missed")

func main() {
	log.SetLogger(logr.Discard())
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "perf:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "perf",
		Short:         "Measures the operator as a process",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(driftCommand(), idleCommand(), memoryCommand(), scaleCommand(), fullCommand(), policiesCommand())
	return cmd
}

// measurement is a command whose table says which targets were missed.
func measurement(name, short string, run func(context.Context) (missed bool, err error)) *cobra.Command {
	check := false
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			missed, err := run(cmd.Context())
			if err == nil && missed && check {
				return errMissed
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "fail when a target is missed")
	return cmd
}

// manyNodes are pod ranges with room for the nodes of a large cluster.
var manyNodes = []string{"10.128.0.0/12", "fd00:10:244::/48"}

// full are the charts of a full stack, in the order in which they go in. Without upstream's archives it is what the
// operator carries.
var full = []string{
	"cilium-1.20.0", "linkerd-crds-2026.8.3", "base-1.30.3", "cert-manager-1.21.1", "ingress-nginx-4.15.1", "traefik-41.3.0",
	"linkerd-control-plane-2026.8.3", "istiod-1.30.3", "kube-prometheus-stack-88.5.3",
}

// fullStack are the charts of a full stack.
func fullStack() ([]testcharts.Real, error) {
	all, err := testcharts.Corpus()
	if err != nil {
		return nil, err
	}
	byName := map[string]testcharts.Real{}
	for _, r := range all {
		byName[r.String()] = r
	}
	var wanted []testcharts.Real
	for _, name := range full {
		r, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("%s is not in the corpus", name)
		}
		wanted = append(wanted, r)
	}
	there, missing, err := testbed.Available(wanted)
	if err != nil {
		return nil, err
	}
	if len(missing) == 0 {
		return there, nil
	}
	fmt.Printf("%d of the %d charts of a full stack are not in the chart cache (such as %s): measuring with the operator's own charts\n",
		len(missing), len(wanted), missing[0])
	return []testcharts.Real{
		{
			Name: "flannel", Version: "0.28.9", Embedded: true, Release: "flannel", Namespace: "kube-flannel",
			Values: map[string]any{"podCidr": "10.244.0.0/16"},
		},
		{
			Name: "kube-proxy", Version: "1.0.0", Embedded: true, Release: "kube-proxy", Namespace: "kube-system", Shared: true,
			Values: map[string]any{
				"mode": "nftables", "clusterCIDR": "10.244.0.0/16", "image": map[string]any{"tag": "v1.37.1"},
				"apiServer": map[string]any{"host": "192.0.2.1", "port": 6443},
			},
		},
	}, nil
}

// bed starts a control plane and the operator with a full stack, and waits until there is nothing left to do.
func bed(ctx context.Context, o controlplane.Options, logTo io.Writer, args ...string) (*testbed.Bed, error) {
	charts, err := fullStack()
	if err != nil {
		return nil, err
	}
	dir, err := testcharts.CacheDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	fmt.Println("starting a control plane and the operator")
	o.Out = os.Stdout
	b, err := testbed.Start(ctx, testbed.Options{ControlPlane: o, Args: append([]string{"--charts", dir}, args...), Log: logTo})
	if err != nil {
		return nil, err
	}
	if err := install(ctx, b, charts); err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	return b, nil
}

func install(ctx context.Context, b *testbed.Bed, charts []testcharts.Real) error {
	objects := 0
	for wave := range 2 {
		for _, r := range charts {
			if r.Wave != wave {
				continue
			}
			c, err := testbed.Component(r)
			if err != nil {
				return err
			}
			if err := b.Client.Create(ctx, c); err != nil {
				return err
			}
		}
		for _, r := range charts {
			if r.Wave != wave {
				continue
			}
			if err := b.WaitReady(ctx, r.Release); err != nil {
				return err
			}
			c, err := b.Get(ctx, r.Release)
			if err != nil {
				return err
			}
			objects += int(c.Status.Objects)
		}
	}
	if err := b.Settle(ctx); err != nil {
		return err
	}
	fmt.Printf("%d charts are installed, %d objects\n", len(charts), objects)
	return nil
}
