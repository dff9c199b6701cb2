package compose

// AreaGatewayAPI is about the definitions of the Gateway API and what implements it.
const AreaGatewayAPI Area = "Gateway API"

var (
	ruleGatewayMissing = refuses(AreaGatewayAPI, Rule{
		ID:     "GATEWAY-MISSING",
		When:   "Something is to implement the Gateway API, and its definitions are neither there nor asked for.",
		Remedy: "Set gatewayAPI.channel to Standard.",
		Source: "Cilium, Gateway API support, prerequisites: the definitions have to be installed before Cilium starts. Linkerd, Gateway API support: they come before Linkerd. Envoy Gateway, compatibility matrix; its own chart would bring them, and take them away for everybody else.",
	})
	ruleGatewayNoneFound = warns(AreaGatewayAPI, Rule{
		ID:     "GATEWAY-NONE-FOUND",
		When:   "gatewayAPI.channel Unmanaged, and nothing of the Gateway API is defined.",
		Remedy: "Install it, or set channel to Standard.",
		Source: "There is nothing to check.",
	})
	ruleGatewayUnmanagedField = refuses(AreaGatewayAPI, Rule{
		ID:        "GATEWAY-UNMANAGED-FIELD",
		APIServer: true,
		When:      "gatewayAPI.channel Unmanaged, and a setting of what is installed.",
		Remedy:    "Remove it, or choose Standard.",
		Source:    "Nothing is installed that it could be read for.",
	})
	ruleGatewayUntold = warns(AreaGatewayAPI, Rule{
		ID:     "GATEWAY-UNTOLD",
		When:   "gatewayAPI.channel Unmanaged with a version, and the definitions do not say of which version they are.",
		Remedy: "Check them yourself.",
		Source: "Gateway API, versioning: the annotation gateway.networking.k8s.io/bundle-version states it.",
	})
	ruleGatewayOld = refuses(AreaGatewayAPI, Rule{
		ID:     "GATEWAY-OLD",
		When:   "gatewayAPI.channel Unmanaged, and the definitions are older than version asks for.",
		Remedy: "Have them upgraded by whoever has them, or ask for no more.",
		Source: "Gateway API, versioning: newer kinds and fields are not there, or lost when objects are stored.",
	})
	ruleGatewayOwned = refuses(AreaGatewayAPI, Rule{
		ID:     "GATEWAY-OWNED",
		When:   "The definitions of the Gateway API belong to somebody else: a cloud, a Helm release, a GitOps tool.",
		Remedy: "Set channel to Unmanaged, or remove them from there first without deleting them.",
		Source: "Gateway API, installation: one owner of the definitions in a cluster; two would change them in turns.",
	})
	ruleGatewayVersion = refuses(AreaGatewayAPI, Rule{
		ID:     "GATEWAY-VERSION",
		When:   "The catalogue knows no chart with the definitions of the wanted version.",
		Remedy: "Use one of those that the message names, or have the catalogue know it.",
		Source: "The catalogue.",
	})
	ruleGatewayDowngrade = refuses(AreaGatewayAPI, Rule{
		ID:     "GATEWAY-DOWNGRADE",
		When:   "The wanted version of the Gateway API is older than the definitions that are there.",
		Remedy: "Use the version that is there, or a newer one.",
		Source: "Gateway API, versioning: stored objects may have what older definitions lack, and would lose it.",
	})
	ruleGatewayChannelBack = refuses(AreaGatewayAPI, Rule{
		ID:     "GATEWAY-CHANNEL-BACK",
		When:   "gatewayAPI.channel Standard, and the definitions that are there are of the experimental channel.",
		Remedy: "Set it to Experimental, or to Unmanaged and go back yourself.",
		Source: "Gateway API, release channels: experimental fields and kinds are not in the standard channel, and are lost.",
	})
	ruleGatewayImplementationOld = refuses(AreaGatewayAPI, Rule{
		ID:     "GATEWAY-IMPLEMENTATION-NEEDS",
		When:   "Something that implements the Gateway API reads kinds that its version does not have.",
		Remedy: "Set gatewayAPI.version to a newer one.",
		Source: "The projects' statements of compatibility: Cilium, Istio, Envoy Gateway, Traefik, NGINX Gateway Fabric.",
	})
	ruleGatewayImplementationNew = warns(AreaGatewayAPI, Rule{
		ID:     "GATEWAY-IMPLEMENTATION-UNTESTED",
		When:   "The version of the Gateway API is newer than something that implements it was tested with.",
		Remedy: "Use an older version of the Gateway API where nothing else needs it.",
		Source: "The projects' statements of compatibility: Cilium, Istio, Envoy Gateway, Traefik, NGINX Gateway Fabric.",
	})
	ruleGatewayCilium = refuses(AreaGatewayAPI, Rule{
		ID:     "GATEWAY-CILIUM",
		When:   "Cilium is to implement the Gateway API without kubeProxy.mode Replaced, or with the value l7Proxy false.",
		Remedy: "Set kubeProxy.mode to Replaced, and remove the value.",
		Source: "Cilium, Gateway API support, prerequisites.",
	})
)
