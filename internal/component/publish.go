package component

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/internal/status"
)

// publish computes the status from everything known and writes it when it changed.
func (r *Reconciler) publish(ctx context.Context, rec *record, c *networkstackv1alpha1.NetworkComponent,
	latest *networkstackv1alpha1.NetworkComponentStatus,
) (ctrl.Result, error) {
	wanted := latest.DeepCopy()
	if err := r.fill(ctx, rec, c, wanted); err != nil {
		return ctrl.Result{}, err
	}
	changed, err := r.status.Write(ctx, c, latest, wanted)
	if err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if changed {
		r.announceStall(c, latest, wanted)
	}
	next := earlier(earlier(rec.look, rec.contests.Next()), r.replacedAt(rec, c))
	if rec.awaitsRetry(c) {
		next = earlier(next, rec.next)
	}
	if at := rec.secretsAt(c); !at.IsZero() {
		next = earlier(next, earlier(at, time.Now().Add(longestSleep)))
	}
	if next.IsZero() {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: max(time.Until(next), time.Millisecond)}, nil
}

// earlier of two times; the zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (r *Reconciler) fill(ctx context.Context, rec *record, c *networkstackv1alpha1.NetworkComponent,
	s *networkstackv1alpha1.NetworkComponentStatus,
) error {
	rec.look = time.Time{}
	if undecided(rec, c, s) || r.unheard(rec, c, s) {
		return nil
	}
	s.ObservedGeneration = c.Generation
	s.Release, s.Adoption = rec.release, rec.adoption
	s.Failures, s.NextAttempt = rec.failures, nil
	if rec.failure != nil {
		next := metav1.NewTime(rec.next.Truncate(time.Second))
		s.NextAttempt = &next
	}
	if len(rec.objects) > 0 {
		s.Objects = int32(min(len(rec.objects), math.MaxInt32))
	}
	if rec.crds != nil {
		s.CRDs = rec.crds
	}
	fillDrift(c, rec, s)
	rec.fillSecrets(c, s)
	phase, set, err := r.judge(ctx, rec, c, s)
	if err != nil {
		return err
	}
	s.Phase = phase
	set(&s.Conditions, c.Generation)
	return nil
}

// undecided says that this process has not yet found out how things are, and an earlier one has said it for this very
// spec. What it said stands until then: a restart of the operator is no news about the network.
func undecided(rec *record, c *networkstackv1alpha1.NetworkComponent, s *networkstackv1alpha1.NetworkComponentStatus) bool {
	if rec.settled != "" || rec.failure != nil || rec.valuesProblem != nil || c.Spec.Suspend || !c.DeletionTimestamp.IsZero() ||
		s.ObservedGeneration != c.Generation ||
		s.Phase != networkstackv1alpha1.PhaseReady && s.Phase != networkstackv1alpha1.PhaseRollingOut {
		return false
	}
	if rec.job == nil {
		return true
	}
	phase := rec.job.phase.Load()
	return phase == nil || *phase == networkstackv1alpha1.PhaseFetching
}

// unheard says that this process does not know yet what is reported of a component about which an earlier one has said how
// it is. The component is woken when it is known.
func (r *Reconciler) unheard(rec *record, c *networkstackv1alpha1.NetworkComponent, s *networkstackv1alpha1.NetworkComponentStatus) bool {
	reports := r.reports(rec, c)
	if len(reports) == 0 || s.ObservedGeneration != c.Generation || s.Phase != networkstackv1alpha1.PhaseReady {
		return false
	}
	if phase, set := underway(rec, c); phase != "" || set != nil {
		return false
	}
	_, known := r.Reports.Judge(c.Name, reports)
	return !known
}

type setter func(*[]metav1.Condition, int64)

func working(reason, message string) setter {
	return func(l *[]metav1.Condition, g int64) { status.Working(l, g, reason, message) }
}

func stuck(reason, message string) setter {
	return func(l *[]metav1.Condition, g int64) { status.Stuck(l, g, reason, message) }
}

// judge says where the component is on its way.
func (r *Reconciler) judge(ctx context.Context, rec *record, c *networkstackv1alpha1.NetworkComponent,
	s *networkstackv1alpha1.NetworkComponentStatus,
) (networkstackv1alpha1.ComponentPhase, setter, error) {
	if phase, set := underway(rec, c); set != nil {
		return phase, set, nil
	}
	return r.judgeHealth(ctx, rec, c, s)
}

