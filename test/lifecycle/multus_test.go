package lifecycle

import (
	"context"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/preinstalled"
)

const multusSample = "networkstack_multus.yaml"

// TestMultusStack takes secondary networks through their life: Flannel, then Multus, then the attachments; changes of these; drift;
// removal in reverse.
func TestMultusStack(t *testing.T) {
	t.Parallel()
	e := newEnv(t, controlplane.Options{}, "--operator-image", agentImage)
	stack := sample(t, multusSample)
	e.apply(stack)
	ready := e.waitReady(stack.Name)
	if len(ready.Status.Warnings) > 0 {
		t.Errorf("the sample is warned of: %v", ready.Status.Warnings)
	}
	e.checkMultusInstalled(ready)

	for _, step := range []struct {
		name string
		run  func(*testing.T, *env, *networkstackv1alpha1.NetworkStack)
	}{
		{"a changed attachment changes its object alone", changeAttachment},
		{"an attachment that is no longer wanted goes", removeAttachment},
		{"changed and deleted attachments are restored", restoreAttachments},
		{"attachments that overlap the pods are refused, and change nothing", refuseAttachment},
		{"attachments go before Multus, and the definition stays", removeSecondary},
		{"deletion takes everything but the definition", deleteSecondary},
	} {
		if !t.Run(step.name, func(t *testing.T) { e.in(t, func() { step.run(t, e, stack) }) }) {
			t.FailNow()
		}
	}
}

func attachment(name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("k8s.cni.cncf.io/v1")
	u.SetKind("NetworkAttachmentDefinition")
	u.SetNamespace("default")
	u.SetName(name)
	return u
}

func definition() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("apiextensions.k8s.io/v1")
	u.SetKind("CustomResourceDefinition")
	u.SetName("network-attachment-definitions.k8s.cni.cncf.io")
	return u
}

func multusDaemonSet() *appsv1.DaemonSet {
	return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-multus-ds"}}
}

// config of an attachment, as it is now.
func (e *env) config(name string) string {
	e.t.Helper()
	u := attachment(name)
	e.check(e.client.Get(e.t.Context(), client.ObjectKeyFromObject(u), u))
	config, _, _ := unstructured.NestedString(u.Object, "spec", "config")
	return config
}

func (e *env) checkMultusInstalled(s *networkstackv1alpha1.NetworkStack) {
	t := e.t
	t.Helper()
	if s.Status.Summary == nil || s.Status.Summary.Components != "4/4" {
		t.Errorf("status.summary is %+v", s.Status.Summary)
	}
	flannel, multus, attachments := e.component("flannel"), e.component("multus"), e.component("network-attachments")
	if multus.CreationTimestamp.Before(&flannel.CreationTimestamp) || attachments.CreationTimestamp.Before(&multus.CreationTimestamp) {
		t.Errorf("components came in the wrong order: %v, %v, %v", flannel.CreationTimestamp, multus.CreationTimestamp, attachments.CreationTimestamp)
	}
	if crds := multus.Status.CRDs; len(crds) != 1 || crds[0].Name != definition().GetName() {
		t.Errorf("Multus's status.crds is %+v", crds)
	}
	var cm corev1.ConfigMap
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "multus-daemon-config"}, &cm))
	if !strings.Contains(cm.Data["daemon-config.json"], `"/host/etc/cni/net.d/10-flannel.conflist"`) {
		t.Errorf("Multus does not wait for Flannel's configuration:\n%s", cm.Data["daemon-config.json"])
	}
	want := `{"bridge":"br-backend","cniVersion":"0.3.1","ipam":{"ranges":[[{"gateway":"192.168.250.1","rangeEnd":"192.168.250.250","rangeStart":"192.168.250.10",` +
		`"subnet":"192.168.250.0/24"}]],"routes":[{"dst":"172.29.0.0/16"}],"type":"host-local"},"name":"default.backend","type":"bridge","vlan":50}`
	if got := e.config("backend"); got != want {
		t.Errorf("backend is\n%s, want\n%s", got, want)
	}
	lan := attachment("lan")
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(lan), lan))
	if lan.GetLabels()[networkstackv1alpha1.ComponentLabel] != "network-attachments" {
		t.Errorf("lan has labels %v", lan.GetLabels())
	}
	if ds := multusDaemonSet(); e.client.Get(t.Context(), client.ObjectKeyFromObject(ds), ds) != nil || ds.Status.NumberAvailable != 3 {
		t.Errorf("%d of 3 daemons are available", ds.Status.NumberAvailable)
	}
}

func changeAttachment(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	before := attachment("lan")
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(before), before))
	stack.Spec.SecondaryNetworks.Attachments[0].Bridge.VLAN = 51
	e.apply(stack)
	e.waitReady(stack.Name)
	if got := e.config("backend"); !strings.Contains(got, `"vlan":51`) {
		t.Errorf("backend is %s", got)
	}
	after := attachment("lan")
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(after), after))
	if before.GetGeneration() != after.GetGeneration() || before.GetUID() != after.GetUID() {
		t.Error("the other attachment was changed as well")
	}
	if r, m := e.revision("network-attachments"), e.revision("multus"); r != 2 || m != 1 {
		t.Errorf("network-attachments is at revision %d, want 2; multus at %d, want 1", r, m)
	}
}

