package lifecycle

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/preinstalled"
	"github.com/networkstack/networkstack/test/testcharts"
)

const redirectKind = "CiliumLocalRedirectPolicy"

// TestDNS takes the cluster's DNS through its life: CoreDNS and its cache from the binary alone, with kube-proxy and with Cilium in its
// place; and one of kubeadm's, that is taken over. No container runs on simulated nodes, so nothing is looked up. The test plays
// the autoscaler, Cilium's operator (its kinds, without their schemas) and kubeadm.
func TestDNS(t *testing.T) {
	e := newEnv(t, controlplane.Options{}, "--charts", testcharts.PinnedDir(t, "cilium", "1.20.0"))
	stack := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	stack.Spec.CNI.Type = networkstackv1alpha1.CNIFlannel
	stack.Spec.KubeProxy = &networkstackv1alpha1.KubeProxySpec{Mode: networkstackv1alpha1.KubeProxyIPTables}
	stack.Spec.DNS = &networkstackv1alpha1.DNSSpec{Type: networkstackv1alpha1.DNSCoreDNS}
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	for _, step := range []struct {
		name string
		run  func(*testing.T, *env, *networkstackv1alpha1.NetworkStack)
	}{
		{"CoreDNS is installed from the binary alone", dnsInstalled},
		{"a stub domain is rolled out", dnsChanged},
		{"a broken block is refused before it is applied", dnsRefused},
		{"what others change is put right", dnsTampered},
		{"an autoscaler is left alone", dnsScaled},
		{"a cache on every node", dnsCached},
		{"it goes on running when it is no longer wanted", dnsLeft},
		{"a cache that kubelets name goes on running, too", dnsCacheLeft},
		{"a cache that Cilium redirects to", dnsRedirected},
		{"kubeadm's is taken over, and no pod restarts", dnsAdopted},
	} {
		began := time.Now()
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, stack) }) }) {
			t.FailNow()
		}
		t.Logf("%s: %.1f s", step.name, time.Since(began).Seconds())
	}
}

// corefile waits until a ConfigMap has a text in its Corefile, and answers the whole.
func (e *env) corefile(name, text string) string {
	e.t.Helper()
	cm := corev1.ConfigMap{}
	e.eventually("the Corefile of "+name+" with "+text, func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: name}, &cm)
		return err == nil && strings.Contains(cm.Data["Corefile"], text), cm.Data["Corefile"]
	})
	return cm.Data["Corefile"]
}

// coreDNS is its Deployment.
func (e *env) coreDNS() *appsv1.Deployment {
	e.t.Helper()
	var d appsv1.Deployment
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "coredns"}, &d))
	return &d
}

// tenth is the tenth address of the local control plane's range of Services.
func (e *env) tenth() string {
	e.t.Helper()
	var api corev1.Service
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Namespace: "default", Name: "kubernetes"}, &api))
	return strings.TrimSuffix(api.Spec.ClusterIP, ".1") + ".10"
}

func dnsInstalled(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.apply(stack)
	applied := time.Now()
	ready := e.waitReady(stack.Name)
	t.Logf("Flannel, kube-proxy and CoreDNS Ready %.1f s after apply", time.Since(applied).Seconds())
	var svc corev1.Service
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "kube-dns"}, &svc))
	// The local control plane has Services of both families.
	if svc.Spec.ClusterIP != e.tenth() || len(svc.Spec.ClusterIPs) != 2 || !strings.HasSuffix(svc.Spec.ClusterIPs[1], "::a") || svc.Labels["k8s-app"] != "kube-dns" || svc.Labels[networkstackv1alpha1.ComponentLabel] != "coredns" {
		t.Errorf("Service kube-dns: %s", toJSON(svc))
	}
	d := e.coreDNS()
	if d.Status.AvailableReplicas != 2 || d.Spec.Template.Spec.PriorityClassName != "system-cluster-critical" {
		t.Errorf("Deployment coredns: %s", toJSON(d))
	}
	e.corefile("coredns", "kubernetes cluster.local in-addr.arpa ip6.arpa {")
	if i := slices.IndexFunc(ready.Status.Components, func(c networkstackv1alpha1.ComponentSummary) bool { return c.Name == "coredns" }); i < 0 || ready.Status.Components[i].Stage != 50 {
		t.Errorf("components: %s", toJSON(ready.Status.Components))
	}
	e.eventually("the address in the facts", func(context.Context) (bool, string) {
		f := e.stack(stack.Name).Status.Facts
		return f != nil && slices.Equal(f.DNSServiceIPs, svc.Spec.ClusterIPs), toJSON(f)
	})
}

