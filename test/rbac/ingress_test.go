package rbac_test

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

// ingressCharts are those of ingress controllers, with values that turn on everything that the operator derives.
var ingressCharts = []struct{ name, version, values string }{
	{"ingress-nginx", "4.15.1", `controller: {metrics: {enabled: true, serviceMonitor: {enabled: true}}, replicaCount: 2, autoscaling: {enabled: true}, scope: {namespaceSelector: a}}`},
	{"ingress-nginx", "4.14.5", `controller: {metrics: {enabled: true}}`},
	{"nginx-ingress", "2.6.4", `
prometheus: {service: {create: true}, serviceMonitor: {create: true}}
controller: {podDisruptionBudget: {enabled: true, maxUnavailable: 1}, autoscaling: {enabled: true}}`},
	{"nginx-ingress", "2.5.3", `controller: {watchNamespace: a}`},
	{"traefik", "41.3.0", `
metrics: {prometheus: {serviceMonitor: {enabled: true}}}
autoscaling: {enabled: true, maxReplicas: 3}
podDisruptionBudget: {enabled: true, maxUnavailable: 1}
tlsStore: {default: {defaultCertificate: {secretName: a}}}`},
	{"traefik", "40.2.0", `{}`},
	{"kubernetes-ingress", "1.52.1", `controller: {serviceMonitor: {enabled: true}, autoscaling: {enabled: true}, PodDisruptionBudget: {enable: true, maxUnavailable: 1}}`},
	{"kubernetes-ingress", "1.51.1", `{}`},
	{"haproxy-ingress", "0.16.1", `
controller:
  ingressClassResource: {enabled: true}
  metrics: {enabled: true}
  serviceMonitor: {enabled: true}
  autoscaling: {enabled: true, minReplicas: 2, maxReplicas: 3}
  maxUnavailable: 1`},
	{"haproxy-ingress", "0.15.4", `{}`},
	{"gateway", "1.30.3", `{podDisruptionBudget: {maxUnavailable: 1}, autoscaling: {minReplicas: 2}}`},
	{"gateway-crds-helm", "v1.9.0", `{crds: {envoyGateway: {enabled: true}}}`},
	{"gateway-helm", "v1.8.3", `{crds: {enabled: false}}`},
	{"gateway-helm", "v1.9.0", `{crds: {enabled: false}}`},
	{"gateway-helm", "v1.9.0", `{crds: {enabled: false}, config: {envoyGateway: {provider: {kubernetes: {watch: {type: Namespaces, namespaces: [a]}}}}}}`},
}

func ingressObjects(t *testing.T, n int) []*unstructured.Unstructured {
	t.Helper()
	c := testcharts.Upstream(t, ingressCharts[n].name, ingressCharts[n].version)
	if c.Name() == "nginx-ingress" {
		c.Schema = nil // it refers to the network
	}
	return render(t, c, "ingress", ingressCharts[n].values)
}

func TestOperatorCanInstallIngress(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	for n, c := range ingressCharts {
		t.Run(c.name+" "+c.version, func(t *testing.T) {
			t.Parallel()
			checkRelease(t, rules.all(), ingressObjects(t, n))
		})
	}
}

// TestIngressRolesAreNeeded fails on a permission in ingress_role.yaml or ingress_haproxy_role.yaml that no chart asks for, and on
// one of the latter that another chart asks for as well.
func TestIngressRolesAreNeeded(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	var needed, haproxy []rbacv1.PolicyRule
	collect := func(objects []*unstructured.Unstructured) []rbacv1.PolicyRule {
		var out []rbacv1.PolicyRule
		for _, o := range objects {
			resource := resourceOf(o.GroupVersionKind())
			out = append(out, rbacv1.PolicyRule{
				APIGroups: []string{resource.Group}, Resources: []string{resource.Resource}, Verbs: []string{"get", "list", "watch", "create", "patch", "delete"},
			})
		}
		for _, r := range rolesOf(t, objects) {
			for _, rule := range r.rules {
				// A chart may name the objects, by the name of the release. The role cannot.
				rule.ResourceNames = nil
				out = append(out, rule)
			}
		}
		return out
	}
	for n, c := range ingressCharts {
		if c.name == "kubernetes-ingress" {
			haproxy = append(haproxy, collect(ingressObjects(t, n))...)
		} else {
			needed = append(needed, collect(ingressObjects(t, n))...)
		}
	}
	needed = append(needed, collect(render(t, testcharts.Embedded(t, "ingress-resources"), "ingress", ownValues["ingress-resources"]))...)
	if ok, excess := validation.Covers(slices.Concat(needed, haproxy), rules[ingressRole]); !ok {
		t.Errorf("no chart needs this, remove it from ingress_role.yaml:\n%s", format(excess))
	}
	if ok, excess := validation.Covers(haproxy, rules[haproxyRole]); !ok {
		t.Errorf("HAProxy's chart does not need this, remove it from ingress_haproxy_role.yaml:\n%s", format(excess))
	}
	for role, others := range map[string][]rbacv1.PolicyRule{
		ingressRole: slices.Concat(rules[operatorRole], rules[componentsRole]),
		haproxyRole: slices.Concat(rules[operatorRole], rules[componentsRole], rules[ingressRole]),
	} {
		for _, rule := range rules[role] {
			for _, part := range validation.BreakdownRule(rule) {
				if ok, _ := validation.Covers(others, []rbacv1.PolicyRule{part}); ok {
					t.Errorf("another role has this, too, remove it from that of %s: %s", role, part.String())
				}
			}
		}
	}
}

// TestOperatorCanReadFactsOfIngress wants the operator to see classes and injectors without what is there for components.
func TestOperatorCanReadFactsOfIngress(t *testing.T) {
	t.Parallel()
	resource := resourceOf(facts.Injector().GroupVersionKind())
	wanted := []rbacv1.PolicyRule{
		{APIGroups: []string{resource.Group}, Resources: []string{resource.Resource}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"ingressclasses"}, Verbs: []string{"list", "watch"}},
	}
	if ok, missing := validation.Covers(installedRules(t)[operatorRole], wanted); !ok {
		t.Errorf("missing in role.yaml:\n%s", format(missing))
	}
}
