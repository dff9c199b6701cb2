package e2e

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/nodes"
)

// manifest is the NetworkStack of these tests.
type manifest struct {
	encapsulation, proxy, deletion string
	mtu                            int
	// families are those of the cluster, in their order; IPv4 where there are none.
	families []corev1.IPFamily
	// networkPolicy has NetworkPolicies enforced, baselines cut and open what the baselines of these tests say.
	networkPolicy, baselines bool
	ingress                  bool
	// secondary has Multus, and networks that pods can be attached to.
	secondary bool
	// cache has a cache of names on every node.
	cache bool
	// balanced are the addresses that Services of type LoadBalancer get, if there are any; chart is the digest of MetalLB's.
	balanced, chart string
}

// baselines cut all that a namespace's pods send and get, but for what goes on inside of it and for names.
const baselines = `
  policies:
    mode: Enforce
    baselines:
    - {name: no-ingress, type: DefaultDenyIngress}
    - {name: no-egress, type: DefaultDenyEgress}
    - {name: dns, type: AllowDNS}
    - {name: same, type: AllowSameNamespace}`

// controller is an ingress controller that is reached by a port of every node.
const controller = `
  ingress:
  - name: public
    type: Traefik
    service: {type: NodePort}`

func (m manifest) yaml() string {
	if m.encapsulation == "" {
		m.encapsulation = "VXLAN"
	}
	if m.proxy == "" {
		m.proxy = "IPTables"
	}
	if m.deletion == "" {
		m.deletion = "Orphan"
	}
	mtu := ""
	if m.mtu > 0 {
		mtu = fmt.Sprintf("\n  mtu: %d", m.mtu)
	}
	families, ranges := "", []string{nodes.PodRange(corev1.IPv4Protocol)}
	if len(m.families) > 0 {
		var names []string
		ranges = nil
		for _, family := range m.families {
			names, ranges = append(names, string(family)), append(ranges, strconv.Quote(nodes.PodRange(family)))
		}
		families = "\n  ipFamilies: [" + strings.Join(names, ", ") + "]"
	}
	enforced, more := "", ""
	if m.networkPolicy {
		enforced = "\n    networkPolicy: Enabled"
	}
	if m.baselines {
		more += baselines
	}
	if m.ingress {
		more += controller
	}
	if m.secondary {
		more += secondaryNetworks
	}
	if m.balanced != "" {
		more += fmt.Sprintf(loadBalancing, m.chart, m.balanced)
	}
	cache := ""
	if m.cache {
		cache = "\n    nodeLocalCache: {mode: Enabled}"
	}
	return fmt.Sprintf(`apiVersion: networkstack.io/v1alpha1
kind: NetworkStack
metadata:
  name: cluster
spec:%s%s
  ipPools:
  - name: default
    cidrs: [%s]
  cni:
    type: Flannel
    encapsulation: %s%s
  kubeProxy:
    mode: %s
    values: {conntrack: {maxPerCore: 0, min: 0}}
  dns:
    type: CoreDNS%s
  nodeAgent:
    mode: Enabled
  deletionPolicy: %s%s
`, families, mtu, strings.Join(ranges, ", "), m.encapsulation, enforced, m.proxy, cache, m.deletion, more)
}

// part is a part of a network's life, which begins with what the one before has left.
type part struct {
	name string
	run  func(*environment)
}

// live goes through parts until one fails.
func live(t *testing.T, options nodes.Options, parts ...part) {
	e := start(t, options)
	for _, p := range parts {
		if !t.Run(p.name, func(t *testing.T) { p.run(e.in(t)) }) {
			return
		}
	}
}

// TestNetwork goes through the life of a network.
func TestNetwork(t *testing.T) {
	live(t, nodes.Options{Nodes: 3}, []part{
		{"from nothing", fromNothing},
		{"packets", packets},
		{"drift", driftRestored},
		{"operator killed", operatorKilled},
		{"backends", backends},
		{"kube-proxy", proxyRestarts},
		{"node local dns", nodeLocalDNS},
		{"policies", policies},
		{"ingress", ingress},
		{"load balancer", loadBalancer},
		{"second network", secondNetwork},
		{"node killed", nodeKilled},
		{"orphaned", orphaned},
		{"deleted", deleted},
		{"again", again},
	}...)
}

