package analysis

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
)

const (
	cnp    = networkstackv1alpha1.PolicyAPIClusterNetworkPolicy
	calico = networkstackv1alpha1.PolicyAPICalico
	cilium = networkstackv1alpha1.PolicyAPICilium
	plain  = networkstackv1alpha1.PolicyAPINetworkPolicy
)

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }
func pairs(kv ...string) map[string]string {
	out := map[string]string{}
	for i := 0; i+1 < len(kv); i += 2 {
		out[kv[i]] = kv[i+1]
	}
	return out
}

func named1(name string) map[string]string { return map[string]string{corev1.LabelMetadataName: name} }

// town is a cluster in which everything is that is judged: shop is covered, all else is not.
func town() Cluster {
	return Cluster{
		Namespaces: map[string]map[string]string{
			"shop": {corev1.LabelMetadataName: "shop", "covered": "yes"}, "kube-system": named1("kube-system"),
			"istio-system": named1("istio-system"), "linkerd": named1("linkerd"), "consul": named1("consul"),
			"ingress-nginx": named1("ingress-nginx"), "monitoring": named1("monitoring"), "gateways": named1("gateways"),
		},
		APIServer: []netip.Addr{addr("192.0.2.10")}, APIServerPort: 6443,
		Known: Known{Nodes: []netip.Addr{addr("192.0.2.10"), addr("192.0.2.11")}, IngressNamespaces: []string{"ingress-nginx"}},
	}
}

// deny is a set that cuts everything in covered namespaces but what rules open.
func deny(api networkstackv1alpha1.PolicyAPI, rules ...policy.Rule) *policy.Set {
	return &policy.Set{
		API: api, Namespaces: metav1.LabelSelector{MatchLabels: map[string]string{"covered": "yes"}},
		Rules: append([]policy.Rule{
			{Name: "in", Direction: policy.Ingress, Deny: true, Default: true},
			{Name: "out", Direction: policy.Egress, Deny: true, Default: true},
		}, rules...),
	}
}

// only is a set that cuts one direction.
func only(d policy.Direction) *policy.Set {
	set := deny(cnp)
	set.Rules = slices.DeleteFunc(set.Rules, func(r policy.Rule) bool { return r.Direction != d })
	return set
}

func pod(namespace, owner string, l map[string]string) Pod {
	return Pod{Namespace: namespace, Owner: "Deployment " + owner, Labels: l, Count: 1, Addresses: []netip.Addr{addr("10.244.0.7")}}
}

func service(namespace, name string, port int32, target intstr.IntOrString, l, selector map[string]string) Service {
	return Service{
		Namespace: namespace, Name: name, Labels: l, Selector: selector,
		Ports: []ServicePort{{Name: "main", Protocol: tcp, Port: port, Target: target}},
	}
}

// around is where things are in a town.
var around = policy.Surroundings{
	DNS: []policy.Way{{
		Peers: []policy.Peer{
			{Namespaces: inNamespace("kube-system"), Pods: &metav1.LabelSelector{MatchLabels: pairs("k8s-app", "kube-dns")}},
			{CIDR: netip.MustParsePrefix("169.254.20.10/32")},
		},
		Ports: []policy.Port{{Protocol: udp, Port: 53}, {Protocol: tcp, Port: 53}},
	}},
	APIServer: []policy.Way{{Peers: []policy.Peer{{Entity: policy.APIServer}}, Ports: []policy.Port{{Protocol: tcp, Port: 6443}}}},
	Ingress:   []policy.Peer{{Namespaces: inNamespace("ingress-nginx")}, {Namespaces: inNamespace("gateways")}, {Entity: policy.Nodes}, {Entity: policy.Gateway}},
}