func removeAttachment(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.SecondaryNetworks.Attachments = stack.Spec.SecondaryNetworks.Attachments[:1]
	e.apply(stack)
	e.waitReady(stack.Name)
	u := attachment("lan")
	if err := e.client.Get(t.Context(), client.ObjectKeyFromObject(u), u); !apierrors.IsNotFound(err) {
		t.Errorf("lan is still there: %v", err)
	}
	e.config("backend")
}

func restoreAttachments(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	want := e.config("backend")
	u := attachment("backend")
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"config":"{\"type\":\"macvlan\"}"}}`))
	e.check(e.client.Patch(t.Context(), u, patch, client.FieldOwner("intruder")))
	e.eventually("the attachment to be restored", func(context.Context) (bool, string) {
		got := e.config("backend")
		return got == want, got
	})
	e.eventually("the drift to be attributed", func(context.Context) (bool, string) {
		d := e.component("network-attachments").Status.Drift
		return d != nil && slices.ContainsFunc(d.Recent, func(r networkstackv1alpha1.Drift) bool {
			return r.Manager == "intruder" && r.Object == "NetworkAttachmentDefinition default/backend"
		}), toJSON(d)
	})
	// What a tool leaves for itself is no drift.
	e.check(e.client.Patch(t.Context(), u, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"example.com/note":"x"}}}`)), client.FieldOwner("tool")))
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(u), u))
	deleted := u.GetUID()
	e.check(e.client.Delete(t.Context(), u))
	e.eventually("the deleted attachment to be restored", func(ctx context.Context) (bool, string) {
		again := attachment("backend")
		err := e.client.Get(ctx, client.ObjectKeyFromObject(again), again)
		return err == nil && again.GetUID() != deleted, toJSON(err)
	})
	if got := e.config("backend"); got != want {
		t.Errorf("backend came back as %s", got)
	}
	e.waitReady(stack.Name)
	if r := e.revision("network-attachments"); r != 3 {
		t.Errorf("correcting drift made a revision: %d, want 3", r)
	}
}

func refuseAttachment(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	want := e.config("backend")
	bad := stack.DeepCopy()
	bad.Spec.SecondaryNetworks.Attachments[0].IPAM.Ranges = []networkstackv1alpha1.AttachmentRange{{Subnet: "10.244.9.0/24"}}
	e.apply(bad)
	s := e.waitCondition(bad.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if c := findCondition(s, networkstackv1alpha1.ConditionAccepted); !strings.Contains(c.Message, "[SECONDARY-OVERLAPS-PODS]") {
		t.Errorf("refused for another reason: %s", c.Message)
	}
	if got := e.config("backend"); got != want {
		t.Errorf("a refused stack changed backend to %s", got)
	}
	e.apply(stack)
	e.waitReady(stack.Name)
}

func removeSecondary(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	held := attachment("backend")
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(held), held))
	held.SetFinalizers([]string{"example.com/hold"})
	e.check(e.client.Update(t.Context(), held, client.FieldOwner("holder")))
	wanted := stack.Spec.SecondaryNetworks
	stack.Spec.SecondaryNetworks = nil
	e.apply(stack)
	e.eventually("the attachment to be deleted", func(ctx context.Context) (bool, string) {
		e.check(e.client.Get(ctx, client.ObjectKeyFromObject(held), held))
		return held.GetDeletionTimestamp() != nil, toJSON(held.GetFinalizers())
	})
	// It hangs, and so everything below it has to stay.
	ds := multusDaemonSet()
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(ds), ds))
	if ds.DeletionTimestamp != nil || e.component("multus").DeletionTimestamp != nil {
		t.Error("Multus goes before the attachments are gone")
	}
	held.SetFinalizers(nil)
	e.check(e.client.Update(t.Context(), held, client.FieldOwner("holder")))
	e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "network-attachments"}})
	// What cleans nodes takes the daemons' place. The operator is killed when that has begun.
	component := &networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "multus"}}
	cleaners := 0
	e.eventually("nodes to be cleaned, and Multus to go", func(ctx context.Context) (bool, string) {
		missing := apierrors.IsNotFound(e.client.Get(ctx, client.ObjectKeyFromObject(component), component))
		ds := multusDaemonSet()
		if e.client.Get(ctx, client.ObjectKeyFromObject(ds), ds) == nil && ds.Spec.Template.Spec.Containers[0].Name == "done" {
			if cleaners == 0 {
				e.process.Kill()
				e.startOperator()
			}
			cleaners = max(cleaners, int(ds.Status.UpdatedNumberScheduled))
			if init := ds.Spec.Template.Spec.InitContainers[0]; init.Image != agentImage {
				t.Fatalf("nodes are cleaned by %s", init.Image)
			}
			// Read in this order, the component may only have got further.
			if done := ds.Status.NumberAvailable == 3 && ds.Status.ObservedGeneration == ds.Generation; !done && missing {
				t.Fatalf("Multus goes, and %d of 3 nodes are clean", ds.Status.NumberAvailable)
			}
		}
		return missing, toJSON(component.Status.Conditions)
	})
	if cleaners == 0 {
		t.Error("nodes were not cleaned")
	}
	e.gone(multusDaemonSet())
	crd := definition()
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(crd), crd))
	e.waitReady(stack.Name)
	stack.Spec.SecondaryNetworks = wanted
	e.apply(stack)
	e.waitReady(stack.Name)
	e.config("backend")
}

