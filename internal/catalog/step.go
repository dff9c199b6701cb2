package catalog

import (
	"fmt"

	"github.com/Masterminds/semver/v3"
)

// StepVerdict says what is wrong with a step from one version to another.
type StepVerdict string

const (
	// StepAllowed steps are those that the project tests.
	StepAllowed StepVerdict = ""
	// StepMajor changes the major version.
	StepMajor StepVerdict = "Major"
	// StepTooFar skips versions.
	StepTooFar StepVerdict = "TooFar"
	// StepDown goes down further than is allowed.
	StepDown StepVerdict = "Down"
)

// Step judges going from the installed version to the wanted one. A version that cannot be read is not judged.
func (e Entry) Step(installed, wanted string) StepVerdict {
	from, err1 := semver.NewVersion(installed)
	to, err2 := semver.NewVersion(wanted)
	if err1 != nil || err2 != nil || len(e.Upgrades) == 0 {
		return StepAllowed
	}
	return e.step(withoutPrerelease(from), withoutPrerelease(to))
}

func (e Entry) step(from, to *semver.Version) StepVerdict {
	u, found := e.upgradeTo(to)
	minors := minorsBetween(from, to)
	switch {
	case !found:
		return StepAllowed
	case from.Major() != to.Major():
		return StepMajor
	case minors < 0 && u.MinorsDown != nil && -minors > *u.MinorsDown:
		return StepDown
	case minors > 0 && u.MinorsUp != nil && minors > *u.MinorsUp, minors > 0 && !matches(u.From, from):
		return StepTooFar
	}
	return StepAllowed
}

// NextStep is the version to go to first when a step is too far: the newest one known, on the way, that may be reached. When
// none is known it is a minor version, such as "1.19", and empty when that cannot be told either.
func (e Entry) NextStep(installed, wanted string) string {
	from, err1 := semver.NewVersion(installed)
	to, err2 := semver.NewVersion(wanted)
	if err1 != nil || err2 != nil || from.Major() != to.Major() {
		return ""
	}
	from, to = withoutPrerelease(from), withoutPrerelease(to)
	direction := 1
	if to.LessThan(from) {
		direction = -1
	}
	// From the far end: the longest step that is allowed is the shortest way.
	for n := minorsBetween(from, to) - direction; n*direction > 0; n -= direction {
		minor := int64(from.Minor()) + int64(n) //nolint:gosec // minors are small
		at, err := semver.NewVersion(fmt.Sprintf("%d.%d.0", from.Major(), minor))
		if err != nil || e.step(from, at) != StepAllowed {
			continue
		}
		return e.newestOf(at)
	}
	return ""
}

// newestOf is the newest version known of a minor, or the minor itself. Versions are ordered, newest first.
func (e Entry) newestOf(minor *semver.Version) string {
	for _, v := range e.Versions {
		known, err := semver.NewVersion(v.Version)
		if err == nil && known.Major() == minor.Major() && known.Minor() == minor.Minor() {
			return v.Version
		}
	}
	return fmt.Sprintf("%d.%d", minor.Major(), minor.Minor())
}

func (e Entry) upgradeTo(wanted *semver.Version) (Upgrade, bool) {
	for _, u := range e.Upgrades {
		if matches(u.To, wanted) {
			return u, true
		}
	}
	return Upgrade{}, false
}

// matches says whether a version meets a constraint; the empty one is met by all.
func matches(constraint string, v *semver.Version) bool {
	if constraint == "" {
		return true
	}
	c, err := semver.NewConstraint(constraint)
	return err == nil && c.Check(v)
}

func minorsBetween(from, to *semver.Version) int {
	return int(to.Minor()) - int(from.Minor()) //nolint:gosec // minors are small
}
