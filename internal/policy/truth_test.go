package policy_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/test/evaluate"
)

// The ends of the table's connections. The subject is shop/web, which is covered.
var (
	subject = pod("shop", "web", "10.1.0.10", nil)
	ends    = []*evaluate.Endpoint{
		pod("shop", "db", "10.1.0.11", nil),         // in the same namespace
		pod("pay", "api", "10.1.0.12", nil),         // in another one that is covered
		pod("legacy", "app", "10.1.0.13", nil),      // in one that is exempt
		pod("partners", "feed", "10.1.0.14", nil),   // in one that has left itself out
		pod("traefik", "traefik", "10.1.0.15", nil), // an ingress controller
		pod("monitoring", "prom", "10.1.0.16", nil), // Prometheus
		pod("kube-system", "coredns", "10.1.0.17", map[string]string{"k8s-app": "kube-dns"}),
		{Name: "nodelocal", Kind: evaluate.Node, Local: true, Addresses: both("169.254.20.10")},
		{Name: "own-node", Kind: evaluate.Node, Local: true, Addresses: both("192.168.0.1")},
		{Name: "node", Kind: evaluate.Node, Addresses: both("192.168.0.2")},
		{Name: "apiserver", Kind: evaluate.APIServer, Addresses: both("192.168.0.250")},
		{Name: "metadata", Kind: evaluate.Outside, Addresses: addresses("169.254.169.254", "fd00:ec2::254")},
		{Name: "internet", Kind: evaluate.Outside, Addresses: addresses("203.0.113.7", "2001:db8:ffff::7")},
		{Name: "office", Kind: evaluate.Outside, Addresses: both("172.20.0.5")},
	}
	ports = []string{"TCP/53", "UDP/53", "TCP/80", "TCP/443", "TCP/6443", "TCP/8080", "TCP/9090", "UDP/9090", "SCTP/9090"}
)

func both(four string) []netip.Addr {
	return addresses(four, "fd00::"+strings.ReplaceAll(four, ".", ":"))
}

func addresses(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func pod(namespace, name, four string, labels map[string]string) *evaluate.Endpoint {
	if labels == nil {
		labels = map[string]string{"app": name}
	}
	out := &evaluate.Endpoint{Name: namespace + "/" + name, Kind: evaluate.Pod, Namespace: namespace, Labels: labels, Addresses: both(four)}
	switch namespace {
	case "shop", "pay":
		out.NamespaceLabels = map[string]string{"team": namespace, networkstackv1alpha1.BaselineLabel: networkstackv1alpha1.BaselineEnforced}
	case "partners":
		out.NamespaceLabels = map[string]string{"team": namespace, networkstackv1alpha1.BaselineLabel: networkstackv1alpha1.BaselineExempt}
	default:
	}
	return out
}

func named(namespaces ...string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpIn, Values: namespaces}}}
}

func hosts(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, l := range list {
		for _, a := range both(l) {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return out
}

// covered selects all namespaces but the exempt ones and those that leave themselves out.
var covered = metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
	{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn,
		Values: []string{"kube-system", "legacy", "monitoring", "traefik"}},
	{Key: networkstackv1alpha1.BaselineLabel, Operator: metav1.LabelSelectorOpNotIn, Values: []string{networkstackv1alpha1.BaselineExempt}},
}}

var surroundings = policy.Surroundings{
	DNS: []policy.Way{{
		Peers: []policy.Peer{
			{Namespaces: named("kube-system"), Pods: &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}}},
			{Entity: policy.Nodes, Addresses: hosts("169.254.20.10")},
		},
		Ports: []policy.Port{{Protocol: "UDP", Port: 53}, {Protocol: "TCP", Port: 53}},
	}},
	APIServer: []policy.Way{{
		Peers: []policy.Peer{{Entity: policy.APIServer, Addresses: hosts("192.168.0.250")}}, Ports: []policy.Port{{Port: 6443}}}},
	Ingress: []policy.Peer{
		{Namespaces: named("traefik"), Pods: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "traefik"}}},
		{Entity: policy.Nodes, Addresses: hosts("192.168.0.2", "192.168.0.1")},
		{Entity: policy.Gateway},
	},
	Monitoring: []policy.Peer{{Namespaces: named("monitoring")}},
}

const (
	denyIn  = networkstackv1alpha1.BaselineDefaultDenyIngress
	denyOut = networkstackv1alpha1.BaselineDefaultDenyEgress
)

