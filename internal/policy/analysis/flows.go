package analysis

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
)

const (
	danger = networkstackv1alpha1.SeverityDanger
	notice = networkstackv1alpha1.SeverityNotice
)

// webhooks judges the way from the API server to webhooks. One that must answer stops whoever writes what it is asked about, in the
// whole cluster; the others are a delay of some seconds at every such write.
func (a *analysis) webhooks() {
	for _, w := range a.cluster.Webhooks {
		s, targets := a.referred(w.Service)
		ports, cut := a.cutPorts(a.apiServer(), targets)
		if !cut {
			continue
		}
		f := Finding{
			Name: name("webhook", w.Name, s.Namespace, s.Name), Severity: notice, From: "API server", To: place(s, ports),
			Exempt:   s.Namespace,
			What:     w.Configuration + " is passed over, after a wait, for " + list(w.Intercepts),
			Openings: opening("webhooks", networkstackv1alpha1.BaselineAllowFromAnywhere, ports),
		}
		switch {
		case w.Converts:
			f.Name, f.Severity = name("conversion", w.Name, s.Namespace, s.Name), danger
			f.What = w.Configuration + " is not converted: nobody can read or write " + list(w.Intercepts) +
				" of another version than the stored one"
		case w.Fail:
			f.Severity, f.What = danger, w.Configuration+" cannot be reached, and nobody can write "+list(w.Intercepts)
		}
		a.add(f)
	}
}

func list(resources []string) string {
	if len(resources) == 0 {
		return "what it is asked about"
	}
	set := map[string]bool{}
	for _, r := range resources {
		set[r] = true
	}
	return some(set)
}

// aggregated judges the way from the API server to aggregated APIs. A missing one breaks more than itself: no namespace can be
// deleted any more.
func (a *analysis) aggregated() {
	for _, api := range a.cluster.APIServices {
		s, targets := a.referred(api.Service)
		ports, cut := a.cutPorts(a.apiServer(), targets)
		if cut {
			a.add(Finding{
				Name: name("apiservice", s.Namespace, s.Name), Severity: danger, From: "API server", To: place(s, ports),
				Exempt:   s.Namespace,
				What:     "the aggregated API " + api.Name + " is gone, and no namespace can be deleted",
				Openings: opening("aggregated-apis", networkstackv1alpha1.BaselineAllowFromAnywhere, ports),
			})
		}
	}
}

// subjects are the pods that the set is for. Namespaces without any have one without labels, for those to come.
func (a *analysis) subjects(each func(p *Pod)) {
	populated := map[string]bool{}
	for i := range a.cluster.Pods {
		if p := &a.cluster.Pods[i]; a.subject(p) {
			populated[p.Namespace] = true
			each(p)
		}
	}
	for namespace := range a.covered {
		if !populated[namespace] {
			each(&Pod{Namespace: namespace})
		}
	}
}

const (
	dnsNamespace = "kube-system"
	dnsService   = "kube-dns"
	dnsPort      = 53
)

// FindingDNS is the name of the finding that covered pods cannot ask the cluster's DNS.
const FindingDNS = "dns"

// dns judges the way from covered pods to the cluster's DNS, by UDP and by TCP, which larger answers take.
func (a *analysis) dns() {
	var served []target
	if s := a.services[dnsNamespace+"/"+dnsService]; s != nil {
		for _, p := range s.Ports {
			if p.Port == dnsPort {
				served = append(served, a.targets(s, p)...)
			}
		}
	}
	cutService, cutCache := map[string]bool{}, map[string]bool{}
	cache := end{kind: endOutside, at: single(a.cluster.DNSCache)}
	a.subjects(func(p *Pod) {
		if _, cut := a.cutPorts(a.of(p), served); cut {
			cutService[workload(p)] = true
		}
		for _, protocol := range []networkstackv1alpha1.PolicyProtocol{tcp, udp} {
			port := policy.Port{Protocol: protocol, Port: dnsPort}
			if len(cache.at) > 0 && a.denies(policy.Egress, p, cache, port) {
				cutCache[workload(p)] = true
			}
		}
	})
	doubts := maps.Clone(a.doubts) // of either
	allow := opening("dns", networkstackv1alpha1.BaselineAllowDNS, nil)
	if len(cutService) > 0 {
		a.add(Finding{
			Name: FindingDNS, Severity: danger, From: some(cutService), To: "Service " + dnsNamespace + "/" + dnsService, Openings: allow,
			What: "no name is resolved, by UDP or TCP",
		})
	}
	if len(cutCache) > 0 {
		maps.Copy(a.doubts, doubts)
		a.add(Finding{
			Name: "dns/cache", Severity: danger, From: some(cutCache),
			To:   "the cache on every node (" + a.cluster.DNSCache[0].String() + ")",
			What: "no name is resolved, by UDP or TCP", Openings: allow,
		})
	}
}

// control is where proxies of a mesh ask their control plane.
type control struct {
	label, value string
	ports        []int32
	revision     string
	mesh         []Mesh
}

