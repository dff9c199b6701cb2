package release

import (
	"maps"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

const (
	// bundleSuffix ends the annotations by which SIGs version the definitions they publish, such as
	// gateway.networking.k8s.io/bundle-version.
	bundleSuffix = "/bundle-version"
	// channelSuffix ends those that name the release channel of such a bundle.
	channelSuffix = "/channel"
	// experimental is the channel that has everything the standard channel has, and more.
	experimental = "experimental"
)

// definition is what decides between two copies of one CustomResourceDefinition.
type definition struct {
	// source is the chart and version it came from, as CRDSourceAnnotation says it.
	source string
	// component and release (namespace/name) are whose marks it carries.
	component, release string
	// bundles are the bundle versions it states, by annotation.
	bundles map[string]string
	// experimental says that it is of a bundle's experimental channel.
	experimental bool
	// versions are all it has, served those that are served, stored those in which objects may be stored.
	versions, served, stored []string
}

func definitionOf(u *unstructured.Unstructured) definition {
	a := u.GetAnnotations()
	d := definition{
		source: a[v1alpha1.CRDSourceAnnotation], component: u.GetLabels()[v1alpha1.ComponentLabel], bundles: map[string]string{},
	}
	if name := a[releaseNameAnnotation]; name != "" {
		d.release = a[releaseNamespaceAnnotation] + "/" + name
	}
	for k, v := range a {
		switch {
		case strings.HasSuffix(k, bundleSuffix):
			d.bundles[k] = v
		case strings.HasSuffix(k, channelSuffix):
			d.experimental = d.experimental || v == experimental
		}
	}
	versions, _, _ := unstructured.NestedSlice(u.Object, "spec", "versions")
	for _, v := range versions {
		v, _ := v.(map[string]any)
		name, _ := v["name"].(string)
		if name == "" {
			continue
		}
		d.versions = append(d.versions, name)
		if served, _ := v["served"].(bool); served {
			d.served = append(d.served, name)
		}
	}
	d.stored, _, _ = unstructured.NestedStringSlice(u.Object, "status", "storedVersions")
	return d
}

// without are the elements of a that b lacks.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(v string) bool { return slices.Contains(b, v) })
}

// compareChart compares the chart versions of two definitions out of the same chart.
func (d definition) compareChart(o definition) (int, bool) {
	name, version, ok := strings.Cut(d.source, "/")
	otherName, otherVersion, otherOK := strings.Cut(o.source, "/")
	if !ok || !otherOK || name != otherName {
		return 0, false
	}
	return compareVersions(version, otherVersion)
}

// compareBundle compares the bundle versions that two definitions state. Of the same bundle the experimental channel is
// the newer one: it has what the standard channel has, and more.
func (d definition) compareBundle(o definition) (int, bool) {
	for _, k := range slices.Sorted(maps.Keys(d.bundles)) {
		n, ok := compareVersions(d.bundles[k], o.bundles[k])
		if !ok {
			continue
		}
		if n == 0 && d.experimental != o.experimental {
			if n = -1; d.experimental {
				n = 1
			}
		}
		return n, true
	}
	return 0, false
}

func compareVersions(a, b string) (int, bool) {
	left, err := semver.NewVersion(a)
	if err != nil {
		return 0, false
	}
	right, err := semver.NewVersion(b)
	if err != nil {
		return 0, false
	}
	return left.Compare(right), true
}

// newer says whether d is strictly newer than o: by the version of the chart when it is the same one, else by the version
// of the bundle when both state it, else by serving all that o serves and more. Of two definitions at most one is newer,
// therefore two components never take a definition from one another in turns.
func (d definition) newer(o definition) bool {
	if n, ok := d.compareChart(o); ok && n != 0 {
		return n > 0
	}
	if n, ok := d.compareBundle(o); ok {
		return n > 0
	}
	return len(without(o.served, d.served)) == 0 && len(without(d.served, o.served)) > 0
}

// downgrades says whether d in the place of live would be a step back.
func (d definition) downgrades(live definition) bool {
	if n, ok := d.compareChart(live); ok {
		return n < 0
	}
	if n, ok := d.compareBundle(live); ok {
		return n < 0
	}
	if live.component != "" && live.source == "" {
		return false // applied before sources were recorded: by this component, or handed over to it
	}
	return len(without(live.served, d.served)) > 0
}

// crdChoice is what becomes of a definition that a chart carries.
type crdChoice struct {
	// apply says that it is applied; otherwise the live one is kept.
	apply bool
	// owner is the other component that the live definition belongs to.
	owner string
	// foreign is the Helm release of somebody else's that the live definition belongs to.
	foreign string
	// lost are versions in which objects are stored and that the definition to be applied lacks.
	lost []string
	// missing are versions that the chart counts on and the kept definition does not serve.
	missing []string
}

// chooseCRD decides between the live definition and the one that a chart of component and release carries.
func chooseCRD(component, release string, live, wanted definition) crdChoice {
	var c crdChoice
	switch {
	case live.component == "" && live.release != "" && live.release != release:
		c.foreign = live.release
		return c
	case live.component != "" && live.component != component:
		c.owner = live.component
		c.apply = wanted.newer(live)
	default:
		c.apply = !wanted.downgrades(live)
	}
	if c.apply {
		c.lost = without(live.stored, wanted.versions)
		return c
	}
	if n, ok := wanted.compareChart(live); ok && n < 0 && c.owner == "" {
		return c // an older version of the chart that the definition is from: going back is never refused
	}
	c.missing = without(wanted.served, live.served)
	return c
}
