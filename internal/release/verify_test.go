package release

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
)

// What is missing is made again in an order in which each object finds what it refers to.
func TestInInstallOrder(t *testing.T) {
	const rbac, crds = "rbac.authorization.k8s.io", "apiextensions.k8s.io"
	type object struct{ group, kind, name string }
	for _, tc := range []struct {
		name       string
		list, want []object
	}{
		{"nothing", nil, nil},
		{
			"a namespace before its roles, roles before their bindings",
			[]object{{rbac, "RoleBinding", "b"}, {rbac, "Role", "r"}, {rbac, "ClusterRoleBinding", "b"}, {rbac, "ClusterRole", "r"}, {"", "Namespace", "n"}},
			[]object{{"", "Namespace", "n"}, {rbac, "ClusterRole", "r"}, {rbac, "ClusterRoleBinding", "b"}, {rbac, "Role", "r"}, {rbac, "RoleBinding", "b"}},
		},
		{
			"definitions before everything of the kinds they define, and before workloads that use them",
			[]object{{"example.com", "Thing", "t"}, {"apps", "DaemonSet", "d"}, {crds, "CustomResourceDefinition", "c"}},
			[]object{{crds, "CustomResourceDefinition", "c"}, {"apps", "DaemonSet", "d"}, {"example.com", "Thing", "t"}},
		},
		{
			// One after the other, or objects of a kind would not be looked at together.
			"unknown kinds last, by group and kind",
			[]object{{"b.example.com", "Thing", "1"}, {"a.example.com", "Thing", "2"}, {"apiregistration.k8s.io", "APIService", "s"}, {"b.example.com", "Thing", "3"}, {"a.example.com", "Other", "4"}},
			[]object{{"apiregistration.k8s.io", "APIService", "s"}, {"a.example.com", "Other", "4"}, {"a.example.com", "Thing", "2"}, {"b.example.com", "Thing", "1"}, {"b.example.com", "Thing", "3"}},
		},
		{
			"one kind of two groups",
			[]object{{"networking.k8s.io", "Ingress", "1"}, {"example.com", "Ingress", "2"}, {"networking.k8s.io", "Ingress", "3"}},
			[]object{{"example.com", "Ingress", "2"}, {"networking.k8s.io", "Ingress", "1"}, {"networking.k8s.io", "Ingress", "3"}},
		},
		{
			"objects of a kind stay as they are",
			[]object{{"", "ConfigMap", "b"}, {"", "ServiceAccount", "s"}, {"", "ConfigMap", "a"}},
			[]object{{"", "ServiceAccount", "s"}, {"", "ConfigMap", "b"}, {"", "ConfigMap", "a"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var list kube.ResourceList
			for _, o := range tc.list {
				gvk := schema.GroupVersionKind{Group: o.group, Version: "v1", Kind: o.kind}
				list = append(list, &resource.Info{Name: o.name, Mapping: &meta.RESTMapping{GroupVersionKind: gvk}})
			}
			objects := func(list kube.ResourceList) []object {
				var out []object
				for _, i := range list {
					out = append(out, object{i.Mapping.GroupVersionKind.Group, i.Mapping.GroupVersionKind.Kind, i.Name})
				}
				return out
			}
			before := slices.Clone(list)
			if diff := cmp.Diff(tc.want, objects(inInstallOrder(list)), cmp.AllowUnexported(object{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !slices.Equal(before, list) {
				t.Errorf("the list that was given is now %v", objects(list))
			}
		})
	}
}
