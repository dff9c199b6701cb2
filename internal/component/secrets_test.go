package component

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/intent"
	"github.com/networkstack/networkstack/internal/keys"
	"github.com/networkstack/networkstack/internal/release"
)

func certified(c *networkstackv1alpha1.NetworkComponent) {
	c.Spec.Certificates = []networkstackv1alpha1.Certificate{{SecretName: "ca", CommonName: "CA", Validity: metav1.Duration{Duration: time.Hour}}}
}

func keyed(c *networkstackv1alpha1.NetworkComponent) {
	c.Spec.GeneratedSecrets = []networkstackv1alpha1.GeneratedSecret{{SecretName: "pw", Kind: networkstackv1alpha1.SecretPassword, RevisionValue: "a.b"}}
}

func withKeys(actions ...keys.Action) *keys.Outcome {
	out := &keys.Outcome{
		Secrets: []networkstackv1alpha1.GeneratedSecretStatus{{SecretName: "pw", Revision: "r1"}},
		Objects: []metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Namespace: "net", Name: "pw", ResourceVersion: "5", UID: "1"}}},
	}
	for _, a := range actions {
		out.Changes = append(out.Changes, keys.Change{Secret: "net/pw", Action: a, Reason: "why"})
	}
	return out
}

func renewing(after ...time.Duration) *certificates.Outcome {
	out := &certificates.Outcome{}
	for _, d := range after {
		at := metav1.NewTime(time.Now().Add(d))
		out.Certificates = append(out.Certificates, networkstackv1alpha1.CertificateStatus{SecretName: "ca", RenewAt: &at})
	}
	// One of somebody else's is never due.
	out.Certificates = append(out.Certificates, networkstackv1alpha1.CertificateStatus{SecretName: "theirs"})
	return out
}

// TestSecretsDue looks at what is started, and when the component comes back by itself.
func TestSecretsDue(t *testing.T) {
	plain := func(*networkstackv1alpha1.NetworkComponent) {}
	for _, tc := range []struct {
		name      string
		component func(*networkstackv1alpha1.NetworkComponent)
		rec       func(*record)
		want      jobKind
		// next is when to come back; 0 is never.
		next time.Duration
	}{
		{"a component without certificates", plain, func(*record) {}, "", 0},
		{"an earlier process made them", certified, func(*record) {}, jobSecrets, 0},
		{"the first of them is due some time", certified, func(r *record) { r.certificates = renewing(3*time.Hour, time.Hour, 2*time.Hour) }, "", time.Hour},
		{"far away", certified, func(r *record) { r.certificates = renewing(1000 * time.Hour) }, "", longestSleep},
		{"all are somebody else's", certified, func(r *record) { r.certificates = renewing() }, "", 0},
		{"due", certified, func(r *record) { r.certificates = renewing(time.Hour, -time.Second) }, jobSecrets, 0},
		{"due, after a failure", certified, func(r *record) {
			r.certificates, r.madeRetry = renewing(-time.Second), time.Now().Add(time.Minute)
		}, "", time.Minute},
		{"due, after a failure and a wait", certified, func(r *record) {
			r.certificates, r.madeRetry = renewing(-time.Second), time.Now().Add(-time.Second)
		}, jobSecrets, 0},
		{"an earlier process made a password", keyed, func(*record) {}, jobSecrets, 0},
		{"a password is known", keyed, func(r *record) { r.keys = withKeys() }, "", 0},
		{"a password, after a failure", keyed, func(r *record) { r.madeRetry = time.Now().Add(time.Minute) }, "", time.Minute},
		{"a password is known, certificates are not", func(c *networkstackv1alpha1.NetworkComponent) { keyed(c); certified(c) },
			func(r *record) { r.keys = withKeys() }, jobSecrets, 0},
		{"not installed yet", certified, func(r *record) { r.settled = "" }, jobApply, 0},
		{"suspended", func(c *networkstackv1alpha1.NetworkComponent) { certified(c); suspend(c) }, func(*record) {}, "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newReconciler(t, installed("cni", 0, tc.component))
			seen := get(t, r, "cni")
			rec := r.state.of(seen, &seen.Status)
			rec.settled, rec.tracked, rec.checked = wishes(seen, map[string]any{}), true, digestOf(seen)
			tc.rec(rec)
			result := reconcileOnce(t, r, "cni")
			var got jobKind
			if rec.job != nil {
				got = rec.job.kind
			}
			if got != tc.want {
				t.Errorf("under way: %q, want %q", got, tc.want)
			}
			const slack = 10 * time.Second
			if after := result.RequeueAfter; after > tc.next || after < tc.next-slack {
				t.Errorf("comes back after %s, want %s", after, tc.next)
			}
		})
	}
}

