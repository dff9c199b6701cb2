// Package chart turns a reference to a Helm chart into a loaded chart, wherever the chart is: in a
// directory, in the operator itself, in the cache, in a Helm repository or in an OCI registry.
//
// Of the Helm SDK it imports pkg/chart and pkg/chart/loader only, which are the chart's data type and
// its parser; everything that talks to a cluster stays behind internal/release.
package chart

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/sync/singleflight"
	helmchart "helm.sh/helm/v3/pkg/chart"
)

// The defaults of Options.
const (
	DefaultTimeout        = time.Minute
	DefaultMaxArchiveSize = 32 << 20
	DefaultMaxIndexSize   = 32 << 20
	// parsedCharts is how many parsed charts are kept: a stack has few, and each is some megabytes.
	parsedCharts = 4
)

// Ref names a chart at one version.
type Ref struct {
	// Repository is an http(s):// Helm repository or an oci:// registry path without the chart's
	// name; empty for a chart that the operator carries.
	Repository string
	// Name of the chart.
	Name string
	// Version of the chart: a full semantic version, with or without a leading "v".
	Version string
	// Digest of the archive, "sha256:…"; empty when not pinned.
	Digest string
}

// String names the reference as a person would, without credentials.
func (r Ref) String() string {
	s := r.Name + " " + r.Version
	if r.Repository != "" {
		s += " from " + redact(r.Repository)
	}
	return s
}

// Mirror replaces one chart repository by another. Source is a repository or a prefix of it that ends
// where a path element does. Either side may be http(s):// or oci://.
type Mirror struct{ Source, Mirror string }

// Options of a Loader. The zero value is usable.
type Options struct {
	// Dirs are searched first, in order, for archives named NAME-VERSION.tgz. One that is a file is a bundle.
	Dirs []string
	// CacheDir keeps archives by their digest. Empty: networkstack/charts in the user's cache
	// directory. Several processes may share it. When it cannot be written, charts are fetched
	// again after a restart, and nothing else changes.
	CacheDir string
	// Mirrors apply to every request, after the request's own.
	Mirrors []Mirror
	// HTTPClient for repositories and registries; its redirect policy is replaced. Empty: a client
	// that takes proxies from the environment.
	HTTPClient *http.Client
	// Timeout of one Load's network traffic. 0: DefaultTimeout.
	Timeout time.Duration
	// MaxArchiveSize and MaxIndexSize limit what is read, in bytes. 0: the defaults.
	MaxArchiveSize, MaxIndexSize int64
}

// Request is a chart to load and the places that one stack adds for it.
type Request struct {
	Ref
	// Dirs are searched after those of the options.
	Dirs []string
	// Mirrors take part beside those of the options.
	Mirrors []Mirror
	// KeepArchive asks for the archive's content as well.
	KeepArchive bool
}

// Chart is a loaded chart.
type Chart struct {
	// Chart is shared between callers: treat it as read-only, and copy it before changing it.
	Chart *helmchart.Chart
	// Digest is the SHA-256 of the archive, "sha256:…". For a chart that the operator carries it is
	// that of a canonical serialisation of its files.
	Digest string
	// Source says where the archive came from, for people and without credentials: "embedded",
	// "directory /x/cilium-1.20.0.tgz", "https://…/cilium-1.20.0.tgz", "oci://…:1.20.0", or "cache"
	// when the cache had the pinned digest and does not know from where.
	Source string
	// Archive is the content, when it was asked for; nothing for a chart that the operator carries.
	Archive []byte
}

// Loader loads charts. It is safe for concurrent use.
type Loader struct {
	options Options
	client  *http.Client
	cache   *cache
	parsed  *parsedCache
	flights singleflight.Group

	bundlesMu sync.Mutex
	// bundles that were read, by their path.
	bundles map[string]*openedBundle
}

// NewLoader makes a Loader.
func NewLoader(options Options) *Loader {
	if options.Timeout == 0 {
		options.Timeout = DefaultTimeout
	}
	if options.MaxArchiveSize == 0 {
		options.MaxArchiveSize = DefaultMaxArchiveSize
	}
	if options.MaxIndexSize == 0 {
		options.MaxIndexSize = DefaultMaxIndexSize
	}
	if options.CacheDir == "" {
		// Without a home directory there is no cache on disk, which is no reason not to work.
		if dir, err := os.UserCacheDir(); err == nil {
			options.CacheDir = filepath.Join(dir, "networkstack", "charts")
		}
	}
	return &Loader{
		options: options,
		client:  newClient(options.HTTPClient),
		cache:   newCache(options.CacheDir),
		parsed:  &parsedCache{size: parsedCharts},
		bundles: map[string]*openedBundle{},
	}
}

