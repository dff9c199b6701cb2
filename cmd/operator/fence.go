package main

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
)

// errNotLeading is why a request was not sent.
var errNotLeading = errors.New("not the leader any more: the lease has not been renewed in time")

// fence keeps an operator that has lost the leader lease without noticing from writing. The leader elector gives up when
// the lease has not been renewed for a while, but a process that was stopped for longer (a paused virtual machine, a
// starved node) goes on where it was before that, and another operator is at work by then.
type fence struct {
	valid time.Duration
	now   func() time.Time
	// renewed is when the request began that renewed the lease last.
	renewed atomic.Pointer[time.Time]
}

func newFence(valid time.Duration) *fence { return &fence{valid: valid, now: time.Now} }

// holds says whether the lease was renewed recently enough. The monotonic clock stands still while a machine is
// suspended, and the other one may be set back, so both have to agree.
func (f *fence) holds() bool {
	renewed := f.renewed.Load()
	if renewed == nil {
		return false
	}
	now := f.now()
	return now.Sub(*renewed) < f.valid && now.Round(0).Sub(renewed.Round(0)) < f.valid
}

// lease makes a configuration for the leader elector from cfg, whose renewals the fence notices.
func (f *fence) lease(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			began := f.now()
			resp, err := next.RoundTrip(req)
			if err == nil && resp.StatusCode < http.StatusMultipleChoices && !reads(req) && strings.Contains(req.URL.Path, "/leases") {
				f.renewed.Store(&began)
			}
			return resp, err
		})
	})
	return cfg
}

// guard makes a configuration from cfg whose writes go out only while the lease is held.
func (f *fence) guard(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if !reads(req) && !f.holds() {
				if req.Body != nil {
					_ = req.Body.Close()
				}
				return nil, errNotLeading
			}
			return next.RoundTrip(req)
		})
	})
	return cfg
}

func reads(req *http.Request) bool {
	return req.Method == http.MethodGet || req.Method == http.MethodHead
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip sends a request.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
