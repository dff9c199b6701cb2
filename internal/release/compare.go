package release

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// ownedSets are what an object's managed fields say: what manager owns by server-side apply, and what anybody owns.
type ownedSets struct {
	ours, all *fieldpath.Set
	// version is that of the API in which ours is written.
	version string
}

// readOwned reads managed fields, status aside.
func readOwned(obj metav1.Object, manager string) (ownedSets, error) {
	out := ownedSets{ours: &fieldpath.Set{}, all: &fieldpath.Set{}}
	for _, entry := range obj.GetManagedFields() {
		if entry.Subresource == statusSubresource || entry.FieldsV1 == nil {
			continue
		}
		set, err := readSet(entry)
		if err != nil {
			return out, err
		}
		out.all = out.all.Union(set)
		if isOurs(entry, manager) {
			out.ours, out.version = set, entry.APIVersion
		}
	}
	return out, nil
}

const statusSubresource = "status"

func isOurs(e metav1.ManagedFieldsEntry, manager string) bool {
	return e.Manager == manager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
}

func readSet(entry metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	set := &fieldpath.Set{}
	if err := set.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())); err != nil {
		return nil, errors.New("managed fields cannot be read")
	}
	return set, nil
}

// compare finds the fields that live does not have as wanted, or that are not ours any more. It needs no schema: managed
// fields tell which lists are keyed, and by what. It errs to one side only: a difference it reports may be none for the
// API server (values are written in many ways), which applying finds out; what it calls the same is the same.
func compare(wanted, live map[string]any, owned ownedSets) []fieldpath.Path {
	if version, _ := wanted["apiVersion"].(string); owned.version != version {
		return []fieldpath.Path{nil}
	}
	c := &comparison{}
	for name, w := range wanted {
		switch name {
		case "apiVersion", "kind", "status":
			continue
		case "metadata":
			meta, _ := w.(map[string]any)
			liveMeta, _ := live["metadata"].(map[string]any)
			ours, all := under(owned.ours, "metadata"), under(owned.all, "metadata")
			for _, f := range []string{"labels", "annotations", "finalizers", "ownerReferences"} {
				if v, ok := meta[f]; ok {
					c.field(fieldpath.MakePathOrDie("metadata"), f, v, liveMeta, ours, all)
				}
			}
		default:
			c.field(nil, name, w, live, owned.ours, owned.all)
		}
	}
	slices.SortFunc(c.out, func(a, b fieldpath.Path) int { return a.Compare(b) })
	return c.out
}

type comparison struct{ out []fieldpath.Path }

func under(set *fieldpath.Set, name string) *fieldpath.Set {
	return set.WithPrefix(fieldpath.FieldNameElement(name))
}

func (c *comparison) differs(p fieldpath.Path) { c.out = append(c.out, p.Copy()) }

func (c *comparison) field(path fieldpath.Path, name string, wanted any, live map[string]any, ours, all *fieldpath.Set) {
	pe := fieldpath.FieldNameElement(name)
	found, ok := live[name]
	c.value(append(path.Copy(), pe), wanted, found, ok, ours.Members.Has(pe), ours.WithPrefix(pe), all.WithPrefix(pe))
}

// value compares at one path. owned says that we own the path itself; ours and all are what is owned below it.
func (c *comparison) value(path fieldpath.Path, wanted, live any, inLive, owned bool, ours, all *fieldpath.Set) {
	if wanted == nil {
		return // applying null sets nothing
	}
	leaf := all.Empty()
	switch w := wanted.(type) {
	case map[string]any:
		if leaf {
			c.leaf(path, wanted, live, inLive, owned)
			return
		}
		l, _ := live.(map[string]any)
		for name, v := range w {
			c.field(path, name, v, l, ours, all)
		}
	case []any:
		l, _ := live.([]any)
		keys, values := elements(all)
		switch {
		case len(keys) > 0:
			c.keyed(path, w, l, keys, ours, all)
		case values:
			c.set(path, w, l, ours)
		default:
			c.leaf(path, wanted, live, inLive, owned)
		}
	default:
		c.leaf(path, wanted, live, inLive, owned)
	}
}

// leaf compares what is owned as a whole: whoever had changed part of it would own it now.
func (c *comparison) leaf(path fieldpath.Path, wanted, live any, inLive, owned bool) {
	if !owned || !inLive && !isZero(wanted) || inLive && !within(wanted, live) {
		c.differs(path)
	}
}

// keyed compares a list whose elements have keys.
func (c *comparison) keyed(path fieldpath.Path, wanted, live []any, keys []value.FieldList, ours, all *fieldpath.Set) {
	for _, w := range wanted {
		n := slices.IndexFunc(keys, func(k value.FieldList) bool { return mayHaveKeys(w, k) })
		if n < 0 {
			c.differs(path)
			continue
		}
		pe := fieldpath.PathElement{Key: &keys[n]}
		at := append(path.Copy(), pe)
		m := slices.IndexFunc(live, func(l any) bool { return hasKeys(l, keys[n]) })
		if m < 0 {
			c.differs(at)
			continue
		}
		c.value(at, w, live[m], true, ours.Members.Has(pe), ours.WithPrefix(pe), all.WithPrefix(pe))
	}
}

