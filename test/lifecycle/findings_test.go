package lifecycle

import (
	"context"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
)

// holdBackPolicies has baseline policies find a webhook that they would cut: told in Audit, held back in Enforce, let through when it is
// acknowledged, and in force from then on.
func holdBackPolicies(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	ctx := t.Context()
	const guard, finding = "guard", "webhook/guard/guard/guard"
	own := metav1.ObjectMeta{Name: guard, Namespace: guard}
	path := admissionregistrationv1.SideEffectClassNone
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: guard, Labels: map[string]string{
			networkstackv1alpha1.BaselineLabel: networkstackv1alpha1.BaselineEnforced,
		}}},
		&corev1.Service{ObjectMeta: own, Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": guard}, Ports: []corev1.ServicePort{{Port: 443, TargetPort: intstr.FromInt32(9443)}},
		}},
		&admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: guard},
			Webhooks: []admissionregistrationv1.ValidatingWebhook{{
				Name: "guard.example.com", SideEffects: &path, AdmissionReviewVersions: []string{"v1"},
				ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: guard, Name: guard}},
				Rules: []admissionregistrationv1.RuleWithOperations{{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{"example.com"}, APIVersions: []string{"v1"}, Resources: []string{"widgets"}},
				}},
			}},
		},
	}
	for _, o := range objects {
		e.check(e.client.Create(ctx, o))
	}
	written := func() int {
		var list networkingv1.NetworkPolicyList
		e.check(e.client.List(ctx, &list, client.InNamespace(guard), client.HasLabels{policy.Label}))
		return len(list.Items)
	}
	seen := func(what string, want func(p *networkstackv1alpha1.PoliciesStatus) bool) *networkstackv1alpha1.NetworkStack {
		var s *networkstackv1alpha1.NetworkStack
		e.eventually(what, func(context.Context) (bool, string) {
			s = e.stack(stack.Name)
			p := s.Status.Policies
			return p != nil && s.Status.ObservedGeneration == s.Generation && want(p), toJSON(p)
		})
		return s
	}
	found := func(p *networkstackv1alpha1.PoliciesStatus) bool {
		return p.FindingsTotal == 1 && len(p.Findings) == 1 && p.Findings[0].Name == finding &&
			p.Findings[0].Severity == networkstackv1alpha1.SeverityDanger && strings.Contains(p.Findings[0].Message, "type: AllowFromAnywhere, ports: [{port: 9443}]")
	}
	stack.Spec.Policies = &networkstackv1alpha1.PoliciesSpec{
		Mode:      networkstackv1alpha1.PolicyAudit,
		Baselines: []networkstackv1alpha1.Baseline{{Name: "no-ingress", Type: networkstackv1alpha1.BaselineDefaultDenyIngress}},
	}
	e.apply(stack)
	seen("the finding in Audit", func(p *networkstackv1alpha1.PoliciesStatus) bool {
		return found(p) && p.Dangerous == 1 && p.Deny == networkstackv1alpha1.DenyAbsent
	})
	if n := written(); n != 0 {
		t.Errorf("Audit has written %d policies", n)
	}
	stack.Spec.Policies.Mode = networkstackv1alpha1.PolicyEnforce
	e.apply(stack)
	e.waitCondition(stack.Name, networkstackv1alpha1.ConditionReady, metav1.ConditionFalse, networkstackv1alpha1.ReasonPoliciesHeld)
	s := seen("the policies to be held back", func(p *networkstackv1alpha1.PoliciesStatus) bool {
		return found(p) && p.Dangerous == 1 && p.Deny == networkstackv1alpha1.DenyHeld && strings.Contains(p.Message, finding)
	})
	if !slices.ContainsFunc(s.Status.Warnings, func(w string) bool { return strings.Contains(w, "POLICIES-DANGEROUS") }) {
		t.Errorf("nothing warns of it: %v", s.Status.Warnings)
	}
	if n := written(); n != 0 {
		t.Errorf("%d policies are there that were to be held back", n)
	}
	stack.Spec.Policies.AcknowledgedFindings = []string{finding}
	e.apply(stack)
	seen("the policies to be in force", func(p *networkstackv1alpha1.PoliciesStatus) bool {
		return found(p) && p.Dangerous == 0 && p.Deny == networkstackv1alpha1.DenyEnforced && p.Admitted != ""
	})
	e.eventually("the policy of the namespace", func(context.Context) (bool, string) { return written() == 1, "" })
	e.waitReady(stack.Name)
	// What is in force stays so.
	stack.Spec.Policies.AcknowledgedFindings = nil
	e.apply(stack)
	seen("the finding to be dangerous again", func(p *networkstackv1alpha1.PoliciesStatus) bool {
		return found(p) && p.Dangerous == 1 && p.Deny == networkstackv1alpha1.DenyEnforced
	})
	e.waitReady(stack.Name)
	if n := written(); n != 1 {
		t.Errorf("%d policies are there, after a finding that was known", n)
	}
	stack.Spec.Policies = nil
	e.apply(stack)
	e.eventually("everything to be gone", func(context.Context) (bool, string) {
		p := e.stack(stack.Name).Status.Policies
		return p == nil && written() == 0, toJSON(p)
	})
	for _, o := range slices.Backward(objects) {
		e.check(e.client.Delete(ctx, o))
	}
}
