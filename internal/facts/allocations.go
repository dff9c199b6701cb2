package facts

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"

	"github.com/networkstack/networkstack/internal/pools"
)

// AllocationSource is where a network plugin keeps its books of what it has given out.
type AllocationSource string

// The sources.
const (
	// AllocationsNowhere is for network plugins that keep no books in the cluster.
	AllocationsNowhere AllocationSource = ""
	// AllocationsOfNodes are the ranges in Node.spec.podCIDRs, by kube-controller-manager.
	AllocationsOfNodes AllocationSource = "Node"
	// AllocationsOfCilium are the ranges in CiliumNodes, by Cilium's operator.
	AllocationsOfCilium AllocationSource = "CiliumNode"
	// AllocationsOfCalico are the addresses in IPAMBlocks, by Calico's IPAM.
	AllocationsOfCalico AllocationSource = "IPAMBlock"
	// AllocationsOfAzure are the ranges and addresses in NodeNetworkConfigs, by AKS.
	AllocationsOfAzure AllocationSource = "NodeNetworkConfig"
)

// Allocations are what a network plugin has given out.
type Allocations struct {
	// Known says that they have been looked at. Else List means nothing.
	Known bool
	// Absent says that the cluster has no such books.
	Absent bool
	List   []pools.Allocation
}

// InUse is what is given out of a range: how many node ranges or addresses of blocks, and on which nodes.
func (a Allocations) InUse(of netip.Prefix) (ranges, addresses int64, nodes []string) {
	on := map[string]bool{}
	for _, allocation := range a.List {
		if !pools.Holds(of, allocation.Range) {
			continue
		}
		if allocation.Block && allocation.Used == 0 {
			continue // a node keeps an empty block, and lets it go with its pool
		}
		ranges++
		addresses += allocation.Used
		if allocation.Node != "" {
			on[allocation.Node] = true
		}
	}
	return ranges, addresses, slices.Sorted(maps.Keys(on))
}

// AllocationsIn are the node ranges in the nodes' spec.podCIDRs.
func AllocationsIn(nodes []Node) Allocations {
	out := Allocations{Known: true}
	for _, n := range nodes {
		for _, p := range n.PodCIDRs {
			out.List = append(out.List, pools.Allocation{Range: p.Masked(), Node: n.Name})
		}
	}
	return out
}

// books is a kind of object in which a network plugin keeps its books.
type books struct {
	resource schema.GroupVersionResource
	read     func(*unstructured.Unstructured) []pools.Allocation
}

var booksOf = map[AllocationSource]books{
	AllocationsOfCilium: {
		resource: schema.GroupVersionResource{Group: "cilium.io", Version: "v2", Resource: "ciliumnodes"}, read: readCiliumNode,
	},
	AllocationsOfCalico: {
		resource: schema.GroupVersionResource{Group: "crd.projectcalico.org", Version: "v1", Resource: "ipamblocks"}, read: readIPAMBlock,
	},
	AllocationsOfAzure: {
		resource: schema.GroupVersionResource{Group: "acn.azure.com", Version: "v1alpha", Resource: "nodenetworkconfigs"},
		read:     readNodeNetworkConfig,
	},
}

// AllocationResource is the resource that is watched for a source; false when none is.
func AllocationResource(s AllocationSource) (schema.GroupVersionResource, bool) {
	b, ok := booksOf[s]
	return b.resource, ok
}

// allocationsPause is the least time from one wake-up to the next.
const allocationsPause = 5 * time.Second

// AllocationWatch watches the books of one network plugin, for as long as it is asked about them and their kind is defined.
type AllocationWatch struct {
	client      dynamic.Interface
	definitions metadata.Interface
	log         logr.Logger
	waker       waker

	mu     sync.Mutex
	ctx    context.Context // the life of the watch, set once by Start
	source AllocationSource
	// stop ends what is watched for the source.
	stop context.CancelFunc
	// books has what is written in them; nil for a source without any.
	books *kindWatch
}

// NewAllocationWatch makes a watch that calls wake, from a goroutine of its own, when what is given out has changed.
func NewAllocationWatch(client dynamic.Interface, crds metadata.Interface, log logr.Logger, wake func()) *AllocationWatch {
	return &AllocationWatch{client: client, definitions: crds, log: log, waker: waker{wake: wake, pause: allocationsPause}}
}

// Start keeps the watch alive until ctx ends.
func (w *AllocationWatch) Start(ctx context.Context) error {
	w.mu.Lock()
	w.ctx = ctx
	w.begin(ctx)
	w.mu.Unlock()
	<-ctx.Done()
	return nil
}

// Of is what is given out according to a source. Another source than that of the last call ends the watch of that one; until it has
// seen what there is, the answer is not Known. What is in nodes is asked of AllocationsIn.
func (w *AllocationWatch) Of(source AllocationSource) Allocations {
	w.mu.Lock()
	defer w.mu.Unlock()
	if source != w.source {
		if w.stop != nil {
			w.stop()
		}
		w.source, w.stop, w.books = source, nil, nil
		if w.ctx != nil {
			w.begin(w.ctx)
		}
	}
	if w.books == nil {
		return Allocations{}
	}
	list, known := w.books.list()
	out := Allocations{Known: known, Absent: w.books.absent()}
	for _, obj := range list {
		if p, ok := obj.(*page); ok {
			out.List = append(out.List, p.allocations...)
		}
	}
	slices.SortFunc(out.List, func(a, b pools.Allocation) int { return a.Range.Compare(b.Range) })
	return out
}

