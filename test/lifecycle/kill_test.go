package lifecycle

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
)

// TestKilledOperator kills the operator (SIGKILL) at random moments of installing, changing and deleting. The next one
// must carry on from whatever was left, and leave no release pending and nothing behind.
func TestKilledOperator(t *testing.T) {
	t.Parallel()
	const kills = 10
	e := newEnv(t, controlplane.Options{}, "--operator-image", agentImage)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	stack := smallStack(t)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete

	for kill := 0; kill < kills; {
		for _, phase := range []struct {
			name string
			// latest is the latest moment of the kill; the phase takes about as long.
			latest          time.Duration
			begin, complete func()
		}{
			{"install", 1500 * time.Millisecond, func() { stack.Spec.MTU = 1400; e.apply(stack) }, func() { e.settled(stack) }},
			{"change", 600 * time.Millisecond, func() { stack.Spec.MTU = 1380; e.apply(stack) }, func() { e.settled(stack) }},
			{"deletion", 3 * time.Second, func() { e.check(e.client.Delete(t.Context(), e.stack(stack.Name))) }, func() { e.nothingLeft(stack) }},
		} {
			after := time.Duration(random.Int64N(int64(phase.latest)))
			phase.begin()
			moment := time.NewTimer(after)
			select {
			case <-moment.C:
			case <-e.process.Exited():
				t.Fatal("the operator ended by itself")
			}
			e.process.Kill()
			e.startOperator()
			phase.complete()
			kill++
			t.Logf("kill %d: %d ms into %s: converged", kill, after.Milliseconds(), phase.name)
		}
	}
}

// settled waits until the stack is Ready and checks that what runs is what is wanted now.
func (e *env) settled(stack *networkstackv1alpha1.NetworkStack) {
	e.t.Helper()
	e.waitReady(stack.Name)
	var cm corev1.ConfigMap
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Namespace: "kube-flannel", Name: "kube-flannel-cfg"}, &cm))
	want := map[int32]string{1400: "1450", 1380: "1430"}[stack.Spec.MTU]
	if !strings.Contains(cm.Data["net-conf.json"], want) {
		e.t.Errorf("net-conf.json does not have the MTU %s that %d comes to:\n%s", want, stack.Spec.MTU, cm.Data["net-conf.json"])
	}
	e.noPending()
}

// noPending checks that Helm holds no release to be in the middle of something.
func (e *env) noPending() {
	e.t.Helper()
	if pending := strings.TrimSpace(e.helm("ls", "-A", "-q", "--pending", "--uninstalling")); pending != "" {
		e.t.Errorf("releases are pending: %s", pending)
	}
}

func (e *env) nothingLeft(stack *networkstackv1alpha1.NetworkStack) {
	e.t.Helper()
	e.eventually("the stack to be gone", func(ctx context.Context) (bool, string) {
		var s networkstackv1alpha1.NetworkStack
		err := e.client.Get(ctx, client.ObjectKey{Name: stack.Name}, &s)
		ready := meta.FindStatusCondition(s.Status.Conditions, networkstackv1alpha1.ConditionReady)
		return client.IgnoreNotFound(err) == nil && err != nil, toJSON(ready)
	})
	if list := strings.TrimSpace(e.helm("ls", "-A", "-q", "--all")); list != "" {
		e.t.Errorf("Helm releases are left: %s", list)
	}
	for _, list := range []client.ObjectList{&appsv1.DaemonSetList{}, &corev1.ConfigMapList{}, &corev1.ServiceAccountList{}} {
		e.check(e.client.List(e.t.Context(), list, client.HasLabels{networkstackv1alpha1.ComponentLabel}))
		if n := meta.LenList(list); n > 0 {
			e.t.Errorf("%d objects of a %T are left", n, list)
		}
	}
	var namespace corev1.Namespace
	namespace.Name = "kube-flannel"
	e.gone(&namespace)
}
