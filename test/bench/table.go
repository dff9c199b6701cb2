package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

// The two sides, as the table names them.
const (
	ours  = "NetworkStack"
	helms = "Helm SDK"
)

// results holds the measurements in the order in which they first came.
type results struct {
	order []string
	times map[string]map[string][]time.Duration
	calls map[string]map[string][]int64
}

func (r *results) add(s subject, step, side string, took time.Duration, requests int64) {
	if r.times == nil {
		r.times, r.calls = map[string]map[string][]time.Duration{}, map[string]map[string][]int64{}
	}
	key := fmt.Sprintf("%s %s: %s", s.name, s.versions(), step)
	if r.times[key] == nil {
		r.order = append(r.order, key)
		r.times[key], r.calls[key] = map[string][]time.Duration{}, map[string][]int64{}
	}
	r.times[key][side] = append(r.times[key][side], took)
	r.calls[key][side] = append(r.calls[key][side], requests)
}

// print shows the medians of both sides and their ratios; below 1 the engine is better.
func (b *bench) print(out io.Writer) {
	t := table.NewWriter()
	t.SetOutputMirror(out)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"step", ours, helms, "ratio", "requests", "Helm's", "ratio"})
	for _, key := range b.results.order {
		times, calls := b.results.times[key], b.results.calls[key]
		our, helm := median(times[ours]), median(times[helms])
		ourCalls, helmCalls := median(calls[ours]), median(calls[helms])
		t.AppendRow(table.Row{
			key, our.Round(time.Millisecond), helm.Round(time.Millisecond), ratio(float64(our), float64(helm)),
			ourCalls, helmCalls, ratio(float64(ourCalls), float64(helmCalls)),
		})
	}
	fmt.Fprintf(out, "\nMedians, by turns on one control plane; %d CPUs.\n", runtime.NumCPU())
	t.Render()
}

func ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}

func median[T int64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
