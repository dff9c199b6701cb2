package compose

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/facts"
)

// stepRules are by which a step from the installed version to the wanted one is refused.
type stepRules struct {
	major, skipped, down refusal
}

func stepRulesOf(typ string) stepRules {
	switch typ {
	case string(networkstackv1alpha1.CNICilium):
		return stepRules{ruleCiliumMajor, ruleCiliumMinorSkipped, ruleCiliumDowngrade}
	case string(networkstackv1alpha1.CNICalico):
		return stepRules{ruleCalicoMajor, ruleCalicoMinorsSkipped, ruleCalicoDowngrade}
	}
	return stepRules{ruleVersionMajor, ruleVersionSkipped, ruleVersionDown}
}

// validateStep holds a component to the steps from version to version that its project tests, as the catalogue has them. What
// counts as installed is what the agents' image says.
func (s *state) validateStep(typ string, entry catalog.Entry, path *field.Path, wanted string) {
	i := slices.IndexFunc(s.facts.Installed, func(i facts.Installed) bool { return string(i.Type) == typ })
	if i < 0 {
		return
	}
	s.judgeStep(typ, entry, path, imageVersion(s.facts.Installed[i].Image), wanted)
}

// judgeStep holds one step to them. A version that cannot be read is nothing to judge by.
func (s *state) judgeStep(typ string, entry catalog.Entry, path *field.Path, from *version.Version, wanted string) {
	to := parseVersion(wanted)
	if from == nil || to == nil {
		return
	}
	path = path.Child("version")
	rules, step := stepRulesOf(typ), fmt.Sprintf("%s %s → %s", typ, minorOf(from), minorOf(to))
	next := entry.NextStep(from.String(), to.String())
	first := fmt.Sprintf("use a version of %s", minorOf(from))
	if next != "" {
		first = fmt.Sprintf("go to %s first", next)
	}
	switch entry.Step(from.String(), to.String()) {
	case catalog.StepMajor:
		s.refuse(rules.major, field.Invalid(path, wanted, fmt.Sprintf(
			"%s %s → %s changes the major version: stay within %d", typ, from, to, from.Major())))
	case catalog.StepTooFar:
		s.refuse(rules.skipped, field.Invalid(path, wanted, step+" is more than one upgrade may skip: "+first))
	case catalog.StepDown:
		s.refuse(rules.down, field.Invalid(path, wanted, step+" goes down further than is supported: "+first))
	case catalog.StepAllowed:
		if minors, same := minorDistance(from, to); same && minors < 0 && len(entry.Upgrades) > 0 {
			s.warn(ruleVersionDowngraded, path, "%s goes down: what was set up with features of %s may be lost; stay with it if such are in use",
				step, minorOf(from))
		}
	}
}
