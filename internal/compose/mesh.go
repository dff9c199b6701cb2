package compose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// Stages of a mesh. What belongs to no revision comes last, and so goes first: webhooks of tags must not outlive what serves them.
const (
	stageMeshBase      = 70
	stageMeshControl   = 72
	stageMeshCNI       = 74
	stageMeshNodeProxy = 76
	stageMeshResources = 78
)

var meshPath = specPath.Child("mesh")

// meshPlan is what is settled of the mesh.
type meshPlan struct {
	// typ is empty without a mesh.
	typ       networkstackv1alpha1.MeshType
	ambient   bool
	cniPlugin bool
	namespace string
	version   string
	replicas  int64
	trust     string
	// revision and tag are Istio's.
	revision, tag string
	consul        consulPlan
	// retained are control planes that are no longer wanted and still in use.
	retained []Retained
}

// Retained is a control plane of Istio that is no longer wanted and stays, because it is in use, or because that is not known yet.
type Retained struct {
	Component, Revision, Version string
	// HeldBy names namespaces with what uses it; nil while that is not known.
	HeldBy []string
}

// Mesh is how a mesh is to be looked after beside its releases.
type Mesh struct {
	// Enrolment of namespaces; its Selector is nil when none is to be enrolled.
	Enrolment Enrolment
	// Revision and Version of the control plane that is wanted, with Istio.
	Revision, Version string
	Retained          []Retained
}

// meshIdentity is what the user says of the cluster's place in a mesh; never nil.
func (s *state) meshIdentity() *networkstackv1alpha1.MeshIdentity {
	if s.spec.Mesh == nil || s.spec.Mesh.Identity == nil {
		return &networkstackv1alpha1.MeshIdentity{}
	}
	return s.spec.Mesh.Identity
}

// deriveMesh settles what the mesh is to be. It goes before the network plugin's values, which depend on it.
func (s *state) deriveMesh() {
	s.mesh.retained = s.retainedControlPlanes()
	m := s.spec.Mesh
	if m == nil || meshControlPlanes[m.Type] == "" {
		return
	}
	p := &s.mesh
	p.typ, p.ambient = m.Type, m.Mode == networkstackv1alpha1.MeshAmbient
	if m.Mode == "" {
		s.note(meshPath.Child("mode"), networkstackv1alpha1.MeshSidecar, "default: a proxy in every pod")
	}
	own := m.CNIPlugin == "" && s.consulWantsPlugin()
	p.cniPlugin = m.CNIPlugin == networkstackv1alpha1.Enabled || p.ambient || own
	if m.CNIPlugin == "" {
		reason := "pods get their redirection from an init container"
		switch {
		case p.ambient:
			reason = "in mode Ambient nothing else redirects the traffic of pods"
		case own:
			reason = "on OpenShift pods may not redirect their traffic themselves"
		}
		s.note(meshPath.Child("cniPlugin"), toggle(p.cniPlugin), "%s", reason)
	}
	p.replicas = s.meshReplicas(m)
	p.trust = s.meshIdentity().TrustDomain
	if p.trust == "" && m.Type != networkstackv1alpha1.MeshConsul {
		p.trust = s.dnsDomain()
		s.note(meshPath.Child("identity", "trustDomain"), p.trust, "the cluster's DNS domain")
	}
	entry := s.catalog[meshControlPlanes[m.Type]]
	p.namespace = cmp.Or(m.Namespace, entry.Namespace, meshNamespaces[m.Type])
	p.version = cmp.Or(strings.TrimPrefix(m.Version, "v"), entry.Default().Version)
	switch m.Type {
	case networkstackv1alpha1.MeshIstio:
		s.deriveIstio(m)
	case networkstackv1alpha1.MeshConsul:
		s.deriveConsul()
	case networkstackv1alpha1.MeshLinkerd:
		// Nothing of it is left to settle.
	}
}

// meshControlPlanes are the component types of control planes, and their names in the catalogue.
var meshControlPlanes = map[networkstackv1alpha1.MeshType]string{
	networkstackv1alpha1.MeshIstio: TypeIstiod, networkstackv1alpha1.MeshLinkerd: TypeLinkerd,
	networkstackv1alpha1.MeshConsul: TypeConsul,
}

