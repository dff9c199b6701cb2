package rbac_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/component-helpers/auth/rbac/validation"
	"sigs.k8s.io/yaml"
)

// checkRelease fails for each object of a release that the holder of rules could not manage.
func checkRelease(t *testing.T, rules []rbacv1.PolicyRule, objects []*unstructured.Unstructured) {
	t.Helper()
	if len(objects) == 0 {
		t.Fatal("the chart rendered no object")
	}
	kinds := map[schema.GroupVersionKind]bool{}
	rendered := map[string]bool{}
	for _, object := range objects {
		kinds[object.GroupVersionKind()] = true
		rendered[object.GetKind()+"/"+object.GetName()] = true
	}
	for _, object := range objects {
		if !isWebhook(object) {
			continue
		}
		resource := resourceOf(object.GroupVersionKind())
		need := []rbacv1.PolicyRule{
			{APIGroups: []string{resource.Group}, Resources: []string{resource.Resource}, Verbs: []string{"get", "list", "watch"}},
			{APIGroups: []string{resource.Group}, Resources: []string{resource.Resource}, ResourceNames: []string{object.GetName()}, Verbs: []string{"create", "patch", "delete"}},
		}
		if ok, missing := validation.Covers(rules, need); !ok {
			t.Errorf("the operator cannot manage the %s %s:\n%s", object.GetKind(), object.GetName(), format(missing))
		}
	}
	for kind := range kinds {
		if strings.HasSuffix(kind.Kind, "WebhookConfiguration") {
			continue
		}
		resource := resourceOf(kind)
		verbs := []string{"get", "list", "watch", "create", "patch", "delete"}
		if kind.Kind == "CustomResourceDefinition" {
			verbs = verbs[:5]
		}
		need := rbacv1.PolicyRule{APIGroups: []string{resource.Group}, Resources: []string{resource.Resource}, Verbs: verbs}
		if ok, missing := validation.Covers(rules, []rbacv1.PolicyRule{need}); !ok {
			t.Errorf("the operator cannot manage a %s:\n%s", kind.Kind, format(missing))
		}
	}
	for _, role := range rolesOf(t, objects) {
		if kind, name, _ := strings.Cut(role.name, " "); kind == "ClusterRole" && slices.Contains(named, name) {
			checkNamed(t, rules, name)
			continue
		}
		if ok, missing := validation.Covers(rules, role.rules); !ok {
			t.Errorf("the operator cannot write the %s, it would grant what the operator lacks:\n%s", role.name, format(missing))
		}
	}
	for _, object := range objects {
		kind, _, _ := unstructured.NestedString(object.Object, "roleRef", "kind")
		name, _, _ := unstructured.NestedString(object.Object, "roleRef", "name")
		if name == "" || rendered[kind+"/"+name] {
			continue
		}
		need := rbacv1.PolicyRule{
			APIGroups: []string{rbacv1.GroupName}, Resources: []string{strings.ToLower(kind) + "s"},
			ResourceNames: []string{name}, Verbs: []string{"bind"},
		}
		if held := everywhere[name]; kind == "ClusterRole" && held != nil {
			if ok, _ := validation.Covers(rules, held); ok {
				continue // whoever holds what a role grants may bind it
			}
		}
		if ok, _ := validation.Covers(rules, []rbacv1.PolicyRule{need}); !ok {
			t.Errorf("the operator cannot write the %s %s: it may not bind %s %s", object.GetKind(), object.GetName(), kind, name)
		}
	}
}

// manages is what it takes to manage objects, and to grant what their roles grant.
func manages(t *testing.T, objects []*unstructured.Unstructured) []rbacv1.PolicyRule {
	t.Helper()
	var out []rbacv1.PolicyRule
	for _, object := range objects {
		resource := resourceOf(object.GroupVersionKind())
		out = append(out, rbacv1.PolicyRule{
			APIGroups: []string{resource.Group}, Resources: []string{resource.Resource},
			Verbs: []string{"get", "list", "watch", "create", "patch", "delete"},
		})
	}
	for _, r := range rolesOf(t, objects) {
		out = append(out, r.rules...)
	}
	return out
}

