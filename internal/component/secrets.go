package component

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/keys"
	"github.com/networkstack/networkstack/internal/release"
)

// longestSleep bounds the wait until a certificate is renewed: a machine's clock may be put forward.
const longestSleep = 24 * time.Hour

var secretKind = corev1.SchemeGroupVersion.WithKind("Secret")

// secretsMade are the Secrets that the operator makes for a component beside its release, as far as they were looked after.
type secretsMade struct {
	certificates *certificates.Outcome
	keys         *keys.Outcome
}

// makeSecrets has the component's certificates and generated Secrets exist and be what is wanted.
func (r *Reconciler) makeSecrets(ctx context.Context, c *networkstackv1alpha1.NetworkComponent, made *secretsMade) error {
	var err error
	if made.certificates, err = r.Certificates.Ensure(ctx, c.Name, c.Spec.Namespace, c.Spec.Certificates); err != nil {
		return err
	}
	made.keys, err = r.Keys.Ensure(ctx, c.Name, c.Spec.Namespace, c.Spec.GeneratedSecrets, c.Status.GeneratedSecrets)
	return err
}

// startSecrets looks after the certificates and generated Secrets of what is installed: one is due, or its Secret is not
// what was made.
func (r *Reconciler) startSecrets(c *networkstackv1alpha1.NetworkComponent, wanted string) *job {
	// What the watches have noticed of their Secrets is no drift of the release.
	r.Drift.Noticed(c.Name)
	return r.runner.run(c.Name, jobSecrets, wanted, func(ctx context.Context, _ reporting, _ *slot) outcome {
		made := &secretsMade{}
		err := r.makeSecrets(ctx, c, made)
		return outcome{err: err, certificates: made.certificates, keys: made.keys}
	})
}

// dropSecrets deletes those that are no longer wanted, once nothing mounts them.
func (r *Reconciler) dropSecrets(ctx context.Context, c *networkstackv1alpha1.NetworkComponent) error {
	var problems []error
	if len(c.Spec.Certificates)+len(c.Status.Certificates) > 0 {
		problems = append(problems, r.Certificates.Prune(ctx, c.Name, c.Spec.Namespace, c.Spec.Certificates))
	}
	if len(c.Spec.GeneratedSecrets)+len(c.Status.GeneratedSecrets) > 0 {
		problems = append(problems, r.Keys.Prune(ctx, c.Name, c.Spec.Namespace, c.Spec.GeneratedSecrets))
	}
	return errors.Join(problems...)
}

// leftover says whether the status has Secrets that are no longer wanted: what applied the release without them did not live to
// delete them.
func leftover(c *networkstackv1alpha1.NetworkComponent) bool {
	certificate := func(s networkstackv1alpha1.CertificateStatus) bool {
		wanted := func(w networkstackv1alpha1.Certificate) bool { return w.SecretName == s.SecretName }
		return !slices.ContainsFunc(c.Spec.Certificates, wanted)
	}
	generated := func(s networkstackv1alpha1.GeneratedSecretStatus) bool {
		wanted := func(w networkstackv1alpha1.GeneratedSecret) bool { return w.SecretName == s.SecretName }
		return !slices.ContainsFunc(c.Spec.GeneratedSecrets, wanted)
	}
	return slices.ContainsFunc(c.Status.Certificates, certificate) || slices.ContainsFunc(c.Status.GeneratedSecrets, generated)
}

// withRevisions puts the revisions of generated Secrets among the values, where they are asked for.
func withRevisions(values map[string]any, wanted []networkstackv1alpha1.GeneratedSecret,
	made []networkstackv1alpha1.GeneratedSecretStatus,
) map[string]any {
	for _, g := range wanted {
		i := slices.IndexFunc(made, func(s networkstackv1alpha1.GeneratedSecretStatus) bool { return s.SecretName == g.SecretName })
		if g.RevisionValue == "" || i < 0 {
			continue
		}
		values = withValue(values, g.RevisionValue, made[i].Revision)
	}
	return values
}

// withBundles puts the certificates to trust among the values, where they are asked for.
func withBundles(values map[string]any, wanted []networkstackv1alpha1.Certificate, bundles map[string]string) map[string]any {
	for i := range wanted {
		if c := &wanted[i]; c.BundleValue != "" {
			values = withValue(values, c.BundleValue, bundles[c.SecretName])
		}
	}
	return values
}

