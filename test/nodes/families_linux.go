package nodes

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// addresses are those of a cluster in one family.
type addresses struct {
	// node is followed by a node's number; length is that of the nodes' network, in bits.
	node, length string
	// gateway is what is no node: the place of the control plane, and of the tests.
	gateway string
	// services and pods are the cluster's ranges, dns the address of CoreDNS.
	services, pods, dns string
}

var families = map[corev1.IPFamily]addresses{
	corev1.IPv4Protocol: {
		node: "10.99.0.", length: "/24", gateway: "10.99.0.1",
		services: "10.96.0.0/16", pods: "10.244.0.0/16", dns: "10.96.0.10",
	},
	corev1.IPv6Protocol: {
		node: "fd00:99::", length: "/64", gateway: "fd00:99::1",
		services: "fd00:10:96::/112", pods: "fd00:10:244::/56", dns: "fd00:10:96::a",
	},
}

// Gateway is the address of what is no node: the place of the control plane, and of the tests.
func Gateway(family corev1.IPFamily) string { return families[family].gateway }

// ServiceRange is the cluster's range of Services.
func ServiceRange(family corev1.IPFamily) string { return families[family].services }

// PodRange is the cluster's range of pods.
func PodRange(family corev1.IPFamily) string { return families[family].pods }

// each is something of every family of the cluster, in their order.
func (c *Cluster) each(of func(addresses) string) []string {
	var out []string
	for _, f := range c.Families {
		out = append(out, of(families[f]))
	}
	return out
}

// Address is the node's own of a family.
func (n *Node) Address(family corev1.IPFamily) string { return n.in(families[family]) }

func (n *Node) in(a addresses) string { return a.node + strconv.Itoa(n.number) }