// meshNamespaces are the usual ones.
var meshNamespaces = map[networkstackv1alpha1.MeshType]string{
	networkstackv1alpha1.MeshIstio: "istio-system", networkstackv1alpha1.MeshLinkerd: "linkerd",
	networkstackv1alpha1.MeshConsul: "consul",
}

// meshReplicas are those of the control plane. Where its webhook fails closed, one replica that is drained keeps all pods of the
// mesh from starting.
func (s *state) meshReplicas(m *networkstackv1alpha1.MeshSpec) int64 {
	if m.Replicas != nil {
		return int64(*m.Replicas)
	}
	n, reason := int64(2), "a node can be drained while the other replica serves"
	switch {
	case m.Type == networkstackv1alpha1.MeshLinkerd && len(s.linux) >= linkerdHA:
		n, reason = linkerdHA, "they are spread over nodes"
	case m.Type == networkstackv1alpha1.MeshLinkerd:
		n, reason = 1, "there are fewer nodes than the three that replicas are spread over"
	case len(s.linux) < 2:
		n, reason = 1, "there is one node"
	}
	s.note(meshPath.Child("replicas"), n, "%s", reason)
	return n
}

// meshCNI says whether the network plugin has to bear a mesh's plugin beside it, and why.
func (s *state) meshCNI() (why string, wanted bool) {
	if s.mesh.cniPlugin {
		return fmt.Sprintf("%s's plugin is chained behind it, and an exclusive Cilium puts the configuration of other plugins aside", s.mesh.typ), true
	}
	for _, name := range []string{nameIstioCNI, nameLinkerdCNI} {
		if _, there := s.existing[name]; there {
			return fmt.Sprintf("%s is still there, and an exclusive Cilium puts the configuration of other plugins aside", name), true
		}
	}
	if s.hasConsulPlugin() {
		return fmt.Sprintf("%s is still there with its plugin, and an exclusive Cilium puts the configuration of other plugins aside", nameConsul), true
	}
	return "", false
}

// ciliumMesh keeps Cilium from getting in the way of a mesh.
func (s *state) ciliumMesh(b *valuesBuilder) {
	if s.mesh.typ != "" {
		b.control("socketLB.hostNamespaceOnly", meshPath.String(), true,
			"proxies of the mesh have to see the addresses of Services that pods connect to")
	}
	if why, wanted := s.meshCNI(); wanted {
		b.set("cni.exclusive", false, "%s", why)
		b.inline("cni.exclusive")
	}
}

// calicoMesh keeps Calico's data plane BPF from resolving Services before a mesh's proxy sees them.
func (s *state) calicoMesh(b *valuesBuilder) {
	if s.mesh.typ != "" && s.calico.dataplane == networkstackv1alpha1.CalicoBPF {
		b.control("defaultFelixConfiguration.bpfConnectTimeLoadBalancing", meshPath.String(), "Disabled",
			"proxies of the mesh have to see the addresses of Services that pods connect to")
		b.set("defaultFelixConfiguration.bpfHostNetworkedNATWithoutCTLB", "Enabled", "nodes reach Services without it, too")
	}
}

// meshSettings are the knobs of a further chart of the mesh: what is said of all of them, and values of its own.
func (s *state) meshSettings(c *networkstackv1alpha1.MeshChart) networkstackv1alpha1.ComponentSettings {
	m := s.spec.Mesh
	out := networkstackv1alpha1.ComponentSettings{Version: m.Version, Namespace: m.Namespace, DriftMode: m.DriftMode, Suspend: m.Suspend}
	if m.Chart != nil {
		out.Chart = &networkstackv1alpha1.ChartReference{Repository: m.Chart.Repository}
	}
	if c != nil {
		out.Values = c.Values
	}
	return out
}

// meshPart is the release of a further chart. What is to be said of the version is said of the control plane, once.
func (s *state) meshPart(name, typ string, stage int32, path *field.Path, c networkstackv1alpha1.ComponentSettings,
	b *valuesBuilder,
) Release {
	known := slices.Clone(s.warnings)
	r := s.release(name, typ, stage, path, c, b)
	s.warnings = slices.DeleteFunc(s.warnings, func(w Finding) bool {
		ofVersion := w.Rule == ruleVersionUntested.ID || w.Rule == ruleVersionUnknown.ID || w.Rule == ruleVersionUnverified.ID
		return ofVersion && !slices.Contains(known, w)
	})
	return r
}

