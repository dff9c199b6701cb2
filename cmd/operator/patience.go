package main

import (
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/networkstack/networkstack/internal/transport"
)

// How long an informer's request is made again while the API server is away, and how often; and the same for discovery, which
// reconcilers wait for.
const (
	patience          = 30 * time.Second
	reconnect         = time.Second
	discoveryPatience = time.Second
	discoveryPause    = 100 * time.Millisecond
)

// patient makes a configuration from cfg whose lists and watches of informers wait for the API server. Informers themselves
// wait twice as long after every failure, up to a minute, and so would see nothing for that long after the API server was
// away for a few seconds. Discovery bears an answer that passes, because the operator cannot start without it. All other
// requests fail at once: a reconciler does not wait.
func patient(cfg *rest.Config, most, pause time.Duration) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			most, pause, send := most, pause, next.RoundTrip
			switch {
			case informs(req):
			case discovers(req):
				most, pause = discoveryPatience, min(pause, discoveryPause)
				send = func(req *http.Request) (*http.Response, error) { return transport.Whole(next.RoundTrip(req)) }
			default:
				return next.RoundTrip(req)
			}
			resp, err := send(req)
			for deadline := time.Now().Add(most); away(resp, err) && time.Now().Before(deadline); {
				timer := time.NewTimer(pause)
				select {
				case <-timer.C:
				case <-req.Context().Done():
					timer.Stop()
					return resp, err
				}
				if resp != nil {
					_ = resp.Body.Close()
				}
				resp, err = send(req)
			}
			return resp, err
		})
	})
	return cfg
}

// away says whether nobody was there to answer: there is no connection, or whatever stands before the API server, or before
// its storage, says so. When the answer says when to come back, the client library does.
func away(resp *http.Response, err error) bool {
	if err != nil {
		return true
	}
	switch resp.StatusCode {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return resp.Header.Get("Retry-After") == ""
	}
	return false
}

// informs says whether a request is an informer's: nobody else asks for a resource version or watches.
func informs(req *http.Request) bool {
	query := req.URL.Query()
	return req.Method == http.MethodGet && (query.Has("watch") || query.Has("resourceVersion"))
}

// discovers says whether a request asks what the API server is and serves: /version, /api, /apis, /api/v1, /apis/GROUP and
// /apis/GROUP/VERSION.
func discovers(req *http.Request) bool {
	const core, groups = 2, 3
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	if req.Method != http.MethodGet {
		return false
	}
	switch parts[0] {
	case "version":
		return true
	case "api":
		return len(parts) <= core
	case "apis":
		return len(parts) <= groups
	}
	return false
}
