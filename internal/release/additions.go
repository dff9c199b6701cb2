package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// addition is something that somebody else put where only we decide what there is.
type addition struct {
	path    fieldpath.Path
	manager string
	at      time.Time
}

// additions finds what others added to lists and maps that we define: entries of keyed lists and sets, keys of
// ConfigMaps and Secrets, anything in the spec of a pod template or of a CRD. Everything else that we don't set belongs to whoever sets
// it. Server-side apply alone would leave all of it.
func additions(live, wanted *unstructured.Unstructured, manager string, ours *fieldpath.Set) ([]addition, error) {
	zone := closedZone(live.GroupVersionKind().GroupKind())
	if zone == nil {
		return nil, nil
	}
	var out []addition
	for _, entry := range live.GetManagedFields() {
		if !isOthers(entry, manager) || isControlPlane(entry.Manager) {
			continue
		}
		set, err := readSet(entry)
		if err != nil {
			return nil, err
		}
		var at time.Time
		if entry.Time != nil {
			at = entry.Time.Time
		}
		set.Iterate(func(p fieldpath.Path) {
			root := foreignRoot(ours, wanted.Object, p)
			if root == nil || !zone(root, wanted.Object) {
				return
			}
			if _, ok := lookup(live.Object, root); !ok {
				return
			}
			if !slices.ContainsFunc(out, func(a addition) bool { return a.path.Equals(root) }) {
				out = append(out, addition{root.Copy(), entry.Manager, at})
			}
		})
	}
	// A root may lie within another one when two managers wrote there.
	out = slices.DeleteFunc(out, func(a addition) bool {
		return slices.ContainsFunc(out, func(b addition) bool { return len(b.path) < len(a.path) && b.path.Equals(a.path[:len(b.path)]) })
	})
	return out, nil
}

// isOthers says whether an entry of managed fields, statuses aside, is somebody else's. What a mutating webhook does to our
// own requests is noted as an update of ours.
func isOthers(e metav1.ManagedFieldsEntry, manager string) bool {
	return e.Subresource != statusSubresource && e.FieldsV1 != nil && e.Manager != manager
}

// isControlPlane names the managers whose writes outside status are part of how Kubernetes works.
func isControlPlane(manager string) bool {
	return manager == "kube-controller-manager" || manager == "kube-apiserver" || manager == "kube-scheduler"
}

// foreignRoot is the shortest part of a path of which we neither own nor want anything, nil when there is none.
func foreignRoot(ours *fieldpath.Set, wanted any, p fieldpath.Path) fieldpath.Path {
	has := true
	for i, e := range p {
		sub := ours.WithPrefix(e)
		owned := ours.Members.Has(e) || !sub.Empty()
		if has {
			wanted, has = wantedStep(wanted, e)
		}
		if !owned && !has {
			return p[:i+1]
		}
		ours = sub
	}
	return nil
}

// wantedStep takes one step into what is applied, where keys of elements may be left to defaults.
func wantedStep(v any, e fieldpath.PathElement) (any, bool) {
	if e.Key == nil {
		_, next, ok := step(v, e)
		return next, ok && next != nil
	}
	list, _ := v.([]any)
	n := slices.IndexFunc(list, func(item any) bool { return mayHaveKeys(item, *e.Key) })
	if n < 0 {
		return nil, false
	}
	return list[n], true
}

// closedZone says, for a kind, what others may not add to. It is nil for kinds where they may add anything: custom
// resources, which other operators fill in, and objects that are made to be shared.
func closedZone(gk schema.GroupKind) func(root fieldpath.Path, wanted map[string]any) bool {
	if !isBuiltIn(gk.Group) || gk.Kind == "ServiceAccount" || gk.Kind == "Namespace" {
		return nil
	}
	template := podTemplate(gk)
	return func(root fieldpath.Path, wanted map[string]any) bool {
		first := root[0].FieldName
		if first == nil || *first == "metadata" || *first == "status" {
			return false
		}
		switch {
		case len(template) > 0 && hasPrefix(root, template):
			return true
		case isCRD(gk):
			// Who serves the conversion says so there.
			return *first == "spec" && !containsField(root, "conversion")
		case gk.Group == "" && (gk.Kind == "ConfigMap" || gk.Kind == "Secret"):
			// Data that the chart leaves wholly to others is theirs.
			return (*first == "data" || *first == "binaryData") && (!isZero(wanted["data"]) || !isZero(wanted["binaryData"]))
		}
		last := root[len(root)-1]
		return (last.Key != nil || last.Value != nil) && !containsField(root, "metadata")
	}
}

