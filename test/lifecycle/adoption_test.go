package lifecycle

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/cli"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/preinstalled"
)

// TestAdoption takes over the kube-proxy of kubeadm and the Flannel of kubectl apply: refused at first, with a report and
// nothing touched, then taken over without a single pod noticing, and ours from then on.
func TestAdoption(t *testing.T) {
	t.Parallel()
	e := newCluster(t, controlplane.Options{})
	k, err := kubernetes.NewForConfig(e.cp.RESTConfig())
	e.check(err)
	version, err := k.Discovery().ServerVersion()
	e.check(err)
	proxy, flannel := preinstalled.Manifest("kube-proxy", version.GitVersion), preinstalled.Manifest("flannel", "")
	e.check(preinstalled.Create(t.Context(), e.client, "kubeadm", proxy))
	e.check(preinstalled.Kubectl(t.Context(), e.cp.Binaries().Kubectl, e.admin, flannel))
	pods := func() map[string][]string {
		t.Helper()
		out := map[string][]string{}
		for namespace, selector := range map[string]string{"kube-system": "k8s-app=kube-proxy", "kube-flannel": "app=flannel"} {
			e.eventually("the pods of "+selector, func(ctx context.Context) (bool, string) {
				var list corev1.PodList
				err := e.client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{
					strings.Split(selector, "=")[0]: strings.Split(selector, "=")[1]})
				if err != nil || len(list.Items) != 3 {
					return false, "not three"
				}
				out[namespace], err = preinstalled.Pods(ctx, k, namespace, selector)
				return err == nil, ""
			})
		}
		return out
	}
	before := pods()
	touched := func() map[string]string {
		t.Helper()
		out := map[string]string{}
		for _, manifest := range []string{proxy, flannel} {
			v, err := preinstalled.Versions(t.Context(), e.client, manifest)
			e.check(err)
			for object, version := range v {
				out[object+" "+manifest[:12]] = version
			}
		}
		return out
	}
	untouched := touched()
	if report := e.imports(cli.ExitFine); !report.Exact {
		t.Errorf("import finds: %s", toJSON(report))
	}
	e.startOperator()

	stack := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	stack.Spec.CNI.Type = networkstackv1alpha1.CNIFlannel
	stack.Spec.KubeProxy = &networkstackv1alpha1.KubeProxySpec{Mode: networkstackv1alpha1.KubeProxyIPTables}
	e.apply(stack)
	refused := e.waitCondition("default", networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, "")
	for _, want := range []string{"DaemonSet kube-system/kube-proxy is a kube-proxy already, made by kubeadm", "DaemonSet kube-flannel/kube-flannel-ds is Flannel already, made by kubectl", "set spec.adoption to Adopt"} {
		if text := toJSON(refused.Status.Conditions); !strings.Contains(text, want) {
			t.Errorf("the refusal lacks %q: %s", want, text)
		}
	}
	adoption := func(name string, state networkstackv1alpha1.AdoptionState) *networkstackv1alpha1.AdoptionStatus {
		t.Helper()
		var got *networkstackv1alpha1.AdoptionStatus
		e.eventually("the adoption of "+name+" to be "+string(state), func(ctx context.Context) (bool, string) {
			var c networkstackv1alpha1.NetworkComponent
			if err := e.client.Get(ctx, client.ObjectKey{Name: name}, &c); err != nil {
				return false, err.Error()
			}
			got = c.Status.Adoption
			return got != nil && got.State == state, toJSON(c.Status)
		})
		return got
	}
	wants := map[string]networkstackv1alpha1.AdoptionStatus{
		"kube-proxy": {Source: "kubeadm", Same: 6},
		"flannel":    {Source: "kubectl", Same: 5},
	}
	for name, want := range wants {
		want.State = networkstackv1alpha1.AdoptionReported
		if diff := cmp.Diff(want, *adoption(name, want.State)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if c := e.component(name); c.Status.Release != nil {
			t.Errorf("%s has a release: %s", name, toJSON(c.Status))
		}
	}
	if diff := cmp.Diff(untouched, touched()); diff != "" {
		t.Errorf("a report touched what it is about: %s", diff)
	}

	stack.Spec.Adoption = networkstackv1alpha1.AdoptionAdopt
	e.apply(stack)
	e.waitReady("default")
	for name, want := range wants {
		want.State = networkstackv1alpha1.AdoptionAdopted
		if diff := cmp.Diff(want, *adoption(name, want.State)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if diff := cmp.Diff(before, pods()); diff != "" {
		t.Errorf("pods were restarted: %s", diff)
	}
	for name, namespace := range map[string]string{"kube-proxy": "kube-system", "flannel": "kube-flannel"} {
		if out := e.helm("ls", "-n", namespace); !strings.Contains(out, name) || !strings.Contains(out, "deployed") {
			t.Errorf("helm ls: %s", out)
		}
	}

	// It is ours now: what somebody does to it is put right, and what spec.adoption says does not matter any more.
	stack.Spec.Adoption = ""
	e.apply(stack)
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-proxy"}}
	e.check(e.client.Patch(t.Context(), config, client.RawPatch("application/merge-patch+json", []byte(`{"data":{"config.conf":"mode: nftables"}}`)), client.FieldOwner("somebody")))
	e.eventually("the ConfigMap to be put right", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKeyFromObject(config), config)
		return err == nil && strings.Contains(config.Data["config.conf"], "maxPerCore: 16384"), config.Data["config.conf"]
	})
	e.waitReady("default")
	for name := range wants {
		if c := e.component(name); c.Status.Release == nil || c.Status.Release.Revision != 1 || c.Status.Adoption.State != networkstackv1alpha1.AdoptionAdopted {
			t.Errorf("%s afterwards: %s", name, toJSON(c.Status))
		}
	}
	if diff := cmp.Diff(before, pods()); diff != "" {
		t.Errorf("pods were restarted: %s", diff)
	}

	// What the spec says otherwise is rolled out, the rest is kept.
	stack.Spec.KubeProxy.Mode = networkstackv1alpha1.KubeProxyNFTables
	e.apply(stack)
	e.eventually("the mode to change", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKeyFromObject(config), config)
		text := config.Data["config.conf"]
		return err == nil && strings.Contains(text, "mode: nftables") && strings.Contains(text, "maxPerCore: 16384"), text
	})
	e.waitReady("default")
	after := pods()
	if cmp.Equal(before["kube-system"], after["kube-system"]) {
		t.Error("kube-proxy was not restarted for its new mode")
	}
	if diff := cmp.Diff(before["kube-flannel"], after["kube-flannel"]); diff != "" {
		t.Errorf("Flannel was restarted: %s", diff)
	}

	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	e.apply(stack)
	e.check(e.client.Delete(t.Context(), stack))
	e.gone(stack)
	for _, u := range preinstalled.Objects(proxy + "---\n" + flannel) {
		if u.GetKind() == "Namespace" {
			continue
		}
		e.gone(u)
	}
}

