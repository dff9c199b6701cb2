package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/nodes"
)

// secondaryNetworks are a network on the nodes' own, where pods state their addresses, and one on each node.
const secondaryNetworks = `
  secondaryNetworks:
    type: Multus
    attachments:
    - name: lan
      namespace: default
      type: Macvlan
      macvlan: {master: eth0}
      ipam: {type: Static}
    - name: backend
      namespace: default
      type: Bridge
      bridge: {bridge: ` + secondBridge + `}
      ipam:
        type: HostLocal
        ranges: [{subnet: 192.168.61.0/24, rangeStart: 192.168.61.10, rangeEnd: 192.168.61.250}]`

// secondBridge is the bridge of the second of these on each node.
const secondBridge = "br-backend"

// secondNetwork gives pods further interfaces, and takes Multus away again.
func secondNetwork(e *environment) {
	e.within(e.during("Multus installed", func() { e.change(manifest{secondary: true}) }), 3*time.Second)
	a := e.attach()
	a.reach("with Multus")
	packets(e)
	a.daemonsKilled()
	a.daemonsRestarted()
	a.reach("after that")
	a.removed()
	a.nodeOff()
	packets(e)
}

// attachedPod is one with further interfaces; lan and backend are its addresses there.
type attachedPod struct{ name, lan, backend string }

// attached are the pods with further interfaces: two on the first node, one on the second.
type attached struct {
	*environment
	pods []attachedPod
	made int
}

// attach makes the pods. They are probes like others as well.
func (e *environment) attach() *attached {
	e.Helper()
	a := &attached{environment: e}
	for i, node := range []int{0, 0, 1} {
		p := attachedPod{name: fmt.Sprintf("second-%d", i+1), lan: fmt.Sprintf("192.168.60.%d", 11+i)}
		e.makeAttached(p.name, "probe", e.cluster.Nodes[node], p.lan)
		a.pods = append(a.pods, p)
	}
	e.probes()
	for i := range a.pods {
		a.pods[i].backend = a.interfaces(a.pods[i].name, a.pods[i].lan)
	}
	return a
}

// makeAttached makes a pod with an interface of each network.
func (e *environment) makeAttached(name, app string, node *nodes.Node, lan string) {
	e.Helper()
	networks, err := json.Marshal([]map[string]any{
		{"name": "lan", "namespace": probeNamespace, "ips": []string{lan + "/24"}}, {"name": "backend", "namespace": probeNamespace},
	})
	e.check(err)
	e.makeAnnotatedPod(probeNamespace, name, node, app, map[string]string{"k8s.v1.cni.cncf.io/networks": string(networks)})
}

// interfaces checks what Multus says that a pod has got, and returns its address on the bridge.
func (a *attached) interfaces(name, lan string) string {
	a.Helper()
	pod := &corev1.Pod{}
	a.check(a.client.Get(a.Context(), client.ObjectKey{Namespace: probeNamespace, Name: name}, pod))
	var status []struct {
		Name, Interface string
		IPs             []string
	}
	text := pod.Annotations["k8s.v1.cni.cncf.io/network-status"]
	if err := json.Unmarshal([]byte(text), &status); err != nil || len(status) != 3 {
		a.Fatalf("%s: Multus tells of its interfaces: %q, %v", name, text, err)
	}
	for i, want := range []string{"eth0 " + pod.Status.PodIP, "net1 " + lan, "net2 192.168.61."} {
		if got := status[i].Interface + " " + strings.Join(status[i].IPs, ","); !strings.HasPrefix(got, want) {
			a.Errorf("%s: interface %d is %q, not %q", name, i, got, want)
		}
	}
	return status[2].IPs[0]
}

// reach lets the pods reach one another over their further interfaces, and checks that nobody else gets there.
func (a *attached) reach(when string) {
	a.Helper()
	checks := 0
	ask := func(from attachedPod, address, to, seen string) {
		target := address + ":8080"
		a.must(from.name, "udp", target)
		for _, r := range a.must(from.name, "get", target) {
			// Who is asked tells by which address he was: that of the interface, and not the pod's first one.
			if want := to + " " + seen; r.Error == "" && r.Answer != want {
				a.Errorf("%s: %s asks %s and hears %q, not %q", when, from.name, target, r.Answer, want)
			}
		}
		checks++
	}
	for i, from := range a.pods {
		for k, to := range a.pods {
			if i != k {
				ask(from, to.lan, to.name, from.lan)
			}
			if i != k && i < 2 && k < 2 { // of one node
				ask(from, to.backend, to.name, from.backend)
			}
		}
	}
	// Nothing is wrapped: what is too large for pods' first interfaces arrives here.
	results, err := a.ask(a.pods[0].name, "mtu", a.pods[2].lan+":8080", fmt.Sprint(nodes.UnderlayMTU), fmt.Sprint(nodes.UnderlayMTU+1))
	a.check(err)
	if results[0].Error != "" || results[1].Error == "" {
		a.Errorf("%s: packets of the nodes' MTU, and of one byte more: %v", when, results)
	}
	for _, p := range a.probes() {
		if !strings.HasPrefix(p.name, "probe-") {
			continue
		}
		a.single(p.name)
	}
	if a.once("probe-1-a", "udp", a.pods[0].lan+":8080") == nil {
		a.Errorf("%s: a pod without further interfaces reaches %s", when, a.pods[0].lan)
	}
	a.Logf("%s: %d ways over further interfaces", when, checks)
}

