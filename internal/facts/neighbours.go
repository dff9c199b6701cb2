package facts

import (
	"cmp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/ownership"
)

// Neighbour is something of others in the cluster that is no network agent, and that one has to go with.
type Neighbour struct {
	// Of is what it is part of, in the words of its makers.
	Of        string `json:"of,omitzero"`
	Namespace string `json:"namespace,omitzero"`
	Name      string `json:"name,omitzero"`
	// Announces says that it may announce addresses of Services by ARP.
	Announces bool `json:"announces,omitzero"`
	// Mounts says that it mounts volumes by NFS or SMB, whose servers are Services.
	Mounts bool `json:"mounts,omitzero"`
	// Migrates says that it moves running virtual machines, with their addresses, from node to node.
	Migrates bool `json:"migrates,omitzero"`
}

// neighbours are known by the name of a DaemonSet, or how that ends, and of a container in it.
var neighbours = []struct {
	daemonSet, container string
	is                   Neighbour
}{
	{"speaker", "speaker", Neighbour{Of: "MetalLB", Announces: true}},
	{"kube-vip-ds", "kube-vip", Neighbour{Of: "kube-vip", Announces: true}},
	{"virt-handler", "virt-handler", Neighbour{Of: "KubeVirt", Migrates: true}},
	{"longhorn-manager", "longhorn-manager", Neighbour{Of: "Longhorn", Mounts: true}},
	{"portworx", "portworx", Neighbour{Of: "Portworx", Mounts: true}},
	{"portworx-api", "portworx-api", Neighbour{Of: "Portworx", Mounts: true}},
	{"csi-nfs-node", "nfs", Neighbour{Of: "the CSI driver of NFS", Mounts: true}},
	{"csi-smb-node", "smb", Neighbour{Of: "the CSI driver of SMB", Mounts: true}},
}

// neighbour is what a DaemonSet is, if it is known as one.
func neighbour(ds *appsv1.DaemonSet) (Neighbour, bool) {
	for _, n := range neighbours {
		named := ds.Name == n.daemonSet || strings.HasSuffix(ds.Name, "-"+n.daemonSet)
		has := func(c corev1.Container) bool { return c.Name == n.container }
		if named && slices.ContainsFunc(ds.Spec.Template.Spec.Containers, has) {
			n.is.Namespace, n.is.Name = ds.Namespace, ds.Name
			return n.is, true
		}
	}
	return Neighbour{}, false
}

// HostPort is a port of the nodes that a DaemonSet of others takes for itself.
type HostPort struct {
	Port     int             `json:"port,omitzero"`
	Protocol corev1.Protocol `json:"protocol,omitzero"`
	// Mapped says that the pods are not in the node's network themselves: the network plugin maps the port.
	Mapped bool `json:"mapped,omitzero"`
	// Namespace and Name of the DaemonSet.
	Namespace string `json:"namespace,omitzero"`
	Name      string `json:"name,omitzero"`
	// ReleaseName and ReleaseNamespace are those of the Helm release that it is part of; empty when it is of none.
	ReleaseName      string `json:"releaseName,omitzero"`
	ReleaseNamespace string `json:"releaseNamespace,omitzero"`
}

// hostPorts are those that the containers of a DaemonSet declare. What is known as a network agent, or is ours, is left out.
func hostPorts(ds *appsv1.DaemonSet) []HostPort {
	if ds.Labels[networkstackv1alpha1.ComponentLabel] != "" || Recognised(ds) {
		return nil
	}
	mark := ownership.Of(ds)
	var out []HostPort
	for _, c := range ds.Spec.Template.Spec.Containers {
		for _, p := range c.Ports {
			if p.HostPort != 0 {
				out = append(out, HostPort{
					Port: int(p.HostPort), Protocol: cmp.Or(p.Protocol, corev1.ProtocolTCP), Mapped: !ds.Spec.Template.Spec.HostNetwork,
					Namespace: ds.Namespace, Name: ds.Name, ReleaseName: mark.ReleaseName, ReleaseNamespace: mark.ReleaseNamespace,
				})
			}
		}
	}
	return out
}
