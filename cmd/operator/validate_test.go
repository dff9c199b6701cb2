package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	const head = "apiVersion: networkstack.io/v1alpha1\nkind: NetworkStack\nmetadata: {name: x}\nspec:\n"
	for _, tc := range []struct {
		name, text string
		valid      bool
		want       []string
	}{
		{"valid", head + "  cni: {type: Flannel}\n", true, []string{"1 NetworkStacks are valid"}},
		{"several documents, other kinds passed over", "kind: ConfigMap\n---\n" + head + "  cni: {type: Flannel}\n---\n" + head + "  cni: {type: External}\n",
			true, []string{"2 NetworkStacks are valid"}},
		{"all errors at once", head + "  mtu: 100\n  cni: {type: Flannel, encapsulation: Geneve}\n  kubeProxy: {mode: Replaced}\n", false,
			[]string{"spec.mtu", "[MTU-RANGE]", "spec.cni.encapsulation", "spec.kubeProxy.mode", "1 of 1 NetworkStacks are not valid"}},
		{"unknown field", head + "  cni: {type: Flannel}\n  mtus: 1\n", false, []string{`unknown field "mtus"`}},
		{"nothing to check", "kind: ConfigMap\n", false, []string{"there is no NetworkStack"}},
		{"no YAML", "a: [", false, []string{"yaml"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "stack.yaml")
			if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			cmd := command()
			cmd.SetOut(&out)
			cmd.SetArgs([]string{"validate", file})
			err := cmd.Execute()
			if (err == nil) != tc.valid {
				t.Errorf("error %v, want valid %v", err, tc.valid)
			}
			text := out.String()
			if err != nil {
				text += err.Error()
			}
			for _, want := range tc.want {
				if !strings.Contains(text, want) {
					t.Errorf("the output does not say %q:\n%s", want, text)
				}
			}
		})
	}
}

func TestValidateStandardInput(t *testing.T) {
	cmd := command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetIn(strings.NewReader("apiVersion: networkstack.io/v1alpha1\nkind: NetworkStack\nmetadata: {name: x}\nspec: {cni: {type: Flannel}}\n"))
	cmd.SetArgs([]string{"validate", "-"})
	if err := cmd.Execute(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}