// single checks that a pod has no further interface.
func (a *attached) single(pod string) {
	a.Helper()
	a.must(pod, "link", "eth0")
	if a.once(pod, "link", "net1") == nil {
		a.Errorf("%s has an interface net1", pod)
	}
}

// newcomers makes pods on all nodes, with further interfaces as well if that is wanted, and returns a function that waits for them, and
// returns how many have not got what they asked for. They are no probes, so that Services lead to none of them.
func (a *attached) newcomers(what string, each int, further bool) (wait func() (without int)) {
	a.Helper()
	begin := time.Now()
	plain, wanted := map[string]bool{}, map[string]bool{}
	for range each {
		for _, n := range a.cluster.Nodes {
			a.made++
			name := fmt.Sprintf("new-%d", a.made)
			a.makePod(probeNamespace, name, n, "new")
			plain[name] = true
			if further {
				name += "-further"
				a.makeAttached(name, "new", n, fmt.Sprintf("192.168.60.%d", 50+a.made))
				wanted[name] = true
			}
		}
	}
	return func() int {
		a.Helper()
		without := 0
		target := a.probes()[0].at(a.families[0])
		for name := range plain {
			a.eventually(what+": "+name, a.started(name))
			a.eventually(what+": a packet of "+name, func() error { return a.once(name, "get", target) })
			a.single(name)
		}
		for name := range wanted {
			a.eventually(what+": "+name, a.started(name))
			a.eventually(what+": a packet of "+name, func() error { return a.once(name, "get", target) })
			if a.once(name, "link", "net1") != nil {
				without++
				continue
			}
			a.must(name, "get", a.pods[0].lan+":8080")
		}
		a.Logf("%s: %d new pods after %.1f s; %d asked for further interfaces, %d of them in vain", what, len(plain)+len(wanted),
			time.Since(begin).Seconds(), len(wanted), without)
		a.kubectl(slices.Concat([]string{"delete", "pods", "-n", probeNamespace, "--wait"},
			slices.Sorted(maps.Keys(plain)), slices.Sorted(maps.Keys(wanted)))...)
		return without
	}
}

// started says whether a pod is Ready.
func (e *environment) started(name string) func() error {
	return func() error {
		pod := &corev1.Pod{}
		if err := e.client.Get(e.Context(), client.ObjectKey{Namespace: probeNamespace, Name: name}, pod); err != nil {
			return err
		}
		if !ready(pod) {
			return errors.New("not ready")
		}
		return nil
	}
}

// daemonsKilled kills Multus on every node, and makes pods at once. Its configuration stays, so that they wait for the next one.
func (a *attached) daemonsKilled() {
	var wait func() int
	losses := a.during("Multus killed", func() {
		for _, n := range a.cluster.Nodes {
			pids, err := n.Run(a.Context(), "pidof", "multus-daemon")
			a.check(err)
			_, err = n.Run(a.Context(), "kill", "-9", strings.TrimSpace(pids))
			a.check(err)
		}
		wait = a.newcomers("Multus killed", 1, true)
		a.waitReady()
	})
	a.within(losses, 3*time.Second)
	if without := wait(); without > 0 {
		a.Errorf("%d pods have not got their interfaces", without)
	}
}

// daemonsRestarted rolls Multus out again, and makes pods meanwhile, each with what it asks for; others are deleted meanwhile, and their
// addresses are free afterwards.
func (a *attached) daemonsRestarted() {
	const each = 2
	for i, n := range a.cluster.Nodes {
		for k := range each {
			a.makeAttached(fmt.Sprintf("old-%d-%d", i, k), "old", n, fmt.Sprintf("192.168.60.%d", 200+each*i+k))
		}
	}
	for i := range a.cluster.Nodes {
		for k := range each {
			a.eventually("a pod before the roll-out", a.started(fmt.Sprintf("old-%d-%d", i, k)))
		}
	}
	var waits []func() int
	losses := a.during("Multus restarted", func() {
		a.kubectl("rollout", "restart", "-n", "kube-system", "daemonset/kube-multus-ds")
		for k := range each {
			waits = append(waits, a.newcomers("Multus restarted", 1, true))
			for i := range a.cluster.Nodes {
				a.kubectl("delete", "pod", "-n", probeNamespace, fmt.Sprintf("old-%d-%d", i, k), "--wait=false")
			}
		}
		waits = append(waits, a.newcomers("Multus restarted", each, true))
		a.kubectl("rollout", "status", "-n", "kube-system", "daemonset/kube-multus-ds", "--timeout=4m")
	})
	a.within(losses, 3*time.Second)
	for _, wait := range waits {
		if without := wait(); without > 0 {
			a.Errorf("%d pods that were made in a roll-out have not got their interfaces", without)
		}
	}
	a.booksAreRight()
}

