package cli

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/release"
)

// needs collects what objects of stacks take.
type needs struct {
	world              *world
	stacks, components []string
	// written are the names of the objects of each resource.
	written map[schema.GroupResource]map[string]bool
	// read are resources that are watched beside them.
	read map[schema.GroupResource]bool
	// held is what the components' roles grant.
	held []rbacv1.PolicyRule
	// named are ClusterRoles that are written and bound whatever they grant, and bound those of others.
	named, bound map[string]bool
	more         []rbacv1.PolicyRule
	// plurals are the resources of kinds that charts define.
	plurals map[schema.GroupKind]string
	remarks []string
}

func newNeeds(w *world) *needs {
	return &needs{
		world: w, written: map[schema.GroupResource]map[string]bool{}, read: map[schema.GroupResource]bool{},
		named: map[string]bool{}, bound: map[string]bool{}, plurals: map[schema.GroupKind]string{},
	}
}

// stack adds what one stack takes.
func (n *needs) stack(stack *networkstackv1alpha1.NetworkStack, list []*component) error {
	n.stacks = append(n.stacks, stack.Name)
	more, err := extras(stack)
	if err != nil {
		return err
	}
	n.more = append(n.more, more...)
	for _, c := range list {
		n.define(c.rendered.All())
	}
	for _, c := range list {
		if !slices.Contains(n.components, c.Name) {
			n.components = append(n.components, c.Name)
		}
		n.write(schema.GroupResource{Resource: "configmaps"}, release.IntentsName(c.Spec.ReleaseName))
		for _, r := range n.world.catalog.Catalog[c.Spec.Type].Readiness {
			n.read[n.resource(schema.GroupKind{Group: r.Group, Kind: r.Kind})] = true
		}
		if err := n.objects(c.rendered.All()); err != nil {
			return err
		}
	}
	switch stack.Spec.CNI.Type {
	case networkstackv1alpha1.CNICilium:
		n.allocations(facts.AllocationsOfCilium)
	case networkstackv1alpha1.CNICalico:
		n.allocations(facts.AllocationsOfCalico)
	default:
	}
	if p := stack.Spec.KubeProxy; p != nil && p.Mode == networkstackv1alpha1.KubeProxyReplaced {
		// A kube-proxy that is there is parked.
		n.write(schema.GroupResource{Group: "apps", Resource: "daemonsets"}, "kube-proxy")
	}
	return nil
}

// allocations adds what tells how much is given out of the pools.
func (n *needs) allocations(source facts.AllocationSource) {
	if resource, ok := facts.AllocationResource(source); ok {
		n.read[resource.GroupResource()] = true
	}
}

func (n *needs) write(resource schema.GroupResource, name string) {
	if n.written[resource] == nil {
		n.written[resource] = map[string]bool{}
	}
	n.written[resource][name] = true
}

// define learns the resources of the kinds that are defined.
func (n *needs) define(objects []*unstructured.Unstructured) {
	for _, u := range objects {
		if u.GetKind() != "CustomResourceDefinition" {
			continue
		}
		group, _, _ := unstructured.NestedString(u.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(u.Object, "spec", "names", "kind")
		plural, _, _ := unstructured.NestedString(u.Object, "spec", "names", "plural")
		n.plurals[schema.GroupKind{Group: group, Kind: kind}] = plural
	}
}

// resource is where the objects of a kind are: as a chart or the cluster defines it, or as kinds are usually called.
func (n *needs) resource(kind schema.GroupKind) schema.GroupResource {
	if plural := n.plurals[kind]; plural != "" {
		return schema.GroupResource{Group: kind.Group, Resource: plural}
	}
	if n.world.cluster != nil {
		if m, err := n.world.cluster.client.RESTMapper().RESTMapping(kind); err == nil {
			return m.Resource.GroupResource()
		}
	}
	guess, _ := meta.UnsafeGuessKindToResource(kind.WithVersion("v1"))
	return guess.GroupResource()
}

// objects adds what it takes to write objects.
func (n *needs) objects(list []*unstructured.Unstructured) error {
	rendered := map[string]bool{}
	for _, u := range list {
		rendered[u.GetKind()+" "+u.GetName()] = true
	}
	for _, u := range list {
		kind := u.GroupVersionKind().GroupKind()
		n.write(n.resource(kind), u.GetName())
		if kind.Group != rbacv1.GroupName {
			continue
		}
		if strings.HasSuffix(kind.Kind, "Role") {
			if err := n.grant(u); err != nil {
				return err
			}
			continue
		}
		of, _, _ := unstructured.NestedString(u.Object, "roleRef", "kind")
		name, _, _ := unstructured.NestedString(u.Object, "roleRef", "name")
		if of == "ClusterRole" && !rendered["ClusterRole "+name] {
			n.bound[name] = true
		}
	}
	return nil
}

// grant adds what a role grants. One that may grant anything itself is not held, but written and bound by its name.
func (n *needs) grant(u *unstructured.Unstructured) error {
	var role rbacv1.ClusterRole // a Role has the same rules
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &role); err != nil {
		return err
	}
	if u.GetKind() == "ClusterRole" && (role.AggregationRule != nil || slices.ContainsFunc(role.Rules, grantsAnything)) {
		n.named[role.Name] = true
		n.remarks = append(n.remarks, "remark: ClusterRole "+role.Name+" may grant anything: the operator gets the verbs escalate and bind for it, "+
			"and whoever controls the operator can write anything into it")
		return nil
	}
	n.held = append(n.held, role.Rules...)
	return nil
}

