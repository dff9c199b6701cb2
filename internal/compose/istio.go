package compose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/facts"
)

// Component types of Istio, and their names in the catalogue.
const (
	TypeIstioBase      = "IstioBase"
	TypeIstiod         = "Istiod"
	TypeIstioCNI       = "IstioCNI"
	TypeZtunnel        = "Ztunnel"
	TypeIstioResources = "IstioResources"
)

// Names of Istio's components. A control plane's ends with its revision.
const (
	nameIstioBase      = "istio-base"
	nameIstiod         = "istiod"
	nameIstioCNI       = "istio-cni"
	nameZtunnel        = "ztunnel"
	nameIstioResources = "istio-resources"
)

// istioHub is where Istio publishes its images; the charts of some versions name places that are closed.
const istioHub = "docker.io/istio"

// istioCACerts is the Secret from which a control plane takes its authority; the name is fixed.
const istioCACerts = "cacerts"

// istioAuthorityValidity is how long a cluster's own authority under a shared root lasts.
const istioAuthorityValidity = 365 * day

// closedHubs are registries of images that Istio has given up.
var closedHubs = []string{"registry.istio.io", "gcr.io/istio-release"}

var istioPath = meshPath.Child("istio")

// istiodName is the component with the control plane of a revision.
func istiodName(revision string) string { return nameIstiod + "-" + revision }

// revisionOf is the revision of a component with a control plane.
func revisionOf(component string) string { return strings.TrimPrefix(component, nameIstiod+"-") }

// istioSpec is the user's block; never nil.
func (s *state) istioSpec() *networkstackv1alpha1.IstioSpec {
	if s.spec.Mesh == nil || s.spec.Mesh.Istio == nil {
		return &networkstackv1alpha1.IstioSpec{}
	}
	return s.spec.Mesh.Istio
}

// deriveIstio settles revision and tag.
func (s *state) deriveIstio(m *networkstackv1alpha1.MeshSpec) {
	p := &s.mesh
	p.revision, p.tag = s.istioSpec().Revision, s.istioSpec().Tag
	if p.revision == "" && p.version != "" {
		p.revision = revisionFor(p.version)
		s.note(istioPath.Child("revision"), p.revision, "made of the version, so that a new one is installed beside the old one")
	}
	if m.Version == "" && p.version != "" {
		s.note(meshPath.Child("version"), p.version, "the version that this operator was tested with")
	}
	p.retained = slices.DeleteFunc(p.retained, func(r Retained) bool { return r.Revision == p.revision })
}

// revisionFor is a revision made of a version: "1-30-3" of "1.30.3".
func revisionFor(version string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + ('a' - 'A')
		}
		return '-'
	}, version)
	return strings.Trim(out, "-")
}

// retainedControlPlanes are those that are there and in use; the caller takes out the one that is wanted. While it is not known
// what uses them, all stay.
func (s *state) retainedControlPlanes() []Retained {
	var out []Retained
	for _, name := range slices.Sorted(maps.Keys(s.existing)) {
		spec := s.existing[name]
		if spec.Type != TypeIstiod || spec.DeletionPolicy == networkstackv1alpha1.DeletionDelete {
			continue
		}
		r := Retained{Component: name, Revision: revisionOf(name), Version: spec.Chart.Version}
		if s.facts.Proxies.Known {
			if r.HeldBy = s.holdersOf(r.Revision); len(r.HeldBy) == 0 {
				continue
			}
		}
		out = append(out, r)
	}
	return out
}

