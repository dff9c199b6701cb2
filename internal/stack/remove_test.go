package stack

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// TestRemoveOrder deletes a stack step by step: the last stage first, and a kube-proxy comes back when nothing would take its rules,
// and before the network plugin that took its place goes.
func TestRemoveOrder(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, networkstackv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	stack := stackOf()
	stack.Name, stack.Finalizers = "cluster", []string{networkstackv1alpha1.Finalizer}
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	parked := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-proxy"}}
	parked.Spec.Template.Spec.NodeSelector = map[string]string{facts.ParkedNodeSelector: "true"}
	objects := []client.Object{parked}
	for name, stage := range map[string]int32{"cilium": 20, "kube-proxy-cleanup": 25, "multus": 30, "network-attachments": 40} {
		c := component(name, stage)
		c.UID = types.UID(name)
		c.Labels = map[string]string{networkstackv1alpha1.StackLabel: stack.Name}
		objects = append(objects, &c)
	}
	fakeClient := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	r := &Reconciler{Client: fakeClient, Recorder: events.NewFakeRecorder(10)}

	var got []string
	for range 5 {
		left, err := r.componentsOf(t.Context(), stack.Name)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		s := &scope{stack: stack, components: left}
		if gone, err := r.remove(t.Context(), s); gone || err != nil {
			t.Fatalf("gone: %v, %v", gone, err)
		}
		var proxy appsv1.DaemonSet
		if err := r.Get(t.Context(), client.ObjectKeyFromObject(parked), &proxy); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(s.deleting, ", ")
		if _, still := proxy.Spec.Template.Spec.NodeSelector[facts.ParkedNodeSelector]; !still {
			text += ", kube-proxy runs"
		}
		got = append(got, text)
	}
	want := []string{"network-attachments", "multus", "kube-proxy-cleanup", "cilium, kube-proxy runs"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
