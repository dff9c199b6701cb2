package chart

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNearest(t *testing.T) {
	versions := []string{"1.18.0", "1.19.6", "1.20.0", "1.20.2", "1.21.0-pre.0", "junk", "1.17.3"}
	for want, near := range map[string][]string{
		"1.20.1": {"1.21.0-pre.0", "1.20.2", "1.20.0", "1.19.6", "1.18.0"},
		"9.0.0":  {"1.21.0-pre.0", "1.20.2", "1.20.0"},
		"0.1.0":  {"1.18.0", "1.17.3"},
	} {
		if diff := cmp.Diff(near, nearest(want, versions)); diff != "" {
			t.Errorf("%s: %s", want, diff)
		}
	}
	if got := nearest("1.0.0", nil); len(got) != 0 {
		t.Errorf("nearest to nothing: %v", got)
	}
}

// TestParseIndex checks that cutting one chart out of an index gives what the whole index gives.
func TestParseIndex(t *testing.T) {
	indexes := map[string]string{
		"as Helm writes it": `apiVersion: v1
entries:
  a-first:
  - version: 9.9.9
    urls: [first.tgz]
  x:
  - annotations:
      note: |
        x:
          - not a version

        # not a comment
      quoted: "over
        two lines"
    apiVersion: v2
    digest: aa
    urls:
    - x-1.0.0.tgz
    version: 1.0.0
  - urls:
    - x-0.9.0.tgz
    version: 0.9.0
  xx:
  - version: 8.8.8
    urls: [xx.tgz]
generated: "2026-01-01T00:00:00Z"
`,
		"indented lists, quoted name": `apiVersion: v1
generated: "2026-01-01T00:00:00Z"
entries:
    "x":
      - version: 1.0.0
        digest: aa
        urls:
          - x-1.0.0.tgz
      - {version: 0.9.0, urls: [x-0.9.0.tgz]}
`,
		"the name with an anchor": `entries:
  x: &all
  - {version: 1.0.0, digest: aa, urls: [x-1.0.0.tgz]}
  - {version: 0.9.0, urls: [x-0.9.0.tgz]}
apiVersion: v1
`,
		"JSON": `{"apiVersion":"v1","entries":{"x":[{"version":"1.0.0","digest":"aa","urls":["x-1.0.0.tgz"]},{"version":"0.9.0","urls":["x-0.9.0.tgz"]}]}}`,
	}
	want := []indexEntry{{Version: "1.0.0", URLs: []string{"x-1.0.0.tgz"}, Digest: "aa"}, {Version: "0.9.0", URLs: []string{"x-0.9.0.tgz"}}}
	for name, raw := range indexes {
		for _, text := range []string{raw, strings.ReplaceAll(raw, "\n", "\r\n")} {
			got, err := parseIndex([]byte(text), "x")
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if diff := cmp.Diff(want, got.Entries["x"]); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
	excerpt := string(excerptIndex([]byte(indexes["as Helm writes it"]), "x"))
	if excerpt == "" || strings.Contains(excerpt, "first.tgz") || strings.Contains(excerpt, "xx.tgz") {
		t.Errorf("excerpt:\n%s", excerpt)
	}
	// A chart that is not there is reported with those that are.
	got, err := parseIndex([]byte(indexes["as Helm writes it"]), "absent")
	if err != nil {
		t.Fatal(err)
	}
	if _, reason := got.find(Ref{Name: "absent", Version: "1.0.0"}); !strings.Contains(reason, "it has: a-first, x, xx") {
		t.Error(reason)
	}
}

func TestIndexSpelling(t *testing.T) {
	i := index{Entries: map[string][]indexEntry{"x": {{Version: "v1.0.0", URLs: []string{"a"}}, {Version: "1.0.0", URLs: []string{"b"}}}}}
	for version, url := range map[string]string{"1.0.0": "b", "v1.0.0": "a"} {
		if e, reason := i.find(Ref{Name: "x", Version: version}); e == nil || e.URLs[0] != url {
			t.Errorf("%s: %v %s", version, e, reason)
		}
	}
}

func BenchmarkParseIndex(b *testing.B) {
	var raw strings.Builder
	raw.WriteString("apiVersion: v1\nentries:\n")
	for chart := range 100 {
		fmt.Fprintf(&raw, "  chart-%d:\n", chart)
		for version := range 100 {
			fmt.Fprintf(&raw, "  - name: chart-%d\n    version: 1.%d.0\n    description: some words about it\n    digest: %064d\n    urls:\n    - chart-%d-1.%d.0.tgz\n", chart, version, version, chart, version)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseIndex([]byte(raw.String()), "chart-50"); err != nil {
			b.Fatal(err)
		}
	}
}
