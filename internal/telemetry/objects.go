package telemetry

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

var (
	buildInfo = BuildInfo.NewGauge()
	objects   = &collector{}
)

func init() { metrics.Registry.MustRegister(buildInfo, objects) }

// Setup tells the version, and what is known of objects from when this operator leads until it ends.
func Setup(mgr ctrl.Manager, version string) error {
	buildInfo.WithLabelValues(version, runtime.Version()).Set(1)
	if err := mgr.Add(leading{mgr.GetClient()}); err != nil {
		return fmt.Errorf("setting up metrics: %w", err)
	}
	return nil
}

// leading is run by the manager on the leader alone.
type leading struct{ reader client.Reader }

// Start returns when ctx ends.
func (l leading) Start(ctx context.Context) error {
	objects.readFrom(l.reader)
	<-ctx.Done()
	objects.readFrom(nil)
	return nil
}

// listTimeout bounds the reading of objects for a scrape; they come from memory.
const listTimeout = 5 * time.Second

// collector reads the objects when it is asked.
type collector struct {
	mu     sync.Mutex
	reader client.Reader
}

func (c *collector) readFrom(reader client.Reader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reader = reader
}

var (
	stackCondition     = StackCondition.Desc()
	stackSuspended     = StackSuspended.Desc()
	componentCondition = ComponentCondition.Desc()
	componentInfo      = ComponentInfo.Desc()
	failedAttempts     = ComponentFailedAttempts.Desc()
	componentPods      = ComponentPods.Desc()
	expiration         = CertificateExpiration.Desc()
	renewal            = CertificateRenewal.Desc()
)

// Describe says which metrics there are.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		stackCondition, stackSuspended, componentCondition, componentInfo, failedAttempts, componentPods, expiration, renewal,
	} {
		ch <- d
	}
}

// Collect tells them. What cannot be listed makes the scrape fail rather than look as if there were nothing.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	reader := c.reader
	c.mu.Unlock()
	if reader == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	var stacks networkstackv1alpha1.NetworkStackList
	if err := reader.List(ctx, &stacks, client.UnsafeDisableDeepCopy); err != nil {
		ch <- prometheus.NewInvalidMetric(stackCondition, err)
	}
	for i := range stacks.Items {
		s := &stacks.Items[i]
		conditions(ch, stackCondition, s.Name, s.Status.Conditions)
		suspended := 0.0
		if s.Spec.Suspend {
			suspended = 1
		}
		gauge(ch, stackSuspended, suspended, s.Name)
	}
	var components networkstackv1alpha1.NetworkComponentList
	if err := reader.List(ctx, &components, client.UnsafeDisableDeepCopy); err != nil {
		ch <- prometheus.NewInvalidMetric(componentCondition, err)
	}
	for i := range components.Items {
		ofComponent(ch, &components.Items[i])
	}
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func conditions(ch chan<- prometheus.Metric, d *prometheus.Desc, name string, all []metav1.Condition) {
	for i := range all {
		for _, s := range []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown} {
			v := 0.0
			if all[i].Status == s {
				v = 1
			}
			gauge(ch, d, v, name, all[i].Type, string(s))
		}
	}
}

func ofComponent(ch chan<- prometheus.Metric, c *networkstackv1alpha1.NetworkComponent) {
	conditions(ch, componentCondition, c.Name, c.Status.Conditions)
	version := ""
	if c.Status.Release != nil {
		version = c.Status.Release.ChartVersion
	}
	gauge(ch, componentInfo, 1, c.Name, c.Spec.Type, c.Spec.Chart.Name, version)
	gauge(ch, failedAttempts, float64(c.Status.Failures), c.Name)
	if r := c.Status.Rollout; r != nil {
		gauge(ch, componentPods, float64(r.Desired), c.Name, "desired")
		gauge(ch, componentPods, float64(r.Updated), c.Name, "updated")
		gauge(ch, componentPods, float64(r.Available), c.Name, "available")
	}
	for _, cert := range c.Status.Certificates {
		if cert.NotAfter == nil {
			continue
		}
		by := "external"
		if cert.RenewAt != nil {
			by = "operator"
			gauge(ch, renewal, float64(cert.RenewAt.Unix()), c.Name, cert.SecretName)
		}
		gauge(ch, expiration, float64(cert.NotAfter.Unix()), c.Name, cert.SecretName, by)
	}
}
