package facts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

const (
	// certificateTimeout bounds one look at a certificate.
	certificateTimeout = 5 * time.Second
	// certificateHolds is how long a certificate that is good is taken for it.
	certificateHolds = time.Hour
)

// ServerCertificate is what an API server showed at an address.
type ServerCertificate struct {
	// Endpoint is the address.
	Endpoint networkstackv1alpha1.Endpoint `json:"endpoint,omitzero"`
	// Covers says that the certificate is made for the address's host.
	Covers bool `json:"covers,omitzero"`
	// Names and addresses that it is made for, ordered.
	Names []string `json:"names,omitzero"`
}

// CertificateWatch looks at the certificates of API servers, in goroutines of its own. It sends nothing and trusts nothing: what counts
// is the names alone, for those that the agents will hold the address against.
type CertificateWatch struct {
	wake func()
	// dial gives the certificate of a server.
	dial func(ctx context.Context, e networkstackv1alpha1.Endpoint) (*x509.Certificate, error)

	mu sync.Mutex
	// asked is the address of the last question, and known what was found there; nil when it could not be reached.
	asked   networkstackv1alpha1.Endpoint
	known   *ServerCertificate
	looked  time.Time
	looking bool
}

// NewCertificateWatch makes one that calls wake when it knows something new.
func NewCertificateWatch(wake func()) *CertificateWatch {
	return &CertificateWatch{wake: wake, dial: dialCertificate}
}

// Of is what an API server shows at an address; nil when that is not known, or it cannot be reached. Pending says that it is being
// looked at for the first time. Nothing is waited for.
func (w *CertificateWatch) Of(ctx context.Context, e networkstackv1alpha1.Endpoint) (known *ServerCertificate, pending bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e != w.asked {
		w.asked, w.known, w.looked = e, nil, time.Time{}
	}
	holds := LookAgain
	if w.known != nil && w.known.Covers {
		holds = certificateHolds
	}
	if !w.looking && time.Since(w.looked) >= holds {
		w.looking = true
		go w.look(context.WithoutCancel(ctx), e)
	}
	return w.known, w.looked.IsZero()
}

func (w *CertificateWatch) look(ctx context.Context, e networkstackv1alpha1.Endpoint) {
	ctx, cancel := context.WithTimeout(ctx, certificateTimeout)
	defer cancel()
	var found *ServerCertificate
	if c, err := w.dial(ctx, e); err == nil {
		found = &ServerCertificate{Endpoint: e, Covers: c.VerifyHostname(e.Host) == nil, Names: namesOf(c)}
	}
	w.mu.Lock()
	w.looking = false
	news := e != w.asked || w.looked.IsZero() || (found == nil) != (w.known == nil) || found != nil && found.Covers != w.known.Covers
	if e == w.asked {
		w.known, w.looked = found, time.Now()
	}
	w.mu.Unlock()
	if news {
		w.wake()
	}
}

// namesOf are the names and addresses that a certificate is made for.
func namesOf(c *x509.Certificate) []string {
	out := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	slices.Sort(out)
	return out
}

// dialCertificate shakes hands with a server, and closes the connection before anything is said.
func dialCertificate(ctx context.Context, e networkstackv1alpha1.Endpoint) (*x509.Certificate, error) {
	dialer := &tls.Dialer{Config: &tls.Config{
		ServerName: e.Host, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // the certificate is looked at, and nothing is sent to whoever shows it
	}}
	c, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))))
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	connection, ok := c.(*tls.Conn)
	if !ok || len(connection.ConnectionState().PeerCertificates) == 0 {
		return nil, errors.New("the server shows no certificate")
	}
	return connection.ConnectionState().PeerCertificates[0], nil
}
