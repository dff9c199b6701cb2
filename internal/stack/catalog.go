package stack

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/status"
)

// catalogUnknown says that another catalogue may have been in effect than the one that is known: the ConfigMap was bad when this
// process began. What is installed is then left as it is, for the defaults of the catalogue at hand may be others.
func (s *scope) catalogUnknown() bool {
	return s.catalog != nil && s.catalog.Problem != nil && !s.catalog.Problem.Kept && len(s.components) > 0
}

// catalogText says what is wrong with the override, and what is in effect meanwhile.
func (s *scope) catalogText() string {
	effect := "what the operator carries is in effect"
	switch {
	case s.catalogUnknown():
		effect = "nothing is changed until it is corrected or deleted, for what was in effect before is not known"
	case s.catalog.Problem.Kept:
		effect = "what was in effect before stays"
	}
	return fmt.Sprintf("ConfigMap %s is refused, and %s: %s", s.catalog.Problem.ConfigMap, effect, s.catalog.Problem.Problems)
}

func fillCatalog(s *scope, out *networkstackv1alpha1.NetworkStackStatus) {
	switch {
	case s.catalog == nil:
	case s.catalog.Problem == nil:
		status.Clear(&out.Conditions, networkstackv1alpha1.ConditionCatalogInvalid)
	default:
		status.Set(&out.Conditions, s.stack.Generation, networkstackv1alpha1.ConditionCatalogInvalid, metav1.ConditionTrue,
			networkstackv1alpha1.ReasonCatalogInvalid, s.catalogText())
	}
}

// announceCatalog makes an event of an override that is refused, or taken.
func (r *Reconciler) announceCatalog(s *scope, before, after *networkstackv1alpha1.NetworkStackStatus) {
	if s.catalog == nil {
		return
	}
	was := meta.FindStatusCondition(before.Conditions, networkstackv1alpha1.ConditionCatalogInvalid)
	is := meta.FindStatusCondition(after.Conditions, networkstackv1alpha1.ConditionCatalogInvalid)
	if is != nil && (was == nil || was.Message != is.Message) {
		r.event(s.stack, "Warning", networkstackv1alpha1.ReasonCatalogInvalid, "Catalog", "%s", shortened(is.Message))
	}
	if seen := r.announced.Swap(int64(s.catalog.Revision)); seen == int64(s.catalog.Revision) {
		return
	}
	text := "what the operator carries is the catalogue in effect"
	if s.catalog.Overridden {
		text = fmt.Sprintf("ConfigMap %s/%s overrides the catalogue", r.Catalog.Namespace, catalog.ConfigMapName)
	}
	r.event(s.stack, "Normal", networkstackv1alpha1.ReasonCatalogChanged, "Catalog", "%s", text)
}
