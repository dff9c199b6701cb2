package compose

import (
	"k8s.io/apimachinery/pkg/api/resource"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
)

// consul is a mesh of Consul, edited, with the definitions that it reads.
func consul(edits ...func(*MeshSpec)) func(*Input) {
	return func(in *Input) {
		gateway(GatewayAPIStandard, "")(in)
		meshOf(MeshConsul, edits...)(in)
	}
}

func consulBlock(edit func(*ConsulSpec)) func(*MeshSpec) {
	return func(m *MeshSpec) {
		if m.Consul == nil {
			m.Consul = &ConsulSpec{}
		}
		edit(m.Consul)
	}
}

func consulServerBlock(servers ConsulServers) func(*MeshSpec) {
	return consulBlock(func(c *ConsulSpec) { c.Servers = &servers })
}

func consulReplicas(n int32) func(*MeshSpec) { return consulServerBlock(ConsulServers{Replicas: &n}) }

// consulThere is a Consul that is there, with values.
func consulThere(values any) func(*Input) {
	return component("consul", NetworkComponentSpec{Type: TypeConsul, Chart: ResolvedChart{Name: "consul", Version: "2.0.3"}, DerivedValues: rawValues(values)})
}

// consulUsual are the values of one that was installed without a word about it.
func consulUsual(servers int) map[string]any {
	return map[string]any{
		"global": map[string]any{"datacenter": "dc1", "tls": map[string]any{"enabled": true}, "acls": map[string]any{"manageSystemACLs": true}},
		"server": map[string]any{"replicas": servers},
	}
}