func containsField(p fieldpath.Path, name string) bool {
	return slices.ContainsFunc(p, func(e fieldpath.PathElement) bool { return e.FieldName != nil && *e.FieldName == name })
}

func hasPrefix(p fieldpath.Path, fields []string) bool {
	if len(p) <= len(fields) {
		return false
	}
	for i, f := range fields {
		if p[i].FieldName == nil || *p[i].FieldName != f {
			return false
		}
	}
	return true
}

// isBuiltIn says whether a group is Kubernetes' own. Groups with a dot but without k8s.io are custom resources'.
func isBuiltIn(group string) bool {
	return !strings.Contains(group, ".") || slices.Contains([]string{
		"admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "rbac.authorization.k8s.io",
		"networking.k8s.io", "storage.k8s.io", "scheduling.k8s.io", "node.k8s.io", "coordination.k8s.io", "discovery.k8s.io",
		"flowcontrol.apiserver.k8s.io", "certificates.k8s.io", "resource.k8s.io",
	}, group)
}

// podTemplate is where a workload has the spec of its pods.
func podTemplate(gk schema.GroupKind) []string {
	switch gk {
	case schema.GroupKind{Group: "apps", Kind: "DaemonSet"}, schema.GroupKind{Group: "apps", Kind: "Deployment"},
		schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}:
		return []string{"spec", "template", "spec"}
	case schema.GroupKind{Group: "batch", Kind: "CronJob"}:
		return []string{"spec", "jobTemplate", "spec", "template", "spec"}
	}
	return nil
}

// removal is the JSON patch that takes out what was found, provided that it still is where it was. It asks nothing of the
// rest of the object: whatever controllers write there in the meantime is no conflict.
func removal(live *unstructured.Unstructured, found []addition) ([]byte, error) {
	type target struct {
		pointer   string
		positions []int
		ops       []map[string]any
	}
	var targets []target
	for _, a := range found {
		p, ok := pointerTo(live.Object, a.path)
		if !ok {
			continue
		}
		ops := make([]map[string]any, 0, len(p.keys)+2)
		for _, k := range p.keys {
			ops = append(ops, map[string]any{"op": "test", "path": k.pointer, "value": k.value})
		}
		ops = append(ops, map[string]any{"op": "test", "path": p.text, "value": p.value}, map[string]any{"op": "remove", "path": p.text})
		targets = append(targets, target{p.text, p.positions, ops})
	}
	if len(targets) == 0 {
		return nil, errors.New("what was added is gone")
	}
	// Later elements of a list first, so that the positions of the others stay right.
	slices.SortStableFunc(targets, func(a, b target) int { return slices.Compare(b.positions, a.positions) })
	var ops []map[string]any
	for _, t := range targets {
		ops = append(ops, t.ops...)
	}
	return json.Marshal(ops)
}

// movedOn says that a removal did not find what it was to remove: the object has changed since it was read. The API server
// answers a failed test like an invalid object, except that it names no object.
func movedOn(err error) bool {
	if !apierrors.IsInvalid(err) {
		return false
	}
	var status apierrors.APIStatus
	return errors.As(err, &status) && (status.Status().Details == nil || status.Status().Details.Kind == "")
}

// pointer is a path in an object in the form of JSON patches.
type pointer struct {
	text  string
	value any
	// positions are those in the lists that it goes through, and keys what identifies the elements there.
	positions []int
	keys      []keyField
}

type keyField struct {
	pointer string
	value   any
}

// pointerTo is the pointer to a path in an object.
func pointerTo(v any, path fieldpath.Path) (p pointer, ok bool) {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, e := range path {
		n, next, found := step(v, e)
		if !found {
			return pointer{}, false
		}
		v = next
		if n < 0 {
			p.text += "/" + escape.Replace(*e.FieldName)
			continue
		}
		p.text += fmt.Sprintf("/%d", n)
		p.positions = append(p.positions, n)
		if e.Key != nil {
			for _, k := range *e.Key {
				p.keys = append(p.keys, keyField{p.text + "/" + escape.Replace(k.Name), k.Value.Unstructured()})
			}
		}
	}
	p.value = v
	return p, true
}
