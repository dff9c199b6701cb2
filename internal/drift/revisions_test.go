package drift

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/networkstack/networkstack/internal/release"
)

func recordOf(name string, version int) release.Object {
	return release.Object{GVK: secretKind, Namespace: "net", Name: fmt.Sprintf("sh.helm.release.v1.%s.v%d", name, version)}
}

// record writes what Helm writes about a revision, at a time.
func (c *cluster) record(name string, version int, status string, at time.Time) {
	c.put(recordOf(name, version), "", func(m *metav1.PartialObjectMetadata) {
		for k, v := range map[string]string{"owner": "helm", "name": name, "version": fmt.Sprint(version), "status": status} {
			m.Labels[k] = v
		}
		m.CreationTimestamp = metav1.NewTime(at)
		if status != "deployed" {
			m.CreationTimestamp = metav1.NewTime(at.Add(-time.Minute))
			m.Labels["modifiedAt"] = fmt.Sprint(at.Unix())
		}
	})
}

// TestRevisions goes through what can happen to the records of a release whose revision 3 is deployed.
func TestRevisions(t *testing.T) {
	past := time.Now().Add(-time.Hour).Truncate(time.Second)
	now := time.Now().Truncate(time.Second)
	for _, tc := range []struct {
		name   string
		happen func(*cluster)
		wakes  bool
		// sure is when the release counts as somebody else's work; the zero time is never.
		sure time.Time
	}{
		{"nothing", func(*cluster) {}, false, time.Time{}},
		{"ours is written again", func(c *cluster) { c.record("cni", 3, "deployed", past) }, false, time.Time{}},
		{"an old one is removed", func(c *cluster) { c.delete(recordOf("cni", 2)) }, false, time.Time{}},
		{"one of another release", func(c *cluster) { c.record("proxy", 4, "deployed", past) }, false, time.Time{}},
		{"a Secret that is no record", func(c *cluster) { c.put(recordOf("cni", 4), "") }, false, time.Time{}},
		{"a newer one", func(c *cluster) { c.record("cni", 4, "deployed", past) }, true, past},
		{"a newer one that failed", func(c *cluster) { c.record("cni", 4, "failed", past) }, true, past},
		{"a newer one is begun", func(c *cluster) { c.record("cni", 4, "pending-upgrade", now) }, true, now.Add(pendingGrace)},
		{"one was begun and given up", func(c *cluster) { c.record("cni", 4, "pending-rollback", past) }, true, past.Add(pendingGrace)},
		{"ours is being uninstalled", func(c *cluster) { c.record("cni", 3, "uninstalling", now) }, true, now.Add(pendingGrace)},
		{"ours was uninstalled and its record kept", func(c *cluster) { c.record("cni", 3, "uninstalled", past) }, true, past},
		{"two newer ones", func(c *cluster) {
			c.record("cni", 4, "superseded", past)
			c.record("cni", 5, "pending-upgrade", now)
		}, true, past},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			w := newWatched(t, c)
			for n := 1; n <= 3; n++ {
				c.record("cni", n, "deployed", past)
			}
			if err := w.TrackRevision("cni", "net", "cni", 3); err != nil {
				t.Fatal(err)
			}
			w.start(secretKind)
			if at := w.Superseded("cni"); !at.IsZero() {
				t.Fatalf("superseded at %s before anything happened", at)
			}
			tc.happen(c)
			if tc.wakes {
				w.wakes("cni")
			} else {
				w.quiet(c, secretKind)
			}
			w.quiet(c, secretKind, "cni")
			if at := w.Superseded("cni"); !at.Equal(tc.sure) {
				t.Errorf("superseded at %s, want %s", at, tc.sure)
			}
		})
	}
}

// TestRemovedRecord has the record of the deployed revision deleted, which leaves nothing to see in any list.
func TestRemovedRecord(t *testing.T) {
	c := newCluster(t)
	w := newWatched(t, c)
	c.record("cni", 3, "deployed", time.Now())
	if err := w.TrackRevision("cni", "net", "cni", 3); err != nil {
		t.Fatal(err)
	}
	w.start(secretKind)
	c.delete(recordOf("cni", 3))
	w.wakes("cni")
	if at := w.Superseded("cni"); at.IsZero() || at.After(time.Now()) {
		t.Errorf("superseded at %s", at)
	}
	// It was looked at, or made again.
	if err := w.TrackRevision("cni", "net", "cni", 3); err != nil {
		t.Fatal(err)
	}
	if at := w.Superseded("cni"); !at.IsZero() {
		t.Errorf("still superseded at %s", at)
	}
	w.Forget("cni")
	c.record("cni", 4, "deployed", time.Now())
	w.quiet(c, secretKind)
	if at := w.Superseded("cni"); !at.IsZero() {
		t.Errorf("superseded at %s although nothing is expected of it", at)
	}
}
