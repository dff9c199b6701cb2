package lifecycle

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/effort"
	"github.com/networkstack/networkstack/test/operator"
	"github.com/networkstack/networkstack/test/testcharts"
)

// TestPools fills up the pools of Flannel, and then those of Cilium, on nodes that have room for 16. Flannel's ranges are given to
// the nodes by the real kube-controller-manager. Cilium's operator is played by the test: it defines CiliumNode, as far as the
// operator looks at it, and writes the ranges. Calico's pools are in TestCalicoStack.
func TestPools(t *testing.T) {
	t.Parallel()
	charts := testcharts.PinnedDir(t, "cilium", "1.20.0")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	metricsAddress := listener.Addr().String()
	listener.Close() // for the operator to have it
	e := newEnv(t, controlplane.Options{
		AuditLog: filepath.Join(t.TempDir(), "audit.log"), ServiceCIDRs: []string{"10.96.0.0/16"}, PodCIDRs: []string{"10.244.0.0/20"},
	}, "--charts", charts, "--metrics-bind-address", metricsAddress)
	stack := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}, Spec: networkstackv1alpha1.NetworkStackSpec{
		IPPools:        []networkstackv1alpha1.IPPool{{Name: "default", CIDRs: []string{"10.244.0.0/20"}}},
		CNI:            networkstackv1alpha1.CNISpec{Type: networkstackv1alpha1.CNIFlannel},
		DeletionPolicy: networkstackv1alpha1.DeletionDelete,
	}}
	e.apply(stack)
	e.waitReady(stack.Name)
	metricsAsDocumented(t, e, "http://"+metricsAddress+"/metrics")
	for _, step := range []struct {
		name string
		run  func(*testing.T, *env, *networkstackv1alpha1.NetworkStack)
		// metrics are what a scrape finds afterwards.
		metrics string
	}{
		{"Flannel's pool fills up as nodes come", flannelPoolFills, `networkstack_ippool_allocated{family="IPv4",pool="default",unit="NodeRanges"} 13
networkstack_ippool_capacity{family="IPv4",pool="default",unit="NodeRanges"} 16`},
		{"Flannel's one range can neither be doubled nor left", flannelPoolKept, ""},
		{"Cilium's pool fills up as its operator writes", ciliumPoolFills, `allocated{family="IPv4",pool="default",unit="NodeRanges"} 13`},
		{"a CIDR more makes room without an interruption", ciliumPoolAdded, `allocated{family="IPv4",pool="more",unit="NodeRanges"} 0`},
		{"a CIDR in use cannot be removed, and a drained one can", ciliumPoolRemoved, ""},
		{"a restarted operator says nothing new", poolsRestarted, `allocated{family="IPv4",pool="default",unit="NodeRanges"} 13`},
		{"an operator that watches allocations idles", poolsIdle, ""},
	} {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, stack) }) }) {
			t.FailNow()
		}
		if step.metrics != "" {
			e.eventually("the metrics", func(ctx context.Context) (bool, string) {
				text := scrape(ctx, "http://"+metricsAddress+"/metrics")
				return strings.Contains(text, step.metrics), text
			})
		}
	}
}