// begin watches the source's books. The caller holds mu.
func (w *AllocationWatch) begin(ctx context.Context) {
	b, ok := booksOf[w.source]
	if !ok {
		return
	}
	ctx, w.stop = context.WithCancel(ctx)
	w.books = &kindWatch{
		client: w.client, definitions: w.definitions, log: w.log, resource: b.resource, changed: func() { w.waker.changed(ctx) },
		keep: func(u *unstructured.Unstructured) runtime.Object {
			return &page{
				ObjectMeta:  metav1.ObjectMeta{Namespace: u.GetNamespace(), Name: u.GetName(), ResourceVersion: u.GetResourceVersion()},
				allocations: b.read(u),
			}
		},
		same: func(before, after any) bool {
			o, ok1 := before.(*page)
			n, ok2 := after.(*page)
			return ok1 && ok2 && slices.Equal(o.allocations, n.allocations)
		},
	}
	go w.books.run(ctx)
}

// page is what is kept of an object of the books.
type page struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	allocations []pools.Allocation
}

// DeepCopyObject makes it an object.
func (p *page) DeepCopyObject() runtime.Object {
	out := *p
	out.ObjectMeta = *p.ObjectMeta.DeepCopy()
	out.allocations = slices.Clone(p.allocations)
	return &out
}

// readCiliumNode finds a node's ranges: with IPAM mode cluster-pool in podCIDRs, with multi-pool in pools.allocated.
func readCiliumNode(u *unstructured.Unstructured) []pools.Allocation {
	var out []pools.Allocation
	note := func(pool string, cidrs []string) {
		for _, p := range parsePrefixes(cidrs) {
			out = append(out, pools.Allocation{Pool: pool, Range: p.Masked(), Node: u.GetName()})
		}
	}
	cidrs, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "ipam", "podCIDRs")
	note("", cidrs)
	allocated, _, _ := unstructured.NestedSlice(u.Object, "spec", "ipam", "pools", "allocated")
	for _, entry := range allocated {
		fields, _ := entry.(map[string]any)
		pool, _, _ := unstructured.NestedString(fields, "pool")
		cidrs, _, _ := unstructured.NestedStringSlice(fields, "cidrs")
		note(pool, cidrs)
	}
	return out
}

// readIPAMBlock counts the addresses of a block that are given out: those of its ordinals that are not null.
func readIPAMBlock(u *unstructured.Unstructured) []pools.Allocation {
	spec, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec")
	block, _ := spec.(map[string]any)
	cidr, _ := block["cidr"].(string)
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil
	}
	affinity, _ := block["affinity"].(string)
	node, _ := strings.CutPrefix(affinity, "host:")
	out := pools.Allocation{Range: p.Masked(), Node: node, Block: true}
	ordinals, _ := block["allocations"].([]any)
	for _, o := range ordinals {
		if o != nil {
			out.Used++
		}
	}
	return []pools.Allocation{out}
}

// azureReserved is how many addresses of each of its subnets Azure keeps for itself.
const azureReserved = 5

// readNodeNetworkConfig finds what a node has of AKS: with Overlay a range of its own, else addresses of a subnet, one by one or in
// blocks, and one for the node's part in it.
func readNodeNetworkConfig(u *unstructured.Unstructured) []pools.Allocation {
	var out []pools.Allocation
	containers, _, _ := unstructured.NestedSlice(u.Object, "status", "networkContainers")
	for _, entry := range containers {
		c, _ := entry.(map[string]any)
		text := func(key string) string { t, _ := c[key].(string); return t }
		a := pools.Allocation{Pool: cmp.Or(text("subnetName"), "default"), Node: u.GetName()}
		if text("type") == "overlay" {
			for _, keys := range [][2]string{{"primaryIP", "subnetAddressSpace"}, {"primaryIPV6", "subnetAddressSpaceV6"}} {
				own, err := netip.ParsePrefix(text(keys[0]))
				if err != nil {
					continue
				}
				a.Range, a.Of = own.Masked(), netip.Prefix{}
				if of, err := netip.ParsePrefix(text(keys[1])); err == nil && of.Bits() < own.Bits() && of.Contains(own.Addr()) {
					a.Of = of.Masked() // else it is not said what the range is part of
				}
				out = append(out, a)
			}
			continue
		}
		subnet, err := netip.ParsePrefix(text("subnetAddressSpace"))
		if err != nil {
			continue
		}
		a.Range, a.Of, a.Block, a.Reserved = subnet.Masked(), subnet.Masked(), true, azureReserved
		a.Used = 1
		assigned, _, _ := unstructured.NestedSlice(c, "ipAssignments")
		for _, e := range assigned {
			assignment, _ := e.(map[string]any)
			ip, _ := assignment["ip"].(string)
			if block, err := netip.ParsePrefix(ip); err == nil {
				a.Used += pools.Size(block)
			} else if _, err := netip.ParseAddr(ip); err == nil {
				a.Used++
			}
		}
		out = append(out, a)
	}
	return out
}
