package chart

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

const (
	userAgent    = "networkstack"
	maxRedirects = 10
)

// redirectError is a redirection that is not followed.
type redirectError struct{ reason string }

func (e *redirectError) Error() string { return e.reason }

// newClient copies the client, or the default one, and gives it our redirect policy.
func newClient(base *http.Client) *http.Client {
	client := &http.Client{}
	if base != nil {
		*client = *base
	}
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) >= maxRedirects {
			return &redirectError{fmt.Sprintf("redirected more than %d times, last to %s", maxRedirects, redact(req.URL.String()))}
		}
		if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return &redirectError{"redirected from https to " + redact(req.URL.String()) + ", which nobody vouches for"}
		}
		return nil
	}
	return client
}

// answer is an HTTP answer that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get fetches a URL. A status other than 200, and 304 when the request was conditional, is an error,
// as is a body larger than limit.
func (l *Loader) get(ctx context.Context, url string, header http.Header, limit int64) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, &SourceError{URL: redact(url), Reason: "not a URL"}
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := l.client.Do(req)
	if err != nil {
		return nil, l.sourceError(url, err)
	}
	defer resp.Body.Close()
	conditional := header.Get("If-None-Match") != "" || header.Get("If-Modified-Since") != ""
	switch {
	case resp.StatusCode == http.StatusOK:
	case resp.StatusCode == http.StatusNotModified && conditional:
		return &answer{status: resp.StatusCode, header: resp.Header}, nil
	default:
		reason, temporary := statusReason(resp.StatusCode)
		return nil, &SourceError{URL: redact(url), Reason: reason, Temporary: temporary}
	}
	if resp.ContentLength > limit {
		return nil, &SourceError{URL: redact(url), Reason: (&sizeError{limit}).Error()}
	}
	body, err := readLimited(resp.Body, limit)
	var size *sizeError
	switch {
	case errors.As(err, &size):
		return nil, &SourceError{URL: redact(url), Reason: size.Error()}
	case err != nil:
		return nil, l.sourceError(url, err)
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// isHTTP tells a Helm repository's URL from a registry's.
func isHTTP(url string) bool {
	return strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://")
}
