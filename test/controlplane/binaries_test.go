package controlplane

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// All modules can be read, with the right version and programs.
func TestModules(t *testing.T) {
	versions, err := Versions()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(versions, DefaultVersion) {
		t.Fatalf("versions %v lack the default %s", versions, DefaultVersion)
	}
	for _, version := range versions {
		modules, err := controlPlaneModules(version)
		if err != nil {
			t.Fatal(err)
		}
		var binaries []string
		for _, m := range modules {
			for _, tool := range m.tools {
				binaries = append(binaries, tool.binary)
			}
			if m.name != "kubernetes" {
				continue
			}
			if !strings.HasPrefix(m.version, "v"+version+".") {
				t.Errorf("kubernetes-%s builds %s", version, m.version)
			}
			want := "-X k8s.io/component-base/version.gitVersion=" + m.version + " "
			if !strings.Contains(m.ldflags, want) {
				t.Errorf("ldflags %q lack %q", m.ldflags, want)
			}
		}
		want := []string{"etcd", "kwok", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"}
		if !slices.Equal(binaries, want) {
			t.Errorf("%s: binaries %v, want %v", version, binaries, want)
		}
	}
}

func TestUnknownVersion(t *testing.T) {
	_, err := Binaries(t.Context(), "1.2", nil)
	if err == nil || !strings.Contains(err.Error(), DefaultVersion) {
		t.Errorf("error %v does not name the available versions", err)
	}
}

// Whatever can change the binaries changes the name of their directory.
func TestCacheDir(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("NETWORKSTACK_CACHE", cache)
	dir := filepath.Join(t.TempDir(), "kubernetes-1.99")
	write := func(file, content string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cacheDir := func() string {
		t.Helper()
		m, err := loadModule(dir)
		if err != nil {
			t.Fatal(err)
		}
		path, err := m.cacheDir()
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("go.mod", "module x\n\ntool (\n\tk8s.io/kubernetes/cmd/kubectl\n)\n\nrequire k8s.io/kubernetes v1.99.3\n")
	write("go.sum", "a")
	first := cacheDir()
	if !strings.HasPrefix(first, filepath.Join(cache, "controlplane", "kubernetes-v1.99.3-")) {
		t.Errorf("cache directory is %s", first)
	}
	if again := cacheDir(); again != first {
		t.Errorf("cache directory is %s, then %s", first, again)
	}
	write("go.sum", "b")
	if other := cacheDir(); other == first {
		t.Error("another go.sum has the same cache directory")
	}
}

// Ready-made binaries are used, but not those of another Kubernetes version.
func TestKubebuilderAssets(t *testing.T) {
	assets := t.TempDir()
	t.Setenv("KUBEBUILDER_ASSETS", assets)
	for name, output := range map[string]string{"etcd": "etcd Version: 3.6.0", "kube-apiserver": "Kubernetes v1.36.9", "kwok": ""} {
		script := "#!/bin/sh\necho '" + output + "'\n"
		if err := os.WriteFile(filepath.Join(assets, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		version, binary string
		used            bool
	}{
		{"v1.36.3", "etcd", true},
		{"v1.36.3", "kube-apiserver", true},
		{"v1.37.1", "kube-apiserver", false},
		{"v1.36.3", "kubectl", false},
		{"v1.36.3", "kwok", false},
	} {
		path := kubebuilderAsset(t.Context(), &module{version: test.version}, test.binary, t.Output())
		if (path != "") != test.used {
			t.Errorf("%s for %s: %q", test.binary, test.version, path)
		}
	}
}

// A failed build says why, and leaves nothing that looks like a binary.
func TestFailedBuild(t *testing.T) {
	t.Setenv("NETWORKSTACK_CACHE", t.TempDir())
	dir := filepath.Join(t.TempDir(), "broken")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"go.mod":  "module example.test\n\ngo 1.26.0\n\ntool example.test/broken\n\nrequire example.test v0.0.0\n",
		"go.sum":  "",
		"main.go": "package main\n\nfunc main() { undefined() }\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := loadModule(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.build(t.Context(), "1 of 1", t.Output()); err == nil || !strings.Contains(err.Error(), "building broken v0.0.0") {
		t.Errorf("error is %v", err)
	}
	cache, err := m.cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(cache); len(entries) > 0 {
		t.Errorf("the failed build left %v", entries)
	}
}
