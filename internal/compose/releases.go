package compose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
)

// Stages of installation. Services come before the network plugin, whose agents may need them. What tells the nodes' MTU comes in
// between, or before both, when a kube-proxy in nftables mode would remove virtual servers of others that it has to tell of first.
// Multus wraps the network plugin's configuration, and brings the definition that attachments are of. Cilium's custom resources are
// beside Cilium itself. What stands on the network has stages from StagePlatform on: there a release waits for what it needs, and the
// stages order removal alone.
const (
	// stageNodeCleanup is below all others, because it goes last.
	stageNodeCleanup = 1
	stageFirstAgent  = 8
	stageKubeProxy   = 10
	stageNodeAgent   = 12
	stageDefinitions = 15
	stageCNI         = 20
	stageResources   = 22
	stageCleanup     = 25
	stageSecondary   = 30
	stageAttachments = 40

	// stageLoadBalancer is MetalLB's; its custom resources are of the next one.
	stageLoadBalancer = 55
	// stageGatewayAPI is that of the definitions of the Gateway API, when Cilium does not need them.
	stageGatewayAPI = 60

	// StagePlatform is the first stage of what stands on the network.
	StagePlatform      = 50
	stageObservability = 90
	// StageAddons is the first stage of add-ons.
	StageAddons = 100
)

// sharedNamespace belongs to no component, so it is never labelled.
const sharedNamespace = "kube-system"

// TypeKubeProxy is the component type of kube-proxy, and its name in the catalogue.
const TypeKubeProxy = "KubeProxy"

// releases are the components to have, in order of installation.
func (s *state) releases() []Release {
	var out []Release
	if s.managesKubeProxy() {
		b := s.kubeProxyValues()
		agentValues(b, TypeKubeProxy, kubeProxyPath.Child("agents"), s.spec.KubeProxy.Agents)
		out = append(out, s.release(nameKubeProxy, TypeKubeProxy, stageKubeProxy, kubeProxyPath, s.spec.KubeProxy.ComponentSettings, b))
	}
	if s.usesNodeAgent() {
		out = append(out, s.nodeAgentRelease())
	}
	switch s.cni {
	case networkstackv1alpha1.CNIFlannel:
		out = append(out, s.cniRelease(nameFlannel, s.flannelValues()))
	case networkstackv1alpha1.CNICilium:
		out = append(out, s.cniRelease(nameCilium, s.ciliumValues()))
		out = append(out, s.ciliumResources()...)
	case networkstackv1alpha1.CNICalico:
		out = append(out, s.calicoReleases()...)
	case networkstackv1alpha1.CNIWeaveNet:
		out = append(out, s.cniRelease(nameWeaveNet, s.weaveValues()))
	case networkstackv1alpha1.CNIAWSVPC:
		if s.installsCNI() {
			out = append(out, s.cniRelease(nameAWSVPC, s.awsValues()))
		} else if s.spec.CNI.Values != nil {
			s.cniRelease(nameAWSVPC, s.awsValues()) // refused for an add-on, and for what is wrong with them anyway
		}
	default:
		// Somebody else installs it.
	}
	if s.cleansUp() {
		out = append(out, s.cleanupRelease())
	}
	out = append(out, s.secondaryReleases()...)
	out = append(out, s.dnsReleases(network(out))...)
	out = append(out, s.gatewayRelease()...)
	out = append(out, s.loadBalancerReleases(network(out))...)
	out = append(out, s.meshReleases(network(out))...)
	out = append(out, s.ingressReleases(network(out))...)
	out = append(out, s.observabilityReleases(out)...)
	out = append(out, s.addonReleases(network(out), out)...)
	s.validateHostPorts(out)
	s.validateIgnored(out)
	return out
}

// network are the components without which no pod has a network.
func network(releases []Release) []string {
	var out []string
	for i := range releases {
		if releases[i].Spec.Stage <= stageResources {
			out = append(out, releases[i].Name)
		}
	}
	return out
}

// cniRelease is the network plugin's, with what all plugins have in common.
func (s *state) cniRelease(name string, b *valuesBuilder) Release {
	agentValues(b, string(s.cni), cniPath.Child("agents"), s.spec.CNI.Agents)
	s.policyValues(b)
	s.metricsValues(b)
	return s.release(name, string(s.cni), stageCNI, cniPath, s.spec.CNI.ComponentSettings, b)
}

