// Package component reconciles NetworkComponents: one Helm release each, installed, upgraded, watched for drift
// and removed. The reconciler only decides; the work itself runs in jobs.
package component

import (
	"context"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/drift"
	"github.com/networkstack/networkstack/internal/health"
	"github.com/networkstack/networkstack/internal/intent"
	"github.com/networkstack/networkstack/internal/keys"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/internal/status"
)

const (
	// parallelJobs bounds how many releases are worked on at once; rendering and recording a large chart is what costs memory.
	parallelJobs = 2
	workers      = 4
	// wakeBuffer decouples watches from the queue; a full buffer only means that a wake-up waits a moment.
	wakeBuffer = 1024
)

// Reconciler reconciles NetworkComponents.
type Reconciler struct {
	client.Client
	// Live reads from the API server what no cache has: the pods of a roll-out that makes no progress, and Secrets that
	// are made beside the release.
	Live   client.Reader
	Charts *chart.Loader
	Engine *release.Engine
	// Certificates keeps those of components.
	Certificates *certificates.Keeper
	// Keys keeps their generated Secrets.
	Keys  *keys.Keeper
	Drift *drift.Watcher
	// Reports are what controllers say of objects of components, and Catalog whose reports matter, and which fields running
	// controllers rightly change.
	Reports  *health.Reports
	Catalog  *catalog.Source
	Recorder events.EventRecorder
	// Namespace of the operator: where values are read from.
	Namespace string
	// ChartDirs are searched for chart archives before any other source.
	ChartDirs []string

	runner *runner
	status *status.Writer[networkstackv1alpha1.NetworkComponentStatus]
	state  *records
	wakes  *Wakes
}

// Wakes carries wake-ups from watches and jobs to the reconciler.
type Wakes struct{ events chan event.GenericEvent }

// NewWakes makes Wakes.
func NewWakes() *Wakes { return &Wakes{events: make(chan event.GenericEvent, wakeBuffer)} }

// Wake has the component with this name reconciled soon.
func (w *Wakes) Wake(name string) {
	e := event.GenericEvent{Object: &networkstackv1alpha1.NetworkComponent{ObjectMeta: metav1.ObjectMeta{Name: name}}}
	select {
	case w.events <- e:
	default:
		// Nobody may be blocked by a full queue; the wake-up is delivered as soon as there is room.
		go func() { w.events <- e }()
	}
}

// SetupWithManager registers the reconciler, its jobs and its drift watches with a manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, wakes *Wakes) error {
	r.wakes = wakes
	r.runner = newRunner(parallelJobs, wakes.Wake)
	r.status = status.NewWriter[networkstackv1alpha1.NetworkComponentStatus](r.Client)
	r.state = newRecords()
	for _, runnable := range []interface{ Start(context.Context) error }{r.runner, r.Drift, r.Reports} {
		if err := mgr.Add(runnable); err != nil {
			return err
		}
	}
	owner := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, obj client.Object) []reconcile.Request {
		if name := obj.GetLabels()[networkstackv1alpha1.ComponentLabel]; name != "" {
			return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: name}}}
		}
		return nil
	})
	values := handler.EnqueueRequestsFromMapFunc(r.readersOf)
	inNamespace := builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool {
		return o.GetNamespace() == r.Namespace
	}))
	return ctrl.NewControllerManagedBy(mgr).
		Named("networkcomponent").
		For(&networkstackv1alpha1.NetworkComponent{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&appsv1.DaemonSet{}, owner).
		Watches(&appsv1.Deployment{}, owner).
		Watches(&appsv1.StatefulSet{}, owner).
		Watches(&batchv1.Job{}, owner).
		Watches(&corev1.ConfigMap{}, values, inNamespace).
		Watches(&corev1.Secret{}, values, inNamespace).
		WatchesRawSource(source.Channel(wakes.events, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, RateLimiter: status.RateLimiter()}).
		Complete(r)
}

