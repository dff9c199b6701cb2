package e2e

import (
	"fmt"
	"strconv"
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
}

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
	return fmt.Sprintf(`apiVersion: networkstack.io/v1alpha1
kind: NetworkStack
metadata:
  name: cluster
spec:%s
  ipPools:
  - name: default
    cidrs: [10.244.0.0/16]
  cni:
    type: Flannel
    encapsulation: %s
  kubeProxy:
    mode: %s
    values: {conntrack: {maxPerCore: 0, min: 0}}
  dns:
    type: CoreDNS
  nodeAgent:
    mode: Enabled
  deletionPolicy: %s
`, mtu, m.encapsulation, m.proxy, m.deletion)
}

// TestNetwork goes through the life of a network: each part begins with what the one before has left.
func TestNetwork(t *testing.T) {
	e := start(t, nodes.Options{Nodes: 3})
	for _, part := range []struct {
		name string
		run  func(*environment)
	}{
		{"from nothing", fromNothing},
		{"packets", packets},
		{"drift", driftRestored},
		{"operator killed", operatorKilled},
		{"backends", backends},
		{"kube-proxy", proxyModes},
		{"node killed", nodeKilled},
		{"orphaned", orphaned},
		{"deleted", deleted},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(e.in(t)) }) {
			return
		}
	}
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
	e.makeProbes(2)
	begin := time.Now()
	e.installOperator()
	e.waitForOperator()
	e.Logf("operator ready %.1f s after helm install, on nodes that are not", time.Since(begin).Seconds())

	begin = time.Now()
	since := func(what string) { e.Logf("%-46s %5.1f s", what, time.Since(begin).Seconds()) }
	e.apply(manifest{}.yaml())
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
	e.eventually("the first packet", func() error { return e.once(from.name, "udp", to.address+":8080") })
	since("first packet between pods of two nodes")
	e.eventually("a Service", func() error { return e.once(from.name, "get", e.service("web")) })
	since("first answer of a Service")
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

// service is the address and port of a Service.
func (e *environment) service(name string) string {
	e.Helper()
	service := &corev1.Service{}
	e.check(e.client.Get(e.Context(), client.ObjectKey{Namespace: probeNamespace, Name: name}, service))
	return service.Spec.ClusterIP + ":80"
}

// packets checks all that shall work whenever the network is Ready.
func packets(e *environment) {
	probes := e.probes()
	door := &corev1.Service{}
	e.check(e.client.Get(e.Context(), client.ObjectKey{Namespace: probeNamespace, Name: "door"}, door))
	checks := 0
	for _, from := range probes {
		var direct []string
		for _, to := range probes {
			direct = append(direct, to.address+":8080")
		}
		for i, r := range e.must(from.name, append([]string{"get"}, direct...)...) {
			// Pods are told by their own address: nothing between them rewrites it.
			if want := probes[i].name + " " + from.address; r.Error == "" && r.Answer != want {
				e.Errorf("%s asks %s and hears %q, not %q", from.name, probes[i].name, r.Answer, want)
			}
			checks++
		}
		checks += len(e.must(from.name, append([]string{"udp"}, direct...)...))
		services := []string{e.service("web")}
		for _, n := range e.cluster.Nodes {
			services = append(services, fmt.Sprintf("%s:%d", n.Address(), door.Spec.Ports[0].NodePort))
		}
		checks += len(e.must(from.name, append([]string{"get"}, services...)...))
		checks += len(e.must(from.name, "lookup", "web", "web.default", "kubernetes.default.svc.cluster.local"))
		checks += len(e.must(from.name, "get", "web"))
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
	results, err := e.ask(from.name, "mtu", to.address+":8080", fmt.Sprint(mtu), fmt.Sprint(mtu+1))
	e.check(err)
	if results[0].Error != "" {
		e.Errorf("a packet of the pods' MTU, %d bytes, does not arrive: %s", mtu, results[0].Error)
	}
	if results[1].Error == "" {
		e.Errorf("a packet of one byte more than the pods' MTU, %d bytes, arrives", mtu+1)
	}
	e.Logf("%d bytes arrive whole, of %d: %s", mtu, mtu+1, results[1].Error)
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
