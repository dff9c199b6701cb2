package compose

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/internal/policy/analysis"
)

// clashing answers that somebody else's ClusterNetworkPolicy has a place that is needed.
func clashing(in *Input) {
	r := &analysis.Report{Clashes: []analysis.ClusterPolicy{{Name: "x", Tier: "Admin", Priority: 10}}}
	in.Cuts = func(*policy.Set, analysis.Known) (*analysis.Report, error) { return r, nil }
}

// metadataAsClusterPolicies are policies that are written as a ClusterNetworkPolicy in the Admin tier.
func metadataAsClusterPolicies(in *Input) {
	baselines(Baseline{Name: "metadata", Type: BaselineDenyCloudMetadata})(in)
	clusterPolicies(in)
	in.Stack.Spec.Policies.API = PolicyAPIClusterNetworkPolicy
}

// TestPolicyRows has a bad input for each thing that may be wrong about policies, with the rule that refuses it, or warns of it.
func TestPolicyRows(t *testing.T) {
	all := baselines(noIngress, noEgress, dnsOpen)
	forNamespace := func(name string) func(*Input) {
		return edited(func(p *PoliciesSpec) {
			p.Namespaces = &PolicyNamespaces{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: name}}}
		})
	}
	ingress := spec(func(s *NetworkStackSpec) { s.Ingress = []IngressSpec{{Name: "public", Type: IngressTraefik}} })
	for _, tc := range []struct {
		row              int
		what             string
		in               Input
		refused, remarks string
	}{
		{45, "AdminNetworkPolicies, and Calico comes", calico(cluster(func(s *facts.Snapshot) { s.AdminPolicies, s.AdminPolicyCount = true, 3 })), "CALICO-ADMIN-POLICIES", ""},
		{46, "a plugin that enforces nothing", flannel(all), "POLICIES-UNENFORCED", ""},
		{46, "another one", input(CNIKubenet, all), "POLICIES-UNENFORCED", ""},
		{47, "no way to DNS", cilium(baselines(noEgress)), "POLICIES-NO-DNS", ""},
		{47, "no way to DNS, acknowledged", cilium(baselines(noEgress), acknowledged("dns")), "", ""},
		{48, "the system", cilium(all, forNamespace("kube-system")), "POLICIES-EXEMPT", ""},
		{48, "the operator", cilium(all, forNamespace("own"), func(in *Input) { in.OperatorNamespace = "own" }), "POLICIES-EXEMPT", ""},
		{48, "an ingress controller", cilium(all, ingress, forNamespace("traefik")), "POLICIES-EXEMPT", ""},
		{48, "a mesh", cilium(all, spec(func(s *NetworkStackSpec) { s.Mesh = &MeshSpec{Type: MeshLinkerd} }), forNamespace("linkerd")), "POLICIES-EXEMPT", ""},
		{48, "OLM", cilium(all, forNamespace("operators")), "POLICIES-EXEMPT", ""},
		{49, "not tried before", cilium(all, func(in *Input) { in.Stack.Status.Policies = nil }), "", "POLICIES-UNTRIED"},
		{50, "Cilium's audit mode", cilium(all, values(object{"policyAuditMode": true})), "POLICIES-CILIUM-AUDIT", ""},
		{51, "a priority that is taken", cilium(metadataAsClusterPolicies, clashing), "POLICIES-PRIORITY", ""},
		{51, "a priority that is taken, in Audit", cilium(metadataAsClusterPolicies, audited, clashing), "", "POLICIES-PRIORITY-TAKEN"},
		{51, "a priority that was taken later", cilium(metadataAsClusterPolicies, letThrough, clashing), "", "POLICIES-PRIORITY-TAKEN"},
		{53, "no such kind", cilium(metadataAsClusterPolicies, cluster(func(s *facts.Snapshot) { s.ClusterPolicies = false })), "POLICIES-CLUSTER-API", ""},
		{53, "a plugin that ignores it", weave(all, edited(func(p *PoliciesSpec) { p.API = PolicyAPIClusterNetworkPolicy })), "POLICIES-CLUSTER-API", ""},
	} {
		t.Run(fmt.Sprintf("%d %s", tc.row, tc.what), func(t *testing.T) {
			r := Compose(tc.in)
			ids := func(list []Finding) (out []string) {
				for _, f := range list {
					out = append(out, f.Rule)
				}
				return out
			}
			refused, remarks := ids(r.Errors), ids(r.Warnings)
			if tc.refused == "" && len(refused) > 0 || tc.refused != "" && !slices.Contains(refused, tc.refused) {
				t.Errorf("refused by %v, want %q: %v", refused, tc.refused, messages(r.Errors))
			}
			if tc.remarks != "" && !slices.Contains(remarks, tc.remarks) {
				t.Errorf("warned of by %v, want %q", remarks, tc.remarks)
			}
		})
	}
	t.Run("51 52 what cannot be written", func(t *testing.T) { clusterPoliciesWithinLimits(t) })
}

// clusterPoliciesWithinLimits wants every ClusterNetworkPolicy to be one that the API takes, however much there is to say: nobody gives
// them priorities, domain names, or lists that are too long.
func clusterPoliciesWithinLimits(t *testing.T) {
	list := []Baseline{noIngress, noEgress, dnsOpen, {Name: "metadata", Type: BaselineDenyCloudMetadata}}
	var ports []PolicyPort
	for i := range int32(16) {
		ports = append(ports, PolicyPort{Port: 1000 + i}, PolicyPort{Port: 1000 + i, Protocol: "UDP"})
	}
	for i := range 28 {
		b := Baseline{Name: fmt.Sprintf("b%d", i), Type: BaselineAllowToCIDRs, Ports: ports}
		for k := range 25 {
			b.CIDRs = append(b.CIDRs, fmt.Sprintf("198.18.%d.%d/32", i, k))
		}
		list = append(list, b)
	}
	r := accepted(t, cilium(baselines(list...), clusterPolicies, edited(func(p *PoliciesSpec) { p.API = PolicyAPIClusterNetworkPolicy })))
	type rule struct {
		From, To  []map[string]any
		Protocols []any
	}
	taken := map[string]string{}
	objects := policy.Compile(r.Policies).Cluster
	if len(objects) < len(list)-1 {
		t.Fatalf("%d objects", len(objects))
	}
	for _, o := range objects {
		text, err := json.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		var p struct {
			Spec struct {
				Tier            string
				Priority        int
				Ingress, Egress []rule
			}
		}
		if err := json.Unmarshal(text, &p); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "domainNames") {
			t.Errorf("%s has domain names", o.GetName())
		}
		place := fmt.Sprintf("%s %d", p.Spec.Tier, p.Spec.Priority)
		if p.Spec.Priority < 0 || p.Spec.Priority > 1000 || taken[place] != "" {
			t.Errorf("%s has the place %s, which %q has", o.GetName(), place, taken[place])
		}
		taken[place] = o.GetName()
		for _, rules := range [][]rule{p.Spec.Ingress, p.Spec.Egress} {
			if len(rules) > 25 {
				t.Errorf("%s has %d rules", o.GetName(), len(rules))
			}
			for _, r := range rules {
				if len(r.From) > 25 || len(r.To) > 25 || len(r.Protocols) > 25 {
					t.Errorf("%s: too much in one rule: %d %d %d", o.GetName(), len(r.From), len(r.To), len(r.Protocols))
				}
			}
		}
	}
}
