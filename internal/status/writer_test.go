package status

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

type componentStatus = networkstackv1alpha1.NetworkComponentStatus

// server is an API server with one component; it notes every patch of its status, and refuses them when told to.
type server struct {
	client.Client
	patches []string
	refuse  error
	// late has it refuse only after it has done what it was asked for, as when the answer is lost on its way.
	late bool
}

func newServer(t *testing.T) (*server, *networkstackv1alpha1.NetworkComponent) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := networkstackv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := &networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "cilium", UID: "1"}}
	c.Status = componentStatus{ObservedGeneration: 1, Phase: networkstackv1alpha1.PhasePending, Failures: 2}
	s := &server{}
	s.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(c).WithStatusSubresource(c).WithInterceptorFuncs(interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			data, err := patch.Data(obj)
			if err != nil {
				return err
			}
			s.patches = append(s.patches, sub+" "+string(data))
			if s.refuse != nil && !s.late {
				return s.refuse
			}
			return errors.Join(c.SubResource(sub).Patch(ctx, obj, patch, opts...), s.refuse)
		},
	}).Build()
	return s, s.read(t)
}

func (s *server) read(t *testing.T) *networkstackv1alpha1.NetworkComponent {
	t.Helper()
	var c networkstackv1alpha1.NetworkComponent
	if err := s.Get(t.Context(), client.ObjectKey{Name: "cilium"}, &c); err != nil {
		t.Fatal(err)
	}
	return &c
}

// write does what a reconciler does: it takes the latest status, changes it, and writes it.
func write(t *testing.T, w *Writer[componentStatus], seen *networkstackv1alpha1.NetworkComponent, change func(*componentStatus)) (bool, error) {
	t.Helper()
	latest, err := w.Latest(seen.UID, &seen.Status)
	if err != nil {
		t.Fatal(err)
	}
	wanted := latest.DeepCopy()
	change(wanted)
	return w.Write(t.Context(), seen, latest, wanted)
}

func mustWrite(t *testing.T, w *Writer[componentStatus], seen *networkstackv1alpha1.NetworkComponent, change func(*componentStatus)) {
	t.Helper()
	if wrote, err := write(t, w, seen, change); err != nil || !wrote {
		t.Fatalf("wrote: %v, %v", wrote, err)
	}
}

