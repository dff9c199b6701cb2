package release

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

// TestSharedNamespace has two components in one namespace, which goes with the one that is removed last, whoever made it.
func TestSharedNamespace(t *testing.T) {
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		t.Run(order[0]+" first", func(t *testing.T) {
			e := newEnv(t)
			eng := e.engine()
			namespace := "shared-" + e.ns
			for _, name := range []string{"a", "b"} {
				spec := e.spec(name, memoryChart(name, "1.0.0", map[string]string{
					"map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n",
				}), nil)
				spec.Namespace = namespace
				e.apply(eng, spec)
			}
			if err := eng.Uninstall(t.Context(), order[0], namespace, order[0]); err != nil {
				t.Fatal(err)
			}
			live, err := e.kube.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
			if err != nil || live.DeletionTimestamp != nil || live.Labels[v1alpha1.ComponentLabel] != order[1] {
				t.Fatalf("the namespace of %s: %+v, %v", order[1], live.ObjectMeta, err)
			}
			if err := eng.Uninstall(t.Context(), order[1], namespace, order[1]); err != nil {
				t.Fatal(err)
			}
			e.eventually("the namespace to go", func(ctx context.Context) (bool, error) {
				live, err := e.kube.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
				if apierrors.IsNotFound(err) {
					return true, nil
				}
				return err == nil && live.DeletionTimestamp != nil, err
			})
		})
	}
}

// TestHookedWebhooks has a chart with a webhook as a hook, which Helm would leave behind.
func TestHookedWebhooks(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	name := "hooked-" + e.ns
	webhook := "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: " + name +
		", annotations: {helm.sh/hook: \"pre-install,pre-upgrade\"}}\n"
	e.apply(eng, e.spec("c", memoryChart("c", "1.0.0", map[string]string{"real.yaml": realMap, "webhook.yaml": webhook}), nil))
	configurations := e.kube.AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := configurations.Get(t.Context(), name, metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := eng.Uninstall(t.Context(), "c", e.ns, "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := configurations.Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("it is still there: %v", err)
	}
}
