package stack

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/plan"
	"github.com/networkstack/networkstack/internal/status"
)

// publish computes the status from everything found out and writes it when it changed.
func (r *Reconciler) publish(ctx context.Context, s *scope) (ctrl.Result, error) {
	latest, err := r.status.Latest(s.stack.UID, &s.stack.Status)
	if err != nil {
		return ctrl.Result{}, err
	}
	wanted := latest.DeepCopy()
	r.lookAtPolicies(s)
	fill(s, wanted)
	now := time.Now()
	counted, err := settlePolicies(latest, wanted, r.written[s.stack.UID], now)
	if err != nil {
		return ctrl.Result{}, err
	}
	tell, again, err := settlePools(s, latest, wanted, r.written[s.stack.UID], now)
	if err != nil {
		return ctrl.Result{}, err
	}
	changed, err := r.status.Write(ctx, s.stack, latest, wanted)
	if err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	r.announceCatalog(s, latest, wanted)
	if changed {
		r.written[s.stack.UID] = now
		r.announce(s.stack, latest, wanted)
		r.announceMTU(s.stack, latest, wanted)
		r.announcePools(s, tell)
		r.announcePolicies(s.stack, latest, wanted)
	}
	return ctrl.Result{RequeueAfter: sooner(s.requeueIn, sooner(again, counted))}, nil
}

// announce makes an event of every turn of Accepted and Ready.
func (r *Reconciler) announce(stack *networkstackv1alpha1.NetworkStack, before, after *networkstackv1alpha1.NetworkStackStatus) {
	said := ""
	for _, t := range []string{networkstackv1alpha1.ConditionAccepted, networkstackv1alpha1.ConditionReady} {
		was, is := meta.FindStatusCondition(before.Conditions, t), meta.FindStatusCondition(after.Conditions, t)
		if is == nil || was != nil && was.Status == is.Status && was.Reason == is.Reason || is.Reason == said {
			continue
		}
		said = is.Reason
		kind := "Normal"
		if is.Status != metav1.ConditionTrue && meta.IsStatusConditionTrue(after.Conditions, networkstackv1alpha1.ConditionStalled) {
			kind = "Warning"
		}
		r.event(stack, kind, is.Reason, t, "%s", shortened(is.Message))
	}
}

// shortened is as much of a text as an event may carry.
func shortened(text string) string {
	const limit = 1000
	if len(text) > limit {
		text = text[:limit-3] + "..."
	}
	return text
}

// announceMTU tells of an MTU that came out differently, for that rolls the CNI out on every node.
func (r *Reconciler) announceMTU(stack *networkstackv1alpha1.NetworkStack, before, after *networkstackv1alpha1.NetworkStackStatus) {
	was, is := effective(before, "spec.mtu"), effective(after, "spec.mtu")
	if was != nil && is != nil && was.Value != is.Value {
		r.event(stack, "Warning", networkstackv1alpha1.ReasonMTUChanged, "Compose",
			"the MTU of pods changes from %s to %s (%s): the CNI is rolled out on every node", was.Value, is.Value, is.Reason)
	}
}

func effective(s *networkstackv1alpha1.NetworkStackStatus, setting string) *networkstackv1alpha1.EffectiveSetting {
	for i := range s.Effective {
		if s.Effective[i].Setting == setting {
			return &s.Effective[i]
		}
	}
	return nil
}

// fill is pure: the status follows from the scope and the last status alone.
func fill(s *scope, out *networkstackv1alpha1.NetworkStackStatus) {
	generation := s.stack.Generation
	out.ObservedGeneration = generation
	out.Components = summaries(s)
	ready := 0
	for _, c := range out.Components {
		if c.Ready {
			ready++
		}
	}
	summary := &networkstackv1alpha1.StackSummary{Components: fmt.Sprintf("%d/%d", ready, len(out.Components))}
	if out.Summary != nil {
		summary.KubeProxy = out.Summary.KubeProxy
	}
	out.Summary = summary
	if s.facts != nil {
		out.Facts = facts.Report(facts.Pin(s.facts, s.stack.Spec.Cluster))
	}
	if s.result != nil {
		out.Warnings = lines(s.result.Warnings)
		if len(s.result.Errors) == 0 {
			out.Effective = s.result.Effective
			out.Summary.KubeProxy = string(s.result.KubeProxy)
		}
	}
	fillMesh(s, out)
	fillPolicies(s, out)
	fillFindings(s, out)
	fillConditions(s, out, ready)
	fillCatalog(s, out)
	fillDrifted(s, out)
}