// release puts one component together, with what the catalogue has of its type.
func (s *state) release(name, typ string, stage int32, path *field.Path, c networkstackv1alpha1.ComponentSettings,
	b *valuesBuilder,
) Release {
	entry, known := s.catalog[typ]
	if !known && s.withFacts {
		s.refuse(ruleReleaseInternal, field.InternalError(path, fmt.Errorf("the catalogue has no entry for %s: correct the catalogue", typ)))
	}
	return s.releaseOf(entry, name, typ, stage, path, c, b)
}

// releaseOf is release with an entry that is not, or not quite, the catalogue's.
func (s *state) releaseOf(entry catalog.Entry, name, typ string, stage int32, path *field.Path,
	c networkstackv1alpha1.ComponentSettings, b *valuesBuilder,
) Release {
	s.turnMetricsOn(entry, b)
	user := s.userValues[path.String()]
	controlled := b.controlledValues()
	for _, msg := range CheckValues(user, controlled, "values") {
		s.refuse(ruleValuesControlled, field.Forbidden(path.Child("values"), msg))
	}
	s.validateRollout(path.Child("values"), b, user)
	derived, err := b.json()
	if err != nil {
		s.refuse(ruleReleaseInternal, field.InternalError(path, err))
	}
	b.noteInto(&s.settings, user, fieldName(path))

	usual := cmp.Or(entry.Namespace, sharedNamespace)
	namespace := cmp.Or(c.Namespace, usual)
	releaseName := cmp.Or(entry.ReleaseName, name)
	in := s.inherit(typ)
	if in != nil {
		releaseName = cmp.Or(in.releaseName, releaseName)
	}
	switch {
	case c.Namespace != "":
	case in != nil && in.namespace != "" && in.namespace != usual:
		namespace = in.namespace
		s.note(path.Child("namespace"), namespace, "where %s is installed", typ)
	default:
		s.note(path.Child("namespace"), namespace, "the usual namespace of %s", typ)
	}
	var labels map[string]string
	if namespace == usual && namespace != sharedNamespace {
		labels = maps.Clone(entry.NamespaceLabels)
	}
	return Release{Name: name, Spec: networkstackv1alpha1.NetworkComponentSpec{
		Type:             typ,
		Stage:            stage,
		Chart:            s.chart(typ, entry, path, c),
		ReleaseName:      releaseName,
		Namespace:        namespace,
		NamespaceLabels:  labels,
		DerivedValues:    derived,
		Values:           c.Values.DeepCopy(),
		ValuesFrom:       slices.Clone(c.ValuesFrom),
		ControlledValues: b.closedToReferences(path.Child("values").String()),
		Certificates:     b.certificates,
		GeneratedSecrets: b.generated,
		Sources:          s.spec.Sources.DeepCopy(),
		DriftMode:        s.driftMode(c),
		DriftIgnore:      s.driftIgnore(name),
		Replacement:      s.replacement(),
		ProgressDeadline: s.progressDeadline(),
		Adoption:         s.spec.Adoption,
		DeletionPolicy:   networkstackv1alpha1.DeletionOrphan,
		Suspend:          s.spec.Suspend || c.Suspend,
	}}
}

// validateRollout refuses a pace at which nothing moves, and warns of one that stops every node. All our charts, and Cilium's,
// have the strategy of their agents at the same place.
func (s *state) validateRollout(path *field.Path, b *valuesBuilder, user map[string]any) {
	const strategy = "updateStrategy.rollingUpdate."
	unavailable, set := lookup(user, strategy+"maxUnavailable")
	if !set {
		return
	}
	surge, _ := lookup(MergeValues(b.values, user), strategy+"maxSurge")
	none := func(v any) bool { return v == nil || v == int64(0) || v == "0" || v == "0%" }
	switch {
	case unavailable == "100%":
		s.warn(ruleRolloutAtOnce, path,
			"values.%smaxUnavailable lets a change stop the agents of all nodes at once: use a number, or a smaller share", strategy)
	case unavailable != nil && none(unavailable) && none(surge):
		s.refuse(ruleRolloutStuck, field.Invalid(path, field.OmitValueType{},
			"values."+strategy+"maxUnavailable of 0 lets no agent be replaced: use 1 or more"))
	}
}

// fieldName is a path's last element: "cni" of "spec.cni".
func fieldName(path *field.Path) string {
	_, name, _ := strings.Cut(path.String(), ".")
	return name
}

// overridesChart says whether a component's chart comes from another repository than the catalogue's.
func (s *state) overridesChart(ref *networkstackv1alpha1.ChartReference, typ networkstackv1alpha1.CNIType) bool {
	return ref != nil && ref.Repository != s.catalog[string(typ)].Repository
}

