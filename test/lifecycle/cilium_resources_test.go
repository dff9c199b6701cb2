package lifecycle

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testcharts"
)

const (
	ciliumBGPSample = "networkstack_cilium_bgp.yaml"
	resources       = "cilium-resources"
)

// ciliumKinds are the kinds that Cilium's operator defines, as far as they are asked for here.
var ciliumKinds = map[string]string{
	"CiliumPodIPPool": "v2alpha1", "CiliumBGPClusterConfig": "v2", "CiliumBGPPeerConfig": "v2", "CiliumBGPAdvertisement": "v2",
	"CiliumLoadBalancerIPPool": "v2", "CiliumL2AnnouncementPolicy": "v2alpha1",
}

// TestCiliumResources takes the sample with address pools, BGP and IPsec through its life with upstream's chart. On simulated nodes
// no container runs, so the test plays two parts: Cilium's operator, which defines Cilium's kinds when it runs (here without their
// schemas), and the agents, which come up once there is the pool default: until then no node has the label that they want.
func TestCiliumResources(t *testing.T) {
	t.Parallel()
	e := newEnv(t, controlplane.Options{}, "--charts", testcharts.PinnedDir(t, "cilium", "1.20.0"))
	stack := sample(t, ciliumBGPSample)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	stack.Spec.CNI.Values = rawJSON(`{"ipv4NativeRoutingCIDR": "10.244.0.0/14", "ipv6NativeRoutingCIDR": "fd00:10:244::/46", "nodeSelector": {"example.com/agents": "yes"}}`)
	e.apply(stack)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *env, *networkstackv1alpha1.NetworkStack)
	}{
		{"kinds that are to come are waited for", ciliumKindsAwaited},
		{"the pools are there before the agents", ciliumPoolsFirst},
		{"a pool grows, and no agent restarts", ciliumPoolGrown},
		{"a peer joins", ciliumPeerAdded},
		{"what others change is put right", ciliumResourcesTampered},
		{"Services get addresses, by BGP and by L2", ciliumServiceAddresses},
		{"the IPsec key is rotated, and no agent restarts", ciliumKeyRotated},
		{"the pools go before Cilium", ciliumResourcesDeleted},
	} {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, stack) }) }) {
			t.FailNow()
		}
	}
}

// ciliumObject is one of Cilium's.
func ciliumObject(kind, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "cilium.io", Version: ciliumKinds[kind], Kind: kind})
	u.SetName(name)
	return u
}

// ciliumSpec waits until an object of Cilium is there and says something.
func (e *env) ciliumSpec(kind, name, text string) string {
	e.t.Helper()
	last := ""
	e.eventually(kind+" "+name+" with "+text, func(ctx context.Context) (bool, string) {
		u := ciliumObject(kind, name)
		if err := e.client.Get(ctx, client.ObjectKeyFromObject(u), u); err != nil {
			return false, err.Error()
		}
		last = toJSON(u.Object["spec"])
		return strings.Contains(last, text), last
	})
	return last
}

func ciliumKindsAwaited(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	c := networkstackv1alpha1.NetworkComponent{}
	e.eventually("the pools to wait for their kind", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKey{Name: resources}, &c)
		text := toJSON(c.Status)
		return err == nil && strings.Contains(text, "waiting until there are the kinds"), text
	})
	if c.Status.Phase != networkstackv1alpha1.PhasePending || c.Status.Failures != 0 || strings.Contains(toJSON(c.Status.Conditions), "Stalled") {
		t.Errorf("what is merely waited for alarms: %s", toJSON(c.Status))
	}
	if n := e.countEvents(resources, networkstackv1alpha1.ReasonWaiting); n != 1 {
		t.Errorf("%d events tell of the wait", n)
	}
	var events corev1.EventList
	e.check(e.client.List(t.Context(), &events, client.InNamespace("default")))
	for _, ev := range events.Items {
		if ev.InvolvedObject.Name == resources && ev.Type == corev1.EventTypeWarning {
			t.Errorf("a warning: %s", ev.Message)
		}
	}
	s := e.stack(stack.Name)
	if text := toJSON(s.Status.Conditions); strings.Contains(text, networkstackv1alpha1.ReasonComponentFailed) {
		t.Errorf("the stack: %s", text)
	}
}

// defineCiliumKinds does what Cilium's operator does when it starts.
func (e *env) defineCiliumKinds() {
	e.t.Helper()
	for kind, version := range ciliumKinds {
		e.defineCiliumKind(kind, version, apiextensionsv1.ClusterScoped)
	}
}

