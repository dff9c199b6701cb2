package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// gateway asks for the definitions of a channel; an empty version means whichever is usual.
func gateway(channel GatewayAPIChannel, version string) func(*Input) {
	return spec(func(s *NetworkStackSpec) {
		s.GatewayAPI = &GatewayAPISpec{Channel: channel, ComponentSettings: ComponentSettings{Version: version}}
	})
}

// gatewayFound has definitions in the cluster.
func gatewayFound(version, channel string, edits ...func(*facts.GatewayAPI)) func(*Input) {
	return cluster(func(s *facts.Snapshot) {
		s.GatewayAPI = facts.GatewayAPI{
			Definitions: []string{"gatewayclasses.gateway.networking.k8s.io"}, Version: version, Newest: version, Channel: channel,
		}
		for _, edit := range edits {
			edit(&s.GatewayAPI)
		}
	})
}

func gatewayOurs(g *facts.GatewayAPI) { g.Component = "gateway-api" }

func gatewayOf(manager string) func(*facts.GatewayAPI) {
	return func(g *facts.GatewayAPI) { g.Manager = manager }
}

// ciliumGateway has Cilium implement the Gateway API.
func ciliumGateway(in *Input) {
	mode(KubeProxyReplaced)(in)
	ciliumBlock(func(c *CiliumSpec) { c.GatewayAPI = Enabled })(in)
}

