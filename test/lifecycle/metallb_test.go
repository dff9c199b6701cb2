package lifecycle

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testcharts"
)

const (
	metalLB          = "metallb"
	metalLBPools     = "metallb-resources"
	metalLBNamespace = "metallb-system"
)

// TestMetalLB takes MetalLB through its life with upstream's chart. On simulated nodes no container runs, so the test plays MetalLB's
// controller: it answers the webhook, and writes what the controller writes into objects of the chart.
func TestMetalLB(t *testing.T) {
	testcharts.UpstreamDir(t, metalLB, "0.16.1")
	e := newEnv(t, controlplane.Options{}, "--charts", testcharts.UpstreamDir(t, metalLB, "0.15.3"))
	stack := smallStack(t)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	stack.Spec.LoadBalancer = &networkstackv1alpha1.LoadBalancerSpec{
		Type: networkstackv1alpha1.LoadBalancerMetalLB,
		Pools: []networkstackv1alpha1.LoadBalancerPool{
			{Name: "public", Addresses: []string{"198.18.20.0/26"}},
			{Name: "reserved", Addresses: []string{"198.18.21.10-198.18.21.20"}, AutoAssign: networkstackv1alpha1.Disabled},
		},
		L2: &networkstackv1alpha1.LoadBalancerL2Spec{Interfaces: []string{"eth1"}},
	}
	// The test's webhook is elsewhere than MetalLB's, and has to stay there.
	stack.Spec.Drift = &networkstackv1alpha1.DriftSpec{Ignore: []networkstackv1alpha1.DriftIgnoreRule{{
		Component: metalLB, Kind: "ValidatingWebhookConfiguration", Paths: []string{".webhooks[*].clientConfig"},
	}}}
	metalLBVersion(t, stack, "0.15.3")
	webhook := metalLBWebhook(t)
	e.apply(stack)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *env, *networkstackv1alpha1.NetworkStack)
	}{
		{"the pools wait for the webhook", metalLBAwaited},
		{"answered, they are there", func(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
			e.answeredBy(webhook)
			metalLBPoolsThere(t, e, stack)
		}},
		{"what its controller writes is no drift", func(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
			crd := e.metalLBDefinition("bgppeers")
			trusted := `{"spec":{"conversion":{"webhook":{"clientConfig":{"caBundle":"` + authority(webhook) + `"}}}}}`
			e.check(e.client.Patch(t.Context(), crd, client.RawPatch(types.MergePatchType, []byte(trusted)), client.FieldOwner("controller")))
			metalLBControls(t, e, stack)
		}},
		{"a pool grows, and MetalLB stays as it is", metalLBPoolGrown},
		{"what others change is put right", metalLBTampered},
		{"the next version", metalLBUpgraded},
		{"from L2 to BGP", func(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
			metalLBRouted(t, e, stack, webhook)
		}},
		{"taken away, it leaves its definitions alone", metalLBGone},
	} {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, stack) }) }) {
			t.FailNow()
		}
	}
}

// metalLBVersion asks for a version. The archive in the chart cache may have been packed by somebody else than upstream, so its
// digest is the one to check.
func metalLBVersion(t *testing.T, stack *networkstackv1alpha1.NetworkStack, version string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testcharts.UpstreamDir(t, metalLB, version), metalLB+"-"+version+".tgz"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	stack.Spec.LoadBalancer.Version = version
	stack.Spec.LoadBalancer.Chart = &networkstackv1alpha1.ChartReference{
		Repository: "https://metallb.github.io/metallb", Digest: "sha256:" + hex.EncodeToString(sum[:]),
	}
}

// metalLBObject is a custom resource of MetalLB.
func metalLBObject(kind, version, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "metallb.io", Version: version, Kind: kind})
	u.SetNamespace(metalLBNamespace)
	u.SetName(name)
	return u
}

