package stack

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
)

// countAgain is when to look again whether NetworkPolicies have been listed.
const countAgain = 200 * time.Millisecond

// policies counts NetworkPolicies. They are watched from when a stack first leaves them without effect: where they are
// enforced there may be very many.
type policies struct {
	controller controller.Controller
	cache      cache.Cache
	wake       handler.EventHandler
	// watched is read and written by the one worker of the controller.
	watched bool
	hold    hold
}

// count puts the number of NetworkPolicies into the facts if it matters, and says whether it is known. Until the watch has seen what
// there is it is not: what there is brings the stack back.
func (p *policies) count(ctx context.Context, in compose.Input, discoverer *facts.Discoverer) (bool, error) {
	if !compose.IgnoresPolicies(in) {
		return true, nil
	}
	if !p.watched {
		if err := p.controller.Watch(source.Kind[client.Object](p.cache, facts.Policy(), p.wake, comesOrGoes())); err != nil {
			return false, fmt.Errorf("watching NetworkPolicies: %w", err)
		}
		p.watched = true
	}
	informer, err := p.cache.GetInformer(ctx, facts.Policy(), cache.BlockUntilSynced(false))
	if err != nil {
		return false, fmt.Errorf("watching NetworkPolicies: %w", err)
	}
	if !informer.HasSynced() {
		return false, nil
	}
	if in.Facts.NetworkPolicies, err = discoverer.CountPolicies(ctx); err != nil {
		return false, fmt.Errorf("counting NetworkPolicies: %w", err)
	}
	return true, nil
}