// controls tells control planes by their Services, whoever installed them. Of ambient pods nothing of their own asks.
var controls = []control{
	{label: "app", value: "istiod", ports: []int32{15012}, revision: "istio.io/rev", mesh: []Mesh{MeshIstio}},
	{label: "linkerd.io/control-plane-component", value: "destination", ports: []int32{8086, 8090}, mesh: []Mesh{MeshLinkerd}},
	{label: "linkerd.io/control-plane-component", value: "identity", ports: []int32{8080}, mesh: []Mesh{MeshLinkerd}},
	{label: "component", value: "server", ports: []int32{8502}, mesh: []Mesh{MeshConsul}},
}

// meshes judges the way from covered pods with a proxy to its control plane. A proxy that starts without gets no certificate and no
// routes, and its pod does not become ready.
func (a *analysis) meshes() {
	for i := range a.cluster.Services {
		s := &a.cluster.Services[i]
		for _, c := range controls {
			if s.Labels[c.label] != c.value || c.value == "server" && s.Labels["app"] != "consul" {
				continue
			}
			for _, p := range s.Ports {
				if slices.Contains(c.ports, p.Port) {
					a.mesh(s, c, a.targets(s, p))
				}
			}
		}
	}
}

func (a *analysis) mesh(s *Service, c control, targets []target) {
	from := map[string]bool{}
	var ports []policy.Port
	for i := range a.cluster.Pods {
		p := &a.cluster.Pods[i]
		if !slices.Contains(c.mesh, p.Mesh) || c.revision != "" && revision(p.Revision) != revision(s.Labels[c.revision]) {
			continue
		}
		if cut, is := a.cutPorts(a.of(p), targets); is {
			from[workload(p)] = true
			ports = cut
		}
	}
	if len(from) == 0 {
		return
	}
	to := opening("mesh", networkstackv1alpha1.BaselineAllowToNamespaces, ports)
	to[0].Namespaces = inNamespace(s.Namespace)
	if a.covered[s.Namespace] {
		to = append(to, opening("mesh-control-plane", networkstackv1alpha1.BaselineAllowFromAnywhere, ports)...)
	}
	a.add(Finding{
		Name: name("mesh", strings.ToLower(string(c.mesh[0])), s.Namespace, s.Name), Severity: danger, From: some(from),
		To:   place(s, ports),
		What: "proxies get neither certificates nor routes from the mesh's control plane", Openings: to,
	})
}

// revision is that of a control plane; the one without a name is the default.
func revision(r string) string { return cmp.Or(r, "default") }

// ambientProbes are what the kubelet's probes of ambient pods come from, on the pod's own node.
var ambientProbes = []netip.Addr{netip.MustParseAddr("169.254.7.127"), netip.MustParseAddr("fd16:9254:7127:1337:ffff:ffff:ffff:ffff")}

// probes judges probes of ambient pods alone: all others come from the pod's own node.
func (a *analysis) probes() {
	cut := map[string]bool{}
	var ports []policy.Port
	a.each(func(p *Pod) {
		if p.Mesh != MeshAmbient {
			return
		}
		for _, probe := range p.Probes {
			port := policy.Port{Protocol: tcp, Port: probe.Port}
			if probe.Name != "" {
				port.Port = named(p, probe.Name, tcp)
			}
			for _, at := range probeSources(p) {
				if !a.denies(policy.Ingress, p, end{kind: endOutside, at: single([]netip.Addr{at})}, port) {
					continue
				}
				cut[workload(p)] = true
				if port.Port > 0 && !slices.Contains(ports, port) {
					ports = append(ports, port)
				}
			}
		}
	})
	if len(cut) > 0 {
		a.add(Finding{
			Name: "probes/ambient", Severity: danger, From: "kubelet, as " + ambientProbes[0].String(), To: some(cut),
			What:     "probes of pods in the ambient mesh fail, and the pods are taken out of Services and started anew",
			Openings: opening("probes", networkstackv1alpha1.BaselineAllowFromAnywhere, bounded(ports)),
		})
	}
}

// probeSources are those of the families of a pod.
func probeSources(p *Pod) []netip.Addr {
	var out []netip.Addr
	for _, at := range ambientProbes {
		same := func(own netip.Addr) bool { return own.Is4() == at.Is4() }
		if len(p.Addresses) == 0 && at.Is4() || slices.ContainsFunc(p.Addresses, same) {
			out = append(out, at)
		}
	}
	return out
}

// portLimit is how many ports a baseline may have.
const portLimit = 16

// bounded are ports in order, as many as a baseline may have.
func bounded(ports []policy.Port) []policy.Port {
	slices.SortFunc(ports, func(x, y policy.Port) int { return cmp.Compare(x.Port, y.Port) })
	return ports[:min(len(ports), portLimit)]
}

// each visits the pods that the set is for.
func (a *analysis) each(visit func(p *Pod)) {
	for i := range a.cluster.Pods {
		if p := &a.cluster.Pods[i]; a.subject(p) {
			visit(p)
		}
	}
}

