package chart

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestOfflineWithWarmCache(t *testing.T) {
	r := newRepo(t)
	archive := archiveOf(t, "x", "1.0.0", "")
	r.publish("x", "1.0.0", archive)
	dir := t.TempDir()
	shared := func(o *Options) { o.CacheDir = dir }
	ref := Ref{Repository: r.URL, Name: "x", Version: "1.0.0"}
	first := mustLoad(t, r.loader(t, shared), ref)
	r.Server.Close()

	// Another process finds it by the record of what the reference stood for …
	if again := mustLoad(t, r.loader(t, shared), ref); again.Digest != first.Digest || again.Source != first.Source {
		t.Errorf("%s from %s", again.Digest, again.Source)
	}
	// … or by the pinned digest, even if it was fetched from another repository.
	elsewhere := Ref{Repository: "https://elsewhere.invalid", Name: "x", Version: "1.0.0", Digest: first.Digest}
	if again := mustLoad(t, r.loader(t, shared), elsewhere); again.Source != "cache" {
		t.Errorf("source %s", again.Source)
	}
	// A digest alone does not make it another chart.
	wrong := Ref{Repository: r.URL, Name: "y", Version: "1.0.0", Digest: first.Digest}
	wantSourceError(t, r.loader(t, shared), wrong, false, "holds chart x 1.0.0, not y 1.0.0")
	l := r.loader(t, shared)
	mustLoad(t, l, ref)
	wantSourceError(t, l, wrong, false, "holds chart x 1.0.0, not y 1.0.0")
	// What is not there is a temporary failure.
	wantSourceError(t, r.loader(t, shared), Ref{Repository: r.URL, Name: "x", Version: "2.0.0"}, true, "connection refused")
}

func TestDigestMismatchIsNeverCached(t *testing.T) {
	good, bad := archiveOf(t, "x", "1.0.0", "good"), archiveOf(t, "x", "1.0.0", "bad")
	for name, pinned := range map[string]string{"by the reference": digestOf(good), "by the index": ""} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.publish("x", "1.0.0", good)
			r.serve("/x-1.0.0.tgz", bad)
			l := r.loader(t)
			ref := Ref{Repository: r.URL, Name: "x", Version: "1.0.0", Digest: pinned}
			wantDigestError(t, l, ref, digestOf(good), digestOf(bad))
			if files := cachedArchives(t, l.options.CacheDir); len(files) != 0 {
				t.Errorf("cached %v", files)
			}
			// It is all right as soon as the repository is.
			r.serve("/x-1.0.0.tgz", good)
			mustLoad(t, l, ref)
			// A digest that is pinned later is not satisfied by what was cached before.
			wantDigestError(t, l, Ref{Repository: r.URL, Name: "x", Version: "1.0.0", Digest: digestOf(bad)}, digestOf(bad), digestOf(good))
		})
	}
}

func TestCorruptCacheIsFetchedAgain(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"other content": func([]byte) []byte { return archiveOf(t, "x", "1.0.0", "forged") },
		"cut off":       func(b []byte) []byte { return b[:len(b)/2] },
		"empty":         func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			archive := archiveOf(t, "x", "1.0.0", "")
			r.publish("x", "1.0.0", archive)
			dir := t.TempDir()
			shared := func(o *Options) { o.CacheDir = dir }
			ref := Ref{Repository: r.URL, Name: "x", Version: "1.0.0"}
			mustLoad(t, r.loader(t, shared), ref)
			file := cachedArchives(t, dir)[0]
			if err := os.WriteFile(file, damage(archive), 0o644); err != nil {
				t.Fatal(err)
			}
			if c := mustLoad(t, r.loader(t, shared), ref); c.Digest != digestOf(archive) {
				t.Errorf("digest %s", c.Digest)
			}
			if n := r.count("/x-1.0.0.tgz"); n != 2 {
				t.Errorf("%d downloads, want 2", n)
			}
			if healed, err := os.ReadFile(file); err != nil || digestOf(healed) != digestOf(archive) {
				t.Errorf("the cache is not mended: %v", err)
			}
		})
	}
}

