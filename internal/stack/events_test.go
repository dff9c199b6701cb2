package stack

import (
	"context"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientset "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/plan"
)

// TestEventsAtOnce wants each component that is made in one pass told of, by what the operator records events with, and no event
// written again when there is nothing left to do.
func TestEventsAtOnce(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	recorded := clientset.NewClientset()
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: recorded.EventsV1()})
	defer broadcaster.Shutdown()
	if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := networkstackv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{Client: fake.NewClientBuilder().WithScheme(scheme).Build(), Recorder: broadcaster.NewRecorder(scheme, "networkstack")}
	stack := stackOf()
	stack.Name, stack.UID, stack.ResourceVersion = "cluster", "u", "1"
	names := []string{"coredns", "metallb", "traefik"}
	for _, name := range names {
		step := plan.Step{Name: name, Action: plan.Install, Wanted: &networkstackv1alpha1.NetworkComponentSpec{Type: "Addon"}}
		if err := r.create(ctx, stack, step); err != nil {
			t.Fatal(err)
		}
	}
	var list *eventsv1.EventList
	err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		var err error
		list, err = recorded.EventsV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) >= len(names), err
	})
	notes := ""
	for i := range list.Items {
		notes += list.Items[i].Note + "\n"
		if list.Items[i].Series != nil {
			t.Errorf("%q is a series of %d", list.Items[i].Note, list.Items[i].Series.Count)
		}
	}
	for _, name := range names {
		if err != nil || !strings.Contains(notes, "component "+name+" wanted") {
			t.Errorf("%v; nothing is said of %s:\n%s", err, name, notes)
		}
	}
}
