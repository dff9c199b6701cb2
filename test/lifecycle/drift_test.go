package lifecycle

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
)

var (
	flannelConfig = client.ObjectKey{Namespace: "kube-flannel", Name: "kube-flannel-cfg"}
	flannelDaemon = client.ObjectKey{Namespace: "kube-flannel", Name: "kube-flannel-ds"}
	proxyDaemon   = client.ObjectKey{Namespace: "kube-system", Name: "kube-proxy"}
)

// TestDrift covers what may be drift and what is done about it, beyond the single changes of TestFlannelStack.
func TestDrift(t *testing.T) {
	t.Parallel()
	e := newEnv(t, controlplane.Options{})
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "networkstack-system", Name: "values"},
		Data: map[string][]byte{"values.yaml": []byte("flannel: {args: [--ip-masq, --kube-subnet-mgr, --public-ip-x=open-sesame]}\n")}}
	e.check(e.client.Create(t.Context(), secret))
	stack := smallStack(t)
	stack.Spec.CNI.ValuesFrom = []networkstackv1alpha1.ValuesReference{{Kind: networkstackv1alpha1.ValuesFromSecret, Name: "values"}}
	e.apply(stack)
	e.waitReady(stack.Name)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *env, *networkstackv1alpha1.NetworkStack)
	}{
		{"additions are removed and what is others' stays", additions},
		{"a secret value is not shown", secretValue},
		{"a release that is taken away is installed again", releaseTaken},
		{"a field that is to be ignored is left", ignoredField},
		{"a component has a mode of its own", ownMode},
		{"a field that is put back again and again is given up", fight},
	} {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, stack) }) }) {
			t.FailNow()
		}
	}
}

// patch changes an object as some manager.
func (e *env) patch(obj client.Object, key client.ObjectKey, manager, body string) {
	e.t.Helper()
	obj.SetNamespace(key.Namespace)
	obj.SetName(key.Name)
	e.check(e.client.Patch(e.t.Context(), obj, client.RawPatch(types.StrategicMergePatchType, []byte(body)), client.FieldOwner(manager)))
}

// drifts waits until so many drifts of a component have been counted, and returns the latest.
func (e *env) drifts(component string, count int64) networkstackv1alpha1.Drift {
	e.t.Helper()
	var last networkstackv1alpha1.Drift
	e.eventually("the drift to be reported", func(context.Context) (bool, string) {
		d := e.component(component).Status.Drift
		if d != nil && len(d.Recent) > 0 {
			last = d.Recent[0]
		}
		return d != nil && d.Count >= count, toJSON(d)
	})
	return last
}

func (e *env) count(component string) int64 {
	if d := e.component(component).Status.Drift; d != nil {
		return d.Count
	}
	return 0
}

func additions(t *testing.T, e *env, _ *networkstackv1alpha1.NetworkStack) {
	before := e.count("flannel")
	e.patch(&corev1.ConfigMap{}, flannelConfig, "kubectl-edit", `{"metadata":{"annotations":{"team":"net"}},"data":{"extra":"x"}}`)
	last := e.drifts("flannel", before+1)
	if last.Fields[0].Path != ".data.extra" || last.Fields[0].Expected != "(none)" || last.Fields[0].Found != `"x"` || last.Manager != "kubectl-edit" || last.ChangedAt == nil {
		t.Errorf("%s", toJSON(last))
	}
	e.patch(&appsv1.DaemonSet{}, flannelDaemon, "kubectl-edit",
		`{"spec":{"template":{"metadata":{"annotations":{"restarted":"now"}},"spec":{"containers":[{"name":"spy","image":"spy:1"},{"name":"kube-flannel","env":[{"name":"SPY","value":"1"}]}]}}}}`)
	last = e.drifts("flannel", before+2)
	if len(last.Fields) != 2 || last.Manager != "kubectl-edit" {
		t.Errorf("%s", toJSON(last))
	}
	var cm corev1.ConfigMap
	e.check(e.client.Get(t.Context(), flannelConfig, &cm))
	var ds appsv1.DaemonSet
	e.check(e.client.Get(t.Context(), flannelDaemon, &ds))
	if _, has := cm.Data["extra"]; has || cm.Annotations["team"] != "net" || len(ds.Spec.Template.Spec.Containers) != 1 ||
		ds.Spec.Template.Annotations["restarted"] != "now" || strings.Contains(toJSON(ds.Spec.Template.Spec.Containers[0].Env), "SPY") {
		t.Errorf("%s %s %s", toJSON(cm.Data), toJSON(cm.Annotations), toJSON(ds.Spec.Template))
	}
}

