package lifecycle

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/operator"
)

// hook is the validating webhook of an operator that is a process of this machine.
type hook struct{ port int }

// What a webhook is asked about.
const (
	everything   = ""
	dryRunsAlone = "has(request.dryRun) && request.dryRun"
)

// newHook finds a port. Another program may take it before the operator does, which then says so in its log.
func newHook(t *testing.T) *hook {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return &hook{port: l.Addr().(*net.TCPAddr).Port}
}

func (h *hook) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(h.port)) }

// install applies config/webhook and waits until the operator has had itself trusted. The Service leads to this machine by a name, since
// nothing routes Services' addresses here; the API server asks through it, and checks the certificate against its name, as anywhere.
func (h *hook) install(e *env, only string) {
	e.t.Helper()
	objects, err := operator.Build(filepath.Join(operator.Root(), "config", "webhook"))
	e.check(err)
	for _, o := range objects {
		switch o.GetKind() {
		case "Service":
			o.Object["spec"] = map[string]any{"type": "ExternalName", "externalName": "localhost"}
		case "ValidatingWebhookConfiguration":
			hooks, _, err := unstructured.NestedSlice(o.Object, "webhooks")
			e.check(err)
			config := hooks[0].(map[string]any)
			e.check(unstructured.SetNestedField(config, int64(h.port), "clientConfig", "service", "port"))
			// Tests have more time than people.
			e.check(unstructured.SetNestedField(config, int64(30), "timeoutSeconds"))
			if only != everything {
				conditions, _, err := unstructured.NestedSlice(config, "matchConditions")
				e.check(err)
				conditions = append(conditions, map[string]any{"name": "test", "expression": only})
				e.check(unstructured.SetNestedSlice(config, conditions, "matchConditions"))
			}
			e.check(unstructured.SetNestedSlice(o.Object, hooks, "webhooks"))
		}
		e.check(operator.Apply(e.t.Context(), e.client, o))
	}
	h.trusted(e, nil)
}

// trusted waits until the API server trusts others than before, and answers whom.
func (h *hook) trusted(e *env, before []byte) []byte {
	e.t.Helper()
	var bundle []byte
	e.eventually("the API server to trust the webhook", func(ctx context.Context) (bool, string) {
		var live admissionregistrationv1.ValidatingWebhookConfiguration
		if err := e.client.Get(ctx, client.ObjectKey{Name: "networkstack-webhook"}, &live); err != nil {
			return false, err.Error()
		}
		bundle = live.Webhooks[0].ClientConfig.CABundle
		return len(bundle) > 0 && !bytes.Equal(bundle, before), "no, or the same"
	})
	return bundle
}

// answer is what the API server says to a request.
type answer struct {
	err      error
	warnings []string
}

// Warnings are collected as kubectl prints them.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeader takes one.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

// asking has a request made with a client of its own.
func (e *env) asking(as string, do func(c client.Client) error) answer {
	e.t.Helper()
	heard := &warnings{}
	cfg := rest.CopyConfig(e.cp.RESTConfig())
	cfg.WarningHandler = heard
	cfg.Impersonate.UserName = as
	c, err := operator.Client(cfg)
	e.check(err)
	err = do(c)
	return answer{err, heard.texts}
}

// judge asks what would become of a stack, and has nothing stored.
func (h *hook) judge(e *env, stack *networkstackv1alpha1.NetworkStack) answer {
	e.t.Helper()
	obj, err := operator.StackObject(stack)
	e.check(err)
	return e.asking("", func(c client.Client) error {
		return c.Apply(e.t.Context(), client.ApplyConfigurationFromUnstructured(obj), client.FieldOwner("kubectl"), client.ForceOwnership, client.DryRunAll)
	})
}

func (a answer) refusedWith(t *testing.T, text string) {
	t.Helper()
	if a.err == nil || !strings.HasSuffix(a.err.Error(), text) {
		t.Errorf("the answer is %v\nand not\n%s", a.err, text)
	}
}

// passedWith wants warnings that between them say every line.
func (a answer) passedWith(t *testing.T, text string) {
	t.Helper()
	if a.err != nil {
		t.Errorf("it is refused: %v", a.err)
	}
	for _, line := range strings.Split(text, "\n") {
		if !strings.Contains(strings.Join(a.warnings, "\n"), line) {
			t.Errorf("nothing warns of %q: %q", line, a.warnings)
		}
	}
}

