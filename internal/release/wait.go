package release

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
)

// errTimeout is why a wait ended that took longer than it may.
var errTimeout = errors.New("timed out")

// watchObject watches one object until done says so. done is called with nil when the object does
// not exist. The wait ends with the action's context, too.
func (s *session) watchObject(m *meta.RESTMapping, namespace, name string, timeout time.Duration,
	done func(*unstructured.Unstructured) (bool, error),
) error {
	ctx, cancel := context.WithTimeoutCause(s.ctx, timeout, errTimeout)
	defer cancel()
	ri := s.objects(m, namespace)
	opts := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()}
	finish := func(err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	// Every round starts from a list: a watch may be closed by the server, or not even begin, at any time.
	for pause := time.Duration(0); ; pause = min(2*pause+roundPause, mostPause) {
		if err := sleep(ctx, pause); err != nil {
			return finish(err)
		}
		list, err := ri.List(ctx, opts)
		if err != nil {
			return finish(err)
		}
		var u *unstructured.Unstructured
		if len(list.Items) > 0 {
			u = &list.Items[0]
		}
		if ok, err := done(u); ok || err != nil {
			return err
		}
		from := opts
		from.ResourceVersion = list.GetResourceVersion()
		w, err := ri.Watch(ctx, from)
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			continue
		}
		if err != nil {
			return finish(err)
		}
		ok, err := follow(ctx, w, done)
		w.Stop()
		if ok || err != nil {
			return finish(err)
		}
	}
}

// Pauses between rounds grow, so that a server that ends every watch at once is not asked without end.
const (
	roundPause = 50 * time.Millisecond
	mostPause  = time.Second
)

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow passes a watch's events to done. It returns false when the watch ended before that.
func follow(ctx context.Context, w watch.Interface, done func(*unstructured.Unstructured) (bool, error)) (bool, error) {
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case ev, open := <-w.ResultChan():
			if !open {
				return false, ctx.Err()
			}
			var u *unstructured.Unstructured
			switch ev.Type {
			case watch.Added, watch.Modified:
				u, _ = ev.Object.(*unstructured.Unstructured)
			case watch.Deleted:
			case watch.Error:
				// Expired or otherwise over: list again.
				err := apierrors.FromObject(ev.Object)
				if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
					return false, err
				}
				return false, nil
			default:
				continue
			}
			if ok, err := done(u); ok || err != nil {
				return ok, err
			}
		}
	}
}

// waitGone waits until an object does not exist.
func (s *session) waitGone(m *meta.RESTMapping, namespace, name string, timeout time.Duration) error {
	// Most objects are gone at once; a get is cheaper than a list and needs no further permission.
	first, err := s.heads(m, namespace).Get(s.ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	uid := first.UID
	return s.watchObject(m, namespace, name, timeout, func(u *unstructured.Unstructured) (bool, error) {
		// Somebody may have made a new one already; the old one is gone all the same.
		return u == nil || u.GetUID() != uid, nil
	})
}

// Waiting is called when an action starts to wait for the cluster without working itself: for a hook to finish or to be
// gone. The function it returns is called before the action goes on. Callers that limit how many actions run at a time let
// another one in meanwhile.
type Waiting func() (resume func())

// standBy waits with the caller's knowledge. It is for waits during which nothing else goes on in the action.
func (s *session) standBy(wait func() error) error {
	if s.waiting != nil {
		defer s.waiting()()
	}
	return wait()
}