func consulFindings() []finding {
	opaque := consulBlock(func(c *ConsulSpec) { c.TransparentProxy = Disabled })
	multus := spec(func(s *NetworkStackSpec) { s.SecondaryNetworks = &SecondaryNetworksSpec{Type: SecondaryNetworksMultus} })
	ten := resource.MustParse("10Gi")
	agent := func(in *Input) { // which takes a port that Consul's servers may take, too
		in.OperatorImage = "example.com/operator:v1"
		in.Stack.Spec.NodeAgent = &NodeAgentSpec{Mode: Enabled, ComponentSettings: ComponentSettings{Values: rawValues(object{"probePort": 8300})}}
	}
	return []finding{
		{name: "Consul", in: cilium(consul(meshPlugin, selecting(map[string]string{"a": "b"})))},
		{name: "Consul, with all that may be said of it", in: flannel(consul(consulBlock(func(c *ConsulSpec) {
			*c = ConsulSpec{TLS: Disabled, ACLs: Disabled, TransparentProxy: Disabled, Servers: &ConsulServers{
				Replicas: ptr(int32(3)), Storage: &ten, StorageClassName: "fast", VolumeClaims: ClaimsDelete,
			}}
		}), func(m *MeshSpec) { m.MTLS = MTLSStrict }))},
		{name: "Consul's block with Istio", in: flannel(istio(func(m *MeshSpec) { m.Consul = &ConsulSpec{} })), errors: []string{
			"spec.mesh.consul: Forbidden: is read only with type Consul: remove it, or set type to Consul [MESH-BLOCK]",
		}},
		{name: "Consul in mode Ambient", in: flannel(consul(ambient)), errors: []string{
			`spec.mesh.mode: Invalid value: "Ambient": only Istio has the mode Ambient: remove mode, or set type to Istio [MESH-AMBIENT-TYPE]`,
		}},
		{name: "Consul with unknown words", in: flannel(consul(consulBlock(func(c *ConsulSpec) {
			*c = ConsulSpec{TLS: "Maybe", ACLs: "Maybe", TransparentProxy: "Maybe", Servers: &ConsulServers{VolumeClaims: "Keep"}}
		}))), errors: []string{
			`spec.mesh.consul.tls: Unsupported value: "Maybe": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
			`spec.mesh.consul.acls: Unsupported value: "Maybe": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
			`spec.mesh.consul.transparentProxy: Unsupported value: "Maybe": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
			`spec.mesh.consul.servers.volumeClaims: Unsupported value: "Keep": supported values: "Retain", "Delete" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "Consul without the Gateway API", in: flannel(meshOf(MeshConsul)), errors: []string{
			"spec.mesh.type: Invalid value: Consul needs the definitions of the Gateway API, and there are none: set gatewayAPI.channel to Standard [GATEWAY-MISSING]",
		}},
		{name: "Consul with a Gateway API that is too old", in: flannel(consul(), gateway(GatewayAPIStandard, "1.4.1")), errors: []string{
			"spec.mesh.type: Invalid value: Consul 2.0.3 reads kinds that the Gateway API has since v1.5.0, and the version is v1.4.1: set gatewayAPI.version to a newer one [GATEWAY-IMPLEMENTATION-NEEDS]",
		}},
		{name: "from Consul to Linkerd", in: flannel(linkerd(), consulThere(consulUsual(3))), errors: []string{
			`spec.mesh.type: Invalid value: "Linkerd": Consul is still there (component consul), and a pod can be in one mesh only: remove mesh, restart the pods, and set the new type when consul is gone [MESH-TYPE-CHANGED]`,
		}},
		{name: "an identity that Consul has not", in: flannel(consul(func(m *MeshSpec) {
			m.Identity = &MeshIdentity{MeshID: "a", Network: "b", TrustDomain: "c", ClusterName: "east"}
		})), errors: []string{
			"spec.mesh.identity.meshID: Forbidden: Consul has no such name, or makes it itself: remove it [CONSUL-IDENTITY-FIELD]",
			"spec.mesh.identity.network: Forbidden: Consul has no such name, or makes it itself: remove it [CONSUL-IDENTITY-FIELD]",
			"spec.mesh.identity.trustDomain: Forbidden: Consul has no such name, or makes it itself: remove it [CONSUL-IDENTITY-FIELD]",
		}},
		{name: "a root of Consul's without TLS", in: flannel(consul(consulBlock(func(c *ConsulSpec) { c.TLS = Disabled }), func(m *MeshSpec) {
			m.Identity = &MeshIdentity{RootSecretName: "root"}
		})), errors: []string{
			"spec.mesh.identity.rootSecretName: Forbidden: with consul.tls Disabled no certificate is made from it: remove it, or set tls to Enabled [CONSUL-ROOT-UNUSED]",
		}},
		{name: "a Consul that is too old", in: flannel(consul(meshVersion("1.9.11"))), errors: []string{
			`spec.mesh.version: Invalid value: "1.9.11": the operator knows the charts of 2.0 and newer, which go with a Gateway API of the present: use one of these [CONSUL-VERSION-OLD]`,
		}, warnings: []string{
			"spec.mesh.version: Consul 1.9.11 is not in the catalogue (2.0.3, 2.0.2): it was not tested with this operator and its chart is not checked against a digest [VERSION-UNKNOWN]",
		}},
		{name: "Consul's plugin with nothing to do", in: flannel(consul(meshPlugin, opaque)), errors: []string{
			`spec.mesh.cniPlugin: Invalid value: "Enabled": with consul.transparentProxy Disabled there is no traffic to redirect: remove one of the two [CONSUL-PLUGIN-UNUSED]`,
		}},
		{name: "plaintext that gets to nobody", in: flannel(consul(opaque, func(m *MeshSpec) { m.MTLS = MTLSPermissive })), errors: []string{
			`spec.mesh.mtls: Invalid value: "Permissive": plaintext gets to pods by their transparent proxies, and consul.transparentProxy is Disabled: remove one of the two [CONSUL-PERMISSIVE]`,
		}},
		{name: "Consul's plugin beside Multus", in: flannel(consul(meshPlugin), multus), warnings: []string{
			`spec.mesh.cniPlugin: beside Multus Consul's plugin is an attachment, which pods of the mesh have to name: annotate them with k8s.v1.cni.cncf.io/networks: '[{"name": "consul-cni", "namespace": "consul"}]' [CONSUL-MULTUS]`,
		}},
		{name: "an even number of servers", in: flannel(consul(consulReplicas(2))), errors: []string{
			`spec.mesh.consul.servers.replicas: Unsupported value: 2: supported values: "1", "3", "5", "7" [CONSUL-SERVERS]`,
		}},
		{name: "one server on three nodes", in: flannel(consul(consulReplicas(1))), warnings: []string{
			"spec.mesh.consul.servers.replicas: while the one server is away nothing of the mesh changes, and its volume has all there is: use 3 [CONSUL-ONE-SERVER]",
		}},
		{name: "more servers than nodes", in: flannel(consul(consulReplicas(5))), errors: []string{
			"spec.mesh.consul.servers.replicas: Invalid value: 5: no two servers share a node, and there are 3 nodes for them: use fewer, or say otherwise in values.server.affinity [CONSUL-SERVERS-NODES]",
		}},
		{name: "more servers than nodes, which may share", in: flannel(consul(consulReplicas(5), meshValues(map[string]any{"server": map[string]any{"affinity": nil}})))},
		{name: "from three servers to one", in: flannel(consul(consulReplicas(1)), consulThere(consulUsual(3))), errors: []string{
			"spec.mesh.consul.servers.replicas: Invalid value: 1: there are 3 servers, and fewer than 2 are no majority of them: keep them, or take away less at a time [CONSUL-SERVERS-REDUCED]",
		}, warnings: []string{
			"spec.mesh.consul.servers.replicas: while the one server is away nothing of the mesh changes, and its volume has all there is: use 3 [CONSUL-ONE-SERVER]",
		}},
		{name: "from five servers to three", in: flannel(consul(consulReplicas(3)), consulThere(consulUsual(5)))},
		{name: "TLS and ACLs turned off", in: flannel(consul(consulBlock(func(c *ConsulSpec) { c.TLS, c.ACLs = Disabled, Disabled })), consulThere(consulUsual(3))), errors: []string{
			`spec.mesh.consul.tls: Invalid value: "Disabled": Consul runs with it Enabled, and servers that have it would not agree with those that do not yet: keep it, or remove the mesh first [CONSUL-SECURITY-CHANGED]`,
			`spec.mesh.consul.acls: Invalid value: "Disabled": Consul runs with it Enabled, and servers that have it would not agree with those that do not yet: keep it, or remove the mesh first [CONSUL-SECURITY-CHANGED]`,
		}},
		{name: "another datacenter", in: flannel(consul(func(m *MeshSpec) { m.Identity = &MeshIdentity{ClusterName: "east"} }), consulThere(consulUsual(3))), errors: []string{
			`spec.mesh.identity.clusterName: Invalid value: "east": the datacenter is dc1, and servers keep its name in what they store: keep it, or remove the mesh first [CONSUL-DATACENTER]`,
		}},
		{name: "other volumes", in: flannel(consul(consulServerBlock(ConsulServers{Storage: &ten, StorageClassName: "fast"})), consulThere(consulUsual(3))), errors: []string{
			`spec.mesh.consul.servers.storage: Invalid value: "10Gi": volume claims that are there do not change with it (now ""): keep it, and change the claims themselves [CONSUL-STORAGE]`,
			`spec.mesh.consul.servers.storageClassName: Invalid value: "fast": volume claims that are there do not change with it (now ""): keep it, and change the claims themselves [CONSUL-STORAGE]`,
		}},
		{name: "Consul back to an older minor", in: flannel(consul(meshVersion("2.0.3")), component("consul", NetworkComponentSpec{
			Type: TypeConsul, Chart: ResolvedChart{Name: "consul", Version: "2.1.0"}, DerivedValues: rawValues(consulUsual(3)),
		})), errors: []string{
			`spec.mesh.version: Invalid value: "2.0.3": Consul 2.1 → 2.0 goes down further than is supported: use a version of 2.1 [VERSION-DOWN]`,
		}},
		{name: "keys of one's own by values", in: flannel(consul(meshValues(map[string]any{
			"global": map[string]any{"gossipEncryption": map[string]any{"secretName": "mine"}}, "connectInject": map[string]any{"namespaceSelector": ""},
		}))), errors: []string{
			"spec.mesh.values: Forbidden: values.connectInject.namespaceSelector is controlled by spec.mesh.namespaceSelector; remove it [VALUES-CONTROLLED]",
			"spec.mesh.values: Forbidden: values.global.gossipEncryption.secretName is controlled by spec.mesh.consul; remove it [VALUES-CONTROLLED]",
		}},
		{name: "Consul's servers on a port of the nodes that is taken", in: flannel(agent, consul(meshValues(map[string]any{
			"server": map[string]any{"exposeGossipAndRPCPorts": true},
		}))), errors: []string{
			"spec.nodeAgent.values: Invalid value: 8300: the node agent's probes (probePort) has the port of Consul's servers among themselves, and both run in the network of each node: give one of them another port [HOST-PORT-TAKEN]",
		}},
		{name: "Consul's servers beside a port that they would take of the nodes", in: flannel(agent, consul())},
		{name: "an exclusive Cilium while Consul's plugin is there", in: cilium(consul(), values(map[string]any{"cni": map[string]any{"exclusive": true}}),
			consulThere(MergeValues(consulUsual(3), map[string]any{"connectInject": map[string]any{"cni": map[string]any{"enabled": true}}}))), errors: []string{
			"spec.cni.values: Invalid value: values.cni.exclusive may only be false: consul is still there with its plugin, and an exclusive Cilium puts the configuration of other plugins aside; remove values.cni.exclusive [MESH-CILIUM-EXCLUSIVE]",
		}},
	}
}
