package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// startTimeout is for a machine that is busy with other things; a start takes
// seconds otherwise.
const startTimeout = 3 * time.Minute

// ControlPlane is a running control plane. Its methods can be used concurrently.
type ControlPlane struct {
	options  Options
	binaries BinarySet
	dir      string
	instance *instanceDir // nil when detached
	detached bool

	ca     *authority
	admin  *rest.Config
	client kubernetes.Interface

	mu        sync.Mutex
	processes []*process // in the order in which they were started
	ports     []*port
	etcdPort  *port
	apiPort   *port
	nextNode  int
	ready     bool

	stopOnce sync.Once
	stopErr  error
}

// Start starts a control plane and returns when its API serves, its controllers
// work and its nodes are Ready. Without a deadline in ctx it waits for three
// minutes at most, not counting a build. The control plane ends with Stop or
// with this process, not with ctx.
func Start(ctx context.Context, options Options) (*ControlPlane, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	binaries, err := Binaries(ctx, options.Version, options.Out)
	if err != nil {
		return nil, err
	}
	instance, err := newInstanceDir(ctx, options.Out)
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{options: options, binaries: binaries, dir: instance.path, instance: instance}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("no success in %s", startTimeout))
		defer cancel()
	}
	begin := time.Now()
	if c.options.LogDir == "" {
		c.options.LogDir = filepath.Join(c.dir, "logs")
	}
	if err := c.writeFiles(); err != nil {
		return err
	}
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	if err := c.startFirstAPIServer(ctx); err != nil {
		return err
	}
	if err := c.startControllers(); err != nil {
		return err
	}
	if err := c.AddNodes(ctx, c.options.Nodes, c.options.Node); err != nil {
		return err
	}
	if err := c.waitForControllers(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	c.ready = true
	err := c.writeRecord()
	c.mu.Unlock()
	if err != nil {
		return err
	}
	fmt.Fprintf(c.options.Out, "Kubernetes %s with %d nodes is up after %.1fs\n",
		c.binaries.KubernetesVersion, c.options.Nodes, time.Since(begin).Seconds())
	return nil
}

// Stop ends the control plane and removes its directory. Only the first call
// does something; all return its error.
func (c *ControlPlane) Stop() error {
	c.stopOnce.Do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		// The clients go first, and together; etcd, the first started, goes last.
		var clients sync.WaitGroup
		for i := len(c.processes) - 1; i >= 2; i-- {
			clients.Go(c.processes[i].stop)
		}
		clients.Wait()
		for i := min(len(c.processes), 2) - 1; i >= 0; i-- {
			c.processes[i].stop()
		}
		for _, p := range c.ports {
			p.release()
		}
		if c.instance != nil {
			c.stopErr = c.instance.remove()
		} else {
			c.stopErr = os.RemoveAll(c.dir)
		}
	})
	return c.stopErr
}

// RESTConfig returns a new client configuration that authenticates as a cluster admin.
func (c *ControlPlane) RESTConfig() *rest.Config { return rest.CopyConfig(c.admin) }

// Kubeconfig returns the path of a kubeconfig file that authenticates as a cluster admin.
func (c *ControlPlane) Kubeconfig() string { return filepath.Join(c.dir, "admin.kubeconfig") }

// Dir returns the control plane's own directory. It is gone after Stop.
func (c *ControlPlane) Dir() string { return c.dir }

// Binaries returns the paths of the programs the control plane was started from.
func (c *ControlPlane) Binaries() BinarySet { return c.binaries }

func (c *ControlPlane) server() string { return "https://" + c.apiPort.address() }

// TB is the part of [testing.TB] that [ForTest] needs.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// ForTest starts a control plane for a test and stops it when the test is over.
// It never skips: binaries that are missing are built. Progress goes to the
// test's log unless options.Out is set.
func ForTest(t TB, options Options) *ControlPlane {
	t.Helper()
	if options.Out == nil {
		options.Out = testLog{t}
	}
	c, err := Start(t.Context(), options)
	if err != nil {
		t.Fatalf("starting a control plane: %v", err)
	}
	c.options.Out = io.Discard // a test's log must not be used after the test
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stopping the control plane: %v", err)
		}
	})
	return c
}

type testLog struct{ t TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Helper()
	l.t.Logf("%s", p)
	return len(p), nil
}
