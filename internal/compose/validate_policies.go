package compose

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/internal/policy/analysis"
)

// baselineFields says which fields are for a type of baseline.
var baselineFields = map[networkstackv1alpha1.BaselineType]struct{ namespaces, needsNamespaces, cidrs, ports, needsPorts bool }{
	networkstackv1alpha1.BaselineDefaultDenyIngress:  {},
	networkstackv1alpha1.BaselineDefaultDenyEgress:   {},
	networkstackv1alpha1.BaselineAllowDNS:            {},
	networkstackv1alpha1.BaselineAllowSameNamespace:  {ports: true},
	networkstackv1alpha1.BaselineAllowFromIngress:    {ports: true},
	networkstackv1alpha1.BaselineAllowFromMonitoring: {namespaces: true, ports: true},
	networkstackv1alpha1.BaselineAllowAPIServer:      {},
	networkstackv1alpha1.BaselineDenyCloudMetadata:   {},
	networkstackv1alpha1.BaselineAllowFromNamespaces: {namespaces: true, needsNamespaces: true, ports: true},
	networkstackv1alpha1.BaselineAllowToNamespaces:   {namespaces: true, needsNamespaces: true, ports: true},
	networkstackv1alpha1.BaselineAllowToCIDRs:        {cidrs: true, ports: true},
	networkstackv1alpha1.BaselineAllowFromAnywhere:   {ports: true, needsPorts: true},
}

// validatePolicies refuses what is wrong whatever the cluster is.
func (s *state) validatePolicies() {
	p := s.spec.Policies
	oneOf(s, policiesPath.Child("mode"), p.Mode,
		networkstackv1alpha1.PolicyOff, networkstackv1alpha1.PolicyAudit, networkstackv1alpha1.PolicyEnforce)
	optionalOneOf(s, policiesPath.Child("api"), p.API,
		networkstackv1alpha1.PolicyAPIClusterNetworkPolicy, networkstackv1alpha1.PolicyAPICilium,
		networkstackv1alpha1.PolicyAPICalico, networkstackv1alpha1.PolicyAPINetworkPolicy)
	if n := p.Namespaces; n != nil {
		at := policiesPath.Child("namespaces")
		optionalOneOf(s, at.Child("optOut"), n.OptOut, networkstackv1alpha1.OptOutAllowed, networkstackv1alpha1.OptOutForbidden)
		s.validateNamespaceSelector(at.Child("selector"), n.Selector)
		for i, name := range n.Exempt {
			if len(validation.IsDNS1123Label(name)) > 0 {
				s.refuse(rulePoliciesSelector, field.Invalid(at.Child("exempt").Index(i), name, "is no name of a namespace: correct it"))
			}
		}
	}
	names := map[string]bool{}
	denies := false
	for i := range p.Baselines {
		b := &p.Baselines[i]
		at := baselinesPath.Index(i)
		if len(validation.IsDNS1123Label(b.Name)) > 0 || len(b.Name) > 40 {
			s.refuse(rulePoliciesName, field.Invalid(at.Child("name"), b.Name, `is no name: use at most 40 lower-case letters, digits and "-"`))
		}
		if names[b.Name] {
			s.refuse(rulePoliciesName, duplicate(at.Child("name"), b.Name, "give each baseline a name of its own"))
		}
		names[b.Name] = true
		denies = denies || b.Type == networkstackv1alpha1.BaselineDenyCloudMetadata ||
			b.Type == networkstackv1alpha1.BaselineDefaultDenyIngress || b.Type == networkstackv1alpha1.BaselineDefaultDenyEgress
		s.validateBaseline(b, at)
	}
	if !denies {
		s.refuse(rulePoliciesNothing, field.Required(baselinesPath,
			"nothing is cut, so that there is nothing to open: add DefaultDenyIngress, DefaultDenyEgress or DenyCloudMetadata"))
	}
	opensDNS := s.managesDNS() || s.cachesDNS() || s.hasBaseline(networkstackv1alpha1.BaselineAllowDNS)
	if s.cuts(policy.Egress) && !opensDNS && !s.acknowledgesNoDNS() {
		s.refuse(rulePoliciesNoDNS, field.Required(baselinesPath,
			"covered pods could resolve no names: add AllowDNS, or the finding dns to acknowledgedFindings"))
	}
	if v, _ := lookup(s.userValues[cniPath.String()], "policyAuditMode"); v == true && p.Mode != networkstackv1alpha1.PolicyOff {
		s.refuse(rulePoliciesCiliumAudit, field.Forbidden(cniPath.Child("values"),
			"policyAuditMode has Cilium enforce no policy of anybody on any node: remove it, and use policies.mode Audit"))
	}
}

