package e2e

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// during measures what is lost while something happens: packets between pods of two nodes, and new connections to a Service and
// to a port of a node. The losses of packets come first, in the order of families.
func (e *environment) during(what string, do func()) []loss {
	e.Helper()
	probes := e.probes()
	from, to := probes[0], probes[len(probes)-1]
	var packets, connections []func() loss
	for _, family := range e.families {
		of := ""
		if e.dual() {
			of = ", " + string(family)
		}
		packets = append(packets, e.stream(what+": pod to pod"+of, from.name, "udp", to.at(family), 10*time.Millisecond))
		connections = append(connections, e.stream(what+": Service"+of, from.name, "get", e.serviceOf("web", family), 50*time.Millisecond))
	}
	return e.measured(what, []string{from.name, to.name}, slices.Concat(packets, connections), do)
}

// measured ends the streams of these pods when something has happened, and tells what they lost.
func (e *environment) measured(what string, pods []string, streams []func() loss, do func()) []loss {
	e.Helper()
	stalls := e.stalls(what, pods...)
	begin := time.Now()
	do()
	took := time.Since(begin)
	// What comes late is seen as well.
	select {
	case <-e.Context().Done():
	case <-time.After(2 * time.Second):
	}
	var losses []loss
	stalled := stalls()
	for _, end := range streams {
		l := end()
		l.stalled = stalled
		e.Log(l.String())
		losses = append(losses, l)
	}
	e.Logf("%s took %.1f s; the machine had these pods wait for %s", what, took.Seconds(), stalled)
	return losses
}

// stalls begins to measure for how long a machine that is busy with something else lets these pods stand still: each sends packets to
// itself, which no network can lose. The function that it returns ends that and tells the longest time.
func (e *environment) stalls(what string, pods ...string) func() time.Duration {
	e.Helper()
	var ends []func() loss
	for _, pod := range pods {
		ends = append(ends, e.stream(what+": inside of "+pod, pod, "udp", "127.0.0.1:8080", 50*time.Millisecond))
	}
	return func() time.Duration {
		e.Helper()
		var longest float64
		for _, end := range ends {
			longest = max(longest, end().GapMillis)
		}
		return time.Duration(longest) * time.Millisecond
	}
}

// within fails the test where nothing came back for longer than may be, and than pods stood still.
func (e *environment) within(losses []loss, gap time.Duration) {
	e.Helper()
	for _, l := range losses {
		if l.Sent < 10 {
			e.Errorf("%s: %d sent, which says nothing", l.description, l.Sent)
		}
		if l.GapMillis > float64((gap + l.stalled).Milliseconds()) {
			e.Errorf("%s: nothing came back for %.0f ms, more than %s and the %s that pods stood still", l.description, l.GapMillis, gap, l.stalled)
		}
	}
}

// change applies a NetworkStack and waits until the network is as it says.
func (e *environment) change(m manifest) {
	e.Helper()
	m.families = e.families
	e.apply(m.yaml())
	e.waitReady()
}

// driftRestored changes flannel's configuration behind the operator's back.
func driftRestored(e *environment) {
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-flannel", Name: "kube-flannel-cfg"}}
	key := client.ObjectKeyFromObject(config)
	e.check(e.client.Get(e.Context(), key, config))
	want := config.Data["net-conf.json"]
	losses := e.during("drift", func() {
		changed := config.DeepCopy()
		changed.Data["net-conf.json"] = strings.ReplaceAll(want, "vxlan", "host-gw")
		if changed.Data["net-conf.json"] == want {
			e.Fatalf("no vxlan in %s", want)
		}
		e.check(e.client.Patch(e.Context(), changed, client.MergeFrom(config), client.FieldOwner("somebody")))
		took := e.eventually("the configuration to be put right", func() error {
			now := &corev1.ConfigMap{}
			if err := e.client.Get(e.Context(), key, now); err != nil {
				return err
			}
			if now.Data["net-conf.json"] != want {
				return fmt.Errorf("it is %s", now.Data["net-conf.json"])
			}
			return nil
		})
		e.Logf("put right after %d ms", took.Milliseconds())
	})
	e.within(losses, time.Second)
	e.waitReady()
}

