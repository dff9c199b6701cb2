// Package endstate reads what components have in a cluster in a form in which two runs can be compared: whatever the
// API server sets by itself is left out.
package endstate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// State is objects by "Kind.group namespace/name", each as JSON.
type State map[string]string

// Scope says which objects are read. An object is in it for one reason or another.
type Scope struct {
	// Selector is for objects anywhere, by their labels.
	Selector string
	// Namespaces are read in full.
	Namespaces []string
	// Skip are kinds (such as "NetworkStack") that are left out.
	Skip []string
}

// Read reads all objects in the scope. What is being deleted counts as gone. Not read are dependents that a controller
// made (pods of a DaemonSet, say), Helm's records, and what the cluster puts into every namespace.
func Read(ctx context.Context, cfg *rest.Config, scope Scope) (State, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.WarningHandler = -1, rest.NoWarnings{}
	disc, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	lists, err := disc.ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, err
	}
	r := &reader{ctx: ctx, client: client, scope: scope, found: State{}, slots: make(chan struct{}, 8)}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, res := range list.APIResources {
			if slices.Contains(res.Verbs, "list") && !strings.Contains(res.Name, "/") && !slices.Contains(scope.Skip, res.Kind) &&
				!slices.Contains(derived, res.Kind) {
				r.read(gv.WithResource(res.Name), res.Namespaced)
			}
		}
	}
	r.running.Wait()
	return r.found, r.err
}

// derived are kinds that controllers make of others, or that only report.
var derived = []string{"Event", "Endpoints", "EndpointSlice", "Lease", "ControllerRevision", "ReplicaSet", "IPAddress", "ComponentStatus"}

type reader struct {
	ctx     context.Context
	client  dynamic.Interface
	scope   Scope
	slots   chan struct{}
	running sync.WaitGroup

	mu    sync.Mutex
	found State
	err   error
}

// read starts the lists of one resource.
func (r *reader) read(gvr schema.GroupVersionResource, namespaced bool) {
	if r.scope.Selector != "" {
		r.list(gvr, "", metav1.ListOptions{LabelSelector: r.scope.Selector})
	}
	if namespaced {
		for _, ns := range r.scope.Namespaces {
			r.list(gvr, ns, metav1.ListOptions{})
		}
	}
}

func (r *reader) list(gvr schema.GroupVersionResource, namespace string, opts metav1.ListOptions) {
	r.running.Go(func() {
		r.slots <- struct{}{}
		defer func() { <-r.slots }()
		list, err := r.client.Resource(gvr).Namespace(namespace).List(r.ctx, opts)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			// A kind may go between discovery and this.
			if r.err == nil && !apierrors.IsNotFound(err) && !apierrors.IsMethodNotSupported(err) {
				r.err = fmt.Errorf("list %s: %w", gvr, err)
			}
			return
		}
		for i := range list.Items {
			u := &list.Items[i]
			if u.GetDeletionTimestamp() != nil || unremarkable(u) {
				continue
			}
			gk := u.GroupVersionKind().GroupKind()
			name := strings.TrimPrefix(u.GetNamespace()+"/"+u.GetName(), "/")
			r.found[gk.String()+" "+name] = essence(u)
		}
	})
}

// unremarkable says that an object is nobody's decision.
func unremarkable(u *unstructured.Unstructured) bool {
	switch {
	case metav1.GetControllerOf(u) != nil && u.GetKind() != "NetworkComponent",
		u.GetKind() == "ConfigMap" && u.GetName() == "kube-root-ca.crt",
		u.GetKind() == "ServiceAccount" && u.GetName() == "default":
		return true
	case u.GetKind() == "Secret":
		kind, _, _ := unstructured.NestedString(u.Object, "type")
		return kind == "helm.sh/release.v1"
	}
	return false
}

// essence is an object without what the server sets, and with the fields that our manager owns.
func essence(u *unstructured.Unstructured) string {
	var owners []string
	for _, m := range u.GetManagedFields() {
		if m.Subresource != "" {
			continue
		}
		owner := m.Manager + " " + string(m.Operation)
		if m.Manager == networkstackv1alpha1.FieldManager && m.FieldsV1 != nil {
			owner += " " + string(m.FieldsV1.GetRawBytes())
		}
		owners = append(owners, owner)
	}
	slices.Sort(owners)
	o := u.Object
	delete(o, "status")
	meta := map[string]any{"name": u.GetName(), "labels": u.GetLabels(), "finalizers": u.GetFinalizers(), "owners": owners}
	annotations := u.GetAnnotations()
	delete(annotations, "deprecated.daemonset.template.generation")
	delete(annotations, "deployment.kubernetes.io/revision")
	meta["annotations"] = annotations
	o["metadata"] = meta
	switch u.GetKind() {
	case "Service":
		for _, field := range []string{"clusterIP", "clusterIPs"} {
			unstructured.RemoveNestedField(o, "spec", field)
		}
	case "Job":
		unstructured.RemoveNestedField(o, "spec", "selector")
		unstructured.RemoveNestedField(o, "spec", "template", "metadata", "labels")
	}
	data, err := json.Marshal(o)
	if err != nil {
		return err.Error() // what came as JSON goes as JSON
	}
	return string(data)
}

// Renamed is the state with every occurrence of a name replaced, so that runs under different names can be compared.
func (s State) Renamed(from, to string) State {
	out := State{}
	for k, v := range s {
		out[strings.ReplaceAll(k, from, to)] = strings.ReplaceAll(v, from, to)
	}
	return out
}

// Diff is what got differs in from want, one line an object.
func Diff(want, got State) []string {
	var out []string
	keys := slices.Concat(slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(got)))
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		w, inWant := want[k]
		g, inGot := got[k]
		switch {
		case !inGot:
			out = append(out, "missing: "+k)
		case !inWant:
			out = append(out, "left behind: "+k)
		case w != g:
			out = append(out, "differs: "+k+"\n  want "+w+"\n  got  "+g)
		}
	}
	return out
}

// Component selects everything that carries the label of one component.
func Component(name string) string { return networkstackv1alpha1.ComponentLabel + "=" + name }

// AnyComponent selects everything that carries the label of some component.
const AnyComponent = networkstackv1alpha1.ComponentLabel