// defineCiliumKind defines a kind of Cilium's without its schema.
func (e *env) defineCiliumKind(kind, version string, scope apiextensionsv1.ResourceScope) {
	e.t.Helper()
	open := true
	plural := strings.ToLower(strings.TrimSuffix(kind, "y"))
	if plural != strings.ToLower(kind) {
		plural += "ies"
	} else {
		plural += "s"
	}
	crd := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + ".cilium.io"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "cilium.io", Scope: scope,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: kind, Plural: plural, Singular: strings.ToLower(kind), ListKind: kind + "List"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: &open,
				}},
			}},
		},
	}
	u := unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	u.SetName(crd.Name)
	spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&crd.Spec)
	e.check(err)
	u.Object["spec"] = spec
	e.check(e.client.Create(e.t.Context(), &u))
}

func ciliumPoolsFirst(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.defineCiliumKinds()
	if text := e.ciliumSpec("CiliumPodIPPool", "default", "10.244.0.0/16"); !strings.Contains(text, `"maskSize":26`) {
		t.Errorf("pool default: %s", text)
	}
	if c := e.component("cilium"); c.Status.Phase == networkstackv1alpha1.PhaseReady {
		t.Errorf("Cilium is Ready before its agents run anywhere: %s", toJSON(c.Status))
	}
	var nodes corev1.NodeList
	e.check(e.client.List(t.Context(), &nodes))
	for i := range nodes.Items {
		e.patch(&corev1.Node{}, client.ObjectKeyFromObject(&nodes.Items[i]), "agents", `{"metadata":{"labels":{"example.com/agents":"yes"}}}`)
	}
	ready := e.waitReady(stack.Name)
	for _, w := range ready.Status.Warnings {
		// The local control plane is of the newest; the pools have IPv6.
		if !strings.Contains(w, "is tested with Kubernetes") && !strings.Contains(w, "CILIUM-BPF-MASQUERADE-IPV6") {
			t.Errorf("warning: %s", w)
		}
	}
	for key, want := range map[string]string{
		"ipam": "multi-pool", "routing-mode": "native", "auto-direct-node-routes": "true", "direct-routing-skip-unreachable": "true",
		"enable-bgp-control-plane": "true", "enable-ipsec": "true", "enable-bpf-masquerade": "true", "auto-create-cilium-pod-ip-pools": "",
	} {
		e.ciliumConfig(key, want)
	}
	pool := ciliumObject("CiliumPodIPPool", "payments")
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(pool), pool))
	if text := toJSON(pool.Object["spec"]); !strings.Contains(text, `"namespaceSelector":{"matchLabels":{"team":"payments"}}`) || !strings.Contains(text, `"maskSize":27`) {
		t.Errorf("pool payments: %s", text)
	}
	if pool.GetAnnotations()["ipam.cilium.io/skip-masquerade"] != "true" || pool.GetLabels()[networkstackv1alpha1.ComponentLabel] != resources {
		t.Errorf("pool payments: %s", toJSON(pool.Object["metadata"]))
	}
	e.ciliumSpec("CiliumBGPClusterConfig", "racks", `"peerAddress":"192.0.2.1"`)
	e.ciliumSpec("CiliumBGPPeerConfig", "racks.spine-1", `"holdTimeSeconds":9`)
	e.ciliumSpec("CiliumBGPAdvertisement", resources, "CiliumPodIPPool")
}

// agents are the DaemonSet's generation and Cilium's revision: while both stay, no agent restarts.
func (e *env) agents() (generation int64, revision int32) {
	e.t.Helper()
	var ds appsv1.DaemonSet
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "cilium"}, &ds))
	return ds.Generation, e.revision("cilium")
}

func ciliumPoolGrown(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	generation, revision := e.agents()
	stack.Spec.IPPools[1].CIDRs = append(stack.Spec.IPPools[1].CIDRs, "10.245.64.0/18")
	e.apply(stack)
	e.waitReady(stack.Name)
	e.ciliumSpec("CiliumPodIPPool", "payments", `"10.245.0.0/18","10.245.64.0/18"`)
	if g, r := e.agents(); g != generation || r != revision {
		t.Errorf("the agents went from generation %d to %d, Cilium from revision %d to %d", generation, g, revision, r)
	}
	grown := stack.Spec.IPPools[1].CIDRs
	stack.Spec.IPPools[1].CIDRs = grown[1:]
	e.apply(stack)
	refused := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if text := toJSON(refused.Status.Conditions); !strings.Contains(text, "10.245.0.0/18 is in use and cannot be changed or removed") {
		t.Errorf("refused for another reason: %s", text)
	}
	stack.Spec.IPPools[1].CIDRs = grown
	e.apply(stack)
	e.waitReady(stack.Name)
}

