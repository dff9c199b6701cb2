package compose

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/corefile"
)

// TypeObservability is the component type of monitors and dashboards, and its name in the catalogue.
const TypeObservability = "Observability"

var observabilityPath = specPath.Child("observability")

// deriveObservability settles whether there are monitors and dashboards.
func (s *state) deriveObservability() {
	o := s.spec.Observability
	if o == nil {
		return
	}
	s.monitors = s.monitorMode(o.Monitors, observabilityPath.Child("monitors"), s.facts.ServiceMonitors,
		"the cluster has the kind ServiceMonitor", "the cluster has no kind ServiceMonitor")
	s.dashboards = s.monitorMode(o.Dashboards, observabilityPath.Child("dashboards"), s.monitors,
		"there are monitors", "there are no monitors")
}

// monitorMode is what a mode comes to.
func (s *state) monitorMode(mode networkstackv1alpha1.MonitorMode, path *field.Path, auto bool, yes, no string) bool {
	switch mode {
	case networkstackv1alpha1.MonitorsEnabled:
		return true
	case networkstackv1alpha1.MonitorsDisabled:
		return false
	default:
		reason := no
		if auto {
			reason = yes
		}
		s.note(path, toggle(auto), "Auto, and %s", reason)
		return auto
	}
}

// validateObservability refuses monitors that nothing defines, and says so where nothing comes of them.
func (s *state) validateObservability() {
	o := s.spec.Observability
	if o == nil {
		return
	}
	for _, m := range []struct {
		name string
		mode networkstackv1alpha1.MonitorMode
	}{{"monitors", o.Monitors}, {"dashboards", o.Dashboards}} {
		optionalOneOf(s, observabilityPath.Child(m.name), m.mode,
			networkstackv1alpha1.MonitorsAuto, networkstackv1alpha1.MonitorsEnabled, networkstackv1alpha1.MonitorsDisabled)
	}
	path := observabilityPath.Child("monitors")
	defined := !s.withFacts || s.facts.ServiceMonitors
	switch {
	case defined || o.Monitors == networkstackv1alpha1.MonitorsDisabled:
	case o.Monitors == networkstackv1alpha1.MonitorsEnabled:
		s.refuse(ruleMonitorsUndefined, field.Invalid(path, o.Monitors, "the cluster has no kind ServiceMonitor (monitoring.coreos.com): "+
			"install Prometheus' operator or its definitions, for example as an add-on, or use Auto"))
	default:
		s.warn(ruleMonitorsAbsent, path, "nothing is monitored until the cluster has the kind ServiceMonitor (monitoring.coreos.com): "+
			"install Prometheus' operator, for example as an add-on")
	}
	s.validateConsulMetrics()
	labels := observabilityPath.Child("monitorLabels")
	s.validateLabels(labels, o.MonitorLabels)
	if len(o.MonitorLabels) > 0 && o.Monitors == networkstackv1alpha1.MonitorsDisabled {
		s.warn(ruleMetricsLabels, labels, "has no effect, for no ServiceMonitors are made: remove it")
	}
}

// turnMetricsOn has a component serve its metrics, unless a field of the spec has said something of that already.
func (s *state) turnMetricsOn(entry catalog.Entry, b *valuesBuilder) {
	if !s.monitors {
		return
	}
	for i := range entry.Metrics {
		m := &entry.Metrics[i]
		if m.Switch == "" || m.Served || m.Manual || s.withoutToken(entry.Type, m) {
			continue
		}
		for _, path := range append([]string{m.Switch}, m.With...) {
			if _, set := lookup(b.values, path); !set {
				b.set(path, true, "observability.monitors is %s", networkstackv1alpha1.Enabled)
			}
		}
	}
}

// observabilityReleases are the monitors and dashboards of the components that serve metrics.
func (s *state) observabilityReleases(releases []Release) []Release {
	if !s.monitors && !s.dashboards {
		return nil
	}
	var monitors, dashboards []any
	var needs, silent []string
	for i := range releases {
		r := &releases[i]
		targets := s.targets(r)
		if len(targets) == 0 {
			silent = append(silent, r.Name)
			continue
		}
		needs = append(needs, r.Name)
		for _, t := range targets {
			monitors = append(monitors, t.monitor())
		}
		dashboards = append(dashboards, map[string]any{"name": r.Name, "json": dashboard(r.Name, targets)})
	}
	if len(silent) > 0 {
		s.note(observabilityPath, "without "+strings.Join(silent, ", "), "these serve no metrics, or have monitors of their own")
	}
	if len(needs) == 0 {
		s.warn(ruleMonitorsNothing, observabilityPath, "has no effect: no component of this stack serves metrics that are not monitored already")
		return nil
	}
	b := newValues(nameObservability)
	if s.monitors {
		b.reserve("monitors", observabilityPath.Child("monitors").String())
		b.values["monitors"] = monitors
		b.reserve("monitorLabels", observabilityPath.Child("monitorLabels").String())
		if labels := s.spec.Observability.MonitorLabels; len(labels) > 0 {
			b.values["monitorLabels"] = plain(labels)
		}
	}
	if s.dashboards {
		b.reserve("dashboards", observabilityPath.Child("dashboards").String())
		b.values["dashboards"] = dashboards
	}
	s.note(observabilityPath.Child("monitors"), strings.Join(needs, ", "), "the components that serve metrics")
	r := s.release(nameObservability, TypeObservability, stageObservability, observabilityPath, s.spec.Observability.ComponentSettings, b)
	r.Needs = needs // the namespaces of what is monitored are there then
	return []Release{r}
}

