package e2e

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/nodes"
)

// names checks what CoreDNS answers about Services, at each of its own addresses, by UDP and by TCP: their addresses of each family that
// they have, and none of another.
func (e *environment) names(probes []probe) int {
	e.Helper()
	want := map[string]string{
		"web.default.svc.cluster.local":        e.clusterIPs(probeNamespace, "web"),
		"kubernetes.default.svc.cluster.local": e.clusterIPs("default", "kubernetes"),
	}
	servers := strings.Fields(e.clusterIPs("kube-system", "kube-dns"))
	if len(servers) != len(e.families) {
		e.Errorf("CoreDNS has the addresses %v", servers)
	}
	checks := 0
	for _, from := range probes {
		for _, server := range servers {
			args := slices.Concat([]string{"resolve", net.JoinHostPort(server, "53")}, slices.Collect(maps.Keys(want)))
			for _, r := range e.must(from.name, args...) {
				if r.Error == "" && r.Answer != want[r.Target] {
					e.Errorf("%s asks %s for %s and hears %q, not %q", from.name, server, r.Target, r.Answer, want[r.Target])
				}
				checks++
			}
		}
	}
	return checks
}

// clusterIPs are the addresses of a Service, in the order of texts.
func (e *environment) clusterIPs(namespace, name string) string {
	e.Helper()
	service := &corev1.Service{}
	e.check(e.client.Get(e.Context(), client.ObjectKey{Namespace: namespace, Name: name}, service))
	return strings.Join(slices.Sorted(slices.Values(service.Spec.ClusterIPs)), " ")
}

