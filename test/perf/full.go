package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/fullstack"
	"github.com/networkstack/networkstack/test/operator"
	"github.com/networkstack/networkstack/test/testbed"
)

type fullOptions struct {
	nodes []int
	idle  time.Duration
}

func fullCommand() *cobra.Command {
	o := fullOptions{nodes: []int{3, 500}, idle: 10 * time.Minute}
	cmd := measurement("full", "Measures everything in one object: time to Ready, and what the operator asks for afterwards", o.run)
	cmd.Flags().IntSliceVar(&o.nodes, "nodes", o.nodes, "how many nodes the clusters have, one after the other")
	cmd.Flags().DurationVar(&o.idle, "idle", o.idle, "how long the operator is left alone once everything is Ready")
	return cmd
}

func (o *fullOptions) run(ctx context.Context) (missed bool, err error) {
	dir, missing, err := fullstack.Missing()
	if err != nil {
		return false, err
	}
	if len(missing) > 0 {
		fmt.Printf("not measured: upstream's chart archives %v are not in %s\n", missing, dir)
		return false, nil
	}
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"nodes", "network Ready after", "all Ready after", "requests", "of them writes", "idle writes", "idle reads",
		"memory settled", "peak"})
	defer t.Render()
	for _, nodes := range o.nodes {
		f, err := o.measure(ctx, nodes, dir)
		if err != nil {
			return false, fmt.Errorf("%d nodes: %w", nodes, err)
		}
		t.AppendRow(table.Row{nodes, f.network.Round(100 * time.Millisecond), f.ready.Round(100 * time.Millisecond),
			f.requests, f.writes, f.idleWrites, f.idleRequests - f.idleWrites, testbed.MiB(f.memory.Resident), testbed.MiB(f.memory.Peak)})
		missed = missed || f.idleWrites > 0
	}
	fmt.Printf("idle: in %s, without the leader lease\ntarget: idle without writes\n", o.idle)
	return missed, nil
}

// fullCost is what the full stack cost.
type fullCost struct {
	network, ready           time.Duration
	requests, writes         int
	idleRequests, idleWrites int
	memory                   testbed.Memory
}

func (o *fullOptions) measure(ctx context.Context, nodes int, dir string) (f fullCost, err error) {
	stack, err := fullstack.Stack()
	if err != nil {
		return f, err
	}
	stack.Spec.IPPools[0].CIDRs = manyNodes
	fmt.Printf("%d components on %d nodes\n", len(fullstack.Components), nodes)
	b, err := testbed.Start(ctx, testbed.Options{
		ControlPlane: controlplane.Options{PodCIDRs: manyNodes, Nodes: nodes, Node: controlplane.NodeOptions{MTU: 1500}},
		Args:         []string{"--charts", dir},
	})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, b.Stop()) }()
	if err := b.Settle(ctx); err != nil {
		return f, err
	}
	player := fullstack.Play(ctx, b.Client)
	defer func() { err = errors.Join(err, player.Stop()) }()
	from := time.Now()
	if err := operator.ApplyStack(ctx, b.Client, stack); err != nil {
		return f, err
	}
	if err := b.WaitReady(ctx, "cilium"); err != nil {
		return f, err
	}
	f.network = time.Since(from)
	err = b.Eventually(ctx, "everything to be Ready", func(ctx context.Context) (bool, string, error) {
		return fullstack.Ready(ctx, b.Client, stack.Name)
	})
	if err != nil {
		return f, err
	}
	f.ready = time.Since(from)
	if f.requests, f.writes, err = settled(ctx, b, from); err != nil {
		return f, err
	}
	from = time.Now()
	if err := b.Pause(ctx, o.idle); err != nil {
		return f, err
	}
	if f.idleRequests, f.idleWrites, err = count(ctx, b, from); err != nil {
		return f, err
	}
	if err := tell(ctx, b, from); err != nil {
		return f, err
	}
	f.memory, err = b.Memory()
	return f, err
}

// tell says which requests there were since a moment, for an operator that should have made none.
func tell(ctx context.Context, b *testbed.Bed, from time.Time) error {
	events, err := b.Requests(ctx, from)
	for _, e := range events {
		if e.Verb != "watch" {
			fmt.Printf("  after %s: %s\n", e.Time.Sub(from).Round(100*time.Millisecond), testbed.What(e))
		}
	}
	return err
}
