package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"helm.sh/helm/v3/pkg/action"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/networkstack/networkstack/internal/release"
)

// bench collects measurements of both sides.
type bench struct {
	cfg     *rest.Config
	results results
}

// side installs, upgrades and uninstalls one way or the other.
type side interface {
	install(context.Context, subject) error
	upgrade(context.Context, subject) error
	uninstall(context.Context, subject) error
}

// round has each side take its turn. Each gets clients of its own, so that neither profits from the other's caches.
func (b *bench) round(ctx context.Context, s subject) error {
	for _, turn := range []struct {
		name string
		make func(*rest.Config) (side, error)
	}{{ours, newEngineSide}, {helms, newHelmSide}} {
		var requests atomic.Int64
		cfg := rest.CopyConfig(b.cfg)
		cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return counter{next, &requests} })
		side, err := turn.make(cfg)
		if err != nil {
			return err
		}
		for _, step := range []struct {
			name string
			run  func(context.Context, subject) error
		}{{"install", side.install}, {"upgrade", side.upgrade}, {"upgrade, nothing changed", side.upgrade}, {"uninstall", side.uninstall}} {
			before, start := requests.Load(), time.Now()
			if err := step.run(ctx, s); err != nil {
				return fmt.Errorf("%s %s of %s: %w", turn.name, step.name, s.name, err)
			}
			b.results.add(s, step.name, turn.name, time.Since(start), requests.Load()-before)
		}
		if err := b.cleared(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// cleared waits until nothing of a release is left that the next turn would find.
func (b *bench) cleared(ctx context.Context, s subject) error {
	clients, err := kubernetes.NewForConfig(b.cfg)
	if err != nil {
		return err
	}
	if s.namespace != metav1.NamespaceSystem {
		if err := clients.CoreV1().Namespaces().Delete(ctx, s.namespace, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	const patience = 2 * time.Minute
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		list, err := clients.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(list.Items, func(n corev1.Namespace) bool { return !n.DeletionTimestamp.IsZero() }), nil
	})
}

// counter counts requests.
type counter struct {
	next http.RoundTripper
	n    *atomic.Int64
}

func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.next.RoundTrip(r)
}

// engineSide is the release engine.
type engineSide struct{ engine *release.Engine }

func newEngineSide(cfg *rest.Config) (side, error) {
	engine, err := release.NewEngine(cfg, release.Options{Logger: logr.Discard()})
	return engineSide{engine}, err
}

func (e engineSide) apply(ctx context.Context, s subject, values map[string]any) error {
	_, err := e.engine.Apply(ctx, release.Spec{
		Component: s.name, Name: s.name, Namespace: s.namespace, NamespaceLabels: map[string]string{}, Chart: s.chart, Values: values,
	})
	return err
}

func (e engineSide) install(ctx context.Context, s subject) error { return e.apply(ctx, s, s.install) }
func (e engineSide) upgrade(ctx context.Context, s subject) error { return e.apply(ctx, s, s.upgrade) }
func (e engineSide) uninstall(ctx context.Context, s subject) error {
	return e.engine.Uninstall(ctx, s.name, s.namespace, s.name)
}

// helmSide is the Helm SDK as its command line uses it.
type helmSide struct{ cfg *rest.Config }

func newHelmSide(cfg *rest.Config) (side, error) { return helmSide{cfg}, nil }

func (h helmSide) configuration(s subject) (*action.Configuration, error) {
	flags := genericclioptions.NewConfigFlags(true).WithWrapConfigFn(func(*rest.Config) *rest.Config { return rest.CopyConfig(h.cfg) })
	flags.Namespace = &s.namespace
	out := &action.Configuration{}
	return out, out.Init(flags, s.namespace, "secret", func(string, ...any) {})
}

func (h helmSide) install(ctx context.Context, s subject) error {
	cfg, err := h.configuration(s)
	if err != nil {
		return err
	}
	install := action.NewInstall(cfg)
	install.ReleaseName, install.Namespace, install.CreateNamespace = s.name, s.namespace, true
	_, err = install.RunWithContext(ctx, s.chart, s.install)
	return err
}

func (h helmSide) upgrade(ctx context.Context, s subject) error {
	cfg, err := h.configuration(s)
	if err != nil {
		return err
	}
	upgrade := action.NewUpgrade(cfg)
	upgrade.Namespace, upgrade.ResetValues = s.namespace, true
	_, err = upgrade.RunWithContext(ctx, s.name, s.chart, s.upgrade)
	return err
}

func (h helmSide) uninstall(_ context.Context, s subject) error {
	cfg, err := h.configuration(s)
	if err != nil {
		return err
	}
	_, err = action.NewUninstall(cfg).Run(s.name)
	return err
}
