package lifecycle

import (
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testcharts"
)

const (
	calicoSample  = "networkstack_calico.yaml"
	calicoVersion = "v3.32.1"
)

var tigeraDeployment = client.ObjectKey{Namespace: "tigera-operator", Name: "tigera-operator"}

// calicoEnv is a cluster with Calico's charts, and the test as its tigera-operator.
func calicoEnv(t *testing.T) (*env, *tigera) {
	t.Helper()
	testcharts.UpstreamDir(t, "crd.projectcalico.org.v1", calicoVersion)
	e := newEnv(t, controlplane.Options{}, "--charts", testcharts.UpstreamDir(t, "tigera-operator", calicoVersion))
	return e, playTigera(t, e.client)
}

// TestCalicoStack takes the sample through its life with upstream's charts. The tigera-operator is played by the test: see
// the type tigera.
func TestCalicoStack(t *testing.T) {
	t.Parallel()
	e, player := calicoEnv(t)
	stack := sample(t, calicoSample)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	e.apply(stack)
	applied := time.Now()
	ready := e.waitReady(stack.Name)
	t.Logf("Calico and kube-proxy Ready %.1f s after apply", time.Since(applied).Seconds())
	for _, w := range ready.Status.Warnings {
		if !strings.Contains(w, "is tested with Kubernetes") { // the local control plane is of the newest
			t.Errorf("warning: %s", w)
		}
	}
	if list := e.helm("ls", "-A"); !strings.Contains(list, "tigera-operator-v3.32.1") || !strings.Contains(list, "crd.projectcalico.org.v1-v3.32.1") {
		t.Errorf("helm ls -A does not show Calico:\n%s", list)
	}
	for _, step := range []struct {
		name string
		run  func(*testing.T, *env, *tigera, *networkstackv1alpha1.NetworkStack)
	}{
		{"the tigera-operator is told what the stack says", calicoInstalled},
		{"what the tigera-operator reports counts", calicoDegraded},
		{"a change reaches the Installation and is waited for", calicoChanged},
		{"what others change is put right, and what the tigera-operator adds stays", calicoTampered},
		{"a restarted operator changes nothing", calicoRestarted},
		{"a pool is disabled before it goes", calicoPools},
		{"deletion leaves the tigera-operator time to clean up", calicoDeleted},
	} {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, player, stack) }) }) {
			t.FailNow()
		}
	}
}

func (e *env) tigera(kind, name string) *unstructured.Unstructured {
	e.t.Helper()
	u := tigeraObject(kind, name)
	e.check(e.client.Get(e.t.Context(), client.ObjectKeyFromObject(u), u))
	return u
}

// network is what the Installation says of Calico's network.
func (e *env) network() map[string]any {
	e.t.Helper()
	out, _, _ := unstructured.NestedMap(e.tigera("Installation", "default").Object, "spec", "calicoNetwork")
	return out
}

func calicoInstalled(t *testing.T, e *env, _ *tigera, _ *networkstackv1alpha1.NetworkStack) {
	n := e.network()
	for key, want := range map[string]any{
		"linuxDataplane": "Nftables", "bgp": "Disabled", "mtu": int64(1430), "kubeProxyManagement": "Disabled",
		"hostPorts": "Enabled", // the tigera-operator's own
	} {
		if n[key] != want {
			t.Errorf("%s is %v, want %v", key, n[key], want)
		}
	}
	pools, _ := n["ipPools"].([]any)
	if len(pools) != 2 {
		t.Fatalf("pools: %v", pools)
	}
	for i, want := range []string{"10.244.0.0/16", "fd00:10:244::/56"} {
		if p, _ := pools[i].(map[string]any); p["cidr"] != want || p["encapsulation"] != "VXLANCrossSubnet" {
			t.Errorf("pool %d: %v", i, p)
		}
	}
	felix := &unstructured.Unstructured{}
	felix.SetAPIVersion("crd.projectcalico.org/v1")
	felix.SetKind("FelixConfiguration")
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: "default"}, felix))
	spec, _, _ := unstructured.NestedMap(felix.Object, "spec")
	if spec["wireguardEnabled"] != false || spec["prometheusMetricsEnabled"] != true {
		t.Errorf("FelixConfiguration: %v", spec)
	}
	crds, calico := e.component("calico-crds"), e.component("calico")
	if crds.Spec.Stage >= calico.Spec.Stage || len(crds.Status.CRDs) < 30 {
		t.Errorf("stages %d and %d, %d definitions", crds.Spec.Stage, calico.Spec.Stage, len(crds.Status.CRDs))
	}
}

