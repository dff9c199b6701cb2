package rbac_test

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/networkstack/networkstack/test/testcharts"
)

// meshChart is a chart of a mesh, with values that turn on what the operator is meant to carry.
type meshChart struct {
	name, namespace, values string
	versions                []string
}

var meshCharts = []meshChart{
	{"base", "istio-system", `{defaultRevision: ""}`, istioVersions},
	{"istiod", "istio-system", `{revision: a, profile: ambient, autoscaleEnabled: true, autoscaleMin: 2}`, istioVersions},
	{"cni", "istio-system", `{profile: ambient, global: {platform: gke}}`, istioVersions},
	{"ztunnel", "istio-system", `{profile: ambient, global: {platform: gke}}`, istioVersions},
	{"linkerd-crds", "linkerd", `{installGatewayAPI: false}`, linkerdVersions},
	{"linkerd-control-plane", "linkerd", linkerdRBACValues, linkerdVersions},
	{"linkerd2-cni", "linkerd-cni", `{repairController: {enabled: true}}`, linkerdVersions},
}

var (
	istioVersions   = []string{"1.29.6", "1.30.3"}
	linkerdVersions = []string{"2026.7.2", "2026.8.3"}
)

const linkerdRBACValues = `
identityTrustAnchorsPEM: x
identity: {issuer: {scheme: kubernetes.io/tls}}
disableHeartBeat: true
enablePodDisruptionBudget: true
proxyInjector: {externalSecret: true, caBundle: x}
profileValidator: {externalSecret: true, caBundle: x}
policyValidator: {externalSecret: true, caBundle: x}`

// ownMesh are the values of our own chart for Istio.
const ownMesh = `{revision: a, tag: default, mtls: STRICT, tracing: {provider: a, percent: 1}}`

func TestOperatorCanInstallMeshes(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	for _, c := range meshCharts {
		for _, version := range c.versions {
			t.Run(c.name+" "+version, func(t *testing.T) {
				t.Parallel()
				checkRelease(t, append(rules.all(), discovery), render(t, testcharts.Upstream(t, c.name, version), c.namespace, c.values))
			})
		}
	}
}

// TestMeshRoleIsNeeded fails on a permission in mesh_role.yaml that no chart of a mesh asks for.
func TestMeshRoleIsNeeded(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	var needed []rbacv1.PolicyRule
	grants := func(objects []*unstructured.Unstructured) {
		for _, object := range objects {
			resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
			needed = append(needed, rbacv1.PolicyRule{
				APIGroups: []string{resource.Group}, Resources: []string{resource.Resource},
				Verbs: []string{"get", "list", "watch", "create", "patch", "delete"},
			})
		}
		for _, r := range rolesOf(t, objects) {
			needed = append(needed, r.rules...)
		}
	}
	for _, c := range meshCharts {
		for _, version := range c.versions {
			grants(render(t, testcharts.Upstream(t, c.name, version), c.namespace, c.values))
		}
	}
	grants(render(t, testcharts.Embedded(t, "istio-resources"), "istio-system", ownMesh))
	if ok, excess := validation.Covers(needed, rules[meshRole]); !ok {
		t.Errorf("no chart of a mesh needs this, remove it from mesh_role.yaml:\n%s", format(excess))
	}
	for _, rule := range rules[meshRole] {
		for _, part := range validation.BreakdownRule(rule) {
			if ok, _ := validation.Covers(slices.Concat(rules[operatorRole], rules[componentsRole]), []rbacv1.PolicyRule{part}); ok {
				t.Errorf("another role has this, too, remove it from mesh_role.yaml: %s", part.String())
			}
		}
	}
}
