package release

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	helmrelease "helm.sh/helm/v3/pkg/release"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

func TestMoveImage(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, tc := range []struct{ image, registry, want string }{
		{"nginx", "mirror.local", "mirror.local/library/nginx"},
		{"nginx:1.27", "mirror.local:5000", "mirror.local:5000/library/nginx:1.27"},
		{"cilium/cilium:v1", "mirror.local", "mirror.local/cilium/cilium:v1"},
		{"docker.io/nginx:1", "mirror.local", "mirror.local/library/nginx:1"},
		{"index.docker.io/library/nginx", "mirror.local", "mirror.local/library/nginx"},
		{"quay.io/cilium/cilium:v1.20.0" + digest, "mirror.local/proxy/", "mirror.local/proxy/cilium/cilium:v1.20.0" + digest},
		{"quay.io/cilium/cilium" + digest, "mirror.local", "mirror.local/cilium/cilium" + digest},
		{"localhost:5000/a", "mirror.local", "mirror.local/a"},
		{"mirror.local/proxy/a/b:1", "mirror.local/proxy", "mirror.local/proxy/a/b:1"},
		{"mirror.local/a/b:1", "mirror.local", "mirror.local/a/b:1"},
	} {
		got, err := moveImage(tc.image, tc.registry)
		if err != nil || got != tc.want {
			t.Errorf("moveImage(%q, %q) = %q, %v; want %q", tc.image, tc.registry, got, err, tc.want)
		}
		if again, err := moveImage(got, tc.registry); err != nil || again != got {
			t.Errorf("moving %q again gives %q, %v", got, again, err)
		}
	}
	if _, err := moveImage("Not An Image", "mirror.local"); err == nil {
		t.Error("no error for something that is no image")
	}
}

func mustParse(t *testing.T, manifest string) []*unstructured.Unstructured {
	t.Helper()
	objs, err := parseObjects(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

func TestRewriteImages(t *testing.T) {
	pod := `{initContainers: [{name: a, image: a}], containers: [{name: b, image: "b:1"}, {name: p, image: auto}, {name: n}],
	  ephemeralContainers: [{name: c, image: "x.io/c"}], volumes: [{name: v, image: {reference: "d:2"}}, {name: w, emptyDir: {}}]}`
	for kind, manifest := range map[string]string{
		"Pod":         "{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: " + pod + "}",
		"Deployment":  "{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {template: {spec: " + pod + "}}}",
		"DaemonSet":   "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: x}, spec: {template: {spec: " + pod + "}}}",
		"StatefulSet": "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: x}, spec: {template: {spec: " + pod + "}}}",
		"ReplicaSet":  "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: x}, spec: {template: {spec: " + pod + "}}}",
		"Job":         "{apiVersion: batch/v1, kind: Job, metadata: {name: x}, spec: {template: {spec: " + pod + "}}}",
		"CronJob":     "{apiVersion: batch/v1, kind: CronJob, metadata: {name: x}, spec: {jobTemplate: {spec: {template: {spec: " + pod + "}}}}}",
	} {
		u := mustParse(t, manifest)[0]
		if unread := rewriteImages(u, "m.local"); len(unread) > 0 {
			t.Errorf("%s: not understood: %v", kind, unread)
		}
		spec, _ := child(u.Object, podSpecPaths[kind]...)
		var got []string
		for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
			for _, c := range children(spec, list) {
				got = append(got, fmt.Sprint(c["image"]))
			}
		}
		got = append(got, fmt.Sprint(children(spec, "volumes")[0]["image"]))
		want := []string{"m.local/library/a", "m.local/library/b:1", "auto", "<nil>", "m.local/c", "map[reference:m.local/library/d:2]"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
	other := mustParse(t, "{apiVersion: example.com/v1, kind: Deployment, metadata: {name: x}, spec: {template: {spec: {containers: [{image: a}]}}}}")[0]
	before := other.DeepCopy()
	rewriteImages(other, "m.local")
	if diff := cmp.Diff(before.Object, other.Object); diff != "" {
		t.Errorf("a foreign kind of the same name was changed: %s", diff)
	}
}

func TestNormalize(t *testing.T) {
	m := marks{component: "c", release: "r", namespace: "ns"}
	u := mustParse(t, `
apiVersion: v1
kind: Secret
metadata:
  name: s
  creationTimestamp: null
  labels: {a: b, gone: null}
  annotations: {x: z}
data: {kept: a2VwdA==, both: b2xk}
stringData: {plain: text, both: new, nothing: null}
`)[0]
	for range 2 { // the second time nothing may change
		if err := normalize(u, m, false); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"apiVersion": "v1", "kind": "Secret",
			"metadata": map[string]any{
				"name":   "s",
				"labels": map[string]any{"a": "b", v1alpha1.ComponentLabel: "c", "app.kubernetes.io/managed-by": "Helm"},
				"annotations": map[string]any{
					"x": "z", "meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": "ns",
				},
			},
			"data": map[string]any{
				"kept": "a2VwdA==", "plain": base64.StdEncoding.EncodeToString([]byte("text")),
				"both": base64.StdEncoding.EncodeToString([]byte("new")),
			},
		}
		if diff := cmp.Diff(want, u.Object); diff != "" {
			t.Fatal(diff)
		}
	}
	hook := mustParse(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: h}}")[0]
	if err := normalize(hook, m, true); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"name": "h", "labels": map[string]any{v1alpha1.ComponentLabel: "c"}}, hook.Object["metadata"]); diff != "" {
		t.Error(diff)
	}
	bad := mustParse(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: h, labels: {version: 1.5}}}")[0]
	if err := normalize(bad, m, false); err == nil || !strings.Contains(err.Error(), "metadata.labels[version]") {
		t.Errorf("a label that is a number: %v", err)
	}
}

