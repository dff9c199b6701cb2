package drift

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/networkstack/networkstack/internal/release"
)

var (
	config = release.Object{GVK: configMaps, Namespace: "net", Name: "config"}
	second = release.Object{GVK: configMaps, Namespace: "net", Name: "second"}
	role   = release.Object{GVK: clusterRoles, Name: "role"}
)

// differing wants exactly these objects of the component cni to differ.
func (w *watched) differing(want ...release.Object) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.Drifted("cni")); diff != "" {
		w.t.Errorf("drifted (-want +got):\n%s", diff)
	}
}

// TestChange goes through what can happen to an object that is as it was applied.
func TestChange(t *testing.T) {
	for _, tc := range []struct {
		name   string
		object release.Object
		happen func(*cluster, release.Object)
		drift  bool
	}{
		{"nothing", config, func(*cluster, release.Object) {}, false},
		{"a status", config, func(c *cluster, o release.Object) {
			c.put(o, "ours", func(m *metav1.PartialObjectMetadata) {
				m.ManagedFields[0].Subresource, m.ManagedFields[0].FieldsV1 = "status", metav1.NewFieldsV1(`{"f:status":{}}`)
			})
		}, false},
		{"a field of the control plane's", config, func(c *cluster, o release.Object) {
			c.put(o, "ours", func(m *metav1.PartialObjectMetadata) {
				m.ManagedFields[0].Manager, m.ManagedFields[0].FieldsV1 = "kube-controller-manager", metav1.NewFieldsV1(`{"f:data":{}}`)
			})
		}, false},
		// It may be one too many; the look at the object will tell.
		{"a field of somebody else's", config, func(c *cluster, o release.Object) {
			c.put(o, "ours", func(m *metav1.PartialObjectMetadata) {
				m.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:data":{}}`)
			})
		}, true},
		{"a label of somebody else's", config, func(c *cluster, o release.Object) {
			c.put(o, "ours", func(m *metav1.PartialObjectMetadata) { m.Labels["team"] = "network" })
		}, false},
		{"a field of ours was taken", config, func(c *cluster, o release.Object) { c.put(o, "rest") }, true},
		{"all fields of ours were taken", config, func(c *cluster, o release.Object) { c.put(o, "") }, true},
		{"deleted", config, func(c *cluster, o release.Object) { c.delete(o) }, true},
		{"lost our label", config, func(c *cluster, o release.Object) {
			c.put(o, "ours", func(m *metav1.PartialObjectMetadata) { m.Labels = nil })
		}, true},
		{"an object of the cluster was changed", role, func(c *cluster, o release.Object) { c.put(o, "rest") }, true},
		{"an object of the cluster was deleted", role, func(c *cluster, o release.Object) { c.delete(o) }, true},
		{"an object of the cluster was not touched", role, func(*cluster, release.Object) {}, false},
		{"somebody else's object", config, func(c *cluster, _ release.Object) {
			c.put(second, "ours")
			c.put(second, "other")
			c.delete(second)
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			w := newWatched(t, c)
			w.track("cni", c.put(tc.object, "ours"))
			w.start(tc.object.GVK)
			w.differing()

			tc.happen(c, tc.object)
			if tc.drift {
				w.wakes("cni")
				w.differing(tc.object)
				return
			}
			w.quiet(c, tc.object.GVK)
			w.differing()
		})
	}
}

// TestStart covers what was so before the watch began, and therefore makes no event.
func TestStart(t *testing.T) {
	for _, tc := range []struct {
		name   string
		happen func(*cluster)
		drift  bool
	}{
		{"as applied", func(*cluster) {}, false},
		{"changed", func(c *cluster) { c.put(config, "rest") }, true},
		{"missing", func(c *cluster) { c.delete(config) }, true},
	} {
		for _, late := range []bool{false, true} {
			name := tc.name + ", tracked before the start"
			if late {
				name = tc.name + ", tracked after it"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := newCluster(t)
				w := newWatched(t, c)
				applied, other := c.put(config, "ours"), c.put(role, "ours")
				tc.happen(c)
				if late {
					w.start(clusterRoles)
				}
				w.track("cni", applied)
				w.track("other", other)
				if !late {
					w.start()
				}
				if tc.drift {
					w.wakes("cni")
					// The first event may come before the list is complete; then there is another wake when it is.
					eventually(t, "the object to differ", func() bool { return len(w.Drifted("cni")) == 1 })
					w.differing(config)
					return
				}
				eventually(t, "both kinds are synced", func() bool { return w.hasSynced(configMaps) && w.hasSynced(clusterRoles) })
				w.quiet(c, configMaps)
				w.differing()
			})
		}
	}
}

