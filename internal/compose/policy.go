package compose

import (
	"fmt"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

var policyPath = cniPath.Child("networkPolicy")

// deriveNetworkPolicy settles whether NetworkPolicies are enforced.
func (s *state) deriveNetworkPolicy() {
	if !s.installsCNI() {
		return
	}
	s.networkPolicy = s.spec.CNI.NetworkPolicy
	if s.networkPolicy != "" {
		return
	}
	var reason string
	s.networkPolicy, reason = s.usualNetworkPolicy()
	s.note(policyPath, s.networkPolicy, "%s", reason)
}

// usualNetworkPolicy is what a network plugin does by itself, and by the values that the user gave its chart.
func (s *state) usualNetworkPolicy() (networkstackv1alpha1.Toggle, string) {
	user := s.userValues[cniPath.String()]
	switch s.cni {
	case networkstackv1alpha1.CNICilium:
		if v, _ := lookup(user, "policyEnforcementMode"); v == "never" {
			return networkstackv1alpha1.Disabled, "cni.values says policyEnforcementMode never"
		}
		if v, _ := lookup(user, "k8sNetworkPolicy.enabled"); v == false {
			return networkstackv1alpha1.Disabled, "cni.values says k8sNetworkPolicy.enabled false"
		}
		return networkstackv1alpha1.Enabled, "Cilium enforces them by itself"
	case networkstackv1alpha1.CNICalico:
		return networkstackv1alpha1.Enabled, "Calico always enforces them"
	case networkstackv1alpha1.CNIWeaveNet:
		return networkstackv1alpha1.Enabled, "Weave Net enforces them by itself"
	case networkstackv1alpha1.CNIFlannel:
		if v, _ := lookup(user, "netpol.enabled"); v == true {
			return networkstackv1alpha1.Enabled, "cni.values says netpol.enabled"
		}
		return networkstackv1alpha1.Disabled, "Flannel ignores them; Enabled adds a container to its agents that enforces them"
	default:
		return networkstackv1alpha1.Disabled, "the plugin does not enforce them by itself"
	}
}

// ignoresPolicies says whether NetworkPolicies have no effect.
func (s *state) ignoresPolicies() bool {
	return s.installsCNI() && s.networkPolicy == networkstackv1alpha1.Disabled && !slices.ContainsFunc(s.facts.Installed, s.besideAWSVPC)
}

// IgnoresPolicies says whether the stack leaves NetworkPolicies without effect, so that it matters whether there are any.
func IgnoresPolicies(in Input) bool {
	s := newState(in, true)
	s.validateComponentSettings()
	s.deriveType()
	s.deriveNetworkPolicy()
	return s.ignoresPolicies()
}

// IgnoresAdminPolicies says whether the stack has a network plugin that ignores AdminNetworkPolicies in a cluster that has the kind, so
// that it matters how many there are.
func IgnoresAdminPolicies(in Input) bool {
	s := newState(in, true)
	s.deriveType()
	return s.cni == networkstackv1alpha1.CNICalico && in.Facts.AdminPolicies
}

// validateAdminPolicies refuses to bring a Calico that ignores policies which somebody relies on. Once it is there they have no effect,
// and refusing the rest of the stack would not give them any.
func (s *state) validateAdminPolicies() {
	n := s.facts.AdminPolicyCount
	if n == 0 {
		return
	}
	text := fmt.Sprintf("AdminNetworkPolicies and BaselineAdminNetworkPolicies, of which there are %s, ", counted(n, facts.ManyPolicies))
	const remedy = "convert them to ClusterNetworkPolicies, and delete them"
	if _, ours := s.existing[nameCalico]; ours {
		s.warn(ruleCalicoAdminPoliciesIgnored, cniPath.Child("type"), "%sare not enforced by Calico: %s", text, remedy)
		return
	}
	s.refuse(ruleCalicoAdminPolicies, field.Invalid(cniPath.Child("type"), s.cni,
		text+"would silently stop being enforced, because Calico ignores them since 3.32: "+remedy))
}

// counted is a count that ends at most.
func counted(count, most int) string {
	if count >= most {
		return strconv.Itoa(count) + " or more"
	}
	return strconv.Itoa(count)
}

// validateNetworkPolicy refuses what a network plugin cannot do.
func (s *state) validateNetworkPolicy() {
	if n := s.facts.NetworkPolicies; n > 0 && s.ignoresPolicies() {
		s.warn(rulePolicyIgnored, policyPath, "nothing enforces the NetworkPolicies of the cluster, of which there are %s: set it to Enabled, or delete them",
			counted(n, facts.ManyPolicies))
	}
	if s.cni == networkstackv1alpha1.CNICalico && s.spec.CNI.NetworkPolicy == networkstackv1alpha1.Disabled {
		s.refuse(rulePolicyCalico, field.Invalid(policyPath, s.spec.CNI.NetworkPolicy,
			"Calico always enforces NetworkPolicies: remove it, or use another type"))
	}
}

// policyValues puts the wanted enforcement where a chart reads it. What the user leaves out stays with the charts of Flannel and
// Cilium, whose values may say it, too.
func (s *state) policyValues(b *valuesBuilder) {
	by, on := policyPath.String(), s.networkPolicy == networkstackv1alpha1.Enabled
	const reason = "networkPolicy is %s"
	left := s.spec.CNI.NetworkPolicy == ""
	switch s.cni {
	case networkstackv1alpha1.CNIAWSVPC:
		b.control("enableNetworkPolicy", by, strconv.FormatBool(on), reason, s.networkPolicy)
	case networkstackv1alpha1.CNIWeaveNet:
		b.control("npc.enabled", by, on, reason, s.networkPolicy)
	case networkstackv1alpha1.CNIFlannel:
		if !left {
			b.control("netpol.enabled", by, on, reason, s.networkPolicy)
		}
	case networkstackv1alpha1.CNICilium:
		if left {
			return
		}
		mode := "never"
		if on {
			mode = "default"
		}
		b.control("policyEnforcementMode", by, mode, reason, s.networkPolicy)
		b.control("k8sNetworkPolicy.enabled", by, on, reason, s.networkPolicy)
	default:
		// Calico has nothing to set.
	}
}