// acknowledgesNoDNS says whether it is wanted that covered pods resolve no names.
func (s *state) acknowledgesNoDNS() bool {
	return slices.Contains(s.spec.Policies.AcknowledgedFindings, analysis.FindingDNS)
}

// validateBaseline refuses fields that are not for the type, or that nothing can be made of.
func (s *state) validateBaseline(b *networkstackv1alpha1.Baseline, at *field.Path) {
	may, known := baselineFields[b.Type]
	if !known {
		types := []networkstackv1alpha1.BaselineType{}
		for t := range baselineFields {
			types = append(types, t)
		}
		slices.Sort(types)
		oneOf(s, at.Child("type"), b.Type, types...)
		return
	}
	refuse := func(name, why string) { s.refuse(rulePoliciesField, field.Forbidden(at.Child(name), why)) }
	switch {
	case b.Namespaces != nil && !may.namespaces:
		refuse("namespaces", "namespaces are for AllowFromNamespaces, AllowToNamespaces and AllowFromMonitoring: remove them")
	case b.Namespaces == nil && may.needsNamespaces:
		s.refuse(rulePoliciesField, field.Required(at.Child("namespaces"), "say which namespaces: an empty selector has all"))
	default:
		s.validateNamespaceSelector(at.Child("namespaces"), b.Namespaces)
	}
	switch {
	case len(b.CIDRs) > 0 && !may.cidrs:
		refuse("cidrs", "cidrs are for AllowToCIDRs: remove them")
	case len(b.CIDRs) == 0 && may.cidrs:
		s.refuse(rulePoliciesField, field.Required(at.Child("cidrs"), "AllowToCIDRs needs cidrs: say to which addresses"))
	}
	for i, text := range b.CIDRs {
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil || p.Addr().Is4In6():
			s.refuse(rulePoliciesCIDR, field.Invalid(at.Child("cidrs").Index(i), text, "is no range of addresses: write one such as 192.0.2.0/24"))
		case p != p.Masked():
			s.refuse(rulePoliciesCIDR, field.Invalid(at.Child("cidrs").Index(i), text,
				fmt.Sprintf("has bits beyond its length: write %s", p.Masked())))
		}
	}
	switch {
	case len(b.Ports) > 0 && !may.ports:
		refuse("ports", "the ports of this baseline are derived: remove them")
	case len(b.Ports) == 0 && may.needsPorts:
		s.refuse(rulePoliciesField, field.Required(at.Child("ports"), "AllowFromAnywhere needs ports: say which ones everybody may reach"))
	}
	for i, p := range b.Ports {
		path := at.Child("ports").Index(i)
		optionalOneOf(s, path.Child("protocol"), p.Protocol, "TCP", "UDP", "SCTP")
		if p.Port < 1 || p.Port > 65535 {
			s.refuse(rulePoliciesPort, field.Invalid(path.Child("port"), p.Port, "is no port: use 1 to 65535"))
		}
		if p.EndPort != 0 && (p.EndPort < p.Port || p.EndPort > 65535) {
			s.refuse(rulePoliciesPort, field.Invalid(path.Child("endPort"), p.EndPort, "ends no range that begins with port: use port to 65535"))
		}
	}
}

func (s *state) validateNamespaceSelector(path *field.Path, selector *metav1.LabelSelector) {
	if selector == nil {
		return
	}
	if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
		s.refuse(rulePoliciesSelector, field.Invalid(path, field.OmitValueType{}, fmt.Sprintf("is no selector (%v): correct it", err)))
	}
}

// validateExempt refuses a selector that asks by name for what is never covered. Labels are no such request: who may label a namespace
// must not be able to refuse a stack.
func (s *state) validateExempt(never []string) {
	n := s.spec.Policies.Namespaces
	if n == nil || n.Selector == nil {
		return
	}
	var asked []string
	if name, ok := n.Selector.MatchLabels[corev1.LabelMetadataName]; ok {
		asked = append(asked, name)
	}
	for _, e := range n.Selector.MatchExpressions {
		if e.Key == corev1.LabelMetadataName && e.Operator == metav1.LabelSelectorOpIn {
			asked = append(asked, e.Values...)
		}
	}
	for _, name := range asked {
		if slices.Contains(never, name) {
			s.refuse(rulePoliciesExempt, field.Invalid(policiesPath.Child("namespaces", "selector"), name,
				"this namespace is never covered, for it is the system's, the operator's or a component's, and denying it traffic would harm the cluster: remove it"))
		}
	}
}

