package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
)

// addProbes says what the probes mean. The process is alive while it answers: nothing in the cluster makes it better to start it
// again. It is ready when it has got through to the API server and filled the caches that it begins with, whether it leads or not.
func addProbes(mgr ctrl.Manager) error {
	filled := &cachesFilled{}
	if err := mgr.Add(filled); err != nil {
		return fmt.Errorf("setting up probes: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("setting up probes: %w", err)
	}
	if err := mgr.AddReadyzCheck("caches", filled.check); err != nil {
		return fmt.Errorf("setting up probes: %w", err)
	}
	return nil
}

// cachesFilled is run by the manager once the caches that are known from the start are filled.
type cachesFilled struct{ filled atomic.Bool }

// Start returns when ctx ends.
func (c *cachesFilled) Start(ctx context.Context) error {
	c.filled.Store(true)
	<-ctx.Done()
	return nil
}

// NeedLeaderElection says that one that does not lead is ready too.
func (c *cachesFilled) NeedLeaderElection() bool { return false }

func (c *cachesFilled) check(*http.Request) error {
	if !c.filled.Load() {
		return errors.New("the caches are not filled yet")
	}
	return nil
}
