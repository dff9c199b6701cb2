// Package testcharts finds the charts that tests render and install: the operator's own, and upstream's in the chart
// cache of this machine, which the project carries no copies of.
package testcharts

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/networkstack/networkstack/charts"
	"github.com/networkstack/networkstack/internal/catalog"
)

// Embedded is a chart that the operator carries.
func Embedded(t testing.TB, name string) *chart.Chart {
	t.Helper()
	var files []*loader.BufferedFile
	err := fs.WalkDir(charts.FS, name, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := charts.FS.ReadFile(path)
		files = append(files, &loader.BufferedFile{Name: strings.TrimPrefix(path, name+"/"), Data: data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Upstream is a chart of upstream's. The test is skipped when this machine does not have it.
func Upstream(t testing.TB, name, version string) *chart.Chart {
	t.Helper()
	c, err := loader.LoadFile(filepath.Join(UpstreamDir(t, name, version), archive(name, version)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// UpstreamDir is the directory that has the chart's archive. The test is skipped when there is none: see CONTRIBUTING.md.
func UpstreamDir(t testing.TB, name, version string) string {
	t.Helper()
	dir, err := CacheDir()
	if err != nil {
		t.Skipf("there is no cache to find %s in: %v", archive(name, version), err)
	}
	if _, err := os.Stat(filepath.Join(dir, archive(name, version))); err != nil {
		t.Skipf("upstream's chart archive %s is not in %s", archive(name, version), dir)
	}
	return dir
}

// PinnedDir is UpstreamDir for an archive whose digest the catalogue states. The test is skipped, too, when the archive is another one,
// such as one that was packed here, which the operator would refuse.
func PinnedDir(t testing.TB, name, version string) string {
	t.Helper()
	dir := UpstreamDir(t, name, version)
	content, err := os.ReadFile(filepath.Join(dir, archive(name, version)))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	for _, entry := range catalog.Default() {
		if v, ok := entry.Version(version); ok && entry.Chart == name && v.Digest != got {
			t.Skipf("%s in %s is not the archive that upstream publishes: its digest is %s, not %s", archive(name, version), dir, got, v.Digest)
		}
	}
	return dir
}

func archive(name, version string) string { return name + "-" + version + ".tgz" }
