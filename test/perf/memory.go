package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testbed"
)

// What the operator may hold: with a full stack, and how much more in a large cluster.
const (
	settledTarget = 100 << 20
	peakTarget    = 160 << 20
	growthTarget  = 1.10
)

type memoryOptions struct {
	objects, nodes int
	rest           time.Duration
}

func memoryCommand() *cobra.Command {
	o := memoryOptions{objects: 25000, nodes: 1000, rest: time.Minute}
	cmd := measurement("memory", "Measures the resident size of the operator, in a small and in a large cluster",
		o.run)
	cmd.Flags().IntVar(&o.objects, "objects", o.objects, "how many ConfigMaps, and as many Secrets, the large cluster has that are none of the operator's")
	cmd.Flags().IntVar(&o.nodes, "nodes", o.nodes, "how many nodes the large cluster has")
	cmd.Flags().DurationVar(&o.rest, "rest", o.rest, "how long the operator is left alone before its settled size is taken")
	return cmd
}

func (o *memoryOptions) run(ctx context.Context) (missed bool, err error) {
	b, err := bed(ctx, controlplane.Options{PodCIDRs: manyNodes}, nil)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, b.Stop()) }()
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"operator", "settled", "of it anonymous", "peak"})
	defer t.Render()
	take := func(what string) (testbed.Memory, error) {
		if err := b.Pause(ctx, o.rest); err != nil {
			return testbed.Memory{}, err
		}
		m, err := b.Memory()
		t.AppendRow(table.Row{what, testbed.MiB(m.Resident), testbed.MiB(m.Anonymous), testbed.MiB(m.Peak)})
		return m, err
	}
	installed, err := take("after installing the full stack")
	if err != nil {
		return false, err
	}
	small, err := o.restart(ctx, b, take, "started anew, 3 nodes")
	if err != nil {
		return false, err
	}
	fmt.Printf("making the cluster a large one: %d ConfigMaps, %d Secrets, %d nodes\n", o.objects, o.objects, o.nodes)
	// On a machine that is busy with that, the operator might lose its lease.
	if err := errors.Join(b.StopOperator(), o.enlarge(ctx, b)); err != nil {
		return false, err
	}
	large, err := o.restart(ctx, b, take, fmt.Sprintf("started anew, %d nodes and %d unrelated objects", o.nodes, 2*o.objects))
	if err != nil {
		return false, err
	}
	growth := float64(large.Resident) / float64(small.Resident)
	fmt.Printf("a large cluster costs %+.1f %%\ntarget: settled at most %s, peak at most %s, growth at most %.0f %%\n", 100*(growth-1),
		testbed.MiB(settledTarget), testbed.MiB(peakTarget), 100*(growthTarget-1))
	return installed.Resident > settledTarget || installed.Peak > peakTarget || growth > growthTarget, nil
}

func (o *memoryOptions) restart(ctx context.Context, b *testbed.Bed, take func(string) (testbed.Memory, error), what string) (
	testbed.Memory, error,
) {
	if err := errors.Join(b.StopOperator(), b.StartOperator()); err != nil {
		return testbed.Memory{}, err
	}
	if err := b.Settle(ctx); err != nil {
		return testbed.Memory{}, err
	}
	return take(what)
}

// enlarge makes objects that are none of the operator's, and nodes.
func (o *memoryOptions) enlarge(ctx context.Context, b *testbed.Bed) error {
	const (
		workers    = 16
		namespaces = 50
		size       = 512
	)
	for i := range namespaces {
		if err := b.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("team-%d", i)}}); err != nil {
			return err
		}
	}
	numbers := make(chan int)
	failures := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for n := range numbers {
				if failures[w] != nil {
					continue
				}
				meta := metav1.ObjectMeta{
					Namespace: fmt.Sprintf("team-%d", n%namespaces), Name: fmt.Sprintf("unrelated-%d", n),
					Labels: map[string]string{"app": "unrelated"},
				}
				var obj client.Object = &corev1.ConfigMap{ObjectMeta: meta, BinaryData: map[string][]byte{"data": make([]byte, size)}}
				if n%2 == 1 {
					obj = &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"data": make([]byte, size)}}
				}
				failures[w] = b.Client.Create(ctx, obj)
			}
		})
	}
	for n := range 2 * o.objects {
		numbers <- n
	}
	close(numbers)
	group.Wait()
	if i := slices.IndexFunc(failures, func(err error) bool { return err != nil }); i >= 0 {
		return failures[i]
	}
	return b.ControlPlane.AddNodes(ctx, o.nodes, controlplane.NodeOptions{MTU: 1500})
}