// checkNeeded fails on what a role grants although no chart needs it, and on what another role grants as well.
func checkNeeded(t *testing.T, rules map[string][]rbacv1.PolicyRule, role string, needed []rbacv1.PolicyRule, others ...string) {
	t.Helper()
	if ok, excess := validation.Covers(needed, rules[role]); !ok {
		t.Errorf("no chart needs this, remove it from %s:\n%s", role, format(excess))
	}
	var elsewhere []rbacv1.PolicyRule
	for _, other := range others {
		elsewhere = append(elsewhere, rules[other]...)
	}
	for _, rule := range rules[role] {
		for _, part := range validation.BreakdownRule(rule) {
			if ok, _ := validation.Covers(elsewhere, []rbacv1.PolicyRule{part}); ok {
				t.Errorf("another role has this, too, remove it from %s: %s", role, part.String())
			}
		}
	}
}

// everywhere are ClusterRoles that every API server has, and what they grant.
var everywhere = map[string][]rbacv1.PolicyRule{
	"system:auth-delegator": {
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
		{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}},
	},
}

// checkNamed fails unless the holder of rules may write and bind a ClusterRole whatever it grants.
func checkNamed(t *testing.T, rules []rbacv1.PolicyRule, name string) {
	t.Helper()
	need := rbacv1.PolicyRule{
		APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, ResourceNames: []string{name}, Verbs: []string{"escalate", "bind"},
	}
	if ok, missing := validation.Covers(rules, []rbacv1.PolicyRule{need}); !ok {
		t.Errorf("the operator cannot write and bind the ClusterRole %s:\n%s", name, format(missing))
	}
}

// resourceOf a kind, whose name is not always its plural.
func resourceOf(kind schema.GroupVersionKind) schema.GroupVersionResource {
	if kind.Kind == "NetworkAttachmentDefinition" {
		return kind.GroupVersion().WithResource("network-attachment-definitions")
	}
	if plural := map[string]string{"Mesh": "meshes", "ProxyDefaults": "proxydefaults"}[kind.Kind]; plural != "" {
		return kind.GroupVersion().WithResource(plural)
	}
	resource, _ := meta.UnsafeGuessKindToResource(kind)
	return resource
}

type role struct {
	name  string
	rules []rbacv1.PolicyRule
}

// rolesOf are the Roles and ClusterRoles among objects.
func rolesOf(t *testing.T, objects []*unstructured.Unstructured) []role {
	t.Helper()
	var roles []role
	for _, object := range objects {
		if object.GroupVersionKind().Group != rbacv1.GroupName || !strings.HasSuffix(object.GetKind(), "Role") {
			continue
		}
		var r rbacv1.ClusterRole // a Role has the same rules
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &r); err != nil {
			t.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
		}
		if r.AggregationRule != nil {
			t.Errorf("%s %s aggregates others: what it grants cannot be told from here", object.GetKind(), object.GetName())
		}
		roles = append(roles, role{name: object.GetKind() + " " + object.GetName(), rules: r.Rules})
	}
	return roles
}

// render returns the objects of a chart, hooks and custom resource definitions included.
func render(t *testing.T, c *chart.Chart, namespace, values string) []*unstructured.Unstructured {
	t.Helper()
	var given map[string]any
	if err := yaml.UnmarshalStrict([]byte(values), &given); err != nil {
		t.Fatal(err)
	}
	if err := chartutil.ProcessDependencies(c, given); err != nil {
		t.Fatal(err)
	}
	capabilities := &chartutil.Capabilities{
		KubeVersion: chartutil.KubeVersion{Version: "v1.37.1", Major: "1", Minor: "37"},
		APIVersions: append(slices.Clone(chartutil.DefaultVersionSet),
			"monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1/GatewayClass", "policy/v1/PodDisruptionBudget"),
		HelmVersion: chartutil.DefaultCapabilities.HelmVersion,
	}
	options := chartutil.ReleaseOptions{Name: c.Name(), Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, given, options, capabilities)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Render(c, all)
	if err != nil {
		t.Fatal(err)
	}
	var documents []string
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(path, "NOTES.txt") {
			documents = append(documents, slices.Collect(maps.Values(releaseutil.SplitManifests(files[path])))...)
		}
	}
	for _, definition := range c.CRDObjects() {
		documents = append(documents, string(definition.File.Data))
	}
	var objects []*unstructured.Unstructured
	for _, document := range documents {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		if object.GetKind() != "" {
			objects = append(objects, object)
		}
	}
	return objects
}

func format(rules []rbacv1.PolicyRule) string {
	var b strings.Builder
	for _, r := range rules {
		fmt.Fprintf(&b, "  %v %v %v %v\n", r.APIGroups, r.Resources, r.ResourceNames, r.Verbs)
	}
	return b.String()
}