func fillConditions(s *scope, out *networkstackv1alpha1.NetworkStackStatus, ready int) {
	conditions, generation := &out.Conditions, s.stack.Generation
	accepted := func(state metav1.ConditionStatus, reason, message string) {
		status.Set(conditions, generation, networkstackv1alpha1.ConditionAccepted, state, reason, message)
	}
	switch {
	case !s.stack.DeletionTimestamp.IsZero():
		status.Working(conditions, generation, networkstackv1alpha1.ReasonDeleting, deletionText(s))
	case s.conflict != "":
		message := strings.Join(lines(compose.Compose(compose.Input{Stack: s.stack, OtherStack: s.conflict}).Errors), "\n")
		accepted(metav1.ConditionFalse, networkstackv1alpha1.ReasonConflict, message)
		status.Stuck(conditions, generation, networkstackv1alpha1.ReasonConflict, message)
	case s.stack.Spec.Suspend:
		fillAccepted(s, accepted)
		status.Paused(conditions, generation, "suspended: nothing is installed, upgraded, corrected or removed")
	case s.factsErr != nil:
		status.Working(conditions, generation, networkstackv1alpha1.ReasonFactsUnavailable, s.factsErr.Error())
	case s.catalogUnknown():
		status.Stuck(conditions, generation, networkstackv1alpha1.ReasonCatalogInvalid, s.catalogText())
	case s.result == nil:
	case len(s.result.Errors) > 0:
		fillAccepted(s, accepted)
		status.Stuck(conditions, generation, networkstackv1alpha1.ReasonInvalid,
			"the spec is refused, and nothing was changed: "+errorText(s))
	default:
		fillAccepted(s, accepted)
		fillReady(s, out, ready)
	}
}

// fillAccepted says what the composition came to, if there was one.
func fillAccepted(s *scope, accepted func(state metav1.ConditionStatus, reason, message string)) {
	switch {
	case s.result == nil:
	case len(s.result.Errors) > 0:
		accepted(metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid, errorText(s))
	default:
		accepted(metav1.ConditionTrue, networkstackv1alpha1.ReasonAccepted, acceptedText(s))
	}
}

func fillReady(s *scope, out *networkstackv1alpha1.NetworkStackStatus, ready int) {
	conditions, generation := &out.Conditions, s.stack.Generation
	switch {
	case s.writeErr != nil:
		status.Working(conditions, generation, networkstackv1alpha1.ReasonProgressing, s.writeErr.Error())
		return
	case s.parkErr != nil:
		status.Working(conditions, generation, networkstackv1alpha1.ReasonProgressing, s.parkErr.Error())
		return
	}
	if s.clearing {
		status.Working(conditions, generation, networkstackv1alpha1.ReasonWaiting,
			"what cleaned up behind kube-proxy, or cleaned nodes, is removed, before a network can run there again")
		return
	}
	if s.held {
		status.Working(conditions, generation, networkstackv1alpha1.ReasonWaiting,
			"kube-proxy is brought back: the CNI goes on programming Services until it runs on every node")
		return
	}
	policiesMessage, policiesStuck := policiesOpen(s, out.Policies)
	var open, stalled, suspended []string
	for _, step := range s.steps {
		c := s.component(step.Name)
		switch {
		case step.Action == plan.Keep && c != nil && plan.Ready(c):
		case step.Wanted != nil && step.Wanted.Suspend:
			suspended = append(suspended, step.Name)
		case c != nil && meta.IsStatusConditionTrue(c.Status.Conditions, networkstackv1alpha1.ConditionStalled) &&
			c.Status.ObservedGeneration == c.Generation && step.Action == plan.Keep:
			stalled = append(stalled, step.Name+": "+readyMessage(c))
		default:
			open = append(open, stepText(step, c))
		}
	}
	switch {
	case len(stalled) > 0:
		status.Stuck(conditions, generation, networkstackv1alpha1.ReasonComponentFailed, strings.Join(append(stalled, open...), "; "))
	case len(open) > 0:
		status.Working(conditions, generation, networkstackv1alpha1.ReasonProgressing, strings.Join(open, "; "))
	case len(suspended) > 0:
		status.Paused(conditions, generation, "suspended: "+strings.Join(suspended, ", "))
	case len(unavailable(s)) > 0:
		status.Working(conditions, generation, networkstackv1alpha1.ReasonNotHealthy, strings.Join(unavailable(s), "; "))
	case s.parks() && !s.parked:
		status.Working(conditions, generation, networkstackv1alpha1.ReasonProgressing, "kube-proxy is about to be parked")
	case policiesMessage != "" && policiesStuck:
		status.Stuck(conditions, generation, networkstackv1alpha1.ReasonPoliciesHeld, policiesMessage)
	case policiesMessage != "":
		status.Working(conditions, generation, networkstackv1alpha1.ReasonProgressing, policiesMessage)
	default:
		status.Ready(conditions, generation, networkstackv1alpha1.ReasonReady, readyText(s, ready))
	}
}

