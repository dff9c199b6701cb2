package certificates

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/secrets"
)

// The values of the label on Secrets of ours.
const (
	labelAuthority = "Authority"
	labelLeaf      = "Leaf"
)

// SecretError says that a Secret that somebody else made cannot be used.
type SecretError struct {
	// Secret is "namespace/name".
	Secret string
	// Problem never holds anything of the Secret.
	Problem string
}

func (e *SecretError) Error() string {
	return fmt.Sprintf("Secret %s, which the operator did not make: %s: correct it, or delete it to have one made", e.Secret, e.Problem)
}

// Keeper keeps the Secrets of components' certificates. Secrets are read where no cache has them.
type Keeper struct {
	Live   client.Reader
	Client client.Client
	// Now is the time; nil means that of the machine.
	Now func() time.Time
}

// Change is something that was done to a Secret.
type Change struct {
	Secret string
	Action Action
	Reason string
}

// Outcome is how the certificates of a component are.
type Outcome struct {
	Certificates []networkstackv1alpha1.CertificateStatus
	// Bundles are the certificates to trust, in PEM, by the name of the Secret that has them.
	Bundles map[string]string
	// Secrets are the metadata of those that the operator made.
	Secrets []metav1.PartialObjectMetadata
	Changes []Change
}

// Ensure has every certificate exist, be what is wanted, and be renewed in time. What was done is in the outcome even when
// there is an error.
func (k *Keeper) Ensure(ctx context.Context, component, namespace string, wanted []networkstackv1alpha1.Certificate) (
	*Outcome, error,
) {
	run := &run{Keeper: k, component: component, namespace: namespace, now: time.Now(),
		authorities: map[string]*Authority{}, signers: map[string]bool{}, out: &Outcome{Bundles: map[string]string{}}}
	for i := range wanted {
		if wanted[i].Authority {
			run.signers[wanted[i].CASecretName] = true
		}
	}
	if k.Now != nil {
		run.now = k.Now()
	}
	for _, signed := range []bool{false, true} {
		for i := range wanted {
			if (wanted[i].CASecretName != "") != signed {
				continue
			}
			if err := run.ensure(ctx, &wanted[i]); err != nil {
				return run.out, err
			}
		}
	}
	return run.out, nil
}

// Prune deletes the Secrets that were made for a component and are not among those to keep.
func (k *Keeper) Prune(ctx context.Context, component, namespace string, keep []networkstackv1alpha1.Certificate) error {
	return secrets.Prune(ctx, k.Live, k.Client, networkstackv1alpha1.CertificateLabel, component, namespace, func(name string) bool {
		return slices.ContainsFunc(keep, func(c networkstackv1alpha1.Certificate) bool { return c.SecretName == name })
	})
}

// run is one pass over the certificates of a component.
type run struct {
	*Keeper
	component, namespace string
	now                  time.Time
	authorities          map[string]*Authority
	// signers are the Secrets of authorities that sign authorities.
	signers map[string]bool
	out     *Outcome
}

func (r *run) ensure(ctx context.Context, c *networkstackv1alpha1.Certificate) error {
	var live corev1.Secret
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: c.SecretName}, &live)
	switch {
	case apierrors.IsNotFound(err) && c.External:
		return &SecretError{Secret: r.namespace + "/" + c.SecretName, Problem: "it is missing"}
	case apierrors.IsNotFound(err):
		live = corev1.Secret{}
	case err != nil:
		return fmt.Errorf("reading Secret %s/%s: %w", r.namespace, c.SecretName, err)
	case !r.ours(&live):
		return r.external(c, &live)
	}
	spec, err := specOf(c)
	if err != nil {
		return err
	}
	spec.SignsAuthorities = r.signers[c.SecretName]
	judge := func(data map[string][]byte) Verdict { return JudgeAuthority(data, spec, r.now) }
	act := func(v Verdict, data map[string][]byte) (map[string][]byte, error) {
		return CarryOut(v.Action, data, spec, r.now)
	}
	if c.CASecretName != "" {
		a := r.authorities[c.CASecretName]
		if a == nil {
			return fmt.Errorf("certificate %s is to be signed by %s, which is none of the component's authorities", c.SecretName, c.CASecretName)
		}
		judge = func(data map[string][]byte) Verdict { return JudgeLeaf(data, spec, a, r.now) }
		act = func(v Verdict, data map[string][]byte) (map[string][]byte, error) {
			return Issue(v.Action, data, spec, a, r.now)
		}
	}
	meta, data := live.ObjectMeta, live.Data
	verdict := judge(data)
	if verdict.Action != Keep {
		done := verdict
		if data, err = act(verdict, data); err != nil {
			return err
		}
		if meta, err = r.write(ctx, c, &live, data); err != nil {
			return err
		}
		r.out.Changes = append(r.out.Changes, Change{Secret: r.namespace + "/" + c.SecretName, Action: done.Action, Reason: done.Reason})
		if verdict = judge(data); verdict.Action != Keep {
			return fmt.Errorf("the certificate in Secret %s/%s is not as it should be after it was made: %s",
				r.namespace, c.SecretName, verdict.Reason)
		}
	}
	if c.CASecretName == "" {
		r.authorities[c.SecretName], _ = ParseAuthority(data)
	}
	r.out.Bundles[c.SecretName] = string(data[bundleKey])
	notAfter, at := metav1.NewTime(verdict.NotAfter), metav1.NewTime(verdict.RenewAt)
	r.out.Certificates = append(r.out.Certificates, networkstackv1alpha1.CertificateStatus{
		SecretName: c.SecretName, NotAfter: &notAfter, RenewAt: &at})
	r.out.Secrets = append(r.out.Secrets, metav1.PartialObjectMetadata{ObjectMeta: meta})
	return nil
}

