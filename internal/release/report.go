package release

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/ownership"
)

// fieldReporter holds a live object against what it is to become.
type fieldReporter struct {
	live *unstructured.Unstructured
	// rendered is what the chart says; wanted is that with everything the API server fills in.
	rendered, wanted *unstructured.Unstructured
	// taken are the fields that go unless they are rendered: those of installers, and our own. kept are the others'.
	taken, kept []*fieldpath.Set
	// all says that whatever is not rendered goes, because nobody knows who wrote it.
	all    bool
	secret bool
	out    []FieldReport
}

// reportFields says, field by field, what taking over a live object would change in it. What nobody who installs things wrote,
// and what the chart does not say, stays as it is, so it is no difference. Neither are our own marks.
func reportFields(live, rendered, wanted *unstructured.Unstructured, manager string) []FieldReport {
	c := &fieldReporter{live: live, rendered: rendered, wanted: wanted}
	gvk := live.GroupVersionKind()
	c.secret = gvk.Group == "" && gvk.Kind == "Secret"
	c.sort(live.GetManagedFields(), manager)
	keys := map[string]bool{}
	for _, o := range []*unstructured.Unstructured{live, wanted} {
		for k := range o.Object {
			keys[k] = true
		}
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		switch k {
		case "apiVersion", "kind", "status":
		case "metadata":
			c.metadata()
		default:
			c.field(reportPath{{name: k}}, childOf(live.Object, k), childOf(wanted.Object, k), childOf(rendered.Object, k))
		}
	}
	return c.out
}

// sort divides the managed fields by what becomes of them.
func (c *fieldReporter) sort(entries []metav1.ManagedFieldsEntry, manager string) {
	c.all = len(entries) == 0
	for i := range entries {
		f := &entries[i]
		set := &fieldpath.Set{}
		if f.FieldsV1 == nil || set.FromJSON(f.FieldsV1.GetRawReader()) != nil {
			continue
		}
		mine := f.Manager == manager && f.Operation == metav1.ManagedFieldsOperationApply && f.Subresource == ""
		if mine || ownership.IsInstaller(f) {
			c.taken = append(c.taken, set)
		} else {
			c.kept = append(c.kept, set)
		}
	}
}

// bookkeeping are annotations that programs leave for themselves, and marks of ours; they are no difference.
var bookkeeping = []string{
	corev1.LastAppliedConfigAnnotation, "deprecated.daemonset.template.generation", "kubeadm.kubernetes.io/component-config.hash",
	releaseNameAnnotation, releaseNamespaceAnnotation, managedByLabel, v1alpha1.ComponentLabel, v1alpha1.LayoutAnnotation,
	corev1.LabelMetadataName, // the API server sets it on every namespace
}

func (c *fieldReporter) metadata() {
	for _, field := range []string{"labels", "annotations"} {
		live := withoutBookkeeping(c.live, field)
		rendered := withoutBookkeeping(c.rendered, field)
		c.field(reportPath{{name: "metadata"}, {name: field}}, optional{live, live != nil}, optional{rendered, rendered != nil},
			optional{rendered, rendered != nil})
	}
}

func withoutBookkeeping(u *unstructured.Unstructured, field string) map[string]any {
	m, _, _ := unstructured.NestedMap(u.Object, "metadata", field)
	maps.DeleteFunc(m, func(k string, _ any) bool { return slices.Contains(bookkeeping, k) })
	if len(m) == 0 {
		return nil
	}
	return m
}

// optional is a value that may not be there.
type optional struct {
	v  any
	is bool
}

func childOf(m map[string]any, key string) optional {
	v, ok := m[key]
	return optional{v, ok}
}

func (o optional) child(key string) optional {
	m, _ := o.v.(map[string]any)
	return childOf(m, key)
}

