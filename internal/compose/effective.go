package compose

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// settings collect what was derived or defaulted, each with the reason.
type settings struct {
	list []networkstackv1alpha1.EffectiveSetting
}

// note records a derived field of the spec.
func (s *settings) note(path *field.Path, value any, reason string, args ...any) {
	s.noteAs(path.String(), value, fmt.Sprintf(reason, args...))
}

// noteAs records a setting under any name. The first record of a name stays.
func (s *settings) noteAs(setting string, value any, reason string) {
	if slices.ContainsFunc(s.list, func(e networkstackv1alpha1.EffectiveSetting) bool { return e.Setting == setting }) {
		return
	}
	s.list = append(s.list, networkstackv1alpha1.EffectiveSetting{
		Setting: setting, Value: noted(value), Reason: reason,
	})
}

// effective are the records, ordered by setting.
func (s *settings) effective() []networkstackv1alpha1.EffectiveSetting {
	slices.SortFunc(s.list, func(a, b networkstackv1alpha1.EffectiveSetting) int {
		return cmp.Compare(a.Setting, b.Setting)
	})
	return s.list
}

// longestNoted is how long a list or map may be to stand in a status as it is.
const longestNoted = 1000

// noted is a value as it stands in a status.
func noted(value any) string {
	text := displayed(value)
	if len(text) <= longestNoted {
		return text
	}
	switch v := value.(type) {
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	case map[string]any:
		return fmt.Sprintf("a map with %d keys", len(v))
	}
	return text
}

// displayed is a value as a person reads it.
func displayed(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case string:
		if lines := strings.Count(strings.TrimSpace(v), "\n") + 1; lines > 1 {
			return fmt.Sprintf("a text of %d lines", lines)
		}
		return v
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = displayed(v[i])
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		if data, err := json.Marshal(v); err == nil {
			return string(data)
		}
		return fmt.Sprint(v)
	default:
		return fmt.Sprint(v)
	}
}

// noteDefaults records the defaults of fields that no other step reads.
func (s *state) noteDefaults() {
	if s.spec.DeletionPolicy == "" {
		s.note(specPath.Child("deletionPolicy"), networkstackv1alpha1.DeletionOrphan,
			"default: deleting the NetworkStack leaves the network running")
	}
	if s.spec.Drift == nil || s.spec.Drift.Mode == "" {
		s.note(specPath.Child("drift", "mode"), networkstackv1alpha1.DriftCorrect,
			"default: objects that somebody else changed are put right")
	}
	if s.spec.Upgrade == nil || s.spec.Upgrade.Replacement == "" {
		s.note(specPath.Child("upgrade", "replacement"), networkstackv1alpha1.ReplacementSafe,
			"default: objects are replaced only where that interrupts nothing")
	}
	if s.progressDeadline() == nil {
		s.note(specPath.Child("upgrade", "progressDeadline"), "5m and 2s for each pod, at most 1h",
			"default: a roll-out without progress for that long is reported as stalled")
	}
	if s.pinned().DNSDomain == "" {
		if s.facts.DNSDomain != "" {
			s.note(clusterPath.Child("dnsDomain"), s.facts.DNSDomain, "discovered in the cluster")
		} else {
			s.note(clusterPath.Child("dnsDomain"), defaultDNSDomain, "Kubernetes' default; the cluster does not say")
		}
	}
}

// defaultDNSDomain is the cluster domain of Kubernetes when nothing else is said.
const defaultDNSDomain = "cluster.local"

// driftMode in effect for a component.
func (s *state) driftMode(c networkstackv1alpha1.ComponentSettings) networkstackv1alpha1.DriftMode {
	mode := networkstackv1alpha1.DriftMode("")
	if s.spec.Drift != nil {
		mode = s.spec.Drift.Mode
	}
	return cmp.Or(c.DriftMode, mode, networkstackv1alpha1.DriftCorrect)
}

// driftIgnore are the user's rules that concern a component.
func (s *state) driftIgnore(component string) []networkstackv1alpha1.DriftIgnoreRule {
	if s.spec.Drift == nil {
		return nil
	}
	var out []networkstackv1alpha1.DriftIgnoreRule
	for _, rule := range s.spec.Drift.Ignore {
		if rule.Component == "" || rule.Component == component {
			out = append(out, *rule.DeepCopy())
		}
	}
	return out
}

// replacement in effect.
func (s *state) replacement() networkstackv1alpha1.ReplacementPolicy {
	if s.spec.Upgrade == nil || s.spec.Upgrade.Replacement == "" {
		return networkstackv1alpha1.ReplacementSafe
	}
	return s.spec.Upgrade.Replacement
}

// progressDeadline in effect; nil leaves it to grow with the number of pods.
func (s *state) progressDeadline() *metav1.Duration {
	if s.spec.Upgrade == nil || s.spec.Upgrade.ProgressDeadline == nil {
		return nil
	}
	return &metav1.Duration{Duration: s.spec.Upgrade.ProgressDeadline.Duration}
}

// dnsDomain in effect.
func (s *state) dnsDomain() string {
	return cmp.Or(s.pinned().DNSDomain, s.facts.DNSDomain, defaultDNSDomain)
}
