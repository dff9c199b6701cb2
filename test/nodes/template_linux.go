package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const architecture = runtime.GOARCH

// prepared is what a run starts with: made before its namespaces are, because it may take the network, and kept in the cache.
type prepared struct {
	Root, Tree, Extra, Run string
	Kubectl, Helm          string
	Node                   string
	Archives               []string // of the upstream images
	Own                    []string // of the project's
	Template               string   // a directory of containerd's with the upstream images; where it is empty, it has yet to be made
	Hold                   bool
}

// ChartsDir is where nodes have archives of upstream's charts, as a site without a network has them.
const ChartsDir = "/usr/local/share/networkstack/charts"

// stateFile has it, in the run's directory.
const stateFile = "prepared.json"

func prepare(ctx context.Context, root, cache, run string, progress io.Writer) (prepared, error) {
	p := prepared{Root: root, Run: run}
	built, err := buildPrograms(ctx, root, run, progress)
	if err != nil {
		return p, err
	}
	p.Kubectl, p.Helm, p.Node = built.kubectl, built.helm, built.node
	if p.Tree, err = debianTree(ctx, cache, progress); err != nil {
		return p, err
	}
	p.Extra = filepath.Join(run, "extra")
	if err := p.writeExtra(built); err != nil {
		return p, err
	}
	metalLB := "metallb-" + strings.TrimPrefix(built.metalLBVersion, "v") + ".tgz"
	if err := p.addCharts(filepath.Join(filepath.Dir(cache), "charts"), metalLB); err != nil {
		return p, err
	}
	upstream, err := upstreamImages(built, p.Tree, root)
	if err != nil {
		return p, err
	}
	var key []string
	for _, i := range upstream {
		key = append(append(key, i.name), i.files.listing()...)
		for _, source := range i.digests {
			info, err := os.Stat(source)
			if err != nil {
				return p, err
			}
			part := source
			if strings.HasPrefix(source, run) { // built again for each run: what is in it counts
				content, err := os.ReadFile(source)
				if err != nil {
					return p, err
				}
				part = digest(string(content))
			}
			key = append(key, part, fmt.Sprint(info.IsDir()))
		}
	}
	p.Template = filepath.Join(cache, "images-"+digest(key...))
	if _, err := os.Stat(p.Template); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(progress, "writing images; this is done once")
		if p.Archives, err = writeImages(upstream, filepath.Join(run, "upstream")); err != nil {
			return p, err
		}
	}
	own, err := ownImages(built, root)
	if err != nil {
		return p, err
	}
	if p.Own, err = writeImages(own, filepath.Join(run, "own")); err != nil {
		return p, err
	}
	content, err := json.Marshal(p)
	if err != nil {
		return p, err
	}
	return p, os.WriteFile(filepath.Join(run, stateFile), content, 0o600)
}

