package release

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

func TestConflicts(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	e.apply(eng, e.spec("maps", mapsChart(), names("a")))

	// Somebody else's object, found before anything is recorded.
	conflict := func(err error, object, owner string) {
		t.Helper()
		var c *ConflictError
		if !errors.As(err, &c) {
			t.Fatalf("got %v", err)
		}
		if c.Object.String() != object || !strings.Contains(c.Owner, owner) || c.Remedy == "" {
			t.Errorf("got %v", err)
		}
	}
	if _, err := e.kube.CoreV1().ConfigMaps(e.ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}, Data: map[string]string{"a": "b"}}, metav1.CreateOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	spec := e.spec("other", mapsChart(), names("theirs"))
	_, err := eng.Apply(t.Context(), spec)
	conflict(err, "ConfigMap "+e.ns+"/theirs", "somebody")
	if st, err := eng.State(t.Context(), "other", e.ns); err != nil || st.Exists {
		t.Errorf("%+v %v", st, err)
	}
	// The remedy works.
	if _, err := e.kube.CoreV1().ConfigMaps(e.ns).Patch(t.Context(), "theirs", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"`+v1alpha1.ComponentLabel+`":"other"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	e.apply(eng, spec)
	spec.Values = names("theirs", "a")
	_, err = eng.Apply(t.Context(), spec)
	conflict(err, "ConfigMap "+e.ns+"/a", "Helm release "+e.ns+"/maps")

	// Another component's release, and Helm's own.
	stolen := e.spec("maps", mapsChart(), nil)
	stolen.Component = "thief"
	_, err = eng.Apply(t.Context(), stolen)
	conflict(err, "Helm release "+e.ns+"/maps", "component maps")
	conflict(eng.Uninstall(t.Context(), "maps", e.ns, "thief"), "Helm release "+e.ns+"/maps", "component maps")
	in := action.NewInstall(e.stock())
	in.ReleaseName, in.Namespace = "cli", e.ns
	if _, err := in.Run(mapsChart(), names("z")); err != nil {
		t.Fatal(err)
	}
	cli := e.spec("cli", mapsChart(), names("yy"))
	_, err = eng.Apply(t.Context(), cli)
	conflict(err, "Helm release "+e.ns+"/cli", "Helm")
	if st, err := eng.State(t.Context(), "cli", e.ns); err != nil || st.Ours || !st.Exists {
		t.Errorf("%+v %v", st, err)
	}
	secrets, err := e.kube.CoreV1().Secrets(e.ns).List(t.Context(), metav1.ListOptions{LabelSelector: "owner=helm,name=cli"})
	if err != nil || len(secrets.Items) != 1 {
		t.Fatal(err)
	}
	if _, err := e.kube.CoreV1().Secrets(e.ns).Patch(t.Context(), secrets.Items[0].Name, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"`+v1alpha1.ComponentLabel+`":"cli"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if out := e.apply(eng, cli); out.State.Revision != 2 {
		t.Errorf("%+v", out.State)
	}
	if slices.Contains(e.configMaps(), "z") {
		t.Error("the adopted release was not pruned")
	}
}

func TestErrors(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	var logged strings.Builder
	eng.log = funcr.New(func(p, a string) { logged.WriteString(p + a) }, funcr.Options{Verbosity: 9})
	template := func(text string) *chart.Chart { return memoryChart("c", "1.0.0", map[string]string{"t.yaml": text}) }
	values := map[string]any{"password": "hunter22"}

	for name, c := range map[string]*chart.Chart{
		"refusal": template(`{{ fail (printf "no %s" .Values.password) }}`),
		"no yaml": template("a: b: c"),
		"no name": template("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 12}"),
		"label":   template("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: {a: 1}}"),
		"twice":   template("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}"),
		"version": func() *chart.Chart { c := template(""); c.Metadata.KubeVersion = "<1.0.0"; return c }(),
		"schema": func() *chart.Chart {
			c := template("")
			c.Schema = []byte(`{"properties":{"password":{"pattern":"^x"}}}`)
			return c
		}(),
	} {
		_, err := eng.Apply(t.Context(), e.spec("c", c, values))
		var r *RenderError
		if !errors.As(err, &r) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s: a secret in %v", name, err)
		}
	}
	// A kind nobody serves may come.
	_, err := eng.Apply(t.Context(), e.spec("c", template("apiVersion: x.io/v1\nkind: Nothing\nmetadata: {name: x}"), nil))
	var a *ApplyError
	if !errors.As(err, &a) || a.Causes[0].Object.GVK.Kind != "Nothing" || Permanent(err) {
		t.Errorf("got %v", err)
	}
	// All objects are tried, the bad ones are named, secrets are not quoted.
	_, err = eng.Apply(t.Context(), e.spec("c", template(`apiVersion: v1
kind: ConfigMap
metadata: {name: good}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: bad}
dataa: {a: b}
---
apiVersion: v1
kind: Secret
metadata: {name: worse}
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: hunter22}
data: {other: {{ list .Values.password | toJson }}}
`), values))
	if !errors.As(err, &a) || len(a.Causes) != 2 {
		t.Fatalf("got %v", err)
	}
	if got := e.configMaps(); !slices.Equal(got, []string{"good"}) {
		t.Errorf("applied: %v", got)
	}
	if text := err.Error(); strings.Contains(text, "hunter22") || !strings.Contains(text, "worse") || !strings.Contains(text, "dataa") {
		t.Errorf("got %v", text)
	}
	if st, serr := eng.State(t.Context(), "c", e.ns); serr != nil || st.Status != "failed" || !st.Ours {
		t.Errorf("%+v %v", st, serr)
	}
	if strings.Contains(logged.String(), "hunter22") {
		t.Error("a secret in the log")
	}
	for _, r := range e.history("c") {
		if strings.Contains(r.Info.Description, "hunter22") {
			t.Error("a secret in the history")
		}
	}
	// The same failure over and over does not pile up.
	for i := range 8 {
		values["n"] = i
		_, err = eng.Apply(t.Context(), e.spec("c", template("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndataa: {a: b}\n"), values))
		if err == nil {
			t.Fatal("no error")
		}
	}
	if revs := e.history("c"); len(revs) > 6 {
		t.Errorf("%d revisions", len(revs))
	}
	if out := e.apply(eng, e.spec("c", template("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fine}\n"), nil)); out.State.Status != "deployed" {
		t.Errorf("%+v", out.State)
	}
	if got := e.configMaps(); !slices.Equal(got, []string{"fine"}) {
		t.Errorf("orphans: %v", got)
	}
	// Missing permissions are named.
	cfg := rest.CopyConfig(e.cfg)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "nobody", Groups: []string{"system:authenticated"}}
	poor, err := NewEngine(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = poor.Apply(t.Context(), e.spec("c", mapsChart(), nil))
	if !errors.As(err, &a) || !strings.Contains(a.Error(), "missing permission to list secrets in namespace "+e.ns) {
		t.Errorf("got %v", err)
	}
}
