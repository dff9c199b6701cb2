package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// bundled is a chart as a bundle has it.
func bundled(t *testing.T, name, version, text string) BundledChart {
	t.Helper()
	data := archiveOf(t, name, version, text)
	c, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return Bundled(Ref{Name: name, Version: version, Repository: "https://user:secret@example.com/x?token=y"},
		&Chart{Chart: c, Digest: digestOf(data), Archive: data})
}

func bundleOf(t *testing.T, charts ...BundledChart) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := WriteBundle(&out, charts, []string{"quay.io/b/c:v1", "docker.io/a:v1", "quay.io/b/c:v1"}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestBundle(t *testing.T) {
	one, two := bundled(t, "x", "1.0.0", "one"), bundled(t, "w", "v2.0.0", "two")
	data := bundleOf(t, one, two)
	if !bytes.Equal(data, bundleOf(t, two, one)) {
		t.Error("the order of the charts makes another bundle")
	}
	if strings.Contains(string(data), "secret") || strings.Contains(string(data), "token") {
		t.Error("the bundle has the credentials of a repository")
	}
	dir := t.TempDir()
	write(t, dir, "bundle.tar.gz", data)
	file := filepath.Join(dir, "bundle.tar.gz")
	b, err := ReadBundle(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"docker.io/a:v1", "quay.io/b/c:v1"}; !slices.Equal(b.Images, want) || len(b.Charts) != 2 || b.Charts[0].File != "w-v2.0.0.tgz" {
		t.Errorf("%+v", b)
	}
	l := NewLoader(Options{Dirs: []string{file}, CacheDir: t.TempDir(), HTTPClient: newRepo(t).Client()})
	for _, ref := range []Ref{
		{Name: "x", Version: "1.0.0", Repository: "https://unreachable.invalid", Digest: one.Digest},
		{Name: "w", Version: "2.0.0", Repository: "https://unreachable.invalid"},
		{Name: "x", Version: "v1.0.0"},
	} {
		if c := mustLoad(t, l, ref); !strings.HasPrefix(c.Source, "bundle "+file+": ") || c.Archive != nil {
			t.Errorf("%s: from %s", ref, c.Source)
		}
	}
	wantDigestError(t, l, Ref{Name: "x", Version: "1.0.0", Digest: two.Digest}, two.Digest, one.Digest)
	// What a bundle does not have is looked for elsewhere.
	if c := mustLoad(t, l, Ref{Name: "flannel", Version: "0.28.9"}); c.Source != "embedded" {
		t.Errorf("from %s", c.Source)
	}
	c, err := l.Load(t.Context(), Request{Ref: Ref{Name: "x", Version: "1.0.0"}, KeepArchive: true})
	if err != nil || !bytes.Equal(c.Archive, one.Archive) {
		t.Errorf("the archive: %v", err)
	}

	// A bundle that is put in its place is seen at once, in whatever state it is.
	other := bundled(t, "x", "1.0.0", "another")
	replace := func(data []byte, age time.Duration) {
		t.Helper()
		write(t, dir, "next", data)
		at := time.Now().Add(age)
		if err := errors.Join(os.Chtimes(filepath.Join(dir, "next"), at, at), os.Rename(filepath.Join(dir, "next"), file)); err != nil {
			t.Fatal(err)
		}
	}
	replace(bundleOf(t, other), -time.Hour)
	if c := mustLoad(t, l, Ref{Name: "x", Version: "1.0.0"}); c.Digest != other.Digest {
		t.Error("the old bundle is read")
	}
	replace(bundleOf(t, other)[:200], 0)
	wantSourceError(t, l, Ref{Name: "x", Version: "1.0.0"}, false, "bundle "+file, "cut off")
	wantSourceError(t, l, Ref{Name: "flannel", Version: "0.28.9"}, false, "bundle "+file)

	// Unpacked, it is a directory of charts.
	unpacked := t.TempDir()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	err = walkTar(r, func(name string, content []byte) { write(t, unpacked, name, content) })
	if err != nil {
		t.Fatal(err)
	}
	l = NewLoader(Options{Dirs: []string{unpacked}, CacheDir: t.TempDir()})
	if c := mustLoad(t, l, Ref{Name: "w", Version: "2.0.0", Digest: two.Digest}); c.Source != "directory "+filepath.Join(unpacked, "w-v2.0.0.tgz") {
		t.Errorf("from %s", c.Source)
	}
	if err := CheckPlace(unpacked); err != nil {
		t.Error(err)
	}
	if err := CheckPlace(filepath.Join(unpacked, "none")); err == nil || !strings.Contains(err.Error(), "no such directory or bundle") {
		t.Error(err)
	}
}

func walkTar(r interface{ Read([]byte) (int, error) }, yield func(string, []byte)) error {
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if err != nil {
			if h == nil && err.Error() == "EOF" {
				return nil
			}
			return err
		}
		var content bytes.Buffer
		if _, err := content.ReadFrom(in); err != nil {
			return err
		}
		yield(h.Name, content.Bytes())
	}
}

// TestBundleOfOneNameTwice has two archives that a directory could not hold.
func TestBundleOfOneNameTwice(t *testing.T) {
	err := WriteBundle(&bytes.Buffer{}, []BundledChart{bundled(t, "x", "1.0.0", "a"), bundled(t, "x", "1.0.0", "b")}, nil)
	if err == nil || !strings.Contains(err.Error(), "x-1.0.0.tgz") {
		t.Error(err)
	}
}

