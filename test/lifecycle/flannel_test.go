package lifecycle

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
)

// TestFlannelStack takes the demo's sample through its life: install, change, drift, suspension, deletion.
func TestFlannelStack(t *testing.T) {
	t.Parallel()
	e := newEnv(t, controlplane.Options{}, "--operator-image", agentImage)
	stack := smallStack(t)

	e.apply(stack)
	applied := time.Now()
	e.judgedRightly(stack.Name)
	ready := e.waitReady(stack.Name)
	t.Logf("Flannel and kube-proxy Ready %.1f s after apply", time.Since(applied).Seconds())
	e.checkFlannelInstalled(ready)

	for _, step := range []struct {
		name string
		run  func(*testing.T, *env, *networkstackv1alpha1.NetworkStack)
	}{
		{"applying again changes nothing", applyAgain},
		{"a change upgrades only what it concerns", changeMTU},
		{"kubectl networkstack tells what there is, what would be applied and what would change", plugin},
		{"changed and deleted objects are restored", restoreDrift},
		{"drift mode Warn reports and leaves", warnDrift},
		{"a restarted operator changes nothing", restart},
		{"values from a Secret roll out", valuesFromSecret},
		{"agents are as the spec says", changeAgents},
		{"images come from the registry named in sources", imageRegistry},
		{"a second stack is refused", secondStack},
		{"suspension stops everything", suspend},
		{"a kube-proxy no longer managed goes on running", unmanage},
		{"an orphaned network keeps running and is taken up again", orphan},
		{"baseline policies are in force, and the glass can be broken", baselinePolicies},
		{"baseline policies of an orphaned network stay, and are taken up again", policiesOrphaned},
		{"deletion removes components in reverse order", deleteAll},
		{"and policies before them", policiesGone},
	} {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, stack) }) }) {
			t.FailNow()
		}
	}
}

// in runs a part of a test so that its failures count as that part's.
func (e *env) in(t *testing.T, run func()) {
	outer := e.t
	e.t = t
	defer func() { e.t = outer }()
	run()
}

// judgedRightly checks what kstatus, and so every GitOps tool, makes of the stack until it is Ready: never Current before.
func (e *env) judgedRightly(name string) {
	e.t.Helper()
	e.eventually("kstatus to say Current", func(ctx context.Context) (bool, string) {
		u := &unstructured.Unstructured{}
		u.SetAPIVersion(networkstackv1alpha1.GroupVersion.String())
		u.SetKind("NetworkStack")
		if err := e.client.Get(ctx, client.ObjectKey{Name: name}, u); err != nil {
			return false, err.Error()
		}
		result, err := status.Compute(u)
		if err != nil {
			e.t.Fatal(err)
		}
		if result.Status == status.FailedStatus {
			e.t.Fatalf("kstatus says Failed on the way: %s", result.Message)
		}
		if result.Status != status.CurrentStatus {
			return false, result.Message
		}
		for _, component := range []string{"kube-proxy", "flannel"} {
			c := e.component(component)
			if c.Status.Phase != networkstackv1alpha1.PhaseReady {
				e.t.Fatalf("kstatus says Current while %s is %s", component, c.Status.Phase)
			}
		}
		return true, ""
	})
}