// field compares one field and what is in it.
func (c *fieldReporter) field(at reportPath, live, wanted, rendered optional) {
	switch {
	case isEmpty(live.v) && isEmpty(wanted.v), reflect.DeepEqual(live.v, wanted.v):
		return
	case !wanted.is || isEmpty(wanted.v):
		if l, ok := live.v.(map[string]any); ok && at[len(at)-1].name != "" && !c.all && !at.inText() {
			// Of a map some of it may be somebody else's.
			for _, k := range slices.Sorted(maps.Keys(l)) {
				c.field(at.with(reportStep{name: k}), childOf(l, k), optional{}, rendered.child(k))
			}
			return
		}
		if rendered.is && !isEmpty(rendered.v) || c.goes(at) {
			c.add(at, FieldUnknown, live.v, nil)
		}
		return
	case !live.is || isEmpty(live.v):
		// A default that is written out is no difference to the one that is not.
		if rendered.is {
			c.add(at, FieldDiffers, nil, wanted.v)
		}
		return
	}
	switch l := live.v.(type) {
	case map[string]any:
		if w, ok := wanted.v.(map[string]any); ok {
			for _, k := range slices.Sorted(maps.Keys(union(l, w))) {
				c.field(at.with(reportStep{name: k}), childOf(l, k), childOf(w, k), rendered.child(k))
			}
			return
		}
	case []any:
		if w, ok := wanted.v.([]any); ok && c.list(at, l, w, rendered) {
			return
		}
	case string:
		if w, ok := wanted.v.(string); ok && c.document(at, l, w) {
			return
		}
	}
	switch {
	case rendered.is:
		c.add(at, FieldDiffers, live.v, wanted.v)
	case c.goes(at):
		c.add(at, FieldUnknown, live.v, wanted.v)
	}
}

func union(a, b map[string]any) map[string]bool {
	out := map[string]bool{}
	for _, m := range []map[string]any{a, b} {
		for k := range m {
			out[k] = true
		}
	}
	return out
}

// list compares the reportSteps of two lists by their keys, and says whether they have keys.
func (c *fieldReporter) list(at reportPath, live, wanted []any, rendered optional) bool {
	key := keysOf(live, wanted)
	if key == nil {
		return false
	}
	given, _ := rendered.v.([]any)
	find := func(list []any, id string) optional {
		for _, e := range list {
			if identity(e, key) == id {
				return optional{e, true}
			}
		}
		return optional{}
	}
	var order, wantedOrder []string
	for _, e := range live {
		id := identity(e, key)
		item, _ := e.(map[string]any)
		w := find(wanted, id)
		if w.is {
			order = append(order, id)
		}
		c.field(at.with(reportStep{id: id, item: item}), optional{e, true}, w, find(given, id))
	}
	for _, e := range wanted {
		id := identity(e, key)
		if find(live, id).is {
			wantedOrder = append(wantedOrder, id)
			continue
		}
		item, _ := e.(map[string]any)
		c.field(at.with(reportStep{id: id, item: item}), optional{}, optional{e, true}, find(given, id))
	}
	if !slices.Equal(order, wantedOrder) && rendered.is {
		c.add(at, FieldDiffers, "in the order "+strings.Join(order, ", "), "in the order "+strings.Join(wantedOrder, ", "))
	}
	return true
}

// listKeys are the keys of the lists of Kubernetes' own kinds.
var listKeys = [][]string{{"mountPath"}, {"devicePath"}, {"containerPort", "protocol"}, {"port", "protocol"}, {"name"}}

// keysOf finds what tells the reportSteps of lists apart; nil when nothing does.
func keysOf(lists ...[]any) []string {
	for _, key := range listKeys {
		unique := func(list []any) bool {
			seen := map[string]bool{}
			for _, e := range list {
				m, ok := e.(map[string]any)
				if !ok || m[key[0]] == nil || seen[identity(e, key)] {
					return false
				}
				seen[identity(e, key)] = true
			}
			return true
		}
		if !slices.ContainsFunc(lists, func(l []any) bool { return !unique(l) }) {
			return key
		}
	}
	return nil
}

func identity(e any, key []string) string {
	m, _ := e.(map[string]any)
	parts := make([]string, 0, len(key))
	for _, k := range key {
		if v, ok := m[k]; ok {
			parts = append(parts, fmt.Sprintf("%s=%v", k, v))
		}
	}
	return strings.Join(parts, ",")
}

// document compares two texts as the configuration that is written in them, and says whether they are such texts.
func (c *fieldReporter) document(at reportPath, live, wanted string) bool {
	a, b := configuration(live), configuration(wanted)
	if c.secret || a == nil || b == nil {
		return false
	}
	before := len(c.out)
	for _, k := range slices.Sorted(maps.Keys(union(a, b))) {
		inner := at.with(reportStep{name: k})
		inner[len(inner)-1].inText = true
		c.field(inner, childOf(a, k), childOf(b, k), childOf(b, k))
	}
	if len(c.out) == before {
		c.add(at, FieldDiffers, "the same settings, written differently", "")
	}
	return true
}

