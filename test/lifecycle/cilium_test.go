package lifecycle

import (
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testcharts"
)

// TestCiliumStack installs the second sample with upstream's chart beside a kube-proxy that somebody else installed,
// upgrades it, and brings kube-proxy back.
func TestCiliumStack(t *testing.T) {
	t.Parallel()
	charts := testcharts.PinnedDir(t, "cilium", "1.20.0")
	for _, older := range ciliumOlder {
		_ = testcharts.Upstream(t, "cilium", older)
	}
	e := newEnv(t, controlplane.Options{}, "--charts", charts)
	proxy := foreignKubeProxy()
	e.check(e.client.Create(t.Context(), proxy))
	e.eventually("the foreign kube-proxy to run", func(ctx context.Context) (bool, string) {
		e.check(e.client.Get(ctx, client.ObjectKeyFromObject(proxy), proxy))
		return proxy.Status.NumberAvailable == 3, toJSON(proxy.Status)
	})
	stack := sample(t, ciliumSample)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	stack.Spec.CNI.Version = ciliumOlder[0]
	e.apply(stack)
	applied := time.Now()
	e.waitReady(stack.Name)
	t.Logf("Cilium %s Ready and kube-proxy parked %.1f s after apply", ciliumOlder[0], time.Since(applied).Seconds())
	e.ciliumRuns(ciliumOlder[0])

	// One minor version at a time.
	stack.Spec.CNI.Version = ""
	e.apply(stack)
	refused := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if m := findCondition(refused, networkstackv1alpha1.ConditionAccepted).Message; !strings.Contains(m, "go to 1.19.6 first") {
		t.Errorf("two minors at once are refused with %q", m)
	}
	stack.Spec.CNI.Version = ciliumOlder[1]
	e.apply(stack)
	e.waitReady(stack.Name)
	e.ciliumRuns(ciliumOlder[1])
	stack.Spec.CNI.Version = ""
	e.apply(stack)
	ready := e.waitReady(stack.Name)
	e.ciliumRuns("1.20.0")
	if list := e.helm("ls", "-A"); !strings.Contains(list, "cilium-1.20.0") {
		t.Errorf("helm ls -A does not show Cilium:\n%s", list)
	}
	e.checkCiliumConfig(ready)
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(proxy), proxy))
	if proxy.Status.DesiredNumberScheduled != 0 && len(proxy.Spec.Template.Spec.NodeSelector) < 2 {
		t.Errorf("kube-proxy is not parked: %v", proxy.Spec.Template.Spec.NodeSelector)
	}

	// A minor version at a time, in both directions; two are refused.
	stack.Spec.CNI.Version = ciliumOlder[0]
	e.apply(stack)
	e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	stack.Spec.CNI.Version = ""

	e.cleansUp(stack, proxy)
	stack.Spec.KubeProxy.Mode = networkstackv1alpha1.KubeProxyUnmanaged
	e.apply(stack)
	e.eventually("kube-proxy to be unparked", func(ctx context.Context) (bool, string) {
		e.check(e.client.Get(ctx, client.ObjectKeyFromObject(proxy), proxy))
		return len(proxy.Spec.Template.Spec.NodeSelector) == 1, toJSON(proxy.Spec.Template.Spec.NodeSelector)
	})
	for _, obj := range []client.Object{
		&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "kube-proxy-cleanup"}},
		&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-proxy-cleanup"}},
	} {
		if err := e.client.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); !apierrors.IsNotFound(err) {
			t.Errorf("%T: what cleans up is there while kube-proxy comes back: %v", obj, err)
		}
	}
	e.eventually("kube-proxy to be brought back", func(ctx context.Context) (bool, string) {
		e.check(e.client.Get(ctx, client.ObjectKeyFromObject(proxy), proxy))
		return proxy.Status.NumberAvailable == 3 && len(proxy.Spec.Template.Spec.NodeSelector) == 1, toJSON(proxy.Spec.Template.Spec.NodeSelector)
	})
	e.waitReady(stack.Name)
	e.ciliumConfig("kube-proxy-replacement", "false")
	e.monitorsFollowDefinition(stack)

	before := e.count("cilium")
	e.patch(&corev1.ConfigMap{}, client.ObjectKey{Namespace: "kube-system", Name: "cilium-config"}, "intruder",
		`{"apiVersion":"v1","kind":"ConfigMap","data":{"tunnel-protocol":"geneve"}}`)
	if last := e.drifts("cilium", before+1); last.Fields[0].Path != ".data.tunnel-protocol" || last.Manager != "intruder" {
		t.Errorf("%s", toJSON(last))
	}
	e.ciliumConfig("tunnel-protocol", "vxlan")

	// What cleans up behind kube-proxy is between Cilium and Multus, and goes between them.
	stack.Spec.CNI.FlowLogs, stack.Spec.KubeProxy.Mode = networkstackv1alpha1.Enabled, networkstackv1alpha1.KubeProxyReplaced
	stack.Spec.SecondaryNetworks = &networkstackv1alpha1.SecondaryNetworksSpec{Type: networkstackv1alpha1.SecondaryNetworksMultus}
	e.apply(stack)
	e.eventually("all components", func(ctx context.Context) (bool, string) {
		var list networkstackv1alpha1.NetworkComponentList
		err := e.client.List(ctx, &list)
		return err == nil && len(list.Items) == 3, toJSON(list.Items)
	})
	e.waitReady(stack.Name)
	e.ciliumConfig("hubble-export-file-path", "/var/run/cilium/hubble/events.log")
	e.check(e.client.Delete(t.Context(), stack.DeepCopy()))
	e.nothingLeft(stack)
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(proxy), proxy)) // somebody else's
	if selector := proxy.Spec.Template.Spec.NodeSelector; len(selector) != 1 {
		t.Errorf("kube-proxy is left parked: %v", selector)
	}
}

