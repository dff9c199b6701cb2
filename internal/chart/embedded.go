package chart

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/networkstack/networkstack/charts"
)

type embeddedChart struct {
	chart  *helmchart.Chart
	digest string
}

// embedded parses the operator's own charts, once.
var embedded = sync.OnceValues(func() (map[string]embeddedChart, error) {
	dirs, err := charts.FS.ReadDir(".")
	if err != nil {
		return nil, err
	}
	all := map[string]embeddedChart{}
	for _, dir := range dirs {
		sub, err := fs.Sub(charts.FS, dir.Name())
		if err != nil {
			return nil, err
		}
		c, digest, err := loadFiles(sub)
		if err != nil {
			return nil, fmt.Errorf("chart %s: %w", dir.Name(), err)
		}
		all[c.Metadata.Name] = embeddedChart{c, digest}
	}
	return all, nil
})

// loadFiles loads a chart from its files. The digest is over the files in the order of their names,
// each with the lengths of its name and content, so that no two sets of files serialise alike.
func loadFiles(files fs.FS) (*helmchart.Chart, string, error) {
	var buffered []*loader.BufferedFile
	hash := sha256.New()
	err := fs.WalkDir(files, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, p)
		if err != nil {
			return err
		}
		fmt.Fprintf(hash, "%d:%s%d:", len(p), p, len(data))
		hash.Write(data)
		buffered = append(buffered, &loader.BufferedFile{Name: p, Data: data})
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	c, err := loader.LoadFiles(buffered)
	return c, "sha256:" + hex.EncodeToString(hash.Sum(nil)), err
}

// Operator is the chart of the operator itself.
func Operator() (*helmchart.Chart, error) {
	sub, err := fs.Sub(charts.Operator, "networkstack")
	if err != nil {
		return nil, err
	}
	c, _, err := loadFiles(sub)
	return c, err
}

// Embedded lists the charts that the operator carries, by name, with their digests. The error is a
// fault of the build, not of the machine it runs on.
func Embedded() ([]Ref, error) {
	all, err := embedded()
	if err != nil {
		return nil, err
	}
	refs := make([]Ref, 0, len(all))
	for name, c := range all {
		refs = append(refs, Ref{Name: name, Version: c.chart.Metadata.Version, Digest: c.digest})
	}
	slices.SortFunc(refs, func(a, b Ref) int { return cmp.Compare(a.Name, b.Name) })
	return refs, nil
}

// fromBinary gives a chart that the operator carries.
func fromBinary(ref Ref) (*Chart, error) {
	all, err := embedded()
	if err != nil {
		return nil, &SourceError{URL: "embedded", Reason: err.Error()}
	}
	c, ok := all[ref.Name]
	if !ok {
		refs, _ := Embedded()
		names := make([]string, len(refs))
		for i, r := range refs {
			names[i] = r.Name
		}
		return nil, &SourceError{URL: "embedded", Reason: fmt.Sprintf("the operator carries no chart %s, only %s: name a repository, or put %s-%s.tgz into a charts directory",
			ref.Name, strings.Join(names, " and "), ref.Name, ref.Version)}
	}
	if !sameVersion(c.chart.Metadata.Version, ref.Version) {
		return nil, &SourceError{URL: "embedded", Reason: fmt.Sprintf("the operator carries chart %s %s, not %s: leave the version out, name a repository, or put %s-%s.tgz into a charts directory",
			ref.Name, c.chart.Metadata.Version, ref.Version, ref.Name, ref.Version)}
	}
	if ref.Digest != "" && ref.Digest != c.digest {
		return nil, &DigestError{Want: ref.Digest, Got: c.digest, Source: "embedded"}
	}
	return &Chart{Chart: c.chart, Digest: c.digest, Source: "embedded"}, nil
}
