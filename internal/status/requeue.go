package status

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
)

// staleRetry is the wait after a write met a newer object than the cache knew.
const staleRetry = 100 * time.Millisecond

// Waits after a pass that failed; they double.
const (
	firstRetry = 10 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// RateLimiter spaces out passes that fail. Without a bound of its own the wait would grow to a quarter of an hour while the
// API server is away, and go on for as long when it is back.
func RateLimiter() workqueue.TypedRateLimiter[ctrl.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](firstRetry, lastRetry)
}

// Requeue is what a reconciler answers for a pass that ended with an error or without. Neither the end of the process nor
// a cache that lagged behind is a failure: the next process, or the next pass, does what is left.
func Requeue(ctx context.Context, result ctrl.Result, err error) (ctrl.Result, error) {
	switch {
	case ctx.Err() != nil:
		return ctrl.Result{}, nil //nolint:nilerr // the end of the process is no failure
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: staleRetry}, nil
	}
	return result, err
}