// TestDualStack goes through those parts that differ with both families, on a cluster of its own.
func TestDualStack(t *testing.T) {
	live(t, nodes.Options{Nodes: 2, Families: []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}}, []part{
		{"from nothing", fromNothing},
		{"packets", packets},
		{"outside", outside},
		{"reported", reported},
		{"overhead", overhead},
		{"backends", backends},
		{"kube-proxy", proxyRestarts},
	}...)
}

// TestIPv6 goes through those parts that differ where the API server, nodes, Services and pods have IPv6 alone.
func TestIPv6(t *testing.T) {
	live(t, nodes.Options{Nodes: 2, Families: []corev1.IPFamily{corev1.IPv6Protocol}}, []part{
		{"from nothing", fromNothing},
		{"packets", packets},
		{"outside", outside},
		{"reported", reported},
		{"overhead", overhead},
		{"kube-proxy", proxyModes},
		{"backends", backends},
		{"deleted", deleted},
	}...)
}

// TestIPv6First brings a network up whose primary family is IPv6, with IPv4 beside it.
func TestIPv6First(t *testing.T) {
	live(t, nodes.Options{Nodes: 2, Families: []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}}, []part{
		{"from nothing", fromNothing},
		{"packets", packets},
		{"reported", reported},
	}...)
}

// fromNothing installs the operator on a cluster that has no network, and measures from the NetworkStack to the first packet.
func fromNothing(e *environment) {
	e.eventually("the nodes to register", func() error {
		list := &corev1.NodeList{}
		if err := e.client.List(e.Context(), list); err != nil {
			return err
		}
		if len(list.Items) < len(e.cluster.Nodes) {
			return fmt.Errorf("%d of them", len(list.Items))
		}
		for _, node := range list.Items {
			if nodeReady(&node) {
				e.Fatalf("%s is ready although there is no network", node.Name)
			}
		}
		return nil
	})
	*e.bare = e.onNodes()
	e.makeProbes(2)
	begin := time.Now()
	e.installOperator()
	e.waitForOperator()
	e.Logf("operator ready %.1f s after helm install, on nodes that are not", time.Since(begin).Seconds())

	begin = time.Now()
	since := func(what string) { e.Logf("%-46s %5.1f s", what, time.Since(begin).Seconds()) }
	e.apply(manifest{families: e.families}.yaml())
	e.eventually("the nodes to be ready", func() error {
		list := &corev1.NodeList{}
		if err := e.client.List(e.Context(), list); err != nil {
			return err
		}
		for _, node := range list.Items {
			if !nodeReady(&node) {
				return fmt.Errorf("%s is not", node.Name)
			}
		}
		return nil
	})
	since("nodes ready")
	probes := e.probes()
	since("pods ready")
	from, to := probes[0], probes[len(probes)-1]
	for _, family := range e.families {
		e.eventually("the first packet", func() error { return e.once(from.name, "udp", to.at(family)) })
		since("first packet between pods of two nodes, " + string(family))
	}
	for _, family := range e.families {
		e.eventually("a Service", func() error { return e.once(from.name, "get", e.serviceOf("web", family)) })
		since("first answer of a Service, " + string(family))
	}
	e.eventually("a name", func() error { return e.once(from.name, "lookup", "web") })
	since("first name resolved")
	e.waitReady()
	since("NetworkStack Ready")
}

func nodeReady(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// once lets a pod try one target.
func (e *environment) once(pod string, args ...string) error {
	results, err := e.ask(pod, args...)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Error != "" {
			return fmt.Errorf("%s: %s", r.Target, r.Error)
		}
	}
	return nil
}

