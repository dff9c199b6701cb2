package compose

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/test/testcharts"
)

// everything of Hubble that wants a certificate.
func everything() object {
	return object{"hubble": object{
		"enabled": true, "relay": object{"enabled": true, "tls": object{"server": object{"enabled": true}}}, "ui": object{"enabled": true},
		"metrics": object{"enabled": []any{"drop"}, "tls": object{"enabled": true}},
	}}
}

func TestHubbleCertificates(t *testing.T) {
	const server, relayClient, relayServer, ui, metrics = "networkstack-hubble-server", "networkstack-hubble-relay-client",
		"networkstack-hubble-relay-server", "networkstack-hubble-ui-client", "networkstack-hubble-metrics"
	hubble := func(more object) object {
		return object{"hubble": MergeValues(object{"enabled": true}, more)}
	}
	for _, tc := range []struct {
		name   string
		values object
		want   []string
	}{
		{"Hubble is off", object{}, nil},
		{"turned off", object{"hubble": object{"enabled": false, "tls": object{"enabled": true}}}, nil},
		{"on", hubble(nil), []string{server}},
		{"on, by a string", object{"hubble": object{"enabled": "true"}}, []string{server}},
		{"with relay", hubble(object{"relay": object{"enabled": true}}), []string{server, relayClient}},
		{"with UI", hubble(object{"relay": object{"enabled": true}, "ui": object{"enabled": true}}), []string{server, relayClient}},
		{"with everything", everything(), []string{server, relayClient, relayServer, ui, metrics}},
		{"the chart's way, which is the default, in so many words", hubble(object{"tls": object{"auto": object{"method": "helm"}}}), []string{server}},
		// Whoever decides where certificates come from is left alone.
		{"the chart's generator asked for", hubble(object{"tls": object{"auto": object{"enabled": true}}}), nil},
		{"none generated", hubble(object{"tls": object{"auto": object{"enabled": false}}}), nil},
		{"by a CronJob", hubble(object{"tls": object{"auto": object{"method": "cronJob"}}}), nil},
		{"by cert-manager", hubble(object{"tls": object{"auto": object{"method": "certmanager"}}}), nil},
		{"without TLS", hubble(object{"tls": object{"enabled": false}}), nil},
		{"an own Secret", hubble(object{"tls": object{"server": object{"existingSecret": "mine"}}}), nil},
		{"an own key for relay", hubble(object{"relay": object{"enabled": true, "tls": object{"client": object{"cert": "a", "key": "b"}}}}), nil},
		{"an own authority", MergeValues(hubble(nil), object{"tls": object{"ca": object{"cert": "a", "key": "b"}}}), nil},
		{"an own bundle", MergeValues(hubble(nil), object{"tls": object{"caBundle": object{"enabled": true}}}), nil},
		{"empty settings are none", hubble(object{"tls": object{"server": object{"existingSecret": ""}}}), []string{server}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := accepted(t, cilium(values(tc.values)))
			rel, merged := releaseNamed(t, r, "cilium")
			var got []string
			for _, c := range rel.Spec.Certificates {
				if c.CASecretName != "" {
					got = append(got, c.SecretName)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			auto, derived := lookup(chartValuesOf(t, rel.Spec.DerivedValues.Raw), "hubble.tls.auto.enabled")
			if derived != (tc.want != nil) || derived && auto != false {
				t.Errorf("hubble.tls.auto.enabled is %v", auto)
			}
			closed := slices.ContainsFunc(rel.Spec.ControlledValues, func(c ControlledValue) bool {
				return c == ControlledValue{Path: "cluster.name", By: "spec.cni.values"}
			})
			if closed != (tc.want != nil) {
				t.Errorf("valuesFrom may set cluster.name: %v", !closed)
			}
			// What the user wrote is there as it was written.
			for path, want := range leaves("", tc.values) {
				if got, _ := lookup(merged, path); !cmp.Equal(got, want) {
					t.Errorf("%s is %v, want %v as the user has it", path, got, want)
				}
			}
		})
	}
}

func chartValuesOf(t *testing.T, raw []byte) object {
	t.Helper()
	var out object
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// leaves are all values that are no maps, by path.
func leaves(at string, values object) map[string]any {
	out := map[string]any{}
	for k, v := range values {
		if below, ok := v.(object); ok {
			maps.Copy(out, leaves(at+k+".", below))
			continue
		}
		out[at+k] = v
	}
	return out
}

// TestHubbleCertificate holds one certificate to the letter.
func TestHubbleCertificate(t *testing.T) {
	given := object{"cluster": object{"name": "east-1"}, "hubble": object{"enabled": true, "tls": object{
		"auto": object{"certValidityDuration": 30}, "server": object{"extraDnsNames": []any{"a.example.com"}, "extraIpAddresses": []any{"192.0.2.1"}}}}}
	rel, _ := releaseNamed(t, accepted(t, cilium(values(given))), "cilium")
	want := []Certificate{
		{SecretName: "networkstack-hubble-ca", CommonName: "Hubble CA", Validity: metav1.Duration{Duration: 5 * 365 * 24 * time.Hour}},
		{SecretName: "networkstack-hubble-server", CASecretName: "networkstack-hubble-ca", CommonName: "*.east-1.hubble-grpc.cilium.io",
			DNSNames: []string{"*.east-1.hubble-grpc.cilium.io", "a.example.com"}, IPAddresses: []string{"192.0.2.1"},
			Usages: []CertificateUsage{UsageServerAuth, UsageClientAuth}, Validity: metav1.Duration{Duration: 30 * 24 * time.Hour}},
	}
	if diff := cmp.Diff(want, rel.Spec.Certificates); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, tc := range []struct {
		said  string
		wrong object
	}{
		{"certValidityDuration", object{"tls": object{"auto": object{"certValidityDuration": "long"}}}},
		{"from 1 to 3650", object{"tls": object{"auto": object{"certValidityDuration": 0}}}},
		{"from 1 to 3650", object{"tls": object{"auto": object{"certValidityDuration": 3651}}}},
		{"is no IP address", object{"tls": object{"server": object{"extraIpAddresses": []any{"x"}}}}},
	} {
		errs := Compose(cilium(values(object{"hubble": MergeValues(object{"enabled": true}, tc.wrong)}))).Errors
		if len(errs) != 1 || !strings.Contains(errs[0].Message, tc.said) {
			t.Errorf("%v: %v", tc.wrong, errs)
		}
	}
}

// TestHubbleLongCertificate wants an authority that outlives what it signs.
func TestHubbleLongCertificate(t *testing.T) {
	rel, _ := releaseNamed(t, accepted(t, cilium(values(object{"hubble": object{"enabled": true, "tls": object{
		"auto": object{"certValidityDuration": 3650}}}}))), "cilium")
	authority, server := rel.Spec.Certificates[0], rel.Spec.Certificates[1]
	if authority.Validity.Duration != 2*3650*24*time.Hour || server.Validity.Duration != 3650*24*time.Hour {
		t.Errorf("valid for %v, and the authority for %v", server.Validity, authority.Validity)
	}
}

// TestHubbleRenders lets Cilium's own chart read it: nothing is generated any more, and what pods mount is what is made.
func TestHubbleRenders(t *testing.T) {
	for _, version := range []string{"1.20.0", "1.19.6"} {
		t.Run(version, func(t *testing.T) {
			c := testcharts.Upstream(t, "cilium", version)
			rel, given := releaseNamed(t, accepted(t, cilium(values(everything()))), "cilium")
			objects := render(t, c, rel, given)
			if diff := cmp.Diff(objects, render(t, c, rel, given)); diff != "" {
				t.Errorf("a second rendering differs:\n%s", diff)
			}
			used := map[string]bool{}
			for name, o := range objects {
				if strings.HasPrefix(name, "Secret ") {
					t.Errorf("%s would be generated anew with every rendering", name)
				}
				raw, err := json.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(raw), "PRIVATE KEY") {
					t.Errorf("%s holds a key", name)
				}
				if !strings.HasPrefix(name, "DaemonSet ") && !strings.HasPrefix(name, "Deployment ") {
					continue
				}
				volumes, _ := lookup(o, "spec.template.spec.volumes")
				for _, v := range secretsOf(volumes) {
					used[v] = true
				}
			}
			made := map[string]bool{}
			for _, c := range rel.Spec.Certificates {
				if c.CASecretName != "" {
					made[c.SecretName] = true
				}
			}
			if diff := cmp.Diff(made, used); diff != "" {
				t.Errorf("made (-) and mounted (+):\n%s", diff)
			}
		})
	}
}

// secretsOf are the Secrets with certificates of Hubble that volumes project.
func secretsOf(volumes any) []string {
	var out []string
	list, _ := volumes.([]any)
	for _, v := range list {
		sources, _ := lookup(v.(object), "projected.sources") //nolint:forcetypeassert // a volume is a mapping
		items, _ := sources.([]any)
		for _, s := range items {
			if name, _ := lookup(s.(object), "secret.name"); name != nil { //nolint:forcetypeassert // so is a source
				if text, ok := name.(string); ok && strings.Contains(text, "hubble") {
					out = append(out, text)
				}
			}
		}
	}
	return out
}
