package component

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/keys"
	"github.com/networkstack/networkstack/internal/release"
)

const (
	firstWait = 2 * time.Second
	longWait  = 5 * time.Minute
	// passingWait is a compromise between an API server that has trouble enough and a network that waits for it.
	passingWait = 10 * time.Second
	// awaitingWait is about what a controller takes to define its kinds. Who has waited for long waits longer, by a twentieth of
	// the time that went by (awaitingShare), up to longestAwaiting.
	awaitingWait    = 3 * time.Second
	awaitingShare   = 20
	longestAwaiting = 15 * time.Second
	// permanentWait is short enough for a person who has just put things right.
	permanentWait = time.Minute
)

// verdict is what a failure means: its reason, and whether trying again can help.
type verdict struct {
	reason string
	// permanent failures wait for a changed input; they are tried again rarely, in case the world has changed.
	permanent bool
	// awaiting says that nothing is wrong: what another component brings is not there yet.
	awaiting bool
}

// wait before the next attempt; it doubles with each failure, up to five minutes.
func (v verdict) wait(failures int32) time.Duration {
	switch {
	case v.permanent:
		return permanentWait
	case v.awaiting:
		return awaitingWait
	}
	wait := firstWait
	for i := int32(1); i < failures && wait < longWait; i++ {
		wait *= 2
	}
	return min(wait, longWait)
}

// awaitIn is the wait before it is looked again whether kinds are there that have been waited for since a while.
func awaitIn(since time.Duration) time.Duration {
	return min(max(since/awaitingShare, awaitingWait), longestAwaiting)
}

// retryIn is the wait after an error: the verdict's, but not long when only the API server has to come back.
func retryIn(err error, failures int32) time.Duration {
	wait := classify(err).wait(failures)
	if release.Passing(err) {
		return min(wait, passingWait)
	}
	return wait
}

// classify is the one place that decides what an error means.
func classify(err error) verdict {
	var (
		digest   *chart.DigestError
		source   *chart.SourceError
		ref      *chart.RefError
		conflict *release.ConflictError
		fixed    *release.ImmutableFieldError
		secret   *certificates.SecretError
		key      *keys.SecretError
		kinds    *awaitingError
	)
	switch {
	case errors.As(err, &kinds):
		return verdict{reason: networkstackv1alpha1.ReasonWaiting, awaiting: true}
	case errors.As(err, &digest), errors.As(err, &ref):
		return verdict{reason: networkstackv1alpha1.ReasonChartUnavailable, permanent: true}
	case errors.As(err, &source):
		return verdict{reason: networkstackv1alpha1.ReasonChartUnavailable, permanent: !source.Temporary}
	case errors.As(err, &secret):
		return verdict{reason: networkstackv1alpha1.ReasonCertificateInvalid, permanent: true}
	case errors.As(err, &key):
		return verdict{reason: networkstackv1alpha1.ReasonSecretInvalid, permanent: true}
	case errors.As(err, &conflict):
		return verdict{reason: networkstackv1alpha1.ReasonConflict, permanent: true}
	case errors.As(err, &fixed):
		return verdict{reason: networkstackv1alpha1.ReasonImmutableField, permanent: true}
	default:
		return verdict{reason: networkstackv1alpha1.ReasonReleaseFailed, permanent: release.Permanent(err)}
	}
}

// awaitingError means that kinds are not served yet that another component's controller defines when it runs.
type awaitingError struct {
	kinds []schema.GroupKind
	err   error
}

func (e *awaitingError) Error() string {
	names := make([]string, len(e.kinds))
	for i, k := range e.kinds {
		names[i] = k.Kind
	}
	return fmt.Sprintf("waiting until there are the kinds %s of %s, which its controller defines when it runs", strings.Join(names, ", "), e.kinds[0].Group)
}

func (e *awaitingError) Unwrap() error { return e.err }

// awaiting turns an error about kinds that are to come into one that says so.
func (r *Reconciler) awaiting(c *networkstackv1alpha1.NetworkComponent, err error) error {
	kinds, _ := release.Unserved(err)
	if len(kinds) == 0 {
		return err
	}
	groups := r.Catalog.Last().Catalog[c.Spec.Type].Awaits
	for _, k := range kinds {
		if !slices.Contains(groups, k.Group) {
			return err
		}
	}
	return &awaitingError{kinds: kinds, err: err}
}
