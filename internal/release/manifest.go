package release

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Manifest is the set of objects that a release applied, field by field. It is kept in memory for as long as the release
// is watched, so it holds the objects packed.
type Manifest struct {
	Name, Namespace string
	Component       string
	Revision        int
	Inputs          string
	references      []reference
}

// reference is one object as it was applied: namespace filled in, ownership marks set.
type reference struct {
	object    Object
	transient bool
	packed    []byte
}

// Objects are the names of the objects.
func (m *Manifest) Objects() []Object {
	out := make([]Object, 0, len(m.references))
	for _, r := range m.references {
		out = append(out, r.object)
	}
	return out
}

// Transient says whether an object removes itself when it is done, see the function of this name.
func (m *Manifest) Transient(o Object) bool {
	return slices.ContainsFunc(m.references, func(r reference) bool { return r.transient && r.object == o })
}

// packers are used again: each is a hundred times the size of what it packs.
var packers = sync.Pool{New: func() any {
	w, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// add puts an object into the manifest.
func (m *Manifest) add(u *unstructured.Unstructured) error {
	var b bytes.Buffer
	w, ok := packers.Get().(*flate.Writer)
	if !ok {
		return errors.New("no packer")
	}
	defer packers.Put(w)
	w.Reset(&b)
	if err := json.NewEncoder(w).Encode(u.Object); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	m.references = append(m.references, reference{objectOf(u), Transient(u), bytes.Clone(b.Bytes())})
	return nil
}

// each goes through the objects that pass, unpacked.
func (m *Manifest) each(pass func(Object) bool) iter.Seq2[*unstructured.Unstructured, error] {
	return func(yield func(*unstructured.Unstructured, error) bool) {
		for _, r := range m.references {
			if !pass(r.object) {
				continue
			}
			u, err := r.unpack()
			if !yield(u, err) {
				return
			}
		}
	}
}

func (r reference) unpack() (*unstructured.Unstructured, error) {
	raw, err := io.ReadAll(flate.NewReader(bytes.NewReader(r.packed)))
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", r.object, err)
	}
	u := &unstructured.Unstructured{}
	// UnmarshalJSON keeps whole numbers whole, which json.Unmarshal into a map would not.
	if err := u.UnmarshalJSON(raw); err != nil {
		return nil, fmt.Errorf("unpack %s: %w", r.object, err)
	}
	return u, nil
}
