package component

import (
	"errors"
	"fmt"
	"time"

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
	// permanentWait is short enough for a person who has just put things right.
	permanentWait = time.Minute
)

// verdict is what a failure means: its reason, and whether trying again can help.
type verdict struct {
	reason string
	// permanent failures wait for a changed input; they are tried again rarely, in case the world has changed.
	permanent bool
}

// wait before the next attempt; it doubles with each failure, up to five minutes.
func (v verdict) wait(failures int32) time.Duration {
	if v.permanent {
		return permanentWait
	}
	wait := firstWait
	for i := int32(1); i < failures && wait < longWait; i++ {
		wait *= 2
	}
	return min(wait, longWait)
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
	)
	switch {
	case errors.As(err, &digest), errors.As(err, &ref):
		return verdict{networkstackv1alpha1.ReasonChartUnavailable, true}
	case errors.As(err, &source):
		return verdict{networkstackv1alpha1.ReasonChartUnavailable, !source.Temporary}
	case errors.As(err, &secret):
		return verdict{networkstackv1alpha1.ReasonCertificateInvalid, true}
	case errors.As(err, &key):
		return verdict{networkstackv1alpha1.ReasonSecretInvalid, true}
	case errors.As(err, &conflict):
		return verdict{networkstackv1alpha1.ReasonConflict, true}
	case errors.As(err, &fixed):
		return verdict{networkstackv1alpha1.ReasonImmutableField, true}
	default:
		return verdict{networkstackv1alpha1.ReasonReleaseFailed, release.Permanent(err)}
	}
}

// valuesError says why the values of a component cannot be used.
type valuesError struct{ message string }

func (e *valuesError) Error() string { return e.message }

func valuesErrorf(format string, args ...any) error {
	return &valuesError{fmt.Sprintf(format, args...)}
}
