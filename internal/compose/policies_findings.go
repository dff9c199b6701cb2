package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/internal/policy/analysis"
)

// Cuts answers what a set of policies would cut in the cluster, as far as it is known: no report while nobody has looked, and an error
// when nobody could the last time.
type Cuts func(set *policy.Set, known analysis.Known) (*analysis.Report, error)

// PolicyFindings are what is known of what the baselines cut.
type PolicyFindings struct {
	// Known says that it is known; else the rest means nothing, but for Admitted.
	Known bool
	analysis.Shown
	// Stuck says that what denies is held back until somebody does something about it.
	Stuck bool
	// Admitted is a digest of the baselines that may cut; empty when there are none.
	Admitted string
}

// shownFindings is how many findings the status has at most.
const shownFindings = 32

// judgePolicies holds the baselines against the cluster. What is dangerous holds back what denies, unless it is acknowledged, or these
// baselines were let through before: then a webhook that somebody adds must not open the cluster.
func (s *state) judgePolicies(in Input, releases []Release) *PolicyFindings {
	set := s.policies
	if set == nil || in.Cuts == nil || len(s.errs) > 0 {
		return nil
	}
	admitted := ""
	if was := in.Stack.Status.Policies; was != nil {
		admitted = was.Admitted
	}
	out := &PolicyFindings{}
	report, err := in.Cuts(set, s.knownOfPolicies(releases))
	if report != nil {
		out.Known, out.Shown = true, report.Show(set.Acknowledged, shownFindings)
		for _, name := range out.Unknown {
			if name == analysis.FindingDNS {
				continue // it lets the baselines through that cut DNS, whoever is covered
			}
			s.warn(rulePolicyAcknowledged, policiesPath.Child("acknowledgedFindings").Key(name), "no finding has this name: remove it")
		}
	}
	s.validatePriorities(set, report, admitted)
	if set.Mode != networkstackv1alpha1.PolicyEnforce {
		return out // the next enforcement is a first one again
	}
	digest := s.digestOfPolicies(set)
	if len(out.Dangerous) > 0 {
		s.warn(rulePolicyDangerous, policiesPath.Child("acknowledgedFindings"),
			"open these findings of status.policies, or acknowledge them: %s", strings.Join(firstOf(out.Dangerous), ", "))
	}
	if digest == admitted {
		out.Admitted = admitted
		return out
	}
	switch {
	case err != nil && report == nil:
		out.Stuck = true
		set.Held = "what would be cut is not known: " + err.Error()
	case report == nil:
		set.Held = "the cluster is being looked at for what would be cut"
	case len(out.Dangerous) > 0:
		out.Stuck = true
		set.Held = fmt.Sprintf("dangerous findings that are neither opened nor acknowledged (spec.policies.acknowledgedFindings): %d: %s",
			len(out.Dangerous), strings.Join(firstOf(out.Dangerous), ", "))
	default:
		out.Admitted = digest
		return out
	}
	if admitted != "" {
		set.Held = "what is cut stays as it was before the baselines changed: " + set.Held
	}
	out.Admitted = admitted
	return out
}

// validatePriorities refuses baselines that would share their place in a tier with a policy of somebody else's. Once they are let through,
// it is a remark: who writes such a policy then must not be able to hold up the whole stack.
func (s *state) validatePriorities(set *policy.Set, report *analysis.Report, admitted string) {
	if report == nil {
		return
	}
	for _, c := range report.Clashes {
		text := fmt.Sprintf("priority %d in tier %s is used by ClusterNetworkPolicy %q too, so that their order would be undefined: give that one another priority",
			c.Priority, c.Tier, c.Name)
		if set.Mode == networkstackv1alpha1.PolicyEnforce && s.digestOfPolicies(set) != admitted {
			s.refuse(rulePoliciesPriority, field.Invalid(policiesPath.Child("api"), set.API, text))
		} else {
			s.warn(rulePoliciesPriorityTaken, policiesPath.Child("api"), "%s", text)
		}
	}
}

// firstOf are the first of some names, and how many more there are.
func firstOf(names []string) []string {
	const most = 5
	if len(names) <= most {
		return names
	}
	return append(slices.Clone(names[:most]), fmt.Sprintf("and %d more", len(names)-most))
}

// digestOfPolicies tells baselines from others. What is derived is not in it: it follows the components, and opens what they need.
func (s *state) digestOfPolicies(set *policy.Set) string {
	p := s.spec.Policies
	text, err := json.Marshal([]any{set.API, p.Namespaces, p.Baselines})
	if err != nil {
		text = []byte(err.Error()) // of what came as JSON
	}
	sum := sha256.Sum256(text)
	const enough = 8
	return hex.EncodeToString(sum[:enough])
}

// knownOfPolicies is what the stack itself knows of the cluster.
func (s *state) knownOfPolicies(releases []Release) analysis.Known {
	var out analysis.Known
	for i := range s.nodes {
		out.Nodes = append(out.Nodes, s.nodes[i].InternalIPs...)
	}
	slices.SortFunc(out.Nodes, netip.Addr.Compare)
	if s.cachesDNS() && s.dns.local.IsValid() {
		out.DNSCache = []netip.Addr{s.dns.local}
	}
	for i := range releases {
		r := &releases[i]
		if strings.HasPrefix(r.Name, ingressPrefix) && !slices.Contains(out.IngressNamespaces, r.Spec.Namespace) {
			out.IngressNamespaces = append(out.IngressNamespaces, r.Spec.Namespace)
		}
	}
	slices.Sort(out.IngressNamespaces)
	cilium := s.spec.CNI.Cilium
	out.Gateway = s.cni == networkstackv1alpha1.CNICilium && cilium != nil && cilium.GatewayAPI == networkstackv1alpha1.Enabled ||
		slices.ContainsFunc(s.ingress, func(i ingress) bool { return i.Type == networkstackv1alpha1.IngressCilium })
	return out
}
