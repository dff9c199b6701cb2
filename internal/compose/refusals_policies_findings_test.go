package compose

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/internal/policy/analysis"
)

// cutting answers that these are cut; names with an exclamation mark are dangerous.
func cutting(names ...string) func(*Input) {
	r := &analysis.Report{}
	for _, name := range names {
		f := analysis.Finding{Name: name, Severity: SeverityNotice}
		if plain, dangerous := strings.CutSuffix(name, "!"); dangerous {
			f.Name, f.Severity = plain, SeverityDanger
		}
		r.Findings = append(r.Findings, f)
	}
	return func(in *Input) {
		in.Cuts = func(*policy.Set, analysis.Known) (*analysis.Report, error) { return r, nil }
	}
}

// unknown answers that nobody has looked, or could.
func unknown(err error) func(*Input) {
	return func(in *Input) {
		in.Cuts = func(*policy.Set, analysis.Known) (*analysis.Report, error) { return nil, err }
	}
}

func acknowledged(names ...string) func(*Input) {
	return edited(func(p *PoliciesSpec) { p.AcknowledgedFindings = names })
}

func audited(in *Input) { in.Stack.Spec.Policies.Mode = PolicyAudit }

// letThrough has what is wanted now let through before.
func letThrough(in *Input) {
	once := *in
	cutting()(&once)
	in.Stack.Status.Policies = &PoliciesStatus{Mode: PolicyEnforce, Deny: DenyEnforced, Admitted: Compose(once).Findings.Admitted}
}

const dangerousA = "spec.policies.acknowledgedFindings: open these findings of status.policies, or acknowledge them: webhook/a [POLICIES-DANGEROUS]"

func cutFindings() []finding {
	all := baselines(noIngress, noEgress, dnsOpen)
	return []finding{
		{name: "policies that cut something dangerous", in: cilium(all, cutting("webhook/a!", "service/b")), warnings: []string{dangerousA}},
		{name: "policies that cut something dangerous, and did before", in: cilium(all, letThrough, cutting("webhook/a!")), warnings: []string{dangerousA}},
		{name: "policies that cut many things that are dangerous", in: cilium(all, cutting("a!", "b!", "c!", "d!", "e!", "f!", "g!")), warnings: []string{
			"spec.policies.acknowledgedFindings: open these findings of status.policies, or acknowledge them: a, b, c, d, e, and 2 more [POLICIES-DANGEROUS]",
		}},
		{name: "policies that cut what is acknowledged", in: cilium(all, cutting("webhook/a!"), acknowledged("webhook/a"))},
		{name: "policies that cut nothing dangerous", in: cilium(all, cutting("service/b"))},
		{name: "policies that would cut something dangerous", in: cilium(all, audited, cutting("webhook/a!"))},
		{name: "policies of which it is not known what they cut", in: cilium(all, unknown(nil))},
		{name: "policies whose place is taken", in: cilium(metadataAsClusterPolicies, clashing), errors: []string{
			`spec.policies.api: Invalid value: "ClusterNetworkPolicy": priority 10 in tier Admin is used by ClusterNetworkPolicy "x" too, so that their order would be undefined: give that one another priority [POLICIES-PRIORITY]`,
		}},
		{name: "policies whose place is taken, in Audit", in: cilium(metadataAsClusterPolicies, audited, clashing), warnings: []string{
			`spec.policies.api: priority 10 in tier Admin is used by ClusterNetworkPolicy "x" too, so that their order would be undefined: give that one another priority [POLICIES-PRIORITY-TAKEN]`,
		}},
		{name: "findings that nobody finds", in: cilium(all, cutting("a!"), acknowledged("a", "z", "b")), warnings: []string{
			"spec.policies.acknowledgedFindings[b]: no finding has this name: remove it [POLICIES-ACKNOWLEDGED]",
			"spec.policies.acknowledgedFindings[z]: no finding has this name: remove it [POLICIES-ACKNOWLEDGED]",
		}},
		{name: "findings that nobody finds, while nobody has looked", in: cilium(all, unknown(nil), acknowledged("a"))},
	}
}

