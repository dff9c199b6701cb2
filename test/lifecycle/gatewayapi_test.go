package lifecycle

import (
	"context"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
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

const gatewayAPI = "gateway-api"

// TestGatewayAPI takes the definitions of the Gateway API through their life: version and channel go up, never down, and those that
// somebody else has are left alone. No controller runs here; the test says of a GatewayClass what one would.
func TestGatewayAPI(t *testing.T) {
	for _, version := range []string{"v1.7.5", "v1.9.0"} {
		testcharts.UpstreamDir(t, "gateway-crds-helm", version)
	}
	e := newEnv(t, controlplane.Options{}, "--charts", testcharts.UpstreamDir(t, "gateway-crds-helm", "v1.8.3"))
	stack := smallStack(t)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	for _, step := range []struct {
		name string
		run  func(*testing.T, *env, *networkstackv1alpha1.NetworkStack)
	}{
		{"those that somebody else has are checked and left alone", gatewayForeign},
		{"the standard ones", gatewayStandard},
		{"GatewayClasses are told", gatewayClassTold},
		{"what others change is put right", gatewayTampered},
		{"a newer version", gatewayNewer},
		{"an older one is refused, and so is none that is known", gatewayOlder},
		{"the experimental ones, and no way back", gatewayExperimental},
		{"given up, they stay with their objects", gatewayGivenUp},
	} {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, stack) }) }) {
			t.FailNow()
		}
	}
}

// gatewayDefinition reads a definition's metadata.
func (e *env) gatewayDefinition(plural string) *metav1.PartialObjectMetadata {
	e.t.Helper()
	crd := facts.Definition()
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Name: plural + ".gateway.networking.k8s.io"}, crd))
	return crd
}

// gatewayIs waits until a definition is of a bundle.
func (e *env) gatewayIs(plural, version, channel string) {
	e.t.Helper()
	e.eventually(plural+" of "+version+", "+channel, func(ctx context.Context) (bool, string) {
		crd := facts.Definition()
		err := e.client.Get(ctx, client.ObjectKey{Name: plural + ".gateway.networking.k8s.io"}, crd)
		a := crd.Annotations
		return err == nil && a["gateway.networking.k8s.io/bundle-version"] == version && a["gateway.networking.k8s.io/channel"] == channel, toJSON(a)
	})
}

// gatewayFacts waits until the status tells of the Gateway API as it is expected.
func (e *env) gatewayFacts(stack string, want func(*networkstackv1alpha1.GatewayAPIFacts) bool) {
	e.t.Helper()
	e.eventually("what the status tells of the Gateway API", func(context.Context) (bool, string) {
		s := e.stack(stack)
		if s.Status.Facts == nil || s.Status.Facts.GatewayAPI == nil {
			return false, "nothing"
		}
		return want(s.Status.Facts.GatewayAPI), toJSON(s.Status.Facts.GatewayAPI)
	})
}

func askForGateway(stack *networkstackv1alpha1.NetworkStack, channel networkstackv1alpha1.GatewayAPIChannel, version string) {
	stack.Spec.GatewayAPI = &networkstackv1alpha1.GatewayAPISpec{
		Channel: channel, ComponentSettings: networkstackv1alpha1.ComponentSettings{Version: version},
	}
}

// foreignGateway is a definition as Helm's command line leaves it, cut down to what the test needs.
func foreignGateway() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{
			"name":   "gatewayclasses.gateway.networking.k8s.io",
			"labels": map[string]any{"app.kubernetes.io/managed-by": "Helm"},
			"annotations": map[string]any{
				"api-approved.kubernetes.io":               "https://github.com/kubernetes-sigs/gateway-api/pull/2466",
				"gateway.networking.k8s.io/bundle-version": "v1.4.1", "gateway.networking.k8s.io/channel": "standard",
				"meta.helm.sh/release-name": "eg", "meta.helm.sh/release-namespace": "envoy-gateway-system",
			},
		},
		"spec": map[string]any{
			"group": "gateway.networking.k8s.io", "scope": "Cluster",
			"names": map[string]any{"kind": "GatewayClass", "listKind": "GatewayClassList", "plural": "gatewayclasses", "singular": "gatewayclass"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true, "subresources": map[string]any{"status": map[string]any{}},
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}}
}

