package e2e

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/networkstack/networkstack/test/nodes"
	"github.com/networkstack/networkstack/test/testcharts"
)

// metalLBVersion is that of the catalogue, and of the program of hack/nodes.
const metalLBVersion = "0.16.1"

const metalLBNamespace = "metallb-system"

// loadBalancing has MetalLB, from an archive of its chart that upstream has not packed, and addresses.
const loadBalancing = `
  loadBalancer:
    type: MetalLB
    version: ` + metalLBVersion + `
    chart: {repository: "https://metallb.github.io/metallb", digest: "sha256:%s"}
    pools:
    - {name: public, addresses: [%s]}`

// Addresses of the nodes' own segment that nobody has.
const (
	firstAddresses = "10.99.0.200-10.99.0.209"
	moreAddresses  = "10.99.0.220/30"
	moreAddress    = "10.99.0.221"
)

// loadBalancer gives Services addresses that one node each answers for, to somebody beside the nodes: this process, which is on their
// switch. The node loses its power, the pool grows and shrinks, and all of it goes again.
func loadBalancer(e *environment) {
	dir := testcharts.UpstreamDir(e, "metallb", metalLBVersion)
	content, err := os.ReadFile(filepath.Join(dir, "metallb-"+metalLBVersion+".tgz"))
	e.check(err)
	sum := sha256.Sum256(content)
	m := manifest{balanced: firstAddresses, chart: hex.EncodeToString(sum[:])}
	// The API server asks MetalLB's webhook.
	e.check(e.cluster.ReachServices(e.cluster.Nodes[0]))

	e.within(e.during("MetalLB installed", func() {
		begin := time.Now()
		e.change(m)
		e.Logf("NetworkStack with MetalLB Ready after %.1f s", time.Since(begin).Seconds())
	}), 3*time.Second)
	begin := time.Now()
	e.makeBalanced("front", nil)
	front := e.balanced("front", firstAddresses)
	e.Logf("an address after %d ms", time.Since(begin).Milliseconds())
	e.eventually("a visit", func() error { return e.visited(front) })
	e.Logf("the first visit after %d ms", time.Since(begin).Milliseconds())
	owner := e.answersFor(front, "")
	for range 20 {
		e.check(e.visited(front))
	}

	// Not the node by which webhooks are reached.
	if owner == e.cluster.Nodes[0] {
		e.Logf("%s answers for it, by which the control plane reaches Services as well", owner.Name)
		e.check(e.cluster.ReachServices(e.cluster.Nodes[1]))
	}
	e.nodeOfAddressKilled(front, owner)

	m.balanced = firstAddresses + ", " + moreAddresses
	end := e.visit("visits, a pool grows", []string{front + ":80"})
	e.change(m)
	e.makeBalanced("side", map[string]string{"metallb.io/loadBalancerIPs": moreAddress})
	side := e.balanced("side", moreAddresses)
	if side != moreAddress {
		e.Errorf("the Service has %s, and asked for %s", side, moreAddress)
	}
	e.eventually("a visit at the new address", func() error { return e.visited(side) })
	e.answersFor(side, "")
	l := end()
	e.Log(l.String())
	e.within([]loss{l}, 2*time.Second)
	packets(e)

	e.kubectl("delete", "service", "side")
	e.eventually(side+" to be given back", func() error { return e.nobodyAnswersFor(side) })
	m.balanced = firstAddresses
	e.change(m)
	e.check(e.visited(front))

	e.within(e.during("MetalLB removed", func() { e.change(manifest{}) }), 3*time.Second)
	e.eventually("nobody to answer for "+front, func() error { return e.nobodyAnswersFor(front) })
	e.eventually("front to lose its address", func() error {
		service := &corev1.Service{}
		err := e.client.Get(e.Context(), client.ObjectKey{Namespace: probeNamespace, Name: "front"}, service)
		if err == nil && len(service.Status.LoadBalancer.Ingress) > 0 {
			err = fmt.Errorf("it has %v", service.Status.LoadBalancer.Ingress)
		}
		return err
	})
	e.kubectl("delete", "service", "front", "--timeout=1m")
	packets(e)
}

// makeBalanced makes a Service of type LoadBalancer in front of the probes.
func (e *environment) makeBalanced(name string, annotations map[string]string) {
	e.Helper()
	e.check(e.client.Create(e.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: probeNamespace, Name: name, Annotations: annotations},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "probe"},
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}))
}

