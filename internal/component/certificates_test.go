package component

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/release"
)

func certified(c *networkstackv1alpha1.NetworkComponent) {
	c.Spec.Certificates = []networkstackv1alpha1.Certificate{{SecretName: "ca", CommonName: "CA", Validity: metav1.Duration{Duration: time.Hour}}}
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

// TestCertificatesDue looks at what is started, and when the component comes back by itself.
func TestCertificatesDue(t *testing.T) {
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
		{"an earlier process made them", certified, func(*record) {}, jobCertificates, 0},
		{"the first of them is due some time", certified, func(r *record) { r.certificates = renewing(3*time.Hour, time.Hour, 2*time.Hour) }, "", time.Hour},
		{"far away", certified, func(r *record) { r.certificates = renewing(1000 * time.Hour) }, "", longestSleep},
		{"all are somebody else's", certified, func(r *record) { r.certificates = renewing() }, "", 0},
		{"due", certified, func(r *record) { r.certificates = renewing(time.Hour, -time.Second) }, jobCertificates, 0},
		{"due, after a failure", certified, func(r *record) {
			r.certificates, r.certificatesRetry = renewing(-time.Second), time.Now().Add(time.Minute)
		}, "", time.Minute},
		{"due, after a failure and a wait", certified, func(r *record) {
			r.certificates, r.certificatesRetry = renewing(-time.Second), time.Now().Add(-time.Second)
		}, jobCertificates, 0},
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

// TestCollectCertificates covers what a job that looked after certificates comes to.
func TestCollectCertificates(t *testing.T) {
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
		{"looked after", newJob(jobCertificates, "x", outcome{certificates: made}), events, 0, true},
		{"made before a release that failed", newJob(jobApply, "x", outcome{certificates: made, err: errors.New("no")}), append(slices.Clone(events),
			"Warning ReleaseFailed attempt 1 failed: no"), 0, false},
		{"half way", newJob(jobCertificates, "x", outcome{certificates: made, err: errors.New("API server away")}), append(slices.Clone(events),
			"Warning ReleaseFailed attempt 1 to look after the certificates failed: API server away"), 1, false},
		{"a Secret of somebody else's", newJob(jobCertificates, "x", outcome{certificates: &certificates.Outcome{},
			err: &certificates.SecretError{Secret: "net/ca", Problem: "no key"}}), []string{"Warning CertificateInvalid attempt 1 to look after the certificates failed: " +
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
			if rec.certificatesFailures != tc.failed || (rec.certificates != nil) != tc.known || rec.certificatesRetry.IsZero() != (tc.failed == 0) {
				t.Errorf("failed %d times, known: %v, again at %s", rec.certificatesFailures, rec.certificates != nil, rec.certificatesRetry)
			}
			if tc.job.kind == jobCertificates && (rec.failure != nil || len(rec.objects) != 1) {
				t.Errorf("the component was touched: %v, %v", rec.failure, rec.objects)
			}
			secret := release.Object{GVK: corev1.SchemeGroupVersion.WithKind("Secret"), Namespace: "net", Name: "ca"}
			if rec.isCertificate(secret) != tc.known || rec.isCertificate(agent("agent")) {
				t.Error("the Secret is not told from objects of the release")
			}
		})
	}
}

func TestFillCertificates(t *testing.T) {
	earlierOnes := []networkstackv1alpha1.CertificateStatus{{SecretName: "earlier"}}
	for _, tc := range []struct {
		name      string
		component *networkstackv1alpha1.NetworkComponent
		rec       *record
		want      string
	}{
		{"not looked at yet", installed("cni", 0, certified), &record{}, "earlier"},
		{"looked at", installed("cni", 0, certified), &record{certificates: renewing(time.Hour)}, "ca theirs"},
		{"none wanted any more", installed("cni", 0), &record{}, ""},
	} {
		s := networkstackv1alpha1.NetworkComponentStatus{Certificates: earlierOnes}
		tc.rec.fillCertificates(tc.component, &s)
		var names []string
		for _, c := range s.Certificates {
			names = append(names, c.SecretName)
		}
		if got := strings.Join(names, " "); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
