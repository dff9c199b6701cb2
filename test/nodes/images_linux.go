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
}

// startPolicies is /bin/netpol of the image of kube-network-policies: the program, which decides about the first packet of every
// connection that nftables queues to it. A kernel without nftables' queue (NFT_QUEUE) refuses the program's table; there the same
// packets come to the same queue by iptables, and it decides as ever. They pass where no program listens, as with its own table.
//
// What the node sends itself is not queued, above all not the packets of VXLAN: each of them is a first one to the node, because what
// comes back is another connection. And somebody else owns the program's table: the program tries to write it again each second, and
// each time that the kernel takes back the chains of a table that it refuses, it drops whatever waits in a queue.
const startPolicies = `#!/bin/sh
nft add table inet try-queue
nft add chain inet try-queue try
if ! nft add rule inet try-queue try queue flags bypass to 100 2>/dev/null; then
  echo "the kernel has no queue for nftables: packets come by that of iptables"
  for iptables in iptables ip6tables; do
    $iptables -w -t mangle -N POLICIES 2>/dev/null || $iptables -w -t mangle -F POLICIES
    $iptables -w -t mangle -A POLICIES -m addrtype --src-type LOCAL -j RETURN
    $iptables -w -t mangle -A POLICIES -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN
    $iptables -w -t mangle -A POLICIES -p ipv6-icmp -j RETURN
    $iptables -w -t mangle -A POLICIES -j NFQUEUE --queue-num 100 --queue-bypass
    $iptables -w -t mangle -C POSTROUTING -j POLICIES 2>/dev/null || $iptables -w -t mangle -A POSTROUTING -j POLICIES
  done
  (echo "add table inet kube-network-policies { flags owner; }"; exec sleep infinity) | nft -i &
  tries=0
  until nft list table inet kube-network-policies 2>/dev/null || [ $((tries += 1)) -gt 500 ]; do :; done
fi
nft delete table inet try-queue
exec /usr/local/bin/kube-network-policies "$@"
`

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
	policies, err := base()
	if err != nil {
		return nil, err
	}
	policies.program("/usr/local/bin/kube-network-policies", p.policies)
	if err := policies.fromTree(tree, "/bin/sleep"); err != nil {
		return nil, err
	}
	policies["/usr/bin/netpol"] = file{text: startPolicies, mode: 0o755}
	// Runtimes tell of pods' networks by paths below /var/run, and they are mounted below /run.
	multus := fileSet{"/var/run": {link: "/run"}}
	// The daemon asks who it runs as. Upstream's image is Debian's slim one: a hook and a probe of the chart run programs of it.
	if err := multus.fromTree(tree, "/etc/passwd", "/bin/sh", "/bin/mount", "/usr/bin/test"); err != nil {
		return nil, err
	}
	for program, name := range map[string]string{
		"install_multus": "install_multus", "multus-daemon": "multus-daemon", "multus-shim": "multus-shim", "passthru-cni": "passthru",
	} {
		multus.program("/usr/src/multus-cni/bin/"+name, p.multus[program])
	}
	coredns := fileSet{}
	coredns.program("/coredns", p.coredns)
	nodeCache, err := base()
	if err != nil {
		return nil, err
	}
	nodeCache.program("/node-cache", p.nodeCache)
	nodeCache.program("/coredns", p.coredns)
	traefik := fileSet{}
	traefik.program("/usr/local/bin/traefik", p.traefik)
	controller, speaker := fileSet{}, fileSet{}
	controller.program("/controller", p.metalLB["controller"])
	speaker.program("/speaker", p.metalLB["speaker"])
	pause := fileSet{}
	pause.program("/pause", p.probe)

	names := map[string]string{}
	for chart, path := range map[string][]string{
		"flannel": {"flannel", "image"}, "plugin": {"flannel", "flannel_cni", "image"}, "policies": {"netpol", "image"},
		"coredns": {"image"}, "multus": {"image"}, "node-local-dns": {"image"},
	} {
		file := chart
		if chart == "plugin" || chart == "policies" {
			file = "flannel"
		}
		if names[chart], err = chartImage(filepath.Join(root, "charts", file, "values.yaml"), path...); err != nil {
			return nil, err
		}
	}
	if names["traefik"], err = traefikImage(filepath.Join(root, "charts", "traefik")); err != nil {
		return nil, err
	}
	tools := []string{p.kubeProxy, p.probe, tree}
	return []image{
		{name: names["flannel"], files: flannel, entrypoint: []string{"/opt/bin/flanneld"}, digests: append(tools, p.flanneld)},
		{name: names["plugin"], files: plugin, entrypoint: []string{"/bin/sh"}, digests: append(tools, p.cniFlannel)},
		{name: names["policies"], files: policies, entrypoint: []string{"/bin/netpol"}, digests: append(tools, p.policies)},
		{name: "registry.k8s.io/kube-proxy:" + p.kubernetesVersion, files: proxy, entrypoint: []string{"/usr/local/bin/kube-proxy"}, digests: tools},
		{
			name: names["multus"], files: multus, entrypoint: []string{"/usr/src/multus-cni/bin/multus-daemon"},
			digests: append(tools, p.multus["multus-daemon"]),
		},
		{name: names["coredns"], files: coredns, entrypoint: []string{"/coredns"}, user: "65532:65532", digests: append(tools, p.coredns)},
		{
			name: names["node-local-dns"], files: nodeCache, entrypoint: []string{"/node-cache"},
			digests: append(tools, p.coredns, p.nodeCache),
		},
		{name: names["traefik"], files: traefik, entrypoint: []string{"/usr/local/bin/traefik"}, digests: append(tools, p.traefik)},
		{
			name: "quay.io/metallb/controller:" + p.metalLBVersion, files: controller, entrypoint: []string{"/controller"},
			digests: append(tools, p.metalLB["controller"]),
		},
		{
			name: "quay.io/metallb/speaker:" + p.metalLBVersion, files: speaker, entrypoint: []string{"/speaker"},
			digests: append(tools, p.metalLB["speaker"]),
		},
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

// traefikImage is the image of Traefik's chart: a registry and a repository, and the version of the chart.
func traefikImage(dir string) (string, error) {
	values, err := readValues(filepath.Join(dir, "values.yaml"))
	if err != nil {
		return "", err
	}
	chart, err := readValues(filepath.Join(dir, "Chart.yaml"))
	if err != nil {
		return "", err
	}
	image, _ := values["image"].(map[string]any)
	registry, _ := image["registry"].(string)
	repository, _ := image["repository"].(string)
	version, _ := chart["appVersion"].(string)
	if registry == "" || repository == "" || version == "" || image["tag"] != "" {
		return "", fmt.Errorf("%s: no image with the version of the chart", dir)
	}
	return registry + "/" + repository + ":" + version, nil
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
	metalLBVersion                 string
	kubelet, kubeProxy             string
	containerd, shim, ctr          string
	coredns, flanneld, cniFlannel  string
	policies, traefik, nodeCache   string
	cniPlugins, multus, metalLB    map[string]string
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
		"multus":      func(b map[string]string) { p.multus = b },
		"traefik":     func(b map[string]string) { p.traefik = b["traefik"] },
		"metallb":     func(b map[string]string) { p.metalLB = b },
		// Its package is called so, by which of the kinds of policies it knows.
		"kube-network-policies": func(b map[string]string) { p.policies = b["standard"] },
	} {
		built, version, err := controlplane.Programs(ctx, "nodes/"+module, progress)
		if err != nil {
			return p, err
		}
		if take(built); module == "metallb" {
			p.metalLBVersion = version
		}
	}
	for pkg, path := range map[string]*string{
		"./test/nodes/node": &p.node, "./test/nodes/probe": &p.probe, "./test/nodes/cni-flannel": &p.cniFlannel,
		"./test/nodes/node-cache": &p.nodeCache, "./cmd/operator": &p.operator,
	} {
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
