package main

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"
	"time"

	"k8s.io/client-go/rest"
)

func TestPatient(t *testing.T) {
	for _, tc := range []struct {
		name, method, path string
		// status is what the first requests are answered with; 0 is no connection.
		status      int
		retryAfter  string
		breaksOff   bool
		fails, want int
		ok          bool
	}{
		{name: "a watch", path: "/api/v1/pods?watch=true", fails: 3, want: 4, ok: true},
		{name: "an informer's list", path: "/api/v1/pods?resourceVersion=0", fails: 3, want: 4, ok: true},
		{name: "a watch, and a load balancer without a server", path: "/api/v1/pods?watch=true", status: 502, fails: 3, want: 4, ok: true},
		{name: "a list, and no storage", path: "/api/v1/pods?resourceVersion=0", status: 500, fails: 3, want: 4, ok: true},
		{name: "a watch that is throttled", path: "/api/v1/pods?watch=true", status: 503, retryAfter: "1", fails: 1, want: 1, ok: true},
		{name: "a watch that has expired", path: "/api/v1/pods?watch=true", status: 410, fails: 1, want: 1, ok: true},
		{name: "the groups", path: "/apis", status: 500, fails: 2, want: 3, ok: true},
		{name: "the groups, and the answer breaks off", path: "/apis", status: 200, breaksOff: true, fails: 2, want: 3, ok: true},
		{name: "the version, and the answer breaks off", path: "/version", status: 200, breaksOff: true, fails: 2, want: 3, ok: true},
		{name: "the core group", path: "/api/v1", fails: 2, want: 3, ok: true},
		{name: "a group's version", path: "/apis/apps/v1", status: 503, fails: 2, want: 3, ok: true},
		{name: "a reconciler's list", path: "/api/v1/pods", fails: 3, want: 1},
		{name: "a reconciler's list of another group", path: "/apis/apps/v1/deployments", status: 500, fails: 3, want: 1, ok: true},
		{name: "a write", method: http.MethodPatch, path: "/api/v1/pods?resourceVersion=0", fails: 3, want: 1},
		{name: "nothing wrong", path: "/api/v1/pods?watch=true", want: 1, ok: true},
	} {
		asked := 0
		cfg := &rest.Config{Host: "http://x", Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}
			if asked++; asked <= tc.fails {
				if tc.status == 0 {
					return nil, errors.New("connection refused")
				}
				resp.StatusCode = tc.status
				if tc.breaksOff {
					resp.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
				}
				if tc.retryAfter != "" {
					resp.Header.Set("Retry-After", tc.retryAfter)
				}
			}
			return resp, nil
		})}
		client, err := rest.HTTPClientFor(patient(cfg, time.Minute, time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		method := cmp.Or(tc.method, http.MethodGet)
		req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+tc.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if asked != tc.want || (err == nil) != tc.ok {
			t.Errorf("%s: asked %d times, %v", tc.name, asked, err)
		}
	}
}

// It does not wait for ever.
func TestPatientEnds(t *testing.T) {
	cfg := &rest.Config{Host: "http://x", Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("connection refused")
	})}
	client, err := rest.HTTPClientFor(patient(cfg, 20*time.Millisecond, time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/api/v1/pods?watch=true", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Error("no error")
	}
}
