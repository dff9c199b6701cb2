package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.uber.org/goleak"
	helmrelease "helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/networkstack/networkstack/test/effort"
)

// Killed at every write of an installation, an upgrade and a removal, in every way (or, without full effort, in one), the next
// attempt converges.
func TestKilledAtEveryWrite(t *testing.T) {
	e := newEnv(t)
	healthy := e.engine()
	if _, err := e.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: e.ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	first, second, third := names("a", "b"), names("a", "c", "d"), names("a", "e")
	check := func(t *testing.T, release string, want ...string) {
		t.Helper()
		if got := e.configMaps(); !slices.Equal(got, want) {
			t.Errorf("config maps %v, want %v", got, want)
		}
		deployed := 0
		for _, r := range e.history(release) {
			if r.Info.Status.IsPending() || r.Info.Status == helmrelease.StatusUninstalling {
				t.Errorf("revision %d is %s", r.Version, r.Info.Status)
			}
			if r.Info.Status == helmrelease.StatusDeployed {
				deployed++
			}
		}
		if deployed != 1 {
			t.Errorf("%d deployed revisions", deployed)
		}
	}
	type kill struct{ late, once bool }
	for m, mode := range []kill{{}, {late: true}, {once: true}} {
		for _, phase := range []string{"install", "upgrade", "uninstall"} {
			for k := int64(1); ; k++ {
				if !effort.Full() && k%3 != int64(m) {
					continue
				}
				name := fmt.Sprintf("m%d", k)
				if err := healthy.Uninstall(t.Context(), name, e.ns, name); err != nil {
					t.Fatal(err)
				}
				spec := e.spec(name, mapsChart(), first)
				spec.NamespaceLabels = nil
				if phase != "install" {
					e.apply(healthy, spec)
				}
				b := &breaker{at: k, late: mode.late, once: mode.once}
				eng := e.broken(b)
				var err error
				switch phase {
				case "install":
					_, err = eng.Apply(t.Context(), spec)
				case "upgrade":
					spec.Values = second
					_, err = eng.Apply(t.Context(), spec)
				case "uninstall":
					err = eng.Uninstall(t.Context(), name, e.ns, name)
				}
				if !b.dead.Load() {
					if err != nil {
						t.Fatalf("%s without a failure: %v", phase, err)
					}
					t.Logf("%s: %d writes, %d requests", phase, b.writes.Load(), b.requests.Load())
					if err := healthy.Uninstall(t.Context(), name, e.ns, name); err != nil {
						t.Fatal(err)
					}
					break
				}
				if err == nil && !mode.once {
					t.Errorf("%s killed at write %d: no error", phase, k)
				}
				if phase == "uninstall" && k%2 == 0 {
					// Removed for good.
					if err := e.engine().Uninstall(t.Context(), name, e.ns, name); err != nil {
						t.Errorf("uninstall after a crash at write %d: %v", k, err)
					}
					if got := e.configMaps(); len(got) > 0 {
						t.Errorf("uninstall after a crash at write %d left %v", k, got)
					}
					continue
				}
				// Wanted differently by now: what the killed attempt made has to go.
				spec.Values = third
				if _, err := e.engine().Apply(t.Context(), spec); err != nil {
					t.Fatalf("%s killed at write %d (late %v, once %v): next apply: %v", phase, k, mode.late, mode.once, err)
				}
				check(t, name, "a", "e")
				if err := healthy.Uninstall(t.Context(), name, e.ns, name); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// A cancelled context stops the action at its next request and leaves no goroutine behind.
func TestCancelled(t *testing.T) {
	e := newEnv(t)
	healthy := e.engine()
	spec := e.spec("maps", mapsChart(), names("a", "b"))
	e.apply(healthy, spec)
	running := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	b := &breaker{at: 3, onDeath: cancel}
	spec.Values = names("c")
	eng := e.broken(b)
	_, err := eng.Apply(ctx, spec)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if st, err := healthy.State(t.Context(), "maps", e.ns); err != nil || st.Status != "pending-upgrade" {
		t.Errorf("state %+v, %v", st, err)
	}
	if tr, ok := b.next.(interface{ CloseIdleConnections() }); ok {
		tr.CloseIdleConnections()
	}
	if err := goleak.Find(running); err != nil {
		t.Error(err)
	}
	if out := e.apply(healthy, spec); out.State.Revision != 3 || !slices.Equal(e.configMaps(), []string{"c"}) {
		t.Errorf("afterwards %+v, %v", out.State, e.configMaps())
	}
}
