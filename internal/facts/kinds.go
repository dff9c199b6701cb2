package facts

// APIVersions are the kinds of others' that are known to be there, as charts ask for them.
func (s *Snapshot) APIVersions() []string {
	var out []string
	add := func(there bool, group string, kinds ...string) {
		if !there {
			return
		}
		out = append(out, group)
		for _, k := range kinds {
			out = append(out, group+"/"+k)
		}
	}
	const monitoring, gateway = "monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1"
	add(s.ServiceMonitors, monitoring, "ServiceMonitor")
	add(s.PodMonitors, monitoring, "PodMonitor")
	add(s.CertManager, "cert-manager.io/v1", "Certificate", "Issuer", "ClusterIssuer")
	add(s.BackendConfigs, "cloud.google.com/v1", "BackendConfig")
	add(s.GatewayAPI.Present(), gateway, "GatewayClass", "Gateway", "HTTPRoute")
	return out
}