// target is a part of a component that is monitored.
type target struct {
	catalog.Metrics
	job, namespace string
	port           int64
	// authority is the Secret with what the servers' certificates are signed by, for serverName; where it is nil, whoever answers
	// with https is believed.
	authority  *secretKey
	serverName string
	// credentials are the Secret with a token that is shown.
	credentials *secretKey
}

// secretKey is a part of a Secret in the namespace of what is monitored.
type secretKey struct{ name, key string }

func (k *secretKey) value() map[string]any { return map[string]any{"name": k.name, "key": k.key} }

// targets are the parts of a release that serve metrics and that nothing else monitors.
func (s *state) targets(r *Release) []target {
	if r.Spec.Type == string(s.cni) && (s.metrics.monitors || s.metrics.endpoints == networkstackv1alpha1.Disabled) {
		return nil // its chart makes them, or there is nothing
	}
	if s.unmonitored(r) || s.monitoredByAddon(r.Spec.Type) {
		return nil
	}
	derived, _ := ParseValues(r.Spec.DerivedValues)
	user, _ := ParseValues(r.Spec.Values)
	values := MergeValues(derived, user)
	var out []target
	for _, m := range s.catalog[r.Spec.Type].Metrics {
		if !m.Holds(r.Spec.Chart.Version) || !served(&m, values) || monitorsItself(&m, values) || s.withoutToken(r.Spec.Type, &m) {
			continue
		}
		t := target{Metrics: m, job: r.Name, namespace: cmp.Or(m.Namespace, r.Spec.Namespace), port: int64(m.Port)}
		if m.Name != "" {
			t.job += "-" + m.Name
		}
		if v, _ := lookup(values, m.PortValue); m.PortValue != "" {
			if port, whole := v.(int64); whole {
				t.port = port
			}
		}
		if r.Spec.Type == TypeCoreDNS {
			port, readable := s.dnsMetrics()
			if !readable {
				continue
			}
			t.port = port
		}
		if r.Spec.Type == TypeConsul && m.Name == consulServerPart {
			s.consulTarget(&t)
		}
		t.Selector = maps.Clone(m.Selector)
		for k, v := range t.Selector {
			t.Selector[k] = strings.ReplaceAll(v, "$release", r.Spec.ReleaseName)
		}
		out = append(out, t)
	}
	return out
}

// served says whether the values have metrics served where somebody else than the node itself can read them.
func served(m *catalog.Metrics, values map[string]any) bool {
	if slices.ContainsFunc(m.With, func(path string) bool { v, _ := lookup(values, path); return v != true }) {
		return false
	}
	if m.Switch == "" {
		return true
	}
	v, set := lookup(values, m.Switch)
	if !set {
		return m.Served
	}
	switch v := v.(type) {
	case nil:
		return false // which takes away what the chart has
	case bool:
		return v
	case []any:
		return len(v) > 0
	case string:
		host, _, err := net.SplitHostPort(v)
		return err == nil && !isLoopback(host)
	default:
		return true
	}
}

// monitorsItself says whether the values have the chart make a monitor of the same pods.
func monitorsItself(m *catalog.Metrics, values map[string]any) bool {
	return slices.ContainsFunc(m.Own, func(path string) bool {
		v, _ := lookup(values, path)
		on, is := v.(bool)
		return is && on
	})
}

// unmonitored says whether the spec wants no monitors of a component, by a field of the component's own.
func (s *state) unmonitored(r *Release) bool {
	if r.Spec.Type == string(s.cni) {
		return s.spec.CNI.Metrics != nil && s.spec.CNI.Metrics.ServiceMonitors == networkstackv1alpha1.MonitorsDisabled
	}
	return slices.ContainsFunc(s.ingress, func(i ingress) bool {
		return i.component == r.Name && i.Metrics != nil && i.Metrics.ServiceMonitors == networkstackv1alpha1.MonitorsDisabled
	})
}

