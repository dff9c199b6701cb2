// Package telemetry has what the operator tells Prometheus: the definition of every metric of its own, and those that are read
// from the objects' status. docs/metrics.md is generated from the definitions.
package telemetry

import (
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Type of a metric.
type Type string

// The types that there are.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Label of a metric.
type Label struct {
	Name string
	// Values says which there can be, and so why they are few.
	Values string
}

// Metric is the definition of one.
type Metric struct {
	Name   string
	Type   Type
	Help   string
	Labels []Label
	// Buckets of a histogram.
	Buckets []float64
}

func (m Metric) labels() []string {
	names := make([]string, 0, len(m.Labels))
	for _, l := range m.Labels {
		names = append(names, l.Name)
	}
	return names
}

// NewCounter makes the metric.
func (m Metric) NewCounter() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.labels())
}

// NewGauge makes the metric.
func (m Metric) NewGauge() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.Name, Help: m.Help}, m.labels())
}

// NewHistogram makes the metric.
func (m Metric) NewHistogram() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: m.Buckets}, m.labels())
}

// Desc is the metric for a collector of one's own.
func (m Metric) Desc() *prometheus.Desc { return prometheus.NewDesc(m.Name, m.Help, m.labels(), nil) }

// All metrics of the operator's own, ordered by name.
func All() []Metric {
	all := []Metric{
		BuildInfo, StackCondition, StackSuspended, ComponentCondition, ComponentInfo, ComponentFailedAttempts, ComponentPods,
		CertificateExpiration, CertificateRenewal, Operations, OperationDuration, Drifts, DriftCorrection, ContestedFields,
		PoolCapacity, PoolAllocated,
		PolicyNamespaces, PolicyNamespacesPending, PolicyObjects, PolicyPulled, PolicyCorrections, PolicyWrites,
		WebhookReviews, WebhookCertificateExpiration,
	}
	slices.SortFunc(all, func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Other stands for all values of a label beyond those that Few lets through.
const Other = "other"

// Few bounds the values of a label that others choose: the first so many are as they are, all others are Other.
type Few struct {
	mu   sync.Mutex
	most int
	seen map[string]bool
}

// NewFew bounds a label to so many values.
func NewFew(most int) *Few { return &Few{most: most, seen: map[string]bool{}} }

// Value is the value to use.
func (f *Few) Value(v string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.seen[v]:
	case len(f.seen) < f.most:
		f.seen[v] = true
	default:
		return Other
	}
	return v
}
