package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

const root = "../.."

func TestGenerateIsDeterministic(t *testing.T) {
	t.Parallel()
	o := options{version: "9.8.7", image: "registry.example.com/operator:v9.8.7"}
	first, err := generate(root, o)
	if err != nil {
		t.Fatal(err)
	}
	second, err := generate(root, o)
	if err != nil {
		t.Fatal(err)
	}
	for name := range first {
		if !bytes.Equal(first[name], second[name]) {
			t.Errorf("%s differs from one time to the next", name)
		}
	}
}

func TestInstallStrategy(t *testing.T) {
	t.Parallel()
	files, err := generate(root, options{version: "9.8.7", image: "registry.example.com/operator:v9.8.7"})
	if err != nil {
		t.Fatal(err)
	}
	csv := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(files[csvFile], &csv.Object); err != nil {
		t.Fatal(err)
	}
	if csv.GetName() != "networkstack.v9.8.7" {
		t.Errorf("the name is %s", csv.GetName())
	}
	deployments, _, err := unstructured.NestedSlice(csv.Object, "spec", "install", "spec", "deployments")
	if err != nil || len(deployments) != 1 {
		t.Fatalf("want one Deployment, have %v, %v", deployments, err)
	}
	pod, _, err := unstructured.NestedMap(deployments[0].(map[string]any), "spec", "template", "spec")
	if err != nil {
		t.Fatal(err)
	}
	if pod["hostNetwork"] != true {
		t.Error("the operator has to use the host's network")
	}
	if !strings.Contains(string(files[csvFile]), "image: registry.example.com/operator:v9.8.7") {
		t.Error("the image is not the one asked for")
	}
	for _, field := range []string{"permissions", "clusterPermissions"} {
		if p, _, err := unstructured.NestedSlice(csv.Object, "spec", "install", "spec", field); err != nil || len(p) != 1 {
			t.Errorf("want %s for one account, have %v, %v", field, p, err)
		}
	}
}

func TestSamplesBeginWithTheUsualOne(t *testing.T) {
	t.Parallel()
	text, err := samples(filepath.Join(root, "config", "samples"))
	if err != nil {
		t.Fatal(err)
	}
	var all []networkstackv1alpha1.NetworkStack
	if err := yaml.UnmarshalStrict([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, "config", "samples", "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	usual, err := os.ReadFile(filepath.Join(root, "config", "samples", firstSample))
	if err != nil {
		t.Fatal(err)
	}
	var want networkstackv1alpha1.NetworkStack
	if err := yaml.UnmarshalStrict(usual, &want); err != nil {
		t.Fatal(err)
	}
	if len(all) < 2 || !reflect.DeepEqual(all[0], want) || !strings.Contains(string(data), "\n- "+firstSample+"\n") {
		t.Errorf("of %d samples the first is %+v, or %s is not that of the kustomization", len(all), all[0].Spec, firstSample)
	}
}

func TestFieldOf(t *testing.T) {
	t.Parallel()
	schema := map[string]any{"properties": map[string]any{"spec": map[string]any{"description": "two\nlines"}}}
	if got, err := fieldOf(schema, "spec"); err != nil || oneLine(got["description"]) != "two lines" {
		t.Errorf("fieldOf(spec) = %q, %v", got, err)
	}
	if _, err := fieldOf(schema, "spec.gone"); err == nil {
		t.Error("a descriptor for a field that does not exist was accepted")
	}
}

func TestInputFor(t *testing.T) {
	t.Parallel()
	for want, schema := range map[string]map[string]any{
		"[urn:alm:descriptor:com.tectonic.ui:select:A urn:alm:descriptor:com.tectonic.ui:select:B]": {"type": "string", "enum": []any{"A", "B"}},
		"[urn:alm:descriptor:com.tectonic.ui:booleanSwitch]":                                        {"type": "boolean"},
		"[urn:alm:descriptor:com.tectonic.ui:number]":                                               {"type": "integer"},
		"[]": {"type": "object"},
	} {
		if got := fmt.Sprint(inputFor(schema)); got != want {
			t.Errorf("%v: %s, want %s", schema, got, want)
		}
	}
}

// TestDescriptors wants a descriptor for every field at the top of a spec or a status that a console can show.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	in, err := load(filepath.Join(root, "config", "manifests"))
	if err != nil {
		t.Fatal(err)
	}
	if err := in.complete(root, options{version: "9.8.7", image: "operator:v9.8.7"}); err != nil {
		t.Fatal(err)
	}
	// Of NetworkStacks alone: the operator writes NetworkComponents, and most of their fields are no use to people.
	const name = "networkstacks.networkstack.io"
	schema, err := in.schema(name, "v1alpha1")
	if err != nil {
		t.Fatal(err)
	}
	owned, _, err := unstructured.NestedSlice(in.csv.Object, "spec", "customresourcedefinitions", "owned")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range owned {
		entry := entry.(map[string]any)
		if entry["name"] != name {
			continue
		}
		for field, part := range map[string]string{"specDescriptors": "spec", "statusDescriptors": "status"} {
			about, err := fieldOf(schema, part)
			if err != nil {
				t.Fatal(err)
			}
			described := map[string]bool{"observedGeneration": true, "summary": true} // for programs, and for kubectl get
			for _, d := range entry[field].([]any) {
				top, _, _ := strings.Cut(d.(map[string]any)["path"].(string), ".")
				described[top] = true
			}
			for top := range about["properties"].(map[string]any) {
				if !described[top] {
					t.Errorf("%s has no descriptor for %s.%s", name, part, top)
				}
			}
		}
	}
}

func TestCheckFindsStaleFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"config", "bundle"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(root, name))); err != nil {
			t.Fatal(err)
		}
	}
	files, err := generate(dir, options{version: "9.8.7", image: "operator:v9.8.7"})
	if err != nil {
		t.Fatal(err)
	}
	if err := write(dir, files); err != nil {
		t.Fatal(err)
	}
	if err := checkCurrent(dir); err != nil {
		t.Errorf("a fresh bundle is called stale: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, bundleDir, "manifests", "left-over.yaml"), []byte("a: b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkCurrent(dir); err == nil || !strings.Contains(err.Error(), "left-over.yaml") {
		t.Errorf("a file too many was not found: %v", err)
	}
}