// external takes a Secret of somebody else's as it is. An authority has to be able to sign.
func (r *run) external(c *networkstackv1alpha1.Certificate, live *corev1.Secret) error {
	s := networkstackv1alpha1.CertificateStatus{SecretName: c.SecretName}
	if list := parseBundle(live.Data[certKey]); len(list) > 0 {
		notAfter := metav1.NewTime(list[0].NotAfter)
		s.NotAfter = &notAfter
	}
	if c.CASecretName == "" {
		a, ok := ParseAuthority(live.Data)
		if !ok {
			return &SecretError{Secret: r.namespace + "/" + c.SecretName,
				Problem: "it holds no authority with its key under tls.crt and tls.key"}
		}
		if r.signers[c.SecretName] && a.cert.MaxPathLenZero {
			return &SecretError{Secret: r.namespace + "/" + c.SecretName, Problem: "its certificate may not sign authorities"}
		}
		r.authorities[c.SecretName] = a
		r.out.Bundles[c.SecretName] = string(a.Bundle)
	} else {
		r.out.Bundles[c.SecretName] = string(live.Data[bundleKey])
	}
	r.out.Certificates = append(r.out.Certificates, s)
	return nil
}

// ours says whether the operator made a Secret for this component.
func (r *run) ours(s *corev1.Secret) bool {
	return s.Labels[networkstackv1alpha1.ComponentLabel] == r.component && s.Labels[networkstackv1alpha1.CertificateLabel] != ""
}

// write applies a Secret in place of what was judged.
func (r *run) write(ctx context.Context, c *networkstackv1alpha1.Certificate, live *corev1.Secret, data map[string][]byte) (
	metav1.ObjectMeta, error,
) {
	label := labelAuthority
	if c.CASecretName != "" {
		label = labelLeaf
	}
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: c.SecretName, ResourceVersion: live.ResourceVersion,
			Labels: map[string]string{networkstackv1alpha1.ComponentLabel: r.component, networkstackv1alpha1.CertificateLabel: label}},
		Type: corev1.SecretTypeTLS, Data: data,
	}
	return secrets.Apply(ctx, r.Client, s)
}

func specOf(c *networkstackv1alpha1.Certificate) (Spec, error) {
	out := Spec{CommonName: c.CommonName, DNSNames: c.DNSNames, Validity: c.Validity.Duration, Authority: c.Authority}
	for _, text := range c.IPAddresses {
		ip := net.ParseIP(text)
		if ip == nil {
			return Spec{}, fmt.Errorf("certificate %s: %q is no IP address", c.SecretName, text)
		}
		out.IPs = append(out.IPs, ip)
	}
	for _, u := range c.Usages {
		switch u {
		case networkstackv1alpha1.UsageServerAuth:
			out.Usages = append(out.Usages, x509.ExtKeyUsageServerAuth)
		case networkstackv1alpha1.UsageClientAuth:
			out.Usages = append(out.Usages, x509.ExtKeyUsageClientAuth)
		}
	}
	return out, nil
}
