package facts

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// InjectAnnotation enrols a namespace in Linkerd.
const InjectAnnotation = "linkerd.io/inject"

// Namespace is what matters of a namespace to a mesh.
type Namespace struct {
	Name   string            `json:"name,omitzero"`
	UID    types.UID         `json:"uid,omitzero"`
	Labels map[string]string `json:"labels,omitzero"`
	// LinkerdInject is the value of the annotation linkerd.io/inject.
	LinkerdInject string `json:"linkerdInject,omitzero"`
	// Terminating says that it is on its way out.
	Terminating bool `json:"terminating,omitzero"`
}

// Enrolled says whether it was enrolled in a mesh here.
func (n Namespace) Enrolled() bool { _, has := n.Labels[networkstackv1alpha1.MeshLabel]; return has }

// NamespaceMetadata is the metadata of a namespace, all that facts read of one.
func NamespaceMetadata() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}}
}

// ListNamespaces lists the namespaces, ordered by name. It is for stacks with a mesh; elsewhere they would be kept in memory for
// nothing, so Discover does not look for them.
func (d *Discoverer) ListNamespaces(ctx context.Context) ([]Namespace, error) {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(NamespaceMetadata().GroupVersionKind().GroupVersion().WithKind("NamespaceList"))
	if err := d.Reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	out := make([]Namespace, 0, len(list.Items))
	for i := range list.Items {
		n := &list.Items[i]
		out = append(out, Namespace{
			Name: n.Name, UID: n.UID, Labels: n.Labels, LinkerdInject: n.Annotations[InjectAnnotation],
			Terminating: !n.DeletionTimestamp.IsZero(),
		})
	}
	slices.SortFunc(out, func(a, b Namespace) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Proxies are the pods with proxies of Istio.
type Proxies struct {
	// Known says that they have been looked at. Else there may be any.
	Known bool `json:"known,omitzero"`
	// Pods have the pods of each namespace, by revision.
	Pods map[string]map[string][]string `json:"pods,omitzero"`
}

// Of are the pods with proxies of a revision, by namespace.
func (p Proxies) Of(revision string) map[string][]string { return p.Pods[revision] }

// proxyLabel is on every pod with a proxy of Istio: injected ones, gateways and waypoints.
const proxyLabel = "service.istio.io/canonical-name"

// Annotations in which such a pod says which control plane its proxy is of.
const (
	proxyRevision = "istio.io/rev"
	proxyStatus   = "sidecar.istio.io/status"
)

// pods whose containers have ended use no control plane.
var livePods = fields.AndSelectors(
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)), fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)),
).String()

// proxiesPause is the least time from one wake-up to the next.
const proxiesPause = 2 * time.Second

// ProxyWatch watches the pods with proxies of Istio, as metadata, for as long as it is asked about them.
type ProxyWatch struct {
	client metadata.Interface
	log    logr.Logger
	waker  waker

	mu       sync.Mutex
	ctx      context.Context // the life of the watch, set once by Start
	wanted   bool
	stop     context.CancelFunc
	informer cache.SharedIndexInformer
}

// NewProxyWatch makes a watch that calls wake, from a goroutine of its own, when there are other pods.
func NewProxyWatch(client metadata.Interface, log logr.Logger, wake func()) *ProxyWatch {
	return &ProxyWatch{client: client, log: log, waker: waker{wake: wake, pause: proxiesPause}}
}

// Start keeps the watch alive until ctx ends.
func (w *ProxyWatch) Start(ctx context.Context) error {
	w.mu.Lock()
	w.ctx = ctx
	if w.wanted {
		w.begin(ctx)
	}
	w.mu.Unlock()
	<-ctx.Done()
	return nil
}

// Proxies are those that there are. The first question begins the watch; until it has seen what there is the answer is not Known.
func (w *ProxyWatch) Proxies() Proxies {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.wanted {
		w.wanted = true
		if w.ctx != nil {
			w.begin(w.ctx)
		}
	}
	if w.informer == nil || !w.informer.HasSynced() {
		return Proxies{}
	}
	out := Proxies{Known: true, Pods: map[string]map[string][]string{}}
	for _, obj := range w.informer.GetStore().List() {
		p, ok := obj.(*metav1.PartialObjectMetadata)
		if !ok {
			continue
		}
		revision := p.Annotations[proxyRevision]
		if out.Pods[revision] == nil {
			out.Pods[revision] = map[string][]string{}
		}
		out.Pods[revision][p.Namespace] = append(out.Pods[revision][p.Namespace], p.Name)
	}
	for _, byNamespace := range out.Pods {
		for _, names := range byNamespace {
			slices.Sort(names)
		}
	}
	return out
}

// End ends the watch until somebody asks again.
func (w *ProxyWatch) End() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil {
		w.stop()
	}
	w.wanted, w.stop, w.informer = false, nil, nil
}

// begin watches. The caller holds mu.
func (w *ProxyWatch) begin(life context.Context) {
	ctx, stop := context.WithCancel(life)
	w.stop = stop
	pods := corev1.SchemeGroupVersion.WithResource("pods")
	informer := metadatainformer.NewFilteredMetadataInformer(w.client, pods, metav1.NamespaceAll, 0, cache.Indexers{},
		func(o *metav1.ListOptions) { o.LabelSelector, o.FieldSelector = proxyLabel, livePods }).Informer()
	err := informer.SetTransform(trimProxy)
	if err == nil {
		_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { w.waker.changed(ctx) }, DeleteFunc: func(any) { w.waker.changed(ctx) },
		})
	}
	if err != nil {
		w.log.Error(err, "pods with proxies cannot be watched")
		return
	}
	w.informer = informer
	go informer.RunWithContext(ctx)
	go func() {
		// None is news, too, and makes no event.
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			w.waker.changed(ctx)
		}
	}()
}

// trimProxy keeps which pod it is and which control plane its proxy is of. A pod's annotations do not change in that.
func trimProxy(obj any) (any, error) {
	p, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return obj, nil
	}
	revision := RevisionOfProxy(p.Annotations)
	return &metav1.PartialObjectMetadata{TypeMeta: p.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion,
		Annotations: map[string]string{proxyRevision: revision},
	}}, nil
}

// RevisionOfProxy is the revision of the control plane that a pod's proxy is of; empty when the pod has none.
func RevisionOfProxy(annotations map[string]string) string {
	if revision := annotations[proxyRevision]; revision != "" {
		return revision
	}
	var injected struct {
		Revision string `json:"revision"`
	}
	if json.Unmarshal([]byte(annotations[proxyStatus]), &injected) != nil {
		return ""
	}
	return injected.Revision
}