func calicoDegraded(t *testing.T, e *env, player *tigera, stack *networkstackv1alpha1.NetworkStack) {
	const trouble = "Pod calico-system/calico-node-x has crash looping container: calico-node"
	player.degrade(trouble)
	s := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionReady, metav1.ConditionFalse, "")
	e.eventually("the component to say what is reported", func(context.Context) (bool, string) {
		c := e.component("calico")
		text := toJSON(c.Status.Conditions)
		return strings.Contains(text, "TigeraStatus calico: Degraded: "+trouble), text
	})
	if c := e.component("calico"); c.Status.Phase != networkstackv1alpha1.PhaseRollingOut {
		t.Errorf("phase %s of a stack with %s", c.Status.Phase, toJSON(s.Status.Conditions))
	}
	player.degrade("")
	e.waitReady(stack.Name)
}

func calicoChanged(t *testing.T, e *env, _ *tigera, stack *networkstackv1alpha1.NetworkStack) {
	before := e.component("calico-crds").Status.Release.Revision
	stack.Spec.MTU = 1400
	e.apply(stack)
	e.waitReady(stack.Name)
	if mtu := e.network()["mtu"]; mtu != int64(1400) {
		t.Errorf("mtu %v", mtu)
	}
	// Ready is said of the present Installation.
	installation := e.tigera("Installation", "default")
	list, _, _ := unstructured.NestedSlice(e.tigera("TigeraStatus", "calico").Object, "status", "conditions")
	for _, c := range list {
		if g := c.(map[string]any)["observedGeneration"]; g != installation.GetGeneration() {
			t.Errorf("reported of generation %v, and there is %d", g, installation.GetGeneration())
		}
	}
	if after := e.component("calico-crds").Status.Release.Revision; after != before {
		t.Errorf("the definitions went from revision %d to %d", before, after)
	}
}

