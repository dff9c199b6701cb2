package compose

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

var metricsPath = cniPath.Child("metrics")

// typhaMetricsPort is the port that Calico's documentation has for Typha's metrics.
const typhaMetricsPort = 9093

// metricsPlan is what is settled of metrics.
type metricsPlan struct {
	// endpoints is empty when nothing was said of metrics: they stay as the chart has them.
	endpoints networkstackv1alpha1.Toggle
	monitors  bool
}

// monitorKind is the kind by which a plugin's chart tells Prometheus' operator of its endpoints; empty when it has none.
func (s *state) monitorKind() string {
	switch s.cni {
	case networkstackv1alpha1.CNICilium:
		return kindServiceMonitor
	case networkstackv1alpha1.CNIAWSVPC:
		return kindPodMonitor
	default:
		return ""
	}
}

const (
	kindServiceMonitor = "ServiceMonitor"
	kindPodMonitor     = "PodMonitor"
)

// monitorsDefined says whether the cluster has the kind that the chart makes.
func (s *state) monitorsDefined() bool {
	switch s.monitorKind() {
	case kindServiceMonitor:
		return s.facts.ServiceMonitors
	case kindPodMonitor:
		return s.facts.PodMonitors
	default:
		return false
	}
}

// deriveMetrics settles what Prometheus gets.
func (s *state) deriveMetrics() {
	if !s.installsCNI() {
		return
	}
	m := s.spec.CNI.Metrics
	path := metricsPath.Child("endpoints")
	if m == nil && s.monitors && s.metricsOnRequest() {
		s.metrics.endpoints = networkstackv1alpha1.Enabled
		s.note(path, s.metrics.endpoints, "observability.monitors is %s", networkstackv1alpha1.Enabled)
		return
	}
	if m == nil {
		s.noteUsualMetrics(path)
		return
	}
	s.metrics.endpoints = m.Endpoints
	if m.Endpoints == "" {
		s.metrics.endpoints = networkstackv1alpha1.Enabled
		s.note(path, s.metrics.endpoints, "default where metrics is given")
	}
	path = metricsPath.Child("serviceMonitors")
	kind := s.monitorKind()
	switch {
	case m.ServiceMonitors == networkstackv1alpha1.MonitorsEnabled:
		s.metrics.monitors = true
	case m.ServiceMonitors == networkstackv1alpha1.MonitorsDisabled:
	case s.metrics.endpoints == networkstackv1alpha1.Disabled:
		s.note(path, networkstackv1alpha1.MonitorsDisabled, "endpoints is Disabled")
	case kind == "":
		s.note(path, networkstackv1alpha1.MonitorsDisabled, "%s's chart has none", s.cni)
	case !s.monitorsDefined():
		s.note(path, networkstackv1alpha1.MonitorsDisabled, "Auto, and the cluster has no kind %s", kind)
	default:
		s.metrics.monitors = true
		s.note(path, networkstackv1alpha1.MonitorsEnabled, "Auto, and the cluster has the kind %s", kind)
	}
}

// metricsOnRequest says whether the network plugin serves metrics when asked to, by cni.metrics.
func (s *state) metricsOnRequest() bool {
	switch s.cni {
	case networkstackv1alpha1.CNICilium, networkstackv1alpha1.CNICalico, networkstackv1alpha1.CNIAWSVPC:
		return s.installsCNI()
	default:
		return false
	}
}

// noteUsualMetrics says what the agents do by themselves, unless the user's values say something of it.
func (s *state) noteUsualMetrics(path *field.Path) {
	key, value, reason := "", networkstackv1alpha1.Disabled, "the agents serve none unless asked to"
	switch s.cni {
	case networkstackv1alpha1.CNICilium:
		key = "prometheus.enabled"
	case networkstackv1alpha1.CNICalico:
		key = "defaultFelixConfiguration.prometheusMetricsEnabled"
	case networkstackv1alpha1.CNIWeaveNet:
		value, reason = networkstackv1alpha1.Enabled, "the agents always serve them"
	case networkstackv1alpha1.CNIAWSVPC:
		key, value, reason = "env.DISABLE_METRICS", networkstackv1alpha1.Enabled, "the agents serve them unless told otherwise"
	default:
		reason = "the plugin has none"
	}
	if _, set := lookup(s.userValues[cniPath.String()], key); set {
		return
	}
	s.note(path, value, "%s", reason)
}

// monitorValues are where values ask a chart for monitors: each switch, and the switch that has to be on as well, with its default.
var monitorValues = map[networkstackv1alpha1.CNIType][]struct {
	key, with string
	normal    bool
}{
	networkstackv1alpha1.CNICilium: {
		{"prometheus.serviceMonitor.enabled", "prometheus.enabled", false},
		{"operator.prometheus.serviceMonitor.enabled", "operator.prometheus.enabled", true},
		{"envoy.prometheus.serviceMonitor.enabled", "envoy.prometheus.enabled", true},
		{"hubble.relay.prometheus.serviceMonitor.enabled", "hubble.relay.prometheus.enabled", false},
		{"hubble.metrics.serviceMonitor.enabled", "hubble.metrics.enabled", false},
	},
	networkstackv1alpha1.CNIAWSVPC: {{"podMonitor.create", "podMonitor.create", false}},
}

