package catalog

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/Masterminds/semver/v3"

	"github.com/networkstack/networkstack/internal/ignore"
)

//go:embed controllers/*.yaml
var controllers embed.FS

// ControllerFields are fields that running controllers rightly change in objects that charts render.
type ControllerFields struct {
	// Charts whose objects are meant, by their names; none means those of every chart.
	Charts []string `yaml:"charts,omitempty"`
	// Versions of the charts, as a constraint such as ">=1.20 <2"; empty means all.
	Versions string `yaml:"versions,omitempty"`
	// Kind and Name of the objects; Name may hold * and ?.
	Kind string `yaml:"kind"`
	Name string `yaml:"name,omitempty"`
	// Paths of the fields.
	Paths []string `yaml:"paths"`
	// Managers that may change them; none means anybody.
	Managers []string `yaml:"managers,omitempty"`
	// Reason in a few words: who changes the fields, and what for.
	Reason string `yaml:"reason"`

	rule       ignore.Rule
	constraint *semver.Constraints
}

// Controllers is all that is known of such fields.
type Controllers []ControllerFields

// DefaultControllers is what the operator carries. A test keeps it readable; were it not, the fields in the unreadable
// files would count as drift.
func DefaultControllers() Controllers {
	c, _ := loadControllers(controllers, "controllers")
	return c
}

// Rules are those for a chart at a version.
func (c Controllers) Rules(chart, version string) ignore.Rules {
	var out ignore.Rules
	parsed, err := semver.NewVersion(version)
	for i := range c {
		f := &c[i]
		if len(f.Charts) > 0 && !slices.Contains(f.Charts, chart) {
			continue
		}
		// A version that is none, of a chart under development say, passes every constraint.
		if f.constraint != nil && err == nil && !f.constraint.Check(withoutPrerelease(parsed)) {
			continue
		}
		out = append(out, f.rule)
	}
	return out
}

// withoutPrerelease takes 1.30.0-rc.1 for 1.30.0, which constraints would otherwise never match.
func withoutPrerelease(v *semver.Version) *semver.Version {
	return semver.New(v.Major(), v.Minor(), v.Patch(), "", "")
}

func loadControllers(files fs.FS, dir string) (Controllers, error) {
	names, err := fs.Glob(files, path.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out Controllers
	var errs []error
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list, d := readControllers(name, raw)
		if len(d.problems) > 0 {
			errs = append(errs, d.problems)
		}
		out = append(out, list...)
	}
	return out, errors.Join(errs...)
}

// readControllers gives the good entries of a file.
func readControllers(name string, raw []byte) (Controllers, *document) {
	var list, out Controllers
	d := decode(name, raw, &list)
	if len(d.problems) > 0 {
		return nil, d
	}
	for i := range list {
		if err := list[i].prepare(); err != nil {
			d.at([]any{i}, "entry %d: %v", i+1, err)
			continue
		}
		out = append(out, list[i])
	}
	return out, d
}

func (f *ControllerFields) prepare() error {
	if f.Kind == "" || len(f.Paths) == 0 || f.Reason == "" {
		return errors.New("kind, paths and reason are required")
	}
	f.rule = ignore.Rule{Kind: f.Kind, Name: f.Name, Managers: f.Managers, Reason: f.Reason}
	for _, text := range f.Paths {
		p, err := ignore.Parse(text)
		if err != nil {
			return err
		}
		f.rule.Paths = append(f.rule.Paths, p)
	}
	for _, pattern := range append(slices.Clone(f.Managers), f.Name) {
		if !ignore.ValidGlob(pattern) {
			return fmt.Errorf("%q is not a pattern", pattern)
		}
	}
	if f.Versions == "" {
		return nil
	}
	var err error
	f.constraint, err = semver.NewConstraint(f.Versions)
	return err
}
