package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
)

// agentOfOthers is a DaemonSet as somebody else installs it.
func agentOfOthers(namespace, name, container, image string) *appsv1.DaemonSet {
	labels := map[string]string{"k8s-app": name}
	return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			HostNetwork: true, Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{Name: container, Image: image}},
		}},
	}}
}

// define makes a kind with a schema that is open.
func (e *env) define(kind schema.GroupVersionKind, scope string) {
	e.t.Helper()
	plural := strings.ToLower(kind.Kind) + "s"
	crd := &unstructured.Unstructured{}
	e.check(yaml.Unmarshal([]byte(fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %s.%s}
spec:
  group: %s
  scope: %s
  names: {kind: %s, listKind: %sList, plural: %s, singular: %s}
  versions: [{name: %s, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]`,
		plural, kind.Group, kind.Group, scope, kind.Kind, kind.Kind, plural, strings.ToLower(kind.Kind), kind.Version)), &crd.Object))
	e.check(e.client.Create(e.t.Context(), crd))
	e.eventually("the kind "+kind.Kind+" to be served", func(ctx context.Context) (bool, string) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		err := e.client.List(ctx, list)
		return err == nil, fmt.Sprint(err)
	})
}

// put makes an object, or makes it anew with the same name.
func (e *env) put(text string) {
	e.t.Helper()
	u := &unstructured.Unstructured{}
	e.check(yaml.Unmarshal([]byte(text), &u.Object))
	old := u.DeepCopy()
	if err := e.client.Get(e.t.Context(), client.ObjectKeyFromObject(u), old); err != nil {
		e.check(client.IgnoreNotFound(err))
		e.check(e.client.Create(e.t.Context(), u))
		return
	}
	u.SetResourceVersion(old.GetResourceVersion())
	e.check(e.client.Update(e.t.Context(), u))
}

// nodeNetworkConfig is what AKS writes for a node with Overlay.
func nodeNetworkConfig(i int) string {
	return fmt.Sprintf(`
apiVersion: acn.azure.com/v1alpha
kind: NodeNetworkConfig
metadata: {namespace: kube-system, name: node-%d}
status: {networkContainers: [{type: overlay, assignmentMode: static, primaryIP: 10.244.%d.0/24, subnetAddressSpace: 10.244.0.0/22, subnetName: overlay}]}`, i, i)
}

// TestAKS has nodes and an agent that look like those of AKS with Overlay. The network plugin is looked at and left alone, as are its
// pools; Multus and an attachment beside it are looked after.
func TestAKS(t *testing.T) {
	t.Parallel()
	e := newEnv(t, controlplane.Options{ServiceCIDRs: []string{"10.96.0.0/16"}, Node: controlplane.NodeOptions{
		Labels:   map[string]string{"kubernetes.azure.com/cluster": "mc_a"},
		Override: func(_ int, node *corev1.Node) { node.Spec.ProviderID = "azure:///subscriptions/0/vm/" + node.Name },
	}})
	cns := agentOfOthers("kube-system", "azure-cns", "cns-container", "mcr.microsoft.com/containernetworking/azure-cns:v1.6.48")
	e.check(e.client.Create(t.Context(), cns))
	stack := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}}
	stack.Spec.CNI.Type, stack.Spec.DeletionPolicy = networkstackv1alpha1.CNIAzure, networkstackv1alpha1.DeletionDelete
	vlan := func(id int32) *networkstackv1alpha1.SecondaryNetworksSpec {
		return &networkstackv1alpha1.SecondaryNetworksSpec{
			Type: networkstackv1alpha1.SecondaryNetworksMultus,
			Attachments: []networkstackv1alpha1.NetworkAttachment{{
				Name: "backend", Namespace: "default", Type: networkstackv1alpha1.AttachmentBridge,
				Bridge: &networkstackv1alpha1.BridgeAttachment{Bridge: "br-backend", VLAN: id},
			}},
		}
	}
	stack.Spec.SecondaryNetworks = vlan(50)
	e.apply(stack)
	ready := e.waitReady(stack.Name)
	if f := ready.Status.Facts; f.Cloud != "Azure" || f.Distribution != "AKS" || len(f.CNI) != 1 || f.CNI[0].Type != "AzureCNI" || !f.CNI[0].Available {
		t.Errorf("facts: %s", toJSON(f))
	}
	// Nobody knows yet how much room there is.
	unknown := e.roomIs(stack.Name, metav1.ConditionUnknown, networkstackv1alpha1.ReasonPoolsUnknown)
	if m := findCondition(unknown, networkstackv1alpha1.ConditionPoolsSufficient).Message; !strings.Contains(m, "in Azure") || len(unknown.Status.IPPools) > 0 {
		t.Errorf("%q and %s", m, toJSON(unknown.Status.IPPools))
	}
	e.define(schema.GroupVersionKind{Group: "acn.azure.com", Version: "v1alpha", Kind: "NodeNetworkConfig"}, "Namespaced")
	for i := range 3 {
		e.put(nodeNetworkConfig(i))
	}
	p := e.pool(stack.Name, "overlay", func(p networkstackv1alpha1.IPPoolStatus) bool { return p.Allocated == 3 })
	if p.Unit != networkstackv1alpha1.PoolNodeRanges || *p.Capacity != 4 || *p.NodesLeft != 1 || len(p.CIDRs) != 1 || p.CIDRs[0] != "10.244.0.0/22" {
		t.Errorf("pool: %s", toJSON(p))
	}
	e.roomIs(stack.Name, metav1.ConditionTrue, networkstackv1alpha1.ReasonPoolsSufficient)
	e.put(nodeNetworkConfig(3))
	full := e.roomIs(stack.Name, metav1.ConditionFalse, networkstackv1alpha1.ReasonPoolsExhausted)
	if m := findCondition(full, networkstackv1alpha1.ConditionPoolsSufficient).Message; !strings.Contains(m, "4 of 4 node ranges") || !strings.Contains(m, "AKS") {
		t.Errorf("%q", m)
	}
	e.eventually("an event", func(context.Context) (bool, string) {
		n := e.countEvents(stack.Name, networkstackv1alpha1.ReasonPoolsExhausted)
		return n == 1, fmt.Sprint(n)
	})

	stack.Spec.SecondaryNetworks = vlan(51)
	e.apply(stack)
	e.waitReady(stack.Name)
	want := e.config("backend")
	if !strings.Contains(want, `"vlan":51`) {
		t.Errorf("backend is %s", want)
	}
	e.check(e.client.Patch(t.Context(), attachment("backend"), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"config":"{}"}}`)), client.FieldOwner("intruder")))
	if last := e.drifts("network-attachments", 1); last.Manager != "intruder" {
		t.Errorf("%s", toJSON(last))
	}
	e.eventually("the attachment to be restored", func(context.Context) (bool, string) { return e.config("backend") == want, e.config("backend") })

	e.check(e.client.Delete(t.Context(), stack.DeepCopy()))
	e.nothingLeft(stack)
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(cns), cns))
	if len(cns.Labels) > 0 || cns.Generation != 1 {
		t.Errorf("AKS's agent was changed: %s", toJSON(cns.ObjectMeta))
	}
}

