package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const text = `# comment
apiVersion: v1
kind: A
---
# another
spec:
  list:
  - name: a
    "dotted.key/x":
      deep: &anchor {inner: 1}
  - {name: b, again: *anchor}
  long: |
    ---x
    two
`

// TestPlace finds fields by their paths, as errors of Kubernetes write them.
func TestPlace(t *testing.T) {
	documents, err := Read(strings.NewReader(text))
	if err != nil || len(documents) != 2 {
		t.Fatalf("%d documents, error %v", len(documents), err)
	}
	d := &documents[1]
	if documents[0].Line != 2 || d.Line != 6 {
		t.Errorf("the documents begin in lines %d and %d", documents[0].Line, d.Line)
	}
	for path, want := range map[string]Place{
		"":                                   {6, 1},
		"spec":                               {6, 1},
		"spec.list":                          {7, 3},
		"spec.list[1]":                       {11, 5},
		"spec.list[0].name":                  {8, 5},
		"spec.list[0].dotted.key/x.deep":     {10, 7},
		"spec.list[0][dotted.key/x].deep":    {10, 7},
		"spec.list[1].again.inner":           {10, 22}, // where it is written
		"spec.long":                          {12, 3},
		"spec.list[0].missing.further":       {8, 5}, // what it would be in
		"spec.list[7]":                       {7, 3},
		"spec.long.not.a.mapping":            {12, 3},
		"other":                              {6, 1},
		"specs":                              {6, 1},
		"spec.list[0].dotted.key/x.deep[x]y": {10, 7},
	} {
		if diff := cmp.Diff(want, d.Place(path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	for path, want := range map[string]any{"spec.list[1].again.inner": 1, "spec.long": "---x\ntwo\n", "spec.nothing": nil} {
		got, there := d.Value(path)
		if there != (want != nil) || got != want {
			t.Errorf("%s is %v (%v), not %v", path, got, there, want)
		}
	}
}

// TestRead reads what is no YAML, and what kubectl reads in its own way.
func TestRead(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		objects    []map[string]any // of documents that can be read
		problems   []Problem
	}{
		{"nothing", "", nil, nil},
		{"directives and comments", "%YAML 1.1\n# x\n---\n...\n", nil, nil},
		{"numbers stay whole, on is true, 010 is 8", "{a: 10000000000, b: on, c: 010}", []map[string]any{{"a": int64(10000000000), "b": true, "c": int64(8)}}, nil},
		{"merged keys", "a: &x {b: 1}\nc: {<<: *x, d: 2}", []map[string]any{{
			"a": map[string]any{"b": int64(1)}, "c": map[string]any{"b": int64(1), "d": int64(2)},
		}}, nil},
		{"one that is broken spoils no other", "a: [\n---\nb: 1\n", []map[string]any{{"b": int64(1)}}, []Problem{
			{Line: 1, Column: 1, Message: "did not find expected node content"},
		}},
		{"a document after its end", "a: 1\n...\nb: 2\n", []map[string]any{{"a": int64(1)}}, []Problem{
			{Line: 2, Column: 1, Message: "another document begins after this one without ---: put it between the two"},
		}},
		{"content behind the mark", "--- {a: 1}\n--- # comment\nb: 2", []map[string]any{{"a": int64(1)}, {"b": int64(2)}}, nil},
		{"deep duplicates", "a:\n- {b: 1, c: 2, b: 3}\n", []map[string]any{{"a": []any{map[string]any{"b": int64(3), "c": int64(2)}}}}, []Problem{
			{Line: 2, Column: 16, Field: "a[0].b", Message: "is there twice, in line 2 too: keep one of them"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			documents, err := Read(strings.NewReader(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			var objects []map[string]any
			var problems []Problem
			for _, d := range documents {
				if d.Object != nil {
					objects = append(objects, d.Object)
				}
				problems = append(problems, d.Problems...)
			}
			if diff := cmp.Diff(tc.objects, objects); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzRead wants every text to be read or refused, and every path to have a place.
func FuzzRead(f *testing.F) {
	f.Add(text, "spec.list[0].name")
	f.Add("a: &a [*a]", "a[0][0]")
	f.Add("a: &a {b: *a}", "a.b.b.b")
	f.Fuzz(func(t *testing.T, text, path string) {
		documents, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for i := range documents {
			if p := documents[i].Place(path); p.Line < 1 || p.Column < 1 {
				t.Errorf("%q is at %v", path, p)
			}
			documents[i].Value(path)
		}
	})
}