func gatewayFindings() []finding {
	ciliumVersion := func(v string) func(*Input) { return func(in *Input) { in.Stack.Spec.CNI.Version = v } }
	const standard, experimental = GatewayAPIStandard, GatewayAPIExperimental
	return []finding{
		{name: "the Gateway API", in: flannel(gateway(standard, ""))},
		{name: "the Gateway API of a version", in: flannel(gateway(standard, "v1.6.1"))},
		{name: "the experimental Gateway API", in: flannel(gateway(experimental, "1.5.1"))},
		{name: "the Gateway API of no channel", in: flannel(gateway("Beta", "")), errors: []string{
			`spec.gatewayAPI.channel: Unsupported value: "Beta": supported values: "Standard", "Experimental", "Unmanaged" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "the Gateway API of a version that nobody has", in: flannel(gateway(standard, "1.3.0")), errors: []string{
			`spec.gatewayAPI.version: Unsupported value: "1.3.0": supported values: "v1.6.1", "v1.5.1", "v1.4.1" [GATEWAY-VERSION]`,
		}},
		{name: "the Gateway API, older than there is", in: flannel(gateway(standard, "1.5.1"), gatewayFound("v1.6.1", "standard", gatewayOurs)), errors: []string{
			`spec.gatewayAPI.version: Invalid value: "1.5.1": the definitions are of version v1.6.1, and are never replaced by older ones: use it or a newer one [GATEWAY-DOWNGRADE]`,
		}},
		{name: "the Gateway API, the usual one, and a newer is there", in: flannel(gateway(standard, ""), gatewayFound("v1.6.1", "standard", gatewayOurs))},
		{name: "the Gateway API, the usual one, and one that nobody knows is there", in: flannel(gateway(standard, ""), gatewayFound("v1.7.0", "standard")), errors: []string{
			"spec.gatewayAPI.version: Required value: v1.7.0 is wanted (what there is, which is newer than the default), and this operator knows v1.6.1, v1.5.1, v1.4.1: set channel to Unmanaged, or have the catalogue know a newer one [GATEWAY-VERSION]",
		}},
		{name: "the Gateway API that nobody has marked", in: flannel(gateway(standard, ""), gatewayFound("v1.4.1", "standard"))},
		{name: "the Gateway API, back from the experiment", in: flannel(gateway(standard, "1.5.1"), gatewayFound("v1.5.1", "experimental", gatewayOurs)), errors: []string{
			`spec.gatewayAPI.channel: Invalid value: "Standard": the definitions are of the experimental channel, and Standard would lose what objects have in experimental fields: set it to Experimental, or to Unmanaged and go back yourself [GATEWAY-CHANNEL-BACK]`,
		}},
		{name: "the Gateway API of a cloud", in: flannel(gateway(standard, "1.5.1"), gatewayFound("v1.5.1", "standard", gatewayOf("GKE"))), errors: []string{
			`spec.gatewayAPI.channel: Invalid value: "Standard": the definitions that are there belong to GKE: set it to Unmanaged, which checks them and leaves them alone, or remove them from there first, without deleting them [GATEWAY-OWNED]`,
		}},
		{name: "a cloud's Gateway API", in: flannel(gateway(GatewayAPIUnmanaged, "1.4.0"), gatewayFound("v1.5.1", "standard", gatewayOf("GKE")))},
		{name: "a cloud's old Gateway API", in: flannel(gateway(GatewayAPIUnmanaged, "1.5.0"), gatewayFound("v1.4.1", "standard", gatewayOf("GKE"))), errors: []string{
			`spec.gatewayAPI.version: Invalid value: "1.5.0": the definitions are of version v1.4.1 (GKE has them): have them upgraded there, or ask for no more [GATEWAY-OLD]`,
		}},
		{name: "somebody's Gateway API that says nothing of itself", in: flannel(gateway(GatewayAPIUnmanaged, "1.5.0"), gatewayFound("", "")), warnings: []string{
			"spec.gatewayAPI.version: the definitions that are there do not say of which version they are: check them [GATEWAY-UNTOLD]",
		}},
		{name: "somebody's Gateway API that is not there", in: flannel(gateway(GatewayAPIUnmanaged, "")), warnings: []string{
			"spec.gatewayAPI.channel: Unmanaged, and nothing of the Gateway API is defined: install it, or set channel to Standard [GATEWAY-NONE-FOUND]",
		}},
		{name: "somebody's Gateway API with settings", in: flannel(gateway(GatewayAPIUnmanaged, ""), gatewayFound("v1.5.1", "standard"), spec(func(s *NetworkStackSpec) { s.GatewayAPI.Namespace = "gateways" })), errors: []string{
			"spec.gatewayAPI.namespace: Forbidden: with channel Unmanaged nothing is installed: remove it, or choose Standard [GATEWAY-UNMANAGED-FIELD]",
		}},

		{name: "Cilium's Gateway API", in: cilium(ciliumGateway, gateway(standard, ""))},
		{name: "Cilium's Gateway API with somebody's definitions", in: cilium(ciliumGateway, gatewayFound("v1.6.1", "standard"))},
		{name: "Cilium's Gateway API without definitions", in: cilium(ciliumGateway), errors: []string{
			"spec.cni.cilium.gatewayAPI: Invalid value: Cilium needs the definitions of the Gateway API, and there are none: set gatewayAPI.channel to Standard [GATEWAY-MISSING]",
		}},
		{name: "Cilium's Gateway API by values, without definitions", in: cilium(mode(KubeProxyReplaced), values(object{"gatewayAPI": object{"enabled": true}})), errors: []string{
			"spec.cni.values: Invalid value: Cilium needs the definitions of the Gateway API, and there are none: set gatewayAPI.channel to Standard [GATEWAY-MISSING]",
		}},
		{name: "Cilium's Gateway API with old definitions", in: cilium(ciliumGateway, gateway(standard, "1.4.1")), errors: []string{
			"spec.cni.cilium.gatewayAPI: Invalid value: Cilium 1.20.0 reads kinds that the Gateway API has since v1.5.0, and the version is v1.4.1: set gatewayAPI.version to a newer one [GATEWAY-IMPLEMENTATION-NEEDS]",
		}},
		{name: "Istio with old definitions", in: flannel(istio(), gateway(standard, "1.4.1")), errors: []string{
			"spec.mesh.type: Invalid value: Istio 1.30.3 reads kinds that the Gateway API has since v1.5.0, and the version is v1.4.1: set gatewayAPI.version to a newer one [GATEWAY-IMPLEMENTATION-NEEDS]",
		}},
		{name: "Linkerd without definitions", in: flannel(meshOf(MeshLinkerd)), errors: []string{
			"spec.mesh.type: Invalid value: Linkerd needs the definitions of the Gateway API, and there are none: set gatewayAPI.channel to Standard [GATEWAY-MISSING]",
		}},
		{name: "Envoy Gateway wants newer definitions than Linkerd is tested with", in: flannel(meshOf(MeshLinkerd), gateway(standard, ""), ingresses(ingressOf(IngressEnvoyGateway))), warnings: []string{
			"spec.mesh.type: Linkerd 2026.8.3 is tested with the Gateway API up to 1.5, and the version is v1.6.1 [GATEWAY-IMPLEMENTATION-UNTESTED]",
		}},
		{name: "an older Cilium's Gateway API", in: cilium(ciliumGateway, ciliumVersion("1.19.6"), gateway(standard, "1.6.1")), warnings: []string{
			"spec.cni.cilium.gatewayAPI: Cilium 1.19.6 is tested with the Gateway API up to 1.4, and the version is v1.6.1 [GATEWAY-IMPLEMENTATION-UNTESTED]",
			"spec.cni.version: Cilium 1.19.6 is tested with Kubernetes 1.32 to 1.35; the cluster is 1.36 [VERSION-UNTESTED]",
		}},
		{name: "Cilium's Gateway API beside kube-proxy", in: cilium(gateway(standard, ""), ciliumBlock(func(c *CiliumSpec) { c.GatewayAPI = Enabled })), errors: []string{
			"spec.cni.cilium.gatewayAPI: Invalid value: Cilium implements the Gateway API only in kube-proxy's place, and kubeProxy.mode is Unmanaged: set it to Replaced [GATEWAY-CILIUM]",
		}},
		{name: "Cilium's Gateway API without its proxy", in: cilium(ciliumGateway, gateway(standard, ""), values(object{"l7Proxy": false})), errors: []string{
			"spec.cni.cilium.gatewayAPI: Invalid value: Cilium implements the Gateway API by its L7 proxy, which values.l7Proxy turns off: remove that [GATEWAY-CILIUM]",
		}},
		{name: "no Gateway API of Cilium's, and one in the values", in: cilium(ciliumBlock(func(c *CiliumSpec) { c.GatewayAPI = Disabled }), values(object{"gatewayAPI": object{"enabled": true}}), mode(KubeProxyReplaced), gateway(standard, "")), errors: []string{
			"spec.cni.values: Forbidden: values.gatewayAPI.enabled is controlled by spec.cni.cilium.gatewayAPI; remove it [VALUES-CONTROLLED]",
		}},
	}
}

// TestGatewayRelease is what becomes of the Gateway API: the chart that has the wanted version, where its implementation wants it.
func TestGatewayRelease(t *testing.T) {
	for _, tc := range []struct {
		name    string
		in      Input
		chart   string
		channel string
		stage   int32
	}{
		{"the usual one", flannel(gateway(GatewayAPIStandard, "")), "1.8.3", "standard", 60},
		{"experimental", flannel(gateway(GatewayAPIExperimental, "v1.6.1")), "1.9.0", "experimental", 60},
		{"what is there is newer", flannel(gateway(GatewayAPIStandard, ""), gatewayFound("v1.6.1", "standard", gatewayOurs)), "1.9.0", "standard", 60},
		{"what is there is older", flannel(gateway(GatewayAPIStandard, ""), gatewayFound("v1.4.1", "standard", gatewayOurs)), "1.8.3", "standard", 60},
		{"before Cilium", cilium(withoutKubeProxy, ciliumGateway, gateway(GatewayAPIStandard, "")), "1.8.3", "standard", 15},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, got := releaseNamed(t, accepted(t, tc.in), "gateway-api")
			want := object{"crds": object{"gatewayAPI": object{"enabled": true, "channel": tc.channel}, "envoyGateway": object{"enabled": false}}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if r.Spec.Chart.Version != tc.chart || r.Spec.Stage != tc.stage || len(r.Needs) != 0 {
				t.Errorf("%s at %d, needs %v", r.Spec.Chart.Version, r.Spec.Stage, r.Needs)
			}
		})
	}
	none := accepted(t, flannel(gateway(GatewayAPIUnmanaged, ""), gatewayFound("v1.5.1", "standard")))
	for _, r := range none.Releases {
		if r.Name == "gateway-api" {
			t.Error("what is somebody else's is installed")
		}
	}
	_, got := releaseNamed(t, accepted(t, cilium(withoutKubeProxy, ciliumGateway, gateway(GatewayAPIStandard, ""))), "cilium")
	if diff := cmp.Diff(any(object{"enabled": true, "gatewayClass": object{"create": "true"}}), got["gatewayAPI"]); diff != "" {
		t.Error(diff)
	}
}
