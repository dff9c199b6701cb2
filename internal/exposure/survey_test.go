package exposure

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata/fake"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/internal/policy/analysis"
)

// scene is a cluster whose clock is the test's.
type scene struct {
	*Survey
	t       *testing.T
	objects *fake.FakeMetadataClient
	// looks and wakes count.
	looks, wakes atomic.Int32
	// broken is what reading fails with, and held has it wait.
	broken atomic.Pointer[error]
	held   chan struct{}
	client.Reader
}

func (s *scene) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if m, ok := list.(*metav1.PartialObjectMetadataList); ok && m.Kind == "NamespaceList" {
		s.looks.Add(1)
	}
	if s.held != nil {
		select {
		case <-s.held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := s.broken.Load(); err != nil {
		return *err
	}
	return s.Reader.List(ctx, list, opts...)
}

func newScene(t *testing.T) *scene {
	t.Helper()
	scheme := fake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	pages := 0
	s := &scene{t: t, objects: fake.NewSimpleMetadataClient(scheme, object("v1", "Service", "web", 1), object("v1", "Namespace", "shop", 1)), Reader: reader(t, &pages)}
	s.Survey = New(s, s.objects, logr.Discard(), func() { s.wakes.Add(1) })
	go func() { _ = s.Start(t.Context()) }()
	synctest.Wait()
	return s
}

func object(version, kind, name string, generation int64) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: version, Kind: kind}}
	o.Name, o.UID, o.Generation = name, types.UID(kind+name), generation
	switch kind {
	case "Namespace":
		o.Labels = map[string]string{"covered": "yes"}
	case "Service":
		o.Namespace = "shop"
	}
	return o
}

// set of baselines that cut a namespace off.
func setOf(rules ...policy.Rule) *policy.Set {
	return &policy.Set{
		API: networkstackv1alpha1.PolicyAPICilium, Namespaces: metav1.LabelSelector{MatchLabels: map[string]string{"covered": "yes"}},
		Rules: append([]policy.Rule{{Name: "in", Direction: policy.Ingress, Deny: true, Default: true}}, rules...),
	}
}

// after lets time pass, and wants so many looks and wake-ups since the last time.
func (s *scene) after(what string, d time.Duration, looks, wakes int32) {
	s.t.Helper()
	time.Sleep(d) //nolint:forbidigo // the bubble's clock
	synctest.Wait()
	if l, w := s.looks.Swap(0), s.wakes.Swap(0); l != looks || w != wakes {
		s.t.Errorf("%s: %d looks and %d wake-ups, not %d and %d", what, l, w, looks, wakes)
	}
}

