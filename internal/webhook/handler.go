// Package webhook answers the API server's question whether a NetworkStack may be stored, by the rules that the operator itself goes by
// when it is. It is an early word and no guard: whatever it cannot judge passes, because the operator judges every stack again.
package webhook

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
)

// Path is where the webhook answers.
const Path = "/validate-networkstack"

// Verdict is what the operator would say of a stack.
type Verdict struct {
	Errors, Warnings []compose.Finding
	// Partial says why only the stack itself was judged, and not whether it fits the cluster; empty when all was.
	Partial string
}

// Judge says what the operator would say of a stack.
type Judge func(ctx context.Context, stack *networkstackv1alpha1.NetworkStack) (Verdict, error)

// Handler answers reviews of NetworkStacks.
type Handler struct {
	Judge   Judge
	Decoder admission.Decoder
	Log     logr.Logger
}

// Handle answers one review.
func (h *Handler) Handle(ctx context.Context, req admission.Request) admission.Response {
	response, result := h.answer(ctx, &req)
	reviews.WithLabelValues(string(req.Operation), result).Inc()
	return response
}

func (h *Handler) answer(ctx context.Context, req *admission.Request) (response admission.Response, result string) {
	if req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return admission.Allowed(""), resultAllowed
	}
	stack, before := &networkstackv1alpha1.NetworkStack{}, &networkstackv1alpha1.NetworkStack{}
	if err := h.Decoder.DecodeRaw(req.Object, stack); err != nil {
		return h.passed(req, err)
	}
	if !stack.DeletionTimestamp.IsZero() {
		return admission.Allowed(""), resultAllowed
	}
	verdict, err := h.Judge(ctx, stack)
	if err != nil {
		return h.passed(req, err)
	}
	warnings := remarks(verdict)
	if len(verdict.Errors) == 0 {
		return admission.Allowed("").WithWarnings(warnings...), resultAllowed
	}
	if req.Operation == admissionv1.Update {
		// A stack that has come to be refused, because the cluster has changed, must not be in the way of other changes, such as its
		// suspension.
		if err := h.Decoder.DecodeRaw(req.OldObject, before); err != nil {
			return h.passed(req, err)
		}
		known, err := h.Judge(ctx, before)
		if err != nil {
			return h.passed(req, err)
		}
		if within(verdict.Errors, known.Errors) {
			return admission.Allowed("").WithWarnings(append(lines(verdict.Errors), warnings...)...), resultKnown
		}
	}
	return denied(req, verdict.Errors).WithWarnings(warnings...), resultDenied
}

// passed lets through what could not be judged.
func (h *Handler) passed(req *admission.Request, err error) (response admission.Response, result string) {
	h.Log.Info("a NetworkStack could not be judged, and passes", "name", req.Name, "reason", err.Error())
	return admission.Allowed("").WithWarnings("not judged by the webhook; status.conditions will say whether the operator accepts it"), resultUnjudged
}

// remarks are what to warn of.
func remarks(v Verdict) []string {
	out := lines(v.Warnings)
	if v.Partial != "" {
		out = append(out, v.Partial)
	}
	return out
}

// within says whether every finding was known before.
func within(now, before []compose.Finding) bool {
	return !slices.ContainsFunc(now, func(f compose.Finding) bool { return !slices.Contains(before, f) })
}

// denied has the operator's text as its message, and every finding as a cause with its field.
func denied(req *admission.Request, findings []compose.Finding) admission.Response {
	response := admission.Denied("")
	causes := make([]metav1.StatusCause, 0, len(findings))
	for _, f := range findings {
		// kubectl shows these in place of the message, as "field: message".
		causes = append(causes, metav1.StatusCause{
			Type: metav1.CauseTypeFieldValueInvalid, Field: f.Field, Message: strings.TrimPrefix(f.String(), f.Field+": "),
		})
	}
	response.Result = &metav1.Status{
		Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Message: strings.Join(lines(findings), "\n"),
		Details: &metav1.StatusDetails{Group: req.Kind.Group, Kind: req.Kind.Kind, Name: req.Name, Causes: causes},
	}
	return response
}

// lines are findings as the operator shows them.
func lines(findings []compose.Finding) []string {
	out := make([]string, 0, len(findings))
	for _, f := range findings {
		out = append(out, f.String())
	}
	return out
}