func TestParse(t *testing.T) {
	docs, err := parse(strings.NewReader("# a comment\n---\n# Source: c/templates/a.yaml\n\n# more\napiVersion: v1\nkind: List\nitems:\n" +
		"- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: \"---\\n\"}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n" +
		"---\n# only a comment\n---\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: c}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) != 2 || len(docs[0].objects) != 2 || docs[0].source != "# Source: c/templates/a.yaml" || docs[1].objects[0].GetName() != "c" {
		t.Fatalf("%+v", docs)
	}
	out, err := format(docs)
	if err != nil {
		t.Fatal(err)
	}
	again, err := parse(out)
	if err != nil || len(again) != 3 || again[1].source != docs[0].source {
		t.Fatalf("%v %+v", err, again)
	}
	if diff := cmp.Diff(docs[0].objects[0].Object, again[0].objects[0].Object); diff != "" {
		t.Error(diff)
	}
	if _, err := parse(strings.NewReader("---\n# Source: c/templates/a.yaml\na: b: c\n")); err == nil || !strings.Contains(err.Error(), "c/templates/a.yaml") {
		t.Errorf("broken YAML: %v", err)
	}
}

func TestFieldsHash(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	obj := func(change func(*metav1.ManagedFieldsEntry)) *metav1.PartialObjectMetadata {
		e := metav1.ManagedFieldsEntry{
			Manager: "m", Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1", Time: &at,
			FieldsV1: metav1.NewFieldsV1(`{"f:data":{"f:b":{},"f:a":{}}}`),
		}
		other := metav1.ManagedFieldsEntry{Manager: "m", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1"}
		if change != nil {
			change(&e)
		}
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{other, e}}}
	}
	base, ok := FieldsHash(obj(nil), "m")
	if !ok || base == "" {
		t.Fatal("no hash")
	}
	same := map[string]func(*metav1.ManagedFieldsEntry){
		"order": func(e *metav1.ManagedFieldsEntry) {
			e.FieldsV1 = metav1.NewFieldsV1(`{"f:data":{"f:a":{},"f:b":{}}}`)
		},
		"zone": func(e *metav1.ManagedFieldsEntry) {
			z := metav1.NewTime(at.In(time.FixedZone("x", 3600)))
			e.Time = &z
		},
	}
	for name, change := range same {
		if got, _ := FieldsHash(obj(change), "m"); got != base {
			t.Errorf("%s changes the hash", name)
		}
	}
	differs := map[string]func(*metav1.ManagedFieldsEntry){
		"fields":  func(e *metav1.ManagedFieldsEntry) { e.FieldsV1 = metav1.NewFieldsV1(`{"f:data":{"f:a":{}}}`) },
		"time":    func(e *metav1.ManagedFieldsEntry) { z := metav1.NewTime(at.Add(time.Second)); e.Time = &z },
		"version": func(e *metav1.ManagedFieldsEntry) { e.APIVersion = "v2" },
	}
	for name, change := range differs {
		if got, _ := FieldsHash(obj(change), "m"); got == base {
			t.Errorf("%s does not change the hash", name)
		}
	}
	for name, change := range map[string]func(*metav1.ManagedFieldsEntry){
		"subresource": func(e *metav1.ManagedFieldsEntry) { e.Subresource = "status" },
		"manager":     func(e *metav1.ManagedFieldsEntry) { e.Manager = "n" },
		"operation":   func(e *metav1.ManagedFieldsEntry) { e.Operation = metav1.ManagedFieldsOperationUpdate },
	} {
		if _, ok := FieldsHash(obj(change), "m"); ok {
			t.Errorf("%s: an entry that is not ours was taken", name)
		}
	}
	// The same entry decoded into generic maps, as a dynamic client does it.
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetManagedFields(obj(nil).ManagedFields)
	if got, ok := FieldsHash(u, "m"); !ok || got != base {
		t.Errorf("hash of the generic form: %v %v, want %v", got, ok, base)
	}
}

