package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// checkCurrent fails when the bundle differs from what config/ gives at the version and image that the bundle has.
func checkCurrent(root string) error {
	have, err := read(root)
	if err != nil {
		return err
	}
	csv := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(have[csvFile], &csv.Object); err != nil {
		return fmt.Errorf("%s: %w", csvFile, err)
	}
	version, _, _ := unstructured.NestedString(csv.Object, "spec", "version")
	want, err := generate(root, options{version: version, image: csv.GetAnnotations()["containerImage"]})
	if err != nil {
		return err
	}
	var stale []error
	names := maps.Clone(have)
	maps.Copy(names, want)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !bytes.Equal(have[name], want[name]) {
			stale = append(stale, fmt.Errorf("%s is not up to date: run make bundle", name))
		}
	}
	return errors.Join(stale...)
}

// read returns the files of the bundle by their path from the root.
func read(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	add := func(file string) error {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		files[filepath.ToSlash(name)] = data
		return err
	}
	err := filepath.WalkDir(filepath.Join(root, bundleDir), func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return add(file)
	})
	if err != nil {
		return nil, err
	}
	return files, add(filepath.Join(root, dockerfile))
}