// TestHeld wants what denies held back while it is not known what would be cut, and while that is dangerous; and neither what was let
// through before, nor anything of what cuts nothing.
func TestHeld(t *testing.T) {
	all := baselines(noIngress, noEgress, dnsOpen)
	changed := edited(func(p *PoliciesSpec) {
		p.Baselines = append(p.Baselines, Baseline{Name: "more", Type: BaselineAllowAPIServer})
	})
	elsewhere := edited(func(p *PoliciesSpec) { p.Namespaces = &PolicyNamespaces{Exempt: []string{"a"}} })
	const looking = "the cluster is being looked at for what would be cut"
	const changes = "what is cut stays as it was before the baselines changed: "
	const dangerous = "dangerous findings that are neither opened nor acknowledged (spec.policies.acknowledgedFindings): 1: a"
	for _, tc := range []struct {
		name  string
		in    Input
		held  string
		stuck bool
		// admitted says whether what is wanted is let through, and before whether only what was before is.
		admitted, before bool
	}{
		{"nobody looks", cilium(all), "", false, false, false},
		{"not known", cilium(all, unknown(nil)), looking, false, false, false},
		{"cannot be known", cilium(all, unknown(errors.New("reading pods: no"))), "what would be cut is not known: reading pods: no", true, false, false},
		{"not known, in Audit", cilium(all, audited, unknown(nil)), "", false, false, false},
		{"nothing is cut", cilium(all, cutting()), "", false, true, false},
		{"no harm is done", cilium(all, cutting("a")), "", false, true, false},
		{"dangerous", cilium(all, cutting("a!", "b")), dangerous, true, false, false},
		{"dangerous, and another one acknowledged", cilium(all, cutting("a!", "b!"), acknowledged("b")), dangerous, true, false, false},
		{"acknowledged", cilium(all, cutting("a!"), acknowledged("a")), "", false, true, false},
		{"dangerous, in Audit", cilium(all, audited, cutting("a!")), "", false, false, false},
		{"dangerous, in Audit, let through before", cilium(all, letThrough, audited, cutting("a!")), "", false, false, false},
		{"let through before, dangerous since", cilium(all, letThrough, cutting("a!")), "", false, true, false},
		{"let through before, not known after a restart", cilium(all, letThrough, unknown(nil)), "", false, true, false},
		{"let through before, no longer acknowledged", cilium(all, acknowledged("a"), letThrough, acknowledged(), cutting("a!")), "", false, true, false},
		{"changed, not known", cilium(all, letThrough, changed, unknown(nil)), changes + looking, false, false, true},
		{"changed, dangerous", cilium(all, letThrough, changed, cutting("a!")), changes + dangerous, true, false, true},
		{"changed, no harm", cilium(all, letThrough, changed, cutting()), "", false, true, false},
		{"other namespaces, dangerous", cilium(all, letThrough, elsewhere, cutting("a!")), changes + dangerous, true, false, true},
	} {
		was := ""
		if p := tc.in.Stack.Status.Policies; p != nil {
			was = p.Admitted
		}
		r := Compose(tc.in)
		if r.Policies == nil || r.Policies.Held != tc.held {
			t.Errorf("%s: held %+v", tc.name, r.Policies)
			continue
		}
		if tc.in.Cuts == nil {
			if r.Findings != nil {
				t.Errorf("%s: findings %+v", tc.name, r.Findings)
			}
			continue
		}
		f := r.Findings
		if f.Stuck != tc.stuck || (f.Admitted != "") != (tc.admitted || tc.before) || tc.before && f.Admitted != was {
			t.Errorf("%s: %+v", tc.name, f)
		}
	}
	if r := Compose(cilium(cutting("a!"))); r.Findings != nil {
		t.Error("findings of no policies")
	}
	if r := Compose(cilium(all, edited(func(p *PoliciesSpec) { p.Mode = PolicyOff }), cutting("a!"))); r.Findings != nil {
		t.Error("findings of policies that are off")
	}
}

// TestKnownOfPolicies wants what the stack knows of the cluster told to who asks.
func TestKnownOfPolicies(t *testing.T) {
	ask := func(in Input) (out analysis.Known) {
		in.Cuts = func(set *policy.Set, known analysis.Known) (*analysis.Report, error) {
			if set == nil || len(set.Rules) == 0 {
				t.Error("asked about nothing")
			}
			out = known
			return nil, nil
		}
		if r := Compose(in); len(r.Errors) > 0 {
			t.Fatal(r.Errors)
		}
		return out
	}
	all := baselines(noIngress, noEgress, dnsOpen)
	nodes := cluster(func(s *facts.Snapshot) {
		s.Nodes[0].InternalIPs = []netip.Addr{netip.MustParseAddr("192.0.2.77")}
	})
	known := ask(cilium(all, nodes))
	if !slices.Contains(known.Nodes, netip.MustParseAddr("192.0.2.77")) || len(known.DNSCache)+len(known.IngressNamespaces) > 0 || known.Gateway {
		t.Errorf("%+v", known)
	}
	ingress := spec(func(s *NetworkStackSpec) {
		s.Ingress = []IngressSpec{{Name: "public", Type: IngressTraefik}}
	})
	if known := ask(cilium(all, ingress)); len(known.IngressNamespaces) != 1 {
		t.Errorf("%+v", known)
	}
	gateways := spec(func(s *NetworkStackSpec) { s.Ingress = []IngressSpec{{Name: "public", Type: IngressCilium}} })
	if known := ask(cilium(all, mode(KubeProxyReplaced), gateways)); !known.Gateway {
		t.Errorf("%+v", known)
	}
}
