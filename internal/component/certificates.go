package component

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/release"
)

// longestSleep bounds the wait until a certificate is renewed: a machine's clock may be put forward.
const longestSleep = 24 * time.Hour

var secretKind = corev1.SchemeGroupVersion.WithKind("Secret")

// startCertificates looks after the certificates of what is installed: one is due, or its Secret is not what was made.
func (r *Reconciler) startCertificates(c *networkstackv1alpha1.NetworkComponent, wanted string) *job {
	// What the watches have noticed of their Secrets is no drift of the release.
	r.Drift.Noticed(c.Name)
	return r.runner.run(c.Name, jobCertificates, wanted, func(ctx context.Context, _ reporting, _ *slot) outcome {
		kept, err := r.Certificates.Ensure(ctx, c.Name, c.Spec.Namespace, c.Spec.Certificates)
		return outcome{err: err, certificates: kept}
	})
}

// dropCertificates deletes those that are no longer wanted, once nothing mounts them.
func (r *Reconciler) dropCertificates(ctx context.Context, c *networkstackv1alpha1.NetworkComponent) error {
	if len(c.Spec.Certificates)+len(c.Status.Certificates) == 0 {
		return nil
	}
	return r.Certificates.Prune(ctx, c.Name, c.Spec.Namespace, c.Spec.Certificates)
}

// certificatesDue says whether the certificates are to be looked after now.
func (r *Reconciler) certificatesDue(rec *record, c *networkstackv1alpha1.NetworkComponent) bool {
	if len(c.Spec.Certificates) == 0 {
		return false
	}
	if at := rec.certificatesAt(c); !at.IsZero() && !time.Now().Before(at) {
		return true
	}
	return !time.Now().Before(rec.certificatesRetry) && slices.ContainsFunc(r.Drift.Drifted(c.Name), rec.isCertificate)
}

// certificatesAt is when the certificates are to be looked after next, if nothing happens to them; the zero time is never.
func (rec *record) certificatesAt(c *networkstackv1alpha1.NetworkComponent) time.Time {
	switch {
	case len(c.Spec.Certificates) == 0 || c.Spec.Suspend || !c.DeletionTimestamp.IsZero() || rec.settled == "" || rec.job != nil:
		return time.Time{}
	case !rec.certificatesRetry.IsZero():
		return rec.certificatesRetry
	case rec.certificates == nil:
		// An earlier process made them: what they are is found out once.
		return time.Now()
	}
	var next time.Time
	for i := range rec.certificates.Certificates {
		if at := rec.certificates.Certificates[i].RenewAt; at != nil {
			next = earlier(next, at.Time)
		}
	}
	return next
}

func (rec *record) isCertificate(o release.Object) bool {
	return rec.certificates != nil && slices.ContainsFunc(rec.certificates.Secrets, func(s metav1.PartialObjectMetadata) bool {
		return o.GVK.GroupKind() == secretKind.GroupKind() && o.Namespace == s.Namespace && o.Name == s.Name
	})
}

// collectCertificates takes over how the certificates are, and tells of what was done to them.
func (r *Reconciler) collectCertificates(ctx context.Context, rec *record, c *networkstackv1alpha1.NetworkComponent, j *job) {
	out := j.outcome
	if out.certificates != nil {
		for _, change := range out.certificates.Changes {
			reason := networkstackv1alpha1.ReasonCertificateRenewed
			if change.Action == certificates.Create {
				reason = networkstackv1alpha1.ReasonCertificateCreated
			}
			r.event(c, "Normal", reason, "Certificates", "Secret %s: %s: %s", change.Secret, change.Action, change.Reason)
		}
	}
	if j.kind == jobCertificates && out.err != nil {
		if ctx.Err() != nil {
			return
		}
		// What is installed goes on with the certificates it has; that is no failure of the component yet.
		rec.certificatesFailures++
		verdict := classify(out.err)
		rec.certificatesRetry = time.Now().Add(verdict.wait(rec.certificatesFailures))
		r.event(c, "Warning", verdict.reason, "Certificates", "attempt %d to look after the certificates failed: %s",
			rec.certificatesFailures, out.err)
		return
	}
	if out.certificates == nil || out.err != nil {
		return
	}
	rec.certificates, rec.certificatesFailures, rec.certificatesRetry = out.certificates, 0, time.Time{}
	r.trackCertificates(ctx, rec, c)
}

// trackCertificates has the drift watches miss the Secrets that the operator made. They are no objects of the release.
func (r *Reconciler) trackCertificates(ctx context.Context, rec *record, c *networkstackv1alpha1.NetworkComponent) {
	if rec.certificates == nil || !rec.tracked {
		return
	}
	if err := r.Drift.TrackExtra(c.Name, certificateObjects(rec.certificates)); err != nil {
		ctrlLog(ctx).Error(err, "the Secrets with certificates are not watched")
	}
}

func certificateObjects(o *certificates.Outcome) []release.Applied {
	out := make([]release.Applied, 0, len(o.Secrets))
	for i := range o.Secrets {
		s := &o.Secrets[i]
		out = append(out, release.Applied{
			Object:          release.Object{GVK: secretKind, Namespace: s.Namespace, Name: s.Name},
			ResourceVersion: s.ResourceVersion, UID: string(s.UID),
			Fingerprint: release.Fingerprint(s, networkstackv1alpha1.FieldManager),
			Traces:      release.Traces(s, networkstackv1alpha1.FieldManager),
		})
	}
	return out
}

// fillCertificates shows the certificates; what an earlier process said of them stands until this one has looked.
func (rec *record) fillCertificates(c *networkstackv1alpha1.NetworkComponent, s *networkstackv1alpha1.NetworkComponentStatus) {
	switch {
	case len(c.Spec.Certificates) == 0:
		s.Certificates = nil
	case rec.certificates != nil:
		s.Certificates = rec.certificates.Certificates
	}
}
