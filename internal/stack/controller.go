// Package stack reconciles NetworkStacks: facts are gathered, the stack is composed and planned, its
// NetworkComponents are written, and their state is brought back into its status.
package stack

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/baseline"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/exposure"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/plan"
	"github.com/networkstack/networkstack/internal/status"
	"github.com/networkstack/networkstack/internal/survey"
)

// factsRetry is the wait after facts could not be gathered.
const factsRetry = 5 * time.Second

// Reconciler reconciles NetworkStacks.
type Reconciler struct {
	client.Client
	Facts   *facts.Discoverer
	Catalog *catalog.Source
	// OperatorImage is the operator's own image; empty when it is not known.
	OperatorImage string
	// OperatorNamespace is where the operator runs; empty when it is not known.
	OperatorNamespace string
	// OnPodNetwork says that the operator has no network when pods have none, and APIServerHost by which address it reaches the API
	// server.
	OnPodNetwork  bool
	APIServerHost string
	Recorder      events.EventRecorder
	// Allocations watches what network plugins have given out of their pools.
	Allocations *facts.AllocationWatch
	// Certificates looks at that of the API server; nil for not at all.
	Certificates *facts.CertificateWatch
	// Proxies watches the pods that use a control plane of Istio.
	Proxies *facts.ProxyWatch
	// Wakes has all stacks reconciled.
	Wakes Wakes
	// Policies writes baseline policies; nil for none.
	Policies *baseline.Writer
	// Survey looks for what baseline policies would cut; nil for not at all.
	Survey *exposure.Survey

	status *status.Writer[networkstackv1alpha1.NetworkStackStatus]
	// written is when the status was last written, by the stack's UID, and inEffect the stack whose pools are looked at.
	written  map[types.UID]time.Time
	inEffect types.UID
	// asked is for the certificate of which address a first installation is held back, and since when.
	asked struct {
		endpoint networkstackv1alpha1.Endpoint
		hold     hold
	}
	// statesHold is for the nodes' interfaces.
	statesHold hold
	// announced is the revision of the catalogue that was told of last.
	announced atomic.Int64
	// last is what the last pass composed from; nil before one, and when its stack is gone.
	last atomic.Pointer[compose.Input]
	// policies are NetworkPolicies, and namespaces those of a mesh.
	policies, namespaces lateWatch
}

// SetupWithManager registers the reconciler with a manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.status = status.NewWriter[networkstackv1alpha1.NetworkStackStatus](r.Client)
	r.written = map[types.UID]time.Time{}
	if err := mgr.Add(r.Allocations); err != nil {
		return err
	}
	if err := mgr.Add(r.Proxies); err != nil {
		return err
	}
	if r.Survey != nil {
		if err := mgr.Add(r.Survey); err != nil {
			return err
		}
	}
	all := handler.EnqueueRequestsFromMapFunc(r.everyStack)
	b := ctrl.NewControllerManagedBy(mgr).
		Named("networkstack").
		For(&networkstackv1alpha1.NetworkStack{}, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, glassBroken()))).
		// When a stack goes, the next oldest takes its place.
		Watches(&networkstackv1alpha1.NetworkStack{}, all, builder.WithPredicates(onlyDeletion())).
		Watches(&networkstackv1alpha1.NetworkComponent{}, all).
		Watches(&corev1.Node{}, all, builder.WithPredicates(nodeChanged())).
		Watches(&appsv1.DaemonSet{}, all, builder.WithPredicates(agentChanged())).
		Watches(&discoveryv1.EndpointSlice{}, all).
		// The Service of the cluster's DNS, and that of the API server.
		Watches(&corev1.Service{}, all, builder.WithPredicates(addressChanged())).
		Watches(&corev1.ConfigMap{}, all, builder.WithPredicates(clusterConfiguration(r.Catalog))).
		WatchesMetadata(facts.Definition(), all, builder.WithPredicates(definitionChanged())).
		Watches(&networkingv1.IngressClass{}, all, builder.WithPredicates(classChanged())).
		WatchesMetadata(facts.Injector(), all, builder.WithPredicates(comesOrGoes())).
		WatchesRawSource(source.Channel(r.Wakes, all)).
		// One at a time: two stacks never take effect together.
		WithOptions(controller.Options{MaxConcurrentReconciles: 1, RateLimiter: status.RateLimiter()})
	serviceCIDRs := networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR")
	_, err := mgr.GetRESTMapper().RESTMapping(serviceCIDRs.GroupKind(), serviceCIDRs.Version)
	switch {
	case err == nil:
		b = b.Watches(&networkingv1.ServiceCIDR{}, all)
	case !meta.IsNoMatchError(err):
		// Not knowing is not the same as knowing that there are none.
		return fmt.Errorf("looking for the kind ServiceCIDR: %w", err)
	}
	c, err := b.Build(r)
	if err != nil {
		return err
	}
	r.policies = lateWatch{controller: c, cache: mgr.GetCache(), wake: all, objects: facts.Policy(), matters: comesOrGoes()}
	r.namespaces = lateWatch{
		controller: c, cache: mgr.GetCache(), wake: all, objects: facts.NamespaceMetadata(), matters: namespaceChanged(),
	}
	return nil
}

