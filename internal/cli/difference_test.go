package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestCompareValues(t *testing.T) {
	for _, tc := range []struct {
		name, from, to string
		want           []string
	}{
		{"the same", `{a: 1, b: [x]}`, `{b: [x], a: 1.0}`, nil},
		{"a field more, a field less, another value", `{a: 1, b: {c: x}}`, `{b: {c: z}, d: null}`, []string{"- .a: 1", `.b.c: "x" -> "z"`, "+ .d: null"}},
		{"items of one name", `{c: [{name: a, image: x}, {name: b}]}`, `{c: [{name: b, tty: true}, {name: a, image: z}]}`,
			[]string{`.c[name=a].image: "x" -> "z"`, "+ .c[name=b].tty: true"}},
		{"their order alone", `[{name: a}, {name: b}]`, `[{name: b}, {name: a}]`, []string{`: ["a","b"] -> ["b","a"]`}},
		{"items without names", `[{a: 1}, {b: 2}]`, `[{a: 2}]`, []string{"[0].a: 1 -> 2", `- [1]: {"b":2}`}},
		{"items of one name twice", `[{name: a}, {name: a, b: 1}]`, `[{name: a}, {name: a, b: 2}]`, []string{"[1].b: 1 -> 2"}},
		{"plain lists", `[1, 2]`, `[2, 1]`, []string{": [1,2] -> [2,1]"}},
		{"another kind of value", `{a: [1]}`, `{a: {b: 1}}`, []string{`.a: [1] -> {"b":1}`}},
		{"text of lines", "a: \"x\\ny\\nz\\n\"", "a: \"x\\nq\\nz\\n\"", []string{".a:", "  - y", "  + q"}},
		{"keys with dots", `{"a.b/c": 1}`, `{"a.b/c": 2}`, []string{`["a.b/c"]: 1 -> 2`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var from, to any
			for text, into := range map[string]*any{tc.from: &from, tc.to: &to} {
				if err := yaml.Unmarshal([]byte(text), into); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, c := range compareValues("", from, to) {
				got = append(got, c.text(false)...)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
