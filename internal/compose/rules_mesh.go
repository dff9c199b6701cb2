package compose

// Rules about service meshes in general, and about how they go with network plugins.
var (
	ruleMeshBlock = refuses(AreaMesh, Rule{
		ID:        "MESH-BLOCK",
		APIServer: true,
		When:      "mesh.istio, mesh.linkerd or mesh.consul with another type.",
		Remedy:    "Remove it, or set type.",
		Source:    "Nothing would read it.",
	})
	ruleMeshAmbient = refuses(AreaMesh, Rule{
		ID:        "MESH-AMBIENT-TYPE",
		APIServer: true,
		When:      "mode Ambient with another type than Istio.",
		Remedy:    "Remove mode, or set type to Istio.",
		Source:    "Proxies of Linkerd and Consul are sidecars.",
	})
	ruleMeshAmbientCNI = refuses(AreaMesh, Rule{
		ID:        "MESH-AMBIENT-PLUGIN",
		APIServer: true,
		When:      "mode Ambient with cniPlugin Disabled.",
		Remedy:    "Remove cniPlugin.",
		Source:    "Istio, ambient: istio-cni redirects pods' traffic to ztunnel.",
	})
	ruleMeshChart = refuses(AreaMesh, Rule{
		ID:     "MESH-CHART",
		When:   "mesh.chart names a chart or a digest.",
		Remedy: "State the repository alone.",
		Source: "A mesh consists of several charts.",
	})
	ruleMeshReplicas = refuses(AreaMesh, Rule{
		ID:        "MESH-REPLICAS",
		APIServer: true,
		When:      "replicas is not from 1 to 50.",
		Remedy:    "Write such a number.",
		Source:    "A control plane without replicas serves nobody.",
	})
	ruleMeshOneReplica = warns(AreaMesh, Rule{
		ID:     "MESH-ONE-REPLICA",
		When:   "replicas is 1 where there are several nodes.",
		Remedy: "Use 2 or more.",
		Source: "The webhook that injects proxies fails closed: a drained node keeps pods from starting.",
	})
	ruleMeshChanged = refuses(AreaMesh, Rule{
		ID:     "MESH-TYPE-CHANGED",
		When:   "Another type of mesh is still there.",
		Remedy: "Remove mesh, restart the pods, and set the new type when the old one is gone.",
		Source: "A pod can have the proxy of one mesh only, and two CNI plugins would redirect the same traffic.",
	})
	ruleMeshSelector = refuses(AreaMesh, Rule{
		ID:     "MESH-SELECTOR",
		When:   "namespaceSelector cannot be read.",
		Remedy: "Write labels and operators as Kubernetes does.",
		Source: "Kubernetes, label selectors.",
	})
	ruleMeshSkipped = warns(AreaMesh, Rule{
		ID:     "MESH-NAMESPACE-OWN",
		When:   "A selected namespace has labels or annotations of its own about a mesh.",
		Remedy: "Remove these to have it enrolled, or leave it so.",
		Source: "Whoever has set them has decided; istio-injection and istio.io/rev together contradict one another.",
	})
	ruleMeshExclusive = refuses(AreaMesh, Rule{
		ID:     "MESH-CILIUM-EXCLUSIVE",
		When:   "cni.values sets cni.exclusive of Cilium beside a mesh's CNI plugin.",
		Remedy: "Remove the value.",
		Source: "Istio, platform prerequisites; linkerd2#11597: an exclusive Cilium renames the configurations of others.",
	})
	ruleAmbientMasquerade = refuses(AreaMesh, Rule{
		ID:     "MESH-AMBIENT-MASQUERADE",
		When:   "mode Ambient with Cilium masquerading in eBPF.",
		Remedy: "Turn bpf.masquerade off, or use Sidecar.",
		Source: "Istio, ambient, platform prerequisites: the link-local address of probes does not get through.",
	})
	ruleAmbientCilium = warns(AreaMesh, Rule{
		ID:     "MESH-AMBIENT-CILIUM",
		When:   "mode Ambient on Cilium.",
		Remedy: "Allow the addresses of probes in policies.",
		Source: "Istio, ambient, platform prerequisites; istio#49277; Cilium's documentation does not support it.",
	})
	ruleAmbientSecurityGroups = refuses(AreaMesh, Rule{
		ID:     "MESH-AMBIENT-SECURITY-GROUPS",
		When:   "mode Ambient with strict security groups of pods on AWS.",
		Remedy: "Set podSecurityGroups to Standard, or use Sidecar.",
		Source: "Istio, ambient, platform prerequisites; amazon-vpc-cni-k8s#2797.",
	})
	ruleMeshForeignCNI = warns(AreaMesh, Rule{
		ID:     "MESH-FOREIGN-PLUGIN",
		When:   "A mesh on a network plugin that is managed elsewhere.",
		Remedy: "Make sure of its settings there.",
		Source: "Cilium, integration with Istio; Linkerd, cluster configuration.",
	})
	ruleMeshMultus = warns(AreaMesh, Rule{
		ID:     "MESH-MULTUS-FILE",
		When:   "A mesh's CNI plugin beside Multus, and the configuration of the network plugin has no known name.",
		Remedy: "Name the file in the values of the CNI chart.",
		Source: "Multus writes a configuration of its own, made of that one, which comes first.",
	})
)

