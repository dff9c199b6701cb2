package matrix_test

import (
	"testing"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
)

// TestCalicoObject gives the API server objects that it can judge without the operator. What it refuses, the operator
// refuses as well, without its help.
func TestCalicoObject(t *testing.T) {
	server := newStacks(t)
	good := func() *NetworkStack {
		return cell{settings{[]IPFamily{IPv4}, "", EncryptionNone, KubeProxyIPTables}, ""}.input().Stack
	}
	for _, tc := range []struct {
		name string
		edit func(*NetworkStackSpec)
		// field and text that the API server's answer has; none for what it takes.
		field, text string
	}{
		{"nothing", func(*NetworkStackSpec) {}, "", ""},
		{"everything of a pool", func(s *NetworkStackSpec) {
			p := &s.IPPools[0]
			p.BlockSizes, p.Encapsulation, p.BGPExport, p.Disabled = &BlockSizes{IPv4: new(int32(26))}, EncapsulationIPIP, Disabled, true
			p.OnRequest = true
			s.IPPools = append(s.IPPools, IPPool{Name: "other", CIDRs: []string{"10.245.0.0/16"}})
		}, "", ""},
		{"a pool that is not disabled, of another type", func(s *NetworkStackSpec) { s.CNI.Type, s.CNI.Calico = CNIFlannel, nil }, "", ""},
		{"block for another type", func(s *NetworkStackSpec) { s.CNI.Type, s.CNI.Calico = CNIFlannel, &CalicoSpec{} }, "spec.cni.calico", "set type to Calico"},
		{"pool settings for another type", func(s *NetworkStackSpec) {
			s.CNI.Type, s.IPPools[0].Encapsulation = CNICilium, EncapsulationVXLAN
		}, "spec.ipPools", "set cni.type to Calico"},
		{"pool on request for another type", func(s *NetworkStackSpec) { s.CNI.Type, s.IPPools[0].OnRequest = CNICilium, true }, "spec.ipPools", "set cni.type to Calico"},
		{"disabled pool for another type", func(s *NetworkStackSpec) { s.CNI.Type, s.IPPools[0].Disabled = CNICilium, true }, "spec.ipPools", "are for Calico"},
		{"node masks", func(s *NetworkStackSpec) { s.IPPools[0].NodeMaskSizes = &NodeMaskSizes{IPv4: new(int32(24))} }, "spec.ipPools", "use blockSizes"},
		{"block sizes", func(s *NetworkStackSpec) { s.IPPools[0].BlockSizes = &BlockSizes{IPv4: new(int32(18))} }, "spec.ipPools[0].blockSizes.ipv4", "20"},
		{"IPIP for another type", func(s *NetworkStackSpec) { s.CNI.Type, s.CNI.Encapsulation = CNIFlannel, EncapsulationIPIP }, "spec.cni.encapsulation", "are Calico's"},
		{"Geneve", func(s *NetworkStackSpec) { s.CNI.Encapsulation = EncapsulationGeneve }, "spec.cni.encapsulation", "Calico has no Geneve"},
		{"IPsec", func(s *NetworkStackSpec) { s.CNI.Encryption.Type = EncryptionIPsec }, "spec.cni.encryption.type", "Calico has no IPsec"},
		{"BPF beside kube-proxy", func(s *NetworkStackSpec) { s.CNI.Calico = &CalicoSpec{Dataplane: CalicoBPF} }, "spec.cni.calico.dataplane", "goes with kubeProxy.mode Replaced"},
		{"BPF beside nobody knows what", func(s *NetworkStackSpec) { s.KubeProxy, s.CNI.Calico = nil, &CalicoSpec{Dataplane: CalicoBPF} },
			"spec.cni.calico.dataplane", "goes with kubeProxy.mode Replaced"},
		{"kube-proxy replaced by nobody", func(s *NetworkStackSpec) {
			s.KubeProxy.Mode, s.CNI.Calico = KubeProxyReplaced, &CalicoSpec{Dataplane: CalicoNFTables}
		}, "spec.cni.calico.dataplane", "and with no other"},
		{"kube-proxy replaced by Flannel", func(s *NetworkStackSpec) { s.KubeProxy.Mode, s.CNI.Type = KubeProxyReplaced, CNIFlannel },
			"spec.kubeProxy.mode", "set cni.type to Cilium or Calico"},
		{"iptables beside nftables", func(s *NetworkStackSpec) {
			s.KubeProxy.Mode, s.CNI.Calico = KubeProxyNFTables, &CalicoSpec{Dataplane: CalicoIPTables}
		}, "spec.cni.calico.dataplane", "both use nftables, or neither"},
		{"nftables beside iptables", func(s *NetworkStackSpec) { s.CNI.Calico = &CalicoSpec{Dataplane: CalicoNFTables} },
			"spec.cni.calico.dataplane", "both use nftables, or neither"},
		{"nftables beside whatever there is", func(s *NetworkStackSpec) {
			s.KubeProxy, s.CNI.Calico = nil, &CalicoSpec{Dataplane: CalicoNFTables, BGP: Enabled}
		}, "", ""},
		{"an unknown data plane", func(s *NetworkStackSpec) { s.CNI.Calico = &CalicoSpec{Dataplane: "VPP"} }, "spec.cni.calico.dataplane", "VPP"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stack := good()
			tc.edit(&stack.Spec)
			if tc.text == "" {
				server.judgesAlike(t, stack)
				return
			}
			server.judgesAlike(t, stack, tc.field+":", tc.text)
		})
	}
}
