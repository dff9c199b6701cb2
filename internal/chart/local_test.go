package chart

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestRefErrors(t *testing.T) {
	l := NewLoader(Options{CacheDir: t.TempDir()})
	for _, test := range []struct {
		ref  Ref
		want string
	}{
		{Ref{Name: "", Version: "1.0.0"}, "not a chart name"},
		{Ref{Name: "../x", Version: "1.0.0"}, "not a chart name"},
		{Ref{Name: "a/b", Version: "1.0.0"}, "not a chart name"},
		{Ref{Name: "x", Version: ""}, "no version"},
		{Ref{Name: "x", Version: "latest"}, "not a full version"},
		{Ref{Name: "x", Version: "1.2"}, "not a full version"},
		{Ref{Name: "x", Version: "^1.2.0"}, "not a full version"},
		{Ref{Name: "x", Version: "../1.0.0"}, "not a full version"},
		{Ref{Name: "x", Version: "1.0.0", Digest: "sha256:abc"}, "not a digest"},
		{Ref{Name: "x", Version: "1.0.0", Repository: "ftp://u:secret@h/x"}, "neither https://"},
		{Ref{Name: "x", Version: "1.0.0", Repository: "https:///x"}, "no host"},
	} {
		_, err := l.Load(context.Background(), Request{Ref: test.ref})
		var refError *RefError
		if !errors.As(err, &refError) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want %q", test.ref, err, test.want)
		}
	}
}

