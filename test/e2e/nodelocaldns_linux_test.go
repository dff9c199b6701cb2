package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/networkstack/networkstack/test/nodes"
)

const (
	kubeDNS  = "10.96.0.10:53"
	localDNS = "169.254.20.10:53"
	// knownName is one that is asked for again and again; newName stands for one that was never asked for.
	knownName = "web.default.svc.cluster.local"
	newName   = "*.default.pod.cluster.local"
	// cacheLink is what a cache calls its link of the node.
	cacheLink = "nodelocaldns"
)

// nodeLocalDNS has a cache of names on every node: on the address of CoreDNS's Service beside kube-proxy with iptables, on its own alone
// beside nftables. Caches and CoreDNS are killed and rolled out, and the caches go again, while pods ask.
func nodeLocalDNS(e *environment) {
	if e.once(e.probes()[0].name, "resolve", localDNS, knownName+".") == nil {
		e.Fatalf("somebody answers at %s before there is a cache", localDNS)
	}
	e.queries("caches come", kubeDNS, 3*time.Second, func() {
		begin := time.Now()
		e.change(manifest{cache: true})
		e.Logf("NetworkStack with caches Ready after %.1f s", time.Since(begin).Seconds())
		e.cachesAsked(kubeDNS)
		e.Logf("every cache is asked after %.1f s", time.Since(begin).Seconds())
	})
	e.cachesAnswer(kubeDNS, localDNS)
	e.queries("CoreDNS rolled out, caches", kubeDNS, 10*time.Second, func() { e.rollOut("deployment/coredns") })
	e.queries("caches killed", kubeDNS, 15*time.Second, e.killCaches)
	e.queries("caches rolled out", kubeDNS, 10*time.Second, func() { e.rollOut("daemonset/node-local-dns") })
	e.cachesAsked(kubeDNS)
	e.cachesAnswer(kubeDNS, localDNS)
	packets(e)

	e.queries("caches, kube-proxy to NFTables", kubeDNS, 15*time.Second, func() { e.change(manifest{cache: true, proxy: "NFTables"}) })
	e.cachesAsked(localDNS)
	e.cachesAnswer(kubeDNS, localDNS)
	for name, left := range e.ofCaches() {
		if strings.Contains(left, strings.TrimSuffix(kubeDNS, ":53")+"/") || !strings.Contains(left, cacheLink) {
			e.Errorf("%s keeps queries to CoreDNS's Service for the cache, or has no link for it:\n%s", name, left)
		}
	}
	asker := e.toldOfCache()
	e.must(asker, "lookup", "web", knownName, "kubernetes.default")
	e.queries("caches on their own address rolled out", localDNS, 20*time.Second, func() { e.rollOut("daemonset/node-local-dns") })
	e.must(asker, "lookup", "web", knownName, "kubernetes.default")
	e.kubectl("delete", "pod", "-n", probeNamespace, asker)

	e.queries("caches, kube-proxy to IPTables", kubeDNS, 15*time.Second, func() { e.change(manifest{cache: true}) })
	e.cachesAsked(kubeDNS)
	e.queries("caches go", kubeDNS, 10*time.Second, func() {
		e.change(manifest{})
		e.eventually("the caches to be gone", func() error {
			pods := &corev1.PodList{}
			err := e.client.List(e.Context(), pods, client.InNamespace("kube-system"), client.MatchingLabels{"k8s-app": "node-local-dns"})
			if err == nil && len(pods.Items) > 0 {
				err = fmt.Errorf("%d are there", len(pods.Items))
			}
			return err
		})
		for name, left := range e.ofCaches() {
			if left != "" {
				e.Errorf("%s has what the cache left:\n%s", name, left)
			}
		}
	})
	packets(e)
}

// queries asks a server for a name that is known and for new ones, all the while that something happens, and fails the test where
// no answer comes for longer than it may take.
func (e *environment) queries(what, server string, gap time.Duration, do func()) {
	e.Helper()
	pod := e.probes()[0].name
	known := e.stream(what+": known name", pod, "dns", server+"/"+knownName, 20*time.Millisecond)
	others := e.stream(what+": new names", pod, "dns", server+"/"+newName, 20*time.Millisecond)
	e.within(e.measured(what, []string{pod}, []func() loss{known, others}, do), gap)
}

// rollOut has new pods in the place of those of kube-system.
func (e *environment) rollOut(what string) {
	e.Helper()
	e.kubectl("rollout", "restart", "-n", "kube-system", what)
	e.kubectl("rollout", "status", "-n", "kube-system", what, "--timeout=2m")
	e.waitReady()
}

