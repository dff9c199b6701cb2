package facts

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// TestDialCertificate looks at a real server, whose certificate nobody trusts.
func TestDialCertificate(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	e := networkstackv1alpha1.Endpoint{Host: u.Hostname(), Port: int32(port)}
	c, err := dialCertificate(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"*.example.com", "127.0.0.1", "::1", "example.com"}, namesOf(c)); diff != "" {
		t.Error(diff)
	}
	server.Close()
	if _, err := dialCertificate(t.Context(), e); err == nil {
		t.Error("a server that is gone has a certificate")
	}
}

// TestCertificateWatch wants an address to be looked at once, in the background, again after a while when something is wrong with it,
// and everybody to be told of news alone.
func TestCertificateWatch(t *testing.T) {
	woken, dialled := make(chan struct{}, 10), make(chan networkstackv1alpha1.Endpoint, 10)
	answers := make(chan func() (*x509.Certificate, error), 10)
	w := NewCertificateWatch(func() { woken <- struct{}{} })
	w.dial = func(ctx context.Context, e networkstackv1alpha1.Endpoint) (*x509.Certificate, error) {
		dialled <- e
		select {
		case answer := <-answers:
			return answer()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	made := func(names ...string) func() (*x509.Certificate, error) {
		return func() (*x509.Certificate, error) {
			return &x509.Certificate{DNSNames: names, IPAddresses: []net.IP{net.ParseIP("10.0.0.1")}}, nil
		}
	}
	a, b := networkstackv1alpha1.Endpoint{Host: "a.example.com", Port: 6443}, networkstackv1alpha1.Endpoint{Host: "10.0.0.1", Port: 6443}
	ask := func(e networkstackv1alpha1.Endpoint, want *ServerCertificate, wantPending bool) {
		t.Helper()
		got, pending := w.Of(t.Context(), e)
		if diff := cmp.Diff(want, got); diff != "" || pending != wantPending {
			t.Fatalf("pending %v, -want +got:\n%s", pending, diff)
		}
	}
	wait := func(what string, c <-chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(time.Minute):
			t.Fatalf("timed out waiting for %s", what)
		}
	}
	settled := func() {
		t.Helper()
		deadline := time.After(time.Minute)
		for {
			w.mu.Lock()
			looking := w.looking
			w.mu.Unlock()
			if !looking {
				return
			}
			select {
			case <-deadline:
				t.Fatal("timed out waiting for the look to end")
			case <-time.After(time.Millisecond):
			}
		}
	}
	later := func() { w.mu.Lock(); w.looked = time.Now().Add(-LookAgain); w.mu.Unlock() }

	ask(a, nil, true)
	ask(a, nil, true) // it is being looked at
	answers <- made("kubernetes")
	wait("news", woken)
	wrong := &ServerCertificate{Endpoint: a, Names: []string{"10.0.0.1", "kubernetes"}}
	ask(a, wrong, false)
	if n := len(dialled); n != 1 {
		t.Fatalf("%d looks, where 1 was due", n)
	}
	later()
	answers <- made("a.example.com")
	ask(a, wrong, false)
	wait("the certificate to be put right", woken)
	right := &ServerCertificate{Endpoint: a, Covers: true, Names: []string{"10.0.0.1", "a.example.com"}}
	later()
	ask(a, right, false)
	if n := len(dialled); n != 2 {
		t.Fatalf("%d looks: a good certificate is looked at too often", n)
	}
	// Another address is another matter, and one that cannot be reached is not known.
	answers <- func() (*x509.Certificate, error) { return nil, errors.New("refused") }
	ask(b, nil, true)
	wait("an answer", woken)
	ask(b, nil, false)
	later()
	answers <- func() (*x509.Certificate, error) { return nil, errors.New("refused") }
	ask(b, nil, false)
	settled()
	if len(woken) > 0 {
		t.Error("no news was told as some")
	}
	later()
	answers <- made()
	ask(b, nil, false)
	wait("news", woken)
	ask(b, &ServerCertificate{Endpoint: b, Covers: true, Names: []string{"10.0.0.1"}}, false)
}
