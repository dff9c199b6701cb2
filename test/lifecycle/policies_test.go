package lifecycle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/cli"
	"github.com/networkstack/networkstack/internal/policy"
)

const baselineName = "networkstack-baseline"

// isolated waits until a namespace has the baseline, or has none.
func (e *env) isolated(namespace string, wanted bool) {
	e.t.Helper()
	e.eventually(fmt.Sprintf("namespace %s to be isolated: %v", namespace, wanted), func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: baselineName}, &networkingv1.NetworkPolicy{})
		return client.IgnoreNotFound(err) == nil && (err == nil) == wanted, fmt.Sprint(err)
	})
}

// breakGlass annotates a stack; nil mends it.
func (e *env) breakGlass(name string, why any) {
	e.t.Helper()
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{networkstackv1alpha1.BreakGlassAnnotation: why}}})
	e.check(err)
	e.check(e.client.Patch(e.t.Context(), &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: name}},
		client.RawPatch(types.MergePatchType, data)))
}

// denial waits until a stack's status says what has become of what denies.
func (e *env) denial(name string, want networkstackv1alpha1.DenyState) *networkstackv1alpha1.NetworkStack {
	e.t.Helper()
	var s *networkstackv1alpha1.NetworkStack
	e.eventually("what denies to be "+string(want), func(context.Context) (bool, string) {
		s = e.stack(name)
		return s.Status.Policies != nil && s.Status.Policies.Deny == want, toJSON(s.Status.Policies)
	})
	return s
}

func (e *env) events(reason string, words ...string) {
	e.t.Helper()
	e.eventually("an event "+reason, func(ctx context.Context) (bool, string) {
		var list corev1.EventList
		if err := e.client.List(ctx, &list); err != nil {
			return false, err.Error()
		}
		for i := range list.Items {
			if said := list.Items[i].Message; list.Items[i].Reason == reason {
				missing := false
				for _, w := range words {
					missing = missing || !strings.Contains(said, w)
				}
				if !missing {
					return true, ""
				}
			}
		}
		return false, fmt.Sprintf("%d events", len(list.Items))
	})
}