// balanced waits for the address of a Service, which has to be one of a pool's.
func (e *environment) balanced(name, pool string) string {
	e.Helper()
	var address netip.Addr
	e.eventually("an address of "+name, func() error {
		service := &corev1.Service{}
		if err := e.client.Get(e.Context(), client.ObjectKey{Namespace: probeNamespace, Name: name}, service); err != nil {
			return err
		}
		if len(service.Status.LoadBalancer.Ingress) != 1 {
			return fmt.Errorf("it has %v", service.Status.LoadBalancer.Ingress)
		}
		var err error
		address, err = netip.ParseAddr(service.Status.LoadBalancer.Ingress[0].IP)
		return err
	})
	inside := false
	if first, last, isRange := strings.Cut(pool, "-"); isRange {
		inside = netip.MustParseAddr(first).Compare(address) <= 0 && address.Compare(netip.MustParseAddr(last)) <= 0
	} else {
		inside = netip.MustParsePrefix(pool).Contains(address)
	}
	if !inside {
		e.Errorf("%s has %s, which is not of %s", name, address, pool)
	}
	return address.String()
}

// visited visits the probes at an address.
func (e *environment) visited(address string) error {
	status, body, err := fetch(e.Context(), address+":80", address)
	if err != nil || status != http.StatusOK || !strings.HasPrefix(body, "probe-") {
		return errors.Join(err, fmt.Errorf("%d %q", status, body))
	}
	return nil
}

// owners are the nodes that answer when somebody on the switch asks who has an address.
func (e *environment) owners(address string) ([]*nodes.Node, error) {
	ctx, cancel := context.WithTimeout(e.Context(), time.Second)
	defer cancel()
	answers, err := nodes.WhoHas(ctx, netip.MustParseAddr(address))
	if err != nil {
		return nil, err
	}
	var owners []*nodes.Node
	for _, answer := range answers {
		i := slices.IndexFunc(e.cluster.Nodes, func(n *nodes.Node) bool { return n.HardwareAddress().String() == answer })
		if i < 0 {
			return nil, fmt.Errorf("%s answers for %s, and is no node", answer, address)
		}
		owners = append(owners, e.cluster.Nodes[i])
	}
	return owners, nil
}

// answersFor waits until exactly one node answers for an address, and not the one that is named.
func (e *environment) answersFor(address, other string) *nodes.Node {
	e.Helper()
	var owners []*nodes.Node
	e.eventually("one node to answer for "+address, func() error {
		var err error
		if owners, err = e.owners(address); err == nil && (len(owners) != 1 || owners[0].Name == other) {
			err = fmt.Errorf("%d nodes do, or %s does", len(owners), cmp.Or(other, "none"))
		}
		return err
	})
	e.Logf("%s answers for %s, and nobody else", owners[0].Name, address)
	return owners[0]
}

func (e *environment) nobodyAnswersFor(address string) error {
	owners, err := e.owners(address)
	if err == nil && len(owners) > 0 {
		err = fmt.Errorf("%s answers", owners[0].Name)
	}
	return err
}

// nodeOfAddressKilled cuts the power of the node that answers for an address, and turns it on again when it is missed.
func (e *environment) nodeOfAddressKilled(address string, owner *nodes.Node) {
	e.Helper()
	end := e.visit("visits, the node that answers loses its power", []string{address + ":80"})
	begin := time.Now()
	e.check(owner.Kill())
	next := e.answersFor(address, owner.Name)
	e.Logf("%s answers %.1f s after %s lost its power", next.Name, time.Since(begin).Seconds(), owner.Name)
	e.eventually("the node to be missed", func() error { return e.nodeIs(owner, false) })
	// Until it is, visits are sent to its pods as well.
	e.eventually("visits", func() error { return e.visited(address) })
	for range 4 { // a second each, so that there are visits to count
		e.answersFor(address, owner.Name)
	}
	l := end()
	e.Log(l.String())
	e.within([]loss{l}, 30*time.Second)

	end = e.visit("visits, the node comes back", []string{address + ":80"})
	e.check(owner.Start(e.Context()))
	e.eventually("the node to be ready", func() error { return e.nodeIs(owner, true) })
	e.eventually("MetalLB's pods", func() error {
		pods := &corev1.PodList{}
		if err := e.client.List(e.Context(), pods, client.InNamespace(metalLBNamespace)); err != nil {
			return err
		}
		for _, pod := range pods.Items {
			if !ready(&pod) {
				return fmt.Errorf("%s is not ready", pod.Name)
			}
		}
		return nil
	})
	e.waitReady()
	for _, p := range e.probes() {
		e.eventually("packets to the node's pods", func() error { return e.once(p.name, "get", e.service("web")) })
	}
	e.answersFor(address, "")
	l = end()
	e.Log(l.String())
	e.within([]loss{l}, 15*time.Second)
}

// nodeIs tells whether a node is Ready, as it should be or not be.
func (e *environment) nodeIs(n *nodes.Node, want bool) error {
	node := &corev1.Node{}
	if err := e.client.Get(e.Context(), client.ObjectKey{Name: n.Name}, node); err != nil {
		return err
	}
	if nodeReady(node) != want {
		return fmt.Errorf("ready is %v", !want)
	}
	return nil
}
