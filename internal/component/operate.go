package component

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/keys"
	"github.com/networkstack/networkstack/internal/release"
)

// deployed is Helm's status of a revision whose objects were all applied.
const deployed = "deployed"

// outcome is what a job came to.
type outcome struct {
	err     error
	release *networkstackv1alpha1.ReleaseStatus
	// upgraded says that a new revision was made.
	upgraded bool
	applied  []release.Applied
	crds     []release.AppliedCRD
	replaced []release.Replacement
	findings []release.Finding
	// manifest is what the release applied; nil when it is known already.
	manifest *release.Manifest
	// only are the objects that were looked at; nil means all.
	only []release.Object
	// observed says that findings were reported and not corrected; unwatched that drift was not looked for.
	observed, unwatched bool
	// checked is the digest of what findings were judged by.
	checked string
	// records says that the records of the Helm release were looked at too.
	records bool
	// adoption is what was there before and what became of it; nil when that was not looked at.
	adoption *networkstackv1alpha1.AdoptionStatus
	// gone says that there is no release any more; partial that some objects may be of a new revision and some of an old one.
	gone, partial bool
	// certificates and keys are those of the component, if the job looked after them.
	certificates *certificates.Outcome
	keys         *keys.Outcome
}

// wishes is a digest of everything that decides what is applied.
func wishes(c *networkstackv1alpha1.NetworkComponent, values map[string]any) string {
	spec := c.Spec
	return digest(map[string]any{
		"chart": spec.Chart, "release": spec.ReleaseName, "namespace": spec.Namespace, "labels": spec.NamespaceLabels,
		"values": values, "sources": spec.Sources, "certificates": spec.Certificates,
		"generated": spec.GeneratedSecrets,
		// It decides whether an attempt that failed for it can succeed.
		"replacement": spec.Replacement,
		"adopt":       adopts(c),
	})
}