func (e *env) checkFlannelInstalled(s *networkstackv1alpha1.NetworkStack) {
	t := e.t
	t.Helper()
	var releases []struct{ Name, Namespace, Status, Chart string }
	e.check(json.Unmarshal([]byte(e.helm("ls", "-A", "-o", "json")), &releases))
	var got []string
	for _, r := range releases {
		got = append(got, r.Namespace+"/"+r.Name+" "+r.Status)
	}
	slices.Sort(got)
	if want := []string{"kube-flannel/flannel deployed", "kube-system/coredns deployed", "kube-system/kube-proxy deployed"}; !slices.Equal(got, want) {
		t.Errorf("helm ls -A lists %v, want %v", got, want)
	}
	if values := e.helm("get", "values", "flannel", "-n", "kube-flannel"); !strings.Contains(values, "podCidrv6: fd00:10:244::/56") {
		t.Errorf("helm get values does not show the IPv6 range:\n%s", values)
	}
	if history := e.helm("history", "kube-proxy", "-n", "kube-system"); !strings.Contains(history, "deployed") {
		t.Errorf("helm history does not show a deployed revision:\n%s", history)
	}
	for _, obj := range []client.Object{
		&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-flannel", Name: "kube-flannel-ds"}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-flannel", Name: "kube-flannel-cfg"}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "flannel"}},
	} {
		e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(obj), obj))
		if obj.GetLabels()[networkstackv1alpha1.ComponentLabel] != "flannel" {
			t.Errorf("%T %s does not carry its component's label: %v", obj, obj.GetName(), obj.GetLabels())
		}
		for _, m := range obj.GetManagedFields() {
			if m.Subresource == "" && m.Operation == metav1.ManagedFieldsOperationApply && m.Manager != networkstackv1alpha1.FieldManager {
				t.Errorf("%T %s was applied by %q", obj, obj.GetName(), m.Manager)
			}
		}
	}
	effective := map[string]string{}
	for _, s := range s.Status.Effective {
		effective[s.Setting] = s.Value
		if s.Reason == "" {
			t.Errorf("status.effective gives no reason for %s", s.Setting)
		}
	}
	if effective["spec.mtu"] != "1430" {
		t.Errorf("the derived MTU is %q, want 1430: 1500 of the nodes less 70 for VXLAN over IPv6", effective["spec.mtu"])
	}
	f := s.Status.Facts
	if f == nil || f.KubernetesVersion != "v1.37.1" || f.Nodes != 3 || f.NodeMTU != 1500 || len(f.ServiceCIDRs) != 2 || len(f.PodCIDRs) != 2 || f.APIServer == "" {
		t.Errorf("status.facts is %+v", f)
	}
	if f != nil && (f.KubeProxy == nil || f.KubeProxy.Mode != "nftables") {
		t.Errorf("the kube-proxy found is %+v", f.KubeProxy)
	}
	if s.Status.Summary == nil || s.Status.Summary.Components != "3/3" {
		t.Errorf("status.summary is %+v", s.Status.Summary)
	}
}

func (e *env) revision(component string) int32 {
	e.t.Helper()
	c := e.component(component)
	if c.Status.Release == nil {
		e.t.Fatalf("component %s has no release", component)
	}
	return c.Status.Release.Revision
}

func applyAgain(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	before := e.stack(stack.Name)
	e.apply(stack)
	after := e.waitReady(stack.Name)
	if before.ResourceVersion != after.ResourceVersion {
		t.Errorf("the stack was written though nothing changed")
	}
	if r := e.revision("flannel"); r != 1 {
		t.Errorf("flannel is at revision %d", r)
	}
}

func changeMTU(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.MTU = 1400
	e.apply(stack)
	e.waitReady(stack.Name)
	if r := e.revision("flannel"); r != 2 {
		t.Errorf("flannel is at revision %d, want 2", r)
	}
	if r := e.revision("kube-proxy"); r != 1 {
		t.Errorf("kube-proxy is at revision %d, though nothing of it changed", r)
	}
	var cm corev1.ConfigMap
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-flannel", Name: "kube-flannel-cfg"}, &cm))
	if !strings.Contains(cm.Data["net-conf.json"], "1450") {
		t.Errorf("flannel subtracts the overhead itself and must be told 1450 for pods to get 1400; it is told:\n%s", cm.Data["net-conf.json"])
	}
}

func restoreDrift(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	ctx := t.Context()
	var ds appsv1.DaemonSet
	key := client.ObjectKey{Namespace: "kube-flannel", Name: "kube-flannel-ds"}
	e.check(e.client.Get(ctx, key, &ds))
	image := ds.Spec.Template.Spec.Containers[0].Image
	patch := client.StrategicMergeFrom(ds.DeepCopy())
	ds.Spec.Template.Spec.Containers[0].Image = "example.com/intruder:1"
	e.check(e.client.Patch(ctx, &ds, patch, client.FieldOwner("intruder")))
	start := time.Now()
	e.eventually("the image to be restored", func(ctx context.Context) (bool, string) {
		e.check(e.client.Get(ctx, key, &ds))
		return ds.Spec.Template.Spec.Containers[0].Image == image, ds.Spec.Template.Spec.Containers[0].Image
	})
	t.Logf("image restored after %d ms", time.Since(start).Milliseconds())
	e.eventually("the drift to be attributed", func(context.Context) (bool, string) {
		d := e.component("flannel").Status.Drift
		return d != nil && d.Count == 1 && d.Recent[0].Manager == "intruder" && d.Recent[0].Object == "DaemonSet kube-flannel/kube-flannel-ds" &&
			strings.HasSuffix(d.Recent[0].Fields[0].Path, ".image") && d.Recent[0].Fields[0].Found == `"example.com/intruder:1"`, toJSON(d)
	})
	// Everything else that can happen to an object, one after the other.
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "flannel"}}
	e.check(e.client.Delete(ctx, binding))
	e.eventually("the deleted binding to be restored", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKeyFromObject(binding), binding)
		return err == nil && len(binding.Subjects) == 1, toJSON(err)
	})
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "flannel"}}
	e.check(e.client.Get(ctx, client.ObjectKeyFromObject(role), role))
	role.Rules = nil
	delete(role.Labels, networkstackv1alpha1.ComponentLabel)
	e.check(e.client.Update(ctx, role, client.FieldOwner("intruder")))
	e.eventually("the role's rules and label to be restored", func(ctx context.Context) (bool, string) {
		e.check(e.client.Get(ctx, client.ObjectKeyFromObject(role), role))
		return len(role.Rules) > 0 && role.Labels[networkstackv1alpha1.ComponentLabel] == "flannel", toJSON(role.Labels)
	})
	e.restoresDeleted(&ds)
	e.waitReady(stack.Name)
	if r := e.revision("flannel"); r != 2 {
		t.Errorf("correcting drift made a new revision: %d", r)
	}
}