// baselinePolicies covers a namespace, and breaks the glass in whatever state the stack is.
func baselinePolicies(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.check(e.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "shop", Labels: map[string]string{networkstackv1alpha1.BaselineLabel: networkstackv1alpha1.BaselineEnforced},
	}}))
	stack.Spec.CNI.NetworkPolicy = networkstackv1alpha1.Enabled
	stack.Spec.Policies = &networkstackv1alpha1.PoliciesSpec{
		Mode: networkstackv1alpha1.PolicyEnforce,
		Baselines: []networkstackv1alpha1.Baseline{
			{Name: "in", Type: networkstackv1alpha1.BaselineDefaultDenyIngress},
			{Name: "own", Type: networkstackv1alpha1.BaselineAllowSameNamespace},
		},
	}
	e.apply(stack)
	ready := e.waitReady(stack.Name)
	if p := ready.Status.Policies; p == nil || p.Deny != networkstackv1alpha1.DenyEnforced || p.Namespaces != 1 || p.Pending != 0 ||
		p.API != networkstackv1alpha1.PolicyAPINetworkPolicy || p.Message != "" {
		t.Errorf("status.policies: %s", toJSON(ready.Status.Policies))
	}
	e.isolated("shop", true)
	e.isolated("default", false)
	e.events(networkstackv1alpha1.ReasonPoliciesEnforced, "in 1 namespaces (NetworkPolicy)")
	e.told(ready.Status.Policies)

	e.breakGlass(stack.Name, "shop cannot reach its bank")
	e.isolated("shop", false)
	pulled := e.denial(stack.Name, networkstackv1alpha1.DenyPulled)
	c := meta.FindStatusCondition(pulled.Status.Conditions, networkstackv1alpha1.ConditionPoliciesPulled)
	if c == nil || c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, "shop cannot reach its bank") {
		t.Errorf("conditions: %s", toJSON(pulled.Status.Conditions))
	}
	e.events(networkstackv1alpha1.ReasonPoliciesPulled, "shop cannot reach its bank")
	// An operator that starts meanwhile leaves it so, and goes on when it is mended.
	e.process.Kill()
	e.startOperator()
	e.check(e.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "bank", Labels: map[string]string{networkstackv1alpha1.BaselineLabel: networkstackv1alpha1.BaselineEnforced},
	}}))
	e.breakGlass(stack.Name, nil)
	e.isolated("shop", true)
	e.isolated("bank", true)
	mended := e.denial(stack.Name, networkstackv1alpha1.DenyEnforced)
	if meta.FindStatusCondition(mended.Status.Conditions, networkstackv1alpha1.ConditionPoliciesPulled) != nil {
		t.Errorf("conditions: %s", toJSON(mended.Status.Conditions))
	}
	e.events(networkstackv1alpha1.ReasonPoliciesReturn)

	// It works when nothing else does.
	stack.Spec.Suspend = true
	e.apply(stack)
	e.waitCondition(stack.Name, networkstackv1alpha1.ConditionReady, metav1.ConditionFalse, networkstackv1alpha1.ReasonSuspended)
	e.breakGlass(stack.Name, "")
	e.isolated("shop", false)
	e.denial(stack.Name, networkstackv1alpha1.DenyPulled)
	e.breakGlass(stack.Name, nil)
	stack.Spec.Suspend = false
	mtu := stack.Spec.MTU
	stack.Spec.MTU = 9000
	e.apply(stack)
	e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	e.breakGlass(stack.Name, "refused")
	e.isolated("bank", false)
	e.breakGlass(stack.Name, nil)
	stack.Spec.MTU = mtu
	e.apply(stack)
	e.isolated("shop", true)
	e.isolated("bank", true)
	e.waitReady(stack.Name)
}

// told wants the plugin to tell of the stack's policies what its status tells.
func (e *env) told(status *networkstackv1alpha1.PoliciesStatus) {
	e.t.Helper()
	var out, errs bytes.Buffer
	code := cli.Run(e.t.Context(), cli.Options{
		Name: "kubectl-networkstack", Args: []string{"policies", "-o", "json", "--kubeconfig", e.admin}, Env: os.Getenv,
		In: strings.NewReader(""), Out: &out, Err: &errs,
	})
	var found struct {
		API        networkstackv1alpha1.PolicyAPI
		Namespaces int32
		Findings   []networkstackv1alpha1.PolicyFinding
	}
	e.check(json.Unmarshal(out.Bytes(), &found))
	if code != cli.ExitFine || found.API != status.API || found.Namespaces != status.Namespaces || len(found.Findings) != int(status.FindingsTotal) {
		e.t.Errorf("exit code %d: %s%s; the status has %s", code, &out, &errs, toJSON(status))
	}
}

// policiesOrphaned finds what an orphaned stack has left behind, after it was taken up again.
func policiesOrphaned(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.check(e.client.Delete(t.Context(), e.stack(stack.Name)))
	e.gone(&networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stack.Name}})
	var p networkingv1.NetworkPolicy
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: baselineName}, &p))
	if p.Labels[policy.Label] != "" {
		t.Errorf("labels %v", p.Labels)
	}
	e.apply(stack)
	e.waitReady(stack.Name)
	var again networkingv1.NetworkPolicy
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: baselineName}, &again))
	if again.UID != p.UID || again.Labels[policy.Label] != stack.Name {
		t.Errorf("uid %s, was %s; labels %v", again.UID, p.UID, again.Labels)
	}
}

// policiesGone finds nothing when the stack was deleted with all that it has.
func policiesGone(t *testing.T, e *env, _ *networkstackv1alpha1.NetworkStack) {
	for _, ns := range []string{"shop", "bank"} {
		err := e.client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: baselineName}, &networkingv1.NetworkPolicy{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("namespace %s: %v", ns, err)
		}
	}
}
