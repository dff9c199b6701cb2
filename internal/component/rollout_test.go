package component

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/internal/status"
)

// stuckDaemonSet has one of three pods available; the others wait for their image.
func stuckDaemonSet() []client.Object {
	labels := map[string]string{"app": "agent"}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "net", Name: "agent", UID: "1", Generation: 1}}
	ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	ds.Status = appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 3, CurrentNumberScheduled: 3,
		UpdatedNumberScheduled: 3, NumberAvailable: 1, NumberReady: 1}
	out := []client.Object{ds}
	for _, node := range []string{"a", "b", "c"} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "net", Name: "agent-" + node, Labels: labels}}
		pod.Spec.NodeName = node
		pod.Status.Phase = corev1.PodPending
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "agent", Image: "x/agent:2", State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}}}
		if node == "a" {
			pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
		}
		out = append(out, pod, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}, Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}})
	}
	return out
}

// rollingOut reconciles a component whose only workload is the DaemonSet agent, and that made progress so long ago.
func rollingOut(t *testing.T, ago time.Duration, change func(*networkstackv1alpha1.NetworkComponent), objects ...client.Object) *Reconciler {
	t.Helper()
	c := installed("cni", 0, func(c *networkstackv1alpha1.NetworkComponent) {
		if change != nil {
			change(c)
		}
	})
	r := newReconciler(t, append(slices.Clone(objects), c)...)
	settle(t, r)
	reconcileOnce(t, r, "cni")
	// Time is made to pass by moving what was written.
	seen := get(t, r, "cni")
	if ago > 0 && seen.Status.Rollout != nil {
		shift(seen.Status.Rollout, ago)
		if err := r.Status().Update(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
		r.status = status.NewWriter[networkstackv1alpha1.NetworkComponentStatus](r.Client)
	}
	return r
}

func settle(t *testing.T, r *Reconciler) {
	t.Helper()
	seen := get(t, r, "cni")
	rec := r.state.of(seen, &seen.Status)
	rec.settled, rec.tracked, rec.checked = wishes(seen, map[string]any{}), true, digestOf(seen)
	rec.objects = []release.Applied{{Object: release.Object{GVK: daemonSetKind, Namespace: "net", Name: "agent"}}}
}

func shift(s *networkstackv1alpha1.RolloutStatus, by time.Duration) {
	last := metav1.NewTime(s.LastProgressTime.Add(-by))
	s.LastProgressTime = &last
}

const why = "DaemonSet net/agent: 1 of 3 pods are available (ImagePullBackOff, container agent, image x/agent:2 on b, c)"

// TestRollout covers a roll-out as time goes by: what is said, and when it is looked at again.
func TestRollout(t *testing.T) {
	for _, tc := range []struct {
		name     string
		ago      time.Duration
		deadline time.Duration
		// want begins the message of Ready; how is the other condition; next is when to look again, at the latest.
		want, how string
		next      time.Duration
		event     bool
	}{
		{"just begun", 0, 0, "False NotHealthy: DaemonSet net/agent: 1 of 3 pods are available", "Reconciling", 15 * time.Second, false},
		{"no progress for a while", 16 * time.Second, 0, "False NotHealthy: " + why, "Reconciling", 14 * time.Second, false},
		// 5 minutes and 2 seconds for each of 3 pods.
		{"the deadline comes before the next look", 250 * time.Second, 0, "False NotHealthy: " + why, "Reconciling", 56 * time.Second, false},
		{"after the deadline", 306 * time.Second, 0, "False RolloutStalled: no progress since ", "Stalled", 174 * time.Second, true},
		{"after a deadline of its own", 61 * time.Second, time.Minute, "False RolloutStalled: no progress since ", "Stalled", 59 * time.Second, true},
		{"before a deadline of its own", 306 * time.Second, time.Hour, "False NotHealthy: " + why, "Reconciling", 174 * time.Second, false},
		{"a deadline before the first look", 12 * time.Second, 10 * time.Second, "False RolloutStalled: no progress since ", "Stalled", 3 * time.Second, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := rollingOut(t, tc.ago, func(c *networkstackv1alpha1.NetworkComponent) {
				if tc.deadline > 0 {
					c.Spec.ProgressDeadline = &metav1.Duration{Duration: tc.deadline}
				}
			}, stuckDaemonSet()...)
			result := reconcileOnce(t, r, "cni")
			got := get(t, r, "cni").Status
			ready := said(got.Conditions)["Ready"]
			if !strings.HasPrefix(ready, tc.want) || tc.event && !strings.HasSuffix(ready, "; 3 of 3 pods are updated and 1 available: "+why) {
				t.Errorf("says %q, want %q", ready, tc.want)
			}
			if _, ok := said(got.Conditions)[tc.how]; !ok || len(got.Conditions) != 3 {
				t.Errorf("conditions %v, want %s", said(got.Conditions), tc.how)
			}
			if result.RequeueAfter > tc.next || result.RequeueAfter <= 0 {
				t.Errorf("looks again after %s, want at most %s", result.RequeueAfter, tc.next)
			}
			if events := eventsOf(t, r); (len(events) == 1) != tc.event || tc.event && !strings.HasPrefix(events[0], "Warning RolloutStalled no progress since ") {
				t.Errorf("events: %q", events)
			}
		})
	}
}