// cachesAnswer checks that pods of every node hear the same from all servers, by UDP and TCP, and by the server that their kubelet names.
func (e *environment) cachesAnswer(servers ...string) {
	e.Helper()
	for _, p := range e.probes() {
		for _, server := range servers {
			want, _, _ := strings.Cut(e.service("web"), ":")
			got := e.must(p.name, "resolve", server, knownName+".", "10-1-2-3.default.pod.cluster.local.")
			if got[0].Answer != want || got[1].Answer != "10.1.2.3" {
				e.Errorf("%s hears %q and %q of %s", p.name, got[0].Answer, got[1].Answer, server)
			}
		}
		e.must(p.name, "lookup", "web", "web.default", "kubernetes.default.svc.cluster.local")
	}
}

// cachesAsked waits until it is the cache of its node that a pod asks when it asks a server, on every node.
func (e *environment) cachesAsked(server string) {
	e.Helper()
	names := []string{"resolve", server}
	for i := range 10 {
		names = append(names, fmt.Sprintf("10-1-2-%d.default.pod.cluster.local.", i))
	}
	asked := map[string]bool{}
	for _, p := range e.probes() {
		n := e.node(p.node)
		if asked[n.Name] {
			continue
		}
		asked[n.Name] = true
		e.eventually("the cache of "+n.Name+" to be asked", func() error {
			before, err := e.countQueries(n)
			if err != nil {
				return err
			}
			if err := e.once(p.name, names...); err != nil {
				return err
			}
			after, err := e.countQueries(n)
			// Each name is asked for twice, for addresses of both families.
			if err == nil && after-before < 20 {
				err = fmt.Errorf("20 queries to %s, and it has answered %.0f", server, after-before)
			}
			return err
		})
	}
}

func (e *environment) node(name string) *nodes.Node {
	e.Helper()
	for _, n := range e.cluster.Nodes {
		if n.Name == name {
			return n
		}
	}
	e.Fatalf("no node is called %s", name)
	return nil
}

// countQueries tells how many queries a node's cache has answered, as its metrics have it.
func (e *environment) countQueries(n *nodes.Node) (float64, error) {
	request, err := http.NewRequestWithContext(e.Context(), http.MethodGet, "http://"+net.JoinHostPort(n.Address(e.families[0]), "9253")+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	sum, lines := 0.0, bufio.NewScanner(response.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "coredns_dns_requests_total{") {
			value, err := strconv.ParseFloat(lines.Text()[strings.LastIndex(lines.Text(), " ")+1:], 64)
			if err != nil {
				return 0, err
			}
			sum += value
		}
	}
	return sum, lines.Err()
}

// killCaches kills the cache of every node, and waits until another one answers in its container's place.
func (e *environment) killCaches() {
	e.Helper()
	for _, n := range e.cluster.Nodes {
		before, err := n.Run(e.Context(), "pidof", "node-cache")
		e.check(err)
		_, err = n.Run(e.Context(), "kill", "-9", strings.TrimSpace(before))
		e.check(err)
	}
	for _, n := range e.cluster.Nodes {
		e.eventually("another cache on "+n.Name, func() error {
			if _, err := n.Run(e.Context(), "pidof", "node-cache"); err != nil {
				return err
			}
			_, err := e.countQueries(n)
			return err
		})
	}
	e.cachesAsked(kubeDNS)
	e.waitReady()
}

// ofCaches are the link and the rules on each node that caches make.
func (e *environment) ofCaches() map[string]string {
	e.Helper()
	found := map[string]string{}
	for _, n := range e.cluster.Nodes {
		found[n.Name] = ""
		for _, args := range [][]string{{"ip", "-br", "link"}, {"iptables-save"}, {"ip6tables-save"}} {
			out, err := n.Run(e.Context(), args...)
			e.check(err)
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, cacheLink) || strings.Contains(line, "NodeLocal DNS Cache") {
					found[n.Name] += line
				}
			}
		}
	}
	return found
}

// toldOfCache makes a pod with what a kubelet writes for its pods whose clusterDNS is the cache's own address.
func (e *environment) toldOfCache() string {
	e.Helper()
	ndots, zero, token := "5", int64(0), false
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: probeNamespace, Name: "asker"},
		Spec: corev1.PodSpec{
			NodeName: e.cluster.Nodes[1].Name, TerminationGracePeriodSeconds: &zero, AutomountServiceAccountToken: &token,
			DNSPolicy: corev1.DNSNone, DNSConfig: &corev1.PodDNSConfig{
				Nameservers: []string{strings.TrimSuffix(localDNS, ":53")},
				Searches:    []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local"},
				Options:     []corev1.PodDNSConfigOption{{Name: "ndots", Value: &ndots}},
			},
			Containers: []corev1.Container{{
				Name: "probe", Image: nodes.ProbeImage, ImagePullPolicy: corev1.PullNever, Args: []string{"serve"},
			}},
		},
	}
	e.check(e.client.Create(e.Context(), pod))
	e.eventually(pod.Name, func() error {
		if err := e.client.Get(e.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
			return err
		}
		if !ready(pod) {
			return errors.New("not ready")
		}
		return nil
	})
	return pod.Name
}
