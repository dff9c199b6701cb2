package lifecycle

import (
	"context"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// changeAgents moves agents to some nodes and back, at another pace, with other resources and tolerations, and has them enforce
// policies.
func changeAgents(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	ctx := t.Context()
	key := client.ObjectKey{Namespace: "kube-flannel", Name: "kube-flannel-ds"}
	var before, ds appsv1.DaemonSet
	e.check(e.client.Get(ctx, key, &before))
	pace := intstr.FromInt32(2)
	notReady := corev1.Toleration{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}
	agents := &networkstackv1alpha1.AgentSettings{
		Resources:    &networkstackv1alpha1.AgentResources{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}},
		Tolerations:  []corev1.Toleration{notReady},
		NodeSelector: map[string]string{"example.com/pool": "a"}, MaxUnavailable: &pace,
	}
	stack.Spec.CNI.Agents, stack.Spec.CNI.NetworkPolicy = agents, networkstackv1alpha1.Enabled
	e.apply(stack)
	s := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if c := findCondition(s, networkstackv1alpha1.ConditionAccepted); !strings.Contains(c.Message, "AGENTS-NOWHERE") {
		t.Errorf("it is refused for: %s", c.Message)
	}
	// It is noticed that nodes are labelled.
	var nodes corev1.NodeList
	e.check(e.client.List(ctx, &nodes))
	for i := range nodes.Items[1:] {
		e.label(&nodes.Items[1+i], map[string]string{"example.com/pool": "a"})
	}
	s = e.waitReady(stack.Name)
	left := "1 of 3 Linux nodes (node " + nodes.Items[0].Name + ") gets no agent"
	if !slices.ContainsFunc(s.Status.Warnings, func(w string) bool { return strings.Contains(w, left) }) {
		t.Errorf("nothing warns that %s: %v", left, s.Status.Warnings)
	}
	e.check(e.client.Get(ctx, key, &ds))
	pod := ds.Spec.Template.Spec
	if ds.Status.DesiredNumberScheduled != 2 || ds.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable.String() != "2" || len(pod.Containers) != 2 ||
		len(pod.Tolerations) != 1 || pod.Tolerations[0] != notReady {
		t.Errorf("the agents are %s", toJSON(ds))
	}
	// The API server fills in the request by the limit; what the chart would ask for is gone.
	if got := toJSON(pod.Containers[0].Resources); got != `{"limits":{"memory":"64Mi"}}` && got != `{"limits":{"memory":"64Mi"},"requests":{"memory":"64Mi"}}` {
		t.Errorf("the agents ask for %s", got)
	}
	holdBackPolicies(t, e, stack)
	stack.Spec.CNI.Agents, stack.Spec.CNI.NetworkPolicy = nil, ""
	e.apply(stack)
	e.waitReady(stack.Name)
	policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "deny"}}
	e.check(e.client.Create(ctx, policy))
	ignored := func() bool {
		return slices.ContainsFunc(e.stack(stack.Name).Status.Warnings, func(w string) bool { return strings.Contains(w, "POLICY-IGNORED") })
	}
	e.eventually("it to be noticed that a policy has no effect", func(context.Context) (bool, string) { return ignored(), "" })
	e.check(e.client.Delete(ctx, policy))
	e.eventually("it to be noticed that the policy is gone", func(context.Context) (bool, string) { return !ignored(), "" })
	e.check(e.client.Get(ctx, key, &ds))
	if got, want := toJSON(ds.Spec.Template.Spec), toJSON(before.Spec.Template.Spec); got != want || toJSON(ds.Spec.UpdateStrategy) != toJSON(before.Spec.UpdateStrategy) {
		t.Errorf("the agents are %s %s, and were %s", got, toJSON(ds.Spec.UpdateStrategy), want)
	}
	for i := range nodes.Items {
		e.label(&nodes.Items[i], map[string]string{})
	}
}

// label gives a node the label of a pool, or takes it away.
func (e *env) label(n *corev1.Node, labels map[string]string) {
	e.t.Helper()
	patch := client.MergeFrom(n.DeepCopy())
	delete(n.Labels, "example.com/pool")
	for key, value := range labels {
		n.Labels[key] = value
	}
	e.check(e.client.Patch(e.t.Context(), n, patch))
}

// monitorsFollowDefinition has Cilium's ServiceMonitors come and go with their definition.
func (e *env) monitorsFollowDefinition(stack *networkstackv1alpha1.NetworkStack) {
	t := e.t
	t.Helper()
	setting := func(value string) {
		t.Helper()
		e.eventually("the ServiceMonitors to be "+value, func(context.Context) (bool, string) {
			for _, s := range e.stack(stack.Name).Status.Effective {
				if s.Setting == "spec.cni.metrics.serviceMonitors" {
					return s.Value == value, s.Value
				}
			}
			return false, "not derived"
		})
		e.waitReady(stack.Name)
	}
	stack.Spec.CNI.Metrics = &networkstackv1alpha1.MetricsSpec{ServiceMonitorLabels: map[string]string{"release": "prometheus"}}
	e.apply(stack)
	setting("Disabled")
	stack.Spec.CNI.Metrics.ServiceMonitors = networkstackv1alpha1.MonitorsEnabled
	e.apply(stack)
	s := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if c := findCondition(s, networkstackv1alpha1.ConditionAccepted); !strings.Contains(c.Message, "METRICS-MONITORS-UNDEFINED") {
		t.Errorf("it is refused for: %s", c.Message)
	}
	definition := serviceMonitors()
	e.check(e.client.Create(t.Context(), definition))
	e.waitReady(stack.Name)
	var monitors unstructured.UnstructuredList
	monitors.SetGroupVersionKind(schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitorList"})
	e.check(e.client.List(t.Context(), &monitors, client.MatchingLabels{networkstackv1alpha1.ComponentLabel: "cilium", "release": "prometheus"}))
	if len(monitors.Items) != 3 {
		t.Errorf("%d ServiceMonitors, want those of agents, operator and Envoy: %s", len(monitors.Items), toJSON(monitors.Items))
	}
	stack.Spec.CNI.Metrics.ServiceMonitors = networkstackv1alpha1.MonitorsAuto
	e.apply(stack)
	setting("Enabled")
	if found := e.stack(stack.Name).Status.Facts.Monitors; !slices.Equal(found, []string{"ServiceMonitor"}) {
		t.Errorf("status.facts.monitors is %v", found)
	}
	e.check(e.client.Delete(t.Context(), definition))
	setting("Disabled")
}

// serviceMonitors is a definition of the kind, as far as it matters here.
func serviceMonitors() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "servicemonitors.monitoring.coreos.com"},
		"spec": map[string]any{
			"group": "monitoring.coreos.com", "scope": "Namespaced",
			"names": map[string]any{"kind": "ServiceMonitor", "plural": "servicemonitors"},
			"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{
				"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
			}}},
		},
	}}
}
