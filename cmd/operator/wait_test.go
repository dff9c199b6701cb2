package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"context"
)

// An operator that starts while the API server is away waits, answers probes until it is there, and leaves their port to
// the manager then.
func TestWaitForAPIServer(t *testing.T) {
	var away atomic.Bool
	away.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"gitVersion":"v1.37.0"}`))
	}))
	defer server.Close()
	server.Config.ErrorLog = nil
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	probes := listener.Addr().String()
	_ = listener.Close()
	done := make(chan error, 1)
	go func() { done <- waitForAPIServer(t.Context(), &rest.Config{Host: server.URL}, probes) }()
	err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		resp, err := http.Get("http://" + probes + "/healthz")
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		return resp.StatusCode == http.StatusOK, resp.Body.Close()
	})
	if err != nil {
		t.Fatalf("probes are not answered: %v", err)
	}
	resp, err := http.Get("http://" + probes + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("it is ready without an API server: %s", resp.Status)
	}
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	away.Store(false)
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it goes on waiting")
	}
	if listener, err = net.Listen("tcp", probes); err != nil {
		t.Errorf("the port of the probes is not free: %v", err)
	} else {
		_ = listener.Close()
	}
}
