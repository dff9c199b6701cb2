package drift

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/internal/telemetry"
)

// Response is what was done about a drift.
type Response int

// The responses.
const (
	// Corrected means that fields were put back.
	Corrected Response = iota
	// Restored means that a missing object was made again.
	Restored
	// Detected means that the drift was reported and left.
	Detected
	// Contested means that a field is left to whoever keeps putting it back.
	Contested
)

// responses is the one table of what is said about drift: the reason of events, of the status, and in metrics; the type of
// the event; and the end of the sentence.
var responses = map[Response]struct{ reason, eventType, outcome string }{
	Corrected: {networkstackv1alpha1.ReasonDriftCorrected, corev1.EventTypeWarning, "restored"},
	Restored:  {networkstackv1alpha1.ReasonObjectRestored, corev1.EventTypeWarning, "made again"},
	Detected:  {networkstackv1alpha1.ReasonDriftDetected, corev1.EventTypeWarning, "left as it is (drift mode Warn)"},
	Contested: {networkstackv1alpha1.ReasonDriftContested, corev1.EventTypeWarning, "left to it from now on: stop that writer, or name the field in spec.drift.ignore"},
}

// Reason of the response, for events, status and metrics.
func (r Response) Reason() string { return responses[r].reason }

// EventType of the response.
func (r Response) EventType() string { return responses[r].eventType }

// ResponseTo is what is done about a finding, given whether findings are only observed.
func ResponseTo(f release.Finding, observed bool) Response {
	switch {
	case observed:
		return Detected
	case f.Missing:
		return Restored
	}
	return Corrected
}

const (
	// shownFields bounds how many fields of an object the status lists.
	shownFields = 10
	// saidFields bounds how many fields an event names with their values.
	saidFields = 3
)

// Describe says in a sentence what was found and what was done about it.
func Describe(f release.Finding, r Response) string {
	if f.Missing {
		return fmt.Sprintf("%s: deleted by %s; %s", f.Object, f.Manager, responses[r].outcome)
	}
	var parts []string
	for i, c := range f.Fields {
		if i == saidFields {
			parts = append(parts, fmt.Sprintf("and %d more", len(f.Fields)-saidFields))
			break
		}
		by := ""
		if c.Manager != f.Manager {
			by = " by " + c.Manager
		}
		parts = append(parts, fmt.Sprintf("%s is %s instead of %s%s", c.Path, c.Found, c.Expected, by))
	}
	return fmt.Sprintf("%s: %s, changed by %s; %s", f.Object, strings.Join(parts, ", "), f.Manager, responses[r].outcome)
}

// DescribeContest says in a sentence that a field is given up.
func DescribeContest(c networkstackv1alpha1.ContestedField) string {
	return fmt.Sprintf("%s: %s was put back by %s, and corrected, %d times within %d minutes; %s",
		c.Object, c.Path, c.Manager, fightLimit, int(fightWindow.Minutes()), responses[Contested].outcome)
}

// Record is a finding as the status shows it.
func Record(f release.Finding, r Response, now time.Time) networkstackv1alpha1.Drift {
	at := metav1.NewTime(now.Truncate(time.Second))
	out := networkstackv1alpha1.Drift{Object: f.Object.String(), Reason: r.Reason(), Time: &at, Manager: f.Manager}
	if !f.Time.IsZero() {
		changed := metav1.NewTime(f.Time)
		out.ChangedAt = &changed
	}
	for i, c := range f.Fields {
		if i == shownFields {
			out.MoreFields = int32(len(f.Fields) - shownFields) //nolint:gosec // objects have no billions of fields
			break
		}
		out.Fields = append(out.Fields, networkstackv1alpha1.DriftField{
			Path: c.Path.String(), Expected: c.Expected, Found: c.Found, Manager: c.Manager})
	}
	return out
}

// parseObject reads "Kind namespace/name". No name of an object holds a slash.
func parseObject(text string) (kind, namespace, name string, ok bool) {
	kind, rest, ok := strings.Cut(text, " ")
	if !ok || kind == "" || rest == "" {
		return "", "", "", false
	}
	if namespace, name, ok := strings.Cut(rest, "/"); ok {
		return kind, namespace, name, true
	}
	return kind, "", rest, true
}

var (
	drifts     = telemetry.Drifts.NewCounter()
	correction = telemetry.DriftCorrection.NewHistogram()
	contested  = telemetry.ContestedFields.NewGauge()
)

func init() { metrics.Registry.MustRegister(drifts, correction, contested) }

// Count counts a drift.
func Count(component string, f release.Finding, r Response) {
	drifts.WithLabelValues(component, f.Object.GVK.Kind, r.Reason(), telemetry.Managers.Value(f.Manager)).Inc()
}

// ObserveCorrection notes how long a correction took since the difference was noticed.
func ObserveCorrection(component string, noticed time.Time) {
	if !noticed.IsZero() {
		correction.WithLabelValues(component).Observe(time.Since(noticed).Seconds())
	}
}

// CountContested notes how many fields of a component are contested.
func CountContested(component string, n int) { contested.WithLabelValues(component).Set(float64(n)) }

// Uncount drops what was counted for a component that is gone.
func Uncount(component string) {
	labels := prometheus.Labels{"component": component}
	drifts.DeletePartialMatch(labels)
	correction.DeletePartialMatch(labels)
	contested.DeletePartialMatch(labels)
}
