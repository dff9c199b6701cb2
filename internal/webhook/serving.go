package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// handshake bounds the look into the cache during one.
const handshake = 3 * time.Second

// Serving gives the certificate to serve with: the one in the Secret at that moment, in every replica alike.
type Serving struct {
	// Reader is expected to be a cache.
	Reader    client.Reader
	Namespace string

	mu      sync.Mutex
	version string
	parsed  *tls.Certificate
}

// errNoCertificate is told to nobody but the log.
var errNoCertificate = errors.New("the Secret of the webhook's certificate holds none that can be used")

// Certificate is for tls.Config.GetCertificate.
func (s *Serving) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	ctx, cancel := context.WithTimeout(hello.Context(), handshake)
	defer cancel()
	return s.current(ctx)
}

func (s *Serving) current(ctx context.Context) (*tls.Certificate, error) {
	var secret corev1.Secret
	err := s.Reader.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: servingSecret}, &secret)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil && s.parsed != nil:
		return s.parsed, nil // until there is another one
	case err != nil:
		return nil, err
	}
	if s.parsed != nil && s.version == secret.ResourceVersion {
		return s.parsed, nil
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil || pair.Leaf == nil {
		return nil, errNoCertificate // the parser's own message may quote what it read
	}
	s.version, s.parsed = secret.ResourceVersion, &pair
	expiry.WithLabelValues().Set(float64(pair.Leaf.NotAfter.Unix()))
	return s.parsed, nil
}
