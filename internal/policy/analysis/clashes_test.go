package analysis

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
)

// TestClashes wants policies of others named that have the place of one of ours in a tier, and no others.
func TestClashes(t *testing.T) {
	cluster := town()
	cluster.ClusterPolicies = []ClusterPolicy{
		{"z", "Admin", 10}, {"a", "Baseline", 990}, {"b", "Baseline", 10}, {"c", "Admin", 990}, {"d", "Admin", 11}, {"e", "Baseline", 600},
	}
	set := deny(cnp,
		policy.Rule{Name: "metadata", Direction: policy.Egress, Deny: true, Peers: []policy.Peer{{CIDR: policy.Metadata()[0]}}},
		policy.Rule{Name: "same", Direction: policy.Egress, Peers: []policy.Peer{{Namespaces: inNamespace("shop")}}},
	)
	want := []ClusterPolicy{{"a", "Baseline", 990}, {"e", "Baseline", 600}, {"z", "Admin", 10}}
	for _, mode := range []networkstackv1alpha1.PolicyMode{networkstackv1alpha1.PolicyAudit, networkstackv1alpha1.PolicyEnforce} {
		set.Mode = mode
		if diff := cmp.Diff(want, Analyse(set, &cluster).Clashes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", mode, diff)
		}
	}
	set.API = calico
	if found := Analyse(set, &cluster).Clashes; len(found) > 0 {
		t.Errorf("with other kinds of policies: %v", found)
	}
}
