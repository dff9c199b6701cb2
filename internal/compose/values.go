package compose

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// MergeValues lays src over dst as Helm lays one values file over another: maps merge, anything else,
// lists included, replaces. A null in src takes the place of what dst has there and stays in the result,
// which is how Helm is told to remove the chart's own default as well. Neither argument is changed and the
// result shares nothing with them.
func MergeValues(dst, src map[string]any) map[string]any {
	out := make(map[string]any, len(dst)+len(src))
	for k, v := range dst {
		out[k] = copyValue(v)
	}
	for k, v := range src {
		if over, ok := v.(map[string]any); ok {
			if under, ok := out[k].(map[string]any); ok {
				out[k] = MergeValues(under, over)
				continue
			}
		}
		out[k] = copyValue(v)
	}
	return out
}

// CheckValues says, one message each, which controlled paths the values set. A path counts as set when a
// value stands at it, below it, or when something other than a map stands in its way above it. The name of
// where the values are, such as "values" or "valuesFrom[0]", goes before each path in the messages.
func CheckValues(values map[string]any, controlled []networkstackv1alpha1.ControlledValue, at string) []string {
	var out []string
	for _, c := range controlled {
		path, set := findSet(values, strings.Split(c.Path, "."))
		if !set {
			continue
		}
		msg := fmt.Sprintf("%s.%s is controlled by %s; remove it", at, path, c.By)
		if !slices.Contains(out, msg) {
			out = append(out, msg)
		}
	}
	slices.Sort(out)
	return out
}

// findSet follows a path and says where it ends: at the path itself, or at something above that is no map.
func findSet(values map[string]any, path []string) (string, bool) {
	for i, key := range path {
		v, ok := values[key]
		if !ok {
			return "", false
		}
		below, isMap := v.(map[string]any)
		if i == len(path)-1 || !isMap {
			return strings.Join(path[:i+1], "."), true
		}
		values = below
	}
	return "", false
}

// lookup is the value at a path.
func lookup(values map[string]any, path string) (any, bool) {
	keys := strings.Split(path, ".")
	for i, key := range keys {
		v, ok := values[key]
		if !ok {
			return nil, false
		}
		if i == len(keys)-1 {
			return v, true
		}
		if values, ok = v.(map[string]any); !ok {
			return nil, false
		}
	}
	return nil, false
}

func copyValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return MergeValues(v, nil)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = copyValue(v[i])
		}
		return out
	case []string:
		return slices.Clone(v)
	default:
		return v
	}
}

// ParseValues reads values that must be a JSON object. Nothing, and null, are no values.
func ParseValues(raw *apiextensionsv1.JSON) (map[string]any, error) {
	if raw == nil || len(raw.Raw) == 0 {
		return nil, nil
	}
	var v any
	// This decoder keeps whole numbers whole, which encoding/json turns into floating point.
	if err := utiljson.Unmarshal(raw.Raw, &v); err != nil {
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return v, nil
	default:
		return nil, fmt.Errorf("must be a map of Helm values, not %s", jsonKind(v))
	}
}

func jsonKind(v any) string {
	switch v.(type) {
	case []any:
		return "a list"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	default:
		return "a number"
	}
}

// rawJSON is JSON as the API has it.
func rawJSON(data []byte) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: data} }

// valuesBuilder collects the derived values of one component.
type valuesBuilder struct {
	component  string
	values     map[string]any
	derived    []derivedValue
	controlled []networkstackv1alpha1.ControlledValue
	// inlineOnly are paths that inline values may set and valuesFrom may not.
	inlineOnly []string
	// certificates to be made for the component.
	certificates []networkstackv1alpha1.Certificate
	// generated are Secrets with random content to be made for it.
	generated []networkstackv1alpha1.GeneratedSecret
}

type derivedValue struct {
	path, reason string
	value        any
	controlled   bool
}

func newValues(component string) *valuesBuilder {
	return &valuesBuilder{component: component, values: map[string]any{}}
}

// set derives a value that the user's own values may replace.
func (b *valuesBuilder) set(path string, value any, reason string, args ...any) {
	b.put(path, value, false, fmt.Sprintf(reason, args...))
}

// control derives a value that only the named field of the spec may change.
func (b *valuesBuilder) control(path, by string, value any, reason string, args ...any) {
	b.reserve(path, by)
	b.put(path, value, true, fmt.Sprintf(reason, args...))
}

// reserve keeps a path for the named field of the spec without setting it now.
func (b *valuesBuilder) reserve(path, by string) {
	b.controlled = append(b.controlled, networkstackv1alpha1.ControlledValue{Path: path, By: by})
}

// inline keeps paths for the user's inline values, because something else is derived from them.
func (b *valuesBuilder) inline(paths ...string) { b.inlineOnly = append(b.inlineOnly, paths...) }

func (b *valuesBuilder) put(path string, value any, controlled bool, reason string) {
	// What was derived before at this path, or below it, is gone.
	b.derived = slices.DeleteFunc(b.derived, func(d derivedValue) bool { return d.path == path || strings.HasPrefix(d.path, path+".") })
	b.derived = append(b.derived, derivedValue{path: path, value: value, reason: reason, controlled: controlled})
	at := b.values
	keys := strings.Split(path, ".")
	for _, key := range keys[:len(keys)-1] {
		next, ok := at[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[key] = next
		}
		at = next
	}
	at[keys[len(keys)-1]] = value
}

// json is the derived values as JSON with sorted keys.
func (b *valuesBuilder) json() (*apiextensionsv1.JSON, error) {
	raw, err := json.Marshal(b.values)
	if err != nil {
		return nil, err
	}
	return &apiextensionsv1.JSON{Raw: raw}, nil
}

// controlledValues are the controlled paths, ordered.
func (b *valuesBuilder) controlledValues() []networkstackv1alpha1.ControlledValue {
	slices.SortFunc(b.controlled, func(x, y networkstackv1alpha1.ControlledValue) int {
		return cmp.Compare(x.Path, y.Path)
	})
	return b.controlled
}

// closedToReferences are the paths that values from references may not set, ordered: the controlled ones, and those that
// are for inline values.
func (b *valuesBuilder) closedToReferences(by string) []networkstackv1alpha1.ControlledValue {
	out := slices.Clone(b.controlledValues())
	for _, path := range b.inlineOnly {
		out = append(out, networkstackv1alpha1.ControlledValue{Path: path, By: by})
	}
	// A path may be both, and the API server takes it once.
	slices.SortStableFunc(out, func(x, y networkstackv1alpha1.ControlledValue) int { return cmp.Compare(x.Path, y.Path) })
	return slices.CompactFunc(out, func(x, y networkstackv1alpha1.ControlledValue) bool { return x.Path == y.Path })
}

// noteInto records every derived value. Only paths that were derived are shown, so nothing that a user
// keeps in other values can leak into status.
func (b *valuesBuilder) noteInto(s *settings, user map[string]any, at string) {
	for _, d := range b.derived {
		name := b.component + ": " + d.path
		if path, set := findSet(user, strings.Split(d.path, ".")); set && !d.controlled {
			v, ok := lookup(user, d.path)
			if !ok {
				v = nil
			}
			s.noteAs(name, v, fmt.Sprintf("set by %s.values.%s in place of the derived %q", at, path, displayed(d.value)))
			continue
		}
		s.noteAs(name, d.value, d.reason)
	}
}

// strings as a JSON list.
func anyList[T fmt.Stringer](in []T) []any {
	out := make([]any, len(in))
	for i := range in {
		out[i] = in[i].String()
	}
	return out
}
