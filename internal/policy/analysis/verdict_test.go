package analysis

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
)

// TestRules holds what single rules open for webhooks, and for pods that call the API server, in the languages where it differs.
func TestRules(t *testing.T) {
	all := netip.MustParsePrefix("0.0.0.0/0")
	in := func(change func(*policy.Rule)) policy.Rule {
		r := policy.Rule{Name: "r", Direction: policy.Ingress}
		change(&r)
		return r
	}
	for _, tc := range []struct {
		name string
		rule policy.Rule
		// cluster changes the town with a webhook on a node's API server.
		cluster func(*Cluster)
		open    []networkstackv1alpha1.PolicyAPI
	}{
		{"everything", in(func(*policy.Rule) {}), nil, []networkstackv1alpha1.PolicyAPI{cnp, calico, cilium, plain}},
		{"the port", in(func(r *policy.Rule) { r.Ports = []policy.Port{{Protocol: tcp, Port: 9443}} }), nil, []networkstackv1alpha1.PolicyAPI{cnp, calico, cilium, plain}},
		{"a range with the port", in(func(r *policy.Rule) { r.Ports = []policy.Port{{Protocol: tcp, Port: 9000, EndPort: 9443}} }), nil, []networkstackv1alpha1.PolicyAPI{cnp, calico, cilium, plain}},
		{"a range below", in(func(r *policy.Rule) { r.Ports = []policy.Port{{Protocol: tcp, Port: 9000, EndPort: 9442}} }), nil, nil},
		{"the Service's port", in(func(r *policy.Rule) { r.Ports = []policy.Port{{Protocol: tcp, Port: 443}} }), nil, nil},
		{"another protocol", in(func(r *policy.Rule) { r.Ports = []policy.Port{{Protocol: udp, Port: 9443}} }), nil, nil},
		{"the other direction", in(func(r *policy.Rule) { r.Direction = policy.Egress }), nil, nil},
		{"these pods", in(func(r *policy.Rule) { r.Pods.MatchLabels = pairs("app", "guard") }), nil, []networkstackv1alpha1.PolicyAPI{cnp, calico, cilium, plain}},
		{"other pods", in(func(r *policy.Rule) { r.Pods.MatchLabels = pairs("app", "other") }), nil, nil},
		{"a selector that cannot be read", in(func(r *policy.Rule) { r.Pods.MatchExpressions = []metav1.LabelSelectorRequirement{{Operator: "?"}} }), nil, nil},
		{"all pods of the cluster", in(func(r *policy.Rule) { r.Peers = []policy.Peer{{Namespaces: &metav1.LabelSelector{}}} }), nil, nil},
		{"the API server", in(func(r *policy.Rule) { r.Peers = []policy.Peer{{Entity: policy.APIServer}} }), nil, []networkstackv1alpha1.PolicyAPI{cnp, calico, cilium, plain}},
		{"the nodes, one of which it is on", in(func(r *policy.Rule) { r.Peers = []policy.Peer{{Entity: policy.Nodes}} }), nil, []networkstackv1alpha1.PolicyAPI{cnp, calico, cilium, plain}},
		{"the nodes, none of which it is on", in(func(r *policy.Rule) { r.Peers = []policy.Peer{{Entity: policy.Nodes}} }), func(c *Cluster) { c.Nodes = c.Nodes[1:] }, nil},
		{"the nodes, not known where it is", in(func(r *policy.Rule) { r.Peers = []policy.Peer{{Entity: policy.Nodes}} }), func(c *Cluster) { c.APIServer = nil }, nil},
		{"all addresses", in(func(r *policy.Rule) { r.Peers = []policy.Peer{{CIDR: all}} }), nil, []networkstackv1alpha1.PolicyAPI{cnp, calico, plain}},
		{"all addresses but its own", in(func(r *policy.Rule) {
			r.Peers = []policy.Peer{{CIDR: all, Except: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}}}
		}), nil, nil},
		{"one of its addresses", in(func(r *policy.Rule) { r.Peers = []policy.Peer{{CIDR: netip.MustParsePrefix("192.0.2.10/32")}} }), func(c *Cluster) { c.APIServer = append(c.APIServer, addr("192.0.2.12")) }, nil},
		{"all addresses, its own not known", in(func(r *policy.Rule) { r.Peers = []policy.Peer{{CIDR: all}} }), func(c *Cluster) { c.APIServer = nil }, nil},
	} {
		for _, api := range []networkstackv1alpha1.PolicyAPI{cnp, calico, cilium, plain} {
			c := town()
			webhook(&c, true)
			if tc.cluster != nil {
				tc.cluster(&c)
			}
			opened := len(Analyse(deny(api, tc.rule), &c).Findings) == 0
			if opened != slices.Contains(tc.open, api) {
				t.Errorf("%s, %s: opened %v", tc.name, api, opened)
			}
		}
	}
}