func gatewayForeign(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.check(e.client.Create(t.Context(), foreignGateway(), client.FieldOwner("helm")))
	before := e.gatewayDefinition("gatewayclasses")
	askForGateway(stack, networkstackv1alpha1.GatewayAPIStandard, "")
	e.apply(stack)
	refused := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if text := toJSON(refused.Status.Conditions); !strings.Contains(text, "[GATEWAY-OWNED]") || !strings.Contains(text, "Helm release envoy-gateway-system/eg") {
		t.Errorf("refused for another reason: %s", text)
	}
	askForGateway(stack, networkstackv1alpha1.GatewayAPIUnmanaged, "v1.5.0")
	e.apply(stack)
	refused = e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if text := toJSON(refused.Status.Conditions); !strings.Contains(text, "[GATEWAY-OLD]") {
		t.Errorf("refused for another reason: %s", text)
	}
	askForGateway(stack, networkstackv1alpha1.GatewayAPIUnmanaged, "v1.4.0")
	e.apply(stack)
	e.waitReady(stack.Name)
	e.gatewayFacts(stack.Name, func(g *networkstackv1alpha1.GatewayAPIFacts) bool {
		return g.Version == "v1.4.1" && g.Channel == "standard" && g.Owner == "Helm release envoy-gateway-system/eg"
	})
	after := e.gatewayDefinition("gatewayclasses")
	if after.ResourceVersion != before.ResourceVersion && toJSON(after.Annotations) != toJSON(before.Annotations) || after.Generation != before.Generation {
		t.Errorf("what is somebody else's was written: %s", toJSON(after))
	}
	e.check(e.client.Delete(t.Context(), foreignGateway()))
	e.gone(foreignGateway())
}

func gatewayStandard(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	askForGateway(stack, networkstackv1alpha1.GatewayAPIStandard, "v1.4.1")
	e.apply(stack)
	e.waitReady(stack.Name)
	e.gatewayIs("httproutes", "v1.4.1", "standard")
	crd := e.gatewayDefinition("httproutes")
	if crd.Labels[networkstackv1alpha1.ComponentLabel] != gatewayAPI {
		t.Errorf("not ours: %s", toJSON(crd.ObjectMeta))
	}
	e.gatewayFacts(stack.Name, func(g *networkstackv1alpha1.GatewayAPIFacts) bool {
		return g.Version == "v1.4.1" && g.Owner == "NetworkStack"
	})
	if text := toJSON(e.component(gatewayAPI).Status.CRDs); !strings.Contains(text, "gateways.gateway.networking.k8s.io") {
		t.Errorf("the component's definitions: %s", text)
	}
	e.noUpstreamPolicy(t)
}

// noUpstreamPolicy: it would keep the operator itself from going to the experimental channel.
func (e *env) noUpstreamPolicy(t *testing.T) {
	t.Helper()
	var policies admissionregistrationv1.ValidatingAdmissionPolicyList
	var bindings admissionregistrationv1.ValidatingAdmissionPolicyBindingList
	e.check(e.client.List(t.Context(), &policies))
	e.check(e.client.List(t.Context(), &bindings))
	const upstream = "safe-upgrades."
	for _, p := range policies.Items {
		if strings.HasPrefix(p.Name, upstream) {
			t.Errorf("upstream's policy %s is there", p.Name)
		}
	}
	for _, b := range bindings.Items {
		if strings.HasPrefix(b.Spec.PolicyName, upstream) {
			t.Errorf("upstream's binding %s is there", b.Name)
		}
	}
}

func gatewayClass() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "GatewayClass"})
	u.SetName("public")
	return u
}

func gatewayClassTold(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	class := gatewayClass()
	class.Object["spec"] = map[string]any{"controllerName": "example.com/gateway-controller"}
	e.check(e.client.Create(t.Context(), class))
	told := func(accepted, reason string) {
		e.gatewayFacts(stack.Name, func(g *networkstackv1alpha1.GatewayAPIFacts) bool {
			return slices.Equal(g.Classes, []networkstackv1alpha1.GatewayClassStatus{
				{Name: "public", Controller: "example.com/gateway-controller", Accepted: accepted, Reason: reason},
			})
		})
	}
	// The schema has a condition from the beginning.
	told("Unknown", "Pending")
	status := `{"status":{"conditions":[{"type":"Accepted","status":"True","reason":"Accepted","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`
	e.check(e.client.Status().Patch(t.Context(), class, client.RawPatch(types.MergePatchType, []byte(status)), client.FieldOwner("controller")))
	told("True", "Accepted")
}

