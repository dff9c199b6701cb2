package controlplane

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// BinarySet is the paths of the programs of one control plane.
type BinarySet struct {
	// KubernetesVersion is the full version, such as "v1.37.1".
	KubernetesVersion string

	Etcd              string
	APIServer         string
	ControllerManager string
	Scheduler         string
	Kubectl           string
	Kwok              string
}

// module is a Go module below hack/controlplane whose tools are built.
type module struct {
	dir     string // absolute
	name    string // in the cache, such as "kubernetes"
	path    string // of the required module, such as "k8s.io/kubernetes"
	version string // of the required module, such as "v1.37.1"
	tools   []tool
	ldflags string
}

type tool struct{ pkg, binary string }

// Binaries returns the programs of the control plane for a Kubernetes minor
// version such as "1.37" (empty: [DefaultVersion]), building those that are not
// in the cache. A first build takes minutes; progress (nil: none) hears about it.
//
// The cache is in $NETWORKSTACK_CACHE, else in the user's cache directory. When
// KUBEBUILDER_ASSETS is set, its etcd is used, and its kube-apiserver and
// kubectl if they are of the minor version asked for.
func Binaries(ctx context.Context, version string, progress io.Writer) (BinarySet, error) {
	if progress == nil {
		progress = io.Discard
	}
	var set BinarySet
	modules, err := controlPlaneModules(version)
	if err != nil {
		return set, err
	}
	paths := map[string]string{}
	for i, m := range modules {
		m.tools = slices.DeleteFunc(m.tools, func(t tool) bool {
			asset := kubebuilderAsset(ctx, m, t.binary, progress)
			paths[t.binary] = asset
			return asset != ""
		})
		built, err := m.build(ctx, fmt.Sprintf("%d of %d", i+1, len(modules)), progress)
		if err != nil {
			return set, err
		}
		for binary, path := range built {
			paths[binary] = path
		}
		if m.name == "kubernetes" {
			set.KubernetesVersion = m.version
		}
	}
	set.Etcd, set.Kwok = paths["etcd"], paths["kwok"]
	set.APIServer, set.Kubectl = paths["kube-apiserver"], paths["kubectl"]
	set.ControllerManager, set.Scheduler = paths["kube-controller-manager"], paths["kube-scheduler"]
	return set, nil
}

// Helm returns the path of the helm command, building it if it is not in the
// cache. It serves to show that releases are what Helm itself understands.
func Helm(ctx context.Context, progress io.Writer) (string, error) {
	if progress == nil {
		progress = io.Discard
	}
	built, _, err := Programs(ctx, "controlplane/helm", progress)
	return built["helm"], err
}

// Programs returns the paths of the programs of a Go module below hack, such as "nodes/coredns", by their names, and the version
// they are of. It builds those that are not in the cache.
func Programs(ctx context.Context, dir string, progress io.Writer) (paths map[string]string, version string, err error) {
	root, err := RepositoryRoot()
	if err != nil {
		return nil, "", err
	}
	m, err := loadModule(filepath.Join(root, "hack", filepath.FromSlash(dir)))
	if err != nil {
		return nil, "", err
	}
	paths, err = m.build(ctx, dir, progress)
	return paths, m.version, err
}

// Versions returns the Kubernetes minor versions that can be started, oldest first.
func Versions() ([]string, error) {
	root, err := RepositoryRoot()
	if err != nil {
		return nil, err
	}
	dirs, err := filepath.Glob(filepath.Join(root, "hack", "controlplane", "kubernetes-*"))
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, dir := range dirs {
		_, version, _ := strings.Cut(filepath.Base(dir), "-")
		versions = append(versions, version)
	}
	slices.Sort(versions)
	return versions, nil
}

func controlPlaneModules(version string) ([]*module, error) {
	if version == "" {
		version = DefaultVersion
	}
	versions, err := Versions()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(versions, version) {
		return nil, fmt.Errorf("there is no control plane for Kubernetes %q; available: %s", version, strings.Join(versions, ", "))
	}
	root, err := RepositoryRoot()
	if err != nil {
		return nil, err
	}
	var modules []*module
	for _, name := range []string{"etcd", "kwok", "kubernetes-" + version} {
		m, err := loadModule(filepath.Join(root, "hack", "controlplane", name))
		if err != nil {
			return nil, err
		}
		modules = append(modules, m)
	}
	return modules, nil
}

// loadModule reads what to build from the go.mod in dir: its tool directives,
// and the version of the module they belong to.
func loadModule(dir string) (*module, error) {
	goMod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	m := &module{dir: dir, ldflags: "-s -w"}
	m.name = filepath.Base(dir)
	if strings.HasPrefix(m.name, "kubernetes-") {
		m.name = "kubernetes"
	}
	requires := map[string]string{}
	block := ""
	lines := bufio.NewScanner(bytes.NewReader(goMod))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		directive := block
		switch {
		case fields[0] == ")":
			block = ""
			continue
		case len(fields) == 2 && fields[1] == "(":
			block = fields[0]
			continue
		case block == "":
			directive, fields = fields[0], fields[1:]
		}
		switch {
		case directive == "tool" && len(fields) == 1:
			m.tools = append(m.tools, tool{pkg: fields[0], binary: binaryName(fields[0])})
		case directive == "require" && len(fields) >= 2:
			requires[fields[0]] = fields[1]
		}
	}
	if len(m.tools) == 0 {
		return nil, fmt.Errorf("%s: no tool directive", filepath.Join(dir, "go.mod"))
	}
	for mod, version := range requires {
		if m.tools[0].pkg == mod || strings.HasPrefix(m.tools[0].pkg, mod+"/") {
			m.path, m.version = mod, version
		}
	}
	if m.version == "" {
		return nil, fmt.Errorf("%s: requires no module of %s", filepath.Join(dir, "go.mod"), m.tools[0].pkg)
	}
	if m.name == "kubernetes" {
		m.ldflags += kubernetesVersionFlags(m.version)
	}
	return m, nil
}

