package controlplane

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// DefaultVersion is the Kubernetes minor version started when none is asked for.
const DefaultVersion = "1.37"

// MTUAnnotation tells, on a simulated node, the MTU of its uplink in bytes.
const MTUAnnotation = "networkstack.io/mtu"

// SimulateAnnotation on a Pod changes what the simulated kubelet does with it.
// The only value is [SimulateHold].
const SimulateAnnotation = "networkstack.io/simulate"

// SimulateHold keeps a Pod Pending for as long as the annotation has this value.
const SimulateHold = "hold"

// UnpullableImage is a part of an image name that the simulated container
// runtime cannot pull: Pods with such an image wait with ImagePullBackOff.
const UnpullableImage = "does-not-exist"

// Options say what kind of control plane to start. The zero value is usable.
type Options struct {
	// Version is the Kubernetes minor version, such as "1.36". Default: [DefaultVersion].
	Version string

	// Nodes is the number of simulated nodes to create. Default: 0.
	Nodes int
	// Node describes these nodes.
	Node NodeOptions

	// ServiceCIDRs are the Service ranges, primary family first.
	// Default: 10.96.0.0/16 and fd00:10:96::/112. One CIDR makes a single-stack cluster.
	ServiceCIDRs []string
	// PodCIDRs are the Pod ranges, of the same families in the same order as
	// ServiceCIDRs. Default: 10.244.0.0/16 and fd00:10:244::/56, of the
	// families of ServiceCIDRs.
	PodCIDRs []string
	// NodeMaskIPv4 and NodeMaskIPv6 are the lengths of each node's part of
	// PodCIDRs, in bits. Default: 24 and 64, that is 256 nodes.
	NodeMaskIPv4, NodeMaskIPv6 int

	// AuditLog is the path of a file to write the API server's audit log to, at
	// level Metadata. Default: no audit log. Read it with [ControlPlane.Audit].
	AuditLog string
	// LogDir is where the components write <component>.log. It outlives the
	// control plane. Default: a directory that is removed on Stop.
	LogDir string
	// APIServerArgs are added to the kube-apiserver command line, last.
	APIServerArgs []string
	// ControllerManagerArgs are added to the kube-controller-manager's, last.
	ControllerManagerArgs []string
	// Address is one of this machine at which others reach the API server: real nodes, which [ControlPlane.NodeKubeconfig] is for.
	// With it nothing is simulated, and all components speak its family alone, also among themselves. Default: the API server
	// listens on 127.0.0.1 only.
	Address netip.Addr

	// Out receives progress for a person to read. Default: none.
	Out io.Writer
}

// NodeOptions describe simulated nodes. The zero value is usable.
type NodeOptions struct {
	// NamePrefix is followed by the node's number. Default: "node-".
	NamePrefix string
	// KernelVersion is reported in nodeInfo. Default: "6.12.0".
	KernelVersion string
	// OSImage is reported in nodeInfo. Default: "Debian GNU/Linux 13 (trixie)".
	OSImage string
	// Architecture is reported in nodeInfo and as a label. Default: "amd64".
	Architecture string
	// ContainerRuntimeVersion is reported in nodeInfo. Default: "containerd://2.1.4".
	ContainerRuntimeVersion string
	// KubeletVersion is reported in nodeInfo. Default: the control plane's version.
	KubeletVersion string
	// MTU in bytes becomes [MTUAnnotation]. Default: 0, no annotation.
	MTU int
	// Labels and Annotations are added to the usual ones.
	Labels, Annotations map[string]string
	// Override, when set, may change the i-th node of the control plane
	// (counted from 0) before it is created.
	Override func(i int, node *corev1.Node)
}

