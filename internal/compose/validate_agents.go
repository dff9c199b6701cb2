package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateToleration refuses what no pod may have. The API server would only say so when the agents are applied.
func (s *state) validateToleration(path *field.Path, t corev1.Toleration) {
	refuse := func(name string, value any, why string) {
		s.refuse(ruleAgentsToleration, field.Invalid(path.Child(name), value, why))
	}
	exists := t.Operator == corev1.TolerationOpExists
	switch {
	case !slices.Contains([]corev1.TolerationOperator{"", corev1.TolerationOpExists, corev1.TolerationOpEqual}, t.Operator):
		refuse("operator", t.Operator, "use Exists or Equal")
	case exists && t.Value != "":
		refuse("value", t.Value, "has no meaning with operator Exists: remove it, or use Equal")
	case !exists && t.Key == "":
		refuse("operator", t.Operator, "without a key it has to be Exists, which tolerates every taint")
	}
	if t.Key != "" && len(validation.IsQualifiedName(t.Key)) > 0 {
		refuse("key", t.Key, "is not the key of a taint: write it as the node has it, such as example.com/dedicated")
	}
	if len(validation.IsValidLabelValue(t.Value)) > 0 {
		refuse("value", t.Value, "is not the value of a taint: use at most 63 letters, digits, -, _ and dots")
	}
	effects := []corev1.TaintEffect{"", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
	if !slices.Contains(effects, t.Effect) {
		refuse("effect", t.Effect, "use NoSchedule, PreferNoSchedule or NoExecute, or leave it out for all of them")
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		refuse("tolerationSeconds", *t.TolerationSeconds, "goes with effect NoExecute alone: remove it")
	}
}

// validateLabels refuses labels that no object can have.
func (s *state) validateLabels(path *field.Path, labels map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			s.refuse(ruleAgentsLabels, field.Invalid(path, key, "is not the key of a label: write a name such as example.com/role"))
		}
		if problems := validation.IsValidLabelValue(labels[key]); len(problems) > 0 {
			s.refuse(ruleAgentsLabels, field.Invalid(path.Key(key), labels[key], "is not the value of a label: use at most 63 letters, digits, -, _ and dots"))
		}
	}
}

// validateResources refuses what no container can ask for.
func (s *state) validateResources(a agents) {
	if a.Resources == nil {
		return
	}
	for _, l := range []struct {
		name string
		list corev1.ResourceList
	}{{"requests", a.Resources.Requests}, {"limits", a.Resources.Limits}} {
		path := a.path.Child("resources", l.name)
		for _, name := range slices.Sorted(maps.Keys(l.list)) {
			quantity := l.list[name]
			limit, limited := a.Resources.Limits[name]
			switch {
			case !resourceName(name):
				s.refuse(ruleAgentsResources, field.Invalid(path, string(name),
					"is not a resource of containers: use cpu, memory, ephemeral-storage, hugepages-2Mi, or an extended resource such as example.com/device"))
			case quantity.Sign() < 0:
				s.refuse(ruleAgentsResources, field.Invalid(path.Key(string(name)), quantity.String(), "must not be negative"))
			case l.name == "requests" && limited && quantity.Cmp(limit) > 0:
				s.refuse(ruleAgentsResources, field.Invalid(path.Key(string(name)), quantity.String(), fmt.Sprintf(
					"is more than the limit, %s: lower it, or raise that", limit.String())))
			}
		}
	}
}

func resourceName(name corev1.ResourceName) bool {
	switch {
	case slices.Contains([]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}, name):
		return true
	case strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
		return true
	default:
		return strings.Contains(string(name), "/") && len(validation.IsQualifiedName(string(name))) == 0
	}
}
