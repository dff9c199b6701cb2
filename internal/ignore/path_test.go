package ignore

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Path{
		".":                                   nil,
		".spec.replicas":                      {".spec", ".replicas"},
		".data[\"a.b/c\"]":                    {".data", ".a.b/c"},
		"[\"data\"].x":                        {".data", ".x"},
		".*.x[*]":                             {".*", ".x", "[*]"},
		".a[0].b":                             {".a", "[0]", ".b"},
		`.a[name="x]\"y"]`:                    {".a", `[name="x]\"y"]`},
		`.p[protocol="TCP",containerPort=80]`: {".p", `[containerPort=80,protocol="TCP"]`},
		`.f[="v"]`:                            {".f", `[="v"]`},
		`.m.[name="x"]`:                       {".m", `[name="x"]`},
		".spec.$setElement":                   {".spec", ".$setElement"},
	} {
		got, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
		again, err := Parse(got.String())
		if diff := cmp.Diff(got, again); err != nil || diff != "" {
			t.Errorf("%s is printed as %s, which is something else: %v %s", text, got, err, diff)
		}
	}
}

func TestParseRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"":               "does not start with a dot",
		"spec.replicas":  "does not start with a dot",
		"/spec/replicas": "does not start with a dot",
		".a..b":          "is not the name of a field",
		".a b":           "is not the name of a field",
		".a[name=x]":     "is not JSON",
		`.a[name="x"`:    "not closed",
		`.a[name="x"b]`:  "comma is missing",
		".a[]":           "names no element",
		".a[-1]":         "names no element",
		`.a["x]`:         "not closed",
		`.a[""]`:         "is not a quoted name",
		".a[=x]":         "is not JSON",
		".a[0]b":         "a dot or a bracket is missing",
	} {
		if got, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v %v, want %q", text, got, err, want)
		}
	}
}

func TestFromFieldPath(t *testing.T) {
	key := value.FieldList{{Name: "containerPort", Value: value.NewValueInterface(int64(80))}, {Name: "protocol", Value: value.NewValueInterface("TCP")}}
	v, n := value.NewValueInterface("a<b"), 3
	in := fieldpath.Path{
		fieldpath.FieldNameElement("spec"), {Key: &key}, {Value: &v}, {Index: &n}, fieldpath.FieldNameElement("net-conf.json"),
	}
	p := FromFieldPath(in)
	if got, want := p.String(), `.spec[containerPort=80,protocol="TCP"][="a<b"][3]["net-conf.json"]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	again, err := Parse(p.String())
	if diff := cmp.Diff(p, again); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if got := FromFieldPath(nil).String(); got != "." {
		t.Error(got)
	}
}

func TestCovers(t *testing.T) {
	path := `.webhooks[name="a"].clientConfig.caBundle`
	for pattern, want := range map[string]bool{
		path: true, ".": true, ".webhooks": true, ".webhooks[*].clientConfig": true, ".*[*].*.caBundle": true,
		`.webhooks[name="b"].clientConfig`: false, ".webhooks.*": false, ".web": false, path + ".x": false, ".webhooks[0]": false,
	} {
		if got := parse(t, pattern).Covers(parse(t, path)); got != want {
			t.Errorf("%s covers: %v", pattern, got)
		}
	}
}

func parse(t *testing.T, text string) Path {
	t.Helper()
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMatch(t *testing.T) {
	replicas := Rule{Kind: "Deployment", Paths: []Path{parse(t, ".spec.replicas")}, Managers: []string{"kube-controller-*"}, Reason: "autoscaler"}
	rules := Rules{
		replicas,
		{Name: "istio-*", Paths: []Path{parse(t, ".webhooks[*].failurePolicy")}, Reason: "istiod"},
		{Kind: "ClusterRole", Name: "system:a/*", Paths: []Path{parse(t, ".")}, Reason: "all"},
		{Kind: "ConfigMap", Namespace: "net", Paths: []Path{parse(t, ".data")}, Reason: "data"},
	}
	for _, tc := range []struct{ kind, namespace, name, path, manager, want string }{
		{"Deployment", "net", "a", ".spec.replicas", "kube-controller-manager", "autoscaler"},
		{"Deployment", "net", "a", ".spec.replicas", "kubectl", ""},
		{"Deployment", "net", "a", ".spec.replicas", "unknown", ""},
		{"Deployment", "net", "a", ".spec.template", "kube-controller-manager", ""},
		{"DaemonSet", "net", "a", ".spec.replicas", "kube-controller-manager", ""},
		{"X", "net", "istio-y", `.webhooks[name="z"].failurePolicy`, "unknown", "istiod"},
		{"X", "net", "other", `.webhooks[name="z"].failurePolicy`, "unknown", ""},
		{"ClusterRole", "", "system:a/b", ".rules", "x", "all"},
		{"ConfigMap", "net", "c", ".data.x", "x", "data"},
		{"ConfigMap", "other", "c", ".data.x", "x", ""},
	} {
		rule, ok := rules.For(tc.kind, tc.namespace, tc.name).Match(parse(t, tc.path), tc.manager)
		if rule.Reason != tc.want || ok != (tc.want != "") {
			t.Errorf("%+v: %q", tc, rule.Reason)
		}
	}
	if ValidGlob("[") || !ValidGlob("a*") {
		t.Error("globs")
	}
}
