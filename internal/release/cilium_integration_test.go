package release

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/networkstack/networkstack/test/testcharts"
)

// tally counts requests by method.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *tally) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		c.mu.Lock()
		c.n[req.Method]++
		c.n["all"]++
		c.mu.Unlock()
		return next.RoundTrip(req)
	})
}

func (c *tally) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.n
	c.n = map[string]int{}
	return out
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// The real Cilium chart: installed, upgraded by a minor version, unchanged on repetition, removed.
func TestCilium(t *testing.T) {
	older, newer := testcharts.Upstream(t, "cilium", "1.19.6"), testcharts.Upstream(t, "cilium", "1.20.0")
	e := newEnv(t)
	count := &tally{n: map[string]int{}}
	cfg := rest.CopyConfig(e.cfg)
	cfg.WrapTransport = count.wrap
	eng, err := NewEngine(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	measure := func(what string, do func() error) {
		t.Helper()
		count.take()
		start := time.Now()
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: %v, requests %v", what, time.Since(start).Round(time.Millisecond), count.take())
	}
	spec := Spec{Component: "cilium", Name: "cilium", Namespace: "kube-system", Chart: older, Values: map[string]any{
		"ipam":                 map[string]any{"mode": "cluster-pool", "operator": map[string]any{"clusterPoolIPv4PodCIDRList": []any{"10.244.0.0/16"}}},
		"hubble":               map[string]any{"tls": map[string]any{"auto": map[string]any{"method": "helm"}}},
		"kubeProxyReplacement": true, "k8sServiceHost": "127.0.0.1", "k8sServicePort": 6443,
	}}
	var out Outcome
	install := func() (err error) { out, err = eng.Apply(t.Context(), spec); return err }
	measure("install 1.19.6", install)
	ds, err := e.kube.AppsV1().DaemonSets("kube-system").Get(t.Context(), "cilium", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := e.kube.CoreV1().Secrets("kube-system").Get(t.Context(), "cilium-ca", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	spec.Chart = newer
	measure("upgrade to 1.20.0", install)
	if out.State.ChartVersion != "1.20.0" || out.State.Status != "deployed" || out.State.Revision != 2 {
		t.Errorf("%+v", out.State)
	}
	after, err := e.kube.AppsV1().DaemonSets("kube-system").Get(t.Context(), "cilium", metav1.GetOptions{})
	if err != nil || after.UID != ds.UID || after.Generation <= ds.Generation {
		t.Errorf("the DaemonSet was not upgraded in place: %v", err)
	}
	// The chart looks its certificate authority up; a render without the cluster would replace it.
	if again, err := e.kube.CoreV1().Secrets("kube-system").Get(t.Context(), "cilium-ca", metav1.GetOptions{}); err != nil || !slices.Equal(ca.Data["ca.crt"], again.Data["ca.crt"]) {
		t.Errorf("the certificate authority was replaced: %v", err)
	}
	measure("apply the same again", install)
	if out.State.Revision != 2 {
		t.Errorf("a new revision for nothing: %+v", out.State)
	}
	var m *Manifest
	measure("load", func() (err error) { m, err = eng.Load(t.Context(), "cilium", "kube-system"); return err })
	measure("verify, dry run", func() error {
		f, _, err := eng.Verify(t.Context(), Check{Component: "cilium", Manifest: m, DryRun: true})
		if len(f) > 0 {
			t.Errorf("findings right after the upgrade: %+v", f)
		}
		return err
	})
	measure("verify", func() error {
		f, applied, err := eng.Verify(t.Context(), Check{Component: "cilium", Manifest: m})
		if len(f) > 0 || len(applied) != len(m.Objects()) {
			t.Errorf("findings right after the upgrade: %+v", f)
		}
		return err
	})
	measure("state", func() error { _, err := eng.State(t.Context(), "cilium", "kube-system"); return err })
	records, err := e.kube.CoreV1().Secrets("kube-system").List(t.Context(), metav1.ListOptions{LabelSelector: "owner=helm,name=cilium"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records.Items {
		t.Logf("%s: %d KiB, %d objects", r.Name, len(r.Data["release"])/1024, len(m.Objects()))
	}
	measure("uninstall", func() error { return eng.Uninstall(t.Context(), "cilium", "kube-system", "cilium") })
}