// hookLives has the webhook in force, its certificates made anew, and the operator gone.
func hookLives(t *testing.T, e *env, h *hook, good, bad *networkstackv1alpha1.NetworkStack) {
	ctx := t.Context()
	refused := func(when string) {
		t.Helper()
		if err := e.tryApply(bad); err == nil || !strings.Contains(err.Error(), "spec.mtu") {
			t.Errorf("%s: a stack that cannot work: %v", when, err)
		}
	}
	e.eventually("the webhook to be asked", func(context.Context) (bool, string) {
		err := e.tryApply(bad)
		return err != nil && strings.Contains(err.Error(), "spec.mtu"), "it was stored"
	})
	shown := kubectlApply(t, e, bad)
	if want := `The NetworkStack "` + bad.Name + `" is invalid: spec.mtu: Invalid value: 1480: `; !strings.Contains(shown, want) || !strings.Contains(shown, "[MTU-EXCEEDS-NODES]") {
		t.Errorf("kubectl shows %q, want %q", shown, want)
	}
	e.apply(good)
	second := good.DeepCopy()
	second.Name = "second"
	e.mentions(h.judge(e, second).err, `NetworkStack "`+good.Name+`" is older and takes effect`)
	warned := good.DeepCopy()
	warned.Spec.KubeProxy.Mode = networkstackv1alpha1.KubeProxyIPVS
	h.judge(e, warned).passedWith(t, "[PROXY-IPVS-DEPRECATED]")

	was := h.serial(t)
	for _, name := range []string{"networkstack-webhook-tls", "networkstack-webhook-ca"} {
		before := h.trusted(e, nil)
		e.check(e.client.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operator.Namespace, Name: name}}))
		e.eventually("another certificate", func(context.Context) (bool, string) { return h.serial(t) != was, was })
		if name == "networkstack-webhook-ca" {
			h.trusted(e, before)
		}
		was = h.serial(t)
		// The API server gets to know whom to trust in its own time.
		e.eventually("the webhook to be asked with another certificate", func(context.Context) (bool, string) {
			a := h.judge(e, bad)
			return a.err != nil && strings.Contains(a.err.Error(), "spec.mtu"), "it passed"
		})
		refused("with another " + name)
	}

	e.process.Kill()
	e.check(e.tryApply(bad))
	e.startOperator()
	e.waitCondition(bad.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	e.apply(good)
	e.waitReady(good.Name)
}

// kubectlApply is what kubectl prints when it applies a stack.
func kubectlApply(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) string {
	t.Helper()
	obj, err := operator.StackObject(stack)
	e.check(err)
	data, err := obj.MarshalJSON()
	e.check(err)
	cmd := exec.CommandContext(t.Context(), e.cp.Binaries().Kubectl, "--kubeconfig", e.admin, "apply", "--server-side", "--force-conflicts", "-f", "-")
	cmd.Stdin = bytes.NewReader(data)
	out, _ := cmd.CombinedOutput() // what is refused is an error
	return string(out)
}