func TestInputs(t *testing.T) {
	spec := func() Spec {
		values := map[string]any{}
		for i := range 50 {
			values[fmt.Sprint("k", i)] = map[string]any{"a": i, "b": []any{"x", i}}
		}
		return Spec{Component: "c", Name: "n", Namespace: "ns", ChartDigest: "sha256:1", Values: values}
	}
	base := inputs(spec(), "1.37")
	if errs := validation.IsValidLabelValue(base); len(errs) > 0 {
		t.Errorf("%q is no label value: %v", base, errs)
	}
	for range 20 {
		if got := inputs(spec(), "1.37"); got != base {
			t.Fatal("the digest depends on the order of maps")
		}
	}
	seen := map[string]string{base: "nothing"}
	for name, change := range map[string]func(*Spec){
		"component":        func(s *Spec) { s.Component = "d" },
		"name":             func(s *Spec) { s.Name = "m" },
		"namespace":        func(s *Spec) { s.Namespace = "other" },
		"namespace labels": func(s *Spec) { s.NamespaceLabels = map[string]string{"a": "b"} },
		"digest":           func(s *Spec) { s.ChartDigest = "sha256:2" },
		"registry":         func(s *Spec) { s.ImageRegistry = "m.local" },
		"values":           func(s *Spec) { s.Values["k1"].(map[string]any)["b"].([]any)[0] = "y" },
		"shift":            func(s *Spec) { s.Component, s.Name = "", "cn" },
	} {
		s := spec()
		change(&s)
		got := inputs(s, "1.37")
		if other, dup := seen[got]; dup {
			t.Errorf("changing %s gives the same digest as changing %s", name, other)
		}
		seen[got] = name
	}
	if inputs(spec(), "1.38") == base {
		t.Error("the cluster's version does not count")
	}
	empty, none := spec(), spec()
	empty.Values, none.Values = map[string]any{}, nil
	if inputs(empty, "1.37") != inputs(none, "1.37") {
		t.Error("no values and empty values differ")
	}
	a, b := spec(), spec()
	a.ChartDigest, b.ChartDigest = "", ""
	a.Chart, b.Chart = memoryChart("x", "1.0.0", map[string]string{"a.yaml": "a: b"}), memoryChart("x", "1.0.0", map[string]string{"a.yaml": "a: c"})
	if inputs(a, "1.37") == inputs(b, "1.37") {
		t.Error("the content of a chart without a digest does not count")
	}
}