// operatorKilled changes the MTU and kills the operator when the first agents are new.
func operatorKilled(e *environment) {
	before := e.mtu()
	losses := e.during("MTU 1400, operator killed", func() {
		e.apply(manifest{mtu: 1400}.yaml())
		e.eventually("the roll-out to begin", func() error {
			agents := e.agents()
			if agents.Status.UpdatedNumberScheduled == agents.Status.DesiredNumberScheduled || agents.Status.ObservedGeneration < 2 {
				return fmt.Errorf("%d of %d agents are new, generation %d", agents.Status.UpdatedNumberScheduled,
					agents.Status.DesiredNumberScheduled, agents.Status.ObservedGeneration)
			}
			return nil
		})
		e.kubectl("delete", "pod", "-n", operatorNamespace, "-l", "app.kubernetes.io/component=operator", "--grace-period=0", "--force")
		e.waitForOperator()
		e.waitReady()
	})
	e.within(losses, 3*time.Second)
	if before == 1400 || e.mtu() != 1400 {
		e.Errorf("the MTU was %d and is %d", before, e.mtu())
	}
	// Pods keep the MTU that they were made with.
	e.replaceProbes()
	packets(e)
}

// agents is flannel's DaemonSet.
func (e *environment) agents() *appsv1.DaemonSet {
	e.Helper()
	agents := &appsv1.DaemonSet{}
	e.check(e.client.Get(e.Context(), client.ObjectKey{Namespace: "kube-flannel", Name: "kube-flannel-ds"}, agents))
	return agents
}

// replaceProbes makes all pods anew, and waits until Services lead to them from every node.
func (e *environment) replaceProbes() {
	e.Helper()
	e.kubectl("delete", "pods", "-n", probeNamespace, "-l", "app=probe", "--wait")
	e.makePods(2)
	for _, p := range e.probes() {
		for _, family := range e.families {
			e.eventually("the Service", func() error { return e.once(p.name, "get", e.serviceOf("web", family)) })
		}
	}
}

// backends goes from VXLAN to plain routes and back.
func backends(e *environment) {
	losses := e.during("VXLAN to host-gw", func() { e.change(manifest{encapsulation: "None"}) })
	e.within(losses, 15*time.Second)
	e.routesBy(plain)
	// As the operator's warning says: the bridge that pods are on keeps its MTU when pods get a larger one.
	for _, n := range e.cluster.Nodes {
		_, err := n.Run(e.Context(), "ip", "link", "set", "dev", "cni0", "mtu", "1500")
		e.check(err)
	}
	e.replaceProbes()
	if mtu := e.mtu(); mtu != 1500 {
		e.Errorf("without encapsulation pods get an MTU of %d", mtu)
	}
	packets(e)
	losses = e.during("host-gw to VXLAN", func() { e.change(manifest{}) })
	e.within(losses, 15*time.Second)
	if e.hasIPv6() {
		e.replacePlainRoutes()
	}
	e.routesBy(tunnels)
	e.replaceProbes()
	packets(e)
}

// By which links nodes reach the pods of others, without encapsulation and with VXLAN.
var (
	plain   = map[corev1.IPFamily]string{corev1.IPv4Protocol: "eth0", corev1.IPv6Protocol: "eth0"}
	tunnels = map[corev1.IPFamily]string{corev1.IPv4Protocol: "flannel.1", corev1.IPv6Protocol: "flannel-v6.1"}
)

// routesBy checks by which link each node reaches the pods of the others, for each family.
func (e *environment) routesBy(links map[corev1.IPFamily]string) {
	e.Helper()
	for _, family := range e.families {
		flag, pods := "-4", "10.244."
		if family == corev1.IPv6Protocol {
			flag, pods = "-6", "fd00:10:244:"
		}
		for _, n := range e.cluster.Nodes {
			out, err := n.Run(e.Context(), "ip", flag, "route", "show")
			e.check(err)
			found := 0
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, pods) && strings.Contains(line, " via ") {
					found++
					if !strings.Contains(line, " dev "+links[family]+" ") {
						e.Errorf("%s: not by %s: %s", n.Name, links[family], line)
					}
				}
			}
			if found != len(e.cluster.Nodes)-1 {
				e.Errorf("%s has %d routes to other nodes' pods:\n%s", n.Name, found, out)
			}
		}
	}
}

