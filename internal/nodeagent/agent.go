package nodeagent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// fieldManager is whom the annotation belongs to.
const fieldManager = "networkstack-node-agent"

const (
	// look is how often the interfaces are looked at, which asks the kernel and nobody else.
	look = 15 * time.Second
	// renew is how often an annotation is written that has not changed: somebody may have removed it.
	renew = time.Hour
	// jitter keeps the nodes from renewing all at once.
	jitter = 0.2
	// requestTimeout bounds one write.
	requestTimeout = 30 * time.Second
	// firstRetry and slowest bound the wait after a failed write.
	firstRetry, slowest = 2 * time.Second, 2 * time.Minute
)

// Agent writes the MTU of its node's underlay, and what else a node alone knows, into the node's annotations.
type Agent struct {
	// Nodes is allowed to patch the one node.
	Nodes corev1client.NodeInterface
	// Node is its name, and Addresses are its own.
	Node      string
	Addresses []netip.Addr
	// ProbeAddress is where /readyz is answered; empty or 0 for nowhere.
	ProbeAddress string
	Log          logr.Logger

	// written says that the annotation was written at least once.
	written atomic.Bool
	// interfaces and routes are replaced by tests.
	interfaces func() ([]Interface, error)
	routes     func() []string
	services   func([]Interface) string
	bridges    func(own []netip.Addr) string
	interval   time.Duration
}

// Run works until the context ends.
func (a *Agent) Run(ctx context.Context) error {
	stop, err := a.probe(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if a.interfaces == nil {
		a.interfaces, a.routes, a.interval = systemInterfaces, systemRoutes, look
		a.services, a.bridges = systemServices, systemBridges
	}
	state := &pass{}
	retry := &wait.Backoff{Duration: firstRetry, Factor: 2, Jitter: jitter, Steps: 1 << 20, Cap: slowest}
	next := *retry
	for {
		pause := a.interval
		if err := a.step(ctx, state, time.Now()); err != nil {
			pause = next.Step()
			a.Log.Error(err, "what this node knows is not told", "retryIn", pause)
		} else {
			next = *retry
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// pass is what was told last, and when it is to be told again.
type pass struct {
	told map[string]string
	due  time.Time
}

// step tells what the node knows when it is not what was told before, or was told long ago.
func (a *Agent) step(ctx context.Context, p *pass, now time.Time) error {
	interfaces, err := a.interfaces()
	if err != nil {
		return fmt.Errorf("listing the interfaces: %w", err)
	}
	mtu, by, err := Underlay(interfaces, a.Addresses, a.routes())
	if err != nil {
		return err
	}
	known := map[string]string{
		networkstackv1alpha1.NodeMTUAnnotation:     strconv.Itoa(mtu),
		networkstackv1alpha1.NodeIPVSAnnotation:    a.services(interfaces),
		networkstackv1alpha1.NodeBridgesAnnotation: a.bridges(a.Addresses),
	}
	changed := !maps.Equal(known, p.told)
	if !changed && now.Before(p.due) {
		return nil
	}
	if err := a.write(ctx, known); err != nil {
		return err
	}
	if changed {
		a.Log.Info("what this node knows is told", "node", a.Node, "annotations", known, "interfaces", by)
	}
	p.told, p.due = known, now.Add(wait.Jitter(renew, jitter))
	a.written.Store(true)
	return nil
}

// write patches the annotations. It reads nothing, so that it needs no other permission.
func (a *Agent) write(ctx context.Context, annotations map[string]string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := a.Nodes.Patch(ctx, a.Node, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("annotating node %s: %w", a.Node, err)
	}
	return nil
}

// probe serves /readyz, which is good once the MTU was told.
func (a *Agent) probe(ctx context.Context) (stop func(), err error) {
	if a.ProbeAddress == "" || a.ProbeAddress == "0" {
		return func() {}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.ProbeAddress)
	if err != nil {
		return nil, fmt.Errorf("listening for probes: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !a.written.Load() {
			http.Error(w, "the MTU was not told yet", http.StatusServiceUnavailable)
			return
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: requestTimeout}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.Log.Error(err, "probes are no longer answered")
		}
	}()
	return func() { _ = server.Close() }, nil
}

// systemInterfaces are those of the network namespace that this process is in.
func systemInterfaces() ([]Interface, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var out []Interface
	for _, i := range list {
		addresses, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		known := Interface{Name: i.Name, MTU: i.MTU}
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					known.Addresses = append(known.Addresses, ip.Unmap())
				}
			}
		}
		out = append(out, known)
	}
	return out, nil
}

// systemRoutes are the interfaces of the default routes. A table that cannot be read has none.
func systemRoutes() []string {
	var out []string
	if f, err := os.Open("/proc/net/route"); err == nil {
		out = append(out, defaultRoutes4(f)...)
		_ = f.Close()
	}
	if f, err := os.Open("/proc/net/ipv6_route"); err == nil {
		out = append(out, defaultRoutes6(f)...)
		_ = f.Close()
	}
	return out
}