// underway is where a component is that has not been installed as it is wanted. There is no setter for any other one.
func underway(rec *record, c *networkstackv1alpha1.NetworkComponent) (networkstackv1alpha1.ComponentPhase, setter) {
	switch {
	case c.Spec.Suspend:
		return networkstackv1alpha1.PhaseSuspended, func(l *[]metav1.Condition, g int64) {
			status.Paused(l, g, "suspended: nothing is installed, upgraded, corrected or removed")
		}
	case !c.DeletionTimestamp.IsZero():
		return leaving(rec)
	case rec.valuesProblem != nil:
		return networkstackv1alpha1.PhaseFailed, stuck(networkstackv1alpha1.ReasonValuesRejected, rec.valuesProblem.Error())
	case rec.job != nil && rec.job.kind == jobApply:
		phase := networkstackv1alpha1.PhasePending
		if p := rec.job.phase.Load(); p != nil {
			phase = *p
		}
		if rec.failure != nil && rec.failedFor == rec.job.inputs {
			// While a new attempt runs, the reason of the last failure is what a reader needs.
			return failing(rec)
		}
		return phase, working(progress(phase))
	case rec.failure != nil:
		return failing(rec)
	case rec.settled == "" || rec.settled != rec.wanted:
		return networkstackv1alpha1.PhasePending, working(networkstackv1alpha1.ReasonProgressing, "about to start")
	}
	return "", nil
}

func failing(rec *record) (networkstackv1alpha1.ComponentPhase, setter) {
	v := classify(rec.failure)
	if v.awaiting {
		return networkstackv1alpha1.PhasePending, working(v.reason, rec.failure.Error())
	}
	if v.permanent {
		return networkstackv1alpha1.PhaseFailed, stuck(v.reason, failureText(rec))
	}
	return networkstackv1alpha1.PhaseFailed, working(v.reason, failureText(rec))
}

func leaving(rec *record) (networkstackv1alpha1.ComponentPhase, setter) {
	message := "being uninstalled"
	switch {
	case rec.failure != nil:
		message = failureText(rec)
	case len(rec.waitingFor) > 0:
		message = waitingText(rec.waitingFor)
	}
	return networkstackv1alpha1.PhaseUninstalling, working(networkstackv1alpha1.ReasonUninstalling, message)
}

func progress(p networkstackv1alpha1.ComponentPhase) (reason, message string) {
	switch p {
	case networkstackv1alpha1.PhaseFetching:
		return networkstackv1alpha1.ReasonProgressing, "fetching the chart"
	case networkstackv1alpha1.PhaseInstalling:
		return networkstackv1alpha1.ReasonInstalling, "installing"
	case networkstackv1alpha1.PhaseUpgrading:
		return networkstackv1alpha1.ReasonUpgrading, "upgrading"
	default:
		return networkstackv1alpha1.ReasonProgressing, "waiting for a free worker"
	}
}

func failureText(rec *record) string {
	return fmt.Sprintf("attempt %d failed: %s", rec.failures, rec.failure)
}

// event records what happened; a message longer than the API allows is cut.
func (r *Reconciler) event(c *networkstackv1alpha1.NetworkComponent, kind, reason, action, format string, args ...any) {
	r.eventAbout(c, nil, kind, reason, action, format, args...)
}

// eventAbout is event, where there may be several at once: each names what else it is about. Those that name nothing would be told
// as one, with the text of the first, and how many there were would be written minutes later.
func (r *Reconciler) eventAbout(c *networkstackv1alpha1.NetworkComponent, related runtime.Object,
	kind, reason, action, format string, args ...any,
) {
	const limit = 1000
	text := fmt.Sprintf(format, args...)
	if len(text) > limit {
		text = text[:limit-3] + "..."
	}
	r.Recorder.Eventf(c, related, kind, reason, action, "%s", text)
	ctrl.Log.WithName("component").Info(text, "component", c.Name, "reason", reason, "type", kind)
}

// secretOf and objectOf are what an event is about.
func secretOf(c *networkstackv1alpha1.NetworkComponent, name string) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: c.Spec.Namespace, Name: name}
}

func objectOf(o release.Object) *corev1.ObjectReference {
	version, kind := o.GVK.ToAPIVersionAndKind()
	return &corev1.ObjectReference{APIVersion: version, Kind: kind, Namespace: o.Namespace, Name: o.Name}
}

func ctrlLog(ctx context.Context) logr.Logger { return ctrl.LoggerFrom(ctx) }
