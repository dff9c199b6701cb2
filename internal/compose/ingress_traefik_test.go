package compose

import (
	"testing"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
)

// Whoever comes while a pod ends is served by it, unless values say otherwise.
func TestTraefikAccepts(t *testing.T) {
	for want, values := range map[string]object{
		"10s": {},
		"0s":  {"ports": object{"web": object{"transport": object{"lifeCycle": object{"requestAcceptGraceTimeout": "0s"}}}}},
	} {
		_, release := composed(t, traefik(func(i *IngressSpec) { i.Values = rawValues(values) }), "ingress-a")
		got, _ := lookup(chartValues(t, release.Spec), "ports.web.transport.lifeCycle.requestAcceptGraceTimeout")
		if got != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}
