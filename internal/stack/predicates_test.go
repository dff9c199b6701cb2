package stack

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/plan"
)

func TestNodeChanged(t *testing.T) {
	node := func() *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "1", Annotations: map[string]string{"other": "x"}}}
		n.Spec.PodCIDRs = []string{"10.244.0.0/24"}
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}
		n.Status.NodeInfo = corev1.NodeSystemInfo{KernelVersion: "6.1.0", OperatingSystem: "linux"}
		return n
	}
	for _, tc := range []struct {
		name   string
		change func(*corev1.Node)
		want   bool
	}{
		{"nothing", func(*corev1.Node) {}, false},
		// Every node has one of these every few minutes, in a large cluster many a second.
		{"heartbeat", func(n *corev1.Node) {
			n.ResourceVersion = "2"
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, LastHeartbeatTime: metav1.Now()}}
			n.Status.Images = []corev1.ContainerImage{{Names: []string{"x"}}}
		}, false},
		{"cordoned and not ready", func(n *corev1.Node) {
			n.Spec.Unschedulable = true
			n.Spec.Taints = []corev1.Taint{{Key: "node.kubernetes.io/unschedulable"}, {Key: "node.kubernetes.io/not-ready"}}
		}, false},
		{"label", func(n *corev1.Node) { n.Labels = map[string]string{"a": "b"} }, true},
		{"taint", func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "x"}} }, true},
		{"another annotation", func(n *corev1.Node) { n.Annotations["other"] = "y" }, false},
		{"kubelet's version", func(n *corev1.Node) { n.Status.NodeInfo.KubeletVersion = "v1.37.3" }, false},
		{"pod ranges", func(n *corev1.Node) { n.Spec.PodCIDRs = append(n.Spec.PodCIDRs, "fd00::/64") }, true},
		{"addresses", func(n *corev1.Node) { n.Status.Addresses[0].Address = "192.0.2.2" }, true},
		{"kernel", func(n *corev1.Node) { n.Status.NodeInfo.KernelVersion = "6.2.0" }, true},
		{"operating system", func(n *corev1.Node) { n.Status.NodeInfo.OperatingSystem = "windows" }, true},
		{"provider", func(n *corev1.Node) { n.Spec.ProviderID = "gce://" }, true},
		{"label of a distribution", func(n *corev1.Node) { n.Labels = map[string]string{"kubernetes.azure.com/cluster": "x"} }, true},
		{"operating system's name", func(n *corev1.Node) { n.Status.NodeInfo.OSImage = "Talos (v1.11.2)" }, true},
		{"virtual servers", func(n *corev1.Node) { n.Annotations[networkstackv1alpha1.NodeIPVSAnnotation] = "1" }, true},
		{"bridges", func(n *corev1.Node) { n.Annotations[networkstackv1alpha1.NodeBridgesAnnotation] = "false" }, true},
		{"MTU", func(n *corev1.Node) { n.Annotations[networkstackv1alpha1.NodeMTUAnnotation] = "1500" }, true},
		{"arguments of k3s", func(n *corev1.Node) { n.Annotations["k3s.io/node-args"] = `["server"]` }, true},
	} {
		changed := node()
		tc.change(changed)
		if got := nodeChanged().Update(event.UpdateEvent{ObjectOld: node(), ObjectNew: changed}); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
	if p := nodeChanged(); !p.Create(event.CreateEvent{Object: node()}) || !p.Delete(event.DeleteEvent{Object: node()}) {
		t.Error("nodes that come or go are not noticed")
	}
}

func TestDefinitionChanged(t *testing.T) {
	named := func(name string) client.Object {
		d := facts.Definition()
		d.Name = name
		return d
	}
	p := definitionChanged()
	for name, want := range map[string]bool{facts.ServiceMonitors: true, facts.PodMonitors: true, "ciliumnodes.cilium.io": false} {
		if p.Create(event.CreateEvent{Object: named(name)}) != want || p.Delete(event.DeleteEvent{Object: named(name)}) != want {
			t.Errorf("%s: it comes or goes", name)
		}
		if p.Update(event.UpdateEvent{ObjectOld: named(name), ObjectNew: named(name)}) {
			t.Errorf("%s: nothing has happened to it", name)
		}
		going := named(name)
		going.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
		if p.Update(event.UpdateEvent{ObjectOld: named(name), ObjectNew: going}) != want {
			t.Errorf("%s: it is about to go", name)
		}
	}
}

