package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
)

// ErrNoCluster says that there is no cluster of the name asked for.
var ErrNoCluster = errors.New("no such cluster")

// Cluster is a named control plane that outlives the command that started it.
type Cluster struct {
	Name string
	// Dir is its directory, below the cache directory.
	Dir string
	// Kubeconfig is the path of a file that authenticates as a cluster admin.
	Kubeconfig string
	// Kubectl is the path of a kubectl of the cluster's version.
	Kubectl string
	// Server is the URL of the API server.
	Server string
	// Kubernetes is the full version, such as "v1.37.1".
	Kubernetes string
	// Components are the names of its processes and whether they run.
	Components []Component

	ready bool
}

// Component is a process of a [Cluster].
type Component struct {
	Name    string
	PID     int
	Running bool
}

// Running tells whether the cluster was started completely and all its
// components run.
func (c Cluster) Running() bool {
	for _, p := range c.Components {
		if !p.Running {
			return false
		}
	}
	return c.ready
}

// Up starts the named cluster, or returns the one that already runs, whatever
// its options; started tells which. What is left of a cluster of that name
// that does not run completely, as after a reboot, is removed first.
func Up(ctx context.Context, name string, options Options) (cluster Cluster, started bool, err error) {
	options, err = options.withDefaults()
	if err != nil {
		return cluster, false, err
	}
	dir, err := clusterDir(name)
	if err != nil {
		return cluster, false, err
	}
	l, err := lock(ctx, dir+".lock", "starting or stopping cluster "+name, options.Out)
	if err != nil {
		return cluster, false, err
	}
	defer l.unlock()
	cluster, err = Find(name)
	switch {
	case err == nil && cluster.Running():
		return cluster, false, nil
	case err == nil:
		fmt.Fprintf(options.Out, "cluster %s does not run completely: starting it afresh\n", name)
	case !errors.Is(err, ErrNoCluster):
		return cluster, false, err
	}
	binaries, err := Binaries(ctx, options.Version, options.Out)
	if err != nil {
		return cluster, false, err
	}
	if err := removeCluster(ctx, dir); err != nil {
		return cluster, false, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cluster, false, err
	}
	c := &ControlPlane{options: options, binaries: binaries, dir: dir, detached: true}
	if err := c.start(ctx); err != nil {
		return cluster, false, errors.Join(err, c.Stop())
	}
	for _, p := range c.ports {
		p.release() // the servers listen on them now
	}
	cluster, err = Find(name)
	return cluster, true, err
}

// Find returns the named cluster, running or not, or [ErrNoCluster].
func Find(name string) (Cluster, error) {
	dir, err := clusterDir(name)
	if err != nil {
		return Cluster{}, err
	}
	r, err := readRecord(dir)
	if errors.Is(err, os.ErrNotExist) {
		return Cluster{}, fmt.Errorf("%w: %s", ErrNoCluster, name)
	}
	if err != nil {
		return Cluster{}, err
	}
	cluster := Cluster{
		Name:       name,
		Dir:        dir,
		Kubeconfig: r.Kubeconfig,
		Kubectl:    r.Kubectl,
		Server:     r.Server,
		Kubernetes: r.Kubernetes,
		ready:      r.Ready,
	}
	for _, p := range r.Processes {
		cluster.Components = append(cluster.Components, Component{Name: p.Name, PID: p.PID, Running: p.alive(dir)})
	}
	return cluster, nil
}

// Down stops the named cluster and removes all it had, or returns [ErrNoCluster].
// Only processes that are verified to be the cluster's are ended.
func Down(ctx context.Context, name string, out io.Writer) error {
	dir, err := clusterDir(name)
	if err != nil {
		return err
	}
	l, err := lock(ctx, dir+".lock", "starting or stopping cluster "+name, out)
	if err != nil {
		return err
	}
	defer l.unlock()
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrNoCluster, name)
	}
	return removeCluster(ctx, dir)
}

func removeCluster(ctx context.Context, dir string) error {
	if err := endRecorded(ctx, dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

var clusterName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

func clusterDir(name string) (string, error) {
	if !clusterName.MatchString(name) {
		return "", fmt.Errorf("cluster name %q: want up to 40 lower-case letters, digits and inner dashes", name)
	}
	root, err := cacheRoot()
	return filepath.Join(root, "clusters", name), err
}
