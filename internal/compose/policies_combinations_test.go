package compose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/test/evaluate"
)

// part is a value of one dimension of the combinations: what it makes of an input, and what traffic it needs. The needs are written from
// what the projects document, and not from what the catalogue says.
type part struct {
	name  string
	edit  func(*Input)
	needs []need
}

// need is a connection that has to be open.
type need struct {
	from, to *evaluate.Endpoint
	ports    []string
}

func podAt(namespace, name string, labels ...string) *evaluate.Endpoint {
	e := &evaluate.Endpoint{Name: namespace + "/" + name, Kind: evaluate.Pod, Namespace: namespace, Labels: map[string]string{"app": name},
		Addresses: addrs(fmt.Sprintf("10.244.0.%d", 20+len(namespace+name)), fmt.Sprintf("fd00:10:244::%x", 0x20+len(namespace+name)))}
	for i := 0; i+1 < len(labels); i += 2 {
		e.Labels[labels[i]] = labels[i+1]
	}
	if namespace == "shop" || namespace == "pay" {
		e.NamespaceLabels = map[string]string{BaselineLabel: BaselineEnforced}
	}
	return e
}

func at(kind evaluate.Kind, name string, local bool, texts ...string) *evaluate.Endpoint {
	return &evaluate.Endpoint{Name: name, Kind: kind, Local: local, Addresses: addrs(texts...)}
}