// digest identifies what is made of JSON values.
func digest(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		// Values come from JSON and YAML, which always marshal.
		panic(fmt.Sprintf("marshalling what a component asks for: %v", err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (r *Reconciler) startApply(c *networkstackv1alpha1.NetworkComponent, values map[string]any, wanted string, check checking) *job {
	return r.runner.run(c.Name, jobApply, wanted, func(ctx context.Context, phase reporting, slot *slot) outcome {
		phase(networkstackv1alpha1.PhaseFetching)
		made := &secretsMade{}
		out := r.apply(ctx, c, values, check, phase, slot, made)
		out.certificates, out.keys = made.certificates, made.keys
		return out
	})
}

// apply brings about what is wanted. The Secrets that it makes beforehand are told in made, whatever becomes of the rest.
func (r *Reconciler) apply(ctx context.Context, c *networkstackv1alpha1.NetworkComponent, values map[string]any, check checking,
	phase reporting, slot *slot, made *secretsMade,
) outcome {
	spec := releaseSpec(c, values)
	entry := r.Catalog.Last().Catalog[c.Spec.Type]
	spec.Omit, spec.Transient = objectNames(entry.Omits), objectNames(entry.Transient)
	spec.Rules = check.rules
	spec.Waiting = slot.waiting
	spec.Announce = func(p release.Replacement) {
		r.eventAbout(c, objectOf(p.Object), "Normal", networkstackv1alpha1.ReasonReplacing, "Replace", "replacing %s", p)
	}
	loaded, err := r.Charts.Load(ctx, r.chartRequest(&c.Spec))
	if err != nil {
		if out, same := r.withoutChart(ctx, c, spec, check, made); same {
			return out
		}
		return outcome{err: err}
	}
	spec.Chart, spec.ChartDigest = loaded.Chart, loaded.Digest
	found, err := r.Engine.State(ctx, spec.Name, spec.Namespace)
	if err != nil {
		return outcome{err: err}
	}
	if !found.Exists && len(c.Spec.Certificates)+len(c.Spec.GeneratedSecrets) > 0 {
		if err := r.Engine.EnsureNamespace(ctx, spec); err != nil {
			return outcome{err: err}
		}
	}
	// Pods mount them, so they come first.
	if err := r.makeSecrets(ctx, c, made); err != nil {
		return outcome{err: err}
	}
	spec.Values = withRevisions(values, c.Spec.GeneratedSecrets, made.keys.Secrets)
	spec.Values = withBundles(spec.Values, c.Spec.Certificates, made.certificates.Bundles)
	if r.installed(found, spec) {
		// Already there, by an earlier process or under an earlier NetworkComponent: only make sure of the objects.
		m, err := r.Engine.LoadAll(ctx, spec)
		if err != nil {
			return outcome{err: err}
		}
		if leftover(c) {
			if err := r.dropSecrets(ctx, c); err != nil {
				return outcome{err: err}
			}
		}
		out := r.verify(ctx, c, m, nil, check)
		out.release = releaseStatus(found, loaded)
		return out
	}
	if found.Exists {
		phase(networkstackv1alpha1.PhaseUpgrading)
	} else {
		phase(networkstackv1alpha1.PhaseInstalling)
	}
	report, err := r.beforeTakeOver(ctx, c, spec, found)
	if err != nil {
		return outcome{err: err, adoption: report}
	}
	done, err := r.Engine.Apply(ctx, spec)
	if err != nil {
		if report == nil {
			report = r.afterRefusal(ctx, spec, found, err)
		}
		return outcome{
			err: err, partial: len(done.Objects) > 0 || !refused(err), replaced: done.Replaced, adoption: report,
		}
	}
	if err := r.dropSecrets(ctx, c); err != nil {
		return outcome{err: err, partial: true, replaced: done.Replaced, adoption: report}
	}
	return outcome{
		adoption: report,
		release:  releaseStatus(done.State, loaded), applied: done.Objects, manifest: done.Manifest, upgraded: true,
		checked: check.digest,
		crds:    done.CRDs, replaced: done.Replaced,
		unwatched: c.Spec.DriftMode == networkstackv1alpha1.DriftIgnore,
	}
}

// objectNames are objects of a chart, as the catalogue has them.
func objectNames(list []catalog.ObjectName) []release.ObjectName {
	var out []release.ObjectName
	for _, o := range list {
		out = append(out, release.ObjectName{Kind: o.Kind, Name: o.Name})
	}
	return out
}

func releaseSpec(c *networkstackv1alpha1.NetworkComponent, values map[string]any) release.Spec {
	spec := release.Spec{
		Adopt:       adopts(c),
		Replacement: release.ReplacementPolicy(c.Spec.Replacement),
		Component:   c.Name, Name: c.Spec.ReleaseName, Namespace: c.Spec.Namespace, NamespaceLabels: c.Spec.NamespaceLabels, Values: values,
	}
	if spec.NamespaceLabels == nil && spec.Namespace != metav1.NamespaceSystem {
		spec.NamespaceLabels = map[string]string{} // it is made where there is none
	}
	if c.Spec.Sources != nil {
		spec.ImageRegistry = c.Spec.Sources.ImageRegistry
	}
	return spec
}

// installed says whether a release is there already, made of the very same inputs.
func (r *Reconciler) installed(found release.State, spec release.Spec) bool {
	return found.Status == deployed && found.Ours && found.Component == spec.Component && found.Inputs == r.Engine.Inputs(spec)
}

// refused says that an attempt ended before it touched any object, unless it says which ones it applied.
func refused(err error) bool {
	var render *release.RenderError
	var conflict *release.ConflictError
	var crd *release.CRDVersionError
	var unserved *release.CRDNotServedError
	_, untouched := release.Unserved(err)
	return errors.As(err, &render) || errors.As(err, &conflict) || errors.As(err, &crd) || errors.As(err, &unserved) || untouched
}

// withoutChart looks after a release whose chart cannot be fetched now, when the status of an earlier process tells that
// it was made of the same inputs: a restart of the operator while a repository is away must cost nothing.
func (r *Reconciler) withoutChart(ctx context.Context, c *networkstackv1alpha1.NetworkComponent, spec release.Spec, check checking,
	made *secretsMade,
) (outcome, bool) {
	recorded := c.Status.Release
	if recorded == nil || recorded.ChartDigest == "" ||
		c.Status.Phase != networkstackv1alpha1.PhaseReady || c.Status.ObservedGeneration != c.Generation {
		return outcome{}, false
	}
	spec.ChartDigest = recorded.ChartDigest
	spec.Values = withRevisions(spec.Values, c.Spec.GeneratedSecrets, c.Status.GeneratedSecrets)
	if slices.ContainsFunc(c.Spec.Certificates, givesBundle) {
		// What is to be trusted is in the Secrets alone.
		if err := r.makeSecrets(ctx, c, made); err != nil {
			return outcome{}, false
		}
		spec.Values = withBundles(spec.Values, c.Spec.Certificates, made.certificates.Bundles)
	}
	found, err := r.Engine.State(ctx, spec.Name, spec.Namespace)
	if err != nil || !r.installed(found, spec) {
		return outcome{}, false
	}
	out := r.verify(ctx, c, nil, nil, check)
	return out, out.err == nil
}

func (r *Reconciler) startUninstall(c *networkstackv1alpha1.NetworkComponent) *job {
	return r.runner.run(c.Name, jobUninstall, "", func(ctx context.Context, phase reporting, slot *slot) outcome {
		phase(networkstackv1alpha1.PhaseUninstalling)
		// They go first: a namespace that is the component's own goes only when it is empty.
		err := errors.Join(r.Certificates.Prune(ctx, c.Name, c.Spec.Namespace, nil), r.Keys.Prune(ctx, c.Name, c.Spec.Namespace, nil))
		if err != nil {
			return outcome{err: err}
		}
		err = r.Engine.Uninstall(ctx, c.Spec.ReleaseName, c.Spec.Namespace, c.Name, release.WhileWaiting(slot.waiting))
		var conflict *release.ConflictError
		if c.Status.Release == nil && errors.As(err, &conflict) && conflict.Adoptable {
			err = nil // it never was ours
		}
		return outcome{err: err}
	})
}

func (r *Reconciler) chartRequest(spec *networkstackv1alpha1.NetworkComponentSpec) chart.Request {
	req := chart.Request{
		Ref:  chart.Ref{Repository: spec.Chart.Repository, Name: spec.Chart.Name, Version: spec.Chart.Version, Digest: spec.Chart.Digest},
		Dirs: slices.Clone(r.ChartDirs),
	}
	if spec.Sources != nil {
		if spec.Sources.ChartsDirectory != "" {
			req.Dirs = append(req.Dirs, spec.Sources.ChartsDirectory)
		}
		for _, m := range spec.Sources.Mirrors {
			req.Mirrors = append(req.Mirrors, chart.Mirror{Source: m.Source, Mirror: m.Mirror})
		}
	}
	return req
}

func releaseStatus(s release.State, loaded *chart.Chart) *networkstackv1alpha1.ReleaseStatus {
	return &networkstackv1alpha1.ReleaseStatus{
		Revision: int32(min(s.Revision, math.MaxInt32)), //nolint:gosec // bounded
		Status:   s.Status, ChartVersion: s.ChartVersion, AppVersion: s.AppVersion,
		ChartDigest: loaded.Digest, ChartSource: loaded.Source, Inputs: s.Inputs,
	}
}

// mostCRDs is how many definitions a status names.
const mostCRDs = 100

func crdStatuses(crds []release.AppliedCRD) []networkstackv1alpha1.CRDStatus {
	out := []networkstackv1alpha1.CRDStatus{}
	for _, a := range crds {
		named := slices.ContainsFunc(out, func(c networkstackv1alpha1.CRDStatus) bool { return c.Name == a.Object.Name })
		if named || len(out) == mostCRDs {
			continue
		}
		out = append(out, networkstackv1alpha1.CRDStatus{
			Name: a.Object.Name, Served: a.Served, Source: a.Source, Kept: a.Kept, Owner: a.Owner,
		})
	}
	return out
}

// collect takes over what a finished job came to.
func (r *Reconciler) collect(ctx context.Context, rec *record, c *networkstackv1alpha1.NetworkComponent) {
	j := rec.job
	if j == nil || !j.finished() {
		return
	}
	rec.job = nil
	out := j.outcome
	for _, p := range out.replaced {
		r.eventAbout(c, objectOf(p.Object), "Normal", networkstackv1alpha1.ReasonReplaced, "Replace", "replaced %s", p)
	}
	r.collectSecrets(ctx, rec, c, j)
	if j.kind == jobSecrets {
		return
	}
	rec.noteAdoption(c, out)
	if out.err != nil {
		r.failed(rec, c, j, out)
		return
	}
	if !j.looks() || rec.failedFor == j.inputs && (j.kind == jobVerify || len(rec.stuck) == 0) {
		rec.succeeded()
	}
	if j.kind == jobUninstall {
		rec.uninstalled, rec.waitingFor = true, nil
		return
	}
	if out.release != nil {
		rec.release = out.release
	}
	rec.settled = j.inputs
	if out.manifest != nil {
		rec.manifest = out.manifest
	}
	tracked := rec.tracked
	if out.only == nil {
		rec.objects = out.applied
		rec.tracked = !out.unwatched
	}
	if out.only == nil && rec.tracked {
		err := r.Drift.Track(c.Name, out.applied)
		// What the watches know of the release's records holds until somebody has looked at these.
		if m := out.manifest; m != nil && (!tracked || out.upgraded || out.records) {
			err = errors.Join(err, r.Drift.TrackRevision(c.Name, m.Namespace, m.Name, m.Revision))
		}
		if err != nil {
			ctrlLog(ctx).Error(err, "some kinds are not watched for drift")
		}
		r.trackSecrets(ctx, rec, c)
	}
	if out.only != nil {
		rec.renew(out.applied)
	}
	if out.upgraded {
		rec.crds = crdStatuses(out.crds)
		r.event(c, "Normal", networkstackv1alpha1.ReasonApplied, "Apply", "revision %d of release %s/%s applied: chart %s %s, %d objects",
			rec.release.Revision, c.Spec.Namespace, c.Spec.ReleaseName, c.Spec.Chart.Name, rec.release.ChartVersion, len(out.applied))
	}
	r.report(rec, c, out)
}

// failed notes a failure and when to try again.
func (r *Reconciler) failed(rec *record, c *networkstackv1alpha1.NetworkComponent, j *job, out outcome) {
	if errors.Is(out.err, context.Canceled) {
		return
	}
	if out.gone || out.partial {
		// Either somebody removed the Helm release, or an attempt got half way: there is nothing to hold objects to until
		// what is wanted is applied. Restoring the old half would tear at the new one.
		rec.settled, rec.tracked, rec.manifest = "", false, nil
		r.Drift.Forget(c.Name)
	}
	if j.looks() && !out.observed && len(out.findings) > 0 {
		r.report(rec, c, out) // what could be restored
	}
	if j.looks() && rec.failure != nil && rec.failedFor != j.inputs {
		// What is wanted cannot be had, and that is what the status goes on saying.
		r.event(c, "Warning", classify(out.err).reason, "Restore", "%s", out.err)
		return
	}
	repeated := rec.failure != nil && rec.failedFor == j.inputs
	if r.await(rec, c, j, out.err, repeated) {
		return
	}
	if !repeated {
		rec.failures = 0
	}
	rec.failures++
	rec.failure, rec.failedFor = out.err, j.inputs
	if j.looks() {
		rec.stuck = append(rec.stuck, rec.notStuck(blamed(out.err))...)
	}
	verdict := classify(out.err)
	rec.next = time.Now().Add(retryIn(out.err, rec.failures))
	r.event(c, "Warning", verdict.reason, "Apply", "attempt %d failed: %s", rec.failures, out.err)
}

// await notes that an attempt came too early, which is no failure; it says so once.
func (r *Reconciler) await(rec *record, c *networkstackv1alpha1.NetworkComponent, j *job, err error, repeated bool) bool {
	err = r.awaiting(c, err)
	if !classify(err).awaiting {
		return false
	}
	if !repeated || !classify(rec.failure).awaiting {
		rec.awaitingSince = time.Now()
		r.event(c, "Normal", classify(err).reason, "Apply", "%s", err)
	}
	rec.failures = 0
	rec.failure, rec.failedFor = err, j.inputs
	rec.next = time.Now().Add(awaitIn(time.Since(rec.awaitingSince)))
	return true
}

// blamed are the objects that an error is about; none when it is about something else as well.
func blamed(err error) []release.Object {
	var apply *release.ApplyError
	if !errors.As(err, &apply) || apply.Err != nil {
		return nil
	}
	out := make([]release.Object, 0, len(apply.Causes))
	for _, cause := range apply.Causes {
		out = append(out, cause.Object)
	}
	return out
}

// renew replaces what is known of objects that were applied again.
func (rec *record) renew(applied []release.Applied) {
	for _, a := range applied {
		for i := range rec.objects {
			if rec.objects[i].Object == a.Object {
				rec.objects[i] = a
			}
		}
	}
}
