package stack

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/baseline"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/plan"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/internal/status"
)

// policyCountsPause is how long numbers of namespaces wait to be written, unless there is something else to write.
const policyCountsPause = time.Minute

// glassBroken passes changes of the annotation that has what denies removed.
func glassBroken() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		was, had := e.ObjectOld.GetAnnotations()[networkstackv1alpha1.BreakGlassAnnotation]
		is, has := e.ObjectNew.GetAnnotations()[networkstackv1alpha1.BreakGlassAnnotation]
		return had != has || was != is
	}}
}

// wantPolicies says what is wanted of baseline policies. Whether what denies is pulled is not decided here: that must not depend on
// whatever else the stack is about.
func (r *Reconciler) wantPolicies(s *scope) error {
	if r.Policies == nil {
		return nil
	}
	wish := baseline.Wish{Stack: s.stack.Name}
	if set := s.result.Policies; set != nil {
		compiled := policy.Compile(set)
		wish.Compiled = &compiled
		s.policiesWait = policiesWait(s)
		wish.Keep = set.Held != "" || s.policiesWait != ""
	}
	if err := r.Policies.Want(wish); err != nil {
		return fmt.Errorf("baseline policies: %w", err)
	}
	return nil
}

// policiesWait is what is waited for before anything is denied for the first time; empty for nothing. What is in force stays in force
// while the network is changed.
func policiesWait(s *scope) string {
	if was := s.stack.Status.Policies; was != nil && was.Deny == networkstackv1alpha1.DenyEnforced {
		return ""
	}
	var open []string
	for _, step := range s.steps {
		if step.Stage < compose.StagePlatform && step.Action != plan.Remove && !s.settled(step.Name) {
			open = append(open, step.Name)
		}
	}
	if len(open) > 0 {
		return "nothing is denied before the network is Ready: waits for " + strings.Join(open, ", ")
	}
	if missing := unavailable(s); len(missing) > 0 {
		return "nothing is denied before the network is Ready: " + strings.Join(missing, "; ")
	}
	return ""
}

// leavePolicies removes what is there of baseline policies, or has it stay for good, and says whether there is nothing left to look after.
func (r *Reconciler) leavePolicies(s *scope, how networkstackv1alpha1.DeletionPolicy) (bool, error) {
	if r.Policies == nil {
		return true, nil
	}
	err := r.Policies.Want(baseline.Wish{Stack: s.stack.Name, Release: how == networkstackv1alpha1.DeletionOrphan})
	if err != nil {
		return false, fmt.Errorf("baseline policies: %w", err)
	}
	left := r.Policies.State()
	if left.Known && left.Objects == 0 {
		return true, nil
	}
	// The writer wakes us.
	s.deleting = append(s.deleting, strings.TrimSuffix("baseline policies ("+left.Problem+")", " ()"))
	return false, nil
}

// fillPolicies shows baseline policies, but for what is found about them.
func fillPolicies(s *scope, out *networkstackv1alpha1.NetworkStackStatus) {
	why, pulled := baseline.Pulled(s.stack)
	fillPulled(s, out, why, pulled)
	if s.policies == nil || s.conflict != "" {
		return
	}
	known := s.result != nil && len(s.result.Errors) == 0
	switch {
	case known && s.result.Policies == nil:
		out.Policies = policiesLeft(out.Policies, *s.policies)
	case known:
		out.Policies = policiesOf(out.Policies, s.result.Policies, *s.policies, s.policiesWait)
	case out.Policies != nil && s.policies.Pulled && out.Policies.Mode == networkstackv1alpha1.PolicyEnforce:
		out.Policies.Deny, out.Policies.Message = networkstackv1alpha1.DenyPulled, pulledText(*s.policies)
	case out.Policies != nil && out.Policies.Deny == networkstackv1alpha1.DenyPulled && s.policies.Complete:
		out.Policies.Deny, out.Policies.Message = networkstackv1alpha1.DenyEnforced, ""
	}
}

// fillPulled says that the glass is broken, and why, for as long as it is.
func fillPulled(s *scope, out *networkstackv1alpha1.NetworkStackStatus, why string, pulled bool) {
	if !pulled {
		status.Clear(&out.Conditions, networkstackv1alpha1.ConditionPoliciesPulled)
		return
	}
	if why == "" {
		why = "no reason was given"
	}
	status.Set(&out.Conditions, s.stack.Generation, networkstackv1alpha1.ConditionPoliciesPulled, metav1.ConditionTrue,
		networkstackv1alpha1.ReasonBreakGlass, fmt.Sprintf("what denies traffic is removed until the annotation %s is: %s",
			networkstackv1alpha1.BreakGlassAnnotation, why))
}

func pulledText(there baseline.State) string {
	if there.Denying > 0 {
		return "what denies traffic is being removed"
	}
	return "what denies traffic is removed until the annotation " + networkstackv1alpha1.BreakGlassAnnotation + " is"
}

// policiesLeft is what to say where nothing is wanted; nil when nothing is there.
func policiesLeft(was *networkstackv1alpha1.PoliciesStatus, there baseline.State) *networkstackv1alpha1.PoliciesStatus {
	if !there.Known {
		return was
	}
	if there.Objects == 0 {
		return nil
	}
	out := &networkstackv1alpha1.PoliciesStatus{
		Mode: networkstackv1alpha1.PolicyOff, Deny: networkstackv1alpha1.DenyAbsent, Message: "what was written is being removed",
	}
	if there.Denying > 0 {
		out.Deny = networkstackv1alpha1.DenyEnforced
	}
	if there.Problem != "" {
		out.Message += ": " + shortened(there.Problem)
	}
	return out
}