// cleansUp turns the clean-up off and parking back, and wants it to come when kube-proxy is parked again, and not before.
func (e *env) cleansUp(stack *networkstackv1alpha1.NetworkStack, proxy *appsv1.DaemonSet) {
	t := e.t
	t.Helper()
	stack.Spec.KubeProxy.Mode = networkstackv1alpha1.KubeProxyUnmanaged
	e.apply(stack)
	e.eventually("kube-proxy to run", func(ctx context.Context) (bool, string) {
		e.check(e.client.Get(ctx, client.ObjectKeyFromObject(proxy), proxy))
		return proxy.Status.NumberAvailable == 3, toJSON(proxy.Status)
	})
	e.waitReady(stack.Name)
	stack.Spec.KubeProxy.Mode, stack.Spec.KubeProxy.Cleanup = networkstackv1alpha1.KubeProxyReplaced, networkstackv1alpha1.Enabled
	e.apply(stack)
	var c networkstackv1alpha1.NetworkComponent
	e.eventually("what cleans up behind kube-proxy", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKey{Name: "kube-proxy-cleanup"}, &c)
		return err == nil, toJSON(err)
	})
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(proxy), proxy))
	if s := proxy.Status; len(proxy.Spec.Template.Spec.NodeSelector) < 2 || s.CurrentNumberScheduled+s.NumberMisscheduled > 0 {
		t.Errorf("the clean-up began while kube-proxy ran: %s", toJSON(s))
	}
	if cilium := e.component("cilium"); cilium.Status.Phase != networkstackv1alpha1.PhaseReady {
		t.Errorf("the clean-up began while Cilium was %s", cilium.Status.Phase)
	}
	e.waitReady(stack.Name)
	var ds appsv1.DaemonSet
	e.eventually("the clean-up on every node", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "kube-proxy-cleanup"}, &ds)
		return err == nil && ds.Status.NumberAvailable == 3, toJSON(ds.Status)
	})
	init := ds.Spec.Template.Spec.InitContainers[0]
	if init.Image != proxy.Spec.Template.Spec.Containers[0].Image || init.Command[1] != "--cleanup" {
		t.Errorf("%s runs %v", init.Image, init.Command)
	}
}

// ciliumOlder are two minors before the newest, one step from each other.
var ciliumOlder = [...]string{"1.18.12", "1.19.6"}

// ciliumRuns checks which version the agents are.
func (e *env) ciliumRuns(version string) {
	e.t.Helper()
	var ds appsv1.DaemonSet
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "cilium"}, &ds))
	image := ds.Spec.Template.Spec.Containers[0].Image
	if !strings.Contains(image, ":v"+version) || ds.Status.UpdatedNumberScheduled != 3 {
		e.t.Errorf("agents run %s, %d of them new; want %s", image, ds.Status.UpdatedNumberScheduled, version)
	}
}

func (e *env) checkCiliumConfig(s *networkstackv1alpha1.NetworkStack) {
	e.t.Helper()
	for key, want := range map[string]string{
		"kube-proxy-replacement":      "true",
		"enable-wireguard":            "true",
		"enable-ipv4":                 "true",
		"enable-ipv6":                 "true",
		"cluster-pool-ipv4-cidr":      "10.244.0.0/16",
		"cluster-pool-ipv4-mask-size": "24",
		"cluster-pool-ipv6-cidr":      "fd00:10:244::/56",
		"cluster-pool-ipv6-mask-size": "64",
		"routing-mode":                "tunnel",
		"tunnel-protocol":             "vxlan",
		"mtu":                         "1500",
	} {
		e.ciliumConfig(key, want)
	}
	var ds appsv1.DaemonSet
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "cilium"}, &ds))
	host := ""
	for _, env := range ds.Spec.Template.Spec.Containers[0].Env {
		if env.Name == "KUBERNETES_SERVICE_HOST" {
			host = env.Value
		}
	}
	if want := strings.Split(s.Status.Facts.APIServer, ":")[0]; host != want {
		e.t.Errorf("Cilium reaches the API server at %q, want the real endpoint %q", host, want)
	}
}

func (e *env) ciliumConfig(key, want string) {
	e.t.Helper()
	var cm corev1.ConfigMap
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "cilium-config"}, &cm))
	if cm.Data[key] != want {
		e.t.Errorf("cilium-config has %s=%q, want %q", key, cm.Data[key], want)
	}
}

// foreignKubeProxy is a kube-proxy as kubeadm leaves it, as far as parking is concerned.
func foreignKubeProxy() *appsv1.DaemonSet {
	labels := map[string]string{"k8s-app": "kube-proxy"}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-proxy", Labels: labels},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					HostNetwork:  true,
					NodeSelector: map[string]string{"kubernetes.io/os": "linux"},
					Tolerations:  []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers:   []corev1.Container{{Name: "kube-proxy", Image: "registry.k8s.io/kube-proxy:v1.37.1"}},
				},
			},
		},
	}
}
