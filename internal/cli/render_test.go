package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/testcharts"
)

// renderJSON gives the objects of each component, hooks included.
func renderJSON(t *testing.T, args ...string) map[string][]unstructured.Unstructured {
	t.Helper()
	out, code := call(t, "", nil, append(append([]string{"render"}, args...), "-o", "json")...)
	if code != ExitFine {
		t.Fatalf("exits with %d:\n%s", code, out)
	}
	var read struct {
		Components []struct {
			Name           string
			Objects, Hooks []map[string]any
		}
	}
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{\n"):]), &read); err != nil {
		t.Fatal(err)
	}
	objects := map[string][]unstructured.Unstructured{}
	for _, c := range read.Components {
		for _, o := range slices.Concat(c.Objects, c.Hooks) {
			objects[c.Name] = append(objects[c.Name], unstructured.Unstructured{Object: o})
		}
	}
	return objects
}

// TestRender renders a stack from the program alone: all objects have the marks of their component, and a namespace where they belong
// to one.
func TestRender(t *testing.T) {
	withoutCluster(t)
	t.Chdir("testdata/in")
	objects := renderJSON(t, "stack.yaml", "--facts", "facts.yaml", "--offline")
	kinds := map[string][]string{}
	for component, list := range objects {
		for i := range list {
			u := &list[i]
			kinds[component] = append(kinds[component], u.GetKind())
			if u.GetLabels()[networkstackv1alpha1.ComponentLabel] != component {
				t.Errorf("%s %s has not the label of component %s", u.GetKind(), u.GetName(), component)
			}
			if u.GetKind() == "DaemonSet" && u.GetNamespace() == "" {
				t.Errorf("DaemonSet %s has no namespace", u.GetName())
			}
		}
	}
	want := map[string][]string{
		"kube-proxy": {"ServiceAccount", "ConfigMap", "ClusterRoleBinding", "Role", "RoleBinding", "DaemonSet"},
		"flannel":    {"Namespace", "ServiceAccount", "ConfigMap", "ClusterRole", "ClusterRoleBinding", "DaemonSet"},
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}

	// One component, on the terminal and in a file: the same, with a description above.
	printed, code := call(t, "", nil, "render", "stack.yaml", "--facts", "facts.yaml", "--component", "flannel")
	if code != ExitFine || !strings.HasPrefix(printed, "# Component flannel (Flannel), stage 20: release kube-flannel/flannel\n# Chart flannel ") {
		t.Errorf("exits with %d:\n%.300s", code, printed)
	}
	dir := filepath.Join(t.TempDir(), "made")
	listed, _ := call(t, "", nil, "render", "stack.yaml", "--facts", "facts.yaml", "--component", "flannel", "--output-dir", dir)
	written, err := os.ReadFile(filepath.Join(dir, "020-flannel.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if listed != filepath.Join(dir, "020-flannel.yaml")+"\n" || string(written) != printed {
		t.Errorf("%s has not what is printed", listed)
	}
	for _, document := range strings.Split(printed, "\n---\n") {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Errorf("is no YAML: %v\n%s", err, document)
		}
	}
}

// TestRenderSecrets renders a chart that makes up certificates: their keys are masked unless they are asked for, and that they are
// others each time is no difference.
func TestRenderSecrets(t *testing.T) {
	dir := testcharts.PinnedDir(t, "cilium", "1.20.0")
	withoutCluster(t)
	t.Chdir("testdata/in")
	args := []string{"secrets.yaml", "--facts", "facts.yaml", "--charts", dir, "--offline"}
	secrets := func(args ...string) (hidden, open int) {
		for _, list := range renderJSON(t, args...) {
			for i := range list {
				if list[i].GetKind() != "Secret" {
					continue
				}
				data, _ := list[i].Object["data"].(map[string]any)
				for _, v := range data {
					if v == masked {
						hidden++
					} else {
						open++
					}
				}
			}
		}
		return hidden, open
	}
	if hidden, open := secrets(args...); hidden == 0 || open > 0 {
		t.Errorf("%d values of Secrets are masked, and %d are not", hidden, open)
	}
	if hidden, open := secrets(append(args, "--show-secrets")...); hidden > 0 || open == 0 {
		t.Errorf("asked for, %d values of Secrets are masked, and %d are not", hidden, open)
	}
	out, code := call(t, "", nil, append([]string{"diff", "secrets.yaml"}, args...)...)
	if code != ExitFine || !strings.HasSuffix(out, "there is no difference\n") {
		t.Errorf("a stack differs from itself (%d):\n%s", code, out)
	}
}

// TestOffline fetches nothing, and says what is missing.
func TestOffline(t *testing.T) {
	withoutCluster(t)
	t.Chdir("testdata/in")
	out, code := call(t, "", nil, "render", "secrets.yaml", "--facts", "facts.yaml", "--offline", "-o", "json")
	if code != ExitTrouble || !strings.Contains(out, "component cilium: ") || !strings.Contains(out, "--charts") {
		t.Errorf("exits with %d:\n%s", code, out)
	}
}

func TestMaskTexts(t *testing.T) {
	object := map[string]any{"a": []any{"x hunter2 y", "aHVudGVyMg==", "other", int64(7)}, "b": map[string]any{"c": "hunter2"}}
	want := map[string]any{"a": []any{masked, masked, "other", int64(7)}, "b": map[string]any{"c": masked}}
	if diff := cmp.Diff(want, maskTexts(object, []string{"hunter2"})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestHidden(t *testing.T) {
	for path, want := range map[string]bool{
		"spec.cni.values.hubble.password": true, "spec.cni.values.auth": true, ".derivedValues.api.token": true, "spec.cni.values.secretName": false,
		"spec.cni.encryption.password": false, "spec.mtu": false, "spec.cni.values.image": false,
	} {
		if got := hidden(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}