// TestRolloutStalledOnce wants a stall to be told once: not again with every look, nor by the next process; and its end
// to follow from progress alone.
func TestRolloutStalledOnce(t *testing.T) {
	objects := stuckDaemonSet()
	r := rollingOut(t, time.Hour, nil, objects...)
	reconcileOnce(t, r, "cni")
	if got := eventsOf(t, r); len(got) != 1 {
		t.Fatalf("events: %q", got)
	}
	for range 3 {
		reconcileOnce(t, r, "cni")
	}
	// Another reason, or another number of pods, is no other stall.
	pod := objects[len(objects)-2].DeepCopyObject().(client.Object) //nolint:forcetypeassert // it came from there
	if err := r.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	reconcileOnce(t, r, "cni")
	if got := said(get(t, r, "cni").Status.Conditions)["Ready"]; !strings.HasSuffix(got, " on b)") {
		t.Fatalf("without the pod on c: %s", got)
	}
	stalled := get(t, r, "cni")
	// Another process, which has to find everything out anew, and says nothing until it has.
	next := &Reconciler{
		Catalog: &catalog.Source{},
		Client:  r.Client, Live: r.Live, Namespace: r.Namespace, Recorder: r.Recorder, Drift: r.Drift,
		status: status.NewWriter[networkstackv1alpha1.NetworkComponentStatus](r.Client), state: newRecords(), wakes: NewWakes(),
		runner: newRunner(1, func(string) {}),
	}
	t.Cleanup(func() { endJobs(t, next) })
	reconcileOnce(t, next, "cni")
	next.state.of(stalled, &stalled.Status).job = nil
	settle(t, next)
	reconcileOnce(t, next, "cni")
	if got := eventsOf(t, r); len(got) != 0 {
		t.Errorf("told again: %q", got)
	}
	after := get(t, r, "cni")
	if after.ResourceVersion != stalled.ResourceVersion {
		t.Errorf("written again: %v, after %v", said(after.Status.Conditions), said(stalled.Status.Conditions))
	}

	ds, _ := objects[0].(*appsv1.DaemonSet)
	var live appsv1.DaemonSet
	if err := r.Get(t.Context(), client.ObjectKeyFromObject(ds), &live); err != nil {
		t.Fatal(err)
	}
	live.Status.NumberAvailable, live.Status.NumberReady = 2, 2
	if err := r.Status().Update(t.Context(), &live); err != nil {
		t.Fatal(err)
	}
	reconcileOnce(t, next, "cni")
	if got := said(get(t, r, "cni").Status.Conditions); got["Ready"] != "False NotHealthy: DaemonSet net/agent: 2 of 3 pods are available" || got["Stalled"] != "" {
		t.Errorf("after progress: %v", got)
	}
	live.Status.NumberAvailable, live.Status.NumberReady = 3, 3
	if err := r.Status().Update(t.Context(), &live); err != nil {
		t.Fatal(err)
	}
	result := reconcileOnce(t, next, "cni")
	got := get(t, r, "cni").Status
	if got.Phase != networkstackv1alpha1.PhaseReady || got.Rollout.Deadline != nil || result.RequeueAfter != 0 {
		t.Errorf("in the end: %s, %+v, looks again after %s", got.Phase, got.Rollout, result.RequeueAfter)
	}
}

// TestFailedJob wants a Job that has failed to be told with its reason, at once: it will not become better by itself.
func TestFailedJob(t *testing.T) {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "net", Name: "agent"}}
	job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", Message: "too often"}}
	r := newReconciler(t, job, installed("cni", 0))
	settle(t, r)
	seen := get(t, r, "cni")
	r.state.of(seen, &seen.Status).objects[0].Object.GVK = batchv1.SchemeGroupVersion.WithKind("Job")
	reconcileOnce(t, r, "cni")
	got := said(get(t, r, "cni").Status.Conditions)
	want := "NotHealthy: Job net/agent: failed: BackoffLimitExceeded: too often"
	if got["Ready"] != "False "+want || got["Stalled"] != "True "+want {
		t.Errorf("%v", got)
	}
}

func TestNextLook(t *testing.T) {
	last := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct{ due, now, want time.Duration }{
		{5 * time.Minute, 0, 15 * time.Second},
		{5 * time.Minute, 15 * time.Second, 30 * time.Second},
		{5 * time.Minute, 70 * time.Second, 2 * time.Minute},
		{5 * time.Minute, 4 * time.Minute, 5 * time.Minute},
		{5 * time.Minute, 5 * time.Minute, 8 * time.Minute},
		{10 * time.Second, 0, 10 * time.Second},
		{10 * time.Second, 10 * time.Second, 15 * time.Second},
		{10 * time.Second, 100 * time.Hour, 15 * 32768 * time.Second},
	} {
		if got := nextLook(last, last.Add(tc.due), last.Add(tc.now)); !got.Equal(last.Add(tc.want)) {
			t.Errorf("due after %s, at %s: %s, want %s", tc.due, tc.now, got.Sub(last), tc.want)
		}
	}
}