func calicoTampered(t *testing.T, e *env, _ *tigera, stack *networkstackv1alpha1.NetworkStack) {
	if n := e.count("calico"); n != 0 {
		t.Errorf("%d drifts before anybody has changed anything: %s", n, toJSON(e.component("calico").Status.Drift))
	}
	e.patch(&appsv1.Deployment{}, tigeraDeployment, "kubectl-edit",
		`{"spec":{"template":{"spec":{"hostNetwork":false,"containers":[{"name":"tigera-operator","image":"example.com/other:1"}]}}}}`)
	e.eventually("the Deployment to be put right", func(ctx context.Context) (bool, string) {
		var d appsv1.Deployment
		e.check(e.client.Get(ctx, tigeraDeployment, &d))
		pod := d.Spec.Template.Spec
		return pod.HostNetwork && pod.Containers[0].Image == "quay.io/tigera/operator:v1.42.3", toJSON(pod)
	})
	tampered := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"calicoNetwork":{"linuxDataplane":"BPF","ipPools":[{"cidr":"10.99.0.0/16"}]}}}`))
	e.check(e.client.Patch(t.Context(), tigeraObject("Installation", "default"), tampered, client.FieldOwner("kubectl-edit")))
	e.eventually("the Installation to be put right", func(context.Context) (bool, string) {
		n := e.network()
		pools, _ := n["ipPools"].([]any)
		return n["linuxDataplane"] == "Nftables" && len(pools) == 2 && strings.Contains(toJSON(pools[0]), "10.244.0.0/16"), toJSON(n)
	})
	e.drifts("calico", 2)
	e.check(client.IgnoreNotFound(e.client.Delete(t.Context(), tigeraObject("APIServer", "default"))))
	e.eventually("the APIServer to be made again", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKey{Name: "default"}, tigeraObject("APIServer", "default"))
		return err == nil, "missing"
	})
	e.waitReady(stack.Name)
	spec, _, _ := unstructured.NestedMap(e.tigera("Installation", "default").Object, "spec")
	if spec["kubernetesProvider"] != "Kind" || spec["variant"] != "Calico" {
		t.Errorf("what the tigera-operator wrote is gone: provider %v, variant %v", spec["kubernetesProvider"], spec["variant"])
	}
}

func calicoRestarted(t *testing.T, e *env, _ *tigera, stack *networkstackv1alpha1.NetworkStack) {
	before, installation := e.component("calico"), e.tigera("Installation", "default")
	e.check(e.process.Stop())
	e.startOperator()
	// The new process has looked at everything once it corrects what is wrong.
	e.check(e.client.Delete(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "tigera-operator", Name: "tigera-operator"}}))
	e.eventually("the new process to look after Calico", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, tigeraDeployment, &corev1.ServiceAccount{})
		return err == nil, "the ServiceAccount is missing"
	})
	e.waitReady(stack.Name)
	after := e.component("calico")
	if before.Status.Release.Revision != after.Status.Release.Revision || before.Generation != after.Generation {
		t.Errorf("revision %d to %d, generation %d to %d", before.Status.Release.Revision, after.Status.Release.Revision, before.Generation, after.Generation)
	}
	for i, c := range after.Status.Conditions {
		if c.Type == networkstackv1alpha1.ConditionReady && !c.LastTransitionTime.Equal(&before.Status.Conditions[i].LastTransitionTime) {
			t.Errorf("Ready was taken back: %s, after %s", toJSON(c), toJSON(before.Status.Conditions[i]))
		}
	}
	if g := e.tigera("Installation", "default").GetGeneration(); g != installation.GetGeneration() {
		t.Errorf("the Installation went from generation %d to %d", installation.GetGeneration(), g)
	}
}

func calicoPools(t *testing.T, e *env, _ *tigera, stack *networkstackv1alpha1.NetworkStack) {
	more := networkstackv1alpha1.IPPool{Name: "more", CIDRs: []string{"10.245.0.0/16"}}
	stack.Spec.IPPools = append(stack.Spec.IPPools, more)
	e.apply(stack)
	e.waitReady(stack.Name)
	pools := func() string { return toJSON(e.network()["ipPools"]) }
	if text := pools(); !strings.Contains(text, "more-10-245-0-0-16") {
		t.Errorf("pools: %s", text)
	}
	stack.Spec.IPPools = stack.Spec.IPPools[:1]
	e.apply(stack)
	refused := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if text := toJSON(refused.Status.Conditions); !strings.Contains(text, "10.245.0.0/16 of Calico would be deleted") {
		t.Errorf("refused for another reason: %s", text)
	}
	// Calico's IPAM is played as well: two pods and a tunnel have addresses of the pool.
	block := e.block("10-245-0-64-26", "10.245.0.64/26", "node-1", 3)
	more.Disabled = true
	stack.Spec.IPPools = append(stack.Spec.IPPools, more)
	e.apply(stack)
	e.waitReady(stack.Name)
	if text := pools(); !strings.Contains(text, `"disableNewAllocations":true`) {
		t.Errorf("pools: %s", text)
	}
	p := e.pool(stack.Name, "more", func(p networkstackv1alpha1.IPPoolStatus) bool { return p.Disabled && p.Allocated == 3 })
	if *p.Capacity != 65536 || *p.Percent != 0 || p.State != "" || p.NodesLeft != nil {
		t.Errorf("pool: %s", toJSON(p))
	}
	stack.Spec.IPPools = stack.Spec.IPPools[:1]
	e.apply(stack)
	refused = e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if text := toJSON(refused.Status.Conditions); !strings.Contains(text, "10.245.0.0/16 (addresses in use: 3, on node node-1) of Calico is disabled but not drained") {
		t.Errorf("refused for another reason: %s", text)
	}
	if text := pools(); !strings.Contains(text, "10.245.0.0/16") {
		t.Errorf("a pool in use is gone: %s", text)
	}
	// Its pods are made again elsewhere: the node keeps its block, and the pool goes without another word.
	e.check(unstructured.SetNestedSlice(block.Object, make([]any, 64), "spec", "allocations"))
	e.check(e.client.Update(t.Context(), block))
	e.waitReady(stack.Name)
	if text := pools(); strings.Contains(text, "10.245.0.0/16") {
		t.Errorf("pools: %s", text)
	}
}

// block makes one of Calico's IPAM, whose first addresses are given out.
func (e *env) block(name, cidr, node string, used int) *unstructured.Unstructured {
	e.t.Helper()
	allocations, free := make([]any, 64), []any{}
	for i := range allocations {
		if i < used {
			allocations[i] = int64(0)
		} else {
			free = append(free, int64(i))
		}
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "crd.projectcalico.org/v1", "kind": "IPAMBlock", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"affinity": "host:" + node, "cidr": cidr, "strictAffinity": false, "allocations": allocations, "unallocated": free,
			"attributes": []any{map[string]any{"handle_id": "played"}},
		},
	}}
	e.check(e.client.Create(e.t.Context(), u))
	return u
}

func calicoDeleted(t *testing.T, e *env, player *tigera, stack *networkstackv1alpha1.NetworkStack) {
	e.check(e.client.Delete(t.Context(), stack.DeepCopy()))
	e.gone(&networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stack.Name}})
	e.gone(tigeraObject("Installation", "default"))
	e.gone(tigeraObject("APIServer", "default"))
	for _, o := range []client.Object{&appsv1.Deployment{}, &corev1.ServiceAccount{}} {
		o.SetNamespace(tigeraDeployment.Namespace)
		o.SetName(tigeraDeployment.Name)
		e.gone(o)
	}
	e.gone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "tigera-operator"}})
	player.mu.Lock()
	defer player.mu.Unlock()
	if player.early || player.cleaned != 1 {
		t.Errorf("the tigera-operator was gone before its Installation (%v), which it cleaned up after %d times", player.early, player.cleaned)
	}
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinitionList"))
	e.check(e.client.List(t.Context(), &list))
	left := 0
	for _, d := range list.Items {
		if strings.HasSuffix(d.Name, ".crd.projectcalico.org") {
			left++
		}
	}
	if left < 20 {
		t.Errorf("%d of Calico's definitions are left, and with them what users had written", left)
	}
}

// TestCalicoReplacesKubeProxy has Calico program Services by eBPF, beside a kube-proxy that somebody else installed.
func TestCalicoReplacesKubeProxy(t *testing.T) {
	t.Parallel()
	e, _ := calicoEnv(t)
	proxy := foreignKubeProxy()
	e.check(e.client.Create(t.Context(), proxy))
	e.eventually("the foreign kube-proxy to run", func(ctx context.Context) (bool, string) {
		e.check(e.client.Get(ctx, client.ObjectKeyFromObject(proxy), proxy))
		return proxy.Status.NumberAvailable == 3, toJSON(proxy.Status)
	})
	stack := sample(t, calicoSample)
	stack.Spec.KubeProxy.Mode = networkstackv1alpha1.KubeProxyReplaced
	e.apply(stack)
	ready := e.waitReady(stack.Name)
	if n := e.network(); n["linuxDataplane"] != "BPF" {
		t.Errorf("data plane %v", n["linuxDataplane"])
	}
	var endpoint corev1.ConfigMap
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "tigera-operator", Name: "kubernetes-services-endpoint"}, &endpoint))
	if want := strings.Split(ready.Status.Facts.APIServer, ":")[0]; endpoint.Data["KUBERNETES_SERVICE_HOST"] != want {
		t.Errorf("the API server is at %v, want %s", endpoint.Data, want)
	}
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(proxy), proxy))
	if proxy.Status.DesiredNumberScheduled != 0 && len(proxy.Spec.Template.Spec.NodeSelector) < 2 {
		t.Errorf("kube-proxy is not parked: %v", proxy.Spec.Template.Spec.NodeSelector)
	}
}