func writeImages(images []image, dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var paths []string
	for n, i := range images {
		path := filepath.Join(dir, fmt.Sprintf("%d.tar", n))
		if err := i.write(path); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// containerdConfig is read by containerd on the nodes.
const containerdConfig = `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "` + pauseImage + `"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/opt/cni/bin"]
    conf_dir = "/etc/cni/net.d"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = "%s"
        SystemdCgroup = false
`

// writeExtra lays out what nodes have beside Debian's files.
func (p prepared) writeExtra(b programs) error {
	for _, dir := range []string{"usr/local/bin", "opt/cni/bin", "etc/containerd", "etc/kubernetes", "etc/cni/net.d", "var/log"} {
		if err := os.MkdirAll(filepath.Join(p.Extra, dir), 0o755); err != nil {
			return err
		}
	}
	files := map[string]string{
		"usr/local/bin/containerd": b.containerd, "usr/local/bin/containerd-shim-runc-v2": b.shim, "usr/local/bin/ctr": b.ctr,
		"usr/local/bin/kubelet": b.kubelet, "usr/local/bin/runc-without": b.node,
	}
	for name, path := range b.cniPlugins {
		files["opt/cni/bin/"+name] = path
	}
	for name, source := range files {
		if err := linkOrCopy(source, filepath.Join(p.Extra, name)); err != nil {
			return err
		}
	}
	runtimeName := "/usr/sbin/runc"
	has, err := effectiveCapabilities()
	if err != nil {
		return err
	}
	if has&(1<<sysResource) == 0 {
		runtimeName = "/usr/local/bin/runc-without"
	}
	return os.WriteFile(filepath.Join(p.Extra, "etc", "containerd", "config.toml"), fmt.Appendf(nil, containerdConfig, runtimeName), 0o644)
}

// addCharts gives nodes those of the archives of upstream's charts that there are.
func (p prepared) addCharts(from string, archives ...string) error {
	to := filepath.Join(p.Extra, ChartsDir)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, archive := range archives {
		if err := linkOrCopy(filepath.Join(from, archive), filepath.Join(to, archive)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func linkOrCopy(source, target string) error {
	if os.Link(source, target) == nil {
		return nil
	}
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	return os.WriteFile(target, content, 0o755)
}

// cloneTemplate makes another directory of containerd's. What never changes there is linked: everything but its databases.
func cloneTemplate(target, source string) error {
	return filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		to := filepath.Join(target, below)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			if err := os.MkdirAll(to, 0o755); err != nil {
				return err
			}
			return errors.Join(os.Chmod(to, info.Mode()), chown(to, info))
		case entry.Type() == fs.ModeSymlink:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, to)
		case !entry.Type().IsRegular():
			return nil
		case strings.HasSuffix(path, ".db"):
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(to, content, 0o600)
		}
		return os.Link(path, to)
	})
}

func chown(path string, info fs.FileInfo) error {
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		return os.Chown(path, int(owner.Uid), int(owner.Gid))
	}
	return nil
}

// importImages lets a containerd, without a kubelet, take in archives, and leaves its directory for others to clone.
func (c *Cluster) importImages(ctx context.Context, state string, archives []string) (err error) {
	binds := map[string]string{}
	for _, archive := range archives {
		binds["/archives/"+filepath.Base(filepath.Dir(archive))] = filepath.Dir(archive)
	}
	n := &Node{cluster: c, Name: "import", number: 250, state: state, binds: binds}
	if err := n.start(ctx, false); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Kill()) }()
	if err := until(ctx, time.Minute, func() error {
		_, err := n.Run(ctx, "ctr", "version")
		return err
	}); err != nil {
		return err
	}
	for _, archive := range archives {
		path := "/archives/" + filepath.Base(filepath.Dir(archive)) + "/" + filepath.Base(archive)
		if _, err := n.Run(ctx, "ctr", "-n", "k8s.io", "images", "import", "--local", "--no-unpack=false", path); err != nil {
			return err
		}
	}
	return n.shutdown(ctx)
}

// template returns a directory with all images for nodes to clone.
func (c *Cluster) template(ctx context.Context) (string, error) {
	p := c.prepared
	// Another cluster of this run may have made it.
	if _, err := os.Stat(p.Template); errors.Is(err, fs.ErrNotExist) {
		half := p.Template + ".new"
		if err := errors.Join(
			os.RemoveAll(half), os.MkdirAll(filepath.Join(half, "containerd"), 0o755), os.MkdirAll(filepath.Join(half, "kubelet"), 0o755),
		); err != nil {
			return "", err
		}
		if err := c.importImages(ctx, half, p.Archives); err != nil {
			return "", err
		}
		if err := os.Rename(half, p.Template); err != nil {
			return "", err
		}
		if err := removeOthers(filepath.Dir(p.Template), "images-", filepath.Base(p.Template)); err != nil {
			return "", err
		}
	}
	own := filepath.Join(p.Run, "images")
	if _, err := os.Stat(own); err == nil {
		return own, nil
	}
	half := own + ".new"
	if err := cloneTemplate(half, p.Template); err != nil {
		return "", err
	}
	if err := c.importImages(ctx, half, p.Own); err != nil {
		return "", err
	}
	return own, os.Rename(half, own)
}

// removeOthers removes directories of a kind that are no longer of use.
func removeOthers(dir, prefix string, keep ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) && !slices.Contains(keep, entry.Name()) {
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
