package stack

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
)

func agentSet(namespace, name, component, image string, volumes ...corev1.Volume) *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, Labels: map[string]string{networkstackv1alpha1.ComponentLabel: component},
	}}
	ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": component}}
	ds.Spec.Template.Spec = corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: image}}, Volumes: volumes}
	return ds
}

func hostPath(name, path string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}}
}

// TestLeftoversOf wants no more to be cleaned than the agents that are there have left, and where they have.
func TestLeftoversOf(t *testing.T) {
	flannel := agentSet("kube-flannel", "kube-flannel-ds", "flannel", "mirror/flannel:v1",
		hostPath("cni", "/etc/cni/multus"), hostPath("cni-plugin", "/opt/bin"), hostPath("run", "/run/flannel"))
	proxy := agentSet("kube-system", "kube-proxy", "kube-proxy", "mirror/kube-proxy:v1")
	on := func(ds *appsv1.DaemonSet, selector map[string]string) *appsv1.DaemonSet {
		ds = ds.DeepCopy()
		ds.Spec.Template.Spec.NodeSelector = selector
		return ds
	}
	agent := agentSet("kube-system", "networkstack-node-agent", "node-agent", "a/operator")
	agent.Spec.Template.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}}
	multus := agentSet("kube-system", "kube-multus-ds", "multus", "a/multus", hostPath("cni-conf", "/etc/cni/multus"), hostPath("cni-bin", "/opt/bin"))
	cache := agentSet("kube-system", "node-local-dns", "node-local-dns", "a/cache")
	cache.Spec.Template.Spec.Containers[0].Args = []string{"-localip", "169.254.20.10,10.96.0.10", "-conf", "/etc/Corefile"}
	redirected := cache.DeepCopy()
	cache.Spec.Template.Spec.HostNetwork = true
	some := map[string]string{"pool": "a"}
	for _, tc := range []struct {
		name   string
		agents map[string]*appsv1.DaemonSet
		want   compose.Leftovers
	}{
		{name: "none"},
		{"Flannel beside another kube-proxy", map[string]*appsv1.DaemonSet{"Flannel": flannel},
			compose.Leftovers{FlannelImage: "mirror/flannel:v1", ConfDir: "/etc/cni/multus", BinDir: "/opt/bin"}},
		{"kube-proxy beside another CNI", map[string]*appsv1.DaemonSet{"KubeProxy": on(proxy, some)},
			compose.Leftovers{KubeProxyImage: "mirror/kube-proxy:v1", NodeSelector: some}},
		{"the node agent alone", map[string]*appsv1.DaemonSet{"NodeAgent": agent}, compose.Leftovers{PullSecrets: []string{"pull"}}},
		{"kube-proxy and the node agent", map[string]*appsv1.DaemonSet{"NodeAgent": agent, "KubeProxy": on(proxy, some)},
			compose.Leftovers{KubeProxyImage: "mirror/kube-proxy:v1", NodeSelector: some, PullSecrets: []string{"pull"}}},
		{"both, on other nodes", map[string]*appsv1.DaemonSet{"Flannel": flannel, "KubeProxy": on(proxy, some)}, compose.Leftovers{
			FlannelImage: "mirror/flannel:v1", ConfDir: "/etc/cni/multus", BinDir: "/opt/bin", KubeProxyImage: "mirror/kube-proxy:v1",
		}},
		{"Multus", map[string]*appsv1.DaemonSet{"Multus": multus}, compose.Leftovers{
			Multus: &compose.MultusLeftovers{ConfDir: "/etc/cni/multus", BinDir: "/opt/bin"},
		}},
		{"caches of DNS", map[string]*appsv1.DaemonSet{"NodeLocalDNS": cache}, compose.Leftovers{
			NodeLocalDNS: &compose.NodeLocalDNSLeftovers{Image: "a/cache", Addresses: []string{"169.254.20.10", "10.96.0.10"}},
		}},
		{"caches of DNS that Cilium redirects to", map[string]*appsv1.DaemonSet{"NodeLocalDNS": redirected}, compose.Leftovers{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, leftoversOf(tc.agents)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestUncleanable wants an operator to leave alone what it needs itself.
func TestUncleanable(t *testing.T) {
	service := []string{"10.96.0.1", "fd00::1", "kubernetes.default"}
	flannel, both := compose.Leftovers{FlannelImage: "a"}, compose.Leftovers{FlannelImage: "a", KubeProxyImage: "b"}
	for _, tc := range []struct {
		name string
		r    *Reconciler
		left compose.Leftovers
		want string
	}{
		{"on the host's network", &Reconciler{OperatorImage: "a", APIServerHost: "192.0.2.10"}, both, ""},
		{"no image", &Reconciler{APIServerHost: "192.0.2.10"}, both, "image"},
		{"on the pods' network", &Reconciler{OperatorImage: "a", APIServerHost: "192.0.2.10", OnPodNetwork: true}, flannel, "cut itself off"},
		{"by the Service", &Reconciler{OperatorImage: "a", APIServerHost: "10.96.0.1"}, both, "apiServer.host"},
		{"by the Service, IPv6", &Reconciler{OperatorImage: "a", APIServerHost: "fd00::1"}, both, "apiServer.host"},
		{"by the Service's name", &Reconciler{OperatorImage: "a", APIServerHost: "kubernetes.default.svc.cluster.local"}, both, "apiServer.host"},
		{"by the Service of a kube-proxy that stays", &Reconciler{OperatorImage: "a", APIServerHost: "10.96.0.1"}, flannel, ""},
	} {
		if got := tc.r.uncleanable(tc.left, service); (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestUnfinished(t *testing.T) {
	nodes := map[string]nodeSeen{
		"a": {labels: map[string]string{"os": "linux"}}, "b": {labels: map[string]string{"os": "linux"}},
		"c": {labels: map[string]string{"os": "linux"}}, "d": {labels: map[string]string{"os": "windows"}},
	}
	pod := func(node string, ready corev1.ConditionStatus) corev1.Pod {
		p := corev1.Pod{}
		p.Spec.NodeName = node
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
		return p
	}
	got := unfinished(nodes, []corev1.Pod{pod("a", corev1.ConditionTrue), pod("b", corev1.ConditionFalse)}, map[string]string{"os": "linux"})
	if diff := cmp.Diff([]string{"b", "c"}, got); diff != "" {
		t.Error(diff)
	}
	if text := nodesText(got); text != "nodes b and c" {
		t.Error(text)
	}
	if text := nodesText(strings.Split("abcdefghijkl", "")); !strings.HasSuffix(text, ", j and 2 more") {
		t.Error(text)
	}
}

// cleaned is what a deletion is tried on: Flannel, kube-proxy and one node, without controllers.
type cleaned struct {
	*testing.T
	*Reconciler
	stack    *networkstackv1alpha1.NetworkStack
	recorder *events.FakeRecorder
}

type knownVersion struct{}

func (knownVersion) ServerVersion() (*version.Info, error) {
	return &version.Info{GitVersion: "v1.37.1"}, nil
}

func newCleaned(t *testing.T, more ...client.Object) *cleaned {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, networkstackv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	stack := stackOf()
	stack.Name, stack.UID, stack.Finalizers = "cluster", "1", []string{networkstackv1alpha1.Finalizer}
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"kubernetes.io/os": "linux"}}}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	objects := append(more, node, agentSet("kube-flannel", "kube-flannel-ds", "flannel", "a/flannel"),
		agentSet("kube-system", "kube-proxy", "kube-proxy", "a/kube-proxy"))
	for name, typ := range map[string]string{"flannel": "Flannel", "kube-proxy": "KubeProxy"} {
		c := component(name, map[string]int32{"flannel": 20, "kube-proxy": 10}[name])
		c.UID, c.Spec.Type, c.Labels = types.UID(name), typ, map[string]string{networkstackv1alpha1.StackLabel: stack.Name}
		objects = append(objects, &c)
	}
	fakeClient := fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, stack.DeepCopy())...).Build()
	recorder := events.NewFakeRecorder(20)
	return &cleaned{T: t, stack: stack, recorder: recorder, Reconciler: &Reconciler{
		Client: fakeClient, Recorder: recorder, OperatorImage: "a/operator", APIServerHost: "192.0.2.10",
		Catalog: &catalog.Source{Reader: fakeClient, Namespace: "operator"},
		Facts:   &facts.Discoverer{Reader: fakeClient, Live: fakeClient, Version: knownVersion{}},
	}}
}

// pass is a pass of a process that has just begun.
func (c *cleaned) pass() (gone bool, s *scope) {
	c.Helper()
	components, err := c.componentsOf(c.Context(), c.stack.Name)
	if err != nil {
		c.Fatal(err)
	}
	if err := c.Get(c.Context(), client.ObjectKeyFromObject(c.stack), c.stack); client.IgnoreNotFound(err) != nil {
		c.Fatal(err)
	}
	s = &scope{stack: c.stack, components: components}
	if gone, err = c.remove(c.Context(), s); err != nil {
		c.Fatal(err)
	}
	return gone, s
}

func (c *cleaned) cleanup() *networkstackv1alpha1.NetworkComponent {
	c.Helper()
	out := &networkstackv1alpha1.NetworkComponent{}
	if err := c.Get(c.Context(), client.ObjectKey{Name: compose.NameNodeCleanup}, out); apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		c.Fatal(err)
	}
	return out
}

