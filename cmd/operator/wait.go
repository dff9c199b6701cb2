package main

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
)

// waitForAPIServer waits until the API server answers, or ctx ends. Nothing can be set up before that, and an operator that
// ended for it would be started again ever more rarely. Meanwhile the probes are answered: it is alive, and not ready.
func waitForAPIServer(ctx context.Context, cfg *rest.Config, probeAddr string) error {
	const again, most = time.Second, 5 * time.Second
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = most
	client, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return err
	}
	if _, err = client.ServerVersion(); err == nil {
		return nil
	}
	ctrl.Log.Info("the API server does not answer; waiting for it", "error", err.Error())
	stop, err := answerProbes(ctx, probeAddr)
	if err != nil {
		return err
	}
	defer stop()
	return wait.PollUntilContextCancel(ctx, again, false, func(context.Context) (bool, error) {
		_, err := client.ServerVersion()
		return err == nil, nil
	})
}

// answerProbes says that the process is alive, and that it is not ready, until it is stopped.
func answerProbes(ctx context.Context, addr string) (stop func(), err error) {
	if addr == "0" || addr == "" {
		return func() {}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/readyz") {
				http.Error(w, "the API server does not answer", http.StatusServiceUnavailable)
				return
			}
			w.WriteHeader(http.StatusOK)
		}),
		ReadHeaderTimeout: time.Second,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	return func() {
		_ = server.Close()
		<-done
	}, nil
}
