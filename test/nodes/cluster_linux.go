package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"

	"github.com/networkstack/networkstack/test/controlplane"
)

// The nodes' network: a bridge that is their switch and the control plane's place.
const (
	bridgeName = "nodes"
	// UnderlayMTU is that of the nodes' interfaces.
	UnderlayMTU = 1500
)

// Options say what cluster to start.
type Options struct {
	// Nodes is how many. They are called node-1, node-2, …
	Nodes int
	// Families are those of the API server, of nodes, Services and pods, the primary one first. Nothing has an address of another
	// one, but for loopback interfaces and what IPv6 gives each link by itself. Default: IPv4.
	Families []corev1.IPFamily
	// Out hears of progress.
	Out io.Writer
}

// Cluster is a running one.
type Cluster struct {
	// ControlPlane is etcd, the API server, the controller manager and the scheduler.
	ControlPlane *controlplane.ControlPlane
	// Nodes are those that were started, whether they run or not.
	Nodes []*Node
	// Families are the cluster's, the primary one first.
	Families []corev1.IPFamily
	// Kubectl and Helm are paths of these programs.
	Kubectl, Helm string
	// Root is the checkout's.
	Root string

	prepared prepared
	group    string
	options  Options
}

// Start starts a control plane and the nodes, and does not wait for these: without a network they do not become Ready. There can
// be one cluster at a time.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	p, err := loadPrepared()
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		prepared: p, options: options, group: groupPrefix + filepath.Base(p.Run), Kubectl: p.Kubectl, Helm: p.Helm, Root: p.Root,
		Families: options.Families,
	}
	if len(c.Families) == 0 {
		c.Families = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	begin := time.Now()
	if err := c.makeSwitch(); err != nil {
		return err
	}
	template, err := c.template(ctx)
	if err != nil {
		return fmt.Errorf("images: %w", err)
	}
	c.logf("images after %.1f s", time.Since(begin).Seconds())
	c.ControlPlane, err = controlplane.Start(ctx, controlplane.Options{
		Address: netip.MustParseAddr(Gateway(c.Families[0])), LogDir: c.Logs(),
		ServiceCIDRs:  c.each(func(a addresses) string { return a.services }),
		PodCIDRs:      c.each(func(a addresses) string { return a.pods }),
		APIServerArgs: []string{"--kubelet-preferred-address-types=InternalIP"},
		// Soon enough to be waited for.
		ControllerManagerArgs: []string{"--node-monitor-grace-period=10s", "--node-monitor-period=2s"},
	})
	if err != nil {
		return err
	}
	c.logf("control plane after %.1f s", time.Since(begin).Seconds())
	for i := range c.options.Nodes {
		name := fmt.Sprintf("node-%d", i+1)
		n := &Node{cluster: c, Name: name, number: 11 + i, state: filepath.Join(c.prepared.Run, name, "state")}
		if err := cloneTemplate(n.state, template); err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, n)
		if err := n.Start(ctx); err != nil {
			return err
		}
	}
	c.logf("%d nodes started after %.1f s", c.options.Nodes, time.Since(begin).Seconds())
	return nil
}

func (c *Cluster) logf(format string, args ...any) {
	if c.options.Out != nil {
		fmt.Fprintf(c.options.Out, format+"\n", args...)
	}
}

// Logs is the directory with the control plane's logs; those of nodes are in [Node.Log].
func (c *Cluster) Logs() string { return filepath.Join(c.prepared.Run, "logs") }

func (c *Cluster) makeSwitch() error {
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName, MTU: UnderlayMTU}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("the nodes' switch: %w", err)
	}
	for _, text := range c.each(func(a addresses) string { return a.gateway + a.length }) {
		address, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		address.Flags = 0x02 // IFA_F_NODAD: to be used at once
		if err := netlink.AddrAdd(bridge, address); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return netlink.LinkSetUp(bridge)
}

// ReachServices has the control plane and this process reach ClusterIPs by way of a node, as a control plane does by its own kube-proxy.
func (c *Cluster) ReachServices(by *Node) error {
	bridge, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return err
	}
	_, services, err := net.ParseCIDR(ServiceRange(corev1.IPv4Protocol))
	if err != nil {
		return err
	}
	way := net.ParseIP(by.Address(corev1.IPv4Protocol))
	return netlink.RouteReplace(&netlink.Route{LinkIndex: bridge.Attrs().Index, Dst: services, Gw: way})
}

// Stop ends everything.
func (c *Cluster) Stop() error {
	var errs []error
	for _, n := range c.Nodes {
		errs = append(errs, n.Kill())
	}
	if c.ControlPlane != nil {
		errs = append(errs, c.ControlPlane.Stop())
	}
	if bridge, err := netlink.LinkByName(bridgeName); err == nil {
		errs = append(errs, netlink.LinkDel(bridge))
	}
	for _, n := range c.Nodes {
		errs = append(errs, os.RemoveAll(n.dir()))
	}
	return errors.Join(errs...)
}