// validateMonitorValues refuses values that ask for monitors of a kind that the cluster lacks.
func (s *state) validateMonitorValues() {
	if !s.withFacts || !s.installsCNI() || s.monitorsDefined() {
		return
	}
	user := s.userValues[cniPath.String()]
	for _, m := range monitorValues[s.cni] {
		with, set := lookup(user, m.with)
		if !set {
			with = m.normal
		}
		if list, ok := with.([]any); ok {
			with = len(list) > 0 // the metrics of Hubble
		}
		if v, _ := lookup(user, m.key); v == true && with == true {
			s.refuse(ruleMetricsUndefined, field.Invalid(cniPath.Child("values"), field.OmitValueType{}, fmt.Sprintf(
				"values.%s is on, and the cluster has no kind %s (monitoring.coreos.com): install Prometheus' operator or its definitions, or remove the value",
				m.key, s.monitorKind())))
		}
	}
}

// validateMetrics refuses metrics that there are not, and monitors that nothing would define.
func (s *state) validateMetrics() {
	s.validateMonitorValues()
	m := s.spec.CNI.Metrics
	if m == nil || !s.takesCNISettings() {
		return
	}
	path := metricsPath.Child("serviceMonitors")
	disabled := m.Endpoints == networkstackv1alpha1.Disabled
	if disabled && s.cni == networkstackv1alpha1.CNIWeaveNet {
		s.refuse(ruleMetricsAlways, field.Invalid(metricsPath.Child("endpoints"), m.Endpoints, "Weave Net always serves metrics: remove it, or use another type"))
	}
	asked := m.ServiceMonitors == networkstackv1alpha1.MonitorsEnabled
	switch {
	case disabled && asked:
		s.refuse(ruleMetricsNothing, field.Invalid(path, m.ServiceMonitors,
			"there is nothing to scrape while endpoints is Disabled: enable endpoints, or remove serviceMonitors"))
	case s.cni == networkstackv1alpha1.CNIFlannel && !disabled:
		s.refuse(ruleMetricsFlannel, field.Forbidden(metricsPath, "Flannel serves no metrics: remove it, or use type Cilium or Calico"))
		return
	case asked && s.monitorKind() == "":
		s.refuse(ruleMetricsNoMonitors, field.Invalid(path, m.ServiceMonitors, fmt.Sprintf(
			"%s's chart makes none: remove it, and make Services and ServiceMonitors beside the stack, as the user guide has them", s.cni)))
	case asked && s.withFacts && !s.monitorsDefined():
		s.refuse(ruleMetricsUndefined, field.Invalid(path, m.ServiceMonitors,
			"the cluster has no kind "+s.monitorKind()+" (monitoring.coreos.com): install Prometheus' operator or its definitions, or use Auto"))
	}
	labels := metricsPath.Child("serviceMonitorLabels")
	s.validateLabels(labels, m.ServiceMonitorLabels)
	never := disabled || m.ServiceMonitors == networkstackv1alpha1.MonitorsDisabled || s.monitorKind() == ""
	if len(m.ServiceMonitorLabels) > 0 && never {
		s.warn(ruleMetricsLabels, labels, "has no effect, for no ServiceMonitors are made: remove it")
	}
}

// metricsValues puts the wanted metrics where a chart reads them.
func (s *state) metricsValues(b *valuesBuilder) {
	if s.metrics.endpoints == "" {
		return
	}
	endpoints, monitors := metricsPath.Child("endpoints").String(), metricsPath.Child("serviceMonitors").String()
	on := s.metrics.endpoints == networkstackv1alpha1.Enabled
	const served, made = "metrics.endpoints is %s", "ServiceMonitors are %s"
	labels := func(key string) {
		if m := s.spec.CNI.Metrics; m != nil && len(m.ServiceMonitorLabels) > 0 && s.metrics.monitors {
			l := m.ServiceMonitorLabels
			at := metricsPath.Child("serviceMonitorLabels")
			b.control(key, at.String(), plain(l), "from %s", at)
		}
	}
	switch s.cni {
	case networkstackv1alpha1.CNICilium:
		for _, of := range []string{"prometheus", "operator.prometheus", "envoy.prometheus"} {
			b.control(of+".enabled", endpoints, on, served, s.metrics.endpoints)
			b.control(of+".serviceMonitor.enabled", monitors, s.metrics.monitors, made, toggle(s.metrics.monitors))
			labels(of + ".serviceMonitor.labels")
		}
		if s.metrics.monitors {
			b.set("prometheus.serviceMonitor.trustCRDsExist", true, "the cluster has the kind ServiceMonitor")
		}
	case networkstackv1alpha1.CNICalico:
		b.control("defaultFelixConfiguration.prometheusMetricsEnabled", endpoints, on, served, s.metrics.endpoints)
		if on {
			b.control("installation.typhaMetricsPort", endpoints, int64(typhaMetricsPort), served, s.metrics.endpoints)
		} else {
			b.reserve("installation.typhaMetricsPort", endpoints)
		}
	case networkstackv1alpha1.CNIAWSVPC:
		b.control("env.DISABLE_METRICS", endpoints, strconv.FormatBool(!on), served, s.metrics.endpoints)
		b.control("podMonitor.create", monitors, s.metrics.monitors, made, toggle(s.metrics.monitors))
		labels("podMonitor.labels")
	default:
		// Flannel has none, and Weave Net's are always there.
	}
}
