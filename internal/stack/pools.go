package stack

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/pools"
	"github.com/networkstack/networkstack/internal/status"
	"github.com/networkstack/networkstack/internal/telemetry"
)

// poolsPause is how long numbers of pools wait to be written, unless there is something else to write or less room.
const poolsPause = time.Minute

// Wakes has every stack reconciled soon.
type Wakes chan event.GenericEvent

// NewWakes makes Wakes.
func NewWakes() Wakes { return make(Wakes, 1) }

// Wake never blocks: one wake-up that waits to be delivered is as good as two.
func (w Wakes) Wake() {
	select {
	case w <- event.GenericEvent{Object: &networkstackv1alpha1.NetworkStack{}}:
	default:
	}
}

// poolsSeen is what is known of the pools in one pass.
type poolsSeen struct {
	// known says that usage is what there is, and not merely nothing yet.
	known  bool
	usage  []pools.Usage
	wayOut string
	// unknown says why it is not known how much room there is, if it is not.
	unknown string
}

// lookAtPools finds out what is given out of the pools that are installed. The composition reads it as well.
func (r *Reconciler) lookAtPools(in compose.Input) poolsSeen {
	installed := compose.PoolsOf(in)
	var watched facts.Allocations
	if r.Allocations != nil {
		watched = r.Allocations.Of(installed.Source)
	}
	if installed.Source == facts.AllocationsOfNodes {
		watched = facts.AllocationsIn(in.Facts.Nodes)
	}
	in.Facts.Allocations = watched
	if installed.FromBooks {
		installed.Pools = pools.Found(watched.List)
	}
	seen := poolsSeen{wayOut: installed.WayOut, unknown: installed.Unknown}
	switch {
	case installed.Source == facts.AllocationsNowhere, watched.Absent && installed.FromBooks:
		seen.known = true
	default:
		seen.known, seen.usage = watched.Known, pools.Count(installed.Pools, watched.List)
	}
	return seen
}

// settlePools puts what is known of the pools into a status that is otherwise finished, and says what is to be told when it is
// written. Mere numbers wait until the last ones are poolsPause old: wait is how long.
func settlePools(
	s *scope, latest, wanted *networkstackv1alpha1.NetworkStackStatus, written, now time.Time,
) (tell []pools.Event, wait time.Duration, err error) {
	if !s.pools.known {
		return nil, 0, nil
	}
	v := pools.Update(latest.IPPools, s.pools.usage, now)
	if v.Changed && !v.Urgent {
		alone, err := status.Same(latest, wanted)
		if err != nil {
			return nil, 0, err
		}
		if left := poolsPause - now.Sub(written); alone && left > 0 {
			return nil, left, nil
		}
	}
	wanted.IPPools = v.Status
	set := func(state metav1.ConditionStatus, reason, message string) {
		status.Set(&wanted.Conditions, s.stack.Generation, networkstackv1alpha1.ConditionPoolsSufficient, state, reason, message)
	}
	switch v.State {
	case networkstackv1alpha1.PoolSufficient:
		set(metav1.ConditionTrue, networkstackv1alpha1.ReasonPoolsSufficient, "every address pool has room")
	case networkstackv1alpha1.PoolNearlyExhausted, networkstackv1alpha1.PoolCritical:
		set(metav1.ConditionFalse, networkstackv1alpha1.ReasonPoolsNearlyExhausted, v.Message+": "+s.pools.wayOut)
	case networkstackv1alpha1.PoolExhausted:
		set(metav1.ConditionFalse, networkstackv1alpha1.ReasonPoolsExhausted, v.Message+": "+s.pools.wayOut)
	default:
		if s.pools.unknown == "" {
			status.Clear(&wanted.Conditions, networkstackv1alpha1.ConditionPoolsSufficient)
			break
		}
		set(metav1.ConditionUnknown, networkstackv1alpha1.ReasonPoolsUnknown, s.pools.unknown)
	}
	return v.Events, v.LookAgain, nil
}

// announcePools makes the events of pools that have come to another state.
func (r *Reconciler) announcePools(s *scope, tell []pools.Event) {
	for _, e := range tell {
		kind, text := "Normal", e.Message
		if e.Warning {
			kind, text = "Warning", fmt.Sprintf("%s: %s", e.Message, s.pools.wayOut)
		}
		r.event(s.stack, kind, e.Reason, "Watch", "%s", text)
	}
}

// sooner is the shorter of two waits; 0 is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// poolGauges are the metrics of pools.
type poolGauges struct {
	capacity, allocated *prometheus.Desc

	mu    sync.Mutex
	usage []pools.Usage
}

var gauges = &poolGauges{capacity: telemetry.PoolCapacity.Desc(), allocated: telemetry.PoolAllocated.Desc()}

func init() { metrics.Registry.MustRegister(gauges) }

// set replaces the pools that are told of.
func (g *poolGauges) set(usage []pools.Usage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.usage = usage
}

// Describe says which metrics there are.
func (g *poolGauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- g.capacity
	ch <- g.allocated
}

// Collect tells them. A capacity that is not known is left out.
func (g *poolGauges) Collect(ch chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, u := range g.usage {
		labels := []string{u.Name, string(u.Family), string(u.Unit)}
		if u.Capacity > 0 {
			ch <- prometheus.MustNewConstMetric(g.capacity, prometheus.GaugeValue, float64(u.Capacity), labels...)
		}
		ch <- prometheus.MustNewConstMetric(g.allocated, prometheus.GaugeValue, float64(u.Allocated), labels...)
	}
}