// booksAreRight checks that no address of the second network is taken by a pod that is not there.
func (a *attached) booksAreRight() {
	a.Helper()
	for i, n := range a.cluster.Nodes {
		want := 0
		for k := range a.pods {
			if at := []int{0, 0, 1}[k]; at == i {
				want++
			}
		}
		a.eventually("addresses of pods that are gone to be free on "+n.Name, func() error {
			out, err := n.Run(a.Context(), "find", "/var/lib/cni/networks", "-path", "*/default.backend/192.*")
			if got := strings.Count(out, "\n"); err == nil && got != want {
				return fmt.Errorf("%d are taken, by %d pods", got, want)
			}
			return err
		})
	}
}

// removed has Multus removed, and pods made before, while and after it goes. Pods that run keep what they have.
func (a *attached) removed() {
	var waits []func() int
	makeSome := func() { waits = append(waits, a.newcomers("while Multus goes", 1, false)) }
	losses := a.during("Multus removed", func() {
		begin := time.Now()
		a.apply(manifest{}.yaml())
		makeSome()
		a.gone(multus())
		a.Logf("its DaemonSet is gone after %.1f s", time.Since(begin).Seconds())
		makeSome()
		a.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "multus"}})
		makeSome()
		a.waitReady()
	})
	a.within(losses, 3*time.Second)
	for _, wait := range waits {
		wait()
	}
	a.newcomers("without Multus", 1, false)()
	a.reach("without Multus")
	a.left()
	packets(a.environment)
	begin := time.Now()
	for _, p := range a.pods {
		a.kubectl("delete", "pod", "-n", probeNamespace, p.name, "--wait")
	}
	a.Logf("pods with further interfaces are gone after %.1f s", time.Since(begin).Seconds())
}

func multus() *appsv1.DaemonSet {
	return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-multus-ds"}}
}

// left checks that nodes have nothing of Multus but its books, which pods that are let go of later need.
func (a *attached) left() {
	a.Helper()
	for _, n := range a.cluster.Nodes {
		a.eventually(n.Name+" to be clean of Multus", func() error {
			out, err := n.Run(a.Context(), "find", "/etc/cni", "/opt/cni", "/var/lib/cni", "(", "-path", "/var/lib/cni/multus", "-o",
				"-path", "/var/lib/cni/networks", ")", "-prune", "-o", "(", "-name", "*multus*", "-o", "-name", "passthru", ")", "!", "-type", "d", "-print")
			if err == nil && out != "" {
				err = errors.New("there are: " + out)
			}
			return err
		})
	}
}

// nodeOff has Multus removed while a node is off, whose disk keeps Multus's configuration. It is right by itself when it is back.
func (a *attached) nodeOff() {
	a.change(manifest{secondary: true})
	// Not the operator's own: it would be away as well.
	at := a.withoutOperator()
	n := a.cluster.Nodes[at]
	a.check(n.Kill())
	a.apply(manifest{}.yaml())
	component := &networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "multus"}}
	a.eventually("the node to be missed", func() error {
		node := &corev1.Node{}
		if err := a.client.Get(a.Context(), client.ObjectKey{Name: n.Name}, node); err != nil {
			return err
		}
		if nodeReady(node) {
			return errors.New("it is not")
		}
		return nil
	})
	a.check(a.client.Get(a.Context(), client.ObjectKeyFromObject(component), component))
	if component.DeletionTimestamp != nil {
		a.Error("Multus goes, and a node that is off keeps its configuration")
	}
	a.check(n.Start(a.Context()))
	begin := time.Now()
	wait := a.newcomers("a node that was off while Multus went", 1, false)
	a.gone(component)
	a.Logf("Multus is gone %.1f s after %s was turned on again", time.Since(begin).Seconds(), n.Name)
	a.waitReady()
	wait()
	a.newcomers("after that", 1, false)()
	a.left()
}

// withoutOperator is the last node that the operator does not run on, by its place among the nodes.
func (e *environment) withoutOperator() int {
	e.Helper()
	pods := &corev1.PodList{}
	e.check(e.client.List(e.Context(), pods, client.InNamespace(operatorNamespace), client.MatchingLabels{"app.kubernetes.io/component": "operator"}))
	for i, n := range slices.Backward(e.cluster.Nodes) {
		if !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return p.Spec.NodeName == n.Name }) {
			return i
		}
	}
	e.Fatal("the operator runs on every node")
	return 0
}
