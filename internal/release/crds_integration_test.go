package release

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

// definitions reads and writes CRDs of test.networkstack.io by their plural.
type definitions struct {
	*env
	client dynamic.ResourceInterface
}

func (e *env) definitions() definitions {
	e.t.Helper()
	d, err := dynamic.NewForConfig(e.cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	return definitions{e, d.Resource(crdGVK.GroupVersion().WithResource("customresourcedefinitions"))}
}

func (d definitions) get(plural string) *unstructured.Unstructured {
	d.t.Helper()
	u, err := d.client.Get(d.t.Context(), plural+".test.networkstack.io", metav1.GetOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	return u
}

// says is whose a CRD is, where it came from, its Helm release, and what it serves.
func (d definitions) says(plural string) string {
	d.t.Helper()
	def := definitionOf(d.get(plural))
	return fmt.Sprintf("%s %s %s %v", def.component, def.source, def.release, def.served)
}

func (d definitions) patch(plural, body string) {
	d.t.Helper()
	if _, err := d.client.Patch(d.t.Context(), plural+".test.networkstack.io", types.MergePatchType, []byte(body),
		metav1.PatchOptions{FieldManager: "mallory"}); err != nil {
		d.t.Fatal(err)
	}
}

func (d definitions) expect(plural, want string) {
	d.t.Helper()
	if got := d.says(plural); got != want {
		d.t.Errorf("%s: %q, want %q", plural, got, want)
	}
}

// carrier is a chart with a ConfigMap of its own and a CRD, under crds/ or among its templates, in a subchart when it has
// another name.
func carrier(name, source, where, definition string) *chart.Chart {
	sourceName, version, _ := strings.Cut(source, "/")
	file := "crds/crd.yaml"
	if where == "templates" {
		file = "crd.yaml"
	}
	own := map[string]string{"cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {a: {{ .Values.a | default \"x\" | quote }}}\n"}
	if sourceName == name {
		own[file] = definition
		return memoryChart(name, version, own)
	}
	c := memoryChart(name, "1.0.0", own)
	c.AddDependency(memoryChart(sourceName, version, map[string]string{file: definition}))
	return c
}

func summary(crds []AppliedCRD) string {
	var out []string
	for _, c := range crds {
		plural, _, _ := strings.Cut(c.Object.Name, ".")
		out = append(out, fmt.Sprintf("%s from %s serves %v kept %v owner %q", plural, c.Source, c.Served, c.Kept, c.Owner))
	}
	return strings.Join(out, "; ")
}

// Two components carry the same definition: the newest stays, in whatever order they come and however often.
func TestSharedCRD(t *testing.T) {
	for i, where := range [][2]string{{"crds", "crds"}, {"templates", "templates"}, {"crds", "templates"}, {"templates", "crds"}} {
		for _, newestFirst := range []bool{true, false} {
			plural := fmt.Sprintf("shareds%d%v", i, newestFirst)
			t.Run(where[0]+" "+where[1]+fmt.Sprint(newestFirst), func(t *testing.T) {
				e := newEnv(t)
				d, eng := e.definitions(), e.engine()
				kind := strings.ToUpper(plural[:1]) + plural[1:]
				older := e.spec("older-"+e.ns, carrier("a", "shared/1.0.0", where[0], crd(plural, kind, "v1")), nil)
				newer := e.spec("newer-"+e.ns, carrier("b", "shared/1.1.0", where[1], crd(plural, kind, "v1", "v2")), nil)
				order := []Spec{older, newer}
				if newestFirst {
					slices.Reverse(order)
				}
				for _, s := range order {
					e.apply(eng, s)
				}
				release := ""
				if where[1] == "templates" {
					release = e.ns + "/" + newer.Name
				}
				want := fmt.Sprintf("%s shared/1.1.0 %s [v1 v2]", newer.Name, release)
				d.expect(plural, want)
				before := d.get(plural).GetResourceVersion()
				// Again, by this process and by another, with the same inputs and with new ones.
				for n, eng := range []*Engine{eng, e.engine(), e.engine()} {
					for _, s := range order {
						s.Values = map[string]any{"a": fmt.Sprint(n / 2)}
						out := e.apply(eng, s)
						kept, owner := s.Name == older.Name, ""
						if kept {
							owner = newer.Name
						}
						if got, want := summary(out.CRDs), fmt.Sprintf("%s from shared/1.1.0 serves [v1 v2] kept %v owner %q", plural, kept, owner); got != want {
							t.Errorf("%s: %s, want %s", s.Name, got, want)
						}
						if named := slices.ContainsFunc(out.Objects, func(a Applied) bool { return isCRD(a.Object.GVK.GroupKind()) }); named == kept {
							t.Errorf("%s: objects %v", s.Name, out.Objects)
						}
					}
				}
				if after := d.get(plural).GetResourceVersion(); after != before {
					t.Errorf("written again: %s, then %s", before, after)
				}
				// Looking after its objects, the older one leaves the definition alone.
				m, err := eng.Load(t.Context(), older.Name, e.ns)
				if err != nil {
					t.Fatal(err)
				}
				d.patch(plural, `{"metadata":{"labels":{"mallory":"was-here"}}}`)
				if f, _, err := eng.Verify(t.Context(), Check{Component: older.Name, Manifest: m}); err != nil || len(f) > 0 {
					t.Errorf("%v %v", f, err)
				}
				d.expect(plural, want)
				// When the newer one goes, the definition stays and is free to be had.
				if err := eng.Uninstall(t.Context(), newer.Name, e.ns, newer.Name); err != nil {
					t.Fatal(err)
				}
				d.expect(plural, " shared/1.1.0  [v1 v2]")
				if out := e.apply(eng, older); !out.CRDs[0].Kept || out.CRDs[0].Owner != "" {
					t.Errorf("a downgrade: %s", summary(out.CRDs))
				}
				d.expect(plural, " shared/1.1.0  [v1 v2]")
				older.Chart = carrier("a", "shared/1.2.0", where[0], crd(plural, kind, "v1", "v2"))
				e.apply(eng, older)
				if got := definitionOf(d.get(plural)); got.component != older.Name || got.source != "shared/1.2.0" {
					t.Errorf("%+v", got)
				}
			})
		}
	}
}

// What a chart counts on and neither brings nor finds is an error before anything is touched.
func TestCRDNotServed(t *testing.T) {
	e := newEnv(t)
	d, eng := e.definitions(), e.engine()
	e.apply(eng, e.spec("first-"+e.ns, carrier("a", "shared/2.0.0", "crds", crd("unserved", "Unserved", "v2")), nil))
	for _, where := range []string{"crds", "templates"} {
		spec := e.spec("second-"+where, carrier("b", "shared/1.0.0", where, crd("unserved", "Unserved", "v1")), nil)
		_, err := eng.Apply(t.Context(), spec)
		var unserved *CRDNotServedError
		if !errors.As(err, &unserved) || !slices.Equal(unserved.Versions, []string{"v1"}) || unserved.Owner != "first-"+e.ns ||
			unserved.Source != "shared/2.0.0" || unserved.Wanted != "shared/1.0.0" || !Permanent(err) {
			t.Errorf("%s: %v", where, err)
		}
		if st, err := eng.State(t.Context(), spec.Name, e.ns); err != nil || st.Exists {
			t.Errorf("%s: %+v %v", where, st, err)
		}
	}
	d.expect("unserved", "first-"+e.ns+" shared/2.0.0  [v2]")
	if got := e.configMaps(); len(got) != 1 {
		t.Errorf("applied: %v", got)
	}
}

// An older chart is installed, and the definitions stay as new as they were.
func TestCRDDowngrade(t *testing.T) {
	for _, where := range []string{"crds", "templates"} {
		t.Run(where, func(t *testing.T) {
			e := newEnv(t)
			d, eng := e.definitions(), e.engine()
			plural, kind := "downs"+where, "Down"+where
			at := func(version string, served ...string) Spec {
				return e.spec("c-"+where, carrier("a", "a/"+version, where, crd(plural, kind, served...)), nil)
			}
			e.apply(eng, at("1.1.0", "v1", "v2"))
			want := d.says(plural)
			out := e.apply(eng, at("1.0.0", "v1"))
			if out.State.ChartVersion != "1.0.0" || summary(out.CRDs) != plural+` from a/1.1.0 serves [v1 v2] kept true owner ""` {
				t.Errorf("%+v %s", out.State, summary(out.CRDs))
			}
			d.expect(plural, want)
			// Not ours to restore either, as long as the older chart is wanted.
			m, err := eng.Load(t.Context(), "c-"+where, e.ns)
			if err != nil {
				t.Fatal(err)
			}
			if f, _, err := eng.Verify(t.Context(), Check{Component: "c-" + where, Manifest: m}); err != nil || len(f) > 0 {
				t.Errorf("%v %v", f, err)
			}
			all, err := eng.LoadAll(t.Context(), at("1.0.0", "v1"))
			if err != nil || len(all.Objects()) != len(m.Objects()) {
				t.Errorf("%v %v", all, err)
			}
			e.apply(eng, at("1.2.0", "v1", "v2"))
			d.expect(plural, strings.Replace(want, "1.1.0", "1.2.0", 1))
		})
	}
}

// Definitions that move between charts stay where they are, and the release that had one neither deletes it nor is in the
// way.
func TestCRDMoves(t *testing.T) {
	for i, tc := range []struct{ from, to string }{{"crds", "templates"}, {"templates", "crds"}, {"templates", "templates"}, {"crds", "crds"}} {
		for _, dropFirst := range []bool{true, false} {
			t.Run(fmt.Sprint(tc, dropFirst), func(t *testing.T) {
				e := newEnv(t)
				d, eng := e.definitions(), e.engine()
				plural := fmt.Sprintf("moves%d%v", i, dropFirst)
				definition := crd(plural, strings.ToUpper(plural[:1])+plural[1:], "v1")
				had := e.spec("had-"+e.ns, carrier("a", "a/1.0.0", tc.from, definition), nil)
				e.apply(eng, had)
				uid := d.get(plural).GetUID()
				drop := func() {
					had.Chart = carrier("a", "a/2.0.0", "templates", "")
					if out := e.apply(eng, had); len(out.CRDs) > 0 {
						t.Errorf("%s", summary(out.CRDs))
					}
				}
				if dropFirst {
					drop()
					d.expect(plural, " a/1.0.0  [v1]")
				}
				// A chart of its own, with a version of its own, that serves one more.
				definition = crd(plural, strings.ToUpper(plural[:1])+plural[1:], "v1", "v2")
				has := e.spec("has-"+e.ns, carrier("crds", "crds/0.1.0", tc.to, definition), nil)
				e.apply(eng, has)
				if !dropFirst {
					drop()
				}
				release := ""
				if tc.to == "templates" {
					release = e.ns + "/" + has.Name
				}
				want := fmt.Sprintf("%s crds/0.1.0 %s [v1 v2]", has.Name, release)
				d.expect(plural, want)
				if err := eng.Uninstall(t.Context(), had.Name, e.ns, had.Name); err != nil {
					t.Fatal(err)
				}
				e.apply(eng, has)
				d.expect(plural, want)
				if got := d.get(plural); got.GetUID() != uid || got.GetDeletionTimestamp() != nil {
					t.Error("it was deleted on the way")
				}
			})
		}
	}
}

// A definition among the objects of somebody else's Helm release is left alone.
func TestForeignCRD(t *testing.T) {
	e := newEnv(t)
	d, eng := e.definitions(), e.engine()
	in := action.NewInstall(e.stock())
	in.ReleaseName, in.Namespace, in.CreateNamespace = "theirs", e.ns, true
	if _, err := in.Run(carrier("a", "a/1.0.0", "templates", crd("foreigns", "Foreign", "v1")), nil); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"crds", "templates"} {
		_, err := eng.Apply(t.Context(), e.spec("ours-"+where, carrier("a", "a/2.0.0", where, crd("foreigns", "Foreign", "v1", "v2")), nil))
		var c *ConflictError
		if !errors.As(err, &c) || c.Owner != "Helm release "+e.ns+"/theirs" || c.Object.Name != "foreigns.test.networkstack.io" {
			t.Errorf("%s: %v", where, err)
		}
	}
	if live := d.get("foreigns"); applyEntry(live, v1alpha1.FieldManager) != nil || live.GetGeneration() != 1 {
		t.Error("it was written")
	}
}

func TestCRDsOfSubcharts(t *testing.T) {
	e := newEnv(t)
	d, eng := e.definitions(), e.engine()
	c := memoryChart("top", "1.0.0", map[string]string{"crds/two.yaml": crd("firsts", "First", "v1") + crd("seconds", "Second", "v1"), "crds/README.md": "# not\n: yaml"})
	mid := memoryChart("mid", "0.2.0", nil)
	mid.AddDependency(memoryChart("deep", "0.3.0", map[string]string{"crds/third.yaml": crd("thirds", "Third", "v1")}))
	off := memoryChart("off", "0.4.0", map[string]string{"crds/fourth.yaml": crd("fourths", "Fourth", "v1")})
	c.AddDependency(mid, off)
	c.Metadata.Dependencies = []*chart.Dependency{{Name: "mid", Version: "0.2.0"}, {Name: "off", Version: "0.4.0", Condition: "off.enabled"}}
	spec := e.spec("top", c, map[string]any{"off": map[string]any{"enabled": false}})
	out := e.apply(eng, spec)
	want := `firsts from top/1.0.0 serves [v1] kept false owner ""; seconds from top/1.0.0 serves [v1] kept false owner ""; ` +
		`thirds from deep/0.3.0 serves [v1] kept false owner ""`
	if got := summary(out.CRDs); got != want {
		t.Errorf("got %s", got)
	}
	// They can be looked after and restored one by one.
	if len(out.Objects) != 3 || len(out.Manifest.Objects()) != 3 {
		t.Errorf("%v %v", out.Objects, out.Manifest.Objects())
	}
	m, err := eng.LoadAll(t.Context(), spec)
	if err != nil || len(m.Objects()) != 3 {
		t.Fatalf("%v %v", m, err)
	}
	if f, _, err := eng.Verify(t.Context(), Check{Component: "top", Manifest: m}); err != nil || len(f) > 0 {
		t.Errorf("%v %v", f, err)
	}
	for body, path := range map[string]string{
		`{"metadata":{"annotations":{"` + v1alpha1.CRDSourceAnnotation + `":"top/99.0.0"}}}`: v1alpha1.CRDSourceAnnotation,
		`{"metadata":{"labels":{"` + v1alpha1.ComponentLabel + `":null}}}`:                   v1alpha1.ComponentLabel,
		`{"spec":{"names":{"singular":"one"}}}`:                                              "singular",
	} {
		before := d.says("firsts")
		d.patch("firsts", body)
		f, _, err := eng.Verify(t.Context(), Check{Component: "top", Manifest: m})
		if err != nil || len(f) != 1 || f[0].Object.Name != "firsts.test.networkstack.io" ||
			!slices.ContainsFunc(f[0].Fields, func(c FieldChange) bool { return strings.Contains(c.Path.String(), path) }) {
			t.Errorf("%s: %+v %v", body, f, err)
		}
		d.expect("firsts", before)
	}
	spec.Values = map[string]any{"off": map[string]any{"enabled": true}}
	if out := e.apply(eng, spec); len(out.CRDs) != 4 {
		t.Errorf("%s", summary(out.CRDs))
	}
	// What a condition turned off is let go of, and not deleted.
	spec.Values = map[string]any{"off": map[string]any{"enabled": false}}
	e.apply(eng, spec)
	d.expect("fourths", " off/0.4.0  [v1]")
	d.expect("firsts", "top top/1.0.0  [v1]")
}
