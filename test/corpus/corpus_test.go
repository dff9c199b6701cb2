// Package corpus tries the operator with upstream's charts: what they and the controllers around them do must never be
// taken for drift. Charts whose archives are not in the chart cache are skipped by name.
package corpus

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/operator"
	"github.com/networkstack/networkstack/test/testbed"
	"github.com/networkstack/networkstack/test/testcharts"
)

// soakVariable is how long the operator is watched doing nothing, as a Go duration: one hour before a release.
const soakVariable = "NETWORKSTACK_SOAK"

const defaultSoak = 15 * time.Second

// operatorBinary is built once for all tests of the package.
var operatorBinary string

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "networkstack-corpus-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		operatorBinary, err = operator.Binary(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// TestNoFalseDrift installs every chart of the corpus and then waits for a drift that nobody caused: right after the
// installation, after controllers have written what is theirs, after a cold restart of the operator, and after a while.
func TestNoFalseDrift(t *testing.T) {
	all, err := testcharts.Corpus()
	check(t, err)
	soak := defaultSoak
	if text := os.Getenv(soakVariable); text != "" {
		soak, err = time.ParseDuration(text)
		check(t, err)
	}
	clusters := map[string][]testcharts.Real{}
	for _, r := range all {
		clusters[r.Cluster] = append(clusters[r.Cluster], r)
	}
	for _, name := range slices.Sorted(maps.Keys(clusters)) {
		t.Run("cluster "+name, func(t *testing.T) { noFalseDrift(t, clusters[name], soak) })
	}
}

func noFalseDrift(t *testing.T, charts []testcharts.Real, soak time.Duration) {
	there, missing, err := testbed.Available(charts)
	check(t, err)
	for _, r := range missing {
		t.Run(r.String(), func(t *testing.T) { t.Skipf("the archive is not in the chart cache: see CONTRIBUTING.md") })
	}
	if len(there) == 0 {
		return
	}
	c := start(t)
	c.install(there)
	check(t, c.Settle(t.Context()))
	c.report(there)
	c.noDrift("after the installation", there)

	played := c.play(there)
	check(t, c.Settle(t.Context()))
	c.noDrift("after controllers wrote what is theirs", there)
	c.stillThere(played)

	before := c.state()
	check(t, c.StopOperator())
	check(t, c.StartOperator())
	restarted := time.Now()
	c.verified(there, restarted)
	check(t, c.Settle(t.Context()))
	c.noDrift("after a cold restart of the operator", there)
	c.stillThere(played)
	c.same(before, c.state())

	from := time.Now()
	check(t, c.Pause(t.Context(), soak))
	c.noDrift("after "+soak.String(), there)
	requests, err := c.Requests(t.Context(), from)
	check(t, err)
	writes := map[string]int{}
	for _, e := range requests {
		if testbed.IsWrite(e) {
			writes[testbed.What(e)]++
		}
	}
	for _, r := range there {
		// How it gets on is news, once.
		if status := "patch networkcomponents/status " + r.Release; r.NotReady != "" && writes[status] == 1 {
			delete(writes, status)
		}
	}
	if len(writes) > 0 {
		t.Errorf("the operator wrote in %s with nothing to do: %v", soak, writes)
	}
	t.Logf("%d charts, %d objects: no write in %s", len(there), len(before), soak)
}

// cluster is a testbed in a test.
type cluster struct {
	*testbed.Bed
	t   *testing.T
	log *os.File
}

// start starts a cluster that lives as long as the test.
func start(t *testing.T) *cluster {
	t.Helper()
	dir, err := testcharts.CacheDir()
	check(t, err)
	log, err := os.Create(filepath.Join(t.TempDir(), "operator.log"))
	check(t, err)
	bed, err := testbed.Start(t.Context(), testbed.Options{Binary: operatorBinary, Args: []string{"--charts", dir}, Log: log})
	check(t, err)
	c := &cluster{Bed: bed, t: t, log: log}
	t.Cleanup(func() {
		if t.Failed() {
			c.dump()
		}
		if err := bed.Stop(); err != nil {
			t.Error(err)
		}
		_ = log.Close()
	})
	return c
}

// dump shows what the operator printed last.
func (c *cluster) dump() {
	const most = 20000
	data, _ := os.ReadFile(c.log.Name())
	c.t.Logf("the operator's log ends with:\n%s", data[max(0, len(data)-most):])
}

// install writes all components, wave after wave, and waits until their objects are applied.
func (c *cluster) install(charts []testcharts.Real) {
	c.t.Helper()
	waves := map[int][]testcharts.Real{}
	for _, r := range charts {
		waves[r.Wave] = append(waves[r.Wave], r)
	}
	for _, wave := range slices.Sorted(maps.Keys(waves)) {
		for _, r := range waves[wave] {
			component, err := testbed.Component(r)
			check(c.t, err)
			check(c.t, c.Client.Create(c.t.Context(), component))
		}
		for _, r := range waves[wave] {
			if err := c.WaitApplied(c.t.Context(), r.Release); err != nil {
				c.t.Errorf("%s: %v", r, err)
			}
		}
	}
	if c.t.Failed() {
		c.t.FailNow()
	}
}

