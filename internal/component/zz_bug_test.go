package component

import (
	"errors"
	"testing"
	"time"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/release"
)

func bug(t *testing.T, c *networkstackv1alpha1.NetworkComponent, f func(*record, string)) {
	r := newReconciler(t, c, installed("dns", 5, leave, uninstall))
	seen := get(t, r, "cni")
	rec := r.state.of(seen, &seen.Status)
	w := wishes(seen, map[string]any{})
	rec.wanted = w
	f(rec, w)
	res := reconcileOnce(t, r, "cni")
	t.Logf("requeue %v job %v status %v phase %v drift %+v", res.RequeueAfter, rec.job != nil, said(get(t, r, "cni").Status.Conditions)["Ready"], get(t, r, "cni").Status.Phase, get(t, r, "cni").Status.Drift)
}

func TestBugs(t *testing.T) {
	past := time.Now().Add(-time.Minute)
	t.Run("A verify failed", func(t *testing.T) {
		bug(t, installed("cni", 0), func(r *record, w string) {
			r.settled, r.tracked, r.failure, r.failedFor, r.next = w, true, errors.New("timeout"), w, past
		})
	})
	t.Run("B values", func(t *testing.T) {
		bug(t, installed("cni", 0, func(c *networkstackv1alpha1.NetworkComponent) {
			c.Spec.ValuesFrom = []networkstackv1alpha1.ValuesReference{from("Secret", "gone")}
		}), func(r *record, w string) {
			r.failure, r.failedFor, r.next = errors.New("timeout"), w, past
		})
	})
	t.Run("C deletion waits", func(t *testing.T) {
		bug(t, installed("cni", 0, leave, uninstall), func(r *record, w string) {
			r.failure, r.failedFor, r.next = errors.New("no chart"), w, past
		})
	})
	t.Run("D ignore after verify failure", func(t *testing.T) {
		bug(t, installed("cni", 0, func(c *networkstackv1alpha1.NetworkComponent) { c.Spec.DriftMode = "Ignore" }), func(r *record, w string) {
			r.settled, r.tracked, r.failure, r.failedFor, r.next = w, true, errors.New("timeout"), w, past
		})
	})
	t.Run("E ignore open", func(t *testing.T) {
		bug(t, installed("cni", 0, func(c *networkstackv1alpha1.NetworkComponent) { c.Spec.DriftMode = "Ignore" }), func(r *record, w string) {
			r.settled, r.tracked, r.open, r.drift.Open, r.drift.Count = w, true, []release.Object{{Name: "x"}}, []string{"x"}, 1
		})
	})
	t.Run("F suspended leaving delete", func(t *testing.T) {
		bug(t, installed("cni", 0, leave, uninstall, suspend), func(r *record, w string) {})
	})
}