// TestDriftedBeforeTheFirstList wants a Watcher that knows nothing to say nothing.
func TestDriftedBeforeTheFirstList(t *testing.T) {
	c := newCluster(t)
	w := newWatched(t, c)
	applied := c.put(config, "ours")
	c.delete(config)
	w.track("cni", applied)
	w.differing()
}

// TestLaggingWatch applies objects of which the watch has not heard yet.
func TestLaggingWatch(t *testing.T) {
	c := newCluster(t)
	w := newWatched(t, c)
	old := c.put(config, "old")
	w.start(configMaps)
	eventually(t, "the watch has come as far as the list", func() bool { return w.lastSeen(configMaps) == old.ResourceVersion })

	// The new version's event and the new object's are still to come: neither has changed, and neither is missing.
	renewed, created := old, release.Applied{Object: second, Fingerprint: "created"}
	renewed.ResourceVersion, renewed.Fingerprint = "9000", "renewed"
	created.ResourceVersion = "9001"
	w.track("cni", renewed, created)
	w.differing()
	c.put(config, "old", func(m *metav1.PartialObjectMetadata) { m.Labels["seen"] = "late" })
	w.quiet(c, configMaps)
	w.differing()

	// Once the watch has come as far, what it sees counts.
	c.mu.Lock()
	c.version = 9001
	c.mu.Unlock()
	c.put(config, "taken")
	w.wakes("cni")
	eventually(t, "the object that never appeared is missed", func() bool { return len(w.Drifted("cni")) == 2 })
	w.differing(config, second)
}

// TestUpdate renews what is expected after an object was restored.
func TestUpdate(t *testing.T) {
	c := newCluster(t)
	w := newWatched(t, c)
	w.track("cni", c.put(config, "ours"))
	w.start(configMaps)
	c.put(config, "taken")
	w.wakes("cni")

	// The engine applies, and the reconciler learns of it; events may come in between and wake it once more.
	restored := c.put(config, "restored")
	unknown := c.put(second, "ours")
	w.Update("cni", []release.Applied{restored, unknown})
	w.Update("nobody", []release.Applied{restored})
	eventually(t, "the restored object is as expected", func() bool { return len(w.Drifted("cni")) == 0 })
	w.quiet(c, configMaps, "cni")

	// An object that was not expected before is not expected now.
	c.put(second, "changed")
	w.quiet(c, configMaps)
	c.put(config, "taken again")
	w.wakes("cni")
	w.differing(config)
}