func (r *Reconciler) everyStack(ctx context.Context, _ client.Object) []reconcile.Request {
	var list networkstackv1alpha1.NetworkStackList
	if err := r.List(ctx, &list); err != nil {
		return nil
	}
	out := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return out
}

// scope is one pass over one stack: what was found out so far, for the status to be computed from.
type scope struct {
	stack      *networkstackv1alpha1.NetworkStack
	components []networkstackv1alpha1.NetworkComponent

	conflict string
	// catalog is the one in effect; nil before it is known.
	catalog  *catalog.State
	deleting []string
	// cleaning is what the cleaning of nodes is at.
	cleaning string
	factsErr error
	facts    *facts.Snapshot
	pools    poolsSeen
	result   *compose.Result
	steps    []plan.Step
	writeErr error
	parked   bool
	held     bool
	// clearing says that what cleans up behind kube-proxy, or cleans nodes, is on its way out.
	clearing bool
	// meshUnknown says that there is a mesh, and what is in it is not known yet.
	meshUnknown bool
	// meshPending says so as well of what uses a control plane that is to go.
	meshPending bool
	parkErr     error
	requeueIn   time.Duration
	// policies is what there is of baseline policies; nil when nobody looks after any. policiesWait is what their first enforcement waits
	// for.
	policies     *baseline.State
	policiesWait string
	policiesErr  error
	// waits says that nothing is decided before what is being looked at is known.
	waits bool
}

// Reconcile takes one step with one stack and writes its status.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var stack networkstackv1alpha1.NetworkStack
	if err := r.Get(ctx, req.NamespacedName, &stack); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	result, err := r.step(ctx, &stack)
	return status.Requeue(ctx, result, err)
}

func (r *Reconciler) step(ctx context.Context, stack *networkstackv1alpha1.NetworkStack) (ctrl.Result, error) {
	s := &scope{stack: stack}
	var err error
	if s.components, err = r.componentsOf(ctx, stack.Name); err != nil {
		return ctrl.Result{}, err
	}
	if !stack.DeletionTimestamp.IsZero() {
		gone, err := r.remove(ctx, s)
		if gone {
			r.forget(stack.UID)
		}
		if err != nil || gone {
			return ctrl.Result{}, err
		}
		return r.publish(ctx, s)
	}
	if s.conflict, err = r.olderStack(ctx, stack); err != nil {
		return ctrl.Result{}, err
	}
	if s.conflict != "" {
		return r.publish(ctx, s)
	}
	if controllerutil.AddFinalizer(stack, networkstackv1alpha1.Finalizer) {
		if err := r.writeFinalizers(ctx, stack); err != nil {
			return ctrl.Result{}, fmt.Errorf("adding the finalizer: %w", err)
		}
	}
	r.advance(ctx, s)
	if s.waits {
		// There is nothing to tell yet, and a status without a result could be taken for a good one.
		return ctrl.Result{RequeueAfter: s.requeueIn}, nil
	}
	result, err := r.publish(ctx, s)
	return result, errors.Join(err, s.writeErr, s.parkErr, s.policiesErr)
}

// forget drops what is remembered of a stack that is gone, and what was watched for it.
func (r *Reconciler) forget(uid types.UID) {
	r.status.Forget(uid)
	delete(r.written, uid)
	if uid != r.inEffect {
		return
	}
	gauges.set(nil)
	r.last.Store(nil)
	if r.Survey != nil {
		r.Survey.End()
	}
	if r.Allocations != nil {
		r.Allocations.Of(facts.AllocationsNowhere)
	}
}

