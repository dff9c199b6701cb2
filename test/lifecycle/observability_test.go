package lifecycle

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
)

// TestObservability has monitors and dashboards of Weave Net, whose chart has none, come with their definition, be put right, and go.
func TestObservability(t *testing.T) {
	t.Parallel()
	e := newEnv(t, controlplane.Options{ServiceCIDRs: []string{"10.96.0.0/16"}, PodCIDRs: []string{"10.244.0.0/16"}})
	stack := smallStack(t)
	stack.Spec.IPFamilies, stack.Spec.IPPools = nil, nil
	stack.Spec.CNI = networkstackv1alpha1.CNISpec{Type: networkstackv1alpha1.CNIWeaveNet, WeaveNet: &networkstackv1alpha1.WeaveNetSpec{AcknowledgeLegacy: true}}
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	stack.Spec.KubeProxy = &networkstackv1alpha1.KubeProxySpec{Mode: networkstackv1alpha1.KubeProxyIPTables}
	stack.Spec.KubeProxy.Values = rawJSON(`{"metricsBindAddress":"0.0.0.0:10249"}`)
	stack.Spec.Observability = &networkstackv1alpha1.ObservabilitySpec{MonitorLabels: map[string]string{"release": "monitoring"}}
	e.apply(stack)
	s := e.waitReady(stack.Name)
	if !strings.Contains(toJSON(s.Status.Warnings), "MONITORS-ABSENT") {
		t.Errorf("nobody is told that there is no kind for monitors: %s", toJSON(s.Status.Warnings))
	}

	definition := serviceMonitors()
	e.check(e.client.Create(t.Context(), definition))
	e.componentAppears("observability")
	e.waitReady(stack.Name)
	monitors := &unstructured.UnstructuredList{}
	monitors.SetGroupVersionKind(schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitorList"})
	e.check(e.client.List(t.Context(), monitors, client.InNamespace("kube-system"), client.MatchingLabels{"release": "monitoring"}))
	var names []string
	for i := range monitors.Items {
		names = append(names, monitors.Items[i].GetName())
	}
	if !slices.Equal(names, []string{"coredns-metrics", "kube-proxy-metrics", "weave-net-agent-metrics", "weave-net-npc-metrics"}) {
		t.Errorf("ServiceMonitors: %v", names)
	}
	// The Services have what Prometheus is to find: the agents of three nodes.
	e.eventually("the agents' addresses", func(ctx context.Context) (bool, string) {
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSliceList"})
		e.check(e.client.List(ctx, &list, client.InNamespace("kube-system"), client.MatchingLabels{"kubernetes.io/service-name": "weave-net-agent-metrics"}))
		if len(list.Items) != 1 {
			return false, toJSON(list.Items)
		}
		endpoints, _, _ := unstructured.NestedSlice(list.Items[0].Object, "endpoints")
		return len(endpoints) == 3, toJSON(endpoints)
	})
	key := client.ObjectKey{Namespace: "monitoring", Name: "networkstack-dashboard-weave-net"}
	var dashboard corev1.ConfigMap
	e.check(e.client.Get(t.Context(), key, &dashboard))
	var board struct{ Panels []struct{ Title string } }
	if err := json.Unmarshal([]byte(dashboard.Data["networkstack-weave-net.json"]), &board); err != nil || len(board.Panels) < 8 {
		t.Errorf("dashboard: %v, %d panels", err, len(board.Panels))
	}
	if dashboard.Labels["grafana_dashboard"] != "1" {
		t.Errorf("labels: %v", dashboard.Labels)
	}
	e.patch(&corev1.ConfigMap{}, key, "grafana", `{"data":{"networkstack-weave-net.json":"{}"}}`)
	e.drifts("observability", 1)

	stack.Spec.Observability.Dashboards = networkstackv1alpha1.MonitorsDisabled
	e.apply(stack)
	e.gone(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}})
	stack.Spec.Observability = nil
	e.apply(stack)
	e.gone(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "weave-net-agent-metrics"}})
	e.gone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "monitoring"}})
	e.waitReady(stack.Name)
	e.check(e.client.List(t.Context(), monitors))
	if len(monitors.Items) > 0 {
		t.Errorf("ServiceMonitors are left: %s", toJSON(monitors.Items))
	}
}

// componentAppears waits for a component that is made when the cluster has changed.
func (e *env) componentAppears(name string) {
	e.t.Helper()
	e.eventually("component "+name, func(ctx context.Context) (bool, string) {
		var c networkstackv1alpha1.NetworkComponent
		err := e.client.Get(ctx, client.ObjectKey{Name: name}, &c)
		return err == nil, toJSON(err)
	})
}
