package lifecycle

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/test/operator"
)

// overrideCatalog has a ConfigMap say where Flannel's chart comes from: badly, which changes nothing, then well, then badly
// again, over a restart of the operator, and not at all any more.
func overrideCatalog(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack, repository, archive string) {
	stack.Spec.CNI.Chart = nil
	e.apply(stack)
	e.waitReady(stack.Name)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: operator.Namespace, Name: catalog.ConfigMapName}}
	write := func(data string) {
		t.Helper()
		key := client.ObjectKeyFromObject(cm)
		before := cm.DeepCopy()
		if err := client.IgnoreNotFound(e.client.Get(t.Context(), key, before)); err != nil {
			t.Fatal(err)
		}
		cm.Data, cm.ResourceVersion = map[string]string{"flannel.yaml": data}, before.ResourceVersion
		if before.ResourceVersion == "" {
			e.check(e.client.Create(t.Context(), cm))
		} else {
			e.check(e.client.Update(t.Context(), cm))
		}
	}
	refused := func(want ...string) {
		t.Helper()
		s := e.waitCondition(stack.Name, networkstackv1alpha1.ConditionCatalogInvalid, metav1.ConditionTrue, networkstackv1alpha1.ReasonCatalogInvalid)
		for _, text := range want {
			if m := findCondition(s, networkstackv1alpha1.ConditionCatalogInvalid).Message; !strings.Contains(m, text) {
				t.Errorf("the condition does not say %q:\n%s", text, m)
			}
		}
	}
	source := func() string { return e.component("flannel").Spec.Chart.Repository }
	comesFrom := func(want string) {
		t.Helper()
		e.eventually("Flannel's chart to come from "+want, func(context.Context) (bool, string) {
			s := e.component("flannel").Status.Release
			return source() == want && s != nil && strings.HasPrefix(s.ChartSource, want), toJSON(e.component("flannel").Spec.Chart)
		})
		e.waitReady(stack.Name)
	}
	running := e.fingerprint()

	bad := "type: Flannel\nrepository: " + repository + "\n"
	write(bad)
	refused("flannel.yaml, line 2: version 0.28.9 of Flannel would be taken from " + repository + " unchecked")
	e.waitReady(stack.Name)
	if after := e.fingerprint(); after != running || source() != "" {
		t.Errorf("a bad override changed what runs:\n%s\nwas:\n%s", after, running)
	}

	packed, err := os.ReadFile(archive)
	e.check(err)
	good := bad + fmt.Sprintf("versions:\n- version: 0.28.9\n  digest: sha256:%x\n", sha256.Sum256(packed))
	write(good)
	comesFrom(repository)
	if c := findCondition(e.stack(stack.Name), networkstackv1alpha1.ConditionCatalogInvalid); c.Status != "" {
		t.Errorf("a good override is said to be bad: %s", c.Message)
	}

	write(good + "colour: red\n")
	refused("flannel.yaml, line 6: unknown field colour", "what was in effect before stays")
	e.waitReady(stack.Name)
	if source() != repository {
		t.Errorf("a bad override took a good one back: %s", source())
	}
	// This process does not know what the one before it had.
	e.check(e.process.Stop())
	e.startOperator()
	e.waitCondition(stack.Name, networkstackv1alpha1.ConditionReady, metav1.ConditionFalse, networkstackv1alpha1.ReasonCatalogInvalid)
	refused("nothing is changed until it is corrected or deleted")
	if source() != repository {
		t.Errorf("a bad override took a good one back after a restart: %s", source())
	}

	e.check(e.client.Delete(t.Context(), cm))
	e.eventually("the operator's own chart to be used again", func(context.Context) (bool, string) {
		return source() == "", source()
	})
	e.waitReady(stack.Name)
}
