package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testbed"
)

// readsTarget is how many reads a minute an idle operator may make.
const readsTarget = 2

func idleCommand() *cobra.Command {
	window := 10 * time.Minute
	cmd := measurement("idle", "Counts what the operator asks of the API server with nothing to do",
		func(ctx context.Context) (bool, error) { return idle(ctx, window) })
	cmd.Flags().DurationVar(&window, "for", window, "how long")
	return cmd
}

func idle(ctx context.Context, window time.Duration) (missed bool, err error) {
	b, err := bed(ctx, controlplane.Options{}, nil)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, b.Stop()) }()
	fmt.Printf("watching it for %s\n", window)
	from := time.Now()
	if err := b.Pause(ctx, window); err != nil {
		return false, err
	}
	requests, err := b.Requests(ctx, from)
	if err != nil {
		return false, err
	}
	writes, reads, watches := map[string]int{}, map[string]int{}, 0
	for _, e := range requests {
		switch {
		case testbed.IsWrite(e):
			writes[testbed.What(e)]++
		case e.Verb == "watch":
			watches++
		default:
			reads[testbed.What(e)]++
		}
	}
	perMinute := float64(sum(reads)) / window.Minutes()
	fmt.Printf("%d writes, %d reads (%.1f a minute), %d watches opened again; the leader lease is not counted\n", sum(writes), sum(reads), perMinute, watches)
	for _, counts := range []map[string]int{writes, reads} {
		for _, what := range slices.Sorted(maps.Keys(counts)) {
			fmt.Printf("  %4d %s\n", counts[what], what)
		}
	}
	fmt.Printf("target: no writes, at most %d reads a minute\n", readsTarget)
	return len(writes) > 0 || perMinute > readsTarget, nil
}

func sum(counts map[string]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}
