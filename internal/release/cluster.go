package release

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

const (
	// versionAge is for how long the server's version is believed without asking. It decides
	// how soon an upgraded cluster is noticed, and costs one small request per period at most.
	versionAge = 10 * time.Minute
	// kindsAge is for how long the list of kinds is believed by a new render.
	kindsAge = 10 * time.Second
)

// cluster is what all actions share: discovery, the mapping of kinds to resources, and the
// capabilities that charts are rendered with.
type cluster struct {
	disc   discovery.CachedDiscoveryInterface
	mapper *restmapper.DeferredDiscoveryRESTMapper

	mu        sync.Mutex
	server    *version.Info
	serverAt  time.Time
	kinds     chartutil.VersionSet
	kindsAt   time.Time
	resetNext bool
}

func newCluster(disc discovery.DiscoveryInterface) *cluster {
	cached := memory.NewMemCacheClient(disc)
	return &cluster{disc: cached, mapper: restmapper.NewDeferredDiscoveryRESTMapper(cached)}
}

// invalidate forgets the kinds the cluster serves, for example after CRDs were applied.
func (c *cluster) invalidate() {
	c.mu.Lock()
	c.resetNext = true
	c.mu.Unlock()
	c.mapper.Reset() // also invalidates the discovery cache
}

// refreshVersion asks for the server's version when the known one is older than age. A version
// that is known is kept when the server does not answer.
func (c *cluster) refreshVersion(age time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil && time.Since(c.serverAt) < age {
		return nil
	}
	v, err := c.disc.ServerVersion()
	if err != nil {
		if c.server != nil {
			// Not asked again before the next period: callers must not be held up by every call.
			c.serverAt = time.Now()
			return nil
		}
		return fmt.Errorf("ask for the API server's version: %w", err)
	}
	c.server, c.serverAt = v, time.Now()
	return nil
}

// minor is the cluster's version without the patch level, for example "1.37".
func (c *cluster) minor() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return ""
	}
	return c.server.Major + "." + strings.TrimRight(c.server.Minor, "+")
}

// capabilities are what charts see as .Capabilities, from the live cluster: the version, every
// group/version and every group/version/Kind.
func (c *cluster) capabilities() (*chartutil.Capabilities, error) {
	if err := c.refreshVersion(versionAge); err != nil {
		return nil, err
	}
	c.mu.Lock()
	stale := c.kinds == nil || c.resetNext || time.Since(c.kindsAt) > kindsAge
	c.mu.Unlock()
	if stale {
		c.mapper.Reset()
		kinds, err := action.GetVersionSet(c.disc)
		if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
			return nil, err
		}
		// Sorted, so that a chart that prints the list renders the same twice.
		slices.Sort(kinds)
		c.mu.Lock()
		c.kinds, c.kindsAt, c.resetNext = kinds, time.Now(), false
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return &chartutil.Capabilities{
		KubeVersion: chartutil.KubeVersion{Version: c.server.GitVersion, Major: c.server.Major, Minor: c.server.Minor},
		APIVersions: c.kinds,
		HelmVersion: chartutil.DefaultCapabilities.HelmVersion,
	}, nil
}

// mapping finds the resource of a kind. With retry, a kind that is not known is looked for once
// more in fresh discovery data.
func (c *cluster) mapping(gvk schema.GroupVersionKind, retry bool) (*meta.RESTMapping, error) {
	m, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil && retry && meta.IsNoMatchError(err) {
		c.invalidate()
		m, err = c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	return m, err
}

// getter is what Helm's actions take their clients from. Its requests belong to one action; what
// it discovers is shared.
type getter struct {
	*cluster
	cfg *rest.Config
}

// ToRESTConfig returns the action's client configuration.
func (g getter) ToRESTConfig() (*rest.Config, error) { return g.cfg, nil }

// ToDiscoveryClient returns the shared discovery client.
func (g getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return g.disc, nil
}

// ToRESTMapper returns the shared mapper.
func (g getter) ToRESTMapper() (meta.RESTMapper, error) { return g.mapper, nil }
