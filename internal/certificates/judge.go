// Package certificates makes the certificates that charts would otherwise generate with every rendering, and renews them
// before they expire. What is to be done with a certificate is decided from what its Secret holds and the time alone.
package certificates

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Keys of a Secret. Those of a successor are in the Secret of an authority that is about to be replaced.
const (
	certKey          = corev1.TLSCertKey
	privateKey       = corev1.TLSPrivateKeyKey
	bundleKey        = corev1.ServiceAccountRootCAKey
	successorCertKey = "next.crt"
	successorKey     = "next.key"
)

const (
	// maxOverlap is how long a new authority is trusted before it signs anything: by then everybody has read it.
	maxOverlap = 24 * time.Hour
	// backdate makes certificates good for machines whose clock is a little behind.
	backdate = 5 * time.Minute
)

// Spec is a certificate as it should be.
type Spec struct {
	CommonName string
	DNSNames   []string
	IPs        []net.IP
	// Usages of the key. An authority has none.
	Usages []x509.ExtKeyUsage
	// Authority says that a signed certificate may sign others, and SignsAuthorities that an authority signs such ones.
	Authority, SignsAuthorities bool
	Validity                    time.Duration
}

// Action is what to do about a Secret.
type Action string

// The actions.
const (
	// Keep the Secret as it is.
	Keep Action = "Keep"
	// Create a key and a certificate, or make both anew.
	Create Action = "Create"
	// Renew a certificate of which two thirds of the time are over, with a new key.
	Renew Action = "Renew"
	// Rebundle writes the authorities to trust anew, and keeps key and certificate.
	Rebundle Action = "Rebundle"
	// Introduce makes the successor of an authority and has it trusted.
	Introduce Action = "Introduce"
	// Promote lets the successor sign from now on. Its predecessor stays trusted.
	Promote Action = "Promote"
)

// Verdict is what to do about a Secret, and why.
type Verdict struct {
	Action Action
	// Reason never holds anything of a key.
	Reason string
	// NotAfter is when the certificate expires, and RenewAt when something is to be done about it. Both are zero unless
	// the action is Keep.
	NotAfter, RenewAt time.Time
}

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// parsePair reads a certificate and its key, and says what is wrong with them. The parser's own message may quote them.
func parsePair(certPEM, keyPEM []byte) (pair, string) {
	if len(certPEM) == 0 || len(keyPEM) == 0 {
		return pair{}, "there is no certificate or no key"
	}
	p, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil || p.Leaf == nil {
		return pair{}, "the certificate cannot be read or its key is another one's"
	}
	signer, ok := p.PrivateKey.(crypto.Signer)
	if !ok {
		return pair{}, "the key cannot sign"
	}
	return pair{p.Leaf, signer}, ""
}

// parseBundle reads every certificate in PEM text; what is no certificate is left out.
func parseBundle(text []byte) []*x509.Certificate {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return out
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			out = append(out, c)
		}
	}
}

// renewAt is when two thirds of a certificate's time are over.
func renewAt(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2)
}

// tooLong says that a certificate is valid for longer than it should be, whatever it was clamped to.
func tooLong(c *x509.Certificate, validity time.Duration) bool {
	return c.NotAfter.Sub(c.NotBefore) > validity+backdate+time.Second
}

// JudgeAuthority says what to do about an authority's Secret.
func JudgeAuthority(data map[string][]byte, want Spec, now time.Time) Verdict {
	if len(data) == 0 {
		return Verdict{Action: Create, Reason: "there is none"}
	}
	current, problem := parsePair(data[certKey], data[privateKey])
	switch {
	case problem != "":
		return Verdict{Action: Create, Reason: problem}
	case !current.cert.IsCA:
		return Verdict{Action: Create, Reason: "the certificate is no authority's"}
	case current.cert.Subject.CommonName != want.CommonName:
		return Verdict{Action: Create, Reason: "it has another name"}
	case want.SignsAuthorities && current.cert.MaxPathLenZero:
		return Verdict{Action: Create, Reason: "it may not sign authorities"}
	case !now.Before(current.cert.NotAfter):
		return Verdict{Action: Create, Reason: "it has expired"}
	}
	next, problem := parsePair(data[successorCertKey], data[successorKey])
	if problem == "" && next.cert.IsCA && now.Before(next.cert.NotAfter) {
		promoteAt := next.cert.NotBefore.Add(backdate + overlap(want.Validity))
		if promoteAt.After(current.cert.NotAfter) {
			promoteAt = current.cert.NotAfter
		}
		if !now.Before(promoteAt) {
			return Verdict{Action: Promote, Reason: "its successor is known everywhere by now"}
		}
		return kept(data, current.cert, promoteAt, next.cert)
	}
	switch {
	case tooLong(current.cert, want.Validity):
		return Verdict{Action: Introduce, Reason: "it is valid for longer than it should be"}
	case !now.Before(renewAt(current.cert)):
		return Verdict{Action: Introduce, Reason: "two thirds of its time are over"}
	}
	return kept(data, current.cert, renewAt(current.cert))
}

