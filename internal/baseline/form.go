package baseline

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/networkstack/networkstack/internal/policy"
)

// ref names an object within a namespace, or within the cluster.
type ref struct {
	kind *kind
	name string
}

// digest of the content of an object.
type digest [16]byte

// form is an object that is wanted, once or in many namespaces.
type form struct {
	ref
	deny   bool
	object *unstructured.Unstructured
	// digest of it as it is applied.
	digest digest
	// live is the digest of it as the API server keeps it, with what that fills in; nil before it is known.
	live atomic.Pointer[digest]
}

// formsOf are the objects of a compiled set. Those of known keep what was learnt of them.
func formsOf(objects []*unstructured.Unstructured, known []*form) ([]*form, error) {
	var failed []error
	out := make([]*form, 0, len(objects))
	for _, o := range objects {
		k := kindOf(o.GroupVersionKind())
		if k == nil {
			failed = append(failed, fmt.Errorf("%s %s is of no kind that policies are written as", o.GroupVersionKind(), o.GetName()))
			continue
		}
		sum, err := digestOf(o)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		f := &form{ref: ref{k, o.GetName()}, deny: o.GetLabels()[policy.EffectLabel] == policy.EffectDeny, object: o, digest: sum}
		for _, other := range known {
			if other.ref == f.ref && other.digest == f.digest {
				f = other
				break
			}
		}
		out = append(out, f)
	}
	return out, errors.Join(failed...)
}

// digestOf is a digest of what an object says: everything but metadata and status, and of the metadata what the project's own labels
// and annotations say.
func digestOf(o *unstructured.Unstructured) (digest, error) {
	said := content(o)
	for field, from := range map[string]map[string]string{"labels": o.GetLabels(), "annotations": o.GetAnnotations()} {
		own := map[string]string{}
		for key, value := range from {
			if prefix, _, _ := strings.Cut(key, "/"); prefix == "networkstack.io" {
				own[key] = value
			}
		}
		said["metadata."+field] = own
	}
	data, err := json.Marshal(said)
	if err != nil {
		return digest{}, fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
	}
	sum := sha256.Sum256(data)
	return digest(sum[:len(digest{})]), nil
}

// content is what an object says beside its metadata.
func content(o *unstructured.Unstructured) map[string]any {
	out := make(map[string]any, len(o.Object))
	for key, value := range o.Object {
		switch key {
		case "apiVersion", "kind", "metadata", "status":
		default:
			out[key] = value
		}
	}
	return out
}

// in is the object to apply in a namespace; "" for one without.
func (f *form) in(namespace string) *unstructured.Unstructured {
	o := f.object.DeepCopy()
	if namespace != "" {
		o.SetNamespace(namespace)
	}
	return o
}

// right says whether what there is is what is wanted. Nothing is, before it is known what that looks like.
func (f *form) right(there record) bool {
	live := f.live.Load()
	return live != nil && *live == there.digest
}
