package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// istio is a mesh of Istio, linkerd one of Linkerd, each edited.
func istio(edits ...func(*MeshSpec)) func(*Input) { return meshOf(MeshIstio, edits...) }

func linkerd(edits ...func(*MeshSpec)) func(*Input) {
	return func(in *Input) {
		gatewayFound("v1.5.1", "standard")(in)
		meshOf(MeshLinkerd, edits...)(in)
	}
}

func meshOf(typ MeshType, edits ...func(*MeshSpec)) func(*Input) {
	return func(in *Input) {
		in.Stack.Spec.Mesh = &MeshSpec{Type: typ}
		for _, edit := range edits {
			edit(in.Stack.Spec.Mesh)
		}
	}
}

func ambient(m *MeshSpec) { m.Mode = MeshAmbient }

func meshPlugin(m *MeshSpec) { m.CNIPlugin = Enabled }

func meshVersion(v string) func(*MeshSpec) { return func(m *MeshSpec) { m.Version = v } }

func meshValues(v any) func(*MeshSpec) { return func(m *MeshSpec) { m.Values = rawValues(v) } }

// controlPlane is a control plane of Istio that is there.
func controlPlane(name, version string, values any) func(*Input) {
	return component(name, NetworkComponentSpec{Type: TypeIstiod, Chart: ResolvedChart{Name: "istiod", Version: version}, DerivedValues: rawValues(values)})
}

func component(name string, spec NetworkComponentSpec) func(*Input) {
	return func(in *Input) {
		if in.Existing == nil {
			in.Existing = map[string]NetworkComponentSpec{}
		}
		in.Existing[name] = spec
	}
}

// proxies are pods with proxies of a revision, by namespace.
func proxies(revision string, pods map[string][]string) func(*Input) {
	return cluster(func(f *facts.Snapshot) {
		f.Proxies = facts.Proxies{Known: true, Pods: map[string]map[string][]string{revision: pods}}
	})
}

func selecting(labels map[string]string) func(*MeshSpec) {
	return func(m *MeshSpec) { m.NamespaceSelector = &metav1.LabelSelector{MatchLabels: labels} }
}

const (
	ambientOnCilium = "spec.mesh.mode: Istio supports its ambient mode on Cilium and Cilium does not: wherever a policy denies what is not allowed, " +
		"allow 169.254.7.127/32 (IPv6: fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128), from where probes come [MESH-AMBIENT-CILIUM]"
	exclusiveBesideIstio = "spec.cni.values: Invalid value: values.cni.exclusive may only be false: Istio's plugin is chained behind it, " +
		"and an exclusive Cilium puts the configuration of other plugins aside; remove values.cni.exclusive [MESH-CILIUM-EXCLUSIVE]"
)

func meshFindings() []finding {
	return append(append(meshCommonFindings(), istioFindings()...), append(linkerdFindings(), consulFindings()...)...)
}