func gatewayTampered(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	if n := e.count(gatewayAPI); n != 0 {
		t.Errorf("%d drifts before anybody has changed anything: %s", n, toJSON(e.component(gatewayAPI).Status.Drift))
	}
	older := `{"metadata":{"annotations":{"gateway.networking.k8s.io/bundle-version":"v1.0.0"}}}`
	e.check(e.client.Patch(t.Context(), e.gatewayDefinition("gateways"), client.RawPatch(types.MergePatchType, []byte(older)), client.FieldOwner("kubectl-edit")))
	e.gatewayIs("gateways", "v1.4.1", "standard")
	e.drifts(gatewayAPI, 1)
	e.waitReady(stack.Name)
}

func gatewayNewer(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	askForGateway(stack, networkstackv1alpha1.GatewayAPIStandard, "v1.6.1")
	e.apply(stack)
	e.gatewayIs("httproutes", "v1.6.1", "standard")
	e.gatewayIs("tcproutes", "v1.6.1", "standard") // there is none in v1.4.1
	e.waitReady(stack.Name)
	e.gatewayFacts(stack.Name, func(g *networkstackv1alpha1.GatewayAPIFacts) bool { return g.Version == "v1.6.1" })
	if err := e.client.Get(t.Context(), client.ObjectKeyFromObject(gatewayClass()), gatewayClass()); err != nil {
		t.Errorf("the GatewayClass is gone: %v", err)
	}
	e.noUpstreamPolicy(t)
}

func gatewayOlder(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	for version, rule := range map[string]string{"v1.5.1": "[GATEWAY-DOWNGRADE]", "v1.3.0": "[GATEWAY-VERSION]"} {
		askForGateway(stack, networkstackv1alpha1.GatewayAPIStandard, version)
		e.apply(stack)
		refused := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
		if text := toJSON(refused.Status.Conditions); !strings.Contains(text, rule) {
			t.Errorf("%s refused for another reason: %s", version, text)
		}
	}
	e.gatewayIs("httproutes", "v1.6.1", "standard")
	// Who asks for no version keeps what there is, although the usual one is older.
	askForGateway(stack, networkstackv1alpha1.GatewayAPIStandard, "")
	e.apply(stack)
	e.waitReady(stack.Name)
	e.gatewayIs("httproutes", "v1.6.1", "standard")
}

func gatewayExperimental(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	askForGateway(stack, networkstackv1alpha1.GatewayAPIExperimental, "v1.6.1")
	e.apply(stack)
	e.gatewayIs("httproutes", "v1.6.1", "experimental")
	e.waitReady(stack.Name)
	crd := facts.Definition()
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: "xmeshes.gateway.networking.x-k8s.io"}, crd))
	askForGateway(stack, networkstackv1alpha1.GatewayAPIStandard, "v1.6.1")
	e.apply(stack)
	refused := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if text := toJSON(refused.Status.Conditions); !strings.Contains(text, "[GATEWAY-CHANNEL-BACK]") {
		t.Errorf("refused for another reason: %s", text)
	}
	askForGateway(stack, networkstackv1alpha1.GatewayAPIExperimental, "v1.6.1")
	e.apply(stack)
	e.waitReady(stack.Name)
}

func gatewayGivenUp(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	uid := e.gatewayDefinition("gatewayclasses").UID
	stack.Spec.GatewayAPI = nil
	e.apply(stack)
	e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: gatewayAPI}})
	crd := e.gatewayDefinition("gatewayclasses")
	if crd.UID != uid || crd.Labels[networkstackv1alpha1.ComponentLabel] != "" || crd.Annotations["meta.helm.sh/release-name"] != "" {
		t.Errorf("the definition: %s", toJSON(crd.ObjectMeta))
	}
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(gatewayClass()), gatewayClass()))
	e.waitReady(stack.Name)
	// Taken up again, they are what they were.
	askForGateway(stack, networkstackv1alpha1.GatewayAPIExperimental, "")
	e.apply(stack)
	e.waitReady(stack.Name)
	if again := e.gatewayDefinition("gatewayclasses"); again.UID != uid || again.Labels[networkstackv1alpha1.ComponentLabel] != gatewayAPI {
		t.Errorf("taken up again: %s", toJSON(again.ObjectMeta))
	}
	e.check(e.client.Delete(t.Context(), stack.DeepCopy()))
	e.gone(&networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stack.Name}})
	if last := e.gatewayDefinition("gatewayclasses"); last.UID != uid {
		t.Error("the definition went with the stack")
	}
}
