package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/release"
)

// settings are all that is in effect: what the file states, and what is derived.
func (j *judgement) settings() []networkstackv1alpha1.EffectiveSetting {
	d := j.document
	stated, err := statedIn(&j.stack.Spec, func(path string) string { return fmt.Sprintf("stated in %s:%d", d.file, d.Place(path).Line) })
	if err != nil {
		return j.result.Effective // it was read from JSON, so this does not happen
	}
	return append(stated, j.result.Effective...)
}

// statedIn are the fields of a spec that say something, each with where.
func statedIn(spec *networkstackv1alpha1.NetworkStackSpec, where func(path string) string) (
	[]networkstackv1alpha1.EffectiveSetting, error,
) {
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	var out []networkstackv1alpha1.EffectiveSetting
	flatten("spec", object, func(path, value string) {
		out = append(out, networkstackv1alpha1.EffectiveSetting{Setting: path, Value: value, Reason: where(path)})
	})
	return out, nil
}

// flatten goes through all values that are not made of others, and lists of such.
func flatten(path string, value any, yield func(path, value string)) {
	switch v := value.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			flatten(path+"."+k, v[k], yield)
		}
	case []any:
		if text, plain := listText(v); plain {
			yield(path, text)
			return
		}
		for i := range v {
			flatten(fmt.Sprintf("%s[%d]", path, i), v[i], yield)
		}
	case nil:
	default:
		if hidden(path) {
			yield(path, masked)
			return
		}
		yield(path, fmt.Sprint(v))
	}
}

// hidden says whether what stands at a path among the values of a chart may be a secret, by its name.
func hidden(path string) bool {
	_, below, inValues := strings.Cut(strings.ToLower(path), "values.")
	return inValues && below != "" && release.SensitiveName(path[strings.LastIndex(path, ".")+1:])
}

// listText is a list of values that are not made of others.
func listText(list []any) (string, bool) {
	parts := make([]string, len(list))
	for i, v := range list {
		switch v.(type) {
		case map[string]any, []any:
			return "", false
		}
		parts[i] = fmt.Sprint(v)
	}
	return strings.Join(parts, ", "), true
}