// Rules about Istio.
var (
	ruleIstioName = refuses(AreaMesh, Rule{
		ID:        "ISTIO-NAME",
		APIServer: true,
		When:      "A revision or a tag is no DNS label of at most 30 characters.",
		Remedy:    "Use lower-case letters, digits and \"-\".",
		Source:    "Services and webhooks are named after it.",
	})
	ruleIstioTag = refuses(AreaMesh, Rule{
		ID:     "ISTIO-TAG",
		When:   "The tag is named as the revision.",
		Remedy: "Use another name.",
		Source: "Two webhooks would inject the same pods.",
	})
	ruleIstioTagAmbient = warns(AreaMesh, Rule{
		ID:     "ISTIO-TAG-AMBIENT",
		When:   "A tag in mode Ambient.",
		Remedy: "None is needed; pods that name it still get sidecars.",
		Source: "Istio, ambient: namespaces are enrolled by istio.io/dataplane-mode.",
	})
	ruleIstioPart = refuses(AreaMesh, Rule{
		ID:     "ISTIO-CHART-UNUSED",
		When:   "mesh.istio.cni without a CNI plugin, or mesh.istio.ztunnel without mode Ambient.",
		Remedy: "Remove it, or turn on what it is about.",
		Source: "Nothing would read it.",
	})
	ruleIstioDualStack = warns(AreaMesh, Rule{
		ID:     "ISTIO-DUAL-STACK",
		When:   "Istio on a dual-stack cluster.",
		Remedy: "None is needed.",
		Source: "Istio, feature status: dual-stack is alpha.",
	})
	ruleIstioReused = refuses(AreaMesh, Rule{
		ID:     "ISTIO-REVISION-REUSED",
		When:   "A revision that is there gets another version.",
		Remedy: "Choose another name, or remove revision.",
		Source: "Istio, canary upgrades: proxies of a revision expect one version of its control plane.",
	})
	ruleIstioOld = refuses(AreaMesh, Rule{
		ID:     "ISTIO-VERSION-OLD",
		When:   "A version of Istio before 1.29.",
		Remedy: "Use 1.29 or newer.",
		Source: "Older charts have other values, and upstream has ended their support.",
	})
	ruleIstioSkipped = refuses(AreaMesh, Rule{
		ID:     "ISTIO-MINOR-SKIPPED",
		When:   "A new version is more minors ahead than Istio supports: two by revision, one with the CNI plugin or ztunnel.",
		Remedy: "Go to the version in between first.",
		Source: "Istio, canary upgrades; what is on the nodes has no revision of its own.",
	})
	ruleIstioDowngrade = refuses(AreaMesh, Rule{
		ID:     "ISTIO-DOWNGRADE",
		When:   "An older minor is wanted, and no control plane of it is left.",
		Remedy: "Stay with the version that is there.",
		Source: "Istio, upgrades: going back is supported while the old revision runs.",
	})
	ruleIstioHeld = warns(AreaMesh, Rule{
		ID:     "ISTIO-REVISION-HELD",
		When:   "A control plane that is no longer wanted is in use.",
		Remedy: "Restart the pods that are named, and remove labels that name the revision; then it goes.",
		Source: "A proxy without its control plane has no certificate after a day.",
	})
	ruleIstioTrust = refuses(AreaMesh, Rule{
		ID:     "ISTIO-TRUST-DOMAIN",
		When:   "Another trust domain for a mesh that is there, and the old one is no alias.",
		Remedy: "Keep it, or list it in values.meshConfig.trustDomainAliases.",
		Source: "Istio, trust domain migration.",
	})
	ruleIstioHub = warns(AreaMesh, Rule{
		ID:     "ISTIO-HUB",
		When:   "values.global.hub is a registry that Istio leaves.",
		Remedy: "Remove the value, or name a mirror.",
		Source: "Istio 1.31, upgrade notes.",
	})
	ruleIstioRegistryOnly = warns(AreaMesh, Rule{
		ID:     "ISTIO-REGISTRY-ONLY",
		When:   "values.meshConfig.outboundTrafficPolicy.mode is REGISTRY_ONLY.",
		Remedy: "Have ServiceEntries for what pods call outside first.",
		Source: "Istio, accessing external services.",
	})
)

