package drift

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/release"
)

// deadline is generous: it is only ever waited for when a test fails.
const deadline = 30 * time.Second

var (
	configMaps   = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	clusterRoles = schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"}
	unknownKind  = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Unknown"}
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	m.Add(configMaps, meta.RESTScopeNamespace)
	m.Add(secretKind, meta.RESTScopeNamespace)
	m.Add(clusterRoles, meta.RESTScopeRoot)
	return m
}

// cluster is as much of an API server as a watch sees. It numbers every change, and treats the label selector of a
// watch as the API server does: an object that loses the label is deleted, as far as that watch goes.
type cluster struct {
	t      *testing.T
	client *fake.FakeMetadataClient

	mu       sync.Mutex
	version  int
	objects  map[release.Object]*metav1.PartialObjectMetadata
	changes  []change
	watchers []*watcher
}

// change is one version of one object; before and after are nil when it was not there.
type change struct {
	version       int
	resource      schema.GroupVersionResource
	before, after *metav1.PartialObjectMetadata
}

type watcher struct {
	*watch.RaceFreeFakeWatcher
	resource schema.GroupVersionResource
	selector labels.Selector
}

// tell sends the change as this watch sees it.
func (w *watcher) tell(ch change) {
	if w.resource != ch.resource {
		return
	}
	was, is := ch.before != nil && w.selector.Matches(labels.Set(ch.before.Labels)), ch.after != nil && w.selector.Matches(labels.Set(ch.after.Labels))
	switch {
	case was && is:
		w.Modify(ch.after.DeepCopy())
	case is:
		w.Add(ch.after.DeepCopy())
	case was:
		gone := ch.before.DeepCopy()
		gone.ResourceVersion = strconv.Itoa(ch.version)
		w.Delete(gone)
	}
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, version: 100, objects: map[release.Object]*metav1.PartialObjectMetadata{},
		client: fake.NewSimpleMetadataClient(fake.NewTestScheme())}
	c.client.PrependReactor("list", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		list := &metav1.List{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(c.version)}}
		for o, m := range c.objects {
			if resourceOf(t, o.GVK) == action.GetResource() {
				list.Items = append(list.Items, runtime.RawExtension{Object: m.DeepCopy()})
			}
		}
		return true, list, nil
	})
	c.client.PrependWatchReactor("*", func(action clienttesting.Action) (bool, watch.Interface, error) {
		a, ok := action.(clienttesting.WatchActionImpl)
		if !ok {
			t.Errorf("watch action %T", action)
		}
		selector, err := labels.Parse(a.ListOptions.LabelSelector)
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		w := &watcher{watch.NewRaceFreeFake(), action.GetResource(), selector}
		// What happened between the list and the watch belongs to the watch.
		since, err := strconv.Atoi(a.ListOptions.ResourceVersion)
		if err != nil {
			t.Error(err)
		}
		for _, ch := range c.changes {
			if ch.version > since {
				w.tell(ch)
			}
		}
		c.watchers = append(c.watchers, w)
		return true, w, nil
	})
	return c
}

func resourceOf(t *testing.T, gvk schema.GroupVersionKind) schema.GroupVersionResource {
	m, err := mapper().RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		t.Fatal(err)
	}
	return m.Resource
}

// put writes an object. fields is what our field manager owns of it; empty means nothing.
func (c *cluster) put(o release.Object, fields string, changes ...func(*metav1.PartialObjectMetadata)) release.Applied {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(o.GVK)
	m.Namespace, m.Name, m.UID = o.Namespace, o.Name, "uid"
	m.Labels = map[string]string{networkstackv1alpha1.ComponentLabel: "cni"}
	m.ResourceVersion = strconv.Itoa(c.version)
	m.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet", Operation: metav1.ManagedFieldsOperationUpdate}}
	if fields != "" {
		m.ManagedFields = append(m.ManagedFields, metav1.ManagedFieldsEntry{
			Manager: networkstackv1alpha1.FieldManager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1",
			FieldsV1: metav1.NewFieldsV1(`{"f:data":{"f:` + fields + `":{}}}`)})
	}
	for _, change := range changes {
		change(m)
	}
	c.set(o, m)
	return applied(o, m)
}

