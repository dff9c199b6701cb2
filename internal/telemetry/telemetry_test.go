package telemetry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// TestMetricsLint makes each metric as its definition has it, and asks Prometheus' own linter.
func TestMetricsLint(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	for _, m := range All() {
		values := make([]string, len(m.Labels))
		switch m.Type {
		case Counter:
			v := m.NewCounter()
			registry.MustRegister(v)
			v.WithLabelValues(values...).Inc()
		case Gauge:
			v := m.NewGauge()
			registry.MustRegister(v)
			v.WithLabelValues(values...).Set(1)
		case Histogram:
			if !slices.IsSorted(m.Buckets) || len(m.Buckets) < 5 {
				t.Errorf("%s has buckets %v", m.Name, m.Buckets)
			}
			v := m.NewHistogram()
			registry.MustRegister(v)
			v.WithLabelValues(values...).Observe(1)
		default:
			t.Errorf("%s has no type", m.Name)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != len(All()) {
		t.Errorf("%d families of %d metrics", len(families), len(All()))
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// reserved are labels that Prometheus or its operator set on what is scraped.
var reserved = []string{"job", "instance", "pod", "namespace", "container", "service", "endpoint", "le", "quantile"}

func TestMetricsHouseRules(t *testing.T) {
	t.Parallel()
	label := regexp.MustCompile(`^[a-z]+$`)
	for _, m := range All() {
		if !strings.HasPrefix(m.Name, "networkstack_") {
			t.Errorf("%s does not say whose it is", m.Name)
		}
		if !strings.HasSuffix(m.Help, ".") {
			t.Errorf("%s: %q is no sentence", m.Name, m.Help)
		}
		for _, l := range m.Labels {
			if !label.MatchString(l.Name) || slices.Contains(reserved, l.Name) || l.Values == "" {
				t.Errorf("%s has label %q with %q", m.Name, l.Name, l.Values)
			}
		}
	}
}

func TestFew(t *testing.T) {
	t.Parallel()
	few := NewFew(2)
	var got []string
	for _, v := range []string{"a", "b", "a", "c", "b", "d"} {
		got = append(got, few.Value(v))
	}
	if diff := cmp.Diff([]string{"a", "b", "a", Other, "b", Other}, got); diff != "" {
		t.Error(diff)
	}
}

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := networkstackv1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// gathered is what a scrape finds, a line each.
func gathered(t *testing.T, c prometheus.Collector) ([]string, error) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
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
	return out, err
}

func TestObjects(t *testing.T) {
	t.Parallel()
	expires := metav1.NewTime(time.Unix(2_000_000_000, 0))
	renew := metav1.NewTime(time.Unix(1_900_000_000, 0))
	stack := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}}
	stack.Spec.Suspend = true
	stack.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: metav1.ConditionUnknown}}
	fresh := &networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "fresh"}}
	fresh.Spec.Type, fresh.Spec.Chart.Name = "Addon", "some"
	cilium := &networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "cilium"}}
	cilium.Spec.Type, cilium.Spec.Chart.Name = "Cilium", "cilium"
	cilium.Status = networkstackv1alpha1.NetworkComponentStatus{
		Conditions: []metav1.Condition{{Type: "Ready", Status: metav1.ConditionTrue}},
		Release:    &networkstackv1alpha1.ReleaseStatus{ChartVersion: "1.2.3"},
		Rollout:    &networkstackv1alpha1.RolloutStatus{Desired: 5, Updated: 4, Available: 3},
		Failures:   2,
		Certificates: []networkstackv1alpha1.CertificateStatus{
			{SecretName: "ours", NotAfter: &expires, RenewAt: &renew}, {SecretName: "theirs", NotAfter: &expires}, {SecretName: "none"},
		},
	}
	c := &collector{}
	if got, err := gathered(t, c); err != nil || len(got) > 0 {
		t.Errorf("one that does not lead tells %v, %v", got, err)
	}
	c.readFrom(fake.NewClientBuilder().WithScheme(scheme(t)).WithObjects(stack, fresh, cilium).Build())
	got, err := gathered(t, c)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"networkstack_certificate_expiration_timestamp_seconds component=cilium renewal=external secret=theirs 2e+09",
		"networkstack_certificate_expiration_timestamp_seconds component=cilium renewal=operator secret=ours 2e+09",
		"networkstack_certificate_renewal_timestamp_seconds component=cilium secret=ours 1.9e+09",
		"networkstack_component_condition component=cilium status=False type=Ready 0",
		"networkstack_component_condition component=cilium status=True type=Ready 1",
		"networkstack_component_condition component=cilium status=Unknown type=Ready 0",
		"networkstack_component_failed_attempts component=cilium 2",
		"networkstack_component_failed_attempts component=fresh 0",
		"networkstack_component_info chart=cilium component=cilium type=Cilium version=1.2.3 1",
		"networkstack_component_info chart=some component=fresh type=Addon version= 1",
		"networkstack_component_pods component=cilium state=available 3",
		"networkstack_component_pods component=cilium state=desired 5",
		"networkstack_component_pods component=cilium state=updated 4",
		"networkstack_stack_condition stack=cluster status=False type=Ready 0",
		"networkstack_stack_condition stack=cluster status=True type=Ready 0",
		"networkstack_stack_condition stack=cluster status=Unknown type=Ready 1",
		"networkstack_stack_suspended stack=cluster 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestObjectsUnread wants a scrape to fail rather than to say that there is nothing.
func TestObjectsUnread(t *testing.T) {
	t.Parallel()
	c := &collector{}
	c.readFrom(fake.NewClientBuilder().WithScheme(scheme(t)).WithInterceptorFuncs(interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return errors.New("no")
		},
	}).Build())
	if _, err := gathered(t, c); err == nil {
		t.Error("no error")
	}
}