// meshReleases are the components of the mesh, and what is left of one that is on its way out.
func (s *state) meshReleases(network []string) []Release {
	var out []Release
	switch s.mesh.typ {
	case networkstackv1alpha1.MeshIstio:
		out = s.istioReleases()
	case networkstackv1alpha1.MeshLinkerd:
		out = s.linkerdReleases()
	case networkstackv1alpha1.MeshConsul:
		out = s.consulReleases()
	}
	for i := range out {
		out[i].Needs = append(slices.Clone(network), out[i].Needs...)
	}
	for _, r := range s.mesh.retained {
		out = append(out, s.retainedRelease(r.Component))
	}
	if _, there := s.existing[nameIstioBase]; there && len(s.mesh.retained) > 0 && s.mesh.typ != networkstackv1alpha1.MeshIstio {
		out = append(out, s.retainedRelease(nameIstioBase)) // its definitions are what the control plane reads
	}
	return out
}

// retainedRelease is a component as it is.
func (s *state) retainedRelease(name string) Release {
	existing := s.existing[name]
	spec := existing.DeepCopy()
	spec.Suspend, spec.DeletionPolicy = s.spec.Suspend, networkstackv1alpha1.DeletionOrphan
	return Release{Name: name, Spec: *spec}
}

// enrolment is which namespaces are to be in the mesh, and by what.
func (s *state) enrolment() Enrolment {
	m := s.spec.Mesh
	if s.mesh.typ == "" {
		return Enrolment{}
	}
	out := Enrolment{Mesh: strings.ToLower(string(s.mesh.typ)), Selector: m.NamespaceSelector.DeepCopy(), Never: []string{s.mesh.namespace}}
	switch {
	case s.mesh.typ == networkstackv1alpha1.MeshConsul:
		out.Labels = map[string]string{consulInject: "true"}
		out.After = []string{nameConsul}
	case s.mesh.typ == networkstackv1alpha1.MeshLinkerd:
		out.Annotations = map[string]string{linkerdInject: "enabled"}
		out.After = []string{nameLinkerd}
	case s.mesh.ambient:
		out.Labels = map[string]string{istioDataplaneMode: "ambient"}
		out.After = []string{istiodName(s.mesh.revision), nameIstioCNI, nameZtunnel}
	default:
		out.Labels = map[string]string{istioRevision: cmp.Or(s.mesh.tag, s.mesh.revision)}
		out.After = []string{istiodName(s.mesh.revision), nameIstioResources}
	}
	if s.mesh.cniPlugin && s.mesh.typ == networkstackv1alpha1.MeshLinkerd {
		out.After = append(out.After, nameLinkerdCNI)
	} else if s.mesh.cniPlugin && s.mesh.typ == networkstackv1alpha1.MeshIstio && !s.mesh.ambient {
		out.After = append(out.After, nameIstioCNI)
	}
	return out
}

// meshResult is what the mesh takes beside its releases; nil when there is none and none was.
func (s *state) meshResult() *Mesh {
	if s.mesh.typ == "" && !HasMesh(s.existing) && !slices.ContainsFunc(s.facts.Namespaces, facts.Namespace.Enrolled) {
		return nil
	}
	out := &Mesh{Enrolment: s.enrolment(), Retained: s.mesh.retained}
	if s.mesh.typ == networkstackv1alpha1.MeshIstio {
		out.Revision, out.Version = s.mesh.revision, s.mesh.version
	}
	return out
}

// HasMesh says whether a component of a mesh is among those that there are.
func HasMesh(existing map[string]networkstackv1alpha1.NetworkComponentSpec) bool {
	for _, spec := range existing {
		switch spec.Type {
		case TypeIstioBase, TypeIstiod, TypeIstioCNI, TypeZtunnel, TypeIstioResources, TypeLinkerdCRDs, TypeLinkerd, TypeLinkerdCNI,
			TypeConsul, TypeConsulResources:
			return true
		}
	}
	return false
}

