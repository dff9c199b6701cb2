package drift

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// pendingGrace is how long a revision that somebody else began may stay unfinished before its maker is taken for dead. One
// that is alive gets to the objects sooner, and then they show it.
const pendingGrace = 30 * time.Second

// secretKind is the kind of Helm's records.
var secretKind = corev1.SchemeGroupVersion.WithKind("Secret")

// revision is the newest one that is expected of a component's Helm release.
type revision struct {
	namespace, name string
	number          int
	// removed says that its record was deleted.
	removed bool
}

// TrackRevision expects that no revision of a component's Helm release is newer than this one, and that its record stays.
// Helm's own tool copies the component's label to the records it makes, so they are seen here too.
func (w *Watcher) TrackRevision(component, namespace, name string, number int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revisions[component] = &revision{namespace: namespace, name: name, number: number}
	if w.informers[secretKind] != nil {
		return nil
	}
	if err := w.watch(secretKind); err != nil {
		return fmt.Errorf("records of releases cannot be watched: %w", err)
	}
	return nil
}

// Superseded says since when it is sure, or will be, that somebody else changed the records of a component's Helm release:
// made a revision, or removed ours. The zero time means that nobody did. A revision that is not finished may still be under
// way, so that time is in the future.
func (w *Watcher) Superseded(component string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	expected, informer := w.revisions[component], w.informers[secretKind]
	if expected == nil || informer == nil || !informer.HasSynced() {
		return time.Time{}
	}
	if expected.removed {
		return time.Now()
	}
	var at time.Time
	for _, obj := range informer.GetStore().List() {
		m, ok := obj.(*metav1.PartialObjectMetadata)
		if !ok || !expected.superseded(m) {
			continue
		}
		sure := writtenAt(m)
		if pending(m) {
			sure = sure.Add(pendingGrace)
		}
		if at.IsZero() || sure.Before(at) {
			at = sure
		}
	}
	return at
}

// of says whether a Secret is a record of the release, and of which revision.
func (r *revision) of(m *metav1.PartialObjectMetadata) (int, bool) {
	if m.Namespace != r.namespace || m.Labels["owner"] != "helm" || m.Labels["name"] != r.name {
		return 0, false
	}
	n, err := strconv.Atoi(m.Labels["version"])
	return n, err == nil
}

// superseded says whether a Secret is a record that says that the release is no longer what was applied.
func (r *revision) superseded(m *metav1.PartialObjectMetadata) bool {
	n, ok := r.of(m)
	return ok && (n > r.number || n == r.number && strings.HasPrefix(m.Labels["status"], "uninstall"))
}

// writtenAt is when a record was written last, which Helm notes in a label.
func writtenAt(m *metav1.PartialObjectMetadata) time.Time {
	at := m.CreationTimestamp.Time
	if n, err := strconv.ParseInt(m.Labels["modifiedAt"], 10, 64); err == nil && at.Before(time.Unix(n, 0)) {
		at = time.Unix(n, 0)
	}
	return at
}

func pending(m *metav1.PartialObjectMetadata) bool {
	switch m.Labels["status"] {
	case "pending-install", "pending-upgrade", "pending-rollback", "uninstalling":
		return true
	}
	return false
}

// noticedRecord wakes the component of a release that somebody else made a revision of.
func (w *Watcher) noticedRecord(m *metav1.PartialObjectMetadata, deleted bool) {
	w.mu.Lock()
	component := ""
	for name, r := range w.revisions {
		n, ok := r.of(m)
		if ok && deleted && n == r.number || !deleted && r.superseded(m) {
			r.removed = r.removed || deleted
			component = name
			break
		}
	}
	w.mu.Unlock()
	if component != "" {
		w.log.V(1).Info("the Helm release has another revision than was applied", "component", component, "record", m.Name)
		w.wake(component)
	}
}

// metadataOf is what an event of an informer is about.
func metadataOf(obj any) *metav1.PartialObjectMetadata {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	m, _ := obj.(*metav1.PartialObjectMetadata)
	return m
}
