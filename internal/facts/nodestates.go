package facts

import (
	"context"
	"net/netip"
	"slices"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
)

// NodeStates is the resource in which nmstate's operator tells the interfaces of every node.
var NodeStates = schema.GroupVersionResource{Group: "nmstate.io", Version: "v1beta1", Resource: "nodenetworkstates"}

// SourceNodeState is where the MTU of a node is from that its NodeNetworkState tells.
const SourceNodeState = "NodeNetworkState"

// NodeStateWatch watches NodeNetworkStates for as long as their kind is defined. Of each, the MTUs of interfaces with addresses are kept.
type NodeStateWatch struct{ kindWatch }

// NewNodeStateWatch makes a watch that calls wake when the MTU of such an interface has changed.
func NewNodeStateWatch(client dynamic.Interface, crds metadata.Interface, log logr.Logger, wake func()) *NodeStateWatch {
	return &NodeStateWatch{kindWatch{
		client: client, definitions: crds, log: log, resource: NodeStates, changed: wake,
		keep: func(u *unstructured.Unstructured) runtime.Object { return readNodeState(u) },
		same: func(before, after any) bool {
			o, ok1 := before.(*nodeState)
			n, ok2 := after.(*nodeState)
			return ok1 && ok2 && slices.Equal(o.addresses, n.addresses)
		},
	}}
}

// Start keeps the watch alive until ctx ends.
func (w *NodeStateWatch) Start(ctx context.Context) error {
	w.run(ctx)
	return nil
}

// fill gives nodes that do not state their MTU that of the interfaces with their addresses, the smallest when there are several.
// It says whether the NodeNetworkStates have been looked at.
func (w *NodeStateWatch) fill(nodes []Node) bool {
	list, known := w.list()
	states := make(map[string]*nodeState, len(list))
	for _, obj := range list {
		if s, ok := obj.(*nodeState); ok {
			states[s.Name] = s
		}
	}
	for i := range nodes {
		n := &nodes[i]
		s := states[n.Name]
		if s == nil || n.MTU != 0 {
			continue
		}
		for _, a := range s.addresses {
			if slices.Contains(n.InternalIPs, a.address) && (n.MTU == 0 || a.mtu < n.MTU) {
				n.MTU, n.MTUSource = a.mtu, SourceNodeState
			}
		}
	}
	return known
}

// addressMTU is an address of a node, and the MTU of the interface that has it.
type addressMTU struct {
	address netip.Addr
	mtu     int
}

// nodeState is what is kept of a NodeNetworkState.
type nodeState struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	addresses []addressMTU
}

// DeepCopyObject makes it an object.
func (s *nodeState) DeepCopyObject() runtime.Object {
	out := *s
	out.ObjectMeta = *s.ObjectMeta.DeepCopy()
	out.addresses = slices.Clone(s.addresses)
	return &out
}

// readNodeState finds the interfaces that are up. The state is what nmstate itself shows, in a form that the kind leaves open.
func readNodeState(u *unstructured.Unstructured) *nodeState {
	out := &nodeState{ObjectMeta: metav1.ObjectMeta{Name: u.GetName(), ResourceVersion: u.GetResourceVersion()}}
	interfaces, _, _ := unstructured.NestedSlice(u.Object, "status", "currentState", "interfaces")
	for _, entry := range interfaces {
		i, _ := entry.(map[string]any)
		mtu := wholeNumber(i["mtu"])
		if i["state"] != "up" || mtu <= 0 {
			continue
		}
		for _, family := range []string{"ipv4", "ipv6"} {
			list, _, _ := unstructured.NestedSlice(i, family, "address")
			for _, e := range list {
				a, _ := e.(map[string]any)
				text, _ := a["ip"].(string)
				if ip, err := netip.ParseAddr(text); err == nil && ip.IsGlobalUnicast() {
					out.addresses = append(out.addresses, addressMTU{ip, mtu})
				}
			}
		}
	}
	slices.SortFunc(out.addresses, func(a, b addressMTU) int { return a.address.Compare(b.address) })
	return out
}

// wholeNumber reads a number as JSON has it; 0 when there is none.
func wholeNumber(v any) int {
	switch n := v.(type) {
	case int64:
		return int(n)
	case float64:
		return int(n)
	default:
		return 0
	}
}
