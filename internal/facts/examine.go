package facts

import (
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// configMaps are the names that upstream's manifests give the agents' configuration.
var configMaps = map[InstalledType]string{
	InstalledFlannel:   "kube-flannel-cfg",
	InstalledKubeProxy: "kube-proxy",
	InstalledCilium:    "cilium-config",
}

// CiliumSocketLBKey is what Cilium's configuration has when its chart was told anything of socketLB.hostNamespaceOnly.
const CiliumSocketLBKey = "bpf-lb-sock-hostns-only"

// kept are the keys of a ConfigMap that somebody goes by, where those are few of many.
var kept = map[InstalledType][]string{InstalledCilium: {CiliumSocketLBKey}}

// Examine reads how an installed agent is configured, from the API server itself: it is done for an agent that is about
// to be taken over and not again. Found stays nil for an agent of whose configuration nothing is known here.
func (d *Discoverer) Examine(ctx context.Context, i *Installed) error {
	name, known := configMaps[i.Type]
	if !known {
		return nil
	}
	var ds appsv1.DaemonSet
	if err := d.Live.Get(ctx, client.ObjectKey{Namespace: i.Namespace, Name: i.Name}, &ds); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("reading DaemonSet %s/%s: %w", i.Namespace, i.Name, err))
	}
	var cm corev1.ConfigMap
	if err := d.Live.Get(ctx, client.ObjectKey{Namespace: i.Namespace, Name: name}, &cm); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading ConfigMap %s/%s: %w", i.Namespace, name, err)
	}
	if keys := kept[i.Type]; keys != nil {
		maps.DeleteFunc(cm.Data, func(key, _ string) bool { return !slices.Contains(keys, key) })
	}
	i.Found = &Found{
		Ours:           cm.Labels[networkstackv1alpha1.ComponentLabel] != "",
		Data:           cm.Data,
		Tolerations:    ds.Spec.Template.Spec.Tolerations,
		UpdateStrategy: ds.Spec.UpdateStrategy,
	}
	return nil
}
