package stack

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// lateWatch watches objects of which there may be very many from when they first matter.
type lateWatch struct {
	controller controller.Controller
	cache      cache.Cache
	wake       handler.EventHandler
	// objects are what is watched, and matters says of which of their changes the stacks are told.
	objects client.Object
	matters predicate.Predicate
	// watched is read and written by the one worker of the controller.
	watched bool
	// hold is for what there is when the operator starts.
	hold hold
}

// synced begins the watch, and says whether it has seen what there is.
func (w *lateWatch) synced(ctx context.Context) (bool, error) {
	if !w.watched {
		if err := w.controller.Watch(source.Kind(w.cache, w.objects, w.wake, w.matters)); err != nil {
			return false, fmt.Errorf("watching %s: %w", w.objects.GetObjectKind().GroupVersionKind().Kind, err)
		}
		w.watched = true
	}
	informer, err := w.cache.GetInformer(ctx, w.objects, cache.BlockUntilSynced(false))
	if err != nil {
		return false, fmt.Errorf("watching %s: %w", w.objects.GetObjectKind().GroupVersionKind().Kind, err)
	}
	return informer.HasSynced(), nil
}