// A report about what is never taken over does no harm, to nobody: not when adoption is asked for, nor when its component goes.
func TestAdoptionOfWhatIsManaged(t *testing.T) {
	t.Parallel()
	e := newCluster(t, controlplane.Options{})
	flannel := preinstalled.Manifest("flannel", "")
	e.check(preinstalled.Kubectl(t.Context(), e.cp.Binaries().Kubectl, e.admin, flannel))
	// The DaemonSet has no mark, but something else has.
	role := preinstalled.Objects(flannel)[1]
	e.check(e.client.Patch(t.Context(), role, client.RawPatch("application/merge-patch+json",
		[]byte(`{"metadata":{"annotations":{"argocd.argoproj.io/tracking-id":"net:x"}}}`)), client.FieldOwner("argocd-controller")))
	before, err := preinstalled.Versions(t.Context(), e.client, flannel)
	e.check(err)
	e.startOperator()

	stack := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	stack.Spec.CNI.Type = networkstackv1alpha1.CNIFlannel
	stack.Spec.Adoption = networkstackv1alpha1.AdoptionAdopt
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	e.apply(stack)
	e.eventually("the refusal", func(ctx context.Context) (bool, string) {
		var c networkstackv1alpha1.NetworkComponent
		if err := e.client.Get(ctx, client.ObjectKey{Name: "flannel"}, &c); err != nil {
			return false, err.Error()
		}
		a := c.Status.Adoption
		return a != nil && a.State == networkstackv1alpha1.AdoptionRefused && a.Differences[0].Live == "belongs to Argo CD application net" &&
			c.Status.Phase == networkstackv1alpha1.PhaseFailed, toJSON(c.Status)
	})
	stalled := e.waitCondition("default", networkstackv1alpha1.ConditionStalled, metav1.ConditionTrue, "")
	if text := toJSON(stalled.Status.Conditions); !strings.Contains(text, "ClusterRole flannel already exists and belongs to Argo CD application net; remove it there first") {
		t.Errorf("%s", text)
	}
	e.check(e.client.Delete(t.Context(), stack))
	e.gone(stack)
	after, err := preinstalled.Versions(t.Context(), e.client, flannel)
	if diff := cmp.Diff(before, after); err != nil || diff != "" {
		t.Errorf("touched: %v %s", err, diff)
	}
}
