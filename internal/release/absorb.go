package release

import (
	"encoding/json"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// absorption is the JSON patch that makes additions ours, provided nobody has written to the object since. The apply that
// follows leaves them out, and so removes them together with whatever else it changes: a Service is never without the one
// port that somebody renumbered, and pods are rolled out once and not twice.
func absorption(live *unstructured.Unstructured, found []addition, manager string) ([]byte, error) {
	entries := live.GetManagedFields()
	taken := &fieldpath.Set{}
	version, ours := "", -1
	for i := range entries {
		if isOurs(entries[i], manager) {
			ours, version = i, entries[i].APIVersion
		}
	}
	if ours < 0 {
		return nil, errNothingOfOurs
	}
	for i := range entries {
		e := &entries[i]
		// Fields are named as a version of the API has them; those of another one cannot be taken over.
		if !isOthers(*e, manager) || e.APIVersion != version {
			continue
		}
		set, err := readSet(*e)
		if err != nil {
			return nil, err
		}
		part := heldBy(set, found)
		taken = taken.Union(part)
		if e.FieldsV1, err = fieldsOf(set.Difference(part)); err != nil {
			return nil, err
		}
	}
	set, err := readSet(entries[ours])
	if err != nil {
		return nil, err
	}
	if entries[ours].FieldsV1, err = fieldsOf(set.Union(taken)); err != nil {
		return nil, err
	}
	var left []metav1.ManagedFieldsEntry
	for i := range entries {
		if e := &entries[i]; e.FieldsV1 == nil || e.FieldsV1.GetRawString() != "{}" {
			left = append(left, *e)
		}
	}
	return json.Marshal([]any{
		map[string]any{"op": "replace", "path": "/metadata/resourceVersion", "value": live.GetResourceVersion()},
		map[string]any{"op": "replace", "path": "/metadata/managedFields", "value": left},
	})
}

// errNothingOfOurs means that somebody else has taken over every field of an object.
var errNothingOfOurs = errors.New("the object has no field of ours")

// heldBy is the part of a set that additions hold.
func heldBy(set *fieldpath.Set, found []addition) *fieldpath.Set {
	out := &fieldpath.Set{}
	set.Iterate(func(p fieldpath.Path) {
		for _, a := range found {
			if len(a.path) <= len(p) && a.path.Equals(p[:len(a.path)]) {
				out.Insert(p.Copy())
				return
			}
		}
	})
	return out
}

func fieldsOf(set *fieldpath.Set) (*metav1.FieldsV1, error) {
	raw, err := set.ToJSON()
	if err != nil {
		return nil, err
	}
	return metav1.NewFieldsV1(string(raw)), nil
}
