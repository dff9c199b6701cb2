package compose

func ciliumFindings() []finding {
	hubble := func(more object) func(*Input) {
		return values(object{"hubble": MergeValues(object{"enabled": true}, more)})
	}
	return []finding{
		{name: "Hubble's certificates for ever", in: cilium(hubble(object{"tls": object{"auto": object{"certValidityDuration": 0}}})), errors: []string{
			"spec.cni.values: Invalid value: values.hubble.tls.auto.certValidityDuration must be a whole number of days, from 1 to 3650 [CILIUM-HUBBLE-VALIDITY]",
		}},
		{name: "Hubble's certificates for a name as an address", in: cilium(hubble(object{"tls": object{"server": object{"extraIpAddresses": []any{"relay.example.com"}}}})), errors: []string{
			`spec.cni.values: Invalid value: values.hubble.tls.server.extraIpAddresses: "relay.example.com" is no IP address [CILIUM-HUBBLE-ADDRESS]`,
		}},
	}
}
