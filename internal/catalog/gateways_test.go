package catalog

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestGatewayImplementations(t *testing.T) {
	got, err := loadGateways(gateways, "gateways/implementations.yaml")
	if err != nil || len(got) == 0 {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, GatewayImplementations()); diff != "" {
		t.Error(diff)
	}
	for _, tc := range []struct{ implementation, version, needs, tested string }{
		{"Cilium", "1.20.3", "1.5.0", "1.6"},
		{"Cilium", "v1.19.6", "1.4.0", "1.4"},
		{"Cilium", "1.18.12", "1.2.0", "1.3"},
		{"Cilium", "1.17.9", "", ""},
		{"Istio", "1.31.0-beta.1", "1.5.0", "1.6"},
		{"Istio", "1.29.6", "1.2.0", "1.5"},
		{"EnvoyGateway", "v1.9.0", "1.6.0", "1.6"},
		{"EnvoyGateway", "1.8.3", "1.5.0", "1.5"},
		{"EnvoyGateway", "1.6.0", "", ""},
		{"Traefik", "3.7.11", "1.5.0", "1.6"},
		{"Linkerd", "2.20.0", "1.2.1", "1.5"},
		{"Kong", "1.0.0", "", ""},
		{"Cilium", "latest", "", ""},
	} {
		r, known := GatewayRangeOf(tc.implementation, tc.version)
		if r.Needs != tc.needs || r.Tested != tc.tested || known != (tc.needs != "") {
			t.Errorf("%s %s: %+v %v", tc.implementation, tc.version, r, known)
		}
	}
	for name, text := range map[string]string{
		"an unknown field":  "- {name: A, controlled: b}",
		"no constraint":     "- {name: A, ranges: [{versions: '>>', needs: 1.0.0, tested: '1.0'}]}",
		"no full version":   "- {name: A, ranges: [{versions: '1', needs: '1.0', tested: '1.0'}]}",
		"no minor version":  "- {name: A, ranges: [{versions: '1', needs: 1.0.0, tested: 1.0.0}]}",
		"nothing that fits": "name: A",
	} {
		if out, err := loadGateways(fstest.MapFS{"a": {Data: []byte(text)}}, "a"); err == nil {
			t.Errorf("%s is taken: %v", name, out)
		}
	}
}
