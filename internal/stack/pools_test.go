package stack

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/pools"
)

// flannelPool is a pool for 256 nodes of which so many have their range.
func flannelPool(allocated int64) poolsSeen {
	return poolsSeen{known: true, wayOut: "do something", usage: []pools.Usage{{Allocated: allocated, Capacity: 256, Pool: pools.Pool{
		Name: "default", Family: networkstackv1alpha1.IPv4, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")},
		Unit: networkstackv1alpha1.PoolNodeRanges, OnePerNode: true, Groups: []string{"IPv4"},
	}}}}
}

// TestSettlePools goes through the life of a pool; each step sees what the one before has written.
func TestSettlePools(t *testing.T) {
	var latest networkstackv1alpha1.NetworkStackStatus
	start := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	var written time.Time
	for _, step := range []struct {
		name  string
		after time.Duration
		seen  poolsSeen
		// other says that something else of the status changes.
		other bool
		// want is what is written: what is given out, and the condition; empty for no write.
		want   string
		wait   time.Duration
		events int
	}{
		{"nothing is known yet", 0, poolsSeen{}, false, "", 0, 0},
		{"for the first time", time.Second, flannelPool(3), false, "3 +PoolsSufficient: every address pool has room", 0, 0},
		{"nothing new", 2 * time.Second, flannelPool(3), false, "", 0, 0},
		{"one node more waits", 11 * time.Second, flannelPool(4), false, "", 50 * time.Second, 0},
		{"unless something else is written", 12 * time.Second, flannelPool(4), true, "4 +PoolsSufficient: every address pool has room", 0, 0},
		{"waits again", 13 * time.Second, flannelPool(5), false, "", 59 * time.Second, 0},
		{"has waited", 72 * time.Second, flannelPool(6), false, "6 +PoolsSufficient: every address pool has room", 0, 0},
		{"the operator starts anew", 73 * time.Second, poolsSeen{}, false, "", 0, 0},
		{"80 % do not wait", 74 * time.Second, flannelPool(205), false, "205 -NearlyExhausted: IPv4 pool default: 205 of 256 node ranges are given out (80 %), room for 51 more nodes: do something", 0, 1},
		{"not twice", 75 * time.Second, flannelPool(205), false, "", 0, 0},
		{"nor does the end", 76 * time.Second, flannelPool(256), false, "256 -Exhausted: IPv4 pool default: 256 of 256 node ranges are given out (100 %), nodes that need one get none, and their pods no address: do something", 0, 1},
		{"what gets better waits", 77 * time.Second, flannelPool(10), false, "", 59 * time.Second, 0},
		{"has waited, too", 137 * time.Second, flannelPool(10), false, "10 +PoolsSufficient: every address pool has room", 0, 1},
		{"no pools any more", 138 * time.Second, poolsSeen{known: true}, false, "- none", 0, 0},
		{"ranges of nobody knows what", 200 * time.Second, poolsSeen{known: true, unknown: "ask Amazon", usage: []pools.Usage{{Allocated: 2, Pool: pools.Pool{
			Name: "default", Family: networkstackv1alpha1.IPv4, Unit: networkstackv1alpha1.PoolNodeRanges, Groups: []string{"IPv4"},
		}}}}, false, "2 ?NotKnown: ask Amazon", 0, 0},
		{"is said once", 300 * time.Second, poolsSeen{known: true, unknown: "ask Amazon", usage: []pools.Usage{{Allocated: 2, Pool: pools.Pool{
			Name: "default", Family: networkstackv1alpha1.IPv4, Unit: networkstackv1alpha1.PoolNodeRanges, Groups: []string{"IPv4"},
		}}}}, false, "", 0, 0},
	} {
		t.Run(step.name, func(t *testing.T) {
			now := start.Add(step.after)
			wanted := latest.DeepCopy()
			if step.other {
				wanted.Warnings = append(wanted.Warnings, "something")
			}
			tell, wait, err := settlePools(&scope{stack: stackOf(), pools: step.seen}, &latest, wanted, written, now)
			if err != nil || wait != step.wait || len(tell) != step.events {
				t.Errorf("events %v, wait %s, %v", tell, wait, err)
			}
			got := ""
			if diff := cmp.Diff(&latest, wanted); diff != "" {
				written, latest = now, *wanted
				got = "- none"
				if len(wanted.IPPools) > 0 {
					got = fmt.Sprint(wanted.IPPools[0].Allocated, " ", said(wanted.Conditions)[networkstackv1alpha1.ConditionPoolsSufficient])
				}
			}
			if got != step.want {
				t.Errorf("written: %s\nwant:    %s", got, step.want)
			}
			if meta.FindStatusCondition(wanted.Conditions, networkstackv1alpha1.ConditionReady) != nil {
				t.Error("Ready is none of its business")
			}
		})
	}
}

func TestPoolGauges(t *testing.T) {
	t.Cleanup(func() { gauges.set(nil) })
	unknown := flannelPool(7).usage[0]
	unknown.Name, unknown.Capacity = "unknown", 0
	gauges.set(append(flannelPool(3).usage, unknown))
	want := []string{
		"networkstack_ippool_allocated family=IPv4 pool=default unit=NodeRanges 3", "networkstack_ippool_allocated family=IPv4 pool=unknown unit=NodeRanges 7",
		"networkstack_ippool_capacity family=IPv4 pool=default unit=NodeRanges 256",
	}
	if diff := cmp.Diff(want, gathered(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	gauges.set(nil)
	if got := gathered(t); len(got) > 0 {
		t.Errorf("metrics of pools that are gone: %v", got)
	}
}

// gathered is what a scrape of the gauges finds, sorted.
func gathered(t *testing.T) []string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(gauges); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			text := f.GetName()
			for _, l := range m.GetLabel() {
				text += " " + l.GetName() + "=" + l.GetValue()
			}
			out = append(out, fmt.Sprint(text, " ", m.GetGauge().GetValue()))
		}
	}
	return out
}

func TestWakes(t *testing.T) {
	w := NewWakes()
	for range 10 {
		w.Wake() // nobody reads, and it returns all the same
	}
	<-w
	select {
	case <-w:
		t.Error("woken twice")
	default:
	}
}