// unavailable are the agents of others that the stack relies on and that are missing on a node. How many are missing is left
// out: nothing watches their progress.
func unavailable(s *scope) []string {
	var out []string
	if s.result == nil {
		return nil
	}
	for _, i := range s.result.ReliesOn {
		if i.Unavailable {
			out = append(out, fmt.Sprintf("%s, which is not managed here, is not available on every node", agentText(i)))
		}
	}
	return out
}

// agentText is "DaemonSet kube-system/anetd (GKE)".
func agentText(i facts.Installed) string {
	text := "DaemonSet " + i.Namespace + "/" + i.Name
	if i.Manager != "" {
		text += " (" + i.Manager + ")"
	}
	return text
}

func readyText(s *scope, ready int) string {
	var others []string
	if s.result != nil {
		for _, i := range s.result.ReliesOn {
			others = append(others, agentText(i))
		}
	}
	available := ""
	if len(others) > 0 {
		available = "; available is " + strings.Join(others, ", ")
	}
	if ready == 0 {
		return "nothing is to be installed: the network is managed elsewhere" + available
	}
	return fmt.Sprintf("%d of %d components are installed and healthy", ready, ready) + available
}

func stepText(step plan.Step, c *networkstackv1alpha1.NetworkComponent) string {
	if !step.Allowed() {
		return fmt.Sprintf("%s: %s waits for %s", step.Name, strings.ToLower(string(step.Action)), strings.Join(step.WaitingFor, ", "))
	}
	if step.Action == plan.Keep && c != nil {
		return step.Name + ": " + readyMessage(c)
	}
	return step.Name + ": " + map[plan.Action]string{
		plan.Install: "to be installed", plan.Upgrade: "to be changed", plan.Remove: "to be removed", plan.Keep: "not there yet",
	}[step.Action]
}

func readyMessage(c *networkstackv1alpha1.NetworkComponent) string {
	cond := meta.FindStatusCondition(c.Status.Conditions, networkstackv1alpha1.ConditionReady)
	if cond != nil && c.Status.ObservedGeneration == c.Generation {
		return cond.Message
	}
	return "about to start"
}

