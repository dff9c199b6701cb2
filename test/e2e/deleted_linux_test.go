package e2e

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// onNodes is what networks leave on each node: links, routes, rules and files.
func (e *environment) onNodes() map[string]string {
	e.Helper()
	out := map[string]string{}
	for _, n := range e.cluster.Nodes {
		var text []string
		tell := func(keep func(line string) (string, bool), args ...string) {
			got, err := n.Run(e.Context(), args...)
			e.check(err)
			var lines []string
			for line := range strings.Lines(got) {
				if line, ok := keep(strings.TrimSpace(line)); ok {
					lines = append(lines, line)
				}
			}
			slices.Sort(lines)
			text = append(text, "# "+strings.Join(args, " "))
			text = append(text, lines...)
		}
		whole := func(line string) (string, bool) { return line, line != "" }
		tell(linkOfNetworks, "ip", "-br", "link")
		tell(routeOfNetworks, "ip", "-4", "route", "show", "table", "all")
		tell(routeOfNetworks, "ip", "-6", "route", "show", "table", "all")
		tell(whole, "ip", "rule", "show")
		tell(ruleOfNetworks, "iptables-save")
		tell(ruleOfNetworks, "ip6tables-save")
		tell(tableOfNetworks, "nft", "list", "tables")
		// Directories that are empty stay: /run/flannel, and /var/lib/cni.
		tell(fileOfNetworks, "find", "/etc", "/opt", "/run", "/var/lib", "(", "-path", "/var/lib/containerd", "-o", "-path", "/var/lib/kubelet", "-o",
			"-path", "/run/containerd", ")", "-prune", "-o", "(", "-path", "*/cni/*", "-o", "-path", "/run/flannel/*", "-o", "-path", "/run/multus/*", ")", "!", "-type", "d", "-print")
		out[n.Name] = strings.Join(text, "\n")
	}
	return out
}

// linkOfNetworks is the name of a link, but not of the bridge of a second network, which goes with the node.
func linkOfNetworks(line string) (string, bool) {
	name, _, _ := strings.Cut(line, " ")
	name, _, _ = strings.Cut(name, "@") // the number of its peer is another one after a restart
	return name, name != "" && name != secondBridge
}

// routeOfNetworks is a route, but not those of the bridge of a second network, nor to what IPv6 gives the node's link by itself, which is
// another address after a restart.
func routeOfNetworks(line string) (string, bool) {
	return line, line != "" && !strings.HasPrefix(line, "local fe80:") && !strings.Contains(line, " dev "+secondBridge+" ")
}

// fileOfNetworks is a file, but not what containerd notes of the loopback interface of each pod that runs.
func fileOfNetworks(line string) (string, bool) {
	return line, line != "" && !strings.Contains(line, "/cni-loopback-")
}

// ruleOfNetworks are rules and chains, but the chains that a kubelet makes and keeps, and the way by which packets come to the
// enforcer of NetworkPolicies in its image here.
func ruleOfNetworks(line string) (string, bool) {
	for _, others := range []string{"KUBE-KUBELET-CANARY", "KUBE-IPTABLES-HINT", "KUBE-FIREWALL", "POLICIES"} {
		if strings.Contains(line, others) {
			return "", false
		}
	}
	chain, isChain := strings.CutPrefix(line, ":")
	if isChain {
		name, policy, _ := strings.Cut(chain, " ")
		return name, strings.HasPrefix(policy, "-")
	}
	return line, strings.HasPrefix(line, "-A ")
}

// tableOfNetworks are tables of nftables, but those that are iptables'.
func tableOfNetworks(line string) (string, bool) {
	_, name, _ := strings.Cut(strings.TrimPrefix(line, "table "), " ")
	return line, !slices.Contains([]string{"", "filter", "nat", "mangle", "raw"}, name)
}

// deleted deletes the network, with Multus, whose books have pods that were let go of without it.
func deleted(e *environment) {
	e.change(manifest{deletion: "Delete", secondary: true})
	e.deleteNetwork()
}

// again brings another network to nodes that had one, and deletes it, too: with plain routes and with nftables. Pods that ran before are
// made anew.
func again(e *environment) {
	begin := time.Now()
	e.change(manifest{deletion: "Delete", encapsulation: "None", proxy: "NFTables"})
	e.Logf("NetworkStack Ready again after %.1f s", time.Since(begin).Seconds())
	e.replaceProbes()
	e.routesBy(plain)
	packets(e)
	e.deleteNetwork()
}

// deleteNetwork deletes the NetworkStack and the network with it: every object of its components, and what the agents left on nodes. The
// operator is killed when that has begun.
func (e *environment) deleteNetwork() {
	e.Helper()
	begin := time.Now()
	since := func(what string) { e.Logf("%-46s %5.1f s", what, time.Since(begin).Seconds()) }
	e.kubectl("delete", "networkstack", "cluster", "--wait=false")
	cleanup := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "networkstack-node-cleanup"}}
	e.eventually("nodes to be cleaned", func() error { return e.client.Get(e.Context(), client.ObjectKeyFromObject(cleanup), cleanup) })
	since("the cleaning of nodes has begun")
	e.kubectl("delete", "pod", "-n", operatorNamespace, "-l", "app.kubernetes.io/component=operator", "--grace-period=0", "--force")
	e.gone(&networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}})
	since("the NetworkStack is gone")
	for namespace, names := range map[string][]string{
		"kube-flannel": {"kube-flannel-ds"}, "kube-system": {"kube-proxy", "networkstack-node-agent", "kube-multus-ds", cleanup.Name},
	} {
		for _, name := range names {
			e.gone(&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
		}
	}
	e.gone(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}})
	e.eventually("the agents' pods to be gone", func() error {
		pods := &corev1.PodList{}
		if err := e.client.List(e.Context(), pods, client.InNamespace("kube-flannel")); err != nil {
			return err
		}
		if len(pods.Items) > 0 {
			return fmt.Errorf("%d are there", len(pods.Items))
		}
		return nil
	})
	components := &networkstackv1alpha1.NetworkComponentList{}
	e.check(e.client.List(e.Context(), components))
	if len(components.Items) > 0 {
		e.Errorf("%d NetworkComponents are left", len(components.Items))
	}
	for name, now := range e.onNodes() {
		if diff := cmp.Diff((*e.bare)[name], now); diff != "" {
			e.Errorf("%s is not as it was before there was a network: -before +after:\n%s", name, diff)
		}
	}
	e.waitForOperator()
}