// advance gathers facts, composes, plans, and takes the steps that may be taken now.
func (r *Reconciler) advance(ctx context.Context, s *scope) {
	if s.stack.Spec.Suspend {
		// What would be done is worked out and shown all the same; nothing is touched but the components' suspension.
		s.writeErr = r.suspendComponents(ctx, s)
		if r.Policies != nil {
			r.Policies.Freeze()
		}
	}
	known, err := r.Catalog.Current(ctx)
	if err != nil {
		s.factsErr, s.requeueIn = err, factsRetry
		return
	}
	s.catalog = &known
	if s.facts, s.factsErr = r.Facts.Discover(ctx); s.factsErr != nil {
		s.requeueIn = factsRetry
		return
	}
	if s.waits = s.waitsFor(&r.statesHold, s.facts.NodeStatesPending, firstLook); s.waits {
		return
	}
	in := compose.Input{
		Stack: s.stack, Facts: s.facts, Catalog: known.Catalog, OperatorImage: r.OperatorImage,
		OperatorNamespace: r.OperatorNamespace,
	}
	survey.Components(&in, s.components)
	s.pools, r.inEffect = r.lookAtPools(in), s.stack.UID
	if s.pools.known {
		gauges.set(s.pools.usage)
	}
	if s.catalogUnknown() {
		return
	}
	if s.factsErr = r.lookFor(ctx, s, in); s.factsErr != nil {
		s.requeueIn = factsRetry
		return
	}
	if s.waits {
		return
	}
	r.remember(in)
	in.Cuts = r.cuts(s.stack) //nolint:contextcheck // the survey outlives the pass
	result := compose.Compose(in)
	s.result = &result
	if s.stack.Spec.Suspend {
		return
	}
	if len(result.Errors) > 0 {
		s.writeErr = r.inspect(ctx, s)
		return
	}
	s.steps = plan.Make(result.Releases, s.components)
	s.policiesErr = r.wantPolicies(s) //nolint:contextcheck // watches of policies outlive the pass
	if s.meshUnknown {
		return // what there is brings the stack back
	}
	if s.writeErr = r.enrol(ctx, s); s.writeErr != nil {
		return
	}
	if s.clearing, s.writeErr = r.endCleanup(ctx, s); s.clearing || s.writeErr != nil {
		return
	}
	if s.held, s.parkErr = r.bringBackKubeProxy(ctx, s); s.held || s.parkErr != nil {
		return
	}
	if s.writeErr = r.take(ctx, s); s.writeErr == nil {
		s.parked, s.parkErr = r.parkKubeProxy(ctx, s)
	}
}

// lookFor completes the facts by what this stack alone needs to know, or says what is waited for first.
func (r *Reconciler) lookFor(ctx context.Context, s *scope, in compose.Input) error {
	if err := survey.Agents(ctx, in, r.Facts); err != nil {
		return err
	}
	if err := survey.DNS(ctx, in, r.Facts); err != nil {
		return err
	}
	if s.waits = r.lookAtCertificate(ctx, s, in); s.waits {
		return nil
	}
	if err := r.readOwnKeys(ctx, s, in); err != nil {
		return err
	}
	if err := survey.AdminPolicies(ctx, in, r.Facts); err != nil {
		return err
	}
	if s.facts.AdminPolicyCount > 0 {
		s.requeueIn = min(s.requeueIn, facts.LookAgain) // nothing tells when they are converted
	}
	counted, err := countPolicies(ctx, &r.policies, in, r.Facts)
	if err != nil {
		return err
	}
	// A first installation need not wait for a remark.
	if s.waits = s.waitsFor(&r.policies.hold, !counted && len(s.components) > 0, firstLook); s.waits {
		s.requeueIn = min(s.requeueIn, countAgain) // where there are none, nothing wakes the stack
		return nil
	}
	if err := r.lookAtMesh(ctx, s, in); err != nil {
		return err
	}
	s.waits = s.waitsFor(&r.namespaces.hold, s.meshPending, firstLook)
	return nil
}

// take takes every step that waits for nothing.
func (r *Reconciler) take(ctx context.Context, s *scope) error {
	var failed []error
	for _, step := range s.steps {
		if !step.Allowed() {
			continue
		}
		var err error
		switch step.Action {
		case plan.Install:
			err = r.create(ctx, s.stack, step)
		case plan.Upgrade:
			err = r.update(ctx, s, step)
		case plan.Remove:
			err = r.takeOut(ctx, s, s.component(step.Name))
		case plan.Keep:
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("NetworkComponent %s: %w", step.Name, err))
		}
	}
	return errors.Join(failed...)
}

// takeOut removes a component that is no longer wanted, and says so when what it installed goes on running.
func (r *Reconciler) takeOut(ctx context.Context, s *scope, c *networkstackv1alpha1.NetworkComponent) error {
	if c == nil {
		return nil
	}
	policy := removalPolicy(c, s.result)
	if policy == networkstackv1alpha1.DeletionOrphan && c.DeletionTimestamp.IsZero() {
		r.eventAbout(s.stack, c, "Normal", string(plan.Remove), "Compose",
			"component %s is no longer looked after, and goes on running: nobody would take its place", c.Name)
	}
	return r.removeComponent(ctx, c, policy)
}

