package baseline

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/telemetry"
)

const (
	// countsPause is the least time between two wake-ups for mere numbers.
	countsPause = time.Minute
	// problemsPause is the same for what fails.
	problemsPause = 5 * time.Second
)

// Of somebody who keeps changing what is put right: that many times at once, then with waits that double, until there was peace.
const (
	patientFor = 20
	firstHold  = time.Second
	lastHold   = time.Minute
	peace      = 10 * time.Minute
)

// fight is with somebody who keeps changing what is put right in one place.
type fight struct {
	times int
	next  time.Time
	last  time.Time
}

// holdBack says how long to wait before a place is put right once more.
func (w *Writer) holdBack(i item, now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.fights[i]
	if f == nil || now.Sub(f.last) > peace {
		for other, old := range w.fights {
			if now.Sub(old.last) > peace {
				delete(w.fights, other)
			}
		}
		f = &fight{}
		w.fights[i] = f
	}
	if wait := f.next.Sub(now); wait > 0 {
		return wait
	}
	f.times++
	f.last = now
	if over := f.times - patientFor; over >= 0 {
		f.next = now.Add(min(firstHold<<min(over, 10), lastHold))
	}
	return 0
}

// corrects says whether what is decided puts right what somebody else has done: all was as it is wanted, and it is wanted as before.
func (w *Writer) corrects(i item, s situation, d decision) bool {
	if len(d.steps) == 0 || !s.known {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.places.of(i)
	return s.turn == w.places.turn && at.settled && at.covered && s.covered
}

// eventsPerMinute bounds what is told of single corrections, beside a burst at first.
const eventsPerMinute, eventsBurst = 10, 25

// teller tells of what has happened.
type teller struct {
	mu sync.Mutex
	// told is the last state that somebody was woken for, when, and next when that is to happen again.
	told     State
	at, next time.Time
	// limit is for events, and untold counts the corrections without one.
	limit  flowcontrol.RateLimiter
	untold int
}

// corrected tells that an object was put right.
func (w *Writer) corrected(i item, s situation, a action) {
	name := a.name
	if i != clusterItem {
		name = string(i) + "/" + name
	}
	what, done := "deleted, or its label removed", "made again"
	reason := networkstackv1alpha1.ReasonObjectRestored
	if a.was != nil {
		what, done, reason = "changed", "restored", networkstackv1alpha1.ReasonDriftCorrected
		if a.was.by != "" {
			what += " by " + a.was.by
		}
	}
	corrections.WithLabelValues(a.kind.gvk.Kind, reason).Inc()
	w.Log.Info("policy put right", "object", a.kind.gvk.Kind+" "+name, "what", what)
	stack := w.owner(s.wish.Stack)
	if stack == nil {
		return
	}
	w.teller.mu.Lock()
	if w.teller.limit == nil {
		w.teller.limit = flowcontrol.NewTokenBucketRateLimiter(eventsPerMinute/60., eventsBurst)
	}
	tell, untold := w.teller.limit.TryAccept(), w.teller.untold
	if w.teller.untold = 0; !tell {
		w.teller.untold = untold + 1
	}
	w.teller.mu.Unlock()
	if !tell {
		return
	}
	more := ""
	if untold > 0 {
		more = fmt.Sprintf(" (and %d others before it)", untold)
	}
	w.Recorder.Eventf(stack, nil, corev1.EventTypeWarning, reason, "Policies", "%s %s: %s; %s%s", a.kind.gvk.Kind, name, what, done, more)
}

// tell wakes whoever tells of the state: at once when something has turned, and now and then when numbers have changed.
func (w *Writer) tell() {
	now := w.State()
	w.teller.mu.Lock()
	was := w.teller.told
	pause := time.Duration(-1)
	turned := func(s State) State {
		s.Namespaces, s.Pending, s.Objects, s.Denying = 0, min(s.Pending, 1), min(s.Objects, 1), min(s.Denying, 1)
		s.Problem = ""
		return s
	}
	switch {
	case turned(was) != turned(now):
		pause = 0
	case was.Problem != now.Problem:
		pause = problemsPause
	case was != now:
		pause = countsPause
	}
	since := time.Since(w.teller.at)
	switch {
	case pause < 0:
	case pause <= since:
		w.teller.told, w.teller.at = now, time.Now()
		defer w.Wake()
	default:
		at := w.teller.at.Add(pause)
		if w.teller.next.After(time.Now()) && !at.Before(w.teller.next) {
			break
		}
		w.teller.next = at
		time.AfterFunc(pause-since, w.tell)
	}
	w.teller.mu.Unlock()
}

var (
	corrections = telemetry.PolicyCorrections.NewCounter()
	writes      = telemetry.PolicyWrites.NewCounter()
	metricsOf   = &gauges{
		namespaces: telemetry.PolicyNamespaces.Desc(), pending: telemetry.PolicyNamespacesPending.Desc(),
		objects: telemetry.PolicyObjects.Desc(), pulled: telemetry.PolicyPulled.Desc(),
	}
)

func init() { metrics.Registry.MustRegister(corrections, writes, metricsOf) }

func count(verb string) { writes.WithLabelValues(verb).Inc() }

// gauges are read from the writer when they are asked for.
type gauges struct {
	namespaces, pending, objects, pulled *prometheus.Desc

	mu     sync.Mutex
	writer *Writer
}

func (g *gauges) set(w *Writer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writer = w
}

// Describe says which metrics there are.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.namespaces, g.pending, g.objects, g.pulled} {
		ch <- d
	}
}

// Collect tells them.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	g.mu.Lock()
	writer := g.writer
	g.mu.Unlock()
	if writer == nil {
		return
	}
	s := writer.State()
	if !s.Known {
		return
	}
	pulled := 0
	if s.Pulled {
		pulled = 1
	}
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	gauge(g.namespaces, s.Namespaces)
	gauge(g.pending, s.Pending)
	gauge(g.objects, s.Objects-s.Denying, "allow")
	gauge(g.objects, s.Denying, "deny")
	gauge(g.pulled, pulled)
}