// validateMesh refuses what cannot be, and what does not go with the rest.
func (s *state) validateMesh() {
	for _, r := range s.mesh.retained {
		if len(r.HeldBy) > 0 {
			s.warn(ruleIstioHeld, meshPath, "the control plane %s (Istio %s) stays, because it is in use by %s: restart these pods, and remove labels that name it",
				r.Component, r.Version, strings.Join(r.HeldBy, "; "))
		}
	}
	m := s.spec.Mesh
	if m == nil {
		return
	}
	s.validateMeshFields(m)
	s.validateMeshSelector(m)
	s.validateMeshCNI()
	s.warnOfSkipped()
	switch s.mesh.typ {
	case networkstackv1alpha1.MeshIstio:
		s.validateIstio()
	case networkstackv1alpha1.MeshLinkerd:
		s.validateLinkerd(m)
	case networkstackv1alpha1.MeshConsul:
		s.validateConsul()
	}
}

func (s *state) validateMeshFields(m *networkstackv1alpha1.MeshSpec) {
	for _, block := range []struct {
		typ networkstackv1alpha1.MeshType
		set bool
	}{
		{networkstackv1alpha1.MeshIstio, m.Istio != nil}, {networkstackv1alpha1.MeshLinkerd, m.Linkerd != nil},
		{networkstackv1alpha1.MeshConsul, m.Consul != nil},
	} {
		if block.set && m.Type != block.typ && meshControlPlanes[m.Type] != "" {
			s.refuse(ruleMeshBlock, field.Forbidden(meshPath.Child(strings.ToLower(string(block.typ))),
				fmt.Sprintf("is read only with type %s: remove it, or set type to %s", block.typ, block.typ)))
		}
	}
	if meshControlPlanes[m.Type] != "" && m.Type != networkstackv1alpha1.MeshIstio && m.Mode == networkstackv1alpha1.MeshAmbient {
		s.refuse(ruleMeshAmbient, field.Invalid(meshPath.Child("mode"), m.Mode, "only Istio has the mode Ambient: remove mode, or set type to Istio"))
	}
	if m.Mode == networkstackv1alpha1.MeshAmbient && m.CNIPlugin == networkstackv1alpha1.Disabled {
		s.refuse(ruleMeshAmbientCNI, field.Invalid(meshPath.Child("cniPlugin"), m.CNIPlugin,
			"in mode Ambient the CNI plugin redirects the traffic of pods, and nothing else does: remove cniPlugin"))
	}
	if m.Chart != nil && (m.Chart.Name != "" || m.Chart.Digest != "") {
		s.refuse(ruleMeshChart, field.Forbidden(meshPath.Child("chart"),
			"a mesh has several charts, so that one name or digest cannot be meant: leave the repository alone"))
	}
	if m.Replicas != nil && (*m.Replicas < 1 || *m.Replicas > maxMeshReplicas) {
		s.refuse(ruleMeshReplicas, field.Invalid(meshPath.Child("replicas"), *m.Replicas, "write a number from 1 to 50"))
	}
	if m.Replicas != nil && *m.Replicas == 1 && len(s.linux) > 1 {
		s.warn(ruleMeshOneReplica, meshPath.Child("replicas"),
			"while the one replica is away no pod of the mesh can start: use 2 or more")
	}
	for _, name := range slices.Sorted(maps.Keys(s.existing)) {
		for other, controlPlane := range meshControlPlanes {
			if m.Type != other && s.existing[name].Type == controlPlane {
				s.refuse(ruleMeshChanged, field.Invalid(meshPath.Child("type"), m.Type, fmt.Sprintf(
					"%s is still there (component %s), and a pod can be in one mesh only: remove mesh, restart the pods, and set the new type when %s is gone",
					other, name, name)))
				return
			}
		}
	}
}

const maxMeshReplicas = 50

func (s *state) validateMeshSelector(m *networkstackv1alpha1.MeshSpec) {
	if m.NamespaceSelector == nil {
		return
	}
	if _, err := metav1.LabelSelectorAsSelector(m.NamespaceSelector); err != nil {
		s.refuse(ruleMeshSelector, field.Invalid(meshPath.Child("namespaceSelector"), field.OmitValueType{},
			fmt.Sprintf("cannot be read: %s: write labels and operators as Kubernetes does", err)))
	}
}

