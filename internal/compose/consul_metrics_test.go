package compose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/test/testcharts"
)

func withoutACLs(m *MeshSpec) { consulBlock(func(c *ConsulSpec) { c.ACLs = Disabled })(m) }

func withoutTLS(m *MeshSpec) { consulBlock(func(c *ConsulSpec) { c.TLS = Disabled })(m) }

// datadog are these values of the chart's integration.
func datadog(v object) func(*MeshSpec) {
	return meshValues(object{"global": object{"metrics": object{"datadog": v}}})
}

// TestConsulMonitored lets upstream's chart, and our own of monitors, read the values: the servers serve metrics only where somebody can
// read them, and are spoken to as they are set up.
func TestConsulMonitored(t *testing.T) {
	tls := object{"ca": object{"secret": object{"name": "consul-server-cert", "key": "ca.crt"}}, "serverName": "server.dc1.consul"}
	token := object{"credentials": object{"name": "consul-datadog-agent-metrics-acl-token", "key": "token"}}
	endpoint := func(scheme string, more object) object {
		out := object{"port": "metrics", "path": "/v1/agent/metrics", "scheme": scheme, "params": object{"format": []any{"prometheus"}}}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	off := func(path string) func(*MeshSpec) {
		return func(m *MeshSpec) {
			withoutACLs(m)
			meshValues(object{"global": object{"metrics": object{path: false}}})(m)
		}
	}
	unobserved := flannel(consul(withoutACLs))
	for _, tc := range []struct {
		name string
		in   Input
		port int64 // 0 where the servers are not monitored
		want object
		// telemetry of the servers is turned on.
		telemetry bool
	}{
		{"nobody asks", unobserved, 0, nil, false},
		{"behind a token", consulObserved(consul()), 0, nil, false},
		{"by a token", consulObserved(consul(datadog(object{"enabled": true}))), 8501, endpoint("https", object{"tlsConfig": tls, "authorization": token}), true},
		{"by a token, in plain text", consulObserved(consul(withoutTLS, datadog(object{"enabled": true}))), 8500, endpoint("http", object{"authorization": token}), true},
		{"without ACLs", consulObserved(consul(withoutACLs)), 8501, endpoint("https", object{"tlsConfig": tls}), true},
		{"without ACLs, in plain text", consulObserved(consul(withoutACLs, withoutTLS)), 8500, endpoint("http", nil), true},
		{"the user has the servers serve none", consulObserved(consul(off("enableAgentMetrics"))), 0, nil, false},
		{"the user has nothing serve any", consulObserved(consul(off("enabled"))), 0, nil, false},
		{"in a datacenter of another name", consulObserved(consul(withoutACLs, func(m *MeshSpec) { m.Identity = &MeshIdentity{ClusterName: "east"} })), 8501,
			endpoint("https", object{"tlsConfig": object{"ca": tls["ca"], "serverName": "server.east.consul"}}), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := accepted(t, tc.in)
			rel, values := releaseNamed(t, r, "consul")
			objects := render(t, testcharts.Upstream(t, "consul", "2.0.3"), rel, values)
			data, _ := lookup(objects["ConfigMap consul-server-config"], "data")
			said := asText(data.(object)["telemetry-config.json"])
			if got := strings.Contains(said, "prometheus_retention_time") && strings.Contains(said, `"disable_hostname": true`); got != tc.telemetry {
				t.Errorf("telemetry of the servers: %q", said)
			}
			job, _ := lookup(objects["Job consul-server-acl-init"], "spec.template.spec.containers")
			_, credentials := tc.want["authorization"]
			if got := strings.Contains(string(rawValues(job).Raw), "-create-dd-agent-token=true"); got != credentials {
				t.Errorf("the Job makes a token: %v", got)
			}
			if tc.in.Stack.Spec.Observability == nil {
				return
			}
			rel, values = releaseNamed(t, r, "observability")
			made := render(t, testcharts.Embedded(t, "observability"), rel, values)
			if made["ServiceMonitor consul-injector-metrics"] == nil {
				t.Error("the injector is not monitored")
			}
			monitor := made["ServiceMonitor consul-server-metrics"]
			if tc.port == 0 {
				if monitor != nil || made["Service consul-server-metrics"] != nil {
					t.Errorf("the servers are monitored: %v", monitor)
				}
				return
			}
			endpoints, _ := lookup(monitor, "spec.endpoints")
			if diff := cmp.Diff([]any{tc.want}, endpoints); diff != "" {
				t.Errorf("endpoints (-want +got):\n%s", diff)
			}
			ports, _ := lookup(made["Service consul-server-metrics"], "spec.ports")
			container, _ := lookup(objects["StatefulSet consul-server"], "spec.template.spec.containers")
			if n := string(rawValues(tc.port).Raw); !strings.Contains(string(rawValues(ports).Raw), `"port":`+n) ||
				!strings.Contains(string(rawValues(container).Raw), `"containerPort":`+n) {
				t.Errorf("port %s: the Service has %v", n, ports)
			}
		})
	}
}

// consulObserved is a cluster with Prometheus' operator, and everything monitored.
func consulObserved(edits ...func(*Input)) Input {
	return flannel(append(edits, observed(ObservabilitySpec{}), prometheus)...)
}