// TestBadBundles has everything wrong that can be, and wants each bad entry to be named.
func TestBadBundles(t *testing.T) {
	x, y := bundled(t, "x", "1.0.0", "x"), bundled(t, "w", "1.0.0", "w")
	index := func(change func(*Bundle)) string {
		b := Bundle{FormatVersion: bundleFormat, Charts: []BundledChart{x, y}}
		if change != nil {
			change(&b)
		}
		data, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	type entry struct {
		name, content string
		kind          byte
	}
	file := func(name, content string) entry { return entry{name, content, tar.TypeReg} }
	good := []entry{file(BundleIndexFile, index(nil)), file(BundleImagesFile, ""), file(x.File, string(x.Archive)), file(y.File, string(y.Archive))}
	whole := func(entries []entry) []byte {
		var out bytes.Buffer
		z, err := gzip.NewWriterLevel(&out, gzip.NoCompression)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(z)
		for _, e := range entries {
			h := &tar.Header{Name: e.name, Mode: 0o644, Typeflag: e.kind}
			if e.kind == tar.TypeSymlink {
				h.Linkname, e.content = e.content, ""
			}
			h.Size = int64(len(e.content))
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(e.content)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Close(), z.Close()); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	with := func(i int, e ...entry) []byte { return whole(slices.Concat(good[:i], e, good[i+1:])) }
	indexed := func(change func(*Bundle)) []byte { return with(0, file(BundleIndexFile, index(change))) }
	complete := whole(good)
	for _, tc := range []struct {
		name string
		data []byte
		want []string
	}{
		{"in order", complete, nil},
		{"empty", nil, []string{"the file was cut off"}},
		{"cut off", complete[:len(complete)/3], []string{"the file was cut off", "x-1.0.0.tgz: is not in the part that can be read", "w-1.0.0.tgz: is not in the part"}},
		{"cut off at the end", complete[:len(complete)-4], []string{"the file was cut off"}},
		{"damaged", slices.Concat(complete[:len(complete)-6], []byte{complete[len(complete)-6] ^ 1}, complete[len(complete)-5:]), []string{"cannot be read to its end"}},
		{"not an archive", []byte("<html>log in</html>"), []string{"not packed by gzip"}},
		{"a chart", tarball(t, map[string]string{"x/Chart.yaml": "name: x"}), []string{`"x/Chart.yaml": leads out of the bundle`, "bundle.json: is missing"}},
		{"without index", whole(good[1:]), []string{"bundle.json: is missing: this is no bundle"}},
		{"an index that is none", with(0, file(BundleIndexFile, "{")), []string{"bundle.json: is not the index of a bundle"}},
		{"another format", indexed(func(b *Bundle) { b.FormatVersion = 2 }), []string{"bundle.json: has format version 2"}},
		{"wrong digests and missing archives, all of them", whole([]entry{
			file(BundleIndexFile, index(func(b *Bundle) { b.Charts = append(b.Charts, bundled(t, "z", "1.0.0", "z")) })), file(x.File, "x"), file(y.File, "y")}),
			[]string{"x-1.0.0.tgz: has digest " + digestOf([]byte("x")) + ", and the index says " + x.Digest, "w-1.0.0.tgz: has digest", "z-1.0.0.tgz: is missing"}},
		{"no digest", indexed(func(b *Bundle) { b.Charts[0].Digest = "" }), []string{"x-1.0.0.tgz: the index has no digest of it"}},
		{"a name that is none", indexed(func(b *Bundle) { b.Charts[0].Name = "../x" }), []string{`"../x" is not a chart name`}},
		{"another file", indexed(func(b *Bundle) { b.Charts[0].File = "w-1.0.0.tgz" }),
			[]string{`"w-1.0.0.tgz": the archive of x 1.0.0 is called x-1.0.0.tgz`, "x-1.0.0.tgz: the index does not name it"}},
		{"out of the bundle, twice", with(1, file("../../etc/passwd", "root"), file("/etc/shadow", "root"), file("a/b", "c"), file(`a\b`, "c")),
			[]string{`"../../etc/passwd": leads out of the bundle`, `"/etc/shadow": leads out`, `"a/b": leads out`, `"a\\b": leads out`}},
		{"a link", with(1, entry{"link", "/etc/passwd", tar.TypeSymlink}), []string{"link: is no regular file"}},
		{"twice", whole(append(slices.Clone(good), file(x.File, "evil"))), []string{"x-1.0.0.tgz: is there twice"}},
		{"more than the index has", whole(append(slices.Clone(good), file("z-1.0.0.tgz", "z"))), []string{"z-1.0.0.tgz: the index does not name it"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "b.tar.gz", tc.data)
			name := filepath.Join(dir, "b.tar.gz")
			_, err := ReadBundle(name)
			if len(tc.want) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var bad *BundleError
			if !errors.As(err, &bad) || bad.Path != name || len(bad.Problems) != len(tc.want) {
				t.Fatalf("%v, %d problems wanted", err, len(tc.want))
			}
			for i, want := range tc.want {
				if !strings.Contains(bad.Problems[i], want) {
					t.Errorf("%q lacks %q", bad.Problems[i], want)
				}
			}
			_, err = NewLoader(Options{Dirs: []string{name}, CacheDir: t.TempDir()}).Load(context.Background(), Request{Ref: Ref{Name: "x", Version: "1.0.0"}})
			var source *SourceError
			if !errors.As(err, &source) || source.URL != "bundle "+name || !strings.Contains(fmt.Sprint(err), tc.want[len(tc.want)-1]) {
				t.Errorf("loading from it: %v", err)
			}
		})
	}
}
