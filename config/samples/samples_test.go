// Package samples_test keeps the samples true to the API.
package samples_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
)

func samples(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("networkstack_*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("samples are missing, found only %v, %v", files, err)
	}
	return files
}

// TestEachCNIHasASample names the network plugins that the operator installs.
func TestEachCNIHasASample(t *testing.T) {
	t.Parallel()
	missing := []networkstackv1alpha1.CNIType{
		networkstackv1alpha1.CNIFlannel, networkstackv1alpha1.CNICilium, networkstackv1alpha1.CNICalico,
		networkstackv1alpha1.CNIWeaveNet, networkstackv1alpha1.CNIAWSVPC,
	}
	for _, file := range samples(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var stack networkstackv1alpha1.NetworkStack
		if err := yaml.UnmarshalStrict(data, &stack); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		missing = slices.DeleteFunc(missing, func(c networkstackv1alpha1.CNIType) bool { return c == stack.Spec.CNI.Type })
	}
	if len(missing) > 0 {
		t.Errorf("no sample has %v", missing)
	}
}

func TestSamplesAreValid(t *testing.T) {
	t.Parallel()
	for _, file := range samples(t) {
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
			if errs, _ := compose.ValidateObject(&stack); len(errs) > 0 {
				t.Errorf("the sample is refused: %v", errs)
			}
			if !bytes.HasPrefix(data, []byte("# ")) || !bytes.Contains(data, []byte("#   kubectl apply -f "+file+"\n")) {
				t.Error("the sample does not begin with what it is for and how it is applied")
			}
		})
	}
}
