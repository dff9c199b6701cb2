package component

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/networkstack/networkstack/internal/telemetry"
)

var (
	operations = telemetry.Operations.NewCounter()
	durations  = telemetry.OperationDuration.NewHistogram()
)

func init() { metrics.Registry.MustRegister(operations, durations) }

// observe counts a job that has ended by itself.
func observe(component string, kind jobKind, took time.Duration, err error) {
	result := "success"
	switch {
	case err == nil:
	case classify(err).awaiting:
		result = "waiting"
	default:
		result = "failure"
	}
	operations.WithLabelValues(component, string(kind), result).Inc()
	durations.WithLabelValues(string(kind)).Observe(took.Seconds())
}

// uncount drops what was counted for a component that is gone.
func uncount(component string) {
	operations.DeletePartialMatch(prometheus.Labels{"component": component})
}
