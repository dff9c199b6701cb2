package controlplane

import (
	"os"
	"path/filepath"
	"testing"
)

// A module that is built with an overlay imports what its file imports says, and another file is another program.
func TestImports(t *testing.T) {
	t.Setenv("NETWORKSTACK_CACHE", t.TempDir())
	dir, source, target := t.TempDir(), t.TempDir(), t.TempDir()
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		write(filepath.Join(dir, name), "")
	}
	m := &module{dir: dir, name: "x", version: "v1"}
	before, err := m.cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(dir, "imports"), "example.com/a example.com/b\n")
	if after, err := m.cacheDir(); err != nil || after == before {
		t.Errorf("with other imports the cache directory is %q, %v", after, err)
	}
	imports, err := m.imports()
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(source, "a.go"), `import ("example.com/a"; "example.com/a/c")`)
	write(filepath.Join(source, "a.txt"), `"example.com/a"`)
	if err := copyTree(target, source, imports); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.go": `import ("example.com/b"; "example.com/a/c")`, "a.txt": `"example.com/a"`} {
		if got, err := os.ReadFile(filepath.Join(target, name)); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
	}
	write(filepath.Join(dir, "imports"), "example.com/a")
	if _, err := m.imports(); err == nil {
		t.Error("half a pair was taken")
	}
}
