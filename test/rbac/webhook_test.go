package rbac_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart/loader"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/networkstack/networkstack/internal/webhook"
	"github.com/networkstack/networkstack/test/operator"
)

// TestWebhookIsOptional wants nothing of the webhook in config/default, and all of it with the component beside: what the operator needs
// for it, and no more.
func TestWebhookIsOptional(t *testing.T) {
	const configuration = "ValidatingWebhookConfiguration"
	kinds := func(objects []*unstructured.Unstructured, kind string) (out []*unstructured.Unstructured) {
		for _, o := range objects {
			if o.GetKind() == kind {
				out = append(out, o)
			}
		}
		return out
	}
	if found := kinds(defaultObjects(t), configuration); len(found) > 0 {
		t.Errorf("config/default has a webhook: %s", found[0].GetName())
	}
	objects := withComponent(t, "webhook")
	checkWebhook(t, objects, operator.Namespace, ":9815")
	var held []rbacv1.PolicyRule
	for _, r := range rolesOf(t, objects) {
		if r.name == "ClusterRole networkstack-operator-webhook" {
			held = r.rules
		}
	}
	need := []rbacv1.PolicyRule{{
		APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"validatingwebhookconfigurations"},
		ResourceNames: []string{webhook.ConfigurationName}, Verbs: []string{"get", "list", "watch", "patch"},
	}}
	minimal := filepath.Join(operator.Root(), "config", "samples", "networkstack_minimal.yaml")
	if role, _ := narrow(t, minimal, "--webhook"); !slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return cmp.Equal(r, need[0]) }) {
		t.Errorf("role --webhook leaves it out:\n%s", format(role.Rules))
	}
	for what, pair := range map[string][2][]rbacv1.PolicyRule{"lacks": {held, need}, "has too much": {need, held}} {
		if ok, excess := validation.Covers(pair[0], pair[1]); !ok {
			t.Errorf("the role %s:\n%s", what, format(excess))
		}
	}
}

// withComponent is config/default with a component of config/components.
func withComponent(t *testing.T, component string) []*unstructured.Unstructured {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs(operator.Root())
	if err != nil {
		t.Fatal(err)
	}
	config, err := filepath.Rel(dir, filepath.Join(root, "config")) // kustomize takes no other paths
	if err != nil {
		t.Fatal(err)
	}
	text := "resources: [" + config + "/default]\ncomponents: [" + config + "/components/" + component + "]\n"
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	objects, err := operator.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// TestNarrowComponent wants nothing to be left that binds the operator to anything, but for the leader's lease.
func TestNarrowComponent(t *testing.T) {
	t.Parallel()
	for _, o := range withComponent(t, "narrow-role") {
		if o.GetKind() == "ClusterRoleBinding" || o.GetKind() == "ClusterRole" && o.GetName() != "networkstack-viewer" && o.GetName() != "networkstack-editor" {
			t.Errorf("%s %s is left", o.GetKind(), o.GetName())
		}
	}
}

// TestChartElsewhere renders the operator's chart for another namespace: nothing in it speaks of the usual one.
func TestChartElsewhere(t *testing.T) {
	t.Parallel()
	for values, address := range map[string]string{
		`{}`:                         "",
		`{webhook: {enabled: true}}`: ":9815",
		`{mode: Ordinary, webhook: {enabled: true, port: 8443, failurePolicy: Fail}}`: ":8443",
	} {
		c, err := loader.Load(filepath.Join(operator.Root(), "charts", "networkstack"))
		if err != nil {
			t.Fatal(err)
		}
		objects := render(t, c, "elsewhere", values)
		for _, o := range objects {
			data, err := o.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(data, []byte(operator.Namespace)) && o.GetKind() != "CustomResourceDefinition" {
				t.Errorf("%s: %s %s speaks of the namespace %s", values, o.GetKind(), o.GetName(), operator.Namespace)
			}
		}
		checkWebhook(t, objects, "elsewhere", address)
	}
}

// checkWebhook wants the operator to listen where the Service leads, and its own writes not to be judged; nothing with no address.
func checkWebhook(t *testing.T, objects []*unstructured.Unstructured, namespace, address string) {
	t.Helper()
	policies, services, configurations := 0, 0, 0
	for _, o := range objects {
		text, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		account := bytes.Contains(text, []byte("'system:serviceaccount:"+namespace+":networkstack-operator'"))
		switch o.GetKind() {
		case "ValidatingAdmissionPolicy":
			policies++
			if o.GetName() == "networkstack-components" && !account {
				t.Errorf("the operator may not write NetworkComponents: %s", text)
			}
		case "ValidatingWebhookConfiguration":
			configurations++
			if !account {
				t.Errorf("the operator's own writes are judged: %s", text)
			}
			hooks, _, _ := unstructured.NestedSlice(o.Object, "webhooks")
			got, _, _ := unstructured.NestedString(hooks[0].(map[string]any), "clientConfig", "service", "namespace")
			if got != namespace {
				t.Errorf("the Service is looked for in %s", got)
			}
		case "Service":
			if o.GetName() == webhook.ConfigurationName {
				services++
			}
		case "Deployment":
			containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			args, _, _ := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
			listens := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "--webhook-bind-address") })
			if (listens >= 0) != (address != "") || listens >= 0 && args[listens] != "--webhook-bind-address="+address {
				t.Errorf("arguments: %v", args)
			}
			if port := strings.TrimPrefix(address, ":"); address != "" && !bytes.Contains(text, []byte(`"containerPort":`+port)) {
				t.Errorf("there is no port %s: %s", port, text)
			}
		}
	}
	want := 0
	if address != "" {
		want = 1
	}
	if policies != 3 || services != want || configurations != want {
		t.Errorf("%d policies, %d Services, %d configurations", policies, services, configurations)
	}
}
