package charts_test

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/test/testcharts"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// render gives the chart's manifests in the order of their files.
func render(t *testing.T, name, namespace, values string) (string, error) {
	t.Helper()
	var v map[string]any
	if err := yaml.UnmarshalStrict([]byte(values), &v); err != nil {
		t.Fatal(err)
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.36.3", Major: "1", Minor: "36"}
	toRender, err := chartutil.ToRenderValues(testcharts.Embedded(t, name), v, chartutil.ReleaseOptions{Name: name, Namespace: namespace, Revision: 1, IsInstall: true}, capabilities)
	if err != nil {
		return "", err
	}
	rendered, err := engine.Render(testcharts.Embedded(t, name), toRender)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, file := range slices.Sorted(maps.Keys(rendered)) {
		if path.Ext(file) == ".yaml" && strings.TrimSpace(rendered[file]) != "" {
			out.WriteString("---\n# Source: " + file + "\n" + strings.TrimSpace(rendered[file]) + "\n")
		}
	}
	return out.String(), nil
}

// decode strictly decodes every object: an unknown or repeated field is an error.
func decode(t *testing.T, manifests string) []runtime.Object {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []runtime.Object
	for doc := range strings.SplitSeq(manifests, "---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		object, _, err := decoder.Decode([]byte(doc), nil, nil)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, doc)
		}
		objects = append(objects, object)
	}
	return objects
}

// find gives the only object of type T.
func find[T runtime.Object](t *testing.T, objects []runtime.Object) T {
	t.Helper()
	var found []T
	for _, o := range objects {
		if typed, ok := o.(T); ok {
			found = append(found, typed)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T, want 1", len(found), *new(T))
	}
	return found[0]
}

// golden renders, decodes strictly, checks what holds for every chart of ours, and compares with the file.
func golden(t *testing.T, name, namespace, file, values string) []runtime.Object {
	t.Helper()
	got, err := render(t, name, namespace, values)
	if err != nil {
		t.Fatal(err)
	}
	again, err := render(t, name, namespace, values)
	if err != nil {
		t.Fatal(err)
	}
	if got != again {
		t.Errorf("rendering twice differs:\n%s", cmp.Diff(got, again))
	}
	objects := decode(t, got)
	checkAll(t, objects, namespace)
	file = filepath.Join("testdata", file+".yaml")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", file, diff)
	}
	return objects
}

// checkAll holds for every set of objects: fixed namespace, no hooks, no namespace object, and a
// DaemonSet that starts before there is a network.
func checkAll(t *testing.T, objects []runtime.Object, namespace string) {
	t.Helper()
	for _, o := range objects {
		meta, ok := o.(interface {
			GetName() string
			GetNamespace() string
			GetAnnotations() map[string]string
		})
		if !ok {
			t.Fatalf("%T has no metadata", o)
		}
		for key := range meta.GetAnnotations() {
			if strings.HasPrefix(key, "helm.sh/") {
				t.Errorf("%T %s has annotation %s: no hooks", o, meta.GetName(), key)
			}
		}
		if ns := meta.GetNamespace(); ns != "" && ns != namespace {
			t.Errorf("%T %s is in namespace %s", o, meta.GetName(), ns)
		}
		if _, is := o.(*corev1.Namespace); is {
			t.Error("the chart has a Namespace")
		}
	}
	spec := find[*appsv1.DaemonSet](t, objects).Spec
	for key, value := range spec.Selector.MatchLabels {
		if spec.Template.Labels[key] != value {
			t.Errorf("the selector's %s=%s is not a label of the pods", key, value)
		}
	}
	if !spec.Template.Spec.HostNetwork || spec.Template.Spec.PriorityClassName != "system-node-critical" {
		t.Errorf("hostNetwork %v, priority %q", spec.Template.Spec.HostNetwork, spec.Template.Spec.PriorityClassName)
	}
	if len(spec.Template.Annotations["checksum/config"]) != 64 {
		t.Errorf("checksum %q", spec.Template.Annotations["checksum/config"])
	}
	if s := spec.UpdateStrategy.RollingUpdate; s == nil || s.MaxUnavailable.String() != "10%" || s.MaxSurge.String() != "0" {
		t.Errorf("update strategy %v", spec.UpdateStrategy)
	}
}

// refuses checks that rendering fails with all the words.
func refuses(t *testing.T, name, values string, words ...string) {
	t.Helper()
	_, err := render(t, name, "kube-system", values)
	if err == nil {
		t.Errorf("%s accepts %q", name, values)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s with %q says %q, want %q in it", name, values, err, word)
		}
	}
}

func TestLint(t *testing.T) {
	values := map[string]map[string]any{
		"flannel":             {},
		"multus":              {},
		"network-attachments": {},
		"weave-net":           {},
		"cilium-resources":    {},
		"coredns":             {"autoscaler": map[string]any{"enabled": true}},
		"node-local-dns": {"interception": "RedirectPolicy", "servers": []any{map[string]any{
			"zones": []any{map[string]any{"zone": "."}}, "plugins": []any{map[string]any{"name": "whoami"}},
		}}},
		"ingress-resources": {},
		"traefik":           {},
		"kube-proxy": {
			"mode": "iptables", "image": map[string]any{"tag": "v1.36.3"},
			"apiServer": map[string]any{"host": "10.0.0.1", "port": 6443},
		},
	}
	for name, v := range values {
		result := lint.AllWithKubeVersion(name, v, "kube-system", &chartutil.KubeVersion{Version: "v1.36.3", Major: "1", Minor: "36"})
		for _, message := range result.Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, message)
			}
		}
	}
}

// TestSchemasAreLocal keeps rendering off the network.
func TestSchemasAreLocal(t *testing.T) {
	for _, name := range []string{
		"cilium-resources", "coredns", "flannel", "ingress-resources", "kube-proxy", "multus", "network-attachments", "node-local-dns", "traefik", "weave-net",
	} {
		schema := testcharts.Embedded(t, name).Schema
		for line := range bytes.Lines(schema) {
			if bytes.Contains(line, []byte(`"$ref"`)) && !bytes.Contains(line, []byte(`"$ref": "#/`)) {
				t.Errorf("%s: remote reference: %s", name, line)
			}
		}
	}
}
