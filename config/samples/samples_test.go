// Package samples_test keeps the samples true to the API.
package samples_test

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

func TestSamplesDecodeStrictly(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("networkstack_*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 2 {
		t.Fatalf("samples are missing, found only %v", files)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var stack networkstackv1alpha1.NetworkStack
			if err := yaml.UnmarshalStrict(data, &stack); err != nil {
				t.Fatal(err)
			}
			if got, want := stack.GroupVersionKind(), networkstackv1alpha1.GroupVersion.WithKind("NetworkStack"); got != want {
				t.Errorf("the sample is a %s, not a %s", got, want)
			}
			if stack.Name == "" || stack.Namespace != "" {
				t.Errorf("a NetworkStack has a name and no namespace, this one has %q and %q", stack.Name, stack.Namespace)
			}
			if len(stack.Status.Conditions) > 0 {
				t.Error("the sample has a status")
			}
		})
	}
}
