package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	helmrelease "helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
)

var shared struct {
	once sync.Once
	cp   *controlplane.ControlPlane
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.cp != nil {
		if err := shared.cp.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// env is a namespace of a control plane that all tests share.
type env struct {
	t    *testing.T
	cfg  *rest.Config
	kube kubernetes.Interface
	ns   string
}

var namespaces struct {
	sync.Mutex
	n int
}

func newEnv(t *testing.T) *env {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	shared.once.Do(func() {
		shared.cp, shared.err = controlplane.Start(context.Background(), controlplane.Options{Nodes: 3})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	namespaces.Lock()
	namespaces.n++
	ns := fmt.Sprintf("test-%d", namespaces.n)
	namespaces.Unlock()
	cfg := shared.cp.RESTConfig()
	cfg.QPS = -1
	k, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &env{t: t, cfg: cfg, kube: k, ns: ns}
}

func (e *env) engine() *Engine {
	e.t.Helper()
	eng, err := NewEngine(e.cfg, Options{Logger: logr.Discard()})
	if err != nil {
		e.t.Fatal(err)
	}
	return eng
}

// broken is an engine behind a transport of the test's.
func (e *env) broken(b *breaker) *Engine {
	e.t.Helper()
	cfg := rest.CopyConfig(e.cfg)
	cfg.WrapTransport = func(next http.RoundTripper) http.RoundTripper { b.next = next; return b }
	eng, err := NewEngine(cfg, Options{})
	if err != nil {
		e.t.Fatal(err)
	}
	return eng
}

func (e *env) spec(name string, c *chart.Chart, values map[string]any) Spec {
	return Spec{Component: name, Name: name, Namespace: e.ns, NamespaceLabels: map[string]string{"test": "yes"}, Chart: c, Values: values}
}

func (e *env) apply(eng *Engine, s Spec) Outcome {
	e.t.Helper()
	out, err := eng.Apply(e.t.Context(), s)
	if err != nil {
		e.t.Fatalf("apply %s: %v", s.Name, err)
	}
	return out
}

func (e *env) configMaps() []string {
	e.t.Helper()
	list, err := e.kube.CoreV1().ConfigMaps(e.ns).List(e.t.Context(), metav1.ListOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	var names []string
	for _, c := range list.Items {
		if c.Name != "kube-root-ca.crt" {
			names = append(names, c.Name)
		}
	}
	return names
}

func (e *env) eventually(what string, cond func(context.Context) (bool, error)) {
	e.t.Helper()
	if err := wait.PollUntilContextTimeout(e.t.Context(), 50*time.Millisecond, time.Minute, true, cond); err != nil {
		e.t.Fatalf("%s: %v", what, err)
	}
}

func (e *env) history(name string) []*helmrelease.Release {
	e.t.Helper()
	cfg := e.stock()
	h := action.NewHistory(cfg)
	revs, err := h.Run(name)
	if err != nil {
		e.t.Fatal(err)
	}
	return revs
}

// stock is the configuration that Helm itself would use.
func (e *env) stock() *action.Configuration {
	e.t.Helper()
	flags := genericclioptions.NewConfigFlags(false)
	path := shared.cp.Kubeconfig()
	flags.KubeConfig, flags.Namespace = &path, &e.ns
	cfg := new(action.Configuration)
	if err := cfg.Init(flags, e.ns, "secrets", func(string, ...any) {}); err != nil {
		e.t.Fatal(err)
	}
	return cfg
}

// mapsChart is a chart of ConfigMaps named by a list of values, and of a workload.
func mapsChart() *chart.Chart {
	return memoryChart("maps", "1.0.0", map[string]string{
		"maps.yaml": `{{- range .Values.names }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ . }}}
data: {value: {{ $.Values.value | default "none" | quote }}}
{{- end }}`,
		"workload.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: 1
  selector: {matchLabels: {app: x}}
  template:
    metadata: {labels: {app: x}}
    spec:
      containers: [{name: main, image: "quay.io/some/thing:1", resources: {limits: {cpu: 1000m}}}]`,
		"secret.yaml": `apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}}
stringData: {plain: {{ .Values.plain | default "text" | quote }}}`,
		"kept.yaml": `{{ if .Values.kept }}apiVersion: v1
kind: Service
metadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}
spec: {ports: [{port: 80}]}{{ end }}`,
		"NOTES.txt": "hello",
	})
}

func names(list ...string) map[string]any {
	out := make([]any, len(list))
	for i, n := range list {
		out[i] = n
	}
	return map[string]any{"names": out}
}

func TestLifecycle(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	if st, err := eng.State(t.Context(), "maps", e.ns); err != nil || st != (State{}) {
		t.Fatalf("before: %+v, %v", st, err)
	}
	if _, err := eng.Load(t.Context(), "maps", e.ns); !errors.Is(err, ErrNotDeployed) {
		t.Fatalf("load before: %v", err)
	}
	spec := e.spec("maps", mapsChart(), names("a", "b"))
	spec.ImageRegistry = "mirror.local:5000"
	spec.Values["kept"] = true
	out := e.apply(eng, spec)
	if len(out.Objects) != 5 {
		t.Errorf("applied: %v", out.Objects)
	}
	want := State{Exists: true, Revision: 1, Status: "deployed", Inputs: eng.Inputs(spec), ChartName: "maps", ChartVersion: "1.0.0", AppVersion: "v1.0.0", Ours: true, Component: "maps"}
	if st, err := eng.State(t.Context(), "maps", e.ns); err != nil || st != want || out.State != want {
		t.Fatalf("state %+v, %v\nwant %+v", st, err, want)
	}
	d, err := e.kube.AppsV1().Deployments(e.ns).Get(t.Context(), "maps", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Labels[v1alpha1.ComponentLabel] != "maps" || d.Labels[managedByLabel] != managedByHelm || d.Annotations[releaseNameAnnotation] != "maps" ||
		d.Spec.Template.Spec.Containers[0].Image != "mirror.local:5000/some/thing:1" {
		t.Errorf("deployment: %+v", d)
	}
	for _, a := range out.Objects {
		if a.Object.GVK.Kind == "Deployment" {
			if f := Fingerprint(d, v1alpha1.FieldManager); f != a.Fingerprint || a.UID != string(d.UID) {
				t.Errorf("fingerprint %v, applied %+v", f, a)
			}
		}
	}
	sec, err := e.kube.CoreV1().Secrets(e.ns).Get(t.Context(), "maps", metav1.GetOptions{})
	if err != nil || string(sec.Data["plain"]) != "text" {
		t.Fatalf("secret: %v", err)
	}
	if raw := string(applyEntry(sec, v1alpha1.FieldManager).FieldsV1.GetRawBytes()); strings.Contains(raw, "stringData") {
		t.Errorf("stringData is owned: %s", raw)
	}

	// The same inputs again: no new revision, no change.
	again := e.apply(eng, spec)
	if again.State != want || len(again.Objects) != 5 {
		t.Errorf("again: %+v", again)
	}
	for _, a := range again.Objects {
		if !slices.Contains(out.Objects, a) && a.Object.GVK.Kind != "Deployment" {
			t.Errorf("changed by applying the same again: %v", a)
		}
	}

	// An upgrade changes what differs, prunes what is gone, keeps what is to be kept.
	before, err := e.kube.CoreV1().ConfigMaps(e.ns).Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	spec.Values = names("a", "c")
	out = e.apply(eng, spec)
	if out.State.Revision != 2 || out.State.Status != "deployed" {
		t.Errorf("upgraded: %+v", out.State)
	}
	if got := e.configMaps(); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("config maps after the upgrade: %v", got)
	}
	after, err := e.kube.CoreV1().ConfigMaps(e.ns).Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil || before.ResourceVersion != after.ResourceVersion {
		t.Errorf("an unchanged object was written: %v", err)
	}
	if _, err := e.kube.CoreV1().Services(e.ns).Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("the object to be kept: %v", err)
	}

	// Helm understands all of it.
	cfg := e.stock()
	list := action.NewList(cfg)
	rels, err := list.Run()
	if err != nil || len(rels) != 1 || rels[0].Version != 2 || rels[0].Info.Notes != "hello" {
		t.Errorf("helm list: %v %v", rels, err)
	}
	vals, err := action.NewGetValues(cfg).Run("maps")
	if err != nil || fmt.Sprint(vals["names"]) != "[a c]" {
		t.Errorf("helm get values: %v %v", vals, err)
	}
	if revs := e.history("maps"); len(revs) != 2 || len(revs[0].Chart.Templates) > 0 {
		t.Errorf("helm history: %d", len(revs))
	}

	for i := range 7 {
		spec.Values["value"] = fmt.Sprint(i)
		e.apply(eng, spec)
	}
	if revs := e.history("maps"); len(revs) != 5 || revs[len(revs)-1].Version != 9 {
		t.Errorf("history of %d", len(revs))
	}

	// Uninstall keeps the Service and therefore the namespace, and is idempotent.
	for range 2 {
		if err := eng.Uninstall(t.Context(), "maps", e.ns, "maps"); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := eng.State(t.Context(), "maps", e.ns); err != nil || st.Exists {
		t.Errorf("after uninstall: %+v %v", st, err)
	}
	if got := e.configMaps(); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
	if n, err := e.kube.CoreV1().Namespaces().Get(t.Context(), e.ns, metav1.GetOptions{}); err != nil || n.DeletionTimestamp != nil {
		t.Errorf("the namespace of a kept object: %v", err)
	}
	if err := e.kube.CoreV1().Services(e.ns).Delete(t.Context(), "kept", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := eng.Uninstall(t.Context(), "maps", e.ns, "maps"); err != nil {
		t.Fatal(err)
	}
	e.eventually("the namespace goes", func(ctx context.Context) (bool, error) {
		_, err := e.kube.CoreV1().Namespaces().Get(ctx, e.ns, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

// A namespace that was there before gets the labels and is never deleted.
func TestForeignNamespace(t *testing.T) {
	e := newEnv(t)
	if _, err := e.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: e.ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eng := e.engine()
	e.apply(eng, e.spec("maps", mapsChart(), names("a")))
	if err := eng.Uninstall(t.Context(), "maps", e.ns, "maps"); err != nil {
		t.Fatal(err)
	}
	n, err := e.kube.CoreV1().Namespaces().Get(t.Context(), e.ns, metav1.GetOptions{})
	if err != nil || n.DeletionTimestamp != nil || n.Labels["test"] != "yes" || n.Labels[v1alpha1.ComponentLabel] != "" {
		t.Errorf("%v %+v", err, n)
	}
}

func hookChart(command string) *chart.Chart {
	hook := func(name, events, kind string) string {
		spec := ""
		if kind == "Job" {
			spec = "apiVersion: batch/v1\nkind: Job\nspec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: c, image: \"" + command + "\"}]}}}\n"
		} else {
			spec = "apiVersion: v1\nkind: " + kind + "\n"
		}
		return spec + "metadata: {name: " + name + ", annotations: {helm.sh/hook: \"" + events + "\", helm.sh/hook-delete-policy: \"before-hook-creation,hook-succeeded\"}}\n"
	}
	return memoryChart("hooks", "1.0.0", map[string]string{
		"sa.yaml":   hook("hook", "pre-install,pre-upgrade", "ServiceAccount"),
		"job.yaml":  hook("hook", "pre-install,pre-upgrade", "Job"),
		"left.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: left, annotations: {helm.sh/hook: post-install}}\n",
		"cm.yaml":   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: real}\ndata: {a: {{ .Values.a | default \"x\" }}}\n",
	})
}

func TestHooks(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	spec := e.spec("hooks", hookChart("quay.io/a/b:1"), nil)
	spec.ImageRegistry = "mirror.local"
	w, err := e.kube.BatchV1().Jobs("").Watch(t.Context(), metav1.ListOptions{LabelSelector: v1alpha1.ComponentLabel + "=hooks"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	out := e.apply(eng, spec)
	if len(out.Objects) != 1 || out.Objects[0].Object.Name != "real" {
		t.Errorf("hooks count as objects: %v", out.Objects)
	}
	select {
	case <-w.ResultChan():
	case <-time.After(time.Minute):
		t.Error("the hook was not there or not labelled")
	}
	left, err := e.kube.CoreV1().ConfigMaps(e.ns).Get(t.Context(), "left", metav1.GetOptions{})
	if err != nil || left.Labels[v1alpha1.ComponentLabel] != "hooks" {
		t.Errorf("%v %v", left.Labels, err)
	}
	m, err := eng.Load(t.Context(), "hooks", e.ns)
	if err != nil || len(m.Objects()) != 1 {
		t.Errorf("%v %v", m, err)
	}
	// A hook that never ends is given up when the context is cancelled.
	spec.Chart, spec.ImageRegistry = hookChart(controlplane.UnpullableImage), ""
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		e.eventually("the hook hangs", func(ctx context.Context) (bool, error) {
			j, err := e.kube.BatchV1().Jobs(e.ns).Get(ctx, "hook", metav1.GetOptions{})
			return err == nil && j.Status.Active > 0, nil
		})
		cancel()
	}()
	if _, err := eng.Apply(ctx, spec); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// One that takes too long is named.
	quick, err := NewEngine(e.cfg, Options{HookTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_, err = quick.Apply(t.Context(), spec)
	var ae *ApplyError
	if !errors.As(err, &ae) || len(ae.Causes) != 1 || !ae.Causes[0].Hook || ae.Causes[0].Object.Name != "hook" {
		t.Errorf("got %v", err)
	}
	spec.Chart = hookChart("ok")
	if out := e.apply(eng, spec); out.State.Status != "deployed" {
		t.Errorf("%+v", out.State)
	}
	if err := eng.Uninstall(t.Context(), "hooks", e.ns, "hooks"); err != nil {
		t.Error(err)
	}
}

func crd(plural, kind string, versions ...string) string {
	out := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: " + plural + ".test.networkstack.io}\nspec:\n" +
		"  group: test.networkstack.io\n  scope: Namespaced\n  names: {plural: " + plural + ", singular: " + strings.ToLower(kind) + ", kind: " + kind + "}\n  versions:\n"
	for i, v := range versions {
		out += fmt.Sprintf("  - {name: %s, served: true, storage: %v, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n", v, i == 0)
	}
	return out
}

func TestCRDs(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	sub := memoryChart("sub", "0.1.0", map[string]string{"crds/b.yaml": crd("gadgets", "Gadget", "v1")})
	build := func(versions ...string) *chart.Chart {
		c := memoryChart("widgets", "1.0.0", map[string]string{
			"crds/a.yaml": crd("widgets", "Widget", versions...),
			"cr.yaml": `{{ if .Capabilities.APIVersions.Has "test.networkstack.io/v1/Gadget" }}apiVersion: test.networkstack.io/` + versions[0] +
				"\nkind: Widget\nmetadata: {name: one}\nspec: {size: {{ .Values.size | default 1 }}}{{ end }}\n",
		})
		c.AddDependency(sub)
		return c
	}
	out := e.apply(eng, e.spec("widgets", build("v1"), nil))
	if len(out.Objects) != 3 || out.Objects[0].Object.GVK.Kind != "Widget" || out.Objects[1].Object.GVK.Kind != crdGVK.Kind {
		t.Fatalf("%+v", out)
	}
	// An upgrade brings the CRD up to date, too.
	e.apply(eng, e.spec("widgets", build("v1", "v2"), nil))
	// Dropping a stored version is refused before anything is touched.
	_, err := eng.Apply(t.Context(), e.spec("widgets", build("v2"), map[string]any{"size": 2}))
	var dropped *CRDVersionError
	if !errors.As(err, &dropped) || !slices.Equal(dropped.Versions, []string{"v1"}) || !Permanent(err) {
		t.Errorf("got %v", err)
	}
	if st, err := eng.State(t.Context(), "widgets", e.ns); err != nil || st.Revision != 2 || st.Status != "deployed" {
		t.Errorf("%+v %v", st, err)
	}
	// Known CRDs are not applied again.
	b := &breaker{}
	counted := e.broken(b)
	e.apply(counted, e.spec("widgets", build("v1", "v2"), map[string]any{"size": 3}))
	once := b.writes.Swap(0)
	e.apply(counted, e.spec("widgets", build("v1", "v2"), map[string]any{"size": 4}))
	if again := b.writes.Load(); again != once-2 {
		t.Errorf("writes with CRDs %d, with known ones %d", once, again)
	}
	if err := eng.Uninstall(t.Context(), "widgets", e.ns, "widgets"); err != nil {
		t.Fatal(err)
	}
	e.apply(eng, e.spec("widgets", build("v1", "v2"), nil)) // the kinds are still there
	if err := eng.Uninstall(t.Context(), "widgets", e.ns, "widgets"); err != nil {
		t.Fatal(err)
	}
}

// The release's namespace may be one of the chart's objects.
func TestRenderedNamespace(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	c := memoryChart("ns", "1.0.0", map[string]string{
		"ns.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: {{ .Release.Namespace }}, labels: {of: chart}}\n",
		"cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: {{ .Values.a | default \"x\" }}}\n",
	})
	c.Schema = []byte(`{"$ref":"https://nowhere.invalid/schema.json"}`) // must not be fetched
	for _, v := range []string{"b", "c"} {
		e.apply(eng, e.spec("ns", c, map[string]any{"a": v}))
		n, err := e.kube.CoreV1().Namespaces().Get(t.Context(), e.ns, metav1.GetOptions{})
		if err != nil || n.Labels["of"] != "chart" || n.Labels["test"] != "yes" || n.Labels[v1alpha1.ComponentLabel] != "ns" {
			t.Errorf("%v %v", n.Labels, err)
		}
	}
	if err := eng.Uninstall(t.Context(), "ns", e.ns, "ns"); err != nil {
		t.Fatal(err)
	}
	gone, err := e.kube.CoreV1().Namespaces().Get(t.Context(), e.ns, metav1.GetOptions{})
	if err == nil && gone.DeletionTimestamp == nil {
		t.Error("the namespace stays")
	}
	// Wanted again while the old one is still on its way out.
	e.apply(eng, e.spec("ns", c, nil))
}
