package lifecycle

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/cli"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/fullstack"
	"github.com/networkstack/networkstack/test/operator"
)

// TestFullStack installs everything by one object, with upstream's charts, and then leaves the operator alone. The charts come from a
// bundle that the plugin made before, and from nowhere else: no repository can be reached, and nothing was fetched before. The test plays
// Cilium's operator and two webhooks (see fullstack.Play).
func TestFullStack(t *testing.T) {
	t.Parallel()
	dir, missing, err := fullstack.Missing()
	if err != nil || len(missing) > 0 {
		t.Skipf("upstream's chart archives %v are not in %s: %v", missing, dir, err)
	}
	bundle := filepath.Join(t.TempDir(), "charts.tar.gz")
	e := newCluster(t, controlplane.Options{AuditLog: filepath.Join(t.TempDir(), "audit.log")}, "--leader-elect", "--charts", bundle)
	data, err := os.ReadFile(filepath.Join(operator.Root(), "config", "components", "any-chart", "role_binding.yaml"))
	e.check(err)
	var binding rbacv1.ClusterRoleBinding
	e.check(yaml.UnmarshalStrict(data, &binding))
	e.check(e.client.Create(t.Context(), &binding))
	stack, err := fullstack.Stack()
	e.check(err)
	bundled(t, e, stack, dir, bundle)
	internet := cutOff(t, e)
	e.startOperator()
	player := fullstack.Play(t.Context(), e.client)
	t.Cleanup(func() {
		if err := player.Stop(); err != nil {
			t.Error(err)
		}
	})
	e.apply(stack)
	applied := time.Now()
	e.everythingReady(stack.Name)
	t.Logf("everything Ready %.1f s after apply", time.Since(applied).Seconds())
	if n := internet.Load(); n > 0 {
		t.Errorf("the operator wanted something of the world outside %d times", n)
	}
	if kept, err := filepath.Glob(filepath.Join(e.chartCache, "*", "*")); err != nil || len(kept) > 0 {
		t.Errorf("the operator fetched %v: %v", kept, err)
	}
	for _, step := range []struct {
		name string
		run  func(*testing.T, *env, *networkstackv1alpha1.NetworkStack)
	}{
		{"the parts know of one another", fullAware},
		{"the operator has nothing to do", func(t *testing.T, e *env, _ *networkstackv1alpha1.NetworkStack) {
			e.idles(idleWindow(t, 10*time.Second))
		}},
		{"what others change is put right", fullTampered},
	} {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, stack) }) }) {
			t.FailNow()
		}
	}
}

// bundled has the plugin make a bundle of the charts of a stack, and then takes everything away that it was made from.
func bundled(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack, archives, bundle string) {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "archives")
	e.check(os.CopyFS(source, os.DirFS(archives)))
	object := stack.DeepCopy()
	object.APIVersion, object.Kind = networkstackv1alpha1.GroupVersion.String(), "NetworkStack"
	data, err := yaml.Marshal(object)
	e.check(err)
	file := filepath.Join(dir, "stack.yaml")
	e.check(os.WriteFile(file, data, 0o600))
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), cli.Options{
		Name: "kubectl-networkstack", Args: []string{"charts", "bundle", file, "--to", bundle, "--charts", source, "--offline", "--kubeconfig", e.admin},
		Env: os.Getenv, In: strings.NewReader(""), Out: &out, Err: &errs,
	})
	if code != cli.ExitFine {
		t.Fatalf("charts bundle exits with %d:\n%s%s", code, &out, &errs)
	}
	t.Log(strings.TrimSpace(out.String()))
	index, err := chart.ReadBundle(bundle)
	e.check(err)
	if got := len(index.Charts); got != len(fullstack.Archives) {
		t.Errorf("the bundle has %d charts, not %d", got, len(fullstack.Archives))
	}
	e.check(os.RemoveAll(dir))
}

// cutOff gives the operator a proxy that leads nowhere, and counts what is wanted of it. The API server is on this machine, to which
// no proxy is asked.
func cutOff(t *testing.T, e *env) *atomic.Int64 {
	t.Helper()
	var asked atomic.Int64
	nowhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(nowhere.Close)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		e.environ = append(e.environ, name+"="+nowhere.URL)
	}
	e.environ = append(e.environ, "NO_PROXY=", "no_proxy=")
	return &asked
}

