package facts

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/internal/pools"
)

func objectOf(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

var comparePrefixes = cmpopts.EquateComparable(netip.Prefix{})

// TestReadBooks reads objects as Cilium's operator and Calico's IPAM write them.
func TestReadBooks(t *testing.T) {
	allocation := func(pool, cidr, node string) pools.Allocation {
		return pools.Allocation{Pool: pool, Range: netip.MustParsePrefix(cidr), Node: node}
	}
	counted := func(cidr, node string, used int64) pools.Allocation {
		return pools.Allocation{Range: netip.MustParsePrefix(cidr), Node: node, Block: true, Used: used}
	}
	for _, tc := range []struct {
		name   string
		source AllocationSource
		object string
		want   []pools.Allocation
	}{
		{"cluster-pool", AllocationsOfCilium, `
metadata: {name: node-1}
spec: {addresses: [{type: InternalIP, ip: 192.0.2.1}], ipam: {podCIDRs: [10.244.3.0/24, "fd00:10:244:3::/64"]}}
status: {ipam: {operator-status: {}}}`, []pools.Allocation{allocation("", "10.244.3.0/24", "node-1"), allocation("", "fd00:10:244:3::/64", "node-1")}},
		{"multi-pool", AllocationsOfCilium, `
metadata: {name: node-1}
spec: {ipam: {pools: {requested: [{pool: default, needed: {ipv4-addrs: 16}}],
  allocated: [{pool: default, cidrs: [10.244.0.0/27, 10.244.1.0/27]}, {pool: blue, cidrs: [10.245.0.0/27]}, {pool: empty}]}}}`, []pools.Allocation{
			allocation("default", "10.244.0.0/27", "node-1"), allocation("default", "10.244.1.0/27", "node-1"), allocation("blue", "10.245.0.0/27", "node-1"),
		}},
		{"a node without a range", AllocationsOfCilium, `{metadata: {name: node-1}, spec: {ipam: {podCIDRs: [no range]}}}`, nil},
		{"a node without anything", AllocationsOfCilium, `{metadata: {name: node-1}}`, nil},
		{"a block", AllocationsOfCalico, `
metadata: {name: 10-244-0-64-30}
spec: {affinity: "host:node-1", cidr: 10.244.0.64/30, strictAffinity: false, allocations: [0, null, 1, null], unallocated: [1, 3],
  attributes: [{handle_id: vxlan-tunnel-addr-node-1, secondary: {type: vxlanTunnelAddress}}, {handle_id: k8s-pod-network.1}]}`, []pools.Allocation{
			counted("10.244.0.64/30", "node-1", 2),
		}},
		{"a block that is nobody's", AllocationsOfCalico, `{metadata: {name: a}, spec: {cidr: "fd00::/122", allocations: [null, null]}}`, []pools.Allocation{
			counted("fd00::/122", "", 0),
		}},
		{"a block of nothing", AllocationsOfCalico, `{metadata: {name: a}, spec: {cidr: x}}`, nil},
		{"AKS, Overlay", AllocationsOfAzure, `
metadata: {name: aks-1, namespace: kube-system}
status: {assignedIPCount: 256, networkContainers: [{assignmentMode: static, type: overlay, nodeIP: 10.224.0.4, primaryIP: 10.244.1.0/24,
  subnetAddressSpace: 10.244.0.0/16, subnetName: routingdomain_overlaysubnet, primaryIPV6: "fd00:8:1::/64", subnetAddressSpaceV6: "fd00:8:1::/64"}]}`, []pools.Allocation{
			{Pool: "routingdomain_overlaysubnet", Range: netip.MustParsePrefix("10.244.1.0/24"), Node: "aks-1", Of: netip.MustParsePrefix("10.244.0.0/16")},
			{Pool: "routingdomain_overlaysubnet", Range: netip.MustParsePrefix("fd00:8:1::/64"), Node: "aks-1"},
		}},
		{"AKS, addresses of a subnet", AllocationsOfAzure, `
metadata: {name: aks-1}
status: {assignedIPCount: 2, networkContainers: [{type: vnet, primaryIP: 10.241.0.21, subnetAddressSpace: 10.241.0.0/16, subnetName: pods,
  ipAssignments: [{name: a, ip: 10.241.0.24}, {name: b, ip: 10.241.0.25}, {name: c, ip: none}]}]}`, []pools.Allocation{
			{Pool: "pods", Range: netip.MustParsePrefix("10.241.0.0/16"), Node: "aks-1", Block: true, Used: 3, Of: netip.MustParsePrefix("10.241.0.0/16"), Reserved: 5},
		}},
		{"AKS, blocks of a subnet", AllocationsOfAzure, `
metadata: {name: aks-1}
status: {networkContainers: [{assignmentMode: static, type: vnetblock, primaryIP: 10.224.0.8/30, subnetAddressSpace: 10.224.0.0/14,
  ipAssignments: [{name: a, ip: 10.224.0.12/30}, {name: b, ip: 10.224.0.32/28}]}, {type: vnet, subnetAddressSpace: none}]}`, []pools.Allocation{
			{Pool: "default", Range: netip.MustParsePrefix("10.224.0.0/14"), Node: "aks-1", Block: true, Used: 21, Of: netip.MustParsePrefix("10.224.0.0/14"), Reserved: 5},
		}},
		{"AKS, a new node", AllocationsOfAzure, `{metadata: {name: aks-1}, spec: {requestedIPCount: 16}}`, nil},
		{"nothing at all", AllocationsOfCalico, `{metadata: {name: a}}`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := booksOf[tc.source].read(objectOf(t, tc.object))
			if diff := cmp.Diff(tc.want, got, comparePrefixes); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestInUse(t *testing.T) {
	a := Allocations{Known: true, List: []pools.Allocation{
		{Range: netip.MustParsePrefix("10.244.0.0/24"), Node: "a"}, {Range: netip.MustParsePrefix("10.244.1.0/24"), Node: "b"},
		{Range: netip.MustParsePrefix("10.245.0.0/26"), Node: "a", Block: true, Used: 5}, {Range: netip.MustParsePrefix("10.245.0.64/26"), Node: "a", Block: true, Used: 6},
		{Range: netip.MustParsePrefix("10.245.1.0/26"), Node: "c", Block: true}, {Range: netip.MustParsePrefix("10.0.0.0/8"), Node: "wide"}, {},
	}}
	for _, tc := range []struct {
		of                string
		ranges, addresses int64
		nodes             []string
	}{
		{"10.244.0.0/16", 2, 0, []string{"a", "b"}}, {"10.244.1.0/24", 1, 0, []string{"b"}}, {"10.244.1.0/25", 0, 0, nil},
		{"10.245.0.0/16", 2, 11, []string{"a"}}, {"10.245.1.0/24", 0, 0, nil}, {"fd00::/8", 0, 0, nil},
	} {
		ranges, addresses, nodes := a.InUse(netip.MustParsePrefix(tc.of))
		if ranges != tc.ranges || addresses != tc.addresses || !slices.Equal(nodes, tc.nodes) {
			t.Errorf("%s: %d ranges, %d addresses on %v", tc.of, ranges, addresses, nodes)
		}
	}
}

// watched is an AllocationWatch on API servers that are fakes.
type watched struct {
	t       *testing.T
	watch   *AllocationWatch
	objects *dynamicfake.FakeDynamicClient
	crds    *metadatafake.FakeMetadataClient
	woken   chan struct{}
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	kinds := map[schema.GroupVersionResource]string{}
	for _, b := range booksOf {
		kinds[b.resource] = "List"
	}
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	w := &watched{
		t: t, objects: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds),
		crds: metadatafake.NewSimpleMetadataClient(scheme), woken: make(chan struct{}, 100),
	}
	w.watch = NewAllocationWatch(w.objects, w.crds, logr.Discard(), func() { w.woken <- struct{}{} })
	w.watch.waker.pause = time.Second
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.watch.Start(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *watched) define(source AllocationSource) {
	w.t.Helper()
	crd := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: booksOf[source].resource.GroupResource().String()}}
	crd.SetGroupVersionKind(definitions.GroupVersion().WithKind("CustomResourceDefinition"))
	crds, ok := w.crds.Resource(definitions).(metadatafake.MetadataClient)
	if !ok {
		w.t.Fatal("no fake client")
	}
	if _, err := crds.CreateFake(crd, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) node(name string, cidrs ...any) {
	w.t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"ipam": map[string]any{"podCIDRs": cidrs}},
	}}
	if _, err := w.objects.Resource(booksOf[AllocationsOfCilium].resource).Create(w.t.Context(), u, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// eventually waits until what a source says is as wanted.
func (w *watched) eventually(source AllocationSource, want func(Allocations) bool) {
	w.t.Helper()
	var got Allocations
	err := wait.PollUntilContextTimeout(w.t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		got = w.watch.Of(source)
		return want(got), nil
	})
	if err != nil {
		w.t.Fatalf("%s: %+v", source, got)
	}
}

// lists counts the lists of books that were asked for.
func (w *watched) lists() int {
	n := 0
	for _, a := range w.objects.Actions() {
		if a.GetVerb() == "list" || a.GetVerb() == "watch" {
			n++
		}
	}
	return n
}

// TestAllocationWatch has the kind defined late, objects come, and the kind go.
func TestAllocationWatch(t *testing.T) {
	w := newWatched(t)
	if got := w.watch.Of(AllocationsOfCilium); got.Known {
		t.Errorf("known before there is anything: %v", got)
	}
	w.eventually(AllocationsOfCilium, func(a Allocations) bool { return a.Absent && !a.Known })
	for len(w.woken) > 0 {
		<-w.woken // that there is no such kind is news
	}
	w.node("a", "10.244.0.0/24")
	if n := w.lists(); n > 0 {
		t.Errorf("%d requests for objects of a kind that is not defined", n)
	}
	w.define(AllocationsOfCilium)
	w.eventually(AllocationsOfCilium, func(a Allocations) bool { return a.Known && !a.Absent && len(a.List) == 1 })
	select {
	case <-w.woken:
	case <-time.After(time.Minute):
		t.Fatal("nobody was woken")
	}
	for i := range 50 {
		w.node(fmt.Sprint("n", i), fmt.Sprintf("10.244.%d.0/24", i+1))
	}
	w.eventually(AllocationsOfCilium, func(a Allocations) bool { return len(a.List) == 51 })
	select {
	case <-w.woken:
	case <-time.After(time.Minute):
		t.Fatal("nobody was woken")
	}
	if n := len(w.woken); n > 0 {
		t.Errorf("woken %d times more for what came at once", n)
	}
	if err := w.crds.Resource(definitions).Delete(t.Context(), "ciliumnodes.cilium.io", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually(AllocationsOfCilium, func(a Allocations) bool { return !a.Known && a.Absent })
	w.define(AllocationsOfCilium)
	w.eventually(AllocationsOfCilium, func(a Allocations) bool { return len(a.List) == 51 })
	if got := w.watch.Of(AllocationsNowhere); got.Known {
		t.Errorf("nowhere there is %v", got)
	}
	if got := w.watch.Of(AllocationsOfCalico); got.Known {
		t.Errorf("what Cilium has given out is told of Calico: %v", got)
	}
}