func (s *scene) change(resource string, o *metav1.PartialObjectMetadata) {
	s.t.Helper()
	of := s.objects.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource})
	var err error
	if o.Namespace == "" {
		_, err = of.(fake.MetadataClient).UpdateFake(o, metav1.UpdateOptions{})
	} else {
		_, err = of.Namespace(o.Namespace).(fake.MetadataClient).UpdateFake(o, metav1.UpdateOptions{})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestLooks wants the cluster looked at when somebody asks, and again when something changes that matters, once a minute at most; and
// never while nothing does.
func TestLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.after("nobody has asked", time.Hour, 0, 0)
		if a := s.Of(setOf(), analysis.Known{}); a.Report != nil || a.Err != nil {
			t.Fatalf("known before anybody looked: %+v", a)
		}
		s.after("asked", 3*time.Second, 1, 1)
		a := s.Of(setOf(), analysis.Known{})
		if a.Report == nil || len(a.Report.Findings) != 1 {
			t.Fatalf("found %+v", a.Report)
		}
		s.after("asked the same again, and nothing happens", 24*time.Hour, 0, 0)

		s.change("services", object("v1", "Service", "web", 2))
		s.after("a Service changes after long", time.Second, 1, 0)
		for i := range int64(5) {
			s.change("services", object("v1", "Service", "web", 3+i))
		}
		s.after("Services change soon after", 50*time.Second, 0, 0)
		s.after("a minute later", 15*time.Second, 1, 0)
		s.change("services", object("v1", "Service", "web", 7))
		s.after("nothing about it has changed", time.Hour, 0, 0)

		covered := object("v1", "Namespace", "shop", 0)
		covered.Annotations = map[string]string{"a": "b"}
		s.change("namespaces", covered)
		s.after("an annotation of a namespace", time.Hour, 0, 0)
		covered.Labels = map[string]string{"covered": "no"}
		s.change("namespaces", covered)
		s.after("a namespace leaves", time.Hour, 1, 0)
		covered.Labels = map[string]string{"covered": "no", "other": "label"}
		s.change("namespaces", covered)
		s.after("a label of a namespace that is not covered", time.Hour, 0, 0)

		if a := s.Of(setOf(policy.Rule{Name: "open", Direction: policy.Ingress}), analysis.Known{}); a.Report != nil {
			t.Error("the report of another set is taken for that of this one")
		}
		s.after("another set", 3*time.Second, 1, 1)
		other := setOf(policy.Rule{Name: "open", Direction: policy.Ingress})
		other.Acknowledged, other.Held = []string{"a"}, "b"
		if a := s.Of(other, analysis.Known{}); a.Report == nil || len(a.Report.Findings) != 0 {
			t.Errorf("found %+v", a.Report)
		}
		s.after("what does not change what is cut", time.Hour, 0, 0)
		s.change("services", object("v1", "Service", "web", 8))
		s.after("a Service changes", time.Second, 1, 0)
		other.Mode = networkstackv1alpha1.PolicyEnforce
		if a := s.Of(other, analysis.Known{}); a.Report != nil {
			t.Error("what was seen before it is enforced answers for it")
		}
		s.after("it is enforced", 3*time.Second, 1, 1)

		s.End()
		s.change("services", object("v1", "Service", "web", 20))
		s.after("nobody asks any more", time.Hour, 0, 0)
		if a := s.Of(other, analysis.Known{}); a.Report != nil {
			t.Error("an old report after the end")
		}
		s.after("asked again", 3*time.Second, 1, 1)
	})
}

// TestFails wants what cannot be read told once and tried again, later each time, and forgotten when it can be read.
func TestFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		err := errors.New("not allowed")
		s.broken.Store(&err)
		s.Of(setOf(), analysis.Known{})
		s.after("the first time", 3*time.Second, 1, 1)
		if a := s.Of(setOf(), analysis.Known{}); a.Report != nil || a.Err == nil || a.Err.Error() != "reading namespaces: not allowed" {
			t.Fatalf("%+v", a)
		}
		s.after("tried again, and later each time", time.Minute, 3, 0) // after 5, 10 and 20 seconds
		s.after("not forgotten", time.Hour, 14, 0)
		s.broken.Store(nil)
		s.after("when it can be read", 10*time.Minute, 1, 1)
		if a := s.Of(setOf(), analysis.Known{}); a.Report == nil || a.Err != nil {
			t.Errorf("%+v", a)
		}
	})
}

// TestNobodyWaits wants an answer at once, whoever is looking, and a look that lasts to be the only one.
func TestNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.held = make(chan struct{})
		s.Of(setOf(), analysis.Known{})
		s.after("looking", time.Minute, 1, 0)
		if a := s.Of(setOf(policy.Rule{Name: "open", Direction: policy.Ingress}), analysis.Known{}); a.Report != nil {
			t.Error("known already")
		}
		s.after("still looking", time.Minute, 0, 0)
		close(s.held)
		s.after("the old look, and one for the new question", 10*time.Second, 1, 2)
		s.held = make(chan struct{})
		s.change("services", object("v1", "Service", "web", 9))
		s.after("looking again", 2*time.Minute, 1, 0)
		s.End()
		s.Of(setOf(), analysis.Known{})
		close(s.held)
		s.after("ended while looking, and asked again", 10*time.Second, 1, 1)
		if a := s.Of(setOf(), analysis.Known{}); a.Report == nil {
			t.Error("the look that was ended has taken the place of that which was asked for")
		}
	})
}
