package rbac_test

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

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
	{"cni", "istio-system", `{profile: ambient, global: {platform: openshift}}`, istioVersions},
	{"ztunnel", "istio-system", `{profile: ambient, global: {platform: gke}}`, istioVersions},
	{"ztunnel", "istio-system", `{profile: ambient, global: {platform: openshift}}`, istioVersions},
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
	for _, c := range meshCharts {
		for _, version := range c.versions {
			needed = append(needed, manages(t, render(t, testcharts.Upstream(t, c.name, version), c.namespace, c.values))...)
		}
	}
	needed = append(needed, manages(t, render(t, testcharts.Embedded(t, "istio-resources"), "istio-system", ownMesh))...)
	checkNeeded(t, rules, meshRole, needed, operatorRole, componentsRole)
}
