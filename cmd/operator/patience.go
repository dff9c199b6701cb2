package main

import (
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// How long an informer's request is made again while there is no connection, and how often.
const (
	patience  = 30 * time.Second
	reconnect = time.Second
)

// patient makes a configuration from cfg whose lists and watches of informers wait for a connection. Informers themselves
// wait twice as long after every failure, up to a minute, and so would see nothing for that long after the API server was
// away for a few seconds. All other requests fail at once: a reconciler does not wait.
func patient(cfg *rest.Config, most, pause time.Duration) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			for deadline := time.Now().Add(most); err != nil && informs(req) && time.Now().Before(deadline); {
				timer := time.NewTimer(pause)
				select {
				case <-timer.C:
				case <-req.Context().Done():
					timer.Stop()
					return resp, err
				}
				resp, err = next.RoundTrip(req)
			}
			return resp, err
		})
	})
	return cfg
}

// informs says whether a request is an informer's: nobody else asks for a resource version or watches.
func informs(req *http.Request) bool {
	query := req.URL.Query()
	return req.Method == http.MethodGet && (query.Has("watch") || query.Has("resourceVersion"))
}