// TestPeers holds which pods a peer is, from what it opens to an ingress controller.
func TestPeers(t *testing.T) {
	self := policy.Peer{SameNamespace: true}
	of := func(namespace string, l ...string) policy.Peer {
		p := policy.Peer{Namespaces: &metav1.LabelSelector{MatchLabels: named1(namespace)}}
		if len(l) > 0 {
			p.Pods = &metav1.LabelSelector{MatchLabels: pairs(l...)}
		}
		return p
	}
	for _, tc := range []struct {
		name string
		peer policy.Peer
		from func(*Pod)
		api  networkstackv1alpha1.PolicyAPI
		open bool
	}{
		{"its namespace", of("gateways"), nil, cnp, true},
		{"another namespace", of("monitoring"), nil, cnp, false},
		{"its labels", of("gateways", gatewayLabel, "public"), nil, cnp, true},
		{"other labels", of("gateways", gatewayLabel, "private"), nil, cnp, false},
		{"the same namespace, from another", self, nil, cnp, false},
		{"the same namespace, from there", self, func(p *Pod) { p.Namespace = "shop" }, cnp, true},
		{"its namespace, in the nodes' network", of("gateways"), func(p *Pod) { p.HostNetwork = true }, cnp, false},
		{"the nodes, in their network", policy.Peer{Entity: policy.Nodes}, func(p *Pod) { p.HostNetwork = true }, cnp, true},
		{"the nodes, in a network of its own", policy.Peer{Entity: policy.Nodes}, nil, cnp, false},
		{"its address", policy.Peer{CIDR: netip.MustParsePrefix("10.244.0.0/16")}, nil, cnp, true},
		{"its address, with Calico", policy.Peer{CIDR: netip.MustParsePrefix("10.244.0.0/16")}, nil, calico, true},
		{"its address, with Cilium", policy.Peer{CIDR: netip.MustParsePrefix("10.244.0.0/16")}, nil, cilium, false},
		{"its address, with NetworkPolicies", policy.Peer{CIDR: netip.MustParsePrefix("10.244.0.0/16")}, nil, plain, false},
		{"one of its addresses", policy.Peer{CIDR: netip.MustParsePrefix("10.244.0.0/16")}, func(p *Pod) { p.Addresses = append(p.Addresses, addr("10.245.0.1")) }, cnp, false},
	} {
		c := town()
		ingressed(&c)
		c.Pods[1].Namespace, c.Pods[1].Labels = "gateways", pairs(gatewayLabel, "public")
		if tc.from != nil {
			tc.from(&c.Pods[1])
		}
		set := deny(tc.api, policy.Rule{Name: "r", Direction: policy.Ingress, Peers: []policy.Peer{tc.peer}})
		set.Rules = slices.DeleteFunc(set.Rules, func(r policy.Rule) bool { return r.Direction == policy.Egress })
		if got := names(Analyse(set, &c)); (len(got) == 0) != tc.open {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// TestUncut are things that no set cuts, or that nobody can know of.
func TestUncut(t *testing.T) {
	everything := &policy.Set{API: cnp, Rules: []policy.Rule{
		{Name: "in", Direction: policy.Ingress, Deny: true}, {Name: "out", Direction: policy.Egress, Deny: true},
	}}
	for _, tc := range []struct {
		name   string
		change func(*Cluster)
		set    *policy.Set
		want   []string
	}{
		{"a webhook in its node's network", func(c *Cluster) { webhook(c, true); c.Pods[0].HostNetwork = true }, deny(cnp), []string{}},
		{"a webhook in another namespace", func(c *Cluster) {
			webhook(c, true)
			c.Webhooks[0].Service.Namespace, c.Services[0].Namespace, c.Pods[0].Namespace = "monitoring", "monitoring", "monitoring"
		}, deny(cnp), []string{}},
		{"a webhook whose Service is not there", func(c *Cluster) { webhook(c, true); c.Services = nil }, deny(cnp), []string{}},
		{"a webhook on a port that its Service lacks", func(c *Cluster) { webhook(c, true); c.Webhooks[0].Service.Port = 444 }, deny(cnp), []string{}},
		{"a Service without a selector", func(c *Cluster) { webhook(c, true); c.Services[0].Selector = nil }, deny(cnp), []string{}},
		{"a set without rules", func(c *Cluster) { webhook(c, true); dns(c) }, &policy.Set{API: cnp}, []string{}},
		{"a proxy of another revision", func(c *Cluster) {
			mesh(c, MeshIstio, "istio-system", "istiod", pairs("app", "istiod", "istio.io/rev", "a"), 15012)
			c.Pods[1].Revision = "b"
		}, deny(cnp), []string{}},
		{"a proxy of the default revision", func(c *Cluster) {
			mesh(c, MeshIstio, "istio-system", "istiod", pairs("app", "istiod", "istio.io/rev", "default"), 15012)
		}, deny(cnp), []string{"mesh/istio/istio-system/istiod"}},
		{"a port of the control plane that proxies do not ask", func(c *Cluster) { mesh(c, MeshIstio, "istio-system", "istiod", pairs("app", "istiod"), 15017) }, deny(cnp), []string{}},
		{"a pod without a proxy", func(c *Cluster) { mesh(c, MeshNone, "istio-system", "istiod", pairs("app", "istiod"), 15012) }, deny(cnp), []string{}},
		{"a server that is not Consul's", func(c *Cluster) { mesh(c, MeshConsul, "consul", "db", pairs("component", "server"), 8502) }, deny(cnp), []string{}},
		{"probes of pods that are in no mesh", func(c *Cluster) {
			c.Pods = []Pod{pod("shop", "web", nil)}
			c.Pods[0].Probes = []PodPort{{Port: 8080}}
		}, deny(cnp), []string{}},
		{"probes by IPv6", func(c *Cluster) {
			c.Pods = []Pod{pod("shop", "web", nil)}
			c.Pods[0].Mesh, c.Pods[0].Probes, c.Pods[0].Addresses = MeshAmbient, []PodPort{{Port: 8080}}, []netip.Addr{addr("fd00::1")}
		}, deny(cnp, policy.Rule{Name: "four", Direction: policy.Ingress, Peers: []policy.Peer{{CIDR: netip.MustParsePrefix("169.254.7.127/32")}}}), []string{"probes/ambient"}},
		{"probes by IPv4, opened by their address", func(c *Cluster) {
			c.Pods = []Pod{pod("shop", "web", nil)}
			c.Pods[0].Mesh, c.Pods[0].Probes = MeshAmbient, []PodPort{{Port: 8080}}
		}, deny(cilium, policy.Rule{Name: "four", Direction: policy.Ingress, Peers: []policy.Peer{{CIDR: netip.MustParsePrefix("169.254.7.127/32")}}}), []string{}},
		{"an Ingress by a controller that faces nobody", func(c *Cluster) { ingressed(c) }, deny(cnp), []string{}},
		{"a Service for the cluster alone", func(c *Cluster) { outsider(c, false); c.Services[0].Outside = false }, deny(cnp), []string{}},
		{"a Service open to nodes", func(c *Cluster) { outsider(c, false) }, deny(cnp, policy.Rule{Name: "n", Direction: policy.Ingress, Peers: []policy.Peer{{Entity: policy.Nodes}}}), []string{}},
		{"a Service with clients' addresses, open to nodes", func(c *Cluster) { outsider(c, true) }, deny(cnp, policy.Rule{Name: "n", Direction: policy.Ingress, Peers: []policy.Peer{{Entity: policy.Nodes}}}), []string{"service/shop/web"}},
		{"a Service with clients' addresses, open to all of them", func(c *Cluster) { outsider(c, true) }, deny(cilium, policy.Rule{Name: "n", Direction: policy.Ingress, Peers: []policy.Peer{{CIDR: netip.MustParsePrefix("0.0.0.0/0")}}}), []string{}},
		{"a Service with clients' addresses, open to one family of two", func(c *Cluster) {
			outsider(c, true)
			c.Pods[0].Addresses = append(c.Pods[0].Addresses, addr("fd00::1"))
		}, deny(cilium, policy.Rule{Name: "n", Direction: policy.Ingress, Peers: []policy.Peer{{CIDR: netip.MustParsePrefix("0.0.0.0/0")}}}), []string{"service/shop/web"}},
		{"a Service with clients' addresses, open to half of them", func(c *Cluster) { outsider(c, true) }, deny(cilium, policy.Rule{Name: "n", Direction: policy.Ingress, Peers: []policy.Peer{{CIDR: netip.MustParsePrefix("0.0.0.0/1")}}}), []string{"service/shop/web"}},
		{"a pod in its node's network that is granted something", func(c *Cluster) {
			c.Pods = []Pod{pod("shop", "web", nil)}
			c.Pods[0].CallsAPI, c.Pods[0].HostNetwork = true, true
		}, deny(cnp), []string{}},
		{"a pod that nothing is granted", func(c *Cluster) { c.Pods = []Pod{pod("shop", "web", nil)} }, deny(cnp), []string{}},
		{"a monitor of other namespaces", func(c *Cluster) {
			scraped(c)
			c.Monitors = []Monitor{{Kind: "ServiceMonitor", Namespace: "monitoring", Name: "web", Ports: []string{"main"}}}
		}, deny(cnp), []string{}},
		{"a monitor of a port that nobody has", func(c *Cluster) {
			scraped(c)
			c.Monitors = []Monitor{{Kind: "ServiceMonitor", Namespace: "shop", Name: "web", Ports: []string{"other"}}}
		}, deny(cnp), []string{}},
		{"a monitor without anybody who scrapes", func(c *Cluster) {
			scraped(c)
			c.Pods = c.Pods[:1]
			c.Pods[0].Scraped = 9100
		}, deny(cnp), []string{}},
		{"DNS, half open", dns, deny(cnp, policy.Rule{Name: "udp", Direction: policy.Egress, Ports: []policy.Port{{Protocol: udp, Port: 53}}}), []string{"dns"}},
		{"the cache, half open", func(c *Cluster) { c.DNSCache = []netip.Addr{addr("169.254.20.10")} }, deny(cnp, policy.Rule{Name: "tcp", Direction: policy.Egress, Ports: []policy.Port{{Protocol: tcp, Port: 53}}}), []string{"dns/cache"}},
		{"what is denied before anything else, though opened", func(c *Cluster) { webhook(c, true) }, deny(cnp,
			policy.Rule{Name: "a", Direction: policy.Ingress}, policy.Rule{Name: "d", Direction: policy.Ingress, Deny: true}), []string{"webhook/guard/shop/guard"}},
		{"what is denied before anything else, though a user's policy decides", func(c *Cluster) {
			webhook(c, true)
			c.Policies = []Policy{{Namespace: "shop", Ingress: true}}
		}, everything, []string{"webhook/guard/shop/guard"}},
		{"a user's policy for other pods", func(c *Cluster) {
			webhook(c, true)
			c.Policies = []Policy{{Namespace: "shop", Ingress: true, Pods: metav1.LabelSelector{MatchLabels: pairs("app", "other")}}, {Namespace: "gateways", Ingress: true}}
		}, deny(cnp), []string{"webhook/guard/shop/guard"}},
	} {
		if got := names(Analyse(tc.set, build(tc.change))); !slices.Equal(got, tc.want) {
			t.Errorf("%s: found %v, not %v", tc.name, got, tc.want)
		}
	}
}

// TestJoined wants what has one name to be told once: as bad as the worst, with all that is to be opened.
func TestJoined(t *testing.T) {
	c := town()
	webhook(&c, false)
	c.Services[0].Ports = append(c.Services[0].Ports, ServicePort{Port: 444, Target: intstr.FromInt32(9444)})
	for _, port := range []int32{443, 444} {
		w := c.Webhooks[0]
		w.Fail, w.Service.Port = port == 444, port
		c.Webhooks = append(c.Webhooks, w)
	}
	r := Analyse(deny(cnp), &c)
	if len(r.Findings) != 1 || r.Findings[0].Severity != danger || !strings.Contains(r.Findings[0].Message(), "ports: [{port: 9443}, {port: 9444}]") ||
		!strings.Contains(r.Findings[0].Message(), "nobody can write") {
		t.Errorf("%+v", r)
	}
	for i := range 5 {
		c.Pods = append(c.Pods, pod("shop", fmt.Sprintf("web-%d", i), nil))
	}
	dns(&c)
	if got := Analyse(deny(cnp), &c).Findings[0]; got.Name != "dns" || got.From != "shop/Deployment guard, shop/Deployment web-0, shop/Deployment web-1 and 3 more" {
		t.Errorf("%s: %s", got.Name, got.From)
	}
}

// TestShow wants what matters first, all of it counted, and acknowledging to hide nothing.
func TestShow(t *testing.T) {
	var r Report
	for i := range 5 {
		r.Findings = append(r.Findings, Finding{Name: fmt.Sprintf("d%d", i), Severity: danger})
	}
	for i := range 5 {
		r.Findings = append(r.Findings, Finding{Name: fmt.Sprintf("n%d", i), Severity: notice})
	}
	got := r.Show([]string{"d0", "gone", "n1", "away"}, 7)
	var shown []string
	for _, f := range got.Findings {
		shown = append(shown, f.Name)
	}
	if !slices.Equal(shown, []string{"d1", "d2", "d3", "d4", "d0", "n0", "n1"}) || got.Total != 10 ||
		!slices.Equal(got.Dangerous, []string{"d1", "d2", "d3", "d4"}) || !slices.Equal(got.Unknown, []string{"away", "gone"}) {
		t.Errorf("%v, %+v", shown, got)
	}
	if len(r.Show(nil, 32).Findings) != 10 || r.Findings[0].Name != "d0" {
		t.Error("the report has changed, or something is missing")
	}
}

// TestName wants names that fit, and that differ where the whole does.
func TestName(t *testing.T) {
	long := strings.Repeat("a", 253)
	a, b := name("webhook", long, "x"), name("webhook", long, "y")
	if len(a) > nameLimit || len(b) > nameLimit || a == b || name("webhook", "a", "b") != "webhook/a/b" {
		t.Errorf("%s, %s", a, b)
	}
	if n := entryName("monitoring", strings.Repeat("a", 28)+"-"+strings.Repeat("b", 34)); len(n) > 40 || strings.HasSuffix(n, "-") {
		t.Errorf("a baseline cannot be called %s", n)
	}
}

// everything is a cluster with all that is judged.
func everything() Cluster {
	c := town()
	for _, k := range kinds {
		one := build(k.change)
		seen := map[string]bool{}
		for _, s := range c.Services {
			seen[s.Namespace+s.Name] = true
		}
		for _, s := range one.Services {
			if !seen[s.Namespace+s.Name] {
				c.Services = append(c.Services, s)
			}
		}
		c.Pods = append(c.Pods, one.Pods...)
		c.Webhooks, c.APIServices = append(c.Webhooks, one.Webhooks...), append(c.APIServices, one.APIServices...)
		c.Backends, c.Monitors = append(c.Backends, one.Backends...), append(c.Monitors, one.Monitors...)
		c.DNSCache = append(c.DNSCache, one.DNSCache...)
	}
	return c
}

// anyRule is a rule of any kind that opens something.
func anyRule(r *rand.Rand, c *Cluster) policy.Rule {
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	out := policy.Rule{Name: "r", Direction: policy.Direction(one("Ingress", "Egress"))}
	if r.IntN(3) == 0 {
		out.Pods.MatchLabels = c.Pods[r.IntN(len(c.Pods))].Labels
	}
	for range r.IntN(3) {
		p := policy.Peer{}
		switch r.IntN(5) {
		case 0:
			p.Namespaces = &metav1.LabelSelector{MatchLabels: named1(one("shop", "kube-system", "istio-system", "linkerd", "monitoring", "gateways"))}
		case 1:
			p.SameNamespace = true
		case 2:
			p.CIDR = netip.MustParsePrefix(one("0.0.0.0/0", "10.244.0.0/16", "169.254.0.0/16", "192.0.2.0/24"))
		case 3:
			p.Entity = policy.Entity(one("Nodes", "APIServer"))
		case 4:
			p.Namespaces = &metav1.LabelSelector{}
		}
		out.Peers = append(out.Peers, p)
	}
	for range r.IntN(3) {
		out.Ports = append(out.Ports, policy.Port{
			Protocol: networkstackv1alpha1.PolicyProtocol(one("TCP", "UDP")), Port: []int32{53, 80, 8080, 9443, 15012, 6443, 9100}[r.IntN(7)], EndPort: []int32{0, 16000}[r.IntN(2)],
		})
	}
	return out
}

// TestOpeningAddsNothing wants a rule that opens something never to add a finding, whatever is there already, never to make one worse;
// the order of what there is not to matter; and acknowledging to take none away.
func TestOpeningAddsNothing(t *testing.T) {
	c := everything()
	if n := len(Analyse(deny(cnp), &c).Findings); n < 14 {
		t.Fatalf("only %d findings to begin with", n)
	}
	for i, f := range Analyse(deny(cnp), &c).Findings[1:] {
		if before := Analyse(deny(cnp), &c).Findings[i]; before.Severity == notice && f.Severity == danger {
			t.Errorf("%s comes before %s", before.Name, f.Name)
		}
	}
	fewer := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 6))
		set := deny([]networkstackv1alpha1.PolicyAPI{cnp, calico, cilium, plain}[r.IntN(4)])
		last := Analyse(set, &c)
		for range 6 {
			rule := anyRule(r, &c)
			set.Rules = append(set.Rules, rule)
			now := Analyse(set, &c)
			was := map[string]networkstackv1alpha1.PolicySeverity{}
			for _, f := range last.Findings {
				was[f.Name] = f.Severity
			}
			for _, f := range now.Findings {
				if s, found := was[f.Name]; !found || s != f.Severity {
					t.Fatalf("seed %d: %+v adds %s (%s, was %q)", seed, rule, f.Name, f.Severity, s)
				}
			}
			if len(now.Findings) < len(last.Findings) {
				fewer++
			}
			last = now
		}
		other := c
		other.Pods, other.Services, other.Webhooks = slices.Clone(c.Pods), slices.Clone(c.Services), slices.Clone(c.Webhooks)
		r.Shuffle(len(other.Pods), func(i, k int) { other.Pods[i], other.Pods[k] = other.Pods[k], other.Pods[i] })
		r.Shuffle(len(other.Services), func(i, k int) {
			other.Services[i], other.Services[k] = other.Services[k], other.Services[i]
		})
		if got := names(Analyse(set, &other)); !slices.Equal(got, names(last)) {
			t.Fatalf("seed %d: in another order %v, not %v", seed, got, names(last))
		}
		all, acknowledged := last.Show(nil, 100), last.Show(names(last)[:len(last.Findings)/2], 100)
		if len(all.Findings) != len(acknowledged.Findings) {
			t.Fatalf("seed %d: acknowledging hides something", seed)
		}
	}
	if fewer < 100 {
		t.Errorf("only %d rules have opened anything", fewer)
	}
}