func (o Options) withDefaults() (Options, error) {
	if o.Version == "" {
		o.Version = DefaultVersion
	}
	if len(o.ServiceCIDRs) == 0 {
		o.ServiceCIDRs = []string{"10.96.0.0/16", "fd00:10:96::/112"}
	}
	services, err := parseCIDRs("ServiceCIDRs", o.ServiceCIDRs)
	if err != nil {
		return o, err
	}
	if len(o.PodCIDRs) == 0 {
		for _, p := range services {
			if p.Addr().Is4() {
				o.PodCIDRs = append(o.PodCIDRs, "10.244.0.0/16")
			} else {
				o.PodCIDRs = append(o.PodCIDRs, "fd00:10:244::/56")
			}
		}
	}
	pods, err := parseCIDRs("PodCIDRs", o.PodCIDRs)
	if err != nil {
		return o, err
	}
	sameFamily := func(a, b netip.Prefix) bool { return a.Addr().Is4() == b.Addr().Is4() }
	if !slices.EqualFunc(services, pods, sameFamily) {
		return o, fmt.Errorf("PodCIDRs %v and ServiceCIDRs %v differ in their address families", o.PodCIDRs, o.ServiceCIDRs)
	}
	if o.NodeMaskIPv4 == 0 {
		o.NodeMaskIPv4 = 24
	}
	if o.NodeMaskIPv6 == 0 {
		o.NodeMaskIPv6 = 64
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	// The components have another working directory.
	for _, path := range []*string{&o.AuditLog, &o.LogDir} {
		if *path != "" {
			if *path, err = filepath.Abs(*path); err != nil {
				return o, err
			}
		}
	}
	if o.Nodes < 0 {
		return o, errors.New("the number of nodes is negative")
	}
	return o, o.checkNodeCount(o.Nodes)
}

// checkNodeCount says early what would otherwise show only as nodes that never
// get a Pod range.
func (o Options) checkNodeCount(nodes int) error {
	for _, cidr := range o.PodCIDRs {
		p, err := netip.ParsePrefix(cidr)
		if err != nil {
			return err
		}
		bits := o.nodeMask(p) - p.Bits()
		if bits < 0 {
			return fmt.Errorf("pod range %s is smaller than one node's /%d", p, o.nodeMask(p))
		}
		if bits < 31 && nodes > 1<<bits {
			return fmt.Errorf("pod range %s has room for %d nodes, not %d: set PodCIDRs", p, 1<<bits, nodes)
		}
	}
	return nil
}

func (o Options) nodeMask(p netip.Prefix) int {
	if p.Addr().Is4() {
		return o.NodeMaskIPv4
	}
	return o.NodeMaskIPv6
}

// loopback is the address at which the components reach one another.
func (o Options) loopback() netip.Addr {
	if o.Address.Is6() {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

func isIPv4(cidr string) bool {
	p, err := netip.ParsePrefix(cidr)
	return err == nil && p.Addr().Is4()
}

func parseCIDRs(what string, cidrs []string) ([]netip.Prefix, error) {
	if len(cidrs) > 2 {
		return nil, fmt.Errorf("%s: at most one CIDR per address family, have %v", what, cidrs)
	}
	var prefixes []netip.Prefix
	for _, c := range cidrs {
		p, err := netip.ParsePrefix(c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		prefixes = append(prefixes, p)
	}
	if len(prefixes) == 2 && prefixes[0].Addr().Is4() == prefixes[1].Addr().Is4() {
		return nil, fmt.Errorf("%s: %v are of one address family", what, cidrs)
	}
	return prefixes, nil
}

func (o NodeOptions) withDefaults(kubernetesVersion string) NodeOptions {
	setDefault := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	setDefault(&o.NamePrefix, "node-")
	setDefault(&o.KernelVersion, "6.12.0")
	setDefault(&o.OSImage, "Debian GNU/Linux 13 (trixie)")
	setDefault(&o.Architecture, "amd64")
	setDefault(&o.ContainerRuntimeVersion, "containerd://2.1.4")
	setDefault(&o.KubeletVersion, kubernetesVersion)
	o.Labels, o.Annotations = maps.Clone(o.Labels), maps.Clone(o.Annotations)
	return o
}