func warnDrift(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.Drift = &networkstackv1alpha1.DriftSpec{Mode: networkstackv1alpha1.DriftWarn}
	e.apply(stack)
	e.waitReady(stack.Name)
	key := client.ObjectKey{Namespace: "kube-flannel", Name: "kube-flannel-cfg"}
	var cm corev1.ConfigMap
	e.check(e.client.Get(t.Context(), key, &cm))
	before := cm.Data["net-conf.json"]
	cm.Data["net-conf.json"] = "{}"
	e.check(e.client.Update(t.Context(), &cm, client.FieldOwner("intruder")))
	e.waitCondition(stack.Name, networkstackv1alpha1.ConditionDrifted, metav1.ConditionTrue, networkstackv1alpha1.ReasonDriftDetected)
	e.check(e.client.Get(t.Context(), key, &cm))
	if cm.Data["net-conf.json"] != "{}" {
		t.Error("drift mode Warn changed the object")
	}
	// Put right by hand, it is drift no more; changed again, it is.
	cm.Data["net-conf.json"] = before
	e.check(e.client.Update(t.Context(), &cm, client.FieldOwner("intruder")))
	e.waitCondition(stack.Name, networkstackv1alpha1.ConditionDrifted, metav1.ConditionFalse, "")
	cm.Data["net-conf.json"] = "{}"
	e.check(e.client.Update(t.Context(), &cm, client.FieldOwner("intruder")))
	e.waitCondition(stack.Name, networkstackv1alpha1.ConditionDrifted, metav1.ConditionTrue, networkstackv1alpha1.ReasonDriftDetected)
	stack.Spec.Drift.Mode = networkstackv1alpha1.DriftCorrect
	e.apply(stack)
	e.eventually("the ConfigMap to be restored in mode Correct", func(ctx context.Context) (bool, string) {
		e.check(e.client.Get(ctx, key, &cm))
		return cm.Data["net-conf.json"] == before, cm.Data["net-conf.json"]
	})
	e.waitCondition(stack.Name, networkstackv1alpha1.ConditionDrifted, metav1.ConditionFalse, "")
}

func restart(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.waitReady(stack.Name)
	before := e.component("flannel")
	e.check(e.process.Stop())
	var ds appsv1.DaemonSet
	key := client.ObjectKey{Namespace: "kube-flannel", Name: "kube-flannel-ds"}
	e.check(e.client.Get(t.Context(), key, &ds))
	// What happens while nobody looks is found too.
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-flannel", Name: "kube-flannel-cfg"}}
	e.check(e.client.Delete(t.Context(), cm))
	e.startOperator()
	e.eventually("the object deleted meanwhile to be restored", func(ctx context.Context) (bool, string) {
		err := e.client.Get(ctx, client.ObjectKeyFromObject(cm), cm)
		return err == nil && cm.UID != "", toJSON(err)
	})
	e.waitReady(stack.Name)
	after := e.component("flannel")
	if before.Status.Release.Revision != after.Status.Release.Revision {
		t.Errorf("a restart made revision %d of %d", after.Status.Release.Revision, before.Status.Release.Revision)
	}
	generation := ds.Generation
	e.check(e.client.Get(t.Context(), key, &ds))
	if ds.Generation != generation {
		t.Errorf("a restart changed the DaemonSet: generation %d, was %d", ds.Generation, generation)
	}
}