// givesBundle says whether the release is rendered with what a certificate's Secret says is to be trusted.
func givesBundle(c networkstackv1alpha1.Certificate) bool { return c.BundleValue != "" }

// newBundle says whether something else is to be trusted than when certificates were last looked after.
func newBundle(c *networkstackv1alpha1.NetworkComponent, before, after *certificates.Outcome) bool {
	return slices.ContainsFunc(c.Spec.Certificates, func(w networkstackv1alpha1.Certificate) bool {
		switch {
		case w.BundleValue == "" || after == nil:
			return false
		case before != nil:
			return before.Bundles[w.SecretName] != after.Bundles[w.SecretName]
		}
		// An earlier process looked: what has been done tells.
		return slices.ContainsFunc(after.Changes, func(change certificates.Change) bool {
			return change.Secret == c.Spec.Namespace+"/"+w.SecretName && change.Action != certificates.Renew
		})
	})
}

// withValue puts one value at a dot-separated path.
func withValue(values map[string]any, at string, value any) map[string]any {
	path := strings.Split(at, ".")
	slices.Reverse(path)
	for _, key := range path {
		value = map[string]any{key: value}
	}
	m, _ := value.(map[string]any)
	return compose.MergeValues(values, m)
}

// secretsDue says whether the certificates and generated Secrets are to be looked after now.
func (r *Reconciler) secretsDue(rec *record, c *networkstackv1alpha1.NetworkComponent) bool {
	if len(c.Spec.Certificates)+len(c.Spec.GeneratedSecrets) == 0 {
		return false
	}
	if at := rec.secretsAt(c); !at.IsZero() && !time.Now().Before(at) {
		return true
	}
	return !time.Now().Before(rec.madeRetry) && slices.ContainsFunc(r.Drift.Drifted(c.Name), rec.isMade)
}

// secretsAt is when they are to be looked after next, if nothing happens to them; the zero time is never.
func (rec *record) secretsAt(c *networkstackv1alpha1.NetworkComponent) time.Time {
	certified, generated := len(c.Spec.Certificates) > 0, len(c.Spec.GeneratedSecrets) > 0
	switch {
	case !certified && !generated, c.Spec.Suspend, !c.DeletionTimestamp.IsZero(), rec.settled == "", rec.job != nil:
		return time.Time{}
	case !rec.madeRetry.IsZero():
		return rec.madeRetry
	case certified && rec.certificates == nil, generated && rec.keys == nil:
		// An earlier process made them: what they are is found out once.
		return time.Now()
	}
	var next time.Time
	if rec.certificates != nil {
		for i := range rec.certificates.Certificates {
			if at := rec.certificates.Certificates[i].RenewAt; at != nil {
				next = earlier(next, at.Time)
			}
		}
	}
	return next
}

// made are the metadata of the Secrets that the operator made.
func (rec *record) made() []metav1.PartialObjectMetadata {
	var out []metav1.PartialObjectMetadata
	if rec.certificates != nil {
		out = append(out, rec.certificates.Secrets...)
	}
	if rec.keys != nil {
		out = append(out, rec.keys.Objects...)
	}
	return out
}

func (rec *record) isMade(o release.Object) bool {
	return slices.ContainsFunc(rec.made(), func(s metav1.PartialObjectMetadata) bool {
		return o.GVK.GroupKind() == secretKind.GroupKind() && o.Namespace == s.Namespace && o.Name == s.Name
	})
}