func TestDamagedRecordIsIgnored(t *testing.T) {
	r := newRepo(t)
	r.publish("x", "1.0.0", archiveOf(t, "x", "1.0.0", ""))
	dir := t.TempDir()
	shared := func(o *Options) { o.CacheDir = dir }
	ref := Ref{Repository: r.URL, Name: "x", Version: "1.0.0"}
	mustLoad(t, r.loader(t, shared), ref)
	records, _ := filepath.Glob(filepath.Join(dir, "refs", "*"))
	if len(records) != 1 {
		t.Fatal(records)
	}
	for _, content := range []string{"", "{", `{"digest": "../../etc"}`, `{"name": "y", "version": "1.0.0", "digest": "sha256:` + strings.Repeat("0", 64) + `"}`} {
		if err := os.WriteFile(records[0], []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		mustLoad(t, r.loader(t, shared), ref)
	}
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	r := newRepo(t)
	r.publish("x", "1.0.0", archiveOf(t, "x", "1.0.0", ""))
	// A file where the directory should be stops root as well.
	file := filepath.Join(t.TempDir(), "file")
	write(t, filepath.Dir(file), "file", nil)
	l := r.loader(t, func(o *Options) { o.CacheDir = filepath.Join(file, "cache") })
	ref := Ref{Repository: r.URL, Name: "x", Version: "1.0.0"}
	mustLoad(t, l, ref)
	mustLoad(t, l, ref)
	if n := r.count("/x-1.0.0.tgz"); n != 1 {
		t.Errorf("%d downloads, want 1: memory is left", n)
	}
}

// TestSeveralProcesses has loaders that know nothing of each other share one directory.
func TestSeveralProcesses(t *testing.T) {
	r := newRepo(t)
	r.publish("x", "1.0.0", archiveOf(t, "x", "1.0.0", ""))
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 8 {
		l := r.loader(t, func(o *Options) { o.CacheDir = dir })
		all.Go(func() {
			for range 20 {
				l.parsed = &parsedCache{size: parsedCharts}
				if files := cachedArchives(t, dir); len(files) > 0 {
					_ = os.Remove(files[0])
				}
				mustLoad(t, l, Ref{Repository: r.URL, Name: "x", Version: "1.0.0"})
			}
		})
	}
	all.Wait()
	if left, _ := filepath.Glob(filepath.Join(dir, "*", ".writing-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestMirror(t *testing.T) {
	upstream, mirror := newRepo(t), newRepo(t)
	original, rebuilt := archiveOf(t, "x", "1.0.0", "original"), archiveOf(t, "x", "1.0.0", "rebuilt")
	upstream.publish("x", "1.0.0", original)
	// The mirror copied the index as it is, with the archive's absolute URL.
	mirror.serve("/m/index.yaml", indexOf("x", "1.0.0", upstream.URL+"/x-1.0.0.tgz", ""))
	mirror.serve("/m/x-1.0.0.tgz", rebuilt)
	roots := upstream.Client().Transport.(*http.Transport).Clone()
	roots.TLSClientConfig.InsecureSkipVerify = true
	l := upstream.loader(t, func(o *Options) { o.HTTPClient = &http.Client{Transport: roots} })
	ref := Ref{Repository: upstream.URL, Name: "x", Version: "1.0.0"}

	c := mustLoad(t, l, ref, Mirror{upstream.URL, mirror.URL + "/m"})
	if c.Source != mirror.URL+"/m/x-1.0.0.tgz" || c.Digest != digestOf(rebuilt) {
		t.Errorf("%s from %s", c.Digest, c.Source)
	}
	if n := upstream.count("/index.yaml") + upstream.count("/x-1.0.0.tgz"); n != 0 {
		t.Errorf("upstream was asked %d times", n)
	}
	// What a mirror gave does not pass for upstream's own.
	if c = mustLoad(t, l, ref); c.Digest != digestOf(original) {
		t.Errorf("%s from %s", c.Digest, c.Source)
	}
}