func TestRefersElsewhere(t *testing.T) {
	for schema, want := range map[string]bool{
		``:   false,
		`{]`: false,
		`{}`: false,
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{}}}`: false,
		`{"$id":"https://example.com/s.json","properties":{"a":{"$ref":"https://example.com/s.json#/$defs/x"}}}`:              false,
		`{"properties":{"a":{"$ref":"https://example.com/x.json"}}}`:                                                          true,
		`{"properties":{"a":{"items":[{"$ref":"http://example.com/x.json#/y"}]}}}`:                                            true,
		`{"properties":{"a":{"$ref":"other.json"}}}`:                                                                          true,
		`{"properties":{"a":{"$ref":"file:///etc/hostname"}}}`:                                                                true,
		`{"$schema":"https://example.com/meta.json"}`:                                                                         true,
		`{"properties":{"$ref":{"type":"string"}}}`:                                                                           false,
		`{"properties":{"a":{"default":{"$ref":"https://example.com/x.json"}}}}`:                                              false,
	} {
		if got := refersElsewhere([]byte(schema)); got != want {
			t.Errorf("%s: %v, want %v", schema, got, want)
		}
	}
}

func TestCopyChart(t *testing.T) {
	sub := memoryChart("sub", "1.0.0", nil)
	sub.Schema = []byte(`{"$ref":"https://example.com/x.json"}`)
	sub.Values = map[string]any{"exports": map[string]any{"up": map[string]any{"v": 1}}}
	c := memoryChart("top", "1.0.0", nil)
	c.Schema = []byte(`{"type":"object"}`)
	c.Metadata.Dependencies = []*chart.Dependency{{Name: "sub", Version: "1.0.0", Alias: "alias", Condition: "alias.enabled", ImportValues: []any{"up"}}}
	c.AddDependency(sub)
	before := chartDigest(c)
	cp, remote := copyChart(c)
	if diff := cmp.Diff([]string{"sub"}, remote); diff != "" {
		t.Error(diff)
	}
	if cp.Schema == nil || cp.Dependencies()[0].Schema != nil {
		t.Error("the wrong schemas were left out")
	}
	if cp.Dependencies()[0].Parent() != cp {
		t.Error("the copy of the dependency has another parent")
	}
	cp.Metadata.Dependencies[0].Name = "changed"
	cp.Values["x"] = "y"
	cp.Dependencies()[0].Values["exports"].(map[string]any)["up"] = nil
	cp.SetDependencies()
	if after := chartDigest(c); after != before || sub.Parent() != c {
		t.Error("the original was changed")
	}
}

func TestRevisions(t *testing.T) {
	rev := func(v int, st helmrelease.Status, objs ...string) *helmrelease.Release {
		m := ""
		for _, o := range objs {
			m += "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + o + "}\n"
		}
		return &helmrelease.Release{Name: "r", Namespace: "ns", Version: v, Info: &helmrelease.Info{Status: st}, Manifest: m}
	}
	for name, tc := range map[string]struct {
		revs      revisions
		relevant  []int
		installed bool
	}{
		"none":              {nil, nil, false},
		"deployed":          {revisions{rev(1, "superseded"), rev(2, "deployed")}, []int{2}, true},
		"failed since":      {revisions{rev(1, "superseded"), rev(2, "deployed"), rev(3, "failed"), rev(4, "failed")}, []int{2, 3, 4}, true},
		"never came up":     {revisions{rev(1, "failed"), rev(2, "failed")}, []int{1, 2}, false},
		"lost the deployed": {revisions{rev(1, "superseded"), rev(2, "failed")}, []int{1, 2}, true},
		"two deployed":      {revisions{rev(1, "deployed"), rev(2, "deployed")}, []int{2}, true},
		"uninstalled":       {revisions{rev(1, "superseded"), rev(2, "uninstalled"), rev(3, "failed")}, []int{1, 2, 3}, false},
	} {
		var got []int
		for _, r := range tc.revs.relevant() {
			got = append(got, r.Version)
		}
		if diff := cmp.Diff(tc.relevant, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if tc.revs.installed() != tc.installed {
			t.Errorf("%s: installed = %v", name, !tc.installed)
		}
	}

	s := &session{marks: marks{namespace: "ns", release: "r"}, parsed: map[string][]*unstructured.Unstructured{}}
	revs := revisions{rev(1, "deployed", "a"), rev(2, "failed", "a", "b"), rev(3, "failed", "a", "c"), rev(4, "failed", "a", "c")}
	for i, want := range []bool{false, true, true} { // c is named by both of the last two
		others := append(append(revisions{}, revs[:i+1]...), revs[i+2:]...)
		if got := s.covered(revs[i+1], others); got != want {
			t.Errorf("revision %d covered by the others: %v, want %v", revs[i+1].Version, got, want)
		}
	}
}

func TestObjectErrors(t *testing.T) {
	ds := Object{GVK: appsV1.WithKind("DaemonSet"), Namespace: "kube-system", Name: "cilium"}
	forbidden := &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
		Message: `daemonsets.apps "cilium" is forbidden: User "u" cannot patch resource "daemonsets" in API group "apps" in the namespace "kube-system"`}}
	e := objectError("apply", ds, fmt.Errorf("wrapped: %w", forbidden))
	if e.Permission != "patch daemonsets.apps in namespace kube-system" {
		t.Errorf("permission: %q", e.Permission)
	}
	if want := "apply DaemonSet kube-system/cilium: missing permission to patch daemonsets.apps in namespace kube-system"; e.Error() != want {
		t.Errorf("got %q", e.Error())
	}
	secret := Object{GVK: coreV1.WithKind("Secret"), Namespace: "ns", Name: "s"}
	invalid := apierrors.NewInvalid(secret.GVK.GroupKind(), "s", nil)
	invalid.ErrStatus.Message = "data.password: hunter22 is wrong"
	invalid.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: "FieldValueInvalid", Field: "data[password]", Message: "hunter22"}}
	err := error(&ApplyError{Release: "ns/r", Causes: []*ObjectError{objectError("apply", secret, invalid)}})
	if strings.Contains(fmt.Sprintf("%v %+v", err, err), "hunter22") || !strings.Contains(err.Error(), "data[password]") {
		t.Errorf("got %v", err)
	}
	if !apierrors.IsInvalid(err) {
		// IsInvalid looks for a status anywhere in the tree.
		t.Error("the reason got lost")
	}
	if Permanent(err) || !Permanent(fmt.Errorf("x: %w", &RenderError{})) || !Permanent(errors.Join(&ConflictError{})) {
		t.Error("permanence is mixed up")
	}
}

func TestScrubValues(t *testing.T) {
	values := map[string]any{
		"auth": map[string]any{"user": "administrator"}, "adminPassword": "s3cr3t!", "mode": "vxlan", "tls": map[string]any{"key": "line-one\nline-two"},
	}
	err := scrubValues(errors.New("bad: s3cr3t! "+base64.StdEncoding.EncodeToString([]byte("s3cr3t!"))+" vxlan\n  line-two administrator"), values)
	if want := "bad: [redacted] [redacted] vxlan\n  [redacted] [redacted]"; err.Error() != want {
		t.Errorf("got %q", err)
	}
}

func TestCapabilities(t *testing.T) {
	fake := &fakediscovery.FakeDiscovery{Fake: &clienttesting.Fake{}, FakedServerVersion: &version.Info{Major: "1", Minor: "37+", GitVersion: "v1.37.1"}}
	fake.Resources = []*metav1.APIResourceList{
		{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "pods", Kind: "Pod", Namespaced: true}}},
		{GroupVersion: "policy/v1", APIResources: []metav1.APIResource{{Name: "poddisruptionbudgets", Kind: "PodDisruptionBudget", Namespaced: true}}},
	}
	c := newCluster(fake)
	caps, err := c.capabilities()
	if err != nil {
		t.Fatal(err)
	}
	if caps.KubeVersion.Version != "v1.37.1" || c.minor() != "1.37" {
		t.Errorf("version %v, minor %v", caps.KubeVersion, c.minor())
	}
	for _, v := range []string{"v1", "v1/Pod", "policy/v1", "policy/v1/PodDisruptionBudget"} {
		if !caps.APIVersions.Has(v) {
			t.Errorf("%s is missing in %v", v, caps.APIVersions)
		}
	}
	fake.Resources = append(fake.Resources, &metav1.APIResourceList{
		GroupVersion: "cilium.io/v2", APIResources: []metav1.APIResource{{Name: "ciliumnodes", Kind: "CiliumNode"}},
	})
	c.invalidate()
	if caps, err = c.capabilities(); err != nil || !caps.APIVersions.Has("cilium.io/v2/CiliumNode") {
		t.Errorf("a new kind is not seen: %v", err)
	}
}

func TestOwnerOf(t *testing.T) {
	s := &session{marks: marks{component: "c", release: "r", namespace: "ns"}}
	meta := func(component, release, namespace string) *metav1.PartialObjectMetadata {
		m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{}, Annotations: map[string]string{}}}
		if component != "" {
			m.Labels[v1alpha1.ComponentLabel] = component
		}
		if release != "" {
			m.Annotations[releaseNameAnnotation], m.Annotations[releaseNamespaceAnnotation] = release, namespace
		}
		return m
	}
	controller, yes := meta("", "", ""), true
	controller.OwnerReferences = []metav1.OwnerReference{{Kind: "Foo", Name: "x", Controller: &yes}}
	argo := meta("", "r", "ns")
	argo.Annotations["argocd.argoproj.io/tracking-id"] = "app:x"
	hijacked := meta("c", "r", "ns")
	hijacked.Annotations["argocd.argoproj.io/tracking-id"] = "app:x"
	configMap, crds := coreV1.WithKind("ConfigMap").GroupKind(), crdGVK.GroupKind()
	for name, tc := range map[string]struct {
		live  *metav1.PartialObjectMetadata
		crd   bool
		want  whose
		owner string
	}{
		"this release":                   {meta("c", "r", "ns"), false, ours, ""},
		"this release before we had it":  {meta("", "r", "ns"), false, ours, ""},
		"left by an attempt":             {meta("c", "", ""), false, ours, ""},
		"same name in another namespace": {meta("c", "r", "other"), false, foreign, "Helm release other/r"},
		"another component":              {meta("d", "", ""), false, foreign, "component d"},
		"another component's release":    {meta("d", "r", "ns"), false, foreign, "component d"},
		"a shared CRD":                   {meta("d", "", ""), true, ours, ""},
		"a CRD of a release":             {meta("", "x", "ns"), true, foreign, "Helm release ns/x"},
		"a controller's":                 {controller, false, foreign, "Foo x"},
		"nobody's":                       {meta("", "", ""), false, nobodys, "nobody that left a mark"},
		"a manager that runs Helm":       {argo, false, foreign, "Argo CD application app"},
		"ours, marked by a manager":      {hijacked, false, ours, ""},
	} {
		gk := configMap
		if tc.crd {
			gk = crds
		}
		if got, owner := s.ownerOf(tc.live, gk); got != tc.want || owner.who != tc.owner {
			t.Errorf("%s: %v %q, want %v %q", name, got, owner, tc.want, tc.owner)
		}
	}
}

func TestHookProgress(t *testing.T) {
	job := func(condition, status string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"conditions": []any{
			map[string]any{"type": condition, "status": status, "reason": "BackoffLimitExceeded", "message": "two\nlines"},
		}}}}
	}
	pod := func(phase string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"phase": phase}}}
	}
	for _, tc := range []struct {
		check  func(*unstructured.Unstructured) (bool, error)
		u      *unstructured.Unstructured
		done   bool
		failed bool
	}{
		{jobDone, job("Complete", "True"), true, false},
		{jobDone, job("Complete", "False"), false, false},
		{jobDone, job("Failed", "True"), false, true},
		{jobDone, job("Suspended", "True"), false, false},
		{jobDone, nil, false, true},
		{podDone, pod("Running"), false, false},
		{podDone, pod("Succeeded"), true, false},
		{podDone, pod("Failed"), false, true},
		{podDone, nil, false, true},
	} {
		if done, err := tc.check(tc.u); done != tc.done || (err != nil) != tc.failed {
			t.Errorf("%v: %v %v", tc.u, done, err)
		}
	}
}
