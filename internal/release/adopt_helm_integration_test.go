package release

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/kube"
	helmrelease "helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

// Helm's command line writes under this name; a program that embeds Helm, such as this test, under its own.
func init() { kube.ManagedFieldsManager = "helm" }

// helmInstalled is a release that Helm installed.
func (e *env) helmInstalled(name string, c *chart.Chart, values map[string]any) {
	e.t.Helper()
	in := action.NewInstall(e.stock())
	in.ReleaseName, in.Namespace, in.CreateNamespace = name, e.ns, true
	if _, err := in.Run(c, values); err != nil {
		e.t.Fatal(err)
	}
}

// A release of Helm's command line is compared, refused untouched, and continued: values that are no longer rendered
// disappear, controllers' fields stay, objects that nothing renders are pruned, and no pod is restarted.
func TestAdoptHelmRelease(t *testing.T) {
	e := newEnv(t)
	values := names("a", "b")
	values["plain"] = "hunter22"
	e.helmInstalled("maps", mapsChart(), values)
	before := e.podsOf(e.ns, "app=x", 1)
	// Helm changes something, so that there is a history.
	up := action.NewUpgrade(e.stock())
	up.Namespace = e.ns
	values["names"] = []any{"a", "b", "old"}
	if _, err := up.Run("maps", mapsChart(), values); err != nil {
		t.Fatal(err)
	}
	// Somebody patches, and a controller has its say.
	patch := func(manager, what string) {
		t.Helper()
		if _, err := e.kube.CoreV1().ConfigMaps(e.ns).Patch(t.Context(), "a", types.MergePatchType, []byte(what), metav1.PatchOptions{FieldManager: manager}); err != nil {
			t.Fatal(err)
		}
	}
	patch("kubectl-patch", `{"data":{"patched":"x"}}`)
	patch("some-controller", `{"data":{"controlled":"x"}}`)

	spec := e.spec("maps", mapsChart(), names("a", "b", "new"))
	spec.Values["value"], spec.Values["plain"] = "other", "hunter33"
	eng, o := e.watched()
	report, err := eng.Inspect(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range report.Objects {
		text := string(r.State)
		for _, f := range r.Fields {
			text += " " + f.Path + " " + string(f.State) + ":" + f.Live + "→" + f.Wanted
		}
		got[strings.ReplaceAll(r.Object.String(), e.ns+"/", "")] = text
	}
	want := map[string]string{
		"ConfigMap a":     "Differs .data.patched Unknown:x→ .data.value Differs:none→other",
		"ConfigMap b":     "Differs .data.value Differs:none→other",
		"ConfigMap new":   "New",
		"ConfigMap old":   "Unknown",
		"Deployment maps": "Same",
		"Secret maps":     "Differs .data.plain Differs:[redacted]→[redacted]",
	}
	if diff := cmp.Diff(want, got); diff != "" || report.Source != "Helm release "+e.ns+"/maps" || report.Restarts() {
		t.Errorf("%+v\n%s", report.Source, diff)
	}
	var refusal *ConflictError
	if _, err := eng.Apply(t.Context(), spec); !errors.As(err, &refusal) || !refusal.Adoptable || !strings.Contains(err.Error(), "spec.adoption") {
		t.Errorf("refusal: %v", err)
	}
	if w := o.taken(); len(w) > 0 {
		t.Errorf("a report and a refusal wrote: %v", w)
	}

	spec.Adopt = true
	if out := e.apply(eng, spec); out.State.Revision != 3 {
		t.Errorf("state: %+v", out.State)
	}
	e.caughtUp("Deployment", e.ns, "maps")
	if diff := cmp.Diff(before, e.podsOf(e.ns, "app=x", 1)); diff != "" {
		t.Errorf("pods were restarted: %s", diff)
	}
	if maps := e.configMaps(); !slices.Equal(maps, []string{"a", "b", "new"}) {
		t.Errorf("%v", maps)
	}
	a, err := e.kube.CoreV1().ConfigMaps(e.ns).Get(t.Context(), "a", metav1.GetOptions{})
	if diff := cmp.Diff(map[string]string{"value": "other", "controlled": "x"}, a.Data); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	revs := e.history("maps")
	if len(revs) != 3 || revs[2].Info.Status != helmrelease.StatusDeployed {
		t.Errorf("history: %v", revs)
	}
	for _, r := range revs {
		if r.Labels[v1alpha1.ComponentLabel] != "maps" {
			t.Errorf("revision %d has labels %v", r.Version, r.Labels)
		}
	}
	// With Refuse it stays ours; an edit by hand is taken back by the next upgrade.
	spec.Adopt = false
	e.apply(eng, spec)
	patch("kubectl-edit", `{"data":{"edited":"x"}}`)
	spec.Values = names("a", "b")
	if out := e.apply(eng, spec); out.State.Revision != 4 {
		t.Errorf("state: %+v", out.State)
	}
	a, err = e.kube.CoreV1().ConfigMaps(e.ns).Get(t.Context(), "a", metav1.GetOptions{})
	if diff := cmp.Diff(map[string]string{"value": "none", "controlled": "x"}, a.Data); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if err := eng.Uninstall(t.Context(), "maps", e.ns, "maps"); err != nil {
		t.Fatal(err)
	}
	if maps := e.configMaps(); len(maps) > 0 {
		t.Errorf("left behind: %v", maps)
	}
	if secrets, err := e.kube.CoreV1().Secrets(e.ns).List(t.Context(), metav1.ListOptions{}); err != nil || len(secrets.Items) > 0 {
		t.Errorf("left behind: %v %v", secrets.Items, err)
	}
}

// A release that a killed Helm left pending is carried on, without being asked further.
func TestAdoptPending(t *testing.T) {
	for _, tc := range []struct {
		status   helmrelease.Status
		installs bool
		revision int
	}{
		{helmrelease.StatusPendingInstall, false, 2},
		{helmrelease.StatusPendingUpgrade, true, 3},
		{helmrelease.StatusPendingRollback, true, 3},
		{helmrelease.StatusUninstalling, false, 2},
	} {
		t.Run(string(tc.status), func(t *testing.T) {
			e := newEnv(t)
			e.helmInstalled("maps", mapsChart(), names("a", "b"))
			if tc.installs {
				up := action.NewUpgrade(e.stock())
				up.Namespace = e.ns
				if _, err := up.Run("maps", mapsChart(), names("a", "orphan")); err != nil {
					t.Fatal(err)
				}
			}
			store := e.stock().Releases
			last, err := store.Last("maps")
			if err != nil {
				t.Fatal(err)
			}
			last.SetStatus(tc.status, "killed")
			if err := store.Update(last); err != nil {
				t.Fatal(err)
			}
			eng := e.engine()
			spec := e.spec("maps", mapsChart(), names("a"))
			if _, err := eng.Apply(t.Context(), spec); !Permanent(err) {
				t.Errorf("refusal: %v", err)
			}
			if last, err = e.stock().Releases.Last("maps"); err != nil || last.Info.Status != tc.status {
				t.Errorf("the refusal left %s, %v", last.Info.Status, err)
			}
			spec.Adopt = true
			if _, err := eng.Inspect(t.Context(), spec); err != nil {
				t.Error(err)
			}
			if out := e.apply(eng, spec); out.State.Revision != tc.revision || out.State.Status != "deployed" {
				t.Errorf("state: %+v", out.State)
			}
			if maps := e.configMaps(); !slices.Equal(maps, []string{"a"}) {
				t.Errorf("left behind: %v", maps)
			}
		})
	}
}

// Killed at every write of a take-over, the next attempt finishes it.
func TestAdoptKilledAtEveryWrite(t *testing.T) {
	e := newEnv(t)
	for _, late := range []bool{false, true} {
		for k := int64(1); ; k++ {
			e.helmInstalled("maps", mapsChart(), names("a", "old"))
			before := e.podsOf(e.ns, "app=x", 1)
			spec := e.spec("maps", mapsChart(), names("a", "new"))
			spec.Adopt = true
			b := &breaker{at: k, late: late}
			_, err := e.broken(b).Apply(t.Context(), spec)
			if died := b.dead.Load(); died == (err == nil) {
				t.Fatalf("killed at write %d (late %v): %v", k, late, err)
			}
			eng := e.engine()
			e.apply(eng, spec)
			e.caughtUp("Deployment", e.ns, "maps")
			if diff := cmp.Diff(before, e.podsOf(e.ns, "app=x", 1)); diff != "" {
				t.Errorf("killed at write %d (late %v): pods were restarted: %s", k, late, diff)
			}
			if maps := e.configMaps(); !slices.Equal(maps, []string{"a", "new"}) {
				t.Errorf("killed at write %d (late %v): %v", k, late, maps)
			}
			m, err := e.kube.CoreV1().ConfigMaps(e.ns).Get(t.Context(), "a", metav1.GetOptions{})
			if err != nil || eng.foreignFields(m.ManagedFields) {
				t.Errorf("killed at write %d (late %v): managers %v, %v", k, late, managers(m.ManagedFields), err)
			}
			deployed := 0
			for _, r := range e.history("maps") {
				switch {
				case r.Info.Status == helmrelease.StatusDeployed:
					deployed++
				case r.Info.Status.IsPending():
					t.Errorf("revision %d is %s", r.Version, r.Info.Status)
				}
			}
			if deployed != 1 {
				t.Errorf("%d deployed revisions", deployed)
			}
			if err := eng.Uninstall(t.Context(), "maps", e.ns, "maps"); err != nil {
				t.Fatal(err)
			}
			e.podsOf(e.ns, "app=x", 0)
			if !b.dead.Load() {
				t.Logf("%d writes", b.writes.Load())
				break
			}
		}
	}
}