func meshCommonFindings() []finding {
	return []finding{
		{name: "Istio with sidecars", in: cilium(istio(selecting(map[string]string{"a": "b"})))},
		{name: "a mesh of no known type", in: flannel(meshOf("Kuma")), errors: []string{
			`spec.mesh.type: Unsupported value: "Kuma": supported values: "Istio", "Linkerd", "Consul" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "the other mesh's block", in: flannel(istio(func(m *MeshSpec) { m.Linkerd = &LinkerdSpec{} })), errors: []string{
			"spec.mesh.linkerd: Forbidden: is read only with type Linkerd: remove it, or set type to Linkerd [MESH-BLOCK]",
		}},
		{name: "Istio's block with Linkerd", in: flannel(linkerd(func(m *MeshSpec) { m.Istio = &IstioSpec{} })), errors: []string{
			"spec.mesh.istio: Forbidden: is read only with type Istio: remove it, or set type to Istio [MESH-BLOCK]",
		}},
		{name: "Linkerd in mode Ambient", in: flannel(linkerd(ambient)), errors: []string{
			`spec.mesh.mode: Invalid value: "Ambient": only Istio has the mode Ambient: remove mode, or set type to Istio [MESH-AMBIENT-TYPE]`,
		}},
		{name: "Ambient without the plugin", in: flannel(istio(ambient, func(m *MeshSpec) { m.CNIPlugin = Disabled })), errors: []string{
			`spec.mesh.cniPlugin: Invalid value: "Disabled": in mode Ambient the CNI plugin redirects the traffic of pods, and nothing else does: remove cniPlugin [MESH-AMBIENT-PLUGIN]`,
		}},
		{name: "one chart's name for a mesh", in: flannel(istio(func(m *MeshSpec) {
			m.Chart = &ChartReference{Repository: "https://charts.example.com", Name: "istiod"}
		})), errors: []string{
			"spec.mesh.chart: Forbidden: a mesh has several charts, so that one name or digest cannot be meant: leave the repository alone [MESH-CHART]",
		}},
		{name: "no replicas of a mesh", in: flannel(istio(func(m *MeshSpec) { m.Replicas = ptr(int32(0)) })), errors: []string{
			"spec.mesh.replicas: Invalid value: 0: write a number from 1 to 50 [MESH-REPLICAS]",
		}},
		{name: "one replica of a mesh", in: flannel(istio(func(m *MeshSpec) { m.Replicas = ptr(int32(1)) })), warnings: []string{
			"spec.mesh.replicas: while the one replica is away no pod of the mesh can start: use 2 or more [MESH-ONE-REPLICA]",
		}},
		{name: "from Linkerd to Istio", in: flannel(istio(), component("linkerd", NetworkComponentSpec{Type: TypeLinkerd})), errors: []string{
			`spec.mesh.type: Invalid value: "Istio": Linkerd is still there (component linkerd), and a pod can be in one mesh only: remove mesh, restart the pods, and set the new type when linkerd is gone [MESH-TYPE-CHANGED]`,
		}},
		{name: "a selector that cannot be read", in: flannel(istio(func(m *MeshSpec) {
			m.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Has"}}}
		})), errors: []string{
			`spec.mesh.namespaceSelector: Invalid value: cannot be read: "Has" is not a valid label selector operator: write labels and operators as Kubernetes does [MESH-SELECTOR]`,
		}},
		{name: "namespaces that say it themselves", in: flannel(istio(selecting(nil)), cluster(func(f *facts.Snapshot) {
			f.Namespaces = []facts.Namespace{
				{Name: "a", Labels: map[string]string{"istio-injection": "disabled"}}, {Name: "b"}, {Name: "c", LinkerdInject: "enabled"}, {Name: "kube-system"},
			}
		})), warnings: []string{
			"spec.mesh.namespaceSelector: selects namespaces that are not enrolled, because they have labels or annotations of their own about a mesh: a, c: remove these, or leave it so [MESH-NAMESPACE-OWN]",
		}},
		{name: "an exclusive Cilium beside a mesh's plugin", in: cilium(istio(meshPlugin), values(map[string]any{"cni": map[string]any{"exclusive": true}})),
			errors: []string{exclusiveBesideIstio}},
		{name: "an exclusive Cilium without a mesh's plugin", in: cilium(istio(), values(map[string]any{"cni": map[string]any{"exclusive": true}}))},
		{name: "an exclusive Cilium while a mesh's plugin goes", in: cilium(component("istio-cni", NetworkComponentSpec{Type: TypeIstioCNI}))},
		{name: "Services resolved in pods beside a mesh", in: cilium(mode(KubeProxyReplaced), withoutKubeProxy, linkerd(),
			values(map[string]any{"socketLB": map[string]any{"hostNamespaceOnly": false}})), errors: []string{
			"spec.cni.values: Forbidden: values.socketLB.hostNamespaceOnly is controlled by spec.mesh; remove it [VALUES-CONTROLLED]",
		}},
		{name: "Ambient on Cilium", in: cilium(istio(ambient)), warnings: []string{ambientOnCilium}},
		{name: "Ambient on Cilium that masquerades in eBPF", in: cilium(mode(KubeProxyReplaced), withoutKubeProxy, istio(ambient),
			values(map[string]any{"bpf": map[string]any{"masquerade": true}})), errors: []string{
			`spec.mesh.mode: Invalid value: "Ambient": with Cilium masquerading in eBPF (bpf.masquerade) the probes of pods in Ambient mode fail: turn it off in cni.values, or use Sidecar [MESH-AMBIENT-MASQUERADE]`,
		}, warnings: []string{ambientOnCilium}},
		{name: "Ambient with strict security groups", in: input(CNIAWSVPC, spec(func(s *NetworkStackSpec) { s.IPPools = nil }), istio(ambient), spec(func(s *NetworkStackSpec) {
			s.CNI.AWSVPC = &AWSVPCSpec{PodSecurityGroups: AWSPodSecurityGroupsStrict}
		})), errors: []string{
			`spec.mesh.mode: Invalid value: "Ambient": with cni.awsVPC.podSecurityGroups Strict the probes of pods in Ambient mode fail: use Standard, or mode Sidecar [MESH-AMBIENT-SECURITY-GROUPS]`,
		}, warnings: []string{
			"spec.cni.awsVPC.podSecurityGroups: Strict cuts such pods off from what is link-local on their node: use Standard with Istio's ambient mode, NodeLocal DNS or kube-proxy in mode IPVS [AWSVPC-STRICT-GROUPS]",
			"spec.cni.type: no node says that it is an instance of EC2 (spec.providerID), and elsewhere pods get no address [AWSVPC-CLOUD-UNKNOWN]",
		}},
		{name: "a mesh on a foreign network plugin", in: external(istio()), warnings: []string{
			"spec.mesh: the network plugin is not managed here (cni.type External): where it is Cilium it needs socketLB.hostNamespaceOnly true, and cni.exclusive false for the mesh's CNI plugin [MESH-FOREIGN-PLUGIN]",
		}},
		{name: "a mesh's plugin beside Multus on a foreign network plugin", in: external(istio(meshPlugin), spec(func(s *NetworkStackSpec) {
			s.SecondaryNetworks = &SecondaryNetworksSpec{Type: SecondaryNetworksMultus}
		})), warnings: []string{
			"spec.mesh: the network plugin is not managed here (cni.type External): where it is Cilium it needs socketLB.hostNamespaceOnly true, and cni.exclusive false for the mesh's CNI plugin [MESH-FOREIGN-PLUGIN]",
			"spec.mesh.cniPlugin: which file is the configuration of the network plugin is not known, and the mesh's plugin may chain itself into Multus's own: name it in values.cniConfFileName of the mesh's CNI chart [MESH-MULTUS-FILE]",
		}},
		{name: "a mesh untested with the cluster's Kubernetes", in: flannel(istio(meshVersion("1.29.6"))), warnings: []string{
			"spec.mesh.version: Istiod 1.29.6 is tested with Kubernetes 1.31 to 1.35; the cluster is 1.36 [VERSION-UNTESTED]",
		}},
	}
}

func istioFindings() []finding {
	return []finding{
		{name: "a revision that is no name", in: flannel(istio(func(m *MeshSpec) { m.Istio = &IstioSpec{Revision: "1.30.3", Tag: "Stable"} })), errors: []string{
			`spec.mesh.istio.revision: Invalid value: "1.30.3": use at most 30 lower-case letters, digits and "-" [ISTIO-NAME]`,
			`spec.mesh.istio.tag: Invalid value: "Stable": use at most 30 lower-case letters, digits and "-" [ISTIO-NAME]`,
		}},
		{name: "a revision that is no name, alone", in: flannel(istio(func(m *MeshSpec) { m.Istio = &IstioSpec{Revision: "A"} })), errors: []string{
			`spec.mesh.istio.revision: Invalid value: "A": use at most 30 lower-case letters, digits and "-" [ISTIO-NAME]`,
		}},
		{name: "a tag named as the revision", in: flannel(istio(func(m *MeshSpec) { m.Istio = &IstioSpec{Tag: "1-30-3"} })), errors: []string{
			`spec.mesh.istio.tag: Invalid value: "1-30-3": is the name of the revision itself: use another one, or remove it [ISTIO-TAG]`,
		}},
		{name: "a tag in mode Ambient", in: flannel(istio(ambient, func(m *MeshSpec) { m.Istio = &IstioSpec{Tag: "stable"} })), warnings: []string{
			"spec.mesh.istio.tag: has no effect on namespaces: in mode Ambient they are enrolled by istio.io/dataplane-mode and not by a revision [ISTIO-TAG-AMBIENT]",
		}},
		{name: "charts of what there is not", in: flannel(istio(func(m *MeshSpec) { m.Istio = &IstioSpec{CNI: &MeshChart{}, Ztunnel: &MeshChart{}} })), errors: []string{
			"spec.mesh.istio.ztunnel: Forbidden: there is a ztunnel in mode Ambient alone: remove it, or set mode to Ambient [ISTIO-CHART-UNUSED]",
			"spec.mesh.istio.cni: Forbidden: there is no CNI plugin: remove it, or set cniPlugin to Enabled [ISTIO-CHART-UNUSED]",
		}},
		{name: "values of a further chart that are controlled", in: flannel(istio(ambient, func(m *MeshSpec) {
			m.Istio = &IstioSpec{Ztunnel: &MeshChart{Values: rawValues(map[string]any{"revision": "x"})}}
		})), errors: []string{
			"spec.mesh.istio.ztunnel.values: Forbidden: values.revision is controlled by spec.mesh.istio.revision; remove it [VALUES-CONTROLLED]",
		}},
		{name: "Istio with both families", in: cilium(dual, istio()), warnings: []string{
			"spec.mesh: Istio calls dual-stack alpha: both families work, and what it does with them may change [ISTIO-DUAL-STACK]",
		}},
		{name: "a revision with another version", in: flannel(istio(func(m *MeshSpec) { m.Istio = &IstioSpec{Revision: "blue"} }), controlPlane("istiod-blue", "1.29.6", nil)), errors: []string{
			`spec.mesh.istio.revision: Invalid value: "blue": is the control plane of 1.29.6, and one revision has one version: choose another name, or remove revision to have it made of the version [ISTIO-REVISION-REUSED]`,
		}},
		{name: "an Istio that is too old", in: flannel(istio(meshVersion("1.28.0"))), errors: []string{
			`spec.mesh.version: Invalid value: "1.28.0": the operator knows the charts of 1.29 and newer: use one of these [ISTIO-VERSION-OLD]`,
		}, warnings: unknownIstio("1.28.0")},
		{name: "two minors by revision", in: flannel(istio(meshVersion("1.31.0")), controlPlane("istiod-1-29-6", "1.29.6", nil)),
			warnings: unknownIstio("1.31.0")},
		{name: "two minors with what is on the nodes", in: flannel(istio(ambient, meshVersion("1.31.0")), controlPlane("istiod-1-29-6", "1.29.6", nil)), errors: []string{
			`spec.mesh.version: Invalid value: "1.31.0": Istio 1.29 → 1.31 skips more minors than are supported: go to 1.30.3 first [ISTIO-MINOR-SKIPPED]`,
		}, warnings: unknownIstio("1.31.0")},
		{name: "an older minor that is not there", in: flannel(istio(meshVersion("1.29.6")), controlPlane("istiod-1-30-3", "1.30.3", nil)), errors: []string{
			`spec.mesh.version: Invalid value: "1.29.6": Istio 1.30.3 → 1.29.6 goes down, and there is no control plane of it left to go back to: stay with 1.30 [ISTIO-DOWNGRADE]`,
		}, warnings: []string{
			"spec.mesh.version: Istiod 1.29.6 is tested with Kubernetes 1.31 to 1.35; the cluster is 1.36 [VERSION-UNTESTED]",
		}},
		{name: "back to a control plane that still runs", in: flannel(istio(meshVersion("1.29.6")), controlPlane("istiod-1-30-3", "1.30.3", nil),
			controlPlane("istiod-1-29-6", "1.29.6", nil)), warnings: []string{
			"spec.mesh.version: Istiod 1.29.6 is tested with Kubernetes 1.31 to 1.35; the cluster is 1.36 [VERSION-UNTESTED]",
		}},
		{name: "a control plane in use", in: flannel(istio(), controlPlane("istiod-1-29-6", "1.29.6", nil), proxies("1-29-6", map[string][]string{"shop": {"a", "b"}})), warnings: []string{
			"spec.mesh: the control plane istiod-1-29-6 (Istio 1.29.6) stays, because it is in use by namespace shop (pods a, b): restart these pods, and remove labels that name it [ISTIO-REVISION-HELD]",
		}},
		{name: "another trust domain", in: flannel(istio(func(m *MeshSpec) { m.Identity = &MeshIdentity{TrustDomain: "new.example.com"} }),
			controlPlane("istiod-1-30-3", "1.30.3", map[string]any{"meshConfig": map[string]any{"trustDomain": "old.example.com"}})), errors: []string{
			`spec.mesh.identity.trustDomain: Invalid value: "new.example.com": the mesh has trust domain old.example.com, and its policies name it: keep it, or list it in values.meshConfig.trustDomainAliases [ISTIO-TRUST-DOMAIN]`,
		}},
		{name: "another trust domain with the old one as an alias", in: flannel(istio(func(m *MeshSpec) { m.Identity = &MeshIdentity{TrustDomain: "new.example.com"} },
			meshValues(map[string]any{"meshConfig": map[string]any{"trustDomainAliases": []string{"old.example.com"}}})),
			controlPlane("istiod-1-30-3", "1.30.3", map[string]any{"meshConfig": map[string]any{"trustDomain": "old.example.com"}}))},
		{name: "values that end badly", in: flannel(istio(meshValues(map[string]any{
			"global":     map[string]any{"hub": "registry.istio.io/release"},
			"meshConfig": map[string]any{"outboundTrafficPolicy": map[string]any{"mode": "REGISTRY_ONLY"}},
		}))), warnings: []string{
			"spec.mesh.values: values.global.hub registry.istio.io/release is a registry that Istio leaves: remove it to have docker.io/istio, or name a mirror of your own [ISTIO-HUB]",
			"spec.mesh.values: values.meshConfig.outboundTrafficPolicy.mode REGISTRY_ONLY cuts pods of the mesh off from every host without a ServiceEntry: have these first [ISTIO-REGISTRY-ONLY]",
		}},
	}
}

// unknownIstio is the one warning of a version that the catalogue does not have, however many charts there are.
func unknownIstio(version string) []string {
	return []string{"spec.mesh.version: Istiod " + version + " is not in the catalogue (1.30.3, 1.29.6): " +
		"it was not tested with this operator and its chart is not checked against a digest [VERSION-UNKNOWN]"}
}

func linkerdFindings() []finding {
	return []finding{
		{name: "Linkerd", in: cilium(linkerd(meshPlugin))},
		{name: "Istio's identity with Linkerd", in: flannel(linkerd(func(m *MeshSpec) { m.Identity = &MeshIdentity{MeshID: "a", ClusterName: "b", Network: "c"} })), errors: []string{
			"spec.mesh.identity.meshID: Forbidden: Linkerd has no such name: remove it [LINKERD-IDENTITY-FIELD]",
			"spec.mesh.identity.clusterName: Forbidden: Linkerd has no such name: remove it [LINKERD-IDENTITY-FIELD]",
			"spec.mesh.identity.network: Forbidden: Linkerd has no such name: remove it [LINKERD-IDENTITY-FIELD]",
		}},
		{name: "another issuer's name", in: flannel(linkerd(func(m *MeshSpec) { m.Linkerd = &LinkerdSpec{IssuerSecretName: "mine"} })), errors: []string{
			`spec.mesh.linkerd.issuerSecretName: Unsupported value: "mine": supported values: "linkerd-identity-issuer" [LINKERD-ISSUER-NAME]`,
		}},
		{name: "an issuer and a root", in: flannel(linkerd(func(m *MeshSpec) {
			m.Linkerd, m.Identity = &LinkerdSpec{IssuerSecretName: "linkerd-identity-issuer"}, &MeshIdentity{RootSecretName: "root"}
		})), errors: []string{
			"spec.mesh.identity.rootSecretName: Forbidden: somebody else keeps the issuer (linkerd.issuerSecretName), so that nothing is made from a root: remove one of the two [LINKERD-ISSUER-ROOT]",
		}},
		{name: "the chart of Linkerd's plugin without it", in: flannel(linkerd(func(m *MeshSpec) { m.Linkerd = &LinkerdSpec{CNI: &MeshChart{}} })), errors: []string{
			"spec.mesh.linkerd.cni: Forbidden: there is no CNI plugin: remove it, or set cniPlugin to Enabled [LINKERD-CHART-UNUSED]",
		}},
		{name: "Linkerd's plugin beside Multus", in: flannel(linkerd(meshPlugin), spec(func(s *NetworkStackSpec) {
			s.SecondaryNetworks = &SecondaryNetworksSpec{Type: SecondaryNetworksMultus}
		})), warnings: []string{
			"spec.mesh.cniPlugin: Linkerd's plugin chains itself into the first configuration of the directory, which may be Multus's own: use Disabled, or try it before [LINKERD-MULTUS]",
		}},
		{name: "two replicas of Linkerd", in: flannel(linkerd(func(m *MeshSpec) { m.Replicas = ptr(int32(2)) })), warnings: []string{
			"spec.mesh.replicas: Linkerd is run with one replica or with three, which are spread over nodes: use 3 [LINKERD-REPLICAS]",
		}},
		{name: "Linkerd with both families", in: cilium(dual, linkerd()), warnings: []string{
			"spec.mesh: Linkerd uses the IPv6 endpoints alone of Services with both families: make sure that pods listen there [LINKERD-DUAL-STACK]",
		}},
		{name: "Linkerd with another trust domain", in: flannel(linkerd(func(m *MeshSpec) { m.Identity = &MeshIdentity{TrustDomain: "new.example.com"} }),
			component("linkerd", NetworkComponentSpec{Type: TypeLinkerd, DerivedValues: rawValues(map[string]any{"identityTrustDomain": "cluster.local"})})), errors: []string{
			`spec.mesh.identity.trustDomain: Invalid value: "new.example.com": the mesh has trust domain cluster.local, and no proxy would trust the others until all have restarted: keep it, or remove the mesh first [LINKERD-TRUST-DOMAIN]`,
		}},
	}
}

// TestJudge wants namespaces enrolled, moved and released, and nothing of others' touched.
func TestJudge(t *testing.T) {
	e := Enrolment{
		Mesh: "istio", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"mesh": "yes"}}, Never: []string{"istio-system"},
		Labels: map[string]string{"istio.io/rev": "new"},
	}
	ns := func(name string, labels ...string) facts.Namespace {
		n := facts.Namespace{Name: name, UID: "u", Labels: map[string]string{}}
		for i := 0; i < len(labels); i += 2 {
			n.Labels[labels[i]] = labels[i+1]
		}
		return n
	}
	going := ns("going", "mesh", "yes")
	going.Terminating = true
	own := ns("own-linkerd", "mesh", "yes")
	own.LinkerdInject = "disabled"
	changes, skipped := e.Judge([]facts.Namespace{
		ns("fresh", "mesh", "yes"),
		ns("moves", "mesh", "yes", MeshLabel, "istio", "istio.io/rev", "old"),
		ns("stays", "mesh", "yes", MeshLabel, "istio", "istio.io/rev", "new"),
		ns("leaves", MeshLabel, "istio", "istio.io/rev", "new"),
		ns("others"), ns("by-hand", "istio.io/rev", "old"),
		ns("own", "mesh", "yes", "istio-injection", "enabled"), own,
		going, ns("istio-system", "mesh", "yes"), ns("kube-system", "mesh", "yes"),
	})
	in := map[string]string{MeshLabel: "istio", "istio.io/rev": "new"}
	if diff := cmp.Diff([]NamespaceChange{
		{Name: "fresh", UID: "u", Labels: in}, {Name: "moves", UID: "u", Labels: in, Enrolled: true}, {Name: "leaves", UID: "u", Enrolled: true},
	}, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"own", "own-linkerd"}, skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	changes, _ = Enrolment{}.Judge([]facts.Namespace{ns("a", MeshLabel, "istio", "mesh", "yes"), ns("b", "mesh", "yes")})
	if len(changes) != 1 || changes[0].Name != "a" || !changes[0].Leaves() {
		t.Errorf("without a mesh: %+v", changes)
	}
}
