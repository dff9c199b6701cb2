package lifecycle

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/preinstalled"
	"github.com/networkstack/networkstack/test/testcharts"
)

// TestAdoptionOfHelmRelease has a Cilium that somebody installed with Helm's own tool reported, then taken over without a
// single pod noticing, upgraded and removed.
func TestAdoptionOfHelmRelease(t *testing.T) {
	t.Parallel()
	charts := testcharts.PinnedDir(t, "cilium", "1.20.0")
	e := newEnv(t, controlplane.Options{}, "--charts", charts)
	k, err := kubernetes.NewForConfig(e.cp.RESTConfig())
	e.check(err)
	stack := sample(t, ciliumSample)
	// Nobody put kube-proxy there, so there is none to bring back.
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete

	// What the operator would install, values and all, is what somebody installs by hand.
	e.apply(stack)
	e.waitReady(stack.Name)
	derived := e.component("cilium").Spec.DerivedValues.Raw
	e.check(e.client.Delete(t.Context(), stack))
	e.gone(stack)
	e.gone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "cilium-secrets"}})
	values := filepath.Join(t.TempDir(), "values.json")
	e.check(os.WriteFile(values, derived, 0o600))
	e.helm("install", "cilium", filepath.Join(charts, "cilium-1.20.0.tgz"), "-n", "kube-system", "-f", values,
		"--set", "operator.podDisruptionBudget.enabled=true")
	pods := func() map[string][]string {
		out := map[string][]string{}
		for _, selector := range []string{"k8s-app=cilium", "k8s-app=cilium-envoy", "name=cilium-operator"} {
			var err error
			out[selector], err = preinstalled.Pods(t.Context(), k, "kube-system", selector)
			e.check(err)
		}
		return out
	}
	e.eventually("Cilium to run", func(ctx context.Context) (bool, string) {
		var agents appsv1.DaemonSet
		var operator appsv1.Deployment
		e.check(e.client.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "cilium"}, &agents))
		e.check(e.client.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "cilium-operator"}, &operator))
		return agents.Status.NumberAvailable == 3 && operator.Status.AvailableReplicas == *operator.Spec.Replicas,
			toJSON(agents.Status) + toJSON(operator.Status)
	})
	before := pods()

	adoption := func(state networkstackv1alpha1.AdoptionState) *networkstackv1alpha1.AdoptionStatus {
		t.Helper()
		var got *networkstackv1alpha1.AdoptionStatus
		e.eventually("the adoption to be "+string(state), func(ctx context.Context) (bool, string) {
			var c networkstackv1alpha1.NetworkComponent
			if err := e.client.Get(ctx, client.ObjectKey{Name: "cilium"}, &c); err != nil {
				return false, err.Error()
			}
			got = c.Status.Adoption
			return got != nil && got.State == state, toJSON(c.Status)
		})
		return got
	}
	e.apply(stack)
	refused := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, "")
	if text := toJSON(refused.Status.Conditions); !strings.Contains(text, "set spec.adoption to Adopt") {
		t.Errorf("the refusal: %s", text)
	}
	report := adoption(networkstackv1alpha1.AdoptionReported)
	want := networkstackv1alpha1.AdoptionStatus{
		State: networkstackv1alpha1.AdoptionReported, Source: "Helm release kube-system/cilium", Same: report.Same,
	}
	if diff := cmp.Diff(&want, report); diff != "" || report.Same < 10 {
		t.Errorf("the report on %d objects: %s", report.Same, diff)
	}

	stack.Spec.Adoption = networkstackv1alpha1.AdoptionAdopt
	e.apply(stack)
	e.waitReady(stack.Name)
	adoption(networkstackv1alpha1.AdoptionAdopted)
	if diff := cmp.Diff(before, pods()); diff != "" {
		t.Errorf("pods were restarted: %s", diff)
	}
	history := e.helm("history", "cilium", "-n", "kube-system")
	if lines := strings.Split(strings.TrimSpace(history), "\n"); len(lines) != 3 || !strings.Contains(lines[1], "superseded") ||
		!strings.Contains(lines[2], "deployed") {
		t.Errorf("Helm's history does not go on:\n%s", history)
	}
	t.Logf("%d objects were taken over from Helm's command line; no pod of %d was restarted", report.Same, strings.Count(toJSON(before), "pod "))

	// A field that only Helm's tool wrote is ours now: it goes when it is no longer rendered.
	stack.Spec.CNI.Metrics = &networkstackv1alpha1.MetricsSpec{Endpoints: networkstackv1alpha1.Disabled}
	e.apply(stack)
	e.eventually("the operator's metrics port to go", func(ctx context.Context) (bool, string) {
		var operator appsv1.Deployment
		e.check(e.client.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "cilium-operator"}, &operator))
		ports := toJSON(operator.Spec.Template.Spec.Containers[0].Ports)
		return !strings.Contains(ports, "prometheus"), ports
	})
	e.waitReady(stack.Name)
	e.check(e.client.Delete(t.Context(), stack))
	e.gone(stack)
	if left := e.helm("ls", "-a", "-n", "kube-system", "-q"); strings.Contains(left, "cilium") {
		t.Errorf("left behind: %s", left)
	}
}
