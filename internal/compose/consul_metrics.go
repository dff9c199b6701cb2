package compose

import (
	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
)

const (
	// consulServerPart is what the catalogue calls Consul's servers among what serves metrics.
	consulServerPart = "server"
	// consulAgentMetrics and consulAllMetrics are the values that have servers serve metrics, both of them.
	consulAgentMetrics, consulAllMetrics = "global.metrics.enableAgentMetrics", "global.metrics.enabled"
	// consulDatadog is the value by which the chart's Job makes a token that may read the agents, and no more; consulDogstatsd is
	// the one by which it does not.
	consulDatadog, consulDogstatsd = "global.metrics.datadog.enabled", "global.metrics.datadog.dogstatsd.enabled"
	// consulMetricsToken is the Secret that the Job writes it to.
	consulMetricsToken = nameConsul + "-datadog-agent-metrics-acl-token"
	// consulHTTPS is the port of the servers' API where it is spoken to over TLS. There is none for plain text then.
	consulHTTPS = 8501
)

// withoutToken says whether a part of a component shows its metrics to nobody without a token, and there is none: Consul's servers
// with ACLs. The only token that the operator has may do everything, and is not for Prometheus.
func (s *state) withoutToken(typ string, m *catalog.Metrics) bool {
	if typ != TypeConsul || m.Name != consulServerPart || !s.mesh.consul.acls {
		return false
	}
	user := s.userValues[meshPath.String()]
	made, _ := lookup(user, consulDatadog)
	pushed, _ := lookup(user, consulDogstatsd)
	return made != true || pushed == true
}

// validateConsulMetrics says so where Consul's servers are not monitored.
func (s *state) validateConsulMetrics() {
	server := &catalog.Metrics{Name: consulServerPart}
	if !s.monitors || s.mesh.typ != networkstackv1alpha1.MeshConsul || !s.withoutToken(TypeConsul, server) || s.consulMetricsOff() {
		return
	}
	s.warn(ruleMonitorsToken, consulPath.Child("acls"), "Consul's servers are not monitored: with acls Enabled who reads /v1/agent/metrics shows a token with "+
		"agent:read, and the one token that the operator makes may do everything. Set mesh.values.%s to true: the chart makes such a token then, "+
		"for Datadog, and Prometheus shows it", consulDatadog)
}

// consulMetricsOff says whether the user's values have the servers serve none.
func (s *state) consulMetricsOff() bool {
	for _, path := range []string{consulAgentMetrics, consulAllMetrics} {
		if v, set := lookup(s.userValues[meshPath.String()], path); set && v != true {
			return true
		}
	}
	return false
}

// consulMetricsValues has the servers' metrics named alike on each of them. The chart wants that said only where they are served.
func (s *state) consulMetricsValues(b *valuesBuilder) {
	if s.monitors && !s.withoutToken(TypeConsul, &catalog.Metrics{Name: consulServerPart}) && !s.consulMetricsOff() {
		b.set("global.metrics.disableAgentHostName", true, "a metric has the same name on every server")
	}
}

// consulTarget is how the servers are spoken to: over TLS, whose certificates are of the mesh's own authority, and with a token.
func (s *state) consulTarget(t *target) {
	p := &s.mesh.consul
	if p.tls {
		t.Scheme, t.port = "https", consulHTTPS
		t.authority = &secretKey{consulServerCert, "ca.crt"}
		t.serverName = "server." + p.datacenter + "." + consulDomain
	}
	if p.acls {
		t.credentials = &secretKey{consulMetricsToken, "token"}
	}
}
