package chart

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
)

// push puts an archive into a registry as Helm does.
func push(t *testing.T, host, name, tag, mediaType string, archive []byte) {
	t.Helper()
	ctx := context.Background()
	repository, err := remote.NewRepository(host + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	repository.PlainHTTP = true
	put := func(mediaType string, data []byte) ocispec.Descriptor {
		t.Helper()
		desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
		if err := repository.Push(ctx, desc, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		return desc
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    put("application/vnd.cncf.helm.config.v1+json", []byte("{}")),
		Layers:    []ocispec.Descriptor{put("application/vnd.cncf.helm.chart.provenance.v1.prov", []byte("signature of "+tag)), put(mediaType, archive)},
	})
	if err != nil {
		t.Fatal(err)
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
	if err := repository.PushReference(ctx, desc, bytes.NewReader(manifest), tag); err != nil {
		t.Fatal(err)
	}
}

// newRegistry serves a registry on a loopback port, behind a handler that may step in.
func newRegistry(t *testing.T, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestOCI(t *testing.T) {
	host := newRegistry(t, nil)
	plain, plus := archiveOf(t, "x", "1.0.0", ""), archiveOf(t, "x", "1.1.0+build.1", "")
	prefixed, legacy := archiveOf(t, "x", "v1.2.0", ""), archiveOf(t, "x", "1.3.0", "")
	push(t, host, "charts/x", "1.0.0", chartLayer, plain)
	push(t, host, "charts/x", "1.1.0_build.1", chartLayer, plus)
	push(t, host, "charts/x", "v1.2.0", chartLayer, prefixed)
	push(t, host, "charts/x", "1.3.0", chartLayerLegacy, legacy)
	push(t, host, "charts/x", "1.4.0", "application/octet-stream", plain)
	push(t, host, "charts/x", "1.5.0", chartLayer, plain)
	push(t, host, "charts/x", "1.6.0", chartLayer, []byte("not gzip"))
	l := NewLoader(Options{CacheDir: t.TempDir(), MaxArchiveSize: 4000})
	repository := "oci://" + host + "/charts"

	for version, want := range map[string][]byte{"1.0.0": plain, "1.1.0+build.1": plus, "1.2.0": prefixed, "v1.2.0": prefixed, "1.3.0": legacy} {
		c := mustLoad(t, l, Ref{Repository: repository, Name: "x", Version: version, Digest: digestOf(want)})
		if c.Digest != digestOf(want) || !strings.HasPrefix(c.Source, repository+"/x:") {
			t.Errorf("%s: %s %s", version, c.Digest, c.Source)
		}
	}
	other := "sha256:" + strings.Repeat("0", 64)
	wantDigestError(t, l, Ref{Repository: repository, Name: "x", Version: "1.0.0", Digest: other}, other, digestOf(plain))
	wantSourceError(t, l, Ref{Repository: repository, Name: "x", Version: "1.0.1"}, false, "oci://"+host+"/charts/x", "no version 1.0.1", "nearest:", "1.0.0")
	wantSourceError(t, l, Ref{Repository: repository, Name: "absent", Version: "1.0.0"}, false, "the registry lists no other")
	wantSourceError(t, l, Ref{Repository: repository, Name: "x", Version: "1.4.0"}, false, "not a Helm chart")
	wantSourceError(t, l, Ref{Repository: repository, Name: "x", Version: "1.5.0"}, false, "holds chart x 1.0.0, not x 1.5.0")
	wantSourceError(t, l, Ref{Repository: repository, Name: "x", Version: "1.6.0"}, false, "not a chart archive")
	small := NewLoader(Options{CacheDir: t.TempDir(), MaxArchiveSize: 10})
	wantSourceError(t, small, Ref{Repository: repository, Name: "x", Version: "1.0.0"}, false, "larger than the limit of 10 bytes")
	// Plain HTTP is for the loopback address, and can be refused there too.
	wantSourceError(t, l, Ref{Repository: repository + "?plainHTTP=false", Name: "x", Version: "1.0.0"}, false, "does not speak TLS")
}

func TestOCIMirrorOfHTTP(t *testing.T) {
	host := newRegistry(t, nil)
	archive := archiveOf(t, "x", "1.0.0", "")
	push(t, host, "charts/x", "1.0.0", chartLayer, archive)
	l := NewLoader(Options{CacheDir: t.TempDir(), Mirrors: []Mirror{{"https://charts.invalid", "oci://" + host}}})
	if c := mustLoad(t, l, Ref{Repository: "https://charts.invalid/charts", Name: "x", Version: "1.0.0"}); c.Source != "oci://"+host+"/charts/x:1.0.0" {
		t.Errorf("source %s", c.Source)
	}
}

func TestOCIAccess(t *testing.T) {
	status := http.StatusOK
	host := newRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			user, password, _ := req.BasicAuth()
			switch {
			case status != http.StatusOK:
				w.WriteHeader(status)
			case req.Method == http.MethodGet && (user != "joe" || password != "secret"):
				w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
				w.WriteHeader(http.StatusUnauthorized)
			default:
				next.ServeHTTP(w, req)
			}
		})
	})
	push(t, host, "charts/x", "1.0.0", chartLayer, archiveOf(t, "x", "1.0.0", ""))
	ref := Ref{Repository: "oci://joe:secret@" + host + "/charts", Name: "x", Version: "1.0.0"}
	c := mustLoad(t, NewLoader(Options{CacheDir: t.TempDir()}), ref)
	if strings.Contains(c.Source, "secret") {
		t.Error(c.Source)
	}
	l := NewLoader(Options{CacheDir: t.TempDir()})
	wantSourceError(t, l, Ref{Repository: "oci://" + host + "/charts", Name: "x", Version: "1.0.0"}, false, "access denied")
	status = http.StatusBadGateway
	wantSourceError(t, l, ref, true, "could not answer (HTTP 502")
}

// TestOCIContentIsVerified has a registry that serves other bytes than its manifest says.
func TestOCIContentIsVerified(t *testing.T) {
	archive, forged := archiveOf(t, "x", "1.0.0", "good"), []byte(nil)
	host := newRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if forged != nil && strings.HasSuffix(req.URL.Path, digestOf(archive)) {
				_, _ = w.Write(forged)
				return
			}
			next.ServeHTTP(w, req)
		})
	})
	push(t, host, "charts/x", "1.0.0", chartLayer, archive)
	forged = bytes.Clone(archive)
	forged[len(forged)-1] ^= 1
	l := NewLoader(Options{CacheDir: t.TempDir()})
	wantSourceError(t, l, Ref{Repository: "oci://" + host + "/charts", Name: "x", Version: "1.0.0"}, true, "does not match its own digest")
	if files := cachedArchives(t, l.options.CacheDir); len(files) != 0 {
		t.Errorf("cached %v", files)
	}
}