// removalPolicy is Delete for a component that something else replaces, or that nobody misses. What is merely no longer managed goes
// on running where nobody takes its place: kube-proxy, and the cluster's DNS.
func removalPolicy(c *networkstackv1alpha1.NetworkComponent, result *compose.Result) networkstackv1alpha1.DeletionPolicy {
	if c != nil && compose.RunsOn(&c.Spec, result.KubeProxy) {
		return networkstackv1alpha1.DeletionOrphan
	}
	return networkstackv1alpha1.DeletionDelete
}

func (r *Reconciler) create(ctx context.Context, stack *networkstackv1alpha1.NetworkStack, step plan.Step) error {
	c := &networkstackv1alpha1.NetworkComponent{}
	c.Name = step.Name
	c.Labels = map[string]string{networkstackv1alpha1.StackLabel: stack.Name}
	c.Spec = *step.Wanted
	if err := controllerutil.SetControllerReference(stack, c, r.Scheme()); err != nil {
		return err
	}
	err := r.Create(ctx, c)
	if apierrors.IsAlreadyExists(err) {
		// It is still on its way out, or the cache lags behind; its next event brings us back.
		return nil
	}
	if err == nil {
		r.eventAbout(stack, c, "Normal", string(step.Action), "Compose", "component %s wanted: chart %s %s",
			c.Name, c.Spec.Chart.Name, c.Spec.Chart.Version)
	}
	return err
}

func (r *Reconciler) update(ctx context.Context, s *scope, step plan.Step) error {
	c := s.component(step.Name).DeepCopy()
	c.Spec = *step.Wanted
	if err := r.Update(ctx, c); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.eventAbout(s.stack, c, "Normal", string(step.Action), "Compose", "component %s changed: chart %s %s",
		c.Name, c.Spec.Chart.Name, c.Spec.Chart.Version)
	return nil
}

// suspendComponents passes the stack's suspension on.
func (r *Reconciler) suspendComponents(ctx context.Context, s *scope) error {
	var failed []error
	for i := range s.components {
		c := s.components[i].DeepCopy()
		if c.Spec.Suspend || !c.DeletionTimestamp.IsZero() {
			continue
		}
		c.Spec.Suspend = true
		if err := r.Update(ctx, c); err != nil {
			failed = append(failed, fmt.Errorf("suspending NetworkComponent %s: %w", c.Name, err))
		}
	}
	return errors.Join(failed...)
}

// olderStack is the name of the stack that takes effect in place of this one; empty when it is this one.
func (r *Reconciler) olderStack(ctx context.Context, stack *networkstackv1alpha1.NetworkStack) (string, error) {
	var list networkstackv1alpha1.NetworkStackList
	if err := r.List(ctx, &list); err != nil {
		return "", fmt.Errorf("listing NetworkStacks: %w", err)
	}
	oldest := stack
	for i := range list.Items {
		o := &list.Items[i]
		if o.CreationTimestamp.Before(&oldest.CreationTimestamp) ||
			o.CreationTimestamp.Equal(&oldest.CreationTimestamp) && o.Name < oldest.Name {
			oldest = o
		}
	}
	if oldest.Name == stack.Name {
		return "", nil
	}
	return oldest.Name, nil
}

func (r *Reconciler) componentsOf(ctx context.Context, stack string) ([]networkstackv1alpha1.NetworkComponent, error) {
	var list networkstackv1alpha1.NetworkComponentList
	if err := r.List(ctx, &list, client.MatchingLabels{networkstackv1alpha1.StackLabel: stack}); err != nil {
		return nil, fmt.Errorf("listing NetworkComponents: %w", err)
	}
	return list.Items, nil
}

func (s *scope) component(name string) *networkstackv1alpha1.NetworkComponent {
	for i := range s.components {
		if s.components[i].Name == name {
			return &s.components[i]
		}
	}
	return nil
}

func (r *Reconciler) event(stack *networkstackv1alpha1.NetworkStack, kind, reason, action, format string, args ...any) {
	r.eventAbout(stack, nil, kind, reason, action, format, args...)
}

// eventAbout is event, where there may be several at once: each names what else it is about. Those that name nothing would be told
// as one, with the text of the first, and how many there were would be written minutes later.
func (r *Reconciler) eventAbout(stack *networkstackv1alpha1.NetworkStack, related runtime.Object,
	kind, reason, action, format string, args ...any,
) {
	text := fmt.Sprintf(format, args...)
	r.Recorder.Eventf(stack, related, kind, reason, action, "%s", text)
	ctrl.Log.WithName("stack").Info(text, "stack", stack.Name, "reason", reason, "type", kind)
}