func metalLBPool(name string) *unstructured.Unstructured {
	return metalLBObject("IPAddressPool", "v1beta1", name)
}

// metalLBDefinition reads the metadata of a definition of MetalLB's.
func (e *env) metalLBDefinition(plural string) *metav1.PartialObjectMetadata {
	e.t.Helper()
	crd := facts.Definition()
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Name: plural + ".metallb.io"}, crd))
	return crd
}

// says waits until an object is there and its spec holds a text.
func (e *env) says(u *unstructured.Unstructured, text string) string {
	e.t.Helper()
	last := ""
	e.eventually(u.GetKind()+" "+u.GetName()+" with "+text, func(ctx context.Context) (bool, string) {
		if err := e.client.Get(ctx, client.ObjectKeyFromObject(u), u); err != nil {
			return false, err.Error()
		}
		last = toJSON(u.Object["spec"])
		return strings.Contains(last, text), last
	})
	return last
}

func metalLBAwaited(t *testing.T, e *env, _ *networkstackv1alpha1.NetworkStack) {
	e.eventually("the pools to meet the webhook", func(ctx context.Context) (bool, string) {
		var c networkstackv1alpha1.NetworkComponent
		err := e.client.Get(ctx, client.ObjectKey{Name: metalLBPools}, &c)
		text := toJSON(c.Status.Conditions)
		return err == nil && strings.Contains(text, "validationwebhook.metallb.io"), text
	})
	e.componentReady(metalLB)
	var namespace corev1.Namespace
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: metalLBNamespace}, &namespace))
	if namespace.Labels["pod-security.kubernetes.io/enforce"] != "privileged" {
		t.Errorf("the namespace: %s", toJSON(namespace.Labels))
	}
}

// metalLBWebhook does what MetalLB's webhook does with what is right: it lets it pass.
func metalLBWebhook(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	return server
}

// authority is what the API server trusts a webhook's server by.
func authority(server *httptest.Server) string {
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// answeredBy has the API server ask there.
func (e *env) answeredBy(server *httptest.Server) {
	e.t.Helper()
	var webhooks admissionregistrationv1.ValidatingWebhookConfiguration
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Name: "metallb-webhook-configuration"}, &webhooks))
	changes := make([]map[string]any, len(webhooks.Webhooks))
	for i := range webhooks.Webhooks {
		changes[i] = map[string]any{
			"name": webhooks.Webhooks[i].Name, "clientConfig": map[string]any{"service": nil, "url": server.URL, "caBundle": authority(server)},
		}
	}
	body := toJSON(map[string]any{"webhooks": changes})
	e.check(e.client.Patch(e.t.Context(), &webhooks, client.RawPatch(types.StrategicMergePatchType, []byte(body)), client.FieldOwner("test")))
}

// unanswered has the API server ask MetalLB's own Service again: what the test wrote goes with the object, and the operator makes another.
// A URL beside the Service that the next revision has again would be one too many.
func (e *env) unanswered() {
	e.t.Helper()
	webhooks := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "metallb-webhook-configuration"}}
	e.check(e.client.Delete(e.t.Context(), webhooks))
	e.eventually("the webhooks to be restored", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKeyFromObject(webhooks), webhooks)
		return err == nil && len(webhooks.Webhooks) > 0 && webhooks.Webhooks[0].ClientConfig.Service != nil, toJSON(webhooks.Webhooks)
	})
}

