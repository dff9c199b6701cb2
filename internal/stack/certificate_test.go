package stack

import (
	"testing"
	"time"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
)

// TestLookAtCertificate wants a first installation to wait for the certificate, for a second at most, and everything else to go on.
func TestLookAtCertificate(t *testing.T) {
	woken := make(chan struct{}, 10)
	// Nobody answers at this address, which is for documentation.
	endpoint := &networkstackv1alpha1.Endpoint{Host: "192.0.2.1", Port: 6443}
	stack := stackOf()
	stack.Spec.CNI.Type = networkstackv1alpha1.CNICilium
	stack.Spec.KubeProxy = &networkstackv1alpha1.KubeProxySpec{Mode: networkstackv1alpha1.KubeProxyReplaced}
	stack.Spec.Cluster = &networkstackv1alpha1.PinnedFacts{APIServer: endpoint}
	r := &Reconciler{Certificates: facts.NewCertificateWatch(func() { woken <- struct{}{} })}
	look := func(s *scope) bool {
		return r.lookAtCertificate(t.Context(), s, compose.Input{Stack: stack, Facts: &facts.Snapshot{}})
	}
	first := &scope{stack: stack}
	if !look(first) || first.requeueIn <= 0 || first.requeueIn > certificatePatience {
		t.Errorf("a first installation does not wait: %s", first.requeueIn)
	}
	if installed := (&scope{stack: stack, components: components{component("cilium", 0)}}); look(installed) || installed.requeueIn != 0 {
		t.Error("what is installed waits")
	}
	r.asked.hold.since = time.Now().Add(-certificatePatience)
	if look(&scope{stack: stack}) {
		t.Error("a first installation waits longer than it should")
	}
	// Nothing uses the address of the API server.
	stack.Spec.KubeProxy = nil
	if look(&scope{stack: stack}) {
		t.Error("an installation waits for what it does not use")
	}
}
