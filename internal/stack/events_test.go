package stack

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/plan"
	"github.com/networkstack/networkstack/test/eventlog"
)

// TestEventsAtOnce wants each component that is made in one pass told of, by what the operator records events with, and no event
// written again when there is nothing left to do.
func TestEventsAtOnce(t *testing.T) {
	log := eventlog.New(t)
	r := &Reconciler{Client: fake.NewClientBuilder().WithScheme(log.Scheme).Build(), Recorder: log.Recorder}
	stack := stackOf()
	stack.Name, stack.UID, stack.ResourceVersion = "cluster", "u", "1"
	names := []string{"coredns", "metallb", "traefik"}
	for _, name := range names {
		step := plan.Step{Name: name, Action: plan.Install, Wanted: &networkstackv1alpha1.NetworkComponentSpec{Type: "Addon"}}
		if err := r.create(t.Context(), stack, step); err != nil {
			t.Fatal(err)
		}
	}
	notes := log.Singles(t, len(names))
	for _, name := range names {
		if !strings.Contains(notes, "component "+name+" wanted") {
			t.Errorf("nothing is said of %s:\n%s", name, notes)
		}
	}
}
