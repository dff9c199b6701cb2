package chart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHTTPRepository(t *testing.T) {
	r := newRepo(t)
	archive := archiveOf(t, "x", "1.0.0", "")
	r.publish("x", "1.0.0", archive)
	l := r.loader(t)
	ref := Ref{Repository: r.URL, Name: "x", Version: "1.0.0"}
	c := mustLoad(t, l, ref)
	if c.Digest != digestOf(archive) || c.Source != r.URL+"/x-1.0.0.tgz" {
		t.Errorf("%s %s", c.Digest, c.Source)
	}
	// A leading "v" is spelling, a trailing slash too.
	mustLoad(t, l, Ref{Repository: r.URL + "/", Name: "x", Version: "v1.0.0"})
	if n := r.count("/index.yaml") + r.count("/x-1.0.0.tgz"); n != 2 {
		t.Errorf("%d requests, want 2: the rest comes from memory", n)
	}
}

func TestArchiveURLs(t *testing.T) {
	for name, test := range map[string]struct{ base, url, want string }{
		"beside the index":       {"/charts", "x.tgz", "/charts/x.tgz"},
		"below it":               {"/charts/", "a/x.tgz", "/charts/a/x.tgz"},
		"above it":               {"/charts", "../x.tgz", "/x.tgz"},
		"from the root":          {"/charts", "/files/x.tgz", "/files/x.tgz"},
		"absolute":               {"/charts", "{URL}/elsewhere/x.tgz", "/elsewhere/x.tgz"},
		"escaped in the path":    {"/charts", "x%2B1.tgz", "/charts/x+1.tgz"},
		"repository at the root": {"", "x.tgz", "/x.tgz"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			archive := archiveOf(t, "x", "1.0.0", "")
			r.serve(strings.TrimRight(test.base, "/")+"/index.yaml", indexOf("x", "1.0.0", strings.ReplaceAll(test.url, "{URL}", r.URL), ""))
			r.serve(test.want, archive)
			mustLoad(t, r.loader(t), Ref{Repository: r.URL + test.base, Name: "x", Version: "1.0.0"})
		})
	}
}

func TestCredentials(t *testing.T) {
	r, other := newRepo(t), newRepo(t)
	archive := archiveOf(t, "x", "1.0.0", "")
	var seen, elsewhere []string
	r.handle("/index.yaml", func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		seen = append(seen, user+":"+password+"?"+req.URL.RawQuery)
		_, _ = w.Write([]byte(`{"apiVersion": "v1", "entries": {"x": [{"version": "1.0.0", "urls": ["x.tgz"]}, {"version": "2.0.0", "urls": ["` + other.URL + `/x.tgz"]}]}}`))
	})
	r.handle("/x.tgz", func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		seen = append(seen, user+":"+password+"?"+req.URL.RawQuery)
		_, _ = w.Write(archive)
	})
	other.handle("/x.tgz", func(w http.ResponseWriter, req *http.Request) {
		elsewhere = append(elsewhere, req.Header.Get("Authorization")+req.URL.RawQuery+req.Referer())
		http.Error(w, "no", http.StatusForbidden)
	})
	l := r.loader(t)
	repository := strings.Replace(r.URL, "https://", "https://joe:secret@", 1) + "?token=hush"
	c := mustLoad(t, l, Ref{Repository: repository, Name: "x", Version: "1.0.0"})
	if diff := cmp.Diff([]string{"joe:secret?token=hush", "joe:secret?token=hush"}, seen); diff != "" {
		t.Error(diff)
	}
	_, err := l.Load(context.Background(), Request{Ref: Ref{Repository: repository, Name: "x", Version: "2.0.0"}})
	if err == nil || !strings.Contains(err.Error(), "access denied (HTTP 403 Forbidden)") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{""}, elsewhere); diff != "" {
		t.Errorf("another host gets the credentials: %s", diff)
	}
	said := fmt.Sprint(c.Source, err)
	_ = filepath.WalkDir(l.options.CacheDir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			content, _ := os.ReadFile(path)
			said += path + string(content)
		}
		return err
	})
	if strings.Contains(said, "secret") || strings.Contains(said, "hush") {
		t.Error("a credential is in a message or in the cache")
	}
}

