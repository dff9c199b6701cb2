package lifecycle

import (
	"context"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
)

const weaveSample = "networkstack_weavenet.yaml"

// weaveNet names objects of Weave Net, all of which have the same name.
var weaveNet = metav1.ObjectMeta{Namespace: "kube-system", Name: "weave-net"}

// TestWeaveNetStack takes the sample through its life, and with it a Secret that the operator makes: kept over a restart,
// rotated on request, made anew when it is deleted, in no place where it does not belong, and gone with the rest.
func TestWeaveNetStack(t *testing.T) {
	t.Parallel()
	e := newEnv(t, controlplane.Options{ServiceCIDRs: []string{"10.96.0.0/16"}, PodCIDRs: []string{"10.244.0.0/16"}})
	stack := sample(t, weaveSample)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	// An agent counts as available after some seconds, so one at a time takes long.
	stack.Spec.CNI.Values = rawJSON(`{"updateStrategy": {"rollingUpdate": {"maxUnavailable": 3}}}`)
	w := &weaveTest{passwords: map[string]bool{}}
	e.apply(stack)
	ready := e.waitReady(stack.Name)
	if len(ready.Status.Warnings) != 1 || !strings.HasSuffix(ready.Status.Warnings[0], "[WEAVE-LEGACY]") {
		t.Errorf("warnings: %v", ready.Status.Warnings)
	}
	for _, step := range []struct {
		name string
		run  func(*testing.T, *env, *networkstackv1alpha1.NetworkStack)
	}{
		{"the agents get what the stack says", w.installed},
		{"a changed setting is rolled out, and drift is put right", w.changed},
		{"a restart leaves the password and the agents as they are", w.restarted},
		{"the password is rotated on request", w.rotated},
		{"a deleted password is made anew, and read", w.deletedPassword},
		{"what cannot work is refused, and changes nothing", w.refused},
		{"deletion leaves nothing", w.removed},
	} {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, stack) }) }) {
			t.FailNow()
		}
	}
}

// weaveTest remembers every password there has been.
type weaveTest struct {
	passwords map[string]bool
	last      *corev1.Secret
}

// password reads the Secret and wants it to be another one than all before.
func (w *weaveTest) password(e *env) {
	e.t.Helper()
	var s corev1.Secret
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "weave-net-password"}, &s))
	text := string(s.Data["password"])
	if len(text) < 43 || w.passwords[text] {
		e.t.Errorf("a password of %d characters, seen before: %v", len(text), w.passwords[text])
	}
	w.passwords[text], w.last = true, &s
}

// agents is the DaemonSet as it is now, and the environment of its agents.
func agents(e *env) (ds *appsv1.DaemonSet, env map[string]string) {
	e.t.Helper()
	ds = &appsv1.DaemonSet{}
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Namespace: weaveNet.Namespace, Name: weaveNet.Name}, ds))
	env = map[string]string{}
	for _, v := range ds.Spec.Template.Spec.Containers[0].Env {
		env[v.Name] = v.Value
		if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil {
			env[v.Name] = "Secret " + v.ValueFrom.SecretKeyRef.Name
		}
	}
	return ds, env
}

// checksum tells pods that have read one password from those that have read another.
func checksum(ds *appsv1.DaemonSet) string { return ds.Spec.Template.Annotations["checksum/config"] }

func (w *weaveTest) installed(t *testing.T, e *env, _ *networkstackv1alpha1.NetworkStack) {
	w.password(e)
	ds, env := agents(e)
	for name, want := range map[string]string{"IPALLOC_RANGE": "10.244.0.0/16", "WEAVE_MTU": "1416", "WEAVE_PASSWORD": "Secret weave-net-password", "EXPECT_NPC": "1"} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	if ds.Status.NumberAvailable != 3 {
		t.Errorf("%d of 3 agents are available", ds.Status.NumberAvailable)
	}
	if made := e.component("weave-net").Status.GeneratedSecrets; len(made) != 1 || made[0].External || made[0].Revision == "" {
		t.Errorf("status.generatedSecrets: %s", toJSON(made))
	}
	if values := e.helm("get", "values", "weave-net", "-n", "kube-system"); !strings.Contains(values, e.component("weave-net").Status.GeneratedSecrets[0].Revision) {
		t.Errorf("the revision of the password is not among the values:\n%s", values)
	}
	if manifest := e.helm("get", "manifest", "weave-net", "-n", "kube-system"); strings.Contains(manifest, "kind: Secret") {
		t.Error("Helm's release holds a Secret")
	}
}

func (w *weaveTest) changed(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.MTU = 1380
	e.apply(stack)
	e.waitReady(stack.Name)
	if _, env := agents(e); env["WEAVE_MTU"] != "1380" {
		t.Errorf("WEAVE_MTU is %s", env["WEAVE_MTU"])
	}
	if r, p := e.revision("weave-net"), e.revision("kube-proxy"); r != 2 || p != 1 {
		t.Errorf("weave-net is at revision %d, want 2; kube-proxy at %d, want 1", r, p)
	}

	// What agents write of their peers is theirs.
	peers := &corev1.ConfigMap{}
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: weaveNet.Namespace, Name: weaveNet.Name}, peers))
	peers.Annotations["kube-peers.weave.works/peers"] = `{"Peers":[]}`
	e.check(e.client.Update(t.Context(), peers, client.FieldOwner("kube-peers.weave.works")))

	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: weaveNet.Name}}
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(role), role))
	role.Rules = role.Rules[:1]
	e.check(e.client.Update(t.Context(), role, client.FieldOwner("intruder")))
	e.eventually("the role to be restored", func(ctx context.Context) (bool, string) {
		e.check(e.client.Get(ctx, client.ObjectKeyFromObject(role), role))
		return len(role.Rules) > 1, toJSON(role.Rules)
	})
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(peers), peers))
	if peers.Annotations["kube-peers.weave.works/peers"] == "" {
		t.Error("the agents' list of peers is gone")
	}
	e.waitReady(stack.Name)
	if d := e.drifts("weave-net", 1); d.Manager != "intruder" {
		t.Errorf("drift by %s", d.Manager)
	}
}