func TestAgentChanged(t *testing.T) {
	agent := func(name string) *appsv1.DaemonSet {
		ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1, ResourceVersion: "1",
			Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"a": "b"}}}
		ds.Spec.Template.Spec.Containers = []corev1.Container{{Name: name + "-agent"}}
		ds.Status.ObservedGeneration = 1
		return ds
	}
	for _, tc := range []struct {
		name, agent string
		change      func(*appsv1.DaemonSet)
		want        bool
	}{
		{"nothing", "cilium", func(*appsv1.DaemonSet) {}, false},
		{"progress of a CNI", "cilium", func(ds *appsv1.DaemonSet) { ds.Status.NumberAvailable, ds.ResourceVersion = 1, "2" }, false},
		{"a CNI missing on a node", "cilium", func(ds *appsv1.DaemonSet) { ds.Status.DesiredNumberScheduled = 2 }, true},
		{"another missing on a node", "logger", func(ds *appsv1.DaemonSet) { ds.Status.DesiredNumberScheduled = 2 }, false},
		{"progress of kube-proxy", "kube-proxy", func(ds *appsv1.DaemonSet) { ds.Status.NumberAvailable = 1 }, true},
		{"nothing about kube-proxy", "kube-proxy", func(ds *appsv1.DaemonSet) { ds.ResourceVersion = "2" }, false},
		{"spec", "cilium", func(ds *appsv1.DaemonSet) { ds.Generation = 2 }, true},
		{"labels", "cilium", func(ds *appsv1.DaemonSet) { ds.Labels[networkstackv1alpha1.ComponentLabel] = "cilium" }, true},
		{"annotations", "cilium", func(ds *appsv1.DaemonSet) { ds.Annotations = nil }, true},
	} {
		changed := agent(tc.agent)
		tc.change(changed)
		if got := agentChanged().Update(event.UpdateEvent{ObjectOld: agent(tc.agent), ObjectNew: changed}); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
	if p := agentChanged(); !p.Create(event.CreateEvent{Object: agent("cilium")}) || !p.Delete(event.DeleteEvent{Object: agent("cilium")}) {
		t.Error("agents that come or go are not noticed")
	}
}

func TestClusterConfiguration(t *testing.T) {
	for _, tc := range []struct {
		namespace, name string
		want            bool
	}{
		{"kube-system", "kubeadm-config", true},
		{"kube-public", "cluster-info", true},
		{"kube-system", "cluster-info", false},
		{"kube-public", "kubeadm-config", false},
		{"networkstack-system", "values", false},
		{"networkstack-system", "networkstack-catalog", true},
		{"default", "networkstack-catalog", false},
	} {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: tc.namespace, Name: tc.name}}
		if got := clusterConfiguration(&catalog.Source{Namespace: "networkstack-system"}).Update(event.UpdateEvent{ObjectOld: cm, ObjectNew: cm}); got != tc.want {
			t.Errorf("%s/%s: %v", tc.namespace, tc.name, got)
		}
	}
}

func TestOnlyDeletion(t *testing.T) {
	s, p := stackOf(), onlyDeletion()
	if !p.Delete(event.DeleteEvent{Object: s}) {
		t.Error("a deletion is not noticed")
	}
	if p.Create(event.CreateEvent{Object: s}) || p.Update(event.UpdateEvent{ObjectOld: s, ObjectNew: s}) || p.Generic(event.GenericEvent{Object: s}) {
		t.Error("something else is noticed")
	}
}