func TestWritePatch(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*componentStatus)
		want   []string
	}{
		{"nothing", func(*componentStatus) {}, nil},
		{"the same value", func(s *componentStatus) { s.Phase = networkstackv1alpha1.PhasePending }, nil},
		// An empty list and none are written alike, so there is nothing to write.
		{"an empty list for none", func(s *componentStatus) { s.Conditions = []metav1.Condition{} }, nil},
		{"one field", func(s *componentStatus) { s.Phase = networkstackv1alpha1.PhaseReady }, []string{`status {"status":{"phase":"Ready"}}`}},
		{"a field removed", func(s *componentStatus) { s.Failures = 0 }, []string{`status {"status":{"failures":null}}`}},
		{"a field inside", func(s *componentStatus) {
			s.Release = &networkstackv1alpha1.ReleaseStatus{Revision: 1}
			s.Failures = 3
		}, []string{`status {"status":{"failures":3,"release":{"revision":1}}}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, c := newServer(t)
			w := NewWriter[componentStatus](s)
			before := c.DeepCopy()
			wrote, err := write(t, w, c, tc.change)
			if err != nil || wrote != (tc.want != nil) {
				t.Errorf("wrote: %v, %v", wrote, err)
			}
			if diff := cmp.Diff(tc.want, s.patches); diff != "" {
				t.Errorf("patches (-want +got):\n%s", diff)
			}
			// The object comes from a cache that others read.
			if diff := cmp.Diff(before, c); diff != "" {
				t.Errorf("the object was changed (-want +got):\n%s", diff)
			}
			want := before.Status
			tc.change(&want)
			if diff := cmp.Diff(mustJSON(t, want), mustJSON(t, s.read(t).Status)); diff != "" {
				t.Errorf("the server's status (-want +got):\n%s", diff)
			}
		})
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestStaleCache writes while the cache still shows the status of the beginning.
func TestStaleCache(t *testing.T) {
	s, stale := newServer(t)
	w := NewWriter[componentStatus](s)
	ready := func(st *componentStatus) { st.Phase = networkstackv1alpha1.PhaseReady }

	mustWrite(t, w, stale, ready)
	if wrote, err := write(t, w, stale, ready); err != nil || wrote {
		t.Errorf("the same was written again: %v, %v", wrote, err)
	}
	// Back to what the cache shows: by the cache there would be nothing to write, and the server would stay at Ready.
	mustWrite(t, w, stale, func(st *componentStatus) { st.Phase = networkstackv1alpha1.PhasePending })
	// What an earlier write did is part of the next one's beginning.
	mustWrite(t, w, stale, func(st *componentStatus) { st.Failures++ })
	mustWrite(t, w, stale, func(st *componentStatus) { st.Failures++ })

	want := []string{`status {"status":{"phase":"Ready"}}`, `status {"status":{"phase":"Pending"}}`, `status {"status":{"failures":3}}`, `status {"status":{"failures":4}}`}
	if diff := cmp.Diff(want, s.patches); diff != "" {
		t.Errorf("patches (-want +got):\n%s", diff)
	}
	if got := s.read(t).Status; got.Failures != 4 || got.Phase != networkstackv1alpha1.PhasePending {
		t.Errorf("the server's status: %+v", got)
	}
}

// TestLatestIsTheCallers because reconcilers change it before they know whether it is written.
func TestLatestIsTheCallers(t *testing.T) {
	s, c := newServer(t)
	w := NewWriter[componentStatus](s)
	for range 2 {
		latest, err := w.Latest(c.UID, &c.Status)
		if err != nil {
			t.Fatal(err)
		}
		latest.Phase = networkstackv1alpha1.PhaseFailed
		again, err := w.Latest(c.UID, &c.Status)
		if err != nil || again.Phase == networkstackv1alpha1.PhaseFailed {
			t.Errorf("a change of the answer changed what is remembered: %v", err)
		}
		mustWrite(t, w, c, func(st *componentStatus) { st.Failures++ })
	}
	wanted := &componentStatus{Phase: networkstackv1alpha1.PhaseReady}
	if _, err := w.Write(t.Context(), c, &componentStatus{}, wanted); err != nil {
		t.Fatal(err)
	}
	wanted.Phase = networkstackv1alpha1.PhaseFailed
	if again, err := w.Latest(c.UID, &c.Status); err != nil || again.Phase != networkstackv1alpha1.PhaseReady {
		t.Errorf("a change of what was written changed what is remembered: %v, %v", again, err)
	}
}

// TestForget covers an object that was deleted and made again, and one that is no longer ours to remember.
func TestForget(t *testing.T) {
	s, c := newServer(t)
	w := NewWriter[componentStatus](s)
	mustWrite(t, w, c, func(st *componentStatus) { st.Phase = networkstackv1alpha1.PhaseReady })

	phase := func(uid string) networkstackv1alpha1.ComponentPhase {
		t.Helper()
		again := c.DeepCopy()
		again.UID = "2"
		if uid == string(c.UID) {
			again = c
		}
		latest, err := w.Latest(again.UID, &again.Status)
		if err != nil {
			t.Fatal(err)
		}
		return latest.Phase
	}
	if got := phase("1"); got != networkstackv1alpha1.PhaseReady {
		t.Errorf("the object: %s, want what was written", got)
	}
	if got := phase("2"); got != networkstackv1alpha1.PhasePending {
		t.Errorf("another object of the same name: %s, want what the cache shows", got)
	}
	w.Forget(c.UID)
	if got := phase("1"); got != networkstackv1alpha1.PhasePending {
		t.Errorf("forgotten: %s, want what the cache shows", got)
	}
}

// TestWriteError covers a refused write: what is there is unknown, so the cache is believed again.
func TestWriteError(t *testing.T) {
	for _, refusal := range []error{
		apierrors.NewServiceUnavailable("starting"),
		apierrors.NewNotFound(schema.GroupResource{Resource: "networkcomponents"}, "cilium"),
	} {
		t.Run(string(apierrors.ReasonForError(refusal)), func(t *testing.T) {
			s, c := newServer(t)
			w := NewWriter[componentStatus](s)
			mustWrite(t, w, c, func(st *componentStatus) { st.Failures++ })
			s.refuse = refusal
			if wrote, err := write(t, w, c, func(st *componentStatus) { st.Phase = networkstackv1alpha1.PhaseReady }); wrote || !errors.Is(err, refusal) {
				t.Errorf("wrote: %v, %v", wrote, err)
			}
			s.refuse = nil
			fresh := s.read(t)
			mustWrite(t, w, fresh, func(st *componentStatus) { st.Phase = networkstackv1alpha1.PhaseReady })
			if got := s.read(t).Status; got.Phase != networkstackv1alpha1.PhaseReady || got.Failures != 3 {
				t.Errorf("the server's status: %+v", got)
			}
		})
	}
}

// TestLostAnswer covers a write that the server made and the writer knows nothing of: what is remembered from before is
// wrong, and the cache will show what is right.
func TestLostAnswer(t *testing.T) {
	s, c := newServer(t)
	w := NewWriter[componentStatus](s)
	mustWrite(t, w, c, func(st *componentStatus) { st.Failures++ })
	s.refuse, s.late = errors.New("connection reset"), true
	if _, err := write(t, w, c, func(st *componentStatus) { st.Phase = networkstackv1alpha1.PhaseReady }); !errors.Is(err, s.refuse) {
		t.Fatalf("error %v", err)
	}
	s.refuse = nil
	mustWrite(t, w, s.read(t), func(st *componentStatus) { st.Phase = networkstackv1alpha1.PhasePending })
	if got := s.read(t).Status; got.Phase != networkstackv1alpha1.PhasePending || got.Failures != 3 {
		t.Errorf("the server's status: %+v", got)
	}
}
