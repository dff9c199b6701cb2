package compose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
)

// TypeAddon is the component type of every add-on.
const TypeAddon = "Addon"

// addonPrefix keeps the components of add-ons apart from those that the operator names.
const addonPrefix = "addon-"

// maxAddonName leaves room for the prefix: a component's name, and a Helm release's, have at most 53 characters.
const maxAddonName = 47

var addonsPath = specPath.Child("addons")

// addon finds an add-on by its name.
func (s *state) addon(name string) *networkstackv1alpha1.AddonSpec {
	i := slices.IndexFunc(s.spec.Addons, func(a networkstackv1alpha1.AddonSpec) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return &s.spec.Addons[i]
}

// addonReleases are the add-ons. Each needs the network, and what it comes after. One that comes after another add-on is of a later
// stage, so that it is removed first.
func (s *state) addonReleases(network []string, others []Release) []Release {
	var out []Release
	for i := range s.spec.Addons {
		a, path := &s.spec.Addons[i], addonsPath.Index(i)
		if a.Chart == nil || a.Version == "" {
			continue // refused
		}
		entry := catalog.Entry{Type: TypeAddon, Chart: a.Name, ReleaseName: a.Name, Namespace: a.Name}
		name := addonPrefix + a.Name
		r := s.releaseOf(entry, name, TypeAddon, StageAddons+s.addonDepth(a, nil), path, a.ComponentSettings, newValues(name))
		s.validateAddonRelease(r, others, path)
		r.Needs = slices.Clone(network)
		for j, name := range a.After {
			needed := name
			if s.addon(name) != nil {
				needed = addonPrefix + name
			} else if s.withFacts && !slices.ContainsFunc(others, func(o Release) bool { return o.Name == name }) {
				s.refuse(ruleAddonAfter, field.Invalid(path.Child("after").Index(j), name, fmt.Sprintf(
					"there is no such add-on, nor such a component: name one of %s", strings.Join(s.addonNeighbours(a, others), ", "))))
			}
			if !slices.Contains(r.Needs, needed) {
				r.Needs = append(r.Needs, needed)
			}
		}
		out = append(out, r)
	}
	return out
}

// addonNeighbours are the names that an add-on can come after.
func (s *state) addonNeighbours(a *networkstackv1alpha1.AddonSpec, others []Release) []string {
	var out []string
	for i := range s.spec.Addons {
		if name := s.spec.Addons[i].Name; name != a.Name {
			out = append(out, name)
		}
	}
	for i := range others {
		out = append(out, others[i].Name)
	}
	return out
}

// addonDepth is how many add-ons come before one, in a row. A circle, which is refused, ends where it began.
func (s *state) addonDepth(a *networkstackv1alpha1.AddonSpec, behind []string) int32 {
	behind = append(behind, a.Name)
	var depth int32
	for _, name := range a.After {
		if before := s.addon(name); before != nil && !slices.Contains(behind, name) {
			depth = max(depth, s.addonDepth(before, behind)+1)
		}
	}
	return depth
}

// addonCircle is the way from an add-on back to itself by what each comes after; nil when there is none.
func (s *state) addonCircle(from string, way []string) []string {
	at := way[len(way)-1]
	a := s.addon(at)
	if a == nil {
		return nil
	}
	for _, name := range a.After {
		if name == from {
			return way
		}
		if slices.Contains(way, name) {
			continue
		}
		if circle := s.addonCircle(from, append(slices.Clone(way), name)); circle != nil {
			return circle
		}
	}
	return nil
}

// validateAddons refuses add-ons that cannot be installed.
func (s *state) validateAddons() {
	var names, circled []string
	for i := range s.spec.Addons {
		a, path := &s.spec.Addons[i], addonsPath.Index(i)
		if len(validation.IsDNS1123Label(a.Name)) > 0 || len(a.Name) > maxAddonName {
			s.refuse(ruleAddonName, field.Invalid(path.Child("name"), a.Name,
				fmt.Sprintf("is no name: use at most %d lower-case letters, digits and \"-\"", maxAddonName)))
		}
		if slices.Contains(names, a.Name) {
			s.refuse(ruleAddonTwice, duplicate(path.Child("name"), a.Name, "give each add-on a name of its own"))
		}
		names = append(names, a.Name)
		s.validateAddonChart(a, path)
		if circle := s.addonCircle(a.Name, []string{a.Name}); circle != nil && !slices.Contains(circled, a.Name) {
			circled = append(circled, circle...)
			s.refuse(ruleAddonCircle, field.Invalid(path.Child("after"), field.OmitValueType{}, fmt.Sprintf(
				"%s would wait for itself (%s): remove one of these names from an after", a.Name, strings.Join(append(circle, a.Name), " after "))))
		}
	}
}

// validateAddonChart refuses an add-on without a chart, or with one that a field of its own installs.
func (s *state) validateAddonChart(a *networkstackv1alpha1.AddonSpec, path *field.Path) {
	if a.Version == "" {
		s.refuse(ruleAddonChart, field.Required(path.Child("version"),
			"set the version of the chart: an add-on is upgraded when you say so, and never by itself"))
	}
	if a.Chart == nil {
		s.refuse(ruleAddonChart, field.Required(path.Child("chart"), "an add-on is a chart: name its repository in chart.repository"))
		return
	}
	name := cmp.Or(a.Chart.Name, a.Name)
	for _, own := range []struct{ typ, field string }{
		{string(networkstackv1alpha1.CNICilium), "cni.type"},
		{string(networkstackv1alpha1.CNICalico), "cni.type"},
		{string(networkstackv1alpha1.CNIFlannel), "cni.type"},
		{string(networkstackv1alpha1.CNIAWSVPC), "cni.type"},
		{TypeKubeProxy, "kubeProxy.mode"},
		{TypeMultus, "secondaryNetworks.type"},
	} {
		if entry, known := s.catalog[own.typ]; known && entry.Chart == name {
			s.refuse(ruleAddonNetwork, field.Invalid(path.Child("chart", "name"), name, fmt.Sprintf(
				"is the chart of %s, which the network is made of: set %s in its place", own.typ, own.field)))
		}
	}
}

// validateAddonRelease refuses an add-on whose Helm release another component has.
func (s *state) validateAddonRelease(r Release, others []Release, path *field.Path) {
	for i := range others {
		if o := &others[i]; o.Spec.ReleaseName == r.Spec.ReleaseName && o.Spec.Namespace == r.Spec.Namespace {
			s.refuse(ruleAddonRelease, field.Invalid(path.Child("name"), r.Spec.ReleaseName, fmt.Sprintf(
				"is the Helm release of component %s in namespace %s: choose another name or namespace", o.Name, o.Spec.Namespace)))
		}
	}
}
