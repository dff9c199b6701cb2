package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
)

var (
	wrongMTU  = compose.Finding{Rule: "A", Field: "spec.mtu", Message: "too large"}
	wrongPool = compose.Finding{Rule: "B", Field: "spec.ipPools[0].cidrs[0]", Message: "overlaps"}
	remark    = compose.Finding{Rule: "C", Field: "spec.kubeProxy.mode", Message: "going away"}
)

// judged says of a stack what its MTU stands for.
func judged(_ context.Context, s *networkstackv1alpha1.NetworkStack) (Verdict, error) {
	switch s.Spec.MTU {
	case 1:
		return Verdict{Errors: []compose.Finding{wrongMTU}}, nil
	case 2:
		return Verdict{Errors: []compose.Finding{wrongMTU, wrongPool}, Warnings: []compose.Finding{remark}}, nil
	case 3:
		return Verdict{Warnings: []compose.Finding{remark}, Partial: "half"}, nil
	case 4:
		return Verdict{}, errors.New("no cache")
	}
	return Verdict{}, nil
}

func TestHandler(t *testing.T) {
	object := func(mtu int32, deleted bool) runtime.RawExtension {
		s := networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}}
		s.Spec.MTU = mtu
		if deleted {
			s.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}
		raw, err := json.Marshal(&s)
		if err != nil {
			t.Fatal(err)
		}
		return runtime.RawExtension{Raw: raw}
	}
	scheme := runtime.NewScheme()
	if err := networkstackv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	h := &Handler{Judge: judged, Decoder: admission.NewDecoder(scheme), Log: logr.Discard()}
	for _, tc := range []struct {
		name     string
		op       admissionv1.Operation
		old, new runtime.RawExtension
		// refused is the text; empty when it passes.
		refused, warned, result string
	}{
		{"good", admissionv1.Create, runtime.RawExtension{}, object(0, false), "", "", resultAllowed},
		{"wrong", admissionv1.Create, runtime.RawExtension{}, object(1, false), "spec.mtu: too large [A]", "", resultDenied},
		{"all at once, and remarks", admissionv1.Create, runtime.RawExtension{}, object(2, false),
			"spec.mtu: too large [A]\nspec.ipPools[0].cidrs[0]: overlaps [B]", "spec.kubeProxy.mode: going away [C]", resultDenied},
		{"remarks alone", admissionv1.Create, runtime.RawExtension{}, object(3, false), "", "spec.kubeProxy.mode: going away [C]|half", resultAllowed},
		{"from good to wrong", admissionv1.Update, object(0, false), object(1, false), "spec.mtu: too large [A]", "", resultDenied},
		{"from wrong to worse", admissionv1.Update, object(1, false), object(2, false),
			"spec.mtu: too large [A]\nspec.ipPools[0].cidrs[0]: overlaps [B]", "spec.kubeProxy.mode: going away [C]", resultDenied},
		{"from wrong to less wrong", admissionv1.Update, object(2, false), object(1, false), "", "spec.mtu: too large [A]", resultKnown},
		{"from wrong to good", admissionv1.Update, object(2, false), object(0, false), "", "", resultAllowed},
		{"what cannot be judged passes", admissionv1.Update, object(0, false), object(4, false), "", "not judged", resultUnjudged},
		{"what it was cannot be judged", admissionv1.Update, object(4, false), object(1, false), "", "not judged", resultUnjudged},
		{"what cannot be read passes", admissionv1.Create, runtime.RawExtension{}, runtime.RawExtension{Raw: []byte("{")}, "", "not judged", resultUnjudged},
		{"on its way out", admissionv1.Update, object(0, true), object(1, true), "", "", resultAllowed},
		{"deletion", admissionv1.Delete, object(1, false), runtime.RawExtension{}, "", "", resultAllowed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := counted(t, tc.result)
			req := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				Name: "cluster", Operation: tc.op, Object: tc.new, OldObject: tc.old, Kind: metav1.GroupVersionKind{Group: "networkstack.io", Kind: "NetworkStack"},
			}}
			got := h.Handle(t.Context(), req)
			if got.Allowed != (tc.refused == "") {
				t.Fatalf("allowed: %v", got.Allowed)
			}
			if tc.refused != "" {
				if got.Result.Message != tc.refused || got.Result.Reason != metav1.StatusReasonInvalid || got.Result.Details.Name != "cluster" {
					t.Errorf("result %+v, want %q", got.Result, tc.refused)
				}
				if n := strings.Count(tc.refused, "\n") + 1; len(got.Result.Details.Causes) != n || got.Result.Details.Causes[0].Field != "spec.mtu" ||
					got.Result.Details.Causes[0].Message != "too large [A]" {
					t.Errorf("causes %+v", got.Result.Details.Causes)
				}
			}
			if warned := strings.Join(got.Warnings, "|"); !strings.HasPrefix(warned, tc.warned) || (tc.warned == "") != (warned == "") {
				t.Errorf("warned of %q, want %q", warned, tc.warned)
			}
			if n := counted(t, tc.result) - before; n != 1 {
				t.Errorf("counted as %s %v times", tc.result, n)
			}
		})
	}
}

// counted is how many reviews came to a result.
func counted(t *testing.T, result string) (n float64) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(reviews)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "result" && l.GetValue() == result {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

func TestUntilNext(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	at := func(d time.Duration) networkstackv1alpha1.CertificateStatus {
		return networkstackv1alpha1.CertificateStatus{RenewAt: &metav1.Time{Time: now.Add(d)}}
	}
	for _, tc := range []struct {
		name string
		list []networkstackv1alpha1.CertificateStatus
		want time.Duration
	}{
		{"somebody else's", []networkstackv1alpha1.CertificateStatus{{}}, day},
		{"the first", []networkstackv1alpha1.CertificateStatus{at(2 * time.Hour), at(time.Hour)}, time.Hour},
		{"long from now", []networkstackv1alpha1.CertificateStatus{at(60 * day)}, 60 * day},
		{"overdue", []networkstackv1alpha1.CertificateStatus{at(-time.Hour)}, time.Second},
	} {
		if got := untilNext(tc.list, now); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}