func metalLBPoolsThere(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.waitReady(stack.Name)
	e.says(metalLBPool("public"), `"198.18.20.0/26"`)
	if text := e.says(metalLBPool("reserved"), `"198.18.21.10-198.18.21.20"`); !strings.Contains(text, `"autoAssign":false`) {
		t.Errorf("pool reserved: %s", text)
	}
	if text := e.says(metalLBObject("L2Advertisement", "v1beta1", metalLBPools), `"eth1"`); !strings.Contains(text, `"app.kubernetes.io/instance":"metallb-resources"`) {
		t.Errorf("the advertisement: %s", text)
	}
	var frr appsv1.DaemonSetList
	e.check(e.client.List(t.Context(), &frr, client.InNamespace(metalLBNamespace)))
	if len(frr.Items) != 1 || strings.Contains(toJSON(frr.Items[0].Spec), "frr") {
		t.Errorf("with mode L2 nothing speaks BGP: %d DaemonSets", len(frr.Items))
	}
	for _, c := range []string{metalLB, metalLBPools} {
		if n := e.count(c); n != 0 {
			t.Errorf("%d drifts of %s: %s", n, c, toJSON(e.component(c).Status.Drift))
		}
	}
}

// metalLBControls does what the controller does with objects of the chart.
func metalLBControls(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	owner := client.FieldOwner("controller")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metalLBNamespace, Name: "metallb-webhook-cert"}}
	merge := func(obj client.Object, body string) {
		e.check(e.client.Patch(t.Context(), obj, client.RawPatch(types.MergePatchType, []byte(body)), owner))
	}
	merge(secret, `{"data":{"tls.crt":"Y2VydA==","tls.key":"a2V5","ca.crt":"Y2E="}}`)
	var deployment appsv1.Deployment
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: metalLBNamespace, Name: "metallb-controller"}, &deployment))
	e.check(e.client.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: metalLBNamespace, Name: "metallb-memberlist", OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "apps/v1", Kind: "Deployment", Name: deployment.Name, UID: deployment.UID},
		}},
		Data: map[string][]byte{"secretkey": []byte("played")},
	}, owner))
	// A change that is drift comes after those, and is seen after them.
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: metalLBNamespace, Name: "metallb-webhook-service"}}
	e.check(e.client.Delete(t.Context(), service))
	e.drifts(metalLB, 1)
	e.waitReady(stack.Name)
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(secret), secret))
	if string(secret.Data["tls.crt"]) != "cert" {
		t.Errorf("the webhook's certificate was taken away: %d keys", len(secret.Data))
	}
	if d := e.component(metalLB).Status.Drift; d == nil || d.Count != 1 {
		t.Errorf("drift: %s", toJSON(d))
	}
}

func metalLBPoolGrown(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	before := e.revision(metalLB)
	stack.Spec.LoadBalancer.Pools[0].Addresses = append(stack.Spec.LoadBalancer.Pools[0].Addresses, "198.18.20.64/26")
	e.apply(stack)
	e.says(metalLBPool("public"), `"198.18.20.64/26"`)
	e.waitReady(stack.Name)
	if after := e.revision(metalLB); after != before {
		t.Errorf("MetalLB went from revision %d to %d", before, after)
	}
	bad := stack.DeepCopy()
	bad.Spec.LoadBalancer.Pools[1].Addresses = []string{"198.18.20.100-198.18.20.110"}
	e.apply(bad)
	refused := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if text := toJSON(refused.Status.Conditions); !strings.Contains(text, "[LB-OVERLAP]") {
		t.Errorf("refused for another reason: %s", text)
	}
	e.apply(stack)
	e.waitReady(stack.Name)
}

