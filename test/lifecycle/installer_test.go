package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/cli"
	"github.com/networkstack/networkstack/test/endstate"
	"github.com/networkstack/networkstack/test/operator"
)

// installedFromOneFile installs what make build-installer writes, has the network stay when all of that goes, and has it taken over again
// by an operator that may do nothing but what this one stack takes.
func installedFromOneFile(t *testing.T, e *env, before endstate.State) {
	ctx := t.Context()
	cmd := exec.CommandContext(ctx, "make", "build-installer", "IMG=registry.example.com/networkstack-operator:v0.1.0")
	cmd.Dir = operator.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make build-installer: %v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(operator.Root(), "dist", "install.yaml"))
	e.check(err)
	file := documents(t, data)
	e.applyAll(file)
	e.operatorRuns(1, true)
	e.check(operator.Kubeconfig(ctx, e.admin, e.account))
	e.startOperator()
	stack := smallStack(t)
	e.apply(stack)
	e.waitReady(stack.Name)

	running := e.podsRunning()
	e.check(e.client.Delete(ctx, stack.DeepCopy()))
	e.gone(stack.DeepCopy())
	e.check(e.process.Stop())
	e.process = nil
	e.deleteAll(file)
	if now := e.podsRunning(); now != running || !strings.Contains(now, "kube-flannel-ds") {
		t.Errorf("the network is not what it was:\n%s\nwas:\n%s", now, running)
	}
	for name := range e.everything() {
		if _, was := before[name]; !was && (strings.Contains(name, "networkstack-") || strings.Contains(name, "networkstack.io")) {
			t.Errorf("what installed the operator has left %s", name)
		}
	}

	narrowRole(t, e, file, running)
	e.deleteAll(file)
	e.eventually("nothing to be left", func(context.Context) (bool, string) {
		var left []string
		for name := range e.everything() {
			if _, was := before[name]; !was {
				left = append(left, name)
			}
		}
		slices.Sort(left)
		return len(left) == 0, strings.Join(left, ", ")
	})
}

// narrowRole runs the operator with what kubectl networkstack role writes in place of the roles of the installation.
func narrowRole(t *testing.T, e *env, file []*unstructured.Unstructured, running string) {
	ctx := t.Context()
	stack := smallStack(t)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	stack.APIVersion, stack.Kind = networkstackv1alpha1.GroupVersion.String(), "NetworkStack"
	text, err := yaml.Marshal(stack)
	e.check(err)
	e.applyAll(file)
	e.operatorRuns(1, true)
	var out, errs bytes.Buffer
	options := cli.Options{Name: "kubectl-networkstack", Args: []string{"role", "-", "--kubeconfig", e.admin}, Env: os.Getenv,
		In: bytes.NewReader(text), Out: &out, Err: &errs}
	if code := cli.Run(ctx, options); code != cli.ExitFine {
		t.Fatalf("role exits with %d: %s", code, &errs)
	}
	role := documents(t, out.Bytes())
	e.applyAll(role)
	// As docs/security.md says.
	e.check(e.client.DeleteAllOf(ctx, &rbacv1.ClusterRoleBinding{}, client.MatchingLabels{"app.kubernetes.io/part-of": "networkstack"}))
	e.check(operator.Kubeconfig(ctx, e.admin, e.account))
	e.startOperator()
	e.apply(stack)
	e.waitReady(stack.Name)
	if now := e.podsRunning(); now != running {
		t.Errorf("what was left is not taken over as it was:\n%s\nwas:\n%s", now, running)
	}

	for _, o := range []client.Object{
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-flannel", Name: "kube-flannel-cfg"}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "flannel"}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "flannel"}},
	} {
		e.check(e.client.Get(ctx, client.ObjectKeyFromObject(o), o))
		was := o.GetUID()
		e.check(e.client.Delete(ctx, o))
		e.eventually(o.GetName()+" to be restored", func(ctx context.Context) (bool, string) {
			err := e.client.Get(ctx, client.ObjectKeyFromObject(o), o)
			return err == nil && o.GetUID() != was, "it is gone"
		})
	}

	if strings.Contains(e.log.String(), "forbidden") {
		t.Errorf("something is missing:\n%s", e.log)
	}

	more := stack.DeepCopy()
	more.Spec.SecondaryNetworks = &networkstackv1alpha1.SecondaryNetworksSpec{Type: networkstackv1alpha1.SecondaryNetworksMultus}
	e.apply(more)
	e.eventually("the missing permission to be named", func(ctx context.Context) (bool, string) {
		var c networkstackv1alpha1.NetworkComponent
		if err := e.client.Get(ctx, client.ObjectKey{Name: "multus"}, &c); err != nil {
			return false, err.Error()
		}
		said := toJSON(c.Status.Conditions)
		return strings.Contains(said, "missing permission to patch customresourcedefinitions.apiextensions.k8s.io"), said
	})
	e.apply(stack)
	e.gone(&networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: "multus"}})
	e.waitReady(stack.Name)
	e.check(e.client.Delete(ctx, stack.DeepCopy()))
	e.gone(stack.DeepCopy())
	e.check(e.process.Stop())
	e.process = nil
	e.deleteAll(role)
}

// documents are the objects of a file.
func documents(t *testing.T, data []byte) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), len(data))
	for {
		u := &unstructured.Unstructured{}
		switch err := decoder.Decode(&u.Object); {
		case errors.Is(err, io.EOF):
			return out
		case err != nil:
			t.Fatal(err)
		case u.GetKind() != "":
			out = append(out, u)
		}
	}
}

// applyAll applies objects in their order, as kubectl apply --server-side -f does.
func (e *env) applyAll(list []*unstructured.Unstructured) {
	e.t.Helper()
	for _, o := range list {
		e.eventually(o.GetKind()+" "+o.GetName()+" to be applied", func(ctx context.Context) (bool, string) {
			err := operator.Apply(ctx, e.client, o) // a namespace may still be on its way out
			if err == nil {
				return true, ""
			}
			return false, err.Error()
		})
	}
}

// deleteAll deletes objects in their order and waits until they are gone, as kubectl delete -f does.
func (e *env) deleteAll(list []*unstructured.Unstructured) {
	e.t.Helper()
	for _, o := range list {
		e.check(client.IgnoreNotFound(e.client.Delete(e.t.Context(), o.DeepCopy())))
	}
	for _, o := range list {
		e.gone(o.DeepCopy())
	}
}

// podsRunning are what carries the pods' traffic: the pods of the components.
func (e *env) podsRunning() string {
	e.t.Helper()
	var pods corev1.PodList
	e.check(e.client.List(e.t.Context(), &pods))
	var out []string
	for i := range pods.Items {
		if p := &pods.Items[i]; p.Namespace != operator.Namespace {
			out = append(out, p.Namespace+"/"+p.Name+" "+string(p.UID))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
