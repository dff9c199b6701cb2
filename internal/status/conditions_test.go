package status

import (
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

const generation = 7

// states are the ways to say how an object is, each after each other in TestKstatus.
var states = []struct {
	name string
	say  func(*[]metav1.Condition)
	want status.Status
}{
	{"Ready", func(l *[]metav1.Condition) { Ready(l, generation, "Ready", "up") }, status.CurrentStatus},
	{"Working", func(l *[]metav1.Condition) { Working(l, generation, "Progressing", "on it") }, status.InProgressStatus},
	{"Stuck", func(l *[]metav1.Condition) { Stuck(l, generation, "Invalid", "wrong") }, status.FailedStatus},
	{"Paused", func(l *[]metav1.Condition) { Paused(l, generation, "suspended") }, status.InProgressStatus},
}

// TestKstatus wants kubectl wait and GitOps tools to judge an object as we mean it, whatever was said before.
func TestKstatus(t *testing.T) {
	for _, before := range states {
		for _, now := range states {
			t.Run(before.name+" then "+now.name, func(t *testing.T) {
				stack := &networkstackv1alpha1.NetworkStack{}
				stack.Generation = generation
				stack.Status.ObservedGeneration = generation
				before.say(&stack.Status.Conditions)
				now.say(&stack.Status.Conditions)
				if got := compute(t, stack); got != now.want {
					t.Errorf("kstatus says %s, want %s: %v", got, now.want, stack.Status.Conditions)
				}
			})
		}
	}
}

// TestKstatusOfUnwritten covers what the CRD's default puts there before anybody has written a status.
func TestKstatusOfUnwritten(t *testing.T) {
	for _, tc := range []struct {
		name     string
		observed int64
		change   func(*networkstackv1alpha1.NetworkStack)
		want     status.Status
	}{
		{"nobody has written yet", -1, func(*networkstackv1alpha1.NetworkStack) {}, status.InProgressStatus},
		{"the spec has moved on", generation - 1, func(s *networkstackv1alpha1.NetworkStack) {
			Ready(&s.Status.Conditions, generation-1, "Ready", "up")
		}, status.InProgressStatus},
		{"it has failed before the spec moved on", generation - 1, func(s *networkstackv1alpha1.NetworkStack) {
			Stuck(&s.Status.Conditions, generation-1, "Invalid", "wrong")
		}, status.InProgressStatus},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stack := &networkstackv1alpha1.NetworkStack{}
			stack.Generation = generation
			stack.Status.ObservedGeneration = tc.observed
			tc.change(stack)
			if got := compute(t, stack); got != tc.want {
				t.Errorf("kstatus says %s, want %s", got, tc.want)
			}
		})
	}
}

func compute(t *testing.T, stack *networkstackv1alpha1.NetworkStack) status.Status {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(stack)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(networkstackv1alpha1.GroupVersion.WithKind("NetworkStack"))
	result, err := status.Compute(u)
	if err != nil {
		t.Fatal(err)
	}
	return result.Status
}

// TestConditions wants Reconciling and Stalled to be there only while they hold.
func TestConditions(t *testing.T) {
	condition := func(conditionType string, state metav1.ConditionStatus, reason, message string) metav1.Condition {
		return metav1.Condition{Type: conditionType, Status: state, Reason: reason, Message: message, ObservedGeneration: generation}
	}
	want := map[string][]metav1.Condition{
		"Ready":   {condition("Ready", metav1.ConditionTrue, "Ready", "up")},
		"Working": {condition("Ready", metav1.ConditionFalse, "Progressing", "on it"), condition("Reconciling", metav1.ConditionTrue, "Progressing", "on it")},
		"Stuck":   {condition("Ready", metav1.ConditionFalse, "Invalid", "wrong"), condition("Stalled", metav1.ConditionTrue, "Invalid", "wrong")},
		"Paused":  {condition("Ready", metav1.ConditionFalse, "Suspended", "suspended")},
	}
	for _, before := range states {
		for _, now := range states {
			t.Run(before.name+" then "+now.name, func(t *testing.T) {
				var got []metav1.Condition
				before.say(&got)
				now.say(&got)
				if diff := cmp.Diff(want[now.name], got, cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime")); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}

// TestTransitionTime wants the time to tell since when a status holds, not when somebody last spoke of it.
func TestTransitionTime(t *testing.T) {
	past := metav1.NewTime(time.Now().Add(-time.Hour).Truncate(time.Second))
	for _, tc := range []struct {
		name  string
		say   func(*[]metav1.Condition)
		moves bool
	}{
		{"the same again", func(l *[]metav1.Condition) { Working(l, generation, "Progressing", "on it") }, false},
		{"another reason, message and generation", func(l *[]metav1.Condition) { Working(l, generation+1, "Upgrading", "still on it") }, false},
		{"stuck is as unready as working", func(l *[]metav1.Condition) { Stuck(l, generation, "Invalid", "wrong") }, false},
		{"ready at last", func(l *[]metav1.Condition) { Ready(l, generation, "Ready", "up") }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var list []metav1.Condition
			Working(&list, generation, "Progressing", "on it")
			for i := range list {
				list[i].LastTransitionTime = past
			}
			tc.say(&list)
			got := meta.FindStatusCondition(list, networkstackv1alpha1.ConditionReady).LastTransitionTime
			if moved := !got.Equal(&past); moved != tc.moves {
				t.Errorf("moved: %v, want %v", moved, tc.moves)
			}
		})
	}
}

// TestLongMessage because the API server refuses a longer one, and with it the whole status.
func TestLongMessage(t *testing.T) {
	for _, length := range []int{0, maxMessage - 1, maxMessage, maxMessage + 1, 3 * maxMessage} {
		var list []metav1.Condition
		text := strings.Repeat("x", length)
		Set(&list, generation, "Ready", metav1.ConditionFalse, "Invalid", text)
		got := list[0].Message
		switch {
		case length <= maxMessage && got != text:
			t.Errorf("a message of %d was changed", length)
		case length > maxMessage && (len(got) != maxMessage || !strings.HasSuffix(got, "x...")):
			t.Errorf("a message of %d became one of %d that ends in %q", length, len(got), got[len(got)-4:])
		}
	}
}
