package stack

import (
	"context"
	"time"

	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
)

// certificatePatience is how long a first installation is held back until it is known what certificate the API server shows. It usually
// takes some milliseconds.
const certificatePatience = time.Second

// lookAtCertificate puts what the API server shows at the address that the stack uses into the facts, and comes back for a certificate
// that is not made for it: nothing tells when it is another one. It says whether to wait for a first answer; that wakes the stack.
func (r *Reconciler) lookAtCertificate(ctx context.Context, s *scope, in compose.Input) (wait bool) {
	endpoint, used := compose.UsedEndpoint(in)
	if !used || r.Certificates == nil {
		return false
	}
	known, pending := r.Certificates.Of(ctx, endpoint)
	in.Facts.Certificate = known
	if known != nil && !known.Covers {
		s.requeueIn = facts.LookAgain
	}
	if r.asked.endpoint != endpoint {
		r.asked.endpoint, r.asked.hold = endpoint, hold{}
	}
	return s.waitsFor(&r.asked.hold, pending && len(s.components) == 0, certificatePatience)
}
