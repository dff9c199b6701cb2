package importer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
)

// coalesce lays a user's values over a chart's, as Helm does before it renders: maps merge, and a null removes.
func coalesce(defaults, values map[string]any) map[string]any {
	out := make(map[string]any, len(defaults)+len(values))
	maps.Copy(out, defaults)
	for k, v := range values {
		over, isMap := v.(map[string]any)
		switch {
		case v == nil:
			delete(out, k)
		case isMap:
			under, _ := out[k].(map[string]any)
			out[k] = coalesce(under, over)
		default:
			out[k] = v
		}
	}
	return out
}

// at is the value at a path; nil when there is none.
func at(values map[string]any, path []string) any {
	var v any = values
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// split takes a dot-separated path apart.
func split(path string) []string { return strings.Split(path, ".") }

// word is the value at a dot-separated path as text; empty when there is none.
func word(values map[string]any, path string) string {
	v := at(values, split(path))
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// put sets the value at a path.
func put(values map[string]any, path []string, v any) {
	for _, key := range path[:len(path)-1] {
		next, ok := values[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			values[key] = next
		}
		values = next
	}
	values[path[len(path)-1]] = v
}

// drop removes what is at a path, and the maps that are empty then.
func drop(values map[string]any, path []string) {
	if len(path) > 1 {
		below, _ := values[path[0]].(map[string]any)
		drop(below, path[1:])
		if len(below) > 0 {
			return
		}
	}
	delete(values, path[0])
}

// parse reads values, with whole numbers whole.
func parse(raw *apiextensionsv1.JSON) (map[string]any, error) { return compose.ParseValues(raw) }

// normal gives values the form that parse gives them.
func normal(values map[string]any) map[string]any {
	data, err := json.Marshal(values)
	if err != nil {
		return values
	}
	out, err := parse(&apiextensionsv1.JSON{Raw: data})
	if err != nil {
		return values
	}
	return out
}

// change is a value that is not as it was in the release.
type change struct {
	path []string
	// want is nil when there was none.
	want, have any
}

func (c change) name() string { return strings.Join(c.path, ".") }

// changes are the values in which what a stack comes to differs from what was in the release, in order.
func changes(want, have map[string]any) []change {
	var out []change
	var walk func(path []string, want, have any)
	walk = func(path []string, want, have any) {
		a, aMap := want.(map[string]any)
		b, bMap := have.(map[string]any)
		switch {
		case (aMap || want == nil) && (bMap || have == nil) && (aMap || bMap):
			keys := map[string]bool{}
			for k := range a {
				keys[k] = true
			}
			for k := range b {
				keys[k] = true
			}
			for _, k := range slices.Sorted(maps.Keys(keys)) {
				walk(append(slices.Clone(path), k), a[k], b[k])
			}
		case !reflect.DeepEqual(want, have) && fmt.Sprint(want) != fmt.Sprint(have):
			out = append(out, change{path, want, have})
		}
	}
	walk(nil, want, have)
	return out
}

// values settle the values of all releases that the stack has, so that each renders what it rendered before.
func (i *importing) values() {
	for n := range i.described {
		d := &i.described[n]
		s := &settling{importing: i, described: d, want: coalesce(d.release.Chart.Defaults, d.release.Values), values: map[string]any{}}
		s.settle()
	}
}

// settling finds the values of one component with which it is what it was: nothing but what has to be said.
type settling struct {
	*importing
	*described
	want, values map[string]any
	// corrections are the paths that were added.
	corrections [][]string
}

// rounds is how often values are added that others, which depend on them, have to be added to.
const rounds = 8

func (s *settling) settle() {
	var conflicts []change
	for range rounds {
		open, release := s.open()
		if release != nil && release.Spec.Chart.Repository == "" {
			s.ownChart(release)
			return
		}
		if release == nil { // whoever judges the stack says why, and what the user has said is not to be lost
			for _, c := range changes(s.want, s.described.release.Chart.Defaults) {
				s.add(c)
			}
			return
		}
		conflicts = nil
		added := false
		for _, c := range open {
			unsayable := c.want == nil && zero(c.have) == nil
			if by := controlledBy(c, release); unsayable || by != "" && !s.allowed(c) {
				conflicts = append(conflicts, c)
				continue
			}
			added = s.add(c) || added
		}
		if !added {
			break
		}
	}
	s.trim(len(conflicts))
	if s.spec.CNI.Type == networkstackv1alpha1.CNICilium && s.field == cniField {
		s.promote()
	}
	for _, c := range conflicts {
		s.remark(Remark{
			Severity: Unexpressed, Field: s.field, Object: "Helm release " + s.described.release.ID(),
			What: fmt.Sprintf("value %s of the release is %s, and is derived here: it would become %s",
				c.name(), shown(c.path, c.want), shown(c.path, c.have)),
			Remedy: "see what is reported to change for it", Unless: s.described.release.ID(),
		})
	}
}

// ownChart is for a component with a chart of the operator's own: it keeps what is there by itself, and gets what the user has said
// beside that.
func (s *settling) ownChart(release *compose.Release) {
	for _, c := range changes(s.want, s.described.release.Chart.Defaults) {
		if controlledBy(c, release) == "" {
			s.allowed(c)
		}
	}
}

// shown is a value in a few words.
func shown(path []string, v any) string {
	const longest = 60
	if v == nil {
		return "not set"
	}
	if sensitive(path[len(path)-1], v) {
		return "(masked)"
	}
	data, err := json.Marshal(v)
	if err != nil || len(data) > longest {
		return "another one"
	}
	return string(data)
}

// controlledBy is the field that has a value; empty when inline values may set it.
func controlledBy(c change, release *compose.Release) string {
	for _, v := range release.Spec.ControlledValues {
		own := strings.HasSuffix(v.By, ".values")
		if !own && (c.name() == v.Path || strings.HasPrefix(c.name(), v.Path+".") || strings.HasPrefix(v.Path, c.name()+".")) {
			return v.By
		}
	}
	return ""
}

// allowed says whether a value that a field controls may be stated all the same, because it comes to the same here.
func (s *settling) allowed(c change) bool {
	before := len(s.composed().Errors)
	if !s.add(c) {
		return false
	}
	result := s.composed()
	if len(result.Errors) <= before {
		return true
	}
	drop(s.values, c.path)
	s.corrections = s.corrections[:len(s.corrections)-1]
	s.write()
	return false
}

// add states a value, and says whether that is new.
func (s *settling) add(c change) bool {
	if slices.ContainsFunc(s.corrections, func(p []string) bool { return slices.Equal(p, c.path) }) {
		return false
	}
	s.corrections = append(s.corrections, c.path)
	v := c.want
	if v == nil {
		v = zero(c.have)
	}
	put(s.values, c.path, v)
	s.write()
	return true
}

// write puts the values into the stack.
func (s *settling) write() {
	settings := s.settings()
	settings.Values = nil
	if len(s.values) == 0 {
		return
	}
	if data, err := json.Marshal(s.values); err == nil {
		settings.Values = &apiextensionsv1.JSON{Raw: data}
	}
}

// open are the values that are not as they were, and the component's release; nil when the stack does not come to one.
func (s *settling) open() ([]change, *compose.Release) {
	result := s.composed()
	releases := result.Releases
	if len(result.Errors) > 0 {
		releases = result.Sketch
	}
	n := slices.IndexFunc(releases, func(r compose.Release) bool {
		return r.Spec.ReleaseName == s.described.release.Name && r.Spec.Namespace == s.described.release.Namespace
	})
	if n < 0 {
		return nil, nil
	}
	r := &releases[n]
	derived, err := parse(r.Spec.DerivedValues)
	if err != nil {
		return nil, nil
	}
	have := coalesce(s.described.release.Chart.Defaults, compose.MergeValues(derived, s.values))
	open := changes(s.want, have)
	return slices.DeleteFunc(open, func(c change) bool {
		return sameCompatibility(c, s.described.release) || isZero(c.have) && c.want == nil
	}), r
}

// isZero says whether a value says no more than that it is not there. A null would say so too, but the API server drops it.
func isZero(v any) bool { return v == false || v == "" || v == int64(0) }

// zero is the value that stands for none where another one is derived; nil when there is nothing like it.
func zero(v any) any {
	switch v.(type) {
	case bool:
		return false
	case string:
		return ""
	case int64:
		return int64(0)
	default:
		return nil
	}
}

// sameCompatibility says that all a value does is name the version that is there.
func sameCompatibility(c change, r *Release) bool {
	return c.name() == "upgradeCompatibility" && c.want == nil && strings.HasPrefix(r.Chart.Version+".", fmt.Sprint(c.have)+".")
}

// trim takes back what need not be said, because another value that was added later makes it so.
func (s *settling) trim(conflicts int) {
	for _, path := range slices.Backward(slices.Clone(s.corrections)) {
		v := at(s.values, path)
		if v == nil {
			continue
		}
		drop(s.values, path)
		s.write()
		if open, release := s.open(); release != nil && len(open) <= conflicts {
			continue
		}
		put(s.values, path, v)
		s.write()
	}
}

// SortRemarks puts what matters most first.
func SortRemarks(list []Remark) {
	rank := map[Severity]int{Decide: 0, Unexpressed: 1, Note: 2}
	slices.SortStableFunc(list, func(a, b Remark) int {
		return cmp.Or(cmp.Compare(rank[a.Severity], rank[b.Severity]), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Object, b.Object))
	})
}
