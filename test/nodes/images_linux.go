package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/test/controlplane"
)

// Names of images that are this package's own. OperatorImage is that of the operator's chart.
const (
	ProbeImage = "networkstack-probe:test"
	pauseImage = "registry.k8s.io/pause:3.10.1"
)

// image is a container image to be written: a layer, and how it starts.
type image struct {
	name       string
	files      fileSet
	entrypoint []string
	user       string
	// digests are of what the files come from.
	digests []string
}

// write makes an archive of the image as `docker save` does.
func (i image) write(path string) error {
	tag, err := name.NewTag(i.name)
	if err != nil {
		return err
	}
	content, err := i.files.tarball()
	if err != nil {
		return fmt.Errorf("image %s: %w", i.name, err)
	}
	built, err := mutate.AppendLayers(empty.Image, static.NewLayer(content, types.DockerUncompressedLayer))
	if err != nil {
		return err
	}
	config, err := built.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Config = v1.Config{
		Entrypoint: i.entrypoint, User: i.user,
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
	if built, err = mutate.ConfigFile(built, config); err != nil {
		return err
	}
	return tarball.WriteToFile(path, tag, built)
}

// withIPTables are the programs that Flannel's image and kube-proxy's have beside their own.
var withIPTables = []string{
	"/bin/sh", "/bin/cp", "/bin/cat", "/bin/ls", "/usr/sbin/iptables", "/usr/sbin/iptables-save", "/usr/sbin/iptables-restore",
	"/usr/sbin/ip6tables", "/usr/sbin/ip6tables-save", "/usr/sbin/ip6tables-restore", "/usr/sbin/nft", "/usr/sbin/conntrack", "/sbin/ip",
	"/etc/protocols",
}

// upstreamImages stand in for those that the charts name: the same programs at the same places, of the nearest version that there is.
func upstreamImages(p programs, tree, root string) ([]image, error) {
	base := func() (fileSet, error) {
		s := fileSet{}
		plugins, err := filepath.Glob(filepath.Join(tree, "usr", "lib", "*-linux-gnu", "xtables"))
		if err != nil || len(plugins) != 1 {
			return nil, fmt.Errorf("no extensions of iptables in %s: %w", tree, err)
		}
		present := slices.DeleteFunc(slices.Clone(withIPTables), func(path string) bool {
			_, err := os.Lstat(filepath.Join(tree, path))
			return errors.Is(err, os.ErrNotExist)
		})
		return s, s.fromTree(tree, append(present, plugins[0][len(tree):])...)
	}
	flannel, err := base()
	if err != nil {
		return nil, err
	}
	flannel.program("/opt/bin/flanneld", p.flanneld)
	flannel.program("/opt/bin/install-conf", p.probe)
	plugin := fileSet{}
	if err := plugin.fromTree(tree, "/bin/sh", "/bin/cp"); err != nil {
		return nil, err
	}
	plugin.program("/flannel", p.cniFlannel)
	proxy, err := base()
	if err != nil {
		return nil, err
	}
	proxy.program("/usr/local/bin/kube-proxy", p.kubeProxy)
	coredns := fileSet{}
	coredns.program("/coredns", p.coredns)
	pause := fileSet{}
	pause.program("/pause", p.probe)

	names := map[string]string{}
	for chart, path := range map[string][]string{
		"flannel": {"flannel", "image"}, "plugin": {"flannel", "flannel_cni", "image"}, "coredns": {"image"},
	} {
		file := chart
		if chart == "plugin" {
			file = "flannel"
		}
		if names[chart], err = chartImage(filepath.Join(root, "charts", file, "values.yaml"), path...); err != nil {
			return nil, err
		}
	}
	tools := []string{p.kubeProxy, p.probe, tree}
	return []image{
		{name: names["flannel"], files: flannel, entrypoint: []string{"/opt/bin/flanneld"}, digests: append(tools, p.flanneld)},
		{name: names["plugin"], files: plugin, entrypoint: []string{"/bin/sh"}, digests: append(tools, p.cniFlannel)},
		{name: "registry.k8s.io/kube-proxy:" + p.kubernetesVersion, files: proxy, entrypoint: []string{"/usr/local/bin/kube-proxy"}, digests: tools},
		{name: names["coredns"], files: coredns, entrypoint: []string{"/coredns"}, user: "65532:65532", digests: append(tools, p.coredns)},
		{name: pauseImage, files: pause, entrypoint: []string{"/pause"}, user: "65535:65535", digests: tools},
	}, nil
}

// ownImages are the operator's, as its Dockerfile makes it, and that of the tests' pods.
func ownImages(p programs, root string) ([]image, error) {
	values, err := readValues(filepath.Join(root, "charts", "networkstack", "Chart.yaml"))
	if err != nil {
		return nil, err
	}
	operator, probe := fileSet{}, fileSet{}
	operator.program("/networkstack-operator", p.operator)
	probe.program("/probe", p.probe)
	version, _ := values["appVersion"].(string)
	return []image{
		{
			name: "networkstack-operator:" + version, files: operator,
			entrypoint: []string{"/networkstack-operator"}, user: "65532:65532", digests: []string{p.operator},
		},
		{name: ProbeImage, files: probe, entrypoint: []string{"/probe"}, digests: []string{p.probe}},
	}, nil
}

// chartImage is the image at a path of a chart's values.
func chartImage(file string, path ...string) (string, error) {
	values, err := readValues(file)
	if err != nil {
		return "", err
	}
	for _, key := range path {
		values, _ = values[key].(map[string]any)
	}
	repository, _ := values["repository"].(string)
	tag, _ := values["tag"].(string)
	if repository == "" || tag == "" {
		return "", fmt.Errorf("%s: no image at %v", file, path)
	}
	return repository + ":" + tag, nil
}

func readValues(file string) (map[string]any, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	values := map[string]any{}
	return values, yaml.Unmarshal(content, &values)
}

// programs are the paths of what nodes and images are made of.
type programs struct {
	kubernetesVersion              string
	kubelet, kubeProxy             string
	containerd, shim, ctr          string
	coredns, flanneld, cniFlannel  string
	cniPlugins                     map[string]string
	node, probe, operator, kubectl string
	helm                           string
}

// buildPrograms builds what is not in the cache, and the project's own programs into dir.
func buildPrograms(ctx context.Context, root, dir string, progress io.Writer) (programs, error) {
	var p programs
	control, err := controlplane.Binaries(ctx, "", progress)
	if err != nil {
		return p, err
	}
	p.kubernetesVersion, p.kubectl = control.KubernetesVersion, control.Kubectl
	if p.helm, err = controlplane.Helm(ctx, progress); err != nil {
		return p, err
	}
	for module, take := range map[string]func(map[string]string){
		"kubernetes": func(b map[string]string) { p.kubelet, p.kubeProxy = b["kubelet"], b["kube-proxy"] },
		"containerd": func(b map[string]string) {
			p.containerd, p.shim, p.ctr = b["containerd"], b["containerd-shim-runc-v2"], b["ctr"]
		},
		"coredns":     func(b map[string]string) { p.coredns = b["coredns"] },
		"flannel":     func(b map[string]string) { p.flanneld = b["flannel"] },
		"cni-plugins": func(b map[string]string) { p.cniPlugins = b },
		"cni-flannel": func(b map[string]string) { p.cniFlannel = b["flannel"] },
	} {
		built, _, err := controlplane.Programs(ctx, "nodes/"+module, progress)
		if err != nil {
			return p, err
		}
		take(built)
	}
	for pkg, path := range map[string]*string{"./test/nodes/node": &p.node, "./test/nodes/probe": &p.probe, "./cmd/operator": &p.operator} {
		*path = filepath.Join(dir, filepath.Base(pkg))
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
			"-ldflags", "-s -w -X main.version=v0.0.0-e2e", "-o", *path, pkg)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
	}
	return p, nil
}
