package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/networkstack/networkstack/internal/facts"
)

// TestRunByCloud wants nothing to be installed, and what the cloud runs to be reported and relied on.
func TestRunByCloud(t *testing.T) {
	calico := facts.Installed{Type: facts.InstalledCalico, Namespace: "calico-system", Name: "calico-node"}
	for _, tc := range []struct {
		name          string
		in            Input
		plane, policy string
		reliesOn      []string
	}{
		{"AKS", azure(), "without eBPF", "none found", []string{"azure-cns", "azure-ip-masq-agent"}},
		{"AKS with Cilium", azure(there(ranBy("AKS", facts.InstalledCilium, "cilium"))), "Cilium", "Cilium", []string{"azure-cns", "azure-ip-masq-agent", "cilium"}},
		{"AKS with Calico", azure(there(calico)), "without eBPF", "Calico", []string{"azure-cns", "azure-ip-masq-agent", "calico-node"}},
		{"GKE", google(), "without eBPF", "none found", nil},
		{"GKE with Dataplane V2", google(there(anetd, netd)), "Cilium", "Cilium", []string{"anetd", "netd"}},
		{"GKE with Calico", google(there(netd, calico)), "without eBPF", "Calico", []string{"netd", "calico-node"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := accepted(t, tc.in)
			if len(r.Releases) > 0 {
				t.Errorf("to be installed: %v", r.Releases)
			}
			got := map[string]string{}
			for _, e := range r.Effective {
				got[e.Setting] = e.Value
			}
			if got["cni: data plane"] != tc.plane || got["cni: network policy"] != tc.policy {
				t.Errorf("data plane %q, network policy %q", got["cni: data plane"], got["cni: network policy"])
			}
			var names []string
			for _, i := range r.ReliesOn {
				names = append(names, i.Name)
			}
			if diff := cmp.Diff(tc.reliesOn, names); diff != "" {
				t.Errorf("relied on (-want +got):\n%s", diff)
			}
		})
	}
	if r := accepted(t, external()); len(r.ReliesOn) != 1 || r.ReliesOn[0].Type != facts.InstalledCalico {
		t.Errorf("External relies on %v", r.ReliesOn)
	}
	if r := accepted(t, cilium()); len(r.ReliesOn) > 0 {
		t.Errorf("what is installed here relies on %v", r.ReliesOn)
	}
}