// gatewayLabel is on the pods of gateways that controllers make.
const gatewayLabel = "gateway.networking.k8s.io/gateway-name"

// ingress judges the way from the stack's ingress controllers to what Ingresses lead to. It hurts the workload alone.
func (a *analysis) ingress() {
	sources := a.controllers()
	for _, b := range a.cluster.Backends {
		s, targets := a.referred(b.Service)
		for _, from := range sources {
			ports, cut := a.cutPorts(from, targets)
			if !cut {
				continue
			}
			f := Finding{
				Name: name("ingress", s.Namespace, s.Name), Severity: notice, From: "ingress controller", To: place(s, ports),
				What: b.Source + " leads nowhere", Exempt: s.Namespace,
				Openings: opening("ingress", networkstackv1alpha1.BaselineAllowFromIngress, nil),
			}
			if from.kind == endPod {
				f.From += " " + workload(from.pod)
			}
			a.add(f)
			break
		}
	}
}

// controllers are the pods that take in traffic for others: in the namespaces of the stack's ingress controllers those behind a Service
// that is open to the outside, or in their nodes' network; and those of gateways.
func (a *analysis) controllers() []end {
	var out []end
	if a.cluster.Gateway {
		out = append(out, end{kind: endGateway})
	}
	for _, namespace := range a.cluster.IngressNamespaces {
		for _, i := range a.judge.pods[namespace] {
			p := &a.cluster.Pods[i]
			if p.HostNetwork || a.faces(p) {
				out = append(out, a.of(p))
			}
		}
	}
	for i := range a.cluster.Pods {
		p := &a.cluster.Pods[i]
		if p.Labels[gatewayLabel] != "" && !slices.Contains(a.cluster.IngressNamespaces, p.Namespace) {
			out = append(out, a.of(p))
		}
	}
	return out
}

// faces says whether a pod is behind a Service that is open to the outside.
func (a *analysis) faces(p *Pod) bool {
	return slices.ContainsFunc(a.cluster.Services, func(s Service) bool {
		return s.Outside && s.Namespace == p.Namespace && len(s.Selector) > 0 &&
			labels.SelectorFromSet(s.Selector).Matches(labels.Set(p.Labels))
	})
}

// outside judges the way from outside into Services of type LoadBalancer and NodePort: from the node that took a packet in, or, where
// nodes keep it (externalTrafficPolicy Local), from the client's address. It hurts the workload alone.
func (a *analysis) outside() {
	for i := range a.cluster.Services {
		s := &a.cluster.Services[i]
		if !s.Outside || !a.covered[s.Namespace] {
			continue
		}
		from, text := a.nodes(), "clients outside, with the addresses of nodes"
		if s.Local {
			from, text = end{kind: endOutside, at: everywhere}, "clients outside"
		}
		var ports []policy.Port
		cut := false
		for _, p := range s.Ports {
			targets := a.targets(s, p)
			if s.Local {
				targets = slices.DeleteFunc(targets, func(t target) bool { return !a.subject(t.pod) })
			}
			more, is := a.cutPorts(familyOf(from, targets), targets)
			cut = cut || is
			for _, p := range more {
				if !slices.Contains(ports, p) {
					ports = append(ports, p)
				}
			}
		}
		if cut {
			a.add(Finding{
				Name: name("service", s.Namespace, s.Name), Severity: notice, From: text, To: place(s, ports),
				Exempt:   s.Namespace,
				What:     "the Service is open to the outside, and cannot be reached from there",
				Openings: opening("outside", networkstackv1alpha1.BaselineAllowFromAnywhere, bounded(ports)),
			})
		}
	}
}

// familyOf is everybody outside of the families that pods have.
func familyOf(from end, targets []target) end {
	if from.kind != endOutside {
		return from
	}
	out := end{kind: endOutside}
	for _, r := range everywhere {
		if slices.ContainsFunc(targets, func(t target) bool {
			return len(t.pod.Addresses) == 0 && r.Addr().Is4() ||
				slices.ContainsFunc(t.pod.Addresses, func(at netip.Addr) bool { return at.Is4() == r.Addr().Is4() })
		}) {
			out.at = append(out.at, r)
		}
	}
	return out
}

// callers judges the way from covered pods that are granted something to the API server: operators and the like. It hurts them alone.
func (a *analysis) callers() {
	cut := map[string]bool{}
	port := policy.Port{Protocol: tcp, Port: a.cluster.APIServerPort}
	a.each(func(p *Pod) {
		if p.CallsAPI && a.denies(policy.Egress, p, a.apiServer(), port) {
			cut[workload(p)] = true
		}
	})
	if len(cut) > 0 {
		a.add(Finding{
			Name: "apiserver", Severity: notice, From: some(cut), To: fmt.Sprintf("API server, port %d", a.cluster.APIServerPort),
			What:     "they run with ServiceAccounts that are granted something, and cannot ask for it",
			Openings: opening("api-server", networkstackv1alpha1.BaselineAllowAPIServer, nil),
		})
	}
}
