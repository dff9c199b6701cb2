package baseline

import (
	"maps"
	"sync"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
)

// record is what is kept of an object with our label.
type record struct {
	stack  string
	digest digest
	uid    types.UID
	// version is its resource version.
	version string
	// by is who else wrote to it last; empty when nobody has.
	by   string
	deny bool
	// ours says that we have applied it. What merely has the label, such as a copy, is not.
	ours bool
	// leaving says that it is about to go.
	leaving bool
}

// recordOf is what is kept of an object.
func recordOf(o *unstructured.Unstructured) (record, error) {
	sum, err := digestOf(o)
	if err != nil {
		return record{}, err
	}
	labels := o.GetLabels()
	r := record{
		stack: unique.Make(labels[policy.Label]).Value(), digest: sum, uid: o.GetUID(), version: o.GetResourceVersion(),
		deny: labels[policy.EffectLabel] == policy.EffectDeny, leaving: o.GetDeletionTimestamp() != nil,
	}
	// An API server that keeps no account of who wrote tells nothing either way.
	r.ours = len(o.GetManagedFields()) == 0
	var last *metav1.Time
	for _, e := range o.GetManagedFields() {
		switch {
		case e.Manager == networkstackv1alpha1.FieldManager && e.Operation == metav1.ManagedFieldsOperationApply:
			r.ours = true
		case e.Subresource != "":
		case last == nil || e.Time != nil && !e.Time.Before(last):
			r.by, last = unique.Make(e.Manager).Value(), e.Time
		}
	}
	return r, nil
}

// live is what there is of ours in the cluster.
type live struct {
	mu sync.Mutex
	// objects by namespace; "" has those without.
	objects map[string]map[ref]record
	total   int
	denies  int
}

func newLive() *live { return &live{objects: map[string]map[ref]record{}} }

// of has the objects of a namespace.
func (l *live) of(namespace string) map[ref]record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.objects[namespace])
}

// namespaces where there is something; "" among them.
func (l *live) namespaces() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]string, 0, len(l.objects))
	for ns := range l.objects {
		out = append(out, ns)
	}
	return out
}

// count is how many of ours there are, and how many of them deny.
func (l *live) count() (total, denies int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total, l.denies
}

// put keeps what was seen of an object, unless something newer was, and says whether that is news.
func (l *live) put(namespace string, at ref, r record) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, ok := l.objects[namespace][at]
	if ok && (was.version == r.version || older(r.version, was.version)) {
		return false
	}
	if l.objects[namespace] == nil {
		l.objects[namespace] = map[ref]record{}
	}
	l.add(was, -1)
	l.add(r, 1)
	l.objects[namespace][at] = r
	return true
}

// drop forgets an object that was gone at a version, unless something newer was seen, and says whether that is news. An empty version
// is newer than any.
func (l *live) drop(namespace string, at ref, version string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, ok := l.objects[namespace][at]
	if !ok || version != "" && older(version, was.version) {
		return false
	}
	l.add(was, -1)
	delete(l.objects[namespace], at)
	if len(l.objects[namespace]) == 0 {
		delete(l.objects, namespace)
	}
	return true
}

// add counts an object. The caller holds mu.
func (l *live) add(r record, n int) {
	if !r.ours {
		return
	}
	l.total += n
	if r.deny {
		l.denies += n
	}
}

// place is an object in a namespace.
type place struct {
	namespace string
	ref
}

// replace has only these of a kind, which were there at a version, and says in which namespaces that is news.
func (l *live) replace(k *kind, seen map[place]record, version string) map[string]bool {
	news := map[string]bool{}
	l.mu.Lock()
	var gone []place
	for ns, objects := range l.objects {
		for at := range objects {
			p := place{ns, at}
			if _, ok := seen[p]; at.kind == k && !ok {
				gone = append(gone, p)
			}
		}
	}
	l.mu.Unlock()
	for _, p := range gone {
		news[p.namespace] = l.drop(p.namespace, p.ref, version) || news[p.namespace]
	}
	for p, r := range seen {
		news[p.namespace] = l.put(p.namespace, p.ref, r) || news[p.namespace]
	}
	return news
}

// older compares resource versions; what cannot be compared is never older.
func older(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}

// has says whether there is an object of a kind.
func (l *live) has(k *kind) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, objects := range l.objects {
		for at := range objects {
			if at.kind == k {
				return true
			}
		}
	}
	return false
}
