package importer

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew")

// observed is a file of testdata.
type observed struct {
	Facts    facts.Snapshot    `json:"facts"`
	Releases []Release         `json:"releases"`
	Objects  []Objects         `json:"objects"`
	Addons   map[string]string `json:"addons"`
	Leave    map[string]string `json:"leave"`
}

// charted are the defaults of charts, cut down to what the cases are about.
func charted(t *testing.T) map[string]Chart {
	t.Helper()
	data, err := os.ReadFile("testdata/charts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]Chart
	if err := yaml.UnmarshalStrict(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// read reads a case. Releases have the defaults of their charts, and the facts are those of a small cluster where they are silent.
func read(t *testing.T, file string) Input {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := os.ReadFile("testdata/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var o observed
	if err := yaml.UnmarshalStrict(cluster, &o); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, &o); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	charts := charted(t)
	for n := range o.Releases {
		r := &o.Releases[n]
		if c, ok := charts[r.Chart.Name]; ok && len(r.Chart.About) == 0 {
			version := r.Chart.Version
			r.Chart = c
			r.Chart.Version = version
		}
		r.Values, r.Chart.Defaults = normal(r.Values), normal(r.Chart.Defaults)
	}
	return Input{
		Name: "cluster", Facts: &o.Facts, Catalog: catalog.Default(), OperatorNamespace: "networkstack-system",
		Releases: o.Releases, Objects: o.Objects, Addons: o.Addons, Leave: o.Leave,
	}
}

// TestImport holds what is written of clusters, and what is remarked, to files.
func TestImport(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			in := read(t, file)
			got := printed(t, in)
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-want +got (-update writes it):\n%s", diff)
			}
			if again := printed(t, read(t, file)); !bytes.Equal(got, again) {
				t.Error("another time it writes something else")
			}
			comesToTheSame(t, read(t, file))
		})
	}
}

func printed(t *testing.T, in Input) []byte {
	t.Helper()
	r, err := Import(in)
	var nothing Nothing
	if errors.As(err, &nothing) {
		return []byte(err.Error() + "\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.YAML()
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := r.SecretsYAML("networkstack-system")
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, secrets...)
	SortRemarks(r.Remarks)
	for _, m := range r.Remarks {
		unless := ""
		if m.Unless != "" {
			unless = " (unless nothing of " + m.Unless + " changes)"
		}
		out = fmt.Appendf(out, "# %s%s: %s [%s] %s\n", m.Severity, unless, m.Field, m.Object, m.What)
		if m.Remedy != "" {
			out = fmt.Appendf(out, "#   %s\n", m.Remedy)
		}
	}
	if len(r.Others) > 0 {
		out = fmt.Appendf(out, "# others: %v\n", r.Others)
	}
	return out
}

// comesToTheSame checks that each release that is described gets the values that it had, but for those that are remarked.
func comesToTheSame(t *testing.T, in Input) {
	t.Helper()
	r, err := Import(in)
	if err != nil {
		return
	}
	result := compose.Compose(compose.Input{Stack: r.Stack, Facts: in.Facts, Catalog: in.Catalog, OperatorNamespace: in.OperatorNamespace})
	for _, rel := range result.Releases {
		for _, had := range in.Releases {
			if had.Name != rel.Spec.ReleaseName || had.Namespace != rel.Spec.Namespace {
				continue
			}
			derived, err := parse(rel.Spec.DerivedValues)
			if err != nil {
				t.Fatal(err)
			}
			given, err := parse(rel.Spec.Values)
			if err != nil {
				t.Fatal(err)
			}
			for _, ref := range rel.Spec.ValuesFrom {
				given = compose.MergeValues(r.Secrets[ref.Name], given)
			}
			want := coalesce(had.Chart.Defaults, had.Values)
			have := coalesce(had.Chart.Defaults, compose.MergeValues(derived, given))
			for _, c := range changes(want, have) {
				remarked := false
				for _, m := range r.Remarks {
					remarked = remarked || strings.Contains(m.What, c.name())
				}
				if !remarked && !sameCompatibility(c, &had) && rel.Spec.Chart.Repository != "" && (c.want != nil || !isZero(c.have)) {
					t.Errorf("release %s: %s was %v and becomes %v", had.ID(), c.name(), c.want, c.have)
				}
			}
		}
	}
}
