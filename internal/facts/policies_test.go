package facts

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// TestCountAdminPolicies wants both kinds counted, once a minute, and a kind that there is not taken for none.
func TestCountAdminPolicies(t *testing.T) {
	there := map[string]int{"AdminNetworkPolicyList": 2, "BaselineAdminNetworkPolicyList": 1}
	reads := 0
	var fails error
	live := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
			reads++
			gvk := list.GetObjectKind().GroupVersionKind()
			if gvk.GroupVersion() != (schema.GroupVersion{Group: "policy.networking.k8s.io", Version: "v1alpha1"}) {
				t.Errorf("%s is listed", gvk)
			}
			if l, ok := list.(*metav1.PartialObjectMetadataList); ok {
				l.Items = make([]metav1.PartialObjectMetadata, there[gvk.Kind])
			}
			return fails
		},
	}).Build()
	d := &Discoverer{Live: live}
	for range 2 {
		if n, err := d.CountAdminPolicies(t.Context()); n != 3 || err != nil || reads != 2 {
			t.Errorf("%d after %d reads, %v", n, reads, err)
		}
	}
	d.adminPolicies.read = time.Now().Add(-LookAgain)
	there, fails = nil, &meta.NoKindMatchError{}
	if n, err := d.CountAdminPolicies(t.Context()); n != 0 || err != nil {
		t.Errorf("%d of kinds that there are not, %v", n, err)
	}
	d.adminPolicies.read = time.Now().Add(-LookAgain)
	fails = errors.New("timeout")
	if _, err := d.CountAdminPolicies(t.Context()); err == nil {
		t.Error("what cannot be read is none")
	}
}
