package catalog

import (
	"embed"
	"fmt"
	"io/fs"

	"github.com/Masterminds/semver/v3"
)

//go:embed gateways/*.yaml
var gateways embed.FS

// GatewayImplementation is something that implements the Gateway API, and the versions of it that it goes with.
type GatewayImplementation struct {
	// Name as the API of this project spells it.
	Name string `yaml:"name"`
	// Ranges of its versions; the first that holds a version counts.
	Ranges []GatewayRange `yaml:"ranges"`
}

// GatewayRange is which versions of the Gateway API some versions of an implementation go with.
type GatewayRange struct {
	// Versions of the implementation, as a constraint such as ">=1.20".
	Versions string `yaml:"versions"`
	// Needs is the oldest version of the Gateway API that serves all kinds that it reads.
	Needs string `yaml:"needs"`
	// Tested is the newest minor version that its project tests with.
	Tested string `yaml:"tested"`
}

// GatewayImplementations are those that are known. A test keeps the data readable.
func GatewayImplementations() []GatewayImplementation {
	out, _ := loadGateways(gateways, "gateways/implementations.yaml")
	return out
}

func loadGateways(files fs.FS, name string) ([]GatewayImplementation, error) {
	raw, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	var out []GatewayImplementation
	if d := decode(name, raw, &out); len(d.problems) > 0 {
		return nil, d.problems
	}
	for _, g := range out {
		for _, r := range g.Ranges {
			if _, err := semver.NewConstraint(r.Versions); err != nil {
				return nil, fmt.Errorf("%s: %s: %q: %w", name, g.Name, r.Versions, err)
			}
			if _, err := semver.StrictNewVersion(r.Needs); err != nil {
				return nil, fmt.Errorf("%s: %s: needs %q: %w", name, g.Name, r.Needs, err)
			}
			if !minorPattern.MatchString(r.Tested) {
				return nil, fmt.Errorf("%s: %s: tested %q is no minor version", name, g.Name, r.Tested)
			}
		}
	}
	return out, nil
}

// GatewayRangeOf finds what a version of an implementation goes with; false when that is not known.
func GatewayRangeOf(implementation, version string) (GatewayRange, bool) {
	v, err := semver.NewVersion(version)
	if err != nil {
		return GatewayRange{}, false
	}
	for _, g := range GatewayImplementations() {
		if g.Name != implementation {
			continue
		}
		for _, r := range g.Ranges {
			if c, err := semver.NewConstraint(r.Versions); err == nil && c.Check(withoutPrerelease(v)) {
				return r, true
			}
		}
	}
	return GatewayRange{}, false
}