// kept is the verdict on an authority that stays, if its bundle names it and those that are with it.
func kept(data map[string][]byte, current *x509.Certificate, next time.Time, others ...*x509.Certificate) Verdict {
	bundle := parseBundle(data[bundleKey])
	for _, c := range append(others, current) {
		if !slices.ContainsFunc(bundle, c.Equal) {
			return Verdict{Action: Rebundle, Reason: "the authorities to trust are not complete"}
		}
	}
	return Verdict{Action: Keep, NotAfter: current.NotAfter, RenewAt: next}
}

// overlap is the time in which a successor is trusted and does not sign yet.
func overlap(validity time.Duration) time.Duration {
	const share = 12
	return min(maxOverlap, validity/share)
}

// JudgeLeaf says what to do about the Secret of a certificate that the authority signs.
func JudgeLeaf(data map[string][]byte, want Spec, a *Authority, now time.Time) Verdict {
	if len(data) == 0 {
		return Verdict{Action: Create, Reason: "there is none"}
	}
	leaf, problem := parsePair(data[certKey], data[privateKey])
	switch {
	case problem != "":
		return Verdict{Action: Create, Reason: problem}
	case leaf.cert.Subject.CommonName != want.CommonName || !sameSet(leaf.cert.DNSNames, want.DNSNames) ||
		!sameIPs(leaf.cert.IPAddresses, want.IPs):
		return Verdict{Action: Create, Reason: "it was made for other names"}
	case leaf.cert.IsCA != want.Authority:
		return Verdict{Action: Create, Reason: "it was made for something else"}
	case !sameSet(leaf.cert.ExtKeyUsage, want.Usages):
		return Verdict{Action: Create, Reason: "it was made for other usages"}
	case !a.trusts(leaf.cert, now):
		return Verdict{Action: Create, Reason: "it has expired or is signed by another authority"}
	case tooLong(leaf.cert, want.Validity):
		return Verdict{Action: Renew, Reason: "it is valid for longer than it should be"}
	case !now.Before(renewAt(leaf.cert)):
		return Verdict{Action: Renew, Reason: "two thirds of its time are over"}
	case !bytes.Equal(data[bundleKey], a.Bundle):
		return Verdict{Action: Rebundle, Reason: "the authorities to trust have changed"}
	}
	return Verdict{Action: Keep, NotAfter: leaf.cert.NotAfter, RenewAt: renewAt(leaf.cert)}
}

func sameSet[T comparable](a, b []T) bool {
	in := func(list []T) func(T) bool { return func(v T) bool { return !slices.Contains(list, v) } }
	return !slices.ContainsFunc(a, in(b)) && !slices.ContainsFunc(b, in(a))
}

func sameIPs(a, b []net.IP) bool {
	text := func(list []net.IP) []string {
		out := make([]string, len(list))
		for i := range list {
			out[i] = list[i].String()
		}
		return out
	}
	return sameSet(text(a), text(b))
}

// Authority signs certificates.
type Authority struct {
	pair
	// Bundle are the authorities to trust, in PEM.
	Bundle []byte
}

// ParseAuthority reads an authority that can sign.
func ParseAuthority(data map[string][]byte) (*Authority, bool) {
	p, problem := parsePair(data[certKey], data[privateKey])
	if problem != "" || !p.cert.IsCA {
		return nil, false
	}
	bundle := data[bundleKey]
	if !slices.ContainsFunc(parseBundle(bundle), p.cert.Equal) {
		// Who brings an authority of their own need not repeat it.
		bundle = append(append([]byte{}, encodeCert(p.cert)...), bundle...)
	}
	return &Authority{p, bundle}, true
}

// trusts says whether one of the authorities to trust has signed a certificate, and both are valid now.
func (a *Authority) trusts(c *x509.Certificate, now time.Time) bool {
	roots := x509.NewCertPool()
	for _, r := range parseBundle(a.Bundle) {
		roots.AddCert(r)
	}
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}