// open says which ends are open at which ports: "*" stands for all.
type open map[string]string

// everyone are all ends with all ports.
func everyone(without ...string) open {
	out := open{}
	for _, e := range ends {
		if !slices.Contains(without, e.Name) {
			out[e.Name] = "*"
		}
	}
	return out
}

// beside adds to what is open.
func (o open) beside(more open) open {
	out := open{}
	for k, v := range o {
		out[k] = v
	}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// ofNode is what no policy of any API cuts: what comes from the pod's own node.
var ofNode = open{"nodelocal": "*", "own-node": "*"}

// notPods is what comes to a pod and ClusterNetworkPolicies cannot cut.
var notPods = ofNode.beside(open{"node": "*", "apiserver": "*", "metadata": "*", "internet": "*", "office": "*"})

// truths are what has to be open, written by hand: from each end to the subject, and from the subject to each end.
var truths = []struct {
	name      string
	baselines []networkstackv1alpha1.Baseline
	in, out   open
	// but are what differs with an API.
	but map[networkstackv1alpha1.PolicyAPI]open // in
	// butOut are what differs of what goes out.
	butOut map[networkstackv1alpha1.PolicyAPI]open
	// skip are APIs that cannot say it; that nothing is cut then is a case of its own.
	skip networkstackv1alpha1.PolicyAPI
}{
	{name: "DefaultDenyIngress", baselines: list(denyIn), in: ofNode, out: everyone(), but: cnp(notPods)},
	{name: "DefaultDenyEgress", baselines: list(denyOut), in: everyone(), out: open{}},
	{name: "both", baselines: list(denyIn, denyOut), in: ofNode, out: open{}, but: cnp(notPods)},
	{
		name: "AllowDNS", baselines: list(denyIn, denyOut, networkstackv1alpha1.BaselineAllowDNS),
		in: ofNode, but: cnp(notPods), out: open{"kube-system/coredns": "TCP/53 UDP/53", "nodelocal": "TCP/53 UDP/53"},
		// Cilium knows nodes by what they are, and not by address: all of them at this port.
		butOut: map[networkstackv1alpha1.PolicyAPI]open{networkstackv1alpha1.PolicyAPICilium: {
			"kube-system/coredns": "TCP/53 UDP/53", "nodelocal": "TCP/53 UDP/53", "own-node": "TCP/53 UDP/53", "node": "TCP/53 UDP/53"}},
	},
	{
		name: "AllowSameNamespace", baselines: list(denyIn, denyOut, networkstackv1alpha1.BaselineAllowSameNamespace),
		in: ofNode.beside(open{"shop/db": "*"}), out: open{"shop/db": "*"}, skip: networkstackv1alpha1.PolicyAPIClusterNetworkPolicy,
	},
	{
		name: "AllowSameNamespace at ports", skip: networkstackv1alpha1.PolicyAPIClusterNetworkPolicy,
		baselines: with(denyIn, denyOut, networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineAllowSameNamespace,
			Ports: []networkstackv1alpha1.PolicyPort{{Port: 80}, {Protocol: "SCTP", Port: 9000, EndPort: 9100}}}),
		in: ofNode.beside(open{"shop/db": "TCP/80 SCTP/9090"}), out: open{"shop/db": "TCP/80 SCTP/9090"},
	},
	{
		name: "AllowFromIngress", baselines: list(denyIn, denyOut, networkstackv1alpha1.BaselineAllowFromIngress),
		in: ofNode.beside(open{"traefik/traefik": "*", "node": "*"}), out: open{}, but: cnp(notPods.beside(open{"traefik/traefik": "*"})),
	},
	{
		name: "AllowFromIngress at a port",
		baselines: with(denyIn, denyOut, networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineAllowFromIngress,
			Ports: []networkstackv1alpha1.PolicyPort{{Port: 8080}}}),
		in: ofNode.beside(open{"traefik/traefik": "TCP/8080", "node": "TCP/8080"}), out: open{},
		but: cnp(notPods.beside(open{"traefik/traefik": "TCP/8080"})),
	},
	{
		name: "AllowFromMonitoring",
		baselines: with(denyIn, denyOut, networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineAllowFromMonitoring,
			Ports: []networkstackv1alpha1.PolicyPort{{Protocol: "TCP", Port: 9090}}}),
		in: ofNode.beside(open{"monitoring/prom": "TCP/9090"}), out: open{}, but: cnp(notPods.beside(open{"monitoring/prom": "TCP/9090"})),
	},
	{
		name: "AllowFromMonitoring of namespaces",
		baselines: with(denyIn, denyOut, networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineAllowFromMonitoring,
			Namespaces: named("legacy")}),
		in: ofNode.beside(open{"legacy/app": "*"}), out: open{}, but: cnp(notPods.beside(open{"legacy/app": "*"})),
	},
	{
		name: "AllowAPIServer", baselines: list(denyIn, denyOut, networkstackv1alpha1.BaselineAllowAPIServer),
		in: ofNode, out: open{"apiserver": "TCP/6443"}, but: cnp(notPods),
	},
	{
		name: "DenyCloudMetadata", baselines: list(networkstackv1alpha1.BaselineDenyCloudMetadata),
		in: everyone(), out: everyone("metadata"),
	},
	{
		name: "DenyCloudMetadata beside all that is open",
		baselines: with(denyOut, denyOut, networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineDenyCloudMetadata},
			networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineAllowToCIDRs, CIDRs: []string{"0.0.0.0/0", "::/0"}}),
		in: everyone(), out: everyone("metadata"),
		// Cilium takes addresses for those outside the cluster.
		butOut: map[networkstackv1alpha1.PolicyAPI]open{networkstackv1alpha1.PolicyAPICilium: {"internet": "*", "office": "*"}},
	},
	{
		name: "DenyCloudMetadata against the address itself",
		baselines: with(denyOut, denyOut, networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineDenyCloudMetadata},
			networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineAllowToCIDRs,
				CIDRs: []string{"169.254.169.254/32", "fd00:ec2::254/128", "172.20.0.0/24"}}),
		in: everyone(), out: open{"office": "* 4"},
	},
	{
		name: "AllowFromNamespaces",
		baselines: with(denyIn, denyOut, networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineAllowFromNamespaces,
			Namespaces: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "pay"}}}),
		in: ofNode.beside(open{"pay/api": "*"}), out: open{}, but: cnp(notPods.beside(open{"pay/api": "*"})),
	},
	{
		name: "AllowFromNamespaces, all of them",
		baselines: with(denyIn, denyOut, networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineAllowFromNamespaces,
			Namespaces: &metav1.LabelSelector{}}),
		in: ofNode.beside(pods), out: open{}, but: cnp(notPods.beside(pods)),
	},
	{
		name: "AllowToNamespaces",
		baselines: with(denyIn, denyOut, networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineAllowToNamespaces,
			Namespaces: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "team", Operator: metav1.LabelSelectorOpExists},
				{Key: "team", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"shop", "pay"}}}},
			Ports: []networkstackv1alpha1.PolicyPort{{Port: 443}}}),
		in: ofNode, out: open{"partners/feed": "TCP/443"}, but: cnp(notPods),
	},
	{
		name: "AllowToCIDRs",
		baselines: with(denyIn, denyOut, networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineAllowToCIDRs,
			CIDRs: []string{"172.20.0.0/16", "2001:db8:ffff::/48"}, Ports: []networkstackv1alpha1.PolicyPort{{Port: 443}, {Port: 8000, EndPort: 8999}}}),
		in: ofNode, out: open{"office": "TCP/443 TCP/8080 4", "internet": "TCP/443 TCP/8080 6"}, but: cnp(notPods),
	},
}

