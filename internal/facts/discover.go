package facts

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// versionTTL bounds how long the API server's version is remembered. The API server cannot be watched for it.
const versionTTL = time.Minute

// VersionReader reads the API server's version.
type VersionReader interface {
	ServerVersion() (*version.Info, error)
}

// Discoverer takes Snapshots. Reader is expected to be a cache, so that a Snapshot costs no request.
type Discoverer struct {
	Reader  client.Reader
	Version VersionReader
	// Live reads from the API server; Examine alone does.
	Live client.Reader
	// Gateways watches GatewayClasses; nil means that nobody asks about them.
	Gateways *GatewayWatch
	// NodeStates watches NodeNetworkStates; nil means that nobody asks about them.
	NodeStates *NodeStateWatch

	mu          sync.Mutex
	version     string
	versionRead time.Time
	proxyMode   proxyMode
	ownKeys     ownKeys
	// adminPolicies are those of all namespaces.
	adminPolicies adminPolicies
}

// Discover takes a Snapshot of the cluster. An error means that a source could not be read at all;
// a fact that no source knows is left zero.
func (d *Discoverer) Discover(ctx context.Context) (*Snapshot, error) {
	s := &Snapshot{}
	var err error
	if s.KubernetesVersion, err = d.serverVersion(); err != nil {
		return nil, fmt.Errorf("reading the API server's version: %w", err)
	}
	kubeadm, err := d.kubeadmConfiguration(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading ConfigMap kube-system/kubeadm-config: %w", err)
	}
	if s.Nodes, err = d.nodes(ctx); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	if d.NodeStates != nil {
		defined, err := d.defined(ctx, nodeStateCRD)
		if err != nil {
			return nil, fmt.Errorf("looking for the definition %s: %w", nodeStateCRD, err)
		}
		s.NodeStatesPending = !d.NodeStates.fill(s.Nodes) && defined
	}
	if s.Installed, err = d.installed(ctx, s); err != nil {
		return nil, fmt.Errorf("listing DaemonSets: %w", err)
	}
	if err = d.serviceCIDRs(ctx, s, kubeadm); err != nil {
		return nil, fmt.Errorf("listing ServiceCIDRs: %w", err)
	}
	if s.ServiceIP, err = d.serviceIP(ctx); err != nil {
		return nil, fmt.Errorf("reading Service default/kubernetes: %w", err)
	}
	if s.DNSIPs, err = d.dnsIPs(ctx); err != nil {
		return nil, fmt.Errorf("reading Service kube-system/kube-dns: %w", err)
	}
	if s.APIServer, s.APIServerSource, err = d.apiServer(ctx, kubeadm); err != nil {
		return nil, fmt.Errorf("looking for the API server's address: %w", err)
	}
	if s.APIServers, err = d.apiServers(ctx); err != nil {
		return nil, fmt.Errorf("listing the API server's endpoints: %w", err)
	}
	for name, there := range map[string]*bool{
		ServiceMonitors: &s.ServiceMonitors, PodMonitors: &s.PodMonitors, Certificates: &s.CertManager,
		BackendConfigs: &s.BackendConfigs, AdminPolicies: &s.AdminPolicies, ClusterPolicies: &s.ClusterPolicies,
	} {
		if *there, err = d.defined(ctx, name); err != nil {
			return nil, fmt.Errorf("looking for the definition %s: %w", name, err)
		}
	}
	if s.IngressClasses, err = d.ingressClasses(ctx); err != nil {
		return nil, fmt.Errorf("listing IngressClasses: %w", err)
	}
	if s.IstioRevisions, err = d.istioRevisions(ctx); err != nil {
		return nil, fmt.Errorf("listing Istio's injectors: %w", err)
	}
	if s.GatewayAPI, err = d.gatewayAPI(ctx); err != nil {
		return nil, fmt.Errorf("listing the definitions of the Gateway API: %w", err)
	}
	s.DNSDomain = kubeadm.Networking.DNSDomain
	s.Kubeadm, s.PodSubnets = kubeadm.found, parsePrefixes(splitList(kubeadm.Networking.PodSubnet))
	s.Cloud = cloudOf(s.Nodes)
	s.Distribution = distributionOf(s.KubernetesVersion, s.Nodes, s.Kubeadm)
	s.markKept()
	return s, nil
}

func (d *Discoverer) serverVersion() (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.version != "" && time.Since(d.versionRead) < versionTTL {
		return d.version, nil
	}
	info, err := d.Version.ServerVersion()
	if err != nil {
		return "", err
	}
	d.version, d.versionRead = info.GitVersion, time.Now()
	return d.version, nil
}

