package webhook

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// What became of a review.
const (
	resultAllowed  = "Allowed"
	resultDenied   = "Denied"
	resultKnown    = "AlreadyRefused"
	resultUnjudged = "NotJudged"
)

var (
	reviews = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "networkstack_webhook_reviews_total",
		Help: "NetworkStacks that the webhook was asked about, by what became of them.",
	}, []string{"operation", "result"})
	expiry = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "networkstack_webhook_certificate_expiry_timestamp_seconds",
		Help: "When the certificate expires that the webhook serves with.",
	})
)

func init() { metrics.Registry.MustRegister(reviews, expiry) }