// scrape is what a server says of pools; its error, when it says nothing.
func scrape(ctx context.Context, url string) string {
	var out []string
	for line := range strings.SplitSeq(operator.Answer(ctx, url), "\n") {
		if strings.HasPrefix(line, "networkstack_ippool_") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// pool waits until a pool's line in the status is as wanted.
func (e *env) pool(stack, name string, want func(networkstackv1alpha1.IPPoolStatus) bool) networkstackv1alpha1.IPPoolStatus {
	e.t.Helper()
	var out networkstackv1alpha1.IPPoolStatus
	e.eventually("the status of pool "+name, func(context.Context) (bool, string) {
		s := e.stack(stack)
		for _, p := range s.Status.IPPools {
			if p.Name == name && want(p) {
				out = p
				return true, ""
			}
		}
		return false, toJSON(s.Status.IPPools)
	})
	return out
}

// roomIs waits for what the condition says, and wants the stack to be Ready all the while.
func (e *env) roomIs(stack string, status metav1.ConditionStatus, reason string) *networkstackv1alpha1.NetworkStack {
	e.t.Helper()
	s := e.waitCondition(stack, networkstackv1alpha1.ConditionPoolsSufficient, status, reason)
	if !meta.IsStatusConditionTrue(s.Status.Conditions, networkstackv1alpha1.ConditionReady) {
		// A node that has just come has no agent yet.
		e.waitReady(stack)
	}
	return s
}

func flannelPoolFills(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	p := e.pool(stack.Name, "default", func(p networkstackv1alpha1.IPPoolStatus) bool { return p.Allocated == 3 })
	if p.Unit != networkstackv1alpha1.PoolNodeRanges || *p.Capacity != 16 || *p.Percent != 18 || *p.NodesLeft != 13 || p.State != networkstackv1alpha1.PoolSufficient {
		t.Errorf("pool: %s", toJSON(p))
	}
	e.roomIs(stack.Name, metav1.ConditionTrue, networkstackv1alpha1.ReasonPoolsSufficient)
	e.check(e.cp.AddNodes(t.Context(), 10, controlplane.NodeOptions{MTU: 1500}))
	e.roomIs(stack.Name, metav1.ConditionFalse, networkstackv1alpha1.ReasonPoolsNearlyExhausted)
	p = e.pool(stack.Name, "default", func(p networkstackv1alpha1.IPPoolStatus) bool { return p.Allocated == 13 })
	if *p.NodesLeft != 3 || p.State != networkstackv1alpha1.PoolNearlyExhausted {
		t.Errorf("pool: %s", toJSON(p))
	}
	said := findCondition(e.stack(stack.Name), networkstackv1alpha1.ConditionPoolsSufficient).Message
	for _, part := range []string{"IPv4 pool default: 13 of 16 node ranges are given out (81 %), room for 3 more nodes", "--cluster-cidr"} {
		if !strings.Contains(said, part) {
			t.Errorf("the condition does not say %q: %s", part, said)
		}
	}
	e.eventually("the event", func(context.Context) (bool, string) {
		n := e.countEvents(stack.Name, networkstackv1alpha1.ReasonPoolsNearlyExhausted)
		return n == 1, fmt.Sprint(n)
	})
}

// poolsRestarted starts the operator anew and wants it to write nothing, neither before it has read the allocations nor afterwards.
func poolsRestarted(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.quiet(time.Time{})
	before := e.stack(stack.Name)
	told := e.countEvents(stack.Name, networkstackv1alpha1.ReasonPoolsNearlyExhausted)
	e.check(e.process.Stop())
	from := time.Now()
	e.startOperator()
	e.quiet(from)
	after := e.stack(stack.Name)
	if before.ResourceVersion != after.ResourceVersion {
		t.Errorf("the status was written:\n%s\n%s", toJSON(before.Status), toJSON(after.Status))
	}
	if n := e.countEvents(stack.Name, networkstackv1alpha1.ReasonPoolsNearlyExhausted); n != told {
		t.Errorf("%d events, there were %d", n, told)
	}
}

func flannelPoolKept(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	kept := stack.Spec.IPPools[0].CIDRs
	for _, tc := range []struct {
		cidrs []string
		want  string
	}{
		{[]string{kept[0], "10.245.0.0/20"}, "remove this CIDR, widen that one, or use type Cilium [FLANNEL-ONE-RANGE]"},
		{[]string{"10.245.0.0/20"}, "write kube-controller-manager's --cluster-cidr [FLANNEL-NODE-OUTSIDE]"},
	} {
		stack.Spec.IPPools[0].CIDRs = tc.cidrs
		e.apply(stack)
		refused := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
		if said := findCondition(refused, networkstackv1alpha1.ConditionAccepted).Message; !strings.Contains(said, tc.want) {
			t.Errorf("refused for another reason: %s", said)
		}
		// What is told is the pool that there is.
		if p := refused.Status.IPPools; len(p) != 1 || p[0].CIDRs[0] != kept[0] || p[0].Allocated != 13 {
			t.Errorf("pools: %s", toJSON(p))
		}
	}
	stack.Spec.IPPools[0].CIDRs = kept
	e.apply(stack)
	e.waitReady(stack.Name)
}

// quiet waits until the operator has been asking for things since then, and has written nothing for a while.
func (e *env) quiet(from time.Time) {
	e.t.Helper()
	const long = 3 * time.Second
	e.eventually("the operator to have nothing to do", func(context.Context) (bool, string) {
		active := false
		for _, r := range e.requests() {
			active = active || r.Time.After(from) && r.Verb == "watch" && r.Resource == "networkstacks"
		}
		last, what := e.lastWrite()
		return active && time.Since(last) > long && time.Since(from) > long, what
	})
}

var ciliumNodes = schema.GroupVersionKind{Group: "cilium.io", Version: "v2", Kind: "CiliumNode"}

const ciliumNodeDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ciliumnodes.cilium.io}
spec:
  group: cilium.io
  scope: Cluster
  names: {kind: CiliumNode, listKind: CiliumNodeList, plural: ciliumnodes, singular: ciliumnode}
  versions:
  - name: v2
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}`

// defineCiliumNodes does what Cilium's operator does when it starts.
func (e *env) defineCiliumNodes() {
	e.t.Helper()
	crd := &unstructured.Unstructured{}
	e.check(yaml.Unmarshal([]byte(ciliumNodeDefinition), &crd.Object))
	e.check(e.client.Create(e.t.Context(), crd))
	e.eventually("CiliumNodes to be served", func(ctx context.Context) (bool, string) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(ciliumNodes)
		err := e.client.List(ctx, list)
		return err == nil, fmt.Sprint(err)
	})
}

// ciliumNode gives a node a range.
func (e *env) ciliumNode(name, cidr string) *unstructured.Unstructured {
	e.t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"ipam": map[string]any{"podCIDRs": []any{cidr}}}}}
	u.SetGroupVersionKind(ciliumNodes)
	u.SetName(name)
	e.check(e.client.Create(e.t.Context(), u))
	return u
}

func ciliumPoolFills(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.check(e.client.Delete(t.Context(), e.stack(stack.Name)))
	e.gone(&networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stack.Name}})
	stack.Spec.CNI.Type = networkstackv1alpha1.CNICilium
	stack.ResourceVersion, stack.UID = "", ""
	e.apply(stack)
	if s := e.waitReady(stack.Name); len(s.Status.IPPools) > 0 {
		t.Errorf("nobody can know of pools yet: %s", toJSON(s.Status.IPPools))
	}
	e.defineCiliumNodes()
	for i := range 13 {
		e.ciliumNode(fmt.Sprintf("node-%d", i), fmt.Sprintf("10.244.%d.0/24", i))
	}
	s := e.roomIs(stack.Name, metav1.ConditionFalse, networkstackv1alpha1.ReasonPoolsNearlyExhausted)
	if said := findCondition(s, networkstackv1alpha1.ConditionPoolsSufficient).Message; !strings.Contains(said, "13 of 16 node ranges") ||
		!strings.Contains(said, "add a CIDR to ipPools") {
		t.Errorf("the condition says: %s", said)
	}
}

func ciliumPoolAdded(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.IPPools = append(stack.Spec.IPPools, networkstackv1alpha1.IPPool{Name: "more", CIDRs: []string{"10.245.0.0/20"}})
	e.apply(stack)
	e.roomIs(stack.Name, metav1.ConditionTrue, networkstackv1alpha1.ReasonPoolsSufficient)
	e.waitReady(stack.Name)
	e.ciliumConfig("cluster-pool-ipv4-cidr", "10.244.0.0/20 10.245.0.0/20")
	e.pool(stack.Name, "more", func(p networkstackv1alpha1.IPPoolStatus) bool { return p.Allocated == 0 && *p.Capacity == 16 })
	e.eventually("the event", func(context.Context) (bool, string) {
		n := e.countEvents(stack.Name, networkstackv1alpha1.ReasonPoolsSufficient)
		return n == 1, fmt.Sprint(n)
	})
}

func ciliumPoolRemoved(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	last := e.ciliumNode("node-13", "10.245.0.0/24")
	e.check(e.cp.AddNodes(t.Context(), 1, controlplane.NodeOptions{MTU: 1500}))
	e.pool(stack.Name, "more", func(p networkstackv1alpha1.IPPoolStatus) bool { return p.Allocated == 1 })
	stack.Spec.IPPools = stack.Spec.IPPools[:1]
	e.apply(stack)
	refused := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	said := findCondition(refused, networkstackv1alpha1.ConditionAccepted).Message
	if !strings.Contains(said, "10.245.0.0/20 has the ranges of node node-13") || !strings.Contains(said, "[CILIUM-POOL-IN-USE]") {
		t.Errorf("refused for another reason: %s", said)
	}
	// What is there is still told of, under its name or its range.
	if pools := toJSON(refused.Status.IPPools); !strings.Contains(pools, "10.245.0.0/20") {
		t.Errorf("pools: %s", pools)
	}
	e.check(e.client.Delete(t.Context(), last))
	e.waitReady(stack.Name)
	e.ciliumConfig("cluster-pool-ipv4-cidr", "10.244.0.0/20")
}

// poolsIdle counts what is asked for when nothing changes.
func poolsIdle(t *testing.T, e *env, _ *networkstackv1alpha1.NetworkStack) {
	window := 5 * time.Second
	if effort.Full() {
		window = 30 * time.Second
	}
	from := time.Now()
	select {
	case <-time.After(window):
	case <-e.process.Exited():
		t.Fatal("the operator ended by itself")
	}
	watched := false
	resource, _ := facts.AllocationResource(facts.AllocationsOfCilium)
	for _, r := range e.requests() {
		watched = watched || r.Verb == "watch" && r.Resource == resource.Resource
		if r.Time.After(from) && r.Verb != "watch" && r.Resource != "leases" {
			t.Errorf("an idle operator asks: %s %s %s", r.Verb, r.Resource, r.Name)
		}
	}
	if !watched {
		t.Error("CiliumNodes are not watched: nothing was measured")
	}
}
