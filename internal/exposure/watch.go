package exposure

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
)

// Resources are those whose changes matter to an analysis. Pods are none: there are too many, and too often others.
var Resources = []schema.GroupVersionResource{
	namespaces,
	{Version: "v1", Resource: "services"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"},
	{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"},
}

// Lists are those that are read for an analysis as well, and not watched.
var Lists = []schema.GroupVersionResource{
	{Version: "v1", Resource: "pods"},
	{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "grpcroutes"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "tlsroutes"},
	{Group: "cilium.io", Version: "v2", Resource: "ciliumnetworkpolicies"},
	{Group: "cilium.io", Version: "v2", Resource: "ciliumclusterwidenetworkpolicies"},
	{Group: "projectcalico.org", Version: "v3", Resource: "networkpolicies"},
	{Group: "projectcalico.org", Version: "v3", Resource: "globalnetworkpolicies"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
	{Group: "policy.networking.k8s.io", Version: "v1alpha2", Resource: "clusternetworkpolicies"},
	{Group: "monitoring.coreos.com", Version: "v1", Resource: "servicemonitors"},
	{Group: "monitoring.coreos.com", Version: "v1", Resource: "podmonitors"},
}

var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// syncTimeout is how long to wait for the watches at most. One that cannot begin says why in the log; what is read matters more.
const syncTimeout = 30 * time.Second

// watch watches those resources, and keeps some bytes of each object.
type watch struct{ sights []*sight }

// begin watches until ctx ends. covers says which namespaces matter, and changed is called for every change after the first list.
func begin(ctx context.Context, objects metadata.Interface, covers func(map[string]string) bool, changed func()) *watch {
	w := &watch{}
	for _, resource := range Resources {
		s := &sight{changed: changed, seen: map[uint64]uint64{}, listed: make(chan struct{}), digest: digest}
		if resource == namespaces {
			s.digest = func(o *metav1.PartialObjectMetadata) uint64 {
				if !covers(o.Labels) {
					return 0
				}
				return hashLabels(o.Labels)
			}
		}
		w.sights = append(w.sights, s)
		go follow(ctx, objects, resource, s)
	}
	return w
}

func follow(ctx context.Context, objects metadata.Interface, resource schema.GroupVersionResource, s *sight) {
	of := objects.Resource(resource)
	others := foreign().String()
	source := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = others
			return of.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			o.LabelSelector = others
			return of.Watch(ctx, o)
		},
	}, objects)
	options := cache.ReflectorOptions{Name: "survey of " + resource.Resource}
	cache.NewReflectorWithOptions(source, &metav1.PartialObjectMetadata{}, s, options).RunWithContext(ctx)
}

// wait waits until everything has been listed once.
func (w *watch) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	for _, s := range w.sights {
		select {
		case <-s.listed:
		case <-ctx.Done():
			return
		}
	}
}

// sight has seen objects of a resource, and keeps two numbers of each. It is the store of a reflector.
type sight struct {
	// digest is what matters of an object.
	digest  func(*metav1.PartialObjectMetadata) uint64
	changed func()
	// listed is closed when all there is has been seen.
	listed chan struct{}

	mu   sync.Mutex
	once bool
	seen map[uint64]uint64
}

var seed = maphash.MakeSeed()

func hash(texts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, t := range texts {
		_, _ = h.WriteString(t)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

func hashLabels(l map[string]string) uint64 {
	var texts []string
	for _, k := range slices.Sorted(maps.Keys(l)) {
		texts = append(texts, k, l[k])
	}
	return hash(texts...)
}

// digest of an object changes with what is wanted of it, where that is counted, and else with anything.
func digest(o *metav1.PartialObjectMetadata) uint64 {
	if o.Generation > 0 {
		return hashLabels(o.Labels) + uint64(o.Generation)
	}
	return hash(o.ResourceVersion)
}

func (s *sight) entry(obj any) (key, value uint64, ok bool) {
	o, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return 0, 0, false
	}
	return hash(string(o.UID)), s.digest(o), true
}

// Add notes a new object.
func (s *sight) Add(obj any) error {
	key, value, ok := s.entry(obj)
	if !ok {
		return nil
	}
	s.mu.Lock()
	before := s.seen[key]
	s.seen[key] = value
	s.mu.Unlock()
	if before != value {
		s.changed()
	}
	return nil
}

// Update notes a change.
func (s *sight) Update(obj any) error { return s.Add(obj) }

// Delete notes that an object is gone.
func (s *sight) Delete(obj any) error {
	key, _, ok := s.entry(obj)
	s.mu.Lock()
	before := s.seen[key]
	delete(s.seen, key)
	s.mu.Unlock()
	if ok && before != 0 {
		s.changed()
	}
	return nil
}

// Replace notes all there is. The first time that is no change.
func (s *sight) Replace(list []any, _ string) error {
	seen := make(map[uint64]uint64, len(list))
	for _, obj := range list {
		if key, value, ok := s.entry(obj); ok {
			seen[key] = value
		}
	}
	s.mu.Lock()
	first, same := !s.once, maps.Equal(seen, s.seen)
	s.seen, s.once = seen, true
	s.mu.Unlock()
	switch {
	case first:
		close(s.listed)
	case !same:
		s.changed()
	}
	return nil
}

// Resync is nothing.
func (s *sight) Resync() error { return nil }
