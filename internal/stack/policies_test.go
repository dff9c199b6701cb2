package stack

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
)

// listing is an informer that has seen what there is, or not yet.
type listing struct {
	cache.Informer
	done bool
}

func (l *listing) HasSynced() bool { return l.done }

// listings is a cache with one informer.
type listings struct {
	informertest.FakeInformers
	only *listing
}

func (l *listings) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	return l.only, nil
}

// TestCountPolicies wants a number that is not known told from none.
func TestCountPolicies(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	kind := facts.Policy().GroupVersionKind()
	scheme.AddKnownTypeWithName(kind, &metav1.PartialObjectMetadata{})
	scheme.AddKnownTypeWithName(kind.GroupVersion().WithKind(kind.Kind+"List"), &metav1.PartialObjectMetadataList{})
	policy := facts.Policy()
	policy.Name, policy.Namespace = "deny", corev1.NamespaceDefault
	seen := &listing{}
	w := &lateWatch{objects: facts.Policy(), watched: true, cache: &listings{only: seen}}
	discoverer := &facts.Discoverer{Reader: fake.NewClientBuilder().WithScheme(scheme).WithObjects(policy).Build()}
	for _, step := range []struct {
		name   string
		policy networkstackv1alpha1.Toggle
		listed bool
		known  bool
		count  int
	}{
		{"not listed yet", networkstackv1alpha1.Disabled, false, false, 0},
		{"listed", networkstackv1alpha1.Disabled, true, true, 1},
		{"enforced, so that nobody asks", networkstackv1alpha1.Enabled, false, true, 0},
	} {
		seen.done = step.listed
		in := compose.Input{Facts: &facts.Snapshot{}, Stack: stackOf(func(s *networkstackv1alpha1.NetworkStack) {
			s.Spec.CNI = networkstackv1alpha1.CNISpec{Type: networkstackv1alpha1.CNIFlannel, NetworkPolicy: step.policy}
		})}
		known, err := countPolicies(t.Context(), w, in, discoverer)
		if err != nil || known != step.known || in.Facts.NetworkPolicies != step.count {
			t.Errorf("%s: known %v, %d of them, %v", step.name, known, in.Facts.NetworkPolicies, err)
		}
	}
}
