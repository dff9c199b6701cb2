package catalog

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/internal/ignore"
)

//go:embed controllers/*.yaml
var controllers embed.FS

// ControllerFields are fields that running controllers rightly change in objects that charts render.
type ControllerFields struct {
	// Charts whose objects are meant, by their names; none means those of every chart.
	Charts []string `json:"charts,omitempty"`
	// Versions of the charts, as a constraint such as ">=1.20 <2"; empty means all.
	Versions string `json:"versions,omitempty"`
	// Kind and Name of the objects; Name may hold * and ?.
	Kind string `json:"kind"`
	Name string `json:"name,omitempty"`
	// Paths of the fields.
	Paths []string `json:"paths"`
	// Managers that may change them; none means anybody.
	Managers []string `json:"managers,omitempty"`
	// Reason in a few words: who changes the fields, and what for.
	Reason string `json:"reason"`

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
		var list Controllers
		if err == nil {
			err = yaml.UnmarshalStrict(raw, &list)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		for i := range list {
			if err := list[i].prepare(); err != nil {
				errs = append(errs, fmt.Errorf("%s: entry %d: %w", name, i+1, err))
				continue
			}
			out = append(out, list[i])
		}
	}
	return out, errors.Join(errs...)
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