// pods are all ends that are pods.
var pods = open{"shop/db": "*", "pay/api": "*", "legacy/app": "*", "partners/feed": "*", "traefik/traefik": "*", "monitoring/prom": "*",
	"kube-system/coredns": "*"}

func cnp(in open) map[networkstackv1alpha1.PolicyAPI]open {
	return map[networkstackv1alpha1.PolicyAPI]open{networkstackv1alpha1.PolicyAPIClusterNetworkPolicy: in}
}

// list are baselines of types, and with are two denials and others; each has a name.
func list(types ...networkstackv1alpha1.BaselineType) []networkstackv1alpha1.Baseline {
	var out []networkstackv1alpha1.Baseline
	for i, t := range types {
		out = append(out, networkstackv1alpha1.Baseline{Name: fmt.Sprintf("b%d", i), Type: t})
	}
	return out
}

func with(a, b networkstackv1alpha1.BaselineType, others ...networkstackv1alpha1.Baseline) []networkstackv1alpha1.Baseline {
	types := []networkstackv1alpha1.BaselineType{a}
	if b != a {
		types = append(types, b)
	}
	out := list(types...)
	for i, o := range others {
		o.Name = fmt.Sprintf("o%d", i)
		out = append(out, o)
	}
	return out
}

var apis = []networkstackv1alpha1.PolicyAPI{networkstackv1alpha1.PolicyAPIClusterNetworkPolicy, networkstackv1alpha1.PolicyAPICilium,
	networkstackv1alpha1.PolicyAPICalico, networkstackv1alpha1.PolicyAPINetworkPolicy}

