package component

import (
	"context"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/keys"
	"github.com/networkstack/networkstack/internal/release"
)

// TestEventsAtOnce wants events of one moment told each by itself, by what the operator records events with: as a series they would
// have the text of the first alone, and be written once more, minutes later, when there is nothing left to do.
func TestEventsAtOnce(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	client := fake.NewClientset()
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	defer broadcaster.Shutdown()
	if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := networkstackv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{Recorder: broadcaster.NewRecorder(scheme, "networkstack")}
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
	var list *eventsv1.EventList
	err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		var err error
		list, err = client.EventsV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) >= len(want), err
	})
	notes := ""
	for i := range list.Items {
		e := &list.Items[i]
		notes += e.Note + "\n"
		if e.Series != nil {
			t.Errorf("%q is a series of %d", e.Note, e.Series.Count)
		}
	}
	if err != nil {
		t.Errorf("%v; there are\n%s", err, notes)
	}
	for _, text := range want {
		if !strings.Contains(notes, text) {
			t.Errorf("nothing is said of %s:\n%s", text, notes)
		}
	}
}
