package main

import (
	"unique"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/webhook"
)

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(networkstackv1alpha1.AddToScheme(scheme))
	return scheme
}

// cacheOptions keep in memory only what is read: the operator's own objects, the few named objects that tell about
// the cluster, and nodes and DaemonSets cut down to what is looked at.
func cacheOptions(namespace string) cache.Options {
	owned, err := labels.NewRequirement(networkstackv1alpha1.ComponentLabel, selection.Exists, nil)
	utilruntime.Must(err)
	ours := cache.ByObject{Label: labels.NewSelector().Add(*owned)}
	named := func(name string) cache.Config {
		return cache.Config{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name)}
	}
	configMaps := map[string]cache.Config{
		metav1.NamespaceSystem: named("kubeadm-config"),
		metav1.NamespacePublic: named("cluster-info"),
	}
	configMaps[namespace] = cache.Config{}
	// Every revision of every release is a Secret of a chart's size.
	noReleases := cache.Config{FieldSelector: fields.OneTermNotEqualSelector("type", "helm.sh/release.v1")}
	ofAPIServer := cache.Config{LabelSelector: labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: "kubernetes"})}
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&appsv1.Deployment{}:      ours,
			&appsv1.StatefulSet{}:     ours,
			&batchv1.Job{}:            ours,
			&appsv1.DaemonSet{}:       {Transform: trimDaemonSet},
			&corev1.Node{}:            {Transform: trimNode},
			facts.Definition():        {Transform: trimDefinition},
			facts.Policy():            {Transform: trimMetadata},
			facts.NamespaceMetadata(): {Transform: trimNamespace},
			facts.Injector():          {Label: labels.SelectorFromSet(facts.InjectorLabels())},
			&admissionregistrationv1.ValidatingWebhookConfiguration{}: {
				Field: fields.OneTermEqualSelector(metav1.ObjectNameField, webhook.ConfigurationName),
			},
			&corev1.ConfigMap{}: {Namespaces: configMaps},
			&corev1.Secret{}:    {Namespaces: map[string]cache.Config{namespace: noReleases}},
			&corev1.Service{}: {Namespaces: map[string]cache.Config{
				metav1.NamespaceDefault: named("kubernetes"), metav1.NamespaceSystem: named(facts.DNSService),
			}},
			&discoveryv1.EndpointSlice{}: {Namespaces: map[string]cache.Config{metav1.NamespaceDefault: ofAPIServer}},
		},
	}
}

// trimNode keeps what facts and health read from a node.
func trimNode(obj any) (any, error) {
	n, ok := obj.(*corev1.Node)
	if !ok {
		return obj, nil
	}
	n.ManagedFields = nil
	n.Labels = shared(n.Labels)
	annotations := map[string]string{}
	for _, key := range facts.AgentAnnotations {
		if value, ok := n.Annotations[key]; ok {
			annotations[key] = unique.Make(value).Value()
		}
	}
	for key, value := range n.Annotations {
		if facts.IsNodeArgs(key) {
			annotations[key] = facts.ReadArgs(value)
		}
	}
	n.Annotations = annotations
	n.Spec = corev1.NodeSpec{
		PodCIDR: n.Spec.PodCIDR, PodCIDRs: n.Spec.PodCIDRs, ProviderID: facts.ProviderScheme(n.Spec.ProviderID), Taints: facts.Taints(n),
	}
	var ready []corev1.NodeCondition
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			ready = append(ready, corev1.NodeCondition{Type: c.Type, Status: c.Status})
		}
	}
	n.Status = corev1.NodeStatus{Addresses: n.Status.Addresses, NodeInfo: n.Status.NodeInfo, Conditions: ready}
	return n, nil
}

// shared are labels whose texts take up memory once, however many nodes have them.
func shared(labels map[string]string) map[string]string {
	if len(labels) == 0 {
		return nil
	}
	out := make(map[string]string, len(labels))
	for key, value := range labels {
		out[unique.Make(key).Value()] = unique.Make(value).Value()
	}
	return out
}

// trimMetadata keeps that there is such an object.
func trimMetadata(obj any) (any, error) {
	if d, ok := obj.(*metav1.PartialObjectMetadata); ok {
		d.ObjectMeta = metav1.ObjectMeta{
			Namespace: d.Namespace, Name: d.Name, UID: d.UID, ResourceVersion: d.ResourceVersion, DeletionTimestamp: d.DeletionTimestamp,
		}
	}
	return obj, nil
}

// trimDefinition keeps what facts read from a definition.
func trimDefinition(obj any) (any, error) {
	if d, ok := obj.(*metav1.PartialObjectMetadata); ok {
		facts.TrimDefinition(d)
	}
	return obj, nil
}

// trimNamespace keeps what a mesh goes by.
func trimNamespace(obj any) (any, error) {
	n, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return obj, nil
	}
	annotations := map[string]string{}
	if inject, has := n.Annotations[facts.InjectAnnotation]; has {
		annotations[facts.InjectAnnotation] = inject
	}
	n.ObjectMeta = metav1.ObjectMeta{
		Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion, DeletionTimestamp: n.DeletionTimestamp,
		Labels: shared(n.Labels), Annotations: annotations,
	}
	return n, nil
}

// trimDaemonSet keeps what facts and health read from a DaemonSet.
func trimDaemonSet(obj any) (any, error) {
	ds, ok := obj.(*appsv1.DaemonSet)
	if !ok {
		return obj, nil
	}
	ds.ManagedFields = managersOf(ds.ManagedFields)
	delete(ds.Annotations, corev1.LastAppliedConfigAnnotation)
	pod := &ds.Spec.Template.Spec
	containers := make([]corev1.Container, 0, len(pod.Containers))
	for _, c := range pod.Containers {
		var ports []corev1.ContainerPort
		for _, p := range c.Ports {
			if p.HostPort != 0 {
				ports = append(ports, corev1.ContainerPort{HostPort: p.HostPort, Protocol: p.Protocol})
			}
		}
		containers = append(containers, corev1.Container{Name: c.Name, Image: c.Image, Ports: ports})
	}
	ds.Spec.Template = corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		Containers: containers, NodeSelector: pod.NodeSelector, HostNetwork: pod.HostNetwork,
	}}
	return ds, nil
}

// managersOf keeps who wrote to an object and drops what.
func managersOf(fields []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	var out []metav1.ManagedFieldsEntry
	for _, f := range fields {
		out = append(out, metav1.ManagedFieldsEntry{Manager: f.Manager, Operation: f.Operation, Subresource: f.Subresource})
	}
	return out
}