// addonMonitors are the values of kube-prometheus-stack by which it monitors components of a cluster, unless told not to.
var addonMonitors = map[string]string{TypeCoreDNS: "coreDns.enabled", TypeKubeProxy: "kubeProxy.enabled"}

// monitoredByAddon says whether an add-on monitors components of a type.
func (s *state) monitoredByAddon(typ string) bool {
	key, known := addonMonitors[typ]
	if !known {
		return false
	}
	for i := range s.spec.Addons {
		a := &s.spec.Addons[i]
		if a.Chart == nil || cmp.Or(a.Chart.Name, a.Name) != "kube-prometheus-stack" {
			continue
		}
		values := s.userValues[addonsPath.Index(i).String()]
		off := func(path string) bool {
			v, set := lookup(values, path)
			return set && v != true
		}
		if !off("kubernetesServiceMonitors.enabled") && !off(key) {
			return true
		}
	}
	return false
}

// dnsMetrics is the port on which CoreDNS serves metrics by its Corefile, where somebody else than the pod itself can read them.
func (s *state) dnsMetrics() (port int64, readable bool) {
	servers := s.dns.servers
	if servers == nil {
		text, _ := s.foundCorefile()
		servers, _ = corefile.Parse(text) // refused before
	}
	for i := range servers {
		p := servers[i].Find("prometheus")
		if p == nil || len(p.Args) == 0 { // by itself it listens on the loopback address
			continue
		}
		host, number, err := net.SplitHostPort(p.Args[0])
		if err != nil || isLoopback(host) {
			continue
		}
		if port, err := strconv.ParseUint(number, 10, 16); err == nil && port > 0 {
			return int64(port), true
		}
	}
	return 0, false
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// monitor is what the chart makes a Service and a ServiceMonitor of.
func (t target) monitor() map[string]any {
	out := map[string]any{
		"name": t.job, "namespace": t.namespace, "selector": plain(t.Selector), "port": t.port,
		"path": cmp.Or(t.Path, "/metrics"), "scheme": cmp.Or(t.Scheme, "http"),
	}
	if t.Token {
		out["token"] = true
	}
	if len(t.Params) > 0 {
		out["params"] = plain(t.Params)
	}
	if t.authority != nil {
		out["authority"], out["serverName"] = t.authority.value(), t.serverName
	}
	if t.credentials != nil {
		out["credentials"] = t.credentials.value()
	}
	return out
}

// commonPanels are graphs of what every exporter of Prometheus' client libraries tells.
var commonPanels = []catalog.Panel{
	{Title: "Targets that answer", Expr: "sum(up{$job})"},
	{Title: "CPU", Expr: "rate(process_cpu_seconds_total{$job}[5m])", Legend: "{{pod}}", Unit: "percentunit"},
	{Title: "Resident memory", Expr: "process_resident_memory_bytes{$job}", Legend: "{{pod}}", Unit: "bytes"},
}

// dashboard is a dashboard of Grafana, with a row for each part.
func dashboard(component string, targets []target) string {
	const width, height, columns = 8, 7, 3
	var panels []any
	y := 0
	source := map[string]any{"type": "prometheus", "uid": "${datasource}"}
	for _, t := range targets {
		panels = append(panels, map[string]any{"type": "row", "title": t.job, "collapsed": false, "panels": []any{}, "id": len(panels) + 1,
			"gridPos": map[string]any{"x": 0, "y": y, "w": width * columns, "h": 1}})
		y++
		all := slices.Concat(t.Panels, commonPanels)
		for i, p := range all {
			panels = append(panels, map[string]any{
				"type": "timeseries", "title": p.Title, "id": len(panels) + 1, "datasource": source,
				"gridPos":     map[string]any{"x": i % columns * width, "y": y + i/columns*height, "w": width, "h": height},
				"fieldConfig": map[string]any{"defaults": map[string]any{"unit": cmp.Or(p.Unit, "short")}, "overrides": []any{}},
				"targets": []any{map[string]any{"refId": "A", "datasource": source, "legendFormat": p.Legend,
					"expr": strings.ReplaceAll(p.Expr, "$job", fmt.Sprintf("job=%q", t.job))}},
			})
		}
		y += (len(all) + columns - 1) / columns * height
	}
	out, err := json.Marshal(map[string]any{
		"title": "NetworkStack / " + component, "uid": "networkstack-" + component, "tags": []string{"networkstack"},
		"schemaVersion": dashboardSchema, "timezone": "browser", "refresh": "30s", "panels": panels,
		"time": map[string]any{"from": "now-1h", "to": "now"},
		"templating": map[string]any{"list": []any{
			map[string]any{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}}},
	})
	if err != nil {
		panic("marshalling a dashboard: " + err.Error())
	}
	return string(out)
}

// dashboardSchema is the version of Grafana's dashboard model that the dashboards are written in (Grafana 10 and newer).
const dashboardSchema = 38
