package release

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// lateDiscovery goes on telling of what there was, a few times, when the API server has begun to serve a group.
type lateDiscovery struct {
	next  http.RoundTripper
	group string

	mu   sync.Mutex
	old  []byte
	left int
}

func (l *lateDiscovery) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(req)
	if err != nil || req.URL.Path != "/apis" {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.Contains(string(body), l.group) && l.left > 0 {
		l.left--
		body = l.old
	} else {
		l.old = body
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// TestLateDiscovery has discovery lag behind the definitions of a chart whose templates ask for its own kind.
func TestLateDiscovery(t *testing.T) {
	e := newEnv(t)
	const late = 4
	discovery := &lateDiscovery{group: "late.networkstack.io", left: late}
	cfg := rest.CopyConfig(e.cfg)
	cfg.WrapTransport = func(next http.RoundTripper) http.RoundTripper { discovery.next = next; return discovery }
	eng, err := NewEngine(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eng.State(t.Context(), "late", e.ns); err != nil {
		t.Fatal(err)
	}
	c := memoryChart("late", "1.0.0", map[string]string{
		"crds/a.yaml": strings.ReplaceAll(crd("laters", "Later", "v1"), "test.networkstack.io", "late.networkstack.io"),
		"cr.yaml": `{{ if .Capabilities.APIVersions.Has "late.networkstack.io/v1/Later" }}apiVersion: late.networkstack.io/v1
kind: Later
metadata: {name: one}
spec: {size: 1}{{ end }}
`,
	})
	e.apply(eng, e.spec("before", memoryChart("before", "1.0.0", map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"}), nil))
	out := e.apply(eng, e.spec("late", c, nil))
	if len(out.Objects) != 2 {
		t.Errorf("the chart did not find its kind when it was rendered: %+v", out.Objects)
	}
	if discovery.left != 0 {
		t.Errorf("discovery was late %d times, want %d", late-discovery.left, late)
	}
}
