package stack

import (
	"testing"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
)

func TestNotLookedAt(t *testing.T) {
	input := func(s *facts.Snapshot, edits ...func(*networkstackv1alpha1.NetworkStackSpec)) compose.Input {
		stack := &networkstackv1alpha1.NetworkStack{}
		stack.Spec.CNI.Type = networkstackv1alpha1.CNIFlannel
		for _, edit := range edits {
			edit(&stack.Spec)
		}
		return compose.Input{Stack: stack, Facts: s}
	}
	dns := func(s *networkstackv1alpha1.NetworkStackSpec) {
		s.DNS = &networkstackv1alpha1.DNSSpec{Type: networkstackv1alpha1.DNSCoreDNS}
	}
	mesh := func(s *networkstackv1alpha1.NetworkStackSpec) { s.Mesh = &networkstackv1alpha1.MeshSpec{} }
	plain, flannel := &facts.Snapshot{}, &facts.Snapshot{Installed: []facts.Installed{{Type: facts.InstalledFlannel}}}
	looked := &facts.Snapshot{Installed: []facts.Installed{{Type: facts.InstalledFlannel, Found: &facts.Found{}}}}
	with := func(in compose.Input) *compose.Input { return &in }
	for _, tc := range []struct {
		name string
		in   compose.Input
		last *compose.Input
		want bool
	}{
		{"nothing is needed", input(plain), nil, false},
		{"interfaces of nodes", input(&facts.Snapshot{NodeStatesPending: true}), nil, true},
		{"DNS, first time", input(plain, dns), nil, true},
		{"DNS, wanted for the first time", input(plain, dns), with(input(plain)), true},
		{"DNS, as before", input(plain, dns), with(input(plain, dns)), false},
		{"a mesh, first time", input(plain, mesh), with(input(plain)), true},
		{"a mesh, as before", input(plain, mesh), with(input(plain, mesh)), false},
		{"somebody's Flannel", input(flannel), with(input(flannel)), true},
		{"somebody's Flannel, looked at", input(looked), with(input(looked)), false},
	} {
		if got := notLookedAt(tc.in, tc.last); (got != "") != tc.want {
			t.Errorf("%s: %q", tc.name, got)
		}
	}
}
