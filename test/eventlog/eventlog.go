// Package eventlog keeps the events that are recorded in a test, by what the operator records them with.
package eventlog

import (
	"context"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Log has the events of one recorder.
type Log struct {
	// Recorder to be given to what is tested.
	Recorder events.EventRecorder
	// Scheme knows the project's kinds alone.
	Scheme *runtime.Scheme
	client *fake.Clientset
}

// New starts a log that ends with the test.
func New(t *testing.T) *Log {
	t.Helper()
	l := &Log{Scheme: runtime.NewScheme(), client: fake.NewClientset()}
	if err := networkstackv1alpha1.AddToScheme(l.Scheme); err != nil {
		t.Fatal(err)
	}
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: l.client.EventsV1()})
	t.Cleanup(broadcaster.Shutdown)
	if err := broadcaster.StartRecordingToSinkWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Recorder = broadcaster.NewRecorder(l.Scheme, "networkstack")
	return l
}

// Singles waits for so many events and returns what they say, a line each. One that is a series fails the test: it has the text of the
// first alone, and is written once more, minutes later, when there is nothing left to do.
func (l *Log) Singles(t *testing.T, atLeast int) string {
	t.Helper()
	var list *eventsv1.EventList
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		var err error
		list, err = l.client.EventsV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) >= atLeast, err
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
	return notes
}
