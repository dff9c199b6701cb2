package catalog

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"
)

//go:embed data/*.yaml
var data embed.FS

// Default is the catalogue that the operator carries. Each call gives a copy of its own. A test keeps
// the data readable; were it not, the components in the unreadable files would be missing.
func Default() Catalog {
	c, _ := load(data, "data")
	return c
}

// load reads every file of a directory. It gives what it can read together with every error, each
// with the file's name.
func load(files fs.FS, dir string) (Catalog, error) {
	names, err := fs.Glob(files, path.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	c := Catalog{}
	var errs []error
	for _, name := range names {
		entry, err := read(files, name)
		if err == nil {
			if _, twice := c[entry.Type]; twice {
				err = fmt.Errorf("type %s is in another file as well", entry.Type)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		c[entry.Type] = entry
	}
	return c, errors.Join(errs...)
}

func read(files fs.FS, name string) (Entry, error) {
	raw, err := fs.ReadFile(files, name)
	if err != nil {
		return Entry{}, err
	}
	var e Entry
	if err := yaml.UnmarshalStrict(raw, &e); err != nil {
		return Entry{}, err
	}
	return e, e.validate()
}

var (
	digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	minorPattern  = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)
)

// validate checks what readers of the catalogue rely on.
func (e Entry) validate() error {
	if e.Type == "" || e.Chart == "" || e.ReleaseName == "" || e.Namespace == "" {
		return errors.New("type, chart, releaseName and namespace are required")
	}
	if len(e.Versions) == 0 {
		return errors.New("no versions")
	}
	var previous *semver.Version
	for _, v := range e.Versions {
		version, err := semver.StrictNewVersion(v.Version)
		switch {
		case err != nil:
			return fmt.Errorf("version %q is not a full version", v.Version)
		case previous != nil && !version.LessThan(previous):
			return fmt.Errorf("version %s is not older than the one before it", v.Version)
		case v.Digest != "" && !digestPattern.MatchString(v.Digest):
			return fmt.Errorf("version %s: %q is not a digest", v.Version, v.Digest)
		case (v.KubernetesMin == "") != (v.KubernetesMax == ""):
			return fmt.Errorf("version %s: kubernetesMin and kubernetesMax go together", v.Version)
		}
		if v.KubernetesMin != "" {
			if !minorPattern.MatchString(v.KubernetesMin) || !minorPattern.MatchString(v.KubernetesMax) {
				return fmt.Errorf("version %s: a Kubernetes version is written as 1.36", v.Version)
			}
			if semver.MustParse(v.KubernetesMax + ".0").LessThan(semver.MustParse(v.KubernetesMin + ".0")) {
				return fmt.Errorf("version %s: kubernetesMax is older than kubernetesMin", v.Version)
			}
		}
		previous = version
	}
	for _, r := range e.Readiness {
		if r.Group == "" || r.Version == "" || r.Of == "" || r.Kind == "" || r.Name == "" || len(r.WantTrue)+len(r.WantFalse) == 0 {
			return errors.New("readiness needs group, version, of, kind, name and conditions")
		}
	}
	return nil
}
