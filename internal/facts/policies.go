package facts

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ManyPolicies is where counting NetworkPolicies ends.
const ManyPolicies = 1000

// Policy is the metadata of a NetworkPolicy, all that facts read of one.
func Policy() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}}
}

// CountPolicies says how many NetworkPolicies there are, up to ManyPolicies. It is for clusters in which nothing enforces them;
// elsewhere they would be kept in memory for nothing, so Discover does not look for them.
func (d *Discoverer) CountPolicies(ctx context.Context) (int, error) {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(Policy().GroupVersionKind().GroupVersion().WithKind("NetworkPolicyList"))
	err := d.Reader.List(ctx, &list, client.Limit(ManyPolicies), client.UnsafeDisableDeepCopy)
	return len(list.Items), err
}