// TestCollectSecrets covers what a job that looked after certificates comes to.
func TestCollectSecrets(t *testing.T) {
	made := renewing(time.Hour)
	made.Secrets = []metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Namespace: "net", Name: "ca", ResourceVersion: "5", UID: "1"}}}
	made.Changes = []certificates.Change{{Secret: "net/ca", Action: certificates.Create, Reason: "there is none"},
		{Secret: "net/leaf", Action: certificates.Renew, Reason: "two thirds of its time are over"}}
	events := []string{"Normal CertificateCreated Secret net/ca: Create: there is none", "Normal CertificateRenewed Secret net/leaf: Renew: two thirds of its time are over"}
	for _, tc := range []struct {
		name   string
		job    *job
		events []string
		// failed is how often it has failed; known says that the certificates are known.
		failed int32
		known  bool
	}{
		{"looked after", newJob(jobSecrets, "x", outcome{certificates: made}), events, 0, true},
		{"made before a release that failed", newJob(jobApply, "x", outcome{certificates: made, err: errors.New("no")}), append(slices.Clone(events),
			"Warning ReleaseFailed attempt 1 failed: no"), 0, false},
		{"half way", newJob(jobSecrets, "x", outcome{certificates: made, err: errors.New("API server away")}), append(slices.Clone(events),
			"Warning ReleaseFailed attempt 1 to look after certificates and keys failed: API server away"), 1, false},
		{"a Secret of somebody else's", newJob(jobSecrets, "x", outcome{certificates: &certificates.Outcome{},
			err: &certificates.SecretError{Secret: "net/ca", Problem: "no key"}}), []string{"Warning CertificateInvalid attempt 1 to look after certificates and keys failed: " +
			(&certificates.SecretError{Secret: "net/ca", Problem: "no key"}).Error()}, 1, false},
		{"a verification says nothing about them", newJob(jobVerify, "x", outcome{}), nil, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := installed("cni", 0, certified)
			r := newReconciler(t, c)
			rec := &record{job: tc.job, settled: "x", wanted: "x", tracked: true, objects: []release.Applied{{Object: agent("agent")}}}
			r.collect(t.Context(), rec, c)
			if got := eventsOf(t, r); !slices.Equal(got, tc.events) {
				t.Errorf("events %q, want %q", got, tc.events)
			}
			if rec.madeFailures != tc.failed || (rec.certificates != nil) != tc.known || rec.madeRetry.IsZero() != (tc.failed == 0) {
				t.Errorf("failed %d times, known: %v, again at %s", rec.madeFailures, rec.certificates != nil, rec.madeRetry)
			}
			if tc.job.kind == jobSecrets && (rec.failure != nil || len(rec.objects) != 1) {
				t.Errorf("the component was touched: %v, %v", rec.failure, rec.objects)
			}
			secret := release.Object{GVK: corev1.SchemeGroupVersion.WithKind("Secret"), Namespace: "net", Name: "ca"}
			if rec.isMade(secret) != tc.known || rec.isMade(agent("agent")) {
				t.Error("the Secret is not told from objects of the release")
			}
		})
	}
}

