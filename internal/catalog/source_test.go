package catalog

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// askers is how many ask at once.
const askers = 8

// newer has another ConfigMap at every look.
type newer struct {
	client.Reader
	last atomic.Int64
}

func (n *newer) Get(_ context.Context, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	cm, ok := obj.(*corev1.ConfigMap)
	if !ok {
		return fmt.Errorf("a %T is read", obj)
	}
	cm.UID, cm.ResourceVersion = "1", strconv.FormatInt(n.last.Add(1), 10)
	for range askers {
		runtime.Gosched() // whoever else may look meanwhile does
	}
	return nil
}

// TestSourceAtOnce has many ask at once: the catalogue never goes back to that of an older ConfigMap.
func TestSourceAtOnce(t *testing.T) {
	reader := &newer{}
	s := &Source{Reader: reader, base: &Set{}}
	const times = 200
	var wg sync.WaitGroup
	var back atomic.Int64
	for range askers {
		wg.Go(func() {
			for range times {
				if _, err := s.Current(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		seen := int64(0)
		for reader.last.Load() < askers*times {
			s.mu.Lock()
			now, err := strconv.ParseInt(s.of.revision, 10, 64)
			s.mu.Unlock()
			if err == nil && now < seen {
				back.Add(1)
			}
			seen = max(seen, now)
		}
	})
	wg.Wait()
	if n := back.Load(); n > 0 || s.of.revision != strconv.Itoa(askers*times) {
		t.Errorf("it went back %d times, and ended with %s of %d", n, s.of.revision, askers*times)
	}
}
