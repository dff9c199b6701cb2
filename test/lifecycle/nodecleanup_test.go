package lifecycle

import (
	"context"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/test/controlplane"
)

// TestNodeCleanupRefused deletes stacks where what cleans nodes is refused: no deletion is stuck by it, each says why nodes are not
// cleaned, and what is left of one that was broken off does not meet the next network.
func TestNodeCleanupRefused(t *testing.T) {
	t.Parallel()
	e := newEnv(t, controlplane.Options{}, "--operator-image", agentImage)
	stack := smallStack(t)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	cleanup := &networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: compose.NameNodeCleanup}}
	pods := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "networkstack-node-cleanup"}}

	e.apply(stack)
	e.waitReady(stack.Name)
	e.podSecurity("baseline")
	e.check(e.client.Delete(t.Context(), e.stack(stack.Name)))
	e.cleaningSays(stack.Name, "no pod was created")
	// Whoever takes the finalizer away leaves all this behind.
	s := e.stack(stack.Name)
	s.Finalizers = nil
	e.check(e.client.Update(t.Context(), s))
	e.gone(&networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stack.Name}})
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(pods), pods))
	e.podSecurity("privileged")
	stack.ResourceVersion = ""
	e.apply(stack)
	e.waitReady(stack.Name)
	e.gone(cleanup)
	e.gone(pods)

	// A webhook that nobody serves any more.
	hook := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "left-over"}}
	hook.Webhooks = []admissionv1.ValidatingWebhook{{
		Name: "left-over.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: ptr.To(admissionv1.SideEffectClassNone),
		ClientConfig: admissionv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:1/")},
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"daemonsets"}},
		}},
	}}
	e.check(e.client.Create(t.Context(), hook))
	e.check(e.client.Delete(t.Context(), e.stack(stack.Name)))
	e.cleaningSays(stack.Name, "left-over.example.com")
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(cleanup), cleanup))
	const deadline = 5 * time.Minute
	before := cleanup.DeepCopy()
	cleanup.Annotations[networkstackv1alpha1.CleaningSinceAnnotation] = time.Now().Add(-deadline).UTC().Format(time.RFC3339)
	e.check(e.client.Patch(t.Context(), cleanup, client.MergeFrom(before)))
	e.gone(&networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stack.Name}})
	e.gone(pods)
	e.eventually("an event that names nodes and why", func(ctx context.Context) (bool, string) {
		var list corev1.EventList
		e.check(e.client.List(ctx, &list))
		var said []string
		for i := range list.Items {
			if list.Items[i].Reason != networkstackv1alpha1.ReasonNodesNotCleaned {
				continue
			}
			said = append(said, list.Items[i].Message)
			if strings.Contains(said[0], "node-") && strings.Contains(said[0], "left-over.example.com") {
				return true, ""
			}
		}
		return false, toJSON(said)
	})
	if list := strings.TrimSpace(e.helm("ls", "-A", "-a", "-q")); list != "" {
		t.Errorf("Helm releases are left: %q", list)
	}
}

// podSecurity has Pod Security admission enforce a level in kube-system.
func (e *env) podSecurity(level string) {
	e.t.Helper()
	var ns corev1.Namespace
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Name: metav1.NamespaceSystem}, &ns))
	before := ns.DeepCopy()
	ns.Labels["pod-security.kubernetes.io/enforce"] = level
	e.check(e.client.Patch(e.t.Context(), &ns, client.MergeFrom(before)))
}

// cleaningSays waits until a stack that is deleted says that nodes are being cleaned, and what is in the way.
func (e *env) cleaningSays(name, why string) {
	e.t.Helper()
	e.eventually("the stack to say why nodes are not cleaned", func(context.Context) (bool, string) {
		c := findCondition(e.stack(name), networkstackv1alpha1.ConditionReady)
		return strings.Contains(c.Message, "nodes are being cleaned") && strings.Contains(c.Message, why), c.Message
	})
}