// TestCollectKeys covers generated Secrets: pods that read one only when they start have to follow when its content changes.
func TestCollectKeys(t *testing.T) {
	live := func(c *networkstackv1alpha1.NetworkComponent) {
		keyed(c)
		c.Spec.GeneratedSecrets[0].RevisionValue = ""
	}
	for _, tc := range []struct {
		name    string
		change  func(*networkstackv1alpha1.NetworkComponent)
		job     *job
		event   string
		settled string
		known   bool
	}{
		{"kept", keyed, newJob(jobSecrets, "x", outcome{keys: withKeys()}), "", "x", true},
		{"made anew", keyed, newJob(jobSecrets, "x", outcome{keys: withKeys(keys.Create)}), "Normal SecretGenerated Secret net/pw: Create: why", "", true},
		{"made anew, for pods that notice", live, newJob(jobSecrets, "x", outcome{keys: withKeys(keys.Create)}), "Normal SecretGenerated Secret net/pw: Create: why", "x", true},
		{"labelled again", keyed, newJob(jobSecrets, "x", outcome{keys: withKeys(keys.Mark)}), "Normal SecretGenerated Secret net/pw: Mark: why", "x", true},
		{"rotated, then a failure", keyed, newJob(jobSecrets, "x", outcome{keys: withKeys(keys.Rotate), err: &keys.SecretError{Secret: "net/b", Problem: "no"}}),
			"Normal SecretRotated Secret net/pw: Rotate: why", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := installed("cni", 0, tc.change)
			r := newReconciler(t, c)
			rec := &record{job: tc.job, settled: "x", wanted: "x", tracked: true}
			r.collect(t.Context(), rec, c)
			got := eventsOf(t, r)
			if len(got) > 0 && got[0] != tc.event || len(got) == 0 && tc.event != "" {
				t.Errorf("events %q, want %q", got, tc.event)
			}
			if rec.settled != tc.settled || (rec.keys != nil) != tc.known {
				t.Errorf("settled %q, known: %v", rec.settled, rec.keys != nil)
			}
			secret := release.Object{GVK: secretKind, Namespace: "net", Name: "pw"}
			if rec.isMade(secret) != tc.known {
				t.Error("the Secret is not told from objects of the release")
			}
			s := networkstackv1alpha1.NetworkComponentStatus{GeneratedSecrets: []networkstackv1alpha1.GeneratedSecretStatus{{SecretName: "earlier"}}}
			rec.fillSecrets(c, &s)
			want := "earlier"
			if tc.known {
				want = "pw"
			}
			if len(s.GeneratedSecrets) != 1 || s.GeneratedSecrets[0].SecretName != want {
				t.Errorf("status %+v, want %s", s.GeneratedSecrets, want)
			}
		})
	}
	if v := classify(&keys.SecretError{}); v.reason != networkstackv1alpha1.ReasonSecretInvalid || !v.permanent {
		t.Errorf("%+v", v)
	}
}

func TestWithRevisions(t *testing.T) {
	c := installed("cni", 0, keyed)
	values := map[string]any{"a": map[string]any{"b": "old", "c": int64(1)}}
	got := intent.WithRevisions(values, c.Spec.GeneratedSecrets, withKeys().Secrets)
	if diff := cmp.Diff(map[string]any{"a": map[string]any{"b": "r1", "c": int64(1)}}, got); diff != "" {
		t.Error(diff)
	}
	if values["a"].(map[string]any)["b"] != "old" {
		t.Error("the values were changed in place")
	}
	c.Spec.GeneratedSecrets[0].RevisionValue = ""
	if diff := cmp.Diff(values, intent.WithRevisions(values, c.Spec.GeneratedSecrets, withKeys().Secrets)); diff != "" {
		t.Error(diff)
	}
}

func TestFillSecrets(t *testing.T) {
	earlierOnes := []networkstackv1alpha1.CertificateStatus{{SecretName: "earlier"}}
	for _, tc := range []struct {
		name      string
		component *networkstackv1alpha1.NetworkComponent
		rec       *record
		want      string
	}{
		{"not looked at yet", installed("cni", 0, certified), &record{}, "earlier"},
		{"looked at", installed("cni", 0, certified), &record{certificates: renewing(time.Hour)}, "ca theirs"},
		{"none wanted any more, and they are deleted", installed("cni", 0), &record{settled: "x", wanted: "x"}, ""},
		{"none wanted any more, by a process that has just begun", installed("cni", 0), &record{}, "earlier"},
		{"none wanted any more, and the release has yet to follow", installed("cni", 0), &record{settled: "x", wanted: "y"}, "earlier"},
		{"none wanted any more, with values that cannot be used", installed("cni", 0),
			&record{settled: "x", wanted: "x", valuesProblem: errors.New("no")}, "earlier"},
	} {
		s := networkstackv1alpha1.NetworkComponentStatus{Certificates: earlierOnes}
		tc.rec.fillSecrets(tc.component, &s)
		var names []string
		for _, c := range s.Certificates {
			names = append(names, c.SecretName)
		}
		if got := strings.Join(names, " "); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
