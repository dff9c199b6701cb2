// Command operatorchart writes charts/networkstack/files, which has what the operator's Helm chart installs as it is: the custom
// resource definitions, the permissions, what concerns admission, alerts and dashboard, from config/. It is run from the root of the
// repository.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const chartFiles = "charts/networkstack/files"

func main() {
	check := flag.Bool("check", false, "write nothing; fail when config/ gives other files")
	flag.Parse()
	if err := run(".", *check); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	want, err := generate(root)
	if err != nil {
		return err
	}
	if !check {
		return write(root, want)
	}
	have, err := read(root)
	if err != nil {
		return err
	}
	names := maps.Clone(have)
	maps.Copy(names, want)
	var stale []error
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !bytes.Equal(have[name], want[name]) {
			stale = append(stale, fmt.Errorf("%s is not up to date: run make chart", path.Join(chartFiles, name)))
		}
	}
	return errors.Join(stale...)
}

// generate returns the files by their paths below chartFiles: one for each object.
func generate(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, dir := range []string{"crd", "rbac", "admission", "webhook", "prometheus"} {
		objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "config", dir))
		if err != nil {
			return nil, fmt.Errorf("building config/%s: %w", dir, err)
		}
		for _, object := range objects.Resources() {
			data, err := object.AsYAML()
			if err != nil {
				return nil, err
			}
			files[path.Join(dir, strings.ToLower(object.GetKind())+"-"+object.GetName()+".yaml")] = data
		}
	}
	return files, nil
}

// write replaces what there is by files.
func write(root string, files map[string][]byte) error {
	dir := filepath.Join(root, chartFiles)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for name, data := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func read(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	dir := os.DirFS(filepath.Join(root, chartFiles))
	err := fs.WalkDir(dir, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(dir, name)
		return err
	})
	return files, err
}
