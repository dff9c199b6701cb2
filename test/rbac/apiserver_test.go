package rbac_test

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
	"github.com/networkstack/networkstack/test/testcharts"
)

// TestAPIServerLetsOperatorInstallCharts has a real API server judge: the operator's ServiceAccount, with what
// config/default gives it and nothing else, applies, lists and deletes every object of every chart.
func TestAPIServerLetsOperatorInstallCharts(t *testing.T) {
	t.Parallel()
	cp := controlplane.ForTest(t, controlplane.Options{})
	admin := newApplier(t, cp.RESTConfig())
	admin.apply(t, defaultObjects(t))
	config, _, err := cp.ServiceAccountConfig(t.Context(), "networkstack-system", serviceAccount)
	if err != nil {
		t.Fatal(err)
	}
	account := newApplier(t, config)

	install := func(t *testing.T, objects []*unstructured.Unstructured) {
		t.Helper()
		if n := account.apply(t, objects); n == 0 {
			t.Error("the API server serves no kind of this chart")
		}
		account.list(t, objects)
		account.remove(t, objects)
	}
	// Cilium's own operator would define them.
	admin.apply(t, ciliumDefinitions())
	account.served(t, schema.GroupVersionKind{Group: "cilium.io", Version: "v2alpha1", Kind: "CiliumPodIPPool"})
	account.served(t, schema.GroupVersionKind{Group: "cilium.io", Version: "v2", Kind: "CiliumBGPAdvertisement"})
	account.served(t, schema.GroupVersionKind{Group: "cilium.io", Version: "v2", Kind: "CiliumLoadBalancerIPPool"})
	account.served(t, schema.GroupVersionKind{Group: "cilium.io", Version: "v2alpha1", Kind: "CiliumL2AnnouncementPolicy"})
	for _, version := range metallbVersions {
		t.Run("metallb "+version, func(t *testing.T) {
			var definitions, rest []*unstructured.Unstructured
			for _, o := range render(t, testcharts.Upstream(t, "metallb", version), "kube-system", metallbValues) {
				if o.GetKind() == "CustomResourceDefinition" {
					definitions = append(definitions, o)
				} else {
					rest = append(rest, o)
				}
			}
			if n := account.apply(t, definitions); n == 0 {
				t.Fatal("the chart has no definition")
			}
			account.served(t, schema.GroupVersionKind{Group: "metallb.io", Version: "v1beta1", Kind: "IPAddressPool"})
			account.served(t, schema.GroupVersionKind{Group: "metallb.io", Version: "v1beta2", Kind: "BGPPeer"})
			if n := account.apply(t, rest); n != len(rest) {
				t.Errorf("%d of %d objects are applied", n, len(rest))
			}
			account.list(t, rest)
			account.remove(t, rest)
		})
	}
	// cert-manager would define it.
	admin.apply(t, []*unstructured.Unstructured{definitionOf("cert-manager.io", "v1", "Certificate", "certificates", "Namespaced")})
	account.served(t, schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"})
	consul := consulObjects(t, consulVersions[len(consulVersions)-1])
	isDefinition := func(o *unstructured.Unstructured) bool { return o.GetKind() == "CustomResourceDefinition" }
	account.apply(t, slices.DeleteFunc(slices.Clone(consul), func(o *unstructured.Unstructured) bool { return !isDefinition(o) }))
	for _, kind := range []string{"Mesh", "ProxyDefaults"} {
		account.served(t, schema.GroupVersionKind{Group: "consul.hashicorp.com", Version: "v1alpha1", Kind: kind})
	}
	// In order: the definition of network-attachments' kind comes with multus.
	for _, name := range slices.Sorted(maps.Keys(ownValues)) {
		t.Run(name, func(t *testing.T) {
			install(t, render(t, testcharts.Embedded(t, name), "kube-system", ownValues[name]))
		})
	}
	for _, version := range ciliumVersions {
		for name, values := range ciliumValues {
			t.Run("cilium "+version+" "+name, func(t *testing.T) {
				install(t, render(t, testcharts.Upstream(t, "cilium", version), "kube-system", values))
			})
		}
	}
	t.Run("consul", func(t *testing.T) {
		namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "consul"}}}
		account.apply(t, []*unstructured.Unstructured{namespace})
		rest := slices.DeleteFunc(slices.Clone(consul), isDefinition)
		if n := account.apply(t, rest); n != len(rest) {
			for _, o := range rest {
				if account.resource(t, o) == nil {
					t.Errorf("%s %s: nothing defines its kind", o.GroupVersionKind(), o.GetName())
				}
			}
			t.Errorf("%d of %d objects are applied", n, len(rest))
		}
		account.list(t, rest)
		account.remove(t, rest)
	})
	t.Run("calico", func(t *testing.T) {
		namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "tigera-operator"}}}
		account.apply(t, []*unstructured.Unstructured{namespace})
		definitions := render(t, testcharts.Upstream(t, calicoCharts[0], calicoVersion), "tigera-operator", calicoValues)
		if n := account.apply(t, definitions); n != len(definitions) {
			t.Fatalf("%d of %d definitions are applied", n, len(definitions))
		}
		account.served(t, schema.GroupVersionKind{Group: "operator.tigera.io", Version: "v1", Kind: "Installation"})
		account.served(t, schema.GroupVersionKind{Group: "crd.projectcalico.org", Version: "v1", Kind: "FelixConfiguration"})
		objects := render(t, testcharts.Upstream(t, calicoCharts[1], calicoVersion), "tigera-operator", calicoValues)
		if n := account.apply(t, objects); n != len(objects) {
			t.Errorf("%d of %d objects are applied", n, len(objects))
		}
		account.list(t, objects)
		account.remove(t, objects)
	})
	t.Run("AWS VPC CNI", func(t *testing.T) {
		objects := awsvpcObjects(t)
		var definitions, rest []*unstructured.Unstructured
		for _, o := range objects {
			if o.GetKind() == "CustomResourceDefinition" {
				definitions = append(definitions, o)
			} else {
				rest = append(rest, o)
			}
		}
		if n := account.apply(t, definitions); n == 0 {
			t.Fatal("the chart has no definition")
		}
		account.served(t, schema.GroupVersionKind{Group: "crd.k8s.amazonaws.com", Version: "v1alpha1", Kind: "ENIConfig"})
		// The kind of its PodMonitor is Prometheus' operator's, and not served here.
		if n := account.apply(t, rest); n != len(rest)-1 {
			t.Errorf("%d of %d objects are applied", n, len(rest))
		}
		account.list(t, rest)
		account.remove(t, rest)
	})
	t.Run("no more than that", func(t *testing.T) { checkRefusals(t, config) })
}

