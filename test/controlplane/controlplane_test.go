package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// patience is for a machine that is busy with other tests.
const patience = 2 * time.Minute

// Two control planes at the same time, each with all that tests rely on.
func TestControlPlane(t *testing.T) {
	binaries(t)
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			audit := filepath.Join(t.TempDir(), "audit.log")
			c, err := Start(t.Context(), Options{
				Nodes:    3,
				Node:     NodeOptions{KernelVersion: "5.15.0", MTU: 9000},
				AuditLog: audit,
				Out:      t.Output(),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := c.Stop(); err != nil {
					t.Error(err)
				}
			}()
			client := kubernetes.NewForConfigOrDie(c.RESTConfig())
			t.Run("version", func(t *testing.T) { testVersion(t, c, client) })
			t.Run("nodes", func(t *testing.T) { testNodes(t, client) })
			t.Run("RBAC and audit", func(t *testing.T) { testRBAC(t, c, client) })
			t.Run("pods", func(t *testing.T) { testPods(t, client) })
			t.Run("service", func(t *testing.T) { testService(t, client) })
			t.Run("API server restart", func(t *testing.T) { testRestart(t, c, client) })
			t.Run("stop", func(t *testing.T) { testStop(t, c) })
		})
	}
}

// Nodes come while a DaemonSet waits for them: none of their Pods is overlooked.
func TestNodesJoin(t *testing.T) {
	binaries(t)
	c := ForTest(t, Options{Nodes: 1, Out: t.Output()})
	client := kubernetes.NewForConfigOrDie(c.RESTConfig())
	labels := map[string]string{"app": "agent"}
	_, err := client.AppsV1().DaemonSets("default").Create(t.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{HostNetwork: true, Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
				Containers: []corev1.Container{{Name: "agent", Image: "example.test/agent:v1"}}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nodes := int32(1)
	for range 5 {
		if err := c.AddNodes(t.Context(), 20, NodeOptions{}); err != nil {
			t.Fatal(err)
		}
		nodes += 20
		eventually(t, patience, func() error {
			ds, err := client.AppsV1().DaemonSets("default").Get(t.Context(), "agent", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if s := ds.Status; s.DesiredNumberScheduled != nodes || s.NumberReady != nodes {
				return fmt.Errorf("%d of %d pods are ready, of %d nodes", s.NumberReady, s.DesiredNumberScheduled, nodes)
			}
			return nil
		})
	}
}

func TestSingleStackIPv6(t *testing.T) {
	c := ForTest(t, Options{ServiceCIDRs: []string{"fd00:10:96::/112"}, Nodes: 1, Out: t.Output()})
	client := kubernetes.NewForConfigOrDie(c.RESTConfig())
	node, err := client.CoreV1().Nodes().Get(t.Context(), "node-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(node.Spec.PodCIDRs) != 1 || isIPv4(node.Spec.PodCIDRs[0]) {
		t.Errorf("Pod ranges are %v", node.Spec.PodCIDRs)
	}
}

func testVersion(t *testing.T, c *ControlPlane, client kubernetes.Interface) {
	want := c.Binaries().KubernetesVersion
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if version.GitVersion != want || version.Major != "1" || "1."+version.Minor != DefaultVersion {
		t.Errorf("the API server is %+v, want %s", version, want)
	}
	out, err := exec.CommandContext(t.Context(), c.Binaries().Kubectl, "version", "--kubeconfig", c.Kubeconfig()).CombinedOutput()
	if err != nil || strings.Count(string(out), want) != 2 {
		t.Errorf("kubectl version: %v\n%s", err, out)
	}
}

func testNodes(t *testing.T, client kubernetes.Interface) {
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes.Items) != 3 {
		t.Fatalf("%d nodes, want 3", len(nodes.Items))
	}
	for _, n := range nodes.Items {
		var ips []string
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				ips = append(ips, a.Address)
			}
		}
		if len(ips) != 2 || netip.MustParseAddr(ips[0]).Is4() == netip.MustParseAddr(ips[1]).Is4() {
			t.Errorf("%s has the addresses %v, want one of each family", n.Name, ips)
		}
		if len(n.Spec.PodCIDRs) != 2 || !isIPv4(n.Spec.PodCIDRs[0]) || isIPv4(n.Spec.PodCIDRs[1]) {
			t.Errorf("%s has the Pod ranges %v, want one of each family", n.Name, n.Spec.PodCIDRs)
		}
		if n.Status.NodeInfo.KernelVersion != "5.15.0" || n.Annotations[MTUAnnotation] != "9000" {
			t.Errorf("%s: kernel %s, annotations %v", n.Name, n.Status.NodeInfo.KernelVersion, n.Annotations)
		}
		ready := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
		if !ready || len(n.Spec.Taints) > 0 {
			t.Errorf("%s: conditions %+v, taints %v", n.Name, n.Status.Conditions, n.Spec.Taints)
		}
	}
}