// Rules about Linkerd.
var (
	ruleLinkerdIdentity = refuses(AreaMesh, Rule{
		ID:     "LINKERD-IDENTITY-FIELD",
		When:   "meshID, clusterName or network with Linkerd.",
		Remedy: "Remove it.",
		Source: "Clusters of Linkerd are told apart by their links.",
	})
	ruleLinkerdIssuerName = refuses(AreaMesh, Rule{
		ID:        "LINKERD-ISSUER-NAME",
		APIServer: true,
		When:      "issuerSecretName is not linkerd-identity-issuer.",
		Remedy:    "Give the Secret this name.",
		Source:    "Linkerd's chart mounts no other.",
	})
	ruleLinkerdIssuer = refuses(AreaMesh, Rule{
		ID:     "LINKERD-ISSUER-ROOT",
		When:   "issuerSecretName and identity.rootSecretName.",
		Remedy: "Remove one of the two.",
		Source: "Either somebody else keeps the issuer, or the operator makes it from the root.",
	})
	ruleLinkerdCNI = refuses(AreaMesh, Rule{
		ID:     "LINKERD-CHART-UNUSED",
		When:   "mesh.linkerd.cni without a CNI plugin.",
		Remedy: "Remove it, or set cniPlugin to Enabled.",
		Source: "Nothing would read it.",
	})
	ruleLinkerdMultus = warns(AreaMesh, Rule{
		ID:     "LINKERD-MULTUS",
		When:   "Linkerd's CNI plugin beside Multus.",
		Remedy: "Set cniPlugin to Disabled, or try it before.",
		Source: "Linkerd's plugin has no setting for the file that it chains itself into.",
	})
	ruleLinkerdReplicas = warns(AreaMesh, Rule{
		ID:     "LINKERD-REPLICAS",
		When:   "Two replicas of Linkerd's control plane.",
		Remedy: "Use 3.",
		Source: "Linkerd, high availability.",
	})
	ruleLinkerdDualStack = warns(AreaMesh, Rule{
		ID:     "LINKERD-DUAL-STACK",
		When:   "Linkerd on a dual-stack cluster.",
		Remedy: "Have pods listen on both families.",
		Source: "Linkerd, IPv6 support.",
	})
	ruleLinkerdTrust = refuses(AreaMesh, Rule{
		ID:     "LINKERD-TRUST-DOMAIN",
		When:   "Another trust domain for a Linkerd that is there.",
		Remedy: "Keep it, or remove the mesh first.",
		Source: "Identities of proxies that run would not be trusted any more.",
	})
)
