package release

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	helmrelease "helm.sh/helm/v3/pkg/release"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/networkstack/networkstack/test/effort"
	"github.com/networkstack/networkstack/test/endstate"
)

// crashMode is what becomes of the write at which an action is cut off.
type crashMode struct {
	name       string
	late, once bool
}

var crashModes = []crashMode{
	{name: "not sent"},
	{name: "answer lost", late: true},
	{name: "failed once", once: true},
}

// Cut off at any of its writes, in any way (or, without full effort, each write in one way), and made again by a new
// engine that remembers nothing, every action comes to the same end as the uninterrupted one.
func TestCrashScenarios(t *testing.T) {
	e := newEnv(t)
	// Most of the time is waiting, for Jobs and deletions, so more run at once than there are processors.
	slots := make(chan struct{}, 8)
	var points atomic.Int64
	run := func(t *testing.T, sc crashScenario, id string, dies int64, mode crashMode) *crashRun {
		slots <- struct{}{}
		defer func() { <-slots }()
		r := &crashRun{env: &env{t: t, cfg: e.cfg, kube: e.kube, ns: id}, scenario: sc, id: id, dies: dies, mode: mode}
		defer r.cleanUp()
		r.run()
		return r
	}
	var all sync.WaitGroup
	for n, sc := range crashScenarios() {
		all.Go(func() {
			t.Run(sc.name, func(t *testing.T) {
				var whole *crashRun
				if !t.Run("uninterrupted", func(t *testing.T) { whole = run(t, sc, fmt.Sprintf("crash-%d", n), 0, crashMode{}) }) {
					return
				}
				t.Logf("%d writes", whole.writes)
				var each sync.WaitGroup
				defer each.Wait()
				for m, mode := range crashModes {
					for k := int64(1); k <= whole.writes; k++ {
						if !effort.Full() && (k+int64(n))%int64(len(crashModes)) != int64(m) {
							continue
						}
						each.Go(func() {
							t.Run(fmt.Sprintf("%s %d", mode.name, k), func(t *testing.T) {
								whole.compare(run(t, sc, fmt.Sprintf("crash-%d-%d-%d", n, m, k), k, mode))
								points.Add(1)
							})
						})
					}
				}
			})
		})
	}
	all.Wait()
	t.Logf("%d crash points", points.Load())
}

// compare holds the end of an interrupted run to that of the uninterrupted one.
func (r *crashRun) compare(got *crashRun) {
	got.t.Helper()
	for _, line := range endstate.Diff(r.state, got.state) {
		got.t.Error(line)
	}
	if got.manifest != r.manifest {
		got.t.Errorf("the record holds\n%s\nwant\n%s", got.manifest, r.manifest)
	}
}

// crashRun is one run of a scenario in a namespace of its own.
type crashRun struct {
	*env
	scenario crashScenario
	id       string
	dies     int64
	mode     crashMode

	writes   int64
	state    endstate.State
	manifest string
}

const crashRelease = "app"

