package drift

import (
	"testing"

	"github.com/networkstack/networkstack/internal/release"
)

// TestTransient wants an object that the cluster removes by itself to be watched for changes, but not to be missed.
func TestTransient(t *testing.T) {
	c := newCluster(t)
	w := newWatched(t, c)
	once := c.put(config, "ours")
	once.Transient = true
	w.track("cni", once, c.put(second, "ours"))
	w.start(configMaps)
	c.delete(config)
	w.quiet(c, configMaps)
	w.differing()

	c.delete(second)
	w.wakes("cni")
	w.differing(second)

	again := c.put(config, "ours")
	again.Transient = true
	w.track("cni", again)
	c.put(config, "taken")
	w.wakes("cni")
	w.differing(config)
}

// TestTrackExtra watches objects that are none of the release, as long as those of the release are watched.
func TestTrackExtra(t *testing.T) {
	c := newCluster(t)
	w := newWatched(t, c)
	extra, other := c.put(second, "ours"), c.put(role, "ours")
	if err := w.TrackExtra("cni", []release.Applied{extra}); err != nil {
		t.Fatal(err)
	}
	w.start(configMaps)
	w.differing()

	w.track("cni", c.put(config, "ours"))
	if err := w.TrackExtra("cni", []release.Applied{extra, other}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other kind is synced", func() bool { return w.hasSynced(clusterRoles) })
	// What is reported about the release is nothing about these.
	c.put(second, "taken")
	w.wakes("cni")
	w.differing(second)

	// It is no longer ours to look after.
	if err := w.TrackExtra("cni", []release.Applied{other}); err != nil {
		t.Fatal(err)
	}
	w.differing()
	c.delete(second)
	w.quiet(c, configMaps)
	c.delete(role)
	w.wakes("cni")
	w.differing(role)
	c.delete(config)
	w.wakes("cni")
	w.Forget("cni")
	w.differing()
}