// without removes what the component controller and kubelets would.
func (c *cleaned) without(objects ...client.Object) {
	c.Helper()
	for _, o := range objects {
		if err := c.Delete(c.Context(), o); err != nil {
			c.Fatal(err)
		}
	}
}

// orphans has the policy changed to Orphan.
func (c *cleaned) orphans() {
	c.Helper()
	stack := &networkstackv1alpha1.NetworkStack{}
	if err := c.Get(c.Context(), client.ObjectKeyFromObject(c.stack), stack); err != nil {
		c.Fatal(err)
	}
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionOrphan
	if err := c.Update(c.Context(), stack); err != nil {
		c.Fatal(err)
	}
}

func (c *cleaned) said() string {
	var out []string
	for {
		select {
		case e := <-c.recorder.Events:
			out = append(out, e)
		default:
			return strings.Join(out, "\n")
		}
	}
}

func agentPod(name, namespace, app string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": app}}}
	p.Spec.NodeName = "a"
	return p
}

// begun goes on until only the nodes are left to be cleaned.
func (c *cleaned) begun() {
	c.Helper()
	for range 2 {
		c.pass() // the network plugin, then kube-proxy
	}
	c.without(agentSet("kube-flannel", "kube-flannel-ds", "", ""), agentSet("kube-system", "kube-proxy", "", ""))
}