func dnsChanged(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	before, flannel := e.coreDNS(), e.revision("flannel")
	stack.Spec.DNS.StubDomains = []networkstackv1alpha1.DNSStubDomain{{Domain: "corp.example.com", DNSForward: networkstackv1alpha1.DNSForward{Servers: []string{"192.0.2.53"}}}}
	e.apply(stack)
	e.corefile("coredns", "corp.example.com:53 {")
	e.waitReady(stack.Name)
	if after := e.coreDNS(); cmp.Equal(before.Spec.Template, after.Spec.Template) || after.Status.UpdatedReplicas != 2 {
		t.Errorf("no pod was started with the new configuration: %s", toJSON(after))
	}
	if got := e.revision("flannel"); got != flannel {
		t.Errorf("Flannel is at revision %d, was %d", got, flannel)
	}
}

func dnsRefused(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	before := e.corefile("coredns", "corp.example.com:53 {")
	good := stack.Spec.DNS.DeepCopy()
	stack.Spec.DNS.ServerBlocks = []string{"lab.example.com {\n    forward . 192.0.2.54\n"}
	stack.Spec.DNS.Forward = &networkstackv1alpha1.DNSForward{Servers: []string{"127.0.0.53", e.tenth()}}
	e.apply(stack)
	refused := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, "")
	for _, want := range []string{"spec.dns.serverBlocks[0]", "[DNS-BLOCK]", "spec.dns.forward.servers[0]", "spec.dns.forward.servers[1]", "[DNS-LOOP]"} {
		if text := toJSON(refused.Status.Conditions); !strings.Contains(text, want) {
			t.Errorf("the refusal lacks %q: %s", want, text)
		}
	}
	if after := e.corefile("coredns", "corp.example.com:53 {"); after != before || e.revision("coredns") != 2 {
		t.Errorf("it was applied all the same: %s", cmp.Diff(before, after))
	}
	stack.Spec.DNS = good
	e.apply(stack)
	e.waitReady(stack.Name)
}

func dnsTampered(t *testing.T, e *env, _ *networkstackv1alpha1.NetworkStack) {
	good := e.corefile("coredns", "corp.example.com:53 {")
	e.patch(&corev1.ConfigMap{}, client.ObjectKey{Namespace: "kube-system", Name: "coredns"}, "somebody", `{"data":{"Corefile":".:53 { whoami }"}}`)
	e.patch(&appsv1.Deployment{}, client.ObjectKey{Namespace: "kube-system", Name: "coredns"}, "somebody", `{"spec":{"replicas":0}}`)
	if got := e.corefile("coredns", "corp.example.com:53 {"); got != good {
		t.Errorf("put right to something else: %s", cmp.Diff(good, got))
	}
	e.eventually("the replicas", func(context.Context) (bool, string) {
		d := e.coreDNS()
		return *d.Spec.Replicas == 2 && d.Status.AvailableReplicas == 2, toJSON(d.Status)
	})
}