// kinds are clusters with one thing that is cut: in which direction, under which name, and how bad that is.
var kinds = []struct {
	name     string
	change   func(c *Cluster)
	finding  string
	severity networkstackv1alpha1.PolicySeverity
	cutBy    policy.Direction
	// message has these texts.
	message []string
}{
	{"webhook that must answer", func(c *Cluster) { webhook(c, true) }, "webhook/guard/shop/guard", danger, policy.Ingress,
		[]string{"API server → Service shop/guard, port 9443/TCP of its pods: ", "nobody can write deployments, pods", "{name: webhooks, type: AllowFromAnywhere, ports: [{port: 9443}]}", "let everybody in on 9443/TCP", "exempt: [shop]"}},
	{"webhook that may fail", func(c *Cluster) { webhook(c, false) }, "webhook/guard/shop/guard", notice, policy.Ingress, []string{"is passed over"}},
	{"webhook without pods", func(c *Cluster) {
		webhook(c, true)
		c.Pods = nil
		c.Services[0].Ports[0].Target = intstr.FromInt32(9443)
	}, "webhook/guard/shop/guard", danger, policy.Ingress, []string{"9443"}},
	{"aggregated API", func(c *Cluster) {
		c.Pods = []Pod{pod("shop", "metrics", pairs("app", "metrics"))}
		c.Services = []Service{service("shop", "metrics", 443, intstr.FromInt32(10250), nil, pairs("app", "metrics"))}
		c.APIServices = []APIService{{Name: "v1beta1.metrics.k8s.io", Service: ServiceRef{Namespace: "shop", Name: "metrics", Port: 443}}}
	}, "apiservice/shop/metrics", danger, policy.Ingress, []string{"v1beta1.metrics.k8s.io", "ports: [{port: 10250}]", "exempt: [shop]"}},
	{"DNS", func(c *Cluster) { dns(c); c.Pods = append(c.Pods, pod("shop", "web", nil)) }, "dns", danger, policy.Egress,
		[]string{"shop/Deployment web → Service kube-system/kube-dns", "{name: dns, type: AllowDNS}", "open the way to DNS"}},
	{"DNS of a namespace without pods", dns, "dns", danger, policy.Egress, []string{"shop/pods to come"}},
	{"cache of DNS", func(c *Cluster) { c.DNSCache = []netip.Addr{addr("169.254.20.10")} }, "dns/cache", danger, policy.Egress, []string{"169.254.20.10", "AllowDNS"}},
	{"Istio", func(c *Cluster) { mesh(c, MeshIstio, "istio-system", "istiod", pairs("app", "istiod"), 15012) }, "mesh/istio/istio-system/istiod", danger, policy.Egress,
		[]string{"shop/Deployment web → Service istio-system/istiod, port 15012/TCP", "type: AllowToNamespaces, namespaces: {matchLabels: {kubernetes.io/metadata.name: istio-system}}, ports: [{port: 15012}]"}},
	{"Linkerd's destination", func(c *Cluster) {
		mesh(c, MeshLinkerd, "linkerd", "linkerd-dst", pairs("linkerd.io/control-plane-component", "destination"), 8086)
	}, "mesh/linkerd/linkerd/linkerd-dst", danger, policy.Egress, nil},
	{"Linkerd's policies", func(c *Cluster) {
		mesh(c, MeshLinkerd, "linkerd", "linkerd-policy", pairs("linkerd.io/control-plane-component", "destination"), 8090)
	}, "mesh/linkerd/linkerd/linkerd-policy", danger, policy.Egress, nil},
	{"Linkerd's identities", func(c *Cluster) {
		mesh(c, MeshLinkerd, "linkerd", "linkerd-identity", pairs("linkerd.io/control-plane-component", "identity"), 8080)
	}, "mesh/linkerd/linkerd/linkerd-identity", danger, policy.Egress, nil},
	{"Consul", func(c *Cluster) {
		mesh(c, MeshConsul, "consul", "consul-server", pairs("app", "consul", "component", "server"), 8502)
	}, "mesh/consul/consul/consul-server", danger, policy.Egress, nil},
	{"control plane in a covered namespace", func(c *Cluster) {
		mesh(c, MeshIstio, "shop", "istiod", pairs("app", "istiod"), 15012)
		c.Pods[1].Namespace = "monitoring"
	}, "mesh/istio/shop/istiod", danger, policy.Ingress, []string{"AllowFromAnywhere, ports: [{port: 15012}]"}},
	{"probes in the ambient mesh", func(c *Cluster) {
		p := pod("shop", "web", nil)
		p.Mesh, p.Probes, p.Ports = MeshAmbient, []PodPort{{Name: "health"}, {Port: 8081}}, []PodPort{{Name: "health", Protocol: tcp, Port: 8080}}
		c.Pods = []Pod{p}
	}, "probes/ambient", danger, policy.Ingress, []string{"169.254.7.127", "ports: [{port: 8080}, {port: 8081}]"}},
	{"Ingress", func(c *Cluster) {
		ingressed(c)
		c.Services = append(c.Services, Service{Namespace: "ingress-nginx", Name: "in", Outside: true, Selector: pairs("app", "nginx")})
	}, "ingress/shop/web", notice, policy.Ingress,
		[]string{"ingress controller ingress-nginx/Deployment nginx → Service shop/web", "Ingress shop/web leads nowhere", "AllowFromIngress", "exempt: [shop]"}},
	{"Ingress by a controller on the nodes' network", func(c *Cluster) { ingressed(c); c.Pods[1].HostNetwork = true }, "ingress/shop/web", notice, policy.Ingress, []string{"ingress controller → "}},
	{"Ingress by a gateway", func(c *Cluster) {
		ingressed(c)
		c.Pods[1].Namespace, c.Pods[1].Labels = "gateways", pairs(gatewayLabel, "public")
	}, "ingress/shop/web", notice, policy.Ingress, nil},
	{"Ingress by the network plugin's proxy", func(c *Cluster) { ingressed(c); c.Gateway = true }, "ingress/shop/web", notice, policy.Ingress, nil},
	{"LoadBalancer", func(c *Cluster) { outsider(c, false) }, "service/shop/web", notice, policy.Ingress,
		[]string{"with the addresses of nodes", "AllowFromAnywhere, ports: [{port: 8080}, {protocol: UDP, port: 9090}]", "on 8080/TCP, 9090/UDP"}},
	{"LoadBalancer that keeps addresses", func(c *Cluster) { outsider(c, true) }, "service/shop/web", notice, policy.Ingress, []string{"clients outside → "}},
	{"ServiceMonitor", func(c *Cluster) {
		scraped(c)
		c.Monitors = []Monitor{{Kind: "ServiceMonitor", Namespace: "shop", Name: "web", Selector: metav1.LabelSelector{MatchLabels: pairs("job", "web")}, Ports: []string{"main"}}}
	}, "scrape/ServiceMonitor/shop/web", notice, policy.Ingress,
		[]string{"monitoring/StatefulSet prometheus → shop/Deployment web", "{name: monitoring-monitoring, type: AllowFromMonitoring, namespaces: {matchLabels: {kubernetes.io/metadata.name: monitoring}}, ports: [{port: 9100}]}"}},
	{"ServiceMonitor of all namespaces, by the number of a port", func(c *Cluster) {
		scraped(c)
		c.Monitors = []Monitor{{Kind: "ServiceMonitor", Namespace: "monitoring", Name: "all", AllNamespaces: true, Ports: []string{"9100"}}}
	}, "scrape/ServiceMonitor/monitoring/all", notice, policy.Ingress, nil},
	{"PodMonitor", func(c *Cluster) {
		scraped(c)
		c.Monitors = []Monitor{{Kind: "PodMonitor", Namespace: "monitoring", Name: "web", Namespaces: []string{"shop"}, Ports: []string{"metrics"}}}
	}, "scrape/PodMonitor/monitoring/web", notice, policy.Ingress, []string{"9100"}},
	{"annotations", func(c *Cluster) { scraped(c); c.Pods[0].Scraped = 9100 }, "scrape/pods/shop", notice, policy.Ingress, []string{"9100"}},
	{"API server", func(c *Cluster) {
		p := pod("shop", "operator", nil)
		p.CallsAPI = true
		c.Pods = []Pod{p}
	}, "apiserver", notice, policy.Egress, []string{"shop/Deployment operator → API server, port 6443", "{name: api-server, type: AllowAPIServer}"}},
}