// holdersOf says, one namespace a line, what uses a revision: pods with its proxies, and labels of namespaces, for a pod that is
// made there could not start without it.
func (s *state) holdersOf(revision string) []string {
	pods := s.facts.Proxies.Of(revision)
	labelled := map[string]bool{}
	for i := range s.facts.Namespaces {
		if n := &s.facts.Namespaces[i]; n.Labels[istioRevision] == revision && !n.Terminating {
			labelled[n.Name] = true
		}
	}
	names := slices.Sorted(maps.Keys(pods))
	for _, name := range slices.Sorted(maps.Keys(labelled)) {
		if _, also := pods[name]; !also {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []string
	const most = 32 // the limit of the status
	for _, name := range names {
		if len(out) == most-1 {
			return append(out, fmt.Sprintf("%d more namespaces", len(names)-len(out)))
		}
		text := "namespace " + name
		if list := pods[name]; len(list) > 0 {
			text += " (pods " + strings.Join(shortList(list), ", ") + ")"
		}
		if labelled[name] {
			text += ", which has the label " + istioRevision + "=" + revision
		}
		out = append(out, text)
	}
	return out
}

// RetiresControlPlane says whether a control plane is there that the stack does not want, so that it matters what uses it.
func RetiresControlPlane(in Input) bool {
	s := newState(in, true)
	if in.Stack == nil {
		return false
	}
	s.deriveMesh()
	for name, spec := range s.existing {
		if spec.Type == TypeIstiod && (s.mesh.typ != networkstackv1alpha1.MeshIstio || name != istiodName(s.mesh.revision)) {
			return true
		}
	}
	return false
}

// validateIstio refuses what Istio cannot do.
func (s *state) validateIstio() {
	i := s.istioSpec()
	for _, n := range []struct{ key, value string }{{"revision", i.Revision}, {"tag", i.Tag}} {
		const most = 30
		if n.value != "" && (len(validation.IsDNS1123Label(n.value)) > 0 || len(n.value) > most) {
			s.refuse(ruleIstioName, field.Invalid(istioPath.Child(n.key), n.value, "use at most 30 lower-case letters, digits and \"-\""))
		}
	}
	if i.Tag != "" && i.Tag == s.mesh.revision {
		s.refuse(ruleIstioTag, field.Invalid(istioPath.Child("tag"), i.Tag, "is the name of the revision itself: use another one, or remove it"))
	}
	s.validateIstioVersion()
	s.validateTrustDomain()
	s.validateIstioValues()
	if s.mesh.ambient && i.Tag != "" {
		s.warn(ruleIstioTagAmbient, istioPath.Child("tag"), "has no effect on namespaces: in mode Ambient they are enrolled by %s and not by a revision", istioDataplaneMode)
	}
	if !s.mesh.ambient && i.Ztunnel != nil {
		s.refuse(ruleIstioPart, field.Forbidden(istioPath.Child("ztunnel"), "there is a ztunnel in mode Ambient alone: remove it, or set mode to Ambient"))
	}
	if !s.mesh.cniPlugin && i.CNI != nil {
		s.refuse(ruleIstioPart, field.Forbidden(istioPath.Child("cni"), "there is no CNI plugin: remove it, or set cniPlugin to Enabled"))
	}
	if s.has(ipv4) && s.has(ipv6) {
		s.warn(ruleIstioDualStack, meshPath, "Istio calls dual-stack alpha: both families work, and what it does with them may change")
	}
}

// validateIstioVersion holds the wanted control plane against those that there are.
func (s *state) validateIstioVersion() {
	path := meshPath.Child("version")
	p := &s.mesh
	to := parseVersion(p.version)
	name := istiodName(p.revision)
	if spec, there := s.existing[name]; there && p.version != "" && strings.TrimPrefix(spec.Chart.Version, "v") != p.version {
		s.refuse(ruleIstioReused, field.Invalid(istioPath.Child("revision"), p.revision, fmt.Sprintf(
			"is the control plane of %s, and one revision has one version: choose another name, or remove revision to have it made of the version", spec.Chart.Version)))
		return
	}
	if to == nil {
		return
	}
	if v := parseVersion(istioOldest); to.LessThan(v) {
		s.refuse(ruleIstioOld, field.Invalid(path, p.version, "the operator knows the charts of 1.29 and newer: use one of these"))
	}
	if _, there := s.existing[name]; there {
		return // a way back to a control plane that still runs
	}
	typ := TypeIstiod
	if s.mesh.cniPlugin {
		typ = TypeZtunnel // what is on the nodes has no revision of its own
	}
	for _, other := range slices.Sorted(maps.Keys(s.existing)) {
		spec := s.existing[other]
		from := parseVersion(spec.Chart.Version)
		if spec.Type != TypeIstiod || from == nil {
			continue
		}
		entry := s.catalog[typ]
		next := entry.NextStep(from.String(), to.String())
		first := "go to " + cmp.Or(next, "the minor between them") + " first"
		minors, same := minorDistance(from, to)
		switch {
		case entry.Step(from.String(), to.String()) == catalog.StepTooFar:
			s.refuse(ruleIstioSkipped, field.Invalid(path, p.version, fmt.Sprintf(
				"Istio %s → %s skips more minors than are supported: %s", minorOf(from), minorOf(to), first)))
		case !same || minors < 0:
			s.refuse(ruleIstioDowngrade, field.Invalid(path, p.version, fmt.Sprintf(
				"Istio %s → %s goes down, and there is no control plane of it left to go back to: stay with %s", from, to, minorOf(from))))
		default:
			continue
		}
		return
	}
}

// istioOldest is the oldest version whose charts are known.
const istioOldest = "1.29.0"

// validateTrustDomain refuses another trust domain for a mesh that is there: no proxy would trust the others.
func (s *state) validateTrustDomain() {
	for _, name := range slices.Sorted(maps.Keys(s.existing)) {
		spec := s.existing[name]
		if spec.Type != TypeIstiod {
			continue
		}
		values, err := ParseValues(spec.DerivedValues)
		was := text(values, "meshConfig.trustDomain")
		if err != nil || was == "" || was == s.mesh.trust ||
			slices.Contains(words(s.userValues[meshPath.String()], "meshConfig.trustDomainAliases"), was) {
			continue
		}
		s.refuse(ruleIstioTrust, field.Invalid(meshPath.Child("identity", "trustDomain"), s.mesh.trust, fmt.Sprintf(
			"the mesh has trust domain %s, and its policies name it: keep it, or list it in values.meshConfig.trustDomainAliases", was)))
		return
	}
}

// validateIstioValues warns of values that end badly.
func (s *state) validateIstioValues() {
	user := s.userValues[meshPath.String()]
	path := meshPath.Child("values")
	hub := text(user, "global.hub")
	for _, closed := range closedHubs {
		if strings.HasPrefix(hub, closed) {
			s.warn(ruleIstioHub, path, "values.global.hub %s is a registry that Istio leaves: remove it to have %s, or name a mirror of your own", hub, istioHub)
		}
	}
	if text(user, "meshConfig.outboundTrafficPolicy.mode") == "REGISTRY_ONLY" {
		s.warn(ruleIstioRegistryOnly, path,
			"values.meshConfig.outboundTrafficPolicy.mode REGISTRY_ONLY cuts pods of the mesh off from every host without a ServiceEntry: have these first")
	}
}

// istioReleases are the charts of Istio, in the order of their installation.
func (s *state) istioReleases() []Release {
	m, i := s.spec.Mesh, s.istioSpec()
	base := s.meshPart(nameIstioBase, TypeIstioBase, stageMeshBase, istioPath.Child("base"), s.meshSettings(nil), s.istioBaseValues())
	control := s.meshSettings(nil)
	control.Values, control.ValuesFrom = m.Values, m.ValuesFrom
	name := istiodName(s.mesh.revision)
	istiod := s.release(name, TypeIstiod, stageMeshControl, meshPath, control, s.istiodValues(name))
	istiod.Spec.ReleaseName = name
	istiod.Needs = append([]string{nameIstioBase}, s.gatewayAPIComponents()...) // it comes up without them, and reads their newer versions
	out := []Release{base, istiod}
	if s.mesh.cniPlugin {
		cni := s.meshPart(nameIstioCNI, TypeIstioCNI, stageMeshCNI, istioPath.Child("cni"), s.meshSettings(i.CNI), s.istioCNIValues())
		cni.Needs = []string{name}
		out = append(out, cni)
	}
	if s.mesh.ambient {
		ztunnel := s.meshPart(nameZtunnel, TypeZtunnel, stageMeshNodeProxy, istioPath.Child("ztunnel"), s.meshSettings(i.Ztunnel),
			s.ztunnelValues())
		ztunnel.Needs = []string{name, nameIstioCNI}
		out = append(out, ztunnel)
	}
	own := networkstackv1alpha1.ComponentSettings{Namespace: m.Namespace, DriftMode: m.DriftMode, Suspend: m.Suspend}
	resources := s.release(nameIstioResources, TypeIstioResources, stageMeshResources, istioPath.Child("resources"), own,
		s.istioResourcesValues())
	resources.Needs = []string{name}
	out = append(out, resources)
	if s.facts.Distribution == facts.DistributionOpenShift {
		for i := range out {
			if t := out[i].Spec.Type; t == TypeIstioCNI || t == TypeZtunnel {
				// There privileged pods are allowed in kube-system alone, and the platform's values say so to the control plane.
				out[i].Spec.Namespace, out[i].Spec.NamespaceLabels = sharedNamespace, nil
			}
		}
	}
	if network := s.meshIdentity().Network; network != "" {
		for i := range out {
			if out[i].Spec.NamespaceLabels != nil {
				out[i].Spec.NamespaceLabels["topology.istio.io/network"] = network
			}
		}
	}
	return out
}

// istioCommon are values that all charts of Istio have to have alike.
func (s *state) istioCommon(b *valuesBuilder) {
	if s.mesh.ambient {
		b.control("profile", meshPath.Child("mode").String(), "ambient", "mode is Ambient")
	} else {
		b.reserve("profile", meshPath.Child("mode").String())
	}
	if platform := istioPlatforms[s.facts.Distribution]; platform != "" {
		b.set("global.platform", platform, "the nodes are those of %s, which have their directories elsewhere", s.facts.Distribution)
	}
}

// istioPlatforms are the distributions for which Istio's charts have settings, in their words.
var istioPlatforms = map[facts.Distribution]string{
	facts.DistributionGKE: "gke", facts.DistributionK3s: "k3s", facts.DistributionOpenShift: "openshift",
}

func (s *state) istioBaseValues() *valuesBuilder {
	b := newValues(nameIstioBase)
	s.istioCommon(b)
	b.control("global.istioNamespace", meshPath.Child("namespace").String(), s.mesh.namespace, "where the control plane is")
	b.control("defaultRevision", istioPath.Child("revision").String(), "",
		"component %s has the validation of what names no revision, and moves it when a new control plane serves", nameIstioResources)
	id := s.meshIdentity()
	// It belongs to no revision: all control planes of the cluster have the one authority, and it outlives each.
	if id.RootSecretName != "" {
		b.certificates = []networkstackv1alpha1.Certificate{
			{SecretName: id.RootSecretName, CommonName: "Root CA", Validity: metav1.Duration{Duration: authorityValidity}, External: true},
			{
				SecretName: istioCACerts, CASecretName: id.RootSecretName, Authority: true,
				CommonName: cmp.Or(id.ClusterName, s.mesh.trust), Validity: metav1.Duration{Duration: istioAuthorityValidity},
			},
		}
		s.note(meshPath.Child("identity", "rootSecretName"), id.RootSecretName,
			"the operator makes Secret %s from it, the authority of this cluster, before the control plane is installed", istioCACerts)
	}
	return b
}

// istiodValues are those of a control plane.
func (s *state) istiodValues(name string) *valuesBuilder {
	b := newValues(name)
	s.istioCommon(b)
	id := s.meshIdentity()
	b.control("revision", istioPath.Child("revision").String(), s.mesh.revision, "control planes are told apart by it")
	b.reserve("revisionTags", istioPath.Child("tag").String())
	b.control("global.istioNamespace", meshPath.Child("namespace").String(), s.mesh.namespace, "where the control plane is")
	b.set("global.hub", istioHub, "where Istio publishes its images")
	b.set("global.proxy.clusterDomain", s.dnsDomain(), "the cluster's DNS domain")
	b.control("meshConfig.trustDomain", meshPath.Child("identity", "trustDomain").String(), s.mesh.trust, "identities begin with it")
	s.istiodScale(b)
	if s.mesh.cniPlugin {
		b.control("pilot.cni.enabled", meshPath.Child("cniPlugin").String(), true,
			"component %s redirects the traffic of pods", nameIstioCNI)
	} else {
		b.control("pilot.cni.enabled", meshPath.Child("cniPlugin").String(), false, "cniPlugin is Disabled")
	}
	identity := meshPath.Child("identity")
	for _, v := range []struct{ path, field, value string }{
		{"global.meshID", "meshID", id.MeshID},
		{"global.multiCluster.clusterName", "clusterName", id.ClusterName},
		{"global.network", "network", id.Network},
	} {
		if v.value != "" {
			b.control(v.path, identity.Child(v.field).String(), v.value, "identity.%s", v.field)
		} else {
			b.reserve(v.path, identity.Child(v.field).String())
		}
	}
	s.istioDualStack(b)
	s.istioTracing(b)
	return b
}

// istiodScale has replicas that do not depend on metrics of pods, which not every cluster has.
func (s *state) istiodScale(b *valuesBuilder) {
	by := meshPath.Child("replicas").String()
	if s.spec.Mesh.Replicas != nil {
		b.control("autoscaleEnabled", by, false, "replicas are stated")
		b.control("replicaCount", by, s.mesh.replicas, "replicas")
		return
	}
	b.set("autoscaleEnabled", false, "not every cluster has the metrics that autoscaling goes by")
	b.set("replicaCount", s.mesh.replicas, "a node can be drained while another replica serves, if there are several nodes")
}

// istioDualStack turns on the second family wherever Istio wants to be told.
func (s *state) istioDualStack(b *valuesBuilder) {
	if !s.has(ipv4) || !s.has(ipv6) {
		return
	}
	const reason = "pods and Services have both families"
	b.set("pilot.env.ISTIO_DUAL_STACK", "true", reason)
	b.set("meshConfig.defaultConfig.proxyMetadata.ISTIO_DUAL_STACK", "true", reason)
	b.set("pilot.ipFamilyPolicy", "PreferDualStack", reason)
}

// istioCNIValues are those of the CNI plugin. Directories of distributions come by global.platform.
func (s *state) istioCNIValues() *valuesBuilder {
	b := newValues(nameIstioCNI)
	s.istioCommon(b)
	b.set("global.hub", istioHub, "where Istio publishes its images")
	b.control("revision", istioPath.Child("revision").String(), s.mesh.revision, "the control plane in effect")
	p := s.primaryConfiguration()
	if p.dir != "" {
		b.set("cniConfDir", p.dir, "where %s has its configuration", s.cni)
	}
	if p.bin != "" {
		b.set("cniBinDir", p.bin, "where %s has its plugin", s.cni)
	}
	if s.managesMultus() && p.file != "" {
		b.set("cniConfFileName", p.file, "the plugin belongs behind %s, and not into the configuration that Multus makes of it", s.cni)
	}
	return b
}

func (s *state) ztunnelValues() *valuesBuilder {
	b := newValues(nameZtunnel)
	s.istioCommon(b)
	id := s.meshIdentity()
	b.set("hub", istioHub, "where Istio publishes its images")
	b.control("revision", istioPath.Child("revision").String(), s.mesh.revision, "the control plane in effect")
	b.control("istioNamespace", meshPath.Child("namespace").String(), s.mesh.namespace, "where the control plane is")
	if id.Network != "" {
		b.control("network", meshPath.Child("identity", "network").String(), id.Network, "identity.network")
	}
	if id.ClusterName != "" {
		b.control("multiCluster.clusterName", meshPath.Child("identity", "clusterName").String(), id.ClusterName, "identity.clusterName")
	}
	return b
}

// istioResourcesValues are those of our own chart.
func (s *state) istioResourcesValues() *valuesBuilder {
	b := newValues(nameIstioResources)
	b.control("revision", istioPath.Child("revision").String(), s.mesh.revision, "the control plane in effect")
	b.control("tag", istioPath.Child("tag").String(), s.mesh.tag, "stands for the revision")
	b.control("namespace", meshPath.Child("namespace").String(), s.mesh.namespace, "where the control plane is")
	mode := strings.ToUpper(string(s.spec.Mesh.MTLS))
	b.control("mtls", meshPath.Child("mtls").String(), mode, "mtls of the whole mesh")
	s.istioSampling(b)
	return b
}