var (
	web         = podAt("shop", "web")
	api         = podAt("pay", "api")
	prometheus2 = podAt("monitoring", "prometheus", "app.kubernetes.io/name", "prometheus")
	operator    = podAt("networkstack-system", "operator")
	legacy      = podAt("legacy", "app")
	coredns     = podAt("kube-system", "coredns", "k8s-app", "kube-dns")
	localdns    = podAt("kube-system", "node-local-dns", "k8s-app", "node-local-dns")
	apiserver   = at(evaluate.APIServer, "apiserver", false, "192.168.10.10", "fd00:192::10")
	ownNode     = at(evaluate.Node, "own node", true, "192.168.10.11", "fd00:192::11")
	otherNode   = at(evaluate.Node, "other node", false, "192.168.10.12", "fd00:192::12")
	cachesNode  = at(evaluate.Node, "cache", true, "169.254.20.10", "fd00:169:254:20::10")
	serviceNode = at(evaluate.Node, "cache at the Service's address", true, "10.96.0.10")
	metadata2   = at(evaluate.Outside, "metadata", false, "169.254.169.254", "fd00:ec2::254")
	internet2   = at(evaluate.Outside, "internet", false, "203.0.113.7", "2001:db8:ffff::7")
	// probe is where ambient's probes come from.
	probe = at(evaluate.Outside, "probe", false, "169.254.7.127", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff")
)

// asked are queries for names.
func asked(of ...*evaluate.Endpoint) []need {
	var out []need
	for _, e := range of {
		out = append(out, need{web, e, []string{"UDP/53", "TCP/53"}})
	}
	return out
}

// passed are requests that an ingress controller gets and passes on.
func passed(controller *evaluate.Endpoint, more ...need) []need {
	return append([]need{
		{controller, web, []string{"TCP/8080", "TCP/443", "UDP/443"}}, {internet2, controller, []string{"TCP/443", "TCP/80"}},
		{controller, apiserver, []string{"TCP/6443"}}, {prometheus2, controller, []string{"TCP/10254", "TCP/9113", "TCP/9100", "TCP/9101", "TCP/1024", "TCP/15020", "TCP/19001"}},
	}, more...)
}

var cniParts = []part{
	{name: "Cilium"},
	{name: "Cilium with ClusterNetworkPolicies"},
	{name: "Calico"},
	{name: "Calico with ClusterNetworkPolicies"},
	{name: "Calico with NetworkPolicies"},
	{name: "Flannel"},
	{name: "Weave Net"},
	{name: "AWS"},
	{name: "a foreign Calico"},
}

// cniInput is a stack with a network plugin that is asked for policies of a kind.
func cniInput(name string) Input {
	var in Input
	switch {
	case strings.HasPrefix(name, "Cilium"):
		in = cilium(mode(KubeProxyReplaced), cluster(func(s *facts.Snapshot) { s.ServiceMonitors = true }))
		if strings.Contains(name, "Cluster") {
			clusterPolicies(&in)
		}
	case strings.HasPrefix(name, "Calico"):
		in = calico()
	case name == "Flannel":
		in = flannel(policies(Enabled))
	case name == "Weave Net":
		in = weave()
	case name == "AWS":
		in = eks(policies(Enabled))
	default:
		in = external()
	}
	in.Catalog = defaults()
	gatewayFound("v1.6.1", "standard")(&in)
	if proxy := in.Facts.KubeProxy(); proxy != nil {
		proxy.Mode = "iptables"
	}
	in.OperatorNamespace = "networkstack-system"
	in.Facts.DNSIPs, in.Facts.ClusterPolicies = addrs("10.96.0.10"), true
	in.Stack.Spec.Policies = &PoliciesSpec{Mode: PolicyEnforce, Namespaces: &PolicyNamespaces{Selector: &metav1.LabelSelector{}}, Baselines: []Baseline{
		noIngress, noEgress, {Name: "metadata", Type: BaselineDenyCloudMetadata},
		{Name: "from", Type: BaselineAllowFromNamespaces, Namespaces: &metav1.LabelSelector{}, Ports: []PolicyPort{{Port: 8080}}},
		{Name: "to", Type: BaselineAllowToNamespaces, Namespaces: &metav1.LabelSelector{}, Ports: []PolicyPort{{Port: 8080}}},
		{Name: "api", Type: BaselineAllowAPIServer},
	}}
	switch {
	case strings.Contains(name, "ClusterNetworkPolicies"):
		in.Stack.Spec.Policies.API = PolicyAPIClusterNetworkPolicy
	case strings.Contains(name, "NetworkPolicies"):
		in.Stack.Spec.Policies.API = PolicyAPINetworkPolicy
	}
	in.Stack.Spec.Addons = []AddonSpec{{Name: "monitoring", ComponentSettings: ComponentSettings{Version: "70.0.0",
		Chart: &ChartReference{Repository: "https://prometheus-community.github.io/helm-charts", Name: "kube-prometheus-stack"}}}}
	return in
}

var meshParts = []part{
	{name: "no mesh"},
	{name: "Istio", edit: istio(), needs: []need{
		{web, podAt("istio-system", "istiod"), []string{"TCP/15012", "TCP/15010", "TCP/15014"}}, {web, api, []string{"TCP/15008"}},
		{prometheus2, web, []string{"TCP/15020", "TCP/15090"}}, {apiserver, podAt("istio-system", "istiod"), []string{"TCP/15017"}},
		{internet2, podAt("shop", "gateway", "gateway.istio.io/managed", "istio.io-gateway-controller"), []string{"TCP/443"}},
		{podAt("shop", "gateway", "gateway.istio.io/managed", "istio.io-gateway-controller"), api, []string{"TCP/9999"}},
	}},
	{name: "Istio, ambient", edit: istio(ambient), needs: []need{
		{probe, web, []string{"TCP/8080", "TCP/9999"}}, {web, api, []string{"TCP/15008"}},
		{podAt("istio-system", "ztunnel"), podAt("istio-system", "istiod"), []string{"TCP/15012"}},
		{web, podAt("shop", "waypoint", "gateway.istio.io/managed", "istio.io-mesh-controller"), []string{"TCP/15008"}},
		{podAt("shop", "waypoint", "gateway.istio.io/managed", "istio.io-mesh-controller"), api, []string{"TCP/15008"}},
		{podAt("shop", "waypoint", "gateway.istio.io/managed", "istio.io-mesh-controller"), podAt("istio-system", "istiod"), []string{"TCP/15012"}},
	}},
	{name: "Linkerd", edit: meshOf(MeshLinkerd), needs: []need{
		{web, podAt("linkerd", "destination", "linkerd.io/control-plane-ns", "linkerd", "linkerd.io/control-plane-component", "destination"), []string{"TCP/8086", "TCP/8090"}},
		{web, podAt("linkerd", "identity", "linkerd.io/control-plane-ns", "linkerd", "linkerd.io/control-plane-component", "identity"), []string{"TCP/8080"}},
		{web, api, []string{"TCP/4143"}}, {prometheus2, web, []string{"TCP/4191"}},
		{apiserver, podAt("linkerd", "proxy-injector", "linkerd.io/control-plane-ns", "linkerd"), []string{"TCP/8443", "TCP/9443"}},
		{ownNode, web, []string{"TCP/4191"}},
	}},
	{name: "Consul", edit: consul(), needs: []need{
		{web, podAt("consul", "consul-server", "app", "consul", "component", "server"), []string{"TCP/8502", "TCP/8501"}},
		{web, api, []string{"TCP/20000"}}, {prometheus2, web, []string{"TCP/20200"}},
		{apiserver, podAt("consul", "injector", "app", "consul", "component", "connect-injector"), []string{"TCP/8080"}},
	}},
}

// controllerAt is an ingress controller's pod, with the labels of its chart.
func controllerAt(namespace, name string, labels ...string) *evaluate.Endpoint {
	return podAt(namespace, "ingress-a", append([]string{"app.kubernetes.io/name", name, "app.kubernetes.io/instance", "ingress-a"}, labels...)...)
}

func ingressPart(typ IngressType, needs []need, edits ...func(*IngressSpec)) part {
	return part{name: string(typ), needs: needs, edit: func(in *Input) {
		i := ingressOf(typ, edits...)
		in.Stack.Spec.Ingress = []IngressSpec{i}
	}}
}

func onHostNetwork(key string) func(*IngressSpec) {
	return func(i *IngressSpec) {
		i.Values = rawValues(nestedValue(key, true))
	}
}

func nestedValue(path string, v any) object {
	head, rest, more := strings.Cut(path, ".")
	if more {
		return object{head: nestedValue(rest, v)}
	}
	return object{head: v}
}

var ingressParts = func() []part {
	envoy := podAt("envoy-gateway-system", "envoy", "app.kubernetes.io/managed-by", "envoy-gateway", "app.kubernetes.io/component", "proxy")
	out := []part{
		{name: "no ingress"},
		ingressPart(IngressNGINX, passed(controllerAt("ingress-nginx", "ingress-nginx", "app.kubernetes.io/component", "controller"),
			need{apiserver, controllerAt("ingress-nginx", "ingress-nginx"), []string{"TCP/8443"}})),
		ingressPart(IngressNGINXInc, passed(controllerAt("nginx-ingress", "nginx-ingress"))),
		ingressPart(IngressTraefik, passed(controllerAt("traefik", "traefik"))),
		ingressPart(IngressHAProxy, passed(controllerAt("haproxy-controller", "kubernetes-ingress"))),
		ingressPart(IngressHAProxyIngress, passed(controllerAt("ingress-controller", "haproxy-ingress"))),
		ingressPart(IngressIstioGateway, passed(podAt("istio-ingress", "ingress-a"))),
		ingressPart(IngressEnvoyGateway, passed(envoy,
			need{envoy, podAt("envoy-gateway-system", "gateway"), []string{"TCP/18000", "TCP/18001", "TCP/18002"}},
			need{apiserver, podAt("envoy-gateway-system", "gateway"), []string{"TCP/9443"}})),
		ingressPart(IngressCilium, []need{{at(evaluate.Gateway, "Cilium's proxy", false, "10.244.0.5", "fd00:10:244::5"), web, []string{"TCP/8080"}}}),
		{name: "GCE", needs: []need{
			{at(evaluate.Outside, "Google's proxies", false, "35.191.3.4", "2600:2d00:1:b029::4"), web, []string{"TCP/8080", "TCP/9999"}},
			{at(evaluate.Outside, "Google's health checks", false, "130.211.2.1", "2600:2d00:1:1::4"), web, []string{"TCP/8080"}},
		}, edit: func(in *Input) {
			in.Facts.BackendConfigs, in.Stack.Spec.Ingress = true, []IngressSpec{ingressOf(IngressGCE)}
		}},
	}
	named := len(out)
	for typ, key := range map[IngressType]string{IngressNGINX: "controller.hostNetwork", IngressNGINXInc: "controller.hostNetwork",
		IngressHAProxyIngress: "controller.hostNetwork", IngressHAProxy: "controller.daemonset.useHostNetwork"} {
		p := ingressPart(typ, []need{{otherNode, web, []string{"TCP/8080"}}}, onHostNetwork(key))
		p.name += " on its nodes' network"
		out = append(out, p)
	}
	slices.SortFunc(out[named:], func(a, b part) int { return strings.Compare(a.name, b.name) })
	return out
}()

var dnsParts = []part{
	{name: "a DNS of others", needs: asked(coredns), edit: edited(func(p *PoliciesSpec) { p.Baselines = append(p.Baselines, dnsOpen) })},
	{name: "CoreDNS", needs: asked(coredns), edit: func(in *Input) { in.Stack.Spec.DNS = &DNSSpec{Type: DNSCoreDNS} }},
	{name: "CoreDNS and caches", needs: asked(coredns, cachesNode, serviceNode), edit: func(in *Input) {
		in.Stack.Spec.DNS = &DNSSpec{Type: DNSCoreDNS, NodeLocalCache: &NodeLocalCacheSpec{Mode: Enabled}}
	}},
	{name: "caches of a DNS of others", needs: asked(coredns, cachesNode, serviceNode), edit: func(in *Input) {
		in.Stack.Spec.DNS = &DNSSpec{Type: DNSUnmanaged, NodeLocalCache: &NodeLocalCacheSpec{Mode: Enabled}}
	}},
}

// TestNothingNeededIsCut denies everything, in every combination of network plugin, mesh, ingress and DNS, and wants open what these need,
// and cut what nobody does.
func TestNothingNeededIsCut(t *testing.T) {
	accepted, refused, asked := 0, 0, 0
	seen := map[string]int{}
	apis := map[PolicyAPI]int{}
	combination := 0
	for _, c := range cniParts {
		for _, mesh := range meshParts {
			for _, ingress := range ingressParts {
				for _, dns := range dnsParts {
					combination++
					in := cniInput(c.name)
					for _, p := range []part{mesh, ingress, dns} {
						if p.edit != nil {
							p.edit(&in)
						}
					}
					dual := combination%2 == 0 && c.name != "AWS" && c.name != "Weave Net" // which have no two families
					if dual {
						makeBoth(&in)
					}
					name := fmt.Sprintf("%s, %s, %s, %s, dual-stack %v", c.name, mesh.name, ingress.name, dns.name, dual)
					r := Compose(in)
					if slices.ContainsFunc(r.Errors, func(f Finding) bool { return strings.HasPrefix(f.Rule, "POLICIES") }) {
						t.Errorf("%s: %v", name, messages(r.Errors))
					}
					if len(r.Errors) > 0 {
						refused++
						seen["refused: "+r.Errors[0].Rule]++
						continue
					}
					accepted++
					apis[r.Policies.API]++
					for _, p := range []part{c, mesh, ingress, dns} {
						seen[p.name]++
					}
					asked += needed(t, name, r, dual, slices.Concat(mesh.needs, ingress.needs, dns.needs))
					if t.Failed() {
						t.FailNow()
					}
				}
			}
		}
	}
	t.Logf("%d combinations, and %d that are refused; %d connections; %v; %v", accepted, refused, asked, apis, seen)
	for _, dimension := range [][]part{cniParts, meshParts, ingressParts, dnsParts} {
		for _, p := range dimension {
			if seen[p.name] == 0 {
				t.Errorf("%s is in no combination that is accepted", p.name)
			}
		}
	}
	if len(apis) != 4 || accepted < 1000 {
		t.Errorf("%d combinations with %v", accepted, apis)
	}
}

// makeBoth gives a cluster both families.
func makeBoth(in *Input) {
	makeDual(in.Facts)
	if len(in.Stack.Spec.IPPools) > 0 {
		in.Stack.Spec.IPPools[0].CIDRs = append(in.Stack.Spec.IPPools[0].CIDRs, "fd00:10:244::/56")
	}
	in.Facts.APIServers = []netip.AddrPort{netip.MustParseAddrPort("[fd00:192::10]:6443")}
	in.Facts.DNSIPs = append(in.Facts.DNSIPs, netip.MustParseAddr("fd00:10:96::a"))
}

// needed asks for what has to be open and for what has to be cut.
func needed(t *testing.T, name string, r Result, dual bool, needs []need) int {
	t.Helper()
	c := policy.Compile(r.Policies)
	always := []need{
		{ownNode, web, []string{"TCP/8080", "TCP/15021"}}, {web, api, []string{"TCP/8080"}}, {web, apiserver, []string{"TCP/6443"}},
		{apiserver, operator, []string{"TCP/9443"}}, {operator, internet2, []string{"TCP/443"}}, {coredns, internet2, []string{"UDP/53"}},
		{podAt("kube-system", "metrics-server"), apiserver, []string{"TCP/6443"}},
		{apiserver, podAt("kube-system", "metrics-server"), []string{"TCP/10250"}}, {prometheus2, coredns, []string{"TCP/9153"}},
		{prometheus2, operator, []string{"TCP/8443"}},
	}
	ends := []*evaluate.Endpoint{web, api, legacy}
	for _, n := range slices.Concat(always, needs) {
		ends = append(ends, n.from, n.to)
	}
	policies, err := evaluate.Read(evaluate.Instantiate(c.Cluster, c.Namespaced, c.Namespaces, ends))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	redirected := slices.ContainsFunc(r.Effective, func(e EffectiveSetting) bool {
		return strings.HasSuffix(e.Setting, "nodeLocalCache.interception") && e.Value == string(InterceptRedirectPolicy)
	})
	n := 0
	ask := func(from, to *evaluate.Endpoint, port string, six, want bool) {
		protocol, number, _ := strings.Cut(port, "/")
		connection := evaluate.Connection{From: from, To: to, Protocol: protocol, IPv6: six}
		if _, err := fmt.Sscan(number, &connection.Port); err != nil {
			t.Fatal(err)
		}
		got, err := policies.Allowed(connection)
		if err != nil || got != want {
			t.Errorf("%s (%s): %s to %s at %s, IPv6 %v: open is %v, want %v (%v)", name, r.Policies.API, from.Name, to.Name, port, six, got, want, err)
		}
		n++
	}
	families := []bool{false}
	if dual {
		families = append(families, true)
	}
	for _, six := range families {
		for _, need := range slices.Concat(always, needs) {
			to := need.to
			if to == cachesNode || to == serviceNode {
				switch {
				case redirected:
					to = localdns
				case six:
					continue // a cache has addresses of one family
				}
			}
			for _, port := range need.ports {
				ask(need.from, to, port, six, true)
			}
		}
		ask(web, metadata2, "TCP/80", six, false)
		ask(web, internet2, "TCP/443", six, false)
		ask(web, api, "TCP/9998", six, false)
		ask(web, coredns, "TCP/9153", six, false)
		ask(legacy, web, "TCP/9998", six, false)
		if r.Policies.API != PolicyAPIClusterNetworkPolicy { // which knows only pods as sources
			ask(internet2, web, "TCP/9998", six, false)
			ask(apiserver, web, "TCP/9998", six, false)
		}
	}
	return n
}
