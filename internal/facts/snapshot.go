// Package facts says what this cluster is: one Snapshot, discovered from the API server, read only.
package facts

import (
	"net/netip"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Snapshot is everything the composition of a stack needs to know about a cluster.
type Snapshot struct {
	// KubernetesVersion is the API server's version, such as "v1.37.1".
	KubernetesVersion string `json:"kubernetesVersion,omitzero"`
	// ServiceCIDRs are the ranges of Services, the primary family first; empty when unknown.
	ServiceCIDRs []netip.Prefix `json:"serviceCIDRs,omitzero"`
	// ServiceCIDRSource says where they were found, such as "ServiceCIDR/kubernetes".
	ServiceCIDRSource string `json:"serviceCIDRSource,omitzero"`
	// MoreServiceCIDRs are ranges of Services that were added to those as objects, ordered by object.
	MoreServiceCIDRs []ServiceRange `json:"moreServiceCIDRs,omitzero"`
	// ServiceIP is the ClusterIP of the Service default/kubernetes.
	ServiceIP netip.Addr `json:"serviceIP,omitzero"`
	// DNSIPs are the addresses of the Service kube-system/kube-dns, the primary family first; empty when there is none.
	DNSIPs []netip.Addr `json:"dnsIPs,omitzero"`
	// APIServer is an address of the API server that works without any Service; the zero value when none is known.
	APIServer networkstackv1alpha1.Endpoint `json:"apiServer,omitzero"`
	// APIServerSource says where it was found, such as "kube-system/kubeadm-config controlPlaneEndpoint".
	APIServerSource string `json:"apiServerSource,omitzero"`
	// Certificate is what the API server shows at the address that is used; nil when that is not known.
	Certificate *ServerCertificate `json:"certificate,omitzero"`
	// DNSDomain is the cluster's DNS domain; empty when unknown.
	DNSDomain string `json:"dnsDomain,omitzero"`
	// Cloud is where the nodes run; empty when they do not say, or do not agree.
	Cloud Cloud `json:"cloud,omitzero"`
	// Distribution is what made the cluster; empty when there is no sure sign.
	Distribution Distribution `json:"distribution,omitzero"`
	// Kubeadm says that kubeadm's configuration is there.
	Kubeadm bool `json:"kubeadm,omitzero"`
	// PodSubnets are the ranges of pods in kubeadm's configuration; empty when it states none.
	PodSubnets []netip.Prefix `json:"podSubnets,omitzero"`
	// Allocations are what the network plugin has given out of its pools; not Known unless somebody has filled them in.
	Allocations Allocations `json:"-"`
	// Nodes are the cluster's nodes, ordered by name.
	Nodes []Node `json:"nodes,omitzero"`
	// NodeStatesPending says that something tells the nodes' interfaces, and has not been looked at yet.
	NodeStatesPending bool `json:"-"`
	// OwnKeys is the user's own Secret with the keys of the network plugin's encryption; nil where there is none, or it was not looked at.
	OwnKeys *OwnKeys `json:"ownKeys,omitzero"`
	// NetworkPolicies is the number of them, at most ManyPolicies, where nothing enforces them; else they are not counted.
	NetworkPolicies int `json:"networkPolicies,omitzero"`
	// Namespaces are the cluster's, ordered by name, where a mesh is wanted or there; else they are not listed.
	Namespaces []Namespace `json:"namespaces,omitzero"`
	// Proxies are the pods with proxies of Istio, where a control plane is there that is no longer wanted; else they are not Known.
	Proxies Proxies `json:"proxies,omitzero"`
	// ServiceMonitors and PodMonitors say whether the cluster has these kinds of Prometheus' operator.
	ServiceMonitors bool `json:"serviceMonitors,omitzero"`
	PodMonitors     bool `json:"podMonitors,omitzero"`
	// APIServers are the API servers' own addresses and ports, ordered by address.
	APIServers []netip.AddrPort `json:"apiServers,omitzero"`
	// ClusterPolicies says whether the cluster has ClusterNetworkPolicies of policy.networking.k8s.io.
	ClusterPolicies bool `json:"clusterPolicies,omitzero"`
	// AdminPolicies says whether the cluster has AdminNetworkPolicies, the kind that ClusterNetworkPolicies have replaced.
	AdminPolicies bool `json:"adminPolicies,omitzero"`
	// AdminPolicyCount is how many AdminNetworkPolicies and BaselineAdminNetworkPolicies there are, where Calico is wanted; else they are
	// not counted.
	AdminPolicyCount int `json:"adminPolicyCount,omitzero"`
	// Neighbours are what else of others matters, and HostPorts the ports of nodes that DaemonSets of others take, both ordered.
	Neighbours []Neighbour `json:"neighbours,omitzero"`
	HostPorts  []HostPort  `json:"hostPorts,omitzero"`
	// GatewayAPI is what there is of the Gateway API.
	GatewayAPI GatewayAPI `json:"gatewayAPI,omitzero"`
	// CertManager and BackendConfigs say whether the cluster has cert-manager's Certificates, and what GKE's ingress controller is set
	// up by.
	CertManager    bool `json:"certManager,omitzero"`
	BackendConfigs bool `json:"backendConfigs,omitzero"`
	// IngressClasses are all there are, ordered by name.
	IngressClasses []IngressClass `json:"ingressClasses,omitzero"`
	// IstioRevisions are those of Istio's control planes that inject pods, ordered.
	IstioRevisions []string `json:"istioRevisions,omitzero"`
	// Installed are the network plugins, the kube-proxy and the agents for secondary networks found, ordered by workload.
	Installed []Installed `json:"installed,omitzero"`
}

// ServiceRange is a range of Services and where it was found.
type ServiceRange struct {
	Prefix netip.Prefix `json:"prefix,omitzero"`
	// Source is such as "ServiceCIDR/more".
	Source string `json:"source,omitzero"`
}

// Node is what matters of a node.
type Node struct {
	Name string `json:"name,omitzero"`
	// OS is "linux" or "windows".
	OS string `json:"os,omitzero"`
	// KernelVersion as the node reports it, such as "6.12.0-1-amd64".
	KernelVersion string `json:"kernelVersion,omitzero"`
	// InternalIPs are the node's internal addresses.
	InternalIPs []netip.Addr `json:"internalIPs,omitzero"`
	// TunnelIPs are the addresses of the node's tunnels, as Calico tells them.
	TunnelIPs []netip.Addr `json:"tunnelIPs,omitzero"`
	// PodCIDRs are the node's spec.podCIDRs.
	PodCIDRs []netip.Prefix `json:"podCIDRs,omitzero"`
	// Cloud is where the node runs; empty when it does not say.
	Cloud Cloud `json:"cloud,omitzero"`
	// Distribution is what the node shows of what made it; empty when it shows nothing.
	Distribution Distribution `json:"distribution,omitzero"`
	// Server is how k3s or RKE2 runs on a server; nil on others, and where it does not say.
	Server *ServerArgs `json:"server,omitzero"`
	// IPVSServices is how many virtual servers of IPVS somebody else than kube-proxy has there, 9 for more; 0 when it is not known.
	IPVSServices int `json:"ipvsServices,omitzero"`
	// Bridges says that what passes through a bridge passes iptables and nftables: the kernel's module br_netfilter; nil when it is
	// not known.
	Bridges *bool `json:"bridges,omitzero"`
	// Nested says that the node is a container of another machine's, whose kernel it may not configure.
	Nested bool `json:"nested,omitzero"`
	// Labels and Taints are those that decide which pods of a DaemonSet it gets. Taints that Kubernetes itself puts on a node
	// for a while, and that such pods tolerate anyway, are left out.
	Labels map[string]string `json:"labels,omitzero"`
	Taints []corev1.Taint    `json:"taints,omitzero"`
	// MTU of the underlay interface in bytes; 0 when unknown. It is from the annotation networkstack.io/mtu, unless MTUSource names
	// another source.
	MTU       int    `json:"mtu,omitzero"`
	MTUSource string `json:"mtuSource,omitzero"`
}

// InstalledType is what a workload that was found is.
type InstalledType string

// The workloads that are recognised.
const (
	InstalledFlannel    InstalledType = "Flannel"
	InstalledCilium     InstalledType = "Cilium"
	InstalledCalico     InstalledType = "Calico"
	InstalledWeaveNet   InstalledType = "WeaveNet"
	InstalledAWSVPC     InstalledType = "AWSVPC"
	InstalledAntrea     InstalledType = "Antrea"
	InstalledKubeRouter InstalledType = "KubeRouter"
	InstalledOVN        InstalledType = "OVNKubernetes"
	InstalledAzureCNI   InstalledType = "AzureCNI"
	InstalledKubeProxy  InstalledType = "KubeProxy"
	InstalledMultus     InstalledType = "Multus"
	// InstalledWhereabouts hands out addresses on secondary networks.
	InstalledWhereabouts InstalledType = "Whereabouts"
	// InstalledAzureMasquerade and InstalledGKENetd are what clouds run beside a network plugin, whichever that is.
	InstalledAzureMasquerade InstalledType = "AzureIPMasqAgent"
	InstalledGKENetd         InstalledType = "GKENetd"
	// InstalledCoreDNS is the CoreDNS of the cluster's DNS, and InstalledOtherDNS whatever else answers in its place, or a CoreDNS under
	// another name. They are Deployments, and looked for only when a stack is to manage DNS.
	InstalledCoreDNS  InstalledType = "CoreDNS"
	InstalledOtherDNS InstalledType = "DNS"
)

// Installed is a network plugin, a kube-proxy or an agent for secondary networks that was found in the cluster.
type Installed struct {
	Type      InstalledType `json:"type,omitzero"`
	Namespace string        `json:"namespace,omitzero"`
	Name      string        `json:"name,omitzero"`
	// Image of the main container.
	Image string `json:"image,omitzero"`
	// Component is the value of the label networkstack.io/component: who of ours owns it; empty when foreign.
	Component string `json:"component,omitzero"`
	// Manager is who else owns it, as its marks say ("Helm release kube-system/cilium", "Argo CD application x",
	// "EKS add-on", "AKS add-on manager"); empty when there is no mark.
	Manager string `json:"manager,omitzero"`
	// Kept says that Manager goes on keeping it as they want it, so that it can never be taken over.
	Kept bool `json:"kept,omitzero"`
	// ReleaseName and ReleaseNamespace are those of the Helm release it is part of; empty when it is of none.
	ReleaseName      string `json:"releaseName,omitzero"`
	ReleaseNamespace string `json:"releaseNamespace,omitzero"`
	// Source is Manager, or who made it and left it ("kubeadm", "kubectl"), or "unknown".
	Source string `json:"source,omitzero"`
	// Layout is the value of the annotation networkstack.io/layout: as whose manifest it is written.
	Layout string `json:"layout,omitzero"`
	// Found is how it is configured, as far as its chart can say the same; nil unless it was looked at.
	Found *Found `json:"found,omitzero"`
	// Mode of a kube-proxy: "iptables", "ipvs" or "nftables"; empty when its configuration was not found.
	Mode string `json:"mode,omitzero"`
	// PodRanges are those by which a kube-proxy tells pods from others; empty when it does so in another way, or that is not known.
	PodRanges []netip.Prefix `json:"podRanges,omitzero"`
	// StrictARP says that a kube-proxy in IPVS mode leaves ARP for addresses of Services to others.
	StrictARP bool `json:"strictARP,omitzero"`
	// Parked says that a node selector of ours keeps it off every node.
	Parked bool `json:"parked,omitzero"`
	// Scheduled says that there are still pods of it, or that its controller has not seen its latest change.
	Scheduled bool `json:"scheduled,omitzero"`
	// Unavailable says that not every node that it is to run on has an available pod of it.
	Unavailable bool `json:"unavailable,omitzero"`
}

// IsCNI says whether it is a primary network plugin.
func (i *Installed) IsCNI() bool {
	return i.Type != InstalledKubeProxy && i.Type != InstalledAzureMasquerade && i.Type != InstalledGKENetd && !i.Secondary() && !i.DNS()
}

// DNS says whether it answers the cluster's DNS queries.
func (i *Installed) DNS() bool { return i.Type == InstalledCoreDNS || i.Type == InstalledOtherDNS }

// Workload names what it is in the cluster, such as "DaemonSet kube-system/kube-proxy".
func (i *Installed) Workload() string {
	kind := "DaemonSet "
	if i.DNS() {
		kind = "Deployment "
	}
	return kind + i.Namespace + "/" + i.Name
}

// Secondary says whether it is about secondary networks, and no primary network plugin.
func (i *Installed) Secondary() bool {
	return i.Type == InstalledMultus || i.Type == InstalledWhereabouts
}

// CNIs are the primary network plugins found.
func (s *Snapshot) CNIs() []Installed {
	var out []Installed
	for _, i := range s.Installed {
		if i.IsCNI() {
			out = append(out, i)
		}
	}
	return out
}

// Has says whether something of a type was found.
func (s *Snapshot) Has(t InstalledType) bool {
	return slices.ContainsFunc(s.Installed, func(i Installed) bool { return i.Type == t })
}

// KubeProxy is the kube-proxy found, or nil.
func (s *Snapshot) KubeProxy() *Installed {
	for i := range s.Installed {
		if s.Installed[i].Type == InstalledKubeProxy {
			return &s.Installed[i]
		}
	}
	return nil
}

// Found is how an agent that somebody else installed is configured.
type Found struct {
	// Ours says that the ConfigMap has the label of a component of ours already.
	Ours bool `json:"ours,omitzero"`
	// Data is that of the agent's ConfigMap.
	Data map[string]string `json:"data,omitzero"`
	// Tolerations and UpdateStrategy are those of its DaemonSet.
	Tolerations    []corev1.Toleration            `json:"tolerations,omitzero"`
	UpdateStrategy appsv1.DaemonSetUpdateStrategy `json:"updateStrategy,omitzero"`
	// Template, Replicas, Strategy and Selector are those of the Deployment of CoreDNS.
	Template *corev1.PodTemplateSpec   `json:"template,omitzero"`
	Replicas *int32                    `json:"replicas,omitzero"`
	Strategy appsv1.DeploymentStrategy `json:"strategy,omitzero"`
	Selector *metav1.LabelSelector     `json:"selector,omitzero"`
}
