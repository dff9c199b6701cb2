package compose

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/catalog"
)

// TestMonitorOfMetalLB wants pods found by the name of the Helm release, whatever the component's, and spoken to as the catalogue says.
func TestMonitorOfMetalLB(t *testing.T) {
	in := flannel(metallb, observed(ObservabilitySpec{}), prometheus, func(in *Input) {
		entry := in.Catalog[TypeMetalLB]
		entry.ReleaseName = "lb"
		in.Catalog[TypeMetalLB] = entry
	})
	_, values := releaseNamed(t, accepted(t, in), nameObservability)
	list, _ := values["monitors"].([]any)
	for _, m := range list {
		monitor := m.(object)
		if monitor["name"] != "metallb-controller" {
			continue
		}
		instance, _ := lookup(monitor, "selector")
		if got := instance.(object)[componentInstanceLabel]; got != "lb" || monitor["scheme"] != "https" || monitor["token"] != true || monitor["path"] != "/metrics" {
			t.Errorf("%v", monitor)
		}
		return
	}
	t.Errorf("the controller is not monitored: %v", list)
}

// TestDashboardGrid wants the graphs of a dashboard beside each other: Grafana has 24 columns, and moves what overlaps.
func TestDashboardGrid(t *testing.T) {
	panels := func(n int) []catalog.Panel {
		out := make([]catalog.Panel, n)
		for i := range out {
			out[i] = catalog.Panel{Title: fmt.Sprint("panel ", i), Expr: "up{$job}"}
		}
		return out
	}
	var targets []target
	for n := range 5 {
		targets = append(targets, target{Metrics: catalog.Metrics{Panels: panels(n)}, job: fmt.Sprint("job-", n)})
	}
	type place struct{ X, Y, W, H int }
	var board struct {
		Panels []struct {
			Title   string
			GridPos place
		}
	}
	if err := json.Unmarshal([]byte(dashboard("x", targets)), &board); err != nil {
		t.Fatal(err)
	}
	if want := 5*(1+len(commonPanels)) + 0 + 1 + 2 + 3 + 4; len(board.Panels) != want {
		t.Fatalf("%d panels, not %d", len(board.Panels), want)
	}
	for i, p := range board.Panels {
		a := p.GridPos
		if a.X < 0 || a.X+a.W > 24 || a.W < 1 || a.H < 1 {
			t.Errorf("%s is at %+v", p.Title, a)
		}
		for _, o := range board.Panels[:i] {
			if b := o.GridPos; a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s at %+v is on %s at %+v", p.Title, a, o.Title, b)
			}
		}
		if i > 0 && a.Y < board.Panels[i-1].GridPos.Y {
			t.Errorf("%s is above what comes before it", p.Title)
		}
	}
}

// TestMetricsNoted pins what is said of the agents' metrics when cni.metrics says nothing.
func TestMetricsNoted(t *testing.T) {
	const setting = "spec.cni.metrics.endpoints"
	own := spec(func(s *NetworkStackSpec) { s.CNI.Values = rawValues(object{"prometheus": object{"enabled": true}}) })
	for _, tc := range []struct {
		name          string
		in            Input
		value, reason string // no value: nothing is said
	}{
		{"Cilium", cilium(), "Disabled", "unless asked to"},
		{"Cilium, asked for monitors", cilium(observed(ObservabilitySpec{}), prometheus), "Enabled", "observability.monitors"},
		{"Cilium, by values", cilium(own), "", ""},
		{"Flannel, asked for monitors of what else there is", flannel(ingresses(ingressOf(IngressTraefik)), observed(ObservabilitySpec{}), prometheus), "Disabled", "has none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := EffectiveSetting{}
			for _, e := range accepted(t, tc.in).Effective {
				if e.Setting == setting {
					got = e
				}
			}
			if got.Value != tc.value || !strings.Contains(got.Reason, tc.reason) {
				t.Errorf("%q because %q", got.Value, got.Reason)
			}
		})
	}
}