func ciliumPeerAdded(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	generation, revision := e.agents()
	instance := &stack.Spec.CNI.Cilium.BGP.Instances[0]
	instance.Peers = append(instance.Peers, networkstackv1alpha1.CiliumBGPPeer{Name: "spine-2", Address: "192.0.2.2", ASN: 4200000001})
	e.apply(stack)
	e.waitReady(stack.Name)
	e.ciliumSpec("CiliumBGPClusterConfig", "racks", `"peerASN":4200000001`)
	e.ciliumSpec("CiliumBGPPeerConfig", "racks.spine-2", `"afi":"ipv4"`)
	if g, r := e.agents(); g != generation || r != revision {
		t.Errorf("the agents went from generation %d to %d, Cilium from revision %d to %d", generation, g, revision, r)
	}
}

func ciliumResourcesTampered(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	if n := e.count(resources); n != 0 {
		t.Errorf("%d drifts before anybody has changed anything: %s", n, toJSON(e.component(resources).Status.Drift))
	}
	shrunk := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"ipv4":{"cidrs":["10.99.0.0/16"]}}}`))
	e.check(e.client.Patch(t.Context(), ciliumObject("CiliumPodIPPool", "default"), shrunk, client.FieldOwner("kubectl-edit")))
	e.ciliumSpec("CiliumPodIPPool", "default", `"cidrs":["10.244.0.0/16"]`)
	e.drifts(resources, 1)
	e.check(e.client.Delete(t.Context(), ciliumObject("CiliumBGPAdvertisement", resources)))
	e.ciliumSpec("CiliumBGPAdvertisement", resources, "LoadBalancerIP")
	e.waitReady(stack.Name)
}

func ciliumServiceAddresses(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	generation, _ := e.agents()
	stack.Spec.LoadBalancer = &networkstackv1alpha1.LoadBalancerSpec{
		Type: networkstackv1alpha1.LoadBalancerCilium, Mode: networkstackv1alpha1.LoadBalancerBGP,
		Pools: []networkstackv1alpha1.LoadBalancerPool{{Name: "public", Addresses: []string{"198.18.20.0/26", "198.18.21.10-198.18.21.20"}}},
	}
	e.apply(stack)
	e.ciliumSpec("CiliumLoadBalancerIPPool", "public", `"blocks":[{"cidr":"198.18.20.0/26"},{"start":"198.18.21.10","stop":"198.18.21.20"}]`)
	e.waitReady(stack.Name)
	if g, _ := e.agents(); g != generation {
		t.Errorf("a pool for Services, announced by a BGP that is there, restarts the agents: generation %d, then %d", generation, g)
	}
	stack.Spec.LoadBalancer.Mode = networkstackv1alpha1.LoadBalancerL2
	stack.Spec.LoadBalancer.L2 = &networkstackv1alpha1.LoadBalancerL2Spec{Interfaces: []string{"^eth[0-9]+$"}}
	e.apply(stack)
	if text := e.ciliumSpec("CiliumL2AnnouncementPolicy", resources, `"^eth[0-9]+$"`); !strings.Contains(text, `"loadBalancerIPs":true`) {
		t.Errorf("the policy: %s", text)
	}
	e.waitReady(stack.Name)
	e.ciliumConfig("enable-l2-announcements", "true")
	e.ciliumConfig("k8s-client-qps", "30")
	generation, _ = e.agents()
	stack.Spec.LoadBalancer.Pools[0].Addresses = []string{"198.18.20.0/25"}
	e.apply(stack)
	e.ciliumSpec("CiliumLoadBalancerIPPool", "public", `"blocks":[{"cidr":"198.18.20.0/25"}]`)
	e.waitReady(stack.Name)
	if g, _ := e.agents(); g != generation {
		t.Errorf("other addresses restart the agents: generation %d, then %d", generation, g)
	}
	before := e.count(resources)
	e.check(e.client.Delete(t.Context(), ciliumObject("CiliumLoadBalancerIPPool", "public")))
	e.ciliumSpec("CiliumLoadBalancerIPPool", "public", `198.18.20.0/25`)
	e.drifts(resources, before+1)
	stack.Spec.LoadBalancer = nil
	e.apply(stack)
	e.gone(ciliumObject("CiliumLoadBalancerIPPool", "public"))
	e.gone(ciliumObject("CiliumL2AnnouncementPolicy", resources))
	e.waitReady(stack.Name)
}

func ciliumKeyRotated(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	key := func() string {
		var s corev1.Secret
		e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "cilium-ipsec-keys"}, &s))
		return string(s.Data["keys"])
	}
	before := key()
	if !strings.HasPrefix(before, "3+ rfc4106(gcm(aes)) ") || !strings.HasSuffix(before, " 128") {
		t.Fatalf("the first key has another form: %d bytes", len(before))
	}
	var ds appsv1.DaemonSet
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "cilium"}, &ds))
	if !slices.ContainsFunc(ds.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool {
		return v.Secret != nil && v.Secret.SecretName == "cilium-ipsec-keys"
	}) {
		t.Error("the agents do not mount the key")
	}
	generation, _ := e.agents()
	stack.Spec.CNI.Encryption.Rotation = "2"
	e.apply(stack)
	e.eventually("another key", func(context.Context) (bool, string) { return key() != before, "the same key" })
	e.waitReady(stack.Name)
	if after := key(); !strings.HasPrefix(after, "4+ ") {
		t.Error("the new key has not the next number")
	}
	if g, _ := e.agents(); g != generation {
		t.Errorf("the agents went from generation %d to %d", generation, g)
	}
	for _, where := range []string{toJSON(e.stack(stack.Name)), toJSON(e.component("cilium")), e.log.Tail(1 << 20)} {
		if strings.Contains(where, strings.Fields(before)[2]) || strings.Contains(where, strings.Fields(key())[2]) {
			t.Error("a key is shown")
		}
	}
}

func ciliumResourcesDeleted(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	watches, err := dynamic.NewForConfig(e.cp.RESTConfig())
	e.check(err)
	var mu sync.Mutex
	at := map[string]uint64{} // by what happened, the API server's revision
	note := func(resource schema.GroupVersionResource, name string) {
		w, err := watches.Resource(resource).Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
		e.check(err)
		t.Cleanup(w.Stop)
		go func() {
			for ev := range w.ResultChan() {
				u, ok := ev.Object.(*unstructured.Unstructured)
				if !ok {
					continue
				}
				n, _ := strconv.ParseUint(u.GetResourceVersion(), 10, 64)
				mu.Lock()
				if leaving := name + " leaves"; u.GetDeletionTimestamp() != nil && at[leaving] == 0 {
					at[leaving] = n
				}
				if ev.Type == watch.Deleted {
					at[name+" is gone"] = n
				}
				mu.Unlock()
			}
		}()
	}
	note(schema.GroupVersionResource{Group: "cilium.io", Version: "v2alpha1", Resource: "ciliumpodippools"}, "default")
	components := networkstackv1alpha1.GroupVersion.WithResource("networkcomponents")
	note(components, resources)
	note(components, "cilium")

	e.check(e.client.Delete(t.Context(), stack.DeepCopy()))
	e.gone(&networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stack.Name}})
	e.eventually("the deletions to be seen", func(context.Context) (bool, string) {
		mu.Lock()
		defer mu.Unlock()
		return at["default is gone"] > 0 && at[resources+" is gone"] > 0 && at["cilium is gone"] > 0, toJSON(at)
	})
	mu.Lock()
	defer mu.Unlock()
	if at["default is gone"] >= at[resources+" is gone"] || at[resources+" is gone"] >= at["cilium leaves"] {
		t.Errorf("the order: %s", toJSON(at))
	}
	for _, u := range []*unstructured.Unstructured{
		ciliumObject("CiliumPodIPPool", "payments"), ciliumObject("CiliumBGPClusterConfig", "racks"),
		ciliumObject("CiliumBGPPeerConfig", "racks.spine-1"), ciliumObject("CiliumBGPAdvertisement", resources),
	} {
		e.gone(u)
	}
	var s corev1.Secret
	if err := e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "cilium-ipsec-keys"}, &s); !apierrors.IsNotFound(err) {
		t.Errorf("the key is left: %v", err)
	}
}