func dnsScaled(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.DNS.Autoscaler = &networkstackv1alpha1.DNSAutoscaler{}
	e.apply(stack)
	var scaler appsv1.Deployment
	e.eventually("the autoscaler", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "coredns-autoscaler"}, &scaler)
		return err == nil && scaler.Status.AvailableReplicas == 1, toJSON(scaler.Status)
	})
	e.waitReady(stack.Name)
	if d := e.coreDNS(); *d.Spec.Replicas != 2 {
		t.Errorf("%d replicas while the autoscaler has not looked yet", *d.Spec.Replicas)
	}
	k, err := kubernetes.NewForConfig(e.cp.RESTConfig())
	e.check(err)
	_, err = k.AppsV1().Deployments("kube-system").UpdateScale(t.Context(), "coredns", &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}, Spec: autoscalingv1.ScaleSpec{Replicas: 4},
	}, metav1.UpdateOptions{FieldManager: "cluster-proportional-autoscaler"})
	e.check(err)
	stack.Spec.DNS.QueryLog = networkstackv1alpha1.Enabled
	e.apply(stack)
	e.corefile("coredns", "    log\n")
	e.waitReady(stack.Name)
	if d := e.coreDNS(); *d.Spec.Replicas != 4 {
		t.Errorf("%d replicas; the autoscaler wants 4", *d.Spec.Replicas)
	}
	stack.Spec.DNS.Autoscaler, stack.Spec.DNS.QueryLog = nil, ""
	e.apply(stack)
	e.gone(&scaler)
	e.waitReady(stack.Name)
}

func dnsCached(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.DNS.NodeLocalCache = &networkstackv1alpha1.NodeLocalCacheSpec{Mode: networkstackv1alpha1.Enabled}
	e.apply(stack)
	e.waitReady(stack.Name)
	var ds appsv1.DaemonSet
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "node-local-dns"}, &ds))
	pod := ds.Spec.Template.Spec
	if args := strings.Join(pod.Containers[0].Args, " "); ds.Status.NumberAvailable != 3 || !pod.HostNetwork || !strings.Contains(args, "-localip 169.254.20.10,"+e.tenth()+" ") {
		t.Errorf("DaemonSet node-local-dns: %s", toJSON(ds))
	}
	text := e.corefile("node-local-dns", "bind 169.254.20.10 "+e.tenth())
	for _, want := range []string{"cluster.local:53 {", "corp.example.com:53 {", "__PILLAR__UPSTREAM__SERVERS__"} {
		if !strings.Contains(text, want) {
			t.Errorf("the Corefile lacks %s: %s", want, text)
		}
	}
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "kube-dns-upstream"}, &corev1.Service{}))
	stack.Spec.DNS.NodeLocalCache = nil
	e.apply(stack)
	e.gone(&ds)
	e.waitReady(stack.Name)
}

// dnsUIDs are those of what pods need.
func (e *env) dnsUIDs() []string {
	e.t.Helper()
	k, err := kubernetes.NewForConfig(e.cp.RESTConfig())
	e.check(err)
	out, err := preinstalled.Pods(e.t.Context(), k, "kube-system", "k8s-app=kube-dns")
	e.check(err)
	return out
}

func dnsLeft(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	dns, before := stack.Spec.DNS, e.dnsUIDs()
	stack.Spec.DNS = nil
	e.apply(stack)
	e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "coredns"}})
	e.waitReady(stack.Name)
	if diff := cmp.Diff(before, e.dnsUIDs()); diff != "" {
		t.Errorf("CoreDNS did not stay as it was: %s", diff)
	}
	var events corev1.EventList
	e.check(e.client.List(t.Context(), &events))
	if !slices.ContainsFunc(events.Items, func(ev corev1.Event) bool {
		return strings.Contains(ev.Message, "component coredns is no longer looked after, and goes on running")
	}) {
		t.Error("nobody says that it goes on running")
	}
	stack.Spec.DNS = dns
	e.apply(stack)
	e.waitReady(stack.Name)
	if diff := cmp.Diff(before, e.dnsUIDs()); diff != "" {
		t.Errorf("CoreDNS was restarted when it was taken up again: %s", diff)
	}
}

