package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

func TestFence(t *testing.T) {
	var answer atomic.Int64
	answer.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(answer.Load())) }))
	defer server.Close()
	now := time.Now()
	f := newFence(10 * time.Second)
	f.now = func() time.Time { return now }
	lease, err := rest.HTTPClientFor(f.lease(&rest.Config{Host: server.URL}))
	if err != nil {
		t.Fatal(err)
	}
	work, err := rest.HTTPClientFor(f.guard(&rest.Config{Host: server.URL}))
	if err != nil {
		t.Fatal(err)
	}
	send := func(c *http.Client, method, path string) error {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	const path = "/apis/coordination.k8s.io/v1/namespaces/networkstack-system/leases/networkstack-operator"
	for _, step := range []struct {
		what         string
		method, path string
		code         int64
		later        time.Duration
		open         bool
	}{
		{"before there is a lease", http.MethodGet, "/api", 200, 0, false},
		{"a lease that was read only", http.MethodGet, path, 200, 0, false},
		{"a lease that somebody else was faster to take", http.MethodPut, path, 409, 0, false},
		{"something else that was written", http.MethodPut, "/api/v1/namespaces/a", 200, 0, false},
		{"a lease taken", http.MethodPut, path, 200, 0, true},
		{"a moment later", http.MethodGet, path, 200, 9 * time.Second, true},
		{"not renewed for too long", http.MethodGet, path, 200, time.Second, false},
		{"a renewal that failed", http.MethodPut, path, 500, 0, false},
		{"a renewal", http.MethodPut, path, 200, 0, true},
	} {
		answer.Store(step.code)
		if err := send(lease, step.method, step.path); err != nil {
			t.Fatal(err)
		}
		answer.Store(http.StatusOK)
		now = now.Add(step.later)
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			err := send(work, method, "/api/v1/namespaces/a")
			if step.open && err != nil || !step.open && !errors.Is(err, errNotLeading) {
				t.Errorf("%s: %s: %v", step.what, method, err)
			}
		}
		if err := send(work, http.MethodGet, "/api/v1/namespaces/a"); err != nil {
			t.Errorf("%s: reading: %v", step.what, err)
		}
	}
}