// TestOpen leaves objects as they are: reported drift is reported once, and looked at again when it may be over.
func TestOpen(t *testing.T) {
	taken := func(c *cluster) release.Applied { return c.put(config, "taken") }
	generation := func(n int64) func(*metav1.PartialObjectMetadata) {
		return func(m *metav1.PartialObjectMetadata) { m.Generation = n }
	}
	spec := func(c *cluster) release.Applied { return c.put(config, "taken", generation(1)) }
	deleted := func(c *cluster) release.Applied {
		c.delete(config)
		return release.Applied{Object: config}
	}
	unlabelled := func(c *cluster) release.Applied {
		return c.put(config, "taken", func(m *metav1.PartialObjectMetadata) { m.Labels = nil })
	}
	foreign := func(fields string) func(*metav1.PartialObjectMetadata) {
		return func(m *metav1.PartialObjectMetadata) {
			m.ManagedFields = append(m.ManagedFields, metav1.ManagedFieldsEntry{
				Manager: "other", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsV1: metav1.NewFieldsV1(fields)})
		}
	}
	const open, harmless = true, false

	for _, tc := range []struct {
		name    string
		happen  func(*cluster) release.Applied
		open    bool
		next    func(*cluster)
		noticed bool
	}{
		{"open, and changes again", taken, open, func(c *cluster) { c.put(config, "taken more") }, true},
		{"open, and is deleted", taken, open, func(c *cluster) { c.delete(config) }, true},
		{"open, and is as it was", taken, open, func(c *cluster) { c.put(config, "ours") }, true},
		// Somebody may have put the value right without being noted as its owner.
		{"open without generations, and changes somewhere", taken, open, func(c *cluster) { c.put(config, "taken") }, true},
		{"open, and its spec changes", spec, open, func(c *cluster) { c.put(config, "taken", generation(2)) }, true},
		{"open, and somebody writes once more", spec, open, func(c *cluster) {
			c.put(config, "taken", generation(1), foreign(`{"f:metadata":{"f:labels":{"f:a":{}}}}`))
		}, true},
		{"open, and only its status changes", spec, open, func(c *cluster) {
			c.put(config, "taken", generation(1), func(m *metav1.PartialObjectMetadata) {
				m.ManagedFields = append(m.ManagedFields, metav1.ManagedFieldsEntry{Manager: "controller", Subresource: "status",
					Operation: metav1.ManagedFieldsOperationUpdate, FieldsV1: metav1.NewFieldsV1(`{"f:status":{}}`)})
			})
		}, false},
		{"open for having been deleted, and comes back", deleted, open, func(c *cluster) { c.put(config, "ours") }, true},
		{"open without a field of ours, and gets some", func(c *cluster) release.Applied { return c.put(config, "") }, open,
			func(c *cluster) { c.put(config, "ours") }, true},
		// It is not seen any more, so there would be no end to looking at it.
		{"open for having lost its label, and changes again", unlabelled, open, func(c *cluster) { unlabelled(c) }, false},
		{"open for having lost its label, and gets it again", unlabelled, open, func(c *cluster) { c.put(config, "ours") }, true},
		{"harmless without its label", unlabelled, harmless, func(*cluster) {}, false},
		{"harmless, and changes somewhere", taken, harmless, func(c *cluster) { c.put(config, "taken") }, false},
		{"harmless, and changes again", taken, harmless, func(c *cluster) { c.put(config, "taken more") }, true},
		{"harmless, and is deleted", taken, harmless, func(c *cluster) { c.delete(config) }, true},
		{"harmless, and somebody adds a field", taken, harmless, func(c *cluster) { c.put(config, "taken", foreign(`{"f:data":{"f:x":{}}}`)) }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			w := newWatched(t, c)
			w.track("cni", c.put(config, "ours"))
			w.start(configMaps)
			looked := tc.happen(c)
			w.wakes("cni")

			looked.Open = tc.open
			w.Update("cni", []release.Applied{looked})
			w.differing()
			w.quiet(c, configMaps)
			tc.next(c)
			if tc.noticed {
				w.wakes("cni")
				w.differing(config)
				return
			}
			w.quiet(c, configMaps)
			w.differing()
		})
	}
}

// TestUpdateLeavesTheRest wants drift of an object that was not looked at to stay drift.
func TestUpdateLeavesTheRest(t *testing.T) {
	c := newCluster(t)
	w := newWatched(t, c)
	w.track("cni", c.put(config, "ours"), c.put(second, "ours"))
	w.start(configMaps)
	first := c.put(config, "taken")
	w.wakes("cni")
	other := c.put(second, "taken")
	w.wakes("cni")
	w.Update("cni", []release.Applied{other})
	w.Update("nobody", []release.Applied{first})
	w.differing(config)
	w.Update("cni", []release.Applied{first})
	w.differing()
}

// TestNoticed tells since when a component differs.
func TestNoticed(t *testing.T) {
	c := newCluster(t)
	w := newWatched(t, c)
	w.track("cni", c.put(config, "ours"), c.put(second, "ours"))
	w.start(configMaps)
	if at := w.Noticed("cni"); !at.IsZero() {
		t.Errorf("noticed at %s although nothing differs", at)
	}
	before := time.Now()
	c.put(config, "taken")
	w.wakes("cni")
	between := time.Now()
	c.put(second, "taken")
	w.wakes("cni")
	if at := w.Noticed("cni"); at.Before(before) || at.After(between) {
		t.Errorf("noticed at %s, want between %s and %s", at, before, between)
	}
	if at := w.Noticed("cni"); !at.IsZero() {
		t.Errorf("noticed twice: %s", at)
	}
}