// compiled are the objects of a set, in every namespace that they are for, and others.
func compiled(t *testing.T, set *policy.Set, more ...*unstructured.Unstructured) *evaluate.Policies {
	t.Helper()
	c := policy.Compile(set)
	objects := evaluate.Instantiate(c.Cluster, c.Namespaced, c.Namespaces, append([]*evaluate.Endpoint{subject}, ends...))
	p, err := evaluate.Read(append(objects, more...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// isOpen is what the table says of a connection.
func isOpen(o open, end, port string, six bool) bool {
	list := o[end]
	fields := strings.Fields(list)
	if six && slices.Contains(fields, "4") || !six && slices.Contains(fields, "6") {
		return false
	}
	return slices.Contains(fields, "*") || slices.Contains(fields, port)
}

// table asks for every connection, and gives the number of those asked about.
func table(t *testing.T, policies *evaluate.Policies, in, out open) (cells int) {
	t.Helper()
	for _, end := range ends {
		for _, port := range ports {
			for _, six := range []bool{false, true} {
				for _, ingress := range []bool{true, false} {
					c := evaluate.Connection{From: subject, To: end, IPv6: six}
					want := isOpen(out, end.Name, port, six)
					if ingress {
						c.From, c.To, want = end, subject, isOpen(in, end.Name, port, six)
					}
					protocol, number, _ := strings.Cut(port, "/")
					c.Protocol = protocol
					if _, err := fmt.Sscan(number, &c.Port); err != nil {
						t.Fatal(err)
					}
					got, err := policies.One(c, ingress)
					if err != nil {
						t.Fatalf("%s to %s: %v", c.From.Name, c.To.Name, err)
					}
					if got != want {
						t.Errorf("%s to %s, %s, IPv6 %v: open is %v, want %v", c.From.Name, c.To.Name, port, six, got, want)
					}
					cells++
				}
			}
		}
	}
	return cells
}

func TestTruth(t *testing.T) {
	cells := 0
	for _, api := range apis {
		for _, truth := range truths {
			rules := policy.FromBaselines(truth.baselines, &surroundings)
			set := func(mode networkstackv1alpha1.PolicyMode, pulled bool) *policy.Set {
				return &policy.Set{Stack: "default", Mode: mode, API: api, Namespaces: covered, Rules: rules, Pulled: pulled}
			}
			name := string(api) + "/" + truth.name
			t.Run(name+"/Enforce", func(t *testing.T) {
				in, out := truth.in, truth.out
				if v, has := truth.but[api]; has {
					in = v
				}
				if v, has := truth.butOut[api]; has {
					out = v
				}
				if truth.skip == api {
					in, out = everyone(), everyone() // what cannot be opened is not cut
				}
				cells += table(t, compiled(t, set(networkstackv1alpha1.PolicyEnforce, false)), in, out)
			})
			t.Run(name+"/broken glass", func(t *testing.T) {
				cells += table(t, compiled(t, set(networkstackv1alpha1.PolicyEnforce, true)), everyone(), everyone())
			})
			t.Run(name+"/Audit", func(t *testing.T) {
				c := policy.Compile(set(networkstackv1alpha1.PolicyAudit, false))
				if n := len(c.Cluster); (n > 1) != (api == networkstackv1alpha1.PolicyAPICalico) {
					t.Errorf("%d objects are staged", n)
				}
				cells += table(t, compiled(t, set(networkstackv1alpha1.PolicyAudit, false)), everyone(), everyone())
			})
			t.Run(name+"/Off", func(t *testing.T) {
				if c := policy.Compile(set(networkstackv1alpha1.PolicyOff, false)); len(c.Cluster)+len(c.Namespaced) > 0 {
					t.Errorf("%d objects", len(c.Cluster)+len(c.Namespaced))
				}
			})
		}
	}
	t.Logf("%d cells", cells)
	if want := len(apis) * len(truths) * 3 * len(ends) * len(ports) * 4; cells != want {
		t.Errorf("%d cells, want %d", cells, want)
	}
	types := map[networkstackv1alpha1.BaselineType]bool{}
	for _, truth := range truths {
		for _, b := range truth.baselines {
			types[b.Type] = true
		}
	}
	if len(types) != 11 {
		t.Errorf("%d types of baselines", len(types))
	}
}

// TestUncovered holds that namespaces that are exempt, or have left themselves out, are as they would be without policies.
func TestUncovered(t *testing.T) {
	baselines := list(denyIn, denyOut, networkstackv1alpha1.BaselineDenyCloudMetadata, networkstackv1alpha1.BaselineAllowDNS)
	cells := 0
	for _, api := range apis {
		policies := compiled(t, &policy.Set{Stack: "default", Mode: networkstackv1alpha1.PolicyEnforce, API: api, Namespaces: covered,
			Rules: policy.FromBaselines(baselines, &surroundings)})
		free := slices.DeleteFunc(slices.Clone(ends), func(e *evaluate.Endpoint) bool {
			return e.Kind == evaluate.Pod && e.Namespace == "shop" || e.Namespace == "pay"
		})
		free = append(free, &evaluate.Endpoint{Name: "health", Kind: evaluate.Health, Addresses: both("10.1.0.99")},
			&evaluate.Endpoint{Name: "gateway", Kind: evaluate.Gateway, Addresses: both("10.1.0.98")})
		for _, from := range free {
			for _, to := range free {
				got, err := policies.Allowed(evaluate.Connection{From: from, To: to, Protocol: "TCP", Port: 80})
				if err != nil {
					t.Fatal(err)
				}
				if !got {
					t.Errorf("%s: %s to %s is cut", api, from.Name, to.Name)
				}
				cells++
			}
		}
	}
	t.Logf("%d cells", cells)
}

// TestUsersFirst holds that users' NetworkPolicies decide before the defaults do, where the API has it so, and that nothing of theirs
// opens what wins over everything.
func TestUsersFirst(t *testing.T) {
	users := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": networkingv1.SchemeGroupVersion.String(), "kind": "NetworkPolicy",
		"metadata": map[string]any{"name": "mine", "namespace": "shop"},
		"spec": map[string]any{"podSelector": map[string]any{}, "policyTypes": []any{"Ingress", "Egress"},
			"ingress": []any{map[string]any{"from": []any{map[string]any{"namespaceSelector": map[string]any{
				"matchLabels": map[string]any{"kubernetes.io/metadata.name": "legacy"}}}}}},
			"egress": []any{map[string]any{"to": []any{map[string]any{"ipBlock": map[string]any{"cidr": "0.0.0.0/0"}},
				map[string]any{"ipBlock": map[string]any{"cidr": "::/0"}}}}}},
	}}
	baselines := with(denyIn, denyOut, networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineDenyCloudMetadata},
		networkstackv1alpha1.Baseline{Type: networkstackv1alpha1.BaselineAllowFromNamespaces, Namespaces: named("pay")})
	for _, tc := range []struct {
		api          networkstackv1alpha1.PolicyAPI
		legacy, pay  bool // come in
		cloud, world bool // are reached
	}{
		{networkstackv1alpha1.PolicyAPIClusterNetworkPolicy, true, false, false, true},
		{networkstackv1alpha1.PolicyAPICalico, true, false, false, true},
		{networkstackv1alpha1.PolicyAPICilium, true, true, false, true},
		{networkstackv1alpha1.PolicyAPINetworkPolicy, true, true, true, true}, // they add up
	} {
		t.Run(string(tc.api), func(t *testing.T) {
			policies := compiled(t, &policy.Set{Stack: "default", Mode: networkstackv1alpha1.PolicyEnforce, API: tc.api, Namespaces: covered,
				Rules: policy.FromBaselines(baselines, &surroundings)}, users)
			for name, want := range map[string]bool{"legacy/app": tc.legacy, "pay/api": tc.pay, "metadata": tc.cloud, "internet": tc.world} {
				end := ends[slices.IndexFunc(ends, func(e *evaluate.Endpoint) bool { return e.Name == name })]
				c, ingress := evaluate.Connection{From: end, To: subject, Protocol: "TCP", Port: 80}, true
				if end.Kind == evaluate.Outside {
					c.From, c.To, ingress = subject, end, false
				}
				got, err := policies.One(c, ingress)
				if err != nil || got != want {
					t.Errorf("%s: open is %v, want %v (%v)", name, got, want, err)
				}
			}
		})
	}
}
