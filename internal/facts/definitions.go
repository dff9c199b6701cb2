package facts

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The names of definitions that facts look for.
const (
	ServiceMonitors = "servicemonitors.monitoring.coreos.com"
	PodMonitors     = "podmonitors.monitoring.coreos.com"
	Certificates    = "certificates.cert-manager.io"
	BackendConfigs  = "backendconfigs.cloud.google.com"
	nodeStateCRD    = "nodenetworkstates.nmstate.io"
	AdminPolicies   = "adminnetworkpolicies.policy.networking.k8s.io"
	ClusterPolicies = "clusternetworkpolicies.policy.networking.k8s.io"
)

// Definition is the metadata of a CustomResourceDefinition, all that facts read of one.
func Definition() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"}}
}

// IsDefinition says whether a definition of this name is one that facts look for.
func IsDefinition(name string) bool {
	return slices.Contains([]string{ServiceMonitors, PodMonitors, Certificates, BackendConfigs, nodeStateCRD, AdminPolicies, ClusterPolicies}, name) ||
		IsGatewayDefinition(name)
}

// defined says whether the cluster has a definition that is not about to go.
func (d *Discoverer) defined(ctx context.Context, name string) (bool, error) {
	crd := Definition()
	err := d.Reader.Get(ctx, client.ObjectKey{Name: name}, crd)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && crd.DeletionTimestamp.IsZero(), err
}

// Taints are a node's, but for those that Kubernetes puts on it and takes away by what the node reports. The DaemonSet
// controller sees to these.
func Taints(n *corev1.Node) []corev1.Taint {
	return slices.DeleteFunc(slices.Clone(n.Spec.Taints), func(t corev1.Taint) bool {
		return strings.HasPrefix(t.Key, "node.kubernetes.io/")
	})
}
