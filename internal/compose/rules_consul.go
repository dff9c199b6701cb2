package compose

// Rules about Consul.
var (
	ruleConsulIdentity = refuses(AreaMesh, Rule{
		ID:     "CONSUL-IDENTITY-FIELD",
		When:   "meshID, network or trustDomain with Consul.",
		Remedy: "Remove it.",
		Source: "Consul tells clusters apart by datacenter, and its trust domain is made of an identifier of its own.",
	})
	ruleConsulRoot = refuses(AreaMesh, Rule{
		ID:     "CONSUL-ROOT-UNUSED",
		When:   "identity.rootSecretName with consul.tls Disabled.",
		Remedy: "Remove it, or set tls to Enabled.",
		Source: "Nothing would read it.",
	})
	ruleConsulOld = refuses(AreaMesh, Rule{
		ID:     "CONSUL-VERSION-OLD",
		When:   "A version of Consul's chart before 2.0.",
		Remedy: "Use 2.0 or newer.",
		Source: "Older ones read the Gateway API of 0.7, and kinds that its standard channel never had.",
	})
	ruleConsulPlugin = refuses(AreaMesh, Rule{
		ID:     "CONSUL-PLUGIN-UNUSED",
		When:   "Consul's CNI plugin without transparent proxies.",
		Remedy: "Remove one of the two.",
		Source: "consul-cni does nothing but redirect traffic to transparent proxies.",
	})
	ruleConsulPermissive = refuses(AreaMesh, Rule{
		ID:     "CONSUL-PERMISSIVE",
		When:   "mtls Permissive with Consul without transparent proxies.",
		Remedy: "Remove one of the two.",
		Source: "Consul, permissive mTLS: it is a mode of transparent proxies.",
	})
	ruleConsulMultus = warns(AreaMesh, Rule{
		ID:     "CONSUL-MULTUS",
		When:   "Consul's CNI plugin beside Multus.",
		Remedy: "Annotate the pods of the mesh.",
		Source: "Consul's chart, connectInject.cni.multus.",
	})
	ruleConsulServers = refuses(AreaMesh, Rule{
		ID:        "CONSUL-SERVERS",
		APIServer: true,
		When:      "The number of servers is not 1, 3, 5 or 7.",
		Remedy:    "Write one of these.",
		Source:    "Raft: an even number fails as easily as the odd one below it, and more of them make every write slower.",
	})
	ruleConsulOneServer = warns(AreaMesh, Rule{
		ID:     "CONSUL-ONE-SERVER",
		When:   "One server where there are three nodes.",
		Remedy: "Use 3.",
		Source: "Consul, consensus: one server tolerates no failure.",
	})
	ruleConsulNodes = refuses(AreaMesh, Rule{
		ID:     "CONSUL-SERVERS-NODES",
		When:   "More servers than nodes, and values.server.affinity does not let them share one.",
		Remedy: "Use fewer, or set values.server.affinity.",
		Source: "Consul's chart keeps servers apart by a required anti-affinity.",
	})
	ruleConsulReduced = refuses(AreaMesh, Rule{
		ID:     "CONSUL-SERVERS-REDUCED",
		When:   "Fewer servers are wanted than a majority of those that there are.",
		Remedy: "Keep them, or take away less at a time.",
		Source: "Raft: without a majority nobody can be taken off the list of peers.",
	})
	ruleConsulToggled = refuses(AreaMesh, Rule{
		ID:     "CONSUL-SECURITY-CHANGED",
		When:   "consul.tls or consul.acls is another than that of the Consul that runs.",
		Remedy: "Keep it, or remove the mesh first.",
		Source: "Consul, TLS and ACLs on existing clusters: several steps by hand.",
	})
	ruleConsulDatacenter = refuses(AreaMesh, Rule{
		ID:     "CONSUL-DATACENTER",
		When:   "Another identity.clusterName for a Consul that is there.",
		Remedy: "Keep it, or remove the mesh first.",
		Source: "Servers refuse a datacenter that is not that of their state.",
	})
	ruleConsulStorage = refuses(AreaMesh, Rule{
		ID:     "CONSUL-STORAGE",
		When:   "Other storage, or another class of it, for servers that are there.",
		Remedy: "Keep it, and change the claims themselves.",
		Source: "Kubernetes: a StatefulSet's volume claim templates are for new claims alone.",
	})
)
