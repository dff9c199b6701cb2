package nodes

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestParseMirror(t *testing.T) {
	for name, c := range map[string]struct {
		targets, want string
		found         bool
	}{
		"the archive, not what is beside it": {
			"DEP-11 http://a.example/debian\nPackages http://b.example/debian-security\nPackages http://c.example/debian/\n", "http://c.example/debian", true,
		},
		"another distribution": {"Packages http://a.example/ubuntu\n", "", false},
		"nothing":              {"", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, found := parseMirror(c.targets)
			if got != c.want || found != c.found {
				t.Errorf("got %q, %v; want %q, %v", got, found, c.want, c.found)
			}
		})
	}
}

// TestFilesFromTree follows links that lead through links, within the tree alone.
func TestFilesFromTree(t *testing.T) {
	tree := t.TempDir()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(errors.Join(
		os.MkdirAll(filepath.Join(tree, "usr", "bin"), 0o755), os.MkdirAll(filepath.Join(tree, "etc", "alternatives"), 0o755),
		os.Symlink("usr/bin", filepath.Join(tree, "bin")),
		os.Symlink("/etc/alternatives/sh", filepath.Join(tree, "usr", "bin", "sh")),
		os.Symlink("../../usr/bin/dash", filepath.Join(tree, "etc", "alternatives", "sh")),
		os.WriteFile(filepath.Join(tree, "usr", "bin", "dash"), []byte("#!"), 0o755),
	))
	files := fileSet{}
	// A path with .. in a link is resolved by where it stands.
	if err := files.fromTree(tree, "/bin/sh"); err != nil {
		t.Fatal(err)
	}
	content, err := files.tarball()
	check(err)
	var names []string
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(err)
		names = append(names, header.Name+" "+header.Linkname)
	}
	want := []string{
		"bin usr/bin", "etc/ ", "etc/alternatives/ ", "etc/alternatives/sh ../../usr/bin/dash", "usr/ ", "usr/bin/ ", "usr/bin/dash ",
		"usr/bin/sh /etc/alternatives/sh",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got %q\nwant %q", names, want)
	}
	again, err := files.tarball()
	check(err)
	if !bytes.Equal(content, again) {
		t.Error("two archives of the same files differ")
	}
	check(os.Symlink("round", filepath.Join(tree, "round")))
	if err := files.fromTree(tree, "/round"); err == nil {
		t.Error("a link to itself was followed")
	}
}

func TestCloneTemplate(t *testing.T) {
	source, target := t.TempDir(), filepath.Join(t.TempDir(), "clone")
	for _, name := range []string{"meta.db", "blob"} {
		if err := os.WriteFile(filepath.Join(source, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := cloneTemplate(target, source); err != nil {
		t.Fatal(err)
	}
	for name, linked := range map[string]bool{"meta.db": false, "blob": true} {
		a, err := os.Stat(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.Stat(filepath.Join(target, name))
		if err != nil {
			t.Fatal(err)
		}
		if os.SameFile(a, b) != linked {
			t.Errorf("%s: linked is %v", name, !linked)
		}
	}
}

// TestImages reads the names of images out of the charts, which they have to be found under.
func TestImages(t *testing.T) {
	got, err := chartImage("../../charts/flannel/values.yaml", "flannel", "flannel_cni", "image")
	if err != nil || got == "" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := chartImage("../../charts/flannel/values.yaml", "nowhere"); err == nil {
		t.Error("an image that the chart does not have was found")
	}
}