// configuration reads a text of several lines that is a YAML or JSON mapping.
func configuration(text string) map[string]any {
	var m map[string]any
	if !strings.Contains(strings.TrimSpace(text), "\n") || yaml.Unmarshal([]byte(text), &m) != nil {
		return nil
	}
	return m
}

// goes says whether a field that is not rendered disappears: somebody who installs things wrote it, and nobody else did.
func (c *fieldReporter) goes(at reportPath) bool {
	if at.inText() {
		return true
	}
	if slices.ContainsFunc(c.kept, func(s *fieldpath.Set) bool { return at.in(s) }) {
		return false
	}
	return c.all || slices.ContainsFunc(c.taken, func(s *fieldpath.Set) bool { return at.in(s) })
}

func (c *fieldReporter) add(at reportPath, state FieldState, live, wanted any) {
	hidden := c.secret && len(at) > 0 && (at[0].name == "data" || at[0].name == "stringData") || at.sensitive()
	c.out = append(c.out, FieldReport{Path: at.String(), State: state, Live: shown(live, hidden), Wanted: shown(wanted, hidden)})
}

// reportStep is one step of a path: a field, or an element of a list.
type reportStep struct {
	name   string
	id     string
	item   map[string]any
	inText bool
}

type reportPath []reportStep

func (p reportPath) with(e reportStep) reportPath { return append(slices.Clone(p), e) }

func (p reportPath) inText() bool {
	return slices.ContainsFunc(p, func(e reportStep) bool { return e.inText })
}

// sensitive says whether a name on the way looks like that of a secret.
func (p reportPath) sensitive() bool {
	return slices.ContainsFunc(p, func(e reportStep) bool {
		name, _ := e.item["name"].(string)
		return sensitiveKey.MatchString(e.name) || sensitiveKey.MatchString(name)
	})
}

// String is the path as a person writes it, such as ".spec.containers[name=a].image".
func (p reportPath) String() string {
	var b strings.Builder
	for _, e := range p {
		switch {
		case e.name == "":
			b.WriteString("[" + e.id + "]")
		case strings.ContainsAny(e.name, "./"):
			b.WriteString("[" + e.name + "]")
		default:
			b.WriteString("." + e.name)
		}
	}
	return b.String()
}

// in says whether a set has the path, something inside of it, or the whole of something it is in.
func (p reportPath) in(set *fieldpath.Set) bool {
	found := false
	set.Leaves().Iterate(func(o fieldpath.Path) {
		for i := range min(len(p), len(o)) {
			if !p[i].is(o[i]) {
				return
			}
		}
		found = true
	})
	return found
}

func (e reportStep) is(o fieldpath.PathElement) bool {
	switch {
	case o.FieldName != nil:
		return e.name == *o.FieldName
	case o.Key != nil:
		return e.item != nil && hasKeys(e.item, *o.Key)
	case o.Value != nil:
		return e.item != nil && value.Equals(value.NewValueInterface(e.item), *o.Value)
	}
	return false
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// shown is a value for a report: short, and without secrets.
func shown(v any, hidden bool) string {
	const longest = 120
	if v == nil {
		return ""
	}
	if hidden {
		return redacted
	}
	text, isText := v.(string)
	if !isText {
		data, err := json.Marshal(maskValue(v))
		if err != nil {
			return ""
		}
		text = string(data)
	}
	if strings.Contains(text, "\n") {
		return "a text of " + strconv.Itoa(strings.Count(text, "\n")+1) + " lines"
	}
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest-3]) + "..."
	}
	return text
}

// maskValue is a copy with the content of what looks like a secret blacked out.
func maskValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		name, _ := v["name"].(string)
		for k, e := range v {
			_, isText := e.(string)
			if isText && (sensitiveKey.MatchString(k) || k == "value" && sensitiveKey.MatchString(name)) {
				out[k] = redacted
				continue
			}
			out[k] = maskValue(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = maskValue(v[i])
		}
		return out
	}
	return v
}
