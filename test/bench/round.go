package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// waitTimeout bounds every wait for workloads, on both sides.
const waitTimeout = 5 * time.Minute

// bench collects measurements of both sides.
type bench struct {
	cfg     *rest.Config
	results results
	// turns so far: who begins alternates.
	turns int
}

// side installs, upgrades and uninstalls one way or the other; with wait until the workloads have come up.
type side interface {
	install(ctx context.Context, s subject, wait bool) error
	upgrade(ctx context.Context, s subject, wait bool) error
	uninstall(ctx context.Context, s subject) error
	// close ends what it still does.
	close()
}

// step is one thing that is measured.
type step struct {
	name string
	run  func(context.Context, side, subject) error
}

// cycles are what each side does in a round: the life of a release, without and with waiting for its workloads.
func cycles() [][]step {
	install := func(wait bool) func(context.Context, side, subject) error {
		return func(ctx context.Context, h side, s subject) error { return h.install(ctx, s, wait) }
	}
	upgrade := func(wait bool) func(context.Context, side, subject) error {
		return func(ctx context.Context, h side, s subject) error { return h.upgrade(ctx, s, wait) }
	}
	uninstall := func(ctx context.Context, h side, s subject) error { return h.uninstall(ctx, s) }
	return [][]step{
		{
			{"install", install(false)}, {"upgrade", upgrade(false)}, {"upgrade, nothing changed", upgrade(false)},
			{"uninstall", uninstall},
		},
		{
			{"install, until Ready", install(true)}, {"upgrade, until Ready", upgrade(true)},
			{"", uninstall},
		},
	}
}

// round has each side take its turn in each cycle. Each gets clients of its own, so that neither profits from the other's
// caches.
func (b *bench) round(ctx context.Context, s subject) error {
	turns := []turn{{ours, newEngineSide}, {helms, newHelmSide}}
	if b.turns++; b.turns%2 == 0 {
		slices.Reverse(turns)
	}
	for _, cycle := range cycles() {
		for _, t := range turns {
			if err := b.take(ctx, s, t, cycle); err != nil {
				return err
			}
		}
	}
	return nil
}

type turn struct {
	name string
	make func(*rest.Config) (side, error)
}

func (b *bench) take(ctx context.Context, s subject, t turn, cycle []step) error {
	var requests atomic.Int64
	cfg := rest.CopyConfig(b.cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return counter{next, &requests} })
	side, err := t.make(cfg)
	if err != nil {
		return err
	}
	defer side.close()
	for _, step := range cycle {
		before, start := requests.Load(), time.Now()
		if err := step.run(ctx, side, s); err != nil {
			return fmt.Errorf("%s: %s of %s: %w", t.name, step.name, s.name, err)
		}
		if step.name != "" {
			b.results.add(s, step.name, t.name, time.Since(start), requests.Load()-before)
		}
	}
	return b.cleared(ctx, s)
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
		if err != nil || slices.ContainsFunc(list.Items, func(n corev1.Namespace) bool { return !n.DeletionTimestamp.IsZero() }) {
			return false, err
		}
		// Pods go after what made them.
		pods, err := clients.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{})
		return err == nil && len(pods.Items) == 0, err
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
