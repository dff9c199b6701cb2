package testcharts

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"
)

//go:embed corpus.yaml
var corpus []byte

// Real is a chart of upstream's and how it is installed here.
type Real struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Release is the name of the Helm release; by default that of the chart.
	Release   string `json:"release"`
	Namespace string `json:"namespace"`
	// Shared says that the namespace is not the chart's own.
	Shared bool           `json:"shared"`
	Values map[string]any `json:"values"`
	// Certificates names the certificates that the chart wants among its values.
	Certificates string `json:"certificates"`
	// Embedded says that the operator carries the chart; there is no archive.
	Embedded bool   `json:"-"`
	Cluster  string `json:"cluster"`
	Wave     int    `json:"wave"`
	NotReady string `json:"notReady"`
}

// String is the chart and its version.
func (r Real) String() string { return r.Name + "-" + r.Version }

// Corpus are all charts of corpus.yaml, whether their archives are there or not.
func Corpus() ([]Real, error) {
	var out []Real
	if err := yaml.UnmarshalStrict(corpus, &out); err != nil {
		return nil, fmt.Errorf("corpus.yaml: %w", err)
	}
	for i := range out {
		r := &out[i]
		if r.Release == "" {
			r.Release = r.Name
		}
		switch r.Certificates {
		case "":
		case "linkerd":
			values, err := linkerdIdentity()
			if err != nil {
				return nil, err
			}
			r.Values = values
		default:
			return nil, fmt.Errorf("corpus.yaml: %s: there are no certificates called %q", r, r.Certificates)
		}
	}
	return out, nil
}

// CacheDir is the directory of upstream's archives.
func CacheDir() (string, error) {
	if cache := os.Getenv("NETWORKSTACK_CACHE"); cache != "" {
		return filepath.Join(cache, "charts"), nil
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(user, "networkstack", "charts"), nil
}

// Archive is the path of the chart's archive. There is none when the error wraps fs.ErrNotExist.
func (r Real) Archive() (string, error) {
	dir, err := CacheDir()
	if err != nil {
		return "", err
	}
	// Some charts have a "v" before their version.
	for _, version := range []string{r.Version, "v" + r.Version} {
		path := filepath.Join(dir, archive(r.Name, version))
		if _, err = os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", err
}

// linkerdIdentity are the certificates without which Linkerd's chart does not render: a trust anchor and the issuer of
// its proxies' identities.
func linkerdIdentity() (map[string]any, error) {
	anchorKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	issuerKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := func(serial int64, name string) *x509.Certificate {
		const life = 48 * time.Hour
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
	}
	anchor := template(1, "root.linkerd.cluster.local")
	anchorDER, err := x509.CreateCertificate(rand.Reader, anchor, anchor, &anchorKey.PublicKey, anchorKey)
	if err != nil {
		return nil, err
	}
	issuer := template(2, "identity.linkerd.cluster.local")
	issuerDER, err := x509.CreateCertificate(rand.Reader, issuer, anchor, &issuerKey.PublicKey, anchorKey)
	if err != nil {
		return nil, err
	}
	issuerKeyDER, err := x509.MarshalECPrivateKey(issuerKey)
	if err != nil {
		return nil, err
	}
	text := func(kind string, der []byte) string {
		return string(bytes.TrimSpace(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	return map[string]any{
		"identityTrustAnchorsPEM": text("CERTIFICATE", anchorDER),
		"identity": map[string]any{"issuer": map[string]any{"tls": map[string]any{
			"crtPEM": text("CERTIFICATE", issuerDER), "keyPEM": text("EC PRIVATE KEY", issuerKeyDER),
		}}},
	}, nil
}