func metalLBTampered(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stolen := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"addresses":["203.0.113.0/24"]}}`))
	e.check(e.client.Patch(t.Context(), metalLBPool("public"), stolen, client.FieldOwner("kubectl-edit")))
	e.says(metalLBPool("public"), `"198.18.20.0/26","198.18.20.64/26"`)
	e.drifts(metalLBPools, 1)
	e.check(e.client.Delete(t.Context(), metalLBPool("reserved")))
	e.says(metalLBPool("reserved"), `"198.18.21.10-198.18.21.20"`)
	e.waitReady(stack.Name)
}

func metalLBUpgraded(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	pool := metalLBPool("public")
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(pool), pool))
	uid := pool.GetUID()
	e.unanswered()
	metalLBVersion(t, stack, "0.16.1")
	e.apply(stack)
	e.eventually("the speakers of the next version", func(ctx context.Context) (bool, string) {
		var ds appsv1.DaemonSet
		err := e.client.Get(ctx, client.ObjectKey{Namespace: metalLBNamespace, Name: "metallb-speaker"}, &ds)
		text := toJSON(ds.Spec.Template.Spec.Containers)
		return err == nil && strings.Contains(text, "speaker:v0.16.1"), text
	})
	e.waitReady(stack.Name)
	if crd := e.metalLBDefinition("ipaddresspools"); crd.Annotations[networkstackv1alpha1.CRDSourceAnnotation] != "crds/0.16.1" {
		t.Errorf("the definition is of the version before: %s", toJSON(crd.Annotations))
	}
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(pool), pool))
	if pool.GetUID() != uid {
		t.Error("the pool was made anew")
	}
	e.noPending()
}

func metalLBRouted(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack, webhook *httptest.Server) {
	l := stack.Spec.LoadBalancer
	l.Mode, l.L2 = networkstackv1alpha1.LoadBalancerBGP, nil
	l.BGP = &networkstackv1alpha1.LoadBalancerBGPSpec{LocalASN: 64600, Communities: []string{"64600:1"}, Peers: []networkstackv1alpha1.LoadBalancerBGPPeer{{
		Name: "spine", Address: "198.18.0.1", ASN: 4200000000, Port: 1179, HoldTimeSeconds: 9, KeepAliveTimeSeconds: 3,
		EBGPMultihop: networkstackv1alpha1.Enabled, GracefulRestart: networkstackv1alpha1.Enabled, PasswordSecretName: "spine",
	}}}
	e.apply(stack)
	e.eventually("what speaks BGP", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKey{Namespace: metalLBNamespace, Name: "metallb-frr-k8s"}, &appsv1.DaemonSet{})
		return err == nil, toJSON(err)
	})
	e.componentReady(metalLB)
	e.answeredBy(webhook)
	text := e.says(metalLBObject("BGPPeer", "v1beta2", "spine"), `"peerASN":4200000000`)
	for _, want := range []string{
		`"myASN":64600`, `"peerAddress":"198.18.0.1"`, `"peerPort":1179`, `"holdTime":"9s"`, `"keepaliveTime":"3s"`, `"ebgpMultiHop":true`,
		`"enableGracefulRestart":true`, `"passwordSecret":{"name":"spine","namespace":"metallb-system"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the peer lacks %s: %s", want, text)
		}
	}
	e.says(metalLBObject("BGPAdvertisement", "v1beta1", metalLBPools), `"64600:1"`)
	e.gone(metalLBObject("L2Advertisement", "v1beta1", metalLBPools))
	e.waitReady(stack.Name)
}

func metalLBGone(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.LoadBalancer = nil
	e.apply(stack)
	for _, name := range []string{metalLBPools, metalLB} {
		e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	e.gone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metalLBNamespace}})
	var webhooks admissionregistrationv1.ValidatingWebhookConfigurationList
	e.check(e.client.List(t.Context(), &webhooks))
	if len(webhooks.Items) > 0 {
		t.Errorf("a webhook is left that nobody answers: %s", webhooks.Items[0].Name)
	}
	pools := &unstructured.UnstructuredList{}
	pools.SetGroupVersionKind(schema.GroupVersionKind{Group: "metallb.io", Version: "v1beta1", Kind: "IPAddressPoolList"})
	e.check(e.client.List(t.Context(), pools))
	if len(pools.Items) > 0 {
		t.Errorf("%d pools are left", len(pools.Items))
	}
	if crd := e.metalLBDefinition("ipaddresspools"); crd.Labels[networkstackv1alpha1.ComponentLabel] != "" {
		t.Errorf("the definition has our label still: %s", toJSON(crd.Labels))
	}
	e.waitReady(stack.Name)
}