// proxyModes goes from iptables to nftables and back.
func proxyModes(e *environment) {
	for _, mode := range []string{"NFTables", "IPTables"} {
		e.changeProxyMode(mode)
	}
}

func (e *environment) changeProxyMode(mode string) {
	e.Helper()
	losses := e.during("kube-proxy to "+mode, func() { e.change(manifest{proxy: mode}) })
	e.within(losses[:len(e.families)], time.Second)
	e.within(losses[len(e.families):], 15*time.Second)
	packets(e)
}

// proxyRestarts goes from iptables to nftables and back, and restarts kube-proxy in each.
func proxyRestarts(e *environment) {
	for _, mode := range []string{"NFTables", "IPTables"} {
		e.changeProxyMode(mode)
		losses := e.during("kube-proxy killed, "+mode, e.crashProxies)
		e.within(losses, 10*time.Second)
		packets(e)
		losses = e.during("kube-proxy restarted, "+mode, func() {
			e.kubectl("rollout", "restart", "-n", "kube-system", "daemonset/kube-proxy")
			e.kubectl("rollout", "status", "-n", "kube-system", "daemonset/kube-proxy", "--timeout=2m")
		})
		e.within(losses, 10*time.Second)
		packets(e)
	}
}

// crashProxies kills every kube-proxy, and waits until another one runs in its container's place.
func (e *environment) crashProxies() {
	e.Helper()
	for _, n := range e.cluster.Nodes {
		before, err := n.Run(e.Context(), "pidof", "kube-proxy")
		e.check(err)
		_, err = n.Run(e.Context(), "kill", "-9", strings.TrimSpace(before))
		e.check(err)
		e.eventually("another kube-proxy on "+n.Name, func() error {
			_, err := n.Run(e.Context(), "pidof", "kube-proxy")
			return err
		})
	}
	e.waitReady()
}

// nodeKilled cuts a node's power and turns it on again.
func nodeKilled(e *environment) {
	n := e.cluster.Nodes[len(e.cluster.Nodes)-1]
	node := &corev1.Node{}
	state := func(want bool) func() error {
		return func() error {
			if err := e.client.Get(e.Context(), client.ObjectKey{Name: n.Name}, node); err != nil {
				return err
			}
			if nodeReady(node) != want {
				return fmt.Errorf("ready is %v", !want)
			}
			return nil
		}
	}
	e.check(n.Kill())
	e.Logf("not ready %.1f s after the node was killed", e.eventually("the node to be missed", state(false)).Seconds())
	e.check(n.Start(e.Context()))
	e.Logf("ready %.1f s after the node was started", e.eventually("the node to be ready", state(true)).Seconds())
	e.waitReady()
	begin := time.Now()
	e.eventually("packets to the node's pods", func() error {
		probes := e.probes()
		last := probes[len(probes)-1]
		if last.node != n.Name {
			return fmt.Errorf("the last pod is on %s", last.node)
		}
		return e.once(probes[0].name, "udp", last.at(e.families[0]))
	})
	e.Logf("packets to its pods %.1f s later", time.Since(begin).Seconds())
	packets(e)
}

// orphaned deletes the NetworkStack and keeps the network, which a new one then takes over.
func orphaned(e *environment) {
	before := e.agents()
	losses := e.during("deletion with Orphan", func() {
		e.kubectl("delete", "networkstack", "cluster", "--wait")
		e.gone(&networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}})
	})
	e.within(losses, time.Second)
	packets2 := e.during("the next NetworkStack", func() { e.change(manifest{deletion: "Delete"}) })
	e.within(packets2, time.Second)
	if after := e.agents(); after.Generation != before.Generation || after.UID != before.UID {
		e.Errorf("the agents were changed: generation %d, then %d", before.Generation, after.Generation)
	}
	packets(e)
}
