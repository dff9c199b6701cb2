package release

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/networkstack/networkstack/internal/transport"
)

// Helm's SDK makes requests with context.Background() in many places: template lookups, storage,
// ownership checks. boundTransport gives all of them the context of the action they belong to, so
// that a cancelled action stops at its next request, whoever makes it.
type boundTransport struct {
	ctx  context.Context
	next http.RoundTripper
	log  *requestLog
}

// RoundTrip refuses to send anything once the action's context is over.
func (t *boundTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.ctx.Err(); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	if req.Context().Done() == nil {
		req = req.WithContext(t.ctx) //nolint:contextcheck // this is what it is for
	}
	resp, err := t.send(req)
	pause := firstPause
	for attempt := 1; worthAnother(attempt, req, resp, err); attempt++ {
		again, ok := t.again(req, pause)
		if !ok {
			break
		}
		if resp != nil {
			_ = resp.Body.Close()
		}
		resp, err = t.send(again)
		pause *= 2
	}
	t.log.note(req, resp, err)
	return resp, err
}

// send sends a request and reads the whole answer, so that one that breaks off is known here. A watch's answer is for
// others to read.
func (t *boundTransport) send(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil || req.URL.Query().Has("watch") {
		return resp, err
	}
	return transport.Whole(resp, nil)
}

// How often a request is made before its failure is the action's, and the first of the growing pauses in between. All of
// it takes less than a second.
const (
	attemptsRefused = 5
	attemptsLost    = 3
	firstPause      = 50 * time.Millisecond
)

// worthAnother says whether a request may well come to something else in a moment: a whole action is too much to repeat
// for that. Somebody wrote at the same time, or the API server or its storage was between two leaders; answers that say
// when to come back are left to the client library, which does. Or the connection was lost: then nobody knows what became
// of the request, so it must be one that can be made twice.
func worthAnother(attempt int, req *http.Request, resp *http.Response, err error) bool {
	if req.Method == http.MethodPost && req.URL.Query().Has("dryRun") || strings.HasSuffix(req.URL.Path, "/log") {
		// That there is such an object already is the answer looked for, see rehearse; a kubelet that cannot be reached is
		// none the nearer for it.
		return false
	}
	if err != nil {
		return attempt < attemptsLost && req.Method != http.MethodPost
	}
	if resp.StatusCode == http.StatusConflict && req.Header.Get("Content-Type") == string(types.JSONPatchType) {
		// It was made for one version of the object, which is to be read again.
		return false
	}
	switch resp.StatusCode {
	case http.StatusConflict, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return attempt < attemptsRefused && resp.Header.Get("Retry-After") == ""
	}
	return false
}

// again makes the request anew after a pause. It says no when it cannot be made, or the action is over.
func (t *boundTransport) again(req *http.Request, pause time.Duration) (*http.Request, bool) {
	again := req.Clone(req.Context())
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return nil, false
		}
		body, err := req.GetBody()
		if err != nil {
			return nil, false
		}
		again.Body = body
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return again, true
	case <-t.ctx.Done():
	case <-req.Context().Done():
	}
	return nil, false
}

// requestLog remembers the first request that failed. Helm turns errors of template lookups into
// text; this is how a failing API server is told from a chart that refuses its values.
type requestLog struct {
	mu    sync.Mutex
	first error
}

func (l *requestLog) note(req *http.Request, resp *http.Response, err error) {
	switch {
	case err != nil:
		err = fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
	case resp.StatusCode >= 400 && resp.StatusCode != http.StatusNotFound:
		err = fmt.Errorf("%s %s: the API server answered %d %s",
			req.Method, req.URL.Path, resp.StatusCode, http.StatusText(resp.StatusCode))
	default:
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = err
	}
}

func (l *requestLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

// bind makes a client configuration whose requests all end with ctx. The connections are shared:
// base is the transport with everything the original configuration asks for, credentials included.
func bind(ctx context.Context, cfg *rest.Config, base http.RoundTripper, log *requestLog) (*rest.Config, error) {
	u, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host:      strings.TrimSuffix(u.String(), "/"),
		UserAgent: cfg.UserAgent,
		QPS:       -1,
		// Charts are full of what the API server warns about, and nobody here can mend it.
		WarningHandler: rest.NoWarnings{},
		Transport:      &boundTransport{ctx: ctx, next: base, log: log},
	}, nil
}

// absentTransport answers every request with 404. Helm looks up every new object one after the
// other before it installs; the engine has done that in parallel by then, with its own rules.
type absentTransport struct{}

// RoundTrip answers that there is no such thing.
func (absentTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	const body = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`
	return &http.Response{
		StatusCode: http.StatusNotFound,
		Status:     "404 Not Found",
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}, nil
}
