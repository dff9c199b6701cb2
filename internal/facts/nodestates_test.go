package facts

import (
	"net/netip"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// stateOf is what nmstate's operator tells of a node.
func stateOf(t *testing.T, name, interfaces string) *unstructured.Unstructured {
	t.Helper()
	return objectOf(t, `
apiVersion: nmstate.io/v1beta1
kind: NodeNetworkState
metadata: {name: `+name+`}
status: {currentState: {dns-resolver: {}, interfaces: [`+interfaces+`], routes: {}}, lastSuccessfulUpdateTime: "2026-03-02T08:00:00Z"}`)
}

const (
	loopback = `{name: lo, type: loopback, state: up, mtu: 65536, ipv4: {enabled: true, address: [{ip: 127.0.0.1, prefix-length: 8}]}}`
	jumbo    = `{name: eth0, type: ethernet, state: up, mtu: 9000, ipv4: {enabled: true, dhcp: true, address: [{ip: 192.0.2.1, prefix-length: 24}]},
  ipv6: {enabled: true, address: [{ip: "fe80::1", prefix-length: 64}, {ip: "2001:db8::1", prefix-length: 64}]}}`
	storage = `{name: eth1, type: ethernet, state: up, mtu: 1280, ipv4: {enabled: true, address: [{ip: 198.51.100.1, prefix-length: 24}]}}`
	plain   = `{name: eth2, type: ethernet, state: up, mtu: 1500, ipv6: {enabled: true, address: [{ip: "2001:db8::2", prefix-length: 64}]}}`
)

// TestReadNodeState keeps the interfaces that have addresses of the network.
func TestReadNodeState(t *testing.T) {
	at := func(ip string, mtu int) addressMTU { return addressMTU{netip.MustParseAddr(ip), mtu} }
	for _, tc := range []struct {
		name, interfaces string
		want             []addressMTU
	}{
		{"two interfaces", loopback + "," + storage + "," + jumbo, []addressMTU{at("192.0.2.1", 9000), at("198.51.100.1", 1280), at("2001:db8::1", 9000)}},
		{"down", `{name: a, state: down, mtu: 1500, ipv4: {address: [{ip: 192.0.2.1}]}}`, nil},
		{"without an MTU", `{name: a, state: up, ipv4: {address: [{ip: 192.0.2.1}]}}`, nil},
		{"without an address", `{name: a, state: up, mtu: 1500, ipv4: {enabled: false}}`, nil},
		{"with what is no address", `{name: a, state: up, mtu: 1500, ipv4: {address: [{ip: none}, none]}}, none`, nil},
		{"none", ``, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := readNodeState(stateOf(t, "a", tc.interfaces)).addresses
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(addressMTU{}), byValue); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestNodeStateWatch follows NodeNetworkStates, and has nodes take their MTU from them.
func TestNodeStateWatch(t *testing.T) {
	objects := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{NodeStates: "NodeNetworkStateList"},
		stateOf(t, "a", loopback+","+jumbo+","+storage), stateOf(t, "b", jumbo+","+plain), stateOf(t, "c", jumbo), stateOf(t, "d", storage))
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	crds := metadatafake.NewSimpleMetadataClient(scheme)
	woken := make(chan struct{}, 100)
	w := NewNodeStateWatch(objects, crds, logr.Discard(), func() { woken <- struct{}{} })
	go func() { _ = w.Start(t.Context()) }()
	expect := func(known bool, want ...int) {
		t.Helper()
		deadline := time.After(time.Minute)
		for {
			nodes := []Node{
				{Name: "a", InternalIPs: addresses("192.0.2.1")}, {Name: "b", InternalIPs: addresses("192.0.2.1", "2001:db8::2")},
				{Name: "c", InternalIPs: addresses("192.0.2.1"), MTU: 1400}, {Name: "d", InternalIPs: addresses("192.0.2.1")}, {Name: "e"},
			}
			was := w.fill(nodes)
			var got []int
			for _, n := range nodes {
				got = append(got, n.MTU)
				if (n.MTUSource == SourceNodeState) != (n.MTU != 0 && n.Name != "c") {
					t.Errorf("%s has its MTU from %q", n.Name, n.MTUSource)
				}
			}
			if was == known && cmp.Equal(want, got) {
				return
			}
			select {
			case <-woken:
			case <-deadline:
				t.Fatalf("known: %v, MTUs %v, want %v", was, got, want)
			}
		}
	}
	expect(false, 0, 0, 1400, 0, 0)
	watching(t, crds.Actions) // these clients tell a watch nothing of what was before it
	kind := NodeStates.GroupResource().String()
	if kind != nodeStateCRD {
		t.Errorf("the definition is %s", kind)
	}
	if err := crds.Tracker().Add(definition(kind)); err != nil {
		t.Fatal(err)
	}
	// The smallest of the interfaces with the node's own addresses; what a node says of itself goes before.
	expect(true, 9000, 1500, 1400, 0, 0)
	watching(t, objects.Actions)
	// Times in it are no news.
	later := stateOf(t, "a", loopback+","+jumbo+","+storage)
	if err := unstructured.SetNestedField(later.Object, "2026-03-02T09:00:00Z", "status", "lastSuccessfulUpdateTime"); err != nil {
		t.Fatal(err)
	}
	if !w.same(readNodeState(stateOf(t, "a", loopback+","+jumbo+","+storage)), readNodeState(later)) {
		t.Error("somebody is woken by the clock")
	}
	if _, err := objects.Resource(NodeStates).Update(t.Context(), stateOf(t, "a", storage), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(true, 0, 1500, 1400, 0, 0)
	if err := crds.Tracker().Delete(definitions, "", kind); err != nil {
		t.Fatal(err)
	}
	expect(false, 0, 0, 1400, 0, 0)
}

// TestNodeStatesPending wants it to be said when there is something to wait for.
func TestNodeStatesPending(t *testing.T) {
	for _, tc := range []struct {
		name string
		crds []client.Object
		want bool
	}{
		{"no such kind", nil, false}, {"the kind", []client.Object{definition(nodeStateCRD)}, true},
		{"another kind", []client.Object{definition(ServiceMonitors)}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := discoverer(tc.crds...)
			d.NodeStates = NewNodeStateWatch(nil, nil, logr.Discard(), func() {})
			s, err := d.Discover(t.Context())
			if err != nil || s.NodeStatesPending != tc.want {
				t.Errorf("pending: %v, %v", s.NodeStatesPending, err)
			}
		})
	}
}
