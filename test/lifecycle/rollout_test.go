package lifecycle

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
)

// TestStalledRollout rolls out an image that cannot be pulled: it is reported with node and reason, the clock goes on when
// the operator is killed, nothing is taken back, and putting the spec right is all it takes.
func TestStalledRollout(t *testing.T) {
	t.Parallel()
	e := newEnv(t, controlplane.Options{})
	stack := smallStack(t)
	e.apply(stack)
	e.waitReady(stack.Name)
	revision := e.revision("flannel")

	stack.Spec.Upgrade = &networkstackv1alpha1.UpgradeSpec{ProgressDeadline: &metav1.Duration{Duration: 10 * time.Second}}
	good := stack.Spec.CNI.Values
	stack.Spec.CNI.Values = rawJSON(`{"flannel": {"image": {"tag": "` + controlplane.UnpullableImage + `"}}}`)
	e.apply(stack)
	stalled := e.waitComponent("flannel", networkstackv1alpha1.ConditionStalled, networkstackv1alpha1.ReasonRolloutStalled)
	message := meta.FindStatusCondition(stalled.Status.Conditions, networkstackv1alpha1.ConditionReady).Message
	t.Log(message)
	for _, want := range []string{"deadline of 10s", "DaemonSet kube-flannel/kube-flannel-ds", "ImagePullBackOff, container kube-flannel",
		controlplane.UnpullableImage, " on node-"} {
		if !strings.Contains(message, want) {
			t.Errorf("the message does not say %q: %s", want, message)
		}
	}
	rollout := stalled.Status.Rollout
	if late := time.Since(rollout.Deadline.Time); rollout.Deadline.Sub(rollout.LastProgressTime.Time) != 10*time.Second || late < 0 || late > patience {
		t.Errorf("rollout: %s", toJSON(rollout))
	}
	e.waitCondition(stack.Name, networkstackv1alpha1.ConditionStalled, metav1.ConditionTrue, networkstackv1alpha1.ReasonComponentFailed)

	e.process.Kill()
	e.startOperator()
	// The new process judges by the old clock. A longer deadline shows it: nothing else is rolled out by that.
	stack.Spec.Upgrade.ProgressDeadline.Duration = time.Hour
	e.apply(stack)
	e.eventually("the longer deadline to count", func(context.Context) (bool, string) {
		c := e.component("flannel")
		return c.Status.Rollout.Deadline.Sub(rollout.LastProgressTime.Time) == time.Hour &&
			!meta.IsStatusConditionTrue(c.Status.Conditions, networkstackv1alpha1.ConditionStalled), toJSON(c.Status)
	})
	if c := e.component("flannel"); !c.Status.Rollout.LastProgressTime.Equal(rollout.LastProgressTime) {
		t.Errorf("the clock was set back: %s, after %s", toJSON(c.Status.Rollout), toJSON(rollout))
	}
	if n := e.countEvents("flannel", networkstackv1alpha1.ReasonRolloutStalled); n != 1 {
		t.Errorf("the stall was told %d times", n)
	}
	if r := e.revision("flannel"); r != revision+1 {
		t.Errorf("flannel is at revision %d: nothing but the user's own change may touch it", r)
	}

	stack.Spec.CNI.Values = good
	e.apply(stack)
	e.waitReady(stack.Name)
	done := e.component("flannel").Status.Rollout
	if done.Deadline != nil || done.Desired != 3 || done.Updated != 3 || done.Available != 3 {
		t.Errorf("rollout: %s", toJSON(done))
	}

	// A node whose kubelet is not heard of: its pod does not come up, and that is not laid at the pod's door.
	e.check(e.cp.AddNodes(t.Context(), 1, controlplane.NodeOptions{NamePrefix: "dead-", MTU: 1500, Override: func(_ int, n *corev1.Node) {
		n.Annotations = map[string]string{controlplane.MTUAnnotation: "1500"}
	}}))
	e.eventually("the dead node to be named", func(context.Context) (bool, string) {
		c := e.component("flannel")
		ready := meta.FindStatusCondition(c.Status.Conditions, networkstackv1alpha1.ConditionReady)
		return ready.Status == metav1.ConditionFalse && strings.Contains(ready.Message, "3 of 4 pods are available (the node is not ready on dead-"), ready.Message
	})
	var nodes corev1.NodeList
	e.check(e.client.List(t.Context(), &nodes))
	i := slices.IndexFunc(nodes.Items, func(n corev1.Node) bool { return strings.HasPrefix(n.Name, "dead-") })
	e.check(e.client.Delete(t.Context(), &nodes.Items[i]))
	// Nobody tells DaemonSets of a node that is gone: they are counted anew when its pods go, which takes the garbage
	// collector a minute or more.
	var pods corev1.PodList
	e.check(e.client.List(t.Context(), &pods))
	for j := range pods.Items {
		if pods.Items[j].Status.Phase == corev1.PodPending {
			e.check(client.IgnoreNotFound(e.client.Delete(t.Context(), &pods.Items[j], client.GracePeriodSeconds(0))))
		}
	}
	e.waitReady(stack.Name)
}

// waitComponent waits until a condition of a component is True for a reason, at its current generation.
func (e *env) waitComponent(name, conditionType, reason string) *networkstackv1alpha1.NetworkComponent {
	e.t.Helper()
	var c *networkstackv1alpha1.NetworkComponent
	e.eventually("NetworkComponent "+name+" to be "+conditionType+" "+reason, func(context.Context) (bool, string) {
		c = e.component(name)
		cond := meta.FindStatusCondition(c.Status.Conditions, conditionType)
		return cond != nil && cond.Status == metav1.ConditionTrue && cond.Reason == reason && cond.ObservedGeneration == c.Generation, toJSON(c.Status)
	})
	return c
}

// countEvents is how often an event of this reason was told about an object.
func (e *env) countEvents(name, reason string) int {
	e.t.Helper()
	var list corev1.EventList
	e.check(e.client.List(e.t.Context(), &list))
	n := 0
	for i := range list.Items {
		if ev := &list.Items[i]; ev.InvolvedObject.Name == name && ev.Reason == reason {
			n++
			if ev.Series != nil {
				n += int(ev.Series.Count) - 1
			}
		}
	}
	return n
}
