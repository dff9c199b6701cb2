package importer

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/intstr"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// promotion is a field of the stack that may take the place of values of Cilium's chart. It is kept when all comes to the same with
// fewer of them.
type promotion struct {
	// value is what has to be said among the values for the field to be tried.
	value string
	// field is where the stack says it.
	field string
	set   func(spec *networkstackv1alpha1.NetworkStackSpec, value any)
}

func ciliumSpec(spec *networkstackv1alpha1.NetworkStackSpec) *networkstackv1alpha1.CiliumSpec {
	if spec.CNI.Cilium == nil {
		spec.CNI.Cilium = &networkstackv1alpha1.CiliumSpec{}
	}
	return spec.CNI.Cilium
}

// metered sets what Prometheus gets of the plugin.
func metered(monitors networkstackv1alpha1.MonitorMode) func(*networkstackv1alpha1.NetworkStackSpec, any) {
	return func(spec *networkstackv1alpha1.NetworkStackSpec, _ any) {
		spec.CNI.Metrics = &networkstackv1alpha1.MetricsSpec{Endpoints: networkstackv1alpha1.Enabled, ServiceMonitors: monitors}
	}
}

// ciliumIngressAs adds Cilium's ingress controller.
func ciliumIngressAs(isDefault bool, service networkstackv1alpha1.IngressServiceType) func(*networkstackv1alpha1.NetworkStackSpec, any) {
	return func(spec *networkstackv1alpha1.NetworkStackSpec, _ any) {
		i := networkstackv1alpha1.IngressSpec{Name: "cilium", Type: networkstackv1alpha1.IngressCilium}
		if isDefault {
			i.Class = &networkstackv1alpha1.IngressClassSpec{Default: true}
		}
		if service != "" {
			i.Service = &networkstackv1alpha1.IngressServiceSpec{Type: service}
		}
		spec.Ingress = append(spec.Ingress, i)
	}
}

// promotions of Cilium's values, in the order in which they are tried.
var promotions = []promotion{
	{"bandwidthManager.enabled", "spec.cni.cilium.bandwidthManager", func(spec *networkstackv1alpha1.NetworkStackSpec, _ any) {
		ciliumSpec(spec).BandwidthManager = networkstackv1alpha1.CiliumBandwidthEnabled
	}},
	{"bandwidthManager.bbr", "spec.cni.cilium.bandwidthManager", func(spec *networkstackv1alpha1.NetworkStackSpec, _ any) {
		ciliumSpec(spec).BandwidthManager = networkstackv1alpha1.CiliumBandwidthBBR
	}},
	{"policyEnforcementMode", "spec.cni.networkPolicy", func(spec *networkstackv1alpha1.NetworkStackSpec, _ any) {
		spec.CNI.NetworkPolicy = networkstackv1alpha1.Disabled
	}},
	{"prometheus.enabled", "spec.cni.metrics", metered(networkstackv1alpha1.MonitorsEnabled)},
	{"prometheus.enabled", "spec.cni.metrics", metered(networkstackv1alpha1.MonitorsDisabled)},
	{"updateStrategy.rollingUpdate.maxUnavailable", "spec.cni.agents", func(spec *networkstackv1alpha1.NetworkStackSpec, value any) {
		n := intstr.Parse(fmt.Sprint(value))
		spec.CNI.Agents = &networkstackv1alpha1.AgentSettings{MaxUnavailable: &n}
	}},
	{"ingressController.enabled", "spec.ingress", ciliumIngressAs(false, "")},
	{"ingressController.enabled", "spec.ingress", ciliumIngressAs(true, "")},
	{"ingressController.enabled", "spec.ingress", ciliumIngressAs(false, networkstackv1alpha1.IngressNodePort)},
	{"ingressController.enabled", "spec.ingress", ciliumIngressAs(true, networkstackv1alpha1.IngressNodePort)},
}

// promote has fields say what values say, as far as that comes to the same.
func (s *settling) promote() {
	for _, p := range promotions {
		v := at(s.values, split(p.value))
		if v == nil || v == false {
			continue
		}
		spec, values, corrections := s.spec.DeepCopy(), normal(s.values), s.corrections
		open, release := s.open()
		if release == nil {
			return
		}
		errs, said := len(s.composed().Errors), leaves(s.values)
		p.set(s.spec, v)
		s.trim(len(open))
		after, _ := s.open()
		if len(after) <= len(open) && len(s.composed().Errors) <= errs && leaves(s.values) < said {
			s.origin(p.field, "%s of Helm release %s", p.value, s.described.release.ID())
			continue
		}
		*s.spec, s.values, s.corrections = *spec, values, corrections
		s.write()
	}
}

// leaves counts values.
func leaves(v map[string]any) int {
	n := 0
	for _, below := range v {
		if m, ok := below.(map[string]any); ok {
			n += leaves(m)
		} else {
			n++
		}
	}
	return n
}