// secretValue changes an argument whose value came from a Secret.
func secretValue(t *testing.T, e *env, _ *networkstackv1alpha1.NetworkStack) {
	before := e.count("flannel")
	e.patch(&appsv1.DaemonSet{}, flannelDaemon, "kubectl-edit", `{"spec":{"template":{"spec":{"containers":[{"name":"kube-flannel","args":["shut"]}]}}}}`)
	last := e.drifts("flannel", before+1)
	if !strings.HasSuffix(last.Fields[0].Path, ".args") || last.Fields[0].Expected != "[redacted]" || last.Fields[0].Found != `["shut"]` {
		t.Errorf("%s", toJSON(last))
	}
	var events corev1.EventList
	e.check(e.client.List(t.Context(), &events))
	for text, where := range map[string]string{toJSON(events): "events", toJSON(e.component("flannel").Status): "status", e.log.Tail(1 << 20): "log"} {
		if strings.Contains(text, "open-sesame") {
			t.Errorf("the secret is in the %s", where)
		}
	}
}

// releaseTaken uninstalls behind the operator's back.
func releaseTaken(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.helm("uninstall", "flannel", "--namespace", "kube-flannel", "--cascade", "background")
	e.eventually("the release to be there again", func(ctx context.Context) (bool, string) {
		var list corev1.SecretList
		e.check(e.client.List(ctx, &list, client.InNamespace("kube-flannel"), client.MatchingLabels{"owner": "helm", "name": "flannel", "status": "deployed"}))
		return len(list.Items) == 1, toJSON(e.component("flannel").Status.Conditions)
	})
	e.waitReady(stack.Name)
	var cm corev1.ConfigMap
	e.check(e.client.Get(t.Context(), flannelConfig, &cm))
}

func ignoredField(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.Drift = &networkstackv1alpha1.DriftSpec{Ignore: []networkstackv1alpha1.DriftIgnoreRule{
		{Component: "flannel", Kind: "ConfigMap", Name: "kube-flannel-*", Paths: []string{`.data["net-conf.json"]`, ".data.extra"}},
	}}
	e.apply(stack)
	e.waitReady(stack.Name)
	before := e.count("flannel")
	e.patch(&corev1.ConfigMap{}, flannelConfig, "team", `{"data":{"net-conf.json":"{}","extra":"x"}}`)
	// Another drift of the same object is noticed after it, and put right without touching the field.
	e.patch(&corev1.ConfigMap{}, flannelConfig, "kubectl-edit", `{"data":{"cni-conf.json":"{}"}}`)
	if last := e.drifts("flannel", before+1); len(last.Fields) != 1 || last.Fields[0].Path != `.data["cni-conf.json"]` {
		t.Errorf("%s", toJSON(last))
	}
	var cm corev1.ConfigMap
	e.check(e.client.Get(t.Context(), flannelConfig, &cm))
	if cm.Data["net-conf.json"] != "{}" || cm.Data["extra"] != "x" || cm.Data["cni-conf.json"] == "{}" {
		t.Errorf("%s", toJSON(cm.Data))
	}
	// A new revision leaves the field, too.
	revision := e.revision("flannel")
	stack.Spec.CNI.Values = &apiextensionsv1.JSON{Raw: []byte(`{"updateStrategy":{"rollingUpdate":{"maxUnavailable":"20%"}}}`)}
	e.apply(stack)
	e.eventually("a new revision", func(context.Context) (bool, string) { return e.revision("flannel") > revision, "" })
	e.check(e.client.Get(t.Context(), flannelConfig, &cm))
	if cm.Data["net-conf.json"] != "{}" {
		t.Errorf("%s", toJSON(cm.Data))
	}
	// When the rule goes, the field is put right.
	stack.Spec.Drift = nil
	e.apply(stack)
	e.eventually("the field to be put right", func(ctx context.Context) (bool, string) {
		e.check(e.client.Get(ctx, flannelConfig, &cm))
		return cm.Data["net-conf.json"] != "{}" && cm.Data["extra"] == "", toJSON(cm.Data)
	})
	e.waitReady(stack.Name)
}

