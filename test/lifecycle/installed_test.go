package lifecycle

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/endstate"
	"github.com/networkstack/networkstack/test/operator"
)

// TestInstalledByHelm installs the operator by its own chart, with Helm's own tool, and runs it with exactly the permissions that the
// chart has. The pods of its Deployment are simulated.
func TestInstalledByHelm(t *testing.T) {
	t.Parallel()
	e := bareCluster(t, controlplane.Options{})
	before := e.everything()
	chart := filepath.Join(operator.Root(), "charts", "networkstack")
	release := func(verb, chart string, more ...string) {
		t.Helper()
		e.helm(append([]string{verb, "networkstack", chart, "-n", operator.Namespace, "--create-namespace"}, more...)...)
	}

	older := olderDefinitions(t, chart)
	release("install", older)
	e.operatorRuns(1, true)
	if e.knowsField("suspend") {
		t.Fatal("the older definition has the field already")
	}
	release("upgrade", chart)
	e.eventually("the definition to be changed with the operator", func(context.Context) (bool, string) { return e.knowsField("suspend"), "it lacks the field" })

	e.check(operator.Kubeconfig(t.Context(), e.admin, e.account))
	e.startOperator()
	stack := smallStack(t)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	e.apply(stack)
	e.waitReady(stack.Name)

	// The network is there: an ordinary pod will do, under the strictest of the Pod Security Standards.
	namespace := &corev1.Namespace{}
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: operator.Namespace}, namespace))
	patched := namespace.DeepCopy()
	patched.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
	e.check(e.client.Patch(t.Context(), patched, client.MergeFrom(namespace)))
	release("upgrade", chart, "--set", "mode=Ordinary", "--set", "webhook.enabled=true")
	e.operatorRuns(2, false)
	e.eventually("one of the replicas to be free to go", func(ctx context.Context) (bool, string) {
		var budget policyv1.PodDisruptionBudget
		err := e.client.Get(ctx, client.ObjectKey{Namespace: operator.Namespace, Name: "networkstack-operator"}, &budget)
		return err == nil && budget.Status.CurrentHealthy == 2 && budget.Status.DisruptionsAllowed == 1, toJSON(budget.Status)
	})

	e.check(e.client.Delete(t.Context(), stack))
	e.gone(stack)
	e.check(e.process.Stop())
	e.process = nil
	e.helm("uninstall", "networkstack", "-n", operator.Namespace)
	if left := e.helm("ls", "-A", "-a", "-q"); strings.TrimSpace(left) != "" {
		t.Errorf("releases are left: %s", left)
	}
	e.eventually("nothing to be left but definitions and the namespace", func(context.Context) (bool, string) {
		var left []string
		for name := range e.everything() {
			if _, was := before[name]; !was {
				left = append(left, name)
			}
		}
		slices.Sort(left)
		want := []string{
			"APIService.apiregistration.k8s.io v1alpha1.networkstack.io", // what the API server makes of the definitions
			"CustomResourceDefinition.apiextensions.k8s.io networkcomponents.networkstack.io",
			"CustomResourceDefinition.apiextensions.k8s.io networkstacks.networkstack.io",
			"Namespace " + operator.Namespace,
		}
		return slices.Equal(left, want), strings.Join(left, ", ")
	})
	installedFromOneFile(t, e, before)
}

// olderDefinitions is a copy of the chart whose definition of the NetworkStack lacks the field suspend.
func olderDefinitions(t *testing.T, chart string) string {
	t.Helper()
	older := filepath.Join(t.TempDir(), "networkstack")
	if err := os.CopyFS(older, os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(older, "files", "crd", "customresourcedefinition-networkstacks.networkstack.io.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	const field = "\n              suspend:\n"
	from := strings.Index(text, field)
	if from < 0 {
		t.Fatal("the definition has no field suspend at the top of the spec")
	}
	end := from + len(field)
	for strings.HasPrefix(text[end:], "                ") {
		end += strings.Index(text[end:], "\n") + 1
	}
	if err := os.WriteFile(file, []byte(text[:from+1]+text[end:]), 0o600); err != nil {
		t.Fatal(err)
	}
	return older
}

// knowsField says whether the NetworkStack's definition has a field of the spec.
func (e *env) knowsField(name string) bool {
	e.t.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Name: "networkstacks.networkstack.io"}, crd))
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	e.check(err)
	version, ok := versions[0].(map[string]any)
	if !ok {
		e.t.Fatalf("versions of the definition: %v", versions)
	}
	_, has, err := unstructured.NestedFieldNoCopy(version, "schema", "openAPIV3Schema", "properties", "spec", "properties", name)
	e.check(err)
	return has
}

// operatorRuns waits until the Deployment is rolled out.
func (e *env) operatorRuns(replicas int32, hostNetwork bool) {
	e.t.Helper()
	e.eventually("the operator's Deployment to be available", func(ctx context.Context) (bool, string) {
		var d appsv1.Deployment
		if err := e.client.Get(ctx, client.ObjectKey{Namespace: operator.Namespace, Name: "networkstack-operator"}, &d); err != nil {
			return false, err.Error()
		}
		s := d.Status
		return s.ObservedGeneration == d.Generation && s.UpdatedReplicas == replicas && s.AvailableReplicas == replicas && s.Replicas == replicas &&
			d.Spec.Template.Spec.HostNetwork == hostNetwork, toJSON(s)
	})
}

// everything is all that the cluster has.
func (e *env) everything() endstate.State {
	e.t.Helper()
	state, err := endstate.Read(e.t.Context(), e.cp.RESTConfig(), endstate.Scope{Selector: "!networkstack.io/nothing-has-this"})
	e.check(err)
	maps.DeleteFunc(state, func(name, _ string) bool { return strings.HasPrefix(name, "Lease.") })
	return state
}
