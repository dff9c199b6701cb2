package catalog

import (
	"embed"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"

	"github.com/Masterminds/semver/v3"
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
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var entry Entry
		d := decode(name, raw, &entry)
		if len(d.problems) == 0 {
			entry.validate(d)
		}
		if _, twice := c[entry.Type]; twice {
			d.add("type %s is in another file as well", entry.Type)
		}
		if len(d.problems) > 0 {
			errs = append(errs, d.problems)
			continue
		}
		c[entry.Type] = entry
	}
	return c, errors.Join(errs...)
}

var (
	digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	minorPattern  = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)
)

// validate checks what readers of the catalogue rely on.
func (e *Entry) validate(d *document) {
	if e.Type == "" || e.Chart == "" || e.ReleaseName == "" || e.Namespace == "" {
		d.add("type, chart, releaseName and namespace are required")
	}
	if len(e.Versions) == 0 {
		d.add("no versions: name at least one")
	}
	var previous *semver.Version
	for i, v := range e.Versions {
		version := v.validate(d, i)
		if version != nil && previous != nil && !version.LessThan(previous) {
			d.at([]any{"versions", i, "version"}, "version %s is not older than the one before it: order them, newest first", v.Version)
		}
		previous = version
	}
	e.validateRest(d)
	if _, known := e.Version(e.DefaultVersion); e.DefaultVersion != "" && !known {
		d.at([]any{"defaultVersion"}, "%s is not among the versions: add it there", e.DefaultVersion)
	}
}

// validate checks one version by itself; nil stands for one that cannot be read.
func (v Version) validate(d *document, i int) *semver.Version {
	at := func(field string) []any { return []any{"versions", i, field} }
	version, err := semver.StrictNewVersion(v.Version)
	if err != nil {
		d.at(at("version"), "version %q is not a full version: write one such as 1.20.0", v.Version)
	}
	if v.Digest != "" && !digestPattern.MatchString(v.Digest) {
		d.at(at("digest"), "version %s: %q is not a digest: write sha256: and 64 hexadecimal digits", v.Version, v.Digest)
	}
	if _, err := semver.StrictNewVersion(v.Provides); v.Provides != "" && err != nil {
		d.at(at("provides"), "version %s: provides %q is not a full version: write one such as 1.5.1", v.Version, v.Provides)
	}
	lowest, highest := v.KubernetesMin, v.KubernetesMax
	switch {
	case lowest == "" && highest == "":
	case lowest == "" || highest == "":
		d.at(at("version"), "version %s: kubernetesMin and kubernetesMax go together: set both", v.Version)
	case !minorPattern.MatchString(lowest) || !minorPattern.MatchString(highest):
		d.at(at("kubernetesMin"), "version %s: a Kubernetes version is written as 1.36, in quotes", v.Version)
	case semver.MustParse(highest + ".0").LessThan(semver.MustParse(lowest + ".0")):
		d.at(at("kubernetesMax"), "version %s: kubernetesMax is older than kubernetesMin: swap them", v.Version)
	}
	return version
}

// validateRest checks upgrades and readiness.
func (e *Entry) validateRest(d *document) {
	validateMetrics(e.Metrics, d)
	validateFlows(e.Flows, d)
	for i, u := range e.Upgrades {
		for field, constraint := range map[string]string{"to": u.To, "from": u.From} {
			if constraint == "" {
				continue
			}
			if _, err := semver.NewConstraint(constraint); err != nil {
				d.at([]any{"upgrades", i, field}, "%q is no constraint on versions: write one such as >=3.33", constraint)
			}
		}
		for field, n := range map[string]*int{"minorsUp": u.MinorsUp, "minorsDown": u.MinorsDown} {
			if n != nil && *n < 0 {
				d.at([]any{"upgrades", i, field}, "%s of %d: write 0 or more", field, *n)
			}
		}
	}
	for field, list := range map[string][]ObjectName{"omits": e.Omits, "transient": e.Transient} {
		for i, o := range list {
			if o.Kind == "" || o.Name == "" {
				d.at([]any{field, i}, "an object needs kind and name")
			}
		}
	}
	for i, r := range e.Readiness {
		if r.Group == "" || r.Version == "" || r.Of == "" || r.Kind == "" || r.Name == "" || len(r.WantTrue)+len(r.WantFalse) == 0 {
			d.at([]any{"readiness", i}, "readiness needs group, version, of, kind, name and conditions (wantTrue, wantFalse)")
		}
	}
}