// ciliumDefinitions are those of the kinds that cilium-resources has, without their schemas.
func ciliumDefinitions() []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for kind, version := range map[string]string{
		"CiliumPodIPPool": "v2alpha1", "CiliumBGPClusterConfig": "v2", "CiliumBGPPeerConfig": "v2", "CiliumBGPAdvertisement": "v2",
		"CiliumLoadBalancerIPPool": "v2", "CiliumL2AnnouncementPolicy": "v2alpha1",
	} {
		singular := strings.ToLower(kind)
		plural := strings.TrimSuffix(singular, "y") + "s"
		if plural != singular+"s" {
			plural = strings.TrimSuffix(singular, "y") + "ies"
		}
		out = append(out, definitionOf("cilium.io", version, kind, plural, "Cluster"))
	}
	return out
}

// definitionOf defines a kind without a schema.
func definitionOf(group, version, kind, plural, scope string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": plural + "." + group},
		"spec": map[string]any{
			"group": group, "scope": scope,
			"names": map[string]any{"kind": kind, "listKind": kind + "List", "singular": strings.ToLower(kind), "plural": plural},
			"versions": []any{map[string]any{
				"name": version, "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}}
}

// checkRefusals fails when the API server lets the operator's account have more than its roles say.
func checkRefusals(t *testing.T, config *rest.Config) {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	roles := client.RbacV1()
	name := metav1.ObjectMeta{Name: "more"}
	_, escalated := roles.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: name,
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}},
	}, metav1.CreateOptions{})
	_, bound := roles.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: name,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
	}, metav1.CreateOptions{})
	deleted := client.CoreV1().Nodes().Delete(t.Context(), "none", metav1.DeleteOptions{})
	_, made := client.CoreV1().Pods("kube-system").Create(t.Context(), &corev1.Pod{ObjectMeta: name}, metav1.CreateOptions{})
	for what, err := range map[string]error{
		"write a role that may do everything": escalated, "bind cluster-admin": bound,
		"delete a node": deleted, "make a pod": made,
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("the operator may %s: %v", what, err)
		}
	}
}