func summaries(s *scope) []networkstackv1alpha1.ComponentSummary {
	var out []networkstackv1alpha1.ComponentSummary
	seen := map[string]bool{}
	for _, step := range s.steps {
		seen[step.Name] = true
		line := networkstackv1alpha1.ComponentSummary{Name: step.Name, Stage: step.Stage, Phase: networkstackv1alpha1.PhasePending}
		if step.Wanted != nil {
			line.Type, line.WantedVersion = step.Wanted.Type, step.Wanted.Chart.Version
		}
		c := s.component(step.Name)
		summarise(&line, c)
		if step.Action != plan.Keep || c == nil {
			line.Ready, line.Message = false, strings.TrimPrefix(stepText(step, c), step.Name+": ")
		}
		out = append(out, line)
	}
	for i := range s.components {
		c := &s.components[i]
		if seen[c.Name] {
			continue
		}
		line := networkstackv1alpha1.ComponentSummary{Name: c.Name, Stage: c.Spec.Stage, WantedVersion: c.Spec.Chart.Version}
		summarise(&line, c)
		out = append(out, line)
	}
	slices.SortStableFunc(out, func(a, b networkstackv1alpha1.ComponentSummary) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func summarise(line *networkstackv1alpha1.ComponentSummary, c *networkstackv1alpha1.NetworkComponent) {
	if c == nil {
		return
	}
	line.Type = c.Spec.Type
	line.Phase, line.Ready, line.Message = c.Status.Phase, plan.Ready(c), readyMessage(c)
	if line.Phase == "" {
		line.Phase = networkstackv1alpha1.PhasePending
	}
	if c.Status.Release != nil {
		line.Version = c.Status.Release.ChartVersion
	}
	if c.Status.Drift != nil {
		line.DriftCount = c.Status.Drift.Count
		if recent := c.Status.Drift.Recent; len(recent) > 0 {
			line.LastDrift = fmt.Sprintf("%s, by %s", recent[0].Object, recent[0].Manager)
		}
	}
}

func fillDrifted(s *scope, out *networkstackv1alpha1.NetworkStackStatus) {
	var drifted, unknown []string
	for i := range s.components {
		c := &s.components[i]
		switch cond := meta.FindStatusCondition(c.Status.Conditions, networkstackv1alpha1.ConditionDrifted); {
		case cond == nil || cond.Status == metav1.ConditionUnknown:
			unknown = append(unknown, c.Name)
		case cond.Status == metav1.ConditionTrue && c.Status.Drift != nil:
			drifted = append(drifted, c.Name+": "+cond.Message)
		}
	}
	state, reason, message := metav1.ConditionFalse, networkstackv1alpha1.ReasonNoDrift, "no component has uncorrected drift"
	switch {
	case len(drifted) > 0:
		state, reason, message = metav1.ConditionTrue, networkstackv1alpha1.ReasonDriftDetected, strings.Join(drifted, "; ")
	case len(unknown) > 0:
		state, reason, message = metav1.ConditionUnknown, networkstackv1alpha1.ReasonProgressing,
			"not watched for drift at the moment: "+strings.Join(unknown, ", ")
	}
	status.Set(&out.Conditions, s.stack.Generation, networkstackv1alpha1.ConditionDrifted, state, reason, message)
	fillContested(s, out)
}

func fillContested(s *scope, out *networkstackv1alpha1.NetworkStackStatus) {
	var lines []string
	for i := range s.components {
		c := &s.components[i]
		if cond := meta.FindStatusCondition(c.Status.Conditions, networkstackv1alpha1.ConditionContested); cond != nil {
			lines = append(lines, c.Name+": "+cond.Message)
		}
	}
	if len(lines) == 0 {
		status.Clear(&out.Conditions, networkstackv1alpha1.ConditionContested)
		return
	}
	status.Set(&out.Conditions, s.stack.Generation, networkstackv1alpha1.ConditionContested, metav1.ConditionTrue,
		networkstackv1alpha1.ReasonDriftContested, strings.Join(lines, "\n"))
}

// errorText is every error, one a line.
func errorText(s *scope) string { return strings.Join(lines(s.result.Errors), "\n") }

// lines are findings as they are shown; nil when there is none.
func lines(findings []compose.Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.String())
	}
	return out
}

func acceptedText(s *scope) string {
	if n := len(s.result.Warnings); n > 0 {
		return fmt.Sprintf("the spec is valid on this cluster; remarks in status.warnings: %d", n)
	}
	return "the spec is valid on this cluster"
}

func deletionText(s *scope) string {
	switch {
	case s.stack.Spec.Suspend && s.stack.Spec.DeletionPolicy == networkstackv1alpha1.DeletionDelete:
		return "suspended: the components stay until spec.suspend is false"
	case s.cleaning != "":
		return s.cleaning
	case s.stack.Spec.DeletionPolicy == networkstackv1alpha1.DeletionDelete:
		return "components are being uninstalled: " + strings.Join(s.deleting, ", ")
	}
	return "components are being released; they keep running: " + strings.Join(s.deleting, ", ")
}
