package compose

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// observed has these wishes, and a catalogue that knows what serves metrics.
func observed(o ObservabilitySpec) func(*Input) {
	return func(in *Input) { in.Stack.Spec.Observability, in.Catalog = &o, defaults() }
}

const monitorsAbsent = "spec.observability.monitors: nothing is monitored until the cluster has the kind ServiceMonitor (monitoring.coreos.com): " +
	"install Prometheus' operator, for example as an add-on [MONITORS-ABSENT]"

const consulUnmonitored = "spec.mesh.consul.acls: Consul's servers are not monitored: with acls Enabled who reads /v1/agent/metrics shows a token with " +
	"agent:read, and the one token that the operator makes may do everything. Set mesh.values.global.metrics.datadog.enabled to true: " +
	"the chart makes such a token then, for Datadog, and Prometheus shows it [MONITORS-CONSUL-TOKEN]"

func observabilityFindings() []finding {
	return []finding{
		{name: "observability", in: cilium(observed(ObservabilitySpec{}), prometheus)},
		{name: "observability that nobody reads yet", in: cilium(observed(ObservabilitySpec{})), warnings: []string{monitorsAbsent}},
		{name: "observability of nothing", in: flannel(observed(ObservabilitySpec{}), prometheus), warnings: []string{
			"spec.observability: has no effect: no component of this stack serves metrics that are not monitored already [MONITORS-NOTHING]",
		}},
		{name: "monitors of no kind", in: cilium(observed(ObservabilitySpec{Monitors: MonitorsEnabled})), errors: []string{
			`spec.observability.monitors: Invalid value: "Enabled": the cluster has no kind ServiceMonitor (monitoring.coreos.com): install Prometheus' operator or its definitions, for example as an add-on, or use Auto [MONITORS-UNDEFINED]`,
		}},
		{name: "monitors and dashboards in no mode", in: cilium(observed(ObservabilitySpec{Monitors: "On", Dashboards: "Off"}), prometheus), errors: []string{
			`spec.observability.monitors: Unsupported value: "On": supported values: "Auto", "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
			`spec.observability.dashboards: Unsupported value: "Off": supported values: "Auto", "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "monitors of Consul's servers", in: flannel(consul(withoutACLs), observed(ObservabilitySpec{}), prometheus)},
		{name: "monitors of Consul's servers behind a token", in: flannel(consul(), observed(ObservabilitySpec{}), prometheus), warnings: []string{consulUnmonitored}},
		{name: "monitors of Consul's servers, whose token is not made", in: flannel(consul(datadog(object{"enabled": true, "dogstatsd": object{"enabled": true}})),
			observed(ObservabilitySpec{}), prometheus), warnings: []string{consulUnmonitored}},
		{name: "monitors of Consul's servers by a token", in: flannel(consul(datadog(object{"enabled": true})), observed(ObservabilitySpec{}), prometheus)},
		{name: "monitors of Consul's servers that serve none", in: flannel(consul(meshValues(object{"global": object{"metrics": object{"enableAgentMetrics": false}}})),
			observed(ObservabilitySpec{}), prometheus)},
		{name: "no monitors of Consul's servers", in: flannel(consul(), observed(ObservabilitySpec{Monitors: MonitorsDisabled, Dashboards: MonitorsEnabled}))},
		{name: "labels of monitors, and of none", in: cilium(observed(ObservabilitySpec{Monitors: MonitorsEnabled, MonitorLabels: map[string]string{"release": "monitoring"}}), prometheus)},
		{name: "no labels of monitors that there are not", in: cilium(observed(ObservabilitySpec{Monitors: MonitorsDisabled, Dashboards: MonitorsEnabled}))},
		{name: "values of monitors", in: cilium(observed(ObservabilitySpec{Dashboards: MonitorsEnabled, ComponentSettings: ComponentSettings{Values: rawValues(object{
			"monitors": []any{}, "monitorLabels": object{"a": "b"}, "dashboards": []any{}, "interval": "1m"})}}), prometheus), errors: []string{
			"spec.observability.values: Forbidden: values.dashboards is controlled by spec.observability.dashboards; remove it [VALUES-CONTROLLED]",
			"spec.observability.values: Forbidden: values.monitorLabels is controlled by spec.observability.monitorLabels; remove it [VALUES-CONTROLLED]",
			"spec.observability.values: Forbidden: values.monitors is controlled by spec.observability.monitors; remove it [VALUES-CONTROLLED]",
		}},
		{name: "labels of monitors that may come", in: cilium(observed(ObservabilitySpec{MonitorLabels: map[string]string{"release": "monitoring"}})), warnings: []string{monitorsAbsent}},
		{name: "labels of monitors that there are not", in: cilium(observed(ObservabilitySpec{
			Monitors: MonitorsDisabled, Dashboards: MonitorsEnabled, MonitorLabels: map[string]string{"release": "monitoring"}})), warnings: []string{
			"spec.observability.monitorLabels: has no effect, for no ServiceMonitors are made: remove it [METRICS-LABELS-UNUSED]",
		}},
	}
}

// TestObservability wants what serves metrics monitored once, at the port where it serves them.
func TestObservability(t *testing.T) {
	monitorsOf := func(name string) func(*NetworkStackSpec) { // of which nothing is said in cni.metrics
		return func(s *NetworkStackSpec) {
			s.CNI.Values = rawValues(object{"prometheus": object{"port": 9000}, "hubble": object{"metrics": object{"enabled": []any{name}}}})
		}
	}
	metrics := func(m MetricsSpec) func(*Input) { return spec(func(s *NetworkStackSpec) { s.CNI.Metrics = &m }) }
	proxyMetrics := func(address string) func(*Input) {
		return spec(func(s *NetworkStackSpec) {
			s.KubeProxy, s.Adoption = &KubeProxySpec{Mode: KubeProxyIPTables}, AdoptionAdopt
			s.KubeProxy.Values = rawValues(object{"metricsBindAddress": address})
		})
	}
	dns := func(d DNSSpec, in Input) Input {
		d.Type = DNSCoreDNS
		in.Stack.Spec.DNS = &d
		return in
	}
	found := func(plugin string) func(*Input) {
		return func(in *Input) {
			in.Stack.Spec.Adoption = AdoptionAdopt
			coreDNSThere(func(i *facts.Installed) {
				i.Found.Data["Corefile"] = strings.Replace(corefileOfKubeadm, "prometheus :9153", plugin, 1)
			})(in)
		}
	}
	stack := func(values object) func(*Input) { // kube-prometheus-stack
		return spec(func(s *NetworkStackSpec) {
			a := AddonSpec{Name: "monitoring"}
			a.Chart, a.Version = &ChartReference{Repository: "https://charts.example.com", Name: "kube-prometheus-stack"}, "88.5.3"
			a.Values = rawValues(values)
			s.Addons = []AddonSpec{a}
		})
	}
	ingress := func(typ IngressType, m *MetricsSpec, values object) func(*Input) {
		return spec(func(s *NetworkStackSpec) {
			i := IngressSpec{Name: "a", Type: typ, Metrics: m}
			if values != nil {
				i.Values = rawValues(values)
			}
			s.Ingress = []IngressSpec{i}
		})
	}
	const coredns = "coredns@kube-system:9153"
	for _, tc := range []struct {
		name  string
		in    Input
		want  []string // job@namespace:port
		needs []string
	}{
		{"CoreDNS", dns(DNSSpec{}, flannel()), []string{coredns}, []string{"coredns"}},
		{"CoreDNS and the caches", dns(DNSSpec{NodeLocalCache: &NodeLocalCacheSpec{Mode: Enabled}}, flannel(spec(func(s *NetworkStackSpec) {
			s.KubeProxy, s.Adoption = &KubeProxySpec{Mode: KubeProxyIPTables}, AdoptionAdopt
		}))), []string{coredns, "node-local-dns@kube-system:9253"}, []string{"coredns", "node-local-dns"}},
		{"CoreDNS on another port", dns(DNSSpec{}, flannel(found("prometheus 0.0.0.0:9154"))), []string{"coredns@kube-system:9154"}, []string{"coredns"}},
		{"CoreDNS that serves none", dns(DNSSpec{}, flannel(found(""))), nil, nil},
		{"CoreDNS that serves itself alone", dns(DNSSpec{}, flannel(found("prometheus"))), nil, nil},
		{"CoreDNS that serves the loopback address alone", dns(DNSSpec{}, flannel(found("prometheus localhost:9153"))), nil, nil},
		{"CoreDNS that an add-on monitors", dns(DNSSpec{}, flannel(stack(object{}))), nil, nil},
		{"CoreDNS beside an add-on of another chart", dns(DNSSpec{}, flannel(addons(after("monitoring")))), []string{coredns}, []string{"coredns"}},
		{"CoreDNS that an add-on leaves", dns(DNSSpec{}, flannel(stack(object{"coreDns": object{"enabled": false}}))), []string{coredns}, []string{"coredns"}},
		{"CoreDNS that an add-on leaves with the rest", dns(DNSSpec{}, flannel(stack(object{"kubernetesServiceMonitors": object{"enabled": false}}))), []string{coredns}, []string{"coredns"}},
		{"kube-proxy that an add-on monitors", flannel(proxyMetrics("0.0.0.0:10249"), stack(object{"coreDns": object{"enabled": false}})), nil, nil},
		{"Traefik", flannel(ingress(IngressTraefik, nil, nil)), []string{"ingress-a@traefik:9100"}, []string{"ingress-a"}},
		{"Traefik, on a port of the user's", flannel(ingress(IngressTraefik, nil, object{"ports": object{"metrics": object{"port": 9200}}})),
			[]string{"ingress-a@traefik:9200"}, []string{"ingress-a"}},
		{"Traefik, whose chart makes one", flannel(ingress(IngressTraefik, &MetricsSpec{}, nil)), nil, nil},
		{"Traefik, whose chart makes one by values", flannel(ingress(IngressTraefik, nil, object{"metrics": object{"prometheus": object{
			"serviceMonitor": object{"enabled": true}}}})), nil, nil},
		{"Traefik, unmonitored", flannel(ingress(IngressTraefik, &MetricsSpec{ServiceMonitors: MonitorsDisabled}, nil)), nil, nil},
		{"two of Traefik, one unmonitored", flannel(spec(func(s *NetworkStackSpec) {
			s.Ingress = []IngressSpec{
				{Name: "a", Type: IngressTraefik, Metrics: &MetricsSpec{ServiceMonitors: MonitorsDisabled}},
				{Name: "b", Type: IngressTraefik, Class: &IngressClassSpec{Name: "b"}},
			}
		})), []string{"ingress-b@traefik:9100"}, []string{"ingress-b"}},
		{"Traefik without metrics", flannel(ingress(IngressTraefik, &MetricsSpec{Endpoints: Disabled}, nil)), nil, nil},
		{"Traefik without metrics, by values", flannel(ingress(IngressTraefik, nil, object{"metrics": object{"prometheus": nil}})), nil, nil},
		{"Cilium without metrics, whatever values say of Hubble's", cilium(spec(func(s *NetworkStackSpec) {
			s.CNI.Values, s.CNI.Metrics = rawValues(object{"hubble": object{"metrics": object{"enabled": []any{"dns"}}}}), &MetricsSpec{Endpoints: Disabled}
		})), nil, nil},
		{"Cilium, unmonitored", cilium(metrics(MetricsSpec{ServiceMonitors: MonitorsDisabled})), nil, nil},
		{"Cilium, as its chart is", cilium(), []string{"cilium-agent@kube-system:9962", "cilium-operator@kube-system:9963", "cilium-envoy@kube-system:9964"}, []string{"cilium"}},
		{"Cilium, with values", cilium(spec(monitorsOf("dns"))), []string{
			"cilium-agent@kube-system:9000", "cilium-operator@kube-system:9963", "cilium-envoy@kube-system:9964", "cilium-hubble@kube-system:9965"}, []string{"cilium"}},
		{"Cilium, with none of Hubble's metrics", cilium(spec(func(s *NetworkStackSpec) {
			s.CNI.Values = rawValues(object{"hubble": object{"metrics": object{"enabled": []any{}}}})
		})), []string{"cilium-agent@kube-system:9962", "cilium-operator@kube-system:9963", "cilium-envoy@kube-system:9964"}, []string{"cilium"}},
		{"Cilium, with monitors of its chart", cilium(metrics(MetricsSpec{})), nil, nil},
		{"Cilium, without metrics", cilium(metrics(MetricsSpec{Endpoints: Disabled})), nil, nil},
		{"Calico", calico(), []string{"calico-felix@calico-system:9091", "calico-typha@calico-system:9093"}, []string{"calico"}},
		{"kube-proxy, on the loopback address", flannel(proxyMetrics("127.0.0.1:10249")), nil, nil},
		{"kube-proxy, on every address", flannel(proxyMetrics("0.0.0.0:10249")), []string{"kube-proxy@kube-system:10249"}, []string{"kube-proxy"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			observed(ObservabilitySpec{MonitorLabels: map[string]string{"release": "x"}})(&tc.in)
			prometheus(&tc.in)
			r := Compose(tc.in)
			if len(r.Errors) > 0 {
				t.Fatal(messages(r.Errors))
			}
			var got, needs []string
			for _, release := range r.Releases {
				if release.Spec.Type != TypeObservability {
					continue
				}
				needs = release.Needs
				var values struct {
					Monitors []struct {
						Name, Namespace string
						Port            json.Number
						Selector        map[string]string
					}
					MonitorLabels map[string]string
					Dashboards    []struct{ Name, JSON string }
				}
				if err := json.Unmarshal(release.Spec.DerivedValues.Raw, &values); err != nil {
					t.Fatal(err)
				}
				for _, m := range values.Monitors {
					got = append(got, m.Name+"@"+m.Namespace+":"+m.Port.String())
					if !slices.ContainsFunc(values.Dashboards, func(d struct{ Name, JSON string }) bool { return strings.Contains(d.JSON, `job=\"`+m.Name+`\"`) }) {
						t.Errorf("the dashboard has nothing of %s", m.Name)
					}
				}
				if len(values.Dashboards) != len(needs) || values.MonitorLabels["release"] != "x" || strings.Contains(values.Dashboards[0].JSON, "$job") {
					t.Errorf("%+v", values)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("monitors: %s", diff)
			}
			if diff := cmp.Diff(tc.needs, needs); diff != "" {
				t.Errorf("needs: %s", diff)
			}
		})
	}
}

// TestObservabilityModes wants monitors and dashboards when they are asked for, or when somebody can read them, and either alone.
func TestObservabilityModes(t *testing.T) {
	for _, tc := range []struct {
		monitors, dashboards MonitorMode
		defined              bool
		want                 []string
		served               bool // what serves metrics only when asked to does
	}{
		{"", "", false, nil, false},
		{"", "", true, []string{"dashboards", "monitors"}, true},
		{MonitorsAuto, MonitorsAuto, true, []string{"dashboards", "monitors"}, true},
		{MonitorsEnabled, MonitorsDisabled, true, []string{"monitors"}, true},
		{MonitorsDisabled, MonitorsEnabled, false, []string{"dashboards"}, false},
		{MonitorsDisabled, "", true, nil, false},
		{"", MonitorsEnabled, false, []string{"dashboards"}, false},
	} {
		name := fmt.Sprintf("monitors %q, dashboards %q, defined %v", tc.monitors, tc.dashboards, tc.defined)
		t.Run(name, func(t *testing.T) {
			in := flannel(observed(ObservabilitySpec{Monitors: tc.monitors, Dashboards: tc.dashboards}), spec(func(s *NetworkStackSpec) {
				s.Ingress = []IngressSpec{{Name: "a", Type: IngressTraefik}, {Name: "b", Type: IngressNGINX, Class: &IngressClassSpec{Name: "b"}}}
			}))
			in.Facts.ServiceMonitors = tc.defined
			r := Compose(in)
			if len(r.Errors) > 0 {
				t.Fatal(messages(r.Errors))
			}
			var got []string
			served := false
			for _, release := range r.Releases {
				values, err := ParseValues(release.Spec.DerivedValues)
				if err != nil {
					t.Fatal(err)
				}
				switch release.Name {
				case "ingress-b":
					on, _ := lookup(values, "controller.metrics.enabled")
					served = on == true
				case nameObservability:
					for _, key := range []string{"dashboards", "monitors"} {
						if list, _ := values[key].([]any); len(list) > 0 {
							got = append(got, key)
						}
					}
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("made: %s", diff)
			}
			if served != tc.served {
				t.Errorf("metrics that are off by default are served: %v", served)
			}
		})
	}
}
