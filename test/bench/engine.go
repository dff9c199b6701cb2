package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	"helm.sh/helm/v3/pkg/chart"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/health"
	"github.com/networkstack/networkstack/internal/release"
)

// engineSide is the release engine, and the health that the operator watches.
type engineSide struct {
	engine *release.Engine
	cfg    *rest.Config
	stop   context.CancelFunc

	once    sync.Once
	cache   cache.Cache
	failed  error
	changed chan struct{}
	applied []release.Applied
}

func newEngineSide(cfg *rest.Config) (side, error) {
	engine, err := release.NewEngine(cfg, release.Options{Logger: logr.Discard()})
	return &engineSide{engine: engine, cfg: cfg, stop: func() {}, changed: make(chan struct{}, 1)}, err
}

func (e *engineSide) apply(ctx context.Context, s subject, c *chart.Chart, values map[string]any) error {
	out, err := e.engine.Apply(ctx, release.Spec{
		Component: s.name, Name: s.name, Namespace: s.namespace, NamespaceLabels: map[string]string{}, Chart: c, Values: values,
	})
	e.applied = out.Objects
	return err
}

func (e *engineSide) install(ctx context.Context, s subject, wait bool) error {
	if err := e.apply(ctx, s, s.from, s.install); err != nil || !wait {
		return err
	}
	return e.ready(ctx)
}

func (e *engineSide) upgrade(ctx context.Context, s subject, wait bool) error {
	if err := e.apply(ctx, s, s.to, s.upgrade); err != nil || !wait {
		return err
	}
	return e.ready(ctx)
}

func (e *engineSide) uninstall(ctx context.Context, s subject) error {
	return e.engine.Uninstall(ctx, s.name, s.namespace, s.name)
}

func (e *engineSide) close() { e.stop() }

// ready returns when everything that was applied last has come up, by the watches and the judgement of the operator. The
// watches are opened the first time; the operator has them open all the time.
func (e *engineSide) ready(ctx context.Context) error {
	e.once.Do(func() { e.failed = e.watch(ctx) })
	if e.failed != nil {
		return e.failed
	}
	objects := make([]health.Object, 0, len(e.applied))
	for _, a := range e.applied {
		objects = append(objects, health.Object{
			GVK: a.Object.GVK, Namespace: a.Object.Namespace, Name: a.Object.Name, ResourceVersion: a.ResourceVersion,
		})
	}
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	for {
		result, err := health.Check(ctx, e.cache, e.cache, objects)
		if err != nil || result.Ready {
			return err
		}
		select {
		case <-e.changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for Ready: %w: %s", ctx.Err(), result.Message)
		}
	}
}

func (e *engineSide) watch(ctx context.Context) error {
	owned, err := labels.NewRequirement(networkstackv1alpha1.ComponentLabel, selection.Exists, nil)
	if err != nil {
		return err
	}
	e.cache, err = cache.New(e.cfg, cache.Options{Scheme: clientgoscheme.Scheme, DefaultLabelSelector: labels.NewSelector().Add(*owned)})
	if err != nil {
		return err
	}
	wake := func(any) {
		select {
		case e.changed <- struct{}{}:
		default:
		}
	}
	for _, obj := range []client.Object{&appsv1.DaemonSet{}, &appsv1.Deployment{}, &appsv1.StatefulSet{}, &batchv1.Job{}} {
		informer, err := e.cache.GetInformer(ctx, obj, cache.BlockUntilSynced(false))
		if err != nil {
			return err
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: wake, UpdateFunc: func(_, obj any) { wake(obj) }, DeleteFunc: wake,
		}); err != nil {
			return err
		}
	}
	ctx, e.stop = context.WithCancel(ctx)
	go func() { _ = e.cache.Start(ctx) }() // it ends with the turn
	if !e.cache.WaitForCacheSync(ctx) {
		return fmt.Errorf("the watches did not start: %w", context.Cause(ctx))
	}
	return nil
}
