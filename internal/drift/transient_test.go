package drift

import "testing"

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