func (d *Discoverer) nodes(ctx context.Context) ([]Node, error) {
	var list corev1.NodeList
	if err := d.Reader.List(ctx, &list); err != nil {
		return nil, err
	}
	nodes := make([]Node, 0, len(list.Items))
	for i := range list.Items {
		nodes = append(nodes, nodeFrom(&list.Items[i]))
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return nodes, nil
}

func nodeFrom(n *corev1.Node) Node {
	out := Node{
		Name: n.Name, OS: n.Status.NodeInfo.OperatingSystem, KernelVersion: n.Status.NodeInfo.KernelVersion,
		Cloud: cloudOfNode(n), Distribution: distributionOfNode(n), Server: serverArgs(n),
		Labels: n.Labels, Taints: Taints(n),
		Nested: ProviderScheme(n.Spec.ProviderID) == nestedScheme,
	}
	for _, a := range n.Status.Addresses {
		if a.Type != corev1.NodeInternalIP {
			continue
		}
		if ip, err := netip.ParseAddr(a.Address); err == nil {
			out.InternalIPs = append(out.InternalIPs, ip)
		}
	}
	cidrs := n.Spec.PodCIDRs
	if len(cidrs) == 0 && n.Spec.PodCIDR != "" {
		cidrs = []string{n.Spec.PodCIDR}
	}
	for _, c := range cidrs {
		if p, err := netip.ParsePrefix(c); err == nil {
			out.PodCIDRs = append(out.PodCIDRs, p)
		}
	}
	for _, key := range tunnelAnnotations {
		if ip, err := netip.ParseAddr(n.Annotations[key]); err == nil {
			out.TunnelIPs = append(out.TunnelIPs, ip)
		}
	}
	// A value that is no positive number is as good as none: the annotation is not ours to judge.
	if mtu, err := strconv.Atoi(n.Annotations[networkstackv1alpha1.NodeMTUAnnotation]); err == nil && mtu > 0 {
		out.MTU = mtu
	}
	if services, err := strconv.Atoi(n.Annotations[networkstackv1alpha1.NodeIPVSAnnotation]); err == nil && services > 0 {
		out.IPVSServices = services
	}
	if bridges, err := strconv.ParseBool(n.Annotations[networkstackv1alpha1.NodeBridgesAnnotation]); err == nil {
		out.Bridges = &bridges
	}
	return out
}

// tunnelAnnotations are those in which Calico keeps the addresses of a node's tunnels. What a node sends to a pod of another node by a
// tunnel comes from there.
var tunnelAnnotations = []string{
	"projectcalico.org/IPv4VXLANTunnelAddr", "projectcalico.org/IPv6VXLANTunnelAddr", "projectcalico.org/IPv4IPIPTunnelAddr",
	"projectcalico.org/IPv4WireguardInterfaceAddr", "projectcalico.org/IPv6WireguardInterfaceAddr",
}

// AgentAnnotations are those of a node that tell what only the node knows.
var AgentAnnotations = append([]string{
	networkstackv1alpha1.NodeMTUAnnotation, networkstackv1alpha1.NodeIPVSAnnotation, networkstackv1alpha1.NodeBridgesAnnotation,
}, tunnelAnnotations...)

// installed finds network agents, and notes by the way what else the DaemonSets tell.
func (d *Discoverer) installed(ctx context.Context, s *Snapshot) ([]Installed, error) {
	var list appsv1.DaemonSetList
	if err := d.Reader.List(ctx, &list); err != nil {
		return nil, err
	}
	var out []Installed
	for i := range list.Items {
		if n, ok := neighbour(&list.Items[i]); ok {
			s.Neighbours = append(s.Neighbours, n)
		}
		s.HostPorts = append(s.HostPorts, hostPorts(&list.Items[i])...)
		found, ok := recognise(&list.Items[i])
		if !ok {
			continue
		}
		if found.Type == InstalledKubeProxy {
			config, err := d.modeOf(ctx, &list.Items[i])
			if err != nil {
				return nil, err
			}
			found.Mode, found.PodRanges, found.StrictARP = config.mode, config.pods, config.strictARP
		}
		out = append(out, found)
	}
	slices.SortFunc(s.Neighbours, func(a, b Neighbour) int {
		return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(s.HostPorts, func(a, b HostPort) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(out, func(a, b Installed) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out, d.claimCalico(ctx, out)
}

// claimCalico finds out whether a Calico is ours. Its agents are made by the tigera-operator, so it is that one's Deployment
// that has our label, not their DaemonSet.
func (d *Discoverer) claimCalico(ctx context.Context, found []Installed) error {
	i := slices.IndexFunc(found, func(i Installed) bool {
		return i.Type == InstalledCalico && i.Namespace == CalicoNamespace && i.Component == ""
	})
	if i < 0 {
		return nil
	}
	var list appsv1.DeploymentList
	if err := d.Reader.List(ctx, &list, client.HasLabels{networkstackv1alpha1.ComponentLabel}); err != nil {
		return err
	}
	for n := range list.Items {
		if list.Items[n].Name == tigeraOperator {
			found[i].Component = list.Items[n].Labels[networkstackv1alpha1.ComponentLabel]
		}
	}
	return nil
}

// defaultServiceCIDR is the ServiceCIDR that the API server makes of its flags.
const defaultServiceCIDR = "kubernetes"

// serviceCIDRs prefers the ServiceCIDR objects, which follow the API server's flags, over kubeadm's
// configuration, which only tells what was true at installation.
func (d *Discoverer) serviceCIDRs(ctx context.Context, s *Snapshot, kubeadm kubeadmConfiguration) error {
	var list networkingv1.ServiceCIDRList
	if err := d.Reader.List(ctx, &list); err != nil && !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) {
		return err
	}
	slices.SortFunc(list.Items, func(a, b networkingv1.ServiceCIDR) int { return cmp.Compare(a.Name, b.Name) })
	for i := range list.Items {
		name, cidrs := "ServiceCIDR/"+list.Items[i].Name, parsePrefixes(list.Items[i].Spec.CIDRs)
		if list.Items[i].Name == defaultServiceCIDR {
			s.ServiceCIDRs, s.ServiceCIDRSource = cidrs, name
			continue
		}
		for _, p := range cidrs {
			s.MoreServiceCIDRs = append(s.MoreServiceCIDRs, ServiceRange{Prefix: p, Source: name})
		}
	}
	if s.ServiceCIDRSource != "" {
		return nil
	}
	if cidrs := parsePrefixes(splitList(kubeadm.Networking.ServiceSubnet)); len(cidrs) > 0 {
		s.ServiceCIDRs, s.ServiceCIDRSource = cidrs, "kube-system/kubeadm-config networking.serviceSubnet"
	}
	return nil
}

func (d *Discoverer) serviceIP(ctx context.Context) (netip.Addr, error) {
	var svc corev1.Service
	err := d.Reader.Get(ctx, client.ObjectKey{Namespace: metav1NamespaceDefault, Name: "kubernetes"}, &svc)
	if apierrors.IsNotFound(err) {
		return netip.Addr{}, nil
	}
	if err != nil {
		return netip.Addr{}, err
	}
	ip, _ := netip.ParseAddr(svc.Spec.ClusterIP)
	return ip, nil
}

// endpoints are the API servers' own addresses, in order.
func (d *Discoverer) endpoints(ctx context.Context) ([]networkstackv1alpha1.Endpoint, error) {
	var list discoveryv1.EndpointSliceList
	if err := d.Reader.List(ctx, &list, client.InNamespace(metav1NamespaceDefault),
		client.MatchingLabels{discoveryv1.LabelServiceName: "kubernetes"}); err != nil {
		return nil, err
	}
	var out []networkstackv1alpha1.Endpoint
	for i := range list.Items {
		port := int32(0)
		for _, p := range list.Items[i].Ports {
			if p.Port != nil {
				port = *p.Port
			}
		}
		for _, e := range list.Items[i].Endpoints {
			for _, a := range e.Addresses {
				out = append(out, networkstackv1alpha1.Endpoint{Host: a, Port: port})
			}
		}
	}
	slices.SortFunc(out, func(a, b networkstackv1alpha1.Endpoint) int { return cmp.Compare(a.Host, b.Host) })
	return out, nil
}

// apiServers are the API servers' own addresses and ports, each once.
func (d *Discoverer) apiServers(ctx context.Context) ([]netip.AddrPort, error) {
	list, err := d.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	var out []netip.AddrPort
	for _, e := range list {
		ip, err := netip.ParseAddr(e.Host)
		if err != nil || e.Port < 1 || e.Port > 65535 {
			continue
		}
		if a := netip.AddrPortFrom(ip, uint16(e.Port)); !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out, nil
}

func parsePrefixes(texts []string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		if p, err := netip.ParsePrefix(t); err == nil {
			out = append(out, p)
		}
	}
	return out
}