// validateMeshCNI holds the mesh against the network plugin.
func (s *state) validateMeshCNI() {
	judged := s.ciliumJudged()
	isCilium := s.cni == networkstackv1alpha1.CNICilium
	if why, wanted := s.meshCNI(); wanted && isCilium {
		if path, set := findSet(s.userValues[cniPath.String()], []string{"cni", "exclusive"}); set {
			if v, _ := lookup(s.userValues[cniPath.String()], path); v != false {
				s.refuse(ruleMeshExclusive, field.Invalid(cniPath.Child("values"), field.OmitValueType{}, fmt.Sprintf(
					"values.cni.exclusive may only be false: %s; remove values.%s", why, path)))
			}
		}
	}
	if s.mesh.ambient && isCilium {
		if judged.on("bpf.masquerade") {
			s.refuse(ruleAmbientMasquerade, field.Invalid(meshPath.Child("mode"), networkstackv1alpha1.MeshAmbient,
				"with Cilium masquerading in eBPF (bpf.masquerade) the probes of pods in Ambient mode fail: turn it off in cni.values, or use Sidecar"))
		}
		s.warn(ruleAmbientCilium, meshPath.Child("mode"), "Istio supports its ambient mode on Cilium and Cilium does not: "+
			"wherever a policy denies what is not allowed, allow 169.254.7.127/32 (IPv6: fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128), from where probes come")
	}
	if a := s.spec.CNI.AWSVPC; s.mesh.ambient && a != nil && a.PodSecurityGroups == networkstackv1alpha1.AWSPodSecurityGroupsStrict {
		s.refuse(ruleAmbientSecurityGroups, field.Invalid(meshPath.Child("mode"), networkstackv1alpha1.MeshAmbient,
			"with cni.awsVPC.podSecurityGroups Strict the probes of pods in Ambient mode fail: use Standard, or mode Sidecar"))
	}
	if s.mesh.typ != "" && s.cni != "" && !s.installsCNI() && s.cni != networkstackv1alpha1.CNIAWSVPC {
		s.warn(ruleMeshForeignCNI, meshPath, "the network plugin is not managed here (cni.type %s): where it is Cilium it needs socketLB.hostNamespaceOnly true, "+
			"and cni.exclusive false for the mesh's CNI plugin", s.cni)
	}
	if s.mesh.cniPlugin && s.mesh.typ != networkstackv1alpha1.MeshConsul && s.managesMultus() && s.primaryConfiguration().file == "" {
		s.warn(ruleMeshMultus, meshPath.Child("cniPlugin"), "which file is the configuration of the network plugin is not known, and the mesh's plugin may chain "+
			"itself into Multus's own: name it in values.cniConfFileName of the mesh's CNI chart")
	}
}

// warnOfSkipped tells of namespaces that are selected and say something of the mesh themselves.
func (s *state) warnOfSkipped() {
	e := s.enrolment()
	if e.Selector == nil {
		return
	}
	_, skipped := e.Judge(s.facts.Namespaces)
	if len(skipped) > 0 {
		s.warn(ruleMeshSkipped, meshPath.Child("namespaceSelector"),
			"selects namespaces that are not enrolled, because they have labels or annotations of their own about a mesh: %s: remove these, or leave it so",
			strings.Join(shortList(skipped), ", "))
	}
}

// shortList is as many of a list as one reads, and how many more there are.
func shortList(list []string) []string {
	const shown = 5
	if len(list) <= shown {
		return list
	}
	return append(slices.Clone(list[:shown]), fmt.Sprintf("%d more", len(list)-shown))
}

// validateMeshCharts reads the values of the further charts.
func (s *state) validateMeshCharts() {
	for _, c := range []struct {
		path  *field.Path
		chart *networkstackv1alpha1.MeshChart
	}{
		{istioPath.Child("cni"), s.istioSpec().CNI},
		{istioPath.Child("ztunnel"), s.istioSpec().Ztunnel},
		{linkerdPath.Child("cni"), s.linkerdSpec().CNI},
	} {
		if c.chart != nil {
			s.validateSettings(c.path, networkstackv1alpha1.ComponentSettings{Values: c.chart.Values})
		}
	}
}
