package stack

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/facts"
)

// kubeProxyName is the name of kube-proxy's DaemonSet everywhere.
const kubeProxyName = "kube-proxy"

// comesOrGoes passes objects that are made or deleted.
func comesOrGoes() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }}
}

// addressChanged passes Services that come, go, or get an address.
func addressChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		o, ok1 := e.ObjectOld.(*corev1.Service)
		n, ok2 := e.ObjectNew.(*corev1.Service)
		return !ok1 || !ok2 || !slices.Equal(o.Spec.ClusterIPs, n.Spec.ClusterIPs)
	}}
}

func onlyDeletion() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(event.UpdateEvent) bool { return false },
		DeleteFunc:  func(event.DeleteEvent) bool { return true },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// nodeChanged passes changes of what facts read from a node; a node's heartbeats are none.
func nodeChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		o, ok1 := e.ObjectOld.(*corev1.Node)
		n, ok2 := e.ObjectNew.(*corev1.Node)
		return !ok1 || !ok2 ||
			!slices.Equal(o.Spec.PodCIDRs, n.Spec.PodCIDRs) ||
			!equality.Semantic.DeepEqual(o.Status.Addresses, n.Status.Addresses) ||
			o.Status.NodeInfo.KernelVersion != n.Status.NodeInfo.KernelVersion ||
			o.Status.NodeInfo.OperatingSystem != n.Status.NodeInfo.OperatingSystem ||
			o.Status.NodeInfo.OSImage != n.Status.NodeInfo.OSImage ||
			o.Spec.ProviderID != n.Spec.ProviderID || !maps.Equal(o.Labels, n.Labels) ||
			!equality.Semantic.DeepEqual(facts.Taints(o), facts.Taints(n)) ||
			slices.ContainsFunc(facts.AgentAnnotations, func(key string) bool { return o.Annotations[key] != n.Annotations[key] }) ||
			!maps.Equal(arguments(o), arguments(n))
	}}
}

// definitionChanged passes definitions that facts look for, when they come and when they go.
func definitionChanged() predicate.Predicate {
	return predicate.And(
		predicate.NewPredicateFuncs(func(o client.Object) bool { return facts.IsDefinition(o.GetName()) }),
		predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero() ||
				!maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) ||
				!maps.Equal(e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations())
		}},
	)
}

// arguments are those of a node's annotations in which it says how its process was started.
func arguments(n *corev1.Node) map[string]string {
	out := map[string]string{}
	for key, value := range n.Annotations {
		if facts.IsNodeArgs(key) {
			out[key] = value
		}
	}
	return out
}

// agentChanged passes changes of who owns a DaemonSet and what it runs, and of whether an agent is available everywhere.
// The progress of its pods matters for kube-proxy alone, when it is brought back.
func agentChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		o, ok1 := e.ObjectOld.(*appsv1.DaemonSet)
		n, ok2 := e.ObjectNew.(*appsv1.DaemonSet)
		return !ok1 || !ok2 || o.Generation != n.Generation ||
			!maps.Equal(o.Labels, n.Labels) || !maps.Equal(o.Annotations, n.Annotations) ||
			facts.Available(o) != facts.Available(n) && facts.Recognised(n) ||
			n.Name == kubeProxyName && !equality.Semantic.DeepEqual(o.Status, n.Status)
	}}
}

// clusterConfiguration passes the ConfigMaps that facts read, and the one that overrides the catalogue.
func clusterConfiguration(known *catalog.Source) predicate.Predicate {
	return predicate.NewPredicateFuncs(func(o client.Object) bool {
		return known.Is(o) || o.GetNamespace() == "kube-system" && o.GetName() == "kubeadm-config" ||
			o.GetNamespace() == "kube-public" && o.GetName() == "cluster-info"
	})
}

// classChanged passes changes of whose an IngressClass is and of whether it is the default.
func classChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) ||
			!maps.Equal(e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations())
	}}
}