// TestExternal has a Flannel of somebody else's, which is left alone, and a kube-proxy of ours beside it.
func TestExternal(t *testing.T) {
	t.Parallel()
	e := newEnv(t, controlplane.Options{ServiceCIDRs: []string{"10.96.0.0/16"}, PodCIDRs: []string{"10.244.0.0/16"}})
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}
	e.check(e.client.Create(t.Context(), namespace))
	flannel := agentOfOthers("theirs", "kube-flannel-ds", "kube-flannel", "ghcr.io/flannel-io/flannel:v0.27.0")
	e.check(e.client.Create(t.Context(), flannel))
	stack := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}}
	stack.Spec.CNI.Type, stack.Spec.DeletionPolicy = networkstackv1alpha1.CNIExternal, networkstackv1alpha1.DeletionDelete
	stack.Spec.KubeProxy = &networkstackv1alpha1.KubeProxySpec{Mode: networkstackv1alpha1.KubeProxyIPTables}
	e.apply(stack)
	ready := e.waitReady(stack.Name)
	if f := ready.Status.Facts; len(f.CNI) != 1 || f.CNI[0].Type != "Flannel" || f.CNI[0].Workload != "theirs/kube-flannel-ds" {
		t.Errorf("facts: %s", toJSON(f))
	}
	// Its nodes' ranges are known, and how many there may be is not.
	p := e.pool(stack.Name, "default", func(p networkstackv1alpha1.IPPoolStatus) bool { return p.Allocated == 3 })
	if p.Capacity != nil || p.Unit != networkstackv1alpha1.PoolNodeRanges {
		t.Errorf("pool: %s", toJSON(p))
	}
	e.roomIs(stack.Name, metav1.ConditionUnknown, networkstackv1alpha1.ReasonPoolsUnknown)

	stack.Spec.KubeProxy.Mode = networkstackv1alpha1.KubeProxyNFTables
	stack.Spec.IPPools = []networkstackv1alpha1.IPPool{{Name: "theirs", CIDRs: []string{"10.244.0.0/16"}}}
	e.apply(stack)
	e.eventually("kube-proxy in mode nftables", func(context.Context) (bool, string) {
		c := e.component("kube-proxy")
		return strings.Contains(toJSON(c.Spec.DerivedValues), "nftables") && c.Status.Phase == networkstackv1alpha1.PhaseReady, toJSON(c.Status.Conditions)
	})
	e.waitReady(stack.Name)
	e.pool(stack.Name, "theirs", func(p networkstackv1alpha1.IPPoolStatus) bool { return p.Capacity != nil && *p.Capacity == 256 })
	e.roomIs(stack.Name, metav1.ConditionTrue, networkstackv1alpha1.ReasonPoolsSufficient)

	before := e.count("kube-proxy")
	e.patch(&corev1.ConfigMap{}, client.ObjectKey{Namespace: "kube-system", Name: "kube-proxy"}, "intruder",
		`{"apiVersion":"v1","kind":"ConfigMap","data":{"config.conf":"mode: ipvs"}}`)
	if last := e.drifts("kube-proxy", before+1); last.Manager != "intruder" {
		t.Errorf("%s", toJSON(last))
	}
	e.eventually("the configuration to be put right", func(ctx context.Context) (bool, string) {
		var cm corev1.ConfigMap
		e.check(e.client.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "kube-proxy"}, &cm))
		return strings.Contains(cm.Data["config.conf"], "mode: nftables"), cm.Data["config.conf"]
	})

	e.check(e.client.Delete(t.Context(), stack.DeepCopy()))
	e.nothingLeft(stack)
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(flannel), flannel))
	if len(flannel.Labels) > 0 || flannel.Generation != 1 {
		t.Errorf("somebody's agent was changed: %s", toJSON(flannel.ObjectMeta))
	}
}

