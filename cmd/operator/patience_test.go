package main

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

func TestPatient(t *testing.T) {
	for _, tc := range []struct {
		name, method, query string
		fails, asked        int
		ok                  bool
	}{
		{"a watch", http.MethodGet, "?watch=true", 3, 4, true},
		{"an informer's list", http.MethodGet, "?resourceVersion=0", 3, 4, true},
		{"a reconciler's list", http.MethodGet, "", 3, 1, false},
		{"a write", http.MethodPatch, "?resourceVersion=0", 3, 1, false},
		{"nothing wrong", http.MethodGet, "?watch=true", 0, 1, true},
	} {
		asked := 0
		cfg := &rest.Config{Host: "http://x", Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			if asked++; asked <= tc.fails {
				return nil, errors.New("connection refused")
			}
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: req}, nil
		})}
		client, err := rest.HTTPClientFor(patient(cfg, time.Minute, time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), tc.method, "http://x/api/v1/pods"+tc.query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if asked != tc.asked || (err == nil) != tc.ok {
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