// opens says in which directions a baseline opens something.
func opens(t networkstackv1alpha1.BaselineType) []policy.Direction {
	switch t {
	case networkstackv1alpha1.BaselineAllowFromIngress, networkstackv1alpha1.BaselineAllowFromMonitoring,
		networkstackv1alpha1.BaselineAllowFromNamespaces, networkstackv1alpha1.BaselineAllowFromAnywhere:
		return []policy.Direction{policy.Ingress}
	case networkstackv1alpha1.BaselineAllowDNS, networkstackv1alpha1.BaselineAllowAPIServer, networkstackv1alpha1.BaselineAllowToNamespaces,
		networkstackv1alpha1.BaselineAllowToCIDRs:
		return []policy.Direction{policy.Egress}
	case networkstackv1alpha1.BaselineAllowSameNamespace:
		return []policy.Direction{policy.Ingress, policy.Egress}
	default:
		return nil
	}
}

// validateSurroundings says what of the baselines comes to nothing, and what they cut that nobody wants cut.
func (s *state) validateSurroundings(around *policy.Surroundings) {
	p := s.spec.Policies
	for i := range p.Baselines {
		b := &p.Baselines[i]
		at := baselinesPath.Index(i)
		if directions := opens(b.Type); len(directions) > 0 && !slices.ContainsFunc(directions, s.cuts) {
			s.warn(rulePoliciesUnneeded, at, "has no effect, for nothing of that direction is cut: remove it, or add DefaultDeny%s", directions[0])
		}
		switch b.Type {
		case networkstackv1alpha1.BaselineAllowFromIngress:
			if len(around.Ingress) == 0 {
				s.warn(rulePoliciesNoIngress, at, "opens nothing, for the stack has no ingress controller: use AllowFromNamespaces for one of others")
			}
		case networkstackv1alpha1.BaselineAllowFromMonitoring:
			if b.Namespaces == nil && len(around.Monitoring) == 0 {
				s.refuse(rulePoliciesNoMonitoring, field.Required(at.Child("namespaces"),
					"no add-on of the stack has a Prometheus: say in which namespaces it is"))
			}
		case networkstackv1alpha1.BaselineAllowAPIServer:
			if len(around.APIServer) == 0 {
				s.refuse(rulePoliciesNoAPIServer, field.Invalid(at.Child("type"), b.Type,
					"the API server's addresses are not known: set cluster.apiServer to an IP address"))
			}
		default:
			// It needs nothing that may be missing.
		}
	}
	if p.Mode == networkstackv1alpha1.PolicyEnforce && (s.policiesBefore == "" || s.policiesBefore == networkstackv1alpha1.PolicyOff) {
		s.warn(rulePoliciesUntried, policiesPath.Child("mode"), "is Enforce without having been Audit: set Audit first, and read status.policies")
	}
	if s.hasBaseline(networkstackv1alpha1.BaselineDenyCloudMetadata) && s.facts.Cloud == facts.CloudGCP {
		s.warn(rulePoliciesIdentity, baselinesPath,
			"DenyCloudMetadata also cuts the way by which pods of GKE get their identity: leave namespaces with such pods out")
	}
	known := s.installsCNI() || s.facts.Has(facts.InstalledCilium) || s.facts.Has(facts.InstalledCalico)
	if !known && p.Mode != networkstackv1alpha1.PolicyOff {
		s.warn(rulePoliciesUnknown, policiesPath, "whether the network plugin enforces them is not known: try it with a pod")
	}
}

// validateGaps says what an API that was asked for cannot say.
func (s *state) validateGaps(api networkstackv1alpha1.PolicyAPI, rules []policy.Rule) {
	path := policiesPath.Child("api")
	seen := map[string]bool{}
	for _, g := range policy.Gaps(api, rules) {
		text := fmt.Sprintf("%s cannot say %s", api, g.What)
		if seen[text] {
			continue
		}
		seen[text] = true
		if g.Open {
			s.warn(rulePoliciesGap, path, "%s, so that this stays open (%s)", text, g.Source)
		} else {
			s.refuse(rulePoliciesUnsayable, field.Invalid(path, api,
				fmt.Sprintf("%s, so that %s cannot be opened: remove api", text, g.Source)))
		}
	}
}
