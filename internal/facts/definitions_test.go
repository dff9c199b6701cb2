package facts

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func definition(name string) *metav1.PartialObjectMetadata {
	d := Definition()
	d.Name = name
	return d
}

// TestDiscoverMonitors finds the kinds of Prometheus' operator by their definitions.
func TestDiscoverMonitors(t *testing.T) {
	going := definition(ServiceMonitors)
	going.DeletionTimestamp, going.Finalizers = &metav1.Time{Time: time.Now()}, []string{"customresourcecleanup.apiextensions.k8s.io"}
	for _, tc := range []struct {
		name    string
		objects []client.Object
		want    []string
	}{
		{"none", nil, nil},
		{"another", []client.Object{definition("prometheuses.monitoring.coreos.com")}, nil},
		{"one", []client.Object{definition(PodMonitors)}, []string{"PodMonitor"}},
		{"both", []client.Object{definition(PodMonitors), definition(ServiceMonitors)}, []string{"ServiceMonitor", "PodMonitor"}},
		{"about to go", []client.Object{going}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Report(discover(t, tc.objects...)).Monitors); diff != "" {
				t.Error(diff)
			}
		})
	}
	// Not knowing is not the same as knowing that there are none.
	for _, name := range []string{ServiceMonitors, PodMonitors} {
		d := discoverer()
		d.Reader = interceptor.NewClient(d.Reader.(client.WithWatch), interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
				if key.Name == name {
					return errors.New("away")
				}
				return c.Get(ctx, key, o, options...)
			},
		})
		if _, err := d.Discover(t.Context()); err == nil || !strings.Contains(err.Error(), "away") {
			t.Errorf("%s cannot be read: %v", name, err)
		}
	}
}

// TestCountPolicies counts, and Discover does not.
func TestCountPolicies(t *testing.T) {
	d := discoverer(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "x"}}, &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "x"}})
	if n, err := d.CountPolicies(t.Context()); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if s, err := d.Discover(t.Context()); err != nil || s.NetworkPolicies != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestDiscoverPlacement reads of nodes what decides about pods of a DaemonSet.
func TestDiscoverPlacement(t *testing.T) {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"pool": "gpu"}}}
	n.Spec.Taints = []corev1.Taint{
		{Key: "node.kubernetes.io/not-ready", Effect: corev1.TaintEffectNoSchedule}, {Key: "dedicated", Value: "db", Effect: corev1.TaintEffectNoExecute},
		{Key: "node.kubernetes.io/unschedulable", Effect: corev1.TaintEffectNoSchedule},
	}
	got := discover(t, n).Nodes[0]
	if diff := cmp.Diff(map[string]string{"pool": "gpu"}, got.Labels); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]corev1.Taint{{Key: "dedicated", Value: "db", Effect: corev1.TaintEffectNoExecute}}, got.Taints); diff != "" {
		t.Error(diff)
	}
	if len(n.Spec.Taints) != 3 {
		t.Error("the node itself was changed")
	}
}
