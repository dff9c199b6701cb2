package status

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Writer writes the status of objects of which this process is the only status writer. It remembers what it
// wrote, because a cache may lag behind and then show a status that is no longer there.
// S is the type of the status.
type Writer[S any] struct {
	client client.StatusClient

	mu      sync.Mutex
	written map[types.UID]*S
}

// NewWriter makes a Writer.
func NewWriter[S any](c client.StatusClient) *Writer[S] {
	return &Writer[S]{client: c, written: map[types.UID]*S{}}
}

// Latest is the status last written to the object with this UID, or else the one given. The caller may change it.
func (w *Writer[S]) Latest(uid types.UID, seen *S) (*S, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := seen
	if last := w.written[uid]; last != nil {
		from = last
	}
	return clone(from)
}

// Write writes the status when it differs from what is there, and says whether it did. latest is what Latest answered.
func (w *Writer[S]) Write(ctx context.Context, obj client.Object, latest, wanted *S) (bool, error) {
	patch, err := difference(latest, wanted)
	if err != nil {
		return false, fmt.Errorf("comparing statuses: %w", err)
	}
	if patch == nil {
		return false, nil
	}
	target, ok := obj.DeepCopyObject().(client.Object)
	if !ok {
		return false, fmt.Errorf("%T is no API object", obj)
	}
	if err := w.client.Status().Patch(ctx, target, client.RawPatch(types.MergePatchType, patch)); err != nil {
		// What is there now is unknown: the next comparison starts from what the cache shows.
		w.Forget(obj.GetUID())
		return false, err
	}
	kept, err := clone(wanted)
	if err != nil {
		return true, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written[obj.GetUID()] = kept
	return true, nil
}

// Forget drops what is remembered of an object that is gone.
func (w *Writer[S]) Forget(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.written, uid)
}

// Same says whether two statuses are written alike.
func Same[S any](a, b *S) (bool, error) {
	patch, err := difference(a, b)
	return patch == nil, err
}

func clone[S any](s *S) (*S, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	out := new(S)
	return out, json.Unmarshal(data, out)
}

// difference is the merge patch that turns one status into the other; nil when there is none.
func difference[S any](from, to *S) ([]byte, error) {
	a, err := json.Marshal(map[string]*S{"status": from})
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(map[string]*S{"status": to})
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.CreateMergePatch(a, b)
	if err != nil || string(patch) == "{}" {
		return nil, err
	}
	return patch, nil
}
