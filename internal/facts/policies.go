package facts

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

// adminPolicies is how many were counted last, and when.
type adminPolicies struct {
	count int
	read  time.Time
}

// CountAdminPolicies says how many AdminNetworkPolicies and BaselineAdminNetworkPolicies there are, up to ManyPolicies of each. They are
// counted at the API server itself, at most once a minute: it is for clusters that have these kinds, and where they matter.
func (d *Discoverer) CountAdminPolicies(ctx context.Context) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.adminPolicies; !known.read.IsZero() && time.Since(known.read) < LookAgain {
		return known.count, nil
	}
	out := adminPolicies{read: time.Now()}
	for _, kind := range []string{"AdminNetworkPolicyList", "BaselineAdminNetworkPolicyList"} {
		var list metav1.PartialObjectMetadataList
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: "policy.networking.k8s.io", Version: "v1alpha1", Kind: kind})
		err := d.Live.List(ctx, &list, client.Limit(ManyPolicies))
		if err != nil && !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) {
			return 0, err
		}
		out.count += len(list.Items)
	}
	d.adminPolicies = out
	return out.count, nil
}
