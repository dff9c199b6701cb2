package component

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/keys"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/test/eventlog"
)

// TestEventsAtOnce wants events of one moment told each by itself, by what the operator records events with: as a series they would
// have the text of the first alone, and be written once more, minutes later, when there is nothing left to do.
func TestEventsAtOnce(t *testing.T) {
	log := eventlog.New(t)
	r := &Reconciler{Recorder: log.Recorder}
	c := &networkstackv1alpha1.NetworkComponent{}
	c.Name, c.UID, c.ResourceVersion, c.Spec.Namespace = "cilium", "u", "1", "kube-system"
	r.tellOfSecrets(c, outcome{
		certificates: &certificates.Outcome{Changes: []certificates.Change{
			{Secret: "ca", Action: certificates.Create}, {Secret: "server", Action: certificates.Create}, {Secret: "client", Action: certificates.Create},
		}},
		keys: &keys.Outcome{Changes: []keys.Change{{Secret: "gossip", Action: keys.Create}, {Secret: "token", Action: keys.Create}}},
	})
	daemonSet := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "DaemonSet"}
	found := outcome{observed: true}
	for _, name := range []string{"agent", "envoy"} {
		found.findings = append(found.findings, release.Finding{Object: release.Object{GVK: daemonSet, Namespace: "kube-system", Name: name}, Missing: true})
	}
	r.report(&record{}, c, found)
	want := []string{"Secret ca:", "Secret server:", "Secret client:", "Secret gossip:", "Secret token:", "kube-system/agent", "kube-system/envoy"}
	notes := log.Singles(t, len(want))
	for _, text := range want {
		if !strings.Contains(notes, text) {
			t.Errorf("nothing is said of %s:\n%s", text, notes)
		}
	}
}