func webhook(c *Cluster, fail bool) {
	p := pod("shop", "guard", pairs("app", "guard"))
	p.Ports = []PodPort{{Name: "https", Protocol: tcp, Port: 9443}}
	c.Pods = []Pod{p}
	c.Services = []Service{service("shop", "guard", 443, intstr.FromString("https"), nil, pairs("app", "guard"))}
	c.Webhooks = []Webhook{{
		Configuration: "ValidatingWebhookConfiguration guard", Name: "guard", Fail: fail, Intercepts: []string{"pods", "deployments"},
		Service: ServiceRef{Namespace: "shop", Name: "guard", Port: 443},
	}}
}

func dns(c *Cluster) {
	p := pod("kube-system", "coredns", pairs("k8s-app", "kube-dns"))
	c.Pods = append(c.Pods, p)
	s := service("kube-system", "kube-dns", 53, intstr.FromInt32(53), nil, pairs("k8s-app", "kube-dns"))
	s.Ports = append(s.Ports, ServicePort{Name: "dns", Protocol: udp, Port: 53, Target: intstr.FromInt32(53)})
	c.Services = append(c.Services, s)
}

func mesh(c *Cluster, m Mesh, namespace, name string, l map[string]string, port int32) {
	own := pod(namespace, name, pairs("pod", name))
	user := pod("shop", "web", nil)
	user.Mesh = m
	c.Pods = []Pod{own, user}
	c.Services = []Service{service(namespace, name, port, intstr.IntOrString{}, l, pairs("pod", name))}
}

func ingressed(c *Cluster) {
	c.Pods = []Pod{pod("shop", "web", pairs("app", "web")), pod("ingress-nginx", "nginx", pairs("app", "nginx"))}
	c.Services = []Service{service("shop", "web", 80, intstr.FromInt32(8080), nil, pairs("app", "web"))}
	c.Backends = []Backend{{Source: "Ingress shop/web", Service: ServiceRef{Namespace: "shop", Name: "web", PortName: "main"}}}
}

func outsider(c *Cluster, local bool) {
	c.Pods = []Pod{pod("shop", "web", pairs("app", "web"))}
	s := service("shop", "web", 80, intstr.FromInt32(8080), nil, pairs("app", "web"))
	s.Ports = append(s.Ports, ServicePort{Protocol: udp, Port: 90, Target: intstr.FromInt32(9090)})
	s.Outside, s.Local = true, local
	c.Services = []Service{s}
}

