package stack

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
)

// policies counts NetworkPolicies. They are watched from when a stack first leaves them without effect: where they are
// enforced there may be very many.
type policies struct {
	controller controller.Controller
	cache      cache.Cache
	wake       handler.EventHandler
	// watched is read and written by the one worker of the controller.
	watched bool
}

// count puts the number of NetworkPolicies into the facts if it matters. Until the watch has seen what there is it does nothing: what
// there is brings the stack back.
func (p *policies) count(ctx context.Context, in compose.Input, discoverer *facts.Discoverer) error {
	if !compose.IgnoresPolicies(in) {
		return nil
	}
	if !p.watched {
		if err := p.controller.Watch(source.Kind[client.Object](p.cache, facts.Policy(), p.wake, comesOrGoes())); err != nil {
			return fmt.Errorf("watching NetworkPolicies: %w", err)
		}
		p.watched = true
	}
	informer, err := p.cache.GetInformer(ctx, facts.Policy(), cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watching NetworkPolicies: %w", err)
	}
	if !informer.HasSynced() {
		return nil
	}
	if in.Facts.NetworkPolicies, err = discoverer.CountPolicies(ctx); err != nil {
		return fmt.Errorf("counting NetworkPolicies: %w", err)
	}
	return nil
}
