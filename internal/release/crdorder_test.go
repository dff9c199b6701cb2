package release

import (
	"bytes"
	"slices"
	"testing"
)

const gatewayBundle = "gateway.networking.k8s.io/bundle-version"

func bundle(version string) map[string]string { return map[string]string{gatewayBundle: version} }

func TestChooseCRD(t *testing.T) {
	v1, v12 := []string{"v1"}, []string{"v1", "v2"}
	for name, tc := range map[string]struct {
		live, wanted definition
		want         crdChoice
	}{
		"the same chart again":           {definition{component: "c", source: "x/1.0.0", served: v1}, definition{source: "x/1.0.0", served: v1}, crdChoice{apply: true}},
		"a newer chart":                  {definition{component: "c", source: "x/1.0.0", served: v12}, definition{source: "x/1.1.0", served: v1}, crdChoice{apply: true}},
		"an older chart":                 {definition{component: "c", source: "x/1.1.0", served: v1}, definition{source: "x/1.0.0", served: v1}, crdChoice{}},
		"an older one, v before version": {definition{component: "c", source: "x/v1.10.0", served: v1}, definition{source: "x/1.9.0", served: v1}, crdChoice{}},
		"older and other versions":       {definition{component: "c", source: "x/2.0.0", served: []string{"v2"}}, definition{source: "x/1.0.0", served: v1}, crdChoice{}},
		"a prerelease is older":          {definition{component: "c", source: "x/1.1.0", served: v1}, definition{source: "x/1.1.0-rc.1", served: v1}, crdChoice{}},
		"a newer chart drops what is stored": {
			definition{component: "c", source: "x/1.0.0", stored: v1}, definition{source: "x/2.0.0", versions: []string{"v2"}}, crdChoice{apply: true, lost: v1}},
		"an older chart is not asked what is stored": {
			definition{component: "c", source: "x/2.0.0", stored: v12}, definition{source: "x/1.0.0", versions: v1}, crdChoice{}},
		"no source: ours from before":          {definition{component: "c", served: v12}, definition{source: "x/1.0.0", served: v1}, crdChoice{apply: true}},
		"another chart of ours, older bundle":  {definition{component: "c", source: "x/9.0.0", bundles: bundle("v1.4.0")}, definition{source: "y/1.0.0", bundles: bundle("v1.3.0")}, crdChoice{}},
		"another chart of ours, newer bundle":  {definition{component: "c", source: "x/9.0.0", bundles: bundle("v1.3.0"), served: v12}, definition{source: "y/1.0.0", bundles: bundle("v1.10.0"), served: v1}, crdChoice{apply: true}},
		"another chart of ours serves as much": {definition{component: "c", source: "x/9.0.0", served: v1}, definition{source: "y/1.0.0", served: v1}, crdChoice{apply: true}},
		"another chart of ours serves less":    {definition{component: "c", source: "x/9.0.0", served: v12}, definition{source: "y/1.0.0", served: v1}, crdChoice{}},
		"another chart of ours serves another version": {
			definition{component: "c", source: "x/9.0.0", served: v1}, definition{source: "y/1.0.0", served: []string{"v2"}}, crdChoice{missing: []string{"v2"}}},
		"nobody's":                      {definition{served: v1}, definition{source: "x/1.0.0", served: v12}, crdChoice{apply: true}},
		"nobody's, serving more":        {definition{served: v12}, definition{source: "x/1.0.0", served: v1}, crdChoice{}},
		"let go of by a newer chart":    {definition{source: "x/1.1.0", served: v1}, definition{source: "x/1.0.0", served: v1}, crdChoice{}},
		"another component's, the same": {definition{component: "d", source: "x/1.0.0", served: v1}, definition{source: "x/1.0.0", served: v1}, crdChoice{owner: "d"}},
		"another component's, newer":    {definition{component: "d", source: "x/1.1.0", served: v1}, definition{source: "x/1.0.0", served: v1}, crdChoice{owner: "d"}},
		"another component's, older":    {definition{component: "d", source: "x/1.0.0", served: v1}, definition{source: "x/1.1.0", served: v1}, crdChoice{apply: true, owner: "d"}},
		"another component's, newer, without what is needed": {
			definition{component: "d", source: "x/2.0.0", served: []string{"v2"}}, definition{source: "x/1.0.0", served: v12}, crdChoice{owner: "d", missing: v1}},
		"another component's, older, in use": {
			definition{component: "d", source: "x/1.0.0", served: v1, stored: v1}, definition{source: "x/2.0.0", versions: []string{"v2"}, served: []string{"v2"}},
			crdChoice{apply: true, owner: "d", lost: v1}},
		"another component's, older bundle":                  {definition{component: "d", source: "x/9.0.0", bundles: bundle("v1.3.0")}, definition{source: "y/1.0.0", bundles: bundle("v1.4.0")}, crdChoice{apply: true, owner: "d"}},
		"another component's, same bundle, standard":         {definition{component: "d", bundles: bundle("v1.3.0")}, definition{bundles: bundle("v1.3.0"), experimental: true}, crdChoice{apply: true, owner: "d"}},
		"another component's, same bundle, experimental":     {definition{component: "d", bundles: bundle("v1.3.0"), experimental: true}, definition{bundles: bundle("v1.3.0")}, crdChoice{owner: "d"}},
		"another component's, nothing to compare, same":      {definition{component: "d", served: v1}, definition{served: v1}, crdChoice{owner: "d"}},
		"another component's, nothing to compare, more":      {definition{component: "d", served: v1}, definition{served: v12}, crdChoice{apply: true, owner: "d"}},
		"another component's, nothing to compare, different": {definition{component: "d", served: v1}, definition{served: []string{"v2"}}, crdChoice{owner: "d", missing: []string{"v2"}}},
		"a bundle that is no version":                        {definition{component: "d", bundles: bundle("main"), served: v1}, definition{bundles: bundle("v1.0.0"), served: v1}, crdChoice{owner: "d"}},
		"of another release of ours":                         {definition{component: "d", release: "ns/d", source: "x/1.0.0"}, definition{source: "x/2.0.0"}, crdChoice{apply: true, owner: "d"}},
		"of this release, label lost":                        {definition{release: "ns/c", source: "x/1.0.0"}, definition{source: "x/1.0.0"}, crdChoice{apply: true}},
		"of somebody's Helm release":                         {definition{release: "ns/other"}, definition{source: "x/2.0.0"}, crdChoice{foreign: "ns/other"}},
	} {
		got := chooseCRD("c", "ns/c", tc.live, tc.wanted)
		if got.apply != tc.want.apply || got.owner != tc.want.owner || got.foreign != tc.want.foreign ||
			!slices.Equal(got.lost, tc.want.lost) || !slices.Equal(got.missing, tc.want.missing) {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

// Whatever two components carry, at most one takes the definition from the other.
func TestCRDsDoNotFlap(t *testing.T) {
	var all []definition
	for _, source := range []string{"", "x/1.0.0", "x/1.1.0", "x/main", "y/1.0.0"} {
		for _, b := range []string{"", "v1.3.0", "v1.4.0", "main"} {
			for _, e := range []bool{false, true} {
				for _, served := range [][]string{{"v1"}, {"v1", "v2"}, {"v2"}} {
					d := definition{source: source, experimental: e, served: served, versions: served}
					if b != "" {
						d.bundles = bundle(b)
					}
					all = append(all, d)
				}
			}
		}
	}
	for _, a := range all {
		for _, b := range all {
			if a.newer(b) && b.newer(a) {
				t.Errorf("each newer than the other: %+v and %+v", a, b)
			}
		}
	}
}

func TestCRDFiles(t *testing.T) {
	object := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: "
	c := memoryChart("top", "1.0.0", map[string]string{"crds/a.yaml": object + "a\n" + object + "b\n", "crds/README.md": "no: yaml"})
	sub := memoryChart("sub", "0.1.0", map[string]string{"crds/deep/c.yml": "# a comment\n---\n" + object + "c\n---\n\n" + object + "d\n"})
	subsub := memoryChart("subsub", "0.0.1", map[string]string{"crds/e.json": `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"e"}}`})
	sub.AddDependency(subsub)
	c.AddDependency(sub)
	var got []string
	for _, f := range crdFiles(c) {
		docs, err := parse(bytes.NewReader(separate(f.data)))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			for _, o := range d.objects {
				got = append(got, f.source+" "+f.name+" "+o.GetName())
			}
		}
	}
	slices.Sort(got)
	want := []string{
		"sub/0.1.0 top/charts/sub/crds/deep/c.yml c", "sub/0.1.0 top/charts/sub/crds/deep/c.yml d",
		"subsub/0.0.1 top/charts/sub/charts/subsub/crds/e.json e",
		"top/1.0.0 top/crds/a.yaml a", "top/1.0.0 top/crds/a.yaml b",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	sources := chartSources(c)
	for template, want := range map[string]string{
		"top/templates/x.yaml": "top/1.0.0", "top/charts/sub/templates/deep/x.yaml": "sub/0.1.0",
		"top/charts/sub/charts/subsub/templates/x.yaml": "subsub/0.0.1", "manifest": "",
	} {
		if got := sourceOfTemplate(sources, template); got != want {
			t.Errorf("%s is of %q, want %q", template, got, want)
		}
	}
}