// report says how every chart came out. Those that can come up on simulated nodes have to.
func (c *cluster) report(charts []testcharts.Real) {
	c.t.Helper()
	objects := 0
	for _, r := range charts {
		if r.NotReady == "" {
			if err := c.WaitReady(c.t.Context(), r.Release); err != nil {
				c.t.Errorf("%s: %v", r, err)
			}
		}
		component, err := c.Get(c.t.Context(), r.Release)
		check(c.t, err)
		objects += int(component.Status.Objects)
		switch {
		case r.NotReady == "":
			c.t.Logf("%-40s %3d objects, Ready", r, component.Status.Objects)
		case testbed.Ready(component):
			c.t.Errorf("%s is Ready, although %s", r, r.NotReady)
		default:
			c.t.Logf("%-40s %3d objects, not Ready: %s", r, component.Status.Objects, r.NotReady)
		}
	}
	c.t.Logf("%d charts, %d objects", len(charts), objects)
}

// noDrift fails for every component that reports a drift.
func (c *cluster) noDrift(when string, charts []testcharts.Real) {
	c.t.Helper()
	for _, r := range charts {
		component, err := c.Get(c.t.Context(), r.Release)
		check(c.t, err)
		if d := component.Status.Drift; d != nil && d.Count > 0 {
			c.t.Errorf("%s: %s: %d drifts; %s", when, r, d.Count, testbed.Describe(component))
		}
	}
	var events eventsv1.EventList
	check(c.t, c.Client.List(c.t.Context(), &events))
	for i := range events.Items {
		e := &events.Items[i]
		if e.Regarding.Kind == "NetworkComponent" && strings.Contains(e.Reason, "Drift") {
			c.t.Errorf("%s: event %s of %s: %s", when, e.Reason, e.Regarding.Name, e.Note)
		}
	}
}

// verified waits until an operator that has just started has looked at the objects of all components once.
func (c *cluster) verified(charts []testcharts.Real, since time.Time) {
	c.t.Helper()
	for _, r := range charts {
		check(c.t, c.Eventually(c.t.Context(), r.String()+" to be watched again", func(ctx context.Context) (bool, string, error) {
			requests, err := c.Requests(ctx, since)
			if err != nil {
				return false, "", err
			}
			names := map[string]bool{}
			for _, e := range requests {
				// Whatever it does first, it reads the release's record.
				if e.Resource == "secrets" && e.Namespace == r.Namespace {
					names[e.Verb] = true
				}
			}
			return len(names) > 0, "requests for the record: " + fmt.Sprint(names), nil
		}))
	}
}

// state is all objects of components, by name.
func (c *cluster) state() map[string]*unstructured.Unstructured {
	c.t.Helper()
	out := map[string]*unstructured.Unstructured{}
	kinds, err := c.kinds()
	check(c.t, err)
	for _, gvk := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(gvk)
		check(c.t, c.Client.List(c.t.Context(), list, client.HasLabels{networkstackv1alpha1.ComponentLabel}))
		for i := range list.Items {
			u := &list.Items[i]
			// Endpoints and such have the labels of what a controller made them from. Hooks come and go.
			if ownedByUs(u) && u.GetAnnotations()["helm.sh/hook"] == "" {
				out[u.GetKind()+" "+u.GetNamespace()+"/"+u.GetName()] = u
			}
		}
	}
	return out
}

// same fails when an object was written, even if that changed nothing but its version.
func (c *cluster) same(before, after map[string]*unstructured.Unstructured) {
	c.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(before)) {
		was, is := before[name], after[name]
		switch {
		case is == nil:
			c.t.Errorf("%s is gone", name)
		case was.GetResourceVersion() == is.GetResourceVersion():
		case was.GetKind() == "Secret":
			c.t.Errorf("%s was written", name)
		default:
			unstructured.RemoveNestedField(was.Object, "status")
			unstructured.RemoveNestedField(is.Object, "status")
			if diff := cmp.Diff(was.Object, is.Object); changedByUs(was, is) {
				c.t.Errorf("%s was written (-before +after):\n%s", name, diff)
			}
		}
	}
}

// changedByUs says whether the operator changed an object. An apply that changes nothing still has the API server put the
// applier's entry last, with a new time, when somebody else wrote in between.
func changedByUs(was, is *unstructured.Unstructured) bool {
	content := func(u *unstructured.Unstructured) (object map[string]any, owned []string) {
		for _, e := range u.GetManagedFields() {
			if e.Manager == networkstackv1alpha1.FieldManager && e.FieldsV1 != nil {
				owned = append(owned, string(e.Operation)+" "+e.FieldsV1.GetRawString())
			}
		}
		slices.Sort(owned)
		c := u.DeepCopy()
		c.SetManagedFields(nil)
		c.SetResourceVersion("")
		return c.Object, owned
	}
	wasObject, wasOwned := content(was)
	isObject, isOwned := content(is)
	return !equality.Semantic.DeepEqual(wasObject, isObject) || !slices.Equal(wasOwned, isOwned)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
