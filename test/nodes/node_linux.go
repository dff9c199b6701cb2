package nodes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/test/nodes/nodeconfig"
)

// Node is a set of namespaces in which a kubelet, containerd and pods run.
type Node struct {
	Name string

	cluster *Cluster
	number  int
	state   string
	binds   map[string]string
	process *exec.Cmd
	done    chan struct{}
}

// HardwareAddress is that of the node's interface, as others on the switch see it.
func (n *Node) HardwareAddress() net.HardwareAddr {
	return net.HardwareAddr{0x02, 0, 0, 0, 0, byte(n.number)}
}

func (n *Node) dir() string { return filepath.Join(n.cluster.prepared.Run, n.Name) }

// Log is the path of a log: containerd's, the kubelet's, or the node's own.
func (n *Node) Log(name string) string {
	if name == n.Name {
		return filepath.Join(n.dir(), "node.log")
	}
	return filepath.Join(n.dir(), "upper", "var", "log", name+".log")
}

// Start starts the node, for the first time or, after [Node.Kill], on what it had: as a machine that is turned on again.
func (n *Node) Start(ctx context.Context) error { return n.start(ctx, true) }

func (n *Node) start(ctx context.Context, kubelet bool) error {
	c := n.cluster
	group := c.group + "/" + n.Name
	if err := errors.Join(makeGroup(group), os.MkdirAll(n.dir(), 0o755)); err != nil {
		return err
	}
	conf := nodeconfig.Config{
		Name: n.Name, Layers: []string{c.prepared.Extra, c.prepared.Tree}, Dir: n.dir(), State: n.state, Group: group, MTU: UnderlayMTU,
		Addresses: c.each(func(a addresses) string { return n.in(a) + a.length }),
		Gateways:  c.each(func(a addresses) string { return a.gateway }), Binds: n.binds,
		Files: map[string]string{
			"/etc/hostname": n.Name + "\n",
			"/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n" +
				strings.Join(c.each(func(a addresses) string { return n.in(a) + " " + n.Name + "\n" }), ""),
			// Nothing answers there; CoreDNS does not start without any.
			"/etc/resolv.conf": "nameserver " + Gateway(c.Families[0]) + "\n",
			"/etc/machine-id":  fmt.Sprintf("%032x\n", n.number),
		},
	}
	if kubelet {
		if err := n.addKubelet(&conf); err != nil {
			return err
		}
	}
	input, err := json.Marshal(conf)
	if err != nil {
		return err
	}
	return n.launch(ctx, input)
}

func (n *Node) launch(ctx context.Context, input []byte) error {
	log, err := os.OpenFile(n.Log(n.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), n.cluster.prepared.Node, "init")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	n.process, n.done = cmd, make(chan struct{})
	go func(done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(n.done)
	if err := n.connect(); err != nil {
		return errors.Join(err, n.Kill())
	}
	if _, err := stdin.Write(input); err != nil {
		return err
	}
	return stdin.Close()
}

// connect lays a cable from the switch to the node.
func (n *Node) connect() error {
	bridge, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return err
	}
	port := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: n.port(), MTU: UnderlayMTU, MasterIndex: bridge.Attrs().Index},
		PeerName:  "eth0", PeerNamespace: netlink.NsPid(n.process.Process.Pid), PeerHardwareAddr: n.HardwareAddress(),
	}
	if err := netlink.LinkAdd(port); err != nil {
		return fmt.Errorf("cable of %s: %w", n.Name, err)
	}
	return netlink.LinkSetUp(port)
}

func (n *Node) port() string { return "port-" + strconv.Itoa(n.number) }

// addKubelet adds what makes it a node of the cluster.
func (n *Node) addKubelet(conf *nodeconfig.Config) error {
	kubeconfig, err := n.cluster.ControlPlane.NodeKubeconfig(n.Name)
	if err != nil {
		return err
	}
	settings, err := yaml.Marshal(map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"failCgroupV1": false, "cgroupDriver": "cgroupfs", "failSwapOn": false,
		"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
		"resolvConf":               "/etc/resolv.conf", "clusterDomain": "cluster.local",
		"clusterDNS": []string{families[n.cluster.Families[0]].dns},
		"evictionHard": map[string]string{
			"memory.available": "50Mi",
			"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%",
		},
		"imageGCHighThresholdPercent": 100,
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": true}, "webhook": map[string]any{"enabled": false},
		},
		"authorization":             map[string]any{"mode": "AlwaysAllow"},
		"nodeStatusUpdateFrequency": "3s",
	})
	if err != nil {
		return err
	}
	conf.Files["/etc/kubernetes/kubelet.kubeconfig"], conf.Files["/etc/kubernetes/kubelet.yaml"] = string(kubeconfig), string(settings)
	conf.Kubelet = []string{
		"--config=/etc/kubernetes/kubelet.yaml", "--kubeconfig=/etc/kubernetes/kubelet.kubeconfig", "--hostname-override=" + n.Name,
		"--node-ip=" + strings.Join(n.cluster.each(n.in), ","),
	}
	return nil
}

// Run runs a program in the node and returns what it prints.
func (n *Node) Run(ctx context.Context, args ...string) (string, error) {
	pid := strconv.Itoa(n.process.Process.Pid)
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"-t", pid, "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %s: %w: %s", n.Name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// Kill ends the node as a power cut does: its files stay, and nothing else does.
func (n *Node) Kill() error {
	if n.process == nil {
		return nil
	}
	_ = n.process.Process.Kill()
	<-n.done
	n.process = nil
	// The cable goes with the node's end of it, a moment later.
	if port, err := netlink.LinkByName(n.port()); err == nil {
		_ = netlink.LinkDel(port)
	}
	groups, err := filepath.Glob("/sys/fs/cgroup/*/" + n.cluster.group + "/" + n.Name)
	for _, group := range groups {
		err = errors.Join(err, removeGroup(group))
	}
	return err
}

// shutdown ends containerd, and with it the node, in an orderly way.
func (n *Node) shutdown(ctx context.Context) error {
	pids, err := n.Run(ctx, "pidof", "containerd")
	if err != nil {
		return err
	}
	if _, err := n.Run(ctx, "kill", strings.TrimSpace(pids)); err != nil {
		return err
	}
	select {
	case <-n.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(30 * time.Second):
		return fmt.Errorf("%s: containerd has not ended", n.Name)
	}
}
