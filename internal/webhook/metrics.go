package webhook

import (
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/networkstack/networkstack/internal/telemetry"
)

// What became of a review.
const (
	resultAllowed  = "Allowed"
	resultDenied   = "Denied"
	resultKnown    = "AlreadyRefused"
	resultUnjudged = "NotJudged"
)

var (
	reviews = telemetry.WebhookReviews.NewCounter()
	expiry  = telemetry.WebhookCertificateExpiration.NewGauge()
)

func init() { metrics.Registry.MustRegister(reviews, expiry) }