// everythingReady waits for all components.
func (e *env) everythingReady(name string) {
	e.t.Helper()
	const patience = 5 * time.Minute // there is much to do
	last := ""
	err := wait.PollUntilContextTimeout(e.t.Context(), look, patience, true, func(ctx context.Context) (ready bool, err error) {
		ready, last, err = fullstack.Ready(ctx, e.client, name)
		return ready, err
	})
	if err != nil {
		e.t.Fatalf("waiting for all components to be Ready: %v; last seen: %s", err, last)
	}
}

func fullAware(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	var config corev1.ConfigMap
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "cilium-config"}, &config))
	for key, want := range map[string]string{
		"kube-proxy-replacement": "true", "enable-ipv4": "true", "enable-ipv6": "true", // in place of kube-proxy, dual-stack
		"cni-exclusive": "false", "bpf-lb-sock-hostns-only": "true", // for the mesh
		"enable-local-redirect-policy": "true", // for the caches
		"prometheus-serve-addr":        ":9962",
	} {
		if config.Data[key] != want {
			t.Errorf("Cilium's %s is %q, not %q", key, config.Data[key], want)
		}
	}
	var gateway appsv1.Deployment
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "istio-ingress", Name: "ingress-mesh"}, &gateway))
	if gateway.Status.AvailableReplicas != 2 || gateway.Spec.Template.Labels["istio.io/rev"] != "1-30-3" {
		t.Errorf("Istio's gateway: %s", toJSON(gateway))
	}
	// What Prometheus is told of: each pod once. kube-prometheus-stack has its own of what it brings and of the control plane.
	monitors := &unstructured.UnstructuredList{}
	monitors.SetGroupVersionKind(schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitorList"})
	e.check(e.client.List(t.Context(), monitors))
	var names []string
	for i := range monitors.Items {
		m := &monitors.Items[i]
		if m.GetLabels()["release"] != "monitoring" {
			t.Errorf("ServiceMonitor %s is not selected: %v", m.GetName(), m.GetLabels())
		}
		if m.GetLabels()[networkstackv1alpha1.ComponentLabel] == "observability" {
			names = append(names, strings.TrimSuffix(m.GetName(), "-metrics"))
		} else if strings.Contains(m.GetName(), "coredns") {
			t.Errorf("CoreDNS is monitored by %s as well", m.GetName())
		}
	}
	slices.Sort(names)
	if want := []string{"cilium-agent", "cilium-envoy", "cilium-operator", "coredns", "ingress-mesh", "ingress-public", "metallb-controller", "metallb-speaker",
		"node-local-dns"}; !slices.Equal(names, want) {
		t.Errorf("monitors: %v, want %v", names, want)
	}
	if w := toJSON(e.stack(stack.Name).Status.Warnings); strings.Contains(w, "MONITORS-") {
		t.Errorf("warnings: %s", w)
	}
}

// fullTampered has an object of each part deleted or changed at the same time.
func fullTampered(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	objects := []client.Object{
		&corev1.ConfigMap{}, &corev1.ConfigMap{}, &appsv1.Deployment{}, &appsv1.DaemonSet{}, &appsv1.Deployment{},
	}
	for i, key := range []client.ObjectKey{
		{Namespace: "kube-system", Name: "cilium-config"}, {Namespace: "kube-system", Name: "coredns"}, {Namespace: "traefik", Name: "ingress-public"},
		{Namespace: "istio-system", Name: "ztunnel"}, {Namespace: "cert-manager", Name: "cert-manager"},
	} {
		e.check(e.client.Get(t.Context(), key, objects[i]))
	}
	for _, o := range objects {
		e.check(e.client.Delete(t.Context(), o))
	}
	for _, o := range objects {
		uid := o.GetUID()
		e.eventually(o.GetName()+" to be back", func(ctx context.Context) (bool, string) {
			err := e.client.Get(ctx, client.ObjectKeyFromObject(o), o)
			return err == nil && o.GetUID() != uid, toJSON(err)
		})
	}
	e.everythingReady(stack.Name)
}
