package lifecycle

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testcharts"
)

const (
	hubbleCA     = "networkstack-hubble-ca"
	hubbleServer = "networkstack-hubble-server"
	hubbleRelay  = "networkstack-hubble-relay-client"
)

// TestCertificates takes Hubble's certificates through their life: made, kept over a restart, made again when deleted,
// renewed in time, and gone with Hubble, and with Cilium.
func TestCertificates(t *testing.T) {
	t.Parallel()
	charts := testcharts.PinnedDir(t, "cilium", "1.20.0")
	e := newEnv(t, controlplane.Options{}, "--charts", charts)
	stack := sample(t, ciliumSample)
	stack.Spec.KubeProxy.Mode = networkstackv1alpha1.KubeProxyUnmanaged
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	stack.Spec.CNI.Values = rawJSON(`{"hubble": {"enabled": true, "relay": {"enabled": true}}}`)
	e.apply(stack)
	e.waitReady(stack.Name)

	made := map[string]*corev1.Secret{}
	for _, name := range []string{hubbleCA, hubbleServer, hubbleRelay} {
		made[name] = e.certificate(name)
	}
	known := e.component("cilium").Status.Certificates
	if len(known) != len(made) || slices.ContainsFunc(known, func(c networkstackv1alpha1.CertificateStatus) bool {
		return !c.RenewAt.After(time.Now()) || !c.NotAfter.After(c.RenewAt.Time)
	}) {
		t.Errorf("status.certificates: %s", toJSON(known))
	}
	if list := e.helm("get", "manifest", "cilium", "-n", "kube-system"); strings.Contains(list, "kind: Secret") || strings.Contains(list, "PRIVATE KEY") {
		t.Error("Helm's release holds a Secret or a key")
	}

	e.process.Kill()
	e.startOperator()
	deleted := made[hubbleRelay]
	e.check(e.client.Delete(t.Context(), deleted))
	e.eventually("the deleted certificate to be made again", func(ctx context.Context) (bool, string) {
		var s corev1.Secret
		err := e.client.Get(ctx, client.ObjectKeyFromObject(deleted), &s)
		return err == nil && s.UID != deleted.UID, toJSON(err)
	})
	for _, name := range []string{hubbleCA, hubbleServer} {
		if s := e.certificate(name); s.ResourceVersion != made[name].ResourceVersion {
			t.Errorf("%s was written again by a new process", name)
		}
	}

	// Months pass: the same certificate, made so long ago that it is due in some seconds.
	authority, ok := certificates.ParseAuthority(made[hubbleCA].Data)
	if !ok {
		t.Fatal("the authority cannot be read")
	}
	const validity, soon = 365 * 24 * time.Hour, 5 * time.Second
	name := "*.default.hubble-grpc.cilium.io"
	old, err := certificates.Issue(certificates.Renew, nil, certificates.Spec{CommonName: name, DNSNames: []string{name},
		Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, Validity: validity}, authority, time.Now().Add(-validity/3*2+soon))
	e.check(err)
	server := made[hubbleServer].DeepCopy()
	server.Data = old
	e.check(e.client.Update(t.Context(), server))
	e.eventually("the certificate to be renewed", func(context.Context) (bool, string) {
		s := e.certificate(hubbleServer)
		return string(s.Data["tls.crt"]) != string(old["tls.crt"]), s.ResourceVersion
	})
	e.eventually("the renewal to be told", func(context.Context) (bool, string) {
		return e.countEvents("cilium", networkstackv1alpha1.ReasonCertificateRenewed) == 1, toJSON(e.component("cilium").Status.Certificates)
	})
	e.waitReady(stack.Name)

	revision := e.revision("cilium")
	stack.Spec.CNI.Values = nil
	e.apply(stack)
	for _, s := range made {
		e.gone(&corev1.Secret{ObjectMeta: s.ObjectMeta})
	}
	e.waitReady(stack.Name)
	if r := e.revision("cilium"); r != revision+1 {
		t.Errorf("Cilium is at revision %d after %d", r, revision)
	}

	stack.Spec.CNI.Values = rawJSON(`{"hubble": {"enabled": true}}`)
	e.apply(stack)
	e.waitReady(stack.Name)
	made[hubbleServer] = e.certificate(hubbleServer)
	e.check(e.client.Delete(t.Context(), e.stack(stack.Name)))
	e.gone(e.stack(stack.Name))
	for _, s := range made {
		e.gone(&corev1.Secret{ObjectMeta: s.ObjectMeta})
	}
}

func (e *env) certificate(name string) *corev1.Secret {
	e.t.Helper()
	var s corev1.Secret
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Namespace: "kube-system", Name: name}, &s))
	return &s
}