// TestCleanNodes deletes a stack pass by pass, each as if the operator had been restarted.
func TestCleanNodes(t *testing.T) {
	pod := agentPod("flannel-a", "kube-flannel", "flannel")
	c := newCleaned(t, pod)
	c.begun()
	if got := c.cleanup(); got == nil || !got.Spec.Suspend || len(got.OwnerReferences) > 0 {
		t.Fatalf("made before anything goes, and not to run yet: %+v", got)
	}
	c.pass()
	if _, s := c.pass(); !strings.Contains(s.cleaning, "Z at most): node a") || s.requeueIn != agentsAgain || !c.cleanup().Spec.Suspend {
		t.Errorf("beside an agent: %q", s.cleaning)
	}
	c.without(pod)
	c.pass()
	got := c.cleanup()
	if got.Spec.Suspend || !strings.Contains(string(got.Spec.DerivedValues.Raw), `"kubeProxy":{"image":"a/kube-proxy"}`) ||
		!strings.Contains(string(got.Spec.DerivedValues.Raw), `"flannel":{"image":"a/flannel"}`) {
		t.Fatalf("it does not run: %s", got.Spec.DerivedValues.Raw)
	}
	if gone, s := c.pass(); gone || s.requeueIn > cleaningDeadline || s.requeueIn < cleaningDeadline-time.Minute {
		t.Errorf("comes back in %s", s.requeueIn)
	}
	got.Status.ObservedGeneration = got.Generation
	got.Status.Conditions = []metav1.Condition{{Type: networkstackv1alpha1.ConditionReady, Status: metav1.ConditionTrue}}
	if err := c.Update(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	c.pass()
	if got := c.cleanup(); got != nil {
		t.Errorf("it is still there: %+v", got)
	}
	if gone, _ := c.pass(); !gone {
		t.Error("the stack is still there")
	}
	if said := c.said(); !strings.Contains(said, "NodesCleaning") || !strings.Contains(said, "NodesCleaned ") || strings.Contains(said, "Warning") {
		t.Error(said)
	}
}

// TestCleaningDeadline wants a node that does not end to be named, and the deletion to go on: before the cleaning has begun, and after.
func TestCleaningDeadline(t *testing.T) {
	for _, agentStays := range []bool{true, false} {
		pod := agentPod("flannel-a", "kube-flannel", "flannel")
		c := newCleaned(t, pod)
		c.begun()
		if !agentStays {
			c.without(pod)
		}
		c.pass()
		c.pass()
		got := c.cleanup()
		if got.Spec.Suspend != agentStays {
			t.Fatalf("suspended: %v", got.Spec.Suspend)
		}
		got.Annotations[networkstackv1alpha1.CleaningSinceAnnotation] = time.Now().Add(-cleaningDeadline).UTC().Format(time.RFC3339)
		if err := c.Update(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		got.Status.ObservedGeneration = got.Generation
		got.Status.Conditions = []metav1.Condition{{Type: networkstackv1alpha1.ConditionReady, Message: "no pod was created on a"}}
		if err := c.Update(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		c.pass()
		if gone, _ := c.pass(); !gone || c.cleanup() != nil {
			t.Error("the deletion does not go on")
		}
		why := "no pod was created on a"
		if agentStays {
			why = "agents' pods on node a"
		}
		if said := c.said(); !strings.Contains(said, "Warning NodesNotCleaned not cleaned within 5m0s: node a") || !strings.Contains(said, why) {
			t.Error(said)
		}
	}
}

// TestCleaningClock wants a deletion to end by the clock of whoever carries it out.
func TestCleaningClock(t *testing.T) {
	c := newCleaned(t)
	c.begun()
	c.pass()
	got := c.cleanup()
	got.Annotations[networkstackv1alpha1.CleaningSinceAnnotation] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	if err := c.Update(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	c.pass()
	since, err := time.Parse(time.RFC3339, c.cleanup().Annotations[networkstackv1alpha1.CleaningSinceAnnotation])
	if err != nil || since.After(time.Now()) {
		t.Errorf("the clock is set to %s: %v", since, err)
	}
}

// TestCleaningWithoutNodes wants a deletion not to wait where there is nothing to clean.
func TestCleaningWithoutNodes(t *testing.T) {
	for _, begins := range []bool{true, false} {
		c := newCleaned(t)
		c.begun()
		c.pass()
		if begins {
			c.pass()
		}
		c.without(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
		c.pass()
		if gone, _ := c.pass(); !gone {
			t.Errorf("the stack is still there, with %+v", c.cleanup())
		}
		if said := c.said(); strings.Contains(said, "Warning") {
			t.Error(said)
		}
	}
}

// TestCleaningDone wants nodes that are done when time is up to be called done.
func TestCleaningDone(t *testing.T) {
	c := newCleaned(t)
	c.begun()
	c.pass()
	c.pass()
	pod := agentPod("node-cleanup-a", metav1.NamespaceSystem, "")
	pod.Labels = map[string]string{"app.kubernetes.io/name": compose.NameNodeCleanup}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	got := c.cleanup()
	got.Annotations[networkstackv1alpha1.CleaningSinceAnnotation] = time.Now().Add(-cleaningDeadline).UTC().Format(time.RFC3339)
	if err := c.Update(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	c.pass()
	if said := c.said(); !strings.Contains(said, "Normal NodesCleaned ") || strings.Contains(said, "Warning") {
		t.Error(said)
	}
}

// TestCleanupLeftOver wants what cleans nodes to go before a network comes: of a stack whose deletion was broken off.
func TestCleanupLeftOver(t *testing.T) {
	c := newCleaned(t)
	c.begun()
	c.pass()
	c.pass()
	components, err := c.componentsOf(t.Context(), c.stack.Name)
	if err != nil {
		t.Fatal(err)
	}
	s := &scope{stack: c.stack, components: components, result: &compose.Result{}}
	if clearing, err := c.endCleanup(t.Context(), s); err != nil || !clearing || c.cleanup() != nil {
		t.Errorf("it goes on cleaning: %v, %v", clearing, err)
	}
}

// TestCleaningLeavesAlone wants nothing to be cleaned with Orphan, or where the operator would cut itself off, and a kube-proxy of
// somebody else to keep its rules.
func TestCleaningLeavesAlone(t *testing.T) {
	t.Run("Orphan", func(t *testing.T) {
		c := newCleaned(t)
		c.orphans()
		if c.pass(); c.cleanup() != nil {
			t.Error("nodes are to be cleaned")
		}
	})
	t.Run("Orphan after all", func(t *testing.T) {
		c := newCleaned(t)
		c.begun()
		held := c.cleanup()
		held.Finalizers = []string{"example.com/held"}
		if err := c.Update(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		c.orphans()
		c.pass()
		if held = c.cleanup(); !held.Spec.Suspend || held.DeletionTimestamp.IsZero() {
			t.Errorf("it could begin on its way out: %+v", held.Spec)
		}
		held.Finalizers = nil
		if err := c.Update(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		if gone, _ := c.pass(); !gone || c.cleanup() != nil {
			t.Error("it is still there")
		}
		if said := c.said(); strings.Contains(said, "NodesClean") {
			t.Error(said)
		}
	})
	t.Run("on the pods' network", func(t *testing.T) {
		c := newCleaned(t)
		c.OnPodNetwork = true
		c.begun()
		if c.cleanup() != nil {
			t.Error("nodes are to be cleaned")
		}
		if said := c.said(); !strings.Contains(said, "Warning NodesNotCleaned") {
			t.Error(said)
		}
	})
	t.Run("on the pods' network, but for Multus", func(t *testing.T) {
		multus := component("multus", 30)
		multus.Spec.Type, multus.Labels = "Multus", map[string]string{networkstackv1alpha1.StackLabel: "cluster"}
		attachments := component("network-attachments", 40)
		attachments.Spec.Type, attachments.Labels = "NetworkAttachments", multus.Labels
		attachments.Spec.DerivedValues = &apiextensionsv1.JSON{Raw: []byte(`{"attachments": [{"config": "{\"name\": \"default.lan\"}"}]}`)}
		c := newCleaned(t, agentSet("kube-system", "kube-multus-ds", "multus", "a/multus"), &multus, &attachments,
			agentPod("flannel-a", "kube-flannel", "flannel"))
		c.OnPodNetwork = true
		stack := &networkstackv1alpha1.NetworkStack{}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(c.stack), stack); err != nil {
			t.Fatal(err)
		}
		stack.Spec.CNI.Type = networkstackv1alpha1.CNIFlannel
		if err := c.Update(t.Context(), stack); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			c.pass()
		}
		c.pass()
		c.pass()
		got := c.cleanup()
		if got == nil || got.Spec.Suspend {
			t.Fatalf("Multus's configuration is not removed: %+v", got)
		}
		const want = `{"image":"a/operator","multus":{"books":true,"enabled":true,"networks":["default.lan"]}}`
		if values := string(got.Spec.DerivedValues.Raw); values != want {
			t.Errorf("values %s", values)
		}
		if said := c.said(); !strings.Contains(said, "Warning NodesNotCleaned") {
			t.Error(said)
		}
	})
	for _, tc := range []struct {
		name, stays, goes, app string
		other                  *appsv1.DaemonSet
	}{
		{"another kube-proxy", `"kubeProxy"`, `"flannel"`, "kube-proxy", agentSet("other", "kube-proxy", "", "b/kube-proxy")},
		{"another Flannel", `"flannel"`, `"kubeProxy"`, "flannel", agentSet("kube-flannel", "kube-flannel", "", "b/flannel")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCleaned(t)
			c.begun()
			tc.other.Labels, tc.other.UID = nil, "other"
			pod := agentPod("other-a", tc.other.Namespace, tc.app) // with the labels that ours had
			pod.OwnerReferences = []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "DaemonSet", Name: tc.other.Name, UID: tc.other.UID, Controller: ptr.To(true),
			}}
			for _, o := range []client.Object{tc.other, pod} {
				if err := c.Create(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			c.pass()
			c.pass()
			got := c.cleanup()
			if values := string(got.Spec.DerivedValues.Raw); got.Spec.Suspend || strings.Contains(values, tc.stays) || !strings.Contains(values, tc.goes) {
				t.Errorf("suspended: %v: %s", got.Spec.Suspend, values)
			}
			if said := c.said(); !strings.Contains(said, "Normal NodesNotCleaned") || !strings.Contains(said, tc.other.Namespace+"/"+tc.other.Name) {
				t.Error(said)
			}
		})
	}
	t.Run("virtual servers of somebody else", func(t *testing.T) {
		c := newCleaned(t)
		node := &corev1.Node{}
		if err := c.Get(t.Context(), client.ObjectKey{Name: "a"}, node); err != nil {
			t.Fatal(err)
		}
		node.Annotations = map[string]string{networkstackv1alpha1.NodeIPVSAnnotation: "2"}
		if err := c.Update(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		c.begun()
		if got := string(c.cleanup().Spec.DerivedValues.Raw); strings.Contains(got, `"kubeProxy"`) || !strings.Contains(got, `"flannel"`) {
			t.Errorf("values: %s", got)
		}
		if said := c.said(); strings.Count(said, "Warning NodesNotCleaned") != 1 || !strings.Contains(said, "IPVS") || !strings.Contains(said, "node a") {
			t.Error(said)
		}
	})
	t.Run("others of all", func(t *testing.T) {
		c := newCleaned(t)
		c.begun()
		for _, other := range []*appsv1.DaemonSet{
			agentSet("kube-flannel", "kube-flannel", "", "b/flannel"), agentSet("other", "kube-proxy", "", "b/kube-proxy"),
		} {
			other.Labels = nil
			if err := c.Create(t.Context(), other); err != nil {
				t.Fatal(err)
			}
		}
		c.pass()
		c.pass()
		if gone, _ := c.pass(); !gone || c.cleanup() != nil {
			t.Error("nodes are cleaned")
		}
		if said := c.said(); strings.Count(said, "NodesNotCleaned") != 1 || !strings.Contains(said, "kube-flannel/kube-flannel") ||
			!strings.Contains(said, "other/kube-proxy") {
			t.Error(said)
		}
	})
}
