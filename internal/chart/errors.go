package chart

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
)

// RefError is a reference that cannot be right. Trying again does not help.
type RefError struct {
	Ref Ref
	Err error
}

func (e *RefError) Error() string { return fmt.Sprintf("chart %s: %v", e.Ref, e.Err) }

// Unwrap gives the reason.
func (e *RefError) Unwrap() error { return e.Err }

// DigestError is an archive that is not the pinned one. It is never used and never cached.
type DigestError struct {
	// Want is the digest that was pinned, or that the repository's index states.
	Want string
	// Got is the digest of the archive.
	Got string
	// Source of the archive.
	Source string
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("the chart archive of %s has digest %s, not %s: it is not the chart that was pinned, and is not used", e.Source, e.Got, e.Want)
}

// SourceError is a source that could not give the chart.
type SourceError struct {
	// URL of the source, without credentials.
	URL string
	// Reason in plain words.
	Reason string
	// Temporary says that trying again may help without anybody changing anything.
	Temporary bool
}

func (e *SourceError) Error() string { return fmt.Sprintf("chart source %s: %s", e.URL, e.Reason) }

// redact removes credentials from a URL: user and password, and the query, which may hold a token.
func redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		// Not even its parts are known, so none can be shown.
		return "(unreadable URL)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// sourceError explains why a request to a URL failed.
func (l *Loader) sourceError(raw string, err error) *SourceError {
	reason, temporary := l.explain(err)
	return &SourceError{URL: redact(raw), Reason: reason, Temporary: temporary}
}

// explain says in plain words why a request failed, and whether trying again may help.
func (l *Loader) explain(err error) (reason string, temporary bool) {
	var (
		redirect    *redirectError
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		wrapped     *url.Error
	)
	switch {
	case errors.As(err, &redirect):
		return redirect.Error(), false
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("no answer within %s", l.options.Timeout), true
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return fmt.Sprintf("DNS does not know the host %s", dns.Name), true
		}
		return fmt.Sprintf("DNS lookup of %s failed: %s", dns.Name, dns.Err), true
	case errors.As(err, &certificate):
		return fmt.Sprintf("TLS: %v", certificate.Err), false
	case errors.As(err, &authority):
		return fmt.Sprintf("TLS: %v", authority), false
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "TLS: the server does not speak TLS on this port", false
	case errors.As(err, &alert):
		return fmt.Sprintf("TLS: %v", alert), false
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused", true
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the host", true
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the answer was complete", true
	case errors.As(err, &wrapped):
		// Its own text has the URL again, maybe with credentials.
		if wrapped.Timeout() {
			return fmt.Sprintf("no answer within %s", l.options.Timeout), true
		}
		return wrapped.Err.Error(), true
	}
	return err.Error(), true
}

// statusReason says in plain words what an HTTP status means for the reader.
func statusReason(status int) (reason string, temporary bool) {
	text := fmt.Sprintf("HTTP %d %s", status, http.StatusText(status))
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return "access denied (" + text + ")", false
	case status == http.StatusNotFound, status == http.StatusGone:
		return "not found (" + text + ")", false
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return "the server could not answer (" + text + ")", true
	}
	return "unexpected answer (" + text + ")", false
}