func scraped(c *Cluster) {
	web := pod("shop", "web", pairs("app", "web"))
	web.Ports = []PodPort{{Name: "metrics", Protocol: tcp, Port: 9100}}
	prometheus := pod("monitoring", "", pairs(nameLabel, "prometheus"))
	prometheus.Owner = "StatefulSet prometheus"
	c.Pods = []Pod{web, prometheus}
	c.Services = []Service{service("shop", "web", 80, intstr.FromString("metrics"), pairs("job", "web"), pairs("app", "web"))}
	c.Services[0].Ports[0].Port = 80
}

func names(r Report) []string {
	out := []string{}
	for _, f := range r.Findings {
		out = append(out, f.Name)
	}
	return out
}

// build is a town with a change.
func build(change func(*Cluster)) *Cluster {
	c := town()
	change(&c)
	return &c
}

// TestKinds wants every kind of finding in every language: found when it is cut, not found when the other direction alone is, nor when it
// is opened by what the finding itself recommends, nor when the namespace is left out, nor when a user's policy decides.
func TestKinds(t *testing.T) {
	for _, tc := range kinds {
		t.Run(tc.name, func(t *testing.T) {
			for _, api := range []networkstackv1alpha1.PolicyAPI{cnp, calico, cilium, plain} {
				c := build(tc.change)
				r := Analyse(deny(api), c)
				if got := names(r); !slices.Equal(got, []string{tc.finding}) {
					t.Fatalf("%s: found %v, not %s", api, got, tc.finding)
				}
				f := r.Findings[0]
				if f.Severity != tc.severity {
					t.Errorf("severity %s, not %s", f.Severity, tc.severity)
				}
				for _, text := range tc.message {
					if !strings.Contains(f.Message(), text) {
						t.Errorf("the message has no %q: %s", text, f.Message())
					}
				}
				if len(f.Openings) == 0 {
					t.Fatalf("nothing would open it: %s", f.Message())
				}
				open := deny(api)
				open.Rules = append(open.Rules, policy.FromBaselines(f.Openings, &around)...)
				if got := names(Analyse(open, c)); len(got) > 0 {
					t.Errorf("%s: opened by %s, and found: %v", api, f.Message(), got)
				}
				if f.Exempt != "" {
					delete(c.Namespaces["shop"], "covered")
					if got := names(Analyse(deny(api), c)); len(got) > 0 {
						t.Errorf("the namespace is left out, and found: %v", got)
					}
				}
			}
			c := build(tc.change)
			for _, d := range []policy.Direction{policy.Ingress, policy.Egress} {
				if got := names(Analyse(only(d), c)); slices.Contains(got, tc.finding) != (d == tc.cutBy) {
					t.Errorf("cut in direction %s alone: %v", d, got)
				}
			}
			if tc.finding == "dns" && len(c.Pods) < 2 {
				return // there is no pod that a policy could be for
			}
			if tc.name == "cache of DNS" || tc.name == "webhook without pods" {
				c.Policies = []Policy{{Namespace: "shop", Ingress: true, Egress: true}}
			} else {
				c.Policies = []Policy{{Namespace: "shop", Ingress: tc.cutBy == policy.Ingress, Egress: tc.cutBy == policy.Egress}}
			}
			if got := names(Analyse(deny(cnp), c)); len(got) > 0 {
				t.Errorf("a user's policy decides, and found: %v", got)
			}
			for i := range c.Policies {
				c.Policies[i].Ingress, c.Policies[i].Egress = c.Policies[i].Egress, c.Policies[i].Ingress
			}
			if got := names(Analyse(only(tc.cutBy), c)); !slices.Equal(got, []string{tc.finding}) && c.Policies[0].Ingress != c.Policies[0].Egress {
				t.Errorf("a user's policy decides of the other direction alone, and found: %v", got)
			}
		})
	}
}

// TestEntries wants what is recommended to be what the spec takes: YAML, and the fields of a baseline.
func TestEntries(t *testing.T) {
	for _, tc := range kinds {
		for _, f := range Analyse(deny(cnp), build(tc.change)).Findings {
			for i := range f.Openings {
				var back networkstackv1alpha1.Baseline
				text := entry(&f.Openings[i])
				if err := yaml.UnmarshalStrict([]byte(text), &back); err != nil {
					t.Errorf("%s: %v", text, err)
				}
				if entry(&back) != text || back.Type != f.Openings[i].Type || len(back.Ports) != len(f.Openings[i].Ports) || back.Name == "" {
					t.Errorf("%s is read as %+v", text, back)
				}
				if inWords(&back) == "open it" {
					t.Errorf("no words for %s", text)
				}
			}
		}
	}
}