func TestHTTPFailures(t *testing.T) {
	archive := archiveOf(t, "x", "1.0.0", "")
	ok := func(r *repo) { r.publish("x", "1.0.0", archive) }
	for name, test := range map[string]struct {
		prepare   func(*repo)
		version   string
		temporary bool
		words     []string
	}{
		"no index":   {prepare: func(*repo) {}, words: []string{"/index.yaml", "not found (HTTP 404 Not Found)"}},
		"no chart":   {prepare: func(r *repo) { r.serve("/index.yaml", indexOf("other", "1.0.0", "other.tgz", "")) }, words: []string{"no chart x", "it has: other"}},
		"no version": {prepare: ok, version: "1.0.1", words: []string{"no version 1.0.1 of chart x", "nearest: 1.0.0"}},
		"no archive": {prepare: func(r *repo) { ok(r); r.handle("/x-1.0.0.tgz", nil) }, words: []string{"/x-1.0.0.tgz", "not found"}},
		"no urls":    {prepare: func(r *repo) { r.serve("/index.yaml", []byte("entries:\n  x:\n  - version: 1.0.0\n")) }, words: []string{"names no archive"}},
		"a web page": {prepare: func(r *repo) { r.serve("/index.yaml", []byte("<html>\n<a: b>")) }, words: []string{"not the index of a Helm repository"}},
		"other YAML": {prepare: func(r *repo) { r.serve("/index.yaml", []byte("hello: world\n")) }, words: []string{"neither apiVersion nor entries"}},
		"login page": {prepare: func(r *repo) {
			ok(r)
			r.serve("/index.yaml", indexOf("x", "1.0.0", "x.tgz", ""))
			r.serve("/x.tgz", []byte("<html>login</html>"))
		}, words: []string{"not a chart archive: the content is text/html"}},
		"other chart": {prepare: func(r *repo) { r.publish("x", "1.0.0", archiveOf(t, "other", "1.0.0", "")) }, words: []string{"holds chart other 1.0.0, not x 1.0.0"}},
		"overloaded": {prepare: func(r *repo) {
			r.handle("/index.yaml", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		}, temporary: true, words: []string{"could not answer (HTTP 503"}},
		"redirect loop": {prepare: func(r *repo) {
			r.handle("/index.yaml", func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, "/index.yaml", http.StatusFound) })
		}, words: []string{"redirected more than 10 times"}},
		"redirect to plain http": {prepare: func(r *repo) {
			r.handle("/index.yaml", func(w http.ResponseWriter, req *http.Request) {
				http.Redirect(w, req, "http://u:pw@plain.invalid/index.yaml?t=1", http.StatusFound)
			})
		}, words: []string{"redirected from https to http://plain.invalid/index.yaml,"}},
		"archive by plain http": {prepare: func(r *repo) {
			r.serve("/index.yaml", indexOf("x", "1.0.0", "http://plain.invalid/x.tgz", ""))
		}, words: []string{"may not lead to plain http"}},
		"archive by file": {prepare: func(r *repo) {
			r.serve("/index.yaml", indexOf("x", "1.0.0", "file:///etc/passwd", ""))
		}, words: []string{"neither http nor https"}},
		"archive too large": {prepare: func(r *repo) {
			r.serve("/index.yaml", indexOf("x", "1.0.0", "x.tgz", ""))
			r.serve("/x.tgz", make([]byte, 5000))
		}, words: []string{"/x.tgz", "larger than the limit of 4000 bytes"}},
		"archive too large, size untold": {prepare: func(r *repo) {
			r.serve("/index.yaml", indexOf("x", "1.0.0", "x.tgz", ""))
			r.handle("/x.tgz", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write(make([]byte, 3000))
				w.(http.Flusher).Flush()
				_, _ = w.Write(make([]byte, 3000))
			})
		}, words: []string{"larger than the limit of 4000 bytes"}},
		"index too large": {prepare: func(r *repo) { r.serve("/index.yaml", make([]byte, 9000)) }, words: []string{"/index.yaml", "larger than the limit of 8000 bytes"}},
		"broken off": {prepare: func(r *repo) {
			ok(r)
			r.handle("/x-1.0.0.tgz", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1000")
				_, _ = w.Write([]byte("x"))
			})
		}, temporary: true, words: []string{"closed before the answer was complete"}},
		"no answer": {prepare: func(r *repo) {
			r.handle("/index.yaml", func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
		}, temporary: true, words: []string{"no answer within 500ms"}},
		"gone": {prepare: func(r *repo) { r.Server.Close() }, temporary: true, words: []string{"connection refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			test.prepare(r)
			l := r.loader(t, func(o *Options) { o.MaxArchiveSize, o.MaxIndexSize, o.Timeout = 4000, 8000, 500*time.Millisecond })
			ref := Ref{Repository: r.URL, Name: "x", Version: "1.0.0"}
			if test.version != "" {
				ref.Version = test.version
			}
			wantSourceError(t, l, ref, test.temporary, append(test.words, r.URL)...)
			if files := cachedArchives(t, l.options.CacheDir); len(files) != 0 {
				t.Errorf("cached %v", files)
			}
		})
	}
}