func dnsCacheLeft(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.KubeProxy.Mode = networkstackv1alpha1.KubeProxyNFTables
	stack.Spec.DNS.NodeLocalCache = &networkstackv1alpha1.NodeLocalCacheSpec{Mode: networkstackv1alpha1.Enabled}
	e.apply(stack)
	ready := e.waitReady(stack.Name)
	if text := toJSON(ready.Status.Warnings); !strings.Contains(text, "set clusterDNS of every kubelet to 169.254.20.10") {
		t.Errorf("warnings: %s", text)
	}
	var ds appsv1.DaemonSet
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "node-local-dns"}, &ds))
	if args := strings.Join(ds.Spec.Template.Spec.Containers[0].Args, " "); !strings.Contains(args, "-localip 169.254.20.10 ") {
		t.Errorf("arguments: %s", args)
	}
	stack.Spec.DNS.NodeLocalCache = nil
	e.apply(stack)
	e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "node-local-dns"}})
	e.waitReady(stack.Name)
	uid := ds.UID
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(&ds), &ds))
	if ds.UID != uid || ds.DeletionTimestamp != nil {
		t.Error("the caches that kubelets name were removed")
	}
	// It is taken up again, and goes with the whole network: that is asked for.
	stack.Spec.DNS.NodeLocalCache = &networkstackv1alpha1.NodeLocalCacheSpec{Mode: networkstackv1alpha1.Enabled}
	e.apply(stack)
	e.waitReady(stack.Name)
	e.removed(stack)
	e.gone(&ds)
}

// removed deletes a stack with all that it installed.
func (e *env) removed(stack *networkstackv1alpha1.NetworkStack) {
	e.t.Helper()
	e.check(e.client.Delete(e.t.Context(), e.stack(stack.Name)))
	e.gone(&networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stack.Name}})
	for _, obj := range []client.Object{
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns"}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns-upstream"}},
	} {
		e.gone(obj)
	}
}

func dnsRedirected(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.ResourceVersion, stack.UID = "", ""
	stack.Spec.CNI = networkstackv1alpha1.CNISpec{Type: networkstackv1alpha1.CNICilium}
	stack.Spec.KubeProxy = &networkstackv1alpha1.KubeProxySpec{Mode: networkstackv1alpha1.KubeProxyReplaced}
	e.apply(stack)
	e.eventually("the caches to wait for Cilium's kinds", func(ctx context.Context) (bool, string) {
		var c networkstackv1alpha1.NetworkComponent
		err := e.client.Get(ctx, client.ObjectKey{Name: "node-local-dns"}, &c)
		return err == nil && strings.Contains(toJSON(c.Status), "waiting until there are the kinds"), toJSON(c.Status)
	})
	e.defineCiliumKind(redirectKind, "v2", apiextensionsv1.NamespaceScoped)
	e.waitReady(stack.Name)
	var config corev1.ConfigMap
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "cilium-config"}, &config))
	if config.Data["enable-local-redirect-policy"] != "true" {
		t.Errorf("Cilium does not redirect: %s", toJSON(config.Data))
	}
	policy := &unstructured.Unstructured{}
	policy.SetAPIVersion("cilium.io/v2")
	policy.SetKind(redirectKind)
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "node-local-dns"}, policy))
	if text := toJSON(policy.Object["spec"]); !strings.Contains(text, `"serviceName":"kube-dns"`) || !strings.Contains(text, `"k8s-app":"node-local-dns"`) {
		t.Errorf("policy: %s", text)
	}
	var ds appsv1.DaemonSet
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "node-local-dns"}, &ds))
	if args := strings.Join(ds.Spec.Template.Spec.Containers[0].Args, " "); ds.Spec.Template.Spec.HostNetwork || !strings.Contains(args, "-setupinterface=false -setupiptables=false") {
		t.Errorf("DaemonSet node-local-dns: %s", toJSON(ds.Spec.Template.Spec))
	}
	if text := e.corefile("node-local-dns", "cluster.local:53 {"); strings.Contains(text, "bind") {
		t.Errorf("it listens on addresses that the pod does not have: %s", text)
	}
	// The policy comes back when somebody deletes it.
	uid := policy.GetUID()
	e.check(e.client.Delete(t.Context(), policy))
	e.eventually("the policy", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKeyFromObject(policy), policy)
		return err == nil && policy.GetUID() != uid, ""
	})
	e.removed(stack)
	e.gone(policy)
}