// applier does what the operator does with a release's objects.
type applier struct {
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

func newApplier(t *testing.T, config *rest.Config) *applier {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	known, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &applier{client: client, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(known.Discovery()))}
}

// resource is where an object belongs; nil when its kind is not served here, as with ServiceMonitors.
func (a *applier) resource(t *testing.T, object *unstructured.Unstructured) dynamic.ResourceInterface {
	t.Helper()
	kind := object.GroupVersionKind()
	mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	var noMatch *meta.NoKindMatchError
	if errors.As(err, &noMatch) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return a.client.Resource(mapping.Resource)
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = "kube-system" // the release's
	}
	return a.client.Resource(mapping.Resource).Namespace(namespace)
}

// served waits until the API server serves a kind.
func (a *applier) served(t *testing.T, kind schema.GroupVersionKind) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		a.mapper.Reset()
		mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		_, err = a.client.Resource(mapping.Resource).List(t.Context(), metav1.ListOptions{Limit: 1})
		return err == nil, nil
	})
	if err != nil {
		t.Fatalf("%s is not served: %v", kind.Kind, err)
	}
}

// apply returns how many objects were applied.
func (a *applier) apply(t *testing.T, objects []*unstructured.Unstructured) int {
	t.Helper()
	var applied int
	for _, object := range inOrder(objects) {
		resource := a.resource(t, object)
		if resource == nil {
			continue
		}
		options := metav1.ApplyOptions{FieldManager: "networkstack", Force: true}
		if _, err := resource.Apply(t.Context(), object.GetName(), object, options); err != nil {
			t.Errorf("apply %s %s: %v", object.GetKind(), object.GetName(), err)
			continue
		}
		applied++
		if object.GetKind() == "CustomResourceDefinition" {
			established(t, resource, object.GetName())
			a.mapper.Reset()
		}
	}
	return applied
}

// established waits until a definition's kind is served.
func established(t *testing.T, definitions dynamic.ResourceInterface, name string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		live, err := definitions.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
		return slices.ContainsFunc(conditions, func(c any) bool {
			condition, _ := c.(map[string]any)
			return condition["type"] == "Established" && condition["status"] == "True"
		}), nil
	})
	if err != nil {
		t.Fatalf("waiting for %s to be established: %v", name, err)
	}
}

func (a *applier) list(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	for _, object := range objects {
		resource := a.resource(t, object)
		if resource == nil {
			continue
		}
		list, err := resource.List(t.Context(), metav1.ListOptions{Limit: 1})
		if err != nil {
			t.Errorf("list %s: %v", object.GetKind(), err)
			continue
		}
		ctx, cancel := context.WithCancel(t.Context())
		watch, err := resource.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
		if err != nil {
			t.Errorf("watch %s: %v", object.GetKind(), err)
		} else {
			watch.Stop()
		}
		cancel()
	}
}

// remove deletes objects, last first, except namespaces, which take their time, and definitions, which stay.
func (a *applier) remove(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	ordered := inOrder(objects)
	slices.Reverse(ordered)
	background := metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}
	for _, object := range ordered {
		resource := a.resource(t, object)
		if resource == nil || object.GetKind() == "Namespace" || object.GetKind() == "CustomResourceDefinition" {
			continue
		}
		if err := resource.Delete(t.Context(), object.GetName(), background); err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("delete %s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

// inOrder puts what others need first.
func inOrder(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	first := []string{"Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "Role"}
	rank := func(object *unstructured.Unstructured) int {
		if i := slices.Index(first, object.GetKind()); i >= 0 {
			return i
		}
		return len(first)
	}
	ordered := slices.Clone(objects)
	slices.SortStableFunc(ordered, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	return ordered
}

// defaultObjects are those of config/default.
func defaultObjects(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	objects, err := operator.Build(filepath.Join(operator.Root(), "config", "default"))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}
