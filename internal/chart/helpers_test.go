package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// archiveOf builds a chart archive with one template that holds the given text.
func archiveOf(t testing.TB, name, version, text string) []byte {
	t.Helper()
	return tarball(t, map[string]string{
		name + "/Chart.yaml":            fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version),
		name + "/templates/config.yaml": "# " + text + "\n",
	})
}

func tarball(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// repo is a Helm repository whose every answer a test can replace. It counts requests by path.
type repo struct {
	*httptest.Server

	mu       sync.Mutex
	answers  map[string]http.HandlerFunc
	requests map[string]int
}

func newRepo(t testing.TB) *repo {
	t.Helper()
	r := &repo{answers: map[string]http.HandlerFunc{}, requests: map[string]int{}}
	r.Server = httptest.NewTLSServer(r)
	// Refused connections and failed handshakes are what some tests are about.
	r.Server.Config.ErrorLog = nil
	t.Cleanup(r.Server.Close)
	return r
}

func (r *repo) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.requests[req.URL.Path]++
	answer := r.answers[req.URL.Path]
	r.mu.Unlock()
	if answer == nil {
		http.NotFound(w, req)
		return
	}
	answer(w, req)
}

func (r *repo) count(path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests[path]
}

func (r *repo) handle(path string, answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[path] = answer
}

func (r *repo) serve(path string, content []byte) {
	r.handle(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
}

// publish serves an archive and an index that names it.
func (r *repo) publish(name, version string, archive []byte) {
	r.serve("/"+name+"-"+version+".tgz", archive)
	r.serve("/index.yaml", indexOf(name, version, name+"-"+version+".tgz", digestOf(archive)))
}

func indexOf(name, version, url, digest string) []byte {
	return fmt.Appendf(nil, "apiVersion: v1\nentries:\n  %s:\n  - name: %s\n    version: %s\n    digest: %s\n    urls:\n    - %s\ngenerated: \"2026-01-01T00:00:00Z\"\n",
		name, name, version, strings.TrimPrefix(digest, "sha256:"), url)
}

func (r *repo) loader(t testing.TB, change ...func(*Options)) *Loader {
	t.Helper()
	options := Options{CacheDir: t.TempDir(), HTTPClient: r.Client()}
	for _, c := range change {
		c(&options)
	}
	return NewLoader(options)
}

func mustLoad(t testing.TB, l *Loader, ref Ref, mirrors ...Mirror) *Chart {
	t.Helper()
	c, err := l.Load(context.Background(), Request{Ref: ref, Mirrors: mirrors})
	if err != nil {
		t.Fatal(err)
	}
	if c.Chart.Metadata.Name != ref.Name || !sameVersion(c.Chart.Metadata.Version, ref.Version) {
		t.Fatalf("got %s %s", c.Chart.Metadata.Name, c.Chart.Metadata.Version)
	}
	return c
}

// wantSourceError loads and expects a SourceError whose text has all the words.
func wantSourceError(t testing.TB, l *Loader, ref Ref, temporary bool, words ...string) {
	t.Helper()
	_, err := l.Load(context.Background(), Request{Ref: ref})
	var source *SourceError
	if !errors.As(err, &source) {
		t.Fatalf("got %v (%T), want a SourceError", err, err)
	}
	if source.Temporary != temporary {
		t.Errorf("%v: temporary %v, want %v", err, source.Temporary, temporary)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q lacks %q", err, word)
		}
	}
}

func wantDigestError(t testing.TB, l *Loader, ref Ref, want, got string) {
	t.Helper()
	_, err := l.Load(context.Background(), Request{Ref: ref})
	var digest *DigestError
	if !errors.As(err, &digest) {
		t.Fatalf("got %v (%T), want a DigestError", err, err)
	}
	if digest.Want != want || digest.Got != got {
		t.Errorf("want %s got %s, expected want %s got %s", digest.Want, digest.Got, want, got)
	}
}

func write(t testing.TB, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// cachedArchives lists the archives in a cache.
func cachedArchives(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}
