package rbac_test

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/networkstack/networkstack/internal/baseline"
	"github.com/networkstack/networkstack/internal/exposure"
)

// policies is what writing baseline policies takes, and looking for what they could cut.
func policies() []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for _, r := range baseline.Resources() {
		rule := rbacv1.PolicyRule{
			APIGroups: []string{r.Group}, Resources: []string{r.Resource}, Verbs: []string{"get", "list", "watch", "create", "patch", "delete"},
		}
		out = append(out, rule)
		if r.Group == "projectcalico.org" && r.Resource != "tiers" {
			rule.Resources, rule.ResourceNames = []string{"tier." + r.Resource}, []string{"networkstack-admin.*", "networkstack-baseline.*"}
			out = append(out, rule)
		}
	}
	for _, r := range exposure.Resources {
		out = append(out, rbacv1.PolicyRule{APIGroups: []string{r.Group}, Resources: []string{r.Resource}, Verbs: []string{"list", "watch"}})
	}
	for _, r := range exposure.Lists {
		out = append(out, rbacv1.PolicyRule{APIGroups: []string{r.Group}, Resources: []string{r.Resource}, Verbs: []string{"list"}})
	}
	return out
}

// TestOperatorCanWritePolicies wants what baseline policies take without what is there for components, which may be trimmed.
func TestOperatorCanWritePolicies(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	if ok, missing := validation.Covers(append(rules[policiesRole], rules[operatorRole]...), policies()); !ok {
		t.Errorf("missing in policies_role.yaml:\n%s", format(missing))
	}
}

// TestPoliciesRoleIsNeeded fails on a permission in policies_role.yaml that no baseline policy takes.
func TestPoliciesRoleIsNeeded(t *testing.T) {
	t.Parallel()
	checkNeeded(t, installedRules(t), policiesRole, policies(), operatorRole)
}