func valuesFromSecret(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "networkstack-system", Name: "flannel-values"},
		StringData: map[string]string{"values.yaml": "flannel: {resources: {requests: {cpu: 123m}}}\nupdateStrategy: {rollingUpdate: {maxUnavailable: 1}}"},
	}
	stack.Spec.CNI.ValuesFrom = []networkstackv1alpha1.ValuesReference{{Kind: networkstackv1alpha1.ValuesFromSecret, Name: secret.Name}}
	e.apply(stack)
	s := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionReady, metav1.ConditionFalse, networkstackv1alpha1.ReasonComponentFailed)
	if !strings.Contains(toJSON(s.Status.Conditions), "Secret networkstack-system/flannel-values does not exist") {
		t.Errorf("the missing Secret is not named: %s", toJSON(s.Status.Conditions))
	}
	e.check(e.client.Create(t.Context(), secret))
	e.waitReady(stack.Name)
	cpu := func(ctx context.Context) string {
		var ds appsv1.DaemonSet
		e.check(e.client.Get(ctx, client.ObjectKey{Namespace: "kube-flannel", Name: "kube-flannel-ds"}, &ds))
		return ds.Spec.Template.Spec.Containers[0].Resources.Requests.Cpu().String()
	}
	if got := cpu(t.Context()); got != "123m" {
		t.Errorf("the CPU request is %s, want the Secret's 123m", got)
	}
	secret.StringData = map[string]string{"values.yaml": "flannel: {backend: host-gw}"}
	e.check(e.client.Update(t.Context(), secret))
	s = e.waitCondition(stack.Name, networkstackv1alpha1.ConditionReady, metav1.ConditionFalse, networkstackv1alpha1.ReasonComponentFailed)
	if !strings.Contains(toJSON(s.Status.Conditions), "flannel.backend is controlled by spec.cni") {
		t.Errorf("a controlled value in a Secret is not refused: %s", toJSON(s.Status.Conditions))
	}
	stack.Spec.CNI.ValuesFrom = nil
	e.apply(stack)
	e.waitReady(stack.Name)
}

func imageRegistry(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.Sources = &networkstackv1alpha1.Sources{ImageRegistry: "registry.example.com:5000/mirror"}
	e.apply(stack)
	e.waitReady(stack.Name)
	var sets appsv1.DaemonSetList
	e.check(e.client.List(t.Context(), &sets, client.HasLabels{networkstackv1alpha1.ComponentLabel}))
	for i := range sets.Items {
		pod := sets.Items[i].Spec.Template.Spec
		for _, c := range append(pod.InitContainers, pod.Containers...) {
			if !strings.HasPrefix(c.Image, "registry.example.com:5000/mirror/") {
				t.Errorf("container %s of DaemonSet %s comes from %s", c.Name, sets.Items[i].Name, c.Image)
			}
		}
	}
	stack.Spec.Sources = nil
	e.apply(stack)
	e.waitReady(stack.Name)
}

func secondStack(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	second := stack.DeepCopy()
	second.Name = "second"
	e.apply(second)
	s := e.waitCondition(second.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonConflict)
	if c := findCondition(s, networkstackv1alpha1.ConditionReady); !strings.Contains(c.Message, `"cluster" is older`) {
		t.Errorf("the older stack is not named: %s", c.Message)
	}
	e.check(e.client.Delete(t.Context(), s))
	e.gone(s)
	e.waitReady(stack.Name)
}

func suspend(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.Suspend = true
	stack.Spec.MTU = 1300
	e.apply(stack)
	e.waitCondition(stack.Name, networkstackv1alpha1.ConditionReady, metav1.ConditionFalse, networkstackv1alpha1.ReasonSuspended)
	e.eventually("the components to be suspended", func(context.Context) (bool, string) {
		return e.component("flannel").Status.Phase == networkstackv1alpha1.PhaseSuspended &&
			e.component("kube-proxy").Status.Phase == networkstackv1alpha1.PhaseSuspended, ""
	})
	revision := e.revision("flannel")
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-flannel", Name: "kube-flannel-cfg"}}
	e.check(e.client.Delete(t.Context(), cm))
	// Nothing happens cannot be waited for; that the change and the restoration come together afterwards, with no
	// revision in between, shows that they did not come before.
	if err := e.client.Get(t.Context(), client.ObjectKeyFromObject(cm), cm); !apierrors.IsNotFound(err) {
		t.Errorf("a suspended component restored an object: %v", err)
	}
	stack.Spec.Suspend = false
	e.apply(stack)
	e.waitReady(stack.Name)
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(cm), cm))
	if r := e.revision("flannel"); r != revision+1 {
		t.Errorf("flannel is at revision %d, want %d", r, revision+1)
	}
}