// kubernetesVersionFlags stamps the version as a release build does. Without
// it the API server reports a placeholder that neither kubectl nor a chart's
// kubeVersion can parse.
func kubernetesVersionFlags(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	var b strings.Builder
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, kv := range [][2]string{
			{"gitVersion", version}, {"gitMajor", parts[0]}, {"gitMinor", parts[1]}, {"gitTreeState", "clean"},
		} {
			fmt.Fprintf(&b, " -X %s.%s=%s", pkg, kv[0], kv[1])
		}
	}
	return b.String()
}

// binaryName is the name a package's program usually has.
func binaryName(pkg string) string {
	if strings.HasPrefix(pkg, "go.etcd.io/etcd/") {
		return "etcd" // its package path ends in server/v3
	}
	return path.Base(pkg)
}

// cacheDir is where the module's binaries are kept. What can change them is in
// the name, so that an update of the module never finds old ones.
func (m *module) cacheDir() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, m.ldflags)
	for _, file := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(m.dir, file))
		if err != nil {
			return "", err
		}
		h.Write(content)
	}
	overlay, err := m.overlay()
	if err != nil {
		return "", err
	}
	for _, file := range overlay {
		content, err := os.ReadFile(filepath.Join(m.dir, "overlay", file))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, file)
		h.Write(content)
	}
	imports, err := m.imports()
	if err != nil {
		return "", err
	}
	for _, path := range imports {
		fmt.Fprintln(h, path)
	}
	root, err := cacheRoot()
	if err != nil {
		return "", err
	}
	hash := hex.EncodeToString(h.Sum(nil))[:8]
	name := strings.Join([]string{m.name, m.version, runtime.GOOS, runtime.GOARCH, hash}, "-")
	return filepath.Join(root, name), nil
}

// overlay lists the files, as paths below the folder overlay beside the go.mod, that are added to the module that is built, or take the
// place of its own. An empty one takes one away.
func (m *module) overlay() ([]string, error) {
	var files []string
	root := filepath.Join(m.dir, "overlay")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := filepath.Rel(root, path)
		files = append(files, file)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return files, err
}

// imports are pairs of import paths, from the file imports beside the go.mod. With an overlay, the module that is built imports the
// second of each in place of the first.
func (m *module) imports() ([]string, error) {
	file := filepath.Join(m.dir, "imports")
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	paths := strings.Fields(string(content))
	if err == nil && len(paths)%2 != 0 {
		err = fmt.Errorf("%s: %d import paths, which are not pairs", file, len(paths))
	}
	return paths, err
}

// CacheRoot is the directory for what is built or fetched once: $NETWORKSTACK_CACHE, or a folder of the user's cache directory.
func CacheRoot() (string, error) {
	base := os.Getenv("NETWORKSTACK_CACHE")
	if base == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("%w (set NETWORKSTACK_CACHE to a directory)", err)
		}
		base = filepath.Join(user, "networkstack")
	}
	return filepath.Abs(base)
}

// cacheRoot holds binaries and the named clusters.
func cacheRoot() (string, error) {
	base, err := CacheRoot()
	return filepath.Join(base, "controlplane"), err
}

// kubebuilderAsset returns the path of a ready-made binary, or "".
func kubebuilderAsset(ctx context.Context, m *module, binary string, progress io.Writer) string {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" || !slices.Contains([]string{"etcd", "kube-apiserver", "kubectl"}, binary) {
		return ""
	}
	asset, err := exec.LookPath(filepath.Join(assets, binary))
	if err != nil {
		return ""
	}
	if binary == "etcd" {
		return asset
	}
	args := []string{"--version"}
	if binary == "kubectl" {
		args = []string{"version", "--client"}
	}
	out, err := exec.CommandContext(ctx, asset, args...).Output()
	minor := m.version[:strings.LastIndex(m.version, ".")+1]
	if err != nil || !strings.Contains(string(out), minor) {
		fmt.Fprintf(progress, "not using %s: it is not %sx\n", asset, minor)
		return ""
	}
	return asset
}

// RepositoryRoot finds the checkout: from the working directory upwards, which
// serves tests and `go run`, else from where this file was compiled.
func RepositoryRoot() (string, error) {
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file))
	}
	for _, dir := range starts {
		for ; ; dir = filepath.Dir(dir) {
			goMod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err == nil && bytes.HasPrefix(goMod, []byte("module github.com/networkstack/networkstack\n")) {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("found no checkout of NetworkStack: run this from inside one")
}
