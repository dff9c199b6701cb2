package compose

import (
	"fmt"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// hubbleAuthority is the Secret of the authority that signs Hubble's certificates.
const hubbleAuthority = "networkstack-hubble-ca"

const (
	day               = 24 * time.Hour
	authorityValidity = 5 * 365 * day
	leafValidity      = 365 * day
)

// hubbleCertificate is a certificate that Cilium's chart would generate with every rendering.
type hubbleCertificate struct {
	secret string
	// path of the value that names the Secret.
	path string
	// needs are the switches that have the chart want it, beside hubble.enabled.
	needs []string
	name  string
	// block holds extraDnsNames and extraIpAddresses.
	block  string
	usages []networkstackv1alpha1.CertificateUsage
}

func hubbleCertificates(cluster string) []hubbleCertificate {
	const (
		server, client  = networkstackv1alpha1.UsageServerAuth, networkstackv1alpha1.UsageClientAuth
		relay, relayTLS = "hubble.relay.enabled", "hubble.relay.tls.server.enabled"
	)
	both := []networkstackv1alpha1.CertificateUsage{server, client}
	return []hubbleCertificate{
		{"networkstack-hubble-server", "hubble.tls.server.existingSecret", nil,
			"*." + cluster + ".hubble-grpc.cilium.io", "hubble.tls.server", both},
		{"networkstack-hubble-relay-client", "hubble.relay.tls.client.existingSecret", []string{relay},
			"*.hubble-relay.cilium.io", "", both[1:]},
		{"networkstack-hubble-relay-server", "hubble.relay.tls.server.existingSecret", []string{relay, relayTLS},
			"*.hubble-relay.cilium.io", "hubble.relay.tls.server", both[:1]},
		{"networkstack-hubble-ui-client", "hubble.ui.tls.client.existingSecret",
			[]string{"hubble.ui.enabled", relay, relayTLS}, "*.hubble-ui.cilium.io", "", both[1:]},
		{"networkstack-hubble-metrics", "hubble.metrics.tls.server.existingSecret", []string{"hubble.metrics.tls.enabled"},
			cluster + ".hubble-metrics.cilium.io", "hubble.metrics.tls.server", both[:1]},
	}
}

// hubbleValues are what Hubble's certificates are made for: values that only cni.values may set, because compose does not
// see what valuesFrom refers to.
var hubbleValues = []string{"cluster.name", "hubble.enabled", "hubble.tls", "hubble.relay.enabled", "hubble.relay.tls",
	"hubble.ui.enabled", "hubble.ui.tls", "hubble.metrics.tls", "tls.ca", "tls.caBundle"}

// ciliumHubble leaves Hubble off unless the user turns it on, and then has the operator make the certificates. Whoever
// says anything about where certificates come from keeps the chart's own ways.
func (s *state) ciliumHubble(b *valuesBuilder) {
	if s.spec.CNI.FlowLogs != networkstackv1alpha1.Enabled {
		b.set("hubble.enabled", false,
			"off unless asked for; its certificates are made and renewed by the operator when it is turned on in cni.values")
	}
	b.set("hubble.peerService.clusterDomain", s.dnsDomain(), "the cluster's DNS domain")

	user := s.userValues[cniPath.String()]
	on := s.ciliumJudged().on
	if !on("hubble.enabled") || bringsCertificates(user) {
		return
	}
	cluster := "default"
	if name, _ := lookup(user, "cluster.name"); name != nil {
		cluster = fmt.Sprint(name)
	}
	validity := leafValidity
	if days, ok := lookup(user, "hubble.tls.auto.certValidityDuration"); ok {
		n, whole := days.(int64)
		const most = 3650
		if !whole || n < 1 || n > most {
			s.refuse(ruleHubbleValidity, field.Invalid(cniPath.Child("values"), field.OmitValueType{},
				"values.hubble.tls.auto.certValidityDuration must be a whole number of days, from 1 to 3650"))
			return
		}
		validity = time.Duration(n) * day
	}
	b.set("hubble.tls.auto.enabled", false,
		"the operator makes the certificates and renews them; the chart would make other ones with every rendering")
	b.certificates = []networkstackv1alpha1.Certificate{{
		SecretName: hubbleAuthority, CommonName: "Hubble CA", Validity: metav1.Duration{Duration: max(authorityValidity, 2*validity)},
	}}
	b.inline(hubbleValues...)
	for _, c := range hubbleCertificates(cluster) {
		needed := true
		for _, key := range c.needs {
			needed = needed && on(key)
		}
		if !needed {
			continue
		}
		b.set(c.path, c.secret, "the Secret with the certificate that the operator makes for it")
		made := networkstackv1alpha1.Certificate{
			SecretName: c.secret, CASecretName: hubbleAuthority, CommonName: c.name, DNSNames: []string{c.name}, Usages: c.usages,
			Validity: metav1.Duration{Duration: validity},
		}
		if c.block != "" {
			made.DNSNames = append(made.DNSNames, words(user, c.block+".extraDnsNames")...)
			made.IPAddresses = words(user, c.block+".extraIpAddresses")
			for _, text := range made.IPAddresses {
				if _, err := netip.ParseAddr(text); err != nil {
					s.refuse(ruleHubbleAddress, field.Invalid(cniPath.Child("values"), field.OmitValueType{},
						fmt.Sprintf("values.%s.extraIpAddresses: %q is no IP address", c.block, text)))
				}
			}
		}
		b.certificates = append(b.certificates, made)
	}
}

// bringsCertificates says whether the user decides where Hubble's certificates come from.
func bringsCertificates(user map[string]any) bool {
	for _, key := range []string{"hubble.tls.auto.enabled", "tls.ca.cert", "tls.ca.key", "tls.caBundle.enabled"} {
		if v, set := lookup(user, key); set && v != nil && v != "" {
			return true
		}
	}
	if v, set := lookup(user, "hubble.tls.enabled"); set && v != true && v != "true" {
		return true
	}
	if v, set := lookup(user, "hubble.tls.auto.method"); set && v != "helm" {
		return true
	}
	for _, block := range []string{"hubble.tls.server", "hubble.relay.tls.client", "hubble.relay.tls.server", "hubble.ui.tls.client",
		"hubble.metrics.tls.server"} {
		for _, key := range []string{"existingSecret", "cert", "key"} {
			if v, set := lookup(user, block+"."+key); set && v != nil && v != "" {
				return true
			}
		}
	}
	return false
}

// words is a list of strings in values; what is no string is left to the chart to refuse.
func words(values map[string]any, path string) []string {
	v, _ := lookup(values, path)
	list, _ := v.([]any)
	var out []string
	for _, item := range list {
		if text, ok := item.(string); ok {
			out = append(out, text)
		}
	}
	return out
}