func unmanage(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	proxy := stack.Spec.KubeProxy
	var ds appsv1.DaemonSet
	key := client.ObjectKey{Namespace: "kube-system", Name: "kube-proxy"}
	e.check(e.client.Get(t.Context(), key, &ds))
	uid := ds.UID
	stack.Spec.KubeProxy = nil
	e.apply(stack)
	e.waitReady(stack.Name)
	e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "kube-proxy"}})
	e.check(e.client.Get(t.Context(), key, &ds))
	if ds.UID != uid || !ds.DeletionTimestamp.IsZero() {
		t.Error("kube-proxy was removed")
	}
	stack.Spec.KubeProxy = proxy
	e.apply(stack)
	e.waitReady(stack.Name)
	e.check(e.client.Get(t.Context(), key, &ds))
	if ds.UID != uid {
		t.Error("kube-proxy was installed anew")
	}
}

func orphan(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	revision := e.revision("flannel")
	var ds appsv1.DaemonSet
	key := client.ObjectKey{Namespace: "kube-flannel", Name: "kube-flannel-ds"}
	e.check(e.client.Get(t.Context(), key, &ds))
	uid, generation := ds.UID, ds.Generation
	e.check(e.client.Delete(t.Context(), e.stack(stack.Name)))
	e.gone(&networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stack.Name}})
	e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "flannel"}})
	if list := e.helm("ls", "-A", "-q"); !strings.Contains(list, "flannel") || !strings.Contains(list, "kube-proxy") {
		t.Errorf("the Helm releases did not stay: %q", list)
	}
	e.apply(stack)
	e.waitReady(stack.Name)
	e.check(e.client.Get(t.Context(), key, &ds))
	if ds.UID != uid || ds.Generation != generation {
		t.Errorf("the DaemonSet was changed on the way: %s/%d, was %s/%d", ds.UID, ds.Generation, uid, generation)
	}
	if r := e.revision("flannel"); r != revision {
		t.Errorf("flannel is at revision %d, want %d as before", r, revision)
	}
}

func deleteAll(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	e.apply(stack)
	e.waitReady(stack.Name)
	flannel := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-flannel", Name: "kube-flannel-ds"}}
	proxy := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-proxy"}}
	var images []string
	for _, ds := range []*appsv1.DaemonSet{flannel, proxy} {
		e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(ds), ds))
		images = append(images, ds.Spec.Template.Spec.Containers[0].Image)
	}
	e.check(e.client.Delete(t.Context(), e.stack(stack.Name)))
	var cleanup *appsv1.DaemonSet
	e.eventually("both components to be gone, the CNI first", func(ctx context.Context) (bool, string) {
		f := e.client.Get(ctx, client.ObjectKeyFromObject(flannel), flannel)
		p := e.client.Get(ctx, client.ObjectKeyFromObject(proxy), proxy)
		if f == nil && apierrors.IsNotFound(p) {
			// Read in this order, flannel may have gone in between; look again.
			if again := e.client.Get(ctx, client.ObjectKeyFromObject(flannel), flannel); again == nil {
				t.Fatal("kube-proxy went before the CNI that was installed after it")
			}
		}
		return apierrors.IsNotFound(f) && apierrors.IsNotFound(p), toJSON([]error{f, p})
	})
	e.eventually("nodes to be cleaned, and the stack to be gone", func(ctx context.Context) (bool, string) {
		var ds appsv1.DaemonSet
		if err := e.client.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "networkstack-node-cleanup"}, &ds); err == nil {
			cleanup = &ds
		}
		err := e.client.Get(ctx, client.ObjectKeyFromObject(stack), &networkstackv1alpha1.NetworkStack{})
		return apierrors.IsNotFound(err), toJSON(err)
	})
	if cleanup == nil || e.countEvents(stack.Name, networkstackv1alpha1.ReasonNodesCleaned) != 1 {
		t.Errorf("nodes were not cleaned: %s", toJSON(cleanup))
	} else if init := cleanup.Spec.Template.Spec.InitContainers; init[0].Image != agentImage || init[1].Image != images[0] || init[2].Image != images[1] {
		t.Errorf("nodes were cleaned by %s, %s and %s", init[0].Image, init[1].Image, init[2].Image)
	}
	if list := strings.TrimSpace(e.helm("ls", "-A", "-q")); list != "" {
		t.Errorf("Helm releases are left: %q", list)
	}
}

func findCondition(s *networkstackv1alpha1.NetworkStack, conditionType string) metav1.Condition {
	for _, c := range s.Status.Conditions {
		if c.Type == conditionType {
			return c
		}
	}
	return metav1.Condition{}
}

func toJSON(v any) string {
	if err, ok := v.(error); ok {
		return err.Error()
	}
	data, _ := json.Marshal(v)
	return string(data)
}
