package rbac_test

import (
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/release"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/networkstack/networkstack/test/testcharts"
)

// consulVersions are the archives that the tests want of Consul, and consulValues turn on all that the operator is meant to carry.
var consulVersions = []string{"2.0.2", "2.0.3"}

const consulValues = `
global:
  name: consul
  gossipEncryption: {secretName: x, secretKey: key}
  tls: {enabled: true, caCert: {secretName: x, secretKey: ca.crt}}
  acls: {manageSystemACLs: true, bootstrapToken: {secretName: x, secretKey: token}}
server: {replicas: 3, serverCert: {secretName: x}}
connectInject: {cni: {enabled: true, multus: true}, apiGateway: {manageExternalCRDs: false}}`

// ownConsul are the values of our own chart for Consul.
const ownConsul = `{mtls: permissive, config: {a: b}}`

// consulObjects are those of Consul's chart, but for the tests that nobody has run.
func consulObjects(t *testing.T, version string) []*unstructured.Unstructured {
	t.Helper()
	objects := render(t, testcharts.Upstream(t, "consul", version), "consul", consulValues)
	return slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		return strings.HasPrefix(o.GetAnnotations()[release.HookAnnotation], "test")
	})
}

func TestOperatorCanInstallConsul(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	for _, version := range consulVersions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			checkRelease(t, append(rules.all(), discovery), consulObjects(t, version))
		})
	}
}

// TestConsulRoleIsNeeded fails on a permission in consul_role.yaml that neither chart asks for, and on one that another role has.
func TestConsulRoleIsNeeded(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	var needed []rbacv1.PolicyRule
	for _, version := range consulVersions {
		needed = append(needed, manages(t, consulObjects(t, version))...)
	}
	needed = append(needed, manages(t, render(t, testcharts.Embedded(t, "consul-resources"), "consul", ownConsul))...)
	checkNeeded(t, rules, consulRole, needed, operatorRole, componentsRole, meshRole)
}
