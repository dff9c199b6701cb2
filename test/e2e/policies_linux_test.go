package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// shop is the namespace that is cut off; the probes' is outside of it.
const shop = "shop"

// userPolicy lets buyer alone reach till, by TCP.
const userPolicy = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: till}
spec:
  podSelector: {matchLabels: {app: till}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: buyer}}}]
    ports: [{protocol: TCP, port: 8080}]
`

// policies has NetworkPolicies enforced: a user's own, then baselines, whose glass is broken; and no longer.
func policies(e *environment) {
	e.within(e.during("enforcement turned on", func() { e.change(manifest{networkPolicy: true}) }), 15*time.Second)
	packets(e)
	m := e.openShop()
	m.userPolicy()
	m.baselines()
	e.queues()
	e.kubectl("delete", "namespace", shop, "--wait")
	e.within(e.during("enforcement turned off", func() { e.change(manifest{}) }), 15*time.Second)
	packets(e)
}

// market is the shop, with who is outside of it.
type market struct {
	*environment
	buyer, till, clerk string // addresses with ports of the shop's pods; clerk is on till's node
	near, far          probe  // pods outside: near is on till's node, far is not, but on buyer's
	outside            []probe
}

// openShop makes the shop's pods, and a Service that leads to till.
func (e *environment) openShop() *market {
	e.Helper()
	e.check(e.client.Create(e.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: shop, Labels: map[string]string{networkstackv1alpha1.BaselineLabel: networkstackv1alpha1.BaselineEnforced},
	}}))
	for name, node := range map[string]int{"buyer": 0, "till": 1, "clerk": 1} {
		e.makePod(shop, name, e.cluster.Nodes[node], name)
	}
	e.check(e.client.Create(e.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "till"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "till"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}))
	m := &market{environment: e, outside: e.probes()}
	for name, address := range map[string]*string{"buyer": &m.buyer, "till": &m.till, "clerk": &m.clerk} {
		e.eventually(name, func() error {
			pod := &corev1.Pod{}
			if err := e.client.Get(e.Context(), client.ObjectKey{Namespace: shop, Name: name}, pod); err != nil {
				return err
			}
			*address = pod.Status.PodIP + ":8080"
			if !ready(pod) {
				return errors.New("not ready")
			}
			return nil
		})
	}
	for _, p := range m.outside {
		switch p.node {
		case e.cluster.Nodes[0].Name:
			m.far = p
		case e.cluster.Nodes[1].Name:
			m.near = p
		}
	}
	e.eventually("the shop's Service", func() error { return e.once("shop/buyer", "get", "till") })
	return m
}

// way is from a pod to a target, by get or udp.
type way struct{ from, kind, target string }

// open checks that ways end at a pod, and go on doing so. On a busy machine they may all be tried once more.
func (m *market) open(when string, ways ...way) {
	m.Helper()
	m.all(when, "open", 2, ways, func(r result) bool { return r.Error == "" })
}

// cut checks that nothing comes back on ways, not even that somebody refuses, and never again.
func (m *market) cut(when string, ways ...way) {
	m.Helper()
	m.all(when, "cut", 1, ways, func(r result) bool {
		unanswered := strings.Contains(r.Error, "timeout") || strings.Contains(r.Error, "deadline exceeded")
		return unanswered && !strings.Contains(r.Error, "lookup") // which is that nobody told where to go
	})
}

// all waits until all ways are as they should be, at once: every node learns of policies for itself. Then they are so again, within
// so many tries.
func (m *market) all(when, what string, tries int, ways []way, right func(result) bool) {
	m.Helper()
	try := func() error {
		var wrong []error
		for i, r := range m.try(ways) {
			if w := ways[i]; !right(r) {
				wrong = append(wrong, fmt.Errorf("from %s by %s to %s: %q, %s", w.from, w.kind, w.target, r.Answer, r.Error))
			}
		}
		return errors.Join(wrong...)
	}
	took := m.eventually(when+": ways to be "+what, try)
	m.Logf("%s: %d ways are %s (%.1f s)", when, len(ways), what, took.Seconds())
	var err error
	for range tries {
		if err = try(); err == nil {
			return
		}
		m.Logf("%s: no longer: %v", when, err)
	}
	m.Errorf("%s: ways do not stay %s: %v", when, what, err)
}

// try goes all ways at once.
func (m *market) try(ways []way) []result {
	m.Helper()
	results := make([]result, len(ways))
	failed := make([]error, len(ways))
	var all sync.WaitGroup
	for i, w := range ways {
		all.Go(func() {
			answers, err := m.ask(w.from, w.kind, w.target)
			if failed[i] = err; err == nil {
				results[i] = answers[0]
			}
		})
	}
	all.Wait()
	m.check(errors.Join(failed...))
	return results
}

// turn does something that opens or cuts the way from far to till, and measures how long that takes: every 20 ms a packet is sent from
// a new port.
func (m *market) turn(what string, open bool, do func()) {
	m.Helper()
	end := m.background(m.far.name, "watch", m.till, "20ms")
	begin := time.Now()
	do()
	done := time.Since(begin)
	m.eventually(what, func() error {
		results, err := m.ask(m.far.name, "udp", m.till)
		if err == nil && (results[0].Error == "") != open {
			err = fmt.Errorf("open is %v: %s", !open, results[0].Error)
		}
		return err
	})
	var runs []run
	end(&runs)
	at, lost, err := turned(runs, open)
	if err == nil && at.Before(begin) {
		err = errors.New("it turned before")
	}
	if err != nil {
		m.Errorf("%s at %s: %v: %v", what, begin.Format(time.StampMilli), err, runs)
		return
	}
	m.Logf("%s: after %d ms (the command took %d ms), %d packets lost", what, at.Sub(begin).Milliseconds(), done.Milliseconds(), lost)
}

// run is of packets in a row that fared alike, by when the first was sent: they were all answered, or none was.
type run struct {
	At   time.Time
	Open bool
	Sent int
}

// turned tells when a way that was to be opened or cut, once, was so, and how many packets were lost while it was open. So many in a row
// may be where a machine is busy; what is cut for longer than that is cut, and then nothing is answered again.
func turned(runs []run, open bool) (at time.Time, lost int, err error) {
	const atMost = 2
	if len(runs) < 2 || runs[0].Open == open {
		return at, 0, errors.New("it did not turn")
	}
	last := len(runs) - 1
	if !open {
		if runs[last].Open {
			return at, 0, errors.New("it is open at the end")
		}
		at, runs = runs[last].At, runs[:last]
	} else {
		at, runs = runs[1].At, runs[1:]
	}
	for _, r := range runs {
		if r.Open {
			continue
		}
		lost += r.Sent
		if r.Sent > atMost {
			return at, lost, fmt.Errorf("it was cut for %d packets, then open again", r.Sent)
		}
	}
	return at, lost, nil
}

func TestTurned(t *testing.T) {
	for name, c := range map[string]struct {
		runs   string
		open   bool
		at     int
		lost   int
		failed bool
	}{
		"opened":                             {runs: "....xxxx", open: true, at: 4},
		"opened, a packet lost":              {runs: "....x.xx", open: true, at: 4, lost: 1},
		"opened, the last packet lost":       {runs: "....xxx.", open: true, at: 4, lost: 1},
		"opened, then cut for a while":       {runs: "..x....x", open: true, failed: true},
		"opened, then cut":                   {runs: "..xx....", open: true, failed: true},
		"never opened":                       {runs: "........", open: true, failed: true},
		"open before":                        {runs: "xxxxxxxx", open: true, failed: true},
		"cut":                                {runs: "xxx.....", at: 3},
		"cut, a packet lost before":          {runs: "x..xx....", at: 5, lost: 2},
		"cut, then open for a packet":        {runs: "xx....x....", failed: true},
		"cut, and open at the end":           {runs: "xxx.....x", failed: true},
		"never cut":                          {runs: "xxxxxxxx", failed: true},
		"cut before":                         {runs: "........", failed: true},
		"nothing sent is no way that turned": {failed: true},
	} {
		t.Run(name, func(t *testing.T) {
			var runs []run
			for i, sign := range c.runs {
				if open := sign == 'x'; i == 0 || runs[len(runs)-1].Open != open {
					runs = append(runs, run{At: time.Unix(int64(i), 0), Open: open})
				}
				runs[len(runs)-1].Sent++
			}
			at, lost, err := turned(runs, c.open)
			if (err != nil) != c.failed || err == nil && (lost != c.lost || !at.Equal(time.Unix(int64(c.at), 0))) {
				t.Errorf("got %v, %d lost, %v", at.Unix(), lost, err)
			}
		})
	}
}

// userPolicy has a NetworkPolicy of somebody's.
func (m *market) userPolicy() {
	allowed := []way{{"shop/buyer", "get", m.till}, {"shop/buyer", "get", "till"}}
	// What the policy does not select stays as it is.
	others := []way{
		{"shop/buyer", "get", m.clerk}, {"shop/till", "get", m.buyer},
		{"shop/till", "udp", m.far.at(m.families[0])}, {m.far.name, "get", m.clerk},
	}
	denied := []way{
		{"shop/buyer", "udp", m.till}, // another protocol
		{"shop/clerk", "get", m.till}, // another pod, of the same node
		// Another namespace, and by the Service.
		{m.near.name, "get", m.till}, {m.far.name, "get", m.till}, {m.far.name, "udp", m.till}, {m.far.name, "get", "till.shop"},
	}
	m.open("before a NetworkPolicy", slices.Concat(denied, allowed, others)...)
	m.turn("a NetworkPolicy cuts", false, func() { m.apply(userPolicy) })
	m.open("with a NetworkPolicy", slices.Concat(allowed, others)...)
	m.cut("with a NetworkPolicy", denied...)
	m.turn("without it", true, func() { m.kubectl("delete", "networkpolicy", "-n", shop, "till") })
	m.open("without it", slices.Concat(denied, allowed)...)
}

// baselines has those of spec.policies, and breaks the glass.
func (m *market) baselines() {
	inside := []way{
		{"shop/buyer", "get", m.till}, {"shop/till", "udp", m.buyer}, {"shop/till", "get", m.clerk}, {"shop/buyer", "get", "till"},
	}
	var across []way
	for _, p := range []probe{m.near, m.far} {
		across = append(across, way{p.name, "get", m.till}, way{p.name, "udp", m.buyer}, way{"shop/till", "get", p.at(m.families[0])},
			way{"shop/buyer", "udp", p.at(m.families[0])})
	}
	door := &corev1.Service{}
	m.check(m.client.Get(m.Context(), client.ObjectKey{Namespace: probeNamespace, Name: "door"}, door))
	across = append(across, way{"shop/buyer", "get", m.service("web")}, way{m.far.name, "get", "till.shop"},
		way{"shop/buyer", "get", fmt.Sprintf("%s:%d", m.cluster.Nodes[2].Address(m.families[0]), door.Spec.Ports[0].NodePort)})
	names := func(when string) {
		for _, pod := range []string{"shop/buyer", "shop/till"} {
			m.must(pod, "lookup", "till", "web.default", "kubernetes.default.svc.cluster.local")
		}
		m.Logf("%s: names are resolved", when)
	}
	m.open("before the baselines", slices.Concat(across, inside)...)

	end := m.stream("inside of the namespace", "shop/buyer", "get", m.till, 50*time.Millisecond)
	m.turn("baselines cut", false, func() { m.apply(manifest{networkPolicy: true, baselines: true}.yaml()) })
	m.waitReady()
	m.denial(networkstackv1alpha1.DenyEnforced)
	with := "with baselines"
	m.open(with, inside...)
	m.cut(with, across...)
	names(with)
	packets(m.environment) // of the namespace that is not covered

	m.turn("broken glass opens", true, func() {
		m.kubectl("annotate", "networkstack", "cluster", networkstackv1alpha1.BreakGlassAnnotation+"=the shop gets no orders")
	})
	m.denial(networkstackv1alpha1.DenyPulled)
	m.open("with broken glass", slices.Concat(across, inside)...)

	m.turn("mended glass cuts", false, func() {
		m.kubectl("annotate", "networkstack", "cluster", networkstackv1alpha1.BreakGlassAnnotation+"-")
	})
	m.denial(networkstackv1alpha1.DenyEnforced)
	m.cut("mended", across...)
	m.open("mended", inside...)
	names("mended")
	l := end()
	m.Log(l.String())
	m.within([]loss{l}, 3*time.Second)

	m.turn("without baselines", true, func() { m.apply(manifest{networkPolicy: true}.yaml()) })
	m.waitReady()
	m.open("without baselines", slices.Concat(across, inside)...)
	left := &networkingv1.NetworkPolicyList{}
	m.check(m.client.List(m.Context(), left, client.InNamespace(shop)))
	if len(left.Items) > 0 {
		m.Errorf("%d NetworkPolicies are left", len(left.Items))
	}
}

// queues tells how many packets the program decided about on each node, and how many were lost with it.
func (e *environment) queues() {
	e.Helper()
	for _, n := range e.cluster.Nodes {
		queue, err := n.Run(e.Context(), "cat", "/proc/net/netfilter/nfnetlink_queue")
		e.check(err)
		// Its columns: number, listener, waiting, how and how much of a packet is copied, dropped because the queue or the listener's
		// buffer is full, packets.
		f := strings.Fields(queue)
		if len(f) < 8 {
			e.Errorf("%s: nobody decides about packets: %q", n.Name, queue)
			continue
		}
		pods := e.kubectl("get", "pods", "-n", "kube-flannel", "-o", "name", "--field-selector", "spec.nodeName="+n.Name)
		log := e.kubectl("logs", "-n", "kube-flannel", strings.TrimSpace(pods), "-c", "kube-network-policies")
		e.Logf("%s: %s packets asked about, %s and %s lost in full queues, %d before their verdict", n.Name, f[7], f[5], f[6],
			strings.Count(log, "Could not receive message"))
	}
}

// denial waits until the status says what has become of what cuts, and whether the glass is broken.
func (m *market) denial(want networkstackv1alpha1.DenyState) {
	m.Helper()
	m.eventually("what cuts to be "+string(want), func() error {
		stack := &networkstackv1alpha1.NetworkStack{}
		if err := m.client.Get(m.Context(), client.ObjectKey{Name: "cluster"}, stack); err != nil {
			return err
		}
		broken := meta.IsStatusConditionTrue(stack.Status.Conditions, networkstackv1alpha1.ConditionPoliciesPulled)
		if stack.Status.Policies == nil || stack.Status.Policies.Deny != want || broken != (want == networkstackv1alpha1.DenyPulled) {
			return fmt.Errorf("it is %+v, PoliciesPulled is %v", stack.Status.Policies, broken)
		}
		return nil
	})
}