// set compares a list whose elements are their own keys.
func (c *comparison) set(path fieldpath.Path, wanted, live []any, ours *fieldpath.Set) {
	for _, w := range wanted {
		v := value.NewValueInterface(w)
		pe := fieldpath.PathElement{Value: &v}
		has := slices.ContainsFunc(live, func(l any) bool { return value.Equals(value.NewValueInterface(l), v) })
		if !has || !ours.Members.Has(pe) {
			c.differs(append(path.Copy(), pe))
		}
	}
}

// elements are the keys of a list's elements, and whether it is a set.
func elements(list *fieldpath.Set) (keys []value.FieldList, values bool) {
	note := func(pe fieldpath.PathElement) {
		if pe.Key != nil && !slices.ContainsFunc(keys, func(k value.FieldList) bool { return k.Equals(*pe.Key) }) {
			keys = append(keys, *pe.Key)
		}
		values = values || pe.Value != nil
	}
	list.Members.Iterate(note)
	list.Children.Iterate(note)
	return keys, values
}

// mayHaveKeys is hasKeys for what has not been defaulted yet: keys may be missing.
func mayHaveKeys(item any, keys value.FieldList) bool {
	m, ok := item.(map[string]any)
	if !ok {
		return false
	}
	for _, k := range keys {
		if v, ok := m[k.Name]; ok && !value.Equals(value.NewValueInterface(v), k.Value) {
			return false
		}
	}
	return true
}

// within says whether live has everything that wanted has. Defaults may have been added.
func within(wanted, live any) bool {
	switch w := wanted.(type) {
	case nil:
		return true
	case map[string]any:
		l, ok := live.(map[string]any)
		for k, v := range w {
			if found, in := l[k]; !in && !isZero(v) || in && !within(v, found) {
				return false
			}
		}
		return ok || isZero(wanted) && isZero(live)
	case []any:
		l, ok := live.([]any)
		if !ok {
			return isZero(wanted) && isZero(live)
		}
		if len(w) != len(l) {
			return false
		}
		for i := range w {
			if !within(w[i], l[i]) {
				return false
			}
		}
		return true
	default:
		return sameScalar(wanted, live)
	}
}

// isZero says whether the API server may leave a value out.
func isZero(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case int64:
		return v == 0
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, e := range v {
			if !isZero(e) {
				return false
			}
		}
		return true
	}
	return false
}

// sameScalar compares text, numbers and quantities, which have several spellings.
func sameScalar(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	x, y := fmt.Sprint(a), fmt.Sprint(b)
	if x == y {
		return true
	}
	p, err := resource.ParseQuantity(x)
	if err != nil {
		return false
	}
	q, err := resource.ParseQuantity(y)
	return err == nil && p.Cmp(q) == 0
}

// lookup finds the value at a path. Elements of keyed lists are found by their keys.
func lookup(v any, path fieldpath.Path) (any, bool) {
	for _, e := range path {
		_, next, ok := step(v, e)
		if !ok {
			return nil, false
		}
		v = next
	}
	return v, true
}

// step takes one step of a path; the first result is the position in a list, -1 for a field.
func step(v any, e fieldpath.PathElement) (int, any, bool) {
	if e.FieldName != nil {
		m, _ := v.(map[string]any)
		next, ok := m[*e.FieldName]
		return -1, next, ok
	}
	list, _ := v.([]any)
	n := -1
	switch {
	case e.Key != nil:
		n = slices.IndexFunc(list, func(item any) bool { return hasKeys(item, *e.Key) })
	case e.Value != nil:
		n = slices.IndexFunc(list, func(item any) bool { return value.Equals(value.NewValueInterface(item), *e.Value) })
	case e.Index != nil && *e.Index >= 0 && *e.Index < len(list):
		n = *e.Index
	}
	if n < 0 {
		return n, nil, false
	}
	return n, list[n], true
}

func hasKeys(item any, keys value.FieldList) bool {
	m, ok := item.(map[string]any)
	if !ok {
		return false
	}
	for _, k := range keys {
		v, ok := m[k.Name]
		if !ok || !value.Equals(value.NewValueInterface(v), k.Value) {
			return false
		}
	}
	return true
}

// removePath takes a field out of an object; what is empty then stays.
func removePath(root map[string]any, path fieldpath.Path) {
	if len(path) == 0 {
		return
	}
	parent, ok := lookup(root, path[:len(path)-1])
	if !ok {
		return
	}
	last := path[len(path)-1]
	if last.FieldName != nil {
		if m, ok := parent.(map[string]any); ok {
			delete(m, *last.FieldName)
		}
		return
	}
	n, _, ok := step(parent, last)
	list, isList := parent.([]any)
	if !ok || !isList {
		return
	}
	shorter := slices.Delete(slices.Clone(list), n, n+1)
	setPath(root, path[:len(path)-1], shorter)
}

// setPath puts a value where another one is.
func setPath(root map[string]any, path fieldpath.Path, v any) {
	parent, ok := lookup(root, path[:len(path)-1])
	if !ok {
		return
	}
	last := path[len(path)-1]
	switch p := parent.(type) {
	case map[string]any:
		if last.FieldName != nil {
			p[*last.FieldName] = v
		}
	case []any:
		if n, _, ok := step(parent, last); ok {
			p[n] = v
		}
	}
}