// applied is what a look at an object, or an apply, comes to.
func applied(o release.Object, m *metav1.PartialObjectMetadata) release.Applied {
	return release.Applied{
		Object: o, ResourceVersion: m.ResourceVersion, UID: string(m.UID), Generation: m.Generation,
		Fingerprint: release.Fingerprint(m, networkstackv1alpha1.FieldManager),
		Traces:      release.Traces(m, networkstackv1alpha1.FieldManager),
		Unlabelled:  m.Labels[networkstackv1alpha1.ComponentLabel] == "",
	}
}

func (c *cluster) delete(o release.Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	c.set(o, nil)
}

// set makes a change of the current version. The caller holds mu.
func (c *cluster) set(o release.Object, after *metav1.PartialObjectMetadata) {
	ch := change{c.version, resourceOf(c.t, o.GVK), c.objects[o], after}
	c.changes = append(c.changes, ch)
	if after == nil {
		delete(c.objects, o)
	} else {
		c.objects[o] = after
	}
	for _, w := range c.watchers {
		w.tell(ch)
	}
}

// watched is a Watcher at work, and what it woke.
type watched struct {
	*Watcher
	t     *testing.T
	woken chan string
}

func newWatched(t *testing.T, c *cluster) *watched {
	w := &watched{t: t, woken: make(chan string, 100)}
	w.Watcher = NewWatcher(c.client, mapper(), logr.Discard(), func(component string) { w.woken <- component })
	return w
}

// start lets the Watcher work, and returns when it has looked at the first lists of these kinds. It knows by an
// object that is missing there: the component that expects it is woken.
func (w *watched) start(gvks ...schema.GroupVersionKind) {
	w.t.Helper()
	for _, gvk := range gvks {
		missing := release.Object{GVK: gvk, Name: "missing"}
		if err := w.Track("starter "+gvk.Kind, []release.Applied{{Object: missing, ResourceVersion: "1", Fingerprint: "hash"}}); err != nil {
			w.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := w.Start(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.t.Cleanup(func() {
		cancel()
		<-stopped
	})
	var got, want []string
	for _, gvk := range gvks {
		want = append(want, "starter "+gvk.Kind)
	}
	for range gvks {
		got = append(got, w.woke())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Fatalf("the start woke %q, want %q", got, want)
	}
	for _, name := range want {
		w.Forget(name)
	}
}

// track expects what was applied.
func (w *watched) track(component string, applied ...release.Applied) {
	w.t.Helper()
	if err := w.Track(component, applied); err != nil {
		w.t.Fatal(err)
	}
}

// woke is the next component that is woken.
func (w *watched) woke() string {
	w.t.Helper()
	select {
	case got := <-w.woken:
		return got
	case <-time.After(deadline):
		w.t.Fatal("nobody was woken")
		return ""
	}
}

// wakes wants this component to be woken, and nobody else.
func (w *watched) wakes(component string) {
	w.t.Helper()
	if got := w.woke(); got != component {
		w.t.Fatalf("woke %q, want %q", got, component)
	}
}

// quiet wants nobody to have been woken by anything that happened to this kind before. It changes a witness behind
// it: events of a kind come in order, so when the witness's has come, all have. Wake-ups of those who may are let pass.
func (w *watched) quiet(c *cluster, gvk schema.GroupVersionKind, may ...string) {
	w.t.Helper()
	witness := release.Object{GVK: gvk, Namespace: "witness", Name: "witness"}
	if gvk == clusterRoles {
		witness.Namespace = ""
	}
	w.mu.Lock()
	w.expected["witness"] = map[key]*expectation{keyOf(witness): {Applied: release.Applied{Object: witness, Fingerprint: "another"}}}
	w.mu.Unlock()
	c.put(witness, "ours")
	for got := w.woke(); got != "witness"; got = w.woke() {
		if !slices.Contains(may, got) {
			w.t.Fatalf("woke %q", got)
		}
	}
	w.Forget("witness")
}

// eventually waits for something that no channel tells.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	over := time.After(deadline)
	for !holds() {
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("never: %s", what)
		}
	}
}

func (w *watched) hasSynced(gvk schema.GroupVersionKind) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.informers[gvk] != nil && w.informers[gvk].HasSynced()
}

// lastSeen is the version that the watch of a kind has come to.
func (w *watched) lastSeen(gvk schema.GroupVersionKind) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.informers[gvk].LastSyncResourceVersion()
}