// TestNodeNetworkStates has nmstate's operator tell the MTU of nodes: it is there for the first roll-out and followed, and a restart
// changes nothing.
func TestNodeNetworkStates(t *testing.T) {
	t.Parallel()
	e := newCluster(t, controlplane.Options{ServiceCIDRs: []string{"10.96.0.0/16"}, PodCIDRs: []string{"10.244.0.0/16"}, Node: controlplane.NodeOptions{
		Override: func(_ int, node *corev1.Node) { delete(node.Annotations, networkstackv1alpha1.NodeMTUAnnotation) },
	}})
	kind := schema.GroupVersionKind{Group: "nmstate.io", Version: "v1beta1", Kind: "NodeNetworkState"}
	e.define(kind, "Cluster")
	var nodes corev1.NodeList
	e.check(e.client.List(t.Context(), &nodes))
	tell := func(i, mtu int) {
		node := nodes.Items[i]
		ip := ""
		for _, a := range node.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				ip = a.Address
			}
		}
		e.put(fmt.Sprintf(`
apiVersion: nmstate.io/v1beta1
kind: NodeNetworkState
metadata: {name: %s}
status: {currentState: {interfaces: [{name: lo, state: up, mtu: 65536, ipv4: {address: [{ip: 127.0.0.1, prefix-length: 8}]}},
  {name: eth0, state: up, mtu: %d, ipv4: {address: [{ip: %s, prefix-length: 24}]}}]}}`, node.Name, mtu, ip))
	}
	for i := range nodes.Items {
		tell(i, 9000)
	}
	e.startOperator()
	stack := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}}
	stack.Spec.CNI.Type, stack.Spec.DeletionPolicy = networkstackv1alpha1.CNIFlannel, networkstackv1alpha1.DeletionDelete
	stack.Spec.IPPools = []networkstackv1alpha1.IPPool{{Name: "default", CIDRs: []string{"10.244.0.0/16"}}}
	e.apply(stack)
	told := func(reason string) {
		t.Helper()
		e.eventually("the MTU: "+reason, func(context.Context) (bool, string) {
			s := e.stack(stack.Name)
			for _, setting := range s.Status.Effective {
				if setting.Setting == "spec.mtu" {
					return strings.Contains(setting.Reason, reason), toJSON(setting)
				}
			}
			return false, toJSON(s.Status)
		})
	}
	told("9000 of node ")
	if s := e.waitReady(stack.Name); s.Status.Facts.NodeMTU != 9000 {
		t.Errorf("facts: %s", toJSON(s.Status.Facts))
	}
	if r := e.revision("flannel"); r != 1 {
		t.Errorf("flannel is at revision %d", r)
	}
	tell(1, 1500)
	told("1500 of node " + nodes.Items[1].Name + " (NodeNetworkState)")
	e.eventually("Flannel to be told", func(context.Context) (bool, string) {
		c := e.component("flannel")
		return c.Status.Release != nil && c.Status.Release.Revision == 2 && c.Status.Phase == networkstackv1alpha1.PhaseReady, toJSON(c.Status)
	})
	e.process.Kill()
	e.startOperator()
	// What the new process does shows that it has looked at everything.
	stack.Spec.Drift = &networkstackv1alpha1.DriftSpec{Mode: networkstackv1alpha1.DriftWarn}
	e.apply(stack)
	e.waitReady(stack.Name)
	if r := e.revision("flannel"); r != 2 {
		t.Errorf("flannel is at revision %d after a restart", r)
	}
	e.check(e.client.Delete(t.Context(), stack.DeepCopy()))
	e.nothingLeft(stack)
}
