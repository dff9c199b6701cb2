package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// objectChange is an object that would be made, changed or removed.
type objectChange struct {
	Component  string `json:"component"`
	Change     string `json:"change"`
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	// Restarts says that pods are replaced.
	Restarts bool          `json:"restarts,omitempty"`
	Fields   []fieldChange `json:"fields,omitempty"`
	// Problem is why the API server would not take it.
	Problem string `json:"problem,omitempty"`
}

type objectKey struct {
	schema.GroupKind
	namespace, name string
}

func keysOf(c *component) map[objectKey]*unstructured.Unstructured {
	out := map[objectKey]*unstructured.Unstructured{}
	if c == nil {
		return out
	}
	for _, u := range c.rendered.All() {
		out[objectKey{u.GroupVersionKind().GroupKind(), u.GetNamespace(), u.GetName()}] = u
	}
	return out
}

func describeObject(component, change string, u *unstructured.Unstructured) objectChange {
	return objectChange{
		Component: component, Change: change, APIVersion: u.GetAPIVersion(), Kind: u.GetKind(),
		Namespace: u.GetNamespace(), Name: u.GetName(),
	}
}

// compareComponents finds the objects in which a component differs from what it was. again renders what it was once more: fields that
// come out differently each time, such as keys that a chart makes up, are no difference.
func compareComponents(name string, from, to *component, again func() (*component, error)) ([]objectChange, error) {
	a, b := keysOf(from), keysOf(to)
	var twice map[objectKey]*unstructured.Unstructured
	var out []objectChange
	for k, u := range a {
		if b[k] == nil {
			out = append(out, describeObject(name, removed, u))
		}
	}
	for k, u := range b {
		was := a[k]
		if was == nil {
			out = append(out, describeObject(name, added, u))
			continue
		}
		fields := compareMaps("", was.Object, u.Object)
		if len(fields) == 0 {
			continue
		}
		if twice == nil {
			c, err := again()
			if err != nil {
				return nil, err
			}
			twice = keysOf(c)
		}
		if other := twice[k]; other != nil {
			fields = withoutRandom(fields, compareMaps("", was.Object, other.Object))
		}
		if len(fields) == 0 {
			continue
		}
		o := describeObject(name, changed, u)
		o.Fields = maskFields(u, fields)
		o.Restarts = restarts(u, fields)
		out = append(out, o)
	}
	sortObjects(out)
	return out, nil
}

func sortObjects(list []objectChange) {
	order := map[string]int{removed: 0, changed: 1, added: 2}
	slices.SortFunc(list, func(a, b objectChange) int {
		return cmp.Or(cmp.Compare(order[a.Change], order[b.Change]), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Name, b.Name))
	})
}

func withoutRandom(fields, random []fieldChange) []fieldChange {
	return slices.DeleteFunc(fields, func(f fieldChange) bool {
		return slices.ContainsFunc(random, func(r fieldChange) bool { return r.Path == f.Path })
	})
}

// maskFields hides the data of Secrets.
func maskFields(u *unstructured.Unstructured, fields []fieldChange) []fieldChange {
	if gvk := u.GroupVersionKind(); gvk.Group != "" || gvk.Kind != "Secret" {
		return fields
	}
	for i := range fields {
		if !strings.HasPrefix(fields[i].Path, ".data") && !strings.HasPrefix(fields[i].Path, ".stringData") {
			continue
		}
		if fields[i].From != nil {
			fields[i].From = masked
		}
		if fields[i].To != nil {
			fields[i].To = masked
		}
	}
	return fields
}

// restarts says whether the pods of a workload are replaced.
func restarts(u *unstructured.Unstructured, fields []fieldChange) bool {
	switch gvk := u.GroupVersionKind(); {
	case gvk.Group != "apps":
		return false
	case gvk.Kind != "DaemonSet" && gvk.Kind != "Deployment" && gvk.Kind != "StatefulSet":
		return false
	}
	return slices.ContainsFunc(fields, func(f fieldChange) bool { return strings.HasPrefix(f.Path, ".spec.template") })
}

// compareRendered compares two sets of components.
func (w *world) compareRendered(ctx context.Context, from, to []*component) ([]objectChange, error) {
	var out []objectChange
	find := func(list []*component, name string) *component {
		if i := slices.IndexFunc(list, func(c *component) bool { return c.Name == name }); i >= 0 {
			return list[i]
		}
		return nil
	}
	var kinds []string
	for _, c := range from {
		was, is := c, find(to, c.Name)
		changes, err := compareComponents(c.Name, was, is, func() (*component, error) { return w.render(ctx, was.Release, kinds) })
		if err != nil {
			return nil, err
		}
		out = append(out, changes...)
		kinds = append(kinds, definedKinds(c)...)
	}
	for _, c := range to {
		if find(from, c.Name) == nil {
			changes, err := compareComponents(c.Name, nil, c, nil)
			if err != nil {
				return nil, err
			}
			out = append(out, changes...)
		}
	}
	return out, nil
}