// chart settles where a component's chart comes from and at which version. For kube-proxy, version in the
// spec is that of the image, and the chart is always the catalogue's.
func (s *state) chart(typ string, entry catalog.Entry, path *field.Path,
	c networkstackv1alpha1.ComponentSettings,
) networkstackv1alpha1.ResolvedChart {
	out := networkstackv1alpha1.ResolvedChart{Repository: entry.Repository, Name: entry.Chart}
	var known *catalog.Version
	switch {
	case typ != TypeKubeProxy && c.Version != "":
		out.Version = c.Version
		known = knownVersion(entry, c.Version)
	case len(entry.Versions) > 0:
		v := entry.Default()
		known = &v
	case s.withFacts && entry.Chart != "":
		s.refuse(ruleVersionUnset, field.Required(path.Child("version"), fmt.Sprintf("the catalogue knows no version of %s: set it", typ)))
	}
	overridden := c.Chart != nil && c.Chart.Repository != entry.Repository
	if known != nil {
		out.Version, out.Digest = known.Version, known.Digest
		s.validateKubernetesRange(typ, path, known)
	} else if s.withFacts && c.Version != "" && !overridden {
		s.warnUnknownVersion(typ, entry, path, c.Version)
	}
	wanted := out.Version
	if typ == TypeKubeProxy {
		wanted = s.kubeProxyTag // the chart is ours, whatever it runs
	}
	s.validateStep(typ, entry, path, wanted)
	if c.Chart != nil {
		out.Repository = c.Chart.Repository
		out.Name = cmp.Or(c.Chart.Name, entry.Chart)
		if overridden || out.Name != entry.Chart {
			out.Digest = ""
		}
		out.Digest = cmp.Or(c.Chart.Digest, out.Digest)
	}
	if known != nil && out.Digest == "" && !known.Tested && !overridden && entry.Repository != "" && known.Version != entry.Default().Version {
		s.warn(ruleVersionUnverified, path.Child("version"),
			"%s %s is known, but was not tested with this operator, and the catalogue has no digest to check its chart against: state chart.digest",
			typ, known.Version)
	}
	return out
}

// knownVersion finds a version in the catalogue, with or without a "v".
func knownVersion(entry catalog.Entry, wanted string) *catalog.Version {
	for i := range entry.Versions {
		if strings.TrimPrefix(entry.Versions[i].Version, "v") == strings.TrimPrefix(wanted, "v") {
			return &entry.Versions[i]
		}
	}
	return nil
}

func (s *state) warnUnknownVersion(typ string, entry catalog.Entry, path *field.Path, wanted string) {
	versions := make([]string, len(entry.Versions))
	for i := range entry.Versions {
		versions[i] = entry.Versions[i].Version
	}
	if entry.Repository == "" {
		s.warn(ruleVersionUnknown, path.Child("version"), "%s %s is not in the catalogue, and this operator carries %s only: it must come from a charts directory, or name its repository in chart",
			typ, wanted, strings.Join(versions, ", "))
		return
	}
	s.warn(ruleVersionUnknown, path.Child("version"), "%s %s is not in the catalogue (%s): it was not tested with this operator and its chart is not checked against a digest",
		typ, wanted, strings.Join(versions, ", "))
}

// validateKubernetesRange warns when a version was not tested with this cluster's Kubernetes. Vendors test
// some versions; they do not refuse the others.
func (s *state) validateKubernetesRange(typ string, path *field.Path, v *catalog.Version) {
	cluster := parseVersion(s.facts.KubernetesVersion)
	if cluster == nil {
		return
	}
	lowest, highest := parseVersion(v.KubernetesMin), parseVersion(v.KubernetesMax)
	below := lowest != nil && !atLeast(cluster, lowest.Major(), lowest.Minor())
	above := highest != nil && minorOf(cluster) != minorOf(highest) && atLeast(cluster, highest.Major(), highest.Minor())
	if !below && !above {
		return
	}
	span := "up to " + v.KubernetesMax
	switch {
	case v.KubernetesMin != "" && v.KubernetesMax != "":
		span = v.KubernetesMin + " to " + v.KubernetesMax
	case v.KubernetesMax == "":
		span = v.KubernetesMin + " and newer"
	}
	s.warn(ruleVersionUntested, path.Child("version"), "%s %s is tested with Kubernetes %s; the cluster is %s", typ, v.Version, span, minorOf(cluster))
}