// readersOf are the components whose values come from this ConfigMap or Secret, and all of them when it is the catalogue's.
func (r *Reconciler) readersOf(ctx context.Context, obj client.Object) []reconcile.Request {
	var list networkstackv1alpha1.NetworkComponentList
	if err := r.List(ctx, &list); err != nil {
		return nil
	}
	kind, everybody := networkstackv1alpha1.ValuesFromConfigMap, r.Catalog.Is(obj)
	if _, ok := obj.(*corev1.Secret); ok {
		kind, everybody = networkstackv1alpha1.ValuesFromSecret, false
	}
	var out []reconcile.Request
	for i := range list.Items {
		reads := func(ref networkstackv1alpha1.ValuesReference) bool {
			return ref.Kind == kind && ref.Name == obj.GetName()
		}
		if everybody || slices.ContainsFunc(list.Items[i].Spec.ValuesFrom, reads) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return out
}

// Reconcile takes one step with one component and writes its status.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var c networkstackv1alpha1.NetworkComponent
	if err := r.Get(ctx, req.NamespacedName, &c); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.Name)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	result, err := r.step(ctx, &c)
	return status.Requeue(ctx, result, err)
}

func (r *Reconciler) step(ctx context.Context, c *networkstackv1alpha1.NetworkComponent) (ctrl.Result, error) {
	latest, err := r.status.Latest(c.UID, &c.Status)
	if err != nil {
		return ctrl.Result{}, err
	}
	// What is wrong with an override is said of the stack.
	if _, err := r.Catalog.Current(ctx); err != nil {
		return ctrl.Result{}, err
	}
	rec := r.state.of(c, latest)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	r.collect(ctx, rec, c)

	if !c.DeletionTimestamp.IsZero() {
		done, err := r.remove(ctx, rec, c)
		if err != nil || done {
			return ctrl.Result{}, err
		}
		return r.publish(ctx, rec, c, latest)
	}
	if c.Spec.Suspend {
		r.Drift.Forget(c.Name)
		rec.tracked = false
		return r.publish(ctx, rec, c, latest)
	}
	if controllerutil.AddFinalizer(c, networkstackv1alpha1.Finalizer) {
		patch := client.RawPatch("application/merge-patch+json", finalizerPatch(c.Finalizers, c.ResourceVersion))
		if err := r.Patch(ctx, c, patch); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(fmt.Errorf("adding the finalizer: %w", err))
		}
	}
	if err := r.advance(ctx, rec, c); err != nil {
		return ctrl.Result{}, err
	}
	return r.publish(ctx, rec, c, latest)
}

// advance starts the next job when one is due. While what is wanted cannot be had, what is installed is still looked after.
func (r *Reconciler) advance(ctx context.Context, rec *record, c *networkstackv1alpha1.NetworkComponent) error {
	values, secrets, err := r.values(ctx, c)
	var bad *intent.ValuesError
	if err != nil && !errors.As(err, &bad) {
		return err
	}
	rec.valuesProblem = err
	if err == nil {
		rec.wanted, rec.secrets = wishes(c, values), secrets
	}
	if rec.settled == rec.wanted && rec.failedFor != rec.settled {
		// What failed is no longer wanted.
		rec.succeeded()
	}
	switch {
	case rec.job != nil:
		// One thing at a time: what is under way is never cut off by a newer wish, only by the end of the process.
	case err == nil && rec.settled != rec.wanted && rec.due():
		if rec.settled != "" {
			// Something else is wanted now, so whoever fought over the old may have come round.
			rec.contests = drift.Contests{}
		}
		rec.job = r.startApply(c.DeepCopy(), values, rec.wanted, r.checking(rec, c))
	case rec.settled != "" && r.secretsDue(rec, c):
		rec.job = r.startSecrets(c.DeepCopy(), rec.settled)
	case rec.settled != "":
		r.watchDrift(rec, c)
	}
	return nil
}

func (r *Reconciler) forget(name string) {
	r.Drift.Forget(name)
	r.Reports.Forget(name)
	drift.Uncount(name)
	uncount(name)
	if rec := r.state.drop(name); rec != nil {
		r.status.Forget(rec.uid)
	}
}