func dnsAdopted(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	manifest := preinstalled.Manifest("coredns", "")
	e.check(preinstalled.Create(t.Context(), e.client, "kubeadm", manifest))
	e.eventually("the pods of kubeadm's CoreDNS", func(context.Context) (bool, string) { return e.coreDNS().Status.AvailableReplicas == 2, "" })
	before := e.dnsUIDs()
	untouched, err := preinstalled.Versions(t.Context(), e.client, manifest)
	e.check(err)

	stack.ResourceVersion, stack.UID = "", ""
	stack.Spec.CNI = networkstackv1alpha1.CNISpec{Type: networkstackv1alpha1.CNIFlannel}
	stack.Spec.KubeProxy = nil
	stack.Spec.DNS = &networkstackv1alpha1.DNSSpec{Type: networkstackv1alpha1.DNSCoreDNS}
	e.apply(stack)
	refused := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, "")
	if text := toJSON(refused.Status.Conditions); !strings.Contains(text, "Deployment kube-system/coredns is the CoreDNS of the cluster already, made by kubeadm: set spec.adoption to Adopt") {
		t.Errorf("refused: %s", text)
	}
	want := networkstackv1alpha1.AdoptionStatus{State: networkstackv1alpha1.AdoptionReported, Source: "kubeadm", Same: 6}
	adoption := func() {
		t.Helper()
		e.eventually("the adoption to be "+string(want.State), func(ctx context.Context) (bool, string) {
			var c networkstackv1alpha1.NetworkComponent
			err := e.client.Get(ctx, client.ObjectKey{Name: "coredns"}, &c)
			return err == nil && c.Status.Adoption != nil && c.Status.Adoption.State == want.State, toJSON(c.Status)
		})
		if diff := cmp.Diff(want, *e.component("coredns").Status.Adoption); diff != "" {
			t.Error(diff)
		}
	}
	adoption()
	now, err := preinstalled.Versions(t.Context(), e.client, manifest)
	e.check(err)
	if diff := cmp.Diff(untouched, now); diff != "" {
		t.Errorf("a report touched what it is about: %s", diff)
	}

	stack.Spec.Adoption = networkstackv1alpha1.AdoptionAdopt
	e.apply(stack)
	e.waitReady(stack.Name)
	want.State = networkstackv1alpha1.AdoptionAdopted
	adoption()
	if diff := cmp.Diff(before, e.dnsUIDs()); diff != "" {
		t.Errorf("pods were restarted: %s", diff)
	}

	// What the spec says takes the place of what was found; the rest stays, entries of hosts for example, to the letter if it says nothing.
	found := e.corefile("coredns", "legacy.example.com")
	seconds := int32(300)
	stack.Spec.DNS.Cache = &networkstackv1alpha1.DNSCache{SuccessSeconds: &seconds}
	e.apply(stack)
	if text := e.corefile("coredns", "success 9984 300"); !strings.Contains(text, "legacy.example.com") {
		t.Errorf("entries were lost: %s", text)
	}
	e.waitReady(stack.Name)
	if image := e.coreDNS().Spec.Template.Spec.Containers[0].Image; image != "registry.k8s.io/coredns/coredns:v1.13.1" {
		t.Errorf("the image is %s", image)
	}
	stack.Spec.DNS.Cache = nil
	e.apply(stack)
	e.waitReady(stack.Name)
	if text := e.corefile("coredns", "legacy.example.com"); text != found {
		t.Errorf("it is not as it was found: %s", cmp.Diff(found, text))
	}
	e.removed(stack)
}