// serial is that of the certificate which the webhook serves with; empty when it serves none.
func (h *hook) serial(t *testing.T) string {
	t.Helper()
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", h.address())
	if err != nil {
		return ""
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// keepToOperator tries what config/admission refuses, and what it must not.
func keepToOperator(t *testing.T, e *env, stack string) {
	ctx := t.Context()
	const collector = "system:serviceaccount:kube-system:generic-garbage-collector"
	merge := func(body string) client.Patch { return client.RawPatch("application/merge-patch+json", []byte(body)) }
	component := &networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "flannel"}}
	made := &networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Spec: e.component("flannel").Spec}
	target := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stack}}
	for _, tc := range []struct {
		name, as string
		do       func(c client.Client) error
		// refused is part of the answer; empty when it passes.
		refused, warned string
	}{
		{"a component made by hand", "", func(c client.Client) error { return c.Create(ctx, made.DeepCopy(), client.DryRunAll) },
			"written by the operator alone", ""},
		{"a component's spec", "", func(c client.Client) error {
			return c.Patch(ctx, component.DeepCopy(), merge(`{"spec":{"suspend":true}}`), client.DryRunAll)
		}, "edit the NetworkStack", ""},
		{"a component's status", "", func(c client.Client) error {
			return c.Status().Patch(ctx, component.DeepCopy(), merge(`{"status":{"phase":"Failed"}}`), client.DryRunAll)
		}, "the operator alone writes the status", ""},
		{"a stack's status", "", func(c client.Client) error {
			return c.Status().Patch(ctx, target.DeepCopy(), merge(`{"status":{"observedGeneration":1000}}`), client.DryRunAll)
		}, "the operator alone writes the status", ""},
		{"a component deleted", "", func(c client.Client) error { return c.Delete(ctx, component.DeepCopy(), client.DryRunAll) }, "", ""},
		{"a component collected", collector, func(c client.Client) error { return c.Delete(ctx, component.DeepCopy(), client.DryRunAll) }, "", ""},
		{"a component as the operator writes it", "system:serviceaccount:networkstack-system:networkstack-operator", func(c client.Client) error {
			return c.Patch(ctx, component.DeepCopy(), merge(`{"spec":{"suspend":true}}`), client.DryRunAll)
		}, "", ""},
		{"a component's finalizer", "", func(c client.Client) error {
			return c.Patch(ctx, component.DeepCopy(), merge(`{"metadata":{"finalizers":null,"labels":{"a":"b"}}}`), client.DryRunAll)
		}, "", ""},
		{"a stack whose components stay", "", func(c client.Client) error { return c.Delete(ctx, target.DeepCopy(), client.DryRunAll) }, "", ""},
		{"a stack whose components go", "", func(c client.Client) error {
			e.check(e.client.Patch(ctx, target.DeepCopy(), merge(`{"spec":{"deletionPolicy":"Delete"}}`)))
			return c.Delete(ctx, target.DeepCopy(), client.DryRunAll)
		}, "", "pods have none afterwards"},
		{"a protected stack", "", func(c client.Client) error {
			e.check(e.client.Patch(ctx, target.DeepCopy(), merge(`{"metadata":{"annotations":{"networkstack.io/protected":"true"}}}`)))
			return c.Delete(ctx, target.DeepCopy(), client.DryRunAll)
		}, "networkstack.io/protected-", "pods have none afterwards"},
		{"a protected stack, made safe", "", func(c client.Client) error {
			return c.Patch(ctx, target.DeepCopy(), merge(`{"spec":{"deletionPolicy":null}}`))
		}, "", ""},
		{"a protected stack, made dangerous", "", func(c client.Client) error {
			return c.Patch(ctx, target.DeepCopy(), merge(`{"spec":{"deletionPolicy":"Delete"}}`), client.DryRunAll)
		}, "before deletionPolicy becomes Delete", ""},
		{"one that is not protected any more", "", func(c client.Client) error {
			return c.Patch(ctx, target.DeepCopy(), merge(`{"metadata":{"annotations":{"networkstack.io/protected":null}}}`))
		}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e.in(t, func() {
				a := e.asking(tc.as, tc.do)
				if tc.refused == "" && a.err != nil || tc.refused != "" && (a.err == nil || !strings.Contains(a.err.Error(), tc.refused)) {
					t.Errorf("the answer is %v, want %q", a.err, tc.refused)
				}
				if tc.warned != "" || len(a.warnings) > 0 {
					if !strings.Contains(strings.Join(a.warnings, "\n"), tc.warned) || tc.warned == "" {
						t.Errorf("warned of %q, want %q", a.warnings, tc.warned)
					}
				}
			})
		})
	}
	var policies admissionregistrationv1.ValidatingAdmissionPolicyList
	e.eventually("the expressions to be checked against the definitions", func(ctx context.Context) (bool, string) {
		e.check(e.client.List(ctx, &policies, client.MatchingLabels{"app.kubernetes.io/part-of": "networkstack"}))
		for i := range policies.Items {
			if p := &policies.Items[i]; p.Status.TypeChecking == nil || len(p.Status.TypeChecking.ExpressionWarnings) > 0 {
				return false, toJSON(p.Status)
			}
		}
		return len(policies.Items) == 3, "fewer policies"
	})
}