func TestLeavingNow(t *testing.T) {
	all := components{component("cni", 0), component("proxy", 1), component("dns", 2), component("mesh", 2)}
	for _, tc := range []struct {
		name       string
		components components
		policy     networkstackv1alpha1.DeletionPolicy
		want       []string
	}{
		{"orphans go at once", all, networkstackv1alpha1.DeletionOrphan, []string{"cni", "proxy", "dns", "mesh"}},
		{"what was installed last goes first", all, networkstackv1alpha1.DeletionDelete, []string{"dns", "mesh"}},
		{"the next stage when that is gone", all[:2], networkstackv1alpha1.DeletionDelete, []string{"proxy"}},
		{"the first stage at last", all[:1], networkstackv1alpha1.DeletionDelete, []string{"cni"}},
		{"stages below zero", components{component("a", -2), component("b", -1)}, networkstackv1alpha1.DeletionDelete, []string{"b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, c := range leavingNow(tc.components, tc.policy) {
				got = append(got, c.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestStrayKubeProxy(t *testing.T) {
	proxy := func(component string) *facts.Snapshot {
		return &facts.Snapshot{Installed: []facts.Installed{{Type: facts.InstalledKubeProxy, Component: component}}}
	}
	ours := components{component("kube-proxy", 1)}
	replaced, kept := networkstackv1alpha1.KubeProxyReplaced, networkstackv1alpha1.KubeProxyUnmanaged
	for _, tc := range []struct {
		name         string
		found        *facts.Snapshot
		components   components
		mode         networkstackv1alpha1.KubeProxyMode
		park         bool
		stray, parks bool
	}{
		{"none", &facts.Snapshot{}, nil, replaced, false, false, false},
		{"a CNI", &facts.Snapshot{Installed: []facts.Installed{{Type: facts.InstalledCilium}}}, nil, replaced, false, false, false},
		{"a component of ours is removed, not parked", proxy("kube-proxy"), ours, replaced, false, false, false},
		{"somebody else's", proxy(""), nil, replaced, true, true, true},
		{"somebody else's that is to run", proxy(""), nil, kept, false, true, false},
		// Its component went without uninstalling it.
		{"ours, left running", proxy("kube-proxy"), nil, replaced, false, true, true},
		{"ours, left running, as it is to", proxy("kube-proxy"), nil, kept, false, true, false},
		{"of a component that is another now", proxy("other"), ours, replaced, false, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &scope{facts: tc.found, components: tc.components, result: &compose.Result{KubeProxy: tc.mode, ParkKubeProxy: tc.park}}
			if got := s.strayKubeProxy() != nil; got != tc.stray {
				t.Errorf("stray: %v", got)
			}
			if got := s.parks(); got != tc.parks {
				t.Errorf("parks: %v", got)
			}
		})
	}
}

// TestRemovalPolicy wants nothing to be uninstalled that nobody takes the place of.
func TestRemovalPolicy(t *testing.T) {
	proxy := component("kube-proxy", 1, func(c *networkstackv1alpha1.NetworkComponent) { c.Spec.Type = compose.TypeKubeProxy })
	cni := component("cni", 0)
	for _, tc := range []struct {
		name      string
		component *networkstackv1alpha1.NetworkComponent
		mode      networkstackv1alpha1.KubeProxyMode
		want      networkstackv1alpha1.DeletionPolicy
	}{
		{"kube-proxy that the CNI replaces", &proxy, networkstackv1alpha1.KubeProxyReplaced, networkstackv1alpha1.DeletionDelete},
		{"kube-proxy that nobody replaces", &proxy, networkstackv1alpha1.KubeProxyUnmanaged, networkstackv1alpha1.DeletionOrphan},
		{"another component", &cni, networkstackv1alpha1.KubeProxyUnmanaged, networkstackv1alpha1.DeletionDelete},
		{"a component that is gone", nil, networkstackv1alpha1.KubeProxyUnmanaged, networkstackv1alpha1.DeletionDelete},
	} {
		if got := removalPolicy(tc.component, &compose.Result{KubeProxy: tc.mode}); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestStepTextOfKeptWithoutComponent(t *testing.T) {
	if got := stepText(step("cni", plan.Keep, 0), nil); got != "cni: not there yet" {
		t.Errorf("%q", got)
	}
}