func (w *weaveTest) restarted(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	before, _ := agents(e)
	e.process.Kill()
	e.startOperator()
	// What the new process puts right shows that it has looked at everything.
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: weaveNet.Name}}
	e.check(e.client.Delete(t.Context(), binding))
	e.eventually("the binding to be restored", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKeyFromObject(binding), binding)
		return err == nil, toJSON(err)
	})
	e.waitReady(stack.Name)
	s := &corev1.Secret{}
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(w.last), s))
	after, _ := agents(e)
	if s.ResourceVersion != w.last.ResourceVersion || after.Generation != before.Generation || e.revision("weave-net") != 2 {
		t.Errorf("Secret %s, then %s; DaemonSet %d, then %d; revision %d",
			w.last.ResourceVersion, s.ResourceVersion, before.Generation, after.Generation, e.revision("weave-net"))
	}
}

func (w *weaveTest) rotated(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	before, _ := agents(e)
	old := w.last
	stack.Spec.CNI.Encryption.Rotation = "2026-06"
	e.apply(stack)
	ready := e.waitReady(stack.Name)
	w.password(e)
	after, _ := agents(e)
	if w.last.UID != old.UID || checksum(after) == checksum(before) || e.revision("weave-net") != 3 {
		t.Errorf("Secret made again: %v; pods are told: %v; revision %d", w.last.UID != old.UID, checksum(after) != checksum(before), e.revision("weave-net"))
	}
	if !strings.Contains(strings.Join(ready.Status.Warnings, "\n"), "[WEAVE-PASSWORD-CHANGE]") {
		t.Errorf("no word of what it means: %v", ready.Status.Warnings)
	}
	e.eventually("the rotation to be told", func(context.Context) (bool, string) {
		return e.countEvents("weave-net", networkstackv1alpha1.ReasonSecretRotated) == 1, toJSON(e.component("weave-net").Status.GeneratedSecrets)
	})
}

func (w *weaveTest) deletedPassword(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	before, _ := agents(e)
	e.check(e.client.Delete(t.Context(), w.last))
	e.eventually("the agents to be told of another password", func(context.Context) (bool, string) {
		after, _ := agents(e)
		return checksum(after) != checksum(before), checksum(after)
	})
	e.eventually("revision 4 of weave-net", func(context.Context) (bool, string) {
		r := e.revision("weave-net")
		return r == 4, strconv.Itoa(int(r))
	})
	e.waitReady(stack.Name)
	w.password(e)
}

func (w *weaveTest) refused(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	pools := stack.Spec.IPPools
	stack.Spec.IPPools = []networkstackv1alpha1.IPPool{{Name: "default", CIDRs: []string{"10.245.0.0/16"}}}
	e.apply(stack)
	s := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, "")
	if text := toJSON(s.Status.Conditions); !strings.Contains(text, "WEAVE-RANGE-CHANGED") {
		t.Errorf("refused for something else: %s", text)
	}
	stack.Spec.IPPools = pools
	e.apply(stack)
	e.waitReady(stack.Name)
	if r := e.revision("weave-net"); r != 4 {
		t.Errorf("weave-net is at revision %d, want 4", r)
	}
	known := stack.Spec.CNI.WeaveNet
	stack.Spec.CNI.WeaveNet = nil
	e.mentions(e.tryApply(stack), "spec.cni.weaveNet", "acknowledgeLegacy")
	stack.Spec.CNI.WeaveNet = known
}

// removed deletes the stack, and looks once more for the passwords wherever they do not belong.
func (w *weaveTest) removed(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	var events corev1.EventList
	e.check(e.client.List(t.Context(), &events))
	all := toJSON(e.stack(stack.Name)) + toJSON(e.component("weave-net")) + toJSON(events) + e.log.String() +
		e.helm("get", "all", "weave-net", "-n", "kube-system")
	if len(w.passwords) != 3 {
		t.Errorf("%d passwords, want 3", len(w.passwords))
	}
	for p := range w.passwords {
		if strings.Contains(all, p) {
			t.Error("a password shows in the stack, the component, an event, the log or Helm's release")
		}
	}
	e.check(e.client.Delete(t.Context(), e.stack(stack.Name)))
	e.nothingLeft(stack)
	for _, o := range []client.Object{
		w.last, &appsv1.DaemonSet{ObjectMeta: weaveNet}, &corev1.ConfigMap{ObjectMeta: weaveNet}, &corev1.ServiceAccount{ObjectMeta: weaveNet},
		&rbacv1.Role{ObjectMeta: weaveNet}, &rbacv1.RoleBinding{ObjectMeta: weaveNet},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: weaveNet.Name}}, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: weaveNet.Name}},
	} {
		e.gone(o)
	}
}