func deleteSecondary(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	e.apply(stack)
	e.waitReady(stack.Name)
	e.check(e.client.Delete(t.Context(), e.stack(stack.Name)))
	var cleanup *appsv1.DaemonSet
	e.eventually("nodes to be cleaned, and the stack to be gone", func(ctx context.Context) (bool, string) {
		var ds appsv1.DaemonSet
		if e.client.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "networkstack-node-cleanup"}, &ds) == nil {
			cleanup = &ds
		}
		err := e.client.Get(ctx, client.ObjectKeyFromObject(stack), e.stackObject(stack.Name))
		return apierrors.IsNotFound(err), toJSON(err)
	})
	if cleanup == nil || e.countEvents(stack.Name, networkstackv1alpha1.ReasonNodesCleaned) != 1 {
		t.Fatalf("nodes were not cleaned: %s", toJSON(cleanup))
	}
	if first := cleanup.Spec.Template.Spec.InitContainers[0]; first.Name != "multus" || !slices.Contains(first.Args, "--books") ||
		!slices.Contains(first.Args, "--network=default.backend") {
		t.Errorf("nodes were cleaned by %s", toJSON(first))
	}
	for _, o := range []client.Object{
		attachment("backend"), multusDaemonSet(),
		&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-flannel", Name: "kube-flannel-ds"}},
	} {
		e.gone(o)
	}
	crd := definition()
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(crd), crd))
	if left := e.helm("ls", "-A", "-q"); strings.TrimSpace(left) != "" {
		t.Errorf("releases are left: %s", left)
	}
}

// stackObject names a stack, whether it is there or not.
func (e *env) stackObject(name string) *networkstackv1alpha1.NetworkStack {
	return &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// TestMultusAdoption takes over a Multus of kubectl apply: refused at first and untouched, then ours and nothing of the old one left
// in it. One that is external keeps what it has, and gets attachments.
func TestMultusAdoption(t *testing.T) {
	t.Parallel()
	e := newCluster(t, controlplane.Options{})
	e.check(preinstalled.Kubectl(t.Context(), e.cp.Binaries().Kubectl, e.admin, preinstalled.Manifest("multus", "")))
	e.startOperator()
	stack := sample(t, multusSample)
	e.apply(stack)
	s := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if c := findCondition(s, networkstackv1alpha1.ConditionAccepted); !strings.Contains(c.Message, "DaemonSet kube-system/kube-multus-ds is Multus already, made by kubectl") {
		t.Errorf("refused for another reason: %s", c.Message)
	}
	if f := s.Status.Facts; f == nil || len(f.SecondaryNetworks) != 1 || len(f.CNI) > 0 {
		t.Errorf("status.facts is %+v", f)
	}
	ds := multusDaemonSet()
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(ds), ds))
	generation := ds.Generation

	stack.Spec.SecondaryNetworks.Type = networkstackv1alpha1.SecondaryNetworksExternal
	e.apply(stack)
	e.waitReady(stack.Name)
	e.config("backend")
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(ds), ds))
	if ds.Generation != generation || ds.Labels[networkstackv1alpha1.ComponentLabel] != "" {
		t.Errorf("an external Multus was changed: generation %d, was %d; labels %v", ds.Generation, generation, ds.Labels)
	}

	stack.Spec.SecondaryNetworks.Type, stack.Spec.Adoption = networkstackv1alpha1.SecondaryNetworksMultus, networkstackv1alpha1.AdoptionAdopt
	e.apply(stack)
	e.waitReady(stack.Name)
	if a := e.component("multus").Status.Adoption; a == nil || a.State != networkstackv1alpha1.AdoptionAdopted {
		t.Errorf("status.adoption is %s", toJSON(a))
	}
	e.check(e.client.Get(t.Context(), client.ObjectKeyFromObject(ds), ds))
	pod := ds.Spec.Template.Spec
	var volumes []string
	for _, v := range pod.Volumes {
		volumes = append(volumes, v.Name)
	}
	if len(pod.InitContainers) != 1 || len(pod.Containers) != 1 || slices.Contains(volumes, "cnibin") || len(pod.Containers[0].Resources.Limits) > 0 ||
		!strings.HasSuffix(pod.Containers[0].Image, ":v4.3.0-thick") || len(pod.Tolerations) != 1 {
		t.Errorf("something of the old Multus is left: %s", toJSON(pod))
	}
	var cm corev1.ConfigMap
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "multus-daemon-config"}, &cm))
	if config := cm.Data["daemon-config.json"]; strings.Contains(config, "logFile") || !strings.Contains(config, "10-flannel.conflist") {
		t.Errorf("the configuration is %s", config)
	}
}
