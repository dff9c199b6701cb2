package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kwokAnnotation marks the nodes that kwok simulates.
const kwokAnnotation = "kwok.x-k8s.io/node"

// Nodes have the 100th and following addresses of these ranges, which overlap
// neither Services nor Pods.
var (
	nodesIPv4 = netip.MustParseAddr("172.30.0.100")
	nodesIPv6 = netip.MustParseAddr("fd00:172:30::100")
)

// nodeWorkers create nodes at the same time.
const nodeWorkers = 8

// AddNodes creates n more simulated nodes and returns when they are Ready and
// have their Pod ranges.
func (c *ControlPlane) AddNodes(ctx context.Context, n int, options NodeOptions) error {
	if n <= 0 {
		return nil
	}
	options = options.withDefaults(c.binaries.KubernetesVersion)
	first, err := c.takeNodeNumbers(n)
	if err != nil {
		return err
	}
	indexes := make(chan int, n)
	for i := range n {
		indexes <- first + i
	}
	close(indexes)
	var workers sync.WaitGroup
	names := make([]string, n)
	errs := make([]error, nodeWorkers)
	for w := range nodeWorkers {
		workers.Go(func() {
			for i := range indexes {
				node := c.options.newNode(i, options)
				if _, err := c.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
					errs[w] = fmt.Errorf("creating node %s: %w", node.Name, err)
					return
				}
				names[i-first] = node.Name
			}
		})
	}
	workers.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return c.waitForNodes(ctx, names)
}

func (c *ControlPlane) takeNodeNumbers(n int) (first int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.options.checkNodeCount(c.nextNode + n); err != nil {
		return 0, err
	}
	first = c.nextNode
	c.nextNode += n
	return first, nil
}

func (o Options) newNode(i int, options NodeOptions) *corev1.Node {
	name := options.NamePrefix + strconv.Itoa(i)
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				corev1.LabelHostname:             name,
				corev1.LabelOSStable:             "linux",
				corev1.LabelArchStable:           options.Architecture,
				"node-role.kubernetes.io/worker": "",
			},
			Annotations: map[string]string{kwokAnnotation: "fake"},
		},
		Status: corev1.NodeStatus{
			Addresses: o.nodeAddresses(i, name),
			Capacity: corev1.ResourceList{
				corev1.ResourceCPU:              resource.MustParse("8"),
				corev1.ResourceMemory:           resource.MustParse("32Gi"),
				corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
				corev1.ResourcePods:             resource.MustParse("110"),
			},
			NodeInfo: corev1.NodeSystemInfo{
				Architecture:            options.Architecture,
				BootID:                  id,
				ContainerRuntimeVersion: options.ContainerRuntimeVersion,
				KernelVersion:           options.KernelVersion,
				KubeletVersion:          options.KubeletVersion,
				MachineID:               id,
				OperatingSystem:         "linux",
				OSImage:                 options.OSImage,
				SystemUUID:              id,
			},
		},
	}
	node.Status.Allocatable = node.Status.Capacity.DeepCopy()
	if options.MTU != 0 {
		node.Annotations[MTUAnnotation] = strconv.Itoa(options.MTU)
	}
	for k, v := range options.Labels {
		node.Labels[k] = v
	}
	for k, v := range options.Annotations {
		node.Annotations[k] = v
	}
	if options.Override != nil {
		options.Override(i, node)
	}
	return node
}

func (o Options) nodeAddresses(i int, name string) []corev1.NodeAddress {
	addresses := []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}}
	for _, cidr := range o.PodCIDRs { // in the order of the cluster's families
		base := nodesIPv6
		if isIPv4(cidr) {
			base = nodesIPv4
		}
		ip := addressAt(base, i)
		addresses = append(addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip.String()})
	}
	return addresses
}

// addressAt returns the i-th address after base, for i below 65000.
func addressAt(base netip.Addr, i int) netip.Addr {
	b := base.AsSlice()
	low := len(b) - 2
	n := int(b[low])<<8 + int(b[low+1]) + i
	b[low], b[low+1] = byte(n>>8), byte(n)
	ip, _ := netip.AddrFromSlice(b)
	return ip
}

func (c *ControlPlane) waitForNodes(ctx context.Context, names []string) error {
	interval := 50 * time.Millisecond
	if len(names) > 200 {
		interval = time.Second
	}
	for {
		// Version "0" is answered from the API server's cache.
		nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return fmt.Errorf("waiting for nodes: %w", err)
		}
		unsettled := map[string]*corev1.Node{}
		for _, name := range names {
			unsettled[name] = nil
		}
		for _, n := range nodes.Items {
			if _, ours := unsettled[n.Name]; !ours {
				continue
			}
			unsettled[n.Name] = &n
			if c.nodeSettled(&n) {
				delete(unsettled, n.Name)
			}
		}
		if len(unsettled) == 0 {
			return nil
		}
		for _, name := range []string{"kube-controller-manager", "kwok"} {
			if p := c.process(name); p.ended() {
				return p.failure()
			}
		}
		if cause := pause(ctx, interval); cause != nil {
			return fmt.Errorf("%d nodes are not ready: %w (%s)", len(unsettled), cause, describeOne(unsettled))
		}
	}
}

// describeOne shows why one of the nodes is not settled.
func describeOne(nodes map[string]*corev1.Node) string {
	for name, n := range nodes {
		if n == nil {
			return name + " does not exist"
		}
		return fmt.Sprintf("%s: Pod ranges %v, taints %v, conditions %v", name, n.Spec.PodCIDRs, n.Spec.Taints, n.Status.Conditions)
	}
	return ""
}

// nodeSettled tells whether Pods can be scheduled to the node, as far as the
// control plane and not an Override decides.
func (c *ControlPlane) nodeSettled(n *corev1.Node) bool {
	if n.Annotations[kwokAnnotation] != "fake" {
		return true // not simulated, not ours to wait for
	}
	ready := slices.ContainsFunc(n.Status.Conditions, func(cond corev1.NodeCondition) bool {
		return cond.Type == corev1.NodeReady && cond.Status == corev1.ConditionTrue
	})
	tainted := slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		return t.Key == corev1.TaintNodeNotReady
	})
	return ready && !tainted && len(n.Spec.PodCIDRs) == len(c.options.PodCIDRs)
}