// Load finds the chart and loads it, from the first place that has it: the directories, the operator
// itself when the reference has no repository, the cache, and the repository or its mirror. A pinned
// digest is verified wherever the chart comes from.
//
// Errors are *RefError for a reference that cannot be right, *DigestError for an archive that is not
// the pinned one, *SourceError for a source that could not give the chart, and the context's.
func (l *Loader) Load(ctx context.Context, req Request) (*Chart, error) {
	if err := req.validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Callers that want the same chart share one download, which therefore must outlive each of
	// them; the timeout ends it.
	result := l.flights.DoChan(fmt.Sprintf("%q", req), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.options.Timeout)
		defer cancel()
		return l.load(ctx, req)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-result:
		shared, ok := r.Val.(*Chart)
		if !ok || r.Err != nil {
			return nil, r.Err
		}
		c := *shared
		if !req.KeepArchive {
			c.Archive = nil
		}
		return &c, nil
	}
}

func (l *Loader) load(ctx context.Context, req Request) (*Chart, error) {
	for _, dir := range slices.Concat(l.options.Dirs, req.Dirs) {
		c, err := l.fromPlace(dir, req.Ref)
		if c != nil || err != nil {
			return c, err
		}
	}
	if req.Repository == "" {
		return fromBinary(req.Ref)
	}

	mirrors := slices.Concat(req.Mirrors, l.options.Mirrors)
	ref := req.Ref
	ref.Repository = rewrite(ref.Repository, mirrors)
	digest, source := ref.Digest, "cache"
	if known, ok := l.cache.record(ref); ok && (digest == "" || digest == known.Digest) {
		digest, source = known.Digest, known.Source
	}
	if digest != "" {
		if c, err := l.fromCache(ref, digest, source, req.KeepArchive); c != nil || err != nil {
			return c, err
		}
	}

	var data []byte
	var err error
	if strings.HasPrefix(ref.Repository, "oci://") {
		data, source, err = l.fetchOCI(ctx, ref)
	} else {
		data, source, err = l.fetchHTTP(ctx, ref, mirrors)
	}
	if err != nil {
		return nil, err
	}
	c, err := l.open(data, source, ref)
	if err != nil {
		return nil, err
	}
	l.cache.store(ctx, ref, c.Digest, source, data)
	return c, nil
}

// fromCache gives nothing when the cache does not have the digest.
func (l *Loader) fromCache(ref Ref, digest, source string, whole bool) (*Chart, error) {
	if parsed := l.parsed.get(digest); parsed != nil && !whole {
		return &Chart{Chart: parsed, Digest: digest, Source: source}, checkIdentity(parsed, ref, source)
	}
	data := l.cache.read(digest, l.options.MaxArchiveSize)
	if data == nil {
		return nil, nil
	}
	return l.open(data, source, ref)
}

// open verifies an archive's digest and parses it, unless it has been parsed before.
func (l *Loader) open(data []byte, source string, ref Ref) (*Chart, error) {
	digest := digestOf(data)
	if ref.Digest != "" && ref.Digest != digest {
		return nil, &DigestError{Want: ref.Digest, Got: digest, Source: source}
	}
	parsed := l.parsed.get(digest)
	if parsed == nil {
		var err error
		if parsed, err = parse(data); err != nil {
			return nil, &SourceError{URL: source, Reason: err.Error()}
		}
	}
	if err := checkIdentity(parsed, ref, source); err != nil {
		return nil, err
	}
	l.parsed.put(digest, parsed)
	return &Chart{Chart: parsed, Digest: digest, Source: source, Archive: data}, nil
}

// checkIdentity refuses a chart that is not the one its place says it is.
func checkIdentity(c *helmchart.Chart, ref Ref, source string) error {
	if c.Metadata.Name == ref.Name && sameVersion(c.Metadata.Version, ref.Version) {
		return nil
	}
	return &SourceError{URL: source, Reason: fmt.Sprintf("the archive holds chart %s %s, not %s %s",
		c.Metadata.Name, c.Metadata.Version, ref.Name, ref.Version)}
}

var (
	namePattern   = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$`)
	digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// validate refuses what would make the chart depend on the day it is fetched, or its file name lead
// somewhere else.
func (r Ref) validate() error {
	switch {
	case !namePattern.MatchString(r.Name):
		return &RefError{Ref: r, Err: fmt.Errorf("%q is not a chart name", r.Name)}
	case r.Version == "":
		return &RefError{Ref: r, Err: errors.New("no version: name a full one, such as 1.20.0")}
	case r.Digest != "" && !digestPattern.MatchString(r.Digest):
		return &RefError{Ref: r, Err: fmt.Errorf(`%q is not a digest: write "sha256:" and 64 hexadecimal digits`, r.Digest)}
	}
	if _, err := semver.StrictNewVersion(plainVersion(r.Version)); err != nil {
		return &RefError{Ref: r, Err: fmt.Errorf("%q is not a full version, such as 1.20.0", r.Version)}
	}
	if r.Repository == "" {
		return nil
	}
	if err := checkRepository(r.Repository); err != nil {
		return &RefError{Ref: r, Err: err}
	}
	return nil
}

// plainVersion is the version without a leading "v", which repositories use or leave out as they like.
func plainVersion(v string) string { return strings.TrimPrefix(v, "v") }

func sameVersion(a, b string) bool { return plainVersion(a) == plainVersion(b) }
