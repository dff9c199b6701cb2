package certificates

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"time"
)

// newPair makes a key and has it certified by a signer, itself if there is none.
func newPair(want Spec, signer *pair, now time.Time) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: want.CommonName},
		NotBefore: now.Add(-backdate).UTC().Truncate(time.Second), NotAfter: now.Add(want.Validity).UTC().Truncate(time.Second),
		DNSNames: want.DNSNames, IPAddresses: want.IPs, ExtKeyUsage: want.Usages,
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	by := pair{template, key}
	if signer == nil || want.Authority {
		template.IsCA, template.KeyUsage, template.MaxPathLenZero = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, true
	}
	if signer == nil && want.SignsAuthorities {
		template.MaxPathLen, template.MaxPathLenZero = 1, false
	}
	if signer != nil {
		by = *signer
		if template.NotAfter.After(by.cert.NotAfter) {
			template.NotAfter = by.cert.NotAfter
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		return nil, nil, fmt.Errorf("making a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), nil
}

func encodeCert(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// CarryOut is what an authority's Secret holds after an action.
func CarryOut(action Action, data map[string][]byte, want Spec, now time.Time) (map[string][]byte, error) {
	out := maps.Clone(data)
	switch action {
	case Create:
		cert, key, err := newPair(want, nil, now)
		if err != nil {
			return nil, err
		}
		out = map[string][]byte{certKey: cert, privateKey: key}
	case Introduce:
		cert, key, err := newPair(want, nil, now)
		if err != nil {
			return nil, err
		}
		out[successorCertKey], out[successorKey] = cert, key
	case Promote:
		out[certKey], out[privateKey] = data[successorCertKey], data[successorKey]
		delete(out, successorCertKey)
		delete(out, successorKey)
	case Keep, Renew, Rebundle:
	}
	out[bundleKey] = bundle(now, out[certKey], out[successorCertKey], data[bundleKey])
	return out, nil
}

// bundle is every certificate that has not expired, once, the newest first: it changes when one comes or goes, and not when
// another one begins to sign.
func bundle(now time.Time, texts ...[]byte) []byte {
	var list []*x509.Certificate
	for _, text := range texts {
		for _, c := range parseBundle(text) {
			if now.Before(c.NotAfter) && !slices.ContainsFunc(list, c.Equal) {
				list = append(list, c)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *x509.Certificate) int { return b.NotBefore.Compare(a.NotBefore) })
	var out bytes.Buffer
	for _, c := range list {
		out.Write(encodeCert(c))
	}
	return out.Bytes()
}

// Issue is what the Secret of a certificate holds after an action, signed by the authority.
func Issue(action Action, data map[string][]byte, want Spec, a *Authority, now time.Time) (map[string][]byte, error) {
	if action == Rebundle {
		return map[string][]byte{certKey: data[certKey], privateKey: data[privateKey], bundleKey: a.Bundle}, nil
	}
	cert, key, err := newPair(want, &a.pair, now)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{certKey: cert, privateKey: key, bundleKey: a.Bundle}, nil
}
