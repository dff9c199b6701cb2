package release

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Values are shown in a few words; what is secret by its kind, by its name, by what is in it or by where it came from is not.
func TestShow(t *testing.T) {
	path := func(parts ...any) fieldpath.Path { return fieldpath.MakePathOrDie(parts...) }
	named := func(name string) any { return fieldpath.KeyByFields("name", name) }
	container := path("spec", "template", "spec", "containers", named("agent"))
	below := func(p fieldpath.Path, parts ...any) fieldpath.Path { return append(p.Copy(), path(parts...)...) }
	secret := schema.GroupVersionKind{Version: "v1", Kind: "Secret"}
	daemon := appsV1.WithKind("DaemonSet")
	mask := newMasker([]string{"open-sesame", "abc", `say "friend"`, `back\slash`})
	long := strings.Repeat("é", 60)
	for _, tc := range []struct {
		name string
		gvk  schema.GroupVersionKind
		path fieldpath.Path
		v    any
		want string
	}{
		{"a text", daemon, path("spec", "image"), "a<b:1", `"a<b:1"`},
		{"a number", daemon, path("spec", "replicas"), int64(3), "3"},
		{"something long", daemon, path("spec", "text"), long, `"` + long[:38] + "… (62 characters, sha256 f7f946e0)"},

		{"data of a Secret", secret, path("data", "note"), "eA==", redacted},
		{"what else a Secret holds", secret, path("stringData"), map[string]any{"note": "x"}, redacted},
		{"a label of a Secret", secret, path("metadata", "labels", "app"), "x", `"x"`},
		{"data of somebody's Secret", schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Secret"}, path("data", "note"), "x", `"x"`},

		{"a password by its name", daemon, path("spec", "adminPassword"), "x", redacted},
		{"something in what has such a name", daemon, path("spec", "tokens", "limit"), int64(3), "3"},
		{"the name of a Secret", daemon, path("spec", "secretName"), "tls", `"tls"`},
		{"a bundle of authorities", daemon, path("webhooks", "caBundle"), "LS0t", `"LS0t"`},
		{"a variable by its name", daemon, below(container, "env", named("API_TOKEN"), "value"), "x", redacted},
		{"another variable", daemon, below(container, "env", named("MTU"), "value"), "1450", `"1450"`},
		{"a volume of such a name", daemon, path("volumes", named("token"), "hostPath"), "/run", `"/run"`},

		{"a variable as a whole", daemon, below(container, "env", named("X")), map[string]any{"name": "DB_PASSWORD", "value": "x"}, redacted},
		{"a container with such a variable", daemon, container, map[string]any{"name": "x", "env": []any{map[string]any{"name": "DB_PASSWORD", "value": "x"}}}, redacted},
		{"a variable that names a Secret", daemon, below(container, "env", named("X")),
			map[string]any{"name": "X", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "s", "key": "k"}}},
			`{"name":"X","valueFrom":{"secretKeyRef":{"key":"k","name":"s"}}}`},
		{"something with a field of such a name", daemon, path("spec", "login"), map[string]any{"user": "x", "password": "y"}, redacted},
		{"such a field that says nothing", daemon, path("spec", "login"), map[string]any{"password": ""}, `{"password":""}`},

		{"a text that came from a Secret", daemon, below(container, "args"), []any{"--as=open-sesame"}, redacted},
		{"such a text with quotes", daemon, below(container, "args"), []any{`--as=say "friend"`}, redacted},
		{"such a text with a backslash", daemon, path("data", "conf"), `as = back\slash`, redacted},
		{"a text too short to be told from others", daemon, below(container, "args"), []any{"abc"}, `["abc"]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := mask.show(tc.gvk, tc.path, tc.v, true); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
			if got := mask.show(tc.gvk, tc.path, nil, false); got != none {
				t.Errorf("shows %s for what is not there", got)
			}
		})
	}
}
