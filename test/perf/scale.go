package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
	"github.com/networkstack/networkstack/test/testbed"
	"github.com/networkstack/networkstack/test/testcharts"
)

// What a large cluster may cost beside a small one: the operator's requests are about components, not about nodes.
const (
	requestsPerNodeTarget = 1.0
	scaleGrowthTarget     = 1.5
)

// scaled is what a stack cost on so many nodes.
type scaled struct {
	stack         string
	nodes         int
	ready         time.Duration
	requests      int // from the stack's creation until the operator had nothing left to do
	writes        int
	memory        testbed.Memory
	idle, joining int
}

func (s scaled) perNode() float64 { return float64(s.requests) / float64(s.nodes) }

type scaleOptions struct {
	small, large int
	idle         time.Duration
}

func scaleCommand() *cobra.Command {
	o := scaleOptions{small: 10, large: 1000, idle: time.Minute}
	cmd := measurement("scale", "Measures two stacks on few and on many nodes: time to Ready, requests, memory",
		o.run)
	cmd.Flags().IntVar(&o.small, "small", o.small, "how many nodes the small cluster has")
	cmd.Flags().IntVar(&o.large, "nodes", o.large, "how many nodes the large cluster has")
	cmd.Flags().DurationVar(&o.idle, "idle", o.idle, "how long the operator is left alone once the stack is Ready")
	return cmd
}

func (o *scaleOptions) run(ctx context.Context) (missed bool, err error) {
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"stack", "nodes", "Ready after", "requests", "of them writes", "per node", "idle", "a node joins",
		"memory settled", "peak"})
	defer t.Render()
	for _, sample := range []string{"networkstack_multus.yaml", "networkstack_cilium.yaml"} {
		stack, err := scaleStack(sample)
		if err != nil {
			return false, err
		}
		var both [2]scaled
		for i, nodes := range []int{o.small, o.large} {
			s, err := o.measure(ctx, stack, nodes)
			if errors.Is(err, errNoChart) {
				fmt.Println(err)
				break
			}
			if err != nil {
				return false, fmt.Errorf("%s on %d nodes: %w", s.stack, nodes, err)
			}
			both[i] = s
			t.AppendRow(table.Row{s.stack, s.nodes, s.ready.Round(100 * time.Millisecond), s.requests, s.writes,
				fmt.Sprintf("%.2f", s.perNode()), s.idle, s.joining, testbed.MiB(s.memory.Resident), testbed.MiB(s.memory.Peak)})
		}
		small, large := both[0], both[1]
		if large.nodes == 0 {
			continue
		}
		memory := float64(large.memory.Resident) / float64(small.memory.Resident)
		t.AppendRow(table.Row{"", "ratio", ratio(large.ready.Seconds(), small.ready.Seconds()), ratio(large.requests, small.requests),
			ratio(large.writes, small.writes), "", "", "", fmt.Sprintf("%.2f", memory), ratio(large.memory.Peak, small.memory.Peak)})
		t.AppendSeparator()
		missed = missed || large.perNode() > requestsPerNodeTarget || memory > scaleGrowthTarget || large.idle > 0
	}
	fmt.Printf("idle: requests in %s, without the leader lease\ntarget: at most %.0f request for each node of %d, memory at most %.1f times that of %d nodes, idle without requests\n",
		o.idle, requestsPerNodeTarget, o.large, scaleGrowthTarget, o.small)
	return missed, nil
}

func ratio[N int | int64 | float64](a, b N) string { return fmt.Sprintf("%.2f", float64(a)/float64(b)) }

// errNoChart says that upstream's archive is not there, so that a stack cannot be measured.
var errNoChart = errors.New("not measured")

// scaleStack is a sample whose pool has room for the nodes of a large cluster.
func scaleStack(sample string) (*networkstackv1alpha1.NetworkStack, error) {
	stack, err := operator.Sample(sample)
	if err != nil {
		return nil, err
	}
	stack.Spec.IPPools[0].CIDRs = manyNodes
	return stack, nil
}

func (o *scaleOptions) measure(ctx context.Context, stack *networkstackv1alpha1.NetworkStack, nodes int) (s scaled, err error) {
	s = scaled{stack: string(stack.Spec.CNI.Type), nodes: nodes}
	dir, err := testcharts.CacheDir()
	if err != nil {
		return s, err
	}
	if stack.Spec.CNI.Type == networkstackv1alpha1.CNICilium {
		if _, missing, err := testbed.Available([]testcharts.Real{{Name: "cilium", Version: "1.20.0"}}); err != nil || len(missing) > 0 {
			return s, errors.Join(err, fmt.Errorf("%s is %w: %v is not in the chart cache", s.stack, errNoChart, missing))
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return s, err
	}
	fmt.Printf("%s on %d nodes\n", s.stack, nodes)
	b, err := testbed.Start(ctx, testbed.Options{
		ControlPlane: controlplane.Options{PodCIDRs: manyNodes, Nodes: nodes, Node: controlplane.NodeOptions{MTU: 1500}},
		Args:         []string{"--charts", dir},
	})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, b.Stop()) }()
	if err := b.Settle(ctx); err != nil {
		return s, err
	}
	from := time.Now()
	if err := operator.ApplyStack(ctx, b.Client, stack); err != nil {
		return s, err
	}
	if err := waitStackReady(ctx, b, stack.Name); err != nil {
		return s, err
	}
	s.ready = time.Since(from)
	if s.requests, s.writes, err = settled(ctx, b, from); err != nil {
		return s, err
	}
	from = time.Now()
	if err := b.Pause(ctx, o.idle); err != nil {
		return s, err
	}
	if s.idle, _, err = count(ctx, b, from); err != nil {
		return s, err
	}
	if s.memory, err = b.Memory(); err != nil {
		return s, err
	}
	from = time.Now()
	if err := b.ControlPlane.AddNodes(ctx, 1, controlplane.NodeOptions{MTU: 1500}); err != nil {
		return s, err
	}
	s.joining, _, err = settled(ctx, b, from)
	return s, err
}

func waitStackReady(ctx context.Context, b *testbed.Bed, name string) error {
	return b.Eventually(ctx, "the stack to be Ready", func(ctx context.Context) (bool, string, error) {
		var stack networkstackv1alpha1.NetworkStack
		if err := b.Client.Get(ctx, client.ObjectKey{Name: name}, &stack); err != nil {
			return false, "", err
		}
		c := meta.FindStatusCondition(stack.Status.Conditions, networkstackv1alpha1.ConditionReady)
		if c == nil {
			return false, "no condition", nil
		}
		return c.Status == "True" && c.ObservedGeneration == stack.Generation, c.Message, nil
	})
}

// settled waits until the operator has nothing left to do, and counts its requests until then.
func settled(ctx context.Context, b *testbed.Bed, from time.Time) (requests, writes int, err error) {
	if err := b.Settle(ctx); err != nil {
		return 0, 0, err
	}
	return count(ctx, b, from)
}

// count counts the operator's requests since a moment; watches that are opened again when the API server ends them are
// not counted.
func count(ctx context.Context, b *testbed.Bed, from time.Time) (requests, writes int, err error) {
	events, err := b.Requests(ctx, from)
	for _, e := range events {
		if e.Verb == "watch" {
			continue
		}
		requests++
		if testbed.IsWrite(e) {
			writes++
		}
	}
	return requests, writes, err
}