func TestDirectory(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	plain, prefixed := archiveOf(t, "x", "1.0.0", "plain"), archiveOf(t, "x", "v2.0.0", "prefixed")
	write(t, second, "x-1.0.0.tgz", plain)
	write(t, second, "x-v2.0.0.tgz", prefixed)
	write(t, second, "html-1.0.0.tgz", []byte("<html>login</html>"))
	write(t, second, "other-1.0.0.tgz", plain)
	l := NewLoader(Options{Dirs: []string{first, filepath.Join(first, "absent")}, CacheDir: t.TempDir()})
	load := func(ref Ref) (*Chart, error) {
		return l.Load(context.Background(), Request{Ref: ref, Dirs: []string{second}})
	}

	c, err := load(Ref{Repository: "https://unused.invalid", Name: "x", Version: "1.0.0", Digest: digestOf(plain)})
	if err != nil {
		t.Fatal(err)
	}
	if want := "directory " + filepath.Join(second, "x-1.0.0.tgz"); c.Source != want || c.Digest != digestOf(plain) {
		t.Errorf("source %s digest %s", c.Source, c.Digest)
	}
	for _, version := range []string{"2.0.0", "v2.0.0"} {
		if c, err = load(Ref{Name: "x", Version: version}); err != nil || c.Digest != digestOf(prefixed) {
			t.Errorf("%s: %v %v", version, c, err)
		}
	}

	// A directory that comes first wins, and a replaced file is seen at once.
	replaced := archiveOf(t, "x", "1.0.0", "replaced")
	write(t, first, "x-1.0.0.tgz", replaced)
	if c, err = load(Ref{Name: "x", Version: "1.0.0"}); err != nil || c.Digest != digestOf(replaced) {
		t.Errorf("%v %v", c, err)
	}
	// The pinned digest holds here too, and the next directory is not asked instead.
	_, err = load(Ref{Name: "x", Version: "1.0.0", Digest: digestOf(plain)})
	var digest *DigestError
	if !errors.As(err, &digest) || digest.Got != digestOf(replaced) || !strings.Contains(err.Error(), first) {
		t.Errorf("got %v", err)
	}
	for name, want := range map[string]string{"html": "not a chart archive: the content is text/html", "other": "holds chart x 1.0.0, not other 1.0.0"} {
		_, err = load(Ref{Name: name, Version: "1.0.0"})
		var source *SourceError
		if !errors.As(err, &source) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDirectoryRefusesLargeAndHostileArchives(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "x-1.0.0.tgz", bytes.Repeat([]byte{0x1f, 0x8b}, 600))
	write(t, dir, "y-1.0.0.tgz", tarball(t, map[string]string{"y/../../etc/passwd": "x", "y/Chart.yaml": "name: y\nversion: 1.0.0\napiVersion: v2\n"}))
	l := NewLoader(Options{Dirs: []string{dir}, CacheDir: t.TempDir(), MaxArchiveSize: 1000})
	wantSourceError(t, l, Ref{Name: "x", Version: "1.0.0"}, false, "larger than the limit of 1000 bytes")
	wantSourceError(t, l, Ref{Name: "y", Version: "1.0.0"}, false, "parent directory")
}

func TestEmbedded(t *testing.T) {
	refs, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	l := NewLoader(Options{CacheDir: t.TempDir()})
	for _, ref := range refs {
		c := mustLoad(t, l, ref)
		if c.Source != "embedded" || c.Digest != ref.Digest || !digestPattern.MatchString(c.Digest) {
			t.Errorf("%s: %s %s", ref, c.Source, c.Digest)
		}
		if len(c.Chart.Templates) == 0 || c.Chart.Schema == nil || len(c.Chart.Values) == 0 {
			t.Errorf("%s is incomplete", ref)
		}
	}
	wantSourceError(t, l, Ref{Name: "flannel", Version: "0.1.0"}, false, "carries chart flannel 0.28.9, not 0.1.0", "flannel-0.1.0.tgz into a charts directory")
	var names []string
	for _, ref := range refs {
		names = append(names, ref.Name)
	}
	wantSourceError(t, l, Ref{Name: "cilium", Version: "1.20.0"}, false, "carries no chart cilium", "only "+strings.Join(names, " and ")+":")
	other := "sha256:" + strings.Repeat("0", 64)
	wantDigestError(t, l, Ref{Name: refs[0].Name, Version: refs[0].Version, Digest: other}, other, refs[0].Digest)

	// A directory goes before the operator's own charts.
	dir := t.TempDir()
	write(t, dir, "flannel-0.28.9.tgz", archiveOf(t, "flannel", "0.28.9", "patched"))
	c, err := l.Load(context.Background(), Request{Ref: Ref{Name: "flannel", Version: "0.28.9"}, Dirs: []string{dir}})
	if err != nil || !strings.HasPrefix(c.Source, "directory ") {
		t.Errorf("%v %v", c, err)
	}
}

// TestEmbeddedDigest checks that it depends on names and content, and on nothing else.
func TestEmbeddedDigest(t *testing.T) {
	digest := func(files fstest.MapFS) string {
		t.Helper()
		files["Chart.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: v2\nname: x\nversion: 1.0.0\n")}
		_, d, err := loadFiles(files)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	base := digest(fstest.MapFS{"templates/a": file("1"), "templates/b": file("2")})
	if base != digest(fstest.MapFS{"templates/b": file("2"), "templates/a": file("1")}) {
		t.Error("the order matters")
	}
	for _, other := range []fstest.MapFS{
		{"templates/a": file("2"), "templates/b": file("1")},
		{"templates/a": file("12"), "templates/b": file("")},
		{"templates/a": file("1"), "templates/c": file("2")},
	} {
		if base == digest(other) {
			t.Errorf("%v has the same digest", other)
		}
	}
}

func TestParsedCharts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "x-1.0.0.tgz", archiveOf(t, "x", "1.0.0", ""))
	l := NewLoader(Options{Dirs: []string{dir}, CacheDir: t.TempDir()})
	first := mustLoad(t, l, Ref{Name: "x", Version: "1.0.0"})
	if again := mustLoad(t, l, Ref{Name: "x", Version: "1.0.0"}); again.Chart != first.Chart || again == first {
		t.Error("the parsed chart is not shared, or its envelope is")
	}

	c := parsedCache{size: 2}
	c.put("a", first.Chart)
	c.put("b", first.Chart)
	c.get("a")
	c.put("c", first.Chart)
	if c.get("b") != nil || c.get("a") == nil || c.get("c") == nil {
		t.Errorf("kept %v, want a and c", c.entries)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := NewLoader(Options{CacheDir: t.TempDir()}).Load(ctx, Request{Ref: Ref{Name: "flannel", Version: "0.28.9"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestMain(m *testing.M) {
	// Nothing here may use the machine's own cache or a proxy.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Unsetenv(name)
	}
	os.Exit(m.Run())
}