// policiesOf is what to say of a set. Mere numbers are not in the message, so that it does not change with each of them.
func policiesOf(
	was *networkstackv1alpha1.PoliciesStatus, set *policy.Set, there baseline.State, wait string,
) *networkstackv1alpha1.PoliciesStatus {
	out := &networkstackv1alpha1.PoliciesStatus{}
	if was != nil {
		out = was.DeepCopy()
	}
	inForce := out.Deny == networkstackv1alpha1.DenyEnforced
	out.Mode, out.API = set.Mode, set.API
	const most = 1 << 30
	if there.Known {
		out.Namespaces = int32(min(there.Namespaces, most)) //nolint:gosec // bounded
		out.Pending = int32(min(there.Pending, most))       //nolint:gosec // bounded
	}
	out.Deny, out.Message = networkstackv1alpha1.DenyHeld, ""
	switch {
	case set.Mode != networkstackv1alpha1.PolicyEnforce:
		out.Deny = networkstackv1alpha1.DenyAbsent
	case there.Pulled:
		out.Deny, out.Message = networkstackv1alpha1.DenyPulled, pulledText(there)
	case set.Held != "":
		out.Message = set.Held
		if there.Denying > 0 || inForce && !there.Known {
			out.Deny = networkstackv1alpha1.DenyEnforced
		}
	case wait != "":
		out.Message = wait
	case inForce, there.Complete:
		out.Deny = networkstackv1alpha1.DenyEnforced
	default:
		out.Message = "nothing is denied in a namespace before what allows traffic is there, and not all are as they are wanted yet"
	}
	if there.Problem != "" {
		out.Message = strings.TrimPrefix(out.Message+"; "+shortened(there.Problem), "; ")
	}
	return out
}

// settlePolicies has mere numbers wait until the last status is policyCountsPause old, and says how long that is. It comes before all
// else that waits.
func settlePolicies(latest, wanted *networkstackv1alpha1.NetworkStackStatus, written, now time.Time) (time.Duration, error) {
	was, is := latest.Policies, wanted.Policies
	if was == nil || is == nil || was.Namespaces == is.Namespaces && was.Pending == is.Pending {
		return 0, nil
	}
	left := policyCountsPause - now.Sub(written)
	if left <= 0 {
		return 0, nil
	}
	wanted.Policies = is.DeepCopy()
	wanted.Policies.Namespaces, wanted.Policies.Pending = was.Namespaces, was.Pending
	alone, err := status.Same(latest, wanted)
	if err != nil || alone {
		return left, err
	}
	wanted.Policies = is
	return 0, nil
}

// policiesOpen says what baseline policies keep the stack from being Ready with, and whether a person has to do something about it.
func policiesOpen(s *scope, p *networkstackv1alpha1.PoliciesStatus) (message string, stuck bool) {
	switch {
	case s.policiesErr != nil:
		return s.policiesErr.Error(), false
	case p == nil || s.result == nil:
		return "", false
	case s.result.Policies == nil:
		return "baseline policies: " + p.Message, false
	case p.Deny == networkstackv1alpha1.DenyHeld:
		return "baseline policies are not in force: " + p.Message, heldBack(s)
	case s.result.Policies.Held != "" && p.Deny == networkstackv1alpha1.DenyEnforced:
		return "changed baseline policies are not in force: " + p.Message, heldBack(s)
	}
	return "", false
}

// announcePolicies makes events when policies come into force, and when the glass is broken and mended.
func (r *Reconciler) announcePolicies(stack *networkstackv1alpha1.NetworkStack, before, after *networkstackv1alpha1.NetworkStackStatus) {
	was := meta.FindStatusCondition(before.Conditions, networkstackv1alpha1.ConditionPoliciesPulled)
	is := meta.FindStatusCondition(after.Conditions, networkstackv1alpha1.ConditionPoliciesPulled)
	switch {
	case was == nil && is != nil:
		r.event(stack, "Warning", networkstackv1alpha1.ReasonPoliciesPulled, "Policies", "%s", shortened(is.Message))
	case was != nil && is == nil:
		r.event(stack, "Normal", networkstackv1alpha1.ReasonPoliciesReturn, "Policies",
			"the annotation %s is gone: what denies traffic is written again", networkstackv1alpha1.BreakGlassAnnotation)
	}
	p := after.Policies
	first := before.Policies == nil || !slices.Contains([]networkstackv1alpha1.DenyState{
		networkstackv1alpha1.DenyEnforced, networkstackv1alpha1.DenyPulled,
	}, before.Policies.Deny)
	if p != nil && p.Mode == networkstackv1alpha1.PolicyEnforce && p.Deny == networkstackv1alpha1.DenyEnforced && first {
		r.event(stack, "Normal", networkstackv1alpha1.ReasonPoliciesEnforced, "Policies",
			"baseline policies are in force in %d namespaces (%s)", p.Namespaces, p.API)
	}
}

// lookAtPolicies has what is told of policies be what there is now.
func (r *Reconciler) lookAtPolicies(s *scope) {
	if r.Policies != nil {
		there := r.Policies.State()
		s.policies = &there
	}
}