// outside checks that pods reach what is no part of the cluster and knows no way to pods: by their nodes' addresses.
func outside(e *environment) {
	listener, err := net.Listen("tcp", ":0")
	e.check(err)
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		_, _ = io.WriteString(w, from)
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	defer func() {
		_ = server.Close()
		<-done
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	e.check(err)
	for _, from := range e.probes() {
		i := slices.IndexFunc(e.cluster.Nodes, func(n *nodes.Node) bool { return n.Name == from.node })
		for _, family := range e.families {
			for _, r := range e.must(from.name, "get", net.JoinHostPort(nodes.Gateway(family), port)) {
				if want := e.cluster.Nodes[i].Address(family); r.Error == "" && r.Answer != want {
					e.Errorf("%s is seen as %s, not as %s", from.name, r.Answer, want)
				}
			}
		}
	}
}

// reported checks that the status says of every family what there is.
func reported(e *environment) {
	var services, ranges []string
	for _, family := range e.families {
		services = append(services, nodes.ServiceRange(family))
		ranges = append(ranges, string(family)+" "+nodes.PodRange(family))
	}
	stack := &networkstackv1alpha1.NetworkStack{}
	e.eventually("the status to tell of every family", func() error {
		if err := e.client.Get(e.Context(), client.ObjectKey{Name: "cluster"}, stack); err != nil {
			return err
		}
		facts := stack.Status.Facts
		if facts == nil {
			return fmt.Errorf("no facts")
		}
		var pools []string
		for _, pool := range stack.Status.IPPools {
			pools = append(pools, string(pool.Family)+" "+strings.Join(pool.CIDRs, ","))
		}
		// One entry for each family, whichever comes first.
		slices.Sort(pools)
		slices.Sort(ranges)
		dns := slices.Sorted(slices.Values(facts.DNSServiceIPs))
		for what, c := range map[string]struct{ got, want string }{
			"ranges of Services": {strings.Join(facts.ServiceCIDRs, " "), strings.Join(services, " ")},
			"pools":              {strings.Join(pools, " "), strings.Join(ranges, " ")},
			"families of nodes":  {fmt.Sprint(facts.NodeFamilies), fmt.Sprint(e.families)},
			"addresses of DNS":   {strings.Join(dns, " "), e.clusterIPs("kube-system", "kube-dns")},
		} {
			if c.got != c.want {
				return fmt.Errorf("%s: %q, not %q", what, c.got, c.want)
			}
		}
		return e.holdsNodes(facts.PodCIDRs)
	})
	e.Logf("pods %v, Services %v, DNS %v; warnings %q", stack.Status.Facts.PodCIDRs, stack.Status.Facts.ServiceCIDRs,
		stack.Status.Facts.DNSServiceIPs, stack.Status.Warnings)
}

// holdsNodes is an error unless there is one range a family, and each node's are in them.
func (e *environment) holdsNodes(ranges []string) error {
	if len(ranges) != len(e.families) {
		return fmt.Errorf("the pods' ranges are %v", ranges)
	}
	list := &corev1.NodeList{}
	if err := e.client.List(e.Context(), list); err != nil {
		return err
	}
	for i, text := range ranges {
		all, err := netip.ParsePrefix(text)
		if err != nil {
			return err
		}
		for _, node := range list.Items {
			one, err := netip.ParsePrefix(node.Spec.PodCIDRs[i])
			if err != nil {
				return err
			}
			if !all.Overlaps(one) || all.Bits() > one.Bits() {
				return fmt.Errorf("%s of %s is not in %s", one, node.Name, all)
			}
		}
	}
	return nil
}

// overhead checks what VXLAN takes of a packet: those of exactly the pods' MTU fill what the nodes' network carries and are not taken
// apart on the way, and the kernel gives the link of IPv6 not one byte more.
func overhead(e *environment) {
	mtu := e.mtu()
	if mtu != nodes.UnderlayMTU-70 {
		e.Errorf("pods get %d of the nodes' %d", mtu, nodes.UnderlayMTU)
	}
	probes := e.probes()
	from, to := probes[0], probes[len(probes)-1]
	node := e.cluster.Nodes[0]
	if from.node != node.Name {
		e.Fatalf("%s is on %s", from.name, from.node)
	}
	before := e.fragments(node)
	for _, family := range e.families {
		for range 10 {
			e.must(from.name, "mtu", to.at(family), strconv.Itoa(mtu))
		}
	}
	if after := e.fragments(node); after != before {
		e.Errorf("%s has taken packets apart: %v, then %v", node.Name, before, after)
	}
	if _, err := node.Run(e.Context(), "ip", "link", "set", "dev", "flannel-v6.1", "mtu", strconv.Itoa(mtu+1)); err == nil {
		e.Errorf("flannel-v6.1 can have an MTU of %d", mtu+1)
	} else {
		e.Logf("one byte more: %v", err)
	}
}

// replacePlainRoutes does what the operator's warning FLANNEL-PLAIN-ROUTES says: flanneld leaves IPv6's routes as host-gw had them.
func (e *environment) replacePlainRoutes() {
	e.Helper()
	list := "ip -6 route show root " + nodes.PodRange(corev1.IPv6Protocol) + " proto boot"
	for _, n := range e.cluster.Nodes {
		out, err := n.Run(e.Context(), "sh", "-c", list)
		e.check(err)
		if !strings.Contains(out, " dev eth0 ") {
			e.Errorf("%s: flanneld has replaced the routes by itself; the operator's warning is wrong:\n%s", n.Name, out)
		}
	}
	e.within(e.during("plain IPv6 routes replaced", func() {
		for _, n := range e.cluster.Nodes {
			_, err := n.Run(e.Context(), "sh", "-c", list+" | while read -r net rest; do ip -6 route replace ${net%/*} dev flannel-v6.1; done")
			e.check(err)
		}
		e.kubectl("delete", "pod", "-n", "kube-flannel", "-l", "app=flannel")
		e.eventually("the agents to be back", func() error {
			pods := &corev1.PodList{}
			if err := e.client.List(e.Context(), pods, client.InNamespace("kube-flannel")); err != nil {
				return err
			}
			if len(pods.Items) != len(e.cluster.Nodes) || slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return !ready(&p) }) {
				return fmt.Errorf("%d pods, not all of them ready", len(pods.Items))
			}
			return nil
		})
	}), 3*time.Second)
}

// fragments are how many the node's kernel has made, of IPv4 and of IPv6.
func (e *environment) fragments(n *nodes.Node) [2]string {
	e.Helper()
	var made [2]string
	ipv4, err := n.Run(e.Context(), "cat", "/proc/net/snmp")
	e.check(err)
	var titles []string
	for line := range strings.Lines(ipv4) {
		fields := strings.Fields(line)
		if fields[0] != "Ip:" {
			continue
		}
		if titles == nil {
			titles = fields
			continue
		}
		made[0] = fields[slices.Index(titles, "FragCreates")]
	}
	ipv6, err := n.Run(e.Context(), "cat", "/proc/net/snmp6")
	e.check(err)
	for line := range strings.Lines(ipv6) {
		if fields := strings.Fields(line); fields[0] == "Ip6FragCreates" {
			made[1] = fields[1]
		}
	}
	if made[0] == "" || made[1] == "" {
		e.Fatalf("no counters of fragments in %s\n%s", ipv4, ipv6)
	}
	return made
}