// grantsAnything says whether who holds a rule can give themselves any other.
func grantsAnything(r rbacv1.PolicyRule) bool {
	has := func(list []string, values ...string) bool {
		return slices.ContainsFunc(list, func(v string) bool { return v == "*" || slices.Contains(values, v) })
	}
	return has(r.APIGroups, rbacv1.GroupName) && has(r.Resources, "roles", "clusterroles") && len(r.ResourceNames) == 0 &&
		has(r.Verbs, "escalate", "bind")
}

// createdByName are kinds of which the mere making of one is power over others' objects.
var createdByName = map[schema.GroupResource]bool{
	{Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations"}:   true,
	{Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations"}:     true,
	{Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicies"}:       true,
	{Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicybindings"}: true,
	{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}:                 true,
	{Group: "apiregistration.k8s.io", Resource: "apiservices"}:                             true,
}

// rules are all of it, in a steady order.
func (n *needs) rules() ([]rbacv1.PolicyRule, error) {
	out, err := baseRules()
	if err != nil {
		return nil, err
	}
	rule := func(r schema.GroupResource, names []string, verbs ...string) {
		out = append(out, rbacv1.PolicyRule{
			APIGroups: []string{r.Group}, Resources: []string{r.Resource}, ResourceNames: names, Verbs: verbs,
		})
	}
	order := func(a, b schema.GroupResource) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
	}
	for _, r := range slices.SortedFunc(maps.Keys(n.read), order) {
		rule(r, nil, "get", "list", "watch")
	}
	for _, r := range slices.SortedFunc(maps.Keys(n.written), order) {
		if r == (schema.GroupResource{Resource: "secrets"}) {
			continue // those are Helm's as well, see base_role.yaml
		}
		names := slices.Sorted(maps.Keys(n.written[r]))
		all, one := []string{"get", "list", "watch", "create"}, []string{"patch", "delete"}
		if createdByName[r] {
			all, one = all[:3], []string{"create", "patch", "delete"}
		}
		if r.Resource == "customresourcedefinitions" {
			one = []string{"create", "patch"} // never deleted
		}
		rule(r, nil, all...)
		rule(r, names, one...)
	}
	roles := schema.GroupResource{Group: rbacv1.GroupName, Resource: "clusterroles"}
	if len(n.named) > 0 {
		rule(roles, slices.Sorted(maps.Keys(n.named)), "escalate", "bind")
	}
	if len(n.bound) > 0 {
		rule(roles, slices.Sorted(maps.Keys(n.bound)), "bind")
	}
	return unique(slices.Concat(out, n.more, n.held)), nil
}

// unique drops rules that are there already.
func unique(list []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	seen := map[string]bool{}
	for i := range list {
		if text := list[i].String(); !seen[text] {
			seen[text] = true
			out = append(out, list[i])
		}
	}
	return out
}