func TestTransportFailures(t *testing.T) {
	ref := Ref{Repository: "https://joe:secret@charts.example.com/x", Name: "x", Version: "1.0.0"}
	dial := func(err error) *http.Client {
		return &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err }}}
	}
	for want, client := range map[string]*http.Client{
		"DNS does not know the host charts.example.com": dial(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "charts.example.com", IsNotFound: true}}),
		"DNS lookup of charts.example.com failed":       dial(&net.DNSError{Err: "server misbehaving", Name: "charts.example.com", IsTemporary: true}),
		"something else": dial(errors.New("something else")),
	} {
		l := NewLoader(Options{CacheDir: t.TempDir(), HTTPClient: client})
		wantSourceError(t, l, ref, true, "https://charts.example.com/x/index.yaml: ", want)
		if _, err := l.Load(context.Background(), Request{Ref: ref}); strings.Contains(err.Error(), "secret") {
			t.Error("the message has the password")
		}
	}

	r := newRepo(t)
	r.Config.ErrorLog = log.New(io.Discard, "", 0)
	l := NewLoader(Options{CacheDir: t.TempDir()})
	wantSourceError(t, l, Ref{Repository: r.URL, Name: "x", Version: "1.0.0"}, false, "TLS: x509", "unknown authority")
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	wantSourceError(t, l, Ref{Repository: strings.Replace(plain.URL, "http:", "https:", 1), Name: "x", Version: "1.0.0"}, false, "TLS: the server does not speak TLS")
}

func TestIndexIsRevalidated(t *testing.T) {
	r := newRepo(t)
	one, two := archiveOf(t, "x", "1.0.0", ""), archiveOf(t, "x", "2.0.0", "")
	r.serve("/x-1.0.0.tgz", one)
	r.serve("/x-2.0.0.tgz", two)
	index, tag, sent := indexOf("x", "1.0.0", "x-1.0.0.tgz", digestOf(one)), `"1"`, 0
	r.handle("/index.yaml", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("ETag", tag)
		if req.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		sent++
		_, _ = w.Write(index)
	})
	dir := t.TempDir()
	shared := func(o *Options) { o.CacheDir = dir }
	mustLoad(t, r.loader(t, shared), Ref{Repository: r.URL, Name: "x", Version: "1.0.0"})
	wantSourceError(t, r.loader(t, shared), Ref{Repository: r.URL, Name: "x", Version: "2.0.0"}, false, "no version 2.0.0")
	if sent != 1 {
		t.Errorf("the index was sent %d times, want 1", sent)
	}
	index, tag = indexOf("x", "2.0.0", "x-2.0.0.tgz", digestOf(two)), `"2"`
	mustLoad(t, r.loader(t, shared), Ref{Repository: r.URL, Name: "x", Version: "2.0.0"})
	if sent != 2 {
		t.Errorf("the index was sent %d times, want 2", sent)
	}
	// A damaged index is fetched again rather than believed.
	files, _ := filepath.Glob(filepath.Join(dir, "indexes", "*"))
	for _, file := range files {
		content, _ := os.ReadFile(file)
		if err := os.WriteFile(file, append(content, "  damaged"...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wantSourceError(t, r.loader(t, shared), Ref{Repository: r.URL, Name: "x", Version: "3.0.0"}, false, "nearest: 2.0.0")
	if len(files) != 1 || sent != 3 {
		t.Errorf("%d files, the index was sent %d times, want 3", len(files), sent)
	}
}

func TestConcurrentLoadsAreOneDownload(t *testing.T) {
	r := newRepo(t)
	archive := archiveOf(t, "x", "1.0.0", "")
	r.publish("x", "1.0.0", archive)
	var once sync.Once
	asked, release := make(chan struct{}), make(chan struct{})
	r.handle("/x-1.0.0.tgz", func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() { close(asked) })
		<-release
		_, _ = w.Write(archive)
	})
	l := r.loader(t)
	req := Request{Ref: Ref{Repository: r.URL, Name: "x", Version: "1.0.0"}}

	// The first caller leaves; the download goes on for the others.
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error)
	go func() {
		_, err := l.Load(ctx, req)
		left <- err
	}()
	select {
	case <-asked:
	case err := <-left:
		t.Fatalf("the load ended without a download: %v", err)
	}
	var all sync.WaitGroup
	loaded := make([]*Chart, 20)
	for i := range loaded {
		all.Go(func() { loaded[i], _ = l.Load(context.Background(), req) })
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that left got %v", err)
	}
	close(release)
	all.Wait()
	for i, c := range loaded {
		if c == nil || c.Chart != loaded[0].Chart {
			t.Errorf("caller %d got %v", i, c)
		}
	}
	if n := r.count("/x-1.0.0.tgz"); n != 1 {
		t.Errorf("%d downloads", n)
	}
}