func testRBAC(t *testing.T, c *ControlPlane, admin kubernetes.Interface) {
	ctx := t.Context()
	as := func(name string) kubernetes.Interface {
		t.Helper()
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := admin.CoreV1().ServiceAccounts("default").Create(ctx, account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		config, path, err := c.ServiceAccountConfig(ctx, "default", name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		return kubernetes.NewForConfigOrDie(config)
	}
	unbound, bound := as("unbound"), as("bound")
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "bound"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: "bound"}},
	}
	if _, err := admin.RbacV1().RoleBindings("default").Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := unbound.CoreV1().Pods("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("unbound ServiceAccount lists Pods: %v, want Forbidden", err)
	}
	// The authorizer and the aggregated role "view" follow within moments.
	eventually(t, patience, func() error {
		_, err := bound.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		return err
	})
	eventually(t, patience, func() error {
		events, err := c.Audit(ctx)
		if err != nil {
			return err
		}
		denied := slices.ContainsFunc(events, func(e AuditEvent) bool {
			return e.User == "system:serviceaccount:default:unbound" && e.Verb == "list" &&
				e.Resource == "pods" && e.Namespace == "default" && e.Code == 403
		})
		if !denied {
			return fmt.Errorf("no denied request among %d in the audit log", len(events))
		}
		return nil
	})
}

func testPods(t *testing.T, client kubernetes.Interface) {
	ctx := t.Context()
	labels := map[string]string{"app": "agent"}
	ds := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					HostNetwork:    true,
					InitContainers: []corev1.Container{{Name: "init", Image: "example.test/init:v1"}},
					Containers:     []corev1.Container{{Name: "agent", Image: "example.test/agent:v1"}},
				},
			},
		},
	}
	if _, err := client.AppsV1().DaemonSets("default").Create(ctx, ds, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ready := func(want int32) func() error {
		return func() error {
			ds, err := client.AppsV1().DaemonSets("default").Get(ctx, "agent", metav1.GetOptions{})
			if err != nil {
				return err
			}
			s := ds.Status
			if s.ObservedGeneration != ds.Generation || s.DesiredNumberScheduled != 3 || s.NumberReady != want {
				return fmt.Errorf("DaemonSet status is %+v, want %d ready", s, want)
			}
			return nil
		}
	}
	eventually(t, patience, ready(3))
	pods, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=agent"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		if len(p.Status.HostIPs) != 2 || len(p.Status.PodIPs) != 2 || p.Status.PodIP != p.Status.HostIP {
			t.Errorf("Pod %s: host %v, Pod %v", p.Name, p.Status.HostIPs, p.Status.PodIPs)
		}
	}
	// The node controller says that of the pods of a node that it has not heard of for a while; the kubelet knows better.
	lost := `{"status":{"conditions":[{"type":"Ready","status":"False","reason":"NodeNotReady"}]}}`
	name := pods.Items[0].Name
	changed, err := client.CoreV1().Pods("default").Patch(ctx, name, "application/strategic-merge-patch+json", []byte(lost), metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() error {
		p, err := client.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if p.ResourceVersion == changed.ResourceVersion || !slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && c.Reason == ""
		}) {
			return fmt.Errorf("Pod %s: %+v", p.Name, p.Status.Conditions)
		}
		return nil
	})
	patch := `{"spec":{"template":{"spec":{"containers":[{"name":"agent","image":"example.test/does-not-exist:v2"}]}}}}`
	if _, err := client.AppsV1().DaemonSets("default").Patch(ctx, "agent", "application/strategic-merge-patch+json", []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, ready(2)) // the rollout stops at the first Pod
}

func testService(t *testing.T, client kubernetes.Interface) {
	policy := corev1.IPFamilyPolicyRequireDualStack
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "dual"},
		Spec:       corev1.ServiceSpec{IPFamilyPolicy: &policy, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	service, err := client.CoreV1().Services("default").Create(t.Context(), service, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(service.Spec.ClusterIPs) != 2 {
		t.Errorf("cluster IPs are %v, want 2", service.Spec.ClusterIPs)
	}
}

func testRestart(t *testing.T, c *ControlPlane, client kubernetes.Interface) {
	c.KillAPIServer()
	if _, err := client.Discovery().ServerVersion(); err == nil {
		t.Error("the killed API server answers")
	}
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.StartAPIServer(t.Context()); err == nil {
		t.Error("a running API server was started again")
	}
	if _, err := client.CoreV1().Nodes().Get(t.Context(), "node-0", metav1.GetOptions{}); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	c.PauseAPIServer()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := client.CoreV1().Nodes().Get(ctx, "node-0", metav1.GetOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the paused API server answers: %v", err)
	}
	c.ResumeAPIServer()
	if err := c.AddNodes(t.Context(), 1, NodeOptions{NamePrefix: "late-"}); err != nil {
		t.Error(err)
	}
}

func testStop(t *testing.T, c *ControlPlane) {
	r, err := readRecord(c.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Processes) != 5 {
		t.Errorf("recorded processes: %+v", r.Processes)
	}
	start := time.Now()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	t.Logf("stopped in %s", time.Since(start).Round(time.Millisecond))
	if err := noneAlive(r.Processes, c.Dir()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.Dir()); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", c.Dir(), err)
	}
}