// collectSecrets takes over how the certificates and generated Secrets are, and tells of what was done to them.
func (r *Reconciler) collectSecrets(ctx context.Context, rec *record, c *networkstackv1alpha1.NetworkComponent, j *job) {
	out := j.outcome
	changed := r.tellOfSecrets(c, out)
	changed = newBundle(c, rec.certificates, out.certificates) || changed
	if j.kind == jobSecrets && changed {
		// Pods that read them only when they start are told of by the release, even if the rest has failed.
		rec.settled = ""
	}
	if j.kind == jobSecrets && out.err != nil {
		if ctx.Err() != nil {
			return
		}
		// What is installed goes on with what it has; that is no failure of the component yet.
		rec.madeFailures++
		verdict := classify(out.err)
		rec.madeRetry = time.Now().Add(verdict.wait(rec.madeFailures))
		r.event(c, "Warning", verdict.reason, "Secrets", "attempt %d to look after certificates and keys failed: %s",
			rec.madeFailures, out.err)
		return
	}
	if out.certificates == nil && out.keys == nil || out.err != nil {
		return
	}
	rec.certificates, rec.keys, rec.madeFailures, rec.madeRetry = out.certificates, out.keys, 0, time.Time{}
	r.trackSecrets(ctx, rec, c)
}

// tellOfSecrets makes an event of everything that was done, and says whether the release has to follow.
func (r *Reconciler) tellOfSecrets(c *networkstackv1alpha1.NetworkComponent, out outcome) bool {
	if out.certificates != nil {
		for _, change := range out.certificates.Changes {
			reason := networkstackv1alpha1.ReasonCertificateRenewed
			if change.Action == certificates.Create {
				reason = networkstackv1alpha1.ReasonCertificateCreated
			}
			r.eventAbout(c, secretOf(c, change.Secret), "Normal", reason, "Certificates",
				"Secret %s: %s: %s", change.Secret, change.Action, change.Reason)
		}
	}
	if out.keys == nil {
		return false
	}
	anew := false
	for _, change := range out.keys.Changes {
		reason := networkstackv1alpha1.ReasonSecretGenerated
		if change.Action == keys.Rotate {
			reason = networkstackv1alpha1.ReasonSecretRotated
		}
		anew = anew || change.Action != keys.Mark
		r.eventAbout(c, secretOf(c, change.Secret), "Normal", reason, "Secrets",
			"Secret %s: %s: %s", change.Secret, change.Action, change.Reason)
	}
	followed := func(g networkstackv1alpha1.GeneratedSecret) bool { return g.RevisionValue != "" }
	return anew && slices.ContainsFunc(c.Spec.GeneratedSecrets, followed)
}

// trackSecrets has the drift watches miss the Secrets that the operator made. They are no objects of the release.
func (r *Reconciler) trackSecrets(ctx context.Context, rec *record, c *networkstackv1alpha1.NetworkComponent) {
	if rec.certificates == nil && rec.keys == nil || !rec.tracked {
		return
	}
	if err := r.Drift.TrackExtra(c.Name, madeObjects(rec.made())); err != nil {
		ctrlLog(ctx).Error(err, "the Secrets that were made for the component are not watched")
	}
}

func madeObjects(secrets []metav1.PartialObjectMetadata) []release.Applied {
	out := make([]release.Applied, 0, len(secrets))
	for i := range secrets {
		s := &secrets[i]
		out = append(out, release.Applied{
			Object:          release.Object{GVK: secretKind, Namespace: s.Namespace, Name: s.Name},
			ResourceVersion: s.ResourceVersion, UID: string(s.UID),
			Fingerprint: release.Fingerprint(s, networkstackv1alpha1.FieldManager),
			Traces:      release.Traces(s, networkstackv1alpha1.FieldManager),
		})
	}
	return out
}

// fillSecrets shows the certificates and generated Secrets; what an earlier process said of them stands until this one has
// looked. Those that are no longer wanted are shown until they are deleted, for nothing else tells that there are any.
func (rec *record) fillSecrets(c *networkstackv1alpha1.NetworkComponent, s *networkstackv1alpha1.NetworkComponentStatus) {
	dropped := rec.valuesProblem == nil && rec.settled != "" && rec.settled == rec.wanted
	switch {
	case len(c.Spec.Certificates) == 0 && dropped:
		s.Certificates = nil
	case len(c.Spec.Certificates) == 0:
	case rec.certificates != nil:
		s.Certificates = rec.certificates.Certificates
	}
	switch {
	case len(c.Spec.GeneratedSecrets) == 0 && dropped:
		s.GeneratedSecrets = nil
	case len(c.Spec.GeneratedSecrets) == 0:
	case rec.keys != nil:
		s.GeneratedSecrets = rec.keys.Secrets
	}
}
