package stack

import (
	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/internal/policy/analysis"
)

// cuts is whom to ask what policies would cut. Where there are none, nobody looks at the cluster for them.
func (r *Reconciler) cuts(stack *networkstackv1alpha1.NetworkStack) compose.Cuts {
	if r.Survey == nil {
		return nil
	}
	if p := stack.Spec.Policies; p == nil || p.Mode == networkstackv1alpha1.PolicyOff {
		r.Survey.End()
	}
	return func(set *policy.Set, known analysis.Known) (*analysis.Report, error) {
		answer := r.Survey.Of(set, known)
		return answer.Report, answer.Err
	}
}

// heldBack says whether somebody has to do something before what denies is written.
func heldBack(s *scope) bool { return s.result.Findings != nil && s.result.Findings.Stuck }

// fillFindings shows what baseline policies cut. While that is not known, what was said stands.
func fillFindings(s *scope, out *networkstackv1alpha1.NetworkStackStatus) {
	if out.Policies == nil || s.result == nil || s.result.Policies == nil || s.result.Findings == nil {
		return
	}
	f := s.result.Findings
	out.Policies.Admitted = f.Admitted
	if !f.Known {
		return
	}
	const most = 1 << 30
	out.Policies.Findings = f.Findings
	out.Policies.FindingsTotal = int32(min(f.Total, most)) //nolint:gosec // bounded
	out.Policies.Dangerous = int32(min(len(f.Dangerous), most))
}