func (r *crashRun) run() {
	t := r.t
	t.Helper()
	for _, a := range r.scenario.before(r.id) {
		if _, err := r.attempt(a, crashMode{}); (err != nil) != (a.dies > 0) {
			t.Fatalf("preparing: %v", err)
		}
	}
	cut := r.scenario.cut(r.id)
	cut.dies = r.dies
	b, err := r.attempt(cut, r.mode)
	r.writes = b.writes.Load()
	sent := b.sent
	switch {
	case r.dies == 0 && err != nil:
		t.Fatalf("without a failure: %v", err)
	case r.dies > 0 && err == nil && !r.mode.once:
		t.Errorf("cut off at write %d of %d: no error", r.dies, r.writes)
	}
	next := r.scenario.then(r.id)
	if next == nil {
		again := r.scenario.cut(r.id)
		next = &again
	}
	if r.dies > 0 || r.scenario.then(r.id) != nil {
		b, err := r.attempt(*next, crashMode{})
		if err != nil {
			r.dump()
			t.Fatalf("the next attempt: %v", err)
		}
		sent = append(sent, b.sent...)
	}
	r.checkOrder(sent)
	r.checkHistory(next.chart != nil)
	state, err := endstate.Read(t.Context(), r.cfg, endstate.Scope{
		Selector: endstate.Component(r.id), Namespaces: []string{r.id, r.id + "-extra"}, Skip: []string{"Pod"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.state = state.Renamed(r.id, "ID")
}

// attempt makes an attempt with an engine of its own.
func (r *crashRun) attempt(a attempt, mode crashMode) (*breaker, error) {
	r.t.Helper()
	b := &breaker{at: a.dies, late: mode.late, once: mode.once}
	eng := r.broken(b)
	eng.opts.HookTimeout = time.Minute
	if a.chart == nil {
		return b, eng.Uninstall(r.t.Context(), crashRelease, r.id, r.id)
	}
	spec := Spec{Component: r.id, Name: crashRelease, Namespace: r.id, NamespaceLabels: map[string]string{"test": "yes"}, Chart: a.chart, Values: a.values}
	_, err := eng.Apply(r.t.Context(), spec)
	return b, err
}

// checkOrder checks that everything that has an order was applied in it, in the attempt that came through or before.
func (r *crashRun) checkOrder(sent []string) {
	r.t.Helper()
	from := 0
	times := map[string]int{}
	for _, s := range sent {
		times[s]++
	}
	for _, name := range r.scenario.order {
		n := slices.Index(sent[from:], name)
		if n < 0 {
			r.t.Errorf("%s was not applied in its turn: %v", name, sent)
			return
		}
		from += n
		// Once per attempt: an interrupted hook runs again, never twice in one go.
		if most := min(int(r.dies), 1) + 1; times[name] > most {
			r.t.Errorf("%s was applied %d times: %v", name, times[name], sent)
		}
	}
}

// checkHistory checks that Helm's records tell of a release that is deployed, or of none.
func (r *crashRun) checkHistory(installed bool) {
	r.t.Helper()
	s, err := r.engine().newSession(r.t.Context(), crashRelease, r.id, r.id)
	if err != nil {
		r.t.Fatal(err)
	}
	revs, err := s.records.history()
	if err != nil {
		r.t.Fatal(err)
	}
	var deployed []int
	for _, rel := range revs {
		switch st := rel.Info.Status; {
		case st == helmrelease.StatusDeployed:
			deployed = append(deployed, rel.Version)
		case st != helmrelease.StatusFailed && st != helmrelease.StatusSuperseded:
			r.t.Errorf("revision %d is %s", rel.Version, st)
		}
	}
	switch {
	case !installed && len(revs) > 0:
		r.t.Errorf("%d revisions are left", len(revs))
	case installed && (len(deployed) != 1 || deployed[0] != revs.last().Version):
		r.t.Errorf("deployed revisions %v of %d", deployed, len(revs))
	case installed:
		r.manifest = strings.ReplaceAll(revs.last().Manifest, r.id, "ID")
	}
}

// cleanUp removes what outlives the test's interest: definitions make the API server slow.
func (r *crashRun) cleanUp() {
	ctx := context.WithoutCancel(r.t.Context())
	client, err := dynamic.NewForConfig(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	crds := crdGVK.GroupVersion().WithResource("customresourcedefinitions")
	list, err := client.Resource(crds).List(ctx, metav1.ListOptions{LabelSelector: endstate.Component(r.id)})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, d := range list.Items {
		if err := client.Resource(crds).Delete(ctx, d.GetName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			r.t.Error(err)
		}
	}
}

// dump shows Jobs and Pods: hooks that do not end are why an attempt does not.
func (r *crashRun) dump() {
	r.t.Helper()
	jobs, _ := r.kube.BatchV1().Jobs(r.id).List(r.t.Context(), metav1.ListOptions{})
	pods, _ := r.kube.CoreV1().Pods(r.id).List(r.t.Context(), metav1.ListOptions{})
	for _, obj := range []any{jobs, pods} {
		data, _ := json.Marshal(obj)
		r.t.Logf("%s", data)
	}
}
