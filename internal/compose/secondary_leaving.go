package compose

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Values of Multus's chart: daemons that leave their configuration on nodes when they end, and the image of what removes it from there.
const (
	keepConfiguration = "keepConfiguration"
	multusCleanup     = "cleanup.image"
)

// attaches says whether there are to be attachments.
func (s *state) attaches() bool {
	return s.spec.SecondaryNetworks != nil && len(s.spec.SecondaryNetworks.Attachments) > 0
}

// multusLeaves says whether a Multus that is no longer wanted has to stay yet: its daemons leave a configuration on nodes by which no pod
// can be made without them, so that something has to come to every node after them.
func (s *state) multusLeaves() bool {
	existing, there := s.existing[nameMultus]
	if !there || s.operatorImage == "" || s.cleanedOfMultus {
		return false
	}
	values, err := ParseValues(existing.DerivedValues)
	keeps, _ := lookup(values, keepConfiguration)
	return err == nil && keeps == true
}

// leavingMultus is the component as it is while there are attachments that are to go, and then what cleans each node in the place of the
// daemon there.
func (s *state) leavingMultus() Release {
	r := s.retainedRelease(nameMultus)
	_, attached := s.existing[nameAttachments]
	if !s.attaches() && (attached || slices.Contains(s.leaving, nameAttachments)) {
		return r
	}
	values, err := ParseValues(r.Spec.DerivedValues)
	if err == nil {
		b := newValues(nameMultus)
		b.values = values
		b.set(multusCleanup, s.operatorImage, "the operator's own image")
		r.Spec.DerivedValues, err = b.json()
	}
	if err != nil {
		s.refuse(ruleReleaseInternal, field.InternalError(secondaryPath, fmt.Errorf("values of component %s: %w", nameMultus, err)))
	}
	if r.Spec.Sources != nil {
		r.Spec.Sources.ImageRegistry = "" // the operator's image is where it was pulled from
	}
	s.note(secondaryPath, "none", "Multus is removed when every node is clean of it")
	return r
}

// CleansMultus says whether a component is what takes the place of Multus on nodes that are cleaned of it.
func CleansMultus(spec *networkstackv1alpha1.NetworkComponentSpec) bool {
	if spec.Type != TypeMultus {
		return false
	}
	values, err := ParseValues(spec.DerivedValues)
	image, _ := lookup(values, multusCleanup)
	return err == nil && image != nil
}
