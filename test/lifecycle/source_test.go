package lifecycle

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
)

// TestChartSource has a chart repository that does not answer, then does: the stack says which URL and why, tries again
// by itself, and leaves what is installed alone.
func TestChartSource(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	away.Store(true)
	dir := t.TempDir()
	files := http.FileServer(http.Dir(dir))
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			http.Error(w, "under maintenance", http.StatusServiceUnavailable)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(repository.Close)
	e := newEnv(t, controlplane.Options{})
	e.helm("package", filepath.Join(operator.Root(), "charts", "flannel"), "-d", dir)
	e.helm("repo", "index", dir)
	stack := smallStack(t)
	e.apply(stack)
	e.waitReady(stack.Name)
	running := e.fingerprint()

	stack.Spec.CNI.Chart = &networkstackv1alpha1.ChartReference{Repository: repository.URL}
	e.apply(stack)
	e.eventually("the unreachable repository to be named", func(context.Context) (bool, string) {
		c := findCondition(e.stack(stack.Name), networkstackv1alpha1.ConditionReady)
		return c.Status == metav1.ConditionFalse && strings.Contains(c.Message, repository.URL) && strings.Contains(c.Message, "503"), c.Message
	})
	e.eventually("another attempt", func(context.Context) (bool, string) {
		c := e.component("flannel")
		return c.Status.Failures > 1 && c.Status.NextAttempt != nil, toJSON(c.Status)
	})
	if s := e.stack(stack.Name); findCondition(s, networkstackv1alpha1.ConditionStalled).Status == metav1.ConditionTrue {
		t.Error("a repository that may come back stalls the stack")
	}
	key := client.ObjectKey{Namespace: "kube-flannel", Name: "kube-flannel-ds"}
	var ds appsv1.DaemonSet
	e.check(e.client.Get(t.Context(), key, &ds))
	if ds.Generation != 1 || !strings.Contains(running, `"DaemonSet kube-flannel/kube-flannel-ds":1`) {
		t.Errorf("what runs was changed: %d, %s", ds.Generation, running)
	}
	e.restoresDeleted(&ds)

	stack.Spec.CNI.Chart = nil
	e.apply(stack)
	e.waitReady(stack.Name)
	if r := e.revision("flannel"); r != 1 {
		t.Errorf("back at the chart that is installed, flannel is at revision %d", r)
	}

	// The repository comes back and is used. Then it goes again, and the operator is started anew without its cache.
	away.Store(false)
	stack.Spec.CNI.Chart = &networkstackv1alpha1.ChartReference{Repository: repository.URL}
	e.apply(stack)
	e.waitReady(stack.Name)
	if source := e.component("flannel").Status.Release.ChartSource; source != repository.URL+"/flannel-0.28.9.tgz" {
		t.Errorf("the chart came from %q", source)
	}
	revision := e.revision("flannel")
	away.Store(true)
	e.check(e.process.Stop())
	e.check(os.RemoveAll(e.chartCache))
	e.startOperator()
	e.check(e.client.Get(t.Context(), key, &ds))
	e.restoresDeleted(&ds)
	e.waitReady(stack.Name)
	if r := e.revision("flannel"); r != revision {
		t.Errorf("flannel is at revision %d, want %d as before", r, revision)
	}

	away.Store(false)
	overrideCatalog(t, e, stack, repository.URL, filepath.Join(dir, "flannel-0.28.9.tgz"))
}

// restoresDeleted deletes a DaemonSet and waits until it is back.
func (e *env) restoresDeleted(ds *appsv1.DaemonSet) {
	e.t.Helper()
	e.check(e.client.Delete(e.t.Context(), ds))
	e.eventually("the deleted DaemonSet to be restored", func(ctx context.Context) (bool, string) {
		var again appsv1.DaemonSet
		err := e.client.Get(ctx, client.ObjectKeyFromObject(ds), &again)
		return err == nil && again.UID != ds.UID, toJSON(err)
	})
}
