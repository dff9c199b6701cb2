package main

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/networkstack/networkstack/test/operator"
)

func TestOnLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"0": "0", "": "0", ":9813": "127.0.0.1:9813", "127.0.0.1:1": "127.0.0.1:1", "0.0.0.0:9813": "0.0.0.0:9813", "[::1]:9": "[::1]:9",
		"9813": "error", "on": "error",
	} {
		got, err := onLoopback(addr)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %q, %v, want %q", addr, got, err, want)
		}
	}
	o := newOptions()
	o.chartCache, o.pprofAddr = t.TempDir(), "on"
	if err := o.validate(); err == nil || !strings.Contains(err.Error(), "--pprof-bind-address") {
		t.Errorf("validate says %v", err)
	}
}

// TestEndpoints starts the manager as the flags have it, without a cluster: nothing that is asked here needs one.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	o := newOptions()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.addFlags(flags)
	probes, metrics, profiles := freePort(t), freePort(t), freePort(t)
	if err := flags.Parse([]string{"--health-probe-bind-address", "127.0.0.1" + probes, "--metrics-bind-address", "127.0.0.1" + metrics,
		"--pprof-bind-address", profiles}); err != nil {
		t.Fatal(err)
	}
	managed, err := managerOptions(o)
	if err != nil {
		t.Fatal(err)
	}
	managed.Cache = cache.Options{} // its namespaces are looked up in the cluster
	mgr, err := ctrl.NewManager(&rest.Config{Host: "http://127.0.0.1:1"}, managed)
	if err != nil {
		t.Fatal(err)
	}
	if err := addProbes(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	for _, want := range []struct{ url, text string }{
		{"http://127.0.0.1" + probes + "/healthz", "ok"},
		{"http://127.0.0.1" + probes + "/readyz?verbose", "[+]caches ok"},
		{"http://127.0.0.1" + profiles + "/debug/pprof/cmdline", "operator"},
		{"http://127.0.0.1" + metrics + "/metrics", "# TYPE go_goroutines gauge"},
	} {
		last := ""
		err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			last = operator.Answer(ctx, want.url)
			return strings.Contains(last, want.text), nil
		})
		if err != nil {
			t.Errorf("%s: %.300s, want %q", want.url, last, want.text)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// freePort is a port of this host that was free a moment ago, as :1234.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return ":" + port
}

// TestProfilesAreOff holds unless somebody asks for them.
func TestProfilesAreOff(t *testing.T) {
	t.Parallel()
	o := newOptions()
	o.addFlags(pflag.NewFlagSet("", pflag.ContinueOnError))
	if managed, err := managerOptions(o); err != nil || managed.PprofBindAddress != "0" {
		t.Errorf("%q, %v", managed.PprofBindAddress, err)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	c := &cachesFilled{}
	if c.check(&http.Request{}) == nil {
		t.Error("it is ready before its caches are filled")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Start(ctx); err != nil || c.check(&http.Request{}) != nil || c.NeedLeaderElection() {
		t.Error("it is not ready once they are, or only as the leader")
	}
}