func TestForget(t *testing.T) {
	c := newCluster(t)
	w := newWatched(t, c)
	w.track("cni", c.put(config, "ours"))
	w.start(configMaps)
	w.Forget("cni")
	c.put(config, "taken")
	w.quiet(c, configMaps)
	w.differing()
	// Updating does not bring it back.
	w.Update("cni", []release.Applied{{Object: config, Fingerprint: "x"}})
	w.differing()
}

// TestTrackReplaces wants objects that a new revision no longer has to be nobody's concern.
func TestTrackReplaces(t *testing.T) {
	c := newCluster(t)
	w := newWatched(t, c)
	first, other := c.put(config, "ours"), c.put(second, "ours")
	w.track("cni", first, other)
	w.start(configMaps)
	w.track("cni", first)
	c.delete(second)
	w.quiet(c, configMaps)
	c.put(config, "taken")
	w.wakes("cni")
	w.differing(config)
}

// TestDriftedOrder wants every component's objects and no others, in an order that does not change.
func TestDriftedOrder(t *testing.T) {
	c := newCluster(t)
	w := newWatched(t, c)
	w.track("cni", c.put(second, "ours"), c.put(role, "ours"))
	w.track("other", c.put(config, "ours"))
	w.start(configMaps, clusterRoles)
	c.put(role, "taken")
	w.wakes("cni")
	c.put(second, "taken")
	w.wakes("cni")
	c.put(config, "taken")
	w.wakes("other")
	w.differing(role, second)
}

// TestUnknownKind wants one kind that cannot be watched to leave the others alone, and to be tried again.
func TestUnknownKind(t *testing.T) {
	c := newCluster(t)
	w := newWatched(t, c)
	strange := release.Applied{Object: release.Object{GVK: unknownKind, Name: "x"}, Fingerprint: "x"}
	for range 2 {
		err := w.Track("cni", []release.Applied{strange, c.put(config, "ours"), c.put(role, "ours")})
		if err == nil || !strings.Contains(err.Error(), "Unknown") || strings.Contains(err.Error(), "ConfigMap") {
			t.Fatalf("error %v, want one that names the kind and no other", err)
		}
	}
	if got := w.kinds(); got != 2 {
		t.Errorf("%d kinds are watched, want 2", got)
	}
	w.start(configMaps, clusterRoles)
	w.differing()
	c.put(role, "taken")
	w.wakes("cni")
	w.differing(role)
}

// TestOneWatchAKind wants two components with objects of one kind to share its watch.
func TestOneWatchAKind(t *testing.T) {
	c := newCluster(t)
	w := newWatched(t, c)
	w.start()
	w.track("cni", c.put(config, "ours"))
	w.track("other", c.put(second, "ours"))
	w.track("cni", c.put(config, "ours"))
	if got := w.kinds(); got != 1 {
		t.Errorf("%d kinds are watched, want 1", got)
	}
	eventually(t, "the watch runs", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.watchers) > 0
	})
	c.put(second, "taken")
	w.wakes("other")
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.watchers) != 1 {
		t.Errorf("%d watches, want 1", len(c.watchers))
	}
}

// TestNeverStarted wants a Watcher whose process never became leader to hold nothing back.
func TestNeverStarted(t *testing.T) {
	w := NewWatcher(newCluster(t).client, mapper(), logr.Discard(), func(name string) { t.Errorf("woke %q", name) })
	if err := w.Track("cni", []release.Applied{{Object: config, ResourceVersion: "1", Fingerprint: "x"}}); err != nil {
		t.Fatal(err)
	}
	if got := w.Drifted("cni"); got != nil {
		t.Errorf("drifted: %v", got)
	}
	w.Forget("cni")
}

// kinds is how many kinds are watched.
func (w *Watcher) kinds() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.informers)
}