func ownMode(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.KubeProxy.DriftMode = networkstackv1alpha1.DriftWarn
	e.apply(stack)
	e.waitReady(stack.Name)
	flannel := e.count("flannel")
	e.patch(&appsv1.DaemonSet{}, proxyDaemon, "kubectl-edit", `{"spec":{"minReadySeconds":7}}`)
	e.patch(&appsv1.DaemonSet{}, proxyDaemon, "kubectl-edit", `{"spec":{"template":{"spec":{"containers":[{"name":"kube-proxy","image":"other:1"}]}}}}`)
	e.patch(&corev1.ConfigMap{}, flannelConfig, "kubectl-edit", `{"data":{"net-conf.json":"{}"}}`)
	e.drifts("flannel", flannel+1)
	e.waitCondition(stack.Name, networkstackv1alpha1.ConditionDrifted, metav1.ConditionTrue, networkstackv1alpha1.ReasonDriftDetected)
	open := e.component("kube-proxy").Status.Drift.Open
	if len(open) != 1 || open[0].Manager != "kubectl-edit" || open[0].Fields[0].Found != `"other:1"` {
		t.Errorf("%s", toJSON(open))
	}
	var ds appsv1.DaemonSet
	e.check(e.client.Get(t.Context(), proxyDaemon, &ds))
	if ds.Spec.Template.Spec.Containers[0].Image != "other:1" {
		t.Error("drift mode Warn changed the object")
	}
	stack.Spec.KubeProxy.DriftMode = ""
	e.apply(stack)
	e.eventually("the image to be put right", func(ctx context.Context) (bool, string) {
		e.check(e.client.Get(ctx, proxyDaemon, &ds))
		return ds.Spec.Template.Spec.Containers[0].Image != "other:1", ""
	})
	e.waitReady(stack.Name)
}

func fight(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	image := func() string {
		var ds appsv1.DaemonSet
		e.check(e.client.Get(t.Context(), flannelDaemon, &ds))
		return ds.Spec.Template.Spec.Containers[0].Image
	}
	right := image()
	tamper := func() {
		e.patch(&appsv1.DaemonSet{}, flannelDaemon, "robot", `{"spec":{"template":{"spec":{"containers":[{"name":"kube-flannel","image":"robot:1"}]}}}}`)
	}
	for range 3 {
		before := e.count("flannel")
		tamper()
		e.drifts("flannel", before+1)
		if got := image(); got != right {
			t.Fatalf("not put right: %s", got)
		}
	}
	contested := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionContested, metav1.ConditionTrue, networkstackv1alpha1.ReasonDriftContested)
	message := meta.FindStatusCondition(contested.Status.Conditions, networkstackv1alpha1.ConditionContested).Message
	e.mentions(errorText(message), "DaemonSet kube-flannel/kube-flannel-ds", `.spec.template.spec.containers[name="kube-flannel"].image`, "robot", "spec.drift.ignore")
	before := e.count("flannel")
	tamper()
	// What somebody else changes is put right all the same, also by the next operator.
	e.patch(&appsv1.DaemonSet{}, flannelDaemon, "kubectl-edit", `{"spec":{"template":{"spec":{"hostNetwork":false}}}}`)
	e.drifts("flannel", before+1)
	if got := image(); got != "robot:1" {
		t.Errorf("the field was not left: %s", got)
	}
	e.check(e.process.Stop())
	e.startOperator()
	before = e.count("flannel")
	e.patch(&corev1.ConfigMap{}, flannelConfig, "kubectl-edit", `{"data":{"net-conf.json":"{}"}}`)
	e.drifts("flannel", before+1)
	if got := image(); got != "robot:1" {
		t.Errorf("the next operator did not leave the field: %s", got)
	}
	// Something else is wanted: everything is as it is wanted again.
	stack.Spec.CNI.Values = &apiextensionsv1.JSON{Raw: []byte(`{"updateStrategy":{"rollingUpdate":{"maxUnavailable":"30%"}}}`)}
	e.apply(stack)
	e.eventually("the image to be right again", func(context.Context) (bool, string) { got := image(); return got == right, got })
	e.eventually("the contest to be over", func(context.Context) (bool, string) {
		c := meta.FindStatusCondition(e.stack(stack.Name).Status.Conditions, networkstackv1alpha1.ConditionContested)
		return c == nil, toJSON(c)
	})
	e.waitReady(stack.Name)
}

type errorText string

func (e errorText) Error() string { return string(e) }