// service is the address and port of a Service, of the first family.
func (e *environment) service(name string) string {
	e.Helper()
	return e.serviceOf(name, e.families[0])
}

func (e *environment) serviceOf(name string, family corev1.IPFamily) string {
	e.Helper()
	service := &corev1.Service{}
	e.check(e.client.Get(e.Context(), client.ObjectKey{Namespace: probeNamespace, Name: name}, service))
	i := slices.Index(service.Spec.IPFamilies, family)
	if i < 0 {
		e.Fatalf("%s has the families %v", name, service.Spec.IPFamilies)
	}
	return net.JoinHostPort(service.Spec.ClusterIPs[i], "80")
}

// packets checks all that shall work whenever the network is Ready.
func packets(e *environment) {
	probes := e.probes()
	door := &corev1.Service{}
	e.check(e.client.Get(e.Context(), client.ObjectKey{Namespace: probeNamespace, Name: "door"}, door))
	checks := 0
	for _, from := range probes {
		for _, family := range e.families {
			var direct []string
			for _, to := range probes {
				direct = append(direct, to.at(family))
			}
			for i, r := range e.must(from.name, append([]string{"get"}, direct...)...) {
				// Pods are told by their own address: nothing between them rewrites it.
				if want := probes[i].name + " " + from.addresses[family]; r.Error == "" && r.Answer != want {
					e.Errorf("%s asks %s and hears %q, not %q", from.name, probes[i].name, r.Answer, want)
				}
				checks++
			}
			checks += len(e.must(from.name, append([]string{"udp"}, direct...)...))
			services := []string{e.serviceOf("web", family)}
			for _, n := range e.cluster.Nodes {
				services = append(services, net.JoinHostPort(n.Address(family), fmt.Sprint(door.Spec.Ports[0].NodePort)))
			}
			checks += len(e.must(from.name, append([]string{"get"}, services...)...))
		}
		checks += len(e.must(from.name, "lookup", "web", "web.default", "kubernetes.default.svc.cluster.local"))
		checks += len(e.must(from.name, "get", "web"))
	}
	if e.hasIPv6() {
		checks += e.names(probes)
	}
	e.Logf("%d checks", checks)
	checkMTU(e, probes)
}

// checkMTU sends packets of exactly the pods' MTU, and of one byte more, to another node.
func checkMTU(e *environment, probes []probe) {
	mtu := e.mtu()
	from, to := probes[0], probes[len(probes)-1]
	for _, p := range probes {
		if got := e.must(p.name, "link", "eth0"); got[0].Answer != strconv.Itoa(mtu) {
			e.Errorf("%s has an MTU of %s, not %d", p.name, got[0].Answer, mtu)
		}
	}
	for _, family := range e.families {
		results, err := e.ask(from.name, "mtu", to.at(family), fmt.Sprint(mtu), fmt.Sprint(mtu+1))
		e.check(err)
		if results[0].Error != "" {
			e.Errorf("%s: a packet of the pods' MTU, %d bytes, does not arrive: %s", family, mtu, results[0].Error)
		}
		if results[1].Error == "" {
			e.Errorf("%s: a packet of one byte more than the pods' MTU, %d bytes, arrives", family, mtu+1)
		}
		e.Logf("%s: %d bytes arrive whole, of %d: %s", family, mtu, mtu+1, results[1].Error)
	}
}

// mtu is what pods get, as the NetworkStack has it or as the operator has derived it.
func (e *environment) mtu() int {
	e.Helper()
	stack := &networkstackv1alpha1.NetworkStack{}
	e.check(e.client.Get(e.Context(), client.ObjectKey{Name: "cluster"}, stack))
	if stack.Spec.MTU != 0 {
		return int(stack.Spec.MTU)
	}
	for _, setting := range stack.Status.Effective {
		if setting.Setting == "spec.mtu" {
			mtu, err := strconv.Atoi(setting.Value)
			e.check(err)
			return mtu
		}
	}
	e.Fatalf("status.effective has no MTU: %v", stack.Status.Effective)
	return 0
}
