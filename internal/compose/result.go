// Package compose turns what the user wants and what the cluster is into what to install. It is pure:
// no I/O, no clock, no randomness.
package compose

import (
	"fmt"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/policy"
)

// Input is everything a composition depends on.
type Input struct {
	Stack   *networkstackv1alpha1.NetworkStack
	Facts   *facts.Snapshot
	Catalog catalog.Catalog
	// OtherStack is a NetworkStack that is older, and takes effect in place of this one; empty when there is none.
	OtherStack string
	// OperatorImage is the operator's own image, which agents of its own run; empty when it is not known.
	OperatorImage string
	// OperatorNamespace is the operator's own, to which no policies are for; empty when it is not known.
	OperatorNamespace string
	// Existing are the specs of the components there are, by name. What was settled when one of them was taken over stays.
	Existing map[string]networkstackv1alpha1.NetworkComponentSpec
	// Leaving are the names of the components on their way out, which are not in Existing.
	Leaving []string
	// CleanedOfMultus says that what takes Multus's place when it goes has been on every node.
	CleanedOfMultus bool
	// Cuts answers what policies would cut; nil when nobody is to be asked, and nothing is held back then.
	Cuts Cuts
}

// Result is what to install, or why not.
type Result struct {
	// Errors are all reasons to refuse the stack. When there is one, nothing else of the result but Warnings is set.
	Errors []Finding
	// Warnings are remarks that do not stop the stack.
	Warnings []Finding
	// Effective are all derived and defaulted settings with their reasons, ordered by setting.
	Effective []networkstackv1alpha1.EffectiveSetting
	// Releases to have, in order of installation.
	Releases []Release
	// Inspect are releases to compare with what is there, and not to install: nothing but spec.adoption stands in their
	// way. They are set beside Errors.
	Inspect []Release
	// Sketch are the releases as far as they can be told of a stack that is refused: for whoever is about to write one, and nothing to
	// install. They are set beside Errors.
	Sketch []Release
	// KubeProxy is the mode in effect.
	KubeProxy networkstackv1alpha1.KubeProxyMode
	// ReliesOn are the network plugins of others that the stack leaves in place, and what a cloud runs beside them.
	ReliesOn []facts.Installed
	// ParkKubeProxy says that a kube-proxy which the operator did not install is to be parked once
	// every release is Ready.
	ParkKubeProxy bool
	// Policies are what the baselines come to; nil when there are none, or when they are off.
	Policies *policy.Set
	// Mesh is how a mesh is to be looked after beside its releases; nil when there is none and none was.
	Mesh *Mesh
	// Findings are what is known of what they cut; nil when there are none.
	Findings *PolicyFindings
}

// Release is one Helm release to have. Its Name is the NetworkComponent's name.
type Release struct {
	Name string
	Spec networkstackv1alpha1.NetworkComponentSpec
	// Beside are components of lower stages whose readiness it does not wait for, because it is what they wait for themselves.
	// That they are installed as they are wanted is waited for.
	Beside []string
	// Needs are the components that a release of StagePlatform or above waits for, whatever their stages; it waits for no other.
	Needs []string
}

// Finding is one reason to refuse a stack, or one remark.
type Finding struct {
	// Rule is the ID of the rule in the table.
	Rule string
	// Field is the path of what is wrong.
	Field string
	// Message says what is wrong and what to do.
	Message string
}

// String is the finding as it is shown: the field, what is wrong with it and what to do, and by which rule.
func (f Finding) String() string { return fmt.Sprintf("%s: %s [%s]", f.Field, f.Message, f.Rule) }
