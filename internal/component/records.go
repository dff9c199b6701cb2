package component

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/drift"
	"github.com/networkstack/networkstack/internal/keys"
	"github.com/networkstack/networkstack/internal/release"
)

// record is what this process knows of one component beyond its status. All of it can be lost: a new process
// finds it again from the Helm release and the live objects.
type record struct {
	mu  sync.Mutex
	uid types.UID

	job *job
	// wanted is the digest of what the component asks for now; settled that of what was last applied.
	wanted, settled string
	valuesProblem   error
	// secrets are texts that must not be shown to anybody.
	secrets []string

	release *networkstackv1alpha1.ReleaseStatus
	objects []release.Applied
	// manifest is what the release applied; nil until it has been read.
	manifest *release.Manifest
	// checked says by which mode and rules the objects were last verified.
	checked string
	// crds are those of the last apply of this process, nil when there was none.
	crds []networkstackv1alpha1.CRDStatus
	// tracked says that the drift watches expect what objects holds.
	tracked bool

	// failure of the last job, what it was for, and when the next attempt may start.
	failure   error
	failedFor string
	failures  int32
	next      time.Time
	// awaitingSince is when it was first found that kinds are not there yet which another component brings.
	awaitingSince time.Time
	// stuck are the objects that could not be restored, so that they alone are waited for.
	stuck []release.Object

	adoption *networkstackv1alpha1.AdoptionStatus

	drift    networkstackv1alpha1.DriftStatus
	contests drift.Contests
	// uninstalled says that the release is gone, so the finalizer may go too; waitingFor names who goes before.
	uninstalled bool
	waitingFor  []string

	// look is when a roll-out that is not complete is to be looked at again; the zero time is never.
	look time.Time

	// certificates and keys (generated Secrets) are as they were found or made; nil until this process has looked. After a
	// failure they are looked after again at madeRetry.
	certificates *certificates.Outcome
	keys         *keys.Outcome
	madeFailures int32
	madeRetry    time.Time

	// open are the objects that differ and were left so.
	open []release.Finding
}

// due says whether an attempt at what is wanted may start now: at once for a new wish, else after the wait.
func (rec *record) due() bool {
	return rec.failure == nil || rec.failedFor != rec.wanted || !time.Now().Before(rec.next)
}

// awaitsRetry says whether an attempt that failed is to be made again when its time has come.
func (rec *record) awaitsRetry(c *networkstackv1alpha1.NetworkComponent) bool {
	switch {
	case rec.failure == nil || rec.job != nil || c.Spec.Suspend:
		return false
	case !c.DeletionTimestamp.IsZero():
		return len(rec.waitingFor) == 0
	case rec.failedFor == rec.settled:
		return c.Spec.DriftMode != networkstackv1alpha1.DriftIgnore
	}
	return rec.valuesProblem == nil && rec.failedFor == rec.wanted
}

// succeeded forgets the last failure.
func (rec *record) succeeded() {
	rec.failure, rec.failedFor, rec.failures, rec.next, rec.stuck = nil, "", 0, time.Time{}, nil
}

// notStuck are the objects that nothing is known to stand in the way of.
func (rec *record) notStuck(objects []release.Object) []release.Object {
	return slices.DeleteFunc(objects, func(o release.Object) bool { return slices.Contains(rec.stuck, o) })
}

// records holds the records by component name.
type records struct {
	mu sync.Mutex
	m  map[string]*record
}

func newRecords() *records { return &records{m: map[string]*record{}} }

// of is the record of a component; a component that was deleted and made again gets a fresh one.
func (r *records) of(c *networkstackv1alpha1.NetworkComponent, latest *networkstackv1alpha1.NetworkComponentStatus) *record {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.m[c.Name]
	if rec == nil || rec.uid != c.UID {
		rec = &record{uid: c.UID, release: latest.Release, adoption: latest.Adoption}
		if latest.Drift != nil {
			rec.drift = *latest.Drift
			rec.contests.Restore(latest.Drift.Contested)
		}
		r.m[c.Name] = rec
	}
	return rec
}

func (r *records) drop(name string) *record {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.m[name]
	delete(r.m, name)
	return rec
}
